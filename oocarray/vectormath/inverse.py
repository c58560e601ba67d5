"""Inverse trigonometric functions of sides and sines, and the cube root, as kernels that vectorise.

`arctan` itself, from which `arctan2` takes its coefficients, is beside `tan`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from oocarray.jit import kernel
from oocarray.vectormath.bits import (
    bits64,
    copysign,
    fma,
    from_bits64,
    horner,
    inlined,
    magnitude,
    sqrt,
    where,
)
from oocarray.vectormath.logarithms import COUNT, INF, NORMAL, ONE, ROOT
from oocarray.vectormath.trigonometric import ATAN, ATAN32, P1, P2, QUARTER_PI, QUARTER_PI_LO

__all__ = ["arccos", "arccos32", "arcsin", "arcsin32", "arctan2", "arctan2_32", "cbrt", "cbrt32"]

MAGIC = 1.5 * 2.0**52
PI, PI_LO = 2 * P1, 2 * P2
LARGEST = 2.0**1000

# (arcsin t / t - 1) / t**2 in t**2 for |t| <= 1/2, at Chebyshev nodes: 2**-57, 2**-34
ASIN = (
    0.16666666666666669,
    0.07499999999998415,
    0.04464285714639142,
    0.03038194413563282,
    0.022372173062100795,
    0.01735238980570733,
    0.013971257700218363,
    0.011478727335132069,
    0.010325825844686153,
    0.005444236358400044,
    0.01743786618606299,
    -0.014910967384172082,
    0.028799050522138873,
)
ASIN32 = (
    0.16666666686208717,
    0.07499992362386085,
    0.0446476865690981,
    0.03026869911475286,
    0.023615613781587094,
    0.010559473855409748,
    0.030996385256657273,
)
# m**(-1/3) for 2**-1.5 <= m <= 2**1.5, 2**-7
ROOT3 = (
    1.9794043270668245,
    -2.2164025903348348,
    2.0283998893747213,
    -1.0350542422594873,
    0.2685646722268977,
    -0.02761635627260559,
)


@kernel
def arcsin(x: Any):  # type: ignore[no-untyped-def]
    """Inverse sine; beyond 1/2, of sqrt((1 - |x|) / 2), by the formula for half the angle."""
    inlined()
    known = x == x
    a = where(known, magnitude(x), 0.0)
    a = where(a > 2.0, 2.0, a)  # is outside, too, and overflows nothing
    far = a > 0.5
    z = where(far, fma(-0.5, a, 0.5), a * a)
    t = where(far, sqrt(z), a)  # of a negative number, where there is no arcsine, this is nan
    tail = t * z * horner(z, ASIN)
    v = where(far, P1 - (2.0 * t - fma(-2.0, tail, P2)), t + tail)
    return where(known, copysign(v, x), x)


@kernel
def arccos(x: Any):  # type: ignore[no-untyped-def]
    """Inverse cosine, as `arcsin`."""
    inlined()
    known = x == x
    a = where(known, magnitude(x), 0.0)
    a = where(a > 2.0, 2.0, a)  # is outside, too, and overflows nothing
    far = a > 0.5
    z = where(far, fma(-0.5, a, 0.5), a * a)
    t = where(far, sqrt(z), a)
    tail = t * z * horner(z, ASIN)
    twice = 2.0 * (t + tail)
    behind = PI - (2.0 * t - fma(-2.0, tail, PI_LO))
    t, tail = copysign(t, x), copysign(tail, x)
    v = where(far, where(bits64(x) < 0, behind, twice), P1 - (t - (P2 - tail)))
    return where(known, v, x)


@kernel
def arctan2(y: Any, x: Any):  # type: ignore[no-untyped-def]
    """Angle of the point (x, y), reduced as in `arctan` before the only division."""
    inlined()
    known = (x == x) & (y == y)
    a, b = where(known, magnitude(y), 0.0), where(known, magnitude(x), 1.0)
    both = (a == float("inf")) & (b == float("inf"))
    a, b = where(both, 1.0, a), where(both, 1.0, b)
    b = where((a == 0.0) & (b == 0.0), 1.0, b)
    scale = where((a > LARGEST) | (b > LARGEST), 0.25, 1.0)  # so that a + b is finite
    a, b = a * scale, b * scale
    middle, far = 2.0 * a > b, a > 2.0 * b
    above = where(far, -b, where(middle, a - b, a))
    below = where(far, a, where(middle, a + b, b))
    base = where(far, P1, where(middle, QUARTER_PI, 0.0))
    base_lo = where(far, P2, where(middle, QUARTER_PI_LO, 0.0))
    t = above / below
    z = t * t
    tail = fma(t * z, horner(z, ATAN), base_lo)
    v = base + (t + tail)
    v = where(bits64(x) < 0, (PI - base) - (t + (tail - PI_LO)), v)
    return where(known, copysign(v, y), where(x == x, y, x))


@kernel
def cbrt(x: Any):  # type: ignore[no-untyped-def]
    """Cube root: that of 1/m by two cubic steps, times m**(2/3), and the remainder put right."""
    inlined()
    b = bits64(magnitude(x))
    good = (b > 0) & (b < INF)
    small = b < NORMAL
    b = bits64(where(good, magnitude(x), 1.0) * where(small, 2.0**54, 1.0))
    n = b + (ONE - ROOT)
    k = from_bits64(((n >> 52) & 0x7FF) + COUNT) - where(small, 2.0**52 + 1077, 2.0**52 + 1023)
    t = fma(k, 1 / 3, MAGIC)
    rest = fma(t - MAGIC, -3.0, k)  # -1, 0 or 1
    m = from_bits64(b - (n & INF) + ONE) * where(rest > 0.0, 2.0, where(rest < 0.0, 0.5, 1.0))
    r = horner(m, ROOT3)
    h = fma(-m * r, r * r, 1.0)
    r = fma(r * h, fma(h, 2 / 9, 1 / 3), r)
    h = fma(-m * r, r * r, 1.0)
    r = fma(r * h, 1 / 3, r)
    y = m * r * r
    square = y * y
    left = fma(square, y, -m) + fma(y, y, -square) * y
    y = fma(left * (r * r), -1 / 3, y) * from_bits64((bits64(t) << 52) + ONE)
    return where(good, copysign(y, x), x)


@kernel
def arcsin32(x: Any):  # type: ignore[no-untyped-def]
    """Inverse sine of a float32 in float64 arithmetic, as `arcsin`."""
    inlined()
    known = x == x
    a = where(known, magnitude(np.float64(x)), 0.0)
    far = a > 0.5
    z = where(far, fma(-0.5, a, 0.5), a * a)
    t = where(far, sqrt(z), a)
    v = fma(t * z, horner(z, ASIN32), t)
    return where(known, np.float32(copysign(where(far, P1 - 2.0 * v, v), np.float64(x))), x)


@kernel
def arccos32(x: Any):  # type: ignore[no-untyped-def]
    """Inverse cosine of a float32 in float64 arithmetic, as `arccos`."""
    inlined()
    known = x == x
    wide = where(known, np.float64(x), 0.0)
    a = magnitude(wide)
    far = a > 0.5
    z = where(far, fma(-0.5, a, 0.5), a * a)
    t = where(far, sqrt(z), wide)
    v = fma(t * z, horner(z, ASIN32), t)
    v = where(far, where(wide < 0.0, PI - 2.0 * v, 2.0 * v), P1 - v)
    return where(known, np.float32(v), x)


@kernel
def arctan2_32(y: Any, x: Any):  # type: ignore[no-untyped-def]
    """Angle of the point (x, y) of float32 in float64 arithmetic, as `arctan2`."""
    inlined()
    known = (x == x) & (y == y)
    a, b = magnitude(np.float64(y)), magnitude(np.float64(x))
    a, b = where(known, a, 0.0), where(known, b, 1.0)
    both = (a == float("inf")) & (b == float("inf"))
    a, b = where(both, 1.0, a), where(both, 1.0, b)
    b = where((a == 0.0) & (b == 0.0), 1.0, b)
    middle, far = 2.0 * a > b, a > 2.0 * b
    above = where(far, -b, where(middle, a - b, a))
    t = above / where(far, a, where(middle, a + b, b))
    z = t * t
    v = where(far, P1, where(middle, QUARTER_PI, 0.0)) + fma(t * z, horner(z, ATAN32), t)
    v = copysign(where(bits64(np.float64(x)) < 0, PI - v, v), np.float64(y))
    return np.float32(where(known, v, np.float64(where(x == x, y, x))))


@kernel
def cbrt32(x: Any):  # type: ignore[no-untyped-def]
    """Cube root of a float32 in float64 arithmetic, as `cbrt`."""
    inlined()
    a = magnitude(np.float64(x))
    b = bits64(a)
    good = (b > 0) & (b < INF)
    b = bits64(where(good, a, 1.0))
    n = b + (ONE - ROOT)
    k = from_bits64(((n >> 52) & 0x7FF) + COUNT) - (2.0**52 + 1023)
    t = fma(k, 1 / 3, MAGIC)
    rest = fma(t - MAGIC, -3.0, k)
    m = from_bits64(b - (n & INF) + ONE) * where(rest > 0.0, 2.0, where(rest < 0.0, 0.5, 1.0))
    r = horner(m, ROOT3)
    h = fma(-m * r, r * r, 1.0)
    r = fma(r * h, fma(h, 2 / 9, 1 / 3), r)
    h = fma(-m * r, r * r, 1.0)
    r = fma(r * h, 1 / 3, r)
    y = np.float32(m * r * r * from_bits64((bits64(t) << 52) + ONE))
    return where(good, copysign(y, x), x)
