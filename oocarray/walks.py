"""Ranges of block numbers as positions and as boxes of the grid; arithmetic only, no I/O.

A task is a range of blocks.  What it reads and writes as a whole follows from a few boxes,
however many blocks it has; only the kernel is called block by block.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice, product

from .grid import Coords, Grid, Region

__all__ = ["boxes", "cut", "hit", "hull", "some", "walk"]


def walk(grid: Grid, first: int, count: int) -> Iterator[Coords]:
    """Positions of `count` blocks from number `first` on, in C order.

    Examples
    --------
    >>> list(walk(Grid(((1, 1), (1, 1, 1))), 2, 2))
    [(0, 2), (1, 0)]
    """
    if count <= 0:
        return
    at, last = grid.coords(first), grid.coords(first + count - 1)
    yield at
    counts, fastest = grid.numblocks, grid.ndim - 1
    while at != last:
        axis = fastest
        while at[axis] + 1 == counts[axis]:
            axis -= 1
        at = (*at[:axis], at[axis] + 1, *(0,) * (fastest - axis))
        yield at


def boxes(grid: Grid, first: int, count: int) -> Iterator[tuple[Coords, Coords]]:
    """Cut a range of block numbers into boxes, at most two per axis less one.

    Yields
    ------
    (tuple of int, tuple of int)
        First and last position of a box. Together they are the blocks from number `first` on,
        each once, in order.

    Examples
    --------
    >>> list(boxes(Grid(((1, 1, 1), (1, 1, 1))), 1, 7))
    [((0, 1), (0, 2)), ((1, 0), (1, 2)), ((2, 0), (2, 1))]
    """
    counts = grid.numblocks
    while count > 0:
        low = grid.coords(first)
        # The slowest axis along which whole slabs begin here and fit.
        axis, slab = grid.ndim - 1, 1
        while axis > 0 and low[axis] == 0 and slab * counts[axis] <= count:
            slab *= counts[axis]
            axis -= 1
        if grid.ndim == 0:
            yield low, low
            return
        slabs = min(count // slab, counts[axis] - low[axis])
        yield low, (*low[:axis], low[axis] + slabs - 1, *(n - 1 for n in counts[axis + 1 :]))
        first += slabs * slab
        count -= slabs * slab


def hull(first: Region, last: Region) -> Region:
    """The smallest region that holds two; of the ends of a box, all that lies between.

    Examples
    --------
    >>> hull((slice(0, 2), slice(4, 8)), (slice(6, 7), slice(4, 8)))
    (slice(0, 7, None), slice(4, 8, None))
    """
    return tuple(
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, last, strict=True)
    )


def hit(grid: Grid, region: Region) -> tuple[range, ...]:
    """Positions, along each axis, of the blocks that hold elements of a region.

    Examples
    --------
    >>> hit(Grid(((4, 4, 2),)), (slice(3, 8),))
    (range(0, 2),)
    """
    return tuple(
        range(bisect_right(starts, part.start) - 1, bisect_left(starts, part.stop))
        if part.stop > part.start
        else range(0)
        for starts, part in zip(grid._starts, region, strict=True)
    )


def cut(region: Region, elements: int, fastest: Sequence[int]) -> Iterator[Region]:
    """Cut a region in pieces of about so many elements, in runs along the fastest axes.

    Examples
    --------
    >>> list(cut((slice(2, 4), slice(0, 6)), 4, (1, 0)))[:2]
    [(slice(2, 3, None), slice(0, 4, None)), (slice(2, 3, None), slice(4, 6, None))]
    """
    sizes = [part.stop - part.start for part in region]
    room = max(elements, 1)
    for axis in fastest:
        sizes[axis] = max(min(sizes[axis], room), 1)
        room //= sizes[axis]
    return product(
        *(
            [slice(at, min(at + size, part.stop)) for at in range(part.start, part.stop, size)]
            for part, size in zip(region, sizes, strict=True)
        )
    )


def some(grid: Grid) -> list[Coords]:
    """A few blocks of a grid: its corners, its middle and those around it.

    What holds of them is taken to hold of all.

    Examples
    --------
    >>> some(Grid(((1,) * 5,)))
    [(0,), (1,), (2,), (3,), (4,)]
    """
    if not grid.size:
        return []
    axes = [sorted({0, min(1, n - 1), n // 2, max(n - 2, 0), n - 1}) for n in grid.numblocks]
    return list(islice(product(*axes), 256))
