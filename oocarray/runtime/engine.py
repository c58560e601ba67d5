"""Works on the tasks of one stage in one process: brings pages in, runs the kernel, lets go.

The same engine serves all three schedulers.  `prefetch` and `retire` may be called from
another thread than `compute`; which task comes when is not decided here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import jit
from ..grid import Coords, Region
from ..plan import Access, Blocks, Partials, Scratch, Stage, Task
from ..program import Call, Input, Program
from ..storage.layout import Strided
from ..storage.pieces import Table
from ..storage.tiled import Tiled
from ..walks import boxes, hull, walk
from .evaluate import Block, Evaluator
from .files import Files
from .job import Job, Partial
from .lending import Reader, Writer
from .lenient import GuardedEvaluator, Lenient, guarded
from .passes import passes_of
from .piecewise import Piecewise
from .retries import How
from .tiling import TileReader, TileWriter

__all__ = ["Engine", "Prepared"]


@dataclass(slots=True)
class Prepared:
    """A task whose pages are there."""

    task: Task
    windows: dict[int, list[Any]] = field(default_factory=dict)
    """Per write: the windows, or what else is lent, that the task stores into."""
    error: BaseException | None = None
    partials: tuple[Partial, ...] = ()
    seconds: float = 0.0
    how: How = ""
    failed: list[tuple[Coords, str]] = field(default_factory=list)
    """Blocks whose function raised, which the run goes on without."""
    flags: tuple[str, ...] = ()
    """What NumPy would have warned of in operations, for the first time in this process."""


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
        self._opened: dict[Table, Piecewise] = {}
        self._written = {
            write.target.table
            for write in self.stage.writes
            if isinstance(write, Blocks) and isinstance(write.target, Tiled)
        }
        self._readers: list[Reader | TileReader] = []
        self._writers: dict[int, Writer | TileWriter] = {}
        try:
            self._readers += map(self._reader, self.stage.reads)
            for number, write in enumerate(self.stage.writes):
                if isinstance(write, Blocks):
                    self._writers[number] = self._writer(number, write)
                elif isinstance(write, Scratch):
                    raise AssertionError(f"scratch must be laid out before the run: {write}")
        except BaseException:
            self._close_pieces()
            raise
        self._update = _updated(self.stage)
        self._updating: Block | None = None
        self._region: Region = ()
        self._told: set[str] = set()
        self.item: int | None = None
        self.bind_error: BaseException | None = None

    def _reader(self, access: Access) -> Reader | TileReader:
        # What every item reads stays: let go of, it would be read from the disk for each of them.
        keep = access.repeated(self.stage.grid)
        if isinstance(access.source, Tiled):
            return TileReader(access, self._pieces(access.source.table), keep)
        return Reader(access, self.files, self.job.policy == "stream" and not keep)

    def _writer(self, number: int, write: Blocks) -> Writer | TileWriter:
        target, stage = write.target, self.stage
        if not isinstance(target, Tiled):
            return Writer(target, write.grid, self.files, self.job.policy)
        old, stream = stage.in_place or number in self.job.old, self.job.policy == "stream"
        return TileWriter(target, write.grid, self._pieces(target.table), old, stream)

    def _pieces(self, table: Table) -> Piecewise:
        known = self._opened.get(table)
        if known is None:
            pieces = table.open(table in self._written)
            known = self._opened[table] = Piecewise(pieces, self.job.drop)
        return known

    def _close_pieces(self) -> None:
        for reader in self._readers:
            if isinstance(reader, TileReader):
                reader.close()
        for pieces in self._opened.values():
            pieces.close()

    def bind(self, program: Program) -> None:
        """Take the functions of the stage; `compute` needs them, `prefetch` does not."""
        readers = [reader.block for reader in self._readers]
        if self._update is not None:
            readers[self._update] = self._lent
        self._evaluator: Evaluator
        if self.job.on_error == "raise":
            self.program, self._evaluator = program, Evaluator(program, readers)
        else:
            self.program = guarded(program)
            self._evaluator = GuardedEvaluator(self.program, readers)
            self._one = Lenient(self).one  # type: ignore[method-assign]
        self._passes = passes_of(self.stage, self.program)
        self._together = {number for one in self._passes for number in one.numbers}
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
            for number, reader in enumerate(self._readers):
                if reader.stored is not None and number != self._update:
                    for region in self._read(reader, task):
                        reader.bring(region)
            for number, writer in self._writers.items():
                ends = self._ends(writer, task)
                regions = [hull(*map(writer.grid.region, pair)) for pair in ends]
                if writer.stream:
                    writer.lend(regions, prepared.windows.setdefault(number, []))
                else:
                    writer.bring(regions)
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
        if prepared.how:
            self.item = prepared.task.first
            self.progress(self.item)
            self._clear(prepared)
        try:
            with np.errstate(**self.job.errstate):
                _, first, count = prepared.task
                for item, coords in enumerate(walk(self.stage.grid, first, count), first):
                    self.item = item
                    self.progress(item)
                    self._one(coords, prepared, partials)
        finally:
            # Blocks that this object remembered would keep their windows mapped.
            self._evaluator.new_item()
            self._updating = None
        prepared.flags = self.fresh_flags()
        prepared.partials = tuple(partials)
        prepared.seconds = time.perf_counter() - began

    def fresh_flags(self) -> tuple[str, ...]:
        """What NumPy would have warned of in operations since this was asked last."""
        fresh = tuple(self._evaluator.flags - self._told)
        self._told.update(fresh)
        return fresh

    def value(self, coords: Coords) -> Block:
        """Return the block at `coords` of what the program makes first, and store it nowhere."""
        try:
            with np.errstate(**self.job.errstate):
                return self._evaluator.value(self.program.values[0], coords)
        finally:
            self._evaluator.new_item()

    def start_writing(self, prepared: Prepared) -> None:
        """Ask the kernel to begin writing what a task stored; do not wait."""
        for number, lent in prepared.windows.items():
            self._writers[number].start_writing(lent)

    def retire(self, prepared: Prepared) -> int:
        """Wait for the write-back of a task and let go of its pages; return bytes still looked at.

        Raises
        ------
        OSError
            Stored pages could not be written: the run has failed.
        """
        kept = sum(self._writers[number].retire(lent) for number, lent in prepared.windows.items())
        prepared.windows.clear()
        for number, reader in enumerate(self._readers):
            if number != self._update and reader.stream:
                for region in self._read(reader, prepared.task):
                    reader.forget(region)
        return kept

    def abandon(self, prepared: Prepared) -> None:
        """Let go of what a task was to store into, without storing it."""
        for number, lent in prepared.windows.items():
            writer = self._writers.get(number)
            if isinstance(writer, TileWriter):
                writer.abandon(lent)
        prepared.windows.clear()

    def writes(self, prepared: Prepared) -> bool:
        """Whether retiring the task has to wait for the disk."""
        return bool(prepared.windows)

    def close(self) -> None:
        """Let go of everything; blocks that a function kept stay readable."""
        evaluator = vars(self).get("_evaluator")
        if evaluator is not None:
            evaluator.close()
        self._evaluator = None  # type: ignore[assignment]
        vars(self).pop("_one", None)
        self._close_pieces()
        self._readers.clear()
        self._writers.clear()
        self.files.close()

    def _ends(
        self, one: Reader | TileReader | Writer | TileWriter, task: Task
    ) -> Iterable[tuple[Coords, Coords]]:
        """First and last of the items of a task that are brought in together."""
        if one.itemwise:
            return ((coords, coords) for coords in walk(self.stage.grid, task.first, task.count))
        return boxes(self.stage.grid, task.first, task.count)

    def _read(self, reader: Reader | TileReader, task: Task) -> list[Region]:
        """What the items of a task read."""
        ends = self._ends(reader, task)
        return [part for pair in ends for part in reader.access.box(self.stage.grid, *pair)]

    def _lent(self, region: Region) -> Block:
        # The block that an update changes: the same pages for reading and for writing.
        assert self._updating is not None
        if region == self._region:
            return self._updating
        return self._updating[
            tuple(
                slice(part.start - base.start, part.stop - base.start)
                for part, base in zip(region, self._region, strict=True)
            )
        ]

    def _clear(self, prepared: Prepared) -> None:
        """Before another try: what a function leaves out is zero, as it was the first time."""
        task = prepared.task
        for coords in walk(self.stage.grid, task.first, task.count):
            for number in self.job.fresh:
                block = self._writers[number].block(coords, prepared.windows.get(number, []))
                block[...] = np.zeros((), block.dtype)

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
            self._region = self.stage.grid.region(coords)
            changes = isinstance(values[0], Call) and values[0].form == "update"
            evaluator.value(values[0], coords, None if changes else self._updating)
            return
        for one in self._passes:
            partials += one.run(evaluator.tiles, self.stage.grid, coords, outs)
        for number, out in outs.items():
            if number not in self._together:
                done[id(values[number])] = evaluator.value(values[number], coords, out)
        for number, write in enumerate(self.stage.writes):
            if not isinstance(write, Partials) or number in self._together:
                continue
            value = values[number]
            if id(value) not in done:
                done[id(value)] = self._value(value, coords)
            partials.append(self._reduced(number, write, done[id(value)], coords))

    def _reduced(self, number: int, write: Partials, block: Block, coords: Coords) -> Partial:
        """Reduce a block, leaf by leaf."""
        box = write.leaves.inner(self.stage.grid, coords)
        cuts = tuple(
            sizes[part.start : part.stop]
            for sizes, part in zip(write.leaves.chunks, box, strict=True)
        )
        origin = tuple(part.start for part in self.stage.grid.region(coords))
        partial = self.program.reductions[number].leaves(self._entries[number], block, cuts, origin)
        return Partial(number, box, partial)

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
