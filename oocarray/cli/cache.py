"""The commands ``oocarray evict`` and ``oocarray warm``: a file out of the page cache, or into it.

Neither changes what is in a file.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import BudgetError
from ..pages.residency import FOLIO
from ..storage.filesystems import file_system
from ..units import format_bytes, format_seconds
from .folders import files_words, folder_of
from .output import emit, for_each, progress
from .places import mappers
from .words import array_options, cut, json_option, new_command, open_array, raw_options, region

if TYPE_CHECKING:
    from rich.console import Console

    from ..pages.pagecache import Counts

__all__ = ["add_evict", "add_warm"]

_PIECE = 32 << 20
"""Bytes brought in by one call: enough for a disk's full speed, and soon done after Ctrl-C."""
_TOGETHER = 64
"""Small pieces that the disk is told of at once."""
_IN_MEMORY = ("tmpfs", "ramfs", "hugetlbfs", "devtmpfs")
"""File systems whose files are nowhere but in the page cache."""
_REGION = "a part of the array: an index or a range for each axis, such as 0:1000,5:7"
_AT_AN_EDGE = (
    "the cache holds files in pieces of up to 2 MiB, and what reaches out of the part stays"
)
IN_USE = "in use, perhaps by a process that this user may not look at"

Ranges = list[tuple[int, int]]


def add_evict(commands: Any) -> argparse.ArgumentParser:
    """Add ``oocarray evict``."""
    command = new_command(
        commands,
        "evict",
        _evict,
        help="take files out of the page cache",
        description="Take files, or a part of one, out of the page cache: dirty pages are written "
        "to the disk first, then all are let go. Says how much was cached before and after, and "
        "what keeps the rest. Nothing in the file changes.",
        examples=(
            "oocarray evict scene.npy",
            "oocarray evict *.npy --json",
            "oocarray evict scene.npy --region 0:1000",
            "oocarray evict era5.zarr",
        ),
    )
    command.add_argument("file", nargs="+", metavar="FILE", help="files, or folders of Zarr")
    command.add_argument("--region", type=region, metavar="REGION", help=_REGION)
    array_options(command)
    json_option(command)
    return command


def add_warm(commands: Any) -> argparse.ArgumentParser:
    """Add ``oocarray warm``."""
    command = new_command(
        commands,
        "warm",
        _warm,
        help="read a file into the page cache",
        description="Read a file, or a part of its array, into the page cache, so that what reads "
        "it next need not wait for the disk. Refused when it is more than memory has room for: "
        "the beginning would be dropped again while the end is read.",
        examples=(
            "oocarray warm scene.npy",
            "oocarray warm scene.npy --region 0:1000,5:7",
            "oocarray warm era5.zarr --dataset t2m",
            "oocarray warm counts.raw --shape -1,512 --dtype u2 --region :1000",
        ),
    )
    command.add_argument("file", metavar="FILE", help="file or folder of Zarr to read")
    command.add_argument("--region", type=region, metavar="REGION", help=_REGION)
    command.add_argument(
        "--force", action="store_true", help="read it even if it does not fit into memory"
    )
    array_options(command)
    json_option(command)
    return command


def ranges_of(arguments: argparse.Namespace, path: str, size: int) -> Ranges:
    """Byte ranges that the options name: the whole file, or a region of its array."""
    from ..pages.pagecache import page_runs
    from ..storage.layout import Strided

    if _whole(arguments):
        return [(0, size)] if size else []
    layout = open_array(arguments, path).layout
    if not isinstance(layout, Strided):
        raise ValueError(
            f"{path}: a part can be named of arrays that lie in one run in their file; this one "
            "lies in chunks: leave out --region and --dataset"
        )
    return page_runs(layout.runs(cut(arguments.region, layout.shape), gap=0), size)


def _whole(arguments: argparse.Namespace) -> bool:
    """Whether the whole file is meant."""
    return arguments.region is None and arguments.shape is None and arguments.dataset is None


# ---- evict ---------------------------------------------------------------------------------


def _evict(arguments: argparse.Namespace) -> int:
    raw_options(arguments)
    records, code = for_each(arguments, arguments.file, lambda path: evict(arguments, path))
    emit(arguments, records, lambda on: _show_evicted(on, records))
    return code


