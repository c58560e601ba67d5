"""Files of other programs, told by their first bytes, each with its opener; it parses none itself.

Adding a format is adding a row to `_FORMATS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from oocarray.storage.files import PathLike, open_regular
from oocarray.storage.fits import list_fits, open_fits
from oocarray.storage.hdf5 import hdf5_attributes, list_hdf5, open_hdf5
from oocarray.storage.listing import Entry, choose
from oocarray.storage.netcdf3 import list_netcdf3, netcdf3_attributes, open_netcdf3
from oocarray.storage.opened import Opened
from oocarray.storage.safetensors import MAX_HEADER, list_safetensors, open_safetensors
from oocarray.storage.tiff import list_tiff, open_tiff

__all__ = ["container_attributes", "kind_of", "list_container", "open_container"]


class _Format(NamedTuple):
    magic: tuple[bytes, ...]
    places: tuple[int, ...]
    """Bytes of the file where one of them may be."""
    open: Callable[[PathLike, str, bool], Opened]
    list: Callable[[PathLike], dict[str, Entry]]
    attributes: Callable[[PathLike, str], dict[str, Any]] = lambda path, group: {}
    """Of the file, or of a group in it."""


# A user block of 512 bytes, or a power of two more, may come before HDF5.  Those that exist are
# small (MATLAB's has 512); looking everywhere would read a cold disk thirty times.
_HDF5_PLACES = (0, *(512 << power for power in range(8)))

_FORMATS = {
    "netcdf3": _Format(
        (b"CDF\x01", b"CDF\x02", b"CDF\x05"), (0,), open_netcdf3, list_netcdf3, netcdf3_attributes
    ),
    "tiff": _Format((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), (0,), open_tiff, list_tiff),
    "fits": _Format((b"SIMPLE  =",), (0,), open_fits, list_fits),
    "safetensors": _Format((), (), open_safetensors, list_safetensors),
    "hdf5": _Format((b"\x89HDF\r\n\x1a\n",), _HDF5_PLACES, open_hdf5, list_hdf5, hdf5_attributes),
}


def kind_of(path: PathLike) -> str | None:
    """Tell by content which container a file is.

    Returns
    -------
    str or None
        ``"hdf5"`` (NetCDF-4 too), ``"netcdf3"``, ``"tiff"``, ``"fits"``, ``"safetensors"``; None
        when it is none of these.

    Raises
    ------
    NotRegularFileError, OSError
        As :func:`open_regular`.
    """
    fd = open_regular(path)
    try:
        size = os.fstat(fd).st_size
        for name, known in _FORMATS.items():
            if any(
                os.pread(fd, len(magic), at) == magic
                for at in known.places
                if at < size
                for magic in known.magic
            ):
                return name
            if name == "safetensors" and _like_safetensors(os.pread(fd, 10, 0), size, path):
                return name
        return None
    finally:
        os.close(fd)


def _like_safetensors(head: bytes, size: int, path: PathLike) -> bool:
    """That format has no magic: a length that fits, and the beginning of a JSON object."""
    if head[8:9] == b"{" and os.fspath(path).endswith(".safetensors"):
        return True
    length = int.from_bytes(head[:8], "little")
    return head[8:] in (b'{"', b"{}") and length <= min(MAX_HEADER, size - 8)


def list_container(path: PathLike) -> dict[str, Entry]:
    """Return the arrays of a file: shape, dtype and names of the axes, by name.

    Raises
    ------
    ValueError
        It is no container; see `kind_of`.
    FormatError, TruncatedFileError, ArrayLockedError, OSError, ImportError
        As its opener.
    """
    return _format(path).list(path)


def container_attributes(path: PathLike, group: str = "") -> dict[str, Any]:
    """Return what a file says of itself, or of a group in it; nothing, if its format has no place.

    Raises
    ------
    ValueError, FormatError, TruncatedFileError, ArrayLockedError, OSError, ImportError
        As `list_container`.
    """
    return _format(path).attributes(path, group)


def open_container(path: PathLike, dataset: str | int | None = None, mode: str = "r") -> Opened:
    """Return where an array of a file lies, and what the file says of it.

    Parameters
    ----------
    path : path-like
        HDF5, NetCDF, TIFF, FITS or safetensors.
    dataset : str or int, optional
        Which of its arrays: the path of a dataset, a variable, a tensor, the number of a series
        of images, the name or number of an HDU.  By default the only one.
    mode : {"r", "r+"}
        Whether its elements will be changed in place.

    Raises
    ------
    FormatError
        The bytes are wrong; which array is meant is not clear, and the message lists them; it
        cannot be changed in place.
    TruncatedFileError, DtypeError, ArrayLockedError, NotRegularFileError, OSError, ImportError
        The file ends early; no dtype for it; in use; no such file; the library is not installed.
    ValueError
        A bad mode, or no container.
    """
    if mode not in ("r", "r+"):
        raise ValueError(f"mode is 'r' or 'r+', not {mode!r}")
    known = _format(path)
    name = None if dataset is None else str(dataset)
    if name is None or known.open not in (open_hdf5, open_fits):
        # Those two know more names than they list: links, and numbers beside names.
        name = choose(os.path.abspath(os.fspath(path)), known.list(path), name)
    return known.open(path, name, mode == "r+")


def _format(path: PathLike) -> _Format:
    kind = kind_of(path)
    if kind is None:
        raise ValueError(
            f"{os.fspath(path)} is not HDF5, NetCDF, TIFF, FITS or safetensors; its first bytes "
            "are those of another format, or of none"
        )
    return _FORMATS[kind]
