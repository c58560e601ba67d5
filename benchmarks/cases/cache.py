"""Cases of the page cache: what a run leaves there, and what it finds there; runs nothing."""

from __future__ import annotations

import math
from typing import Any

from ..data import Data
from . import engine
from .records import MIB, Case, Contestant, Settings, Target

__all__ = ["cases", "targets"]


def cases(settings: Settings) -> list[Case]:
    """A file streamed in blocks of 4 MiB, and a second mean over a file that fits in memory."""
    streaming = (
        Contestant("oocarray", "ours", settings.memory, settings.workers, limit=settings.limit),
        Contestant(
            "memmap loop", "memmap_loop", settings.memory, settings.workers, beside="oocarray"
        ),
    )
    # Nothing but the cgroup says how much memory there is: the file has 0.4 of it, or less where
    # it is so small that interpreters and libraries would not fit.
    limit = max(settings.size * 5 // 2, settings.limit)
    second = tuple(
        Contestant(label, module, None, None, limit=limit, beside=beside)
        for label, module, beside in (
            ("oocarray", "ours", ""),
            ("np.memmap", "memmap_loop", "oocarray"),
        )
    )
    return [
        Case(
            "left",
            "cache",
            "stream",
            "sums of blocks of 4 MiB, cold",
            streaming,
            _same_total,
            reads="part",
            cold=True,
        ),
        Case(
            "left-map",
            "cache",
            "stream_map",
            "2x + 1 in blocks of 4 MiB, cold",
            streaming,
            _mapped,
            reads="part",
            cold=True,
            writes="out",
            places="part",
        ),
        Case(
            "second",
            "cache",
            "second",
            "second mean, file of 0.4 of the memory",
            second,
            engine.same_mean,
            cold=True,
            first=1,
            keeps=True,
        ),
    ]


def targets(settings: Settings) -> list[Target]:
    """Some megabytes at most, and a second pass that is not a first one again."""
    left = {"most": True, "worst": True, "unit": "B"}
    return [
        Target("left", "input left cached", 8 * MIB, "oocarray", "cached_after", **left),
        Target("left-map", "input left cached", 8 * MIB, "oocarray", "cached_after", **left),
        Target("left-map", "output left cached", 8 * MIB, "oocarray", "out_cached_after", **left),
        Target("second", "of np.memmap's speed", 0.8, "np.memmap", by="oocarray", unit="x"),
    ]


def _same_total(data: Data, found: float, _: Any) -> str:
    if math.isclose(found, data.part_mean, rel_tol=1e-9):
        return ""
    return f"the mean is {data.part_mean!r}, not {found!r}"


def _mapped(data: Data, found: list[float], _: Any) -> str:
    return data.differs(2 * data.values("part") + 1, found, "part")
