"""The suite by zarr-python: bands of chunks that it reads side by side, worked on in place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import zarr

from .. import Job, make_durable
from . import Files, SuiteBase, blocks


class ZarrBands(SuiteBase):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        zarr.config.set({"threading.max_workers": self.workers})

    def mean(self, files: Files, chunk: int) -> float:
        z = self._open(files["zarr"])
        total = sum(float(block.sum()) for _, block in self._bands(z, chunk))
        return total / int(math.prod(z.shape))

    def columns(self, files: Files, chunk: int) -> list[list[float]]:
        z = self._open(files["zarr"])
        low, high = np.full(z.shape[1], np.inf), np.full(z.shape[1], -np.inf)
        mean, std = self._moments(z, chunk, low, high)
        return [found.tolist() for found in (mean, std, low, high)]

    def map(self, files: Files, chunk: int) -> None:
        def twice(_: slice, block: Any) -> None:
            np.multiply(block, 2, out=block)
            np.add(block, 1, out=block)

        self._store(files, chunk, twice)

    zarr = map

    def two(self, files: Files, chunk: int) -> None:
        b = np.load(files["b"], mmap_mode="r")

        def joined(rows: slice, block: Any) -> None:
            np.multiply(block, b[rows], out=block)
            np.add(block, 1, out=block)

        self._store(files, chunk, joined)

    def transcendental(self, files: Files, chunk: int) -> float:
        z, total = self._open(files["zarr"]), 0.0
        for _, block in self._bands(z, chunk):
            made = np.abs(block)
            np.negative(made, out=made)
            np.exp(made, out=made)
            np.multiply(made, np.cos(block), out=made)
            np.sin(block, out=block)
            np.multiply(block, block, out=block)
            np.add(made, block, out=made)
            total += float(made.sum())
        return total / int(math.prod(z.shape))

    def zscore(self, files: Files, chunk: int) -> None:
        mean, std = self._moments(self._open(files["zarr"]), chunk)

        def scored(_: slice, block: Any) -> None:
            np.subtract(block, mean, out=block)
            np.divide(block, std, out=block)

        self._store(files, chunk, scored)

    # ---- reading and writing, which others do otherwise ----------------------------------------

    def _open(self, path: str) -> Any:
        return zarr.open_array(path, mode="r")

    def _create(self, path: str, z: Any) -> Any:
        return zarr.create_array(
            path, shape=z.shape, chunks=z.chunks, dtype=z.dtype, compressors=None
        )

    def _bands(self, z: Any, chunk: int) -> Iterator[tuple[slice, Any]]:
        for rows in blocks(z.shape[0], 8 * z.shape[1], chunk):
            yield rows, z[rows]

    def _store(self, files: Files, chunk: int, change: Any) -> None:
        z = self._open(files["zarr"])
        out = self._create(files["outzarr"], z)
        for rows, block in self._bands(z, chunk):
            change(rows, block)
            out[rows] = block
        make_durable(files["outzarr"])

    def _moments(self, z: Any, chunk: int, low: Any = None, high: Any = None) -> tuple[Any, Any]:
        total, squares = np.zeros(z.shape[1]), np.zeros(z.shape[1])
        for _, block in self._bands(z, chunk):
            if low is not None:
                np.minimum(low, block.min(axis=0), out=low)
                np.maximum(high, block.max(axis=0), out=high)
            total += block.sum(axis=0)
            squares += np.einsum("ij,ij->j", block, block)
        mean = total / z.shape[0]
        return mean, np.sqrt(squares / z.shape[0] - mean * mean)


RIVAL = ZarrBands
