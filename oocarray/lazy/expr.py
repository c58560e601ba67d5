"""What a user has asked for, as a graph of nodes; building one reads no data and calls no function.

Every node has a shape and a grid.  Dtypes of block functions may be unknown until somebody
needs them: then they are learnt from block 0, once, and kept in the node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from ..chunking import auto_chunks
from ..grid import Chunks
from ..operations.base import Operation
from .blockmap import MapPlan
from .blockmap import Operand as Cut
from .node import KeptNode, MemoryNode, Node, StoredNode, postorder

__all__ = [
    "KeptNode",
    "MapNode",
    "MemoryNode",
    "Node",
    "OpNode",
    "PickNode",
    "ReduceNode",
    "StoredNode",
    "cut_of",
    "whole_chunks",
]


@dataclass(eq=False)
class MapNode(Node):
    """A user's function on blocks."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    """Nodes and literals, in the order of the call."""
    kwargs: Mapping[str, Any]
    plan: MapPlan
    dtypes: tuple[np.dtype[Any], ...] | None
    """None: not known yet, to be learnt from block 0."""
    nout: int = 1
    form: str = "block"
    name: str = "function"
    wants: tuple[str, ...] = ()
    apart: tuple[int, ...] = ()
    """Output axes with one element per block, which the function's own blocks do not have."""
    splittable: bool = False
    """Whether the function is elementwise, so that blocks may be cut finer."""
    whole: Chunks | None = None
    """The blocks before they were cut finer; leaves of reductions follow from these."""

    free = False
    order = "C"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.plan.shape

    @property
    def chunks(self) -> Chunks:
        return self.plan.chunks

    @property
    def children(self) -> tuple[Node, ...]:
        return tuple(arg for arg in self.args if isinstance(arg, Node))

    def with_children(self, children: tuple[Node, ...]) -> MapNode:
        fresh = iter(children)
        args = tuple(next(fresh) if isinstance(arg, Node) else arg for arg in self.args)
        return replace(self, args=args)


@dataclass(eq=False)
class PickNode(Node):
    """One of the outputs of a function that has several."""

    call: MapNode
    output: int

    free = False
    order = "C"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.call.shape

    @property
    def chunks(self) -> Chunks:
        return self.call.chunks

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...] | None:
        return None if self.call.dtypes is None else (self.call.dtypes[self.output],)

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.call.name

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.call,)

    def with_children(self, children: tuple[Node, ...]) -> PickNode:
        (call,) = children
        assert isinstance(call, MapNode)
        return PickNode(call, self.output)


@dataclass(eq=False)
class OpNode(Node):
    """An operation of ours on other nodes."""

    operation: Operation
    args: tuple[Node, ...]
    set_chunks: Chunks | None = None

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
        return OpNode(self.operation, children, self.set_chunks)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents; nan where an argument's are not known yet."""
        known: tuple[int, ...] | None = vars(self).get("_shape")
        if known is None:
            known = tuple(self.operation.shape([arg.shape for arg in self.args]))
            if not any(map(math.isnan, known)):
                vars(self)["_shape"] = known
        return known

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...] | None:
        known: tuple[np.dtype[Any], ...] | None = vars(self).get("_dtypes")
        if known is None:
            given = [arg.dtypes for arg in self.args]
            if any(dtypes is None for dtypes in given):
                return None
            known = (self.operation.dtype([dtypes[0] for dtypes in given if dtypes]),)
            vars(self)["_dtypes"] = known
        return known

    @cached_property
    def free(self) -> bool:
        return self._cuts is None

    @cached_property
    def order(self) -> str:
        same = [arg.order for arg in self.args if arg.shape == self.shape and arg.shape]
        return "F" if same and set(same) == {"F"} else "C"

    @cached_property
    def grain(self) -> int:
        """As of its base; of arguments of the same shape, those of all of them together."""
        given = [arg.grain for arg in self.args if arg.shape == self.shape]
        return max(super().grain, min(sum(given), 4 * max(given, default=0)))

    @property
    def chunks(self) -> Chunks:
        known: Chunks | None = vars(self).get("_chunks")
        if known is None:
            known = self._cuts
            if known is None:
                known = auto_chunks(self.shape, self.grain, self.order)  # type: ignore[arg-type]
            known = known if self.set_chunks is not None else self._uncut(known)
            if not any(map(math.isnan, self.shape)):
                vars(self)["_chunks"] = known
        return known

    @property
    def _cuts(self) -> Chunks | None:
        """The blocks that were set, for this node or for what it is made of."""
        if self.set_chunks is not None:
            return self.set_chunks
        given = [None if arg.free else arg.chunks for arg in self.args]
        if all(chunks is None for chunks in given) and not self.operation.uneven:
            return None
        return self.operation.chunks(given, [arg.shape for arg in self.args])

    def _uncut(self, chunks: Chunks) -> Chunks:
        """The same blocks, joined along the axes that are made in one piece."""
        axes = self.operation.uncut([arg.shape for arg in self.args])
        if not axes:
            return chunks
        row = math.prod(self.shape[axis] for axis in axes)
        others = [axis for axis in range(len(chunks)) if axis not in axes]
        fresh = auto_chunks([self.shape[axis] for axis in others], self.grain * max(row, 1))
        cuts: dict[int, tuple[int, ...]] = dict(zip(others, fresh, strict=True))
        return tuple(cuts.get(axis, (self.shape[axis],)) for axis in range(len(chunks)))

    def __getstate__(self) -> dict[str, Any]:
        return {"operation": self.operation, "args": self.args, "set_chunks": self.set_chunks}


