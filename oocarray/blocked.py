"""The blocks of an array as arrays themselves, ours or one of dask's; it makes none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .core import Array

__all__ = ["Blocked", "Blocks"]


@dataclass(frozen=True, slots=True)
class Blocks:
    """``x.blocks``: takes positions in brackets, gives the part of the array that they are.

    Examples
    --------
    >>> import oocarray as oo
    >>> x = oo.from_array(np.arange(10), chunks=4)
    >>> x.blocks[1].compute(), x.blocks[[2, 0]].compute(), x.blocks.shape
    (array([4, 5, 6, 7]), array([8, 9, 0, 1, 2, 3]), (3,))
    """

    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of blocks along each axis."""
        return self.array.numblocks  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """Number of blocks."""
        return math.prod(self.shape)

    def __getitem__(self, key: Any) -> Array:
        keys = key if isinstance(key, tuple) else (key,)
        if Ellipsis in [one for one in keys if not isinstance(one, np.ndarray)]:
            dots = keys.index(Ellipsis)
            missing = len(self.shape) - len(keys) + 1
            keys = (*keys[:dots], *(slice(None),) * missing, *keys[dots + 1 :])
        if len(keys) > len(self.shape):
            raise IndexError(f"{len(keys)} positions of blocks for {len(self.shape)} axes")
        found = self.array
        for axis, one in enumerate(keys):
            sizes = self.array.chunks[axis]
            picked = np.arange(len(sizes))[
                [one] if np.ndim(one) == 0 and not isinstance(one, slice) else one
            ]
            starts = [0, *accumulate(sizes)]
            parts = [slice(starts[n], starts[n + 1]) for n in picked.tolist()]
            found = _along(found, axis, parts)
        return found  # type: ignore[no-any-return]


def _along(array: Any, axis: int, parts: list[slice]) -> Any:
    """Join parts along an axis: a plain slice where they follow each other."""
    before = (slice(None),) * axis
    if all(a.stop == b.start for a, b in pairwise(parts)):
        stop = parts[-1].stop if parts else 0
        return array[(*before, slice(parts[0].start if parts else 0, stop))]
    from .namespace.joining import concatenate

    return concatenate([array[(*before, part)] for part in parts], axis)


class Blocked:
    """Mixin of `oocarray.Array`."""

    __slots__ = ()

    @property
    def blocks(self) -> Blocks:
        """Blocks as arrays: ``x.blocks[0, 1]``, ``x.blocks[:2]``; lazy."""
        return Blocks(self)

    partitions = blocks

    @property
    def npartitions(self) -> int:
        """Number of blocks."""
        return Blocks(self).size

    def to_dask(self, chunks: Any = None) -> Any:
        """Return the same array as one of dask, whose blocks are read where dask runs them.

        Files stay where they are: what travels is an address, never a copy or a hash of the
        elements. An expression is built again of dask's own functions.

        Parameters
        ----------
        chunks : optional
            Blocks of the result, as ``dask.array.Array.rechunk`` takes them. Default: those that
            were set; of arrays whose blocks nobody set as dask would choose them.

        Returns
        -------
        dask.array.Array

        Raises
        ------
        ImportError
            dask is not installed.
        NotImplementedError
            Something in the expression has no counterpart; the message says what.

        Examples
        --------
        >>> import oocarray as oo
        >>> x = oo.from_array(np.arange(6.0), chunks=4)
        >>> (x + 1).to_dask().sum().compute()
        np.float64(21.0)
        """
        from .backends.dasked.translate import to_dask
        from .config import merged

        array: Any = self
        found = to_dask(array.node, merged({}))
        return found if chunks is None else found.rechunk(chunks)
