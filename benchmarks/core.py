"""Measures the engine: beside others, in little memory, its page cache, its cost per block.

Run as ``python -m benchmarks.core``, or ``make bench-core BENCH_ARGS="..."``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from oocarray.runtime.limits import room
from oocarray.units import format_bytes, parse_bytes

from .cases import NAMES, QUICK, SECTIONS, Case, Fresh, Settings, make_cases
from .client import undisturbed
from .data import Data
from .harness import Harness
from .machine import machine
from .pairs import PAIRS, pair_bytes
from .report import conclude, read_records, report
from .stores import STORES, store_bytes

__all__ = ["beside", "main", "temporary"]

SPARE = 64 << 20
"""Room on the disk that is left free beside the files."""
_IN_MEMORY = ("cached", "second")
"""Cases that are left out where the array is too large a part of what is available."""
Record = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen cases; 0 unless a contestant failed or gave a wrong result."""
    chosen = _parse(arguments)
    if chosen.report is not None:
        print(report(read_records(chosen.report)))
        return 0
    cases = [case for name, case in make_cases(chosen.settings).items() if name in chosen.only]
    needed = _needed(cases, chosen.settings)
    free = shutil.disk_usage(chosen.data).free
    print(f"needs {format_bytes(needed)} in {chosen.data}, where {format_bytes(free)} are free")
    if needed > free:
        print("not started: --data names another folder, --size a smaller array")
        return 2
    with temporary(chosen.data) as folder, chosen.json.open("w", buffering=1) as stream:
        return _measure(chosen.settings, cases, folder, stream)


# ---- what is asked -------------------------------------------------------------------------------


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.core", description=__doc__)
    size = {"type": parse_bytes, "metavar": "SIZE"}
    usual = Settings()
    parser.add_argument(
        "--only",
        type=_names,
        default=list(NAMES),
        metavar="NAME,NAME",
        help=f"sections ({', '.join(SECTIONS)}) or cases ({', '.join(NAMES)})",
    )
    parser.add_argument("--quick", action="store_true", help="small: a minute or two, for trying")
    parser.add_argument("--rounds", type=int, help=f"timed rounds: {usual.rounds}")
    parser.add_argument("--size", help=f"of the array: {format_bytes(usual.size)}", **size)
    parser.add_argument("--part", help=f"of the smaller: {format_bytes(usual.part)}", **size)
    parser.add_argument("--pair", help=f"of each of a pair: {format_bytes(usual.pair)}", **size)
    parser.add_argument("--memory", help=f"our budget: {format_bytes(usual.memory)}", **size)
    parser.add_argument("--limit", help=f"of cgroups: {format_bytes(usual.limit)}", **size)
    parser.add_argument("--workers", type=int, help=f"of everyone: {usual.workers}")
    parser.add_argument("--blocks", type=int, help=f"small blocks: {usual.blocks:,}")
    parser.add_argument("--planned", type=int, help=f"blocks of a plan: {usual.planned:,}")
    parser.add_argument(
        "--data",
        type=Path,
        default=beside(),
        help="folder in which a temporary one is made, and removed: %(default)s",
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("bench-core.jsonl"),
        help="file for all records, one JSON object a line, as they come: %(default)s",
    )
    parser.add_argument("--report", type=Path, help="measure nothing: Markdown from such a file")
    chosen = parser.parse_args(arguments)
    fields = [field.name for field in dataclasses.fields(Settings)]
    given = {name: getattr(chosen, name, None) for name in fields}
    start = QUICK if chosen.quick else usual
    chosen.settings = dataclasses.replace(
        start, **{name: value for name, value in given.items() if value is not None}
    )
    counts = ("rounds", "workers", "blocks", "planned")
    if min(getattr(chosen.settings, name) for name in counts) < 1:
        parser.error(f"--{', --'.join(counts)} are at least 1")
    if chosen.settings.blocks * 4096 > chosen.settings.part:
        parser.error(
            f"--blocks: {chosen.settings.blocks:,} of 4 KiB are more than --part, "
            f"{format_bytes(chosen.settings.part)}"
        )
    if chosen.report is None:
        chosen.data = chosen.data.absolute()
        chosen.data.mkdir(parents=True, exist_ok=True)
    return chosen


