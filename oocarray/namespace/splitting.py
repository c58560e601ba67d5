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

# Runs that are joined; positions of more are kept one by one.
FEW = 256


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
    return tuple(first[n] for n in range(_extent(array, axis, "unstack()")))


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """Cut into parts, of which the last may be smaller, or before positions; lazy.

    Examples
    --------
    >>> [part.shape for part in array_split([1, 2, 3, 4, 5], 2)]
    [(3,), (2,)]
    """
    array = array_of(ary)
    axis = normalize_axis_index(axis, array.ndim)
    extent = _extent(array, axis, "array_split()")
    if np.ndim(indices_or_sections):
        edges = [0, *map(operator.index, indices_or_sections), extent]
    else:
        count = int(indices_or_sections)
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
        extent = _extent(array, normalize_axis_index(axis, array.ndim), "split()")
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
    at = _places(obj, _extent(array, axis, "insert()"), axis)
    if isinstance(values, Array):
        given = values.astype(array.dtype)
    else:
        given = array_of(np.asarray(values, array.dtype))
    rows = list(array.shape)
    rows[axis] = at.size
    if at.size == 1:
        # NumPy's rule for one position: it takes as many as there are.
        given = _padded(given, array.ndim)
        if np.ndim(obj) == 0 and not isinstance(obj, slice):
            given = moveaxis(given, 0, axis)
        rows[axis] = given.shape[axis]
        runs = [(int(at[0]), 0, rows[axis])]
    else:
        runs = _runs(at)
    given = broadcast_to(given, rows)
    parts: list[Array] = []
    before = (slice(None),) * axis
    last = 0
    for place, start, stop in runs:
        parts += [array[(*before, slice(last, place))], given[(*before, slice(start, stop))]]
        last = place
    return concatenate([*parts, array[(*before, slice(last, None))]], axis, dtype=array.dtype)  # type: ignore[no-any-return]


def _places(obj: Any, extent: int, axis: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Positions before which to insert, from 0 to the extent."""
    if isinstance(obj, slice):
        return np.arange(*obj.indices(extent))
    at = np.array(obj)
    if at.dtype == bool:
        if at.ndim != 1:
            raise ValueError("boolean array argument obj to insert must be one dimensional")
        at = np.flatnonzero(at)
    if at.ndim > 1:
        raise ValueError("index array argument obj to insert must be one dimensional or scalar")
    if not at.size and not isinstance(obj, np.ndarray):
        at = at.astype(np.intp)
    if at.dtype.kind not in "iu":
        kind = TypeError if at.size == 1 else IndexError
        raise kind(f"positions are integers, not {at.dtype}")
    at = np.atleast_1d(at).astype(np.intp)
    if at.size and (at.min() < -extent or at.max() > extent):
        raise IndexError(f"index {obj} is out of bounds for axis {axis} with size {extent}")
    return np.where(at < 0, at + extent, at)


def _runs(at: np.ndarray[Any, Any]) -> list[tuple[int, int, int]]:
    """By position: which values, from one to before another, go there."""
    found: list[tuple[int, int, int]] = []
    for number in np.argsort(at, kind="stable").tolist():
        place = int(at[number])
        if found and found[-1][0] == place and found[-1][2] == number:
            found[-1] = (place, found[-1][1], number + 1)
        else:
            found.append((place, number, number + 1))
    return found


def delete(arr: Any, obj: Any, axis: int | None = None) -> Array:
    """Leave out what is at some positions; lazy.

    Examples
    --------
    >>> delete([1, 2, 3], 1).compute()
    array([1, 3])
    """
    array, axis = _flat_if_none(arr, axis)
    runs = _left(obj, _extent(array, axis, "delete()"), axis)
    before = (slice(None),) * axis
    if len(runs) > FEW:
        at = np.concatenate([np.arange(start, stop) for start, stop in runs])
        return array[(*before, at)]
    parts = [array[(*before, slice(start, stop))] for start, stop in runs or [(0, 0)]]
    return concatenate(parts, axis, dtype=array.dtype)  # type: ignore[no-any-return]


def _left(obj: Any, extent: int, axis: int) -> list[tuple[int, int]]:
    """The runs of positions that are not deleted."""
    if isinstance(obj, slice):
        gone = range(*obj.indices(extent))
        gone = gone if gone.step > 0 else gone[::-1]
        if gone.step == 1 or len(gone) < 2:
            first, last = (gone[0], gone[-1] + 1) if gone else (extent, extent)
            return [run for run in ((0, first), (last, extent)) if run[0] < run[1]]
        at = np.asarray(gone)
    else:
        at = np.asarray(obj)
    if not at.size and not isinstance(obj, np.ndarray):
        at = at.astype(np.intp)
    if at.size == 1 and at.dtype.kind in "iu":
        place = int(at.reshape(()))
        if not -extent <= place < extent:
            raise IndexError(f"index {place} is out of bounds for axis {axis} with size {extent}")
        place %= extent
        return [run for run in ((0, place), (place + 1, extent)) if run[0] < run[1]]
    if at.dtype == bool and at.shape != (extent,):
        raise ValueError(
            "boolean array argument obj to delete must be one dimensional and match the axis "
            f"length of {extent}"
        )
    kept = np.ones(extent + 2, bool)
    kept[[0, -1]] = False
    kept[1:-1][at if at.dtype == bool else (at,)] = False
    edges = np.flatnonzero(kept[1:] != kept[:-1])
    return [(start, stop) for start, stop in edges.reshape(-1, 2).tolist()]


def _extent(array: Array, axis: int, what: str) -> int:
    """The extent of an axis, which `what` needs to be known."""
    extent = array.shape[axis]
    return extent if extent == extent else known(array, what)[axis]


def _flat_if_none(arr: Any, axis: int | None) -> tuple[Array, int]:
    array = array_of(arr)
    if axis is None:
        return ravel(array), 0
    return array, normalize_axis_index(axis, array.ndim)


def _padded(array: Array, ndim: int) -> Array:
    return expand_dims(array, tuple(range(ndim - array.ndim))) if array.ndim < ndim else array
