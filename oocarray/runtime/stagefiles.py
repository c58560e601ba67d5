"""The coordinator's side of a stage's files: opened, watched, dropped behind the workers.

It maps nothing and reads no data; which byte ranges are done it is told.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from ..errors import InputChangedError
from ..grid import Coords, Grid, Region
from ..pages import calls
from ..pages.residency import FOLIO, Finished
from ..plan import Blocks, Stage, Task
from ..storage.filekey import MEMORY, FileKey
from ..storage.layout import Strided

__all__ = ["StageFiles"]

FileId = tuple[int, int]
_PIECES = 1024


class StageFiles:
    """Every file that a stage touches, open.

    Parameters
    ----------
    stage : Stage
        Its sources and targets are on files (or in this process's memory).
    arguments : iterable of FileKey
        Files of large arguments.
    open_file : callable
        ``open_file(key, writable)`` returns a descriptor, which this object closes.
    stream : bool
        Whether pages are to be dropped behind finished tasks.
    reach : int
        Bytes to reach back when dropping: pages at a block's edge are still mapped by the
        neighbour's task when it is dropped the first time.
    """

    def __init__(
        self,
        stage: Stage,
        arguments: Iterable[FileKey],
        open_file: Callable[[FileKey, bool], int],
        stream: bool,
        reach: int,
    ) -> None:
        self.stage, self.stream, self.reach = stage, stream, reach
        # Dropped behind: arrays of which an item has a stretch of the file for itself.  What
        # every item reads stays until the stage ends, and so do arrays cut across their rows,
        # where the bytes between an item's own are those of items to come.
        self._passing: list[tuple[Strided, Callable[[Coords], Region]]] = []
        self._staying: list[Strided] = []
        for layout, region_of, repeated in _parts(stage):
            own = stage.grid.size and not repeated and _dense(layout, region_of(_first(stage)))
            if own:
                self._passing.append((layout, region_of))
            else:
                self._staying.append(layout)
        self.keys = tuple(_wanted(stage, arguments).values())
        self.fds: list[int] = []
        try:
            for key, writable in self.keys:
                self.fds.append(open_file(key, writable))
        except BaseException:
            self.close()
            raise
        self._fd_of: dict[FileId, int] = {
            (key.dev, key.ino): fd for (key, _), fd in zip(self.keys, self.fds, strict=True)
        }
        self._finished = {
            file_id: Finished(_cached_pieces(fd) if stream else ())
            for file_id, fd in self._fd_of.items()
        }
        self._stamps = {
            key: _stamp(self._fd_of[key.dev, key.ino])
            for key, writable in self.keys
            if not writable and key.path != MEMORY
        }

    def drop_behind(self, task: Task) -> None:
        """Let go of cached pages behind a finished task, as far as they came with this run."""
        if not self.stream:
            return
        for file_id, (start, stop) in self._spans(task):
            for low, high in self._finished[file_id].add(start, stop, self.reach):
                calls.drop_cached(self._fd_of[file_id], low, high - low)

    def settle(self, durable: bool) -> None:
        """At the end of a stage: see that all is written, and drop what is left of it.

        Parameters
        ----------
        durable : bool
            Wait until it is on the disk.

        Raises
        ------
        OSError
            Some pages could not be written.
        InputChangedError
            An input file changed since the stage began.
        """
        for key, writable in self.keys:
            if not writable or key.path == MEMORY:
                continue
            if durable:
                # By a descriptor that was open all along: it has not missed an error.
                os.fdatasync(self._fd_of[key.dev, key.ino])
            elif self.stream:
                # Folios that two blocks share may have been stored to after they were written.
                calls.wait_written(self._fd_of[key.dev, key.ino], 0, 0)
        if self.stream:
            for layout in self._staying:
                self._finished[layout.file.dev, layout.file.ino].add(*layout.span(), 0)
            for file_id, finished in self._finished.items():
                for low, high in finished.all():
                    calls.drop_cached(self._fd_of[file_id], low, high - low)
        for key, before in self._stamps.items():
            now = _stamp(self._fd_of[key.dev, key.ino])
            if now != before:
                raise InputChangedError(
                    f"{key.path} was changed while it was read: size {before[0]} and then {now[0]} "
                    f"bytes, last written {(now[1] - before[1]) / 1e9:.3f} s later than before"
                )

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()

    def _spans(self, task: Task) -> Iterator[tuple[FileId, tuple[int, int]]]:
        """The byte ranges that a task is done with, from its first byte to its last."""
        grid: Grid = self.stage.grid
        for item in range(task.first, task.first + task.count):
            coords = grid.coords(item)
            for layout, region_of in self._passing:
                yield (layout.file.dev, layout.file.ino), layout.span(region_of(coords))


def _parts(stage: Stage) -> Iterator[tuple[Strided, Callable[[Coords], Region], bool]]:
    """Each array on file, how an item finds its part of it, and whether all have the same."""
    for access in stage.reads:
        if isinstance(access.source, Strided) and access.source.size:
            repeated = access.repeated(stage.grid)
            yield access.source, partial(access.region, stage.grid), repeated
    for write in stage.writes:
        if isinstance(write, Blocks) and isinstance(write.target, Strided) and write.target.size:
            yield write.target, write.grid.region, False


def _first(stage: Stage) -> Coords:
    return (0,) * stage.grid.ndim


def _dense(layout: Strided, region: Region) -> bool:
    """Whether a region takes up at least half of the bytes from its first to its last."""
    start, stop = layout.span(region)
    size = math.prod(part.stop - part.start for part in region) * layout.itemsize
    return bool(2 * size >= stop - start)


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


def _cached_pieces(fd: int) -> list[tuple[int, int]]:
    """Find what is in the page cache already: that is not this run's to drop.

    Looked at in at most 1,024 pieces; one counts as cached when nearly all of it is.
    """
    size = os.fstat(fd).st_size
    if not calls.cached_bytes(fd, 0, size):
        return []
    piece = max(-(-size // _PIECES // FOLIO) * FOLIO, FOLIO)
    kept: list[tuple[int, int]] = []
    for start in range(0, size, piece):
        stop = min(start + piece, size)
        inside = calls.cached_bytes(fd, start, stop - start) or 0
        if inside < 0.9 * (stop - start):
            continue
        if kept and kept[-1][1] == start:
            kept[-1] = kept[-1][0], stop
        else:
            kept.append((start, stop))
    return kept


def _stamp(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_size, found.st_mtime_ns
