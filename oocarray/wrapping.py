"""Finds the file behind an array of zarr-python, h5py, xarray or dask; it reads no element of it.

Whose object it is follows from the names of its classes: none of these libraries is imported.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np

from .core import Array
from .opening import from_array, open
from .storage.conventions import decoding_of
from .storage.listing import plain_value
from .storage.opened import Opened
from .storage.tiled import Tiled

__all__ = ["wrapped"]

_GROUPS = (("zarr", "Group"), ("h5py", "Group"), ("xarray", "Dataset"), ("xarray", "DataTree"))
_PASSING = ("MemoryCachedArray", "CopyOnWriteArray", "NativeEndiannessArray")
"""What xarray lays around its arrays and changes no value."""
_FILES = ("sec2", "stdio", "direct")
"""Drivers of h5py that have the bytes of a dataset in one file, under its name."""


def wrapped(x: Any, chunks: Any) -> Array | None:
    """Return the array that an object of another library stands for: stored, or dask's.

    Parameters
    ----------
    x : object
        Not an `Array`, nor of NumPy.
    chunks : optional
        Blocks to work on; see `oocarray.open`.

    Returns
    -------
    Array or None
        None: it is of none of these libraries.

    Raises
    ------
    TypeError, NotImplementedError
        It is no array, or none that lies in a file as it is; the message says what to do.
    FormatError, DtypeError, ArrayLockedError, OSError, ImportError
        As `oocarray.open`.
    """
    if _is(x, "zarr", "Array"):
        return _of_zarr(x, chunks)
    if _is(x, "h5py", "Dataset"):
        return _of_h5py(x, chunks)
    if _is(x, "dask", "Array"):
        from .fromdask import from_dask

        return from_dask(x, chunks)
    if _is(x, "xarray", "DataArray") or _is(x, "xarray", "Variable"):
        return _of_xarray(x, chunks)
    for library, kind in _GROUPS:
        if _is(x, library, kind):
            raise TypeError(
                f"{library}'s {kind} is a group of arrays: pass one of them, or open them all by "
                "oo.open_group(path)"
            )
    return None


def _is(x: Any, library: str, kind: str) -> bool:
    """Whether an object, or what it inherits from, is of a library's class."""
    return any(
        one.__name__ == kind and one.__module__.partition(".")[0] == library
        for one in type(x).__mro__
    )


# ---- zarr-python --------------------------------------------------------------------------------


def _of_zarr(x: Any, chunks: Any) -> Array:
    folder = _zarr_folder(x)
    array = open(folder, chunks=chunks)
    place = array.layout
    if x.read_only or (isinstance(place, Tiled) and place.table.encoded):
        return array
    return Array(array.node, "r+", array._facts)


def _zarr_folder(x: Any) -> str:
    store = x.store
    if not _is(store, "zarr", "LocalStore"):
        name = type(store).__name__
        advice = {
            "MemoryStore": "pass x[...], which is in memory as well",
            "ZipStore": "unpack it, and open the folder",
        }.get(name, "copy it into a folder first: zarr.create_array(folder, data=x)")
        raise NotImplementedError(
            f"the Zarr array {x.path or '/'!r} is in a {name}; only folders of this machine's "
            f"file systems can be mapped: {advice}"
        )
    return str(os.path.abspath(os.path.join(store.root, *x.path.split("/"))))


# ---- h5py ---------------------------------------------------------------------------------------


def _of_h5py(x: Any, chunks: Any) -> Array:
    if not x:
        raise ValueError("the file of the h5py dataset is closed; oo.open(path, dataset=) opens it")
    file, name = x.file, x.name
    if name is None or file.driver not in _FILES:
        why = "has no name" if name is None else f"is read through the driver {file.driver!r}"
        raise NotImplementedError(
            f"the h5py dataset {name or ''!r} {why}: only what lies in a file of its own can be "
            "mapped; pass x[...] if it fits into memory"
        )
    if file.mode != "r":
        file.flush()
    return open(os.fsdecode(file.filename), dataset=name, chunks=chunks)


