"""Makes, in one pass over a block, all that a fused operation stores and reduces of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..fusing.operation import Fused
from ..grid import Coords, Grid
from ..leaves.walk import runs
from ..operations.base import Block
from ..plan import Partials, Stage
from ..program import Apply, Program, Tile
from .job import Partial
from .tiles import Tiles

__all__ = ["Pass", "passes_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """Writes of a stage that one loop serves."""

    node: Apply
    numbers: tuple[int, ...]
    """Of the writes."""
    outputs: tuple[int, ...]
    """Which result of the node each of them takes."""
    writes: tuple[Any, ...]
    reductions: tuple[Any, ...]
    """One for each write; None where nothing is reduced."""

    def run(
        self, tiles: Tiles, grid: Grid, coords: Coords, outs: Mapping[int, Block]
    ) -> list[Partial]:
        """Work on one item: fill what is stored, return what is reduced."""
        region = grid.region(coords)
        assert isinstance(self.node.operation, Fused)
        dtypes = [dtype for _, dtype in self.node.operation.formula.outputs]
        places: list[Block | None] = [None] * len(dtypes)
        later: list[tuple[Block, Block]] = []
        for number, output in zip(self.numbers, self.outputs, strict=True):
            out = outs.get(number)
            if out is None:
                continue
            known = places[output]
            if known is None:
                plain = out.dtype == dtypes[output] and out.dtype.isnative and out.flags.aligned
                known = out if plain else np.empty(out.shape, dtypes[output])
                places[output] = known
            if known is not out:
                later.append((out, known))
        with tiles.complaining():
            if any(isinstance(write, Partials) for write in self.writes):
                partials = self._reduced(tiles, grid, coords, region, places)
            else:
                partials = []
                tiles.fusions.make(self.node, region, places)
        for out, made in later:
            out[...] = made
        return partials

    def _reduced(
        self, tiles: Tiles, grid: Grid, coords: Coords, region: Any, places: list[Block | None]
    ) -> list[Partial]:
        each = [
            (number, output, reduction)
            for number, output, reduction in zip(
                self.numbers, self.outputs, self.reductions, strict=True
            )
            if reduction is not None
        ]
        leaves = next(write.leaves for write in self.writes if isinstance(write, Partials))
        box = leaves.inner(grid, coords)
        cuts = tuple(
            sizes[part.start : part.stop] for sizes, part in zip(leaves.chunks, box, strict=True)
        )
        origin = tuple(part.start for part in region)
        first = each[0][2]
        axes, turned = first.axes, first.turned
        if turned:
            cuts, origin = cuts[::-1], origin[::-1]
            axes = tuple(sorted(len(cuts) - 1 - axis for axis in axes))
        wanted = list(dict.fromkeys((output, one.plain) for _, output, one in each))
        every = runs(cuts)
        made = tiles.fusions.reduce(self.node, region, places, wanted, every, axes, turned)
        found = []
        for number, output, one in each:
            at = wanted.index((output, one.plain))
            numbers = {run.coords: results[at] for run, results in zip(every, made, strict=True)}
            partial = one.placed(cuts, origin, axes, lambda run, by=numbers: by[run.coords])
            found.append(Partial(number, box, partial.T if turned else partial))
        return found


def passes_of(stage: Stage, program: Program) -> list[Pass]:
    """What of a stage is made together."""
    if stage.in_place:
        return []
    groups: dict[int, list[int]] = {}
    for number, value in enumerate(program.values):
        if isinstance(value, Tile) and isinstance(value.node.operation, Fused):
            groups.setdefault(id(value.node.operation), []).append(number)
    found = []
    for numbers in groups.values():
        values: list[Any] = [program.values[number] for number in numbers]
        writes = tuple(stage.writes[number] for number in numbers)
        if len(numbers) == 1 and not isinstance(writes[0], Partials):
            continue
        outputs = tuple(value.output for value in values)
        reductions = tuple(
            program.reductions[number] if isinstance(stage.writes[number], Partials) else None
            for number in numbers
        )
        found.append(Pass(values[0].node, tuple(numbers), outputs, writes, reductions))
    return found
