"""Joins what a function made of blocks along dropped axes, two by two; it makes no blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BlockMismatchError
from .collect import Collect

__all__ = ["Combined"]

Block = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Combined:
    """A reduction over axes that have one element per block; a partial is a whole block.

    Parameters
    ----------
    shape : tuple of int
        Of the array that the function makes, with `axes`.
    out_dtype : dtype
        Of the blocks, and so of what `function` must return.
    axes : tuple of int
        Axes to get rid of, sorted.
    function : callable
        ``function(a, b)`` for neighbours in the fixed tree; `a` comes first.
    name : str
        Of `function`, for messages.

    Examples
    --------
    >>> r = Combined((3, 2), np.dtype("f8"), (0,), np.add, "add")
    >>> a, b = (r.leaves(None, np.full((1, 2), k), None, None) for k in (1.0, 2.0))
    >>> r.finish(r.combine(a, b)[0])
    array([3., 3.])
    """

    shape: tuple[int, ...]
    out_dtype: np.dtype[Any]
    axes: tuple[int, ...]
    function: Callable[[Block, Block], Any]
    name: str

    partial_dtype = np.dtype(object)

    @property
    def result_shape(self) -> tuple[int, ...]:
        """Extents of the axes that stay."""
        return tuple(n for axis, n in enumerate(self.shape) if axis not in self.axes)

    def kernel(self) -> None:
        """Nothing is to be compiled."""

    def leaves(self, entry: object, block: Block, cuts: object, origin: object) -> Block:
        """The block itself (a copy: its pages will be let go), as one object."""
        del entry, cuts, origin
        found = np.empty((1,) * block.ndim, object)
        found[(0,) * block.ndim] = np.array(block.squeeze(self.axes))
        return found

    def combine(self, a: Block, b: Block) -> Block:
        """Combine arrays of partials entry by entry.

        Raises
        ------
        BlockMismatchError
            The function returned another shape or dtype than its arguments have.
        """
        out = np.empty(a.size, object)
        for number, (left, right) in enumerate(zip(a.flat, b.flat, strict=True)):
            joined = np.asarray(self.function(left, right))
            if joined.shape != left.shape or joined.dtype != self.out_dtype:
                raise BlockMismatchError(
                    f"combine={self.name} returned an array of shape {joined.shape} and dtype "
                    f"{joined.dtype}; expected shape {left.shape} and dtype {self.out_dtype}, "
                    "as both of its arguments have"
                )
            out[number] = joined
        return out.reshape(a.shape)

    def finish(self, partial: Block) -> Block:
        """Put the blocks of the axes that stay side by side."""
        return Collect(partial.ndim, self.out_dtype).finish(partial)
