"""Tells whether a value is made of the elements that it is to replace; it writes nothing."""

from __future__ import annotations

from ..storage.layout import Strided
from .expr import MapNode, PickNode
from .node import Node, StoredNode, postorder

__all__ = ["replaces"]


def replaces(node: Node, target: Strided) -> bool | None:
    """Whether a value is made of the very elements that it replaces; None: of others beside them.

    Only what is read in the pass that writes counts.
    """
    found = False
    for below in postorder(node, lambda one: not one.whole_first):
        if isinstance(below, StoredNode) and below.source.overlaps(target):
            if not below.source.same_elements(target):
                return None
            found = True
        call = below.call if isinstance(below, PickNode) else below
        if isinstance(call, MapNode) and (call.form != "block" or _takes(call, target)):
            # A kernel fills the pages that it reads; keyword arguments are read as a whole.
            return None
    return found


def _takes(call: MapNode, target: Strided) -> bool:
    return any(
        isinstance(below, StoredNode) and below.source.overlaps(target)
        for value in call.kwargs.values()
        if isinstance(value, Node)
        for below in postorder(value)
    )
