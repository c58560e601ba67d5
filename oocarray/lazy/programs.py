"""Writes down how the items of a stage are made: programs and accesses; it places no stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..errors import PlanError
from ..grid import Chunks, Grid
from ..plan import (
    Access,
    Gather,
    How,
    InMemory,
    Repeat,
    Result,
    Source,
    Through,
    Via,
    Write,
)
from ..program import Apply, Call, Input, Operand, Pick, Tile
from .blockmap import block_info
from .expr import MapNode, MemoryNode, Node, OpNode, PickNode, StoredNode
from .graph import ones_like, sizes_known
from .paths import Paths, inner_nodes

__all__ = ["Draft", "Programs"]

# How items lead to the blocks of a user's function that operations need, and the grid of those.
_Via = tuple[Through | Via, Grid] | None


@dataclass(eq=False)
class Draft:
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


class Programs:
    """Programs of the stages of one plan.

    Parameters
    ----------
    drafts : list of Draft
        The stages, as they come.
    placed : dict
        By the id of a node that a stage makes: the stage, and the number of its write.
    """

    def __init__(self, drafts: list[Draft], placed: dict[int, tuple[Draft, int]]) -> None:
        self.drafts, self.placed = drafts, placed
        self._memory: dict[int, InMemory] = {}
        self._grids: dict[Chunks, Grid] = {}

    def grid(self, chunks: Chunks) -> Grid:
        """The grid of some cuts, one object for all that ask: each has numbers of every block."""
        found = self._grids.get(chunks)
        if found is None:
            made = Grid(chunks if sizes_known(chunks) else ones_like(chunks))
            found = self._grids[chunks] = made
        return found

    def value(
        self,
        draft: Draft,
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
        self, draft: Draft, node: Node, axes: tuple[int, ...], chunks: Chunks, via: _Via
    ) -> Any:
        if isinstance(node, PickNode):
            return Pick(self.value(draft, node.call, axes, chunks, via), node.output)
        if isinstance(node, MapNode):
            return self._call(draft, node, axes, via)
        grid = self.grid(chunks)
        if isinstance(node, OpNode) and not self._made_before(node):
            order: Any = node.order
            return Tile(self._operations(draft, node, Gather(grid, axes), via), grid, order)
        how: How = Gather(grid, axes)
        if via is not None:
            how = Via(*via, how)
        return Input(draft.access(self._source(draft, node), how), grid)

    def _source(self, draft: Draft, node: Node) -> Source:
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

    def _operations(self, draft: Draft, top: OpNode, start: Gather, via: _Via) -> Apply:
        """The operations that a node is made by, down to what is read and to users' functions."""
        inner = inner_nodes(top, self._made_before)
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

    def _made_before(self, node: Node) -> bool:
        return node.whole_first and id(node) in self.placed

    def _argument(self, draft: Draft, node: Node, paths: Paths, via: _Via) -> Any:
        """What operations read, or a user's function whose blocks they need."""
        how: How = paths.to(node)
        chunks = node.chunks
        if isinstance(node, (MapNode, PickNode)):
            if not sizes_known(chunks):
                raise PlanError(
                    f"{node.name} makes blocks of unknown size: give map_blocks the sizes in "
                    "chunks=, or call compute_chunk_sizes() before working on its result"
                )
            grid = self.grid(chunks)
            if isinstance(how, Gather) and how.grid == grid:
                return self.value(draft, node, how.axes, chunks, via)
            full = tuple(range(grid.ndim))
            outer: Any = Through(how, ((),)) if isinstance(how, Gather) else how
            if via is not None:
                outer = Via(*via, outer)
            return self.value(draft, node, full, chunks, (outer, grid))
        if via is not None:
            how = Via(*via, how)
        grid = how.grid if isinstance(how, Gather) else self.grid(_one_block(node.shape))
        return Input(draft.access(self._source(draft, node), how), grid)

    def _call(self, draft: Draft, node: MapNode, axes: tuple[int, ...], via: _Via) -> Call:
        args: list[Any] = []
        arrays = 0
        positions = []
        for position, arg in enumerate(node.args):
            if not isinstance(arg, Node):
                args.append(arg)
                continue
            own = node.plan.axes[arrays]
            below = tuple(axis if axis < 0 else axes[axis] for axis in own)
            value = self.value(draft, arg, below, node.plan.inputs[arrays], via)
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
            grid=self.grid(chunks),
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
