"""Chunks that are compressed or filtered, by zarr-python's codecs; believes no size that they say.

What a chunk decodes to is known from its array before a byte of it is read.  Sizes that stand in
a compressed frame are compared with that, and decoders that know no size are stopped at it: a
kilobyte that would become gigabytes is an error, not the end of the process.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from oocarray.errors import CorruptChunkError, FormatError
from oocarray.storage.draft import Draft
from oocarray.storage.filekey import FileKey
from oocarray.storage.pieces import Cuts, Stretch
from oocarray.storage.shards import MAX_ENTRIES, MISSING
from oocarray.storage.zarrchunks import cuts_of
from oocarray.storage.zarrfiles import FilePieces
from oocarray.storage.zarrrecord import ZarrArray

__all__ = ["EncodedTable"]

Array = np.ndarray[Any, Any]

_SPARE = 1 << 20  # what an intermediate result may have more than the chunk
_LZMA_MEMORY = 128 << 20  # the strongest preset takes 65 MiB, whatever the chunk's size
_STREAMS = 1000  # one behind the other; what follows each is copied
# They make Python objects, one of them by running what the chunk says.
_OBJECTS = ("pickle", "json2", "msgpack2", "vlen-utf8", "vlen-bytes", "vlen-array")
_CHECKSUMS = ("crc32c", "crc32", "adler32", "fletcher32", "jenkins_lookup3")
_RETYPED = ("delta", "fixedscaleoffset", "quantize", "categorize", "astype")


@dataclass(frozen=True, slots=True)
class EncodedTable:
    """An array whose chunks must be decoded; of shards, each inner chunk alone."""

    array: ZarrArray

    @property
    def file(self) -> FileKey:
        return self.array.file

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def cuts(self) -> tuple[Cuts, ...]:
        inner = _describe(self.array.document, self.array.version)[0]
        return cuts_of(self.array.shape, inner or self.array.chunk)

    @property
    def fill(self) -> Any:
        return self.array.fill_value

    @property
    def encoded(self) -> bool:
        return True

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


class _EncodedPieces(FilePieces[_OpenShard]):
    """The chunks of one array, decoded when asked for; used by two threads."""

    def __init__(self, array: ZarrArray, writable: bool, counts: tuple[int, ...]) -> None:
        self._metadata = _metadata(array)
        self._chain = _chain_of(array, self._metadata)
        self._inner = _describe(array.document, array.version)[0]
        super().__init__(array, writable, counts)

    def find(self, coords: tuple[int, ...]) -> Array | None:
        """The valid part of a chunk, decoded; it may be read-only."""
        self._check_coords(coords)
        chain, shard = self._chain, self._chain.shard
        try:
            if self._inner is not None and shard is not None:
                data, chain = self._read_inner(coords, shard), shard.inner
            else:
                data = self._read_file(coords)
        except EOFError as error:
            raise self._corrupt(coords, str(error)) from error
        if data is None:
            return None
        try:
            found = chain.decode(data)
        except MemoryError:
            raise
        except Exception as error:
            raise self._corrupt(coords, str(error) or type(error).__name__) from error
        piece = self._inner or self._array.chunk
        extents = zip(self._array.shape, piece, coords, strict=True)
        valid = tuple(slice(0, min(step, n - at * step)) for n, step, at in extents)
        # Codecs that convert give the machine's byte order, whatever the file has.
        return found[valid].astype(self._array.dtype, copy=False)

    def make(self, coords: tuple[int, ...]) -> Stretch:
        """Never called: encoded chunks are put as a whole."""
        raise AssertionError(f"piece {coords} of {self._array.folder} is encoded")

    def put(self, coords: tuple[int, ...], block: Array) -> None:
        """Encode a whole chunk and show it in place of the one before."""
        self._check_coords(coords)
        full = np.full(self._array.chunk, self._array.fill_value, self._array.dtype)
        full[tuple(slice(0, extent) for extent in block.shape)] = block
        self._replace(self._array.key(coords), _encode(self._metadata, full, coords))

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
                draft.publish("none")
        except OSError as error:
            error.filename = self._folder.name(key)
            raise
        with self._lock:
            self._folder.made.add(above)
            self._will_change(key)

    def _corrupt(self, coords: tuple[int, ...], why: str) -> CorruptChunkError:
        return CorruptChunkError(f"{self._array.folder}, chunk {coords}: {why}", chunk=coords)

    def _read_file(self, coords: tuple[int, ...]) -> Array | None:
        key = self._array.key(coords)
        with self._lock, self._opened(key) as opened:
            if opened is None:
                return None
            fd, now, _ = opened
            if not self._writable:
                self._remember(key, now, now.st_size, now.st_mtime_ns)
        try:
            if now.st_size > self._chain.most:
                raise self._corrupt(coords, _larger(now.st_size, self._chain.most))
            return _read(fd, 0, now.st_size)
        finally:
            os.close(fd)

    def _read_inner(self, coords: tuple[int, ...], shard: _Shard) -> Array | None:
        outer = tuple(at // n for at, n in zip(coords, shard.grid, strict=True))
        place = tuple(at % n for at, n in zip(coords, shard.grid, strict=True))
        with self._lock:
            opened = self._files.get(outer) or self._open_shard(outer, coords, shard)
            if opened is None:
                return None
            # A shard may be closed by another thread as soon as the lock is let go of.
            fd = os.dup(opened.fd)
        try:
            start, count = (int(number) for number in opened.index[place])
            if (start, count) == (MISSING, MISSING):
                return None
            if start + count > opened.size or count > shard.inner.most:
                raise self._corrupt(
                    coords,
                    f"its shard's index says {count} bytes from byte {start} on, but the file has "
                    f"{opened.size} and a chunk at most {shard.inner.most}",
                )
            return _read(fd, start, count)
        finally:
            os.close(fd)

    def _open_shard(
        self, outer: tuple[int, ...], coords: tuple[int, ...], shard: _Shard
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
                raw = _read(fd, now.st_size - length if shard.at_end else 0, length)
                index = shard.index.decode(raw)
            except Exception as error:
                raise self._corrupt(coords, f"index of shard {key}: {error}") from error
            return self._files.add(outer, _OpenShard(fd, now.st_size, index))


def _read(fd: int, at: int, count: int) -> Array:
    data = np.empty(count, np.uint8)
    done = 0
    while done < count:
        now = os.preadv(fd, [data[done:].data], at + done)
        if not now:
            raise EOFError(f"the file ends at byte {at + done}, before byte {at + count}")
        done += now
    return data


@dataclass(slots=True)
class _Chain:
    """Codecs of one shape of chunks: what undoes each, and the sizes that it must give."""

    shape: tuple[int, ...]
    undo_arrays: list[Callable[[Array], Array]]
    """From an array to the array before, the last codec's first."""
    to_array: Callable[[Any], Array]
    undo_bytes: list[tuple[Callable[[Any, int | None, int], Any], int | None]]
    """From bytes to the bytes before, with their number where it is known."""
    limit: int
    """Bytes that a result of unknown size may have."""
    encoded_bytes: int | None
    """Bytes of an encoded chunk, where all have as many."""
    shard: _Shard | None = None

    @property
    def most(self) -> int:
        """Bytes that an encoded chunk may have: no codec doubles its input."""
        return 2 * self.limit

    def decode(self, data: Any) -> Array:
        """The chunk, of the shape of its array's chunks."""
        for undo, size in self.undo_bytes:
            data = undo(data, size, self.limit)
            found = _flat(data).nbytes
            if size is None and found > self.limit:
                raise ValueError(_larger(found, self.limit))
            if size is not None and found != size:
                raise ValueError(_other(found, size))
        array = self.to_array(data)
        for undo_array in self.undo_arrays:
            array = undo_array(array)
        if array.shape != self.shape:
            raise ValueError(f"it decodes to shape {array.shape} instead of {self.shape}")
        return array


