"""Sums of products of two arrays, tile by tile and panel by panel; keeps no panel and no order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, NoReturn

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..grid import Chunks, Region
from .base import Arguments, Block, Operation, Shape, extents, whole
from .elementwise import merged_cuts, spread_shape

__all__ = ["Factor", "Matmul", "Outer", "Tensordot", "Vecdot"]

# Of one argument at a time; two panels and a tile of sums stay near the size of an L3 cache.
_PANEL_BYTES = 16 << 20
# A panel of this many terms over as many rows as fit is about square, which suits rows, columns
# and blocks in storage alike, and is deep enough for BLAS to run at full speed.
_DEPTH = 1024


@dataclass(frozen=True, slots=True)
class Factor:
    """An argument of a product: its axes are axes of the result, or are summed over."""

    shape: Shape
    sources: tuple[int, ...]
    """Per axis of the argument: an axis of the result, or ``-1 - j``: the j-th summed axis."""
    summed: Shape

    def regions(self, region: Region) -> list[Region]:
        return [self.part(region, whole(self.summed))]

    def part(self, region: Region, panel: Region) -> Region:
        """What a region of the result needs for one panel of the sums."""
        parts = (*region, *panel[::-1])
        return tuple(
            slice(0, 1) if size == 1 else parts[source]
            for size, source in zip(self.shape, self.sources, strict=True)
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    shape: Shape
    factors: tuple[Factor, Factor]


class _Product(Operation):
    """A product of two arguments, summed over axes that are in neither's part of the result."""

    def _plan(self, a: Shape, b: Shape) -> _Plan:
        raise NotImplementedError(type(self).__name__)

    def _product(self, a: Block, b: Block) -> Any:
        """Of blocks of one dtype; NumPy's function."""
        raise NotImplementedError(type(self).__name__)

    def _samples(self) -> tuple[Shape, Shape]:
        """Shapes on which NumPy's function tells its dtype."""
        return (1,), (1,)

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        return self._plan(shapes[0], shapes[1]).shape

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return _dtype_of(self, tuple(dtypes))

    def reach(self, k: int, shapes: Sequence[Shape]) -> Factor:
        return self._plan(shapes[0], shapes[1]).factors[k]

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        a, b = self._plan(*args.shapes).factors
        # Sums of panels in half precision would lose what NumPy keeps in its own sums.
        work = np.dtype(np.float32) if args.dtype == np.float16 else args.dtype
        fits = out is not None and out.dtype == args.dtype
        found = out if out is not None and fits else np.empty(extents(region), args.dtype)
        if 0 in a.summed:
            found[...] = 0
            return found
        depth = _panel(a, b, work.itemsize)
        panels = list(_tiles(whole(a.summed), depth))
        lengths = _tile(region, a, b, math.prod(depth), work.itemsize)
        for tile in _tiles(region, lengths):
            sums: Any = None
            for panel in panels:
                # In this order always: the same sums, however the result is cut.
                left = args.pull(0, a.part(tile, panel)).astype(work, copy=False)
                right = args.pull(1, b.part(tile, panel)).astype(work, copy=False)
                term = self._product(left, right)
                sums = term if sums is None else np.add(sums, term, out=_sums(sums))
            found[_within(tile, region)] = sums
        return found

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        """Cut each axis of the result as the arguments that have it are."""
        plan = self._plan(shapes[0], shapes[1])
        ones: list[Any] = [[1] * len(plan.shape) for _ in plan.factors]
        cuts: list[Any] = []
        for own, given, factor in zip(ones, chunks, plan.factors, strict=True):
            sizes: list[Any] = [(1,)] * len(plan.shape)
            for axis, source in enumerate(factor.sources):
                if source >= 0:
                    own[source] = factor.shape[axis]
                    sizes[source] = (1,) if given is None else given[axis]
            cuts.append(None if given is None else tuple(sizes))
        return merged_cuts(cuts, [tuple(own) for own in ones])


