"""Computes what is reduced before what is made of it, where both in one graph would be wrong.

Where arrays do not fit into memory: dask keeps every block of ``x`` until ``x.mean()`` is known, to
take it from each; so somebody who knows dask computes the mean first, and reads ``x`` twice.  And
where the result replaces ``x``, which must not change before its mean is known.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...lazy.expr import KeptNode, ReduceNode, StoredNode
from ...lazy.graph import Root, level_of, nested_results
from ...lazy.node import postorder
from ...plan import Options
from ...runtime.limits import memory_of
from .given import computed
from .translate import Translation

__all__ = ["reduce_beforehand"]


def reduce_beforehand(
    roots: Sequence[Root], options: Options, translate: Translation, changing: bool
) -> None:
    """Have the translation know results that others need, as arrays in memory.

    Parameters
    ----------
    roots : sequence of Root
    options : Options
        Of the memory half is taken to be free for blocks.
    translate : Translation
    changing : bool
        Whether something is stored into what it is made of.
    """
    levels: dict[int, dict[int, ReduceNode]] = {}
    for root in roots:
        for node in nested_results(root.node):
            if isinstance(node, ReduceNode):
                levels.setdefault(level_of(node), {})[id(node)] = node
    if not levels or not (changing or _read(roots) > memory_of(options) // 2):
        return
    for level in sorted(levels):
        nodes = list(levels[level].values())
        arrays = [translate(node) for node in nodes]
        for node, result in zip(nodes, computed(*arrays), strict=True):
            translate.put(node, result)


def _read(roots: Sequence[Root]) -> int:
    """Bytes of all arrays in files, once each."""
    found = {
        id(node): node.source.nbytes
        for root in roots
        for node in postorder(root.node)
        if isinstance(node, StoredNode) and not isinstance(node, KeptNode)
    }
    return sum(found.values())
