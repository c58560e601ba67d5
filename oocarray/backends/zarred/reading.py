"""Reads regions as users of zarr-python and NumPy do, once for each block; it writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...grid import Coords, Grid, Region
from ...operations.base import extents
from ...operations.single import within
from ...plan import Access, InMemory, Result
from ...runtime.piecewise import Piecewise
from ...storage.files import open_regular
from ...storage.layout import Strided
from ...storage.pieces import Table
from ...storage.tiled import Tiled
from ...storage.zarrtable import ZarrTable
from .places import ZarrView, opened_zarr

__all__ = ["ItemReaders", "Sources"]

Block = np.ndarray[Any, Any]
_KEPT_BYTES = 256 << 20
"""More than this is not read at once where only parts are asked for, nor kept for the block."""


class Sources:
    """Everything that a run reads, opened when it is first asked for.

    Parameters
    ----------
    results : mapping
        What earlier stages have made, by the numbers of stage and write.
    """

    def __init__(self, results: Mapping[tuple[int, int], Block]) -> None:
        self._results = results
        self._maps: dict[tuple[int, int], Block] = {}
        self._zarrs: dict[ZarrTable, Any] = {}
        self._pieces: dict[Table, Piecewise] = {}

    def read(self, source: Any, region: Region) -> Block:
        """A region: a copy of what lies in a file, a view of what lies in memory; read-only."""
        found = self._read(source, region)
        if found.flags.writeable:
            found = found.view()
            found.flags.writeable = False
        return found

    def _read(self, source: Any, region: Region) -> Block:
        if isinstance(source, Result):
            return np.asarray(self._results[source.stage, source.write][region or ...])
        if isinstance(source, InMemory):
            return source.array[region] if region else source.array[...]
        if 0 in extents(region):
            return np.empty(extents(region), source.dtype)
        if isinstance(source, Strided):
            return np.array(source.region(region).view(self._mapped(source), 0))
        if not isinstance(source, Tiled):
            raise NotImplementedError(
                f"backend='zarr' cannot do {type(source).__name__}: it is neither in a file nor "
                "in memory; backend='mapped' does"
            )
        if isinstance(source.table, ZarrTable):
            return ZarrView(source, self._zarr(source.table)).read(region)
        return self._decoded(source, region)

    def _mapped(self, source: Strided) -> Block:
        """All bytes of a file."""
        key = source.file.dev, source.file.ino
        if key not in self._maps:
            with open(source.file.path, "rb", opener=_regular) as stream:
                source.file.check_open(stream.fileno())
                self._maps[key] = np.asarray(np.memmap(stream, np.uint8, "r"))
        return self._maps[key]

    def _zarr(self, table: ZarrTable) -> Any:
        if table not in self._zarrs:
            self._zarrs[table] = opened_zarr(table, "r")
        return self._zarrs[table]

    def _decoded(self, source: Tiled, region: Region) -> Block:
        """Of HDF5 chunks, stacks and the like, by our own reader: zarr-python has none."""
        table = source.table
        if table not in self._pieces:
            self._pieces[table] = Piecewise(table.open(False), False)
        lent = self._pieces[table].read(source, region)
        try:
            return np.array(lent.block)
        finally:
            lent.release()

    def close(self) -> None:
        for pieces in self._pieces.values():
            pieces.close()
        self._pieces.clear()
        self._maps.clear()
        self._zarrs.clear()


class ItemReaders:
    """The readers of a stage's accesses; what a block needs of a source is read once for it."""

    def __init__(self, sources: Sources, reads: tuple[Access, ...], grid: Grid) -> None:
        self._sources, self._reads, self._grid = sources, reads, grid
        self._coords: Coords = ()
        self._boxes: dict[int, list[Region]] = {}
        self._kept: list[tuple[Any, Region, Block]] = []
        self._bytes = 0

    def new_item(self, coords: Coords) -> None:
        """Forget what the block before has needed."""
        self._coords, self._bytes = coords, 0
        self._boxes.clear()
        self._kept.clear()

    def readers(self) -> list[Callable[[Region], Block]]:
        return [self._reader(number) for number in range(len(self._reads))]

    def _reader(self, number: int) -> Callable[[Region], Block]:
        source: Any = self._reads[number].source

        def read(region: Region) -> Block:
            if isinstance(source, (InMemory, Result)):
                return self._sources.read(source, region)
            for owner, place, block in self._kept:
                if owner is source and _inside(region, place):
                    return block if place == region else block[within(region, place)]
            place = self._larger(number, region, source.itemsize)
            block = self._sources.read(source, place)
            self._keep(source, place, block)
            return block if place == region else block[within(region, place)]

        return read

    def _larger(self, number: int, region: Region, itemsize: int) -> Region:
        """All that the block needs around a region, where that is no more than can be kept."""
        if number not in self._boxes:
            access = self._reads[number]
            self._boxes[number] = access.box(self._grid, self._coords, self._coords)
        for box in self._boxes[number]:
            if _inside(region, box) and np.prod(extents(box)) * itemsize <= _KEPT_BYTES:
                return box
        return region

    def _keep(self, source: Any, place: Region, block: Block) -> None:
        self._kept.append((source, place, block))
        self._bytes += block.nbytes
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= self._kept.pop(0)[2].nbytes


def _inside(region: Region, place: Region) -> bool:
    return all(a.start >= b.start and a.stop <= b.stop for a, b in zip(region, place, strict=True))


def _regular(path: str, flags: int) -> int:
    return open_regular(path)
