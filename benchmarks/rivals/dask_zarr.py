"""The cases by dask's threads, over uncompressed Zarr v3, written as their users write them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import zarr

from . import BLOCK_BYTES, Job, Rival


def convert(source: str, target: str) -> None:
    """Make the Zarr array of an ``.npy`` file, on the disk when it returns."""
    x = np.load(source, mmap_mode="r")
    rows = max(BLOCK_BYTES // (x.itemsize * x.shape[1]), 1)
    chunks = (min(rows, x.shape[0]), x.shape[1])
    z = zarr.create_array(target, shape=x.shape, dtype=x.dtype, chunks=chunks, compressors=None)
    for start in range(0, x.shape[0], chunks[0]):
        z[start : start + chunks[0]] = x[start : start + chunks[0]]
    _make_durable(target)


def _make_durable(folder: str) -> None:
    """As a user who needs it would: nothing in dask or zarr does it."""
    found = [path for path in Path(folder).rglob("*") if path.is_file()]
    # Side by side, so that the file system may join what it commits.
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_sync, found))
    for path in (Path(folder), *{path.parent for path in found}, Path(folder).parent):
        _sync(path)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
        _make_durable(self.job.out)

    def zscore(self) -> None:
        x = da.from_zarr(self.job.zarr)
        z = (x - x.mean(axis=0)) / x.std(axis=0)
        z.to_zarr(self.job.out, compressors=None)
        _make_durable(self.job.out)

    def formula(self) -> float:
        x = da.from_zarr(self.job.zarr)
        return float((da.sqrt(x * x + 1) * da.exp(-abs(x))).mean().compute())

    def overhead(self, blocks: int) -> list[float]:
        x = da.from_array(np.load(self.job.part, mmap_mode="r")[:blocks], chunks=(1, -1))
        firsts = da.map_blocks(_first, x, dtype="f8", chunks=(1, 1)).compute()
        return [blocks, float(firsts.sum())]

    def sample(self, written: str, places: list[int]) -> np.ndarray:
        z = zarr.open_array(getattr(self.job, written), mode="r")
        if z.compressors:
            raise RuntimeError("the output is compressed, which was not asked for")
        return np.asarray(z.vindex[np.unravel_index(places, z.shape)])

    def close(self) -> None:
        self._pool.shutdown()


RIVAL = DaskZarr
