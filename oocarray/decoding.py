"""Turns packed numbers into what they mean, as a lazy expression; it reads no attribute itself."""

from __future__ import annotations

import functools
import operator
from dataclasses import replace

import numpy as np

from .core import Array
from .namespace.elementwise import where
from .storage.conventions import PACKING, decoding_of
from .storage.opened import Opened

__all__ = ["decoded"]


def decoded(array: Array, opened: Opened) -> Array:
    """Apply what the attributes of an array say of its numbers; the array itself if nothing.

    Raises
    ------
    FormatError
        Attributes that are no numbers.
    """
    found = decoding_of(opened.attrs, array.dtype)
    if found is None:
        return array
    bits = array.astype(found.bits)
    made = bits.astype(found.dtype)
    if found.scale is not None:
        made = made * found.dtype.type(found.scale)
    if found.offset is not None:
        made = made + found.dtype.type(found.offset)
    if found.missing:
        marks = [bits == found.bits.type(value) for value in found.missing]
        made = where(functools.reduce(operator.or_, marks), found.dtype.type(np.nan), made)
    # What is stored of it means what it is: it is not to be decoded again.
    left = {name: value for name, value in opened.attrs.items() if name not in PACKING}
    return Array(made.node, "r", replace(opened, attrs=left))
