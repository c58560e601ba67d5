"""Estimates how long runs take from what tuning found, and how many rounds there is time for."""

from __future__ import annotations

import time

__all__ = ["Clock"]

_START = 2.0
"""Seconds to start a process, to warm it up, to check and to end it."""
_MAKING = 0.4e9
"""Bytes a second at which files are made, until that has been seen."""
_UNKNOWN = 250_000_000
"""Bytes a second of whom nothing is known."""


class Clock:
    """Time that is left.

    Parameters
    ----------
    minutes : float
        For everything, from now on.
    """

    def __init__(self, minutes: float) -> None:
        self.began = time.monotonic()
        self.total = minutes * 60
        self._known: dict[tuple[str, str], tuple[int, float]] = {}
        """Bytes, and seconds for them."""
        self._estimated = self._took = 0.0
        self._making = _MAKING

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def left(self, part: float = 1.0) -> float:
        """Seconds until a part of the time is over; below 0 afterwards."""
        return self.total * part - self.elapsed

    def learn(self, case: str, rival: str, nbytes: int, wall: float) -> None:
        """Remember how fast a rival is: what the largest files told; of those the slowest run."""
        self._known[case, rival] = max((nbytes, wall), self._known.get((case, rival), (0, 0.0)))

    def sitting(self, case: str, rival: str, nbytes: int, states: int) -> float:
        """Seconds of one process that does a case so many times."""
        known, wall = self._known.get((case, rival), (_UNKNOWN, 1.0))
        return _START + states * wall * nbytes / known

    def making(self, nbytes: int) -> float:
        """Seconds to make files."""
        return nbytes / self._making

    def made(self, nbytes: int, seconds: float) -> None:
        """Remember how fast files are made."""
        if nbytes:
            self._making = nbytes / max(seconds, 1e-6)

    def compare(self, estimated: float, took: float) -> None:
        """Correct later estimates by how good this one was."""
        self._estimated += estimated
        self._took += took

    @property
    def factor(self) -> float:
        """How much longer things take than estimated."""
        return min(max(self._took / self._estimated, 0.5), 4.0) if self._estimated > 20 else 1.1
