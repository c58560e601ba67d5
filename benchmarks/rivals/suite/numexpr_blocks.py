"""The suite by numexpr over mapped blocks, in threads, with buffers that are reused.

Reductions of what it has made are NumPy's: numexpr's `sum` uses one thread and took twice as long,
as did a subtraction by it that NumPy then sums.  It takes no part where the input is Zarr, or where
nothing but a reduction is asked for: that would be NumPy alone.
"""

from __future__ import annotations

import numexpr  # type: ignore[import-untyped]
import numpy as np

from .. import Job
from . import Files
from .numpy_blocks import Array, NumpyBlocks, blocks_of, buffer_of, create, opened


class NumexprBlocks(NumpyBlocks):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        numexpr.set_num_threads(self.workers)

    def map(self, files: Files, chunk: int) -> None:
        self._store("2 * x + 1", files["out"], chunk, x=opened(files["a"]))

    def two(self, files: Files, chunk: int) -> None:
        self._store("a * b + 1", files["out"], chunk, a=opened(files["a"]), b=opened(files["b"]))

    def transcendental(self, files: Files, chunk: int) -> float:
        x, total = opened(files["a"]), 0.0
        buffer = buffer_of(x, chunk)
        for rows in blocks_of(x, chunk):
            made = buffer[: rows.stop - rows.start]
            _evaluate("sin(x)**2 + cos(x) * exp(-abs(x))", made, x=x[rows])
            total += float(made.sum())
        return total / x.size

    def zscore(self, files: Files, chunk: int) -> None:
        x = opened(files["a"])
        mean, std = self._moments(x, chunk)
        self._store("(x - mean) / std", files["out"], chunk, x=x, mean=mean, std=std)

    def update(self, files: Files, chunk: int) -> None:
        x = np.load(files["work"], mmap_mode="r+")
        for rows in blocks_of(x, chunk):
            _evaluate("x * 1.01", x[rows], x=x[rows])
        x.flush()

    def _store(self, text: str, path: str, chunk: int, **names: Array) -> None:
        """Names of two axes are cut into blocks, the others are the same for each."""
        like = next(iter(names.values()))
        out = create(path, like)
        for rows in blocks_of(like, chunk):
            cut = {name: x[rows] if x.ndim == 2 else x for name, x in names.items()}
            _evaluate(text, out[rows], **cut)
        out.flush()


def _evaluate(text: str, out: Array, **names: Array) -> None:
    numexpr.evaluate(text, local_dict=names, global_dict={}, out=out)


RIVAL = NumexprBlocks
