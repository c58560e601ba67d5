"""Says what got slower from one result file to another beyond noise; guesses no reasons.

Rivals whose library is the same in both files are controls: where they moved, the machine did,
and figures are divided by their median movement.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oocarray.units import format_bytes

from .results import CASES, LONE, OURS, OWN, RIVALS, Cell, Results, Run, read, say

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Change", "compare", "control", "lost", "main", "noise"]

_FLOOR = 0.05
"""No machine that was seen here repeats itself better than this."""
_SCATTERS = 2.5
"""Controls did not change, so their ratios show how far chance goes: beyond so many deviations."""
_CONTROLS = 5
"""Fewer controls than these say nothing about the machine: the median deviation of three is the
smaller gap between neighbours, which chance often makes about 0."""
_NOISES = 2.0
"""Half-ranges beyond which medians differ: of three rounds each, nothing but chance is beyond one
in 10 of 100 cells, beyond two in 2."""
_LIBRARIES = {
    **dict.fromkeys(("numpy-naive", "numpy-careful"), ("numpy",)),
    "blosc2": ("blosc2", "numexpr", "numpy"),
    "dask": ("dask", "zarr", "numpy"),
    **dict.fromkeys(("distributed", "dask-distributed"), ("distributed", "dask", "zarr", "numpy")),
    "cubed": ("cubed", "zarr", "numpy"),
}
"""Whose code rivals run: their own library's, and that of those which compute or store for it.
Who is not here has its own and NumPy's."""
_FACTS = ("cpu", "cores", "ram", "kernel", "filesystem", "disk", "python", "size", "memory")
Moved = tuple[float, float]
Key = tuple[str, str, str, str, int, int | None, int | None]


@dataclass(frozen=True)
class Change:
    """The same work in both files; ratios are new by old, None where one did not end well."""

    key: Key
    old: Cell
    new: Cell
    raw: float | None
    normalised: float | None
    noise: float

    @property
    def rival(self) -> str:
        return self.key[2]

    @property
    def state(self) -> str:
        return self.key[3]

    @property
    def verdict(self) -> str:
        """``"slower"``, ``"faster"``, ``"same"``, or how its outcome changed."""
        if self.fails:
            bad, runs = self.new.bad, self.new.runs
            some = f" ({len(bad)} of {len(runs)})" if len(bad) < len(runs) else ""
            return f"ok -> {bad[-1].outcome}{some}"
        if self.normalised is None:
            if self.old.outcome == self.new.outcome:
                return "same"
            return f"{self.old.outcome} -> {self.new.outcome}"
        if self.normalised > 1 + self.noise:
            return "slower"
        return "faster" if self.normalised < 1 / (1 + self.noise) else "same"

    @property
    def fails(self) -> bool:
        """Whether rounds do not end well that did, be it not all of them."""
        return not self.old.bad and bool(self.new.bad)

    @property
    def worse(self) -> bool:
        """Slower, or no longer done."""
        return (
            self.verdict == "slower" or self.fails or self.old.outcome == "ok" != self.new.outcome
        )


def noise(cell: Cell) -> float | None:
    """Part of the median by which rounds differ: by their median deviation or by their range.

    None where there is one round alone.
    """
    values = cell.values("wall")
    if len(values) < 2:
        return None
    middle = statistics.median(values) or 1.0
    # 1.4826 makes of a median deviation the standard deviation of a normal one.
    deviation = 1.4826 * statistics.median(abs(value - middle) for value in values)
    return max(deviation, (max(values) - min(values)) / 2) / middle


def control(ratios: Iterable[float]) -> Moved | None:
    """Median movement of controls and how they scatter about it; None where they are too few."""
    logs = [math.log(ratio) for ratio in ratios]
    if len(logs) < _CONTROLS:
        return None
    middle = statistics.median(logs)
    return math.exp(middle), 1.4826 * statistics.median(abs(value - middle) for value in logs)


