"""The suite by numexpr over mapped blocks, in threads, with buffers that are reused."""

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
        # A `sum` within an expression uses one thread; NumPy's is no slower, and exacter.
        x = _open(files["a"])
        return sum(float(x[rows].sum()) for rows in _blocks(x, chunk)) / x.size

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
        # About the first row: squares of what is near zero lose nothing.
        first, total, squares = np.array(x[0]), np.zeros(x.shape[1]), np.zeros(x.shape[1])
        buffer = np.empty((next(_blocks(x, chunk)).stop, x.shape[1]))
        for rows in _blocks(x, chunk):
            part = buffer[: rows.stop - rows.start]
            _evaluate("x - first", part, x=x[rows], first=first)
            total += part.sum(axis=0)
            squares += np.einsum("ij,ij->j", part, part)
        mean = total / len(x)
        std = np.sqrt(squares / len(x) - mean * mean)
        self._store("(x - mean) / std", files["out"], chunk, x=x, mean=mean + first, std=std)

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


RIVAL = NumexprBlocks
