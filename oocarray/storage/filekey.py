"""Which file an array was opened from, and whether it is still that file; opens nothing."""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass, field, replace

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
    header: tuple[int, int] | None = field(default=None, compare=False)
    """Length and checksum of the bytes that said what the file holds, if there are such."""

    @classmethod
    def of(cls, source: str | os.PathLike[str] | int, path: str = "") -> FileKey:
        """Ask the file system; `source` is a path, or a descriptor together with its `path`."""
        if isinstance(source, int) and not path:
            raise ValueError("a descriptor has no name: give path= as well")
        now = os.stat(source)
        name = path if isinstance(source, int) else os.fspath(source)
        where = name if name == MEMORY else os.path.abspath(name)
        state = now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns
        return cls(where, *state, calls.born(source if isinstance(source, int) else where))

    def with_header(self, header: bytes) -> FileKey:
        """The same, remembering the bytes at the file's beginning that describe the array."""
        return replace(self, header=(len(header), _checksum(header)))

    def same_file(self, other: FileKey) -> bool:
        """Tell whether both name one inode, by whatever path."""
        return (self.dev, self.ino) == (other.dev, other.ino)

    def check_open(self, fd: int) -> None:
        """Raise unless it is this file, as long, and still says the same of what it holds.

        Raises
        ------
        InputChangedError, TruncatedFileError
        """
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
        if self.header is None or found.st_size == self.size:
            self.check(found, written=True)
        if self.header is not None and found.st_mtime_ns != self.mtime_ns:
            # New data is welcome, and so are rows behind those that were there; what is laid out
            # otherwise would be read as nonsense.
            length, checksum = self.header
            if _checksum(os.pread(fd, length, 0)) != checksum:
                raise InputChangedError(
                    f"{self.path}: its header was rewritten after it was opened; open it again"
                )

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


def _checksum(header: bytes) -> int:
    """Checksum of a header, without the number of rows of an array to which rows can be added."""
    if b"'fortran_order': False" in header:
        header = re.sub(rb"('shape': \()[0-9]+", rb"\1", header).rstrip()
    return zlib.crc32(header)
