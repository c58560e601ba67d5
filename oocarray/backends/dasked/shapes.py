"""Views, joins, turns and bands as dask has them; selects nothing by what arrays hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...operations import banding, joining, shaping, turning
from .given import Given, Translator, typed

__all__ = ["SHAPES"]


def _transpose(given: Given) -> Any:
    axes, x = given.operation.axes, given.x
    kept = [axis for axis in axes if axis is not None]
    gone = tuple(axis for axis in range(x.ndim) if axis not in kept)
    if gone:
        x = given.da.squeeze(x, axis=gone)
    left = sorted(kept)
    if kept != left:
        x = given.da.transpose(x, [left.index(axis) for axis in kept])
    if len(kept) == len(axes):
        return x
    return x[tuple(None if axis is None else slice(None) for axis in axes)]


def _reshape(given: Given) -> Any:
    x, target = given.x, given.operation.target
    if 0 in x.shape:
        return given.da.zeros(given.node.shape, dtype=given.dtype)
    try:
        return x.reshape(target)
    except NotImplementedError:
        # dask merges axes, or splits them, but does not do both at once.
        return x.reshape(-1).reshape(target)


def _broadcast_to(given: Given) -> Any:
    x, target = given.x, given.operation.target
    lead = len(target) - x.ndim
    shape = (
        *target[:lead],
        *(1 if a == b else b for a, b in zip(x.shape, target[lead:], strict=True)),
    )
    fresh = given.chunks(shape)
    chunks = tuple(
        x.chunks[axis - lead] if axis >= lead and x.shape[axis - lead] == target[axis] else sizes
        for axis, sizes in enumerate(fresh)
    )
    return given.da.broadcast_to(x, target, chunks=chunks)


def _concatenate(given: Given) -> Any:
    parts = [typed(arg, given.dtype) for arg in given.args]
    return given.da.concatenate(parts, axis=given.operation.axis)


def _stack(given: Given) -> Any:
    return given.da.stack(
        [typed(arg, given.dtype) for arg in given.args], axis=given.operation.axis
    )


def _flip(given: Given) -> Any:
    return given.da.flip(given.x, given.operation.axes) if given.operation.axes else given.x


def _roll(given: Given) -> Any:
    op = given.operation
    return given.da.roll(given.x, op.shifts, op.axes) if op.axes else given.x


def _tile(given: Given) -> Any:
    x, reps = given.x, given.operation.reps
    if 0 in (*reps, *x.shape):
        return given.da.zeros(given.node.shape, dtype=given.dtype)
    return given.da.tile(x, reps)


_MOST_PADDED = {"reflect": -1, "symmetric": 0, "wrap": 0}
"""How much wider than an axis da.pad can make either side of it."""


def _pad(given: Given) -> Any:
    op = given.operation
    if not op.widths:
        return given.x
    if op.mode == "constant":
        return given.da.pad(given.x, op.widths, mode=op.mode, constant_values=op.constant.value)
    x, widths = given.x, list(op.widths)
    most = _MOST_PADDED.get(op.mode)
    for axis, pair in enumerate(op.widths):
        extent = x.shape[axis]
        if most is not None and max(pair) > extent + most:
            # da.pad copies the array's own elements once, however wide.
            x = given.da.take(x, np.pad(np.arange(extent), pair, mode=op.mode), axis=axis)
            widths[axis] = 0, 0
    return given.da.pad(x, tuple(widths), mode=op.mode)


def _repeat(given: Given) -> Any:
    op = given.operation
    if isinstance(op.repeats, int):
        return given.da.repeat(given.x, op.repeats, axis=op.axis)
    # da.repeat takes one number only.
    at = np.repeat(np.arange(len(op.repeats)), op.repeats)
    return given.da.take(given.x, at, axis=op.axis)


def _triangle(given: Given) -> Any:
    op = given.operation
    return (given.da.tril if op.lower else given.da.triu)(given.x, op.k)


def _diagonal(given: Given) -> Any:
    op = given.operation
    return given.da.diagonal(given.x, op.offset, op.axis1, op.axis2)


def _diag(given: Given) -> Any:
    return given.da.diag(given.x, given.operation.k)


def _diff(given: Given) -> Any:
    op, x = given.operation, given.x
    if x.dtype.kind != "b":
        return given.da.diff(x, op.n, axis=op.axis) if op.n else x
    # NumPy subtracts no booleans either: it tells where they differ.
    lead = (slice(None),) * (op.axis % x.ndim)
    for _ in range(op.n):
        x = x[(*lead, slice(1, None))] != x[(*lead, slice(None, -1))]
    return x


def _sliding(given: Given) -> Any:
    from dask.array.lib import stride_tricks

    op = given.operation
    view: Any = stride_tricks
    return view.sliding_window_view(given.x, op.window, axis=op.axis)


SHAPES: dict[type, Translator] = {
    shaping.Transpose: _transpose,
    shaping.Reshape: _reshape,
    shaping.BroadcastTo: _broadcast_to,
    joining.Concatenate: _concatenate,
    joining.Stack: _stack,
    turning.Flip: _flip,
    turning.Roll: _roll,
    turning.Tile: _tile,
    turning.Pad: _pad,
    banding.Repeat: _repeat,
    banding.Triangle: _triangle,
    banding.Diagonal: _diagonal,
    banding.Diag: _diag,
    banding.Diff: _diff,
    banding.Sliding: _sliding,
}
