"""Opening, creating and wrapping arrays, views of them, and storing into all of these."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oocarray as oo

SCHEDULERS = ("serial", "threads", "processes")
Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOCARRAY_WORKERS", "2")
    monkeypatch.setenv("OOCARRAY_PROGRESS", "no")
    monkeypatch.setenv("OOCARRAY_SCHEDULER", "serial")


@pytest.fixture(params=SCHEDULERS)
def anywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OOCARRAY_SCHEDULER", request.param)
    return str(request.param)


# Opening


@pytest.mark.parametrize("order", ["C", "F"])
def test_open_npy(npy: Make, order: str) -> None:
    path = npy((5, 7), "i2", order)
    before = os.stat(path).st_mtime_ns
    x = oo.open(path)
    assert (x.shape, x.ndim, x.size, x.itemsize, x.nbytes) == ((5, 7), 2, 35, 2, 70)
    assert x.dtype == np.dtype("i2")
    assert x.mode == "r"
    assert len(x) == 5
    assert x.chunks == ((5,), (7,))
    assert (x.numblocks, x.chunksize) == ((1, 1), (5, 7))
    assert repr(x).startswith(f"<oocarray.Array {path} (r): shape=(5, 7), dtype=int16, 70 B")
    assert x.compute().tolist() == x.read().tolist() == np.load(path).tolist()
    assert np.asarray(x).tolist() == np.load(path).tolist()
    assert os.stat(path).st_mtime_ns == before


def test_open_raw(tmp_path: Path) -> None:
    path = tmp_path / "x.dat"
    path.write_bytes(b"header.." + np.arange(24, dtype=">i4").tobytes())
    x = oo.open(path, shape=(2, -1), dtype=">i4", offset=8)
    assert x.shape == (2, 12)
    assert x.compute().tolist() == np.arange(24).reshape(2, 12).tolist()
    columns = oo.open(str(path), shape=(6, 4), dtype=">i4", offset=8, order="F")
    assert columns.compute().tolist() == np.arange(24).reshape(4, 6).T.tolist()
    assert oo.open(path, shape=6, dtype="u1").compute().tobytes() == b"header"


def test_what_cannot_be_opened(npy: Make, tmp_path: Path) -> None:
    path = npy(4)
    with pytest.raises(ValueError, match=r"mode='w' is none of 'r', 'r\+' and 'a'; oo.create"):
        oo.open(path, "w")
    with pytest.raises(TypeError, match="dtype= is missing"):
        oo.open(path, shape=4)
    with pytest.raises(TypeError, match="shape= is missing"):
        oo.open(path, dtype="f8")
    with pytest.raises(TypeError, match="offset= is for raw arrays"):
        oo.open(path, offset=8)
    with pytest.raises(TypeError, match="order= is for raw arrays"):
        oo.open(path, order="F")
    (tmp_path / "x.dat").write_bytes(b"something else")
    with pytest.raises(oo.FormatError, match=r"x.dat is in no format known .* give shape= and"):
        oo.open(tmp_path / "x.dat")
    with pytest.raises(FileNotFoundError):
        oo.open(tmp_path / "none.npy")
    with pytest.raises(oo.NotRegularFileError):
        oo.open(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(oo.TruncatedFileError):
        oo.open(path)


def test_close(npy: Make) -> None:
    path = npy((4, 4))
    with oo.open(path) as x:
        view = x.view()
    assert view.tolist() == np.load(path).tolist()  # a view outlives its array
    assert repr(x) == f"<oocarray.Array, closed: {path} (r)>"
    uses: list[Callable[[], Any]] = [
        x.compute,
        x.view,
        x.memmap,
        x.sum,
        lambda: x.shape,
        lambda: x.dtype,
        lambda: x[0],
        lambda: len(x),
        lambda: oo.map_blocks(np.negative, x),
        lambda: x.rechunk(2),
        lambda: pickle.dumps(x),
        lambda: x.__enter__(),
    ]
    for use in uses:
        with pytest.raises(oo.ClosedError, match=r"array-1.npy .* was closed; open it again"):
            use()
    x.close()


def test_view_is_shared_and_read_is_not(npy: Make) -> None:
    path = npy((4, 4))
    x = oo.open(path, "r+")
    view, copy = x.view(), x.read()
    view[1, 1] = 99
    assert np.load(path)[1, 1] == 99
    assert copy[1, 1] != 99
    assert x.compute()[1, 1] == 99
    read_only = oo.open(path).view()
    with pytest.raises(ValueError, match="read-only"):
        read_only[0, 0] = 1
    with pytest.raises(TypeError, match=r"view\(\) needs an array that is stored in a file"):
        oo.map_blocks(np.negative, x).view()


@pytest.mark.parametrize("key", [..., slice(1, 3), (slice(None, None, -2), slice(1, None, 2))])
@pytest.mark.parametrize("order", ["C", "F"])
def test_memmap(npy: Make, order: str, key: Any) -> None:
    path = npy((4, 6), ">f4", order)
    x = oo.open(path, "r+")[key]
    mapped = x.memmap()
    assert isinstance(mapped, np.memmap)
    assert mapped.tolist() == np.load(path)[key].tolist()
    assert mapped.dtype == np.dtype(">f4")
    mapped[0, 0] = 77
    mapped.flush()
    assert np.load(path)[key][0, 0] == 77
    again = oo.from_array(mapped)
    assert again.layout is not None
    assert again.layout.same_elements(x.layout)
    with pytest.raises(ValueError, match="cannot be mapped"):
        oo.open(npy((0, 3))).memmap()


# Creating


def test_create(tmp_path: Path) -> None:
    x = oo.create(tmp_path / "x.npy", (3, 4), "i4")
    assert (x.shape, x.dtype, x.mode) == ((3, 4), np.dtype("i4"), "r+")
    assert not x.compute().any()
    y = oo.create(tmp_path / "y.npy", 5, fill_value=2.5, chunks=2)
    assert y.dtype == np.float64
    assert y.chunks == ((2, 2, 1),)
    assert np.load(tmp_path / "y.npy").tolist() == [2.5] * 5
    f = oo.create(tmp_path / "f.npy", (3, 4), order="F")
    f.view()[...] = np.arange(12).reshape(3, 4)
    assert np.isfortran(np.load(tmp_path / "f.npy"))
    assert np.load(tmp_path / "f.npy")[1].tolist() == [4, 5, 6, 7]
    raw = oo.create(tmp_path / "x.dat", (2, 2), "u1", format="raw", fill_value=7)
    assert (tmp_path / "x.dat").read_bytes() == b"\7\7\7\7"
    assert raw.mode == "r+"
    before = (tmp_path / "y.npy").read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        oo.create(tmp_path / "y.npy", 3)
    assert (tmp_path / "y.npy").read_bytes() == before
    assert oo.create(tmp_path / "y.npy", 3, overwrite=True).compute().tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="cannot tell a format"):
        oo.create(tmp_path / "z.dat", 3)
    with pytest.raises(ValueError, match="format='hdf' is none of"):
        oo.create(tmp_path / "z.dat", 3, format="hdf")
    assert {path.name for path in tmp_path.iterdir()} == {"x.npy", "y.npy", "f.npy", "x.dat"}


# Wrapping


def test_from_array_of_memory() -> None:
    values = np.arange(12.0).reshape(3, 4)
    x = oo.from_array(values, chunks=(2, 3))
    assert x.chunks == ((2, 1), (3, 1))
    values[0, 0] = 50
    assert x.compute()[0, 0] == 50  # wrapped, not copied
    assert oo.from_array(x) is x
    assert oo.from_array(x, chunks=2).chunks == ((2, 1), (2, 2))
    assert oo.from_array([[1, 2], [3, 4]]).sum().compute() == 10
    assert oo.from_array(5).compute() == 5
    with pytest.raises(TypeError, match="object array"):
        oo.from_array(np.array([None]))
    with pytest.raises(TypeError, match="stored in a file"):
        x.memmap()


def test_from_array_of_a_memmap(npy: Make) -> None:
    path = npy((6, 8))
    values = np.load(path)
    writable, read_only = np.load(path, mmap_mode="r+"), np.load(path, mmap_mode="r")
    for key in (..., slice(2, 4), (slice(None, None, -2), 3), (slice(None), None), (5, 7)):
        x = oo.from_array(writable[key] if key != (5, 7) else writable[5:6, 7:8][0, 0:1])
        assert x.layout is not None
        assert (x.layout.file.path, x.mode) == (str(path), "r+")
        expected = values[key] if key != (5, 7) else values[5, 7:8]
        assert x.compute().tolist() == expected.tolist()
    assert oo.from_array(read_only.T).mode == "r"
    assert oo.from_array(read_only.T).compute().tolist() == values.T.tolist()
    assert oo.from_array(np.load(path, mmap_mode="c")).layout is None
    windows = np.lib.stride_tricks.sliding_window_view(read_only, 3, axis=1)
    assert oo.from_array(windows).layout is not None
    assert oo.from_array(windows).compute().tolist() == windows.tolist()


# Travelling


def _sum(x: Any) -> float:
    return float(x.compute(scheduler="serial").sum())


def _double(block: Any) -> Any:
    return block * 2


def test_pickling(npy: Make) -> None:
    path = npy((40, 40))
    values = np.load(path)
    x = oo.open(path, "r+", chunks=(10, 40))
    lazy = oo.map_blocks(_double, x[::-1], dtype="f8")
    for array, factor in ((x, 1), (x[3:5], None), (lazy, 2), (x.mean(axis=0), None)):
        again = pickle.loads(pickle.dumps(array))
        assert len(pickle.dumps(array)) < 4000
        assert again.chunks == array.chunks
        assert again.mode == array.mode
        assert again.compute().tolist() == array.compute().tolist()
        if factor:
            assert again.compute().sum() == values.sum() * factor
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        assert pool.submit(_sum, x).result(timeout=60) == values.sum()
        assert pool.submit(_sum, x[:, 1]).result(timeout=60) == values[:, 1].sum()


# Blocks


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (None, ((10,), (8,))),
        ("auto", ((10,), (8,))),
        (-1, ((10,), (8,))),
        (4, ((4, 4, 2), (4, 4))),
        ((4, -1), ((4, 4, 2), (8,))),
        ((4, None), ((4, 4, 2), (8,))),
        (((3, 7), (8,)), ((3, 7), (8,))),
        (((3, 7), 4), ((3, 7), (4, 4))),
        ({0: 5}, ((5, 5), (8,))),
        ({-1: 3}, ((10,), (3, 3, 2))),
        (("auto", 4), ((10,), (4, 4))),
    ],
)
def test_chunks(npy: Make, tmp_path: Path, chunks: Any, expected: Any) -> None:
    path = npy((10, 8))
    for x in (
        oo.open(path, chunks=chunks),
        oo.from_array(np.zeros((10, 8)), chunks=chunks),
        oo.create(tmp_path / "y.npy", (10, 8), chunks=chunks, overwrite=True),
        oo.open(path).rechunk(chunks),
    ):
        assert x.chunks == expected
        assert x.node.free == (chunks is None or chunks == "auto")


def test_chunks_that_do_not_fit(npy: Make) -> None:
    path = npy((10, 8))
    for chunks in ((4,), ((3, 3), (8,)), 0, float("nan"), {2: 4}):
        with pytest.raises(ValueError):  # noqa: PT011
            oo.open(path, chunks=chunks)
    with pytest.raises(TypeError, match="the blocks of negative are what its function makes"):
        oo.map_blocks(np.negative, oo.open(path)).rechunk(3)


def test_rechunk_named_axes_keeps_the_others(npy: Make) -> None:
    x = oo.open(npy((10, 8)), chunks=(5, 2))
    assert x.rechunk({0: 2}).chunks == ((2,) * 5, (2,) * 4)
    assert x.rechunk("auto").node.free


def test_a_grid_that_reads_pages_many_times_over_is_warned_of_once(tmp_path: Path) -> None:
    path = tmp_path / "wide.npy"
    oo.create(path, (512, 1024))  # 8 KiB rows, two pages each
    match = r"wide.npy: blocks of \(512, 8\) read each page of the file 64.\d times over; chunks="
    with pytest.warns(oo.GridWarning, match=match) as caught:
        x = oo.open(path, chunks=(512, 8))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        oo.open(path, chunks=(512, 8))
        x.rechunk((8, 1024))
        oo.open(path, chunks=(512, 512))
        oo.create(tmp_path / "small.npy", (64, 64), chunks=(64, 1))  # nobody will notice
    with pytest.warns(oo.GridWarning, match=r"blocks of \(512, 4\)") as caught:
        x.rechunk((512, 4))
    assert caught[0].filename == __file__


# Arrays without dimensions, without elements


def test_zero_dimensions(tmp_path: Path, anywhere: str) -> None:
    x = oo.create(tmp_path / "x.npy", (), "f4", fill_value=3)
    assert (x.shape, x.chunks, x.numblocks, x.size) == ((), (), (), 1)
    assert x.compute() == 3
    assert isinstance(x.compute(), np.float32)
    assert oo.map_blocks(np.negative, x).compute() == -3
    assert x.sum().compute() == x.max().compute() == x.mean().compute() == 3
    y = oo.map_blocks(lambda b: b * 2, x).store(tmp_path / "y.npy")
    assert np.load(tmp_path / "y.npy") == 6
    assert y.compute() == 6
    oo.from_array(np.array(9.0)).store(x)
    assert np.load(tmp_path / "x.npy") == 9
    with pytest.raises(TypeError, match="without dimensions"):
        len(x)
    assert x.view().shape == ()
    assert oo.from_array(np.float64(1.5)).compute() == 1.5
    row = oo.open(tmp_path / "x.npy")[None]
    assert row.shape == (1,)
    assert row.compute().tolist() == [9]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)])
def test_no_elements(npy: Make, tmp_path: Path, anywhere: str, shape: Any) -> None:
    x = oo.open(npy(shape, "i4"))
    assert x.compute().shape == shape
    assert x.view().shape == shape
    assert x.sum().compute() == 0
    assert x.sum(axis=0).compute().tolist() == np.zeros(shape, "i4").sum(axis=0).tolist()
    with pytest.raises(ValueError, match="zero-size array"):
        x.max().compute()
    y = oo.map_blocks(lambda b: b * 2.5, x).store(tmp_path / "y.npy")
    assert (y.shape, y.dtype) == (shape, np.dtype("f8"))
    assert np.load(tmp_path / "y.npy").shape == shape
    oo.map_blocks(np.negative, x).store(oo.create(tmp_path / "z.npy", shape, "i8"))
    oo.from_array(np.empty(shape)).store(np.empty(shape))


# Structs


def test_fields(tmp_path: Path, anywhere: str) -> None:
    dtype = [("red", "u1"), ("depth", ">f4"), ("place", "<i2", (3,))]
    values = np.zeros((4, 6), dtype)
    values["red"] = np.arange(24).reshape(4, 6)
    values["depth"] = values["red"] / 2
    values["place"] = np.arange(72).reshape(4, 6, 3)
    np.save(tmp_path / "x.npy", values)
    x = oo.open(tmp_path / "x.npy", chunks=(3, 4))
    assert x.compute().tobytes() == values.tobytes()
    red, place = x["red"], x["place"]
    assert (red.dtype, red.chunks) == (np.dtype("u1"), ((3, 1), (4, 2)))
    assert red.compute().tolist() == values["red"].tolist()
    assert x["depth"][1:3, ::-1].compute().tolist() == values["depth"][1:3, ::-1].tolist()
    assert (place.shape, place.chunks) == ((4, 6, 3), ((3, 1), (4, 2), (3,)))
    assert place.mean(axis=(0, 1)).compute().tolist() == [34.5, 35.5, 36.5]
    assert x["depth"].sum().compute() == 138
    result = oo.map_blocks(lambda r, d: r * d, red, x["depth"]).compute()
    assert result.tolist() == (values["red"] * values["depth"]).tolist()
    with pytest.raises(ValueError, match="no field 'blue'"):
        x["blue"]


# Views


KEYS = [
    3,
    -1,
    slice(2, 5),
    slice(None, None, 3),
    slice(None, None, -1),
    slice(7, 2, -2),
    slice(4, 4),
    (slice(1, 6), slice(None, None, -3)),
    (Ellipsis, 2),
    (slice(None), None, slice(0, 4)),
    (4, slice(None, None, 2)),
]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("key", KEYS, ids=str)
def test_slices_are_views(npy: Make, tmp_path: Path, key: Any, order: str) -> None:
    path = npy((8, 10), order=order)
    values = np.load(path)
    x = oo.open(path, "r+", chunks=(3, 4))[key]
    expected = values[key]
    assert x.shape == expected.shape
    assert x.layout is not None
    assert np.asarray(x.compute()).tolist() == expected.tolist()
    assert x.view().tolist() == expected.tolist()
    assert x.mode == "r+"
    x.store(tmp_path / "part.npy")
    assert np.load(tmp_path / "part.npy").tolist() == expected.tolist()
    if x.size:
        assert x.mean().compute() == pytest.approx(expected.mean(), rel=1e-15)
        assert x.max(axis=0).compute().tolist() == expected.max(axis=0).tolist()
    doubled = oo.map_blocks(np.multiply, x, 2.0)
    assert np.asarray(doubled.compute()).tolist() == (expected * 2).tolist()
    doubled.store(x)  # each block of it reads and writes the same elements
    values[key] *= 2
    assert np.load(path).tolist() == values.tolist()


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_store_into_views(npy: Make, key: Any, anywhere: str) -> None:
    path = npy((8, 10))
    values = np.load(path)
    x = oo.open(path, "r+")
    source = np.arange(float(values[key].size)).reshape(values[key].shape)
    stored = oo.from_array(source).store(x[key])
    values[key] = source
    assert np.load(path).tolist() == values.tolist()
    assert stored.mode == "r+"
    assert np.asarray(stored.compute()).tolist() == source.tolist()


def test_what_is_no_view(npy: Make) -> None:
    x = oo.open(npy((8, 10)))
    for key in ([1.5, 2], np.array([True] * 7), 8, (0, 0, 0), 1.5):
        with pytest.raises(IndexError):
            x[key]
    for array in (x, oo.map_blocks(np.negative, x)):
        with pytest.raises(ValueError, match="no field 'red'"):
            array["red"]


def test_a_view_of_a_view_in_a_reduction(npy: Make, anywhere: str) -> None:
    path = npy((40, 50))
    part = oo.open(path)[5:35:3][::-1, 10:40][:, ::4]
    expected = np.load(path)[5:35:3][::-1, 10:40][:, ::4]
    sums = oo.compute(part.sum(), part.sum(axis=0), part.sum(axis=1), part.min(), part.std())
    assert sums[0] == pytest.approx(expected.sum(), rel=1e-15)
    assert sums[1] == pytest.approx(expected.sum(axis=0), rel=1e-15)
    assert sums[2] == pytest.approx(expected.sum(axis=1), rel=1e-15)
    assert sums[3] == expected.min()
    assert sums[4] == pytest.approx(expected.std(), rel=1e-14)


# Storing


def test_store_to_a_path(npy: Make, tmp_path: Path, anywhere: str) -> None:
    path, target = npy((8, 10), "i2"), tmp_path / "out.npy"
    x = oo.open(path, chunks=(3, 4))
    y = x.map_blocks(lambda b: b + 0.5).store(target)
    assert (y.mode, y.dtype) == ("r", np.dtype("f8"))
    assert np.load(target).tolist() == (np.load(path) + 0.5).tolist()
    assert y.compute().tolist() == np.load(target).tolist()
    before = target.read_bytes()
    with pytest.raises(FileExistsError, match=r"overwrite=True.*out.npy"):
        x.store(target)
    assert target.read_bytes() == before
    again = x.store(target, overwrite=True)
    assert np.load(target).tolist() == np.load(path).tolist()
    assert again.dtype == np.dtype("i2")
    raw = oo.store(x, tmp_path / "o.dat", format="raw")
    assert (tmp_path / "o.dat").read_bytes() == np.load(path).tobytes()
    assert raw.compute().tolist() == np.load(path).tolist()


def test_store_over_an_input(npy: Make, anywhere: str) -> None:
    path = npy((8, 10))
    values = np.load(path)
    x = oo.open(path, chunks=(3, 10))
    flipped = oo.map_blocks(np.negative, x[::-1])
    y = flipped.store(path, overwrite=True)
    assert np.load(path).tolist() == (-values[::-1]).tolist()
    assert y.compute().tolist() == (-values[::-1]).tolist()
    with pytest.raises((oo.InputChangedError, OSError)):
        x.compute()  # its file is another one now


def test_store_into_memory_and_memmaps(npy: Make, anywhere: str) -> None:
    path, other = npy((8, 10)), npy((8, 10), "f4", "F")
    values = np.load(path)
    x = oo.open(path, chunks=(3, 4))
    memory = np.zeros((10, 8)).T
    assert oo.map_blocks(np.negative, x).store(memory) is memory
    assert memory.tolist() == (-values).tolist()
    mapped = np.load(other, mmap_mode="r+")
    stored = x.store(mapped)
    assert stored.mode == "r+"
    assert np.load(other).tolist() == values.astype("f4").tolist()
    part = memory[::2, ::-1]
    x[::2].store(part)
    assert memory[::2, ::-1].tolist() == values[::2].tolist()


def test_store_into_memory_that_is_read(anywhere: str) -> None:
    values = np.arange(100_000.0)
    flipped = oo.from_array(values[::-1], chunks=100)
    flipped.map_blocks(np.negative).store(values)
    assert (values == -np.arange(100_000.0)[::-1]).all()
    oo.map_blocks(
        lambda block, all_of_it: block + all_of_it[0],
        oo.from_array(np.zeros(100_000), chunks=100),
        values,
    ).store(values)
    assert (values == -99_999).all()


def test_store_where_it_cannot_be(npy: Make) -> None:
    path = npy((8, 10))
    before = path.read_bytes()
    x, y = oo.open(path), oo.open(path, "r+")
    ones = oo.from_array(np.ones((8, 10)))
    with pytest.raises(PermissionError, match='mode="r\\+"'):
        ones.store(x)
    with pytest.raises(PermissionError, match="open for reading"):
        ones.store(np.load(path, mmap_mode="r"))
    with pytest.raises(ValueError, match=r"shape \(4, 10\), the array \(8, 10\)"):
        ones.store(y[:4])
    with pytest.raises(TypeError, match="cannot store complex128 into float64"):
        oo.map_blocks(np.multiply, ones, 1j).store(y)
    with pytest.raises(TypeError, match="cannot store into dict"):
        ones.store({})
    with pytest.raises(TypeError, match="cannot store into Array"):
        ones.store(oo.map_blocks(np.negative, y))
    with pytest.raises(oo.OverlapError, match="in different blocks"):
        oo.map_blocks(np.negative, x[::-1]).store(y)
    with pytest.raises(oo.OverlapError, match="two outputs share bytes"):
        oo.store([ones, ones], [y, y])
    with pytest.raises(oo.OverlapError, match=f"two outputs of one run are to be {path}"):
        oo.store([ones, ones], [path, str(path)], overwrite=True)
    with pytest.raises(ValueError, match="2 sources and 1 target do not match"):
        oo.store([ones, ones], [path])
    with pytest.raises(ValueError, match="2 sources and 1 target do not match"):
        oo.store([ones, ones], path)
    with pytest.raises(TypeError, match=r"'in\.npy' is the name of a file.*oo\.open opens it"):
        oo.store("in.npy", path, overwrite=True)
    assert path.read_bytes() == before


def test_chunks_that_do_not_fit_leave_the_old_file(npy: Make, tmp_path: Path) -> None:
    path = npy(4)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="chunks of 0 elements"):
        oo.create(path, (3,), chunks=0, overwrite=True)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="1 entries for 2 axes"):
        oo.create(tmp_path / "new.npy", (3, 2), chunks=(3,))
    assert not (tmp_path / "new.npy").exists()


def test_names_of_files_are_no_arrays(npy: Make) -> None:
    path = npy(4)
    for name in (path, str(path)):
        with pytest.raises(TypeError, match=r"is the name of a file.*oo\.open opens it"):
            oo.sum(name)


def test_truth_is_of_single_elements() -> None:
    x, y = oo.from_array(np.arange(3)), oo.from_array(np.arange(3))
    assert isinstance(x == y, oo.Array)
    assert (x == y).all()
    assert not (x != y).any()
    assert (np.ones(3) == x).compute(scheduler="serial").tolist() == [False, True, False]
    assert x in {x: 1}
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x)


@pytest.mark.parametrize("workers", [0, 257, 1.5, float("inf"), "two", [2]])
def test_workers_that_cannot_be(workers: Any) -> None:
    with pytest.raises(ValueError, match=r"workers=.* a whole number"):
        oo.from_array(np.arange(3)).sum().compute(workers=workers, scheduler="threads")


def test_several_stores_in_one_run(npy: Make, tmp_path: Path, anywhere: str) -> None:
    path = npy((8, 10))
    values = np.load(path)
    x = oo.open(path, chunks=(3, 10))
    up, down = x.map_blocks(lambda b: b + 1), x.map_blocks(lambda b: b - 1)
    y, total, (same, nothing) = oo.compute(
        up.store(tmp_path / "up.npy", compute=False), down.sum(), [x, None]
    )
    assert y.compute().tolist() == (values + 1).tolist()
    assert total == pytest.approx(values.sum() - 80)
    assert same.tolist() == values.tolist()
    assert nothing is None
    pair = oo.store([up, down], [tmp_path / "a.npy", tmp_path / "b.npy"])
    assert [part.compute().tolist() for part in pair] == [
        (values + 1).tolist(),
        (values - 1).tolist(),
    ]


def test_a_run_that_fails_leaves_nothing(npy: Make, tmp_path: Path, anywhere: str) -> None:
    x = oo.open(npy((8, 10)), chunks=(2, 10))
    before = sorted(tmp_path.iterdir())

    def fail(block: Any, block_id: Any) -> Any:
        if block_id == (2, 0):
            raise ZeroDivisionError("as it must")
        return block

    lazy = oo.map_blocks(fail, x, dtype="f8")
    with pytest.raises(ZeroDivisionError, match="as it must") as caught:
        oo.store([x, lazy], [tmp_path / "good.npy", tmp_path / "bad.npy"])
    assert any("block (2, 0), region [4:6, 0:10]" in note for note in caught.value.__notes__)
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / "old.npy").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        lazy.store(tmp_path / "old.npy", overwrite=True)
    assert (tmp_path / "old.npy").read_bytes() == b"old"
    with pytest.raises(FileExistsError):
        oo.store([x, x], [tmp_path / "new.npy", tmp_path / "old.npy"])
    with pytest.raises(oo.BlockMismatchError):
        oo.map_blocks(lambda b: b[1:], x, dtype="f8").store(tmp_path / "new.npy")
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "old.npy"])


def test_unknown_sizes_are_computed(npy: Make, anywhere: str) -> None:
    path = npy((9, 4))
    values = np.load(path)
    x = oo.open(path, chunks=(4, 2))
    some = x.map_blocks(lambda b: b[b[:, 0] > -1e9][::2], chunks=(float("nan"), (2, 2)))
    assert np.isnan(some.shape[0])
    expected = np.concatenate([values[0:4:2], values[4:8:2], values[8:9]])
    assert some.compute().tolist() == expected.tolist()
    with pytest.raises(ValueError, match="not known"):
        some.sum()


@pytest.mark.usefixtures("no_leaks")
def test_nothing_is_left_open(npy: Make, tmp_path: Path) -> None:
    path = npy((40, 40))
    for scheduler in ("serial", "threads"):
        with oo.open(path, "r+", chunks=(10, 40)) as x:
            x.map_blocks(np.negative).store(tmp_path / "y.npy", scheduler=scheduler).close()
            x.map_blocks(np.negative, dtype="f8").compute(scheduler=scheduler)
            x.view()
            x.memmap()
        (tmp_path / "y.npy").unlink()
    from oocarray.runtime.pools import close_pools

    close_pools()


def test_a_file_that_was_replaced_is_noticed_though_its_inode_is_used_again(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.ones((6, 4)))
    x = oo.open(path)
    path.unlink()
    np.save(path, np.ones((12, 4), "f4"))  # often under the same inode number, and as long
    with pytest.raises(oo.InputChangedError, match="replaced by another file; open it again"):
        x.sum().compute(scheduler="serial")


def test_a_file_that_has_grown_is_to_be_opened_again(tmp_path):
    path = tmp_path / "x.raw"
    path.write_bytes(b"\x01" * 8)
    x = oo.open(path, shape=8, dtype="u1")
    path.write_bytes(b"\x01" * 9)
    with pytest.raises(oo.InputChangedError, match=r"8 B \(8\) when opened and has 9 B \(9\) now"):
        x.sum().compute(scheduler="serial")


def test_numpy_functions_do_not_load_the_array():
    x = oo.from_array(np.ones(3))
    assert isinstance(np.sqrt(x), oo.Array)
    assert isinstance(np.ones(3) + x, oo.Array)
    with pytest.raises(TypeError, match="no counterpart for out-of-core arrays"):
        np.lexsort((x,))


def test_reductions_work_within_a_small_budget(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.ones((512, 5000)))
    x = oo.open(path, chunks=(8, 5000))
    assert x.sum().compute(scheduler="serial", memory="1.5 MiB") == 512 * 5000


def test_explain_says_that_a_result_is_too_large_to_compute():
    x = oo.from_array(np.zeros((1024, 1024)))
    text = str(x.map_blocks(np.sqrt, dtype="f8").explain(memory="4 MiB", scheduler="serial"))
    assert "compute() is refused: the result has 8 MiB, memory= allows 4 MiB" in text
