"""Tries ways of dealing with one file system, by the engine itself; it keeps and sets nothing.

A way is compared with the default within rounds that hold all of them, in mixed order, because
disks are shared and their speed drifts.  The default runs twice in each round: the largest
difference between the two is the noise, and what does not win by more than it has not won.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import numpy as np

from .backends import mapped
from .core import Array
from .jit import kernel
from .lazy.graph import Root
from .mapping import map_blocks
from .opening import open
from .pages import calls
from .pages.tuning import DEFAULT, Tuning
from .plan import Options
from .runtime.limits import default_workers, room
from .storage.draft import Draft
from .storage.filesystems import FileSystem, file_system
from .units import format_bytes

__all__ = ["LEAST_GAIN", "LEAST_SIZE", "Outcome", "Way", "try_ways"]

LEAST_SIZE = 32 << 20
LEAST_GAIN = 0.05
"""Below it nothing wins, however quiet the disk."""
_SIZE = 256 << 20
_LEAST_ROUNDS, _MOST_ROUNDS = 3, 15
_BLOCK = 1 << 20
"""Bytes of the blocks that are mapped: how many of them make a task is what is tried."""
_IN_MEMORY = ("tmpfs", "ramfs")


@dataclass(slots=True)
class Way:
    """One way of doing one of the passes, and how long it took."""

    work: str
    """``"reads"``: a sum. ``"writes"``: a new file computed from another."""
    name: str
    tuning: Tuning
    seconds: list[float] = field(default_factory=list)
    """One per round."""
    gain: float = 0.0
    """How much faster than the default in the middle round: 0.1 is a tenth more per second."""
    wins: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trial found."""

    system: FileSystem
    nbytes: int
    """Of the file that was read; as many were written."""
    rounds: int
    workers: int
    noise: dict[str, float]
    """By work: the largest difference between two runs of the default in one round."""
    ways: tuple[Way, ...]
    """In each work the default, its second run, and the others."""
    tuning: Tuning
    """The default, with what won in its place."""

    def rate(self, way: Way) -> float:
        """Bytes of the input per second, in the middle round."""
        return self.nbytes / statistics.median(way.seconds)


