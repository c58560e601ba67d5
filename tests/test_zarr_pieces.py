"""Holds pieces of Zarr arrays against what zarr-python reads, and makes some beside others."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import pickle
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import zarr
import zarrs  # noqa: F401  (registers its codec pipeline)

from oocarray.errors import (
    ArrayLockedError,
    CorruptChunkError,
    InputChangedError,
    NotRegularFileError,
)
from oocarray.pages import locks
from oocarray.storage import zarrshards, zarrwrites
from oocarray.storage.pieces import Stretch, piece_bytes, shape_of
from oocarray.storage.zarrchunks import ChunkTable
from oocarray.storage.zarrfolder import ChunkFolder
from oocarray.storage.zarrmeta import read_zarr
from oocarray.storage.zarrshards import ShardTable

PLAIN = [{"name": "bytes", "configuration": {"endian": "little"}}]
ZARRS = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}


def table_of(folder: Path) -> ChunkTable | ShardTable:
    array = read_zarr(folder)[0]
    assert not array.encoded
    return ChunkTable(array) if array.inner is None else ShardTable(array)


@contextlib.contextmanager
def opened(folder: Path, writable: bool = False) -> Iterator[Any]:
    pieces = table_of(folder).open(writable)
    try:
        yield pieces
    finally:
        pieces.close()


def grid_of(table: Any) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(cut.count) for cut in table.cuts)))


def region(table: Any, coords: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(*cut.span(at)) for cut, at in zip(table.cuts, coords, strict=True))


def elements(found: Stretch) -> np.ndarray:
    """The elements of a piece, by its layout, out of what its descriptor leads to."""
    size = os.fstat(found.fd).st_size
    raw = np.frombuffer(os.pread(found.fd, size, 0), np.uint8)
    assert found.layout.file.size == size
    assert os.path.samestat(os.stat(found.layout.file.path), os.fstat(found.fd))
    return found.layout.view(raw, 0)


def assemble(folder: Path) -> tuple[np.ndarray, int]:
    """The array out of its pieces, and how many of these were missing."""
    table = table_of(folder)
    out = np.empty(shape_of(table), table.dtype)
    missing = 0
    with opened(folder) as pieces:
        for coords in grid_of(table):
            found, place = pieces.find(coords), region(table, coords)
            if found is None:
                missing += 1
                out[place] = table.fill
            else:
                assert found.layout.shape == out[place].shape
                out[place] = elements(found)
    return out, missing


def store(found: Stretch, value: np.ndarray) -> None:
    """Write elements where a piece lies, one after the other."""
    layout = found.layout
    for index in itertools.product(*map(range, layout.shape)):
        at = layout.offset + sum(i * step for i, step in zip(index, layout.strides, strict=True))
        os.pwrite(found.fd, value[index].astype(layout.dtype).tobytes(), at)


def content(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return (np.arange(1, math.prod(shape) + 1) % 120).reshape(shape).astype(dtype)


def sharding(
    inner: tuple[int, ...],
    index_at: str = "end",
    crc: bool = True,
    order: tuple[int, ...] = (),
    endian: str = "little",
) -> list[Any]:
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    transpose = [{"name": "transpose", "configuration": {"order": list(order)}}] if order else []
    return [
        {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": list(inner),
                "codecs": [*transpose, {"name": "bytes", "configuration": {"endian": endian}}],
                "index_codecs": [little] + ([{"name": "crc32c"}] if crc else []),
                "index_location": index_at,
            },
        }
    ]


def v3(separator: str = "/", encoding: str = "default", **more: Any) -> dict[str, Any]:
    key = {"name": encoding, "separator": separator}
    return {"zarr_format": 3, "chunk_key_encoding": key, **more}


# Written by zarr-python

_V2 = {"zarr_format": 2, "compressor": None, "chunks": (3, 4)}
KINDS: dict[str, dict[str, Any]] = {
    "v2": _V2,
    "v2-fortran": {**_V2, "order": "F"},
    "v2-folders": {**_V2, "dimension_separator": "/"},
    "v3": v3(chunks=(3, 4), codecs=PLAIN),
    "v3-dots": v3(".", chunks=(3, 4), codecs=PLAIN),
    "v3-old-keys": v3(".", "v2", chunks=(3, 4), codecs=PLAIN),
    "v3-old-folders": v3("/", "v2", chunks=(3, 4), codecs=PLAIN),
    "v3-transposed": v3(
        chunks=(3, 4),
        codecs=[{"name": "transpose", "configuration": {"order": [1, 0]}}, {"name": "bytes"}],
    ),
    "v3-one-chunk": v3(chunks=(7, 10), codecs=PLAIN),
    "shards": v3(chunks=(6, 4), codecs=sharding((3, 2))),
    "shards-start": v3(chunks=(6, 4), codecs=sharding((3, 2), "start")),
    "shards-no-crc": v3(chunks=(6, 4), codecs=sharding((3, 2), crc=False)),
    "shards-start-no-crc": v3(".", chunks=(6, 4), codecs=sharding((3, 2), "start", False)),
    "shards-transposed": v3(chunks=(6, 4), codecs=sharding((3, 2), order=(1, 0))),
    "shards-larger-than-array": v3(chunks=(30, 40), codecs=sharding((3, 4))),
}


def create(folder: Path, shape: tuple[int, ...], dtype: Any, fill: Any = 0, **kind: Any) -> Any:
    with zarr.config.set({"array.write_empty_chunks": True}):
        return zarr.create(store=folder, shape=shape, dtype=dtype, fill_value=fill, **kind)


@pytest.mark.parametrize("dtype", ["<f8", ">i2"])
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_are_what_zarr_python_reads(tmp_path: Path, kind: str, dtype: str) -> None:
    options = dict(KINDS[kind])
    if dtype.startswith(">") and "codecs" in options:
        if "shards" in kind:
            (one,) = options["codecs"]
            configuration = dict(one["configuration"])
            inside = configuration["codecs"][:-1]
            configuration["codecs"] = [
                *inside,
                {"name": "bytes", "configuration": {"endian": "big"}},
            ]
            options["codecs"] = [{**one, "configuration": configuration}]
        else:
            options["codecs"] = [
                *options["codecs"][:-1],
                {"name": "bytes", "configuration": {"endian": "big"}},
            ]
    array = create(tmp_path / "x", (7, 10), dtype, 5, **options)
    value = content((7, 10), dtype)
    array[1:5, 2:7] = value[1:5, 2:7]
    found, _ = assemble(tmp_path / "x")
    assert found.dtype.itemsize == np.dtype(dtype).itemsize
    np.testing.assert_array_equal(found, array[:])
    array[:] = value
    found, missing = assemble(tmp_path / "x")
    np.testing.assert_array_equal(found, value)
    assert missing == 0
    table = table_of(tmp_path / "x")
    assert found.dtype.byteorder == table.dtype.byteorder
    if dtype.startswith(">"):
        assert table.dtype.byteorder == ">"


@pytest.mark.parametrize("kind", ["v2", "v3", "v3-dots", "shards", "shards-start"])
def test_pieces_that_were_never_written_are_missing(tmp_path: Path, kind: str) -> None:
    array = create(tmp_path / "x", (7, 10), "f4", 2.5, **KINDS[kind])
    assert assemble(tmp_path / "x")[1] == len(grid_of(table_of(tmp_path / "x")))
    array[6, 9] = 1
    found, missing = assemble(tmp_path / "x")
    assert 0 < missing < len(grid_of(table_of(tmp_path / "x")))
    np.testing.assert_array_equal(found, array[:])


@pytest.mark.parametrize("kind", ["v2", "v3"])
def test_arrays_without_axes_and_without_elements(tmp_path: Path, kind: str) -> None:
    options = {**KINDS[kind], "chunks": ()}
    array = create(tmp_path / "one", (), "i4", 7, **options)
    assert assemble(tmp_path / "one")[0] == 7
    array[()] = 3
    assert assemble(tmp_path / "one")[0] == 3
    create(tmp_path / "none", (4, 0), "i4", 7, **{**KINDS[kind], "chunks": (2, 3)})
    table = table_of(tmp_path / "none")
    assert [cut.count for cut in table.cuts] == [2, 0]
    assert assemble(tmp_path / "none")[0].shape == (4, 0)


def test_three_axes_in_any_order(tmp_path: Path) -> None:
    for number, order in enumerate(itertools.permutations(range(3))):
        folder = tmp_path / str(number)
        options = v3(chunks=(4, 6, 8), codecs=sharding((2, 3, 4), order=order))
        array = create(folder, (5, 7, 9), "u2", **options)
        array[:] = content((5, 7, 9), "u2")
        np.testing.assert_array_equal(assemble(folder)[0], array[:])


# Written by others


@pytest.mark.parametrize("kind", ["v3", "v3-dots", "shards", "shards-start", "shards-no-crc"])
def test_pieces_that_zarrs_has_written(tmp_path: Path, kind: str) -> None:
    with zarr.config.set(ZARRS):
        array = create(tmp_path / "x", (7, 10), "i4", 5, **KINDS[kind])
        array[1:5, 2:7] = content((4, 5), "i4")
        value = array[:]
    np.testing.assert_array_equal(assemble(tmp_path / "x")[0], value)


@pytest.mark.parametrize("index_at", ["start", "end"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_pieces_that_tensorstore_has_written(
    tmp_path: Path, order: tuple[int, ...], index_at: str
) -> None:
    metadata = {
        "shape": [7, 10],
        "data_type": "int16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [6, 4]}},
        "codecs": sharding((3, 2), index_at, order=order, endian="big"),
        "fill_value": 3,
    }
    spec = {"driver": "zarr3", "kvstore": f"file://{tmp_path}/x/", "metadata": metadata}
    array = tensorstore.open(spec, create=True).result()
    array[1:5, 2:9].write(content((4, 7), "i2")).result()
    found, missing = assemble(tmp_path / "x")
    assert missing
    np.testing.assert_array_equal(found, array.read().result())
    np.testing.assert_array_equal(found, zarr.open_array(tmp_path / "x", mode="r")[:])


@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_old_pieces_that_tensorstore_has_written(
    tmp_path: Path, order: str, separator: str
) -> None:
    metadata = {
        "shape": [7, 10],
        "chunks": [3, 4],
        "dtype": ">f4",
        "compressor": None,
        "order": order,
        "dimension_separator": separator,
        "fill_value": 3,
    }
    spec = {"driver": "zarr", "kvstore": f"file://{tmp_path}/x/", "metadata": metadata}
    array = tensorstore.open(spec, create=True).result()
    array[1:5, 2:7].write(content((4, 5), "f4")).result()
    np.testing.assert_array_equal(assemble(tmp_path / "x")[0], array.read().result())


# Tables


def test_tables_are_plain_data(tmp_path: Path) -> None:
    for kind, words in (
        ("v2", "Zarr v2, one file per chunk"),
        ("v3", "Zarr v3, one file per chunk"),
        ("shards", "Zarr v3, shards"),
    ):
        create(tmp_path / kind, (7, 10), "f4", 2.5, **KINDS[kind])
        table = table_of(tmp_path / kind)
        again = pickle.loads(pickle.dumps(table))
        assert again == table == table_of(tmp_path / kind)
        assert hash(again) == hash(table)
        assert table.kind == words
        assert table.fill == 2.5
        assert not table.encoded
        assert table.file.path.startswith(str(tmp_path / kind))
        assert piece_bytes(table) == (48 if kind != "shards" else 24)


# What is not as it should be


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("arrays")
    for name, codecs in (("chunked", PLAIN), ("sharded", sharding((2, 2)))):
        array = create(root / name, (40, 20), "i4", **v3(chunks=(4, 4), codecs=codecs))
        array[:] = content((40, 20), "i4")
    return root


@pytest.fixture
def chunked(tmp_path: Path, written: Path) -> Path:
    """50 chunks of 4 x 4 int32, in folders."""
    return Path(shutil.copytree(written / "chunked", tmp_path / "x"))


@pytest.fixture
def sharded(tmp_path: Path, written: Path) -> Path:
    """50 shards of 4 x 4 int32, each of four inner chunks."""
    return Path(shutil.copytree(written / "sharded", tmp_path / "s"))


@pytest.mark.parametrize("size", [0, 63, 65, 200])
@pytest.mark.parametrize("writable", [False, True])
def test_a_chunk_of_another_size_is_corrupt(chunked: Path, size: int, writable: bool) -> None:
    os.truncate(chunked / "c/3/1", size)
    with opened(chunked, writable) as pieces:
        assert pieces.find((3, 0)) is not None
        with pytest.raises(CorruptChunkError, match=rf"\(3, 1\).*\({size}\).*\(64\)") as caught:
            pieces.find((3, 1))
        assert caught.value.chunk == (3, 1)


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere")


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("which", ["chunked", "sharded"])
@pytest.mark.parametrize(
    ("change", "word"),
    [(_link, "link"), (_folder, "folder"), (_pipe, "pipe"), (_dangling, "link")],
)
def test_only_files_are_chunks(
    which: str, change: Any, word: str, writable: bool, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(which)
    change(folder / "c/1/0")
    scale = 2 if which == "sharded" else 1
    with opened(folder, writable) as pieces:
        with pytest.raises(NotRegularFileError, match=f"c/1/0 is a .*{word}"):
            pieces.find((scale, 0))
        if writable:
            with pytest.raises(NotRegularFileError, match=f"c/1/0 is a .*{word}"):
                pieces.make((scale, 0))
        assert pieces.find((scale, scale)) is not None


@pytest.mark.parametrize("name", ["c", "c/1"])
def test_links_to_folders_are_not_followed(chunked: Path, name: str) -> None:
    _link(chunked / name)
    with opened(chunked, writable=True) as pieces:
        for ask in (pieces.find, pieces.make):
            with pytest.raises(NotRegularFileError, match=f"{name} is a symbolic link"):
                ask((1, 0))


def test_a_file_in_place_of_a_folder_is_an_error(chunked: Path) -> None:
    (chunked / "c/1").rename(chunked / "aside")
    (chunked / "c/1").write_bytes(b"")
    with opened(chunked) as pieces, pytest.raises(NotRegularFileError, match="must be a folder"):
        pieces.find((1, 0))


def test_the_folder_itself_may_be_named_by_a_link(chunked: Path, tmp_path: Path) -> None:
    (tmp_path / "name").symlink_to(chunked)
    np.testing.assert_array_equal(assemble(tmp_path / "name")[0], content((40, 20), "i4"))


def test_another_array_of_the_same_name_is_not_opened(chunked: Path, tmp_path: Path) -> None:
    table = table_of(chunked)
    chunked.rename(tmp_path / "aside")
    create(chunked, (40, 20), "i4", **v3(chunks=(4, 4), codecs=PLAIN))
    with pytest.raises(InputChangedError, match=r"zarr\.json was replaced"):
        table.open(False)


@pytest.mark.parametrize("coords", [(10, 0), (0, -1), (0,), (0, 0, 0)])
def test_places_outside_the_grid_are_never_missing(chunked: Path, coords: tuple[int, ...]) -> None:
    with opened(chunked) as pieces, pytest.raises((AssertionError, ValueError)):
        pieces.find(coords)


@pytest.mark.parametrize("name", ["..", "c/../zarr.json", "/etc/passwd", "c//0", "c/0\0", ""])
def test_keys_lead_nowhere_else(chunked: Path, name: str) -> None:
    folder = ChunkFolder(table_of(chunked).file, str(chunked))
    try:
        with pytest.raises(AssertionError):
            folder.open(name, writable=False)
    finally:
        folder.close()


# Files that change


def _forget(pieces: Any, grid: list[tuple[int, ...]]) -> None:
    """Look at so many others that what was opened before is closed."""
    for coords in grid:
        pieces.find(coords)


@pytest.mark.parametrize("which", ["chunked", "sharded"])
@pytest.mark.parametrize("how", ["replaced", "written", "removed"])
def test_a_file_that_was_changed_while_it_was_closed(
    which: str, how: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(which)
    path = folder / "c/0/0"
    with opened(folder) as pieces:
        first = pieces.find((0, 0))
        assert pieces.find((0, 0)) == first
        _forget(pieces, grid_of(table_of(folder))[-160:])
        assert pieces.find((0, 0)) is not None
        _forget(pieces, grid_of(table_of(folder))[-160:])
        raw = path.read_bytes()
        if how == "removed":
            path.unlink()
        elif how == "written":
            time.sleep(0.01)
            path.write_bytes(raw)
        else:
            (folder / "new").write_bytes(raw)
            (folder / "new").replace(path)
        with pytest.raises(InputChangedError, match="c/0/0 was"):
            pieces.find((0, 0))


def test_what_a_run_writes_may_have_another_time(chunked: Path) -> None:
    with opened(chunked, writable=True) as pieces:
        pieces.find((0, 0))
        _forget(pieces, grid_of(table_of(chunked))[-40:])
        os.utime(chunked / "c/0/0", ns=(1, 1))
        assert pieces.find((0, 0)) is not None
        _forget(pieces, grid_of(table_of(chunked))[-40:])
        raw = (chunked / "c/0/0").read_bytes()
        (chunked / "new").write_bytes(raw)
        (chunked / "new").replace(chunked / "c/0/0")
        with pytest.raises(InputChangedError):
            pieces.find((0, 0))


def test_many_chunks_where_few_files_may_be_open(tmp_path: Path, no_leaks: None) -> None:
    array = create(tmp_path / "x", (300,), "i4", **v3(chunks=(1,), codecs=PLAIN))
    array[:] = np.arange(300)
    many = create(tmp_path / "y", (16, 20), "i4", **v3(chunks=(1, 1), codecs=PLAIN))
    many[:] = 7
    del array, many
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # As many numbers as are free below it, whatever other tests have open.
    spare = [os.dup(0) for _ in range(50)]
    for fd in spare:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 1, before[1]))
    try:
        np.testing.assert_array_equal(assemble(tmp_path / "x")[0], np.arange(300))
        with contextlib.ExitStack() as taken, opened(tmp_path / "x", writable=True) as pieces:
            for at in range(20):
                assert pieces.find((at,)) is not None
            with contextlib.suppress(OSError):
                while True:
                    taken.callback(os.close, os.open("/dev/null", os.O_RDONLY))
            # No number is left: those of the chunks used longest ago are.
            for at in range(290, 300):
                assert elements(pieces.find((at,))) == at
        np.testing.assert_array_equal(assemble(tmp_path / "y")[0], np.full((16, 20), 7))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_two_threads_ask_at_once(chunked: Path, no_leaks: None) -> None:
    table, wrong = table_of(chunked), []
    value = content((40, 20), "i4")
    with opened(chunked) as pieces:

        def ask(grid: list[tuple[int, ...]]) -> None:
            for coords in grid:
                found = pieces.find(coords)
                if not np.array_equal(elements(found), value[region(table, coords)]):
                    wrong.append(coords)

        grid = grid_of(table)
        threads = [threading.Thread(target=ask, args=(grid[::step] * 4,)) for step in (1, -1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


@pytest.mark.parametrize("which", ["chunked", "sharded"])
def test_what_a_thread_was_given_stays_open_whatever_others_ask(
    which: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(which)
    table = table_of(folder)
    given: list[Stretch] = []
    with opened(folder) as pieces:

        def ask() -> None:
            given.extend(pieces.find(coords) for coords in ((0, 0), (4, 4)))

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        for coords in grid_of(table)[::-1]:
            pieces.find(coords)
        value = content((40, 20), "i4")
        for coords, found in zip(((0, 0), (4, 4)), given, strict=True):
            np.testing.assert_array_equal(elements(found), value[region(table, coords)])
        names = set()
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # the one of this very listing
                names.add(os.readlink(f"/proc/self/fd/{fd}"))
        files = [name for name in names if name.startswith(f"{folder}/") and os.path.isfile(name)]
        assert 32 <= len(files) <= 34


# Making


@pytest.mark.parametrize(
    ("kind", "fill"),
    [
        *itertools.product(KINDS, [0, 2.5]),
        *itertools.product(["v2", "v3", "shards"], [-0.0, float("nan")]),
    ],
)
def test_made_pieces_are_of_the_fill_value(tmp_path: Path, kind: str, fill: float) -> None:
    array = create(tmp_path / "x", (7, 10), "f8", fill, **KINDS[kind])
    table = table_of(tmp_path / "x")
    with opened(tmp_path / "x", writable=True) as pieces:
        for coords in grid_of(table)[::2]:
            found = pieces.make(coords)
            assert found.layout.shape == elements(found).shape
            expected = np.full(found.layout.shape, fill)
            assert elements(found).tobytes() == expected.tobytes()
            assert pieces.find(coords) == found == pieces.make(coords)
        pieces.sync()
    assert array[:].tobytes() == np.full((7, 10), fill).tobytes()
    found, missing = assemble(tmp_path / "x")
    assert missing == len(grid_of(table)[1::2])
    assert not [path for path in (tmp_path / "x").rglob(".*") if path.name[:2] != ".z"]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_stored_into_made_pieces_is_read_by_all(
    tmp_path: Path, kind: str, seed: int
) -> None:
    """Some pieces are there, in zarr-python's places; the others come in any order."""
    array = create(tmp_path / "x", (7, 10), "i4", 9, **KINDS[kind])
    value = content((7, 10), "i4")
    if seed == 1:
        array[2:4, 3:6] = value[2:4, 3:6]
    table = table_of(tmp_path / "x")
    grid = grid_of(table)
    np.random.default_rng(seed).shuffle(grid)
    grid = [tuple(map(int, coords)) for coords in grid]
    with contextlib.ExitStack() as stack:
        # As two workers, of which each adds what the other has not seen.
        both = [stack.enter_context(opened(tmp_path / "x", writable=True)) for _ in range(2)]
        for pieces in both:
            for coords in grid:
                pieces.find(coords)
        done = []
        for turn, coords in enumerate(grid):
            store(both[turn % 2].make(coords), value[region(table, coords)])
            done.append(coords)
            other = both[1 - turn % 2].find(coords)
            np.testing.assert_array_equal(elements(other), value[region(table, coords)])
            if turn % 5 == 0:
                now = array[:]
                for one in done:
                    np.testing.assert_array_equal(
                        now[region(table, one)], value[region(table, one)]
                    )
        for pieces in both:
            pieces.sync()
    np.testing.assert_array_equal(array[:], value)
    np.testing.assert_array_equal(assemble(tmp_path / "x")[0], value)
    if not kind.startswith("v2"):
        with zarr.config.set(ZARRS):
            np.testing.assert_array_equal(zarr.open_array(tmp_path / "x", mode="r")[:], value)
        spec = {"driver": "zarr3", "kvstore": f"file://{tmp_path}/x/"}
        np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), value)


