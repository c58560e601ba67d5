"""How an array's shape is cut into blocks, and which block is where; never reads one.

A grid is a product of one cut per axis: block ``coords`` covers, along each axis, the piece
of that number.  Nothing here is proportional to the number of blocks: a grid of a million
blocks is two numbers per piece of each axis.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from operator import index
from typing import Any, Literal, NoReturn

import numpy as np

__all__ = ["Chunks", "Coords", "Grid", "Order", "Region", "fastest_first"]

Chunks = tuple[tuple[int, ...], ...]
Coords = tuple[int, ...]
Region = tuple[slice, ...]
Order = Literal["C", "F"]


class Grid:
    """A cut of a shape into blocks; immutable, hashable by content, compact to pickle.

    Parameters
    ----------
    chunks : sequence of sequences of int
        Extents of the pieces along each axis, in elements.  Pieces of extent 0 are allowed;
        an axis without any piece is not: an axis of length 0 is ``(0,)``.

    Attributes
    ----------
    chunks : tuple of tuple of int
    shape : tuple of int
        Sum of the pieces along each axis.
    numblocks : tuple of int
        Number of pieces along each axis.
    size : int
        Number of blocks.
    ndim : int
    max_block_shape : tuple of int
        Largest piece along each axis.

    Raises
    ------
    ValueError
        An axis has no piece, a negative one, or is longer than 2**63 - 1.
    TypeError
        An extent is not an integer.
    IndexError
        Of every method: the number or position given is not in the grid.

    Examples
    --------
    >>> grid = Grid(((2, 2, 1), (3, 3)))
    >>> grid.shape, grid.numblocks, grid.size
    ((5, 6), (3, 2), 6)
    >>> grid.coords(5), grid.region((2, 1))
    ((2, 1), (slice(4, 5, None), slice(3, 6, None)))
    """

    __slots__ = (
        "_hash",
        "_nested",
        "_starts",
        "_strides",
        "chunks",
        "max_block_shape",
        "ndim",
        "numblocks",
        "shape",
        "size",
    )

    chunks: Chunks
    shape: tuple[int, ...]
    numblocks: tuple[int, ...]
    size: int
    ndim: int
    max_block_shape: tuple[int, ...]
    _starts: tuple[array[int], ...]
    _strides: tuple[int, ...]
    _hash: int | None
    # The last grid that `inner` was asked about, with its axes that are cut as mine are.
    _nested: tuple[Grid, tuple[bool, ...]] | None

    def __init__(self, chunks: Iterable[Iterable[int]]) -> None:
        # Grids of one array share their tuples: a million blocks are eight megabytes.
        cuts = tuple(
            axis
            if type(axis) is tuple and set(map(type, axis)) <= {int}
            else tuple(map(index, axis))
            for axis in chunks
        )
        starts = []
        for axis, extents in enumerate(cuts):
            if not extents:
                raise ValueError(f"axis {axis} has no chunk; a length of 0 is written (0,)")
            if min(extents) < 0:
                raise ValueError(f"axis {axis} has a chunk of {min(extents)} elements")
            try:
                starts.append(array("q", accumulate(extents, initial=0)))
            except OverflowError:
                raise ValueError(
                    f"axis {axis} has {sum(extents)} elements, over 2**63 - 1"
                ) from None
        counts = tuple(map(len, cuts))
        put = super().__setattr__
        put("chunks", cuts)
        put("shape", tuple(axis[-1] for axis in starts))
        put("numblocks", counts)
        put("size", math.prod(counts))
        put("ndim", len(cuts))
        put("max_block_shape", tuple(map(max, cuts)))
        put("_starts", tuple(starts))
        put("_strides", tuple(math.prod(counts[axis + 1 :]) for axis in range(len(counts))))
        put("_hash", None)
        put("_nested", None)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Grid does not change: cannot set {name!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self is other or self.chunks == other.chunks

    def __hash__(self) -> int:
        found = self._hash
        if found is None:
            found = hash(self.chunks)
            super().__setattr__("_hash", found)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        runs = tuple(
            tuple((extent, sum(1 for _ in group)) for extent, group in groupby(axis))
            for axis in self.chunks
        )
        return _from_runs, (runs,)

    def __repr__(self) -> str:
        return (
            f"Grid(shape={self.shape}, numblocks={self.numblocks}, "
            f"max_block_shape={self.max_block_shape})"
        )

    def coords(self, number: int) -> Coords:
        """Position in the grid of block `number`, counted in C order.

        Examples
        --------
        >>> Grid(((1, 1), (1, 1, 1))).coords(4)
        (1, 1)
        """
        rest = index(number)
        if not 0 <= rest < self.size:
            raise IndexError(f"block {number} of a grid of {self.size} blocks")
        found = []
        for stride in self._strides:
            place = rest // stride
            rest -= place * stride
            found.append(place)
        return tuple(found)

    def number(self, coords: Sequence[int]) -> int:
        """Number, in C order, of the block at `coords`; the inverse of `coords`.

        Examples
        --------
        >>> Grid(((1, 1), (1, 1, 1))).number((1, 1))
        4
        """
        self.region(coords)
        return sum(
            index(place) * stride for place, stride in zip(coords, self._strides, strict=True)
        )

    def region(self, coords: Sequence[int]) -> Region:
        """Where the block at `coords` lies in the array: one slice of plain ints per axis.

        Examples
        --------
        >>> Grid(((4, 4, 2),)).region((2,))
        (slice(8, 10, None),)
        """
        # The inmost call of every walk over a grid: checked as it goes.
        if len(coords) == self.ndim:
            found = []
            try:
                for starts, place in zip(self._starts, coords):  # noqa: B905
                    if place < 0:
                        break
                    found.append(slice(starts[place], starts[place + 1]))
                else:
                    return tuple(found)
            except IndexError:
                pass
        raise IndexError(f"no block {tuple(coords)} in a grid of {self.numblocks} blocks")

    def block_shape(self, coords: Sequence[int]) -> tuple[int, ...]:
        """Extents of the block at `coords`, in elements.

        Examples
        --------
        >>> Grid(((4, 4, 2), (3,))).block_shape((2, 0))
        (2, 3)
        """
        return tuple(part.stop - part.start for part in self.region(coords))

    def refines(self, other: Grid) -> bool:
        """Whether every block of `other` is a union of blocks of this grid.

        Examples
        --------
        >>> fine, coarse = Grid(((2, 2, 2),)), Grid(((4, 2),))
        >>> fine.refines(coarse), coarse.refines(fine), Grid(((3, 3),)).refines(coarse)
        (True, False, False)
        """
        if self is other:
            return True
        return self.shape == other.shape and all(
            mine == theirs or _has_all(self._starts[axis], other._starts[axis])
            for axis, (mine, theirs) in enumerate(zip(self.chunks, other.chunks, strict=True))
        )

    def inner(self, other: Grid, coords: Sequence[int]) -> tuple[range, ...]:
        """Which of this grid's blocks make up the block of `other` at `coords`.

        Over all blocks of `other`, each block of this grid comes exactly once, empty ones too.

        Parameters
        ----------
        other : Grid
            A grid that this one refines.
        coords : tuple of int
            A position in `other`.

        Returns
        -------
        tuple of range
            Positions in this grid along each axis.

        Raises
        ------
        ValueError
            This grid does not refine `other`.

        Examples
        --------
        >>> Grid(((2, 2, 2), (3, 3))).inner(Grid(((4, 2), (3, 3))), (0, 1))
        (range(0, 2), range(1, 2))
        """
        whole = other.region(coords)
        nested = self._nested
        if nested is None or nested[0] is not other:
            if not self.refines(other):
                raise ValueError(f"{self} has not all the cuts of {other}")
            alike = tuple(a == b for a, b in zip(self.chunks, other.chunks, strict=True))
            nested = (other, alike)
            super().__setattr__("_nested", nested)
        ranges = []
        for axis, place in enumerate(map(index, coords)):
            if nested[1][axis]:
                ranges.append(range(place, place + 1))
                continue
            # An empty piece of mine belongs to the first of theirs that holds its start; what
            # lies at the very end, to the last.
            starts, count = self._starts[axis], self.numblocks[axis]
            last = place + 1 == other.numblocks[axis]
            low = bisect_left(starts, whole[axis].start, 0, count)
            high = count if last else bisect_left(starts, whole[axis].stop, low, count)
            ranges.append(range(low, high))
        return tuple(ranges)

    def coarsen(self, max_elements: int, order: Order = "C") -> Grid:
        """Join neighbouring blocks into blocks of at most `max_elements` elements.

        The axis that is fastest in memory is joined first; the next one only once that is
        whole, so that each joined block is as few runs of memory as can be.

        Parameters
        ----------
        max_elements : int
            Most elements in a joined block.  A block that has more by itself stays as it is.
        order : {"C", "F"}
            Which axis is fastest: the last, or the first.

        Returns
        -------
        Grid
            One that this grid refines.

        Examples
        --------
        >>> Grid(((2, 2, 2, 1), (3, 3))).coarsen(24).chunks
        ((4, 3), (6,))
        """
        cuts = list(self.chunks)
        for axis in fastest_first(self.ndim, order):
            across = math.prod(max(piece) for other, piece in enumerate(cuts) if other != axis)
            room = max_elements // across if across else sum(cuts[axis])
            cuts[axis] = _join(cuts[axis], room)
            if len(cuts[axis]) > 1:
                break
        return self if tuple(map(len, cuts)) == self.numblocks else Grid(cuts)


def fastest_first(ndim: int, order: Order) -> range:
    """Axes from the one whose neighbours lie closest together in memory to the slowest.

    Raises
    ------
    ValueError
        `order` is neither "C" nor "F".

    Examples
    --------
    >>> list(fastest_first(3, "C")), list(fastest_first(3, "F"))
    ([2, 1, 0], [0, 1, 2])
    """
    if order not in ("C", "F"):
        raise ValueError(f"order is 'C' or 'F', not {order!r}")
    return range(ndim - 1, -1, -1) if order == "C" else range(ndim)


def _from_runs(runs: Iterable[Iterable[tuple[int, int]]]) -> Grid:
    return Grid([extent for extent, count in axis for _ in range(count)] for axis in runs)


def _has_all(mine: array[int], theirs: array[int]) -> bool:
    held = np.frombuffer(mine, np.int64)
    asked = np.frombuffer(theirs, np.int64)
    return bool((held[np.searchsorted(held, asked)] == asked).all())


def _join(pieces: tuple[int, ...], room: int) -> tuple[int, ...]:
    joined = [pieces[0]]
    for extent in pieces[1:]:
        if joined[-1] + extent <= room:
            joined[-1] += extent
        else:
            joined.append(extent)
    return tuple(joined)
