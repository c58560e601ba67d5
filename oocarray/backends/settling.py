"""Computes what must be known before a node's own pass: keyword arrays, reductions inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import InputChangedError
from ..lazy.counted import CountedNode, counted
from ..lazy.expr import KeptNode, MapNode, MemoryNode, Node, OpNode, ReduceNode, StoredNode
from ..lazy.graph import Root
from ..lazy.identity import identity
from ..lazy.node import Learnt, is_run, postorder, remade
from ..lazy.pointed import PointedNode, pointed
from ..plan import Options
from ..storage.files import open_regular
from ..storage.layout import Strided

__all__ = ["Settling", "with_reductions_done"]

Array = np.ndarray[Any, Any]


def with_reductions_done(node: Node, options: Options) -> Node:
    """The node with values in place of what must be made before it: reductions, say."""
    made: dict[int, Node] = {}
    for one in postorder(node, lambda node: not node.whole_first):
        if one.whole_first:
            (result,) = _evaluate(one, options)
            made[id(one)] = MemoryNode(result)
        else:
            made[id(one)] = remade(one, [made[id(child)] for child in one.children])
    return made[id(node)]


class Settling:
    """Copies of nodes for one evaluation, with whole arrays as keyword arguments, as in dask.

    The nodes stay as they are: a later evaluation looks at their files again.

    Parameters
    ----------
    options : Options
        For what must be computed.
    """

    def __init__(self, options: Options) -> None:
        # A mask or a position that could not be made is not to be left out or made up.
        self._options = replace(options, on_error="raise")
        # With the node itself, so that no other gets its id meanwhile.
        self._copies: dict[int, tuple[Node, Node]] = {}
        self._arrays: dict[int, tuple[Node, Array]] = {}
        self._same: dict[Any, Node] = {}
        self._selecting: set[int] = set()
        """Nodes whose extents, or those of what they are made of, follow from a selection."""

    def __call__(self, node: Node) -> Node:
        """Return the node to be made; what is the same in several is made once.

        Raises
        ------
        InputChangedError, TruncatedFileError
            The file of a keyword argument is no longer what was opened.
        """
        for one in postorder(node, lambda one: id(one) not in self._copies):
            if id(one) not in self._copies:
                self._copies[id(one)] = one, self._settled(one)
        return self._copies[id(node)][1]

    def hand_back(self) -> None:
        """Tell the nodes which dtypes have been learnt with their copies."""
        for node, copy in self._copies.values():
            if isinstance(node, MapNode) and isinstance(copy, MapNode) and node.dtypes is None:
                node.dtypes = copy.dtypes
                Learnt.times += 1

    def _settled(self, node: Node) -> Node:
        fresh = remade(node, [self._copies[id(child)][1] for child in node.children])
        if isinstance(node, OpNode) and node.built is not None:
            _check_extents(node, node.built, [child.shape for child in fresh.children])
        below = {id(child) for child in node.children}
        if isinstance(node, CountedNode) or not self._selecting.isdisjoint(below):
            self._selecting.add(id(node))
            if isinstance(node, MapNode | ReduceNode | PointedNode):
                _check_extents(node, *_extents(node, fresh))
        if isinstance(fresh, MapNode) and any(isinstance(v, Node) for v in fresh.kwargs.values()):
            kwargs = {
                name: self._whole(value) if isinstance(value, Node) else value
                for name, value in fresh.kwargs.items()
            }
            fresh = replace(fresh, kwargs=kwargs)
        if isinstance(fresh, CountedNode):
            # What it selects is counted now: the node that is made knows its extent.
            fresh = self(counted(fresh, self._array))
        elif isinstance(fresh, PointedNode):
            fresh = self(pointed(fresh, self._array))
        return self._same.setdefault(identity(fresh), fresh)

    def _whole(self, node: Node) -> Array:
        known = self._arrays.get(id(node))
        if known is None:
            known = self._arrays[id(node)] = node, self._array(node)
        return known[1]

    def _array(self, node: Node) -> Array:
        return _array_of(node, self._options)


def _extents(node: Node, fresh: Node) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Shapes that a node was built for, and what they are now."""
    if isinstance(node, MapNode):
        shapes = [child.shape for child in fresh.children]
        return [tuple(map(sum, cut)) for cut in node.plan.inputs], shapes
    if isinstance(node, PointedNode):
        assert isinstance(fresh, PointedNode)
        return [node.shape], [PointedNode.of(fresh.array, fresh.key).shape]
    assert isinstance(fresh, ReduceNode)
    return [node.shape], [fresh.result_shape]


def _check_extents(
    node: Node, built: Sequence[tuple[int, ...]], shapes: Sequence[tuple[int, ...]]
) -> None:
    """Refuse a node that was built for a selection that has changed since."""
    for before, now in zip(built, shapes, strict=True):
        known = not any(extent != extent for extent in before)
        if known and tuple(before) != tuple(now):
            raise InputChangedError(
                f"{node.name} was built for a selection of shape {before}, which has {now} since "
                "its files were written; select again"
            )


def _array_of(node: Node, options: Options) -> Array:
    if isinstance(node, (MemoryNode, KeptNode)):
        return node.array
    if isinstance(node, StoredNode) and is_run(node.source) and node.source.size:
        # By reference: workers map the file themselves.
        source = node.source
        assert isinstance(source, Strided)
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
