"""Reads and writes views of Zarr arrays by zarr-python, by region; it opens no other format."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np

from ...grid import Region
from ...operations.base import extents
from ...storage.files import open_regular
from ...storage.tiled import Tiled
from ...storage.zarrtable import ZarrTable

__all__ = ["ZarrView", "opened_zarr"]

Block = np.ndarray[Any, Any]


def opened_zarr(table: ZarrTable, mode: Literal["r", "r+"]) -> Any:
    """The array of zarr-python that a table describes.

    Raises
    ------
    ImportError
        zarr-python is not installed.
    InputChangedError
        The array is not the one that was opened.
    """
    try:
        import zarr
    except ImportError as error:
        raise ImportError("this needs zarr-python: pip install zarr") from error
    fd = open_regular(table.file.path)
    try:
        table.file.check_open(fd)
    finally:
        os.close(fd)
    # As our own writer does, which compares no chunk with the fill value before it is stored.
    with zarr.config.set({"array.write_empty_chunks": True}):
        return zarr.open_array(table.array.folder, mode=mode)


class ZarrView:
    """A view, as oocarray describes it, of an array that zarr-python has opened.

    Examples
    --------
    >>> from oocarray.storage.pieces import even_cuts
    >>> from oocarray.storage.tiled import tiled
    >>> class Six:
    ...     cuts, dtype, file = even_cuts((6, 4), (2, 4)), np.dtype("i8"), None
    >>> data = np.arange(24).reshape(6, 4)
    >>> view = tiled(Six()).index((slice(None, None, -2), None, 1)).transpose()
    >>> ZarrView(view, data).read((slice(0, 1), slice(1, 3)))
    array([[13,  5]])
    >>> ZarrView(view, data).write((slice(0, 1), slice(1, 3)), np.array([[-1, -2]]))
    >>> data[:, 1]
    array([ 1, -2,  9, -1, 17, 21])
    """

    def __init__(self, view: Tiled, array: Any) -> None:
        self._view, self._array = view, array
        self._there = [axis for axis, line in enumerate(view.lines) if line.axis >= 0]
        """Axes of the view that the array has too."""
        order = [line.axis for line in view.lines if line.axis >= 0]
        order += [line.axis for line in view.fixed]
        self._order = order

    def read(self, region: Region) -> Block:
        """The elements of a region, in memory of their own where they are not broadcast."""
        keys, flips = self._keys(region)
        found = np.asarray(self._array[keys])[flips].transpose(self._order)
        shape = tuple(
            1 if line.axis < 0 or not line.step else part.stop - part.start
            for line, part in zip(self._view.lines, region, strict=True)
        )
        return np.broadcast_to(
            found.reshape(shape).astype(self._view.dtype, copy=False), extents(region)
        )

    def write(self, region: Region, block: Block) -> None:
        """Store a block; of a chunk that is not written whole, zarr-python reads the rest."""
        keys, flips = self._keys(region)
        own = np.asarray(block).astype(self._view.dtype, copy=False)
        shape = tuple(own.shape[axis] for axis in self._there) + (1,) * len(self._view.fixed)
        back: Any = np.argsort(self._order, kind="stable") if self._order else []
        self._array[keys] = own.reshape(shape).transpose(back)[flips]

    def _keys(self, region: Region) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """What to ask of the array, in ascending order, and what to turn round of that."""
        count = len(self._view.table.cuts)
        keys, flips = [slice(None)] * count, [slice(None)] * count
        for line in self._view.fixed:
            keys[line.axis] = slice(line.start, line.start + 1)
        for line, part in zip(self._view.lines, region, strict=True):
            if line.axis < 0:
                continue
            first = line.start + part.start * line.step
            last = line.start + (part.stop - 1) * line.step
            keys[line.axis] = slice(min(first, last), max(first, last) + 1, abs(line.step) or 1)
            if line.step < 0:
                flips[line.axis] = slice(None, None, -1)
        return tuple(keys), tuple(flips)
