"""Finds out with which chunk each rival does a case best, and checks what it does; ranks nobody.

On a small array first, which may fit into memory with all that is made of it.  What is best for
files that do not may be another size: the two best are compared once more on those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from oocarray.units import format_bytes

from .cases import SuiteCase, SuiteRival
from .clock import Clock
from .data import Dataset
from .journal import Journal
from .settings import Settings, files_of, most_chunk
from .sitting import Sitting

__all__ = ["Tuner"]

Seat = Callable[..., Sitting]
Named = tuple[str, str]
"""A case and a rival."""
_CLOSE = 1.5
"""A chunk that takes so many times as long as the best on the small array is best on no other."""


@dataclass
class Tuner:
    """What was found, by case and rival."""

    settings: Settings
    journal: Journal
    clock: Clock
    small: Dataset
    seat: Seat
    chunks: dict[Named, int | None] = field(default_factory=dict)
    """Only of rivals that take part."""
    close: dict[Named, tuple[int, ...]] = field(default_factory=dict)
    """The best and the next, where the small array does not decide between them."""

    def tune(self, case: SuiteCase) -> None:
        """Find who takes part in a case, and with which chunk."""
        rivals = self.settings.contestants
        self.small.provide(files_of(case, rivals), case.cube)
        for rival in rivals:
            sitting = self.seat(case, rival, self.small, self.settings.memory)
            sitting.counts = False
            absent = sitting.absent()
            if absent:
                message = f"{rival.needs} is not installed" if absent == "missing" else ""
                self._tell_absent(sitting, absent, message)
            else:
                self._try(sitting)

    def settle(self, case: SuiteCase, rival: SuiteRival, data: Dataset) -> dict[str, Any] | None:
        """Decide between the two best on the files that are measured, each cold and once.

        Returns the run of the better; None where both did not end well.
        """
        runs: dict[int, dict[str, Any]] = {}
        for chunk in self.close.get((case.name, rival.name), ()):
            # A process for each: of one that does not end well the next is not to suffer.
            sitting = self.seat(case, rival, data, self.settings.memory)
            for found in sitting.runs([("cold", chunk)]):
                if found["outcome"] in ("ok", "over"):
                    runs[chunk] = found
        if not runs:
            return None
        self._choose(case, rival, data, {chunk: run["wall"] for chunk, run in runs.items()})
        return runs[self.chunks[case.name, rival.name] or 0]

    def _try(self, sitting: Sitting) -> None:
        case, rival, nbytes = sitting.case, sitting.rival, self.small.nbytes
        # At least two blocks.
        most = min(most_chunk(self.settings.memory, self.settings.workers), max(nbytes // 2, 1))
        choices = rival.choices(case)
        candidates = tuple(size for size in choices if size <= most) or choices[:1]
        runs = {run["chunk_bytes"] or 0: run for run in self._trials(sitting, candidates)}
        # What went over its memory is chosen only where everything did.
        for outcome in ("ok", "over"):
            tried = {size: run["wall"] for size, run in runs.items() if run["outcome"] == outcome}
            if tried:
                break
        else:
            last = [*runs.values()][-1]
            message = f"on files of {format_bytes(nbytes)}: {last['message']}"
            self._tell_absent(sitting, last["outcome"], message)
            self.journal.tell(f"{case.name}: {rival.name} drops out: {message}")
            return
        if not candidates:
            self.chunks[case.name, rival.name] = None
        self._choose(case, rival, self.small, tried, runs.keys() - tried)

    def _trials(self, sitting: Sitting, candidates: tuple[int, ...]) -> Iterator[dict[str, Any]]:
        """A run with each; a new process after one that did not end well."""
        left: list[int | None] = [*candidates] or [None]
        while left:
            for run in sitting.runs([("cold", chunk) for chunk in left]):
                left.pop(0)
                yield run
                if run["outcome"] != "ok" and run["chunk_bytes"]:
                    words = (sitting.case.name, sitting.rival.name, run["outcome"], run["message"])
                    chunk = format_bytes(run["chunk_bytes"])
                    self.journal.tell(f"tuning: {' '.join(words)} with chunks of {chunk}")

    def _choose(
        self,
        case: SuiteCase,
        rival: SuiteRival,
        data: Dataset,
        tried: dict[int, float],
        bad: Iterable[int] = (),
    ) -> None:
        ranked = sorted(tried, key=tried.__getitem__)
        named, wall = (case.name, rival.name), tried[ranked[0]]
        self.clock.learn(*named, data.nbytes, wall)
        if ranked == [0]:
            return
        self.chunks[named] = ranked[0]
        two = tuple(chunk for chunk in ranked[:2] if tried[chunk] <= _CLOSE * wall)
        self.close[named] = two if len(two) == 2 else ()
        walls = {**dict.fromkeys(bad), **{size: round(tried[size], 4) for size in tried}}
        self.journal.write(
            "tuning",
            case=case.name,
            rival=rival.name,
            size=data.nbytes,
            chunk_bytes=ranked[0],
            tried={str(size): walls[size] for size in sorted(walls)},
        )

    def _tell_absent(self, sitting: Sitting, outcome: str, message: str) -> None:
        found = {**sitting.nothing(outcome, message), "size": self.settings.size}
        self.journal.write("run", sweep="main", round=0, **found)
