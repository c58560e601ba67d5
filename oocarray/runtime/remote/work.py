"""What a dask worker runs: a range of blocks of one stage, in its own thread; it forks nothing.

A stage is unpacked once in each process and kept until its run ends, together with the engines
(open files, mappings) that its threads have used.  The function that `release` is, is called when
it does; at most a few stages are kept whatever happens.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...pages.mapping import Window
from ...plan import Task
from ...storage.layout import Strided
from ..carry import wrap
from ..engine import Prepared
from ..files import Files
from ..job import Answer, Partial, When
from ..loop import failure_of
from .carried import Carried, not_seen, unpack_stage
from .engine import RemoteEngine
from .opened import open_carried
from .ranges import Ranges

__all__ = ["Done", "busy", "release", "same", "work"]

Array = np.ndarray[Any, Any]

_MOST_STAGES = 8
_MOST_REMEMBERED = 256
_PASSING = (errno.ESTALE, errno.ETIMEDOUT, errno.EINTR, errno.EREMOTEIO)
"""What a file system of another machine says now and then, outside of a function: try again."""


@dataclass(frozen=True, slots=True)
class Done:
    """A range of blocks is done, or has failed: a plain answer, and the blocks asked for."""

    answer: Answer
    blocks: tuple[tuple[int, Any, Array], ...] = ()


class _Stage:
    """One stage in this process."""

    def __init__(self, blob: bytes, seats: int) -> None:
        self._windows: list[tuple[int, Window]] = []
        try:
            self.carried = unpack_stage(blob, self._mapped)
        except BaseException:
            self._close_windows(self._windows)
            raise
        self.seats = threading.Semaphore(seats)
        self._guard = threading.Lock()
        self._idle: list[RemoteEngine] = []
        self.running = 0
        self.claims = 0
        """Tasks that have found it, by the guard of all stages: it is not let go of meanwhile."""
        self.ended = False

    def _mapped(self, carried: Carried, place: Strided) -> Array:
        """A large argument that lies in a file."""
        fd = open_carried(carried, place.file, False)
        try:
            window = Window(fd, *place.span())
        except BaseException:
            os.close(fd)
            raise
        self._windows.append((fd, window))
        assert window.bytes is not None
        return place.view(window.bytes, window.origin)

    def take(self) -> RemoteEngine:
        with self._guard:
            self.running += 1
            if self._idle:
                return self._idle.pop()
        try:
            return self._new()
        except BaseException:
            self.give_back(None, False)
            raise

    def _new(self) -> RemoteEngine:
        job, mine = self.carried.job, []
        try:
            for key, writable in job.files:
                mine.append((key, open_carried(self.carried, key, writable), writable))
            files = Files(mine, tuning=job.tuning)
        except BaseException:
            for _, fd, _ in mine:
                os.close(fd)
            raise
        try:
            engine = RemoteEngine(job, files)
            engine.bind(job.kernel)
        except BaseException:
            files.close()
            raise
        return engine

    def give_back(self, engine: RemoteEngine | None, keep: bool) -> None:
        with self._guard:
            self.running -= 1
            if engine is not None and keep and not self.ended:
                self._idle.append(engine)
                return
        if engine is not None:
            engine.close()
        self._let_go()

    def end(self) -> None:
        """Nobody will ask for it again; what runs is stopped at the next block or so."""
        with self._guard:
            self.ended = True
            idle, self._idle = self._idle, []
        for engine in idle:
            engine.close()
        self._let_go()

    def _let_go(self) -> None:
        with self._guard:
            if not self.ended or self.running:
                return
            windows, self._windows = self._windows, []
        self._close_windows(windows)

    @staticmethod
    def _close_windows(windows: list[tuple[int, Window]]) -> None:
        for fd, window in windows:
            window.release()
            os.close(fd)


_guard = threading.Lock()
_stages: OrderedDict[tuple[str, int], _Stage] = OrderedDict()
_unpacking: dict[tuple[str, int], threading.Lock] = {}
_ended: OrderedDict[str, None] = OrderedDict()


def same(blob: Any) -> Any:
    """Give back what was sent: its result is the one copy that tasks depend on."""
    return blob


def work(blob: bytes, run: str, stage: int, first: int, count: int, how: Ranges) -> Done:
    """Work on `count` blocks from number `first`, some of them at a time.

    What goes wrong is in the answer, but for what is worth another try.

    Raises
    ------
    OSError
        The file system says that it may go better the next time.
    """
    task = Task(stage, first, count)
    try:
        found = _stage_of(blob, run, stage, how.seats)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno in _PASSING:
            raise
        return _failed(task, error, None, "before")
    try:
        with found.seats:
            return _worked(found, task, how)
    finally:
        with _guard:
            found.claims -= 1
        _forget_ended(found, (run, stage))


def release(run: str) -> None:
    """A run has ended: let go of all that is kept for it."""
    with _guard:
        _ended[run] = None
        while len(_ended) > _MOST_REMEMBERED:
            _ended.popitem(last=False)
        gone = [_stages[key] for key in _stages if key[0] == run]
        for key in [key for key in _unpacking if key[0] == run]:
            del _unpacking[key]
    for stage in gone:
        stage.end()
    with _guard:
        for key in [key for key in _stages if key[0] == run and not _stages[key].running]:
            del _stages[key]


def _forget_ended(found: _Stage, key: tuple[str, int]) -> None:
    """Its run ended while the last of its tasks was running: `release` had to leave it."""
    with _guard:
        if found.ended and not found.running and _stages.get(key) is found:
            del _stages[key]


def busy(run: str) -> int:
    """How many tasks of a run are not over in this process."""
    with _guard:
        return sum(stage.running for key, stage in _stages.items() if key[0] == run)


def _stage_of(blob: bytes, run: str, number: int, seats: int) -> _Stage:
    key = run, number
    with _guard:
        if run in _ended:
            raise _over()
        lock = _unpacking.setdefault(key, threading.Lock())
    with lock:
        with _guard:
            known = _stages.get(key)
            if known is not None:
                known.claims += 1
                _stages.move_to_end(key)
        if known is not None:
            return known
        if run in _ended:
            raise _over()
        made = _Stage(blob, seats)
        with _guard:
            _stages[key] = made
            made.claims += 1
            made.ended = run in _ended
            idle = [old for old, stage in _stages.items() if not stage.claims and old != key]
            # Stages of a run follow one another: what an earlier one holds is this one's share.
            over = [_stages.pop(old) for old in idle if old[0] == run and old[1] < number]
            idle = [old for old in idle if old in _stages]
            over += [_stages.pop(old) for old in idle[: max(len(_stages) - _MOST_STAGES, 0)]]
        for stage in over:
            stage.end()
        return made


def _worked(found: _Stage, task: Task, how: Ranges) -> Done:
    engine: RemoteEngine | None = None
    well = False
    when: list[When] = ["before"]
    try:
        engine = found.take()
    except BaseException as error:
        if isinstance(error, OSError) and error.errno in _PASSING:
            raise
        if type(error) is FileNotFoundError and error.filename and not found.ended:
            error = not_seen(os.fsdecode(error.filename))
        return _failed(task, error, None, "before")
    try:
        answer = _steps(found, engine, task, how, when)
        when[0] = "after"
        engine.sync()
        if engine.job.drop:
            engine.drop(task)
        done = Done(answer, tuple(engine.made()))
        well = True
    except BaseException as error:
        if isinstance(error, OSError) and error.errno in _PASSING and when[0] != "in":
            raise
        return _failed(task, error, engine, when[0])
    finally:
        found.give_back(engine, well and engine.lasting)
    return done


def _steps(
    found: _Stage, engine: RemoteEngine, task: Task, how: Ranges, when: list[When]
) -> Answer:
    """Bring in, compute and write: as many steps at once as there is memory for."""
    partials: list[Partial] = []
    failed: list[tuple[Any, str]] = []
    flags: set[str] = set()
    seconds, kept = 0.0, 0
    with (
        ThreadPoolExecutor(1, "oocarray-in") as bringing,
        ThreadPoolExecutor(1, "oocarray-out") as writing,
    ):
        # An array in pieces is looked up for the next step while the last is put into it: both
        # are for one thread.
        out = writing if engine.lasting else bringing
        parts = _parts(task, how.step)
        leaving: Future[int] | None = None

        def bring() -> Future[Prepared] | None:
            following = next(parts, None)
            return None if following is None else bringing.submit(engine.prefetch, following)

        def left() -> int:
            """Bytes still looked at of what had to leave; what fails there is no block's fault."""
            nonlocal leaving
            when[0] = "after"
            gone, leaving = leaving, None
            return 0 if gone is None else gone.result()

        ahead = bring()
        while ahead is not None:
            prepared = ahead.result()
            if how.at_once < 3:
                kept += left()
            ahead = bring() if how.at_once > 1 else None
            if found.ended:
                raise _over()
            when[0] = "in" if prepared.error is None else "before"
            engine.compute(prepared)
            if found.ended:
                # The target is unlocked by now: what it holds may be somebody else's.
                raise _over()
            kept += left()
            partials += prepared.partials
            failed += prepared.failed
            flags.update(prepared.flags)
            seconds += prepared.seconds
            leaving = out.submit(engine.retire, prepared)
            if how.at_once == 1:
                kept += left()
                ahead = bring()
        kept += left()
    return Answer(
        0,
        task,
        tuple(partials),
        seconds=seconds,
        kept_bytes=kept,
        failed=tuple(failed),
        flags=tuple(flags),
    )


def _over() -> OSError:
    """Nobody waits for the answer of this task any more."""
    return OSError(errno.ECANCELED, "the run has ended")


def _parts(task: Task, step: int) -> Iterator[Task]:
    stop = task.first + task.count
    for first in range(task.first, stop, step):
        yield Task(task.stage, first, min(step, stop - first))


def _failed(task: Task, error: BaseException, engine: RemoteEngine | None, when: When) -> Done:
    grid = None if engine is None else engine.stage.grid
    coords = None
    if engine is not None and grid is not None and when == "in" and engine.item is not None:
        coords = grid.coords(engine.item)
    failure = replace(failure_of(error, coords, grid), when=when)
    return Done(wrap(Answer(0, task, failure=failure)))
