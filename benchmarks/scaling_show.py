"""Shows simulated runs as tables and as a picture; it simulates nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["draw", "show", "show_inputs"]

Row = dict[str, float]


def show_inputs(path: Path, used: Mapping[str, float]) -> None:
    """Print what the simulation is told, and from where; what is not as in the file is marked."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Inputs of {path}", title_justify="left")
    table.add_column("input")
    table.add_column("value", justify="right")
    table.add_column("what")
    table.add_column("from")
    for name, entry in json.loads(path.read_text()).items():
        value = f"{used[name]:.4g} {entry['unit']}".strip()
        source = entry["from"] if used[name] == entry["value"] else "set for this run"
        table.add_row(name, value, entry["what"], source)
    Console(width=150, highlight=False).print(table)


def show(title: str, rows: Sequence[Row], chosen: int, names: Sequence[str] = ()) -> None:
    """Print a sweep; the row of oocarray's own size of task has an arrow."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    if names:
        table.add_column("luck")
    heads = ("workers", "blocks per task", "tasks", "makespan", "ideal", "efficiency")
    for name in (*heads, "scheduler busy", "client busy or waiting", "worker idle, median", "p99"):
        table.add_column(name, justify="right")
    for number, row in enumerate(rows):
        size = int(row["blocks_per_task"])
        table.add_row(
            *names[number : number + 1],
            f"{row['workers']:.0f}",
            ("-> " if size == chosen else "") + str(size),
            f"{row['tasks']:.0f}",
            f"{row['makespan']:.1f} s",
            f"{row['ideal']:.1f} s",
            *(
                f"{100 * row[name]:.0f} %"
                for name in (
                    "efficiency",
                    "scheduler_load",
                    "client_load",
                    "idle_median",
                    "idle_p99",
                )
            ),
        )
    Console(width=150, highlight=False).print(table)


def draw(path: Path, by_workers: Sequence[Row], by_tasks: Sequence[Row], chosen: int) -> None:
    """Draw both sweeps side by side into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _one(left, by_workers, "workers", "workers", "tasks as oocarray cuts them")
    count = by_tasks[0]["workers"] if by_tasks else 0
    _one(right, by_tasks, "blocks_per_task", "blocks per task", f"{count:.0f} workers")
    right.axvline(chosen, color="#777777", linestyle=":")
    right.annotate("oocarray's choice", (chosen, 1.07), fontsize=9, ha="right", color="#555555")
    figure.savefig(path, dpi=110)


def _one(axes: Any, rows: Sequence[Row], key: str, name: str, title: str) -> None:
    styles = (
        ("efficiency", "efficiency (ideal by makespan)", "#0060a8", "o-"),
        ("scheduler_load", "scheduler busy", "#d55e00", "s--"),
        ("client_load", "client busy or waiting", "#00805c", "^--"),
        ("idle_p99", "idle, p99 of workers", "#77841a", "d:"),
    )
    for field, label, colour, style in styles:
        values = [(row[key], row[field]) for row in rows]
        axes.plot(*zip(*values, strict=True), style, color=colour, label=label, markersize=5)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.15)
    axes.set_xlabel(name)
    axes.set_ylabel("part of the run, 0 to 1")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
