"""Writes blocks of memory to the exact bytes of a file that they belong to; it maps no page.

Two tasks on two machines may store into the same page.  Whoever maps it writes all of it back,
with what the other's bytes were before; ``pwrite`` writes what it is given.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ...grid import Coords, Grid, Region
from ...operations.base import extents
from ...pages import calls
from ...plan import InMemory
from ...storage.layout import Strided
from ...storage.tiled import Part, Tiled
from ..buffers import Buffers
from ..evaluate import Block
from ..files import Files
from ..piecewise import Lent, Piecewise, write_from
from ..tiling import TileWriter, is_empty

__all__ = ["KeptWriter", "PlacedTiles", "PlacedWriter", "place"]


Key = tuple[tuple[int, int], ...]


_ALIGNED = 64


@dataclass(slots=True)
class _Held:
    """A block in memory, and where it goes."""

    block: Block
    region: Region


def _key(region: Region) -> Key:
    return tuple([(part.start, part.stop) for part in region])


class PlacedWriter:
    """Blocks of one stored array: made in memory, written when their task lets go of them.

    Parameters
    ----------
    target : Strided
    grid : Grid
        Of the blocks.
    files : Files
    old : bool
        Whether blocks begin with what the file holds: what a function leaves out stays.
    zeros : bool
        Whether blocks of a new file must begin with zeros, as a function may leave some out.
    """

    itemwise = True
    stream = True
    """Blocks are lent to tasks, whatever the policy."""

    def __init__(self, target: Strided, grid: Grid, files: Files, old: bool, zeros: bool) -> None:
        self.grid, self.target, self._old, self._zeros = grid, target, old, zeros
        self._fd = files.fd(target.file)
        self._memory = Buffers()
        self._blocks: dict[Key, Block] = {}

    def lend(self, regions: list[Region], lent: list[_Held]) -> None:
        """Have blocks that a task stores into; they go to `lent`."""
        regions = [region for region in regions if not is_empty(region)]
        parts = [self.target.region(region) for region in regions]
        sizes = [-(-part.nbytes // _ALIGNED) * _ALIGNED for part in parts]
        # One piece of memory for all of them: many small ones would be new each time.
        zeros = self._zeros and not self._old
        memory = self._memory.take((sum(sizes),), np.dtype(np.uint8), zeros=zeros)
        at = 0
        for region, part, size in zip(regions, parts, sizes, strict=True):
            lent.append(_Held(self._one(part, memory[at : at + part.nbytes]), region))
            self._blocks[_key(region)] = lent[-1].block
            at += size

    def _one(self, part: Strided, memory: Block) -> Block:
        block = memory.view(part.dtype).reshape(part.shape)
        if self._old:
            start, stop = part.span()
            # Memory that is not touched is not there: of the bytes between runs there is none.
            held = np.empty(stop - start, np.uint8)
            for low, high in part.runs(gap=calls.PAGE):
                _read(self._fd, held[low - start : high - start], low, part.file.path)
            block[...] = part.view(held, start)
        return block

    def bring(self, regions: list[Region]) -> None:
        """Nothing stays for the whole of a stage."""
        raise AssertionError(f"blocks are lent: {regions}")

    def block(self, coords: Coords, lent: list[_Held]) -> Block:
        region = self.grid.region(coords)
        if is_empty(region):
            return np.empty(extents(region), self.target.dtype)
        return self._blocks[_key(region)]

    def start_writing(self, lent: list[_Held]) -> None:
        """It begins in `retire`, on another thread."""

    def retire(self, lent: list[_Held]) -> int:
        """Write the blocks; nothing is looked at afterwards.

        Raises
        ------
        OSError
            They could not be written.
        """
        for one in lent:
            del self._blocks[_key(one.region)]
            part = self.target.region(one.region)
            place(self._fd, part, one.block)
            start, stop = part.span()
            first = start - start % calls.PAGE
            calls.start_writing(self._fd, first, stop - first)
        lent.clear()
        return 0

    def sync(self) -> None:
        """Have all that was written on the disk."""
        os.fdatasync(self._fd)


@dataclass(slots=True)
class KeptWriter:
    """Blocks that the caller wants in memory: they travel back with the task's answer."""

    target: InMemory | Any
    grid: Grid
    made: list[tuple[Coords, Block]] = field(default_factory=list)

    itemwise: ClassVar[bool] = True
    stream: ClassVar[bool] = True

    def lend(self, regions: list[Region], lent: list[_Held]) -> None:
        """It is made when it is asked for; that there is a list says that something is stored."""

    def bring(self, regions: list[Region]) -> None:
        raise AssertionError(f"blocks are lent: {regions}")

    def block(self, coords: Coords, lent: list[_Held]) -> Block:
        block = np.zeros(extents(self.grid.region(coords)), self.target.dtype)
        self.made.append((coords, block))
        return block

    def start_writing(self, lent: list[_Held]) -> None:
        """There is no file."""

    def retire(self, lent: list[_Held]) -> int:
        return 0

    def sync(self) -> None:
        """There is no file."""


