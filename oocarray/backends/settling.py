"""Computes what must be known before a node's own pass: keyword arrays, reductions inside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..lazy.expr import KeptNode, MapNode, MemoryNode, Node, PickNode, ReduceNode, StoredNode
from ..lazy.graph import Root
from ..plan import Options

__all__ = ["settle_keywords", "with_reductions_done"]

Array = np.ndarray[Any, Any]


def with_reductions_done(node: Node, options: Options) -> Node:
    """The node with values in place of the reductions that it is made of."""
    if isinstance(node, ReduceNode):
        (result,) = _evaluate(node, options)
        return MemoryNode(result)
    if isinstance(node, PickNode):
        call = with_reductions_done(node.call, options)
        assert isinstance(call, MapNode)
        return PickNode(call, node.output)
    if isinstance(node, MapNode):
        args = tuple(
            with_reductions_done(arg, options) if isinstance(arg, Node) else arg
            for arg in node.args
        )
        return replace(node, args=args)
    return node


def settle_keywords(node: Node, options: Options) -> None:
    """Give keyword arguments that are arrays their whole value, as dask does."""
    if isinstance(node, ReduceNode):
        settle_keywords(node.source, options)
    elif isinstance(node, PickNode):
        settle_keywords(node.call, options)
    elif isinstance(node, MapNode):
        for child in node.nodes:
            settle_keywords(child, options)
        if any(isinstance(value, Node) for value in node.kwargs.values()):
            node.kwargs = {
                name: _whole(value, options) if isinstance(value, Node) else value
                for name, value in node.kwargs.items()
            }


def _whole(node: Node, options: Options) -> Array:
    if isinstance(node, (MemoryNode, KeptNode)):
        return node.array
    if isinstance(node, StoredNode) and node.source.contiguous == "C" and node.source.size:
        # By reference: workers map the file themselves.
        source = node.source
        return np.memmap(source.file.path, source.dtype, "r", source.offset, source.shape)
    (result,) = _evaluate(node, options)
    return result


def _evaluate(node: Node, options: Options) -> list[Array]:
    from .mapped import evaluate  # which settles first: the two call each other

    return evaluate([Root(node)], options)
