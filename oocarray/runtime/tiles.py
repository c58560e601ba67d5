"""Makes regions of what operations yield, piece by piece; it calls no user's function itself.

Where every operation of a tree is as cheap piece by piece as at once, a block is made in pieces
that stay in the processor's cache, so that however large the tree is, what lies between its
operations takes a few hundred KiB.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..fusing.operation import Fused
from ..grid import Coords, Region, fastest_first
from ..operations.base import PIECE, Arguments, extents
from ..operations.single import within
from ..program import Apply, Call, Input, Pick, Program, Tile, applies_in, below, dtype_of
from ..walks import cut, hit
from .chains import Chain
from .flags import Flags
from .fusions import Fusions

__all__ = ["Tiles", "divisible", "shared_nodes"]

_TRIED = 1 << 10
"""Elements of the piece by which is found out how much is kept of a piece."""
_KEPT = 96
"""So many regions of nodes that are needed more than once may be kept with pieces of full size."""
_FRAMES = 10
"""Calls of one operation: itself, what it pulls, what that is made by."""
_MOST_FRAMES = 60_000

Block = np.ndarray[Any, Any]
Key = tuple[Any, ...]


class Tiles:
    """The operations of a program.

    Parameters
    ----------
    shared : set of int
        Nodes that more than one asks for, by id: only their results are kept.
    readers : sequence of callable
        ``readers[access](region)`` returns that region of what the access reads.
    block : callable
        ``block(call, coords)`` returns a block of a user's function.
    """

    def __init__(
        self,
        shared: set[int],
        readers: Sequence[Callable[[Region], Block]],
        block: Callable[[Any, Coords], Block],
    ) -> None:
        self._shared, self._readers, self._block = shared, readers, block
        self.flags = Flags()
        self.fusions = Fusions(self._made, self.flags)
        self._divisible: dict[int, bool] = {}
        self._pulls: dict[int, Arguments] = {}
        self._chains: dict[int, Chain] = {}
        self._sizes: dict[int, int] = {}
        self._piece: dict[Key, Block] = {}

    def new_item(self) -> None:
        """Forget the results of the item before."""
        self._piece.clear()

    def close(self) -> None:
        """Let go of what would keep blocks and pages alive in a circle."""
        self.new_item()
        self._pulls.clear()
        self._chains.clear()
        del self._block, self._readers, self.fusions

    def make(self, tile: Tile, region: Region, out: Block | None) -> Block:
        """Return a region of a tile; in `out`, if that is given."""
        if 0 in extents(region):
            return np.empty(extents(region), tile.node.dtype) if out is None else out
        with self.complaining():
            return self._filled(tile, region, out)

    def complaining(self) -> Flags:
        """A context to make operations in: complaints are noted, but not those of functions."""
        self._errstate = np.geterr()
        return self.flags

    def _filled(self, tile: Tile, region: Region, out: Block | None) -> Block:
        node, shape = tile.node, extents(region)
        known = self._divisible.get(id(tile))
        if known is None:
            known = self._divisible[id(tile)] = divisible(tile)
            _dig(tile)
        if isinstance(node.operation, Fused):
            outs: list[Block | None] = [None] * len(node.operation.formula.outputs)
            outs[tile.output] = np.empty(shape, dtype_of(tile), tile.order) if out is None else out
            made = self.fusions.make(node, region, outs)[tile.output]
            self._piece.clear()
            return made
        if not known or math.prod(shape) <= PIECE:
            found = self._made(node, region, out)
            self._piece.clear()
            return found if out is None else _put(out, found)
        if out is None:
            out = np.empty(shape, node.dtype, tile.order)
        fortran = out.flags.f_contiguous and not out.flags.c_contiguous
        fastest = fastest_first(out.ndim, "F" if fortran else "C")
        for piece in cut(region, self._elements(tile, region, fastest), fastest):
            place = out[within(piece, region)]
            _put(place, self._made(node, piece, place))
            self._piece.clear()
        return out

    def _elements(self, tile: Tile, region: Region, fastest: Sequence[int]) -> int:
        """How many elements a piece of a tile has.

        Fewer, where nodes that are needed more than once are kept for many regions of each.
        """
        known = self._sizes.get(id(tile))
        if known is None:
            self._made(tile.node, next(cut(region, _TRIED, fastest)))
            known = self._sizes[id(tile)] = max(PIECE * _KEPT // max(len(self._piece), _KEPT), 256)
            self._piece.clear()
        return known

    def _made(self, node: Any, region: Region, out: Block | None = None) -> Any:
        """A region of a node: an array of its dtype, which may be `out`, or anybody's memory."""
        if isinstance(node, Input):
            return self._readers[node.access](region)
        if isinstance(node, (Call, Pick)):
            return self._of_blocks(node, region)
        shape = extents(region)
        if 0 in shape:
            return np.empty(shape, node.dtype)
        if id(node) not in self._shared:
            return self._applied(node, region, out)
        key = (id(node), *((part.start, part.stop) for part in region))
        known = self._piece.get(key)
        if known is None:
            # Not in `out`: it is asked for again, and might be changed there.
            known = self._piece[key] = self._applied(node, region, None)
        return known

    def _applied(self, node: Apply, region: Region, out: Block | None) -> Block:
        if node.operation.pointwise:
            chain = self._chains.get(id(node))
            if chain is None:
                chain = self._chains[id(node)] = Chain(node, self._made, self.flags.names)
            return chain.make(region, out)
        if isinstance(node.operation, Fused):
            return self.fusions.make(node, region, [out])[0]
        self.flags.names.append(node.operation.name)
        made = node.operation.make(region, self._arguments(node), out)
        self.flags.names.pop()
        return made

    def _arguments(self, node: Apply) -> Arguments:
        found = self._pulls.get(id(node))
        if found is None:
            pull = partial(_pull, self._made, node.args)
            there = frozenset(k for k, arg in enumerate(node.args) if isinstance(arg, Input))
            found = Arguments(node.shapes, node.dtypes, node.dtype, pull, there)
            self._pulls[id(node)] = found
        return found

    def _of_blocks(self, node: Call | Pick, region: Region) -> Block:
        """A region of what a user's function makes block by block."""
        # What the function's own arithmetic complains of is its own affair.
        try:
            with np.errstate(**self._errstate):
                return self._joined_blocks(node, region)
        except Exception as error:
            call = node.call if isinstance(node, Pick) else node
            part = ", ".join(f"{one.start}:{one.stop}" for one in region)
            with contextlib.suppress(Exception):
                error.add_note(
                    f"oocarray: in a block of {call.name} that has [{part}] of its array"
                )
            raise

    def _joined_blocks(self, node: Call | Pick, region: Region) -> Block:
        grid = node.grid
        places = hit(grid, region)
        if math.prod(map(len, places)) == 1:
            coords = tuple(place[0] for place in places)
            whole = grid.region(coords)
            block = self._block(node, coords)
            return block if whole == region else block[within(region, whole)]
        found = np.empty(extents(region), dtype_of(node))
        for coords in itertools.product(*places):
            whole = grid.region(coords)
            both = tuple(
                slice(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(whole, region, strict=True)
            )
            found[within(both, region)] = self._block(node, coords)[within(both, whole)]
        return found


def _dig(tile: Tile) -> None:
    """Let Python go as deep as a tile is: through each operation that is not pointwise."""
    depth: dict[int, int] = {}
    for node in reversed(applies_in(tile)):
        # Arguments may come later in this order: the depth is then a little less than it is.
        below = max((depth.get(id(arg), 0) for arg in node.args), default=0)
        depth[id(node)] = below + (0 if node.operation.pointwise else 1)
    needed = _FRAMES * (max(depth.values(), default=0) + 50)
    if needed > sys.getrecursionlimit():
        sys.setrecursionlimit(min(needed, _MOST_FRAMES))


def divisible(tile: Tile) -> bool:
    """Whether a tile may be made piece by piece."""
    return all(node.operation.divisible for node in applies_in(tile))


def shared_nodes(program: Program) -> set[int]:
    """Find what more than one consumer asks for, or one asks for in pieces, by id."""
    counts: dict[int, int] = {}
    waiting = [(value, 1) for value in {id(value): value for value in program.values}.values()]
    while waiting:
        node, times = waiting.pop()
        if isinstance(node, (Call, Apply)):
            counts[id(node)] = counts.get(id(node), 0) + times
            if counts[id(node)] > times:
                continue
        for part in below(node):
            # Blocks of a function are asked for piece by piece.
            pieces = isinstance(node, Apply) and not isinstance(part, Apply)
            waiting.append((part, 2 if pieces else times))
    return {number for number, count in counts.items() if count > 1}


def _pull(made: Callable[[Any, Region], Block], args: Sequence[Any], k: int, r: Region) -> Block:
    return made(args[k], r)


def _put(out: Block, found: Block) -> Block:
    if found is not out:
        out[...] = found
    return out
