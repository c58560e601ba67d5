"""A file built beside its target and shown under its name only when complete; holds no data.

The file has no name while it is built (O_TMPFILE): if the process is killed, nothing is
left to clean up.  Where the file system lacks that, it is named ``.NAME.RANDOM.part`` and
only its owner may open it.  Data is written through the descriptor, never by name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from types import TracebackType
from typing import Protocol

from oocarray.errors import NotRegularFileError
from oocarray.storage.layout import FileKey
from oocarray.storage.room import reserve
from oocarray.units import format_bytes

__all__ = ["DURABILITIES", "Draft", "Unpublished"]

DURABILITIES = ("none", "process", "machine")

_NO_TMPFILE = (
    *(errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT),
    *(errno.ENOSYS, errno.EPERM),
)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_NAME_KEPT = 50  # characters of the target's name: 255 bytes must also hold the random part


class Unpublished(Protocol):
    """Whatever is built beside its target, and shown there when it is complete."""

    @property
    def path(self) -> str:
        """The target."""

    def publish(self, durability: str = "none") -> FileKey:
        """Show it under its name."""

    def discard(self) -> None:
        """Leave nothing of it, unless it was published.  Harmless twice."""


class Draft:
    """A preallocated file of zeros that gets its name by `publish`, or vanishes.

    Attributes
    ----------
    path : str
        The target: where the file will appear.
    fd : int
        Descriptor, open for reading and writing until the draft is closed; -1 afterwards.
    nbytes : int
        Size of the file.
    part_path : str or None
        Path of the unfinished file where the file system has no files without a name; else
        None.  Whoever ends this process by force may unlink it.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "out.bin")
    ...     with Draft.create(path, 8192) as draft:
    ...         _ = os.pwrite(draft.fd, b"head", 0)
    ...         before = os.listdir(folder)
    ...         _ = draft.publish("none")
    ...     before, os.listdir(folder), os.path.getsize(path)
    ([], ['out.bin'], 8192)
    """

    def __init__(self, path: str, nbytes: int, overwrite: bool) -> None:
        self.path = path
        self.nbytes = nbytes
        self.fd = -1
        self._name = os.path.basename(path)
        self._overwrite = overwrite
        self._part = ""  # temporary name, "" while the file has none
        self._mode = 0o600
        self._dir = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    @classmethod
    def create(cls, path: str | os.PathLike[str], nbytes: int, *, overwrite: bool = False) -> Draft:
        """Make the file, all of its disk blocks reserved and reading as zeros.

        Parameters
        ----------
        path : path-like
            Where the file shall appear; its directory must exist.
        nbytes : int
            Size of the file.
        overwrite : bool
            Whether a file that is there is replaced, at `publish`.

        Raises
        ------
        FileExistsError
            The target exists.
        NotRegularFileError
            `overwrite` is set, but the target is a link, directory or device.
        OSError
            ENOSPC, EDQUOT, EFBIG: no room, with the bytes needed and free; nothing is left.
        """
        draft = cls(os.path.abspath(os.fspath(path)), nbytes, overwrite)
        try:
            draft._check_target()
            try:
                draft._open()
            except OSError as error:
                # The system names "." or a name that nobody has heard of.
                error.filename = draft.path
                raise
            reserve(draft.fd, draft.nbytes, draft.path)
        except BaseException:
            draft.discard()
            raise
        return draft

    def publish(self, durability: str = "none") -> FileKey:
        """Show the file under its name, whole; return its key.  The descriptor stays open.

        Parameters
        ----------
        durability : {"none", "process", "machine"}
            ``"none"``: the kernel writes the file when it likes.  Else file and directory are
            written to disk first, so that the published file survives a power cut.

        Raises
        ------
        FileExistsError
            The target appeared meanwhile.
        OSError
            The disk refused; the file is discarded, an earlier target is as it was (unless only
            the directory could not be written after the new file had replaced it).
        """
        if durability not in DURABILITIES:
            raise ValueError(f"durability is one of {DURABILITIES}, not {durability!r}")
        if self.fd < 0:
            raise ValueError(f"the draft of {self.path} is closed")
        try:
            if self._part:
                os.fchmod(self.fd, self._mode)
            if durability != "none":
                os.fsync(self.fd)
            if self._overwrite:
                self._check_target()
            try:
                replaced = self._show()
            except OSError as error:
                if self._part or error.errno not in _NO_LINKS:
                    raise
                self._copy_named(durability)
                replaced = self._show()
            if durability != "none":
                try:
                    os.fsync(self._dir)
                except OSError:
                    if not replaced:
                        os.unlink(self._name, dir_fd=self._dir)
                    raise
            return FileKey.of(self.fd, self.path)
        except BaseException:
            self.discard()
            raise

    def give_part_name(self) -> str:
        """Return a path by which other processes, and other machines, can open the file now.

        Whoever ends this process by force may unlink it; see `part_path`.

        Raises
        ------
        PermissionError
            Any user could put another file in its place.
        OSError
            The system gives no name to a file without one.
        """
        if self.fd < 0:
            raise ValueError(f"the draft of {self.path} is closed")
        if not self._part:
            self._check_folder()
            name = self._random_name()
            self._mode = stat.S_IMODE(os.fstat(self.fd).st_mode)
            os.fchmod(self.fd, 0o600)
            source = f"/proc/self/fd/{self.fd}"
            os.link(source, name, dst_dir_fd=self._dir, follow_symlinks=True)
            self._part = name
        return os.path.join(os.path.dirname(self.path), self._part)

    def discard(self) -> None:
        """Close the file; unless it was published, nothing of it is left.  Harmless twice."""
        try:
            if self._part:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._part, dir_fd=self._dir)
        finally:
            self._part = ""
            # Forgotten first: what is closed may be another file's number a moment later.
            open_fds = [fd for fd in (self.fd, self._dir) if fd >= 0]
            self.fd = self._dir = -1
            with contextlib.ExitStack() as closing:
                for fd in open_fds:
                    closing.callback(os.close, fd)

    @property
    def part_path(self) -> str | None:
        return os.path.join(os.path.dirname(self.path), self._part) if self._part else None

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def __repr__(self) -> str:
        state = "closed" if self.fd < 0 else f"fd={self.fd}"
        return f"<Draft of {self.path}: {format_bytes(self.nbytes)}, {state}>"

    def _check_target(self) -> None:
        try:
            found = os.stat(self._name, dir_fd=self._dir, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not self._overwrite:
            raise self._exists()
        if stat.S_ISLNK(found.st_mode):
            # Replacing the link would move the data to this directory's disk, unasked.
            raise NotRegularFileError(
                f"{self.path} is a symbolic link; name the file that it leads to"
            )
        if not stat.S_ISREG(found.st_mode):
            raise NotRegularFileError(f"{self.path} is no regular file and is not overwritten")
        # It will be replaced by way of a temporary name: better refused now than after the run.
        self._check_folder()

    def _exists(self) -> FileExistsError:
        message = "file exists; pass overwrite=True to replace it"
        return FileExistsError(errno.EEXIST, message, self.path)

    def _check_folder(self) -> None:
        """Refuse a temporary name where any user could put another file in its place."""
        found = os.fstat(self._dir)
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise PermissionError(
                errno.EACCES,
                f"any user may replace files in its folder (mode {stat.S_IMODE(found.st_mode):o}), "
                "also the unfinished one; set the sticky bit (chmod +t), or choose another folder",
                self.path,
            )

    def _random_name(self) -> str:
        return f".{self._name[:_NAME_KEPT]}.{secrets.token_hex(8)}.part"

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            # Without /proc it could not be given a name.
            if os.path.isdir("/proc/self/fd"):
                # 0666: the kernel applies the umask, or the directory's default ACL.
                self.fd = os.open(".", flags | os.O_TMPFILE, 0o666, dir_fd=self._dir)
                return
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
        self._open_named()

    def _open_named(self) -> None:
        self._check_folder()
        name = self._random_name()
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self.fd = os.open(name, flags, 0o666, dir_fd=self._dir)
        self._part = name
        # Nobody else looks at the unfinished file: it gets the mode it was made with at the end.
        self._mode = stat.S_IMODE(os.fstat(self.fd).st_mode)
        os.fchmod(self.fd, 0o600)

    def _copy_named(self, durability: str) -> None:
        """Go on with a named copy, where the system gives no name to a file without one."""
        unnamed = self.fd
        try:
            self._open_named()
            reserve(self.fd, self.nbytes, self.path)
            at = 0
            while at < self.nbytes:
                done = os.sendfile(self.fd, unnamed, at, self.nbytes - at)
                if not done:
                    raise OSError(errno.EIO, "the unfinished file ended early", self.path)
                at += done
            os.fchmod(self.fd, self._mode)
            if durability != "none":
                os.fsync(self.fd)
        finally:
            # Without a copy it is still the draft's own, and `discard` closes it.
            if self.fd != unnamed:
                os.close(unnamed)

    def _show(self) -> bool:
        """Give the file its name; tell whether it may have replaced another."""
        source = self._part or f"/proc/self/fd/{self.fd}"
        source_dir = self._dir if self._part else None
        try:
            # The link call refuses an existing name; follow_symlinks leads from /proc to the file.
            os.link(
                source,
                self._name,
                src_dir_fd=source_dir,
                dst_dir_fd=self._dir,
                follow_symlinks=not self._part,
            )
        except FileExistsError:
            if not self._overwrite:
                raise self._exists() from None
        except OSError as error:
            if not self._part or error.errno not in _NO_LINKS:
                raise
            if not self._overwrite:
                self._check_target()
        else:
            if self._part:
                os.unlink(self._part, dir_fd=self._dir)
                self._part = ""
            return False
        if not self._part:
            self._check_folder()
            name = self._random_name()
            os.link(source, name, dst_dir_fd=self._dir, follow_symlinks=True)
            self._part = name
        os.replace(self._part, self._name, src_dir_fd=self._dir, dst_dir_fd=self._dir)
        self._part = ""
        return True
