"""The suite by dask's threads: tasks read their blocks, and write into one file without lock.

Of what was tried here this was fastest: mapped inputs were read twice in little memory, and a
mapped output took twice the CPU.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
import dask.array
import numpy as np

from .. import Job, make_durable, sync_file
from . import Files, SuiteBase

library: Any = dask
da: Any = dask.array


def _read(path: str, block_info: Any = None) -> np.ndarray[Any, Any]:
    """The rows of one chunk."""
    start, stop = block_info[None]["array-location"][0]
    x: Any = np.load(path, mmap_mode="r")
    shape, size = (stop - start, *x.shape[1:]), x[0].size
    found = np.fromfile(path, x.dtype, shape[0] * size, offset=x.offset + start * x[0].nbytes)
    return found.reshape(shape)


def _map(path: str, block_info: Any = None) -> np.ndarray[Any, Any]:
    """The rows of one chunk, mapped: of what is not looked at nothing is read."""
    start, stop = block_info[None]["array-location"][0]
    x: np.ndarray[Any, Any] = np.load(path, mmap_mode="r")
    return x[start:stop].view(np.ndarray)


class _Target:
    """A file of whole rows that each task opens for itself, in whichever process it runs."""

    def __init__(self, path: str) -> None:
        out: Any = np.load(path, mmap_mode="r")
        self.path, self.shape, self.dtype = path, out.shape, out.dtype
        self._offset, self._row = out.offset, out[0].nbytes

    def __setitem__(self, key: Any, value: Any) -> None:
        with open(self.path, "r+b", buffering=0) as stream:
            stream.seek(self._offset + key[0].start * self._row)
            value.tofile(stream)


class DaskThreads(SuiteBase):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        # As oocarray does: else each chunk is first compared with the fill value.
        os.environ["ZARR_ARRAY__WRITE_EMPTY_CHUNKS"] = "True"
        self._start()

    def _start(self) -> None:
        self._pool = ThreadPoolExecutor(self.workers)
        dask.config.set(scheduler="threads", pool=self._pool)

    def mean(self, files: Files, chunk: int) -> float:
        return float(_open(files["a"], chunk).mean().compute())

    def columns(self, files: Files, chunk: int) -> list[list[float]]:
        x = _open(files["a"], chunk)
        four = x.mean(axis=0), x.std(axis=0), x.min(axis=0), x.max(axis=0)
        return [found.tolist() for found in library.compute(*four)]

    def map(self, files: Files, chunk: int) -> None:
        _store(2 * _open(files["a"], chunk) + 1, files["out"])

    def two(self, files: Files, chunk: int) -> None:
        _store(_open(files["a"], chunk) * _open(files["b"], chunk) + 1, files["out"])

    def transcendental(self, files: Files, chunk: int) -> float:
        x = _open(files["a"], chunk)
        return float((da.sin(x) ** 2 + da.cos(x) * da.exp(-da.fabs(x))).mean().compute())

    def zscore(self, files: Files, chunk: int) -> None:
        x = _open(files["a"], chunk)
        # Statistics first: in one graph dask would keep every block until they are known.
        mean, std = library.compute(x.mean(axis=0), x.std(axis=0))
        _store((x - mean) / std, files["out"])

    def slab(self, files: Files, chunk: int) -> Any:
        x = _open(files["a"], chunk, _map)
        quarter = x.shape[1] // 4
        return x[:, quarter : 3 * quarter].mean(axis=(1, 2)).compute().tolist()

    def zarr(self, files: Files, chunk: int) -> None:
        import zarr  # not before it is told how to write, here and in workers

        assert zarr.config.get("array.write_empty_chunks")
        x = da.from_zarr(files["zarr"])
        (2 * x + 1).to_zarr(files["outzarr"], compressors=None)
        make_durable(files["outzarr"])

    def update(self, files: Files, chunk: int) -> None:
        # A task reads a block, and writes it back where it was: no other task looks at it.
        _fill(_open(files["work"], chunk) * 1.01, files["work"])

    def close(self) -> None:
        self._pool.shutdown()


def _open(path: str, chunk: int, read: Any = _read) -> Any:
    x = np.load(path, mmap_mode="r")
    step = max(chunk // (x[0].nbytes), 1)
    rows = tuple(min(step, len(x) - start) for start in range(0, len(x), step))
    chunks = (rows, *((count,) for count in x.shape[1:]))
    return da.map_blocks(read, path, chunks=chunks, dtype=x.dtype, meta=np.empty((0,) * x.ndim))


def _store(made: Any, path: str) -> None:
    np.lib.format.open_memmap(path, mode="w+", dtype=made.dtype, shape=made.shape)
    _fill(made, path)


def _fill(made: Any, path: str) -> None:
    da.store(made, _Target(path), lock=False)
    sync_file(path)


RIVAL = DaskThreads
