"""Creating arrays: complete new files, opened for writing; what is there is kept unless asked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from .core import Array
from .lazy.expr import MemoryNode, StoredNode
from .lazy.regrid import regrid
from .storage.create import create_npy, create_raw
from .storage.dtypes import plain_dtype, plain_shape
from .storage.files import PathLike
from .storage.pieces import Table
from .storage.tiled import tiled

__all__ = ["create", "format_of"]


def create(
    path: PathLike,
    shape: Any,
    dtype: Any = float,
    *,
    fill_value: Any = 0,
    order: str = "C",
    chunks: Any = None,
    overwrite: bool = False,
    format: str | None = None,
    shards: Any = "auto",
    compressors: Any = None,
    dims: Sequence[str | None] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> Array:
    """Create a complete file of zeros (or `fill_value`) and open it for reading and writing.

    The disk blocks are reserved: a full disk is an OSError here and now, and leaves no file.

    Parameters
    ----------
    path : path-like
        Of the new file.
    shape : int or sequence of int
    dtype : dtype-like
    fill_value : scalar
        Zero costs no write.
    order : {"C", "F"}
        Which axis is fastest, the last or the first.
    chunks : optional
        Blocks to work on; see `open`. Of a Zarr array: the chunks that it is stored in.
    overwrite : bool
        Replace an existing file.
    format : {"npy", "raw", "zarr"}, optional
        Default: by the ending, ``.npy`` or ``.zarr``.
    shards : "auto", False or tuple of int
        Of a Zarr array: how many elements lie in one file, in whole chunks; by default about
        1 GiB. False: a file for each chunk.
    compressors : optional
        Of a Zarr array: ``"zstd"``, ``"blosc"``, ``"gzip"``, or codecs as zarr-python takes them.
        What is compressed is decoded, not mapped, and written in whole chunks only.
    dims : sequence of str, optional
        Of a Zarr array: names of the axes.
    attrs : mapping, optional
        Of a Zarr array: what can be written as JSON; NaN and infinities become text.

    Returns
    -------
    Array
        Open with mode ``"r+"``.

    Raises
    ------
    FileExistsError
        The file exists, and `overwrite` is false.
    OSError
        No room (ENOSPC, with both numbers), or no permission.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     x = create(os.path.join(folder, "x.npy"), (2, 3), "i4", fill_value=7)
    ...     x.mode, x.compute().tolist()
    ('r+', [[7, 7, 7], [7, 7, 7]])
    """
    kind = format_of(path, format)
    dtype = plain_dtype(dtype)
    shape = plain_shape(shape, dtype.itemsize)
    if kind == "zarr":
        if order != "C":
            raise ValueError(
                f"order={order!r} is for .npy and raw files; Zarr arrays are in C order"
            )
        return _create_zarr(
            path,
            shape,
            dtype,
            chunks=chunks,
            shards=shards,
            fill_value=fill_value,
            compressors=compressors,
            dims=dims,
            attributes=attrs,
            overwrite=overwrite,
        )
    if compressors is not None or dims is not None or attrs or shards != "auto":
        raise TypeError("shards=, compressors=, dims= and attrs= are for Zarr arrays")
    if chunks is not None:
        # Chunks that do not fit are refused before there is a new file in place of the old one.
        regrid(MemoryNode(np.broadcast_to(np.zeros((), dtype), shape)), chunks)
    make = create_npy if kind == "npy" else create_raw
    source = make(path, shape, dtype, order, fill_value, overwrite)
    return Array(regrid(StoredNode(source), chunks), "r+")


def format_of(path: PathLike, format: str | None) -> str:
    """Decide the format of a new file."""
    if format is None:
        # A shell completes the name of a folder with a slash.
        ending = os.path.splitext(os.fspath(path).rstrip("/"))[1].lower()
        if ending not in (".npy", ".zarr"):
            raise ValueError(
                f"cannot tell a format from {os.fspath(path)!r}: name it .npy or .zarr, or give "
                'format="npy", format="zarr" or format="raw"'
            )
        return ending[1:]
    if format not in ("npy", "raw", "zarr"):
        raise ValueError(f"format={format!r} is none of 'npy', 'raw' and 'zarr'")
    return format


def _create_zarr(path: PathLike, shape: tuple[int, ...], dtype: Any, **how: Any) -> Array:
    from .storage.zarr import open_zarr_array
    from .storage.zarrdraft import create_zarr

    create_zarr(path, shape, dtype, **how)
    opened = open_zarr_array(path)
    return Array(StoredNode(tiled(cast(Table, opened.place))), "r+", opened)
