"""Fused loops as one writes them by hand in numba, over mapped pairs; one thread per worker."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit

from . import Job, PairRival


@njit(nogil=True, error_model="numpy")
def _squares(a, b):
    # Sums that do not wait for each other; in float64, also of float32.
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = a.size - a.size % 8
    for i in range(0, whole, 8):
        d0, d1, d2, d3 = a[i] - b[i], a[i + 1] - b[i + 1], a[i + 2] - b[i + 2], a[i + 3] - b[i + 3]
        d4, d5, d6 = a[i + 4] - b[i + 4], a[i + 5] - b[i + 5], a[i + 6] - b[i + 6]
        d7 = a[i + 7] - b[i + 7]
        s0 += d0 * d0
        s1 += d1 * d1
        s2 += d2 * d2
        s3 += d3 * d3
        s4 += d4 * d4
        s5 += d5 * d5
        s6 += d6 * d6
        s7 += d7 * d7
    for i in range(whole, a.size):
        d = a[i] - b[i]
        s0 += d * d
    return ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))


@njit(nogil=True, error_model="numpy")
def _squares_strided(a, b):
    """Of rows in which an element of `a` belongs to every second of `b`."""
    total = 0.0
    for row in range(a.shape[0]):
        x, y = a[row], b[row]
        s0 = s1 = s2 = s3 = 0.0
        whole = x.size - x.size % 4
        for i in range(0, whole, 4):
            d0, d1 = x[i] - y[2 * i], x[i + 1] - y[2 * i + 2]
            d2, d3 = x[i + 2] - y[2 * i + 4], x[i + 3] - y[2 * i + 6]
            s0 += d0 * d0
            s1 += d1 * d1
            s2 += d2 * d2
            s3 += d3 * d3
        for i in range(whole, x.size):
            d = x[i] - y[2 * i]
            s0 += d * d
        total += (s0 + s2) + (s1 + s3)
    return total


@njit(nogil=True, error_model="numpy")
def _transcendental(a, b):
    s0 = s1 = s2 = s3 = 0.0
    whole = a.size - a.size % 4
    for i in range(0, whole, 4):
        s0 += _formula(a[i], b[i])
        s1 += _formula(a[i + 1], b[i + 1])
        s2 += _formula(a[i + 2], b[i + 2])
        s3 += _formula(a[i + 3], b[i + 3])
    for i in range(whole, a.size):
        s0 += _formula(a[i], b[i])
    return (s0 + s2) + (s1 + s3)


@njit(nogil=True, error_model="numpy", inline="always")
def _formula(x, y):
    return math.sqrt(x * x + y * y) * math.exp(-abs(x))


class NumbaLoop(PairRival):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._pool = ThreadPoolExecutor(job.workers)

    def squares(self, pair: str) -> tuple[str, float]:
        a, b = self.whole(pair)
        if a.shape == b.shape:
            return pair, self._sum(_squares, a.reshape(-1), b.reshape(-1))
        # The loop steps by two itself: what numba does with a strided array is slower.
        return pair, self._sum(_squares_strided, a, b)

    again = squares

    def transcendental(self, pair: str) -> tuple[str, float]:
        a, b = self.arrays(pair)
        return pair, self._sum(_transcendental, a.reshape(-1), b.reshape(-1)) / a.size

    def _sum(self, kernel: Any, a: np.ndarray, b: np.ndarray) -> float:
        parts = [(a[start:stop], b[start:stop]) for start, stop in self.spans(len(a))]
        return float(sum(self._pool.map(lambda part: kernel(*part), parts)))

    def close(self) -> None:
        self._pool.shutdown()


RIVAL = NumbaLoop
