"""What a kernel's arguments are, as plain records; it compiles nothing and imports no compiler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from oocarray.errors import DtypeError

__all__ = ["ArgType", "ArrayArg", "ScalarArg", "TupleArg", "arg_type"]

_PYTHON_KINDS = ("bool", "int", "float", "complex", "str", "none")
_CODES = frozenset("?bhilqBHILQfdFDMmSU")  # dtype.char of what a kernel can take


@dataclass(frozen=True, slots=True)
class ArrayArg:
    """An array argument: everything about it that changes the code, nothing about its extent."""

    dtype: np.dtype
    ndim: int
    layout: Literal["C", "F", "A"] = "C"
    readonly: bool = True
    aligned: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", np.dtype(self.dtype))
        _check_dtype(self.dtype)
        if self.layout not in ("C", "F", "A"):
            raise ValueError(f"layout is 'C', 'F' or 'A', not {self.layout!r}")
        if self.ndim < 2 and self.layout == "F":
            object.__setattr__(self, "layout", "C")  # one spelling, one compilation

    def __str__(self) -> str:
        words = [f"array({self.dtype}, {self.ndim}d, {self.layout}"]
        words += ["read-only"] * self.readonly + ["unaligned"] * (not self.aligned)
        return ", ".join(words) + ")"

    def spell(self) -> str:
        """Write the record so that different ones never look alike."""
        form = (repr(self.dtype), self.dtype.isalignedstruct, self.ndim, self.layout)
        return repr((*form, self.readonly, self.aligned))

    def accepts(self, value: object) -> bool:
        """Whether code compiled for this argument may be given `value`."""
        if not isinstance(value, np.ndarray) or value.dtype != self.dtype:
            return False
        flags = value.flags
        layout = {"C": flags.c_contiguous, "F": flags.f_contiguous, "A": True}[self.layout]
        return (
            value.ndim == self.ndim
            and layout
            and (self.readonly or flags.writeable)
            and (flags.aligned or not self.aligned)
        )


@dataclass(frozen=True, slots=True)
class ScalarArg:
    """A scalar argument: a Python scalar, or a NumPy scalar by the name of its dtype.

    `kind` is ``"bool"``, ``"int"``, ``"float"``, ``"complex"``, ``"str"``, ``"none"``, or what
    `numpy.dtype` reads, such as ``"float32"`` or ``"datetime64[ns]"``.
    """

    kind: str

    def __post_init__(self) -> None:
        if self.kind not in _PYTHON_KINDS:
            _check_dtype(np.dtype(self.kind))

    def __str__(self) -> str:
        return self.kind

    def spell(self) -> str:
        """Write the record so that different ones never look alike."""
        return repr(self.kind)

    def accepts(self, value: object) -> bool:
        """Whether code compiled for this argument may be given `value`."""
        return arg_type(value) == self


@dataclass(frozen=True, slots=True)
class TupleArg:
    """A tuple argument, item by item."""

    items: tuple[ArgType, ...]

    def __str__(self) -> str:
        return "(" + ", ".join(map(str, self.items)) + ("," * (len(self.items) == 1)) + ")"

    def spell(self) -> str:
        """Write the record so that different ones never look alike."""
        return "(" + ",".join(item.spell() for item in self.items) + ")"

    def accepts(self, value: object) -> bool:
        """Whether code compiled for this argument may be given `value`."""
        return (
            type(value) is tuple
            and len(value) == len(self.items)
            and all(item.accepts(part) for item, part in zip(self.items, value, strict=True))
        )


ArgType = ArrayArg | ScalarArg | TupleArg


def arg_type(value: object) -> ArgType:
    """Describe a literal argument.

    Parameters
    ----------
    value : ndarray, NumPy scalar, int, float, bool, complex, str, None, or a tuple of these
        An array is taken as read-only, with the layout and alignment it has.

    Raises
    ------
    DtypeError
        Compiled code cannot take a value of this type; the message says what to do instead.

    Examples
    --------
    >>> import numpy as np
    >>> str(arg_type((3, np.zeros((2, 2)))))
    '(int, array(float64, 2d, C, read-only))'
    """
    if isinstance(value, np.ma.MaskedArray):
        raise DtypeError("a kernel takes no masked array; pass .data and .mask as two arguments")
    if isinstance(value, np.ndarray):
        flags = value.flags
        layout: Literal["C", "F", "A"] = (
            "C" if flags.c_contiguous else "F" if flags.f_contiguous else "A"
        )
        return ArrayArg(value.dtype, value.ndim, layout, True, flags.aligned)
    if isinstance(value, np.generic):
        if value.dtype.kind in "SUV":
            raise DtypeError(
                f"a kernel takes no NumPy scalar of dtype {value.dtype}; pass an array of one item"
            )
        return ScalarArg(str(value.dtype) if value.dtype.kind != "b" else "bool")
    if isinstance(value, tuple):
        if type(value) is not tuple:
            raise DtypeError(f"a kernel takes plain tuples; pass tuple(x), not {type(value)!r}")
        return TupleArg(tuple(arg_type(item) for item in value))
    return ScalarArg(_python_kind(value))


def _python_kind(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return "int"
        if 0 <= value < 2**64:
            return "uint64"
        raise DtypeError(f"{value} does not fit 64 bits; pass it as a float")
    for kind in (float, complex, str):
        if isinstance(value, kind):
            return kind.__name__
    raise DtypeError(
        f"a kernel takes arrays, numbers, bool, str, None and tuples of these, "
        f"not {type(value).__name__}; a value that never changes can be a global of the kernel"
    )


def _check_dtype(dtype: np.dtype) -> None:
    """Refuse what compiled code would not take, or would read wrongly."""
    if dtype.names is not None:
        for name in dtype.names:
            _check_dtype(dtype.fields[name][0].base)  # type: ignore[index]
        return
    if dtype.hasobject:
        raise DtypeError("a kernel takes no object array; convert it to a fixed-size dtype")
    if dtype.char == "e":
        raise DtypeError("a kernel takes no float16; convert with .astype('float32')")
    if not dtype.isnative:
        raise DtypeError(
            f"a kernel takes native byte order only, not {dtype.str}; "
            f"convert with .astype({dtype.newbyteorder('=').str!r})"
        )
    if dtype.char not in _CODES:
        raise DtypeError(f"a kernel takes no {dtype}; convert it with .astype(...)")
