"""Dtypes, constants, and what follows from dtypes and shapes alone; it looks at no element."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
from numpy import (
    bool,
    complex64,
    complex128,
    e,
    float16,
    float32,
    float64,
    inf,
    int8,
    int16,
    int32,
    int64,
    nan,
    newaxis,
    pi,
    uint8,
    uint16,
    uint32,
    uint64,
)
from numpy.typing import DTypeLike

from ..core import Array
from ..operations.elementwise import spread_shape

__all__ = [
    "bool",
    "broadcast_shapes",
    "can_cast",
    "complex64",
    "complex128",
    "e",
    "finfo",
    "float16",
    "float32",
    "float64",
    "iinfo",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "isdtype",
    "nan",
    "newaxis",
    "pi",
    "promote_types",
    "result_type",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]

# In this module the built-in `bool` is out of reach: the name is NumPy's dtype.


def can_cast(from_: Any, to: DTypeLike, /, *, casting: Any = "safe") -> builtins.bool:
    """Whether elements can be converted to a dtype.

    Parameters
    ----------
    from_ : dtype-like or Array
    to : dtype-like
    casting : {"no", "equiv", "safe", "same_kind", "unsafe"}

    Raises
    ------
    TypeError
        `from_` is a Python number, or `to` is no dtype.

    Examples
    --------
    >>> can_cast(int32, float64), can_cast(float64, int32)
    (True, False)
    """
    return builtins.bool(np.can_cast(_dtype_if_array(from_), to, casting=casting))


def finfo(type: Any, /) -> np.finfo[Any]:
    """Limits of a floating-point dtype.

    Parameters
    ----------
    type : dtype-like or Array
        Of floats, or of complex numbers: then of their parts.

    Raises
    ------
    ValueError
        Of another kind.

    Examples
    --------
    >>> finfo(float32).bits, float(finfo(float64).eps)
    (32, 2.220446049250313e-16)
    """
    return np.finfo(_dtype_if_array(type))


def iinfo(type: Any, /) -> np.iinfo[Any]:
    """Limits of an integer dtype.

    Parameters
    ----------
    type : dtype-like or Array

    Raises
    ------
    ValueError
        Of another kind.

    Examples
    --------
    >>> iinfo(int8).min, iinfo(int8).max
    (-128, 127)
    """
    return np.iinfo(_dtype_if_array(type))


def isdtype(dtype: Any, kind: Any) -> builtins.bool:
    """Whether a dtype is another one, or of a kind.

    Parameters
    ----------
    dtype : dtype
    kind : dtype, str, or tuple of them
        "bool", "signed integer", "unsigned integer", "integral", "real floating",
        "complex floating" or "numeric".

    Raises
    ------
    TypeError, ValueError
        `dtype` is no dtype; an unknown kind.

    Examples
    --------
    >>> isdtype(float32, "real floating"), isdtype(np.dtype("i4"), (bool, "integral"))
    (True, True)
    """
    return builtins.bool(np.isdtype(dtype, kind))


def promote_types(type1: DTypeLike, type2: DTypeLike, /) -> np.dtype[Any]:
    """The smallest dtype to which both of two can be converted safely.

    Parameters
    ----------
    type1, type2 : dtype-like

    Raises
    ------
    TypeError
        There is none.

    Examples
    --------
    >>> promote_types("i4", "f4")
    dtype('float64')
    """
    return np.promote_types(type1, type2)


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The dtype that elements have together; of Python's numbers only the kind counts.

    Parameters
    ----------
    *arrays_and_dtypes : Array, array-like, dtype-like or scalar

    Raises
    ------
    TypeError, ValueError
        There is none; no argument.

    Examples
    --------
    >>> from oocarray import from_array
    >>> x = from_array(np.ones(3, "f4"))
    >>> result_type(x, 1.5), result_type(x, int32)
    (dtype('float32'), dtype('float64'))
    """
    found: np.dtype[Any] = np.result_type(*map(_dtype_if_array, arrays_and_dtypes))
    return found


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that arrays of some shapes have when they are broadcast.

    Parameters
    ----------
    *shapes : int or tuple of int
        An extent that is not known is nan.

    Raises
    ------
    ValueError
        The shapes do not fit each other.

    Examples
    --------
    >>> broadcast_shapes((5, 1), 6), broadcast_shapes((nan,), (1,))
    ((5, 6), (nan,))
    """
    given = [shape if isinstance(shape, tuple | list) else (shape,) for shape in shapes]
    if any(extent != extent for shape in given for extent in shape):
        return spread_shape([tuple(shape) for shape in given])
    return np.broadcast_shapes(*map(tuple, given))


def _dtype_if_array(value: Any) -> Any:
    return value.dtype if isinstance(value, Array) else value
