"""How many times over a grid makes a run read each page; arithmetic on shapes that reads none."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oocarray.grid import Grid, Order, fastest_first

__all__ = ["read_amplification"]

_Ints = npt.NDArray[np.int64]

# Kinds of stretches counted one by one: some 50 MiB of counters.
_MAX_KINDS = 1 << 20
_SLAB = 1 << 16


def read_amplification(grid: Grid, itemsize: int, order: Order, page: int = 4096) -> float:
    """How many times over the pages of an array are read when each block is read once.

    Parameters
    ----------
    grid : Grid
    itemsize : int
        Bytes per element.
    order : {"C", "F"}
        Layout of the array in its file, which begins on a page boundary.
    page : int
        Bytes that come in together.

    Returns
    -------
    float
        Pages touched, summed over the blocks, by pages of the array.  1.0 for runs of whole
        pages; about 8 when rows that fit in a page are cut into 8 blocks.

    Notes
    -----
    Exact, without walking over blocks or rows: where a block's runs are less than a page apart,
    it touches every page from its first to its last; where they are further apart, no two of
    them share a page.  So a block is a number of equal stretches, of which only the start
    within a page matters, and stretches alike are counted together.  Above a
    million kinds of stretches, starts are taken as spread evenly over a page.

    Examples
    --------
    >>> read_amplification(Grid(((512, 512), (512,))), itemsize=8, order="C")
    1.0
    >>> read_amplification(Grid(((1024,), (64,) * 8)), itemsize=8, order="C")
    8.0
    """
    total = math.prod(grid.shape) * itemsize
    if total == 0:
        return 1.0
    # What a block is made of (start within a page, length, number of them), from the elements
    # of the fastest axis on; `outer` stretches of each kind lie `stride` bytes apart.
    found = _Stretches(np.zeros(1, np.int64), np.full(1, itemsize, np.int64), np.ones(1))
    stride, outer, touched = itemsize, math.prod(grid.shape), 0.0
    for axis in fastest_first(grid.ndim, order):
        apart = stride - found.length >= page
        if apart.any():
            touched += _product(found.pick(apart), _repeat(stride, outer, page), page).pages(page)
            found = found.pick(~apart)
        found = _product(found, _pieces(grid, axis, stride, page), page)
        outer //= grid.shape[axis]
        stride *= grid.shape[axis]
    return (touched + found.pages(page)) / -(-total // page)


class _Stretches(NamedTuple):
    start: _Ints
    length: _Ints
    times: npt.NDArray[np.float64]

    def pick(self, mask: npt.NDArray[np.bool_]) -> _Stretches:
        return _Stretches(self.start[mask], self.length[mask], self.times[mask])

    def pages(self, page: int) -> float:
        return float((((self.start + self.length - 1) // page + 1) * self.times).sum())

    def unique(self, page: int) -> _Stretches:
        lengths, which = np.unique(self.length, return_inverse=True)
        keys, which = np.unique(which * page + self.start, return_inverse=True)
        return _Stretches(
            keys % page, lengths[keys // page], np.bincount(which, self.times).astype(np.float64)
        )

    def spread(self, page: int) -> _Stretches:
        # With even starts the pages of a stretch are linear in its length: the mean will do.
        start = np.arange(0, page, -(-page // 64))
        whole = self.times.sum()
        mean = round(float((self.length * self.times).sum() / whole))
        return _Stretches(start, np.full_like(start, mean), np.full(len(start), whole / len(start)))


def _pieces(grid: Grid, axis: int, stride: int, page: int) -> _Stretches:
    """Return the pieces of one axis; lengths are what each adds to one row of it."""
    starts = np.frombuffer(grid._starts[axis], np.int64)
    kinds = []
    for first in range(0, len(starts) - 1, _SLAB):
        slab = starts[first : first + _SLAB + 1]
        extents = np.diff(slab)
        kept = extents > 0
        begin = slab[:-1][kept] % page * (stride % page) % page
        found = _Stretches(begin, (extents[kept] - 1) * stride, np.ones(len(begin)))
        kinds.append(found.unique(page))
    return _Stretches(*(np.concatenate(parts) for parts in zip(*kinds, strict=True))).unique(page)


def _repeat(stride: int, times: int, page: int) -> _Stretches:
    """Return `times` places `stride` apart; their starts within a page have a period."""
    period = page // math.gcd(stride, page)
    place = np.arange(min(period, times), dtype=np.int64)
    count = times // period + (place < times % period).astype(np.float64)
    return _Stretches(place * (stride % page) % page, np.zeros_like(place), count)


def _product(one: _Stretches, other: _Stretches, page: int) -> _Stretches:
    if len(one.start) * len(other.start) > _MAX_KINDS:
        one, other = one.spread(page), other.spread(page)
    start = np.add.outer(one.start, other.start).ravel() % page
    length = np.add.outer(one.length, other.length).ravel()
    return _Stretches(start, length, np.outer(one.times, other.times).ravel()).unique(page)
