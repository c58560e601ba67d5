"""Hands the tasks of one stage to a client and hears what becomes of them; it computes nothing."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

from ...errors import BlockFailedError, WorkerDiedError
from ...plan import Stage
from ..carry import unwrap
from ..failures import raised_error
from .ranges import Ranges
from .work import Done, work

__all__ = ["Handing"]

RETRIES = 3
"""How often the scheduler repeats a task whose file system has failed in passing."""


class Handing:
    """The tasks of one stage.

    Parameters
    ----------
    client : distributed.Client
    run : str
        Names the run in the workers.
    number : int
        Of the stage.
    stage : Stage
    tasks : Ranges
    blob : object
        What the workers need of the stage: bytes, or a future of them.
    stop : threading.Event or None
        Set by somebody else to end the run.
    """

    def __init__(
        self,
        client: Any,
        run: str,
        number: int,
        stage: Stage,
        tasks: Ranges,
        blob: Any,
        stop: threading.Event | None,
    ) -> None:
        self._client, self._run, self._number = client, run, number
        self._stage, self._tasks, self._blob, self._stop = stage, tasks, blob, stop
        self._out: dict[int, Any] = {}
        """Futures by the first block of their task."""
        self._suspects: list[int] = []
        self._suspected: set[int] = set()
        self._over: queue.SimpleQueue[int] = queue.SimpleQueue()

    def go(self, take: Callable[[Done], object], idle: Callable[[], object]) -> None:
        """Work until all tasks are done.

        Parameters
        ----------
        take : callable
            Called with each answer.
        idle : callable
            Called when time goes by.

        Raises
        ------
        Exception
            The first thing that went wrong; what was out is cancelled.
        """
        items, first = self._stage.grid.size, 0
        try:
            while self._out or first < items or self._suspects:
                if not self._out and first >= items:
                    self._submit(self._suspects.pop(), "-alone")
                while first < items and len(self._out) < self._tasks.ahead:
                    self._submit(first)
                    first += self._tasks.count
                if self._stop is not None and self._stop.is_set():
                    raise CancelledError(f"{self._stage.label!r} was stopped")
                try:
                    over = self._over.get(timeout=0.2)
                except queue.Empty:
                    idle()
                    continue
                done = self._answer(over)
                if done is not None:
                    take(done)
        finally:
            self.cancel()

    def _submit(self, first: int, how: str = "") -> None:
        count = min(self._tasks.count, self._stage.grid.size - first)
        future = self._client.submit(
            work,
            self._blob,
            self._run,
            self._number,
            first,
            count,
            self._tasks,
            pure=False,
            retries=RETRIES,
            key=f"oocarray-{self._run}-{self._number}-{first}{how}",
        )
        self._out[first] = future
        future.add_done_callback(lambda _, first=first: self._over.put(first))

    def _answer(self, first: int) -> Done | None:
        future = self._out.pop(first)
        try:
            done = future.result()
        except BaseException as error:
            # Cancelled: asyncio's exception of that name is not an Exception.
            if type(error).__name__ == "KilledWorker" and first not in self._suspected:
                # The scheduler blames all that a worker held: it is tried with nothing beside it.
                self._suspected.add(first)
                self._suspects.append(first)
                return None
            lost = self._lost(error, first)
            if lost is None:
                raise
            raise lost from error
        assert isinstance(done, Done), done
        failure = unwrap(done.answer).failure
        if failure is not None:
            raise raised_error(failure)
        return done

    def _lost(self, error: BaseException, first: int) -> Exception | None:
        """What the caller reads where the scheduler gave a task up; None: the error itself."""
        kind, label, grid = type(error).__name__, self._stage.label, self._stage.grid
        last = min(first + self._tasks.count, grid.size) - 1
        begin, end = grid.coords(first), grid.coords(last)
        blocks = f"block {begin}" if first == last else f"one of the blocks {begin} to {end}"
        if kind == "KilledWorker":
            text = f"{blocks} of {label!r} ended its dask worker again and again: {error}"
            if first == last:
                return BlockFailedError(text, block=begin)
            return WorkerDiedError(text)
        if _cancelled(error) or getattr(self._client, "status", "") == "closed":
            return WorkerDiedError(
                f"the scheduler has given up {blocks} of {label!r} ({error}): the client was "
                "closed or restarted, or all workers that had the task's input are gone"
            )
        return None

    def cancel(self) -> None:
        """Take back what is out."""
        futures, self._out = list(self._out.values()), {}
        if futures:
            # Of a client that was closed meanwhile nothing is out, and what it says of that would
            # hide what the run ends with.
            with contextlib.suppress(Exception):
                self._client.cancel(futures)


def _cancelled(error: BaseException) -> bool:
    """Whether the scheduler, or asyncio, says so: there are several classes of that name."""
    return any(kind.__name__ == "CancelledError" for kind in type(error).__mro__)


def quiet(count: Callable[[], int], seconds: float) -> bool:
    """Wait until nothing runs any more; False: something still does."""
    limit = time.monotonic() + seconds
    while count():
        if time.monotonic() > limit:
            return False
        time.sleep(0.05)
    return True
