"""sinh, cosh and tanh as branch-free kernels that vectorise; their inverses are not here.

From x = k*ln2 + r, sinh and cosh follow from those of r and 2**k: where exp would cancel, near 0,
nothing does, and no division is needed.
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
    magnitude,
    where,
)
from oocarray.vectormath.exponential import (
    INFINITY,
    LN2,
    LN2_32,
    LN2_LO,
    LN2_LO32,
    LOG2E,
    MAGIC,
    MAGIC32,
    ONE,
    ONE32,
    UNIT32,
    ZERO32,
)

__all__ = ["cosh", "cosh32", "sinh", "sinh32", "tanh", "tanh32"]

QUARTER = ONE - (2 << 52)  # bits of 1/4
TINY = 2.0**-28  # below it x + x**3 is x, and x itself keeps the sign of 0 and subnormal bits

# Interpolated at Chebyshev nodes, |r| <= ln2/2.
# (sinh r / r - 1) / r**2 in r**2, relative error of sinh r 2**-60
SINH = (
    0.16666666666666669,
    0.008333333333330062,
    0.00019841269863053618,
    2.7557268459997064e-06,
    2.510038549551032e-08,
)
# (cosh r - 1) / r**2 in r**2, relative error of cosh r 2**-54
COSH = (
    0.5,
    0.041666666666663264,
    0.0013888888897950404,
    2.4801549592617552e-05,
    2.760752631395231e-07,
)
# the same for float32, 2**-24 and 2**-30; and in float64 arithmetic, 2**-35 and 2**-42
SINH32 = (0.16666630810836075, 0.008357204929019698)
COSH32 = (0.5, 0.04166662186183431, 0.0013918719669483097)
SINH32W = (0.16666666681623232, 0.0083333109254809, 0.00019890990824673654)
COSH32W = (0.5, 0.04166666668161915, 0.0013888866486927423, 2.4851298101976023e-05)


@kernel
def sinh(x: Any):  # type: ignore[no-untyped-def]
    """(e**x - e**-x) / 2, from sinh and cosh of r, so that nothing cancels near 0."""
    inlined()
    a = where((x == x) & (magnitude(x) != INFINITY), magnitude(x), 0.0)
    a = where(a > 710.5, 710.5, a)  # already overflows; 711 would have k = 1026
    t = fma(a, LOG2E, MAGIC)
    k = t - MAGIC
    near = fma(k, -LN2, a)
    r = fma(k, -LN2_LO, near)
    z = r * r
    odd = fma(z * r, horner(z, SINH), fma(k, -LN2_LO, near - r))
    even = z * horner(z, COSH)
    up = from_bits64((bits64(t) << 52) + QUARTER)
    down = from_bits64((bits64(MAGIC - where(k > 64.0, 64.0, k)) << 52) + QUARTER)
    p = fma(up + down, odd, (up - down) * even) + fma(up + down, r, up - down)
    return where(a < TINY, x, copysign(p + p, x))


@kernel
def cosh(x: Any):  # type: ignore[no-untyped-def]
    """(e**x + e**-x) / 2."""
    inlined()
    known = (x == x) & (magnitude(x) != INFINITY)
    a = where(known, magnitude(x), 0.0)
    a = where(a > 710.5, 710.5, a)  # already overflows; 711 would have k = 1026
    t = fma(a, LOG2E, MAGIC)
    k = t - MAGIC
    r = fma(k, -LN2_LO, fma(k, -LN2, a))
    z = r * r
    odd = fma(z * r, horner(z, SINH), r)
    even = z * horner(z, COSH)
    up = from_bits64((bits64(t) << 52) + QUARTER)
    down = from_bits64((bits64(MAGIC - where(k > 64.0, 64.0, k)) << 52) + QUARTER)
    p = (up + down) + fma(up - down, odd, (up + down) * even)
    return where(known, p + p, magnitude(x))


@kernel
def tanh(x: Any):  # type: ignore[no-untyped-def]
    """sinh x / cosh x, both divided by e**x / 2."""
    inlined()
    a = where(x == x, magnitude(x), 0.0)
    a = where(a > 22.0, 22.0, a)  # 1 - tanh(22) is 2**-62
    t = fma(a, LOG2E, MAGIC)
    k = t - MAGIC
    near = fma(k, -LN2, a)
    r = fma(k, -LN2_LO, near)
    z = r * r
    odd = fma(z * r, horner(z, SINH), fma(k, -LN2_LO, near - r))
    even = z * horner(z, COSH)
    down = from_bits64((bits64(fma(k, -2.0, MAGIC)) << 52) + ONE)  # 4**-k
    plus = 1.0 + down
    minus = 1.0 - down
    lost = down - (1.0 - minus)  # where 1.0 - down and 1.0 + down are both 1.0
    lost = fma(-lost, r, lost)
    head = fma(plus, r, minus)
    tail = fma(plus, odd, minus * even) - lost
    above = head + tail
    rest = fma(minus, r, fma(minus, odd, plus * even) + lost)
    below = plus + rest
    q = 1.0 / below
    p = above * q
    p = fma(q, fma(-p, below, above) + ((head - above) + tail - p * (plus - below + rest)), p)
    p = where(p > 1.0, 1.0, p)
    return where(a < TINY, x, copysign(p, x))


@kernel
def tanh32(x: Any):  # type: ignore[no-untyped-def]
    """sinh x / cosh x in float32 arithmetic, as `tanh`."""
    inlined()
    a = where(x == x, magnitude(x), ZERO32)
    a = where(a > np.float32(10.0), np.float32(10.0), a)
    t = fma(a, LOG2E, MAGIC32)
    k = t - MAGIC32
    near = fma(k, -LN2_32, a)
    r = fma(k, -LN2_LO32, near)
    z = r * r
    odd = fma(z * r, horner(z, SINH32), fma(k, -LN2_LO32, near - r))
    even = z * horner(z, COSH32)
    down = from_bits32((bits32(fma(k, -2.0, MAGIC32)) << 23) + UNIT32)
    plus = ONE32 + down
    minus = ONE32 - down
    less = down - (ONE32 - minus)  # what was rounded off; not the same, unlike in `tanh`
    more = down - (plus - ONE32)
    head = fma(plus, r, minus)
    tail = fma(plus, odd, minus * even) + fma(more, r, -less)
    above = head + tail
    rest = fma(minus, r, fma(minus, odd, plus * even) + fma(-less, r, more))
    below = plus + rest
    q = ONE32 / below
    p = above * q
    p = fma(q, fma(-p, below, above) + ((head - above) + tail - p * (plus - below + rest)), p)
    p = where(p > ONE32, ONE32, p)
    return where(a < np.float32(2.0**-14), x, copysign(p, x))


@kernel
def sinh32(x: Any):  # type: ignore[no-untyped-def]
    """(e**x - e**-x) / 2 in float64 arithmetic, as `sinh`."""
    inlined()
    a = where((x == x) & (magnitude(x) != INFINITY), np.float64(x), 0.0)
    a = where(a > 90.0, 90.0, a)
    a = where(a < -90.0, -90.0, a)
    t = fma(a, LOG2E, MAGIC)
    k = t - MAGIC
    r = fma(k, -LN2, a)
    z = r * r
    up = from_bits64((bits64(t) << 52) + QUARTER)
    down = from_bits64((bits64(MAGIC - k) << 52) + QUARTER)
    odd = fma(z * r, horner(z, SINH32W), r)
    p = fma(up + down, odd, (up - down) * fma(z, horner(z, COSH32W), 1.0))
    return where(magnitude(a) < 2.0**-40, x, np.float32(p + p))


@kernel
def cosh32(x: Any):  # type: ignore[no-untyped-def]
    """(e**x + e**-x) / 2 in float64 arithmetic, as `cosh`."""
    inlined()
    known = (x == x) & (magnitude(x) != INFINITY)
    a = where(known, np.float64(x), 0.0)
    a = where(a > 90.0, 90.0, a)
    a = where(a < -90.0, -90.0, a)
    t = fma(a, LOG2E, MAGIC)
    k = t - MAGIC
    r = fma(k, -LN2, a)
    z = r * r
    up = from_bits64((bits64(t) << 52) + QUARTER)
    down = from_bits64((bits64(MAGIC - k) << 52) + QUARTER)
    odd = fma(z * r, horner(z, SINH32W), r)
    p = fma(up - down, odd, (up + down) * fma(z, horner(z, COSH32W), 1.0))
    return where(known, np.float32(p + p), magnitude(x))
