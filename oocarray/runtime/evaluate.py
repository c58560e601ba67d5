"""Runs a stage's program on one item: finds blocks, calls functions, checks what they return.

It knows nothing of pages, workers or order: blocks come from readers, results go into
arrays that it is handed, and what lies between two functions into memory that is used again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import jit
from ..errors import BlockMismatchError
from ..fusing.operation import Fused
from ..grid import Coords, Order, Region
from ..operations.base import PIECE, extents
from ..program import (
    ALL,
    BLOCK_ID,
    Call,
    Input,
    Operand,
    Program,
    Tile,
    Value,
    dtype_of,
)
from ..regions import Gather
from .scratch import Scratch
from .tiles import Tiles, divisible, shared_nodes

__all__ = ["Evaluator"]

Block = np.ndarray[Any, Any]
Reader = Callable[[Region], Block]


class Evaluator:
    """A program bound to the readers of its inputs.

    Parameters
    ----------
    program : Program
    readers : sequence of callable
        ``readers[access](region)`` returns that region of what the access reads.
    """

    def __init__(self, program: Program, readers: Sequence[Reader]) -> None:
        self._readers = readers
        self._entries: dict[int, Callable[..., Any]] = {}
        self._shared = shared_nodes(program)
        self._memo: dict[tuple[int, Coords], Any] = {}
        self._made: Tiles | None = None
        self._divisible: dict[int, bool] = {}
        self.scratch = Scratch()

    def new_item(self) -> None:
        """Forget the results of the item before."""
        self._memo.clear()
        if self._made is not None:
            self._made.new_item()
        self.scratch.new_item()

    def close(self) -> None:
        """Let go of all blocks: nothing of this may keep pages mapped when the run has ended."""
        self.new_item()
        if self._made is not None:
            self._made.close()
            self._made = None
        self.scratch.close()

    @property
    def flags(self) -> set[str]:
        """What NumPy would have warned of in operations; see `oocarray.runtime.flags`."""
        return set() if self._made is None else self._made.flags.found

    @property
    def tiles(self) -> Tiles:
        if self._made is None:
            self._made = Tiles(self._shared, self._readers, self.value)
        return self._made

    def value(self, node: Value, coords: Coords, out: Block | None = None) -> Block:
        """Return the node's block at `coords` of its grid; in `out`, if that is given."""
        if isinstance(node, Input):
            block = self._readers[node.access](node.grid.region(coords))
            if out is None:
                return block
            out[...] = block
            return out
        if isinstance(node, Tile):
            most = math.prod(node.grid.max_block_shape)
            return self._tile(node, node.grid.region(coords), out, most)
        call, pick = (node, 0) if isinstance(node, Call) else (node.call, node.output)
        key = id(call), coords
        if key in self._memo:
            result = self._memo[key][pick]
            if out is not None:
                out[...] = result
            return result if out is None else out
        outs = tuple(out if output == pick else None for output in range(len(call.dtypes)))
        results = self.call(call, coords, outs)
        if id(call) in self._shared:
            self._memo[key] = results
        return results[pick]

    def call(self, call: Call, coords: Coords, outs: Sequence[Block | None]) -> tuple[Block, ...]:
        """Call the function for the block at `coords`; results are in `outs` where given."""
        args = [
            self._operand(arg, coords)
            if isinstance(arg, Operand)
            else (coords if arg is BLOCK_ID else arg)
            for arg in call.args
        ]
        kwargs = dict(call.kwargs)
        if "block_id" in call.wants:
            kwargs["block_id"] = coords
        if "block_info" in call.wants:
            kwargs["block_info"] = call.info(coords, call.dtypes[0])
        if call.form == "block":
            return _checked(call, coords, call.function(*args, **kwargs), outs)
        if call.form == "update":
            return (self._update(call, args, kwargs),)
        shape = call.block_shape(coords)
        # A function that fills its output wants plain memory of the promised dtype.
        filled = tuple(
            out if out is not None and _plain(out, dtype, call) else self._zeros(shape, dtype, call)
            for out, dtype in zip(outs, call.dtypes, strict=True)
        )
        given = [block.squeeze(call.apart) for block in filled] if call.apart else filled
        if call.form == "udf":
            offset = tuple(part.start for part in call.grid.region(coords))
            call.function(tuple(args), given[0], offset, **kwargs)
        elif call.code is None:
            call.function(*given, *args, **kwargs)
        else:
            self._entry(call)(*given, *map(self._compilable, args, call.args))
        for out, block in zip(outs, filled, strict=True):
            if out is not None and out is not block:
                out[...] = block
        return tuple(
            block.astype(dtype, copy=False) if out is None else out
            for out, block, dtype in zip(outs, filled, call.dtypes, strict=True)
        )

    def _zeros(self, shape: tuple[int, ...], dtype: np.dtype[Any], call: Call) -> Block:
        """Memory for a function to fill; compiled code knows one byte order only."""
        # Zeros, as a new file has: what a function leaves out is the same under every scheduler.
        own = dtype if call.code is None else dtype.newbyteorder("=")
        return self.scratch.take(shape, own, most=math.prod(call.grid.max_block_shape), zeros=True)

    def _tile(self, tile: Tile, region: Region, out: Block | None, most: int) -> Block:
        """Make a region of operations; `most` elements are made at this place."""
        shape, operation = extents(region), tile.node.operation
        if out is None and isinstance(operation, Fused):
            out = self.scratch.take(shape, dtype_of(tile), most=most)
        elif out is None and math.prod(shape) > PIECE:
            pieces = self._divisible.get(id(tile))
            if pieces is None:
                pieces = self._divisible[id(tile)] = divisible(tile)
            # What is made at once may be a view of what is there already.
            out = self.scratch.take(shape, dtype_of(tile), tile.order, most) if pieces else None
        return self.tiles.make(tile, region, out)

    def _entry(self, call: Call) -> Callable[..., Any]:
        entry = self._entries.get(id(call))
        if entry is None:
            entry = self._entries[id(call)] = jit.load(call.code)
        return entry

    def _update(self, call: Call, args: list[Any], kwargs: dict[str, Any]) -> Block:
        block: Block = args[0]
        native = self._native(block, call.args[0])
        if call.code is None:
            returned = call.function(native, *args[1:], **kwargs)
        else:
            returned = self._entry(call)(native, *map(self._compilable, args[1:], call.args[1:]))
        if returned is not None and returned is not native:
            raise BlockMismatchError(
                f"{call.name} was called to change its block in place and returned "
                f"{type(returned).__name__}; assign into the block (block[...] = result), "
                "or use map_blocks to make a new array"
            )
        if native is not block:
            block[...] = native
        return block

    def _native(self, value: Any, arg: Any) -> Any:
        """What compiled code can take: native byte order (a copy where the file has the other)."""
        if not isinstance(value, np.ndarray) or value.dtype.isnative:
            return value
        dtype = value.dtype.newbyteorder("=")
        if not isinstance(arg, Operand):
            return value.astype(dtype)
        order: Order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        native = self.scratch.take(value.shape, dtype, order, _most(arg))
        native[...] = value
        return native

    def _compilable(self, value: Any, arg: Any) -> Any:
        """An argument as its signature promises it: results of other functions in C order."""
        native = self._native(value, arg)
        if isinstance(arg, Operand) and not isinstance(arg.node, Input):
            return np.ascontiguousarray(native) if native.ndim else native
        return native

    def _operand(self, operand: Operand, coords: Coords) -> Block:
        node, axes = operand.node, operand.axes
        grid = node.grid
        if ALL not in axes:
            return self.value(node, tuple([coords[axis] if axis >= 0 else 0 for axis in axes]))
        if isinstance(node, Input):
            return self._readers[node.access](Gather(grid, axes).region(grid, coords, grid.shape))
        picks = [
            range(count) if axis == ALL else (coords[axis] if axis >= 0 else 0,)
            for axis, count in zip(axes, grid.numblocks, strict=True)
        ]
        if not node.known:
            return _joined(
                [index for index, axis in enumerate(axes) if axis == ALL],
                picks,
                lambda inner: self.value(node, inner),
            )
        region = Gather(grid, axes).region(grid, coords, grid.shape)
        if isinstance(node, Tile):
            return self._tile(node, region, None, _most(operand))
        whole = self.scratch.take(extents(region), dtype_of(node), most=_most(operand))
        for inner in itertools.product(*picks):
            place = tuple(
                slice(part.start - base.start, part.stop - base.start)
                for part, base in zip(grid.region(inner), region, strict=True)
            )
            self.value(node, inner, whole[place])
        return whole


