"""Functions of elements, and of tables or neighbours beside them; sorts no table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..grid import Chunks, Region
from .along import Taken, keep_told, probed
from .base import Arguments, Block, Operation, Shape, whole

__all__ = ["Digitize", "Gradient", "Interp", "Isin", "Searchsorted", "unique_all"]


@dataclass(frozen=True, slots=True)
class _Around:
    """The region and a neighbour each side; at an end as many as the difference there takes."""

    shape: Shape
    axis: int
    least: int

    def regions(self, region: Region) -> list[Region]:
        part, size = region[self.axis], self.shape[self.axis]
        start, stop = max(part.start - 1, 0), min(part.stop + 1, size)
        if part.start == 0:
            stop = max(stop, min(self.least, size))
        if part.stop == size:
            start = min(start, max(size - self.least, 0))
        return [(*region[: self.axis], slice(start, stop), *region[self.axis + 1 :])]


@dataclass(frozen=True)
class Gradient(Operation):
    """Differences of neighbours along an axis; a second argument, of 1 axis, is coordinates.

    Examples
    --------
    >>> Gradient(0).reach(0, [(9, 4)]).regions((slice(3, 5), slice(0, 4)))
    [(slice(2, 6, None), slice(0, 4, None))]
    """

    axis: int
    spacing: Any = 1.0
    """Where there are no coordinates."""
    edge_order: Literal[1, 2] = 1
    name = "gradient"

    def __post_init__(self) -> None:
        keep_told(self, "spacing")

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        size = shapes[0][normalize_axis_index(self.axis, len(shapes[0]))]
        if size <= self.edge_order:
            raise ValueError(
                f"gradient of edge_order={self.edge_order} needs {self.edge_order + 1} elements "
                f"along axis {self.axis}, which has {size}"
            )
        if len(shapes) > 1 and tuple(shapes[1]) != (size,):
            raise ValueError(f"gradient needs {size} coordinates, not {tuple(shapes[1])}")
        return tuple(shapes[0])

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return probed(self, dtypes[0])

    def probe(self, dtype: np.dtype[Any]) -> Any:
        return np.gradient(np.zeros(3, dtype), edge_order=self.edge_order)

    def reach(self, k: int, shapes: Sequence[Shape]) -> _Around | Taken:
        if k == 1:
            # Coordinates that are even everywhere are treated otherwise than those that are not.
            return Taken(tuple(shapes[1]), (None,))
        axis = normalize_axis_index(self.axis, len(shapes[0]))
        return _Around(tuple(shapes[0]), axis, self.edge_order + 1)

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        axis = normalize_axis_index(self.axis, len(region))
        (near,) = self.reach(0, args.shapes).regions(region)
        block, start = args.pull(0, near), near[axis].start
        spacing: Any = self.spacing.value
        if len(args.shapes) > 1:
            every = args.pull(1, whole(args.shapes[1]))
            if every.dtype.kind in "iu":
                every = every.astype(np.float64)  # as NumPy: small ones would wrap around
            steps = np.diff(every)
            spacing = every[near[axis]]
            if bool((steps == steps[0]).all()):
                spacing = steps[0]
            elif bool((np.diff(spacing) == np.diff(spacing)[0]).all()):
                block, spacing, start = _unevenly(block, spacing, axis, near[axis])
        found = np.gradient(block, spacing, axis=axis, edge_order=self.edge_order)
        part = slice(region[axis].start - start, region[axis].stop - start)
        return np.moveaxis(np.moveaxis(np.asarray(found), axis, 0)[part], 0, axis)

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        return chunks[0]


def _unevenly(block: Block, at: Block, axis: int, near: slice) -> tuple[Block, Block, int]:
    """Add one element, at an end that is not the array's, to coordinates even only here.

    NumPy then treats them as it treats the whole, which rounds differently.
    """
    front = near.start > 0
    end, step = (0, at[0] - at[1]) if front else (-1, at[-1] - at[-2])
    more = at[end] + (2 * step if step else type(step)(1))
    spot = 0 if front else len(at)
    one = np.take(block, [end], axis=axis)
    block = np.concatenate([one, block] if front else [block, one], axis=axis)
    return block, np.insert(at, spot, more), near.start - front


class _Lookup(Operation):
    """A function of the elements of one argument, and of all of the others: tables."""

    of: int
    """The argument of which elements are looked up."""
    flat = True
    """Whether tables must have 1 axis."""

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        tables = [tuple(shape) for k, shape in enumerate(shapes) if k != self.of]
        if self.flat and any(len(shape) != 1 for shape in tables):
            raise ValueError(f"{self.name} needs tables of 1 axis, not of the shapes {tables}")
        return tuple(shapes[self.of])

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return np.dtype(np.intp)

    def reach(self, k: int, shapes: Sequence[Shape]) -> Taken | None:
        return None if k == self.of else Taken(tuple(shapes[k]), (None,) * len(shapes[k]))

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        blocks = [
            args.pull(k, region if k == self.of else whole(shape))
            for k, shape in enumerate(args.shapes)
        ]
        return np.asarray(self._apply(*blocks))

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        return chunks[self.of]

    def _apply(self, *blocks: Any) -> Any:
        raise NotImplementedError(type(self).__name__)


@dataclass(frozen=True)
class Searchsorted(_Lookup):
    """Where each element of the second argument goes in the first, which is sorted.

    Examples
    --------
    >>> Searchsorted("left").shape([(9,), (4, 2)])
    (4, 2)
    """

    side: Literal["left", "right"] = "left"
    name = "searchsorted"
    of = 1

    def _apply(self, *blocks: Any) -> Any:
        return np.searchsorted(blocks[0], blocks[1], side=self.side)


@dataclass(frozen=True)
class Digitize(_Lookup):
    """In which bin of the second argument each element of the first is.

    Examples
    --------
    >>> Digitize().shape([(4, 2), (9,)])
    (4, 2)
    """

    right: bool = False
    name = "digitize"
    of = 0

    def _apply(self, *blocks: Any) -> Any:
        return np.digitize(blocks[0], blocks[1], right=self.right)


@dataclass(frozen=True)
class Isin(_Lookup):
    """Whether each element of the first argument is anywhere in the second.

    Examples
    --------
    >>> Isin().shape([(4, 2), (9, 9)])
    (4, 2)
    """

    assume_unique: bool = False
    invert: bool = False
    name = "isin"
    of = 0
    flat = False

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return np.dtype(bool)

    def _apply(self, *blocks: Any) -> Any:
        kwargs: Any = {"assume_unique": self.assume_unique, "invert": self.invert}
        return np.isin(blocks[0], blocks[1], **kwargs)


@dataclass(frozen=True)
class Interp(_Lookup):
    """Values, between those of a table, at the elements of the first argument.

    Examples
    --------
    >>> Interp().shape([(4, 2), (9,), (9,)])
    (4, 2)
    >>> Interp(left=float("nan")) == Interp(left=float("nan"))
    True
    """

    left: Any = None
    right: Any = None
    period: Any = None
    name = "interp"
    of = 0

    def __post_init__(self) -> None:
        keep_told(self, "left", "right", "period")

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        if shapes[1] != shapes[2]:
            raise ValueError(f"interp: xp and fp differ in shape: {shapes[1]} and {shapes[2]}")
        return super().shape(shapes)

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return np.asarray(self._apply(*(np.zeros(1, dtype) for dtype in dtypes))).dtype

    def _apply(self, *blocks: Any) -> Any:
        left, right, period = self.left.value, self.right.value, self.period.value
        x, xp, fp = blocks
        return np.interp(x, xp, fp, left=left, right=right, period=period)


def unique_all(array: Block) -> tuple[Block, Block, Block, Block]:
    """Values in order, where each is first, which each element is, and how many of each.

    NaN are distinct.  The third has the array's shape.

    Examples
    --------
    >>> unique_all(np.array([[3, 1], [3, 3]]))[:2]
    (array([1, 3]), array([1, 0]))
    """
    values, indices, inverse, counts = np.unique(
        array, return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    return values, indices, inverse.reshape(array.shape), counts
