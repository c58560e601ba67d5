"""Positions that are an argument themselves: a line of the other is needed for each; no index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..grid import Region
from .base import Arguments, Block, Operation, Reach, Shape, extents

__all__ = ["TakeAlong"]


@dataclass(frozen=True)
class TakeAlong(Operation):
    """Arguments (x, indices): NumPy's ``take_along_axis``; indices are lazy, too.

    Examples
    --------
    >>> TakeAlong(1).shape([(3, 9), (1, 2)])
    (3, 2)
    """

    axis: int
    """Not negative."""

    name = "take_along_axis"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        x, at = tuple(shapes[0]), tuple(shapes[1])
        others = [shape[: self.axis] + shape[self.axis + 1 :] for shape in (x, at)]
        if len(x) != len(at) or not 0 <= self.axis < len(x):
            raise ValueError(f"arrays of {len(x)} and {len(at)} axes, along axis {self.axis}")
        found = np.broadcast_shapes(*others)
        return (*found[: self.axis], at[self.axis], *found[self.axis :])

    def reach(self, k: int, shapes: Sequence[Shape]) -> Reach:
        return _Along(tuple(shapes[k]), self.axis, k == 0)

    def uncut(self, shapes: Sequence[Shape]) -> frozenset[int]:
        return frozenset({self.axis})

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        reached = [_Along(shape, self.axis, k == 0) for k, shape in enumerate(args.shapes)]
        (where,) = reached[1].regions(region)
        given, size = args.pull(1, where), args.shapes[0][self.axis]
        bad = given[~((given >= -size) & (given < size))]
        if bad.size:
            raise IndexError(
                f"index {bad[0]} is out of bounds for axis {self.axis} with size {size}"
            )
        at = given.astype(np.int64)
        at = np.where(at < 0, at + size, at)
        # Of the whole axis, only what is between the least and the largest is fetched.
        low = int(at.min())
        (own,) = reached[0].regions(region)
        hull = (*own[: self.axis], slice(low, int(at.max()) + 1), *own[self.axis + 1 :])
        return np.take_along_axis(args.pull(0, hull), at - low, self.axis)


@dataclass(frozen=True, slots=True)
class _Along:
    shape: Shape
    axis: int
    entire: bool
    """Whether all of the axis is needed."""

    def regions(self, region: Region) -> list[Region]:
        if 0 in extents(region):
            return []
        own = [
            slice(0, 1) if size == 1 else part
            for size, part in zip(self.shape, region, strict=True)
        ]
        own[self.axis] = slice(0, self.shape[self.axis]) if self.entire else region[self.axis]
        return [tuple(own)]
