"""Measures oocarray beside others, cold and warm, in little memory; gates nothing.

Run as ``python -m benchmarks``, or ``make bench BENCH_ARGS="..."``.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import shutil
import sys
from pathlib import Path
from typing import Any

from oocarray.units import format_bytes, parse_bytes

from .core import beside, temporary
from .machine import machine
from .suite.cases import CASES, RIVALS
from .suite.journal import Journal, facts_of
from .suite.settings import SWEEPS, Settings, fitting
from .suite.suite import Suite
from .suite.sweeps import sweep
from .suite.terminal import show

__all__ = ["main"]

_QUICK: dict[str, Any] = {
    "size": 1 << 30,
    "memory": 256 << 20,
    "cases": ("mean", "map", "columns", "transcendental"),
    "rivals": ("oocarray", "numpy-naive", "numpy", "dask"),
    "rounds": 1,
    "sweeps": (),
    "minutes": 2.8,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the suite; 1 where a result was wrong, a rival or the disk failed, 130 after Ctrl-C."""
    chosen = _parse(arguments)
    made = not chosen.data.exists()
    chosen.data.mkdir(parents=True, exist_ok=True)
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / "results.jsonl"
    try:
        with temporary(chosen.data, chosen.keep) as folder, path.open("w") as stream:
            journal = Journal(stream, _tell)
            stopped = _run(chosen.settings, folder, journal, keep=chosen.keep)
    finally:
        if made:
            with contextlib.suppress(OSError):
                chosen.data.rmdir()  # where it is empty
    show(journal.records)
    print(f"results: {path}")
    _write_page(path)
    if stopped:
        return stopped
    outcomes = {record["outcome"] for record in journal.records if record["kind"] == "run"}
    return int(bool(outcomes & {"wrong", "failed"}))


def _run(settings: Settings, folder: Path, journal: Journal, *, keep: bool) -> int:
    """What the program returns where the run was stopped before its end, 0 where it was not."""
    free = shutil.disk_usage(folder).free
    size = fitting(settings, free)
    asked, settings = settings.size, dataclasses.replace(settings, size=size)
    journal.write("machine", **facts_of(folder), **dataclasses.asdict(settings))
    journal.tell(f"{format_bytes(size)} in {folder}, where {format_bytes(free)} are free")
    if size < asked // (4 << 20) * (4 << 20):
        why = f"no more than half of the free {format_bytes(free)} is used"
        journal.leave_out(f"files of {format_bytes(asked)}; now {format_bytes(size)}", why)
    suite, stopped = Suite(settings, folder, journal), 0
    try:
        suite.run()
        sweep(suite)
    except KeyboardInterrupt:
        stopped = 130
        journal.leave_out("what was to follow", "interrupted")
    except OSError as error:
        stopped = 1
        if not keep:
            # The results may be on the disk that is full: what did not fit is written again.
            shutil.rmtree(folder, ignore_errors=True)
        journal.leave_out("what was to follow", str(error))
    journal.write("end", seconds=round(suite.clock.elapsed, 1), interrupted=bool(stopped))
    return stopped


def _write_page(path: Path) -> None:
    """The page is another module's work; figures do not depend on it."""
    try:
        page = importlib.import_module("benchmarks.page")
        print(f"page: {page.write(path)}")
    except Exception as error:
        print(f"no page: {type(error).__name__}: {error}", file=sys.stderr)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    usual = Settings()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    size: dict[str, Any] = {"type": parse_bytes, "metavar": "SIZE"}
    parser.add_argument("--size", help=f"of each file: {format_bytes(usual.size)}", **size)
    memory = f"of a run, beside what loaded programs hold: {format_bytes(usual.memory)}"
    parser.add_argument("--memory", help=memory, **size)
    parser.add_argument("--cases", type=_of(CASES), help=", ".join(CASES))
    parser.add_argument("--rivals", type=_of(RIVALS), help=", ".join(RIVALS))
    parser.add_argument("--rounds", type=int, help=f"at most: {usual.rounds}")
    parser.add_argument("--sweeps", type=_of(SWEEPS), help=f"{', '.join(SWEEPS)}, or none")
    parser.add_argument("--workers", type=int, help=f"of everyone who asks: {usual.workers}")
    parser.add_argument("--minutes", type=float, help=f"for everything: {usual.minutes:g}")
    parser.add_argument("--quick", action="store_true", help="small: less than three minutes")
    parser.add_argument(
        "--out", type=Path, default=Path("bench-results"), help="folder: %(default)s"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=beside() / "oocarray-bench",
        help="folder in which a temporary one is made, and removed: %(default)s",
    )
    parser.add_argument("--keep", action="store_true", help="leave the data there")
    chosen = parser.parse_args(arguments)
    names = [field.name for field in dataclasses.fields(Settings)]
    given = {name: getattr(chosen, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        chosen.settings = Settings(**{**(_QUICK if chosen.quick else {}), **given})
    except ValueError as error:
        parser.error(str(error))
    if _in_memory(chosen.data.absolute()):
        # Nothing is ever cold there, and each file is charged to whoever writes it.
        parser.error(f"{chosen.data} is in memory: --data names a folder on a disk")
    return chosen


def _in_memory(folder: Path) -> bool:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return machine(there)["filesystem"] in ("tmpfs", "ramfs")


def _of(known: Any) -> Any:
    def names(text: str) -> tuple[str, ...]:
        asked = tuple(name.strip() for name in text.split(",") if name.strip())
        if asked == ("none",) and known is SWEEPS:
            return ()
        unknown = [name for name in asked if name not in known]
        if unknown or not asked:
            raise argparse.ArgumentTypeError(
                f"{', '.join(unknown) or 'nothing'}; there are {', '.join(known)}"
            )
        return asked

    return names


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
