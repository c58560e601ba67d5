"""The pairs of arrays that fused expressions read: makes them, and knows results; times nothing."""

from __future__ import annotations

import math
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["FEW_BYTES", "PAIRS", "STATISTICS", "make_pair", "pair_bytes", "results"]

COLUMNS = 8192
BLOCK_ROWS = 256
FEW_BYTES = 8 << 20
"""Of each of two arrays of which the work is so short that starting it shows."""
STATISTICS = ("sum", "mean", "std", "min", "max")


class Pair(NamedTuple):
    """Two arrays ``a.npy`` and ``b.npy`` in a folder."""

    dtype: str
    step: int = 1
    """Which columns of b belong to those of a."""


PAIRS = {"pair": Pair("f8"), "pair32": Pair("f4"), "wide": Pair("f8", 2), "few": Pair("f8")}


class Results(NamedTuple):
    """What is right, of values as they are in the files, computed in float64."""

    squares: float
    transcendental: float
    statistics: dict[str, float]
    """Of the first array alone."""


def pair_bytes(name: str, nbytes: int) -> int:
    """Bytes of both arrays, where one of float64 has so many."""
    elements = COLUMNS * _rows(name, nbytes)
    return elements * int(np.dtype(PAIRS[name].dtype).itemsize) * (1 + PAIRS[name].step)


def _rows(name: str, nbytes: int) -> int:
    size = min(nbytes, FEW_BYTES) if name == "few" else nbytes
    return max(size // (8 * COLUMNS), 1)


def make_pair(folder: Path, name: str, nbytes: int) -> None:
    """Write both arrays: two blocks of random numbers, another number added at each repetition.

    The first array of ``wide`` is that of ``pair``, which must be there, under another name.
    """
    target, rows, pair = folder / name, _rows(name, nbytes), PAIRS[name]
    target.mkdir()
    random = np.random.default_rng(23)
    for letter, step in (("a", 1), ("b", pair.step)):
        path, block = target / f"{letter}.npy", random.standard_normal((BLOCK_ROWS, COLUMNS))
        if name == "wide" and letter == "a":
            os.link(folder / "pair" / "a.npy", path)
            continue
        shape = (rows, COLUMNS * step)
        out = np.lib.format.open_memmap(path, mode="w+", dtype=pair.dtype, shape=shape)
        for number, start in enumerate(range(0, rows, BLOCK_ROWS)):
            part = out[start : start + BLOCK_ROWS]
            for first in range(step):
                part[:, first::step] = block[: len(part)] + (number / 1024 + first)
        out.flush()


@lru_cache(maxsize=len(PAIRS))
def results(folder: str) -> Results:
    """All results of a pair, from sums of rows that are summed exactly."""
    a, b = (np.load(f"{folder}/{letter}.npy", mmap_mode="r") for letter in "ab")
    step = b.shape[1] // a.shape[1]
    rows: list[list[float]] = [[], [], [], []]
    low, high = math.inf, -math.inf
    for start in range(0, len(a), BLOCK_ROWS):
        x = a[start : start + BLOCK_ROWS].astype("f8")
        y = b[start : start + BLOCK_ROWS, ::step].astype("f8")
        made: Any = (x - y) ** 2, np.sqrt(x * x + y * y) * np.exp(-np.abs(x)), x, x * x
        for sums, values in zip(rows, made, strict=True):
            sums += values.sum(axis=1).tolist()
        low, high = min(low, float(x.min())), max(high, float(x.max()))
    squares, formula, total, second = map(math.fsum, rows)
    # Its mean is small beside its deviation: the difference of the squares loses nothing.
    mean, deviation = total / a.size, math.sqrt(second / a.size - (total / a.size) ** 2)
    found = dict(zip(STATISTICS, (total, mean, deviation, low, high), strict=True))
    return Results(squares, formula / a.size, found)