@dataclass(slots=True)
class _Shard:
    """What is inside a shard."""

    grid: tuple[int, ...]
    index: _Chain
    inner: _Chain
    at_end: bool
    index_bytes: int


def _metadata(array: ZarrArray) -> Any:
    """The document as zarr-python understands it."""
    from zarr.core.metadata.v2 import ArrayV2Metadata
    from zarr.core.metadata.v3 import ArrayV3Metadata

    said = json.loads(array.document)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if array.version == 3:
                return ArrayV3Metadata.from_dict(said)
            return ArrayV2Metadata.from_dict({"attributes": {}, **said})
    except Exception as error:
        raise FormatError(
            f"{array.file.path}: zarr-python cannot decode its chunks: {error}"
        ) from error


def _chain_of(array: ZarrArray, metadata: Any) -> _Chain:
    try:
        if array.version == 2:
            return _chain_v2(array, metadata)
        return _chain_v3(metadata.codecs, _spec(metadata))
    except FormatError as error:
        raise FormatError(f"{array.file.path}: {error}") from error


def _spec(metadata: Any) -> Any:
    from zarr.core.array_spec import ArrayConfig
    from zarr.core.buffer.cpu import buffer_prototype

    config = ArrayConfig(getattr(metadata, "order", "C"), write_empty_chunks=True)
    return metadata.get_chunk_spec((), config, buffer_prototype)


