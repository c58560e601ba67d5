"""Encoded chunks are decoded as zarr-python does it, and damaged or hostile ones are refused."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import math
import os
import pickle
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import numcodecs as wrapped

from oocarray.errors import (
    CorruptChunkError,
    DtypeError,
    FormatError,
    InputChangedError,
    NotRegularFileError,
)
from oocarray.storage.pieces import shape_of
from oocarray.storage.zarrcodecs import EncodedTable
from oocarray.storage.zarrdraft import create_zarr
from oocarray.storage.zarrmeta import read_zarr

# zarr-python warns of everything that only it can read.
pytestmark = pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")

BITROUND = {"name": "numcodecs.bitround", "configuration": {"keepbits": 8}}
SHAPE, CHUNKS = (20, 17), (16, 12)


def values(dtype: Any = "f4") -> np.ndarray[Any, Any]:
    numbers = (np.arange(math.prod(SHAPE)).reshape(SHAPE) * 7) % 101
    return (numbers > 50) if np.dtype(dtype).kind == "b" else numbers.astype(dtype)


def table_of(path: Path) -> EncodedTable:
    array = read_zarr(path)[0]
    assert array.encoded
    return EncodedTable(array)


def places(table: EncodedTable) -> list[tuple[tuple[int, ...], tuple[slice, ...]]]:
    grid = tuple(cut.count for cut in table.cuts)
    return [
        (at, tuple(slice(*cut.span(i)) for cut, i in zip(table.cuts, at, strict=True)))
        for at in np.ndindex(*grid)
    ]


def read_all(table: EncodedTable) -> np.ndarray[Any, Any]:
    out = np.full(shape_of(table), table.fill, table.dtype)
    pieces = table.open(False)
    try:
        for at, where in places(table):
            found = pieces.find(at)
            if found is not None:
                assert found.dtype == table.dtype
                assert found.shape == out[where].shape
                out[where] = found
    finally:
        pieces.close()
    return out


def write_all(table: EncodedTable, data: np.ndarray[Any, Any]) -> None:
    pieces = table.open(True)
    try:
        for at, where in places(table):
            pieces.put(at, data[where])
        pieces.sync()
    finally:
        pieces.close()


def both_ways(path: Path, data: np.ndarray[Any, Any]) -> None:
    """What zarr-python wrote is read by us, and what we write by it."""
    theirs = zarr.open_array(path, mode="r+")
    theirs[:] = data
    table = table_of(path)
    assert pickle.loads(pickle.dumps(table)) == table
    assert hash(table) == hash(EncodedTable(read_zarr(path)[0]))
    want = zarr.open_array(path, mode="r")[:]
    np.testing.assert_array_equal(read_all(table), want)
    write_all(table, data[::-1])
    again = zarr.open_array(path, mode="r")[:]
    theirs[:] = data[::-1]
    np.testing.assert_array_equal(again, zarr.open_array(path, mode="r")[:])
    np.testing.assert_array_equal(read_all(table_of(path)), again)


V2 = [
    numcodecs.Zstd(3), numcodecs.Zstd(1, checksum=True), numcodecs.GZip(1), numcodecs.Zlib(1),
    numcodecs.BZ2(1), numcodecs.LZ4(), numcodecs.LZMA(preset=1), numcodecs.LZMA(format=2),
    numcodecs.LZMA(format=3, filters=[{"id": lzma.FILTER_LZMA2, "preset": 1}]),
    *[numcodecs.Blosc(name, 5, shuffle) for name in ("lz4", "lz4hc", "blosclz", "zstd", "zlib")
      for shuffle in (0, 1, 2)],
]  # fmt: skip


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("codec", V2, ids=str)
def test_compressors_of_version_2(tmp_path: Path, codec: Any, order: Any) -> None:
    path = tmp_path / "x.zarr"
    zarr.create_array(
        path, shape=SHAPE, chunks=CHUNKS, dtype=">f4", zarr_format=2, compressors=codec, order=order
    )
    both_ways(path, values())
    assert table_of(path).kind == f"Zarr v2, {codec.codec_id}"


@pytest.mark.parametrize("compressor", [None, numcodecs.Zstd(1)], ids=["bare", "zstd"])
@pytest.mark.parametrize(
    ("dtype", "filters"),
    [
        ("i4", [numcodecs.Delta("i4")]),
        ("i4", [numcodecs.Delta("i4", "i8")]),
        ("f8", [numcodecs.FixedScaleOffset(0, 10, "f8", "u2")]),
        ("f4", [numcodecs.Quantize(2, "f4", "f8")]),
        ("i2", [numcodecs.AsType("i8", "i2")]),
        ("i4", [numcodecs.Shuffle(4)]),
        ("i4", [numcodecs.Shuffle(4), numcodecs.Zlib(1)]),
        ("i4", [numcodecs.Base64()]),
        ("f4", [numcodecs.BitRound(10)]),
        ("?", [numcodecs.PackBits()]),
        *[
            ("u2", [codec()])
            for codec in (
                numcodecs.CRC32, numcodecs.Adler32, numcodecs.Fletcher32, numcodecs.JenkinsLookup3
            )
        ],
    ],
    ids=str,
)  # fmt: skip
def test_filters_of_version_2(tmp_path: Path, dtype: str, filters: Any, compressor: Any) -> None:
    path = tmp_path / "x.zarr"
    zarr.create_array(
        path, shape=SHAPE, chunks=CHUNKS, dtype=dtype, zarr_format=2,
        filters=filters, compressors=compressor,
    )  # fmt: skip
    both_ways(path, values(dtype))


V3 = [
    zarr.codecs.ZstdCodec(level=3), zarr.codecs.ZstdCodec(checksum=True), zarr.codecs.GzipCodec(),
    zarr.codecs.Crc32cCodec(),
    *[zarr.codecs.BloscCodec(cname=name, shuffle=shuffle)
      for name in ("lz4", "lz4hc", "blosclz", "zstd", "zlib")
      for shuffle in ("noshuffle", "shuffle", "bitshuffle")],
    {"name": "numcodecs.zstd", "configuration": {"level": 2}},
    {"name": "numcodecs.gzip", "configuration": {}},
    {"name": "numcodecs.zlib", "configuration": {"level": 2}},
    {"name": "numcodecs.bz2", "configuration": {"level": 2}},
    {"name": "numcodecs.lzma", "configuration": {"preset": 1}},
    {"name": "numcodecs.lz4", "configuration": {}},
    {"name": "numcodecs.blosc", "configuration": {}},
    {"name": "numcodecs.shuffle", "configuration": {"elementsize": 4}},
    *[{"name": f"numcodecs.{name}", "configuration": {}}
      for name in ("crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3")],
    [{"name": "numcodecs.shuffle", "configuration": {"elementsize": 4}},
     {"name": "zstd", "configuration": {"level": 1, "checksum": False}}, {"name": "crc32c"}],
    [zarr.codecs.GzipCodec(), zarr.codecs.ZstdCodec()],
]  # fmt: skip


@pytest.mark.parametrize("codec", V3, ids=str)
def test_compressors_of_version_3(tmp_path: Path, codec: Any) -> None:
    path = tmp_path / "x.zarr"
    zarr.create_array(path, shape=SHAPE, chunks=CHUNKS, dtype="f4", compressors=codec)
    both_ways(path, values())


@pytest.mark.parametrize(
    ("dtype", "filters"),
    [
        ("f4", [zarr.codecs.TransposeCodec(order=(1, 0)), BITROUND]),
        ("i4", [{"name": "numcodecs.delta", "configuration": {"dtype": "i4", "astype": "i8"}}]),
        ("f8", [{"name": "numcodecs.fixedscaleoffset",
                 "configuration": {"offset": 0, "scale": 10, "dtype": "f8", "astype": "u2"}}]),
        ("f4", [{"name": "numcodecs.quantize", "configuration": {"digits": 2, "dtype": "f4"}}]),
        ("f4", [BITROUND]),
        ("i2", [{"name": "numcodecs.astype",
                 "configuration": {"encode_dtype": "i8", "decode_dtype": "i2"}}]),
        ("?", [{"name": "numcodecs.packbits", "configuration": {}}]),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("compressor", [None, "auto"])
def test_filters_of_version_3(tmp_path: Path, dtype: str, filters: Any, compressor: Any) -> None:
    path = tmp_path / "x.zarr"
    zarr.create_array(
        path, shape=SHAPE, chunks=CHUNKS, dtype=dtype, filters=filters, compressors=compressor
    )
    both_ways(path, values(dtype))


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8", "f2", "c8", "c16", "M8[s]", "S4", "U3"])
@pytest.mark.filterwarnings("ignore")
def test_dtypes_and_byte_orders(tmp_path: Path, dtype: str) -> None:
    for version in (2, 3):
        for endian in ("<", ">"):
            path = tmp_path / f"{version}{ord(endian)}.zarr"
            how: dict[str, Any] = {"zarr_format": version}
            kind = np.dtype(dtype).newbyteorder(endian)
            if version == 3 and kind.itemsize > 1 and kind.kind != "S":
                name = "big" if endian == ">" else "little"
                how["serializer"] = zarr.codecs.BytesCodec(endian=name)
            zarr.create_array(path, shape=SHAPE, chunks=CHUNKS, dtype=kind, **how)
            both_ways(path, values("i8").astype(dtype))


def test_strings_are_refused(tmp_path: Path) -> None:
    for version in (2, 3):
        path = tmp_path / f"{version}.zarr"
        zarr.create_array(path, shape=(4,), chunks=(2,), dtype=str, zarr_format=version)
        with pytest.raises(DtypeError):
            read_zarr(path)


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("codecs", ["zstd", "transpose"])
def test_chunks_inside_shards_are_had_alone(tmp_path: Path, location: str, codecs: str) -> None:
    path = tmp_path / "x.zarr"
    filters = [zarr.codecs.TransposeCodec(order=(1, 0))] if codecs == "transpose" else None
    theirs = zarr.create_array(
        path, shape=SHAPE, chunks=CHUNKS, dtype="f4", fill_value=3, filters=filters,
        shards={"shape": (32, 24), "index_location": location},
    )  # fmt: skip
    theirs[5:] = values()[5:]
    table = table_of(path)
    assert table.kind == "Zarr v3, shards, zstd"
    assert [cut.step for cut in table.cuts] == list(CHUNKS)
    np.testing.assert_array_equal(read_all(table), theirs[:])
    with pytest.raises(NotImplementedError, match="inside shards"):
        table.open(True)
    # A chunk that is all fill value is not in the index.
    theirs[:16, :12] = 3
    pieces = table.open(False)
    assert pieces.find((0, 0)) is None
    assert pieces.find((1, 1)) is not None
    pieces.close()


@pytest.mark.parametrize("kind", ["index", "nested", "outer", "transposed"])
def test_unusual_shards(tmp_path: Path, kind: str) -> None:
    little, zstd = zarr.codecs.BytesCodec(endian="little"), zarr.codecs.ZstdCodec()
    index: list[Any] = [zarr.codecs.BytesCodec(endian="big")]
    if kind != "index":
        index = [little, zarr.codecs.Crc32cCodec()]
    inside: list[Any] = [little, zstd]
    if kind == "nested":
        inside = [zarr.codecs.ShardingCodec(chunk_shape=(8, 6), codecs=[little, zstd])]
    # zarr-python compares them with the shard before and after it transposes.
    inner = (8, 8) if kind == "transposed" else CHUNKS
    shard = zarr.codecs.ShardingCodec(chunk_shape=inner, codecs=inside, index_codecs=index)
    path = tmp_path / "x.zarr"
    zarr.create_array(
        path, shape=SHAPE, chunks=(32, 24), dtype="f4", serializer=shard,
        compressors=zstd if kind == "outer" else None,
        filters=[zarr.codecs.TransposeCodec(order=(1, 0))] if kind == "transposed" else None,
    )[:] = values()  # fmt: skip
    table = table_of(path)
    np.testing.assert_array_equal(read_all(table), values())
    alone = kind in ("index", "nested")
    assert [cut.step for cut in table.cuts] == list(CHUNKS if alone else (32, 24))


def small(path: Path, codec: Any, version: int = 3, **how: Any) -> tuple[EncodedTable, Path]:
    """An array of one chunk of 1 KiB, stored, and the chunk's file."""
    array = zarr.create_array(
        path, shape=(1024,), chunks=(1024,), dtype="u1", compressors=codec, zarr_format=version,
        **how,
    )  # fmt: skip
    array[:] = np.arange(1024) % 251
    return table_of(path), path / ("c/0" if version == 3 else "0")


