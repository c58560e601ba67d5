"""Whoever works on the tasks of a stage: this thread, or several; it decides no order."""

from __future__ import annotations

import collections
import os
import queue
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from ..plan import Task
from .beats import Pulse
from .engine import Engine
from .files import Files, KeptWindows, copy, open_all, reopen
from .job import Answer, Died, Job, When
from .loop import Loop, failure_of
from .retries import How
from .server import Unfinished

__all__ = ["Pool", "SerialPool", "ThreadPool"]


class Pool(Protocol):
    """What the scheduler asks of workers; answers to every task come back exactly once."""

    size: int
    """Number of workers."""
    depth: int
    """How many tasks a worker may hold at once, so that it never waits for the next."""
    separate: bool
    """Whether workers are other processes, which see only files and shared memory."""
    held: bool
    """Whether Ctrl-C is held back while `wait` runs; where it does the work itself, it is not."""

    @property
    def pids(self) -> Sequence[int]:
        """Processes of its own that use memory for the run."""

    @property
    def alive(self) -> bool:
        """Whether this process can use it for another run."""

    @property
    def given_up(self) -> int:
        """How many workers were left to themselves, in the middle of a task."""

    def start(self, job: Job, fds: list[int]) -> None:
        """Begin a stage; `fds` stay the caller's."""

    def submit(self, worker: int, task: Task, how: How = "") -> None:
        """Give a task to a worker; `how` as in `oocarray.runtime.retries.Order`."""

    def wait(self, timeout: float) -> list[Any]:
        """Return answers and other messages, waiting for the first up to `timeout` seconds."""

    def cancel(self) -> None:
        """Have the tasks that wait answered as cancelled; those that run go on."""

    def kill(self, workers: list[int]) -> list[Died]:
        """End workers that hold tasks, as far as that can be done; say what they were at."""

    def revive(self, worker: int) -> None:
        """Have another worker take the place of one that has died."""

    def watch(self, unfinished: Sequence[Unfinished]) -> None:
        """Have files removed if this process ends without a word before it has finished them."""

    def finish(self) -> None:
        """End the stage; no task is out."""

    def close(self) -> None:
        """End the workers."""


class SerialPool:
    """One worker, this thread: the reference every other pool is compared with."""

    size = 1
    depth = 1
    separate = False
    held = False
    pids = ()
    alive = True
    given_up = 0

    def __init__(self) -> None:
        self._waiting: collections.deque[tuple[Task, How]] = collections.deque()
        self._engine: Engine | None = None
        self._answers: list[Any] = []
        self._pulse = Pulse()

    def start(self, job: Job, fds: list[int]) -> None:
        # Opened anew, not duplicated: a copy would hold the run's lock, also in a forked child.
        mine = open_all(reopen, _pairs(job, fds))
        files = [(key, fd, writable) for (key, writable), fd in zip(job.files, mine, strict=True)]
        # No mapping is kept for the next run: nothing here would notice that its file is deleted.
        opened = Files(files, tuning=job.tuning)
        try:
            self._pulse.job(job.number)
            self._engine = Engine(job, opened, self._pulse.begin)
            self._engine.bind(job.kernel)
            self._pulse.bound()
        except BaseException:
            self._engine = None
            opened.close()
            raise

    def submit(self, worker: int, task: Task, how: How = "") -> None:
        self._waiting.append((task, how))

    def wait(self, timeout: float) -> list[Any]:
        if self._waiting and not self._answers:
            self._work(*self._waiting.popleft())
        found, self._answers = self._answers, []
        return found

    def _work(self, task: Task, how: How) -> None:
        engine = self._engine
        assert engine is not None
        when: When = "before"
        prepared = None
        try:
            prepared = engine.prefetch(task)
            prepared.how = how
            when = "in" if prepared.error is None else when
            engine.compute(prepared)
            self._pulse.end()
            when = "after"
            engine.start_writing(prepared)
            kept = engine.retire(prepared)
        except Exception as error:
            coords = None if engine.item is None else engine.stage.grid.coords(engine.item)
            failure = replace(failure_of(error, coords, engine.stage.grid), when=when)
            self._answers.append(Answer(0, task, failure=failure))
            if prepared is not None:
                engine.abandon(prepared)
        except BaseException:
            if prepared is not None:
                engine.abandon(prepared)
            # Ctrl-C: nobody shall wait for the answer.
            self._answers.append(Died(0, os.getpid(), None, self._pulse.read()))
            raise
        else:
            self._answers.append(
                Answer(
                    0,
                    task,
                    prepared.partials,
                    seconds=prepared.seconds,
                    kept_bytes=kept,
                    failed=tuple(prepared.failed),
                    flags=prepared.flags,
                )
            )

    def cancel(self) -> None:
        self._answers += [Answer(0, task, cancelled=True) for task, _ in self._waiting]
        self._waiting.clear()

    def kill(self, workers: list[int]) -> list[Died]:
        """When this is called, nothing runs."""
        return []

    def revive(self, worker: int) -> None:
        """Nothing to do: the worker is the caller."""

    def watch(self, unfinished: Sequence[Unfinished]) -> None:
        """Nobody is left when this process ends."""

    def finish(self) -> None:
        self._waiting.clear()
        self._answers.clear()
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def close(self) -> None:
        """Nothing to do: there is no worker but the caller."""


