"""Lead a leaf kernel over the leaves of one block; knows strides, not what is being reduced.

A leaf is seen as (A kept, R reduced, B kept) elements with B adjacent.  Which of these forms it
takes follows from its extents alone; whether it is read where it lies or copied into that form
follows from its strides, and makes no difference to a single bit.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["WIDTH", "Form", "Loop", "Run", "form_of", "runs", "steps_of", "walk_run"]

Kernel = Callable[..., object]
Prepare = Callable[[np.ndarray], np.ndarray]

WIDTH = 1024  # lanes there is room for: 16 KiB of state for a sum, which stays in L1
GATHER = 128  # below so many elements per result, results side by side fill the lanes instead
GATHERED = 256  # lanes of a gather
WIDE = 256  # lanes, where rows of B do not fit LANES evenly


@dataclass(frozen=True, slots=True)
class Form:
    """The (A, R, B) form of leaves of one shape."""

    extents: tuple[int, int, int]
    groups: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    """Axes that make up A, R and B, in order."""
    straight: bool
    """Axes are in the leaf's own order; otherwise reduced ones are moved to the end."""


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """What a kernel needs beside data: types, what each number starts from, how many lanes."""

    work: np.dtype
    state: np.dtype
    out: np.dtype
    seed: np.ndarray
    fields: int
    depth: int
    lanes: int
    ordered: bool
    """The kernel must know where an element is."""


@dataclass(frozen=True, slots=True)
class Run:
    """Equal leaves of a block, side by side along one axis."""

    region: tuple[slice, ...]
    axis: int
    count: int
    coords: tuple[int, ...]
    """Coordinates of the first among the block's leaves."""

    def without_last(self) -> Run:
        """Leave out the last axis: the parts of complex numbers, which is never cut."""
        return Run(self.region[:-1], self.axis, self.count, self.coords[:-1])

    def leaf(self, number: int) -> tuple[slice, ...]:
        """Region of one leaf."""
        if self.count == 1:
            return self.region
        whole = self.region[self.axis]
        extent = (whole.stop - whole.start) // self.count
        start = whole.start + number * extent
        return (
            *self.region[: self.axis],
            slice(start, start + extent),
            *self.region[self.axis + 1 :],
        )


@functools.lru_cache(64)  # blocks are mostly cut alike, and a block takes half a millisecond
def runs(cuts: tuple[tuple[int, ...], ...]) -> tuple[Run, ...]:
    """Group the leaves of a block into runs along the axis that is cut most."""
    return tuple(_runs(cuts))


def _runs(cuts: tuple[tuple[int, ...], ...]) -> Iterator[Run]:
    ndim = len(cuts)
    starts = [(0, *itertools.accumulate(cut)) for cut in cuts]
    axis = max(range(ndim), key=lambda k: len(cuts[k])) if ndim else 0
    alike = []
    if ndim:
        first = 0
        for extent, group in itertools.groupby(cuts[axis]):
            count = len(list(group)) if extent else 1
            alike.append((first, count))
            first += count
    others = [range(len(cut)) if k != axis else range(1) for k, cut in enumerate(cuts)]
    for place in itertools.product(*others):
        if not ndim:
            yield Run((), 0, 1, ())
        for first, count in alike:
            coords = tuple(first if k == axis else c for k, c in enumerate(place))
            ends = (c + (count if k == axis else 1) for k, c in enumerate(coords))
            region = tuple(
                slice(starts[k][c], starts[k][end])
                for k, (c, end) in enumerate(zip(coords, ends, strict=True))
            )
            yield Run(region, axis, count, coords)


@functools.lru_cache(64)
def form_of(shape: tuple[int, ...], axes: tuple[int, ...]) -> Form:
    """Decide the form of leaves of `shape` that are reduced over `axes`."""
    kept: list[list[int]] = [[], []]
    middle: list[int] = []
    straight = True
    for axis, extent in enumerate(shape):
        if extent == 1:
            continue
        if axis in axes:
            straight = straight and not kept[1]
            middle.append(axis)
        else:
            kept[bool(middle)].append(axis)
    if not straight:
        kept = [[*kept[0], *kept[1]], []]
    # Only kept axes: each element is a result of its own.
    groups = (tuple(kept[0]), tuple(middle), tuple(kept[1]))
    sizes = [math.prod(shape[axis] for axis in group) for group in groups]
    if 0 in shape:
        sizes[1] = math.prod(shape[axis] for axis in axes)
        sizes[0], sizes[2] = math.prod(s for k, s in enumerate(shape) if k not in axes), 1
    return Form((sizes[0], sizes[1], sizes[2]), groups, straight)


