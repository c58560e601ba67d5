"""Tells in how far two results are the same, piece by piece; it never holds a whole one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .units import format_count

__all__ = ["Difference", "difference", "widest"]

Block = np.ndarray[Any, Any]

_PIECE = 1 << 18
"""Elements that are compared at once: what lies between the steps stays near the processor."""


@dataclass(frozen=True, slots=True)
class Difference:
    """In how far one result is another than the one it is held against."""

    max_abs: float | None = None
    """Largest difference; None where a dtype has none (text, bool), or nothing was compared."""
    max_rel: float | None = None
    """The same by the size of the other result, where that is not 0."""
    differing: int = 0
    """Elements that are further apart than is allowed."""
    first: tuple[int, ...] | None = None
    """Where the first of them is."""
    words: str = ""
    """What is wrong, in words; empty if nothing is."""


def difference(
    found: Any, expected: Any, rtol: float, atol: float, other: str = "expected"
) -> Difference:
    """Compare as `numpy.allclose` does, with NaN equal to NaN; of integers every one must be equal.

    Parameters
    ----------
    found, expected : array-like
    rtol, atol : float
    other : str
        What `expected` is called in words.

    Examples
    --------
    >>> difference([1.0, 2.5, np.nan], [1.0, 2.0, np.nan], 1e-6, 0.0).words
    '1 of 3 elements differs, at (1,): 2.5 here, 2.0 expected; at most 0.5 apart (0.25 relative)'
    >>> difference([1, 2], [1, 2], 0.0, 0.0).words
    ''
    """
    one, two = np.asanyarray(found), np.asanyarray(expected)
    if one.shape != two.shape:
        return Difference(differing=one.size, words=f"shape {one.shape}, {two.shape} {other}")
    if one.dtype.newbyteorder("=") != two.dtype.newbyteorder("="):
        return Difference(differing=one.size, words=f"dtype {one.dtype}, {two.dtype} {other}")
    furthest: tuple[float | None, float | None] = None, None
    differing, first = 0, None
    with np.errstate(all="ignore"):
        for start, a, b in _pieces(one, two):
            apart = _unequal(a, b, rtol, atol)
            far, relative = _distances(a, b)
            furthest = _larger(furthest[0], far), _larger(furthest[1], relative)
            if first is None and apart.any():
                first = start + int(apart.argmax())
            differing += int(np.count_nonzero(apart))
    if first is None:
        return Difference(*furthest)
    at = tuple(int(step) for step in np.unravel_index(first, one.shape))
    words = _words(one, two, at, differing, furthest, other)
    return Difference(*furthest, differing, at, words)


def widest(found: Difference, more: Difference) -> Difference:
    """Join what is known of two results."""
    return Difference(
        _larger(found.max_abs, more.max_abs),
        _larger(found.max_rel, more.max_rel),
        found.differing + more.differing,
        more.first if found.first is None else found.first,
        found.words or more.words,
    )


def _pieces(one: Block, two: Block) -> Iterator[tuple[int, Block, Block]]:
    """Parts of both in C order, and how many elements come before."""
    if one.flags.c_contiguous and two.flags.c_contiguous:
        one, two = one.reshape(-1), two.reshape(-1)
    if not one.ndim:
        one, two = one.reshape(1), two.reshape(1)
    row = max(math.prod(one.shape[1:]), 1)
    step = max(_PIECE // row, 1)
    for start in range(0, len(one), step):
        rows = slice(start, start + step)
        yield start * row, one[rows].reshape(-1), two[rows].reshape(-1)


def _unequal(a: Block, b: Block, rtol: float, atol: float) -> Block:
    """For each element whether the two are further apart than allowed."""
    if a.dtype.names is not None:
        found = np.zeros(len(a), bool)
        for name in a.dtype.names:
            inner = _unequal(a[name].reshape(-1), b[name].reshape(-1), rtol, atol)
            # A field may be an array itself.
            found |= inner.reshape(len(a), -1).any(axis=1)
        return found
    if a.dtype.kind in "fc":
        return ~np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True)
    found = np.asarray(a != b)
    if a.dtype.kind in "mM":
        found &= ~(np.isnat(a) & np.isnat(b))
    return found


def _distances(a: Block, b: Block) -> tuple[float | None, float | None]:
    """The largest difference of two pieces, and the largest by the size of the second."""
    kind = a.dtype.kind
    if kind not in "iufc" or not len(a):
        return None, None
    # Differences of 64-bit integers need more digits than a double has.
    wide: Any = np.longdouble if kind in "iu" else np.result_type(a.dtype, np.float64)
    same = (a == b) | ((a != a) & (b != b))
    if same.all():
        return 0.0, 0.0
    x, y = a[~same].astype(wide), b[~same].astype(wide)
    far = np.abs(x - y)
    far[np.isnan(far)] = np.inf  # a number and NaN
    size = np.abs(y)
    there = size > 0
    return float(far.max()), float((far[there] / size[there]).max(initial=0.0))


def _larger(one: float | None, two: float | None) -> float | None:
    if one is None or two is None:
        return two if one is None else one
    return max(one, two)


def _words(
    one: Block,
    two: Block,
    at: tuple[int, ...],
    differing: int,
    furthest: tuple[float | None, float | None],
    other: str,
) -> str:
    values = f"{one[at]!s} here, {two[at]!s} {other}"
    if one.ndim:
        verb = "differs, at" if differing == 1 else "differ, first at"
        said = f"{differing:,} of {format_count(one.size, 'element')} {verb} {at}: {values}"
    else:
        said = values
    if furthest[0] is None:
        return said
    return f"{said}; at most {furthest[0]:.3g} apart ({furthest[1]:.3g} relative)"
