"""Functions that cut arrays along axes, put elements in and leave some out; lazy and virtual."""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core import Array
from ..lifting import array_of, known
from .joining import concatenate
from .manipulation import expand_dims, moveaxis, ravel
from .spreading import broadcast_to

__all__ = ["array_split", "delete", "dsplit", "hsplit", "insert", "split", "unstack", "vsplit"]


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Array, ...]:
    """Cut an array into those that `stack` would join; lazy.

    Examples
    --------
    >>> [part.compute().tolist() for part in unstack([[1, 2], [3, 4]])]
    [[1, 2], [3, 4]]
    """
    array = array_of(x)
    axis = normalize_axis_index(axis, array.ndim)
    first = moveaxis(array, axis, 0)
    return tuple(first[n] for n in range(known(array, "unstack()")[axis]))


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """Cut into parts, of which the last may be smaller, or before positions; lazy.

    Examples
    --------
    >>> [part.shape for part in array_split([1, 2, 3, 4, 5], 2)]
    [(3,), (2,)]
    """
    array = array_of(ary)
    axis = normalize_axis_index(axis, array.ndim)
    extent = known(array, "array_split()")[axis]
    if np.ndim(indices_or_sections):
        edges = [0, *map(operator.index, indices_or_sections), extent]
    else:
        count = operator.index(indices_or_sections)
        if count <= 0:
            raise ValueError("number sections must be larger than 0.")
        each, more = divmod(extent, count)
        sizes = [0] + more * [each + 1] + (count - more) * [each]
        edges = np.cumsum(sizes).tolist()
    before = (slice(None),) * axis
    return [array[(*before, slice(start, stop))] for start, stop in pairwise(edges)]


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """Cut into equal parts, or before positions; lazy.

    Raises
    ------
    ValueError
        The parts would not be equal.

    Examples
    --------
    >>> [part.compute().tolist() for part in split([1, 2, 3, 4], 2)]
    [[1, 2], [3, 4]]
    """
    array = array_of(ary)
    if not np.ndim(indices_or_sections):
        extent = known(array, "split()")[normalize_axis_index(axis, array.ndim)]
        if extent % indices_or_sections:
            raise ValueError("array split does not result in an equal division")
    return array_split(array, indices_or_sections, axis)


def _along(axis: int, least: int) -> Callable[[Any, Any], list[Array]]:
    def cut(ary: Any, indices_or_sections: Any) -> list[Array]:
        array = array_of(ary)
        if array.ndim < least:
            raise ValueError(f"only arrays of {least} or more dimensions are split so")
        return split(array, indices_or_sections, axis)

    return cut


def hsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    """Cut along axis 1, or the only one; lazy, see `split`.

    Examples
    --------
    >>> [part.shape for part in hsplit([[1, 2, 3, 4]], 2)]
    [(1, 2), (1, 2)]
    """
    return _along(1 if array_of(ary).ndim > 1 else 0, 1)(ary, indices_or_sections)


def vsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    """Cut along axis 0; lazy, see `split`.

    Examples
    --------
    >>> [part.shape for part in vsplit([[1], [2]], 2)]
    [(1, 1), (1, 1)]
    """
    return _along(0, 2)(ary, indices_or_sections)


def dsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    """Cut along axis 2; lazy, see `split`.

    Examples
    --------
    >>> [part.shape for part in dsplit([[[1, 2]]], 2)]
    [(1, 1, 1), (1, 1, 1)]
    """
    return _along(2, 3)(ary, indices_or_sections)


def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Array:
    """Put values before positions, which are those of the array as it is; lazy.

    Examples
    --------
    >>> insert([1, 2, 3], 1, 9).compute()
    array([1, 9, 2, 3])
    """
    array, axis = _flat_if_none(arr, axis)
    extent = known(array, "insert()")[axis]
    at = np.atleast_1d(np.arange(extent)[obj] if isinstance(obj, slice) else np.asarray(obj))
    at = np.where(at < 0, at + extent, at)
    if at.size and (at.min() < 0 or at.max() > extent):
        raise IndexError(f"index {obj} is out of bounds for axis {axis} with size {extent}")
    rows = list(array.shape)
    given = array_of(values).astype(array.dtype)
    if np.ndim(obj) == 0 and not isinstance(obj, slice):
        # NumPy's rule for one position: the values' first axis is the one that they go along.
        given = moveaxis(_padded(given, array.ndim), 0, axis) if given.ndim else given
        rows[axis] = given.shape[axis] if given.ndim else 1
        at = np.repeat(at, rows[axis])
    else:
        rows[axis] = at.size
    given = broadcast_to(given, rows)
    order = np.argsort(at, kind="stable")
    parts: list[Array] = []
    before = (slice(None),) * axis
    last = 0
    for number in order.tolist():
        place = int(at[number])
        parts += [array[(*before, slice(last, place))], given[(*before, slice(number, number + 1))]]
        last = place
    return concatenate([*parts, array[(*before, slice(last, None))]], axis)


def delete(arr: Any, obj: Any, axis: int | None = None) -> Array:
    """Leave out what is at some positions; lazy.

    Examples
    --------
    >>> delete([1, 2, 3], 1).compute()
    array([1, 3])
    """
    array, axis = _flat_if_none(arr, axis)
    kept = np.ones(known(array, "delete()")[axis], bool)
    kept[obj if isinstance(obj, slice) else np.asarray(obj)] = False
    return array[(*(slice(None),) * axis, np.flatnonzero(kept))]


def _flat_if_none(arr: Any, axis: int | None) -> tuple[Array, int]:
    array = array_of(arr)
    if axis is None:
        return ravel(array), 0
    return array, normalize_axis_index(axis, array.ndim)


def _padded(array: Array, ndim: int) -> Array:
    return expand_dims(array, tuple(range(ndim - array.ndim))) if array.ndim < ndim else array
