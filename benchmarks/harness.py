"""Runs rivals in turn, each in its own process and group, and measures them; judges nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from oocarray.held import family
from oocarray.units import format_bytes

from .cases import Case, Contestant
from .data import Data
from .groups import Group, make_group

__all__ = ["Failure", "Harness"]

ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 1800.0
"""Seconds that a run may take before its process is given up."""


class Failure(Exception):
    """A rival ended, failed or gave a wrong result."""


class Helper:
    """The process of one contestant, from the other side."""

    def __init__(self, contestant: Contestant, job: dict[str, Any], group: Group | None) -> None:
        self.contestant, self.group = contestant, group
        self.failure = ""
        command = [sys.executable, "-m", "benchmarks.helper", contestant.module, json.dumps(job)]
        # A session of its own: Ctrl-C is ours to handle, and ends the helpers one by one.
        self._process = subprocess.Popen(
            [*command, *(group.folders if group else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,
        )
        self._read()

    def ask(self, **order: Any) -> dict[str, Any]:
        """Have it do something, and wait for the answer."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(_PATIENCE):
                self._process.kill()
                raise Failure(f"no answer within {_PATIENCE:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            killed = self.group is not None and self.group.oom_kills()
            raise Failure("killed: out of memory" if killed else f"ended with status {status}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            killed = self.group is not None and self.group.oom_kills()
            note = "a worker was killed: out of memory\n" if killed else ""
            raise Failure(note + answer["error"])
        return answer

    def cpu_seconds(self) -> float:
        """User and system time of the process and all its descendants, ended children included."""
        ticks = 0
        for pid in family([self._process.pid]):
            with contextlib.suppress(OSError):
                stat = Path(f"/proc/{pid}/stat").read_bytes()
                # The name, in parentheses, may hold spaces and parentheses itself.
                ticks += sum(map(int, stat.rpartition(b")")[2].split()[11:15]))
        return ticks / _TICKS

    def close(self) -> None:
        """End the process, the group and what is left in it."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]
        if self.group is not None:
            self.group.remove()


class Harness:
    """Runs cases round by round and writes down each run.

    Parameters
    ----------
    data : Data
    rounds : int
        Timed runs of each contestant; one more comes first, to check results and warm pools.
    limit : int
        Bytes of each memory cgroup.
    record : callable
        Takes a dict for each run.
    tell : callable
        Takes a line of text about what goes on.
    """

    def __init__(
        self,
        data: Data,
        rounds: int,
        limit: int,
        record: Callable[[dict[str, Any]], None],
        tell: Callable[[str], None],
    ) -> None:
        self.data, self.rounds, self.limit = data, rounds, limit
        self.record, self.tell = record, tell
        self.grouped: str | None = None
        """Version of the cgroups made; or "no: " and why there were none; None: none was asked."""

    def run(self, case: Case) -> None:
        """Check, then time, all contestants of a case, in turn; one that fails drops out."""
        helpers: list[Helper] = []
        try:
            for contestant in case.contestants:
                with self._dropping_out(case, contestant):
                    helpers.append(self._start(contestant))
            for number in range(self.rounds + 1):
                self.tell(f"{case.name}: " + (f"round {number}" if number else "checking"))
                # Another order each time: nobody always runs after the same neighbour.
                turn = max(number - 1, 0) % max(len(helpers), 1)
                for helper in helpers[turn:] + helpers[:turn]:
                    if not helper.failure:
                        with self._dropping_out(case, helper.contestant, helper):
                            measured = self._once(case, helper, number)
                            if number:
                                self.record(measured)
        finally:
            _close(helpers)
            for helper in helpers:
                self.data.remove(Path(self._job(helper.contestant)["out"]))

    @contextlib.contextmanager
    def _dropping_out(
        self, case: Case, contestant: Contestant, helper: Helper | None = None
    ) -> Any:
        try:
            yield
        except Failure as error:
            if helper is not None:
                helper.failure = str(error)
            label = contestant.label
            self.record(
                {"record": "failure", "case": case.name, "rival": label, "reason": str(error)}
            )
            self.tell(f"{case.name}: {label} drops out: {str(error).strip().splitlines()[-1]}")

    def _job(self, contestant: Contestant) -> dict[str, Any]:
        job = self.data.job(
            contestant.module, contestant.memory, contestant.workers, contestant.scheduler
        )
        return dataclasses.asdict(job)

    def _start(self, contestant: Contestant) -> Helper:
        group = None
        if contestant.limited:
            made = make_group(self.limit)
            if isinstance(made, Group):
                group = made
            elif self.grouped is None:
                self.tell(f"no memory cgroup of {format_bytes(self.limit)}: {made}")
            self.grouped = f"no: {made}" if isinstance(made, str) else f"v{made.version}"
        try:
            return Helper(contestant, self._job(contestant), group)
        except Failure:
            if group is not None:
                group.remove()
            raise

    def _once(self, case: Case, helper: Helper, number: int) -> dict[str, Any]:
        """One run, checked: what comes before and after it is not timed."""
        data, name = self.data, case.name
        self.data.remove(Path(self._job(helper.contestant)["out"]))
        where = {"case": case.method, "rows": data.rows, "columns": data.columns}
        before = helper.ask(do="sample", **where)["values"] if name == "update" else None
        reads = Path(self._job(helper.contestant)[self._reads(case, helper.contestant)])
        helper.ask(do="tidy")
        left = data.cool(reads) if case.cold else 0
        began, busy = time.perf_counter(), _busy_seconds()
        cpu, clock = helper.cpu_seconds(), helper.group and helper.group.cpu_seconds()
        answer = helper.ask(do="run", case=case.method, calls=case.calls if number else 1)
        # Work that a rival leaves to be done after it has returned is its work still.
        time.sleep(0.05)
        calls = len(answer["seconds"])
        seconds = statistics.median(answer["seconds"])
        cpu = helper.cpu_seconds() - cpu
        elsewhere = (_busy_seconds() - busy - cpu) / (time.perf_counter() - began)
        cpu /= calls
        if clock is not None:
            clock = (helper.group.cpu_seconds() - clock) / calls  # type: ignore[union-attr,operator]
        found = answer["value"]
        if case.writes:
            found = helper.ask(do="sample", **where)["values"]
        wrong = case.compare(data, found, before)
        if wrong:
            raise Failure(f"wrong result in round {number}: {wrong}")
        size = 0 if name == "scaling" else data.nbytes
        return {
            "record": "round",
            "case": name,
            "rival": helper.contestant.label,
            "round": number,
            "seconds": seconds,
            "cpu_seconds": cpu,
            "cpu_seconds_cgroup": clock,
            "processors_busy_elsewhere": max(elsewhere, 0.0),
            "bytes": size,
            "gb_per_second": size / 1e9 / seconds,
            "cpu_seconds_per_gb": cpu / (size / 1e9) if size else None,
            "cached_before": left if case.cold else None,
            "cgroup": helper.group.version if helper.group else None,
        }

    @staticmethod
    def _reads(case: Case, contestant: Contestant) -> str:
        if case.name == "update":
            return "work"
        return "zarr" if contestant.module == "dask_zarr" else "source"


def _busy_seconds() -> float:
    """Processor time that the whole machine has spent, waiting for disks not counted."""
    user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + sum(rest)) / _TICKS


def _close(helpers: Iterable[Helper]) -> None:
    with contextlib.ExitStack() as stack:
        for helper in helpers:
            stack.callback(helper.close)
