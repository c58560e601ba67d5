"""Arrays with some elements replaced, as expressions; writes into no argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..grid import Region
from .base import Arguments, Block, Operation, Reach, Shape, extents
from .indexing import BasicIndex, spelled
from .picking import GAP, MOST, Line, Points, Run, row_size
from .positions import Indices, grouped

__all__ = ["Assign", "AssignOuter", "assign_outer"]


@dataclass(frozen=True)
class Assign(Operation):
    """Arguments (x, value): x with ``x[index] = value``.

    Examples
    --------
    >>> from oocarray.operations.indexing import basic_index
    >>> Assign(basic_index(slice(2, 4), (9,))).shape([(9,), ()])
    (9,)
    """

    index: BasicIndex

    name = "setitem"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        _fitting(tuple(shapes[1]), self.index.shape(shapes[:1]))
        return tuple(shapes[0])

    def reach(self, k: int, shapes: Sequence[Shape]) -> Reach | None:
        return _Assigned(self.index, tuple(shapes[k])) if k else _Kept(self.index)

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        lines = _touched(self.index, region)
        covered = _covers(lines, region)
        block = _own(region, args, out, fill=not covered)
        if lines is None:
            return block
        key: dict[int, Any] = {}
        for k, (line, (low, high)) in enumerate(lines):
            first = line.start + line.step * low - region[line.axis].start
            last = first + line.step * (high - low)
            # A stop of -1 would count from the end.
            own = slice(first, None if last < 0 else last, line.step)
            key[line.axis] = own if k < len(lines) - self.index.ints else first
        target = block[(*(key[axis] for axis in range(len(key))), ...)]
        value = args.pull(1, _value_region(self.index, lines, args.shapes[1]))
        target = np.expand_dims(target, self.index.fresh)
        target[...] = value.reshape(value.shape[max(value.ndim - target.ndim, 0) :])
        return block


@dataclass(frozen=True)
class AssignOuter(Operation):
    """Arguments (x, value): x with ``x[..., positions, ...] = value`` along one axis.

    Of positions that come twice, the last one counts; see `assign_outer`.
    """

    axis: int
    positions: Indices
    """Of one axis, not negative."""

    name = "setitem"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        own = list(shapes[0])
        own[self.axis] = self.positions.value.size
        _fitting(tuple(shapes[1]), tuple(own))
        return tuple(shapes[0])

    def reach(self, k: int, shapes: Sequence[Shape]) -> Reach | None:
        return _Placed(self, tuple(shapes[0]), tuple(shapes[1])) if k else None

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        block = _own(region, args, out, fill=True)
        shape, sources = args.shapes[1], self.last(region)
        if not len(sources):
            return block
        part = region[self.axis]
        for (where,), _, (taken,) in self.pieces(sources, args.shapes[0]):
            value = args.pull(1, _spread(shape, self.across(region, where)))
            value = value.reshape(value.shape[max(value.ndim - block.ndim, 0) :])
            along = value.ndim - block.ndim + self.axis
            if along >= 0 and shape[len(shape) - value.ndim + along] > 1:
                value = value.take(taken, along)
            at = self.positions.value[where][taken] - part.start
            block[(slice(None),) * self.axis + (at,)] = value
        return block

    def last(self, region: Region) -> Block:
        """Which positions count for a region, in their order."""
        given, part = self.positions.value, region[self.axis]
        found = np.flatnonzero((given >= part.start) & (given < part.stop))
        _, last = np.unique(given[found][::-1], return_index=True)
        return np.sort(found[len(found) - 1 - last])

    def pieces(self, sources: Block, shape: Shape) -> list[Run]:
        every = (*shape[: self.axis], self.positions.value.size, *shape[self.axis + 1 :])
        return Points((self.axis,), (Indices(sources),)).runs((slice(0, len(sources)),), every)

    def across(self, region: Region, along: slice) -> Region:
        return (*region[: self.axis], along, *region[self.axis + 1 :])


def assign_outer(axis: int, positions: Any, shape: Shape) -> AssignOuter:
    """Spell out an assignment along `axis` to positions (ints or bools) of arrays of `shape`.

    Examples
    --------
    >>> assign_outer(0, [-1, 2], (9,)).positions.value
    array([8, 2])
    """
    (found,) = spelled((positions,), shape[axis : axis + 1])
    return AssignOuter(axis, Indices(found))


@dataclass(frozen=True, slots=True)
class _Kept:
    """What of x an assignment leaves: all of a region that it does not cover."""

    index: BasicIndex

    def regions(self, region: Region) -> list[Region]:
        return [] if _covers(_touched(self.index, region), region) else [region]


@dataclass(frozen=True, slots=True)
class _Assigned:
    index: BasicIndex
    shape: Shape

    def regions(self, region: Region) -> list[Region]:
        lines = _touched(self.index, region)
        return [] if lines is None else [_value_region(self.index, lines, self.shape)]


@dataclass(frozen=True, slots=True)
class _Placed:
    operation: AssignOuter
    shape: Shape
    value: Shape

    def regions(self, region: Region) -> list[Region]:
        sources = self.operation.last(region)
        if not len(sources) or 0 in extents(region):
            return []
        axis, size = self.operation.axis, self.operation.positions.value.size
        near = GAP // max(row_size(self.shape, axis), 1)
        places = grouped([sources], [size], near, MOST)
        found = [_spread(self.value, self.operation.across(region, where)) for (where,) in places]
        # A value that is broadcast along the axis is the same for all places.
        return found[:1] if found[0] == found[-1] else found


Touched: TypeAlias = list[tuple[Line, tuple[int, int]]]


def _touched(index: BasicIndex, region: Region) -> Touched | None:
    """Which elements of each line are in a region; None: there is none."""
    found: Touched = []
    for line in index.picks:
        assert isinstance(line, Line)
        own = region[line.axis]
        edges = (own.start, own.stop - 1) if line.step > 0 else (own.stop - 1, own.start)
        low = max(-((line.start - edges[0]) // line.step), 0)
        high = min((edges[1] - line.start) // line.step + 1, line.count)
        if low >= high:
            return None
        found.append((line, (low, high)))
    return found


def _covers(lines: Touched | None, region: Region) -> bool:
    return lines is not None and all(
        high - low == region[line.axis].stop - region[line.axis].start
        for line, (low, high) in lines
    )


def _value_region(index: BasicIndex, lines: Touched, shape: Shape) -> Region:
    own = [slice(*ends) for _, ends in lines[: len(lines) - index.ints]]
    for axis in index.fresh:
        own.insert(axis, slice(0, 1))
    return _spread(shape, tuple(own))


def _spread(shape: Shape, region: Region) -> Region:
    """The part of a value that is broadcast; axes in front, of one element, are allowed."""
    own = (*(slice(0, 1),) * (len(shape) - len(region)), *region)[-len(shape) :] if shape else ()
    return tuple(slice(0, 1) if size == 1 else part for size, part in zip(shape, own, strict=True))


def _fitting(value: Shape, shape: Shape) -> None:
    while len(value) > len(shape) and value[0] == 1:
        value = value[1:]
    own = shape[len(shape) - len(value) :]
    if len(value) > len(shape) or any(a not in (1, b) for a, b in zip(value, own, strict=True)):
        raise ValueError(f"could not broadcast input array from shape {value} into shape {shape}")


def _own(region: Region, args: Arguments, out: Block | None, fill: bool) -> Block:
    """Return a copy of x to write into; of x's dtype, since the value is cast to that."""
    block = out if out is not None and out.dtype == args.dtype else None
    if block is None:
        block = np.empty(extents(region), args.dtype)
    if fill:
        block[...] = args.pull(0, region)
    return block
