"""How far a stage is and how fast it goes, in numbers and words; it shows nothing."""

from __future__ import annotations

import math
from collections import deque

from .held import ALLOWANCE, HeldMemory
from .plan import Advanced, Began, Ended
from .units import format_bytes, format_seconds

__all__ = ["Meter", "countdown", "gigabytes", "speed"]

_WINDOW = 10.0
"""Seconds that the remaining time is judged by: long enough to be steady, short enough to learn."""


class Meter:
    """How far a stage is, how fast it goes and how long it still takes; shows nothing.

    Parameters
    ----------
    began : Began
    now : float
        Seconds on any clock; those handed in later are on the same.
    """

    def __init__(self, began: Began, now: float) -> None:
        self.event = began
        self.since = now
        self.nbytes = self.items = 0
        self.held: HeldMemory | None = None
        self._recent: deque[tuple[float, float]] = deque([(now, 0.0)])

    @property
    def name(self) -> str:
        """Label of the stage, with its number where there are several."""
        event = self.event
        return (
            f"{event.label} {event.stage + 1}/{event.stages}" if event.stages > 1 else event.label
        )

    @property
    def share(self) -> float:
        """Part of the items that is done, 0 to 1."""
        return min(self.items / self.event.items, 1.0) if self.event.items else 1.0

    @property
    def limit(self) -> str:
        """What the stage may hold: the budget, and beside it the allowance of its processes."""
        text = format_bytes(self.event.budget)
        if self.event.pids:
            count = self.held.processes if self.held else len(self.event.pids) + 1
            text += f" + {count} x {format_bytes(ALLOWANCE)}"
        return text

    @property
    def over(self) -> bool:
        """Whether more is held than budget and allowance."""
        if self.held is None:
            return False
        return self.held.now > self.event.budget + ALLOWANCE * self.held.processes

    def advance(self, event: Advanced, now: float) -> None:
        """Take note of work done."""
        self.items += event.items
        self.nbytes += event.nbytes
        if self.held is not None and self.held.written is not None:
            self.held.written += event.nbytes
        if event.items:
            self._recent.append((now, self.share))
            while len(self._recent) > 2 and now - self._recent[1][0] > _WINDOW:
                self._recent.popleft()

    def rate(self, now: float) -> float:
        """Bytes per second since the stage began."""
        return self.nbytes / (now - self.since) if now > self.since else 0.0

    def remaining(self, now: float) -> float | None:
        """Seconds that the rest takes at the pace of late; None before anything is done."""
        (then, before), (last, share) = self._recent[0], self._recent[-1]
        if share <= before:
            return None
        return max((1 - share) * (last - then) / (share - before) - (now - last), 0.0)

    def line(self, now: float, ended: Ended | None = None) -> str:
        """One line of plain text on where the stage is, or how it ended."""
        words = []
        if ended is None:
            words.append(f"{self.share:.0%} of {gigabytes(self.event.nbytes)}")
        elif ended.ok:
            words.append(f"{gigabytes(self.event.nbytes)} in {format_seconds(ended.seconds)}")
        else:
            words.append(f"failed at {self.share:.0%} after {format_seconds(ended.seconds)}")
        words.append(speed(self.rate(now)))
        left = self.remaining(now)
        if ended is None and left is not None:
            words.append(countdown(left))
        if self.held is not None:
            held, which = self.held.now, "holds"
            if ended is not None:
                held, which = self.held.peak, "held at most"
            words.append(f"{which} {format_bytes(held)} (may: {self.limit})")
        return f"oocarray: {self.name}: " + ", ".join(words)


def gigabytes(count: float) -> str:
    """Write bytes in decimal units, as speeds of disks are given.

    Examples
    --------
    >>> gigabytes(2.5e9), gigabytes(3e6)
    ('2.50 GB', '3 MB')
    """
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.3g} MB"


def speed(rate: float) -> str:
    """Write bytes per second.

    Examples
    --------
    >>> speed(1.234e9), speed(2.5e6)
    ('1.23 GB/s', '2.5 MB/s')
    """
    return f"{gigabytes(rate)}/s"


def countdown(seconds: float) -> str:
    """Write the time that is left in whole seconds, so that it does not flicker.

    Examples
    --------
    >>> countdown(2.2), countdown(75)
    ('3 s left', '1 min 15 s left')
    """
    whole = math.ceil(round(seconds, 3))
    return f"{whole} s left" if whole < 60 else f"{format_seconds(whole)} left"
