"""Chooses what the figures of a result page show from its results; knows no coordinates."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from itertools import product

from oocarray.units import format_bytes

from .page_plots import Bar, Point, bars, legend, lines
from .page_text import dagger, tip, title_of
from .results import Cell, Results, Run, say

__all__ = ["bar_figure", "memory_figure", "size_figure", "workers_figure"]

Numbers = dict[str, int]
_MIB = 1 << 20
_WARM = (
    "A warm run comes at once after a cold one, in the same process: it finds in memory what the "
    "limit and the rival left there, which may be all of the file or nothing. What is not called "
    "warm is cold. "
)
_MARKS = (
    "A marker is the median of the rounds and the upright line through it their least and most; "
    "a cross at the bottom is a run that did not end well (point at it for the reason)."
)


def bar_figure(results: Results, numbers: Numbers, key: str, state: str, note: str) -> str:
    """A panel of bars for each case; nothing where no run has the figure."""
    cells = results.cells("main")
    panels = []
    for case in results.cases():
        rows = []
        for name in results.rivals("main"):
            cell = cells.get((case, name, state))
            if cell is not None and cell.outcome not in ("n/a", "missing"):
                rows.append(_bar(name, numbers[name], cell, key))
        if any(row.value is not None for row in rows):
            panels.append(bars(_headed(case), rows))
    return _figure(panels, "", note)


def _bar(name: str, number: int, cell: Cell, key: str) -> Bar:
    value, span = cell.median(key), cell.span(key)
    low, high = span or (0.0, 0.0)
    text = say(cell, key)
    text += dagger(cell)
    if cell.bad and value is not None:
        text += f" ({len(cell.values(key))} of {len(cell.runs)} rounds)"
    return Bar(name, number, text, value, low, high, tip(cell, key))


def memory_figure(results: Results, numbers: Numbers) -> str:
    """Throughput by memory limit."""
    note = (
        "Bytes of the input divided by seconds, by the memory that the process may use; "
        "higher is better, and a line that stays level needs no more memory to be fast. "
    )
    return _sweep(
        results,
        numbers,
        "memory",
        lambda run: run.memory,
        lambda run, wall: run.size / wall / _MIB,
        ("memory limit", "throughput, MiB/s"),
        format_bytes,
        note,
    )


def size_figure(results: Results, numbers: Numbers) -> str:
    """Seconds for each GiB by size of the file."""
    note = (
        "Seconds for each GiB of the input by the size of the input; lower is better, both scales "
        "are logarithmic, and a level line means that twice the data takes twice the time. The "
        "dashed upright line is the memory limit: to the right of it the file does not fit. "
    )
    memory = results.machine.get("memory")
    return _sweep(
        results,
        numbers,
        "size",
        lambda run: run.size,
        lambda run, wall: wall / (run.size / (1 << 30)),
        ("size of the input", "seconds per GiB"),
        format_bytes,
        note,
        y_log=True,
        upright=(float(memory), "memory limit") if memory else None,
    )


def workers_figure(results: Results, numbers: Numbers) -> str:
    """Speed by workers beside one worker."""
    cores = results.machine.get("cores")
    note = (
        "How many times as fast as the same rival with the fewest workers; the dashed line is the "
        f"ideal, and this machine has {cores} cores, so more workers than that cannot help with "
        "computing. "
    )
    # By state too: the first of warm runs is no measure for cold ones.
    cells = results.cells("workers", lambda run: (run.case, run.rival, run.state, run.workers))
    base: dict[tuple[str, str, str], tuple[int, float]] = {}
    for (*name, workers), cell in cells.items():
        wall, key = cell.median("wall"), tuple(name)
        if workers and wall and (key not in base or workers < base[key][0]):
            base[key] = (workers, wall)

    def speed(run: Run, wall: float) -> float:
        return base.get((run.case, run.rival, run.state), (1, wall))[1] / wall

    fewest = min((workers for workers, _ in base.values()), default=1)
    return _sweep(
        results,
        numbers,
        "workers",
        lambda run: run.workers,
        speed,
        ("workers", "times as fast"),
        lambda x: f"{x:.0f}",
        note,
        ideal=lambda x: x / fewest,
    )


def _sweep(
    results: Results,
    numbers: Numbers,
    sweep: str,
    get_x: Callable[[Run], int | None],
    get_y: Callable[[Run, float], float],
    names: tuple[str, str],
    write_x: Callable[[float], str],
    note: str,
    *,
    y_log: bool = False,
    ideal: Callable[[float], float] | None = None,
    upright: tuple[float, str] | None = None,
) -> str:
    """A panel of lines for each case, and one more where there are warm runs of it."""
    found = [run for run in results.done if run.sweep == sweep and get_x(run)]
    panels: list[str] = []
    shown: set[int] = set()
    states: set[str] = set()
    for case, state in product(results.cases(sweep), ("cold", "warm")):
        runs = [run for run in found if run.case == case and run.state == state]
        series: dict[int, list[Point]] = {}
        for rival in results.rivals(sweep):
            groups: dict[int, list[Run]] = {}
            for run in runs:
                if run.rival == rival:
                    groups.setdefault(get_x(run) or 1, []).append(run)
            if groups:
                series[numbers[rival]] = [
                    _point(x, Cell(tuple(group)), get_y) for x, group in groups.items()
                ]
        title = _headed(case) + (", warm" if state == "warm" else "")
        panel = lines(title, series, *names, write_x, y_log=y_log, ideal=ideal, upright=upright)
        if panel:
            panels.append(panel)
            states.add(state)
            shown |= series.keys()
    ordered = [name for name in results.rivals(sweep) if numbers[name] in shown]
    note += _WARM if "warm" in states else "All runs are cold. "
    return _figure(panels, legend(ordered, numbers), note + _MARKS)


def _point(x: float, cell: Cell, get_y: Callable[[Run, float], float]) -> Point:
    wall, span = cell.median("wall"), cell.span("wall")
    if not wall or not span:
        return Point(x, None, tip=tip(cell))
    ends = sorted(get_y(cell.runs[0], end) for end in span)
    return Point(x, get_y(cell.runs[0], wall), ends[0], ends[1], tip(cell))


def _headed(case: str) -> str:
    title = title_of(case)
    return f"{case}: {title}" if title else case


def _figure(panels: list[str], above: str, note: str) -> str:
    panels = [panel for panel in panels if panel]
    if not panels:
        return ""
    return (
        f'<figure>{above}<div class="panels">{"".join(panels)}</div>'
        f"<figcaption>{escape(note)}</figcaption></figure>"
    )
