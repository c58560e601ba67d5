"""The files of a folder of Zarr, counted up to a limit; follows no link, and changes no file."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import NotRegularFileError
from ..units import format_count
from .words import open_array

if TYPE_CHECKING:
    from ..core import Array
    from ..pages.pagecache import Counts
    from ..storage.layout import Strided
    from ..storage.tiled import Tiled

__all__ = [
    "MOST_LISTED",
    "MOST_TOUCHED",
    "Folder",
    "count_folder",
    "counted",
    "files_words",
    "folder_of",
    "kind_of",
    "stored_bytes",
]

MOST_LISTED = 10_000
"""Files that are looked at to describe a folder: a tenth of a second, even on a cold disk a few."""
MOST_TOUCHED = 100_000
"""Files that are opened because the user asks for something to be done with them."""


@dataclass(slots=True)
class Folder:
    """The files of a folder, as far as they were counted."""

    path: str
    files: list[tuple[str, int]] = field(default_factory=list)
    """Path and bytes of each, in the order of their names."""
    allocated: int = 0
    """Bytes on the disk."""
    cut: bool = False
    """Whether there are more."""

    @property
    def size(self) -> int:
        return sum(size for _, size in self.files)


def folder_of(arguments: argparse.Namespace, path: str) -> str | None:
    """Return the folder of Zarr that is meant; None where a path is a file, or nothing of Zarr.

    Parameters
    ----------
    arguments : argparse.Namespace
        Of `words.array_options`, and maybe a region.
    path : str
        Such as ``"ds.zarr"``, or ``"ds.zarr/t2m"`` for an array in it.

    Raises
    ------
    ValueError
        A part of it is asked for.
    FormatError, OSError
        It has no such dataset.
    """
    from ..storage.zarrgroups import is_zarr

    if arguments.shape is not None or not is_zarr(path):
        return None
    if getattr(arguments, "region", None) is not None:
        raise ValueError(
            f"{path}: --region names a part of a file, and this is a folder of many; leave it out"
        )
    if arguments.dataset is None:
        return path
    layout = open_array(arguments, path).layout
    assert layout is not None
    return os.path.dirname(layout.file.path)


def files_words(record: Mapping[str, Any]) -> str:
    """Say of how many files a record speaks, where it is a folder's."""
    if "files" not in record:
        return ""
    first = "the first " if record["more_files"] else ""
    more = ", and there are more" if record["more_files"] else ""
    return f" ({first}{format_count(record['files'], 'file')}{more})"


def count_folder(path: str, most: int = MOST_LISTED) -> Folder:
    """List the files below a folder, at most so many.

    Raises
    ------
    OSError
        The folder cannot be listed; of folders in it, those that cannot are passed over.
    """
    os.scandir(path).close()
    found = Folder(path)
    for name, state in islice(_files(path), most + 1):
        if len(found.files) == most:
            found.cut = True
            break
        found.files.append((name, state.st_size))
        found.allocated += state.st_blocks * 512
    return found


def _files(path: str) -> Iterator[tuple[str, os.stat_result]]:
    # Of more than `MOST_TOUCHED` entries in one folder the order does not matter any more.
    below = []
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in sorted(islice(entries, MOST_TOUCHED + 1), key=lambda one: one.name):
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    yield entry.path, entry.stat(follow_symlinks=False)
    for folder in below:
        yield from _files(folder)


def kind_of(array: Array) -> str:
    """What an array lies in, in words."""
    return array._facts.kind if array._facts is not None else "raw"


def stored_bytes(layout: Strided | Tiled | None) -> int | None:
    """Return what an array takes in its files; None where that is not known, or would take long."""
    if layout is None:
        return None
    table = getattr(layout, "table", None)
    folder = getattr(getattr(table, "array", None), "folder", None)
    if folder is not None:
        found = count_folder(folder)
        return None if found.cut else found.size
    return layout.nbytes if table is None or not table.encoded else None


def counted(folder: Folder, act: Callable[[int, int], None] | None = None) -> Counts:
    """Add up which pages of its files are in the page cache; each may be acted on before.

    Parameters
    ----------
    folder : Folder
    act : callable, optional
        Called with a descriptor and the size of each file.
    """
    from ..pages.pagecache import count_pages, total
    from ..storage.files import open_regular

    def pages() -> Iterator[Counts]:
        for path, _ in folder.files:
            # A file that is gone by now, or is no file any more, has no pages of this array.
            with contextlib.suppress(FileNotFoundError, NotRegularFileError):
                fd = open_regular(path)
                try:
                    size = os.fstat(fd).st_size
                    if act is not None:
                        act(fd, size)
                    yield count_pages(fd, [(0, size)])[0]
                finally:
                    os.close(fd)

    return total(pages())
