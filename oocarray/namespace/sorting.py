"""Puts lines of an axis in order, and finds what is greatest; merges no sorted pieces.

Whole lines are in memory while they are sorted, or, where a single one is long, in a scratch file.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core import Array
from ..lifting import apply, array_of, known
from ..operations.along import Argpartition, Argsort, Partition, Sort
from ..operations.shaping import Reshape
from .greatest import argtopk, topk
from .setops import in1d, intersect1d, setdiff1d, setxor1d, union1d
from .sets import isin, unique, unique_all, unique_counts, unique_inverse, unique_values

__all__ = ["argpartition", "argsort", "argtopk", "in1d", "intersect1d", "isin", "partition"]
__all__ += ["setdiff1d", "setxor1d", "sort", "topk", "union1d", "unique", "unique_all"]
__all__ += ["unique_counts", "unique_inverse", "unique_values"]

_KINDS = (None, "quicksort", "heapsort", "mergesort", "stable")


def sort(
    x: Any,
    axis: int | None = -1,
    kind: str | None = None,
    order: None = None,
    *,
    descending: bool = False,
    stable: bool | None = True,
) -> Array:
    """Elements in order along an axis, NaN last; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int, optional
        Default: the last. None: flattened.
    kind : {"quicksort", "heapsort", "mergesort", "stable"}, optional
        NumPy's word for `stable`: the results are the same.
    order : None
        Fields to sort by; not supported.
    descending : bool
        The reverse: greatest first, and NaN before all.
    stable : bool, optional
        Sort equals as they come.

    Returns
    -------
    Array
        Of the same shape, or of 1 axis.

    Raises
    ------
    AxisError
        No such axis; an array of no axes has none.
    ValueError
        No such kind; a shape that is not known.
    NotImplementedError
        `order` is given.

    Notes
    -----
    Whole lines are sorted at once, in memory; one line that is longer than some megabytes is
    sorted where the result is kept.

    Examples
    --------
    >>> sort([[3, 1, 2], [1, 5, 4]]).compute()
    array([[1, 2, 3],
           [1, 4, 5]])
    >>> sort([3, 1, 2], descending=True).compute()
    array([3, 2, 1])
    """
    _check("sort", kind, order)
    array, at = _line(x, axis, "sort")
    return apply(Sort(at, stable is not False, bool(descending)), array)


def argsort(
    x: Any,
    axis: int | None = -1,
    kind: str | None = None,
    order: None = None,
    *,
    descending: bool = False,
    stable: bool | None = True,
) -> Array:
    """Positions that put elements in order along an axis, those of NaN last; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int, optional
        Default: the last. None: flattened.
    kind, order : optional
        As of `sort`.
    descending : bool
        Greatest first, and NaN before all; of equals still the first is first.
    stable : bool, optional
        Sort equals as they come; else in any order.

    Returns
    -------
    Array
        Of int64, and of the same shape, or of 1 axis.

    Raises
    ------
    AxisError, ValueError, NotImplementedError
        As `sort`.

    Notes
    -----
    Whole lines are in memory, as for `sort`.

    Examples
    --------
    >>> argsort([3, 1, 2]).compute(), argsort([3, 1, 3], descending=True).compute()
    (array([1, 2, 0]), array([0, 2, 1]))
    """
    _check("argsort", kind, order)
    array, at = _line(x, axis, "argsort")
    if not array.ndim:  # NumPy's argsort, unlike its sort, takes it for one element
        normalize_axis_index(at, 1)
        return apply(Reshape(()), argsort(apply(Reshape((1,)), array)))
    return apply(Argsort(at, stable is not False, bool(descending)), array)


def partition(a: Any, kth: Any, axis: int | None = -1) -> Array:
    """Lines in which some elements are where sorting would put them; lazy.

    Parameters
    ----------
    a : Array or array-like
    kth : int or sequence of int
        Which ones: what is before each is not greater, what is after not less.
    axis : int, optional
        Default: the last. None: flattened.

    Returns
    -------
    Array
        Of the same shape, or of 1 axis.

    Raises
    ------
    AxisError
        No such axis.
    ValueError
        `kth` is out of bounds.

    Notes
    -----
    Whole lines are in memory.

    Examples
    --------
    >>> int(partition([7, 1, 5, 3], 1)[1].compute())
    3
    """
    array, at = _line(a, axis, "partition")
    return apply(Partition(_kth(array, kth, at), at), array)


def argpartition(a: Any, kth: Any, axis: int | None = -1) -> Array:
    """Positions that put lines as `partition` does; lazy.

    Parameters
    ----------
    a : Array or array-like
    kth : int or sequence of int
    axis : int, optional
        Default: the last. None: flattened.

    Returns
    -------
    Array
        Of int64, and of the same shape, or of 1 axis.

    Raises
    ------
    AxisError
        No such axis.
    ValueError
        `kth` is out of bounds.

    Notes
    -----
    Whole lines are in memory.

    Examples
    --------
    >>> int(argpartition([7, 1, 5, 3], 1)[1].compute())
    3
    """
    array, at = _line(a, axis, "argpartition")
    return apply(Argpartition(_kth(array, kth, at), at), array)


def _line(x: Any, axis: int | None, what: str) -> tuple[Array, int]:
    """The array, flattened if no axis is named, and the axis."""
    array = array_of(x)
    if axis is not None:
        return array, operator.index(axis)
    if array.ndim == 1:
        return array, 0
    known(array, what)
    return apply(Reshape((array.size,)), array), 0


def _check(what: str, kind: str | None, order: object) -> None:
    if kind not in _KINDS:
        raise ValueError(f"{what}: kind={kind!r} is none of {', '.join(map(repr, _KINDS[1:]))}")
    if order is not None:
        raise NotImplementedError(f"{what} takes no order=; sort by a field: x[argsort(x[name])]")


def _kth(array: Array, kth: Any, axis: int) -> int | tuple[int, ...]:
    size = known(array, "partition")[normalize_axis_index(axis, array.ndim)]
    given = np.atleast_1d(np.asarray(kth))
    if given.dtype.kind not in "iu":
        raise TypeError(f"kth must be integers, not {given.dtype}")
    for one in given.tolist():
        if not -size <= one < size:
            raise ValueError(f"kth(={one}) out of bounds ({size})")
    found = tuple(one % size for one in given.tolist())
    return found if np.ndim(kth) else found[0]
