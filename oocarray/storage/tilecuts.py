"""The blocks in which an array in pieces is best worked on; arithmetic, it knows no file."""

from __future__ import annotations

import functools
import math

from oocarray.chunking import BLOCK_BYTES, auto_chunks, floor_power
from oocarray.grid import Chunks
from oocarray.storage.lines import Line, equal, stretches
from oocarray.storage.pieces import Cuts

__all__ = ["own_blocks", "piece_shape"]

# A block of one piece is a view of it, mapped or decoded; one of several is copied together.
# Below half a MiB opening a piece costs as much as copying it.
_ALONE = 512 << 10
_JOINED = 4 << 20

_MOST_BLOCKS = 1 << 26
"""Blocks along one axis that a cut may be written out for."""


def piece_shape(lines: tuple[Line, ...], cuts: tuple[Cuts, ...]) -> tuple[int, ...]:
    """Elements of a view in one piece, along each of its axes at most."""
    return tuple(
        1 if line.axis < 0 else max(-(-cuts[line.axis].most // (abs(line.step) or 1)), 1)
        for line in lines
    )


@functools.lru_cache(maxsize=64)
def own_blocks(
    lines: tuple[Line, ...], cuts: tuple[Cuts, ...], itemsize: int, encoded: bool, name: str
) -> Chunks:
    """Cut a view of an array in pieces: a piece each, several small ones, or parts of a large one.

    Pieces of half a MiB and more are blocks; smaller ones are joined up to 4 MiB, along the last
    axis first; of more than 16 MiB equal parts are blocks, unless they must be decoded: those are
    had as a whole.

    Parameters
    ----------
    lines : tuple of Line
        The view.
    cuts : tuple of Cuts
        Of the table.
    itemsize : int
    encoded : bool
    name : str
        Of the array, for the message.

    Raises
    ------
    ValueError
        There would be more than 2**26 blocks along an axis.
    """
    extents = [
        min(most, max(line.count, 1))
        for most, line in zip(piece_shape(lines, cuts), lines, strict=True)
    ]
    elements = math.prod(extents)
    times = [1] * len(lines)
    if elements * itemsize < _ALONE:
        room = _JOINED // max(itemsize, 1)
        for axis in reversed(range(len(lines))):
            wanted = -(-lines[axis].count // extents[axis])
            times[axis] = max(min(wanted, room // elements), 1)
            if times[axis] < wanted:
                times[axis] = floor_power(times[axis])
            elements *= times[axis]
    found = tuple(_cut(line, cuts, count, name) for line, count in zip(lines, times, strict=True))
    if elements * itemsize <= BLOCK_BYTES or encoded:
        return found
    finer = auto_chunks(tuple(extents), itemsize, "C", BLOCK_BYTES)
    return tuple(
        tuple(part for size in sizes for part in equal(size, max(fine[0], 1)))
        for sizes, fine in zip(found, finer, strict=True)
    )


def _cut(line: Line, cuts: tuple[Cuts, ...], times: int, name: str) -> tuple[int, ...]:
    """Cut an axis of the view where `times` pieces end."""
    if line.axis < 0 or not line.count:
        return (line.count,)
    cut = cuts[line.axis]
    pieces = abs(line.count * (line.step or 1)) // max(cut.most, 1)
    if pieces // times > _MOST_BLOCKS:
        raise ValueError(
            f"{name}: axis {line.axis} of {cut.extent} elements has {cut.count} chunks; give "
            "chunks= of more elements"
        )
    if line.step == 1 and cut.step:
        width = cut.step * times
        first = min(width - line.start % width, line.count)
        return (first, *equal(line.count - first, width)) if first < line.count else (first,)
    sizes: list[int] = []
    for number, (_, begin, end) in enumerate(stretches(line, cut, 0, line.count)):
        if number % times:
            sizes[-1] += end - begin
        else:
            sizes.append(end - begin)
    return tuple(sizes)
