"""Datasets of HDF5 and NetCDF-4 files as layouts; maps nothing, and never follows a link elsewhere.

A contiguous dataset whose elements lie in the file as NumPy has them is an ordinary `Strided`, and
can be changed in place.  All others are tables that libhdf5 reads.  The file is open only while it
is looked at: what is mapped later is plain bytes, and the library knows nothing of it.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from oocarray.errors import FormatError, TruncatedFileError
from oocarray.storage.dtypes import plain_dtype, plain_shape
from oocarray.storage.filekey import FileKey
from oocarray.storage.files import PathLike, open_regular
from oocarray.storage.hdf5chunks import (
    Hdf5Table,
    bare,
    import_h5py,
    locked,
    open_h5,
    row_pieces,
)
from oocarray.storage.layout import Strided
from oocarray.storage.listing import Entry, array_names, plain_value
from oocarray.storage.opened import Opened
from oocarray.storage.pieces import even_cuts
from oocarray.storage.strides import dense_strides
from oocarray.units import format_bytes

__all__ = ["hdf5_attributes", "list_hdf5", "open_hdf5"]

_MAX_LINKS = 40  # symbolic links on one way, as the kernel allows of its own
_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset"}
_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
_NOT_ATTRIBUTES = {
    *("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS"),
    *("_Netcdf4Dimid", "_Netcdf4Coordinates", "_nc3_strict", "_NCProperties"),
}
"""What the dimension scales of HDF5, and NetCDF-4, keep for themselves."""
_BROKEN = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, OverflowError)
"""What h5py raises when the library meets bytes that it does not understand."""


def list_hdf5(path: PathLike) -> dict[str, Entry]:
    """Return all datasets of a file, by their path; links elsewhere are not followed.

    Raises
    ------
    FormatError, TruncatedFileError, ArrayLockedError, NotRegularFileError, OSError
        The file cannot be read.
    ImportError
        h5py is not installed.
    """
    os.close(open_regular(path))
    name = os.path.abspath(os.fspath(path))
    with contextlib.closing(open_h5(name)) as h5:
        return _datasets(h5, name)


def open_hdf5(path: PathLike, dataset: str, writable: bool = False) -> Opened:
    """Return where a dataset lies, and what the file says of it.

    Parameters
    ----------
    path : path-like
        An HDF5 or NetCDF-4 file.
    dataset : str
        Path of the dataset from the root.
    writable : bool
        Whether its elements will be changed in place.

    Raises
    ------
    FormatError, TruncatedFileError
        The bytes are no HDF5; there is no such dataset; it cannot be changed in place.
    DtypeError
        Strings of any length, references, and other elements that NumPy cannot map.
    ArrayLockedError
        Another program is writing the file; for `writable`: somebody has it open through HDF5.
    NotRegularFileError, OSError, ImportError
        No file, no permission, no h5py.
    """
    os.close(open_regular(path, writable))
    name = os.path.abspath(os.fspath(path))
    with contextlib.closing(open_h5(name)) as h5, _foreign(name, dataset):
        # This process may write it through another handle: let the file have all of that.
        h5.flush()
        key = FileKey.of(int(h5.id.get_vfd_handle()), name)
        opened = _describe(key, _find(h5, name, dataset), writable)
    if not writable or not isinstance(opened.place, Strided):
        return opened
    _settle(name)
    # The library may have marked the file meanwhile, and so changed its time.
    now = FileKey.of(name)
    if not now.same_file(key) or now.size < key.size:
        raise FormatError(f"{name} was replaced or cut off while it was opened; open it again")
    return replace(opened, place=replace(opened.place, file=now))


def hdf5_attributes(path: PathLike, group: str = "") -> dict[str, Any]:
    """Return what a group says of itself, by its path; the file as a whole is ``""``.

    Raises
    ------
    FormatError, TruncatedFileError, ArrayLockedError, NotRegularFileError, OSError, ImportError
        As `list_hdf5`; there is no such group.
    """
    os.close(open_regular(path))
    name = os.path.abspath(os.fspath(path))
    with contextlib.closing(open_h5(name)) as h5, _foreign(name, group or "/"):
        return _attributes(_follow(h5, name, group), "_NCProperties" in h5.attrs)


def _settle(path: str) -> None:
    """Make sure that no program has the file open through HDF5: it would undo, or miss, changes."""
    h5py = import_h5py()
    with contextlib.closing(open_h5(path, "r+")) as h5:
        h5.flush()
        # Within a process the library shares its open files, and so locks nobody out.
        if h5py.h5f.get_obj_count(h5.id, h5py.h5f.OBJ_FILE) > 1:
            raise locked(path, "this process has it open through HDF5", "close that first")


@contextlib.contextmanager
def _foreign(path: str, dataset: str) -> Iterator[None]:
    """Turn what h5py raises over bad bytes into a FormatError; ours pass."""
    try:
        yield
    except (FormatError, ImportError):
        raise
    except _BROKEN as error:
        if type(error).__module__.startswith("oocarray."):
            raise
        beyond = "invalid dataset size" in str(error)  # the library compares it with the file's
        kind = TruncatedFileError if beyond else FormatError
        raise kind(f"{path}: dataset {dataset!r} cannot be understood: {error}") from error


# What is there, by name


def _datasets(h5: Any, path: str, below: Any = None) -> dict[str, Entry]:
    h5py = import_h5py()
    found: dict[str, Entry] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None and not _only_named(item):
            found[item.name.lstrip("/")] = tuple(item.shape), bare(item.dtype), _dims(item)

    with _foreign(path, "/"):
        (h5 if below is None else below).visititems(visit)
    return found


def _only_named(item: Any) -> bool:
    """A length and a name of NetCDF-4, and no elements."""
    with contextlib.suppress(*_BROKEN):
        return bytes(item.attrs.get("NAME", b"")).startswith(_NO_VARIABLE)
    return False


def _find(h5: Any, path: str, dataset: str) -> Any:
    """Look a dataset up."""
    h5py = import_h5py()
    item = _follow(h5, path, dataset)
    if isinstance(item, h5py.Dataset):
        return item
    known = array_names(_datasets(h5, path, item)) if isinstance(item, h5py.Group) else ""
    what = f"a group; pass dataset= one of: {known}" if known else "no dataset"
    raise FormatError(f"{path}: {dataset!r} is {what}")


def _follow(h5: Any, path: str, dataset: str) -> Any:
    """What has a name, looked up step by step, so that no link leads out of the file."""
    h5py = import_h5py()
    item, links = h5["/"], 0
    names = deque(dataset.split("/"))
    while names:
        name = names.popleft()
        if name in ("", "."):
            continue
        link = item.get(name, getlink=True) if isinstance(item, h5py.Group) else None
        if isinstance(link, h5py.SoftLink) and links < _MAX_LINKS:
            links += 1
            item = h5["/"] if link.path.startswith("/") else item
            names.extendleft(reversed(link.path.split("/")))
        elif isinstance(link, h5py.ExternalLink):
            raise FormatError(
                f"{path}: {dataset!r} is a link to {link.path!r} in the file {link.filename!r}, "
                "which is not followed; open that file instead"
            )
        elif isinstance(link, h5py.HardLink):
            item = item[name]
        else:
            known = array_names(_datasets(h5, path)) or "nothing, it holds no dataset"
            raise FormatError(f"{path} has no dataset {dataset!r}; pass dataset= one of: {known}")
    return item


# What a dataset is


def _describe(key: FileKey, found: Any, writable: bool) -> Opened:
    if found.shape is None:
        raise FormatError(f"{key.path}: dataset {found.name!r} is empty: it has no shape")
    where = f"{key.path}: dataset {found.name!r}"
    dtype = plain_dtype(bare(found.dtype), where)
    try:
        shape = plain_shape(found.shape, dtype.itemsize)
    except ValueError as error:
        raise FormatError(f"{where}: {error}") from None
    netcdf = "_NCProperties" in found.file.attrs
    family = "NetCDF-4" if netcdf else "HDF5"
    words = _layout(found)
    dims, attrs = _dims(found), _attributes(found, netcdf)
    offset = _offset(found) if words == ["contiguous"] else None
    if offset is not None or (words == ["contiguous"] and 0 in shape):
        place = _strided(key, where, offset or 0, shape, dtype)
        return Opened(place, f"{family}, contiguous", dims, attrs)
    if words == ["contiguous"]:
        words = ["not yet written"]
    if writable:
        advice = (
            "write it once through h5py, or create it with early allocation"
            if words == ["not yet written"]
            else "open it with mode='r' and store it into a new file"
        )
        raise FormatError(
            f"{where} is {', '.join(words)}; only contiguous datasets without filters can be "
            f"changed in place: {advice}"
        )
    kind = ", ".join([family, *words])
    cuts = even_cuts(shape, found.chunks) if found.chunks else row_pieces(shape, dtype.itemsize)
    fill = np.zeros((), found.dtype)
    fill[()] = found.fillvalue
    written = words != ["not yet written"]
    return Opened(
        Hdf5Table(key, found.name, dtype, cuts, fill.tobytes(), kind, written), kind, dims, attrs
    )


def _layout(found: Any) -> list[str]:
    """How the elements lie, in words; "contiguous" alone: as they are, in one run."""
    h5py = import_h5py()
    plan = found.id.get_create_plist()
    filters = [plan.get_filter(at) for at in range(plan.get_nfilters())]
    names = [
        _FILTERS.get(code, bytes(name).decode("utf-8", "replace")) for code, _, _, name in filters
    ]
    lacking = [
        name or str(code)
        for name, (code, *_) in zip(names, filters, strict=True)
        if not h5py.h5z.filter_avail(code)
    ]
    if lacking:
        raise FormatError(
            f"{found.file.filename}: dataset {found.name!r} is encoded with {', '.join(lacking)}, "
            "which this HDF5 library lacks; pip install hdf5plugin"
        )
    kinds = {
        h5py.h5d.CHUNKED: "chunked",
        h5py.h5d.COMPACT: "compact",
        h5py.h5d.VIRTUAL: "virtual",
    }
    words = [kinds.get(plan.get_layout(), "contiguous"), *names]
    if found.external:
        return ["external files"]
    if words == ["contiguous"]:
        kept = found.id.get_type()
        if h5py.h5t.py_create(found.dtype, logical=True) != kept:
            # Bits that no NumPy dtype describes: 12 of 16, text padded otherwise, odd floats.
            return ["contiguous", "elements converted"]
    return words


def _offset(found: Any) -> int | None:
    """Byte of the first element, from the file's beginning; None before anything is written."""
    offset = found.id.get_offset()
    # In a file with a user block, "nowhere" comes back as the user block's size minus 1.
    return None if offset is None or found.id.get_storage_size() == 0 else int(offset)


