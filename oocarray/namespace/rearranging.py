"""Elements of one array in other places of it, or several times; changes none and sorts none."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..core import Array
from ..lifting import apply, array_of, known
from ..operations.banding import Repeat
from ..operations.turning import Roll, Tile
from .manipulation import ravel, transpose
from .viewing import flipped, reshaped, same

__all__ = ["flip", "fliplr", "flipud", "repeat", "roll", "rot90", "tile"]


def flip(m: Any, axis: int | Sequence[int] | None = None) -> Array:
    """Axes backwards; lazy.

    Parameters
    ----------
    m : Array or array-like
        The extents of these axes are known.
    axis : int or sequence of int, optional
        None: all.

    Returns
    -------
    Array
        Of the same shape; a view of what is stored.

    Raises
    ------
    AxisError, ValueError
        No such axis, one twice, or one whose extent is not known.

    Examples
    --------
    >>> flip([[1, 2], [3, 4]], axis=1).compute().tolist()
    [[2, 1], [4, 3]]
    """
    array = array_of(m)
    axes = range(array.ndim) if axis is None else normalize_axis_tuple(axis, array.ndim)
    return flipped(array, tuple(axes))


def fliplr(m: Any) -> Array:
    """Axis 1 backwards; lazy.

    Parameters
    ----------
    m : Array or array-like
        Of 2 axes or more.

    Returns
    -------
    Array
        Of the same shape; a view of what is stored.

    Raises
    ------
    ValueError
        Fewer axes.

    Examples
    --------
    >>> fliplr([[1, 2], [3, 4]]).compute().tolist()
    [[2, 1], [4, 3]]
    """
    array = array_of(m)
    if array.ndim < 2:
        raise ValueError("Input must be >= 2-d.")
    return flip(array, 1)


def flipud(m: Any) -> Array:
    """Axis 0 backwards; lazy.

    Parameters
    ----------
    m : Array or array-like
        Of 1 axis or more.

    Returns
    -------
    Array
        Of the same shape; a view of what is stored.

    Raises
    ------
    ValueError
        No axis.

    Examples
    --------
    >>> flipud([[1, 2], [3, 4]]).compute().tolist()
    [[3, 4], [1, 2]]
    """
    array = array_of(m)
    if array.ndim < 1:
        raise ValueError("Input must be >= 1-d.")
    return flip(array, 0)


def roll(a: Any, shift: Any, axis: int | Sequence[int] | None = None) -> Array:
    """Elements moved along axes, those at the end to the beginning; lazy.

    Parameters
    ----------
    a : Array or array-like
        Its extents are known.
    shift : int or sequence of int
        By how many places; negative ones the other way.
    axis : int or sequence of int, optional
        Broadcast with `shift`; None: as if flattened.

    Returns
    -------
    Array
        Of the same shape.

    Raises
    ------
    AxisError, ValueError
        No such axis, shifts and axes that do not fit, or an extent that is not known.

    Examples
    --------
    >>> roll([1, 2, 3, 4], 1).compute(), roll([[1, 2], [3, 4]], 1, axis=0).compute().tolist()
    (array([4, 1, 2, 3]), [[3, 4], [1, 2]])
    """
    array = array_of(a)
    if axis is None:
        shape = known(array, "roll")
        return reshaped(roll(ravel(array), shift, 0), shape)
    axes = normalize_axis_tuple(axis, array.ndim, allow_duplicate=True)
    pairs = np.broadcast(np.asarray(shift), axes)
    if pairs.ndim > 1:
        raise ValueError("'shift' and 'axis' should be scalars or 1D sequences")
    moves = [(operator.index(by), int(along)) for by, along in pairs]
    if not moves:
        return same(array)
    return apply(Roll(tuple(by for by, _ in moves), tuple(along for _, along in moves)), array)


def rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Array:
    """Turned by 90 degrees, `k` times, from the first of two axes towards the second; lazy.

    Parameters
    ----------
    m : Array or array-like
        Of 2 axes or more.
    k : int
    axes : pair of int

    Returns
    -------
    Array
        With the extents of both axes exchanged if `k` is odd; a view of what is stored.

    Raises
    ------
    AxisError, ValueError
        Not two different axes of `m`.

    Examples
    --------
    >>> rot90([[1, 2], [3, 4]]).compute().tolist()
    [[2, 4], [1, 3]]
    """
    array = array_of(m)
    if len(axes) != 2:
        raise ValueError("len(axes) must be 2.")
    one, other = normalize_axis_tuple(axes, array.ndim)
    k = operator.index(k) % 4
    if k == 0:
        return same(array)
    if k == 2:
        return flipped(array, (one, other))
    order = list(range(array.ndim))
    order[one], order[other] = other, one
    if k == 1:
        return transpose(flip(array, other), order)
    return flip(transpose(array, order), other)


def tile(A: Any, reps: int | Sequence[int]) -> Array:
    """The array side by side with itself; lazy.

    Parameters
    ----------
    A : Array or array-like
    reps : int or sequence of int
        How often along each axis, the last ones last.

    Returns
    -------
    Array
        With as many axes as the longer of ``A.shape`` and `reps`.

    Raises
    ------
    ValueError
        A negative number; an extent that is not known, of an axis that is repeated.

    Examples
    --------
    >>> tile([1, 2], 2).compute(), tile([1, 2], (2, 1)).shape
    (array([1, 2, 1, 2]), (2, 2))
    """
    given: Any = reps if np.iterable(reps) else (reps,)
    counts = tuple(map(operator.index, given))
    return apply(Tile(counts), A)


def repeat(a: Any, repeats: Any, axis: int | None = None) -> Array:
    """Each element several times after itself; lazy.

    Parameters
    ----------
    a : Array or array-like
    repeats : int or array-like of int
        How often; one number, or one for each element of the axis. An `Array` is computed now.
    axis : int, optional
        None: flattened.

    Returns
    -------
    Array

    Raises
    ------
    AxisError
        No such axis.
    TypeError
        `repeats` are no integers.
    ValueError
        Not as many of them as elements, negative ones, or an extent that is not known.

    Examples
    --------
    >>> repeat([[1, 2], [3, 4]], [1, 2], axis=0).compute().tolist()
    [[1, 2], [3, 4], [3, 4]]
    >>> repeat([1, 2], 2).compute()
    array([1, 1, 2, 2])
    """
    array = array_of(a)
    if axis is None:
        array, axis = ravel(array), 0
    axis = normalize_axis_index(axis, array.ndim)
    counts = np.asarray(repeats)
    if counts.dtype.kind not in "iub" and counts.size:
        raise TypeError(f"repeats are integers, not {counts.dtype}")
    if counts.ndim > 1:
        raise ValueError(f"repeats have one axis at most, not {counts.ndim}")
    many = int(counts.reshape(())) if counts.size == 1 else tuple(map(int, counts.tolist()))
    return apply(Repeat(many, axis), array)
