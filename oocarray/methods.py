"""Reductions as methods of an array, by NumPy's names and rules; each builds a node, no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, DTypeLike

    from .core import Array

__all__ = ["Axis", "Reductions"]

Axis = int | Sequence[int] | None
"""One axis, several, or None for all; negative ones count from the last."""


class Reductions:
    """Mixin of `oocarray.Array`.

    Arguments come in dask's order. `split_every` is accepted and ignored: how results are
    combined is fixed. `out` is there so that ``np.sum(x)`` comes here; it must be None.
    """

    __slots__ = ()

    def _reduce(self, name: str, **parameters: Any) -> Array:
        raise NotImplementedError

    def sum(
        self,
        axis: Axis = None,
        dtype: DTypeLike | None = None,
        keepdims: bool = False,
        split_every: object = None,
        out: None = None,
    ) -> Array:
        """Sum; lazy, see `oocarray.sum`."""
        _refuse_out(out)
        return self._reduce("sum", axis=axis, dtype_arg=dtype, keepdims=keepdims)

    def prod(
        self,
        axis: Axis = None,
        dtype: DTypeLike | None = None,
        keepdims: bool = False,
        split_every: object = None,
        out: None = None,
    ) -> Array:
        """Product; lazy, see `oocarray.prod`."""
        _refuse_out(out)
        return self._reduce("prod", axis=axis, dtype_arg=dtype, keepdims=keepdims)

    def mean(
        self,
        axis: Axis = None,
        dtype: DTypeLike | None = None,
        keepdims: bool = False,
        split_every: object = None,
        out: None = None,
    ) -> Array:
        """Arithmetic mean; lazy, see `oocarray.mean`."""
        _refuse_out(out)
        return self._reduce("mean", axis=axis, dtype_arg=dtype, keepdims=keepdims)

    def var(
        self,
        axis: Axis = None,
        dtype: DTypeLike | None = None,
        keepdims: bool = False,
        ddof: float = 0,
        split_every: object = None,
        out: None = None,
        *,
        correction: float | None = None,
    ) -> Array:
        """Variance; lazy, see `oocarray.var`."""
        _refuse_out(out)
        ddof = _one_of(ddof, correction)
        return self._reduce("var", axis=axis, dtype_arg=dtype, keepdims=keepdims, ddof=ddof)

    def std(
        self,
        axis: Axis = None,
        dtype: DTypeLike | None = None,
        keepdims: bool = False,
        ddof: float = 0,
        split_every: object = None,
        out: None = None,
        *,
        correction: float | None = None,
    ) -> Array:
        """Standard deviation; lazy, see `oocarray.std`."""
        _refuse_out(out)
        ddof = _one_of(ddof, correction)
        return self._reduce("std", axis=axis, dtype_arg=dtype, keepdims=keepdims, ddof=ddof)

    def min(
        self,
        axis: Axis = None,
        keepdims: bool = False,
        split_every: object = None,
        out: None = None,
    ) -> Array:
        """Least element; lazy, see `oocarray.min`."""
        _refuse_out(out)
        return self._reduce("min", axis=axis, keepdims=keepdims)

    def max(
        self,
        axis: Axis = None,
        keepdims: bool = False,
        split_every: object = None,
        out: None = None,
    ) -> Array:
        """Greatest element; lazy, see `oocarray.max`."""
        _refuse_out(out)
        return self._reduce("max", axis=axis, keepdims=keepdims)

    def argmin(
        self,
        axis: int | None = None,
        keepdims: bool = False,
        split_every: object = None,
        out: None = None,
    ) -> Array:
        """Index of the first least element; lazy, see `oocarray.argmin`."""
        _refuse_out(out)
        return self._reduce("argmin", axis=axis, keepdims=keepdims)

    def argmax(
        self,
        axis: int | None = None,
        keepdims: bool = False,
        split_every: object = None,
        out: None = None,
    ) -> Array:
        """Index of the first greatest element; lazy, see `oocarray.argmax`."""
        _refuse_out(out)
        return self._reduce("argmax", axis=axis, keepdims=keepdims)

    def any(
        self,
        axis: Axis = None,
        keepdims: bool = False,
        split_every: object = None,
        out: None = None,
    ) -> Array:
        """Whether any element is true; lazy, see `oocarray.any`."""
        _refuse_out(out)
        return self._reduce("any", axis=axis, keepdims=keepdims)

    def all(
        self,
        axis: Axis = None,
        keepdims: bool = False,
        split_every: object = None,
        out: None = None,
    ) -> Array:
        """Whether all elements are true; lazy, see `oocarray.all`."""
        _refuse_out(out)
        return self._reduce("all", axis=axis, keepdims=keepdims)

    def count_nonzero(
        self, axis: Axis = None, keepdims: bool = False, split_every: object = None
    ) -> Array:
        """How many elements are not zero; lazy, see `oocarray.count_nonzero`."""
        return self._reduce("count_nonzero", axis=axis, keepdims=keepdims)

    def nansum(
        self,
        axis: Axis = None,
        dtype: DTypeLike | None = None,
        keepdims: bool = False,
        split_every: object = None,
    ) -> Array:
        """Sum of what is not NaN; lazy, see `oocarray.nansum`."""
        return self._reduce("nansum", axis=axis, dtype_arg=dtype, keepdims=keepdims)

    def nanprod(
        self,
        axis: Axis = None,
        dtype: DTypeLike | None = None,
        keepdims: bool = False,
        split_every: object = None,
    ) -> Array:
        """Product of what is not NaN; lazy, see `oocarray.nanprod`."""
        return self._reduce("nanprod", axis=axis, dtype_arg=dtype, keepdims=keepdims)

    def nanmean(
        self,
        axis: Axis = None,
        dtype: DTypeLike | None = None,
        keepdims: bool = False,
        split_every: object = None,
    ) -> Array:
        """Mean of what is not NaN; lazy, see `oocarray.nanmean`."""
        return self._reduce("nanmean", axis=axis, dtype_arg=dtype, keepdims=keepdims)

    def nanvar(
        self,
        axis: Axis = None,
        dtype: DTypeLike | None = None,
        keepdims: bool = False,
        ddof: float = 0,
        split_every: object = None,
        *,
        correction: float | None = None,
    ) -> Array:
        """Variance of what is not NaN; lazy, see `oocarray.nanvar`."""
        ddof = _one_of(ddof, correction)
        return self._reduce("nanvar", axis=axis, dtype_arg=dtype, keepdims=keepdims, ddof=ddof)

    def nanstd(
        self,
        axis: Axis = None,
        dtype: DTypeLike | None = None,
        keepdims: bool = False,
        ddof: float = 0,
        split_every: object = None,
        *,
        correction: float | None = None,
    ) -> Array:
        """Standard deviation of what is not NaN; lazy, see `oocarray.nanstd`."""
        ddof = _one_of(ddof, correction)
        return self._reduce("nanstd", axis=axis, dtype_arg=dtype, keepdims=keepdims, ddof=ddof)

    def nanmin(
        self, axis: Axis = None, keepdims: bool = False, split_every: object = None
    ) -> Array:
        """Least element that is not NaN; lazy, see `oocarray.nanmin`."""
        return self._reduce("nanmin", axis=axis, keepdims=keepdims)

    def nanmax(
        self, axis: Axis = None, keepdims: bool = False, split_every: object = None
    ) -> Array:
        """Greatest element that is not NaN; lazy, see `oocarray.nanmax`."""
        return self._reduce("nanmax", axis=axis, keepdims=keepdims)

    def nanargmin(
        self, axis: int | None = None, keepdims: bool = False, split_every: object = None
    ) -> Array:
        """Index of the first least element that is not NaN; lazy, see `oocarray.nanargmin`."""
        return self._reduce("nanargmin", axis=axis, keepdims=keepdims)

    def nanargmax(
        self, axis: int | None = None, keepdims: bool = False, split_every: object = None
    ) -> Array:
        """Index of the first greatest element that is not NaN; see `oocarray.nanargmax`."""
        return self._reduce("nanargmax", axis=axis, keepdims=keepdims)

    def histogram(
        self,
        bins: ArrayLike,
        range: tuple[float, float] | None = None,
        density: bool | None = None,
        weights: None = None,
    ) -> tuple[Array, np.ndarray[Any, Any]]:
        """Counts between edges, lazy, and the edges; see `oocarray.histogram`."""
        from .histograms import histogram

        return histogram(self, bins, range, density, weights)


def _refuse_out(out: object) -> None:
    if out is not None:
        raise NotImplementedError(
            "reductions take no out=; compute() the result and assign it, or store() it there"
        )


def _one_of(ddof: float, correction: float | None) -> float:
    """NumPy's name for it and the standard's."""
    if correction is None:
        return ddof
    if ddof != 0:
        raise ValueError(f"ddof={ddof} and correction={correction} are the same; give one of them")
    return correction
