"""sin, cos, tan and arctan as branch-free kernels that vectorise.

`sin`, `cos` and `tan` refuse arguments beyond `LARGE`, of which they make nonsense: reducing those
takes a table of digits of 2/pi.  `sin_any` and its like leave them to the system's functions.
Coefficients interpolate the function at Chebyshev nodes.
"""

from __future__ import annotations

import math
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

__all__ = ["LARGE", "arctan", "arctan32", "cos", "cos32", "cos_any", "cos_any32"]
__all__ += ["sin", "sin32", "sin_any", "sin_any32", "tan", "tan32", "tan_any", "tan_any32"]

LARGE = (
    2.0**20
)  # k = x / (pi/2) has 20 bits: k * P1 is subtracted exactly, k * P4 would be too small
MAGIC = 1.5 * 2.0**52  # rounds to an integer, which is then in the low bits
TWO_OVER_PI = 0.6366197723675814
P1, P2, P3 = 1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33  # pi/2
QUARTER_PI, QUARTER_PI_LO = 0.7853981633974483, 3.061616997868383e-17

MAGIC32 = np.float32(1.5 * 2.0**23)
ONE32 = np.float32(1.0)
Q1, Q2, Q3 = np.float32(P1), np.float32(-4.371138828673793e-08), np.float32(-1.7151245100058819e-15)

# (sin r / r - 1) / r**2 in r**2 for |r| <= pi/4, 2**-55; (cos r - 1 + r**2 / 2) / r**4, 2**-59
SIN = (
    -0.16666666666666666,
    0.008333333333330941,
    -0.00019841269836747753,
    2.7557316096941413e-06,
    -2.505113067592791e-08,
    1.591804509281348e-10,
)
COS = (
    0.041666666666666664,
    -0.0013888888888887393,
    2.480158729875892e-05,
    -2.7557317268219636e-07,
    2.0876145537044574e-09,
    -1.1382579749438383e-11,
)
# the same for float32, |r| <= 1.05 * pi/4, as the quotient is rounded coarsely: 2**-25, 2**-29
SIN32 = (-0.16666663982956578, 0.008332622775724823, -0.00019562099786261556)
COS32 = (0.04166666397880497, -0.0013888177273032258, 2.452209383996056e-05)
SIN32W = (
    -0.16666666662516347,
    0.00833333138019756,
    -0.00019839832816794214,
    2.721860649219726e-06,
)
COS32W = (
    0.041666666663203754,
    -0.001388888725927844,
    2.480038843818936e-05,
    -2.7274817078150217e-07,
)
# (arctan t / t - 1) / t**2 in t**2 for |t| <= 1/2, 2**-57 and 2**-30
ATAN = (
    -0.3333333333333333,
    0.19999999999999485,
    -0.14285714285598292,
    0.11111111100846038,
    -0.0909090861740441,
    0.07692294642346584,
    -0.06666434610072569,
    0.05879567778394658,
    -0.052400287643869586,
    0.04627715206833518,
    -0.038057958199378225,
    0.02499287662220333,
    -0.009206337670391992,
)
ATAN32 = (
    -0.3333333289960337,
    0.19999874806171697,
    -0.14279784739243911,
    0.11006673257972853,
    -0.08234446739980672,
    0.042238142515079936,
)


@kernel
def waves(x: Any):  # type: ignore[no-untyped-def]
    """Of x = r + k * pi/2: the bits of k; sin r and cos r, each as a sum of two numbers.

    The difference from k * P1 is exact.  That from k * P2 is kept with its rounding error: x may
    be so near a multiple of pi/2 that little else is left.
    """
    inlined()
    t = fma(x, TWO_OVER_PI, MAGIC)
    k = t - MAGIC
    first = fma(k, -P1, x)
    second = k * P2
    r = first - second
    rest = (first - r) - second - fma(k, P2, -second)
    rest = fma(k, -P3, rest)
    z = r * r
    c = fma(-0.5, z, 1.0)
    return (
        bits64(t),
        r,
        fma(z * r, horner(z, SIN), rest),
        c,
        fma(-0.5, z, 1.0 - c) + fma(z * z, horner(z, COS), -(r * rest)),
    )


@kernel
def sin(x: Any):  # type: ignore[no-untyped-def]
    """Sine of x, |x| <= LARGE."""
    inlined()
    n, s, s_lo, c, c_lo = waves(x)
    v = where((n & 1) == 0, s + s_lo, c + c_lo)
    v = from_bits64(bits64(v) ^ ((n & 2) << 62))
    return where(x == 0.0, x, v)


@kernel
def cos(x: Any):  # type: ignore[no-untyped-def]
    """Cosine of x, |x| <= LARGE."""
    inlined()
    n, s, s_lo, c, c_lo = waves(x)
    v = where((n & 1) == 0, c + c_lo, s + s_lo)
    return from_bits64(bits64(v) ^ (((n + 1) & 2) << 62))


@kernel
def tan(x: Any):  # type: ignore[no-untyped-def]
    """Tangent of x, |x| <= LARGE: sin r / cos r or -cos r / sin r."""
    inlined()
    n, s, s_lo, c, c_lo = waves(x)
    total = s + s_lo
    s_lo = (s - total) + s_lo
    s = total
    total = c + c_lo
    c_lo = (c - total) + c_lo
    c = total
    even = (n & 1) == 0
    above, above_lo = where(even, s, -c), where(even, s_lo, -c_lo)
    below, below_lo = where(even, c, s), where(even, c_lo, s_lo)
    q = 1.0 / below
    p = above * q
    p = fma(q, fma(-p, below, above) + fma(-p, below_lo, above_lo), p)
    return where(x == 0.0, x, p)


