"""Images of a FITS file as layouts, as they are stored; it scales no value and reads no table."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from oocarray.errors import FormatError, OocarrayError, TruncatedFileError
from oocarray.storage.dtypes import plain_shape
from oocarray.storage.filekey import FileKey
from oocarray.storage.files import PathLike, open_regular
from oocarray.storage.layout import Strided
from oocarray.storage.listing import Entry, plain_value
from oocarray.storage.opened import Opened
from oocarray.storage.strides import dense_strides
from oocarray.units import format_bytes

__all__ = ["list_fits", "open_fits"]

_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


def list_fits(path: PathLike) -> dict[str, Entry]:
    """Return the images of a file, by EXTNAME where that is unique, else by number.

    Raises
    ------
    FormatError, TruncatedFileError, NotRegularFileError, OSError, ImportError
        As :func:`open_fits`.
    """
    with _opened(path) as (units, _):
        names = _names(units)
        return {
            names[at]: (*_stored(unit.header, f"{os.fspath(path)}: HDU {at}"), None)
            for at, unit in enumerate(units)
            if _is_image(unit.header) and unit.header.get("NAXIS", 0)
        }


def open_fits(path: PathLike, dataset: str, writable: bool = False) -> Opened:
    """Return where an image lies, and what its header says.

    Integers that the header scales (unsigned ones too, which are stored signed) are presented as
    they are stored; ``attrs`` then has ``bzero`` and ``bscale``, to be applied by the caller:
    ``value = bzero + bscale * stored``.

    Parameters
    ----------
    path : path-like
        A FITS file that is not compressed as a whole.
    dataset : str
        EXTNAME, or number of the HDU from 0.
    writable : bool
        Whether its elements will be changed in place.

    Raises
    ------
    FormatError
        The bytes are no FITS; there is no such image; it is a table, or compressed in tiles.
    TruncatedFileError
        The file ends before the image does.
    NotRegularFileError, OSError, ImportError
        No file, no permission, no astropy.
    """
    with _opened(path, writable) as (units, key):
        names = _names(units)
        found = [at for at in names if dataset in (names[at], str(at))]
        if not found:
            known = ", ".join(names.values())
            raise FormatError(f"{key.path} has no HDU {dataset!r}; it has {known}")
        unit, where = units[found[0]], f"{key.path}: HDU {dataset!r}"
        if not _is_image(unit.header):
            packed = unit.header.get("ZIMAGE") or unit.header.get("ZTABLE")
            what = "compressed in tiles; unpack it with funpack" if packed else "a table, no image"
            raise FormatError(f"{where} is {what}")
        shape, dtype = _stored(unit.header, where)
        if not shape:
            raise FormatError(f"{where} has no data")
        offset = int(unit.fileinfo()["datLoc"])
        attrs = _attributes(unit.header)
    place = Strided(key, offset, shape, dtype, dense_strides(shape, dtype.itemsize, "C"))
    end = place.span()[1]
    if end > key.size:
        raise TruncatedFileError(
            f"{where}: shape {shape} of {dtype} from byte {offset} needs {format_bytes(end)} "
            f"({end}), but the file has {format_bytes(key.size)} ({key.size})"
        )
    return Opened(place, "FITS, scaled" if "bzero" in attrs else "FITS", None, attrs)


def _stored(header: Any, where: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype as the header says them, not as the library would present them."""
    bits, axes = header.get("BITPIX"), header.get("NAXIS")
    extents = [header.get(f"NAXIS{axis}") for axis in range(int(axes or 0), 0, -1)]
    if bits not in _TYPES or any(type(extent) is not int for extent in extents):
        raise FormatError(f"{where}: BITPIX {bits} and axes {extents} describe no image")
    if header.get("PCOUNT", 0) or header.get("GCOUNT", 1) != 1:
        raise FormatError(f"{where} holds random groups, which are no array")
    dtype = np.dtype(_TYPES[bits])
    try:
        return plain_shape(extents, dtype.itemsize), dtype
    except ValueError as error:
        raise FormatError(f"{where}: {error}") from None


def _names(units: Any) -> dict[int, str]:
    given = [str(unit.header.get("EXTNAME", "")).strip() for unit in units]
    return {
        at: name if name and given.count(name) == 1 and not name.isdecimal() else str(at)
        for at, name in enumerate(given)
    }


def _attributes(header: Any) -> dict[str, Any]:
    attrs: dict[str, Any] = {}
    for card in header.cards:
        if card.keyword in ("", "COMMENT", "HISTORY"):
            continue
        try:
            attrs[card.keyword] = plain_value(card.value)
        except TypeError:
            attrs[card.keyword] = None  # a card without a value
    zero, scale = attrs.get("BZERO", 0), attrs.get("BSCALE", 1)
    if zero != 0 or scale != 1:
        attrs |= {"bzero": zero, "bscale": scale}
    return attrs


def _is_image(header: Any) -> bool:
    return header.get("XTENSION", "IMAGE").strip() == "IMAGE" and not header.get("ZIMAGE")


@contextmanager
def _opened(path: PathLike, writable: bool = False) -> Iterator[tuple[Any, FileKey]]:
    """The HDUs of a file; what the library raises over bad bytes becomes a FormatError."""
    with open(path, "rb", opener=lambda name, _: open_regular(name, writable)) as stream:
        key = FileKey.of(stream.fileno(), os.fspath(path))
        try:
            fits = importlib.import_module("astropy.io.fits")
        except ImportError as error:
            raise ImportError("FITS files are read with astropy; pip install astropy") from error
        with warnings.catch_warnings():
            # It warns of what it finds odd, and goes on; what matters is checked here.
            warnings.simplefilter("ignore")
            try:
                with fits.open(
                    stream,
                    memmap=False,
                    lazy_load_hdus=False,
                    do_not_scale_image_data=True,
                    disable_image_compression=True,
                ) as units:
                    yield units, key
            except (OocarrayError, MemoryError):
                raise
            except Exception as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                # A parser in Python raises whatever the wrong bytes lead it to.
                raise FormatError(f"{key.path}: no FITS that can be understood: {error}") from error
