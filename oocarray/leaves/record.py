"""What a reduction is, as plain data: what a leaf's partial holds, how two combine, how one ends.

It reads no file, starts no process and compiles nothing itself: `Reduction.kernel` says what is
to be compiled, `Reduction.leaves` is given the result.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oocarray.jit import ArgType
from oocarray.leaves.combine import COMBINE
from oocarray.leaves.finish import finish
from oocarray.leaves.loops import Recipe, pack, partial_dtype, recipe
from oocarray.leaves.placing import join, place, whole_nans
from oocarray.leaves.plain import numpy_leaf
from oocarray.leaves.walk import Loop, Run, form_of, runs, walk_run

__all__ = ["Cuts", "Reduction"]

Cuts = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Reduction:
    """One reduction of one array; make it with `make_reduction`.

    Its bits depend on its fields and on the leaves, and on nothing else.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    axes: tuple[int, ...]
    """Reduced axes, sorted, not negative."""
    flat: bool
    """All axes at once, as ``axis=None``: an index counts in C order."""
    keepdims: bool
    ddof: float
    out_dtype: np.dtype
    kind: str
    """What a partial holds; a key of `oocarray.leaves.combine.COMBINE`."""
    skip: bool = False
    """NaN is passed over."""
    cast: np.dtype | None = None
    """What each element is converted to first."""
    edges: np.ndarray | None = field(default=None, compare=False)
    """Edges of a histogram's bins."""
    uniform: bool = False
    order: str = "C"
    """Layout of the array: elements of a leaf are taken in the order they lie in."""
    edge_bytes: bytes = field(default=b"", repr=False)

    @functools.cached_property
    def partial_dtype(self) -> np.dtype:
        """What a leaf leaves behind per kept element."""
        bins = 0 if self.edges is None else len(self.edges) - 1
        return partial_dtype(self.kind, self._element, bins)

    @property
    def kept_shape(self) -> tuple[int, ...]:
        """Extents of the axes that stay."""
        return tuple(n for k, n in enumerate(self.shape) if k not in self.axes)

    @property
    def result_shape(self) -> tuple[int, ...]:
        """Shape of the result; a histogram's has an axis of its own, of bins."""
        if self.edges is not None:
            return (len(self.edges) - 1,)
        if self.keepdims:
            return tuple(1 if k in self.axes else n for k, n in enumerate(self.shape))
        return self.kept_shape

    @property
    def count(self) -> int:
        """How many elements go into one element of the result."""
        return math.prod(self.shape[k] for k in self.axes)

    @functools.cached_property
    def _element(self) -> np.dtype:
        return (self.cast or self.dtype).newbyteorder("=")

    @functools.cached_property
    def _paired(self) -> bool:
        """Complex elements are reduced as pairs of real ones."""
        return self._element.kind == "c" and self.kind in ("sum", "skipsum", "moments")

    @functools.cached_property
    def _recipe(self) -> Recipe | None:
        element = self._element
        if element.kind == "c":
            if self._paired:
                element = np.empty(0, element).real.dtype
            elif self.kind in ("any", "all", "count"):
                element = np.dtype(bool)
            else:
                return None  # by NumPy itself
        edges = "f8" if self.edges is None else self.edges.dtype.str
        return recipe(self.kind, element, self.skip, self.uniform, edges)

    @functools.cached_property
    def _loop(self) -> Loop | None:
        return None if self._recipe is None else self._recipe.loop(self.edges)

    @property
    def turned(self) -> bool:
        """Whether elements are taken in the order of the array's transpose."""
        return self.order == "F" and not (self.flat and self.kind.startswith("arg"))

    @property
    def plain(self) -> Recipe | None:
        """The loop, where it takes the elements as they are; None where there is more to it."""
        simple = self.cast is None and self._element.kind != "c" and self.edges is None
        return self._recipe if simple and self._element.char not in "eg" else None

    def kernel(self) -> tuple[Callable[..., Any], tuple[ArgType, ...]] | None:
        """Return the function to compile and its argument types; None where NumPy does it."""
        how = self._recipe
        return None if how is None else (how.function(True), how.arguments(self.edges))

    def leaves(
        self,
        entry: Callable[..., Any] | None,
        block: np.ndarray,
        cuts: Cuts,
        origin: tuple[int, ...],
    ) -> np.ndarray:
        """Reduce the leaves of a block.

        Parameters
        ----------
        entry : callable or None
            The compiled `kernel`; with None it is interpreted: slow, the same bits.
        block : ndarray
            A union of leaves, of the reduction's dtype up to byte order; any strides.
        cuts : tuple of tuple of int
            Extents of its leaves along each axis.
        origin : tuple of int
            Where the block begins in the array.

        Returns
        -------
        ndarray of `partial_dtype`
            Along reduced axes one entry per leaf, along kept axes one per element.

        Raises
        ------
        AssertionError
            The cuts do not add up to the block, or the block has another dtype.
        """
        if block.shape != tuple(map(sum, cuts)) or block.dtype.newbyteorder("=") != (
            self.dtype.newbyteorder("=")
        ):
            raise AssertionError(
                f"{block.dtype} block of shape {block.shape} for cuts {cuts} of {self.dtype}"
            )
        if self.dtype.kind == "b" and block.size and block.view(np.uint8).max() > 1:
            # A file, or a view of other bytes, may hold what no bool should: True, as in NumPy.
            block = block.view(np.uint8) != 0
        if not self.turned:
            return self._leaves(entry, block, cuts, origin, self.axes)
        last = block.ndim - 1
        axes = tuple(sorted(last - k for k in self.axes))
        return self._leaves(entry, block.T, cuts[::-1], origin[::-1], axes).T

    def _leaves(
        self,
        entry: Callable[..., Any] | None,
        block: np.ndarray,
        cuts: Cuts,
        origin: tuple[int, ...],
        axes: tuple[int, ...],
    ) -> np.ndarray:
        how, loop = self._recipe, self._loop
        if how is not None and entry is None:
            entry = how.function(False)
        seen, prepare = (block, None) if how is None else self._as_work(block, how.work)

        def numbers(run: Run) -> np.ndarray:
            here = run.without_last() if self._paired else run
            if how is None or loop is None:
                pieces = [
                    numpy_leaf(self.kind, block[here.leaf(k)], axes, self.skip, self.partial_dtype)
                    for k in range(run.count)
                ]
                return np.stack(pieces)
            assert entry is not None
            form = form_of(seen[run.leaf(0)].shape, axes)
            with np.errstate(all="ignore"):
                return walk_run(entry, seen, run, form, loop, prepare)

        return self.placed(cuts, origin, axes, numbers)

    def placed(
        self,
        cuts: Cuts,
        origin: tuple[int, ...],
        axes: tuple[int, ...],
        numbers: Callable[[Run], np.ndarray],
    ) -> np.ndarray:
        """Put together what a loop has made of each run of leaves.

        Parameters
        ----------
        cuts, origin, axes
            As of `leaves`, or of the transpose of an array that is `turned`.
        numbers : callable
            Called with a run; returns (L, A, B, F) numbers, as of `walk_run`.

        Returns
        -------
        ndarray of `partial_dtype`
        """
        shape = tuple(len(c) if k in axes else sum(c) for k, c in enumerate(cuts))
        out = np.empty(shape, self.partial_dtype)
        how = self._recipe
        one = partial_dtype(self.kind, how.work, 0) if how and self._paired else self.partial_dtype
        for run in runs((*cuts, (2,)) if self._paired else cuts):
            here = run.without_last() if self._paired else run
            extents = tuple(part.stop - part.start for part in here.leaf(0))
            found = numbers(run)
            if how is not None:
                found = pack(self.kind, found, one)
            if self._paired:
                found = join(found.reshape(run.count, -1, 2), out.dtype)
            dims = tuple(1 if k in axes else n for k, n in enumerate(extents))
            found = found.reshape(run.count, *dims)
            if self.kind.startswith("arg"):
                self._locate(found, here, extents, origin, axes)
            place(out, found, here, axes)
        return out

    def _as_work(
        self, block: np.ndarray, work: np.dtype
    ) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray] | None]:
        """View a block as the kernel's element type, or say how to convert a leaf of it."""
        if self.cast is not None:
            cast = self.cast

            def convert(piece: np.ndarray) -> np.ndarray:
                with np.errstate(invalid="ignore"):
                    real = piece.real if piece.dtype.kind == "c" and cast.kind != "c" else piece
                    return np.ascontiguousarray(real.astype(cast)).view(work)

            return block, convert
        if self._paired:
            real = block.real
            shape, strides = (*block.shape, 2), (*block.strides, real.itemsize)
            pairs = np.lib.stride_tricks.as_strided(real, shape, strides, writeable=False)
            return pairs, whole_nans if self.skip else None
        if block.dtype.kind == "c":
            return block, lambda piece: np.asarray(piece != 0).view(work)
        if block.itemsize == work.itemsize and block.dtype.kind in "bu":
            return block.view(work.newbyteorder(block.dtype.byteorder)), None
        return block, None

    def _locate(
        self,
        found: np.ndarray,
        run: Run,
        extents: tuple[int, ...],
        origin: tuple[int, ...],
        axes: tuple[int, ...],
    ) -> None:
        """Turn indices within leaves into indices within the array."""
        index = found["index"]
        numbers = np.arange(run.count).reshape((-1,) + (1,) * len(extents))
        starts: list[Any] = [o + s.start for o, s in zip(origin, run.region, strict=True)]
        if extents:
            starts[run.axis] = starts[run.axis] + numbers * extents[run.axis]
        if not self.flat:
            found["index"] = np.where(index < 0, -1, index + starts[axes[0]])
        elif extents and 0 not in extents:
            inside = np.unravel_index(np.maximum(index, 0), extents)
            place = np.zeros_like(index)
            for size, start, offset in zip(self.shape, starts, inside, strict=True):
                place = place * size + (start + offset)
            found["index"] = np.where(index < 0, -1, place)

    def combine(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Combine partials elementwise; `a` is of the leaves that come first.

        Parameters
        ----------
        a, b : ndarray of `partial_dtype`
            Of one shape.
        """
        how = COMBINE[
            "skip" + self.kind if self.skip and self.kind in ("min", "max") else self.kind
        ]
        if self._paired:
            out = np.empty(a.shape, a.dtype)
            out["re"], out["im"] = how(a["re"], b["re"]), how(a["im"], b["im"])
            return out
        with np.errstate(all="ignore"):
            return np.asarray(how(a, b))

    def finish(self, partial: np.ndarray) -> np.ndarray:
        """Turn the combined partial into the result.

        Parameters
        ----------
        partial : ndarray of `partial_dtype`
            Of the kept extents.

        Returns
        -------
        ndarray of `out_dtype`
            Of `result_shape`; for a histogram the counts.

        Raises
        ------
        ValueError
            A least or greatest of nothing is asked for, as in NumPy.
        """
        if self.count == 0:
            if self.kind in ("min", "max"):
                what = {"min": "minimum", "max": "maximum"}[self.kind]
                raise ValueError(
                    f"zero-size array to reduction operation {what} which has no identity"
                )
            if self.kind in ("argmin", "argmax"):
                raise ValueError(f"attempt to get {self.kind} of an empty sequence")
        result = finish(self, partial)
        if self.kind == "histogram":
            return result
        return result.astype(self.out_dtype, copy=False).reshape(self.result_shape)
