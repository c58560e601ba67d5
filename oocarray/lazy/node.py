"""The nodes that are there already, in files or in memory, and what all nodes have in common."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..chunking import auto_chunks
from ..grid import Chunks
from ..storage.layout import Strided
from ..storage.tiled import Tiled

__all__ = [
    "KeptNode",
    "Learnt",
    "MemoryNode",
    "Node",
    "StoredNode",
    "is_run",
    "postorder",
    "remade",
]


class Learnt:
    """How often anything was learnt of a node: what was unknown before may be known since."""

    times = 0


class Node:
    """Base of all nodes; immutable, but for what is learnt."""

    name = "array"
    lasting = True
    """Whether its shape, once it is known, is known for good."""
    whole_first = False
    """Whether all of it must have been made before anything is made of it."""

    if TYPE_CHECKING:

        @property
        def shape(self) -> tuple[int, ...]: ...
        @property
        def chunks(self) -> Chunks: ...
        @property
        def free(self) -> bool: ...
        @property
        def order(self) -> str: ...
        @property
        def dtypes(self) -> tuple[np.dtype[Any], ...] | None: ...

    @property
    def children(self) -> tuple[Node, ...]:
        """The nodes that this one is made of."""
        return ()

    def with_children(self, children: tuple[Node, ...]) -> Node:
        """The same node made of others, in the order of `children`."""
        assert not children, self
        return self

    @property
    def set_cuts(self) -> Chunks | None:
        """The blocks that somebody set; None where they follow from the shape."""
        return None if self.free else self.chunks

    @property
    def inputs(self) -> tuple[tuple[int, int], ...]:
        """Of operations: what is read that has their shape, by id, and its bytes per element."""
        return ()

    @property
    def grain(self) -> int:
        """Bytes per element that a free block is measured by; of an expression, of all inputs."""
        return 8 if self.dtypes is None else max(self.dtypes[0].itemsize, 1)


@dataclass(eq=False)
class StoredNode(Node):
    """An array in a file, or in many."""

    source: Strided | Tiled
    set_chunks: Chunks | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...] | None:
        return (self.source.dtype,)

    @property
    def free(self) -> bool:
        # What lies in pieces is best had in whole ones.
        return self.set_chunks is None and isinstance(self.source, Strided)

    @property
    def order(self) -> str:
        return self.source.order

    @cached_property
    def chunks(self) -> Chunks:
        if self.set_chunks is not None:
            return self.set_chunks
        if isinstance(self.source, Tiled):
            return self.source.blocks()
        return auto_chunks(self.shape, self.source.itemsize, self.source.order)  # type: ignore[arg-type]


@dataclass(eq=False)
class KeptNode(StoredNode):
    """An array in shared memory of this process, which is there as long as `memory` is."""

    memory: Any = None
    """Has the bytes of the whole, from offset 0 on, as its C-contiguous `array`."""

    @property
    def array(self) -> NDArray[Any]:
        """The elements, where they are; read-only."""
        assert isinstance(self.source, Strided)
        found = self.source.view(self.memory.array.reshape(-1).view(np.uint8), 0)
        found.flags.writeable = False
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        # By value: the memory is this process's.
        return MemoryNode, (self.array, self.set_chunks)


@dataclass(eq=False)
class MemoryNode(Node):
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


def is_run(source: Strided | Tiled) -> bool:
    """Whether a stored array is one run of bytes in C order, which can be mapped as it is."""
    return isinstance(source, Strided) and source.contiguous == "C"


def postorder(node: Node, enter: Callable[[Node], bool] = lambda node: True) -> list[Node]:
    """A node and all it is made of, each once, after what it is made of.

    `enter` says below which nodes to look; below `node` itself in any case.
    """
    # A loop: expressions may be deeper than Python's stack.
    found: dict[int, Node] = {}
    waiting: list[tuple[Node, bool]] = [(node, False)]
    opened: set[int] = set()
    while waiting:
        one, ready = waiting.pop()
        if ready:
            found[id(one)] = one
        elif id(one) not in opened:
            opened.add(id(one))
            waiting.append((one, True))
            if one is node or enter(one):
                waiting += [(child, False) for child in reversed(one.children)]
    return list(found.values())


def remade(node: Node, children: Sequence[Node]) -> Node:
    """The same node made of others; itself, where they are what it is made of."""
    if all(map(operator.is_, children, node.children)):
        return node
    return node.with_children(tuple(children))
