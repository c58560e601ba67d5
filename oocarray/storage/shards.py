"""The index of a Zarr shard as numbers: laid out, packed, parsed and judged; opens no file.

A shard is one file with many inner chunks.  Its index has 16 bytes for each inner chunk, in C
order over the shard's grid: where it begins and how many bytes it has, as little-endian 64-bit
numbers, both 2**64 - 1 where there is none.  A CRC-32C may follow, in 4 bytes.  The index is at
the beginning or the end of the file; the inner chunks may lie anywhere else in it.

Nothing in an index is believed before it was compared with the file's size and with all of the
other entries: what it says becomes addresses.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from oocarray.errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "MAX_ENTRIES",
    "MISSING",
    "canonical_slots",
    "find_flaw",
    "free_slot",
    "index_bytes",
    "inner_grid",
    "pack_index",
    "parse_index",
    "slot_bytes",
]

MISSING = 2**64 - 1
MAX_ENTRIES = 1 << 26  # an index of 1 GiB; more would be read whole before the first element

_PAGE = 4096
_SMALL = 64  # a page for each tiny chunk would be mostly gaps; a cache line suits every dtype
_ENTRY = 16
_CRC = 4


def inner_grid(chunk: tuple[int, ...], inner: tuple[int, ...]) -> tuple[int, ...]:
    """How many inner chunks a shard has along each axis.

    Raises
    ------
    FormatError
        There are more than can be indexed with reason, or they do not divide the shard.

    Examples
    --------
    >>> inner_grid((64, 30), (16, 10))
    (4, 3)
    """
    pairs = list(zip(chunk, inner, strict=True))
    if any(part < 1 or whole < 1 or whole % part for whole, part in pairs):
        raise FormatError(
            f"shards of shape {chunk} are not divided evenly by inner chunks of {inner}"
        )
    grid = tuple(whole // part for whole, part in pairs)
    if math.prod(grid) > MAX_ENTRIES:
        raise FormatError(
            f"shards of shape {chunk} have {math.prod(grid)} inner chunks of {inner}, more than "
            f"the {MAX_ENTRIES} that an index is read with; larger inner chunks are needed"
        )
    return grid


def index_bytes(count: int, crc: bool) -> int:
    """Bytes of the index of `count` inner chunks."""
    return count * _ENTRY + (_CRC if crc else 0)


def slot_bytes(nbytes: int, page: int = _PAGE) -> tuple[int, int]:
    """Bytes set aside for an inner chunk of `nbytes`, and what each slot is a multiple of.

    Examples
    --------
    >>> slot_bytes(10_000), slot_bytes(100)
    ((12288, 4096), (128, 64))
    """
    unit = page if nbytes >= page else _SMALL
    return _up(nbytes, unit), unit


def canonical_slots(
    chunk: tuple[int, ...],
    inner: tuple[int, ...],
    itemsize: int,
    page: int = _PAGE,
    *,
    index_at: str = "end",
    crc: bool = True,
) -> tuple[NDArray[np.uint64], int, int]:
    """Where the inner chunks of a shard of ours lie: each in its own slot, in C order.

    Slots begin at multiples of `page`, so that each inner chunk can be mapped, and written to,
    alone; those of less than a page are packed at multiples of 64 bytes.

    Parameters
    ----------
    chunk, inner : tuple of int
        Shape of the shard and of an inner chunk.
    itemsize : int
        Bytes of an element.
    page : int
        What slots are aligned to.
    index_at : {"end", "start"}
        Where the index is.
    crc : bool
        Whether a checksum ends the index.

    Returns
    -------
    tuple of ndarray of uint64, int and int
        First byte of each inner chunk; first byte of the index; size of the file.

    Raises
    ------
    FormatError
        As `inner_grid`.

    Examples
    --------
    >>> offsets, index, size = canonical_slots((4, 1000), (2, 1000), 8)
    >>> offsets.tolist(), index, size
    ([0, 16384], 32768, 32804)
    """
    count = math.prod(inner_grid(chunk, inner))
    slot, unit = slot_bytes(math.prod(inner) * itemsize, page)
    length = index_bytes(count, crc)
    first = _up(length, unit) if index_at == "start" else 0
    offsets = np.arange(count, dtype=np.uint64) * np.uint64(slot) + np.uint64(first)
    end = first + count * slot
    return (offsets, 0, end) if index_at == "start" else (offsets, end, end + length)


def pack_index(offsets: NDArray[Any], nbytes: NDArray[Any], crc: bool) -> bytes:
    """Return the bytes of an index.

    Examples
    --------
    >>> raw = pack_index(np.array([0, MISSING], "u8"), np.array([8, MISSING], "u8"), crc=True)
    >>> len(raw), raw[8:16], raw[16:32] == b"\\xff" * 16
    (36, b'\\x08\\x00\\x00\\x00\\x00\\x00\\x00\\x00', True)
    """
    pairs = np.empty((np.size(offsets), 2), "<u8")
    pairs[:, 0], pairs[:, 1] = np.ravel(offsets), np.ravel(nbytes)
    raw = pairs.tobytes()
    return raw + _checksum(raw) if crc else raw


def parse_index(raw: bytes, count: int, crc: bool) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return offsets and lengths of an index of `count` inner chunks.

    Raises
    ------
    FormatError
        The bytes are too few or too many, or their checksum is another.
    """
    if len(raw) != index_bytes(count, crc):
        raise FormatError(
            f"an index of {count} inner chunks has {index_bytes(count, crc)} bytes, not {len(raw)}"
        )
    if crc:
        raw, stored = raw[:-_CRC], raw[-_CRC:]
        if (found := _checksum(raw)) != stored:
            raise FormatError(
                f"its checksum is {_hex(found)}, but {_hex(stored)} is stored beside it"
            )
    pairs = np.frombuffer(raw, "<u8").reshape(count, 2).astype(np.uint64)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def find_flaw(
    offsets: NDArray[np.uint64],
    nbytes: NDArray[np.uint64],
    piece: int,
    start: int,
    stop: int,
) -> tuple[int, str] | None:
    """Return the number of the first entry that cannot be true and what is wrong, or None.

    Parameters
    ----------
    offsets, nbytes : ndarray of uint64
        The index.
    piece : int
        Bytes that every inner chunk has.
    start, stop : int
        The bytes of the file in which inner chunks may lie: all but the index.

    Examples
    --------
    >>> offsets, nbytes = np.array([0, 4, 8], "u8"), np.array([8, 8, 8], "u8")
    >>> find_flaw(offsets, nbytes, 8, 0, 16)
    (1, 'it begins at byte 4, inside the inner chunk that takes bytes 0 to 8')
    """
    # Nothing is added to an offset: 64 bits would run over.
    present = (offsets != MISSING) | (nbytes != MISSING)
    if (at := _first(present & (nbytes != piece))) is not None:
        return at, f"its entry says {int(nbytes[at])} bytes, but it has {piece}"
    outside = present
    if stop - piece >= start:
        outside = present & ((offsets < start) | (offsets > stop - piece))
    if (at := _first(outside)) is not None:
        return at, (
            f"its entry says that it takes {piece} bytes from byte {int(offsets[at])}, but inner "
            f"chunks lie in bytes {start} to {stop} of the file"
        )
    used = np.flatnonzero(present)
    used = used[np.argsort(offsets[used], kind="stable")]
    begins = offsets[used]
    if (at := _first(begins[1:] - begins[:-1] < piece)) is None:
        return None
    other = int(begins[at])
    return int(used[at + 1]), (
        f"it begins at byte {int(begins[at + 1])}, inside the inner chunk that takes bytes "
        f"{other} to {other + piece}"
    )


