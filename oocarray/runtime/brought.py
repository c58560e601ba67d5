"""What a run brings into the page cache of the many files of an array, and lets go of again.

A worker opens pieces by itself, so it drops their pages by itself: what was cached when it first
saw a file stays.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from ..pages import calls
from ..pages.residency import FOLIO, Finished
from ..storage.filekey import FileKey
from .leaving import cached_ranges

__all__ = ["Brought", "File"]

_MOST = 100_000
"""Files that are remembered; of those before, a page may stay."""


@dataclass(slots=True)
class File:
    """One file of an array in pieces."""

    key: FileKey
    before: Finished
    """What was cached before."""
    known: bool
    """Whether the kernel tells what is cached; else nothing is dropped."""
    whole: bool = False
    """Whether all of it has been dropped since it was used last."""

    def drop(self, fd: int, start: int, stop: int) -> None:
        """Let go of a range that is done with; of all, where that is most of the file."""
        if not self.known:
            return
        self.whole = self.key.size - (stop - start) < FOLIO
        if self.whole:
            start, stop = 0, self.key.size
        for low, high in self.before.without_kept(start - start % calls.PAGE, stop):
            calls.drop_cached(fd, low, high - low)


class Brought:
    """The files that one process has looked at in a stage."""

    def __init__(self) -> None:
        self._files: dict[tuple[int, int], File] = {}

    def file(self, fd: int, key: FileKey) -> File:
        """What is known of a file that is about to be read."""
        name = key.dev, key.ino
        found = self._files.get(name)
        if found is None:
            cached = cached_ranges(fd)
            found = self._files[name] = File(key, Finished(cached or ()), cached is not None)
            if len(self._files) > _MOST:
                del self._files[next(iter(self._files))]
        found.whole = False
        return found

    def drop_rest(self) -> None:
        """At the end of a stage: what the kernel read beside what was asked for."""
        for file in self._files.values():
            if file.known and not file.whole:
                with contextlib.suppress(OSError):
                    fd = os.open(file.key.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
                    try:
                        for low, high in file.before.without_kept(0, os.fstat(fd).st_size):
                            calls.drop_cached(fd, low, high - low)
                    finally:
                        os.close(fd)
        self._files.clear()
