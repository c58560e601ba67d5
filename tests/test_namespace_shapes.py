"""Shapes, joining, cutting and picking of the namespace and of `Shaped`, against NumPy."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

import oocarray as oo
from oocarray.lazy.expr import MemoryNode, StoredNode
from oocarray.namespace import (
    joining,
    manipulation,
    padding,
    parts,
    rearranging,
    splitting,
    spreading,
)
from oocarray.shaped import Shaped

Array = np.ndarray[Any, Any]

MODULES = (manipulation, joining, rearranging, spreading, padding, splitting, parts)
NAN = float("nan")


@pytest.fixture(autouse=True)
def _serial() -> Iterator[None]:
    with oo.options(scheduler="serial", progress=False):
        yield


def varied(shape: tuple[int, ...], dtype: Any = "i8") -> Array:
    """Numbers out of order."""
    values = (np.arange(int(np.prod(shape))) * 7919 % 101 + 1).reshape(shape)
    return (values % 2 == 1) if np.dtype(dtype) == bool else values.astype(dtype)


def saved(array: Array, folder: Path, order: str = "C") -> Path:
    path = folder / f"{array.dtype.str[1:]}-{'x'.join(map(str, array.shape))}-{order}.npy"
    if not path.exists():
        np.save(path, np.asarray(array, order=order))  # type: ignore[call-overload]
    return path


def forms(array: Array, folder: Path) -> Iterator[tuple[str, oo.Array, Array]]:
    """The same array as every kind of node, each beside what NumPy has."""
    if array.shape not in FULLY and array.dtype == np.int64:
        yield "chunks", oo.from_array(array, chunks=2), array
        yield "C", oo.open(saved(array, folder)), array
        return
    yield "memory", oo.from_array(array), array
    yield "chunks", oo.from_array(array, chunks=2), array
    for order in "CF":
        yield order, oo.open(saved(array, folder, order)), array
    yield "expression", oo.from_array(array) + 1, np.asarray(array + 1)
    yield "mapped", oo.from_array(array, chunks=2).map_blocks(_times), np.asarray(array * 1)


def _times(block: Any) -> Any:
    return block * 1


def assert_same(found: Any, wanted: Any, what: str) -> None:
    """Equal to the bit, with shape and dtype; of tuples and lists each part."""
    if isinstance(wanted, (tuple, list)):
        assert type(found) is type(wanted), what
        assert len(found) == len(wanted), what
        for mine, own in zip(found, wanted, strict=True):
            assert_same(mine, own, what)
        return
    wanted = np.asarray(wanted)
    assert isinstance(found, oo.Array), what
    values = np.asarray(found.compute())
    assert found.shape == values.shape == wanted.shape or NAN in map(_nan, found.shape), what
    assert values.shape == wanted.shape, what
    assert found.dtype == values.dtype == wanted.dtype, what
    assert values.tobytes() == wanted.tobytes(), (what, values, wanted)


def _nan(extent: float) -> float:
    return NAN if extent != extent else extent


def check(call: str, array: Array, folder: Path) -> None:
    """Make a call with our functions and with NumPy's, for every form of the array."""
    for form, lazy, own in forms(array, folder):
        what = f"{call} of {form} {array.dtype} {array.shape}"
        wanted, theirs = tried(call, _NumPy, own)
        found, mine = tried(call, oo, lazy)
        if theirs is not None:
            kind = next((one for one in KINDS if isinstance(theirs, one)), Exception)
            assert isinstance(mine, kind), f"{what}: {theirs!r}, but {mine or found!r}"
            continue
        assert mine is None, f"{what}: {mine!r}"
        assert_same(found, wanted, what)


def tried(call: str, module: Any, array: Any) -> tuple[Any, Exception | None]:
    try:
        return eval(call, {"m": module, "x": array, "np": np}), None
    except Exception as error:
        return None, error


KINDS = (IndexError, OverflowError, ValueError, TypeError)


class _Names:
    """NumPy, and what has another home there."""

    sliding_window_view = staticmethod(np.lib.stride_tricks.sliding_window_view)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


_NumPy = _Names()

# With every form; the others with two.
FULLY = ((3, 4), ())
SHAPES = ((), (0,), (1,), (5,), (3, 4), (1, 4), (0, 3), (4, 4), (2, 3, 4), (2, 1, 3), (2, 0, 3))

