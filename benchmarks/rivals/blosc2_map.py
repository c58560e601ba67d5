"""Expressions by Blosc2 over uncompressed arrays in memory, made before what is timed."""

from __future__ import annotations

from functools import cache
from typing import Any

import blosc2

from . import Job, PairRival

CHUNK_ROWS, BLOCK_ROWS = 128, 2
"""Of 64 KiB each; the fastest found, and what it chooses itself here."""


class Blosc2Map(PairRival):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        blosc2.set_nthreads(job.workers)

    @cache  # noqa: B019
    def _pair(self, pair: str) -> tuple[Any, Any]:
        threads = self.job.workers
        return tuple(
            blosc2.asarray(
                array,
                chunks=(min(CHUNK_ROWS, len(array)), array.shape[1]),
                blocks=(BLOCK_ROWS, array.shape[1]),
                cparams=blosc2.CParams(clevel=0, nthreads=threads),
                dparams=blosc2.DParams(nthreads=threads),
            )
            for array in self.arrays(pair)
        )

    def squares(self, pair: str) -> tuple[str, float]:
        a, b = self._pair(pair)
        difference = a - b  # its power takes ten times as long as its product
        return pair, float((difference * difference).sum())

    def transcendental(self, pair: str) -> tuple[str, float]:
        a, b = self._pair(pair)
        return pair, float((blosc2.sqrt(a * a + b * b) * blosc2.exp(-blosc2.abs(a))).mean())


RIVAL = Blosc2Map
