"""The command ``oocarray info``: what lies in files, and where; reads headers, changes nothing."""

from __future__ import annotations

import argparse
import os
import warnings
from typing import TYPE_CHECKING, Any

from ..units import format_bytes, format_count
from .output import emit, facts, for_each
from .words import array_options, json_option, new_command, open_array, raw_options

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["add"]


def add(commands: Any) -> argparse.ArgumentParser:
    """Add ``oocarray info``."""
    command = new_command(
        commands,
        "info",
        _run,
        help="show shape, dtype, layout, disk and page cache of files",
        description="Show what lies in files: format, shape, dtype, order, where the data begin, "
        "the blocks that a run would work on, the bytes on the disk and in the page cache. Only "
        "headers are read. A file that cannot be opened costs one line on standard error and the "
        "exit code 1; the others are shown all the same.",
        examples=(
            "oocarray info scene.npy",
            "oocarray info --json *.npy",
            "oocarray info --shape -1,512 --dtype '>i2' --offset 128 counts.raw",
        ),
    )
    command.add_argument("file", nargs="+", metavar="FILE", help="files to look at")
    array_options(command)
    json_option(command)
    return command


def _run(arguments: argparse.Namespace) -> int:
    raw_options(arguments)
    records, code = for_each(arguments, arguments.file, lambda path: describe(arguments, path))
    emit(arguments, records, lambda on: _show(on, records))
    return code


def describe(arguments: argparse.Namespace, path: str) -> dict[str, Any]:
    """Gather what can be said of one file.

    Raises
    ------
    OocarrayError, OSError, ValueError
        It cannot be opened as asked.
    """
    from ..pages.pagecache import count_pages
    from ..storage.files import open_regular
    from ..storage.filesystems import file_system
    from ..storage.finding import sniff

    kind = "raw" if arguments.shape is not None else sniff(path)
    record: dict[str, Any] = {"path": path, "format": kind}
    if os.path.realpath(path) != os.path.abspath(path):
        record["link_to"] = os.path.realpath(path)
    if kind == "npy" or arguments.shape is not None:
        record |= _array(arguments, path, kind)
    fd = open_regular(path)
    try:
        found = os.fstat(fd)
        (pages,) = count_pages(fd, [(0, found.st_size)])
    finally:
        os.close(fd)
    place = file_system(path)
    cached = None if pages.cached is None else min(pages.cached, found.st_size)
    return record | {
        "size": found.st_size,
        "allocated": found.st_blocks * 512,
        "file_system": None if place is None else place.kind,
        "mount_point": None if place is None else place.mount,
        "writable": os.access(path, os.W_OK),
        "cached": cached,
        "dirty": pages.dirty,
        "writeback": pages.writeback,
    }


def _array(arguments: argparse.Namespace, path: str, kind: str) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # bytes after the array are shown below
        array = open_array(arguments, path)
    layout = array.layout
    assert layout is not None
    found: dict[str, Any] = {}
    if kind == "npy":
        found = _header(path)
    return found | {
        "shape": array.shape,
        "dtype": str(layout.dtype),
        "order": layout.order if kind == "npy" else arguments.order,
        "data_offset": layout.offset,
        "data_bytes": layout.nbytes,
        "trailing_bytes": layout.file.size - layout.offset - layout.nbytes,
        "numblocks": array.numblocks,
        "blockshape": array.chunksize,
    }


def _header(path: str) -> dict[str, Any]:
    from ..storage.files import open_regular
    from ..storage.npy import parse_header

    fd = open_regular(path)
    try:
        header = parse_header(fd, os.fstat(fd).st_size, path=path)
    finally:
        os.close(fd)
    return {"version": ".".join(map(str, header.version)), "header_bytes": header.data_offset}


def _show(on: Console, records: list[dict[str, Any]]) -> None:
    shown = [record for record in records if "error" not in record]
    for number, record in enumerate(shown):
        if number:
            on.print()
        link = record.get("link_to")
        facts(on, record["path"] + (f" -> {link}" if link else ""), _lines(record))


def _lines(record: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [("format", _format(record))]
    if "shape" in record:
        dtype, nbytes = record["dtype"], format_bytes(record["data_bytes"])
        lines += [
            ("array", f"{record['shape']} of {dtype}, {record['order']} order, {nbytes}"),
            ("data", _data(record)),
            ("blocks", _blocks(record)),
        ]
    return [*lines, ("file", _disk(record)), ("page cache", _cache(record))]


def _format(record: dict[str, Any]) -> str:
    if record["format"] == "npy":
        size = format_bytes(record["header_bytes"])
        return f"npy {record['version']}, header of {size} ({record['header_bytes']})"
    if "shape" in record:
        return "raw"
    return "raw or unknown: --shape and --dtype say what is in it"


def _data(record: dict[str, Any]) -> str:
    words = f"from byte {record['data_offset']}"
    if record["trailing_bytes"]:
        more = record["trailing_bytes"]
        words += f"; {format_bytes(more)} ({more}) after the array are never read nor written"
    return words


def _blocks(record: dict[str, Any]) -> str:
    count = 1
    for extent in record["numblocks"]:
        count *= extent
    return f"{format_count(count, 'block')} of at most {record['blockshape']}"


def _disk(record: dict[str, Any]) -> str:
    size, allocated = record["size"], record["allocated"]
    words = [f"{format_bytes(size)} ({size})", f"{format_bytes(allocated)} on the disk"]
    if allocated < size:
        words[-1] += " (sparse)"
    if record["file_system"] is not None:
        words.append(f"{record['file_system']} at {record['mount_point']}")
    return ", ".join([*words, "writable" if record["writable"] else "read-only"])


def _cache(record: dict[str, Any]) -> str:
    cached, dirty = record["cached"], record["dirty"]
    if cached is None:
        return "unknown: the system does not tell"
    words = f"{format_bytes(cached)} cached"
    if record["size"]:
        words += f" ({cached / record['size']:.0%})"
    if dirty is None:
        return f"{words}; how much of it is dirty is unknown"
    words += f", {format_bytes(dirty)} dirty"
    writing = record["writeback"]
    return words + (f", {format_bytes(writing)} being written" if writing else "")
