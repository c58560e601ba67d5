"""Elements by a map of indices along each axis: turned, rolled, repeated, padded; adds none up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, product
from typing import Any, NamedTuple

import numpy as np

from ..grid import Chunks, Region
from .base import Arguments, Block, Shape, extents
from .elementwise import Literal
from .single import FEW, Single, between, room

__all__ = ["Flip", "Pad", "Roll", "Tile"]


class _Run(NamedTuple):
    """Elements of an axis that go to neighbouring places: each `step` after the one before."""

    first: int | None
    """None: the constant."""
    size: int
    step: int

    def span(self) -> tuple[int, int]:
        assert self.first is not None
        last = self.first + self.step * (self.size - 1)
        return min(self.first, last), max(self.first, last) + 1


class _Mapped(Single):
    """Every axis is made of runs of the same axis of the argument, and of a constant."""

    def runs(self, axis: int, extent: int, start: int, stop: int) -> list[_Run]:
        """What ``start:stop`` of an axis (of the argument) is made of, in order."""
        raise NotImplementedError(type(self).__name__)

    def filling(self) -> Any:
        raise AssertionError(f"{self} has a run without elements")

    def _all(self, shape: Shape, region: Region) -> list[list[_Run]]:
        own = region[len(region) - len(shape) :]
        return [
            self.runs(axis, extent, part.start, part.stop)
            for axis, (extent, part) in enumerate(zip(shape, own, strict=True))
        ]

    def needs(self, shape: Shape, region: Region) -> list[Region]:
        return list(product(*(_spans(runs) for runs in self._all(shape, region))))

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        every = self._all(args.shapes[0], region)
        axes = [_selections(runs) for runs in every]
        if all(len(runs) == 1 and runs[0].first is not None for runs in every):
            block = args.pull(0, tuple(axis[0][0] for axis in axes))
            block = _chosen(block, [axis[0][1][0][1] for axis in axes])
            return np.broadcast_to(block, extents(region))
        result = room(region, args, out)
        if any(run.first is None for runs in every for run in runs):
            result[...] = np.full((), self.filling(), args.dtype)
        for chosen in product(*axes):
            block = args.pull(0, tuple(span for span, _ in chosen))
            for places in product(*(places for _, places in chosen)):
                piece = _chosen(block, [selector for _, selector in places])
                where: tuple[Any, ...] = (..., *(place for place, _ in places))
                result[where] = piece
        return result


def _spans(runs: Sequence[_Run]) -> list[slice]:
    """The parts of an axis that runs use, once each, in order."""
    found: list[slice] = []
    for start, stop in sorted({run.span() for run in runs if run.first is not None}):
        if found and start <= found[-1].stop:
            found[-1] = slice(found[-1].start, max(stop, found[-1].stop))
        else:
            found.append(slice(start, stop))
    return found


def _selections(runs: Sequence[_Run]) -> list[tuple[slice, list[tuple[slice, Any]]]]:
    """For each span of an axis: where in the result goes what of it."""
    found: list[tuple[slice, list[tuple[slice, Any]]]] = [(span, []) for span in _spans(runs)]
    if len(runs) > FEW:
        # Only what repeats itself has so many: all of the axis is one span.
        ((span, places),) = found
        every = [np.arange(run.size) * run.step + (run.first or 0) for run in runs]
        places.append((slice(None), np.concatenate(every) - span.start))
        return found
    at = 0
    for run in runs:
        place, at = slice(at, at + run.size), at + run.size
        if run.first is not None:
            span, places = next(one for one in found if one[0].start <= run.first < one[0].stop)
            first = run.first - span.start
            if run.step < 0:
                last = first - run.size
                places.append((place, slice(first, None if last < 0 else last, -1)))
            else:
                places.append((place, slice(first, first + run.step * (run.size - 1) + 1)))
    return found


def _chosen(block: Block, selectors: Sequence[Any]) -> Block:
    for axis, selector in enumerate(selectors):
        if not isinstance(selector, slice):
            block = np.take(block, selector, axis)
    return block[tuple(one if isinstance(one, slice) else slice(None) for one in selectors)]


def _wrapped(start: int, stop: int, extent: int) -> list[_Run]:
    """Runs of an axis that begins again after its end."""
    if extent == 1:
        return [_Run(0, stop - start, 0)]
    found = []
    while start < stop:
        count = min(extent - start % extent, stop - start)
        found.append(_Run(start % extent, count, 1))
        start += count
    return found


def _mirrored(start: int, stop: int, extent: int, skip: int) -> list[_Run]:
    """Runs of an axis that turns back at its ends, and does not repeat (`skip` 1) the last."""
    if extent == 1:
        return [_Run(0, stop - start, 0)]
    found, half = [], extent - skip
    while start < stop:
        at = start % (2 * half)
        first, room = (at, half - at) if at < half else (2 * half - 1 - at + skip, 2 * half - at)
        count = min(room, stop - start)
        found.append(_Run(first, count, 1 if at < half else -1))
        start += count
    return found


@dataclass(frozen=True)
class Flip(_Mapped):
    """Axes (counted from 0) backwards; a view.

    Examples
    --------
    >>> Flip((0,)).reach(0, [(5,)]).regions((slice(0, 2),))
    [(slice(3, 5, None),)]
    """

    axes: tuple[int, ...]
    name = "flip"
    views = True

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        self._known(shapes[0], self.axes)
        return tuple(shapes[0])

    def runs(self, axis: int, extent: int, start: int, stop: int) -> list[_Run]:
        back = axis in self.axes
        return [_Run(extent - 1 - start if back else start, stop - start, -1 if back else 1)]

    def cuts(self, chunks: Chunks, shape: Shape) -> Chunks:
        return tuple(
            sizes[::-1] if axis in self.axes else sizes for axis, sizes in enumerate(chunks)
        )


@dataclass(frozen=True)
class Roll(_Mapped):
    """Elements moved along axes (counted from 0), those at the end to the beginning.

    Examples
    --------
    >>> Roll((2,), (0,)).reach(0, [(9,)]).regions((slice(0, 4),))
    [(slice(0, 2, None),), (slice(7, 9, None),)]
    """

    shifts: tuple[int, ...]
    axes: tuple[int, ...]
    """An axis that is named twice is moved twice."""
    name = "roll"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        self._known(shapes[0], self.axes)
        return tuple(shapes[0])

    def runs(self, axis: int, extent: int, start: int, stop: int) -> list[_Run]:
        shift = sum(n for n, one in zip(self.shifts, self.axes, strict=True) if one == axis)
        if axis not in self.axes or not shift % extent:
            return [_Run(start, stop - start, 1)]
        return _wrapped(start - shift, stop - shift, extent)


@dataclass(frozen=True)
class Tile(_Mapped):
    """The array side by side with itself, as often as told for each axis, the last ones last.

    Examples
    --------
    >>> Tile((2, 3)).shape([(4,)])
    (2, 12)
    """

    reps: tuple[int, ...]
    name = "tile"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        shape, reps = self._both(shapes[0])
        if min(reps, default=0) < 0:
            raise ValueError(f"negative dimensions are not allowed: reps {self.reps}")
        self._known(shape, [axis for axis, count in enumerate(reps) if count != 1])
        return tuple(extent * count for extent, count in zip(shape, reps, strict=True))

    def _both(self, shape: Shape) -> tuple[Shape, Shape]:
        ndim = max(len(shape), len(self.reps))
        return (
            (1,) * (ndim - len(shape)) + tuple(shape),
            (1,) * (ndim - len(self.reps)) + self.reps,
        )

    def runs(self, axis: int, extent: int, start: int, stop: int) -> list[_Run]:
        return _wrapped(start, stop, extent)

    def cuts(self, chunks: Chunks, shape: Shape) -> Chunks:
        _, reps = self._both(shape)
        every = ((1,),) * (len(reps) - len(chunks)) + tuple(chunks)
        return tuple(sizes * count or (0,) for sizes, count in zip(every, reps, strict=True))


@dataclass(frozen=True)
class Pad(_Mapped):
    """More elements around an array, as `numpy.pad` has them where they are copies of others.

    Examples
    --------
    >>> Pad(((2, 1),), "reflect").reach(0, [(9,)]).regions((slice(0, 2),))
    [(slice(1, 3, None),)]
    """

    widths: tuple[tuple[int, int], ...]
    """Before and after, for each axis."""
    mode: str = "constant"
    """One of constant, edge, reflect, symmetric, wrap."""
    constant: Any = 0
    """Kept as a `Literal`."""
    name = "pad"

    def __post_init__(self) -> None:
        if self.mode not in ("constant", "edge", "reflect", "symmetric", "wrap"):
            raise ValueError(f"mode '{self.mode}' is not supported")
        if not isinstance(self.constant, Literal):
            object.__setattr__(self, "constant", Literal(self.constant))

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        shape = shapes[0]
        if len(shape) != len(self.widths):
            raise ValueError(f"{len(self.widths)} pairs of widths for {len(shape)} axes")
        if any(min(pair) < 0 for pair in self.widths):
            raise ValueError("index can't contain negative values")
        padded = [axis for axis, pair in enumerate(self.widths) if any(pair)]
        self._known(shape, padded)
        for axis in padded:
            if not shape[axis] and self.mode != "constant":
                raise ValueError(f"can't extend empty axis {axis} using modes other than constant")
        return tuple(n + sum(pair) for n, pair in zip(shape, self.widths, strict=True))

    def filling(self) -> Any:
        return self.constant.value

    def runs(self, axis: int, extent: int, start: int, stop: int) -> list[_Run]:
        start, stop = start - self.widths[axis][0], stop - self.widths[axis][0]
        if start >= 0 and stop <= extent:
            return [_Run(start, stop - start, 1)]
        if self.mode == "wrap":
            return _wrapped(start, stop, extent)
        if self.mode in ("reflect", "symmetric"):
            return _mirrored(start, stop, extent, int(self.mode == "reflect"))
        edge = self.mode == "edge"
        first, last = max(start, 0), min(stop, extent)
        found = [
            _Run(0 if edge else None, min(stop, 0) - start, 0),
            _Run(first, last - first, 1),
            _Run(extent - 1 if edge else None, stop - max(start, extent), 0),
        ]
        return [run for run in found if run.size > 0]

    def cuts(self, chunks: Chunks, shape: Shape) -> Chunks:
        return tuple(
            between((a + edge for edge in accumulate(sizes, initial=0)), a + n + b)
            if a or b
            else sizes
            for sizes, n, (a, b) in zip(chunks, shape, self.widths, strict=True)
        )