def _most(operand: Operand) -> int:
    """Elements of the largest block that an argument is."""
    grid = operand.node.grid
    return math.prod(
        extent if axis == ALL else most
        for axis, extent, most in zip(operand.axes, grid.shape, grid.max_block_shape, strict=True)
    )


def _joined(
    axes: list[int], picks: Sequence[Sequence[int]], block: Callable[[Coords], Block]
) -> Block:
    """Concatenate blocks whose sizes only they know."""
    if not axes:
        return block(tuple(pick[0] for pick in picks))
    first, *rest = axes
    return np.concatenate(
        [
            _joined(rest, [*picks[:first], (number,), *picks[first + 1 :]], block)
            for number in picks[first]
        ],
        axis=first,
    )


def _plain(out: Block, dtype: np.dtype[Any], call: Call) -> bool:
    """Whether a function may fill `out` itself: the promised dtype, as its code expects it."""
    if out.dtype != dtype or not out.dtype.isnative or not out.flags.aligned:
        return False
    return call.code is None or bool(out.flags.c_contiguous or call.strided_out)


def _checked(
    call: Call, coords: Coords, returned: Any, outs: Sequence[Block | None]
) -> tuple[Block, ...]:
    """Compare what a function returned with what was promised, and put it where it belongs."""
    count = len(call.dtypes)
    if count == 1:
        returned = (returned,)
    elif not isinstance(returned, (tuple, list)) or len(returned) != count:
        raise BlockMismatchError(
            f"{call.name} returned {_describe(returned)} for block {coords}; "
            f"expected {count} arrays (nout={count})"
        )
    shape = tuple(
        size for axis, size in enumerate(call.block_shape(coords)) if axis not in call.apart
    )
    results = []
    for result, dtype, out in zip(returned, call.dtypes, outs, strict=True):
        block = np.asarray(result)
        if not _same_shape(block.shape, shape) or block.dtype.newbyteorder(
            "="
        ) != dtype.newbyteorder("="):
            raise BlockMismatchError(
                f"{call.name} returned {_describe(result)} for block {coords}; expected shape "
                f"{shape} and dtype {dtype}" + _advice(block, shape, dtype)
            )
        if call.apart:
            block = np.expand_dims(block, call.apart)
        if out is not None:
            out[...] = block
        results.append(block if out is None else out)
    return tuple(results)


def _same_shape(got: tuple[int, ...], expected: tuple[float, ...]) -> bool:
    return len(got) == len(expected) and all(
        a == b or math.isnan(b) for a, b in zip(got, expected, strict=True)
    )


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    return f"{type(value).__name__} {value!r:.60}" if value is not None else "None"


def _advice(block: Block, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    if not _same_shape(block.shape, shape):
        return "; give chunks=, drop_axis= or new_axis= if the function changes the shape"
    return f"; give dtype={str(block.dtype)!r}, or return block.astype({str(dtype)!r})"
