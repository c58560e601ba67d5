"""Rebuilds an expression with dask.array, node by node; reads no block and computes no result.

Only where dask itself must know an extent (after a selection) something is computed at once.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...lazy.counted import CountedNode
from ...lazy.expr import KeptNode, MapNode, MemoryNode, Node, OpNode, PickNode, ReduceNode
from ...lazy.node import StoredNode, postorder
from ...lazy.pointed import PointedNode
from ...operations.elementwise import Elementwise
from ...operations.indexing import point_index
from ...operations.selecting import Select
from ...operations.shaping import Transpose
from ...plan import Options
from ...runtime.limits import memory_of, workers_of
from ...storage.tiled import Tiled
from .alike import Cuts
from .given import Given, Translator, computed, counted, filled, free_chunks, refuse

__all__ = ["Translation", "block_bytes", "to_dask"]

_DASKS_OWN = 128 << 20
_LARGE, _SMALL = 32 << 20, 16 << 20
_LEAST = 4 << 20
_FEW = 3
"""What is smaller than 32 MiB is had from memory that was freed before; from there on glibc maps it
anew, page by page.  Larger blocks are read and written faster, though (measured: 1.2 to 1.5 times),
which counts for more unless each block has many temporaries (0.93).  Blocks of dask's own 128 MiB
would be too few for all threads where an array is small, and too large where memory is."""


def to_dask(node: Node, options: Options, chunk_bytes: int | None = None) -> Any:
    """The dask array of an expression, as somebody who knows dask well would have written it.

    Parameters
    ----------
    node : Node
        Dtypes of block functions that are not known are learnt, from block 0.
    options : Options
        For what must be computed to learn them.
    chunk_bytes : int, optional
        Bytes of a block where nobody set blocks. Default: as of `block_bytes`.

    Raises
    ------
    NotImplementedError
        dask has nothing for it.
    """
    return Translation(options, chunk_bytes or block_bytes([node], options))(node)


def block_bytes(nodes: Sequence[Node], options: Options) -> int:
    """Bytes of a block where nobody set blocks: dask's ``array.chunk-size`` where that was set.

    Else 32 MiB, or 16 MiB where a result has many elementwise operations, or an array in pieces is
    read (of Zarr, where each is a file of its own, nothing is gained by reading several together);
    less, but at least 4 MiB, where a thread's share of the memory does not hold four.
    """
    import dask
    from dask.utils import parse_bytes

    said: int = parse_bytes(dask.config.get("array.chunk-size"))
    if said != _DASKS_OWN:
        return said
    wanted = _SMALL if any(map(_better_small, nodes)) else _LARGE
    if not isinstance(options.scheduler, str):
        return wanted  # the memory is not this machine's
    threads = 1 if options.scheduler == "serial" else workers_of(options)
    return max(min(wanted, memory_of(options) // (4 * threads)), _LEAST)


def _better_small(node: Node) -> bool:
    every = postorder(node)
    operations = sum(
        isinstance(one, OpNode) and isinstance(one.operation, Elementwise) for one in every
    )
    tiled = any(isinstance(one, StoredNode) and isinstance(one.source, Tiled) for one in every)
    return tiled or operations > _FEW


class Translation:
    """The dask arrays of nodes, one of each, however often it is used.

    Parameters
    ----------
    options : Options
    chunk_bytes : int
        As of `to_dask`.
    """

    def __init__(self, options: Options, chunk_bytes: int) -> None:
        import dask.array as da

        self._da, self._options = da, options
        self.chunk_bytes = chunk_bytes
        self._memory_bytes = memory_of(options)
        # With the node itself, so that no other gets its id meanwhile.
        self._made: dict[int, tuple[Node, Any]] = {}
        self._once = uuid.uuid4().hex
        self._cuts = Cuts()

    def __call__(self, node: Node) -> Any:
        from ..learning import learn_dtypes

        learn_dtypes(node, self._options)
        return self._array(node)

    def put(self, node: Node, result: Any) -> None:
        """What a node is, which was computed by itself."""
        from .reading import read_memory

        array = np.asarray(result)
        self._made[id(node)] = node, read_memory(self._da, array, self._blocks(node), node)

    def _array(self, node: Node) -> Any:
        for one in postorder(node, lambda one: id(one) not in self._made):
            if id(one) not in self._made:
                args = tuple(self._made[id(child)][1] for child in one.children)
                found = self._translated(one, args)
                self._made[id(one)] = one, found
                self._cuts.note(one, args, found)
        return self._made[id(node)][1]

    def _translated(self, node: Node, args: tuple[Any, ...]) -> Any:
        known = _NODES.get(type(node))
        if known is None:
            refuse(node.name, f"no rule for {type(node).__name__}")
        operation = node.operation if isinstance(node, OpNode) else None
        return known(self, Given(self._da, operation, args, node, self.chunk_bytes))

    def _stored(self, given: Given) -> Any:
        from .reading import read_stored

        node: StoredNode = given.node
        large = node.source.nbytes > self._memory_bytes // 2
        return read_stored(
            self._da, node.source, node.set_chunks, self.chunk_bytes, large, self._once
        )

    def _memory(self, given: Given) -> Any:
        from .reading import read_memory

        node: MemoryNode | KeptNode = given.node
        return read_memory(self._da, node.array, self._blocks(node), node)

    def _blocks(self, node: Node) -> Any:
        """The blocks that were set; else runs of rows of about `chunk_bytes`."""
        if not node.free:
            return node.chunks
        assert node.dtypes is not None
        itemsize = node.dtypes[0].itemsize
        return free_chunks(node.shape, itemsize, node.order, self.chunk_bytes)

    def _operated(self, given: Given) -> Any:
        operation = type(given.operation)
        known = _operations().get(operation)
        if known is None:
            refuse(given.node.name, f"no rule for {operation.__name__}")
        axis = given.operation.axis if operation is Select else None
        alone = operation in _OF_UNKNOWN and self._cuts.alike(given.node, given.args, axis)
        if not alone:
            given = replace(given, args=tuple(map(filled, given.args)))
        found = known(given)
        chunks = given.node.set_chunks
        if chunks is not None and not any(size != size for cut in chunks for size in cut):
            found = counted(found).rechunk(chunks)
        return found

    def _reduced(self, given: Given) -> Any:
        from .reductions import reduced

        return reduced(given)

    def _mapped(self, given: Given) -> Any:
        from .functions import mapped

        node: MapNode = given.node
        kwargs = {k: self._array(v) for k, v in node.kwargs.items() if isinstance(v, Node)}
        return mapped(given, kwargs)

    def _picked(self, given: Given) -> Any:
        from .functions import picked_output

        return picked_output(given)

    def _counted(self, given: Given) -> Any:
        from .choosing import masked, nonzero_axis

        node: CountedNode = given.node
        if node.array is None:
            return nonzero_axis(self._da, filled(given.x), node.axis)
        x, mask = given.args
        if not self._cuts.alike(node, given.args, node.axis):
            x, mask = filled(x), filled(mask)
        return masked(x, mask, node.axis)

    def _pointed(self, given: Given) -> Any:
        """Positions that are arrays themselves: dask takes one of one axis; others are computed."""
        from .choosing import picked

        node: PointedNode = given.node
        x, *others = given.args
        fresh = iter(others)
        key = tuple(next(fresh) if isinstance(part, Node) else part for part in node.key)
        alone = [part for part in key if not isinstance(part, slice)]
        if len(alone) == 1 and alone[0] is others[0] and others[0].ndim == 1:
            return x[key]
        fresh = iter(computed(*map(counted, others)))
        key = tuple(next(fresh) if isinstance(part, Node) else part for part in node.key)
        x = counted(x)
        return picked(self._da, x, point_index(key, x.shape))


@functools.cache
def _operations() -> dict[type, Translator]:
    from .choosing import CHOOSING
    from .elements import ELEMENTS
    from .lines import LINES
    from .shapes import SHAPES

    return {**ELEMENTS, **SHAPES, **LINES, **CHOOSING}


_OF_UNKNOWN = frozenset((Elementwise, Transpose, Select))
"""What dask can do to arrays of unknown extent, if their blocks are cut alike."""

_NODES: dict[type, Callable[[Translation, Given], Any]] = {
    StoredNode: Translation._stored,
    KeptNode: Translation._memory,
    MemoryNode: Translation._memory,
    OpNode: Translation._operated,
    ReduceNode: Translation._reduced,
    MapNode: Translation._mapped,
    PickNode: Translation._picked,
    CountedNode: Translation._counted,
    PointedNode: Translation._pointed,
}