def try_ways(
    folder: str,
    size: int | None = None,
    seconds: float = 15.0,
    tell: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Try ways of reading and writing in a folder.

    Parameters
    ----------
    folder : str
        On the file system; files without a name are made in it, which go when the trial ends.
    size : int, optional
        Bytes of the file; twice as many are needed. Default: 256 MiB, or less where there is no
        more room.
    seconds : float
        No round is begun that would end later, after the first three.
    tell : callable
        Told in a few words what goes on.

    Raises
    ------
    OSError
        No such folder, no permission, no room.
    ValueError
        The file system keeps files in memory, or cannot be told from others.
    """
    system = file_system(folder)
    if system is None:
        raise ValueError(f"{folder}: /proc/self/mountinfo does not say what it is mounted from")
    if system.kind in _IN_MEMORY:
        raise ValueError(f"{folder} is on {system.kind}, which is memory: there is nothing to tune")
    size = _size(folder, size)
    ways = _ways()
    with _Ground(folder, size) as ground:
        tell("compiling, and starting the workers")
        for work in ("reads", "writes"):
            ground.run(work, DEFAULT)
        began, took, rounds = time.monotonic(), 0.0, 0
        order = random.Random(0)
        while rounds < _LEAST_ROUNDS or (
            rounds < _MOST_ROUNDS and time.monotonic() - began + took <= seconds
        ):
            at = time.monotonic()
            tell(f"round {rounds + 1}")
            for way in order.sample(ways, len(ways)):
                way.seconds.append(ground.run(way.work, way.tuning))
            rounds, took = rounds + 1, time.monotonic() - at
    noise, tuning = judge(ways)
    return Outcome(system, size, rounds, default_workers(), noise, tuple(ways), tuning)


def judge(ways: Sequence[Way]) -> tuple[dict[str, float], Tuning]:
    """Find what wins; return the noise of each work, and the default with the winners in it."""
    noise: dict[str, float] = {}
    chosen = DEFAULT
    for work in dict.fromkeys(way.work for way in ways):
        default, again, *others = (way for way in ways if way.work == work)
        pairs = list(zip(default.seconds, again.seconds, strict=True))
        noise[work] = max(max(pair) / min(pair) - 1 for pair in pairs)
        for way in (again, *others):
            way.gain = statistics.median(
                sum(pair) / 2 / taken - 1 for pair, taken in zip(pairs, way.seconds, strict=True)
            )
        best = max(others, key=lambda way: way.gain)
        if best.gain > max(noise[work], LEAST_GAIN):
            best.wins = True
            changed = {
                name: getattr(best.tuning, name)
                for name in ("advice", "populate", "write_advice", "unit")
                if getattr(best.tuning, name) != getattr(DEFAULT, name)
            }
            chosen = replace(chosen, **changed)
    return noise, chosen


def _ways() -> list[Way]:
    """All that is tried.  What is brought in for writing is always populated: a full disk shows."""
    reads: dict[str, dict[str, Any]] = {
        "hugepage, populate (default)": {},
        "the same again": {},
        "sequential, populate": {"advice": "sequential"},
        "willneed, populate": {"advice": "willneed"},
        "no advice, populate": {"advice": "none"},
        "hugepage, read past": {"populate": False},
        "sequential, read past": {"advice": "sequential", "populate": False},
    }
    writes: dict[str, dict[str, Any]] = {
        "hugepage, large tasks (default)": {},
        "the same again": {},
        "no advice": {"write_advice": "none"},
        "tasks of at most 4 MiB": {"unit": 4 << 20},
        "tasks of at most 2 MiB": {"unit": 2 << 20},
    }
    return [
        Way(work, name, replace(DEFAULT, **changed))
        for work, named in (("reads", reads), ("writes", writes))
        for name, changed in named.items()
    ]


def _size(folder: str, asked: int | None) -> int:
    """Bytes of the file: what is asked for, or what there is room for."""
    free = shutil.disk_usage(folder).free
    if asked is None:
        asked = max(min(_SIZE, free // 4, room() // 4), LEAST_SIZE)
    if asked < LEAST_SIZE:
        raise ValueError(
            f"a file of {format_bytes(asked)} tells nothing; give --size at least "
            f"{format_bytes(LEAST_SIZE)}"
        )
    if 2 * asked > free:
        raise OSError(
            28,
            f"two files of {format_bytes(asked)} do not fit the {format_bytes(free)} that are "
            "free; give a smaller --size",
            folder,
        )
    return asked // _BLOCK * _BLOCK


@kernel
def _half(out: Any, block: Any) -> None:
    for i in range(out.shape[0]):
        out[i] = 0.5 * block[i]


class _Ground:
    """A file to read, and for each run that writes a new one; none of them ever has a name."""

    def __init__(self, folder: str, size: int) -> None:
        self.folder, self.size = folder, size
        self.draft = self._file()
        try:
            piece = np.random.default_rng(0).random(_BLOCK // 8).tobytes()
            for at in range(0, size, _BLOCK):
                os.pwrite(self.draft.fd, piece, at)
            self.array = self._array(self.draft)
            self._evict()
            cached = calls.cached_bytes(self.draft.fd, 0, size)
            if cached is not None and cached > size // 8:
                raise ValueError(
                    f"{folder}: {format_bytes(cached)} of {format_bytes(size)} stay in memory "
                    "however they are let go of: there is nothing to tune"
                )
        except BaseException:
            self.draft.discard()
            raise

    def __enter__(self) -> _Ground:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.array.close()
        self.draft.discard()

    def run(self, work: str, tuning: Tuning) -> float:
        """Run one pass over a file that is not cached; return its seconds."""
        self._evict()
        # Always less than the files have, so that they pass through memory.
        options = Options(memory=self.size * 7 // 8, progress=False, lock=False, tuning=tuning)
        if work == "reads":
            return _timed([Root(self.array.sum().node)], options)
        options = replace(options, memory=self.size * 7 // 4)
        made = self._file()
        try:
            target = self._array(made).layout
            assert target is not None
            halved = map_blocks(_half, self.array.rechunk(_BLOCK // 8), dtype="f8")
            return _timed([Root(halved.node, target)], options)
        finally:
            made.discard()

    def _file(self) -> Draft:
        return Draft.create(os.path.join(self.folder, ".oocarray-tune"), self.size)

    def _array(self, draft: Draft) -> Array:
        path = f"/proc/self/fd/{draft.fd}"
        return open(path, "r+", shape=self.size // 8, dtype="f8")

    def _evict(self) -> None:
        os.fdatasync(self.draft.fd)
        calls.drop_cached(self.draft.fd, 0, 0)


def _timed(roots: list[Root], options: Options) -> float:
    began = time.perf_counter()
    mapped.evaluate(roots, options)
    return time.perf_counter() - began
