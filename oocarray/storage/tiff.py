"""Images of a TIFF file that lie in it as they are; tiles, strips and compression are refused."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from oocarray.errors import FormatError, OocarrayError, TruncatedFileError
from oocarray.storage.dtypes import plain_dtype, plain_shape
from oocarray.storage.filekey import FileKey
from oocarray.storage.files import PathLike, open_regular
from oocarray.storage.layout import Strided
from oocarray.storage.listing import Entry
from oocarray.storage.opened import Opened
from oocarray.storage.strides import dense_strides
from oocarray.units import format_bytes

__all__ = ["list_tiff", "open_tiff"]


def list_tiff(path: PathLike) -> dict[str, Entry]:
    """Return the series of images of a file, named "0", "1" and so on; see `open_tiff`."""
    with _opened(path) as (tiff, _):
        return {
            str(at): (tuple(series.shape), _dtype(tiff, series), _dims(series))
            for at, series in enumerate(tiff.series)
        }


def open_tiff(path: PathLike, dataset: str, writable: bool = False) -> Opened:
    """Return where a series of images lies, and what the file says of it.

    Parameters
    ----------
    path : path-like
        A TIFF or BigTIFF file.
    dataset : str
        Number of the series, from 0.
    writable : bool
        Whether its elements will be changed in place.

    Raises
    ------
    FormatError
        The bytes are no TIFF; there is no such series; it is compressed or in pieces.
    TruncatedFileError
        The file ends before the series does.
    DtypeError
        Elements that NumPy cannot map.
    NotRegularFileError, OSError, ImportError
        No file, no permission, no tifffile.
    """
    with _opened(path, writable) as (tiff, key):
        known = {str(at): series for at, series in enumerate(tiff.series)}
        if dataset not in known:
            raise FormatError(f"{key.path} has no series {dataset!r}; it has {len(known)}")
        series = known[dataset]
        where = f"{key.path}: series {dataset}"
        if series.dataoffset is None or any(page.parent is not tiff for page in series.pages):
            raise FormatError(
                f"{where} is compressed, tiled or in pieces ({_how(series)}); save it "
                "uncompressed and contiguous, or convert it to Zarr"
            )
        dtype = plain_dtype(_dtype(tiff, series), where)
        try:
            shape = plain_shape(series.shape, dtype.itemsize)
        except ValueError as error:
            raise FormatError(f"{where}: {error}") from None
        strides = dense_strides(shape, dtype.itemsize, "C")
        place = Strided(key, int(series.dataoffset), shape, dtype, strides)
        text = series.keyframe.description
        attrs: dict[str, Any] = {"description": text} if text else {}
        dims = _dims(series)
    end = place.span()[1]
    if end > key.size or place.offset < 8:
        raise TruncatedFileError(
            f"{where}: shape {shape} of {dtype} from byte {place.offset} needs "
            f"{format_bytes(end)} ({end}), but the file has {format_bytes(key.size)} ({key.size})"
        )
    return Opened(place, "TIFF, contiguous", dims, attrs)


def _dtype(tiff: Any, series: Any) -> np.dtype[Any]:
    """As it is stored: the library's own is that of this processor."""
    stored: np.dtype[Any] = np.dtype(series.dtype).newbyteorder(tiff.byteorder)
    return stored


def _dims(series: Any) -> tuple[str | None, ...] | None:
    names = tuple(str(name) for name in series.axes)
    return names if len(names) == len(series.shape) else None


def _how(series: Any) -> str:
    page = series.keyframe
    packing = page.compression.name.lower().replace("none", "uncompressed")
    return f"{packing}, {'tiles' if page.is_tiled else f'{len(page.dataoffsets)} strips'}"


@contextmanager
def _opened(path: PathLike, writable: bool = False) -> Iterator[tuple[Any, FileKey]]:
    """The file in the library; what that raises over bad bytes becomes a FormatError."""
    with open(path, "rb", opener=lambda name, _: open_regular(name, writable)) as stream:
        key = FileKey.of(stream.fileno(), os.fspath(path))
        try:
            import tifffile
        except ImportError as error:
            raise ImportError("TIFF files are read with tifffile; pip install tifffile") from error
        # It logs what it finds wrong, and goes on; what matters is checked here.
        log = logging.getLogger("tifffile")
        log.addFilter(_silent)
        try:
            # Never another file, which OME metadata may name.
            with tifffile.TiffFile(stream, _multifile=False) as tiff:
                yield tiff, key
        except (OocarrayError, OSError, MemoryError):
            raise
        except Exception as error:
            # A parser in Python raises whatever the wrong bytes lead it to.
            raise FormatError(f"{key.path}: no TIFF that can be understood: {error}") from error
        finally:
            log.removeFilter(_silent)


def _silent(record: logging.LogRecord) -> bool:
    return False
