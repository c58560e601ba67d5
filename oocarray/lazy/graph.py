"""Questions about nodes: what they need, read, are called; it changes none and plans nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ..grid import Chunks
from ..plan import InMemory
from ..storage.layout import Strided
from ..storage.tiled import Tiled
from .expr import MapNode, MemoryNode, Node, OpNode, PickNode, ReduceNode, StoredNode
from .node import postorder

__all__ = [
    "Root",
    "cuttable",
    "even",
    "flexible",
    "has_decoded",
    "itemsize_of",
    "label_of",
    "level_of",
    "nested_results",
    "ones_like",
    "own_level",
    "sizes_known",
    "sources_of",
]


@dataclass(eq=False)
class Root:
    """One thing that the caller wants made.

    Without `target` the result is kept in memory and returned.
    """

    node: Node
    target: Strided | Tiled | InMemory | None = None
    in_place: bool = False


def nested_results(node: Node) -> list[Node]:
    """What must have been made before `node` can be made, innermost first."""
    return [below for below in postorder(node) if below.whole_first and below is not node]


def own_level(node: Node) -> int:
    """How many passes must be over before this node's own can begin."""
    return level_of(node) - node.whole_first


def level_of(node: Node) -> int:
    """How many passes must be over before what is made of this node can be made with others."""
    known: dict[int, int] = {}
    for below in postorder(node):
        own = max((known[id(child)] for child in below.children), default=0)
        known[id(below)] = own + below.whole_first
    return known[id(node)]


def sources_of(node: Node) -> frozenset[int]:
    """The arrays that making this node reads in its own pass."""
    if isinstance(node, ReduceNode):
        return frozenset()
    found = [_own_source(below) for below in postorder(node, lambda n: not n.whole_first)]
    return frozenset().union(*found)


def _own_source(node: Node) -> frozenset[int]:
    if isinstance(node, StoredNode):
        return frozenset([hash((node.source.file.dev, node.source.file.ino))])
    if isinstance(node, MemoryNode):
        return frozenset([id(node.array)])
    return frozenset([id(node)] if isinstance(node, MapNode) else [])


def flexible(node: Node) -> bool:
    """Whether any region of a node can be made by itself: no user's function is under it."""
    if isinstance(node, ReduceNode):
        return True
    return not any(
        isinstance(below, (MapNode, PickNode))
        for below in postorder(node, lambda n: not n.whole_first)
    )


def cuttable(node: Node) -> bool:
    """Whether parts of blocks can be made for the price of a part: nothing is decoded for them."""
    return flexible(node) and not any(
        (isinstance(below, OpNode) and below.operation.uneven) or _decoded(below)
        for below in postorder(node, lambda n: not n.whole_first)
    )


def _decoded(node: Node) -> bool:
    return (
        isinstance(node, StoredNode)
        and isinstance(node.source, Tiled)
        and node.source.table.encoded
    )


def has_decoded(node: Node) -> bool:
    """Whether something that this node is made of must be decoded, chunk by chunk."""
    return any(map(_decoded, postorder(node, lambda n: not n.whole_first)))


def even(node: Node) -> bool:
    """Whether, besides, equal parts of a node need about equal parts of what it is made of.

    Not of arrays in pieces: those are had in their own.
    """
    return flexible(node) and not any(
        (isinstance(below, OpNode) and below.operation.uneven)
        or (isinstance(below, StoredNode) and isinstance(below.source, Tiled))
        for below in postorder(node, lambda n: not n.whole_first)
    )


def itemsize_of(node: Node) -> int:
    """Bytes per element that blocks are measured by; of an expression, of all it is made of."""
    return node.grain


def label_of(node: Node) -> str:
    return node.name if isinstance(node, (MapNode, PickNode, OpNode)) else "copy"


def sizes_known(chunks: Chunks) -> bool:
    # Few sizes differ, however many blocks there are.
    return all(size == size for sizes in chunks for size in set(sizes))


def ones_like(chunks: Chunks) -> Chunks:
    return tuple((1,) * len(sizes) for sizes in chunks)
