"""The suite by zarr-python: threads work on bands of whole chunks, and more bands are being read.

It takes no part where a case's input has no Zarr copy, or where the work is in place.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import zarr

from .. import Job, make_durable
from . import Files, SuiteBase, blocks

Array = np.ndarray[Any, Any]
_PART = 512 << 10
"""Of a band, for several operations in turn: it stays in the cache of a processor."""


class ZarrBands(SuiteBase):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        # As oocarray and cubed do: else each chunk is first compared with the fill value.
        zarr.config.set({"array.write_empty_chunks": True})
        self._pool = ThreadPoolExecutor(self.workers)
        self._readers = ThreadPoolExecutor(self.workers)

    def mean(self, files: Files, chunk: int) -> float:
        z = self._open(files["zarr"])
        sums = self._each(z, chunk, lambda _, block: float(block.sum()))
        return float(sum(sums)) / math.prod(z.shape)

    def columns(self, files: Files, chunk: int) -> list[list[float]]:
        z = self._open(files["zarr"])
        low, high = np.full(z.shape[1], np.inf), np.full(z.shape[1], -np.inf)
        total, squares = np.zeros(z.shape[1]), np.zeros(z.shape[1])
        for *sums, least, most in self._each(z, chunk, _statistics):
            total += sums[0]
            squares += sums[1]
            np.minimum(low, least, out=low)
            np.maximum(high, most, out=high)
        four = (*_moments(total, squares, z.shape[0]), low, high)
        return [found.tolist() for found in four]

    def map(self, files: Files, chunk: int) -> None:
        def twice(_: slice, block: Array) -> None:
            for part in _parts(block):
                np.multiply(part, 2, out=part)
                np.add(part, 1, out=part)

        self._store(files, chunk, twice)

    zarr = map

    def two(self, files: Files, chunk: int) -> None:
        b: Array = np.load(files["b"], mmap_mode="r")

        def joined(rows: slice, block: Array) -> None:
            for part, other in zip(_parts(block), _parts(b[rows]), strict=True):
                np.multiply(part, other, out=part)
                np.add(part, 1, out=part)

        self._store(files, chunk, joined)

    def transcendental(self, files: Files, chunk: int) -> float:
        z = self._open(files["zarr"])
        sums = self._each(z, chunk, lambda _, block: sum(map(_transcendental, _parts(block))))
        return float(sum(sums)) / math.prod(z.shape)

    def zscore(self, files: Files, chunk: int) -> None:
        z = self._open(files["zarr"])
        total, squares = np.zeros(z.shape[1]), np.zeros(z.shape[1])
        for sums in self._each(z, chunk, lambda _, block: _sums(block)):
            total += sums[0]
            squares += sums[1]
        mean, std = _moments(total, squares, z.shape[0])

        def scored(_: slice, block: Array) -> None:
            for part in _parts(block):
                np.subtract(part, mean, out=part)
                np.divide(part, std, out=part)

        self._store(files, chunk, scored)

    def close(self) -> None:
        self._readers.shutdown()
        self._pool.shutdown()

    # ---- reading and writing, which others do otherwise ----------------------------------------

    def _open(self, path: str) -> Any:
        return zarr.open_array(path, mode="r")

    def _create(self, path: str, z: Any) -> Any:
        return zarr.create_array(
            path, shape=z.shape, chunks=z.chunks, dtype=z.dtype, compressors=None
        )

    def _read(self, z: Any, rows: slice) -> Any:
        """A band that is being read: a future of it."""
        return self._readers.submit(z.__getitem__, rows)

    def _write(self, out: Any, rows: slice, block: Array) -> Any:
        """Write a band, or begin to: then a future, and what is in flight counts it until then."""
        out[rows] = block

    # ---- bands -------------------------------------------------------------------------------

    def _each(self, z: Any, chunk: int, work: Callable[[slice, Array], Any]) -> Iterator[Any]:
        """What `work` makes of each band, in their order."""

        def worked(rows: slice, coming: Any) -> Any:
            return work(rows, coming.result())

        # A band for each thread, and as many read ahead where memory has room: while it is read or
        # written, a band is there twice, and freed memory is not at once given back.
        most = max(1, min(2 * self.workers, max(self.workers, self.memory // (8 * chunk))))
        most = min(most, max(self.memory // (2 * chunk), 1))
        going: deque[Any] = deque()
        for rows in blocks(z.shape[0], 8 * z.shape[1], chunk):
            if len(going) == most:
                yield going.popleft().result()
            going.append(self._pool.submit(worked, rows, self._read(z, rows)))
        while going:
            yield going.popleft().result()

    def _store(self, files: Files, chunk: int, change: Callable[[slice, Array], None]) -> None:
        z = self._open(files["zarr"])
        out = self._create(files["outzarr"], z)

        def stored(rows: slice, block: Array) -> Any:
            change(rows, block)
            return self._write(out, rows, block)

        for writing in self._each(z, chunk, stored):
            if writing is not None:
                writing.result()
        make_durable(files["outzarr"])


def _parts(block: Array) -> Iterator[Array]:
    for rows in blocks(len(block), block[0].nbytes, _PART):
        yield block[rows]


def _transcendental(part: Array) -> float:
    made = np.abs(part)
    np.negative(made, out=made)
    np.exp(made, out=made)
    np.multiply(made, np.cos(part), out=made)
    np.sin(part, out=part)
    np.multiply(part, part, out=part)
    np.add(made, part, out=made)
    return float(made.sum())


def _sums(block: Array) -> tuple[Array, Array]:
    """Sums and sums of squares by column."""
    total, squares = np.zeros(block.shape[1]), np.zeros(block.shape[1])
    for part in _parts(block):
        total += part.sum(axis=0)
        squares += np.einsum("ij,ij->j", part, part)
    return total, squares


def _statistics(_: slice, block: Array) -> tuple[Array, Array, Array, Array]:
    return *_sums(block), block.min(axis=0), block.max(axis=0)


def _moments(total: Array, squares: Array, rows: int) -> tuple[Array, Array]:
    mean = total / rows
    return mean, np.sqrt(squares / rows - mean * mean)


RIVAL = ZarrBands
