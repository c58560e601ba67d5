"""A Zarr array's folder, complete before it has its name; touches nothing that is no Zarr array.

The folder is built beside its target as ``.NAME.RANDOM.part``, which only its owner may enter,
with every file that the array will ever have (where chunks are not compressed): all disk blocks
are reserved, so that a later store can neither run out of room nor need a lock.
"""

from __future__ import annotations

import errno
import math
import os
import secrets
import shutil
import stat
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from oocarray.errors import FormatError, NotRegularFileError
from oocarray.storage.aside import set_aside
from oocarray.storage.draft import DURABILITIES
from oocarray.storage.filekey import FileKey
from oocarray.storage.files import PathLike
from oocarray.storage.room import free_room, no_room, reserve
from oocarray.storage.shards import MISSING, pack_index
from oocarray.storage.synctree import sync, sync_tree
from oocarray.storage.zarrcreate import ZarrPlan, plan_zarr
from oocarray.storage.zarrmeta import read_zarr
from oocarray.storage.zarrrecord import ZarrArray
from oocarray.storage.zarrwrites import fill_with, make_room

__all__ = ["ZarrDraft", "create_zarr"]

_NAME_KEPT = 50  # characters of the target's name: 255 bytes must also hold the random part
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class ZarrDraft:
    """A new array in a folder that gets its name by `publish`, or vanishes.

    Attributes
    ----------
    path : str
        The target: where the array will appear.
    folder : str
        Where it is now.
    array : ZarrArray
        The array, in `folder`; for stores before it is published.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     with ZarrDraft.create(os.path.join(parent, "x.zarr"), (4, 6), "f4") as draft:
    ...         before = [name.startswith(".x.zarr.") for name in os.listdir(parent)]
    ...         _ = draft.publish()
    ...     before, os.listdir(parent), sorted(os.listdir(draft.path))
    ([True], ['x.zarr'], ['c', 'zarr.json'])
    """

    array: ZarrArray

    def __init__(self, path: str, overwrite: bool) -> None:
        self.path = path
        self._overwrite = overwrite
        self._state = "new"  # then "part" while the folder exists, "published", "discarded"
        self._mode = 0o700
        self.folder = self._beside("part")

    @classmethod
    def create(
        cls,
        path: PathLike,
        shape: int | Iterable[int],
        dtype: Any,
        *,
        chunks: Any = None,
        shards: Any = "auto",
        fill_value: Any = 0,
        compressors: Any = None,
        dims: Sequence[str | None] | None = None,
        attributes: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        reserved: bool = True,
    ) -> ZarrDraft:
        """Make the folder and, where they are `reserved` and not compressed, all of its files.

        Parameters
        ----------
        path : path-like
            Where the array shall appear; the folder around it must exist.
        shape, dtype, chunks, shards, fill_value, compressors, dims, attributes
            As for `plan_zarr`.
        overwrite : bool
            Whether a Zarr array that is there is replaced, at `publish`.
        reserved : bool
            Whether files of chunks are made; room for them is looked for in any case.  Where
            another library writes, which makes its own and renames them, ours would be in its way.

        Raises
        ------
        FileExistsError
            The target exists.
        FormatError, NotRegularFileError
            `overwrite` is set, but the target is no Zarr array, or a link.
        ValueError, DtypeError, NotImplementedError
            As `plan_zarr`.
        OSError
            ENOSPC, EDQUOT, EFBIG: no room, with the bytes needed and free; nothing is left.
        """
        layout = {"chunks": chunks, "shards": shards, "compressors": compressors}
        labels = {"fill_value": fill_value, "dims": dims, "attributes": attributes}
        plan = plan_zarr(shape, dtype, **layout, **labels)
        draft = cls(os.path.abspath(os.fspath(path)), overwrite)
        try:
            draft._check_target()
            draft._make_folder()
            _write_array(draft.folder, plan, draft.path, reserved)
            draft.array = read_zarr(draft.folder)[0]
        except BaseException:
            draft.discard()
            raise
        return draft

    def publish(self, durability: str = "none") -> FileKey:
        """Show the folder under its name; return the key of its ``zarr.json`` there.

        What was opened in `folder` stays open.  An array that is replaced is moved away first:
        for a moment there is neither.

        Parameters
        ----------
        durability : {"none", "process", "machine"}
            ``"none"``: the kernel writes the files when it likes.  Else all files and folders are
            written to disk first, so that the published array survives a power cut.

        Raises
        ------
        FileExistsError
            The target appeared meanwhile.
        OSError
            The disk refused; the draft is discarded, an earlier target is as it was (unless only
            the folder around them could not be written after the new one had replaced it).
        """
        if durability not in DURABILITIES:
            raise ValueError(f"durability is one of {DURABILITIES}, not {durability!r}")
        if self._state != "part":
            raise ValueError(f"the draft of {self.path} is closed")
        try:
            os.chmod(self.folder, self._mode)
            if durability != "none":
                sync_tree(self.folder)
            old = self._beside("old") if self._check_target() else ""
            with set_aside(self.path, old):
                self._show()
        except BaseException:
            self.discard()
            raise
        self.folder, self._state = self.path, "published"
        try:
            if durability != "none":
                # The folder around it may be had through a link.
                sync(os.path.realpath(os.path.dirname(self.path)))
        finally:
            if old:
                self._remove_old(old)
        key = FileKey.of(os.path.join(self.path, "zarr.json"))
        return key.with_header(self.array.document)

    def discard(self) -> None:
        """Remove the folder, unless it was published.  Harmless twice."""
        if self._state == "part":
            shutil.rmtree(self.folder, ignore_errors=not os.path.lexists(self.folder))
        if self._state != "published":
            self._state = "discarded"

    @property
    def part_path(self) -> str | None:
        """The unfinished folder: whoever ends this process by force may remove it."""
        return self.folder if self._state == "part" else None

    def __enter__(self) -> ZarrDraft:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def _beside(self, suffix: str) -> str:
        parent, name = os.path.split(self.path)
        return os.path.join(parent, f".{name[:_NAME_KEPT]}.{secrets.token_hex(8)}.{suffix}")

    def _check_target(self) -> bool:
        """Tell whether there is an array to be replaced; refuse everything else that is there."""
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return False
        if not self._overwrite:
            raise self._exists()
        if stat.S_ISLNK(found.st_mode):
            # Replacing the link would move the data to this folder's disk, unasked.
            raise NotRegularFileError(
                f"{self.path} is a symbolic link; name the folder that it leads to"
            )
        if not stat.S_ISDIR(found.st_mode):
            raise NotRegularFileError(f"{self.path} is no folder and is not overwritten")
        try:
            read_zarr(self.path)
        except (FormatError, TypeError, OSError) as error:
            raise FormatError(
                f"{self.path} is not a Zarr array and is not overwritten; remove it or choose "
                f"another name ({error})"
            ) from error
        return True

    def _exists(self) -> FileExistsError:
        why = "exists already; pass overwrite=True to replace a Zarr array"
        return FileExistsError(errno.EEXIST, why, self.path)

    def _make_folder(self) -> None:
        try:
            os.mkdir(self.folder, 0o777)
        except OSError as error:
            # The system names the temporary folder, which nobody has heard of.
            error.filename = self.path
            raise
        self._state = "part"
        # Nobody else looks at the unfinished array: it gets the mode it was made with at the end.
        self._mode = stat.S_IMODE(os.stat(self.folder).st_mode)
        os.chmod(self.folder, 0o700)

    def _show(self) -> None:
        # A rename of a folder replaces an empty one without a word, so it is looked for here.
        if os.path.lexists(self.path):
            raise self._exists()
        try:
            os.rename(self.folder, self.path)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise self._exists() from None
            raise

    def _remove_old(self, old: str) -> None:
        try:
            shutil.rmtree(old)
        except OSError as error:
            # Not raised: the new array is there and whole.
            warnings.warn(f"{old} was replaced, but not removed: {error}", stacklevel=3)


