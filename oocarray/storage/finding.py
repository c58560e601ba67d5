"""Tells by content what a file or folder is, and opens the array in it; changes nothing.

Which formats there are stands here and in `containers`.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Mapping
from typing import Any

from oocarray.errors import FormatError, NotRegularFileError
from oocarray.storage.files import PathLike, open_npy, open_regular
from oocarray.storage.npy import MAGIC
from oocarray.storage.opened import Opened

__all__ = ["attributes", "find", "names_in", "sniff"]

_MOST_LOOKED_AT = 16
"""Names in a folder, of which there may be a million."""


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
    if not os.path.isfile(path):
        if _in_zarr(path):
            return "zarr"
        _refuse_way(os.fspath(path))
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
    from oocarray.storage.zarrgroups import is_zarr, split_path

    if is_zarr(path):
        return True
    root, inside = split_path(path)
    return bool(inside) and is_zarr(root)


def _refuse_way(path: str) -> None:
    """Say of what is no file and no Zarr what it is; of what is not there nothing."""
    if os.path.isdir(path):
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in itertools.islice(entries, _MOST_LOOKED_AT))
        if not names:
            holds = "is a directory, and empty: there is no array in it"
        else:
            first, pattern = os.path.join(path, names[0]), os.path.join(path, "*.npy")
            holds = (
                "is a directory without zarr.json, .zarray or .zgroup, so no Zarr; name what "
                f"is in it, such as {first!r}, or several by a pattern, such as {pattern!r}"
            )
        raise NotRegularFileError(f"{path} {holds}")
    file, inside = path, ""
    while file and not os.path.lexists(file):
        file, name = os.path.split(file)
        inside = f"{name}/{inside}".strip("/")
    if os.path.isfile(file):
        advice = (
            f"pass dataset={inside!r} if it holds an array of that name"
            if inside
            else "leave out the slash at the end"
        )
        raise NotADirectoryError(errno.ENOTDIR, f"{file} is a file, not a folder; {advice}", path)


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

        found = open_zarr_array(path, dataset)
        if mode != "r":
            _refuse_unwritable(os.path.dirname(found.place.file.path))
        return found
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


def _refuse_unwritable(folder: str) -> None:
    """Refuse a folder in which nothing may be written: neither new files nor those that are there.

    Where something may be, the chunks tell when they are stored.
    """
    with os.scandir(folder) as entries:
        there = [entry.path for entry in itertools.islice(entries, _MOST_LOOKED_AT)]
    if not any(os.access(path, os.W_OK, effective_ids=True) for path in (folder, *there)):
        raise PermissionError(
            errno.EACCES, 'its files may not be written by this user; open it with mode="r"', folder
        )


def names_in(path: PathLike) -> dict[str, str]:
    """Return the arrays of a Zarr group, or of a file that may have several, with what they are.

    Raises
    ------
    FormatError
        It has one array at most by its format; there is no such group.
    OSError
    """
    kind = sniff(path)
    if kind == "zarr":
        from oocarray.storage.zarrgroups import is_zarr, list_arrays, split_path

        if not is_zarr(path):
            root, inside = split_path(path)
            raise FormatError(f"{root} has no group {inside!r}; name another, or {root} alone")
        return {name: str(one) for name, one in list_arrays(os.fspath(path)).items()}
    if kind in ("npy", "raw"):
        raise FormatError(f"{os.fspath(path)} is no group of arrays; oocarray.open opens it")
    from oocarray.storage.containers import list_container

    return {
        name: f"{shape} {dtype}" + (f" {dims}" if dims else "")
        for name, (shape, dtype, dims) in list_container(path).items()
    }


def attributes(path: PathLike, group: str = "") -> Mapping[str, Any]:
    """Return what a file or folder says of itself, or of a group in it.

    Returns
    -------
    mapping
        Nothing, where the format has no place for it.

    Raises
    ------
    FormatError
        There is no such group, or what says so is wrong.
    OSError, ImportError
    """
    kind = sniff(path)
    if kind == "zarr":
        from oocarray.storage.zarrgroups import group_attributes

        return group_attributes(os.path.join(path, group) if group else path)
    if kind in ("npy", "raw"):
        return {}
    from oocarray.storage.containers import container_attributes

    return container_attributes(path, group)
