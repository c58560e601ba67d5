"""One stage on its way: what it is cut into, what its workers are told, what they have yielded.

Who gets which task, and what is done when something goes wrong, is decided elsewhere.  It
computes nothing itself.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from ..errors import BudgetError
from ..estimate import calls_of, item_cost, stage_bytes
from ..grid import Coords
from ..leaves import PartialTree
from ..pages.residency import FOLIO, Residency
from ..plan import Advanced, Began, Ended, Event, Partials, Plan, Stage
from ..storage.layout import FileKey, Strided
from ..storage.memmaps import layout_of
from ..units import format_at_least, format_bytes
from .carry import pack
from .causes import Causes
from .forwarding import Repeater, least_level
from .handing import Handing
from .job import Answer, Job
from .leaving import CacheBefore, drop_of
from .limits import Limits
from .outside import outside
from .pipeline import pipeline
from .pool import Pool
from .stagefiles import StageFiles
from .stageloop import StageLoop

__all__ = ["Observer", "StageRun"]

log = logging.getLogger("oocarray")

Array = np.ndarray[Any, Any]
Observer = Callable[[Event], None]

_job_numbers = iter(range(1 << 62))


class Coordinator(Protocol):
    """What a stage needs to know of the run that it is part of."""

    plan: Plan
    limits: Limits
    pool: Pool
    residency: Residency
    spare: int
    held: int
    cache: CacheBefore
    repeat: Repeater
    flags: set[str]

    def tell(self, event: Event) -> None:
        """Tell the observers."""

    def descriptor(self, key: FileKey) -> int:
        """An open descriptor of a file of the run, which stays the run's."""

    def address(self, array: Array) -> Strided:
        """Put an array where workers see it."""


