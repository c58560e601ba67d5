"""Computes and stores with dask, under the contract of our own evaluator; it plans nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...lazy.graph import Root
from ...plan import InMemory, Options
from ...runtime.interrupts import ends_by_sigterm
from ...runtime.limits import workers_of
from ...runtime.shared import lasting
from ...storage.draft import Unpublished
from ...storage.filekey import MEMORY
from ...storage.layout import Strided
from ...storage.tiled import Tiled
from ..ending import (
    descriptors,
    evaluation,
    part_names,
    refuse_ours,
    sync_changed,
    zarr_folders,
)
from .beforehand import reduce_beforehand
from .given import computed, computing, counted, refuse, typed
from .overlaps import check_roots
from .translate import Translation, block_bytes, to_dask
from .writing import FileWriter, MemoryWriter

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
        with computing(_how(options)):
            if watch is not None:
                watch.check()
            found = _computed(roots, options, drafts)
        _settle(roots, options, drafts)
    return found


def _computed(
    roots: Sequence[Root], options: Options, drafts: Sequence[Unpublished]
) -> list[Array]:
    """All in one computation, so that what several have in common is made once."""
    import dask.array as da

    changing = check_roots(roots, options)
    translate = Translation(options, block_bytes([root.node for root in roots], options))
    wanted: list[Any] = []
    sources: list[Any] = []
    targets: list[Any] = []
    given_back: list[tuple[Any, Any]] = []
    client = _is_client(options.scheduler)
    reduce_beforehand(roots, options, translate, changing)
    paths = _paths(drafts, client)
    for root in roots:
        array = translate(root.node)
        if root.target is None:
            wanted.append(array)
            continue
        source, target = _stored(counted(array), root.target, paths, client, translate.chunk_bytes)
        if client and _is_memory(root.target):
            # Its workers have no part in this process's memory.
            given_back.append((target, source))
        else:
            sources.append(source)
            targets.append(target)
    stores: Any = da.store(sources, targets, lock=False, compute=False) if sources else ()
    stores = stores if isinstance(stores, tuple) else (stores,)
    results = computed(*wanted, *(array for _, array in given_back), *stores)
    for (target, _), result in zip(given_back, results[len(wanted) :], strict=False):
        target[(slice(None),) * len(target.shape)] = result
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


def _paths(drafts: Sequence[Unpublished], client: bool) -> dict[tuple[int, int], str]:
    """Where new files without a name are to be had; on other machines only what has a name is."""
    if not client:
        return {key: _of_descriptor(fd) for key, fd in descriptors(drafts).items()}
    return part_names(drafts)


def _of_descriptor(fd: int) -> str:
    return f"/proc/{os.getpid()}/fd/{fd}"


def _is_memory(target: Any) -> bool:
    return isinstance(target, InMemory) or target.file.path == MEMORY


def _stored(
    array: Any, target: Any, paths: dict[tuple[int, int], str], client: bool, chunk_bytes: int
) -> tuple[Any, Any]:
    """What goes where: no two blocks share what is written at once, so none takes a lock."""
    if isinstance(target, InMemory):
        return typed(array, target.dtype), MemoryWriter(target.array)
    if isinstance(target, Strided):
        if _is_memory(target):
            return array, FileWriter(target, _of_descriptor(lasting(target.file)))
        path = paths.get((target.file.dev, target.file.ino), target.file.path)
        return array, FileWriter(target, path, apart=client)
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


def _settle(roots: Sequence[Root], options: Options, drafts: Sequence[Unpublished]) -> None:
    """What was written into files that have their names already is on the disk, if so asked."""
    if options.durability == "none":
        return
    for root in roots:
        if isinstance(root.target, Strided) and os.path.exists(root.target.file.path):
            with open(root.target.file.path, "rb") as stream:
                os.fsync(stream.fileno())
    sync_changed(zarr_folders(roots), drafts)


def _how(options: Options) -> dict[str, Any]:
    """dask's own way to run: threads, for NumPy lets go of the interpreter's lock."""
    workers = workers_of(options)
    if _is_client(options.scheduler):
        return {"scheduler": options.scheduler}
    return {"scheduler": _SCHEDULERS[options.scheduler], "num_workers": workers}


_SCHEDULERS = {"processes": "threads", "threads": "threads", "serial": "synchronous"}


def _is_client(scheduler: Any) -> bool:
    return not isinstance(scheduler, str)
