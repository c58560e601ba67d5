"""The pool of worker processes: starts them, talks to them, notices their end; it plans nothing.

Each worker has a channel of its own and no lock in common with another: whatever kills
one leaves the rest at work.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
import weakref
from typing import Any

import numpy as np

from ..errors import OocarrayError, ProtocolError
from ..pages import calls
from ..plan import Task
from .carry import unwrap
from .channel import MOST_FILES, Channel, pair
from .job import Died, Job
from .shared import Shared

__all__ = ["ProcessPool"]

_START_SECONDS = 60.0
_BEATS = calls.PAGE // 16
"""Two 64-bit words per worker on one page: the job it works on, and the item."""

# One thread per worker: the pool is the parallelism.
_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")
_ENVIRONMENT = {f"{name}_NUM_THREADS": "1" for name in _LIBRARIES}
# Our own package, whatever else of its name the other process would find on its path.
_BOOT = """
import sys
from importlib import util
spec = util.spec_from_file_location("oocarray", {package!r})
sys.modules["oocarray"] = package = util.module_from_spec(spec)
spec.loader.exec_module(package)
from oocarray.runtime.server import main
main({fd})
"""


class _Worker:
    __slots__ = ("channel", "number", "pid", "status")

    def __init__(self, number: int, channel: Channel) -> None:
        self.number, self.channel = number, channel
        self.pid = 0
        self.status: int | None = None


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

    def __init__(self, size: int) -> None:
        if not 1 <= size <= _BEATS:
            raise ValueError(f"workers={size}: a pool has 1 to {_BEATS} workers")
        self.size = size
        self._owner = os.getpid()
        self._beats = Shared((_BEATS, 2), np.dtype(np.int64))
        self._beats.array[...] = -1
        self._workers: dict[int, _Worker] = {}
        self._preloaded = False
        self._job: Job | None = None
        self._selector = selectors.DefaultSelector()
        self._server = self._boot()
        self._selector.register(self.control, selectors.EVENT_READ, None)
        self._pending: list[Any] = []
        atexit.register(self.close)
        _made.add(self)

    def _boot(self) -> subprocess.Popen[bytes]:
        self.control, theirs = pair()
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        boot = _BOOT.format(package=os.path.join(root, "__init__.py"), fd=theirs.fileno())
        # Warnings while it starts are not the caller's; those of block functions are forwarded.
        flags = ["-P", "-Wignore", *(["-E"] if sys.flags.ignore_environment else [])]
        flags += ["-s"] * sys.flags.no_user_site + ["-O"] * sys.flags.optimize
        command = [sys.executable, *flags, "-c", boot]
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={**os.environ, **_ENVIRONMENT},
            )
        finally:
            theirs.close()

    # ---- starting --------------------------------------------------------------------------

    def warm(self, kernels: bool) -> None:
        """Begin to start what is missing, without waiting for it."""
        if kernels and not self._preloaded:
            self._preloaded = True
            self.control.send(("preload",))
            # Workers forked from now on share one numba, in milliseconds; each of those that run
            # already would import its own.
            for worker in list(self._workers.values()):
                self._send(worker, ("stop",))
                self._forget(worker)
        for number in range(self.size):
            if number not in self._workers:
                mine, theirs = pair()
                self._workers[number] = _Worker(number, mine)
                self._selector.register(mine, selectors.EVENT_READ, number)
                self.control.send(("fork", number), [theirs.fileno(), self._beats.fd])
                theirs.close()

    def start(self, job: Job, fds: list[int]) -> None:
        self._job = job
        self._beats.array[: self.size] = -1
        # Who ended since the last run held nothing: a new one takes its place.
        self._listen(0)
        while self._pending:
            self._pending.clear()
            self._listen(0)
        self.warm(kernels=False)
        limit = time.monotonic() + _START_SECONDS
        while any(worker.pid == 0 for worker in self._workers.values()):
            self._listen(0.1)
            if self._server.poll() is not None or time.monotonic() > limit:
                raise OocarrayError(
                    f"worker processes did not start ({sys.executable!r} ended with "
                    f'{self._server.poll()}); scheduler="threads" does without them'
                )
        first = range(0, max(len(fds) - MOST_FILES, 0), MOST_FILES)
        for worker in self._workers.values():
            for start in first:
                self._send(worker, ("files",), fds[start : start + MOST_FILES])
            self._send(worker, ("job", job), fds[len(first) * MOST_FILES :])

    def submit(self, worker: int, task: Task) -> None:
        if worker in self._workers:
            self._send(self._workers[worker], ("task", task))

    def _send(self, worker: _Worker, message: Any, fds: list[int] | None = None) -> None:
        # A worker that has died cannot be written to: its end is noticed where we listen.
        with contextlib.suppress(OSError):
            worker.channel.send(message, fds or ())

    # ---- listening ---------------------------------------------------------------------------

    def wait(self, timeout: float) -> list[Any]:
        if not self._pending:
            self._listen(timeout)
        found, self._pending = self._pending, []
        return found

    def _listen(self, timeout: float) -> None:
        """Wait for messages, up to `timeout` seconds, and put them with those that wait."""
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                # Burying a worker may have read what was there to be heard.
                if _readable(self.control, 0):
                    self._hear_server()
                continue
            worker = self._workers.get(key.data)
            if worker is None or worker.channel is not key.fileobj:
                continue
            try:
                message = worker.channel.receive()[0]
            except (EOFError, ProtocolError, OSError):
                message = self._bury(worker)
            self._pending.append(unwrap(message))

    def _hear_server(self) -> None:
        try:
            message = self.control.receive()[0]
        except (EOFError, OSError):
            # The server died, and its workers with it: their channels close too.
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(self.control)
            return
        kind, *rest = message
        if kind == "forked":
            number, pid = rest
            if number in self._workers and self._workers[number].pid == 0:
                self._workers[number].pid = pid
        elif kind == "exit":
            pid, status = rest
            for worker in self._workers.values():
                if worker.pid == pid:
                    worker.status = status

    def _bury(self, worker: _Worker) -> Died:
        """Find out how a worker ended whose channel is closed."""
        limit = time.monotonic() + 1.0
        served = self._selector.get_map()
        while worker.status is None and time.monotonic() < limit and self.control in served:
            if worker.pid:
                with contextlib.suppress(ProcessLookupError):
                    # Closed its channel and still there: it is of no use any more.
                    os.kill(worker.pid, signal.SIGKILL)
            if _readable(self.control, 0.05):
                self._hear_server()
        self._forget(worker)
        stage, item = (int(word) for word in self._beats.array[worker.number])
        return Died(worker.number, worker.pid, worker.status, stage, item)

    def _forget(self, worker: _Worker) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(worker.channel)
        worker.channel.close()
        self._workers.pop(worker.number, None)

    # ---- ending --------------------------------------------------------------------------------

    def cancel(self) -> None:
        if self._job is not None:
            for worker in self._workers.values():
                self._send(worker, ("cancel", self._job.number))

    def kill(self, workers: list[int]) -> None:
        for number in workers:
            worker = self._workers.get(number)
            if worker is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
                self._forget(worker)

    def finish(self) -> None:
        self._job = None
        for worker in self._workers.values():
            self._send(worker, ("end",))

    @property
    def pids(self) -> list[int]:
        """Process ids of the server and its workers."""
        return [self._server.pid, *(w.pid for w in self._workers.values() if w.pid)]

    @property
    def alive(self) -> bool:
        """Whether the pool can still be used from this process."""
        return self._owner == os.getpid() and self._server.poll() is None

    def close(self) -> None:
        """End all processes and wait for them."""
        atexit.unregister(self.close)
        if self._owner != os.getpid():
            return
        _made.discard(self)
        for worker in list(self._workers.values()):
            self._send(worker, ("stop",))
            self._forget(worker)
        self.control.close()
        try:
            self._server.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._selector.close()
        self._beats.close()
        # Whoever still holds the pool shall not hold shared memory by it.
        self._beats.array = self._beats.array.copy()

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's, without a word to the workers.

        A copy of the parent's ends that stayed open here would keep the workers alive after
        the parent is gone.
        """
        atexit.unregister(self.close)
        # Shared with the parent: nothing is unregistered, that would make the parent deaf.
        self._selector.close()
        for channel in (self.control, *(worker.channel for worker in self._workers.values())):
            channel.close()
        self._workers.clear()
        self._beats.close()
        # It is not this process's child: there is nothing to wait for.
        self._server.returncode = 0


_made: weakref.WeakSet[ProcessPool] = weakref.WeakSet()


def _abandon_all() -> None:
    for pool in list(_made):
        with contextlib.suppress(Exception):
            pool.abandon()
    _made.clear()


os.register_at_fork(after_in_child=_abandon_all)


def _readable(channel: Channel, timeout: float) -> bool:
    """Tell whether a channel has something to read within `timeout` seconds."""
    if channel.fileno() < 0:
        return False
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        return bool(selector.select(timeout))