def refused(table: EncodedTable, match: str) -> None:
    pieces = table.open(False)
    with pytest.raises(CorruptChunkError, match=match) as caught:
        pieces.find((0,))
    assert caught.value.chunk == (0,)
    assert "chunk (0,)" in str(caught.value)
    pieces.close()


SEVERAL = [
    *["zstd", "gzip", "blosc"],
    *[f"numcodecs.{name}" for name in ("lz4", "zlib", "bz2", "lzma", "zstd", "blosc", "crc32")],
]


def codec_named(name: str) -> Any:
    core = {"zstd": zarr.codecs.ZstdCodec(checksum=True), "gzip": zarr.codecs.GzipCodec(),
            "blosc": zarr.codecs.BloscCodec()}  # fmt: skip
    return core.get(name) or {"name": name, "configuration": {}}


@pytest.mark.parametrize("name", SEVERAL)
def test_damaged_chunks(tmp_path: Path, name: str) -> None:
    table, file = small(tmp_path / "x.zarr", codec_named(name))
    good = file.read_bytes()
    for bad in (b"", b"\0", good[:5], good[: len(good) // 2], good[:-1], b"\xff" * len(good)):
        file.write_bytes(bad)
        refused(table, "x.zarr")
    file.write_bytes(good)
    assert (read_all(table) == np.arange(1024) % 251).all()


def test_damage_that_a_checksum_finds(tmp_path: Path) -> None:
    table, file = small(tmp_path / "x.zarr", zarr.codecs.Crc32cCodec())
    good = bytearray(file.read_bytes())
    good[7] ^= 1
    file.write_bytes(good)
    refused(table, "checksum")


def test_a_chunk_of_another_size(tmp_path: Path) -> None:
    for size in (0, 1023, 1025, 4096):
        other = bytes(size)
        for name, data in [
            ("zstd", numcodecs.Zstd().encode(other)), ("gzip", gzip.compress(other)),
            ("blosc", numcodecs.Blosc().encode(other)),
            ("numcodecs.lz4", numcodecs.LZ4().encode(other)),
            ("numcodecs.zlib", zlib.compress(other)), ("numcodecs.bz2", bz2.compress(other)),
            ("numcodecs.lzma", lzma.compress(other)),
        ]:  # fmt: skip
            table, file = small(tmp_path / f"{name}{size}.zarr", codec_named(name))
            file.write_bytes(data)
            refused(table, "decodes to|a size|lz4 block|stream")


def test_streams_one_behind_the_other(tmp_path: Path) -> None:
    table, file = small(tmp_path / "x.zarr", zarr.codecs.GzipCodec())
    want = bytes(np.arange(1024, dtype="i8").astype("u1"))
    file.write_bytes(gzip.compress(want[:500]) + gzip.compress(want[500:]) + bytes(9))
    assert read_all(table).tobytes() == want
    assert zarr.open_array(tmp_path / "x.zarr", mode="r")[:].tobytes() == want
    file.write_bytes(gzip.compress(b"") * 1001)
    refused(table, "more than 1000 gzip streams")


def zstd_frame(blocks: int, *, size: bytes = b"") -> bytes:
    """A zstd frame of blocks of 128 KiB zeros, 4 bytes each; its size is as claimed, or unsaid."""
    block = (1 << 17 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    last = (1 << 17 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"\0"
    head = bytes([0xC0, 0x58]) if size else bytes([0x00, 0x58])
    return b"\x28\xb5\x2f\xfd" + head + size + block * (blocks - 1) + last


def test_a_zstd_frame_need_not_say_its_size(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    create_zarr(path, (1 << 18,), "u1", chunks=1 << 18, compressors="zstd")
    (path / "c").mkdir()
    (path / "c" / "0").write_bytes(zstd_frame(2))
    pieces = table_of(path).open(False)
    found = pieces.find((0,))
    assert found is not None
    assert not found.any()
    for blocks in (1, 3):
        (path / "c" / "0").write_bytes(zstd_frame(blocks))
        refused(table_of(path), "c|Zstd")
    pieces.close()


def bombs(folder: Path) -> None:
    """Write arrays of 1 KiB with chunks that decode to far more, or say so, in every way."""
    huge = 10 << 30
    zeros = bytes(32 << 20)
    gz = gzip.compress(zeros)
    chunks = {
        "zstd": zstd_frame(256, size=huge.to_bytes(8, "little")),
        "numcodecs.zstd": zstd_frame(80_000)[: 1 << 20],
        "gzip": gz,
        "numcodecs.zlib": zlib.compress(zeros),
        "numcodecs.bz2": bz2.compress(zeros),
        "numcodecs.lzma": lzma.compress(zeros, preset=0),
        "blosc": bytes([2, 1, 0x21, 1]) + b"\xff\xff\xff\x7f" * 2 + (1024).to_bytes(4, "little")
        + bytes(1008),
        "numcodecs.lz4": b"\xff\xff\xff\x7f" + bytes(1020),
    }  # fmt: skip
    for name, data in chunks.items():
        _, file = small(folder / f"{name}.zarr", codec_named(name))
        file.write_bytes(data)
    for name in ("gzip", "zstd"):
        two = [codec_named(name), zarr.codecs.GzipCodec()]
        _, file = small(folder / f"{name}.inside.zarr", two)
        file.write_bytes(gzip.compress(chunks[name] if name == "zstd" else gz))
    _, file = small(folder / "sparse.zarr", codec_named("gzip"))
    os.truncate(file, huge)
    _, file = small(folder / "shard.zarr", codec_named("zstd"), shards=(4096,))
    data = np.frombuffer(file.read_bytes(), "u1").copy()
    file.write_bytes(data)
    os.truncate(file, huge)


BOMBS = """
import os, resource, sys
import numpy as np
from oocarray.errors import CorruptChunkError
from oocarray.storage.zarrcodecs import EncodedTable
from oocarray.storage.zarrmeta import read_zarr
folder = sys.argv[1]
tables = {n: EncodedTable(read_zarr(os.path.join(folder, n))[0]) for n in os.listdir(folder)}
opened = {name: table.open(False) for name, table in tables.items()}
import lzma, bz2, zlib, numcodecs
now = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (now + (24 << 20), -1))
for name, pieces in opened.items():
    try:
        pieces.find((0,))
    except CorruptChunkError as error:
        print("refused", name, error)
    else:
        print("taken", name)
"""


def test_bombs_take_no_memory(tmp_path: Path) -> None:
    bombs(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", BOMBS, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(os.listdir(tmp_path)) == 12
    assert [line for line in lines if not line.startswith("refused")] == []


def test_codecs_that_make_objects_are_never_run(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    zarr.create_array(path, shape=(4,), chunks=(4,), dtype="u1", zarr_format=2, compressors=None)
    said = json.loads((path / ".zarray").read_text())
    for place in ("filters", "compressor"):
        for name in ("pickle", "json2", "msgpack2", "vlen-bytes"):
            codec = numcodecs.get_codec({"id": name}).get_config() if name != "msgpack2" else {
                "id": "msgpack2"}  # fmt: skip
            told = {**said, place: [codec] if place == "filters" else codec}
            (path / ".zarray").write_text(json.dumps(told))
            (path / "0").write_bytes(pickle.dumps(Path("/")))
            with pytest.raises((FormatError, DtypeError)):
                table_of(path).open(False)


def test_unknown_codecs_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    create_zarr(path, (4,), "f4", compressors="zstd")
    document = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(document.replace('"zstd"', '"zstandard9"'))
    with pytest.raises(FormatError, match="zstandard9"):
        table_of(path).open(False)


def shard_with(path: Path, change: Any) -> tuple[EncodedTable, Path]:
    zarr.create_array(
        path, shape=(64,), chunks=(16,), shards=(64,), dtype="u1", compressors="auto"
    )[:] = np.arange(64)
    file = path / "c" / "0"
    raw = bytearray(file.read_bytes())
    index = np.frombuffer(raw[-68:-4], "<u8").reshape(4, 2).copy()
    change(index)
    import google_crc32c

    packed = index.tobytes()
    file.write_bytes(raw[:-68] + packed + google_crc32c.value(packed).to_bytes(4, "little"))
    return table_of(path), file


LIES = [((2, 0), 2**63), ((2, 0), 2**64 - 2), ((2, 1), 2**40), ((2, 1), 0), ((2, 1), 3)]


@pytest.mark.parametrize(("at", "value"), LIES)
def test_a_lying_index(tmp_path: Path, at: tuple[int, int], value: int) -> None:
    def change(index: np.ndarray[Any, Any]) -> None:
        index[at] = value

    table, _ = shard_with(tmp_path / "x.zarr", change)
    pieces = table.open(False)
    with pytest.raises(CorruptChunkError) as caught:
        pieces.find((2,))
    assert caught.value.chunk == (2,)
    assert pieces.find((1,)).tolist() == list(range(16, 32))
    pieces.close()


def test_a_damaged_index(tmp_path: Path) -> None:
    table, file = shard_with(tmp_path / "x.zarr", lambda index: None)
    good = file.read_bytes()
    for bad in (b"", good[-60:], good[:-1] + b"?", good[:-10]):
        file.write_bytes(bad)
        pieces = table.open(False)
        with pytest.raises(CorruptChunkError, match="index"):
            pieces.find((3,))
        pieces.close()


def test_missing_chunks_and_files_that_change(tmp_path: Path) -> None:
    table, file = small(tmp_path / "x.zarr", "auto")
    pieces = table.open(False)
    assert pieces.find((0,)) is not None
    file.write_bytes(file.read_bytes() + b"?")
    with pytest.raises(InputChangedError):
        pieces.find((0,))
    file.unlink()
    with pytest.raises(InputChangedError):
        pieces.find((0,))
    pieces.close()
    again = table.open(False)
    assert again.find((0,)) is None
    (tmp_path / "elsewhere").write_bytes(b"secret")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotRegularFileError, match="symbolic link"):
        again.find((0,))
    again.close()


def test_put_replaces_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    array = create_zarr(path, SHAPE, "f4", chunks=CHUNKS, compressors="gzip", fill_value=9)
    table = EncodedTable(array)
    pieces = table.open(True)
    pieces.put((1, 1), np.full((4, 5), 4, "f4"))
    pieces.put((1, 1), np.full((4, 5), 5, "f4"))
    assert (pieces.find((1, 1)) == np.full((4, 5), 5)).all()
    pieces.put((0, 0), np.full(CHUNKS, 9, "f4"))
    pieces.sync()
    pieces.close()
    assert sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()) == [
        "c/0/0", "c/1/1", "zarr.json",
    ]  # fmt: skip
    whole = zarr.open_array(path, mode="r+")
    assert (whole[16:, 12:] == 5).all()
    # What lies behind the array's end was stored too: it is the fill value.
    whole.resize((32, 24))
    assert (whole[20:, 12:] == 9).all()
    (path / "c" / "1" / "1").unlink()
    (path / "c" / "1" / "1").symlink_to("../0/0")
    again = EncodedTable(read_zarr(path)[0]).open(True)
    with pytest.raises(NotRegularFileError):
        again.put((1, 1), np.zeros(CHUNKS, "f4"))
    again.close()
    assert len(list(path.rglob("*.part"))) == 0


def test_two_threads(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    for shards in (None, (32, 24)):
        data = np.random.default_rng(1).integers(0, 99, (160, 120))
        zarr.create_array(
            path, shape=data.shape, chunks=CHUNKS, shards=shards, dtype="i8", overwrite=True
        )[:] = data
        table = table_of(path)
        pieces = table.open(False)
        wrong: list[BaseException] = []

        def look(
            pieces: Any = pieces, table: Any = table, data: Any = data, wrong: Any = wrong
        ) -> None:
            try:
                for at, where in places(table):
                    np.testing.assert_array_equal(pieces.find(at), data[where])
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pieces.close()
        assert wrong == []


def test_wrapped_codecs_are_those_tested() -> None:
    ours = {name.removeprefix("numcodecs.") for name in SEVERAL}
    theirs = {getattr(wrapped, name).codec_name for name in dir(wrapped) if name[0].isupper()}
    known = {"numcodecs." + name for name in ours} | {
        one["name"] for codec in V3 for one in (codec if isinstance(codec, list) else [codec])
        if isinstance(one, dict)
    }  # fmt: skip
    arrays = {"delta", "fixedscaleoffset", "quantize", "bitround", "astype", "packbits"}
    assert theirs - known - {f"numcodecs.{name}" for name in arrays} == {
        "numcodecs.pcodec", "numcodecs.zfpy",
    }  # fmt: skip
