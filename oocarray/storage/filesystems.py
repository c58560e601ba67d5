"""Which file system a path is on, by the system's table of mounts; it opens nothing on it."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

__all__ = ["FileSystem", "file_system"]

_MOUNTS = "/proc/self/mountinfo"
_BY_UUID = "/dev/disk/by-uuid"


class FileSystem(NamedTuple):
    """A file system, mounted."""

    kind: str
    """Type, such as ext4."""
    mount: str
    """Where it is mounted."""
    identity: str
    """The same for the same file system after the next boot, as far as that can be told."""


def file_system(path: str, device: int | None = None) -> FileSystem | None:
    """Find the file system that a path is on.

    Parameters
    ----------
    path : str
        A file or folder; it need not exist if `device` is given.
    device : int, optional
        Its ``st_dev``, where that is known.

    Returns
    -------
    FileSystem or None
        None where the system does not say (it is no Linux, or /proc is not mounted).

    Raises
    ------
    OSError
        There is no such path.
    """
    if device is None:
        device = os.stat(path).st_dev
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as stream:
            mounts = [found for line in stream if (found := _parsed(line)) is not None]
    except OSError:
        return None
    where = os.path.realpath(path)
    number = f"{os.major(device)}:{os.minor(device)}"
    # Some file systems (btrfs) report another device for a file than for their mount.
    same = [mount for mount in mounts if mount[0] == number] or mounts
    above = [mount for mount in same if _within(where, mount[1])]
    if not above and same is mounts:
        return None
    # What is mounted later hides what is below it: the last of the longest.
    _, mount, kind, source = max(reversed(above or same[:1]), key=lambda found: len(found[1]))
    return FileSystem(kind, mount, f"{kind} {_uuid(source, device) or source}")


def _parsed(line: str) -> tuple[str, str, str, str] | None:
    """Device, mount point, type and source of one line."""
    before, dash, after = line.rstrip("\n").partition(" - ")
    left, right = before.split(" "), after.split(" ")
    if not dash or len(left) < 6 or len(right) < 2:
        return None
    return left[2], _unescaped(left[4]), right[0], _unescaped(right[1])


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _uuid(source: str, device: int) -> str:
    """The UUID that the system lists for a block device; empty if it lists none."""
    if not source.startswith("/dev/"):
        return ""
    try:
        with os.scandir(_BY_UUID) as entries:
            for entry in entries:
                if entry.stat().st_rdev == device:
                    return entry.name
    except OSError:
        return ""
    return ""