def evict(arguments: argparse.Namespace, path: str) -> dict[str, Any]:
    """Write a file's dirty pages back, let its pages go, and say what that did.

    Raises
    ------
    OSError
        It cannot be opened, or its dirty pages could not be written.
    """
    from ..pages import calls
    from ..pages.pagecache import count_pages, total
    from ..storage.files import open_regular

    if folder := folder_of(arguments, path):
        from .foldercache import evict_folder

        return evict_folder(path, folder)
    fd = open_regular(path)
    try:
        ranges = ranges_of(arguments, path, os.fstat(fd).st_size)
        before = total(count_pages(fd, ranges))
        calls.write_back(fd)
        for start, stop in ranges:
            calls.drop_cached(fd, start, -(-(stop - start) // calls.PAGE) * calls.PAGE)
        after = total(count_pages(fd, ranges))
        why = _why(fd, path, after) if after.cached else []
        if after.cached and not why:
            why = [IN_USE if _whole(arguments) else _AT_AN_EDGE]
    finally:
        os.close(fd)
    return {
        "path": path,
        "cached_before": before.cached,
        "dirty_before": before.dirty,
        "cached_after": after.cached,
        "dirty_after": after.dirty,
        "why": why,
    }


def _why(fd: int, path: str, after: Counts) -> list[str]:
    """What keeps pages in the cache, as far as it can be seen."""
    return reasons(path, after, lambda: mappers(os.fstat(fd).st_ino, path))


def reasons(path: str, after: Counts, holders: Callable[[], list[tuple[int, str]]]) -> list[str]:
    """Say what keeps pages in the cache; `holders` tells who has them mapped."""
    place = file_system(path)
    if place is not None and place.kind in _IN_MEMORY:
        return [f"{place.kind} keeps its files in memory"]
    found = []
    if held := holders():
        names = ", ".join(f"{pid} ({name})" for pid, name in held[:5])
        more = f" and {len(held) - 5} more" if len(held) > 5 else ""
        found.append(f"mapped by process {names}{more}")
    unwritten = (after.dirty or 0) + (after.writeback or 0)
    if unwritten:
        found.append(f"{format_bytes(unwritten)} became dirty again or are being written")
    return found


def _show_evicted(on: Console, records: list[dict[str, Any]]) -> None:
    for record in records:
        if "error" in record:
            continue
        before, after = record["cached_before"], record["cached_after"]
        if before is None or after is None:
            on.print(f"{record['path']}: let go; how much is cached the system does not tell")
            continue
        dirty = record["dirty_before"]
        of = f" ({format_bytes(dirty)} of it dirty)" if dirty else ""
        line = f"{record['path']}{files_words(record)}: {format_bytes(before)} cached{of} before, "
        line += f"{format_bytes(after)} after"
        on.print(line + (f": {'; '.join(record['why'])}" if record["why"] else ""))


# ---- warm ----------------------------------------------------------------------------------


def _warm(arguments: argparse.Namespace) -> None:
    raw_options(arguments)
    record = warm(arguments)
    emit(arguments, record, lambda on: _show_warmed(on, record))


def warm(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read a file's ranges into the page cache, and say what that took.

    Raises
    ------
    BudgetError
        They are more than memory has room for.
    OSError
        The file cannot be opened or read.
    """
    from ..pages import calls
    from ..pages.pagecache import count_pages, total
    from ..storage.files import open_regular

    path: str = arguments.file
    if folder := folder_of(arguments, path):
        from .foldercache import warm_folder

        return warm_folder(path, folder, arguments.force)
    fd = open_regular(path)
    try:
        ranges = ranges_of(arguments, path, os.fstat(fd).st_size)
        wanted = sum(stop - start for start, stop in ranges)
        check_room(path, wanted, arguments.force)
        before = total(count_pages(fd, ranges)).cached
        began = time.perf_counter()
        with progress(f"warm {os.path.basename(path)}", wanted) as advance:
            for pieces in batches(ranges):
                for start, stop in pieces:
                    if stop - start < FOLIO:
                        # The disk begins with it while those before it are waited for.
                        calls.will_need(fd, start, stop - start)
                for start, stop in pieces:
                    bring_in(fd, start, stop)
                    advance(stop - start)
        took = time.perf_counter() - began
        after = total(count_pages(fd, ranges)).cached
    finally:
        os.close(fd)
    read = None if before is None else max(wanted - before, 0)
    return {
        "path": path,
        "bytes": wanted,
        "cached_before": None if before is None else min(before, wanted),
        "cached_after": None if after is None else min(after, wanted),
        "read": read,
        "seconds": took,
        "bytes_per_second": None if read is None or not took else read / took,
    }


def check_room(path: str, wanted: int, force: bool) -> None:
    from ..runtime.limits import room
    from .output import complain

    fits = room()
    if wanted <= fits:
        return
    words = f"{path}: {format_bytes(wanted)} were to be cached, but memory has room for "
    words += format_bytes(fits)
    if not force:
        raise BudgetError(f"{words}; choose a part by --region, or read it all by --force")
    complain(f"{words}: some of it will be dropped again", "warning")


def batches(ranges: Ranges) -> Iterator[Ranges]:
    """Cut ranges into pieces of at most 32 MiB, and hand these out some at a time.

    Examples
    --------
    >>> [len(some) for some in batches([(0, 1), (2, 3), (0, 80 << 20)])]
    [5]
    """
    pieces = (
        (first, min(first + _PIECE, stop))
        for start, stop in ranges
        for first in range(start, stop, _PIECE)
    )
    while some := list(islice(pieces, _TOGETHER)):
        yield some


def bring_in(fd: int, start: int, stop: int) -> None:
    """Let the kernel cache a range: in its largest pieces and without a copy, if it is long."""
    from ..pages.mapping import read_pages

    if stop - start < FOLIO or not _populated(fd, start, stop):
        read_pages(fd, start, stop)


def _populated(fd: int, start: int, stop: int) -> bool:
    from ..pages import calls
    from ..pages.mapping import Window

    window = Window(fd, start, stop)
    if not window.advise(calls.HUGEPAGE):
        window.advise(calls.SEQUENTIAL)
    try:
        return window.populate(start, stop)
    except OSError:
        return False  # an ordinary read gives the reason, or finds the end of a cut file
    finally:
        window.release()


def _show_warmed(on: Console, record: dict[str, Any]) -> None:
    nbytes, took = format_bytes(record["bytes"]), format_seconds(record["seconds"])
    if record["cached_after"] is None:
        on.print(f"{record['path']}{files_words(record)}: {nbytes} read in {took}")
        return
    on.print(
        f"{record['path']}{files_words(record)}: {format_bytes(record['cached_after'])} of "
        f"{nbytes} cached, {format_bytes(record['cached_before'])} were before; {_rate(record)}"
    )


def _rate(record: dict[str, Any]) -> str:
    from ..meter import speed

    if not record["read"]:
        return "nothing had to be read"
    took = format_seconds(record["seconds"])
    return f"read {format_bytes(record['read'])} in {took} ({speed(record['bytes_per_second'])})"