@dataclass(frozen=True)
class Matmul(_Product):
    """The matrix product of vectors, matrices, and stacks of matrices that are broadcast.

    Examples
    --------
    >>> Matmul().shape([(5, 2, 3), (3,)])
    (5, 2)
    >>> Matmul().reach(1, [(2, 3), (3, 4)]).regions((slice(0, 1), slice(2, 4)))
    [(slice(0, 3, None), slice(2, 4, None))]
    """

    name = "matmul"
    divisible = False

    def _plan(self, a: Shape, b: Shape) -> _Plan:
        if not a or not b:
            raise ValueError("matmul needs at least 1 axis of each argument, and not 0")
        rows, columns = a[-2:-1], b[-1:] if len(b) > 1 else ()
        terms = b[-2] if len(b) > 1 else b[0]
        if not _same(a[-1], terms):
            _refuse("matmul", a, b, f"{a[-1]} is not {terms}")
        stack = spread_shape([a[:-2], b[:-2]])
        row = len(stack)
        left = range(row - len(a[:-2]), row + len(rows))
        right = range(row - len(b[:-2]), row)
        column = (row + len(rows),) if columns else ()
        summed = (terms,)
        return _Plan(
            (*stack, *rows, *columns),
            (Factor(a, (*left, -1), summed), Factor(b, (*right, -1, *column), summed)),
        )

    def _product(self, a: Block, b: Block) -> Any:
        return np.matmul(a, b)


@dataclass(frozen=True)
class Tensordot(_Product):
    """Sums over pairs of axes, counted from 0; first the first's other axes, then the second's.

    Examples
    --------
    >>> Tensordot((1, 0), (0, 1)).shape([(3, 4, 5), (4, 3, 2)])
    (5, 2)
    """

    axes_a: tuple[int, ...]
    axes_b: tuple[int, ...]
    name = "tensordot"
    divisible = False

    def _plan(self, a: Shape, b: Shape) -> _Plan:
        axes = self.axes_a, self.axes_b
        if len(self.axes_a) != len(self.axes_b):
            raise ValueError(f"tensordot needs as many axes of each argument: {axes}")
        for own, shape in zip(axes, (a, b), strict=True):
            if len(set(own)) != len(own) or not all(0 <= axis < len(shape) for axis in own):
                raise ValueError(f"tensordot: axes {own} are not axes of the shape {shape}")
        summed = tuple(a[axis] for axis in self.axes_a)
        if not all(_same(size, b[axis]) for size, axis in zip(summed, self.axes_b, strict=True)):
            _refuse("tensordot", a, b, f"axes {self.axes_a} do not fit axes {self.axes_b}")
        factors: list[Factor] = []
        free: list[int] = []
        for own, shape in zip(axes, (a, b), strict=True):
            sources = []
            for axis, size in enumerate(shape):
                if axis in own:
                    sources.append(-1 - own.index(axis))
                else:
                    sources.append(len(free))
                    free.append(size)
            factors.append(Factor(shape, tuple(sources), summed))
        return _Plan(tuple(free), (factors[0], factors[1]))

    def _product(self, a: Block, b: Block) -> Any:
        return np.tensordot(a, b, axes=(self.axes_a, self.axes_b))

    def _samples(self) -> tuple[Shape, Shape]:
        return (1,) * (1 + max(self.axes_a, default=0)), (1,) * (1 + max(self.axes_b, default=0))


@dataclass(frozen=True)
class Vecdot(_Product):
    """Sums along one axis of both, the first conjugated; the other axes are broadcast.

    Examples
    --------
    >>> Vecdot(-1).shape([(5, 1, 3), (4, 3)])
    (5, 4)
    """

    axis: int = -1
    """Of each argument; negative ones count from its own end."""
    name = "vecdot"

    def _plan(self, a: Shape, b: Shape) -> _Plan:
        at = [normalize_axis_index(self.axis, len(shape)) for shape in (a, b)]
        terms = a[at[0]]
        if not _same(terms, b[at[1]]):
            _refuse("vecdot", a, b, f"{terms} is not {b[at[1]]} along axis {self.axis}")
        others = [shape[:axis] + shape[axis + 1 :] for shape, axis in zip((a, b), at, strict=True)]
        together = spread_shape(others)
        factors = []
        for shape, axis, other in zip((a, b), at, others, strict=True):
            sources = list(range(len(together) - len(other), len(together)))
            sources.insert(axis, -1)
            factors.append(Factor(shape, tuple(sources), (terms,)))
        return _Plan(together, (factors[0], factors[1]))

    def _product(self, a: Block, b: Block) -> Any:
        kwargs: Any = {"axis": self.axis}  # NumPy's stubs do not know it.
        return np.vecdot(a, b, **kwargs)

    def _samples(self) -> tuple[Shape, Shape]:
        shape = (1,) * max(self.axis + 1, -self.axis)
        return shape, shape


