"""Draws the figures of a result page as SVG that follows light and dark; decides nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from .results import OURS

__all__ = ["COLOURS", "Bar", "Point", "bars", "colours", "legend", "lines", "mark", "style"]

# Light and dark of each; after Okabe and Ito, and Tol, whose colours stay apart for the
# colour-blind. A marker of its own tells them apart where colours do not.
COLOURS: dict[str, tuple[str, str]] = {
    OURS: ("#0060a8", "#4fb3f5"),
    "numpy-naive": ("#8c8c8c", "#8f8f8f"),
    "numpy-careful": ("#3d3d3d", "#dedede"),
    "numexpr": ("#35a0d6", "#a5dcff"),
    "zarr": ("#d55e00", "#ff8b45"),
    "tensorstore": ("#882255", "#d9639c"),
    "blosc2": ("#c98a00", "#f2b431"),
    "dask": ("#00805c", "#1fc795"),
    "dask-distributed": ("#77841a", "#bccb52"),
    "cubed": ("#c05a94", "#f2a3cf"),
}
_MORE = (("#5b4ba3", "#a99cf0"), ("#7a4a2b", "#cf9a74"), ("#1f6f78", "#6cc7d1"))
_SHORT = {"numpy": "numpy-careful", "distributed": "dask-distributed"}
"""Other names of the same rivals."""
_SHAPES = 10


def colours(rivals: Sequence[str]) -> dict[str, int]:
    """A number for each rival, by which the page's style sheet and markers know it."""
    known = {name: number for number, name in enumerate(COLOURS)}
    known |= {short: known[name] for short, name in _SHORT.items()}
    more = [name for name in rivals if name not in known]
    return known | {name: len(COLOURS) + number for number, name in enumerate(more)}


def style(numbers: dict[str, int]) -> tuple[str, str]:
    """CSS variables of the rivals' colours, for light and for dark."""
    light, dark = [], []
    for name, number in numbers.items():
        if name in _SHORT:
            continue
        pair = COLOURS.get(name) or _MORE[number % len(_MORE)]
        light.append(f"--r{number}:{pair[0]}")
        dark.append(f"--r{number}:{pair[1]}")
    return ";".join(light), ";".join(dark)


