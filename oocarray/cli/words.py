"""Arguments as users write them, turned into what the package takes; it adds no command."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from ..errors import FormatError
from ..units import parse_bytes

if TYPE_CHECKING:
    from ..core import Array

__all__ = [
    "Formatter",
    "Key",
    "Usage",
    "array_options",
    "chunks",
    "count",
    "cut",
    "in_options",
    "json_option",
    "new_command",
    "open_array",
    "raw_array_options",
    "raw_options",
    "region",
    "seconds",
    "shape",
    "size",
]

Key = tuple[int | slice | EllipsisType, ...]
"""A part of an array, as NumPy's index and as the user wrote it."""


class Usage(Exception):
    """Arguments that contradict each other or the file: told like argparse's own errors, code 2."""


class Formatter(argparse.HelpFormatter):
    """Wraps sentences as argparse does, and leaves lists and examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return "".join(indent + line for line in text.splitlines(keepends=True))
        return super()._fill_text(text, width, indent)


def new_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    *,
    help: str,
    description: str,
    examples: Sequence[str],
) -> argparse.ArgumentParser:
    """Add a command.

    Parameters
    ----------
    commands : argparse's subparsers
        What a module's ``add`` is given.
    name : str
    run : callable
        Takes the parsed arguments; returns None, or the exit code.
    help, description : str
        A phrase for the list of commands; sentences for the command's own help.
    examples : sequence of str
        Lines of a shell, shown below the options.
    """
    lines = "".join(f"\n  {line}" for line in examples)
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=f"examples:{lines}",
        formatter_class=Formatter,
    )
    command.set_defaults(run=run)
    return command


def json_option(command: argparse.ArgumentParser) -> None:
    """Add ``--json``, which `output.emit` obeys."""
    command.add_argument(
        "--json", action="store_true", help="print one JSON document for programs instead of text"
    )


def array_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say what lies in a raw file, and how it is cut; see `open_array`."""
    group = command.add_argument_group("the array in the file (only raw bytes need be described)")
    add = group.add_argument
    add(
        "--dataset",
        metavar="NAME",
        help="which array of a file or Zarr group that has several, such as t2m or group/t2m",
    )
    raw_array_options(add)
    add(
        "--chunks",
        type=chunks,
        metavar="CHUNKS",
        help="blocks, such as 1000 or 100,-1 or '4 MiB' (default: about 16 MiB each)",
    )


def raw_array_options(add: Callable[..., Any]) -> None:
    """Add the options that say what lies in a raw file; see `raw_options`."""
    add("--shape", type=shape, metavar="N,M", help="shape of a raw array; one may be -1")
    add("--dtype", metavar="DTYPE", help="dtype of a raw array, such as f4 or '>i2'")
    add(
        "--offset",
        type=at_least_zero,
        default=0,
        metavar="BYTES",
        help="where a raw array begins (default: 0)",
    )
    add(
        "--order",
        choices=("C", "F"),
        default="C",
        help="which axis of a raw array is fastest: the last (C, the default) or the first (F)",
    )


def open_array(arguments: argparse.Namespace, path: str | None = None, mode: str = "r") -> Array:
    """Open the array that the options of `array_options` describe.

    Parameters
    ----------
    arguments : argparse.Namespace
    path : str, optional
        Default: ``arguments.file``.
    mode : {"r", "r+"}

    Raises
    ------
    Usage
        Options that do not go together.
    OocarrayError, OSError, ValueError
        As `oocarray.open`.
    """
    from ..opening import open

    raw = raw_options(arguments)
    where: str = arguments.file if path is None else path
    with in_options():
        return open(where, mode, chunks=arguments.chunks, dataset=arguments.dataset, **raw)


@contextlib.contextmanager
def in_options() -> Iterator[None]:
    """Let errors about what a file is name an option where they name a parameter of Python."""
    try:
        yield
    except FormatError as error:
        if "dataset=" not in str(error):
            raise
        raise FormatError(str(error).replace("dataset=", "--dataset")) from error


