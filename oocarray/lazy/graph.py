"""Questions about nodes: what they need, read, are called; it changes none and plans nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ..grid import Chunks
from ..plan import InMemory
from ..storage.layout import Strided
from .expr import MapNode, MemoryNode, Node, PickNode, ReduceNode, StoredNode

__all__ = [
    "Root",
    "children_of",
    "is_stored",
    "itemsize_of",
    "label_of",
    "level_of",
    "nested_reductions",
    "ones_like",
    "sizes_known",
    "sources_of",
]


@dataclass(eq=False)
class Root:
    """One thing that the caller wants made.

    Without `target` the result is kept in memory and returned.
    """

    node: Node
    target: Strided | InMemory | None = None
    in_place: bool = False


def nested_reductions(node: Node) -> list[ReduceNode]:
    """Reductions that must have ended before `node` can be made, innermost first."""
    found: dict[int, ReduceNode] = {}

    def visit(node: Node) -> None:
        for child in children_of(node):
            visit(child)
            if isinstance(child, ReduceNode):
                found[id(child)] = child

    visit(node)
    return list(found.values())


def children_of(node: Node) -> list[Node]:
    if isinstance(node, MapNode):
        return node.nodes
    if isinstance(node, PickNode):
        return [node.call]
    return [node.source] if isinstance(node, ReduceNode) else []


def level_of(node: Node) -> int:
    """How many passes must be over before this node's own can begin."""
    if isinstance(node, ReduceNode):
        return level_of(node.source) + 1
    return max((level_of(child) for child in children_of(node)), default=0)


def sources_of(node: Node) -> frozenset[int]:
    """The arrays that making this node reads in its own pass."""
    if isinstance(node, StoredNode):
        return frozenset([hash((node.source.file.dev, node.source.file.ino))])
    if isinstance(node, MemoryNode):
        return frozenset([id(node.array)])
    if isinstance(node, ReduceNode):
        return frozenset()
    found = frozenset([id(node)] if isinstance(node, MapNode) else [])
    return found.union(*(sources_of(child) for child in children_of(node)))


def is_stored(node: Node) -> bool:
    return not isinstance(node, (MapNode, PickNode))


def itemsize_of(node: Node) -> int:
    assert node.dtypes is not None
    return max(node.dtypes[0].itemsize, 1)


def label_of(node: Node) -> str:
    if isinstance(node, MapNode):
        return node.name
    return label_of(node.call) if isinstance(node, PickNode) else "copy"


def sizes_known(chunks: Chunks) -> bool:
    # Few sizes differ, however many blocks there are.
    return all(size == size for sizes in chunks for size in set(sizes))


def ones_like(chunks: Chunks) -> Chunks:
    return tuple((1,) * len(sizes) for sizes in chunks)
