"""Parts of arrays by ints, slices and arrays of positions; takes no index that is lazy."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from .base import Block, Shape
from .picking import Index, Line, Pick, Points
from .positions import Indices

__all__ = ["BasicIndex", "OuterIndex", "PointIndex", "basic_index", "outer_index", "point_index"]
__all__ += ["spelled", "vindex_key"]


class BasicIndex(Index):
    """NumPy's index of ints, slices, None and Ellipsis; see `basic_index`."""

    views = True


class PointIndex(Index):
    """NumPy's index with arrays of positions, or dask's; see `point_index`, `vindex_key`."""


class OuterIndex(Index):
    """An index with an array of positions for each of some axes; see `outer_index`."""


Kind = TypeVar("Kind", bound=Index)


def basic_index(key: Any, shape: Shape) -> BasicIndex:
    """Spell out a key of ints, slices, None and Ellipsis for arrays of `shape`.

    Examples
    --------
    >>> basic_index((None, slice(None, None, -2), 1), (5, 4)).shape([(5, 4)])
    (1, 3)
    """
    parts = spelled(key, shape)
    if any(isinstance(part, np.ndarray) for part in parts):
        raise IndexError("arrays of positions are no basic index")
    return _built(BasicIndex, parts, "apart")


def point_index(key: Any, shape: Shape) -> PointIndex:
    """Spell out a key with arrays, which are broadcast and taken together as NumPy does.

    Examples
    --------
    >>> point_index(([0, 1], slice(None), [0, 1]), (5, 4, 3)).shape([(5, 4, 3)])
    (2, 4)
    """
    return _built(PointIndex, spelled(key, shape), "together")


def vindex_key(key: Any, shape: Shape) -> PointIndex:
    """Spell out a key of dask's ``vindex``: the points' axes come first; slices are full.

    Examples
    --------
    >>> vindex_key((slice(None), [0, 1, 1]), (5, 4)).shape([(5, 4)])
    (3, 5)
    """
    given = key if isinstance(key, tuple) else (key,)
    if any(part is None or (isinstance(part, slice) and part != slice(None)) for part in given):
        raise IndexError(f"vindex takes arrays, ints, ':' and '...' only, not {key!r}")
    parts = spelled(key, shape)
    if all(isinstance(part, Line) for part in parts):
        raise IndexError("vindex needs an array or an int for at least one axis")
    return _built(PointIndex, parts, "first")


def outer_index(key: Any, shape: Shape) -> OuterIndex:
    """Spell out a key of zarr's ``oindex``: per axis an int, a slice, or an array of one axis.

    Examples
    --------
    >>> outer_index(([0, 2, 2], [True, False, True, False]), (5, 4)).shape([(5, 4)])
    (3, 2)
    """
    for part in key if isinstance(key, tuple) else (key,):
        if part is None or np.ndim(part) > 1:
            raise IndexError("oindex takes ints, slices and arrays of one axis")
    return _built(OuterIndex, spelled(key, shape, joint=False), "apart")


def _built(kind: type[Kind], parts: list[Any], arrays: str) -> Kind:
    """Order parts of a key as the result's axes; arrays are apart, together, or that and first."""
    axes = [sum(part is not None for part in parts[:at]) for at in range(len(parts))]
    joint = [at for at, part in enumerate(parts) if isinstance(part, (int, np.ndarray))]
    if arrays == "apart" or (arrays != "first" and all(isinstance(parts[at], int) for at in joint)):
        joint = []
    entries = [
        # An array alone is a pick of its own, an int one that has no axis.
        Points((axis,), (Indices(part),)) if isinstance(part, np.ndarray) else (axis, part)
        for at, (axis, part) in enumerate(zip(axes, parts, strict=True))
        if at not in joint
    ]
    if joint:
        together = joint[-1] - joint[0] < len(joint) and arrays != "first"
        points = Points(tuple(axes[at] for at in joint), tuple(Indices(parts[at]) for at in joint))
        entries.insert(joint[0] if together else 0, points)
    shown, ints, fresh, ndim = list[Pick](), list[Pick](), list[int](), 0
    for entry in entries:
        if isinstance(entry, Points):
            shown.append(entry)
            ndim += len(entry.extents(()))
            continue
        axis, part = entry
        if isinstance(part, int):
            ints.append(Line(axis, part, 1, 1))
            continue
        if part is None:
            fresh.append(ndim)
        else:
            shown.append(part)
        ndim += 1
    return kind((*shown, *ints), len(ints), tuple(fresh))


