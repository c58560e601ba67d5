"""Combine the partials of leaves in one fixed binary tree, in whatever order they come.

It knows leaves by number only: which element a leaf holds, and what a partial means, is for the
reduction.  The leaves along the reduced axes are numbered in C order; neighbours 2i and 2i + 1
of one level become i of the next, an odd last one passes through.
"""

from __future__ import annotations

import itertools
import math
from typing import Protocol

import numpy as np

from oocarray.grid import Grid

__all__ = ["Combinable", "PartialTree", "tree_bytes"]

CAP_BYTES = 16 << 20


class Combinable(Protocol):
    """What the tree needs of a reduction."""

    @property
    def axes(self) -> tuple[int, ...]:
        """Reduced axes, sorted."""

    @property
    def partial_dtype(self) -> np.dtype:
        """Of the arrays that are combined."""

    def combine(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Combine elementwise; `a` comes first."""


def tree_bytes(reduction: Combinable, leaves: Grid, cap_bytes: int = CAP_BYTES) -> tuple[int, int]:
    """Bound what the tree of a reduction holds.

    Parameters
    ----------
    reduction : Reduction or UserReduction
        Of one whose partials are objects, or anything, the size is not known: 0.
    leaves : Grid
    cap_bytes : int
        As of `PartialTree`.

    Returns
    -------
    (int, int)
        While partials come; and besides, when they are combined into the result.

    Examples
    --------
    >>> from oocarray.leaves import make_reduction
    >>> tree_bytes(make_reduction("sum", (1 << 20,), "f8"), Grid(((1 << 10,) * 1024,)))
    (16384, 16400)
    """
    axes: tuple[int, ...] | None = getattr(reduction, "axes", None)
    if axes is None or reduction.partial_dtype.hasobject:
        return 0, 0
    counts = [leaves.numblocks[k] for k in range(leaves.ndim) if k in axes]
    size = math.prod(counts)
    one = math.prod(leaves.shape[k] for k in range(leaves.ndim) if k not in axes)
    one *= int(reduction.partial_dtype.itemsize)
    if size * one <= cap_bytes:
        # Two levels above the first, of a half and a quarter; or the result.
        return size * one, (size if size > 1 else 0) * one + one
    # The whole, and of each cell what waits on each level for its neighbour.
    return one * (1 + size.bit_length()), one


class PartialTree:
    """The partials of a reduction, set by leaf.

    Parameters
    ----------
    reduction : Reduction or UserReduction
    leaves : Grid
        The leaves of the whole array.
    cap_bytes : int
        Up to this size all partials are kept until the end; beyond it, and for objects, whose
        size is not known, neighbours are combined as soon as both are there.  What must be held
        then is the result and about one partial for each level of the tree.

    Examples
    --------
    >>> from oocarray.leaves import make_reduction
    >>> r = make_reduction("sum", (6,), "f8")
    >>> tree = PartialTree(r, Grid(((2, 2, 2),)))
    >>> x = np.arange(6.0)
    >>> tree.set((range(1, 3),), r.leaves(None, x[2:], ((2, 2),), (2,)))
    >>> tree.set((range(0, 1),), r.leaves(None, x[:2], ((2,),), (0,)))
    >>> float(r.finish(tree.result()))
    15.0
    """

    def __init__(self, reduction: Combinable, leaves: Grid, cap_bytes: int = CAP_BYTES) -> None:
        self._reduction = reduction
        axes = range(leaves.ndim)
        self._reduced = tuple(k for k in axes if k in reduction.axes)
        self._kept = tuple(k for k in axes if k not in reduction.axes)
        counts = tuple(leaves.numblocks)
        self._counts = tuple(counts[k] for k in self._reduced)
        self._size = math.prod(self._counts)
        self._done = np.zeros(counts, bool)
        dtype = reduction.partial_dtype
        # An object partial stands for a whole leaf, so its kept axes count leaves.
        single = dtype.hasobject
        self._edges = {
            k: range(counts[k] + 1) if single else (0, *itertools.accumulate(leaves.chunks[k]))
            for k in self._kept
        }
        extents = tuple(self._edges[k][-1] for k in self._kept)
        total = self._size * math.prod(extents) * dtype.itemsize
        self._all: np.ndarray | None = None
        if not single and total <= cap_bytes:
            self._all = np.empty((*self._counts, *extents), dtype)
        self._result = None if self._all is not None else np.empty(extents, dtype)
        self._waiting: dict[tuple[tuple[int, ...], int, int], np.ndarray] = {}

    @property
    def nbytes(self) -> int:
        """Bytes held now, of partials whose size is known."""
        held = [a for a in (self._all, self._result) if a is not None]
        return sum(a.nbytes for a in itertools.chain(held, self._waiting.values()))

    def set(self, box: tuple[range, ...], partials: np.ndarray) -> None:
        """Set the partials of a box of leaves; setting one again changes nothing.

        Parameters
        ----------
        box : tuple of range
            Coordinates of the leaves along each axis.
        partials : ndarray
            As `Reduction.leaves` returns them.

        Raises
        ------
        AssertionError
            The box and the partials are not of one shape.
        """
        expected = tuple(
            len(cells)
            if k in self._reduced
            else self._edges[k][cells.stop] - self._edges[k][cells.start]
            for k, cells in enumerate(box)
        )
        if partials.shape != expected:
            raise AssertionError(f"partials of shape {partials.shape} for leaves {box}: {expected}")
        moved = partials.transpose(*self._reduced, *self._kept)
        window = tuple(slice(cells.start, cells.stop) for cells in box)
        if self._all is not None:
            where = [window[k] for k in self._reduced]
            where += [
                slice(self._edges[k][box[k].start], self._edges[k][box[k].stop]) for k in self._kept
            ]
            self._all[tuple(where)] = moved
            self._done[window] = True
            return
        new = ~self._done[window]
        self._done[window] = True
        fresh = new.transpose(*self._kept, *self._reduced)
        numbers = self._numbers(box)
        flat = moved.reshape(numbers.size, *moved.shape[len(self._reduced) :])
        first = {k: self._edges[k][box[k].start] for k in self._kept}
        for cell in itertools.product(*(box[k] for k in self._kept)):
            ours = tuple(c - box[k].start for c, k in zip(cell, self._kept, strict=True))
            take = fresh[ours].reshape(-1)
            region = tuple(
                slice(self._edges[k][c] - first[k], self._edges[k][c + 1] - first[k])
                for c, k in zip(cell, self._kept, strict=True)
            )
            self._rise(cell, numbers[take], flat[(take, *region)])

    def _numbers(self, box: tuple[range, ...]) -> np.ndarray:
        """Number the leaves of a box along the reduced axes, in C order."""
        numbers = np.zeros(1, np.int64)
        for k, count in zip(self._reduced, self._counts, strict=True):
            numbers = (numbers[:, None] * count + np.asarray(box[k], np.int64)).reshape(-1)
        return numbers

    def _rise(self, cell: tuple[int, ...], numbers: np.ndarray, partials: np.ndarray) -> None:
        """Combine what can be, level by level; what lacks its neighbour waits for it."""
        level, size = 0, self._size
        while numbers.size > 1:
            numbers, partials = self._fetch(cell, level, numbers, partials)
            follows = np.zeros(numbers.size, bool)
            follows[:-1] = (numbers[:-1] % 2 == 0) & (numbers[1:] == numbers[:-1] + 1)
            left = np.flatnonzero(follows)
            through = np.flatnonzero((numbers == size - 1) & (numbers % 2 == 0))
            alone = np.ones(numbers.size, bool)
            alone[left] = alone[left + 1] = alone[through] = False
            for i in np.flatnonzero(alone):
                self._waiting[cell, level, int(numbers[i])] = partials[i : i + 1].copy()
            higher = self._reduction.combine(partials[left], partials[left + 1])
            partials = np.concatenate([higher, partials[through]])
            numbers = np.concatenate([numbers[left], numbers[through]]) // 2
            level, size = level + 1, (size + 1) // 2
        if numbers.size:
            self._rise_alone(cell, level, size, int(numbers[0]), partials)

    def _rise_alone(
        self, cell: tuple[int, ...], level: int, size: int, number: int, partial: np.ndarray
    ) -> None:
        """The same for one number: where results are many, most come like this."""
        while size > 1:
            if number % 2 or number < size - 1:
                other = self._waiting.pop((cell, level, number ^ 1), None)
                if other is None:
                    self._waiting[cell, level, number] = partial.copy()
                    return
                pair = (other, partial) if number % 2 else (partial, other)
                partial = self._reduction.combine(*pair)
            level, size, number = level + 1, (size + 1) // 2, number // 2
        self._place(cell, partial.reshape(partial.shape[1:]))

    def _fetch(
        self, cell: tuple[int, ...], level: int, numbers: np.ndarray, partials: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add the neighbours that were waiting for one of these."""
        found = {}
        for number in numbers.tolist():
            other = self._waiting.pop((cell, level, number ^ 1), None)
            if other is not None:
                found[number ^ 1] = other
        if not found:
            return numbers, partials
        numbers = np.concatenate([numbers, np.fromiter(found, np.int64, len(found))])
        order = np.argsort(numbers)
        return numbers[order], np.concatenate([partials, *found.values()])[order]

    def _place(self, cell: tuple[int, ...], partial: np.ndarray) -> None:
        assert self._result is not None
        where = tuple(
            slice(self._edges[k][c], self._edges[k][c + 1])
            for c, k in zip(cell, self._kept, strict=True)
        )
        # Assigning by [()] would store the array itself where partials are objects.
        np.copyto(self._result[where] if where else self._result, partial)

    def result(self) -> np.ndarray:
        """Return the partial of the whole array, of the kept extents.

        Raises
        ------
        AssertionError
            A leaf was not set.
        """
        if not self._done.all():
            missing = tuple(int(c) for c in np.argwhere(~self._done)[0])
            raise AssertionError(f"leaf {missing} of {self._done.shape} was not set")
        if self._result is not None:
            return self._result
        assert self._all is not None
        level = self._all.reshape(self._size, *self._all.shape[len(self._reduced) :])
        while len(level) > 1:
            even = len(level) // 2 * 2
            higher = self._reduction.combine(level[0:even:2], level[1:even:2])
            level = np.concatenate([higher, level[even:]])
        return level[0:1].reshape(level.shape[1:])
