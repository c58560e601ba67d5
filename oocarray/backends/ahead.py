"""Tells what must be computed before a plan can be made, and what can be planned; computes none.

It goes through nodes as `Settling` does, and stops where that would compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

from ..lazy.counted import CountedNode, counted
from ..lazy.expr import KeptNode, MapNode, MemoryNode, Node, StoredNode
from ..lazy.graph import Root
from ..lazy.node import is_run, postorder, remade
from ..lazy.pointed import PointedNode

__all__ = ["Ahead"]


class Ahead:
    """What evaluating some roots would do before their own run, and after.

    Parameters
    ----------
    roots : sequence of Root

    Attributes
    ----------
    before : list of (str, Node)
        What is to be computed in runs of its own, first to last, and what for.
    ready : list of Root
        Those that can be planned now, with what is known already in place of what was counted.
    after : list of str
        What cannot be planned until the runs before are over.
    """

    def __init__(self, roots: Sequence[Root]) -> None:
        self.before: list[tuple[str, Node]] = []
        self.ready: list[Root] = []
        self.after: list[str] = []
        # With the node itself, so that no other gets its id meanwhile; None: not known yet.
        self._copies: dict[int, tuple[Node, Node | None]] = {}
        for root in roots:
            node = self._look(root.node)
            if node is not None:
                self.ready.append(replace(root, node=node))
            elif not isinstance(root.node, (CountedNode, PointedNode)):
                self.after.append(f"{root.node.name}, planned when the size of all is known")

    def hand_back(self) -> None:
        """Tell the nodes which dtypes have been learnt with their copies."""
        for node, copy in self._copies.values():
            if isinstance(node, MapNode) and isinstance(copy, MapNode) and node.dtypes is None:
                node.dtypes = copy.dtypes

    def _look(self, node: Node) -> Node | None:
        for one in postorder(node, lambda one: id(one) not in self._copies):
            if id(one) not in self._copies:
                self._copies[id(one)] = one, self._known(one)
        return self._copies[id(node)][1]

    def _known(self, node: Node) -> Node | None:
        """The node as it can be planned, or None."""
        if isinstance(node, MapNode):
            for name, value in node.kwargs.items():
                if isinstance(value, Node):
                    self._need(f"{name}= of {node.name}", value)
        children: list[Node] = []
        for child in node.children:
            copy = self._copies[id(child)][1]
            if copy is not None:
                children.append(copy)
        if len(children) < len(node.children):
            if isinstance(node, (CountedNode, PointedNode)):
                self.after.append(_unsized(node))
            return None
        fresh = remade(node, children)
        if isinstance(fresh, CountedNode):
            return self._counted(fresh)
        if isinstance(fresh, PointedNode):
            for part in fresh.key:
                if isinstance(part, Node):
                    self._need(f"positions of {node.name}", part)
            self.after.append(_unsized(fresh))
            return None
        return fresh

    def _counted(self, node: CountedNode) -> Node | None:
        try:
            return counted(node, _stop)
        except _Wanted as wanted:
            self.before.append((f"count of the mask of {node.name}", wanted.node))
            self.after.append(_unsized(node))
        except IndexError as error:
            self.after.append(f"refused: {error}")
        return None

    def _need(self, why: str, value: Node) -> None:
        """Something that is wanted whole, computed unless it is there."""
        if isinstance(value, (MemoryNode, KeptNode)):
            return
        if isinstance(value, StoredNode) and is_run(value.source):
            return
        copy = self._look(value)
        if copy is not None:
            self.before.append((why, copy))


def _unsized(node: Any) -> str:
    if isinstance(node, PointedNode):
        return f"{node.name} {node.shape}, planned when its positions are known"
    return f"{node.name} {node.shape}, its size known after the count"


class _Wanted(Exception):
    """Carries what would be computed out of what would compute it."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.name)
        self.node = node


def _stop(node: Node) -> NoReturn:
    raise _Wanted(node)