def test_made_chunks_have_blocks_a_mode_and_folders(tmp_path: Path) -> None:
    create(tmp_path / "x", (2, 2**17), "f8", **v3(chunks=(1, 2**17), codecs=PLAIN))
    before = os.umask(0o027)
    try:
        with opened(tmp_path / "x", writable=True) as pieces:
            pieces.make((1, 0))
    finally:
        os.umask(before)
    found = (tmp_path / "x/c/1/0").stat()
    assert found.st_size == 2**20 <= found.st_blocks * 512
    assert found.st_mode & 0o777 == 0o640
    assert (tmp_path / "x/c/1").stat().st_mode & 0o777 == 0o750
    assert os.listdir(tmp_path / "x/c") == ["1"]


def test_made_inner_chunks_have_blocks_on_page_boundaries(tmp_path: Path) -> None:
    options = v3(chunks=(64, 2**14), codecs=sharding((1, 2**14)))
    create(tmp_path / "x", (60, 2**14), "f8", **options)
    with opened(tmp_path / "x", writable=True) as pieces:
        first = pieces.make((3, 0))
        found = os.fstat(first.fd)
        assert first.layout.offset == 3 * 2**17
        assert found.st_size == 64 * 2**17 + 64 * 16 + 4
        # Only what was made takes room.
        assert 2**17 <= found.st_blocks * 512 <= 2**18
        for at in range(60):
            assert pieces.make((at, 0)).layout.offset == at * 2**17


