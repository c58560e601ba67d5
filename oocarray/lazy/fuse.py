"""Makes one loop of the operations of a stage, as many as go together; it compiles none.

The rules, in the order they are tried:

1. *together*: what a stage stores and reduces of arrays of one shape is made by one loop, which
   reads its inputs once; reductions go together that have the same leaves.
2. *tree*: operations of elements that lead to one another are one loop, as far as they have the
   shape of the result, have words in `oocarray.fusing.words`, and are no more than `MOST`.
3. *split*: at any other operation the tree ends; its result is an input of the loop.

What is left is made by NumPy, piece by piece, as without fusion.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..estimate import stage_bytes
from ..fusing.formula import Formula, Step
from ..fusing.operation import Fused
from ..fusing.source import spelled
from ..fusing.word_loops import supported
from ..plan import Blocks, Partials, Plan, Scratch, Stage
from ..program import (
    Apply,
    Input,
    Program,
    Tile,
    Value,
    applies_in,
    arguments_first,
    dtype_of,
    tops_in,
    transformed,
)

__all__ = ["LEAST_BYTES", "MOST", "fuse"]

MOST = 192
"""Operations of one loop: the time to compile it grows with them."""
_MOST_LOOPS = 8
"""Loops of a stage; an expression that needs more is left to NumPy."""
LEAST_BYTES = 8 << 20
"""Bytes that a stage reads and writes below which it is not worth while to compile."""


def fuse(plan: Plan, math: str = "vector", least: int = LEAST_BYTES) -> Plan:
    """Fuse the operations of every stage that has enough to do.

    Parameters
    ----------
    plan : Plan
    math : {"vector", "libm"}
        Whose elementary functions are used.
    least : int
        Bytes that a stage must read and write.

    Returns
    -------
    Plan
        Of the same stages, reads and writes.
    """
    stages = tuple(
        _Stage(stage, math).fused() if sum(stage_bytes(stage)) >= least else stage
        for stage in plan.stages
    )
    return replace(plan, stages=stages)


class _Stage:
    def __init__(self, stage: Stage, math: str) -> None:
        self.stage, self.math = stage, math
        self.known: dict[int, bool] = {}

    def fused(self) -> Stage:
        stage, program = self.stage, self.stage.kernel
        if not isinstance(program, Program) or 0 in stage.grid.shape:
            return stage
        applies = {id(a): a for top in tops_in(program.values) for a in applies_in(top)}
        if not applies and len(program.values) < 2:
            return stage
        values = list(program.values)
        for group in self._groups():
            for number, tile in zip(group, self._together(group), strict=True):
                values[number] = tile
        # Where trees would need too many loops, NumPy makes what is below those.
        for found in (self._trees(values), values):
            if self._loops(found) <= _MOST_LOOPS:
                return replace(stage, kernel=replace(program, values=tuple(found)))
        return stage

    def _loops(self, values: list[Value]) -> int:
        """How many loops some values need."""
        operations = [node.operation for top in tops_in(values) for node in applies_in(top)]
        return len({id(one) for one in operations if isinstance(one, Fused)})

    # ---- together -------------------------------------------------------------------------------

    def _groups(self) -> list[list[int]]:
        """Numbers of writes whose values one loop can make."""
        stage = self.stage
        if stage.in_place:
            return []
        groups: dict[Any, list[int]] = {}
        stores = []
        for number, (value, write) in enumerate(
            zip(stage.kernel.values, stage.writes, strict=True)
        ):
            if not self._made_here(value):
                continue
            if isinstance(write, Partials):
                reduction = write.reduction
                if getattr(reduction, "plain", None) is not None:
                    key = write.leaves, reduction.axes, reduction.turned
                    groups.setdefault(key, []).append(number)
            elif isinstance(value, Tile) and _stored(write) and write.grid == stage.grid:
                stores.append(number)
        found = list(groups.values())
        if stores:
            if found:
                found[0] = [*found[0], *stores]
            elif len(stores) > 1:
                found.append(stores)
        # What is alone and read as it is has nothing to go with.
        return [
            group
            for group in found
            if len(group) > 1 or not isinstance(stage.kernel.values[group[0]], Input)
        ]

    def _made_here(self, value: Value) -> bool:
        """Whether a value is an array of the stage's items: read, or made by spelled operations."""
        if isinstance(value, Input):
            native = _one(self.stage, value).newbyteorder("=")
            return value.grid.shape == self.stage.grid.shape and supported(native)
        return (
            isinstance(value, Tile)
            and value.grid == self.stage.grid
            and self._spelled(value.node)
            and value.node.shape == value.grid.shape
        )

    def _together(self, group: list[int]) -> list[Tile]:
        values = [self.stage.kernel.values[number] for number in group]
        dtypes = [self._wanted(number) for number in group]
        tops = [value.node if isinstance(value, Tile) else value for value in values]
        grid = self.stage.grid
        orders = [value.order for value in values if isinstance(value, Tile)]
        node, places = self._loop(tops, dtypes, grid.shape)
        return [Tile(node, grid, orders[0] if orders else "C", place) for place in places]

    def _wanted(self, number: int) -> np.dtype[Any]:
        """The dtype in which a write takes what it is given."""
        write, value = self.stage.writes[number], self.stage.kernel.values[number]
        if isinstance(write, Partials):
            work: np.dtype[Any] = write.reduction.plain.work
            return work
        return _one(self.stage, value).newbyteorder("=")

    # ---- trees ----------------------------------------------------------------------------------

    def _trees(self, values: list[Value]) -> list[Value]:
        """Fuse what ends in something that is not fused: values, users' functions, operations."""
        roots: dict[int, Apply] = {}
        fused: dict[int, Apply] = {}

        def enter(node: Any) -> None:
            if isinstance(node, Apply) and self._spelled(node):
                roots.setdefault(id(node), node)

        waiting = tops_in(values)
        seen: set[int] = set()
        while waiting:
            top = waiting.pop()
            for node in [top.node] if isinstance(top, Tile) else []:
                enter(node)
                waiting.append(node)
            if not isinstance(top, Apply) or id(top) in seen:
                continue
            seen.add(id(top))
            if id(top) in roots:
                fused[id(top)], _ = self._loop([top], [top.dtype], top.shape)
                args = fused[id(top)].args
            else:
                args = top.args
            for arg in args:
                if isinstance(arg, Apply):
                    enter(arg)
                    waiting.append(arg)
        return list(
            transformed(values, lambda copy, _: copy, lambda node: fused.get(id(node), node))
        )

    # ---- one loop -------------------------------------------------------------------------------

    def _loop(
        self, tops: list[Any], dtypes: list[np.dtype[Any]], shape: tuple[int, ...]
    ) -> tuple[Apply, list[int]]:
        """One operation for all that lead to some nodes; and which of its results is which."""
        inner = self._inner(tops, shape)
        order = arguments_first(tops, lambda node: id(node) in inner)
        numbers: dict[int, int] = {}
        inputs: list[tuple[Any, tuple[int, ...], np.dtype[Any]]] = []
        """What is taken, its shape and dtype, as those say that take it."""
        taken = [
            one for node in order for one in zip(node.args, node.shapes, node.dtypes, strict=True)
        ]
        taken += [(top, shape, _one(self.stage, top)) for top in tops]
        for arg, own, dtype in taken:
            if id(arg) not in inner and id(arg) not in numbers:
                numbers[id(arg)] = len(inputs)
                inputs.append((arg, own, dtype))
        steps: list[Step] = []
        for node in order:
            args = tuple(numbers[id(arg)] for arg in node.args)
            numbers[id(node)] = len(inputs) + len(steps)
            steps.append(Step(node.operation, args, node.dtypes, node.dtype))
        outputs = list(
            dict.fromkeys(
                (numbers[id(top)], dtype) for top, dtype in zip(tops, dtypes, strict=True)
            )
        )
        formula = Formula(
            tuple(dtype.newbyteorder("=") for _, _, dtype in inputs),
            tuple(all(size == 1 for size in own) and own != shape for _, own, _ in inputs),
            tuple(steps),
            tuple(outputs),
            self.math,
        )
        node = Apply(
            Fused(formula),
            tuple(arg for arg, _, _ in inputs),
            tuple(own for _, own, _ in inputs),
            tuple(dtype for _, _, dtype in inputs),
            shape,
            outputs[0][1],
        )
        places = [
            outputs.index((numbers[id(top)], dtype))
            for top, dtype in zip(tops, dtypes, strict=True)
        ]
        return node, places

    def _inner(self, tops: list[Any], shape: tuple[int, ...]) -> set[int]:
        """Operations of one loop: what leads to some nodes and has their shape, up to MOST."""
        inner: dict[int, Apply] = {}
        waiting = [top for top in tops if isinstance(top, Apply)]
        while waiting and len(inner) < MOST:
            node = waiting.pop(0)
            if id(node) in inner or node.shape != shape or not self._spelled(node):
                continue
            inner[id(node)] = node
            waiting += [arg for arg in node.args if isinstance(arg, Apply)]
        return set(inner)

    def _spelled(self, node: Any) -> bool:
        if not isinstance(node, Apply) or isinstance(node.operation, Fused):
            return False
        known = self.known.get(id(node))
        if known is None:
            known = node.operation.pointwise and spelled(
                Step(node.operation, (), node.dtypes, node.dtype), self.math
            )
            self.known[id(node)] = known
        return known


def _stored(write: Any) -> bool:
    return isinstance(write, (Blocks, Scratch))


def _one(stage: Stage, value: Any) -> np.dtype[Any]:
    if isinstance(value, Input):
        return stage.reads[value.access].source.dtype
    if isinstance(value, Apply):
        return value.dtype
    found: np.dtype[Any] = dtype_of(value)
    return found
