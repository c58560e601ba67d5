"""Decides the fixed cuts of nodes for reductions, and unions of them to go through; no I/O."""

from __future__ import annotations

from typing import Any

from ..chunking import floor_power, refine
from ..grid import Grid
from ..leaves.cut import leaf_chunks
from .expr import Node, OpNode, whole_chunks
from .graph import even, itemsize_of
from .node import postorder
from .paths import needed_bytes

__all__ = ["items_of", "leaves_of"]

_MOST_OF_A_LEAF = 32 << 20
"""Bytes that a leaf of an expression may need of the arrays that are read."""
_PARTIAL = 32
"""Bytes of the partial result of a variance, for one kept element."""


def leaves_of(source: Node, reduction: Any) -> Grid:
    """The fixed cut of a node for a reduction."""
    assert source.dtypes is not None
    chunks = whole_chunks(source)
    if reduction.partial_dtype.hasobject:
        return Grid(chunks)
    itemsize = _width(source)
    # As for a variance: sums, extremes and variances over the same axes have the same leaves.
    partial_itemsize = max(reduction.partial_dtype.itemsize, _PARTIAL)
    if even(source):
        return _even_leaves(source, reduction.axes, itemsize, partial_itemsize)
    # Leaves of a computed array lie within the blocks that its function makes.
    block = Grid(chunks).max_block_shape
    cut = leaf_chunks(block, reduction.axes, itemsize, "C", partial_itemsize)
    return Grid(refine(chunks, [max(1, *sizes) for sizes in cut]))


def _width(source: Node) -> int:
    """Bytes per element that leaves are measured by: those of the widest of the arrays that an
    expression of elements is made of, so that all that is reduced of them has the same leaves."""
    assert source.dtypes is not None
    widest = source.dtypes[0].itemsize
    if not isinstance(source, OpNode):
        return widest
    for one in postorder(source, lambda node: isinstance(node, OpNode) and not node.whole_first):
        if not isinstance(one, OpNode) and one.shape == source.shape and one.dtypes is not None:
            widest = max(widest, one.dtypes[0].itemsize)
    return widest


def _even_leaves(source: Node, axes: tuple[int, ...], itemsize: int, partial_itemsize: int) -> Grid:
    """The cut of any part of which can be made: finer where a leaf needs much of what is read."""
    order: Any = source.order
    cut = Grid(leaf_chunks(source.shape, axes, itemsize, order, partial_itemsize))
    if not isinstance(source, OpNode):
        return cut
    for _ in range(4):
        most = needed_bytes(source, cut)
        if most <= _MOST_OF_A_LEAF:
            break
        itemsize *= floor_power(2 * most // _MOST_OF_A_LEAF)
        cut = Grid(leaf_chunks(source.shape, axes, itemsize, order, partial_itemsize))
    return cut


def items_of(source: Node, leaves: Grid, unit: int) -> Grid:
    """Unions of leaves of a stored array to go through one by one."""
    order: Any = source.order
    elements = max(unit // itemsize_of(source), 1)
    items = leaves.coarsen(elements, order)
    if not isinstance(source, OpNode):
        return items
    # Of an expression an item may need more than its own size.
    while items.size < leaves.size and (most := needed_bytes(source, items)) > 2 * unit:
        elements //= floor_power(most // unit)
        items = leaves.coarsen(max(elements, 1), order)
    return items