def raw_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Check the options that describe a raw array; return them as `oocarray.open` takes them."""
    if (arguments.shape is None) != (arguments.dtype is None):
        missing = "--dtype" if arguments.dtype is None else "--shape"
        raise Usage(f"a raw array needs --shape and --dtype; {missing} is missing")
    if arguments.shape is not None and arguments.dataset is not None:
        raise Usage(
            "--dataset is for files that say what is in them; leave out --shape and --dtype"
        )
    if arguments.shape is None:
        if arguments.offset or arguments.order != "C":
            given = "--offset" if arguments.offset else "--order"
            raise Usage(f"{given} is for raw arrays, with --shape and --dtype")
        return {}
    import numpy as np

    try:
        dtype = np.dtype(arguments.dtype)
    except (TypeError, ValueError, SyntaxError):
        raise Usage(f"argument --dtype: NumPy knows no dtype {arguments.dtype!r}") from None
    return {
        "shape": arguments.shape,
        "dtype": dtype,
        "offset": arguments.offset,
        "order": arguments.order,
    }


def size(text: str) -> int:
    """A number of bytes, such as 512MiB."""
    return _positive(parse_bytes, text)


def count(text: str) -> int:
    """A whole number above 0."""
    return _positive(int, text)


def seconds(text: str) -> float:
    """A duration above 0 and below a day."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and at most 86400 seconds")
    return value


def at_least_zero(text: str) -> int:
    """A number of bytes from 0."""
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def shape(text: str) -> tuple[int, ...]:
    """Extents, such as 1000,200 or, copied from a tuple, (1000, 200); -1 is what the file holds.

    Examples
    --------
    >>> shape("1000,-1"), shape("(7,)"), shape("()")
    ((1000, -1), (7,), ())
    """
    words = text.strip().strip("()[]").split(",")
    if len(words) > 1 and not words[-1].strip():
        words.pop()
    if words == [""]:
        return ()
    try:
        return tuple(int(word) for word in words)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a shape; write whole numbers with commas, such as 1000,200"
        ) from None


def chunks(text: str) -> Any:
    """One of the spellings of ``chunks=``: 1000, 100,-1, auto, '4 MiB'.

    Examples
    --------
    >>> chunks("1000"), chunks("100,-1"), chunks("auto"), chunks("4MiB")
    (1000, (100, -1), 'auto', '4MiB')
    """
    words = text.strip().strip("()[]").split(",")
    try:
        found = tuple(int(word) for word in words if word.strip())
    except ValueError:
        if text != "auto":
            size(text)
        return text
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} says nothing; write 1000 or 100,-1 or auto")
    return found if len(words) > 1 else found[0]


def region(text: str) -> Key:
    """A part of an array: an index, a slice or ... for each axis, such as 0:1000,5 or -10:.

    Examples
    --------
    >>> region("0:1000,5"), region("...,-2:")
    ((slice(0, 1000, None), 5), (Ellipsis, slice(-2, None, None)))
    """
    found: list[int | slice | EllipsisType] = []
    for word in (part.strip() for part in text.strip().strip("[]").split(",")):
        bounds = word.split(":")
        try:
            if word == "...":
                found.append(...)
            elif len(bounds) == 1:
                found.append(int(word))
            elif len(bounds) == 2 or (len(bounds) == 3 and bounds[2].strip() in ("", "1")):
                start, stop = (int(bound) if bound.strip() else None for bound in bounds[:2])
                found.append(slice(start, stop))
            elif len(bounds) > 3:
                raise ValueError(word)
            else:
                raise argparse.ArgumentTypeError(f"{word!r} has a step; only whole ranges can be")
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a region; write 5 or 10:20 for each axis, such as 0:1000,5"
            ) from None
    if found.count(...) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} has more than one '...'")
    return tuple(found)


def cut(key: Key | None, shape: Sequence[int]) -> tuple[slice, ...]:
    """Turn what `region` read into one slice of step 1 per axis; an index is a slice of length 1.

    Raises
    ------
    ValueError
        More entries than axes, or an index outside its axis; slices are cut off as in NumPy.

    Examples
    --------
    >>> cut(region("-3:,1"), (10, 4, 5))
    (slice(7, 10, None), slice(1, 2, None), slice(0, 5, None))
    """
    entries = list(key or ())
    named = [entry for entry in entries if entry is not ...]
    if len(named) > len(shape):
        raise ValueError(f"--region has {len(named)} entries, but the array has {len(shape)} axes")
    at = entries.index(...) if ... in entries else len(entries)
    fill = [slice(None)] * (len(shape) - len(named))
    found = []
    for axis, (entry, extent) in enumerate(zip([*named[:at], *fill, *named[at:]], shape)):  # noqa: B905
        if isinstance(entry, slice):
            start, stop, _ = entry.indices(extent)
            found.append(slice(start, max(start, stop)))
            continue
        assert isinstance(entry, int)
        if not -extent <= entry < extent:
            raise ValueError(f"--region: index {entry} is outside axis {axis} of {extent} elements")
        found.append(slice(entry % extent, entry % extent + 1))
    return tuple(found)


def _positive(read: Callable[[str], int], text: str) -> int:
    try:
        value = read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return value
