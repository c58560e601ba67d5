"""Which rows of an array come when, as a caller asks for them, and in which pieces it is cut.

It checks the question and reads no data.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .batching import Pick, permutation, picks, share
from .chunking import BLOCK_BYTES
from .lazy.expr import MemoryNode, Node, StoredNode
from .lazy.regrid import regrid

__all__ = ["Order", "laid_out", "row_bytes"]

_PIECE_BYTES = 1 << 20
"""Of a stored array whose rows are shuffled: small pieces mix well, and a disk likes them still."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller asks for: how many rows at once, in which order, which share of them."""

    batch: int | None = None
    seed: tuple[int, ...] | None = None
    buffer: int | None = None
    drop_last: bool = False
    shard: tuple[int, int] = (0, 1)
    copy: bool = False

    @classmethod
    def of(
        cls, batch: Any, shuffle: Any, buffer: Any, drop_last: bool, shard: Any, copy: bool
    ) -> Order:
        """Check what was asked for.

        Raises
        ------
        TypeError, ValueError
        """
        count = None if batch is None else _at_least_one("batch", batch)
        seed = None if shuffle is None else _seed(shuffle)
        if buffer is not None:
            buffer = _at_least_one("buffer", buffer)
            if seed is None or count is None:
                raise ValueError("buffer= is for rows that are shuffled: give batch= and shuffle=")
        if drop_last and count is None:
            raise ValueError("drop_last=True is for batches: give batch=")
        rank, world = (0, 1) if shard is None else map(operator.index, shard)
        if not 0 <= rank < world:
            raise ValueError(f"shard=({rank}, {world}): the first is from 0 to the second less 1")
        return cls(count, seed, buffer, bool(drop_last), (rank, world), copy)

    @property
    def mixing(self) -> bool:
        """Whether rows leave the blocks that they are in."""
        return self.batch is not None and self.seed is not None


def _at_least_one(name: str, value: Any) -> int:
    count = operator.index(value)
    if isinstance(value, (bool, np.bool_)) or count < 1:
        raise ValueError(f"{name}={value!r}; a number of rows, at least 1, is needed")
    return count


def _seed(shuffle: Any) -> tuple[int, ...]:
    if isinstance(shuffle, (bool, np.bool_)):
        raise TypeError(f"shuffle={shuffle!r}: give a seed, such as shuffle=0 or (seed, epoch)")
    seed = tuple(map(operator.index, shuffle if isinstance(shuffle, Sequence) else (shuffle,)))
    if not seed or min(seed) < 0:
        raise ValueError(f"shuffle={shuffle!r}: seeds are whole numbers of at least 0")
    return seed


def laid_out(node: Node, order: Order, memory: int | None) -> tuple[Node, list[Pick]]:
    """The array cut into pieces along axis 0, and which rows of which piece come, in turn."""
    shard = order.shard
    if isinstance(node, (StoredNode, MemoryNode)):
        if order.batch is not None and order.seed is None:
            # The pieces begin where the shard begins, so that each batch is a view.
            node = _sliced(node, *share(int(node.shape[0]), shard, order.drop_last))
            shard = 0, 1
        node = _cut(node, order, memory)
    sizes = [int(size) for size in node.chunks[0]]
    numbers = np.arange(len(sizes))
    if order.seed is not None:
        numbers = permutation(order.seed, 0, len(sizes))
    if order.batch is None:
        first, last = share(len(sizes), shard)
        return node, [Pick(int(n), 0, sizes[n]) for n in numbers[first:last]]
    start, stop = share(int(node.shape[0]), shard, order.drop_last)
    return node, picks(sizes, numbers, start, stop)


def _sliced(node: StoredNode | MemoryNode, start: int, stop: int) -> StoredNode | MemoryNode:
    if isinstance(node, MemoryNode):
        return MemoryNode(node.array[start:stop])
    return replace(node, source=node.source.index(slice(start, stop)), set_chunks=None)


def _cut(
    node: StoredNode | MemoryNode, order: Order, memory: int | None
) -> StoredNode | MemoryNode:
    """The same array in pieces of whole rows."""
    rows, most = row_bytes(node), BLOCK_BYTES
    own = node.chunks[0]
    sizes: Any = own
    if order.batch is not None and order.seed is None:
        # How much is read at once shows nowhere: views of it are handed out.
        most = most if memory is None else min(most, memory // 4)
        sizes = max(most // (rows * order.batch), 1) * order.batch
    elif node.free and order.mixing:
        wanted = _PIECE_BYTES // rows
        sizes = max(wanted if order.buffer is None else min(wanted, order.buffer // 8), 1)
    elif node.free and max(own, default=0) * rows > 2 * most:
        sizes = max(most // rows, 1)
    fresh: Any = regrid(node, (sizes, *(-1 for _ in node.shape[1:])), stacklevel=7)
    return fresh  # type: ignore[no-any-return]


def row_bytes(node: Node) -> int:
    """Bytes of one row, all of its axes but the first."""
    assert node.dtypes is not None
    return max(math.prod(map(int, node.shape[1:])) * node.dtypes[0].itemsize, 1)