def spelled(key: Any, shape: Shape, joint: bool = True) -> list[Any]:
    """Parts of a key for every axis: None, lines, ints and arrays counted from 0; no masks."""
    parts = [_plain(part) for part in (key if isinstance(key, tuple) else (key,))]
    at = [place for place, part in enumerate(parts) if part is Ellipsis]
    if len(at) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    used = sum(_consumed(part) for part in parts)
    if used > len(shape):
        raise IndexError(
            f"too many indices for array: array is {len(shape)}-dimensional, "
            f"but {used} were indexed"
        )
    place = at[0] if at else len(parts)
    parts[place : place + 1] = [slice(None)] * (len(shape) - used)
    found: list[Any] = []
    axis = 0
    for part in parts:
        if part is None:
            found.append(None)
        elif isinstance(part, slice):
            found.append(_line(part, axis, shape[axis]))
        elif isinstance(part, np.ndarray) and part.dtype == bool:
            found.extend(_positions(part, axis, shape))
        else:
            found.append(_within(part, axis, shape[axis]))
        axis += _consumed(part)
    try:
        if joint:
            np.broadcast_shapes(*(part.shape for part in found if isinstance(part, np.ndarray)))
    except ValueError:
        named = " ".join(str(part.shape) for part in found if isinstance(part, np.ndarray))
        raise IndexError(
            f"shape mismatch: indexing arrays could not be broadcast together with shapes {named} "
        ) from None
    return found


def _consumed(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1


def _plain(part: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, slice):
        return part
    array = np.asarray(part)
    if array.size == 0 and not isinstance(part, np.ndarray):
        array = array.astype(np.intp)  # [] is an array of floats
    if array.dtype.kind not in "iub" or (array.dtype == bool and array.ndim == 0):
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or "
            "boolean arrays are valid indices"
        )
    return array if array.ndim else int(array)


def _line(part: slice, axis: int, extent: float) -> Line:
    if math.isnan(extent):
        if part != slice(None):
            raise IndexError(f"axis {axis} has an unknown length: it can only be taken whole")
        return Line(axis, 0, 1, -1)
    taken = range(*part.indices(int(extent)))
    # Where the step or the start do not matter, lines that do the same are equal.
    step = taken.step if len(taken) > 1 else 1
    return Line(axis, taken.start if taken else 0, step, len(taken))


def _positions(mask: Block, axis: int, shape: Shape) -> tuple[Block, ...]:
    for k, (size, extent) in enumerate(zip(mask.shape, shape[axis:], strict=False), axis):
        if size != extent:
            raise IndexError(
                f"boolean index did not match indexed array along axis {k}; size of axis is "
                f"{extent} but size of corresponding boolean axis is {size}"
            )
    return np.nonzero(mask)


def _within(part: Any, axis: int, extent: int) -> Any:
    """Count from 0, or refuse."""
    array = np.asarray(part)
    # Compared as they are: an unsigned one may be too large for int64.
    bad = array[~((array >= -extent) & (array < extent))]
    if bad.size:
        raise IndexError(f"index {bad[0]} is out of bounds for axis {axis} with size {extent}")
    if isinstance(part, int):
        return part % extent
    array = array.astype(np.int64)
    return np.where(array < 0, array + extent, array)
