"""A small process that imports what workers need and forks them on request; it runs no user code.

Workers forked from it start in milliseconds, share its imported modules, and know nothing
of the coordinator's threads, locks or ``__main__``.  It reports how they end, and ends
with the coordinator; the unfinished files that it was told of end with it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
from typing import Any

from .channel import Channel
from .worker import main as work

__all__ = ["Unfinished", "main"]

Unfinished = tuple[str, int, int]
"""Path, device and inode of a file that is to go if nobody is left to finish it."""


def main(fd: int) -> None:
    """Serve the coordinator at the other end of `fd` until it is gone."""
    # What the caller blocks is inherited; blocked, SIGCHLD would not tell of a worker's end.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Server(Channel(socket.socket(fileno=fd))).run()


class _Server:
    def __init__(self, control: Channel) -> None:
        self.control = control
        self.children: set[int] = set()
        self.unfinished: tuple[Unfinished, ...] = ()
        wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken)
        self.selector = selectors.DefaultSelector()
        self.selector.register(control, selectors.EVENT_READ, self._obey)
        self.selector.register(wake, selectors.EVENT_READ, lambda: self._bury(wake))
        with contextlib.suppress(AttributeError, OSError):
            # A copy of the other end may live on in a process that the coordinator has forked.
            parent = os.pidfd_open(os.getppid())
            self.selector.register(parent, selectors.EVENT_READ, _end)

    def run(self) -> None:
        try:
            while True:
                for key, _ in self.selector.select():
                    key.data()
        except (EOFError, BrokenPipeError):
            # Whoever gave the work is gone: so is the work.
            for pid in self.children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _remove(self.unfinished)

    def _obey(self) -> None:
        message, fds = self.control.receive()
        kind, *rest = message
        if kind == "preload":
            # Where numba cannot be imported the workers say so, with the block that needs it.
            with contextlib.suppress(Exception):
                from .. import jit

                jit.preload()
        elif kind == "unfinished":
            (self.unfinished,) = rest
        elif kind == "fork":
            self._fork(rest[0], rest[1], fds)
        for fd in fds:
            os.close(fd)

    def _fork(self, serial: int, number: int, fds: list[int]) -> None:
        # Frozen objects are not visited by the children's collections, so their pages stay shared.
        # Without a collection first: it takes longer than all the rest of a fork.
        gc.freeze()
        try:
            pid = os.fork()
        except OSError as error:
            self.control.send(("refused", serial, str(error)))
            return
        if pid == 0:
            self._become(number, fds)
        self.children.add(pid)
        mine: list[int] = []
        with contextlib.suppress(AttributeError, OSError):
            mine.append(os.pidfd_open(pid))
        self.control.send(("forked", serial, pid), mine)
        for fd in mine:
            os.close(fd)

    def _become(self, number: int, fds: list[int]) -> None:
        """In the child: be a worker until the end of the process."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self.control.close()
            self.selector.close()
            channel, beats, said = fds
            work(Channel(socket.socket(fileno=channel)), beats, said, number)
            status = 0
        except BaseException:
            sys.__excepthook__(*sys.exc_info())
        finally:
            os._exit(status)

    def _bury(self, wake: int) -> None:
        os.read(wake, 4096)
        while self.children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.children.discard(pid)
            self.control.send(("exit", pid, status))


def _end() -> Any:
    raise EOFError("the coordinator is gone")


def _remove(unfinished: tuple[Unfinished, ...]) -> None:
    for path, dev, ino in unfinished:
        with contextlib.suppress(OSError):
            found = os.lstat(path)
            if (found.st_dev, found.st_ino) == (dev, ino):
                os.unlink(path)
