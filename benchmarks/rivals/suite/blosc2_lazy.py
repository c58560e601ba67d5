"""Expressions by Blosc2 over mapped files, reduced in its own blocks; it stores nothing here.

Its stores are of its own format: what it would write is no file that the others could be asked for.
"""

from __future__ import annotations

from typing import Any

import blosc2  # type: ignore[import-untyped]
import numexpr  # type: ignore[import-untyped]
import numpy as np

from .. import Job
from . import Files, SuiteBase, blocks

Array = np.ndarray[Any, Any]


class Blosc2Lazy(SuiteBase):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        blosc2.set_nthreads(self.workers)
        # It evaluates by numexpr what its own engine does not, as over arrays of NumPy.
        numexpr.set_num_threads(self.workers)

    def mean(self, files: Files, chunk: int | None) -> float:
        x = _open(files)
        return float(_evaluated("sum(x)", x)) / x.size

    def columns(self, files: Files, chunk: int) -> list[list[float]]:
        x = _open(files)
        # An expression has one reduction: by bands only the first of four reads the file.
        low, high = np.array(x[0]), np.array(x[0])
        total, squares = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        for rows in blocks(len(x), x[0].nbytes, chunk):
            sums, more, least, most = _statistics(x[rows])
            total += sums
            squares += more
            np.minimum(low, least, out=low)
            np.maximum(high, most, out=high)
        mean = total / len(x)
        std = np.sqrt(squares / len(x) - mean * mean)
        return [made.tolist() for made in (mean, std, low, high)]

    def transcendental(self, files: Files, chunk: int | None) -> float:
        x = _open(files)
        return float(_evaluated("sum(sin(x)**2 + cos(x) * exp(-abs(x)))", x)) / x.size


def _open(files: Files) -> Array:
    x: Array = np.load(files["a"], mmap_mode="r")
    return x


def _evaluated(text: str, x: Array) -> Any:
    return blosc2.lazyexpr(text, {"x": x})[()]


def _statistics(band: Array) -> list[Array]:
    texts = ("sum(x, axis=0)", "sum(x * x, axis=0)", "min(x, axis=0)", "max(x, axis=0)")
    return [np.asarray(_evaluated(text, band)) for text in texts]


RIVAL = Blosc2Lazy