def _strided(
    key: FileKey, where: str, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Strided:
    place = Strided(key, offset, shape, dtype, dense_strides(shape, dtype.itemsize, "C"))
    end = place.span()[1]
    if end > key.size:
        raise TruncatedFileError(
            f"{where}: shape {shape} of {dtype} from byte {offset} needs {format_bytes(end)} "
            f"({end}), but the file has {format_bytes(key.size)} ({key.size})"
        )
    return place


# What else the file says


def _dims(found: Any) -> tuple[str | None, ...] | None:
    """Names of the axes: their dimension scales', or their labels."""
    names = [_dim(found, axis) for axis in range(len(found.shape))]
    if names == [None] and _is_scale(found):
        names = [found.name.rpartition("/")[2]]  # a coordinate is its own axis
    return tuple(names) if any(names) else None


def _dim(found: Any, axis: int) -> str | None:
    # A name that cannot be read is none: the elements can be read without it.
    with contextlib.suppress(*_BROKEN):
        dim = found.dims[axis]
        if len(dim):
            return str(dim[0].name.rpartition("/")[2]) or None
        return str(dim.label) or None
    return None


def _is_scale(found: Any) -> bool:
    with contextlib.suppress(*_BROKEN):
        return bytes(found.attrs.get("CLASS", b"")) == b"DIMENSION_SCALE"
    return False


def _attributes(found: Any, netcdf: bool) -> dict[str, Any]:
    attrs: dict[str, Any] = {}
    for name in found.attrs:
        if name in _NOT_ATTRIBUTES:
            continue
        # References, and types that h5py does not know, say nothing without the library.
        with contextlib.suppress(*_BROKEN):
            value = found.attrs[name]
            if netcdf and isinstance(value, np.ndarray) and value.shape == (1,):
                value = value[0]  # NetCDF's numbers are arrays of one
            attrs[name] = plain_value(value)
    return attrs
