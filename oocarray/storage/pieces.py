"""What an array that lies in many places is: a table of its pieces, as plain data; reads none.

An array in one file is a `Strided`.  Others consist of *pieces* on a grid: the chunks of a Zarr
array, the files of a stack, the blocks that a library decodes.  A `Table` says where they are,
and travels to workers; each process opens it once per run and asks for pieces by their place in
the grid.  Adding a format is adding a table.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from oocarray.storage.filekey import FileKey
from oocarray.storage.layout import Strided

__all__ = [
    "Cuts",
    "Found",
    "Pieces",
    "Stretch",
    "Table",
    "even_cuts",
    "piece_bytes",
    "shape_of",
]


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where an axis is cut into pieces: every `step` elements, or at `bounds`.

    Examples
    --------
    >>> even = Cuts(10, 4)
    >>> even.count, even.find(7), even.span(2)
    (3, 1, (8, 10))
    >>> Cuts(10, bounds=(0, 3, 10)).span(1)
    (3, 10)
    """

    extent: int
    step: int = 0
    """Elements of each piece but the last; 0 where `bounds` says it."""
    bounds: tuple[int, ...] = ()
    """First element of each piece, and the extent."""

    @property
    def count(self) -> int:
        """How many pieces; none of an axis without elements."""
        return len(self.bounds) - 1 if self.bounds else -(-self.extent // self.step)

    def find(self, position: int) -> int:
        """The piece that an element is in."""
        if self.bounds:
            return bisect.bisect_right(self.bounds, position) - 1
        return position // self.step

    def span(self, piece: int) -> tuple[int, int]:
        """The elements of a piece."""
        if self.bounds:
            return self.bounds[piece], self.bounds[piece + 1]
        return piece * self.step, min((piece + 1) * self.step, self.extent)

    @property
    def most(self) -> int:
        """Elements of the longest piece, at least 1."""
        if self.bounds:
            return max(max(b - a for a, b in zip(self.bounds, self.bounds[1:], strict=False)), 1)
        return max(min(self.step, self.extent), 1)


def even_cuts(shape: tuple[int, ...], piece: tuple[int, ...]) -> tuple[Cuts, ...]:
    """Pieces of one shape, cut off at the end of each axis."""
    return tuple(Cuts(extent, step) for extent, step in zip(shape, piece, strict=True))


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece whose elements lie in a file as they are."""

    fd: int
    """Open as long as its `Pieces` keeps it, which is until a few others were asked for: map it,
    or read from it, before that."""
    layout: Strided
    """Of the valid part of the piece: cut off at the end of the array."""


Found = Stretch | np.ndarray[Any, Any] | None
"""A piece: where it lies; or its elements, decoded; or None: all of it is the fill value."""


class Pieces(Protocol):
    """The pieces of one array, in one process, for the length of a run; used by two threads."""

    def find(self, coords: tuple[int, ...]) -> Found:
        """The piece at `coords` of the grid of pieces, of the shape that `Table.cuts` gives it.

        Raises
        ------
        CorruptChunkError, TruncatedFileError, InputChangedError, OSError
            With the coordinates of the piece.
        """

    def make(self, coords: tuple[int, ...]) -> Stretch:
        """The piece, to be stored into: made of the fill value where there is none.

        Only of tables that are not `encoded`.
        """

    def put(self, coords: tuple[int, ...], block: np.ndarray[Any, Any]) -> None:
        """Write a whole piece (its valid part), encoded.  Only of tables that are `encoded`."""

    def sync(self) -> None:
        """Have all that was stored since the beginning on the disk, by name and content."""

    def close(self) -> None:
        """Close all files.

        Beside these, pieces that are decoded may have ``find_into(coords, out)``, which fills an
        array of the piece's shape if it can; ``ahead(coords)``, which has the disk begin to read
        the piece; and ``drop``, set where what they read is to leave the page cache again.
        """


class Table(Protocol):
    """Where the pieces of an array are; immutable, hashable, small enough to be pickled."""

    @property
    def file(self) -> FileKey:
        """The file that says what is there; it is locked, and compared, in place of all others."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def cuts(self) -> tuple[Cuts, ...]:
        """One for each axis."""

    @property
    def fill(self) -> Any:
        """The value of what was never written, a NumPy scalar of `dtype`."""

    @property
    def encoded(self) -> bool:
        """Whether pieces must be decoded: they are had as a whole, and never mapped."""

    @property
    def kind(self) -> str:
        """What it is, in words: "Zarr v3, shards", "stack of 12 files"."""

    def open(self, writable: bool) -> Pieces:
        """Open it in this process.

        A table may have ``apart``: whether each piece is a file of its own.
        """


def shape_of(table: Table) -> tuple[int, ...]:
    return tuple(cut.extent for cut in table.cuts)


def piece_bytes(table: Table) -> int:
    """Bytes of the largest piece, decoded."""
    return math.prod(cut.most for cut in table.cuts) * table.dtype.itemsize
