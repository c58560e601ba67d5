"""What a user has asked for, as a graph of nodes; building one reads no data and calls no function.

Every node has a shape and a grid.  Dtypes of block functions may be unknown until somebody
needs them: then they are learnt from block 0, once, and kept in the node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..chunking import auto_chunks
from ..grid import Chunks
from ..plan import Result
from ..storage.layout import Strided
from .blockmap import MapPlan
from .blockmap import Operand as Cut

__all__ = [
    "KeptNode",
    "MapNode",
    "MemoryNode",
    "Node",
    "PickNode",
    "ReduceNode",
    "StoredNode",
    "cut_of",
    "whole_chunks",
]


@dataclass(eq=False)
class StoredNode:
    """An array in a file."""

    source: Strided
    set_chunks: Chunks | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...] | None:
        return (self.source.dtype,)

    @property
    def free(self) -> bool:
        return self.set_chunks is None

    @property
    def order(self) -> str:
        return self.source.order

    @cached_property
    def chunks(self) -> Chunks:
        if self.set_chunks is not None:
            return self.set_chunks
        return auto_chunks(self.shape, self.source.itemsize, self.source.order)  # type: ignore[arg-type]


@dataclass(eq=False)
class KeptNode(StoredNode):
    """An array in shared memory of this process, which is there as long as `memory` is."""

    memory: Any = None
    """Has the bytes of the whole, from offset 0 on, as its C-contiguous `array`."""

    @property
    def array(self) -> NDArray[Any]:
        """The elements, where they are; read-only."""
        found = self.source.view(self.memory.array.reshape(-1).view(np.uint8), 0)
        found.flags.writeable = False
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        # By value: the memory is this process's.
        return MemoryNode, (self.array, self.set_chunks)


@dataclass(eq=False)
class MemoryNode:
    """An array in this process's memory."""

    array: NDArray[Any]
    set_chunks: Chunks | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...] | None:
        return (self.array.dtype,)

    @property
    def free(self) -> bool:
        return self.set_chunks is None

    @property
    def order(self) -> str:
        fortran = self.array.flags.f_contiguous and not self.array.flags.c_contiguous
        return "F" if fortran else "C"

    @cached_property
    def chunks(self) -> Chunks:
        if self.set_chunks is not None:
            return self.set_chunks
        return auto_chunks(self.shape, self.array.itemsize, self.order)  # type: ignore[arg-type]


@dataclass(eq=False)
class MapNode:
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
    def nodes(self) -> list[Node]:
        """The arguments that are arrays."""
        return [arg for arg in self.args if isinstance(arg, Node)]


@dataclass(eq=False)
class PickNode:
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


@dataclass(eq=False)
class ReduceNode:
    """A reduction of another node; `make` builds its record once the source's dtype is known."""

    source: Node
    make: Callable[[tuple[int, ...], np.dtype[Any]], Any]
    shape: tuple[int, ...]
    name: str
    set_chunks: Chunks | None = None

    order = "C"

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
        if any(map(math.isnan, source.shape)):
            raise ValueError(f"{name}: the shape of the array is not known: {source.shape}")
        return cls(source, make, make(source.shape, dtype).result_shape, name)

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
        return None if self.source.dtypes is None else (self.reduction.out_dtype,)

    @property
    def chunks(self) -> Chunks:
        return auto_chunks(self.shape, 8) if self.set_chunks is None else self.set_chunks

    def result(self, stage: int, write: int) -> Result:
        return Result(stage, write, self.shape, self.reduction.out_dtype)


def _make_reduction(
    name: str, parameters: Mapping[str, Any], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Any:
    from ..leaves import make_reduction

    return make_reduction(name, shape, dtype, **parameters)


Node = StoredNode | MemoryNode | MapNode | PickNode | ReduceNode


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
