"""Plain codecs are done without zarr-python, as it does them; what is read leaves no pages."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

from oocarray.errors import CorruptChunkError
from oocarray.pages import calls
from oocarray.storage.zarrchains import chain_of, encode, read_metadata
from oocarray.storage.zarrcodecs import EncodedTable
from oocarray.storage.zarrmeta import read_zarr
from oocarray.storage.zarrplain import plain_codecs

SHAPE, CHUNKS = (20, 17), (16, 12)
DATA = (np.arange(340).reshape(SHAPE) * 7 % 101).astype("f4")
ZSTD, GZIP, CRC = zarr.codecs.ZstdCodec(), zarr.codecs.GzipCodec(), zarr.codecs.Crc32cCodec()
BLOSC = zarr.codecs.BloscCodec(cname="lz4", shuffle="bitshuffle")
TURN = zarr.codecs.TransposeCodec(order=(1, 0))
BIG = zarr.codecs.BytesCodec(endian="big")

V3: dict[str, dict[str, Any]] = {
    **{f"{name}{dtype}": {"compressors": codec, "dtype": dtype}
       for (name, codec), dtype in itertools.product(
           [("zstd", ZSTD), ("gzip", GZIP), ("blosc", BLOSC), ("crc", CRC)],
           ["u1", "f4", "c16", "?"])},
    "all": {"compressors": [BLOSC, GZIP, CRC, ZSTD, CRC]},
    "turned": {"filters": [TURN], "compressors": ZSTD},
    "twice": {"filters": [TURN, TURN], "compressors": BLOSC},
    "big": {"serializer": BIG, "compressors": BLOSC},
    "shards": {"shards": (32, 24), "compressors": BLOSC},
    "turned shards": {"shards": (32, 24), "filters": [TURN], "compressors": [ZSTD, CRC]},
    "index first": {"shards": {"shape": (32, 24), "index_location": "start"}, "compressors": GZIP},
}  # fmt: skip
V2: dict[str, dict[str, Any]] = {
    f"{codec.codec_id} {order} {dtype}": {
        "compressors": codec, "order": order, "dtype": dtype, "zarr_format": 2}
    for codec, order, dtype in itertools.product(
        [numcodecs.Zstd(1, checksum=True), numcodecs.GZip(), numcodecs.Zlib(), numcodecs.LZ4(),
         numcodecs.Blosc(shuffle=-1), numcodecs.Blosc("zstd", shuffle=2)], "CF", ["<f4", ">i8"])
}  # fmt: skip
ALL = {**V3, **V2}


def made(path: Path, how: dict[str, Any]) -> EncodedTable:
    """An array that zarr-python has written."""
    given = {"shape": SHAPE, "chunks": CHUNKS, "dtype": "f4", **how}
    zarr.create_array(path, **given)[:] = DATA.astype(given["dtype"])
    array = read_zarr(path)[0]
    assert array.encoded
    return EncodedTable(array)


def first_chunk(table: EncodedTable) -> bytes:
    return (Path(table.array.folder) / table.array.key((0, 0))).read_bytes()


@pytest.mark.parametrize("name", ALL)
def test_both_ways_give_the_same(tmp_path: Path, name: str) -> None:
    table = made(tmp_path / "x.zarr", ALL[name])
    array = table.array
    plain, metadata = plain_codecs(array), read_metadata(array)
    assert plain is not None
    theirs = chain_of(array, metadata)
    ours, raw = plain.chain, np.frombuffer(first_chunk(table), np.uint8)
    assert (ours.shape, ours.encoded_bytes) == (theirs.shape, theirs.encoded_bytes)
    if ours.shard is not None and theirs.shard is not None:
        length, at_end = ours.shard.index_bytes, ours.shard.at_end
        assert (length, at_end) == (theirs.shard.index_bytes, theirs.shard.at_end)
        index = raw[-length:] if at_end else raw[:length]
        index = ours.shard.index.decode(index)
        np.testing.assert_array_equal(index, theirs.shard.index.decode(
            raw[-length:] if at_end else raw[:length]))  # fmt: skip
        start, count = (int(number) for number in index[0, 0])
        raw, ours, theirs = raw[start : start + count], ours.shard.inner, theirs.shard.inner
    assert abs(ours.most - theirs.most) < 100
    found = ours.decode(raw)
    want = theirs.decode(raw)
    assert found.dtype == want.dtype
    np.testing.assert_array_equal(found, want)
    np.testing.assert_array_equal(found, DATA[:16, :12].astype(found.dtype))
    if plain.chain.shard is None:
        full = np.ascontiguousarray(found, array.dtype)
        ours_now, theirs_now = bytes(plain.encode(full)), bytes(encode(metadata, full, (0, 0)))
        if not any(word in name for word in ("gzip", "all")):  # which has the time in it
            assert ours_now == theirs_now
        np.testing.assert_array_equal(theirs.decode(ours_now), full)
        np.testing.assert_array_equal(ours.decode(theirs_now), full)


WITHOUT = """
import os, sys
import numpy as np
from oocarray.storage.zarrcodecs import EncodedTable
from oocarray.storage.zarrmeta import read_zarr
folder = sys.argv[1]
for name in sorted(os.listdir(folder)):
    table = EncodedTable(read_zarr(os.path.join(folder, name))[0])
    pieces = table.open(False)
    found = pieces.find((0, 0))
    print(name, float(abs(found).sum(dtype="f8")))
    pieces.close()
    if "shards" not in table.kind:
        pieces = table.open(True)
        pieces.put((1, 1), found[:4, :5])
        assert (pieces.find((1, 1)) == found[:4, :5]).all()
        pieces.close()
