"""Reads an array that lies in this machine's memory under a descriptor; it keeps no mapping."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np

from ...storage.layout import Strided

__all__ = ["in_memory", "travelling_order"]


def travelling_order(place: Strided) -> Literal["C", "F"]:
    """The order in which an array arrives elsewhere."""
    return "F" if place.contiguous == "F" else "C"


def in_memory(place: Strided, fd: int) -> np.ndarray[Any, Any]:
    """A copy of an array that no other machine can open, to travel by value."""
    start, stop = place.span()
    held = np.empty(stop - start, np.uint8)
    rest, at = held.data, start
    while rest:
        done = os.preadv(fd, [rest], at)
        assert done, f"{place.file.path} is shorter than its array"
        rest, at = rest[done:], at + done
    # What was compiled for its blocks holds for either order, and for no other.
    return np.asarray(place.view(held, start), order=travelling_order(place))
