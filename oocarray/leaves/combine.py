"""What a leaf's partial holds and how two of them become one; touches no element of an array.

Each function here takes and returns whole arrays of partials and associates in one way only.
Integers, counts and logical values are exact; sums are unevaluated pairs high + low; variances
merge by the pairwise formula of Chan, Golub and LeVeque with such a pair as their mean.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["COMBINE", "PARTIALS", "Combine", "pair_sum", "value_of_product"]

Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]

PARTIALS: dict[str, np.dtype | None] = {
    "sum": np.dtype([("hi", "f8"), ("lo", "f8")]),
    "skipsum": np.dtype([("hi", "f8"), ("lo", "f8"), ("n", "f8")]),
    "split": np.dtype([("hi", "f8"), ("lo", "f8")]),
    "scaled": np.dtype([("x", "f8"), ("e", "f8")]),
    "moments": np.dtype([("n", "f8"), ("hi", "f8"), ("lo", "f8"), ("m2", "f8")]),
    "int_sum": np.dtype("i8"),
    "int_prod": np.dtype("i8"),
    "count": np.dtype("i8"),
    "any": np.dtype("u1"),
    "all": np.dtype("u1"),
    "complex_prod": np.dtype("c16"),
    # These depend on the dtype or on the bins.
    "min": None,
    "max": None,
    "argmin": None,
    "argmax": None,
    "histogram": None,
}
"""Partial dtype by kind of reduction."""


def pair_sum(high: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normalise pairs: the low part becomes the rounding error of the high one, or 0.

    Where the sum is not finite, its error means nothing and is dropped.
    """
    low = np.where(np.isfinite(high) & np.isfinite(low), low, 0.0)
    total = high + low
    return total, np.where(np.isfinite(total), low - (total - high), 0.0)


def _added(
    high: np.ndarray, low: np.ndarray, other: np.ndarray, other_low: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Add two pairs, each a high and a low part."""
    total = high + other
    part = total - high
    error = (high - (total - part)) + (other - part)
    return pair_sum(total, error + (low + other_low))


def _sums(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.empty(a.shape, a.dtype)
    with np.errstate(all="ignore"):
        out["hi"], out["lo"] = _added(a["hi"], a["lo"], b["hi"], b["lo"])
        if "n" in (a.dtype.names or ()):
            out["n"] = a["n"] + b["n"]
    return out


def _moments(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.empty(a.shape, a.dtype)
    # Each is used several times, which is faster where its elements lie side by side.
    count, high, low = (a[name].copy() for name in ("n", "hi", "lo"))
    more, other, other_low = (b[name].copy() for name in ("n", "hi", "lo"))
    with np.errstate(all="ignore"):
        empty = ~(count > 0)
        if empty.any():  # what holds nothing takes the other's mean: 0 would swallow its low part
            high, low = np.where(empty, other, high), np.where(empty, other_low, low)
        total = count + more
        part = more / np.maximum(total, 1.0)
        delta = (other - high) + (other_low - low)
        out["hi"], out["lo"] = _added(high, low, delta * part, 0.0)
        out["m2"] = (a["m2"] + b["m2"]) + delta * delta * (count * part)
        out["n"] = total
    return out


def _scaled(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.empty(a.shape, a.dtype)
    with np.errstate(all="ignore"):
        x, e = a["x"] * b["x"], a["e"] + b["e"]
        for _ in range(2):
            size = np.abs(x)
            shift = (size > 2.0**256) * 1.0 - ((size < 2.0**-256) & (x != 0)) * 1.0
            x, e = (
                np.where(shift > 0, x * 2.0**-512, np.where(shift < 0, x * 2.0**512, x)),
                e + shift,
            )
        out["x"], out["e"] = x, np.where(np.isfinite(x), e, 0.0)
    return out


def value_of_product(partial: np.ndarray) -> np.ndarray:
    """Return x * 2**(512 e) in float64."""
    power = np.clip(partial["e"], -8, 8).astype(np.int64) * 512
    return np.asarray(np.ldexp(partial["x"], power))


def _extreme_index(greater: bool) -> Combine:
    def combine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        x, y = a["value"], b["value"]
        with np.errstate(all="ignore"):
            x_nan, y_nan = x != x, y != y
            won = ((y > x) if greater else (y < x)) | (y_nan & ~x_nan)
            same = (x == y) | (x_nan & y_nan)
        i, j = a["index"], b["index"]
        take = (j >= 0) & ((i < 0) | won | (same & (j < i)))
        return np.asarray(np.where(take, b, a))

    return combine


def _histogram(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.empty(a.shape, a.dtype)
    out["counts"] = a["counts"] + b["counts"]
    return out


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(np.multiply(a, b))


COMBINE: dict[str, Combine] = {
    "sum": _sums,
    "skipsum": _sums,
    "split": _sums,
    "scaled": _scaled,
    "moments": _moments,
    "int_sum": np.add,
    "int_prod": np.multiply,
    "count": np.add,
    "any": np.bitwise_or,
    "all": np.bitwise_and,
    "complex_prod": _multiply,
    "min": np.minimum,
    "max": np.maximum,
    "skipmin": np.fmin,
    "skipmax": np.fmax,
    "argmin": _extreme_index(False),
    "argmax": _extreme_index(True),
    "histogram": _histogram,
}
"""How two partials become one, by kind."""
