"""Leaves the page cache as a run found it: knows what was cached before, drops what came with it.

It drops clean pages that no process maps, by descriptors that are handed to it; it opens no
file, writes none, and never drops what it does not know to have come with the run.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Literal

from ..pages import calls
from ..pages.pagecache import count_pages
from ..pages.residency import FOLIO, Finished

__all__ = ["CacheBefore", "Drop", "cached_ranges", "drop_all", "drop_of"]

Drop = Literal["behind", "at the end", "never"]
FileId = tuple[int, int]

_QUESTIONS = 4096
"""Put to the kernel about one file, at most, to find what is cached of it."""
_AHEAD = 16 << 20
"""Bytes that the kernel may have read beyond what it was asked for."""
_PATIENCE = 0.3
"""Seconds that workers may take to let go of what they have mapped."""
_BLIND_TRIES = 6
"""Times to drop, 10 ms apart, where it cannot be seen whether anything is left."""


def drop_of(policy: str, wanted: bool | None) -> Drop:
    """When a run lets go of the cached pages that came with it.

    Parameters
    ----------
    policy : {"resident", "stream"}
    wanted : bool or None
        The option ``drop``.

    Examples
    --------
    >>> drop_of("stream", None), drop_of("resident", None), drop_of("resident", True)
    ('behind', 'never', 'at the end')
    """
    if wanted is False or (wanted is None and policy != "stream"):
        return "never"
    return "behind" if policy == "stream" else "at the end"


class CacheBefore:
    """What of a run's files was in the page cache when the run first looked at each.

    Parameters
    ----------
    fresh : iterable of (int, int)
        Device and inode of the run's own new files: nothing of them is anybody else's.
    wanted : bool or None
        The option ``drop``. Where the kernel does not tell what is cached, nothing is dropped
        of a file that was there before, unless this is True.
    """

    def __init__(self, fresh: Iterable[FileId], wanted: bool | None) -> None:
        self._fresh, self._wanted = frozenset(fresh), wanted
        self._before: dict[FileId, list[tuple[int, int]]] = {}
        self._later: dict[int, Finished] = {}

    def finished(self, file_id: FileId, fd: int) -> Finished:
        """Return an empty union of finished ranges, which leaves out what was cached before."""
        if file_id not in self._before:
            self._before[file_id] = [] if file_id in self._fresh else self._look(fd)
        return Finished(self._before[file_id])

    def _look(self, fd: int) -> list[tuple[int, int]]:
        found = cached_ranges(fd)
        if found is None:
            # Rather too much cached than another's pages gone.
            return [] if self._wanted else [(0, 1 << 62)]
        return found

    def later(self, file_id: FileId, fd: int, span: tuple[int, int]) -> None:
        """Note a range to be dropped at the end of the run."""
        if fd not in self._later:
            self._later[fd] = self.finished(file_id, fd)
        self._later[fd].add(*span, 0)

    def let_go(self) -> None:
        """At the end of the run: drop what was noted."""
        drop_all(self._later)
        self._later = {}


def drop_all(files: dict[int, Finished]) -> None:
    """Drop all finished ranges of files, by descriptor, and what was read ahead of them.

    Pages that a worker has still mapped cannot be dropped: it is given a moment to let go.
    """
    ranges = {fd: list(_wider(done)) for fd, done in files.items()}
    limit = time.monotonic() + _PATIENCE
    for number in itertools.count(1):
        left, untold = 0, False
        for fd, parts in ranges.items():
            for low, high in parts:
                calls.drop_cached(fd, low, high - low)
            found = [counts.cached for counts in count_pages(fd, parts)]
            left += sum(cached or 0 for cached in found)
            untold |= None in found
        # Where nobody can tell what is left, a few tries must do.
        if (left < FOLIO and not (untold and number < _BLIND_TRIES)) or time.monotonic() > limit:
            return
        time.sleep(0.01)


def _wider(finished: Finished) -> Iterator[tuple[int, int]]:
    """The finished ranges with what the kernel read beside them, less what was there before."""
    for low, high in finished.spans():
        yield from finished.without_kept(max(low - FOLIO, 0), high + _AHEAD)


def cached_ranges(fd: int) -> list[tuple[int, int]] | None:
    """Find the byte ranges of a file that are in the page cache; None where nobody can tell.

    Halves what is cached in part, the largest pieces first.  What is still mixed after some
    thousand questions counts as cached if at least half of it is.
    """
    size = os.fstat(fd).st_size
    whole = -(-size // calls.PAGE) * calls.PAGE
    waiting, kept, questions = deque([(0, whole)]), list[tuple[int, int]](), 0
    while waiting:
        start, stop = waiting.popleft()
        if start >= stop:
            continue
        (counts,) = count_pages(fd, [(start, stop)])
        questions += 1
        if counts.cached is None:
            return None
        if counts.cached >= stop - start:
            kept.append((start, stop))
        elif counts.cached and stop - start > calls.PAGE:
            if questions < _QUESTIONS:
                middle = (start + stop) // 2 // calls.PAGE * calls.PAGE
                waiting += (start, middle), (middle, stop)
            elif 2 * counts.cached >= stop - start:
                kept.append((start, stop))
    return kept
