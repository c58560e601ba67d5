"""Reads result files into medians with their spread; measures nothing and shows nothing."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from oocarray.units import format_bytes

__all__ = [
    "CASES",
    "LONE",
    "OURS",
    "OWN",
    "RIVALS",
    "Cell",
    "Results",
    "Run",
    "amount",
    "odd",
    "read",
    "say",
]

OURS = "oocarray"
OWN = (OURS, "backend-dask")
"""All that is our own code: neither a rival nor, of an older state of ours, a control."""
LONE = 0.5
"""Noise of a single round, where no other work has several that could tell: on a shared machine the
same program was seen to take 1.48 times as long in one run as in another."""
RIVALS = (
    OURS,
    "numpy-naive",
    "numpy-careful",
    "numpy",
    "numexpr",
    "zarr",
    "tensorstore",
    "blosc2",
    "dask",
    "backend-dask",
    "dask-distributed",
    "distributed",
    "cubed",
)
"""Order in which rivals are shown everywhere; names that are not here follow by first run."""
CASES = (
    "mean",
    "columns",
    "map",
    "two-inputs",
    "two",
    "transcendental",
    "zscore",
    "update",
    "slices",
    "slab",
    "zarr-to-zarr",
    "zarr",
)
_WORDS = {
    "killed": "killed",
    "over": "went over",
    "failed": "failed",
    "wrong": "wrong answer",
    "timeout": "too slow, stopped",
    "missing": "missing",
    "n/a": "n/a",
}


_ODD = 1.2


def odd(moved: float, planned: float) -> bool:
    """Whether the disk moved other bytes than the work needs, by more than a fifth.

    Examples
    --------
    >>> odd(1.97, 1.0), odd(1.05, 1.0), odd(0.5, 1.0), odd(5.0, 0)
    (True, False, True, False)
    """
    return bool(planned) and not 1 / _ODD <= moved / planned <= _ODD


@dataclass(frozen=True)
class Run:
    """One run of a rival, as its line has it; what was not measured is None."""

    sweep: str
    case: str
    rival: str
    state: str
    outcome: str
    size: int
    round: int = 0
    memory: int | None = None
    workers: int | None = None
    chunk_bytes: int | None = None
    message: str = ""
    wall: float | None = None
    cpu: float | None = None
    peak: int | None = None
    peak_cache: int | None = None
    read: int | None = None
    written: int | None = None
    planned_read: int | None = None
    planned_written: int | None = None

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"


@dataclass(frozen=True)
class Cell:
    """All rounds of the same work by the same rival."""

    runs: tuple[Run, ...]

    def values(self, key: str) -> list[float]:
        """A figure of the rounds that ended well; runs that did not end well have none."""
        found = (getattr(run, key) for run in self.runs if run.ok)
        return [float(value) for value in found if value is not None]

    def median(self, key: str) -> float | None:
        values = self.values(key)
        return statistics.median(values) if values else None

    def span(self, key: str) -> tuple[float, float] | None:
        """Least and most of the rounds."""
        values = self.values(key)
        return (min(values), max(values)) if values else None

    @property
    def outcome(self) -> str:
        """``"ok"`` if any round ended well, otherwise how the last one ended."""
        return "ok" if any(run.ok for run in self.runs) else self.runs[-1].outcome

    @property
    def chunk_bytes(self) -> int | None:
        """Of the first round, which has that of all."""
        return self.runs[0].chunk_bytes

    @property
    def bad(self) -> list[Run]:
        """Rounds that did not end well."""
        return [run for run in self.runs if not run.ok]

    @property
    def remarks(self) -> list[str]:
        """What is to be said of rounds that ended well."""
        return list(dict.fromkeys(run.message for run in self.runs if run.ok and run.message))


@dataclass(frozen=True)
class Results:
    """All that a file tells; `end` is None where its last line was never written."""

    path: Path
    machine: dict[str, Any]
    runs: list[Run] = field(default_factory=list)
    tunings: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    end: float | None = None
    interrupted: bool = False

    @property
    def stopped(self) -> bool:
        """Whether the run was stopped before its end."""
        return self.end is None or self.interrupted

    @property
    def done(self) -> list[Run]:
        """Runs but those of who takes no part."""
        return [run for run in self.runs if run.outcome not in ("n/a", "missing")]

    def cells(self, sweep: str, key: Callable[[Run], Any] | None = None) -> dict[Any, Cell]:
        """Rounds of a sweep together, by case, rival and state unless `key` tells otherwise."""
        groups: dict[Any, list[Run]] = {}
        for run in self.runs:
            if run.sweep == sweep:
                name = key(run) if key else (run.case, run.rival, run.state)
                groups.setdefault(name, []).append(run)
        return {name: Cell(tuple(runs)) for name, runs in groups.items()}

    def cases(self, sweep: str = "main") -> list[str]:
        """Cases of a sweep that were begun, in the order in which they are shown."""
        return _ordered((run.case for run in self.done if run.sweep == sweep), CASES)

    def rivals(self, sweep: str | None = None) -> list[str]:
        """Rivals of a sweep, or of all, in the order in which they are shown."""
        found = (run.rival for run in self.runs if sweep is None or run.sweep == sweep)
        return _ordered(found, RIVALS)


def _ordered(found: Iterable[str], known: tuple[str, ...]) -> list[str]:
    seen = dict.fromkeys(found)
    return [name for name in known if name in seen] + [n for n in seen if n not in known]


def read(path: str | Path) -> Results:
    """Read a result file; a last line that was cut off is left out.

    Raises
    ------
    ValueError
        A line is not a record or lacks a field, or no line has the facts of the machine.
    """
    path = Path(path)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    machine: dict[str, Any] | None = None
    runs: list[Run] = []
    others: dict[str, list[dict[str, Any]]] = {"tuning": [], "left_out": [], "end": []}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            kind = _kind(record)
            if kind == "machine":
                machine = record if machine is None else machine
            elif kind == "run":
                runs.append(_run(record))
            elif kind in others:
                others[kind].append(record)
        except (ValueError, TypeError) as error:
            if number == len(lines) and isinstance(error, json.JSONDecodeError):
                break
            raise ValueError(f"line {number} of {path} is not a record: {error}") from None
    if machine is None:
        raise ValueError(f'{path} has no line of kind "machine": it is not a result file')
    last = others["end"][-1] if others["end"] else {}
    end = float(last["seconds"]) if last else None
    interrupted = bool(last.get("interrupted"))
    return Results(path, machine, runs, others["tuning"], others["left_out"], end, interrupted)


_FIELDS = tuple(each.name for each in fields(Run))
_REQUIRED = {
    "machine": ("size",),
    "run": tuple(each.name for each in fields(Run) if each.default is MISSING),
    "tuning": ("case", "rival"),
    "end": ("seconds",),
}


def _kind(record: Any) -> str:
    """The kind of a record that has all it must have."""
    kind = record.get("kind") if isinstance(record, dict) else None
    lacking = [name for name in ("kind", *_REQUIRED.get(str(kind), ())) if name not in record]
    if lacking:
        raise ValueError(f"it has no {', '.join(map(repr, lacking))}")
    return str(kind)


def _run(record: dict[str, Any]) -> Run:
    return Run(**{name: record[name] for name in _FIELDS if name in record})


# ---- as text -------------------------------------------------------------------------------------


def amount(value: float) -> str:
    """Three digits, or all of a whole number's.

    Examples
    --------
    >>> amount(12.345), amount(1234.5), amount(0.01234)
    ('12.3', '1234', '0.0123')
    """
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 or not value else f"{value:#.3g}"


def say(cell: Cell | None, key: str) -> str:
    """A cell's median with its unit, or in words why there is none.

    Bytes are "peak", "read" and the like; all else is seconds.
    """
    if cell is None:
        return "not run"
    if cell.outcome != "ok":
        limit = cell.runs[-1].memory
        at = {"killed": " at ", "over": " "}.get(cell.outcome)
        word = _WORDS.get(cell.outcome, cell.outcome)
        return word + (f"{at}{format_bytes(limit)}" if at and limit else "")
    value = cell.median(key)
    if value is None:
        return "not measured"
    return f"{amount(value)} s" if key in ("wall", "cpu") else format_bytes(value)
