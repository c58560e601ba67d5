"""Reduces block by block with NumPy's own functions; of users' functions only the tree is ours."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ...grid import Coords, Grid
from ...leaves.record import Reduction
from ...leaves.tree import PartialTree
from ...runtime.outside import outside

__all__ = ["Accumulator", "accumulator"]

Block = np.ndarray[Any, Any]
_JOIN: dict[str, np.ufunc] = {
    "sum": np.add,
    "prod": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
    "nanmin": np.fmin,
    "nanmax": np.fmax,
    "any": np.logical_or,
    "all": np.logical_and,
    "count_nonzero": np.add,
    "histogram": np.add,
}


class Accumulator:
    """What the blocks of an array have come to so far; they come in C order."""

    def add(self, block: Block, coords: Coords) -> None:
        """Take in the block at `coords` of the stage's grid."""
        raise NotImplementedError

    def result(self) -> Block:
        raise NotImplementedError


def accumulator(reduction: Any, leaves: Grid, grid: Grid) -> Accumulator:
    """The accumulator of a reduction.

    Parameters
    ----------
    reduction : Reduction or any other record with ``leaves``, ``combine`` and ``finish``
    leaves : Grid
        Of the user's functions, which are called leaf by leaf.
    grid : Grid
        Of the blocks.
    """
    if not isinstance(reduction, Reduction):
        return _OfFunctions(reduction, leaves, grid)
    base = reduction.name.removeprefix("nan")
    if base in ("argmin", "argmax"):
        return _Located(reduction, grid)
    if base in ("var", "std"):
        return _Moments(reduction, grid)
    return _Mean(reduction, grid) if base == "mean" else _Joined(reduction, grid)


class _OfFunctions(Accumulator):
    """Of functions of the caller, or blocks whose sizes only they know."""

    def __init__(self, reduction: Any, leaves: Grid, grid: Grid) -> None:
        self._reduction, self._leaves, self._grid = reduction, leaves, grid
        self._tree = PartialTree(reduction, leaves)

    def add(self, block: Block, coords: Coords) -> None:
        box = self._leaves.inner(self._grid, coords)
        cuts = tuple(
            sizes[part.start : part.stop]
            for sizes, part in zip(self._leaves.chunks, box, strict=True)
        )
        origin = tuple(part.start for part in self._grid.region(coords))
        self._tree.set(box, self._reduction.leaves(None, block, cuts, origin))

    def result(self) -> Block:
        found: Block = self._reduction.finish(self._tree.result())
        return found


class _Numbers(Accumulator):
    """Arrays of the kept extents, of which each block changes its part."""

    def __init__(self, reduction: Reduction, grid: Grid) -> None:
        self.reduction, self.grid = reduction, grid
        self.axes = reduction.axes
        self.kept = [axis for axis in range(len(reduction.shape)) if axis not in self.axes]
        self.states: list[Block] = []
        self._begun = np.zeros([grid.numblocks[axis] for axis in self.kept], bool)

    def add(self, block: Block, coords: Coords) -> None:
        if not block.size:
            return
        if block.dtype.kind == "b" and block.view(np.uint8).max() > 1:
            block = block.view(np.uint8) != 0  # a file may hold what no bool should
        if self.reduction.cast is not None:
            real = block.real if block.dtype.kind == "c" != self.reduction.cast.kind else block
            block = real.astype(self.reduction.cast)
        region = self.grid.region(coords)
        cell = tuple(coords[axis] for axis in self.kept)
        place: Any = tuple(region[axis] for axis in self.kept) or ...
        with np.errstate(all="ignore"):
            fresh = self.partial(block, tuple(part.start for part in region))
            if not self.states:
                shape = self.extents()
                self.states = [np.zeros(shape, part.dtype) for part in fresh]
            if self.reduction.edges is not None:
                place = ...
            if self._begun[cell]:
                fresh = self.joined([state[place] for state in self.states], fresh)
            self._begun[cell] = True
            for state, part in zip(self.states, fresh, strict=True):
                state[place] = part

    def extents(self) -> tuple[int, ...]:
        edges = self.reduction.edges
        return self.reduction.kept_shape if edges is None else (len(edges) - 1,)

    def partial(self, block: Block, origin: tuple[int, ...]) -> list[Block]:
        """What a block comes to: arrays without the reduced axes."""
        raise NotImplementedError

    def joined(self, old: list[Block], new: list[Block]) -> list[Block]:
        """The same of two blocks; `new` comes later along the reduced axes."""
        raise NotImplementedError

    def finished(self) -> Block:
        raise NotImplementedError

    def result(self) -> Block:
        made = self.reduction
        if made.edges is not None:
            counts = self.states[0] if self.states else np.zeros(self.extents(), np.intp)
            partial = np.zeros((), [("counts", counts.dtype, counts.shape)])
            partial["counts"] = counts
            # There are records of other results than counts, densities: they end them.
            return made.finish(partial)
        if made.count == 0 or not self.states:
            return _of_nothing(made)
        with np.errstate(all="ignore"):
            found = np.asarray(self.finished())
            if found.dtype.kind == "c" and made.out_dtype.kind != "c":
                found = found.real
            return found.astype(made.out_dtype, copy=False).reshape(made.result_shape)