def _names(text: str) -> list[str]:
    """Cases named by themselves or by their section."""
    asked = [name.strip() for name in text.split(",") if name.strip()]
    cases = make_cases(Settings())
    found = [name for name, case in cases.items() if name in asked or case.section in asked]
    unknown = sorted(set(asked) - set(cases) - set(SECTIONS))
    if unknown or not found:
        raise argparse.ArgumentTypeError(
            f"{', '.join(unknown) or 'nothing'}; there are {', '.join((*SECTIONS, *cases))}"
        )
    return found


def beside() -> Path:
    """Beside the current folder; in it, where there is no permission for that."""
    here = Path.cwd()
    return here.parent if os.access(here.parent, os.W_OK) else here


@contextmanager
def temporary(parent: Path, keep: bool = False) -> Iterator[Path]:
    """A folder that is removed in the end, also when we are asked to end; unless it is kept."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    folder = Path(tempfile.mkdtemp(prefix="oocarray-bench-", dir=parent))
    before = {name: os.environ.get(name) for name in ("OOCARRAY_CACHE", "XDG_CACHE_HOME")}
    # Neither kernels nor choices kept from before: what is measured is what is here.
    os.environ.update(OOCARRAY_CACHE=str(folder / "kernels"), XDG_CACHE_HOME=str(folder / "kept"))
    try:
        yield folder
    finally:
        with undisturbed():
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _files(cases: list[Case | Fresh]) -> set[str]:
    """Names of the files that cases read."""
    found = set()
    for case in cases:
        if isinstance(case, Case):
            found |= {contestant.reads or case.reads for contestant in case.contestants}
    return found


def _cached(case: Case | Fresh, data: Data) -> tuple[int, str]:
    """Bytes that a case wants to find in the page cache, and the option that makes them less."""
    if case.name in _IN_MEMORY:
        return data.nbytes("source"), "--size"
    if not (isinstance(case, Case) and case.warm):
        return 0, ""
    return data.nbytes(case.reads), "--part" if case.reads in STORES else "--pair"


def _needed(cases: list[Case | Fresh], settings: Settings) -> int:
    """Bytes of the files that are there at once, at most."""
    sizes = {"source": settings.size, "work": settings.size, "part": settings.part, "heavy": 0}
    # Of what is compressed nobody knows the size before: counted as it is without.
    stores = {
        name: store_bytes(name, settings.part if kind.part else settings.size)
        for name, kind in STORES.items()
    }
    names = _files(cases)
    lasting = settings.size * (bool({"source", "zarr"} & names) + ("zarr" in names))
    # The first array of the wide pair is that of the usual one, counted twice here.
    lasting += sum(pair_bytes(name, settings.pair) for name in PAIRS if name in names)
    lasting += sum(size for name, size in stores.items() if name in names)
    passing = [0]
    for case in cases:
        if isinstance(case, Case):
            out = {**sizes, **stores}[case.reads] if case.writes == "out" else 0
            passing.append(out + sizes.get(case.reads, 0) * (case.reads in ("work", "part")))
    return lasting + max(passing) + SPARE


# ---- measuring -----------------------------------------------------------------------------------


def _measure(settings: Settings, cases: list[Case | Fresh], folder: Path, stream: TextIO) -> int:
    records: list[Record] = []

    def record(found: Record) -> None:
        records.append(found)
        stream.write(json.dumps(found) + "\n")

    record({**machine(folder), "settings": dataclasses.asdict(settings)})
    data = Data(folder, settings.size, settings.part, settings.pair)
    for case in list(cases):
        count, option = _cached(case, data)
        if room() < count * 5 // 2:
            why = f"{format_bytes(count)} are over 0.4 of {format_bytes(room())} available"
            record({"record": "left out", "case": case.name, "reason": f"{why}; {option}"})
            cases.remove(case)
    # Files that are made for cases are made once in each round.
    cases = sorted(cases, key=lambda case: getattr(case, "reads", ""), reverse=True)
    try:
        with Harness(data, record, _tell) as harness:
            _tell("making the data")
            data.make(_files(cases), settings.planned)
            for number in range(settings.rounds + 1):
                for case in cases:
                    about = f"round {number} of {settings.rounds}" if number else "checking"
                    _tell(f"{about}: {case.name}")
                    if isinstance(case, Fresh):
                        harness.start_fresh(case, number)
                    else:
                        harness.run(case, number)
    except KeyboardInterrupt:
        _tell(f"interrupted; what was measured is in {stream.name}")
        return 130
    for conclusion in conclude(records):
        record(conclusion)
    print(report(records))
    return int(harness.failures > 0)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
