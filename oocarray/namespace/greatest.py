"""The greatest or least few elements of lines; keeps no more of a line than these."""

from __future__ import annotations

import operator
from typing import Any

from numpy.lib.array_utils import normalize_axis_index

from ..core import Array
from ..lifting import apply, array_of, known
from ..operations.greatest import Top

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


def _top(a: Any, k: int, axis: int, positions: bool) -> Array:
    array, k = array_of(a), operator.index(k)
    at = normalize_axis_index(axis, array.ndim)
    count = min(abs(k), known(array, "topk")[at])
    return apply(Top(count, at, k > 0, positions), array)
