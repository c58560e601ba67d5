"""Reserves room for a file, or says how much there is; it never leaves that to a later store."""

from __future__ import annotations

import errno
import os

from oocarray.pages import calls, groups
from oocarray.storage.filesystems import file_system
from oocarray.units import format_bytes

__all__ = ["NO_FALLOCATE", "NO_ROOM", "free_room", "no_room", "reserve"]

_ZEROS = bytes(1 << 20)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_FALLOCATE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM)
_kinds: dict[int, str] = {}
"""Of file systems, by device."""
_IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs")


def free_room(fd: int, path: str) -> int | None:
    """Bytes that this process may still write to a file's file system; None if it does not say.

    Where files take memory, it is what the memory groups allow: over that the kernel kills a
    process, without an error.
    """
    room = os.fstatvfs(fd)
    if room.f_blocks == 0:
        return None
    blocks = room.f_bfree if os.geteuid() == 0 else room.f_bavail
    free = blocks * room.f_frsize
    # The last tenth is for what else the group does meanwhile.
    return min(free, groups.shared_room() * 9 // 10) if _in_memory(fd, path) else free


def reserve(fd: int, nbytes: int, path: str) -> None:
    """Make a new, empty file `nbytes` long, with a disk block behind each byte.

    Parameters
    ----------
    fd : int
    nbytes : int
    path : str
        Where the file is to appear, for the messages.

    Raises
    ------
    OSError
        ENOSPC, EDQUOT, EFBIG: no room, with the bytes needed and free.
    """
    if nbytes == 0:
        return
    free = free_room(fd, path)
    if free is not None and nbytes > free:
        # Asking would first take all of it, and so stop everybody else.
        raise no_room(errno.ENOSPC, fd, nbytes, path)
    try:
        try:
            calls.fallocate(fd, 0, nbytes)
        except OSError as error:
            if error.errno not in NO_FALLOCATE:
                raise
            _write_zeros(fd, nbytes)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise no_room(error.errno, fd, nbytes, path) from error
        raise


def _in_memory(fd: int, path: str) -> bool:
    device = os.fstat(fd).st_dev
    known = _kinds.get(device)
    if known is None:
        # Asked for each chunk that is made; what is mounted is a long text to read.
        found = file_system(os.path.dirname(path), device)
        known = _kinds[device] = "" if found is None else found.kind
    return known in _IN_MEMORY


def _write_zeros(fd: int, nbytes: int) -> None:
    """Reserve by writing: only bytes that were written cannot run out of room later."""
    at = 0
    while at < nbytes:
        at += os.pwrite(fd, _ZEROS[: nbytes - at], at)


def no_room(
    code: int, fd: int, nbytes: int, path: str, *, what: str = "needs", state: str = ""
) -> OSError:
    """Say that `what` takes more bytes than there are; `state` says what that has left behind."""
    free = free_room(fd, path)
    room = "unknown" if free is None else f"{format_bytes(free)} ({free})"
    why = {
        errno.EFBIG: "the largest file allowed here is smaller (ulimit -f)",
        errno.EDQUOT: "the disk quota is used up",
    }.get(code, "make room or choose another directory")
    if code == errno.ENOSPC and _in_memory(fd, path):
        why = "make room or choose another directory: this one takes memory, which is limited"
    need = f"{format_bytes(nbytes)} ({nbytes})"
    return OSError(code, f"{what} {need}, free on its file system: {room}; {why}{state}", path)
