"""Tensors of a safetensors file as layouts, its header read without trust; it converts none.

A file is the length of the header (8 bytes, little-endian), the header (a JSON object) and the
tensors, one behind the other without a gap.  The header says of each tensor its ``dtype``, its
``shape`` and ``data_offsets``: where it begins and ends, counted from the end of the header.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from oocarray.errors import DtypeError, FormatError, TruncatedFileError
from oocarray.storage.dtypes import plain_shape
from oocarray.storage.filekey import FileKey
from oocarray.storage.files import PathLike, open_regular
from oocarray.storage.layout import Strided
from oocarray.storage.listing import Entry
from oocarray.storage.opened import Opened
from oocarray.storage.strides import dense_strides
from oocarray.units import format_bytes

__all__ = ["MAX_HEADER", "list_safetensors", "open_safetensors"]

MAX_HEADER = 100_000_000  # what the format's own library allows
_TYPES = {"BOOL": "?", "U8": "u1", "I8": "i1", "C64": "<c8"} | {
    f"{letter}{bits}": f"<{letter.lower()}{bits // 8}" for letter in "UIF" for bits in (16, 32, 64)
}
_BITS = {"BF16": 16, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4} | dict.fromkeys(
    ("F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ"), 8
)
"""Types that NumPy has not."""
_METADATA = "__metadata__"


@dataclass(frozen=True, slots=True)
class _Tensor:
    code: str
    shape: tuple[int, ...]
    begin: int
    """From the end of the header."""
    end: int


def list_safetensors(path: PathLike) -> dict[str, Entry]:
    """Return all tensors of a file; those of a type that NumPy lacks appear as bytes (``"V2"``).

    Raises
    ------
    FormatError, TruncatedFileError, NotRegularFileError, OSError
        As :func:`open_safetensors`.
    """
    tensors, _, _, _ = _read(path, False)
    listed: dict[str, Entry] = {}
    for name, tensor in tensors.items():
        kind = _TYPES.get(tensor.code) or f"V{max(_BITS[tensor.code] // 8, 1)}"
        listed[name] = tensor.shape, np.dtype(kind), None
    return listed


def open_safetensors(path: PathLike, dataset: str, writable: bool = False) -> Opened:
    """Return where a tensor lies, and what the file says of itself.

    Parameters
    ----------
    path : path-like
        A safetensors file.
    dataset : str
        Name of the tensor.
    writable : bool
        Whether its elements will be changed in place.

    Raises
    ------
    FormatError, TruncatedFileError
        The header is wrong, or does not fit the file; there is no such tensor.
    DtypeError
        A type that NumPy lacks: BF16, F8.
    NotRegularFileError, OSError
        As :func:`open_regular`.
    """
    tensors, attrs, start, key = _read(path, writable)
    if dataset not in tensors:
        raise FormatError(f"{key.path} has no tensor {dataset!r}")
    found = tensors[dataset]
    if found.code not in _TYPES:
        raise DtypeError(
            f"{key.path}: tensor {dataset!r} is of type {found.code}, which NumPy lacks; save it "
            "as F32 or F16"
        )
    dtype = np.dtype(_TYPES[found.code])
    strides = dense_strides(found.shape, dtype.itemsize, "C")
    place = Strided(key, start + found.begin, found.shape, dtype, strides)
    return Opened(place, "safetensors", None, attrs)


def _read(
    path: PathLike, writable: bool
) -> tuple[dict[str, _Tensor], dict[str, Any], int, FileKey]:
    """Return tensors, attributes, the byte where the tensors begin, and the file."""
    fd = open_regular(path, writable)
    try:
        key = FileKey.of(fd, os.fspath(path))
        length = int.from_bytes(os.pread(fd, 8, 0), "little")
        if key.size < 8 or length > MAX_HEADER or 8 + length > key.size:
            kind = FormatError if length > MAX_HEADER else TruncatedFileError
            raise kind(
                f"{key.path}: a safetensors header of {format_bytes(length)} ({length}), at most "
                f"{format_bytes(MAX_HEADER)}, in a file of {format_bytes(key.size)} ({key.size})"
            )
        raw = bytearray()
        while len(raw) < length:
            more = os.pread(fd, length - len(raw), 8 + len(raw))
            if not more:
                raise TruncatedFileError(f"{key.path} shrank while its header was read")
            raw += more
        key = key.with_header(length.to_bytes(8, "little") + bytes(raw))
    finally:
        os.close(fd)
    header = _json(bytes(raw), key.path)
    notes = header.pop(_METADATA, {})
    if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
        raise FormatError(f"{key.path}: {_METADATA} is not an object of strings")
    tensors = {name: _tensor(name, told, key.path) for name, told in header.items()}
    _check_cover(tensors, key.size - 8 - length, key.path)
    return tensors, notes, 8 + length, key


def _json(raw: bytes, path: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise FormatError(f"{path}: the safetensors header has a name twice")
        return found

    try:
        found = json.loads(raw.decode(), object_pairs_hook=once)
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: the safetensors header is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise FormatError(f"{path}: the safetensors header is no JSON object")
    return found


def _tensor(name: str, told: Any, path: str) -> _Tensor:
    where = f"{path}: tensor {name!r}"
    if not isinstance(told, dict) or set(told) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"{where} is not described by dtype, shape and data_offsets")
    code, shape, offsets = told["dtype"], told["shape"], told["data_offsets"]
    if not isinstance(code, str) or (code not in _TYPES and code not in _BITS):
        raise FormatError(f"{where}: no type {str(code)[:50]!r}")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        raise FormatError(f"{where}: shape and data_offsets are not lists of numbers")
    bits = _BITS.get(code) or np.dtype(_TYPES[code]).itemsize * 8
    try:
        extents = plain_shape(shape, -(-bits // 8), "shape")
    except ValueError as error:
        raise FormatError(f"{where}: {error}") from None
    begin, end = offsets
    needed = math.prod(extents) * bits
    if (end - begin) * 8 != needed:
        raise FormatError(
            f"{where}: shape {extents} of {code} needs {-(-needed // 8)} bytes, but data_offsets "
            f"{offsets} are {end - begin} apart"
        )
    return _Tensor(code, extents, begin, end)


def _counts(given: Any) -> bool:
    return isinstance(given, list) and all(type(item) is int and item >= 0 for item in given)


def _check_cover(tensors: dict[str, _Tensor], room: int, path: str) -> None:
    """The tensors fill the rest of the file: each begins where the one before it ends."""
    at = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != at:
            raise FormatError(
                f"{path}: tensor {name!r} begins at {tensor.begin} of the data, but those before "
                f"it end at {at}: they {'overlap' if tensor.begin < at else 'leave a hole'}"
            )
        at = tensor.end
    if at > room:
        raise TruncatedFileError(
            f"{path}: the tensors need {format_bytes(at)} ({at}) behind the header, but the file "
            f"has {format_bytes(room)} ({room})"
        )
    if at < room:
        raise FormatError(f"{path}: {room - at} bytes behind the last tensor belong to none")
