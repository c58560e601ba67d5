"""The cases of Zarr arrays by oocarray; what it wrote is looked at by zarr-python."""

from __future__ import annotations

import numpy as np

import oocarray as oo

from ..stores import CHUNK
from . import Job, Rival, sample_zarr


class OursZarr(Rival):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._options = {
            "memory": job.memory,
            "workers": job.workers,
            "scheduler": job.scheduler,
            "progress": False,
        }

    def _open(self, store: str) -> oo.Array:
        return oo.open(f"{self.job.folder}/{store}.zarr")

    def mean(self, store: str) -> float:
        return float(self._open(store).mean().compute(**self._options))

    def map(self, store: str) -> None:
        x = self._open(store)
        chunks = (min(CHUNK[0], x.shape[0]), CHUNK[1])
        (2 * x + 1).store(
            self.job.out, chunks=chunks, shards=False, durability="machine", **self._options
        )

    def map_shards(self, store: str) -> None:
        (2 * self._open(store) + 1).store(self.job.out, durability="machine", **self._options)

    def open_one(self, store: str, rows: list[int], columns: list[int]) -> float:
        x = self._open(store)[slice(*rows), slice(*columns)]
        return float(x.compute(**self._options).sum())

    def sample(self, written: str, places: list[int]) -> np.ndarray:
        return sample_zarr(getattr(self.job, written), places)


RIVAL = OursZarr
