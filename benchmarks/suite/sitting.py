"""Has one rival do one case in a fresh process, cold then warm; judges results, compares none.

The process first does the case on a tiny array: imports, pools and compiled kernels are paid for.
Then its control group is limited to what the loaded programs hold and the memory of the run.
"""

from __future__ import annotations

import contextlib
import importlib.util
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from oocarray.units import format_bytes

from ..client import Client, Failure, Killed, TimedOut
from ..groups import Group, make_group
from ..rivals import Job
from ..watch import Watch
from .cases import SuiteCase, SuiteRival
from .data import Dataset
from .device import Disk
from .gauge import loaded_bytes, peak_bytes, reset_peak

__all__ = ["MEASURED", "Sitting", "Table"]

MEASURED = ("wall", "cpu", "peak", "peak_cache", "read", "written")
"""Figures of a run; None where not measured."""
_TOO_MUCH = ("MemoryError", "KilledWorker", "exceeds allowed_mem")
"""In what is raised where memory does not suffice: a limit of the library's own is one too."""
_WARM = 0.01
"""Part of an array that may be cached when a cold run begins."""
Figures = dict[str, Any]


@dataclass
class Table:
    """Where sittings take place: the same for all of them."""

    tiny: Dataset
    disk: Disk
    notes: list[str] = field(default_factory=list)
    """Why there are no control groups, once."""


