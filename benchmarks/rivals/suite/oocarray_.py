"""The suite by oocarray, as its documentation shows it; no option that a user could not give.

It chooses blocks by itself; its budget is half of the memory, which is its default too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import oocarray as oo

from .. import Job, sync_file
from . import Files, SuiteBase


class OOCArray(SuiteBase):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._options: dict[str, Any] = {
            "memory": self.memory // 2,
            "workers": self.workers,
            "progress": False,
        }

    def mean(self, files: Files, chunk: int | None) -> float:
        return float(oo.open(files["a"]).mean().compute(**self._options))

    def columns(self, files: Files, chunk: int | None) -> list[list[float]]:
        x = oo.open(files["a"])
        four = x.mean(axis=0), x.std(axis=0), x.min(axis=0), x.max(axis=0)
        return [found.tolist() for found in oo.compute(*four, **self._options)]

    def map(self, files: Files, chunk: int | None) -> None:
        self._store(2 * oo.open(files["a"]) + 1, files["out"])

    def two(self, files: Files, chunk: int | None) -> None:
        self._store(oo.open(files["a"]) * oo.open(files["b"]) + 1, files["out"])

    def transcendental(self, files: Files, chunk: int | None) -> float:
        x: Any = oo.open(files["a"])
        made: Any = np.sin(x) ** 2 + np.cos(x) * np.exp(-np.abs(x))
        return float(made.mean().compute(**self._options))

    def zscore(self, files: Files, chunk: int | None) -> None:
        x = oo.open(files["a"])
        self._store((x - x.mean(axis=0)) / x.std(axis=0), files["out"])

    def slab(self, files: Files, chunk: int | None) -> Any:
        x = oo.open(files["a"])
        quarter = x.shape[1] // 4
        slab = x[:, quarter : 3 * quarter]
        return slab.mean(axis=(1, 2)).compute(**self._options).tolist()

    def zarr(self, files: Files, chunk: int | None) -> None:
        x = oo.open(files["zarr"])
        kept = {"chunks": x.chunksize, "shards": False}
        self._store(2 * x + 1, files["outzarr"], **kept)

    def update(self, files: Files, chunk: int | None) -> None:
        with oo.options(**self._options):
            x = oo.open(files["work"], mode="r+")
            x *= 1.01
        sync_file(files["work"])

    def _store(self, made: Any, out: str, **kept: Any) -> None:
        made.store(out, durability="machine", **kept, **self._options)


RIVAL = OOCArray
