"""Locks the files of a run, or says who has them; it opens no file and never waits.

A run locks what it reads against writers, and what it changes against everybody.  Two runs
lock by two descriptions of the file, also within one process: runs that only read share it,
all others exclude each other.
"""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from collections.abc import Iterator

from ..errors import ArrayLockedError
from ..pages import locks
from ..storage.filekey import FileKey
from .outside import outside

__all__ = ["locked", "take"]

_warned: set[int] = set()
"""Devices of the file systems that cannot lock, which the user knows by now."""


def take(fd: int, key: FileKey, exclusive: bool, lock: bool | None = None) -> bool:
    """Lock an open file; tell whether it is locked now.

    Parameters
    ----------
    fd : int
        Whoever holds this descriptor or a copy of it holds the lock.
    key : FileKey
        For the messages.
    exclusive : bool
        Whether the file is to be changed; reading lets others read.
    lock : bool, optional
        False: lock nothing.  True: raise where the file system cannot lock.  None: go on there
        with a warning, but change nothing.

    Raises
    ------
    ArrayLockedError
        Another run is in the way; names its process.
    OSError
        The file system cannot lock (ENOLCK).
    """
    if lock is False:
        return False
    try:
        if locks.lock(fd, exclusive):
            return True
    except locks.CannotLock as error:
        if lock or exclusive:
            raise OSError(
                errno.ENOLCK,
                f"its file system cannot lock files ({error.strerror}), so that a second program "
                "could change it meanwhile; pass lock=False if there is none",
                key.path,
            ) from error
        if key.dev not in _warned:
            _warned.add(key.dev)
            warnings.warn(
                f"the file system of {key.path} cannot lock files ({error.strerror}): a program "
                "that changes them while they are read goes unnoticed until the end of the run",
                stacklevel=outside(),
            )
        return False
    raise _in_the_way(fd, key, exclusive)


@contextlib.contextmanager
def locked(fd: int, key: FileKey, lock: bool | None = None) -> Iterator[None]:
    """Hold a file for changes of one's own, as long as a ``with`` block lasts; see `take`."""
    held = take(fd, key, True, lock)
    try:
        yield
    finally:
        if held:
            locks.unlock(fd)


def _in_the_way(fd: int, key: FileKey, exclusive: bool) -> ArrayLockedError:
    found = os.fstat(fd)
    pids = locks.holders(found.st_dev, found.st_ino)
    others = [str(pid) for pid in pids if pid != os.getpid()]
    who = "another run of this process" if os.getpid() in pids else "another program"
    if others:
        who = f"process{'es' if len(others) > 1 else ''} {', '.join(others)}"
    what = "is used by" if exclusive else "is being changed by"
    error = ArrayLockedError(
        errno.EWOULDBLOCK,
        f"the file {what} {who}; wait for that to end, or pass lock=False to go on regardless",
        key.path,
    )
    error.pids = pids
    return error
