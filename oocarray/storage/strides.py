"""Arithmetic of indices and strides on plain numbers; knows no file and no dtype."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import numpy as np

__all__ = ["dense_strides", "expand_index", "some_sum_between"]

_MAX_SEARCH = 10_000  # steps spent on proving two layouts disjoint before "maybe" is answered


def dense_strides(shape: Sequence[int], itemsize: int, order: str) -> tuple[int, ...]:
    """Return the byte strides of an array without gaps, last axis fastest for ``"C"``.

    Examples
    --------
    >>> dense_strides((3, 4), 8, "C"), dense_strides((3, 4), 8, "F")
    ((32, 8), (8, 24))
    """
    if order not in ("C", "F"):
        raise ValueError(f"order is 'C' or 'F', not {order!r}")
    strides, step = [], itemsize
    for extent in reversed(shape) if order == "C" else shape:
        strides.append(step)
        step *= max(extent, 1)
    return tuple(reversed(strides)) if order == "C" else tuple(strides)


def expand_index(keys: tuple[Any, ...], ndim: int) -> list[int | slice | None]:
    """Replace Ellipsis, append what is missing, make ints plain."""
    plain: list[int | slice | EllipsisType | None] = []
    for key in keys:
        if key is None or key is Ellipsis or isinstance(key, slice):
            plain.append(key)
            continue
        try:
            if isinstance(key, (bool, np.bool_)):
                raise TypeError
            plain.append(operator.index(key))
        except TypeError:
            raise IndexError(
                f"only ints, slices, None and ... index without a copy, not {type(key).__name__}"
            ) from None
    used = sum(key is not None and key is not Ellipsis for key in plain)
    if used > ndim:
        raise IndexError(f"too many indices: {used} for {ndim} axes")
    if plain.count(Ellipsis) > 1:
        raise IndexError("an index can have only one '...'")
    at = plain.index(Ellipsis) if Ellipsis in plain else len(plain)
    filled = plain[:at] + [slice(None)] * (ndim - used) + plain[at + 1 :]
    return [key for key in filled if not isinstance(key, EllipsisType)]


def some_sum_between(ranges: dict[int, tuple[int, int]], low: int, high: int) -> bool:
    """Is some ``sum(n * step)``, n within its step's range, in low ... high?  True when unsure."""
    terms = sorted(((step, *bounds) for step, bounds in ranges.items() if step), reverse=True)
    least, most, common = [0], [0], [0]  # of the terms from k on, built from the last
    for step, first, last in reversed(terms):
        least.insert(0, least[0] + first * step)
        most.insert(0, most[0] + last * step)
        common.insert(0, math.gcd(common[0], step))
    work = _MAX_SEARCH

    def search(k: int, low: int, high: int) -> bool:
        nonlocal work
        work -= 1
        if low > most[k] or high < least[k]:
            return False
        if k == len(terms) or work < 0:
            return True
        if high // common[k] * common[k] < low:
            return False
        step, first, last = terms[k]
        first = max(first, -((most[k + 1] - low) // step))
        last = min(last, (high - least[k + 1]) // step)
        return any(search(k + 1, low - n * step, high - n * step) for n in range(first, last + 1))

    return search(0, low, high)
