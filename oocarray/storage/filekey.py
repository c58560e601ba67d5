"""Which file an array was opened from, and whether it is still that file; opens nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass

from oocarray.errors import InputChangedError, TruncatedFileError
from oocarray.pages import calls
from oocarray.units import format_bytes

__all__ = ["MEMORY", "FileKey"]

MEMORY = "(memory)"
"""Path of what lies in memory and in no file."""


@dataclass(frozen=True, slots=True)
class FileKey:
    """Which file it was, and in which state, when it was opened."""

    path: str
    """Absolute path, as the user named it (links not resolved)."""
    dev: int
    ino: int
    size: int
    """Bytes."""
    mtime_ns: int
    born: int = 0
    """When the file was made, in nanoseconds: inode numbers are used again. 0: not known."""

    @classmethod
    def of(cls, source: str | os.PathLike[str] | int, path: str = "") -> FileKey:
        """Ask the file system; `source` is a path, or a descriptor together with its `path`."""
        if isinstance(source, int) and not path:
            raise ValueError("a descriptor has no name: give path= as well")
        now = os.stat(source)
        name = path if isinstance(source, int) else os.fspath(source)
        where = os.path.abspath(name)
        state = now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns
        return cls(where, *state, calls.born(source if isinstance(source, int) else where))

    def same_file(self, other: FileKey) -> bool:
        """Tell whether both name one inode, by whatever path."""
        return (self.dev, self.ino) == (other.dev, other.ino)

    def check_open(self, fd: int) -> None:
        """Raise InputChangedError or TruncatedFileError unless it is this file, and as long."""
        found = os.fstat(fd)
        born = calls.born(fd)
        other = bool(born and self.born and born != self.born)
        if other or (found.st_dev, found.st_ino) != (self.dev, self.ino):
            raise InputChangedError(f"{self.path} was replaced by another file; open it again")
        if found.st_size < self.size:
            raise TruncatedFileError(
                f"{self.path} had {format_bytes(self.size)} ({self.size}) when opened and was cut "
                f"to {format_bytes(found.st_size)} ({found.st_size})"
            )
        self.check(found, written=True)

    def check(self, now: os.stat_result, *, written: bool = False) -> None:
        """Raise InputChangedError unless `now` shows the same file in the same state.

        Parameters
        ----------
        now : os.stat_result
            What the file system says now.
        written : bool
            The run itself writes the file, so that its time of change says nothing.
        """
        if (now.st_dev, now.st_ino) != (self.dev, self.ino):
            raise InputChangedError(f"{self.path} was replaced by another file; open it again")
        if now.st_size != self.size:
            raise InputChangedError(
                f"{self.path} had {format_bytes(self.size)} ({self.size}) when opened and has "
                f"{format_bytes(now.st_size)} ({now.st_size}) now; open it again"
            )
        if not written and now.st_mtime_ns != self.mtime_ns:
            raise InputChangedError(f"{self.path} was modified after it was opened; open it again")
