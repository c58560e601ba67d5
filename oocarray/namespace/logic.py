"""NumPy's ufuncs of truth and bits as functions, by both its and the standard's names; no more."""

from __future__ import annotations

from functools import partial

import numpy as np

from .making import made

__all__ = [
    "bitwise_and", "bitwise_count", "bitwise_invert", "bitwise_left_shift", "bitwise_not",
    "bitwise_or", "bitwise_right_shift", "bitwise_xor", "equal", "greater", "greater_equal",
    "invert", "isfinite", "isinf", "isnan", "isnat", "left_shift", "less", "less_equal",
    "logical_and", "logical_not", "logical_or", "logical_xor", "not_equal", "right_shift",
]  # fmt: skip

# In this module the built-in functions of these names are out of reach.

_made = partial(made, __name__)

# ---- comparisons ---------------------------------------------------------------------------------

equal = _made(np.equal, "Whether elements are equal", "[1, 2], 2", "array([False,  True])")
not_equal = _made(np.not_equal, "Whether elements differ", "[1, 2], 2", "array([ True, False])")
less = _made(
    np.less, "Whether elements are smaller than others", "[1, 2], 2", "array([ True, False])"
)
less_equal = _made(
    np.less_equal,
    "Whether elements are smaller than others or equal",
    "[1, 2], 2",
    "array([ True,  True])",
)
greater = _made(
    np.greater, "Whether elements are larger than others", "[2, 3], 2", "array([False,  True])"
)
greater_equal = _made(
    np.greater_equal,
    "Whether elements are larger than others or equal",
    "[2, 1], 2",
    "array([ True, False])",
)

# ---- what is no number ---------------------------------------------------------------------------

isfinite = _made(
    np.isfinite,
    "Whether elements are neither infinite nor NaN",
    "[1, np.nan, np.inf]",
    "array([ True, False, False])",
)
isinf = _made(
    np.isinf, "Whether elements are infinite", "[1, np.nan, np.inf]", "array([False, False,  True])"
)
isnan = _made(
    np.isnan, "Whether elements are NaN", "[1, np.nan, np.inf]", "array([False,  True, False])"
)
isnat = _made(
    np.isnat,
    "Whether datetimes or timedeltas are NaT",
    'np.array(["2000", "NaT"], "M8[D]")',
    "array([False,  True])",
)

# ---- truth ---------------------------------------------------------------------------------------

logical_and = _made(
    np.logical_and,
    "Whether two elements are both true, which is not zero",
    "[0, 1, 2], 3",
    "array([False,  True,  True])",
)
logical_or = _made(
    np.logical_or,
    "Whether one of two elements is true, which is not zero",
    "[0, 1, 2], 0",
    "array([False,  True,  True])",
)
logical_xor = _made(
    np.logical_xor,
    "Whether one of two elements is true and the other false",
    "[0, 1, 2], 3",
    "array([ True, False, False])",
)
logical_not = _made(
    np.logical_not,
    "Whether elements are false, which is zero",
    "[0, 1, 2]",
    "array([ True, False, False])",
)

# ---- bits ----------------------------------------------------------------------------------------

bitwise_and = _made(
    np.bitwise_and, "Bits that are set in both of two elements", "[6, 9], 12", "array([4, 8])"
)
bitwise_or = _made(
    np.bitwise_or,
    "Bits that are set in at least one of two elements",
    "[6, 9], 12",
    "array([14, 13])",
)
bitwise_xor = _made(
    np.bitwise_xor, "Bits that are set in one of two elements", "[6, 9], 12", "array([10,  5])"
)
invert = _made(
    np.invert, "Elements with all bits turned, of bools the negation", "[0, 5]", "array([-1, -6])"
)
bitwise_invert = invert
bitwise_not = invert
left_shift = _made(
    np.left_shift,
    "Elements with bits shifted to the left; zeros come in",
    "[1, 5], 2",
    "array([ 4, 20])",
)
bitwise_left_shift = left_shift
right_shift = _made(
    np.right_shift,
    "Elements with bits shifted to the right; the sign stays",
    "[-8, 5], 1",
    "array([-4,  2])",
)
bitwise_right_shift = right_shift
bitwise_count = _made(
    np.bitwise_count,
    "How many bits are set, of the absolute value",
    "[7, -8]",
    "array([3, 1], dtype=uint8)",
)
