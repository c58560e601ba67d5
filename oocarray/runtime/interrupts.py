"""Holds Ctrl-C back until the coordinator is between two messages; it never swallows one."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ParamSpec, TypeVar

__all__ = ["Interrupts", "Terminated", "ends_by_sigterm", "terminate"]


_P = ParamSpec("_P")
_R = TypeVar("_R")


class Terminated(BaseException):
    """SIGTERM came during a run; the process ends by it once the run is cleared away."""


def terminate(number: int, frame: FrameType | None) -> None:
    """A handler of SIGTERM that raises `Terminated` at once, and that `Interrupts` takes over.

    Whoever sets it catches `Terminated` and ends the process.
    """
    raise Terminated


class Interrupts:
    """Within the ``with`` block the first Ctrl-C waits for `check`; the second comes at once.

    An exception out of a signal handler can come between any two instructions: a message
    half read, or read and not yet counted, would be lost, and its worker waited for in vain.
    SIGTERM is treated likewise, and is raised as `Terminated`.

    Parameters
    ----------
    hold : bool
        False: do nothing, let Ctrl-C come at once, and SIGTERM too.

    Notes
    -----
    Does nothing in other threads than the main one, and for a signal that the program has a
    handler of its own for; `terminate` counts as none.
    """

    def __init__(self, hold: bool = True) -> None:
        self._hold = hold
        self._before: dict[int, Any] = {}
        self.came: type[BaseException] | None = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            wanted: dict[int, tuple[Any, ...]] = {signal.SIGTERM: (signal.SIG_DFL, terminate)}
            if self._hold:
                wanted[signal.SIGINT] = (signal.default_int_handler,)
            for number, ordinary in wanted.items():
                if signal.getsignal(number) in ordinary:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        kind = KeyboardInterrupt if number == signal.SIGINT else Terminated
        if self.came or not self._hold:
            raise kind
        self.came = kind

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C came, `Terminated` if SIGTERM did."""
        if self.came:
            raise self.came

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
        if kind is None:
            self.check()


def ends_by_sigterm(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Have the process end by SIGTERM that came in a run of `function`, once it has cleared up.

    Only whoever finds the signal as the system has set it ends the process: a run within a run,
    and one in a program that catches `Terminated`, leave that to the one around them.
    """

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return function(*args, **kwargs)
        try:
            # Also before and between stages: nobody else would remove a file that has a name.
            signal.signal(signal.SIGTERM, terminate)
            try:
                return function(*args, **kwargs)
            finally:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        except Terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            raise SystemExit(128 + signal.SIGTERM) from None

    return call
