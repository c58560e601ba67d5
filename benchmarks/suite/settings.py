"""What the suite is asked for, and whether the disk has room for it; measures nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from oocarray.runtime.limits import default_workers

from .cases import CASES, RIVALS, SuiteCase, SuiteRival
from .data import PLANE_BYTES

__all__ = ["SWEEPS", "Settings", "files_of", "fitting", "most_chunk"]

GIB = 1 << 30
SWEEPS = ("memory", "size", "workers")


@dataclass(frozen=True)
class Settings:
    """Defaults are those of ``make bench``."""

    size: int = 8 * GIB
    memory: int = GIB
    cases: tuple[str, ...] = tuple(CASES)
    rivals: tuple[str, ...] = tuple(name for name in RIVALS if name != "backend-dask")
    rounds: int = 3
    sweeps: tuple[str, ...] = SWEEPS
    workers: int = default_workers()
    minutes: float = 55.0
    quick: bool = False

    def __post_init__(self) -> None:
        for name in ("size", "memory", "rounds", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} is at least 1, not {getattr(self, name)}")
        if not 0 < self.minutes < float("inf"):
            raise ValueError(f"--minutes is above 0, and has an end; not {self.minutes:g}")

    @property
    def chosen(self) -> list[SuiteCase]:
        return [case for name, case in CASES.items() if name in self.cases]

    @property
    def contestants(self) -> list[SuiteRival]:
        return [rival for name, rival in RIVALS.items() if name in self.rivals]


def files_of(case: SuiteCase, rivals: Iterable[SuiteRival]) -> set[str]:
    """Files that must be there for a case."""
    zarr = any(rival.reads_zarr(case) and case.name in rival.cases for rival in rivals)
    return set(case.inputs) | ({"zarr"} if zarr else set())


def most_chunk(memory: int, workers: int) -> int:
    """Bytes of the largest chunk that is used: each worker has several in memory at once."""
    return memory // (4 * workers)


def fitting(settings: Settings, free: int) -> int:
    """Largest size, not above what is asked, whose files take no more than half of the room."""
    files = [len(files_of(case, settings.contestants) | {"a"}) for case in settings.chosen]
    outs = [case.writes == "out" for case in settings.chosen]
    most = max(count + out for count, out in zip(files, outs, strict=True))
    # The small array for tuning is an eighth, and has as many files.
    allowed = int(free / 2 / most / 1.125)
    return max(min(settings.size, allowed) // PLANE_BYTES, 1) * PLANE_BYTES
