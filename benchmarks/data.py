"""The files that the rivals work on: makes them, checks results against them, and cools them."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from oocarray.pages.calls import cached_bytes

from .rivals import BLOCK_BYTES, Job

__all__ = ["Data"]

COLUMNS = 8192
"""A row is 64 KiB: blocks and chunks are whole rows, contiguous for everyone."""
HEAVY_SHAPE = (256, 4096)
SAMPLES = 64
FACTOR, TERM = 0.5, 1.0


class Data:
    """The input array and everything beside it, in one folder.

    Its values need not be read to be known: one block of random numbers, to each repetition of
    which another small number is added.
    """

    def __init__(self, folder: Path, nbytes: int) -> None:
        self.folder = folder
        self.shape = (max(nbytes // (8 * COLUMNS), 1), COLUMNS)
        self.nbytes = 8 * self.shape[0] * self.shape[1]
        self._rows = max(BLOCK_BYTES // (8 * COLUMNS), 1)
        self._block = np.random.default_rng(20).random((self._rows, COLUMNS))
        self.mean = math.nan
        self.source = folder / "source.npy"
        self.zarr = folder / "source.zarr"
        self.work = folder / "work.npy"
        self.heavy = folder / "heavy.npy"
        # Samples anywhere, and at both ends.
        chosen = np.random.default_rng(21).integers(0, self.shape[0] * COLUMNS, SAMPLES)
        chosen[:2] = 0, self.shape[0] * COLUMNS - 1
        self.rows, self.columns = (part.tolist() for part in np.divmod(chosen, COLUMNS))

    def job(self, name: str, memory: int | None, workers: int, scheduler: str) -> Job:
        """What a rival of this name is told."""
        out = self.folder / f"out-{name}{'.zarr' if name == 'dask_zarr' else '.npy'}"
        paths = (self.source, self.zarr, out, self.work, self.heavy)
        return Job(*map(str, paths), memory, workers, scheduler, FACTOR, TERM)

    def values(self) -> np.ndarray:
        """The input's elements at the samples' places."""
        rows = np.array(self.rows)
        return self._block[rows % self._rows, self.columns] + rows // self._rows / 1024

    # ---- making ------------------------------------------------------------------------------

    def make_source(self) -> None:
        """Write the input, and find its mean by another way than any rival."""
        total = self._write(self.source)
        self.mean = total / (self.shape[0] * COLUMNS)
        np.save(self.heavy, self._heavy())
        _settle([self.heavy])

    @staticmethod
    def _heavy() -> np.ndarray:
        return np.random.default_rng(22).random(HEAVY_SHAPE)

    @property
    def last_heavy(self) -> float:
        """Last element of the array for compute-bound work."""
        return float(self._heavy()[-1, -1])

    def make_work(self) -> None:
        """Write the array that is to be changed in place: at first the same as the input."""
        self._write(self.work)

    def make_zarr(self) -> None:
        """Convert the input, in a process of its own: dask and zarr stay out of this one."""
        code = "import sys; from benchmarks.rivals.dask_zarr import convert; convert(*sys.argv[1:])"
        command = [sys.executable, "-c", code, str(self.source), str(self.zarr)]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[1])

    def _write(self, path: Path) -> float:
        out = np.lib.format.open_memmap(path, mode="w+", dtype="f8", shape=self.shape)
        sums = []
        for start in range(0, self.shape[0], self._rows):
            block = out[start : start + self._rows]
            np.add(self._block[: len(block)], start // self._rows / 1024, out=block)
            sums.append(math.fsum(block.sum(axis=1).tolist()))
        out.flush()
        return math.fsum(sums)

    # ---- between runs ------------------------------------------------------------------------

    def cool(self, path: Path) -> int:
        """Drop a file, or a folder of files, from the page cache; return the bytes that stay."""
        files = _files(path)
        _settle(files)
        left = 0
        for file in files:
            fd = os.open(file, os.O_RDONLY)
            try:
                left += cached_bytes(fd, 0, os.fstat(fd).st_size) or 0
            finally:
                os.close(fd)
        return left

    def remove(self, path: Path) -> None:
        """Remove an output, and have the removal over before something else is timed."""
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _files(path: Path) -> list[Path]:
    return [found for found in path.rglob("*") if found.is_file()] if path.is_dir() else [path]


def _settle(files: list[Path]) -> None:
    """Write back and drop; dirty pages cannot be dropped."""
    for fd in _open(files):
        os.fdatasync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def _open(files: list[Path]) -> Iterator[int]:
    for file in files:
        fd = os.open(file, os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)
