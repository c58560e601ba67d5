"""Lends regions of arrays to tasks as views of mapped pages, and takes them back; runs nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..grid import Coords, Grid, Region
from ..pages import calls
from ..pages.footprint import WIDE, hole_size
from ..pages.mapping import Window
from ..pages.residency import FOLIO
from ..plan import Access, InMemory
from ..storage.layout import Strided
from .evaluate import Block
from .files import Files

__all__ = ["Reader", "Writer", "whole_folios"]

Span = tuple[int, int]

_FAR = 1 << 20
"""Bytes between short runs beyond which a disk finds each faster than it reads the rest."""


class Reader:
    """Regions of one source: a stored array by one window over all of it, or an array in memory."""

    itemwise = False
    """Whether regions are asked for item by item, rather than those of a task together."""

    def __init__(self, access: Access, files: Files, stream: bool) -> None:
        source = access.source
        self.access = access
        self.stored = source if isinstance(source, Strided) and source.size else None
        self.stream = stream and self.stored is not None
        if self.stored is not None:
            span = self.stored.span()
            self.files, self.window = files, files.whole(self.stored.file, span)
            assert self.window.bytes is not None
            self.whole: Block = self.stored.view(self.window.bytes, self.window.origin)
        elif isinstance(source, InMemory):
            self.whole = source.array.view()
            self.whole.flags.writeable = False
        else:
            self.whole = np.empty(source.shape, source.dtype)

    def block(self, region: Region) -> Block:
        # A zero-dimensional array indexed by () would be a scalar, a copy.
        return self.whole[region] if region else self.whole[...]

    def bring(self, region: Region) -> None:
        """Bring the pages of a region in; of a mapping that stays, each range once."""
        if self.stored is None:
            return
        if _hole_size(self.stored, region) < WIDE:
            self._bring_sparse(self.stored, region)
            return
        for start, stop in self.stored.runs(region):
            if not self.stream and (start, stop) in self.window.populated:
                continue
            self.files.bring(self.window, self.stored.file, start, stop, write=False)
            if not self.stream:
                self.window.populated.add((start, stop))

    def _bring_sparse(self, stored: Strided, region: Region) -> None:
        """Bring in the pages of a region that is a small part of the bytes around it.

        With each the kernel maps what is cached nearby; that is somebody else's, and would
        count as held.
        """
        self.window.advise(calls.NOHUGEPAGE)
        runs = stored.runs(region, calls.PAGE)
        if runs and runs[-1][1] - runs[0][0] >= len(runs) * _FAR:
            # Reading ahead would read nearly all of the file.
            self.window.advise(calls.RANDOM)
        behind = 0
        for start, stop in runs:
            self.files.bring(self.window, stored.file, start, stop, write=False)
            first = -(-behind // calls.PAGE) * calls.PAGE
            if 0 < first < start:
                self.window.forget(first, start - start % calls.PAGE)
            behind = stop

    def forget(self, region: Region) -> None:
        """Take the pages of a region out of this process, where they are not to stay."""
        if self.stored is None or not self.stream:
            return
        if _hole_size(self.stored, region) == WIDE:
            self.window.forget(*self.stored.span(region))
            return
        for start, stop in self.stored.runs(region, calls.PAGE):
            self.window.forget(start, stop)


class Writer:
    """Blocks of one target: windows lent per task while streaming, one for the stage otherwise."""

    itemwise = False

    def __init__(self, target: Any, grid: Grid, files: Files, policy: str) -> None:
        self.grid = grid
        self.stored = target if isinstance(target, Strided) and target.size else None
        self.stream = policy == "stream" and self.stored is not None
        self.whole: Block | None = None
        if self.stored is None:
            self.whole = (
                target.array
                if isinstance(target, InMemory)
                else np.empty(target.shape, target.dtype)
            )
        else:
            self.files, self.fd = files, files.fd(self.stored.file)
            if not self.stream:
                window = files.whole(self.stored.file, self.stored.span(), writable=True)
                assert window.bytes is not None
                self.whole = self.stored.view(window.bytes, window.origin)

    def lend(self, regions: list[Region], windows: list[Window]) -> None:
        """Map and populate regions that a task stores into; the windows go to `windows`.

        Windows of a folio and more begin at a folio's edge: a fault in the middle of one makes
        the kernel cache the file in 4 KiB pages, and forbidding the part before the block makes
        it map the folio page by page; either costs more than all the rest of the pass.
        """
        assert self.stored is not None
        dense = all(_hole_size(self.stored, region) == WIDE for region in regions)
        gap = WIDE if dense else calls.PAGE
        for start, stop in _merged([self.stored.span(region) for region in regions]):
            large = dense and stop - start >= FOLIO
            first = start - start % FOLIO if large else start
            window = Window(self.fd, first, stop, writable=True)
            windows.append(window)
            if large:
                if self.files.tuning.write_advice == "hugepage":
                    window.advise(calls.HUGEPAGE)
                self.files.bring(window, self.stored.file, first, start + 1, write=True)
        for start, stop in _merged([run for r in regions for run in self.stored.runs(r, gap)]):
            window = next(w for w in windows if w.covers(start, stop))
            self.files.bring(window, self.stored.file, start, stop, write=True)

    def bring(self, regions: list[Region]) -> None:
        """Have the pages of a window that stays, for stores: no room is an OSError here."""
        if self.stored is None:
            return
        window = self.files.whole(self.stored.file, self.stored.span(), writable=True)
        for region in regions:
            for start, stop in self.stored.runs(region):
                self.files.bring(window, self.stored.file, start, stop, write=True)

    def block(self, coords: Coords, windows: list[Window]) -> Block:
        region = self.grid.region(coords)
        if self.whole is not None:
            return self.whole[region] if region else self.whole[...]
        assert self.stored is not None
        part = self.stored.region(region)
        if not part.size:
            return np.empty(part.shape, part.dtype)
        start, stop = part.span()
        window = next(w for w in windows if w.covers(start, stop))
        assert window.bytes is not None
        return part.view(window.bytes, window.origin)

    def start_writing(self, windows: list[Window]) -> None:
        """Ask the kernel to begin writing what was stored; do not wait."""
        for window in windows:
            first, length = whole_folios(window)
            if length:
                calls.start_writing(self.fd, first, length)

    def retire(self, windows: list[Window]) -> int:
        """Wait for the write-back and let go; return bytes still looked at."""
        kept = 0
        for window in windows:
            first, length = whole_folios(window)
            if length:
                calls.wait_written(self.fd, first, length)
            if not window.release():
                kept += window.length
        return kept


def _hole_size(stored: Strided, region: Region) -> int:
    extents = [part.stop - part.start for part in region]
    return hole_size(extents, stored.strides, stored.itemsize)


def whole_folios(window: Window) -> tuple[int, int]:
    """The folios that end within a window: the last one is written with the block that ends it."""
    first = window.origin - window.origin % FOLIO
    stop = window.origin + window.length
    return first, stop - stop % FOLIO - first


def _merged(spans: list[Span]) -> list[Span]:
    """Join byte ranges that touch or overlap."""
    joined: list[Span] = []
    for start, stop in sorted(span for span in spans if span[1] > span[0]):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((start, stop))
    return joined
