"""The cases by oocarray, as its documentation shows them; no option that a user could not give."""

from __future__ import annotations

import os
from functools import cache, cached_property

import numpy as np

import oocarray as oo

from . import SMALL_BLOCK_BYTES, Job, Rival, third_of


@oo.kernel
def twice_plus_one(out, x):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = 2.0 * x[i, j] + 1.0


@oo.kernel
def add_three(out, x, y, z):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] + y[i, j] + z[i, j]


@oo.kernel
def first(out, x):
    out[0, 0] = x[0, 0]


@oo.kernel
def scale(block, factor, term):
    for i in range(block.shape[0]):
        for j in range(block.shape[1]):
            block[i, j] = factor * block[i, j] + term


@oo.kernel
def logistic(out, x):
    """Hundreds of dependent steps per element: memory has nothing to do."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            value = x[i, j]
            for _ in range(600):
                value = 3.7 * value * (1.0 - value)
            out[i, j] = value


def _sum(block):
    return block.sum(keepdims=True)


class Ours(Rival):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._options = {
            "memory": job.memory,
            "workers": job.workers,
            "scheduler": job.scheduler,
            "progress": False,
        }

    def mean(self) -> float:
        with oo.options(**self._options):
            return float(oo.open(self.job.source).mean().compute())

    cached = mean

    @cached_property
    def _whole(self) -> oo.Array:
        return oo.open(self.job.source)

    def second(self) -> float:
        # Nothing is said of memory: what a user gets who says nothing.
        return float(self._whole.mean().compute(progress=False))

    def stream(self) -> float:
        x = oo.open(self.job.part, chunks=(SMALL_BLOCK_BYTES >> 12, -1))
        sums = oo.map_blocks(_sum, x, chunks=(1, 1), dtype="f8").compute(**self._options)
        return float(sums.sum()) / x.size

    def map(self) -> None:
        self._map(oo.open(self.job.source))

    def stream_map(self) -> None:
        self._map(oo.open(self.job.part, chunks=(SMALL_BLOCK_BYTES >> 12, -1)))

    def _map(self, x: oo.Array) -> None:
        y = oo.map_blocks(twice_plus_one, x, dtype="f8")
        y.store(self.job.out, durability="machine", **self._options)

    def add_three(self) -> None:
        whole = np.load(self.job.source, mmap_mode="r")
        block, third = third_of(len(whole))
        starts = range(0, 3 * third, third)
        parts = [
            oo.from_array(whole[start : start + third], chunks=(block, -1)) for start in starts
        ]
        y = oo.map_blocks(add_three, *parts, dtype="f8")
        y.store(self.job.out, durability="machine", **self._options)

    def zscore(self) -> None:
        x = oo.open(self.job.source)
        z = (x - x.mean(axis=0)) / x.std(axis=0)
        z.store(self.job.out, durability="machine", **self._options)

    def formula(self) -> float:
        x = oo.open(self.job.source)
        return float((np.sqrt(x * x + 1) * np.exp(-abs(x))).mean().compute(**self._options))

    def _pair(self, pair: str) -> tuple[oo.Array, oo.Array]:
        a, b = (oo.open(f"{self.job.folder}/{pair}/{name}.npy") for name in "ab")
        return a, b[:, ::2] if pair == "wide" else b

    def squares(self, pair: str) -> tuple[str, float]:
        a, b = self._pair(pair)
        return pair, float(((a - b) ** 2).sum().compute(**self._options))

    def transcendental(self, pair: str) -> tuple[str, float]:
        a, b = self._pair(pair)
        made = (np.sqrt(a * a + b * b) * np.exp(-abs(a))).mean()
        return pair, float(made.compute(**self._options))

    def statistics(self, pair: str, names: list[str]) -> tuple[str, dict[str, float]]:
        x, _ = self._pair(pair)
        found = oo.compute(*(getattr(x, name)() for name in names), **self._options)
        return pair, dict(zip(names, map(float, found), strict=True))

    @cache  # noqa: B019
    def _squares_kept(self, pair: str) -> oo.Array:
        a, b = self._pair(pair)
        return ((a - b) ** 2).sum()

    def again(self, pair: str, anew: bool = False) -> tuple[str, float]:
        if anew:
            return self.squares(pair)
        return pair, float(self._squares_kept(pair).compute(**self._options))

    def overhead(self, blocks: int) -> list[float]:
        x = oo.from_array(np.load(self.job.part, mmap_mode="r")[:blocks], chunks=(1, -1))
        firsts = oo.map_blocks(first, x, chunks=(1, 1), dtype="f8").compute(**self._options)
        return [blocks, float(firsts.sum())]

    def update(self) -> None:
        with oo.options(**self._options):
            x = oo.open(self.job.work, mode="r+")
            oo.update_blocks(scale, x, self.job.factor, self.job.term)
        fd = os.open(self.job.work, os.O_RDWR)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def scaling(self) -> float:
        x = oo.open(self.job.heavy, chunks=(4, -1))
        y = oo.map_blocks(logistic, x, dtype="f8").compute(**self._options)
        return float(y[-1, -1])


RIVAL = Ours
