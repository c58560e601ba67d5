"""Cases of the engine beside dask over Zarr and loops over `numpy.memmap`; runs nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..data import FACTOR, TERM, Data
from .records import Case, Contestant, Settings, Target

__all__ = ["cases", "mapped", "same_mean", "targets", "three_of", "updated"]

OURS, DASK, LOOP = "oocarray", "dask + zarr", "memmap loop"


def cases(settings: Settings) -> list[Case]:
    """Mean, map, update from the disk; cached mean; a kernel that only processors limit."""
    ours, _, loop = three = three_of(settings)
    warm = (
        Contestant(OURS, "ours", workers=settings.workers),
        Contestant("bare loop", "bare_loop", workers=settings.workers, beside=OURS),
    )

    def cold(name: str, title: str, who: tuple[Contestant, ...], compare: Any, **more: Any) -> Case:
        return Case(name, "engine", name, f"{title}, cold", who, compare, cold=True, **more)

    place = {"reads": "work", "writes": "work"}
    return [
        cold("mean", "mean", three, same_mean),
        cold("map", "2x + 1 to new storage", three, mapped, writes="out"),
        cold("update", f"{FACTOR:g}x + {TERM:g} in place", (ours, loop), updated, **place),
        Case(
            "cached",
            "engine",
            "cached",
            "mean, cached, warm pool",
            warm,
            same_mean,
            calls=3,
            first=1,
            keeps=True,
        ),
        Case(
            "scaling",
            "engine",
            "scaling",
            "compute-bound kernel",
            _scaling(),
            _same_steps,
            reads="heavy",
            counted=False,
        ),
    ]


def three_of(settings: Settings) -> tuple[Contestant, Contestant, Contestant]:
    """Ourselves, dask over Zarr, and a loop, each in a control group of the same size."""

    def who(label: str, module: str, reads: str = "") -> Contestant:
        return Contestant(
            label,
            module,
            settings.memory,
            settings.workers,
            limit=settings.limit,
            reads=reads,
            beside="" if label == OURS else OURS,
        )

    return who(OURS, "ours"), who(DASK, "dask_zarr", "zarr"), who(LOOP, "memmap_loop")


def _scaling() -> tuple[Contestant, ...]:
    return tuple(
        Contestant(
            f"{label} x{count}",
            module,
            None,
            count,
            scheduler,
            beside=f"{label} x1" if count > 1 else "",
        )
        for label, module, scheduler in (
            ("processes", "ours", "processes"),
            ("threads", "ours", "threads"),
            ("bare threads", "bare_loop", "threads"),
        )
        for count in (1, 2)
    )


def targets(settings: Settings) -> list[Target]:
    """Ratios are another's seconds by ours."""

    def times(case: str, rival: str, wanted: float) -> Target:
        text = f"times as fast as {rival}"
        return Target(case, text, wanted, rival, by=OURS, unit="x")

    return [
        times("mean", DASK, 2.0),
        times("mean", LOOP, 1.4),
        Target("mean", "CPU s per GB", 0.09, OURS, "cpu_seconds_per_gb", most=True, unit="s"),
        times("map", DASK, 2.0),
        times("map", LOOP, 2.3),
        times("update", LOOP, 1.2),
        times("cached", "bare loop", 0.8),
        Target("scaling", "1 to 2 processes", 1.8, "processes x1", by="processes x2", unit="x"),
        Target("scaling", "1 to 2 threads", 1.8, "threads x1", by="threads x2", unit="x"),
    ]


# ---- checking ------------------------------------------------------------------------------------


def same_mean(data: Data, found: float, _: Any) -> str:
    """Compare a mean of the large array."""
    if math.isclose(found, data.mean, rel_tol=1e-12):
        return ""
    return f"the mean is {data.mean!r}, not {found!r}"


def mapped(data: Data, found: list[float], _: Any) -> str:
    """Compare elements of ``2x + 1``."""
    return data.differs(2 * data.values() + 1, found)


def updated(data: Data, found: list[float], before: list[float]) -> str:
    """Compare elements that were changed in place."""
    return data.differs(FACTOR * np.array(before) + TERM, found)


def _same_steps(data: Data, found: float, _: Any) -> str:
    # Hundreds of chaotic steps: a bit that differs in one of them would show.
    value = data.last_heavy
    for _ in range(600):
        value = 3.7 * value * (1.0 - value)
    return "" if found == value else f"the last element is {value!r}, not {found!r}"
