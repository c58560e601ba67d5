"""Runs contestants in turn, each in a process and group of its own; judges no figure."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from oocarray.units import format_bytes

from .cases.records import Case, Contestant, Fresh
from .client import Client, Failure, undisturbed
from .data import Data
from .groups import Group, make_group
from .watch import Watch

__all__ = ["Harness"]

_TICKS = os.sysconf("SC_CLK_TCK")
Record = dict[str, Any]


class Harness:
    """Runs rounds of cases and writes down each run; to be used in a ``with`` block.

    Parameters
    ----------
    data : Data
    record : callable
        Takes a dict for each run; round 0 only checks, and is not written down.
    tell : callable
        Takes a line of text about what goes on.
    """

    def __init__(
        self, data: Data, record: Callable[[Record], None], tell: Callable[[str], None]
    ) -> None:
        self.data, self.record, self.tell = data, record, tell
        self.failures = 0
        self._clients: dict[tuple[Any, ...], Client] = {}
        self._out: set[tuple[str, str]] = set()
        self._told = False

    def __enter__(self) -> Harness:
        return self

    def __exit__(self, *_: object) -> None:
        with undisturbed():
            self._end()

    # ---- programs in fresh processes ---------------------------------------------------------

    def start_fresh(self, case: Fresh, number: int) -> None:
        """Start each program of a case some times; round 0 warms files and caches of kernels."""
        arguments = [
            str(getattr(self.data, argument, argument)) if argument.isalpha() else argument
            for argument in case.arguments
        ]
        for start in range(case.starts if number else 1):
            for name, code in case.codes.items():
                if (case.name, name) in self._out:
                    continue
                with self._dropping_out(case, name):
                    found = _run_code([sys.executable, "-c", code, *arguments])
                    if number:
                        common = self._common(case, name, case.beside(name))
                        self.record({**common, "round": number * case.starts + start, **found})

    # ---- contestants -------------------------------------------------------------------------

    def run(self, case: Case, number: int) -> None:
        """Have each contestant run once, in turn; one that fails or is wrong drops out."""
        if case.keeps and not number:
            return  # checked in each round, before what is timed there
        self.data.provide(case.reads)
        if case.warm:
            for name in {contestant.reads or case.reads for contestant in case.contestants}:
                self.data.warm(self.data.path(name))
        # Another order each time: nobody always runs after the same neighbour.
        order = case.contestants if number % 2 else case.contestants[::-1]
        turn = number // 2 % len(order)
        for contestant in order[turn:] + order[:turn]:
            if (case.name, contestant.label) in self._out:
                continue
            if contestant.needs and importlib.util.find_spec(contestant.needs) is None:
                self._leave_out(case, contestant)
                continue
            key = _key(case, contestant)
            with self._dropping_out(case, contestant.label, key):
                client = self._client(contestant, key)
                if client is None:
                    self._out.add((case.name, contestant.label))
                    continue
                try:
                    measured = self._once(case, contestant, client, number)
                finally:
                    self.data.remove(Path(client.job.out))
                if number:
                    self.record(measured)
            if case.keeps:
                self._end(key)

    @contextlib.contextmanager
    def _dropping_out(
        self, case: Case | Fresh, label: str, key: tuple[Any, ...] | None = None
    ) -> Iterator[None]:
        try:
            yield
        except Failure as error:
            if key is not None:
                self._end(key)
            self._out.add((case.name, label))
            self.failures += 1
            reason = str(error).strip()
            self.record({"record": "failure", "case": case.name, "rival": label, "reason": reason})
            self.tell(f"{case.name}: {label} drops out: {(reason or '?').splitlines()[-1]}")

    def _leave_out(self, case: Case, contestant: Contestant) -> None:
        """Say that a contestant is not there; that is no failure."""
        self._out.add((case.name, contestant.label))
        reason = f"{contestant.needs} is not installed"
        common = {"record": "left out", "case": case.name, "rival": contestant.label}
        self.record({**common, "reason": reason})
        self.tell(f"{case.name}: {contestant.label} is left out: {reason}")

    def _client(self, contestant: Contestant, key: tuple[Any, ...]) -> Client | None:
        """Its process; None where it needs a limit and none can be set."""
        if key in self._clients:
            return self._clients[key]
        made = make_group(contestant.limit)
        group = made if isinstance(made, Group) else None
        if group is None and not self._told:
            self._told = True
            limit = "" if contestant.limit is None else f" of {format_bytes(contestant.limit)}"
            self.tell(f"no memory cgroup{limit}: {made}; going on without")
        if group is None and contestant.strict:
            return None
        job = self.data.job(
            contestant.module, contestant.memory, contestant.workers, contestant.scheduler
        )
        client = Client(contestant.module, job, group)
        self._clients[key] = client
        return client

    def _end(self, *keys: tuple[Any, ...]) -> None:
        """End these processes; all, where none is named."""
        with contextlib.ExitStack() as stack:
            for key in keys or tuple(self._clients):
                if key in self._clients:
                    stack.callback(self._clients.pop(key).close)

    def _once(
        self, case: Case, contestant: Contestant, client: Client, number: int
    ) -> dict[str, Any]:
        """One run, checked: what comes before and after it is not timed."""
        data, out = self.data, Path(client.job.out)
        data.remove(out)
        sample = {"do": "sample", "written": case.writes, "places": data.places[case.places]}
        sample["places"] = sample["places"].tolist()  # type: ignore[union-attr]
        before = client.ask(**sample)["values"] if case.writes == "work" else None
        reads = data.path(contestant.reads or case.reads)
        client.ask(do="tidy")
        left = data.cool(reads) if case.cold else None
        run = {"do": "run", "method": case.method, "arguments": contestant.arguments}
        if case.first:
            value = client.ask(**run, calls=case.first)["value"]
            _check(case.compare(data, value, None), number)
        calls = case.calls if number else 1
        measured, value = _measure(client, {**run, "calls": calls}, calls, case.watched)
        if case.cold:
            measured["cached_before"] = left
            measured["cached_after"] = data.cached(reads)
        if case.writes == "out":
            measured["out_cached_after"] = data.cached(out)
        if case.writes:
            value = client.ask(**sample)["values"]
        _check(case.compare(data, value, before), number)
        seconds = measured["seconds"]
        size = int(data.nbytes(case.reads) * contestant.share) if case.counted else 0
        measured |= {"bytes": size, "memory": contestant.memory, "limit": contestant.limit}
        if size:
            measured["gb_per_second"] = size / 1e9 / seconds
            for name in ("cpu_seconds", "system_seconds"):
                measured[f"{name}_per_gb"] = measured[name] / (size / 1e9)
        if contestant.items:
            measured["us_per_item"] = seconds / contestant.items * 1e6
        common = self._common(case, contestant.label, contestant.beside)
        return {**common, "round": number, **measured}

    @staticmethod
    def _common(case: Case | Fresh, rival: str, beside: str) -> Record:
        found = {"record": "round", "section": case.section, "case": case.name, "rival": rival}
        return {**found, "title": case.title, "beside": beside}


def _check(wrong: str, number: int) -> None:
    if wrong:
        raise Failure(f"wrong result in round {number}: {wrong}")


def _key(case: Case, contestant: Contestant) -> tuple[Any, ...]:
    """What tells processes apart; one that ends with its turn is nobody else's."""
    return (*contestant.key, case.name if case.keeps else "")


