"""Opens the files of a carried stage by name, where a worker is; no other file passes for them."""

from __future__ import annotations

import os

from ...errors import InputChangedError
from ...storage.filekey import FileKey
from ...storage.files import open_regular
from .carried import Carried, not_seen

__all__ = ["open_carried"]


def open_carried(carried: Carried, key: FileKey, writable: bool) -> int:
    """Open a file of the run by its name, and see that it is the one that the coordinator saw.

    Raises
    ------
    FileNotFoundError, InputChangedError, OSError
    """
    draft = carried.drafts.get(key)
    try:
        fd = open_regular(draft or key.path, writable)
    except FileNotFoundError:
        raise not_seen(draft or key.path) from None
    try:
        if draft:
            now = os.fstat(fd)
            if (now.st_ino, now.st_size) != (key.ino, key.size):
                raise InputChangedError(f"{draft} is not the new file that the run has made")
        else:
            key.check_open(fd)
            _check_state(carried, key, fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check_state(carried: Carried, key: FileKey, fd: int) -> None:
    state = carried.states.get(key)
    now = os.fstat(fd)
    if state is not None and state != (now.st_size, now.st_mtime_ns):
        raise InputChangedError(
            f"{key.path} was changed while it was read: size {state[0]} and then {now.st_size} "
            f"bytes, last written {(now.st_mtime_ns - state[1]) / 1e9:.3f} s later than before"
        )
