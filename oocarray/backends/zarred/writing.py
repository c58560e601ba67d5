"""Writes blocks where they belong: Zarr by zarr-python, files through memmap; reads no source."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...grid import Region
from ...plan import InMemory
from ...runtime.shared import lasting
from ...storage.draft import Unpublished
from ...storage.filekey import MEMORY
from ...storage.files import open_regular
from ...storage.layout import Strided
from ...storage.tiled import Tiled
from ...storage.zarrtable import ZarrTable
from ..ending import descriptors, sync_changed
from .places import ZarrView, opened_zarr

__all__ = ["Targets"]

Block = np.ndarray[Any, Any]
Put = Callable[[Region, Block], None]


class Targets:
    """Where a run writes to.

    Parameters
    ----------
    drafts : sequence of Unpublished
        New files; those without a name yet are written through their descriptors.
    """

    def __init__(self, drafts: Sequence[Unpublished]) -> None:
        self._fds = descriptors(drafts)
        self._maps: dict[tuple[int, int], np.memmap[Any, Any]] = {}
        self._drafts = drafts
        self._folders: set[str] = set()

    def put(self, target: Any) -> Put:
        """A function that stores a block at its region.

        Raises
        ------
        NotImplementedError
            Neither NumPy nor zarr-python writes there.
        """
        if isinstance(target, InMemory):
            return _into(target.array)
        if isinstance(target, Strided):
            return _into(target.view(self._mapped(target), 0)) if target.size else _nothing
        if isinstance(target, Tiled) and isinstance(target.table, ZarrTable):
            self._folders.add(target.table.array.folder)
            return ZarrView(target, opened_zarr(target.table, "r+")).write
        kind = target.table.kind if isinstance(target, Tiled) else type(target).__name__
        raise NotImplementedError(
            f"backend='zarr' cannot do store into {kind}: zarr-python and NumPy do not write it; "
            "backend='mapped' does"
        )

    def _mapped(self, target: Strided) -> Block:
        key = target.file.dev, target.file.ino
        if key not in self._maps:
            # What is kept in memory has no name either.
            kept = target.file.path == MEMORY
            known = lasting(target.file) if kept else self._fds.get(key)
            fd = open_regular(target.file.path, True) if known is None else os.dup(known)
            with open(fd, "r+b") as stream:
                if known is None:
                    target.file.check_open(fd)
                self._maps[key] = np.memmap(stream, np.uint8, "r+")
        return np.asarray(self._maps[key])

    def sync(self) -> None:
        """Have what was stored on the disk."""
        for mapped in self._maps.values():
            mapped.flush()
        sync_changed(self._folders, self._drafts)

    def close(self) -> None:
        self._maps.clear()


def _into(array: Block) -> Put:
    def put(region: Region, block: Block) -> None:
        array[region or ...] = block

    return put


def _nothing(region: Region, block: Block) -> None:
    """Of an array without elements nothing is stored."""
