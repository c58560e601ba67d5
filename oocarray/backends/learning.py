"""Learns from real blocks: dtypes nobody gave, what one block takes; it never invents data."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..errors import BlockMismatchError, DtypeError, PlanError
from ..grid import Coords, Grid
from ..jit import Kernel
from ..lazy.expr import MapNode, Node, PickNode
from ..lazy.node import Learnt, postorder
from ..plan import Options
from ..runtime.limits import memory_of
from .blocks import BlockMaker
from .settling import Settling

__all__ = ["BlockTrial", "learn_dtypes", "try_block"]

Array = np.ndarray[Any, Any]


class BlockTrial(NamedTuple):
    """What one real call of a block function gave."""

    coords: Coords
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    seconds: float
    """To bring in what the block is made of, call its functions, and copy it."""
    bytes_read: int
    bytes_made: int
    block: Array
    """The block itself."""


def learn_dtypes(node: Node, options: Options | None = None) -> None:
    """Find out the dtypes of block functions that were given none, from block 0.

    Each function is called once, on the block at the array's beginning, really read.  What
    keyword arguments need to be computed for that, is, with `options`.

    Raises
    ------
    Exception
        Whatever the function raises.
    """
    options = Options(progress=False) if options is None else options
    _learn(node, options, {}, Settling(options))


def _learn(
    node: Node, options: Options, first: dict[int, tuple[Any, ...]], settling: Settling
) -> None:
    """Learn what is not known; `first` holds the results of the calls made so far."""
    for one in postorder(node):
        if isinstance(one, MapNode) and one.dtypes is None:
            one.dtypes = _infer(one, options, first, settling)
            Learnt.times += 1


def try_block(node: Node, coords: Coords) -> BlockTrial:
    """Make one block of a node here and now."""
    options = Options(progress=False)
    settling = Settling(options)
    node = settling(node)
    learn_dtypes(node, options)
    settling.hand_back()
    with BlockMaker(node, options) as maker:
        stage = maker.stage
        began = time.perf_counter()
        block = np.array(maker.make(maker.grid.number(coords)).block)
        seconds = time.perf_counter() - began
        read = sum(
            int(np.prod([part.stop - part.start for part in access.region(stage.grid, coords)]))
            * access.source.dtype.itemsize
            for access in stage.reads
        )
    return BlockTrial(coords, block.shape, block.dtype, seconds, read, int(block.nbytes), block)


def _infer(
    node: MapNode, options: Options, first: dict[int, tuple[Any, ...]], settling: Settling
) -> tuple[np.dtype[Any], ...]:
    """Call the function on block 0 and look at what comes back."""
    if isinstance(node.function, Kernel) or node.form != "block":
        dtypes = [child.dtypes for child in node.children if child.dtypes is not None]
        if not dtypes:
            raise DtypeError(f"{node.name} fills its output: without array arguments give dtype=")
        return (dtypes[0][0],) * node.nout
    trial = replace(
        node,
        args=tuple(_remembered(arg, first) for arg in node.args),
        dtypes=(np.dtype(np.uint8),) * node.nout,
        function=_Spy(node.function),
    )
    coords = (0,) * len(node.chunks)
    if not Grid([[1] * len(sizes) for sizes in node.chunks]).size:
        raise PlanError(f"{node.name} has no block to learn its dtype from; give dtype=")
    memory = memory_of(options)
    try:
        # What there is to warn of is said in the run.
        settled = settling(trial)
        with np.errstate(all="ignore"), BlockMaker(settled, options, memory=memory) as maker:
            returned = maker.make(maker.grid.number(coords)).block
    except _Seen as seen:
        returned = seen.args[0]
    results = returned if node.nout > 1 else (returned,)
    if not isinstance(results, (tuple, list)) or len(results) != node.nout:
        raise BlockMismatchError(
            f"{node.name} returned {type(returned).__name__} for block {coords}; expected "
            f"{node.nout} arrays (nout={node.nout})"
        )
    found = tuple(np.asarray(result).dtype for result in results)
    for result, dtype in zip(results, found, strict=True):
        if dtype.hasobject:
            raise BlockMismatchError(
                f"{node.name} returned {type(result).__name__} for block {coords}, which NumPy "
                f"holds as dtype {dtype}: addresses, not data; return an array of a plain dtype"
            )
    first[id(node)] = tuple(results)
    return found


def _remembered(node: Any, first: dict[int, tuple[Any, ...]]) -> Any:
    """The node, with what it is made of, such that block 0 is not computed a second time."""
    if isinstance(node, PickNode):
        return PickNode(_remembered(node.call, first), node.output)
    if not isinstance(node, MapNode):
        return node
    args = tuple(_remembered(arg, first) for arg in node.args)
    if id(node) not in first:
        return replace(node, args=args)
    results = first[id(node)]
    known = results if node.nout > 1 else results[0]
    function = _Remembering(node.function, known, "block_id" in node.wants)
    wants = node.wants if "block_id" in node.wants else (*node.wants, "block_id")
    return replace(node, args=args, function=function, wants=wants)


class _Remembering:
    """A block function that has been called on block 0 already."""

    def __init__(self, function: Any, first: Any, told: bool) -> None:
        self._function, self._first, self._told = function, first, told

    def __call__(self, *args: Any, block_id: Coords, **kwargs: Any) -> Any:
        if not any(block_id):
            return self._first
        if self._told:
            kwargs["block_id"] = block_id
        return self._function(*args, **kwargs)


class _Seen(Exception):
    """Carries what a function returned out of the evaluator, before it is compared."""


class _Spy:
    """Calls a function and reports what it returned."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise _Seen(self._function(*args, **kwargs))
