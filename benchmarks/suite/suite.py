"""Runs the suite: tunes, then cases in rounds, as long as there is time; judges no figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from .cases import SuiteCase, SuiteRival
from .clock import Clock
from .data import Dataset
from .device import Disk
from .journal import Journal
from .settings import Settings, files_of, most_chunk
from .sitting import Sitting, Table
from .tuning import Tuner

__all__ = ["MAIN_PART", "Suite"]

Record = dict[str, Any]
MIB = 1 << 20
MAIN_PART = 0.78
"""Of the time, for tuning and the main rounds, where sweeps follow."""
_LONGEST_PART = 0.9
"""The same, where cases would be left out otherwise: all of them once come before sweeps."""
_TUNING_PART = 0.35
_SMALL_MOST = 512 * MIB
_USUAL = 16 * MIB
"""Of a chunk that was not tuned, where so much fits."""
_SLOW, _AT_LEAST = 0.15e9, 30.0
"""Bytes a second below which a run is given up, and seconds before that."""


class Share(NamedTuple):
    """What there is time for in a case."""

    rounds: int
    warm: bool = True
    """Whether there are warm runs: of files that memory does not hold once is enough."""
    settles: bool = True
    """Whether chunks that tuning left close are tried on the full files."""


class Suite:
    """One run of the suite in one folder."""

    def __init__(self, settings: Settings, folder: Path, journal: Journal) -> None:
        self.settings, self.folder, self.journal = settings, folder, journal
        self.clock = Clock(settings.minutes)
        table = Table(Dataset(folder / "tiny", 8 * MIB), Disk(folder))
        self.table = table
        self.data = Dataset(folder / "main", settings.size)
        small = Dataset(folder / "small", min(settings.size // 8, _SMALL_MOST))
        self.tuner = Tuner(settings, journal, self.clock, small, self.seat)
        self._told = 0
        self._over: set[tuple[str, str]] = set()
        self._usual_part = MAIN_PART if settings.sweeps else 0.97
        self.main_part = self._usual_part

    def seat(
        self,
        case: SuiteCase,
        rival: SuiteRival,
        data: Dataset,
        memory: int,
        workers: int | None = None,
    ) -> Sitting:
        """A sitting of one rival with one case."""
        nbytes = case.planned_read(data.nbytes) + case.planned_written(data.nbytes)
        timeout = _AT_LEAST + nbytes / _SLOW
        count = workers or self.settings.workers
        return Sitting(self.table, case, rival, data, memory, count, timeout)

    # ---- the main rounds ---------------------------------------------------------------------

    def run(self) -> None:
        """Tune, then run all cases in rounds."""
        cases = self.settings.chosen
        for number, case in enumerate(cases):
            if self.clock.left(_TUNING_PART) < 0:
                names = ", ".join(late.name for late in cases[number:])
                self.journal.leave_out(f"tuning of {names}", "no time; chunks of 16 MiB at most")
                self._untuned(cases[number:])
                break
            self.journal.tell(f"tuning: {case.name}")
            self.tuner.tune(case)
            self._tell_notes()
        self.tuner.small.provide(set())
        self.tuner.small.remove("a")
        for number, case in enumerate(cases):
            share = self._afford(cases[number:])
            if not share.rounds:
                names = ", ".join(late.name for late in cases[number:])
                self.journal.leave_out(names, "no time left for them")
                break
            self._case(case, share)

    def _untuned(self, cases: list[SuiteCase]) -> None:
        for case in cases:
            for rival in self.settings.contestants:
                if not self.seat(case, rival, self.data, self.settings.memory).absent():
                    most = most_chunk(self.settings.memory, self.settings.workers)
                    choices = rival.choices(case)
                    usual = [size for size in choices if size <= min(most, _USUAL)] or choices[:1]
                    self.tuner.chunks[case.name, rival.name] = max(usual, default=None)

    def _afford(self, cases: list[SuiteCase]) -> Share:
        """What of a case leaves time for those after it."""
        self.main_part = self._usual_part
        left = self.clock.left(self.main_part)
        # More rounds than one make a figure surer, and warm runs of files that are larger than the
        # memory are cold ones; a chunk that is not the best makes a figure wrong.
        least = Share(1, False, False)
        options = [Share(rounds) for rounds in range(self.settings.rounds, 0, -1)]
        for share in [*options, Share(1, False), least]:
            if self.clock.factor * sum(self._cost(case, share) for case in cases) < left:
                return share
        if self.settings.sweeps:
            self.journal.tell("sweeps get less time: each case comes once before them")
            self.main_part = _LONGEST_PART
        left = self.clock.left(self.main_part)
        # Even the least may be too much for all: as many cases as there is time for, in order.
        return least if left > self._cost(cases[0], least) / 2 else least._replace(rounds=0)

    def _cost(self, case: SuiteCase, share: Share) -> float:
        nbytes = self.data.nbytes
        found = self.clock.making(nbytes * len(self._made_anew(case)))
        for rival in self._taking_part(case):
            for number in range(1, share.rounds + 1):
                states = len(self._states(share, number))
                found += self.clock.sitting(case.name, rival.name, nbytes, states)
            if share.settles:
                tries = len(self.tuner.close.get((case.name, rival.name), ()))
                # The one that is chosen has done its first round by that.
                tries -= bool(tries) and not share.warm
                found += tries * self.clock.sitting(case.name, rival.name, nbytes, 1)
        return found

    def _states(self, share: Share, number: int) -> tuple[str, ...]:
        fits = self.data.nbytes <= self.settings.memory
        return ("cold", "warm") if share.warm and (number == 1 or fits) else ("cold",)

    def _made_anew(self, case: SuiteCase) -> set[str]:
        """Files of a case that the one before it does not leave there."""
        before = self.settings.chosen[: self.settings.chosen.index(case)]
        there = {"a"} | self._files(before[-1]) if before else set()
        return (self._files(case) | {"a"}) - there

    def _files(self, case: SuiteCase) -> set[str]:
        return files_of(case, self._taking_part(case))

    def _taking_part(self, case: SuiteCase) -> list[SuiteRival]:
        rivals = self.settings.contestants
        return [rival for rival in rivals if (case.name, rival.name) in self.tuner.chunks]

    def _case(self, case: SuiteCase, share: Share) -> None:
        rivals, rounds = self._taking_part(case), share.rounds
        if rounds < self.settings.rounds:
            what = f"{case.name}: rounds {rounds + 1} to {self.settings.rounds}"
            self.journal.leave_out(what, "no time")
        if not share.warm:
            self.journal.leave_out(f"{case.name}: warm runs", "no time")
        self.journal.tell(f"{case.name}: making the files")
        begin, estimated = self.clock.elapsed, self._cost(case, share)
        made = self.data.provide(self._files(case), case.cube)
        self.clock.made(made, self.clock.elapsed - begin)
        late = []
        for number in range(1, rounds + 1):
            # Another first in each round, and every other one backwards: nobody always runs after
            # the same neighbour.
            turn = (number - 1) % max(len(rivals), 1)
            order = rivals[turn:] + rivals[:turn]
            for rival in order if number % 2 else order[::-1]:
                if (case.name, rival.name) in self._over:
                    continue
                if self.clock.left(self.main_part + 0.02) < 0:
                    what = f"{case.name}: round {number} of {rival.name}"
                    self.journal.leave_out(what, "no time left")
                    continue
                settled = None
                if number == 1 and self.tuner.close.get((case.name, rival.name)):
                    if share.settles and self.clock.left(self.main_part) > 0:
                        settled = self._settle(case, rival)
                    else:
                        late.append(rival.name)
                self._sit(case, rival, number, self._states(share, number), settled)
        if late:
            what = f"{case.name}: chunks of {', '.join(late)} tried on the full files"
            self.journal.leave_out(what, "no time")
        self.clock.compare(estimated, self.clock.elapsed - begin)

    def _settle(self, case: SuiteCase, rival: SuiteRival) -> Record | None:
        """Have a chunk decided on that the small array left open; return the run of the better."""
        self.journal.tell(f"tuning: {case.name}: {rival.name} on the full files")
        found = self.tuner.settle(case, rival, self.data)
        self._tell_notes()
        return found

    def _sit(
        self,
        case: SuiteCase,
        rival: SuiteRival,
        number: int,
        states: tuple[str, ...],
        settled: Record | None,
    ) -> None:
        chunk = self.tuner.chunks[case.name, rival.name]
        sitting = self.seat(case, rival, self.data, self.settings.memory)
        if settled is not None and states == ("cold",):
            # Of two cold runs the better: where one more is too much time, at least nobody's loss.
            found = self._note(sitting, "main", number, settled)
        else:
            found = self.record(sitting, "main", number, [(state, chunk) for state in states])
        if found["outcome"] not in ("ok", "over"):
            self._over.add((case.name, rival.name))
            if number < self.settings.rounds:
                what = f"{case.name}: {rival.name} after round {number}"
                self.journal.leave_out(what, f"{found['outcome']} {found['state']}")

    def record(
        self, sitting: Sitting, sweep: str, number: int, plan: list[tuple[str, int | None]]
    ) -> Record:
        """Run and write down; the last run is returned."""
        found: Record = {}
        for found in sitting.runs(plan):
            self._note(sitting, sweep, number, found)
        self._tell_notes()
        return found

    def _note(self, sitting: Sitting, sweep: str, number: int, found: Record) -> Record:
        self.journal.write("run", sweep=sweep, round=number, **found)
        words = [sitting.case.name, sitting.rival.name, found["state"], found["outcome"]]
        words += [f"{found['wall']:.2f} s"] if found["wall"] is not None else []
        self.journal.tell(f"{sweep} {number}: {' '.join([*words, found['message']]).strip()}")
        if found["wall"] is not None and sweep == "main":
            named = sitting.case.name, sitting.rival.name
            self.clock.learn(*named, sitting.data.nbytes, found["wall"])
        return found

    def _tell_notes(self) -> None:
        for note in self.table.notes[self._told :]:
            self.journal.leave_out("memory limits by cgroups", note)
        self._told = len(self.table.notes)
