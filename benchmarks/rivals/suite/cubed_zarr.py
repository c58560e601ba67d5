"""The suite by cubed on its threads, from Zarr to Zarr, with the memory it is allowed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import cubed  # type: ignore[import-untyped]
import cubed.array_api as xp  # type: ignore[import-untyped]
import numpy as np
import zarr

from .. import Job, make_durable
from . import Files, SuiteBase


def _formula(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    made: np.ndarray[Any, Any] = np.sin(x) ** 2 + np.cos(x) * np.exp(-np.abs(x))
    return made


class CubedZarr(SuiteBase):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._work: Any = None

    def _spec(self, files: Files) -> Any:
        # What it keeps between its operations goes to the disk that the files are on.
        self._work = self._work or tempfile.TemporaryDirectory(dir=Path(files["a"]).parent)
        return cubed.Spec(
            work_dir=self._work.name,
            allowed_mem=self.memory // self.workers,
            reserved_mem=0,
            executor_name="threads",
            executor_options={"max_workers": self.workers},
        )

    def _open(self, files: Files) -> Any:
        return cubed.from_zarr(files["zarr"], spec=self._spec(files))

    def mean(self, files: Files, chunk: int | None) -> float:
        return float(xp.mean(self._open(files)).compute())

    def transcendental(self, files: Files, chunk: int | None) -> float:
        # Of seven operations it would store most of what lies between, for want of memory.
        made = cubed.map_blocks(_formula, self._open(files), dtype="f8")
        return float(xp.mean(made).compute())

    def map(self, files: Files, chunk: int | None) -> None:
        x = self._open(files)
        out = zarr.create_array(
            files["outzarr"], shape=x.shape, chunks=x.chunksize, dtype=x.dtype, compressors=None
        )
        cubed.store([2 * x + 1], [out])
        make_durable(files["outzarr"])

    zarr = map

    def close(self) -> None:
        if self._work is not None:
            self._work.cleanup()


RIVAL = CubedZarr
