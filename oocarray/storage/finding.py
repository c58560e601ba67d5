"""Tells by content what a file or folder is, and opens the array in it; changes nothing.

Which formats there are stands here and in `containers`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from oocarray.errors import FormatError
from oocarray.storage.files import PathLike, open_npy, open_regular
from oocarray.storage.npy import MAGIC
from oocarray.storage.opened import Opened
from oocarray.storage.zarrgroups import is_zarr, split_path

__all__ = ["attributes", "find", "names_in", "sniff"]


def sniff(path: PathLike) -> str:
    """Tell by content what is there.

    Returns
    -------
    str
        ``"npy"``, ``"zarr"``, ``"hdf5"``, ``"netcdf3"``, ``"tiff"``, ``"fits"``,
        ``"safetensors"``, or ``"raw"`` when nothing says what it is.

    Raises
    ------
    NotRegularFileError, OSError
        As :func:`open_regular`; a folder that holds no Zarr.
    """
    if not os.path.isfile(path) and _in_zarr(path):
        return "zarr"
    fd = open_regular(path)
    try:
        if os.pread(fd, len(MAGIC), 0) == MAGIC:
            return "npy"
    finally:
        os.close(fd)
    from oocarray.storage.containers import kind_of

    return kind_of(path) or "raw"


def _in_zarr(path: PathLike) -> bool:
    """Whether a path is a folder of Zarr, or the name of something in one."""
    if is_zarr(path):
        return True
    root, inside = split_path(path)
    return bool(inside) and is_zarr(root)


def find(path: PathLike, dataset: str | None = None, mode: str = "r") -> Opened:
    """Return where an array lies, and what its file says of it.

    Parameters
    ----------
    path : path-like
    dataset : str, optional
        Which array of a file or folder that may have several.
    mode : {"r", "r+"}
        Whether its elements will be changed in place.

    Raises
    ------
    FormatError
        Nothing says what it is; what says so is wrong; or several arrays, and no dataset.
    TruncatedFileError, DtypeError, NotRegularFileError, ArrayLockedError, OSError, ImportError
        The file cannot be opened as asked.
    TypeError
        A dataset of a file that has one array.
    """
    kind = sniff(path)
    if kind == "zarr":
        from oocarray.storage.zarr import open_zarr_array

        return open_zarr_array(path, dataset)
    if kind == "npy":
        if dataset is not None:
            raise TypeError(f"{os.fspath(path)} is an .npy file, of one array; leave out dataset=")
        return Opened(open_npy(path, mode), ".npy")
    if kind == "raw":
        raise FormatError(
            f"{os.fspath(path)} is in no format known here (.npy, Zarr, HDF5, NetCDF, TIFF, FITS, "
            "safetensors); to open it as raw bytes give shape= and dtype="
        )
    from oocarray.storage.containers import open_container

    return open_container(path, dataset, mode)


def names_in(path: PathLike) -> dict[str, str]:
    """Return the arrays of a Zarr group, or of a file that may have several, with what they are.

    Raises
    ------
    FormatError
        It has one array at most by its format, or is one.
    OSError
    """
    kind = sniff(path)
    if kind == "zarr":
        from oocarray.storage.zarrgroups import list_arrays

        return {name: str(one) for name, one in list_arrays(os.fspath(path)).items()}
    if kind in ("npy", "raw"):
        raise FormatError(f"{os.fspath(path)} is no group of arrays; oocarray.open opens it")
    from oocarray.storage.containers import list_container

    return {
        name: f"{shape} {dtype}" + (f" {dims}" if dims else "")
        for name, (shape, dtype, dims) in list_container(path).items()
    }


def attributes(path: PathLike) -> Mapping[str, Any]:
    """Return what a group says of itself; nothing, where its format has no place for that."""
    if sniff(path) != "zarr":
        return {}
    from oocarray.storage.zarrgroups import group_attributes

    return group_attributes(path)
