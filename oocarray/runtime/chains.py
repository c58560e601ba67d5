"""Makes pointwise operations one after the other, however deep they are nested; others it asks for.

What lies between two operations is let go of as soon as the last that needs it has been made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..grid import Region
from ..operations.base import Arguments, Block, extents
from ..operations.elementwise import Spread
from ..program import Apply, arguments_first

__all__ = ["Chain"]


class Chain:
    """A pointwise operation and those below it, as far as there are only such between.

    Parameters
    ----------
    top : Apply
    other : callable
        ``other(node, region)`` makes a region of anything else.
    names : list of str
        The operations that are being made, the innermost last.
    """

    def __init__(self, top: Apply, other: Callable[[Any, Region], Block], names: list[str]) -> None:
        self._other, self._names = other, names
        self._order = arguments_first([top], _pointwise)
        self._places = {id(node): place for place, node in enumerate(self._order)}
        last = {}
        for place, node in enumerate(self._order):
            for arg in node.args:
                last[id(arg)] = place
        self._last = [
            [
                self._places[number]
                for number, when in last.items()
                if when == place and number in self._places
            ]
            for place in range(len(self._order))
        ]
        self._slots: list[list[Block]] = [[] for _ in self._order]
        self._arguments = [
            Arguments(node.shapes, node.dtypes, node.dtype, _from(slot))
            for node, slot in zip(self._order, self._slots, strict=True)
        ]

    def make(self, region: Region, out: Block | None) -> Block:
        """Make a region of the top; in `out`, or elsewhere."""
        regions = self._regions(region)
        made: list[Any] = [None] * len(self._order)
        for place, node in enumerate(self._order):
            own, slot = regions[place], self._slots[place]
            slot[:] = [
                made[self._places[id(arg)]]
                if id(arg) in self._places
                else self._other(arg, _spread(shape, own))
                for arg, shape in zip(node.args, node.shapes, strict=True)
            ]
            if 0 in extents(own):
                made[place] = np.empty(extents(own), node.dtype)
            else:
                self._names.append(node.operation.name)
                top = place + 1 == len(self._order)
                made[place] = node.operation.make(own, self._arguments[place], out if top else None)
                self._names.pop()
            slot.clear()
            for done in self._last[place]:
                made[done] = None
        found: Block = made[-1]
        return found

    def _regions(self, region: Region) -> list[Region]:
        """What is needed of each operation: the same, whoever asks, since all are broadcast."""
        found: list[Any] = [None] * len(self._order)
        found[-1] = region
        for place in range(len(self._order) - 1, -1, -1):
            node = self._order[place]
            for arg, shape in zip(node.args, node.shapes, strict=True):
                at = self._places.get(id(arg))
                if at is not None:
                    found[at] = _spread(shape, found[place])
        return found


def _pointwise(node: Any) -> bool:
    return isinstance(node, Apply) and node.operation.pointwise


def _spread(shape: tuple[int, ...], region: Region) -> Region:
    (found,) = Spread(shape).regions(region)
    return found


def _from(slot: list[Block]) -> Callable[[int, Region], Block]:
    def pull(k: int, region: Region) -> Block:
        return slot[k]

    return pull