# What every shape is tried with, also those for which NumPy raises.
EVERYWHERE = """
x.T
x.ravel()
x.flatten()
x.reshape(-1)
x.reshape((-1, 1))
x.reshape(x.shape)
x.reshape(1, *x.shape)
x.reshape(x.shape[::-1])
x.reshape((2, -1))
x.reshape(-1, -1)
x.reshape(7, 3)
x.reshape(0, -1)
x.reshape(())
x.reshape(12)
x.reshape((2, 6))
x.reshape([3, 2, 2])
x.reshape(np.array([2, 6]))
m.reshape(x, (4, 3))
m.reshape(x, (2, 2, 3), copy=True)
m.reshape(x.T, (4, 3))
m.ravel(x)
x.transpose()
x.transpose(None)
x.transpose(())
x.transpose(0)
x.transpose(np.int64(0))
x.transpose(1, 0)
x.transpose((1, 0))
x.transpose(-1, 0, 1)
x.transpose((0, 0))
x.transpose([2, 0])
m.transpose(x)
m.transpose(x, (0, 2, 1))
m.permute_dims(x, (1, 0))
x.mT
m.matrix_transpose(x)
x.squeeze()
x.squeeze(0)
x.squeeze(axis=(0,))
x.squeeze(-2)
m.squeeze(x, 1)
m.squeeze(x, (0, 0))
m.squeeze(x, ())
x.swapaxes(0, 1)
x.swapaxes(-1, 0)
m.swapaxes(x, 0, 2)
m.expand_dims(x, 0)
m.expand_dims(x, -1)
m.expand_dims(x, (0, -1))
m.expand_dims(x, [1, 2])
m.expand_dims(x, (1, 1))
m.expand_dims(x, 5)
m.moveaxis(x, 0, -1)
m.moveaxis(x, source=-1, destination=0)
m.moveaxis(x, [0, 1], [1, 0])
m.moveaxis(x, (0, 2), (1, 0))
m.moveaxis(x, (0, 1), 0)
m.rollaxis(x, 1)
m.rollaxis(x, -1, 1)
m.rollaxis(x, 0, 2)
m.rollaxis(x, 0, 4)
m.flip(x)
m.flip(x, 0)
m.flip(x, -1)
m.flip(x, (0, 1))
m.flip(x, (0, 0))
m.fliplr(x)
m.flipud(x)
m.roll(x, 1)
m.roll(x, -3, 0)
m.roll(x, 100, -1)
m.roll(x, (1, 2), (0, 1))
m.roll(x, (1, 2), (0, 0))
m.roll(x, 1, (0, -1))
m.roll(x, (1, 2))
m.roll(x, (1, 2), (0, 1, 0))
m.roll(x, 2, 3)
m.rot90(x)
m.rot90(x, 2)
m.rot90(x, -1)
m.rot90(x, 4)
m.rot90(x, 1, (1, 2))
m.rot90(x, 1, (0, 0))
m.rot90(x, 1, (0, 1, 2))
m.tile(x, 2)
m.tile(x, (2, 1))
m.tile(x, (1, 2, 2))
m.tile(x, 0)
m.tile(x, ())
m.tile(x, 1.5)
x.repeat(2)
x.repeat(2, 0)
x.repeat([1], axis=-1)
m.repeat(x, repeats=3, axis=1)
m.repeat(x, [1, 0, 2], 0)
m.repeat(x, np.arange(4), 1)
m.repeat(x, 0)
m.repeat(x, [[1]])
m.repeat(x, 2, 5)
m.broadcast_to(x, x.shape)
m.broadcast_to(x, (2, *x.shape))
m.broadcast_to(x, (2, 3, 4))
m.broadcast_to(x, 5)
m.broadcast_to(x, (0, *x.shape))
m.broadcast_to(x, (-1,))
m.broadcast_arrays(x, np.arange(4))
m.broadcast_arrays(x, x, 1.5)
m.broadcast_arrays(x)
m.broadcast_arrays()
m.meshgrid(x)
m.meshgrid(x, [1, 2])
m.meshgrid(x, [1.5, 2], np.arange(3), indexing="ij")
m.meshgrid(x, [1, 2], sparse=True)
m.meshgrid(x, [1, 2], copy=False)
m.meshgrid(x, indexing="yx")
m.meshgrid()
m.atleast_1d(x)
m.atleast_2d(x)
m.atleast_3d(x)
m.atleast_2d(x, 5, [1, 2])
m.atleast_1d()
m.pad(x, 1)
m.pad(x, 2, "edge")
m.pad(x, (1, 0), "reflect")
m.pad(x, (7, 9), "reflect")
m.pad(x, (7, 9), "symmetric")
m.pad(x, (7, 9), mode="wrap")
m.pad(x, ((1, 2), (0, 3)))
m.pad(x, ((1, 2), (0, 3)), constant_values=((1, 2), (3, 4)))
m.pad(x, 1, constant_values=(5, 6))
m.pad(x, 1, constant_values=7.9)
m.pad(x, {0: 1})
m.pad(x, {-1: (2, 1)})
m.pad(x, -1)
m.pad(x, 1.5)
m.pad(x, ((1, 2), (0, 3), (1, 1), (0, 0), (0, 0)))
m.pad(x, 1, "edge", constant_values=1)
m.pad(x, 0)
m.sliding_window_view(x, 2)
m.sliding_window_view(x, (2, 2))
m.sliding_window_view(x, np.array([2, 1]))
m.sliding_window_view(x, 2, 0)
m.sliding_window_view(x, 3, axis=-1)
m.sliding_window_view(x, (2, 2), (0, 0))
m.sliding_window_view(x, 0, 0)
m.sliding_window_view(x, -1, 0)
m.sliding_window_view(x, 9, 0)
m.concatenate([x, x])
m.concatenate((x, x), -1)
m.concatenate([x, x], axis=None)
m.concatenate([x, 1.5], axis=None)
m.concatenate([x, [1.5, 2]])
m.concatenate([x, x[:0]], 0)
m.concatenate([x], 3)
m.concatenate([x, x], dtype="f4")
m.concatenate([x, x], dtype="i2", casting="unsafe")
m.concatenate([x, x], dtype="i2", casting="safe")
m.concatenate(x)
m.concatenate([])
m.concat([x, x, x], axis=0)
m.stack([x, x])
m.stack([x, x, x], -1)
m.stack([x, x], axis=1, dtype="f8")
m.stack([x, x], 7)
m.stack([x, [1, 2]])
m.stack([])
m.vstack([x, x])
m.vstack([x, [1, 2, 3, 4]])
m.vstack([x], dtype="f4")
m.hstack([x, x])
m.hstack((x, x, x), casting="no")
m.hstack([x, 5])
m.dstack([x, x])
m.column_stack([x, x])
m.column_stack([x, np.arange(5)])
m.block(x)
m.block([x, x])
m.block([[x, x], [x, x]])
m.block([[x], [1]])
m.block([x, [x]])
m.block([[x, x], [x]])
m.block([])
m.block((x, x))
m.append(x, 5)
m.append(x, [1.5, 2])
m.append(x, x, 0)
m.append(x, [[1, 2, 3]], axis=0)
m.split(x, 1)
m.split(x, 2)
m.split(x, 2, -1)
m.split(x, [1, 3], axis=0)
m.split(x, [2, 1, 9, -1])
m.split(x, 0)
m.array_split(x, 3)
m.array_split(x, 7, 1)
m.array_split(x, 3.0)
m.array_split(x, 0)
m.array_split(x, [])
m.array_split(x, np.array([1, 2]), -1)
m.hsplit(x, 2)
m.vsplit(x, 2)
m.dsplit(x, 2)
m.hsplit(x, [1])
m.unstack(x)
m.unstack(x, axis=-1)
m.unstack(x, axis=1)
m.insert(x, 0, 9)
m.insert(x, 1, [7, 8])
m.insert(x, -1, 9.9, axis=0)
m.insert(x, 1, np.arange(4), axis=0)
m.insert(x, 1, np.arange(3), axis=1)
m.insert(x, [1], [[1], [2], [3]], axis=1)
m.insert(x, [1], [7, 8, 9])
m.insert(x, [1, 0, 1], [7, 8, 9])
m.insert(x, [0, 2], [[7], [8]], axis=0)
m.insert(x, slice(0, 3, 2), 5)
m.insert(x, slice(None), 5, axis=-1)
m.insert(x, [], 5)
m.insert(x, np.array([True, False]), 5)
m.insert(x, 100, 5)
m.insert(x, [100, 0], 5)
m.insert(x, [0, 1], [1, 2, 3])
m.insert(x, [[0, 1]], 5)
m.insert(x, 0, 5, 3)
m.delete(x, 0)
m.delete(x, -1, axis=-1)
m.delete(x, 1, 0)
m.delete(x, [0, 2])
m.delete(x, [0, 0, -1])
m.delete(x, [[0, 1], [2, 3]])
m.delete(x, [])
m.delete(x, np.array([]))
m.delete(x, slice(1, 3))
m.delete(x, slice(None, None, -2))
m.delete(x, slice(3, 1))
m.delete(x, slice(0, 9), axis=-1)
m.delete(x, np.arange(x.shape[0]) % 2 == 0, axis=0)
m.delete(x, [True, False])
m.delete(x, 100)
m.delete(x, [100])
m.delete(x, [100, 0])
m.delete(x, 1.5)
m.delete(x, 0, 4)
x.take(0)
x.take([0, -1])
x.take([[0, 1], [1, 0]], axis=-1)
x.take(np.int8(0), 0)
m.take(x, [0, 0, 0], axis=1)
m.take(x, [True, False])
m.take(x, [])
m.take(x, [0], axis=4)
m.take(x, [1, 2, 0, 1], axis=0)
m.take_along_axis(x, m.argsort(x, axis=0, kind="stable"), 0)
m.take_along_axis(x, m.argsort(x, axis=-1, kind="stable"), axis=-1)
m.take_along_axis(x, np.zeros(3), 0)
m.take_along_axis(x, np.zeros((1, 1, 1, 1), int), 0)
m.compress([True, False, True], x)
m.compress([False, True], x, axis=0)
m.compress([], x)
m.compress([[True, False]], x)
m.compress([True] * 30, x)
m.extract(x > 30, x)
m.extract([True, False, True], x)
m.extract([[1, 0], [0, 1]], x)
m.tril(x)
m.tril(x, -1)
m.triu(x, 1)
m.triu(x)
m.triu(x, 9)
x.diagonal()
x.diagonal(1)
x.diagonal(-1, 1, 0)
m.diagonal(x, 0, 0, 2)
m.diagonal(x, 0, 1, 1)
m.diagonal(x, 0, -1, 0)
m.diagonal(x, 9)
m.diag(x)
m.diag(x, 2)
m.diag(x, -1)
x.trace()
x.trace(1, 1, 0)
m.trace(x, 0, -1, 0)
m.trace(x, dtype="i4")
m.diff(x)
m.diff(x, 2, 0)
m.diff(x, 9)
m.diff(x, 0)
m.diff(x, -1)
m.diff(x, prepend=0)
m.diff(x, append=[9])
m.diff(x, axis=0, prepend=x, append=1.5)
m.diff(x, 1, 3)
m.ediff1d(x)
m.ediff1d(x, to_end=0)
m.ediff1d(x, to_begin=[[1, 2]], to_end=(3, 4))
m.ediff1d(x, to_end=1.5)
"""


