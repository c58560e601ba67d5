"""What every operation on arrays must say of itself; it knows no nodes, no files and no order.

An operation answers two questions about any region of its result: which regions of its
arguments that needs (`reach`, arithmetic only), and how to make it from them (`make`, NumPy
only).  Planning, prefetch, budgets and evaluation need no more, so a new operation is one
record here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from ..grid import Chunks, Region

__all__ = ["PIECE", "Arguments", "Block", "Operation", "Reach", "Shape", "extents", "whole"]

PIECE = 1 << 15
"""Elements that divisible operations are made of at a time: of float64, three such pieces fit a
second-level cache of 1 MiB."""

Block = np.ndarray[Any, Any]
Shape = tuple[int, ...]


class Reach(Protocol):
    """Where the elements of an argument are that a region of the result is made of.

    A frozen, hashable, picklable record.
    """

    def regions(self, region: Region) -> list[Region]:
        """Regions of the argument that hold all that is needed; together little more than that.

        Slices of step 1 within the argument's shape, one per axis; an empty list where nothing
        is needed.  Of two regions of the result of which one holds the other, what the larger
        one needs holds what the smaller one needs.
        """
        ...


@dataclass(frozen=True, slots=True)
class Arguments:
    """What an operation is given to make a region."""

    shapes: tuple[Shape, ...]
    dtypes: tuple[np.dtype[Any], ...]
    """Of the arguments, as of the whole arrays."""
    dtype: np.dtype[Any]
    """Of the result."""
    pull: Callable[[int, Region], Block]
    """``pull(k, region)`` makes a region of argument `k` (slices of step 1); read-only."""
    there: frozenset[int] = frozenset()
    """Arguments that lie in memory or on mapped pages: to pull more of them than is used costs
    nothing, since it is a view."""


class Operation:
    """Base of all operations: records, equal when they do the same.

    Subclasses are frozen dataclasses (``eq=False`` where a field is an array).
    """

    name: str
    """As it is told to users: ``"add"``, ``"reshape"``."""

    divisible: ClassVar[bool] = True
    """Whether a region costs no more when it is made piece by piece."""

    pointwise: ClassVar[bool] = False
    """Whether it pulls each argument once, and of it the region that is broadcast to its own: the
    arguments may then be made before, without going deep."""

    views: ClassVar[bool] = False
    """Whether it makes a view of what it pulls, if that lies in memory or on mapped pages."""

    apart: ClassVar[bool] = False
    """Whether the result is made in a pass of its own, block by block, and then kept: true where
    a part costs as much as the whole along `uncut` axes (sorting)."""

    uneven: ClassVar[bool] = False
    """Whether equal parts of the result may need very unequal parts of the arguments: then
    `chunks` says which blocks need about equal ones, whether or not the arguments' are set."""

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        """Shape of the result for arguments of these shapes.

        Raises
        ------
        ValueError
            They do not fit each other.
        """
        raise NotImplementedError(type(self).__name__)

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        """Dtype of the result; by default that of the first argument."""
        return dtypes[0]

    def reach(self, k: int, shapes: Sequence[Shape]) -> Reach | None:
        """How a region of the result leads to regions of argument `k`; None: the same region."""
        raise NotImplementedError(type(self).__name__)

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        """Make a region of the result.

        Parameters
        ----------
        region : tuple of slice
            Of step 1, within the result's shape, one per axis; not empty.
        args : Arguments
        out : ndarray, optional
            Where the result is wanted, of the region's shape, and of any dtype and strides. It
            may be left alone: whoever asks copies then.

        Returns
        -------
        ndarray
            `out`, or an array of ``args.dtype``; it may be a view of what was pulled.
        """
        raise NotImplementedError(type(self).__name__)

    def output_dtype(self, output: int, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Dtype of one of the results, where there are several; `dtype` is that of the first."""
        return dtype

    def uncut(self, shapes: Sequence[Shape]) -> frozenset[int]:
        """Axes of the result along which it is best made in one piece."""
        return frozenset()

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        """Blocks of the result, where arguments have set ones (None: free); None: free.

        Called only when some argument's are set.
        """
        return None


def extents(region: Region) -> Shape:
    """Shape of a region.

    Examples
    --------
    >>> extents((slice(2, 5), slice(0, 1)))
    (3, 1)
    """
    return tuple(part.stop - part.start for part in region)


def whole(shape: Shape) -> Region:
    """The region that is all of an array.

    Examples
    --------
    >>> whole((3,))
    (slice(0, 3, None),)
    """
    return tuple(slice(0, size) for size in shape)
