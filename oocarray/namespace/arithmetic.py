"""NumPy's ufuncs of numbers as functions, by both its and the standard's names; it adds no rule."""

from __future__ import annotations

from functools import partial

import numpy as np

from .making import made

__all__ = [
    "abs", "absolute", "acos", "acosh", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan",
    "arctan2", "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "conj",
    "conjugate", "copysign", "cos", "cosh", "deg2rad", "degrees", "divide", "divmod", "exp", "exp2",
    "expm1", "fabs", "float_power", "floor", "floor_divide", "fmax", "fmin", "fmod", "frexp", "gcd",
    "heaviside", "hypot", "lcm", "ldexp", "log", "log1p", "log2", "log10", "logaddexp",
    "logaddexp2", "maximum", "minimum", "mod", "modf", "multiply", "negative", "nextafter",
    "positive", "pow", "power", "rad2deg", "radians", "reciprocal", "remainder", "rint", "sign",
    "signbit", "sin", "sinh", "spacing", "sqrt", "square", "subtract", "tan", "tanh", "true_divide",
    "trunc",
]  # fmt: skip

# In this module the built-in functions of these names are out of reach.

_made = partial(made, __name__)

# ---- signs and sums ------------------------------------------------------------------------------

absolute = _made(np.absolute, "Absolute values", "[-1, 2]", "array([1, 2])")
fabs = _made(
    np.fabs, "Absolute values as floats; not of complex numbers", "[-1, 2]", "array([1., 2.])"
)
abs = absolute
negative = _made(np.negative, "Elements with the other sign", "[-1, 2]", "array([ 1, -2])")
positive = _made(
    np.positive, "Elements as they are; a copy, of numbers only", "[-1, 2]", "array([-1,  2])"
)
sign = _made(
    np.sign,
    "-1, 0 or 1 as elements are negative, zero or positive; of complex ones ``x / abs(x)``",
    "[-5, 0, 2]",
    "array([-1,  0,  1])",
)
signbit = _made(
    np.signbit,
    "Whether the sign bit of elements is set, as it is of -0.0",
    "[-0.0, 1.0]",
    "array([ True, False])",
)
copysign = _made(
    np.copysign,
    "Magnitudes of elements, with the signs of others",
    "[1.0, -2.0], -0.0",
    "array([-1., -2.])",
)
add = _made(np.add, "Sums of elements", "[1, 2], 10", "array([11, 12])")
subtract = _made(np.subtract, "Differences of elements", "[1, 2], 10", "array([-9, -8])")
multiply = _made(np.multiply, "Products of elements", "[1, 2], 10", "array([10, 20])")
divide = _made(
    np.divide, "Quotients of elements; floats also of integers", "[1, 2], 4", "array([0.25, 0.5 ])"
)
true_divide = divide
floor_divide = _made(
    np.floor_divide, "Quotients of elements, rounded down", "[-7, 7], 2", "array([-4,  3])"
)
remainder = _made(
    np.remainder,
    "What `floor_divide` leaves, with the sign of the divisor",
    "[-7, 7], 3",
    "array([2, 1])",
)
mod = remainder
fmod = _made(
    np.fmod,
    "What a quotient rounded towards zero leaves, with the sign of the dividend",
    "[-7, 7], 3",
    "array([-1,  1])",
)
divmod = _made(
    np.divmod,
    "Quotients rounded down, and what they leave",
    "[-7, 7], 2",
    "(array([-4,  3]), array([1, 1]))",
)

# ---- powers and logarithms -----------------------------------------------------------------------

power = _made(np.power, "Elements to the power of others", "[2, 3], 2", "array([4, 9])")
pow = power
float_power = _made(
    np.float_power,
    "Elements to the power of others, in float64 at least",
    "[2, 4], -1",
    "array([0.5 , 0.25])",
)
reciprocal = _made(
    np.reciprocal,
    "Ones divided by elements; of integers as integers",
    "[2.0, 4.0]",
    "array([0.5 , 0.25])",
)
square = _made(np.square, "Squares of elements", "[-3, 2]", "array([9, 4])")
sqrt = _made(np.sqrt, "Square roots; NaN of negative numbers", "[4, 9]", "array([2., 3.])")
cbrt = _made(np.cbrt, "Cube roots", "[-8, 27]", "array([-2.,  3.])")
hypot = _made(
    np.hypot,
    "Hypotenuses of right triangles with elements as legs",
    "[3, 5], [4, 12]",
    "array([ 5., 13.])",
)
exp = _made(np.exp, "e to the power of elements", "[0, -np.inf]", "array([1., 0.])")
exp2 = _made(np.exp2, "2 to the power of elements", "[3, -1]", "array([8. , 0.5])")
expm1 = _made(
    np.expm1, "``exp(x) - 1``, also accurate near 0", "[0, 1e-20]", "array([0.e+00, 1.e-20])"
)
log = _made(np.log, "Natural logarithms", "[1, np.inf]", "array([ 0., inf])")
log2 = _made(np.log2, "Logarithms to base 2", "[1, 8]", "array([0., 3.])")
log10 = _made(np.log10, "Logarithms to base 10", "[1, 100]", "array([0., 2.])")
log1p = _made(
    np.log1p, "``log(1 + x)``, also accurate near 0", "[0, 1e-20]", "array([0.e+00, 1.e-20])"
)
logaddexp = _made(
    np.logaddexp,
    "``log(exp(x1) + exp(x2))`` without overflow",
    "[1000.0, -np.inf], -np.inf",
    "array([1000.,  -inf])",
)
logaddexp2 = _made(
    np.logaddexp2,
    "``log2(2**x1 + 2**x2)`` without overflow",
    "[1000, 3], [1000, 3]",
    "array([1001.,    4.])",
)