@dataclass(frozen=True)
class Outer(_Product):
    """Each element of one vector times each of another.

    Examples
    --------
    >>> Outer().shape([(3,), (4,)])
    (3, 4)
    """

    name = "outer"

    def _plan(self, a: Shape, b: Shape) -> _Plan:
        if len(a) != 1 or len(b) != 1:
            _refuse("outer", a, b, "both need 1 axis")
        return _Plan(a + b, (Factor(a, (0,), ()), Factor(b, (1,), ())))

    def _product(self, a: Block, b: Block) -> Any:
        return np.multiply.outer(a, b)


@lru_cache(maxsize=1024)
def _dtype_of(operation: _Product, dtypes: tuple[np.dtype[Any], ...]) -> np.dtype[Any]:
    """Ask NumPy: its rules, and its errors."""
    a, b = map(np.zeros, operation._samples(), dtypes)
    return np.asarray(operation._product(a, b)).dtype


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def _refuse(name: str, a: Shape, b: Shape, why: str) -> NoReturn:
    raise ValueError(f"{name}: shapes {tuple(a)} and {tuple(b)} do not fit: {why}")


def _sums(sums: Any) -> Any:
    """Where to add to sums: in place, but for a scalar, which NumPy makes of 0 axes."""
    return sums if isinstance(sums, np.ndarray) else None


def _panel(a: Factor, b: Factor, itemsize: int) -> list[int]:
    """Extents of a panel of the sums; of shapes only, for all regions are to sum alike."""
    rows, columns = (
        math.prod(one.shape[axis] for axis, source in enumerate(one.sources) if _only(source, two))
        for one, two in ((a, b), (b, a))
    )
    depth = _PANEL_BYTES // (max(itemsize, 1) * max(rows, columns, 1))
    return _lengths(a.summed, max(depth, _DEPTH))


def _tile(region: Region, a: Factor, b: Factor, depth: int, itemsize: int) -> list[int]:
    """Extents of a tile of the result, so that a panel of either argument stays small."""
    sizes = extents(region)
    room = max(1, _PANEL_BYTES // max(itemsize, 1))
    rows = [source for source in a.sources if _only(source, b)]
    columns = [source for source in b.sources if _only(source, a)]
    stack = [axis for axis in range(len(sizes)) if axis not in rows and axis not in columns]
    lengths = list(sizes)

    def cut(axes: list[int], most: int) -> int:
        found = _lengths([sizes[axis] for axis in axes], most)
        for axis, length in zip(axes, found, strict=True):
            lengths[axis] = length
        return math.prod(found)

    wide = cut(columns, room // depth)
    # The tile itself may be twice a panel: square where both are deep.
    high = cut(rows, min(room // depth, 2 * room // wide))
    cut(stack, room // max(high * depth, wide * depth, high * wide))
    return lengths


def _only(source: int, other: Factor) -> bool:
    return source >= 0 and source not in other.sources


def _lengths(sizes: Sequence[int], most: int) -> list[int]:
    """Extents of pieces of at most so many elements, whole along the last axes."""
    found: list[int] = []
    for size in reversed(sizes):
        length = max(1, min(size, most))
        found.insert(0, length)
        most //= length
    return found


def _tiles(region: Region, lengths: Sequence[int]) -> Iterator[Region]:
    return product(
        *(
            [slice(at, min(at + length, part.stop)) for at in range(part.start, part.stop, length)]
            for part, length in zip(region, lengths, strict=True)
        )
    )


def _within(tile: Region, region: Region) -> tuple[Any, ...]:
    return tuple(
        slice(part.start - own.start, part.stop - own.start)
        for part, own in zip(tile, region, strict=True)
    )
