"""From what a caller writes for ``chunks=``, or writes nothing, to a full cut; never looks at data.

Every function here is arithmetic on shapes: memory, workers and schedulers have no say, so
that the blocks a user function sees, and the leaves a reduction is summed over, depend on the
array alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import index
from typing import Any

import numpy as np

from oocarray.grid import Chunks, Order, fastest_first
from oocarray.units import parse_bytes

__all__ = [
    "BLOCK_BYTES",
    "LEAF_BYTES",
    "auto_chunks",
    "broadcast_shape",
    "common_chunks",
    "floor_power",
    "normalize_chunks",
    "refine",
    "suggest_chunks",
]

# Large beside what a call into a worker costs, small beside any budget worth setting.
BLOCK_BYTES = 16 << 20
# Fits a second-level cache, so that a second pass over a leaf does not go to memory.
LEAF_BYTES = 1 << 20


def normalize_chunks(
    chunks: Any,
    shape: Sequence[int],
    itemsize: int,
    order: Order = "C",
    previous: Chunks | None = None,
) -> Chunks:
    """Spell out `chunks` as extents along every axis.

    Parameters
    ----------
    chunks : int, str, None, sequence or mapping
        One specification for all axes, a sequence with one per axis, or a mapping from axes
        (negative ones count from the end) to specifications.  A specification is

        * an int: pieces of that extent, the last one shorter; -1: the whole axis;
        * None: as in `previous`, or the whole axis;
        * a sequence of ints: the extents;
        * ``"auto"``: so that a block is about `BLOCK_BYTES`, in long runs; or the bytes of a
          block, such as ``"4 MiB"``.

        None or ``"auto"`` alone is `auto_chunks`.  Axes that a mapping leaves out are None.  For
        an array of one axis, a sequence of ints is its extents.
    shape : tuple of int
    itemsize : int
        Bytes per element; only text needs it.
    order : {"C", "F"}
        Layout of the array, for ``"auto"``.
    previous : tuple of tuple of int, optional
        The present cut.

    Returns
    -------
    tuple of tuple of int

    Raises
    ------
    ValueError
        The specification is not one of the above or does not add up to `shape`.

    Examples
    --------
    >>> normalize_chunks((2, -1), (5, 6), itemsize=8)
    ((2, 2, 1), (6,))
    >>> normalize_chunks({-1: 4}, (5, 6), itemsize=8, previous=((3, 2), (6,)))
    ((3, 2), (4, 2))
    >>> normalize_chunks("64 B", (5, 6), itemsize=8)
    ((1, 1, 1, 1, 1), (6,))
    """
    shape = _extents(shape)
    ndim = len(shape)
    if previous is not None and tuple(map(sum, previous)) != shape:
        raise ValueError(f"previous chunks add up to {tuple(map(sum, previous))}, not to {shape}")
    specs = _per_axis(chunks, shape)
    if ndim == 0:
        return ()
    target, cuts, free = None, list[tuple[int, ...]](), []
    for axis, spec in enumerate(specs):
        if isinstance(spec, str):
            free.append(axis)
            cuts.append(())
            if spec != "auto":
                if target not in (None, parse_bytes(spec)):
                    raise ValueError(f"chunks={chunks!r} asks for two sizes of a block; write one")
                target = parse_bytes(spec)
        elif spec is None:
            cuts.append((shape[axis],) if previous is None else tuple(previous[axis]))
        else:
            cuts.append(_cut(spec, shape[axis], axis))
    if free:
        fixed = math.prod(max(cut) for cut in cuts if cut)
        target = BLOCK_BYTES if target is None else target
        extents = _auto(shape, free, itemsize * fixed, order, target)
        for axis in free:
            cuts[axis] = _equal(shape[axis], extents[axis])
    return tuple(cuts)


def auto_chunks(
    shape: Sequence[int], itemsize: int, order: Order = "C", target: int = BLOCK_BYTES
) -> Chunks:
    """Cut an array into contiguous runs of at most `target` bytes.

    The slowest axis is cut; where one row of it is larger than `target`, into single rows, and
    the next axis is cut too.  Extents are powers of two: of two cuts of an array the finer
    refines the coarser, whatever their targets.

    Parameters
    ----------
    shape : tuple of int
    itemsize : int
        Bytes per element.
    order : {"C", "F"}
        Whether the first axis is slowest, or the last.
    target : int
        Bytes.

    Returns
    -------
    tuple of tuple of int

    Examples
    --------
    >>> auto_chunks((5000, 1000), itemsize=8)
    ((2048, 2048, 904), (1000,))
    >>> auto_chunks((5000, 1000), itemsize=8, target=1 << 20)[0][:2]
    (128, 128)
    """
    shape = _extents(shape)
    extents = _auto(shape, range(len(shape)), itemsize, order, target)
    return tuple(map(_equal, shape, extents))


def suggest_chunks(shape: Sequence[int], itemsize: int, order: Order = "C") -> Chunks:
    """Return the cut to recommend where a caller's own reads pages many times over.

    Examples
    --------
    >>> suggest_chunks((4096, 4096), itemsize=4)
    ((1024, 1024, 1024, 1024), (4096,))
    """
    return auto_chunks(shape, itemsize, order)


def refine(chunks: Chunks, piece_shape: Sequence[int]) -> Chunks:
    """Cut every piece further, into pieces of at most `piece_shape`.

    Parameters
    ----------
    chunks : tuple of tuple of int
    piece_shape : tuple of int
        Largest extent along each axis, at least 1.

    Raises
    ------
    ValueError
        `piece_shape` has another number of axes, or an extent below 1.

    Examples
    --------
    >>> refine(((5, 4), (3,)), (2, 8))
    ((2, 2, 1, 2, 2), (3,))
    """
    if len(piece_shape) != len(chunks) or min(piece_shape, default=1) < 1:
        raise ValueError(
            f"pieces of {tuple(piece_shape)} elements for {len(chunks)} axes; give each axis at "
            "least 1"
        )
    return tuple(
        tuple(chain.from_iterable(_equal(extent, most) for extent in axis))
        for axis, most in zip(chunks, piece_shape, strict=True)
    )


def broadcast_shape(*shapes: Sequence[int]) -> tuple[int, ...]:
    """Shape that arrays of `shapes` have together, by NumPy's rule.

    Raises
    ------
    ValueError
        They do not go together; names the shapes.

    Examples
    --------
    >>> broadcast_shape((5, 1), (6,), ())
    (5, 6)
    """
    together = [1] * max(map(len, shapes), default=0)
    for shape in shapes:
        for axis, extent in enumerate(shape, len(together) - len(shape)):
            if together[axis] == 1:
                together[axis] = index(extent)
            elif extent not in (1, together[axis]):
                names = " and ".join(str(tuple(shape)) for shape in shapes)
                raise ValueError(f"shapes {names} do not broadcast: {extent} and {together[axis]}")
    return tuple(together)


def common_chunks(arrays: Sequence[tuple[Sequence[int], int, Order]]) -> Chunks:
    """One cut for arrays that nobody has cut: blocks that are about 16 MiB together.

    Parameters
    ----------
    arrays : sequence of (shape, itemsize, order)
        What decides is, among the arrays that have the broadcast shape (among all when none
        has), the sum of the itemsizes and the order of the first: so a function of ten arrays
        needs no more memory than one of two.

    Returns
    -------
    tuple of tuple of int
        A cut of the broadcast shape.

    Raises
    ------
    ValueError
        The shapes do not broadcast.

    Examples
    --------
    >>> common_chunks([((4096, 4096), 2, "C"), ((4096, 4096), 4, "C"), ((1, 4096), 8, "C")])
    ((512, 512, 512, 512, 512, 512, 512, 512), (4096,))
    """
    shape = broadcast_shape(*(array[0] for array in arrays))
    full = [array for array in arrays if tuple(array[0]) == shape] or list(arrays)
    if not full:
        return ()
    return auto_chunks(shape, sum(itemsize for _, itemsize, _ in full), full[0][2])


def _extents(shape: Sequence[int]) -> tuple[int, ...]:
    extents = tuple(map(index, shape))
    if min(extents, default=0) < 0:
        raise ValueError(f"a shape has no negative extents: {extents}")
    return extents


def _per_axis(chunks: Any, shape: tuple[int, ...]) -> Sequence[Any]:
    ndim = len(shape)
    if isinstance(chunks, np.ndarray):
        chunks = chunks.tolist()
    if isinstance(chunks, Mapping):
        named: dict[int, Any] = {}
        for axis, spec in chunks.items():
            if not -ndim <= index(axis) < ndim:
                raise ValueError(f"chunks={chunks!r} names axis {axis} of {ndim}")
            if named.setdefault(index(axis) % ndim, spec) is not spec:
                raise ValueError(f"chunks={chunks!r} names axis {axis} twice")
        return [named.get(axis) for axis in range(ndim)]
    if chunks is None:
        return ["auto"] * ndim
    if not isinstance(chunks, (list, tuple)):
        return [chunks] * ndim
    if ndim == 0:
        return ()
    if not chunks and not any(shape):
        return [(0,)] * ndim
    if ndim == 1 and len(chunks) > 1 and not any(_many(spec) for spec in chunks):
        return [chunks]
    if len(chunks) != ndim:
        raise ValueError(f"chunks={chunks!r} has {len(chunks)} entries for {ndim} axes {shape}")
    return chunks


def _many(spec: object) -> bool:
    return isinstance(spec, (list, tuple, np.ndarray))


def _cut(spec: Any, extent: int, axis: int) -> tuple[int, ...]:
    if not _many(spec):
        size = _whole(spec, axis)
        if size == -1 or extent == 0:
            return (extent,)
        if size < 1:
            raise ValueError(f"chunks of {size} elements along axis {axis}; at least 1, or -1")
        return _equal(extent, size)
    pieces = tuple(_whole(piece, axis) for piece in spec)
    if not pieces or min(pieces) < 0 or sum(pieces) != extent:
        raise ValueError(
            f"chunks {_short(pieces)} along axis {axis} add up to {sum(pieces)}, not to its "
            f"{extent} elements"
        )
    return pieces


def _short(pieces: tuple[int, ...]) -> str:
    return str(pieces) if len(pieces) <= 8 else f"({', '.join(map(str, pieces[:8]))}, ...)"


def _whole(size: Any, axis: int) -> int:
    # Whole floats come out of divisions; dask takes them too.
    try:
        if not isinstance(size, (bool, np.bool_)) and int(size) == size:
            return int(size)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"chunks along axis {axis} are whole numbers, -1, None or text, not {size!r}")


def _equal(extent: int, most: int) -> tuple[int, ...]:
    if extent <= most:
        return (extent,)
    rest = extent % most
    return (most,) * (extent // most) + ((rest,) if rest else ())


def _auto(
    shape: tuple[int, ...], free: Iterable[int], itemsize: int, order: Order, target: int
) -> list[int]:
    """Return piece extents: `free` axes cut, slowest first; `itemsize` counts the others."""
    extents = list(shape)
    open_axes = set(free)
    row = max(itemsize, 1) * math.prod(shape[axis] for axis in open_axes)
    for axis in reversed(fastest_first(len(shape), order)):
        if axis not in open_axes or row <= target:
            continue
        row //= shape[axis]
        extents[axis] = floor_power(target // row)
    return extents


def floor_power(count: int) -> int:
    """Return the largest power of two that is at most `count`, at least 1.

    Examples
    --------
    >>> floor_power(2097), floor_power(64), floor_power(0)
    (2048, 64, 1)
    """
    return 1 << max(count, 1).bit_length() - 1
