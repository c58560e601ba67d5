"""Makes the picture that the demonstration works on: kernels for a landscape; touches no file.

Everything follows from a position relative to the picture's width, so that any size shows the
same country, with as much detail as its pixels can carry.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import kernel

__all__ = ["BANDS", "detector", "scene", "shape_for"]

BANDS = ("red", "near infrared", "green")
_GRAIN = 0.03
"""Noise of the pixels, relative."""


def shape_for(nbytes: int) -> tuple[int, int, int]:
    """Return the shape (3, rows, columns) of a uint16 scene of about so many bytes.

    Examples
    --------
    >>> shape_for(2 << 30)
    (3, 18893, 18944)
    """
    pixels = max(nbytes // (2 * len(BANDS)), 64 * 64)
    width = max(round(math.sqrt(pixels) / 64) * 64, 64)
    return len(BANDS), max(pixels // width, 1), width


def detector(width: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the dark signal (counts) and gain (reflectance per count) of each detector column.

    Each column of a push-broom camera is seen by a detector of its own, no two of them alike:
    that is what stripes raw pictures.
    """
    random = np.random.default_rng(5)
    # Groups of columns share an amplifier, whose differences one sees from afar.
    groups = np.repeat(random.normal(0, 1, -(-width // 48)), 48)[:width]
    response = 1 + 0.05 * groups + 0.02 * random.normal(0, 1, width)
    dark = 200 + 25 * random.normal(0, 1, width)
    return dark.astype(np.float32), (1e-4 / response).astype(np.float32)


@kernel
def _hash(x: Any, y: Any, seed: Any) -> Any:
    """Turn two integers into a number in [0, 1) that looks like chance."""
    h = np.uint32(x) * np.uint32(0x9E3779B1) ^ np.uint32(y) * np.uint32(0x85EBCA77)
    h = np.uint32(h ^ np.uint32(seed) * np.uint32(0xC2B2AE3D))
    h = np.uint32((h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D))
    h = np.uint32((h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39))
    return np.float32(np.uint32(h ^ (h >> np.uint32(15))) >> np.uint32(8)) * np.float32(2.0**-24)


@kernel
def _fractal(line: Any, row: Any, cells: Any, octaves: Any, seed: Any) -> None:
    """Fill one row of a cloudy field: values at corners of ever finer cells, joined smoothly."""
    width = line.size
    line[:] = np.float32(0)
    amplitude, total = np.float32(0.5), np.float32(0)
    for octave in range(octaves):
        size = width / cells
        if size < 2:
            break
        # Each layer leans another way, so that the cells do not show.
        lean = 0.55 if octave % 2 else -0.35
        shift = lean * row / size + 17.3 * octave + 100
        y = row / size + 31.7 * octave
        iy = math.floor(y)
        fy = np.float32(y - iy)
        fy = fy * fy * (np.float32(3) - np.float32(2) * fy)
        first = math.floor(shift)
        last = math.floor((width - 1) / size + shift)
        right = _hash(first, iy, seed) * (1 - fy) + _hash(first, iy + 1, seed) * fy
        for cell in range(first, last + 1):
            left = right
            right = _hash(cell + 1, iy, seed) * (1 - fy) + _hash(cell + 1, iy + 1, seed) * fy
            start = max(math.ceil((cell - shift) * size), 0)
            stop = min(math.ceil((cell + 1 - shift) * size), width)
            offset, step = np.float32(shift - cell), np.float32(1 / size)
            rise = np.float32(right - left)
            for j in range(start, stop):
                t = np.float32(j) * step + offset
                t = t * t * (np.float32(3) - np.float32(2) * t)
                line[j] += amplitude * (np.float32(left) + rise * t)
        total += amplitude
        amplitude *= np.float32(0.5)
        cells *= 2
    line /= total


@kernel
def _ramp(value: Any, low: Any, high: Any) -> Any:
    """Go smoothly from 0 at `low` to 1 at `high`."""
    t = min(max((value - low) / (high - low), np.float32(0)), np.float32(1))
    return t * t * (np.float32(3) - np.float32(2) * t)


@kernel
def _field(u: Any, v: Any) -> Any:
    """Say how green the field at a place is: farmland lies in blocks, cut in strips."""
    x, y = 38 * (u + 0.23 * v), 38 * (v - 0.23 * u)
    block = _hash(math.floor(x), math.floor(y), 71)
    strips = 2 + int(4 * block)
    along = x if block < 0.5 else y
    crop = _hash(math.floor(along * strips), int(math.floor(x) + 911 * math.floor(y)), 72)
    return np.float32(0.12) + np.float32(0.83) * crop


@kernel
def _reflectance(band: Any, height: Any, wet: Any, river: Any, crop: Any, shade: Any) -> Any:
    """Mix what covers the ground, each with its colour in the band, to a share of the light."""
    low = np.float32(1) - _ramp(height, np.float32(0.50), np.float32(0.54))
    forest = np.float32(0.72) + np.float32(0.25) * wet
    green = low * crop + (np.float32(1) - low) * forest
    green *= np.float32(1) - _ramp(height, np.float32(0.62), np.float32(0.70))
    snow = _ramp(height, np.float32(0.70), np.float32(0.74))
    lake = np.float32(1) - _ramp(height, np.float32(0.325), np.float32(0.335))
    water = max(lake, np.float32(1) - _ramp(river, np.float32(0.0035), np.float32(0.0055)))
    if band == 0:
        soil, leaf, ice, pool = 0.20, 0.035, 0.72, 0.028
    elif band == 1:
        soil, leaf, ice, pool = 0.27, 0.46, 0.66, 0.012
    else:
        soil, leaf, ice, pool = 0.15, 0.075, 0.74, 0.045
    light = np.float32(soil) + (np.float32(leaf) - np.float32(soil)) * green
    # Trees shade each other: a forest is darker than a field as green.
    light *= np.float32(1) - np.float32(0.35) * (np.float32(1) - low) * green
    light += (np.float32(ice) - light) * snow
    light *= shade
    return light + (np.float32(pool) - light) * water


@kernel
def _light(line: Any, band: Any, row: Any, step: Any, buffers: Any) -> None:
    """Fill one row with the light that comes from the ground, before the camera sees it."""
    width = line.size
    above, here, wet, river = buffers
    _fractal(above, row - step, 3, 9, 1)
    _fractal(here, row, 3, 9, 1)
    _fractal(wet, row, 6, 4, 2)
    _fractal(river, row, 2, 6, 3)
    relief = np.float32(width / 40)
    for j in range(width):
        height = here[j]
        # The sun stands in the north-west: slopes that rise away from it are in the light.
        slope = (height - above[j]) / np.float32(step) + height - here[max(j - 1, 0)]
        shade = min(max(np.float32(1) + relief * slope, np.float32(0.5)), np.float32(1.5))
        hilly = np.float32(0.35) + np.float32(0.65) * _ramp(
            height, np.float32(0.45), np.float32(0.6)
        )
        shade = np.float32(1) + (shade - np.float32(1)) * hilly
        crop = _field(j / width, row / width)
        course = abs(river[j] - np.float32(0.5)) + np.float32(0.3) * max(
            height - np.float32(0.52), np.float32(0)
        )
        line[j] = _reflectance(band, height, wet[j], course, crop, shade)


@kernel
def scene(out: Any, rows: Any, dark: Any, gain: Any, block_id: Any) -> None:
    """Fill a block (1, rows, width) of raw counts, as a striping camera would take them."""
    band, width = block_id[0], out.shape[2]
    buffers = np.empty((4, width), np.float32)
    lines = np.empty((2, width), np.float32)
    # The ground is worked out in every few rows; between them there is only the noise to add.
    step = max(width // 1600, 1)
    known = -1
    for i in range(out.shape[1]):
        row = block_id[1] * rows + i
        place = row // step
        if place != known:
            if place == known + 1 and i:
                lines[0, :] = lines[1]
            else:
                _light(lines[0], band, place * step, step, buffers)
            _light(lines[1], band, (place + 1) * step, step, buffers)
            known = place
        part = np.float32((row - place * step) / step)
        upper, lower = lines
        for j in range(width):
            light = upper[j] + (lower[j] - upper[j]) * part
            grain = np.float32(1) + np.float32(_GRAIN) * (
                _hash(row, j, 10 + band) - np.float32(0.5)
            )
            counts = light * grain / gain[j] + dark[j]
            out[0, i, j] = np.uint16(min(max(counts, np.float32(0)), np.float32(65535)))
