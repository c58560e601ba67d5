"""Turns the records of runs into medians, ratios, targets and tables; measures nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from .cases import TARGETS, Target

__all__ = ["show", "summarize"]

Record = dict[str, Any]
_REFERENCE = {"import": "numpy"}
"""Whom the others of a case are compared with, where it is not ours."""
_BUSY = "processors_busy_elsewhere"
_WARM = 0.01
"""Part of an input that may still be cached before a run that is called cold."""


def summarize(records: Iterable[Record]) -> list[Record]:
    """Summaries of each rival in each case, then the targets."""
    rounds: dict[str, dict[str, dict[int, Record]]] = {}
    for record in records:
        if record["record"] == "round":
            case = rounds.setdefault(record["case"], {})
            case.setdefault(record["rival"], {})[record["round"]] = record
    found = [_summary(case, rival, rivals) for case, rivals in rounds.items() for rival in rivals]
    return [*found, *(_judge(target, rounds) for target in TARGETS if target.case in rounds)]


def _summary(case: str, rival: str, rivals: dict[str, dict[int, Record]]) -> Record:
    runs = list(rivals[rival].values())
    summary: Record = {"record": "summary", "case": case, "rival": rival, "rounds": len(runs)}
    for name in ("seconds", "cpu_seconds", "gb_per_second", "cpu_seconds_per_gb"):
        values = [run[name] for run in runs if run.get(name)]
        if values:
            summary[name] = _quartiles(values)
    reference = _REFERENCE.get(case, "oocarray")
    if case == "scaling":
        reference = rival[:-1] + "1"
    if reference != rival:
        ratios = _ratios(rivals, rival, reference)
        if ratios:
            summary["ratio_to"] = reference
            summary["ratio"] = _quartiles(ratios)
    if case != "import":
        left = [run["cached_before"] / run["bytes"] for run in runs if run.get("cached_before")]
        summary["warm"] = max(left, default=0.0)
    return summary


def _ratios(rivals: dict[str, dict[int, Record]], upper: str, lower: str) -> list[float]:
    """Seconds of one by seconds of another, round by round."""
    first, second = rivals.get(upper, {}), rivals.get(lower, {})
    return [
        first[number]["seconds"] / second[number]["seconds"]
        for number in sorted(first.keys() & second.keys())
    ]


def _quartiles(values: list[float]) -> list[float]:
    """Lower quartile, median, upper quartile."""
    return [float(part) for part in np.percentile(values, [25, 50, 75])]


def _judge(target: Target, rounds: dict[str, dict[str, dict[int, Record]]]) -> Record:
    rivals = rounds[target.case]
    if target.figure == "ratio":
        values = _ratios(rivals, target.rival, "oocarray")
    elif target.figure == "scaling":
        values = _ratios(rivals, f"{target.rival} x1", f"{target.rival} x2")
    else:
        key = "cpu_seconds_per_gb" if target.figure == "cpu" else "seconds"
        values = [run[key] for run in rivals.get(target.rival, {}).values()]
        if target.figure == "beyond numpy" and values:
            plain = np.median([run["seconds"] for run in rivals["numpy"].values()])
            values = [value - float(plain) for value in values]
    result: Record = {
        "record": "target",
        "case": target.case,
        "text": target.text,
        "wanted": target.wanted,
        "most": target.most,
        "found": None,
        "reached": False,
    }
    if values:
        low, middle, high = _quartiles(values)
        reached = middle <= target.wanted if target.most else middle >= target.wanted
        result |= {"found": middle, "quartiles": [low, high], "reached": reached}
    return result


# ---- tables --------------------------------------------------------------------------------------


def show(console: Console, records: list[Record], titles: dict[str, str]) -> None:
    """Print a table of all cases and one of the targets."""
    summaries = [record for record in records if record["record"] == "summary"]
    table = Table(box=box.SIMPLE_HEAD, title="Medians, quartiles in brackets")
    table.add_column("", no_wrap=True, min_width=22)
    columns = {"seconds": 20, "GB/s": 6, "CPU s": 6, "CPU s/GB": 8, "seconds by ...": 17}
    for name, width in columns.items():
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    last = ""
    for record in summaries:
        if record["case"] != last:
            last = record["case"]
            reference = "x1" if last == "scaling" else _REFERENCE.get(last, "oocarray")
            alone = not any("ratio" in other for other in summaries if other["case"] == last)
            table.add_section()
            title = f"[bold]{titles.get(last, last)}[/]"
            table.add_row(title, "", "", "", "", "" if alone else f"... {reference}")
        table.add_row(
            "  " + record["rival"] + (" *" if record.get("warm", 0) > _WARM else ""),
            _spread(record.get("seconds")),
            _middle(record.get("gb_per_second")),
            _middle(record.get("cpu_seconds")),
            _middle(record.get("cpu_seconds_per_gb")),
            _spread(record.get("ratio")),
        )
    console.print(table)
    _show_doubts(console, records, summaries)
    _show_targets(console, [record for record in records if record["record"] == "target"])


def _show_doubts(console: Console, records: list[Record], summaries: list[Record]) -> None:
    """Say what speaks against the figures."""
    if any(record.get("warm", 0) > _WARM for record in summaries):
        console.print("* not cold: over 1 % of what was to be read stayed in the page cache")
    busy = [run[_BUSY] for run in records if _BUSY in run]
    if busy and (middle := float(np.median(busy))) > 0.1:
        console.print(
            f"other processes kept {middle:.1f} processors busy meanwhile (median over the runs, "
            f"at most {max(busy):.1f}): repeat on a quiet machine"
        )
    for record in records:
        if record["record"] == "failure":
            reason = record["reason"].strip().splitlines()[-1]
            console.print(
                f"{record['case']}: {record['rival']} dropped out: {reason}", markup=False
            )


def _show_targets(console: Console, targets: list[Record]) -> None:
    table = Table(box=box.SIMPLE_HEAD, title="Targets")
    table.add_column("case", no_wrap=True)
    table.add_column("figure", no_wrap=True)
    table.add_column("wanted", justify="right", no_wrap=True)
    table.add_column("found", justify="right", no_wrap=True)
    table.add_column("")
    for record in targets:
        found, verdict = "not measured", ""
        if record["found"] is not None:
            low, high = record["quartiles"]
            found = _spread([low, record["found"], high])
            verdict = "[green]reached[/]" if record["reached"] else "[red]missed[/]"
        table.add_row(
            record["case"],
            record["text"],
            f"{'<=' if record['most'] else '>='} {record['wanted']:g}",
            found,
            verdict,
        )
    console.print(table)


def _middle(quartiles: list[float] | None) -> str:
    return "" if quartiles is None else f"{quartiles[1]:.3g}"


def _spread(quartiles: list[float] | None) -> str:
    if quartiles is None:
        return ""
    low, middle, high = (f"{value:.3g}" for value in quartiles)
    # A backslash keeps rich from taking the bracket for markup.
    return f"{middle} \\[{low}, {high}]"
