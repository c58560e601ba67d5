"""The cases by dask's threads, over uncompressed Zarr v3, written as their users write them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import dask
import dask.array as da
import numpy as np
import zarr

from . import BLOCK_BYTES, Job, Rival, make_durable, sample_zarr


def convert(source: str, target: str) -> None:
    """Make the Zarr array of an ``.npy`` file, on the disk when it returns."""
    x = np.load(source, mmap_mode="r")
    rows = max(BLOCK_BYTES // (x.itemsize * x.shape[1]), 1)
    chunks = (min(rows, x.shape[0]), x.shape[1])
    z = zarr.create_array(target, shape=x.shape, dtype=x.dtype, chunks=chunks, compressors=None)
    for start in range(0, x.shape[0], chunks[0]):
        z[start : start + chunks[0]] = x[start : start + chunks[0]]
    make_durable(target)


def _first(block: np.ndarray) -> np.ndarray:
    return block[:, :1]


class DaskZarr(Rival):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._pool = ThreadPoolExecutor(job.workers)
        dask.config.set(scheduler="threads", pool=self._pool)

    def mean(self) -> float:
        return float(da.from_zarr(self.job.zarr).mean().compute())

    def map(self) -> None:
        x = da.from_zarr(self.job.zarr)
        (2 * x + 1).to_zarr(self.job.out, compressors=None)
        make_durable(self.job.out)

    def zscore(self) -> None:
        x = da.from_zarr(self.job.zarr)
        # Statistics first: in one graph dask would keep every block until they are known.
        mean, std = dask.compute(x.mean(axis=0), x.std(axis=0))
        ((x - mean) / std).to_zarr(self.job.out, compressors=None)
        make_durable(self.job.out)

    def formula(self) -> float:
        x = da.from_zarr(self.job.zarr)
        return float((da.sqrt(x * x + 1) * da.exp(-abs(x))).mean().compute())

    def overhead(self, blocks: int) -> list[float]:
        x = da.from_array(np.load(self.job.part, mmap_mode="r")[:blocks], chunks=(1, -1))
        firsts = da.map_blocks(_first, x, dtype="f8", chunks=(1, 1)).compute()
        return [blocks, float(firsts.sum())]

    def sample(self, written: str, places: list[int]) -> np.ndarray:
        return sample_zarr(getattr(self.job, written), places)

    def close(self) -> None:
        self._pool.shutdown()


RIVAL = DaskZarr