def compare(old: Results, new: Results) -> tuple[list[Change], dict[str, Moved | None]]:
    """Changes of all work that both files have, and the movement of the controls by part."""
    before, after = _cells(old), _cells(new)
    both = [key for key in before if key in after]
    same = {key[2] for key in both} - set(OWN) - set(_renewed(old, new))
    raw = {key: _ratio(before[key], after[key]) for key in both}
    lone = _typical(noise(cell) for cells in (before, after) for cell in cells.values())
    moved: dict[str, Moved | None] = {}
    for part in dict.fromkeys(map(_part, both)):
        # Each sweep has its own hour, and its own controls.
        alike = (key for key in both if _part(key) == part and key[2] in same)
        alike = (key for key in alike if before[key].chunk_bytes == after[key].chunk_bytes)
        moved[part] = control(r for key in alike if (r := raw[key]))
    changes = []
    for key in both:
        ratio, (middle, scatter) = raw[key], moved[_part(key)] or (1.0, 0.0)
        parts = [noise(cell) for cell in (before[key], after[key])]
        found = _NOISES * math.hypot(*(lone if each is None else each for each in parts))
        normalised = ratio / middle if ratio else None
        bound = max(found, _SCATTERS * scatter, _FLOOR)
        changes.append(Change(key, before[key], after[key], ratio, normalised, bound))
    return sorted(changes, key=_rank), moved


def lost(old: Results, new: Results) -> list[Key]:
    """What oocarray did in the old file and has no run of in the new, though it was asked for.

    That is so where a rival did it: of a case that was not reached there is only who dropped out.
    """
    before, after = _cells(old), _cells(new)
    asked = {(_place(key), key[6]) for key, cell in after.items() if cell.outcome == "ok"}
    ours = {_place(key) for key in after if key[2] == OURS}
    found = []
    for key in before:
        if key[2] == OURS and key not in after and before[key].outcome == "ok":
            place = _place(key)
            # Who has one worker alone tells nothing of work by several that oocarray did otherwise.
            by_one = place not in ours and (place, None) in asked
            if by_one or (place, key[6]) in asked:
                found.append(key)
    return found


def _place(key: Key) -> tuple[Any, ...]:
    """Of a run all but who did it and with how many workers."""
    return *key[:2], *key[3:6]


def _rank(change: Change) -> tuple[Any, ...]:
    sweep, case, rival, state, size, memory, workers = change.key
    at_case = CASES.index(case) if case in CASES else len(CASES)
    at_rival = RIVALS.index(rival) if rival in RIVALS else len(RIVALS)
    return (sweep != "main", sweep, at_case, case, at_rival, rival, state, size, memory or 0,
            workers or 0)  # fmt: skip


def _part(key: Key) -> str:
    return key[3] if key[0] == "main" else f"{key[3]}, by {key[0]}"


def _key(run: Run) -> Key:
    return run.sweep, run.case, run.rival, run.state, run.size, run.memory, run.workers


def _cells(results: Results) -> dict[Key, Cell]:
    groups: dict[Key, Cell] = {}
    for sweep in dict.fromkeys(run.sweep for run in results.runs):
        groups |= results.cells(sweep, _key)
    return groups


def _ratio(old: Cell, new: Cell) -> float | None:
    before, after = old.median("wall"), new.median("wall")
    return after / before if before and after else None


def _typical(found: Iterable[float | None]) -> float:
    known = [value for value in found if value is not None]
    # Where there is nothing else, two single rounds may differ by LONE.
    return statistics.median(known) if known else LONE / (_NOISES * math.sqrt(2))


def _renewed(old: Results, new: Results) -> dict[str, str]:
    """Rivals of which a library, Python, or their code of ours is another now, and what of it."""
    before, after = (results.machine.get("versions") or {} for results in (old, new))
    codes = [results.machine.get("codes") or {} for results in (old, new)]
    found = {}
    for rival in dict.fromkeys([*old.rivals(), *new.rivals()]):
        names = dict.fromkeys(_LIBRARIES.get(rival, (rival, "numpy")))
        moved = [(name, before.get(name), after.get(name)) for name in names]
        moved.append(("Python", old.machine.get("python"), new.machine.get("python")))
        texts = [f"{name} {one} -> {other}" for name, one, other in moved if one != other]
        if all(codes) and len({code.get(rival) for code in codes}) > 1:
            texts.append("its code in benchmarks/rivals was changed")
        if texts and rival not in OWN:
            found[rival] = ", ".join(texts)
    return found


# ---- as text -------------------------------------------------------------------------------------


