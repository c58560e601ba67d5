"""A page where each worker notes what it is at, for whoever asks after its end; it sends nothing.

What a process stored into shared memory before it was killed is there afterwards: no message
could be as late.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np

from ..pages.mapping import Window
from .shared import Shared

__all__ = ["MOST_WORKERS", "Beat", "Beats", "Pulse"]

MOST_WORKERS = 256
_WORDS = 4
"""Of 64 bits per worker: the job, its kernel thread, its I/O thread, what it passed on."""
_JOB, _WORK, _PAGES, _TOLD = range(_WORDS)
_NOTHING = -1, -1, -1, 0
_BINDING = -2
_BYTES = MOST_WORKERS * _WORDS * 8


class Beat(NamedTuple):
    """What a worker was at."""

    job: int = -1
    item: int = -1
    """The item that it last began, or -1."""
    ended: bool = False
    """Whether that item's task was computed to its end."""
    pages: int = -1
    """First item of the task whose pages were being brought in or let go of, or -1."""
    leaving: bool = False
    """Whether they were being let go of."""
    binding: bool = False
    """Whether it had the job's functions still to load."""
    told: int = 0
    """Bytes of its error output that it has passed on."""


class Pulse:
    """One worker's part of the page; without one it is noted where nobody looks."""

    __slots__ = ("_words",)

    def __init__(self, fd: int = -1, number: int = 0) -> None:
        # A memoryview: each item is noted, and NumPy takes twice as long to store a number.
        self._words: Any
        if fd < 0:
            self._words = memoryview(bytearray(_WORDS * 8)).cast("q")
        else:
            whole = Window(fd, 0, _BYTES, writable=True).bytes
            assert whole is not None
            size = _WORDS * 8
            self._words = whole.data[number * size : (number + 1) * size].cast("q")
        self.job(-1)

    def renounce(self) -> None:
        """Have this process end, without a word, when it next has something to note."""
        self._words = _Nothing()

    def job(self, number: int) -> None:
        """Another job: nothing of it is begun."""
        self._words[_PAGES] = -1
        self._words[_WORK] = _BINDING
        self._words[_JOB] = number

    def bound(self) -> None:
        """The functions of the job are there."""
        self._words[_WORK] = -1

    def begin(self, item: int) -> None:
        """An item is begun."""
        self._words[_WORK] = item << 1

    def end(self) -> None:
        """The last item of a task is done."""
        self._words[_WORK] |= 1

    def bring(self, first: int) -> None:
        """Pages of the task that begins with `first` are brought in."""
        self._words[_PAGES] = first << 1

    def leave(self, first: int) -> None:
        """Pages of that task are let go of."""
        self._words[_PAGES] = first << 1 | 1

    def rest(self) -> None:
        """Neither: the I/O thread has nothing to do."""
        self._words[_PAGES] = -1

    def tell(self, count: int) -> None:
        """So many bytes of error output have been passed on."""
        self._words[_TOLD] = count

    def read(self) -> Beat:
        """What has been noted."""
        return _beat(*self._words)


class _Nothing:
    """Stands for the page of a process that must not go on."""

    def __getitem__(self, word: int) -> int:
        os._exit(0)

    def __setitem__(self, word: int, value: int) -> None:
        os._exit(0)


class Beats:
    """The whole page, in the coordinator."""

    def __init__(self) -> None:
        self._shared = Shared((MOST_WORKERS, _WORDS), np.dtype(np.int64))
        self._shared.array[...] = _NOTHING

    @property
    def fd(self) -> int:
        return self._shared.fd

    def clear(self, worker: int) -> None:
        """Another process takes the worker's place."""
        self._shared.array[worker] = _NOTHING

    def read(self, worker: int) -> Beat:
        """What the worker has noted last."""
        return _beat(*self._shared.array[worker].tolist())

    def close(self) -> None:
        """Let go of the memory, whoever still holds this object."""
        self._shared.close()
        self._shared.array = self._shared.array.copy()


def _beat(job: int, work: int, pages: int, told: int) -> Beat:
    # Shifting makes -1 of both -1 and -2; their lowest bits say nothing.
    ended, leaving = work >= 0 and bool(work & 1), pages >= 0 and bool(pages & 1)
    return Beat(job, work >> 1, ended, pages >> 1, leaving, work == _BINDING, told)
