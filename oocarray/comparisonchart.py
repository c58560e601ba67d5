"""Draws a comparison of backends as a PNG file, by matplotlib; it measures and decides nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .units import format_bytes, format_seconds

if TYPE_CHECKING:
    from .comparisontable import Comparison, Row

__all__ = ["draw"]

_INK, _FAINT = "#222222", "#8a8a8a"
_FIRST, _SECOND = "#0072B2", "#E69F00"
"""Of Okabe and Ito: told apart with any eyes, and in grey."""
_WIDTH = 12.0
_BAR = 0.36
_DOTS = 150
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
_LONGEST = 180
"""Characters of a note that have room; of the title half as many."""


class _Panel(NamedTuple):
    title: str
    unit: str
    series: tuple[tuple[str, str, str], ...]
    """Of each kind of bar its name, its field of a row, its colour."""


def draw(path: str | os.PathLike[str], found: Comparison) -> None:
    """Draw three charts: seconds, memory, bytes of the disk.

    Parameters
    ----------
    path : path-like
        Of the PNG file; replaced if it exists.
    found : Comparison
    """
    from matplotlib.figure import Figure

    rows, notes = found.rows, [_short(note) for note in found.notes()]
    height = 1.4 + 0.62 * len(rows) + 0.19 * len(notes)
    figure = Figure(figsize=(_WIDTH, height))
    figure.text(0.02, 1 - 0.3 / height, _short(found.title, _LONGEST // 2), fontsize=14, color=_INK,
                fontweight="bold", va="center")  # fmt: skip
    low = (0.42 + 0.19 * len(notes)) / height
    places = figure.subplots(1, 3, sharey=True, gridspec_kw={
        "left": 0.075, "right": 0.965, "bottom": low, "top": 1 - 0.86 / height, "wspace": 0.12,
    })  # fmt: skip
    for axes, panel in zip(places, _panels(rows), strict=True):
        _draw_panel(axes, panel, rows, height)
    for place, row in enumerate(rows):
        if row.agrees is None:
            places[0].annotate(row.state, (0, place), xytext=(4, 0), textcoords="offset points",
                               fontsize=9, va="center", color=_FAINT, style="italic")  # fmt: skip
    places[0].set_yticks(range(len(rows)), [row.backend for row in rows])
    places[0].set_ylim(len(rows) - 0.45, -0.55)
    for number, note in enumerate(notes):
        y = (0.14 + 0.19 * (len(notes) - 1 - number)) / height
        figure.text(0.02, y, note, fontsize=8.5, color=_FAINT, va="center")
    figure.savefig(path, dpi=_DOTS, format="png", facecolor="white")


def _panels(rows: Sequence[Row]) -> tuple[_Panel, ...]:
    return (
        _Panel("Time", "seconds", (("wall", "wall", _FIRST), ("CPU", "cpu", _SECOND))),
        _Panel("Memory", _unit(rows, ("peak",)), (("most at once", "peak", _FIRST),)),
        _Panel("Disk", _unit(rows, ("read", "written")),
               (("read", "read", _FIRST), ("written", "written", _SECOND))),
    )  # fmt: skip


def _unit(rows: Sequence[Row], fields: tuple[str, ...]) -> str:
    """The unit that the largest of some numbers of bytes is written with."""
    most = max((getattr(row, name) or 0 for row in rows for name in fields), default=0)
    return _UNITS[0] if most < 1024 else format_bytes(most).split()[1]


def _draw_panel(axes: Any, panel: _Panel, rows: Sequence[Row], height: float) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator

    scale = 1024.0 ** _UNITS.index(panel.unit) if panel.unit in _UNITS else 1.0
    most = 0.0
    for number, (name, field, colour) in enumerate(panel.series):
        shift = (number - (len(panel.series) - 1) / 2) * _BAR
        lengths = [(getattr(row, field) or 0) / scale for row in rows]
        most = max(most, *lengths)
        at = [place + shift for place in range(len(rows))]
        axes.barh(at, lengths, _BAR * 0.9, color=colour, label=name, linewidth=0)
        for row, y, length in zip(rows, at, lengths, strict=True):
            if row.agrees is not None:
                axes.annotate(_label(row, field), (length, y), xytext=(4, 0), fontsize=8.5,
                              textcoords="offset points", va="center", color=_INK)  # fmt: skip
    axes.set_xlim(0, most * 1.3 or 1)
    axes.xaxis.set_major_locator(MaxNLocator(4) if most else NullLocator())
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(_FAINT)
    axes.tick_params(axis="y", length=0, labelsize=11, colors=_INK)
    axes.tick_params(axis="x", length=0, labelsize=8.5, colors=_FAINT)
    axes.set_title(
        f"{panel.title} ({panel.unit})", fontsize=11, color=_INK, loc="left", fontweight="bold"
    )
    axes.legend(loc="lower right", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.35, ncols=2,
                frameon=False, fontsize=8.5, handlelength=0.9, handleheight=0.9,
                columnspacing=1.0, handletextpad=0.4, borderpad=0, labelcolor=_INK)  # fmt: skip


def _label(row: Row, field: str) -> str:
    value = getattr(row, field)
    if value is None:
        return "n/a"
    return format_seconds(value) if field in ("wall", "cpu") else format_bytes(value)


def _short(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
