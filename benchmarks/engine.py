"""Measures the engine beside dask over Zarr and beside loops over `numpy.memmap`; changes nothing.

Run as ``python -m benchmarks.engine``, or ``make bench BENCH_ARGS="..."``.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from oocarray.runtime.limits import room
from oocarray.units import format_bytes, parse_bytes

from . import cases as all_cases
from .data import Data
from .fresh import run_fresh
from .harness import Harness
from .report import show, summarize

__all__ = ["main"]

_SPARE = 64 << 20
"""Room on the disk that is left free beside the files."""
_WIDTH = 110
"""Of the tables in a file; a terminal says its own."""
_FRESH = {
    "import": "import, in a fresh process",
    "ready": "two workers ready",
    "first": "first result, fresh process",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen cases; 0 unless a rival failed or gave a wrong result."""
    chosen = _parse(arguments)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    # Ended from outside, we still remove files and groups.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="oocarray-bench-", dir=chosen.data))
    os.environ["OOCARRAY_CACHE"] = str(folder / "kernels")
    try:
        needed = _needed(chosen.cases, chosen.size)
        free = shutil.disk_usage(folder).free
        console.print(
            f"needs {format_bytes(needed)} in {chosen.data}, where {format_bytes(free)} are free"
        )
        if needed > free:
            console.print("not started: --data names another folder, --size a smaller array")
            return 2
        return _measure(chosen, folder, console)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    size = {"type": parse_bytes, "metavar": "SIZE"}
    parser.add_argument("--cases", default=",".join(all_cases.NAMES), help="default: %(default)s")
    parser.add_argument("--size", default="4 GiB", help="of the array: %(default)s", **size)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds: %(default)s")
    parser.add_argument("--memory", default="256 MiB", help="our budget: %(default)s", **size)
    parser.add_argument("--workers", type=int, default=2, help="of everyone: %(default)s")
    parser.add_argument("--limit", default="1 GiB", help="of the cgroups: %(default)s", **size)
    parser.add_argument(
        "--data",
        type=Path,
        default=_beside(),
        help="folder in which a temporary one is made, and removed: %(default)s",
    )
    parser.add_argument("--json", type=Path, help="file for all records, one JSON object a line")
    chosen = parser.parse_args(arguments)
    names = [name.strip() for name in chosen.cases.split(",") if name.strip()]
    unknown = sorted(set(names) - set(all_cases.NAMES))
    if unknown or not names:
        parser.error(f"--cases: {', '.join(unknown)}; there are {', '.join(all_cases.NAMES)}")
    if chosen.rounds < 1 or chosen.workers < 1:
        parser.error("--rounds and --workers are at least 1")
    chosen.cases = [name for name in all_cases.NAMES if name in names]
    chosen.data = chosen.data.absolute()
    chosen.data.mkdir(parents=True, exist_ok=True)
    return chosen


def _beside() -> Path:
    """Beside the current folder; in it, where there is no permission for that."""
    here = Path.cwd()
    return here.parent if os.access(here.parent, os.W_OK) else here


def _needed(names: list[str], size: int) -> int:
    """Bytes of the files that are there at once, at most."""
    cold = {"mean", "map"} & set(names)
    lasting = size * (1 + bool(cold)) if set(names) - set(_FRESH) - {"scaling"} else 0
    return lasting + size * bool({"map", "update"} & set(names)) + _SPARE


def _measure(chosen: argparse.Namespace, folder: Path, console: Console) -> int:
    records: list[dict[str, Any]] = []
    data = Data(folder, chosen.size if set(chosen.cases) - set(_FRESH) - {"scaling"} else 1)
    cases = all_cases.make_cases(chosen.memory, chosen.workers)
    with console.status("making the data") as status:

        def tell(text: str) -> None:
            status.update(text)
            if not console.is_terminal or "drops out" in text or "cgroup" in text:
                console.print(text, markup=False)

        harness = Harness(data, chosen.rounds, chosen.limit, records.append, tell)
        data.make_source()
        if {"mean", "map"} & set(chosen.cases):
            data.make_zarr()
        for name in chosen.cases:
            if name in _FRESH:
                tell(f"{name}: in fresh processes")
                run_fresh([name], folder, chosen.rounds, records.append)
            elif name == "cached" and data.nbytes > 0.4 * room():
                found = f"{format_bytes(data.nbytes)} of {format_bytes(room())}"
                tell(f"cached drops out: {found} that are available is too much; --size")
            else:
                _run(harness, cases[name], data)
    records[:0] = [_machine(chosen, data, harness.grouped)]
    records += summarize(records)
    if chosen.json:
        chosen.json.write_text("".join(json.dumps(record) + "\n" for record in records))
    console.print(_headline(records[0]), markup=False)
    show(console, records, {**{c.name: c.title for c in cases.values()}, **_FRESH})
    return int(any(record["record"] == "failure" for record in records))


def _run(harness: Harness, case: all_cases.Case, data: Data) -> None:
    if case.name == "update":
        data.make_work()
    try:
        harness.run(case)
    finally:
        data.remove(data.work)


def _machine(chosen: argparse.Namespace, data: Data, grouped: str | None) -> dict[str, Any]:
    """What the figures belong to."""
    with open("/proc/meminfo") as stream:
        memory = int(stream.readline().split()[1]) * 1024
    with open("/proc/cpuinfo") as stream:
        names = [line.partition(":")[2].strip() for line in stream if "model name" in line]
    packages = ("oocarray", "numpy", "numba", "dask", "zarr")
    return {
        "record": "machine",
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": names[0] if names else platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "memory": memory,
        "kernel": platform.release(),
        **_disk(data.folder),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "cgroup": grouped,
        "size": data.nbytes,
        "budget": chosen.memory,
        "limit": chosen.limit,
        "workers": chosen.workers,
        "rounds": chosen.rounds,
        "load_after": os.getloadavg()[0],
    }


def _disk(folder: Path) -> dict[str, Any]:
    """File system and readahead of a folder's disk, as far as they can be told."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    found: dict[str, Any] = {"filesystem": None, "read_ahead_kb": None}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[2] == number:
            found["filesystem"] = line.partition(" - ")[2].split()[0]
    block = Path(f"/sys/dev/block/{number}")
    for queue in (block / "queue", block / ".." / "queue"):
        if (queue / "read_ahead_kb").exists():
            found["read_ahead_kb"] = int((queue / "read_ahead_kb").read_text())
            break
    return found


def _headline(machine: dict[str, Any]) -> str:
    limit = format_bytes(machine["limit"])
    group = machine["cgroup"]
    where = "" if group is None else f"memory cgroup {group} of {limit}"
    if group is not None and group.startswith("no"):
        where = f"no memory cgroup ({group[4:]})"
    parts = (
        f"{machine['processors']} x {machine['processor']}",
        format_bytes(machine["memory"]),
        f"Linux {machine['kernel']}",
        f"{machine['filesystem']}, readahead {machine['read_ahead_kb']} KiB",
        f"array {format_bytes(machine['size'])}",
        f"budget {format_bytes(machine['budget'])}",
        f"{machine['workers']} workers",
        where,
    )
    return "\n" + "; ".join(part for part in parts if part)


if __name__ == "__main__":
    sys.exit(main())
