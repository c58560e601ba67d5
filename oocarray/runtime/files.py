"""The open files of one stage in one process, and their mappings; it never opens by name.

Paths can change hands between planning and running: files come as descriptors that the
coordinator opened and checked, and are found by device and inode.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import TruncatedFileError
from ..pages import calls
from ..pages.mapping import Window, read_pages
from ..pages.residency import FOLIO
from ..pages.tuning import DEFAULT, Tuning
from ..storage.layout import FileKey
from ..storage.room import free_room
from ..units import format_bytes

__all__ = ["Files", "KeptWindows", "bring_pages", "copy", "open_all", "reopen"]

FileId = tuple[int, int]


def reopen(fd: int, writable: bool) -> int:
    """Open the file behind a descriptor anew: an error of a write is reported once per opening.

    Where there is no /proc the descriptor is duplicated instead.
    """
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC
    try:
        return os.open(f"/proc/self/fd/{fd}", flags)
    except OSError as error:
        if error.errno == errno.EMFILE:
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            text = f"{error.strerror}: this process may have {most} (ulimit -n)"
            raise OSError(error.errno, text, os.readlink(f"/proc/self/fd/{fd}")) from None
        return os.dup(fd)


def _reserve(fd: int, start: int, stop: int) -> None:
    """Have a disk block behind every byte that is stored to, and the rest of its folio.

    The first store into a folio asks for all of that.
    """
    first = start - start % FOLIO
    last = min(-(-stop // FOLIO) * FOLIO, os.fstat(fd).st_size)
    if last <= first:
        return
    try:
        calls.fallocate(fd, first, last - first, keep_size=True)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM):
            raise


class KeptWindows:
    """Mappings of whole files that outlive a run, so that the next run finds its pages mapped.

    Bounded in number; a file that has been unlinked is let go of at the next look.
    """

    LIMIT = 16

    def __init__(self) -> None:
        self._windows: dict[tuple[FileId, int, int], tuple[int, Window]] = {}

    def window(
        self, fd: int, key: FileId, start: int, stop: int, tuning: Tuning = DEFAULT
    ) -> Window:
        """Return a read-only window of the range, the kept one if there is one."""
        known = self._windows.pop((key, start, stop), None)
        if known is None:
            fresh = Window(fd, start, stop)
            known = os.dup(fd), fresh
            if tuning.advice == "hugepage":
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
    held : iterable of int
        Other descriptors that are to be closed with these.
    tuning : Tuning
    """

    def __init__(
        self,
        fds: Iterable[tuple[FileKey, int, bool]],
        kept: KeptWindows | None = None,
        held: Iterable[int] = (),
        tuning: Tuning = DEFAULT,
    ) -> None:
        self._fds: dict[FileId, int] = {}
        self._paths: dict[FileId, str] = {}
        self._windows: dict[tuple[FileId, int, int, bool], Window] = {}
        self._kept = kept
        self._held = list(held)
        _copies.update(self._held)
        self.tuning = tuning
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
                known = self._kept.window(fd, (key.dev, key.ino), *span, self.tuning)
            else:
                known = Window(fd, *span, writable)
                self._advise(known)
            self._windows[(key.dev, key.ino), *span, writable] = known
        return known

    def _advise(self, window: Window) -> None:
        """Tell the kernel how the whole of a file will be looked at."""
        advice = self.tuning.advice
        # With large folios readahead works in 2 MiB pieces whatever the administrator's
        # setting; elsewhere at least say that we go forward.
        if advice == "hugepage" and window.advise(calls.HUGEPAGE):
            return
        if advice in ("hugepage", "sequential"):
            window.advise(calls.SEQUENTIAL)

    def bring(self, window: Window, key: FileKey, start: int, stop: int, write: bool) -> None:
        """Populate a byte range of a window; see `bring_pages`."""
        bring_pages(window, self.fd(key), key.path, start, stop, write, self.tuning)

    def close(self) -> None:
        """Let go of windows and descriptors; views that are still looked at stay mapped."""
        for window in () if self._kept is not None else self._windows.values():
            window.release()
        self._windows.clear()
        for fd in self._fds.values():
            with contextlib.suppress(OSError):
                os.close(fd)
        self._fds.clear()
        for fd in self._held:
            _copies.discard(fd)
            with contextlib.suppress(OSError):
                os.close(fd)
        self._held.clear()


def bring_pages(
    window: Window,
    fd: int,
    path: str,
    start: int,
    stop: int,
    write: bool,
    tuning: Tuning = DEFAULT,
) -> None:
    """Populate a byte range of a window, by whatever means this kernel has.

    Raises
    ------
    TruncatedFileError, OSError
        What would have been SIGBUS in a kernel.
    """
    try:
        if not write and tuning.advice == "willneed":
            calls.will_need(fd, start, stop - start)
        wanted = write or tuning.populate
        if not (wanted and window.populate(start, stop, write)):
            if write:
                # Reading a hole finds nothing wrong; storing into it may be SIGBUS.
                _reserve(fd, start, stop)
            read_pages(fd, start, stop)
    except OSError as error:
        size = os.fstat(fd).st_size
        if size < stop:
            raise TruncatedFileError(
                f"{path}: was cut to {size} bytes while bytes {start} to {stop} "
                "were still to be read"
            ) from error
        number, what = error.errno, "the disk failed"
        free = free_room(fd, path) if write else None
        if free is not None and free < stop - start:
            # The file has holes: their blocks are asked for at the first store.
            number = errno.ENOSPC
            what = (
                f"no room: the block needs up to {format_bytes(stop - start)} ({stop - start}),"
                f" free on the disk: {format_bytes(free)} ({free}),"
            )
        raise OSError(
            number, f"{what} at bytes {start} to {stop}: {error.strerror}", path
        ) from error


def copy(fd: int) -> int:
    """Duplicate a descriptor that holds a lock, for a `Files` that is to hold it."""
    made = os.dup(fd)
    _copies.add(made)
    return made


_copies: set[int] = set()


def open_all(opening: Callable[..., int], each: Iterable[tuple[Any, ...]]) -> list[int]:
    """Call `opening` with each tuple of arguments; if one fails, those opened are closed."""
    with contextlib.ExitStack() as undo:
        fds = []
        for arguments in each:
            fds.append(opening(*arguments))
            undo.callback(_close, fds[-1])
        undo.pop_all()
    return fds


def _close(fd: int) -> None:
    _copies.discard(fd)
    os.close(fd)


def _forget() -> None:
    """In a forked child: a lock is the parent's, and must end with it."""
    for fd in _copies:
        with contextlib.suppress(OSError):
            os.close(fd)
    _copies.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
