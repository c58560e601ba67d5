"""Seeing a stored array as another dtype, and what is left of an array that was closed."""

from __future__ import annotations

import os

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import oocarray as oo
from oocarray.storage.filekey import FileKey
from oocarray.storage.layout import Strided
from oocarray.storage.retyped import retyped

DTYPES = ["u1", "<u2", ">u2", "i4", "<f4", ">f8", "c8", "c16", "S3", "V5", "M8[s]", "m8[ms]", "?"]
DTYPES += [[("a", "u1"), ("b", "u1")], [("a", "<f4"), ("b", "<i4", (3,))]]


@given(
    st.sampled_from(DTYPES),
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 6), max_size=3),
    st.lists(st.tuples(st.integers(-2, 6), st.sampled_from([-2, -1, 1, 2])), max_size=3),
    st.booleans(),
)
@settings(max_examples=300)
def test_layouts_are_those_of_numpy(old, new, shape, cuts, reverse):
    base = np.arange(int(np.prod(shape)) * np.dtype(old).itemsize, dtype="u1")
    whole = base.view(old).reshape(shape)
    layout = Strided(
        FileKey("/x", 1, 2, base.nbytes, 0), 0, whole.shape, whole.dtype, whole.strides
    )
    index = (*(slice(start, None, step) for start, step in cuts[: len(shape)]), ...)
    part, layout = whole[index], layout.index(index)
    if reverse:
        part, layout = part.T, layout.transpose()
    try:
        expected = part.view(new)
    except ValueError:
        with pytest.raises(ValueError, match="cannot be seen as"):
            retyped(layout, new)
        return
    found = retyped(layout, new)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert np.array_equal(
        found.view(base, 0).reshape(-1).view(f"V{found.itemsize}"),
        expected.reshape(-1).view(f"V{found.itemsize}"),
    )


@pytest.fixture
def path(npy):
    return npy((6, 8), "<u4")


def test_the_bytes_are_shared(path):
    expected = np.load(path)
    x = oo.open(path, "r+")
    y = x.view("u1")
    assert isinstance(y, oo.Array)
    assert isinstance(x.view(), np.ndarray)
    assert (y.shape, y.dtype, y.mode) == ((6, 32), np.dtype("u1"), "r+")
    assert np.array_equal(y.compute(scheduler="serial"), expected.view("u1"))
    swapped = x.view(">u4")
    assert int(swapped.sum().compute(scheduler="serial")) == expected.view(">u4").sum()
    with oo.options(scheduler="serial"):
        oo.update_blocks(lambda b: b.fill(1), y)
    assert np.load(path).min() == np.load(path).max() == 0x01010101
    pair = x.view([("low", "<u2"), ("high", "<u2")])["high"]
    assert pair.shape == (6, 8)
    assert int(pair.max().compute(scheduler="serial")) == 0x0101


def test_blocks_follow_where_they_can(path):
    x = oo.open(path, chunks=(4, 4))
    assert x.view("u1").chunks == ((4, 2), (16, 16))
    assert x.view("f4").chunks == ((4, 2), (4, 4))
    assert x.view("u8").chunks == ((4, 2), (2, 2))
    assert oo.open(path, chunks=(4, 3)).view("u8").chunks == ((6,), (4,))
    assert oo.from_array(np.arange(4, dtype="<u2")).view("u1").compute().tolist()[:3] == [0, 0, 1]


def test_blocks_follow_in_memory_too():
    x = oo.from_array(np.arange(8, dtype="<u4"), chunks=2)
    assert x.view("u1").chunks == ((8, 8, 8, 8),)
    assert x.view("u8").chunks == ((1, 1, 1, 1),)
    assert oo.from_array(np.arange(6, dtype="<u4"), chunks=3).view("u8").chunks == ((3,),)


