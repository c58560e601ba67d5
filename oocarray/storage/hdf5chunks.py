"""A dataset that libhdf5 must read, as a table of pieces; it never writes and follows no path.

Chunks, filters, and elements kept elsewhere than in one run of the file (inside a header, in
other files, in other datasets) are left to the library: a piece is read as a whole, by h5py.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from oocarray.errors import (
    ArrayLockedError,
    CorruptChunkError,
    FormatError,
    InputChangedError,
    TruncatedFileError,
)
from oocarray.storage.filekey import FileKey
from oocarray.storage.pieces import Cuts, Found, Stretch

__all__ = ["Hdf5Table", "bare", "import_h5py", "locked", "open_h5", "row_pieces"]

_PIECE = 16 << 20
"""Bytes of a piece where the file has no chunks: what a disk reads in a tenth of a second."""
_AGAIN = (errno.EAGAIN, errno.EACCES)


@dataclass(frozen=True, slots=True)
class Hdf5Table:
    """One dataset of an HDF5 file, read through h5py."""

    file: FileKey
    dataset: str
    """Its path from the root, links resolved."""
    dtype: np.dtype[Any]
    cuts: tuple[Cuts, ...]
    fill_bytes: bytes
    """One element: NaN is not equal to itself, but its bytes are."""
    kind: str
    written: bool = True
    """False: the file has no bytes of it yet, so that every element is the fill value."""

    @property
    def fill(self) -> Any:
        return np.frombuffer(self.fill_bytes, self.dtype)[0]

    @property
    def encoded(self) -> bool:
        return True

    def open(self, writable: bool) -> Hdf5Pieces:
        """Open the file in this process.

        Raises
        ------
        PermissionError
            `writable` is set.
        InputChangedError, TruncatedFileError, ArrayLockedError, FormatError, OSError
            It is not the file that it was, or cannot be read.
        """
        if writable:
            raise PermissionError(
                errno.EACCES, f"{self.kind}: opened for reading only", self.file.path
            )
        return Hdf5Pieces(self)


class Hdf5Pieces:
    """The pieces of an `Hdf5Table`; h5py lets one thread at a time into the library."""

    def __init__(self, table: Hdf5Table) -> None:
        self._table = table
        self._h5 = open_h5(table.file.path)
        try:
            table.file.check_open(self._h5.id.get_vfd_handle())
            self._dataset = self._h5[table.dataset]
            found = self._dataset.shape, bare(self._dataset.dtype)
        except (KeyError, AttributeError, TypeError, RuntimeError) as error:
            self.close()
            raise InputChangedError(
                f"{table.file.path}: dataset {table.dataset!r} is not what it was: {error}"
            ) from None
        except BaseException:
            self.close()
            raise
        wanted = tuple(cut.extent for cut in table.cuts), table.dtype
        if found != wanted:
            self.close()
            raise InputChangedError(
                f"{table.file.path}: dataset {table.dataset!r} was {wanted[0]} of {wanted[1]} and "
                f"is {found[0]} of {found[1]} now; open it again"
            )

    def find(self, coords: tuple[int, ...]) -> Found:
        """Read a piece.

        Raises
        ------
        CorruptChunkError, OSError
            The library cannot decode it; the disk cannot read it.
        """
        table = self._table
        if not table.written:
            return None
        spans = [cut.span(at) for cut, at in zip(table.cuts, coords, strict=True)]
        shape = tuple(stop - start for start, stop in spans)
        # Of the dataset's own dtype (enums have names): the library converts nothing.
        block = np.empty(shape, self._dataset.dtype)
        try:
            if block.size:
                source = tuple(slice(start, stop) for start, stop in spans)
                self._dataset.read_direct(block, source_sel=source or None)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise OSError(
                    error.errno, f"chunk {coords} of {table.dataset!r}: {error}", table.file.path
                ) from error
            raise CorruptChunkError(
                f"{table.file.path}: chunk {coords} of {table.dataset!r} cannot be read: {error}",
                coords,
            ) from error
        return block.view(table.dtype)

    def make(self, coords: tuple[int, ...]) -> Stretch:
        raise PermissionError(errno.EACCES, "opened for reading only", self._table.file.path)

    def put(self, coords: tuple[int, ...], block: np.ndarray[Any, Any]) -> None:
        raise PermissionError(errno.EACCES, "opened for reading only", self._table.file.path)

    def sync(self) -> None:
        """Nothing was stored."""

    def close(self) -> None:
        """Close the file; harmless twice."""
        self._dataset = None
        self._h5.close()


def import_h5py() -> Any:
    """Import h5py, or say how to get it."""
    try:
        h5py = importlib.import_module("h5py")
    except ImportError as error:
        raise ImportError(
            "HDF5 and NetCDF-4 files are read with h5py; pip install 'oocarray[hdf5]'"
        ) from error
    # More filters, where they are installed; without them the library names the one it lacks.
    with contextlib.suppress(ImportError):
        importlib.import_module("hdf5plugin")
    return h5py


def open_h5(path: str, mode: str = "r") -> Any:
    """Open a file with h5py and say in our words why it cannot be.

    Raises
    ------
    ArrayLockedError
        Somebody has it open for writing, or for reading when `mode` is ``"r+"``.
    TruncatedFileError, FormatError
        The library says that its bytes are wrong.
    OSError
        Missing, no permission, and so on.
    """
    h5py = import_h5py()
    try:
        return h5py.File(path, mode)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        text = str(error)
        number = error.errno if isinstance(error, OSError) else None
        if number in _AGAIN and "unable to lock file" in text:
            raise locked(path, "another program has it open", "wait for that to end") from error
        if "already open for write" in text:
            advice = "close it, or run h5clear -s on it if its writer was ended by force"
            raise locked(path, "another program is writing it", advice) from error
        if "already open for read-only" in text:
            raise locked(path, "this process reads it through h5py", "close it") from error
        if number is not None:
            raise OSError(number, os.strerror(number), path) from error
        if "truncated file" in text:
            raise TruncatedFileError(f"{path} is shorter than its header says: {text}") from error
        raise FormatError(f"{path} is not a whole HDF5 file: {text}") from error


def locked(path: str, why: str, advice: str) -> ArrayLockedError:
    """The exception that says who is in the way."""
    return ArrayLockedError(errno.EWOULDBLOCK, f"{why}; {advice}", path)


def bare(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype without what h5py notes on it (the names of an enum, an encoding).

    Examples
    --------
    >>> bare(np.dtype(">i2", metadata={"enum": {"X": 1}})).metadata is None
    True
    """
    if dtype.subdtype is not None:
        return np.dtype((bare(dtype.subdtype[0]), dtype.subdtype[1]))
    if dtype.names is None or dtype.fields is None:
        return dtype if dtype.hasobject else np.dtype(dtype.str)
    fields = [dtype.fields[name] for name in dtype.names]
    return np.dtype(
        {
            "names": list(dtype.names),
            "formats": [bare(field[0]) for field in fields],
            "offsets": [field[1] for field in fields],
            "itemsize": dtype.itemsize,
        }
    )


def row_pieces(shape: tuple[int, ...], itemsize: int, most: int = _PIECE) -> tuple[Cuts, ...]:
    """Cut an array that has no chunks into whole rows of about 16 MiB.

    Examples
    --------
    >>> [cut.step for cut in row_pieces((1000, 1024, 1024), 8)]
    [2, 1024, 1024]
    >>> [cut.step for cut in row_pieces((3, 1 << 30), 8)]
    [1, 2097152]
    """
    steps = [max(extent, 1) for extent in shape]
    for axis in range(len(steps)):
        rest = math.prod(steps[axis + 1 :]) * itemsize
        steps[axis] = min(steps[axis], max(most // rest, 1))
        if steps[axis] > 1:
            break
    return tuple(Cuts(extent, step) for extent, step in zip(shape, steps, strict=True))
