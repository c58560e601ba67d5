"""The error function as a branch-free kernel that vectorises; no other special function yet."""

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
    where,
)
from oocarray.vectormath.exponential import EXP, EXPM1_32, LN2, LN2_LO, LOG2E, MAGIC, ONE

__all__ = ["erf", "erf32"]

# All interpolate at Chebyshev nodes.  erf(a) / a - 1 in a**2 for a <= 1, error 2**-54
ERF = (
    0.12837916709551256,
    -0.37612638903183543,
    0.11283791670945006,
    -0.02686617064323777,
    0.0052239776071164225,
    -0.0008548325975389692,
    0.00012055294904839707,
    -1.492473690741966e-05,
    1.6447424703317362e-06,
    -1.6208483801871705e-07,
    1.3720064546777686e-08,
    -7.795898827002142e-10,
)
# e**(a*a) * erfc(a) in 1 / (a + 2.5) - 0.1875 for 1 <= a <= 6, error of erfc 2**-57
ERFC = (
    0.18852615240951437,
    1.708495742338784,
    5.729871081876489,
    14.40260555160861,
    24.079621254204557,
    15.343340747880648,
    -34.951840880546584,
    -75.86562979609185,
    58.8606227342212,
    284.8902430554953,
    -191.76947396539128,
    -1142.5699283705308,
    1250.3266494736654,
    4420.155373221553,
    -9685.254579861508,
)
# the same for float32, 2**-29; and in 1 / (a + 3) - 0.1875, 2**-29
ERF32 = (
    0.12837916584835093,
    -0.37612626666720334,
    0.11283594715160218,
    -0.026854212010626412,
    0.005189087423433974,
    -0.000801686428716587,
    7.875875062685488e-05,
)
ERFC32 = (
    0.22392936052400536,
    2.371569374915649,
    11.127849805337386,
    41.02343560746401,
    113.87931279764408,
    211.86575826776003,
    149.747472704079,
    -309.71022393663696,
)


@kernel
def erf(x: Any):  # type: ignore[no-untyped-def]
    """Error function: a polynomial up to 1, beyond it 1 - erfc."""
    inlined()
    known = x == x
    a = where(known, magnitude(x), 0.0)
    a = where(a > 6.0, 6.0, a)  # 1 - erf(6) is 2**-55
    z = a * a
    near = fma(a, horner(z, ERF), a)
    t = fma(-z, LOG2E, MAGIC)
    k = t - MAGIC
    r = fma(k, -LN2_LO, fma(k, -LN2, -z))
    power = (1.0 + fma(r * r, horner(r, EXP), r)) * from_bits64((bits64(t) << 52) + ONE)
    far = fma(-power, horner(1.0 / (a + 2.5) - 0.1875, ERFC), 1.0)
    return where(known, copysign(where(a < 1.0, near, far), x), x)


@kernel
def erf32(x: Any):  # type: ignore[no-untyped-def]
    """Error function of a float32 in float64 arithmetic, as `erf`."""
    inlined()
    known = x == x
    wide = np.float64(x)
    a = where(known, magnitude(wide), 0.0)
    a = where(a > 6.0, 6.0, a)
    z = a * a
    near = fma(a, horner(z, ERF32), a)
    t = fma(-z, LOG2E, MAGIC)
    r = fma(t - MAGIC, -LN2, -z)
    power = (1.0 + fma(r * r, horner(r, EXPM1_32), r)) * from_bits64((bits64(t) << 52) + ONE)
    far = fma(-power, horner(1.0 / (a + 3.0) - 0.1875, ERFC32), 1.0)
    return where(known, np.float32(copysign(where(a < 1.0, near, far), wide)), x)
