"""Order and running sums, which need all of an axis to make any of it; chooses no blocks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..grid import Chunks, Region
from .base import Arguments, Block, Operation, Shape, extents
from .elementwise import Literal as Scalar

__all__ = [
    "Argpartition",
    "Argsort",
    "Cumulative",
    "Lines",
    "Partition",
    "Sort",
    "Taken",
    "keep_told",
    "probed",
]

# Of the argument at a time, where single lines are shorter: near the size of an L3 cache.
_PIECE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Taken:
    """An argument of which all is needed along some axes, and the region's part along others."""

    shape: Shape
    sources: tuple[int | None, ...]
    """Per axis of the argument: the axis of the result whose part it takes; None: all."""

    def regions(self, region: Region) -> list[Region]:
        return [self.part(region)]

    def part(self, region: Region) -> Region:
        return tuple(
            slice(0, size) if source is None else region[source]
            for size, source in zip(self.shape, self.sources, strict=True)
        )


@dataclass(frozen=True, slots=True)
class _Before:
    """All that is before the end of the region along an axis, less `shift` elements."""

    axis: int
    shift: int

    def regions(self, region: Region) -> list[Region]:
        end = slice(0, max(region[self.axis].stop - self.shift, 0))
        return [(*region[: self.axis], end, *region[self.axis + 1 :])]


class Lines(Operation):
    """A function that NumPy applies to whole lines, along one or several axes."""

    def _sources(self, ndim: int) -> tuple[int | None, ...]:
        """As of `Taken`."""
        raise NotImplementedError(type(self).__name__)

    def _apply(self, block: Block) -> Any:
        """All of the result of whole lines, with the axes that the result has."""
        raise NotImplementedError(type(self).__name__)

    def reach(self, k: int, shapes: Sequence[Shape]) -> Taken:
        return Taken(tuple(shapes[0]), self._sources(len(shapes[0])))

    def uncut(self, shapes: Sequence[Shape]) -> frozenset[int]:
        return frozenset(range(len(self.shape(shapes)))) - {*self._sources(len(shapes[0]))}

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        reach, own = self.reach(0, args.shapes), self.uncut(args.shapes)
        sizes = zip(reach.shape, reach.sources, strict=True)
        line = math.prod(size for size, source in sizes if source is None)
        cut = [axis for axis in range(len(region)) if axis not in own]
        pieces = list(_pieces(region, cut, line * args.dtypes[0].itemsize))
        found = out if out is not None and out.dtype == args.dtype else None
        for piece in pieces:
            lines = np.asarray(self._apply(args.pull(0, reach.part(piece))))
            lines = lines[
                tuple(
                    own_part if axis in own else slice(None) for axis, own_part in enumerate(piece)
                )
            ]
            if found is None and len(pieces) == 1:
                return lines.astype(args.dtype, copy=False)
            if found is None:
                found = np.empty(extents(region), args.dtype)
            found[_within(piece, region)] = lines
        assert found is not None, region
        return found

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        """Cut where the argument is, and in one piece along axes of the operation's own."""
        given = chunks[0]
        if given is None:
            return None
        found: list[tuple[int, ...]] = [(size,) for size in self.shape(shapes)]
        for sizes, source in zip(given, self._sources(len(given)), strict=True):
            if source is not None:
                found[source] = sizes
        return tuple(found)


class _Ordered(Lines):
    """A function of one axis that keeps the shape."""

    divisible = False
    apart = True
    axis: int

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        normalize_axis_index(self.axis, len(shapes[0]))
        return tuple(shapes[0])

    def _sources(self, ndim: int) -> tuple[int | None, ...]:
        axis = normalize_axis_index(self.axis, ndim)
        return tuple(None if one == axis else one for one in range(ndim))

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        return chunks[0]


@dataclass(frozen=True)
class Sort(_Ordered):
    """Lines in order; descending ones are ascending ones backwards, NaN first.

    Examples
    --------
    >>> Sort(-1).uncut([(3, 4)])
    frozenset({1})
    """

    axis: int = -1
    stable: bool = True
    descending: bool = False
    name = "sort"

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        shape = args.shapes[0]
        axis = normalize_axis_index(self.axis, len(shape))
        line = shape[axis] * args.dtype.itemsize
        whole_lines = extents(region)[axis] == shape[axis]
        if out is None or out.dtype != args.dtype or line <= _PIECE_BYTES or not whole_lines:
            return super().make(region, args, out)
        # In place: one line may be more than memory holds, and `out` a file.
        for piece in _pieces(region, range(len(shape)), args.dtype.itemsize):
            out[_within(piece, region)] = args.pull(0, piece)
        out.sort(axis=axis, stable=self.stable)
        if self.descending:
            _turn(np.moveaxis(out, axis, 0))
        return out

    def _apply(self, block: Block) -> Any:
        found = np.sort(block, axis=self.axis, stable=self.stable)
        return np.flip(found, self.axis) if self.descending else found


@dataclass(frozen=True)
class Argsort(_Ordered):
    """Positions that put lines in order; of equals the first is first, descending too.

    Examples
    --------
    >>> Argsort(0, True, True).dtype([np.dtype("f4")])
    dtype('int64')
    """

    axis: int = -1
    stable: bool = True
    descending: bool = False
    name = "argsort"

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return np.dtype(np.intp)

    def _apply(self, block: Block) -> Any:
        if not self.descending:
            return np.argsort(block, axis=self.axis, stable=self.stable)
        # Turned before and after: turned only after, equals would be in reverse.
        found = np.argsort(np.flip(block, self.axis), axis=self.axis, stable=self.stable)
        return block.shape[self.axis] - 1 - np.flip(found, self.axis)


