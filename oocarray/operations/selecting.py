"""Elements chosen by what other arrays hold: masks, lazy positions; counts no mask twice.

Where the elements of ``x[mask]`` are is known only after the mask was counted.  It is cut into
runs, consecutive in C order (`mask_runs`); one pass counts each (`RunCounts`), and from the
cumulated counts any part of the result leads to its runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputChangedError
from ..grid import Chunks, Region
from .base import Arguments, Block, Operation, Reach, Shape, extents
from .positions import Indices, grouped

__all__ = ["MaskRuns", "Nonzero", "RunCounts", "Select", "mask_runs"]

_RUNS_OF_A_BLOCK = 16
"""So that a block of what is selected needs about 16 MiB, however few elements it has."""
RUN_BYTES = 1 << 20  # of x per run: larger than what a request costs, small beside a budget
MOST_RUNS = 1_000_000  # whose offsets are 8 MB
MOST = 256  # groups of runs that a region of the result leads to


@dataclass(frozen=True, slots=True)
class MaskRuns:
    """A cut of a mask into boxes that follow each other in C order; see `mask_runs`.

    Examples
    --------
    >>> runs = MaskRuns((2, 5, 3), 1, 2)
    >>> runs.count, runs.boxes(1, 3)[0]
    (6, (slice(0, 1, None), slice(2, 5, None), slice(0, 3, None)))
    """

    shape: Shape
    axis: int
    """Which one is cut: those before into single positions, those after not at all."""
    step: int

    @property
    def grid(self) -> Shape:
        """How many runs there are along the axes that are cut."""
        return (*self.shape[: self.axis], -(-self.shape[self.axis] // self.step))

    @property
    def count(self) -> int:
        """How many there are: none where the mask has no elements."""
        return math.prod(self.grid) if math.prod(self.shape) else 0

    def boxes(self, first: int, stop: int) -> list[Region]:
        """The few boxes, in order, that runs `first` ... `stop` - 1 make up together."""
        found = []
        for box in _flat_boxes(first, stop, self.grid):
            low, high = box[-1].start * self.step, box[-1].stop * self.step
            cut = slice(low, min(high, self.shape[self.axis]))
            rest = (slice(0, size) for size in self.shape[self.axis + 1 :])
            found.append((*box[:-1], cut, *rest))
        return found


def mask_runs(shape: Shape, row_bytes: int, most: int = MOST_RUNS) -> MaskRuns:
    """Cut a mask of one axis or more into runs of about 1 MiB of what it selects from.

    Parameters
    ----------
    shape : tuple of int
        Of the mask.
    row_bytes : int
        Bytes of the array, for one element of the mask.
    most : int
        About how many runs at most.

    Examples
    --------
    >>> mask_runs((1000, 1000), 8)
    MaskRuns(shape=(1000, 1000), axis=0, step=131)
    """
    room = max(RUN_BYTES // max(row_bytes, 1), -(-math.prod(shape) // most), 1)
    inner, axis = 1, len(shape) - 1
    while axis and inner * shape[axis] <= room:
        inner *= shape[axis]
        axis -= 1
    return MaskRuns(tuple(shape), axis, max(min(room // max(inner, 1), shape[axis]), 1))


@dataclass(frozen=True)
class RunCounts(Operation):
    """Argument (mask): how many elements of each run are not zero.

    Examples
    --------
    >>> RunCounts(mask_runs((1000, 1000), 8)).shape([(1000, 1000)])
    (8,)
    """

    runs: MaskRuns

    name = "count_nonzero"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        _same(self.runs, tuple(shapes[0]))
        return (self.runs.count,)

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return np.dtype(np.int64)

    def reach(self, k: int, shapes: Sequence[Shape]) -> Reach:
        return _Counted(self.runs)

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        numbers = range(region[0].start, region[0].stop)
        counts = [
            np.count_nonzero(args.pull(0, box))
            for number in numbers
            for box in self.runs.boxes(number, number + 1)
        ]
        return np.array(counts, np.int64)


@dataclass(frozen=True, slots=True)
class _Counted:
    runs: MaskRuns

    def regions(self, region: Region) -> list[Region]:
        return self.runs.boxes(region[0].start, region[0].stop)


@dataclass(frozen=True)
class Select(Operation):
    """Arguments (x, mask): the elements of x where the mask, of some of its axes, is true.

    Examples
    --------
    >>> select = Select(1, mask_runs((5,), 24), Indices([0, 2]))
    >>> select.shape([(3, 5), (5,)])
    (3, 2)
    """

    axis: int
    """The first one of x that the mask covers."""
    runs: MaskRuns
    offsets: Indices | Block
    """How many elements are selected before each run, and in all: one more than runs."""

    name = "getitem"
    divisible = False  # a run is looked at as a whole, whatever is wanted of it
    uneven = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", _frozen(self.offsets))

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        _same(self.runs, tuple(shapes[1]))
        stop = self.axis + len(self.runs.shape)
        _same(self.runs, tuple(shapes[0][self.axis : stop]))
        return (*shapes[0][: self.axis], int(_frozen(self.offsets).value[-1]), *shapes[0][stop:])

    def reach(self, k: int, shapes: Sequence[Shape]) -> Reach:
        return _Held(self.runs, _frozen(self.offsets), self.axis, k == 0)

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks:
        before = [(extent,) for extent in shapes[0][: self.axis]]
        after = [(extent,) for extent in shapes[0][self.axis + len(self.runs.shape) :]]
        return (*before, _blocks(_frozen(self.offsets)), *after)

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        result = np.empty(extents(region), args.dtype) if out is None else out
        before = (slice(None),) * self.axis
        found = _found(self.runs, _frozen(self.offsets), region[self.axis], args, 1)
        for place, box, at in found:
            block = args.pull(0, (*region[: self.axis], *box, *region[self.axis + 1 :]))
            result[(*before, place)] = block[before + at]
        return result


@dataclass(frozen=True)
class Nonzero(Operation):
    """Argument (mask): positions along `axis` of its elements that are not zero, in C order.

    Examples
    --------
    >>> Nonzero(mask_runs((5, 2), 1), Indices([0, 3]), 0).shape([(5, 2)])
    (3,)
    """

    runs: MaskRuns
    offsets: Indices | Block
    axis: int

    name = "nonzero"
    divisible = False
    uneven = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", _frozen(self.offsets))

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        _same(self.runs, tuple(shapes[0]))
        return (int(_frozen(self.offsets).value[-1]),)

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return np.dtype(np.int64)

    def reach(self, k: int, shapes: Sequence[Shape]) -> Reach:
        return _Held(self.runs, _frozen(self.offsets), 0, False)

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks:
        return (_blocks(_frozen(self.offsets)),)

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        result = np.empty(extents(region), np.int64) if out is None else out
        for place, box, at in _found(self.runs, _frozen(self.offsets), region[0], args, 0):
            result[place] = at[self.axis] + box[self.axis].start
        return result


@dataclass(frozen=True, slots=True)
class _Held:
    """The runs that hold selected elements: of the mask, or of x, where other axes are beside."""

    runs: MaskRuns
    offsets: Indices
    axis: int
    beside: bool

    def regions(self, region: Region) -> list[Region]:
        numbers = _holding(self.offsets, region[self.axis])
        if not len(numbers) or 0 in extents(region):
            return []
        found = [
            box
            for (group,) in grouped([numbers], [self.runs.count], 1, MOST)
            for box in self.runs.boxes(group.start, group.stop)
        ]
        if not self.beside:
            return found
        return [(*region[: self.axis], *box, *region[self.axis + 1 :]) for box in found]


def _blocks(offsets: Indices) -> tuple[int, ...]:
    """How many elements every few runs hold, without those that hold none."""
    ends = offsets.value[::_RUNS_OF_A_BLOCK]
    if (len(offsets.value) - 1) % _RUNS_OF_A_BLOCK:
        ends = np.append(ends, offsets.value[-1])
    sizes = np.diff(ends)
    return tuple(sizes[sizes > 0].tolist()) or (0,)


def _holding(offsets: Indices, part: slice) -> Block:
    """Numbers of the runs that hold elements `part` of the selected ones."""
    first = int(np.searchsorted(offsets.value, part.start, "right")) - 1
    stop = int(np.searchsorted(offsets.value, part.stop, "left"))
    return first + np.flatnonzero(np.diff(offsets.value[first : stop + 1]))


def _found(
    runs: MaskRuns, offsets: Indices, part: slice, args: Arguments, mask: int
) -> Iterator[tuple[slice, Region, tuple[Block, ...]]]:
    """Per run: where its elements go, its box, and their positions in that."""
    for number in _holding(offsets, part).tolist():
        (box,) = runs.boxes(number, number + 1)
        start, stop = offsets.value[number : number + 2].tolist()
        at = np.nonzero(args.pull(mask, box))
        if len(at[0]) != stop - start:
            raise InputChangedError(
                f"the mask changed since it was counted: {len(at[0])} elements, not {stop - start}"
            )
        low, high = max(start, part.start), min(stop, part.stop)
        own = tuple(one[low - start : high - start] for one in at)
        yield slice(low - part.start, high - part.start), box, own


def _frozen(offsets: Indices | Block) -> Indices:
    return offsets if isinstance(offsets, Indices) else Indices(offsets)


def _same(runs: MaskRuns, shape: Shape) -> None:
    if shape != runs.shape:
        raise ValueError(f"a mask of shape {runs.shape} for axes of shape {shape}")


def _flat_boxes(first: int, stop: int, shape: Shape) -> list[Region]:
    """Cut positions `first` ... `stop` - 1, counted in C order, into boxes."""
    if first >= stop:
        return []
    if len(shape) == 1:
        return [(slice(first, stop),)]
    inner = math.prod(shape[1:])
    row, last = -(-first // inner), stop // inner
    if row > last:  # all within one row
        rest = _flat_boxes(first - last * inner, stop - last * inner, shape[1:])
        return [(slice(last, last + 1), *box) for box in rest]
    head = _flat_boxes(first - (row - 1) * inner, inner, shape[1:]) if first % inner else []
    tail = _flat_boxes(0, stop - last * inner, shape[1:])
    full = [(slice(row, last), *(slice(0, size) for size in shape[1:]))] if row < last else []
    return [
        *((slice(row - 1, row), *box) for box in head),
        *full,
        *((slice(last, last + 1), *box) for box in tail),
    ]
