"""Spells NumPy's functions of bools and integers in numba's Python; refuses those that can raise.

Numba calculates in 64 bits whatever the width of its operands.  The caller cuts results to the
loop's dtype, so that a result needs to be right in its low bits only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oocarray.jit import kernel

__all__ = ["COMPARED", "integer_template", "power_template"]

Spelled = tuple[str, dict[str, Any]]

_BITS = 64
_CAST_LIMIT = 2147483648.0  # one more than the largest int32
COMPARED: dict[Any, str] = {
    np.less: "<",
    np.less_equal: "<=",
    np.greater: ">",
    np.greater_equal: ">=",
    np.equal: "==",
    np.not_equal: "!=",
}


# Integers of less than 64 bits are divided as floats: of 8 and 16 bits as float32, of 32 bits as
# float64.  The quotient of two of them differs from the next integer by 1 / divisor at least,
# which is more than the rounding error, so that its floor is right; and it runs in vectors.


@kernel
def floor_int16(a: Any, b: Any) -> Any:
    q = np.floor(np.float32(a) / np.float32(b))
    return np.int32(np.float32(0) if b == 0 else q)


@kernel
def floor_int32(a: Any, b: Any) -> Any:
    q = np.floor(np.float64(a) / np.float64(b))
    q = 0.0 if b == 0 else q
    # The smallest by -1 is no int32; NumPy wraps it.
    return np.int32(-_CAST_LIMIT if q == _CAST_LIMIT else q)


@kernel
def floor_uint32(a: Any, b: Any) -> Any:
    q = np.floor(np.float64(a) / np.float64(b))
    return np.uint32(0.0 if b == 0 else q)


@kernel
def floor_int64(a: Any, b: Any) -> Any:
    if b == 0:
        return np.int64(0)
    if b == -1:  # the processor's division traps on the smallest
        return -a
    return a // b


@kernel
def floor_uint64(a: Any, b: Any) -> Any:
    if b == 0:
        return np.uint64(0)
    return a // b


@kernel
def mod_int16(a: Any, b: Any) -> Any:
    return np.int32(0) if b == 0 else np.int32(a - floor_int16(a, b) * b)


@kernel
def mod_int32(a: Any, b: Any) -> Any:
    return np.int32(0) if b == 0 else np.int32(a - floor_int32(a, b) * b)


@kernel
def mod_uint32(a: Any, b: Any) -> Any:
    return np.uint32(0) if b == 0 else np.uint32(a - floor_uint32(a, b) * b)


@kernel
def mod_int64(a: Any, b: Any) -> Any:
    return np.int64(0) if b == 0 else np.int64(a - floor_int64(a, b) * b)


@kernel
def mod_uint64(a: Any, b: Any) -> Any:
    return np.uint64(0) if b == 0 else a - floor_uint64(a, b) * b


# C's remainder has the sign of the dividend.


@kernel
def fmod_int16(a: Any, b: Any) -> Any:
    r = mod_int16(a, b)
    return np.int32(r - b if (r != 0) & ((a < 0) != (b < 0)) else r)


@kernel
def fmod_int32(a: Any, b: Any) -> Any:
    r = mod_int32(a, b)
    return np.int32(np.int64(r) - b if (r != 0) & ((a < 0) != (b < 0)) else np.int64(r))


# Counts that are negative are very large as uint64: one comparison finds both.


@kernel
def left_int(a: Any, b: Any, bits: Any) -> Any:
    return np.int64(a) << np.int64(b) if np.uint64(b) < np.uint64(bits) else np.int64(0)


@kernel
def left_uint(a: Any, b: Any, bits: Any) -> Any:
    return np.uint64(a) << np.uint64(b) if np.uint64(b) < np.uint64(bits) else np.uint64(0)


@kernel
def right_int(a: Any, b: Any, bits: Any) -> Any:
    sign = np.int64(-1) if a < 0 else np.int64(0)
    return np.int64(a) >> np.int64(b) if np.uint64(b) < np.uint64(bits) else sign


@kernel
def right_uint(a: Any, b: Any, bits: Any) -> Any:
    return np.uint64(a) >> np.uint64(b) if np.uint64(b) < np.uint64(bits) else np.uint64(0)


@kernel
def size_uint(a: Any) -> Any:
    """The absolute value as uint64, of the smallest integer too."""
    return np.uint64(-np.int64(a)) if a < 0 else np.uint64(a)


@kernel
def fmod_int64(a: Any, b: Any) -> Any:
    one, other = size_uint(a), size_uint(b)
    r = np.uint64(0) if other == 0 else one % other
    return -np.int64(r) if a < 0 else np.int64(r)


@kernel
def gcd_uint(a: Any, b: Any) -> Any:
    while b != 0:
        a, b = b, a % b
    return a


@kernel
def gcd_int(a: Any, b: Any) -> Any:
    return gcd_uint(size_uint(a), size_uint(b))


@kernel
def lcm_int(a: Any, b: Any) -> Any:
    one, other = size_uint(a), size_uint(b)
    common = gcd_uint(one, other)
    return np.uint64(0) if common == 0 else one // common * other


@kernel
def power_int(a: Any, n: Any) -> Any:
    """Wraps as NumPy's does; the exponent is not negative."""
    base, result = np.uint64(a), np.uint64(1)
    left = np.uint64(n)
    while left != 0:
        if left & np.uint64(1):
            result *= base
        base *= base
        left >>= np.uint64(1)
    return result