# ---- angles --------------------------------------------------------------------------------------

sin = _made(np.sin, "Sines of angles in radians", "[0, np.pi / 2]", "array([0., 1.])")
cos = _made(np.cos, "Cosines of angles in radians", "[0, np.pi]", "array([ 1., -1.])")
tan = _made(np.tan, "Tangents of angles in radians", "[0, np.pi / 4]", "array([0., 1.])")
arcsin = _made(np.arcsin, "Angles in radians of sines", "[0, 1]", "array([0.        , 1.57079633])")
asin = arcsin
arccos = _made(np.arccos, "Angles in radians of cosines", "[1]", "array([0.])")
acos = arccos
arctan = _made(
    np.arctan, "Angles in radians of tangents", "[0, np.inf]", "array([0.        , 1.57079633])"
)
atan = arctan
arctan2 = _made(
    np.arctan2,
    "Angles in radians of points ``(x2, x1)``, by quadrant",
    "[0, 0], [1, -1]",
    "array([0.        , 3.14159265])",
)
atan2 = arctan2
sinh = _made(np.sinh, "Hyperbolic sines", "[0, np.inf]", "array([ 0., inf])")
cosh = _made(np.cosh, "Hyperbolic cosines", "[0, -np.inf]", "array([ 1., inf])")
tanh = _made(np.tanh, "Hyperbolic tangents", "[0, -np.inf]", "array([ 0., -1.])")
arcsinh = _made(np.arcsinh, "Inverse hyperbolic sines", "[0, np.inf]", "array([ 0., inf])")
asinh = arcsinh
arccosh = _made(np.arccosh, "Inverse hyperbolic cosines", "[1, np.inf]", "array([ 0., inf])")
acosh = arccosh
arctanh = _made(
    np.arctanh, "Inverse hyperbolic tangents", "[0, 0.5]", "array([0.        , 0.54930614])"
)
atanh = arctanh
deg2rad = _made(np.deg2rad, "Radians of degrees", "[0, 180]", "array([0.        , 3.14159265])")
rad2deg = _made(np.rad2deg, "Degrees of radians", "[0, np.pi]", "array([  0., 180.])")
radians = _made(np.radians, "Radians of degrees", "[0, 180]", "array([0.        , 3.14159265])")
degrees = _made(np.degrees, "Degrees of radians", "[0, np.pi]", "array([  0., 180.])")

# ---- parts of numbers ----------------------------------------------------------------------------

floor = _made(np.floor, "Elements rounded down", "[-1.5, 1.5]", "array([-2.,  1.])")
ceil = _made(np.ceil, "Elements rounded up", "[-1.5, 1.5]", "array([-1.,  2.])")
trunc = _made(np.trunc, "Elements rounded towards zero", "[-1.5, 1.5]", "array([-1.,  1.])")
rint = _made(
    np.rint,
    "Elements rounded to the nearest integer, halves to the even one",
    "[0.5, 1.5, 1.6]",
    "array([0., 2., 2.])",
)
modf = _made(
    np.modf,
    "Fractional and integral parts",
    "[1.5, -2.25]",
    "(array([ 0.5 , -0.25]), array([ 1., -2.]))",
)
frexp = _made(
    np.frexp,
    "Mantissas and exponents of 2",
    "[8.0, 0.75]",
    "(array([0.5 , 0.75]), array([4, 0], dtype=int32))",
)
ldexp = _made(np.ldexp, "``x1 * 2**x2``", "[1.0, 3.0], [2, -1]", "array([4. , 1.5])")
nextafter = _made(
    np.nextafter, "Next floats in the direction of others", "[1.0, 5e-324], 0", "array([1., 0.])"
)
spacing = _made(
    np.spacing,
    "Distances to the next float",
    "[1.0, 1e300]",
    "array([2.22044605e-016, 1.48701691e+284])",
)
heaviside = _made(
    np.heaviside,
    "0 where elements are negative, 1 where positive, the second argument where zero",
    "[-1, 0, 2], 0.5",
    "array([0. , 0.5, 1. ])",
)
gcd = _made(np.gcd, "Greatest common divisors", "[12, 18], 8", "array([4, 2])")
lcm = _made(np.lcm, "Least common multiples", "[4, 6], 10", "array([20, 30])")
conjugate = _made(np.conjugate, "Complex conjugates", "[1 + 2j, 3]", "array([1.-2.j, 3.-0.j])")
conj = conjugate

# ---- the larger and the smaller ------------------------------------------------------------------

maximum = _made(
    np.maximum, "The larger of two elements; NaN if one is", "[1, 5], 3", "array([3, 5])"
)
minimum = _made(
    np.minimum, "The smaller of two elements; NaN if one is", "[1, 5], 3", "array([1, 3])"
)
fmax = _made(
    np.fmax,
    "The larger of two elements; of NaN and a number the number",
    "[1, np.nan], 3",
    "array([3., 3.])",
)
fmin = _made(
    np.fmin,
    "The smaller of two elements; of NaN and a number the number",
    "[1, np.nan], 3",
    "array([1., 3.])",
)
