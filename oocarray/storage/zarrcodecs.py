"""Zarr arrays whose chunks are compressed or filtered, as tables of pieces; maps nothing."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from oocarray.errors import CorruptChunkError
from oocarray.pages import calls
from oocarray.storage.draft import Draft
from oocarray.storage.pieces import Stretch
from oocarray.storage.shards import MISSING
from oocarray.storage.zarrchains import Chain, Shard, chain_of, encode, read_metadata
from oocarray.storage.zarrfiles import FilePieces
from oocarray.storage.zarrinflate import larger
from oocarray.storage.zarrplain import plain_codecs
from oocarray.storage.zarrrecord import ZarrArray
from oocarray.storage.zarrtable import ZarrTable

__all__ = ["EncodedTable"]

_AHEAD = 1 << 20
"""Bytes that the kernel is asked to read at once: of more it may read only the first."""

Array = np.ndarray[Any, Any]


class EncodedTable(ZarrTable):
    """An array whose chunks must be decoded; of shards, each inner chunk alone."""

    __slots__ = ()

    @property
    def encoded(self) -> bool:
        return True

    @property
    def piece(self) -> tuple[int, ...]:
        return _describe(self.array.document, self.array.version)[0] or self.array.chunk

    @property
    def kind(self) -> str:
        inner, names = _describe(self.array.document, self.array.version)
        shards = ("shards",) if inner else ()
        return ", ".join((f"Zarr v{self.array.version}", *shards, *names))

    def open(self, writable: bool) -> _EncodedPieces:
        """Open it in this process.

        Raises
        ------
        NotImplementedError
            `writable`, but the chunks are inside shards.
        FormatError
            A codec is not known, or makes Python objects.
        InputChangedError, OSError
            As `ChunkFolder`.
        """
        if writable and _describe(self.array.document, self.array.version)[0]:
            raise NotImplementedError(
                f"{self.array.file.path}: compressed chunks inside shards can be read, not "
                "written; store into a new array"
            )
        return _EncodedPieces(self.array, writable, tuple(cut.count for cut in self.cuts))


@lru_cache(maxsize=64)
def _describe(document: bytes, version: int) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
    """Shape of the chunks inside shards, where they can be had alone; names of compressors."""
    said = json.loads(document)
    if version == 2:
        given = [*(said.get("filters") or ()), said.get("compressor")]
        return None, tuple(str(codec["id"]) for codec in given if codec)
    codecs, inner = said["codecs"], None
    if len(codecs) == 1 and _v3_name(codecs[0]) == "sharding_indexed":
        inner = tuple(codecs[0]["configuration"]["chunk_shape"])
        codecs = codecs[0]["configuration"]["codecs"]
    names = [_v3_name(codec) for codec in codecs]
    return inner, tuple(name for name in names if name not in ("bytes", "transpose"))


def _v3_name(codec: Any) -> str:
    name = codec if isinstance(codec, str) else codec["name"]
    return str(name).removeprefix("numcodecs.")


@dataclass(slots=True)
class _OpenShard:
    fd: int
    size: int
    index: Array
    """First byte and length of each inner chunk, (..., 2)."""


class _Place(NamedTuple):
    """Bytes in a file."""

    fd: int
    start: int
    nbytes: int
    part: bool
    """Whether the file has more than these."""


class _EncodedPieces(FilePieces[_OpenShard]):
    """The chunks of one array, decoded when asked for; used by two threads."""

    def __init__(self, array: ZarrArray, writable: bool, counts: tuple[int, ...]) -> None:
        self._chain, self._encode = _codecs_of(array)
        self._inner = _describe(array.document, array.version)[0]
        self.drop = False
        """Whether what a read brings into the page cache, or a write leaves there, goes again."""
        self._rooms = threading.local()
        self._ours: dict[tuple[int, ...], bool] = {}
        """Of what is read ahead: whether that brings it into the page cache."""
        super().__init__(array, writable, counts)

    def find(self, coords: tuple[int, ...]) -> Array | None:
        """The valid part of a chunk, decoded; it may be read-only."""
        data = self._read(coords)
        if data is None:
            return None
        found: Array = self._decoded(coords, self._of_chunk.decode, data)
        piece = self._inner or self._array.chunk
        extents = zip(self._array.shape, piece, coords, strict=True)
        valid = tuple(slice(0, min(step, n - at * step)) for n, step, at in extents)
        # Codecs that convert give the machine's byte order, whatever the file has.
        return found[valid].astype(self._array.dtype, copy=False)

    def find_into(self, coords: tuple[int, ...], out: Array) -> bool:
        """Decode a whole chunk, also what lies behind the array's end, into an array.

        Returns
        -------
        bool
            False, and `out` is as it was: there is no such chunk; or its elements do not lie in
            `out` as they do in the file, of one shape and dtype and in C order.  Then use `find`.
        """
        if not self._of_chunk.fits(out):
            return False
        data = self._read(coords, reuse=True)
        if data is None:
            return False
        self._decoded(coords, self._of_chunk.decode_into, data, out)
        return True

    @property
    def _of_chunk(self) -> Chain:
        """What decodes a piece."""
        shard = self._chain.shard
        return shard.inner if self._inner is not None and shard is not None else self._chain

    def ahead(self, coords: tuple[int, ...]) -> None:
        """Have the disk begin to read the bytes of a piece; do not wait."""
        with self._place(coords) as place:
            if place is None:
                return
            if self.drop:
                self._ours[coords] = self._brings(place)
            for at in range(place.start, place.start + place.nbytes, _AHEAD):
                calls.will_need(place.fd, at, min(_AHEAD, place.start + place.nbytes - at))

    def _read(self, coords: tuple[int, ...], reuse: bool = False) -> Array | None:
        """The bytes of an encoded piece; with `reuse` until this thread reads the next."""
        try:
            with self._place(coords) as place:
                if place is None:
                    return None
                data = self._room(place.nbytes, reuse)
                self._fill(place, data, self._ours.pop(coords, None))
                return data
        except EOFError as error:
            raise self._corrupt(coords, str(error)) from error

    def _decoded(self, coords: tuple[int, ...], decode: Callable[..., Any], *given: Any) -> Any:
        try:
            return decode(*given)
        except MemoryError:
            raise
        except Exception as error:
            raise self._corrupt(coords, str(error) or type(error).__name__) from error

    def make(self, coords: tuple[int, ...]) -> Stretch:
        """Never called: encoded chunks are put as a whole."""
        raise AssertionError(f"piece {coords} of {self._array.folder} is encoded")

    def put(self, coords: tuple[int, ...], block: Array) -> None:
        """Encode a whole chunk and show it in place of the one before."""
        self._check_coords(coords)
        if block.shape == self._array.chunk:
            full = block.astype(self._array.dtype, copy=False)
        else:
            full = np.full(self._array.chunk, self._array.fill_value, self._array.dtype)
            full[tuple(slice(0, extent) for extent in block.shape)] = block
        self._replace(self._array.key(coords), self._encode(full, coords))

    def _replace(self, key: str, data: memoryview) -> None:
        above, _, name = key.rpartition("/")
        try:
            with self._lock:
                folder = self._folder._enter(above, make=True)
                # It opens the folder for itself: ours may be closed without the lock.
                draft = Draft.create(f"/proc/self/fd/{folder}/{name}", len(data), overwrite=True)
            with draft:
                at = 0
                while at < len(data):
                    at += os.pwrite(draft.fd, data[at:], at)
                if self.drop and calls.wait_written(draft.fd, 0, len(data)):
                    calls.drop_cached(draft.fd, 0, len(data))
                draft.publish("none")
        except OSError as error:
            error.filename = self._folder.name(key)
            raise
        with self._lock:
            self._folder.made.add(above)
            self._will_change(key)

    def _corrupt(self, coords: tuple[int, ...], why: str) -> CorruptChunkError:
        return CorruptChunkError(f"{self._array.folder}, chunk {coords}: {why}", chunk=coords)

    @contextlib.contextmanager
    def _place(self, coords: tuple[int, ...]) -> Iterator[_Place | None]:
        """Where the bytes of an encoded piece are; None where there is no such piece."""
        self._check_coords(coords)
        shard = self._chain.shard
        inner = self._inner is not None and shard is not None
        found = self._in_shard(coords, shard) if inner else self._in_file(coords)  # type: ignore[arg-type]
        try:
            yield found
        finally:
            if found is not None:
                os.close(found.fd)

    def _in_file(self, coords: tuple[int, ...]) -> _Place | None:
        key = self._array.key(coords)
        with self._lock, self._opened(key) as opened:
            if opened is None:
                return None
            fd, now, _ = opened
            if not self._writable:
                self._remember(key, now, now.st_size, now.st_mtime_ns)
        if now.st_size > self._chain.most:
            os.close(fd)
            raise self._corrupt(coords, larger(now.st_size, self._chain.most))
        return _Place(fd, 0, now.st_size, False)

    def _in_shard(self, coords: tuple[int, ...], shard: Shard) -> _Place | None:
        outer = tuple(at // n for at, n in zip(coords, shard.grid, strict=True))
        inside = tuple(at % n for at, n in zip(coords, shard.grid, strict=True))
        with self._lock:
            opened = self._files.get(outer) or self._open_shard(outer, coords, shard)
            if opened is None:
                return None
            start, count = (int(number) for number in opened.index[inside])
            if (start, count) == (MISSING, MISSING):
                return None
            if start + count > opened.size or count > shard.inner.most:
                raise self._corrupt(
                    coords,
                    f"its shard's index says {count} bytes from byte {start} on, but the file has "
                    f"{opened.size} and a chunk at most {shard.inner.most}",
                )
            # A shard may be closed by another thread as soon as the lock is let go of.
            return _Place(os.dup(opened.fd), start, count, True)

    def _open_shard(
        self, outer: tuple[int, ...], coords: tuple[int, ...], shard: Shard
    ) -> _OpenShard | None:
        key = self._array.key(outer)
        with self._opened(key) as opened:
            if opened is None:
                return None
            fd, now, _ = opened
            self._remember(key, now, now.st_size, now.st_mtime_ns)
            length = shard.index_bytes
            if now.st_size < length:
                why = f"its shard has {now.st_size} bytes, and the index alone has {length}"
                raise self._corrupt(coords, why)
            try:
                raw = np.empty(length, np.uint8)
                start = now.st_size - length if shard.at_end else 0
                self._fill(_Place(fd, start, length, True), raw)
                index = shard.index.decode(raw)
            except Exception as error:
                raise self._corrupt(coords, f"index of shard {key}: {error}") from error
            return self._files.add(outer, _OpenShard(fd, now.st_size, index))

    def _room(self, count: int, reuse: bool) -> Array:
        """Where to read bytes to; pages that are used again need not be made anew."""
        if not reuse:
            return np.empty(count, np.uint8)
        room: Array | None = getattr(self._rooms, "room", None)
        if room is None or room.nbytes < count:
            room = self._rooms.room = np.empty(count + count // 8, np.uint8)
        return room[:count]

    def _brings(self, place: _Place) -> bool:
        """Whether reading it brings most of it into the page cache."""
        # The page that the part before ends in was left by it, and says nothing of this one.
        end, whole = place.start + place.nbytes, place.start + -place.start % calls.PAGE
        cached = calls.cached_bytes(place.fd, whole, end - whole) if end > whole else None
        ours = cached is not None and cached * 2 < end - whole
        if ours and place.part:
            with contextlib.suppress(OSError):
                # Else the kernel reads ahead, by as much again: nobody would let go of that, and
                # it would look as if it had been there before.
                os.posix_fadvise(place.fd, 0, 0, os.POSIX_FADV_RANDOM)
        return ours

    def _fill(self, place: _Place, data: Array, ours: bool | None = None) -> None:
        """Read bytes of a file; let go of their pages if most of them were not cached before."""
        if ours is None:
            ours = self.drop and self._brings(place)
        try:
            _read(place.fd, place.start, data)
        finally:
            if ours:
                first = place.start - place.start % calls.PAGE
                calls.drop_cached(place.fd, first, place.start + place.nbytes - first)


def _codecs_of(array: ZarrArray) -> tuple[Chain, Callable[[Array, tuple[int, ...]], memoryview]]:
    """What decodes the chunks of an array, and what encodes them."""
    plain = plain_codecs(array)
    if plain is not None:
        encoder = plain.encode
        return plain.chain, lambda full, coords: encoder(full)
    metadata = read_metadata(array)
    return chain_of(array, metadata), lambda full, coords: encode(metadata, full, coords)


def _read(fd: int, at: int, data: Array) -> None:
    done, count = 0, data.nbytes
    while done < count:
        now = os.preadv(fd, [data[done:].data], at + done)
        if not now:
            raise EOFError(f"the file ends at byte {at + done}, before byte {at + count}")
        done += now
