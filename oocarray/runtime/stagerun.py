"""One stage on its way: who holds which task, what fits the budget, what has come back.

The coordinator knows which worker holds which task, holds back tasks whose bytes would not
fit, has cached pages dropped behind the workers, and turns whatever goes wrong into one
exception for the caller.  It computes nothing itself.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from ..errors import BudgetError
from ..estimate import stage_bytes
from ..leaves import PartialTree
from ..pages.residency import FOLIO, Residency
from ..plan import Advanced, Began, Ended, Event, Partials, Plan, Stage, Task
from ..storage.layout import FileKey, Strided
from ..storage.memmaps import layout_of
from ..units import format_bytes
from .carry import pack
from .failures import add_note, blocks_of, death_error, named, raised_error
from .forwarding import Repeater, least_level
from .interrupts import Interrupts
from .job import Answer, Died, Failure, Job
from .limits import Limits
from .pipeline import pipeline
from .pool import Pool
from .queueing import TaskQueue
from .stagefiles import StageFiles

__all__ = ["Observer", "StageRun"]

log = logging.getLogger("oocarray")

Array = np.ndarray[Any, Any]
Observer = Callable[[Event], None]

_GRACE_SECONDS = 5.0
"""How long running blocks may go on after Ctrl-C, or a failure while an array is updated."""
_SHORT_GRACE_SECONDS = 0.5
"""The same after another failure: what they make is thrown away."""
_job_numbers = iter(range(1 << 62))


class Coordinator(Protocol):
    """What a stage needs to know of the run that it is part of."""

    plan: Plan
    limits: Limits
    pool: Pool
    residency: Residency
    spare: int
    held: int
    repeat: Repeater

    def tell(self, event: Event) -> None:
        """Tell the observers."""

    def open(self, key: FileKey, writable: bool) -> int:
        """Open a file of the run."""

    def address(self, array: Array) -> Strided:
        """Put an array where workers see it."""


class StageRun:
    """One stage on its way."""

    def __init__(self, coordinator: Coordinator, number: int, stage: Stage) -> None:
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
        self.outstanding: dict[int, list[Task]] = {w: [] for w in range(self.pool.size)}
        self.in_flight = 0
        self.files: StageFiles
        self.arguments: list[FileKey] = []
        self.stopped = False
        self.failure: BaseException | None = None

    def close(self) -> None:
        if hasattr(self, "files"):
            self.files.close()

    def run(self) -> None:
        kernel: Any = replace(
            self.stage.kernel,
            reductions=tuple(getattr(write, "reduction", None) for write in self.stage.writes),
        )
        if self.pool.separate:
            kernel = pack(kernel, self._argument)
        self._plan_tasks()
        self.files = StageFiles(
            self.stage,
            self.arguments,
            self.coordinator.open,
            self.policy == "stream",
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
            seconds = time.perf_counter() - self.began
            self.coordinator.tell(Ended(self.number, seconds, ok, self.kernel_seconds))

    # ---- before ----------------------------------------------------------------------------

    def _argument(self, array: Array) -> Strided:
        # A view of mapped pages is a file already: nothing is copied.
        strided = layout_of(array) or self.coordinator.address(array)
        self.arguments.append(strided.file)
        return strided

    def _plan_tasks(self) -> None:
        memory = self.limits.memory - self.coordinator.held
        tasks = self.tasks = pipeline(self.stage, memory, self.pool.size, self.policy)
        if self.policy == "stream" and memory < 0 and self.stage.grid.size:
            raise BudgetError(
                f"{self.stage.label}: results and arguments hold "
                f"{format_bytes(self.coordinator.held)} in memory, one block needs "
                f"{format_bytes(tasks.item_bytes)}, the memory budget is "
                f"{format_bytes(self.limits.memory)}; set memory= to at least "
                f"{format_bytes(self.coordinator.held + tasks.item_bytes)}, or store() the result"
            )
        apart = self.policy == "resident"
        items = self.stage.grid.size
        self.queue = TaskQueue(self.job_number, items, tasks.per_task, self.pool.size, apart)
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
            spare=self.coordinator.spare,
            errstate=np.geterr(),
            path=tuple(sys.path),
            folder=_folder(),
            log_level=least_level(),
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
                pids=tuple(getattr(self.pool, "pids", ())),
            )
        )

    # ---- the loop ------------------------------------------------------------------------------

    def _loop(self) -> None:
        with Interrupts(self.pool.held) as interrupts:
            self._go(interrupts)
        if self.failure is not None:
            raise self.failure

    def _go(self, interrupts: Interrupts) -> None:
        try:
            while True:
                interrupts.check()
                if not self.stopped:
                    self._hand_out()
                if not any(self.outstanding.values()) and (self.stopped or not self.queue):
                    break
                messages = self.pool.wait(0.2)
                self._hear(messages)
                if self.failure is not None and not self.stopped:
                    self._stop(self._grace(), self.failure)
                if not messages:
                    # Observers learn that time goes by, however long one block takes.
                    self.coordinator.tell(Advanced(self.number, 0, 0))
        except KeyboardInterrupt as error:
            self._stop(_GRACE_SECONDS, error)
            raise
        except BaseException as error:
            self._stop(self._grace(), error)
            raise

    def _hand_out(self) -> None:
        given = True
        while given:
            given = False
            for worker, tasks in self.outstanding.items():
                if len(tasks) >= self.pool.depth:
                    continue
                task = self.queue.peek(worker)
                if task is None:
                    continue
                cost = task.count * self.tasks.item_bytes
                if self.in_flight and self.in_flight + cost > self.tasks.available:
                    return
                self.queue.take(worker)
                self.in_flight += cost
                tasks.append(task)
                self.pool.submit(worker, task)
                given = True

    def _hear(self, messages: Iterable[Any]) -> None:
        for message in messages:
            try:
                if isinstance(message, Answer):
                    self._answered(message)
                elif isinstance(message, Died):
                    self._died(message)
                else:
                    self.coordinator.repeat(message)
            except Exception as error:
                # A warning that the caller made an error, say: the other messages still count.
                self.failure = self.failure or error

    def _answered(self, answer: Answer) -> None:
        if answer.task.stage == self.job_number and answer.task.first < 0:
            # The worker could not even begin.
            self._fail(answer.failure)
            self.outstanding[answer.worker].clear()
            return
        if answer.task not in self.outstanding[answer.worker]:
            return
        self.outstanding[answer.worker].remove(answer.task)
        self.in_flight -= answer.task.count * self.tasks.item_bytes
        if answer.cancelled:
            return
        if answer.failure is not None:
            self._fail(answer.failure)
            return
        for partial in answer.partials:
            self.trees[partial.write].set(partial.box, partial.value)
        self.kernel_seconds += answer.seconds
        if answer.kept_bytes:
            warnings.warn(
                f"{self.stage.label}: the function keeps its output blocks; "
                f"{answer.kept_bytes} bytes stay mapped beyond the memory budget",
                stacklevel=2,
            )
        self.files.drop_behind(answer.task)
        share_of_bytes = (self.read_bytes + self.written_bytes) * answer.task.count
        self.coordinator.tell(
            Advanced(self.number, answer.task.count, share_of_bytes // self.stage.grid.size)
        )

    def _fail(self, failure: Failure | None) -> None:
        """Remember the first failure and stop; the others follow from it, or will come again."""
        if self.failure is None and failure is not None:
            self.failure = raised_error(failure)

    def _died(self, death: Died) -> None:
        held = self.outstanding[death.worker]
        if not held and not self.queue:
            return
        error = death_error(death, self.stage, self.job_number, held)
        held.clear()
        self.failure = self.failure or error

    def _grace(self) -> float:
        # Blocks that are half updated had better be finished.
        return _GRACE_SECONDS if self.stage.in_place else _SHORT_GRACE_SECONDS

    def _stop(self, grace: float, error: BaseException) -> None:
        """Run no more tasks; wait for those that run, then end their workers.

        Blocks of an update in place that are lost so are named in a note on `error`.
        """
        self.stopped = True
        self.pool.cancel()
        limit = time.monotonic() + grace
        try:
            while any(self.outstanding.values()) and time.monotonic() < limit:
                self._hear(self.pool.wait(0.05))
        finally:
            late = [worker for worker, tasks in self.outstanding.items() if tasks]
            if late:
                self.pool.kill(late)
                if self.stage.in_place:
                    torn = blocks_of(self.stage, [t for w in late for t in self.outstanding[w]])
                    add_note(error, f"oocarray: these blocks may be half updated: {named(torn)}")
                for worker in late:
                    self.outstanding[worker].clear()


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "/"
