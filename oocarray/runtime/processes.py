"""The pool of worker processes: starts them, talks to them, notices their end; it plans nothing.

Each worker has a channel of its own and no lock in common with another: whatever kills
one leaves the rest at work.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import selectors
import sys
import time
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import OocarrayError, ProtocolError
from ..plan import Task
from .beats import MOST_WORKERS, Beats
from .boot import ServerLink
from .channel import readable
from .handle import Handle
from .job import Died, Job
from .retries import How
from .sameness import generation
from .server import Unfinished

__all__ = ["ProcessPool"]

_START_SECONDS = 60.0
_MOST_BOOTS = 3
"""So many servers in a row may end while workers are being started."""
_END_SECONDS = 5.0
"""A worker that has closed its channel has so long to end."""


class ProcessPool:
    """Warm worker processes, forked from a small server of their own.

    Parameters
    ----------
    size : int
        Number of workers, at most 256.
    """

    depth = 4
    separate = True
    held = True
    given_up = 0

    def __init__(self, size: int) -> None:
        if not 1 <= size <= MOST_WORKERS:
            raise ValueError(f"workers={size}: a pool has 1 to {MOST_WORKERS} workers")
        self.size = size
        self._owner = os.getpid()
        self._beats = Beats()
        self._workers: dict[int, Handle] = {}
        self._serials = itertools.count()
        self._preloaded = False
        self._generation = generation()
        self._unfinished: tuple[Unfinished, ...] = ()
        self._job: Job | None = None
        self._fds: list[int] = []
        self._selector = selectors.DefaultSelector()
        try:
            self._boot()
        except BaseException:
            self._selector.close()
            self._beats.close()
            raise
        self._pending: list[Any] = []
        self._exited = False
        """Whether a worker has ended that is not buried yet."""
        self._refused = ""
        """Why the server could not fork a worker."""
        atexit.register(self.close)
        _made.add(self)

    def _boot(self) -> None:
        self._server = ServerLink()
        self._selector.register(self._server.control, selectors.EVENT_READ, None)

    # ---- starting --------------------------------------------------------------------------

    def warm(self, kernels: bool) -> None:
        """Begin to start what is missing, without waiting for it."""
        if kernels and not self._preloaded:
            self._preloaded = True
            self._server.ask(("preload",))
            # Workers forked from now on share one numba, in milliseconds; each of those that run
            # already would import its own.
            self._renew()
        if self._generation != generation():
            self._generation = generation()
            self._renew()
        for number in set(range(self.size)) - self._workers.keys():
            self._fork(number)

    def _renew(self) -> None:
        """Let the workers go; others take their places."""
        for worker in list(self._workers.values()):
            worker.send(("stop",))
            self._forget(worker)

    def _fork(self, number: int) -> None:
        worker = self._workers[number] = Handle(next(self._serials), number, self._server)
        self._beats.clear(number)
        self._selector.register(worker.channel, selectors.EVENT_READ, number)
        fds = [worker.theirs.fileno(), self._beats.fd, worker.said]
        self._server.ask(("fork", worker.serial, number), fds)
        worker.theirs.close()

    def start(self, job: Job, fds: list[int]) -> None:
        self._job, self._fds = job, fds
        # Who ended since the last run held nothing: a new one takes its place.
        self._listen(0)
        while self._pending:
            self._pending.clear()
            self._listen(0)
        self._bring_up(range(self.size))

    def revive(self, worker: int) -> None:
        """Have another process take a dead worker's place, and begin the stage there too."""
        self._bring_up([worker])

    def _bring_up(self, numbers: Iterable[int]) -> None:
        """Give some workers the job, once they run.

        Raises
        ------
        OocarrayError
            They end as soon as they start, or do not start.
        """
        missing, boots, forks, self._refused = set(numbers), 0, 0, ""
        limit = time.monotonic() + _START_SECONDS
        most = len(missing) + _MOST_BOOTS * self.size
        while True:
            if not self._server.there:
                boots += 1
                self._boot_again(boots > _MOST_BOOTS)
            for number in sorted(missing - self._workers.keys()):
                # What ended just now held nothing.
                self._pending = [m for m in self._pending if not _ended(m, number)]
                self._fork(number)
                forks += 1
            for number in sorted(missing):
                if self._workers[number].pid:
                    assert self._job is not None
                    self._workers[number].begin(self._job, self._fds)
                    missing.discard(number)
            if not missing:
                return
            if self._refused:
                raise OocarrayError(
                    f"{self.size} worker processes cannot be started ({self._refused}); use fewer "
                    'workers=, or raise the limit (ulimit -u); scheduler="threads" does without '
                    "them"
                )
            if forks > most or time.monotonic() > limit:
                raise _no_start(f"{sys.executable!r} is too slow, or ended")
            self._listen(0.1)

    def _boot_again(self, enough: bool) -> None:
        code = self._server.end()
        if enough:
            raise _no_start(f"{sys.executable!r} ended with {code}")
        self._boot()
        if self._preloaded:
            self._server.ask(("preload",))
        self._server.ask(("unfinished", self._unfinished))

    def submit(self, worker: int, task: Task, how: How = "") -> None:
        if worker in self._workers:
            self._workers[worker].send(("task", task, how))

    def watch(self, unfinished: Sequence[Unfinished]) -> None:
        """Have files removed if this process ends without a word before it has finished them."""
        if unfinished or self._unfinished:
            self._unfinished = tuple(unfinished)
            self._server.ask(("unfinished", self._unfinished))

    # ---- listening ---------------------------------------------------------------------------

    def wait(self, timeout: float) -> list[Any]:
        if not self._pending:
            self._listen(timeout)
        found, self._pending = self._pending, []
        return found

    def _listen(self, timeout: float) -> None:
        """Wait for messages, up to `timeout` seconds, and put them with those that wait."""
        for key, _ in self._selector.select(timeout):
            worker = self._workers.get(key.data)
            if key.data is None:
                # Burying a worker may have read what was there to be heard.
                self._hear_server(0)
            elif worker is not None and worker.channel is key.fileobj:
                self._pending.append(self._hear(worker))
        if self._exited:
            # Somebody may hold a copy of the channel of a worker that is gone: it stays open.
            gone = [w for w in self._workers.values() if w.status is not None]
            self._exited = any(readable(worker.channel, 0) for worker in gone)
            self._pending += () if self._exited else map(self._bury, gone)

    def _hear(self, worker: Handle) -> Any:
        try:
            return worker.receive()
        except (EOFError, OSError):
            return self._bury(worker)
        except ProtocolError as error:
            worker.kill()
            return self._bury(worker, f"it sent what is not in the protocol: {error}")

    def _hear_server(self, timeout: float) -> None:
        heard = self._server.hear(timeout)
        if heard is None:
            if not self._server.there:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(self._server.control)
            return
        (kind, *rest), fds = heard
        for worker in self._workers.values():
            if kind == "exit" and worker.pid == rest[0]:
                worker.status, self._exited = rest[1], True
            elif kind != "exit" and worker.serial == rest[0]:
                if kind == "forked":
                    worker.started(rest[1], fds)
                    return
                # There never was a process.
                self._refused, worker.status = rest[1], 0
        for fd in fds:
            os.close(fd)

    def _bury(self, worker: Handle, protest: str = "") -> Died:
        """Find out how a worker ended whose channel is closed, or is no longer listened to.

        What it had is given to others afterwards, so it must not store anywhere any more.
        """
        if not self._gone(worker, _END_SECONDS):
            protest = protest or "it closed its channel and went on"
            worker.kill()
            if not self._gone(worker, _START_SECONDS):
                raise OocarrayError(f"worker process {worker.pid} cannot be ended")
        link = worker.server
        server = None if link.there else (link.pid, link.end())
        beat = self._beats.read(worker.number)
        said = worker.last_words(beat.told)
        self._forget(worker)
        return Died(worker.number, worker.pid, worker.status, beat, said, protest, server)

    def _gone(self, worker: Handle, seconds: float) -> bool:
        """Wait for the end of a process, and to be told of it; True when it is gone."""
        limit = time.monotonic() + seconds
        while worker.status is None and time.monotonic() < limit:
            if worker.server.there:
                self._hear_server(0.05)
            elif worker.gone or not worker.pid:
                return True
            else:
                time.sleep(0.005)
        return worker.gone

    def _forget(self, worker: Handle) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(worker.channel)
        worker.close()
        self._workers.pop(worker.number, None)

    # ---- ending --------------------------------------------------------------------------------

    def cancel(self) -> None:
        if self._job is not None:
            for worker in self._workers.values():
                worker.send(("cancel", self._job.number))

    def kill(self, workers: list[int]) -> list[Died]:
        dying = [self._workers[number] for number in workers if number in self._workers]
        for worker in dying:
            worker.kill()
        return [self._bury(worker, "it did not end its block in time") for worker in dying]

    def finish(self) -> None:
        self._job, self._fds = None, []
        for worker in self._workers.values():
            worker.send(("end",))

    @property
    def pids(self) -> list[int]:
        """Process ids of the server and its workers."""
        return [self._server.pid, *(w.pid for w in self._workers.values() if w.pid)]

    @property
    def alive(self) -> bool:
        """Whether the pool can still be used from this process."""
        return self._owner == os.getpid() and self._server.alive

    def close(self) -> None:
        """End all processes and wait for them."""
        atexit.unregister(self.close)
        if self._owner != os.getpid():
            return
        _made.discard(self)
        # What is unfinished is the caller's from here on.
        self.watch(())
        for worker in list(self._workers.values()):
            worker.send(("stop",))
            self._forget(worker)
        self._server.end()
        self._selector.close()
        self._beats.close()

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's, without a word to the workers.

        A copy of the parent's ends that stayed open here would keep the workers alive after it.
        """
        atexit.unregister(self.close)
        # Shared with the parent: nothing is unregistered, that would make the parent deaf.
        self._selector.close()
        self._server.abandon()
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
        self._beats.close()


_made: weakref.WeakSet[ProcessPool] = weakref.WeakSet()


def _abandon_all() -> None:
    for pool in list(_made):
        with contextlib.suppress(Exception):
            pool.abandon()
    _made.clear()


os.register_at_fork(after_in_child=_abandon_all)


def _no_start(why: str) -> OocarrayError:
    return OocarrayError(
        f'worker processes did not start ({why}); scheduler="threads" does without them'
    )


def _ended(message: Any, number: int) -> bool:
    return isinstance(message, Died) and message.worker == number
