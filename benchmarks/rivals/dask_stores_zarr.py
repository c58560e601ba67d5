"""The cases of Zarr arrays by dask's threads, written as their users write them."""

from __future__ import annotations

import dask.array as da
import zarr

from . import make_durable
from .dask_zarr import DaskZarr


class DaskStores(DaskZarr):
    def _open(self, store: str) -> da.Array:
        return da.from_zarr(f"{self.job.folder}/{store}.zarr")

    def mean(self, store: str) -> float:
        return float(self._open(store).mean().compute())

    def map(self, store: str) -> None:
        (2 * self._open(store) + 1).to_zarr(self.job.out, compressors=None)
        make_durable(self.job.out)

    def map_shards(self, store: str) -> None:
        x = self._open(store)
        shard = (x.chunksize[0], x.shape[1])
        out = zarr.create_array(
            self.job.out,
            shape=x.shape,
            chunks=x.chunksize,
            shards=shard,
            dtype=x.dtype,
            compressors=None,
        )
        # Two tasks that write into one shard would lose what the other wrote.
        (2 * x + 1).rechunk(shard).to_zarr(out)
        make_durable(self.job.out)

    def open_one(self, store: str, rows: list[int], columns: list[int]) -> float:
        return float(self._open(store)[slice(*rows), slice(*columns)].sum().compute())


RIVAL = DaskStores
