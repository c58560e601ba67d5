"""Finds what `oocarray tune` has kept for the files of a run; it measures and sets nothing."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

from ..kernels.cache import cache_path
from ..lazy.expr import Node, StoredNode
from ..lazy.graph import Root
from ..pages.tuning import DEFAULT, Tuning, machine, read_kept
from ..storage.filesystems import FileSystem, file_system
from ..storage.layout import Strided
from ..storage.tiled import Tiled

__all__ = ["kept_path", "key_of", "tuned"]


def kept_path() -> str | None:
    """Where tunings are kept: in the folder of compiled kernels; None where there is none."""
    folder = cache_path()
    return None if folder is None else os.path.join(folder, "tune.json")


def key_of(found: FileSystem) -> str:
    """Name a file system on this machine."""
    return f"{machine()}: {found.identity}"


def tuned(roots: Sequence[Root]) -> Tuning:
    """Return what is kept for the file system of a run's output, or else of its largest input."""
    path = kept_path()
    if path is None:
        return DEFAULT
    try:
        found = os.lstat(path)
    except OSError:
        return DEFAULT
    files = [root.target for root in roots if isinstance(root.target, Strided | Tiled)]
    if not files:
        sources: dict[int, Strided | Tiled] = {}
        for root in roots:
            _collect(root.node, sources)
        files = sorted(sources.values(), key=lambda source: -source.nbytes)
    if not files:
        return DEFAULT
    state = found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode, found.st_uid
    file = files[0].file
    return _looked_up(path, state, os.path.dirname(file.path), file.dev)


@functools.lru_cache(maxsize=64)
def _looked_up(path: str, state: tuple[int, ...], folder: str, device: int) -> Tuning:
    """Look once for each state of the file: a short run shall not wait for it."""
    system = file_system(folder, device)
    kept = None if system is None else read_kept(path).get(key_of(system))
    return DEFAULT if kept is None else kept.tuning


def _collect(node: Node, sources: dict[int, Strided | Tiled]) -> None:
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, StoredNode):
            sources[id(node)] = node.source
        waiting += node.children
