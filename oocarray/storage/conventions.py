"""What the CF conventions say of an array's numbers, from its attributes; changes no element.

A variable may be *packed*: what is meant is ``stored * scale_factor + add_offset``.  Elements
equal to ``_FillValue``, or to one of ``missing_value``, are missing, and mean NaN.  ``_Unsigned``
says that the bits of an integer are to be read with, or without, a sign.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oocarray.errors import FormatError

__all__ = ["PACKING", "Agreement", "Decoding", "decoding_of"]

PACKING = ("scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")
"""Attributes that say how numbers are packed."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """How stored numbers become what they mean.

    View them as `bits`; note which are in `missing`; convert to `dtype`; times `scale`, plus
    `offset`; put NaN where they are missing.
    """

    stored: np.dtype[Any]
    bits: np.dtype[Any]
    """`stored`, save where ``_Unsigned`` says otherwise."""
    dtype: np.dtype[Any]
    """Of what is meant, in this machine's byte order."""
    scale: float | None
    offset: float | None
    missing: tuple[float | int, ...]
    """Values of `bits` that stand for nothing; NaN, which stands for itself, is not in it."""

    def __str__(self) -> str:
        parts = [f"{self.bits.name} as {self.dtype.name}"]
        if self.scale is not None:
            parts.append(f"times {self.scale:g}")
        if self.offset is not None:
            parts.append(f"plus {self.offset:g}")
        if self.missing:
            parts.append("NaN for " + " and ".join(map(_figure, self.missing)))
        return ", ".join(parts)


