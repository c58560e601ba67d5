"""Takes over dask arrays, whose blocks workers make by dask's own tasks; refuses a cluster's."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .chunking import normalize_chunks
from .core import Array
from .errors import DtypeError
from .grid import Coords
from .mapping import map_blocks

__all__ = ["from_dask"]


def from_dask(x: Any, chunks: Any = None) -> Array:
    """An array whose blocks are those of a dask array; nothing is computed now.

    The graph is optimized once, by dask, and reaches each worker once. There a block is made by
    the tasks that lead to it, one after the other: what several blocks need is made for each of
    them.

    Parameters
    ----------
    x : dask.array.Array
    chunks : optional
        Other blocks, in any of dask's spellings; they are put together by dask's rechunk. None and
        "auto" leave those of `x`.

    Raises
    ------
    ValueError
        The size of a block is not known.
    TypeError
        Its blocks are no plain arrays of NumPy.
    NotImplementedError
        It was persisted on a cluster of dask.distributed.

    Examples
    --------
    >>> import dask.array as da
    >>> y = from_dask(da.arange(6, chunks=3) + 1)
    >>> y.chunks, int(y.sum().compute(scheduler="serial"))
    (((3, 3),), 21)
    """
    import dask

    _check(x)
    if chunks is not None and not (isinstance(chunks, str) and chunks == "auto"):
        known = tuple(x.chunks)
        x = x.rechunk(normalize_chunks(chunks, x.shape, x.dtype.itemsize, "C", known))
    optimize: Any = dask.optimize  # type: ignore[attr-defined]
    (done,) = optimize(x)
    graph = dict(done.__dask_graph__())
    if _lacks(graph, ((done.name, *at) for at in np.ndindex(*x.numblocks))):
        raise NotImplementedError(
            "the dask array was persisted on a cluster, and its blocks lie in the memory of other "
            "machines' workers: pass x.compute() if it fits into memory, or store it "
            "(x.to_zarr(path)) and open that"
        )
    array: Array = map_blocks(
        _Blocks(graph, done.name), name=done.name, chunks=tuple(x.chunks), dtype=x.dtype
    )
    return array


def _check(x: Any) -> None:
    if any(size != size for sizes in x.chunks for size in sizes):
        raise ValueError(
            f"the dask array has blocks of unknown size: its shape is {x.shape}; call its "
            "compute_chunk_sizes() first"
        )
    if x.dtype.hasobject:
        raise DtypeError("an object array holds addresses, not data; convert it to a plain dtype")
    if type(x._meta) is not np.ndarray:
        kind = f"{type(x._meta).__module__}.{type(x._meta).__qualname__}"
        raise TypeError(
            f"the blocks of the dask array are of {kind}, not numpy.ndarray; convert them with "
            "x.map_blocks"
        )


class _Synchronous:
    """Has dask compute in the thread that asks for it, while anybody is inside.

    dask's settings are the whole process's, so threads that set and reset them for themselves
    would find one another's.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._set: Any = None
        self.renew_lock()

    def renew_lock(self) -> None:
        """A lock held by another thread at fork would stay held in the child."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        import dask

        with self._lock:
            if not self._inside:
                self._set = dask.config.set(scheduler="synchronous")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._set.__exit__(*error)


_synchronous = _Synchronous()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_synchronous.renew_lock)


class _Blocks:
    """Makes the block at given coordinates of a dask array; the graph goes where this goes."""

    def __init__(self, graph: Mapping[Any, Any], name: str) -> None:
        self._graph, self._name = graph, name
        self.__name__ = name

    def __call__(self, block_id: Coords) -> Any:
        from dask.local import get_sync
        from dask.optimization import cull

        key: Any = (self._name, *block_id)
        # Of all tasks dask would find out the order, for each block anew.
        needed, _ = cull(  # type: ignore[no-untyped-call]
            self._graph, [key]
        )
        # Tasks that compute something themselves shall start no threads in a worker.
        with _synchronous:
            made = get_sync(needed, key)
        return np.asarray(made)


def _lacks(graph: Mapping[Any, Any], keys: Iterable[Any]) -> bool:
    """Whether something is asked for that no task makes: what a cluster keeps, dask leaves out."""
    if any(key not in graph for key in keys):
        return True
    return any(
        other not in graph for task in graph.values() for other in getattr(task, "dependencies", ())
    )
