"""Parts of arrays by any key, and assignments to them, as dask has them; counts no mask itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...operations import assigning, indexing, selecting
from ...operations.picking import Index, Line
from .given import Given, Translator, filled, refuse

__all__ = ["CHOOSING", "masked", "nonzero_axis", "picked"]


def _slice(line: Line) -> slice:
    if line.count < 0:
        return slice(None)
    if not line.count:
        return slice(0, 0)
    stop = line.start + line.step * (line.count - 1) + (1 if line.step > 0 else -1)
    return slice(line.start, None if stop < 0 else stop, line.step)


def _key(picks: Sequence[Any], ints: int, ndim: int) -> list[Any]:
    """Slices and ints for every axis; the axes of arrays of positions are left whole."""
    key: list[Any] = [slice(None)] * ndim
    for number, pick in enumerate(picks):
        if isinstance(pick, Line):
            shown = number < len(picks) - ints
            key[pick.axis] = _slice(pick) if shown else pick.start
    return key


def picked(da: Any, x: Any, index: Index) -> Any:
    """An index of any kind: slices first, then positions axis by axis, then points together."""
    key = _key(index.picks, index.ints, x.ndim)
    left = [axis for axis, part in enumerate(key) if not isinstance(part, int)]
    x = x[tuple(key)]
    shown = index.picks[: len(index.picks) - index.ints]
    joint = [pick for pick in shown if not isinstance(pick, Line) and len(pick.axes) > 1]
    for pick in shown:
        if not isinstance(pick, Line) and len(pick.axes) == 1:
            at = np.ravel(pick.arrays[0].value)
            x = da.take(x, at, axis=left.index(pick.axes[0]))
    if len(joint) > 1:
        refuse("getitem", "several groups of points in one key have no dask name")
    for pick in joint:
        shape = pick.extents(())
        points = [np.broadcast_to(one.value, shape).ravel() for one in pick.arrays]
        where: list[Any] = [slice(None)] * x.ndim
        for axis, at in zip(pick.axes, points, strict=True):
            where[left.index(axis)] = at
        x = x.vindex[tuple(where)]
        left = [pick.axes[0], *(axis for axis in left if axis not in pick.axes)]
    order = [left.index(pick.axes[0]) for pick in shown]
    if order != list(range(x.ndim)):
        x = x.transpose(order)
    sizes: list[int] = []
    for pick, own in zip(shown, x.shape, strict=True):
        sizes.extend((own,) if isinstance(pick, Line) else pick.extents(()))
    if len(sizes) != x.ndim:
        x = x.reshape(sizes)
    if not index.fresh:
        return x
    ndim = len(index.fresh) + x.ndim
    return x[tuple(None if axis in index.fresh else slice(None) for axis in range(ndim))]


def _index(given: Given) -> Any:
    return picked(given.da, given.x, given.operation)


def masked(x: Any, mask: Any, axis: int) -> Any:
    """The elements of x where a mask of some of its axes, from `axis` on, is true."""
    if mask.dtype != bool:
        mask = mask.astype(bool)
    if mask.ndim == x.ndim:
        if x.ndim > 1:
            # Of extents that it does not know dask would give the blocks one after the other.
            x, mask = filled(x), filled(mask)
        return x[mask]
    if mask.ndim > 1:
        # dask knows masks of all axes, or of one.
        x, mask = filled(x), filled(mask)
        stop = axis + mask.ndim
        x = x.reshape((*x.shape[:axis], math.prod(mask.shape), *x.shape[stop:]))
        mask = mask.ravel()
    return x[(slice(None),) * axis + (mask,)]


def nonzero_axis(da: Any, mask: Any, axis: int) -> Any:
    """Positions along one axis of what is not zero."""
    return da.nonzero(mask)[axis].astype(np.int64)


def _select(given: Given) -> Any:
    x, mask = given.args
    return masked(x, mask, given.operation.axis)


def _nonzero(given: Given) -> Any:
    return nonzero_axis(given.da, given.x, given.operation.axis)


def _run_counts(given: Given) -> Any:
    refuse("count_nonzero", "counts of runs of a mask are a step of oocarray's own")


def _assign(given: Given) -> Any:
    x, value = given.args
    index = given.operation.index
    key = _key(index.picks, index.ints, x.ndim)
    own = tuple(pick.count for pick in index.picks[: len(index.picks) - index.ints])
    if 0 in own:
        return x
    return _written(given, x, tuple(key), _fitted(given, value, own, index.fresh))


def _fitted(given: Given, value: Any, own: tuple[int, ...], fresh: tuple[int, ...]) -> Any:
    """The value without axes that the key alone has, of the dtype of what is assigned to."""
    full = list(own)
    for axis in fresh:
        full.insert(axis, 1)
    if value.ndim > len(full):
        value = value.reshape(value.shape[value.ndim - len(full) :])
    lead = len(full) - value.ndim
    gone = [axis - lead for axis in fresh if axis >= lead]
    if gone:
        value = given.da.squeeze(value, axis=tuple(gone))
    return value.astype(given.dtype)


def _written(given: Given, x: Any, key: Any, value: Any) -> Any:
    made = x.copy()
    made[key] = value
    return made


def _assign_outer(given: Given) -> Any:
    x, value = given.args
    op = given.operation
    at = op.positions.value
    if not at.size:
        return x
    value = value.astype(given.dtype)
    if value.ndim > x.ndim:
        value = value.reshape(value.shape[value.ndim - x.ndim :])
    # Of positions that come twice, the last one counts; dask does not say which.
    _, last = np.unique(at[::-1], return_index=True)
    last = len(at) - 1 - last
    along = value.ndim - x.ndim + op.axis
    if along >= 0 and value.shape[along] > 1:
        value = given.da.take(value, last, axis=along)
    return _written(given, x, (slice(None),) * op.axis + (at[last],), value)


CHOOSING: dict[type, Translator] = {
    indexing.BasicIndex: _index,
    indexing.PointIndex: _index,
    indexing.OuterIndex: _index,
    selecting.Select: _select,
    selecting.Nonzero: _nonzero,
    selecting.RunCounts: _run_counts,
    assigning.Assign: _assign,
    assigning.AssignOuter: _assign_outer,
}