@dataclass
class Sitting:
    """One rival with one case; each call of `runs` starts a process and ends it."""

    table: Table
    case: SuiteCase
    rival: SuiteRival
    data: Dataset
    memory: int
    workers: int
    timeout: float
    counts: bool = True
    """Whether what the disk moves is of interest: to see that nobody else is at work takes time."""

    @property
    def planned(self) -> Figures:
        nbytes = self.data.nbytes
        read, written = self.case.planned_read(nbytes), self.case.planned_written(nbytes)
        return {"planned_read": read, "planned_written": written}

    def absent(self) -> str:
        """``n/a`` or ``missing``, where the rival takes no part."""
        if self.case.name not in self.rival.cases:
            return "n/a"
        return "" if importlib.util.find_spec(self.rival.needs) else "missing"

    def nothing(self, outcome: str, message: str) -> Figures:
        """What is recorded where nothing was run."""
        found = self._common("cold", None, True)
        return {**found, "outcome": outcome, "message": message}

    def runs(self, plan: Sequence[tuple[str, int | None]]) -> Iterator[Figures]:
        """Runs by state and chunk bytes, in turn, until one does not end well."""
        made = make_group(None)
        group = made if isinstance(made, Group) else None
        if isinstance(made, str) and made not in self.table.notes:
            self.table.notes.append(made)
        client: Client | None = None
        state, chunk = plan[0]
        limited = group is not None
        try:
            client = self._start(group, chunk)
            loaded = (loaded_bytes(group) if group else None) or 0
            limited = group is not None and self._limit(group, loaded)
            for state, chunk in plan:
                found = self._one(client, state, chunk, loaded)
                yield {**self._common(state, chunk, limited), **found}
                if found["outcome"] not in ("ok", "over"):
                    return
        except Failure as error:
            outcome = "failed"
            if isinstance(error, TimedOut):
                outcome = "timeout"
            said = [line for line in str(error).strip().splitlines() if line.strip()] or ["?"]
            if isinstance(error, Killed) or (group and group.oom_kills()):
                outcome = "killed"
            elif any(word in said[-1] for word in _TOO_MUCH):
                outcome, said = "killed", [said[-1]]
            message = said[0].removeprefix("killed: ") if outcome == "killed" else said[-1]
            failed = {"outcome": outcome, "message": message[:300]}
            yield {**self._common(state, chunk, limited), **failed}
        finally:
            if client is not None:
                client.close()
            elif group is not None:
                group.remove()
            for name in ("out", "outzarr"):
                self.data.remove(name)

    def _start(self, group: Group | None, chunk: int | None) -> Client:
        job = Job("", "", "", "", "", "", "", self.memory, self.workers, "processes", 1.0, 0.0)
        client = Client(f"suite.{self.rival.module}", job, group, max(self.timeout, 60.0))
        tiny = self.table.tiny
        tiny.provide({"a", "b", "work", "zarr"}, self.case.cube)
        try:
            self._ask(client, tiny, chunk)
        except BaseException:
            client.close()
            raise
        finally:
            for name in ("out", "outzarr"):
                tiny.remove(name)
        client.patience = self.timeout
        return client

    def _limit(self, group: Group, loaded: int) -> bool:
        with contextlib.suppress(OSError):
            group.limit(loaded + self.memory)
            return True
        self.table.notes.append("the memory cgroup takes no limit")
        return False

    def _ask(self, client: Client, data: Dataset, chunk: int | None) -> Any:
        arguments = {"files": data.files(), "chunk": chunk}
        return client.ask(do="run", method=self.case.name, calls=1, arguments=arguments)

    def _one(self, client: Client, state: str, chunk: int | None, loaded: int) -> Figures:
        """One run, checked; what comes before and after it is not timed."""
        data, group = self.data, client.group
        for name in ("out", "outzarr"):
            data.remove(name)
        before = data.samples("work") if self.case.writes == "work" else None
        client.ask(do="tidy")
        kept = 0
        if state == "cold":
            data.cool()
            kept = data.cached()
        fresh = group is not None and (reset_peak(group) or state == "cold")
        counts = self.counts and state == "cold"
        busy = not counts or self.table.disk.busy()
        moved, clock = self.table.disk.moved(), self._clock(client)
        kills = group.oom_kills() if group else 0
        with Watch(client.pid, group) as watch:
            answer = self._ask(client, data, chunk)
            # Work that a rival leaves to be done after it has returned is its work still.
            time.sleep(0.05)
        cpu, after = self._clock(client) - clock, self.table.disk.moved()
        most = peak_bytes(group) if group and fresh else None
        found: Figures = {"wall": answer["seconds"][0], "cpu": cpu, "peak": watch.peak}
        found["peak_cache"] = None if most is None else max(most - loaded, 0)
        busy = busy or self.table.disk.busy()
        told = not busy and moved is not None and after is not None
        for name in ("read", "written"):
            found[name] = getattr(after, name) - getattr(moved, name) if told else None
        out = {"work": "work", "": ""}.get(self.case.writes, self._out())
        wrong = data.wrong(self.case, answer["value"], before, out)
        found |= {"outcome": "wrong" if wrong else "ok", "message": wrong[:300]}
        if not wrong and kept > _WARM * data.nbytes:
            found["message"] = f"{format_bytes(kept)} of its files stayed in the page cache before"
        if not wrong and group is None and watch.firm > self.memory:
            # Nothing stopped it.  Clean pages do not count: under a limit the kernel drops those.
            text = f"held {format_bytes(watch.firm)} beside clean pages of files"
            found |= {"outcome": "over", "message": text}
        if not wrong and group is not None and group.oom_kills() > kills:
            found["message"] = "a process of it was killed and its work done again"
        return found

    def _out(self) -> str:
        return "outzarr" if self.rival.reads_zarr(self.case) else "out"

    @staticmethod
    def _clock(client: Client) -> float:
        """CPU seconds of all processes, by the group where it counts them."""
        found = client.group.cpu_seconds() if client.group else None
        return sum(client.times()) if found is None else found

    def _common(self, state: str, chunk: int | None, limited: bool) -> Figures:
        return {
            "case": self.case.name,
            "rival": self.rival.name,
            "state": state,
            "size": self.data.nbytes,
            "memory": self.memory if limited else None,
            "workers": self.workers if self.rival.parallel else None,
            "chunk_bytes": chunk,
            **dict.fromkeys(MEASURED),
            **self.planned,
        }
