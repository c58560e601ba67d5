"""How every command speaks: one JSON document, or text that fits a terminal; it computes nothing.

Results go to standard output, everything else to standard error, one line each.  Nothing is
coloured or drawn over where no terminal is.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import OocarrayError

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

__all__ = ["complain", "console", "emit", "facts", "for_each", "progress", "sentence", "table"]


_NUMBERS = re.compile(r"\[\n\s+([-+0-9.eE,\s]+?)\n\s*\]")


def emit(
    arguments: argparse.Namespace,
    record: dict[str, Any] | list[Any],
    text: Callable[[Console], None],
) -> None:
    """Print a result: `record` as JSON if the user gave ``--json``, else what `text` prints.

    Parameters
    ----------
    arguments : argparse.Namespace
    record : dict or list
        Of what JSON can say, NumPy scalars and arrays besides. A float that JSON cannot say
        becomes ``"nan"``, ``"inf"`` or ``"-inf"``.
    text : callable
        Called with a console; `facts` and `table` print on it.
    """
    if getattr(arguments, "json", False):
        document = json.dumps(_plain(record), indent=2, allow_nan=False)
        # Short lists of numbers on one line; a string has no line break, so none is changed.
        print(_NUMBERS.sub(lambda list_: f"[{' '.join(list_[1].split())}]", document))
    else:
        text(console())


def console(stderr: bool = False) -> Console:
    """Return a console that takes text as it is: no markup, no guessed colours, no wrapped words.

    Its width is the terminal's; elsewhere that of ``COLUMNS``, or 80.
    """
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def facts(on: Console, title: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Print a title and, below it, names with their values, as columns."""
    from rich.text import Text

    rows = list(pairs)
    width = max((len(name) for name, _ in rows), default=0)
    on.print(Text(title, style="bold"))
    for name, value in rows:
        on.print(Text.assemble("  ", (f"{name:<{width}}  ", "cyan"), value))


def table(on: Console, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; columns whose head begins with ``>`` are set to the right.

    Cells are never cut nor wrapped: a line that is too long for a terminal is for it to break.
    """
    from rich.text import Text

    names = [head.removeprefix(">") for head in heads]
    cells = [names, *(list(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, row in enumerate(cells):
        words = [
            f"{cell:>{width}}" if head.startswith(">") else f"{cell:<{width}}"
            for head, cell, width in zip(heads, row, widths, strict=True)
        ]
        on.print(Text("  ".join(words).rstrip(), style="bold" if number == 0 else ""))


def complain(message: str, kind: str = "error") -> None:
    """Print one line on standard error."""
    if sys.stderr is not None:
        print(f"oocarray: {kind}: {' '.join(message.split())}", file=sys.stderr)


def sentence(error: BaseException) -> str:
    """Say an exception as a user would: the file first, the type only where it is not ours."""
    if isinstance(error, OSError) and not isinstance(error, OocarrayError) and error.strerror:
        names = [os.fsdecode(name) for name in (error.filename, error.filename2) if name]
        return ": ".join([*names, error.strerror])
    words = str(error)
    if isinstance(error, (OocarrayError, OSError, ValueError, AssertionError)) and words:
        return words
    if isinstance(error, MemoryError):
        return words or "the system has no memory left"
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def for_each(
    arguments: argparse.Namespace, paths: Iterable[str], look: Callable[[str], dict[str, Any]]
) -> tuple[list[dict[str, Any]], int]:
    """Call `look` with each path; a file that fails costs one line and the exit code, no more.

    Returns
    -------
    list of dict
        One per path, in their order; of a file that failed, its ``"path"`` and ``"error"``.
    int
        The exit code: 1 if any failed, else 0.
    """
    records, code = [], 0
    for path in paths:
        try:
            records.append(look(path))
        except (OocarrayError, OSError, ValueError) as error:
            if arguments.debug:
                raise
            words = sentence(error)
            complain(words if path in words else f"{path}: {words}")
            records.append({"path": path, "error": " ".join(words.split())})
            code = 1
    return records, code


@contextlib.contextmanager
def progress(name: str, nbytes: int) -> Iterator[Callable[[int], None]]:
    """Show how far a loop is, on a terminal, where it lasts; call what is yielded with bytes done.

    Standard error is used, and left clean.
    """
    on = console(stderr=True)
    if not on.is_terminal or nbytes <= 0:
        yield lambda more: None
        return
    from rich import progress as rich_progress

    with rich_progress.Progress(
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(binary_units=True),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(),
        console=on,
        transient=True,
    ) as bar:
        task = bar.add_task(name, total=nbytes)
        yield lambda more: bar.update(task, advance=more)


def _plain(value: Any) -> Any:
    """Turn a value into one that JSON has a notation for."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return _plain(value.tolist())
    return str(value)
