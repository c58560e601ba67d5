"""Turns the records of runs into medians, quartiles, ratios and verdicts; pure numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .cases.records import Target

__all__ = ["by_round", "judge", "quartiles", "ratios", "summarize"]

Record = dict[str, Any]
Rounds = dict[int, Record]
_FIGURES = (
    "seconds",
    "cpu_seconds",
    "system_seconds",
    "gb_per_second",
    "cpu_seconds_per_gb",
    "system_seconds_per_gb",
    "us_per_item",
)
_WORST = ("held_peak", "processes", "cached_before", "cached_after", "out_cached_after", "growth")


def by_round(records: Iterable[Record]) -> dict[str, dict[str, Rounds]]:
    """Runs by case, contestant and round, in the order in which they came."""
    found: dict[str, dict[str, Rounds]] = {}
    for record in records:
        if record["record"] == "round":
            rivals = found.setdefault(record["case"], {})
            rivals.setdefault(record["rival"], {})[record["round"]] = record
    return found


def quartiles(values: Sequence[float]) -> list[float]:
    """Lower quartile, median, upper quartile."""
    return [float(part) for part in np.percentile(values, [25, 50, 75])]


def ratios(upper: Rounds, lower: Rounds, key: str = "seconds") -> list[float]:
    """A figure of one by that of another, round by round; rounds that one has not are left out."""
    return [
        upper[number][key] / lower[number][key] for number in sorted(upper.keys() & lower.keys())
    ]


def summarize(case: str, rivals: dict[str, Rounds]) -> list[Record]:
    """Medians and worst values of each contestant of a case."""
    found = []
    for rival, rounds in rivals.items():
        runs = list(rounds.values())
        summary: Record = {"record": "summary", "section": runs[0]["section"], "case": case}
        summary |= {"rival": rival, "title": runs[0]["title"], "rounds": len(runs)}
        for name in _FIGURES:
            values = [run[name] for run in runs if run.get(name) is not None]
            if values:
                summary[name] = quartiles(values)
        for name in _WORST:
            values = [run[name] for run in runs if run.get(name) is not None]
            if values:
                summary[name] = max(values)
        left = [run["cached_before"] / run["bytes"] for run in runs if run.get("cached_before")]
        summary["warm"] = max(left, default=0.0)
        beside = runs[0]["beside"]
        key = "us_per_item" if "us_per_item" in runs[0] else "seconds"
        compared = ratios(rounds, rivals.get(beside, {}), key)
        if compared:
            summary |= {"beside": beside, "ratio": quartiles(compared)}
        found.append(summary)
    return found


def judge(target: Target, rivals: dict[str, Rounds]) -> Record:
    """The figure that a target looks at, and whether it is reached; None where not measured."""
    rounds = rivals.get(target.rival, {})
    if target.by:
        values = ratios(rounds, _slowest(rivals, target.by), target.key)
    else:
        values = [run[target.key] for run in rounds.values() if run.get(target.key) is not None]
    if target.less:
        plain = [run[target.key] for run in rivals.get(target.less, {}).values()]
        values = [value - float(np.median(plain)) for value in values] if plain else []
    result: Record = {
        "record": "target",
        "case": target.case,
        "text": target.text,
        "wanted": target.wanted,
        "most": target.most,
        "worst": target.worst,
        "unit": target.unit,
        "found": None,
        "reached": None,
    }
    if values:
        low, found, high = quartiles(values)
        if target.worst:
            found = float(max(values) if target.most else min(values))
        reached = found <= target.wanted if target.most else found >= target.wanted
        result |= {"found": found, "quartiles": [low, high], "reached": reached}
    return result


def _slowest(rivals: dict[str, Rounds], names: str | tuple[str, ...]) -> Rounds:
    """Runs of one, or of the one of several whose median is the longest."""
    several = (names,) if isinstance(names, str) else names
    found = [rounds for name in several if (rounds := rivals.get(name))]

    def seconds(rounds: Rounds) -> float:
        return float(np.median([run["seconds"] for run in rounds.values()]))

    return max(found, key=seconds) if len(found) > 1 else (found or [{}])[0]
