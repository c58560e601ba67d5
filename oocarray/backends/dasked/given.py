"""What a translator is given, and what several of them do; it knows no operation by name."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ...chunking import auto_chunks
from ...grid import Chunks

__all__ = [
    "Given",
    "Translator",
    "computed",
    "computing",
    "counted",
    "filled",
    "free_chunks",
    "lines",
    "refuse",
    "typed",
]

_how: ContextVar[Mapping[str, Any]] = ContextVar("how dask computes", default={})  # noqa: B039


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
    unknown = [axis for axis, extent in enumerate(x.shape) if math.isnan(extent)]
    if unknown:
        # Not by compute_chunk_sizes(), which cannot be told who computes; like that it changes x.
        chunks = list(x.chunks)
        found = computed(*(_extents(x, axis) for axis in unknown))
        for axis, extents in zip(unknown, found, strict=True):
            chunks[axis] = tuple(extents.reshape(-1).tolist())
        x._chunks = tuple(chunks)
    return x


def filled(x: Any) -> Any:
    """The same, without blocks that have nothing: dask's functions stumble over those."""
    x = counted(x)
    if not any(0 in cut and len(cut) > 1 for cut in x.chunks):
        return x
    return x.rechunk(tuple(tuple(size for size in cut if size) or (0,) for cut in x.chunks))


def _extents(x: Any, axis: int) -> Any:
    """Along one axis, of the blocks at the beginning of all others."""
    first = x.blocks[tuple(slice(None) if other == axis else 0 for other in range(x.ndim))]
    chunks = tuple((1,) * count for count in first.numblocks)
    return first.map_blocks(functools.partial(_extent, axis=axis), chunks=chunks, dtype=np.int64)


def _extent(block: Any, axis: int) -> Any:
    return np.full((1,) * block.ndim, block.shape[axis])


@contextmanager
def computing(how: Mapping[str, Any]) -> Iterator[None]:
    """Have `computed` run with these arguments of `dask.compute`, in this thread.

    dask's own settings are the whole process's: those of two evaluations would get mixed up.
    """
    before = _how.set(how)
    try:
        yield
    finally:
        _how.reset(before)


def computed(*arrays: Any) -> tuple[Any, ...]:
    """What these dask arrays hold; all at once, so that what they have in common is made once."""
    import dask

    run: Any = dask
    found: tuple[Any, ...] = run.compute(*arrays, **_how.get())
    return found


def typed(x: Any, dtype: np.dtype[Any]) -> Any:
    """The array in this dtype, byte order included."""
    return x if x.dtype == dtype else x.astype(dtype)


def lines(given: Given, function: Callable[..., Any], axes: Sequence[int]) -> Any:
    """A function of whole lines that keeps the shape, on blocks that have them whole."""
    x = given.x.rechunk(dict.fromkeys(axes, -1))
    meta = np.empty((0,) * x.ndim, given.dtype)
    return x.map_blocks(function, dtype=given.dtype, meta=meta)
