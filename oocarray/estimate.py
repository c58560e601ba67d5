"""How many bytes a plan reads, writes and must hold, from its records alone; it runs nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .fusing.operation import Fused
from .grid import Grid, Region
from .leaves.tree import tree_bytes
from .operations.base import PIECE, extents
from .pages.footprint import mapped_bytes
from .plan import (
    Access,
    Blocks,
    Gather,
    Halo,
    InMemory,
    Partials,
    Plan,
    Result,
    Scratch,
    Source,
    Stage,
    Through,
    Via,
    Whole,
)
from .program import (
    ALL,
    Apply,
    Call,
    Input,
    Operand,
    Pick,
    Tile,
    applies_in,
    calls_in,
    dtype_of,
    tops_in,
)
from .storage.layout import Strided
from .storage.pieces import piece_bytes
from .storage.tiled import Tiled
from .walks import some

__all__ = [
    "Cost",
    "calls_of",
    "distinct_bytes",
    "item_cost",
    "kept_bytes",
    "region_bytes",
    "resident_bytes",
    "stage_bytes",
]


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes that one item (the largest of its stage) has in memory."""

    read: int
    written: int
    temporary: int
    """Blocks between two functions, and what a function returns before it is stored."""
    repeated: int = 0
    """What every item reads: mapped once in each worker, and left so."""
    arguments: int = 0
    """Arrays that functions are passed as they are, which each worker maps too."""

    @property
    def passing(self) -> int:
        """Held from when an item is brought in until its bytes are written."""
        return self.read + self.written

    @property
    def standing(self) -> int:
        """Held once by each worker, however many items it has on their way."""
        return self.temporary + self.repeated + self.arguments

    @property
    def total(self) -> int:
        """What a run of one worker and one item at a time holds."""
        return self.passing + self.standing


def item_cost(stage: Stage, separate: bool = False) -> Cost:
    """Bound what one item of a stage holds.

    An array updated in place is counted once, as written.

    Parameters
    ----------
    stage : Stage
    separate : bool
        Workers are other processes: arrays of this one's memory, which are there anyway, are
        mapped by them too.
    """
    targets = [write.target for write in stage.writes if isinstance(write, Blocks)]
    counted = Strided | Tiled | InMemory | Result if separate else Strided | Tiled
    read = repeated = 0
    for access in stage.reads:
        if not isinstance(access.source, counted) or access.source in targets:
            continue
        if access.repeated(stage.grid):
            repeated += _access_bytes(access, stage.grid)
        else:
            read += _access_bytes(access, stage.grid)
    written = sum(
        _region_bytes(
            write.target if isinstance(write, Blocks) else write, write.grid.max_block_shape
        )
        for write in stage.writes
        if isinstance(write, (Blocks, Scratch))
    )
    arguments = sum(map(_argument_bytes, calls_of(stage))) if separate else 0
    return Cost(read, written, _temporary(stage), repeated, arguments)


def kept_bytes(plan: Plan, separate: bool = False) -> int:
    """Bound what a run holds from when it is made until the run ends, all stages together.

    Results, the partial results of reductions, and with workers in other processes the copies
    of arrays in this one's memory.  What a reduction by the caller's functions returns is not
    known, and not counted.
    """
    kept = _partial_bytes(plan)
    copied: dict[int, int] = {}
    for stage in plan.stages:
        for write in stage.writes:
            if isinstance(write, Scratch):
                kept += write.nbytes
            elif separate and isinstance(write, Blocks) and isinstance(write.target, InMemory):
                copied[id(write.target)] = write.target.nbytes
        for access in stage.reads if separate else ():
            if isinstance(access.source, InMemory):
                copied[id(access.source.array)] = access.source.nbytes
            elif isinstance(access.source, Result):
                copied[id(access.source)] = access.source.nbytes
    return kept + sum(copied.values())


def resident_bytes(plan: Plan, workers: int, separate: bool = False) -> int:
    """Bound what a run holds that lets go of nothing: every array once, and what workers add."""
    added = 0
    for stage in plan.stages:
        count = min(workers, stage.grid.size)
        cost = item_cost(stage, separate)
        alone = cost.temporary + cost.arguments
        added = max(added, count * alone + max(count - 1, 0) * cost.repeated)
    return distinct_bytes(plan) + _partial_bytes(plan) + added


