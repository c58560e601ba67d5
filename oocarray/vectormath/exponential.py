"""exp, exp2 and expm1 as branch-free kernels that vectorise; sinh and its like are elsewhere.

All reduce x to k*ln2 + r with |r| <= ln2/2.  Coefficients interpolate the function at Chebyshev
nodes (computed with 300 bits), which comes close enough to the best polynomial.  A nan is put
aside before the arithmetic, as x86 compares and clamps it only by raising "invalid", and an
infinity, whose exponential is no overflow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from oocarray.jit import kernel
from oocarray.vectormath.bits import (
    bits32,
    bits64,
    fma,
    from_bits32,
    from_bits64,
    horner,
    inlined,
    magnitude,
    where,
)

__all__ = ["exp", "exp2", "exp2_32", "exp32", "expm1", "expm1_32"]

# Adding 1.5 * 2**52 rounds to an integer, and leaves it in the low bits of the sum.
MAGIC = 1.5 * 2.0**52
ONE = 1023 << 52  # bits of 1.0; k << 52 more are the bits of 2**k
LOG2E = 1.4426950408889634
LN2 = 0.6931471805599453  # k * LN2 is subtracted exactly, as r has no more than 53 bits
LN2_LO = 2.3190468138462996e-17  # ln 2 - LN2

INFINITY = float("inf")

ZERO32 = np.float32(0.0)
ONE32 = np.float32(1.0)
TOP32 = np.float32(89.0)
BOTTOM32 = np.float32(-104.0)
MAGIC32 = np.float32(1.5 * 2.0**23)
UNIT32 = 127 << 23  # bits of float32 1.0
LN2_32 = np.float32(LN2)
LN2_LO32 = np.float32(-1.904654299957768e-09)  # ln 2 - LN2_32

# (e**r - 1 - r) / r**2, relative error of e**r 2**-55
EXP = (
    0.5,
    0.16666666666666644,
    0.04166666666665136,
    0.008333333333357281,
    0.0013888888905881542,
    0.00019841269779051154,
    2.4801536388690766e-05,
    2.755736362416028e-06,
    2.761380686153829e-07,
    2.5064642949329518e-08,
)
# the same with one term more: expm1 wants the error relative to e**r - 1, here 2**-58
EXPM1 = (
    0.5,
    0.16666666666666669,
    0.041666666666666664,
    0.008333333333330062,
    0.0013888888888886552,
    0.00019841269863053618,
    2.4801587317144498e-05,
    2.7557268459997064e-06,
    2.755728296954995e-07,
    2.510038549551032e-08,
    2.0911236630261545e-09,
)
# (2**r - 1) / r, |r| <= 1/2, relative error of 2**r 2**-54
EXP2 = (
    LN2,
    0.24022650695910075,
    0.05550410866482622,
    0.009618129107618665,
    0.0013333558144939023,
    0.00015403530424776529,
    1.525273548308856e-05,
    1.3215451633221434e-06,
    1.0177307362189465e-07,
    7.070977866508138e-09,
    4.575688252180825e-10,
)
# the same for float32: relative errors about 2**-26, and 2**-35 in float64 arithmetic
EXP32 = (0.5, 0.16666630810836075, 0.04166662186183431, 0.008357204929019698, 0.0013918719669483097)
EXP2_32 = (
    LN2,
    0.24022650922288757,
    0.055504108839096185,
    0.009618056678524637,
    0.001333350238616277,
    0.0001546144469856913,
    1.5297323760701075e-05,
)
EXPM1_32 = (
    0.5,
    0.16666666666666644,
    0.041666554617204574,
    0.008333320887177179,
    0.0013926183587713494,
    0.00019882698332202316,
)


@kernel
def exp(x: Any):  # type: ignore[no-untyped-def]
    """e**x."""
    inlined()
    known = (x == x) & (x != INFINITY)
    a = where(known, x, 0.0)
    a = where(a > 710.0, 710.0, a)
    a = where(a < -746.0, -746.0, a)
    t = fma(a, LOG2E, MAGIC)
    k = t - MAGIC
    r = fma(k, -LN2_LO, fma(k, -LN2, a))
    p = 1.0 + fma(r * r, horner(r, EXP), r)
    # Two steps, for 2**1024 is no float; where the result is subnormal only the second rounds.
    n = bits64(t)
    half = bits64(fma(k, 0.5, MAGIC))
    p = p * from_bits64((half << 52) + ONE) * from_bits64(((n - half) << 52) + ONE)
    return where(known, p, x)


@kernel
def exp2(x: Any):  # type: ignore[no-untyped-def]
    """2**x."""
    inlined()
    known = (x == x) & (x != INFINITY)
    a = where(known, x, 0.0)
    a = where(a > 1025.0, 1025.0, a)
    a = where(a < -1076.0, -1076.0, a)
    t = a + MAGIC
    k = t - MAGIC
    r = a - k
    p = 1.0 + r * horner(r, EXP2)
    n = bits64(t)
    half = bits64(fma(k, 0.5, MAGIC))
    p = p * from_bits64((half << 52) + ONE) * from_bits64(((n - half) << 52) + ONE)
    return where(known, p, x)


@kernel
def expm1(x: Any):  # type: ignore[no-untyped-def]
    """e**x - 1 = 2**k * (e**r - 1) + (2**k - 1), where small terms are added last."""
    inlined()
    a = where((x == x) & (x != INFINITY), x, 0.0)
    a = where(a > 710.0, 710.0, a)
    a = where(a < -50.0, -50.0, a)
    t = fma(a, LOG2E, MAGIC)
    k = t - MAGIC
    near = fma(k, -LN2, a)
    r = fma(k, -LN2_LO, near)
    tail = fma(r * r, horner(r, EXPM1), fma(k, -LN2_LO, near - r))
    half = from_bits64((bits64(t) << 52) + (ONE - (1 << 52)))  # 2**k / 2: k may be 1024
    p = fma(half, tail, fma(half, r, half - 0.5))
    return where(magnitude(a) < 2.0**-54, x, p + p)


@kernel
def exp32(x: Any):  # type: ignore[no-untyped-def]
    """e**x in float32 arithmetic, as `exp`."""
    inlined()
    known = (x == x) & (x != INFINITY)
    a = where(known, x, ZERO32)
    a = where(a > TOP32, TOP32, a)
    a = where(a < BOTTOM32, BOTTOM32, a)
    t = fma(a, LOG2E, MAGIC32)
    k = t - MAGIC32
    r = fma(k, -LN2_LO32, fma(k, -LN2_32, a))
    p = ONE32 + fma(r * r, horner(r, EXP32), r)
    n = bits32(t)
    half = bits32(fma(k, 0.5, MAGIC32))
    p = p * from_bits32((half << 23) + UNIT32) * from_bits32(((n - half) << 23) + UNIT32)
    return where(known, p, x)


@kernel
def exp2_32(x: Any):  # type: ignore[no-untyped-def]
    """2**x in float32 arithmetic, as `exp2`."""
    inlined()
    known = (x == x) & (x != INFINITY)
    a = where(known, x, ZERO32)
    a = where(a > np.float32(129.0), np.float32(129.0), a)
    a = where(a < np.float32(-151.0), np.float32(-151.0), a)
    t = a + MAGIC32
    k = t - MAGIC32
    r = a - k
    p = ONE32 + r * horner(r, EXP2_32)
    n = bits32(t)
    half = bits32(fma(k, 0.5, MAGIC32))
    p = p * from_bits32((half << 23) + UNIT32) * from_bits32(((n - half) << 23) + UNIT32)
    return where(known, p, x)


@kernel
def expm1_32(x: Any):  # type: ignore[no-untyped-def]
    """e**x - 1 in float64 arithmetic, which needs no care for what cancels."""
    inlined()
    a = where((x == x) & (x != INFINITY), np.float64(x), 0.0)
    a = where(a > 90.0, 90.0, a)
    a = where(a < -50.0, -50.0, a)
    t = fma(a, LOG2E, MAGIC)
    r = fma(t - MAGIC, -LN2, a)
    scale = from_bits64((bits64(t) << 52) + ONE)
    p = fma(scale, fma(r * r, horner(r, EXPM1_32), r), scale - 1.0)
    return where(magnitude(a) < 2.0**-40, x, np.float32(p))
