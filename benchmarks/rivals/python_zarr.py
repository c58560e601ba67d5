"""The cases of Zarr arrays by zarr-python and NumPy: a loop over rows of whole chunks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import zarr

from . import Job, Rival, make_durable, sample_zarr


def _bands(z: zarr.Array) -> Iterator[slice]:
    """Rows of chunks: zarr-python reads the chunks of a band side by side."""
    for start in range(0, z.shape[0], z.chunks[0]):
        yield slice(start, start + z.chunks[0])


class PythonZarr(Rival):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        zarr.config.set({"threading.max_workers": job.workers})

    def _open(self, store: str) -> zarr.Array:
        return zarr.open_array(f"{self.job.folder}/{store}.zarr", mode="r")

    def mean(self, store: str) -> float:
        z = self._open(store)
        return sum(float(z[rows].sum()) for rows in _bands(z)) / z.size

    def map(self, store: str, shards: bool = False) -> None:
        z = self._open(store)
        out = zarr.create_array(
            self.job.out,
            shape=z.shape,
            chunks=z.chunks,
            shards=(z.chunks[0], z.shape[1]) if shards else None,
            dtype=z.dtype,
            compressors=None,
        )
        for rows in _bands(z):
            block = z[rows]
            np.multiply(block, 2, out=block)
            np.add(block, 1, out=block)
            out[rows] = block
        make_durable(self.job.out)

    def map_shards(self, store: str) -> None:
        self.map(store, shards=True)

    def open_one(self, store: str, rows: list[int], columns: list[int]) -> float:
        return float(self._open(store)[slice(*rows), slice(*columns)].sum())

    def sample(self, written: str, places: list[int]) -> np.ndarray:
        return sample_zarr(getattr(self.job, written), places)


RIVAL = PythonZarr