print("zarr" in sys.modules)
"""


def test_zarr_is_not_imported(tmp_path: Path) -> None:
    for name, how in ALL.items():
        made(tmp_path / f"{name}.zarr", how)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert last == "False"
    assert len(lines) == len(ALL)
    for line in lines:
        name, total = line.rsplit(" ", 1)
        dtype = ALL[name.removesuffix(".zarr")].get("dtype", "f4")
        assert float(total) == DATA[:16, :12].astype(dtype).sum().real


def change(path: Path, codec: Any, place: int) -> EncodedTable:
    said = json.loads((path / "zarr.json").read_text())
    said["codecs"][place] = codec
    (path / "zarr.json").write_text(json.dumps(said))
    return EncodedTable(read_zarr(path)[0])


@pytest.mark.parametrize(
    "codec",
    [
        {"name": "zstd", "configuration": {"level": 99, "checksum": False}},
        {"name": "zstd", "configuration": {"level": 1, "checksum": False, "window": 9}},
        {"name": "zstd"},
        {"name": "gzip", "configuration": {"level": 10}},
        {"name": "gzip", "configuration": {"level": "1"}},
        {"name": "blosc", "configuration": {"cname": "lz4"}},
        {"name": "numcodecs.zstd", "configuration": {"level": 1}},
        {"name": "crc32c", "configuration": {"location": "start"}},
        {"name": "bz3"},
        "gzip",
    ],
    ids=str,
)
def test_what_is_not_plain_is_left_to_zarr(tmp_path: Path, codec: Any) -> None:
    table = made(tmp_path / "x.zarr", {"compressors": ZSTD})
    assert plain_codecs(table.array) is not None
    assert plain_codecs(change(tmp_path / "x.zarr", codec, 1).array) is None


def test_filters_of_version_2_are_left_to_zarr(tmp_path: Path) -> None:
    how = {"zarr_format": 2, "filters": [numcodecs.Delta("f4")]}
    assert plain_codecs(made(tmp_path / "x.zarr", how).array) is None
    bz2 = {"zarr_format": 2, "compressors": numcodecs.BZ2()}
    assert plain_codecs(made(tmp_path / "y.zarr", bz2).array) is None


@pytest.mark.parametrize("name", ALL)
def test_chunks_are_decoded_into_place(tmp_path: Path, name: str) -> None:
    table = made(tmp_path / "x.zarr", ALL[name])
    pieces = table.open(False)
    straight = "turned" not in name and " F " not in name and name != "twice"
    for at in np.ndindex(2, 2):
        found, out = pieces.find(at), np.full(CHUNKS, 1, table.dtype)
        assert isinstance(found, np.ndarray)
        assert pieces.find_into(at, out) == straight
        if straight:
            np.testing.assert_array_equal(out[tuple(slice(n) for n in found.shape)], found)
        else:
            assert (out == 1).all()
    pieces.close()


def test_places_that_do_not_fit_are_left_alone(tmp_path: Path) -> None:
    table = made(tmp_path / "x.zarr", {"compressors": ZSTD})
    pieces = table.open(False)
    frozen = np.ones(CHUNKS, "f4")
    frozen.flags.writeable = False
    places = [
        np.ones((16, 11), "f4"), np.ones((192,), "f4"), np.ones(CHUNKS, ">f4"),
        np.ones(CHUNKS, "i4"), np.ones(CHUNKS, "f4", order="F"), np.ones((16, 24), "f4")[:, ::2],
        frozen,
    ]  # fmt: skip
    for out in places:
        assert not pieces.find_into((0, 0), out)
        assert (out == 1).all()
    (tmp_path / "x.zarr/c/0/1").unlink()
    good = np.ones(CHUNKS, "f4")
    assert not pieces.find_into((0, 1), good)
    assert (good == 1).all()
    file = tmp_path / "x.zarr/c/1/0"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(CorruptChunkError, match=r"chunk \(1, 0\)"):
        pieces.find_into((1, 0), good)
    pieces.close()


@pytest.mark.parametrize("codec", [GZIP, numcodecs.Zlib()], ids=["gzip", "zlib"])
def test_streams_longer_than_what_is_fed(tmp_path: Path, codec: Any) -> None:
    data = np.random.default_rng(2).integers(0, 9, (1, 1 << 20)).astype("u1")
    version = 2 if codec is not GZIP else 3
    zarr.create_array(
        tmp_path / "x.zarr", shape=data.shape, chunks=data.shape, dtype="u1", compressors=codec,
        zarr_format=version,
    )[:] = data  # fmt: skip
    table = EncodedTable(read_zarr(tmp_path / "x.zarr")[0])
    assert len(first_chunk(table)) > 3 << 16
    pieces = table.open(False)
    out = np.empty_like(data)
    assert pieces.find_into((0, 0), out)
    np.testing.assert_array_equal(out, data)
    np.testing.assert_array_equal(pieces.find((0, 0)), data)
    pieces.close()


def cached(path: Path) -> int:
    """Bytes of all chunks under a folder that are in the page cache."""
    total = 0
    for file in sorted((path / "c").rglob("*")):
        if file.is_file():
            fd = os.open(file, os.O_RDONLY)
            total += calls.cached_bytes(fd, 0, os.fstat(fd).st_size) or 0
            os.close(fd)
    return total


def forget(path: Path) -> None:
    """Have nothing of an array's chunks cached."""
    for file in (path / "c").rglob("*"):
        if file.is_file():
            fd = os.open(file, os.O_RDONLY)
            os.fsync(fd)
            calls.drop_cached(fd, 0, 0)
            os.close(fd)


