"""Finds the items over which several reductions of one stored array share a pass; pure geometry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

from ..grid import Grid

__all__ = ["LARGEST_ITEM", "common_cuts", "shared_passes"]

LARGEST_ITEM = 64 << 20
"""Bytes of an item above which two passes are better than one."""


def common_cuts(first: Grid, second: Grid) -> Grid:
    """Return the finest grid whose blocks are unions of blocks of both.

    Examples
    --------
    >>> common_cuts(Grid([(4, 4, 4)]), Grid([(2, 6, 2, 2)])).chunks
    ((8, 4),)
    """
    chunks = []
    for mine, other in zip(first.chunks, second.chunks, strict=True):
        edges = sorted({0, *accumulate(mine)} & {0, *accumulate(other)})
        sizes = tuple(stop - start for start, stop in pairwise(edges))
        chunks.append(sizes or (0,))
    return Grid(chunks)


def shared_passes(leaves: Sequence[Grid], itemsize: int) -> list[tuple[Grid, list[int]]]:
    """Group the leaf grids of one array's reductions, so that each group can be one pass.

    Returns
    -------
    list of (Grid, list of int)
        Per pass: unions of the leaves of all its members, and the members by number.

    Examples
    --------
    >>> narrow, wide = Grid([(64,) * 4, (100,)]), Grid([(128, 128), (50, 50)])
    >>> [(grid.chunks, members) for grid, members in shared_passes([narrow, wide], 8)]
    [(((128, 128), (100,)), [0, 1])]
    """
    passes: list[tuple[Grid, list[int]]] = []
    for number, grid in enumerate(leaves):
        for place, (shared, members) in enumerate(passes):
            common = common_cuts(shared, grid)
            largest = max(map(_volume, (shared, grid))) * itemsize
            if _volume(common) * itemsize <= max(LARGEST_ITEM, largest):
                passes[place] = common, [*members, number]
                break
        else:
            passes.append((grid, [number]))
    return passes


def _volume(grid: Grid) -> int:
    return math.prod(grid.max_block_shape)
