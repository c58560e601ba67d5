"""Hands out the tasks of a plan and keeps the promises of memory and order; it computes nothing itself.

The coordinator knows which worker holds which task, holds back tasks whose bytes would
not fit the budget, drops cached pages behind the workers, combines partial results in
their fixed tree, and turns whatever goes wrong into one exception for the caller.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import BlockFailedError, InputChangedError, TornBlockError, WorkerDiedError
from ..estimate import distinct_bytes, item_cost, stage_bytes
from ..pages import calls
from ..pages.residency import FOLIO, Finished, Residency, choose_residency, work_unit
from ..partials import PartialTree
from ..plan import (
    Access,
    Advanced,
    Began,
    Blocks,
    Ended,
    Event,
    InMemory,
    Partials,
    Plan,
    Result,
    Scratch,
    Stage,
    Task,
)
from ..storage.layout import FileKey, Strided
from ..validate import validate
from .carry import pack
from .files import reopen
from .job import Answer, Died, Failure, Job, Said, Warned
from .pool import Pool
from .queueing import TaskQueue
from .shared import Shared, share

__all__ = ["Limits", "run_plan"]

log = logging.getLogger("oocarray")

Array = np.ndarray[Any, Any]
Observer = Callable[[Event], None]

_GRACE_SECONDS = 5.0
"""How long running blocks may go on after Ctrl-C."""
_job_numbers = iter(range(1 << 62))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use, decided."""

    memory: int
    workers: int
    progress: bool | None = None


