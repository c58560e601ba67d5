"""Holds what dask makes of selections, and of blocks that somebody else owns, against NumPy."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray.backends.dasked import given
from oocarray.backends.dasked.reading import MemoryReader
from oocarray.backends.dasked.translate import to_dask
from oocarray.plan import Options

pytest.importorskip("dask.array")

SERIAL = Options(scheduler="serial", progress=False)
LINE = np.arange(100.0)
TABLE = np.arange(40.0).reshape(10, 4)
REDUCTIONS = ("sum", "prod", "mean", "var", "std", "min", "max", "argmin", "argmax", "any", "all")
NAN_REDUCTIONS = ("nansum", "nanmean", "nanvar", "nanstd", "nanmin", "nanmax", "nanargmax")


def by_dask(x: oo.Array) -> Any:
    # Compared before any other backend counts the selection, which its copies would know of.
    return x.compute(backend="dask", scheduler="serial", progress=False)


def same(x: oo.Array, wanted: Any) -> None:
    found = by_dask(x)
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def rows(least: float = 20.0) -> tuple[oo.Array, Any]:
    """Rows of a table, of which some blocks have none."""
    y = oo.from_array(TABLE, chunks=(2, 2))
    return y[y[:, 0] >= least], TABLE[TABLE[:, 0] >= least]


# ---- reductions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*REDUCTIONS, *NAN_REDUCTIONS])
def test_reductions_take_no_notice_of_blocks_without_elements(name: str) -> None:
    x = oo.from_array(LINE, chunks=10)
    same(getattr(oo, name)(x[x >= 50]), getattr(np, name)(LINE[LINE >= 50]))


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("name", [*REDUCTIONS, *NAN_REDUCTIONS, "count_nonzero"])
def test_reductions_of_selected_rows(name: str, axis: int | None) -> None:
    x, wanted = rows()
    same(getattr(oo, name)(x, axis=axis), np.asarray(getattr(np, name)(wanted, axis=axis)))


def test_histogram_of_selected_rows() -> None:
    x, wanted = rows()
    counts = oo.histogram(x, bins=4, range=(0.0, 100.0))[0]
    same(counts, np.histogram(wanted, bins=4, range=(0.0, 100.0))[0])


def test_deviation_from_the_mean_of_each_selected_row() -> None:
    x, wanted = rows()
    same(x - x.mean(axis=1, keepdims=True), wanted - wanted.mean(axis=1, keepdims=True))


@pytest.mark.parametrize("name", ["max", "argmax"])
def test_nothing_selected_at_all_has_no_largest(name: str) -> None:
    x, _ = rows(1000.0)
    with pytest.raises(ValueError, match=r"empty|zero-size"):
        by_dask(getattr(x, name)())
    same(x.sum(axis=0), np.zeros(4))


@pytest.mark.parametrize("name", ["sum", "mean", "max"])
def test_what_dask_can_do_itself_is_not_counted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "computed", lambda *_: pytest.fail("computed"))
    x = oo.from_array(LINE, chunks=10)
    to_dask(getattr(x[x >= 50], name)().node, SERIAL)


# ---- selections of selections, and with each other ----------------------------------------------


def test_mask_of_all_axes_selects_rows_in_their_order() -> None:
    x, wanted = rows()
    same(x[x % 3 > 0], wanted[wanted % 3 > 0])


def test_positions_of_true_elements_of_a_selection() -> None:
    x, wanted = rows()
    for found, true in zip(oo.nonzero(x % 3), np.nonzero(wanted % 3), strict=True):
        same(found, true)
    line = oo.from_array(LINE, chunks=10)
    same(oo.nonzero(line[line >= 50] > 60)[0], np.nonzero(LINE[LINE >= 50] > 60)[0])


A = np.array([1.0, -1, 2, 3, -5, 6, 7, 8, 9, 1, 2, -3])
B = np.arange(12.0)


@pytest.mark.parametrize("other", [3, 4, 12, 5])
def test_two_selections_by_one_mask_meet_whatever_their_blocks(other: int) -> None:
    x, z = oo.from_array(A, chunks=4), oo.from_array(B, chunks=other)
    m, mask = x > 0, A > 0
    same(x[m] + z[m], A[mask] + B[mask])
    same(oo.where(x[m] > 2, z[m], 0.0), np.where(A[mask] > 2, B[mask], 0.0))
    same(x[m][z[m] > 2], A[mask][B[mask] > 2])


def test_as_many_blocks_with_other_counts_are_not_broadcast() -> None:
    a = np.array([1.0, -1, -1, 1, 1, 1])
    x, z = oo.from_array(a, chunks=((2, 4),)), oo.from_array(a, chunks=((4, 2),))
    m = x > 0
    same(x.rechunk((2, 4))[m.rechunk(((2, 4),))] + z[z > 0], np.full(4, 2.0))


def test_selections_by_two_masks_of_as_many_elements() -> None:
    x = oo.from_array(A, chunks=4)
    same(x[x > 6] * x[x < 0], A[A > 6] * A[A < 0])


def test_a_selection_beside_one_that_was_counted() -> None:
    x, wanted = rows()
    same(x - x.std(axis=0) + x.max(axis=1)[:, None], _spread(wanted))


def _spread(x: Any) -> Any:
    return x - x.std(axis=0) + x.max(axis=1)[:, None]


def test_rows_and_columns_selected_and_turned() -> None:
    y = oo.from_array(TABLE[:4], chunks=(1, 3))
    keep = np.array([True, False, True, True])
    lazy = oo.from_array(keep.astype("u1"), chunks=2) > 0
    x, wanted = y[lazy][:, lazy], TABLE[:4][keep][:, keep]
    same(x + x.T, wanted + wanted.T)


def test_selections_that_are_cut_alike_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "computed", lambda *_: pytest.fail("computed"))
    x, z = oo.from_array(A, chunks=4), oo.from_array(B, chunks=4)
    m = x > 0
    to_dask((x[m] * 2 + x[m] - z[m]).node, SERIAL)


def test_many_sums_of_a_selection_with_itself_take_no_time() -> None:
    x = oo.from_array(A, chunks=4)
    v, wanted = x[x > 0], A[A > 0]
    for _ in range(40):
        v, wanted = v + v, wanted + wanted
    same(v, wanted)


# ---- pad, diff ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "wrap", "edge", "constant"])
@pytest.mark.parametrize("width", [3, 4, 5, 6, 13, (0, 9), (9, 1)])
def test_pads_wider_than_the_axis(mode: Any, width: Any) -> None:
    same(oo.pad(oo.from_array(np.arange(4), chunks=3), width, mode=mode), _padded(mode, width, 4))


def _padded(mode: Any, width: Any, count: int) -> Any:
    return np.pad(np.arange(count), width, mode=mode)


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "wrap"])
def test_pads_wider_than_some_axes(mode: Any) -> None:
    widths = ((2, 1), (9, 0), (0, 5))
    a = np.arange(40).reshape(10, 4, 1)
    same(oo.pad(oo.from_array(a, chunks=(3, 3, 1)), widths, mode=mode), np.pad(a, widths, mode))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 9])
def test_differences_of_booleans_tell_where_they_change(n: int, axis: int) -> None:
    a = TABLE % 3 > 0
    same(oo.diff(oo.from_array(a, chunks=(3, 2)), n=n, axis=axis), np.diff(a, n=n, axis=axis))


# ---- whose a block is ---------------------------------------------------------------------------


def test_no_function_changes_an_array_of_the_caller() -> None:
    def function(block: Any) -> Any:
        block += 1
        return block

    a = np.zeros(8)
    x = oo.from_array(a).map_blocks(function, dtype="f8")
    with pytest.raises(ValueError, match="read-only"):
        by_dask(x)
    assert not a.any()
    assert a.flags.writeable


@pytest.mark.parametrize("name", ["a.zarr", "a.npy"])
def test_no_function_changes_what_others_read(tmp_path: Path, name: str) -> None:
    def function(block: Any) -> Any:
        block += 1
        return block

    x = oo.from_array(np.zeros(8)).store(tmp_path / name)
    with pytest.raises(ValueError, match="read-only"):
        by_dask(x.map_blocks(function, dtype="f8") + x)


@pytest.mark.parametrize("array", [np.arange(6.0), np.array(3.0), np.array((1, 2), "i4,i4")])
def test_views_of_memory_are_read_only(array: Any) -> None:
    found = MemoryReader(array)[(slice(0, 4),) * array.ndim]
    assert isinstance(found, np.ndarray)
    assert np.shares_memory(found, array)
    assert not found.flags.writeable
    assert array.flags.writeable
    np.testing.assert_array_equal(by_dask(oo.from_array(array)), array)


@pytest.mark.parametrize("function", [operator.itemgetter(2), operator.itemgetter(slice(1, 3))])
def test_parts_of_memory(function: Callable[[Any], Any]) -> None:
    same(function(oo.from_array(LINE)), np.asarray(function(LINE)))


# ---- names --------------------------------------------------------------------------------------


def test_names_of_zarr_arrays_hold_for_one_translation(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    stored = zarr.create_array(tmp_path / "a.zarr", shape=(40,), chunks=(10,), dtype="f8")
    stored[:] = 1
    x = oo.open(tmp_path / "a.zarr")
    before = x.to_dask()
    stored[:] = 2
    after = x.to_dask()
    assert before.name != after.name
    assert not set(before.__dask_graph__()) & set(after.__dask_graph__())


def test_one_graph_reads_a_zarr_array_once(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    stored = zarr.create_array(tmp_path / "a.zarr", shape=(40,), chunks=(40,), dtype="f8")
    stored[:] = 1
    twice = oo.open(tmp_path / "a.zarr") + oo.open(tmp_path / "a.zarr")
    names = [name for name in twice.to_dask().dask.layers if name.startswith("ZarrReader-")]
    assert len(names) == 1
