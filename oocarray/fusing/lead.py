"""Leads a compiled loop over arrays of one process: stores what it makes, or reduces it by leaves.

It finds out how arrays lie, has a tape written for that, and runs it.  What is calculated is no
concern of it, nor who lent the arrays.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import jit
from ..leaves.loops import Recipe
from ..leaves.rule import state_of
from ..leaves.stats import VAR_ROWS
from ..leaves.walk import Form, form_of, steps_of
from .tape import Given, Made, Spec, Taken, Tape, collapsed, write_tape

__all__ = ["Code", "Complaints", "make_elements", "reduce_leaves", "short_lines"]

Block = np.ndarray[Any, Any]
_APART = 64 + 4096
"""Bytes between buffers: those a multiple of 4 KiB apart would get in each other's way."""


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """A compiled loop, with what is compiled once for all of them; it is pickled as it is."""

    loop: jit.Compiled | None
    """None: everything that is wanted is an input."""
    drive: jit.Compiled
    move: jit.Compiled
    rules: tuple[tuple[Recipe, jit.Compiled], ...]
    points: tuple[bool, ...]
    """Of the inputs, constants included."""
    items: tuple[int, ...]
    """Bytes of an element of each thing that is made."""
    same: tuple[int, ...]
    """The input that it equals, or -1."""
    constants: tuple[Block, ...]


_SHORT = 32
"""Elements of a line below which it pays to copy what is not contiguous first."""


class Complaints:
    """What the floating point unit complained of, in bits: invalid, divide, overflow, underflow."""

    def __init__(self) -> None:
        self.word = np.zeros(1, np.int64)


