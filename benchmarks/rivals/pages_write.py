"""Ways to write a file whole, as told by words: stores, buffers, writing behind; chooses none."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from numba import njit

from oocarray.pages import calls

from ..mapped import DATA, Mapped, aligned_buffer, floats, pieces
from . import Job, Rival

_ZERO_RANGE = 0x10


@njit(nogil=True)
def _line(out, x, factor, term):
    for i in range(x.size):
        out[i] = factor * x[i] + term


class PagesWrite(Rival):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        _line(np.zeros(8), np.zeros(8), 2.0, 1.0)

    def new(self, how: str = "map", reserve: bool = True, **policy: object) -> None:
        """``2x + 1`` to a new file, its blocks reserved or left to the first store."""
        with open(self.job.source, "rb") as stream:
            header = stream.read(DATA)
        size = os.path.getsize(self.job.source)
        with open(self.job.out, "wb") as stream:
            stream.write(header)
            stream.truncate(size)
            if reserve:
                calls.fallocate(stream.fileno(), 0, size)
        self._copy(self.job.out, how, **policy)

    def over(self, how: str = "map", **policy: object) -> None:
        """``2x + 1`` to a file that has other data."""
        self._copy(self.job.work, how, **policy)

    def _copy(self, target: str, how: str, block: int = 16 << 20, **policy: object) -> None:
        with self._source() as source:
            getattr(self, f"_{how}")(source, target, pieces(source.size, block), **policy)

    @contextmanager
    def _source(self) -> Iterator[Mapped]:
        """The input, the same for all: read in sequence; what is done is dropped."""
        with Mapped(self.job.source) as source:
            source.advise(calls.SEQUENTIAL)
            yield source

    def _map(
        self,
        source: Mapped,
        target: str,
        ranges: list[tuple[int, int]],
        populate: bool = False,
        behind: bool = False,
        zero: bool = False,
    ) -> None:
        with Mapped(target, writable=True) as out, _Behind(out.fd, behind, out) as writing:
            for start, stop in ranges:
                if zero:
                    _zero(out.fd, max(start, calls.PAGE), stop)
                if populate:
                    out.populate(start, stop, write=True)
                _line(out.elements(start, stop), source.elements(start, stop), 2.0, 1.0)
                _let_go(source, start, stop)
                writing.add(start, stop)

    def _pwrite(
        self,
        source: Mapped,
        target: str,
        ranges: list[tuple[int, int]],
        behind: bool = False,
        direct: bool = False,
    ) -> None:
        buffer = aligned_buffer(max(stop - start for start, stop in ranges) + calls.PAGE)
        with ExitStack() as stack:
            fd = os.open(target, os.O_RDWR)
            stack.callback(os.close, fd)
            os.preadv(fd, [buffer[:DATA]], 0)
            header = buffer[:DATA].copy()
            if direct:
                fd = os.open(target, os.O_WRONLY | os.O_DIRECT)
                stack.callback(os.close, fd)
            writing = stack.enter_context(_Behind(fd, behind))
            for start, stop in ranges:
                buffer[:DATA] = header
                out = floats(buffer, start, stop)
                _line(out, source.elements(start, stop), 2.0, 1.0)
                _let_go(source, start, stop)
                length = stop - start
                if direct:  # whole pages; the file is cut to its size again
                    length = -(-length // calls.PAGE) * calls.PAGE
                if os.pwrite(fd, buffer[:length], start) != length:
                    raise OSError("written in part")
                writing.add(start, stop)
            if direct:
                os.ftruncate(fd, source.size)

    def in_place(self, behind: bool = False, block: int = 16 << 20) -> None:
        """``a x + b`` on the mapped pages."""
        with Mapped(self.job.work, writable=True) as file:
            file.advise(calls.SEQUENTIAL)
            with _Behind(file.fd, behind, file) as writing:
                for start, stop in pieces(file.size, block):
                    part = file.elements(start, stop)
                    _line(part, part, self.job.factor, self.job.term)
                    writing.add(start, stop)


class _Behind:
    """Starts writing each piece at once, and waits for it one piece later; or leaves all to sync.

    On the disk in either case when the ``with`` block is over.
    """

    def __init__(self, fd: int, behind: bool, mapped: Mapped | None = None) -> None:
        self._fd, self._behind, self._mapped = fd, behind, mapped
        self._last: tuple[int, int] | None = None

    def __enter__(self) -> _Behind:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._finish()
            os.fdatasync(self._fd)

    def add(self, start: int, stop: int) -> None:
        if self._behind:
            calls.start_writing(self._fd, start, stop - start)
            self._finish()
            self._last = start, stop

    def _finish(self) -> None:
        if self._last is None:
            return
        start, stop = self._last
        calls.wait_written(self._fd, start, stop - start)
        if self._mapped is not None:
            self._mapped.forget(start, stop)
        calls.drop_cached(self._fd, start, stop - start)


def _let_go(source: Mapped, start: int, stop: int) -> None:
    source.forget(start, stop)
    calls.drop_cached(source.fd, start, stop - start)


def _zero(fd: int, start: int, stop: int) -> None:
    """Have a range read as zeros, so that a store need not read what was there."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = ctypes.c_int64(start), ctypes.c_int64(stop - start)
    if libc.fallocate(fd, _ZERO_RANGE, *place):
        raise OSError(ctypes.get_errno(), "fallocate(ZERO_RANGE) is refused here")


RIVAL = PagesWrite
