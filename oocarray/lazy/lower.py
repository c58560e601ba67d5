"""Turns nodes into the stages of a plan; it reads no data, calls no function, compiles nothing.

Roots that read the same source over compatible grids become one stage: one pass.  A
reduction that something else needs ends in an earlier stage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..chunking import BLOCK_BYTES
from ..grid import Grid
from ..plan import Blocks, Partials, Plan, Result, Scratch, Stage, Write
from ..program import Program
from .collect import Collect
from .expr import Node, ReduceNode
from .graph import (
    Root,
    cuttable,
    even,
    itemsize_of,
    label_of,
    level_of,
    nested_results,
    own_level,
    sizes_known,
    sources_of,
)
from .leafcuts import items_of, leaves_of
from .passes import shared_passes
from .programs import Draft, Programs

__all__ = ["lower"]


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
        self.drafts: list[Draft] = []
        self.placed: dict[int, tuple[Draft, int]] = {}
        self.programs = Programs(self.drafts, self.placed)

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
                if even(reduce.source):
                    key = sources_of(reduce.source), reduce.source.shape
                    stored.setdefault(key, []).append(reduce)
                else:
                    draft = self._fitting(reduce, level)
                    if draft is None:
                        draft = self._new(self._items(reduce), level, reduce.source)
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

    def _stage(self, draft: Draft) -> Stage:
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
        if root.target is None and id(node) in self.placed:
            return
        known = sizes_known(node.chunks)
        grid = self.programs.grid(node.chunks)
        draft = None
        if not root.in_place:
            draft = self._joined(grid, level, sources_of(node))
        if draft is None:
            draft = self._new(grid, level, node)
        value = self.programs.value(draft, node, tuple(range(grid.ndim)), grid.chunks)
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
            self.placed[id(node)] = draft, len(draft.writes)
        draft.writes.append(write)
        draft.values.append(value)
        draft.labels.append(label_of(node))

    def _items(self, reduce: ReduceNode) -> Grid:
        """Blocks of an array that has its own; its leaves, where there is little room and any
        part can be made by itself."""
        blocks = Grid(reduce.source.chunks)
        large = math.prod(blocks.max_block_shape) * itemsize_of(reduce.source) > 2 * self.unit
        return (
            leaves_of(reduce.source, reduce.reduction)
            if large and cuttable(reduce.source)
            else blocks
        )

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
            draft = self._new(items_of(nodes[0].source, shared, self.unit), level, nodes[0].source)
            for member in members:
                self._place_reduction(alone[member], draft)

    def _fitting(self, node: ReduceNode, level: int) -> Draft | None:
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
                and (even(source) or draft.grid == Grid(source.chunks))
            ):
                return draft
        return None

    def _place_reduction(self, node: ReduceNode, draft: Draft) -> None:
        leaves = leaves_of(node.source, node.reduction)
        value = self.programs.value(
            draft, node.source, tuple(range(leaves.ndim)), draft.grid.chunks
        )
        self.placed[id(node)] = draft, len(draft.writes)
        draft.writes.append(Partials(node.reduction, leaves))
        draft.values.append(value)
        draft.labels.append(node.name)

    def _new(self, grid: Grid, level: int, node: Node) -> Draft:
        self.drafts.append(Draft(grid, level, sources_of(node)))
        return self.drafts[-1]

    def _joined(self, grid: Grid, level: int, sources: frozenset[int]) -> Draft | None:
        for draft in self.drafts:
            if (
                draft.level == level
                and draft.repeat == "safe"
                and draft.grid == grid
                and draft.sources & sources
            ):
                return draft
        return None
