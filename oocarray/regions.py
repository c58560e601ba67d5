"""How an item's coordinates become a region of what it reads; arithmetic only, no I/O."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Any

from .grid import Coords, Grid, Region
from .operations.base import Reach
from .program import ALL
from .walks import hit, hull

__all__ = ["Broadcast", "Gather", "Halo", "How", "Same", "Through", "Via", "Whole", "boxed"]


_MOST_REGIONS = 1024
"""More regions are taken as the one that holds them all."""


@dataclass(frozen=True, slots=True)
class Same:
    """The item's own region; the source has the shape of the stage's grid."""

    def region(self, grid: Grid, coords: Coords, shape: tuple[int, ...]) -> Region:
        return grid.region(coords)


@dataclass(frozen=True, slots=True)
class Broadcast:
    """The item's region on the source's axes, the last ones; 0:1 where those have one element."""

    def region(self, grid: Grid, coords: Coords, shape: tuple[int, ...]) -> Region:
        own = grid.region(coords)[grid.ndim - len(shape) :]
        return tuple(
            slice(0, 1) if size == 1 else part for size, part in zip(shape, own, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Halo:
    """The item's region and `depth` neighbours before and after it on each axis.

    `region` is cut off at the array's edge; what lies beyond comes from `boundary`,
    one of ``"none"``, ``"reflect"``, ``"periodic"``, ``"nearest"`` or a constant, per axis.
    Only ``"periodic"`` reads elsewhere for it: `pieces` lists all that is read.
    """

    depth: tuple[tuple[int, int], ...]
    boundary: tuple[Any, ...]

    def region(self, grid: Grid, coords: Coords, shape: tuple[int, ...]) -> Region:
        return tuple(
            slice(max(part.start - before, 0), min(part.stop + after, size))
            for part, (before, after), size in zip(
                grid.region(coords), self.depth, shape, strict=True
            )
        )

    def pieces(
        self, grid: Grid, coords: Coords, shape: tuple[int, ...]
    ) -> tuple[tuple[Region, Region], ...]:
        """What an item reads, and where in its padded block each piece belongs.

        What no piece covers is filled from the padded block itself, or with the constant.

        Examples
        --------
        >>> halo = Halo(((1, 2),), ("periodic",))
        >>> for (source,), (place,) in halo.pieces(Grid([(4, 4)]), (1,), (8,)):
        ...     print(source, "->", place)
        slice(3, 8, None) -> slice(0, 5, None)
        slice(0, 2, None) -> slice(5, 7, None)
        """
        axes = []
        for part, (before, after), size, boundary in zip(
            grid.region(coords), self.depth, shape, self.boundary, strict=True
        ):
            low, high = part.start - before, part.stop + after
            inside = slice(max(low, 0), min(high, size))
            if boundary == "none":
                low = inside.start
            found = [(inside, slice(inside.start - low, inside.stop - low))]
            if boundary == "periodic" and low < 0:
                found.insert(0, (slice(size + low, size), slice(0, -low)))
            if boundary == "periodic" and high > size:
                found.append((slice(0, high - size), slice(size - low, high - low)))
            axes.append(found)
        return tuple(
            (tuple(source for source, _ in combined), tuple(place for _, place in combined))
            for combined in itertools.product(*axes)
        )


@dataclass(frozen=True, slots=True)
class Gather:
    """A block of the source's own grid; `axes` says which item axis picks it on each of its axes.

    An entry of `axes` is an axis of the stage's grid, or `FIRST`, or `ALL`.
    """

    grid: Grid
    axes: tuple[int, ...]

    def region(self, grid: Grid, coords: Coords, shape: tuple[int, ...]) -> Region:
        picked = tuple(0 if axis < 0 else coords[axis] for axis in self.axes)
        own = self.grid.region(picked)
        return tuple(
            slice(0, size) if axis == ALL else part
            for axis, part, size in zip(self.axes, own, shape, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Whole:
    """All of the source, for every item."""

    def region(self, grid: Grid, coords: Coords, shape: tuple[int, ...]) -> Region:
        return tuple(slice(0, size) for size in shape)


@dataclass(frozen=True, slots=True)
class Through:
    """What operations need of the source to make a block.

    The block is found as by `Gather`; `steps` lead from there to the source.  Step 0 is the value
    whose block it is, each other one something that a step before it is made of; the last is
    the source.
    """

    start: Gather
    steps: tuple[tuple[tuple[int, Reach | None], ...], ...]
    """For each step: the numbers of later steps, and how a region leads to regions of those."""

    def region(self, grid: Grid, coords: Coords, shape: tuple[int, ...]) -> Region:
        """The smallest region that holds all that is needed."""
        return _joined(self.regions(grid, coords, coords, shape), shape)

    def regions(
        self, grid: Grid, first: Coords, last: Coords, shape: tuple[int, ...]
    ) -> list[Region]:
        """All that the items of a box need; few regions."""
        own = self.start.grid.shape
        begin = _hull(*(self.start.region(grid, coords, own) for coords in (first, last)))
        return self.lead(begin)

    def lead(self, region: Region) -> list[Region]:
        """Where a region of the value leads to.

        Examples
        --------
        >>> from .operations.elementwise import Spread
        >>> grid = Grid([(4, 4), (6,)])
        >>> row = Through(Gather(grid, (0, 1)), (((1, Spread((1, 6))),), ()))
        >>> row.lead((slice(4, 8), slice(0, 6)))
        [(slice(0, 1, None), slice(0, 6, None))]
        """
        asked: list[dict[tuple[tuple[int, int], ...], Region]] = [{} for _ in self.steps]
        asked[0][_key(region)] = region
        for number, parts in enumerate(self.steps):
            found = list(asked[number].values())
            if len(found) > _MOST_REGIONS:
                found = [_hull(*found)]
            for after, reach in parts:
                for part in found:
                    for leads in [part] if reach is None else reach.regions(part):
                        asked[after][_key(leads)] = leads
        last = list(asked[-1].values())
        return last if len(last) <= _MOST_REGIONS else [_hull(*last)]


@dataclass(frozen=True, slots=True)
class Via:
    """What the calls of a user's function need whose blocks operations need: `through`, `inner`."""

    through: Through | Via
    grid: Grid
    """Of the function's blocks."""
    inner: How
    """How one of those finds its part of the source."""

    def region(self, grid: Grid, coords: Coords, shape: tuple[int, ...]) -> Region:
        return _joined(self.regions(grid, coords, coords, shape), shape)

    def regions(
        self, grid: Grid, first: Coords, last: Coords, shape: tuple[int, ...]
    ) -> list[Region]:
        found = {}
        for region in self.through.regions(grid, first, last, self.grid.shape):
            places = hit(self.grid, region)
            if all(places):
                ends = (tuple(p[0] for p in places), tuple(p[-1] for p in places))
                for part in boxed(self.inner, self.grid, *ends, shape):
                    found[_key(part)] = part
        return list(found.values())


How = Same | Broadcast | Halo | Gather | Whole | Through | Via


def boxed(
    how: How, grid: Grid, first: Coords, last: Coords, shape: tuple[int, ...]
) -> list[Region]:
    """The regions that the items from `first` to `last`, the ends of a box, read together."""
    if isinstance(how, (Through, Via)):
        return how.regions(grid, first, last, shape)
    return [_hull(how.region(grid, first, shape), how.region(grid, last, shape))]


def _joined(regions: list[Region], shape: tuple[int, ...]) -> Region:
    return _hull(*regions) if regions else (slice(0, 0),) * len(shape)


def _hull(*regions: Region) -> Region:
    return functools.reduce(hull, regions)


def _key(region: Region) -> tuple[tuple[int, int], ...]:
    return tuple([(part.start, part.stop) for part in region])
