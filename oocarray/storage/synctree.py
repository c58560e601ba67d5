"""Has what lies in a folder on the disk, side by side; it writes and removes nothing."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

__all__ = ["sync", "sync_tree"]

_SYNCS, _SYNCED = 8, 1024  # at once, and looked up at once


def sync_tree(folder: str) -> None:
    """Have all files and folders below a folder, and itself, on the disk; links are refused.

    Raises
    ------
    OSError
        The disk refused.
    """
    # Side by side: the disk has more to choose from, and the file system joins what it commits.
    # Before the folder has its name the order is nobody's concern.
    paths = (
        path
        for parent, _, names in os.walk(folder, onerror=_raise)
        for path in (parent, *(os.path.join(parent, name) for name in names))
    )
    with ThreadPoolExecutor(_SYNCS) as pool:
        while some := list(islice(paths, _SYNCED)):
            try:
                list(pool.map(sync, some))
            except RuntimeError:  # no thread can be started, or none any more
                for path in some:
                    sync(path)


def _raise(error: OSError) -> None:
    raise error


def sync(path: str) -> None:
    """Have a file, or the names in a folder, on the disk; a link is refused."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
