"""Reads an array that lies in this machine's memory under a descriptor; it keeps no mapping."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ...storage.layout import Strided

__all__ = ["in_memory"]


def in_memory(place: Strided, fd: int) -> np.ndarray[Any, Any]:
    """A copy of an array that no other machine can open, to travel by value."""
    start, stop = place.span()
    held = np.empty(stop - start, np.uint8)
    rest, at = held.data, start
    while rest:
        done = os.preadv(fd, [rest], at)
        assert done, f"{place.file.path} is shorter than its array"
        rest, at = rest[done:], at + done
    return np.ascontiguousarray(place.view(held, start)) if place.ndim else place.view(held, start)
