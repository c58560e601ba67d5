"""Opening, creating and wrapping arrays; nothing is read but headers."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .core import Array
from .errors import FormatError
from .lazy.expr import MemoryNode, StoredNode
from .lazy.regrid import regrid
from .storage.create import create_npy, create_raw
from .storage.dtypes import plain_dtype, plain_shape
from .storage.files import open_npy, open_raw, sniff
from .storage.memmaps import layout_of
from .stored import MODES

__all__ = ["create", "from_array", "open"]

PathLike = str | os.PathLike[str]


def open(
    path: PathLike,
    mode: str = "r",
    *,
    shape: Any = None,
    dtype: Any = None,
    offset: int = 0,
    order: str = "C",
    chunks: Any = None,
) -> Array:
    """Open an array in a file; reads its header and nothing else, locks nothing.

    Parameters
    ----------
    path : path-like
        A ``.npy`` file (told by its content), or any file when `shape` and `dtype` say what is
        in it.
    mode : {"r", "r+", "a"}
        Whether the array may be changed in place; with "a" rows can be appended to it as well,
        which takes an ``.npy`` file in C order.
    shape : int or sequence of int, optional
        Of a raw array; one extent may be -1: as many as the file holds.
    dtype : dtype-like, optional
        Of a raw array.
    offset : int
        Byte at which a raw array begins.
    order : {"C", "F"}
        Of a raw array: which axis is fastest, the last or the first.
    chunks : optional
        Blocks to work on, in any of dask's spellings: 1000, (100, -1), ((50, 50), (8,)), "auto",
        {0: 100}. Default: contiguous runs of about 16 MiB, cut to fit other arrays where needed.

    Returns
    -------
    Array

    Raises
    ------
    FormatError, TruncatedFileError, DtypeError, NotRegularFileError, OSError
        The file cannot be opened as asked; it is left as it was.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> np.save(os.path.join(folder.name, "x.npy"), np.arange(10, dtype="f4"))
    >>> x = open(os.path.join(folder.name, "x.npy"), chunks=4)
    >>> x.shape, x.dtype, x.chunks
    ((10,), dtype('float32'), ((4, 4, 2),))
    >>> float(x.max().compute())
    9.0
    >>> folder.cleanup()
    """
    if mode not in MODES:
        raise ValueError(f"mode={mode!r} is none of 'r', 'r+' and 'a'; oo.create makes new files")
    if (shape is None) != (dtype is None):
        missing = "dtype" if dtype is None else "shape"
        raise TypeError(f"a raw array needs shape= and dtype=; {missing}= is missing")
    if shape is None and (offset != 0 or order != "C"):
        given = "offset=" if offset != 0 else "order="
        raise TypeError(f"{given} is for raw arrays, with shape= and dtype=; .npy files say it")
    if shape is not None:
        source = open_raw(path, shape, dtype, offset, order, _for_files(mode))
    elif sniff(path) == "npy":
        source = open_npy(path, _for_files(mode))
    else:
        raise FormatError(
            f"{os.fspath(path)} is not an .npy file; to open it as raw bytes give shape= and dtype="
        )
    array = Array(regrid(StoredNode(source), chunks), mode)
    if mode == "a":
        array._check_growable()
    return array


def _for_files(mode: str) -> str:
    return "r" if mode == "r" else "r+"


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
        Blocks to work on; see `open`.
    overwrite : bool
        Replace an existing file.
    format : {"npy", "raw"}, optional
        Default: by the ending, ``.npy``.

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
    if chunks is not None:
        # Chunks that do not fit are refused before there is a new file in place of the old one.
        regrid(MemoryNode(np.broadcast_to(np.zeros((), dtype), shape)), chunks)
    make = create_npy if kind == "npy" else create_raw
    source = make(path, shape, dtype, order, fill_value, overwrite)
    return Array(regrid(StoredNode(source), chunks), "r+")


def from_array(x: Any, chunks: Any = None) -> Array:
    """Wrap an array that is there already; what is mapped from a file is never copied.

    Parameters
    ----------
    x : array-like
        A `numpy.memmap` or a view of one (it travels by file and offset), or anything else that
        NumPy makes an array of. An `Array` is returned with the grid asked for.
    chunks : optional
        Blocks to work on; see `open`.

    Examples
    --------
    >>> x = from_array(np.arange(6).reshape(2, 3), chunks=(1, 3))
    >>> x.numblocks, int(x.sum().compute())
    ((2, 1), 15)
    """
    if isinstance(x, Array):
        return x if chunks is None else x.rechunk(chunks)
    if isinstance(x, (str, os.PathLike)):
        raise TypeError(f"{os.fspath(x)!r} is the name of a file, not an array; oo.open opens it")
    array = x if isinstance(x, np.ndarray) else np.asarray(x)
    if array.dtype.hasobject:
        raise TypeError("an object array holds addresses, not data; convert it to a plain dtype")
    source = layout_of(array)
    if source is not None:
        writable = bool(array.flags.writeable)
        return Array(regrid(StoredNode(source), chunks), "r+" if writable else "r")
    return Array(regrid(MemoryNode(np.asarray(array)), chunks), "r")


def format_of(path: PathLike, format: str | None) -> str:
    """Decide the format of a new file."""
    if format is None:
        ending = os.path.splitext(os.fspath(path))[1].lower()
        if ending != ".npy":
            raise ValueError(
                f"cannot tell a format from {os.fspath(path)!r}: name it .npy, or give "
                'format="npy" or format="raw"'
            )
        return "npy"
    if format not in ("npy", "raw"):
        raise ValueError(f"format={format!r} is neither 'npy' nor 'raw'")
    return format
