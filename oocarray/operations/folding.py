"""Functions of lines of which NumPy makes something of another shape; folds no parts together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from .along import Lines, keep_told, probed
from .base import Block, Shape

__all__ = ["Apply1d", "Median", "Quantile"]


class _Reduced(Lines):
    """A function of all of some axes that the result does not have, or has with extent 1."""

    axis: int | tuple[int, ...] | None
    keepdims: bool

    def _stacked(self) -> Shape:
        """Axes that the result has in front."""
        return ()

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        axes = self._axes(len(shapes[0]))
        kept = [
            1 if axis in axes else size
            for axis, size in enumerate(shapes[0])
            if self.keepdims or axis not in axes
        ]
        return (*self._stacked(), *kept)

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return probed(self, dtypes[0])

    def probe(self, dtype: np.dtype[Any]) -> Any:
        return self._call(np.zeros(1, dtype), None)

    def _apply(self, block: Block) -> Any:
        return self._call(block, self.axis)

    def _call(self, block: Block, axis: Any) -> Any:
        raise NotImplementedError(type(self).__name__)

    def _axes(self, ndim: int) -> tuple[int, ...]:
        return tuple(range(ndim)) if self.axis is None else normalize_axis_tuple(self.axis, ndim)

    def _sources(self, ndim: int) -> tuple[int | None, ...]:
        axes, at = self._axes(ndim), len(self._stacked())
        found: list[int | None] = []
        for axis in range(ndim):
            found.append(None if axis in axes else at)
            at += self.keepdims or axis not in axes
        return tuple(found)


@dataclass(frozen=True)
class Quantile(_Reduced):
    """Quantiles of all elements along axes.

    Examples
    --------
    >>> op = Quantile((0.25, 0.75), axis=0)
    >>> op.shape([(9, 4)]), op.dtype([np.dtype("f4")])
    ((2, 4), dtype('float64'))
    """

    q: Any
    """A number, or tuples of numbers, whose shape comes first in the result's."""
    axis: int | tuple[int, ...] | None = None
    method: str = "linear"
    keepdims: bool = False
    name: str = "quantile"
    """Also ``"percentile"``, ``"nanquantile"`` and ``"nanpercentile"``."""

    def __post_init__(self) -> None:
        keep_told(self, "q")

    def _stacked(self) -> Shape:
        return np.shape(self.q.value)

    def _call(self, block: Block, axis: Any) -> Any:
        function = getattr(np, self.name)
        q, many = self.q.value, self._stacked()
        # NumPy's nan functions put several axes of q in wrong places.
        one = np.ravel(q) if len(many) > 1 else q
        found = function(block, one, axis=axis, method=self.method, keepdims=self.keepdims)
        return found.reshape(many + found.shape[1:]) if len(many) > 1 else found


@dataclass(frozen=True)
class Median(_Reduced):
    """The middle of all elements along axes.

    Examples
    --------
    >>> Median((0, 2), keepdims=True).shape([(9, 4, 2)])
    (1, 4, 1)
    """

    axis: int | tuple[int, ...] | None = None
    keepdims: bool = False
    name: str = "median"
    """Also ``"nanmedian"``."""

    def _call(self, block: Block, axis: Any) -> Any:
        return getattr(np, self.name)(block, axis=axis, keepdims=self.keepdims)


@dataclass(frozen=True)
class Apply1d(Lines):
    """A function of lines, of which each becomes an array of one shape.

    Examples
    --------
    >>> Apply1d(np.diff, 0, (8,), np.dtype("f8")).shape([(9, 4)])
    (8, 4)
    """

    function: Callable[[Block], Any]
    axis: int
    out_shape: Shape
    result_dtype: np.dtype[Any]
    name: str = "apply_along_axis"
    divisible = False

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        axis = normalize_axis_index(self.axis, len(shapes[0]))
        return (*shapes[0][:axis], *self.out_shape, *shapes[0][axis + 1 :])

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return self.result_dtype

    def _sources(self, ndim: int) -> tuple[int | None, ...]:
        axis = normalize_axis_index(self.axis, ndim)
        more = len(self.out_shape) - 1
        return (*range(axis), None, *range(axis + 1 + more, ndim + more))

    def _apply(self, block: Block) -> Any:
        return np.apply_along_axis(self.function, self.axis, block)
