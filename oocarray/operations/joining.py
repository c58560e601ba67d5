"""Put arrays one after another along an axis; changes no element but its dtype."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from ..grid import Chunks, Region
from .base import Arguments, Block, Operation, Shape, extents
from .elementwise import merged_cuts

__all__ = ["Concatenate", "Stack"]


@dataclass(frozen=True, slots=True)
class _Section:
    """An argument that is ``start:stop`` of an axis of the result."""

    axis: int
    start: int
    stop: int

    def regions(self, region: Region) -> list[Region]:
        part = region[self.axis]
        start, stop = max(part.start, self.start), min(part.stop, self.stop)
        if start >= stop:
            return []
        own = slice(start - self.start, stop - self.start)
        return [(*region[: self.axis], own, *region[self.axis + 1 :])]


@dataclass(frozen=True, slots=True)
class _Layer:
    """An argument that is one index of an axis, which it does not have itself."""

    axis: int
    index: int

    def regions(self, region: Region) -> list[Region]:
        if not region[self.axis].start <= self.index < region[self.axis].stop:
            return []
        return [region[: self.axis] + region[self.axis + 1 :]]


class _Joined(Operation):
    """Arguments that each make a part of the result."""

    axis: int
    cast: np.dtype[Any] | None

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        # NumPy knows what goes with what, and which casts it refuses.
        empty = [np.empty(0, dtype) for dtype in dtypes]
        return np.concatenate(empty, dtype=self.cast).dtype

    def _parts(self, region: Region, shapes: Sequence[Shape]) -> Iterator[tuple[int, Region, int]]:
        """Which arguments are needed, what of them, and how much of the axis they make."""
        raise NotImplementedError(type(self).__name__)

    def _placed(self, block: Block) -> Block:
        return block

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        result, at = None, 0
        size = extents(region)
        for k, needed, count in self._parts(region, args.shapes):
            block = self._placed(args.pull(k, needed))
            if count == size[self.axis]:
                return block.astype(args.dtype, copy=False)
            if result is None:
                # Through any other dtype than its own the result would be cast once too little.
                fits = out is not None and out.dtype == args.dtype
                result = out if fits and out is not None else np.empty(size, args.dtype)
            result[(slice(None),) * self.axis + (slice(at, at + count),)] = block
            at += count
        assert result is not None, (self, region, args.shapes)
        return result


@dataclass(frozen=True)
class Concatenate(_Joined):
    """Arrays one after another along an axis (counted from 0) that they have.

    Examples
    --------
    >>> op = Concatenate(0)
    >>> op.shape([(2,), (3,)]), op.dtype([np.dtype("i2"), np.dtype("f4")])
    ((5,), dtype('float32'))
    >>> op.reach(0, [(2,), (3,)]).regions((slice(2, 5),))
    []
    """

    axis: int
    cast: np.dtype[Any] | None = None
    """Dtype of the result; by default that which NumPy finds for all."""
    name = "concatenate"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        if not shapes:
            raise ValueError("need at least one array to concatenate")
        first = shapes[0]
        if not first:
            raise ValueError("zero-dimensional arrays cannot be concatenated")
        if not -1 < self.axis < len(first):
            raise np.exceptions.AxisError(self.axis, len(first))
        for k, shape in enumerate(shapes):
            if len(shape) != len(first):
                raise ValueError(
                    "all the input array dimensions must match, but array 0 has "
                    f"{len(first)} and array {k} has {len(shape)}"
                )
            if math.isnan(shape[self.axis]):
                raise ValueError(
                    f"the extent of array {k} along axis {self.axis} is not known; call its "
                    "compute_chunk_sizes() first"
                )
            for axis, (mine, own) in enumerate(zip(first, shape, strict=True)):
                unknown = math.isnan(mine) and math.isnan(own)
                if axis != self.axis and mine != own and not unknown:
                    raise ValueError(
                        "all the input array dimensions except for the concatenation axis must "
                        f"match exactly, but along axis {axis} array 0 has {mine} elements and "
                        f"array {k} has {own}"
                    )
        along = sum(shape[self.axis] for shape in shapes)
        return (*first[: self.axis], along, *first[self.axis + 1 :])

    def reach(self, k: int, shapes: Sequence[Shape]) -> _Section:
        start = sum(shape[self.axis] for shape in shapes[:k])
        return _Section(self.axis, start, start + shapes[k][self.axis])

    def _parts(self, region: Region, shapes: Sequence[Shape]) -> Iterator[tuple[int, Region, int]]:
        ends = list(accumulate(shape[self.axis] for shape in shapes))
        for k, (shape, end) in enumerate(zip(shapes, ends, strict=True)):
            for needed in _Section(self.axis, end - shape[self.axis], end).regions(region):
                yield k, needed, needed[self.axis].stop - needed[self.axis].start

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        axis, pieces = self.axis, list[int]()
        for given, shape in zip(chunks, shapes, strict=True):
            sizes = (shape[axis],) if given is None else given[axis]
            pieces += [size for size in sizes if size]
        # The other axes, as of arrays that have one element along this one.
        thin = [given and (*given[:axis], (1,), *given[axis + 1 :]) for given in chunks]
        found = merged_cuts(thin, [(*one[:axis], 1, *one[axis + 1 :]) for one in shapes])
        return None if found is None else (*found[:axis], tuple(pieces) or (0,), *found[axis + 1 :])


@dataclass(frozen=True)
class Stack(_Joined):
    """Arrays of one shape one after another along a new axis (of the result, counted from 0).

    Examples
    --------
    >>> Stack(1).shape([(4,), (4,), (4,)])
    (4, 3)
    >>> Stack(1).reach(2, [(4,), (4,), (4,)]).regions((slice(0, 2), slice(1, 3)))
    [(slice(0, 2, None),)]
    """

    axis: int
    cast: np.dtype[Any] | None = None
    """Dtype of the result; by default that which NumPy finds for all."""
    name = "stack"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        if not shapes:
            raise ValueError("need at least one array to stack")
        first = shapes[0]
        for k, shape in enumerate(shapes):
            same = len(shape) == len(first) and all(
                mine == own or (math.isnan(mine) and math.isnan(own))
                for mine, own in zip(first, shape, strict=True)
            )
            if not same:
                raise ValueError(
                    f"all input arrays must have the same shape, but array 0 has {tuple(first)} "
                    f"and array {k} has {tuple(shape)}"
                )
        if not -1 < self.axis <= len(first):
            raise np.exceptions.AxisError(self.axis, len(first) + 1)
        return (*first[: self.axis], len(shapes), *first[self.axis :])

    def reach(self, k: int, shapes: Sequence[Shape]) -> _Layer:
        return _Layer(self.axis, k)

    def _placed(self, block: Block) -> Block:
        return np.expand_dims(block, self.axis)

    def _parts(self, region: Region, shapes: Sequence[Shape]) -> Iterator[tuple[int, Region, int]]:
        needed = region[: self.axis] + region[self.axis + 1 :]
        for k in range(region[self.axis].start, region[self.axis].stop):
            yield k, needed, 1

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        found = merged_cuts(chunks, shapes)
        return (
            None
            if found is None
            else (*found[: self.axis], (1,) * len(shapes), *found[self.axis :])
        )
