"""Writes into files of chunks that others have open too; it never reads what it was not asked."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator

from oocarray.errors import ArrayLockedError
from oocarray.pages import calls, locks
from oocarray.storage.filekey import FileKey
from oocarray.storage.room import NO_FALLOCATE, NO_ROOM, free_room, no_room

__all__ = ["fill_with", "make_room", "read_range", "waiting_lock", "write_once"]

_FILL_PIECE = 4 << 20  # bytes per write
_PATIENCE = 60.0  # seconds; a lock is held while one chunk is filled


@contextlib.contextmanager
def waiting_lock(fd: int, file: FileKey, exclusive: bool) -> Iterator[None]:
    """Hold a lock on an open file, for which it waits up to a minute.

    Raises
    ------
    ArrayLockedError
        It was not to be had in that time.
    OSError
        The file system has no locks; a lock that is not `exclusive` is then done without.
    """
    end, pause = time.monotonic() + _PATIENCE, 0.0002
    try:
        while not locks.lock(fd, exclusive):
            if time.monotonic() > end:
                pids = locks.holders(file.dev, file.ino)
                who = " by process " + ", ".join(map(str, pids)) if pids else ""
                error = ArrayLockedError(
                    f"{file.path} was locked{who} for {_PATIENCE:g} s: no chunk is added"
                )
                error.pids = pids
                raise error
            time.sleep(pause)
            pause = min(2 * pause, 0.02)
    except locks.CannotLock as error:
        if exclusive:
            message = "a chunk can be added to a shard only where the file system has locks"
            raise OSError(error.errno, message, file.path) from error
    try:
        yield
    finally:
        locks.unlock(fd)


def fill_with(fd: int, element: bytes, at: int, nbytes: int) -> None:
    """Write `nbytes` of one element, again and again."""
    count = nbytes // len(element)
    per_piece = max(_FILL_PIECE // len(element), 1)
    piece = memoryview(element * min(per_piece, count))
    end = at + nbytes
    while at < end:
        # A write may end in the middle of an element, but a piece is whole elements.
        rest = piece[: end - at]
        while rest:
            done = os.pwrite(fd, rest, at)
            rest, at = rest[done:], at + done


def read_range(fd: int, at: int, nbytes: int) -> bytes:
    """Read what is there; fewer bytes if the file has become shorter."""
    parts = []
    while nbytes and (part := os.pread(fd, nbytes, at)):
        parts.append(part)
        at, nbytes = at + len(part), nbytes - len(part)
    return b"".join(parts)


def write_once(fd: int, raw: bytes, at: int, path: str) -> None:
    """Write by one call: an index of which only a part is new would be wrong."""
    if (done := os.pwrite(fd, raw, at)) != len(raw):
        raise OSError(errno.EIO, f"only {done} of the index's {len(raw)} bytes were written", path)


def make_room(fd: int, at: int, nbytes: int, path: str) -> bool:
    """Reserve disk blocks inside a file; tell whether the range reads as zeros."""
    try:
        hole = os.lseek(fd, at, os.SEEK_DATA) >= at + nbytes
    except OSError as error:
        hole = error.errno == errno.ENXIO  # there is no data from here to the end
    free = free_room(fd, path)
    if hole and free is not None and nbytes > free:
        raise no_room(errno.ENOSPC, fd, nbytes, path)
    try:
        calls.fallocate(fd, at, nbytes)
    except OSError as error:
        if error.errno in NO_FALLOCATE:
            return False  # filled by writing, which finds out about the room
        if error.errno in NO_ROOM:
            raise no_room(error.errno, fd, nbytes, path) from error
        raise
    return hole
