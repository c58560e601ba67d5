"""Lets another thread see how far the runs of this one are, and stop them; it starts none."""

from __future__ import annotations

import contextvars
import threading
import time
from concurrent.futures import CancelledError
from dataclasses import dataclass

from ..meter import Meter, gigabytes, speed
from ..plan import Advanced, Began, Ended, Event

__all__ = ["Progress", "Watch", "watched"]

watched: contextvars.ContextVar[Watch | None] = contextvars.ContextVar(
    "oocarray_watch", default=None
)
"""Who watches the runs of this context; set in a thread of its own."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; ``str()`` of it is a line to show.

    Attributes
    ----------
    share : float
        Part that is done, 0 to 1; it never goes back.
    label : str
        What the present stage makes; empty before the first.
    stage, stages : int
        Number of the present stage, from 1, and of all.
    items, of_items : int
        Blocks of the present stage that are done, and all.
    nbytes : int
        Bytes of the present stage that were read and written.
    rate : float
        The same per second.
    """

    share: float = 0.0
    label: str = ""
    stage: int = 0
    stages: int = 0
    items: int = 0
    of_items: int = 0
    nbytes: int = 0
    rate: float = 0.0

    def __str__(self) -> str:
        if not self.stages:
            return f"{self.share:.0%}"
        of = f" (stage {self.stage} of {self.stages})" if self.stages > 1 else ""
        return (
            f"{self.share:.0%}, {self.label}{of}: {self.items} of {self.of_items} blocks, "
            f"{gigabytes(self.nbytes)}, {speed(self.rate)}"
        )


class Watch:
    """An observer whose answers any thread may ask for.

    It is to be told of whole runs only: what an argument of theirs takes is a run of its own.

    Attributes
    ----------
    stop : threading.Event
        Set: the run ends as after Ctrl-C and raises CancelledError.
    failed : dict
        Blocks whose function raised, by their coordinates, where `on_error` lets the run go on.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.failed: dict[tuple[int, ...], str] = {}
        self._lock = threading.Lock()
        self._runs = 0
        self._meter: Meter | None = None
        self._ended = 0
        self._most = 0.0

    def enter(self) -> bool:
        """Say that a run begins; return whether it is the whole, and not one within another."""
        with self._lock:
            self._runs += 1
            return self._runs == 1

    def leave(self) -> None:
        """Say that a run has ended."""
        with self._lock:
            self._runs -= 1

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, Began):
                self._meter = Meter(event, time.perf_counter())
                self._ended = event.stage
            elif isinstance(event, Advanced) and self._meter is not None:
                self._meter.advance(event, time.perf_counter())
            elif isinstance(event, Ended) and event.ok:
                self._ended = event.stage + 1
            if isinstance(event, Ended):
                self.failed |= dict(event.failed)

    def check(self) -> None:
        """Raise CancelledError if the run is to stop."""
        if self.stop.is_set():
            raise CancelledError

    @property
    def progress(self) -> Progress:
        """How far the run is now."""
        with self._lock:
            meter = self._meter
            if meter is None:
                return Progress()
            event = meter.event
            done = min(
                self._ended + (meter.share if self._ended == event.stage else 0.0), event.stages
            )
            self._most = max(self._most, done / event.stages)
            return Progress(
                self._most,
                event.label,
                event.stage + 1,
                event.stages,
                meter.items,
                event.items,
                meter.nbytes,
                meter.rate(time.perf_counter()),
            )
