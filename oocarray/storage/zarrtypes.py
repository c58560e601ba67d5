"""Dtypes and fill values as Zarr writes them, in NumPy's terms; converts no element.

Version 3 names its types (``"int16"``; NumPy's other types have extension names, as zarr-python
writes them) and leaves the byte order to the codec `bytes`.  Version 2 has NumPy's own type
strings, byte order included.  A fill value becomes the bytes of one element: a NaN with a
payload has no other faithful spelling.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Any

import numpy as np

from oocarray.errors import DtypeError, FormatError
from oocarray.storage.dtypes import MAX_ITEM, plain_dtype
from oocarray.storage.zarrjson import list_at, object_at, only_keys, short, wholes_at

__all__ = ["dtype_name", "fill_bytes", "named", "parse_dtype2", "parse_dtype3"]

_CORE = {
    "bool": "?",
    **{f"int{8 * n}": f"i{n}" for n in (1, 2, 4, 8)},
    **{f"uint{8 * n}": f"u{n}" for n in (1, 2, 4, 8)},
    **{f"float{8 * n}": f"f{n}" for n in (2, 4, 8)},
    "complex64": "c8",
    "complex128": "c16",
}
_BYTES = {"null_terminated_bytes": "S", "raw_bytes": "V", "fixed_length_utf32": "U"}
_TIMES = {"numpy.datetime64": "M8", "numpy.timedelta64": "m8"}
_UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "μs", "ns", "ps", "fs", "as", "generic")
_TYPE2 = re.compile(r"[<>|]([biufcSUV][0-9]{1,7}|O[0-9]?|[mM]8(\[[A-Za-z0-9μ/]{1,24}\])?)")
_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_NAT = -(1 << 63)


def named(value: Any, what: str) -> tuple[str, dict[str, Any]]:
    """Return name and configuration of an extension point of version 3.

    Raises
    ------
    FormatError
        Neither a name alone nor an object with a name.
    """
    if isinstance(value, str):
        return value, {}
    found = object_at(value, what)
    only_keys(found, ("name", "configuration", "must_understand"), what)
    name = found.get("name")
    if not isinstance(name, str):
        raise FormatError(f"{what}: its name is {short(name)}, not a string")
    return name, object_at(found.get("configuration", {}), f"{what}: configuration")


def dtype_name(value: Any) -> str:
    """The name of a dtype as the document spells it, whether or not it can be mapped."""
    name = value.get("name") if isinstance(value, dict) else value
    return name if isinstance(name, str) else short(name)


def parse_dtype3(value: Any, endian: str, what: str) -> np.dtype[Any]:
    """Return the dtype of a ``data_type`` of version 3.

    Parameters
    ----------
    value : str or dict
    endian : {"little", "big", ""}
        As the codec `bytes` says; "" where it says nothing.
    what : str
        File and field, for the messages.

    Raises
    ------
    DtypeError
        A type of variable length, or one that NumPy lacks.
    FormatError
        No type; or one of several bytes whose order is not said.

    Examples
    --------
    >>> parse_dtype3("int16", "big", "zarr.json: data_type")
    dtype('>i2')
    """
    found = plain_dtype(_dtype3(value, what), what)
    # zarr-python writes structs without an order, and means the machine's.
    if not endian and found.names is None and found.newbyteorder("S") != found:
        raise FormatError(
            f"{what} {dtype_name(value)} has {found.itemsize} bytes, but the codec 'bytes' says no "
            "endian"
        )
    return found.newbyteorder(">" if endian == "big" else "<")


def _dtype3(value: Any, what: str) -> np.dtype[Any]:
    name, config = named(value, what)
    if name in ("struct", "structured"):
        only_keys(config, ("fields",), what)
        return _struct(config.get("fields"), what)
    if name in _BYTES:
        only_keys(config, ("length_bytes",), what)
        (length,) = wholes_at([config.get("length_bytes")], f"{what}: length_bytes", 1)
        unit = 4 if name == "fixed_length_utf32" else 1
        if length % unit or length > MAX_ITEM:
            raise DtypeError(
                f"{what} {name}: length_bytes is {length}, but must be a multiple of {unit} and at "
                f"most {MAX_ITEM}"
            )
        return np.dtype(f"{_BYTES[name]}{length // unit}")
    if name in _TIMES:
        only_keys(config, ("unit", "scale_factor"), what)
        unit_name = config.get("unit")
        (scale,) = wholes_at([config.get("scale_factor", 1)], f"{what}: scale_factor", 1)
        if unit_name not in _UNITS or scale >= 1 << 31:
            raise FormatError(f"{what} {name}: {short(scale)} {short(unit_name)} is no unit")
        unit_name = unit_name.replace("μ", "u")
        return np.dtype(_TIMES[name] + ("" if unit_name == "generic" else f"[{scale}{unit_name}]"))
    only_keys(config, (), what)
    bits = re.fullmatch(r"r([1-9][0-9]{0,7})", name)
    if bits and int(bits[1]) % 8 == 0 and int(bits[1]) <= 8 * MAX_ITEM:
        return np.dtype(f"V{int(bits[1]) // 8}")
    if name not in _CORE:
        raise DtypeError(
            f"{what} {short(name)} cannot be mapped: its elements vary in length, or NumPy lacks it"
        )
    return np.dtype(_CORE[name])


def _struct(fields: Any, what: str) -> np.dtype[Any]:
    described = []
    for place, entry in enumerate(list_at(fields, f"{what}: fields")):
        where = f"{what}: fields[{place}]"
        if isinstance(entry, dict):  # as the extension `struct` has it
            only_keys(entry, ("name", "data_type"), where)
            entry = [entry.get("name"), entry.get("data_type")]
        if len(list_at(entry, where)) != 2:
            raise FormatError(f"{where} is {short(entry)}, not a name and a type")
        described.append((_field_name(entry[0], where), _dtype3(entry[1], where)))
    return _numpy_dtype(described, what)


def _field_name(name: Any, what: str) -> str:
    if not isinstance(name, str) or not name:
        raise FormatError(f"{what}: its name is {short(name)}, not a string")
    return name


def _numpy_dtype(described: Any, what: str) -> np.dtype[Any]:
    try:
        found: np.dtype[Any] = np.dtype(described)
    except (TypeError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        raise FormatError(f"{what} is {short(described)}, no dtype: {str(error)[:80]}") from None
    return found


def parse_dtype2(value: Any, what: str) -> np.dtype[Any]:
    """Return the dtype of a ``dtype`` of version 2: a type string, or a list of fields.

    Raises
    ------
    DtypeError
        A type that cannot lie in a file, such as Python objects.
    FormatError
        No type; or one of several bytes whose order is not said.

    Examples
    --------
    >>> parse_dtype2([["a", "<i4"], ["b", ">f8", [2]]], ".zarray: dtype")
    dtype([('a', '<i4'), ('b', '>f8', (2,))])
    """
    return plain_dtype(_dtype2(value, what), what)


def _dtype2(value: Any, what: str) -> np.dtype[Any]:
    if isinstance(value, list):
        return _numpy_dtype([_field2(entry, what) for entry in value], what)
    if not isinstance(value, str) or not _TYPE2.fullmatch(value):
        raise FormatError(f"{what} is {short(value)}, not a type string such as '<f4'")
    found = _numpy_dtype(value.replace("μ", "u"), what)
    if value[0] == "|" and found.newbyteorder("S") != found:
        raise FormatError(f"{what} is {short(value)}, which does not say the order of its bytes")
    return found


def _field2(entry: Any, what: str) -> tuple[Any, ...]:
    where = f"{what}: the field {short(entry)}"
    if not isinstance(entry, list) or len(entry) not in (2, 3):
        raise FormatError(f"{where} is not a name and a type")
    name, kind = _field_name(entry[0], where), _dtype2(entry[1], where)
    shape = wholes_at(entry[2], where, 1) if len(entry) == 3 else ()
    return (name, kind, shape) if shape else (name, kind)


def fill_bytes(value: Any, dtype: np.dtype[Any], version: int, what: str) -> bytes:
    """Return the bytes of one element that is the fill value.

    Parameters
    ----------
    value : object
        As parsed from JSON.
    dtype : dtype
    version : {2, 3}
        Of the Zarr format: the spellings differ.
    what : str
        File and field, for the messages.

    Raises
    ------
    FormatError
        Not of this dtype, or out of its range.

    Examples
    --------
    >>> fill_bytes("0x7fc00001", np.dtype("<f4"), 3, "zarr.json: fill_value").hex()
    '0100c07f'
    >>> fill_bytes(300, np.dtype("u1"), 3, "zarr.json: fill_value")
    Traceback (most recent call last):
    ...
    oocarray.errors.FormatError: zarr.json: fill_value is 300, but uint8 holds 0 ... 255
    """
    if version == 2 and (value is None or (type(value) is int and value == 0)):
        return bytes(dtype.itemsize)  # "none", and what older writers call zero in any dtype
    if dtype.names is not None:
        return _struct_bytes(value, dtype, version, what)
    order: Any = "big" if dtype.str[0] == ">" else "little"
    if dtype.kind == "b":
        if type(value) is not bool and not (version == 2 and value in (0, 1)):
            raise _refused(value, dtype, what)
        return bytes([value])
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        number = _whole(value, dtype, what)
        if not limits.min <= number <= limits.max:
            raise FormatError(
                f"{what} is {short(number)}, but {dtype.name} holds {limits.min} ... {limits.max}"
            )
        return number.to_bytes(dtype.itemsize, order, signed=dtype.kind == "i")
    if dtype.kind in "mM":
        number = _NAT if value == "NaT" else _whole(value, dtype, what)
        if not _NAT <= number < -_NAT:
            raise _refused(value, dtype, what)
        return number.to_bytes(8, order, signed=True)
    if dtype.kind == "f":
        return _float_bytes(value, dtype, version, what)
    if dtype.kind == "c":
        if not isinstance(value, list) or len(value) != 2:
            raise FormatError(f"{what} is {short(value)}, not a pair of numbers")
        part = np.dtype(f"{dtype.str[0]}f{dtype.itemsize // 2}")
        return b"".join(_float_bytes(number, part, version, what) for number in value)
    if dtype.kind == "U":
        if not isinstance(value, str) or len(value) > dtype.itemsize // 4:
            raise _refused(value, dtype, what)
        return np.array(value, dtype).tobytes()
    return _raw_bytes(value, dtype, what)


def _refused(value: Any, dtype: np.dtype[Any], what: str) -> FormatError:
    return FormatError(f"{what} is {short(value)}, which is no value of {dtype}")


def _whole(value: Any, dtype: np.dtype[Any], what: str) -> int:
    """An int; also 4.0, which some writers make of 4."""
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is not int:
        raise _refused(value, dtype, what)
    return value


def _float_bytes(value: Any, dtype: np.dtype[Any], version: int, what: str) -> bytes:
    if isinstance(value, str):
        if value in _FLOATS:
            return np.array(_FLOATS[value], dtype).tobytes()
        bits = re.fullmatch(r"0x([0-9a-fA-F]+)", value) if version == 3 else None
        if bits is None or len(bits[1]) != 2 * dtype.itemsize:
            raise _refused(value, dtype, what)
        big = bytes.fromhex(bits[1])
        return big if dtype.str[0] == ">" else big[::-1]
    if type(value) not in (int, float):
        raise _refused(value, dtype, what)
    try:
        with np.errstate(over="ignore"):
            found = np.array(float(value), dtype)
    except OverflowError:
        found = np.array(math.inf, dtype)
    if not np.isfinite(found):  # infinities are strings
        raise FormatError(f"{what} is {short(value)}, but {dtype.name} does not reach so far")
    return found.tobytes()


def _raw_bytes(value: Any, dtype: np.dtype[Any], what: str) -> bytes:
    """Bytes in base64 or, of raw bits, as a list of numbers; those of `S` may be fewer."""
    if isinstance(value, list) and dtype.kind == "V":
        numbers = wholes_at(value, what)
        if any(number > 255 for number in numbers):
            raise _refused(value, dtype, what)
        data = bytes(numbers)
    elif isinstance(value, str):
        try:
            data = base64.b64decode(value.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise FormatError(f"{what} is {short(value)}, not bytes in base64") from None
    else:
        raise _refused(value, dtype, what)
    if len(data) > dtype.itemsize or (dtype.kind == "V" and len(data) < dtype.itemsize):
        raise FormatError(f"{what} has {len(data)} bytes, but {dtype} has {dtype.itemsize}")
    return data.ljust(dtype.itemsize, b"\0")


def _struct_bytes(value: Any, dtype: np.dtype[Any], version: int, what: str) -> bytes:
    """All fields' bytes in base64, or a value for each field."""
    if not isinstance(value, dict):
        return _raw_bytes(value, np.dtype(f"V{dtype.itemsize}"), what)
    assert dtype.names is not None
    if set(value) != set(dtype.names):
        raise FormatError(f"{what} has the fields {short(sorted(value))}, not {dtype.names}")
    return b"".join(
        fill_bytes(value[name], dtype[name], version, f"{what}.{name}") for name in dtype.names
    )
