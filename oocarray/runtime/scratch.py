"""Lends block-sized memory again and again; never what somebody still refers to, nor objects."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from ..grid import Order

__all__ = ["SMALL", "Scratch"]

SMALL = 64 << 10
"""Bytes below which fresh memory costs nothing worth saving."""
_ALIGNED = 64

Block = np.ndarray[Any, Any]


class _Buffer:
    """Memory that blocks are views of; each view refers to `memory` until the last is gone."""

    __slots__ = ("memory", "size", "start", "taken")

    def __init__(self, size: int) -> None:
        self.size = size
        self.memory: Block = np.empty(size + _ALIGNED, np.uint8)
        self.start = -self.memory.ctypes.data % _ALIGNED
        self.taken = False

    def count(self) -> int:
        # Views of views have the owner of the memory as their base, or keep the view that has.
        return sys.getrefcount(self.memory)

    def free(self) -> bool:
        """Whether no block lies in this memory any more."""
        return self.count() == _ALONE


_ALONE = _Buffer(0).count()
"""What is counted when only the buffer itself refers to its memory, in this Python."""


class Scratch:
    """Memory for the blocks that lie between functions, for one thread.

    A block is an ordinary array.  Its memory is lent again as soon as neither it nor any view of
    it exists, and is left to whoever still has one when the item ends.

    Attributes
    ----------
    made : int
        How often new memory was needed for a block of `SMALL` bytes and more.

    Examples
    --------
    >>> scratch = Scratch()
    >>> block = scratch.take((100, 100), np.dtype("f8"))
    >>> place = block.ctypes.data
    >>> kept = block[:1]
    >>> scratch.take((100, 100), np.dtype("f8")).ctypes.data == place  # somebody looks at it
    False
    >>> del block, kept
    >>> scratch.new_item()
    >>> scratch.take((100, 90), np.dtype("f8"), most=10_000).ctypes.data == place
    True
    >>> scratch.made
    2
    """

    def __init__(self) -> None:
        self._buffers: list[_Buffer] = []
        self.made = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the memory that is kept."""
        return sum(buffer.size for buffer in self._buffers)

    def take(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        order: Order = "C",
        most: int = 0,
        zeros: bool = False,
    ) -> Block:
        """Return a block to fill: contiguous, writable, and nobody else's.

        Parameters
        ----------
        shape : tuple of int
        dtype : dtype
        order : {"C", "F"}
        most : int
            Elements of the largest block that is asked for at the same place: blocks at the edge
            of an array then lie in the memory of the others, and need none of their own.
        zeros : bool
            The block holds zeros; else anything.
        """
        count = math.prod(shape)
        size = max(count, most) * dtype.itemsize
        if size < SMALL or not count or dtype.hasobject:
            return (np.zeros if zeros else np.empty)(shape, dtype, order)
        # Of this size only: in larger memory, small blocks would leave large ones without.
        buffer = next((one for one in self._buffers if one.size == size and one.free()), None)
        if buffer is None:
            buffer = _Buffer(size)
            self._buffers.append(buffer)
            self.made += 1
        buffer.taken = True
        if zeros:
            buffer.memory[buffer.start : buffer.start + count * dtype.itemsize] = 0
        return np.ndarray(shape, dtype, buffer.memory, buffer.start, order=order)

    def new_item(self) -> None:
        """Keep what the item before has used, and what nobody has kept of it.

        Nothing changes where it has used nothing, so that this may be called twice.
        """
        if any(buffer.taken for buffer in self._buffers):
            self._buffers = [one for one in self._buffers if one.taken and one.free()]
            for buffer in self._buffers:
                buffer.taken = False

    def close(self) -> None:
        """Let go of all memory; blocks that somebody has keep theirs."""
        self._buffers.clear()
