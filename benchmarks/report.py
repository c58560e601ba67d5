"""Writes what was measured as Markdown, from its records alone; measures nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from oocarray.units import format_bytes

from .cases import SECTIONS, Fresh, Settings, make_cases, make_targets
from .machine import headline
from .stats import by_round, judge, summarize
from .tables import amount, quantity, spread, table

__all__ = ["conclude", "doubts", "read_records", "report"]

Record = dict[str, Any]
_BUSY = "processors_busy_elsewhere"
_WARM = 0.01
"""Part of an input that may still be cached before a run that is called cold."""


def read_records(path: Path) -> list[Record]:
    """Records of a file, the machine's first; an unfinished last line is left out.

    Raises
    ------
    ValueError
        The file does not begin with the facts of a machine.
    """
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    if not records or records[0].get("record") != "machine" or "settings" not in records[0]:
        raise ValueError(f"{path} does not begin with the record of a machine")
    return records


def settings_of(record: Record) -> Settings:
    """What was set, as the machine's record has it."""
    found = dict(record["settings"])
    return Settings(**{**found, "budgets": tuple(found["budgets"])})


def conclude(records: list[Record]) -> list[Record]:
    """Summaries of all contestants, then the targets of the cases that were measured."""
    rounds, settings = by_round(records), settings_of(records[0])
    found = []
    for case in make_cases(settings).values():
        # In the order in which they are listed, whoever came first in a round.
        labels = (
            list(case.codes)
            if isinstance(case, Fresh)
            else [contestant.label for contestant in case.contestants]
        )
        rivals = rounds.get(case.name, {})
        found += summarize(case.name, {name: rivals[name] for name in labels if name in rivals})
    targets = [goal for goal in make_targets(settings) if goal.case in rounds]
    return found + [judge(goal, rounds[goal.case]) for goal in targets]


def report(records: list[Record]) -> str:
    """Facts, a table for each section, one of the targets, and what speaks against them."""
    found = conclude(records)
    settings = settings_of(records[0])
    parts = [headline(records[0]), _settings(settings, records)]
    for section, title in SECTIONS.items():
        rows = [row for row in found if row["record"] == "summary" and row["section"] == section]
        if rows:
            parts += [f"### {title}", _section(rows)]
    parts += ["### Targets", _targets([row for row in found if row["record"] == "target"])]
    return "\n\n".join(part for part in [*parts, *doubts(records, found)] if part)


def _settings(settings: Settings, records: list[Record]) -> str:
    budgets = ", ".join(map(format_bytes, settings.budgets))
    rounds = {record["round"] for record in records if "round" in record}
    return (
        f"Array {format_bytes(settings.size)}, pairs of {format_bytes(settings.pair)}; "
        f"cgroups of {format_bytes(settings.limit)}, our budget {format_bytes(settings.memory)}, "
        f"where several are compared; budgets {budgets}; "
        f"{settings.workers} workers; {min(settings.rounds, len(rounds))} rounds. "
        f"Medians, quartiles in brackets; held memory and what is left cached: the most."
    )


def _section(summaries: list[Record]) -> str:
    headers = ("case", "", "seconds", "GB/s", "CPU s", "CPU s/GB", "us/block", "held")
    headers += ("memory grows", "left cached", "output left cached", "time by ...")
    rows, last = [], ""
    for summary in summaries:
        per_gb = summary.get("cpu_seconds_per_gb")
        cpu = None if per_gb else summary.get("cpu_seconds")
        per_item, ratio = summary.get("us_per_item"), summary.get("ratio")
        rows.append(
            (
                summary["title"] if summary["case"] != last else "",
                summary["rival"] + (" *" if summary["warm"] > _WARM else ""),
                spread(summary["seconds"]),
                _middle(summary.get("gb_per_second")),
                _middle(cpu),
                _middle(per_gb),
                spread(per_item),
                _bytes(summary.get("held_peak")),
                _bytes(summary.get("growth")),
                _bytes(summary.get("cached_after")),
                _bytes(summary.get("out_cached_after")),
                "" if ratio is None else f"{spread(ratio)} {summary['beside']}",
            )
        )
        last = summary["case"]
    return table(headers, rows, words=2)


def _targets(targets: list[Record]) -> str:
    rows = []
    for target in targets:
        found, unit = "not measured", target["unit"]
        if target["found"] is not None:
            low, high = target["quartiles"]
            found = quantity(target["found"], unit)
            if unit == "B" and not target["worst"]:
                found += f" [{format_bytes(low)}, {format_bytes(high)}]"
            elif not target["worst"]:
                found = f"{spread([low, target['found'], high])} {unit}".removesuffix(" x")
        verdict = {True: "reached", False: "**missed**", None: ""}[target["reached"]]
        wanted = f"{'<=' if target['most'] else '>='} {quantity(target['wanted'], unit)}"
        rows.append((target["case"], target["text"], wanted, found, verdict))
    return table(("case", "figure", "target", "reached", "verdict"), rows, words=2)


def doubts(records: list[Record], found: list[Record]) -> list[str]:
    """What speaks against the figures, and what is missing: sentences."""
    said = []
    if any(record.get("warm", 0) > _WARM for record in found):
        said.append("\\* not cold: over 1 % of what was to be read stayed in the page cache")
    busy = [record[_BUSY] for record in records if _BUSY in record]
    if busy and (middle := float(np.median(busy))) > 0.1:
        said.append(
            f"other processes kept {middle:.1f} processors busy meanwhile (median over the runs, "
            f"at most {max(busy):.1f}): repeat on a quiet machine"
        )
    for record in records:
        if record["record"] == "failure":
            reason = (record["reason"].splitlines() or ["?"])[-1]
            said.append(f"{record['case']}: {record['rival']} dropped out: {reason}")
        elif record["record"] == "left out":
            who = ": ".join(record[key] for key in ("case", "rival") if key in record)
            said.append(f"{who} was left out: {record['reason']}")
    return said


def _middle(found: list[float] | None) -> str:
    return "" if found is None else amount(found[1])


def _bytes(count: int | None) -> str:
    return "" if count is None else format_bytes(count)