@pytest.mark.parametrize("index_at", ["start", "end"])
def test_a_full_shard_grows_once(tmp_path: Path, index_at: str) -> None:
    options = v3(chunks=(16, 1024), codecs=sharding((1, 1024), index_at))
    array = create(tmp_path / "x", (16, 1024), "f8", 4, **options)
    array[5] = 1
    array[9] = 2
    sizes = {(tmp_path / "x/c/0/0").stat().st_size}
    with opened(tmp_path / "x", writable=True) as pieces:
        old = pieces.find((5, 0)).layout.offset
        for at in range(16):
            found = pieces.make((at, 0))
            sizes.add((tmp_path / "x/c/0/0").stat().st_size)
            assert at in (5, 9) or found.layout.offset % 4096 == 0
        assert pieces.find((5, 0)).layout.offset == old
    assert len(sizes) == 2
    expected = np.full((16, 1024), 4.0)
    expected[5], expected[9] = 1, 2
    np.testing.assert_array_equal(array[:], expected)


@pytest.mark.parametrize("which", ["chunked", "sharded"])
def test_existing_pieces_are_changed_where_they_lie(
    which: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(which)
    before = (folder / "c/0/0").stat()
    with opened(folder, writable=True) as pieces:
        store(pieces.make((0, 0)), np.full((4, 4), -1))
    after = (folder / "c/0/0").stat()
    assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size)
    assert zarr.open_array(folder, mode="r")[0, 0] == -1
    assert zarr.open_array(folder, mode="r")[39, 19] == content((40, 20), "i4")[39, 19]


