"""The leaves of a reduction: the fixed cut it is summed over; never looks at data.

A function of shape, axes, item sizes and layout alone: memory, workers and schedulers have no
say, so that a result has the same bits under any of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from oocarray.chunking import LEAF_BYTES, auto_chunks, floor_power, refine
from oocarray.grid import Chunks, Order, fastest_first

__all__ = ["leaf_chunks"]

# A leaf is at least so many times its partial: what is kept of an array is then under 2 %.
_LEAF_RATIO = 64
# Below four pages in a run, a good part of each page fetched is its neighbour's.
_RUN_BYTES = 16 << 10


def leaf_chunks(
    shape: Sequence[int],
    axes: Iterable[int],
    itemsize: int,
    order: Order = "C",
    partial_itemsize: int = 16,
) -> Chunks:
    """Cut an array into the leaves of a reduction over `axes`.

    A leaf is about `LEAF_BYTES` of input, and as far as the reduced axes reach, at least 64
    times its partial (the last leaf along an axis may fall short); a large partial makes
    larger leaves.

    Parameters
    ----------
    shape : tuple of int
    axes : tuple of int
        The reduced axes, not negative; all of them for a full reduction.
    itemsize : int
        Bytes per element of the input.
    order : {"C", "F"}
        Layout of the input.
    partial_itemsize : int
        Bytes per kept element of a partial.

    Returns
    -------
    tuple of tuple of int

    Raises
    ------
    ValueError
        One of `axes` is not an axis of `shape`.

    Examples
    --------
    >>> leaf_chunks((1000, 1000), (0, 1), itemsize=8)[0][:2]
    (128, 128)
    >>> wide = leaf_chunks((4096, 65536), (0,), itemsize=8)
    >>> wide[0][0], wide[1][0]
    (128, 2048)
    """
    shape = tuple(shape)
    reduced = set(axes)
    if not reduced <= set(range(len(shape))):
        raise ValueError(f"axes {tuple(sorted(reduced))} of an array of {len(shape)} axes")
    itemsize = max(itemsize, 1)
    cut = auto_chunks(shape, itemsize, order, LEAF_BYTES)
    extents = [pieces[0] for pieces in cut]
    inner = [axis for axis in fastest_first(len(shape), order) if axis in reduced]
    kept = [axis for axis in fastest_first(len(shape), order) if axis not in reduced]
    enough = -(-_LEAF_RATIO * partial_itemsize // itemsize)
    depth = math.prod(extents[axis] for axis in inner)
    if 0 in shape or depth >= min(enough, math.prod(shape[axis] for axis in inner)):
        return cut
    depth = _grow(extents, inner, shape, enough)
    room = max(LEAF_BYTES // (depth * itemsize), 1)
    if kept[:1] == list(fastest_first(len(shape), order))[:1]:
        # A leaf of 2 MiB rather than runs of less than four pages.
        room = max(room, min(_RUN_BYTES // itemsize, 2 * room))
    for axis in kept:
        extents[axis] = shape[axis] if shape[axis] <= room else floor_power(room)
        room = max(room // extents[axis], 1)
    return refine(tuple((extent,) for extent in shape), extents)


def _grow(extents: list[int], axes: list[int], shape: tuple[int, ...], enough: int) -> int:
    """Lengthen `axes`, the first ones first, until their product is `enough`; return it."""
    product = math.prod(extents[axis] for axis in axes)
    for axis in axes:
        if product >= enough:
            break
        product //= extents[axis]
        # Powers of two: leaves of several reductions of an array then lie within each other.
        extents[axis] = min(shape[axis], 2 * floor_power(-(-enough // product) - 1))
        product *= extents[axis]
    return product
