"""Holds arrays of zarr-python, h5py and xarray against what those libraries read themselves."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray
import zarr
from zarr.storage import MemoryStore, ZipStore

import oocarray as oo
from oocarray.errors import ArrayLockedError
from oocarray.lazy.expr import MemoryNode, StoredNode

SERIAL = {"scheduler": "serial"}
DATA = np.arange(60, dtype="f4").reshape(6, 10)


def got(array: oo.Array) -> np.ndarray:
    return np.asarray(array.compute(**SERIAL))


def same(array: oo.Array, expected: Any) -> None:
    found = got(array)
    expected = np.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(found, expected)


# ---- zarr-python ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("compressors", [None, "auto"])
def test_a_zarr_array_is_its_folder(tmp_path: Path, version: int, compressors: Any) -> None:
    z = zarr.create_array(
        tmp_path / "x.zarr", data=DATA, chunks=(4, 3), zarr_format=version, compressors=compressors,
        attributes={"units": "K"},
    )  # fmt: skip
    x = oo.from_array(z)
    same(x, DATA)
    assert isinstance(x.node, StoredNode)
    assert x.mode == ("r+" if compressors is None else "r")
    assert x.attrs["units"] == "K"
    assert x.layout.path == str(tmp_path / "x.zarr")
    assert oo.from_array(zarr.open_array(tmp_path / "x.zarr", mode="r")).mode == "r"


def test_a_zarr_array_in_groups_and_in_shards(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # the store has a relative name
    group = zarr.create_group("ds.zarr")
    z = group.create_array(
        "a/t", shape=(6, 10), dtype="f4", chunks=(2, 5), shards=(4, 10), compressors=None,
        dimension_names=("y", "x"),
    )  # fmt: skip
    z[...] = DATA
    x = oo.from_array(z, chunks=(3, 10))
    assert (x.dims, x.numblocks, x.mode) == (("y", "x"), (2, 1), "r+")
    x[0] = 7
    assert (z[0] == 7).all()
    z[1] = 8
    assert (got(x)[1] == 8).all()
    monkeypatch.chdir("/")
    same(pickle.loads(pickle.dumps(x)), z_of(tmp_path)[...])


def z_of(folder: Path) -> Any:
    return zarr.open_array(folder / "ds.zarr", path="a/t", mode="r")


def test_what_zarr_has_elsewhere_is_refused_with_advice(tmp_path: Path) -> None:
    z = zarr.create_array(MemoryStore(), data=DATA)
    with pytest.raises(NotImplementedError, match=r"MemoryStore.*pass x\[\.\.\.\]"):
        oo.from_array(z)
    same(oo.from_array(z[...]), DATA)
    with ZipStore(tmp_path / "x.zip", mode="w") as store:
        z = zarr.create_array(store, data=DATA)
        with pytest.raises(NotImplementedError, match=r"ZipStore.*unpack"):
            oo.from_array(z)


def test_a_zarr_array_can_be_an_operand(tmp_path: Path) -> None:
    z = zarr.create_array(tmp_path / "x.zarr", data=DATA, chunks=(4, 3))
    x = oo.from_array(DATA) + oo.from_array(z)
    same(x, DATA * 2)
    assert float(oo.sum(z).compute(**SERIAL)) == DATA.sum()


# ---- h5py ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("mode", ["r", "r+"])
@pytest.mark.parametrize("how", [{}, {"chunks": (4, 3), "compression": "gzip"}])
def test_a_dataset_of_h5py_is_its_place(tmp_path: Path, mode: str, how: Any) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a/t", data=DATA, **how).attrs["units"] = "K"
    with h5py.File(tmp_path / "x.h5", mode) as file:
        if mode == "r+":
            file["a/t"][0, 0] = 99  # what is not on the disk yet counts
        x = oo.from_array(file["a"]["t"], chunks=(3, 10))
        assert (x.mode, x.attrs["units"], x.numblocks) == ("r", "K", (2, 1))
        if mode == "r":
            same(x, file["a/t"][...])
        else:
            with pytest.raises(ArrayLockedError):
                x.compute(**SERIAL)
    same(x, np.where((DATA == 0) & (mode == "r+"), np.float32(99), DATA))


@pytest.mark.usefixtures("no_leaks")
def test_other_files_of_h5py_are_refused_with_advice(tmp_path: Path) -> None:
    with h5py.File("nowhere.h5", "w", driver="core", backing_store=False) as file:
        file["t"] = DATA
        with pytest.raises(NotImplementedError, match=r"driver 'core'.*pass x\[\.\.\.\]"):
            oo.from_array(file["t"])
        nameless = file.create_dataset(None, data=DATA)
        with pytest.raises(NotImplementedError, match="has no name"):
            oo.from_array(nameless)
        t = file["t"]
    with pytest.raises(ValueError, match="closed"):
        oo.from_array(t)


# ---- xarray --------------------------------------------------------------------------------------


def dataset(**encoding: Any) -> xarray.Dataset:
    ds = xarray.Dataset({"t": (("y", "x"), DATA, {"units": "K"})}, coords={"x": np.arange(10) / 2})
    ds.t.encoding.update(encoding)
    return ds


def written(path: Path, engine: str, **encoding: Any) -> xarray.Dataset:
    if engine == "zarr":
        dataset(**encoding).to_zarr(path, zarr_format=3, consolidated=False)
        return xarray.open_dataset(path, engine="zarr", consolidated=False)
    dataset(**encoding).to_netcdf(path, engine=engine)
    return xarray.open_dataset(path, engine=engine)


@pytest.mark.parametrize("engine", ["zarr", "netcdf4", "scipy"])
def test_what_xarray_has_not_read_is_the_stored_array(tmp_path: Path, engine: str) -> None:
    with written(tmp_path / "ds", engine) as ds:
        for thing in (ds.t, ds.t.variable):
            x = oo.from_array(thing, chunks=(3, 10))
            assert (x.dims, dict(x.attrs), x.mode) == (("y", "x"), {"units": "K"}, "r")
            assert x.numblocks == (2, 1)
        assert not ds.t.variable._in_memory
        renamed = oo.from_array(ds.t.rename(y="row").assign_attrs(more=1))
        assert (renamed.dims, renamed.attrs["more"]) == (("row", "x"), 1)
        expected = ds.t.values
    same(x, expected.astype(x.dtype))  # NetCDF-3 has the other byte order
    same(renamed, expected.astype(x.dtype))
    assert x.dtype.newbyteorder("=") == expected.dtype


@pytest.mark.parametrize("engine", ["zarr", "netcdf4"])
@pytest.mark.parametrize("key", [np.s_[1:5, ::-2], np.s_[2], np.s_[:, -1], np.s_[::2, 3:4]])
def test_slices_that_xarray_remembers_are_kept(tmp_path: Path, engine: str, key: Any) -> None:
    with written(tmp_path / "ds", engine) as ds:
        part = ds.t[key]
        x = oo.from_array(part)
        assert x.dims == part.dims
        twice = oo.from_array(part[1:])
        same(twice, part[1:].values)
        same(x, part.values)


@pytest.mark.parametrize("engine", ["zarr", "netcdf4", "scipy"])
@pytest.mark.parametrize(
    "encoding",
    [
        {"dtype": "i2", "scale_factor": 0.5, "add_offset": 3.0, "_FillValue": -1},
        {"dtype": "i2", "scale_factor": np.float32(0.25), "_FillValue": -1},
        {"_FillValue": np.float32(-1)},
        {"dtype": "i2", "_FillValue": 7},
    ],
)
def test_what_xarray_decodes_is_decoded(tmp_path: Path, engine: str, encoding: Any) -> None:
    with written(tmp_path / "ds", engine, **encoding) as ds:
        x = oo.from_array(ds.t[1:])
        assert not ds.t.variable._in_memory
        assert "scale_factor" not in x.attrs
        expected = ds.t[1:].values
    assert x.dtype == expected.dtype
    np.testing.assert_allclose(got(x), expected, rtol=1e-6)


@pytest.mark.usefixtures("no_leaks")
def test_a_group_of_netcdf(tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "x.nc", "w") as file:
        group = file.createGroup("in")
        group.createDimension("y", 3)
        group.createVariable("t", ">i4", ("y",), fill_value=False, endian="big")[:] = [1, 2, 3]
    with xarray.open_dataset(tmp_path / "x.nc", engine="netcdf4", group="in") as ds:
        same(oo.from_array(ds.t), np.array([1, 2, 3], ">i4"))


def test_what_lies_in_memory_is_not_copied(tmp_path: Path) -> None:
    ds = dataset()
    x = oo.from_array(ds.t, chunks=(3, 10))
    assert isinstance(x.node, MemoryNode)
    assert np.shares_memory(x.node.array, ds.t.values)
    assert (x.dims, x.attrs["units"], x.numblocks) == (("y", "x"), "K", (2, 1))
    same(x, DATA)
    same(oo.from_array(ds.x), np.arange(10) / 2)
    same(oo.from_array(ds.t + 1), DATA + 1)
    with written(tmp_path / "ds.nc", "netcdf4") as ds:
        held = ds.t.values  # reads, and keeps
        x = oo.from_array(ds.t)
        assert np.shares_memory(x.node.array, held)
        assert np.shares_memory(oo.from_array(ds.t[1:]).node.array, held)
    np.save(tmp_path / "x.npy", DATA)
    mapped = xarray.DataArray(np.load(tmp_path / "x.npy", mmap_mode="r"), dims=("a", "b"))
    x = oo.from_array(mapped)
    assert isinstance(x.node, StoredNode)
    assert x.dims == ("a", "b")
    del mapped


def test_attributes_that_are_no_values_are_left_out() -> None:
    x = oo.from_array(xarray.DataArray(DATA, attrs={"a": np.float32(2), "b": object()}))
    assert dict(x.attrs) == {"a": 2.0}
    assert x.dims == ("dim_0", "dim_1")


def test_what_xarray_makes_otherwise_is_refused_with_advice(tmp_path: Path) -> None:
    ds = xarray.Dataset(
        {
            "when": ("y", np.array(["2020-01-01", "2020-01-02"], "M8[ns]")),
            "flag": ("y", np.array([True, False])),
            "t": (("y", "x"), np.zeros((2, 3))),
        }
    )
    ds.to_netcdf(tmp_path / "x.nc", engine="netcdf4")
    with xarray.open_dataset(tmp_path / "x.nc", engine="netcdf4") as ds:
        advice = r"oo\.open.*dataset=.*x\.load\(\)"
        for part in (ds.when, ds.flag, ds.t.T, ds.t[:, [0, 2]], ds.t[:, [2, 0]][1:]):
            with pytest.raises(NotImplementedError, match=advice):
                oo.from_array(part)
            assert not part.variable._in_memory
            same(oo.from_array(part.load()), part.values)
        same(oo.from_array(ds.chunk().t), np.zeros((2, 3)))


# ---- others --------------------------------------------------------------------------------------


def test_groups_are_no_arrays(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for thing in (file, dataset(), zarr.create_group(tmp_path / "g.zarr")):
            with pytest.raises(TypeError, match=r"group of arrays.*oo\.open_group"):
                oo.from_array(thing)


def test_nothing_is_imported_for_arrays_of_numpy() -> None:
    script = (
        "import sys, numpy as np, oocarray as oo\n"
        "oo.from_array([1, 2]), oo.from_array(np.zeros(3))\n"
        "print([name for name in ('zarr', 'h5py', 'xarray', 'dask') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_no_elements_are_read(tmp_path: Path, monkeypatch) -> None:
    z = zarr.create_array(tmp_path / "x.zarr", data=DATA, chunks=(4, 3))
    monkeypatch.setattr(type(z), "__getitem__", never)
    monkeypatch.setattr(type(z), "__array__", never)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", never)
    monkeypatch.setattr(h5py.Dataset, "__array__", never)
    oo.from_array(z)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["t"] = DATA
        oo.from_array(file["t"])


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("elements were read")