def _differences(old: Results, new: Results) -> list[str]:
    """What makes the files hard to compare."""
    found = []
    for name in _FACTS:
        values = [results.machine.get(name) for results in (old, new)]
        if values[0] != values[1]:
            written = [
                format_bytes(value) if name in ("ram", "size", "memory") and value else str(value)
                for value in values
            ]
            found.append(f"{name} differs: {written[0]} -> {written[1]}")
    reasons: dict[str, list[str]] = {}
    for rival, text in _renewed(old, new).items():
        reasons.setdefault(text, []).append(rival)
    found += [f"no control is {' or '.join(names)}: {text}" for text, names in reasons.items()]
    found += [f"{each.path} was stopped before its end" for each in (old, new) if each.stopped]
    before, after = _cells(old), _cells(new)
    for one, other, where in ((before, after, new), (after, before, old)):
        gone = {key for key in one if key not in other and one[key].outcome == "ok"}
        if gone:
            ours = sum(key[2] == OURS for key in gone)
            found.append(f"{where.path} lacks {len(gone)} of the other's, {ours} of {OURS}")
    return found


def _told(moved: dict[str, Moved | None], changes: list[Change]) -> list[str]:
    lines = []
    several = set()
    for part, found in moved.items():
        if found is None:
            lines.append(f"{part}: fewer than {_CONTROLS} controls, figures are not normalised")
            continue
        middle, scatter = found
        if abs(math.log(middle)) > max(_FLOOR, scatter):
            several.add(part)
            word = "slower" if middle > 1 else "faster"
            lines.append(
                f"{part}: the machine changed: rivals that did not change take {middle:.2f} "
                f"times as long; it or its disk is {word}, or was used by others"
            )
        else:
            lines.append(f"{part}: rivals that did not change take {middle:.2f} times as long")
    hidden = [
        change
        for change in changes
        if change.rival == OURS and _part(change.key) in several and change.verdict == "same"
        if change.raw and abs(math.log(change.raw)) > math.log(1 + change.noise)
    ]
    if hidden:
        lines.append(
            f"{len(hidden)} of {OURS} moved as much as the rivals did: the machine's doing"
        )
    return lines


def _show(console: Console, changes: list[Change]) -> None:
    from rich.table import Table

    table = Table(title="Medians of wall time; ratios are new by old", title_justify="left")
    for name in ("work", "rival", "state"):
        table.add_column(name)
    for name in ("old", "new", "raw", "normalised", "noise"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    colours = {"slower": "red", "faster": "green", "same": ""}
    for change in changes:
        sweep, case, rival, state, size, memory, workers = change.key
        at = {"memory": f" at {format_bytes(memory or 0)}", "size": f" of {format_bytes(size)}"}
        work = case + at.get(sweep, f" with {workers} workers" if sweep == "workers" else "")
        ratios = [f"{r:.2f} x" if r else "" for r in (change.raw, change.normalised)]
        style = colours.get(change.verdict, "red" if change.worse else "yellow")
        table.add_row(
            work,
            f"[bold]{rival}[/]" if rival == OURS else rival,
            state,
            say(change.old, "wall"),
            say(change.new, "wall"),
            *ratios,
            f"{100 * change.noise:.0f} %",
            change.verdict,
            style=style or None,
        )
    console.print(table)


def main(arguments: list[str] | None = None) -> int:
    """Compare two result files: 1 if oocarray got worse, 0 if not, 2 if they cannot be compared."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare_results", description=__doc__
    )
    parser.add_argument("old", help="result file from before the change")
    parser.add_argument("new", help="result file from after it")
    parser.add_argument("--all", action="store_true", help="show rivals that did not change too")
    chosen = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140, soft_wrap=True, highlight=False)
    try:
        old, new = read(chosen.old), read(chosen.new)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    changes, moved = compare(old, new)
    for line in _differences(old, new):
        console.print(f"note: {line}", markup=False)
    gone = lost(old, new)
    if not changes and not gone:
        print("the files have no work in common: same size, memory and workers", file=sys.stderr)
        return 2
    _show(console, [c for c in changes if chosen.all or c.rival == OURS or c.verdict != "same"])
    for line in _told(moved, changes):
        console.print(line, markup=False)
    for sweep, case, _, state, *_ in gone:
        place = "" if sweep == "main" else f", sweep over {sweep}"
        console.print(f"{OURS} no longer does {case}, {state}{place}", markup=False)
    ours = [change for change in changes if change.rival == OURS]
    worse = [change for change in ours if change.worse]
    better = sum(change.verdict == "faster" for change in ours)
    console.print(
        f"{OURS}: {len(worse)} of {len(ours)} got worse beyond noise, {len(gone)} are gone, "
        f"{better} got faster",
        markup=False,
    )
    return 1 if worse or gone else 0


if __name__ == "__main__":
    sys.exit(main())
