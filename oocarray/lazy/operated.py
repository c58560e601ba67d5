"""Nodes that operations make; what they are follows from their arguments, in loops, never deep.

A script may build an expression of thousands of nodes, one upon the other: nothing here goes
down such a chain by recursion.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..chunking import auto_chunks
from ..grid import Chunks
from ..operations.base import Operation
from .node import Learnt, Node, postorder

__all__ = ["OpNode"]

_FEW = 16
"""Blocks need not shrink with every array that is read beside so many."""


def _followed(name: str, tell: Callable[[OpNode, list[Any]], Any]) -> Any:
    """A property that follows from what the arguments have under the same name.

    It is kept: for good once shape and dtype of the node are known.
    """
    key = f"_{name}"

    def get(self: OpNode) -> Any:
        known = vars(self).get(key)
        if known is not None and known[1] in (None, Learnt.times):
            return known[0]
        values: dict[int, Any] = {}
        for node in postorder(self, lambda node: not _known(node, key)):
            if not isinstance(node, OpNode) or _known(node, key):
                values[id(node)] = getattr(node, name)
                continue
            value = tell(node, [values[id(arg)] for arg in node.args])
            shape = value if name == "shape" else node.shape
            unknown = not node.lasting or any(map(math.isnan, shape))
            if name in ("dtypes", "grain"):
                unknown |= (value if name == "dtypes" else node.dtypes) is None
            # What may still be learnt is kept until something is.
            vars(node)[key] = value, Learnt.times if unknown else None
            values[id(node)] = value
        return values[id(self)]

    return property(get, doc=tell.__doc__)


def _known(node: Node, key: str) -> bool:
    known = vars(node).get(key)
    return isinstance(node, OpNode) and known is not None and known[1] in (None, Learnt.times)


def _shape(node: OpNode, given: list[Any]) -> tuple[int, ...]:
    """Extents; nan where an argument's are not known yet."""
    return tuple(node.operation.shape(given))


def _dtypes(node: OpNode, given: list[Any]) -> Any:
    """One dtype; None while that of an argument is not known."""
    if any(dtypes is None for dtypes in given):
        return None
    return (node.operation.dtype([dtypes[0] for dtypes in given]),)


def _order(node: OpNode, given: list[Any]) -> str:
    shape = node.shape
    if not shape:
        return "C"
    same = {order for order, arg in zip(given, node.args, strict=True) if arg.shape == shape}
    return "F" if same == {"F"} else "C"


def _inputs(node: OpNode, given: list[Any]) -> tuple[tuple[int, int], ...]:
    """What is read that has the node's shape, by id, and its bytes per element; a few of them."""
    shape = node.shape
    found: dict[int, int] = {}
    for inputs, arg in zip(given, node.args, strict=True):
        if arg.shape == shape:
            found.update(inputs if isinstance(arg, OpNode) else {id(arg): arg.grain})
    return tuple(found.items())[:_FEW]


def _grain(node: OpNode, given: list[Any]) -> int:
    """As of any node; of all that is read together."""
    own = 8 if node.dtypes is None else max(node.dtypes[0].itemsize, 1)
    grain: int = max(own, sum(size for _, size in node.inputs))
    return grain


def _set_cuts(node: OpNode, given: list[Any]) -> Chunks | None:
    """The blocks that were set, for this node or for what it is made of; None: free."""
    if node.set_chunks is not None:
        return node.set_chunks
    if all(chunks is None for chunks in given) and not node.operation.uneven:
        return None
    found = node.operation.chunks(given, [arg.shape for arg in node.args])
    return None if found is None else node._uncut(found)


@dataclass(eq=False)
class OpNode(Node):
    """An operation of ours on other nodes."""

    operation: Operation
    args: tuple[Node, ...]
    set_chunks: Chunks | None = None
    whole: Chunks | None = None
    """The blocks before they were cut finer; leaves of reductions follow from these."""

    def __post_init__(self) -> None:
        self.lasting = all(arg.lasting for arg in self.args)
        self.built: tuple[tuple[int, ...], ...] | None = None
        if not self.lasting and not self.operation.pointwise:
            # What the operation was built for: its record may go by these extents.
            self.built = tuple(arg.shape for arg in self.args)

    shape = _followed("shape", _shape)
    dtypes = _followed("dtypes", _dtypes)
    order = _followed("order", _order)
    inputs = _followed("inputs", _inputs)
    grain = _followed("grain", _grain)
    set_cuts = _followed("set_cuts", _set_cuts)

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.operation.name

    @property
    def whole_first(self) -> bool:  # type: ignore[override]
        return self.operation.apart

    @property
    def children(self) -> tuple[Node, ...]:
        return self.args

    def with_children(self, children: tuple[Node, ...]) -> OpNode:
        return OpNode(self.operation, children, self.set_chunks, self.whole)

    @property
    def free(self) -> bool:
        return self.set_cuts is None

    @property
    def chunks(self) -> Chunks:
        known: Chunks | None = vars(self).get("_chunks")
        if known is None:
            shape = self.shape
            known = self.set_cuts
            if known is None and any(map(math.isnan, shape)):
                return tuple((extent,) for extent in shape)
            if known is None:
                known = self._uncut(auto_chunks(shape, self.grain, self.order))
            if self.lasting and not any(map(math.isnan, shape)):
                vars(self)["_chunks"] = known
        return known

    def _uncut(self, chunks: Chunks) -> Chunks:
        """The same blocks, joined along the axes that are made in one piece."""
        axes = self.operation.uncut([arg.shape for arg in self.args])
        if not axes:
            return chunks
        shape = self.shape
        row = math.prod(shape[axis] for axis in axes)
        others = [axis for axis in range(len(chunks)) if axis not in axes]
        fresh = auto_chunks([shape[axis] for axis in others], self.grain * max(row, 1))
        cuts: dict[int, tuple[int, ...]] = dict(zip(others, fresh, strict=True))
        return tuple(cuts.get(axis, (shape[axis],)) for axis in range(len(chunks)))

    def __getstate__(self) -> dict[str, Any]:
        kept = ("operation", "args", "set_chunks", "whole", "lasting", "built")
        return {name: vars(self)[name] for name in kept}