def test_what_is_refused(path):
    x = oo.open(path)
    with pytest.raises(ValueError, match=r"shape \(6, 8\) of uint32 cannot be seen as \|V5"):
        x.view("V5")
    with pytest.raises(oo.DtypeError):
        x.view(object)
    with pytest.raises(ValueError, match="last axis must be contiguous"):
        x[:, ::2].view("u1")
    with pytest.raises(TypeError, match=r"store\(\) it first, or map_blocks"):
        x.map_blocks(np.sqrt).view("u1")


def test_a_closed_array_and_what_was_made_of_it(path):
    """A decision: an expression names the file, not the object that it was made from."""
    with oo.open(path) as x:
        total, part, kept = x.sum(), x[1:3], x.view()
    assert int(total.compute(scheduler="serial")) == np.load(path).sum()
    assert np.array_equal(part.compute(scheduler="serial"), np.load(path)[1:3])
    assert np.array_equal(kept, np.load(path))
    for use in (
        lambda: x.shape,
        lambda: x.sum(),
        lambda: x.view("u1"),
        lambda: x.compute(),
        lambda: x.iter_blocks(),
        lambda: x.append([]),
        lambda: x.persist(),
    ):
        with pytest.raises(oo.ClosedError, match="was closed; open it again"):
            use()
    assert "closed" in repr(x)
    assert os.path.exists(path)


def test_bytes_that_no_bool_has_count_once(tmp_path):
    x = np.arange(256, dtype="u1")
    np.save(tmp_path / "x.npy", x)
    v, n = oo.open(tmp_path / "x.npy").view("bool"), x.astype(bool)
    found = oo.compute(v.sum(), v.mean(), v.std(), v.argmax(), v.max(), v.any(axis=0))
    assert found == (n.sum(), n.mean(), n.std(), n.argmax(), n.max(), n.any())


def test_arrays_in_memory_are_indexed():
    x = np.arange(12.0).reshape(3, 4)
    array = oo.from_array(x)
    assert (array[1:, ::2].compute() == x[1:, ::2]).all()
    assert array[-1, 2].compute() == x[-1, 2]
    assert (array[[0, 1]].compute() == x[[0, 1]]).all()


def test_a_memmap_is_of_the_file_that_was_opened(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(1000.0))
    x = oo.open(path, "r+")
    os.truncate(path, 4000)
    with pytest.raises(oo.TruncatedFileError):
        x.memmap()
    assert path.stat().st_size == 4000
    np.save(path, np.arange(1000.0))
    x = oo.open(path, "r+")
    np.save(tmp_path / "b.npy", np.zeros(10))
    os.replace(tmp_path / "b.npy", path)
    size = path.stat().st_size
    with pytest.raises(oo.InputChangedError):
        x.memmap()
    assert path.stat().st_size == size


def test_rows_that_came_do_not_end_a_view(tmp_path):
    oo.create(tmp_path / "a.npy", (3, 2), "f8", fill_value=1).close()
    for mode in ("r", "r+"):
        y, other = oo.open(tmp_path / "a.npy", mode), oo.open(tmp_path / "a.npy", "a")
        other.append(np.zeros((1, 2)))
        assert y.view().shape == y.compute().shape == (len(other) - 1, 2)


@pytest.mark.parametrize("scheduler", ["serial", "processes"])
def test_a_memmap_whose_file_was_replaced_is_what_it_shows(tmp_path, scheduler):
    np.save(tmp_path / "a.npy", np.arange(1000.0))
    m = oo.open(tmp_path / "a.npy", "r+").memmap()
    assert oo.from_array(m).layout.file.path == str(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.zeros(1000))
    os.replace(tmp_path / "b.npy", tmp_path / "a.npy")
    with oo.options(scheduler=scheduler, progress=False):
        assert np.array_equal(oo.from_array(m).compute(), np.arange(1000.0))
        oo.store(oo.from_array(np.ones(1000)), m)
    assert (m == 1).all()
    assert not np.load(tmp_path / "a.npy").any()
