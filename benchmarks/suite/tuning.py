"""Has each rival do a case on a small array: checks it, and finds its best chunk; ranks nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .cases import SuiteCase
from .clock import Clock
from .data import Dataset
from .journal import Journal
from .settings import Settings, files_of
from .sitting import Sitting

__all__ = ["Tuner"]

Seat = Callable[..., Sitting]


@dataclass
class Tuner:
    """What was found, by case and rival."""

    settings: Settings
    journal: Journal
    clock: Clock
    small: Dataset
    seat: Seat
    chunks: dict[tuple[str, str], int | None] = field(default_factory=dict)
    """Only of rivals that take part."""

    def tune(self, case: SuiteCase) -> None:
        """Find who takes part in a case, and with which chunk."""
        rivals = self.settings.contestants
        self.small.provide(files_of(case, rivals), case.cube)
        for rival in rivals:
            sitting = self.seat(case, rival, self.small, self.settings.memory)
            absent = sitting.absent()
            if absent:
                message = f"{rival.needs} is not installed" if absent == "missing" else ""
                self._tell_absent(sitting, absent, message)
            else:
                self._try(sitting)

    def _try(self, sitting: Sitting) -> None:
        case, rival, nbytes = sitting.case, sitting.rival, self.small.nbytes
        # No more than a quarter of the memory, and at least two blocks.
        most = min(self.settings.memory // 4, max(nbytes // 2, 1))
        choices = rival.choices(case)
        candidates = [size for size in choices if size <= most] or list(choices[:1])
        chunks: list[int | None] = [*candidates] or [None]
        plan = [("cold", chunk) for chunk in chunks]
        tried: dict[int, float] = {}
        found: dict[str, Any] = {}
        for found in sitting.runs(plan):
            if found["outcome"] in ("ok", "over"):
                tried[found["chunk_bytes"] or 0] = found["wall"]
        if found["outcome"] in ("wrong", "failed") and not tried:
            # Who is wrong is not timed.
            self.journal.write("run", sweep="main", round=0, **{**found, "wall": None})
            self.journal.tell(f"{case.name}: {rival.name} drops out: {found['message']}")
            return
        best = min(tried, key=tried.__getitem__) if tried else candidates and candidates[0]
        self.chunks[case.name, rival.name] = best or None
        if tried:
            self.clock.learn(case.name, rival.name, nbytes, min(tried.values()))
        if candidates:
            times = {str(chunk): round(wall, 4) for chunk, wall in tried.items()}
            named = {"case": case.name, "rival": rival.name}
            self.journal.write("tuning", **named, chunk_bytes=best, tried=times)

    def _tell_absent(self, sitting: Sitting, outcome: str, message: str) -> None:
        found = {**sitting.nothing(outcome, message), "size": self.settings.size}
        self.journal.write("run", sweep="main", round=0, **found)
