"""Elementary functions that LLVM vectorises in a plain loop without fastmath; none takes an array.

Each is right to 2 ULP (`power` and `erf` to 4) for every argument, with C's special cases, save
`sin`, `cos` and `tan`, which are right for |x| <= `LARGE`; `sin_any` and its like are right for
all, but keep a loop scalar.  An element's bits do not depend on whether its loop is vectorised.
"""

from __future__ import annotations

from oocarray.jit import Kernel
from oocarray.vectormath.exponential import exp, exp2, exp2_32, exp32, expm1, expm1_32
from oocarray.vectormath.hyperbolic import cosh, cosh32, sinh, sinh32, tanh, tanh32
from oocarray.vectormath.inverse import (
    arccos,
    arccos32,
    arcsin,
    arcsin32,
    arctan2,
    arctan2_32,
    cbrt,
    cbrt32,
)
from oocarray.vectormath.logarithms import (
    log,
    log1p,
    log1p_32,
    log2,
    log2_32,
    log10,
    log10_32,
    log32,
)
from oocarray.vectormath.powers import hypot, hypot32, power, power32
from oocarray.vectormath.special import erf, erf32
from oocarray.vectormath.trigonometric import (
    LARGE,
    arctan,
    arctan32,
    cos,
    cos32,
    cos_any,
    cos_any32,
    sin,
    sin32,
    sin_any,
    sin_any32,
    tan,
    tan32,
    tan_any,
    tan_any32,
)

VECTOR: dict[str, tuple[Kernel, Kernel]] = {
    "arccos": (arccos, arccos32),
    "arcsin": (arcsin, arcsin32),
    "arctan": (arctan, arctan32),
    "arctan2": (arctan2, arctan2_32),
    "cbrt": (cbrt, cbrt32),
    "cos": (cos, cos32),
    "cosh": (cosh, cosh32),
    "erf": (erf, erf32),
    "exp": (exp, exp32),
    "exp2": (exp2, exp2_32),
    "expm1": (expm1, expm1_32),
    "hypot": (hypot, hypot32),
    "log": (log, log32),
    "log10": (log10, log10_32),
    "log1p": (log1p, log1p_32),
    "log2": (log2, log2_32),
    "power": (power, power32),
    "sin": (sin, sin32),
    "sinh": (sinh, sinh32),
    "tan": (tan, tan32),
    "tanh": (tanh, tanh32),
}
"""From the name of NumPy's function (erf: SciPy's) to the kernels for float64 and float32."""

ANY: dict[str, tuple[Kernel, Kernel]] = {
    "cos": (cos_any, cos_any32),
    "sin": (sin_any, sin_any32),
    "tan": (tan_any, tan_any32),
}
"""The kernels to take instead where an argument is beyond LARGE."""

__all__ = ["ANY", "LARGE", "VECTOR"]
__all__ += [one.__name__ for both in (*VECTOR.values(), *ANY.values()) for one in both]
