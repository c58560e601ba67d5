"""The greatest or least few elements of lines; keeps no more of a line than these."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core import Array
from ..lifting import apply, array_of, known
from ..operations.along import Lines
from ..operations.base import Block, Shape

__all__ = ["argtopk", "topk"]


def topk(a: Any, k: int, axis: int = -1, split_every: object = None) -> Array:
    """The k greatest elements along an axis, greatest first; lazy.

    Parameters
    ----------
    a : Array or array-like
    k : int
        Negative: as many of the least, least first.
    axis : int
        Default: the last.
    split_every : object
        Ignored.

    Returns
    -------
    Array
        With abs(k) elements along the axis, or all where there are fewer. NaN counts as greatest.

    Raises
    ------
    AxisError
        No such axis.

    Notes
    -----
    Whole lines are in memory; of each only so many elements are kept.

    Examples
    --------
    >>> topk([5, 1, 3, 6], 2).compute(), topk([5, 1, 3, 6], -2).compute()
    (array([6, 5]), array([1, 3]))
    """
    return _top(a, k, axis, False)


def argtopk(a: Any, k: int, axis: int = -1, split_every: object = None) -> Array:
    """Positions of the k greatest elements along an axis, of the greatest first; lazy.

    Parameters
    ----------
    a : Array or array-like
    k : int
        Negative: of as many of the least, of the least first.
    axis : int
        Default: the last.
    split_every : object
        Ignored.

    Returns
    -------
    Array
        Of int64, with abs(k) elements along the axis, or all where there are fewer. Of equals the
        first is first.

    Raises
    ------
    AxisError
        No such axis.

    Notes
    -----
    Whole lines are in memory; of each only so many positions are kept.

    Examples
    --------
    >>> argtopk([5, 1, 3, 6], 2).compute(), argtopk([5, 1, 3, 6], -2).compute()
    (array([3, 0]), array([1, 2]))
    """
    return _top(a, k, axis, True)


@dataclass(frozen=True)
class _Top(Lines):
    """The first few elements of lines in order, or where they are.

    `count` is not negative, and `axis` counted from 0.
    """

    count: int
    axis: int
    descending: bool
    positions: bool
    name = "topk"
    divisible = False

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        shape = shapes[0]
        return (*shape[: self.axis], self.count, *shape[self.axis + 1 :])

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return np.dtype(np.intp) if self.positions else dtypes[0]

    def _sources(self, ndim: int) -> tuple[int | None, ...]:
        return tuple(None if axis == self.axis else axis for axis in range(ndim))

    def _apply(self, block: Block) -> Any:
        lines = np.moveaxis(block, self.axis, -1)
        found = self._places(lines) if self.positions else self._values(lines)
        return np.moveaxis(found, -1, self.axis)

    def _values(self, lines: Block) -> Block:
        size = lines.shape[-1]
        if 0 < self.count < size:
            at = size - self.count if self.descending else self.count - 1
            lines = np.partition(lines, at, axis=-1)
            lines = lines[..., at:] if self.descending else lines[..., : self.count]
        found = np.sort(lines, axis=-1)
        return (found[..., ::-1] if self.descending else found)[..., : self.count]

    def _places(self, lines: Block) -> Block:
        if not self.descending:
            return np.argsort(lines, axis=-1, kind="stable")[..., : self.count]
        # Turned before and after, so that the first of equals is first.
        found = np.argsort(lines[..., ::-1], axis=-1, kind="stable")[..., ::-1]
        return np.asarray(lines.shape[-1] - 1 - found[..., : self.count])


def _top(a: Any, k: int, axis: int, positions: bool) -> Array:
    array, k = array_of(a), operator.index(k)
    at = normalize_axis_index(axis, array.ndim)
    count = min(abs(k), known(array, "topk")[at])
    return apply(_Top(count, at, k > 0, positions), array)
