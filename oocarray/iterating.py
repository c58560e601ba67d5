"""Goes through an array block by block or in batches, reading ahead; it never holds all of it."""

from __future__ import annotations

import collections
import contextlib
import itertools
import math
import os
import queue
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import numpy as np

from .backends.blocks import BlockMaker, Made
from .backends.learning import learn_dtypes
from .backends.mapped import evaluate
from .backends.settling import Settling
from .batching import Pick, permutation, windows
from .errors import BudgetError, PlanError
from .lazy.expr import MemoryNode, Node, ReduceNode, StoredNode
from .lazy.graph import Root
from .ordering import Order, laid_out, row_bytes
from .plan import Options
from .runtime.limits import memory_of
from .units import format_bytes

__all__ = ["BlockIterator"]

Block = np.ndarray[Any, Any]

_BUFFER_BYTES = 32 << 20
_BUFFER_ROWS = 1 << 20
_AHEAD = 2


class BlockIterator(Iterator[Block]):
    """Blocks or batches of an array, in turn; made by `oocarray.Array.iter_blocks`.

    ``len()`` is the number of all items. Leaving the loop early, ``close()`` and the end of a
    ``with`` block let go of everything; arrays that were handed out stay valid.

    Raises
    ------
    RuntimeError
        When it is used in a fork of the process that began with it.
    """

    def __init__(self, node: Node, order: Order, options: Options) -> None:
        if not node.shape:
            raise TypeError("an array without dimensions has no rows to go through")
        if any(map(math.isnan, (*node.shape, *node.chunks[0]))):
            raise ValueError(
                "how many rows the blocks have is known only to their function; give map_blocks "
                "the sizes in chunks="
            )
        if options.on_error != "raise" and not isinstance(node, (StoredNode, MemoryNode)):
            raise PlanError(
                f'on_error="{options.on_error}" is for runs; iter_blocks() hands out what the '
                "functions return: store() the array with it, and go through what was stored"
            )
        rows = max(int(node.shape[0]), 1)
        if order.batch is not None and order.batch > rows:
            # One row more than there is never fills.
            order = replace(order, batch=rows + order.drop_last)
        self._order, self._options = order, options
        self._node, self._parts = laid_out(node, order, options.memory)
        self._pid = os.getpid()
        self._items: Iterator[Block] | None = None

    def __len__(self) -> int:
        batch = self._order.batch
        if batch is None:
            return len(self._parts)
        rows = sum(part.rows for part in self._parts)
        return rows // batch if self._order.drop_last else -(-rows // batch)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Block:
        if self._items is None:
            self._pid = os.getpid()
            self._items = _items(self._node, self._parts, self._order, self._options)
        elif os.getpid() != self._pid:
            raise RuntimeError("this iterator was begun in another process; make a new one here")
        return next(self._items)

    def close(self) -> None:
        """Let go of files, threads and memory; there is no next item."""
        if os.getpid() == self._pid:
            items, self._items = self._items, iter(())
            getattr(items, "close", lambda: None)()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(slots=True)
class _Slab:
    """Rows that are there: a piece, or several that are mixed."""

    rows: Block
    made: list[Made]
    """What is to be let go of when the rows are done with."""
    mixed: Any = None
    """The order of the rows; None: as they are."""

    def copy(self, out: Block, at: int) -> None:
        stop = at + len(out)
        if self.mixed is None:
            out[...] = self.rows[at:stop]
        else:
            # mode="clip": otherwise NumPy fills a buffer first.
            np.take(self.rows, self.mixed[at:stop], axis=0, out=out, mode="clip")


