"""Selections by a mask, whose extent is known once the mask is counted; it counts none itself."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..grid import Chunks
from ..storage.layout import Strided
from .expr import MapNode, OpNode
from .node import Learnt, MemoryNode, Node, StoredNode, postorder
from .written import writes

__all__ = ["CountedNode", "Counts", "counted"]


@dataclass
class Counts:
    """How many elements each run of a mask selects, and of which state of its files."""

    offsets: NDArray[np.int64] | None = None
    """Of the runs' elements in the result; the last is its extent."""
    state: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process counts itself: what it has written is another matter.
        return Counts, ()

    @property
    def extent(self) -> float:
        return math.nan if self.offsets is None else int(self.offsets[-1])


@dataclass(eq=False)
class CountedNode(Node):
    """The elements of `array` where `mask` is true; without `array`, where they are.

    `axis` is the first axis of `array` that the mask covers, or the axis whose indices are wanted.
    """

    array: Node | None
    mask: Node
    axis: int = 0
    counts: Counts = field(default_factory=Counts)

    free = True
    lasting = False
    order = "C"

    @property
    def name(self) -> str:  # type: ignore[override]
        return "nonzero" if self.array is None else "select"

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.mask,) if self.array is None else (self.array, self.mask)

    def with_children(self, children: tuple[Node, ...]) -> CountedNode:
        array = None if self.array is None else children[0]
        # The counts are of the same elements: copies share what one of them finds out.
        return replace(self, array=array, mask=children[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        extent: Any = self.counts.extent
        if self.array is None:
            return (extent,)
        after = self.axis + len(self.mask.shape)
        return (*self.array.shape[: self.axis], extent, *self.array.shape[after:])

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...] | None:
        return (np.dtype(np.int64),) if self.array is None else self.array.dtypes

    @property
    def chunks(self) -> Chunks:
        return tuple((extent,) for extent in self.shape)


def counted(node: CountedNode, compute: Callable[[Node], NDArray[Any]]) -> OpNode:
    """The same selection, with its extent.

    Parameters
    ----------
    node : CountedNode
        The shapes of what it is made of are known.
    compute : callable
        Computes a node that tells how many elements are true in each run of the mask; it is
        called unless that is known already, and the mask's files are as they were then.

    Raises
    ------
    IndexError
        The mask has not the shape of what it selects from.
    """
    from ..operations.selecting import Nonzero, RunCounts, Select, mask_runs

    mask, array = node.mask, node.array
    if array is not None:
        covered = array.shape[node.axis : node.axis + len(mask.shape)]
        if tuple(covered) != tuple(mask.shape):
            raise IndexError(
                f"boolean index of shape {mask.shape} does not match the axes it covers, {covered}"
            )
    row = 8 if array is None else math.prod(array.shape) * array.grain
    row = -(-row // max(math.prod(mask.shape), 1))
    runs = mask_runs(mask.shape, max(row, 1))
    state = _state(mask)
    if node.counts.offsets is None or state is None or state != node.counts.state:
        found = compute(OpNode(RunCounts(runs), (mask,)))
        offsets = np.zeros(found.size + 1, np.int64)
        np.cumsum(found, out=offsets[1:])
        node.counts.offsets, node.counts.state = offsets, state
        Learnt.times += 1
    offsets = node.counts.offsets
    if array is None:
        return OpNode(Nonzero(runs, offsets, node.axis), (mask,))
    return OpNode(Select(node.axis, runs, offsets), (array, mask))


def _changed(path: str) -> int:
    """When a file was last changed, as far as the system tells."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _plain(call: MapNode) -> bool:
    """Whether a function is given nothing but blocks, and what cannot change."""
    fixed = (Node, int, float, complex, str, bytes, type(None), np.generic, np.dtype)
    return all(isinstance(value, fixed) for value in call.args) and all(
        isinstance(value, fixed[1:]) for value in call.kwargs.values()
    )


def _state(node: Node) -> Any:
    """What would differ if what a node is made of had been written; None if that cannot be told."""
    found = []
    for below in postorder(node):
        if isinstance(below, StoredNode) and isinstance(below.source, Strided):
            file = below.source.file
            found.append((file, writes(file), _changed(file.path)))
        elif isinstance(below, (StoredNode, MemoryNode)):
            # Of an array in pieces the file that is known, a zarr.json say, stays as it is.
            return None
        elif isinstance(below, MapNode) and not _plain(below):
            return None  # what a function is given beside blocks may change, too
    return tuple(found)
