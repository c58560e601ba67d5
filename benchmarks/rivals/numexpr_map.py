"""Expressions by numexpr over mapped pairs, block by block into one buffer that is then summed."""

from __future__ import annotations

import numexpr
import numpy as np

from . import Job, PairRival

BLOCK_BYTES = 4 << 20
"""Of one array, and of the buffer; a ``sum`` within the expression would use one thread."""


class NumexprMap(PairRival):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        numexpr.set_num_threads(job.workers)

    def squares(self, pair: str) -> tuple[str, float]:
        return pair, self._sum(pair, "(a - b)**2")

    def transcendental(self, pair: str) -> tuple[str, float]:
        total = self._sum(pair, "sqrt(a*a + b*b) * exp(-abs(a))")
        return pair, total / self.arrays(pair)[0].size

    def _sum(self, pair: str, text: str) -> float:
        a, b = self.arrays(pair)
        rows, total = max(BLOCK_BYTES // (a.itemsize * a.shape[1]), 1), 0.0
        buffer = np.empty((rows, a.shape[1]), a.dtype)
        for start in range(0, len(a), rows):
            names = {"a": a[start : start + rows], "b": b[start : start + rows]}
            out = buffer[: len(names["a"])]
            numexpr.evaluate(text, local_dict=names, global_dict={}, out=out)
            total += float(out.sum())
        return total


RIVAL = NumexprMap