class PlacedTiles(TileWriter):
    """As its base, but pieces are never mapped, whatever file they share."""

    def __init__(self, target: Tiled, grid: Grid, pieces: Piecewise, old: bool) -> None:
        super().__init__(target, grid, pieces, old=old, stream=False)
        self._blocks: dict[Key, Block] = {}

    def _one(self, region: Region) -> Lent:
        parts = list(self._view.parts(region))
        block = self._pieces.memory.take(extents(region), self._view.dtype, zeros=True)
        if self._old:
            self._pieces.fill(self._view, block, parts)
        self._blocks[_key(region)] = block
        return Lent(block, region, parts=parts)

    def block(self, coords: Coords, lent: list[Lent]) -> Block:
        region = self.grid.region(coords)
        known = self._blocks.get(_key(region))
        return super().block(coords, lent) if known is None else known

    def retire(self, lent: list[Lent]) -> int:
        for one in lent:
            self._blocks.pop(_key(one.region), None)
        return super().retire(lent)

    def _store(self, part: Part, block: Block) -> None:
        if self._view.table.encoded:
            super()._store(part, block)
            return
        found = self._pieces.pieces.make(part.piece)
        place(found.fd, part.within(found.layout), block)

    def sync(self) -> None:
        """Have all that was written on the disk."""
        self._pieces.pieces.sync()


def place(fd: int, layout: Strided, block: Block) -> None:
    """Write a block to its elements in a file, run by run.

    Examples
    --------
    >>> import tempfile
    >>> from oocarray.storage.filekey import FileKey
    >>> with tempfile.TemporaryFile() as file:
    ...     key = FileKey.of(file.fileno(), "x")
    ...     layout = Strided(key, 1, (2, 2), np.dtype("u1"), (4, 1))
    ...     place(file.fileno(), layout, np.array([[1, 2], [3, 4]], np.uint8))
    ...     os.pread(file.fileno(), 9, 0)
    b'\\x00\\x01\\x02\\x00\\x00\\x03\\x04'
    """
    if not layout.size:
        return
    axes = [axis for axis in range(layout.ndim) if layout.shape[axis] > 1]
    axes.sort(key=lambda axis: -abs(layout.strides[axis]))
    rest = [axis for axis in range(layout.ndim) if layout.shape[axis] == 1]
    order = [*rest, *axes]
    turned = tuple(slice(None, None, -1 if layout.strides[axis] < 0 else 1) for axis in order)
    data = np.ascontiguousarray(block.transpose(order)[turned] if order else block)
    size, outer = layout.itemsize, list(axes)
    while outer and abs(layout.strides[outer[-1]]) == size:
        size *= layout.shape[outer.pop()]
    flat = data.reshape(-1).view(np.uint8).data
    starts = np.array([layout.span()[0]], np.int64)
    for axis in outer:
        steps = np.arange(layout.shape[axis], dtype=np.int64) * abs(layout.strides[axis])
        starts = np.add.outer(starts, steps).reshape(-1)
    for number, start in enumerate(starts.tolist()):
        write_from(fd, flat[number * size : (number + 1) * size], start)


def _read(fd: int, place: Block, start: int, path: str) -> None:
    rest = place.data
    while rest:
        done = os.preadv(fd, [rest], start)
        if not done:
            raise OSError(5, "the file ends before the array does", path)
        rest, start = rest[done:], start + done
