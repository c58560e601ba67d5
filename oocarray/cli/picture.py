"""The picture of ``oocarray residency`` as a PNG file, by matplotlib; it counts nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ..units import format_bytes
from .heat import ABSENT, CLEAN, LIGHT, mix
from .terminal import amounts, summary

if TYPE_CHECKING:
    from .residency import Look

__all__ = ["draw"]

_INK, _FAINT = "#222222", "#8a8a8a"
_WIDTH = 12.0
_DOTS = 150
_MOST_LINES = 30
"""Blocks in a row up to which lines are drawn between them."""


def draw(path: str | os.PathLike[str], look: Look) -> None:
    """Draw which blocks are cached.

    Parameters
    ----------
    path : path-like
        Of the PNG file; replaced if it exists.
    look : Look
    """
    from matplotlib.figure import Figure

    rows, columns = max(look.geometry.rows, 1), max(look.geometry.columns, 1)
    height = min(max(0.115 * rows, 1.2), 6.0)
    whole = height + 2.2
    figure = Figure(figsize=(_WIDTH, whole))
    left, right = 0.075, 0.925
    figure.text(left, 1 - 0.28 / whole, os.path.basename(look.blocks.path), fontsize=15,
                color=_INK, fontweight="bold", va="center")  # fmt: skip
    figure.text(left, 1 - 0.58 / whole, f"{look.blocks.name()}   ·   {summary(look)}",
                fontsize=10, color=_FAINT, va="center")  # fmt: skip
    axes = figure.add_axes((left, 1.2 / whole, right - left, height / whole))
    axes.imshow(_image(look, rows, columns), aspect="auto", interpolation="nearest",
                extent=(0, columns, rows, 0))  # fmt: skip
    _lines(axes, look, rows, columns)
    _ticks(axes, look, rows)
    _proportions(figure, look, (left, 0.62 / whole, right - left, 0.13 / whole), whole)
    figure.savefig(path, dpi=_DOTS, format="png", facecolor="white")


def _image(look: Look, rows: int, columns: int) -> np.ndarray[Any, Any]:
    image = np.full((rows * columns, 3), 255, np.uint8)
    for place, cell in enumerate(look.cells):
        image[place] = mix(cell, LIGHT)
    return image.reshape(rows, columns, 3)


def _lines(axes: Any, look: Look, rows: int, columns: int) -> None:
    """Part the rows, and the blocks of each where they are wide enough."""
    parts = look.geometry.parts
    axes.hlines(range(1, rows), 0, columns, color="white", linewidth=0.9 if rows < 40 else 0.5)
    if 1 < parts < columns and columns // parts <= _MOST_LINES:
        axes.vlines(range(parts, columns, parts), 0, rows, color="white", linewidth=1.6)
    axes.spines[:].set_visible(False)


def _ticks(axes: Any, look: Look, rows: int) -> None:
    """Number the first block of a row at its left, and say at its right how far the file is."""
    blocks, geometry = look.blocks, look.geometry
    step = max(1, -(-rows // 12))
    chosen = range(0, rows, step)
    axes.set_yticks([row + 0.5 for row in chosen])
    numbers = [geometry.first_block(row, blocks.count) for row in chosen]
    axes.set_yticklabels([
        f"{number:,}" if place == 0 or number != numbers[place - 1] else ""
        for place, number in enumerate(numbers)
    ])  # fmt: skip
    axes.set_ylabel("first block of the row", fontsize=9, color=_FAINT)
    axes.set_xticks([])
    axes.tick_params(colors=_INK, labelsize=9, length=0)
    other = axes.twinx()
    other.set_ylim(axes.get_ylim())
    other.set_yticks([row + 0.5 for row in chosen])
    share = [row * geometry.columns / max(geometry.cells, 1) for row in chosen]
    other.set_yticklabels([format_bytes(part * blocks.size) for part in share])
    other.set_ylabel("bytes before it", fontsize=9, color=_FAINT)
    other.tick_params(colors=_INK, labelsize=9, length=0)
    other.spines[:].set_visible(False)


def _proportions(figure: Any, look: Look, place: tuple[float, ...], whole: float) -> None:
    """Draw one bar of all bytes by state, as the key to the colours, with their numbers."""
    from matplotlib.patches import Rectangle

    axes = figure.add_axes(place)
    axes.set_axis_off()
    size = max(look.blocks.size, 1)
    axes.set_xlim(0, size)
    axes.set_ylim(0, 1)
    at = 0
    left, bottom, width, _ = place
    known = amounts(look)
    for number, (state, amount) in enumerate(known):
        colour = _hex(LIGHT[CLEAN if state == "cached" else state])
        if amount:
            axes.add_patch(Rectangle((at, 0), amount, 1, color=colour, linewidth=0))
            at += amount
        words = "unknown" if amount is None else f"{format_bytes(amount)}, {amount / size:.0%}"
        x = left + number * width / 6.6
        y = bottom - 0.24 / whole
        figure.add_artist(Rectangle((x, y - 0.055 / whole), 0.012, 0.11 / whole, color=colour))
        figure.text(x + 0.017, y, state, fontsize=9, color=_INK, va="center")
        figure.text(x + 0.017, y - 0.17 / whole, words, fontsize=8, color=_FAINT, va="center")
    if look.total.cached is not None:
        _scale(figure, (left + 5.05 * width / 6.6, bottom - 0.295 / whole), width / 4.27, whole)


def _scale(figure: Any, corner: tuple[float, float], width: float, whole: float) -> None:
    """Draw what the shades between cached and not cached mean."""
    x, y = corner
    axes = figure.add_axes((x, y, width, 0.11 / whole))
    low, high = np.array(LIGHT[ABSENT]), np.array(LIGHT[CLEAN])
    steps = np.linspace(0, 1, 256)[None, :, None]
    axes.imshow((low + (high - low) * steps) / 255, aspect="auto", extent=(0, 100, 0, 1))
    axes.set_axis_off()
    below = y - 0.115 / whole
    for at, words, side in ((0, "0%", "left"), (0.5, "of a cell cached", "center"),
                            (1, "100%", "right")):  # fmt: skip
        figure.text(x + at * width, below, words, fontsize=8, color=_FAINT, ha=side, va="center")


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
