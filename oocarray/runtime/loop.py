"""The inside of a worker: one thread works, one brings pages in and lets them go; no scheduling.

The two threads hand each other tasks by queues.  The I/O thread is one task ahead of the
kernel, and answers for a written task when its bytes have left for the disk, one task
behind; a task that wrote nothing is answered at once by the kernel's thread.
"""

from __future__ import annotations

import collections
import contextlib
import os
import queue
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..grid import Grid
from ..plan import Task
from ..storage.layout import FileKey
from .beats import Pulse
from .carry import unpack
from .engine import Engine, Prepared
from .files import Files, KeptWindows, reopen
from .job import Answer, Failure, Job, When

__all__ = ["Loop", "add_place", "failure_of"]

Command = tuple[Any, ...]

IDLE_SECONDS = 30.0
"""After so long without a job a worker lets go of kept mappings: a deleted file frees its disk."""


class Loop:
    """Runs the tasks of one job after another.

    Parameters
    ----------
    worker : int
        Number under which answers are given.
    answer : callable
        Takes each `Answer`; called from both threads.
    kept : KeptWindows or None
        Where mappings of resident runs stay between jobs.
    pulse : Pulse, optional
        Where it is noted what is worked on.
    settle : callable, optional
        Called after the last item of each task, by the thread that worked on it.
    """

    def __init__(
        self,
        worker: int,
        answer: Callable[[Any], None],
        kept: KeptWindows | None,
        pulse: Pulse | None = None,
        settle: Callable[[], None] | None = None,
    ) -> None:
        self.worker, self.answer, self.kept = worker, answer, kept
        self.pulse = pulse or Pulse()
        self.settle = settle or (lambda: None)
        self.inbox: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._leaving: collections.deque[tuple[Engine, Prepared]] = collections.deque()
        self.cancelled = -1
        """Number of the last job whose waiting tasks are not to be run."""
        self.given_up = False
        """Whether this thread's caller has gone on without it."""
        self.engine: Engine | None = None

    def run(self) -> None:
        """Work until told to stop; call it from the thread that shall run the kernels."""
        io = threading.Thread(target=self._bring_and_let_go, name="oocarray-io", daemon=True)
        io.start()
        while True:
            command, *rest = self._ready.get()
            if command == "task":
                self._compute(*rest)
            elif command == "bind":
                self._bind(*rest)
            elif command == "end":
                # Functions and large arguments of a job shall not outlive it.
                self.engine = None
                rest[0].set()
            elif command == "stop":
                break
        io.join()

    def _begin(self, item: int) -> None:
        if self.given_up:
            raise SystemExit  # nobody waits for the answer: the rest of the task stays undone
        self.pulse.begin(item)

    # ---- the kernel's thread ----------------------------------------------------------------

    def _bind(self, engine: Engine, kernel: Any) -> None:
        self.engine = engine
        try:
            engine.bind(unpack(kernel, engine.array) if isinstance(kernel, bytes) else kernel)
        except BaseException as error:
            engine.bind_error = error
        self.pulse.bound()

    def _compute(self, engine: Engine, prepared: Prepared) -> None:
        task = prepared.task
        if engine.job.number <= self.cancelled:
            # Windows are let go without waiting: a cancelled task has stored nothing.
            engine.abandon(prepared)
            self.answer(Answer(self.worker, task, cancelled=True))
            return
        try:
            if engine.bind_error is not None:
                raise engine.bind_error
            try:
                engine.compute(prepared)
                self.pulse.end()
            finally:
                self.settle()
            if engine.writes(prepared):
                engine.start_writing(prepared)
                self.inbox.put(("retire", engine, prepared))
                return
        except BaseException as error:
            begun = engine.bind_error is None and prepared.error is None
            self._fail(engine, prepared, error, engine.item, "in" if begun else "before")
            return
        self._retire(engine, prepared)

    def _fail(
        self,
        engine: Engine,
        prepared: Prepared,
        error: BaseException,
        item: int | None,
        when: When,
    ) -> None:
        if engine.stage.in_place:
            # The run ends with it: blocks that wait here are left as they are.
            self.cancelled = max(self.cancelled, engine.job.number)
        coords = None if item is None else engine.stage.grid.coords(item)
        failure = replace(failure_of(error, coords, engine.stage.grid), when=when)
        engine.abandon(prepared)
        self.answer(Answer(self.worker, prepared.task, failure=failure))

    # ---- the I/O thread ------------------------------------------------------------------------

    def _bring_and_let_go(self) -> None:
        engine: Engine | None = None
        while True:
            command, *rest = self._next()
            try:
                engine = self._obey(engine, command, rest)
            except BaseException as error:
                # Without this thread the run would wait for ever: let the caller know instead.
                number = engine.job.number if engine is not None else -1
                failure = failure_of(error, None, None)
                self.answer(Answer(self.worker, Task(number, -1, 0), failure=failure))
            if command == "stop":
                self._ready.put(("stop",))
                return

    def _obey(self, engine: Engine | None, command: str, rest: list[Any]) -> Engine | None:
        """Carry out one command; return the engine of the job from now on."""
        if command == "task":
            task, how = rest
            if engine is None or engine.job.number <= self.cancelled:
                self.answer(Answer(self.worker, task, cancelled=True))
            else:
                self.pulse.bring(task.first)
                prepared = engine.prefetch(task)
                prepared.how = how
                self.pulse.rest()
                self._ready.put(("task", engine, prepared))
        elif command == "retire":
            self._leaving.append((rest[0], rest[1]))
            while len(self._leaving) > 1:
                self._let_go()
        elif command == "job":
            return self._open(*rest)
        elif command in ("end", "stop"):
            self._end(engine)
            if command == "stop" and self.kept is not None:
                self.kept.clear()
            return None
        return engine

    def _next(self) -> Command:
        """Take the next command; while there is none, finish what is on its way out."""
        while self._leaving:
            try:
                return self.inbox.get_nowait()
            except queue.Empty:
                self._let_go()
        try:
            return self.inbox.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            if self.kept is not None:
                self.kept.clear()
        return self.inbox.get()

    def _let_go(self) -> None:
        engine, prepared = self._leaving.popleft()
        self.pulse.leave(prepared.task.first)
        self._retire(engine, prepared)
        self.pulse.rest()

    def _open(self, job: Job, fds: list[int]) -> Engine | None:
        files = Files((), None)
        came, held = fds[::-1], list[int]()
        mine: list[tuple[FileKey, int, bool]] = []
        # The other thread has ended the job before: see `_end`.
        self.pulse.job(job.number)
        try:
            if self.kept is not None:
                # What streams, or is to be dropped, must be mapped by nobody when it is done.
                if job.keep:
                    self.kept.prune((key for key, _ in job.files), job.spare)
                else:
                    self.kept.clear()
            for key, writable in job.files:
                # Each opening learns of write errors once: one of our own for what came.
                mine.append((key, reopen(came[-1], writable), writable))
                if writable:
                    # Kept until the job ends: it holds the run's lock, so that nobody else
                    # writes while this worker may.
                    held.append(came.pop())
                else:
                    os.close(came.pop())
            files = Files(mine, self.kept if job.keep else None, held, job.tuning)
            mine, held = [], []
            engine = Engine(job, files, self._begin)
        except BaseException as error:
            files.close()
            for fd in (*came, *held, *(fd for _, fd, _ in mine)):
                os.close(fd)
            self.answer(
                Answer(self.worker, Task(job.number, -1, 0), failure=failure_of(error, None, None))
            )
            return None
        self._ready.put(("bind", engine, job.kernel))
        return engine

    def _end(self, engine: Engine | None) -> None:
        while self._leaving:
            self._let_go()
        if engine is not None:
            # The other thread may still hold the engine: close it when that has let go.
            done = threading.Event()
            self._ready.put(("end", done))
            done.wait()
            engine.close()

    def _retire(self, engine: Engine, prepared: Prepared) -> None:
        try:
            kept = engine.retire(prepared)
        except BaseException as error:
            # The other thread is at a later item by now.
            self._fail(engine, prepared, error, prepared.task.first, "after")
            return
        self.answer(
            Answer(
                self.worker,
                prepared.task,
                prepared.partials,
                seconds=prepared.seconds,
                kept_bytes=kept,
                failed=tuple(prepared.failed),
                flags=prepared.flags,
            )
        )


