"""What is measured, by whom, how a result is checked, which figures are wanted; runs nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .data import FACTOR, TERM, Data

__all__ = ["NAMES", "TARGETS", "Case", "Contestant", "Target", "make_cases"]

NAMES = ("mean", "map", "update", "cached", "scaling", "import", "ready", "first")
"""Cases in the order in which they run; the last three start fresh processes."""


@dataclass(frozen=True)
class Contestant:
    label: str
    module: str
    """File in ``rivals/``."""
    memory: int | None = None
    workers: int = 1
    scheduler: str = "processes"
    limited: bool = False
    """Whether it runs in a memory cgroup."""


@dataclass(frozen=True)
class Case:
    name: str
    method: str
    title: str
    contestants: tuple[Contestant, ...]
    compare: Callable[[Data, Any, Any], str]
    """From the data, what was found and what was there before: what is wrong, or nothing."""
    cold: bool = False
    writes: bool = False
    calls: int = 1
    """Calls in a row of which the median counts; more than one where a call is short."""


def make_cases(memory: int, workers: int) -> dict[str, Case]:
    """The cases in which contestants take turns, by name."""

    def who(label: str, module: str, memory: int | None = memory) -> Contestant:
        return Contestant(label, module, memory, workers, limited=memory is not None)

    ours = who("oocarray", "ours")
    dask, loop = who("dask + zarr", "dask_zarr"), who("memmap loop", "memmap_loop")
    warm = (who("oocarray", "ours", None), who("bare loop", "bare_loop", None))
    scaling = tuple(
        Contestant(f"{label} x{count}", module, None, count, scheduler)
        for label, module, scheduler in (
            ("processes", "ours", "processes"),
            ("threads", "ours", "threads"),
            ("bare threads", "bare_loop", "threads"),
        )
        for count in (1, 2)
    )
    cases = (
        Case("mean", "mean", "mean, cold", (ours, dask, loop), _same_mean, cold=True),
        Case(
            "map",
            "map",
            "2x + 1 to new storage, cold",
            (ours, dask, loop),
            _mapped,
            cold=True,
            writes=True,
        ),
        Case(
            "update",
            "update",
            f"{FACTOR:g}x + {TERM:g} in place, cold",
            (ours, loop),
            _updated,
            cold=True,
            writes=True,
        ),
        Case("cached", "cached", "mean, cached, warm pool", warm, _same_mean, calls=3),
        Case("scaling", "scaling", "compute-bound kernel", scaling, _same_steps),
    )
    return {case.name: case for case in cases}


def _same_mean(data: Data, found: float, _: Any) -> str:
    if math.isclose(found, data.mean, rel_tol=1e-12):
        return ""
    return f"the mean is {data.mean!r}, not {found!r}"


def _mapped(data: Data, found: list[float], _: Any) -> str:
    return _same(data, 2 * data.values() + 1, found)


def _updated(data: Data, found: list[float], before: list[float]) -> str:
    return _same(data, FACTOR * np.array(before) + TERM, found)


def _same(data: Data, expected: np.ndarray, found: list[float]) -> str:
    # A processor that joins multiplication and addition rounds once, not twice.
    for k in np.flatnonzero(~np.isclose(found, expected, rtol=1e-15, atol=0)).tolist():
        place = data.rows[k], data.columns[k]
        return f"element {place} is {found[k]!r}, not {float(expected[k])!r}"
    return ""


def _same_steps(data: Data, found: float, _: Any) -> str:
    # Hundreds of chaotic steps: a bit that differs in one of them would show.
    value = data.last_heavy
    for _ in range(600):
        value = 3.7 * value * (1.0 - value)
    return "" if found == value else f"the last element is {value!r}, not {found!r}"


@dataclass(frozen=True)
class Target:
    """A figure that is wanted."""

    case: str
    text: str
    rival: str
    """Whose figure, or whom ours is compared with."""
    figure: str
    """What is looked at: "ratio" (their seconds by ours), "cpu" (per GB), "scaling", "seconds"."""
    wanted: float
    most: bool = False
    """Whether `wanted` is the most that is allowed, not the least."""


TARGETS = (
    Target("mean", "times as fast as dask + zarr", "dask + zarr", "ratio", 2.0),
    Target("mean", "times as fast as the memmap loop", "memmap loop", "ratio", 1.4),
    Target("mean", "CPU s per GB", "oocarray", "cpu", 0.09, most=True),
    Target("map", "times as fast as dask + zarr", "dask + zarr", "ratio", 2.0),
    Target("map", "times as fast as the memmap loop", "memmap loop", "ratio", 2.3),
    Target("update", "times as fast as the memmap loop", "memmap loop", "ratio", 1.2),
    Target("cached", "of the bare loop's speed", "bare loop", "ratio", 0.8),
    Target("scaling", "x, 1 to 2 processes", "processes", "scaling", 1.8),
    Target("scaling", "x, 1 to 2 threads", "threads", "scaling", 1.8),
    Target("import", "s more than import numpy", "oocarray", "beyond numpy", 0.030, most=True),
    Target(
        "import", "s more, with oocarray.open", "oocarray.open", "beyond numpy", 0.030, most=True
    ),
    Target("ready", "s to two workers ready", "oocarray", "seconds", 0.5, most=True),
    Target("first", "s to a first result of 1 MiB", "oocarray", "seconds", 0.8, most=True),
)
