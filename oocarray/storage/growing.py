"""Adds rows to an .npy file: elements first, the header last; it never moves what is there.

The header is rewritten in place, by one write of the bytes that differ.  Until then the file
says what it said before, whatever lies behind its last element; a later `grow` overwrites that.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from oocarray.errors import FormatError
from oocarray.pages import calls
from oocarray.storage.filekey import FileKey
from oocarray.storage.layout import Strided
from oocarray.storage.npy import MAGIC, MAX_HEADER, NpyHeader, build_header, parse_header
from oocarray.storage.room import NO_FALLOCATE, NO_ROOM, free_room, no_room
from oocarray.storage.strides import dense_strides

__all__ = ["check_growable", "grow"]

_PIECE = 8 << 20


def check_growable(layout: Strided, fd: int) -> NpyHeader:
    """Return the header of the file as it is now, if the array is all of it and can have more rows.

    Parameters
    ----------
    layout : Strided
        What the caller has opened; others may have added rows since.
    fd : int

    Raises
    ------
    FormatError
        Raw bytes, Fortran order, no axis, part of a file, or a header that has no room.
    """
    path = layout.file.path
    if os.pread(fd, len(MAGIC), 0) != MAGIC:
        raise FormatError(
            f"{path}: rows are appended to .npy files; a raw file says nowhere how many it has: "
            "write to its end and open it again with shape=(-1, ...)"
        )
    header = parse_header(fd, os.fstat(fd).st_size, path=path, max_header=MAX_HEADER)
    if not header.shape:
        raise FormatError(f"{path}: an array without dimensions has no axis to append along")
    if header.fortran and len(header.shape) > 1:
        raise FormatError(
            f"{path} is in Fortran order: its rows lie apart, and nothing can be appended to them; "
            "store it in C order first"
        )
    strides = dense_strides(header.shape, header.dtype.itemsize, "C")
    if (
        layout.offset != header.data_offset
        or layout.dtype != header.dtype
        or layout.shape[1:] != header.shape[1:]
        or layout.shape[0] > header.shape[0]
        or (layout.size and layout.strides != strides)
    ):
        raise FormatError(
            f"{path} holds shape {header.shape} of {header.dtype}, and this array is shape "
            f"{layout.shape} of {layout.dtype} in it; append to the array of the whole file"
        )
    return header


def grow(fd: int, layout: Strided, rows: int, pieces: Iterable[Any], durable: bool) -> Strided:
    """Append rows to the array in an open .npy file; return its layout afterwards.

    Parameters
    ----------
    fd : int
        Open for reading and writing; the caller has locked the file.
    layout : Strided
        The array as the caller knows it.
    rows : int
        How many come.
    pieces : iterable of numpy.ndarray
        The rows, in C order and of the array's dtype.
    durable : bool
        Have the elements on the disk before the header, and the header before this returns.

    Raises
    ------
    FormatError
        As `check_growable`.
    OSError
        No room on the disk (with both numbers), or it failed: the file is as it was, but where
        only the last wait for the disk failed, which the message says.
    """
    header = check_growable(layout, fd)
    shape = (header.shape[0] + rows, *header.shape[1:])
    fresh = build_header(shape, header.dtype, False, header.data_offset)
    before = os.pread(fd, header.data_offset, 0)
    first, last = _difference(before, fresh, layout.file.path)
    end = header.data_offset + header.nbytes
    try:
        if header.trailing:
            os.ftruncate(fd, end)
        needed = rows * math.prod(shape[1:]) * header.dtype.itemsize
        _reserve(fd, end, needed, layout.file.path)
        written = _write(fd, end, needed, pieces, layout.file.path)
        if written != needed:
            raise ValueError(f"{layout.file.path}: {rows} rows need {needed} bytes, not {written}")
        if durable:
            os.fdatasync(fd)
        os.pwrite(fd, fresh[first:last], first)
        if durable:
            _sync_header(fd, layout.file.path)
    except BaseException:
        # Not if the exception came behind the header: then the rows are there.
        with contextlib.suppress(OSError):
            if os.pread(fd, len(before), 0) == before:
                os.ftruncate(fd, end)
        raise
    key = FileKey.of(fd, layout.file.path).with_header(fresh)
    strides = dense_strides(shape, header.dtype.itemsize, "C")
    return replace(layout, file=key, shape=shape, strides=strides)


def _sync_header(fd: int, path: str) -> None:
    try:
        os.fdatasync(fd)
    except OSError as error:
        text = f"{error.strerror}; the rows are in the file, but may not be on the disk: append "
        raise OSError(error.errno, f"{text}them no second time", path) from error


def _difference(before: bytes, fresh: bytes, path: str) -> tuple[int, int]:
    """From which byte to which two headers differ: within a page, so that one write is whole."""
    at = [index for index, pair in enumerate(zip(before, fresh, strict=False)) if len({*pair}) > 1]
    if len(before) != len(fresh) or (at and at[0] // calls.PAGE != at[-1] // calls.PAGE):
        raise FormatError(
            f"{path}: the header has {len(before)} bytes, and no room for the new shape; copy the "
            "array by oo.store, which leaves room"
        )
    return (at[0], at[-1] + 1) if at else (0, 0)


def _reserve(fd: int, at: int, nbytes: int, path: str) -> None:
    """Refuse at once what the disk has no room for; small writes find out themselves."""
    if nbytes < _PIECE:
        return
    free = free_room(fd, path)
    if free is not None and nbytes > free:
        raise _refused(fd, errno.ENOSPC, nbytes, path)
    try:
        calls.fallocate(fd, at, nbytes)
    except OSError as error:
        if error.errno not in NO_FALLOCATE:
            raise _refused(fd, error.errno, nbytes, path) from error


def _write(fd: int, at: int, needed: int, pieces: Iterable[Any], path: str) -> int:
    """Write pieces one behind the other; return how many bytes that were."""
    begin = at
    for piece in pieces:
        rest = np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data
        if at + len(rest) > begin + needed:
            return at + len(rest) - begin
        while rest:
            try:
                done = os.pwrite(fd, rest[:_PIECE], at)
            except OSError as error:
                raise _refused(fd, error.errno, needed, path) from error
            if len(rest) >= _PIECE:
                calls.start_writing(fd, at, done)
            rest, at = rest[done:], at + done
    return at - begin


def _refused(fd: int, number: int | None, nbytes: int, path: str) -> OSError:
    state = "; the array is as it was"
    if number in NO_ROOM:
        return no_room(number, fd, nbytes, path, what="the rows need", state=state)
    code = errno.EIO if number is None else number
    return OSError(code, os.strerror(code) + state, path)
