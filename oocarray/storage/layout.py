"""Where each element of an array lies in a file, as numbers; refuses to open or read the file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from oocarray.storage.filekey import FileKey
from oocarray.storage.strides import dense_strides, expand_index, some_sum_between

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oocarray.grid import Grid

__all__ = ["FileKey", "Region", "Strided"]

Region = tuple[slice, ...]
MAX_RUNS = 100_000  # a list of more would cost more than reading the holes


@dataclass(frozen=True, slots=True)
class Strided:
    """An array in one file whose elements are at ``offset + sum(index * strides)``.

    Examples
    --------
    >>> x = Strided(FileKey("/data/x.npy", 1, 2, 4192, 0), 4096, (3, 4), np.dtype("f8"), (32, 8))
    >>> x.span((slice(1, 2), slice(0, 4)))
    (4128, 4160)
    >>> column = x.index((slice(None), -1))
    >>> column.offset, column.shape, column.strides
    (4120, (3,), (32,))
    """

    file: FileKey
    offset: int
    """Byte of element [0, ..., 0]."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...]
    """Bytes, may be negative or 0."""

    @property
    def ndim(self) -> int:
        return len(self.shape)

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
        """``"F"`` when the last axis is the slowest in the file, else ``"C"``."""
        steps = [
            abs(step)
            for extent, step in zip(self.shape, self.strides, strict=True)
            if extent > 1 and step
        ]
        return "F" if steps and steps[0] < steps[-1] == max(steps) else "C"

    @property
    def contiguous(self) -> str:
        """``"C"``, ``"F"`` or ``""``, as NumPy's flags say it (``"C"`` when both hold)."""
        if 0 in self.shape:
            return "C"
        for order in ("C", "F"):
            dense = dense_strides(self.shape, self.itemsize, order)
            axes = zip(self.shape, self.strides, dense, strict=True)
            if all(extent == 1 or step == want for extent, step, want in axes):
                return order
        return ""

    @property
    def aligned(self) -> bool:
        """Every element is at a multiple of its alignment (mappings begin on page boundaries)."""
        if 0 in self.shape:
            return True
        unit = self.dtype.alignment
        axes = zip(self.shape, self.strides, strict=True)
        return self.offset % unit == 0 and all(n == 1 or step % unit == 0 for n, step in axes)

    @property
    def native(self) -> bool:
        """Every field is in this processor's byte order."""
        return bool(self.dtype.isnative)

    @property
    def injective(self) -> bool:
        """No two indices share a byte, as far as the sorted strides prove it."""
        if 0 in self.shape:
            return True
        reach = self.itemsize
        for step, extent in self._steps():
            if step < reach:
                return False
            reach += (extent - 1) * step
        return True

    def span(self, region: Region | None = None) -> tuple[int, int]:
        """Return the smallest byte range that holds the region, or the whole array.

        Parameters
        ----------
        region : tuple of slice, optional
            One slice of step 1 within the shape for each axis.

        Returns
        -------
        tuple of int
            (start, stop) in the file; (offset, offset) when the region is empty.
        """
        start = stop = self.offset
        shape = self.shape
        if region is not None:
            start, shape = self._cut(region)
            stop = start
        if 0 in shape:
            return self.offset, self.offset
        for extent, step in zip(shape, self.strides, strict=True):
            if step < 0:
                start += (extent - 1) * step
            else:
                stop += (extent - 1) * step
        return start, stop + self.dtype.itemsize

    def runs(self, region: Region | None = None, gap: int = 65536) -> list[tuple[int, int]]:
        """Return the byte ranges that hold the region, in ascending order.

        Ranges that touch, or leave fewer than `gap` bytes between them, are one.  There are at
        most 100,000: beyond that the closest ones are merged whatever lies between.

        Parameters
        ----------
        region : tuple of slice, optional
            One slice of step 1 within the shape for each axis.
        gap : int
            Bytes that are cheaper to read than to leave out.

        Examples
        --------
        >>> x = Strided(FileKey("/x", 1, 2, 96, 0), 0, (3, 4), np.dtype("f8"), (32, 8))
        >>> x.runs((slice(0, 3), slice(1, 3)), gap=0)
        [(8, 24), (40, 56), (72, 88)]
        >>> x.runs((slice(0, 3), slice(1, 3)))
        [(8, 88)]
        """
        part = self if region is None else self.region(region)
        start, stop = part.span()
        if start == stop:
            return []
        steps = part._steps()
        length = self.itemsize
        while steps and steps[0][0] - length < max(gap, 1):
            step, extent = steps.pop(0)
            length += (extent - 1) * step
        count = math.prod(extent for _, extent in steps)
        while count > MAX_RUNS:
            step, extent = steps.pop(0)
            length += (extent - 1) * step
            count //= extent
        if not steps:
            return [(start, stop)]
        starts = np.array([start], np.int64)
        for step, extent in reversed(steps):
            starts = np.add.outer(starts, np.arange(extent, dtype=np.int64) * step).ravel()
        starts.sort()
        holes = starts[1:] - starts[:-1] - length
        cuts = np.flatnonzero((holes > 0) & (holes >= gap)) + 1
        firsts = starts[np.concatenate(([0], cuts))].tolist()
        lasts = starts[np.concatenate((cuts - 1, [-1]))].tolist()
        return [(first, last + length) for first, last in zip(firsts, lasts, strict=True)]

    def region(self, region: Region) -> Strided:
        """Return the layout of a region: one slice of step 1 within the shape for each axis."""
        offset, shape = self._cut(region)
        return replace(self, offset=self.offset if 0 in shape else offset, shape=shape)

    def index(self, key: Any) -> Strided:
        """Return the layout that NumPy's basic indexing would give.

        Parameters
        ----------
        key : int, slice, None, Ellipsis or tuple of these
            Slices of any step, negative ints counted from the end.

        Raises
        ------
        IndexError
            An int outside its axis, more indices than axes, or anything that would copy
            (lists, arrays, masks).
        """
        keys = expand_index(key if isinstance(key, tuple) else (key,), self.ndim)
        offset, shape, strides, axis = self.offset, [], [], 0
        for item in keys:
            if item is None:
                shape.append(1)
                strides.append(0)
                continue
            extent, step = self.shape[axis], self.strides[axis]
            if isinstance(item, slice):
                start, stop, stride = item.indices(extent)
                count = len(range(start, stop, stride))
                offset += start * step if count else 0
                shape.append(count)
                strides.append(step * stride)
            else:
                if not -extent <= item < extent:
                    raise IndexError(
                        f"index {item} is out of bounds for axis {axis} of {extent} elements"
                    )
                offset += (item % extent) * step
            axis += 1
        # An empty result has no first byte: keep its offset where the file certainly reaches.
        offset = self.offset if 0 in shape else offset
        return replace(self, offset=offset, shape=tuple(shape), strides=tuple(strides))

    def field(self, name: str) -> Strided:
        """Return the layout of one field of a structured dtype; its sub-array becomes axes.

        Raises
        ------
        ValueError
            There is no such field.
        """
        if self.dtype.names is None or name not in self.dtype.names or self.dtype.fields is None:
            known = ", ".join(map(repr, self.dtype.names or ())) or "no fields"
            raise ValueError(f"no field {name!r} in dtype {self.dtype}: it has {known}")
        kind, offset = self.dtype.fields[name][:2]
        base = kind.base
        return replace(
            self,
            offset=self.offset + (offset if self.size else 0),
            shape=self.shape + kind.shape,
            dtype=base,
            strides=self.strides + dense_strides(kind.shape, base.itemsize, "C"),
        )

    def transpose(self, axes: tuple[int, ...] | None = None) -> Strided:
        """Return the layout with its axes permuted (reversed by default)."""
        given = tuple(reversed(range(self.ndim))) if axes is None else axes
        order = [axis + self.ndim if axis < 0 else axis for axis in given]
        if sorted(order) != list(range(self.ndim)):
            raise ValueError(f"axes {given} are not a permutation of {self.ndim} axes")
        return replace(
            self,
            shape=tuple(self.shape[axis] for axis in order),
            strides=tuple(self.strides[axis] for axis in order),
        )

    def block_order(self, grid: Grid) -> str:
        """Return the contiguity that the view of every block has: ``"C"``, ``"F"`` or ``"A"``."""
        if 0 in self.shape:
            return "C"
        lengths = [set(cuts) - {0} for cuts in grid.chunks]
        for order in ("C", "F"):
            axes = list(zip(lengths, self.strides, strict=True))
            want: int | None = self.itemsize  # None: differs from block to block
            for extents, step in reversed(axes) if order == "C" else axes:
                if max(extents) > 1 and step != want:
                    break
                want = want * min(extents) if want is not None and len(extents) == 1 else None
            else:
                return order
        return "A"

    def same_elements(self, other: Any) -> bool:
        """Tell whether each index names the same bytes in both."""
        if not isinstance(other, Strided) or not self.file.same_file(other.file):
            return False
        if (self.shape, self.itemsize) != (other.shape, other.itemsize):
            return False
        axes = zip(self.shape, self.strides, other.strides, strict=True)
        return 0 in self.shape or (
            self.offset == other.offset and all(n == 1 or mine == its for n, mine, its in axes)
        )

    def overlaps(self, other: Any) -> bool:
        """Tell whether some byte may belong to both; False is proved, True may be a doubt."""
        if not isinstance(other, Strided):  # a stack may have this file in it
            return bool(other.overlaps(self))
        if not self.file.same_file(other.file) or 0 in self.shape or 0 in other.shape:
            return False
        ranges: dict[int, tuple[int, int]] = {}
        for step, extent in self._steps():
            low, high = ranges.get(step, (0, 0))
            ranges[step] = (low, high + extent - 1)
        for step, extent in other._steps():
            low, high = ranges.get(step, (0, 0))
            ranges[step] = (low - (extent - 1), high)
        apart = other.span()[0] - self.span()[0]
        return some_sum_between(ranges, apart - self.itemsize + 1, apart + other.itemsize - 1)

    def view(self, buffer: NDArray[np.uint8], buffer_start: int) -> NDArray[Any]:
        """Return the array inside bytes of its file; shares their memory, never copies.

        Parameters
        ----------
        buffer : ndarray of uint8, 1-D
            The file's bytes from `buffer_start` on; must hold ``span()``.
        buffer_start : int
            Byte of the file that ``buffer[0]`` is.

        Raises
        ------
        ValueError
            The buffer does not hold the array.
        """
        if 0 in self.shape:
            return np.ndarray(self.shape, self.dtype, buffer=buffer[:0])
        start, stop = self.span()
        if start < buffer_start or stop > buffer_start + buffer.size:
            raise ValueError(
                f"{self.file.path}: bytes {start} to {stop} are not inside the buffer of bytes "
                f"{buffer_start} to {buffer_start + buffer.size}"
            )
        at = self.offset - buffer_start
        return np.ndarray(self.shape, self.dtype, buffer=buffer, offset=at, strides=self.strides)

    def _cut(self, region: Region) -> tuple[int, tuple[int, ...]]:
        if len(region) != self.ndim:
            raise IndexError(f"a region of {len(region)} slices for {self.ndim} axes")
        offset, shape = self.offset, []
        for part, extent, step in zip(region, self.shape, self.strides, strict=True):
            start = 0 if part.start is None else part.start
            stop = extent if part.stop is None else part.stop
            if not 0 <= start <= stop <= extent or part.step not in (None, 1):
                raise IndexError(f"region {region} is not inside shape {self.shape} with steps 1")
            offset += start * step
            shape.append(stop - start)
        return offset, tuple(shape)

    def _steps(self) -> list[tuple[int, int]]:
        """(step, extent) of the axes that spread bytes, steps positive and ascending."""
        axes = zip(self.shape, self.strides, strict=True)
        return sorted((abs(step), extent) for extent, step in axes if extent > 1)
