"""Lends regions of arrays in pieces to tasks, and writes back what they store; knows no format.

A region that lies in one plain piece is a view of its mapped pages, as of any file.  Any other
is put together in memory, and written back from there piece by piece.
"""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import Any

import numpy as np

from ..grid import Coords, Grid, Region
from ..operations.base import extents
from ..pages import calls
from ..pages.mapping import Window
from ..plan import Access
from ..storage.tiled import Part, Tiled
from .evaluate import Block
from .files import bring_pages
from .piecewise import NOTHING, Lent, Piecewise, write_from

__all__ = ["TileReader", "TileWriter", "is_empty"]

Key = tuple[tuple[int, int], ...]


class TileReader:
    """Regions of one source in pieces."""

    itemwise = True

    def __init__(self, access: Access, pieces: Piecewise, keep: bool) -> None:
        assert isinstance(access.source, Tiled)
        self.access = access
        self.stored: Any = access.source if access.source.size else None
        self.stream = not keep
        """What every item reads stays until the stage ends."""
        self._view, self._pieces = access.source, pieces
        self._there: dict[Key, Lent] = {}
        self._last: Lent | None = None
        self._guard = threading.Lock()

    def bring(self, region: Region) -> None:
        """Have a region ready for `block`."""
        key = _key(region)
        with self._guard:
            known = self._there.get(key)
            if known is not None:
                known.users += 1
                return
        if is_empty(region):
            return
        if self._pieces.ahead(self._view, region):
            lent = Lent(NOTHING, region)  # decoded by who computes, while the next one is read
        else:
            lent = self._pieces.read(self._view, region)
        with self._guard:
            self._there[key] = lent

    def block(self, region: Region) -> Block:
        """A region that was brought, or a part of one; any other is read now.  It is read-only."""
        # As a view of a file is: others of the task read the same memory.
        found = self._found(region).view()
        found.flags.writeable = False
        return found

    def _found(self, region: Region) -> Block:
        if self.stored is None or is_empty(region):
            return np.empty(extents(region), self._view.dtype)
        with self._guard:
            lent = self._there.get(_key(region))
            if lent is None:
                for one in ([self._last] if self._last else []) + list(self._there.values()):
                    if _inside(region, one.region):
                        lent = self._last = one
                        break
            block = NOTHING if lent is None else lent.block
        if lent is None:
            found = self._pieces.read(self._view, region)
            if found.fd >= 0:
                os.close(found.fd)  # nobody is told when its pages may go
            return found.block
        if block is NOTHING:
            # It is still to be decoded, or was let go of since, by another thread.
            block = self._pieces.read(self._view, lent.region).block
            with self._guard:
                if self._there.get(_key(lent.region)) is lent:
                    lent.block = block
        return block if lent.region == region else block[_relative(region, lent.region)]

    def forget(self, region: Region) -> None:
        """Let go of a region that was brought, unless it was brought again since."""
        with self._guard:
            lent = self._there.get(_key(region))
            if lent is None:
                return
            lent.users -= 1
            if lent.users:
                return
            del self._there[_key(region)]
            self._last = None
        lent.release()

    def close(self) -> None:
        for lent in self._there.values():
            lent.release()
        self._there.clear()
        self._last = None


