"""A file mapped whole, and its pieces, for trying out policies; it holds none itself."""

from __future__ import annotations

import ctypes
import mmap
import os
from types import TracebackType

import numpy as np

from oocarray.pages import calls
from oocarray.pages.residency import FOLIO

__all__ = ["DATA", "Mapped", "aligned_buffer", "floats", "pieces"]

DATA = 128
"""Bytes of the header of an ``.npy`` file as NumPy writes it."""


class Mapped:
    """An ``.npy`` file of float64, mapped; arrays made of it must not outlive the ``with`` block.

    Parameters
    ----------
    path : str
    writable : bool
    shift : int
        Bytes by which address and position in the file differ modulo 2 MiB: whole pages.
    """

    def __init__(self, path: str, writable: bool = False, shift: int = 0) -> None:
        self.fd = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        self.size = os.fstat(self.fd).st_size
        self._length = -(-self.size // calls.PAGE) * calls.PAGE
        self._whole = self._length + 2 * FOLIO
        self._reserved = calls.map_nothing(self._whole)
        self._address = -(-self._reserved // FOLIO) * FOLIO + shift
        calls.map_file(self.fd, 0, self._length, writable, self._address)
        room = (ctypes.c_uint8 * self.size).from_address(self._address)
        self._bytes = np.frombuffer(room, "u1")

    def __enter__(self) -> Mapped:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        calls.unmap(self._reserved, self._whole)
        os.close(self.fd)

    def advise(self, advice: int) -> bool:
        """Give a hint on the whole mapping; False where the kernel refuses it."""
        return calls.advise(self._address, self._length, advice)

    def populate(self, start: int, stop: int, write: bool = False) -> None:
        """Bring the pages of a byte range in."""
        first, last = self._pages(start, stop)
        if not calls.populate(self._address + first, last - first, write):
            raise OSError("this kernel cannot populate a mapping (Linux 5.14 can)")

    def forget(self, start: int, stop: int) -> None:
        """Take the pages of a byte range out of this process."""
        first, last = self._pages(start, stop)
        calls.advise(self._address + first, last - first, calls.DONTNEED)

    def elements(self, start: int, stop: int) -> np.ndarray:
        """The elements in a byte range of the file."""
        return floats(self._bytes[start:stop], start, stop)

    @staticmethod
    def _pages(start: int, stop: int) -> tuple[int, int]:
        return start // calls.PAGE * calls.PAGE, -(-stop // calls.PAGE) * calls.PAGE


def pieces(size: int, block: int) -> list[tuple[int, int]]:
    """Byte ranges of a file, cut where its pages and folios are."""
    size -= size % 8
    return [(start, min(start + block, size)) for start in range(0, size, block)]


def floats(buffer: np.ndarray, start: int, stop: int) -> np.ndarray:
    """The float64 in a buffer that holds this byte range of a file: its header left out."""
    first = max(DATA - start, 0)
    return buffer[first : stop - start].view("f8")


def aligned_buffer(nbytes: int) -> np.ndarray:
    """Private memory that begins on a page, as direct I/O wants it."""
    return np.frombuffer(mmap.mmap(-1, nbytes), "u1")
