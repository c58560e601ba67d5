"""Runs the stages of a plan by a loop over blocks, in this process; it plans and publishes none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...fusing.operation import Fused
from ...grid import Coords, Region
from ...operations.base import extents
from ...plan import Blocks, Partials, Plan, Scratch, Stage
from ...program import Input, Program, Tile
from ...runtime.evaluate import Evaluator
from ...runtime.flags import tell
from ...runtime.loop import add_place
from ...runtime.outside import outside
from ...runtime.tiles import Tiles, _dig
from ..codes import compile_plan
from .reading import ItemReaders, Sources
from .reductions import Accumulator, accumulator
from .writing import Targets

__all__ = ["run_stages"]

Block = np.ndarray[Any, Any]


def run_stages(plan: Plan, targets: Targets, check: Callable[[], None]) -> list[Block]:
    """Run all stages, one block after the other; return what the plan hands out.

    Parameters
    ----------
    plan : Plan
        Without loops of ours.
    targets : Targets
    check : callable
        Called before each block; it may raise.
    """
    results: dict[tuple[int, int], Block] = {}
    sources = Sources(results)
    try:
        for number, stage in enumerate(plan.stages):
            _run(number, stage, results, sources, targets, check)
        return [results[output.stage, output.write] for output in plan.outputs]
    finally:
        sources.close()


def _run(
    number: int,
    stage: Stage,
    results: dict[tuple[int, int], Block],
    sources: Sources,
    targets: Targets,
    check: Callable[[], None],
) -> None:
    program = _with_kernels(stage)
    items = ItemReaders(sources, stage.reads, stage.grid)
    readers = items.readers()
    evaluator = _ByBlocks(program, readers)
    takers = [
        _taker(stage, write, results, (number, place), targets)
        for place, write in enumerate(stage.writes)
    ]
    try:
        for item in range(stage.grid.size):
            coords = stage.grid.coords(item)
            check()
            evaluator.new_item()
            items.new_item(coords)
            try:
                made: dict[int, Block] = {}
                # All of them before any is stored: it may go where the next is read from.
                for value in program.values:
                    if id(value) not in made:
                        made[id(value)] = (
                            readers[value.access](stage.grid.region(coords))
                            if isinstance(value, Input)
                            else evaluator.value(value, coords)
                        )
                for value, take in zip(program.values, takers, strict=True):
                    take(made[id(value)], coords)
            except BaseException as error:
                add_place(error, coords, stage.grid)
                raise
        for words in evaluator.flags:
            tell(words, outside())
        for place, take in enumerate(takers):
            if isinstance(take, _Reduces):
                results[number, place] = take.state.result()
    finally:
        items.new_item(())
        evaluator.close()


class _Reduces:
    """Takes blocks into an accumulator."""

    def __init__(self, state: Accumulator) -> None:
        self.state = state

    def __call__(self, block: Block, coords: Coords) -> None:
        self.state.add(block, coords)


def _taker(
    stage: Stage,
    write: Any,
    results: dict[tuple[int, int], Block],
    key: tuple[int, int],
    targets: Targets,
) -> Callable[[Block, Coords], None]:
    """What takes the blocks of one thing that a stage makes."""
    if isinstance(write, Partials):
        return _Reduces(accumulator(write.reduction, write.leaves, stage.grid))
    if isinstance(write, Scratch):
        whole = results[key] = np.empty(write.shape, write.dtype)

        def keep(block: Block, coords: Coords) -> None:
            whole[write.grid.region(coords) or ...] = block

        return keep
    assert isinstance(write, Blocks)
    assert write.where is None
    put = targets.put(write.target)

    def store(block: Block, coords: Coords) -> None:
        region = write.grid.region(coords)
        if 0 not in extents(region):
            put(region, block)

    return store


def _with_kernels(stage: Stage) -> Program:
    """The program of a stage with its user's kernels compiled; reductions are NumPy's."""
    writes = tuple(
        Scratch(stage.grid.shape, np.dtype(bool), stage.grid)
        if isinstance(write, Partials)
        else write
        for write in stage.writes
    )
    (done,) = compile_plan(Plan((replace(stage, writes=writes),))).stages
    assert isinstance(done.kernel, Program)
    return done.kernel


class _ByBlocks(Evaluator):
    """Makes each block at once: who uses NumPy does not cut blocks to the processor's cache."""

    @property
    def tiles(self) -> Tiles:
        if self._made is None:
            self._made = _WholeTiles(self._shared, self._readers, self.value)
        return self._made

    def _tile(self, tile: Tile, region: Region, out: Block | None, most: int) -> Block:
        return self.tiles.make(tile, region, out)


class _WholeTiles(Tiles):
    """Operations on whole blocks."""

    def _filled(self, tile: Tile, region: Region, out: Block | None) -> Block:
        assert not isinstance(tile.node.operation, Fused)
        if self._divisible.setdefault(id(tile), True):
            _dig(tile)
            self._divisible[id(tile)] = False
        found: Block = self._made(tile.node, region, out)
        self._piece.clear()
        if out is None or found is out:
            return found
        out[...] = found
        return out
