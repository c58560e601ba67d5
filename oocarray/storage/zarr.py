"""Zarr arrays as tables of pieces: by chunk, by shard or through its codecs; parses no metadata."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from oocarray.storage.files import PathLike
from oocarray.storage.opened import Opened
from oocarray.storage.pieces import Table
from oocarray.storage.zarrgroups import open_zarr
from oocarray.storage.zarrrecord import ZarrArray

__all__ = ["open_zarr_array", "zarr_table"]


def zarr_table(array: ZarrArray) -> Table:
    """Where the chunks of an array are."""
    if array.encoded:
        from oocarray.storage.zarrcodecs import EncodedTable

        return EncodedTable(array)
    if array.inner is None:
        from oocarray.storage.zarrchunks import ChunkTable

        return ChunkTable(array)
    from oocarray.storage.zarrshards import ShardTable

    return ShardTable(array)


def open_zarr_array(path: PathLike, dataset: str | None = None) -> Opened:
    """Find an array of Zarr, by its folder or by its name in a group; see `open_zarr`.

    Parameters
    ----------
    path, dataset
        As `open_zarr`.

    Raises
    ------
    FormatError, DtypeError, OSError
        As `open_zarr`.
    """
    opened = open_zarr(path, dataset)
    array: Any = opened.place
    table = zarr_table(array)
    return replace(opened, place=table, kind=table.kind)
