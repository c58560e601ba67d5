"""The document of a Zarr array of version 2, checked field by field; opens no file.

It is ``.zarray``, beside ``.zattrs`` with the attributes.  Fields that the format does not name
are ignored, as it asks for.
"""

from __future__ import annotations

from typing import Any

from oocarray.errors import FormatError
from oocarray.storage.dtypes import MAX_NDIM
from oocarray.storage.filekey import FileKey
from oocarray.storage.zarrjson import list_at, object_at, short, wholes_at
from oocarray.storage.zarrrecord import ZarrArray
from oocarray.storage.zarrtypes import fill_bytes, parse_dtype2

__all__ = ["DIMENSIONS", "check_chunk", "check_rank", "parse_array2", "shape_dims2"]

DIMENSIONS = "_ARRAY_DIMENSIONS"
"""The attribute in which xarray keeps the names of the axes."""


def check_rank(shape: tuple[int, ...], what: str) -> None:
    """Refuse more axes than NumPy has.

    Raises
    ------
    FormatError
    """
    if len(shape) > MAX_NDIM:
        raise FormatError(f"{what} has {len(shape)} axes, but at most {MAX_NDIM} are possible")


def check_chunk(value: Any, shape: tuple[int, ...], what: str) -> tuple[int, ...]:
    """Return the shape of a chunk: as many axes as `shape`, and 1 or more along each.

    A chunk of 0 along an axis without elements, as some writers have it, becomes 1.

    Raises
    ------
    FormatError
    """
    chunk = wholes_at(value, what)
    if len(chunk) != len(shape):
        raise FormatError(f"{what} {short(chunk)} has {len(chunk)} axes, the array {len(shape)}")
    for axis, (extent, step) in enumerate(zip(shape, chunk, strict=True)):
        if step == 0 and extent > 0:
            raise FormatError(f"{what}[{axis}] is 0, but the array has {extent} along this axis")
    return tuple(max(step, 1) for step in chunk)


def shape_dims2(
    found: dict[str, Any], attrs: dict[str, Any], what: str
) -> tuple[tuple[int, ...], tuple[str | None, ...] | None]:
    """Return shape and names of the axes.

    Raises
    ------
    FormatError
    """
    shape = wholes_at(found.get("shape"), f"{what}: shape")
    check_rank(shape, f"{what}: shape")
    names = attrs.get(DIMENSIONS)
    if not isinstance(names, list) or len(names) != len(shape):
        return shape, None  # an attribute like any other: only its readers know what it means
    return shape, tuple(names) if all(isinstance(name, str) for name in names) else None


def parse_array2(
    found: Any, attrs: dict[str, Any], file: FileKey, folder: str, document: bytes
) -> ZarrArray:
    """Return the record of an array.

    Parameters
    ----------
    found : object
        The document, parsed.
    attrs : dict
        The attributes.
    file : FileKey
    folder : str
    document : bytes
        Its bytes, and where they are.

    Raises
    ------
    FormatError, DtypeError
    """
    what = file.path
    found = object_at(found, what)
    if type(found.get("zarr_format")) is not int or found["zarr_format"] != 2:
        raise FormatError(f"{what}: zarr_format is {short(found.get('zarr_format'))}, not 2")
    shape, dims = shape_dims2(found, attrs, what)
    chunk = check_chunk(found.get("chunks"), shape, f"{what}: chunks")
    order = found.get("order")
    if order not in ("C", "F"):
        raise FormatError(f"{what}: order is {short(order)}, not 'C' or 'F'")
    separator = found.get("dimension_separator", ".")
    if separator not in (".", "/"):
        raise FormatError(f"{what}: dimension_separator is {short(separator)}, not '.' or '/'")
    if "fill_value" not in found:
        raise FormatError(f"{what} has no fill_value")
    encoded = _encoded(found, what)
    dtype = parse_dtype2(found.get("dtype"), f"{what}: dtype")
    axes = tuple(range(len(shape)))
    return ZarrArray(
        file=file,
        folder=folder,
        version=2,
        shape=shape,
        chunk=chunk,
        inner=None,
        index_at="",
        index_crc=False,
        dtype=dtype,
        fill=fill_bytes(found["fill_value"], dtype, 2, f"{what}: fill_value"),
        order=axes if order == "C" else axes[::-1],
        separator=separator,
        prefix=False,
        encoded=encoded,
        dims=dims,
        document=document,
    )


def _encoded(found: dict[str, Any], what: str) -> bool:
    compressor, filters = found.get("compressor"), found.get("filters")
    steps = [] if filters is None else list(list_at(filters, f"{what}: filters"))
    if compressor is not None:
        steps.append(compressor)
    for step in steps:
        if not isinstance(step, dict) or not isinstance(step.get("id"), str):
            raise FormatError(f"{what}: the codec {short(step)} has no id")
    return bool(steps)
