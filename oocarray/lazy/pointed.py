"""Selections by positions that are still to be computed: they are, before the selection's pass."""

from __future__ import annotations

import math
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
        one, two = (_shape(array, key, extent) for extent in (1, 2))
        # An extent that is not known yet shows itself by changing with what stands for it.
        shape: Any = tuple(a if a == b else math.nan for a, b in zip(one, two, strict=True))
        return cls(array, key, shape)

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
        if any(map(math.isnan, self.shape)):
            return tuple((extent,) for extent in self.shape)
        return auto_chunks(self.shape, self.grain)


def _shape(array: Node, key: tuple[Any, ...], unknown: int) -> tuple[int, ...]:
    """The shape of a selection, with an extent in place of those that are not known yet."""

    def known(shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(unknown if extent != extent else extent for extent in shape)

    # One element stands for all: what the shape depends on is known.
    dummies = [
        np.broadcast_to(np.zeros((), np.intp), known(part.shape))
        if isinstance(part, Node)
        else part
        for part in key
    ]
    shape = known(array.shape)
    if 0 in shape:
        return point_index(tuple(dummies), shape).shape([shape])
    found: tuple[int, ...] = np.broadcast_to(np.zeros((), bool), shape)[tuple(dummies)].shape
    return found


def pointed(node: PointedNode, compute: Callable[[Node], NDArray[Any]]) -> OpNode:
    """The same selection, with positions in place of the nodes that make them.

    Raises
    ------
    IndexError
        A position is out of bounds.
    """
    key = tuple(compute(part) if isinstance(part, Node) else part for part in node.key)
    return OpNode(point_index(key, node.array.shape), (node.array,))
