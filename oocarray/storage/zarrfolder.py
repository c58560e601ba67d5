"""Opens the files of chunks below an array's folder, one step at a time; it follows no link.

Names are made of numbers, but what bears such a name may have been put there by anyone: a link
to a file elsewhere, a pipe, a device.  Each folder on the way is opened from the one above it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Callable

from oocarray.errors import InputChangedError, NotRegularFileError
from oocarray.storage.draft import Draft
from oocarray.storage.filekey import FileKey

__all__ = ["ChunkFolder"]

_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC
# Without O_PATH a folder that may be searched, but not listed, could not be passed.
_STEP = _FOLDER | getattr(os, "O_PATH", os.O_RDONLY)
# O_NONBLOCK: opening a pipe must not wait for its other end.
_FILE = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW
_OWN = "/proc/self/fd"


class ChunkFolder:
    """The folder of an array, open; files in it are named by their keys, as "c/0/1".

    Parameters
    ----------
    file : FileKey
        The metadata file that is in it.
    path : str
    most : int
        How many of its sub-folders are kept open.

    Raises
    ------
    InputChangedError
        The folder holds another metadata file than `file`.
    OSError
        It cannot be opened.
    """

    def __init__(self, file: FileKey, path: str, most: int = 16) -> None:
        self.path = os.path.abspath(path)
        self._most = most
        self._below: OrderedDict[str, int] = OrderedDict()
        self.made: set[str] = set()
        """Keys of the folders in which names were made."""
        self._root = os.open(path, _STEP)
        try:
            name = os.path.basename(file.path)
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=self._root)
                if (found.st_dev, found.st_ino) == (file.dev, file.ino):
                    return
            raise InputChangedError(f"{file.path} was replaced by another file; open it again")
        except BaseException:
            os.close(self._root)
            raise

    def name(self, key: str) -> str:
        """Path of a file, for messages."""
        return os.path.join(self.path, key)

    def open(self, key: str, writable: bool) -> int | None:
        """Open a regular file; None where there is none of that name.

        Raises
        ------
        NotRegularFileError
            A link, folder, pipe, device or socket; or a file where a folder should be.
        OSError
            As ``os.open``.
        """
        above, last = _split(key)
        folder = self._enter(above, make=False)
        if folder is None:
            return None
        try:
            flags = _FILE | (os.O_RDWR if writable else os.O_RDONLY)
            fd = os.open(last, flags, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused(error, folder, last, key) from None
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            os.close(fd)
            raise NotRegularFileError(f"{self.name(key)} is {_kind(mode)}; it must be a file")
        return fd

    def state(self, key: str) -> os.stat_result | None:
        """What the file system says now of a name; None where there is none."""
        above, last = _split(key)
        folder = self._enter(above, make=False)
        if folder is None:
            return None
        with contextlib.suppress(FileNotFoundError):
            return os.stat(last, dir_fd=folder, follow_symlinks=False)
        return None

    def make(self, key: str, nbytes: int, complete: Callable[[Draft], None]) -> None:
        """Make a file and the folders above it, shown when `complete` has written it.

        If there is a file of that name, or another process is first, that one stays.

        Raises
        ------
        OSError
            No room, with both numbers; no permission.  No unfinished file is left.
        """
        above, last = _split(key)
        folder = self._enter(above, make=True)
        assert folder is not None, key
        # By way of the open folder: its path may lead elsewhere by now.
        place = f"{_OWN}/{folder}" if os.path.isdir(_OWN) else self.name(above)
        try:
            with Draft.create(f"{place}/{last}", nbytes) as draft:
                complete(draft)
                draft.publish("none")
        except FileExistsError:
            pass
        except OSError as error:
            error.filename = self.name(key)
            raise
        self.made.add(above)

    def sync(self, key: str) -> None:
        """Have the names in a folder on the disk."""
        folder = self._enter(key, make=False)
        if folder is None:
            raise InputChangedError(f"{self.name(key)} is gone: it was made in this run")
        fd = os.open(".", _FOLDER | os.O_RDONLY, dir_fd=folder)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close all folders.  Harmless twice."""
        root, self._root = self._root, -1
        with contextlib.ExitStack() as closing:
            while self._below:
                closing.callback(os.close, self._below.popitem()[1])
            if root >= 0:
                closing.callback(os.close, root)

    def _enter(self, key: str, make: bool) -> int | None:
        """The descriptor of a sub-folder; None where there is none and none is made."""
        if not key:
            return self._root
        fd = self._below.get(key)
        if fd is not None:
            self._below.move_to_end(key)
            return fd
        above, last = _split(key)
        parent = self._enter(above, make)
        if parent is None:
            return None
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(last, dir_fd=parent)
                self.made.add(above)
        try:
            fd = os.open(last, _STEP | os.O_NOFOLLOW, dir_fd=parent)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused(error, parent, last, key) from None
        self._below[key] = fd
        while len(self._below) > self._most:
            os.close(self._below.popitem(last=False)[1])
        return fd

    def _refused(self, error: OSError, folder: int, last: str, key: str) -> OSError:
        """What to raise where a name could not be opened."""
        path = self.name(key)
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.ENODEV):
            with contextlib.suppress(OSError):
                mode = os.stat(last, dir_fd=folder, follow_symlinks=False).st_mode
                wanted = "folder" if error.errno == errno.ENOTDIR else "file"
                return NotRegularFileError(f"{path} is {_kind(mode)}; it must be a {wanted}")
        error.filename = path
        return error


def _split(key: str) -> tuple[str, str]:
    """The folder of a key, and the last step, which leads neither up nor elsewhere."""
    above, slash, last = key.rpartition("/")
    wrong = last in ("", ".", "..") or "\0" in last or (slash and not above)
    assert not wrong, repr(key)
    return above, last


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a symbolic link, which is not followed",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")
