"""The Zarr arrays that formats are compared on: makes them, and knows what is right; times nothing.

Elements are whole numbers of 1/1024 that fit float32, so that sums and ``2x + 1`` are exact.
"""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "CHUNK",
    "MILLION_AT",
    "STORES",
    "make_store",
    "million_sum",
    "store_bytes",
    "store_mean",
    "store_shape",
    "store_values",
]

COLUMNS = 8192
CHUNK = (1024, 2048)
"""8 MiB of float32, four of them beside each other."""
MILLION = (32_000, 32_000)
MILLION_CHUNK = (32, 32)
MILLION_AT = (500, 501)
"""The one chunk of a million that has a file."""


class Kind(NamedTuple):
    """What is in a store."""

    compressors: str | None = None
    """As `zarr.create_array` takes it."""
    part: bool = False
    """Whether it is of the size of the smaller array, to be read from the page cache."""


STORES = {
    "chunks": Kind(),
    "zstd": Kind("auto"),
    "chunks-cached": Kind(part=True),
    "zstd-cached": Kind("auto", part=True),
    "million": Kind(),
}
"""Folders of these names and ``.zarr``."""


def store_shape(nbytes: int) -> tuple[int, int]:
    """Of an array of about so many bytes, in whole chunks."""
    rows = max(nbytes // (4 * COLUMNS), 1)
    return rows - rows % min(CHUNK[0], rows), COLUMNS


def store_bytes(name: str, nbytes: int) -> int:
    """Bytes of the elements that are looked at, not compressed."""
    rows, columns = MILLION_CHUNK if name == "million" else store_shape(nbytes)
    return 4 * rows * columns


@lru_cache(maxsize=2)
def _block(rows: int) -> np.ndarray[Any, Any]:
    """What all chunks have in common."""
    noise = np.random.default_rng(24).standard_normal((rows, CHUNK[1]))
    made: np.ndarray[Any, Any] = (1 + np.round(noise * 256) / 256).astype("f4")
    return made


def store_values(nbytes: int, places: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Elements by their number in C order, as float64."""
    rows = min(CHUNK[0], store_shape(nbytes)[0])
    row, column = np.divmod(places, COLUMNS)
    number = row // rows * (COLUMNS // CHUNK[1]) + column // CHUNK[1]
    found: np.ndarray[Any, Any] = _block(rows)[row % rows, column % CHUNK[1]] + number / 1024
    return found


def store_mean(nbytes: int) -> float:
    """Of all elements, which sum up without rounding."""
    shape = store_shape(nbytes)
    block = _block(min(CHUNK[0], shape[0]))
    count = shape[0] * shape[1] // block.size
    return float(block.sum(dtype="f8")) / block.size + (count - 1) / 2048


def million_sum() -> float:
    """Of the elements of the chunk that has a file."""
    return float(np.arange(MILLION_CHUNK[0] * MILLION_CHUNK[1]).sum())


def make_store(folder: Path, name: str, nbytes: int) -> None:
    """Write one, in a process of its own: zarr stays out of this one."""
    code = "import sys; from benchmarks.stores import _write; _write(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(folder / f"{name}.zarr"), name, str(nbytes)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])


def _write(path: str, name: str, nbytes: str) -> None:
    import zarr

    if name == "million":
        z = zarr.create_array(
            path, shape=MILLION, chunks=MILLION_CHUNK, dtype="f4", compressors=None
        )
        key = tuple(
            slice(at * n, at * n + n) for at, n in zip(MILLION_AT, MILLION_CHUNK, strict=True)
        )
        z[key] = np.arange(MILLION_CHUNK[0] * MILLION_CHUNK[1], dtype="f4").reshape(MILLION_CHUNK)
        return
    shape = store_shape(int(nbytes))
    chunks = (min(CHUNK[0], shape[0]), CHUNK[1])
    made: Any = STORES[name].compressors
    z = zarr.create_array(path, shape=shape, chunks=chunks, dtype="f4", compressors=made)
    block = _block(chunks[0])
    for number in range(shape[0] // chunks[0] * (COLUMNS // CHUNK[1])):
        row, column = divmod(number, COLUMNS // CHUNK[1])
        rows = slice(row * chunks[0], (row + 1) * chunks[0])
        columns = slice(column * CHUNK[1], (column + 1) * CHUNK[1])
        z[rows, columns] = block + np.float32(number / 1024)
