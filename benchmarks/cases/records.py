"""The records that say what is measured: cases, contestants, targets; they run nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..data import Data

__all__ = ["BLOCK_BYTES", "QUICK", "Case", "Contestant", "Fresh", "Settings", "Target"]

MIB = 1 << 20
PER_PROCESS = 80 * MIB
"""What each process of a run may hold beside the budget: interpreter and libraries."""
BLOCK_BYTES = 4096
"""Of the small blocks whose overhead is measured."""


@dataclass(frozen=True)
class Settings:
    """Sizes and counts of one measurement; written with it, so that a report knows them."""

    size: int = 4096 * MIB
    """Of the large array."""
    part: int = 1024 * MIB
    """Of the smaller one, of which little may stay in the page cache."""
    pair: int = 1024 * MIB
    """Of each of the two arrays of float64 of which expressions are fused."""
    memory: int = 256 * MIB
    """Our budget, where it is not what is looked at."""
    budgets: tuple[int, ...] = (64 * MIB, 256 * MIB, 1024 * MIB)
    limit: int = 1024 * MIB
    """Of the memory cgroups in which rivals are compared, page cache included."""
    workers: int = 2
    blocks: int = 100_000
    """Blocks of 4 KiB of which the overhead is measured; a slow rival gets a tenth of them."""
    planned: int = 1_000_000
    """Blocks of the plan that is built and not run."""
    rounds: int = 9


QUICK = Settings(
    size=512 * MIB,
    part=256 * MIB,
    pair=64 * MIB,
    memory=64 * MIB,
    budgets=(32 * MIB, 64 * MIB, 128 * MIB),
    blocks=10_000,
    rounds=1,
)
"""Small enough to see in a minute or two that everything runs."""


@dataclass(frozen=True)
class Contestant:
    """One way to do the work of a case.

    Those with the same module, memory, workers, scheduler and limit share one process.
    """

    label: str
    module: str
    """File in ``rivals/``."""
    memory: int | None = None
    workers: int | None = 1
    scheduler: str = "processes"
    limit: int | None = None
    """Bytes of its memory cgroup, page cache included; None: counted there, not limited."""
    strict: bool = False
    """Whether it drops out where no memory cgroup can be made: the limit is the question."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Passed to the method."""
    share: float = 1.0
    """Part of the file that it works on."""
    items: int = 0
    """Blocks that it works on, where time per block is looked at."""
    reads: str = ""
    """File that it reads, where that is not the case's."""
    needs: str = ""
    """Package without which it is left out: one that we do not install."""
    beside: str = ""
    """Whom its time is divided by, round by round."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells processes apart."""
        return self.module, self.memory, self.workers, self.scheduler, self.limit


@dataclass(frozen=True)
class Case:
    """What contestants do in turn, on which file, and how a result is checked."""

    name: str
    section: str
    method: str
    title: str
    contestants: tuple[Contestant, ...]
    compare: Callable[[Data, Any, Any], str]
    """From the data, what was found and what was there before: what is wrong, or nothing."""
    reads: str = "source"
    """Name of the file in `Data`; one of "work" or "part" is made for the case and removed."""
    cold: bool = False
    """Whether what it reads is dropped from the page cache before each run."""
    warm: bool = False
    """Whether what it reads is brought into the page cache before its turns."""
    writes: str = ""
    """"out" for a new array, "work" for a change in place; its elements are compared."""
    places: str = "source"
    """Which of `Data.places` are compared of what it writes."""
    calls: int = 1
    """Calls in a row of which the median counts; more than one where a call is short."""
    first: int = 0
    """Calls before those, which do not count."""
    keeps: bool = False
    """Whether its contestants keep files mapped: their processes end with each turn."""
    watched: bool = True
    """Whether held memory is sampled meanwhile."""
    counted: bool = True
    """Whether bytes per second mean anything."""


@dataclass(frozen=True)
class Fresh:
    """Programs that each measure one start of Python; each prints a JSON object with "seconds"."""

    name: str
    section: str
    title: str
    codes: dict[str, str]
    arguments: tuple[str, ...] = ()
    starts: int = 1
    """In each round."""

    def beside(self, name: str) -> str:
        """Whom a program's time is divided by: the first one's, where there are several."""
        first = next(iter(self.codes))
        return "" if name == first else first


@dataclass(frozen=True)
class Target:
    """A figure that is wanted.

    The figure is `rival`'s `key`, by that of `by` in the same round where that is given, less
    the median of `less` likewise.
    """

    case: str
    text: str
    wanted: float
    rival: str
    key: str = "seconds"
    by: str | tuple[str, ...] = ""
    """Of several, the slowest."""
    less: str = ""
    most: bool = False
    """Whether `wanted` is the most that is allowed, not the least."""
    worst: bool = False
    """Whether every round has to reach it, not the median."""
    unit: str = ""
