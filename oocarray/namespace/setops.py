"""What is in both of two arrays, in one, or in either; all but `in1d` computes at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array
from ..lifting import apply, array_of
from ..opening import from_array
from ..operations.shaping import Reshape
from .sets import counted_values, isin

__all__ = ["in1d", "intersect1d", "setdiff1d", "setxor1d", "union1d"]


def in1d(ar1: Any, ar2: Any, assume_unique: bool = False, invert: bool = False) -> Array:
    """Whether each element of a flattened array is in another; lazy.

    Parameters
    ----------
    ar1, ar2, assume_unique, invert
        As of `isin`.

    Returns
    -------
    Array
        Of bool, shape (ar1.size,).

    Raises
    ------
    ValueError
        The shape of `ar1` is not known.

    Examples
    --------
    >>> in1d([[1, 2], [3, 4]], [2, 4]).compute()
    array([False,  True, False,  True])
    """
    found = isin(ar1, ar2, assume_unique, invert)
    return found if found.ndim == 1 else apply(Reshape((found.size,)), found)


def union1d(ar1: Any, ar2: Any) -> Array:
    """Distinct elements of two arrays together, in order; computed at once.

    Parameters
    ----------
    ar1, ar2 : Array or array-like
        Flattened; read block by block.

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
    >>> union1d([3, 1], [[2, 3]]).compute()
    array([1, 2, 3])
    """
    return from_array(np.union1d(_values(ar1), _values(ar2)))


def intersect1d(
    ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False
) -> Any:
    """Distinct elements that are in both arrays, in order; computed at once.

    Parameters
    ----------
    ar1, ar2 : Array or array-like
        Flattened; read block by block.
    assume_unique : bool
        Both are without repetitions.
    return_indices : bool
        Also where each is first in both; all of them must then be in memory.

    Returns
    -------
    Array, or tuple of three Arrays
        In memory, of 1 axis.

    Raises
    ------
    BudgetError
        What must be in memory does not fit the memory budget.

    Examples
    --------
    >>> intersect1d([3, 1, 3], [2, 3]).compute()
    array([3])
    """
    if return_indices:
        one, other = (np.asarray(array_of(x).compute()) for x in (ar1, ar2))
        found = np.intersect1d(one, other, assume_unique, return_indices=True)
        return tuple(map(from_array, found))
    return from_array(np.intersect1d(_values(ar1), _values(ar2), assume_unique=True))


def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Array:
    """Distinct elements of the first array that are not in the second; computed at once.

    Parameters
    ----------
    ar1, ar2 : Array or array-like
        Flattened; read block by block.
    assume_unique : bool
        Take all of `ar1`, which must fit memory, in its order.

    Returns
    -------
    Array
        In memory, of 1 axis; in order, unless `assume_unique`.

    Raises
    ------
    BudgetError
        What must be in memory does not fit the memory budget.

    Examples
    --------
    >>> setdiff1d([3, 1, 3, 2], [2, 9]).compute()
    array([1, 3])
    """
    one = np.asarray(array_of(ar1).compute()).ravel() if assume_unique else _values(ar1)
    return from_array(np.setdiff1d(one, _values(ar2), assume_unique=True))


def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Array:
    """Distinct elements that are in just one of two arrays, in order; computed at once.

    Parameters
    ----------
    ar1, ar2 : Array or array-like
        Flattened; read block by block.
    assume_unique : bool
        Ignored: the result is the same.

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
    >>> setxor1d([3, 1], [2, 3]).compute()
    array([1, 2])
    """
    return from_array(np.setxor1d(_values(ar1), _values(ar2), assume_unique=True))


def _values(x: Any) -> np.ndarray[Any, Any]:
    return counted_values(x, True)[0]
