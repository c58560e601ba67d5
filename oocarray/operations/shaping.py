"""Put the elements of one array in other places; computes with none of them, but for `Diff`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise, product
from typing import Any, NamedTuple

import numpy as np

from ..grid import Chunks, Region
from .base import Arguments, Block, Operation, Shape, extents
from .elementwise import Literal, Spread, merged_cuts

__all__ = [
    *("BroadcastTo", "Diag", "Diagonal", "Diff", "Flip", "Pad", "Repeat", "Reshape", "Roll"),
    *("Sliding", "Tile", "Transpose", "Triangle", "expand_dims", "squeeze"),
]

# A pull costs about as much as copying some thousand elements: of many short ranges with small
# gaps, the gaps are pulled too.
FEW, GAP = 16, 64
# Squares along a diagonal are narrower than a page, which one element costs anyway; there are
# wider ones where there would be too many.
SQUARE, SQUARES = 32, 4096


@dataclass(frozen=True)
class _Through:
    """The reach of an operation on one argument, which knows it by itself."""

    operation: _Single
    shape: Shape

    def regions(self, region: Region) -> list[Region]:
        return self.operation.needs(self.shape, region) if all(extents(region)) else []


class _Single(Operation):
    """An operation of one argument."""

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        return tuple(shapes[0])

    def reach(self, k: int, shapes: Sequence[Shape]) -> _Through | None:
        return _Through(self, tuple(shapes[k]))

    def needs(self, shape: Shape, region: Region) -> list[Region]:
        """Regions of an argument of this shape that a region, not empty, is made of."""
        raise NotImplementedError(type(self).__name__)

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        return None if chunks[0] is None else self.cuts(chunks[0], tuple(shapes[0]))

    def cuts(self, chunks: Chunks, shape: Shape) -> Chunks | None:
        """Blocks of the result for an argument that has these."""
        return chunks

    def _known(self, shape: Shape, axes: Iterable[int]) -> None:
        for axis in axes:
            if not -1 < axis < len(shape):
                raise np.exceptions.AxisError(axis, len(shape))
            if math.isnan(shape[axis]):
                raise ValueError(
                    f"{self.name} needs the extent of axis {axis}, which is not known; call "
                    "compute_chunk_sizes() first"
                )


@dataclass(frozen=True)
class Transpose(_Single):
    """Axes in another order; new ones of extent 1 (None), and without some that have extent 1.

    Examples
    --------
    >>> Transpose((2, None, 0)).shape([(4, 1, 6)])
    (6, 1, 4)
    """

    axes: tuple[int | None, ...]
    """For each axis of the result the argument's, counted from 0, or None."""
    name = "transpose"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        shape = shapes[0]
        kept = [axis for axis in self.axes if axis is not None]
        for axis in kept:
            if not -1 < axis < len(shape):
                raise np.exceptions.AxisError(axis, len(shape))
        if len({*kept}) != len(kept):
            raise ValueError("repeated axis in transpose")
        if any(shape[axis] != 1 for axis in {*range(len(shape))} - {*kept}):
            raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
        return tuple(1 if axis is None else shape[axis] for axis in self.axes)

    def needs(self, shape: Shape, region: Region) -> list[Region]:
        found = [slice(0, 1)] * len(shape)
        for part, axis in zip(region, self.axes, strict=True):
            if axis is not None:
                found[axis] = part
        return [tuple(found)]

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        block = args.pull(0, self.needs(args.shapes[0], region)[0])
        kept = [axis for axis in self.axes if axis is not None]
        left = sorted({*range(block.ndim)} - {*kept})
        block = block.transpose(kept + left)
        block = block.reshape(block.shape[: len(kept)])
        return block[tuple(None if axis is None else slice(None) for axis in self.axes)]

    def cuts(self, chunks: Chunks, shape: Shape) -> Chunks:
        return tuple((1,) if axis is None else chunks[axis] for axis in self.axes)


def expand_dims(ndim: int, axes: Iterable[int]) -> Transpose:
    """New axes of extent 1 at these positions of the result.

    Examples
    --------
    >>> expand_dims(2, (0, -1)).axes
    (None, 0, 1, None)
    """
    new = np.lib.array_utils.normalize_axis_tuple(tuple(axes), ndim + len(tuple(axes)))
    old = iter(range(ndim))
    return Transpose(tuple(None if k in new else next(old) for k in range(ndim + len(new))))


def squeeze(shape: Shape, axes: Iterable[int] | None = None) -> Transpose:
    """Without these axes, by default without all that have extent 1.

    Examples
    --------
    >>> squeeze((1, 5, 1)).axes
    (1,)
    """
    ones = [axis for axis, extent in enumerate(shape) if extent == 1]
    gone = np.lib.array_utils.normalize_axis_tuple(ones if axes is None else axes, len(shape))
    return Transpose(tuple(axis for axis in range(len(shape)) if axis not in gone))


