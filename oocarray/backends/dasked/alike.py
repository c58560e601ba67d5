"""Tells whether arrays of unknown extent are cut alike, as dask takes for granted; counts none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...lazy.counted import CountedNode
from ...lazy.expr import Node, OpNode, ReduceNode
from ...operations.elementwise import Elementwise
from ...operations.selecting import Select
from ...operations.shaping import Transpose

__all__ = ["Cuts"]


class Cuts:
    """What the cuts of arrays of unknown extent follow from; equal origins mean equal cuts."""

    def __init__(self) -> None:
        self._origins: dict[int, frozenset[Any]] = {}

    def note(self, node: Node, args: Sequence[Any], found: Any) -> None:
        """Remember where the cuts of a node come from, which became the dask array `found`."""
        if _lost(found):
            self._origins[id(node)] = self._origin(node, args)

    def alike(self, node: Node, args: Sequence[Any], axis: int | None = None) -> bool:
        """Whether the blocks of a node's arguments meet along the axes whose extent dask lacks.

        Parameters
        ----------
        node : Node
            An elementwise operation, or a selection.
        args : sequence of dask arrays
            What its children became.
        axis : int, optional
            Of a selection: the first axis that the mask covers.
        """
        pairs = list(zip(node.children, args, strict=True))
        if axis is not None:
            (array, x), (other, mask) = pairs
            return all(
                self._meet([(array, x, axis + k), (other, mask, k)]) for k in range(mask.ndim)
            )
        deepest = max((x.ndim for x in args), default=0)
        return all(
            self._meet([(one, x, x.ndim - back) for one, x in pairs if x.ndim >= back])
            for back in range(1, deepest + 1)
        )

    def _meet(self, axes: Sequence[tuple[Node, Any, int]]) -> bool:
        """Whether these axes are cut alike, or can be since the extents of all are known."""
        long = [one for one in axes if one[1].shape[one[2]] != 1 or one[1].numblocks[one[2]] > 1]
        unknown = [math.isnan(x.shape[axis]) for _, x, axis in long]
        if not any(unknown) or len(long) < 2:
            return True
        return all(unknown) and len({self._of(node) for node, *_ in long}) == 1

    def _of(self, node: Node) -> frozenset[Any]:
        return self._origins.get(id(node), frozenset({id(node)}))

    def _origin(self, node: Node, args: Sequence[Any]) -> frozenset[Any]:
        operation = node.operation if isinstance(node, OpNode) else None
        if isinstance(operation, Elementwise):
            known = (self._origins.get(id(child)) for child in node.children)
            return frozenset[Any]().union(*filter(None, known))
        if isinstance(operation, Transpose):
            # What was one axis may have become another.
            return frozenset({(operation.axes, self._of(node.children[0]))})
        if isinstance(node, ReduceNode) and len(node.shape) == len(node.source.shape):
            return self._of(node.source)
        if (isinstance(operation, Select) or isinstance(node, CountedNode)) and len(args) == 2:
            x, mask = args
            if not _lost(x) and not _lost(mask):
                selection: Any = node if operation is None else operation
                return frozenset({(id(node.children[1]), selection.axis, x.chunks, mask.chunks)})
        return frozenset({id(node)})


def _lost(x: Any) -> bool:
    return any(map(math.isnan, x.shape))
