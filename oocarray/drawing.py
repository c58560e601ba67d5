"""An array as HTML: a table beside a drawing of its blocks, in any theme; it reads no data."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .grid import Chunks
from .showing import Facts, facts_of, stored_words
from .storage.naming import axis_names, plain
from .units import format_bytes, format_count

if TYPE_CHECKING:
    from .core import Array

__all__ = ["html_of"]

_SIDE = 170.0
"""Pixels of the longest side."""
_LEAST = 0.14
"""Of the longest: what is shorter is drawn so, or its blocks could not be seen."""
_SLANT = (0.42, -0.36)
"""Where the first of three axes leads: to the right and up, shortened."""
_MOST_LINES = 30
"""Blocks of an axis that are drawn."""
_CLOSEST = 4.0
"""Pixels between lines: closer ones are a grey surface."""

# Themes differ in the colour of text, which lines take on, and in what lies below what is
# half transparent.
_FILL, _FIRST = "#3b82f6", "#f59e0b"
_BOX = "display:flex;flex-wrap:wrap;align-items:center;gap:28px;font-family:sans-serif"
# The colour is said outright: in pages of no declared type tables do not inherit it.
_TABLE = "border-collapse:collapse;border:none;margin:0;color:inherit;font-size:13px"
_CELL = "text-align:left;padding:2px 14px 2px 0;border:none;background:none;vertical-align:top"
_WORD = _CELL + ";opacity:.65;font-weight:normal;white-space:nowrap"
_VALUE = _CELL + ";font-family:monospace;overflow-wrap:anywhere;max-width:44em"

Point = tuple[float, float]


def html_of(array: Array) -> str:
    """Return what notebooks show of an array.

    Examples
    --------
    >>> import oocarray as oo
    >>> text = html_of(oo.from_array(np.zeros((4, 6)), chunks=(2, 6)))
    >>> "2 &times; 1" in text, text.count("<svg")
    (True, 1)
    """
    where = html.escape(plain(array._where()))
    if array._closed:
        return f"<div>oocarray.Array, closed: <code>{where}</code></div>"
    node = array._node
    facts = facts_of(node)[id(node)]
    chunks = facts.chunks()
    stored, kind = stored_words(array, chunks)
    rows = [
        ("Array", where),
        ("Format", html.escape(kind)),
        ("Axes", html.escape(", ".join(axis_names(array.dims)))),
        *_rows(facts, chunks),
        ("Stored in", html.escape(stored)),
    ]
    table = "".join(
        f'<tr style="background:none"><th style="{_WORD}">{word}</th>'
        f'<td style="{_VALUE}">{value}</td></tr>'
        for word, value in rows
        if value
    )
    return f'<div style="{_BOX}"><table style="{_TABLE}">{table}</table>{_picture(chunks)}</div>'


def _rows(facts: Facts, chunks: Chunks | None) -> list[tuple[str, str]]:
    unknown = "not known yet"
    itemsize = math.nan if facts.dtype is None else facts.dtype.itemsize
    sizes = facts.size * itemsize
    dtype = unknown if facts.dtype is None else html.escape(str(facts.dtype))
    rows = [
        ("Shape", unknown if facts.shape is None else _shape(facts.shape)),
        ("Dtype", dtype),
        ("Bytes", unknown if math.isnan(sizes) else format_bytes(sizes)),
    ]
    if chunks is None:
        return [*rows, ("Blocks", unknown)]
    count = format_count(math.prod(map(len, chunks)), "block")
    grid = f" ({_times(map(len, chunks))})" if len(chunks) > 1 else ""
    largest = [max(part, default=0) for part in chunks]
    most = math.prod(largest) * itemsize
    of = _shape(largest) + ("" if math.isnan(most) else f", {format_bytes(most)}")
    return [*rows, ("Blocks", f"{count}{grid}"), ("Largest", of)]


def _shape(shape: Sequence[float]) -> str:
    """As NumPy writes it: to be copied."""
    return str(tuple(shape))


def _times(counts: object) -> str:
    return " &times; ".join(f"{count:,}" for count in counts)  # type: ignore[attr-defined]


# ---- the drawing --------------------------------------------------------------------------------


def _picture(chunks: Chunks | None) -> str:
    """The grid as SVG; nothing where there is nothing to draw, or nobody knows what."""
    if not chunks or any(not part or not sum(part) > 0 for part in chunks):
        return ""
    drawn = chunks[-3:]
    extents = [sum(part) for part in drawn]
    shares = [max(extent / max(extents), _LEAST) for extent in extents]
    if len(drawn) == 1:
        shares = [0.22, 1.0]
    sides = [_SIDE * share for share in shares]
    faces = [(1,), *drawn] if len(drawn) == 1 else drawn
    most = [min(_MOST_LINES, int(side / _CLOSEST)) for side in sides]
    if len(sides) == 3:
        most[0] = min(_MOST_LINES, int(sides[0] * -_SLANT[1] / _CLOSEST))
    cuts = [_cuts(part, count) for part, count in zip(faces, most, strict=True)]
    firsts = [part[0] / sum(part) for part in faces]
    notes = []
    if len(chunks) > 3:
        outer = chunks[:-3]
        notes.append(
            f"the last 3 of {len(chunks)} axes; before them {_times(map(sum, outer))} in "
            f"{_times(map(len, outer))} blocks"
        )
    if min(extents) / max(extents) < _LEAST:
        notes.append("not to scale")
    if any(len(part) > count for part, count in zip(faces, most, strict=True)):
        notes.append("not every block drawn")
    return _svg(sides, cuts, firsts, extents, notes)


def _cuts(sizes: Sequence[int], most: int) -> list[float]:
    """Where blocks meet, as parts of the whole; evenly fewer where there are too many."""
    ends = np.cumsum(sizes, dtype=np.float64)
    inner = ends[:-1] / ends[-1]
    if len(inner) >= most:
        inner = inner[np.linspace(0, len(inner) - 1, most + 1).round().astype(int)[1:-1]]
    return [round(float(cut), 4) for cut in inner]


def _svg(
    sides: list[float],
    cuts: list[list[float]],
    firsts: list[float],
    extents: list[int],
    notes: list[str],
) -> str:
    """Faces of a box whose front shows the last two axes."""
    height, width = sides[-2:]
    slant = sides[0] if len(sides) == 3 else 0.0
    deep: Point = slant * _SLANT[0], slant * _SLANT[1]
    right, down = (width, 0.0), (0.0, height)
    corner = (0.0, -deep[1])
    parts = [_face(corner, right, down, cuts[-1], cuts[-2], 0.22)]
    marks = [_part(corner, right, down, firsts[-1], firsts[-2])]
    if slant:
        parts.append(_face(corner, right, deep, cuts[-1], cuts[0], 0.1))
        marks.append(_part(corner, right, deep, firsts[-1], firsts[0]))
        beside = (width, corner[1])
        parts.append(_face(beside, deep, down, cuts[0], cuts[-2], 0.34))
        if firsts[-1] == 1.0:
            marks.append(_part(beside, deep, down, firsts[0], firsts[-2]))
    first = f'<path d="{"".join(marks)}" fill="{_FIRST}" fill-opacity="0.75"/>'
    bottom = corner[1] + height
    labels = [_label(width / 2, bottom + 14, extents[-1], "middle")]
    if len(extents) > 1:
        labels.append(_label(width + deep[0] + 6, height / 2 + 4, extents[-2], "start"))
    if slant:
        labels.append(_label(deep[0] / 2 - 6, corner[1] / 2 + 1, extents[0], "end"))
    wide = [7.0 * len(f"{extent:,}") for extent in extents]
    left = max(wide[0] + 6 - deep[0] / 2, 4) if slant else 4.0
    left = max(left, wide[-1] / 2 - width / 2 + 2)
    across = left + max(
        width + deep[0] + (wide[-2] + 12 if len(extents) > 1 else 4), width / 2 + wide[-1] / 2 + 2
    )
    box = f"{-left:.0f} -8 {across:.0f} {bottom + 30:.0f}"
    words = f"Blocks of the array; {', '.join(notes)}" if notes else "Blocks of the array"
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="{box}" '
        f'width="{across:.0f}" height="{bottom + 30:.0f}" style="overflow:visible">'
        f"<title>{words}; coloured: the first</title>{first}{''.join(parts)}{''.join(labels)}</svg>"
    )
    small = "font-size:11px;opacity:.65;max-width:240px;text-align:center"
    caption = f'<div style="{small}">{"; ".join(notes)}</div>' if notes else ""
    return f"<div>{picture}{caption}</div>"


def _face(
    corner: Point, u: Point, v: Point, u_cuts: list[float], v_cuts: list[float], shade: float
) -> str:
    """A parallelogram with lines where blocks meet."""
    lines = [_line(corner, u, v, cut, 0, cut, 1) for cut in u_cuts]
    lines += [_line(corner, u, v, 0, cut, 1, cut) for cut in v_cuts]
    return (
        f'<path d="{_part(corner, u, v, 1, 1)}" fill="{_FILL}" fill-opacity="{shade}" '
        'stroke="currentColor" stroke-opacity="0.85" stroke-width="1.3" stroke-linejoin="round"/>'
        f'<path d="{"".join(lines)}" fill="none" stroke="currentColor" stroke-opacity="0.4" '
        'stroke-width="0.8"/>'
    )


def _part(corner: Point, u: Point, v: Point, along_u: float, along_v: float) -> str:
    points = [(0.0, 0.0), (along_u, 0.0), (along_u, along_v), (0.0, along_v)]
    return "M" + "L".join(_at(corner, u, v, *point) for point in points) + "Z"


def _line(corner: Point, u: Point, v: Point, *ends: float) -> str:
    return f"M{_at(corner, u, v, *ends[:2])}L{_at(corner, u, v, *ends[2:])}"


def _at(corner: Point, u: Point, v: Point, along_u: float, along_v: float) -> str:
    x = corner[0] + along_u * u[0] + along_v * v[0]
    y = corner[1] + along_u * u[1] + along_v * v[1]
    return f"{x:.1f},{y:.1f}"


def _label(x: float, y: float, extent: int, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" fill="currentColor" font-family="sans-serif"'
        f' text-anchor="{anchor}">{extent:,}</text>'
    )
