"""Opening what is on disk as layouts; maps nothing, locks nothing and never changes a file."""

from __future__ import annotations

import errno
import math
import os
import stat
import warnings
from collections.abc import Iterable
from typing import Any

from oocarray.errors import FormatError, NotRegularFileError, TruncatedFileError
from oocarray.storage.dtypes import plain_dtype, plain_shape
from oocarray.storage.layout import FileKey, Strided
from oocarray.storage.npy import MAX_HEADER, parse_header
from oocarray.storage.strides import dense_strides
from oocarray.units import format_bytes

__all__ = ["PathLike", "open_npy", "open_raw", "open_regular"]

PathLike = str | os.PathLike[str]

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}

_warned_trailing: set[FileKey] = set()


def open_regular(path: PathLike, writable: bool = False) -> int:
    """Open an existing regular file (links followed) and return its descriptor.

    Raises
    ------
    NotRegularFileError
        A directory, pipe, device or socket; a pipe does not block.
    OSError
        As ``os.open``: missing, no permission, read-only file system.
    """
    # O_NONBLOCK: opening a pipe must not wait for its other end; regular files ignore it.
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        fd = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ENXIO, errno.ENODEV):
            _require_regular(os.stat(path), path)
        raise
    try:
        _require_regular(os.fstat(fd), path)
    except NotRegularFileError:
        os.close(fd)
        raise
    return fd


def _require_regular(found: os.stat_result, path: PathLike) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        what = _KINDS.get(kind, "no regular file")
        raise NotRegularFileError(f"{os.fspath(path)} is {what}; only regular files can be mapped")


def open_npy(path: PathLike, mode: str = "r", *, max_header: int = MAX_HEADER) -> Strided:
    """Return the layout of an .npy file's array.

    Parameters
    ----------
    path : path-like
        An .npy file of version 1.0, 2.0 or 3.0.
    mode : {"r", "r+"}
        With ``"r+"`` the file must be writable; it is not written here.
    max_header : int
        Most bytes that the header may have.

    Raises
    ------
    FormatError, TruncatedFileError, DtypeError, NotRegularFileError, OSError
        The file is left as it was.

    Warns
    -----
    UserWarning
        Once per file: it is longer than its header says.
    """
    fd = open_regular(path, _writable(mode))
    try:
        name = os.path.abspath(path)
        header = parse_header(fd, os.fstat(fd).st_size, path=name, max_header=max_header)
        # Behind the header: rows may have been appended since the size was asked for.
        key = FileKey.of(fd, name).with_header(os.pread(fd, header.data_offset, 0))
    finally:
        os.close(fd)
    if header.trailing and key not in _warned_trailing:
        _warned_trailing.add(key)
        needed = header.data_offset + header.nbytes
        warnings.warn(
            f"{key.path} has {format_bytes(key.size)} ({key.size}), but its header describes "
            f"{format_bytes(needed)} ({needed}); the rest is never read nor written",
            stacklevel=3,
        )
    strides = dense_strides(header.shape, header.dtype.itemsize, "F" if header.fortran else "C")
    return Strided(key, header.data_offset, header.shape, header.dtype, strides)


def open_raw(
    path: PathLike,
    shape: int | Iterable[int],
    dtype: Any,
    offset: int = 0,
    order: str = "C",
    mode: str = "r",
) -> Strided:
    """Return the layout of an array of plain elements inside any file.

    Parameters
    ----------
    path : path-like
        The file; bytes before and after the array are left alone.
    shape : int or sequence of int
        One extent may be -1: as many as the file holds.
    dtype : dtype-like
        Dtype of the elements.
    offset : int
        Byte of the first element.
    order : {"C", "F"}
        Which axis is fastest: the last or the first.
    mode : {"r", "r+"}
        With ``"r+"`` the file must be writable; it is not written here.

    Raises
    ------
    TruncatedFileError
        The file is shorter than the array.
    FormatError
        -1 was given, but what follows `offset` is not a whole number of pieces.
    ValueError, DtypeError, NotRegularFileError, OSError
        A bad shape, offset or mode; a dtype or file that cannot be mapped.
    """
    found = plain_dtype(dtype)
    if offset < 0:
        raise ValueError(f"offset must be at least 0, not {offset}")
    fd = open_regular(path, _writable(mode))
    try:
        key = FileKey.of(fd, os.fspath(path))
    finally:
        os.close(fd)
    given = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    extents = plain_shape(_fill(given, found.itemsize, offset, key), found.itemsize)
    needed = offset + math.prod(extents) * found.itemsize
    if needed > key.size:
        raise TruncatedFileError(
            f"{key.path}: shape {extents} of {found} from byte {offset} needs "
            f"{format_bytes(needed)} ({needed}), but the file has {format_bytes(key.size)} "
            f"({key.size}); change shape=, dtype= or offset="
        )
    return Strided(key, offset, extents, found, dense_strides(extents, found.itemsize, order))


def _fill(shape: tuple[int, ...], itemsize: int, offset: int, key: FileKey) -> tuple[int, ...]:
    """Replace the one -1 by what the file holds."""
    if -1 not in shape:
        return shape
    piece = math.prod(extent for extent in shape if extent != -1) * itemsize
    if shape.count(-1) > 1 or piece <= 0:
        raise ValueError(f"shape {shape} may have one -1, beside extents of at least 1")
    rest = key.size - offset
    if rest < 0:
        raise TruncatedFileError(
            f"{key.path}: offset {offset} is beyond the end of the file's "
            f"{format_bytes(key.size)} ({key.size})"
        )
    if rest % piece:
        raise FormatError(
            f"{key.path}: the {rest} bytes from byte {offset} on are not a whole number of pieces "
            f"of {piece} bytes; give the extent in shape= instead of -1"
        )
    return tuple(rest // piece if extent == -1 else extent for extent in shape)


def _writable(mode: str) -> bool:
    if mode not in ("r", "r+"):
        raise ValueError(f"mode is 'r' or 'r+', not {mode!r}")
    return mode == "r+"
