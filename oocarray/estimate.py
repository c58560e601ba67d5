"""How many bytes a plan reads, writes and must hold, from its records alone; it runs nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .grid import Grid
from .plan import Access, Blocks, Gather, Halo, Plan, Scratch, Stage, Whole
from .program import ALL, Call, calls_in
from .storage.layout import Strided

__all__ = ["Cost", "distinct_bytes", "item_cost", "stage_bytes"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes that one item (the largest of its stage) has in memory."""

    read: int
    written: int
    temporary: int
    """Blocks between two functions, and what a function returns before it is stored."""

    @property
    def total(self) -> int:
        return self.read + self.written + self.temporary


def item_cost(stage: Stage) -> Cost:
    """Bound what one item of a stage holds.

    An array updated in place is counted once, as written; what lives in this process's
    memory already (`InMemory`) is not counted.
    """
    targets = [write.target for write in stage.writes if isinstance(write, Blocks)]
    read = sum(
        _access_bytes(access, stage.grid)
        for access in stage.reads
        if isinstance(access.source, Strided) and access.source not in targets
    )
    written = sum(
        math.prod(write.grid.max_block_shape) * _dtype(write).itemsize
        for write in stage.writes
        if isinstance(write, (Blocks, Scratch))
    )
    stored = {id(getattr(value, "call", value)) for value in _stored_values(stage)}
    temporary = sum(
        math.prod(call.grid.max_block_shape) * dtype.itemsize
        for call in calls_of(stage)
        if call.form == "block" or id(call) not in stored
        for dtype in call.dtypes
        if call.form != "update"
    )
    return Cost(read, written, temporary)


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
                seen[thing.file.dev, thing.file.ino, thing.span()] = thing.nbytes
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


def _access_bytes(access: Access, grid: Grid) -> int:
    how, shape = access.how, access.source.shape
    if isinstance(how, Whole):
        extents: tuple[int, ...] = shape
    elif isinstance(how, Gather):
        extents = tuple(
            size if axis == ALL else most
            for axis, most, size in zip(how.axes, how.grid.max_block_shape, shape, strict=True)
        )
    elif isinstance(how, Halo):
        extents = tuple(
            min(most + before + after, size) if edge == "none" else most + before + after
            for most, (before, after), size, edge in zip(
                grid.max_block_shape, how.depth, shape, how.boundary, strict=True
            )
        )
    else:
        most = grid.max_block_shape[grid.ndim - len(shape) :]
        extents = tuple(min(m, size) for m, size in zip(most, shape, strict=True))
    return math.prod(extents) * access.source.dtype.itemsize


def _dtype(write: Blocks | Scratch) -> np.dtype[Any]:
    return write.target.dtype if isinstance(write, Blocks) else write.dtype
