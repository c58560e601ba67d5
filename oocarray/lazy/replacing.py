"""Tells whether a value is made of the elements that it is to replace; it writes nothing."""

from __future__ import annotations

from dataclasses import replace

from ..storage.layout import Strided
from ..storage.tiled import Tiled
from .expr import MapNode
from .node import Node, StoredNode, postorder, remade

__all__ = ["reads_elsewhere", "replaced_by", "replaces"]


def replaces(node: Node, target: Strided | Tiled) -> bool | None:
    """Whether a value is made of the very elements that it replaces; None: of others beside them.

    Only what is read in the pass that writes counts.
    """
    touched = _touched(node, target)
    calls = [
        one for one in postorder(node, lambda n: not n.whole_first) if isinstance(one, MapNode)
    ]
    if any(_takes(call, target) for call in calls):
        return None  # keyword arguments are read as a whole
    if not touched:
        return False
    same = _same(touched, target)
    # A kernel fills the pages that it reads. What a function returns may be a view of its block:
    # copied at once that does no harm, but operations above it write piece by piece.
    plain = not calls or (len(calls) == 1 and calls[0] is node and calls[0].form == "block")
    return True if same and plain else None


def reads_elsewhere(node: Node, target: Strided | Tiled) -> bool:
    """Whether the pass that writes reads bytes of the target for other elements of the value."""
    return not _same(_touched(node, target), target)


def replaced_by(node: Node, target: Strided | Tiled) -> Node:
    """The same value, with what it replaces called by one name: files may be opened many times."""
    made: dict[int, Node] = {}
    for one in postorder(node):
        if isinstance(one, StoredNode) and one.source.same_elements(target):
            fresh: Node = one
            if one.source.dtype == target.dtype:
                fresh = replace(one, source=target)
            made[id(one)] = fresh
        else:
            made[id(one)] = remade(one, [made[id(child)] for child in one.children])
    return made[id(node)]


def _touched(node: Node, target: Strided | Tiled) -> list[StoredNode]:
    """What the pass that writes reads of the target's file."""
    inner = postorder(node, lambda one: not one.whole_first)
    return [one for one in inner if isinstance(one, StoredNode) and one.source.overlaps(target)]


def _same(touched: list[StoredNode], target: Strided | Tiled) -> bool:
    return all(
        one.source.same_elements(target) and one.source.dtype == target.dtype for one in touched
    )


def _takes(call: MapNode, target: Strided | Tiled) -> bool:
    return any(
        isinstance(below, StoredNode) and below.source.overlaps(target)
        for value in call.kwargs.values()
        if isinstance(value, Node)
        for below in postorder(value)
    )
