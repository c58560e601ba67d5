"""New Zarr arrays are read whole and in part by three other libraries, and leave nothing behind."""

from __future__ import annotations

import errno
import gc
import json
import math
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
import zarrs  # noqa: F401  (it registers its pipeline)

import oocarray as oo
from oocarray.errors import DtypeError, FormatError, NotRegularFileError
from oocarray.storage import synctree, zarrdraft
from oocarray.storage.shards import canonical_slots
from oocarray.storage.zarrcreate import ZarrPlan, plan_zarr
from oocarray.storage.zarrdraft import ZarrDraft, create_zarr
from oocarray.storage.zarrmeta import read_zarr

ZARRS = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}
PLAIN = ["?", "i1", "u1", "i2", "u4", "i8", "f2", "f4", "f8", "c8", "c16", ">i2", ">f8", ">c8"]
OTHER = ["M8[ns]", "m8[s]", "S5", "U3", "V7"]
PART = (slice(3, 40), slice(5, 33))


def tensorstore_read(path: str) -> Any:
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": path + "/"}}
    return tensorstore.open(spec).result()


def values(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    numbers = np.arange(math.prod(shape)).reshape(shape) % 101
    return (numbers > 50) if np.dtype(dtype).kind == "b" else numbers.astype(dtype)


def store_by_index(folder: str, data: np.ndarray[Any, Any]) -> None:
    """Store each inner chunk where the shard's index says, as a run would through a mapping."""
    array = read_zarr(folder)[0]
    inner = array.inner or array.chunk
    for at in np.ndindex(*(-(-n // s) for n, s in zip(array.shape, inner, strict=True))):
        first = tuple(a * s for a, s in zip(at, inner, strict=True))
        outer = tuple(a // s for a, s in zip(first, array.chunk, strict=True))
        offset = 0
        with open(os.path.join(folder, array.key(outer)), "r+b") as stream:
            if array.inner is not None:
                grid = tuple(c // i for c, i in zip(array.chunk, inner, strict=True))
                place = tuple(a % g for a, g in zip(at, grid, strict=True))
                stream.seek(-math.prod(grid) * 16 - 4, os.SEEK_END)
                index = np.frombuffer(stream.read()[:-4], "<u8").reshape(*grid, 2)
                offset, count = (int(number) for number in index[place])
                assert count == math.prod(inner) * array.dtype.itemsize
            full = np.zeros(inner, array.dtype)
            part = data[tuple(slice(f, f + s) for f, s in zip(first, inner, strict=True))]
            full[tuple(slice(0, n) for n in part.shape)] = part
            stream.seek(offset)
            stream.write(full.tobytes())


@pytest.mark.parametrize("shards", ["auto", (32, 24), (96, 24), False])
@pytest.mark.parametrize("dtype", PLAIN)
def test_three_libraries_read_what_was_stored(tmp_path: Path, dtype: str, shards: Any) -> None:
    path = str(tmp_path / "x.zarr")
    array = create_zarr(path, (50, 40), dtype, chunks=(16, 12), shards=shards)
    assert array.dtype == np.dtype(dtype)
    assert array == read_zarr(path)[0]
    assert not array.encoded
    assert not zarr.open_array(path, mode="r")[:].any()
    data = values((50, 40), dtype)
    store_by_index(path, data)
    theirs = zarr.open_array(path, mode="r")
    assert theirs.shape == (50, 40)
    assert theirs.chunks == (16, 12)
    np.testing.assert_array_equal(theirs[:], data)
    np.testing.assert_array_equal(theirs[PART], data[PART])
    if dtype != ">c8":  # zarrs swaps the parts where it decodes half a chunk, whoever wrote it
        with zarr.config.set(ZARRS):
            again = zarr.open_array(path, mode="r")
            np.testing.assert_array_equal(again[:], data)
            np.testing.assert_array_equal(again[PART], data[PART])
    store = tensorstore_read(path)
    np.testing.assert_array_equal(store.read().result(), data)
    np.testing.assert_array_equal(store[PART].read().result(), data[PART])


@pytest.mark.parametrize("shards", ["auto", False])
def test_zarr_python_writes_into_ours(tmp_path: Path, shards: Any) -> None:
    path = str(tmp_path / "x.zarr")
    create_zarr(path, (50, 40), "f4", chunks=(16, 12), shards=shards, fill_value=2)
    theirs = zarr.open_array(path, mode="r+")
    theirs[PART] = 7
    want = np.full((50, 40), 2, "f4")
    want[PART] = 7
    np.testing.assert_array_equal(zarr.open_array(path, mode="r")[:], want)
    np.testing.assert_array_equal(tensorstore_read(path).read().result(), want)


@pytest.mark.filterwarnings("ignore")  # zarr-python warns of its own dtypes
@pytest.mark.parametrize("dtype", [*OTHER, [("a", "<i4"), ("b", "<f8")]])
def test_dtypes_by_zarr_python_s_names(tmp_path: Path, dtype: Any) -> None:
    path = str(tmp_path / "x.zarr")
    array = create_zarr(path, (50, 40), dtype, chunks=(16, 12))
    assert array.dtype == np.dtype(dtype)
    data = np.frombuffer(np.arange(50 * 40 * array.dtype.itemsize, dtype="u1") % 50, array.dtype)
    data = data.reshape(50, 40)
    store_by_index(path, data)
    theirs = zarr.open_array(path, mode="r")
    assert theirs.dtype == array.dtype
    assert theirs[:].tobytes() == data.tobytes()


def test_a_dtype_without_a_spelling_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    for dtype in ([("a", ">i4")], np.dtype([("a", "u1"), ("b", "<i4")], align=True)):
        with pytest.raises(DtypeError, match="no spelling in Zarr v3"):
            create_zarr(tmp_path / "x.zarr", (4,), dtype)
    with pytest.raises(DtypeError):
        create_zarr(tmp_path / "x.zarr", (4,), object)
    assert os.listdir(tmp_path) == []


def odd_nan() -> np.float32:
    return np.frombuffer(b"\x01\x00\xc0\x7f", "<f4")[0]


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        *[("f8", value) for value in (1.5, -0.0, math.nan, math.inf, -math.inf, 1e300, 0.1)],
        ("f4", np.float32(0.1)), ("f4", odd_nan()), (">f4", 3.25), ("f2", math.nan),
        ("?", True), ("i8", -(2**63)), ("u8", 2**64 - 1), ("c8", 1 + 2j),
        ("c16", complex(math.nan, math.inf)),
    ],
)  # fmt: skip
def test_fill_values(tmp_path: Path, dtype: str, fill: Any) -> None:
    path = str(tmp_path / "x.zarr")
    array = create_zarr(path, (5,), dtype, chunks=2, fill_value=fill)
    want = np.full(5, fill, np.dtype(dtype))
    assert array.fill == want[:1].tobytes()
    theirs = zarr.open_array(path, mode="r")
    assert theirs[:].astype(dtype).tobytes() == want.tobytes()
    there = np.asarray(theirs.fill_value, dtype)
    np.testing.assert_array_equal(there, want[0])
    assert np.signbit(there.real) == np.signbit(want[0].real)
    np.testing.assert_array_equal(tensorstore_read(path).read().result(), want)


def test_dims_and_attributes(tmp_path: Path) -> None:
    path = str(tmp_path / "x.zarr")
    told = {"units": "K", "n": np.int64(3), "range": np.array([0.5, 2]), "deep": {"a": [None]}}
    array = create_zarr(path, (4, 6), "f4", dims=("y", None), attributes=told)
    theirs = zarr.open_array(path, mode="r")
    assert array.dims == theirs.metadata.dimension_names == ("y", None)
    assert dict(theirs.attrs) == {**told, "n": 3, "range": [0.5, 2.0]}
    with pytest.raises(ValueError, match="attributes cannot be written as JSON: attribute 'x'"):
        create_zarr(tmp_path / "y.zarr", (4,), "f4", attributes={"x": object()})
    with pytest.raises(ValueError, match="2 axes"):
        create_zarr(tmp_path / "y.zarr", (4, 6), "f4", dims=("y",))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (7, 1)])
def test_small_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = str(tmp_path / "x.zarr")
    create_zarr(path, shape, "i4", fill_value=5)
    for pipeline in ({}, ZARRS):
        with zarr.config.set(pipeline):
            found = zarr.open_array(path, mode="r")[...]
            np.testing.assert_array_equal(found, np.full(shape, 5, "i4"))
    np.testing.assert_array_equal(tensorstore_read(path).read().result(), np.full(shape, 5))


def test_the_default_is_shards_that_are_runs_of_the_array() -> None:
    plan = plan_zarr((100_000, 1000), "f8")
    assert plan.inner == (2048, 1000)
    assert plan.chunk[1] == 1000
    assert plan.chunk[0] % 2048 == 0
    assert math.prod(plan.chunk) * 8 <= 1 << 30
    # One row is larger than a shard: shards are pieces of rows.
    plan = plan_zarr((3, 2**28), "f8")
    assert plan.chunk[0] == 1
    assert plan.chunk[1] * 8 <= 1 << 30
    # Equal shares: 65 chunks of 16 MiB are not 64 and 1.
    plan = plan_zarr((65 * 2048, 1024), "f8")
    assert plan.chunk == (33 * 2048, 1024)
    assert plan_zarr((10, 10), "f8", chunks=(4, 4)).chunk == (12, 12)
    assert plan_zarr((10, 10), "f8", chunks=(100, 4)).inner == (100, 4)
    assert plan_zarr((10, 10), "f8", chunks=(-1, 4)).inner == (10, 4)


def test_bad_arguments(tmp_path: Path) -> None:
    def refused(error: type[Exception], match: str, *args: Any, **how: Any) -> None:
        with pytest.raises(error, match=match):
            create_zarr(tmp_path / "x.zarr", *(args or ((8, 8), "f4")), **how)

    refused(ValueError, "whole number of chunks", chunks=(4, 4), shards=(6, 8))
    refused(ValueError, "whole number of chunks", chunks=(4, 4), shards=(8,))
    refused(ValueError, "all have one shape", chunks=((3, 5), (8,)))
    refused(ValueError, "scalar", fill_value=[1, 2])
    refused(ValueError, "durability", durability="maybe")
    refused(NotImplementedError, "compressors=None", compressors="zstd", shards=(8, 8))
    refused(ValueError, "known by name", compressors="zst")
    refused(ValueError, "zarr-python refuses", compressors={"name": "no-such-codec"})
    refused(ValueError, "2\\*\\*63", (2**40, 2**40), "f4")
    with pytest.raises(FileNotFoundError) as caught:
        create_zarr(tmp_path / "gone" / "x.zarr", (4,), "f4")
    assert caught.value.filename == str(tmp_path / "gone" / "x.zarr")
    assert os.listdir(tmp_path) == []


def test_slots_begin_on_pages_and_blocks_are_reserved(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    array = create_zarr(path, (300, 1000), "f8", chunks=(100, 1000), shards=(200, 1000))
    offsets, index_at, size = canonical_slots((200, 1000), (100, 1000), 8)
    assert not (offsets % 4096).any()
    for row, present in ((0, 2), (1, 1)):
        shard = path / array.key((row, 0))
        found = shard.stat()
        assert found.st_size == size
        assert present * 800_000 <= found.st_blocks * 512 < present * 804_000 + 16_384
        index = np.frombuffer(shard.read_bytes()[index_at:-4], "<u8").reshape(2, 2)
        assert index[:present].tolist() == [[o, 800_000] for o in offsets[:present].tolist()]
        assert (index[present:] == 2**64 - 1).all()
    assert sorted(os.listdir(path / "c")) == ["0", "1"]


def test_slots_behind_the_end_of_every_axis_take_no_room(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    create_zarr(path, (100, 1024), "f8", chunks=(10, 1024), shards=(100, 102_400), fill_value=3)
    shard = path / "c" / "0" / "0"
    assert shard.stat().st_size > 81_920_000
    assert 100 * 8192 <= shard.stat().st_blocks * 512 < 1 << 20
    assert (zarr.open_array(path, mode="r")[:] == 3).all()


def test_files_of_one_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_zarr(tmp_path / "x.zarr", (50, 40), "f4", chunks=(16, 12), shards=False)
    files = [name for name in (tmp_path / "x.zarr" / "c").rglob("*") if name.is_file()]
    assert len(files) == 16
    assert {(name.stat().st_size, name.stat().st_blocks * 512) for name in files} == {(768, 4096)}
    monkeypatch.setattr("oocarray.storage.zarrcreate.MAX_FILES", 15)
    create_zarr(tmp_path / "y.zarr", (50, 40), "f4", chunks=(16, 12), shards=False, fill_value=4)
    assert os.listdir(tmp_path / "y.zarr") == ["zarr.json"]
    assert (zarr.open_array(tmp_path / "y.zarr", mode="r")[:] == 4).all()


def test_more_than_is_free_is_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"needs .*\(\d{14,}\), free on its file system: .*\(\d+\)"):
        create_zarr(tmp_path / "x.zarr", (2**44,), "f4")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("shards", ["auto", False])
def test_a_file_limit_leaves_nothing(tmp_path: Path, shards: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(OSError, match="ulimit -f") as caught:
            create_zarr(tmp_path / "x.zarr", (1 << 19,), "f8", chunks=1 << 18, shards=shards)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(tmp_path / "x.zarr" / "c" / "0")
    assert os.listdir(tmp_path) == []


def test_publish_and_discard(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    old = os.umask(0o027)
    try:
        draft = ZarrDraft.create(path, (4, 6), "f4")
    finally:
        os.umask(old)
    (part,) = os.listdir(tmp_path)
    assert part.startswith(".x.zarr.")
    assert part.endswith(".part")
    assert draft.folder == draft.part_path == str(tmp_path / part)
    assert draft.array.folder == draft.folder
    assert stat.S_IMODE(os.stat(draft.folder).st_mode) == 0o700
    store_by_index(draft.folder, values((4, 6), "f4"))
    before = os.stat(os.path.join(draft.folder, "zarr.json"))
    key = draft.publish("machine")
    assert (key.dev, key.ino) == (before.st_dev, before.st_ino)
    assert key == read_zarr(path)[0].file
    assert key.header == read_zarr(path)[0].file.header
    assert os.listdir(tmp_path) == ["x.zarr"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert stat.S_IMODE((path / "zarr.json").stat().st_mode) == 0o640
    assert draft.part_path is None
    draft.discard()
    draft.discard()
    np.testing.assert_array_equal(zarr.open_array(path, mode="r")[:], values((4, 6), "f4"))
    with pytest.raises(ValueError, match="closed"):
        draft.publish()

    with ZarrDraft.create(tmp_path / "y.zarr", (4, 6), "f4") as other:
        assert len(os.listdir(tmp_path)) == 2
        with pytest.raises(ValueError, match="durability"):
            other.publish("never")
    other.discard()
    assert os.listdir(tmp_path) == ["x.zarr"]


def test_the_folder_around_it_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    create_zarr(tmp_path / "link" / "x.zarr", (4,), "f4", durability="machine")
    assert read_zarr(tmp_path / "real" / "x.zarr")[0].shape == (4,)


@pytest.mark.parametrize("threads", [True, False])
def test_all_files_and_folders_are_synced(
    threads: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    if not threads:

        def refused(*_: Any) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(synctree.ThreadPoolExecutor, "submit", refused)
    draft = ZarrDraft.create(tmp_path / "x.zarr", (4, 6), "f4", chunks=(2, 3), shards=False)
    folder = draft.folder
    draft.publish("machine")
    keys = ["", "zarr.json", "c", "c/0", "c/1", *(f"c/{i}/{j}" for i in (0, 1) for j in (0, 1))]
    names = [os.path.join(folder, key).rstrip("/") for key in keys]
    assert sorted(synced) == sorted([*names, str(tmp_path)])


@pytest.mark.parametrize("shards", [False, (4, 6)])
def test_nothing_is_made_that_another_library_makes_itself(tmp_path: Path, shards: Any) -> None:
    with ZarrDraft.create(
        tmp_path / "x.zarr", (4, 6), "f4", chunks=(2, 6), shards=shards, reserved=False
    ) as draft:
        assert os.listdir(draft.folder) == ["zarr.json"]
        zarr.open_array(draft.folder, mode="r+")[:2] = 3
        draft.publish("machine")
    found = zarr.open_array(tmp_path / "x.zarr", mode="r")
    assert np.array_equal(found[:], [[3] * 6] * 2 + [[0] * 6] * 2)


def test_overwriting(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    create_zarr(path, (4, 6), "f4", fill_value=1)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        create_zarr(path, (4, 6), "f4")
    draft = ZarrDraft.create(path, (3,), "i2", fill_value=2, overwrite=True)
    assert zarr.open_array(path, mode="r").shape == (4, 6)
    draft.publish()
    assert zarr.open_array(path, mode="r")[:].tolist() == [2, 2, 2]
    assert os.listdir(tmp_path) == ["x.zarr"]
    zarr.create_array(tmp_path / "v2.zarr", shape=(3,), dtype="i4", zarr_format=2)
    create_zarr(tmp_path / "v2.zarr", (5,), "i4", overwrite=True)
    assert zarr.open_array(tmp_path / "v2.zarr", mode="r").shape == (5,)


def test_nothing_but_an_array_is_overwritten(tmp_path: Path) -> None:
    real = tmp_path / "real.zarr"
    create_zarr(real, (3,), "i4", fill_value=9)
    zarr.create_group(tmp_path / "group.zarr")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("years")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("real.zarr")
    (tmp_path / "dangling").symlink_to("nowhere")
    before = sorted(os.listdir(tmp_path))
    for name in ("folder", "empty", "group.zarr", "file", "link", "dangling"):
        with pytest.raises((FormatError, NotRegularFileError), match=name):
            create_zarr(tmp_path / name, (3,), "i4", overwrite=True)
        with pytest.raises(FileExistsError):
            create_zarr(tmp_path / name, (3,), "i4")
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "folder" / "thesis.txt").read_text() == "years"
    assert zarr.open_array(real, mode="r")[:].tolist() == [9, 9, 9]


def test_what_appears_meanwhile_stays(tmp_path: Path) -> None:
    for make in (Path.mkdir, Path.touch):
        path = tmp_path / f"{make.__name__}.zarr"
        draft = ZarrDraft.create(path, (3,), "i4")
        make(path)
        with pytest.raises(FileExistsError):
            draft.publish()
    assert sorted(os.listdir(tmp_path)) == ["mkdir.zarr", "touch.zarr"]
    assert os.listdir(tmp_path / "mkdir.zarr") == []


def test_a_failed_swap_puts_the_old_array_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.zarr"
    create_zarr(path, (3,), "i4", fill_value=1)
    draft = ZarrDraft.create(path, (3,), "i4", fill_value=2, overwrite=True)
    real = os.rename

    def rename(source: str, target: str) -> None:
        if source == draft.folder:
            raise OSError(5, "the disk is gone", source)
        real(source, target)

    monkeypatch.setattr(zarrdraft.os, "rename", rename)
    with pytest.raises(OSError, match="the disk is gone"):
        draft.publish()
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["x.zarr"]
    assert zarr.open_array(path, mode="r")[:].tolist() == [1, 1, 1]


def test_errors_on_the_way_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(zarrdraft, "_write_chunk_file", fail)
    with pytest.raises(KeyboardInterrupt):
        create_zarr(tmp_path / "x.zarr", (3,), "i4")
    assert os.listdir(tmp_path) == []


def test_inside_a_group(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "g.zarr")
    create_zarr(tmp_path / "g.zarr" / "t", (3,), "i4", fill_value=6)
    assert group["t"][:].tolist() == [6, 6, 6]


@pytest.mark.parametrize(
    ("compressors", "said"),
    [
        ("zstd", {"name": "zstd", "configuration": {"level": 0, "checksum": False}}),
        ("gzip", {"name": "gzip", "configuration": {"level": 5}}),
        ("blosc", {"typesize": 4, "shuffle": "shuffle"}),
        (zarr.codecs.BloscCodec(), {"typesize": 4, "shuffle": "shuffle"}),
        (zarr.codecs.ZstdCodec(level=7), {"name": "zstd"}),
        ({"name": "gzip", "configuration": {"level": 1}}, {"name": "gzip"}),
        ([zarr.codecs.GzipCodec(), zarr.codecs.Crc32cCodec()], {"name": "gzip"}),
    ],
)
def test_compressed_arrays(tmp_path: Path, compressors: Any, said: dict[str, Any]) -> None:
    path = tmp_path / "x.zarr"
    array = create_zarr(path, (50, 40), "f4", chunks=(16, 12), compressors=compressors)
    assert array.encoded
    assert array.chunk == (16, 12)
    assert os.listdir(path) == ["zarr.json"]
    codec = json.loads((path / "zarr.json").read_text())["codecs"][1]
    assert said.items() <= {**codec, **codec["configuration"]}.items()
    theirs = zarr.open_array(path, mode="r+")
    theirs[:] = values((50, 40), "f4")
    np.testing.assert_array_equal(tensorstore_read(str(path)).read().result(), theirs[:])


def test_numcodecs_objects_are_taken(tmp_path: Path) -> None:
    import numcodecs

    path = tmp_path / "x.zarr"
    create_zarr(path, (5,), "f4", compressors=numcodecs.LZ4())
    codec = json.loads((path / "zarr.json").read_text())["codecs"][1]
    assert codec == {"name": "numcodecs.lz4", "configuration": {"acceleration": 1}}


def test_plain_arrays_are_made_without_zarr_python(tmp_path: Path) -> None:
    code = (
        "import sys; from oocarray.storage.zarrdraft import create_zarr\n"
        f"create_zarr({str(tmp_path / 'x.zarr')!r}, (9, 9), 'f4', fill_value=1.5)\n"
        "assert 'zarr' not in sys.modules, 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_plan_says_what_it_reserves() -> None:
    plan: ZarrPlan = plan_zarr((300, 1000), "f8", chunks=(100, 1000), shards=(200, 1000))
    assert plan.reserved == 3 * 800_000 + 2 * 36
    assert plan_zarr((300, 1000), "f8", compressors="zstd").reserved == 0


# ---- ends that are not the usual ----------------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["serial", "threads"])
def test_a_function_that_raises_leaves_no_descriptor(tmp_path, scheduler, opened_since):
    def raises(block, block_id=None):
        if block_id[0] == 5:
            raise ZeroDivisionError
        return block

    y = oo.from_array(np.ones((64, 8)), chunks=(8, 8)).map_blocks(raises, dtype="f8")
    opened = opened_since()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            y.store(tmp_path / "y.zarr", chunks=(8, 8), shards=(32, 8), scheduler=scheduler)
    gc.collect()
    assert opened() == []


def test_a_folder_that_cannot_be_listed_is_not_taken_for_synced(tmp_path, monkeypatch):
    (tmp_path / "c" / "1").mkdir(parents=True)
    real = os.scandir

    def scandir(path):
        if str(path).endswith("1"):
            raise OSError(errno.EMFILE, "no descriptor", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(OSError, match="no descriptor"):
        synctree.sync_tree(str(tmp_path))


def test_an_array_that_is_replaced_is_not_left_beside_the_new_one(tmp_path, monkeypatch):
    oo.from_array(np.zeros(8)).store(tmp_path / "x.zarr")

    def fails(path):
        raise OSError(errno.EIO, "no disk", path)

    monkeypatch.setattr(zarrdraft, "sync", fails)
    with pytest.raises(OSError, match="no disk"):
        oo.from_array(np.ones(8)).store(tmp_path / "x.zarr", overwrite=True, durability="machine")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["x.zarr"]
    assert oo.open(tmp_path / "x.zarr").compute().all()


def test_ctrl_c_while_an_array_is_replaced_leaves_one_of_them(tmp_path, monkeypatch):
    real = os.rename
    oo.from_array(np.zeros(8)).store(tmp_path / "x.zarr")
    for before in (True, False):

        def interrupted(source, target, before=before):
            if ".part" in str(source) and not before:
                real(source, target)
            if ".part" in str(source):
                raise KeyboardInterrupt
            real(source, target)

        monkeypatch.setattr(os, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            oo.from_array(np.ones(8)).store(tmp_path / "x.zarr", overwrite=True)
        monkeypatch.undo()
        assert oo.open(tmp_path / "x.zarr").compute().all() == (not before)


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_options_hold_for_what_is_laid_aside(tmp_path, scheduler):
    def whose(block):
        return np.full_like(block, os.getpid())

    y = oo.from_array(np.ones((64, 8)), chunks=(10, 8)).map_blocks(whose, dtype="f8")
    how = {"chunks": (16, 8), "compressors": "zstd"}
    pids = y.store(tmp_path / "y.zarr", scheduler=scheduler, workers=1, **how).compute()
    assert (os.getpid() in pids) == (scheduler == "threads")
    with pytest.raises(NotImplementedError, match="on_error"):
        y.store(tmp_path / "z.zarr", backend="dask", on_error="fill", **how)
    y.store(tmp_path / "z.zarr", backend="dask", **how)
    assert sorted(os.listdir(tmp_path)) == ["y.zarr", "z.zarr"]