def free_slot(
    offsets: NDArray[np.uint64], piece: int, start: int, stop: int, wanted: int, unit: int
) -> int | None:
    """Return where an inner chunk can be put in a file without moving another, or None.

    Parameters
    ----------
    offsets : ndarray of uint64
        Where the others begin, `MISSING` among them; each takes `piece` bytes.
    piece : int
        Bytes of an inner chunk.
    start, stop : int
        The bytes of the file in which inner chunks may lie.
    wanted : int
        Where it is put if nothing is there.
    unit : int
        What the place is a multiple of otherwise.

    Examples
    --------
    >>> taken = np.array([0, 128], "u8")
    >>> free_slot(taken, 40, 0, 256, 192, 64), free_slot(taken, 40, 0, 256, 0, 64)
    (192, 64)
    """
    begins = np.sort(offsets[offsets != MISSING])
    if start <= wanted <= stop - piece:
        # The others are as long: only the last that begins before its end can reach into it.
        behind = int(np.searchsorted(begins, wanted + piece))
        if not behind or int(begins[behind - 1]) + piece <= wanted:
            return wanted
    edges = np.concatenate(([start], begins.astype(np.int64) + piece))
    firsts = -(-edges // unit) * unit
    ends = np.concatenate((begins.astype(np.int64), [stop]))
    at = _first(firsts + piece <= ends)
    return None if at is None else int(firsts[at])


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _first(flags: NDArray[np.bool_]) -> int | None:
    """The first that is true."""
    at = int(np.argmax(flags)) if flags.size else 0
    return at if flags.size and flags[at] else None


def _hex(raw: bytes) -> str:
    return f"{int.from_bytes(raw, 'little'):#010x}"


def _checksum(raw: bytes) -> bytes:
    import google_crc32c  # lazily: few runs read shards

    return int(google_crc32c.value(raw)).to_bytes(_CRC, "little")
