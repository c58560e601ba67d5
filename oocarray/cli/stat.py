"""The command ``oocarray stat``: shows what numbers a file holds; `oocarray.summary` computes."""

from __future__ import annotations

import argparse
import math
import sys
import time
from typing import TYPE_CHECKING, Any

from ..meter import speed
from ..units import format_bytes, format_seconds
from .bars import bars
from .output import emit, facts
from .words import Usage, array_options, count, json_option, new_command, open_array, size

if TYPE_CHECKING:
    from rich.console import Console

    from ..core import Array
    from ..summary import Summary

__all__ = ["add"]

_MOST_BINS = 100_000
"""More would be a file of their own: each part of the array has its own counts meanwhile."""


def add(commands: Any) -> argparse.ArgumentParser:
    """Add ``oocarray stat``."""
    command = new_command(
        commands,
        "stat",
        _run,
        help="show minimum, maximum, mean, standard deviation, NaN and a histogram",
        description="Read an array and show what numbers it holds: all but the histogram in one "
        "pass over the file; with --range the histogram in the same one, otherwise in a second. "
        "NaN are counted, and otherwise passed over.",
        examples=(
            "oocarray stat scene.npy",
            "oocarray stat scene.npy --range 0 1 --bins 10",
            "oocarray stat table.npy --field height --no-histogram --json",
            "oocarray stat counts.bin --shape=-1,1000 --dtype u2",
        ),
    )
    option = command.add_argument
    option("file", help="the file")
    option("--field", metavar="NAME", help="a field of a structured array")
    option(
        "--bins", type=_bins, default=20, metavar="N", help="bins of the histogram (default: 20)"
    )
    option(
        "--range",
        nargs=2,
        type=_finite,
        metavar=("LO", "HI"),
        help="where the histogram begins and ends: saves a pass over the file",
    )
    option("--no-histogram", action="store_true", help="leave it out")
    option("--memory", type=size, help="bytes that may be held (default: half of what is free)")
    option("--workers", type=count, metavar="N", help="default: the processors")
    array_options(command)
    json_option(command)
    return command


def _run(arguments: argparse.Namespace) -> None:
    from ..summary import summarize

    if arguments.range and arguments.no_histogram:
        raise Usage("--range and --no-histogram exclude each other")
    if arguments.range and not arguments.range[0] < arguments.range[1]:
        raise Usage(f"argument --range: {arguments.range[0]} is not below {arguments.range[1]}")
    array = _chosen(open_array(arguments), arguments.file, arguments.field)
    options = {name: value for name in ("memory", "workers") if (value := getattr(arguments, name))}
    bins = None if arguments.no_histogram else arguments.bins
    began = time.perf_counter()
    found = summarize(array, bins, arguments.range, **options)
    seconds = time.perf_counter() - began
    record = _record(arguments.file, array, found, seconds)
    emit(arguments, record, lambda on: _print(on, arguments, array, found, seconds))


def _chosen(array: Array, path: str, field: str | None) -> Array:
    names = array.dtype.names
    if field is None:
        if names:
            fields = ", ".join(f"{name} ({array.dtype[name]})" for name in names)
            raise Usage(f"{path}: its elements have fields, choose one by --field: {fields}")
        return array
    if not names:
        raise Usage(f"{path}: its elements are {array.dtype} and have no fields")
    if field not in names:
        raise Usage(f"{path} has no field {field!r}; it has {', '.join(names)}")
    return array[field]


def _record(path: str, array: Array, found: Summary, seconds: float) -> dict[str, Any]:
    plotted = None
    if found.counts is not None and found.edges is not None:
        plotted = {
            "counts": found.counts.tolist(),
            "edges": found.edges.tolist(),
            "outside": found.outside,
        }
    return {
        "path": path,
        "shape": list(array.shape),
        "dtype": array.dtype.str,
        "size": found.size,
        "nan": found.nan,
        "negative_inf": found.negative_inf,
        "positive_inf": found.positive_inf,
        **{name: _plain(getattr(found, name)) for name in ("min", "max", "mean", "std")},
        "histogram": plotted,
        "passes": found.passes,
        "seconds": seconds,
    }


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return {"real": value.real, "imag": value.imag} if isinstance(value, complex) else value


def _print(
    on: Console, arguments: argparse.Namespace, array: Array, found: Summary, seconds: float
) -> None:
    shape = " x ".join(map(str, array.shape)) or "a scalar"
    field = f", field {arguments.field}" if arguments.field else ""
    title = f"{arguments.file}{field}: {shape} {array.dtype}, {format_bytes(array.nbytes)}"
    pairs = [("elements", f"{found.size:,}")]
    if found.nan is not None:
        pairs.append(("NaN", f"{found.nan:,}{_share(found.nan, found.size)}"))
    if found.negative_inf or found.positive_inf:
        pairs.append(("infinite", f"{found.negative_inf:,} -inf, {found.positive_inf:,} inf"))
    some = found.mean is not None
    pairs += [(name, _number(getattr(found, name), some)) for name in ("min", "max", "mean", "std")]
    facts(on, title, pairs)
    on.print()
    if found.counts is None or found.edges is None:
        if not arguments.no_histogram:
            on.print(f"no histogram: {found.why}")
    else:
        whole = found.edges.dtype.kind in "iu"
        for line in bars(
            found.counts.tolist(),
            found.edges.tolist(),
            on.width,
            whole=whole,
            unicode=_can_draw(),
        ):
            on.print(line)
        if found.outside:
            on.print(f"outside: {found.outside:,}{_share(found.outside, found.size)}")
    rate = f", {speed(found.passes * array.nbytes / seconds)}" if found.passes else ""
    passes = "1 pass" if found.passes == 1 else f"{found.passes} passes"
    on.print(f"{passes} in {format_seconds(seconds)}{rate}")


def _number(value: Any, some: bool) -> str:
    if value is None:
        return "none: complex numbers have no order" if some else "none"
    return str(value)


def _share(part: int, whole: int) -> str:
    return f" ({part / whole:.2%})" if part and whole else ""


def _can_draw() -> bool:
    return (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "") == "utf8"


def _bins(text: str) -> int:
    """A number of bins."""
    found = count(text)
    if found > _MOST_BINS:
        raise argparse.ArgumentTypeError(f"{found:,} bins; at most {_MOST_BINS:,} are counted")
    return found


def _finite(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not finite")
    return value
