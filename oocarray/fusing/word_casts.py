"""Spells conversions between dtypes in numba's Python; refuses those NumPy does inconsistently."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from oocarray.jit import kernel

__all__ = ["cast_template"]

# What C leaves undefined, NumPy leaves to the processor, and so it is a matter of the machine:
# x86 gives the smallest int32 or int64 for all that is out of range, and for NaN.
_X86 = platform.machine() in ("x86_64", "AMD64")

# The compiler must not see an undefined conversion, or it may make anything of it.  The limits
# are float32: beside them a float64 stays what it is, and a float32 too.


@kernel
def to_int32(x: Any) -> Any:
    fits = (x >= np.float32(-2147483648.0)) & (x < np.float32(2147483648.0))
    return np.int32(x) if fits else np.int32(-2147483648)


@kernel
def to_int64(x: Any) -> Any:
    fits = (x >= np.float32(-9223372036854775808.0)) & (x < np.float32(9223372036854775808.0))
    return np.int64(x) if fits else np.int64(-9223372036854775808)


@kernel
def to_uint64(x: Any) -> Any:
    half = np.float32(9223372036854775808.0)
    if x >= half:
        return np.uint64(to_int64(x - half)) ^ np.uint64(9223372036854775808)
    return np.uint64(to_int64(x))


def cast_template(source: np.dtype[Any], target: np.dtype[Any]) -> Any:
    """The template of a conversion as NumPy's unsafe casting, and what it needs.

    Returns
    -------
    tuple of str and dict, or None
        None for floats to uint32: what NumPy makes of those that are out of range depends on
        where they stand in the array.  None for floats to integers on other processors than x86.
    """
    if source == target:
        return "{0}", {}
    if target.kind == "b":
        return f"{{0}} != np.{source.name}(0)", {"np": np}
    if source.kind != "f" or target.kind == "f":
        return f"np.{target.name}({{0}})", {"np": np}
    if not _X86 or target == np.uint32:
        return None
    # Integers of 8 and 16 bits are the low bits of the int32.
    found = to_int32 if target.itemsize <= 4 else to_int64 if target.kind == "i" else to_uint64
    name = f"w_{found.__name__}"
    return f"{name}({{0}})", {name: found}