class _Making:
    """Makes slabs of pieces; several threads may at once."""

    def __init__(self, maker: BlockMaker, order: Order, node: Node) -> None:
        assert node.dtypes is not None
        self.maker, self.order, self.dtype = maker, order, node.dtypes[0]
        self.row = tuple(map(int, node.shape[1:]))
        self.most = 0
        """Rows of the largest slab."""
        self._used: queue.SimpleQueue[Block] = queue.SimpleQueue()
        self.across = math.prod(maker.grid.numblocks[1:])

    def __call__(self, number: int, parts: list[Pick]) -> _Slab:
        if not self.order.mixing and self.across == 1:
            (part,) = parts
            made = self.maker.make(part.piece)
            return _Slab(made.block[part.start : part.stop], [made])
        rows = self._room()[: sum(part.rows for part in parts)]
        at = 0
        for part in parts:
            self._fill(rows[at : at + part.rows], part)
            at += part.rows
        mixed = None
        if self.order.mixing:
            assert self.order.seed is not None
            mixed = permutation(self.order.seed, number + 1, len(rows))
        return _Slab(rows, [], mixed)

    def done(self, slab: _Slab) -> None:
        """Let go of a slab; what was mixed has been copied from it."""
        for made in slab.made:
            self.maker.release(made)
        if slab.mixed is not None:
            self._used.put(slab.rows.base)  # type: ignore[arg-type]

    def _room(self) -> Block:
        # Fresh memory costs as much as filling it: a buffer is used again.
        try:
            return self._used.get_nowait()
        except queue.Empty:
            return np.empty((self.most, *self.row), self.dtype)

    def _fill(self, out: Block, part: Pick) -> None:
        grid = self.maker.grid
        for number in range(part.piece * self.across, (part.piece + 1) * self.across):
            made = self.maker.make(number)
            _, *others = grid.region(grid.coords(number))
            out[:, *others] = made.block[part.start : part.stop]
            self.maker.release(made)


def _items(node: Node, parts: list[Pick], order: Order, options: Options) -> Iterator[Block]:
    if not parts:
        return
    settling = Settling(options)
    node = settling(node)
    learn_dtypes(node, options)
    settling.hand_back()
    if isinstance(node, ReduceNode):
        (result,) = evaluate([Root(node)], options)
        node = MemoryNode(result, node.chunks)
    memory = memory_of(options)
    threads = options.workers or 1
    with BlockMaker(node, options, memory=memory, threads=threads) as maker:
        row = row_bytes(node)
        groups = [[part] for part in parts]
        if order.mixing:
            groups = windows(parts, order.buffer or _default_buffer(row))
        making = _Making(maker, order, node)
        making.most = max(sum(part.rows for part in group) for group in groups)
        copied = order.mixing or making.across > 1
        each = maker.cost + (making.most * row if copied else 0)
        if each > memory:
            raise BudgetError(_over(making.most, row, each, memory, order))
        ahead = min(threads if copied else max(_AHEAD, threads), memory // each - 1)
        with contextlib.closing(_slabs(making, groups, ahead, threads)) as slabs:
            yield from _cut_up(slabs, making, order)


def _default_buffer(row: int) -> int:
    return min(max(_BUFFER_BYTES // row, 1), _BUFFER_ROWS)


def _over(rows: int, row: int, each: int, memory: int, order: Order) -> str:
    knob = "smaller chunks="
    if order.mixing:
        knob = f"buffer= smaller than {rows} rows of {format_bytes(row)}"
    return (
        f"iter_blocks: {rows} rows at once need {format_bytes(each)}, the memory budget is "
        f"{format_bytes(memory)}; give memory= at least {format_bytes(each)}, or {knob}"
    )


def _slabs(
    make: _Making, groups: list[list[Pick]], ahead: int, threads: int
) -> Generator[_Slab, None, None]:
    """Make slabs in turn, up to `ahead` of them before they are asked for."""
    if ahead < 1:
        yield from map(make, itertools.count(), groups)
        return
    with ThreadPoolExecutor(threads, "oocarray-blocks") as pool:
        coming: collections.deque[Future[_Slab]] = collections.deque()
        try:
            for number, group in enumerate(groups):
                coming.append(pool.submit(make, number, group))
                if len(coming) > ahead:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _cut_up(slabs: Iterator[_Slab], making: _Making, order: Order) -> Iterator[Block]:
    """Hand out slabs in batches; a batch that two slabs share is copied from both."""
    begun: Block | None = None
    filled = 0
    for slab in slabs:
        at, count = 0, len(slab.rows)
        batch = order.batch or count
        if order.batch is None:
            yield _handed(slab.rows, order)
            at = count
        while at < count:
            if begun is None and slab.mixed is None and count - at >= batch:
                yield _handed(slab.rows[at : at + batch], order)
                at += batch
                continue
            if begun is None:
                begun, filled = np.empty((batch, *slab.rows.shape[1:]), slab.rows.dtype), 0
            step = min(batch - filled, count - at)
            slab.copy(begun[filled : filled + step], at)
            at, filled = at + step, filled + step
            if filled == batch:
                yield begun if order.mixing else _handed(begun, order)
                begun = None
        making.done(slab)
    if begun is not None and not order.drop_last:
        yield begun[:filled] if order.mixing else _handed(begun[:filled], order)


def _handed(rows: Block, order: Order) -> Block:
    if order.copy:
        return np.array(rows)
    # It may be the file itself.
    rows = rows.view()
    rows.flags.writeable = False
    return rows