def _chain_v2(array: ZarrArray, metadata: Any) -> _Chain:
    filters, compressor = metadata.filters or (), metadata.compressor
    count = math.prod(array.chunk)
    limit = nbytes = count * array.dtype.itemsize
    size: int | None = nbytes
    undo = []
    for codec in (*filters, *((compressor,) if compressor else ())):
        config = codec.get_config()
        undo.append((_undo_bytes(str(config["id"]), codec.decode, config), size))
        size = _size_after(config, size, count)
        limit = max(limit, size or 0)

    def to_array(data: Any) -> Array:
        flat = _flat(data)
        if flat.nbytes != nbytes:
            raise ValueError(_other(flat.nbytes, nbytes))
        return flat.view(array.dtype).reshape(array.chunk, order=metadata.order)

    return _Chain(array.chunk, [], to_array, undo[::-1], limit + _SPARE, size)


def _size_after(config: Any, size: int | None, count: int) -> int | None:
    """Bytes that a codec makes of `size`, where they do not depend on what the bytes are."""
    name = config["id"]
    if name in _RETYPED:
        kind = config.get("encode_dtype") or config.get("astype") or config["dtype"]
        return count * int(np.dtype(kind).itemsize)
    if name == "packbits":
        return 1 + -(-count // 8)
    if size is None or name in ("shuffle", "bitround"):
        return size
    return size + 4 if name in _CHECKSUMS else None


def _chain_v3(codecs: Sequence[Any], spec: Any) -> _Chain:
    from zarr.abc.codec import ArrayArrayCodec
    from zarr.core.codec_pipeline import codecs_from_list

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, to_bytes, _ = codecs_from_list(codecs)
    shape, undo_arrays = spec.shape, []
    limit = math.prod(spec.shape) * spec.dtype.to_native_dtype().itemsize
    rest = list(codecs)
    while isinstance(rest[0], ArrayArrayCodec):
        codec = rest.pop(0)
        undo_arrays.append(_undo_array(codec, spec))
        spec = codec.resolve_metadata(spec)
    to_array, size, shard = _undo_to_bytes(to_bytes, spec)
    limit = max(limit, size or 0)
    if shard is not None:
        limit = limit * 2 + shard.index_bytes
    undo_bytes = []
    for codec in rest[1:]:
        config = _config(codec)
        undo_bytes.append((_undo_bytes(config["id"], _decoder(codec, spec), config), size))
        size = _size_after(config, size, 0)
    return _Chain(shape, undo_arrays[::-1], to_array, undo_bytes[::-1], limit + _SPARE, size, shard)


def _undo_array(codec: Any, spec: Any) -> Callable[[Array], Array]:
    config = _config(codec)
    if config["id"] == "transpose":
        back = tuple(int(axis) for axis in np.argsort(codec.order))
        return lambda array: array.transpose(back)
    decode = _decoder(codec, spec, "nd_buffer")
    return lambda array: np.asarray(decode(array)).reshape(spec.shape)


def _undo_to_bytes(
    codec: Any, spec: Any
) -> tuple[Callable[[Any], Array], int | None, _Shard | None]:
    """The step between bytes and array: its inverse, the size of its bytes, what is inside."""
    name = _config(codec)["id"]
    if name == "bytes":
        dtype = spec.dtype.to_native_dtype()
        if codec.endian is not None:
            dtype = dtype.newbyteorder({"big": ">", "little": "<"}[codec.endian.value])
        size = math.prod(spec.shape) * dtype.itemsize

        def view(data: Any) -> Array:
            flat = _flat(data)
            if flat.nbytes != size:
                raise ValueError(_other(flat.nbytes, size))
            found: Array = flat.view(dtype).reshape(spec.shape)
            return found

        return view, size, None
    if name == "sharding_indexed":
        shard = _shard_of(codec, spec)
        return lambda data: _decode_shard(shard, spec, data), None, shard
    decode = _decoder(codec, spec)
    return lambda data: np.asarray(decode(data)).reshape(spec.shape), None, None


def _shard_of(codec: Any, spec: Any) -> _Shard:
    from dataclasses import replace

    from zarr.dtype import UInt64

    grid = tuple(n // step for n, step in zip(spec.shape, codec.chunk_shape, strict=True))
    if math.prod(grid) > MAX_ENTRIES:
        raise FormatError(f"shards of {math.prod(grid)} chunks; at most {MAX_ENTRIES} are read")
    entry = replace(spec, shape=(*grid, 2), dtype=UInt64(), fill_value=np.uint64(MISSING))
    index = _chain_v3(codec.index_codecs, entry)
    if index.encoded_bytes is None:
        raise FormatError("the index of its shards has no fixed size")
    inner = _chain_v3(codec.codecs, replace(spec, shape=codec.chunk_shape))
    at_end = codec.index_location.value == "end"
    return _Shard(grid, index, inner, at_end, index.encoded_bytes)


def _decode_shard(shard: _Shard, spec: Any, data: Any) -> Array:
    """A whole shard, where other codecs stand around it."""
    raw, length = _flat(data), shard.index_bytes
    if raw.size < length:
        raise ValueError(f"a shard of {raw.size} bytes, of which the index alone has {length}")
    index = shard.index.decode(raw[raw.size - length :] if shard.at_end else raw[:length])
    whole = np.full(spec.shape, spec.fill_value, spec.dtype.to_native_dtype())
    for place in np.ndindex(*shard.grid):
        start, count = (int(number) for number in index[place])
        if (start, count) == (MISSING, MISSING):
            continue
        if start + count > raw.size:
            raise ValueError(f"{count} bytes from byte {start} on of a shard of {raw.size}")
        steps = zip(place, shard.inner.shape, strict=True)
        where = tuple(slice(at * step, (at + 1) * step) for at, step in steps)
        whole[where] = shard.inner.decode(raw[start : start + count])
    return whole


def _config(codec: Any) -> dict[str, Any]:
    """Name and settings of a codec, by numcodecs' names."""
    if hasattr(codec, "codec_config"):
        return {**codec.codec_config, "id": str(codec.codec_config["id"])}
    said = codec.to_dict()
    return {**said.get("configuration", {}), "id": str(said["name"])}


def _decoder(codec: Any, spec: Any, kind: str = "buffer") -> Callable[[Any], Any]:
    """Undo one codec of zarr-python, in this thread where it can."""
    if hasattr(codec, "codec_config"):
        from zarr.registry import get_numcodec

        return get_numcodec(codec.codec_config).decode
    from zarr.core.sync import sync

    wrap = getattr(spec.prototype, kind)
    make = wrap.from_ndarray_like if kind == "nd_buffer" else wrap.from_array_like

    def decode(data: Any) -> Any:
        given = make(data if kind == "nd_buffer" else _flat(data))
        if hasattr(codec, "_decode_sync"):
            found = codec._decode_sync(given, spec)
        else:
            (found,) = sync(codec.decode([(given, spec)]))
        return found.as_numpy_array()

    return decode


def _undo_bytes(
    name: str, decode: Callable[[Any], Any], config: Any
) -> Callable[[Any, int | None, int], Any]:
    """What undoes a codec without taking more memory than it may."""
    if name in _OBJECTS:
        raise FormatError(f"codec {name} makes Python objects, which are not read")
    if name in ("zstd", "blosc", "lz4"):
        return lambda data, size, limit: _decode_sized(name, data, size, limit)
    if name in ("gzip", "zlib", "bz2", "lzma"):
        return lambda data, size, limit: _decode_bounded(
            name, data, limit if size is None else size, config
        )
    return lambda data, size, limit: decode(data)


def _decode_sized(name: str, data: Any, size: int | None, limit: int) -> Array:
    """Decompress a frame that says its size, if it says a right one."""
    from numcodecs import blosc, lz4, zstd  # type: ignore[import-untyped]

    raw = _flat(data)
    said = _said_size(name, raw[:18].tobytes(), raw.size)
    if said is None:
        if size is None:
            raise ValueError(f"a {name} frame without its size, inside another compression")
    elif size is None:
        if said > limit:
            raise ValueError(_larger(said, limit))
        size = said
    elif said != size:
        raise ValueError(_other(said, size))
    out = np.empty(size, np.uint8)
    {"zstd": zstd, "blosc": blosc, "lz4": lz4}[name].decompress(raw, out)
    return out


def _said_size(name: str, head: bytes, total: int) -> int | None:
    """The size of the content by a frame's header; None if it does not say one."""
    if name == "blosc":
        # The library believes the header's length of the frame and would read on behind it.
        if len(head) < 16 or int.from_bytes(head[12:16], "little") != total:
            raise ValueError(f"a blosc frame of another length than its {total} bytes")
        return int.from_bytes(head[4:8], "little")
    if name == "lz4":
        if len(head) < 5:
            raise ValueError(f"an lz4 block of {total} bytes")
        return int.from_bytes(head[:4], "little")
    if len(head) < 6 or head[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("no zstd frame")
    width = (head[4] >> 5 & 1, 2, 4, 8)[head[4] >> 6]
    at = 5 + (not head[4] & 0x20) + (0, 1, 2, 4)[head[4] & 3]
    said = int.from_bytes(head[at : at + width], "little") + (256 if width == 2 else 0)
    return said if width else None


def _decode_bounded(name: str, data: Any, most: int, config: Any) -> bytes:
    """Decompress until the end, or until there is more than there should be."""
    pieces: list[bytes] = []
    rest, room = _flat(data).data, most + 1
    while len(rest):
        if len(pieces) == _STREAMS:
            raise ValueError(f"it has more than {_STREAMS} {name} streams")
        stream = _decompressor(name, config)
        piece = stream.decompress(rest, room)
        pieces.append(piece)
        room -= len(piece)
        if room <= 0:
            raise ValueError(f"it decodes to more than {most} bytes")
        if not stream.eof and config.get("format") != 3:
            raise ValueError(f"its {name} stream ends early, after {most + 1 - room} bytes")
        # Another stream may follow; zeros behind the last one are padding.
        rest = memoryview(getattr(stream, "unused_data", b"").lstrip(b"\0"))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _decompressor(name: str, config: Any) -> Any:
    if name == "bz2":
        import bz2

        return bz2.BZ2Decompressor()
    if name != "lzma":
        import zlib

        return zlib.decompressobj(31 if name == "gzip" else 15)
    import lzma

    filters = config.get("filters")
    if config.get("format") != lzma.FORMAT_RAW:
        return lzma.LZMADecompressor(config.get("format", 1), memlimit=_LZMA_MEMORY)
    if any(part.get("dict_size", 0) > _LZMA_MEMORY for part in filters or ()):
        raise ValueError(f"its lzma dictionary is over {_LZMA_MEMORY} bytes")
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)


def _encode(metadata: Any, full: Array, coords: tuple[int, ...]) -> memoryview:
    """A whole chunk as zarr-python writes it."""
    from zarr.codecs._v2 import V2Codec
    from zarr.core.codec_pipeline import BatchedCodecPipeline
    from zarr.core.sync import sync

    spec = _spec(metadata)
    codecs: Iterable[Any] = (
        metadata.codecs
        if metadata.zarr_format == 3
        else [V2Codec(filters=metadata.filters, compressor=metadata.compressor)]
    )
    # Whatever pipeline is configured: this one is always there.
    pipeline = BatchedCodecPipeline.from_codecs(codecs)
    native = full.astype(spec.dtype.to_native_dtype(), copy=False)
    given = spec.prototype.nd_buffer.from_ndarray_like(native)
    (encoded,) = sync(pipeline.encode([(given, spec)]))
    if encoded is None:
        raise AssertionError(f"chunk {coords} was encoded to nothing")
    return encoded.as_numpy_array().data


def _flat(data: Any) -> Array:
    """Bytes of what a codec gave: of an array in the order in which they lie."""
    if isinstance(data, np.ndarray):
        return np.ascontiguousarray(data.reshape(-1, order="A")).view(np.uint8)
    return np.frombuffer(data, np.uint8)


def _larger(found: int, limit: int) -> str:
    return f"{found} bytes, but the chunk's size allows {limit}"


def _other(found: int, size: int) -> str:
    return f"it decodes to {found} bytes instead of {size}"
