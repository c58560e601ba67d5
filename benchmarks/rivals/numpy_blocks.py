"""Expressions by NumPy over mapped pairs: blocks that fit caches, reused buffers, threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from . import Job, PairRival

BLOCK_BYTES = 512 << 10
"""Of one array, and of each buffer: the fastest found, of 64 KiB to 4 MiB."""
Formula = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], None]


class NumpyBlocks(PairRival):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._pool = ThreadPoolExecutor(job.workers)

    def squares(self, pair: str) -> tuple[str, float]:
        def squares(a: np.ndarray, b: np.ndarray, out: np.ndarray, _: np.ndarray) -> None:
            np.subtract(a, b, out=out)
            np.multiply(out, out, out=out)

        return pair, self._sum(pair, squares)

    def transcendental(self, pair: str) -> tuple[str, float]:
        def formula(a: np.ndarray, b: np.ndarray, out: np.ndarray, other: np.ndarray) -> None:
            np.multiply(a, a, out=out)
            np.multiply(b, b, out=other)
            np.add(out, other, out=out)
            np.sqrt(out, out=out)
            np.abs(a, out=other)
            np.negative(other, out=other)
            np.exp(other, out=other)
            np.multiply(out, other, out=out)

        return pair, self._sum(pair, formula) / self.arrays(pair)[0].size

    def _sum(self, pair: str, formula: Formula) -> float:
        a, b = self.arrays(pair)
        rows = max(BLOCK_BYTES // (a.itemsize * a.shape[1]), 1)

        def work(span: tuple[int, int]) -> float:
            buffers, total = np.empty((2, rows, a.shape[1]), a.dtype), 0.0
            for start in range(*span, rows):
                stop = min(start + rows, span[1])
                out, other = buffers[:, : stop - start]
                formula(a[start:stop], b[start:stop], out, other)
                total += float(out.sum())
            return total

        return sum(self._pool.map(work, self.spans(len(a))))

    def close(self) -> None:
        self._pool.shutdown()


RIVAL = NumpyBlocks
