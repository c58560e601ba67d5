"""From a `numpy.memmap` to its place in a file and back; it reads no data."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np

from .files import open_regular
from .layout import FileKey, Strided

__all__ = ["as_memmap", "layout_of"]


def layout_of(array: np.ndarray[Any, Any]) -> Strided | None:
    """Tell where in which file the elements of an array are.

    Returns
    -------
    Strided or None
        None when the array is not a view of a file's pages: an array in memory, a
        copy-on-write map (its changes are in no file), or a file that has lost its name.

    Examples
    --------
    >>> layout_of(np.zeros(3)) is None
    True
    """
    base: Any = array
    # Between an array and its view by `as_strided` stands an object that is no array.
    while hasattr(base, "__array_interface__") and not _is_root(base):
        base = getattr(base, "base", None)
    if not isinstance(base, np.memmap) or base.mode == "c" or base.filename is None:
        return None
    path = os.fspath(base.filename)
    try:
        key = FileKey.of(path)
    except OSError:
        return None
    address = base.__array_interface__["data"][0]
    if _lost_its_name(address):
        return None
    first = array.__array_interface__["data"][0] - address
    offset = int(base.offset) + first
    layout = Strided(key, offset, array.shape, array.dtype, array.strides)
    start, stop = layout.span()
    if array.size and not 0 <= start < stop <= key.size:
        return None
    return layout


def as_memmap(layout: Strided, mode: str) -> np.memmap[Any, Any]:
    """Map an array as plain `numpy.memmap`.

    Raises
    ------
    ValueError
        It has no elements: nothing can be mapped.
    InputChangedError, TruncatedFileError
        The file is not the one that was opened any more: NumPy would make a short one longer.
    """
    path, order = layout.file.path, layout.contiguous
    if not layout.size:
        raise ValueError(f"{path}: an array without elements cannot be mapped")
    how: Any = mode
    writable = mode != "r"

    def regular(path: str, flags: int) -> int:
        return open_regular(path, writable)

    with open(path, "r+b" if writable else "rb", opener=regular) as file:
        layout.file.check_open(file.fileno())
        if order:
            return np.memmap(file, layout.dtype, how, layout.offset, layout.shape, order)  # type: ignore[call-overload,no-any-return]
        start, stop = layout.span()
        raw: Any = np.memmap(file, np.uint8, how, start, (stop - start,))
    view: Any = np.ndarray.__new__(
        np.memmap, layout.shape, layout.dtype, raw, layout.offset - start, layout.strides
    )
    view._mmap, view.filename, view.mode = raw._mmap, raw.filename, raw.mode
    view.offset = layout.offset
    return view  # type: ignore[no-any-return]


def _lost_its_name(address: int) -> bool:
    """Whether the file that memory shows was removed, or replaced by another of its name.

    As far as the system tells: its name, and what lies there now, say nothing of the old one.
    """
    with contextlib.suppress(OSError), open("/proc/self/maps", errors="replace") as stream:
        for line in stream:
            low, _, high = line.partition(" ")[0].partition("-")
            if int(low, 16) <= address < int(high, 16):
                return line.rstrip("\n").endswith(" (deleted)")
    return False


def _is_root(array: Any) -> bool:
    """Whether this is the array that the map was made with: its `offset` is its own."""
    return isinstance(array, np.memmap) and not isinstance(array.base, np.ndarray)
