"""Writes the tape of a run of leaves: which calls make which elements, and who takes them.

Arithmetic on extents and strides only.  Elements are made a *slab* at a time, in buffers of the
first-level cache; reductions take them from there, in the order that `oocarray.leaves` fixes, and
what is stored is copied from there, unless it can be made in its place.  A tape is a template:
addresses are added for each block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..leaves.rule import BEGIN, END, TAKE, packed
from .spec import Names, Spec, Taken, collapsed
from .stream import CELLS

__all__ = ["Tape", "write_tape"]

SLAB_BYTES = 16 << 10
"""Of each thing that is made at once: two such and their inputs fit a first-level cache."""
_MOST = 1 << 16
"""Elements of a slab, where reductions ask for more than that."""

Ints = np.ndarray[Any, Any]


@dataclass(eq=False)
class Tape:
    """Calls, and what must be added to them: ``rows + bases[chosen]``.

    Numbers of `bases`: 0 is nothing, then come the arrays, the buffers of what is made, buffers
    for copies of the inputs, the states of the reductions, where their results go, their buffers;
    then the generated loop, the copying, what makes many results at once, the rules; the pointers,
    and what is complained of.
    """

    rows: Ints
    chosen: Ints
    pointers: Ints
    pointed: Ints
    slab: int
    """Elements that buffers must hold."""


@lru_cache(maxsize=64)
def write_tape(spec: Spec) -> Tape | None:
    """Write the tape for a run of equal leaves; None where the reductions do not go together.

    Parameters
    ----------
    spec : Spec
        Without reductions all axes are in R, and there is one leaf.
    """
    a, r, b = spec.extents
    inner, reduced = math.prod(b), math.prod(r)
    unit = math.lcm(*(one.k * one.unit for one in spec.taken)) if spec.taken else 1
    item = max((one.item for one in spec.made), default=8)
    slab = max(SLAB_BYTES // item, 1)
    if spec.gathered:
        whole = min(spec.gathered, max(math.prod(a), 1)) * reduced * inner
        return _Writer(spec, max(whole, 1)).together(spec.gathered, True)
    if not spec.width and reduced * inner <= slab and spec.taken:
        count = max(slab // (reduced * inner), 1)
        return _Writer(spec, count * reduced * inner).together(count, False)
    if not spec.taken:
        return _Writer(spec, slab).stored()
    lanes = min(spec.width or inner, inner)
    rows = max(slab // lanes // unit, 1) * unit
    if min(rows, reduced) * lanes > _MOST:
        return None
    return _Writer(spec, min(rows, reduced) * lanes).apart(rows)


class _Place(NamedTuple):
    """Where elements of lines are: a base, bytes from there, and from one to the next."""

    base: int
    at: Any
    step: int


class _Writer:
    def __init__(self, spec: Spec, slab: int) -> None:
        self.spec, self.slab, self.names = spec, slab, Names(spec)
        self.arrays = len(spec.leaf_steps)
        self.rows: list[Ints] = []
        self.chosen: list[Ints] = []
        self.pointers: list[tuple[Ints, Ints]] = []
        self.fills = 0
        self.sources: dict[int, tuple[int, int]] = {}
        """Where reductions find each thing of the slab: a base, and bytes from there."""

    # ---- nothing is reduced ---------------------------------------------------------------------

    def stored(self) -> Tape:
        """One stream; each piece of a line is a slab of its own."""
        extents, steps = self.spec.extents[1], self.spec.steps[1]
        total = math.prod(extents)
        ((_, lines),) = self._slabs(extents, steps, total, total, self.slab)
        self._fill(np.zeros(self.arrays, np.int64), lines)
        return self._done()

    # ---- all results of a leaf in one stream ----------------------------------------------------

    def together(self, count: int, turn: bool) -> Tape:
        """Elements of all results in one stream; `count` results of them are made at once."""
        spec = self.spec
        reduced, inner = math.prod(spec.extents[1]), math.prod(spec.extents[2])
        extents, steps = collapsed(sum(spec.extents, ()), sum(spec.steps, ()))
        results = math.prod(spec.extents[0])
        each = reduced * inner
        for leaf in range(spec.leaves):
            start = leaf * np.array(spec.leaf_steps, np.int64)
            slabs = self._slabs(extents, steps, count * each, results * each)
            for at, lines in slabs:
                self._fill(start, lines)
                number = leaf * results + at // each
                here = min(count, results - at // each)
                for q, one in enumerate(spec.taken):
                    self._each(q, one, turn, here, number * inner, reduced, inner)
        return self._done()

    def _each(
        self, q: int, one: Taken, turn: bool, count: int, number: int, reduced: int, inner: int
    ) -> None:
        """Let a reduction make `count` results, each of elements side by side."""
        names = self.names
        base, start = self.sources[one.made]
        told = packed(count, self.spec.made[one.made].item, one.size)
        self._row(
            (0, 0, 0, start, reduced, inner, told, 0 if turn else one.k, number * one.size),
            (
                *(names.many, names.rules + q, names.states + q, base, 0, 0, 0),
                *(names.turned + q if turn else 0, names.results + q),
            ),
        )

    # ---- a stream for each result, or some side by side -----------------------------------------

    def apart(self, rows: int) -> Tape:
        """A stream for each position on the axes A (and the outer ones of B, with a width)."""
        spec = self.spec
        if spec.width:
            b, b_steps = collapsed(spec.extents[2], spec.steps[2])
            outer, outer_steps = (*spec.extents[0], *b[:-1]), (*spec.steps[0], *b_steps[:-1])
            line, line_step = b[-1], np.array(b_steps[-1], np.int64)
            pieces = [(at, min(spec.width, line - at)) for at in range(0, line, spec.width)]
        else:
            outer, outer_steps = spec.extents[0], spec.steps[0]
            line, line_step = math.prod(spec.extents[2]), np.zeros(self.arrays, np.int64)
            pieces = [(0, line)]
        reduced = math.prod(spec.extents[1])
        streams = {}
        for _, n in pieces:
            if n not in streams:
                extents, steps = spec.extents[1], spec.steps[1]
                if spec.width:
                    last: tuple[tuple[int, ...], ...] = (tuple(line_step.tolist()),)
                    extents, steps = collapsed((*extents, n), (*steps, *last))
                else:
                    extents, steps = collapsed(
                        (*extents, *spec.extents[2]), (*steps, *spec.steps[2])
                    )
                streams[n] = self._slabs(extents, steps, rows * n, reduced * n)
        places = np.indices(outer).reshape(len(outer), -1).T if outer else np.zeros((1, 0), int)
        starts = places @ np.array(outer_steps, np.int64).reshape(len(outer), self.arrays)
        number = 0
        for leaf in range(spec.leaves):
            for start in leaf * np.array(spec.leaf_steps, np.int64) + starts:
                for at, n in pieces:
                    self._stream(start + at * line_step, streams[n], n, number)
                    number += n
        return self._done()

    def _stream(self, start: Ints, slabs: list[tuple[int, Any]], n: int, number: int) -> None:
        names, taken = self.names, self.spec.taken
        for q, one in enumerate(taken):
            self._row(
                (0, BEGIN, 0, 0, 0, one.k * n, 0, 0, 0),
                (names.rules + q, 0, names.states + q, 0, 0, 0, 0, 0, 0),
            )
        for at, lines in slabs:
            self._fill(start, lines)
            rows = int(lines[2].sum()) // n
            for q, one in enumerate(taken):
                self._take(q, one, at // n, rows, n)
        for q, one in enumerate(taken):
            self._row(
                (0, END, 0, number * one.size, one.k, n, 0, 0, 0),
                (names.rules + q, 0, names.states + q, names.results + q, 0, 0, 0, 0, 0),
            )

    def _take(self, q: int, one: Taken, first: int, rows: int, n: int) -> None:
        names, k = self.names, one.k
        base, start = self.sources[one.made]
        chosen = (names.rules + q, 0, names.states + q, base, 0, 0, 0, 0, 0)
        whole, spread = rows // k, int(k > 1)
        if whole:
            self._row((0, TAKE, 0, start, whole, k * n, first, k, spread), chosen)
        rest = rows - whole * k
        if rest:
            offset = start + whole * k * n * self.spec.made[one.made].item
            self._row((0, TAKE, 0, offset, 1, rest * n, first + whole * k, k, spread), chosen)

    # ---- slabs and lines ------------------------------------------------------------------------

    def _slabs(
        self, extents: tuple[int, ...], steps: Any, slab: int, total: int, most: int = 0
    ) -> list[tuple[int, Any]]:
        """Cut a stream: for each slab its start, and the lines in it, or pieces of `most`.

        Lines are (offsets of each array, elements of the slab before, elements, last steps).
        """
        line = extents[-1] if extents else 1
        last = np.array(steps[-1] if steps else [0] * self.arrays, np.int64)
        outer = extents[:-1]
        outer_steps = np.array(steps[:-1], np.int64).reshape(len(outer), self.arrays)
        found = []
        for at in range(0, total, slab):
            end = min(at + slab, total)
            cuts = np.arange(at // line * line, end, line)
            cuts[0] = at
            if most and line > most:
                cuts = (cuts[:, None] + np.arange(0, line, most)).reshape(-1)
                cuts = cuts[cuts < end]
            counts = np.diff(cuts, append=end)
            numbers, within = np.divmod(cuts, line)
            places = np.stack(np.unravel_index(numbers, outer), -1) if outer else np.zeros((1, 0))
            offsets = places.astype(np.int64) @ outer_steps + within[:, None] * last
            before = np.zeros_like(cuts) if most else cuts - at
            found.append((at, (offsets, before, counts, last)))
        return found

    def _fill(self, start: Ints, lines: Any) -> None:
        """Rows that make the lines of a slab, and store what is to be stored of them."""
        spec, names = self.spec, self.names
        offsets, before, counts, last = lines
        offsets = offsets + start
        given, count = len(spec.given), len(counts)
        table = np.zeros((count, given + len(spec.made)), np.int64)
        table[:, :given] = offsets[:, :given]
        pieces = []
        for k, one in enumerate(spec.given):
            if not self._direct_input(k, last):
                table[:, k] = 0
                to = _Place(names.copies + k, 0, one.item)
                of = _Place(1 + k, offsets[:, k], last[k])
                pieces.append(self._moves(to, of, counts, one.item))
        after = []
        for j, made in enumerate(spec.made):
            at = given + made.stored
            out = _Place(1 + at, offsets[:, at], int(last[at]))
            buffer = _Place(names.buffers + j, before * made.item, made.item)
            direct = self._direct(j, last)
            table[:, given + j] = offsets[:, at] if direct else before * made.item
            self.sources[j] = names.buffers + j, 0
            if made.same >= 0:
                k = made.same
                if self._direct_input(k, last) and count == 1 and made.stored < 0:
                    # Reductions take it from where it is.
                    self.sources[j] = 1 + k, int(offsets[0, k])
                    continue
                of = _Place(1 + k, offsets[:, k], last[k])
                if not self._direct_input(k, last):
                    of = _Place(names.copies + k, 0, made.item)
                after.append(self._moves(out if direct else buffer, of, counts, made.item))
            if made.stored >= 0 and not direct:
                after.append(self._moves(out, buffer, counts, made.item))
        if any(one.same < 0 for one in spec.made):
            pieces.append(self._made(table, counts, last))
        pieces += after
        if pieces:
            self.rows.append(np.stack([rows for rows, _ in pieces], 1).reshape(-1, CELLS))
            self.chosen.append(np.stack([chosen for _, chosen in pieces], 1).reshape(-1, CELLS))

    def _made(self, table: Ints, counts: Ints, last: Ints) -> tuple[Ints, Ints]:
        """Calls of the generated loop, each with a row of pointers."""
        spec, names, count = self.spec, self.names, len(counts)
        fill = np.zeros((count, CELLS), np.int64)
        chosen = np.zeros((count, CELLS), np.int64)
        chosen[:, 0], chosen[:, 1], chosen[:, 3] = names.fill, names.pointers, names.status
        fill[:, 1] = (self.fills + np.arange(count)) * table.shape[1] * 8
        fill[:, 2] = counts
        self.fills += count
        bases = [
            1 + k if self._direct_input(k, last) else names.copies + k
            for k in range(len(spec.given))
        ]
        bases += [
            1 + len(spec.given) + made.stored if self._direct(j, last) else names.buffers + j
            for j, made in enumerate(spec.made)
        ]
        self.pointers.append((table, np.broadcast_to(np.array(bases, np.int64), table.shape)))
        return fill, chosen

    def _direct_input(self, k: int, last: Ints) -> bool:
        """Whether the loop reads an input where it is."""
        one = self.spec.given[k]
        return one.point or bool(last[k] == one.item and not one.copied)

    def _direct(self, j: int, last: Ints) -> bool:
        """Whether something is made where it is stored."""
        made = self.spec.made[j]
        if made.stored < 0 or made.staged or any(one.made == j for one in self.spec.taken):
            return False
        return bool(last[len(self.spec.given) + made.stored] == made.item) or made.same >= 0

    def _moves(self, to: _Place, of: _Place, counts: Ints, item: int) -> tuple[Ints, Ints]:
        rows = np.zeros((len(counts), CELLS), np.int64)
        chosen = np.zeros((len(counts), CELLS), np.int64)
        chosen[:, 0], chosen[:, 1], chosen[:, 3] = self.names.move, to.base, of.base
        rows[:, 1], rows[:, 2], rows[:, 3], rows[:, 4] = to.at, to.step, of.at, of.step
        rows[:, 5], rows[:, 6], rows[:, 7] = counts, item, 1
        return rows, chosen

    def _row(self, row: tuple[int, ...], chosen: tuple[int, ...]) -> None:
        self.rows.append(np.array([row], np.int64))
        self.chosen.append(np.array([chosen], np.int64))

    def _done(self) -> Tape:
        width = len(self.spec.given) + len(self.spec.made)
        none = np.zeros((0, width), np.int64)
        return Tape(
            np.concatenate(self.rows),
            np.concatenate(self.chosen),
            np.concatenate([none, *(table for table, _ in self.pointers)]),
            np.concatenate([none, *(chosen for _, chosen in self.pointers)]),
            self.slab,
        )