def mark(number: int, x: float, y: float, size: float = 4.0) -> str:
    """A rival's marker: each of ten shapes, in the rival's colour."""
    colour, s = f"var(--r{number})", size
    shape = number % _SHAPES
    if shape == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{s:.1f}" fill="{colour}"/>'
    if shape in (1, 2):
        inside = "var(--page)" if shape == 1 else colour
        return (
            f'<rect x="{x - s:.1f}" y="{y - s:.1f}" width="{2 * s:.1f}" height="{2 * s:.1f}" '
            f'fill="{inside}" stroke="{colour}" stroke-width="1.5"/>'
        )
    if shape in (3, 4):
        path = f"M{x - s:.1f} {y - s:.1f}L{x + s:.1f} {y + s:.1f}"
        path += f"M{x - s:.1f} {y + s:.1f}L{x + s:.1f} {y - s:.1f}"
        if shape == 4:
            path = f"M{x - s:.1f} {y:.1f}h{2 * s:.1f}M{x:.1f} {y - s:.1f}v{2 * s:.1f}"
        return f'<path d="{path}" stroke="{colour}" stroke-width="2" fill="none"/>'
    outlines = {
        5: [(0, -1.2), (1.1, 0.9), (-1.1, 0.9)],
        6: [(0, 1.2), (1.1, -0.9), (-1.1, -0.9)],
        7: [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
        8: [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
        9: [(0, -1.2), (1.1, 0.9), (-1.1, 0.9)],
    }
    points = " ".join(f"{x + s * dx:.1f},{y + s * dy:.1f}" for dx, dy in outlines[shape])
    inside = "var(--page)" if shape > 7 else colour
    return f'<polygon points="{points}" fill="{inside}" stroke="{colour}" stroke-width="1.5"/>'


def legend(names: Sequence[str], numbers: dict[str, int]) -> str:
    """Markers with their rivals' names."""
    items = []
    for name in names:
        number = numbers[name]
        line = f'<path d="M0 8h28" stroke="var(--r{number})" stroke-width="{_width(number)}"/>'
        items.append(
            f'<span><svg width="28" height="16" aria-hidden="true">{line}{mark(number, 14, 8)}'
            f"</svg>{escape(name)}</span>"
        )
    return f'<p class="legend">{"".join(items)}</p>'


def _width(number: int) -> float:
    return 2.8 if number == 0 else 1.5


# ---- bars ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """A rival's bar: its number, median, least and most; or words, where there is no figure."""

    name: str
    number: int
    text: str
    value: float | None = None
    low: float = 0.0
    high: float = 0.0
    tip: str = ""


_LABEL, _LENGTH, _ROW, _WIDE = 118, 148, 21, 360
_CUT = 4.0
"""Bars end at so many times the middle one: one very slow rival must not hide all others."""


def bars(title: str, rows: Sequence[Bar]) -> str:
    """A panel of bars from 0, their text beside them; a bar that is cut off has a gap."""
    values = sorted(row.value for row in rows if row.value is not None)
    most = 1.0
    if values:
        most = max(row.high for row in rows if row.value is not None)
        most = min(most, _CUT * values[(len(values) - 1) // 2]) or 1.0
    height = _ROW * len(rows) + 2
    parts = [_line(_LABEL, 0, _LABEL, height, "axis")]
    for index, row in enumerate(rows):
        parts.append(_bar(row, index * _ROW + 1, _LENGTH / most, most))
    return _panel(title, _WIDE, height, parts)


def _bar(row: Bar, top: float, scale: float, most: float) -> str:
    middle = top + _ROW / 2
    strong = ' class="ours"' if row.number == 0 else ""
    parts = [_text(_LABEL - 6, middle + 4, row.name, "end", strong)]
    if row.value is None:
        parts.append(_text(_LABEL + 6, middle + 4, row.text, "start", ' class="none"'))
        return f"<g><title>{escape(row.tip)}</title>{''.join(parts)}</g>"
    cut = row.value > most
    length = min(row.value, most) * scale
    parts.append(
        f'<rect x="{_LABEL}" y="{top + 3:.1f}" width="{max(length, 1):.1f}" '
        f'height="{_ROW - 6}" fill="var(--r{row.number})"/>'
    )
    end = _LABEL + length
    if cut:
        gap = f"M{end - 16:.1f} {top + _ROW - 1}l5 -{_ROW - 2}"
        parts.append(f'<path d="{gap}" stroke="var(--page)" stroke-width="4"/>')
    elif row.high > row.low:
        low, high = _LABEL + row.low * scale, _LABEL + min(row.high, most) * scale
        parts.append(_whisker(low, high, middle))
        end = max(end, high)
    parts.append(_text(end + 5, middle + 4, row.text, "start", strong))
    return f"<g><title>{escape(row.tip)}</title>{''.join(parts)}</g>"


def _whisker(low: float, high: float, y: float) -> str:
    path = f"M{low:.1f} {y:.1f}H{high:.1f}M{low:.1f} {y - 3:.1f}v6M{high:.1f} {y - 3:.1f}v6"
    # Drawn twice: the paler one underneath sets it off from the bar.
    return f'<path d="{path}" class="halo"/><path d="{path}" class="whisker"/>'


# ---- lines ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A rival's point: x, y and its least and most; y is None where no round ended well."""

    x: float
    y: float | None
    low: float = 0.0
    high: float = 0.0
    tip: str = ""


_TALL, _LEFT, _RIGHT, _TOP, _BOTTOM = 250, 48, 10, 20, 42


def lines(
    title: str,
    series: dict[int, list[Point]],
    x_name: str,
    y_name: str,
    write_x: Callable[[float], str],
    *,
    y_log: bool = False,
    ideal: Callable[[float], float] | None = None,
    upright: tuple[float, str] | None = None,
) -> str:
    """A panel of lines over a logarithmic x; runs that did not end well are crosses below."""
    xs = sorted({point.x for points in series.values() for point in points})
    good = [point for points in series.values() for point in points if point.y is not None]
    if not xs or not good:
        return ""
    first, last = math.log2(xs[0]), math.log2(xs[-1])
    if upright:
        first, last = min(first, math.log2(upright[0])), max(last, math.log2(upright[0]))
    wide = (last - first) or 1.0
    room = _WIDE - _LEFT - _RIGHT
    bad = sum(any(point.y is None for point in points) for points in series.values())
    floor = _TALL - _BOTTOM - min(10 * bad, 60)
    high = max(max(point.high, point.y or 0) for point in good)
    low = min(min(point.low or point.y or 0, point.y or 0) for point in good)
    ticks = _log_ticks(low, high) if y_log else _ticks(max(high, ideal(xs[-1]) if ideal else 0))

    def at_x(value: float) -> float:
        return _LEFT + 12 + (room - 24) * (math.log2(value) - first) / wide

    def at_y(value: float) -> float:
        if y_log:
            bottom, top = math.log10(ticks[0]), math.log10(ticks[-1])
            part = (math.log10(value) - bottom) / ((top - bottom) or 1)
        else:
            part = value / ticks[-1]
        return floor - (floor - _TOP) * part

    parts = []
    for tick in ticks:
        y = at_y(tick)
        parts.append(_line(_LEFT, y, _WIDE - _RIGHT, y, "grid"))
        parts.append(_text(_LEFT - 5, y + 4, f"{tick:g}", "end"))
    parts += [
        _text(at_x(x), _TALL - _BOTTOM + 15, write_x(x), "middle") for x in _thin(xs, write_x, at_x)
    ]
    parts.append(_line(_LEFT, _TALL - _BOTTOM, _WIDE - _RIGHT, _TALL - _BOTTOM, "axis"))
    parts.append(_text(_LEFT + room / 2, _TALL - 8, x_name, "middle", ' class="name"'))
    parts.append(_text(2, 10, y_name, "start", ' class="name"'))
    if ideal:
        # A straight line is a curve over a logarithmic x.
        steps = [xs[0] * (xs[-1] / xs[0]) ** (step / 24) for step in range(25)]
        path = "L".join(f"{at_x(x):.1f} {at_y(ideal(x)):.1f}" for x in steps)
        parts.append(f'<path d="M{path}" class="ideal" fill="none"/>')
    if upright:
        x = at_x(upright[0])
        parts.append(_line(x, _TOP, x, _TALL - _BOTTOM, "ideal"))
        # To the left of the line, unless it is too near the axis for words to fit.
        side = ("end", -4) if x > _LEFT + 90 else ("start", 4)
        parts.append(_text(x + side[1], _TOP + 9, upright[1], side[0], ' class="none"'))
    lane = 0
    # Ours last: it lies on top.
    for number in sorted(series, reverse=True):
        points = sorted(series[number], key=lambda point: point.x)
        parts.append(_curve(number, points, at_x, at_y))
        if any(point.y is None for point in points):
            y = floor + 6 + 10 * (lane % 6)
            lane += 1
            parts += [_cross(number, at_x(p.x), y, p.tip) for p in points if p.y is None]
    return _panel(title, _WIDE, _TALL, parts)


def _curve(
    number: int,
    points: list[Point],
    at_x: Callable[[float], float],
    at_y: Callable[[float], float],
) -> str:
    parts, path, pen = [], "", "M"
    for point in points:
        if point.y is None:
            pen = "M"
            continue
        x, y = at_x(point.x), at_y(point.y)
        path, pen = path + f"{pen}{x:.1f} {y:.1f}", "L"
        spread = ""
        if point.high > point.low > 0:
            ends = (at_y(point.low), at_y(point.high))
            spread = f'<path d="M{x:.1f} {ends[0]:.1f}V{ends[1]:.1f}" stroke="var(--r{number})"/>'
        tip = f"<title>{escape(point.tip)}</title>"
        parts.append(f"<g>{tip}{spread}{mark(number, x, y, 3.4)}</g>")
    stroke = f'stroke="var(--r{number})" stroke-width="{_width(number)}"'
    return f'<path d="{path}" fill="none" {stroke}/>{"".join(parts)}'


def _cross(number: int, x: float, y: float, tip: str) -> str:
    path = f"M{x - 4:.1f} {y - 4:.1f}l8 8M{x - 4:.1f} {y + 4:.1f}l8 -8"
    stroke = f'stroke="var(--r{number})" stroke-width="2"'
    return f'<g><title>{escape(tip)}</title><path d="{path}" {stroke}/></g>'


def _thin(
    xs: list[float], write: Callable[[float], str], at: Callable[[float], float]
) -> list[float]:
    """Those whose words do not touch the words before them."""
    kept: list[float] = []
    for x in xs:
        if not kept or at(x) - at(kept[-1]) > 3.4 * (len(write(x)) + len(write(kept[-1]))):
            kept.append(x)
    return kept


def _ticks(most: float) -> list[float]:
    rough = (most or 1.0) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * part for part in (1, 2, 2.5, 5, 10) if power * part >= rough * 0.999)
    return [step * number for number in range(math.ceil(most / step * 0.999) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    low = low or high / 100
    marks = [part * 10.0**power for power in range(-9, 10) for part in (1, 2, 5)]
    first = max((m for m in marks if m <= low), default=marks[0])
    last = min((m for m in marks if m >= high), default=marks[-1])
    found = [m for m in marks if first <= m <= last]
    return (
        found
        if len(found) < 8
        else [
            m
            for m in found
            if m in (found[0], found[-1]) or math.isclose(math.log10(m) % 1, 0, abs_tol=1e-9)
        ]
    )


# ---- SVG -----------------------------------------------------------------------------------------


def _panel(title: str, wide: float, tall: float, parts: Sequence[str]) -> str:
    box = f'viewBox="0 0 {wide} {tall}" role="img" aria-label="{escape(title, quote=True)}"'
    head, _, rest = title.partition(": ")
    rest = f"<small>{escape(rest)}</small>" if rest else ""
    return (
        f'<div class="panel"><h4>{escape(head)}{rest}</h4>'
        f'<svg {box} preserveAspectRatio="xMinYMin">{"".join(parts)}</svg></div>'
    )


def _line(x: float, y: float, x2: float, y2: float, name: str) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{name}"/>'


def _text(x: float, y: float, words: str, anchor: str, extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escape(words)}</text>'
