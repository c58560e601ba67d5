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
from ..storage.pieces import Pieces, Stretch
from ..storage.tiled import Part, Tiled
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
    drop: bool = False
    """Whether its pages came with the run, and are to go with the task."""
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
            if self.drop:
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
        Whether what a task brings into the page cache goes with the task.
    """

    def __init__(self, pieces: Pieces, drop: bool) -> None:
        self.pieces, self._drop = pieces, drop

    def read(self, view: Tiled, region: Region) -> Lent:
        """Have a region, for reading."""
        parts = list(view.parts(region))
        if len(parts) == 1:
            found = self.pieces.find(parts[0].piece)
            if isinstance(found, Stretch):
                layout = parts[0].within(found.layout)
                if layout.aligned:
                    return self._mapped(found.fd, layout, region)
            elif found is not None:
                return Lent(parts[0].of(found), region)
        block = np.empty(extents(region), view.dtype)
        self.fill(view, block, parts)
        return Lent(block, region)

    def _mapped(self, fd: int, layout: Any, region: Region) -> Lent:
        start, stop = layout.span()
        drop = self._brings(fd, start, stop)
        window = Window(fd, start, stop)
        calls.will_need(fd, start, stop - start)
        bring_pages(window, fd, layout.file.path, start, stop, write=False)
        assert window.bytes is not None
        block = layout.view(window.bytes, window.origin)
        return Lent(block, region, window, os.dup(fd) if drop else -1, drop)

    def fill(self, view: Tiled, block: Block, parts: list[Part]) -> None:
        """Copy pieces to where they belong in a block."""
        for part in parts:
            found = self.pieces.find(part.piece)
            if found is None:
                block[part.place] = view.table.fill
            elif isinstance(found, Stretch):
                self._copy(found.fd, part.within(found.layout), block[part.place])
            else:
                block[part.place] = part.of(found)

    def _copy(self, fd: int, layout: Any, place: Block) -> None:
        """Read a part of a file into its place."""
        start, stop = layout.span()
        drop = self._brings(fd, start, stop)
        if layout.contiguous == "C" and place.flags.c_contiguous:
            read_into(fd, place.reshape(-1).view(np.uint8).data, start, layout.file.path)
        else:
            held = np.empty(stop - start, np.uint8)
            read_into(fd, held.data, start, layout.file.path)
            place[...] = layout.view(held, start)
        if drop:
            calls.drop_cached(fd, start - start % calls.PAGE, stop - start + start % calls.PAGE)

    def _brings(self, fd: int, start: int, stop: int) -> bool:
        """Whether reading a range brings it into the cache, so that it is ours to drop."""
        if not self._drop:
            return False
        cached = calls.cached_bytes(fd, start, stop - start)
        return cached is not None and 2 * cached < stop - start

    def close(self) -> None:
        self.pieces.close()


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
