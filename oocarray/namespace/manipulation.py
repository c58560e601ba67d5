"""Other shapes and orders of axes, as NumPy has them; views where what is stored allows, no copy.

What is in a file or in memory gives a view, through which it can be changed, if it is writable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..core import Array
from ..lifting import array_of, known
from ..operations.shaping import expand_dims as _expanding
from ..operations.shaping import squeeze as _squeezing
from .viewing import filled, reshaped, transposed

__all__ = ["expand_dims", "matrix_transpose", "moveaxis", "permute_dims", "ravel", "rechunk"]
__all__ += ["reshape", "rollaxis", "squeeze", "swapaxes", "transpose"]


def reshape(
    a: Any, /, shape: int | Sequence[int], order: str = "C", *, copy: bool | None = None
) -> Array:
    """The same elements, in C order, in another shape; lazy.

    Parameters
    ----------
    a : Array or array-like
        All extents are known.
    shape : int or sequence of int
        One extent may be -1: what the others leave.
    order : {"C"}
        ``reshape(a.T, shape[::-1]).T`` does what NumPy's "F" does.
    copy : bool, optional
        True: never a view. False: never a copy of what is stored. None: as it comes.

    Returns
    -------
    Array
        Of `shape`; a view, where strides allow.

    Raises
    ------
    ValueError
        The sizes differ, or are not known; ``copy=False`` cannot be.
    NotImplementedError
        Another order.

    Examples
    --------
    >>> reshape([1, 2, 3, 4, 5, 6], (2, -1)).compute()
    array([[1, 2, 3],
           [4, 5, 6]])
    """
    _in_order(order)
    array = array_of(a)
    if array.ndim == 1 and np.array_equal(shape, (-1,)) and not copy:
        return reshaped(array, array.shape)
    return reshaped(array, filled(known(array, "reshape"), shape), copy)


def ravel(a: Any, order: str = "C") -> Array:
    """All elements along one axis, in C order; lazy.

    Parameters
    ----------
    a : Array or array-like
    order : {"C"}

    Returns
    -------
    Array
        Of 1 axis; a view, where strides allow.

    Raises
    ------
    ValueError
        An extent is not known, and there is more than one.
    NotImplementedError
        Another order.

    Examples
    --------
    >>> ravel([[1, 2], [3, 4]]).compute()
    array([1, 2, 3, 4])
    """
    return reshape(a, (-1,), order)


def squeeze(a: Any, /, axis: int | Sequence[int] | None = None) -> Array:
    """Without axes of extent 1; lazy.

    Parameters
    ----------
    a : Array or array-like
    axis : int or sequence of int, optional
        Which; None: all that are known to have extent 1.

    Returns
    -------
    Array
        A view of what is stored.

    Raises
    ------
    ValueError
        An axis with another extent.
    AxisError
        No such axis.

    Examples
    --------
    >>> squeeze([[[1, 2]]]).shape, squeeze([[[1, 2]]], axis=0).shape
    ((2,), (1, 2))
    """
    array = array_of(a)
    axes = None if axis is None else normalize_axis_tuple(axis, array.ndim)
    return transposed(array, _squeezing(array.shape, axes).axes)


def expand_dims(a: Any, /, axis: int | Sequence[int] = 0) -> Array:
    """With new axes of extent 1; lazy.

    Parameters
    ----------
    a : Array or array-like
    axis : int or sequence of int
        Where they are in the result.

    Returns
    -------
    Array
        A view of what is stored.

    Raises
    ------
    AxisError, ValueError
        No such axis of the result, or one twice.

    Examples
    --------
    >>> expand_dims([1, 2], (0, -1)).shape
    (1, 2, 1)
    """
    array = array_of(a)
    axes = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    return transposed(array, _expanding(array.ndim, axes).axes)


def transpose(a: Any, /, axes: Sequence[int] | None = None) -> Array:
    """Axes in another order; lazy.

    Parameters
    ----------
    a : Array or array-like
    axes : sequence of int, optional
        For each axis of the result the one of `a`; None: reversed.

    Returns
    -------
    Array
        A view of what is stored; blocks that were set go with their axes.

    Raises
    ------
    ValueError
        No permutation of all axes.
    AxisError
        No such axis.

    Examples
    --------
    >>> transpose([[1, 2, 3], [4, 5, 6]]).compute().tolist()
    [[1, 4], [2, 5], [3, 6]]
    """
    array = array_of(a)
    if axes is None:
        return transposed(array, range(array.ndim)[::-1])
    order = tuple(axes)
    if len(order) != array.ndim:
        raise ValueError(f"axes {order} do not match an array of {array.ndim} axes")
    return transposed(array, normalize_axis_tuple(order, array.ndim))


permute_dims = transpose


def matrix_transpose(x: Any, /) -> Array:
    """Matrices, the last two axes, with rows and columns exchanged; lazy.

    Parameters
    ----------
    x : Array or array-like

    Returns
    -------
    Array
        Of shape (..., n, m) for (..., m, n); a view of what is stored.

    Raises
    ------
    ValueError
        Fewer than 2 axes.

    Examples
    --------
    >>> matrix_transpose([[1, 2, 3]]).shape
    (3, 1)
    """
    array = array_of(x)
    if array.ndim < 2:
        raise ValueError(f"a matrix has 2 axes, and there are {array.ndim}")
    return swapaxes(array, -1, -2)


def moveaxis(a: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Array:
    """Some axes in other places, the rest in their order; lazy.

    Parameters
    ----------
    a : Array or array-like
    source, destination : int or sequence of int
        Of as many axes, each at most once.

    Returns
    -------
    Array
        A view of what is stored.

    Raises
    ------
    AxisError, ValueError
        No such axis, one twice, or not as many of both.

    Examples
    --------
    >>> moveaxis([[[1, 2, 3]]], -1, 0).shape
    (3, 1, 1)
    """
    array = array_of(a)
    origin = normalize_axis_tuple(source, array.ndim, "source")
    target = normalize_axis_tuple(destination, array.ndim, "destination")
    if len(origin) != len(target):
        raise ValueError(f"{len(origin)} axes in `source`, but {len(target)} in `destination`")
    order = [axis for axis in range(array.ndim) if axis not in origin]
    for place, axis in sorted(zip(target, origin, strict=True)):
        order.insert(place, axis)
    return transposed(array, order)


def rollaxis(a: Any, axis: int, start: int = 0) -> Array:
    """One axis moved backwards until it is before another; lazy; `moveaxis` is easier to read.

    Parameters
    ----------
    a : Array or array-like
    axis : int
        Which to move.
    start : int
        Before which, from 0 to ``a.ndim``.

    Returns
    -------
    Array
        A view of what is stored.

    Raises
    ------
    AxisError
        No such axis.

    Examples
    --------
    >>> rollaxis([[[1, 2, 3]]], 2).shape
    (3, 1, 1)
    """
    array = array_of(a)
    axis = normalize_axis_index(axis, array.ndim)
    start = normalize_axis_index(start, array.ndim + 1)
    order = [one for one in range(array.ndim) if one != axis]
    order.insert(start - (axis < start), axis)
    return transposed(array, order)


def swapaxes(a: Any, axis1: int, axis2: int) -> Array:
    """Two axes exchanged; lazy.

    Parameters
    ----------
    a : Array or array-like
    axis1, axis2 : int

    Returns
    -------
    Array
        A view of what is stored.

    Raises
    ------
    AxisError
        No such axis.

    Examples
    --------
    >>> swapaxes([[[1, 2, 3]]], 0, 2).shape
    (3, 1, 1)
    """
    array = array_of(a)
    one, other = (normalize_axis_index(axis, array.ndim) for axis in (axis1, axis2))
    order = list(range(array.ndim))
    order[one], order[other] = other, one
    return transposed(array, order)


def rechunk(x: Any, chunks: Any = "auto") -> Array:
    """The same array with another grid of blocks; nothing is moved.

    Parameters
    ----------
    x : Array or array-like
    chunks : optional
        In any of dask's spellings.

    Raises
    ------
    TypeError
        A function makes it block by block: its blocks are what that makes.

    Examples
    --------
    >>> rechunk([1, 2, 3, 4, 5], 2).chunks
    ((2, 2, 1),)
    """
    found: Array = array_of(x).rechunk(chunks)
    return found


def _in_order(order: str) -> None:
    if order != "C":
        raise NotImplementedError(
            f"order={order!r}: elements are taken in 'C' order; reshape(x.T, shape[::-1]).T takes "
            "them in 'F' order"
        )
