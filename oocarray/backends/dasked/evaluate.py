"""Computes and stores with dask, under the contract of our own evaluator; it plans nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...lazy.graph import Root
from ...plan import InMemory, Options
from ...runtime.interrupts import ends_by_sigterm
from ...runtime.limits import default_workers
from ...runtime.shared import lasting
from ...storage.draft import Unpublished
from ...storage.filekey import MEMORY
from ...storage.layout import Strided
from ...storage.tiled import Tiled
from ..ending import descriptors, evaluation, refuse_ours
from .beforehand import reduce_beforehand
from .given import counted, refuse, typed
from .translate import Translation, to_dask
from .writing import FileWriter

__all__ = ["evaluate", "to_dask"]

Array = np.ndarray[Any, Any]


@ends_by_sigterm
def evaluate(
    roots: Sequence[Root], options: Options, drafts: Sequence[Unpublished] = ()
) -> list[Array]:
    """Make all roots with dask; return the results of those without a target.

    Parameters
    ----------
    roots : sequence of Root
    options : Options
    drafts : sequence of Unpublished
        New files that are targets: published when all is done, discarded otherwise.

    Raises
    ------
    NotImplementedError
        dask has nothing for it.
    """
    with evaluation(roots, options, drafts) as (watch, _):
        refuse_ours(roots, options)
        with _scheduled(options):
            if watch is not None:
                watch.check()
            found = _computed(roots, options, drafts)
        _settle(roots, options)
    return found


def _computed(
    roots: Sequence[Root], options: Options, drafts: Sequence[Unpublished]
) -> list[Array]:
    """All in one `dask.compute`, so that what several have in common is made once."""
    import dask
    import dask.array as da

    run: Any = dask
    translate = Translation(options)
    wanted: list[Any] = []
    sources: list[Any] = []
    targets: list[Any] = []
    given_back: list[tuple[InMemory, Any]] = []
    reduce_beforehand(roots, options, translate, run)
    opened = descriptors(drafts)
    for root in roots:
        array = translate(root.node)
        if root.target is None:
            wanted.append(array)
        elif isinstance(root.target, InMemory) and _is_client(options.scheduler):
            # Its workers have no part in this process's memory.
            given_back.append((root.target, array))
        else:
            source, target = _stored(counted(array), root.target, opened, translate.chunk_bytes)
            sources.append(source)
            targets.append(target)
    stores: Any = da.store(sources, targets, lock=False, compute=False) if sources else ()
    stores = stores if isinstance(stores, tuple) else (stores,)
    results = run.compute(*wanted, *(array for _, array in given_back), *stores)
    for (target, _), result in zip(given_back, results[len(wanted) :], strict=False):
        target.array[...] = result
    nodes = [root.node for root in roots if root.target is None]
    return [_own(result, node) for result, node in zip(results, nodes, strict=False)]


def _own(result: Any, node: Any) -> Array:
    """A result that is nobody else's: not a view of a file, nor of what it was made of."""
    found = np.asarray(result)
    if node.dtypes is not None:
        found = found.astype(node.dtypes[0], copy=False)
    if not found.flags.owndata or not found.flags.writeable:
        found = np.array(found)
    return found


def _stored(
    array: Any, target: Any, opened: dict[tuple[int, int], int], chunk_bytes: int
) -> tuple[Any, Any]:
    """What goes where: no two blocks share what is written at once, so none takes a lock."""
    if isinstance(target, InMemory):
        return typed(array, target.dtype), target.array
    if isinstance(target, Strided):
        kept = target.file.path == MEMORY
        fd = lasting(target.file) if kept else opened.get((target.file.dev, target.file.ino))
        path = target.file.path if fd is None else f"/proc/{os.getpid()}/fd/{fd}"
        return array, FileWriter(target, path)
    return _into_zarr(array, target, chunk_bytes)


def _into_zarr(array: Any, target: Tiled, chunk_bytes: int) -> tuple[Any, Any]:
    from .reading import table_chunks, zarr_of

    store = zarr_of(target, "r+")
    if store is None:
        refuse("store", f"it writes no {target.table.kind}")
    if not target.complete:
        refuse("store", "of a Zarr array it writes the whole, not a view")
    unit = store.shards or store.chunks
    if not _aligned(array.chunks, unit):
        # Two tasks must not write one chunk, or one shard, at the same time.
        array = array.rechunk(table_chunks(store, chunk_bytes, writing=True))
    return array, store


def _aligned(chunks: Any, unit: Sequence[int]) -> bool:
    return all(
        size % step == 0 for sizes, step in zip(chunks, unit, strict=True) for size in sizes[:-1]
    )


def _settle(roots: Sequence[Root], options: Options) -> None:
    """What was written into files that have their names already is on the disk, if so asked."""
    if options.durability == "none":
        return
    for root in roots:
        if isinstance(root.target, Strided) and os.path.exists(root.target.file.path):
            with open(root.target.file.path, "rb") as stream:
                os.fsync(stream.fileno())


def _scheduled(options: Options) -> contextlib.AbstractContextManager[Any]:
    """dask's own way to run: threads, for NumPy lets go of the interpreter's lock."""
    import dask

    workers = default_workers() if options.workers is None else options.workers
    chosen = options.scheduler
    if not _is_client(chosen):
        if chosen not in _SCHEDULERS:
            known = ", ".join(map(repr, _SCHEDULERS))
            raise ValueError(f"scheduler={chosen!r} is none of {known}")
        chosen = _SCHEDULERS[chosen]
    split = {"array.slicing.split_large_chunks": True}
    return dask.config.set({**split, "scheduler": chosen, "num_workers": workers})


_SCHEDULERS = {"processes": "threads", "threads": "threads", "serial": "synchronous"}


def _is_client(scheduler: Any) -> bool:
    return not isinstance(scheduler, str)
