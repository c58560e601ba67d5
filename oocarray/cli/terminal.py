"""The picture of ``oocarray residency`` in a terminal, or as plain text; it counts nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..pages.pagecache import Counts
from ..units import format_bytes
from .heat import (
    ABSENT,
    CLEAN,
    DARK,
    DIRTY,
    EVICTED,
    UNKNOWN,
    WRITEBACK,
    Cell,
    character,
    legend,
    mix,
)

if TYPE_CHECKING:
    from rich.text import Text

    from .residency import Look

__all__ = ["amounts", "render"]

_HALF, _FULL = "\u2580", "\u2588"


def render(look: Look, coloured: bool, unicode: bool, width: int) -> Text:
    """Return the picture with its title, labels and legend.

    Parameters
    ----------
    look : Look
    coloured : bool
        Whether two rows share a line, as coloured halves; else each cell is a character.
    unicode : bool
        Whether the terminal has more than ASCII.
    width : int
        Columns of the terminal.
    """
    from rich.text import Text

    lines = [
        Text.assemble((os.path.basename(look.blocks.path), "bold"), f"  {look.blocks.name()}"),
        Text(summary(look)),
        Text(),
    ]
    blocks, geometry = look.blocks.count, look.geometry
    step = 2 if coloured and unicode else 1
    digits = max(len(str(max(blocks - 1, 0))), 5)
    lines.append(Text(f"{'block':>{digits + 1}}", style="dim"))
    edge = "\u2502" if unicode else "|"
    before = -1
    for row in range(0, geometry.rows, step):
        first = geometry.first_block(row, blocks)
        label = str(first) if first != before else ""
        before = first
        text = Text.assemble((f" {label:>{digits}} ", "dim"))  # the cells shall not be dim
        if coloured and unicode:
            _halves(text, look, row)
        elif coloured:
            for cell in _row(look, row):
                text.append(" ", "on " + _rgb(mix(cell, DARK)))
        else:
            text = Text(text.plain + edge)
            text.append("".join(character(cell, unicode) for cell in _row(look, row)) + edge)
        lines.append(text)
    lines.append(Text())
    lines += _coloured_legend(look, width, unicode) if coloured else _plain_legend(look, unicode)
    return Text("\n").join(lines)


def summary(look: Look) -> str:
    """Say in a sentence how much is cached."""
    size, cached = look.blocks.size, look.total.cached
    if cached is None:
        return f"{format_bytes(size)}; how much of it is cached the system does not tell"
    share = f" ({min(cached / size, 1):.0%})" if size else ""
    return f"{format_bytes(min(cached, size))} of {format_bytes(size)} are cached{share}"


def amounts(look: Look) -> list[tuple[str, int | None]]:
    """States in the order of the legend, with their bytes; None where they are not known."""
    size, counts = look.blocks.size, look.total
    if counts.cached is None:
        return [(UNKNOWN, size)]
    dirty, writing, evicted = counts.dirty, counts.writeback, counts.evicted
    cached = min(counts.cached, size)
    gone = None if evicted is None else min(evicted, size - cached)
    return [
        (CLEAN if dirty is not None else "cached", max(cached - (dirty or 0) - (writing or 0), 0)),
        (DIRTY, dirty),
        (WRITEBACK, writing),
        (EVICTED, gone),
        (ABSENT, size - cached - (gone or 0)),
    ]


def _row(look: Look, row: int) -> list[Cell]:
    start = row * look.geometry.columns
    return look.cells[start : start + look.geometry.columns]


def _rgb(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _halves(text: Text, look: Look, row: int) -> None:
    """Append a line whose characters show a cell of this row above one of the next."""
    upper, lower = _row(look, row), _row(look, row + 1)
    for place, cell in enumerate(upper):
        style = _rgb(mix(cell, DARK))
        if place < len(lower):
            style += " on " + _rgb(mix(lower[place], DARK))
        text.append(_HALF, style)


def _coloured_legend(look: Look, width: int, unicode: bool) -> list[Text]:
    from rich.text import Text

    swatch = _FULL * 2 if unicode else "##"
    lines = [Text(" ")]
    for state, amount in amounts(look):
        colour = _rgb(DARK[CLEAN if state == "cached" else state])
        words = "unknown" if amount is None else format_bytes(amount)
        entry = Text.assemble((swatch, colour), f" {state} {words}")
        if len(lines[-1]) > 1 and len(lines[-1]) + len(entry) + 3 > width:
            lines.append(Text(" "))
        lines[-1].append("   " if len(lines[-1]) > 1 else "")
        lines[-1].append_text(entry)
    if look.total.cached is not None:
        scale = Text.assemble((" share of a cell that is cached: 0% ", "dim"))
        for tenth in range(11):
            cell = Cell(10, Counts(tenth, 0, 0, 0, 0))
            scale.append(_FULL if unicode else "#", _rgb(mix(cell, DARK)))
        scale.append(" 100%", style="dim")
        lines.append(scale)
    return lines


def _plain_legend(look: Look, unicode: bool) -> list[Text]:
    from rich.text import Text

    signs = "   ".join(f"{sign} {meaning}" for sign, meaning in legend(unicode))
    numbers = ", ".join(
        f"{state} {'unknown' if amount is None else format_bytes(amount)}"
        for state, amount in amounts(look)
    )
    return [Text(" " + signs), Text(" " + numbers)]
