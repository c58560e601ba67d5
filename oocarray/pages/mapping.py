"""Lends a file's pages as bytes; takes them back only when nobody looks at them any more.

A `Window` maps a byte range of a file between two guard pages.  The NumPy arrays made of
it hold it: it is unmapped when the last of them is gone, never before.  (Closing Python's
``mmap`` under a view raises BufferError; unmapping under one is a segmentation fault.)
A store one element outside the window meets a guard page and ends the process, instead
of changing another block.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import weakref
from typing import Any

import numpy as np

from ..units import format_bytes
from . import calls
from .residency import FOLIO

__all__ = ["Window", "read_pages"]

_READ_BYTES = 256 << 10
"""At a time, of what is read only to have it cached: it stays within a processor's own cache."""


class _Pages:
    """Owner of one mapped address range; arrays made of it keep it alive as their base."""

    __slots__ = ("__array_interface__", "__weakref__")

    def __init__(self, address: int, length: int, writable: bool) -> None:
        self.__array_interface__: dict[str, Any] = {
            "version": 3,
            "shape": (length,),
            "typestr": "|u1",
            "data": (address, not writable),
        }


class Window:
    """Bytes `start` to `stop` of an open file, mapped.

    Parameters
    ----------
    fd : int
        An open descriptor; the mapping outlives it.
    start, stop : int
        Byte range of the file; the mapping reaches out to whole pages.
    writable : bool
        Map for stores too; `fd` must be open for reading and writing.

    Attributes
    ----------
    bytes : numpy.ndarray
        One-dimensional uint8 array of the mapped pages, shared; None once `release` was called.
    origin : int
        Position in the file of ``bytes[0]``.
    populated : set of (int, int)
        Byte ranges of the file that have been brought in once, for whoever keeps the window.

    Raises
    ------
    OSError
        The system has no room for the mapping, or the file cannot be mapped.
    """

    __slots__ = (
        "__weakref__",
        "_address",
        "_finalizer",
        "bytes",
        "length",
        "origin",
        "populated",
        "writable",
    )

    def __init__(self, fd: int, start: int, stop: int, writable: bool = False) -> None:
        self.origin = start - start % calls.PAGE
        self.length = -(-max(stop - self.origin, 1) // calls.PAGE) * calls.PAGE
        self.writable = writable
        self.populated: set[tuple[int, int]] = set()
        # Where address and position agree modulo 2 MiB the kernel can map a folio of that size
        # by one entry; the room for it is taken from addresses only, and guards besides.
        spare = FOLIO if self.length >= FOLIO else 0
        whole = self.length + 2 * calls.PAGE + spare
        try:
            reserved = calls.map_nothing(whole)
        except OSError as error:
            raise _no_room(fd, whole, error) from None
        self._address = reserved + calls.PAGE
        if spare:
            self._address += (self.origin - self._address) % FOLIO
        try:
            calls.map_file(fd, self.origin, self.length, writable, self._address)
        except OSError as error:
            calls.unmap(reserved, whole)
            raise _no_room(fd, whole, error) from None
        pages = _Pages(self._address, self.length, writable)
        # At interpreter exit views may outlive us: the kernel cleans up, finalizers must not.
        self._finalizer = weakref.finalize(pages, calls.unmap, reserved, whole)
        self._finalizer.atexit = False
        self.bytes: np.ndarray[Any, np.dtype[np.uint8]] | None = np.asarray(pages)

    def covers(self, start: int, stop: int) -> bool:
        """Tell whether the byte range of the file lies within the mapping."""
        return self.origin <= start and stop <= self.origin + self.length

    def advise(self, advice: int) -> bool:
        """Give a hint on the whole window; False where the kernel refuses it."""
        return calls.advise(self._address, self.length, advice)

    def populate(self, start: int, stop: int, write: bool = False) -> bool:
        """Bring the pages of a byte range of the file in.

        Raises
        ------
        OSError
            EFAULT: a page cannot be had; as a load it would have been SIGBUS.
        """
        first = max(start - start % calls.PAGE, self.origin)
        last = min(-(-stop // calls.PAGE) * calls.PAGE, self.origin + self.length)
        if last <= first:
            return True
        return calls.populate(self._address + first - self.origin, last - first, write)

    def forget(self, start: int, stop: int) -> None:
        """Take the pages of a byte range out of this process; they come back when touched.

        The page cache keeps them: what no process has mapped can then be dropped from it.
        """
        first = max(start - start % calls.PAGE, self.origin)
        last = min(-(-stop // calls.PAGE) * calls.PAGE, self.origin + self.length)
        if last > first:
            calls.advise(self._address + first - self.origin, last - first, calls.DONTNEED)

    def release(self) -> bool:
        """Let go of the window; True if that unmapped it, False while a view still holds it."""
        self.bytes = None
        return not self._finalizer.alive


def _no_room(fd: int, length: int, error: OSError) -> OSError:
    """Say why there are no addresses for a mapping."""
    path = None
    with contextlib.suppress(OSError):
        path = os.readlink(f"/proc/self/fd/{fd}")
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    text = f"no room to map {format_bytes(length)}"
    if limit != resource.RLIM_INFINITY:
        taken = "unknown"
        with contextlib.suppress(OSError), open("/proc/self/statm") as stream:
            taken = format_bytes(int(stream.read().split()[0]) * calls.PAGE)
        text += (
            f": RLIMIT_AS lets this process have {format_bytes(limit)} of addresses, {taken} are "
            "taken; addresses are not memory: lift the limit (ulimit -v unlimited) and set memory="
        )
    elif error.errno == errno.ENOMEM:
        text += ": this process has as many mappings as it may (sysctl vm.max_map_count)"
    return OSError(error.errno, f"{text} ({error.strerror})", path)


def read_pages(fd: int, start: int, stop: int) -> None:
    """Read past a range, so that its pages are cached, where a mapping is not to be populated.

    What would be SIGBUS in the mapping is an OSError here.
    """
    piece = bytearray(_READ_BYTES)
    position = start - start % calls.PAGE
    while position < stop:
        wanted = memoryview(piece)[: min(stop - position, _READ_BYTES)]
        # Of the file's last page the end may be missing: the mapping has zeros there.
        count = os.preadv(fd, [wanted], position)
        if not count:
            raise OSError(14, "file ends before the mapping does")
        position += -(-count // calls.PAGE) * calls.PAGE