def _figure(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def decoding_of(attrs: Mapping[str, Any], dtype: Any) -> Decoding | None:
    """Return what the attributes ask for, or None if the stored numbers mean themselves.

    Parameters
    ----------
    attrs : mapping
        ``scale_factor``, ``add_offset``, ``_FillValue``, ``missing_value`` and ``_Unsigned``
        count; as JSON has them, or as NumPy scalars, whose precision then matters.
    dtype : dtype-like
        Of the stored numbers; what is neither int nor float is never decoded.

    Raises
    ------
    FormatError
        An attribute that is no number.

    Notes
    -----
    The result is float64; float32 where ints of at most 16 bits have no scale, or a scale and
    offset in float32.  Floats keep their dtype unless the scale or offset has a wider one.

    Examples
    --------
    >>> print(decoding_of({"scale_factor": 0.01, "add_offset": 273.15, "_FillValue": -1}, "i2"))
    int16 as float64, times 0.01, plus 273.15, NaN for -1
    >>> decoding_of({"units": "K"}, "f4")
    """
    stored: np.dtype[Any] = np.dtype(dtype)
    if stored.kind not in "iuf":
        return None
    bits = _bits(attrs, stored)
    factors = {
        name: _factor(attrs[name], name)
        for name in ("scale_factor", "add_offset")
        if attrs.get(name) is not None
    }
    marks = [
        _mark(value, name, bits, bits != stored)
        for name in ("_FillValue", "missing_value")
        for value in _values(attrs.get(name))
    ]
    missing = tuple(dict.fromkeys(mark for mark in marks if mark is not None))
    if not factors and not missing:
        if bits == stored:
            return None
        # Other bits, but all of them numbers: ints stay ints.
        return Decoding(stored, bits, bits.newbyteorder("="), None, None, ())
    kinds = [kind for _, kind in factors.values()]
    scale, offset = factors.get("scale_factor"), factors.get("add_offset")
    return Decoding(
        stored,
        bits,
        _meant(bits.newbyteorder("="), kinds),
        None if scale is None else scale[0],
        None if offset is None else offset[0],
        missing,
    )


@dataclass(slots=True)
class Agreement:
    """What files that become one array say alike; add them in their order.

    Examples
    --------
    >>> said = Agreement()
    >>> said.add("a.nc", ("x",), {"units": "K", "scale_factor": 0.5})
    >>> said.add("b.nc", ("x",), {"units": "m", "scale_factor": 0.25})
    >>> said.difference, said.attrs, said.joined_dims(0, new=True)
    ('b.nc has scale_factor=0.25, but a.nc has 0.5', {'units': 'K'}, (None, 'x'))
    """

    difference: str = ""
    """The first two files whose numbers are packed in different ways, in words."""
    _first: str | None = None
    _dims: tuple[str | None, ...] | None = None
    _attrs: Mapping[str, Any] = field(default_factory=dict)

    def add(self, name: str, dims: tuple[str | None, ...] | None, attrs: Mapping[str, Any]) -> None:
        """Compare one more file with the first."""
        if self._first is None:
            self._first, self._dims, self._attrs = name, dims, attrs
            return
        if dims != self._dims:
            self._dims = None
        for key in PACKING:
            mine, its = attrs.get(key), self._attrs.get(key)
            # NaN is not equal to itself, but is the same.
            if not self.difference and str(mine) != str(its) and mine != its:
                self.difference = f"{name} has {key}={mine}, but {self._first} has {its}"

    @property
    def attrs(self) -> dict[str, Any]:
        """Those of the first file, without what is untrue of another."""
        left_out = PACKING if self.difference else ()
        return {name: value for name, value in self._attrs.items() if name not in left_out}

    def joined_dims(self, axis: int, new: bool) -> tuple[str | None, ...] | None:
        """Names of the axes, if all files have the same; a new axis, at `axis`, has none."""
        if self._dims is None or not new:
            return self._dims
        return (*self._dims[:axis], None, *self._dims[axis:])


def _bits(attrs: Mapping[str, Any], stored: np.dtype[Any]) -> np.dtype[Any]:
    flag = str(attrs.get("_Unsigned", "")).lower()
    wanted = {"true": "u", "false": "i"}.get(flag)
    if wanted is None or stored.kind == "f":
        return stored
    return np.dtype(f"{stored.str[0]}{wanted}{stored.itemsize}")


def _meant(bits: np.dtype[Any], kinds: list[np.dtype[Any]]) -> np.dtype[Any]:
    if bits.kind == "f":
        return np.result_type(bits, *kinds)
    # Of wider ints float32 would lose some.
    narrow = bits.itemsize <= 2 and all(kind == np.float32 for kind in kinds)
    return np.dtype(np.float32 if narrow else np.float64)


def _values(value: Any) -> list[Any]:
    """The values of an attribute: netCDF has lists of one where one is meant."""
    if value is None:
        return []
    if isinstance(value, np.ndarray):
        return list(value.ravel())
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _factor(value: Any, name: str) -> tuple[float, np.dtype[Any]]:
    given = _values(value)
    if len(given) != 1 or not _is_number(given[0]) or not math.isfinite(given[0]):
        raise FormatError(f"attribute {name} is {value!r:.60}, not one finite number")
    kind = np.dtype(np.float32 if isinstance(given[0], np.float32) else np.float64)
    return float(given[0]), kind


def _is_number(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and value.bit_length() < 1024  # within float's range
    return isinstance(value, (float, np.integer, np.floating))


def _mark(value: Any, name: str, bits: np.dtype[Any], turned: bool) -> float | int | None:
    """A value that stands for nothing, as `bits` has it; None if no element can be equal to it."""
    number = _from_text(value, name) if isinstance(value, (str, bytes)) else value
    if not _is_number(number):
        raise FormatError(f"attribute {name} is {value!r:.60}, not a number")
    if bits.kind == "f":
        with np.errstate(over="ignore"):
            found = float(np.array(float(number), bits))
        # What is beyond the dtype's range, and did not name infinity, is no element.
        return None if math.isnan(found) or math.isinf(found) != math.isinf(number) else found
    if not math.isfinite(number) or int(number) != number:
        return None
    limits, whole = np.iinfo(bits), int(number)
    if limits.min <= whole <= limits.max:
        return whole
    # In the dtype that is stored, which has or lacks a sign: there -1 is what is 255 here.
    other = np.iinfo(f"{'i' if bits.kind == 'u' else 'u'}{bits.itemsize}")
    if not turned or not other.min <= whole <= other.max:
        return None
    step = 1 << 8 * bits.itemsize
    return whole + step if whole < 0 else whole - step


def _from_text(value: str | bytes, name: str) -> float:
    """A number in words, or its eight bytes in base64, as xarray writes it into Zarr."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    try:
        return float(text)
    except ValueError:
        pass
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        data = b""
    if len(data) not in (2, 4, 8):
        raise FormatError(f"attribute {name} is {value!r:.60}, not a number")
    return float(np.frombuffer(data, f"<f{len(data)}")[0])
