"""The coordinator's side of a stage's files: written out, and dropped behind the workers.

It maps nothing and reads no data; which byte ranges are done it is told.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from ..grid import Coords, Grid, Region
from ..pages import calls
from ..pages.residency import Finished
from ..plan import Blocks, Stage, Task
from ..storage.filekey import MEMORY, FileKey
from ..storage.layout import Strided
from ..walks import boxes, hull
from .leaving import CacheBefore, Drop, drop_all

__all__ = ["StageFiles"]

FileId = tuple[int, int]
RegionOf = Callable[[Coords], Region]


class StageFiles:
    """Every file that a stage touches.

    Parameters
    ----------
    stage : Stage
        Its sources and targets are on files (or in this process's memory).
    arguments : iterable of FileKey
        Files of large arguments.
    descriptor : callable
        ``descriptor(key)`` returns an open one, which stays the caller's.
    cache : CacheBefore
    stream : bool
        Whether what is written must have left for the disk when the stage ends.
    drop : {"behind", "at the end", "never"}
        When cached pages of finished tasks are let go of.
    reach : int
        Bytes to reach back when dropping: pages at a block's edge are still mapped by the
        neighbour's task when it is dropped the first time.
    """

    def __init__(
        self,
        stage: Stage,
        arguments: Iterable[FileKey],
        descriptor: Callable[[FileKey], int],
        cache: CacheBefore,
        stream: bool,
        drop: Drop,
        reach: int,
    ) -> None:
        self.stage, self.cache, self.stream = stage, cache, stream
        self.drop, self.reach = drop, reach
        self._layouts = [layout for layout, _ in _parts(stage)]
        # Where each item has a stretch of the file for itself, that goes with the item.  Of
        # other arrays goes what lies before the first byte that an item to come can ask for.
        self._own: list[tuple[Strided, RegionOf]] = []
        self._shared: list[tuple[Strided, RegionOf]] = []
        for layout, region_of in _parts(stage):
            order = _order(stage.grid, layout, region_of)
            if order != "none":
                (self._own if order == "apart" else self._shared).append((layout, region_of))
        self._low = [layout.span()[0] for layout, _ in self._shared]
        self._items = Finished()
        self.keys = tuple(_wanted(stage, arguments).values())
        self.fds = [descriptor(key) for key, _ in self.keys]
        self._fd_of: dict[FileId, int] = {
            (key.dev, key.ino): fd
            for (key, _), fd in zip(self.keys, self.fds, strict=True)
            if key.path != MEMORY
        }
        self._finished = {
            name: cache.finished(name, fd) for name, fd in self._fd_of.items() if drop != "never"
        }

    def drop_behind(self, task: Task) -> None:
        """Let go of cached pages behind a finished task, as far as they came with this run."""
        if self.drop != "behind":
            return
        grid = self.stage.grid
        for first, last in boxes(grid, task.first, task.count):
            for layout, region_of in self._own:
                self._passed(layout, layout.span(hull(region_of(first), region_of(last))))
        self._items.add(task.first, task.first + task.count, 0)
        begun, upto = next(self._items.spans())
        if begun or upto >= grid.size:
            return
        for number, (layout, region_of) in enumerate(self._shared):
            low = _lowest(grid, grid.coords(upto), layout, region_of)
            if low > self._low[number]:
                self._passed(layout, (self._low[number], low))
                self._low[number] = low

    def _passed(self, layout: Strided, span: tuple[int, int]) -> None:
        name = layout.file.dev, layout.file.ino
        if name in self._finished:
            for low, high in self._finished[name].add(*span, self.reach):
                calls.drop_cached(self._fd_of[name], low, high - low)

    def settle(self, durable: bool) -> None:
        """At the end of a stage that went well: see that all is written.

        Parameters
        ----------
        durable : bool
            Wait until it is on the disk.

        Raises
        ------
        OSError
            Some pages could not be written.
        """
        for fd in self._written():
            if durable:
                # By a descriptor that was open all along: it has not missed an error.
                os.fdatasync(fd)
            elif self.stream or self.drop != "never":
                # Folios that two blocks share may have been stored to after they were written.
                calls.wait_written(fd, 0, 0)

    def let_go(self, failed: bool) -> None:
        """At the end of a stage, however it ended: drop what is left of it, now or later."""
        if self.drop == "never":
            return
        if failed:
            for fd in self._written():
                with contextlib.suppress(OSError):
                    calls.wait_written(fd, 0, 0)
        for layout in self._layouts:
            name = layout.file.dev, layout.file.ino
            if name not in self._fd_of:
                continue
            if self.drop == "behind":
                self._finished[name].add(*layout.span(), 0)
            else:
                self.cache.later(name, self._fd_of[name], layout.span())
        if self.drop == "behind":
            drop_all({self._fd_of[name]: done for name, done in self._finished.items()})

    def _written(self) -> list[int]:
        return [
            self._fd_of[key.dev, key.ino]
            for key, writable in self.keys
            if writable and key.path != MEMORY
        ]


def _parts(stage: Stage) -> Iterator[tuple[Strided, RegionOf]]:
    """Each array on file, and how an item finds its part of it."""
    for access in stage.reads:
        if isinstance(access.source, Strided) and access.source.size:
            yield access.source, partial(access.region, stage.grid)
    for write in stage.writes:
        if isinstance(write, Blocks) and isinstance(write.target, Strided) and write.target.size:
            yield write.target, write.grid.region


def _order(grid: Grid, layout: Strided, region_of: RegionOf) -> str:
    """How the items of a grid lie in a file.

    ``"apart"``: each has a stretch for itself. ``"mixed"``: their stretches overlap, but begin
    further on along every axis. ``"none"``: they run backwards.
    """
    if not grid.size:
        return "none"
    first = (0,) * grid.ndim
    start, stop = layout.span(region_of(first))
    found = "apart"
    for axis, count in enumerate(grid.numblocks):
        if count < 2:
            continue
        step = layout.span(region_of((*first[:axis], 1, *first[axis + 1 :])))[0] - start
        if step < 0:
            return "none"
        if step < stop - start:
            found = "mixed"
    return found


def _lowest(grid: Grid, at: Coords, layout: Strided, region_of: RegionOf) -> int:
    """The first byte that the item at `at`, or any after it, may ask for."""
    lowest = layout.span(region_of(at))[0]
    for axis, count in enumerate(grid.numblocks):
        if at[axis] + 1 < count:
            after = (*at[:axis], at[axis] + 1, *(0,) * (grid.ndim - axis - 1))
            lowest = min(lowest, layout.span(region_of(after))[0])
    return lowest


def _wanted(stage: Stage, arguments: Iterable[FileKey]) -> dict[FileId, tuple[FileKey, bool]]:
    found: dict[FileId, tuple[FileKey, bool]] = {}

    def want(key: FileKey, writable: bool) -> None:
        _, before = found.get((key.dev, key.ino), (key, False))
        found[key.dev, key.ino] = key, before or writable

    for access in stage.reads:
        if isinstance(access.source, Strided):
            want(access.source.file, False)
    for write in stage.writes:
        if isinstance(write, Blocks) and isinstance(write.target, Strided):
            want(write.target.file, True)
    for key in arguments:
        want(key, False)
    return found
