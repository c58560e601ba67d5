"""The suite by numexpr over mapped blocks, in threads, with buffers that are reused.

Reductions are NumPy's: numexpr's `sum` uses one thread and took twice as long.  It takes no part
where the input is Zarr, or where nothing but a reduction of part of three axes is asked for.
"""

from __future__ import annotations

from typing import Any

import numexpr  # type: ignore[import-untyped]
import numpy as np

from .. import Job
from . import Files, SuiteBase, blocks

Array = np.ndarray[Any, Any]


class NumexprBlocks(SuiteBase):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        numexpr.set_num_threads(self.workers)

    def mean(self, files: Files, chunk: int) -> float:
        x = _open(files["a"])
        return sum(float(x[rows].sum()) for rows in _blocks(x, chunk)) / x.size

    def columns(self, files: Files, chunk: int) -> list[list[float]]:
        x = _open(files["a"])
        low, high = np.array(x[0]), np.array(x[0])

        def extremes(block: Array) -> None:
            np.minimum(low, block.min(axis=0), out=low)
            np.maximum(high, block.max(axis=0), out=high)

        mean, std = _moments(x, chunk, extremes)
        return [found.tolist() for found in (mean, std, low, high)]

    def map(self, files: Files, chunk: int) -> None:
        self._store("2 * x + 1", files["out"], chunk, x=_open(files["a"]))

    def two(self, files: Files, chunk: int) -> None:
        self._store("a * b + 1", files["out"], chunk, a=_open(files["a"]), b=_open(files["b"]))

    def transcendental(self, files: Files, chunk: int) -> float:
        x, total = _open(files["a"]), 0.0
        buffer = np.empty((next(_blocks(x, chunk)).stop, x.shape[1]))
        for rows in _blocks(x, chunk):
            made = buffer[: rows.stop - rows.start]
            _evaluate("sin(x)**2 + cos(x) * exp(-abs(x))", made, x=x[rows])
            total += float(made.sum())
        return total / x.size

    def zscore(self, files: Files, chunk: int) -> None:
        x = _open(files["a"])
        mean, std = _moments(x, chunk)
        self._store("(x - mean) / std", files["out"], chunk, x=x, mean=mean, std=std)

    def update(self, files: Files, chunk: int) -> None:
        x = np.load(files["work"], mmap_mode="r+")
        for rows in _blocks(x, chunk):
            _evaluate("x * 1.01", x[rows], x=x[rows])
        x.flush()

    def _store(self, text: str, path: str, chunk: int, **names: Array) -> None:
        """Names of two axes are cut into blocks, the others are the same for each."""
        like = next(iter(names.values()))
        out: Any = np.lib.format.open_memmap(path, mode="w+", dtype=like.dtype, shape=like.shape)
        for rows in _blocks(like, chunk):
            cut = {name: x[rows] if x.ndim == 2 else x for name, x in names.items()}
            _evaluate(text, out[rows], **cut)
        out.flush()


def _evaluate(text: str, out: Array, **names: Array) -> None:
    numexpr.evaluate(text, local_dict=names, global_dict={}, out=out)


def _open(path: str) -> Array:
    x: Array = np.load(path, mmap_mode="r")
    return x


def _blocks(x: Array, chunk: int) -> Any:
    return blocks(len(x), x.itemsize * x.shape[1], chunk)


def _moments(x: Array, chunk: int, also: Any = None) -> tuple[Array, Array]:
    """Mean and deviation by column in one pass; `also` looks at each block while it is there."""
    # About the first row: squares of what is near zero lose nothing.
    first, total, squares = np.array(x[0]), np.zeros(x.shape[1]), np.zeros(x.shape[1])
    buffer = np.empty((next(_blocks(x, chunk)).stop, x.shape[1]))
    for rows in _blocks(x, chunk):
        part = buffer[: rows.stop - rows.start]
        _evaluate("x - first", part, x=x[rows], first=first)
        total += part.sum(axis=0)
        squares += np.einsum("ij,ij->j", part, part)
        if also is not None:
            also(x[rows])
    mean = total / len(x)
    return mean + first, np.sqrt(squares / len(x) - mean * mean)


RIVAL = NumexprBlocks
