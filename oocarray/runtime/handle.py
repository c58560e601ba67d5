"""One worker process as its coordinator knows it: channel, process, last words; no pool."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from typing import Any

from ..errors import ProtocolError
from ..plan import Task
from .boot import ServerLink
from .carry import unwrap
from .causes import fatal_text
from .channel import MOST_FILES, pair, readable
from .job import Answer, Job, Logged, Said, Warned
from .shared import unnamed

__all__ = ["Handle"]

_PATIENCE = 20.0
"""Seconds for which a worker may be silent in the middle of a message."""
_MOST_SAID = 64 << 10


class Handle:
    """A worker that was asked for, and runs once it has a process id.

    Attributes
    ----------
    serial : int
        Unlike the number, no two workers of a pool ever have the same.
    pid : int
        0 until the server has told.
    status : int or None
        As of ``os.waitpid``, once the server has told.
    server : ServerLink
        Who was asked for it.
    theirs : Channel
        The worker's own end; closed here when it is on its way.
    said : int
        Descriptor of what it writes to its standard error, which is a file in memory.
    """

    __slots__ = (
        "_pidfd",
        "channel",
        "number",
        "pid",
        "said",
        "serial",
        "server",
        "status",
        "theirs",
    )

    def __init__(self, serial: int, number: int, server: ServerLink) -> None:
        self.serial, self.number, self.server = serial, number, server
        self.channel, self.theirs = pair()
        self.channel.patience = _PATIENCE
        try:
            self.said = unnamed(0)
        except BaseException:
            self.channel.close()
            self.theirs.close()
            raise
        self.pid = 0
        self.status: int | None = None
        self._pidfd = -1

    def started(self, pid: int, fds: list[int]) -> None:
        """The server has forked it; with its process id may come a descriptor of the process."""
        self.pid = pid
        if fds:
            self._pidfd = fds[0]

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Tell it something; one that has died cannot be told: its end is noticed by `receive`."""
        with contextlib.suppress(OSError):
            self.channel.send(message, fds)

    def begin(self, job: Job, fds: list[int]) -> None:
        """Give it a stage to work on, in as many messages as the files take."""
        last = max(len(fds) - 1, 0) // MOST_FILES * MOST_FILES
        for start in range(0, last, MOST_FILES):
            self.send(("files",), fds[start : start + MOST_FILES])
        self.send(("job", job), fds[last:])

    def receive(self) -> Any:
        """Wait for what it says.

        Raises
        ------
        EOFError, OSError
            It has closed its channel.
        ProtocolError
            Workers do not say such things.
        """
        message, fds = self.channel.receive()
        for fd in fds:
            os.close(fd)
        return _understood(message, self.number)

    @property
    def gone(self) -> bool:
        """Whether the process has ended, for certain: it stores nowhere any more."""
        if self.status is not None:
            return True
        if self._pidfd >= 0:
            return readable(self._pidfd, 0)
        if not self.pid:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False

    def kill(self) -> None:
        """End the process."""
        with contextlib.suppress(ProcessLookupError):
            if self._pidfd >= 0:
                # By descriptor: the number may be another process's by now.
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            elif self.pid:
                os.kill(self.pid, signal.SIGKILL)

    def last_words(self, told: int) -> str:
        """What it wrote to its standard error and has not passed on, as far as it matters."""
        size = os.fstat(self.said).st_size
        start = max(told, size - _MOST_SAID, 0)
        return fatal_text(os.pread(self.said, _MOST_SAID, start).decode(errors="replace"))

    def close(self) -> None:
        """Let go of what is held of it; the process is not touched."""
        self.channel.close()
        self.theirs.close()
        for fd in (self._pidfd, self.said):
            if fd >= 0:
                os.close(fd)
        self._pidfd = self.said = -1


def _understood(message: Any, number: int) -> Any:
    """What a worker said, if workers say such things."""
    try:
        message = unwrap(message)
        answer = isinstance(message, Answer)
        if answer and message.worker == number and isinstance(message.task, Task):
            return message
    except Exception as error:
        raise ProtocolError(f"{type(message).__name__}: {error}") from error
    if answer or not isinstance(message, (Said, Warned, Logged)):
        raise ProtocolError(f"{message!r:.80}")
    return message
