"""One file per way to do the work, each imported only in its own process; they time nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["BLOCK_BYTES", "Job", "Rival"]

BLOCK_BYTES = 16 << 20
"""Block of the loops and chunk of the Zarr arrays: the same for all who choose one."""


@dataclass(frozen=True)
class Job:
    """What a rival is to work on, and with what; sent to its process as JSON."""

    source: str
    """An ``.npy`` file of float64, two axes, C order."""
    zarr: str
    """The same array as an uncompressed Zarr v3 array."""
    out: str
    """Where `map` puts its result; not there before each run."""
    work: str
    """An ``.npy`` file that `update` changes."""
    heavy: str
    """A small ``.npy`` file for work that only the processors limit."""
    memory: int | None
    """Bytes; None: the default of whoever has one."""
    workers: int
    scheduler: str
    factor: float
    term: float
    """`update` makes x into ``factor * x + term``."""


class Rival:
    """Base of the rivals: each method named as a case does the whole of its work.

    What a method has written is on the disk when it returns.  Opening files is part of the
    work; imports, warm pools and compiled kernels are not: the first, untimed run pays for them.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def sample(self, case: str, rows: list[int], columns: list[int]) -> np.ndarray:
        """Elements of what a case has written, for comparison."""
        array = np.load(self.job.out if case == "map" else self.job.work, mmap_mode="r")
        return np.array(array[rows, columns])

    def close(self) -> None:
        """Let go of what was kept warm."""
