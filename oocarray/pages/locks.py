"""Advisory locks on open files (flock) and who holds them; it never waits and keeps no state.

A lock belongs to the open file description: copies of the descriptor in other processes hold
it too, and it is free when it is let go of by one of them, or the last is closed.  (POSIX
record locks end with any close of the file by the process, and are not handed on.)
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os

__all__ = ["CannotLock", "holders", "lock", "unlock"]

_CANNOT = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class CannotLock(OSError):
    """The file system has no locks."""


def lock(fd: int, exclusive: bool) -> bool:
    """Lock an open file; False when somebody else's lock is in the way.

    Raises
    ------
    CannotLock
        The file system has no locks, or no more of them.
    """
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _CANNOT:
            raise CannotLock(error.errno, error.strerror) from error
        raise
    return True


def unlock(fd: int) -> None:
    """Let go of the lock, for all who hold a copy of the descriptor."""
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_UN)


def holders(dev: int, ino: int) -> tuple[int, ...]:
    """Process ids of those who hold a lock on a file, as far as the system tells.

    Where the process that took the lock is gone, those who still hold a copy of it are named.
    """
    name = f"{os.major(dev):02x}:{os.minor(dev):02x}:{ino}"
    try:
        with open("/proc/locks") as stream:
            rows = [line.split() for line in stream]
    except OSError:
        return ()
    # A row: number, FLOCK, ADVISORY, READ or WRITE, process, device:inode, start, end.
    found = {int(row[4]) for row in rows if "->" not in row and row[1] == "FLOCK" and name in row}
    alive = sorted(pid for pid in found if os.path.exists(f"/proc/{pid}"))
    if alive:
        return tuple(alive)
    # The process that took the lock is gone; others hold it by copies.
    return tuple(pid for pid in _processes() if _holds(pid, name))


def _processes() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def _holds(pid: int, name: str) -> bool:
    folder = f"/proc/{pid}/fdinfo"
    with contextlib.suppress(OSError):
        for fd in os.listdir(folder):
            with contextlib.suppress(OSError), open(f"{folder}/{fd}") as stream:
                if any("FLOCK" in line and name in line for line in stream):
                    return True
    return False
