"""How every evaluation ends: files published or discarded, watchers told; it makes nothing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Sequence

from ..lazy.graph import Root
from ..lazy.written import note_write
from ..plan import Options
from ..runtime.outside import outside
from ..storage.draft import Draft, Unpublished
from ..storage.layout import Strided
from ..storage.tiled import Tiled
from ..storage.zarrdraft import ZarrDraft
from ..storage.zarrtable import ZarrTable
from .codes import NotFused
from .watching import Watch, watched

__all__ = [
    "descriptors",
    "evaluation",
    "new_folders",
    "part_names",
    "refuse_ours",
    "sync_changed",
    "tell_not_fused",
    "zarr_folders",
]


class evaluation:
    """Publish new files when the ``with`` block ends well; discard them in any other case.

    Gives who watches, if anybody does, and whether this is all of what is watched.
    """

    # No generator: contextlib would set the traceback of exceptions, which some do not allow.

    def __init__(
        self, roots: Sequence[Root], options: Options, drafts: Sequence[Unpublished]
    ) -> None:
        self._roots, self._drafts, self._durability = roots, drafts, options.durability
        self._watch = watched.get()

    def __enter__(self) -> tuple[Watch | None, bool]:
        return self._watch, self._watch is not None and self._watch.enter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                for draft in self._drafts:
                    draft.publish(self._durability)
        finally:
            if self._watch is not None:
                self._watch.leave()
            # What was found out of these files before, such as counts of masks, holds no longer.
            for root in self._roots:
                if isinstance(root.target, Strided):
                    note_write(root.target.file)
            for draft in self._drafts:
                draft.discard()


def descriptors(drafts: Sequence[Unpublished]) -> dict[tuple[int, int], int]:
    """Descriptors of new files that are one file each, by device and inode."""
    found = {}
    for draft in drafts:
        if isinstance(draft, Draft):
            now = os.fstat(draft.fd)
            found[now.st_dev, now.st_ino] = draft.fd
    return found


def part_names(drafts: Sequence[Unpublished]) -> dict[tuple[int, int], str]:
    """Names for the same files: other processes can open only what has one, so each gets one."""
    found = {}
    for draft in drafts:
        if isinstance(draft, Draft):
            now = os.fstat(draft.fd)
            found[now.st_dev, now.st_ino] = draft.give_part_name()
    return found


def new_folders(drafts: Sequence[Unpublished]) -> list[str]:
    """Where new Zarr arrays are made."""
    own = (getattr(draft, "draft", draft) for draft in drafts)
    return [draft.folder for draft in own if isinstance(draft, ZarrDraft)]


def zarr_folders(roots: Sequence[Root]) -> set[str]:
    """Folders of the Zarr arrays that are stored into."""
    tables = [root.target.table for root in roots if isinstance(root.target, Tiled)]
    return {table.array.folder for table in tables if isinstance(table, ZarrTable)}


def sync_changed(folders: Collection[str], drafts: Sequence[Unpublished]) -> None:
    """Have Zarr arrays that were written on the disk, unless all of them are new.

    Drafts see to their folders themselves.  Which of the files of another one were written, under
    new names perhaps, nobody has kept count of: the system writes all that there is.
    """
    if not set(folders) <= set(new_folders(drafts)):
        os.sync()


def refuse_ours(roots: Sequence[Root], options: Options) -> None:
    """Refuse what neither dask nor zarr-python has.

    Raises
    ------
    NotImplementedError
    """
    if any(root.in_place for root in roots):
        raise NotImplementedError(
            f"backend={options.backend!r} cannot do updates in place: its blocks are copies; "
            "backend='mapped' does, or store() into a new file"
        )
    if options.on_error != "raise":
        raise NotImplementedError(
            f"backend={options.backend!r} cannot do on_error={options.on_error!r}: it ends with "
            "the first block that fails; backend='mapped' does"
        )


def tell_not_fused(error: NotFused) -> None:
    """Warn the caller that NumPy does what was to be one loop, and why."""
    words = str(error).splitlines()
    warnings.warn(
        "an expression could not be compiled into one loop, and is evaluated by NumPy instead: "
        f"{words[0] if words else type(error.__cause__).__name__}",
        RuntimeWarning,
        stacklevel=outside(),
    )
