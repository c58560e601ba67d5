"""The command ``oocarray map``: a function of the user's on blocks; it computes nothing itself."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

from ..errors import FormatError, OocarrayError
from ..meter import speed
from ..units import format_bytes, format_count, format_seconds
from .functions import arguments_of, literal, load
from .output import emit, sentence
from .runs import format_named, run_options, run_words
from .words import (
    Usage,
    at_least_zero,
    chunks,
    json_option,
    new_command,
    open_array,
    shape,
)

if TYPE_CHECKING:
    from ..core import Array

__all__ = ["add"]


def add(commands: Any) -> argparse.ArgumentParser:
    """Add ``oocarray map``."""
    command = new_command(
        commands,
        "map",
        _run,
        help="apply a function of a Python script to the blocks of files",
        description="Run a Python script of your own, take a function from it (made by "
        "@oo.kernel or not), and apply it to the blocks of one or more arrays, into a new file "
        "of the same shape, which appears under its name when it is complete.",
        examples=(
            "oocarray map calibrate.py:flat raw.npy flat.npy --dtype f4 --arg 2.0 --arg dark=100",
            "oocarray map bands.py:ndvi red.npy infrared.npy ndvi.npy --dtype f4 --workers 2",
            "oocarray map pkg.filters:clip in.raw out.npy --in-shape 1000,-1 --in-dtype u2",
        ),
    )
    option = command.add_argument
    option(
        "function", metavar="SCRIPT.py:NAME", help="the function; or PACKAGE.MODULE:NAME, imported"
    )
    option("files", nargs="+", metavar="IN... OUT", help="the arrays, and the new file at last")
    option(
        "--arg",
        action="append",
        default=[],
        metavar="VALUE",
        help="a further argument of the function: a Python value or else text, as VALUE or as "
        "NAME=VALUE; may be repeated",
    )
    option("--dtype", help="dtype of the output (default: what the function returns for block 0)")
    option("--chunks", type=chunks, help="blocks of the inputs, such as 1000 or 100,-1")
    option(
        "--format", choices=("npy", "zarr", "raw"), help="of the output (default: by its ending)"
    )
    option("--overwrite", action="store_true", help="replace the output if it exists")
    option("--explain", action="store_true", help="show the plan, and do nothing")
    _run_options(command)
    _raw_options(command)
    json_option(command)
    return command


def _run_options(command: argparse.ArgumentParser) -> None:
    option = run_options(command)
    option(
        "--on-error",
        choices=("raise", "skip", "fill"),
        help="what becomes of a block whose function raises: the end of the run (raise, the "
        "default), zeros (skip), or --fill-value (fill)",
    )
    option("--fill-value", type=literal, metavar="VALUE", help="default: nan, or else zero")


def _raw_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("the inputs (only raw bytes need be described)")
    option = group.add_argument
    option(
        "--in-dataset",
        metavar="NAME",
        help="which array of inputs that have several; of Zarr also as ds.zarr/NAME",
    )
    option("--in-shape", type=shape, metavar="N,M", help="their shape; one may be -1")
    option("--in-dtype", metavar="DTYPE", help="their dtype, such as f4 or '>i2'")
    option("--in-offset", type=at_least_zero, default=0, metavar="BYTES", help="where they begin")
    option("--in-order", choices=("C", "F"), default="C", help="which axis is fastest")


_OURS = {
    *("func", "name", "token", "dtype", "chunks", "drop_axis", "new_axis", "enforce_ndim", "meta")
}


def _run(arguments: argparse.Namespace) -> None:
    from ..mapping import map_blocks

    *paths, out = arguments.files
    out = out.rstrip("/") or out  # as a shell completes the name of a folder
    if not paths:
        raise Usage("name the input and the output: IN... OUT")
    dtype = _dtype(arguments.dtype)
    given, named = arguments_of(arguments.arg)
    if taken := _OURS & named.keys():
        word = min(taken)
        raise Usage(f"argument --arg: {word}= is a word of map_blocks itself; give it by position")
    kind = format_named(out, arguments.format)
    if os.path.lexists(out) and not (arguments.overwrite or arguments.explain):
        raise FileExistsError(f"{out}: file exists; give --overwrite to replace it")
    inputs = _inputs(arguments, paths)
    options = run_words(arguments, "on_error", "fill_value")
    # What the user's own code prints is no result of the command's.
    with contextlib.redirect_stdout(sys.stderr):
        function = load(arguments.function, arguments.debug)
        try:
            made = map_blocks(function, *inputs, *given, dtype=dtype, **named)
            if arguments.explain:
                plan = _explained(made, out, kind, options)
            else:
                record = _store(arguments, made, inputs, out, options)
        except Exception as error:
            if arguments.debug:
                raise
            raise _placed(error, arguments.function.rpartition(":")[2]) from error
    if arguments.explain:
        emit(arguments, {"plan": plan.splitlines()}, lambda on: on.print(plan))
    else:
        emit(arguments, record, lambda on: on.print(_summary(record)))


def _dtype(text: str | None) -> Any:
    import numpy as np

    try:
        return None if text is None else np.dtype(text)
    except (TypeError, ValueError, SyntaxError):
        raise Usage(f"argument --dtype: NumPy knows no dtype {text!r}") from None


def _inputs(arguments: argparse.Namespace, paths: list[str]) -> list[Array]:
    from ..storage.finding import sniff

    raw = argparse.Namespace(
        dataset=None,
        shape=arguments.in_shape,
        dtype=arguments.in_dtype,
        offset=arguments.in_offset,
        order=arguments.in_order,
        chunks=arguments.chunks,
    )
    plain = argparse.Namespace(
        dataset=arguments.in_dataset, shape=None, dtype=None, offset=0, order="C", chunks=raw.chunks
    )
    known = [sniff(path) != "raw" for path in paths]
    if all(known) and raw.shape is not None:
        raise Usage("--in-shape is for inputs that are raw bytes, and these say what they are")
    try:
        return [
            open_array(plain if told else raw, path)
            for path, told in zip(paths, known, strict=True)
        ]
    except Usage as error:
        raise Usage(str(error).replace("--", "--in-")) from None
    except FormatError as error:
        raise FormatError(str(error).replace("--dataset", "--in-dataset")) from None


def _store(
    arguments: argparse.Namespace,
    made: Array,
    inputs: list[Array],
    out: str,
    options: dict[str, Any],
) -> dict[str, Any]:
    from ..errors import FailedBlocksWarning
    from ..storing import store

    failed: list[tuple[int, ...]] = []
    say = warnings.showwarning

    def show(message: Warning | str, *details: Any, **more: Any) -> None:
        if isinstance(message, FailedBlocksWarning):
            failed.extend(message.blocks)
        say(message, *details, **more)

    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.showwarning = show
        stored = store(made, out, overwrite=arguments.overwrite, format=arguments.format, **options)
    seconds = time.perf_counter() - began
    read = sum({array.layout: array.nbytes for array in inputs if array.layout}.values())
    return {
        "output": out,
        "shape": list(stored.shape),
        "dtype": stored.dtype.str,
        "bytes_read": read,
        "bytes_written": stored.nbytes,
        "failed_blocks": [list(coords) for coords in failed],
        "seconds": seconds,
        "bytes_per_second": (read + stored.nbytes) / seconds,
    }


def _summary(record: dict[str, Any]) -> str:
    shape = " x ".join(map(str, record["shape"])) or "a scalar"
    failed = len(record["failed_blocks"])
    without = f"; {format_count(failed, 'block')} failed" if failed else ""
    read = format_bytes(record["bytes_read"])
    return (
        f"{record['output']}: {shape} {_dtype(record['dtype'])}, read {read} "
        f"and wrote {format_bytes(record['bytes_written'])} in {format_seconds(record['seconds'])}"
        f", {speed(record['bytes_per_second'])}{without}"
    )


def _explained(made: Array, out: str, kind: str, options: dict[str, Any]) -> str:
    """The plan with the output that would be made; no file is touched."""
    from ..config import merged
    from ..explain import explain
    from ..lazy.graph import Root
    from ..storage.filekey import FileKey
    from ..storage.layout import Strided
    from ..storage.npy import build_header
    from ..storage.strides import dense_strides

    where = os.path.abspath(out)
    device = os.stat(os.path.dirname(where)).st_dev
    header = b""
    if kind == "npy":
        header = build_header(made.shape, made.dtype, False)
    # Elements that are not compressed take as much in Zarr, in however many files.
    strides = dense_strides(made.shape, made.itemsize, "C")
    file = FileKey(where, device, 0, len(header) + made.nbytes, 0)
    target = Strided(file, len(header), made.shape, made.dtype, strides)
    return str(explain([Root(made.node, target)], merged(options)))


def _placed(error: Exception, name: str) -> Exception:
    """What the user's function raised, in one sentence with its block; other errors as they are."""
    notes = getattr(error, "__notes__", ())
    place = next((note for note in notes if note.startswith("oocarray: in block")), None)
    if place is None or isinstance(error, OocarrayError):
        return error
    where = place.removeprefix("oocarray: ")
    if isinstance(error, OSError):
        return OocarrayError(f"{sentence(error)} ({where})")
    return OocarrayError(
        f"{name} raised {type(error).__name__} {where}: {error} (--debug shows where)"
    )