def test_no_room_is_an_error_with_both_numbers(tmp_path: Path) -> None:
    create(tmp_path / "x", (2**20,), "f8", 1, **v3(chunks=(2**19,), codecs=PLAIN))
    options = v3(chunks=(2**20,), codecs=sharding((2**19,)))
    create(tmp_path / "s", (2**20,), "f8", 1, **options)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    try:
        with (
            opened(tmp_path / "x", writable=True) as pieces,
            pytest.raises(OSError, match=r"4194304.*ulimit -f.*x/c/0"),
        ):
            pieces.make((0,))
        with (
            opened(tmp_path / "s", writable=True) as pieces,
            pytest.raises(OSError, match="s/c/0"),
        ):
            pieces.make((0,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path / "x/c") == os.listdir(tmp_path / "s/c") == []


def test_a_file_that_may_not_be_written_may_be_read(
    chunked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ChunkFolder.open

    def refuse(self: ChunkFolder, key: str, writable: bool) -> int | None:
        if writable:
            raise PermissionError(13, "Permission denied", self.name(key))
        return real(self, key, writable)

    monkeypatch.setattr(ChunkFolder, "open", refuse)
    with opened(chunked, writable=True) as pieces:
        assert elements(pieces.find((0, 0)))[0, 0] == 1
        with pytest.raises(PermissionError, match="c/0/0"):
            pieces.make((0, 0))


# Making it at once

SCRIPT = """
import os, sys, threading
import numpy as np
from oocarray.storage.zarrmeta import read_zarr
from oocarray.storage.zarrchunks import ChunkTable
from oocarray.storage.zarrshards import ShardTable

array, me = read_zarr(sys.argv[1])[0], int(sys.argv[2])
table = ChunkTable(array) if array.inner is None else ShardTable(array)
barrier = threading.Barrier(4)

def work(number, pieces):
    barrier.wait()
    for at in range(table.cuts[0].count):
        found = pieces.make((at, 0))
        # Each writes an element of its own: none may be lost.
        layout = found.layout
        where = layout.offset + number * layout.strides[-1]
        os.pwrite(found.fd, np.array(number + 1, layout.dtype).tobytes(), where)

both = [table.open(True), table.open(True)]
print("ready", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=work, args=(me * 4 + n, both[n % 2])) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for pieces in both:
    pieces.close()
"""


@pytest.mark.parametrize("kind", ["chunks", "shards", "shards-grow", "shards-grow-start"])
def test_processes_and_threads_make_the_same_pieces_at_once(tmp_path: Path, kind: str) -> None:
    options = v3(chunks=(1, 8), codecs=PLAIN)
    if kind.startswith("shards"):
        index_at = "start" if kind.endswith("start") else "end"
        options = v3(chunks=(20, 8), codecs=sharding((1, 8), index_at))
    array = create(tmp_path / "x", (40, 8), "i4", 77, **options)
    if "grow" in kind:
        array[3], array[33] = 70, 70
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "x")]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(subprocess.Popen([*command, str(n)], **pipes)) for n in range(2)
        ]
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
        for worker in workers:
            worker.communicate(timeout=60)
            assert worker.returncode == 0
    np.testing.assert_array_equal(array[:], np.tile(np.arange(1, 9), (40, 1)))
    assert not list((tmp_path / "x").rglob("*.part"))


