"""The files of the suite and what is right for each case, known without reading; times nothing.

All elements are whole numbers of 1/1024 from -2 to 2, in 16 tiles that repeat: sums, and sums of
squares by column, are exact in whole numbers, and each function needs only 4096 arguments.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from oocarray.pages.calls import cached_bytes

from .cases import SuiteCase
from .elements import elements_of

__all__ = ["PLANE_BYTES", "Dataset"]

COLUMNS = 8192
TILE_ROWS, TILES = 32, 16
PLANE_BYTES = 4 << 20
"""Sizes are whole planes of the smaller kind, 64 rows."""
_ROWS, _LARGE_ROWS = 64, 1024
"""Of a plane in three axes; large ones, so that readahead does not read what lies between."""
CHUNK_ROWS = 256
"""Chunks of the Zarr copy have 16 MiB, whole rows."""
SAMPLES = 2048
"""Of 8 GiB one in 4 MiB."""
_HEADER = 128
Array = np.ndarray[Any, Any]


@cache
def _numbers() -> Array:
    """The tiles in whole numbers, from -2048 to 2047."""
    block = np.random.default_rng(41).integers(0, 4096, (TILE_ROWS, COLUMNS))
    masks = np.random.default_rng(42).permutation(4096)[:TILES]
    return np.stack([(block ^ mask) - 2048 for mask in masks])


@cache
def _tiles() -> Array:
    made: Array = _numbers() / 1024.0
    return made


def _order(name: str, count: int) -> Array:
    """Which tile is where; the second input has them in another order."""
    numbers = np.arange(count)
    return (numbers * 7 + 3) % TILES if name == "b" else numbers % TILES


class Dataset:
    """Arrays of float64 in one folder, made when a case asks for them.

    Parameters
    ----------
    folder : pathlib.Path
    nbytes : int
        Of each array; made to whole planes, at least one.
    """

    def __init__(self, folder: Path, nbytes: int) -> None:
        self.folder = folder
        self.rows = max(nbytes // PLANE_BYTES, 1) * _ROWS
        large = self.rows % _LARGE_ROWS == 0 and self.rows >= 8 * _LARGE_ROWS
        self._plane = _LARGE_ROWS if large else _ROWS
        self.nbytes = self.rows * COLUMNS * 8
        # One in each of equal stretches: no block that is left out lies between all of them.
        rng, whole = np.random.default_rng(43), self.rows * COLUMNS
        places = (np.arange(SAMPLES) + rng.random(SAMPLES)) * (whole / SAMPLES)
        self._places: Array = np.unique([0, whole - 1, *places.astype(np.int64).tolist()])
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Of ``a``, ``b``, ``work``, ``zarr``, ``out`` or ``outzarr``."""
        ending = ".zarr" if name.endswith("zarr") else ".npy"
        return self.folder / f"{name}{ending}"

    def files(self) -> dict[str, str]:
        """What a rival is told."""
        names = ("a", "b", "work", "zarr", "out", "outzarr")
        return {name: str(self.path(name)) for name in names}

    # ---- making ------------------------------------------------------------------------------

    def provide(self, names: set[str], cube: bool = False) -> int:
        """Have these files there, on the disk, and of the others none but ``a``.

        Returns the bytes that were written for it.
        """
        for name in {"b", "work", "zarr", "out", "outzarr"} - names:
            self.remove(name)
        missing = [name for name in sorted(names | {"a"}) if not self.path(name).exists()]
        for name in missing:
            self._write_zarr() if name == "zarr" else self._write(name)
        with self.path("a").open("r+b") as stream:
            stream.write(self._header(cube))
        _settle(self.path("a"))
        return len(missing) * self.nbytes

    def _header(self, cube: bool) -> bytes:
        """Of `.npy`, 128 bytes for both shapes: one file serves as array of two or three axes."""
        shape = f"({self.rows // self._plane}, {self._plane}, {COLUMNS})"
        shape = shape if cube else f"({self.rows}, {COLUMNS})"
        text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
        padded = text.ljust(_HEADER - 11).encode() + b"\n"
        return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded

    def _write(self, name: str) -> None:
        tiles, half = _tiles(), self.path(name).with_suffix(".half")
        with half.open("wb", buffering=0) as stream, ThreadPoolExecutor(1) as syncing:
            stream.write(self._header(False))
            before = None
            for number, tile in enumerate(_order(name, self.rows // TILE_ROWS).tolist()):
                stream.write(tiles[tile].data)
                if number % 32 == 31:  # half the memory in dirty pages helps nobody
                    if before is not None:
                        before.result()
                    before = syncing.submit(os.fdatasync, stream.fileno())
        _settle(half)
        half.rename(self.path(name))

    def _write_zarr(self) -> None:
        import zarr

        half, tiles = self.folder / "half.zarr", _tiles()
        chunks = (min(CHUNK_ROWS, self.rows), COLUMNS)
        z = zarr.create_array(
            half, shape=(self.rows, COLUMNS), chunks=chunks, dtype="f8", compressors=None
        )
        order = _order("a", self.rows // TILE_ROWS)
        for start in range(0, self.rows, chunks[0]):
            some = order[start // TILE_ROWS : (start + chunks[0]) // TILE_ROWS]
            z[start : start + chunks[0]] = tiles[some].reshape(-1, COLUMNS)
        _settle(half)
        half.rename(self.path("zarr"))

    def remove(self, name: str) -> None:
        """Remove a file or folder of it, where there is one."""
        path = self.path(name)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def cool(self) -> None:
        """Write all files back and drop them from the page cache."""
        _settle(self.folder)

    def cached(self) -> int:
        """Bytes of all files in the page cache, as far as the system tells."""
        counts = [0]
        for file in _files(self.folder):
            with contextlib.suppress(OSError), file.open("rb") as stream:
                counts.append(cached_bytes(stream.fileno(), 0, file.stat().st_size) or 0)
        return sum(counts)

    # ---- what is right -----------------------------------------------------------------------

    def samples(self, name: str) -> Array:
        """Elements of a file at the places that are compared."""
        shape, found = elements_of(self.path(name), self._places)
        if shape != (self.rows, COLUMNS):
            raise ValueError(f"the output has shape {shape}")
        return found

    def wrong(self, case: SuiteCase, value: Any, before: Array | None, out: str) -> str:
        """Say what is wrong with a result; nothing when all is right."""
        try:
            found: Array = np.asarray(self.samples(out) if case.writes else value, dtype="f8")
        except (EOFError, OSError, TypeError, ValueError) as error:
            return str(error) or type(error).__name__
        expected = self._expected(case, before)
        if found.shape != expected.shape:
            return f"shape {found.shape}, not {expected.shape}"
        bad = np.flatnonzero(~np.isclose(found, expected, rtol=1e-9, atol=1e-12).ravel())
        if not len(bad):
            return ""
        first = int(bad[0])
        return f"{len(bad)} differ: {found.ravel()[first]!r}, not {expected.ravel()[first]!r}"

    def _expected(self, case: SuiteCase, before: Array | None) -> Array:
        x = self._at("a")
        match case.name:
            case "mean":
                return np.asarray((self._counts() * _VALUES).sum() / self._counts().sum())
            case "transcendental":
                made = np.sin(_VALUES) ** 2 + np.cos(_VALUES) * np.exp(-np.abs(_VALUES))
                return np.asarray((self._counts() * made).sum() / self._counts().sum())
            case "columns":
                return self._columns()
            case "slab":
                return self._planes()
            case "map" | "zarr":
                return 2 * x + 1
            case "two":
                return x * self._at("b") + 1
            case "zscore":
                mean, std = self._columns()[:2]
                column = self._places % COLUMNS
                scored: Array = (x - mean[column]) / std[column]
                return scored
            case _:
                assert before is not None
                updated: Array = before * 1.01
                return updated

    def _at(self, name: str) -> Array:
        tile, place = np.divmod(self._places, TILE_ROWS * COLUMNS)
        order = _order(name, self.rows // TILE_ROWS)
        found: Array = _tiles().reshape(TILES, -1)[order[tile], place]
        return found

    def _repeats(self) -> Array:
        """How often each tile is there."""
        return np.bincount(_order("a", self.rows // TILE_ROWS), minlength=TILES)

    def _counts(self) -> Array:
        """How often each value is there."""
        counts = [np.bincount(tile.ravel() + 2048, minlength=4096) for tile in _numbers()]
        found: Array = self._repeats() @ np.stack(counts)
        return found

    def _columns(self) -> Array:
        numbers, repeats = _numbers(), self._repeats()
        sums, squares = repeats @ numbers.sum(axis=1), repeats @ (numbers**2).sum(axis=1)
        variance = (squares * self.rows - sums**2) / self.rows**2
        there = numbers[repeats > 0].reshape(-1, COLUMNS)
        rows = (sums / self.rows, np.sqrt(variance), there.min(axis=0), there.max(axis=0))
        made: Array = np.stack(rows) / 1024
        return made

    def _planes(self) -> Array:
        rows = _tiles().mean(axis=2)[_order("a", self.rows // TILE_ROWS)]
        quarter = self._plane // 4
        found: Array = rows.reshape(-1, self._plane)[:, quarter : 3 * quarter].mean(axis=1)
        return found


_VALUES = (np.arange(4096) - 2048) / 1024


def _files(path: Path) -> list[Path]:
    return [found for found in path.rglob("*") if found.is_file()] if path.is_dir() else [path]


def _settle(path: Path) -> None:
    """Write back and drop; dirty pages cannot be dropped."""
    for file in _files(path):
        with file.open("rb") as stream:
            os.fdatasync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
