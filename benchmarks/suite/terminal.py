"""Shows records of the suite as tables on the terminal, from the records alone."""

from __future__ import annotations

import statistics
from typing import Any

from rich.console import Console
from rich.table import Table

from oocarray.units import format_bytes

from ..results import odd
from .cases import CASES

__all__ = ["show"]

Record = dict[str, Any]


def show(records: list[Record], console: Console | None = None) -> None:
    """Print a table for each case, one for each sweep, and what was left out."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=140)
    runs = [record for record in records if record["kind"] == "run"]
    main = [run for run in runs if run["sweep"] == "main"]
    for case in CASES:
        found = [run for run in main if run["case"] == case]
        # Of a case that was left out there is only who takes no part.
        if any(run["round"] for run in found):
            console.print(_case(found, case))
    for sweep in ("memory", "size", "workers"):
        found = [run for run in runs if run["sweep"] == sweep]
        if found:
            console.print(_sweep(found, sweep))
    if any(run["outcome"] == "over" for run in runs):
        console.print("* held more memory than it was to, which nothing enforced")
    cells = {(run["case"], run["rival"]) for run in main}
    if any(_is_odd([run for run in main if (run["case"], run["rival"]) == one]) for one in cells):
        console.print("! the disk moved other bytes than the work needs, by more than a fifth")
    for line in dict.fromkeys(_remark(run) for run in runs if run["message"]):
        if line:
            console.print(line, highlight=False, markup=False)
    for record in records:
        if record["kind"] == "left_out":
            console.print(f"left out: {record['what']}: {record['why']}", highlight=False)


def _case(runs: list[Record], case: str) -> Table:
    size = format_bytes(max(run["size"] for run in runs))
    table = Table(title=f"{case}, {size}", title_justify="left")
    headings = ("cold s", "warm s", "GB/s", "CPU s", "held", "charged", "read", "written", "chunk")
    table.add_column("rival")
    for heading in headings:
        table.add_column(heading, justify="right")
    names = list(dict.fromkeys(run["rival"] for run in runs))
    rows = {name: [run for run in runs if run["rival"] == name] for name in names}
    names.sort(key=lambda name: _rank(_of(rows[name], "cold")))
    for name in names:
        table.add_row(name, *_row(rows[name]))
    return table


def _remark(run: Record) -> str:
    """Why there is no figure, or what is odd about it; nothing where a table tells."""
    if run["outcome"] in ("missing", "over"):
        return ""
    where = f"{run['case']}, {run['rival']}, {run['state']}"
    return f"{where}: {run['outcome']}: {run['message']}"


def _rank(runs: list[Record]) -> tuple[bool, str, float]:
    """By time; then who held more memory than it was to, then who has no time."""
    return not runs, _mark(runs), _median(runs, "wall") or 0.0


def _mark(runs: list[Record]) -> str:
    return "*" if any(run["outcome"] == "over" for run in runs) else ""


def _is_odd(runs: list[Record]) -> bool:
    """Whether a row has such a mark."""
    return any("!" in cell for cell in _row(runs)[6:8])


def _of(runs: list[Record], state: str) -> list[Record]:
    return [run for run in runs if run["state"] == state and run["outcome"] in ("ok", "over")]


def _row(runs: list[Record]) -> list[str]:
    cold, warm = _of(runs, "cold"), _of(runs, "warm")
    bad = next((run for run in runs if run["outcome"] not in ("ok", "over")), None)
    if not cold:
        return [bad["outcome"] if bad else "", *[""] * 8]
    wall = _median(cold, "wall")
    assert wall is not None
    last = cold[-1]
    return [
        _spread(cold),
        _spread(warm) if warm else (bad["outcome"] if bad else ""),
        f"{last['size'] / wall / 1e9:.2f}{_mark(cold)}",
        f"{_median(cold, 'cpu') or 0:.2f}",
        _size(_most(cold, "peak")),
        _size(_most(cold, "peak_cache")),
        _part(_median(cold, "read"), last["planned_read"]),
        _part(_median(cold, "written"), last["planned_written"]),
        _size(last["chunk_bytes"]),
    ]


def _sweep(runs: list[Record], sweep: str) -> Table:
    """Rows are steps of the sweep, columns are cases, rivals and states; in GB/s of the input."""
    key = sweep
    table = Table(title=f"sweep over {sweep}: GB/s", title_justify="left")
    heads = list(dict.fromkeys((run["case"], run["rival"], run["state"]) for run in runs))
    table.add_column(sweep, justify="right")
    for case, rival, state in heads:
        table.add_column(f"{case}\n{rival}\n{state}", justify="right")
    for step in dict.fromkeys(run[key] for run in runs if run[key] is not None):
        cells = []
        for head in heads:
            found = [
                run
                for run in runs
                # A rival without workers or limit belongs to no step.
                if run[key] == step and (run["case"], run["rival"], run["state"]) == head
            ]
            cells.append(_cell(found))
        table.add_row(str(step) if sweep == "workers" else format_bytes(step), *cells)
    return table


def _cell(found: list[Record]) -> str:
    if not found:
        return ""
    run = found[-1]
    if run["outcome"] not in ("ok", "over"):
        return str(run["outcome"])
    return f"{run['size'] / run['wall'] / 1e9:.2f}{_mark([run])}"


def _median(runs: list[Record], name: str) -> float | None:
    values = [run[name] for run in runs if run[name] is not None]
    return statistics.median(values) if values else None


def _most(runs: list[Record], name: str) -> float | None:
    return max((run[name] for run in runs if run[name] is not None), default=None)


def _spread(runs: list[Record]) -> str:
    walls = [run["wall"] for run in runs]
    text = f"{statistics.median(walls):.3g}{_mark(runs)}"
    return text if len(walls) == 1 else f"{text} \\[{min(walls):.3g}, {max(walls):.3g}]"


def _size(count: float | None) -> str:
    return "" if count is None else format_bytes(count)


def _part(count: float | None, planned: int) -> str:
    """Times as much as planned; n/a on a busy disk."""
    if count is None:
        return "n/a"
    if not planned:
        return format_bytes(count)
    return f"{count / planned:.2f} x{' !' if odd(count, planned) else ''}"
