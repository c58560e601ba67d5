"""Holds arrays made of dask arrays, and of xarray over dask, against what dask computes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray

import oocarray as oo
from oocarray.fromdask import from_dask

DATA = np.arange(60, dtype="f4").reshape(6, 10)
SERIAL = {"scheduler": "serial"}
_asked: list[Any] = []


def lazy(chunks: Any = (4, 3)) -> Any:
    return da.from_array(DATA, chunks=chunks)


def test_blocks_and_results_are_those_of_dask() -> None:
    x = (lazy() + 1).T @ (lazy() * 2)
    y = oo.from_array(x)
    assert (y.chunks, y.dtype, y.shape) == (x.chunks, x.dtype, x.shape)
    np.testing.assert_allclose(y.compute(), x.compute(), rtol=1e-6)
    np.testing.assert_allclose(y.compute(**SERIAL), x.compute(), rtol=1e-6)


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    _asked.clear()
    x = lazy().map_blocks(_noted, dtype="f4", meta=np.empty((0, 0), "f4"))
    y = oo.from_array(x)
    reduced = (y * 2).sum(axis=0)
    assert not _asked
    np.testing.assert_array_equal(reduced.compute(**SERIAL), (DATA * 2).sum(0))
    assert len(_asked) == 8  # each block once


def _noted(block: Any) -> Any:
    _asked.append(block.shape)
    return block


def test_a_dask_expression_is_reduced_and_stored(tmp_path: Path) -> None:
    x = da.stack([lazy(), lazy() - 1]).mean(axis=0)[1:, ::2]
    y = oo.from_array(x)
    expected = (DATA - 0.5)[1:, ::2]
    np.testing.assert_allclose(y.max(axis=1).compute(), expected.max(1))
    y.store(tmp_path / "y.npy")
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected)
    y.store(tmp_path / "y.zarr")
    np.testing.assert_allclose(oo.open(tmp_path / "y.zarr").compute(), expected)
    np.testing.assert_allclose((y + oo.from_array(expected)).compute(), 2 * expected)


def test_a_script_s_own_functions_and_arrays_go_along() -> None:
    big = np.random.default_rng(1).normal(size=(400, 300))
    x = da.from_array(big, chunks=(100, 300)).map_blocks(lambda block: block * big[0])
    np.testing.assert_array_equal(from_dask(x).compute(), big * big[0])


@pytest.mark.parametrize("chunks", [5, (3, 10), ((1, 5), (4, 6)), {0: 2}, (-1, None)])
def test_chunks_are_put_together_anew(chunks: Any) -> None:
    y = oo.from_array(lazy(), chunks=chunks)
    assert y.chunks == oo.from_array(DATA, chunks=(4, 3)).rechunk(chunks).chunks
    np.testing.assert_array_equal(y.compute(**SERIAL), DATA)


def test_auto_leaves_the_blocks_as_they_are() -> None:
    assert oo.from_array(lazy(), chunks="auto").chunks == lazy().chunks


def test_arrays_without_axes_and_without_elements() -> None:
    assert oo.from_array(da.asarray(5.0)).compute(**SERIAL) == 5.0
    assert oo.from_array(da.zeros((0, 3))).compute(**SERIAL).shape == (0, 3)


def test_unknown_sizes_are_refused() -> None:
    x = lazy()
    with pytest.raises(ValueError, match=r"compute_chunk_sizes\(\)"):
        oo.from_array(x[x > 3])
    known = x[x > 3].compute_chunk_sizes()
    np.testing.assert_array_equal(oo.from_array(known).compute(**SERIAL), known.compute())


def test_other_blocks_than_those_of_numpy_are_refused() -> None:
    with pytest.raises(TypeError, match="MaskedArray"):
        oo.from_array(da.ma.masked_less(lazy(), 3))
    with pytest.raises(TypeError, match="object array"):
        oo.from_array(lazy().astype(object))


def test_what_a_cluster_keeps_is_refused() -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.Client(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    ):
        kept = (lazy() + 1).persist()
        distributed.wait(kept)
        for x in (kept, kept * 2 + kept.sum()):
            with pytest.raises(NotImplementedError, match="persisted on a cluster"):
                oo.from_array(x)


def test_what_is_persisted_in_this_process_is_taken() -> None:
    kept = (lazy() + 1).persist(scheduler="synchronous")
    np.testing.assert_array_equal(oo.from_array(kept).compute(), DATA + 1)


@pytest.mark.parametrize("scheduler", ["serial", "processes"])
def test_errors_name_the_block(scheduler: str) -> None:
    x = lazy().map_blocks(_failing, dtype="f4", meta=np.empty((0, 0), "f4"))
    with pytest.raises(KeyError, match="late") as caught:
        oo.from_array(x).compute(scheduler=scheduler)
    assert any("in block (1, 2), region [4:6, 6:9]" in note for note in caught.value.__notes__)


def _failing(block: Any) -> Any:
    if (block == DATA[4, 6]).any():
        raise KeyError("late")
    return block


def test_a_block_that_is_not_what_dask_promised_is_refused() -> None:
    x = lazy().map_blocks(np.float64, dtype="f4", meta=np.empty((0, 0), "f4"))
    with pytest.raises(oo.errors.BlockMismatchError, match=r"for block \(0, 0\)"):
        oo.from_array(x).compute(**SERIAL)


def test_xarray_over_dask_keeps_its_names() -> None:
    x = xarray.DataArray(lazy(), dims=("y", "x"), attrs={"units": "K"})
    y = oo.from_array(x)
    assert (y.dims, dict(y.attrs), y.mode, y.chunks) == (
        ("y", "x"), {"units": "K"}, "r", lazy().chunks,
    )  # fmt: skip
    np.testing.assert_array_equal(y.compute(**SERIAL), DATA)
    other = oo.from_array((x * 2).variable, chunks=(3, 10))
    assert other.chunks == ((3, 3), (10,))
    np.testing.assert_array_equal(other.compute(), DATA * 2)


def test_a_file_that_xarray_reads_by_dask(tmp_path: Path) -> None:
    ds = xarray.Dataset({"t": (("y", "x"), DATA)})
    ds.t.encoding.update(scale_factor=0.5, dtype="i2", _FillValue=-1)
    ds.to_netcdf(tmp_path / "x.nc", engine="netcdf4")
    with xarray.open_dataset(tmp_path / "x.nc", engine="netcdf4", chunks={"y": 4}) as opened:
        y = oo.from_array(opened.t)
        assert y.numblocks[0] == 2
        np.testing.assert_array_equal(y.compute(**SERIAL), DATA)
        np.testing.assert_array_equal(y.sum(axis=0).compute(), DATA.sum(0))


def test_blocks_in_two_threads_leave_dask_s_settings_alone() -> None:
    entered, leave = threading.Event(), threading.Event()
    schedulers: list[Any] = []

    def first(block: Any) -> Any:
        entered.set()
        assert leave.wait(30)
        schedulers.append(dask.config.get("scheduler", None))
        return block

    def second(block: Any) -> Any:
        leave.set()
        one.join(30)
        schedulers.append(dask.config.get("scheduler", None))
        return block

    before = dask.config.get("scheduler", None)
    one, other = (
        threading.Thread(
            target=oo.from_array(da.ones(2).map_blocks(f, meta=np.ones(0))).compute, kwargs=SERIAL
        )
        for f in (first, second)
    )
    one.start()
    assert entered.wait(30)
    other.start()
    other.join(30)
    # What tasks compute themselves starts no threads, as long as one of them runs.
    assert schedulers == ["synchronous", "synchronous"]
    assert dask.config.get("scheduler", None) == before
