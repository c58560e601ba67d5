"""How an item's coordinates become a region of what it reads; arithmetic only, no I/O."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from .grid import Coords, Grid, Region
from .program import ALL

__all__ = ["Broadcast", "Gather", "Halo", "How", "Same", "Whole"]


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


How = Same | Broadcast | Halo | Gather | Whole
