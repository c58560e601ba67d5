"""The main function of a worker process: listens to its channel, works, says what it did.

It never imports or runs the user's ``__main__``, never reads from the terminal, and ends
when the other end of its channel does.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from typing import Any

import numpy as np

from ..errors import ProtocolError
from ..pages import calls
from .beats import Pulse
from .carry import wrap
from .causes import GARBLED, MUTE, UNFORESEEN
from .channel import Channel
from .files import KeptWindows
from .forwarding import Forwarder, LogForwarder
from .job import Said, Warned
from .loop import Loop
from .sameness import adopt_environment

__all__ = ["main"]

_MOST_SAID = 1 << 20
_FIRST_TO_GO = "500"


class _Process:
    """One worker process: a `Loop` between a channel and a page that the coordinator can see."""

    def __init__(self, channel: Channel, beats: int, number: int) -> None:
        self.channel = channel
        self.pulse = Pulse(beats, number)
        self._told = 0
        self.loop = Loop(number, self.answer, KeptWindows(), self.pulse, self._settle)
        self.streams = [
            Forwarder("stdout", self.say, self.block),
            Forwarder("stderr", self.say, self.block),
        ]
        self._warned: set[Any] = set()

    def run(self) -> None:
        sys.stdout, sys.stderr = self.streams
        sys.stdin = open(os.devnull)  # noqa: SIM115
        warnings.showwarning = self._warn  # type: ignore[assignment]
        # What is given once is decided per run, below: Python's own memory spans runs.
        warnings.simplefilter("always")
        logging.getLogger().addHandler(LogForwarder(self.say, self.block))
        os.register_at_fork(after_in_child=self._forked)
        threading.Thread(target=self._listen, name="oocarray-listen", daemon=True).start()
        self.loop.run()

    def _forked(self) -> None:
        """In a child that the user's function has forked: it is no worker, and speaks to nobody.

        A copy of the channel that stayed open here would hide the end of the worker; a child
        that comes back from the function would work on blocks that are the worker's.
        """
        self.channel.close()
        self.pulse.renounce()
        calls.die_with_parent(signal.SIGKILL)

    def say(self, message: Any) -> None:
        with contextlib.suppress(OSError):
            self.channel.send(wrap(message))

    def answer(self, answer: Any) -> None:
        try:
            self.channel.send(wrap(answer))
        except OSError:
            os._exit(MUTE)

    def block(self) -> tuple[int, ...] | None:
        engine = self.loop.engine
        if engine is None or engine.item is None:
            return None
        return engine.stage.grid.coords(engine.item)

    def _settle(self) -> None:
        """At the end of each task: nothing that it said stays behind."""
        for stream in (*self.streams, sys.__stdout__, sys.__stderr__):
            with contextlib.suppress(OSError, ValueError):
                if isinstance(stream, Forwarder):
                    stream.finish()
                elif stream is not None:
                    stream.flush()
        with contextlib.suppress(OSError):
            self._pass_on()

    def _pass_on(self) -> None:
        """Say what libraries wrote to standard error past Python."""
        size = os.fstat(2).st_size
        if size <= self._told:
            return
        text = os.pread(2, size - self._told, self._told).decode(errors="replace")
        self._told = size
        if size > _MOST_SAID:
            os.ftruncate(2, 0)
            os.lseek(2, 0, os.SEEK_SET)
            self._told = 0
        self.pulse.tell(self._told)
        for line in text.splitlines():
            self.say(Said("stderr", line, self.block()))

    def _warn(
        self, message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any
    ) -> None:
        key = str(message), category, filename, lineno
        if key not in self._warned:
            self._warned.add(key)
            self.say(Warned(str(message), category, filename, lineno, self.block()))

    def _listen(self) -> None:
        """Feed the loop; when the coordinator is gone, so is this process, kernel or not."""
        came: list[int] = []
        try:
            while True:
                message, fds = self.channel.receive()
                if message[0] == "files":
                    # More than fit one message: the job comes with the rest of them.
                    came += fds
                    continue
                if message[0] == "cancel":
                    self.loop.cancelled = message[1]
                    continue
                if message[0] == "job":
                    job = message[1]
                    sys.path[:] = job.path
                    adopt_environment(job.environ)
                    logging.getLogger().setLevel(job.log_level)
                    with contextlib.suppress(OSError):
                        os.chdir(job.folder)
                    self._warned.clear()
                    message, came = (*message, came + fds), []
                self.loop.inbox.put(message)
                if message[0] == "stop":
                    return
        except (EOFError, OSError):
            os._exit(0)
        except ProtocolError:
            os._exit(GARBLED)
        except BaseException:
            # Without its ears this process would be waited for, for ever.
            os.write(2, traceback.format_exc().encode(errors="replace"))
            os._exit(UNFORESEEN)


def main(sock: Channel, beats: int, said: int, number: int) -> None:
    """Work until the channel says stop, or closes.

    Parameters
    ----------
    sock : Channel
    beats : int
        Descriptor of the page on which it is noted what is worked on.
    said : int
        Descriptor of a file that becomes standard error, to be read when this process is gone.
    number : int
        Which worker this is.
    """
    calls.die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.dup2(said, 2)
    os.close(said)
    with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):
        faulthandler.enable(file=2)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as stream:
        # When memory runs out, whoever can be replaced goes first.
        stream.write(_FIRST_TO_GO)
    if "numpy.random" in sys.modules:
        # Forked from one server, all workers would draw the same numbers.
        np.random.seed()
    _Process(sock, beats, number).run()
