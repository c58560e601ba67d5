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

__all__ = [
    "BEGIN",
    "END",
    "ROOM",
    "TAKE",
    "compiled_each",
    "compiled_rule",
    "compiled_turn",
    "packed",
    "state_of",
]

ROOM = WIDTH + 40
"""Numbers in a row of a state: rows 8 KiB apart would stall each other."""
BEGIN, TAKE, END = range(3)
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
    update, merge = (kernel(part) for part in rules(recipe.rule, *recipe.constants))
    loop = recipe.loop(None)
    fields, depth = loop.fields, loop.depth
    held, work = loop.state, loop.work

    def rule(what, state_at, data_at, rows, lanes, first, step, spread):  # type: ignore[no-untyped-def]
        # BEGIN: set `lanes` lanes to what they start from.
        # TAKE: take `rows` rows of `lanes` elements at `data_at`; the rest as of an update.
        # END: merge `rows` groups of `lanes` lanes, and write the numbers of each to `data_at`.
        # Each part is here once only: the time to compile it is what a first run waits for.
        state = array_at(state_at, (depth + 1, ROOM), held)
        if what == BEGIN:
            for f in range(fields):
                for j in range(lanes):
                    state[f, j] = state[depth, f]
        elif what == TAKE:
            data = array_at(data_at, (rows * lanes,), work)
            update(state, data, 0, rows, lanes, lanes, first, step, spread)
        else:
            left = rows
            while left > 1:
                half = (left + 1) // 2
                merge(state, (left - half) * lanes, half * lanes)
                left = half
            out = array_at(data_at, (lanes, fields), held)
            for j in range(lanes):
                for f in range(fields):
                    out[j, f] = state[f, j]
        return 0

    return rule


@functools.cache
def compiled_each() -> Compiled:
    """Reduces results one after the other, by any rule: each of few elements side by side.

    Examples
    --------
    >>> compiled_each().name
    'each'
    """
    from oocarray import machine

    call: Any = machine.call

    def each(rule, state, data, rows, lanes, packed, k, out):  # type: ignore[no-untyped-def]
        count, item, size = packed & 0xFFFFFFFF, (packed >> 32) & 0xFF, packed >> 40
        whole = rows // k
        rest = (rows - whole * k) * lanes
        spread = 1 if k > 1 else 0
        for number in range(count):
            call(rule, BEGIN, state, 0, 0, k * lanes, 0, 0, 0)
            call(rule, TAKE, state, data, whole, k * lanes, 0, k, spread)
            if rest > 0:
                at = data + whole * k * lanes * item
                call(rule, TAKE, state, at, 1, rest, whole * k, k, spread)
            call(rule, END, state, out + number * lanes * size, k, lanes, 0, 0, 0)
            data += rows * lanes * item
        return 0

    return compile_kernel(each, (ScalarArg("int"),) * 8)


@functools.cache
def compiled_turn() -> Compiled:
    """Reduces results side by side, by any rule: each of so few elements that lanes are results.

    Examples
    --------
    >>> compiled_turn().name
    'turn'
    """
    from oocarray import machine

    call: Any = machine.call
    copy: Any = machine.copy

    def turn(rule, state, data, rows, lanes, packed, buffer, out):  # type: ignore[no-untyped-def]
        count, item = packed & 0xFFFFFFFF, (packed >> 32) & 0xFF
        width = count * lanes
        for r in range(rows):
            for t in range(count):
                to = buffer + (r * width + t * lanes) * item
                copy(to, data + (t * rows + r) * lanes * item, lanes * item)
        call(rule, BEGIN, state, 0, 0, width, 0, 0, 0)
        call(rule, TAKE, state, buffer, rows, width, 0, 1, 0)
        call(rule, END, state, out, 1, width, 0, 0, 0)
        return 0

    return compile_kernel(turn, (ScalarArg("int"),) * 8)


def packed(count: int, item: int, size: int) -> int:
    """How many results, the bytes of an element and of the numbers of a result, as one integer."""
    return count | item << 32 | size << 40
