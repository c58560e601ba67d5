"""Selections by positions that are still to be computed: they are, before the selection's pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..chunking import auto_chunks
from ..grid import Chunks
from ..operations.indexing import point_index
from .expr import OpNode
from .node import Node

__all__ = ["PointedNode", "pointed"]


@dataclass(eq=False)
class PointedNode(Node):
    """The elements of `array` at the positions of a key, in which some arrays are nodes."""

    array: Node
    key: tuple[Any, ...]
    shape: tuple[int, ...]

    name = "take"
    free = True
    order = "C"

    @classmethod
    def of(cls, array: Node, key: tuple[Any, ...]) -> PointedNode:
        """Select from an array.

        Raises
        ------
        IndexError
            As NumPy, as far as shapes tell.
        """
        # One element stands for all: what the shape depends on is known.
        dummies = [
            np.broadcast_to(np.zeros((), np.intp), part.shape) if isinstance(part, Node) else part
            for part in key
        ]
        nowhere = np.broadcast_to(np.zeros((), bool), array.shape)
        if 0 in array.shape:
            return cls(array, key, point_index(tuple(dummies), array.shape).shape([array.shape]))
        return cls(array, key, nowhere[tuple(dummies)].shape)

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.array, *(part for part in self.key if isinstance(part, Node)))

    def with_children(self, children: tuple[Node, ...]) -> PointedNode:
        array, *others = children
        fresh = iter(others)
        key = tuple(next(fresh) if isinstance(part, Node) else part for part in self.key)
        return replace(self, array=array, key=key)

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...] | None:
        return self.array.dtypes

    @property
    def chunks(self) -> Chunks:
        return auto_chunks(self.shape, self.grain)


def pointed(node: PointedNode, compute: Callable[[Node], NDArray[Any]]) -> OpNode:
    """The same selection, with positions in place of the nodes that make them.

    Raises
    ------
    IndexError
        A position is out of bounds.
    """
    key = tuple(compute(part) if isinstance(part, Node) else part for part in node.key)
    return OpNode(point_index(key, node.array.shape), (node.array,))