# What NumPy takes an array of no axes for, or how it fails, is an accident.
ODD = """
x.squeeze(0)
x.repeat(2, 0)
x.repeat([1], axis=-1)
m.pad(x, -1)
m.concatenate([x, x], dtype="i2", casting="safe")
m.concatenate(x)
x.take(np.int8(0), 0)
m.take_along_axis(x, np.zeros((1, 1, 1, 1), int), 0)
m.tril(x)
m.tril(x, -1)
m.triu(x, 1)
m.triu(x)
m.triu(x, 9)
"""


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_calls(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = varied(shape)
    bad = []
    calls = EVERYWHERE.strip().splitlines()
    if not shape:
        calls = [call for call in calls if call not in ODD.splitlines()]
    for call in calls:
        try:
            check(call, array, tmp_path)
        except AssertionError as error:
            bad.append(str(error)[:300])
    assert not bad, "\n" + "\n".join(bad)


METHODS = """
x.real
x.imag
x.astype("f4")
x.astype("i1", casting="same_kind", copy=False)
x.clip(3, 50)
x.clip(max=9)
x.round(-1)
x.conj()
x.conjugate()
x.copy()
x.nonzero()
m.sort(x, None).searchsorted([5, 50])
x.argsort(kind="stable")
x.argsort(axis=None, kind="stable")
x.cumsum()
x.cumsum(0, dtype="f4")
x.cumprod(axis=-1)
x.dot(x.T)
x.take([5, -1], mode="wrap")
x.take([5, 100], axis=0, mode="clip")
x.take(0, mode="other")
m.tile(x, reps=(2,))
"""


def test_methods(tmp_path: Path) -> None:
    for call in METHODS.strip().splitlines():
        check(call, varied((3, 4)), tmp_path)


def test_methods_that_numpy_has_not_or_other() -> None:
    x = oo.from_array(varied((3, 4)))
    assert x.device == "cpu"
    assert x.to_device("cpu") is x
    with pytest.raises(ValueError, match="on the 'cpu' only"):
        x.to_device("cuda")
    assert_same(x.ptp(axis=0), np.ptp(varied((3, 4)), axis=0), "ptp")
    with pytest.raises(NotImplementedError, match="order='F'"):
        x.reshape((4, 3), order="F")
    with pytest.raises(NotImplementedError, match="order='F'"):
        x.ravel("F")


def test_every_function_and_method_is_called() -> None:
    for module in MODULES:
        for name in {*module.__all__} - {"rechunk"}:
            assert f"m.{name}(" in EVERYWHERE, name
    mine = [name for name, value in vars(Shaped).items() if not name.startswith("_")]
    own = {"device", "to_device", "ptp", "sort"}
    for name in {*mine} - own:
        assert f".{name}" in EVERYWHERE + METHODS, name


DTYPES = ("?", "u1", "f4", ">f8", ">i4", "c16", "M8[s]", "U3", ">U2", [("a", "i4"), ("b", "f8")])
MOVES = """
x.T
x.reshape(4, 3)
m.flip(x, 0)
m.roll(x, 1)
m.rot90(x)
m.tile(x, 2)
m.repeat(x, [1, 2, 0], axis=0)
m.broadcast_to(x, (2, 3, 4))
m.concatenate([x, x], axis=1)
m.concatenate([x, x], axis=None)
m.stack([x, x], axis=-1)
m.block([[x, x], [x, x]])
m.split(x, 2, axis=1)
m.insert(x, 1, x[0], axis=0)
m.delete(x, 1, axis=1)
m.take(x, [1, 0], axis=1)
m.take_along_axis(x, np.zeros((3, 1), int), 1)
m.compress([False, True], x, axis=0)
m.diagonal(x)
m.sliding_window_view(x, (2, 2))
m.atleast_3d(x)
m.pad(x, 1, "wrap")
"""


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes(dtype: Any, tmp_path: Path) -> None:
    array = np.ones((3, 4), dtype) if isinstance(dtype, list) else varied((3, 4)).astype(dtype)
    for call in MOVES.strip().splitlines():
        wanted, theirs = tried(call, _NumPy, array)
        for x in (oo.from_array(array, chunks=2), oo.open(saved(array, tmp_path))):
            found, mine = tried(call, oo, x)
            assert (mine is None) == (theirs is None), f"{call} {dtype}: {mine!r}, {theirs!r}"
            if theirs is None:
                assert_same(found, wanted, f"{call} {dtype}")


@pytest.mark.parametrize("dtype", ["?", "u1", "f4", ">f8", "c16"])
def test_dtypes_of_numbers(dtype: Any, tmp_path: Path) -> None:
    calls = "m.tril(x)|m.triu(x, 1)|m.diag(x)|m.diag(x[0])|m.diff(x)|m.ediff1d(x)|m.pad(x, 1)"
    for call in calls.split("|"):
        check(call, varied((3, 4)).astype(dtype), tmp_path)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: oo.repeat(x, -1), ValueError),
        (lambda x: oo.repeat(x, 1.5), TypeError),
        (lambda x: oo.tile(x, -1), ValueError),
        (lambda x: oo.roll(x, 1.5), TypeError),
        (lambda x: oo.take(x, 1.5), TypeError),
        (lambda x: oo.insert(x, 1.5, 5), TypeError),
        (lambda x: oo.pad(x, 1, "mean"), NotImplementedError),
        (lambda x: oo.pad(x, 1, "reflect", reflect_type="odd"), NotImplementedError),
        (lambda x: oo.sliding_window_view(x, 2, 0, writeable=True), ValueError),
        (lambda x: oo.reshape(x.T, 12, copy=False), ValueError),
        (lambda x: oo.concatenate({0: x}), TypeError),
        (lambda x: oo.ediff1d(x > 1), TypeError),
        (lambda x: x.astype("i1", casting="safe"), TypeError),
    ],
)
def test_refused(call: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        call(oo.from_array(varied((3, 4))))


VIEWS = {
    "transpose": (lambda m, x: m.transpose(x), True),
    "moveaxis": (lambda m, x: m.moveaxis(x, 0, 1), True),
    "swapaxes": (lambda m, x: x.swapaxes(0, 1), True),
    "flip": (lambda m, x: m.flip(x, 1), True),
    "rot90": (lambda m, x: m.rot90(x), True),
    "expand_dims": (lambda m, x: m.expand_dims(x, (0, -1)), True),
    "squeeze": (lambda m, x: m.squeeze(x[:1]), True),
    "reshape": (lambda m, x: m.reshape(x, (2, 3, 4)), True),
    "ravel": (lambda m, x: m.ravel(x), True),
    "columns": (lambda m, x: m.reshape(x[:, 2:4], (2, 2, 2)), True),
    "split": (lambda m, x: m.split(x, 2, axis=1)[1], True),
    "unstack": (lambda m, x: m.unstack(x, axis=1)[2], True),
    "atleast_3d": (lambda m, x: m.atleast_3d(x), True),
    "same": (lambda m, x: m.reshape(x, x.shape), True),
    "broadcast_to": (lambda m, x: m.broadcast_to(x, (2, 4, 6)), False),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_of_files_are_written_through(name: str, tmp_path: Path) -> None:
    call, writes = VIEWS[name]
    path = tmp_path / "x.npy"
    own = varied((4, 6))
    np.save(path, own)
    view = call(oo, oo.open(path, "r+"))
    assert isinstance(view.node, StoredNode)
    assert isinstance(call(oo, oo.from_array(own)).node, MemoryNode)
    assert_same(view, call(np, own), name)
    with pytest.raises(PermissionError):
        call(oo, oo.open(path))[...] = 5
    if not writes:
        with pytest.raises(PermissionError):
            view[...] = 5
        return
    view[...] = 5
    theirs = call(np, own)
    theirs[...] = 5
    np.testing.assert_array_equal(np.load(path), own)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.flatten(),
        lambda x: x.reshape(x.shape, copy=True),
        lambda x: oo.block(x),
        lambda x: oo.delete(x, slice(0), axis=0),
        lambda x: oo.concatenate([x]),
        lambda x: oo.meshgrid(x[0])[0],
        lambda x: oo.tile(x, 1),
        lambda x: x.copy(),
        copy.copy,
        copy.deepcopy,
    ],
)
def test_what_numpy_copies_is_not_written_through(call: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, varied((4, 6)))
    other = call(oo.open(path, "r+"))
    other[...] = 5
    assert (np.asarray(other.compute()) == 5).all()
    np.testing.assert_array_equal(np.load(path), varied((4, 6)))


