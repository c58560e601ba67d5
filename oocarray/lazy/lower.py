"""Turns nodes into the stages of a plan; it reads no data, calls no function, compiles nothing.

Roots that read the same source over compatible grids become one stage: one pass.  A
reduction that something else needs ends in an earlier stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..chunking import BLOCK_BYTES, refine
from ..errors import PlanError
from ..grid import Chunks, Grid
from ..leaves.cut import leaf_chunks
from ..plan import (
    Access,
    Blocks,
    Gather,
    How,
    InMemory,
    Partials,
    Plan,
    Repeat,
    Result,
    Scratch,
    Source,
    Stage,
    Through,
    Via,
    Write,
)
from ..program import Apply, Call, Input, Operand, Pick, Program, Tile
from .blockmap import block_info
from .collect import Collect
from .expr import (
    MapNode,
    MemoryNode,
    Node,
    OpNode,
    PickNode,
    ReduceNode,
    StoredNode,
    whole_chunks,
)
from .graph import (
    Root,
    flexible,
    itemsize_of,
    label_of,
    level_of,
    nested_results,
    ones_like,
    own_level,
    sizes_known,
    sources_of,
)
from .node import postorder
from .passes import shared_passes
from .paths import Paths

__all__ = ["leaves_of", "lower"]

# How items lead to the blocks of a user's function that operations need, and the grid of those.
_Via = tuple[Through | Via, Grid] | None


@dataclass(eq=False)
class _Draft:
    """A stage that is being put together."""

    grid: Grid
    level: int
    sources: frozenset[int]
    repeat: Repeat = "safe"
    reads: list[Access] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    after: set[int] = field(default_factory=set)
    built: dict[Any, Any] = field(default_factory=dict)

    def access(self, source: Source, how: Any) -> int:
        for number, known in enumerate(self.reads):
            if known.source is source and known.how == how:
                return number
        self.reads.append(Access(source, how))
        return len(self.reads) - 1


def lower(roots: Sequence[Root], unit: int = BLOCK_BYTES) -> Plan:
    """Plan how to make all roots.

    All dtypes must be known.  The results of roots without a target are the plan's outputs,
    in order.

    Parameters
    ----------
    roots : sequence of Root
    unit : int
        Bytes of a stored array that a reduction goes through as one item; at least one leaf.
    """
    return _Lowering(roots, unit).plan()


class _Lowering:
    def __init__(self, roots: Sequence[Root], unit: int) -> None:
        self.roots, self.unit = roots, unit
        self.drafts: list[_Draft] = []
        self.placed: dict[int, tuple[_Draft, int]] = {}
        self._memory: dict[int, InMemory] = {}
        self._grids: dict[Chunks, Grid] = {}

    def _grid(self, chunks: Chunks) -> Grid:
        """The grid of some cuts, one object for all that ask: each has numbers of every block."""
        found = self._grids.get(chunks)
        if found is None:
            made = Grid(chunks if sizes_known(chunks) else ones_like(chunks))
            found = self._grids[chunks] = made
        return found

    def plan(self) -> Plan:
        needed: dict[int, Node] = {}
        for root in self.roots:
            for node in nested_results(root.node):
                needed[id(node)] = node
            if isinstance(root.node, ReduceNode) and root.target is None:
                needed[id(root.node)] = root.node
        blocks = [r for r in self.roots if r.target is not None or id(r.node) not in needed]
        blocks += [Root(node) for node in needed.values() if not isinstance(node, ReduceNode)]
        reductions = [node for node in needed.values() if isinstance(node, ReduceNode)]
        for level in range(1 + max((level_of(r.node) for r in self.roots), default=0)):
            for root in blocks:
                if not isinstance(root.node, ReduceNode) and own_level(root.node) == level:
                    self._place_blocks(root, level)
            # Computed arrays fix the grid of their pass; stored ones fit in with many.
            stored: dict[Any, list[ReduceNode]] = {}
            for reduce in reductions:
                if level_of(reduce.source) != level:
                    continue
                if flexible(reduce.source):
                    key = sources_of(reduce.source), reduce.source.shape
                    stored.setdefault(key, []).append(reduce)
                else:
                    grid = Grid(reduce.source.chunks)
                    draft = self._fitting(reduce, level) or self._new(grid, level, reduce.source)
                    self._place_reduction(reduce, draft)
            for reduces in stored.values():
                self._place_together(reduces, level)
        for root in blocks:
            if isinstance(root.node, ReduceNode):
                raise AssertionError(f"a reduction cannot be stored by blocks: {root}")
        order = {id(draft): number for number, draft in enumerate(self.drafts)}
        outputs = []
        for root in self.roots:
            if root.target is None:
                draft, write = self.placed[id(root.node)]
                shape, dtype = root.node.shape, root.node.dtypes
                assert dtype is not None
                outputs.append(Result(order[id(draft)], write, shape, dtype[0]))
        return Plan(tuple(self._stage(draft) for draft in self.drafts), tuple(outputs))

    def _stage(self, draft: _Draft) -> Stage:
        return Stage(
            kernel=Program(tuple(draft.values), (None,) * len(draft.values)),
            grid=draft.grid,
            reads=tuple(draft.reads),
            writes=tuple(draft.writes),
            after=tuple(sorted(draft.after)),
            repeat=draft.repeat,
            label=", ".join(dict.fromkeys(draft.labels)),
        )

    # ---- placing roots in stages ------------------------------------------------------------

    def _place_blocks(self, root: Root, level: int) -> None:
        node = root.node
        known = sizes_known(node.chunks)
        grid = self._grid(node.chunks)
        draft = None
        if not root.in_place:
            draft = self._joined(grid, level, sources_of(node))
        if draft is None:
            draft = self._new(grid, level, node)
        value = self._value(draft, node, tuple(range(grid.ndim)), grid.chunks)
        write: Write
        assert node.dtypes is not None
        if root.target is not None:
            write = Blocks(root.target, grid)
        elif known:
            write = Scratch(node.shape, node.dtypes[0], grid)
        else:
            write = Partials(Collect(len(node.chunks), node.dtypes[0]), grid)
        if root.in_place:
            draft.repeat = "never"
        if root.target is None:
            self.placed.setdefault(id(node), (draft, len(draft.writes)))
        draft.writes.append(write)
        draft.values.append(value)
        draft.labels.append(label_of(node))

    def _place_together(self, nodes: list[ReduceNode], level: int) -> None:
        """Place reductions of one stored array: in passes that are there, else in few new ones."""
        alone = []
        for node in nodes:
            draft = self._fitting(node, level)
            if draft is None:
                alone.append(node)
            else:
                self._place_reduction(node, draft)
        leaves = [leaves_of(node.source, node.reduction) for node in alone]
        for shared, members in shared_passes(leaves, itemsize_of(nodes[0].source)):
            draft = self._new(_items(nodes[0].source, shared, self.unit), level, nodes[0].source)
            for member in members:
                self._place_reduction(alone[member], draft)

    def _fitting(self, node: ReduceNode, level: int) -> _Draft | None:
        """Find a pass over the same array whose items are unions of the reduction's leaves."""
        source = node.source
        leaves = leaves_of(source, node.reduction)
        for draft in self.drafts:
            if (
                draft.level == level
                and draft.repeat == "safe"
                and draft.sources & sources_of(source)
                and draft.grid.shape == leaves.shape
                and leaves.refines(draft.grid)
                and (flexible(source) or draft.grid == Grid(source.chunks))
            ):
                return draft
        return None

    def _place_reduction(self, node: ReduceNode, draft: _Draft) -> None:
        leaves = leaves_of(node.source, node.reduction)
        value = self._value(draft, node.source, tuple(range(leaves.ndim)), draft.grid.chunks)
        self.placed[id(node)] = draft, len(draft.writes)
        draft.writes.append(Partials(node.reduction, leaves))
        draft.values.append(value)
        draft.labels.append(node.name)

    def _new(self, grid: Grid, level: int, node: Node) -> _Draft:
        self.drafts.append(_Draft(grid, level, sources_of(node)))
        return self.drafts[-1]

    def _joined(self, grid: Grid, level: int, sources: frozenset[int]) -> _Draft | None:
        for draft in self.drafts:
            if (
                draft.level == level
                and draft.repeat == "safe"
                and draft.grid == grid
                and draft.sources & sources
            ):
                return draft
        return None

    # ---- programs -----------------------------------------------------------------------------

    def _value(
        self,
        draft: _Draft,
        node: Node,
        axes: tuple[int, ...],
        chunks: Chunks,
        via: _Via = None,
    ) -> Any:
        """The plan's record for a node, cut by `chunks`, whose blocks item axes `axes` pick.

        With `via` they are axes of the blocks that it leads to, not of the items.
        """
        key = id(node), axes, None if isinstance(node, (MapNode, PickNode)) else chunks, via
        if key not in draft.built:
            draft.built[key] = self._build(draft, node, axes, chunks, via)
        return draft.built[key]

    def _build(
        self, draft: _Draft, node: Node, axes: tuple[int, ...], chunks: Chunks, via: _Via
    ) -> Any:
        if isinstance(node, PickNode):
            return Pick(self._value(draft, node.call, axes, chunks, via), node.output)
        if isinstance(node, MapNode):
            return self._call(draft, node, axes, via)
        grid = self._grid(chunks)
        if isinstance(node, OpNode) and not self._made_before(node):
            order: Any = node.order
            return Tile(self._operations(draft, node, Gather(grid, axes), via), grid, order)
        how: How = Gather(grid, axes)
        if via is not None:
            how = Via(*via, how)
        return Input(draft.access(self._source(draft, node), how), grid)

    def _source(self, draft: _Draft, node: Node) -> Source:
        """What is read for a node that is there when the stage begins."""
        if isinstance(node, StoredNode):
            return node.source
        if isinstance(node, MemoryNode):
            return self._memory.setdefault(id(node), InMemory(node.array))
        earlier, write = self.placed[id(node)]
        stage = next(n for n, known in enumerate(self.drafts) if known is earlier)
        draft.after.add(stage)
        assert node.dtypes is not None
        made = Result(stage, write, node.shape, node.dtypes[0])
        found: Source = draft.built.setdefault(("result", id(node)), made)
        return found

    def _operations(self, draft: _Draft, top: OpNode, start: Gather, via: _Via) -> Apply:
        """The operations that a node is made by, down to what is read and to users' functions."""
        inner = [
            node
            for node in postorder(top, lambda node: self._inside(node, top))
            if self._inside(node, top)
        ]
        made: dict[int, Any] = {}
        paths = Paths(top, inner, start)
        for node in inner:
            args = []
            for child in node.children:
                if id(child) not in made:
                    made[id(child)] = self._argument(draft, child, paths, via)
                args.append(made[id(child)])
            made[id(node)] = _applied(node, tuple(args))
        found: Apply = made[id(top)]
        return found

    def _inside(self, node: Node, top: OpNode) -> bool:
        return isinstance(node, OpNode) and (node is top or not self._made_before(node))

    def _made_before(self, node: Node) -> bool:
        return node.whole_first and id(node) in self.placed

    def _argument(self, draft: _Draft, node: Node, paths: Paths, via: _Via) -> Any:
        """What operations read, or a user's function whose blocks they need."""
        how = paths.to(node)
        chunks = node.chunks
        if isinstance(node, (MapNode, PickNode)):
            if not sizes_known(chunks):
                raise PlanError(
                    f"{node.name} makes blocks of unknown size: give map_blocks the sizes in "
                    "chunks=, or call compute_chunk_sizes() before working on its result"
                )
            grid = self._grid(chunks)
            if isinstance(how, Gather) and how.grid == grid:
                return self._value(draft, node, how.axes, chunks, via)
            full = tuple(range(grid.ndim))
            outer: Any = how if isinstance(how, Through) else Through(how, ((),))
            if via is not None:
                outer = Via(*via, outer)
            return self._value(draft, node, full, chunks, (outer, grid))
        if via is not None:
            how = Via(*via, how)
        grid = how.grid if isinstance(how, Gather) else self._grid(_one_block(node.shape))
        return Input(draft.access(self._source(draft, node), how), grid)

    def _call(self, draft: _Draft, node: MapNode, axes: tuple[int, ...], via: _Via) -> Call:
        args: list[Any] = []
        arrays = 0
        positions = []
        for position, arg in enumerate(node.args):
            if not isinstance(arg, Node):
                args.append(arg)
                continue
            own = node.plan.axes[arrays]
            below = tuple(axis if axis < 0 else axes[axis] for axis in own)
            value = self._value(draft, arg, below, node.plan.inputs[arrays], via)
            args.append(Operand(value, own))
            positions.append(position)
            arrays += 1
        assert node.dtypes is not None
        chunks = node.chunks
        return Call(
            function=node.function,
            form=node.form,  # type: ignore[arg-type]
            args=tuple(args),
            kwargs=node.kwargs,
            grid=self._grid(chunks),
            chunks=chunks,
            dtypes=node.dtypes,
            name=node.name,
            wants=node.wants,
            info=partial(block_info, node.plan, tuple(positions)),
            apart=node.apart,
        )


