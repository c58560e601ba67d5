"""A small process that imports what workers need and forks them on request; it runs no user code.

Workers forked from it start in milliseconds, share its imported modules, and know nothing
of the coordinator's threads, locks or ``__main__``.  It reports how they end, and ends
with the coordinator.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys

from .channel import Channel
from .worker import main as work

__all__ = ["main"]


def main(fd: int) -> None:
    """Serve the coordinator at the other end of `fd` until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = Channel(socket.socket(fileno=fd))
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(wake, selectors.EVENT_READ)
    children: set[int] = set()
    try:
        while True:
            for key, _ in selector.select():
                if key.fileobj is control:
                    _obey(control, children)
                else:
                    os.read(wake, 4096)
                    _bury(control, children)
    except (EOFError, BrokenPipeError):
        # Whoever gave the work is gone: so is the work.
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _obey(control: Channel, children: set[int]) -> None:
    message, fds = control.receive()
    if message[0] == "preload":
        from .. import jit

        jit.preload()
        return
    _, number = message
    # Frozen objects are not visited by the children's collections, so their pages stay shared.
    # Without a collection first: it takes longer than all the rest of a fork.
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            work(Channel(socket.socket(fileno=fds[0])), fds[1], number)
            status = 0
        except BaseException:
            sys.__excepthook__(*sys.exc_info())
        finally:
            os._exit(status)
    for fd in fds:
        os.close(fd)
    children.add(pid)
    control.send(("forked", number, pid))


def _bury(control: Channel, children: set[int]) -> None:
    while children:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        children.discard(pid)
        control.send(("exit", pid, status))
