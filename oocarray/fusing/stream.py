"""The loop that runs a tape, and the copies on it; compiled once for all expressions.

A *tape* is a table of calls: the address of a compiled function and eight integers, in each row.
What the calls are, and in which order, is decided by `oocarray.fusing.tape`; here nothing is.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from oocarray.jit import Compiled, ScalarArg, compile_kernel

__all__ = ["CELLS", "compiled_drive", "compiled_move"]

CELLS = 9
"""Integers in a row of a tape."""


def _machine() -> Any:
    from oocarray import machine

    return machine


@cache
def compiled_drive() -> Compiled:
    """The loop: it takes the address of a tape, and how many rows it has.

    Examples
    --------
    >>> compiled_drive().name
    'drive'
    """
    machine = _machine()
    call, get = machine.call, machine.get

    def drive(tape, rows):  # type: ignore[no-untyped-def]
        for number in range(rows):
            at = tape + number * (8 * CELLS)
            call(
                get(at, 0),
                get(at, 1),
                get(at, 2),
                get(at, 3),
                get(at, 4),
                get(at, 5),
                get(at, 6),
                get(at, 7),
                get(at, 8),
            )
        return 0

    return compile_kernel(drive, (ScalarArg("int"),) * 2)


@cache
def compiled_move() -> Compiled:
    """Copies elements of 1, 2, 4 or 8 bytes from anywhere to anywhere, aligned or not.

    Examples
    --------
    >>> compiled_move().name
    'move'
    """
    machine = _machine()
    copy, pick = machine.copy, machine.pick

    i8, i4, i2, i1 = np.int64, np.int32, np.int16, np.int8

    def move(to, to_step, at, at_step, count, item, rows, jump):  # type: ignore[no-untyped-def]
        # `rows` runs of `count` elements: each `count` further on, where they go to, and `jump`
        # bytes further on where they are.
        for _ in range(rows):
            if to_step == item and at_step == item:
                copy(to, at, count * item)
            elif item == 8:
                for i in range(count):
                    pick(to + i * to_step, at + i * at_step, i8)
            elif item == 4:
                for i in range(count):
                    pick(to + i * to_step, at + i * at_step, i4)
            elif item == 2:
                for i in range(count):
                    pick(to + i * to_step, at + i * at_step, i2)
            else:
                for i in range(count):
                    pick(to + i * to_step, at + i * at_step, i1)
            to += count * to_step
            at += jump
        return 0

    return compile_kernel(move, (ScalarArg("int"),) * 8)
