"""Products of picks from axes, fetched in few pieces; reads no key as users write it.

An index is a product of picks: each takes elements along one axis (`Line`), or points of some
axes together (`Points`).  What lies within `GAP` elements is fetched together, since skipping
it would save nothing; the rest piece by piece.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, TypeAlias

import numpy as np

from ..chunking import floor_power, refine
from ..grid import Chunks, Region
from .base import Arguments, Block, Operation, Shape, extents
from .positions import Indices, cell, cell_changes, grouped, in_cells

__all__ = ["GAP", "MOST", "PIECE", "Index", "Line", "Pick", "Points", "Run", "row_size"]

GAP = 1 << 13  # elements: 64 KiB of doubles, about what a device reads ahead
PIECE = 1 << 17  # elements fetched at a time where only some of them are kept
MOST = 1000  # regions of the argument for one of the result, before they are joined

# Where a run lies in the argument, where in the result, and which of its elements are taken.
Run: TypeAlias = tuple[Region, Any, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Line:
    """Elements ``start``, ``start + step``, ... along one axis.

    Examples
    --------
    >>> Line(0, 9, -2, 5).span(1, 3)
    slice(5, 8, None)
    """

    axis: int
    start: int
    step: int
    count: int
    """-1: the whole of an axis of unknown extent."""

    @property
    def axes(self) -> tuple[int, ...]:
        return (self.axis,)

    def extents(self, shape: Shape) -> Shape:
        return (self.count if self.count >= 0 else shape[self.axis],)

    def scattered(self, shape: Shape) -> bool:
        """Whether neighbours are too far apart to be fetched together."""
        return self.count > 1 and abs(self.step) * row_size(shape, self.axis) > GAP

    def span(self, low: int, high: int) -> slice:
        """Where elements `low` ... `high` - 1 lie."""
        ends = self.start + self.step * low, self.start + self.step * (high - 1)
        return slice(min(ends), max(ends) + 1)

    def reached(self, part: Region, shape: Shape, most: int) -> list[Region]:
        low, high = part[0].start, part[0].stop
        size = 1 if self.scattered(shape) else 0
        # Cuts at multiples of powers of two nest: a larger part reaches no less.
        while size and (high - 1) // size - low // size >= most:
            size *= 2
        return [(self.span(*piece),) for piece in _pieces(low, high, size)]

    def whole(self, part: Region, shape: Shape) -> Run:
        low, high = part[0].start, part[0].stop
        return (self.span(low, high),), slice(0, high - low), (slice(None, None, self.step),)

    def runs(self, part: Region, shape: Shape) -> list[Run]:
        low, high = part[0].start, part[0].stop
        size = 0
        if abs(self.step) > 1:
            apart = abs(self.step) * max(row_size(shape, self.axis), 1)
            size = 1 if self.scattered(shape) else floor_power(PIECE // apart)
        taken = (slice(None, None, self.step),)
        pieces = _pieces(low, high, size)
        return [((self.span(a, b),), slice(a - low, b - low), taken) for a, b in pieces]


@dataclass(frozen=True, slots=True)
class Points:
    """Positions along some axes together: arrays, not negative, that are broadcast.

    Examples
    --------
    >>> Points((0, 1), (Indices([[1], [2]]), Indices([0, 0, 5]))).extents((3, 6))
    (2, 3)
    """

    axes: tuple[int, ...]
    arrays: tuple[Indices, ...]

    def extents(self, shape: Shape) -> Shape:
        return np.broadcast_shapes(*(one.value.shape for one in self.arrays))

    def scattered(self, shape: Shape) -> bool:
        return math.prod(self.extents(shape)) > 1

    def reached(self, part: Region, shape: Shape, most: int) -> list[Region]:
        sizes = [shape[axis] for axis in self.axes]
        return grouped(self._at(part), sizes, GAP // max(row_size(shape, self.axes[-1]), 1), most)

    def whole(self, part: Region, shape: Shape) -> Run:
        coords = tuple(self._at(part))
        where = tuple(slice(0, shape[axis]) for axis in self.axes)
        return where, slice(0, len(coords[0])), coords

    def runs(self, part: Region, shape: Shape) -> list[Run]:
        row = max(row_size(shape, self.axes[-1]), 1)
        sizes = [shape[axis] for axis in self.axes]
        coords, order = in_cells(self._at(part), sizes, GAP // row)
        if len(coords) == 1:
            # Runs are cut where a piece ends: a longer one might not fit beside the result.
            far = np.diff(coords[0], prepend=coords[0][:1]) > floor_power(GAP // row)
            starts = np.flatnonzero(cell_changes(coords, [floor_power(PIECE // row)]) | far)
        else:
            starts = np.flatnonzero(cell_changes(coords, cell(sizes, GAP // row)))
        found: list[Run] = []
        for a, b in pairwise([*starts.tolist(), len(order)]):
            own = [one[a:b] for one in coords]
            where = [slice(int(one.min()), int(one.max()) + 1) for one in own]
            taken = tuple(one - piece.start for one, piece in zip(own, where, strict=True))
            found.append((tuple(where), order[a:b], taken))
        return found

    def _at(self, part: Region) -> list[Block]:
        shape = self.extents(())
        return [np.broadcast_to(one.value, shape)[part].ravel() for one in self.arrays]


Pick: TypeAlias = Line | Points


@dataclass(frozen=True)
class Index(Operation):
    """An index of any kind, made of picks."""

    picks: tuple[Pick, ...]
    """In the order of the result's axes; those of the ints come last."""
    ints: int
    """How many picks, at the end, have no axis in the result."""
    fresh: tuple[int, ...]
    """Axes of the result that are new."""

    name = "getitem"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        shown = self.picks[: len(self.picks) - self.ints]
        found = [size for pick in shown for size in pick.extents(tuple(shapes[0]))]
        for axis in self.fresh:
            found.insert(axis, 1)
        return tuple(found)

    def reach(self, k: int, shapes: Sequence[Shape]) -> _Picked:
        return _Picked(self, tuple(shapes[0]))

    def parts(self, region: Region) -> list[Region]:
        """What of a region of the result each pick has."""
        own = [part for axis, part in enumerate(region) if axis not in self.fresh]
        found = []
        for pick in self.picks[: len(self.picks) - self.ints]:
            ndim = len(pick.extents(())) if isinstance(pick, Points) else 1
            found.append(tuple(own[:ndim]))
            del own[:ndim]
        return [*found, *[(slice(0, 1),)] * self.ints]

    def source(self, pieces: Iterable[Region]) -> Region:
        """Put together what each pick has along its axes of the argument."""
        placed = {
            axis: own
            for pick, piece in zip(self.picks, pieces, strict=True)
            for axis, own in zip(pick.axes, piece, strict=True)
        }
        return tuple(placed[axis] for axis in range(len(placed)))

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        parts, shape = self.parts(region), args.shapes[0]
        if 0 in args.there:
            return self._viewed(parts, args)
        runs = [pick.runs(part, shape) for pick, part in zip(self.picks, parts, strict=True)]
        sizes = [size for part in parts for size in extents(part)]
        drop: Any = (..., *(0,) * self.ints)
        if all(len(found) == 1 and isinstance(found[0][1], slice) for found in runs):
            block = self._taken([found[0] for found in runs], args)
            return np.expand_dims(block[drop], self.fresh)
        if out is not None and len(sizes) == len(parts):
            result = out
            target = np.squeeze(out, self.fresh)
            target = target.reshape(*target.shape, *(1,) * self.ints)
        else:
            target = np.empty([math.prod(extents(part)) for part in parts], args.dtype)
            result = np.expand_dims(target.reshape(sizes)[drop], self.fresh)
        for chosen in product(*runs):
            places = [place for _, place, _ in chosen]
            if sum(not isinstance(place, slice) for place in places) > 1:
                every = zip(map(np.arange, target.shape), places, strict=True)
                places = list(np.ix_(*(numbers[place] for numbers, place in every)))
            target[tuple(places)] = self._taken(chosen, args)
        return result

    def _viewed(self, parts: Sequence[Region], args: Arguments) -> Block:
        """Take all at once from a view of the whole argument."""
        shape = args.shapes[0]
        whole = [pick.whole(part, shape) for pick, part in zip(self.picks, parts, strict=True)]
        block = self._taken(whole, args).reshape([n for part in parts for n in extents(part)])
        drop: Any = (..., *(0,) * self.ints)
        shown: Block = block[drop]
        return np.expand_dims(shown, self.fresh)

    def _taken(self, runs: Sequence[Run], args: Arguments) -> Block:
        """Fetch one piece and take from it, to one axis per pick."""
        block = args.pull(0, self.source(where for where, _, _ in runs))
        block = block.transpose([axis for pick in self.picks for axis in pick.axes])
        at = block.ndim
        for _, _, taken in reversed(runs):
            at -= len(taken)
            block = block[(slice(None),) * at + taken]
        return block

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        given, found = chunks[0], list[tuple[int, ...]]()
        if given is None:
            return None
        for pick in self.picks[: len(self.picks) - self.ints]:
            if isinstance(pick, Line):
                found.append(_hit(given[pick.axis], pick))
                continue
            # Points are in no block; theirs are as long as a block of the argument.
            own = pick.extents(())
            size = max(1, *(max(given[axis]) for axis in pick.axes))
            found.extend(refine(tuple((n,) for n in own), [size, *own[1:]][: len(own)]))
        for axis in self.fresh:
            found.insert(axis, (1,))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Picked:
    index: Index
    shape: Shape

    def regions(self, region: Region) -> list[Region]:
        if 0 in extents(region):
            return []
        picks = self.index.picks
        scattered = sum(pick.scattered(self.shape) for pick in picks)
        most = max(int(MOST ** (1 / max(scattered, 1))), 2)
        parts = zip(picks, self.index.parts(region), strict=True)
        found = [pick.reached(part, self.shape, most) for pick, part in parts]
        return [self.index.source(pieces) for pieces in product(*found)]


def row_size(shape: Shape, axis: int) -> int:
    return math.prod(shape[axis + 1 :])


def _pieces(low: int, high: int, size: int) -> list[tuple[int, int]]:
    """Cut at multiples of `size`; 0: nowhere."""
    cuts = range((low // size + 1) * size, high, size) if size else ()
    return list(pairwise([low, *cuts, high]))


def _hit(sizes: tuple[int, ...], line: Line) -> tuple[int, ...]:
    """How many elements of a line each block has, without the blocks that have none."""
    if line.count < 0:
        return sizes
    ends = np.cumsum(sizes)
    if line.step < 0:
        below = (line.start - ends[:-1]) // -line.step + 1
        below = np.r_[line.count, below][::-1]
    else:
        below = -((line.start - ends) // line.step)
    counts = np.diff(np.clip(below, 0, line.count), prepend=0)
    return tuple(counts[counts > 0].tolist()) or (0,)
