"""Other axes for the same elements: permuted, split, joined, broadcast; it reorders nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise, product
from typing import NamedTuple

import numpy as np

from ..grid import Chunks, Region
from .base import Arguments, Block, Shape, extents
from .elementwise import Spread, merged_cuts
from .single import FEW, GAP, Single, pick, room, within

__all__ = ["BroadcastTo", "Reshape", "Transpose", "expand_dims", "squeeze"]


@dataclass(frozen=True)
class Transpose(Single):
    """Axes in another order; new ones of extent 1 (None), and without some that have extent 1.

    Examples
    --------
    >>> Transpose((2, None, 0)).shape([(4, 1, 6)])
    (6, 1, 4)
    """

    axes: tuple[int | None, ...]
    """For each axis of the result the argument's, counted from 0, or None."""
    name = "transpose"
    views = True

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
class Reshape(Single):
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
            [box for one in ranges for box in _boxes(one.start, one.stop, pick(shape, group[0]))]
            for group, ranges in zip(groups, self._ranges(groups, region), strict=True)
        ]
        sources = [group[0] for group in groups]
        return [_placed(len(shape), sources, boxes) for boxes in product(*found)]

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        groups = _groups(args.shapes[0], self.target)
        ranges = self._ranges(groups, region)
        alone = all(len(one) == 1 for one in ranges)
        result = None if alone else room(region, args, out)
        targets = [group[1] for group in groups]
        for chosen in product(*ranges):
            box = _placed(len(region), targets, [one.box for one in chosen])
            part = tuple(
                slice(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(region, box, strict=True)
            )
            flat = self._pulled(args, [group[0] for group in groups], chosen)
            block = flat.reshape(extents(box))[within(part, box)]
            if result is None:
                return block
            result[within(part, region)] = block
        assert result is not None
        return result

    def _ranges(self, groups: tuple[_Group, ...], region: Region) -> list[list[_Range]]:
        return [_ranges(pick(self.target, mine), pick(region, mine)) for _, mine in groups]

    def _pulled(self, args: Arguments, groups: list[Shape], ranges: Sequence[_Range]) -> Block:
        """One range of each group; the result has an axis for each."""
        shape = args.shapes[0]
        lengths = [one.stop - one.start for one in ranges]
        boxes = [
            _boxes(one.start, one.stop, pick(shape, group))
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
            inner = math.prod(pick(shape, source[1:]))
            rest = math.prod(pick(self.target, mine[1:]))
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


@dataclass(frozen=True)
class BroadcastTo(Single):
    """A view in a larger shape, by NumPy's rule.

    Examples
    --------
    >>> BroadcastTo((3, 4)).reach(0, [(4,)]).regions((slice(1, 2), slice(2, 4)))
    [(slice(2, 4, None),)]
    """

    target: Shape
    name = "broadcast_to"
    views = True

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
