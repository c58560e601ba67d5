"""What operations of one argument have in common, whatever they do with it; it makes none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..grid import Chunks, Region
from .base import Arguments, Block, Operation, Shape, extents

__all__ = ["FEW", "GAP", "Single", "Through", "between", "pick", "room", "within"]

# A pull costs about as much as copying some thousand elements: of many short ranges with small
# gaps, the gaps are pulled too.
FEW, GAP = 16, 64


@dataclass(frozen=True)
class Through:
    """The reach of an operation on one argument, which knows it by itself."""

    operation: Single
    shape: Shape

    def regions(self, region: Region) -> list[Region]:
        return self.operation.needs(self.shape, region) if all(extents(region)) else []


class Single(Operation):
    """An operation of one argument."""

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        return tuple(shapes[0])

    def reach(self, k: int, shapes: Sequence[Shape]) -> Through | None:
        return Through(self, tuple(shapes[k]))

    def needs(self, shape: Shape, region: Region) -> list[Region]:
        """Regions of an argument of this shape that a region, not empty, is made of."""
        raise NotImplementedError(type(self).__name__)

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        return None if chunks[0] is None else self.cuts(chunks[0], tuple(shapes[0]))

    def cuts(self, chunks: Chunks, shape: Shape) -> Chunks | None:
        """Blocks of the result for an argument that has these."""
        return chunks

    def _known(self, shape: Shape, axes: Iterable[int]) -> None:
        for axis in axes:
            if not -1 < axis < len(shape):
                raise np.exceptions.AxisError(axis, len(shape))
            if math.isnan(shape[axis]):
                raise ValueError(
                    f"{self.name} needs the extent of axis {axis}, which is not known; call "
                    "compute_chunk_sizes() first"
                )


def pick(values: Sequence[Any], axes: Iterable[int]) -> tuple[Any, ...]:
    return tuple(values[axis] for axis in axes)


def within(region: Region, box: Region) -> Region:
    """A region as it is counted from the beginning of another."""
    return tuple(
        slice(part.start - one.start, part.stop - one.start)
        for part, one in zip(region, box, strict=True)
    )


def room(region: Region, args: Arguments, out: Block | None) -> Block:
    return out if out is not None else np.empty(extents(region), args.dtype)


def between(edges: Iterable[int], extent: int) -> tuple[int, ...]:
    """Pieces of an axis that is cut at `edges`."""
    inside = sorted({0, extent, *(edge for edge in edges if 0 < edge < extent)})
    return tuple(b - a for a, b in pairwise(inside)) or (0,)
