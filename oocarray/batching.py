"""Which rows come in which order when an array is gone through in batches; reads none of them.

All of it follows from numbers (sizes of pieces, seed, shard), so that it is the same on every
machine and with every version of NumPy: of its random numbers only the raw bits are used, which
NumPy promises never to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pick", "permutation", "picks", "share", "windows"]


class Pick(NamedTuple):
    """Rows `start` to `stop` of piece `piece`."""

    piece: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start


def permutation(seed: Sequence[int], stream: int, count: int) -> NDArray[np.int64]:
    """Numbers 0 to `count` - 1 in a random order.

    Parameters
    ----------
    seed : sequence of int
    stream : int
        Orders of one seed for several purposes have nothing to do with each other.
    count : int

    Examples
    --------
    >>> permutation([1], 0, 6).tolist(), permutation([2], 0, 6).tolist()
    ([4, 1, 3, 2, 0, 5], [1, 2, 4, 3, 5, 0])
    """
    bits = np.random.PCG64(np.random.SeedSequence(list(seed), spawn_key=(stream,)))
    mask = np.uint64((1 << max(count - 1, 0).bit_length()) - 1)
    # Random numbers with the index in their lowest bits: no two are equal, any sort will do.
    keys = (bits.random_raw(count) & ~mask) | np.arange(count, dtype=np.uint64)
    keys.sort()
    return (keys & mask).astype(np.int64)


def share(count: int, shard: tuple[int, int], equal: bool = False) -> tuple[int, int]:
    """From which to which of `count` things a shard has.

    Parameters
    ----------
    count : int
    shard : (int, int)
        Which, of how many.
    equal : bool
        All shards have the same number, and the rest is left out.

    Examples
    --------
    >>> [share(11, (rank, 3)) for rank in range(3)], share(11, (2, 3), equal=True)
    ([(0, 3), (3, 7), (7, 11)], (6, 9))
    """
    rank, world = shard
    if equal:
        return rank * (count // world), (rank + 1) * (count // world)
    return rank * count // world, (rank + 1) * count // world


def picks(sizes: Sequence[int], order: NDArray[np.int64], start: int, stop: int) -> list[Pick]:
    """The parts of pieces that rows `start` to `stop` are, of the pieces one behind the other.

    Parameters
    ----------
    sizes : sequence of int
        Rows of each piece.
    order : ndarray of int
        Numbers of the pieces as they come.
    start, stop : int

    Examples
    --------
    >>> [tuple(pick) for pick in picks([4, 4, 3], np.array([2, 0, 1]), 2, 9)]
    [(2, 2, 3), (0, 0, 4), (1, 0, 2)]
    """
    rows = np.asarray(sizes, np.int64)[order]
    begins = np.concatenate(([0], np.cumsum(rows)))
    first = int(np.searchsorted(begins, start, "right")) - 1
    found = []
    for at in range(max(first, 0), len(rows)):
        begin = int(begins[at])
        if begin >= stop:
            break
        part = Pick(int(order[at]), max(start - begin, 0), min(stop - begin, int(rows[at])))
        if part.rows > 0:
            found.append(part)
    return found


def windows(parts: Sequence[Pick], most: int) -> list[list[Pick]]:
    """Group picks, whole, to windows of at most `most` rows, and of at least one pick.

    Examples
    --------
    >>> [len(window) for window in windows([Pick(n, 0, 4) for n in range(5)], 9)]
    [2, 2, 1]
    """
    grouped: list[list[Pick]] = []
    rows = 0
    for part in parts:
        if not grouped or rows + part.rows > most:
            grouped.append([])
            rows = 0
        grouped[-1].append(part)
        rows += part.rows
    return grouped
