"""Decompressing without trust: believes no size that a frame says, and stops where it should end.

Sizes that stand in a compressed frame are compared with what the array says; decoders that know
no size are stopped at it: a kilobyte that would become gigabytes is an error, not the end of the
process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from oocarray.errors import FormatError

__all__ = ["Undo", "flat_bytes", "larger", "other", "sized_library", "undo_bytes", "undo_crc32c"]

Array = np.ndarray[Any, Any]
Undo = Callable[[Any, "int | None", int, "Array | None"], Any]
"""From bytes to the bytes before: of which size, where it is known; how many at most; and where
they may be put, of that size.  What it returns is that place, or elsewhere."""

_LZMA_MEMORY = 128 << 20  # the strongest preset takes 65 MiB, whatever the chunk's size
_STREAMS = 1000  # one behind the other; what follows each is copied
_FED = 64 << 10  # bytes given to a decoder together: what it makes of them stays in the cache
_SIZED = ("zstd", "blosc", "lz4")
_CRC = 4
# They make Python objects, one of them by running what the chunk says.
_OBJECTS = ("pickle", "json2", "msgpack2", "vlen-utf8", "vlen-bytes", "vlen-array")


def undo_bytes(name: str, decode: Callable[[Any], Any] | None, config: Any) -> Undo:
    """What undoes a codec without taking more memory than it may; `decode` is for those unknown."""
    if name in _OBJECTS:
        raise FormatError(f"codec {name} makes Python objects, which are not read")
    if name in _SIZED:
        return lambda data, size, limit, out: _decode_sized(name, data, size, limit, out)
    if name in ("gzip", "zlib", "bz2", "lzma"):
        return lambda data, size, limit, out: _decode_bounded(name, data, size, limit, config, out)
    assert decode is not None, name
    return lambda data, size, limit, out: decode(data)


def undo_crc32c(data: Any, size: int | None, limit: int, out: Array | None) -> Array:
    """The bytes before their checksum, if it is right."""
    import google_crc32c

    raw = flat_bytes(data)
    if raw.size < _CRC:
        raise ValueError(f"{raw.size} bytes, but the checksum alone has {_CRC}")
    said, found = raw[-_CRC:].view("<u4")[0], google_crc32c.value(raw[:-_CRC])
    if said != found:
        raise ValueError(f"its checksum is {said:08x}, but that of its bytes is {found:08x}")
    return raw[:-_CRC]


def sized_library(name: str) -> Any:
    """The module that compresses and decompresses frames that say their size."""
    from numcodecs import blosc, lz4, zstd  # type: ignore[import-untyped]

    if name == "blosc" and blosc.use_threads is None:
        # As zarr-python has it: chunks are decoded side by side already.
        blosc.use_threads = False
    return {"zstd": zstd, "blosc": blosc, "lz4": lz4}[name]


def _decode_sized(name: str, data: Any, size: int | None, limit: int, out: Array | None) -> Array:
    """Decompress a frame that says its size, if it says a right one."""
    raw = flat_bytes(data)
    said = _said_size(name, raw[:18].tobytes(), raw.size)
    if said is None:
        if size is None:
            raise ValueError(f"a {name} frame without its size, inside another compression")
    elif size is None:
        if said > limit:
            raise ValueError(larger(said, limit))
        size = said
    elif said != size:
        raise ValueError(other(said, size))
    if out is None:
        out = np.empty(size, np.uint8)
    assert out.nbytes == size, (out.nbytes, size)
    sized_library(name).decompress(raw, out)
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


def _decode_bounded(
    name: str, data: Any, size: int | None, limit: int, config: Any, out: Array | None
) -> Any:
    """Decompress until the end, or until there is more than there should be."""
    if size is None:
        return b"".join(_decoded(name, data, limit, config))
    if out is None:
        out = np.empty(size, np.uint8)
    assert out.nbytes == size, (out.nbytes, size)
    at = 0
    for piece in _decoded(name, data, size, config):
        out[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)
    return out if at == size else out[:at]


def _decoded(name: str, data: Any, most: int, config: Any) -> Iterator[bytes]:
    """What a decoder makes of one part of the bytes after the other, `most` bytes in all."""
    rest, room, streams = flat_bytes(data).data, most, 0
    while len(rest):
        if streams == _STREAMS:
            raise ValueError(f"it has more than {_STREAMS} {name} streams")
        stream, fed = _decompressor(name, config), 0
        streams += 1
        while fed < len(rest) and not stream.eof:
            # One byte more than there is room for: then nothing is kept back inside.
            piece = stream.decompress(rest[fed : fed + _FED], room + 1)
            fed = min(fed + _FED, len(rest))
            if len(piece) > room:
                raise ValueError(f"it decodes to more than {most} bytes")
            room -= len(piece)
            yield piece
        if not stream.eof and config.get("format") != 3:
            raise ValueError(f"its {name} stream ends early, after {most - room} bytes")
        # Another stream may follow; zeros behind the last one are padding.
        after = fed - len(stream.unused_data) if stream.eof else len(rest)
        rest = memoryview(bytes(rest[after:]).lstrip(b"\0"))


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


def flat_bytes(data: Any) -> Array:
    """Bytes of what a codec gave: of an array in the order in which they lie."""
    if isinstance(data, np.ndarray):
        return np.ascontiguousarray(data.reshape(-1, order="A")).view(np.uint8)
    return np.frombuffer(data, np.uint8)


def larger(found: int, limit: int) -> str:
    return f"{found} bytes, but the chunk's size allows {limit}"


def other(found: int, size: int) -> str:
    return f"it decodes to {found} bytes instead of {size}"