class _Joined(_Numbers):
    """What a ufunc makes of the blocks' own results."""

    def partial(self, block: Block, origin: tuple[int, ...]) -> list[Block]:
        made, axes = self.reduction, self.axes
        base = made.name.removeprefix("nan")
        if made.edges is not None:
            real = block.view(np.uint8) if block.dtype.kind == "b" else block
            return [np.histogram(real, made.edges)[0]]
        if base in ("sum", "prod"):
            function: Any = getattr(np, "nan" + base if made.skip else base)
            # Halves would run over within a block of any size.
            dtype = np.dtype("f4") if made.out_dtype.char == "e" else made.out_dtype
            found = np.asarray(function(block, axis=axes, dtype=dtype))
            return [found.astype(_wide(found.dtype), copy=False)]
        if base in ("min", "max"):
            return [np.asarray(self._ufunc.reduce(block, axis=axes))]
        return [np.asarray(getattr(np, base)(block, axis=axes))]

    @property
    def _ufunc(self) -> np.ufunc:
        made = self.reduction
        base = made.name.removeprefix("nan")
        return _JOIN["nan" + base if made.skip and base in ("min", "max") else base]

    def joined(self, old: list[Block], new: list[Block]) -> list[Block]:
        return [np.asarray(self._ufunc(old[0], new[0]))]

    def finished(self) -> Block:
        found = self.states[0]
        made = self.reduction
        if made.skip and made.kind in ("min", "max") and np.isnan(found).any():
            _warn("All-NaN slice encountered")
        return found


class _Mean(_Numbers):
    """A sum and a count, in float64."""

    def partial(self, block: Block, origin: tuple[int, ...]) -> list[Block]:
        made, axes = self.reduction, self.axes
        dtype = _wide(made.out_dtype)
        if not made.skip:
            total = np.asarray(np.sum(block, axis=axes, dtype=dtype))
            return [total, np.full(total.shape, float(_elements(block, axes)))]
        count = np.asarray(np.sum(~np.isnan(block), axis=axes, dtype=np.float64))
        return [np.asarray(np.nansum(block, axis=axes, dtype=dtype)), count]

    def joined(self, old: list[Block], new: list[Block]) -> list[Block]:
        return [a + b for a, b in zip(old, new, strict=True)]

    def finished(self) -> Block:
        total, count = self.states
        if not np.all(count):
            _warn("Mean of empty slice.")
        return np.asarray(total / count)


class _Moments(_Numbers):
    """Count, mean and sum of squares about it; two blocks are merged as Chan et al. do it."""

    def partial(self, block: Block, origin: tuple[int, ...]) -> list[Block]:
        axes = self.axes
        dtype = np.complex128 if block.dtype.kind == "c" else np.float64
        if self.reduction.skip:
            there = ~np.isnan(block)
            count = np.sum(there, axis=axes, dtype=np.float64, keepdims=True)
            mean = np.nansum(block, axis=axes, dtype=dtype, keepdims=True) / count
            off = np.where(there, block - mean, 0)
        else:
            mean = np.mean(block, axis=axes, dtype=dtype, keepdims=True)
            count = np.full(np.shape(mean), float(_elements(block, axes)))
            off = np.subtract(block, mean, dtype=dtype)
        squares = np.sum(_square(off), axis=axes)
        kept = np.shape(squares)
        return [count.reshape(kept), np.reshape(mean, kept), np.asarray(squares)]

    def joined(self, old: list[Block], new: list[Block]) -> list[Block]:
        (n, m, s), (k, fresh, t) = old, new
        both, apart = n + k, fresh - m
        mean = np.where(k == 0, m, np.where(n == 0, fresh, m + apart * (k / both)))
        between = np.where((n == 0) | (k == 0), 0, _square(apart) * (n * k / both))
        return [both, mean, s + t + between]

    def finished(self) -> Block:
        made = self.reduction
        count, _, squares = self.states
        freedom = count - made.ddof
        if (freedom <= 0).any():
            _warn("Degrees of freedom <= 0 for slice.")
        out = squares / np.maximum(freedom, 0.0)
        if made.skip:
            out = np.where(freedom <= 0, math.nan, out)
        return np.asarray(np.sqrt(out)) if made.name.endswith("std") else out


