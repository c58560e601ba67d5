"""Plans `map_blocks` by dask's rules; never reads a block and never calls the block function.

Four ways to go beyond dask: free arrays are cut to fit the others; of arrays with one block on an
axis those of extent 1 do not decide the output's size; a negative `new_axis` counts from the end
of the output; and sizes that cannot be are refused here instead of at the end.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

from oocarray.grid import Chunks, Coords
from oocarray.lazy.align import Operand, align
from oocarray.lazy.outshape import (
    NEW,
    Axes,
    Entry,
    checked_size,
    chunk_entries,
    dropped_axes,
    output_chunks,
    output_places,
)
from oocarray.program import ALL, FIRST

__all__ = [
    "ALL",
    "FIRST",
    "MapPlan",
    "Operand",
    "block_info",
    "input_coords",
    "plan_apart",
    "plan_map",
    "wants",
]

# `input_coords` appends what ALL and FIRST stand for to the output coordinates: as indices they
# count from the end, -2 and -1.
_WHOLE = slice(None)


class _Located(NamedTuple):
    """Where the blocks of one array begin and end; a dropped axis counts as one block."""

    shape: tuple[int, ...]
    counts: tuple[int, ...]
    edges: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class MapPlan:
    """Which input blocks make each output block."""

    chunks: Chunks
    """Block sizes of the output; nan where the caller gave nan, or an input's are nan."""
    shape: tuple[int, ...]
    """Extents of the output; nan on an axis that has a nan block."""
    inputs: tuple[Chunks, ...]
    """For each array argument, the grid it is cut by."""
    axes: tuple[tuple[int, ...], ...]
    """For each array argument and each of its axes: the output axis whose block coordinate
    picks its block, or `FIRST` (its only block serves all), or `ALL` (every block, joined)."""

    @property
    def numblocks(self) -> tuple[int, ...]:
        """Number of output blocks along each axis."""
        return tuple(len(sizes) for sizes in self.chunks)

    @property
    def known(self) -> bool:
        """Whether the output's shape holds no nan."""
        return not any(math.isnan(extent) for extent in self.shape)

    @cached_property
    def _located(self) -> tuple[_Located, ...]:
        """Inputs in order, then the output; built when the first block asks for it."""
        output_axes = tuple(range(len(self.chunks)))
        pairs = zip((*self.inputs, self.chunks), (*self.axes, output_axes), strict=True)
        return tuple(_locate(chunks, axes) for chunks, axes in pairs)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the block edges, which may be long and are cheap to build again.
        return MapPlan, (self.chunks, self.shape, self.inputs, self.axes)


def plan_map(
    arrays: Sequence[Operand],
    *,
    chunks: Sequence[Entry] | None = None,
    drop_axis: Axes = None,
    new_axis: Axes = None,
) -> MapPlan:
    """Plan one call of a function per output block.

    Parameters
    ----------
    arrays : sequence of Operand
        The array arguments in the order of the call, of any number of dimensions; may be empty.
    chunks : sequence, optional
        One entry per output axis: the size of every block (int), a tuple of sizes with one per
        block, nan for unknown sizes, or a callable from an input block's size to the output
        block's.  More entries than axes, without `new_axis`, add axes on the left.  With no
        arrays the entries are the whole grid, tuples of sizes (an int is one block).
    drop_axis : int or iterable of int, optional
        Axes of the broadcast input that the function removes; it gets all blocks along them
        joined.  Negative values count from the end.
    new_axis : int or iterable of int, optional
        Positions of added axes in the output, of one block of size 1 unless `chunks` says
        otherwise.  Negative values count from the end of the output.

    Returns
    -------
    MapPlan

    Raises
    ------
    ValueError
        Block counts or free extents that do not fit, axes out of range, wrong number of entries.
    NotImplementedError
        An entry of `chunks` of another kind.
    TypeError
        `chunks` is not a sequence, or an axis or block size is not a number.

    Examples
    --------
    >>> x = Operand((10, 6), ((5, 5), (2, 2, 2)), free=False, itemsize=8, order="C")
    >>> row = Operand((6,), ((2, 2, 2),), free=False, itemsize=8, order="C")
    >>> plan = plan_map([x, row], drop_axis=0)
    >>> plan.chunks, plan.axes
    (((2, 2, 2),), ((-2, 0), (0,)))
    >>> plan_map([x], chunks=(lambda n: 2 * n, 1)).chunks
    ((10, 10), (1, 1, 1))
    """
    return _plan(arrays, chunks, drop_axis, new_axis, apart=False)[0]


def plan_apart(
    arrays: Sequence[Operand],
    *,
    chunks: Sequence[Entry] | None = None,
    drop_axis: Axes = None,
    new_axis: Axes = None,
) -> tuple[MapPlan, tuple[int, ...]]:
    """Plan one call per block along the dropped axes too, which the output keeps.

    Parameters
    ----------
    arrays, chunks, drop_axis, new_axis
        As of `plan_map`.

    Returns
    -------
    plan : MapPlan
        Its output has the dropped axes, with one element per block.
    axes : tuple of int
        Which axes of that output these are.

    Examples
    --------
    >>> x = Operand((10, 6), ((5, 5), (2, 2, 2)), free=False, itemsize=8, order="C")
    >>> plan, axes = plan_apart([x], drop_axis=0)
    >>> plan.chunks, axes, plan.axes
    (((1, 1), (2, 2, 2)), (0,), ((0, 1),))
    """
    return _plan(arrays, chunks, drop_axis, new_axis, apart=True)


