"""Figures for people: a look at a scene, and a histogram; computes nothing from large arrays."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

__all__ = ["draw_histogram", "draw_quicklook", "why_no_figures"]

Picture = np.ndarray[Any, Any]

_INK, _FAINT = "#222222", "#8a8a8a"
_COLOURS = (
    (0.0, "#08306b"), (0.3, "#3f7fb8"), (0.48, "#d9e6ee"), (0.52, "#f4ecd2"),
    (0.62, "#dfd28f"), (0.75, "#8fbf5f"), (0.88, "#2f8a3e"), (1.0, "#0b3d1e"),
)  # fmt: skip
"""Of an index from -1 to 1: water blue, bare ground sand, the more leaves the darker green."""
_DOTS = 150


def why_no_figures() -> str | None:
    """Return what keeps figures from being drawn, and the remedy; None when nothing does."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return "matplotlib is not installed: pip install 'oocarray[plot]' (or matplotlib)"
    return None


def draw_quicklook(
    path: str | os.PathLike[str], scene: Picture, index: Picture, title: str
) -> None:
    """Draw a scene in infrared colours and, beside it, its vegetation index.

    Parameters
    ----------
    path : path-like
        Of the PNG file; replaced if it exists.
    scene : ndarray, shape (3, rows, columns)
        Reflectance (0 to 1) in red, near infrared and green.
    index : ndarray, shape (rows, columns)
        -1 to 1.
    title : str
        Above both.
    """
    from matplotlib.figure import Figure

    rows, columns = index.shape
    width = 12.0
    figure = Figure(figsize=(width, 0.8 + width * 0.46 * rows / columns), layout="constrained")
    left, right = figure.subplots(1, 2)
    figure.suptitle(title, fontsize=14, color=_INK, fontweight="bold")
    left.imshow(_infrared(scene), interpolation="antialiased")
    left.set_title("Near infrared, red and green as red, green and blue", fontsize=10, color=_INK)
    image = right.imshow(index, cmap=_colours(), vmin=-1, vmax=1, interpolation="antialiased")
    right.set_title("Vegetation index (nir - red) / (nir + red)", fontsize=10, color=_INK)
    bar = figure.colorbar(
        image, ax=right, fraction=0.046, pad=0.02, aspect=28, ticks=[-1, -0.5, 0, 0.5, 1]
    )
    bar.set_label("NDVI (dimensionless)", fontsize=9, color=_INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=0)
    for axes in (left, right):
        axes.set_axis_off()
    figure.savefig(path, dpi=_DOTS)


def draw_histogram(
    path: str | os.PathLike[str], counts: Picture, edges: Picture, statistics: dict[str, float]
) -> None:
    """Draw how often each value of a vegetation index occurs.

    Parameters
    ----------
    path : path-like
        Of the PNG file; replaced if it exists.
    counts, edges : ndarray, shapes (n,) and (n + 1,)
        As `numpy.histogram` returns them.
    statistics : dict
        Named values for a line under the title; ``"mean"`` is marked.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    centres = (edges[:-1] + edges[1:]) / 2
    heights = counts / 1e6
    colours = _colours()((centres + 1) / 2)
    axes.bar(edges[:-1], heights, np.diff(edges), align="edge", color=colours, linewidth=0)
    axes.stairs(heights, edges, color=_INK, linewidth=0.6)
    top = float(heights.max()) or 1.0
    axes.set_ylim(0, top * 1.12)
    axes.set_xlim(edges[0], edges[-1])
    mean = statistics["mean"]
    axes.axvline(mean, color=_INK, linewidth=1, linestyle=(0, (4, 3)))
    near_right = mean > (edges[0] + edges[-1]) / 2
    axes.annotate(
        f"mean {mean:.3f}", (mean, top * 1.07), xytext=(-6 if near_right else 6, 0),
        textcoords="offset points", ha="right" if near_right else "left", va="center",
        fontsize=9, color=_INK,
    )  # fmt: skip
    words = "    ".join(f"{name} {value:.3f}" for name, value in statistics.items())
    figure.suptitle("Vegetation index of every pixel", fontsize=14, color=_INK, fontweight="bold")
    axes.set_title(f"{int(counts.sum()):,} pixels    {words}", fontsize=9, color=_FAINT)
    axes.set_xlabel("NDVI (dimensionless)", color=_INK)
    axes.set_ylabel(f"million pixels per bin of {edges[1] - edges[0]:.2g}", color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=9)
    figure.savefig(path, dpi=_DOTS)


def _colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("vegetation", _COLOURS)


def _infrared(scene: Picture) -> Picture:
    """Mix the bands to a picture; the square root opens the shadows, as the eye would."""
    red, infrared, green = scene
    picture = np.stack([infrared, red, green], axis=-1)
    return np.sqrt(np.clip(picture / 0.6, 0, 1))
