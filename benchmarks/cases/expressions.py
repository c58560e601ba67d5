"""Cases of expressions beside dask over Zarr and loops over `numpy.memmap`; runs nothing."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ..data import Data
from .engine import DASK, LOOP, OURS, three_of
from .records import Case, Settings, Target

__all__ = ["cases", "targets"]


def cases(settings: Settings) -> list[Case]:
    """The z-score of every column into new storage, and a formula that is averaged."""

    three = three_of(settings)
    return [
        Case(
            "zscore",
            "expressions",
            "zscore",
            "(x - mean) / std by column to new storage, cold",
            three,
            _scored,
            cold=True,
            writes="out",
        ),
        Case(
            "formula",
            "expressions",
            "formula",
            "mean of sqrt(x x + 1) exp(-abs(x)), cold",
            three,
            _averaged,
            cold=True,
        ),
    ]


def targets(settings: Settings) -> list[Target]:
    """Ratios are another's seconds by ours."""
    return [
        Target("zscore", f"times as fast as {rival}", wanted, rival, by=OURS, unit="x")
        for rival, wanted in ((DASK, 2.0), (LOOP, 1.2))
    ]


@lru_cache(maxsize=2)
def _moments(path: str) -> tuple[Any, Any, float]:
    """Means and deviations of the columns, summed in longdouble, and the mean of the formula."""
    x = np.load(path, mmap_mode="r")
    rows, step = len(x), 256
    total, formula = np.zeros(x.shape[1], np.longdouble), []
    for start in range(0, rows, step):
        block = x[start : start + step]
        total += block.sum(axis=0, dtype=np.longdouble)
        made = np.sqrt(block * block + 1) * np.exp(-np.abs(block))
        formula.append(math.fsum(made.sum(axis=1).tolist()))
    mean = total / rows
    squares = np.zeros(x.shape[1], np.longdouble)
    for start in range(0, rows, step):
        squares += ((x[start : start + step] - mean) ** 2).sum(axis=0)
    return mean.astype("f8"), np.sqrt(squares / rows).astype("f8"), math.fsum(formula) / x.size


def _scored(data: Data, found: list[float], _: Any) -> str:
    mean, deviation, _formula = _moments(str(data.source))
    columns = data.places["source"] % len(mean)
    expected = (data.values() - mean[columns]) / deviation[columns]
    if np.allclose(found, expected, rtol=1e-9, atol=1e-12):
        return ""
    worst = int(np.argmax(np.abs(np.asarray(found) - expected)))
    return f"an element is {found[worst]!r}, not {float(expected[worst])!r}"


def _averaged(data: Data, found: float, _: Any) -> str:
    expected = _moments(str(data.source))[2]
    return "" if math.isclose(found, expected, rel_tol=1e-9) else f"{found!r}, not {expected!r}"
