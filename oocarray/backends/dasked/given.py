"""What a translator is given, and what several of them do; it knows no operation by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ...chunking import auto_chunks
from ...grid import Chunks

__all__ = ["Given", "Translator", "counted", "free_chunks", "lines", "refuse", "typed"]


@dataclass(frozen=True, slots=True)
class Given:
    """One node, whose arguments are dask arrays already."""

    da: Any
    """The module dask.array: it is imported only when something is translated."""
    operation: Any
    args: tuple[Any, ...]
    node: Any
    chunk_bytes: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the result."""
        found: np.dtype[Any] = self.node.dtypes[0]
        return found

    @property
    def x(self) -> Any:
        """The first argument."""
        return self.args[0]

    def chunks(self, shape: Sequence[int], order: str = "C") -> Chunks:
        """Blocks of what is made of nothing."""
        return free_chunks(shape, self.dtype.itemsize, order, self.chunk_bytes)


Translator = Callable[[Given], Any]


def refuse(name: str, why: str) -> NoReturn:
    """Say what dask cannot do, in the words of all comparison backends."""
    raise NotImplementedError(f"backend='dask' cannot do {name}: {why}; backend='mapped' does")


def free_chunks(shape: Sequence[int], itemsize: int, order: str, chunk_bytes: int) -> Chunks:
    """Runs of rows of about so many bytes: dask's own "auto" would cut across the rows of a file.

    Examples
    --------
    >>> free_chunks((8192, 1024), 8, "C", 16 << 20)
    ((2048, 2048, 2048, 2048), (1024,))
    """
    return auto_chunks(shape, max(itemsize, 1), "F" if order == "F" else "C", chunk_bytes)


def counted(x: Any) -> Any:
    """The array with extents that are known: dask computes it for that, as its manual advises."""
    if any(map(math.isnan, x.shape)):
        return x.compute_chunk_sizes()
    return x


def typed(x: Any, dtype: np.dtype[Any]) -> Any:
    """The array in this dtype, byte order included."""
    return x if x.dtype == dtype else x.astype(dtype)


def lines(given: Given, function: Callable[..., Any], axes: Sequence[int]) -> Any:
    """A function of whole lines that keeps the shape, on blocks that have them whole."""
    x = given.x.rechunk(dict.fromkeys(axes, -1))
    meta = np.empty((0,) * x.ndim, given.dtype)
    return x.map_blocks(function, dtype=given.dtype, meta=meta)
