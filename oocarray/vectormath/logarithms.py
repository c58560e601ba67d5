"""Logarithms as branch-free kernels that vectorise; powers, which need more digits, are elsewhere.

All split x into m * 2**k with m between sqrt(1/2) and sqrt(2) and use, as fdlibm does,
log(1 + f) = f - f*f/2 + s * (f*f/2 + R(s*s)) with s = f / (2 + f).  For arguments without a
logarithm that division is given operands with the right result, which raise the right flag.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from oocarray.jit import kernel
from oocarray.vectormath.bits import (
    bits32,
    bits64,
    copysign,
    fma,
    from_bits32,
    from_bits64,
    horner,
    inlined,
    where,
)

__all__ = ["log", "log1p", "log1p_32", "log2", "log2_32", "log10", "log10_32", "log32"]

INF = 0x7FF << 52  # as bits of a float64
ONE = 1023 << 52
NORMAL = 1 << 52
ROOT = 0x3FE6A09E667F3BCD  # sqrt(1/2)
COUNT = 0x433 << 52  # 2**52; its low bits count
LN2 = 0.6931471805599453
LN2_LO = 2.3190468138462996e-17  # ln 2 - LN2
LOG2E = 1.4426950408889634
LOG2E_LO = 2.0355273740931033e-17  # 1/ln 2 - LOG2E
LOG10E = 0.4342944819032518
LOG10E_LO = 1.098319650216765e-17  # 1/ln 10 - LOG10E
LOG10_2 = 0.30102999566383914  # 42 bits, so that k * LOG10_2 is exact
LOG10_2_LO = 1.42050232272661e-13  # log10 2 - LOG10_2

INF32 = 0xFF << 23
NORMAL32 = 1 << 23
UNIT32 = 127 << 23
ROOT32 = 0x3F3504F3
COUNT32 = 0x4B << 24  # 2**23
ZERO32 = np.float32(0.0)
ONE32 = np.float32(1.0)
LN2_32 = np.float32(LN2)
LN2_LO32 = np.float32(-1.904654299957768e-09)  # ln 2 - LN2_32

# R(z) / z = (2 * atanh(s) / s - 2) / z in z = s*s, relative error of the logarithm 2**-58, at
# Chebyshev nodes; and the same for float32, 2**-36
LOG = (
    0.666666666666667,
    0.3999999999989703,
    0.2857142862709691,
    0.22222210952099322,
    0.18182902409658547,
    0.15331280911137393,
    0.14621885923046002,
)
LOG32 = (0.6666666655266655, 0.40000123333939946, 0.28550651645108777, 0.2333506131078965)


@kernel
def split(x: Any):  # type: ignore[no-untyped-def]
    """Whether x has a logarithm, k and f of x = (1 + f) * 2**k, and f / (2 + f) or log(x)."""
    inlined()
    b = bits64(x)
    good = (b > 0) & (b < INF)
    small = b < NORMAL
    b = bits64(where(good, x, 1.0) * where(small, 2.0**54, 1.0))
    n = b + (ONE - ROOT)
    k = from_bits64(((n >> 52) & 0x7FF) + COUNT) - where(small, 2.0**52 + 1077, 2.0**52 + 1023)
    f = from_bits64(b - (n & INF) + ONE) - 1.0
    zero = x == 0.0
    wrong = (bits64(x) < 0) & (x == x)
    above = where(good, f, where(zero, -1.0, where(wrong, 0.0, x)))
    below = where(good, f + 2.0, where(zero | wrong, 0.0, 1.0))
    return good, k, f, above / below


@kernel
def fine(f: Any, s: Any):  # type: ignore[no-untyped-def]
    """log(1 + f) as a sum of two numbers."""
    inlined()
    z = s * s
    square = 0.5 * f * f
    high = f - square
    low = (f - high) - square - fma(0.5 * f, f, -square)
    return high, fma(s, fma(z, horner(z, LOG), square), low)


@kernel
def log(x: Any):  # type: ignore[no-untyped-def]
    """Logarithm to the base e."""
    inlined()
    good, k, f, s = split(x)
    z = s * s
    square = 0.5 * f * f
    tail = fma(s, fma(z, horner(z, LOG), square), k * LN2_LO) - square
    return where(good, fma(k, LN2, f + tail), s)


@kernel
def log2(x: Any):  # type: ignore[no-untyped-def]
    """Logarithm to the base 2, exact for powers of 2."""
    inlined()
    good, k, f, s = split(x)
    high, low = fine(f, s)
    v = high * LOG2E
    low = fma(high, LOG2E, -v) + fma(low, LOG2E, high * LOG2E_LO)
    total = k + v
    return where(good, total + (v - (total - k) + low), s)


@kernel
def log10(x: Any):  # type: ignore[no-untyped-def]
    """Logarithm to the base 10."""
    inlined()
    good, k, f, s = split(x)
    high, low = fine(f, s)
    v = high * LOG10E
    low = fma(high, LOG10E, -v) + fma(low, LOG10E, high * LOG10E_LO)
    part = k * LOG10_2
    total = part + v
    return where(good, total + (v - (total - part) + fma(k, LOG10_2_LO, low)), s)


@kernel
def log1p(x: Any):  # type: ignore[no-untyped-def]
    """log(1 + x), with what 1 + x rounds off added to f."""
    inlined()
    u = 1.0 + x
    b = bits64(u)
    good = (b > 0) & (b < INF)
    a = where(good, x, 0.0)
    u = where(good, u, 1.0)
    b = bits64(u)
    lost = (1.0 - (u - (u - 1.0))) + (a - (u - 1.0))
    n = b + (ONE - ROOT)
    k = from_bits64(((n >> 52) & 0x7FF) + COUNT) - (2.0**52 + 1023)
    scale = from_bits64(2 * ONE - (n & INF))  # 2**-k, wrong where nothing is lost that counts
    f = from_bits64(b - (n & INF) + ONE) - 1.0
    f = f + where(k > 60.0, 0.0, lost * scale)
    least = x == -1.0
    wrong = (bits64(x) < 0) & (x == x)
    above = where(good, f, where(least, -1.0, where(wrong, 0.0, x)))
    s = above / where(good, f + 2.0, where(wrong, 0.0, 1.0))
    z = s * s
    square = 0.5 * f * f
    tail = fma(s, fma(z, horner(z, LOG), square), k * LN2_LO) - square
    return where(good, copysign(fma(k, LN2, f + tail), x), s)


@kernel
def log32(x: Any):  # type: ignore[no-untyped-def]
    """Logarithm to the base e in float32 arithmetic, as `log`."""
    inlined()
    b = bits32(x)
    good = (b > 0) & (b < INF32)
    small = b < NORMAL32
    b = bits32(where(good, x, ONE32) * where(small, np.float32(2.0**25), ONE32))
    n = b + (UNIT32 - ROOT32)
    k = from_bits32(((n >> 23) & 0xFF) + COUNT32)
    k = k - where(small, np.float32(2.0**23 + 152), np.float32(2.0**23 + 127))
    f = from_bits32(b - (n & INF32) + UNIT32) - ONE32
    zero = x == ZERO32
    wrong = (bits32(x) < 0) & (x == x)
    above = where(good, f, where(zero, -ONE32, where(wrong, ZERO32, x)))
    s = above / where(good, f + np.float32(2.0), where(zero | wrong, ZERO32, ONE32))
    z = s * s
    square = np.float32(0.5) * f * f
    tail = fma(s, fma(z, horner(z, LOG32), square), k * LN2_LO32) - square
    return where(good, fma(k, LN2_32, f + tail), s)


@kernel
def log2_32(x: Any):  # type: ignore[no-untyped-def]
    """Logarithm to the base 2 in float64 arithmetic."""
    inlined()
    good, k, _, s = split(np.float64(x))
    z = s * s
    return np.float32(where(good, fma(s * fma(z, horner(z, LOG32), 2.0), LOG2E, k), s))


@kernel
def log10_32(x: Any):  # type: ignore[no-untyped-def]
    """Logarithm to the base 10 in float64 arithmetic."""
    inlined()
    good, k, _, s = split(np.float64(x))
    z = s * s
    v = fma(s * fma(z, horner(z, LOG32), 2.0), LOG10E, k * (LOG10_2 + LOG10_2_LO))
    return np.float32(where(good, v, s))


@kernel
def log1p_32(x: Any):  # type: ignore[no-untyped-def]
    """log(1 + x) in float64 arithmetic; near 0 from x itself."""
    inlined()
    wide = np.float64(x)
    good, k, _, s = split(1.0 + wide)
    near = where(good, wide, 0.0)
    s = where(good & (k == 0.0), near / (2.0 + near), s)
    z = s * s
    v = np.float32(where(good, fma(s, fma(z, horner(z, LOG32), 2.0), k * LN2), s))
    return where(good, copysign(v, x), v)
