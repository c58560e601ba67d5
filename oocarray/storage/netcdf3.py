"""The header of a NetCDF classic file, read without trust; it needs no library, and writes none.

A file is a header and then the variables, all big-endian::

    header   = "CDF" version numrecs dims attrs vars       version 1, 2 or 5
    dims     = ABSENT | 10 count (name length) ...         length 0: the record dimension
    attrs    = ABSENT | 12 count (name type count values) ...
    vars     = ABSENT | 11 count (name ndims dimid ... attrs type vsize begin) ...
    ABSENT   = 0 0;  name = count bytes, padded to 4

Counts and lengths have 4 bytes (8 in version 5), offsets 4 (8 in versions 2 and 5).  A variable
without the record dimension is one run from `begin`.  The others are interleaved: a record holds
one row of each, padded to 4 bytes, unless there is only one.  So each of them is strided by the
size of a record.  `vsize` says what can be computed, is known to overflow, and is not used.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oocarray.errors import FormatError, TruncatedFileError
from oocarray.storage.dtypes import plain_shape
from oocarray.storage.filekey import FileKey
from oocarray.storage.files import PathLike, open_regular
from oocarray.storage.layout import Strided
from oocarray.storage.listing import Entry
from oocarray.storage.opened import Opened
from oocarray.storage.strides import dense_strides
from oocarray.units import format_bytes

__all__ = ["ClassicHeader", "list_netcdf3", "netcdf3_attributes", "open_netcdf3", "parse_classic"]

MAX_HEADER = 16 << 20
_AHEAD = 64 << 10  # bytes read at a time: nearly all headers are shorter
_VERSIONS = {1: "NetCDF classic", 2: "NetCDF 64-bit offset", 5: "NetCDF 64-bit data"}
_TYPES = dict(
    enumerate(("i1", "S1", ">i2", ">i4", ">f4", ">f8", "u1", ">u2", ">u4", ">i8", ">u8"), start=1)
)
_DIMS, _VARS, _ATTRS = 10, 11, 12


@dataclass(frozen=True, slots=True)
class Variable:
    """One array of the file."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    begin: int
    """Byte of the first element."""
    record: bool
    """Its first axis is the record dimension."""
    attrs: dict[str, Any]

    @property
    def slab(self) -> int:
        """Bytes of it that lie together: all, or those of one record."""
        return math.prod(self.shape[self.record :]) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class ClassicHeader:
    """What the file says of itself, checked to be possible."""

    version: int
    variables: dict[str, Variable]
    record_bytes: int
    """From a row of a record variable to the next."""
    attrs: dict[str, Any]
    """Of the file as a whole."""
    length: int
    """Bytes of the header."""


def list_netcdf3(path: PathLike) -> dict[str, Entry]:
    """Return all variables of a file; see `open_netcdf3`."""
    header, _ = _read(path, False)
    return {name: (v.shape, v.dtype, v.dims) for name, v in header.variables.items()}


def netcdf3_attributes(path: PathLike, group: str = "") -> dict[str, Any]:
    """Return what a file says of itself; there are no groups, and nothing is said of them."""
    return {} if group else _read(path, False)[0].attrs


def open_netcdf3(path: PathLike, dataset: str, writable: bool = False) -> Opened:
    """Return where a variable lies, and what the file says of it.

    Parameters
    ----------
    path : path-like
        A NetCDF file of the classic formats: CDF-1, CDF-2 or CDF-5.
    dataset : str
        Name of the variable.
    writable : bool
        Whether its elements will be changed in place.

    Raises
    ------
    FormatError
        The header is not NetCDF, with the byte where that shows; there is no such variable.
    TruncatedFileError
        The file ends inside its header, or inside the variable.
    NotRegularFileError, OSError
        As :func:`open_regular`.
    """
    header, key = _read(path, writable)
    if dataset not in header.variables:
        raise FormatError(f"{key.path} has no variable {dataset!r}")
    found = header.variables[dataset]
    strides = dense_strides(found.shape, found.dtype.itemsize, "C")
    if found.record:
        strides = (header.record_bytes, *strides[1:])
    offset = header.length if 0 in found.shape else found.begin
    place = Strided(key, offset, found.shape, found.dtype, strides)
    end = place.span()[1]
    if end > key.size:
        raise TruncatedFileError(
            f"{key.path}: variable {dataset!r}, shape {found.shape} of {found.dtype} from byte "
            f"{offset}, needs {format_bytes(end)} ({end}), but the file has "
            f"{format_bytes(key.size)} ({key.size})"
        )
    kind = _VERSIONS[header.version] + (", records" if found.record else "")
    return Opened(place, kind, found.dims, found.attrs)