def _plan(
    arrays: Sequence[Operand],
    chunks: Sequence[Entry] | None,
    drop_axis: Axes,
    new_axis: Axes,
    apart: bool,
) -> tuple[MapPlan, tuple[int, ...]]:
    ndim = max((len(a.chunks) for a in arrays), default=0)
    dropped = dropped_axes(drop_axis, ndim)
    kept = [p for p in range(ndim) if p not in dropped]
    entries = None if chunks is None else chunk_entries(chunks)
    places = output_places(kept, len(dropped), new_axis, entries)
    cuts, inputs = align(arrays, ndim)
    out = list(output_chunks([None if p == NEW else cuts[p] for p in places], entries))
    for p in sorted(dropped) if apart else ():
        # In the order of the input's axes, so that its blocks come in the order of its file.
        axis = next((axis for axis, place in enumerate(places) if place > p), len(places))
        places.insert(axis, p)
        out.insert(axis, (1,) * len(cuts[p]))
    where = {place: axis for axis, place in enumerate(places) if place != NEW}
    axes = tuple(
        tuple(
            where.get(p, ALL) if p not in where or len(sizes) == len(cuts[p]) else FIRST
            for p, sizes in enumerate(grid, ndim - len(grid))
        )
        for grid in inputs
    )
    shape = tuple(checked_size(axis, sum(sizes)) for axis, sizes in enumerate(out))
    plan = MapPlan(tuple(out), shape, inputs, axes)
    return plan, tuple(sorted(where[p] for p in dropped)) if apart else ()


def input_coords(plan: MapPlan, k: int, out_coords: Coords) -> tuple[int | slice, ...]:
    """Find the block of one array argument that goes into an output block.

    Parameters
    ----------
    plan : MapPlan
    k : int
        Number of the array among the array arguments.
    out_coords : tuple of int
        Block coordinates of the output block.

    Returns
    -------
    tuple of int or slice
        Block coordinates in ``plan.inputs[k]``; ``slice(None)`` where all blocks are joined.

    Examples
    --------
    >>> x = Operand((10, 6), ((5, 5), (2, 2, 2)), free=False, itemsize=8, order="C")
    >>> input_coords(plan_map([x], drop_axis=0), 0, (2,))
    (slice(None, None, None), 2)
    """
    pick: tuple[int | slice, ...] = (*out_coords, _WHOLE, 0)
    return tuple([pick[axis] for axis in plan.axes[k]])


def block_info(
    plan: MapPlan, positions: Sequence[int], out_coords: Coords, dtype: Any
) -> dict[int | None, dict[str, Any]]:
    """Describe one block and the blocks it is made from, as a `block_info` parameter expects.

    Parameters
    ----------
    plan : MapPlan
    positions : sequence of int
        For each array argument, its position among all positional arguments of the call.
    out_coords : tuple of int
        Block coordinates of the output block.
    dtype : object
        Handed on as the output's ``dtype``, as it is.

    Returns
    -------
    dict
        For each position, and for the output under None: ``shape``, ``num-chunks``,
        ``array-location`` (start and stop per axis), ``chunk-location``; for the output also
        ``chunk-shape`` and ``dtype``.

    Examples
    --------
    >>> plan = plan_map([], chunks=((4, 4),))
    >>> block_info(plan, [], (1,), "f8")[None]["array-location"]
    [(4, 8)]
    """
    pick = (*out_coords, 0, 0)
    info: dict[int | None, dict[str, Any]] = {}
    for k, position in enumerate(positions):
        info[position] = _describe(plan._located[k], tuple([pick[axis] for axis in plan.axes[k]]))
    output = _describe(plan._located[-1], tuple(out_coords))
    output["chunk-shape"] = tuple(
        sizes[i] for sizes, i in zip(plan.chunks, out_coords, strict=True)
    )
    output["dtype"] = dtype
    info[None] = output
    return info


def wants(func: object, name: str) -> bool:
    """Tell whether a callable has a parameter of this name; ``**kwargs`` alone does not count.

    Parameters
    ----------
    func : callable
        A function, a `functools.partial`, or any object with ``__call__``.
    name : str
        Usually ``"block_info"`` or ``"block_id"``.

    Returns
    -------
    bool
        False also when the signature cannot be found; nothing is raised.

    Examples
    --------
    >>> wants(lambda block, block_id=None: block, "block_id")
    True
    >>> wants(lambda block, **kwargs: block, "block_id")
    False
    """
    try:
        return name in inspect.signature(func).parameters  # type: ignore[arg-type]
    except Exception:
        # Properties of a foreign callable may raise anything at all.
        return False


def _locate(chunks: Chunks, axes: tuple[int, ...]) -> _Located:
    edges = tuple(
        (0, sum(sizes)) if axis == ALL else tuple(accumulate(sizes, initial=0))
        for sizes, axis in zip(chunks, axes, strict=True)
    )
    return _Located(
        tuple(edge[-1] for edge in edges), tuple(len(edge) - 1 for edge in edges), edges
    )


def _describe(located: _Located, coords: Coords) -> dict[str, Any]:
    return {
        "shape": located.shape,
        "num-chunks": located.counts,
        "array-location": [
            (edge[i], edge[i + 1]) for edge, i in zip(located.edges, coords, strict=True)
        ],
        "chunk-location": coords,
    }