def test_sort_in_place(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, varied((4, 6)))
    oo.open(path, "r+").sort(axis=0)
    np.testing.assert_array_equal(np.load(path), np.sort(varied((4, 6)), axis=0))
    with pytest.raises(TypeError, match="expression"):
        (oo.open(path) + 1).sort()


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x, y: m.concatenate([x, y]),
        lambda m, x, y: m.stack([x, y], axis=1),
        lambda m, x, y: m.vstack([x, y]),
        lambda m, x, y: m.block([[x], [y]]),
        lambda m, x, y: m.delete(x, [1, 3], axis=0),
        lambda m, x, y: m.insert(x, 2, y, axis=0),
        lambda m, x, y: m.append(x, y, 1),
    ],
)
def test_joined_files_stay_where_they_are(call: Any, tmp_path: Path) -> None:
    arrays = [varied((4, 6)), varied((4, 6)) * 2]
    for k, one in enumerate(arrays):
        np.save(tmp_path / f"{k}.npy", one)
    files = [oo.open(tmp_path / f"{k}.npy") for k in range(2)]
    found = call(oo, *files)
    assert str(found.explain()).startswith("1 stage, ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.npy", "1.npy"]
    assert_same(found, call(np, *arrays), "joined")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.npy", "1.npy"]


def test_many_positions_are_few_parts() -> None:
    x = oo.from_array(np.arange(5))
    assert len(oo.insert(x, 2, np.zeros(10**5)).node.args) == 3
    big = oo.zeros(10**15, "u1")
    assert oo.delete(big, 7).shape == oo.delete(big, [-1]).shape == (10**15 - 1,)
    assert oo.delete(big, slice(5, 10**14)).shape == (9 * 10**14 + 5,)
    few = oo.delete(oo.from_array(np.arange(2000)), np.arange(0, 2000, 2))
    assert_same(few, np.arange(1, 2000, 2), "every other")


