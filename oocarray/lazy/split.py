"""Cuts blocks of elementwise functions finer, to fit the memory; it changes no result.

Only functions that the caller declared `splittable` are passed pieces.  A reduction of such a
function's array keeps its leaves, and so its bits: the pieces under it are those very leaves.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import replace

from ..chunking import auto_chunks, refine
from ..estimate import item_cost
from ..grid import Chunks
from ..plan import Plan
from ..storage.tiled import Tiled
from .blockmap import FIRST, MapPlan
from .expr import MapNode, Node, OpNode, PickNode, ReduceNode
from .graph import Root, even, flexible, has_decoded
from .leafcuts import leaves_of
from .node import postorder

__all__ = ["split_blocks", "splittable_axes"]


def split_blocks(roots: Sequence[Root], plan: Plan, share: int) -> Sequence[Root]:
    """Cut finer whatever may be, when an item of the roots' plan costs more than `share` bytes.

    Parameters
    ----------
    roots : sequence of Root
        All dtypes must be known.
    plan : Plan
        Of those roots.
    share : int
        Bytes that one item may cost.

    Returns
    -------
    sequence of Root
        In the same order, with the same targets; the nodes given are left as they are. The very
        same sequence, if nothing needs to be cut.
    """
    cost = max((item_cost(stage).total for stage in plan.stages), default=0)
    if cost <= share:
        return roots
    split = _Split(cost, share)
    return [
        # What is encoded is written in whole chunks, and read in them: a part would cost as much.
        root
        if (isinstance(root.target, Tiled) and root.target.table.encoded) or has_decoded(root.node)
        else Root(split.root(root.node), root.target, root.in_place)
        for root in roots
    ]


def splittable_axes(node: Node) -> frozenset[int]:
    """Find the axes along which a node's blocks may be cut, with those of all it is made of."""
    if isinstance(node, PickNode):
        return splittable_axes(node.call)
    if not isinstance(node, MapNode):
        return frozenset(range(len(node.chunks)))
    if not node.splittable or not node.plan.known or node.apart:
        return frozenset()
    covered: set[int] = set()
    refused: set[int] = set()
    for child, axes, sizes in zip(node.children, node.plan.axes, node.plan.inputs, strict=True):
        own = splittable_axes(child)
        for p, axis in enumerate(axes):
            if axis == FIRST and sum(sizes[p]) != 1:
                # One block serves many whole: there is no telling what serves a piece.
                return frozenset()
            if axis < 0 or (sizes[p] == (1,) and node.chunks[axis] != (1,)):
                continue
            if sizes[p] == node.chunks[axis] and p in own:
                covered.add(axis)
            else:
                refused.add(axis)
    return frozenset(covered - refused)


class _Split:
    """One rewriting: what two roots share stays shared."""

    def __init__(self, cost: int, share: int) -> None:
        self.cost, self.share = cost, share
        self.known: dict[tuple[int, Chunks], MapNode] = {}
        self.reduced: dict[int, ReduceNode] = {}
        self.made: dict[int, Node] = {}

    def root(self, node: Node) -> Node:
        """Rewrite a node whose grid is its own affair."""
        if isinstance(node, ReduceNode):
            return self.reduction(node)
        if isinstance(node, OpNode):
            return self.operation(node)
        if not isinstance(node, (MapNode, PickNode)):
            return node
        return self.cut(node, self.pieces(node, sorted(splittable_axes(node))))

    def operation(self, node: OpNode) -> Node:
        """Rewrite what is made by operations: any part of it can be made, if no block is in it."""
        # From the bottom, not by recursion: chains are as long as people make them.
        for one in postorder(node, lambda one: id(one) not in self.made and type(one) is OpNode):
            if isinstance(one, OpNode) and id(one) not in self.made:
                self.made[id(one)] = self.operated(one)
        return self.made[id(node)]

    def operated(self, node: OpNode) -> Node:
        """The same of one operation, whose arguments are rewritten already."""
        args = tuple(
            self.root(arg) if isinstance(arg, (OpNode, ReduceNode)) else arg for arg in node.args
        )
        fresh = node if all(map(operator.is_, args, node.args)) else replace(node, args=args)
        if flexible(node):
            whole = node.operation.uncut([arg.shape for arg in node.args])
            pieces = self.pieces(node, [a for a in range(len(node.shape)) if a not in whole])
            fresh = replace(fresh, set_chunks=pieces)
        return fresh

    def pieces(self, node: Node, axes: Sequence[int]) -> Chunks:
        """Cut the blocks of a node along some axes so that an item costs no more than its share."""
        block = [max(sizes, default=1) for sizes in node.chunks]
        fixed = math.prod(size for axis, size in enumerate(block) if axis not in axes)
        element = -(-self.cost // max(math.prod(block), 1))
        fitting = auto_chunks([block[axis] for axis in axes], element * fixed, target=self.share)
        for axis, sizes in zip(axes, fitting, strict=True):
            block[axis] = max(sizes)
        return refine(node.chunks, [max(size, 1) for size in block]) if axes else node.chunks

    def reduction(self, node: ReduceNode) -> ReduceNode:
        if id(node) not in self.reduced:
            source = node.source
            pieces = source.chunks
            if isinstance(source, OpNode):
                fresh: Node = self.operation(source)
                if flexible(source) and not even(source):
                    cut = leaves_of(source, node.reduction).chunks
                    fresh = replace(fresh, set_chunks=cut, whole=source.chunks)  # type: ignore[type-var]
                self.reduced[id(node)] = replace(node, source=fresh)
                return self.reduced[id(node)]
            if isinstance(source, (MapNode, PickNode)):
                axes, leaves = splittable_axes(source), leaves_of(source, node.reduction)
                pieces = tuple(
                    leaves.chunks[axis] if axis in axes else sizes
                    for axis, sizes in enumerate(source.chunks)
                )
            self.reduced[id(node)] = replace(node, source=self.cut(source, pieces))
        return self.reduced[id(node)]

    def cut(self, node: Node, pieces: Chunks) -> Node:
        """Give a node another grid, a refinement of its own, and all below it what follows."""
        if isinstance(node, ReduceNode):
            return self.reduction(node)
        if isinstance(node, PickNode):
            call = self.cut(node.call, pieces)
            assert isinstance(call, MapNode)
            return PickNode(call, node.output)
        if not isinstance(node, MapNode):
            return node
        key = id(node), pieces
        if key not in self.known:
            plan = _recut(node.plan, pieces)
            inputs = iter(plan.inputs)
            args = tuple(
                self.cut(arg, next(inputs)) if isinstance(arg, Node) else arg for arg in node.args
            )
            self.known[key] = replace(node, args=args, plan=plan, whole=node.chunks)
        return self.known[key]


def _recut(plan: MapPlan, pieces: Chunks) -> MapPlan:
    """The plan for pieces of blocks; an input of extent 1 now serves several."""
    inputs, axes = [], []
    for sizes, picks in zip(plan.inputs, plan.axes, strict=True):
        own, codes = list(sizes), list(picks)
        for p, axis in enumerate(picks):
            if axis < 0 or pieces[axis] == plan.chunks[axis]:
                continue
            if sizes[p] == plan.chunks[axis]:
                own[p] = pieces[axis]
            else:
                codes[p] = FIRST
        inputs.append(tuple(own))
        axes.append(tuple(codes))
    return MapPlan(pieces, plan.shape, tuple(inputs), tuple(axes))
