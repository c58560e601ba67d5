"""The suite by cubed on its threads, from Zarr to Zarr, with the memory it is allowed.

It takes no part where the input of three axes has no Zarr copy, or where an array is changed in
place: it has no operation for that.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import cubed  # type: ignore[import-untyped]
import cubed.array_api as xp  # type: ignore[import-untyped]
import numpy as np
import zarr

from .. import Job, make_durable
from . import Files, SuiteBase, blocks

_PART = 512 << 10


def _formula(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # By parts that stay in the cache: cubed does not count whole temporaries as memory.
    made: np.ndarray[Any, Any] = np.empty_like(x)
    for rows in blocks(len(x), x[0].nbytes, _PART):
        part = x[rows]
        made[rows] = np.sin(part) ** 2 + np.cos(part) * np.exp(-np.abs(part))
    return made


def _four(x: np.ndarray[Any, Any], first: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Sum and sum of squares of what is left without the first row; least and greatest."""
    total, squares = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for rows in blocks(len(x), x[0].nbytes, _PART):
        part = x[rows] - first
        total += part.sum(axis=0)
        squares += np.einsum("ij,ij->j", part, part)
    return np.stack([total, squares, x.min(axis=0), x.max(axis=0)])


def _standard(
    x: np.ndarray[Any, Any], mean: np.ndarray[Any, Any], std: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    made = x - mean
    made /= std
    return made


class CubedZarr(SuiteBase):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._work: Any = None

    def _spec(self, files: Files) -> Any:
        # What it keeps between its operations goes to the disk that the files are on.
        # Its plan is refused where a thread has less than some chunks of 16 MiB.
        threads = max(min(self.workers, self.memory // (128 << 20)), 1)
        self._work = self._work or tempfile.TemporaryDirectory(dir=Path(files["a"]).parent)
        return cubed.Spec(
            work_dir=self._work.name,
            allowed_mem=self.memory // threads,
            reserved_mem=0,
            executor_name="threads",
            executor_options={"max_workers": threads},
        )

    def _open(self, files: Files) -> Any:
        return cubed.from_zarr(files["zarr"], spec=self._spec(files))

    def mean(self, files: Files, chunk: int | None) -> float:
        return float(xp.mean(self._open(files)).compute())

    def columns(self, files: Files, chunk: int | None) -> list[list[float]]:
        return [found.tolist() for found in self._statistics(self._open(files), files)]

    def _statistics(self, x: Any, files: Files) -> tuple[np.ndarray[Any, Any], ...]:
        """Mean, deviation, least and greatest of each column.

        By what each chunk says of itself, since four reductions would read the array four times.
        """
        first = np.array(np.load(files["a"], mmap_mode="r")[0])
        chunks = ((4,) * x.numblocks[0], x.chunks[1])
        parts = cubed.map_blocks(partial(_four, first=first), x, dtype="f8", chunks=chunks)
        total, squares, low, high = (
            np.asarray(parts.compute()).reshape(-1, 4, x.shape[1]).swapaxes(0, 1)
        )
        mean = total.sum(axis=0) / x.shape[0]
        std = np.sqrt(squares.sum(axis=0) / x.shape[0] - mean * mean)
        return mean + first, std, low.min(axis=0), high.max(axis=0)

    def transcendental(self, files: Files, chunk: int | None) -> float:
        # Of seven operations it would store most of what lies between, for want of memory.
        made = cubed.map_blocks(_formula, self._open(files), dtype="f8")
        return float(xp.mean(made).compute())

    def map(self, files: Files, chunk: int | None) -> None:
        self._store(2 * self._open(files) + 1, files)

    zarr = map

    def two(self, files: Files, chunk: int | None) -> None:
        x = self._open(files)
        b = cubed.from_array(np.load(files["b"], mmap_mode="r"), x.chunksize, spec=x.spec)
        self._store(x * b + 1, files)

    def zscore(self, files: Files, chunk: int | None) -> None:
        x = self._open(files)
        # Statistics first, as by dask: in one plan it would store what lies between.
        mean, std, *_ = self._statistics(x, files)
        made = cubed.map_blocks(partial(_standard, mean=mean, std=std), x, dtype="f8")
        self._store(made, files)

    def _store(self, x: Any, files: Files) -> None:
        out = zarr.create_array(
            files["outzarr"], shape=x.shape, chunks=x.chunksize, dtype=x.dtype, compressors=None
        )
        cubed.store([x], [out])
        make_durable(files["outzarr"])

    def close(self) -> None:
        if self._work is not None:
            self._work.cleanup()


RIVAL = CubedZarr