def _measure(
    client: Client, order: dict[str, Any], calls: int, watched: bool
) -> tuple[Record, Any]:
    """Have the work done and look at it from outside; times are per call."""
    group = client.group
    began, busy, clock = time.perf_counter(), _busy_seconds(), group and group.cpu_seconds()
    times = client.times()
    with Watch(client.pid, group) if watched else contextlib.nullcontext() as watch:
        answer = client.ask(**order)
        # Work that a rival leaves to be done after it has returned is its work still.
        time.sleep(0.05)
    user, system = (after - before for after, before in zip(client.times(), times, strict=True))
    elsewhere = (_busy_seconds() - busy - user - system) / (time.perf_counter() - began)
    measured = {
        "seconds": statistics.median(answer["seconds"]),
        "cpu_seconds": (user + system) / calls,
        "system_seconds": system / calls,
        "cpu_seconds_cgroup": None,
        "processors_busy_elsewhere": max(elsewhere, 0.0),
        "cgroup": group.version if group else None,
    }
    if group is not None and clock is not None:
        after = group.cpu_seconds()
        measured["cpu_seconds_cgroup"] = None if after is None else (after - clock) / calls
    if watch is not None:
        measured |= {"held_peak": watch.peak, "processes": watch.processes}
        measured["held_samples"] = watch.samples
    return measured, answer["value"]


def _run_code(command: list[str]) -> Record:
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    whole = time.perf_counter() - begin
    if done.returncode:
        raise Failure(done.stderr.strip() or f"ended with status {done.returncode}")
    found: Record = json.loads(done.stdout)
    return {**found, "process_seconds": whole}


def _busy_seconds() -> float:
    """Processor time that the whole machine has spent, waiting for disks not counted."""
    user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + sum(rest)) / _TICKS
