"""Runs the stages of a plan in order and keeps what lives between them; hands out no task itself.

Results of a stage stay in memory for the next; arrays that workers must see are put in
shared memory once per run.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..estimate import kept_bytes, resident_bytes
from ..pages.residency import Residency, choose_residency
from ..plan import Access, Blocks, InMemory, Partials, Plan, Result, Scratch, Stage
from ..program import Call, Pick, calls_in
from ..storage.layout import FileKey, Strided
from ..storage.memmaps import layout_of
from ..storage.tiled import Tiled
from ..storage.zarrtable import ZarrTable
from ..validate import validate
from .forwarding import Repeater
from .leaving import CacheBefore
from .lenient import check_on_error
from .limits import Limits
from .pool import Pool
from .runfiles import RunFiles
from .server import Unfinished
from .shared import Shared, share
from .stagerun import Observer, StageRun
from .telling import Telling

__all__ = ["Limits", "Observer", "run_plan"]

log = logging.getLogger("oocarray")

Array = np.ndarray[Any, Any]


def run_plan(
    plan: Plan,
    limits: Limits,
    pool: Pool,
    opened: dict[tuple[int, int], int] | None = None,
    observers: Sequence[Observer] = (),
    folders: Collection[str] = (),
) -> list[Array]:
    """Run all stages of a plan.

    Parameters
    ----------
    plan : Plan
    limits : Limits
    pool : Pool
    opened : dict, optional
        Descriptors, by device and inode, of files that have no name yet.
    observers : sequence of callable
        Told of what happens; what they raise is logged, not raised.
    folders : collection of str
        Where Zarr arrays that are new are made.

    Returns
    -------
    list of numpy.ndarray
        One per entry of ``plan.outputs``.

    Raises
    ------
    PlanError
        From `oocarray.validate.validate`.
    WorkerDiedError, TornBlockError
        A worker process ended.
    ArrayLockedError
        Another run changes a file that this one reads, or uses one that this one changes.
    InputChangedError
        An input file changed meanwhile.
    Exception
        Whatever a block function raised, with a note that names the block.
    """
    check_on_error(plan, limits.on_error, limits.fill_value)
    validate(plan, budget=limits.memory, separate=pool.separate)
    coordinator = _Coordinator(plan, limits, pool, opened or {}, observers, folders)
    try:
        pool.watch(_unfinished(opened or {}))
        for number in range(len(plan.stages)):
            coordinator.run_stage(number)
        coordinator.files.check()
        coordinator.tell_rest()
        return [coordinator.results[result.stage, result.write] for result in plan.outputs]
    finally:
        coordinator.close()


class _Coordinator(Telling):
    def __init__(
        self,
        plan: Plan,
        limits: Limits,
        pool: Pool,
        opened: dict[tuple[int, int], int],
        observers: Sequence[Observer],
        folders: Collection[str],
    ) -> None:
        super().__init__(limits, observers)
        self.plan, self.pool = plan, pool
        needed = resident_bytes(plan, min(pool.size, limits.workers), pool.separate)
        self.residency: Residency = choose_residency(needed, limits.memory)
        self.spare = max(limits.memory - needed, 0)
        self.held = kept_bytes(plan, pool.separate)
        """Bytes of results and copies that are in memory until the run ends, at most."""
        self.cache = CacheBefore(opened, limits.drop)
        self.results: dict[tuple[int, int], Array] = {}
        self._given_up = pool.given_up
        self.files = RunFiles(plan, opened, limits.lock)
        self.repeat = Repeater()
        self._new, self._folders = set(opened), frozenset(folders)
        self._shared: dict[int, tuple[Any, Shared]] = {}
        self._copies: list[tuple[Array, Array]] = []

    def close(self) -> None:
        try:
            self.cache.let_go()
        finally:
            # A thread that was given up may go on storing: the lock ends with it.
            self.files.close(unlock=self.pool.given_up == self._given_up)
            for _, shared in self._shared.values():
                shared.close()

    def run_stage(self, number: int) -> None:
        """Run one stage to its end, or raise."""
        stage = self._with_results(self.plan.stages[number])
        fresh = tuple(n for n, write in enumerate(stage.writes) if self._fresh(write))
        old = tuple(n for n in range(len(stage.writes)) if self._leaves_out(stage, n))
        stage = self._with_memory(number, stage)
        run = StageRun(self, number, stage, fresh, old)
        run.run()
        if run.failed:
            self.missing.append((stage, run.failed))
        while self._copies:
            mine, shared = self._copies.pop()
            mine[...] = shared
        for write_number, write in enumerate(stage.writes):
            if isinstance(write, Partials):
                tree = run.trees[write_number]
                self.results[number, write_number] = write.reduction.finish(tree.result())

    def _fresh(self, write: Any) -> bool:
        """Whether what a stage writes into is zeros when it begins."""
        if isinstance(write, Blocks) and isinstance(write.target, Strided):
            return (write.target.file.dev, write.target.file.ino) in self._new
        if isinstance(write, Blocks):
            if isinstance(write.target, Tiled) and not self._is_new(write.target):
                return False
            return self.pool.separate and self.limits.on_error != "skip"
        return isinstance(write, Scratch)

    def _is_new(self, target: Tiled) -> bool:
        return isinstance(target.table, ZarrTable) and target.table.array.folder in self._folders

    def _leaves_out(self, stage: Stage, number: int) -> bool:
        """Whether blocks of an array in pieces that was there may keep some of what it holds."""
        write, value = stage.writes[number], stage.kernel.values[number]
        if not isinstance(write, Blocks) or not isinstance(write.target, Tiled):
            return False
        if self._is_new(write.target):
            return False
        call = value.call if isinstance(value, Pick) else value
        # What is returned is stored whole; what is filled by a function may be filled in part.
        filled = isinstance(call, Call) and call.form != "block"
        return filled or (self.limits.on_error == "skip" and bool(calls_in([value])))

    def _with_results(self, stage: Stage) -> Stage:
        """Put arrays in memory where the stage reads what an earlier one has made."""
        reads = tuple(
            Access(InMemory(self.results[access.source.stage, access.source.write]), access.how)
            if isinstance(access.source, Result)
            else access
            for access in stage.reads
        )
        return replace(stage, reads=reads)

    def _with_memory(self, number: int, stage: Stage) -> Stage:
        """Lay out what lives in memory: results as a whole, and for processes what they read."""
        writes: list[Any] = []
        for write_number, write in enumerate(stage.writes):
            if isinstance(write, Scratch):
                target: Any
                if self.pool.separate:
                    shared = Shared(write.shape, write.dtype)
                    self._shared[id(shared)] = shared, shared
                    target, array = shared.strided, shared.array
                else:
                    # As in files and shared memory, what a kernel leaves out is zero.
                    array = np.zeros(write.shape, write.dtype)
                    target = InMemory(array)
                self.results[number, write_number] = array
                write = Blocks(target, write.grid)
            elif self.pool.separate and isinstance(write, Blocks):
                write = self._shared_target(write)
            writes.append(write)
        reads = stage.reads
        if self.pool.separate:
            reads = tuple(
                Access(self.address(access.source.array), access.how)
                if isinstance(access.source, InMemory)
                else access
                for access in reads
            )
        return replace(stage, reads=reads, writes=tuple(writes))

    def _shared_target(self, write: Blocks) -> Blocks:
        """Let workers fill shared memory where the target is an array of this process."""
        if not isinstance(write.target, InMemory):
            return write
        shared = Shared(write.target.shape, write.target.dtype)
        if self.limits.on_error == "skip":
            # A block that is skipped stays as it was.
            shared.array[...] = write.target.array
        self._shared[id(shared)] = shared, shared
        self._copies.append((write.target.array, shared.array))
        return Blocks(shared.strided, write.grid)

    def address(self, array: Array) -> Strided:
        """Say where workers see an array: in its file if it is mapped, else put in memory once."""
        mapped = layout_of(array) if array.size else None
        if mapped is not None:
            return mapped
        known = self._shared.get(id(array))
        if known is None:
            known = self._shared[id(array)] = array, share(array)
        return known[1].strided

    def descriptor(self, key: FileKey) -> int:
        """Return the run's descriptor of a file or of shared memory; it stays the run's."""
        for _, shared in self._shared.values():
            if (shared.strided.file.dev, shared.strided.file.ino) == (key.dev, key.ino):
                return shared.fd
        return self.files.fd(key)


def _unfinished(opened: dict[tuple[int, int], int]) -> list[Unfinished]:
    """New files that have a temporary name, for want of a better way on their file system."""
    found = []
    for (dev, ino), fd in opened.items():
        with contextlib.suppress(OSError):
            if os.fstat(fd).st_nlink:
                found.append((os.readlink(f"/proc/self/fd/{fd}"), dev, ino))
    return found