def noise(path: Path, columns: int, **how: Any) -> tuple[EncodedTable, np.ndarray[Any, Any]]:
    """An array of 16 rows, a chunk each, that are of odd sizes when encoded; nothing is cached."""
    data = np.random.default_rng(3).normal(size=(16, columns)).astype("f4")
    zarr.create_array(
        path, shape=data.shape, chunks=(1, columns), dtype="f4", compressors=[ZSTD, CRC], **how
    )[:] = data
    forget(path)
    if cached(path):
        pytest.skip("pages that were dropped stay on this file system")
    return EncodedTable(read_zarr(path)[0]), data


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    with open(tmp_path / "probe", "wb+", buffering=0) as probe:
        probe.write(bytes(4096))
        if not calls.cached_bytes(probe.fileno(), 0, 4096):
            pytest.skip("what is cached cannot be told here")
    return tmp_path


@pytest.mark.parametrize("columns", [1 << 14, 1 << 17, 3 << 18])
@pytest.mark.parametrize("shards", [False, True], ids=["files", "shards"])
def test_what_is_read_leaves_no_pages(counted: Path, shards: bool, columns: int) -> None:
    path = counted / "x.zarr"
    table, data = noise(path, columns, shards=(8, columns) if shards else None)
    most = 4 * calls.PAGE
    for drop in (True, False):
        pieces = table.open(False)
        assert not pieces.drop
        pieces.drop = drop
        for row in range(16):
            found, out = pieces.find((row, 0)), np.empty((1, columns), "f4")
            np.testing.assert_array_equal(found, data[row : row + 1])
            if drop:
                assert cached(path) <= most
            assert pieces.find_into((row, 0), out)
            np.testing.assert_array_equal(out, data[row : row + 1])
            if drop:
                assert cached(path) <= most
        pieces.close()
    assert cached(path) > data.nbytes * 3 // 4
    # What was there before stays.
    pieces = table.open(False)
    pieces.drop = True
    for row in range(16):
        assert pieces.find((row, 0)) is not None
    pieces.close()
    assert cached(path) > data.nbytes * 3 // 4


def test_what_is_put_leaves_no_pages(counted: Path) -> None:
    path = counted / "x.zarr"
    table, data = noise(path, 1 << 17)
    pieces = table.open(True)
    pieces.drop = True
    for row in range(16):
        pieces.put((row, 0), -data[row : row + 1])
        assert cached(path) <= 4 * calls.PAGE
    pieces.drop = False
    pieces.put((3, 0), data[:1])
    assert cached(path) > 300 << 10
    pieces.close()
    data = -data
    data[3] = -data[0]
    np.testing.assert_array_equal(zarr.open_array(path, mode="r")[:], data)
