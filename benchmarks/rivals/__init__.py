"""One file per way to do the work, each imported only in its own process; they time nothing."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "BLOCK_BYTES",
    "SMALL_BLOCK_BYTES",
    "Job",
    "PairRival",
    "Rival",
    "make_durable",
    "sample_zarr",
    "sync_file",
    "third_of",
]

BLOCK_BYTES = 16 << 20
"""Block of the loops and chunk of the Zarr arrays: the same for all who choose one."""
SMALL_BLOCK_BYTES = 4 << 20
"""Block where what is left behind at the edges is looked at, and where three arrays are read."""


@dataclass(frozen=True)
class Job:
    """What a rival is to work on, and with what; sent to its process as JSON."""

    source: str
    """An ``.npy`` file of float64, two axes, C order."""
    zarr: str
    """The same array as an uncompressed Zarr v3 array."""
    out: str
    """Where results go; not there before each run."""
    work: str
    """An ``.npy`` file that `update` changes."""
    part: str
    """A smaller ``.npy`` file, its rows of 4 KiB."""
    heavy: str
    """A small ``.npy`` file for work that only the processors limit."""
    folder: str
    """Folder of the folders of pairs, in each ``a.npy`` and ``b.npy``, and of Zarr arrays."""
    memory: int | None
    """Bytes; None: the default of whoever has one."""
    workers: int | None
    """None: the default of whoever has one."""
    scheduler: str
    factor: float
    term: float
    """`update` makes x into ``factor * x + term``."""


class Rival:
    """Base of the rivals: each method named as a case's does the whole of its work.

    What a method has written is on the disk when it returns.  Opening files is part of the
    work; imports, warm pools and compiled kernels are not: the first, untimed run pays for them.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def sample(self, written: str, places: list[int]) -> np.ndarray:
        """Elements of what was written ("out" or "work"), for comparison."""
        array: np.ndarray[Any, Any] = np.load(getattr(self.job, written), mmap_mode="r")
        return np.array(array.reshape(-1)[places])

    def close(self) -> None:
        """Let go of what was kept warm."""


class PairRival(Rival):
    """Base of those that work on pairs of arrays in threads; they answer with the pair's name.

    Arrays are mapped once and kept: after the first run they pay for no page fault.
    """

    @cache  # noqa: B019
    def whole(self, pair: str) -> tuple[np.ndarray, np.ndarray]:
        """Both arrays as they are in the files."""
        folder = Path(self.job.folder) / pair
        a, b = (np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray) for name in "ab")
        return a, b

    def arrays(self, pair: str) -> tuple[np.ndarray, np.ndarray]:
        """Both arrays; of the second one the columns that belong to those of the first."""
        a, b = self.whole(pair)
        return a, b[:, :: b.shape[1] // a.shape[1]]

    def spans(self, rows: int) -> list[tuple[int, int]]:
        """Rows from where to where, one for each worker."""
        cuts = np.linspace(0, rows, (self.job.workers or 1) + 1).astype(int).tolist()
        return list(pairwise(cuts))


def third_of(rows: int) -> tuple[int, int]:
    """Rows of a block of about 4 MiB, and of a third of the array in whole blocks."""
    third = max(rows // 3, 1)
    block = min(SMALL_BLOCK_BYTES >> 16, third)
    return block, third // block * block


def make_durable(folder: str) -> None:
    """As a user who needs it would: nothing in dask or zarr does it."""
    found = [path for path in Path(folder).rglob("*") if path.is_file()]
    # Side by side, so that the file system may join what it commits.
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sync_file, found))
    for path in (Path(folder), *{path.parent for path in found}, Path(folder).parent):
        sync_file(path)


def sync_file(path: str | Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sample_zarr(path: str, places: list[int]) -> np.ndarray:
    """Elements of a Zarr array that was written, by their number in C order."""
    import zarr

    z = zarr.open_array(path, mode="r")
    if z.compressors:
        raise RuntimeError("the output is compressed, which was not asked for")
    return np.asarray(z.vindex[np.unravel_index(places, z.shape)])
