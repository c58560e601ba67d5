"""Whoever works on the tasks of a stage: this thread, or several; it decides no order."""

from __future__ import annotations

import collections
import os
import queue
import threading
from typing import Any, Protocol

from ..plan import Task
from .engine import Engine
from .files import Files, KeptWindows
from .job import Answer, Job
from .loop import Loop, failure_of

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

    def start(self, job: Job, fds: list[int]) -> None:
        """Begin a stage; `fds` stay the caller's."""

    def submit(self, worker: int, task: Task) -> None:
        """Give a task to a worker."""

    def wait(self, timeout: float) -> list[Any]:
        """Return answers and other messages, waiting for the first up to `timeout` seconds."""

    def cancel(self) -> None:
        """Have the tasks that wait answered as cancelled; those that run go on."""

    def kill(self, workers: list[int]) -> None:
        """End workers that hold tasks, as far as that can be done."""

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

    def __init__(self) -> None:
        self._waiting: collections.deque[Task] = collections.deque()
        self._engine: Engine | None = None
        self._answers: list[Any] = []

    def start(self, job: Job, fds: list[int]) -> None:
        files = [
            (key, os.dup(fd), writable) for (key, writable), fd in zip(job.files, fds, strict=True)
        ]
        # No mapping is kept for the next run: nothing here would notice that its file is deleted.
        opened = Files(files)
        try:
            self._engine = Engine(job, opened)
            self._engine.bind(job.kernel)
        except BaseException:
            self._engine = None
            opened.close()
            raise

    def submit(self, worker: int, task: Task) -> None:
        self._waiting.append(task)

    def wait(self, timeout: float) -> list[Any]:
        if self._waiting and not self._answers:
            self._work(self._waiting.popleft())
        found, self._answers = self._answers, []
        return found

    def _work(self, task: Task) -> None:
        engine = self._engine
        assert engine is not None
        try:
            prepared = engine.prefetch(task)
            engine.compute(prepared)
            engine.start_writing(prepared)
            kept = engine.retire(prepared)
        except Exception as error:
            coords = None if engine.item is None else engine.stage.grid.coords(engine.item)
            failure = failure_of(error, coords, engine.stage.grid)
            self._answers.append(Answer(0, task, failure=failure))
        except BaseException:
            # Ctrl-C: nobody shall wait for the answer.
            self._answers.append(Answer(0, task, cancelled=True))
            raise
        else:
            self._answers.append(
                Answer(0, task, prepared.partials, seconds=prepared.seconds, kept_bytes=kept)
            )

    def cancel(self) -> None:
        self._answers += [Answer(0, task, cancelled=True) for task in self._waiting]
        self._waiting.clear()

    def kill(self, workers: list[int]) -> None:
        """Nothing to do: when this is called, nothing runs."""

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

    def __init__(self, size: int) -> None:
        self.size = size
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._loops = [Loop(number, self._answers.put, KeptWindows()) for number in range(size)]
        self._job: Job | None = None
        self._out = 0
        for loop in self._loops:
            threading.Thread(target=loop.run, name="oocarray-worker", daemon=True).start()

    def start(self, job: Job, fds: list[int]) -> None:
        self._job = job
        for loop in self._loops:
            loop.inbox.put(("job", job, [os.dup(fd) for fd in fds]))

    def submit(self, worker: int, task: Task) -> None:
        self._loops[worker].inbox.put(("task", task))

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

    def kill(self, workers: list[int]) -> None:
        """A thread cannot be ended from outside: let it finish, and take new threads next time."""
        for number in workers:
            self._loops[number].answer = _nobody
            self._loops[number].inbox.put(("stop",))
            loop = self._loops[number] = Loop(number, self._answers.put, KeptWindows())
            threading.Thread(target=loop.run, name="oocarray-worker", daemon=True).start()

    def finish(self) -> None:
        self._job = None
        for loop in self._loops:
            loop.inbox.put(("end",))

    def close(self) -> None:
        for loop in self._loops:
            loop.inbox.put(("stop",))


def _nobody(answer: Any) -> None:
    """Stands for the reader of a thread that was given up."""
