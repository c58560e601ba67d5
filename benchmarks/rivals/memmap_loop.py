"""The cases by a careful loop over `numpy.memmap`: blocks, a reused buffer, a flush at the end."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from . import BLOCK_BYTES, SMALL_BLOCK_BYTES, Rival


def _blocks(array: np.ndarray, nbytes: int = BLOCK_BYTES) -> Iterator[slice]:
    rows = max(nbytes // (array.itemsize * array.shape[1]), 1)
    for start in range(0, array.shape[0], rows):
        yield slice(start, min(start + rows, array.shape[0]))


class MemmapLoop(Rival):
    @staticmethod
    def _mean(path: str, nbytes: int) -> float:
        x = np.load(path, mmap_mode="r")
        total = 0.0
        for block in _blocks(x, nbytes):
            total += float(x[block].sum())
        return total / x.size

    def mean(self) -> float:
        return self._mean(self.job.source, BLOCK_BYTES)

    def stream(self) -> float:
        return self._mean(self.job.part, SMALL_BLOCK_BYTES)

    @cached_property
    def _whole(self) -> np.ndarray:
        return np.load(self.job.source, mmap_mode="r")

    def second(self) -> float:
        return float(self._whole.mean())

    def map(self) -> None:
        self._map(self.job.source, BLOCK_BYTES)

    def stream_map(self) -> None:
        self._map(self.job.part, SMALL_BLOCK_BYTES)

    def _map(self, path: str, nbytes: int) -> None:
        x = np.load(path, mmap_mode="r")
        out = np.lib.format.open_memmap(self.job.out, mode="w+", dtype=x.dtype, shape=x.shape)
        self._scale(x, out, 2.0, 1.0, nbytes)

    def update(self) -> None:
        x = np.load(self.job.work, mmap_mode="r+")
        self._scale(x, x, self.job.factor, self.job.term, BLOCK_BYTES)

    def zscore(self) -> None:
        x = np.load(self.job.source, mmap_mode="r")
        # About the first row: squares of what is near zero lose nothing.
        first, total, squares = np.array(x[0]), np.zeros(x.shape[1]), np.zeros(x.shape[1])
        for block in _blocks(x):
            part = x[block] - first
            total += part.sum(axis=0)
            squares += np.einsum("ij,ij->j", part, part)
        mean = total / len(x)
        deviation = np.sqrt(squares / len(x) - mean * mean)
        mean += first
        out = np.lib.format.open_memmap(self.job.out, mode="w+", dtype=x.dtype, shape=x.shape)
        buffer = np.empty_like(x[next(_blocks(x))], subok=False)
        for block in _blocks(x):
            part = buffer[: block.stop - block.start]
            np.subtract(x[block], mean, out=part)
            np.divide(part, deviation, out=out[block])
        out.flush()

    def formula(self) -> float:
        x = np.load(self.job.source, mmap_mode="r")
        total = 0.0
        for rows in _blocks(x):
            block = x[rows]
            total += float((np.sqrt(block * block + 1) * np.exp(-np.abs(block))).sum())
        return total / x.size

    @staticmethod
    def _scale(x: np.ndarray, out: np.ndarray, factor: float, term: float, nbytes: int) -> None:
        first = next(_blocks(x, nbytes))
        buffer = np.empty_like(x[first], subok=False)
        for block in _blocks(x, nbytes):
            part = buffer[: block.stop - block.start]
            np.multiply(x[block], factor, out=part)
            # Each page of the output is touched once.
            np.add(part, term, out=out[block])
        out.flush()


RIVAL = MemmapLoop
