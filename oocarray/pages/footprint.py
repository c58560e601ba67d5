"""How many bytes of pages a region of a file takes up in memory; pure numbers, no file is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .calls import PAGE

__all__ = ["WIDE", "hole_size", "mapped_bytes"]

WIDE = 64 << 10
"""Bytes between two runs that are cheaper to bring in than to leave out."""


def mapped_bytes(
    extents: Sequence[int], strides: Sequence[int], itemsize: int, offset: int = 0
) -> int:
    """Bytes of the pages that hold a region: more than its own where it has holes.

    Parameters
    ----------
    extents, strides : sequence of int
        Elements, and bytes between two of them, along each axis.
    itemsize : int
        Bytes per element.
    offset : int
        Of any element in the file: runs that begin in the middle of pages take up one more.

    Examples
    --------
    >>> mapped_bytes((100, 512), (4096, 8), 8)
    409600
    >>> mapped_bytes((100, 512), (8192, 8), 8, offset=128)  # half of each row
    815104
    >>> mapped_bytes((100, 512), (1 << 20, 8), 8)  # of each row one page is mapped
    409600
    """
    gap = hole_size(extents, strides, itemsize)
    count, length = _runs(extents, strides, itemsize, gap)
    if count < 2:
        return length
    apart = (abs(step) for step, extent in zip(strides, extents, strict=True) if extent > 1)
    whole = not any(step % PAGE for step in (offset, length, *(s for s in apart if s >= length)))
    pages = length // PAGE if whole else (length + PAGE - 2) // PAGE + 1
    return min(count * pages * PAGE, _runs(extents, strides, itemsize, 1 << 62)[1])


def hole_size(extents: Sequence[int], strides: Sequence[int], itemsize: int) -> int:
    """Bytes between two runs of a region from which on they are brought in one by one.

    Holes of up to 64 KiB come along, unless that would more than double what is mapped, or the
    runs are so short that the kernel would map more around each of them than they are.
    """
    plain = math.prod(extents) * itemsize
    count, length = _runs(extents, strides, itemsize, WIDE)
    short = count > 1 and length < WIDE
    return PAGE if short or count * length > 2 * plain else WIDE


def _runs(
    extents: Sequence[int], strides: Sequence[int], itemsize: int, gap: int
) -> tuple[int, int]:
    """How many runs a region has, and their length, when smaller holes than `gap` are closed."""
    if 0 in extents:
        return 0, 0
    pairs = zip(strides, extents, strict=True)
    steps = sorted((abs(step), extent) for step, extent in pairs if extent > 1)
    count, length = 1, itemsize
    for step, extent in steps:
        if count == 1 and (step <= length or step - length < gap):
            length += (extent - 1) * step
        else:
            count *= extent
    return count, length
