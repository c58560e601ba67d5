"""Reads regions of an array in pieces: maps what one piece has, puts together what several have.

It writes nothing, and knows no format.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import TruncatedFileError
from ..grid import Region
from ..operations.base import extents
from ..pages import calls
from ..pages.mapping import Window
from ..pages.residency import FOLIO
from ..storage.pieces import Pieces, Stretch
from ..storage.tiled import Part, Tiled
from .brought import Brought, File
from .buffers import Buffers
from .evaluate import Block
from .files import bring_pages

__all__ = ["NOTHING", "Lent", "Piecewise", "write_from"]

NOTHING = np.empty(0, np.uint8)
"""The block of what was let go of."""


@dataclass(slots=True)
class Lent:
    """A region that is there."""

    block: Block
    region: Region
    window: Window | None = None
    fd: int = -1
    """A copy of the piece's descriptor, to write back or drop by; -1: of none."""
    file: File | None = None
    """What of the piece's file was cached before, if the rest is to go with the task."""
    drop: bool = False
    """Whether all of its pages are the run's, and are to go with the task."""
    parts: list[Part] = field(default_factory=list)
    """Of memory that is to be written back."""
    users: int = 1

    def release(self) -> int:
        """Let go of it; return the bytes that somebody still looks at."""
        kept = 0
        block, self.block = self.block, NOTHING
        del block
        if self.window is not None:
            start, length = self.window.origin, self.window.length
            if not self.window.release():
                kept = length
            if self.file is not None:
                self.file.drop(self.fd, start, start + length)
            elif self.drop:
                calls.drop_cached(self.fd, start, length)
            self.window = None
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self.fd)
            self.fd = -1
        return kept


class Piecewise:
    """The pieces of one array in one process, and how they are read.

    Parameters
    ----------
    pieces : Pieces
    drop : bool
        Whether what a run brings into the page cache goes with it.
    """

    def __init__(self, pieces: Pieces, drop: bool) -> None:
        self.pieces = pieces
        self.memory = Buffers()
        self._brought = Brought() if drop else None
        if hasattr(pieces, "drop"):
            pieces.drop = drop  # what is decoded is read by nobody else
        self._into = getattr(pieces, "find_into", None)

    def read(self, view: Tiled, region: Region) -> Lent:
        """Have a region, for reading."""
        parts = list(view.parts(region))
        encoded = view.table.encoded
        if len(parts) == 1 and not (encoded and self._into is not None):
            found = self.pieces.find(parts[0].piece)
            if isinstance(found, Stretch):
                layout = parts[0].within(found.layout)
                if layout.aligned and not _sparse(layout):
                    return self._mapped(found.fd, layout, region)
            elif found is not None:
                return Lent(parts[0].of(found), region)
        block = self.memory.take(extents(region), view.dtype)
        self.fill(view, block, parts)
        return Lent(block, region)

    def ahead(self, view: Tiled, region: Region) -> bool:
        """Have the disk read what is to be decoded of a region; False: of that kind is nothing."""
        ask = getattr(self.pieces, "ahead", None)
        if ask is None:
            return False
        for part in view.parts(region):
            ask(part.piece)
        return True

    def _mapped(self, fd: int, layout: Any, region: Region) -> Lent:
        start, stop = layout.span()
        file = None if self._brought is None else self._brought.file(fd, layout.file)
        window = Window(fd, start, stop)
        if not (window.length >= FOLIO and window.advise(calls.HUGEPAGE)):
            calls.will_need(fd, start, stop - start)
        bring_pages(window, fd, layout.file.path, start, stop, write=False)
        assert window.bytes is not None
        block = layout.view(window.bytes, window.origin)
        return Lent(block, region, window, -1 if file is None else os.dup(fd), file)

    def fill(self, view: Tiled, block: Block, parts: list[Part]) -> None:
        """Copy pieces to where they belong in a block."""
        for part in parts:
            place = part.at(block)
            if self._into is not None and part.plain and self._into(part.piece, place):
                continue
            found = self.pieces.find(part.piece)
            if found is None:
                place[...] = view.table.fill
            elif isinstance(found, Stretch):
                self._copy(found.fd, part.within(found.layout), place)
            else:
                place[...] = part.of(found)

    def _copy(self, fd: int, layout: Any, place: Block) -> None:
        """Read a part of a file into its place."""
        start, stop = layout.span()
        path = layout.file.path
        file = None if self._brought is None else self._brought.file(fd, layout.file)
        if layout.contiguous == "C" and place.flags.c_contiguous:
            read_into(fd, place.reshape(-1).view(np.uint8).data, start, path)
        elif _sparse(layout):
            window = Window(fd, start, stop)
            for low, high in layout.runs():
                bring_pages(window, fd, path, low, high, write=False)
            assert window.bytes is not None
            place[...] = layout.view(window.bytes, window.origin)
            window.release()
        else:
            held = self.memory.take((stop - start,), np.dtype(np.uint8))
            read_into(fd, held.data, start, path)
            place[...] = layout.view(held, start)
        if file is not None:
            file.drop(fd, start, stop)

    def close(self) -> None:
        """Close all files, and let go of what was brought into the page cache."""
        self.pieces.close()
        if self._brought is not None:
            self._brought.drop_rest()


def _sparse(layout: Any) -> bool:
    """Whether most of the bytes between the first and the last are others'."""
    start, stop = layout.span()
    return bool(stop - start > 2 * layout.nbytes)


def read_into(fd: int, place: memoryview, start: int, path: str) -> None:
    """Fill memory from a file.

    Raises
    ------
    TruncatedFileError
        The file ends before.
    OSError
        The disk failed.
    """
    while place:
        done = os.preadv(fd, [place], start)
        if not done:
            raise TruncatedFileError(f"{path}: ends at byte {start}, where {len(place)} follow")
        place, start = place[done:], start + done


def write_from(fd: int, data: memoryview, start: int) -> None:
    """Write all of some memory to a place in a file."""
    while data:
        done = os.pwrite(fd, data, start)
        data, start = data[done:], start + done
