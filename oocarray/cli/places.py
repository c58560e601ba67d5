"""Who has a file mapped, by the system's lists of processes; it reads no data of the file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

__all__ = ["mappers", "mappers_below"]


def mappers(inode: int, path: str) -> list[tuple[int, str]]:
    """Return number and name of each process that has a file mapped, as far as it may be seen."""
    # Device numbers in the list of mappings may differ from those of stat (btrfs, overlayfs):
    # the number of the inode together with the name's last part serves everywhere.
    ending = "/" + os.path.basename(os.path.realpath(path))
    return [
        (pid, name)
        for pid, name, maps in _processes()
        if any(
            len(words) == 6
            and words[4] == str(inode)
            and words[5].rstrip("\n").removesuffix(" (deleted)").endswith(ending)
            for words in (line.split(None, 5) for line in maps)
        )
    ]


def mappers_below(folder: str) -> list[tuple[int, str]]:
    """Return number and name of each process that has a file below a folder mapped."""
    start = os.path.realpath(folder) + os.sep
    return [
        (pid, name)
        for pid, name, maps in _processes()
        if any(
            len(words) == 6 and words[5].startswith(start)
            for words in (line.split(None, 5) for line in maps)
        )
    ]


def _processes() -> Iterator[tuple[int, str, list[str]]]:
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/maps", errors="surrogateescape") as stream:
                maps = stream.readlines()
            with open(f"/proc/{entry}/comm", errors="replace") as stream:
                yield int(entry), stream.read().strip(), maps
