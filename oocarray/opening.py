"""Opening and wrapping arrays that are there already; nothing is read but headers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .core import Array
from .errors import FormatError
from .lazy.expr import MemoryNode, StoredNode
from .lazy.regrid import regrid
from .storage.files import PathLike, open_raw
from .storage.finding import find
from .storage.layout import Strided
from .storage.memmaps import layout_of
from .storage.opened import Opened
from .storage.tiled import tiled
from .stored import MODES
from .units import format_count

__all__ = ["Group", "from_array", "open", "open_group"]

Paths = PathLike | Sequence[PathLike]


def open(
    path: Paths,
    mode: str = "r",
    *,
    dataset: str | None = None,
    decode: bool = False,
    shape: Any = None,
    dtype: Any = None,
    offset: int = 0,
    order: str = "C",
    axis: int | None = None,
    stack: bool = False,
    chunks: Any = None,
) -> Array:
    """Open an array in a file, or in many; reads its header and nothing else, locks nothing.

    Parameters
    ----------
    path : path-like, or a sequence of path-likes
        ``.npy``, Zarr, HDF5, NetCDF, TIFF, FITS, safetensors, told by content; any file when
        `shape` and `dtype` say what is in it. Several files, or a pattern (``"day*.npy"``), are
        joined to one array that can be read, with the names of axes and the attributes of the
        first.
    mode : {"r", "r+", "a"}
        Whether the array may be changed in place; with "a" rows can be appended to it as well,
        which takes an ``.npy`` file in C order.
    dataset : str, optional
        Which array of a file or group that has several; ``"ds.zarr/t2m"`` names it as well.
    decode : bool
        Apply ``scale_factor``, ``add_offset``, ``_FillValue`` and ``missing_value``, by the CF
        conventions: a lazy expression of floats, NaN where a value is missing.
    shape : int or sequence of int, optional
        Of a raw array; one extent may be -1: as many as the file holds.
    dtype : dtype-like, optional
        Of a raw array.
    offset : int
        Byte at which a raw array begins.
    order : {"C", "F"}
        Of a raw array: which axis is fastest, the last or the first.
    axis : int, optional
        Of several files: the axis along which they follow each other; default 0.
    stack : bool
        Of several files: `axis` is a new one.
    chunks : optional
        Blocks to work on, in any of dask's spellings: 1000, (100, -1), ((50, 50), (8,)), "auto",
        {0: 100}. Default: contiguous runs of about 16 MiB, cut to fit other arrays where needed;
        of arrays in chunks of their own a chunk each, small ones joined, large mapped ones cut.

    Returns
    -------
    Array

    Raises
    ------
    FormatError, TruncatedFileError, DtypeError, NotRegularFileError, OSError
        The file cannot be opened as asked; it is left as it was.
    ArrayLockedError
        An HDF5 file that another program writes.
    ImportError
        A library that the format needs is not installed.

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
    >>> open([os.path.join(folder.name, "x.npy")] * 3, stack=True).shape
    (3, 10)
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
    if shape is not None and dataset is not None:
        raise TypeError(
            "dataset= is for files that say what is in them; leave out shape= and dtype="
        )

    def one(path: PathLike) -> Opened:
        if shape is not None:
            return Opened(open_raw(path, shape, dtype, offset, order, _for_files(mode)), "raw")
        return find(path, dataset, _for_files(mode))

    if _several(path):
        opened = _joined(path, mode, one, axis, stack, decode)
    elif axis is not None or stack:
        raise TypeError(
            "axis= and stack= are for several files: give a list of paths, or a pattern"
        )
    else:
        assert isinstance(path, (str, os.PathLike))
        opened = one(path)
    return _array(opened, mode, chunks, decode)


def _for_files(mode: str) -> str:
    return "r" if mode == "r" else "r+"


def _several(path: Paths) -> bool:
    """Whether more than one file is meant; a name that is there is what it says."""
    if not isinstance(path, (str, os.PathLike)):
        return True
    name = os.fspath(path)
    return any(sign in name for sign in "*?[") and not os.path.exists(name)


def _joined(
    path: Paths, mode: str, one: Any, axis: int | None, stack: bool, decode: bool
) -> Opened:
    if mode != "r":
        raise PermissionError(
            13, f"several files as one array are for reading, not mode={mode!r}; open each alone"
        )
    from .storage.conventions import Agreement
    from .storage.stacking import open_stack

    said = Agreement()
    axes = 0

    def layout(name: PathLike) -> Strided:
        nonlocal axes
        found = one(name)
        place = found.place
        if not isinstance(place, Strided):
            raise TypeError(
                f"{os.fspath(name)} is itself in pieces; only arrays in one run are joined: open "
                "each, and join them by oo.concatenate or oo.stack"
            )
        said.add(os.fspath(name), found.dims, found.attrs)
        axes = place.ndim
        return place

    joined = open_stack(path, axis, stack, layout)
    if decode and said.difference:
        raise FormatError(
            f"{said.difference}: their numbers do not mean the same; open each with decode=True, "
            "and join them by oo.concatenate or oo.stack"
        )
    table: Any = joined.place
    dims = said.joined_dims(table.axis, len(table.cuts) > axes)
    return replace(joined, dims=dims, attrs=said.attrs)


