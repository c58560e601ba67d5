"""Runs that go on while the caller does something else: watched, waited for, cancelled."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextvars
import html
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator
from typing import Any

from .backends.watching import Progress, Watch, watched
from .units import format_seconds

__all__ = ["Future", "start"]

_AT_EXIT_SECONDS = 8.0
"""How long the end of the program waits for runs to end: longer than running blocks may go on."""

_running: weakref.WeakSet[Future] = weakref.WeakSet()


class Future(concurrent.futures.Future[Any]):
    """What a run will give, as a `concurrent.futures.Future` that tells how far it is.

    Made by ``compute(..., wait=False)`` and ``store(..., wait=False)``; ``await`` works too.
    The run has a thread of its own, with the options and context variables of the call; what it
    warns of is warned of there. At the end of the program it is cancelled.

    Attributes
    ----------
    progress : Progress
        How far the run is: ``progress.share`` from 0 to 1, and as text.
    failed_blocks : dict
        Blocks whose function raised, by their coordinates, with what it raised (where `on_error`
        lets the run go on).

    Examples
    --------
    >>> import numpy as np
    >>> import oocarray as oo
    >>> x = oo.from_array(np.arange(6.0))
    >>> future = x.sum().compute(wait=False, scheduler="serial")
    >>> float(future.result(timeout=60)), future.progress.share
    (15.0, 1.0)
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what
        self._watch = Watch()
        self._thread: threading.Thread
        self._began = time.perf_counter()
        self._seconds: float | None = None

    @property
    def progress(self) -> Progress:
        return self._watch.progress

    @property
    def failed_blocks(self) -> dict[tuple[int, ...], str]:
        return dict(self._watch.failed)

    def cancel(self) -> bool:
        """Stop the run, as Ctrl-C would; False if it is over.

        It returns at once: `result` raises CancelledError when the run has ended. Blocks that are
        being computed get a few seconds to end; a file that was to be made is not there, one that
        was updated in place is as after Ctrl-C.
        """
        if self.done():
            return False
        self._watch.stop.set()
        return True

    def running(self) -> bool:
        """Whether the run is under way."""
        return not self.done()

    def __await__(self) -> Generator[Any, None, Any]:
        return asyncio.wrap_future(self).__await__()

    def __repr__(self) -> str:
        return f"<oocarray.Future of {self._what}: {self._state_text()}>"

    def _repr_html_(self) -> str:
        share = 1.0 if self.done() else self.progress.share
        text = html.escape(f"{self._what}: {self._state_text()}")
        return f'<progress value="{share:.3f}" max="1"></progress> {text}'

    def _state_text(self) -> str:
        if not self.done():
            stopping = "stopping at " if self._watch.stop.is_set() else ""
            return f"{stopping}{self.progress}"
        after = f"after {format_seconds(self._seconds or 0.0)}"
        if self.cancelled():
            return f"cancelled {after}"
        error = self.exception()
        return f"done {after}" if error is None else f"failed {after}: {type(error).__name__}"

    # Until it is over the future stays pending, as `concurrent.futures` calls it: only so can
    # its own `cancel` settle it.

    def _run(self, work: Callable[[], Any]) -> None:
        watched.set(self._watch)
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:
            error = caught
        self._seconds = time.perf_counter() - self._began
        _running.discard(self)
        if error is None:
            self.set_result(result)
        elif isinstance(error, concurrent.futures.CancelledError) and self._watch.stop.is_set():
            super().cancel()
            self.set_running_or_notify_cancel()
        else:
            self.set_exception(error)
        # Its traceback holds this frame: what was computed shall not live on with it.
        del result, error


def start(what: str, work: Callable[[], Any]) -> Future:
    """Do some work in a thread of its own.

    Parameters
    ----------
    what : str
        For people.
    work : callable
        Evaluates with options that were decided by the caller.
    """
    future = Future(what)
    context = contextvars.copy_context()
    # A daemon: the program may end while a block takes its time.
    future._thread = threading.Thread(
        target=context.run, args=(future._run, work), name="oocarray-run", daemon=True
    )
    _running.add(future)
    future._thread.start()
    return future


def _end() -> None:
    """Stop what still runs: its workers must end before the program does."""
    left = list(_running)
    for future in left:
        future.cancel()
    limit = time.monotonic() + _AT_EXIT_SECONDS
    for future in left:
        future._thread.join(max(limit - time.monotonic(), 0.0))


def _forget() -> None:
    """In a forked child: the threads are the parent's."""
    _running.clear()


# Exit handlers run last in, first out: the pools were imported before, and close afterwards.
atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
