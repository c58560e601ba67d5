"""Expressions by Blosc2 over mapped files, reduced in its own blocks; it stores nothing here.

Its stores are of its own format: what it would write is no file that the others could be asked for.
"""

from __future__ import annotations

from typing import Any

import blosc2  # type: ignore[import-untyped]
import numpy as np

from .. import Job
from . import Files, SuiteBase


class Blosc2Lazy(SuiteBase):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        blosc2.set_nthreads(self.workers)

    def mean(self, files: Files, chunk: int | None) -> float:
        return float(_lazy("x + 0", files).mean())

    def columns(self, files: Files, chunk: int | None) -> list[list[float]]:
        x = _lazy("x + 0", files)
        four = (getattr(x, name)(axis=0) for name in ("mean", "std", "min", "max"))
        return [np.asarray(found[:]).tolist() for found in four]

    def transcendental(self, files: Files, chunk: int | None) -> float:
        return float(_lazy("sin(x)**2 + cos(x) * exp(-abs(x))", files).mean())


def _lazy(text: str, files: Files) -> Any:
    return blosc2.lazyexpr(text, {"x": np.load(files["a"], mmap_mode="r")})


RIVAL = Blosc2Lazy