def _array(opened: Opened, mode: str, chunks: Any, decode: bool) -> Array:
    place = opened.place
    if mode == "a" and not isinstance(place, Strided):
        raise PermissionError(13, f"rows can be appended to an .npy file, not to {opened.kind}")
    source = place if isinstance(place, Strided) else tiled(place)
    node = regrid(StoredNode(source), chunks, 4)
    array = Array(node, mode, opened)
    if mode == "a":
        array._check_growable()
    if not decode:
        return array
    if mode != "r":
        raise TypeError(f"decode=True makes an expression, to be read; leave out mode={mode!r}")
    from .decoding import decoded

    return decoded(array, opened)


class Group(Mapping[str, Array]):
    """The arrays of a Zarr group or of a file that has several, by name; each opened when asked.

    Attributes
    ----------
    path : str
    """

    def __init__(self, path: str, mode: str, decode: bool, names: Mapping[str, Any]) -> None:
        self.path = path
        self._mode, self._decode, self._names = mode, decode, names

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        return open(self.path, self._mode, dataset=name, decode=self._decode)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def attrs(self) -> Mapping[str, Any]:
        """What the group says of itself."""
        from .storage.finding import attributes

        return attributes(self.path)

    def __repr__(self) -> str:
        lines = [f"<oocarray.Group {self.path}: {format_count(len(self), 'array')}>"]
        lines += [f"  {name}: {words}" for name, words in list(self._names.items())[:_SHOWN]]
        if len(self) > _SHOWN:
            lines.append(f"  ... and {len(self) - _SHOWN} more")
        return "\n".join(lines)


_SHOWN = 40


def open_group(path: PathLike, mode: str = "r", *, decode: bool = False) -> Group:
    """Open a Zarr group, or a file with several arrays, as a mapping; reads metadata only.

    Parameters
    ----------
    path : path-like
        A Zarr group (also ``"ds.zarr/inner"``), HDF5, NetCDF, FITS, TIFF or safetensors.
    mode : {"r", "r+"}
        Of the arrays.
    decode : bool
        As `open`.

    Returns
    -------
    Group
        Names such as ``"t2m"`` or ``"inner/t2m"`` to arrays.

    Raises
    ------
    FormatError, OSError
        It is no group, or cannot be read.

    Examples
    --------
    >>> import tempfile, zarr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = zarr.create_group(os.path.join(folder, "ds.zarr"))
    ...     _ = made.create_array("t2m", data=np.arange(6.0), compressors=None)
    ...     group = open_group(os.path.join(folder, "ds.zarr"))
    ...     list(group), float(group["t2m"].sum().compute())
    (['t2m'], 15.0)
    """
    from .storage.finding import names_in

    if mode not in ("r", "r+"):
        raise ValueError(f"mode={mode!r} is neither 'r' nor 'r+'")
    names = names_in(path)
    if "" in names:
        raise FormatError(f"{os.fspath(path)} is an array, not a group; oocarray.open opens it")
    return Group(os.path.abspath(os.fspath(path)), mode, decode, names)


def from_array(x: Any, chunks: Any = None) -> Array:
    """Wrap an array that is there already; what is mapped from a file is never copied.

    Parameters
    ----------
    x : array-like
        A `numpy.memmap` or a view of one (it travels by file and offset); an array of
        zarr-python in a folder, a dataset of h5py, or a variable of xarray that is not yet read
        (each becomes the stored array at its place, and needs the other object no more); a dask
        array, or an xarray object over one (its blocks are made by its tasks, in our workers); or
        anything else that NumPy makes an array of. An `Array` is returned with the grid asked for.
    chunks : optional
        Blocks to work on; see `open`.

    Raises
    ------
    TypeError
        It is no array, or holds Python objects.
    NotImplementedError
        What another library holds is not in a file as it is; the message says what to do.
    FormatError, DtypeError, ArrayLockedError, OSError
        As `open`, of the file of another library's array.

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
    if not isinstance(x, np.ndarray):
        from .wrapping import wrapped

        found = wrapped(x, chunks)
        if found is not None:
            return found
    array = x if isinstance(x, np.ndarray) else np.asarray(x)
    if array.dtype.hasobject:
        raise TypeError("an object array holds addresses, not data; convert it to a plain dtype")
    source = layout_of(array)
    if source is not None:
        writable = bool(array.flags.writeable)
        return Array(regrid(StoredNode(source), chunks), "r+" if writable else "r")
    return Array(regrid(MemoryNode(np.asarray(array)), chunks), "r")
