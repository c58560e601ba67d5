"""Arrays in every format that is opened, read by every backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import oocarray as oo

from .inputs import arrays
from .refused import UNREAD

A = arrays()["a"]
Make = Callable[[Path], Any]


def _npy(folder: Path) -> Any:
    np.save(folder / "x.npy", A)
    return oo.open(folder / "x.npy", chunks=(3, 3))


def _without_blocks(folder: Path) -> Any:
    np.save(folder / "x.npy", A)
    return oo.open(folder / "x.npy")


def _fortran(folder: Path) -> Any:
    np.save(folder / "x.npy", np.asfortranarray(A))
    return oo.open(folder / "x.npy", chunks=(3, 3))


def _raw(folder: Path) -> Any:
    (folder / "x.bin").write_bytes(b"header!" + A.astype(">f8").tobytes())
    return oo.open(folder / "x.bin", shape=A.shape, dtype=">f8", offset=7, chunks=(3, 3))


def _joined(folder: Path) -> Any:
    for number, part in enumerate(np.split(A, [2, 3])):
        np.save(folder / f"x{number}.npy", part)
    return oo.open(str(folder / "x*.npy"))


def _stacked(folder: Path) -> Any:
    for number, row in enumerate(A):
        np.save(folder / f"x{number}.npy", row)
    return oo.open(str(folder / "x*.npy"), stack=True)


def _view(folder: Path) -> Any:
    np.save(folder / "x.npy", np.repeat(A, 2, axis=0)[:, ::-1])
    return oo.open(folder / "x.npy", chunks=(3, 3))[::2, ::-1]


def _memmap(folder: Path) -> Any:
    np.save(folder / "x.npy", A.T)
    return oo.from_array(np.load(folder / "x.npy", mmap_mode="r").T, chunks=(3, 3))


def _zarr(**how: Any) -> Make:
    def make(folder: Path) -> Any:
        zarr.create_array(folder / "x.zarr", data=A, **how)
        return oo.open(folder / "x.zarr")

    return make


def _zarr_plain(folder: Path) -> Any:
    zarr.create_array(folder / "x.zarr", data=A, chunks=(3, 3), compressors=None)
    return oo.open(folder / "x.zarr")


def _zarr_view(folder: Path) -> Any:
    zarr.create_array(folder / "x.zarr", data=A.T, chunks=(3, 3))
    return oo.open(folder / "x.zarr").T


def _zarr_holes(folder: Path) -> Any:
    """Chunks that were never written are the fill value."""
    x = zarr.create_array(folder / "x.zarr", shape=(9, 8), chunks=(3, 3), dtype="f8", fill_value=5)
    x[:7] = A
    return oo.open(folder / "x.zarr")[:7]


def _zarr_in_group(folder: Path) -> Any:
    zarr.create_group(folder / "g.zarr").create_array("x", data=A, chunks=(3, 3))
    return oo.open_group(folder / "g.zarr")["x"]


def _zarr_joined(folder: Path) -> Any:
    for number, part in enumerate(np.split(A, [4])):
        zarr.create_array(folder / f"x{number}.zarr", data=part, chunks=(3, 3))
    return oo.concatenate([oo.open(folder / "x0.zarr"), oo.open(folder / "x1.zarr")])


def _hdf5(**how: Any) -> Make:
    def make(folder: Path) -> Any:
        h5py = pytest.importorskip("h5py")
        with h5py.File(folder / "x.h5", "w") as file:
            file.create_dataset("x", data=A, **how)
        return oo.open(folder / "x.h5", dataset="x")

    return make


def _decoded(folder: Path) -> Any:
    """Packed integers, whose scale is an attribute."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "x.h5", "w") as file:
        x = file.create_dataset("x", data=np.arange(56, dtype="i2").reshape(7, 8), chunks=(3, 3))
        x.attrs["scale_factor"], x.attrs["add_offset"] = 0.5, 10.0
    return oo.open(folder / "x.h5", dataset="x", decode=True)


def _netcdf3(folder: Path) -> Any:
    io = pytest.importorskip("scipy.io")
    with io.netcdf_file(folder / "x.nc", "w", version=2) as file:
        file.createDimension("row", 7)
        file.createDimension("column", 8)
        file.createVariable("x", "f8", ("row", "column"))[:] = A
    return oo.open(folder / "x.nc", dataset="x")


def _tiff(folder: Path) -> Any:
    pytest.importorskip("tifffile").imwrite(folder / "x.tif", A)
    return oo.open(folder / "x.tif")


def _fits(folder: Path) -> Any:
    fits = pytest.importorskip("astropy.io.fits")
    fits.writeto(folder / "x.fits", A)
    return oo.open(folder / "x.fits")


def _safetensors(folder: Path) -> Any:
    pytest.importorskip("safetensors.numpy").save_file({"x": A}, folder / "x.safetensors")
    return oo.open(folder / "x.safetensors", dataset="x")


MAKERS: dict[str, Make] = {
    "npy": _npy,
    "npy, blocks not set": _without_blocks,
    "npy in Fortran order": _fortran,
    "raw, big-endian, at an odd byte": _raw,
    "several npy, joined": _joined,
    "several npy, stacked": _stacked,
    "view of a npy": _view,
    "memmap": _memmap,
    "zarr": _zarr(chunks=(3, 3)),
    "zarr, not compressed": _zarr_plain,
    "zarr in shards": _zarr(chunks=(2, 2), shards=(4, 4)),
    "zarr, version 2": _zarr(chunks=(3, 3), zarr_format=2),
    "zarr, version 2, Fortran order": _zarr(chunks=(3, 3), zarr_format=2, order="F"),
    "view of a zarr": _zarr_view,
    "zarr with chunks not written": _zarr_holes,
    "zarr in a group": _zarr_in_group,
    "several zarr, joined": _zarr_joined,
    "hdf5, contiguous": _hdf5(),
    "hdf5, in chunks": _hdf5(chunks=(3, 3)),
    "hdf5, compressed": _hdf5(chunks=(3, 3), compression="gzip", shuffle=True),
    "hdf5, decoded": _decoded,
    "netcdf 3": _netcdf3,
    "tiff": _tiff,
    "fits": _fits,
    "safetensors": _safetensors,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_each_format_is_read_by_each_backend(kind: str, backend: str, tmp_path: Path) -> None:
    x = MAKERS[kind](tmp_path)
    expected = np.arange(56).reshape(7, 8) * 0.5 + 10 if kind == "hdf5, decoded" else A
    if (kind, backend) in UNREAD:
        with pytest.raises(NotImplementedError):
            x.compute()
        return
    found = oo.compute(x, x[1:6, ::-2], x.max(axis=0), x * 2)
    wanted = expected, expected[1:6, ::-2], expected.max(axis=0), expected * 2
    for mine, numpys in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(mine, numpys)
        assert mine.dtype.kind == "f"
    assert found[3].dtype == np.float64
