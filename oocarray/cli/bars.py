"""Draws a histogram as lines of text, as wide as a terminal; it counts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

__all__ = ["bars", "labels"]

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SHORTEST, _LONGEST = 10, 60


def bars(
    counts: Sequence[int], edges: Sequence[Any], width: int, *, whole: bool, unicode: bool = True
) -> list[str]:
    """Draw a histogram.

    Parameters
    ----------
    counts : sequence of int
    edges : sequence of numbers
        One more than counts.
    width : int
        Columns that there are; bars have at least ten of them, even where that is too wide.
    whole : bool
        Each bin is one whole number, its lower edge.
    unicode : bool
        Whether there are characters for an eighth of a column.

    Examples
    --------
    >>> for line in bars([1, 0, 4], [0.0, 0.5, 1.0, 1.5], 28, whole=False, unicode=False):
    ...     print(line)
      0 .. 0.5 |####           1
    0.5 .. 1   |               0
      1 .. 1.5 |############## 4
               0             4
    """
    names = labels(edges)
    if whole:
        heads = names[:-1]
    else:
        left = max(map(len, names[:-1]))
        right = max(map(len, names[1:]))
        heads = [f"{low:>{left}} .. {high:<{right}}" for low, high in pairwise(names)]
    across = max(map(len, heads))
    numbers = [f"{count:,}" for count in counts]
    room = width - across - max(map(len, numbers)) - 3
    length = min(max(room, _SHORTEST), _LONGEST)
    most = max(*counts, 1)
    wall = "│" if unicode else "|"
    last = max(map(len, numbers))
    lines = [
        f"{head:>{across}} {wall}{_bar(count, most, length, unicode)} {number:>{last}}"
        for head, count, number in zip(heads, counts, numbers, strict=True)
    ]
    scale = f"{most:,}"
    return [*lines, f"{'0':>{across + 2}}{scale:>{length}}"]


def labels(edges: Sequence[Any]) -> list[str]:
    """Write numbers with as few digits as tell neighbours apart, at least three."""
    if all(isinstance(edge, int) for edge in edges):
        return [str(edge) for edge in edges]
    for digits in range(3, 18):
        names = [f"{float(edge):.{digits}g}" for edge in edges]
        if len(set(names)) == len(set(map(float, edges))):
            break
    return names


def _bar(count: int, most: int, length: int, unicode: bool) -> str:
    """A bar; of what is not zero something is seen."""
    if not unicode:
        return ("#" * max(round(count * length / most), int(count > 0))).ljust(length)
    eighths = max(round(count * length * 8 / most), int(count > 0))
    full, rest = divmod(eighths, 8)
    return (_EIGHTHS[8] * full + (_EIGHTHS[rest] if rest else "")).ljust(length)
