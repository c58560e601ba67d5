"""Cases of the memory budget: the same work free and in a cgroup of hardly more; runs nothing."""

from __future__ import annotations

from typing import Any

from oocarray.units import format_bytes

from ..data import Data
from . import engine
from .records import MIB, PER_PROCESS, Case, Contestant, Settings, Target

__all__ = ["cases", "hard_limit", "targets"]

_WORK = {
    "mean": "mean",
    "map": "2x + 1 to a new file",
    "three": "sum of three arrays to a new file",
    "update": "in place",
}


def hard_limit(budget: int, workers: int) -> int:
    """Bytes that a run of this budget must do with: the caller, the server and the workers."""
    return budget + PER_PROCESS * (workers + 2) + 64 * MIB


def cases(settings: Settings) -> list[Case]:
    """Each kind of work, by each budget, free and limited."""
    who = tuple(
        Contestant(
            f"{format_bytes(budget)}, {'free' if limit is None else 'limited'}",
            "ours",
            budget,
            settings.workers,
            limit=limit,
            strict=limit is not None,
            beside="" if limit is None else f"{format_bytes(budget)}, free",
        )
        for budget in settings.budgets
        for limit in (None, hard_limit(budget, settings.workers))
    )

    def case(name: str, compare: Any, reads: str, writes: str) -> Case:
        method = "add_three" if name == "three" else name
        return Case(
            f"budget-{name}",
            "budget",
            method,
            f"{_WORK[name]}, cold",
            who,
            compare,
            reads=reads,
            cold=True,
            writes=writes,
            places="third" if name == "three" else "source",
        )

    return [
        case("mean", engine.same_mean, "source", ""),
        case("map", engine.mapped, "source", "out"),
        case("three", _added, "source", "out"),
        case("update", engine.updated, "work", "work"),
    ]


def targets(settings: Settings) -> list[Target]:
    """Nine tenths of the speed, and held memory within the budget in every run."""
    found = []
    for name in _WORK:
        for budget in settings.budgets:
            size = format_bytes(budget)
            free, limited = f"{size}, free", f"{size}, limited"
            allowed = budget + PER_PROCESS * (settings.workers + 2)
            found += [
                Target(
                    f"budget-{name}",
                    f"{size}: of the free speed, when limited",
                    0.9,
                    free,
                    by=limited,
                    unit="x",
                ),
                Target(
                    f"budget-{name}",
                    f"{size}: held at most, free",
                    allowed,
                    free,
                    "held_peak",
                    most=True,
                    worst=True,
                    unit="B",
                ),
            ]
    return found


def _added(data: Data, found: list[float], _: Any) -> str:
    """Compare elements of the sum of the array's three thirds."""
    one, two, three = (data.values("third", number * data.third) for number in range(3))
    return data.differs(one + two + three, found, "third")
