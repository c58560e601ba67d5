"""Brings several arrays to block cuts they can share along each axis; never changes a set grid.

Axes are matched from the right, as NumPy broadcasts.  Arrays whose grid somebody *set* are
matched by block position, whatever the sizes of their blocks; *free* arrays are cut to fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from oocarray.chunking import common_chunks
from oocarray.grid import Chunks, Order

__all__ = ["Operand", "align"]

_Cuts: TypeAlias = list[tuple[int, ...] | None]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Operand:
    """What planning needs to know of one array argument."""

    shape: tuple[int, ...]
    """Extents; nan where an earlier plan left them unknown."""
    chunks: Chunks
    """The grid somebody set, or the array's own automatic one."""
    free: bool
    """True when nobody set the grid, so that it may be cut to fit the others."""
    itemsize: int
    """Bytes of one element."""
    order: Order
    """``"C"`` or ``"F"``: which axis is slowest in the file."""


def align(arrays: Sequence[Operand], ndim: int) -> tuple[list[tuple[int, ...]], tuple[Chunks, ...]]:
    """Find the block sizes along each axis of the broadcast input, and each array's grid.

    Parameters
    ----------
    arrays : sequence of Operand
    ndim : int
        The largest number of dimensions among them.

    Returns
    -------
    cuts : list of tuple of int
        Block sizes along each axis: those of the first set array with the most blocks (of those
        with one block, the first that is not of extent 1), else of the free arrays' common grid.
    inputs : tuple of Chunks
        The grid each array is cut by; one block on axes that serve all blocks.

    Raises
    ------
    ValueError
        Set arrays with different numbers of blocks, or free arrays of other extents.

    Examples
    --------
    >>> x = Operand((6, 4), ((6,), (4,)), free=True, itemsize=8, order="C")
    >>> row = Operand((1, 4), ((1,), (2, 2)), free=False, itemsize=8, order="C")
    >>> align([x, row], 2)
    ([(6,), (2, 2)], (((6,), (2, 2)), ((1,), (2, 2))))
    """
    cuts = _set_cuts(arrays, ndim)
    if any(a.free for a in arrays):
        _fill_free(cuts, arrays, ndim)
    final = [(1,) if sizes is None else sizes for sizes in cuts]
    inputs = tuple(
        tuple(
            (1,) if extent == 1 else final[p] for p, extent in enumerate(a.shape, _offset(a, ndim))
        )
        if a.free
        else a.chunks
        for a in arrays
    )
    return final, inputs


def _offset(array: Operand, ndim: int) -> int:
    return ndim - len(array.chunks)


def _set_cuts(arrays: Sequence[Operand], ndim: int) -> _Cuts:
    """Take, per axis, the cuts of the first set array that has the most blocks there.

    Where dask takes the first of equals whatever it is, an extent of 1 gives way to others: the
    function broadcasts it, and what comes back has the other's size.
    """
    placed = [
        (p, sizes)
        for a in arrays
        if not a.free
        for p, sizes in enumerate(a.chunks, _offset(a, ndim))
    ]
    cuts: _Cuts = [None] * ndim
    for p, sizes in placed:
        best = cuts[p]
        if best is None or len(sizes) > len(best) or (best == (1,) and len(sizes) == 1):
            cuts[p] = sizes
    for p, sizes in placed:
        best = cuts[p]
        if best is not None and len(sizes) not in (1, len(best)):
            raise ValueError(
                f"Shapes do not align: {len(sizes)} blocks and {len(best)} blocks on axis "
                f"{p - ndim} of arrays with set grids; rechunk one of them"
            )
    return cuts


def _fill_free(cuts: _Cuts, arrays: Sequence[Operand], ndim: int) -> None:
    """Complete the cuts where free arrays decide; refuse free arrays that do not fit."""
    free = [a for a in arrays if a.free]
    open_axes = []
    for p in range(ndim):
        wide = {extent for extent in _along(p - ndim, [a.shape for a in free]) if extent != 1}
        if not wide:
            continue
        if cuts[p] == (1,):
            # A set array of one element is broadcast here, so it is no guide to a cut.
            cuts[p] = None
        taken = cuts[p]
        if taken is None:
            open_axes.append(p)
        if len(wide | ({sum(taken)} if taken else set())) > 1:
            found = ", ".join(str(extent) for extent in sorted(wide))
            beside = f"; the set blocks beside it hold {sum(taken)}" if taken else ""
            raise ValueError(
                f"Shapes do not align: extent {found} of arrays without set chunks on axis "
                f"{p - ndim}{beside} (give them chunks= to match blocks by position instead)"
            )
    if not open_axes:
        return
    # Elements stand for pieces between the cuts already settled, so that the cut of the open
    # axes aims at the right number of bytes, whichever axis is slowest.
    piece = math.prod(_largest(cuts[p]) for p in range(ndim) if p not in open_axes)
    common = common_chunks(
        [
            (
                tuple(
                    extent if p in open_axes else 1
                    for p, extent in enumerate(a.shape, _offset(a, ndim))
                ),
                a.itemsize * piece,
                a.order,
            )
            for a in free
        ]
    )
    for p in open_axes:
        cuts[p] = common[p - ndim]


def _along(axis: int, items: Iterable[tuple[_T, ...]]) -> list[_T]:
    """Pick the entries of one axis, counted from the end, from the tuples that reach that far."""
    return [item[axis] for item in items if len(item) >= -axis]


def _largest(sizes: tuple[int, ...] | None) -> int:
    return max((size for size in sizes or () if size > 1), default=1)
