"""Functions of elements, applied by NumPy to whole pieces; knows no function by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from ..chunking import auto_chunks
from ..grid import Chunks, Region
from .base import Arguments, Block, Operation, Shape

__all__ = ["Elementwise", "Literal", "Spread", "merged_cuts", "spread_shape"]


class Literal:
    """A scalar in an operation: equal to another only if it is of the same type and value."""

    __slots__ = ("_key", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        plain = value.tobytes() if isinstance(value, np.generic) else repr(value)
        self._key = type(value), getattr(value, "dtype", None), plain

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return repr(self.value)

    def __reduce__(self) -> tuple[Any, ...]:
        return Literal, (self.value,)


@dataclass(frozen=True, slots=True)
class Spread:
    """An argument that is broadcast: its own last axes, ``0:1`` where it has one element."""

    shape: Shape

    def regions(self, region: Region) -> list[Region]:
        return [_spread(self.shape, region)]


@dataclass(frozen=True)
class Elementwise(Operation):
    """A function of elements of arrays that are broadcast, and of scalars.

    Examples
    --------
    >>> op = Elementwise(np.add, (0, Literal(1)), (), "add")
    >>> op.shape([(3,)]), op.dtype([np.dtype("f4")]), op.dtype([np.dtype("?")])
    ((3,), dtype('float32'), dtype('int64'))
    """

    function: Callable[..., Any]
    """Picklable: a ufunc, or a function that treats blocks element by element."""
    template: tuple[Any, ...]
    """What it is called with: numbers of arguments, and `Literal`."""
    kwargs: tuple[tuple[str, Any], ...]
    name: str

    pointwise = True

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        return spread_shape(shapes)

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return _dtype_of(self, tuple(dtypes))

    def reach(self, k: int, shapes: Sequence[Shape]) -> Spread | None:
        mine = tuple(shapes[k])
        return None if mine == spread_shape(shapes) else Spread(mine)

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        blocks = [args.pull(k, _spread(shape, region)) for k, shape in enumerate(args.shapes)]
        if out is not None and _fits(out, args.dtype) and isinstance(self.function, np.ufunc):
            self.function(*self._given(blocks), out=out, **dict(self.kwargs))
            return out
        return np.asarray(self.function(*self._given(blocks), **dict(self.kwargs)))

    def _given(self, arrays: Sequence[Any]) -> list[Any]:
        return [part.value if isinstance(part, Literal) else arrays[part] for part in self.template]

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        return merged_cuts(chunks, shapes)


def spread_shape(shapes: Sequence[Shape]) -> Shape:
    """Shape that arrays have together; extents that are not known yet are taken to fit.

    Examples
    --------
    >>> spread_shape([(5, 1), (6,)]), spread_shape([(float("nan"),), ()])
    ((5, 6), (nan,))
    """
    if len(shapes) == 1 or len({*map(tuple, shapes)}) == 1:
        return tuple(shapes[0])
    together: list[Any] = [1] * max(map(len, shapes), default=0)
    for shape in shapes:
        for axis, extent in enumerate(shape, len(together) - len(shape)):
            known = together[axis]
            if known == 1 or (math.isnan(known) and extent != 1):
                # What is not known yet is taken to fit; it is compared when it is known.
                together[axis] = extent
            elif extent not in (1, known) and not math.isnan(extent):
                named = " ".join(str(tuple(one)) for one in shapes)
                raise ValueError(f"operands could not be broadcast together with shapes {named}")
    return tuple(together)


def merged_cuts(chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
    """Cut a broadcast result wherever one of the arguments that have set blocks is cut.

    Axes along which none has any are cut so that blocks stay small.

    Examples
    --------
    >>> merged_cuts([((4, 4),), ((6, 2),), None], [(8,), (8,), (3, 8)])
    ((3,), (4, 2, 2))
    """
    shape = spread_shape(shapes)
    edges: list[set[int]] = [set() for _ in shape]
    unknown: dict[int, tuple[int, ...]] = {}
    for given in chunks:
        if given is None:
            continue
        for axis, sizes in enumerate(given, len(shape) - len(given)):
            if any(map(math.isnan, sizes)):
                unknown[axis] = sizes
            elif sum(sizes) == shape[axis] and (len(sizes) > 1 or sizes != (1,)):
                at = 0
                for size in sizes:
                    at += size
                    edges[axis].add(at)
    cuts: list[tuple[int, ...] | None] = []
    for axis, found in enumerate(edges):
        ends = sorted(found | {0}) if found else []
        sizes = tuple(stop - start for start, stop in pairwise(ends))
        cuts.append(unknown.get(axis) or sizes or ((0,) if found else None))
    return _filled(cuts, shape)


def _filled(cuts: list[tuple[int, ...] | None], shape: Shape) -> Chunks:
    free = [axis for axis, sizes in enumerate(cuts) if sizes is None]
    piece = math.prod(
        max(1, *(size for size in sizes if size == size), 1) for sizes in cuts if sizes is not None
    )
    automatic = auto_chunks([shape[axis] for axis in free], 8 * piece)
    for axis, sizes in zip(free, automatic, strict=True):
        cuts[axis] = sizes
    return tuple(sizes for sizes in cuts if sizes is not None)


def _spread(shape: Shape, region: Region) -> Region:
    own = region[len(region) - len(shape) :]
    return tuple(
        # An extent of 1 serves all; where the region has nothing, neither has the argument.
        (slice(0, 1) if size == 1 else part)
        for size, part in zip(shape, own, strict=True)
    )


def _fits(out: Block, dtype: np.dtype[Any]) -> bool:
    return out.dtype == dtype and out.dtype.isnative and bool(out.flags.aligned)


@lru_cache(maxsize=4096)
def _dtype_of(operation: Elementwise, dtypes: tuple[np.dtype[Any], ...]) -> np.dtype[Any]:
    """Ask NumPy, on arrays without elements: its rules, and its errors."""
    empty = [np.empty(0, dtype) for dtype in dtypes]
    with np.errstate(all="ignore"):
        found = operation.function(*operation._given(empty), **dict(operation.kwargs))
    return np.asarray(found).dtype
