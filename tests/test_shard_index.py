"""Holds indexes of shards against zarr-python's, and lies in them against what is raised."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from oocarray.errors import CorruptChunkError, FormatError
from oocarray.storage.shards import (
    MAX_ENTRIES,
    MISSING,
    canonical_slots,
    find_flaw,
    free_slot,
    index_bytes,
    inner_grid,
    pack_index,
    parse_index,
    slot_bytes,
)
from oocarray.storage.zarrmeta import read_zarr
from oocarray.storage.zarrshards import ShardTable


def _u8(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint64)


# Numbers alone


@pytest.mark.parametrize("crc", [True, False])
def test_an_index_is_packed_as_it_is_parsed(crc: bool) -> None:
    offsets, lengths = _u8(4096, MISSING, 0), _u8(10, MISSING, 10)
    raw = pack_index(offsets, lengths, crc)
    assert len(raw) == index_bytes(3, crc) == 48 + 4 * crc
    found = parse_index(raw, 3, crc)
    assert found[0].tolist() == offsets.tolist()
    assert found[1].tolist() == lengths.tolist()


def test_an_index_of_the_wrong_length_is_refused() -> None:
    raw = pack_index(_u8(0), _u8(8), crc=True)
    with pytest.raises(FormatError, match="has 20 bytes, not 19"):
        parse_index(raw[:-1], 1, crc=True)


@pytest.mark.parametrize("at", [0, 9, 17])
def test_a_bit_that_has_tipped_is_found_by_the_checksum(at: int) -> None:
    raw = bytearray(pack_index(_u8(0), _u8(8), crc=True))
    raw[at] ^= 4
    with pytest.raises(FormatError, match="checksum is 0x"):
        parse_index(bytes(raw), 1, crc=True)


@pytest.mark.parametrize("index_at", ["start", "end"])
@pytest.mark.parametrize("crc", [True, False])
@pytest.mark.parametrize("inner", [(16, 64), (3, 7)])
def test_canonical_slots_are_aligned_and_true(
    inner: tuple[int, ...], crc: bool, index_at: str
) -> None:
    chunk = (inner[0] * 5, inner[1] * 3)
    piece = math.prod(inner) * 8
    offsets, index, size = canonical_slots(chunk, inner, 8, index_at=index_at, crc=crc)
    unit = 4096 if piece >= 4096 else 64
    assert offsets.dtype == np.uint64
    assert not (offsets % unit).any()
    assert slot_bytes(piece)[1] == unit
    length = index_bytes(15, crc)
    assert index == (0 if index_at == "start" else size - length)
    start, stop = (length, size) if index_at == "start" else (0, index)
    assert find_flaw(offsets, np.full(15, piece, np.uint64), piece, start, stop) is None
    assert size < 15 * (piece + unit) + length + unit


@pytest.mark.parametrize(
    ("chunk", "inner"),
    [((4, 4), (3, 4)), ((4,), (0,)), ((0,), (1,)), ((MAX_ENTRIES + 1,), (1,)), ((2**62,), (1,))],
)
def test_grids_that_are_not_even_or_too_large_are_refused(
    chunk: tuple[int, ...], inner: tuple[int, ...]
) -> None:
    with pytest.raises(FormatError):
        inner_grid(chunk, inner)


def test_a_grid_without_axes_has_one_inner_chunk() -> None:
    assert inner_grid((), ()) == ()
    assert canonical_slots((), (), 8)[0].tolist() == [0]


_slots = st.lists(st.integers(0, 30), max_size=6)


@given(_slots, st.integers(1, 6), st.integers(0, 40), st.sampled_from([1, 4]))
def test_free_slots_are_free(slots: list[int], piece: int, wanted: int, unit: int) -> None:
    start, stop = 2, 40
    begins: list[int] = []
    for begin in sorted(slots):
        if begin >= start and (not begins or begin >= begins[-1] + piece):
            begins.append(begin)
    taken = {byte for begin in begins for byte in range(begin, begin + piece)}
    offsets = _u8(*begins, MISSING)

    def fits(at: int) -> bool:
        inside = start <= at <= stop - piece
        return inside and taken.isdisjoint(range(at, at + piece))

    found = free_slot(offsets, piece, start, stop, wanted, unit)
    if fits(wanted):
        assert found == wanted
    elif found is None:
        assert not any(fits(at) for at in range(0, stop, unit))
    else:
        assert fits(found)
        assert found % unit == 0


@given(st.lists(st.tuples(st.integers(0, 70), st.sampled_from([8, 8, 8, 9])), max_size=5))
def test_flaws_are_those_that_a_slow_look_finds(entries: list[tuple[int, int]]) -> None:
    offsets = _u8(*(at for at, _ in entries))
    lengths = _u8(*(n for _, n in entries))
    sound = all(n == 8 and 4 <= at <= 56 for at, n in entries) and all(
        abs(one - other) >= 8
        for number, (one, _) in enumerate(entries)
        for other, _ in entries[:number]
    )
    assert (find_flaw(offsets, lengths, 8, 4, 64) is None) == sound


# Lies in real shards


def _write_array(folder: Path, index_at: str, crc: bool) -> None:
    codecs: list[dict[str, Any]] = [{"name": "bytes", "configuration": {"endian": "little"}}]
    configuration = {
        "chunk_shape": [2, 3],
        "codecs": codecs,
        "index_codecs": codecs + ([{"name": "crc32c"}] if crc else []),
        "index_location": index_at,
    }
    array = zarr.create(
        store=folder,
        shape=(8, 6),
        chunks=(4, 6),
        dtype="f8",
        zarr_format=3,
        codecs=[{"name": "sharding_indexed", "configuration": configuration}],
    )
    array[:] = np.arange(1, 49).reshape(8, 6)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Path]:
    root = tmp_path_factory.mktemp("shards")

    def get(index_at: str, crc: bool) -> Path:
        folder = root / f"{index_at}-{crc}"
        if not folder.exists():
            _write_array(folder, index_at, crc)
        return folder

    return get


@pytest.fixture
def shard(tmp_path: Path, written: Any) -> Callable[..., tuple[Path, Path]]:
    """Factory of arrays of 8 x 6 in shards of 4 x 6, inner chunks of 2 x 3 (48 bytes, 4 each)."""

    def make(index_at: str = "end", crc: bool = True) -> tuple[Path, Path]:
        folder = tmp_path / "x"
        shutil.copytree(written(index_at, crc), folder)
        return folder, folder / "c" / "1" / "0"

    return make


def _rewrite(path: Path, change: Callable[[np.ndarray], None], index_at: str, crc: bool) -> None:
    raw = bytearray(path.read_bytes())
    length = index_bytes(4, crc)
    place = slice(0, length) if index_at == "start" else slice(len(raw) - length, len(raw))
    offsets, lengths = parse_index(bytes(raw[place]), 4, crc)
    pairs = np.stack([offsets, lengths], 1)
    change(pairs)
    raw[place] = pack_index(pairs[:, 0], pairs[:, 1], crc)
    path.write_bytes(raw)


def _find(folder: Path, coords: tuple[int, ...], writable: bool = False) -> Any:
    pieces = ShardTable(read_zarr(folder)[0]).open(writable)
    try:
        return pieces.find(coords)
    finally:
        pieces.close()


def _set(number: int, offset: int | None = None, nbytes: int | None = None) -> Any:
    def change(pairs: np.ndarray) -> None:
        if offset is not None:
            pairs[number, 0] = offset
        if nbytes is not None:
            pairs[number, 1] = nbytes

    return change


def _swap_onto(pairs: np.ndarray) -> None:
    pairs[2, 0] = pairs[1, 0]


def _overlap(pairs: np.ndarray) -> None:
    last = int(np.argmax(pairs[:, 0]))
    pairs[last, 0] -= np.uint64(8)


@pytest.mark.parametrize("crc", [True, False])
@pytest.mark.parametrize("index_at", ["start", "end"])
@pytest.mark.parametrize(
    ("change", "chunk"),
    [
        (_set(1, nbytes=47), (2, 1)),
        (_set(1, nbytes=0), (2, 1)),
        (_set(1, nbytes=MISSING), (2, 1)),
        (_set(1, offset=MISSING), (2, 1)),
        (_set(1, offset=MISSING - 10), (2, 1)),
        (_set(1, offset=2**63), (2, 1)),
        (_set(2, offset=10_000), (3, 0)),
        (_set(2, nbytes=2**63), (3, 0)),
        (_swap_onto, (3, 0)),
        (_overlap, None),
    ],
    ids=[
        *("short", "empty", "endless", "half-missing", "runs-over", "huge", "beyond"),
        *("long", "twice", "overlapping"),
    ],
)
@pytest.mark.parametrize("writable", [False, True])
def test_an_index_that_lies_is_an_error(
    shard: Any, change: Any, chunk: Any, index_at: str, crc: bool, writable: bool
) -> None:
    folder, path = shard(index_at, crc)
    _rewrite(path, change, index_at, crc)
    # Whichever chunk is asked for: an index that lies once is not believed at all.
    for coords in ((2, 0), (2, 1), (3, 1)):
        with pytest.raises(CorruptChunkError, match="c/1/0") as caught:
            _find(folder, coords, writable)
        if chunk is not None:
            assert caught.value.chunk == chunk
            assert str(chunk) in str(caught.value)
        else:
            assert caught.value.chunk[0] in (2, 3)
    assert _find(folder, (0, 0), writable) is not None


@pytest.mark.parametrize("index_at", ["start", "end"])
def test_a_chunk_inside_the_index_is_an_error(shard: Any, index_at: str) -> None:
    folder, path = shard(index_at)
    inside = 8 if index_at == "start" else path.stat().st_size - 60
    _rewrite(path, _set(0, offset=inside), index_at, True)
    with pytest.raises(CorruptChunkError, match="inner chunks lie in bytes") as caught:
        _find(folder, (3, 1))
    assert caught.value.chunk == (2, 0)


@pytest.mark.parametrize(
    ("index_at", "damage"),
    [
        ("start", lambda raw: b""),
        ("end", lambda raw: b""),
        ("start", lambda raw: raw[:40]),
        ("end", lambda raw: raw[:40]),
        ("end", lambda raw: raw[:-1]),
        ("end", lambda raw: raw + b"\0"),
        ("start", lambda raw: raw[1:]),
        ("start", lambda raw: bytes(len(raw))),
        ("end", lambda raw: bytes(len(raw))),
    ],
)
def test_damage_to_the_whole_index_names_the_shard(
    shard: Any, damage: Callable[[bytes], bytes], index_at: str
) -> None:
    folder, path = shard(index_at)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptChunkError, match="index of shard c/1/0") as caught:
        _find(folder, (3, 1))
    assert caught.value.chunk == (2, 0)


@pytest.mark.parametrize(
    ("index_at", "damage"),
    [("start", lambda raw: raw[:-1]), ("end", lambda raw: raw[1:])],
)
def test_a_shard_that_has_lost_bytes_of_a_chunk_is_an_error(
    shard: Any, damage: Callable[[bytes], bytes], index_at: str
) -> None:
    folder, path = shard(index_at)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptChunkError, match="inner chunks lie in bytes"):
        _find(folder, (2, 0))


def test_a_wrong_checksum_names_both(shard: Any) -> None:
    folder, path = shard()
    raw = path.read_bytes()
    path.write_bytes(raw[:-4] + b"\1\2\3\4")
    right = google_crc32c.value(raw[-68:-4])
    with pytest.raises(CorruptChunkError, match=f"{right:#010x}, but 0x04030201"):
        _find(folder, (2, 0))


def test_an_index_of_too_many_entries_is_refused_before_it_is_read(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "x", shape=(8,), chunks=(2,), shards=(8,), dtype="u1", compressors=None
    )
    array[:] = 1
    document = (tmp_path / "x" / "zarr.json").read_text()
    many = document.replace("8\n", f"{2**40}\n").replace("[8]", f"[{2**40}]")
    assert many != document
    (tmp_path / "x" / "zarr.json").write_text(many)
    table = ShardTable(read_zarr(tmp_path / "x")[0])
    with pytest.raises(FormatError, match="inner chunks"):
        table.open(False)
