"""The suite by a careful loop over `numpy.memmap`: blocks, buffers that are reused; one thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Files, SuiteBase, blocks

Array = np.ndarray[Any, Any]


class NumpyBlocks(SuiteBase):
    def mean(self, files: Files, chunk: int) -> float:
        x, total = opened(files["a"]), 0.0
        for rows in blocks_of(x, chunk):
            total += float(x[rows].sum())
        return total / x.size

    def columns(self, files: Files, chunk: int) -> list[list[float]]:
        x = opened(files["a"])
        low, high = np.array(x[0]), np.array(x[0])

        def extremes(block: Array) -> None:
            np.minimum(low, block.min(axis=0), out=low)
            np.maximum(high, block.max(axis=0), out=high)

        mean, std = self._moments(x, chunk, extremes)
        return [found.tolist() for found in (mean, std, low, high)]

    def map(self, files: Files, chunk: int) -> None:
        x = opened(files["a"])
        out, buffer = create(files["out"], x), buffer_of(x, chunk)
        for rows in blocks_of(x, chunk):
            part = buffer[: rows.stop - rows.start]
            np.multiply(x[rows], 2, out=part)
            # Each page of the output is touched once.
            np.add(part, 1, out=out[rows])
        out.flush()

    def two(self, files: Files, chunk: int) -> None:
        a, b = opened(files["a"]), opened(files["b"])
        out, buffer = create(files["out"], a), buffer_of(a, chunk)
        for rows in blocks_of(a, chunk):
            part = buffer[: rows.stop - rows.start]
            np.multiply(a[rows], b[rows], out=part)
            np.add(part, 1, out=out[rows])
        out.flush()

    def transcendental(self, files: Files, chunk: int) -> float:
        x = opened(files["a"])
        first, second, total = buffer_of(x, chunk), buffer_of(x, chunk), 0.0
        for rows in blocks_of(x, chunk):
            block, one, two = x[rows], *(b[: rows.stop - rows.start] for b in (first, second))
            np.abs(block, out=one)
            np.negative(one, out=one)
            np.exp(one, out=one)
            np.cos(block, out=two)
            np.multiply(one, two, out=one)
            np.sin(block, out=two)
            np.multiply(two, two, out=two)
            np.add(one, two, out=one)
            total += float(one.sum())
        return total / x.size

    def zscore(self, files: Files, chunk: int) -> None:
        x = opened(files["a"])
        mean, std = self._moments(x, chunk)
        out, buffer = create(files["out"], x), buffer_of(x, chunk)
        for rows in blocks_of(x, chunk):
            part = buffer[: rows.stop - rows.start]
            np.subtract(x[rows], mean, out=part)
            np.divide(part, std, out=out[rows])
        out.flush()

    def slab(self, files: Files, chunk: int) -> list[float]:
        x = opened(files["a"])
        quarter, found = x.shape[1] // 4, np.empty(len(x))
        plane = x.shape[1] * x.shape[2] * x.itemsize
        for planes in blocks(len(x), plane, chunk):
            x[planes, quarter : 3 * quarter].mean(axis=(1, 2), out=found[planes])
        return list(found.tolist())

    def update(self, files: Files, chunk: int) -> None:
        x = np.load(files["work"], mmap_mode="r+")
        for rows in blocks_of(x, chunk):
            block = x[rows]
            block *= 1.01
        x.flush()

    def _moments(self, x: Array, chunk: int, also: Any = None) -> tuple[Array, Array]:
        """Mean and deviation by column in one pass; `also` looks at each block in turn."""
        # About the first row: squares of what is near zero lose nothing.
        first, total, squares = np.array(x[0]), np.zeros(x.shape[1]), np.zeros(x.shape[1])
        buffer = buffer_of(x, chunk)
        for rows in blocks_of(x, chunk):
            part = buffer[: rows.stop - rows.start]
            np.subtract(x[rows], first, out=part)
            total += part.sum(axis=0)
            squares += np.einsum("ij,ij->j", part, part)
            if also is not None:
                also(x[rows])
        mean = total / len(x)
        return mean + first, np.sqrt(squares / len(x) - mean * mean)


def opened(path: str) -> Array:
    x: Array = np.load(path, mmap_mode="r")
    return x


def create(path: str, like: Array) -> Any:
    return np.lib.format.open_memmap(path, mode="w+", dtype=like.dtype, shape=like.shape)


def blocks_of(x: Array, chunk: int) -> Any:
    return blocks(len(x), x.itemsize * x.shape[1], chunk)


def buffer_of(x: Array, chunk: int) -> Array:
    return np.empty((next(blocks_of(x, chunk)).stop, x.shape[1]), x.dtype)


RIVAL = NumpyBlocks