@dataclass(frozen=True)
class Reshape(_Single):
    """The same elements in C order in another shape.

    Examples
    --------
    >>> Reshape((6,)).reach(0, [(2, 3)]).regions((slice(1, 5),))
    [(slice(0, 1, None), slice(1, 3, None)), (slice(1, 2, None), slice(0, 2, None))]
    """

    target: Shape
    name = "reshape"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        self._known(shapes[0], range(len(shapes[0])))
        size = math.prod(shapes[0])
        if size != math.prod(self.target) or min(self.target, default=0) < 0:
            raise ValueError(f"cannot reshape array of size {size} into shape {self.target}")
        return self.target

    def needs(self, shape: Shape, region: Region) -> list[Region]:
        groups = _groups(shape, self.target)
        found = [
            [box for one in ranges for box in _boxes(one.start, one.stop, _pick(shape, group[0]))]
            for group, ranges in zip(groups, self._ranges(groups, region), strict=True)
        ]
        sources = [group[0] for group in groups]
        return [_placed(len(shape), sources, boxes) for boxes in product(*found)]

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        groups = _groups(args.shapes[0], self.target)
        ranges = self._ranges(groups, region)
        alone = all(len(one) == 1 for one in ranges)
        result = None if alone else _room(region, args, out)
        targets = [group[1] for group in groups]
        for chosen in product(*ranges):
            box = _placed(len(region), targets, [one.box for one in chosen])
            part = tuple(
                slice(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(region, box, strict=True)
            )
            flat = self._pulled(args, [group[0] for group in groups], chosen)
            block = flat.reshape(extents(box))[_within(part, box)]
            if result is None:
                return block
            result[_within(part, region)] = block
        assert result is not None
        return result

    def _ranges(self, groups: tuple[_Group, ...], region: Region) -> list[list[_Range]]:
        return [_ranges(_pick(self.target, mine), _pick(region, mine)) for _, mine in groups]

    def _pulled(self, args: Arguments, groups: list[Shape], ranges: Sequence[_Range]) -> Block:
        """One range of each group; the result has an axis for each."""
        shape = args.shapes[0]
        lengths = [one.stop - one.start for one in ranges]
        boxes = [
            _boxes(one.start, one.stop, _pick(shape, group))
            for one, group in zip(ranges, groups, strict=True)
        ]
        if all(len(one) == 1 for one in boxes):
            only = _placed(len(shape), groups, [one[0] for one in boxes])
            return args.pull(0, only).reshape(lengths)
        flat = np.empty(lengths, args.dtype)
        sizes = [[math.prod(extents(box)) for box in one] for one in boxes]
        parts = [[slice(a, b) for a, b in pairwise(accumulate(one, initial=0))] for one in sizes]
        for chosen, place in zip(product(*boxes), product(*parts), strict=True):
            block = args.pull(0, _placed(len(shape), groups, chosen))
            flat[place] = block.reshape(extents(place))
        return flat

    def cuts(self, chunks: Chunks, shape: Shape) -> Chunks | None:
        if 0 in shape:
            return None
        found = [(1,)] * len(self.target)
        for source, mine in _groups(shape, self.target):
            inner = math.prod(_pick(shape, source[1:]))
            rest = math.prod(_pick(self.target, mine[1:]))
            sizes = [size * inner for size in chunks[source[0]] if size]
            if any(len(chunks[axis]) > 1 for axis in source[1:]) or any(n % rest for n in sizes):
                return None
            found[mine[0]] = tuple(size // rest for size in sizes)
            for axis in mine[1:]:
                found[axis] = (self.target[axis],)
        return tuple(found)


_Group = tuple[Shape, Shape]


class _Range(NamedTuple):
    """Elements that follow each other in C order, and the box they are."""

    start: int
    stop: int
    box: Region


@lru_cache(maxsize=4096)
def _groups(source: Shape, target: Shape) -> tuple[_Group, ...]:
    """Axes of both that have as many elements together, as few as can be; none of extent 1."""
    mine = [axis for axis, extent in enumerate(source) if extent != 1]
    theirs = [axis for axis, extent in enumerate(target) if extent != 1]
    found, i, j = [], 0, 0
    while i < len(mine):
        first, i, j = (i, j), i + 1, j + 1
        left, right = source[mine[i - 1]], target[theirs[j - 1]]
        while left != right:
            if left < right:
                left, i = left * source[mine[i]], i + 1
            else:
                right, j = right * target[theirs[j]], j + 1
        found.append((tuple(mine[first[0] : i]), tuple(theirs[first[1] : j])))
    return tuple(found)


def _ranges(shape: Shape, region: Region) -> list[_Range]:
    """Ranges that hold a region, together little more than that."""
    sizes, axis = extents(region), len(shape) - 1
    while axis and (
        sizes[axis] == shape[axis]
        or (
            math.prod(sizes[:axis]) > FEW
            and math.prod(shape[axis:]) - math.prod(sizes[axis:])
            <= max(math.prod(sizes[axis:]), GAP)
        )
    ):
        axis -= 1
    inner, part = math.prod(shape[axis + 1 :]), region[axis]
    rest = tuple(slice(0, extent) for extent in shape[axis + 1 :])
    found = []
    for lead in product(*(range(one.start, one.stop) for one in region[:axis])):
        row = 0
        for at, extent in zip(lead, shape, strict=False):
            row = row * extent + at
        row *= shape[axis]
        box = (*(slice(at, at + 1) for at in lead), part, *rest)
        found.append(_Range((row + part.start) * inner, (row + part.stop) * inner, box))
    return found


def _boxes(start: int, stop: int, shape: Shape) -> list[Region]:
    """The boxes that a range is: the end of a row, whole rows, the beginning of one."""
    if len(shape) == 1:
        return [(slice(start, stop),)]
    rest = shape[1:]
    inner = math.prod(rest)
    (first, head), (last, tail) = divmod(start, inner), divmod(stop, inner)
    if first == last:
        return [(slice(first, first + 1), *box) for box in _boxes(head, tail, rest)]
    found: list[Region] = []
    if head:
        found += [(slice(first, first + 1), *box) for box in _boxes(head, inner, rest)]
        first += 1
    if first < last:
        found.append((slice(first, last), *(slice(0, extent) for extent in rest)))
    if tail:
        found += [(slice(last, last + 1), *box) for box in _boxes(0, tail, rest)]
    return found


def _placed(ndim: int, groups: Sequence[Shape], boxes: Sequence[Region]) -> Region:
    found = [slice(0, 1)] * ndim
    for axes, box in zip(groups, boxes, strict=True):
        for axis, part in zip(axes, box, strict=True):
            found[axis] = part
    return tuple(found)


def _pick(values: Sequence[Any], axes: Iterable[int]) -> tuple[Any, ...]:
    return tuple(values[axis] for axis in axes)


def _within(region: Region, box: Region) -> Region:
    """A region as it is counted from the beginning of another."""
    return tuple(
        slice(part.start - one.start, part.stop - one.start)
        for part, one in zip(region, box, strict=True)
    )


def _room(region: Region, args: Arguments, out: Block | None) -> Block:
    return out if out is not None else np.empty(extents(region), args.dtype)


def _between(edges: Iterable[int], extent: int) -> tuple[int, ...]:
    """Pieces of an axis that is cut at `edges`."""
    inside = sorted({0, extent, *(edge for edge in edges if 0 < edge < extent)})
    return tuple(b - a for a, b in pairwise(inside)) or (0,)


@dataclass(frozen=True)
class BroadcastTo(_Single):
    """A view in a larger shape, by NumPy's rule.

    Examples
    --------
    >>> BroadcastTo((3, 4)).reach(0, [(4,)]).regions((slice(1, 2), slice(2, 4)))
    [(slice(2, 4, None),)]
    """

    target: Shape
    name = "broadcast_to"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        shape = shapes[0]
        lead = len(self.target) - len(shape)
        for axis, extent in enumerate(shape):
            wanted = self.target[lead + axis] if lead >= 0 else -1
            if math.isnan(extent) and not math.isnan(wanted) and lead >= 0:
                self._known(shape, [axis])
            if extent not in (1, wanted) and not math.isnan(extent):
                raise ValueError(f"cannot broadcast an array of shape {shape} to {self.target}")
        if lead < 0 or min(self.target, default=0) < 0:
            raise ValueError(f"cannot broadcast an array of shape {shape} to {self.target}")
        return self.target

    def needs(self, shape: Shape, region: Region) -> list[Region]:
        return Spread(shape).regions(region)

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        block = args.pull(0, self.needs(args.shapes[0], region)[0])
        return np.broadcast_to(block, extents(region))

    def cuts(self, chunks: Chunks, shape: Shape) -> Chunks | None:
        return merged_cuts([chunks, None], [shape, self.target])


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


class _Mapped(_Single):
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
        result = _room(region, args, out)
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
            _between((a + edge for edge in accumulate(sizes, initial=0)), a + n + b)
            if a or b
            else sizes
            for sizes, n, (a, b) in zip(chunks, shape, self.widths, strict=True)
        )


@dataclass(frozen=True)
class Repeat(_Single):
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
class Triangle(_Single):
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
            result[_within(needed, region)] = block
        return np.zeros(extents(region), args.dtype) if result is None else result


@dataclass(frozen=True)
class Diagonal(_Single):
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
        result = None if len(needed) == 1 else _room(region, args, out)
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
        return (*self._others(chunks), _between(edges, self.shape([shape])[-1]))


def _corner(offset: int) -> tuple[int, int]:
    """Row and column where a diagonal begins."""
    return max(-offset, 0), max(offset, 0)


@dataclass(frozen=True)
class Diag(_Single):
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
class Diff(_Single):
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
        pieces = _between(accumulate(chunks[self.axis]), max(shape[self.axis] - self.n, 0))
        return (*chunks[: self.axis], pieces, *chunks[self.axis + 1 :])


@dataclass(frozen=True)
class Sliding(_Single):
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
            left[axis] = _between(accumulate(chunks[axis]), made[axis])
        return (*left, *((size,) for _, size in self._windows()))
