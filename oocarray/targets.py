"""Prepares the new files that arrays are stored into; writes no element, publishes nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from .core import Array
from .creating import format_of
from .grid import Chunks
from .lazy.expr import Node, StoredNode
from .lazy.graph import Root, flexible
from .lazy.regrid import regrid
from .plan import Options
from .storage.create import draft_npy, draft_raw
from .storage.draft import Unpublished
from .storage.filekey import FileKey
from .storage.files import PathLike
from .storage.layout import Strided
from .storage.pieces import Table
from .storage.tiled import Tiled, tiled
from .storage.zarrdraft import ZarrDraft

__all__ = ["ZARR_WORDS", "Target", "new_target", "refreshed"]

ZARR_WORDS = ("chunks", "shards", "compressors", "dims", "attrs")
"""What may be said of a new Zarr array, and of no other."""


@dataclass(frozen=True, slots=True)
class Target:
    """A new file, and what goes into it."""

    draft: Unpublished
    node: Node
    """The value, in blocks that suit the file."""
    place: Strided | Tiled
    opened: Callable[[], Array]
    """Opens it, once it is published."""


@dataclass(frozen=True, slots=True)
class _Aside:
    """An array that is made of a file which must be there until it is written."""

    draft: ZarrDraft
    folder: tempfile.TemporaryDirectory[str]

    @property
    def path(self) -> str:
        return self.draft.path

    def publish(self, durability: str = "none") -> FileKey:
        return self.draft.publish(durability)

    def discard(self) -> None:
        self.draft.discard()
        self.folder.cleanup()


def new_target(
    array: Array,
    path: PathLike,
    format: str | None,
    overwrite: bool,
    how: Mapping[str, Any],
    options: Options,
) -> Target:
    """Make the file that an array is to be stored into, complete but for its elements.

    Parameters
    ----------
    array : Array
        Its shape and dtype are known.
    path : path-like
    format : str or None
        As of `format_of`.
    overwrite : bool
    how : mapping
        Of `ZARR_WORDS`, what was said.
    options : Options
        Of the run.  By another backend it is zarr-python that writes, a shard anew for each part,
        and a file for each chunk: for it a Zarr array has no shards where nobody said which, and
        none of its files yet.

    Raises
    ------
    TypeError
        Something was said that is for Zarr arrays only.
    FileExistsError, ValueError, OSError
        As the makers of files.
    """
    kind = format_of(path, format)
    if kind == "zarr":
        layout = {"shards": "auto" if options.backend == "mapped" else False, **how}
        return _new_zarr(array, path, overwrite, layout, options)
    if how:
        raise TypeError(f"{', '.join(f'{word}=' for word in how)} is for Zarr arrays (x.zarr)")
    make = draft_npy if kind == "npy" else draft_raw
    draft, place = make(path, array.shape, array.dtype, "C", overwrite)
    return Target(draft, array.node, place, lambda: Array(StoredNode(refreshed(place)), "r"))


def _new_zarr(
    array: Array, path: PathLike, overwrite: bool, how: Mapping[str, Any], options: Options
) -> Target:
    node, facts = array.node, array._facts
    said = dict(how)
    chunks = said.pop("chunks", None)
    if chunks is None:
        chunks = _regular(node.chunks)
    dims = said.pop("dims", array.dims)
    attributes = said.pop("attrs", None if facts is None else dict(facts.attrs))
    draft = ZarrDraft.create(
        path,
        array.shape,
        array.dtype,
        chunks=chunks,
        dims=dims,
        attributes=attributes,
        overwrite=overwrite,
        reserved=options.backend == "mapped",
        **said,
    )
    try:
        from .storage.zarr import zarr_table

        place = tiled(zarr_table(draft.array))
        made: Unpublished = draft
        if not place.has_whole_pieces(node.chunks):
            if flexible(node):
                node = regrid(node, place.blocks())
            elif place.table.encoded:
                node, folder = _laid_aside(array, path, options)
                node = regrid(node, place.blocks())
                made = _Aside(draft, folder)
    except BaseException:
        draft.discard()
        raise
    return Target(made, node, place, lambda: _opened(path))


def _laid_aside(
    array: Array, path: PathLike, options: Options
) -> tuple[Node, tempfile.TemporaryDirectory[str]]:
    """Store what a function makes in blocks of its own, to be read in others."""
    from .backends.choosing import evaluate

    parent = os.path.dirname(os.path.abspath(os.fspath(path)))
    folder = tempfile.TemporaryDirectory(prefix=".oocarray-", dir=parent)
    try:
        scratch = os.path.join(folder.name, "scratch.npy")
        made = new_target(array, scratch, "npy", False, {}, options)
        passing = replace(options, durability="none")
        evaluate([Root(made.node, made.place)], passing, [made.draft])
        return made.opened().node, folder
    except BaseException:
        folder.cleanup()
        raise


def _regular(chunks: Chunks) -> tuple[int, ...] | None:
    """The shape of blocks, where all are equal but the last ones; else None."""
    for sizes in chunks:
        if any(size != sizes[0] for size in sizes[:-1]) or sizes[-1] > sizes[0]:
            return None
    return tuple(max(sizes[0], 1) for sizes in chunks)


def _opened(path: PathLike) -> Array:
    from .storage.zarr import open_zarr_array

    opened = open_zarr_array(path)
    return Array(StoredNode(tiled(cast(Table, opened.place))), "r", opened)


def refreshed(place: Strided | Tiled) -> Strided | Tiled:
    """The same layout, with the file's size and time as they are now."""
    if isinstance(place, Tiled):
        return place  # the file that describes it has not changed
    # The header was written before the run: the run wrote elements only.
    return replace(place, file=replace(FileKey.of(place.file.path), header=place.file.header))
