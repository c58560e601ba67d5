"""The kernels of variances and of histograms, as plain functions; they allocate nothing.

Their arguments and their fixed order are those of `oocarray.leaves.kernels`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["VAR_ROWS", "WIDE_LANES", "WIDE_ROWS", "histogram_walk", "moments"]

Function = Callable[..., Any]

VAR_ROWS = 128
"""Rows per lane between two mergings, which divide; of `WIDE_LANES` and more only `WIDE_ROWS`: so
64 KiB at a time, which are read from the second-level cache thrice."""
WIDE_LANES, WIDE_ROWS = 256, 32


def moments(skip: bool) -> tuple[Function, Function]:
    """Count, mean as high + low, and sum of squared distances from the mean.

    Lanes 4 to 7 of `state` are workspace: a count, a first guess of the mean, and the sums of
    the distances from it and of their squares.
    """

    def update(state, src, start, rows, stride, m, first, step, spread):  # type: ignore[no-untyped-def]
        count = state[4]
        guess = state[5]
        one = state[6]
        two = state[7]
        size = WIDE_ROWS if m >= WIDE_LANES else VAR_ROWS
        for tile in range(0, rows, size):
            end = min(rows, tile + size)
            row = src[start + tile * stride : start + tile * stride + m]
            for j in range(m):
                x = np.float64(row[j])
                guess[j] = 0.0 if skip and x != x else x
                count[j] = end - tile
                one[j] = 0.0
                two[j] = 0.0
            if skip:
                for j in range(m):
                    count[j] = 0.0
            # Four rows at a time, each element added in its turn: fewer loads and stores of lanes.
            fours = 0 if skip else (end - tile) // 4
            for r in range(fours):
                p = start + (tile + 4 * r) * stride
                u = src[p : p + m]
                v = src[p + stride : p + stride + m]
                w = src[p + 2 * stride : p + 2 * stride + m]
                z = src[p + 3 * stride : p + 3 * stride + m]
                for j in range(m):
                    g = guess[j]
                    a = one[j] + (np.float64(u[j]) - g)
                    a += np.float64(v[j]) - g
                    a += np.float64(w[j]) - g
                    one[j] = a + (np.float64(z[j]) - g)
            for r in range(tile + 4 * fours, end):
                row = src[start + r * stride : start + r * stride + m]
                for j in range(m):
                    x = np.float64(row[j])
                    if skip:
                        count[j] += 1.0 if x == x else 0.0
                        one[j] += x - guess[j] if x == x else 0.0
                    else:
                        one[j] += x - guess[j]
            for j in range(m):
                guess[j] += one[j] / max(count[j], 1.0)
                one[j] = 0.0
            for r in range(fours):
                p = start + (tile + 4 * r) * stride
                u = src[p : p + m]
                v = src[p + stride : p + stride + m]
                w = src[p + 2 * stride : p + 2 * stride + m]
                z = src[p + 3 * stride : p + 3 * stride + m]
                for j in range(m):
                    g = guess[j]
                    d = np.float64(u[j]) - g
                    e = np.float64(v[j]) - g
                    f = np.float64(w[j]) - g
                    h = np.float64(z[j]) - g
                    one[j] = (((one[j] + d) + e) + f) + h
                    two[j] = (((two[j] + d * d) + e * e) + f * f) + h * h
            for r in range(tile + 4 * fours, end):
                row = src[start + r * stride : start + r * stride + m]
                for j in range(m):
                    d = np.float64(row[j]) - guess[j]
                    if skip:
                        d = d if d == d else 0.0
                    one[j] += d
                    two[j] += d * d
            for j in range(m):
                n = count[j]
                shift = one[j] / max(n, 1.0)
                spread_here = two[j] - one[j] * shift
                spread_here = 0.0 if spread_here < 0.0 else spread_here
                total = state[0, j] + n
                part = n / max(total, 1.0)
                # What holds nothing yet has the other's mean: 0 would swallow its low part.
                state[1, j] = state[1, j] if state[0, j] > 0.0 else guess[j]
                state[2, j] = state[2, j] if state[0, j] > 0.0 else shift
                delta = (guess[j] - state[1, j]) + (shift - state[2, j])
                state[3, j] += spread_here + delta * delta * state[0, j] * part
                state[0, j] = total
                a = state[1, j]
                b = delta * part
                s = a + b
                z = s - a
                state[2, j] += (a - (s - z)) + (b - z)
                state[1, j] = s

    return update, _merge_moments


def _merge_moments(state, n, shift):  # type: ignore[no-untyped-def]
    for j in range(n):
        i = j + shift
        total = state[0, j] + state[0, i]
        part = state[0, i] / max(total, 1.0)
        if state[0, j] == 0.0:
            state[1, j] = state[1, i]
            state[2, j] = state[2, i]
        delta = (state[1, i] - state[1, j]) + (state[2, i] - state[2, j])
        state[3, j] += state[3, i] + delta * delta * state[0, j] * part
        state[0, j] = total
        a = state[1, j]
        b = delta * part
        s = a + b
        z = s - a
        state[2, j] += (a - (s - z)) + (b - z)
        state[1, j] = s


def histogram_walk(uniform: bool) -> Function:
    """Build the kernel that counts elements between edges; `seed` holds the edges.

    With `uniform` they are nearly the same distance apart: a product tells the bin, or one beside
    it, where bisection would take a branch that cannot be predicted for each halving.
    """

    def walk(flat, dims, seed, state, buf, out):  # type: ignore[no-untyped-def]
        bins = out.shape[3]
        low = seed[0]
        high = seed[bins]
        scale = bins / (high - low) if uniform else 0.0
        for leaf in range(dims[0]):
            counts = out[leaf, 0, 0]
            counts[:] = 0
            start = leaf * dims[1]
            for r in range(dims[4]):
                x = flat[start + r * dims[5]]
                if not (x >= low and x <= high):
                    continue  # NaN too
                if uniform:
                    i = min(int((x - low) * scale), bins - 1)
                    while x < seed[i]:  # the product can be some roundings off
                        i -= 1
                    while i < bins - 1 and x >= seed[i + 1]:
                        i += 1
                else:
                    i = 0
                    end = bins
                    while end - i > 1:
                        middle = (i + end) // 2
                        if x >= seed[middle]:
                            i = middle
                        else:
                            end = middle
                counts[i] += 1

    return walk
