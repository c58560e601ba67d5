"""Manipulation by the namespace against NumPy: values, shapes and dtypes, and what stays a view."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray.lazy.expr import StoredNode

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def _serial() -> Iterator[None]:
    with oo.options(scheduler="serial", progress=False):
        yield


def numbers(*shape: int, dtype: Any = "f8") -> Array:
    return (np.arange(int(np.prod(shape))) * 7919 % 101 - 7).reshape(shape).astype(dtype)


def forms(array: Array, folder: Path) -> dict[str, Any]:
    """The same array in memory, with set chunks, in files of both orders, and as an expression."""
    chunks = tuple(max(1, (size + 1) // 2) for size in array.shape)
    cut = oo.from_array(array, chunks=chunks)
    np.save(folder / "c.npy", np.ascontiguousarray(array))
    np.save(folder / "f.npy", np.asfortranarray(array))
    return {
        "memory": oo.from_array(array),
        "chunks": cut,
        "file": oo.open(folder / "c.npy", chunks=chunks),
        "fortran": oo.open(folder / "f.npy"),
        "expression": cut + 0,
    }


def parts_of(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def same(lazy: Any, expected: Any, note: str) -> None:
    mine, theirs = parts_of(lazy), parts_of(expected)
    assert len(mine) == len(theirs), note
    for part, own in zip(mine, theirs, strict=True):
        own = np.asarray(own)
        assert isinstance(part, oo.Array), note
        assert part.shape == own.shape, note
        assert part.dtype == own.dtype, note
        np.testing.assert_array_equal(np.asarray(part.compute()), own, note, strict=True)


Call = Callable[[Any, Any], Any]
CALLS: list[tuple[str, Call]] = [
    ("reshape", lambda xp, x: xp.reshape(x, (3, 8))),
    ("reshape -1", lambda xp, x: xp.reshape(x, (2, -1, 2))),
    ("reshape int", lambda xp, x: xp.reshape(x, -1)),
    ("reshape split", lambda xp, x: xp.reshape(x, (2, 2, 3, 2))),
    ("ravel", lambda xp, x: xp.ravel(x)),
    ("expand_dims", lambda xp, x: xp.expand_dims(x, (0, -1))),
    ("squeeze", lambda xp, x: xp.squeeze(xp.expand_dims(x, 1))),
    ("squeeze axis", lambda xp, x: xp.squeeze(xp.expand_dims(x, 1), axis=1)),
    ("broadcast_to", lambda xp, x: xp.broadcast_to(x, (3, 4, 6))),
    ("broadcast_arrays", lambda xp, x: xp.broadcast_arrays(x, x[:1], x[:, :1])),
    ("flip", lambda xp, x: xp.flip(x)),
    ("flip axis", lambda xp, x: xp.flip(x, axis=-1)),
    ("fliplr", lambda xp, x: xp.fliplr(x)),
    ("flipud", lambda xp, x: xp.flipud(x)),
    ("roll", lambda xp, x: xp.roll(x, 5)),
    ("roll axes", lambda xp, x: xp.roll(x, (1, -2), (0, 1))),
    ("roll twice", lambda xp, x: xp.roll(x, (1, 2), (0, 0))),
    *((f"rot90 {k}", lambda xp, x, k=k: xp.rot90(x, k)) for k in range(-1, 4)),
    ("rot90 axes", lambda xp, x: xp.rot90(x, 1, (1, 0))),
    ("concatenate", lambda xp, x: xp.concatenate([x, x[:1]])),
    ("concatenate -1", lambda xp, x: xp.concatenate((x, x[:, 1:]), axis=-1)),
    ("concatenate flat", lambda xp, x: xp.concatenate([x, x[0], 1.5], axis=None)),
    ("concatenate cast", lambda xp, x: xp.concatenate([x, x], dtype="i2", casting="unsafe")),
    ("concat", lambda xp, x: xp.concat([x, x])),
    *((f"stack {k}", lambda xp, x, k=k: xp.stack([x, x + 1], axis=k)) for k in (0, 1, -1)),
    ("vstack", lambda xp, x: xp.vstack([x, x[0]])),
    ("hstack", lambda xp, x: xp.hstack([x, x])),
    ("hstack vectors", lambda xp, x: xp.hstack([x[0], x[1, :2]])),
    ("dstack", lambda xp, x: xp.dstack([x, x])),
    ("column_stack", lambda xp, x: xp.column_stack([x[:, 0], x])),
    ("block", lambda xp, x: xp.block([[x, x[:, :1]], [x[:1], x[:1, :1]]])),
    ("block flat", lambda xp, x: xp.block([x[0], x[1]])),
    ("split", lambda xp, x: xp.split(x, 2)),
    ("split at", lambda xp, x: xp.split(x, [1, 5], axis=1)),
    ("array_split", lambda xp, x: xp.array_split(x, 4, axis=1)),
    ("hsplit", lambda xp, x: xp.hsplit(x, 3)),
    ("vsplit", lambda xp, x: xp.vsplit(x, [1])),
    ("dsplit", lambda xp, x: xp.dsplit(xp.reshape(x, (2, 3, 4)), 2)),
    ("unstack", lambda xp, x: xp.unstack(x, axis=1)),
    ("tile", lambda xp, x: xp.tile(x, 2)),
    ("tile more", lambda xp, x: xp.tile(x, (2, 1, 3))),
    ("repeat", lambda xp, x: xp.repeat(x, 3)),
    ("repeat axis", lambda xp, x: xp.repeat(x, 2, axis=1)),
    ("repeat each", lambda xp, x: xp.repeat(x, [0, 1, 2, 3], axis=0)),
    ("moveaxis", lambda xp, x: xp.moveaxis(xp.reshape(x, (2, 3, 4)), [0, 1], [-1, 0])),
    ("rollaxis", lambda xp, x: xp.rollaxis(xp.reshape(x, (2, 3, 4)), 2)),
    ("rollaxis on", lambda xp, x: xp.rollaxis(xp.reshape(x, (2, 3, 4)), 0, 3)),
    ("swapaxes", lambda xp, x: xp.swapaxes(x, 0, -1)),
    ("transpose", lambda xp, x: xp.transpose(x)),
    ("permute_dims", lambda xp, x: xp.permute_dims(xp.reshape(x, (2, 3, 4)), (2, 0, 1))),
    ("matrix_transpose", lambda xp, x: xp.matrix_transpose(x)),
    ("pad", lambda xp, x: xp.pad(x, ((1, 2), (0, 3)), constant_values=9)),
    ("pad values", lambda xp, x: xp.pad(x, 2, constant_values=((1, 2), (3, 4)))),
    *(
        (f"pad {mode}", lambda xp, x, mode=mode: xp.pad(x, ((1, 9), (8, 2)), mode))
        for mode in ("edge", "reflect", "symmetric", "wrap")
    ),
    *((f"tril {k}", lambda xp, x, k=k: xp.tril(x, k)) for k in (-2, 0, 3)),
    *((f"triu {k}", lambda xp, x, k=k: xp.triu(x, k)) for k in (-2, 0, 3)),
    *((f"diag {k}", lambda xp, x, k=k: xp.diag(x[0], k)) for k in (-1, 0, 2)),
    ("diag of", lambda xp, x: xp.diag(x, 1)),
    ("diagonal", lambda xp, x: xp.diagonal(xp.reshape(x, (2, 3, 4)), -1, 1, 2)),
    ("trace", lambda xp, x: xp.trace(x, 1)),
    ("diff", lambda xp, x: xp.diff(x)),
    ("diff n", lambda xp, x: xp.diff(x, 2, axis=0)),
    ("diff 0", lambda xp, x: xp.diff(x, 0)),
    ("diff ends", lambda xp, x: xp.diff(x, prepend=0, append=x[:, :2])),
    ("ediff1d", lambda xp, x: xp.ediff1d(x, to_end=[1, 2], to_begin=5)),
    ("append", lambda xp, x: xp.append(x, [[1, 2]])),
    ("append axis", lambda xp, x: xp.append(x, x[:1], axis=0)),
    ("insert", lambda xp, x: xp.insert(x, 1, 5, axis=1)),
    ("insert many", lambda xp, x: xp.insert(x, [3, 0, 3], [[1, 2, 3]], axis=1)),
    ("insert flat", lambda xp, x: xp.insert(x, [2, 2], [6, 7])),
    ("insert rows", lambda xp, x: xp.insert(x, 2, [1, 2, 3, 4, 5, 6], axis=0)),
    ("insert end", lambda xp, x: xp.insert(x, 6, 1, axis=1)),
    ("delete", lambda xp, x: xp.delete(x, 1, axis=0)),
    ("delete many", lambda xp, x: xp.delete(x, [0, -1, 2, 2], axis=1)),
    ("delete slice", lambda xp, x: xp.delete(x, slice(None, None, 2), axis=1)),
    ("delete back", lambda xp, x: xp.delete(x, slice(4, 1, -1), axis=1)),
    ("delete flat", lambda xp, x: xp.delete(x, [3, 5])),
    ("delete mask", lambda xp, x: xp.delete(x, np.arange(6) % 2 == 0, axis=1)),
    ("atleast_1d", lambda xp, x: xp.atleast_1d(x[0, 0], x)),
    ("atleast_2d", lambda xp, x: xp.atleast_2d(x[0, 0], x[0], x)),
    ("atleast_3d", lambda xp, x: xp.atleast_3d(x[0, 0], x[0], x)),
    ("take", lambda xp, x: xp.take(x, [5, -1, 7])),
    ("take axis", lambda xp, x: xp.take(x, [[0, 1], [5, -6]], axis=1)),
    ("take one", lambda xp, x: xp.take(x, 2, axis=0)),
    ("take_along_axis", lambda xp, x: xp.take_along_axis(x, np.array([[0], [5], [-1], [2]]), 1)),
    ("compress", lambda xp, x: xp.compress([True, False, True], x, axis=1)),
    ("compress flat", lambda xp, x: xp.compress([False, True], x)),
    ("meshgrid", lambda xp, x: xp.meshgrid(x[0], x[:, 0])),
    ("meshgrid ij", lambda xp, x: xp.meshgrid(x[0], x[:, 0], x[1], indexing="ij")),
    ("meshgrid sparse", lambda xp, x: xp.meshgrid(x[0], x[:, 0], sparse=True)),
]


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_as_numpy(name: str, call: Call, tmp_path: Path) -> None:
    array = numbers(4, 6)
    expected = call(np, array)
    for form, x in forms(array, tmp_path).items():
        same(call(oo, x), expected, f"{name}, {form}")


@pytest.mark.parametrize("dtype", ["?", "i1", "u4", ">f4", "c16", "S3", "M8[s]"])
def test_dtypes(dtype: str, tmp_path: Path) -> None:
    array = np.arange(24).astype("i8").reshape(4, 6).astype(dtype)
    for form in ("memory", "file", "fortran"):
        x = _stored(array, tmp_path)[form]
        same(oo.flip(x.T, 0), np.flip(array.T, 0), form)
        same(oo.concatenate([x, x]), np.concatenate([array, array]), form)
        same(oo.roll(x, 3), np.roll(array, 3), form)
        same(oo.repeat(x, 2, axis=0), np.repeat(array, 2, axis=0), form)


def _stored(array: Array, folder: Path) -> dict[str, Any]:
    np.save(folder / "c.npy", np.ascontiguousarray(array))
    np.save(folder / "f.npy", np.asfortranarray(array))
    files = {"file": oo.open(folder / "c.npy"), "fortran": oo.open(folder / "f.npy")}
    return {"memory": oo.from_array(array), **files}


@pytest.mark.parametrize("shape", [(0,), (0, 3), (1, 1)])
def test_few_elements(shape: Any) -> None:
    array = numbers(*shape)
    x = oo.from_array(array)
    for call in (
        lambda xp, x: xp.reshape(x, -1),
        lambda xp, x: xp.flip(x),
        lambda xp, x: xp.roll(x, 1),
        lambda xp, x: xp.concatenate([x, x]),
        lambda xp, x: xp.tile(x, 0),
        lambda xp, x: xp.squeeze(x),
        lambda xp, x: xp.transpose(x),
    ):
        same(call(oo, x), call(np, array), str(shape))


VIEWS: list[tuple[str, Call]] = [
    ("transpose", lambda xp, x: x.T),
    ("flip", lambda xp, x: xp.flip(x)),
    ("flip one", lambda xp, x: xp.flip(x, 1)),
    ("rot90", lambda xp, x: xp.rot90(x)),
    ("expand_dims", lambda xp, x: xp.expand_dims(x, 1)),
    ("squeeze", lambda xp, x: xp.squeeze(xp.expand_dims(x, 1))),
    ("moveaxis", lambda xp, x: xp.moveaxis(x, 0, 1)),
    ("swapaxes", lambda xp, x: xp.swapaxes(x, 0, 1)),
    ("split", lambda xp, x: xp.split(x, 3, axis=1)[1]),
    ("reshape", lambda xp, x: xp.reshape(x, (2, 2, 6))),
    ("reshape a part", lambda xp, x: xp.reshape(x[:, 2:4], (4, 2, 1))),
    ("unstack", lambda xp, x: xp.unstack(x)[2]),
]


@pytest.mark.parametrize("chunks", [None, (2, 3)])
@pytest.mark.parametrize(("name", "call"), VIEWS, ids=[name for name, _ in VIEWS])
def test_views_write_through(name: str, call: Call, chunks: Any, tmp_path: Path) -> None:
    expected = numbers(4, 6)
    np.save(tmp_path / "x.npy", expected)
    x = oo.open(tmp_path / "x.npy", "r+", chunks=chunks)
    view = call(oo, x)
    assert isinstance(view.node, StoredNode)
    assert view.writable
    same(view, call(np, expected), name)
    assert tuple(map(sum, view.chunks)) == view.shape
    view[...] = 5
    call(np, expected)[...] = 5
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)


def test_views_of_memory_share_it() -> None:
    array = numbers(4, 6)
    x = oo.from_array(array)
    oo.flip(x.T, 0)[0] = 3
    assert (array[:, -1] == 3).all()


def test_blocks_go_with_their_axes(tmp_path: Path) -> None:
    x = oo.create(tmp_path / "x.npy", (4, 6), chunks=((1, 3), (4, 2)))
    assert x.T.chunks == ((4, 2), (1, 3))
    assert oo.flip(x).chunks == ((3, 1), (2, 4))
    assert oo.expand_dims(x, 0).chunks == ((1,), (1, 3), (4, 2))


def test_a_broadcast_file_is_a_view_for_reading(tmp_path: Path) -> None:
    x = oo.create(tmp_path / "x.npy", (1, 6), fill_value=2)
    view = oo.broadcast_to(x, (3, 4, 6))
    assert isinstance(view.node, StoredNode)
    assert not view.writable
    assert float(view.sum().compute()) == 144
    with pytest.raises(PermissionError):
        view[...] = 1
    assert (np.load(tmp_path / "x.npy") == 2).all()


def test_what_takes_a_copy_is_no_view(tmp_path: Path) -> None:
    x = oo.create(tmp_path / "x.npy", (4, 6))
    assert not isinstance(oo.reshape(x.T, (24,)).node, StoredNode)
    assert not isinstance(oo.reshape(x, (24,), copy=True).node, StoredNode)
    with pytest.raises(ValueError, match="copy"):
        oo.reshape(x.T, (24,), copy=False)


def test_unknown_extents() -> None:
    array = numbers(20)
    x = oo.from_array(array)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        oo.reshape(x[x > 10], (2, -1))
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        oo.flip(x[x > 10])
    some = x[x > 10]
    np.testing.assert_array_equal(oo.expand_dims(some, 0).compute(), array[None, array > 10])
    np.testing.assert_array_equal(oo.reshape(some, -1).compute(), array[array > 10])


def test_lazy_positions_and_conditions() -> None:
    array = numbers(4, 6)
    x = oo.from_array(array, chunks=(2, 3))
    order = np.argsort(array, axis=1, kind="stable")
    same(oo.take_along_axis(x, oo.argsort(x, axis=1), 1), np.take_along_axis(array, order, 1), "")
    same(oo.take(x, oo.from_array(np.array([3, -4])), axis=0), array[[3, -4]], "")
    np.testing.assert_array_equal(oo.extract(x > 5, x).compute(), array[array > 5])
    rows = oo.compress(x[:, 0] > 5, x, axis=0)
    np.testing.assert_array_equal(rows.compute(), array[array[:, 0] > 5])


def test_extract() -> None:
    array = numbers(4, 6)
    mask = array > 5
    np.testing.assert_array_equal(oo.extract(mask, oo.from_array(array)).compute(), array[mask])


def test_extract_by_a_flat_condition() -> None:
    array, mask = numbers(4, 6), np.arange(24) % 5 == 0
    found = oo.extract(mask, oo.from_array(array)).compute()
    np.testing.assert_array_equal(found, np.extract(mask, array))


def test_delete_nothing() -> None:
    array = numbers(4, 6)
    same(oo.delete(oo.from_array(array), [], axis=1), array, "")


@pytest.mark.parametrize("window", [2, 4])
def test_windows(window: int) -> None:
    array = numbers(4, 6)
    x = oo.from_array(array, chunks=(2, 3))
    theirs = np.lib.stride_tricks.sliding_window_view
    same(oo.sliding_window_view(x, window, 0), theirs(array, window, 0), "")
    same(oo.sliding_window_view(x, (2, window)), theirs(array, (2, window)), "")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: oo.reshape(x, (5, 5)), ValueError),
        (lambda x: oo.reshape(x, (-1, -1)), ValueError),
        (lambda x: oo.reshape(x, 24, order="F"), NotImplementedError),
        (lambda x: oo.squeeze(x, 0), ValueError),
        (lambda x: oo.transpose(x, (0,)), ValueError),
        (lambda x: oo.transpose(x, (0, 0)), ValueError),
        (lambda x: oo.broadcast_to(x, (4, 7)), ValueError),
        (lambda x: oo.flip(x, 2), np.exceptions.AxisError),
        (lambda x: oo.concatenate([x, x[:, :2]]), ValueError),
        (lambda x: oo.concatenate([]), ValueError),
        (lambda x: oo.stack([x, x[:2]]), ValueError),
        (lambda x: oo.split(x, 5), ValueError),
        (lambda x: oo.pad(x, 1, "mean"), NotImplementedError),
        (lambda x: oo.pad(x, 1.5), TypeError),
        (lambda x: oo.take(x, 99), IndexError),
        (lambda x: oo.take(x, [1.5]), (TypeError, IndexError)),
        (lambda x: oo.delete(x, 99, axis=0), IndexError),
        (lambda x: oo.insert(x, 99, 1, axis=0), IndexError),
        (lambda x: oo.matrix_transpose(x[0]), ValueError),
        (lambda x: oo.meshgrid(x[0], indexing="yx"), ValueError),
        (lambda x: (x + 1).sort(), TypeError),
    ],
)
def test_refused(call: Callable[[Any], Any], error: Any) -> None:
    with pytest.raises(error):
        call(oo.from_array(numbers(4, 6)))


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_schedulers(scheduler: str, tmp_path: Path) -> None:
    array = numbers(40, 30)
    np.save(tmp_path / "x.npy", array)
    x = oo.open(tmp_path / "x.npy", chunks=(16, 16))
    with oo.options(scheduler=scheduler, workers=2):
        same(oo.flip(x.T, 0), np.flip(array.T, 0), scheduler)
        found = oo.roll(oo.concatenate([x + 1, x.T.reshape(-1, 30)]), 7)
        same(found, np.roll(np.concatenate([array + 1, array.T.reshape(-1, 30)]), 7), scheduler)


def test_methods() -> None:
    array = numbers(4, 6)
    x = oo.from_array(array, chunks=(2, 3))
    same(x.reshape(3, 8), array.reshape(3, 8), "reshape")
    same(x.reshape((3, -1)), array.reshape(3, -1), "reshape of a tuple")
    same(x.transpose(1, 0), array.T, "transpose")
    same(x.mT, array.mT, "mT")
    same(x.ravel(), array.ravel(), "ravel")
    same(x.flatten(), array.flatten(), "flatten")
    same(x.take([1, 2], 1), array.take([1, 2], 1), "take")
    same(x.repeat(2, 0), array.repeat(2, 0), "repeat")
    same(x.astype("i2"), array.astype("i2"), "astype")
    same(x.clip(0, 9), array.clip(0, 9), "clip")
    same(x.diagonal(1), array.diagonal(1), "diagonal")
    same(x.cumsum(1), array.cumsum(1), "cumsum")
    assert (x.device, x.to_device("cpu").shape) == ("cpu", (4, 6))
    copy = x.copy()
    copy[0, 0] = 99
    assert array[0, 0] != 99
