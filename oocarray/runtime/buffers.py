"""Memory for blocks that are put together, used again when nobody looks at it; holds no data."""

from __future__ import annotations

import math
import sys
import threading
from typing import Any

import numpy as np

__all__ = ["Buffers"]

_MOST = 16
"""Pieces of memory that are kept."""


class Buffers:
    """Memory that is handed out as arrays; it is free when no array of it is left.

    A function may keep a block that it was passed: its memory is then not used again.

    Examples
    --------
    >>> memory = Buffers()
    >>> one = memory.take((3, 4), np.dtype("f8"))
    >>> other = memory.take((3, 4), np.dtype("f8"))
    >>> np.may_share_memory(one, other)
    False
    >>> address = one.ctypes.data
    >>> del one
    >>> memory.take((12,), np.dtype("f8")).ctypes.data == address
    True
    """

    def __init__(self) -> None:
        self._known: list[np.ndarray[Any, Any]] = []
        self._guard = threading.Lock()
        # References to memory that only the list has: its own, and the one that asks.
        probe = [np.empty(1, np.uint8)]
        self._free = sys.getrefcount(probe[0])

    def take(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], zeros: bool = False
    ) -> np.ndarray[Any, Any]:
        """Return an array of any content, or of zeros."""
        size = math.prod(shape) * dtype.itemsize
        with self._guard:
            for number in range(len(self._known)):
                if sys.getrefcount(self._known[number]) > self._free:
                    continue
                if size <= self._known[number].size <= 2 * size:
                    found = self._known[number][:size].view(dtype).reshape(shape)
                    if zeros:
                        found[...] = np.zeros((), dtype)
                    return found
            fresh = np.zeros(size, np.uint8) if zeros else np.empty(size, np.uint8)
            if size:
                if len(self._known) >= _MOST:
                    del self._known[0]
                self._known.append(fresh)
            return fresh.view(dtype).reshape(shape)
