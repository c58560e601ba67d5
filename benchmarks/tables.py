"""Writes tables in Markdown that is also readable as it is; knows nothing of what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from oocarray.units import format_bytes

__all__ = ["amount", "quantity", "spread", "table"]


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """Lines of a table, its first `words` columns to the left, the others to the right.

    Columns in which no row has anything are left out.
    """
    columns = [
        (name, cells)
        for name, cells in zip_longest(headers, zip(*rows, strict=True), fillvalue=())
        if any(cells)
    ]
    left = [name in headers[:words] for name, _ in columns]
    widths = [max(map(len, (name, *cells))) for name, cells in columns]

    def line(cells: Sequence[str]) -> str:
        parts = (
            cell.ljust(width) if on_the_left else cell.rjust(width)
            for cell, width, on_the_left in zip(cells, widths, left, strict=True)
        )
        return f"| {' | '.join(parts)} |"

    rule = "|".join(
        "-" * (width + 2) if on_the_left else "-" * (width + 1) + ":"
        for width, on_the_left in zip(widths, left, strict=True)
    )
    body = zip(*(cells for _, cells in columns), strict=True)
    return "\n".join([line([name for name, _ in columns]), f"|{rule}|", *map(line, body)])


def amount(value: float | None) -> str:
    """Three digits, or more where a whole number has them."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def spread(found: Sequence[float] | None) -> str:
    """A median, and its quartiles in brackets."""
    if found is None:
        return ""
    low, middle, high = map(amount, found)
    return f"{middle} [{low}, {high}]"


def quantity(value: float, unit: str) -> str:
    """A figure with its unit; bytes in readable ones."""
    if unit == "B":
        return format_bytes(value)
    return f"{amount(value)} {unit}".rstrip() if unit != "x" else amount(value)
