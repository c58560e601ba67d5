"""Moves axes and elements by the layout of what is stored, else by an operation; copies nothing."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..core import Array
from ..lazy.expr import MemoryNode, StoredNode
from ..lifting import apply, known
from ..operations.base import Operation
from ..operations.shaping import BroadcastTo, Reshape, Transpose
from ..operations.turning import Flip
from ..storage.layout import Strided
from ..storage.strides import dense_strides
from ..storage.tiled import Tiled

__all__ = ["filled", "flat_strides", "flipped", "reshaped", "same", "spread", "transposed"]

Layout = Callable[[Strided], Strided]
Values = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


def same(array: Array) -> Array:
    """Another array of the same elements, as a view of all of it is."""
    return array._derived(array.node)


def transposed(array: Array, axes: Sequence[int | None]) -> Array:
    """Axes in another order, counted from 0; None is a new one, those left out have extent 1."""
    axes = tuple(axes)
    if axes == tuple(range(array.ndim)):
        return same(array)

    def layout(source: Strided) -> Strided:
        shape = tuple(1 if axis is None else source.shape[axis] for axis in axes)
        strides = tuple(0 if axis is None else source.strides[axis] for axis in axes)
        return replace(source, shape=shape, strides=strides)

    def values(block: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        kept = [axis for axis in axes if axis is not None]
        left = sorted({*range(block.ndim)} - {*kept})
        gone: tuple[Any, ...] = (..., *(0,) * len(left))
        new: tuple[Any, ...] = (..., *(None if axis is None else slice(None) for axis in axes))
        found: np.ndarray[Any, Any] = block.transpose(kept + left)[gone][new]
        return found

    return _viewed(array, Transpose(axes), layout, values)


def flipped(array: Array, axes: Sequence[int]) -> Array:
    """Axes, counted from 0, backwards."""
    if not axes:
        return same(array)
    back = slice(None, None, -1)
    key = tuple(back if axis in axes else slice(None) for axis in range(array.ndim))
    operation = Flip(tuple(sorted(axes)))
    return _viewed(array, operation, lambda source: source.index(key), lambda block: block[key])


def spread(array: Array, shape: tuple[int, ...]) -> Array:
    """The same elements again and again in a larger shape; of what is stored a read-only view."""
    if array.shape == shape:
        return Array(array.node)

    def layout(source: Strided) -> Strided:
        lead = len(shape) - source.ndim
        own = zip(source.shape, source.strides, shape[lead:], strict=True)
        strides = tuple(step if extent == wide else 0 for extent, step, wide in own)
        return replace(source, shape=shape, strides=(0,) * lead + strides)

    found = _viewed(array, BroadcastTo(shape), layout, lambda x: np.broadcast_to(x, shape))
    return Array(found.node)


def reshaped(array: Array, shape: tuple[int, ...], copy: bool | None = None) -> Array:
    """The same elements, in C order, in another shape of known extents.

    Raises
    ------
    ValueError
        The sizes differ; `copy` is False and the layout takes a copy.
    """
    if array.shape == shape and not copy:
        return same(array)
    operation = Reshape(shape)
    node = array.node
    if isinstance(node, (StoredNode, MemoryNode)):
        source: Any = node.source if isinstance(node, StoredNode) else node.array
        if isinstance(source, Tiled):
            if copy is False:
                raise ValueError("an array in pieces is reshaped only by a copy; copy=False")
            return apply(operation, array)
        _ = operation.shape([known(array, "reshape")])
        strides = flat_strides(source.shape, source.strides, shape, source.itemsize)
        if strides is not None and not copy:
            return _viewed(
                array,
                operation,
                lambda one: replace(one, shape=shape, strides=strides),
                lambda block: block.reshape(shape),
            )
        if copy is False:
            raise ValueError(f"shape {array.shape} becomes {shape} only by a copy; copy=False")
    return apply(operation, array)


def filled(shape: tuple[int, ...], wanted: Any) -> tuple[int, ...]:
    """The shape to bring another one to, with a number in place of -1.

    Examples
    --------
    >>> filled((4, 6), (2, -1)), filled((4, 6), -1)
    ((2, 12), (24,))
    """
    target = tuple(map(operator.index, wanted if np.iterable(wanted) else (wanted,)))
    if -1 not in target:
        return target
    size, rest = math.prod(shape), math.prod(extent for extent in target if extent != -1)
    if target.count(-1) > 1:
        raise ValueError("can only specify one unknown dimension")
    if rest <= 0 or size % rest:
        raise ValueError(f"cannot reshape array of size {size} into shape {target}")
    return tuple(size // rest if extent == -1 else extent for extent in target)


def flat_strides(
    shape: Sequence[int], strides: Sequence[int], target: Sequence[int], itemsize: int
) -> tuple[int, ...] | None:
    """Strides of the same elements in another shape of the same size; None: it takes a copy.

    Examples
    --------
    >>> flat_strides((4, 6), (48, 8), (2, 2, 3, 2), 8), flat_strides((4, 6), (96, 8), (24,), 8)
    ((96, 48, 16, 8), None)
    """
    if 0 in shape:
        return dense_strides(target, itemsize, "C")
    mine = [(n, step) for n, step in zip(shape, strides, strict=True) if n != 1]
    found, axis = [0] * len(target), len(target) - 1
    while mine:
        extent, unit = mine.pop()
        step, size = unit, 1
        while size != extent:
            if size < extent and extent % size == 0 and axis >= 0:
                found[axis] = step
                step, size, axis = step * target[axis], size * target[axis], axis - 1
                continue
            if not mine or mine[-1][1] != extent * unit:
                return None
            extent *= mine.pop()[0]
    return tuple(found)


def _viewed(array: Array, operation: Operation, layout: Layout, values: Values) -> Array:
    """A view of what is in a file or in memory, with the blocks that were set; else an operation.

    Of a view that is written through the array must be writable.
    """
    node = array.node
    if not isinstance(node, (StoredNode, MemoryNode)):
        return apply(operation, array)
    _ = operation.shape([node.shape])  # refuses what does not fit
    given = node.set_chunks
    chunks = None if given is None else operation.chunks([given], [node.shape])
    if isinstance(node, MemoryNode):
        return array._derived(MemoryNode(np.asarray(values(node.array)), chunks))
    if isinstance(node.source, Tiled):
        turned = _turned(node.source, operation, layout)
        if turned is None:
            return apply(operation, array)
        return array._derived(replace(node, source=turned, set_chunks=chunks))
    return array._derived(replace(node, source=layout(node.source), set_chunks=chunks))


def _turned(source: Tiled, operation: Operation, layout: Callable[[Any], Any]) -> Tiled | None:
    """The view of an array in pieces, if there is one: axes in another order, or backwards."""
    if isinstance(operation, Transpose):
        axes = [axis for axis in operation.axes if axis is not None]
        return (
            source.transpose(tuple(axes))
            if sorted(axes) == list(range(source.ndim)) and len(axes) == len(operation.axes)
            else None
        )
    return layout(source) if isinstance(operation, Flip) else None
