"""The command ``oocarray compare``: an expression of the user's on three backends; it runs none."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .functions import load
from .output import complain, console, table
from .runs import run_options, run_words
from .words import array_options, count, new_command, open_array

if TYPE_CHECKING:
    from ..comparisontable import Comparison

__all__ = ["add"]

_DIFFER, _NONE_RAN = 1, 2


def add(commands: Any) -> argparse.ArgumentParser:
    """Add ``oocarray compare``."""
    command = new_command(
        commands,
        "compare",
        _run,
        help="run an expression of a Python script on three backends, and compare",
        description="Run a Python script of your own, take a function from it that makes an "
        "expression of the arrays in files, and evaluate that by oocarray itself, by dask.array "
        "and by zarr-python with NumPy: do results agree, and what did each take? Every run is a "
        "process of its own. The files are only read; large results go to files that are removed "
        "again. Exit code 0: all agree; 1: they differ; 2: none had a result.",
        examples=(
            "oocarray compare bands.py:ndvi red.npy infrared.npy --png ndvi.png",
            "oocarray compare climate.py:anomaly t2m.zarr --repeat 3 --memory 1GiB",
            "oocarray compare bands.py:ndvi red.npy infrared.npy --backends mapped,dask --json -",
        ),
    )
    option = command.add_argument
    option(
        "function",
        metavar="SCRIPT.py:NAME",
        help="takes one array per file, returns an array, or several in a tuple, list or dict; "
        "or PACKAGE.MODULE:NAME, imported",
    )
    option("files", nargs="+", metavar="IN", help="the arrays")
    option(
        "--backends",
        type=_names,
        default=("mapped", "dask", "zarr"),
        metavar="NAMES",
        help="which, of mapped, dask and zarr, with commas; results are held against those of the "
        "first (default: mapped,dask,zarr)",
    )
    option(
        "--repeat", type=count, default=1, metavar="N", help="runs of each, for medians (default 1)"
    )
    option(
        "--rtol",
        type=_tolerance,
        default=1e-6,
        metavar="X",
        help="how far elements may be apart, relative (default: 1e-6; integers must be equal)",
    )
    option(
        "--atol", type=_tolerance, default=0.0, metavar="X", help="the same, absolute (default: 0)"
    )
    option(
        "--warm",
        action="store_true",
        help="read the inputs into the page cache before each run (default: drop them from it)",
    )
    option("--folder", metavar="FOLDER", help="for large results (default: beside the first input)")
    option("--json", metavar="FILE", help="write all numbers to a file; - prints them instead")
    option("--png", metavar="FILE", help="draw them (needs matplotlib)")
    run_options(command)
    array_options(command)
    return command


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    known = ("mapped", "dask", "zarr")
    if not names or not set(names) <= set(known) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(
            f"{text!r} names no backends; write some of {','.join(known)}, each once"
        )
    return names


def _tolerance(text: str) -> float:
    with contextlib.suppress(ValueError):
        if (value := float(text)) >= 0:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")


def _run(arguments: argparse.Namespace) -> int:
    from ..comparison import compare

    inputs = [open_array(arguments, path) for path in arguments.files]
    printed = arguments.json == "-"
    # What the user's own code prints is no result of the command's.
    with contextlib.redirect_stdout(sys.stderr), _progress() as told:
        found = compare(
            load(arguments.function, arguments.debug),
            *inputs,
            rtol=arguments.rtol,
            atol=arguments.atol,
            backends=arguments.backends,
            repeat=arguments.repeat,
            folder=arguments.folder,
            json=None if printed else arguments.json,
            png=arguments.png,
            cold=not arguments.warm,
            told=told,
            **run_words(arguments),
        )
    if printed:
        print(json.dumps(found.record(), indent=2, allow_nan=False))
    else:
        _show(found)
    if arguments.debug and sys.stderr is not None:
        for row in found.rows:
            print(row.trace, end="", file=sys.stderr)
    if not found.ran:
        complain("no backend had a result")
        return _NONE_RAN
    return 0 if found.agree else _DIFFER


def _show(found: Comparison) -> None:
    from ..comparisontable import HEADS

    on = console()
    on.print(found.title)
    table(on, HEADS, found.cells())
    for note in found.notes():
        on.print(note)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Say on a terminal which backend runs; leave it clean."""
    on = console(stderr=True)
    if not on.is_terminal:
        yield lambda backend, number, of: None
        return
    with on.status("") as status:
        yield lambda backend, number, of: status.update(
            f"{backend}" + (f", run {number} of {of}" if of > 1 else "")
        )
