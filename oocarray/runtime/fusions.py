"""Runs fused operations on the blocks of one process; it neither compiles nor plans.

A region is made in one go where all it is made of lies in memory or on mapped pages; else it is
made piece by piece, so that what is pulled for it stays small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..fusing.formula import step_by_step
from ..fusing.lead import Way, line_of, way_of_elements, way_of_leaves
from ..fusing.operation import Fused
from ..grid import Region, fastest_first
from ..leaves.walk import Run
from ..operations.base import PIECE, Block, extents
from ..operations.elementwise import Spread
from ..operations.scalar import ScalarFunction
from ..operations.single import within
from ..program import Apply, Call, Input, Pick
from ..walks import cut
from .flags import Flags

__all__ = ["Fusions"]

_KINDS = {"invalid": 1, "divide": 2, "over": 4, "under": 8}
_SHORT = 32
"""Elements of a line below which it pays to copy what is not contiguous first."""
_LINES = 1 << 13
"""Lines of a region that is made in one go: a call or two for each are written down."""
_WAYS = 64
"""So many are kept: blocks of few shapes are made over and over."""
_LOOKS = 2
"""So often a complaint of a kind that NumPy does not confirm is looked into."""


class Fusions:
    """Fused operations of a program.

    Parameters
    ----------
    pull : callable
        ``pull(node, region)`` makes a region of anything that is no fused operation.
    flags : Flags
        Notes what NumPy would have warned of.
    """

    def __init__(self, pull: Callable[[Any, Region], Block], flags: Flags) -> None:
        self._pull, self._flags = pull, flags
        self._looked = dict.fromkeys(_KINDS, 0)
        self._ways: dict[Any, list[Way]] = {}

    def make(self, node: Apply, region: Region, outs: Sequence[Block | None]) -> list[Block]:
        """Make a region of each result; in `outs`, where those are given."""
        operation = node.operation
        assert isinstance(operation, Fused)
        shape = extents(region)
        made = [
            np.empty(shape, dtype) if out is None else out
            for out, (_, dtype) in zip(outs, operation.formula.outputs, strict=True)
        ]
        if 0 in shape:
            return made
        fortran = made[0].flags.f_contiguous and not made[0].flags.c_contiguous
        most = PIECE
        if self._lies(node):
            blocks = self._blocks(node, region)
            line = _line([*blocks, *made], fortran)
            most = _LINES * line if line >= _SHORT else PIECE
            if math.prod(shape) <= most:
                self._piece(operation, blocks, made)
                return made
        for piece in cut(region, most, fastest_first(len(shape), "F" if fortran else "C")):
            # Of an array without axes an index that says so is a view, no element.
            here: Any = (..., *within(piece, region))
            self._piece(operation, self._blocks(node, piece), [block[here] for block in made])
        return made

    def _piece(self, operation: Fused, blocks: list[Block], outs: list[Block]) -> None:
        dtypes = [dtype.newbyteorder("=") for _, dtype in operation.formula.outputs]
        places = [
            out if out.dtype == dtype and out.flags.aligned else np.empty(out.shape, dtype)
            for out, dtype in zip(outs, dtypes, strict=True)
        ]
        fortran = places[0].flags.f_contiguous and not places[0].flags.c_contiguous
        if _line([*blocks, *places], fortran) < _SHORT:
            blocks = [np.array(block, order="F" if fortran else "C") for block in blocks]
        key = (id(operation), *map(_lie, blocks), *map(_lie, places), *_shared(blocks, places))
        known = self._ways.get(key)
        if known is None:
            assert operation.code is not None
            known = self._keep(key, [way_of_elements(operation.code, blocks, places)])
        known[0].go(blocks, places)
        for out, place in zip(outs, places, strict=True):
            if out is not place:
                out[...] = place
        self._look(operation, known[0], blocks)

    def reduce(
        self,
        node: Apply,
        region: Region,
        outs: Sequence[Block | None],
        reductions: Sequence[tuple[int, Any]],
        runs: Sequence[Run],
        axes: tuple[int, ...],
        turned: bool,
    ) -> list[list[Block]]:
        """Make a region and reduce it leaf by leaf; store of it what has a place in `outs`.

        Parameters
        ----------
        node : Apply
        region : tuple of slice
        outs : sequence of ndarray or None
        reductions : sequence of (int, Recipe)
            Results of `node` that are reduced, and how.
        runs : sequence of Run
            The leaves of the region; of its transpose, where it is `turned`.
        axes : tuple of int
            The reduced axes, of the same.
        turned : bool

        Returns
        -------
        list of list of ndarray
            For each run, and each reduction, its numbers.
        """
        operation = node.operation
        assert isinstance(operation, Fused)
        whole = self._lies(node)
        blocks = self._blocks(node, region) if whole else []
        if whole:
            line = _line([*blocks, *(out for out in outs if out is not None)], turned)
            whole = line >= _SHORT and blocks[0].size <= _LINES * line
        found = []
        for run in runs:
            if whole:
                found.append(self._run(operation, blocks, outs, reductions, run, axes, turned))
                continue
            each = []
            for number in range(run.count):
                leaf = run.leaf(number)
                own = leaf[::-1] if turned else leaf
                piece = tuple(
                    slice(base.start + part.start, base.start + part.stop)
                    for base, part in zip(region, own, strict=True)
                )
                near = self._blocks(node, piece)
                at: Any = (..., *own)
                there = [None if out is None else out[at] for out in outs]
                if _line([*near, *(out for out in there if out is not None)], turned) < _SHORT:
                    near = [np.array(block, order="F" if turned else "C") for block in near]
                one = Run(tuple(slice(0, part.stop - part.start) for part in leaf), 0, 1, ())
                each.append(self._run(operation, near, there, reductions, one, axes, turned))
            found.append([np.concatenate(parts) for parts in zip(*each, strict=True)])
        return found

    def _run(
        self,
        operation: Fused,
        blocks: list[Block],
        outs: Sequence[Block | None],
        reductions: Sequence[tuple[int, Any]],
        run: Run,
        axes: tuple[int, ...],
        turned: bool,
    ) -> list[Block]:
        arrays = [block.T for block in blocks] if turned else blocks
        places = [None if out is None else out.T if turned else out for out in outs]
        lies = (*map(_lie, arrays), *(None if one is None else _lie(one) for one in places))
        spans = tuple((part.start, part.stop) for part in run.region)
        key = (id(operation), spans, run.axis, run.count, *lies)
        ways = self._ways.get(key)
        if ways is None:
            ways = self._keep(key, _ways_of(operation, arrays, places, reductions, run, axes))
        found = []
        for way in ways:
            found += way.go(arrays, places)
            self._look(operation, way, [block[run.region] for block in arrays])
            places = [None] * len(places)
        return found

    def _keep(self, key: Any, ways: list[Way]) -> list[Way]:
        if len(self._ways) >= _WAYS:
            self._ways.clear()
        self._ways[key] = ways
        return ways

    def _blocks(self, node: Apply, region: Region) -> list[Block]:
        """What a region is made of: native, of its extents."""
        shape = extents(region)
        found = []
        for arg, own in zip(node.args, node.shapes, strict=True):
            block = np.asarray(self._pull(arg, Spread(own).regions(region)[0]))
            if not block.dtype.isnative:
                block = block.astype(block.dtype.newbyteorder("="))
            found.append(np.broadcast_to(block, shape))
        return found

    def _lies(self, node: Apply) -> bool:
        """Whether all that a region is made of is there, and need not be made first."""
        return all(
            _there(arg) and dtype.isnative
            for arg, dtype in zip(node.args, node.dtypes, strict=True)
        )

    def _look(self, operation: Fused, way: Way, blocks: Sequence[Block]) -> None:
        """Where the floating point unit has complained, see what NumPy says of the same."""
        word = int(way.complaints[0])
        if not word:
            return
        way.complaints[0] = 0
        modes = np.geterr()
        kinds = [
            kind
            for kind, bit in _KINDS.items()
            if word & bit and modes[kind] != "ignore" and self._looked[kind] < _LOOKS  # type: ignore[literal-required]
        ]
        steps = operation.formula.steps
        if not kinds or any(isinstance(step.operation, ScalarFunction) for step in steps):
            return
        for kind in kinds:
            self._looked[kind] += 1
        shape = blocks[0].shape
        whole, fastest = tuple(slice(0, size) for size in shape), fastest_first(len(shape), "C")
        for piece in cut(whole, PIECE, fastest):
            step_by_step(
                operation.formula,
                [block[piece] for block in blocks],
                extents(piece),
                self._flags.names,
            )


def _ways_of(
    operation: Fused,
    arrays: Sequence[Block],
    places: Sequence[Block | None],
    reductions: Sequence[tuple[int, Any]],
    run: Run,
    axes: tuple[int, ...],
) -> list[Way]:
    """One way for all reductions; where they do not go together, one for each."""
    code = operation.code
    assert code is not None
    way = way_of_leaves(code, arrays, places, reductions, run, axes)
    if way is not None:
        return [way]
    found = []
    for number, one in enumerate(reductions):
        outs = [None] * len(places) if number else places
        way = way_of_leaves(code, arrays, outs, [one], run, axes)
        assert way is not None
        found.append(way)
    return found


def _line(arrays: Sequence[Block], turned: bool) -> int:
    return line_of([array.T for array in arrays] if turned else arrays)


def _lie(array: Block) -> tuple[Any, ...]:
    """How an array lies in memory: all that the way through it depends on."""
    return array.shape, array.strides, array.flags.aligned


def _shared(blocks: Sequence[Block], places: Sequence[Block]) -> tuple[bool, ...]:
    return tuple(any(np.may_share_memory(place, block) for block in blocks) for place in places)


def _there(arg: Any) -> bool:
    if isinstance(arg, (Input, Call, Pick)):
        return True
    if not isinstance(arg, Apply):
        return False
    return arg.operation.views and isinstance(arg.args[0], Input)
