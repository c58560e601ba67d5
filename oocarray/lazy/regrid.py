"""Gives arrays another grid of blocks, and warns of one that reads pages many times over."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from ..amplification import read_amplification
from ..chunking import LEAF_BYTES, normalize_chunks, suggest_chunks
from ..errors import GridWarning
from ..grid import Grid
from ..storage.tiled import Tiled
from .expr import MemoryNode, Node, OpNode, ReduceNode, StoredNode
from .graph import flexible

__all__ = ["regrid"]

_warned: set[Any] = set()
_WORST_AMPLIFICATION = 4.0
"""Reading every page so many times over is worth a warning."""


def regrid(node: Node, chunks: Any, stacklevel: int = 3) -> Node:
    """Return the same data with another grid; None and "auto" leave it free.

    Parameters
    ----------
    node : Node
        Its dtype is known.
    chunks : optional
        In any of dask's spellings.
    stacklevel : int
        How far up the warning's place is, as of `warnings.warn`.

    Warns
    -----
    GridWarning
        Once per file and grid: names the factor, and a grid that reads each page once.
    """
    computed = not isinstance(node, (StoredNode, MemoryNode))
    if computed and not (isinstance(node, (OpNode, ReduceNode)) and flexible(node)):
        raise TypeError(
            f"the blocks of {node.name} are what its function makes; store() it and "
            "rechunk what was stored"
        )
    chosen = None
    if chunks is not None and not (isinstance(chunks, str) and chunks == "auto"):
        assert node.dtypes is not None
        order: Any = node.order
        chosen = normalize_chunks(chunks, node.shape, node.dtypes[0].itemsize, order, node.chunks)
    if isinstance(node, MemoryNode):
        return MemoryNode(node.array, chosen)
    fresh: Node = replace(node, set_chunks=chosen)  # type: ignore[type-var]
    if not isinstance(fresh, StoredNode):
        return fresh
    # Of so few pages it does not matter how often they are read.
    if chosen is not None and fresh.source.nbytes >= LEAF_BYTES:
        _warn_of_pages(fresh, stacklevel + 1)
    return fresh


def _warn_of_pages(node: StoredNode, stacklevel: int) -> None:
    source = node.source
    if isinstance(source, Tiled):
        return  # pieces that blocks cut are read in part, or once more: `explain` tells
    order: Any = source.order
    factor = read_amplification(Grid(node.chunks), source.itemsize, order)
    key = source.file.path, source.shape, node.chunks
    if factor < _WORST_AMPLIFICATION or key in _warned:
        return
    _warned.add(key)
    better = suggest_chunks(source.shape, source.itemsize, order)
    shapes = [tuple(max(sizes, default=0) for sizes in cut) for cut in (node.chunks, better)]
    warnings.warn(
        f"{source.file.path}: blocks of {shapes[0]} read each page of the file {factor:.1f} times "
        f"over; chunks={shapes[1]} reads it once",
        GridWarning,
        stacklevel=stacklevel,
    )
