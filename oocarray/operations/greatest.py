"""The first few elements of lines in order, or their positions; keeps no more of a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .along import Lines
from .base import Block, Shape

__all__ = ["Top"]


@dataclass(frozen=True)
class Top(Lines):
    """The first few elements of lines in order, or where they are.

    `count` is not negative, and `axis` counted from 0.

    Examples
    --------
    >>> Top(2, 1, True, False).shape([(3, 9)])
    (3, 2)
    """

    count: int
    axis: int
    descending: bool
    positions: bool
    name = "topk"
    divisible = False

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        shape = shapes[0]
        return (*shape[: self.axis], self.count, *shape[self.axis + 1 :])

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return np.dtype(np.intp) if self.positions else dtypes[0]

    def _sources(self, ndim: int) -> tuple[int | None, ...]:
        return tuple(None if axis == self.axis else axis for axis in range(ndim))

    def _apply(self, block: Block) -> Any:
        lines = np.moveaxis(block, self.axis, -1)
        found = self._places(lines) if self.positions else self._values(lines)
        return np.moveaxis(found, -1, self.axis)

    def _values(self, lines: Block) -> Block:
        size = lines.shape[-1]
        if 0 < self.count < size:
            at = size - self.count if self.descending else self.count - 1
            lines = np.partition(lines, at, axis=-1)
            lines = lines[..., at:] if self.descending else lines[..., : self.count]
        found = np.sort(lines, axis=-1)
        return (found[..., ::-1] if self.descending else found)[..., : self.count]

    def _places(self, lines: Block) -> Block:
        if not self.descending:
            return np.argsort(lines, axis=-1, kind="stable")[..., : self.count]
        # Turned before and after, so that the first of equals is first.
        found = np.argsort(lines[..., ::-1], axis=-1, kind="stable")[..., ::-1]
        return np.asarray(lines.shape[-1] - 1 - found[..., : self.count])
