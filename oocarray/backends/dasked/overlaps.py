"""Refuses stores into what the same run reads, unless dask cannot but read it first; runs nothing.

dask knows of no order between a task that reads a file and one that writes it, beyond that a block
is made of what it depends on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...errors import OverlapError
from ...lazy.counted import CountedNode
from ...lazy.expr import MapNode, MemoryNode, Node, ReduceNode, StoredNode
from ...lazy.graph import Root
from ...lazy.lower import lower
from ...lazy.node import postorder
from ...lazy.pointed import PointedNode
from ...overlaps import check_overlaps, share_bytes
from ...plan import InMemory, Options, Source
from ...storage.layout import Strided
from ...storage.naming import path_of
from ...storage.tiled import Tiled
from ..learning import learn_dtypes

__all__ = ["check_roots"]


def check_roots(roots: Sequence[Root], options: Options) -> bool:
    """Whether a root changes what it is made of, so that results it needs must be known before.

    Raises
    ------
    OverlapError
        A block would change bytes that another one reads or writes.
    """
    changing = False
    reads = [list(_sources(root.node)) for root in roots]
    for number, root in enumerate(roots):
        target = root.target
        if target is None:
            continue
        if isinstance(target, Strided | Tiled) and not target.injective:
            raise OverlapError(f"elements of the target in {path_of(target)} share bytes")
        for other in roots[:number]:
            if other.target is not None and share_bytes(target, other.target):
                raise OverlapError("two outputs share bytes of one array")
        for other, sources in zip(roots, reads, strict=True):
            if not any(share_bytes(target, source) for source in sources):
                continue
            if other is not root:
                raise OverlapError(
                    f"one store changes {_name(target)}, which something else of the same run "
                    "reads, and dask waits for neither; store one in a new file first"
                )
            _check_own(root, target, options)
            changing = True
    return changing


def _check_own(root: Root, target: Source, options: Options) -> None:
    """A block of this root may change what is read for itself, and for results known before."""
    if not isinstance(options.scheduler, str):
        raise OverlapError(
            f"{_name(target)} is read and changed by one run on a cluster, where a task may run "
            "twice; store the result in a new file instead"
        )
    below = postorder(root.node)
    kwargs = [source for node in below for source in _of_kwargs(node)]
    if any(map(_unordered, below)) or any(share_bytes(target, source) for source in kwargs):
        raise OverlapError(
            f"{_name(target)} is read and changed by one run, and dask may change a block before "
            "all is read; store the result in a new file instead"
        )
    learn_dtypes(root.node, options)
    check_overlaps(lower([root]))


def _unordered(node: Node) -> bool:
    """Whether more than blocks is needed of a node, which is not computed before."""
    if isinstance(node, (CountedNode, PointedNode)):
        return True
    return node.whole_first and not isinstance(node, ReduceNode)


def _sources(node: Node) -> Iterator[Source]:
    """All arrays, in files or in memory, that a node is made of."""
    for one in postorder(node):
        if isinstance(one, StoredNode):
            yield one.source
        elif isinstance(one, MemoryNode):
            yield InMemory(one.array)
        yield from _of_kwargs(one)


def _of_kwargs(node: Node) -> Iterator[Source]:
    if isinstance(node, MapNode):
        for value in node.kwargs.values():
            if isinstance(value, Node):
                yield from _sources(value)


def _name(target: Source) -> str:
    return path_of(target) if isinstance(target, Strided | Tiled) else "an array"
