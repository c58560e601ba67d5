"""x**y and hypot as branch-free kernels that vectorise; no exponent is treated apart.

Flags are raised by 1 / 0 and 0 * infinity, of zeros that LLVM does not know for such.
log2(|x|) is computed to 65 bits as a sum of two numbers, as the exponent of the result takes up
to eleven bits of its product with y.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from oocarray.jit import kernel
from oocarray.vectormath.bits import (
    bits64,
    fma,
    from_bits64,
    horner,
    inlined,
    magnitude,
    sqrt,
    where,
)
from oocarray.vectormath.exponential import EXP2, EXP2_32
from oocarray.vectormath.logarithms import LOG32

__all__ = ["hypot", "hypot32", "power", "power32"]

MAGIC = 1.5 * 2.0**52
WHOLE = 2.0**52  # from here on all numbers are integers
TINY = 2.0**-1000
INFINITY = float("inf")
INF = 0x7FF << 52
ONE = 1023 << 52
NORMAL = 1 << 52
ROOT = 0x3FE6A09E667F3BCD  # sqrt(1/2)
COUNT = 0x433 << 52  # 2**52
LOG2E = 1.4426950408889634

# log2(m) = C1 * s + C3 * s**3 + s**5 * Q(s*s), s = (m - 1) / (m + 1); C1 = 2/ln 2, C3 = C1/3
C1, C1_LO = 2.8853900817779268, 4.0710547481862066e-17
C3, C3_LO = 0.9617966939259756, 5.0577616648125907e-17
# Q, interpolated at Chebyshev nodes, relative error of the logarithm 2**-63
LOG2 = (
    0.5770780163555858,
    0.4121985831098018,
    0.32059889869465075,
    0.2623080436286477,
    0.2219670920249198,
    0.19167029524682191,
    0.18637262920169032,
)


@kernel
def log2_pair(m: Any, k: Any, pole: Any, zero: Any):  # type: ignore[no-untyped-def]
    """log2(m * 2**k) as a sum of two numbers; and 1 / zero at a pole, which raises its flag."""
    inlined()
    f = m - 1.0
    d = 2.0 + f
    infinite = 1.0 / where(pole, zero, d)
    q = where(pole, 0.0, infinite)
    s = f * q
    s_lo = q * (fma(-s, d, f) - s * (f - (d - 2.0)))
    z = s * s
    w = z * s
    z_lo = fma(s, s, -z) + 2.0 * s * s_lo
    w_lo = fma(z, s, -w) + fma(z_lo, s, z * s_lo)
    u = C1 * s
    u_lo = fma(s, C1, -u) + fma(s_lo, C1, C1_LO * s)
    v = C3 * w
    v_lo = fma(w, C3, -v) + fma(w_lo, C3, C3_LO * w) + (w * z) * horner(z, LOG2)
    h = u + v
    h_lo = ((u - h) + v) + (u_lo + v_lo)
    total = k + h
    low = ((k - total) + h) + h_lo
    return total + low, low - ((total + low) - total), infinite


@kernel
def power(x: Any, y: Any):  # type: ignore[no-untyped-def]
    """x**y with C's special cases."""
    inlined()
    b = bits64(magnitude(x))
    zero, good, small = x == 0.0, (b > 0) & (b < INF), b < NORMAL
    negative, inverse = bits64(x) < 0, bits64(y) < 0
    e = where(y == y, y, 0.0)
    e = where(e > 2.0**64, 2.0**64, e)  # enough to over- or underflow for any x but 1
    e = where(e < -(2.0**64), -(2.0**64), e)
    half = magnitude(0.5 * e)
    half = where(half > WHOLE, WHOLE, half)
    half = where(half < TINY, TINY, half)  # for half of the least number is 0, an integer
    left = magnitude(half - ((half + WHOLE) - WHOLE))  # 0: y is even, 1/2: odd, else no integer
    b = bits64(where(good, magnitude(x), 1.0) * where(small, 2.0**54, 1.0))
    n = b + (ONE - ROOT)
    k = from_bits64(((n >> 52) & 0x7FF) + COUNT) - where(small, WHOLE + 1077, WHOLE + 1023)
    m = from_bits64(b - (n & INF) + ONE)
    pole = zero & (e < 0.0) & (y != -INFINITY)
    log, log_lo, infinite = log2_pair(m, k, pole, magnitude(x))
    p = e * log
    p_lo = fma(e, log, -p) + e * log_lo
    a = where(p > 1025.0, 1025.0, p)
    a = where(a < -1076.0, -1076.0, a)
    t = a + MAGIC
    k = t - MAGIC
    r = (a - k) + where(a == p, p_lo, 0.0)
    v = 1.0 + r * horner(r, EXP2)
    n, split = bits64(t), bits64(fma(k, 0.5, MAGIC))
    wrong = negative & good & (e != 0.0) & (left != 0.0) & (left != 0.5)
    v = where(wrong, m - m, v) * where(wrong, INFINITY, from_bits64((split << 52) + ONE))
    v = v * from_bits64(((n - split) << 52) + ONE)
    v = where(good, v, where(pole, infinite, where(zero == inverse, INFINITY, 0.0)))
    v = where(negative & (left == 0.5), -v, v)
    v = where((x == x) & (y == y), v, where(x == x, y, x))
    return where((y == 0.0) | (x == 1.0), 1.0, v)


