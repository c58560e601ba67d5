"""Finds out extents that depend on elements: counts masks, and calls functions for their blocks."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

from ..errors import BlockMismatchError
from ..lazy.expr import MapNode, Node
from ..lazy.node import Learnt, postorder
from ..plan import Options
from .blocks import BlockMaker
from .learning import learn_dtypes
from .settling import Settling

__all__ = ["counts_only", "learn_sizes"]


def learn_sizes(node: Node, options: Options) -> None:
    """Let a node know its shape; what has been found out is kept.

    Raises
    ------
    BlockMismatchError
        Blocks that a function made side by side do not fit each other.
    Exception
        Whatever the functions raise.
    """
    learn_dtypes(node, options)
    for one in postorder(node):
        if isinstance(one, MapNode) and not one.plan.known:
            chunks = _made(one, options)
            one.plan = replace(one.plan, chunks=chunks, shape=_sum(chunks))
            Learnt.times += 1
    Settling(options)(node)


def counts_only(node: Node) -> bool:
    """Whether masks are all that is to be counted: no function makes blocks of unknown size."""
    return not any(isinstance(one, MapNode) and not one.plan.known for one in postorder(node))


def _sum(chunks: Any) -> tuple[int, ...]:
    return tuple(sum(sizes) for sizes in chunks)


def _made(node: MapNode, options: Options) -> Any:
    """Extents of the blocks that a function makes, by making them all."""
    cuts: list[list[Any]] = [list(sizes) for sizes in node.chunks]
    with BlockMaker(Settling(options)(node), options, memory=options.memory) as maker:
        for coords in itertools.product(*map(range, node.plan.numblocks)):
            made = maker.make(maker.grid.number(coords))
            shape = made.block.shape
            maker.release(made)
            for axis, (at, size) in enumerate(zip(coords, shape, strict=True)):
                known = cuts[axis][at]
                if math.isnan(known):
                    cuts[axis][at] = size
                elif known != size:
                    raise BlockMismatchError(
                        f"{node.name} made a block of shape {shape} at {coords}, where others "
                        f"have extent {known} along axis {axis}"
                    )
    return tuple(map(tuple, cuts))
