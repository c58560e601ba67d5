"""Leads a compiled loop over arrays of one process: stores what it makes, or reduces it by leaves.

It finds out how arrays lie, has a tape written for that, and runs it.  What is calculated is no
concern of it, nor who lent the arrays.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import jit
from ..leaves.loops import Recipe
from ..leaves.rule import state_of
from ..leaves.stats import VAR_ROWS, WIDE_LANES, WIDE_ROWS
from ..leaves.walk import Form, Run, form_of, steps_of
from .spec import Given, Made, Spec, Taken, collapsed
from .tape import Tape, write_tape

__all__ = ["Code", "Way", "line_of", "way_of_elements", "way_of_leaves"]

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
    each: jit.Compiled
    turn: jit.Compiled
    rules: tuple[tuple[Recipe, jit.Compiled], ...]
    points: tuple[bool, ...]
    """Of the inputs, constants included."""
    items: tuple[int, ...]
    """Bytes of an element of each thing that is made."""
    same: tuple[int, ...]
    """The input that it equals, or -1."""
    constants: tuple[Block, ...]


@dataclass(eq=False)
class Way:
    """How a loop is led over arrays that lie in one way; used by one thread at a time.

    It may be used again for other arrays of the same extents, strides and alignment.
    """

    code: Code
    tape: Tape
    spec: Spec
    offsets: tuple[int, ...]
    """Bytes from the beginning of each array to where the first leaf begins."""
    recipes: tuple[Recipe, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    """Of the numbers of each reduction."""

    def __post_init__(self) -> None:
        tape, spec, code = self.tape, self.spec, self.code
        sizes = [tape.slab * one.item for one in spec.made]
        sizes += [tape.slab * one.item for one in spec.given]
        turned = [tape.slab * spec.made[one.made].item for one in spec.taken]
        sizes += turned if spec.gathered else [0 for _ in turned]
        self._room, places = _buffers(sizes)
        second = len(spec.made) + len(spec.given)
        self._states = [state_of(recipe) for recipe in self.recipes]
        rules = dict(code.rules)
        self._rows, self._pointers = np.empty_like(tape.rows), np.empty_like(tape.pointers)
        self.complaints = np.zeros(1, np.int64)
        arrays, results = len(self.offsets), len(self.recipes)
        self._bases = np.array(
            [
                *(0, *self.offsets, *places[:second], *map(_address, self._states)),
                *(0 for _ in range(results)),
                *places[second:],
                0 if code.loop is None else jit.address(code.loop),
                jit.address(code.move),
                jit.address(code.turn if spec.gathered else code.each),
                *(jit.address(rules[recipe]) for recipe in self.recipes),
                _address(self._pointers),
                _address(self.complaints),
            ],
            np.int64,
        )
        self._at = slice(1, 1 + arrays)
        self._to = slice(1 + arrays + second + results, 1 + arrays + second + 2 * results)
        self._constants = [_address(one) for one in code.constants]
        self._drive = jit.load(code.drive)

    def go(self, arrays: Sequence[Block], outs: Sequence[Block | None]) -> list[Block]:
        """Make the elements of all leaves, and return the numbers of the reductions."""
        results = [
            np.empty(shape, recipe.loop(None).out)
            for shape, recipe in zip(self.shapes, self.recipes, strict=True)
        ]
        bases = self._bases.copy()
        bases[self._at] += [
            *map(_address, arrays),
            *self._constants,
            *(_address(out) for out in outs if out is not None),
        ]
        bases[self._to] = [_address(result) for result in results]
        tape = self.tape
        np.add(tape.pointers, bases[tape.pointed], out=self._pointers)
        np.add(tape.rows, bases[tape.chosen], out=self._rows)
        self._drive(_address(self._rows), len(self._rows))
        return results


def _buffers(sizes: Sequence[int]) -> tuple[Block, list[int]]:
    """Memory for some buffers, and where each of them begins."""
    room = np.empty(sum(-(-size // 64) * 64 + _APART for size in sizes) + 64, np.uint8)
    at = _address(room) // 64 * 64 + 64
    found = []
    for size in sizes:
        found.append(at)
        at += -(-size // 64) * 64 + _APART
    return room, found


def way_of_elements(code: Code, arrays: Sequence[Block], outs: Sequence[Block | None]) -> Way:
    """Find the way to make all elements of a region, each in its place.

    Parameters
    ----------
    code : Code
    arrays : sequence of ndarray
        The inputs, of the dtypes that the code was made for and native, of the region's extents.
    outs : sequence of ndarray
        One for each thing that is made, of its dtype, native and aligned.
    """
    (shape,) = {out.shape for out in outs if out is not None}
    places = [out for out in outs if out is not None]
    every = [*arrays, *(np.broadcast_to(one, shape) for one in code.constants), *places]
    axes = tuple(range(len(shape)))
    if places[0].flags.f_contiguous and not places[0].flags.c_contiguous:
        axes = axes[::-1]
    extents, steps = _along(shape, every, axes)
    spec = Spec(
        leaves=1,
        leaf_steps=(0,) * len(every),
        extents=((), extents, ()),
        steps=((), steps, ()),
        given=_given(code, every),
        made=_made(code, outs, every[: len(every) - len(places)]),
    )
    tape = write_tape(spec)
    assert tape is not None
    return Way(code, tape, spec, (0,) * len(every))


def way_of_leaves(
    code: Code,
    arrays: Sequence[Block],
    outs: Sequence[Block | None],
    reductions: Sequence[tuple[int, Recipe]],
    run: Run,
    axes: tuple[int, ...],
) -> Way | None:
    """Find the way to make the elements of equal leaves and reduce them, each leaf by itself.

    Parameters
    ----------
    code : Code
    arrays, outs
        As of `way_of_elements`; of the whole region that the leaves are a part of.
    reductions : sequence of (int, Recipe)
        Which of the things that are made is reduced, and how.
    run : Run
        The leaves.
    axes : tuple of int
        The reduced axes.

    Returns
    -------
    Way or None
        Its numbers are (L, A, B, F), as of `oocarray.leaves.walk.walk_run`; None where the
        reductions do not go together.
    """
    leaf = run.leaf(0)
    shape = tuple(part.stop - part.start for part in leaf)
    form = form_of(shape, axes)
    loops = [recipe.loop(None) for _, recipe in reductions]
    ways = [steps_of(form.extents, loop) for loop in loops]
    places = [out for out in outs if out is not None]
    whole = (places or arrays)[0].shape
    every = [*arrays, *(np.broadcast_to(one, whole) for one in code.constants), *places]
    groups = [_along(shape, every, group) for group in form.groups]
    width = _width(form, ways)
    # Of the narrowest piece, which may ask for more rows than the others.
    columns = (form.extents[2] % width or width) if width else form.extents[2]
    spec = Spec(
        leaves=run.count,
        leaf_steps=tuple(
            one.strides[run.axis] * shape[run.axis] if run.count > 1 else 0 for one in every
        ),
        extents=tuple(extents for extents, _ in groups),  # type: ignore[arg-type]
        steps=tuple(steps for _, steps in groups),  # type: ignore[arg-type]
        given=_given(code, every),
        made=_made(code, outs, ()),
        taken=tuple(
            Taken(made, k, _unit(recipe, k * columns), loop.fields * loop.out.itemsize)
            for (made, recipe), loop, (k, _, _) in zip(reductions, loops, ways, strict=True)
        ),
        gathered=ways[0][1],
        width=width,
    )
    tape = write_tape(spec)
    if tape is None:
        return None
    offsets = tuple(
        sum(part.start * step for part, step in zip(leaf, one.strides, strict=True))
        for one in every
    )
    a, _, b = form.extents
    shapes = tuple((run.count, a, b, loop.fields) for loop in loops)
    return Way(code, tape, spec, offsets, tuple(recipe for _, recipe in reductions), shapes)


def line_of(arrays: Sequence[Block]) -> int:
    """Elements that all of some arrays of one shape have side by side, or evenly apart.

    Examples
    --------
    >>> x = np.zeros((4, 6))
    >>> line_of([x, x]), line_of([x, np.zeros((6, 4)).T])
    (24, 6)
    """
    shape = arrays[0].shape
    extents, _ = _along(shape, arrays, range(len(shape)))
    return extents[-1] if extents else 1


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
        for one, point in zip(arrays, code.points, strict=False)
    )


def _made(code: Code, outs: Sequence[Block | None], arrays: Sequence[Block]) -> tuple[Made, ...]:
    stored = itertools.count()
    return tuple(
        Made(
            item,
            -1 if out is None else next(stored),
            same,
            out is not None and any(np.may_share_memory(out, one) for one in arrays),
        )
        for item, same, out in zip(code.items, code.same, outs, strict=True)
    )


def _width(form: Form, ways: Sequence[tuple[int, int, int]]) -> int:
    """How many columns at once, where they are more than the lanes of a reduction."""
    width = min(width for _, _, width in ways)
    return width if form.extents[2] > width and all(k == 1 for k, _, _ in ways) else 0


def _unit(recipe: Recipe, lanes: int) -> int:
    """Rows that a rule takes together, where it has so many lanes."""
    if recipe.rule == "moments":
        return WIDE_ROWS if lanes >= WIDE_LANES else VAR_ROWS
    return 4 if recipe.rule == "float_sum" else 1


def _address(array: Block) -> int:
    found: int = array.__array_interface__["data"][0]
    return found
