"""What the machine can do at most: numba loops in plain threads, with nothing around them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise

import numpy as np
from numba import njit

from . import Job, Rival
from .ours import logistic


@njit(nogil=True, fastmath=True)
def _sum(values):
    total = 0.0
    for i in range(values.size):
        total += values[i]
    return total


@njit(nogil=True)
def _first(out, values):
    out[0] = values[0]


class BareLoop(Rival):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._pool = ThreadPoolExecutor(job.workers)
        self._logistic = njit(nogil=True, error_model="numpy")(logistic.func)

    @cached_property
    def _source(self) -> np.ndarray:
        # Mapped once and kept: the loop pays for no page fault after its first call.
        return np.load(self.job.source, mmap_mode="r").reshape(-1).view(np.ndarray)

    @cached_property
    def _part(self) -> np.ndarray:
        return np.load(self.job.part, mmap_mode="r").view(np.ndarray)

    @cached_property
    def _heavy(self) -> np.ndarray:
        return np.load(self.job.heavy)

    def cached(self) -> float:
        cuts = np.linspace(0, self._source.size, self.job.workers + 1).astype(int).tolist()
        parts = [self._source[start:stop] for start, stop in pairwise(cuts)]
        return sum(self._pool.map(_sum, parts)) / self._source.size

    def overhead(self, blocks: int) -> list[float]:
        out = np.empty(blocks)
        for k in range(blocks):
            _first(out[k : k + 1], self._part[k])
        return [blocks, float(out.sum())]

    def scaling(self) -> float:
        out = np.empty_like(self._heavy)
        starts = range(0, len(out), 4)
        parts = [(out[start : start + 4], self._heavy[start : start + 4]) for start in starts]
        list(self._pool.map(lambda part: self._logistic(*part), parts))
        return float(out[-1, -1])

    def close(self) -> None:
        self._pool.shutdown()


RIVAL = BareLoop
