"""Holds Ctrl-C back until the coordinator is between two messages; it never swallows one."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """Within the ``with`` block the first Ctrl-C waits for `check`; the second comes at once.

    An exception out of a signal handler can come between any two instructions: a message
    half read, or read and not yet counted, would be lost, and its worker waited for in vain.

    Parameters
    ----------
    hold : bool
        False: do nothing, let Ctrl-C come at once.

    Notes
    -----
    Does nothing in other threads than the main one, and where the program has a SIGINT
    handler of its own.
    """

    def __init__(self, hold: bool = True) -> None:
        self._hold = hold
        self._before: Any = None
        self.came = False

    def __enter__(self) -> Interrupts:
        main = threading.current_thread() is threading.main_thread()
        if self._hold and main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C came."""
        if self.came:
            raise KeyboardInterrupt

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
        if kind is None:
            self.check()