def test_unknown_extents() -> None:
    own = varied((5, 4))
    x = oo.from_array(own, chunks=2)
    some, rows = x[x > 50], x[x[:, 0] > 30]
    assert np.isnan(some.shape[0])
    for call in (
        lambda: some.reshape(-1, 1),
        lambda: rows.ravel(),
        lambda: oo.flip(some),
        lambda: oo.roll(some, 1),
        lambda: oo.split(some, 1),
        lambda: oo.insert(some, 0, 5),
        lambda: oo.delete(some, 0),
        lambda: oo.unstack(rows),
        lambda: oo.concatenate([some, some]),
        lambda: oo.pad(some, 1),
        lambda: oo.diff(some),
        lambda: oo.diag(some[:, None]),
        lambda: oo.vstack(rows),
        lambda: oo.sliding_window_view(some, 2),
    ):
        with pytest.raises(ValueError, match="compute_chunk_sizes"):
            call()
    with pytest.raises(ValueError, match="shape"):
        oo.stack([some, np.arange(3)])
    wanted = own[own[:, 0] > 30]
    assert_same(rows.T, wanted.T, "T")
    assert_same(oo.expand_dims(some, 1), own[own > 50][:, None], "expand_dims")
    assert_same(oo.flip(rows, 1), np.flip(wanted, 1), "flip")
    assert_same(oo.concatenate([rows, rows], axis=1), np.hstack([wanted, wanted]), "concatenate")
    assert_same(oo.stack([some, some * 2]), np.stack([own[own > 50], own[own > 50] * 2]), "stack")
    assert_same(oo.split(rows, 2, axis=1), np.split(wanted, 2, axis=1), "split")
    assert_same(oo.delete(rows, 1, axis=1), np.delete(wanted, 1, axis=1), "delete")
    assert_same(some.ravel(), own[own > 50], "ravel")
    assert_same(oo.repeat(some, 2), np.repeat(own[own > 50], 2), "repeat")
    some.compute_chunk_sizes()
    assert_same(oo.flip(some), own[own > 50][::-1], "known")


