"""Runs the stages of a plan in order and keeps what lives between them; hands out no task itself.

Results of a stage stay in memory for the next; arrays that workers must see are put in
shared memory once per run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..estimate import distinct_bytes
from ..pages.residency import Residency, choose_residency
from ..plan import Access, Blocks, Event, InMemory, Partials, Plan, Result, Scratch, Stage
from ..storage.layout import FileKey, Strided
from ..storage.memmaps import layout_of
from ..validate import validate
from .files import reopen
from .forwarding import Repeater
from .limits import Limits
from .pool import Pool
from .shared import Shared, share
from .stagerun import Observer, StageRun

__all__ = ["Limits", "Observer", "run_plan"]

log = logging.getLogger("oocarray")

Array = np.ndarray[Any, Any]


def run_plan(
    plan: Plan,
    limits: Limits,
    pool: Pool,
    opened: dict[tuple[int, int], int] | None = None,
    observers: Sequence[Observer] = (),
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
    InputChangedError
        An input file changed meanwhile.
    Exception
        Whatever a block function raised, with a note that names the block.
    """
    validate(plan, budget=limits.memory)
    coordinator = _Coordinator(plan, limits, pool, opened or {}, observers)
    try:
        for number in range(len(plan.stages)):
            coordinator.run_stage(number)
        return [coordinator.results[result.stage, result.write] for result in plan.outputs]
    finally:
        coordinator.close()


class _Coordinator:
    def __init__(
        self,
        plan: Plan,
        limits: Limits,
        pool: Pool,
        opened: dict[tuple[int, int], int],
        observers: Sequence[Observer],
    ) -> None:
        self.plan, self.limits, self.pool, self.observers = plan, limits, pool, observers
        distinct = distinct_bytes(plan)
        self.residency: Residency = choose_residency(distinct, limits.memory)
        self.spare = max(limits.memory - distinct, 0)
        self.results: dict[tuple[int, int], Array] = {}
        self._opened = opened
        self.repeat = Repeater()
        self._shared: dict[int, tuple[Any, Shared]] = {}
        self._copies: list[tuple[Array, Array]] = []
        self.held = 0
        """Bytes of the run that are in memory from now to its end."""

    def tell(self, event: Event) -> None:
        for observer in self.observers:
            try:
                observer(event)
            except Exception:
                log.exception("an observer failed on %s", type(event).__name__)

    def close(self) -> None:
        for _, shared in self._shared.values():
            shared.close()

    def run_stage(self, number: int) -> None:
        """Run one stage to its end, or raise."""
        stage = self._with_results(self.plan.stages[number])
        stage = self._with_memory(number, stage)
        run = StageRun(self, number, stage)
        try:
            run.run()
        finally:
            run.close()
        while self._copies:
            mine, shared = self._copies.pop()
            mine[...] = shared
        for write_number, write in enumerate(stage.writes):
            if isinstance(write, Partials):
                tree = run.trees[write_number]
                self.results[number, write_number] = write.reduction.finish(tree.result())

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
                self.held += write.nbytes
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
        self._shared[id(shared)] = shared, shared
        self._copies.append((write.target.array, shared.array))
        self.held += write.target.nbytes
        return Blocks(shared.strided, write.grid)

    def address(self, array: Array) -> Strided:
        """Say where workers see an array: in its file if it is mapped, else put in memory once."""
        mapped = layout_of(array) if array.size else None
        if mapped is not None:
            return mapped
        known = self._shared.get(id(array))
        if known is None:
            known = self._shared[id(array)] = array, share(array)
            self.held += array.nbytes
        return known[1].strided

    def open(self, key: FileKey, writable: bool) -> int:
        """Open a file of the run anew, and see that it is still the one that was planned for."""
        for _, shared in self._shared.values():
            if (shared.strided.file.dev, shared.strided.file.ino) == (key.dev, key.ino):
                return os.dup(shared.fd)
        if (key.dev, key.ino) in self._opened:
            return reopen(self._opened[key.dev, key.ino], writable)
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOCTTY
        fd = os.open(key.path, flags)
        try:
            key.check_open(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd
