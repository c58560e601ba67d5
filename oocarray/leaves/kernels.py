"""The loops that reduce leaves, as plain functions that numba can compile; they allocate nothing.

Every kernel has one signature, ``(flat, dims, seed, state, buf, out)``:

flat
    The memory of the leaves as one run of elements.
dims
    ``(L, sL, A, sA, R, sR, B, k, T, W)``: L leaves of (A kept, R reduced, B kept) elements with
    strides in elements (that of B is 1), and how to walk them: k reduced neighbours side by side,
    T rows of A gathered at once (0: none), B in pieces of W.
seed, state
    What each of the F numbers of a partial starts from, and the lanes: (F or more, lanes).
buf
    Room to gather T rows of R times B elements, R slowest.
out
    (L, A, B, F): what is in the lanes at the end.

A *lane* accumulates the elements that fall on it in order; lanes are then merged in halves.  The
order of every operation is written out here and depends on ``dims`` only: this is what makes two
runs give the same bits, so no loop below may be compiled with fastmath.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oocarray.leaves.stats import moments

__all__ = ["LANES", "Function", "make_walk", "rules"]

LANES = 32  # float64 lanes of a plain sum: four rows of them are 1 KiB, in order, in L1

Function = Callable[..., Any]


def make_walk(update: Function, merge: Function) -> Function:
    """Build the walk over leaves from a rule for one element and one for two lanes."""

    def walk(flat, dims, seed, state, buf, out):  # type: ignore[no-untyped-def]
        L, sL, A, sA, R, sR, B, k, T, W = dims
        F = out.shape[3]
        spread = 1 if k > 1 else 0
        results = out.reshape((L, A * B, F))
        for leaf in range(L):
            for a in range(0, A, max(T, 1)):
                for b in range(0, B, B if T > 0 else W):
                    if T > 0:
                        n = min(T, A - a) * B
                        for r in range(R):
                            start = leaf * sL + a * sA + r * sR
                            for t in range(n // B):
                                for j in range(B):
                                    buf[r * n + t * B + j] = flat[start + t * sA + j]
                        src, start, stride = buf, 0, n
                    else:
                        n = min(W, B - b)
                        src, start, stride = flat, leaf * sL + a * sA + b, k * sR
                    for f in range(F):
                        for j in range(k * n):
                            state[f, j] = seed[f]
                    whole = R // k
                    rest = R - whole * k
                    # Both are here once, in a loop: the time to compile a reduction is theirs.
                    rows, m, first = whole, k * n, 0
                    for part in range(2 if rest > 0 else 1):
                        if part == 1:
                            start += whole * stride
                            rows, stride, m, first = 1, 0, rest * n, whole * k
                        update(state, src, start, rows, stride, m, first, k, spread)
                    left = k
                    while left > 1:
                        half = (left + 1) // 2
                        merge(state, (left - half) * n, half * n)
                        left = half
                    for j in range(n):
                        for f in range(F):
                            results[leaf, a * B + b + j, f] = state[f, j]

    return walk


# A rule is (update, merge).  update(state, src, start, rows, stride, m, first, step, spread)
# takes `rows` rows of m elements, `stride` apart, into m lanes; element j of row r has the index
# first + r * step + j * spread along the reduced axis.  merge(state, n, shift) takes lane
# j + shift into lane j for j < n.


def float_sum(skip: bool) -> tuple[Function, Function]:
    """Sums as an unevaluated pair high + low, every rounding error of the high part kept."""

    def update(state, src, start, rows, stride, m, first, step, spread):  # type: ignore[no-untyped-def]
        high = state[0]
        low = state[1]
        done = 0
        if not skip and m == LANES and spread > 0:
            # A pairwise sum of four neighbours costs an eighth of the compensation of four, and
            # two roundings: with it the loop keeps up with memory.  Neighbours fill the rows there
            # (`spread`), so these lie side by side.  Whether other rows do is no matter of extents
            # alone, and neither is how wide the piece is, of many results, that is walked at once.
            for r in range(rows // 4):
                p = start + r * 4 * LANES
                u = src[p : p + LANES]
                v = src[p + LANES : p + 2 * LANES]
                w = src[p + 2 * LANES : p + 3 * LANES]
                x = src[p + 3 * LANES : p + 4 * LANES]
                for j in range(LANES):
                    a = high[j]
                    b: Any = (np.float64(u[j]) + np.float64(v[j])) + (
                        np.float64(w[j]) + np.float64(x[j])
                    )
                    s = a + b
                    z = s - a
                    low[j] += (a - (s - z)) + (b - z)
                    high[j] = s
            done = rows // 4 * 4
        for r in range(done, rows):
            row = src[start + r * stride : start + r * stride + m]
            for j in range(m):
                a = high[j]
                b = np.float64(row[j])
                if skip:
                    state[2, j] += 1.0 if b == b else 0.0
                    b = b if b == b else 0.0
                s = a + b
                z = s - a
                low[j] += (a - (s - z)) + (b - z)
                high[j] = s

    def merge(state, n, shift):  # type: ignore[no-untyped-def]
        for j in range(n):
            a = state[0, j]
            b = state[0, j + shift]
            s = a + b
            z = s - a
            state[1, j] = (state[1, j] + state[1, j + shift]) + ((a - (s - z)) + (b - z))
            state[0, j] = s
            if skip:
                state[2, j] += state[2, j + shift]

    return update, merge


def float_prod(skip: bool) -> tuple[Function, Function]:
    """Products as x * 2**(512 e), |x| near 1, so that only the result can over- or underflow."""
    big, huge, tiny, small = 2.0**256, 2.0**512, 2.0**-512, 2.0**-256

    def update(state, src, start, rows, stride, m, first, step, spread):  # type: ignore[no-untyped-def]
        value = state[0]
        power = state[1]
        for r in range(rows):
            row = src[start + r * stride : start + r * stride + m]
            for j in range(m):
                x = float(row[j])
                if skip and x != x:
                    continue
                p = power[j]
                if abs(x) > huge:
                    x *= tiny
                    p += 1.0
                elif abs(x) < tiny and x != 0.0:
                    x *= huge
                    p -= 1.0
                x *= value[j]
                if abs(x) > big:
                    x *= tiny
                    p += 1.0
                for _ in range(2):
                    if abs(x) < small and x != 0.0:
                        x *= huge
                        p -= 1.0
                value[j] = x
                power[j] = p

    def merge(state, n, shift):  # type: ignore[no-untyped-def]
        for j in range(n):
            x = state[0, j] * state[0, j + shift]
            p = state[1, j] + state[1, j + shift]
            if abs(x) > big:
                x *= tiny
                p += 1.0
            for _ in range(2):
                if abs(x) < small and x != 0.0:
                    x *= huge
                    p -= 1.0
            state[0, j] = x
            state[1, j] = p

    return update, merge


def whole(op: str) -> tuple[Function, Function]:
    """Integers in 64 bits, modulo 2**64: sum, prod, count (of non-zeros), any, all."""

    def update(state, src, start, rows, stride, m, first, step, spread):  # type: ignore[no-untyped-def]
        total = state[0]
        for r in range(rows):
            row = src[start + r * stride : start + r * stride + m]
            for j in range(m):
                if op == "sum":
                    total[j] += np.int64(row[j])
                elif op == "prod":
                    total[j] *= np.int64(row[j])
                elif op == "count":
                    total[j] += np.int64(row[j] != 0)
                elif op == "any":
                    total[j] |= np.uint8(row[j] != 0)
                else:
                    total[j] &= np.uint8(row[j] != 0)

    def merge(state, n, shift):  # type: ignore[no-untyped-def]
        for j in range(n):
            if op == "prod":
                state[0, j] *= state[0, j + shift]
            elif op == "any":
                state[0, j] |= state[0, j + shift]
            elif op == "all":
                state[0, j] &= state[0, j + shift]
            else:
                state[0, j] += state[0, j + shift]

    return update, merge


def split_sum(unsigned: bool) -> tuple[Function, Function]:
    """Exact sums of integers of any width: of their high and of their low 32 bits."""

    def update(state, src, start, rows, stride, m, first, step, spread):  # type: ignore[no-untyped-def]
        high = state[0]
        low = state[1]
        for r in range(rows):
            row = src[start + r * stride : start + r * stride + m]
            for j in range(m):
                x = np.int64(row[j])
                high[j] += ((x >> 32) & 0xFFFFFFFF) if unsigned else (x >> 32)
                low[j] += x & 0xFFFFFFFF

    def merge(state, n, shift):  # type: ignore[no-untyped-def]
        for j in range(n):
            state[0, j] += state[0, j + shift]
            state[1, j] += state[1, j + shift]

    return update, merge


def extreme(greater: bool, skip: bool) -> tuple[Function, Function]:
    """Least or greatest; a NaN wins, or with `skip` loses against everything."""

    def update(state, src, start, rows, stride, m, first, step, spread):  # type: ignore[no-untyped-def]
        best = state[0]
        # Four rows for each store: a store that is made only where something has changed, which
        # the compiler makes of this, is dear.
        for r in range(rows // 4):
            p = start + r * 4 * stride
            u = src[p : p + m]
            v = src[p + stride : p + stride + m]
            w = src[p + 2 * stride : p + 2 * stride + m]
            z = src[p + 3 * stride : p + 3 * stride + m]
            for j in range(m):
                y = best[j]
                x = u[j]
                y = x if ((x > y) if greater else (x < y)) | ((y != y) if skip else (x != x)) else y
                x = v[j]
                y = x if ((x > y) if greater else (x < y)) | ((y != y) if skip else (x != x)) else y
                x = w[j]
                y = x if ((x > y) if greater else (x < y)) | ((y != y) if skip else (x != x)) else y
                x = z[j]
                y = x if ((x > y) if greater else (x < y)) | ((y != y) if skip else (x != x)) else y
                best[j] = y
        for r in range(rows // 4 * 4, rows):
            row = src[start + r * stride : start + r * stride + m]
            for j in range(m):
                x = row[j]
                y = best[j]
                won = (x > y) if greater else (x < y)
                nan = (y != y) if skip else (x != x)
                best[j] = x if won | nan else y

    def merge(state, n, shift):  # type: ignore[no-untyped-def]
        for j in range(n):
            x = state[0, j + shift]
            y = state[0, j]
            won = (x > y) if greater else (x < y)
            nan = (y != y) if skip else (x != x)
            state[0, j] = x if won | nan else y

    return update, merge


def extreme_index(greater: bool, skip: bool, unsigned: bool) -> tuple[Function, Function]:
    """Where the least or greatest is: the lowest index among equals, -1 where there is none."""
    top = np.int64(-(2**63))

    def update(state, src, start, rows, stride, m, first, step, spread):  # type: ignore[no-untyped-def]
        best = state[0]
        where = state[1]
        for r in range(rows):
            row = src[start + r * stride : start + r * stride + m]
            index = first + r * step
            for j in range(m):
                x = row[j] ^ top if unsigned else row[j]
                y = best[j]
                won = ((x > y) if greater else (x < y)) | (where[j] < 0)
                won = (won & (x == x)) if skip else (won | ((x != x) & (y == y)))
                best[j] = x if won else y
                where[j] = index + j * spread if won else where[j]

    def merge(state, n, shift):  # type: ignore[no-untyped-def]
        for j in range(n):
            x, i = state[0, j + shift], state[1, j + shift]
            y, k = state[0, j], state[1, j]
            won = (x > y) if greater else (x < y)
            won = won | ((x != x) & (y == y))
            same = (x == y) | ((x != x) & (y != y))
            if i >= 0 and (k < 0 or won or (same and i < k)):
                state[0, j] = x
                state[1, j] = i

    return update, merge


_RULES: dict[str, Callable[..., tuple[Function, Function]]] = {
    "float_sum": float_sum,
    "float_prod": float_prod,
    "whole": whole,
    "split_sum": split_sum,
    "extreme": extreme,
    "extreme_index": extreme_index,
    "moments": moments,
}


def rules(name: str, *constants: bool | str) -> tuple[Function, Function]:
    """Return (update, merge) of a rule for constants that are compiled in."""
    return _RULES[name](*constants)
