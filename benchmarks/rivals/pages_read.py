"""Ways to read a file once, as told by words: advice, populating, dropping; chooses none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
from numba import njit

from oocarray.pages import calls

from ..mapped import DATA, Mapped, aligned_buffer, floats, pieces
from . import Job, Rival

_ADVICE = {"sequential": calls.SEQUENTIAL, "hugepage": calls.HUGEPAGE, "random": 1}
_AHEAD = 3
"""Pieces for which WILLNEED asks before the one that is worked on."""


@njit(nogil=True, fastmath=True)
def _sum(values):
    total = 0.0
    for i in range(values.size):
        total += values[i]
    return total


class PagesRead(Rival):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        _sum(np.zeros(8))
        read_only = np.zeros(8)
        read_only.flags.writeable = False
        _sum(read_only)

    def read(
        self,
        how: str = "map",
        block: int = 16 << 20,
        share: float = 1.0,
        processes: int = 1,
        split: str = "halves",
        **policy: object,
    ) -> list[float]:
        """Number of elements read, and their sum."""
        size = os.path.getsize(self.job.source)
        ranges = pieces(size if share == 1.0 else int(size * share), block)
        mine = [ranges]
        if processes > 1 and split == "halves":
            cut = -(-len(ranges) // processes)
            mine = [ranges[start : start + cut] for start in range(0, len(ranges), cut)]
        elif processes > 1:
            mine = [ranges[first::processes] for first in range(processes)]
        work: Callable[..., float] = getattr(self, f"_{how}")
        total = sum(_side_by_side([lambda part=part: work(part, **policy) for part in mine]))
        return [(ranges[-1][1] - DATA) // 8, total]

    def _map(
        self,
        ranges: list[tuple[int, int]],
        advice: str = "",
        populate: str = "",
        drop: str = "",
        shift: int = 0,
    ) -> float:
        total, waiting = 0.0, None
        with Mapped(self.job.source, shift=shift) as file, ExitStack() as stack:
            if advice and not file.advise(_ADVICE[advice]):
                raise OSError(f"this kernel does not take the advice {advice} for this file")
            pool = stack.enter_context(ThreadPoolExecutor(1)) if populate == "thread" else None
            for number, (start, stop) in enumerate(ranges):
                if populate == "willneed":
                    for ahead, end in ranges[number + (_AHEAD if number else 0) :][: _AHEAD + 1]:
                        os.posix_fadvise(file.fd, ahead, end - ahead, os.POSIX_FADV_WILLNEED)
                        if number:
                            break
                elif pool is not None:
                    waiting = waiting or pool.submit(file.populate, start, stop)
                    waiting.result()
                    waiting = _next(pool, file, ranges, number + 1)
                elif populate == "piece":
                    file.populate(start, stop)
                total += _sum(file.elements(start, stop))
                if drop:
                    file.forget(start, stop)
                if drop == "cache":
                    calls.drop_cached(file.fd, start, stop - start)
        return total

    def _pread(self, ranges: list[tuple[int, int]]) -> float:
        total, fd = 0.0, os.open(self.job.source, os.O_RDONLY)
        try:
            buffer = np.empty(max(stop - start for start, stop in ranges), "u1")
            for start, stop in ranges:
                os.preadv(fd, [buffer[: stop - start]], start)
                total += _sum(floats(buffer, start, stop))
                calls.drop_cached(fd, start, stop - start)
        finally:
            os.close(fd)
        return total

    def _direct(self, ranges: list[tuple[int, int]], buffers: int = 1) -> float:
        """Past the page cache; with two buffers, one is filled while the other is summed."""
        total, fd = 0.0, os.open(self.job.source, os.O_RDONLY | os.O_DIRECT)
        room = -(-max(stop - start for start, stop in ranges) // calls.PAGE) * calls.PAGE
        spaces = [aligned_buffer(room) for _ in range(buffers)]

        def fill(number: int) -> None:
            os.preadv(fd, [spaces[number % buffers]], ranges[number][0])

        try:
            with ThreadPoolExecutor(1) as pool:
                coming: Future[None] = pool.submit(fill, 0)
                for number, (start, stop) in enumerate(ranges):
                    coming.result()
                    if buffers > 1 and number + 1 < len(ranges):
                        coming = pool.submit(fill, number + 1)
                    total += _sum(floats(spaces[number % buffers], start, stop))
                    if buffers == 1 and number + 1 < len(ranges):
                        coming = pool.submit(fill, number + 1)
        finally:
            os.close(fd)
        return total

    def edges(self, block: int, nbytes: int, reach: int) -> list[float]:
        """Blocks that begin where the data do; each is dropped when its neighbour is mapped."""
        size = min(nbytes + DATA, os.path.getsize(self.job.source))
        ranges = [(start, min(start + block, size)) for start in range(DATA, size, block)]
        total = 0.0
        with Mapped(self.job.source) as file:
            file.advise(calls.HUGEPAGE)
            for number, (start, stop) in enumerate(ranges):
                total += _sum(file.elements(start, stop))
                for behind in ranges[max(number - 1, 0) : number]:
                    _drop(file, *behind, reach)
            _drop(file, *ranges[-1], reach)
        return [(size - DATA) // 8, total]


def _drop(file: Mapped, start: int, stop: int, reach: int) -> None:
    file.forget(start, stop)
    first = max(start - reach, 0) if reach else start
    calls.drop_cached(file.fd, first, stop - first)


def _next(
    pool: ThreadPoolExecutor, file: Mapped, ranges: list[tuple[int, int]], number: int
) -> Future[None] | None:
    return pool.submit(file.populate, *ranges[number]) if number < len(ranges) else None


def _side_by_side(work: list[Callable[[], float]]) -> Iterator[float]:
    """Results of functions, each in a process of its own where there are several."""
    if len(work) == 1:
        yield work[0]()
        return
    children = []
    for function in work:
        ours, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            status = 1
            try:
                os.write(theirs, repr(function()).encode())
                status = 0
            finally:
                os._exit(status)
        os.close(theirs)
        children.append((pid, ours))
    for pid, ours in children:
        with os.fdopen(ours) as stream:
            text = stream.read()
        if os.waitpid(pid, 0)[1] or not text:
            raise RuntimeError("a reading process failed")
        yield float(text)


RIVAL = PagesRead
