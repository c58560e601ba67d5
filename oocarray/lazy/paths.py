"""Finds how the items of a stage lead to what operations read; arithmetic of graphs, no plans."""

from __future__ import annotations

from collections.abc import Sequence

from ..plan import Gather, Through
from .expr import OpNode
from .node import Node

__all__ = ["Paths"]


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
