"""What to call a stored array, its format and its chunks, in words; opens no file."""

from __future__ import annotations

from collections.abc import Sequence

from oocarray.grid import Chunks
from oocarray.storage.layout import Strided
from oocarray.storage.tiled import Tiled

__all__ = ["axes_text", "axis_names", "chunks_text", "kind_text", "path_of", "plain"]

_WIDEST = 40
"""Characters of a name that is in a file: there may be a megabyte of them."""


def path_of(place: Strided | Tiled) -> str:
    """Where an array is, as people say it: a Zarr array is its folder, any other its file."""
    return place.path if isinstance(place, Tiled) else place.file.path


def plain(text: str) -> str:
    r"""Return text on one line, which any terminal and any encoding takes.

    Examples
    --------
    >>> plain("a\nb\udcff ü")
    'a\\nb\\udcff ü'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def axes_text(shape: Sequence[float], dims: Sequence[str | None] | None) -> str:
    """Extents, each with the name of its axis where it has one.

    Examples
    --------
    >>> axes_text((365, 180), ("time", None)), axes_text((3,), None)
    ('(time: 365, 180)', '(3,)')
    """
    names = axis_names(dims)
    if len(names) != len(shape):
        return str(tuple(shape))
    words = [
        f"{n}" if name == "-" else f"{name}: {n}" for name, n in zip(names, shape, strict=True)
    ]
    return f"({', '.join(words)}{',' if len(words) == 1 else ''})"


def axis_names(dims: Sequence[str | None] | None) -> list[str]:
    """Names of axes as they can be shown, "-" for one that has none; empty if all have none.

    Examples
    --------
    >>> axis_names(("time", None)), axis_names((None, None))
    (['time', '-'], [])
    """
    if dims is None or not any(dims):
        return []
    short = [
        name if name is None or len(name) <= _WIDEST else f"{name[:_WIDEST]}..." for name in dims
    ]
    return [plain(name) if name else "-" for name in short]


def kind_text(place: Strided | Tiled, kind: str = "") -> str:
    """Format and way of reading; "" where both are as of any file.

    Parameters
    ----------
    place : Strided or Tiled
    kind : str
        Of the file that it was opened from, where that is known.

    Examples
    --------
    >>> from oocarray.storage.layout import FileKey
    >>> import numpy as np
    >>> place = Strided(FileKey("/x.h5", 1, 2, 90, 4), 0, (3,), np.dtype("f4"), (4,))
    >>> kind_text(place, "HDF5, contiguous"), kind_text(place, ".npy")
    ('HDF5, contiguous; mapped', '')
    """
    if isinstance(place, Tiled):
        return f"{plain(place.table.kind)}; {'decoded' if place.table.encoded else 'mapped'}"
    return "" if kind in ("", ".npy", "raw") else f"{plain(kind)}; mapped"


def chunks_text(place: Strided | Tiled, blocks: Chunks | None) -> str:
    """Shape of the chunks, or files, that an array is stored in; "" where blocks are the same."""
    if not isinstance(place, Tiled):
        return ""
    cuts = place.table.cuts
    shape = tuple(
        1 if line.axis < 0 else max(-(-cuts[line.axis].most // (abs(line.step) or 1)), 1)
        for line in place.lines
    )
    if blocks is not None and shape == tuple(max(sizes, default=0) for sizes in blocks):
        return ""
    return f"{'files' if place.table.kind.startswith('stack') else 'chunks'} of {shape}"