# ---- xarray -------------------------------------------------------------------------------------


def _of_xarray(x: Any, chunks: Any) -> Array:
    data = getattr(x, "variable", x)._data
    dims = tuple(name if isinstance(name, str) else str(name) for name in x.dims)
    attrs = {}
    for name, value in x.attrs.items():
        with contextlib.suppress(TypeError):  # objects, which no file would take either
            attrs[str(name)] = plain_value(value)
    if _is(data, "xarray", "PandasIndexingAdapter"):
        data = np.asarray(data)  # an index, which is always in memory
    lazy = _is(data, "xarray", "ExplicitlyIndexed")
    array = _lazy(x, data, chunks) if lazy else from_array(data, chunks)
    known = array._facts
    place: Any = array.layout if known is None else known.place
    kind = "" if known is None else known.kind
    return Array(array.node, array.mode, Opened(place, kind, dims, attrs))


def _lazy(x: Any, data: Any, chunks: Any) -> Array:
    """The array in a file that xarray has not read yet, with the indices that it remembers."""
    keys: list[tuple[Any, ...]] = []
    decode = False
    while not _is(data, "xarray", "BackendArray"):
        name = type(data).__name__
        if name == "NumpyIndexingAdapter" and not keys and not decode:
            return from_array(data.array, chunks)  # it was read meanwhile, and is kept
        if name == "LazilyIndexedArray":
            keys.append(tuple(data.key.tuple))
        elif name == "_ElementwiseFunctionArray":
            decode = True
        elif name not in _PASSING:
            raise _refused(x, f"xarray makes it by {name}")
        data = data.array
    stored = _stored(x, data)
    if decode:
        stored = _decoded(x, stored)
    for key in reversed(keys):
        if not all(isinstance(one, (int, np.integer, slice)) for one in key):
            raise _refused(x, "positions were taken of it")
        if key != (slice(None),) * len(key):
            stored = stored[tuple(one if isinstance(one, slice) else int(one) for one in key)]
    if stored.shape != x.shape:
        raise _refused(x, f"the stored array has shape {stored.shape}, and it {x.shape}")
    if stored.dtype.newbyteorder("=") != x.dtype.newbyteorder("="):
        if x.dtype.kind not in "biuf":
            raise _refused(x, f"xarray reads {stored.dtype} as {x.dtype}")
        stored = stored.astype(x.dtype)
    return stored if chunks is None else stored.rechunk(chunks)


def _stored(x: Any, backend: Any) -> Array:
    """The array that one of xarray's backends would read."""
    name = type(backend).__name__
    if name == "ZarrArrayWrapper":
        found = _of_zarr(backend.get_array(), None)
        return Array(found.node, "r", found._facts)
    source: Any = None
    if name == "NetCDF4ArrayWrapper":
        group = backend.get_array().group()
        source, dataset = group.filepath(), f"{group.path}/{backend.variable_name}".lstrip("/")
    elif name == "H5NetCDFArrayWrapper":
        source, dataset = x.encoding.get("source"), backend.get_array().name
    elif name == "ScipyArrayWrapper":
        source, dataset = backend.datastore.ds.filename, backend.variable_name
    if not isinstance(source, str) or not os.path.isfile(source):
        raise _refused(x, f"it is read through {name}, from no file that has a name")
    return open(source, dataset=dataset)


def _decoded(x: Any, stored: Array) -> Array:
    from .decoding import decoded

    facts = stored._facts
    assert facts is not None
    if decoding_of(facts.attrs, stored.dtype) is None:
        raise _refused(x, "xarray decodes it otherwise than by scale, offset and fill value")
    return decoded(stored, facts)


def _refused(x: Any, why: str) -> NotImplementedError:
    name = f"the xarray object {x.name!r}" if getattr(x, "name", None) else "the xarray object"
    return NotImplementedError(
        f"{name} is not the array in its file as it is: {why}; open the file by oo.open, with "
        "dataset=, and index that, or pass x.load(), which reads all of it"
    )