def walk_run(
    kernel: Kernel, block: np.ndarray, run: Run, form: Form, loop: Loop, prepare: Prepare | None
) -> np.ndarray:
    """Run a kernel over a run of leaves and return its (L, A, B, F) numbers.

    `prepare` turns a leaf into an array of ``loop.work`` where its bytes are something else.
    """
    extents = form.extents
    out = np.empty((run.count, extents[0], extents[2], loop.fields), loop.out)
    # Rows of lanes 8 KiB apart would stall each other: stores are first told apart modulo 4096.
    state = np.empty((loop.depth, WIDTH + 40), loop.state)
    steps = steps_of(extents, loop)
    buf = np.empty(steps[1] * extents[1] * extents[2], loop.work)
    place = _in_place(block, run, form, steps, loop.work) if prepare is None else None
    if place is not None:
        flat, strides = place
        _call(kernel, flat, run.count, strides, (extents, steps), (loop.seed, state, buf, out))
        return out
    for number in range(run.count):
        piece = block[run.leaf(number)]
        if prepare is not None:
            piece = prepare(piece)
        if not form.straight:
            moved = form.groups[0] + form.groups[1]
            rest = (axis for axis in range(piece.ndim) if axis not in moved)
            piece = piece.transpose(*rest, *moved)
        flat = np.ascontiguousarray(piece, dtype=loop.work).reshape(-1)
        flat.flags.writeable = False
        strides = (0, extents[1] * extents[2], extents[2])
        part = out[number : number + 1]
        _call(kernel, flat, 1, strides, (extents, steps), (loop.seed, state, buf, part))
    return out


def steps_of(extents: tuple[int, int, int], loop: Loop) -> tuple[int, int, int]:
    """Choose (k, T, W) of the kernel's walk: a function of extents and operation only."""
    _, reduced, inner = extents
    width = WIDTH if loop.depth <= 3 else WIDTH // 4
    if inner < GATHER // 2 and reduced * inner <= GATHER:
        return 1, max(1, GATHERED // max(inner, 1)), width
    if inner >= loop.lanes or (loop.ordered and inner > 1):
        return 1, 0, width
    # A row that does not fill the lanes of a plain sum evenly gets longer ones.
    k = max(1, (loop.lanes if loop.lanes % inner == 0 else WIDE) // inner)
    # To merge lanes is dear where it divides or branches: then many rows must fall on each.
    share = 32 if loop.ordered or loop.depth > 3 else 4
    while k > 8 and share * k > reduced:
        k //= 2
    return k, 0, width


def _call(
    kernel: Kernel,
    flat: np.ndarray,
    count: int,
    strides: tuple[int, int, int],
    walk: tuple[tuple[int, int, int], tuple[int, int, int]],
    arrays: tuple[np.ndarray, ...],
) -> None:
    (kept, reduced, inner), (k, gathered, width) = walk
    dims = (count, strides[0], kept, strides[1], reduced, strides[2], inner, k, gathered, width)
    kernel(flat, dims, *arrays)


def _in_place(
    block: np.ndarray, run: Run, form: Form, steps: tuple[int, int, int], work: np.dtype
) -> tuple[np.ndarray, tuple[int, int, int]] | None:
    """Return the memory of a run and its strides (of leaves, A, R), if no copy is needed."""
    usable = form.straight and block.dtype == work and block.flags.aligned
    if not (usable and block.size):
        return None
    first = block[run.leaf(0)]
    size = block.itemsize
    strides = [0, 0, size]
    for k, group in enumerate(form.groups):
        for axis, following in itertools.pairwise(group):
            if first.strides[axis] != first.strides[following] * first.shape[following]:
                return None
        if group:
            strides[k] = first.strides[group[-1]]
    kept, reduced, inner = strides
    along = block.strides[run.axis] * first.shape[run.axis] if run.count > 1 else 0
    if inner != size or any(step < 0 or step % size for step in (along, kept, reduced)):
        return None
    if steps[0] > 1 and reduced != form.extents[2] * size:
        return None
    spans = zip((run.count, *form.extents), (along, kept, reduced, size), strict=True)
    span = sum((count - 1) * step for count, step in spans) // size + 1
    flat = np.lib.stride_tricks.as_strided(first, (span,), (size,), writeable=False)
    return flat, (along // size, kept // size, reduced // size)