class ThreadPool:
    """Threads of this process: kernels run side by side, Python functions take turns."""

    depth = 4
    separate = False
    held = True
    pids = ()
    alive = True

    def __init__(self, size: int) -> None:
        self.size = size
        self.given_up = 0
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._loops = [Loop(number, self._answers.put, KeptWindows()) for number in range(size)]
        self._job: Job | None = None
        self._out = 0
        for loop in self._loops:
            threading.Thread(target=loop.run, name="oocarray-worker", daemon=True).start()

    def start(self, job: Job, fds: list[int]) -> None:
        self._job = job
        # For all threads before any begins: one that has begun could not be taken back.
        mine = open_all(_for_thread, _pairs(job, fds) * self.size)
        for number, loop in enumerate(self._loops):
            loop.inbox.put(("job", job, mine[number * len(fds) : (number + 1) * len(fds)]))

    def submit(self, worker: int, task: Task, how: How = "") -> None:
        self._loops[worker].inbox.put(("task", task, how))

    def wait(self, timeout: float) -> list[Any]:
        answers = []
        try:
            answers.append(self._answers.get(timeout=timeout))
            while True:
                answers.append(self._answers.get_nowait())
        except queue.Empty:
            return answers

    def cancel(self) -> None:
        if self._job is not None:
            for loop in self._loops:
                loop.cancelled = self._job.number

    def kill(self, workers: list[int]) -> list[Died]:
        """A thread cannot be ended from outside: let it finish, and take new threads next time."""
        self.given_up += len(workers)
        left = []
        for number in workers:
            beat = self._loops[number].pulse.read()
            left.append(Died(number, os.getpid(), None, beat))
            self._loops[number].answer, self._loops[number].given_up = _nobody, True
            self._loops[number].inbox.put(("stop",))
            loop = self._loops[number] = Loop(number, self._answers.put, KeptWindows())
            threading.Thread(target=loop.run, name="oocarray-worker", daemon=True).start()
        return left

    def revive(self, worker: int) -> None:
        """Nothing to do: threads do not die."""

    def watch(self, unfinished: Sequence[Unfinished]) -> None:
        """Nobody is left when this process ends."""

    def finish(self) -> None:
        self._job = None
        for loop in self._loops:
            loop.inbox.put(("end",))

    def close(self) -> None:
        for loop in self._loops:
            loop.inbox.put(("stop",))


def _pairs(job: Job, fds: list[int]) -> list[tuple[int, bool]]:
    return [(fd, writable) for (_, writable), fd in zip(job.files, fds, strict=True)]


def _for_thread(fd: int, writable: bool) -> int:
    return copy(fd) if writable else reopen(fd, False)


def _nobody(answer: Any) -> None:
    """Stands for the reader of a thread that was given up."""
