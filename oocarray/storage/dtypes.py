"""Which dtypes and shapes an array in a file may have; reads no file and converts nothing."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from oocarray.errors import DtypeError
from oocarray.units import format_bytes

__all__ = ["MAX_BYTES", "MAX_DIM", "MAX_NDIM", "plain_dtype", "plain_shape"]

MAX_NDIM = 64  # NumPy's own limit
MAX_DIM = 1 << 48  # beyond the address space of today's processors
MAX_BYTES = 1 << 63  # file offsets and NumPy's strides are signed 64-bit
MAX_ITEM = 1 << 20

_SIZES = {
    "b": (1,),
    "i": (1, 2, 4, 8),
    "u": (1, 2, 4, 8),
    "f": (2, 4, 8),
    "c": (8, 16),
    "m": (8,),
    "M": (8,),
}
_WANTED = "bool, int/uint 8-64, float 16-64, complex 64/128, datetime, S/U/V or structs of these"


def plain_dtype(dtype: Any, where: str = "") -> np.dtype[Any]:
    """Return the dtype when every byte of its elements means the same in any process.

    Parameters
    ----------
    dtype : dtype-like
        What ``numpy.dtype`` takes; both byte orders.
    where : str
        Name of the file or parameter, for the message.

    Raises
    ------
    DtypeError
        Python objects, variable-width strings, long doubles, sub-arrays outside a struct, or
        an element of 0 bytes or more than 1 MiB.

    Examples
    --------
    >>> plain_dtype(">f4")
    dtype('>f4')
    >>> plain_dtype(object)
    Traceback (most recent call last):
    ...
    oocarray.errors.DtypeError: dtype object cannot lie in a file: use bool, int/uint 8-64, \
float 16-64, complex 64/128, datetime, S/U/V or structs of these
    """
    found: np.dtype[Any] = np.dtype(dtype)
    prefix = f"{where}: " if where else ""
    if found.subdtype is not None or not _is_plain(found):
        raise DtypeError(f"{prefix}dtype {found} cannot lie in a file: use {_WANTED}")
    if not 1 <= found.itemsize <= MAX_ITEM:
        raise DtypeError(
            f"{prefix}an element of dtype {found} has {format_bytes(found.itemsize)}, "
            f"but 1 B to {format_bytes(MAX_ITEM)} can be mapped"
        )
    return found


def _is_plain(dtype: np.dtype[Any]) -> bool:
    if dtype.hasobject:
        return False
    if dtype.subdtype is not None:
        return _is_plain(dtype.subdtype[0])
    if dtype.names is not None:
        return bool(dtype.names) and all(_is_plain(dtype[name]) for name in dtype.names)
    if dtype.kind in "SUV":
        return dtype.itemsize > 0
    # On some platforms long double has 8 bytes: refuse it by its type number as well.
    return dtype.itemsize in _SIZES.get(dtype.kind, ()) and dtype.char not in "gG"


def plain_shape(shape: int | Iterable[int], itemsize: int, where: str = "shape") -> tuple[int, ...]:
    """Return the shape as a tuple of ints when NumPy could hold an array of it.

    Raises
    ------
    TypeError
        An extent is not an integer.
    ValueError
        A negative or too large extent, more than 64 axes, or 2**63 bytes or more (axes of
        extent 0 counted as 1, as NumPy does).

    Examples
    --------
    >>> plain_shape(7, 8), plain_shape([2, 3], 8), plain_shape((), 8)
    ((7,), (2, 3), ())
    """
    given = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    if any(isinstance(extent, (bool, np.bool_)) for extent in given):
        raise TypeError(f"{where} {given} has a bool where an int belongs")
    extents = tuple(operator.index(extent) for extent in given)
    if len(extents) > MAX_NDIM:
        raise ValueError(f"{where} has {len(extents)} axes, but at most {MAX_NDIM} are possible")
    for axis, extent in enumerate(extents):
        if not 0 <= extent < MAX_DIM:
            raise ValueError(f"{where}: extent {extent} of axis {axis} is not in 0 ... 2**48 - 1")
    if math.prod(max(extent, 1) for extent in extents) * itemsize >= MAX_BYTES:
        raise ValueError(f"{where} {extents} of {itemsize}-byte elements is over 2**63 bytes")
    return extents
