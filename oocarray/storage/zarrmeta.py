"""The metadata of a Zarr array, read without trust; opens no chunk and lists no folder.

Version 3 has one document, ``zarr.json``.  What it must say is checked here, and what it may not
say is refused: a field that is not known could change what the others mean.  Codecs that this
package does not do itself are no error: the record says `encoded`, and whoever decodes the
chunks gives the document to zarr-python.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oocarray.errors import FormatError
from oocarray.storage.filekey import FileKey
from oocarray.storage.zarrjson import (
    list_at,
    object_at,
    only_keys,
    parse_json,
    read_document,
    short,
    wholes_at,
)
from oocarray.storage.zarrmeta2 import DIMENSIONS, check_chunk, check_rank, parse_array2
from oocarray.storage.zarrrecord import ZarrArray
from oocarray.storage.zarrtypes import dtype_name, fill_bytes, named, parse_dtype3

__all__ = [
    "ZarrArray",
    "check_fields",
    "dtype3_of",
    "parse_array3",
    "read_attributes",
    "read_zarr",
    "shape_dims3",
]

_REQUIRED = (
    *("zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding"),
    *("fill_value", "codecs"),
)
_OPTIONAL = ("attributes", "storage_transformers", "dimension_names")
_TO_BYTES = ("bytes", "sharding_indexed")
_OF_BYTES = ("blosc", "crc32c", "gzip", "zstd")


def read_zarr(folder: str | os.PathLike[str]) -> tuple[ZarrArray, dict[str, Any]]:
    """Read the metadata of the array in a folder.

    Parameters
    ----------
    folder : path-like
        Has a ``zarr.json`` or, of version 2, a ``.zarray``; where it has both, the first counts.

    Returns
    -------
    tuple of ZarrArray and dict
        The array, and its attributes as JSON has them.

    Raises
    ------
    FormatError
        The metadata is not as the format says, or of a group.
    DtypeError
        Its elements cannot be mapped.
    FileNotFoundError, NotRegularFileError, OSError
    """
    where = os.path.abspath(folder)
    try:
        file, document = read_document(os.path.join(where, "zarr.json"))
    except FileNotFoundError:
        file, document = read_document(os.path.join(where, ".zarray"))
        attrs = read_attributes(where)
        found = parse_json(document, file.path)
        record = parse_array2(found, attrs, file, where, document)
        if record.dims is not None:
            attrs.pop(DIMENSIONS)
        return record, attrs
    found = parse_json(document, file.path)
    record = parse_array3(found, file, where, document)
    return record, dict(found.get("attributes", {}))


def read_attributes(folder: str) -> dict[str, Any]:
    """Return the attributes of a node of version 2; it need not have any.

    Raises
    ------
    FormatError, OSError
    """
    try:
        file, document = read_document(os.path.join(folder, ".zattrs"))
    except FileNotFoundError:
        return {}
    return object_at(parse_json(document, file.path), file.path)


def check_fields(found: Any, node: str, known: Sequence[str], what: str) -> dict[str, Any]:
    """Return a document of version 3 if it is of this kind of node, and has no unknown field.

    Raises
    ------
    FormatError
    """
    fields = object_at(found, what)
    version, kind = fields.get("zarr_format"), fields.get("node_type")
    if type(version) is not int or version != 3:
        raise FormatError(f"{what}: zarr_format is {short(version)}, not 3")
    if kind != node:
        raise FormatError(f"{what}: node_type is {short(kind)}, not {node!r}")
    for name, value in fields.items():
        if name not in known and not (
            isinstance(value, dict) and value.get("must_understand") is False
        ):
            raise FormatError(
                f"{what} has the field {short(name)}, which is not known here and does not say "
                "must_understand: false"
            )
    object_at(fields.get("attributes", {}), f"{what}: attributes")
    return fields


def shape_dims3(
    found: dict[str, Any], what: str
) -> tuple[tuple[int, ...], tuple[str | None, ...] | None]:
    """Return shape and names of the axes.

    Raises
    ------
    FormatError
    """
    shape = wholes_at(found.get("shape"), f"{what}: shape")
    check_rank(shape, f"{what}: shape")
    given = found.get("dimension_names")
    if given is None:
        return shape, None
    names = list_at(given, f"{what}: dimension_names")
    if len(names) != len(shape):
        raise FormatError(
            f"{what}: dimension_names has {len(names)} names, but the shape {len(shape)} axes"
        )
    for name in names:
        if name is not None and not isinstance(name, str):
            raise FormatError(f"{what}: dimension_names has {short(name)}, not a string or null")
    return shape, tuple(names)


def parse_array3(found: Any, file: FileKey, folder: str, document: bytes) -> ZarrArray:
    """Return the record of an array of version 3.

    Parameters
    ----------
    found : object
        The document, parsed.
    file : FileKey
    folder : str
    document : bytes
        Its bytes, and where they are.

    Raises
    ------
    FormatError, DtypeError
    """
    what = file.path
    found = check_fields(found, "array", _REQUIRED + _OPTIONAL, what)
    for name in _REQUIRED:
        if name not in found:
            raise FormatError(f"{what} has no {name}")
    if list_at(found.get("storage_transformers", []), f"{what}: storage_transformers"):
        raise FormatError(f"{what}: storage_transformers is not empty; none is known here")
    shape, dims = shape_dims3(found, what)
    chunk = _chunk_grid(found["chunk_grid"], shape, f"{what}: chunk_grid")
    separator, prefix = _key_encoding(found["chunk_key_encoding"], f"{what}: chunk_key_encoding")
    steps = _codecs(found["codecs"], chunk, f"{what}: codecs")
    kind = dtype_name(found["data_type"])
    dtype = parse_dtype3(found["data_type"], steps.endian, f"{what}: data_type")
    # zarr-python takes no notice of `endian` for its own structs: let it have its way.
    unsure = kind == "structured" and steps.endian == "big"
    dtype = dtype.newbyteorder("<") if unsure else dtype
    return ZarrArray(
        file=file,
        folder=folder,
        version=3,
        shape=shape,
        chunk=chunk,
        inner=steps.inner,
        index_at=steps.index_at,
        index_crc=steps.index_crc,
        dtype=dtype,
        fill=fill_bytes(found["fill_value"], dtype, 3, f"{what}: fill_value"),
        order=steps.order,
        separator=separator,
        prefix=prefix,
        encoded=steps.encoded or unsure,
        dims=dims,
        document=document,
    )


def dtype3_of(found: dict[str, Any], what: str) -> np.dtype[Any]:
    """Return the dtype that a document names, whatever else may be wrong with it.

    Raises
    ------
    DtypeError, FormatError
    """
    ndim = len(wholes_at(found.get("shape"), f"{what}: shape"))
    steps = _codecs(found.get("codecs"), (0,) * ndim, f"{what}: codecs")
    return parse_dtype3(found.get("data_type"), steps.endian, f"{what}: data_type")


def _chunk_grid(value: Any, shape: tuple[int, ...], what: str) -> tuple[int, ...]:
    name, config = named(value, what)
    if name != "regular":
        raise FormatError(f"{what} is {short(name)}, not 'regular'")
    only_keys(config, ("chunk_shape",), what)
    return check_chunk(config.get("chunk_shape"), shape, f"{what}: chunk_shape")


def _key_encoding(value: Any, what: str) -> tuple[str, bool]:
    name, config = named(value, what)
    if name not in ("default", "v2"):
        raise FormatError(f"{what} is {short(name)}, not 'default' or 'v2'")
    only_keys(config, ("separator",), what)
    separator = config.get("separator", "/" if name == "default" else ".")
    if separator not in ("/", "."):
        raise FormatError(f"{what}: separator is {short(separator)}, not '/' or '.'")
    return separator, name == "default"


@dataclass(frozen=True, slots=True)
class _Steps:
    """What a list of codecs does to a chunk, as far as it is understood."""

    order: tuple[int, ...]
    endian: str = "little"
    """ "" where the codec `bytes` says none."""
    inner: tuple[int, ...] | None = None
    index_at: str = ""
    index_crc: bool = False
    encoded: bool = True


def _codecs(value: Any, chunk: tuple[int, ...], what: str) -> _Steps:
    steps = [named(entry, f"{what}[{place}]") for place, entry in enumerate(list_at(value, what))]
    order = axes = tuple(range(len(chunk)))
    at = 0
    while at < len(steps) and steps[at][0] == "transpose":
        turn = _permutation(steps[at][1], len(chunk), f"{what}[{at}]")
        order, at = tuple(order[axis] for axis in turn), at + 1
    name, config = steps[at] if at < len(steps) else ("", {})
    if not name or name in _OF_BYTES:
        raise FormatError(f"{what}: none makes bytes of an array, such as 'bytes'")
    if name not in _TO_BYTES:
        return _Steps(axes)
    rest = [later for later, _ in steps[at + 1 :]]
    wrong = [later for later in rest if later in (*_TO_BYTES, "transpose")]
    if wrong:
        raise FormatError(f"{what} has {wrong[0]!r} behind {name!r}, which makes bytes")
    if name == "bytes":
        return _Steps(order, _endian(config, f"{what}[{at}]"), encoded=bool(rest))
    inside = _shard(config, tuple(chunk[axis] for axis in order), f"{what}[{at}]")
    if order != axes:
        # The chunks of such a shard are numbered along other axes than the array's.
        return _Steps(axes, inside.endian)
    return replace(inside, encoded=inside.encoded or bool(rest))


def _permutation(config: dict[str, Any], ndim: int, what: str) -> tuple[int, ...]:
    only_keys(config, ("order",), what)
    turn = wholes_at(config.get("order"), f"{what}: order")
    if sorted(turn) != list(range(ndim)):
        raise FormatError(f"{what}: order {short(turn)} is not a permutation of {ndim} axes")
    return turn


def _endian(config: dict[str, Any], what: str) -> str:
    only_keys(config, ("endian",), what)
    endian = config.get("endian")
    if endian not in (None, "little", "big"):
        raise FormatError(f"{what}: endian is {short(endian)}, not 'little' or 'big'")
    return endian or ""


def _shard(config: dict[str, Any], shard: tuple[int, ...], what: str) -> _Steps:
    only_keys(config, ("chunk_shape", "codecs", "index_codecs", "index_location"), what)
    inner = wholes_at(config.get("chunk_shape"), f"{what}: chunk_shape", 1)
    if len(inner) != len(shard):
        raise FormatError(f"{what}: chunk_shape has {len(inner)} axes, but the shard {len(shard)}")
    for axis, (whole, part) in enumerate(zip(shard, inner, strict=True)):
        if whole % part:
            raise FormatError(
                f"{what}: chunk_shape[{axis}] is {part}, which does not divide the shard's {whole}"
            )
    steps = _codecs(config.get("codecs"), inner, f"{what}: codecs")
    location = config.get("index_location", "end")
    if location not in ("start", "end"):
        raise FormatError(f"{what}: index_location is {short(location)}, not 'start' or 'end'")
    checked = _index_crc(config.get("index_codecs"), f"{what}: index_codecs")
    if checked is None:
        return _Steps(steps.order, steps.endian, inner)
    if steps.inner is not None:  # shards inside shards
        return _Steps(tuple(range(len(inner))), steps.endian, inner, location, checked)
    return replace(steps, inner=inner, index_at=location, index_crc=checked)


def _index_crc(value: Any, what: str) -> bool | None:
    """Whether an index ends with a checksum; None where it is not plain little-endian numbers."""
    steps = [named(step, f"{what}[{place}]") for place, step in enumerate(list_at(value, what))]
    names = [name for name, _ in steps]
    if names not in (["bytes"], ["bytes", "crc32c"]):
        return None
    return len(names) == 2 if _endian(steps[0][1], what) == "little" else None