def _applied(node: Node, args: tuple[Any, ...]) -> Apply:
    assert isinstance(node, OpNode)
    assert node.dtypes is not None
    dtypes = tuple(arg.dtypes[0] for arg in node.args if arg.dtypes is not None)
    shapes = tuple(arg.shape for arg in node.args)
    return Apply(node.operation, args, shapes, dtypes, node.shape, node.dtypes[0])


def _one_block(shape: tuple[int, ...]) -> Chunks:
    return tuple((extent,) for extent in shape)


def leaves_of(source: Node, reduction: Any) -> Grid:
    """The fixed cut of a node for a reduction."""
    assert source.dtypes is not None
    chunks = whole_chunks(source)
    if reduction.partial_dtype.hasobject:
        return Grid(chunks)
    itemsize = source.dtypes[0].itemsize
    partial_itemsize = reduction.partial_dtype.itemsize
    if flexible(source):
        shape: tuple[int, ...] = source.shape
        cut = leaf_chunks(shape, reduction.axes, itemsize, source.order, partial_itemsize)  # type: ignore[arg-type]
        return Grid(cut)
    # Leaves of a computed array lie within the blocks that its function makes.
    block = Grid(chunks).max_block_shape
    cut = leaf_chunks(block, reduction.axes, itemsize, "C", partial_itemsize)
    return Grid(refine(chunks, [max(sizes, default=1) for sizes in cut]))


def _items(source: Node, leaves: Grid, unit: int) -> Grid:
    """Unions of leaves of a stored array to go through one by one."""
    order: Any = source.order
    return leaves.coarsen(max(unit // itemsize_of(source), 1), order)