def add_place(error: BaseException, coords: tuple[int, ...] | None, grid: Grid | None) -> None:
    """Add a note to an exception that says in which block it was raised."""
    # A user's own exception may refuse notes (a frozen dataclass) or fail to say what it is.
    with contextlib.suppress(Exception):
        if coords is not None and grid is not None:
            region = ", ".join(f"{part.start}:{part.stop}" for part in grid.region(coords))
            error.add_note(f"oocarray: in block {coords}, region [{region}]")
        if isinstance(error, ValueError) and "read-only" in str(error):
            error.add_note(
                "oocarray: blocks are views of the file, and read-only; work on block.copy(), or "
                "change the stored array itself with oo.update_blocks"
            )


def failure_of(error: BaseException, coords: tuple[int, ...] | None, grid: Grid | None) -> Failure:
    """Make an exception fit for travel: itself with a note that says where, and as text."""
    add_place(error, coords, grid)
    text = "".join(traceback.format_exception(error))
    # The frames hold blocks of the run: a traceback kept alive would keep their pages mapped.
    linked: BaseException | None = error
    seen: set[int] = set()
    while linked is not None and id(linked) not in seen:
        seen.add(id(linked))
        traceback.clear_frames(linked.__traceback__)
        linked = linked.__cause__ or linked.__context__
    notes = tuple(map(str, getattr(error, "__notes__", ())))
    return Failure(error.with_traceback(None), text, coords, notes)
