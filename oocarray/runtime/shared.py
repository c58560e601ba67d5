"""Arrays in anonymous shared memory, for what workers must see and no file holds; one memfd each.

Nothing of it has a name: it is gone with the last process that holds it, however that ends.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np

from ..pages.mapping import Window
from ..storage.filekey import MEMORY, FileKey
from ..storage.layout import Strided

__all__ = ["Shared", "share"]

Array = np.ndarray[Any, Any]


class Shared:
    """A C-contiguous array of zeros in shared memory.

    Attributes
    ----------
    array : numpy.ndarray
        The array in this process; it keeps the memory alive by itself.
    strided : Strided
        Its address for others, who get `fd`.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        nbytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
        self.fd = _unnamed(max(nbytes, 1))
        strides = _c_strides(shape, dtype.itemsize)
        key = FileKey.of(self.fd, path=MEMORY)
        self.strided = Strided(key, 0, shape, dtype, strides)
        window = Window(self.fd, 0, max(nbytes, 1), writable=True)
        assert window.bytes is not None
        self.array: Array = np.ndarray(shape, dtype, window.bytes)

    def close(self) -> None:
        """Close the descriptor; the array stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def share(array: Array) -> Shared:
    """Copy an array into shared memory, in C order."""
    copy = Shared(array.shape, array.dtype)
    copy.array[...] = array
    return copy


def _unnamed(nbytes: int) -> int:
    """Open an unnamed file of memory; where the system has none, an unlinked temporary file."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("oocarray", os.MFD_CLOEXEC)
    else:
        fd, name = tempfile.mkstemp(prefix="oocarray-")
        os.unlink(name)
    os.ftruncate(fd, nbytes)
    return fd


def _c_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides = []
    for size in reversed(shape):
        strides.append(itemsize)
        itemsize *= max(size, 1)
    return tuple(reversed(strides))
