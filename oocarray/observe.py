"""Observers of a run: who shows progress, and when; they are told of events and change nothing."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from .held import HeldMemory
from .meter import Meter
from .plan import Advanced, Began, Ended, Event

__all__ = ["Observer", "default_observers"]

Observer = Callable[[Event], None]
Clock = Callable[[], float]

_BAR_AFTER = 1.0
"""Seconds that a stage lasts before a bar is worth its flicker."""
_THREAD_AFTER = 0.2
_LINE_EVERY = 10.0
_TICK = 0.05
_DRAW_EVERY = 0.1
_SMALL = 8 << 20
"""Bytes of a stage that needs no look at memory before it begins."""


def default_observers(progress: bool | None) -> list[Observer]:
    """Choose the observers of one run.

    Parameters
    ----------
    progress : bool or None
        None: a bar for stages that last, where standard error is a terminal or a notebook, and
        a line every ten seconds elsewhere. True: at once, and the last state stays. False: none.

    Returns
    -------
    list of callable
        Each takes one event; none of them raises.

    Examples
    --------
    >>> default_observers(False)
    []
    """
    if progress is False or sys.stderr is None:
        return []
    forced = progress is True
    if _in_notebook():
        from .notebook import NotebookBar

        return [_Progress(forced, bar=True, display=_LateBar(forced, NotebookBar))]
    return [_Progress(forced, bar=_can_draw())]


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this; shells of others (Colab, Spyder) inherit its name."""
    ipython: Any = sys.modules.get("IPython")
    with contextlib.suppress(Exception):
        names = [kind.__name__ for kind in type(ipython.get_ipython()).__mro__]
        return "ZMQInteractiveShell" in names
    return False


def _can_draw() -> bool:
    """Whether a bar can be drawn and redrawn where standard error leads."""
    with contextlib.suppress(Exception):
        return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown", "")
    return False


def _bar_on_terminal(keep: bool) -> Any:
    from .bar import Bar

    return Bar.alone(keep)


class _Display(Protocol):
    """What shows a stage; `update` may come from another thread than the other two."""

    def begin(self, meter: Meter, now: float) -> None: ...
    def update(self, meter: Meter, now: float) -> None: ...
    def end(self, meter: Meter, now: float, ended: Ended) -> None: ...


class _Lines:
    """Lines on standard error: for log files and pipes."""

    def __init__(self, forced: bool) -> None:
        self.forced = forced
        self._last = 0.0
        self._said = False

    def begin(self, meter: Meter, now: float) -> None:
        self._last, self._said = now, False
        if self.forced:
            self._say(meter.line(now), now)

    def update(self, meter: Meter, now: float) -> None:
        if now - self._last >= _LINE_EVERY:
            self._say(meter.line(now), now)

    def end(self, meter: Meter, now: float, ended: Ended) -> None:
        # What was announced is also concluded.
        if self.forced or self._said:
            self._say(meter.line(now, ended), now)

    def _say(self, line: str, now: float) -> None:
        self._last, self._said = now, True
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


class _LateBar:
    """A bar that is not made, nor its library imported, until a stage lasts."""

    def __init__(self, forced: bool, make: Callable[[bool], Any] = _bar_on_terminal) -> None:
        self.forced, self._make = forced, make
        self._bar: Any = None
        self._drawn = -math.inf

    def begin(self, meter: Meter, now: float) -> None:
        self.update(meter, now)

    def update(self, meter: Meter, now: float) -> None:
        if self._bar is None and (self.forced or now - meter.since >= _BAR_AFTER):
            self._bar = self._make(self.forced)
        if self._bar is not None and now - self._drawn >= _DRAW_EVERY:
            self._drawn = now
            self._bar.draw(meter, now)

    def end(self, meter: Meter, now: float, ended: Ended) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close(meter, now, ended)


class _Progress:
    """Turns events into calls of a display, and sees to it that those harm nothing.

    A thread that redraws and samples memory is started only by an event that comes later than
    `_THREAD_AFTER`, so that short stages pay for nothing; lines of plain text need none.
    """

    def __init__(
        self,
        forced: bool,
        bar: bool,
        clock: Clock = time.perf_counter,
        display: _Display | None = None,
    ) -> None:
        self.display: _Display = display or (_LateBar(forced) if bar else _Lines(forced))
        self.forced, self.threaded = forced, bar
        self.clock = clock
        self.meter: Meter | None = None
        self._held: HeldMemory | None = None
        self._ticker: threading.Thread | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._broken = False

    def __call__(self, event: Event) -> None:
        try:
            if isinstance(event, Ended):
                self._ended(event)
            elif self._broken:
                pass
            elif isinstance(event, Began):
                self._began(event)
            elif isinstance(event, Advanced):
                self._advanced(event)
        except Exception:
            # Whatever is wrong with a terminal is no reason to disturb a run.
            self._broken = True

    def _began(self, event: Began) -> None:
        now = self.clock()
        self.meter = Meter(event, now)
        if event.nbytes >= _SMALL or self.forced:
            self._look(self.meter)
        with self._lock:
            self.display.begin(self.meter, now)

    def _look(self, meter: Meter) -> None:
        """Take what is held now as what was held before, once per run."""
        if self._held is None:
            self._held = HeldMemory(meter.event.pids)
            self._held.written = 0
        self._held.pids.update(meter.event.pids)
        meter.held = self._held

    def _advanced(self, event: Advanced) -> None:
        meter, now = self.meter, self.clock()
        if meter is None:
            return
        meter.advance(event, now)
        late = now - meter.since >= _THREAD_AFTER
        if late and meter.held is None:
            self._look(meter)
        if not self.threaded:
            if late and meter.held is not None:
                meter.held.sample()
            with self._lock:
                self.display.update(meter, now)
        elif late and self._ticker is None:
            self._stop.clear()
            self._ticker = threading.Thread(target=self._tick, name="oocarray-bar", daemon=True)
            self._ticker.start()

    def _tick(self) -> None:
        while not self._stop.wait(_TICK):
            meter = self.meter
            if meter is None or meter.held is None:
                continue
            try:
                meter.held.sample()
                with self._lock:
                    self.display.update(meter, self.clock())
            except Exception:
                self._broken = True
                return

    def _ended(self, event: Ended) -> None:
        if self._ticker is not None:
            self._stop.set()
            self._ticker.join()
            self._ticker = None
        meter, self.meter = self.meter, None
        if meter is not None:
            if meter.held is not None and self.forced:
                meter.held.sample()
            self.display.end(meter, self.clock(), event)
