"""The header of an .npy file, read without trust and written page-long; never extends a file.

An .npy file is 6 bytes of magic, a version (two bytes: 1.0, 2.0 or 3.0), the length of the
header (two bytes in 1.0, else four; little-endian) and the header: a Python literal, in
Latin-1 or, in 3.0, UTF-8::

    {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }

then spaces and a newline, then the elements.  Ours end on a 4096-byte boundary, so that the
first element begins a page.

The reader takes nothing for granted: lengths are compared with the file's size before
anything is allocated, the literal is capped, and its keys and types must be exactly these.
"""

from __future__ import annotations

import ast
import math
import os
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from oocarray.errors import DtypeError, FormatError, TruncatedFileError
from oocarray.storage.dtypes import plain_dtype, plain_shape
from oocarray.units import format_bytes

__all__ = ["HEADER_BYTES", "MAGIC", "MAX_HEADER", "NpyHeader", "build_header", "parse_header"]

MAGIC = b"\x93NUMPY"
HEADER_BYTES = 4096
MAX_HEADER = 10_000  # NumPy's cap too: a longer literal can exhaust the parser's stack

_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
_MAX_NESTING = 64
_TYPE = re.compile(r"[<>=|]?(\?|[biufcSUVO][0-9]{0,10}|[mM]8(\[[A-Za-z0-9/]{1,24}\])?)")


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """What an .npy file says of itself, checked against the file's size."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    data_offset: int
    """Byte of the first element."""
    version: tuple[int, int]
    trailing: int
    """Bytes in the file after the last element."""

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def parse_header(
    fd: int, size: int, *, path: str = "file", max_header: int = MAX_HEADER
) -> NpyHeader:
    """Read and check the header of an .npy file of `size` bytes.

    Parameters
    ----------
    fd : int
        Descriptor of the file; its position is neither used nor moved.
    size : int
        Bytes in the file, when it was asked; it may have grown since.
    path : str
        Name for the messages.
    max_header : int
        Most bytes that the literal may have, padding included.

    Raises
    ------
    FormatError
        The bytes are not an .npy header of version 1.0, 2.0 or 3.0.
    TruncatedFileError
        The header promises more elements than the file holds.
    DtypeError
        The dtype cannot be mapped.
    """
    version, start = _read_preamble(fd, size, path)
    length = int.from_bytes(_pread(fd, start - 8, 8, path), "little")
    if start + length > size:
        raise FormatError(
            f"{path}: the header at byte {start} claims {format_bytes(length)} ({length}), "
            f"but the file has {format_bytes(size)} ({size})"
        )
    if length > max_header:
        raise FormatError(
            f"{path}: the header at byte {start} has {length} bytes, more than the {max_header} "
            "that are read without trust; pass max_header= to allow it"
        )
    raw = _pread(fd, length, start, path)
    descr, fortran, shape_given = _parse_literal(raw, version, f"{path}: the header at byte 8")
    dtype = _parse_descr(descr, path)
    shape = _parse_shape(shape_given, dtype.itemsize, path)
    data, nbytes = start + length, math.prod(shape) * dtype.itemsize
    if data + nbytes > size:
        # Rows are in the file before the header counts them: a size asked after it has them.
        size = max(size, os.fstat(fd).st_size)
    if data + nbytes > size:
        raise TruncatedFileError(
            f"{path}: shape {shape} of {dtype} needs {format_bytes(data + nbytes)} "
            f"({data + nbytes}), but the file has {format_bytes(size)} ({size})"
        )
    return NpyHeader(shape, dtype, fortran, data, version, size - data - nbytes)


def build_header(
    shape: tuple[int, ...], dtype: Any, fortran: bool = False, size: int = HEADER_BYTES
) -> bytes:
    """Return everything that comes before the elements, padded to a multiple of `size` bytes.

    A literal of more than 10,000 bytes (structs of many fields) is built too, but
    ``numpy.load`` then asks for its ``max_header_size``.

    Raises
    ------
    DtypeError
        A dtype that cannot be mapped, or whose fields overlap.

    Examples
    --------
    >>> header = build_header((3, 4), "<f8")
    >>> len(header), header[10:68]
    (4096, b"{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), ")
    """
    found = plain_dtype(dtype)
    extents = plain_shape(shape, found.itemsize)
    try:
        descr = np.lib.format.dtype_to_descr(found)
        rebuilt = np.lib.format.descr_to_dtype(descr)
    except ValueError:
        rebuilt = None
    if rebuilt is None or rebuilt.itemsize != found.itemsize:
        raise DtypeError(f"dtype {found} has fields that an .npy header cannot describe")
    fields = {"descr": descr, "fortran_order": bool(fortran), "shape": extents}
    text = "{" + "".join(f"{key!r}: {value!r}, " for key, value in fields.items()) + "}"
    version = (1, 0)
    try:
        literal = text.encode("latin-1")
    except UnicodeEncodeError:
        version, literal = (3, 0), text.encode()
    total = _padded(len(literal) + 9 + _LENGTH_BYTES[version], size)
    if version == (1, 0) and total - 10 > 0xFFFF:
        version = (2, 0)
        total = _padded(len(literal) + 13, size)
    width = _LENGTH_BYTES[version]
    length = total - 8 - width
    head = MAGIC + bytes(version) + length.to_bytes(width, "little")
    return head + literal.ljust(length - 1) + b"\n"


def _padded(needed: int, size: int) -> int:
    return -(-needed // size) * size


def _pread(fd: int, count: int, at: int, path: str) -> bytes:
    """Read exactly `count` bytes; the caller has checked that the file has them."""
    pieces = []
    while count > 0:
        piece = os.pread(fd, count, at)
        if not piece:
            raise TruncatedFileError(f"{path}: no byte at {at}: the file shrank while it was read")
        pieces.append(piece)
        count, at = count - len(piece), at + len(piece)
    return b"".join(pieces)


def _read_preamble(fd: int, size: int, path: str) -> tuple[tuple[int, int], int]:
    """Check magic and version; return the version and where the header begins."""
    head = _pread(fd, min(size, 8), 0, path)
    if head[:6] != MAGIC:
        raise FormatError(
            f"{path}: not an .npy file: byte 0 begins {head[:6]!r}, not {MAGIC!r}"
            + ("" if size >= 6 else f"; the file has only {size} bytes")
        )
    version = (head[6], head[7]) if len(head) == 8 else (0, 0)
    if len(head) == 8 and version not in _LENGTH_BYTES:
        raise FormatError(
            f"{path}: .npy version {version[0]}.{version[1]} at byte 6; known are 1.0, 2.0 and 3.0"
        )
    start = 8 + _LENGTH_BYTES.get(version, 4)
    if size < start:
        raise FormatError(
            f"{path}: the file ends at byte {size}, inside the header's first {start}"
        )
    return version, start


def _parse_literal(raw: bytes, version: tuple[int, int], what: str) -> tuple[Any, bool, Any]:
    """Return (descr, fortran_order, shape) of the literal; nothing in it is ever run."""
    if b"\0" in raw:
        raise FormatError(f"{what} contains a NUL byte at {raw.index(0)}")
    try:
        text = raw.decode("utf-8" if version == (3, 0) else "latin-1")
    except UnicodeDecodeError as error:
        raise FormatError(f"{what} is not UTF-8 at {error.start}") from None
    if _nesting(text) > _MAX_NESTING:
        raise FormatError(f"{what} is nested deeper than {_MAX_NESTING}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        if not isinstance(tree, ast.Dict):
            raise FormatError(f"{what} is not a dict literal")
        keys = [ast.literal_eval(key) if key is not None else None for key in tree.keys]
        values = [ast.literal_eval(value) for value in tree.values]
        names = sorted(map(_short, keys))
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{what} is not a Python literal") from None
    if names != ["'descr'", "'fortran_order'", "'shape'"]:
        raise FormatError(
            f"{what} has the keys {', '.join(names)}, not descr, fortran_order and shape once each"
        )
    found = dict(zip(keys, values, strict=True))
    if type(found["fortran_order"]) is not bool:
        raise FormatError(f"{what}: fortran_order is {_short(found['fortran_order'])}, not a bool")
    return found["descr"], found["fortran_order"], found["shape"]


def _short(value: Any) -> str:
    try:
        return repr(value)[:200]
    except ValueError:  # an int of so many digits that Python refuses to write it
        return "(a huge number)"


def _nesting(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[\[({})\]]", text):
        depth += 1 if bracket in "[({" else -1
        deepest = max(deepest, depth)
    return deepest


def _parse_descr(descr: Any, path: str) -> np.dtype[Any]:
    if not _is_descr(descr, top=True):
        raise FormatError(f"{path}: the header's descr {_short(descr)} is not a dtype")
    try:
        dtype = np.lib.format.descr_to_dtype(descr)
    except (ValueError, TypeError, OverflowError, MemoryError):
        raise FormatError(f"{path}: the header's descr {_short(descr)} is not a dtype") from None
    return plain_dtype(dtype, path)


def _is_descr(descr: Any, top: bool = False) -> bool:
    """A type string, a list of fields or, inside fields, (descr, shape)."""
    if isinstance(descr, str):
        return _TYPE.fullmatch(descr) is not None
    if isinstance(descr, tuple) and not top:
        return len(descr) == 2 and _is_descr(descr[0]) and _is_subshape(descr[1])
    return isinstance(descr, list) and bool(descr) and all(map(_is_field, descr))


def _is_field(field: Any) -> bool:
    if not isinstance(field, tuple) or len(field) not in (2, 3):
        return False
    name = field[0]
    titled = isinstance(name, tuple) and len(name) == 2 and all(isinstance(n, str) for n in name)
    if not titled and not isinstance(name, str):
        return False
    return _is_descr(field[1]) and (len(field) == 2 or _is_subshape(field[2]))


def _is_subshape(shape: Any) -> bool:
    extents = shape if isinstance(shape, tuple) else (shape,)
    return all(type(extent) is int and 0 < extent <= 1 << 20 for extent in extents)


def _parse_shape(shape: Any, itemsize: int, path: str) -> tuple[int, ...]:
    if type(shape) is not tuple or any(type(extent) is not int for extent in shape):
        raise FormatError(f"{path}: the header's shape {_short(shape)} is not a tuple of ints")
    try:
        return plain_shape(shape, itemsize)
    except ValueError as error:
        raise FormatError(f"{path}: the header's {error}") from None
