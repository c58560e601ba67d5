"""A reduction made of the caller's functions, used like `Reduction`; computes nothing itself.

Partials are whatever the functions return, one per leaf, in arrays of dtype object.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["UserReduction"]


@dataclass(frozen=True)
class UserReduction:
    """A reduction by Python functions, called as ``dask.array.reduction`` calls them.

    Parameters
    ----------
    shape, dtype
        Of the array.
    axes : tuple of int
        Reduced axes, sorted, not negative.
    chunk : callable
        ``chunk(piece, axis=axes, keepdims=True)`` for each leaf.
    aggregate : callable
        ``aggregate(partial, axis=axes, keepdims=keepdims)`` for what is left at the end.
    combine : callable, optional
        ``combine(partial, axis=axes, keepdims=True)`` for two neighbours; `aggregate` if None.
    keepdims : bool
        Reduced axes stay, with extent 1.
    concatenate : bool
        Neighbours are concatenated along the first reduced axis; else they are passed in a list,
        nested once per reduced axis.
    out_dtype : dtype, optional
        The result is converted to it.

    Examples
    --------
    >>> r = UserReduction((4,), np.dtype("f8"), (0,), chunk=np.sum, aggregate=np.sum)
    >>> parts = r.leaves(None, np.arange(4.0), ((2, 2),), (0,))
    >>> float(r.finish(r.combine(parts[:1], parts[1:])[0:1].reshape(())))
    6.0
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    axes: tuple[int, ...]
    chunk: Callable[..., Any]
    aggregate: Callable[..., Any]
    combine_function: Callable[..., Any] | None = None
    keepdims: bool = False
    concatenate: bool = True
    out_dtype: np.dtype | None = None
    name: str = "reduction"

    @property
    def partial_dtype(self) -> np.dtype:
        """Always object: one entry per leaf, along kept axes too."""
        return np.dtype(object)

    @property
    def kept_shape(self) -> tuple[int, ...]:
        """Extents of the axes that stay."""
        return tuple(n for k, n in enumerate(self.shape) if k not in self.axes)

    @property
    def result_shape(self) -> tuple[int, ...]:
        """Shape of the result, if the functions reduce each axis to one element."""
        if self.keepdims:
            return tuple(1 if k in self.axes else n for k, n in enumerate(self.shape))
        return self.kept_shape

    def kernel(self) -> None:
        """Nothing is to be compiled."""

    def leaves(
        self,
        entry: object,
        block: np.ndarray,
        cuts: tuple[tuple[int, ...], ...],
        origin: tuple[int, ...],
    ) -> np.ndarray:
        """Call `chunk` on each leaf of a block; `entry` and `origin` are not looked at."""
        del entry, origin
        starts = [(0, *itertools.accumulate(cut)) for cut in cuts]
        counts = tuple(map(len, cuts))
        found = np.empty(math.prod(counts), object)
        for number, coords in enumerate(np.ndindex(*counts)):
            region = tuple(slice(starts[k][c], starts[k][c + 1]) for k, c in enumerate(coords))
            found[number] = self.chunk(block[region], axis=self.axes, keepdims=True)
        return found.reshape(counts)

    def combine(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Combine arrays of partials entry by entry; those of `a` come first."""
        function = self.aggregate if self.combine_function is None else self.combine_function
        out = np.empty(a.size, object)
        pairs = zip(np.asarray(a).flat, np.asarray(b).flat, strict=True)
        for number, pair in enumerate(pairs):
            out[number] = function(self._together(*pair), axis=self.axes, keepdims=True)
        return out.reshape(a.shape)

    def finish(self, partial: np.ndarray) -> np.ndarray:
        """Call `aggregate` on each kept leaf and put the pieces together.

        Parameters
        ----------
        partial : ndarray of object
            One entry per leaf along the kept axes.
        """
        pieces = np.empty(partial.size, object)
        for number, item in enumerate(np.asarray(partial).flat):
            whole = item if self.concatenate else self._together(item)
            piece = self.aggregate(whole, axis=self.axes, keepdims=self.keepdims)
            pieces[number] = np.asarray(piece)
        rest = pieces.reshape(partial.shape)
        kept = [k for k in range(len(self.shape)) if k not in self.axes]
        for position in reversed(range(partial.ndim)):
            axis = kept[position] if self.keepdims else position
            joined = np.empty(math.prod(rest.shape[:position]), object)
            rows = rest.reshape(len(joined), partial.shape[position])
            for number, row in enumerate(rows):
                joined[number] = np.concatenate(list(row), axis=axis)
            rest = joined.reshape(partial.shape[:position])
        result = np.asarray(rest.flat[0])
        return result if self.out_dtype is None else result.astype(self.out_dtype, copy=False)

    def _together(self, *parts: Any) -> Any:
        """Neighbours along the first reduced axis, in the form the functions want."""
        if self.concatenate:
            return np.concatenate(parts, axis=self.axes[0])
        if not self.axes:
            return parts[0]
        nested = list(parts)
        for _ in self.axes[1:]:
            nested = [[part] for part in nested]
        return nested
