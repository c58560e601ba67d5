"""The files of one run: opened once, locked, and seen to be the same at its end; it maps nothing.

Workers open them anew by these descriptors, never by name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import weakref
from collections.abc import Iterable, Iterator

from ..errors import InputChangedError
from ..pages import locks
from ..plan import Blocks, Plan
from ..storage.filekey import MEMORY, FileKey
from ..storage.files import open_regular
from ..storage.layout import Strided
from ..storage.tiled import Tiled
from .files import reopen
from .locking import take
from .shared import lasting

__all__ = ["RunFiles"]

FileId = tuple[int, int]


class RunFiles:
    """Every file that a plan names, open.

    Parameters
    ----------
    plan : Plan
    unnamed : dict
        Descriptors, by device and inode, of new files that have no name yet: nobody else can
        find them, so they are neither locked nor compared.
    lock : bool or None
        As of `oocarray.runtime.locking.take`.

    Raises
    ------
    ArrayLockedError
        Another run is in the way.
    InputChangedError, TruncatedFileError, OSError
        A file is no longer what was opened.
    """

    def __init__(self, plan: Plan, unnamed: dict[FileId, int], lock: bool | None) -> None:
        self._unnamed, self._lock = unnamed, lock
        self._fds: dict[FileId, int] = {}
        self._locked: set[int] = set()
        self._keys: dict[FileId, dict[FileKey, None]] = {}
        self._stamps: dict[FileId, tuple[int, int]] = {}
        self._written = {(key.dev, key.ino) for key in _written(plan)}
        self._stacked = {key.path: stamp for key in _stacked(plan) if (stamp := _state_of(key))}
        """Files of stacks, too many to be held open: they are only compared."""
        _all.add(self)
        try:
            for key in (*_written(plan), *_read(plan)):
                self.fd(key)
        except BaseException:
            self.close()
            raise

    def fd(self, key: FileKey) -> int:
        """Return the run's descriptor of a file, which stays this object's.

        Open for writing if anything in the plan writes it.
        """
        name = key.dev, key.ino
        if key.path == MEMORY:
            return lasting(key)
        if name not in self._fds:
            self._open(key, name)
        elif name not in self._unnamed and key not in self._keys[name]:
            key.check_open(self._fds[name])
            self._keys[name][key] = None
        return self._fds[name]

    def _open(self, key: FileKey, name: FileId) -> None:
        writable = name in self._written
        if name in self._unnamed:
            self._fds[name] = reopen(self._unnamed[name], writable)
            return
        fd = open_regular(key.path, writable)
        try:
            # Locked first: what is then seen to be right stays right.
            held = take(fd, key, writable, self._lock)
            key.check_open(fd)
        except BaseException:
            os.close(fd)
            raise
        if held:
            self._locked.add(fd)
        self._fds[name] = fd
        self._keys[name] = {key: None}
        self._stamps[name] = _stamp(fd)

    def state(self, key: FileKey) -> tuple[int, int] | None:
        """Size and time of a file when the run began; None of what is new or being written."""
        name = key.dev, key.ino
        return None if name in self._written else self._stamps.get(name)

    def check(self) -> None:
        """See that every file is still the one that has its name, and that inputs are unchanged.

        Raises
        ------
        InputChangedError
            An input was written, replaced or removed since the run began.
        FileNotFoundError
            A file that the run has changed lost its name meanwhile, and the changes with it.
        """
        for name, keys in self._keys.items():
            fd = self._fds[name]
            before, now = self._stamps[name], _stamp(fd)
            written = name in self._written
            for key in keys:
                if not written and now != before:
                    raise InputChangedError(
                        f"{key.path} was changed while it was read: size {before[0]} and then "
                        f"{now[0]} bytes, last written {(now[1] - before[1]) / 1e9:.3f} s later "
                        "than before"
                    )
                if now[0] != before[0]:
                    raise InputChangedError(
                        f"{key.path} had {before[0]} bytes when the run began to change it and "
                        f"has {now[0]} now"
                    )
                if not _named(key.path, name):
                    raise _lost(key.path, written)
        for path, state in self._stacked.items():
            if _state_of(path) != state:
                raise InputChangedError(f"{path}, one of a stack, was changed while it was read")

    def close(self, unlock: bool = True) -> None:
        """Let go of the files; harmless twice.

        Parameters
        ----------
        unlock : bool
            False: a worker may still be at work; the lock ends when its copy is closed.
        """
        for fd in self._fds.values():
            if unlock and fd in self._locked:
                locks.unlock(fd)
            with contextlib.suppress(OSError):
                os.close(fd)
        self._fds.clear()
        self._locked.clear()


_all: weakref.WeakSet[RunFiles] = weakref.WeakSet()


def _forget() -> None:
    """In a forked child: the run and its locks are the parent's; no copy stays open here."""
    for files in list(_all):
        files.close(unlock=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _written(plan: Plan) -> Iterator[FileKey]:
    for stage in plan.stages:
        targets: Iterable[object] = (w.target for w in stage.writes if isinstance(w, Blocks))
        yield from _of_files(targets)


def _read(plan: Plan) -> Iterator[FileKey]:
    for stage in plan.stages:
        yield from _of_files(access.source for access in stage.reads)


def _stacked(plan: Plan) -> Iterator[FileKey]:
    for stage in plan.stages:
        for access in stage.reads:
            if isinstance(access.source, Tiled):
                yield from (key for key in access.source.files if key != access.source.file)


def _state_of(file: FileKey | str) -> tuple[int, ...] | None:
    """What is compared of a file of a stack; None of one that is not there: reading it tells."""
    try:
        found = os.stat(file.path if isinstance(file, FileKey) else file)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _of_files(sources: Iterable[object]) -> Iterator[FileKey]:
    for source in sources:
        if isinstance(source, Strided | Tiled) and source.file.path != MEMORY:
            yield source.file


def _named(path: str, name: FileId) -> bool:
    """Whether the path still leads to the file; if that cannot be told, it does."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return (found.st_dev, found.st_ino) == name


def _lost(path: str, written: bool) -> Exception:
    how = "replaced by another file" if os.path.exists(path) else "removed"
    if written and os.path.basename(path) in ("zarr.json", ".zarray"):
        return InputChangedError(
            f"{path} was {how} while the array was changed; the blocks are changed, in its chunks"
        )
    if written:
        return FileNotFoundError(
            errno.ENOENT, f"it was {how} while it was changed, and the changes with it", path
        )
    return InputChangedError(f"{path} was {how} while it was read")


def _stamp(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_size, found.st_mtime_ns
