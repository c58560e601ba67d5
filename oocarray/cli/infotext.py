"""What ``oocarray info`` found, as text for a terminal; it looks at no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..units import format_bytes, format_count
from .output import facts, table

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show"]

_MOST_ATTRIBUTES = 12
_MARGIN = 16
"""Columns before what is said."""


def show(on: Console, records: list[dict[str, Any]]) -> None:
    """Print what is known of each file, those that failed left out."""
    shown = [record for record in records if "error" not in record]
    for number, record in enumerate(shown):
        if number:
            on.print()
        link = record.get("link_to")
        title = record["path"] + (f" -> {link}" if link else "")
        facts(on, title, _lines(record, max(on.width - _MARGIN, 20)))
        if "arrays" in record:
            on.print()
            _table(on, record)


def _lines(record: dict[str, Any], width: int) -> list[tuple[str, str]]:
    lines = [("format", _format(record))]
    if "shape" in record:
        lines += _array(record)
    lines += _attributes(record.get("attributes", {}), width)
    place = "folder" if "files" in record else "file"
    return [*lines, (place, _disk(record)), ("page cache", _cache(record))]


def _format(record: dict[str, Any]) -> str:
    if record["format"] == "npy":
        size = format_bytes(record["header_bytes"])
        return f"npy {record['version']}, header of {size} ({record['header_bytes']})"
    if "arrays" in record:
        count = len(record["arrays"]) + record["more_arrays"]
        what = "a group" if record["format"] == "zarr" else "a file"
        return f"{record['format']}, {what} of {format_count(count, 'array')}"
    if "kind" in record:
        return f"{record['kind']}: elements are {record['access']}"
    if "shape" in record:
        return "raw"
    return "raw or unknown: --shape and --dtype say what is in it"


def _array(record: dict[str, Any]) -> list[tuple[str, str]]:
    dtype, nbytes = record["dtype"], format_bytes(record["data_bytes"])
    order = f", {record['order']} order" if "data_offset" in record else ""
    lines = [("array", f"{tuple(record['shape'])} of {dtype}{order}, {nbytes}")]
    if record.get("dims"):
        lines.append(("axes", ", ".join(str(name or "-") for name in record["dims"])))
    if "data_offset" in record:
        lines.append(("data", _data(record)))
    if record.get("chunk_shape") is not None:
        lines.append(("chunks", _chunks(record)))
    if record.get("compressors"):
        lines.append(("codecs", ", ".join(record["compressors"])))
    if "fill_value" in record:
        lines.append(("fill value", str(record["fill_value"])))
    if "decoding" in record:
        lines.append(("meaning", f"{record['decoding']} (decode=True)"))
    return [*lines, ("blocks", _blocks(record))]


def _data(record: dict[str, Any]) -> str:
    words = f"from byte {record['data_offset']}"
    if record.get("trailing_bytes"):
        more = record["trailing_bytes"]
        words += f"; {format_bytes(more)} ({more}) after the array are never read nor written"
    return words


def _chunks(record: dict[str, Any]) -> str:
    words = str(tuple(record["chunk_shape"]))
    files = 1
    for extent in record.get("chunk_files", ()):
        files *= extent
    if "shard_shape" in record:
        return f"{words} in {format_count(files, 'shard')} of {tuple(record['shard_shape'])}"
    return f"{words}, a file for each: up to {files:,}" if "chunk_files" in record else words


def _blocks(record: dict[str, Any]) -> str:
    count = 1
    for extent in record["numblocks"]:
        count *= extent
    return f"{format_count(count, 'block')} of at most {tuple(record['blockshape'])}"


def _attributes(attributes: Mapping[str, Any], width: int) -> list[tuple[str, str]]:
    """A line for each of the first, cut off at the edge of the terminal."""
    lines = []
    for name, value in list(attributes.items())[:_MOST_ATTRIBUTES]:
        words = " ".join(f"{name} = {value!r}".split())
        lines.append(words if len(words) <= width else words[: width - 3] + "...")
    if len(attributes) > _MOST_ATTRIBUTES:
        lines.append(f"and {len(attributes) - _MOST_ATTRIBUTES} more (--json has all)")
    return [("attributes" if number == 0 else "", words) for number, words in enumerate(lines)]


def _disk(record: dict[str, Any]) -> str:
    size, allocated = record["size"], record["allocated"]
    if record.get("more_files"):
        words = [f"more than {record['files']:,} files, of which these have {format_bytes(size)}"]
    elif "files" in record:
        words = [format_count(record["files"], "file"), format_bytes(size)]
    else:
        words = [f"{format_bytes(size)} ({size})"]
    words.append(f"{format_bytes(allocated)} on the disk")
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


def _table(on: Console, record: dict[str, Any]) -> None:
    """The arrays, those that cannot be opened with the reason at the end of their row."""
    rows = [_row(one) for one in record["arrays"]]
    heads = ("  name", "shape", "dtype", "axes", "chunks", "elements are")
    # Columns in which nothing stands only take room.
    used = [n for n in range(len(heads)) if n < 3 or any(row[n] for row in rows)]
    table(on, [heads[n] for n in used], [[row[n] for n in used] for row in rows])
    if record["more_arrays"]:
        on.print(f"  and {record['more_arrays']:,} more")


def _row(one: dict[str, Any]) -> list[str]:
    if "error" in one:
        return [f"  {one['name']}", "", "", "", "", f"not readable: {one['error']}"]
    dims = one["dims"] or ()
    return [
        f"  {one['name']}",
        _extents(one["shape"]),
        one["dtype"],
        ",".join(str(name or "-") for name in dims),
        "" if one["chunk_shape"] is None else _extents(one["chunk_shape"]),
        one["access"],
    ]


def _extents(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
