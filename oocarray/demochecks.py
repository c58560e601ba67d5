"""Compares what the demonstration has made with plain NumPy, on samples; changes no file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

import oocarray as oo

from .landscape import detector
from .units import format_bytes

__all__ = ["Checks", "thumbnails"]

_SAMPLES = 24
_PIECE = 1 << 20
"""Bytes of raw counts in a sample."""
_EDGE = 1000
"""Pixels along the longer edge of a thumbnail."""


@dataclass(frozen=True)
class Checks:
    """Samples of the files in a folder, worked out again by NumPy."""

    data: str
    shape: tuple[int, int, int]
    haze: float

    def run(self) -> str:
        """Compare; return what was compared.

        Raises
        ------
        AssertionError
            Names the file and the rows that differ.
        """
        bands, rows, columns = self.shape
        height = min(max(_PIECE // (2 * columns), 1), rows)
        random = np.random.default_rng()
        compared = 0
        for number in range(_SAMPLES):
            start = int(random.integers(rows - height + 1))
            part = slice(start, start + height)
            compared += self._calibrated(number % bands, part) + self._index(part)
        self._statistics(slice(start, start + height))
        return (
            f"{2 * _SAMPLES} random samples ({format_bytes(compared)}) equal plain NumPy's "
            "to the bit; the statistics of one agree"
        )

    def _load(self, name: str) -> Any:
        return np.load(os.path.join(self.data, name), mmap_mode="r")

    def _calibrated(self, band: int, part: slice) -> int:
        dark, gain = detector(self.shape[2])
        raw = self._load("scene.npy")[band, part]
        expected = (raw.astype(np.float32) - dark) * gain
        if band == 2:
            expected = np.maximum(expected - np.float32(self.haze), np.float32(0))
        return self._same(
            "calibrated.npy", self._load("calibrated.npy")[band, part], expected, part
        )

    def _index(self, part: slice) -> int:
        light = self._load("calibrated.npy")
        red, infrared = light[0, part], light[1, part]
        expected = (infrared - red) / (infrared + red)
        return self._same("ndvi.npy", self._load("ndvi.npy")[part], expected, part)

    def _same(self, name: str, found: Any, expected: Any, part: slice) -> int:
        if not np.array_equal(found, expected, equal_nan=True):
            raise AssertionError(f"{name}: rows {part.start} to {part.stop} differ from NumPy's")
        return int(found.nbytes)

    def _statistics(self, part: slice) -> None:
        index = oo.open(os.path.join(self.data, "ndvi.npy"))[part]
        counts, _ = index.histogram(50, range=(-1, 1))
        low, high, mean, std, counted = oo.compute(
            index.min(), index.max(), index.mean(), index.std(), counts, progress=False
        )
        plain = np.array(self._load("ndvi.npy")[part], np.float64)
        counts_there = np.histogram(plain.astype(np.float32), 50, range=(-1, 1))[0]
        exact = low == plain.min() and high == plain.max() and (counted == counts_there).all()
        if not exact or not np.allclose([mean, std], [plain.mean(), plain.std()], rtol=1e-6):
            raise AssertionError(
                f"statistics of rows {part.start} to {part.stop} differ from NumPy's"
            )


def thumbnails(data: str, shape: tuple[int, int, int]) -> tuple[Any, Any]:
    """Return the calibrated scene and its index at screen size, each pixel a mean of several."""
    _, rows, columns = shape
    step = max(max(rows, columns) // _EDGE, 1)
    light = np.load(os.path.join(data, "calibrated.npy"), mmap_mode="r")
    index = np.load(os.path.join(data, "ndvi.npy"), mmap_mode="r")
    # Two rows of each group and all its columns: a fraction of the file, without its noise.
    taken = min(step, 2)
    height, width = rows // step, columns // step

    def shrink(band: Any) -> Any:
        small = np.empty((height, width), np.float32)
        for row in range(height):
            lines = band[row * step : row * step + taken, : width * step]
            small[row] = lines.reshape(taken, width, step).mean(axis=(0, 2))
        return small

    return np.stack([shrink(band) for band in light]), shrink(index)