@kernel
def power32(x: Any, y: Any):  # type: ignore[no-untyped-def]
    """x**y of float32 in float64 arithmetic, which needs no second number."""
    inlined()
    wide, e = np.float64(x), np.float64(y)
    b = bits64(magnitude(wide))
    zero, good = wide == 0.0, (b > 0) & (b < INF)
    negative, inverse = bits64(wide) < 0, bits64(e) < 0
    e = where(e == e, e, 0.0)
    e = where(e > 2.0**40, 2.0**40, e)
    e = where(e < -(2.0**40), -(2.0**40), e)
    half = magnitude(0.5 * e)  # of a float32, this is exact
    left = magnitude(half - ((half + WHOLE) - WHOLE))
    b = bits64(where(good, magnitude(wide), 1.0))
    n = b + (ONE - ROOT)
    k = from_bits64(((n >> 52) & 0x7FF) + COUNT) - (WHOLE + 1023)
    f = from_bits64(b - (n & INF) + ONE) - 1.0
    pole = zero & (e < 0.0) & (y != -INFINITY)
    infinite = 1.0 / where(pole, magnitude(wide), f + 2.0)
    s = f * where(pole, 0.0, infinite)
    z = s * s
    p = e * fma(s * fma(z, horner(z, LOG32), 2.0), LOG2E, k)
    p = where(p > 140.0, 140.0, p)
    p = where(p < -160.0, -160.0, p)
    t = p + MAGIC
    r = p - (t - MAGIC)
    v = fma(r, horner(r, EXP2_32), 1.0)
    wrong = negative & good & (e != 0.0) & (left != 0.0) & (left != 0.5)
    scale = from_bits64((bits64(t) << 52) + ONE)
    v = where(wrong, f - f, v) * where(wrong, INFINITY, scale)
    v = where(good, v, where(pole, infinite, where(zero == inverse, INFINITY, 0.0)))
    v = where(negative & (left == 0.5), -v, v)
    v = where((x == x) & (y == y), v, where(x == x, np.float64(y), wide))
    return np.float32(where((y == 0.0) | (x == 1.0), 1.0, v))


@kernel
def hypot(x: Any, y: Any):  # type: ignore[no-untyped-def]
    """sqrt(x*x + y*y), scaled by a power of 2 where a square would over- or underflow."""
    inlined()
    a, b = magnitude(x), magnitude(y)
    i, j = bits64(a), bits64(b)  # compared as integers, for nan raises nothing then
    most = where(i > j, i, j)
    large, small = most > (1523 << 52), most < (623 << 52)  # 2**500, 2**-400
    scale = where(large, 2.0**-600, where(small, 2.0**600, 1.0))
    back = where(large, 2.0**600, where(small, 2.0**-600, 1.0))
    a, b = a * scale, b * scale
    v = sqrt(fma(a, a, b * b)) * back
    return where((i == INF) | (j == INF), INFINITY, v)


@kernel
def hypot32(x: Any, y: Any):  # type: ignore[no-untyped-def]
    """sqrt(x*x + y*y) of float32 in float64 arithmetic, where no square overflows."""
    inlined()
    a, b = magnitude(np.float64(x)), magnitude(np.float64(y))
    v = sqrt(fma(a, a, b * b))
    return np.float32(where((a == INFINITY) | (b == INFINITY), INFINITY, v))