_BOOL: dict[Any, str] = {
    **dict.fromkeys((np.add, np.logical_or, np.bitwise_or, np.maximum, np.fmax), "{0} | {1}"),
    **dict.fromkeys(
        (np.multiply, np.logical_and, np.bitwise_and, np.minimum, np.fmin), "{0} & {1}"
    ),
    **dict.fromkeys((np.logical_xor, np.bitwise_xor, np.not_equal), "{0} ^ {1}"),
    **dict.fromkeys((np.logical_not, np.invert), "not {0}"),
    **dict.fromkeys((np.absolute, np.floor, np.ceil, np.trunc, np.conjugate), "{0}"),
    **dict.fromkeys((np.isnan, np.isinf), "{0} != {0}"),
    np.isfinite: "{0} == {0}",
    np.equal: "{0} == {1}",
    np.less: "(not {0}) & {1}",
    np.less_equal: "(not {0}) | {1}",
    np.greater: "{0} & (not {1})",
    np.greater_equal: "{0} | (not {1})",
}
_INTEGER: dict[Any, str] = {
    np.add: "{0} + {1}",
    np.subtract: "{0} - {1}",
    np.multiply: "{0} * {1}",
    np.square: "{0} * {0}",
    np.negative: "-{0}",
    **dict.fromkeys((np.positive, np.conjugate, np.floor, np.ceil, np.trunc), "{0}"),
    np.maximum: "{0} if {0} > {1} else {1}",
    np.minimum: "{0} if {0} < {1} else {1}",
    np.fmax: "{0} if {0} > {1} else {1}",
    np.fmin: "{0} if {0} < {1} else {1}",
    np.bitwise_and: "{0} & {1}",
    np.bitwise_or: "{0} | {1}",
    np.bitwise_xor: "{0} ^ {1}",
    np.invert: "~{0}",
    np.logical_and: "({0} != ZERO) & ({1} != ZERO)",
    np.logical_or: "({0} != ZERO) | ({1} != ZERO)",
    np.logical_xor: "({0} != ZERO) != ({1} != ZERO)",
    np.logical_not: "{0} == ZERO",
    **dict.fromkeys((np.isnan, np.isinf), "{0} != {0}"),
    np.isfinite: "{0} == {0}",
    **{function: f"{{0}} {sign} {{1}}" for function, sign in COMPARED.items()},
}
_SIGNED: dict[Any, str] = {
    np.absolute: "-{0} if {0} < ZERO else {0}",
    np.sign: "np.int64({0} > ZERO) - np.int64({0} < ZERO)",
}
_UNSIGNED: dict[Any, str] = {
    np.absolute: "{0}",
    np.sign: "TYPE({0} > ZERO)",
}
_SHIFTS: dict[Any, Any] = {
    np.left_shift: (left_int, left_uint),
    np.right_shift: (right_int, right_uint),
}
_FLOORS = (floor_int16, floor_int32, floor_int64, floor_uint32, floor_uint64)
_MODS = (mod_int16, mod_int32, mod_int64, mod_uint32, mod_uint64)
_FMODS = (fmod_int16, fmod_int32, fmod_int64, mod_uint32, mod_uint64)
_DIVISIONS: dict[Any, Any] = {np.floor_divide: _FLOORS, np.remainder: _MODS, np.fmod: _FMODS}