def _partial_bytes(plan: Plan) -> int:
    """Partial results of all reductions; they are combined into results one after the other."""
    trees = [
        tree_bytes(write.reduction, write.leaves)
        for stage in plan.stages
        for write in stage.writes
        if isinstance(write, Partials)
    ]
    return sum(held for held, _ in trees) + max((more for _, more in trees), default=0)


def stage_bytes(stage: Stage) -> tuple[int, int]:
    """Bytes that a stage reads and writes in all, each source once per access."""
    read = sum(int(access.source.nbytes) for access in stage.reads)
    written = sum(
        int(write.target.nbytes if isinstance(write, Blocks) else write.nbytes)
        for write in stage.writes
        if isinstance(write, (Blocks, Scratch))
    )
    return read, written


def distinct_bytes(plan: Plan) -> int:
    """Bytes of everything a plan touches, each counted once."""
    seen: dict[Any, int] = {}
    for stage in plan.stages:
        things = [access.source for access in stage.reads]
        things += [write.target for write in stage.writes if isinstance(write, Blocks)]
        for thing in things:
            if isinstance(thing, Strided):
                seen[thing.file.dev, thing.file.ino, thing.span()] = _region_bytes(
                    thing, thing.shape
                )
            elif isinstance(thing, Tiled):
                seen[thing] = thing.nbytes
            else:
                seen[id(thing)] = int(thing.nbytes)
        for write in stage.writes:
            if isinstance(write, Scratch):
                seen[id(write)] = write.nbytes
    return sum(seen.values())


def calls_of(stage: Stage) -> list[Call]:
    """Every call in a stage's program, each once."""
    return calls_in(getattr(stage.kernel, "values", ()))


def _stored_values(stage: Stage) -> list[Any]:
    values = getattr(stage.kernel, "values", ())
    return [
        value
        for value, write in zip(values, stage.writes, strict=False)
        if isinstance(write, (Blocks, Scratch))
    ]


def _temporary(stage: Stage) -> int:
    """Blocks that lie in the memory of a worker while it computes one item."""
    stored = {id(getattr(value, "call", value)) for value in _stored_values(stage)}
    total = sum(map(_tile_bytes, _tiles_of(stage)))
    values = getattr(stage.kernel, "values", ())
    for value, write in zip(values, stage.writes, strict=False):
        # A block that is reduced is made as a whole, unless it was made to be stored.
        if isinstance(value, Tile) and isinstance(write, Partials) and id(value) not in stored:
            stored.add(id(value))
            if isinstance(value.node.operation, Fused):
                total += _leaf_bytes(value, write)
                continue
            total += math.prod(stage.grid.max_block_shape) * value.node.dtype.itemsize
    for call in calls_of(stage):
        block = math.prod(call.grid.max_block_shape)
        if call.form != "update" and (call.form == "block" or id(call) not in stored):
            total += sum(block * dtype.itemsize for dtype in call.dtypes)
        for arg in call.args:
            if isinstance(arg, Operand):
                total += _operand_bytes(call, arg, stage)
    for write in stage.writes:
        # Functions fill memory of the promised dtype, which is then converted into its place.
        if isinstance(write, Blocks) and not write.target.dtype.isnative:
            total += math.prod(write.grid.max_block_shape) * write.target.dtype.itemsize
    return total


def _leaf_bytes(tile: Tile, write: Partials) -> int:
    """What a fused operation pulls to make one leaf, beside pages and blocks that are there."""
    leaf = math.prod(write.leaves.max_block_shape)
    pulled = zip(tile.node.args, tile.node.dtypes, strict=True)
    return sum(leaf * dtype.itemsize for arg, dtype in pulled if isinstance(arg, Apply))


def _tiles_of(stage: Stage) -> list[Tile]:
    """Every tile that is made for an item of a stage, each once; those of one loop are one."""
    tops = tops_in(getattr(stage.kernel, "values", ()))
    return list({id(top.node): top for top in tops if isinstance(top, Tile)}.values())