# Ended in the middle


class Killed(BaseException):
    """What ends a worker between two calls."""


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("kind", ["new", "end", "start"])
def test_a_worker_that_ends_before_the_index_is_written(
    tmp_path: Path, kind: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_at = "start" if kind == "start" else "end"
    options = v3(chunks=(8, 16), codecs=sharding((2, 16), index_at))
    array = create(tmp_path / "x", (8, 16), "i4", 3, **options)
    if kind != "new":
        array[2:4] = 5
    before = array[:]
    real, count = zarrwrites.write_once, itertools.count(1)

    def end(*arguments: Any) -> None:
        if next(count) == calls:
            raise Killed
        real(*arguments)

    monkeypatch.setattr(zarrshards, "write_once", end)
    with opened(tmp_path / "x", writable=True) as pieces:
        if kind == "start" and calls == 2:
            pieces.make((0, 0))
            coords = (2, 0)
        else:
            coords = (0, 0)
        with pytest.raises(Killed):
            pieces.make(coords)
    np.testing.assert_array_equal(array[:], before)
    np.testing.assert_array_equal(assemble(tmp_path / "x")[0], before)
    monkeypatch.undo()
    with opened(tmp_path / "x", writable=True) as pieces:
        store(pieces.make((0, 0)), np.full((2, 16), 8))
    before[:2] = 8
    np.testing.assert_array_equal(array[:], before)


@pytest.mark.parametrize("lacks", ["nothing", "holes", "fallocate"])
def test_a_dirty_slot_is_filled_before_it_is_named(
    tmp_path: Path, lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in an unnamed slot is whatever a worker that ended had stored."""

    def refuse(*_: Any) -> int:
        raise OSError(22 if lacks == "holes" else 95, "not supported")

    if lacks == "holes":
        monkeypatch.setattr(os, "lseek", refuse)
    elif lacks == "fallocate":
        monkeypatch.setattr(zarrwrites.calls, "fallocate", refuse)
    options = v3(chunks=(8, 1024), codecs=sharding((1, 1024)))
    array = create(tmp_path / "x", (8, 1024), "i4", 0, **options)
    with opened(tmp_path / "x", writable=True) as pieces:
        pieces.make((0, 0))
        with open(tmp_path / "x/c/0/0", "r+b") as file:
            os.pwrite(file.fileno(), b"\xff" * 4096, 3 * 4096)
        assert not elements(pieces.make((3, 0))).any()
    assert not array[:].any()


def test_a_shard_that_was_replaced_is_not_written(sharded: Path) -> None:
    array = zarr.open_array(sharded)
    array[0:4, 0:4] = 0
    array[2, 2] = 1
    with opened(sharded, writable=True) as pieces:
        assert pieces.find((0, 0)) is None
        raw = (sharded / "c/0/0").read_bytes()
        (sharded / "new").write_bytes(raw)
        (sharded / "new").replace(sharded / "c/0/0")
        with pytest.raises(InputChangedError, match="c/0/0 was replaced"):
            pieces.make((0, 0))


def test_an_index_that_was_damaged_meanwhile_is_not_built_upon(sharded: Path) -> None:
    array = zarr.open_array(sharded)
    array[0:4, 0:4] = 0
    array[2, 2] = 1
    with opened(sharded, writable=True) as pieces:
        assert pieces.find((0, 0)) is None
        with open(sharded / "c/0/0", "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"?")
        with pytest.raises(CorruptChunkError, match="index of shard c/0/0"):
            pieces.make((0, 0))


def test_a_locked_shard_is_waited_for(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = zarr.open_array(sharded)
    array[0:4, 0:4] = 0
    array[2, 2] = 1
    with opened(sharded, writable=True) as pieces, open(sharded / "c/0/0", "rb") as file:
        assert pieces.find((0, 0)) is None
        assert locks.lock(file.fileno(), exclusive=True)
        monkeypatch.setattr(zarrwrites, "_PATIENCE", 0.05)
        with pytest.raises(ArrayLockedError, match=rf"c/0/0 was locked by process {os.getpid()}"):
            pieces.make((0, 0))
        monkeypatch.undo()
        timer = threading.Timer(0.2, locks.unlock, (file.fileno(),))
        timer.start()
        assert pieces.make((0, 0)).layout.shape == (2, 2)
        timer.join()


def test_without_locks_chunks_are_read_but_not_added(
    sharded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = zarr.open_array(sharded)
    array[0:4, 0:4] = 0
    array[2, 2] = 1

    def none(*_: Any) -> bool:
        raise locks.CannotLock(95, "not supported")

    monkeypatch.setattr(locks, "lock", none)
    with opened(sharded, writable=True) as pieces:
        assert pieces.find((0, 0)) is None
        assert pieces.make((1, 1)).layout.shape == (2, 2)
        with pytest.raises(OSError, match=r"has locks.*c/0/0"):
            pieces.make((0, 0))


# On the disk


@pytest.mark.parametrize("kind", ["v3", "v3-dots", "shards"])
def test_sync_writes_files_and_the_folders_of_new_names(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = create(tmp_path / "x", (7, 10), "i4", 9, **KINDS[kind])
    array[0, 0] = 1
    written: list[str] = []
    real = os.fsync

    def note(fd: int) -> None:
        written.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), tmp_path / "x"))
        real(fd)

    monkeypatch.setattr(os, "fsync", note)
    with opened(tmp_path / "x", writable=True) as pieces:
        pieces.sync()
        assert not written
        last = grid_of(table_of(tmp_path / "x"))[-1]
        pieces.find((0, 0))
        pieces.make((0, 0))
        pieces.make(last)
        pieces.sync()
    expected = {
        "v3": {"c/0/0", "c/2/2", "c/2", "c"},
        "v3-dots": {"c.0.0", "c.2.2", "."},
        "shards": {"c/0/0", "c/1/2", "c/1", "c"},
    }
    assert set(written) == expected[kind]


def test_sync_of_what_is_gone_is_an_error(chunked: Path) -> None:
    with opened(chunked, writable=True) as pieces:
        pieces.make((0, 0))
        (chunked / "c/0/0").unlink()
        with pytest.raises(InputChangedError, match="c/0/0 is gone"):
            pieces.sync()


def test_closing_twice_is_harmless(chunked: Path, sharded: Path, no_leaks: None) -> None:
    for folder in (chunked, sharded):
        pieces = table_of(folder).open(False)
        pieces.find((0, 0))
        pieces.close()
        pieces.close()
