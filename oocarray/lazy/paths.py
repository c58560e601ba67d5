"""Finds how the items of a stage lead to what operations read; arithmetic of graphs, no plans."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..estimate import region_bytes
from ..grid import Grid
from ..plan import Gather, InMemory, Through
from ..walks import some
from .expr import OpNode
from .node import MemoryNode, Node, StoredNode, postorder

__all__ = ["Paths", "inner_nodes", "needed_bytes"]


class Paths:
    """The ways from a node down to what it is made of.

    Parameters
    ----------
    top : OpNode
    inner : sequence of Node
        It, and the operations below it that belong to the same pass, each after its arguments.
    start : Gather
        How an item finds its block of `top`.
    """

    def __init__(self, top: OpNode, inner: Sequence[Node], start: Gather) -> None:
        self._start = start
        self._order = list(reversed(inner))
        assert self._order[0] is top

    def to(self, leaf: Node) -> Gather | Through:
        """How an item finds what it needs of one of the nodes below all of them.

        The plain `Gather` where that is the item's own region, by whatever way.
        """
        leads = {id(leaf)}
        for node in reversed(self._order):
            if any(id(child) in leads for child in node.children):
                leads.add(id(node))
        numbers: dict[int, int] = {}
        for node in self._order:
            if id(node) in leads:
                numbers[id(node)] = len(numbers)
        numbers[id(leaf)] = len(numbers)
        steps = []
        plain = True
        for node in self._order:
            if id(node) not in leads:
                continue
            assert isinstance(node, OpNode)
            shapes = tuple(child.shape for child in node.args)
            parts = []
            for k, child in enumerate(node.args):
                if id(child) in numbers:
                    reach = node.operation.reach(k, shapes)
                    parts.append((numbers[id(child)], reach))
                    plain &= reach is None
            steps.append(tuple(dict.fromkeys(parts)))
        return self._start if plain else Through(self._start, (*steps, ()))


def inner_nodes(top: OpNode, made_before: Callable[[Node], bool]) -> list[Node]:
    """A node and the operations below it that belong to the same pass, each after its arguments."""

    def inside(node: Node) -> bool:
        return isinstance(node, OpNode) and (node is top or not made_before(node))

    return [node for node in postorder(top, inside) if inside(node)]


def needed_bytes(top: OpNode, grid: Grid) -> int:
    """The most that one of the blocks looked at needs of the arrays that are read."""
    inner = inner_nodes(top, lambda node: node.whole_first)
    paths = Paths(top, inner, Gather(grid, tuple(range(grid.ndim))))
    known = set(map(id, inner))
    leaves = {id(arg): arg for node in inner for arg in node.children if id(arg) not in known}
    some_blocks = [grid.region(coords) for coords in some(grid)[:16]]
    totals = [0] * len(some_blocks)
    for leaf in leaves.values():
        how = paths.to(leaf)
        if isinstance(how, Gather) or not isinstance(leaf, (StoredNode, MemoryNode)):
            continue
        source = leaf.source if isinstance(leaf, StoredNode) else InMemory(leaf.array)
        for number, region in enumerate(some_blocks):
            totals[number] += min(
                sum(region_bytes(source, part) for part in how.lead(region)), source.nbytes
            )
    return max(totals, default=0)