class _Workspace(threading.local):
    """Buffers of a thread, used over and over; never two loops at a time."""

    def __init__(self) -> None:
        self.room = np.empty(0, np.uint8)
        self.states: dict[Recipe, list[Block]] = {}

    def take(self, sizes: Sequence[int]) -> list[int]:
        """Addresses of so many bytes each."""
        whole = sum(-(-size // 64) * 64 + _APART for size in sizes) + 64
        if self.room.size < whole:
            self.room = np.empty(whole, np.uint8)
        at = _address(self.room) // 64 * 64 + 64
        found = []
        for size in sizes:
            found.append(at)
            at += -(-size // 64) * 64 + 64 + (0 if size < 4096 else 192)
        return found

    def state(self, recipe: Recipe, number: int) -> Block:
        """The lanes of reduction `number` of those with the same recipe."""
        known = self.states.setdefault(recipe, [])
        while len(known) <= number:
            known.append(state_of(recipe))
        return known[number]


_workspace = _Workspace()


def make_elements(
    code: Code, arrays: Sequence[Block], outs: Sequence[Block | None], complaints: Complaints
) -> None:
    """Make all elements of a region, each in its place.

    Parameters
    ----------
    code : Code
    arrays : sequence of ndarray
        The inputs, of the dtypes that the code was made for and native, of the region's extents.
    outs : sequence of ndarray
        One for each thing that is made, of its dtype, native and aligned.
    complaints : Complaints
    """
    (shape,) = {out.shape for out in outs if out is not None}
    places = [out for out in outs if out is not None]
    arrays = [*arrays, *(np.broadcast_to(one, shape) for one in code.constants)]
    if places[0].flags.f_contiguous and not places[0].flags.c_contiguous:
        arrays, places = [one.T for one in arrays], [one.T for one in places]
        shape = shape[::-1]
    axes = tuple(range(len(shape)))
    every = [*arrays, *places]
    extents, steps = _along(shape, every, axes)
    stored = iter(range(len(places)))
    spec = Spec(
        leaves=1,
        leaf_steps=(0,) * len(every),
        extents=((), extents, ()),
        steps=((), steps, ()),
        given=_given(code, arrays),
        made=tuple(
            Made(item, -1 if out is None else next(stored), same, _overlaps(out, arrays))
            for item, same, out in zip(code.items, code.same, outs, strict=True)
        ),
    )
    tape = write_tape(spec)
    assert tape is not None
    _run(code, tape, spec, [_address(one) for one in every], [], complaints)


def reduce_leaves(
    code: Code,
    arrays: Sequence[Block],
    outs: Sequence[Block | None],
    reductions: Sequence[tuple[int, Recipe]],
    leaf: tuple[slice, ...],
    axis: int,
    count: int,
    axes: tuple[int, ...],
    complaints: Complaints,
) -> list[Block] | None:
    """Make the elements of a run of equal leaves and reduce them, each leaf by itself.

    Parameters
    ----------
    code : Code
    arrays, outs
        As of `make_elements`; of the whole region that the leaf is a part of.
    reductions : sequence of (int, Recipe)
        Which of the things that are made is reduced, and how.
    leaf : tuple of slice
        The first leaf.
    axis, count : int
        So many leaves lie beside one another along this axis.
    axes : tuple of int
        The reduced axes.
    complaints : Complaints

    Returns
    -------
    list of ndarray or None
        For each reduction its (L, A, B, F) numbers, as of `oocarray.leaves.walk.walk_run`; None
        where the reductions do not go together.
    """
    shape = tuple(part.stop - part.start for part in leaf)
    form = form_of(shape, axes)
    loops = [recipe.loop(None) for _, recipe in reductions]
    ways = [steps_of(form.extents, loop) for loop in loops]
    whole = outs[0].shape if outs and outs[0] is not None else arrays[0].shape
    arrays = [*arrays, *(np.broadcast_to(one, whole) for one in code.constants)]
    places = [out for out in outs if out is not None]
    every = [*arrays, *places]
    groups = [_along(shape, every, group) for group in form.groups]
    stored = iter(range(len(places)))
    spec = Spec(
        leaves=count,
        leaf_steps=tuple(
            one.strides[axis] * shape[axis] if count > 1 else 0 for one in every
        ),
        extents=tuple(extents for extents, _ in groups),  # type: ignore[arg-type]
        steps=tuple(steps for _, steps in groups),  # type: ignore[arg-type]
        given=_given(code, arrays),
        made=tuple(
            Made(item, -1 if out is None else next(stored), same)
            for item, same, out in zip(code.items, code.same, outs, strict=True)
        ),
        taken=tuple(
            Taken(made, k, _unit(recipe), loop.fields * loop.out.itemsize)
            for (made, recipe), loop, (k, _, _) in zip(reductions, loops, ways, strict=True)
        ),
        gathered=ways[0][1],
        width=_width(form, ways),
    )
    tape = write_tape(spec)
    if tape is None:
        return None
    results = [
        np.empty((count, form.extents[0], form.extents[2], loop.fields), loop.out)
        for loop in loops
    ]
    starts = [
        _address(one) + sum(part.start * step for part, step in zip(leaf, one.strides, strict=True))
        for one in every
    ]
    taken = list(zip([recipe for _, recipe in reductions], results, strict=True))
    _run(code, tape, spec, starts, taken, complaints)
    return results


def short_lines(arrays: Sequence[Block], outs: Sequence[Block]) -> bool:
    """Whether arrays lie so that only few elements of all of them are side by side."""
    shape = (outs or arrays)[0].shape
    every = [*arrays, *outs]
    fortran = bool(outs) and outs[0].flags.f_contiguous and not outs[0].flags.c_contiguous
    axes = range(len(shape))[:: -1 if fortran else 1]
    extents, _ = _along(shape, every, axes)
    return len(extents) > 1 and extents[-1] < _SHORT


def _run(
    code: Code,
    tape: Tape,
    spec: Spec,
    starts: Sequence[int],
    taken: Sequence[tuple[Recipe, Block]],
    complaints: Complaints,
) -> None:
    sizes = [tape.slab * one.item for one in spec.made]
    sizes += [tape.slab * one.item for one in spec.given]
    sizes += [tape.slab * spec.made[one.made].item if spec.gathered else 0 for one in spec.taken]
    room = _workspace.take(sizes)
    first, second = len(spec.made), len(spec.made) + len(spec.given)
    used: dict[Recipe, int] = {}
    states = []
    for recipe, _ in taken:
        number = used[recipe] = used.get(recipe, -1) + 1
        states.append(_address(_workspace.state(recipe, number)))
    rules = dict(code.rules)
    pointers = np.empty_like(tape.pointers)
    bases = np.array(
        [
            *(0, *starts, *room[:first], *room[first:second], *states),
            *(_address(result) for _, result in taken),
            *room[second:],
            0 if code.loop is None else jit.address(code.loop),
            jit.address(code.move),
            *(jit.address(rules[recipe]) for recipe, _ in taken),
            _address(pointers),
            _address(complaints.word),
        ],
        np.int64,
    )
    np.add(tape.pointers, bases[tape.pointed], out=pointers)
    rows = tape.rows + bases[tape.chosen]
    jit.load(code.drive)(_address(rows), len(rows))


def _along(
    shape: tuple[int, ...], arrays: Sequence[Block], axes: Sequence[int]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Some axes, joined where they are one for all arrays."""
    return collapsed(
        [shape[axis] for axis in axes], [[one.strides[axis] for one in arrays] for axis in axes]
    )


def _given(code: Code, arrays: Sequence[Block]) -> tuple[Given, ...]:
    return tuple(
        Given(one.itemsize, point, not point and not one.flags.aligned)
        for one, point in zip(arrays, code.points, strict=True)
    )


def _overlaps(out: Block | None, arrays: Sequence[Block]) -> bool:
    return out is not None and any(np.may_share_memory(out, one) for one in arrays)


def _width(form: Form, ways: Sequence[tuple[int, int, int]]) -> int:
    """How many columns at once, where they are more than the lanes of a reduction."""
    width = min(width for _, _, width in ways)
    return width if form.extents[2] > width and all(k == 1 for k, _, _ in ways) else 0


def _unit(recipe: Recipe) -> int:
    if recipe.rule == "moments":
        return VAR_ROWS
    return 4 if recipe.rule == "float_sum" else 1


def _address(array: Block) -> int:
    found: int = array.__array_interface__["data"][0]
    return found