class _Located(_Numbers):
    """The least or greatest of each block, and where it is; -1 where all is NaN."""

    def partial(self, block: Block, origin: tuple[int, ...]) -> list[Block]:
        made = self.reduction
        seek: Any = getattr(np, made.name.removeprefix("nan"))
        if made.flat or not block.ndim:
            flat = np.ascontiguousarray(block).reshape(-1)
            at = int(self._first(seek, flat.reshape(-1, 1))[0])
            value = np.asarray(flat[max(at, 0)])
            if at >= 0 and block.ndim:
                inner = np.unravel_index(at, block.shape)
                where = tuple(a + b for a, b in zip(inner, origin, strict=True))
                at = int(np.ravel_multi_index(where, made.shape))
            return [value, np.asarray(at, np.intp)]
        (axis,) = self.axes
        moved = np.moveaxis(block, axis, 0)
        index = self._first(seek, moved)
        value = np.take_along_axis(moved, np.maximum(index, 0)[None], 0)[0]
        return [value, np.where(index < 0, -1, index + origin[axis])]

    def _first(self, seek: Any, block: Block) -> Block:
        """Where it is along the first axis."""
        if not self.reduction.skip:
            return np.asarray(seek(block, axis=0))
        gone = np.isnan(block)
        least = self.reduction.name == "nanargmin"
        index = np.asarray(seek(np.where(gone, math.inf if least else -math.inf, block), axis=0))
        hidden = np.take_along_axis(gone, index[None], 0)[0]
        # All that is there is infinite too, or there is nothing.
        index = np.where(hidden, np.argmin(gone, axis=0), index)
        return np.where(gone.all(axis=0), -1, index)

    def joined(self, old: list[Block], new: list[Block]) -> list[Block]:
        (a, i), (b, k) = old, new
        # Of equal ones the first in the array, which a later block may have where all is one axis.
        swap = (k < i) & (k >= 0) | (i < 0)
        first = [np.where(swap, b, a), np.where(swap, k, i)]
        second = [np.where(swap, a, b), np.where(swap, i, k)]
        seek: Any = getattr(np, self.reduction.name.removeprefix("nan"))
        pick = np.asarray(seek(np.stack([first[0], second[0]]), axis=0)) == 1
        pick &= second[1] >= 0
        return [np.where(pick, two, one) for one, two in zip(first, second, strict=True)]

    def finished(self) -> Block:
        if (self.states[1] < 0).any():
            raise ValueError("All-NaN slice encountered")
        return self.states[1]


def _of_nothing(made: Reduction) -> Block:
    """A reduction that no element went into.

    Raises
    ------
    ValueError
        A least or greatest of nothing is asked for, as in NumPy.
    """
    base = made.name.removeprefix("nan")
    if made.count == 0 and base in ("min", "max"):
        what = {"min": "minimum", "max": "maximum"}[base]
        raise ValueError(f"zero-size array to reduction operation {what} which has no identity")
    if made.count == 0 and base in ("argmin", "argmax"):
        raise ValueError(f"attempt to get {base} of an empty sequence")
    value: Any = {"prod": 1, "all": True, "mean": math.nan, "var": math.nan, "std": math.nan}
    found = np.zeros(made.result_shape, made.out_dtype)
    if found.size and base in ("mean", "var", "std"):
        _warn("Mean of empty slice." if base == "mean" else "Degrees of freedom <= 0 for slice.")
    with np.errstate(all="ignore"):
        found[...] = np.asarray(value.get(base, 0)).astype(made.out_dtype)
    return found


def _wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What partial results are joined in."""
    wide = {"f": np.dtype(np.float64), "c": np.dtype(np.complex128)}
    return wide.get(dtype.kind, dtype)


def _square(off: Block) -> Block:
    if off.dtype.kind == "c":
        return np.asarray(off.real**2 + off.imag**2)
    return np.asarray(off * off)


def _elements(block: Block, axes: tuple[int, ...]) -> int:
    return math.prod(block.shape[axis] for axis in axes)


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=outside())
