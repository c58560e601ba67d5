"""Counts how much of a file is in the page cache, dirty or gone from it; changes nothing there.

Two system calls can tell.  ``cachestat`` (Linux 6.5) knows all five numbers of a range.
``mincore`` knows only which pages are cached, and only of files that this process owns or may
write: of others it says "all", which is no answer.  Where both are missing or refused, the
numbers are None: not known, never guessed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from . import calls

__all__ = ["UNKNOWN", "Counts", "count_pages", "cuts_of", "page_runs", "total"]

_PIECE = 1 << 30
"""Bytes that are mapped at once to ask ``mincore``: of each page it gives a byte."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Bytes of a range of a file, in whole pages; None: not known.

    Attributes
    ----------
    cached : int or None
        In the page cache, dirty and being written included.
    dirty, writeback : int or None
        Changed and still to be written; being written now.
    evicted, recently_evicted : int or None
        No more in the cache because memory was needed; those lately enough to be missed.
    """

    cached: int | None = None
    dirty: int | None = None
    writeback: int | None = None
    evicted: int | None = None
    recently_evicted: int | None = None

    def __add__(self, other: Counts) -> Counts:
        """Add two ranges; what is not known of one is not known of both."""
        return Counts(*(_add(getattr(self, name), getattr(other, name)) for name in _NAMES))


_NAMES = ("cached", "dirty", "writeback", "evicted", "recently_evicted")
UNKNOWN = Counts()
_NONE = Counts(0, 0, 0, 0, 0)


def _add(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def total(counts: Iterable[Counts]) -> Counts:
    """Add many ranges.

    Examples
    --------
    >>> total([Counts(4096, 0, 0, 0, 0), Counts(8192)])
    Counts(cached=12288, dirty=None, writeback=None, evicted=None, recently_evicted=None)
    """
    return sum(counts, _NONE)


def count_pages(fd: int, ranges: Iterable[tuple[int, int]]) -> list[Counts]:
    """Count the pages of byte ranges of an open file that are in the page cache now.

    Parameters
    ----------
    fd : int
        A regular file, open for reading.
    ranges : iterable of (int, int)
        Byte ranges; pages at their edges count whole, those beyond the end of the file not.

    Returns
    -------
    list of Counts
        One per range.
    """
    end = os.fstat(fd).st_size
    parts = [(start, min(stop, end)) for start, stop in ranges]
    found: list[Counts] = []
    for start, stop in parts:
        if stop <= start:  # to cachestat a length of 0 means all that follows
            found.append(_NONE)
            continue
        first = start - start % calls.PAGE
        pages = calls.cache_counts(fd, first, stop - first)
        if pages is None:
            return _by_mincore(fd, parts)
        found.append(Counts(*(count * calls.PAGE for count in pages)))
    return found


def _by_mincore(fd: int, ranges: Sequence[tuple[int, int]]) -> list[Counts]:
    if not _may_ask(fd):
        return [UNKNOWN] * len(ranges)
    found = []
    for start, stop in ranges:
        cached: int | None = 0
        while cached is not None and start < stop:
            first = start - start % calls.PAGE
            last = min(first + _PIECE, stop)
            cached = _add(cached, _mapped_and_asked(fd, first, last - first))
            start = last
        found.append(Counts(cached))
    return found


def _mapped_and_asked(fd: int, offset: int, length: int) -> int | None:
    """Cached bytes of a piece, from a mapping of which no page is ever touched."""
    whole = -(-length // calls.PAGE) * calls.PAGE
    try:
        address = calls.map_nothing(whole)
    except OSError:
        return None
    try:
        calls.map_file(fd, offset, whole, False, address)
        pages = calls.resident(address, whole)
    except OSError:
        return None
    finally:
        calls.unmap(address, whole)
    if pages is None:
        return None
    return int(np.count_nonzero(np.frombuffer(pages, np.uint8) & 1)) * calls.PAGE


def _may_ask(fd: int) -> bool:
    """Whether ``mincore`` would tell the truth: the file is ours, or we may write it."""
    if os.fstat(fd).st_uid == os.geteuid():
        return True
    with contextlib.suppress(OSError, NotImplementedError):
        return os.access(f"/proc/self/fd/{fd}", os.W_OK, effective_ids=True)
    return False


def cuts_of(ranges: Sequence[tuple[int, int]], parts: int) -> list[list[tuple[int, int]]]:
    """Cut byte ranges into parts of about as many bytes each, at whole pages of the file.

    Parameters
    ----------
    ranges : sequence of (int, int)
        Ascending, without overlap.
    parts : int
        How many; some are empty where there are fewer pages.

    Examples
    --------
    >>> cuts_of([(100, 20000)], 2)
    [[(100, 8192)], [(8192, 20000)]]
    >>> cuts_of([(0, 4096), (8192, 12288)], 2)
    [[(0, 4096)], [(8192, 12288)]]
    """
    goal = sum(stop - start for start, stop in ranges)
    marks = [goal * part // parts for part in range(parts + 1)]
    found: list[list[tuple[int, int]]] = [[] for _ in range(parts)]
    done = 0
    for start, stop in ranges:
        # The marks inside this range, each moved down to the page it lies in.
        places = [start]
        for mark in marks[1:-1]:
            place = start + mark - done
            if place < stop:
                place = max(place - place % calls.PAGE, places[-1])
            places.append(min(place, stop))
        places.append(stop)
        for part, (low, high) in enumerate(pairwise(places)):
            if low < high:
                found[part].append((low, high))
        done += stop - start
    return found


def page_runs(ranges: Iterable[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    """Join ascending byte ranges that share or touch pages, grown to whole pages up to `end`.

    Examples
    --------
    >>> page_runs([(100, 200), (5000, 6000), (20000, 20001)], 20480)
    [(0, 8192), (16384, 20480)]
    """
    found: list[tuple[int, int]] = []
    for start, stop in ranges:
        low = start - start % calls.PAGE
        high = min(-(-stop // calls.PAGE) * calls.PAGE, max(end, stop))
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        elif low < high:
            found.append((low, high))
    return found
