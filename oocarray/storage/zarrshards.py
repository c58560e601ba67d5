"""Zarr arrays whose chunks lie in shards, as tables of pieces; it never moves what a shard holds.

Other processes may have mapped a shard while a chunk is added to it.  So nothing in it moves,
and the file is never replaced by a copy: what they store meanwhile would be lost with it.  In
each state that the file has on its way, other libraries read all chunks that were there:

1. Where no slot is free the file grows, once for all chunks that are missing; an index at its
   end is first written, as it was, at the new end.
2. The chunk is filled in its slot.
3. The new index is written over the old one, by one call.

All of that under an exclusive lock on the shard, after the index was read again: another process
may have added the same chunk.  (The system may write the new end in several steps if an index is
longer than a page; if the machine kills the process between these, the shard's end is lost.)
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from oocarray.errors import CorruptChunkError, FormatError, InputChangedError
from oocarray.storage import shards
from oocarray.storage.draft import Draft
from oocarray.storage.filekey import FileKey
from oocarray.storage.pieces import Stretch
from oocarray.storage.zarrchunks import piece_layout
from oocarray.storage.zarrfiles import FilePieces
from oocarray.storage.zarrtable import ZarrTable, cuts_of
from oocarray.storage.zarrwrites import (
    fill_with,
    make_room,
    read_range,
    waiting_lock,
    write_once,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oocarray.storage.zarrrecord import ZarrArray

__all__ = ["ShardPieces", "ShardTable"]

_OPEN_ENTRIES = 1 << 23  # entries of all open shards together: 128 MiB
_MOST_OPEN = 32
_LAYOUTS = 512  # kept for each open shard


class ShardTable(ZarrTable):
    """A Zarr array whose inner chunks lie in shards, not encoded."""

    __slots__ = ()

    @property
    def piece(self) -> tuple[int, ...]:
        assert self.array.inner is not None, self.array
        return self.array.inner

    def open(self, writable: bool) -> ShardPieces:
        """Open it in this process.

        Raises
        ------
        FormatError
            The shards have more inner chunks than an index is read with.
        InputChangedError, OSError
            The folder is no longer that of the array, or cannot be opened.
        """
        assert not self.array.encoded, self.array
        return ShardPieces(self.array, writable)


@dataclass(slots=True)
class _Shard:
    """An open shard, and its index, which was found to be true."""

    fd: int
    file: FileKey
    changeable: bool
    offsets: NDArray[np.uint64]
    index: int
    """First byte of the index."""
    found: dict[int, Stretch] = field(default_factory=dict)


class ShardPieces(FilePieces[_Shard]):
    """The inner chunks of an array, the shards used last open.

    An object that is not writable takes an index as it was when the shard was opened.  A writable
    one looks again for chunks that were missing, since other processes of its run add some: what
    a run both reads and changes is opened writable.
    """

    def __init__(self, array: ZarrArray, writable: bool) -> None:
        assert array.inner is not None, array
        self._inner = array.inner
        self._grid = shards.inner_grid(array.chunk, array.inner)
        self._total = math.prod(self._grid)
        self._piece = math.prod(array.inner) * array.dtype.itemsize
        self._length = shards.index_bytes(self._total, array.index_crc)
        most = min(_MOST_OPEN, _OPEN_ENTRIES // self._total)
        super().__init__(
            array, writable, tuple(c.count for c in cuts_of(array.shape, array.inner)), most
        )

    def find(self, coords: tuple[int, ...]) -> Stretch | None:
        """Where an inner chunk lies; None where its shard has none of that place, or is missing.

        Raises
        ------
        CorruptChunkError
            The index of the shard cannot be true.
        InputChangedError
            The shard is another file than when it was opened before, or is gone.
        NotRegularFileError, OSError
            It cannot be opened, or is something else than a file.
        """
        at, number = self._place(coords)
        with self._lock:
            shard = self._files.get(at) or self._open(at, coords)
            if shard is None:
                return None
            stretch = shard.found.get(number)
            if stretch is not None:
                return stretch
            if self._writable and self._is_missing(shard, number):
                self._look_again(shard, at, number)
            if self._is_missing(shard, number):
                return None
            return self._stretch(shard, coords, number)

    def make(self, coords: tuple[int, ...]) -> Stretch:
        """An inner chunk to be stored into; where there is none, it is made of the fill value.

        Raises
        ------
        ArrayLockedError
            Somebody has had the shard locked for a minute.
        PermissionError, OSError
            It cannot be written; there is no room for it; the file system has no locks.
        CorruptChunkError, InputChangedError, NotRegularFileError
            As `find`.
        """
        at, number = self._place(coords)
        key = self._array.key(at)
        with self._lock:
            shard = self._files.get(at) or self._open(at, coords)
            if shard is None:
                self._make_file(key, 0, self._complete)
                shard = self._open(at, coords)
                if shard is None:
                    raise InputChangedError(f"{self._folder.name(key)} was removed when just made")
            self._require_changeable(key, shard.changeable)
            self._will_change(key)
            if self._is_missing(shard, number):
                with waiting_lock(shard.fd, shard.file, exclusive=True):
                    self._require_same(shard, key)
                    lengths = self._reload(shard, at)
                    if self._is_missing(shard, number):
                        self._add(shard, number, lengths)
            return shard.found.get(number) or self._stretch(shard, coords, number)

    def _place(self, coords: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """Coordinates of the shard, and the number of the inner chunk in its index."""
        at, number = [], 0
        for place, count in zip(coords, self._grid, strict=True):
            at.append(place // count)
            number = number * count + place % count
        return tuple(at), number

    def _global(self, at: tuple[int, ...], number: int) -> tuple[int, ...]:
        """Coordinates of an inner chunk in the array, from its number in a shard."""
        inside = np.unravel_index(number, self._grid) if self._grid else ()
        return tuple(
            shard * count + int(place)
            for shard, count, place in zip(at, self._grid, inside, strict=True)
        )

    def _is_missing(self, shard: _Shard, number: int) -> bool:
        return bool(shard.offsets.item(number) == shards.MISSING)

    def _stretch(self, shard: _Shard, coords: tuple[int, ...], number: int) -> Stretch:
        self._check_coords(coords)
        offset = shard.offsets.item(number)
        layout = piece_layout(self._array, self._inner, coords, shard.file, offset)
        if len(shard.found) >= _LAYOUTS:
            shard.found.clear()
        return shard.found.setdefault(number, Stretch(shard.fd, layout))

    def _open(self, at: tuple[int, ...], coords: tuple[int, ...]) -> _Shard | None:
        self._check_coords(coords)
        key = self._array.key(at)
        with self._opened(key) as found:
            if found is None:
                return None
            fd, now, changeable = found
            shard = _Shard(fd, self._file_key(key, fd, now), changeable, np.empty(0, np.uint64), 0)
            if self._writable:
                self._remember(key, now)
                with waiting_lock(shard.fd, shard.file, exclusive=False):
                    self._reload(shard, at)
            else:
                self._remember(key, now, now.st_size, now.st_mtime_ns)
                self._reload(shard, at)
            return self._files.add(at, shard)

    def _reload(self, shard: _Shard, at: tuple[int, ...]) -> NDArray[np.uint64]:
        """Read the index of a shard and hold it against the file; return the lengths in it."""
        path = shard.file.path
        what = f"{path}: the index of shard {self._array.key(at)}"
        size = os.fstat(shard.fd).st_size
        first = self._global(at, 0)
        if size < self._length:
            raise CorruptChunkError(
                f"{what} of {self._total} inner chunks takes {self._length} bytes, but the file "
                f"has {size}",
                first,
            )
        index, start, stop = self._parts(size)
        try:
            raw = read_range(shard.fd, index, self._length)
            offsets, lengths = shards.parse_index(raw, self._total, self._array.index_crc)
        except FormatError as error:
            raise CorruptChunkError(f"{what} is damaged: {error}", first) from None
        flaw = shards.find_flaw(offsets, lengths, self._piece, start, stop)
        if flaw is not None:
            chunk = self._global(at, flaw[0])
            raise CorruptChunkError(f"{what} is wrong about chunk {chunk}: {flaw[1]}", chunk)
        if size != shard.file.size:
            shard.file = FileKey.of(shard.fd, path)
            shard.found.clear()
        shard.offsets, shard.index = offsets, index
        return lengths

    def _parts(self, size: int) -> tuple[int, int, int]:
        """Where the index begins in a shard of `size` bytes, and the bytes for inner chunks."""
        if self._array.index_at == "start":
            return 0, self._length, size
        return size - self._length, 0, size - self._length

    def _look_again(self, shard: _Shard, at: tuple[int, ...], number: int) -> None:
        """Read the index anew if another process has added this chunk, or made the file longer."""
        if os.fstat(shard.fd).st_size == shard.file.size:
            entry = os.pread(shard.fd, 16, shard.index + 16 * number)
            if entry == b"\xff" * 16:
                return
        with waiting_lock(shard.fd, shard.file, exclusive=False):
            self._reload(shard, at)

    def _require_same(self, shard: _Shard, key: str) -> None:
        """What is added to a file without a name is lost."""
        now = self._folder.state(key)
        if now is None or (now.st_dev, now.st_ino) != (shard.file.dev, shard.file.ino):
            raise InputChangedError(f"{shard.file.path} was replaced while it was changed")

    def _complete(self, draft: Draft) -> None:
        """Give an unfinished file the size and index of a shard without inner chunks.

        Room is reserved for each of them when it is made: a shard at the edge never has all.
        """
        array = self._array
        _, index, size = shards.canonical_slots(
            array.chunk,
            self._inner,
            array.dtype.itemsize,
            index_at=array.index_at,
            crc=array.index_crc,
        )
        os.ftruncate(draft.fd, size)
        draft.nbytes = size
        none = np.full(self._total, shards.MISSING, np.uint64)
        write_once(draft.fd, shards.pack_index(none, none, array.index_crc), index, draft.path)

    def _add(self, shard: _Shard, number: int, lengths: NDArray[np.uint64]) -> None:
        """Fill a slot for a missing inner chunk, and then say where it is."""
        fd, path = shard.fd, shard.file.path
        slot, unit = shards.slot_bytes(self._piece)
        base = -(-self._length // unit) * unit if self._array.index_at == "start" else 0
        wanted = base + number * slot
        _, start, stop = self._parts(shard.file.size)
        where = shards.free_slot(shard.offsets, self._piece, start, stop, wanted, unit)
        if where is None:
            self._grow(shard, lengths)
            _, start, stop = self._parts(shard.file.size)
            where = shards.free_slot(shard.offsets, self._piece, start, stop, wanted, unit)
        assert where is not None, (path, number, shard.file.size)
        zero = not any(self._array.fill)
        if not (make_room(fd, where, self._piece, path) and zero):
            fill_with(fd, self._array.fill, where, self._piece)
        offsets = shard.offsets.copy()
        offsets[number], lengths[number] = where, self._piece
        raw = shards.pack_index(offsets, lengths, self._array.index_crc)
        write_once(fd, raw, shard.index, path)
        shard.offsets = offsets

    def _grow(self, shard: _Shard, lengths: NDArray[np.uint64]) -> None:
        """Make a shard longer by slots for all inner chunks that are missing; they are holes."""
        slot, unit = shards.slot_bytes(self._piece)
        _, _, stop = self._parts(shard.file.size)
        missing = int(np.count_nonzero(shard.offsets == shards.MISSING))
        end = -(-stop // unit) * unit + missing * slot
        if self._array.index_at == "start":
            os.ftruncate(shard.fd, end)
        else:
            # Not over the index as it is: until this one is there, that one counts.
            end = max(end, shard.file.size)
            raw = shards.pack_index(shard.offsets, lengths, self._array.index_crc)
            write_once(shard.fd, raw, end, shard.file.path)
        shard.file = FileKey.of(shard.fd, shard.file.path)
        shard.index, _, _ = self._parts(shard.file.size)
        shard.found.clear()