class StageRun:
    """One stage on its way."""

    def __init__(
        self,
        coordinator: Coordinator,
        number: int,
        stage: Stage,
        fresh: tuple[int, ...] = (),
        old: tuple[int, ...] = (),
    ) -> None:
        self.coordinator, self.number, self.stage = coordinator, number, stage
        self.pool, self.limits = coordinator.pool, coordinator.limits
        self.policy = coordinator.residency.policy
        self.began = time.perf_counter()
        self.trees = {
            index: PartialTree(write.reduction, write.leaves)
            for index, write in enumerate(stage.writes)
            if isinstance(write, Partials)
        }
        self.kernel_seconds = 0.0
        self.read_bytes, self.written_bytes = stage_bytes(stage)
        self.job_number = next(_job_numbers)
        self.workers = min(self.pool.size, self.limits.workers)
        self.files: StageFiles
        self.arguments: list[FileKey] = []
        self.argument_bytes = 0
        self.fresh, self._old = fresh, old
        self.failed: dict[Coords, str] = {}
        """Blocks that the run goes on without, and what their functions raised."""

    def run(self) -> None:
        kernel: Any = self.stage.kernel
        if len(kernel.reductions) != len(self.stage.writes):
            reductions = tuple(getattr(write, "reduction", None) for write in self.stage.writes)
            kernel = replace(kernel, reductions=reductions)
        if self.pool.separate:
            kernel = pack(kernel, self._argument)
        self._plan_tasks()
        self.files = StageFiles(
            self.stage,
            self.arguments,
            self.coordinator.descriptor,
            self.coordinator.cache,
            self.policy == "stream",
            self.drop,
            self.tasks.item_bytes + FOLIO,
        )
        ok = False
        items = self.stage.grid.size
        try:
            self._tell_began(items)
            if items:
                try:
                    self.pool.start(self._job(kernel), self.files.fds)
                    self._loop()
                finally:
                    self.pool.finish()
            self.files.settle(self.limits.durable)
            ok = True
        finally:
            try:
                self.files.let_go(failed=not ok)
            finally:
                seconds = time.perf_counter() - self.began
                failed = tuple(sorted(self.failed.items()))
                self.coordinator.tell(Ended(self.number, seconds, ok, self.kernel_seconds, failed))

    # ---- before ----------------------------------------------------------------------------

    def _argument(self, array: Array) -> Strided:
        # A view of mapped pages is a file already: nothing is copied.
        strided = layout_of(array)
        if strided is None:
            strided = self.coordinator.address(array)
            if strided.file not in self.arguments:
                self.argument_bytes += array.nbytes
        self.arguments.append(strided.file)
        return strided

    def _plan_tasks(self) -> None:
        known = item_cost(self.stage, self.pool.separate).arguments
        unforeseen = max(self.argument_bytes - known, 0)
        if unforeseen * self.workers > self.coordinator.spare:
            # Arrays in closures, which nobody could see before, beside all that was to stay.
            self.policy = "stream"
        memory = self.limits.memory - self.coordinator.held
        tasks = self.tasks = pipeline(
            self.stage,
            memory,
            self.workers,
            self.policy,
            self.limits.tuning.unit,
            self.pool.separate,
            self.argument_bytes,
        )
        self.workers = tasks.workers
        if unforeseen and self.policy == "stream" and memory < tasks.least:
            raise BudgetError(
                f"{self.stage.label}: the functions and their arguments hold arrays of "
                f"{format_bytes(self.argument_bytes)}, so that one block needs "
                f"{format_bytes(tasks.least)} and the results {format_bytes(self.coordinator.held)}"
                f", the memory budget is {format_bytes(self.limits.memory)}; give at least "
                f"{format_at_least(self.coordinator.held + tasks.least)} by "
                "oo.options(memory=...), or pass the arrays as files (numpy.memmap)"
            )
        self.drop = drop_of(self.policy, self.limits.drop)
        apart = self.policy == "resident"
        items = self.stage.grid.size
        # How long a user's function takes, nobody knows before.
        unknown = bool(calls_of(self.stage))
        self.handing = Handing(
            self.job_number, items, tasks, self.pool.size, self.pool.depth, apart, unknown
        )
        log.debug(
            "stage %d %s: %d items of %d bytes, %d per task, %s, budget %d of %d",
            self.number,
            self.stage.label,
            items,
            tasks.item_bytes,
            tasks.per_task,
            self.policy,
            tasks.available,
            self.limits.memory,
        )

    def _job(self, kernel: Any) -> Job:
        return Job(
            number=self.job_number,
            stage=replace(
                self.stage,
                kernel=None,
                writes=tuple(
                    replace(write, reduction=None) if isinstance(write, Partials) else write
                    for write in self.stage.writes
                ),
            ),
            kernel=kernel,
            files=self.files.keys,
            policy=self.policy,
            spare=self.coordinator.spare if self.policy == "resident" else 0,
            drop=self.drop != "never",
            keep=self.policy == "resident" and self.drop == "never",
            fresh=self.fresh,
            old=self._old,
            on_error=self.limits.on_error,
            fill_value=self.limits.fill_value,
            errstate=np.geterr(),
            path=tuple(sys.path),
            folder=_folder(),
            environ=dict(os.environ) if self.pool.separate else {},
            log_level=least_level(),
            tuning=self.limits.tuning,
        )

    def _tell_began(self, items: int) -> None:
        self.coordinator.tell(
            Began(
                stage=self.number,
                stages=len(self.coordinator.plan.stages),
                label=self.stage.label,
                items=items,
                nbytes=self.read_bytes + self.written_bytes,
                budget=self.limits.memory,
                policy=self.policy,
                pids=tuple(self.pool.pids),
            )
        )

    # ---- in the run --------------------------------------------------------------------------

    def _loop(self) -> None:
        files = zip((key for key, _ in self.files.keys), self.files.fds, strict=True)
        StageLoop(
            self.stage,
            self.job_number,
            self.pool,
            self.limits,
            self.handing,
            Causes(files),
            self._done,
            self._say,
        ).run()

    def _done(self, answer: Answer) -> None:
        """Take in what a task has yielded."""
        for partial in answer.partials:
            self.trees[partial.write].set(partial.box, partial.value)
        self.kernel_seconds += answer.seconds
        self.failed.update(answer.failed)
        self.coordinator.flags.update(answer.flags)
        if answer.kept_bytes:
            warnings.warn(
                f"{self.stage.label}: the function keeps its output blocks; "
                f"{answer.kept_bytes} bytes stay mapped beyond the memory budget",
                stacklevel=outside(),
            )
        self.files.drop_behind(answer.task)
        share_of_bytes = (self.read_bytes + self.written_bytes) * answer.task.count
        self.coordinator.tell(
            Advanced(self.number, answer.task.count, share_of_bytes // self.stage.grid.size)
        )

    def _say(self, message: Any) -> None:
        """Pass on what workers say, and that time goes by, however long one block takes."""
        if message is None:
            self.coordinator.tell(Advanced(self.number, 0, 0))
        else:
            self.coordinator.repeat(message)


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "/"
