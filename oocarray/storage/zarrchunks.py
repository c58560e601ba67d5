"""Zarr arrays with one file for each chunk, as tables of pieces; it decodes no chunk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oocarray.errors import CorruptChunkError, InputChangedError
from oocarray.storage.draft import Draft
from oocarray.storage.filekey import FileKey
from oocarray.storage.layout import Strided
from oocarray.storage.pieces import Stretch
from oocarray.storage.zarrfiles import FilePieces
from oocarray.storage.zarrwrites import fill_with
from oocarray.units import format_bytes

if TYPE_CHECKING:
    from oocarray.storage.zarrrecord import ZarrArray
from oocarray.storage.zarrtable import ZarrTable, cuts_of

__all__ = ["ChunkPieces", "ChunkTable", "cuts_of", "piece_layout"]


class ChunkTable(ZarrTable):
    """A Zarr array, v2 or v3, whose chunks lie each in a file of its own, not encoded."""

    __slots__ = ()

    @property
    def apart(self) -> bool:
        """Whether each piece is a file of its own."""
        return True

    def open(self, writable: bool) -> ChunkPieces:
        """Open it in this process.

        Raises
        ------
        InputChangedError, OSError
            The folder is no longer that of the array, or cannot be opened.
        """
        assert not self.array.encoded, self.array
        assert self.array.inner is None, self.array
        return ChunkPieces(self.array, writable)


@dataclass(slots=True)
class _Chunk:
    fd: int
    stretch: Stretch
    changeable: bool


class ChunkPieces(FilePieces[_Chunk]):
    """The chunk files of an array, those used last open."""

    def __init__(self, array: ZarrArray, writable: bool) -> None:
        super().__init__(array, writable, tuple(c.count for c in cuts_of(array.shape, array.chunk)))
        self._nbytes = math.prod(array.chunk) * array.dtype.itemsize

    def find(self, coords: tuple[int, ...]) -> Stretch | None:
        """Where a chunk lies; None where it has no file.

        Raises
        ------
        CorruptChunkError
            The file is shorter or longer than a chunk; also at the edge it has a whole one.
        InputChangedError
            It is another file than when it was opened before, or is gone.
        NotRegularFileError, OSError
            It cannot be opened, or is something else than a file.
        """
        with self._lock:
            chunk = self._files.get(coords) or self._open(coords)
            return chunk.stretch if chunk is not None else None

    def make(self, coords: tuple[int, ...]) -> Stretch:
        """A chunk to be stored into; where it has no file, one is made of the fill value.

        Raises
        ------
        PermissionError, OSError
            It cannot be written; there is no room for it.
        CorruptChunkError, InputChangedError, NotRegularFileError
            As `find`.
        """
        key = self._array.key(coords)
        with self._lock:
            chunk = self._files.get(coords) or self._open(coords)
            if chunk is None:
                self._make_file(key, self._nbytes, self._complete)
                chunk = self._open(coords)
                if chunk is None:
                    raise InputChangedError(f"{self._folder.name(key)} was removed when just made")
            self._require_changeable(key, chunk.changeable)
            self._will_change(key)
            return chunk.stretch

    def _open(self, coords: tuple[int, ...]) -> _Chunk | None:
        self._check_coords(coords)
        key, array = self._array.key(coords), self._array
        with self._opened(key) as found:
            if found is None:
                return None
            fd, now, changeable = found
            if now.st_size != self._nbytes:
                raise CorruptChunkError(
                    f"{self._folder.name(key)}: chunk {coords} has {format_bytes(now.st_size)} "
                    f"({now.st_size}), but a chunk of shape {array.chunk} of {array.dtype} takes "
                    f"{format_bytes(self._nbytes)} ({self._nbytes})",
                    coords,
                )
            # What a run writes changes its time; what it only reads must not.
            parts = (now.st_size,) if self._writable else (now.st_size, now.st_mtime_ns)
            self._remember(key, now, *parts)
            file = self._file_key(key, fd, now)
            layout = piece_layout(array, array.chunk, coords, file, 0)
            return self._files.add(coords, _Chunk(fd, Stretch(fd, layout), changeable))

    def _complete(self, draft: Draft) -> None:
        if any(self._array.fill):
            fill_with(draft.fd, self._array.fill, 0, self._nbytes)


def piece_layout(
    array: ZarrArray, piece: tuple[int, ...], coords: tuple[int, ...], file: FileKey, offset: int
) -> Strided:
    """Where the valid part of a piece lies, which is stored whole: strides are of all of it."""
    strides, step = [0] * len(piece), array.dtype.itemsize
    for axis in reversed(array.order):
        strides[axis] = step
        step *= piece[axis]
    shape = tuple(
        [
            min(length, extent - at * length)
            for extent, length, at in zip(array.shape, piece, coords, strict=True)
        ]
    )
    return Strided(file, offset, shape, array.dtype, tuple(strides))
