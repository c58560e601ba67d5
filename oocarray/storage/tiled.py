"""An array, or a view of one, that lies in many pieces: which piece has what; it opens none."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from oocarray.grid import Chunks, Coords
from oocarray.storage.filekey import FileKey
from oocarray.storage.lines import Line, stretches
from oocarray.storage.pieces import Table
from oocarray.storage.strides import expand_index
from oocarray.storage.tilecuts import own_blocks, piece_shape

if TYPE_CHECKING:
    from oocarray.grid import Grid
    from oocarray.storage.layout import Region, Strided

__all__ = ["Part", "Tiled", "tiled"]


@dataclass(frozen=True, slots=True)
class Part:
    """What one piece has of a region."""

    piece: Coords
    keys: tuple[slice, ...]
    """Of the piece: which elements, along each axis of the table."""
    place: tuple[slice, ...]
    """Of the region: where they belong."""
    shape: tuple[int, ...]
    """Of the part, with the axes of the region."""
    axes: tuple[int, ...]
    """For each axis of the part the axis of the piece, or -1 for one that only the view has."""

    def of(self, piece: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The elements of this part, as a view of those of its piece."""
        found = _view(piece, self.keys)
        order = [axis for axis in self.axes if axis >= 0]
        rest = [axis for axis in range(piece.ndim) if axis not in order]
        return found.transpose(*order, *rest).reshape(self.shape)

    def at(self, block: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The elements of a block of the region that this part is, as a view."""
        return _view(block, self.place)

    @property
    def plain(self) -> bool:
        """Whether it begins where its piece does, with the same axes in the same direction."""
        return self.axes == tuple(range(len(self.keys))) and all(
            key.start == 0 and key.step == 1 for key in self.keys
        )

    def within(self, layout: Strided) -> Strided:
        """The same of where the piece lies."""
        found = layout.index(self.keys)
        order = [axis for axis in self.axes if axis >= 0]
        strides = tuple(0 if axis < 0 else found.strides[axis] for axis in self.axes)
        assert all(found.shape[axis] == 1 for axis in range(found.ndim) if axis not in order)
        return replace(found, shape=self.shape, strides=strides)


@dataclass(frozen=True, slots=True)
class Tiled:
    """A view of an array in pieces: any that basic indexing and transposition can make.

    Examples
    --------
    >>> from oocarray.storage.pieces import even_cuts
    >>> class Six:
    ...     cuts, dtype, file = even_cuts((6, 4), (2, 4)), np.dtype("f4"), None
    >>> x = tiled(Six())
    >>> x.shape, x.index((slice(1, 5), -1)).shape
    ((6, 4), (4,))
    >>> [part.piece for part in x.index(slice(1, 5)).parts()]
    [(0, 0), (1, 0), (2, 0)]
    """

    table: Table
    lines: tuple[Line, ...]
    """One for each axis of the view."""
    fixed: tuple[Line, ...] = ()
    """One for each axis of the table that the view lacks."""

    @property
    def file(self) -> FileKey:
        return self.table.file

    @property
    def path(self) -> str:
        """What people call it by: the folder of a Zarr array, else the file."""
        return self.file.path.removesuffix("/zarr.json").removesuffix("/.zarray")

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.table.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(line.count for line in self.lines)

    @property
    def ndim(self) -> int:
        return len(self.lines)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def order(self) -> str:
        """Blocks are had in C order, wherever their pieces lie."""
        return "C"

    @property
    def injective(self) -> bool:
        """No two indices share a byte."""
        return all((line.axis >= 0 and line.step) or line.count <= 1 for line in self.lines)

    @property
    def aligned(self) -> bool:
        """A piece that is not aligned is read, not mapped."""
        return True

    @property
    def native(self) -> bool:
        return bool(self.dtype.isnative)

    @property
    def complete(self) -> bool:
        """Whether this is the whole table, as it is."""
        return self == tiled(self.table)

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Elements of the view in one piece, along each axis at most."""
        return piece_shape(self.lines, self.table.cuts)

    def blocks(self) -> Chunks:
        """The grid of its own; see `own_blocks`."""
        table = self.table
        return own_blocks(self.lines, table.cuts, self.itemsize, table.encoded, self.path)

    def index(self, key: Any) -> Tiled:
        """The view that NumPy's basic indexing would give; see `Strided.index`."""
        keys = expand_index(key if isinstance(key, tuple) else (key,), self.ndim)
        lines: list[Line] = []
        fixed = list(self.fixed)
        axis = 0
        for item in keys:
            if item is None:
                lines.append(Line(-1, 0, 0, 1))
                continue
            line = self.lines[axis]
            if isinstance(item, slice):
                start, stop, stride = item.indices(line.count)
                count = len(range(start, stop, stride))
                first = line.start + start * line.step if count else line.start
                lines.append(Line(line.axis, first, line.step * stride, count))
            else:
                if not -line.count <= item < line.count:
                    raise IndexError(
                        f"index {item} is out of bounds for axis {axis} of {line.count} elements"
                    )
                at = line.start + (item % line.count) * line.step
                if line.axis >= 0:
                    fixed.append(Line(line.axis, at, 1, 1))
            axis += 1
        return replace(self, lines=tuple(lines), fixed=tuple(fixed))

    def transpose(self, axes: tuple[int, ...] | None = None) -> Tiled:
        """The view with its axes permuted (reversed by default)."""
        given = tuple(reversed(range(self.ndim))) if axes is None else axes
        order = [axis + self.ndim if axis < 0 else axis for axis in given]
        if sorted(order) != list(range(self.ndim)):
            raise ValueError(f"axes {given} are not a permutation of {self.ndim} axes")
        return replace(self, lines=tuple(self.lines[axis] for axis in order))

    def parts(self, region: Region | None = None) -> Iterator[Part]:
        """What each piece has of a region, or of the whole, in C order of the region."""
        spans = [(0, line.count) for line in self.lines]
        if region is not None:
            spans = [(part.start, part.stop) for part in region]
        if any(start >= stop for start, stop in spans):
            return
        cuts = self.table.cuts
        each = [
            list(stretches(line, None if line.axis < 0 else cuts[line.axis], *span))
            for line, span in zip(self.lines, spans, strict=True)
        ]
        outside = [
            (line, next(iter(stretches(line, cuts[line.axis], 0, 1)))) for line in self.fixed
        ]
        axes = tuple(line.axis for line in self.lines)
        for found in itertools.product(*each):
            piece = [0] * len(cuts)
            keys = [slice(None)] * len(cuts)
            pairs = [*zip(self.lines, found, strict=True), *outside]
            for line, (number, begin, end) in pairs:
                if line.axis < 0:
                    continue
                low, _ = cuts[line.axis].span(number)
                first = line.start + begin * line.step - low
                last = line.start + (end - 1) * line.step - low
                step = line.step or 1
                stop: int | None = last + (1 if step > 0 else -1)
                piece[line.axis] = number
                keys[line.axis] = slice(first, None if stop == -1 else stop, step)
            yield Part(
                tuple(piece),
                tuple(keys),
                tuple(
                    slice(begin - start, end - start)
                    for (_, begin, end), (start, _) in zip(found, spans, strict=True)
                ),
                tuple(end - begin for _, begin, end in found),
                axes,
            )

    def count_parts(self, region: Region) -> int:
        """How many pieces have something of a region."""
        return math.prod(
            sum(1 for _ in stretches(line, self.table.cuts[line.axis], part.start, part.stop))
            for line, part in zip(self.lines, region, strict=True)
            if line.axis >= 0
        )

    def has_whole_pieces(self, chunks: Chunks) -> bool:
        """Tell whether blocks of the view begin and end where pieces do."""
        cuts = self.table.cuts
        if any(cuts[line.axis].most > 1 for line in self.fixed):
            return False
        for line, sizes in zip(self.lines, chunks, strict=True):
            if line.axis < 0:
                continue
            cut, at = cuts[line.axis], line.start
            for size in sizes:
                if size and (line.step != 1 or cut.span(cut.find(at))[0] != at):
                    return False
                at += size
            if line.count and at != cut.extent and cut.span(cut.find(at))[0] != at:
                return False
        return True

    def block_order(self, grid: Grid) -> str:
        """Contiguity that every block has: mapped pieces have any."""
        return "A"

    def same_elements(self, other: Any) -> bool:
        """Tell whether each index names the same elements in both."""
        if not isinstance(other, Tiled) or not self.file.same_file(other.file):
            return False
        return (
            self.table.cuts == other.table.cuts
            and self.shape == other.shape
            and (
                _sorted(self.fixed) == _sorted(other.fixed)
                and all(
                    a == b or (a.count == 1 == b.count and (a.axis, a.start) == (b.axis, b.start))
                    for a, b in zip(self.lines, other.lines, strict=True)
                )
            )
        )

    def overlaps(self, other: Any) -> bool:
        """Tell whether some element may belong to both; False is proved, True may be a doubt."""
        if 0 in self.shape or 0 in other.shape:
            return False
        if not (
            self._lies_in(other.file) or (isinstance(other, Tiled) and other._lies_in(self.file))
        ):
            return False
        if not isinstance(other, Tiled) or self.table.cuts != other.table.cuts:
            return True
        mine, theirs = self._reach(), other._reach()
        return all(
            low <= far and near <= high
            for (low, high), (near, far) in zip(mine, theirs, strict=True)
        )

    @property
    def files(self) -> list[FileKey]:
        """The files that its elements lie in; of a Zarr array its metadata stand for all."""
        # Only a stack lies in several.
        several = getattr(self.table, "files", None)
        if several is None or 0 in self.shape:
            return [self.file]
        found: list[FileKey] = several(self._reach())
        return found

    def _lies_in(self, file: FileKey) -> bool:
        return any(one.same_file(file) for one in self.files)

    def _reach(self) -> list[tuple[int, int]]:
        """First and last element of each axis of the table."""
        found = [(0, 0)] * len(self.table.cuts)
        for line in (*self.lines, *self.fixed):
            if line.axis >= 0:
                ends = line.start, line.start + (line.count - 1) * line.step
                found[line.axis] = min(ends), max(ends)
        return found


def _view(array: np.ndarray[Any, Any], keys: tuple[slice, ...]) -> np.ndarray[Any, Any]:
    # Of no axes, the keys alone would give a scalar: a copy, in the machine's byte order.
    return array[keys] if keys else array[...]


def tiled(table: Table) -> Tiled:
    """The whole of a table."""
    return Tiled(table, tuple(Line(axis, 0, 1, cut.extent) for axis, cut in enumerate(table.cuts)))


def _sorted(lines: tuple[Line, ...]) -> list[tuple[int, int]]:
    return sorted((line.axis, line.start) for line in lines)