def create_zarr(
    path: PathLike, shape: int | Iterable[int], dtype: Any, *, durability: str = "none", **how: Any
) -> ZarrArray:
    """Create a complete Zarr v3 array, every element the fill value, its disk blocks reserved.

    Parameters
    ----------
    path, shape, dtype, **how
        As for :meth:`ZarrDraft.create`.
    durability : {"none", "process", "machine"}
        As for :meth:`ZarrDraft.publish`.

    Raises
    ------
    FileExistsError, FormatError, ValueError, DtypeError, NotImplementedError, OSError
        As :meth:`ZarrDraft.create`; nothing is left behind.
    """
    if durability not in DURABILITIES:
        raise ValueError(f"durability is one of {DURABILITIES}, not {durability!r}")
    with ZarrDraft.create(path, shape, dtype, **how) as draft:
        return replace(draft.array, file=draft.publish(durability), folder=draft.path)


def _write_array(folder: str, plan: ZarrPlan, path: str, reserved: bool) -> None:
    """Write all files into an empty folder; `path` is for the messages."""
    _check_room(folder, plan, path)
    made: set[str] = set()
    for coords in np.ndindex(*plan.grid) if plan.files and reserved else ():
        key = "/".join(["c", *map(str, coords)])
        parent = os.path.dirname(key)
        if parent and parent not in made:
            os.makedirs(os.path.join(folder, parent), exist_ok=True)
            made.add(parent)
        fd = os.open(os.path.join(folder, key), _NEW, 0o666)
        try:
            _write_chunk_file(fd, plan, plan.present(coords), os.path.join(path, key))
        finally:
            os.close(fd)
    # Last: a folder without it is no array, whatever else it holds.
    fd = os.open(os.path.join(folder, "zarr.json"), _NEW, 0o666)
    try:
        _write(fd, plan.document, 0)
    finally:
        os.close(fd)


