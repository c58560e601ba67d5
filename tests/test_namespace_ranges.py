"""What makes arrays of numbers and of others' elements, call by call against NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oocarray as oo


@pytest.fixture(autouse=True)
def _serial() -> Iterator[None]:
    with oo.options(scheduler="serial", progress=False):
        yield


CALLS = """
m.zeros(3)
m.zeros((2, 0), "i2")
m.zeros((2, 3), ">f4")
m.zeros(2, "U3")
m.zeros((), "?")
m.zeros(2, "M8[s]")
m.zeros(2, [("a", "i4"), ("b", "f8")])
m.zeros(-1)
m.zeros(1.5)
m.ones((2, 3))
m.ones(3, dtype=">i4")
m.ones(3, "c8")
m.ones(2, "U3")
m.full((2, 3), 7)
m.full(3, 1.9, int)
m.full((2, 3), [1, 2, 3])
m.full((2, 3), [1, 2, 3], "f4")
m.full((2, 3), [1, 2])
m.full(3, 300, "u1")
m.full(3, -0.0)
m.full(3, np.float32(1.1))
m.full((), True)
m.full(2, np.datetime64("2020-01-01"))
m.zeros_like(np.ones((2, 3), ">f4"))
m.zeros_like(np.array(["ab", "c"]))
m.ones_like([1, 2], dtype=float, shape=(2, 2))
m.full_like([1, 2], 7.9)
m.full_like([[1.0, 2]], [3, 4])
m.arange(5)
m.arange(stop=5)
m.arange(start=2, stop=5)
m.arange()
m.arange(2, 9, 3)
m.arange(9, 2, -2)
m.arange(0, 1, 0.1)
m.arange(0.5, 7, 1.3, dtype="f4")
m.arange(5, dtype=">i2")
m.arange(0, 5, 0)
m.arange(np.datetime64("2020-01-01"), np.datetime64("2020-01-09"))
m.linspace(0, 1)
m.linspace(start=0, stop=1, num=7)
m.linspace(1, -3, 11, endpoint=False)
m.linspace(0, 10, 7, dtype=int)
m.linspace(0, 1j, 5)
m.linspace(0, 1, 0)
m.linspace(0, 1, 1)
m.linspace(0, 1, -1)
m.linspace(0, 1, 2.5)
m.linspace(np.float32(0), np.float32(1), 9)
m.linspace(3, 8, 6, retstep=True)[0]
m.asarray(m.linspace(3, 8, 7, False, True)[1])
m.asarray(m.linspace(3, 8, 1, retstep=True)[1])
m.logspace(0, 3, 17)
m.logspace(0, 3, 5, base=2)
m.logspace(0, 3, 5, False, 2.5, "f4")
m.logspace(np.float32(0), np.float32(2), 5)
m.geomspace(1, 1000, 4)
m.geomspace(1, 1000, 17)
m.geomspace(3, 700, 9, endpoint=False)
m.geomspace(1, 256, num=9, dtype=int)
m.geomspace(1000, 1, 13)
m.geomspace(-1000, -1, 7)
m.geomspace(1j, 1000j, 4)
m.geomspace(-1, 1j, 5)
m.geomspace(np.float32(1), np.float32(9), 7)
m.geomspace(2, 2, 3)
m.geomspace(1, 5, 1)
m.geomspace(1, 5, 0)
m.geomspace(0, 5)
m.geomspace(1, 5, -1)
m.eye(3)
m.eye(3, 4, 1)
m.eye(N=3, M=2, k=-1, dtype=int)
m.eye(0)
m.identity(3)
m.identity(2, "i4")
m.tri(3)
m.tri(3, 5, 1, "i4")
m.tri(3, 2, -1)
m.indices((2, 3))
m.indices((2, 0, 3), "f4")
m.indices((2, 3), sparse=True)[1]
m.indices(())
m.fromfunction(lambda i, j: i * 10 + j, (3, 4))
m.fromfunction(lambda i, k: i * k, (5,), dtype=int, k=3)
m.asarray([1, 2.5])
m.asarray([1, 300], "u1")
m.asarray([1, 2], dtype="f4")
m.asarray(["1", "2"])
m.asarray(["2020-01-01"], "M8[D]")
m.asarray([(1, 2.0)], [("a", "i4"), ("b", "f8")])
m.asarray([None, 1.0], float)
m.asarray(5)
m.asarray(np.float32(5))
m.asarray(range(4))
m.asarray(memoryview(b"abc"))
m.asarray(np.arange(4), "f4", copy=False)
m.asarray([1, 2], copy=False)
m.asarray(np.arange(4), copy=False)
m.asarray([m.arange(3), m.arange(3)])
m.array([[1, 2]], ndmin=3)
m.array([1, 2], "f4", copy=True)
m.asanyarray([1, 2], float)
m.ascontiguousarray(5)
m.from_dlpack(np.arange(4.0))
"""


@pytest.mark.parametrize("call", CALLS.strip().splitlines())
def test_calls(call: str) -> None:
    try:
        wanted = np.asarray(eval(call, {"m": np, "np": np}))
    except (ValueError, TypeError, OverflowError, ZeroDivisionError) as error:
        with pytest.raises(type(error)):
            eval(call, {"m": oo, "np": np})
        return
    found = eval(call, {"m": oo, "np": np})
    assert isinstance(found, oo.Array)
    values = np.asarray(found.compute())
    assert found.dtype == values.dtype == wanted.dtype
    assert found.shape == values.shape == wanted.shape
    assert values.tobytes() == wanted.tobytes(), (values, wanted)


def test_nothing_is_allocated() -> None:
    assert oo.zeros((10**6, 10**6)).shape == (10**6, 10**6)
    assert oo.ones((10**5, 10**5)).shape == (10**5, 10**5)
    assert oo.linspace(0, 1, 10**15, retstep=True)[0].shape == (10**15,)
    assert oo.geomspace(1, 2, 10**15)[-3:].shape == (3,)
    assert oo.tri(10**7)[10**6, : 10**6].sum().compute() == 10**6
    assert oo.indices((10**6, 10**6))[1, 5, 7:9].compute().tolist() == [7, 8]
    assert oo.eye(10**9)[10**8, 10**8].compute() == 1


MADE: tuple[Any, ...] = (
    lambda **how: oo.zeros((5, 4), **how),
    lambda **how: oo.ones((5, 4), **how),
    lambda **how: oo.empty((5, 4), **how),
    lambda **how: oo.full((5, 4), 2, **how),
    lambda **how: oo.full((5, 4), [1, 2, 3, 4], **how),
    lambda **how: oo.zeros_like(np.ones((5, 4)), **how),
    lambda **how: oo.eye(5, 4, **how),
)


@pytest.mark.parametrize("number", range(len(MADE)))
def test_chunks_and_device(number: int) -> None:
    made = MADE[number]
    assert made(chunks=(2, -1)).chunks == ((2, 2, 1), (4,))
    assert made(device="cpu").shape == (5, 4)
    with pytest.raises(ValueError, match="on the 'cpu' only"):
        made(device="cuda")
    assert oo.arange(5, chunks=2, device="cpu").chunks == ((2, 2, 1),)
    assert oo.geomspace(1, 5, 5, chunks=2).chunks == oo.tri(5, 1, chunks=2).chunks[:1]


def test_alike_keeps_set_chunks() -> None:
    x = oo.from_array(np.ones((5, 4), "f4"), chunks=(2, 3))
    for like in (oo.zeros_like, oo.ones_like, oo.empty_like, lambda y: oo.full_like(y, 3)):
        assert like(x).chunks == like(x + 1).chunks == ((2, 2, 1), (3, 1))
        assert like(x).dtype == np.float32
    assert oo.zeros_like(x, chunks=5).chunks == ((5,), (4,))


def test_copies(tmp_path: Path) -> None:
    own = np.arange(4)
    assert oo.asarray(own, copy=True)[0].compute() == 0
    copied, shared = oo.array(own), oo.asarray(own)
    lent, dlpack = oo.from_dlpack(own, copy=True), oo.from_dlpack(own)
    own[0] = 9
    assert [int(x[0].compute()) for x in (copied, lent, shared, dlpack)] == [0, 0, 9, 9]
    np.save(tmp_path / "x.npy", own)
    x = oo.open(tmp_path / "x.npy", "r+")
    assert oo.asarray(x) is x
    for other in (oo.array(x), oo.asarray(x, copy=True)):
        other[...] = 5
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), own)
    oo.array(x, copy=None)[...] = 7
    assert (np.load(tmp_path / "x.npy") == 7).all()
    with pytest.raises(ValueError, match="copy"):
        oo.asarray(x, "f4", copy=False)


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_schedulers(scheduler: str) -> None:
    with oo.options(scheduler=scheduler, workers=2):
        found = (oo.geomspace(1, 9, 4000) + oo.arange(4000) * oo.tri(4000)[:, 7]).compute()
    wanted = np.geomspace(1, 9, 4000) + np.arange(4000) * np.tri(4000)[:, 7]
    np.testing.assert_array_equal(found, wanted)
