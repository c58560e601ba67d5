"""The cases by a careful loop over `numpy.memmap`: blocks, a reused buffer, a flush at the end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from . import BLOCK_BYTES, Rival


def _blocks(array: np.ndarray) -> Iterator[slice]:
    rows = max(BLOCK_BYTES // (array.itemsize * array.shape[1]), 1)
    for start in range(0, array.shape[0], rows):
        yield slice(start, min(start + rows, array.shape[0]))


class MemmapLoop(Rival):
    def mean(self) -> float:
        x = np.load(self.job.source, mmap_mode="r")
        total = 0.0
        for block in _blocks(x):
            total += float(x[block].sum())
        return total / x.size

    def map(self) -> None:
        x = np.load(self.job.source, mmap_mode="r")
        out = np.lib.format.open_memmap(self.job.out, mode="w+", dtype=x.dtype, shape=x.shape)
        self._scale(x, out, 2.0, 1.0)

    def update(self) -> None:
        x = np.load(self.job.work, mmap_mode="r+")
        self._scale(x, x, self.job.factor, self.job.term)

    def _scale(self, x: np.ndarray, out: np.ndarray, factor: float, term: float) -> None:
        first = next(_blocks(x))
        buffer = np.empty_like(x[first], subok=False)
        for block in _blocks(x):
            part = buffer[: block.stop - block.start]
            np.multiply(x[block], factor, out=part)
            # Each page of the output is touched once.
            np.add(part, term, out=out[block])
        out.flush()


RIVAL = MemmapLoop