class TileWriter:
    """Blocks of one target in pieces.

    Parameters
    ----------
    target : Tiled
    grid : Grid
        Of the blocks.
    tiles : Tiles
    old : bool
        Whether blocks begin with what the array holds, for updates in place.
    stream : bool
        Whether what is written must have left for the disk when the task ends.
    """

    itemwise = True
    stream = True
    """Blocks are lent to tasks, whatever the policy."""

    def __init__(
        self, target: Tiled, grid: Grid, pieces: Piecewise, old: bool, stream: bool
    ) -> None:
        self.grid, self._view, self._pieces = grid, target, pieces
        self._old, self._away = old, stream

    def lend(self, regions: list[Region], lent: list[Lent]) -> None:
        """Have regions that a task stores into; what is lent goes to `lent`."""
        # One by one: what is there already is to be let go of where the next one cannot be had.
        lent.extend(self._one(region) for region in regions if not is_empty(region))

    def abandon(self, lent: list[Lent]) -> None:
        """Let go of what was lent; nothing of it is stored."""
        for one in lent:
            one.release()
        lent.clear()

    def _one(self, region: Region) -> Lent:
        parts = list(self._view.parts(region))
        table = self._view.table
        # A new file is written from memory at a fraction of what storing into a mapping costs.
        apart = getattr(table, "apart", False) and not self._old
        if len(parts) == 1 and not table.encoded and not apart:
            found = self._pieces.pieces.make(parts[0].piece)
            layout = parts[0].within(found.layout)
            if layout.aligned:
                start, stop = layout.span()
                window = Window(found.fd, start, stop, writable=True)
                bring_pages(window, found.fd, layout.file.path, start, stop, write=True)
                assert window.bytes is not None
                block = layout.view(window.bytes, window.origin)
                return Lent(block, region, window, os.dup(found.fd))
        # What a function leaves out is the same as in a file that is mapped.
        block = self._pieces.memory.take(extents(region), self._view.dtype, zeros=True)
        if self._old:
            self._pieces.fill(self._view, block, parts)
        return Lent(block, region, parts=parts)

    def bring(self, regions: list[Region]) -> None:
        """Nothing stays for the whole of a stage."""
        raise AssertionError(f"blocks of arrays in pieces are lent: {regions}")

    def block(self, coords: Coords, lent: list[Lent]) -> Block:
        region = self.grid.region(coords)
        if is_empty(region):
            return np.empty(extents(region), self._view.dtype)
        return next(one for one in lent if one.region == region).block

    def start_writing(self, lent: list[Lent]) -> None:
        """Ask the kernel to begin writing what was stored; do not wait."""
        for one in lent if self._away else ():
            if one.window is not None:
                calls.start_writing(one.fd, one.window.origin, one.window.length)

    def retire(self, lent: list[Lent]) -> int:
        """Write back what is in memory, let go; return bytes still looked at.

        Raises
        ------
        OSError
            It could not be written.
        """
        kept = 0
        try:
            for one in lent:
                for part in one.parts:
                    self._store(part, part.at(one.block))
                if one.window is not None and self._away:
                    calls.wait_written(one.fd, one.window.origin, one.window.length)
                    one.drop = True
                kept += one.release()
        except BaseException:
            self.abandon(lent)
            raise
        return kept

    def _store(self, part: Part, block: Block) -> None:
        """Store a part of a block into its piece."""
        if self._view.table.encoded:
            shape = tuple(b - a for a, b in self._spans(part))
            whole = self._pieces.memory.take(shape, self._view.dtype)
            part.of(whole)[...] = block
            self._pieces.pieces.put(part.piece, whole)
            return
        found = self._pieces.pieces.make(part.piece)
        layout = part.within(found.layout)
        start, stop = layout.span()
        path = layout.file.path
        if layout.contiguous == "C":
            data = np.ascontiguousarray(block)
            write_from(found.fd, data.reshape(-1).view(np.uint8).data, start)
        else:
            window = Window(found.fd, start, stop, writable=True)
            bring_pages(window, found.fd, path, start, stop, write=True)
            assert window.bytes is not None
            if layout.aligned:
                layout.view(window.bytes, window.origin)[...] = block
            else:
                _bytes_of(layout).view(window.bytes, window.origin)[...] = _bytes(block)
            window.release()
        if self._away:
            first = start - start % calls.PAGE
            calls.start_writing(found.fd, first, stop - first)
            calls.wait_written(found.fd, first, stop - first)
            calls.drop_cached(found.fd, first, stop - first)

    def _spans(self, part: Part) -> list[tuple[int, int]]:
        cuts = self._view.table.cuts
        return [cut.span(n) for cut, n in zip(cuts, part.piece, strict=True)]


def _bytes(block: Block) -> Block:
    whole = np.ascontiguousarray(block)
    return whole.view(np.uint8).reshape(*whole.shape, whole.itemsize)


def _bytes_of(layout: Any) -> Any:
    return replace(
        layout,
        dtype=np.dtype(np.uint8),
        shape=(*layout.shape, layout.itemsize),
        strides=(*layout.strides, 1),
    )


def is_empty(region: Region) -> bool:
    """Whether there is no element in a region."""
    return any(part.stop <= part.start for part in region)


def _key(region: Region) -> Key:
    return tuple([(part.start, part.stop) for part in region])


def _inside(inner: Region, outer: Region) -> bool:
    return all(a.start >= b.start and a.stop <= b.stop for a, b in zip(inner, outer, strict=True))


def _relative(inner: Region, outer: Region) -> Region:
    return tuple(
        slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True)
    )
