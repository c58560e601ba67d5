"""What a comparison of backends found, as text, HTML, JSON and a chart; it runs nothing."""

from __future__ import annotations

import html
import json
import math
import os
import platform
from dataclasses import asdict, dataclass, field
from typing import Any

from .units import format_bytes, format_seconds

__all__ = ["HEADS", "IN_MEMORY", "Comparison", "Row"]

HEADS = ("backend", ">wall", ">CPU", ">memory", ">read", ">written", "result")
"""Of the table; what begins with ``>`` is set to the right."""
IN_MEMORY = "array in memory"
"""The name of an input that is in no file."""


@dataclass(frozen=True, slots=True)
class Row:
    """One backend: medians of its runs, the worst of its differences; None: not known."""

    backend: str
    state: str
    """reference, agrees, differs; or why there is no result: cannot, failed, killed."""
    wall: float | None
    """Seconds."""
    cpu: float | None
    """Seconds of processors, of all its processes."""
    peak: int | None
    """Bytes held at once above those of the idle process, over all processes."""
    read: int | None
    """Bytes that were read from the disk."""
    written: int | None
    """Bytes that are written to the disk, or will be."""
    agrees: bool | None
    max_abs: float | None = None
    """Largest difference from the reference."""
    max_rel: float | None = None
    """The same, relative."""
    note: str = ""
    """What went wrong."""
    differing: int = 0
    """Elements that differ."""
    first: tuple[int, ...] | None = None
    """Where the first of them is."""
    rss: int | None = None
    """Bytes in memory at once, mapped files and the interpreters included."""
    runs: int = 0
    cached: float | None = None
    """Share of the inputs that was in the page cache when a run began; the largest."""
    walls: tuple[float, ...] = ()
    """Of each run."""
    trace: str = field(default="", repr=False)
    """Of the exception that ended it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `oocarray.compare` found; prints as a table.

    Examples
    --------
    >>> rows = (
    ...     Row("mapped", "reference", 1.25, 2.1, 200 << 20, 1 << 30, 0, True),
    ...     Row("dask", "agrees", 2.5, 3.9, 900 << 20, 1 << 30, 0, True, 0.0, 0.0),
    ...     Row("zarr", "cannot", None, None, None, None, None, None, note="no such thing"),
    ... )
    >>> print(Comparison(rows, "mean", ("x.npy",), 1 << 30))
    mean of x.npy (1 GiB)
    backend   wall    CPU   memory   read  written  result
    mapped   1.2 s  2.1 s  200 MiB  1 GiB      0 B  reference
    dask     2.5 s  3.9 s  900 MiB  1 GiB      0 B  agrees
    zarr         -      -        -      -        -  cannot
    zarr: no such thing
    1 run each, the inputs dropped from the page cache before it
    """

    rows: tuple[Row, ...]
    function: str = "function"
    inputs: tuple[str, ...] = ()
    """Names of files."""
    nbytes: int = 0
    """Of the inputs' elements."""
    repeat: int = 1
    cold: bool = True
    """Whether the inputs were dropped from the page cache before each run, or read into it."""
    rtol: float = 1e-6
    atol: float = 0.0

    @property
    def ran(self) -> tuple[Row, ...]:
        """The rows of backends that had a result."""
        return tuple(row for row in self.rows if row.agrees is not None)

    @property
    def agree(self) -> bool:
        """Whether there are results, and all agree; of one alone it is True."""
        return bool(self.ran) and all(row.agrees for row in self.ran)

    @property
    def title(self) -> str:
        size = f" ({format_bytes(self.nbytes)})" if self.inputs else ""
        return f"{self.function} of {', '.join(self.inputs) or 'nothing'}{size}"

    def cells(self) -> list[list[str]]:
        """The table, as text; one list per backend."""
        return [_cells(row) for row in self.rows]

    def notes(self) -> list[str]:
        """What is to be said below the table."""
        said: dict[str, list[str]] = {}
        for row in self.rows:
            if row.note:
                said.setdefault(row.note, []).append(row.backend)
        notes = [f"{', '.join(names)}: {note}" for note, names in said.items()]
        if len(self.ran) == 1:
            notes.append(f"only {self.ran[0].backend} has a result: there is nothing to compare")
        how = f"{self.repeat} runs each, medians" if self.repeat > 1 else "1 run each"
        if self.inputs and any(name != IN_MEMORY for name in self.inputs):
            when = "each" if self.repeat > 1 else "it"
            done = "dropped from" if self.cold else "read into"
            how += f", the inputs {done} the page cache before {when}"
        notes.append(how)
        shares = [row.cached for row in self.rows if row.cached is not None]
        if self.cold and shares and max(shares) > 0.005:
            notes.append(
                f"not cold: up to {max(shares):.0%} of the inputs stayed in the page cache, in use "
                "or on a file system in memory"
            )
        if not self.cold and shares and min(shares) < 0.995:
            notes.append(
                f"not warm: as little as {min(shares):.0%} of the inputs fitted the page cache"
            )
        return notes

    def __str__(self) -> str:
        names = [head.removeprefix(">") for head in HEADS]
        lines = [names, *self.cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [self.title]
        for line in lines:
            words = [
                f"{cell:>{width}}" if head.startswith(">") else f"{cell:<{width}}"
                for head, cell, width in zip(HEADS, line, widths, strict=True)
            ]
            text.append("  ".join(words).rstrip())
        return "\n".join([*text, *self.notes()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def row(cells: list[str], kind: str) -> str:
            sides = ["right" if head.startswith(">") else "left" for head in HEADS]
            return "".join(
                f'<{kind} style="text-align:{side}">{html.escape(cell)}</{kind}>'
                for cell, side in zip(cells, sides, strict=True)
            )

        names = row([head.removeprefix(">") for head in HEADS], "th")
        body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in self.cells())
        notes = "<br>".join(html.escape(note) for note in self.notes())
        return (
            f"<table><caption>{html.escape(self.title)}</caption>"
            f"<thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"
            f'<div style="font-size:11px;opacity:.65">{notes}</div>'
        )

    def record(self) -> dict[str, Any]:
        """Return all numbers as what JSON can say; a float that it cannot is text, as "inf"."""
        mine: dict[str, Any] = {
            "function": self.function,
            "inputs": list(self.inputs),
            "bytes": self.nbytes,
            "repeat": self.repeat,
            "cold": self.cold,
            "rtol": self.rtol,
            "atol": self.atol,
            "agree": self.agree,
            "machine": {"processors": os.cpu_count(), "system": platform.platform()},
        }
        rows = [asdict(row) for row in self.rows]
        for row in rows:
            del row["trace"]
        found: dict[str, Any] = _plain({**mine, "rows": rows})
        return found

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write all numbers to a file, which is replaced if it exists."""
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(self.record(), indent=2, allow_nan=False) + "\n")

    def to_png(self, path: str | os.PathLike[str]) -> None:
        """Draw seconds, memory and bytes as bars; needs matplotlib.

        Parameters
        ----------
        path : path-like
            Of the PNG file; replaced if it exists.
        """
        from .comparisonchart import draw

        draw(path, self)


def _cells(row: Row) -> list[str]:
    if row.agrees is None:
        return [row.backend, *["-"] * 5, row.state]
    assert row.wall is not None
    assert row.cpu is not None
    nbytes = [
        "n/a" if count is None else format_bytes(count)
        for count in (row.peak, row.read, row.written)
    ]
    state = row.state
    if state == "agrees" and row.max_abs:
        state += f" within {row.max_rel or row.max_abs:.0e}"
    return [row.backend, format_seconds(row.wall), format_seconds(row.cpu), *nbytes, state]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
