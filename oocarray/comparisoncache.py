"""The files of inputs, into the page cache or out of it before each run; changes none of them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator

from .comparisontable import IN_MEMORY
from .core import Array
from .lazy.expr import KeptNode, StoredNode
from .lazy.node import postorder
from .pages import calls
from .pages.mapping import read_pages
from .pages.pagecache import count_pages
from .storage.files import open_regular
from .storage.naming import path_of
from .storage.stacking import StackTable

__all__ = ["Cache", "files_of", "let_go", "name_of"]

_MOST_FILES = 100_000
"""Of a folder of Zarr, that are brought in or dropped."""


def _stored(arrays: list[Array]) -> Iterator[StoredNode]:
    for array in arrays:
        for node in postorder(array.node):
            if isinstance(node, StoredNode) and not isinstance(node, KeptNode):
                yield node


def name_of(array: Array) -> str:
    """What people may call an input: its file, or that it is in memory."""
    places = dict.fromkeys(os.path.basename(path_of(node.source)) for node in _stored([array]))
    return ", ".join(places) or IN_MEMORY


def files_of(arrays: list[Array]) -> Iterator[str]:
    """Every file that the elements of some arrays are in."""
    for node in _stored(arrays):
        table, path = getattr(node.source, "table", None), path_of(node.source)
        if isinstance(table, StackTable):
            yield from (table.prefix + name for name in table.names)
        elif os.path.isdir(path):
            for where, _, names in os.walk(path):
                yield from (os.path.join(where, name) for name in names)
        else:
            yield path


class Cache:
    """Treats the inputs' pages alike before each run."""

    def __init__(self, files: list[str], cold: bool) -> None:
        self.files, self.cold = files[:_MOST_FILES], cold
        self.before: dict[str, list[float]] = defaultdict(list)
        """By backend, the shares of the inputs that were in the page cache as its runs began."""

    def prepare(self, backend: str) -> None:
        """Drop their pages, or bring them in, and note how much is cached then."""
        cached: int | None = 0
        size = 0
        for path in self.files:
            if not os.path.isfile(path):
                continue
            fd = open_regular(path)
            try:
                end = os.fstat(fd).st_size
                if self.cold:
                    let_go(fd)
                elif end:
                    read_pages(fd, 0, end)
                (counts,) = count_pages(fd, [(0, end)])
            finally:
                os.close(fd)
            if counts.cached is None or cached is None:
                cached = None  # the system does not tell; the other files are treated alike
                continue
            cached += min(counts.cached, end)
            size += end
        if size and cached is not None:
            self.before[backend].append(cached / size)


def let_go(fd: int) -> None:
    """Write what is dirty of a file, and drop its pages."""
    calls.write_back(fd)
    calls.drop_cached(fd, 0, -(-os.fstat(fd).st_size // calls.PAGE) * calls.PAGE)