CHUNKS = (
    lambda m, x: x.T,
    lambda m, x: m.transpose(x, (1, 0)),
    lambda m, x: m.moveaxis(x, 0, 1),
    lambda m, x: m.swapaxes(x, 0, 1),
    lambda m, x: m.expand_dims(x, 1) if m is oo else x[:, None],
    lambda m, x: m.squeeze(x[:, :, None]),
    lambda m, x: m.flip(x, 0),
    lambda m, x: m.concatenate([x, x]),
    lambda m, x: m.concatenate([x, x], axis=1),
    lambda m, x: m.stack([x, x]),
    lambda m, x: m.stack([x, x], axis=-1),
    lambda m, x: m.vstack([x, x]),
    lambda m, x: m.hstack([x, x]),
    lambda m, x: m.dstack([x, x]),
    lambda m, x: m.block([[x, x], [x, x]]),
    lambda m, x: m.broadcast_to(x, (3, 5, 7)),
    lambda m, x: m.tile(x, 2),
    lambda m, x: m.repeat(x, 2, axis=0),
    lambda m, x: x.rechunk((2, 7)),
)


@pytest.mark.parametrize("number", range(len(CHUNKS)))
def test_chunks_are_those_of_dask(number: int) -> None:
    own = varied((5, 7))
    chunks = ((2, 3), (3, 3, 1))
    mine = CHUNKS[number](oo, oo.from_array(own, chunks=chunks))
    theirs = CHUNKS[number](da, da.from_array(own, chunks=chunks))
    assert_same(mine, theirs.compute(), "dask")
    assert mine.chunks == theirs.chunks


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_schedulers(scheduler: str, tmp_path: Path) -> None:
    own = varied((40, 60))
    np.save(tmp_path / "x.npy", own)
    x = oo.open(tmp_path / "x.npy")
    made = oo.concatenate(
        [oo.roll(x, 7, 1)[:, ::-1].T, oo.pad(x, ((0, 20), (0, 0)), "wrap")[:, :40]]
    )
    wanted = np.concatenate(
        [np.roll(own, 7, 1)[:, ::-1].T, np.pad(own, ((0, 20), (0, 0)), "wrap")[:, :40]]
    )
    with oo.options(scheduler=scheduler, workers=2):
        assert_same(made, wanted, scheduler)
