"""Arrays in anonymous shared memory, for what workers must see and no file holds; one memfd each.

Nothing of it has a name: it is gone with the last process that holds it, however that ends.
"""

from __future__ import annotations

import errno
import os
import tempfile
import weakref
from typing import Any

import numpy as np

from ..pages import calls
from ..pages.mapping import Window
from ..storage.filekey import MEMORY, FileKey
from ..storage.layout import Strided

__all__ = ["Shared", "lasting", "share", "unnamed"]

Array = np.ndarray[Any, Any]

_lasting: weakref.WeakValueDictionary[tuple[int, int], Shared] = weakref.WeakValueDictionary()


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
        self.fd = unnamed(max(nbytes, 1))
        try:
            key = FileKey.of(self.fd, path=MEMORY)
            window = Window(self.fd, 0, max(nbytes, 1), writable=True)
        except BaseException:
            self.close()
            raise
        strides = _c_strides(shape, dtype.itemsize)
        self.strided = Strided(key, 0, shape, dtype, strides)
        assert window.bytes is not None
        self.array: Array = np.ndarray(shape, dtype, window.bytes)

    def last(self) -> None:
        """Let the runs of this process find it by its address, as long as somebody holds it."""
        key = self.strided.file
        _lasting[key.dev, key.ino] = self
        weakref.finalize(self, os.close, self.fd)

    def close(self) -> None:
        """Close the descriptor; the array stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def lasting(key: FileKey) -> int:
    """Return the descriptor of shared memory that is there for longer than a run; it stays its.

    Raises
    ------
    FileNotFoundError
        It is gone, or was never this process's.
    """
    found = _lasting.get((key.dev, key.ino))
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "the array was kept in memory that is gone")
    return found.fd


def share(array: Array) -> Shared:
    """Copy an array into shared memory, in C order."""
    copy = Shared(array.shape, array.dtype)
    copy.array[...] = array
    # It is for others: here it would count as held a second time.
    calls.advise(copy.array.ctypes.data, max(copy.array.nbytes, 1), calls.DONTNEED)
    return copy


def unnamed(nbytes: int) -> int:
    """Open an unnamed file of memory; where the system has none, an unlinked temporary file."""
    try:
        fd = os.memfd_create("oocarray", os.MFD_CLOEXEC)
    except (AttributeError, OSError) as error:
        if getattr(error, "errno", 0) in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        fd, name = tempfile.mkstemp(prefix="oocarray-")
        os.unlink(name)
    try:
        os.ftruncate(fd, nbytes)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _c_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides = []
    for size in reversed(shape):
        strides.append(itemsize)
        itemsize *= max(size, 1)
    return tuple(reversed(strides))
