"""Bands, diagonals, windows, differences and repeated elements; it knows two axes at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from ..grid import Chunks, Region
from .base import Arguments, Block, Shape, extents
from .single import Single, between, room, within

__all__ = ["Diag", "Diagonal", "Diff", "Repeat", "Sliding", "Triangle"]

# Squares along a diagonal are narrower than a page, which one element costs anyway; there are
# wider ones where there would be too many.
SQUARE, SQUARES = 32, 4096


@dataclass(frozen=True)
class Repeat(Single):
    """Each element several times after itself, along an axis (counted from 0).

    Examples
    --------
    >>> Repeat(3, 0).reach(0, [(5,)]).regions((slice(2, 7),))
    [(slice(0, 3, None),)]
    """

    repeats: int | tuple[int, ...]
    """A tuple: for each element of the axis."""
    axis: int
    name = "repeat"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        shape = shapes[0]
        self._known(shape, [] if isinstance(self.repeats, int) else [self.axis])
        if np.min(self.repeats, initial=0) < 0:
            raise ValueError("repeats may not contain negative values.")
        if not isinstance(self.repeats, int) and len(self.repeats) != shape[self.axis]:
            raise ValueError(f"{len(self.repeats)} repeats for {shape[self.axis]} elements")
        many = self.repeats
        extent = shape[self.axis] * many if isinstance(many, int) else sum(many)
        return (*shape[: self.axis], extent, *shape[self.axis + 1 :])

    def needs(self, shape: Shape, region: Region) -> list[Region]:
        part, many = region[self.axis], self.repeats
        if isinstance(many, int):
            first, last = part.start // many, (part.stop - 1) // many
        else:
            first, last = np.searchsorted(_ends(many)[1:], [part.start, part.stop - 1], "right")
        own = slice(int(first), int(last) + 1)
        return [(*region[: self.axis], own, *region[self.axis + 1 :])]

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        (needed,) = self.needs(args.shapes[0], region)
        block, own, part = args.pull(0, needed), needed[self.axis], region[self.axis]
        if own.stop - own.start == 1:
            return np.broadcast_to(block, extents(region))
        if isinstance(self.repeats, int):
            ends = np.arange(own.start, own.stop + 1) * self.repeats
        else:
            ends = _ends(self.repeats)[own.start : own.stop + 1]
        return np.repeat(block, np.diff(ends.clip(part.start, part.stop)), self.axis)

    def cuts(self, chunks: Chunks, shape: Shape) -> Chunks:
        sizes, many = chunks[self.axis], self.repeats
        if isinstance(many, int):
            pieces = tuple(size * many for size in sizes)
        else:
            ends = _ends(many)[list(accumulate(sizes, initial=0))]
            pieces = tuple(np.diff(ends).tolist())
        return (*chunks[: self.axis], pieces, *chunks[self.axis + 1 :])


@lru_cache(maxsize=16)
def _ends(repeats: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.cumsum((0, *repeats), dtype=np.int64)


@dataclass(frozen=True)
class Triangle(Single):
    """Matrices (the last two axes) with zeros above (`lower`) or below diagonal number `k`.

    Examples
    --------
    >>> Triangle(0, True).reach(0, [(8, 8)]).regions((slice(0, 2), slice(0, 8)))
    [(slice(0, 2, None), slice(0, 2, None))]
    """

    k: int
    lower: bool
    name = "triangle"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        if len(shapes[0]) < 2:
            raise ValueError(f"a triangle is of the last two axes, and there are {len(shapes[0])}")
        return tuple(shapes[0])

    def needs(self, shape: Shape, region: Region) -> list[Region]:
        *lead, rows, columns = region
        top, bottom, left, right = rows.start, rows.stop, columns.start, columns.stop
        if self.lower:
            top, right = max(top, left - self.k), min(right, bottom + self.k)
        else:
            bottom, left = min(bottom, right - self.k), max(left, top + self.k)
        if top >= bottom or left >= right:
            return []
        return [(*lead, slice(top, bottom), slice(left, right))]

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        result = None
        for needed in self.needs(args.shapes[0], region):
            block = args.pull(0, needed)
            rows, columns = needed[-2:]
            k = self.k + rows.start - columns.start
            height, width = block.shape[-2:]
            if not (width - 1 <= k if self.lower else 1 - height >= k):
                block = (np.tril if self.lower else np.triu)(block, k)
            if needed == region:
                return block
            result = np.zeros(extents(region), args.dtype)
            result[within(needed, region)] = block
        return np.zeros(extents(region), args.dtype) if result is None else result


@dataclass(frozen=True)
class Diagonal(Single):
    """Diagonals of the matrices that two axes (counted from 0) are, as the last axis.

    Examples
    --------
    >>> Diagonal(1, 0, 1).reach(0, [(9, 9)]).regions((slice(2, 5),))
    [(slice(2, 5, None), slice(3, 6, None))]
    """

    offset: int
    axis1: int
    axis2: int
    name = "diagonal"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        shape = shapes[0]
        self._known(shape, (self.axis1, self.axis2))
        if self.axis1 == self.axis2:
            raise ValueError("axis1 and axis2 cannot be the same")
        row, column = _corner(self.offset)
        length = max(min(shape[self.axis1] - row, shape[self.axis2] - column), 0)
        return (*self._others(shape), length)

    def _others(self, values: Sequence[Any]) -> tuple[Any, ...]:
        mine = (self.axis1, self.axis2)
        return tuple(value for axis, value in enumerate(values) if axis not in mine)

    def needs(self, shape: Shape, region: Region) -> list[Region]:
        *others, along = region
        row, column = _corner(self.offset)
        found = []
        # At multiples of powers of two, so that larger squares hold the smaller ones.
        size = SQUARE
        while along.stop - along.start > size * SQUARES:
            size *= 2
        for at in range(along.start // size * size, along.stop, size):
            start, stop = max(at, along.start), min(at + size, along.stop)
            rest = iter(others)
            own = {self.axis1: row, self.axis2: column}
            found.append(
                tuple(
                    slice(start + own[axis], stop + own[axis]) if axis in own else next(rest)
                    for axis in range(len(shape))
                )
            )
        return found

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        needed = self.needs(args.shapes[0], region)
        result = None if len(needed) == 1 else room(region, args, out)
        at = 0
        for box in needed:
            block = np.diagonal(args.pull(0, box), 0, self.axis1, self.axis2)
            if result is None:
                return block
            result[..., at : at + block.shape[-1]] = block
            at += block.shape[-1]
        assert result is not None
        return result

    def cuts(self, chunks: Chunks, shape: Shape) -> Chunks:
        row, column = _corner(self.offset)
        edges = [end - row for end in accumulate(chunks[self.axis1])]
        edges += [end - column for end in accumulate(chunks[self.axis2])]
        return (*self._others(chunks), between(edges, self.shape([shape])[-1]))


def _corner(offset: int) -> tuple[int, int]:
    """Row and column where a diagonal begins."""
    return max(-offset, 0), max(offset, 0)


@dataclass(frozen=True)
class Diag(Single):
    """A matrix that has a vector on its diagonal number `k`, and else zeros.

    Examples
    --------
    >>> Diag(1).shape([(3,)]), Diag(1).reach(0, [(3,)]).regions((slice(0, 2), slice(2, 4)))
    ((4, 4), [(slice(1, 2, None),)])
    """

    k: int
    name = "diag"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        if len(shapes[0]) != 1:
            raise ValueError(f"Input must be 1-d, and there are {len(shapes[0])} axes")
        return (shapes[0][0] + abs(self.k),) * 2

    def needs(self, shape: Shape, region: Region) -> list[Region]:
        rows, columns = region
        row, column = _corner(self.k)
        start = max(rows.start - row, columns.start - column, 0)
        stop = min(rows.stop - row, columns.stop - column)
        return [(slice(start, stop),)] if start < stop else []

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        result = np.zeros(extents(region), args.dtype)
        row, column = _corner(self.k)
        for needed in self.needs(args.shapes[0], region):
            at = np.arange(needed[0].start, needed[0].stop)
            rows, columns = region
            result[at + row - rows.start, at + column - columns.start] = args.pull(0, needed)
        return result

    def cuts(self, chunks: Chunks, shape: Shape) -> Chunks:
        row, column = ((n,) if n else () for n in _corner(self.k))
        sizes = tuple(size for size in chunks[0] if size)
        return row + sizes + column or (0,), column + sizes + row or (0,)


@dataclass(frozen=True)
class Diff(Single):
    """Differences of neighbours along an axis (counted from 0), `n` times.

    Examples
    --------
    >>> Diff(2, 0).reach(0, [(9,)]).regions((slice(3, 5),))
    [(slice(3, 7, None),)]
    """

    n: int
    axis: int
    name = "diff"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        if self.n < 0:
            raise ValueError(f"order must be non-negative but got {self.n}")
        self._known(shapes[0], [self.axis])
        extent = max(shapes[0][self.axis] - self.n, 0)
        return (*shapes[0][: self.axis], extent, *shapes[0][self.axis + 1 :])

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        # The first difference may change it, no later one does.
        found: np.dtype[Any] = np.diff(np.empty(0, dtypes[0]), min(self.n, 2)).dtype
        return found

    def needs(self, shape: Shape, region: Region) -> list[Region]:
        part = slice(region[self.axis].start, region[self.axis].stop + self.n)
        return [(*region[: self.axis], part, *region[self.axis + 1 :])]

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        block = args.pull(0, self.needs(args.shapes[0], region)[0])
        return np.diff(block, self.n, self.axis)

    def cuts(self, chunks: Chunks, shape: Shape) -> Chunks:
        pieces = between(accumulate(chunks[self.axis]), max(shape[self.axis] - self.n, 0))
        return (*chunks[: self.axis], pieces, *chunks[self.axis + 1 :])


@dataclass(frozen=True)
class Sliding(Single):
    """Windows that begin at every element, along axes (counted from 0); a view.

    Examples
    --------
    >>> Sliding(3, 0).shape([(5, 2)])
    (3, 2, 3)
    """

    window: int | tuple[int, ...]
    axis: int | tuple[int, ...]
    name = "sliding_window_view"

    def __post_init__(self) -> None:
        for field, value in (("window", self.window), ("axis", self.axis)):
            object.__setattr__(self, field, value if isinstance(value, tuple) else (value,))

    def _windows(self) -> list[tuple[int, int]]:
        assert isinstance(self.window, tuple)
        assert isinstance(self.axis, tuple)
        return list(zip(self.axis, self.window, strict=True))

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        windows, left = self._windows(), list(shapes[0])
        self._known(shapes[0], [axis for axis, _ in windows])
        for axis, size in windows:
            if size < 0:
                raise ValueError("window_shape cannot contain negative values")
            if left[axis] < size:
                raise ValueError("window shape cannot be larger than input array shape")
            left[axis] -= size - 1
        return (*left, *(size for _, size in windows))

    def needs(self, shape: Shape, region: Region) -> list[Region]:
        found = list(region[: len(shape)])
        for (axis, _), part in zip(self._windows(), region[len(shape) :], strict=True):
            own = found[axis]
            found[axis] = slice(own.start + part.start, own.stop + part.stop - 1)
        return [tuple(found)]

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        block = args.pull(0, self.needs(args.shapes[0], region)[0])
        strides = block.strides + tuple(block.strides[axis] for axis, _ in self._windows())
        # Within the block: a window's last element is the last that was pulled.
        return np.lib.stride_tricks.as_strided(block, extents(region), strides, writeable=False)

    def cuts(self, chunks: Chunks, shape: Shape) -> Chunks:
        left = list(chunks)
        made = self.shape([shape])
        for axis, _ in self._windows():
            left[axis] = between(accumulate(chunks[axis]), made[axis])
        return (*left, *((size,) for _, size in self._windows()))