def integer_template(function: Callable[..., Any], loop: tuple[np.dtype[Any], ...]) -> Any:
    """The template of a function of operands of one integer or bool dtype, and what it needs.

    Returns
    -------
    tuple of str and dict, or None
        None: the function is not spelled for this dtype.
    """
    dtype = loop[0]
    if any(one != dtype for one in loop[:-1]) or loop[-1] not in (dtype, np.dtype(bool)):
        return _mixed(function, loop)
    if dtype.kind == "b":
        return _plain(_BOOL.get(function), dtype)
    signed, bits = dtype.kind == "i", 8 * dtype.itemsize
    if function in _DIVISIONS:
        return _called(_by_width(_DIVISIONS[function], signed, bits), "{0}, {1}")
    if function in _SHIFTS:
        return _called(_SHIFTS[function][0 if signed else 1], f"{{0}}, {{1}}, {bits}")
    if function in (np.gcd, np.lcm):
        return _called(gcd_int if function is np.gcd else lcm_int, "{0}, {1}")
    own = (_SIGNED if signed else _UNSIGNED).get(function)
    return _plain(own or _INTEGER.get(function), dtype)


def power_template(exponent: Any, dtype: np.dtype[Any]) -> Any:
    """The template of a power of integers with an exponent that is known and not negative."""
    if type(exponent) is not int or not 0 <= exponent <= np.iinfo(dtype).max:
        return None
    if exponent == 0:
        return "1", {}
    if exponent <= 3:
        return " * ".join(["{0}"] * exponent), {}
    return _called(power_int, "{0}, {1}")


def _by_width(kernels: tuple[Any, ...], signed: bool, bits: int) -> Any:
    small, middle, large, unsigned, unsigned_large = kernels
    if bits <= 16:
        return small
    if bits < _BITS:
        return middle if signed else unsigned
    return large if signed else unsigned_large


def _mixed(function: Callable[..., Any], loop: tuple[np.dtype[Any], ...]) -> Any:
    """Comparisons of uint64 with int64, which NumPy compares as numbers."""
    sign = COMPARED.get(function)
    if sign is None or {one.str[1:] for one in loop[:-1]} != {"u8", "i8"}:
        return None
    at = 0 if loop[0].kind == "i" else 1
    # A negative one is smaller than, and differs from, all that the other can be.
    small = {"<": at == 0, "<=": at == 0, ">": at == 1, ">=": at == 1, "==": False, "!=": True}
    operands = ["{0}", "{1}"]
    operands[at] = f"np.uint64({operands[at]})"
    negative = f"({{{at}}} < np.int64(0))"
    compared = f"({operands[0]} {sign} {operands[1]})"
    if small[sign]:
        return f"{negative} | {compared}", {"np": np}
    return f"(not {negative}) & {compared}", {"np": np}


def _plain(template: str | None, dtype: np.dtype[Any]) -> Spelled | None:
    if template is None:
        return None
    name = f"np.{dtype.name}"
    found = template.replace("ZERO", f"{name}(0)").replace("TYPE", name)
    return found, {"np": np} if "np." in found else {}


def _called(function: Any, arguments: str) -> Spelled:
    name = f"w_{function.__name__}"  # generated variables have no underscore
    return f"{name}({arguments})", {name: function}
