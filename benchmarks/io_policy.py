"""Measures what Linux does with mapped files here, policy by policy; changes no default.

Run as ``python -m benchmarks.io_policy``, or ``make bench-io BENCH_ARGS="..."``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oocarray.runtime.limits import room
from oocarray.units import format_bytes, parse_bytes

from .cases.records import MIB, Case
from .core import SPARE, beside, temporary
from .data import Data
from .harness import Harness
from .machine import disk_of, headline, machine
from .policies import NAMES, TITLES, make_policies
from .report import doubts, read_records
from .stats import by_round, summarize
from .tables import amount, spread, table

__all__ = ["main"]

_LARGEST, _SMALLEST, _QUICK = 4096 * MIB, 64 * MIB, 256 * MIB
Record = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen tables; 0 unless a policy failed or gave a wrong result."""
    chosen = _parse(arguments)
    if chosen.report is not None:
        print(_report(read_records(chosen.report)))
        return 0
    free = shutil.disk_usage(chosen.data).free
    size = chosen.size or _fitting(free, chosen.quick)
    limit = chosen.limit or max(size // 4, 256 * MIB)
    needed = size * (1 + bool({"new", "over", "in-place"} & set(chosen.only))) + SPARE
    print(
        f"file of {format_bytes(size)}, cgroups of {format_bytes(limit)}: needs "
        f"{format_bytes(needed)} in {chosen.data}, where {format_bytes(free)} are free"
    )
    if needed > free:
        print("not started: --data names another folder, --size a smaller file")
        return 2
    settings = {"size": size, "limit": limit, "rounds": chosen.rounds, "only": chosen.only}
    cases = [case for name, case in make_policies(size, limit).items() if name in chosen.only]
    with temporary(chosen.data) as folder, chosen.json.open("w", buffering=1) as stream:
        records: list[Record] = []

        def record(found: Record) -> None:
            records.append(found)
            stream.write(json.dumps(found) + "\n")

        record({**machine(folder), "settings": settings})
        data = Data(folder, size)
        try:
            failures = _measure(data, cases, chosen, record)
        except KeyboardInterrupt:
            _tell(f"interrupted; what was measured is in {stream.name}")
            return 130
        print(_report(records))
        return int(failures > 0)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.io_policy", description=__doc__)
    parser.add_argument("--only", default=",".join(NAMES), help="tables; default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="small: a minute, for trying")
    parser.add_argument("--rounds", type=int, help="of each policy: 3")
    parser.add_argument("--size", type=parse_bytes, help="of the file: by memory and disk")
    parser.add_argument("--limit", type=parse_bytes, help="of the cgroups: a quarter of the file")
    parser.add_argument(
        "--readahead",
        type=int,
        metavar="KIB",
        help="read once more with this readahead of the disk (root; set back afterwards)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=beside(),
        help="folder on the disk to measure; a temporary one is made in it: %(default)s",
    )
    parser.add_argument("--json", type=Path, default=Path("bench-io.jsonl"), help="%(default)s")
    parser.add_argument("--report", type=Path, help="measure nothing: Markdown from such a file")
    chosen = parser.parse_args(arguments)
    chosen.only = [name.strip() for name in chosen.only.split(",") if name.strip()]
    unknown = sorted(set(chosen.only) - set(NAMES))
    if unknown or not chosen.only:
        parser.error(f"--only: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if chosen.rounds is None:
        chosen.rounds = 1 if chosen.quick else 3
    if chosen.rounds < 1:
        parser.error("--rounds is at least 1")
    if chosen.report is None:
        chosen.data = chosen.data.absolute()
        chosen.data.mkdir(parents=True, exist_ok=True)
    return chosen


def _fitting(free: int, quick: bool) -> int:
    """Bytes of a file that fits the disk twice, and from which the cached table can be read."""
    size = min(_QUICK if quick else _LARGEST, free // 3, int(0.4 * room()))
    return max(size // _SMALLEST * _SMALLEST, _SMALLEST)


def _measure(data: Data, cases: list[Case], chosen: argparse.Namespace, record: Any) -> int:
    reading = [case for case in cases if case.section == "read"]
    with Harness(data, record, _tell) as harness:
        _tell("making the data")
        data.make({"source"}, 1)
        # A policy is checked each time it runs; to be wrong once is to be out.
        for number in range(1, chosen.rounds + 1):
            for case in cases:
                _tell(f"round {number} of {chosen.rounds}: {case.name}")
                harness.run(case, number)
        if chosen.readahead and reading:
            with _readahead(data.folder, chosen.readahead):
                _run_again(harness, reading[0], chosen)
    return harness.failures


def _run_again(harness: Harness, case: Case, chosen: argparse.Namespace) -> None:
    name = f"read, readahead {chosen.readahead} KiB"
    again = Case(name, name, case.method, case.title, case.contestants, case.compare, cold=True)
    for number in range(1, chosen.rounds + 1):
        _tell(f"round {number} of {chosen.rounds}: {name}")
        harness.run(again, number)


@contextmanager
def _readahead(folder: Path, kib: int) -> Iterator[None]:
    """Another readahead of the disk under a folder, for everybody, meanwhile."""
    setting = disk_of(folder) / "queue/read_ahead_kb"
    try:
        before = setting.read_text()
        setting.write_text(str(kib))
    except OSError as error:
        _tell(f"readahead is left as it is: {error}")
        yield
        return
    try:
        yield
    finally:
        setting.write_text(before)


def _report(records: list[Record]) -> str:
    settings = records[0]["settings"]
    rounds = settings["rounds"]
    how = (
        f"File of {format_bytes(settings['size'])} of float64; memory cgroups of "
        f"{format_bytes(settings['limit'])}, page cache included; cold cache. Medians of {rounds} "
        f"round{'s' * (rounds > 1)}, quartiles in brackets."
    )
    parts = [headline(records[0]), how]
    for case, rivals in by_round(records).items():
        summaries = summarize(case, rivals)
        rows = [
            (
                row["rival"],
                spread(row["gb_per_second"]),
                amount(row["cpu_seconds_per_gb"][1]),
                amount(row["system_seconds_per_gb"][1]),
                "" if row.get("cached_after") is None else format_bytes(row["cached_after"]),
            )
            for row in summaries
        ]
        headers = ("policy", "GB/s", "CPU s/GB", "system s/GB", "left cached")
        title = TITLES.get(case, f"{TITLES['read']}: {case.partition(', ')[2]}")
        parts += [f"### {title}", table(headers, rows)]
    return "\n\n".join([*parts, *doubts(records, [])])


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
