"""The command ``oocarray tune``: its words and what is kept; the trial is `oocarray.trials`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from ..errors import OocarrayError
from ..meter import speed
from ..units import format_bytes
from .output import complain, emit, facts, table
from .words import Usage, json_option, new_command, seconds, size

if TYPE_CHECKING:
    from rich.console import Console

    from ..pages.tuning import Kept
    from ..trials import Outcome

__all__ = ["add"]


def add(commands: Any) -> argparse.ArgumentParser:
    """Add ``oocarray tune``."""
    command = new_command(
        commands,
        "tune",
        _run,
        help="find out how to deal with a disk, by a short trial, and keep it",
        description="Try ways of reading and writing on the file system of a folder, and keep "
        "what is faster than the default by more than the noise: later runs whose files are on "
        "that file system follow it. It changes speed only, never a result. "
        "OOCARRAY_TUNING=off ignores what is kept.",
        examples=(
            "oocarray tune /data",
            "oocarray tune /data --size 1GiB --seconds 60",
            "oocarray tune --show",
            "oocarray tune --forget /data",
        ),
    )
    option = command.add_argument
    option("folder", nargs="?", metavar="DIR", help="a folder on the file system")
    option("--size", type=size, help="bytes to read, and to write, each time (default: 256 MiB)")
    option(
        "--seconds",
        type=seconds,
        default=15.0,
        metavar="S",
        help="about how long to try; three rounds in any case (default: 15)",
    )
    what = command.add_mutually_exclusive_group()
    what.add_argument("--show", action="store_true", help="show what is kept, and try nothing")
    what.add_argument(
        "--forget", action="store_true", help="forget what is kept, for DIR or for all"
    )
    json_option(command)
    return command


def _run(arguments: argparse.Namespace) -> None:
    if arguments.show or arguments.forget:
        if arguments.forget:
            _forget(arguments.folder)
        _show(arguments)
    elif arguments.folder is None:
        raise Usage("name a folder on the file system, or give --show or --forget")
    else:
        _try(arguments)


def _try(arguments: argparse.Namespace) -> None:
    from ..trials import try_ways

    def tell(text: str) -> None:
        if sys.stderr is not None and sys.stderr.isatty():
            print(f"\r\033[K{text} ...", end="", file=sys.stderr, flush=True)

    try:
        found = try_ways(arguments.folder, arguments.size, arguments.seconds, tell)
    finally:
        if sys.stderr is not None and sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    path = _keep(found)
    emit(arguments, _record(found, path), lambda on: _print(on, found, path))


def _keep(found: Outcome) -> str | None:
    """Keep what was found; return where, or None with a line that says why not."""
    import datetime

    from ..backends.tuned import kept_path, key_of
    from ..kernels.cache import cache_folder
    from ..pages.tuning import Kept, read_kept, write_kept

    path = kept_path()
    if path is None or cache_folder() is None:
        where = "there is no home folder" if path is None else f"{path} is not yours alone"
        complain(f"what was found cannot be kept: {where}; set XDG_CACHE_HOME", "warning")
        return None
    today = datetime.date.today().isoformat()
    kept = read_kept(path)
    kept[key_of(found.system)] = Kept(found.tuning, found.system.mount, found.system.kind, today)
    try:
        write_kept(path, kept)
    except OSError as error:
        complain(f"what was found cannot be kept in {path}: {error.strerror}", "warning")
        return None
    return path


def _record(found: Outcome, path: str | None) -> dict[str, Any]:
    return {
        "mount": found.system.mount,
        "file_system": found.system.kind,
        "bytes": found.nbytes,
        "rounds": found.rounds,
        "workers": found.workers,
        "noise": found.noise,
        "ways": [
            {
                "work": way.work,
                "name": way.name,
                "bytes_per_second": found.rate(way),
                "gain": way.gain,
                "wins": way.wins,
                "seconds": way.seconds,
            }
            for way in found.ways
        ],
        "tuning": _fields(found.tuning),
        "kept_in": path,
    }


def _print(on: Console, found: Outcome, path: str | None) -> None:
    system = found.system
    on.print(
        f"{system.mount} ({system.kind}): {format_bytes(found.nbytes)}, {found.workers} workers, "
        f"{found.rounds} rounds"
    )
    for work, what in (("reads", "sum of a file"), ("writes", "a new file made of a file")):
        on.print()
        rows = [
            (
                way.name,
                speed(found.rate(way)),
                "" if number == 0 else f"{way.gain:+.0%}",
                "wins" if way.wins else "",
            )
            for number, way in enumerate(way for way in found.ways if way.work == work)
        ]
        table(on, (f"{work}: {what}", ">input", ">gain", ""), rows)
        on.print(f"noise: {found.noise[work]:.0%}, the most that two runs of the default differed")
    on.print()
    on.print(_verdict(found))
    if path is not None:
        on.print(f"kept in {path}")


def _verdict(found: Outcome) -> str:
    from ..trials import LEAST_GAIN

    winners = [f"{way.name} ({way.gain:+.0%})" for way in found.ways if way.wins]
    if winners:
        return f"chosen: {' and '.join(winners)}: ahead by more than the noise"
    return (
        "the default stays: nothing is ahead of it by more than the noise "
        f"and at least {LEAST_GAIN:.0%}"
    )


def _kept() -> tuple[str | None, dict[str, Kept]]:
    from ..backends.tuned import kept_path
    from ..pages.tuning import read_kept

    path = kept_path()
    return path, {} if path is None else read_kept(path)


def _forget(folder: str | None) -> None:
    from ..backends.tuned import key_of
    from ..pages.tuning import write_kept
    from ..storage.filesystems import file_system

    path, kept = _kept()
    if folder is not None:
        system = file_system(folder)
        key = "" if system is None else key_of(system)
        if key not in kept:
            raise OocarrayError(f"nothing is kept for the file system of {folder}")
        del kept[key]
    else:
        kept.clear()
    if path is not None and os.path.lexists(path):
        write_kept(path, kept)


def _show(arguments: argparse.Namespace) -> None:
    path, kept = _kept()
    record = {
        "path": path,
        "tunings": [
            {
                "for": key,
                "mount": one.where,
                "file_system": one.kind,
                "date": one.date,
                **_fields(one.tuning),
            }
            for key, one in kept.items()
        ],
    }

    def text(on: Console) -> None:
        if not kept:
            on.print("nothing is kept: every file system is dealt with by the default")
        for key, one in kept.items():
            facts(
                on,
                f"{one.where} ({one.kind})",
                [("tuned", one.date), ("for", key), ("how", one.tuning.words())],
            )

    emit(arguments, record, text)


def _fields(tuning: Any) -> dict[str, Any]:
    return {name: getattr(tuning, name) for name in ("advice", "populate", "write_advice", "unit")}
