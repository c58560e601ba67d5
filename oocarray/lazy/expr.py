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
from .blockmap import MapPlan
from .blockmap import Operand as Cut
from .node import KeptNode, MemoryNode, Node, StoredNode, postorder
from .operated import OpNode

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

    replan: Callable[..., tuple[MapPlan, tuple[int, ...]]] | None = None
    """Makes the plan anew, when extents of arguments that were not known have become so."""

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
        plan = self.plan
        unknown = any(
            math.isnan(size) for cut in plan.inputs for sizes in cut for size in sizes[:1]
        )
        if self.replan is not None and unknown:
            # What was a block of unknown size when this was built has its own blocks now.
            plan, _ = self.replan([cut_of(child) for child in children])
        return replace(self, args=args, plan=plan)


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
    def result_shape(self) -> tuple[int, ...]:
        """What it is made of leaves now, as far as that is known."""
        if self.source.dtypes is None:
            return self.shape
        return _result_shape(self.make, self.source.shape, self.source.dtypes[0])

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
        if self.set_chunks is not None:
            return self.set_chunks
        if any(map(math.isnan, self.shape)):
            return tuple((extent,) for extent in self.shape)
        return auto_chunks(self.shape, 8)


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


def _uncounted(node: Node) -> bool:
    return any(map(math.isnan, node.shape))


def whole_chunks(node: Node) -> Chunks:
    """The blocks of a node as the caller knows them, even where a run cuts them finer."""
    call = node.call if isinstance(node, PickNode) else node
    whole = call.whole if isinstance(call, MapNode | OpNode) else None
    return node.chunks if whole is None else whole


def cut_of(node: Node) -> Cut:
    """What `plan_map` needs to know of a node."""
    itemsize = node.dtypes[0].itemsize if node.dtypes is not None else 8
    order: Any = node.order
    # Blocks of unknown size are matched by position.
    free = node.free and not _uncounted(node)
    return Cut(node.shape, node.chunks, free, itemsize, order)
