"""Computes what must be known before a node's own pass: keyword arrays, reductions inside it."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import numpy as np

from ..lazy.expr import KeptNode, MapNode, MemoryNode, Node, PickNode, ReduceNode, StoredNode
from ..lazy.graph import Root
from ..plan import Options
from ..storage.files import open_regular

__all__ = ["Settling", "with_reductions_done"]

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


class Settling:
    """Copies of nodes for one evaluation, with whole arrays as keyword arguments, as in dask.

    The nodes stay as they are: a later evaluation looks at their files again.

    Parameters
    ----------
    options : Options
        For what must be computed.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        # With the node itself, so that no other gets its id meanwhile.
        self._copies: dict[int, tuple[Node, Node]] = {}
        self._arrays: dict[int, tuple[Node, Array]] = {}

    def __call__(self, node: Node) -> Node:
        """Return the node to be made; what is shared by several is shared by their copies.

        Raises
        ------
        InputChangedError, TruncatedFileError
            The file of a keyword argument is no longer what was opened.
        """
        known = self._copies.get(id(node))
        if known is None:
            known = self._copies[id(node)] = node, self._settled(node)
        return known[1]

    def hand_back(self) -> None:
        """Tell the nodes which dtypes have been learnt with their copies."""
        for node, copy in self._copies.values():
            if isinstance(node, MapNode) and isinstance(copy, MapNode) and node.dtypes is None:
                node.dtypes = copy.dtypes

    def _settled(self, node: Node) -> Node:
        if isinstance(node, ReduceNode):
            source = self(node.source)
            return node if source is node.source else replace(node, source=source)
        if isinstance(node, PickNode):
            call = self(node.call)
            assert isinstance(call, MapNode)
            return node if call is node.call else PickNode(call, node.output)
        if not isinstance(node, MapNode):
            return node
        args = tuple(self(arg) if isinstance(arg, Node) else arg for arg in node.args)
        values = node.kwargs.values()
        kwargs = {
            name: self._whole(value) if isinstance(value, Node) else value
            for name, value in node.kwargs.items()
        }
        same = all(map(operator.is_, args, node.args))
        if same and all(map(operator.is_, kwargs.values(), values)):
            return node
        return replace(node, args=args, kwargs=kwargs)

    def _whole(self, node: Node) -> Array:
        known = self._arrays.get(id(node))
        if known is None:
            known = self._arrays[id(node)] = node, _array_of(node, self._options)
        return known[1]


def _array_of(node: Node, options: Options) -> Array:
    if isinstance(node, (MemoryNode, KeptNode)):
        return node.array
    if isinstance(node, StoredNode) and node.source.contiguous == "C" and node.source.size:
        # By reference: workers map the file themselves.
        source = node.source
        with open(source.file.path, "rb", opener=_regular) as stream:
            source.file.check_open(stream.fileno())
            return np.memmap(stream, source.dtype, "r", source.offset, source.shape)
    (result,) = _evaluate(node, options)
    return result


def _regular(path: str, flags: int) -> int:
    return open_regular(path)


def _evaluate(node: Node, options: Options) -> list[Array]:
    from .mapped import evaluate  # which settles first: the two call each other

    return evaluate([Root(node)], options)
