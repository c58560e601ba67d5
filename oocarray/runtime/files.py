"""The open files of one stage in one process, and their mappings; it never opens by name.

Paths can change hands between planning and running: files come as descriptors that the
coordinator opened and checked, and are found by device and inode.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from ..errors import TruncatedFileError
from ..pages import calls
from ..pages.mapping import Window, read_pages
from ..storage.layout import FileKey
from ..units import format_bytes

__all__ = ["Files", "KeptWindows", "reopen"]

FileId = tuple[int, int]


def reopen(fd: int, writable: bool) -> int:
    """Open the file behind a descriptor anew: an error of a write is reported once per opening.

    Where there is no /proc the descriptor is duplicated instead.
    """
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC
    try:
        return os.open(f"/proc/self/fd/{fd}", flags)
    except OSError:
        return os.dup(fd)


class KeptWindows:
    """Mappings of whole files that outlive a run, so that the next run finds its pages mapped.

    Bounded in number; a file that has been unlinked is let go of at the next look.
    """

    LIMIT = 16

    def __init__(self) -> None:
        self._windows: dict[tuple[FileId, int, int], tuple[int, Window]] = {}

    def window(self, fd: int, key: FileId, start: int, stop: int) -> Window:
        """Return a read-only window of the range, the kept one if there is one."""
        known = self._windows.pop((key, start, stop), None)
        if known is None:
            known = os.dup(fd), Window(fd, start, stop)
            known[1].advise(calls.HUGEPAGE)
        self._windows[key, start, stop] = known
        while len(self._windows) > self.LIMIT:
            self._forget(next(iter(self._windows)))
        return known[1]

    def prune(self, wanted: Iterable[FileKey], spare: int) -> None:
        """Let go of what the next run cannot use or has no room for.

        Parameters
        ----------
        wanted : iterable of FileKey
            Files of the next run: these stay.
        spare : int
            Bytes that others may have, the latest used first; those that nobody can open any
            more (unlinked) have none.
        """
        keep = {(key.dev, key.ino) for key in wanted}
        for key, (fd, window) in reversed(list(self._windows.items())):
            if key[0] in keep:
                continue
            spare -= window.length
            if spare < 0 or os.fstat(fd).st_nlink == 0:
                self._forget(key)

    def clear(self) -> None:
        """Let go of everything."""
        for key in list(self._windows):
            self._forget(key)

    def _forget(self, key: tuple[FileId, int, int]) -> None:
        # The window itself may still be in a run's hands: it ends with the last who holds it.
        fd, _ = self._windows.pop(key)
        os.close(fd)


class Files:
    """Descriptors by file identity, and read-only windows over them.

    Parameters
    ----------
    fds : iterable of (FileKey, int, bool)
        File, descriptor (owned by this object from now on), whether it is for writing.
    kept : KeptWindows or None
        Where the windows of a resident run stay; None: they end with this object.
    """

    def __init__(
        self, fds: Iterable[tuple[FileKey, int, bool]], kept: KeptWindows | None = None
    ) -> None:
        self._fds: dict[FileId, int] = {}
        self._paths: dict[FileId, str] = {}
        self._windows: dict[tuple[FileId, int, int, bool], Window] = {}
        self._kept = kept
        for key, fd, _ in fds:
            self._fds[key.dev, key.ino] = fd
            self._paths[key.dev, key.ino] = key.path

    def fd(self, key: FileKey) -> int:
        return self._fds[key.dev, key.ino]

    def whole(self, key: FileKey, span: tuple[int, int], writable: bool = False) -> Window:
        """Return one window over the range that stays for the whole stage.

        Raises
        ------
        TruncatedFileError
            The file is shorter than the range: touching its end would be SIGBUS.
        """
        known = self._windows.get(((key.dev, key.ino), *span, writable))
        if known is None:
            fd = self.fd(key)
            found = os.fstat(fd)
            size = found.st_size
            if size < span[1]:
                raise TruncatedFileError(
                    f"{key.path}: the array ends at {format_bytes(span[1])} ({span[1]} bytes), "
                    f"but the file has {format_bytes(size)} ({size} bytes)"
                )
            # What has no name (shared memory) no later run can ask for: it ends with this one.
            if self._kept is not None and not writable and found.st_nlink:
                known = self._kept.window(fd, (key.dev, key.ino), *span)
            else:
                known = Window(fd, *span, writable)
                # With large folios readahead works in 2 MiB pieces whatever the
                # administrator's setting; elsewhere at least say that we go forward.
                if not known.advise(calls.HUGEPAGE):
                    known.advise(calls.SEQUENTIAL)
            self._windows[(key.dev, key.ino), *span, writable] = known
        return known

    def bring(self, window: Window, key: FileKey, start: int, stop: int, write: bool) -> None:
        """Populate a byte range of a window, by whatever means this kernel has.

        Raises
        ------
        TruncatedFileError, OSError
            What would have been SIGBUS in a kernel.
        """
        try:
            if not window.populate(start, stop, write):
                read_pages(self.fd(key), start, stop)
        except OSError as error:
            size = os.fstat(self.fd(key)).st_size
            if size < stop:
                raise TruncatedFileError(
                    f"{key.path}: was cut to {size} bytes while bytes {start} to {stop} "
                    "were still to be read"
                ) from error
            what = "no room on the disk, or it failed," if write else "the disk failed"
            raise OSError(
                error.errno, f"{what} at bytes {start} to {stop}: {error.strerror}", key.path
            ) from error

    def close(self) -> None:
        """Let go of windows and descriptors; views that are still looked at stay mapped."""
        for window in () if self._kept is not None else self._windows.values():
            window.release()
        self._windows.clear()
        for fd in self._fds.values():
            with contextlib.suppress(OSError):
                os.close(fd)
        self._fds.clear()
