"""A folder of Zarr out of the page cache, into it, and how much of it is there; changes no file."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from ..errors import NotRegularFileError
from ..units import format_bytes, format_count
from .cache import IN_USE, batches, bring_in, check_room, reasons
from .folders import MOST_TOUCHED, Folder, count_folder, counted
from .output import progress
from .places import mappers_below

if TYPE_CHECKING:
    from rich.console import Console

    from ..pages.pagecache import Counts

__all__ = ["evict_folder", "residency_of", "show_residency", "warm_folder"]


def evict_folder(path: str, folder: str) -> dict[str, Any]:
    """Write back and let go the pages of all files in a folder, and say what that did.

    Parameters
    ----------
    path : str
        As the user names it.
    folder : str

    Raises
    ------
    OSError
        It cannot be listed, or dirty pages could not be written.
    """
    from ..pages import calls

    found = count_folder(folder, MOST_TOUCHED)
    before = counted(found)

    def drop(fd: int, size: int) -> None:
        calls.write_back(fd)
        calls.drop_cached(fd, 0, -(-size // calls.PAGE) * calls.PAGE)

    after = counted(found, drop)
    why = reasons(folder, after, lambda: mappers_below(folder)) if after.cached else []
    return {
        "path": path,
        **_files(found),
        "cached_before": before.cached,
        "dirty_before": before.dirty,
        "cached_after": after.cached,
        "dirty_after": after.dirty,
        "why": why or ([IN_USE] if after.cached else []),
    }


def warm_folder(path: str, folder: str, force: bool) -> dict[str, Any]:
    """Read all files of a folder into the page cache, and say what that took.

    Raises
    ------
    BudgetError
        They are more than memory has room for.
    OSError
        A file cannot be opened or read.
    """
    from ..storage.files import open_regular

    found = count_folder(folder, MOST_TOUCHED)
    wanted = found.size
    check_room(path, wanted, force)
    before = counted(found).cached
    began = time.perf_counter()
    with progress(f"warm {os.path.basename(folder)}", wanted) as advance:
        for name, size in found.files:
            try:
                fd = open_regular(name)
            except (FileNotFoundError, NotRegularFileError):
                continue  # it was replaced since it was listed
            try:
                for pieces in batches([(0, size)] if size else []):
                    for start, stop in pieces:
                        bring_in(fd, start, stop)
                        advance(stop - start)
            finally:
                os.close(fd)
    took = time.perf_counter() - began
    after = counted(found).cached
    read = None if before is None else max(wanted - before, 0)
    return {
        "path": path,
        **_files(found),
        "bytes": wanted,
        "cached_before": None if before is None else min(before, wanted),
        "cached_after": None if after is None else min(after, wanted),
        "read": read,
        "seconds": took,
        "bytes_per_second": None if read is None or not took else read / took,
    }


def residency_of(path: str, folder: str) -> dict[str, Any]:
    """Say how much of a folder is in the page cache, and of how many of its files."""
    found = count_folder(folder, MOST_TOUCHED)
    whole = part = 0
    total: Counts | None = None
    for name, size in found.files:
        one = counted(Folder(folder, [(name, size)]))
        total = one if total is None else total + one
        if one.cached is not None and size:
            whole += one.cached >= size
            part += 0 < one.cached < size
    total = counted(Folder(folder)) if total is None else total
    known = total.cached is not None
    names = ("cached", "dirty", "writeback", "evicted", "recently_evicted")
    return {
        "path": path,
        "size": found.size,
        **_files(found),
        "files_cached": whole if known else None,
        "files_cached_in_part": part if known else None,
        "source": ("mincore" if total.dirty is None else "cachestat") if known else None,
        "total": {name: getattr(total, name) for name in names},
    }


def show_residency(on: Console, record: dict[str, Any]) -> None:
    """Print what `residency_of` returned."""
    total, size = record["total"], record["size"]
    count = format_count(record["files"], "file")
    of = f"the first {count}; there are more" if record["more_files"] else count
    on.print(f"{record['path']}  {of}")
    if total["cached"] is None:
        on.print(f"{format_bytes(size)}; how much of it is cached the system does not tell")
        return
    cached = min(total["cached"], size)
    share = f" ({cached / size:.0%})" if size else ""
    on.print(f"{format_bytes(cached)} of {format_bytes(size)} are cached{share}")
    whole, part = record["files_cached"], record["files_cached_in_part"]
    rest = record["files"] - whole - part
    on.print(f"{whole:,} cached whole, {part:,} in part, {rest:,} not at all or empty")
    if total["dirty"] is not None:
        on.print(
            f"dirty {format_bytes(total['dirty'])}, being written "
            f"{format_bytes(total['writeback'])}, evicted {format_bytes(total['evicted'])}"
        )


def _files(found: Folder) -> dict[str, Any]:
    return {"files": len(found.files), "more_files": found.cut}
