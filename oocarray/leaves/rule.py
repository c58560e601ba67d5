"""The rule of a reduction as one compiled function of integers, to be led over data by address.

It is the rule of `oocarray.leaves.kernels`, which decides every bit; nothing is added here but the
way it is called: by the loop that makes elements a few thousand at a time and keeps none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from oocarray.jit import Compiled, ScalarArg, compile_kernel, kernel
from oocarray.leaves.kernels import rules
from oocarray.leaves.loops import Recipe
from oocarray.leaves.walk import WIDTH

__all__ = ["BEGIN", "EACH", "END", "ROOM", "TAKE", "TURN", "compiled_rule", "state_of"]

ROOM = WIDTH + 40
"""Numbers in a row of a state: rows 8 KiB apart would stall each other."""
BEGIN, TAKE, END, EACH, TURN = range(5)
"""What a rule is asked to do; see `_made`."""


@functools.cache
def compiled_rule(recipe: Recipe) -> Compiled:
    """The rule of a recipe, compiled; its only arguments are integers.

    Examples
    --------
    >>> from oocarray.leaves.loops import recipe
    >>> compiled_rule(recipe("sum", np.dtype("f8"), False, False)).name
    'sum_rule'
    """
    made = _made(recipe)
    made.__name__ = f"{recipe.rule.removeprefix('float_')}_rule"
    return compile_kernel(made, (ScalarArg("int"),) * 8)


def state_of(recipe: Recipe) -> np.ndarray:
    """Room for the lanes of a rule, and a last row with what each of them starts from."""
    loop = recipe.loop(None)
    state = np.zeros((loop.depth + 1, ROOM), loop.state)
    state[-1, : loop.fields] = loop.seed
    return state


def _made(recipe: Recipe) -> Callable[..., Any]:
    from oocarray import machine

    array_at: Any = machine.array_at
    loop = recipe.loop(None)
    fields, depth = loop.fields, loop.depth
    held, work = loop.state, loop.work
    update, begin, end, each, turn = _parts(recipe, fields, depth)

    def rule(what, state_at, data_at, rows, lanes, first, step, more):  # type: ignore[no-untyped-def]
        # BEGIN: set `lanes` lanes to what they start from.
        # TAKE: take `rows` rows of `lanes` elements at `data_at`; `first` and `step` as of an
        #     update, with a spread of 1 where `more` says so.
        # END: merge `rows` groups of `lanes` lanes, and write the numbers of each to `data_at`.
        # EACH: for each of `first` results beside one another, all three: of `rows` rows of
        #     `lanes` elements, `step` rows side by side; the numbers go to `more`.
        # TURN: the same with all results side by side, as there are few rows; `step` is a buffer.
        state = array_at(state_at, (depth + 1, ROOM), held)
        if what == BEGIN:
            begin(state, lanes)
        elif what == TAKE:
            data = array_at(data_at, (rows * lanes,), work)
            update(state, data, 0, rows, lanes, lanes, first, step, more)
        elif what == END:
            end(state, rows, lanes, array_at(data_at, (lanes, fields), held))
        else:
            data = array_at(data_at, (first * rows * lanes,), work)
            out = array_at(more, (first, lanes, fields), held)
            if what == EACH:
                each(state, data, rows, lanes, first, step, out)
            else:
                turn(state, data, rows, lanes, first, array_at(step, data.shape, work), out)
        return 0

    return rule


def _parts(recipe: Recipe, fields: int, depth: int) -> tuple[Any, ...]:
    """What a rule does: its update, and with that the rest."""
    update, merge = (kernel(part) for part in rules(recipe.rule, *recipe.constants))

    @kernel
    def begin(state, lanes):  # type: ignore[no-untyped-def]
        for f in range(fields):
            for j in range(lanes):
                state[f, j] = state[depth, f]

    @kernel
    def end(state, groups, lanes, out):  # type: ignore[no-untyped-def]
        left = groups
        while left > 1:
            half = (left + 1) // 2
            merge(state, (left - half) * lanes, half * lanes)
            left = half
        for j in range(lanes):
            for f in range(fields):
                out[j, f] = state[f, j]

    @kernel
    def each(state, data, rows, lanes, count, k, out):  # type: ignore[no-untyped-def]
        whole = rows // k
        rest = (rows - whole * k) * lanes
        spread = 1 if k > 1 else 0
        for number in range(count):
            start = number * rows * lanes
            begin(state, k * lanes)
            update(state, data, start, whole, k * lanes, k * lanes, 0, k, spread)
            if rest > 0:
                update(state, data, start + whole * k * lanes, 1, 0, rest, whole * k, k, spread)
            end(state, k, lanes, out[number])

    @kernel
    def turn(state, data, rows, lanes, count, buffer, out):  # type: ignore[no-untyped-def]
        width = count * lanes
        for r in range(rows):
            for t in range(count):
                for b in range(lanes):
                    buffer[r * width + t * lanes + b] = data[(t * rows + r) * lanes + b]
        begin(state, width)
        update(state, buffer, 0, rows, width, width, 0, 1, 0)
        for t in range(count):
            for b in range(lanes):
                for f in range(fields):
                    out[t, b, f] = state[f, t * lanes + b]

    return update, begin, end, each, turn
