"""Repeats a few cases over memory limits, sizes and workers, as long as there is time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import NamedTuple

from oocarray.runtime.limits import room
from oocarray.units import format_bytes, format_count

from .cases import CASES, RIVALS, SuiteCase, SuiteRival
from .data import Dataset
from .settings import most_chunk
from .suite import Suite

__all__ = ["sweep"]

MIB, GIB = 1 << 20, 1 << 30
_MOST = 2 * GIB
"""Of the files of sweeps over memory and workers."""
_SIZES = (1, 2, 4, 8, 16, 32)
"""In GiB."""
_SHARES = {"memory": 0.4, "workers": 0.6, "size": 1.0}
"""When each has to be over, as parts of their time: the sizes, which take longest, come last."""


class Step(NamedTuple):
    """One sitting of a sweep."""

    case: SuiteCase
    rival: SuiteRival
    nbytes: int
    memory: int
    workers: int
    states: tuple[str, ...]


def sweep(suite: Suite) -> None:
    """Do those that are asked for."""
    begin = suite.clock.elapsed / suite.clock.total
    plans = {"memory": _memory, "size": _sizes, "workers": _workers}
    for name, share in _SHARES.items():
        if name == "memory" and name in suite.settings.sweeps and suite.table.notes:
            suite.journal.leave_out("sweep over memory", "nothing here limits it")
        elif name in suite.settings.sweeps:
            _go(suite, name, plans[name](suite), begin + (0.99 - begin) * share)


def _go(suite: Suite, name: str, steps: Iterator[Step], until: float) -> None:
    data: Dataset | None = None
    made: set[str] = set()
    for step in steps:
        cost = _cost(suite, step)
        if data is None or data.nbytes != step.nbytes:
            cost += suite.clock.making(step.nbytes)
        if suite.clock.left(until) < cost:
            words = f"{step.case.name}, {step.rival.name}, {format_bytes(step.nbytes)}"
            more = f"{format_bytes(step.memory)} of memory, {format_count(step.workers, 'worker')}"
            what = f"sweep over {name}: all from {words}, {more}"
            suite.journal.leave_out(what, "no time left")
            break
        if data is None or data.nbytes != step.nbytes:
            shutil.rmtree(suite.folder / "main", ignore_errors=True)
            data, made = Dataset(suite.folder / "main", step.nbytes), set()
        if step.case.name not in made:
            data.provide({"a"})
            made.add(step.case.name)
        sitting = suite.seat(step.case, step.rival, data, step.memory, step.workers)
        sitting.counts = False
        if sitting.absent():
            continue
        usual = 16 * MIB if step.rival.choices(step.case) else None
        chunk = suite.tuner.chunks.get((step.case.name, step.rival.name), usual)
        chunk = min(chunk, most_chunk(step.memory, step.workers)) if chunk else None
        suite.record(sitting, name, 1, [(state, chunk) for state in step.states])
    shutil.rmtree(suite.folder / "main", ignore_errors=True)


def _cost(suite: Suite, step: Step) -> float:
    return suite.clock.sitting(step.case.name, step.rival.name, step.nbytes, len(step.states))


def _beside(suite: Suite, *names: str) -> list[SuiteRival]:
    return [RIVALS[name] for name in names if name in suite.settings.rivals]


def _memory(suite: Suite) -> Iterator[Step]:
    """From 64 MiB until the input, the output and as much again fit."""
    nbytes, limit = min(suite.settings.size, _MOST), 64 * MIB
    limits = []
    while limit <= 0.6 * room():
        limits.append(limit)
        if limit >= 3 * nbytes:
            break
        limit *= 2
    for limit in limits:
        for case in (CASES["mean"], CASES["map"]):
            for rival in _beside(suite, "oocarray", "dask", "numpy"):
                states = ("cold", "warm")
                yield Step(case, rival, nbytes, limit, suite.settings.workers, states)


def _workers(suite: Suite) -> Iterator[Step]:
    """Bound by computing and by the disk; all of it in memory when warm."""
    nbytes, most = min(suite.settings.size, _MOST), suite.settings.workers
    memory = int(min(3 * nbytes, 0.6 * room()))
    counts = sorted({most, *(1 << power for power in range(most.bit_length()))})
    for count in counts:
        for case in (CASES["transcendental"], CASES["map"]):
            for rival in _beside(suite, "oocarray", "dask"):
                yield Step(case, rival, nbytes, memory, count, ("cold", "warm"))


def _sizes(suite: Suite) -> Iterator[Step]:
    """Of the main memory limit, cold; an input and an output take at most half of the room."""
    shutil.rmtree(suite.folder / "main", ignore_errors=True)
    free = shutil.disk_usage(suite.folder).free
    # A run on small files keeps its sweep small too.
    most = suite.settings.size * 4
    for size in _SIZES:
        nbytes = size * min(GIB, max(suite.settings.size // 8, 4 * MIB))
        if 2 * nbytes > free / 2 or nbytes > most:
            why = f"no more than half of the free {format_bytes(free)} is used"
            if nbytes > most:
                why = f"no more than four times the {format_bytes(suite.settings.size)} asked for"
            suite.journal.leave_out(f"sweep over size: {format_bytes(nbytes)}", why)
            continue
        for case in (CASES["mean"], CASES["map"]):
            for rival in _beside(suite, "oocarray", "dask", "numpy"):
                memory, workers = suite.settings.memory, suite.settings.workers
                yield Step(case, rival, nbytes, memory, workers, ("cold",))
