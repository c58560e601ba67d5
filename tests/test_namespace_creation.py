"""Makers of arrays in the namespace against NumPy, to the bit; nothing is read, or allocated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray.lazy.expr import OpNode, StoredNode


@pytest.fixture(autouse=True)
def _serial() -> Iterator[None]:
    with oo.options(scheduler="serial", progress=False):
        yield


def same(lazy: Any, expected: Any) -> None:
    mine = list(lazy) if isinstance(lazy, list | tuple) else [lazy]
    theirs = list(expected) if isinstance(expected, list | tuple) else [expected]
    assert len(mine) == len(theirs)
    for part, own in zip(mine, theirs, strict=True):
        assert part.shape == own.shape
        assert part.dtype == own.dtype
        found = np.asarray(part.compute())
        np.testing.assert_array_equal(found, own, strict=True)
        if own.dtype.kind in "fc":  # zeros have signs
            np.testing.assert_array_equal(np.signbit(found.real), np.signbit(own.real))


Call = Callable[[Any], Any]
CALLS: list[tuple[str, Call]] = [
    ("zeros", lambda xp: xp.zeros(5)),
    ("zeros dtype", lambda xp: xp.zeros((2, 3), "i2")),
    ("zeros empty", lambda xp: xp.zeros((0, 3))),
    ("zeros none", lambda xp: xp.zeros(())),
    ("ones", lambda xp: xp.ones((2, 3), dtype=bool)),
    ("full", lambda xp: xp.full((2, 3), 7)),
    ("full dtype", lambda xp: xp.full((2, 3), -0.0, "f4")),
    ("full nan", lambda xp: xp.full(4, np.nan)),
    ("zeros_like", lambda xp: xp.zeros_like(np.arange(6).reshape(2, 3))),
    ("ones_like", lambda xp: xp.ones_like(np.arange(6), dtype="f4")),
    ("full_like", lambda xp: xp.full_like(np.arange(6), 7.5)),
    ("full_like shape", lambda xp: xp.full_like(np.arange(6.0), 7, shape=(2, 2))),
    ("arange", lambda xp: xp.arange(7)),
    ("arange two", lambda xp: xp.arange(2, 7)),
    ("arange back", lambda xp: xp.arange(7, 2, -2)),
    ("arange float", lambda xp: xp.arange(0.1, 2, 0.3)),
    ("arange dtype", lambda xp: xp.arange(3, dtype="f4")),
    ("arange none", lambda xp: xp.arange(5, 2)),
    ("arange days", lambda xp: xp.arange(np.datetime64("2020-01-01"), np.datetime64("2020-01-05"))),
    ("linspace", lambda xp: xp.linspace(0, 1, 7)),
    ("linspace open", lambda xp: xp.linspace(-3, 5, 9, endpoint=False)),
    ("linspace int", lambda xp: xp.linspace(0, 10, 4, dtype=int)),
    ("linspace one", lambda xp: xp.linspace(2, 3, 1)),
    ("linspace none", lambda xp: xp.linspace(2, 3, 0)),
    ("linspace complex", lambda xp: xp.linspace(0, 1 + 2j, 5)),
    ("logspace", lambda xp: xp.logspace(0, 3, 8)),
    ("logspace base", lambda xp: xp.logspace(0, 3, 8, base=2, dtype="f4")),
    ("geomspace", lambda xp: xp.geomspace(1, 1000, 7)),
    ("geomspace open", lambda xp: xp.geomspace(1, 256, 9, endpoint=False)),
    ("eye", lambda xp: xp.eye(4)),
    *((f"eye {k}", lambda xp, k=k: xp.eye(3, 5, k, dtype="i4")) for k in (-4, -1, 2, 9)),
    ("identity", lambda xp: xp.identity(3, dtype=int)),
    ("tri", lambda xp: xp.tri(3, 5, 1)),
    ("tri bool", lambda xp: xp.tri(4, dtype=bool)),
    ("indices", lambda xp: xp.indices((2, 3))),
    ("indices sparse", lambda xp: xp.indices((2, 3), sparse=True)),
    ("fromfunction", lambda xp: xp.fromfunction(lambda i, j: i * 10 + j, (3, 4), dtype=int)),
    ("asarray", lambda xp: xp.asarray([[1, 2], [3, 4]], dtype="f4")),
    ("asarray scalar", lambda xp: xp.asarray(5)),
    ("asarray text", lambda xp: xp.asarray(["a", "bcd"])),
    ("array ndmin", lambda xp: xp.array([1, 2], ndmin=3)),
    ("asanyarray", lambda xp: xp.asanyarray(2.5)),
    ("ascontiguousarray", lambda xp: xp.ascontiguousarray(5)),
]


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_as_numpy(name: str, call: Call) -> None:
    same(call(oo), call(np))


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
def test_nothing_is_read(scheduler: str) -> None:
    """A stage without reads works in all schedulers."""
    with oo.options(scheduler=scheduler, workers=2):
        same(oo.ones((30, 20), chunks=(7, 20)) + oo.arange(20), np.ones((30, 20)) + np.arange(20))
        assert float(oo.linspace(0, 1, 101, chunks=10).sum().compute()) == pytest.approx(50.5)
        same(oo.eye(9, chunks=4), np.eye(9))


def test_nothing_is_allocated() -> None:
    huge = oo.zeros((1 << 30, 1 << 10))
    assert isinstance(huge.node, OpNode)
    assert huge.nbytes == 1 << 43
    same(huge[123_456_789, :3], np.zeros(3))
    assert int(oo.arange(1 << 40)[-1].compute()) == (1 << 40) - 1


def test_chunks() -> None:
    assert oo.zeros((4, 6), chunks=(2, 3)).chunks == ((2, 2), (3, 3))
    assert oo.arange(5, chunks=2).chunks == ((2, 2, 1),)
    assert oo.asarray([1, 2, 3], chunks=2).chunks == ((2, 1),)
    x = oo.from_array(np.zeros((4, 6)), chunks=(1, 6))
    assert oo.ones_like(x).chunks == x.chunks


def test_stored_arrays_stay_where_they_are(tmp_path: Path) -> None:
    x = oo.create(tmp_path / "x.npy", (3, 4), fill_value=2)
    assert isinstance(oo.asarray(x).node, StoredNode)
    assert isinstance(oo.asarray(np.load(tmp_path / "x.npy", mmap_mode="r")).node, StoredNode)
    copy = oo.asarray(x, copy=True)
    assert not isinstance(copy.node, StoredNode)
    copy[0] = 9
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), np.full((3, 4), 2.0))


@pytest.mark.parametrize("dtype", ["?", "S3", "M8[s]", "c8", "i1"])
def test_copies_of_any_dtype(dtype: str, tmp_path: Path) -> None:
    expected = np.arange(6).astype("i8").astype(dtype)
    np.save(tmp_path / "x.npy", expected)
    same(oo.asarray(oo.open(tmp_path / "x.npy"), copy=True), expected)


def test_what_others_have() -> None:
    import dask.array
    import zarr

    expected = np.arange(12.0).reshape(3, 4)
    same(oo.asarray(dask.array.from_array(expected, chunks=2)), expected)
    same(oo.asarray(zarr.array(expected)), expected)
    same(oo.from_dlpack(expected), expected)
    same(oo.asarray([oo.asarray([1, 2]), oo.asarray([3, 4])]), np.array([[1, 2], [3, 4]]))


def test_an_array_is_a_copy_of_what_it_was_made_of() -> None:
    values = np.arange(3)
    copy, view = oo.array(values), oo.asarray(values)
    values[0] = 9
    assert (copy[0].compute(), view[0].compute()) == (0, 9)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: oo.zeros(-1), ValueError),
        (lambda: oo.zeros(3, device="gpu"), ValueError),
        (lambda: oo.full(3, 300, "u1"), OverflowError),
        (lambda: oo.arange(0, 5, 0), ZeroDivisionError),
        (lambda: oo.linspace(0, 1, -1), ValueError),
        (lambda: oo.geomspace(0, 1), ValueError),
        (lambda: oo.asarray([1], copy=False), ValueError),
        (lambda: oo.asarray(oo.ones(2), "i4", copy=False), ValueError),
    ],
)
def test_refused(call: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        call()


# ---- what falls short ---------------------------------------------------------------------------


def test_zeros_of_text() -> None:
    same(oo.zeros(2, "U3"), np.zeros(2, "U3"))


def test_geomspace_of_negative_numbers() -> None:
    same(oo.geomspace(-1, -1000, 4), np.geomspace(-1, -1000, 4))


def test_array_copies_what_is_in_memory() -> None:
    values = np.arange(3)
    copy = oo.array(oo.asarray(values))
    values[0] = 9
    assert copy[0].compute() == 0


def test_objects_are_refused() -> None:
    with pytest.raises(TypeError):
        oo.zeros(3, object)