@dataclass(frozen=True)
class Partition(_Ordered):
    """Lines of which the elements numbered `kth` are where sorting would put them.

    Examples
    --------
    >>> Partition(2, 0).shape([(5, 3)])
    (5, 3)
    """

    kth: int | tuple[int, ...]
    axis: int = -1
    name = "partition"

    def _apply(self, block: Block) -> Any:
        return np.partition(block, self.kth, axis=self.axis)


@dataclass(frozen=True)
class Argpartition(_Ordered):
    """Positions that partition lines, as `Partition` does.

    Examples
    --------
    >>> Argpartition((0, 1)).dtype([np.dtype("f4")])
    dtype('int64')
    """

    kth: int | tuple[int, ...]
    axis: int = -1
    name = "argpartition"

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return np.dtype(np.intp)

    def _apply(self, block: Block) -> Any:
        return np.argpartition(block, self.kth, axis=self.axis)


@dataclass(frozen=True)
class Cumulative(Operation):
    """What a ufunc makes of all elements up to each, along an axis; made in pieces of it.

    Examples
    --------
    >>> op = Cumulative("add", 0, None, include_initial=True)
    >>> op.shape([(5, 3)]), op.dtype([np.dtype("i1")])
    ((6, 3), dtype('int64'))
    """

    ufunc: str
    axis: int
    result_dtype: np.dtype[Any] | None = None
    include_initial: bool = False
    """Whether the ufunc's identity comes first."""
    name: str = "cumulative"
    divisible = False
    apart = True

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        axis = normalize_axis_index(self.axis, len(shapes[0]))
        if self.include_initial and getattr(np, self.ufunc).identity is None:
            raise ValueError(f"{self.ufunc} has no identity: include_initial must be False")
        shape = shapes[0]
        return (*shape[:axis], shape[axis] + self.include_initial, *shape[axis + 1 :])

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return probed(self, dtypes[0])

    def probe(self, dtype: np.dtype[Any]) -> Any:
        return getattr(np, self.ufunc).accumulate(np.zeros(1, dtype), dtype=self.result_dtype)

    def reach(self, k: int, shapes: Sequence[Shape]) -> _Before:
        return _Before(normalize_axis_index(self.axis, len(shapes[0])), int(self.include_initial))

    def uncut(self, shapes: Sequence[Shape]) -> frozenset[int]:
        return frozenset({normalize_axis_index(self.axis, len(shapes[0]))})

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        ufunc, shift = getattr(np, self.ufunc), int(self.include_initial)
        axis = normalize_axis_index(self.axis, len(region))
        start = region[axis].start
        found = (
            out
            if out is not None and out.dtype == args.dtype
            else np.empty(extents(region), args.dtype)
        )
        along = np.moveaxis(found, axis, 0)
        if shift and start == 0:
            along[0] = ufunc.identity
        (before,) = self.reach(0, args.shapes).regions(region)
        line = math.prod(extents(region)) // extents(region)[axis]
        last: Any = None
        for piece in _pieces(before, [axis], line * args.dtype.itemsize):
            block = np.moveaxis(args.pull(0, piece).astype(args.dtype), axis, 0)
            # NumPy adds one after the other: going on from the last is the same to the bit.
            if last is not None:
                block[0] = ufunc(last, block[0])
            ufunc.accumulate(block, axis=0, dtype=args.dtype, out=block)
            last = block[-1].copy()
            at = piece[axis].start + shift - start
            if at + len(block) > 0:
                along[max(at, 0) : at + len(block)] = block[max(-at, 0) :]
        return found

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        return None if self.include_initial else chunks[0]


@lru_cache(maxsize=1024)
def probed(operation: Any, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Ask NumPy, on a few zeros: its rules, and its errors."""
    with np.errstate(all="ignore"):
        return np.asarray(operation.probe(dtype)).dtype


def keep_told(operation: Operation, *fields: str) -> None:
    """Tell 1 from 1.0, of which NumPy makes other dtypes, and let NaN be equal to itself."""
    for field in fields:
        given = getattr(operation, field)
        kept = given if isinstance(given, Scalar) else Scalar(given)
        object.__setattr__(operation, field, kept)


def _turn(lines: Block) -> None:
    """Reverse the first axis in place, with little memory."""
    size = len(lines)
    step = max(1, _PIECE_BYTES // max(lines.nbytes // max(size, 1), 1))
    for at in range(0, size // 2, step):
        stop = min(at + step, size // 2)
        kept = lines[at:stop].copy()
        lines[at:stop] = lines[size - stop : size - at][::-1]
        lines[size - stop : size - at] = kept[::-1]


def _pieces(region: Region, axes: Iterable[int], nbytes: int) -> Iterator[Region]:
    """Cut a region along axes, where an element of them is so many bytes."""
    most = _PIECE_BYTES // max(nbytes, 1)
    cuts = [[part] for part in region]
    for axis in sorted(axes, reverse=True):
        part = region[axis]
        step = max(1, min(part.stop - part.start, most))
        most //= step
        cuts[axis] = [
            slice(at, min(at + step, part.stop)) for at in range(part.start, part.stop, step)
        ]
    return product(*cuts)


def _within(piece: Region, region: Region) -> Region:
    return tuple(
        slice(part.start - own.start, part.stop - own.start)
        for part, own in zip(piece, region, strict=True)
    )