@kernel
def sin_any(x: Any):  # type: ignore[no-untyped-def]
    """Sine of any x, with the bits of `sin` where that is right."""
    if magnitude(x) > LARGE:
        return math.sin(x)
    return sin(x)


@kernel
def cos_any(x: Any):  # type: ignore[no-untyped-def]
    """Cosine of any x, with the bits of `cos` where that is right."""
    if magnitude(x) > LARGE:
        return math.cos(x)
    return cos(x)


@kernel
def tan_any(x: Any):  # type: ignore[no-untyped-def]
    """Tangent of any x, with the bits of `tan` where that is right."""
    if magnitude(x) > LARGE:
        return math.tan(x)
    return tan(x)


@kernel
def arctan(x: Any):  # type: ignore[no-untyped-def]
    """Inverse tangent: of t = |x|, (|x| - 1) / (|x| + 1) or -1 / |x| and a multiple of pi/4."""
    inlined()
    known = x == x
    a = where(known, magnitude(x), 0.0)
    middle, far = a > 0.5, a > 2.0
    above = where(far, -1.0, where(middle, a - 1.0, a))
    below = where(far, a, where(middle, a + 1.0, 1.0))
    base = where(far, P1, where(middle, QUARTER_PI, 0.0))
    base_lo = where(far, P2, where(middle, QUARTER_PI_LO, 0.0))
    t = above / below
    z = t * t
    v = base + (t + fma(t * z, horner(z, ATAN), base_lo))
    return where(known, copysign(v, x), x)


@kernel
def waves32(x: Any):  # type: ignore[no-untyped-def]
    """Of x = r + k * pi/2: the bits of k, sin r and cos r, in float32 arithmetic as `waves`."""
    inlined()
    t = fma(x, TWO_OVER_PI, MAGIC32)
    k = t - MAGIC32
    first = fma(k, -Q1, x)
    second = k * Q2
    r = first - second
    rest = (first - r) - second - fma(k, Q2, -second)
    rest = fma(k, -Q3, rest)
    z = r * r
    s = r + fma(z * r, horner(z, SIN32), rest)
    c = fma(-0.5, z, ONE32)
    c = c + (fma(-0.5, z, ONE32 - c) + fma(z * z, horner(z, COS32), -(r * rest)))
    return bits32(t), s, c


@kernel
def sin32(x: Any):  # type: ignore[no-untyped-def]
    """Sine of a float32, |x| <= LARGE."""
    inlined()
    n, s, c = waves32(x)
    v = from_bits32(bits32(where((n & 1) == 0, s, c)) ^ ((n & 2) << 30))
    return where(x == np.float32(0.0), x, v)


@kernel
def cos32(x: Any):  # type: ignore[no-untyped-def]
    """Cosine of a float32, |x| <= LARGE."""
    inlined()
    n, s, c = waves32(x)
    return from_bits32(bits32(where((n & 1) == 0, c, s)) ^ (((n + 1) & 2) << 30))


@kernel
def tan32(x: Any):  # type: ignore[no-untyped-def]
    """Tangent of a float32, |x| <= LARGE, in float64 arithmetic."""
    inlined()
    wide = np.float64(x)
    t = fma(wide, TWO_OVER_PI, MAGIC)
    k = t - MAGIC
    r = fma(k, -P2, fma(k, -P1, wide))
    z = r * r
    s = fma(z * r, horner(z, SIN32W), r)
    c = fma(z * z, horner(z, COS32W), fma(-0.5, z, 1.0))
    even = (bits64(t) & 1) == 0
    v = np.float32(where(even, s, -c) / where(even, c, s))
    return where(x == np.float32(0.0), x, v)


@kernel
def sin_any32(x: Any):  # type: ignore[no-untyped-def]
    """Sine of any float32, with the bits of `sin32` where that is right."""
    if magnitude(x) > LARGE:
        return np.float32(math.sin(np.float64(x)))
    return sin32(x)


@kernel
def cos_any32(x: Any):  # type: ignore[no-untyped-def]
    """Cosine of any float32, with the bits of `cos32` where that is right."""
    if magnitude(x) > LARGE:
        return np.float32(math.cos(np.float64(x)))
    return cos32(x)


@kernel
def tan_any32(x: Any):  # type: ignore[no-untyped-def]
    """Tangent of any float32, with the bits of `tan32` where that is right."""
    if magnitude(x) > LARGE:
        return np.float32(math.tan(np.float64(x)))
    return tan32(x)


@kernel
def arctan32(x: Any):  # type: ignore[no-untyped-def]
    """Inverse tangent of a float32 in float64 arithmetic, as `arctan`."""
    inlined()
    known = x == x
    a = where(known, magnitude(np.float64(x)), 0.0)
    middle, far = a > 0.5, a > 2.0
    above = where(far, -1.0, where(middle, a - 1.0, a))
    below = where(far, a, where(middle, a + 1.0, 1.0))
    t = above / below
    z = t * t
    v = where(far, P1, where(middle, QUARTER_PI, 0.0)) + fma(t * z, horner(z, ATAN32), t)
    return where(known, np.float32(copysign(v, np.float64(x))), x)
