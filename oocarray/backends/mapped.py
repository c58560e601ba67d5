"""Our evaluator: learns dtypes, plans, compiles, runs, publishes; it decides no layout."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..chunking import BLOCK_BYTES, LEAF_BYTES
from ..errors import BlockMismatchError, DtypeError, PlanError
from ..grid import Coords, Grid
from ..jit import Kernel
from ..lazy.expr import MapNode, MemoryNode, Node, PickNode, ReduceNode, StoredNode
from ..lazy.graph import Root
from ..lazy.lower import lower
from ..lazy.split import split_blocks
from ..observe import default_observers
from ..pages.residency import work_unit
from ..plan import Options, Plan, Stage
from ..program import Program
from ..runtime.engine import Engine
from ..runtime.files import Files
from ..runtime.job import Job
from ..runtime.limits import default_memory, default_workers
from ..runtime.loop import add_place
from ..runtime.pools import Lease
from ..runtime.scheduler import Limits, run_plan
from ..storage.draft import Draft
from ..storage.files import open_regular
from .codes import compile_plan, needs_kernels

__all__ = ["BlockTrial", "evaluate", "learn_dtypes", "limits_of", "plan_of", "try_block"]

Array = np.ndarray[Any, Any]
_SCHEDULERS = ("processes", "threads", "serial")


class BlockTrial(NamedTuple):
    """What one real call of a block function gave."""

    coords: Coords
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    seconds: float
    """Time in the function."""
    bytes_read: int
    bytes_made: int
    block: Array
    """The block itself."""


def limits_of(options: Options) -> Limits:
    """Decide what a run may use.

    Raises
    ------
    ValueError
        `workers` is below 1, or the scheduler is unknown.
    """
    if options.scheduler not in _SCHEDULERS:
        raise ValueError(
            f"scheduler={options.scheduler!r} is none of {', '.join(map(repr, _SCHEDULERS))}"
        )
    memory = default_memory() if options.memory is None else options.memory
    workers = default_workers() if options.workers is None else options.workers
    if workers < 1:
        raise ValueError(f"workers={workers}; at least 1 is needed")
    if options.scheduler == "serial":
        workers = 1
    return Limits(
        memory,
        workers,
        options.progress,
        options.durability != "none",
        options.drop,
        options.on_error,
        options.fill_value,
        options.lock,
    )


def plan_of(
    roots: Sequence[Root], limits: Limits | None = None, options: Options | None = None
) -> Plan:
    """Plan without running; learns the dtypes that it needs.

    Parameters
    ----------
    roots : sequence of Root
    limits : Limits, optional
        Blocks of elementwise functions that are too large for them are cut finer.
    options : Options, optional
        For what must be computed to learn a dtype.
    """
    for root in roots:
        learn_dtypes(root.node, options)
    if limits is not None:
        # Room for each worker's block and the next one, which is brought in meanwhile.
        share = limits.memory // (2 * limits.workers)
        roots = split_blocks(roots, max(share, LEAF_BYTES))
        return lower(roots, min(work_unit(limits.memory, limits.workers, 1), BLOCK_BYTES))
    return lower(roots)


def evaluate(roots: Sequence[Root], options: Options, drafts: Sequence[Draft] = ()) -> list[Array]:
    """Make all roots; return the results of those without a target.

    Parameters
    ----------
    roots : sequence of Root
    options : Options
    drafts : sequence of Draft
        New files that are targets: published when all is done, discarded otherwise.
    """
    try:
        limits = limits_of(options)
        for root in roots:
            _settle_keywords(root.node, options)
        plan = plan_of(roots, limits, options)
        with Lease(options.scheduler, limits.workers, needs_kernels(plan)) as pool:
            plan = compile_plan(plan)
            opened = {_identity(draft.fd): draft.fd for draft in drafts}
            observers = default_observers(limits.progress)
            found = run_plan(plan, limits, pool, opened, observers)
        for draft in drafts:
            draft.publish(options.durability)
    finally:
        for draft in drafts:
            draft.discard()
    return found


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
    _learn(node, options, {})


def _learn(node: Node, options: Options, first: dict[int, tuple[Any, ...]]) -> None:
    """Learn what is not known; `first` holds the results of the calls made so far."""
    if isinstance(node, ReduceNode):
        _learn(node.source, options, first)
    elif isinstance(node, PickNode):
        _learn(node.call, options, first)
    elif isinstance(node, MapNode):
        for child in node.nodes:
            _learn(child, options, first)
        if node.dtypes is None:
            node.dtypes = _infer(node, options, first)


def try_block(node: Node, coords: Coords) -> BlockTrial:
    """Make one block of a node here and now."""
    learn_dtypes(node)
    call = node.call if isinstance(node, PickNode) else node
    if isinstance(call, MapNode):
        _settle_keywords(call, Options())
    engine, stage = _engine_for(node)
    try:
        began = time.perf_counter()
        try:
            value = stage.kernel.values[0]
            block = np.array(engine._evaluator.value(value, coords))
        except Exception as error:
            add_place(error, coords, stage.grid)
            raise
        seconds = time.perf_counter() - began
        read = sum(
            int(np.prod([part.stop - part.start for part in access.region(stage.grid, coords)]))
            * access.source.dtype.itemsize
            for access in stage.reads
        )
        return BlockTrial(coords, block.shape, block.dtype, seconds, read, int(block.nbytes), block)
    finally:
        engine.close()


def _infer(
    node: MapNode, options: Options, first: dict[int, tuple[Any, ...]]
) -> tuple[np.dtype[Any], ...]:
    """Call the function on block 0 and look at what comes back."""
    if isinstance(node.function, Kernel) or node.form != "block":
        dtypes = [child.dtypes for child in node.nodes if child.dtypes is not None]
        if not dtypes:
            raise DtypeError(f"{node.name} fills its output: without array arguments give dtype=")
        return (dtypes[0][0],) * node.nout
    _settle_keywords(node, options)
    trial = replace(
        node,
        args=tuple(_remembered(arg, first) for arg in node.args),
        dtypes=(np.dtype(np.uint8),) * node.nout,
        function=_Spy(node.function),
    )
    coords = (0,) * len(node.chunks)
    if not Grid([[1] * len(sizes) for sizes in node.chunks]).size:
        raise PlanError(f"{node.name} has no block to learn its dtype from; give dtype=")
    engine, stage = _engine_for(trial)
    try:
        # What there is to warn of is said in the run.
        with np.errstate(all="ignore"):
            engine._evaluator.value(stage.kernel.values[0], coords)
    except _Seen as seen:
        returned = seen.args[0]
    except Exception as error:
        add_place(error, coords, stage.grid)
        raise
    finally:
        engine.close()
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


def _engine_for(node: Node) -> tuple[Engine, Stage]:
    """An engine in this process that can make single blocks of a node."""
    plan = lower([Root(node)])
    if len(plan.stages) > 1:
        # What it needs of other passes is computed first, and stands for them.
        node = _with_reductions_done(node)
        plan = lower([Root(node)])
    stage = compile_plan(plan).stages[-1]
    assert isinstance(stage.kernel, Program)
    keys = {
        (access.source.file.dev, access.source.file.ino): access.source.file
        for access in stage.reads
        if hasattr(access.source, "file")
    }
    files = [(key, open_regular(key.path), False) for key in keys.values()]
    alone = replace(stage, kernel=None, writes=())
    job = Job(0, alone, None, (), "stream", errstate=np.geterr())
    engine = Engine(job, Files(files))
    engine.bind(replace(stage.kernel, codes=()))
    return engine, stage


def _with_reductions_done(node: Node) -> Node:
    if isinstance(node, ReduceNode):
        (result,) = evaluate([Root(node)], Options(scheduler="serial", progress=False))
        return MemoryNode(result)
    if isinstance(node, PickNode):
        call = _with_reductions_done(node.call)
        assert isinstance(call, MapNode)
        return PickNode(call, node.output)
    if isinstance(node, MapNode):
        args = tuple(
            _with_reductions_done(arg) if isinstance(arg, Node) else arg for arg in node.args
        )
        return replace(node, args=args)
    return node


def _settle_keywords(node: Node, options: Options) -> None:
    """Give keyword arguments that are arrays their whole value, as dask does."""
    if isinstance(node, ReduceNode):
        _settle_keywords(node.source, options)
    elif isinstance(node, PickNode):
        _settle_keywords(node.call, options)
    elif isinstance(node, MapNode):
        for child in node.nodes:
            _settle_keywords(child, options)
        if any(isinstance(value, Node) for value in node.kwargs.values()):
            node.kwargs = {
                name: _whole(value, options) if isinstance(value, Node) else value
                for name, value in node.kwargs.items()
            }


def _whole(node: Node, options: Options) -> Array:
    if isinstance(node, MemoryNode):
        return node.array
    if isinstance(node, StoredNode) and node.source.contiguous == "C" and node.source.size:
        # By reference: workers map the file themselves.
        source = node.source
        return np.memmap(source.file.path, source.dtype, "r", source.offset, source.shape)
    (result,) = evaluate([Root(node)], options)
    return result


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