@dataclass(eq=False)
class ReduceNode(Node):
    """A reduction of another node; `make` builds its record once the source's dtype is known."""

    source: Node
    make: Callable[[tuple[int, ...], np.dtype[Any]], Any]
    shape: tuple[int, ...]
    name: str
    set_chunks: Chunks | None = None

    order = "C"
    whole_first = True

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.source,)

    def with_children(self, children: tuple[Node, ...]) -> ReduceNode:
        source = children[0]
        if not any(map(math.isnan, self.shape)) or source.dtypes is None:
            return replace(self, source=source)
        return replace(
            self, source=source, shape=_result_shape(self.make, source.shape, source.dtypes[0])
        )

    @classmethod
    def of(cls, source: Node, name: str, **parameters: Any) -> ReduceNode:
        """One of the built-in reductions.

        Raises
        ------
        ValueError, TypeError
            As NumPy does for a wrong axis, or a dtype that cannot be reduced, as far as known.
        """

        make = partial(_make_reduction, name, {"order": source.order, **parameters})
        dtype = source.dtypes[0] if source.dtypes is not None else np.dtype(np.float64)
        if any(map(math.isnan, source.shape)) and any(
            isinstance(below, MapNode) and not below.plan.known for below in postorder(source)
        ):
            raise ValueError(
                f"{name}: the shape of the array is not known: {source.shape}; give map_blocks "
                "the sizes in chunks=, or call compute_chunk_sizes()"
            )
        return cls(source, make, _result_shape(make, source.shape, dtype), name)

    @property
    def free(self) -> bool:
        return self.set_chunks is None

    @cached_property
    def reduction(self) -> Any:
        """The record of `oocarray.leaves`; the source's dtype must be known."""
        assert self.source.dtypes is not None
        return self.make(self.source.shape, self.source.dtypes[0])

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...] | None:
        if self.source.dtypes is None:
            return None
        if any(map(math.isnan, self.source.shape)):
            return (self.make(_stand_in(self.source.shape), self.source.dtypes[0]).out_dtype,)
        return (self.reduction.out_dtype,)

    @property
    def chunks(self) -> Chunks:
        return auto_chunks(self.shape, 8) if self.set_chunks is None else self.set_chunks


def _stand_in(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape in place of one that is not known yet."""
    return tuple(1 if math.isnan(extent) else extent for extent in shape)


def _result_shape(make: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Extents that a reduction leaves; nan where the source's are nan."""
    known: tuple[int, ...] = make(_stand_in(shape), dtype).result_shape
    if not any(map(math.isnan, shape)):
        return make(shape, dtype).result_shape  # type: ignore[no-any-return]
    # An extent that is left shows itself by changing with the source's.
    other = make(tuple(2 if math.isnan(extent) else extent for extent in shape), dtype)
    return tuple(
        math.nan if one != two else one  # type: ignore[misc]
        for one, two in zip(known, other.result_shape, strict=True)
    )


def _make_reduction(
    name: str, parameters: Mapping[str, Any], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Any:
    from ..leaves import make_reduction

    return make_reduction(name, shape, dtype, **parameters)


def whole_chunks(node: Node) -> Chunks:
    """The blocks of a node as the caller knows them, even where a run cuts them finer."""
    call = node.call if isinstance(node, PickNode) else node
    whole = call.whole if isinstance(call, MapNode) else None
    return node.chunks if whole is None else whole


def cut_of(node: Node) -> Cut:
    """What `plan_map` needs to know of a node."""
    itemsize = node.dtypes[0].itemsize if node.dtypes is not None else 8
    order: Any = node.order
    return Cut(node.shape, node.chunks, node.free, itemsize, order)
