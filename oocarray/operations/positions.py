"""Positions as parts of operations, and boxes around scattered ones; fetches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..chunking import floor_power
from ..grid import Region
from .base import Block

__all__ = ["Indices", "cell", "cell_changes", "grouped", "in_cells"]


class Indices:
    """Positions as part of an operation: a copy, equal by content.

    Examples
    --------
    >>> Indices([1, 2]) == Indices(np.array([1, 2], "u1")), Indices([1]) == Indices([[1]])
    (True, False)
    """

    __slots__ = ("_hash", "value")

    def __init__(self, value: Any) -> None:
        self.value: np.ndarray[Any, np.dtype[np.int64]] = np.array(value, np.int64, order="C")
        self.value.flags.writeable = False
        self._hash: int | None = None

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Indices) and bool(np.array_equal(self.value, other.value))
        )

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((self.value.shape, self.value.tobytes()))
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return Indices, (self.value,)


def grouped(coords: Sequence[Block], sizes: Sequence[int], near: int, most: int) -> list[Region]:
    """At most `most` boxes around points (not none), which a larger set's boxes cover.

    Parameters
    ----------
    coords : sequence of ndarray
        Of the points along each axis; at least one point.
    sizes : sequence of int
        Extents of the axes.
    near : int
        How many positions may be between neighbours in a box.
    most : int

    Examples
    --------
    >>> grouped([np.array([9, 0, 1])], [100], 2, 10)
    [(slice(0, 2, None),), (slice(9, 10, None),)]
    """
    # Cells of powers of two nest, and are hit by more points no less: so counting them, not the
    # boxes, says how coarse they get.
    low, _ = in_cells(coords, sizes, near)
    high, room = low, near
    while True:
        starts = np.flatnonzero(cell_changes(low, cell(sizes, room)))
        if len(starts) <= most or room == near:
            low = [np.minimum.reduceat(one, starts) for one in low]
            high = [np.maximum.reduceat(one, starts) for one in high]
        if len(starts) <= most:
            break
        room = max(2 * room, 2)
    if len(low) == 1:
        apart = low[0][1:] - high[0][:-1] > floor_power(near)
        low, high = [low[0][np.r_[True, apart]]], [high[0][np.r_[apart, True]]]
    ends = zip(np.stack(low, 1).tolist(), np.stack(high, 1).tolist(), strict=True)
    return [tuple(slice(a, b + 1) for a, b in zip(*box, strict=True)) for box in ends]


def in_cells(coords: Sequence[Block], sizes: Sequence[int], near: int) -> tuple[list[Block], Block]:
    """Points in an order in which those of a cell, of any size, are together."""
    keys = [one // size for one, size in zip(coords, cell(sizes, near), strict=True)]
    order = np.lexsort(keys[::-1]) if len(keys) > 1 else np.argsort(coords[0], kind="stable")
    return [one[order] for one in coords], order


def cell(sizes: Sequence[int], room: int) -> list[int]:
    """Extents, powers of two, of cells of at most `room` elements: long along the last axes."""
    found = []
    for size in reversed(sizes):
        found.append(min(floor_power(room), 1 << max(size - 1, 0).bit_length()))
        room //= found[-1]
    return found[::-1]


def cell_changes(coords: Sequence[Block], cell: Sequence[int]) -> Block:
    """Whether each point is in another cell than the one before."""
    found = np.ones(len(coords[0]), bool)
    keys = [one // size for one, size in zip(coords, cell, strict=True)]
    found[1:] = np.any([key[1:] != key[:-1] for key in keys], 0)
    return found
