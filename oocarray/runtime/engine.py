"""Works on the tasks of one stage in one process: brings pages in, runs the kernel, lets go.

The same engine serves all three schedulers.  `prefetch` and `retire` may be called from
another thread than `compute`; which task comes when is not decided here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import jit
from ..grid import Coords, Grid, Region
from ..pages import calls
from ..pages.mapping import Window
from ..pages.residency import FOLIO
from ..plan import Access, Blocks, InMemory, Partials, Scratch, Stage, Task
from ..program import Input, Program
from ..storage.layout import Strided
from .evaluate import Block, Evaluator
from .files import Files
from .job import Job, Partial

__all__ = ["Engine", "Prepared"]

Span = tuple[int, int]


@dataclass(slots=True)
class Prepared:
    """A task whose pages are there."""

    task: Task
    windows: dict[int, list[Window]] = field(default_factory=dict)
    """Per write: the windows that the task stores into."""
    error: BaseException | None = None
    partials: tuple[Partial, ...] = ()
    seconds: float = 0.0


class _Reader:
    """Regions of one source: a stored array by one window over all of it, or an array in memory."""

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
        for start, stop in self.stored.runs(region):
            if not self.stream and (start, stop) in self.window.populated:
                continue
            self.files.bring(self.window, self.stored.file, start, stop, write=False)
            if not self.stream:
                self.window.populated.add((start, stop))

    def forget(self, region: Region) -> None:
        if self.stored is not None and self.stream:
            self.window.forget(*self.stored.span(region))

    def close(self) -> None:
        del self.whole


class _Writer:
    """Blocks of one target: windows lent per task while streaming, one for the stage otherwise."""

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

    def lend(self, coords: list[Coords], windows: list[Window]) -> None:
        """Map and populate what the items at `coords` store into; the windows go to `windows`.

        Windows of a folio and more begin at a folio's edge: a fault in the middle of one makes
        the kernel cache the file in 4 KiB pages, and forbidding the part before the block makes
        it map the folio page by page; either costs more than all the rest of the pass.
        """
        assert self.stored is not None
        regions = [self.grid.region(at) for at in coords]
        for start, stop in _merged([self.stored.span(region) for region in regions]):
            large = stop - start >= FOLIO
            first = start - start % FOLIO if large else start
            window = Window(self.fd, first, stop, writable=True)
            windows.append(window)
            if large:
                window.advise(calls.HUGEPAGE)
                self.files.bring(window, self.stored.file, first, start + 1, write=True)
        for start, stop in _merged([run for r in regions for run in self.stored.runs(r)]):
            window = next(w for w in windows if w.covers(start, stop))
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


class Engine:
    """One stage, its files and its functions, in one process.

    Parameters
    ----------
    job : Job
    files : Files
    progress : callable, optional
        Called with the number of each item before it is worked on.
    """

    def __init__(
        self, job: Job, files: Files, progress: Callable[[int], None] | None = None
    ) -> None:
        self.job, self.stage, self.files = job, job.stage, files
        self.progress = progress or (lambda item: None)
        stream = job.policy == "stream"
        # What every item reads stays: let go of, it would be read from the disk for each of them.
        self._readers = [
            _Reader(access, files, stream and not access.repeated(self.stage.grid))
            for access in self.stage.reads
        ]
        self._writers: dict[int, _Writer] = {}
        for number, write in enumerate(self.stage.writes):
            if isinstance(write, Blocks):
                self._writers[number] = _Writer(write.target, write.grid, files, job.policy)
            elif isinstance(write, Scratch):
                raise AssertionError(f"scratch must have been laid out before the run: {write}")
        self._update = _updated(self.stage)
        self._updating: Block | None = None
        self.item: int | None = None
        self.bind_error: BaseException | None = None

    def bind(self, program: Program) -> None:
        """Take the functions of the stage; `compute` needs them, `prefetch` does not."""
        readers = [reader.block for reader in self._readers]
        if self._update is not None:
            readers[self._update] = self._lent
        self.program = program
        self._evaluator = Evaluator(program, readers)
        self._entries = [None if code is None else jit.load(code) for code in program.codes]

    def array(self, strided: Strided) -> Block:
        """Return a large argument that came by address, read-only."""
        window = self.files.whole(strided.file, strided.span())
        assert window.bytes is not None
        return strided.view(window.bytes, window.origin)

    def prefetch(self, task: Task) -> Prepared:
        """Bring in the pages of a task; what goes wrong is kept in the answer."""
        prepared = Prepared(task)
        try:
            coords = self._coords(task)
            for number, reader in enumerate(self._readers):
                if reader.stored is None or number == self._update:
                    continue
                for at in coords:
                    region = reader.access.region(self.stage.grid, at)
                    reader.bring(region)
            for number, writer in self._writers.items():
                if writer.stream:
                    writer.lend(coords, prepared.windows.setdefault(number, []))
        except BaseException as error:
            prepared.error = error
        return prepared

    def compute(self, prepared: Prepared) -> None:
        """Run the kernel on each item of a task.

        Raises whatever the user's function raises, and what `prefetch` met.
        """
        began = time.perf_counter()
        if prepared.error is not None:
            self.item = prepared.task.first
            raise prepared.error
        partials: list[Partial] = []
        try:
            with np.errstate(**self.job.errstate):
                for item in range(prepared.task.first, prepared.task.first + prepared.task.count):
                    self.item = item
                    self.progress(item)
                    self._one(self.stage.grid.coords(item), prepared, partials)
        finally:
            # Blocks that this object remembered would keep their windows mapped.
            self._evaluator.new_item()
            self._updating = None
        prepared.partials = tuple(partials)
        prepared.seconds = time.perf_counter() - began

    def start_writing(self, prepared: Prepared) -> None:
        """Ask the kernel to begin writing what a task stored; do not wait."""
        for number, windows in prepared.windows.items():
            for window in windows:
                first, length = _whole_folios(window)
                if length:
                    calls.start_writing(self._writers[number].fd, first, length)

    def retire(self, prepared: Prepared) -> int:
        """Wait for the write-back of a task and let go of its pages; return bytes still looked at.

        Raises
        ------
        OSError
            Stored pages could not be written: the run has failed.
        """
        kept = 0
        for number, windows in prepared.windows.items():
            for window in windows:
                first, length = _whole_folios(window)
                if length:
                    calls.wait_written(self._writers[number].fd, first, length)
                if not window.release():
                    kept += window.length
        prepared.windows.clear()
        if self.job.policy == "stream":
            for at in self._coords(prepared.task):
                for number, reader in enumerate(self._readers):
                    if number != self._update:
                        reader.forget(reader.access.region(self.stage.grid, at))
        return kept

    def writes(self, prepared: Prepared) -> bool:
        """Whether retiring the task has to wait for the disk."""
        return bool(prepared.windows)

    def close(self) -> None:
        """Let go of everything; blocks that a function kept stay readable."""
        self._evaluator = None  # type: ignore[assignment]
        self._readers.clear()
        self._writers.clear()
        self.files.close()

    def _coords(self, task: Task) -> list[Coords]:
        return [self.stage.grid.coords(task.first + index) for index in range(task.count)]

    def _lent(self, region: Region) -> Block:
        # The block that an update changes: the same pages for reading and for writing.
        assert self._updating is not None
        return self._updating

    def _one(self, coords: Coords, prepared: Prepared, partials: list[Partial]) -> None:
        evaluator, values = self._evaluator, self.program.values
        evaluator.new_item()
        outs = {
            number: writer.block(coords, prepared.windows.get(number, []))
            for number, writer in self._writers.items()
        }
        done: dict[int, Block] = {}
        if self._update is not None:
            (self._updating,) = outs.values()
            done[id(values[0])] = evaluator.value(values[0], coords)
            return
        for number, out in outs.items():
            done[id(values[number])] = evaluator.value(values[number], coords, out)
        for number, write in enumerate(self.stage.writes):
            if not isinstance(write, Partials):
                continue
            value = values[number]
            if id(value) not in done:
                done[id(value)] = self._value(value, coords)
            box = write.leaves.inner(self.stage.grid, coords)
            cuts = tuple(
                sizes[part.start : part.stop]
                for sizes, part in zip(write.leaves.chunks, box, strict=True)
            )
            origin = tuple(part.start for part in self.stage.grid.region(coords))
            partial = self.program.reductions[number].leaves(
                self._entries[number], done[id(value)], cuts, origin
            )
            partials.append(Partial(number, box, partial))

    def _value(self, value: Any, coords: Coords) -> Block:
        if isinstance(value, Input):
            # An array reduced as it is: the items are unions of its leaves, not its blocks.
            return self._readers[value.access].block(self.stage.grid.region(coords))
        return self._evaluator.value(value, coords)


def _updated(stage: Stage) -> int | None:
    """Number of the access whose blocks the stage changes in place, if it does."""
    if not stage.in_place:
        return None
    targets = [write.target for write in stage.writes if isinstance(write, Blocks)]
    return next(number for number, access in enumerate(stage.reads) if access.source in targets)


def _whole_folios(window: Window) -> tuple[int, int]:
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