class RemoteError(Exception):
    """The traceback of an exception, as text from where it was raised."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def run_plan(
    plan: Plan,
    limits: Limits,
    pool: Pool,
    opened: dict[tuple[int, int], int] | None = None,
    observers: Sequence[Observer] = (),
) -> list[Array | None]:
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
        self.residency: Residency = choose_residency(distinct_bytes(plan), limits.memory)
        self.results: dict[tuple[int, int], Array] = {}
        self._opened = opened
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
        run = _StageRun(self, number, stage)
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
                    array = np.empty(write.shape, write.dtype)
                    target = InMemory(array)
                self.results[number, write_number] = array
                self.held += write.nbytes
                write = Blocks(target, write.grid)
            elif isinstance(write, Blocks) and isinstance(write.target, InMemory):
                if self.pool.separate:
                    shared = Shared(write.target.shape, write.target.dtype)
                    self._shared[id(shared)] = shared, shared
                    self._copies.append((write.target.array, shared.array))
                    self.held += write.target.nbytes
                    write = Blocks(shared.strided, write.grid)
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

    def address(self, array: Array) -> Strided:
        """Put an array where workers see it, once per run."""
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
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) != (key.dev, key.ino):
            os.close(fd)
            raise InputChangedError(
                f"{key.path} is another file than the one that was opened; open it again"
            )
        return fd


class _StageRun:
    """One stage on its way."""

    def __init__(self, coordinator: _Coordinator, number: int, stage: Stage) -> None:
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
        self.fds: list[int] = []
        self.arguments: list[FileKey] = []
        self.stopped = False
        self.failure: BaseException | None = None

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()

    def run(self) -> None:
        kernel: Any = replace(
            self.stage.kernel,
            reductions=tuple(getattr(write, "reduction", None) for write in self.stage.writes),
        )
        if self.pool.separate:
            kernel = pack(kernel, self._argument)
        self._open_files()
        self._plan_tasks()
        ok = False
        items = self.stage.grid.size
        try:
            self._tell_began(items)
            if items:
                self.pool.start(self._job(kernel), self.fds)
                try:
                    self._loop()
                finally:
                    self.pool.finish()
            self._drop_all()
            self._check_inputs()
            ok = True
        finally:
            seconds = time.perf_counter() - self.began
            self.coordinator.tell(Ended(self.number, seconds, ok, self.kernel_seconds))

    # ---- before ----------------------------------------------------------------------------

    def _argument(self, array: Array) -> Strided:
        strided = self.coordinator.address(array)
        self.arguments.append(strided.file)
        return strided

    def _open_files(self) -> None:
        wanted: dict[tuple[int, int], tuple[FileKey, bool]] = {}

        def want(key: FileKey, writable: bool) -> None:
            _, before = wanted.get((key.dev, key.ino), (key, False))
            wanted[key.dev, key.ino] = key, before or writable

        for access in self.stage.reads:
            if isinstance(access.source, Strided):
                want(access.source.file, False)
        for write in self.stage.writes:
            if isinstance(write, Blocks) and isinstance(write.target, Strided):
                want(write.target.file, True)
        for key in self.arguments:
            want(key, False)
        self.files = tuple(wanted.values())
        self.by_id: dict[tuple[int, int], int] = {}
        for key, writable in self.files:
            fd = self.coordinator.open(key, writable)
            self.fds.append(fd)
            self.by_id[key.dev, key.ino] = fd
        self.finished = {
            file_id: Finished(self._cached_before(fd, file_id))
            for file_id, fd in self.by_id.items()
        }
        self.stamps = {
            file_id: _stamp(fd)
            for (key, writable), (file_id, fd) in zip(self.files, self.by_id.items(), strict=True)
            if not writable and key.path != "(memory)"
        }

    def _cached_before(self, fd: int, file_id: tuple[int, int]) -> list[tuple[int, int]]:
        """Find what is in the page cache already: that is not this run's to drop."""
        if self.policy == "resident":
            return []
        size = os.fstat(fd).st_size
        cached = calls.cached_bytes(fd, 0, size)
        if not cached:
            return []
        # Looked at in at most 1,024 pieces: a piece counts as cached when nearly all of it is.
        piece = max(-(-size // 1024 // FOLIO) * FOLIO, FOLIO)
        kept: list[tuple[int, int]] = []
        for start in range(0, size, piece):
            stop = min(start + piece, size)
            inside = calls.cached_bytes(fd, start, stop - start) or 0
            if inside >= 0.9 * (stop - start):
                if kept and kept[-1][1] == start:
                    kept[-1] = kept[-1][0], stop
                else:
                    kept.append((start, stop))
        return kept

    def _plan_tasks(self) -> None:
        cost = item_cost(self.stage)
        # The kernel may keep a page or two more than asked for at each end of a block.
        self.item_bytes = max(cost.total, 1)
        self.available = max(self.limits.memory - self.coordinator.held, self.item_bytes)
        arrays = max(len(self.stage.reads) + len(self.stage.writes), 1)
        unit = work_unit(self.available, self.pool.size, arrays)
        largest = max(cost.read, cost.written, 1)
        items = self.stage.grid.size
        # Enough tasks that all workers end together, even when the whole is small.
        fair = max(items // (self.pool.size * 8), 1)
        per_task = max(min(unit * max(arrays - 1, 1) // largest, fair, 4096), 1)
        self.queue = TaskQueue(
            self.number, items, per_task, self.pool.size, apart=self.policy == "resident"
        )
        self.reach = largest + FOLIO
        log.debug(
            "stage %d %s: %d items of %d bytes, %d per task, %s, budget %d of %d",
            self.number,
            self.stage.label,
            items,
            self.item_bytes,
            per_task,
            self.policy,
            self.available,
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
            files=self.files,
            policy=self.policy,
            errstate=np.geterr(),
            path=tuple(sys.path),
            folder=_folder(),
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
        try:
            while True:
                if not self.stopped:
                    self._hand_out()
                if not any(self.outstanding.values()) and (self.stopped or not self.queue):
                    break
                self._hear(self.pool.wait(0.2))
        except KeyboardInterrupt:
            self._stop(_GRACE_SECONDS)
            raise
        except BaseException:
            self._stop(0.5)
            raise
        if self.failure is not None:
            raise self.failure

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
                cost = task.count * self.item_bytes
                if self.in_flight and self.in_flight + cost > self.available:
                    return
                self.queue.take(worker)
                self.in_flight += cost
                tasks.append(task)
                self.pool.submit(worker, task)
                given = True

    def _hear(self, messages: Iterable[Any]) -> None:
        for message in messages:
            if isinstance(message, Answer):
                self._answered(message)
            elif isinstance(message, Said):
                stream = sys.stdout if message.stream == "stdout" else sys.stderr
                where = f"[block {message.block}] " if message.block is not None else ""
                stream.write(f"{where}{message.text}\n")
            elif isinstance(message, Warned):
                text = message.message
                if message.block is not None:
                    text += f" (block {message.block})"
                warnings.warn_explicit(text, message.category, message.filename, message.lineno)
            elif isinstance(message, Died):
                self._died(message)

    def _answered(self, answer: Answer) -> None:
        if answer.task.stage == self.job_number and answer.task.first < 0:
            # The worker could not even begin.
            self._fail(answer.failure)
            self.outstanding[answer.worker].clear()
            return
        if answer.task not in self.outstanding[answer.worker]:
            return
        self.outstanding[answer.worker].remove(answer.task)
        self.in_flight -= answer.task.count * self.item_bytes
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
        self._drop(answer.task)
        share_of_bytes = (self.read_bytes + self.written_bytes) * answer.task.count
        self.coordinator.tell(
            Advanced(self.number, answer.task.count, share_of_bytes // self.stage.grid.size)
        )

    def _fail(self, failure: Failure | None) -> None:
        """Remember the first failure and stop; the others follow from it, or will come again."""
        if self.failure is None and failure is not None:
            error = failure.exception or BlockFailedError(failure.text)
            error.__cause__ = RemoteError(failure.text)
            self.failure = error
        if not self.stopped:
            self._stop(_GRACE_SECONDS if self.stage.in_place else 0.5)

    def _died(self, death: Died) -> None:
        held = self.outstanding[death.worker]
        if not held and not self.queue:
            return
        block = None
        if death.stage == self.job_number and death.item >= 0:
            block = self.stage.grid.coords(death.item)
        how = _how(death.status)
        where = "before its first block" if block is None else f"in block {block}"
        text = (
            f"worker process {death.pid} was ended by {how} {where} of {self.stage.label!r}"
            f"{_likely(how)}"
        )
        error: WorkerDiedError
        if self.stage.in_place and block is not None:
            torn = tuple(
                self.stage.grid.coords(item)
                for task in held
                for item in range(task.first, task.first + task.count)
            )
            named = ", ".join(map(str, torn[:8])) + (" ..." if len(torn) > 8 else "")
            error = TornBlockError(
                f"{text}; it was updating in place: blocks that may be updated wholly, partly "
                f"or not at all: {named}",
                pid=death.pid,
                signal=how,
                block=block,
            )
            error.blocks = torn
        else:
            error = WorkerDiedError(text, pid=death.pid, signal=how, block=block)
        held.clear()
        self.failure = self.failure or error
        if not self.stopped:
            self._stop(_GRACE_SECONDS if self.stage.in_place else 0.5)

    def _stop(self, grace: float) -> None:
        """Run no more tasks; wait for those that run, then end their workers."""
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
                for worker in late:
                    self.outstanding[worker].clear()

    # ---- the page cache ------------------------------------------------------------------------

    def _spans(self, task: Task) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
        grid = self.stage.grid
        for item in range(task.first, task.first + task.count):
            coords = grid.coords(item)
            for access in self.stage.reads:
                if isinstance(access.source, Strided) and access.source.size:
                    key = access.source.file
                    region = access.how.region(grid, coords, access.source.shape)
                    yield (key.dev, key.ino), access.source.span(region)
            for write in self.stage.writes:
                if isinstance(write, Blocks) and isinstance(write.target, Strided):
                    key = write.target.file
                    yield (key.dev, key.ino), write.target.span(write.grid.region(coords))

    def _drop(self, task: Task) -> None:
        """Let go of cached pages behind a task, as far as they came with this run."""
        if self.policy == "resident":
            return
        for file_id, (start, stop) in self._spans(task):
            for low, high in self.finished[file_id].add(start, stop, self.reach):
                calls.drop_cached(self.by_id[file_id], low, high - low)

    def _drop_all(self) -> None:
        for file_id, finished in self.finished.items():
            for low, high in finished.all():
                calls.drop_cached(self.by_id[file_id], low, high - low)

    def _check_inputs(self) -> None:
        for file_id, stamp in self.stamps.items():
            now = _stamp(self.by_id[file_id])
            if now != stamp:
                path = next(k.path for k, _ in self.files if (k.dev, k.ino) == file_id)
                raise InputChangedError(
                    f"{path} was changed while it was read: size {stamp[0]} and then {now[0]} "
                    f"bytes, last written {(now[1] - stamp[1]) / 1e9:.3f} s later than before"
                )


def _stamp(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_size, found.st_mtime_ns


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "/"


def _how(status: int | None) -> str:
    if status is None:
        return "an unknown cause"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _likely(how: str) -> str:
    causes = {
        "SIGKILL": "a memory limit, or somebody's kill",
        "SIGBUS": "a file that was truncated while it was mapped, or a full disk",
        "SIGSEGV": "a store outside the block: try @oo.kernel(boundscheck=True)",
        "SIGABRT": "a library that called abort()",
    }
    return f"; likely cause: {causes[how]}" if how in causes else ""
