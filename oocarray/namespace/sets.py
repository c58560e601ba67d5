"""Distinct elements of an array; all but `isin` computes at once, for extents are not known.

Results are arrays in memory.  Where only values are asked for, an array is gone through block by
block, and what is held is what was distinct so far; where positions are, all of it is in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..core import Array
from ..lifting import apply, array_of
from ..opening import from_array
from ..operations.tables import Isin
from ..operations.tables import unique_all as everything

__all__ = ["UniqueAllResult", "UniqueCountsResult", "UniqueInverseResult", "counted_values"]
__all__ += ["isin", "pieces", "unique", "unique_all", "unique_counts", "unique_inverse"]
__all__ += ["unique_values"]


class UniqueAllResult(NamedTuple):
    """What `unique_all` returns."""

    values: Array
    indices: Array
    inverse_indices: Array
    counts: Array


class UniqueCountsResult(NamedTuple):
    """What `unique_counts` returns."""

    values: Array
    counts: Array


class UniqueInverseResult(NamedTuple):
    """What `unique_inverse` returns."""

    values: Array
    inverse_indices: Array


def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    """Distinct elements in order; computed at once.

    Parameters
    ----------
    ar : Array or array-like
    return_index, return_inverse, return_counts : bool
        Also where each is first; which one each element is; and how many there are of each.
    axis : int, optional
        Distinct parts along an axis; None: distinct elements.
    equal_nan : bool
        Take all NaN for one.
    sorted : bool
        Ignored: they always are.

    Returns
    -------
    Array, or tuple of Array
        In memory.

    Raises
    ------
    BudgetError
        All of the array must be in memory, and is larger than the memory budget: unless just
        values and counts of elements are asked for.

    Examples
    --------
    >>> unique([3, 1, 3]).compute()
    array([1, 3])
    >>> [part.tolist() for part in unique([3, 1, 3], return_index=True, return_counts=True)]
    [[1, 3], [1, 0], [1, 2]]
    """
    if axis is None and not (return_index or return_inverse):
        values, counts = counted_values(ar, equal_nan)
        return (from_array(values), from_array(counts)) if return_counts else from_array(values)
    asked: Any = {"return_index": return_index, "return_inverse": return_inverse}
    asked |= {"return_counts": return_counts, "axis": axis, "equal_nan": equal_nan}
    found: Any = np.unique(np.asarray(array_of(ar).compute()), **asked)
    return tuple(map(from_array, found)) if isinstance(found, tuple) else from_array(found)


def unique_all(x: Any, /) -> UniqueAllResult:
    """Distinct elements, where each is first, which one each element is, and counts; at once.

    Parameters
    ----------
    x : Array or array-like
        All of it must fit the memory budget.

    Returns
    -------
    UniqueAllResult
        Arrays in memory: values in order, each NaN by itself; indices into the flattened array;
        inverse_indices, of the array's shape; counts.

    Raises
    ------
    BudgetError
        The array does not fit.

    Examples
    --------
    >>> found = unique_all([[3, 1], [3, 3]])
    >>> found.values.tolist(), found.indices.tolist(), found.inverse_indices.tolist()
    ([1, 3], [1, 0], [[1, 0], [1, 1]])
    """
    return UniqueAllResult(*map(from_array, everything(np.asarray(array_of(x).compute()))))


def unique_counts(x: Any, /) -> UniqueCountsResult:
    """Distinct elements in order, and how many there are of each; computed at once.

    Parameters
    ----------
    x : Array or array-like
        Read block by block.

    Returns
    -------
    UniqueCountsResult
        Arrays in memory: values, each NaN by itself, and counts.

    Raises
    ------
    BudgetError
        Two blocks do not fit the memory budget.

    Examples
    --------
    >>> [part.tolist() for part in unique_counts([[3, 1], [3, 3]])]
    [[1, 3], [1, 3]]
    """
    return UniqueCountsResult(*map(from_array, counted_values(x, False)))


def unique_inverse(x: Any, /) -> UniqueInverseResult:
    """Distinct elements in order, and which one each element is; computed at once.

    Parameters
    ----------
    x : Array or array-like
        All of it must fit the memory budget.

    Returns
    -------
    UniqueInverseResult
        Arrays in memory: values, each NaN by itself, and inverse_indices, of the array's shape.

    Raises
    ------
    BudgetError
        The array does not fit.

    Examples
    --------
    >>> [part.tolist() for part in unique_inverse([[3, 1], [3, 3]])]
    [[1, 3], [[1, 0], [1, 1]]]
    """
    found = unique_all(x)
    return UniqueInverseResult(found.values, found.inverse_indices)


def unique_values(x: Any, /) -> Array:
    """Distinct elements in order, each NaN by itself; computed at once.

    Parameters
    ----------
    x : Array or array-like
        Read block by block.

    Returns
    -------
    Array
        In memory, of 1 axis.

    Raises
    ------
    BudgetError
        Two blocks do not fit the memory budget.

    Examples
    --------
    >>> unique_values([[3, 1], [3, 3]]).compute()
    array([1, 3])
    """
    return from_array(counted_values(x, False)[0])


def isin(
    element: Any,
    test_elements: Any,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    kind: str | None = None,
) -> Array:
    """Whether each element of an array is anywhere in another; lazy.

    Parameters
    ----------
    element : Array or array-like
    test_elements : Array or array-like
        All of it is in memory.
    assume_unique : bool
        Both are without repetitions.
    invert : bool
        Whether it is not.
    kind : str, optional
        Ignored: NumPy chooses how.

    Returns
    -------
    Array
        Of bool, of the shape of `element`. NaN is in no array.

    Raises
    ------
    BudgetError
        When computed: `test_elements` does not fit the memory budget.

    Examples
    --------
    >>> isin([[1, 2], [3, 4]], [2, 4, 9]).compute()
    array([[False,  True],
           [False,  True]])
    """
    # A block of an array without repetitions has none; broadcast blocks may be anything.
    return apply(Isin(bool(assume_unique), bool(invert)), element, test_elements)


def pieces(array: Array) -> Iterator[np.ndarray[Any, Any]]:
    """Parts of an array that together are all of it, in order of rows; not all at once.

    Examples
    --------
    >>> [piece.tolist() for piece in pieces(from_array(np.arange(3), chunks=2))]
    [[0, 1], [2]]
    """
    if not array.ndim or math.isnan(array.size) or not array.size:
        yield np.asarray(array.compute())
        return
    with array.iter_blocks() as blocks:
        yield from blocks


def counted_values(x: Any, equal_nan: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Distinct elements in order and their counts, merged block by block.

    Examples
    --------
    >>> counted_values([3, 1, 3], True)
    (array([1, 3]), array([1, 2]))
    """
    array = array_of(x)
    values, counts = np.empty(0, array.dtype), np.empty(0, np.intp)
    for piece in pieces(array):
        own, many = np.unique(piece, return_counts=True, equal_nan=equal_nan)
        if not len(values):
            values, counts = own, many
            continue
        both = np.concatenate([values, own])
        values, place = np.unique(both, return_inverse=True, equal_nan=equal_nan)
        merged = np.zeros(len(values), np.intp)
        np.add.at(merged, place, np.concatenate([counts, many]))
        counts = merged
    return values, counts
