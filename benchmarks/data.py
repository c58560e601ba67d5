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

from .pairs import PAIRS, make_pair, pair_bytes
from .rivals import BLOCK_BYTES, Job, third_of
from .stores import STORES, make_store, store_bytes, store_mean, store_shape, store_values

__all__ = ["FACTOR", "TERM", "Data"]

COLUMNS = 8192
"""A row is 64 KiB: blocks and chunks are whole rows, contiguous for everyone."""
PART_COLUMNS = 512
"""A row of the smaller array is a block of 4 KiB."""
HEAVY_SHAPE = (256, 4096)
SAMPLES = 64
FACTOR, TERM = 0.5, 1.0
_PASSING = ("work", "part")
"""Files that are made for a case and removed after it, so that less room is needed at once."""


class Data:
    """The arrays in one folder.

    Their values need not be read to be known: one block of random numbers, to each repetition
    of which another small number is added.

    Parameters
    ----------
    folder : pathlib.Path
    nbytes, part, pair : int
        Bytes of the large array, of the smaller one, and of each of a pair; made to whole rows.
    """

    def __init__(self, folder: Path, nbytes: int, part: int = 1, pair: int = 1) -> None:
        self.folder, self._pair = folder, pair
        self._sizes = {name: part if kind.part else nbytes for name, kind in STORES.items()}
        self.shape = (max(nbytes // (8 * COLUMNS), 1), COLUMNS)
        self.part_shape = (max(part // (8 * PART_COLUMNS), 1), PART_COLUMNS)
        self._block = np.random.default_rng(20).random(BLOCK_BYTES // 8)
        self.mean = self.part_mean = math.nan
        self.source = folder / "source.npy"
        self.zarr = folder / "source.zarr"
        self.work = folder / "work.npy"
        self.part = folder / "part.npy"
        self.heavy = folder / "heavy.npy"
        self.small = folder / "small.npy"
        self.sparse = folder / "sparse.bin"
        self.third = third_of(self.shape[0])[1] * COLUMNS
        """Elements of a third of the large array, cut to whole blocks."""
        self.places = {
            "source": _some(math.prod(self.shape)),
            "part": _some(math.prod(self.part_shape)),
            "third": _some(max(self.third, 1)),
            **{name: _some(math.prod(store_shape(size))) for name, size in self._sizes.items()},
        }
        """Numbers of the elements that are compared of what was written."""

    def path(self, name: str) -> Path:
        """Where the file of this name is."""
        if name in STORES:
            return self.folder / f"{name}.zarr"
        path: Path = self.folder / name if name in PAIRS else getattr(self, name)
        return path

    def nbytes(self, name: str) -> int:
        """Bytes of the array in a file."""
        if name in PAIRS:
            return pair_bytes(name, self._pair)
        if name in STORES:
            return store_bytes(name, self._sizes[name])
        if name == "heavy":
            return 8 * math.prod(HEAVY_SHAPE)
        return 8 * math.prod(self.part_shape if name == "part" else self.shape)

    def job(self, name: str, memory: int | None, workers: int | None, scheduler: str) -> Job:
        """What a rival of this name is told."""
        out = self.folder / f"out-{name}{'.zarr' if name.endswith('zarr') else '.npy'}"
        paths = (self.source, self.zarr, out, self.work, self.part, self.heavy)
        return Job(*map(str, (*paths, self.folder)), memory, workers, scheduler, FACTOR, TERM)

    # ---- what is right -----------------------------------------------------------------------

    def values(self, places: str = "source", beyond: int = 0) -> np.ndarray:
        """Elements at the places of this name, each `beyond` further on."""
        return self._at(self.places[places] + beyond)

    def store_values(self, name: str) -> np.ndarray:
        """Elements of a Zarr array at its places."""
        return store_values(self._sizes[name], self.places[name])

    def store_mean(self, name: str) -> float:
        """Mean of a Zarr array."""
        return store_mean(self._sizes[name])

    def sum_of(self, count: int) -> float:
        """Sum of the first elements, so many of them."""
        whole, rest = divmod(count, len(self._block))
        sums = [whole * math.fsum(self._block), math.fsum(self._block[:rest])]
        added = len(self._block) * whole * (whole - 1) / 2 + rest * whole
        return math.fsum([*sums, added / 1024])

    def sum_of_firsts(self, count: int) -> float:
        """Sum of the first elements of so many rows of the smaller array."""
        return math.fsum(self._at(np.arange(count) * PART_COLUMNS).tolist())

    def _at(self, places: np.ndarray) -> np.ndarray:
        size = len(self._block)
        return self._block[places % size] + places // size / 1024

    def differs(self, expected: np.ndarray, found: list[float], places: str = "source") -> str:
        """Name the first element that is not as expected; nothing when all are."""
        # A processor that joins multiplication and addition rounds once, not twice.
        for k in np.flatnonzero(~np.isclose(found, expected, rtol=1e-15, atol=0)).tolist():
            place = int(self.places[places][k])
            return f"element {place} is {found[k]!r}, not {float(expected[k])!r}"
        return ""

    @property
    def last_heavy(self) -> float:
        """Last element of the array for compute-bound work."""
        return float(_heavy()[-1, -1])

    # ---- making ------------------------------------------------------------------------------

    def make(self, names: set[str], planned: int) -> None:
        """Write the files that last; means are found by another way than any rival's."""
        np.save(self.heavy, _heavy())
        np.save(self.small, np.arange((1 << 20) // 8, dtype="f8"))
        with self.sparse.open("wb") as stream:
            stream.truncate(planned * 8 * PART_COLUMNS)
        _settle([self.heavy, self.small])
        if names & {"source", "zarr"}:
            self.mean = self._write(self.source, self.shape)
        if "zarr" in names:
            self._make_zarr()
        for name in PAIRS:
            if name in names or (name == "pair" and "wide" in names):
                make_pair(self.folder, name, self._pair)
                _settle(_files(self.folder / name))
        for name in STORES:
            if name in names:
                make_store(self.folder, name, self._sizes[name])
                _settle(_files(self.path(name)))

    def provide(self, name: str) -> None:
        """Have the file there, and of those that are made for a case no other."""
        for passing in _PASSING:
            if passing != name:
                self.remove(self.path(passing))
        if name == "work" and not self.work.exists():
            self._write(self.work, self.shape)
        if name == "part" and not self.part.exists():
            self.part_mean = self._write(self.part, self.part_shape)

    def _make_zarr(self) -> None:
        """Convert the input, in a process of its own: dask and zarr stay out of this one."""
        code = "import sys; from benchmarks.rivals.dask_zarr import convert; convert(*sys.argv[1:])"
        command = [sys.executable, "-c", code, str(self.source), str(self.zarr)]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[1])

    def _write(self, path: Path, shape: tuple[int, int]) -> float:
        out = np.lib.format.open_memmap(path, mode="w+", dtype="f8", shape=shape)
        flat, size, sums = out.reshape(-1), len(self._block), []
        for number, start in enumerate(range(0, flat.size, size)):
            block = flat[start : start + size]
            np.add(self._block[: len(block)], number / 1024, out=block)
            sums.append(math.fsum(block.reshape(-1, 512).sum(axis=1).tolist()))
        out.flush()
        return math.fsum(sums) / flat.size

    # ---- between runs ------------------------------------------------------------------------

    def cool(self, path: Path) -> int:
        """Drop a file, or a folder of files, from the page cache; return the bytes that stay."""
        _settle(_files(path))
        return self.cached(path) or 0

    def warm(self, path: Path) -> None:
        """Have a file, or a folder of files, in the page cache."""
        for file in _files(path):
            known, size = self.cached(file), file.stat().st_size
            if known is not None and known >= size:
                continue
            with file.open("rb", buffering=0) as stream:
                buffer = bytearray(1 << 20)
                while stream.readinto(buffer):
                    pass

    def cached(self, path: Path) -> int | None:
        """Bytes of a file, or a folder of files, in the page cache; None where it is not told."""
        counts = [cached_bytes(fd, 0, os.fstat(fd).st_size) for fd in _open(_files(path))]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def remove(self, path: Path) -> None:
        """Remove a file, and have the removal over before something else is timed."""
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
        else:
            return
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _heavy() -> np.ndarray:
    return np.random.default_rng(22).random(HEAVY_SHAPE)


def _some(count: int) -> np.ndarray:
    """Places anywhere in an array, and at both ends."""
    chosen = np.random.default_rng(21).integers(0, count, SAMPLES)
    chosen[:2] = 0, count - 1
    return chosen


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