def _check_room(folder: str, plan: ZarrPlan, path: str) -> None:
    """Compare the sum of all files with what is free: each alone might fit."""
    fd = os.open(folder, _FOLDER)
    try:
        free = free_room(fd, os.path.join(folder, "zarr.json"))
        if free is not None and plan.reserved > free:
            raise no_room(errno.ENOSPC, fd, plan.reserved, path)
    finally:
        os.close(fd)


def _write_chunk_file(fd: int, plan: ZarrPlan, present: np.ndarray[Any, Any], path: str) -> None:
    offsets, index_at, size = plan.slots
    ends = np.append(offsets[1:], np.uint64(index_at))
    # Runs of chunks that meet the array; the slots of others stay holes.
    edges = np.flatnonzero(np.diff(np.concatenate(([False], present, [False])).astype(np.int8)))
    for first, stop in edges.reshape(-1, 2):
        start, end = int(offsets[first]), int(ends[stop - 1])
        if start == 0:
            reserve(fd, end, path)
        elif not make_room(fd, start, end - start, path):
            fill_with(fd, b"\0", start, end - start)
    nbytes = math.prod(plan.inner or plan.chunk) * plan.dtype.itemsize
    if any(plan.fill):
        for at in offsets[present]:
            fill_with(fd, plan.fill, int(at), nbytes)
    if plan.inner is not None:
        os.ftruncate(fd, size)
        at = np.where(present, offsets, np.uint64(MISSING)).astype(np.uint64)
        lengths = np.where(present, np.uint64(nbytes), np.uint64(MISSING)).astype(np.uint64)
        _write(fd, pack_index(at, lengths, True), index_at)


def _write(fd: int, data: bytes | memoryview, at: int) -> None:
    rest = memoryview(data)
    while rest:
        done = os.pwrite(fd, rest, at)
        rest, at = rest[done:], at + done