def _read(path: PathLike, writable: bool) -> tuple[ClassicHeader, FileKey]:
    fd = open_regular(path, writable)
    try:
        key = FileKey.of(fd, os.fspath(path))
        header = parse_classic(fd, key.size, key.path)
        return header, key.with_header(os.pread(fd, header.length, 0))
    finally:
        os.close(fd)


def parse_classic(fd: int, size: int, path: str = "file") -> ClassicHeader:
    """Read and check the header of a file of `size` bytes.

    Parameters
    ----------
    fd : int
        Descriptor of the file; its position is neither used nor moved.
    size : int
        Bytes in the file.
    path : str
        Name for the messages.

    Raises
    ------
    FormatError, TruncatedFileError
        With the byte where the header is wrong.
    """
    reader = _Reader(fd, size, path)
    magic = reader.take(4)
    if magic[:3] != b"CDF" or magic[3] not in _VERSIONS:
        raise reader.wrong(0, f"{magic!r} is not 'CDF' and version 1, 2 or 5")
    reader.version = magic[3]
    records = reader.integer(reader.wide)
    dims = _dimensions(reader)
    attrs = _attributes(reader)
    raw = _variables(reader, dims)
    return _placed(reader, raw, attrs, records)


class _Reader:
    """The bytes of a header, one after the other; no count is believed that they cannot hold."""

    def __init__(self, fd: int, size: int, path: str) -> None:
        self.fd, self.size, self.path = fd, size, path
        self.at = 0
        self.version = 1
        self._bytes = bytearray()

    @property
    def wide(self) -> int:
        """Bytes of a count."""
        return 8 if self.version == 5 else 4

    def wrong(self, at: int, what: str) -> FormatError:
        return FormatError(f"{self.path}: the NetCDF header at byte {at}: {what}")

    def take(self, count: int) -> bytes:
        stop = self.at + count
        if stop > self.size:
            raise TruncatedFileError(
                f"{self.path}: the NetCDF header at byte {self.at} needs {count} bytes more, but "
                f"the file has {format_bytes(self.size)} ({self.size})"
            )
        if stop > MAX_HEADER:
            raise self.wrong(self.at, f"it is longer than {MAX_HEADER} bytes")
        while stop > len(self._bytes):
            more = os.pread(self.fd, max(_AHEAD, stop - len(self._bytes)), len(self._bytes))
            if not more:
                raise TruncatedFileError(f"{self.path} shrank while its header was read")
            self._bytes += more
        taken = bytes(self._bytes[self.at : stop])
        self.at = stop
        return taken

    def integer(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def count(self, each: int, what: str) -> int:
        """A number of things of at least `each` bytes that follow."""
        at = self.at
        found = self.integer(self.wide)
        rest = min(self.size, MAX_HEADER) - self.at
        if found * each > rest:
            raise self.wrong(at, f"{found} {what} do not fit into the {rest} bytes that follow")
        return found

    def items(self, tag: int, each: int, what: str) -> int:
        """How many elements a list has."""
        at = self.at
        found = self.integer(4)
        count = self.count(each, what)
        if found != tag and (found, count) != (0, 0):
            raise self.wrong(at, f"tag {found} where a list of {what} begins with {tag}")
        return count

    def padded(self, count: int) -> bytes:
        taken = self.take(count)
        self.take(-count % 4)
        return taken

    def name(self) -> str:
        at = self.at
        raw = self.padded(self.count(1, "bytes of a name"))
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            raise self.wrong(at, "a name is not UTF-8") from None
        if not name or "\0" in name or "/" in name:
            raise self.wrong(at, f"{name!r} is not a name")
        return name

    def dtype(self) -> np.dtype[Any]:
        at = self.at
        code = self.integer(4)
        if code not in _TYPES or (code > 6 and self.version != 5):
            raise self.wrong(at, f"no type {code} in version {self.version}")
        return np.dtype(_TYPES[code])


def _dimensions(reader: _Reader) -> list[tuple[str, int]]:
    """Names and lengths; 0 is the record dimension, of which there is one at most."""
    found: dict[str, int] = {}
    for _ in range(reader.items(_DIMS, 2 * reader.wide, "dimensions")):
        at = reader.at
        name = reader.name()
        length = reader.integer(reader.wide)
        if name in found:
            raise reader.wrong(at, f"two dimensions are named {name!r}")
        if length == 0 and 0 in found.values():
            raise reader.wrong(at, f"{name!r} is a second record dimension")
        found[name] = length
    return list(found.items())


def _attributes(reader: _Reader) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(reader.items(_ATTRS, 4 + 2 * reader.wide, "attributes")):
        name = reader.name()
        dtype = reader.dtype()
        count = reader.count(dtype.itemsize, "values of an attribute")
        raw = reader.padded(count * dtype.itemsize)
        values = np.frombuffer(raw, dtype).tolist() if dtype.kind != "S" else []
        text = raw.rstrip(b"\0").decode("utf-8", "replace")
        found[name] = text if dtype.kind == "S" else values[0] if count == 1 else values
    return found


def _variables(reader: _Reader, dims: list[tuple[str, int]]) -> list[Variable]:
    found: dict[str, Variable] = {}
    offset_bytes = 4 if reader.version == 1 else 8
    least = 3 * reader.wide + 8 + reader.wide + offset_bytes
    for _ in range(reader.items(_VARS, least, "variables")):
        at = reader.at
        name = reader.name()
        count = reader.count(reader.wide, "dimensions of a variable")
        ids = [reader.integer(reader.wide) for _ in range(count)]
        if any(dim >= len(dims) for dim in ids):
            raise reader.wrong(at, f"{name!r} has dimension {max(ids)} of {len(dims)}")
        attrs = _attributes(reader)
        dtype = reader.dtype()
        reader.take(reader.wide)
        begin = reader.integer(offset_bytes)
        own = [dims[dim] for dim in ids]
        record = bool(own) and own[0][1] == 0
        if name in found or any(length == 0 for _, length in own[1:]):
            problem = "is there twice" if name in found else "has records not as its first axis"
            raise reader.wrong(at, f"variable {name!r} {problem}")
        if begin >= 1 << (8 * offset_bytes - 1):
            raise reader.wrong(at, f"variable {name!r} begins before the file does")
        shape = tuple(length for _, length in own)
        found[name] = Variable(
            name, tuple(dim for dim, _ in own), shape, dtype, begin, record, attrs
        )
    return list(found.values())


def _placed(
    reader: _Reader, raw: list[Variable], attrs: dict[str, Any], records: int
) -> ClassicHeader:
    """Say how many records there are, and make sure that no two variables share a byte."""
    rows = [v for v in raw if v.record]
    padded = sum(-(-v.slab // 4) * 4 for v in rows)
    record_bytes = rows[0].slab if len(rows) == 1 else padded
    first = min((v.begin for v in rows), default=0)
    if records == (1 << 8 * reader.wide) - 1:
        # A writer that did not know it: as many as there are.
        records = max(reader.size - first, 0) // record_bytes if record_bytes else 0
    variables = {}
    for v in raw:
        shape = (records, *v.shape[1:]) if v.record else v.shape
        try:
            plain_shape(shape, v.dtype.itemsize, f"variable {v.name!r}: shape")
        except ValueError as error:
            raise reader.wrong(reader.at, str(error)) from None
        variables[v.name] = replace(v, shape=shape)
    _disjoint(reader, raw, (first, record_bytes, records))
    return ClassicHeader(reader.version, variables, record_bytes, attrs, reader.at)


def _disjoint(reader: _Reader, raw: list[Variable], rows: tuple[int, int, int]) -> None:
    """Refuse variables that share bytes: to change one in place would change the other."""
    first, step, records = rows
    end, name = reader.at, "the header"
    for v in sorted((v for v in raw if v.slab), key=lambda v: v.begin):
        if v.begin < end:
            raise reader.wrong(
                reader.at,
                f"variable {v.name!r} at byte {v.begin} begins before {name} ends at {end}",
            )
        end, name = v.begin + v.slab, repr(v.name)
        if v.record and end > first + step:
            raise reader.wrong(reader.at, f"{name} is not in a record of {step} bytes at {first}")
        if not v.record and first <= v.begin < first + step * records:
            raise reader.wrong(reader.at, f"variable {name} at byte {v.begin} is among the records")