def _tile_bytes(tile: Tile) -> int:
    """What lies between the operations of a tile while a block of it is made."""
    operations = applies_in(tile)
    block = tile.grid.max_block_shape
    elements = math.prod(block)
    piece = min(elements, PIECE) if all(node.operation.divisible for node in operations) else None
    total = 0
    for node in operations:
        # An argument is needed in about the same measure as the result.
        share = math.prod(node.shape) * elements // max(math.prod(tile.node.shape), 1)
        uncut = node.operation.uncut(node.shapes)
        # Along some axes whole lines are made, as many as the block's share of the others.
        line = math.prod(node.shape[axis] for axis in uncut)
        made = -(-max(share, 1) // line) * line if uncut and line else share
        total += (made if piece is None else min(made, piece)) * node.dtype.itemsize
        for arg in node.args:
            if isinstance(arg, (Call, Pick)):
                # Blocks are joined where a region lies in several.
                total += math.prod(arg.grid.max_block_shape) * dtype_of(arg).itemsize
    return total


def _operand_bytes(call: Call, operand: Operand, stage: Stage) -> int:
    """What an argument takes beside the pages it lies in: joined blocks, converted copies."""
    node = operand.node
    if isinstance(node, Input):
        source = stage.reads[node.access].source
        if call.form == "block" or source.dtype.isnative:
            return 0
        return math.prod(node.grid.max_block_shape) * source.dtype.itemsize
    if ALL not in operand.axes and not isinstance(node, Tile):
        return 0
    sizes = (
        size if axis == ALL else most
        for axis, size, most in zip(
            operand.axes, node.grid.shape, node.grid.max_block_shape, strict=True
        )
    )
    return math.prod(sizes) * dtype_of(node).itemsize


def _argument_bytes(call: Call) -> int:
    """Arrays that a function is passed as they are; those mapped from a file are its own affair."""
    values = [*call.args, *call.kwargs.values()]
    return sum(
        value.nbytes
        for value in values
        if isinstance(value, np.ndarray) and not isinstance(value, np.memmap)
    )


def _access_bytes(access: Access, grid: Grid) -> int:
    how, shape = access.how, access.source.shape
    if isinstance(how, (Through, Via)):
        needed = max(
            sum(region_bytes(access.source, region) for region in access.box(grid, coords, coords))
            for coords in some(grid)
        )
        # Regions may share pages: all of it is there once at most.
        whole = region_bytes(access.source, tuple(slice(0, extent) for extent in shape))
        return min(needed, whole)
    if isinstance(how, Whole):
        sizes: tuple[int, ...] = shape
    elif isinstance(how, Gather):
        sizes = tuple(
            size if axis == ALL else most
            for axis, most, size in zip(how.axes, how.grid.max_block_shape, shape, strict=True)
        )
    elif isinstance(how, Halo):
        sizes = tuple(
            min(most + before + after, size) if edge == "none" else most + before + after
            for most, (before, after), size, edge in zip(
                grid.max_block_shape, how.depth, shape, how.boundary, strict=True
            )
        )
    else:
        most = grid.max_block_shape[grid.ndim - len(shape) :]
        sizes = tuple(min(m, size) for m, size in zip(most, shape, strict=True))
    return _region_bytes(access.source, sizes)


def region_bytes(source: Source, region: Region) -> int:
    """Bytes that a region has in memory: of a file, all its pages."""
    return _region_bytes(source, extents(region))


def _region_bytes(source: Source, extents: tuple[int, ...]) -> int:
    """Bytes that a region of some extents has in memory: of a file, all its pages."""
    plain = math.prod(extents) * source.dtype.itemsize
    if isinstance(source, Tiled) and source.table.encoded:
        # One piece after the other is decoded, and copied to where it belongs.
        return plain + piece_bytes(source.table)
    if not isinstance(source, Strided):
        return plain
    inside = [min(most, size) for most, size in zip(extents, source.shape, strict=True)]
    return max(plain, mapped_bytes(inside, source.strides, source.dtype.itemsize, source.offset))
