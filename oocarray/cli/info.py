"""The command ``oocarray info``: what lies in files, and where; reads headers, changes nothing."""

from __future__ import annotations

import argparse
import os
import warnings
from typing import TYPE_CHECKING, Any

from ..errors import OocarrayError
from .folders import Folder, count_folder, counted, kind_of
from .output import emit, for_each, sentence
from .words import array_options, in_options, json_option, new_command, open_array, raw_options

if TYPE_CHECKING:
    from ..core import Array
    from ..pages.pagecache import Counts

__all__ = ["add"]

_MOST_ARRAYS = 1000
"""Arrays of a group whose metadata are read; of a few thousand that takes seconds."""


def add(commands: Any) -> argparse.ArgumentParser:
    """Add ``oocarray info``."""
    command = new_command(
        commands,
        "info",
        _run,
        help="show shape, dtype, layout, disk and page cache of files",
        description="Show what lies in files and Zarr folders: format, shape, dtype, chunks, "
        "attributes, where the data begin, the blocks that a run would work on, the bytes on the "
        "disk and in the page cache; of a group or a file with several arrays a table of them. "
        "Only headers are read. A file that cannot be opened costs one line on standard error "
        "and the exit code 1; the others are shown all the same.",
        examples=(
            "oocarray info scene.npy",
            "oocarray info era5.zarr run.h5",
            "oocarray info run.h5 --dataset group/t2m",
            "oocarray info --json *.npy",
            "oocarray info --shape -1,512 --dtype '>i2' --offset 128 counts.raw",
        ),
    )
    command.add_argument("file", nargs="+", metavar="FILE", help="files or folders to look at")
    array_options(command)
    json_option(command)
    return command


def _run(arguments: argparse.Namespace) -> int:
    from .infotext import show

    raw_options(arguments)
    records, code = for_each(arguments, arguments.file, lambda path: describe(arguments, path))
    emit(arguments, records, lambda on: show(on, records))
    return code


def describe(arguments: argparse.Namespace, path: str) -> dict[str, Any]:
    """Gather what can be said of one file or folder.

    Raises
    ------
    OocarrayError, OSError, ValueError
        It cannot be opened as asked.
    """
    from ..storage.finding import sniff

    kind = "raw" if arguments.shape is not None else sniff(path)
    record: dict[str, Any] = {"path": path, "format": kind}
    if os.path.lexists(path) and os.path.realpath(path) != os.path.abspath(path):
        record["link_to"] = os.path.realpath(path)
    where = path
    if kind != "raw" or arguments.shape is not None:
        names = _names(path, kind) if arguments.dataset is None else []
        if names:
            record |= _group(path, names)
        else:
            array = _open(arguments, path)
            record |= _array(arguments, array, path, kind)
            if kind == "zarr":
                assert array.layout is not None
                where = os.path.dirname(array.layout.file.path)
    return record | (_folder(where) if os.path.isdir(where) else _file(where))


# ---- the file or folder --------------------------------------------------------------------


def _file(path: str) -> dict[str, Any]:
    from ..pages.pagecache import count_pages
    from ..storage.files import open_regular

    fd = open_regular(path)
    try:
        found = os.fstat(fd)
        (pages,) = count_pages(fd, [(0, found.st_size)])
    finally:
        os.close(fd)
    return _place(path, found.st_size, found.st_blocks * 512, pages)


def _folder(path: str) -> dict[str, Any]:
    found: Folder = count_folder(path)
    more = {"files": len(found.files), "more_files": found.cut}
    return _place(path, found.size, found.allocated, counted(found)) | more


def _place(path: str, size: int, allocated: int, pages: Counts) -> dict[str, Any]:
    from ..storage.filesystems import file_system

    place = file_system(path)
    return {
        "size": size,
        "allocated": allocated,
        "file_system": None if place is None else place.kind,
        "mount_point": None if place is None else place.mount,
        "writable": os.access(path, os.W_OK),
        "cached": None if pages.cached is None else min(pages.cached, size),
        "dirty": pages.dirty,
        "writeback": pages.writeback,
    }


# ---- one array -----------------------------------------------------------------------------


def _open(arguments: argparse.Namespace, path: str) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # bytes after the array are shown below
        return open_array(arguments, path)


def _array(arguments: argparse.Namespace, array: Array, path: str, kind: str) -> dict[str, Any]:
    from ..storage.layout import Strided

    layout = array.layout
    assert layout is not None
    found: dict[str, Any] = _header(path) if kind == "npy" else {}
    found |= {"shape": array.shape, "dtype": str(layout.dtype), "data_bytes": layout.nbytes}
    found["order"] = arguments.order if arguments.shape is not None else layout.order
    if isinstance(layout, Strided):
        found["data_offset"] = layout.offset
        if kind in ("npy", "raw"):
            found["trailing_bytes"] = layout.file.size - layout.offset - layout.nbytes
    found |= {"numblocks": array.numblocks, "blockshape": array.chunksize}
    return found if kind in ("npy", "raw") else found | _said(array)


def _said(array: Array) -> dict[str, Any]:
    """What a format that knows more than shape and dtype says of an array."""
    from ..storage.conventions import decoding_of

    try:
        meaning: Any = decoding_of(array.attrs, array.dtype)
    except OocarrayError as error:
        meaning = f"unclear: {error}"
    said = {
        "kind": kind_of(array),
        "access": _access(array),
        "dims": None if array.dims is None else list(array.dims),
        **_pieces(array),
        "attributes": dict(array.attrs),
    }
    return said | ({} if meaning is None else {"decoding": str(meaning)})


def _access(array: Array) -> str:
    """Whether elements are used where they lie in the file."""
    table = getattr(array.layout, "table", None)
    return "decoded" if table is not None and table.encoded else "mapped"


def _pieces(array: Array) -> dict[str, Any]:
    """Chunks, shards, fill value and codecs; of one run in a file there are none."""
    table = getattr(array.layout, "table", None)
    if table is None:
        return {"chunk_shape": None}
    chunk = tuple(cut.step or cut.most for cut in table.cuts)
    record = getattr(table, "array", None)
    found: dict[str, Any] = {"chunk_shape": list(chunk)}
    if record is not None:
        if record.inner is not None or record.chunk != chunk:
            found["shard_shape"] = list(record.chunk)
        found["chunk_files"] = list(record.grid)
        found["compressors"] = _codecs(record.document, record.version)
    return found | {"fill_value": table.fill if table.dtype.kind != "V" else str(table.fill)}


def _codecs(document: bytes, version: int) -> list[str]:
    """Codecs that chunks go through, with what they are told; not how elements lie in a row."""
    import json

    said = json.loads(document)
    if version == 2:
        given = [*(said.get("filters") or ()), said.get("compressor")]
        return [
            _words(codec["id"], {key: value for key, value in codec.items() if key != "id"})
            for codec in given
            if codec
        ]
    codecs = said["codecs"]
    found = []
    while codecs:
        inner: list[Any] = []
        for codec in codecs:
            name = codec if isinstance(codec, str) else codec["name"]
            told = {} if isinstance(codec, str) else codec.get("configuration") or {}
            if name == "sharding_indexed":
                inner = told.get("codecs", [])
            elif name not in ("bytes", "transpose"):
                found.append(_words(name, told))
        codecs = inner
    return found


def _words(name: str, told: dict[str, Any]) -> str:
    inside = ", ".join(f"{key} {value}" for key, value in told.items())
    return f"{name} ({inside})" if inside else name


def _header(path: str) -> dict[str, Any]:
    from ..storage.files import open_regular
    from ..storage.npy import parse_header

    fd = open_regular(path)
    try:
        header = parse_header(fd, os.fstat(fd).st_size, path=path)
    finally:
        os.close(fd)
    return {"version": ".".join(map(str, header.version)), "header_bytes": header.data_offset}


# ---- several arrays ------------------------------------------------------------------------


def _names(path: str, kind: str) -> list[str]:
    """Names of the arrays of a group or of a file with several; none of a single array."""
    from ..storage.finding import names_in

    if kind in ("npy", "raw"):
        return []
    names = list(names_in(path))
    return [] if names == [""] or (kind != "zarr" and len(names) == 1) else names


def _group(path: str, names: list[str]) -> dict[str, Any]:
    from ..storage.finding import attributes

    return {
        "attributes": dict(attributes(path)),
        "arrays": [_entry(path, name) for name in names[:_MOST_ARRAYS]],
        "more_arrays": max(len(names) - _MOST_ARRAYS, 0),
    }


def _entry(path: str, name: str) -> dict[str, Any]:
    """A row of the table; what cannot be opened costs its row, no more."""
    from ..opening import open

    try:
        with in_options():
            array = open(path, dataset=name)
    except (OocarrayError, OSError, ValueError, NotImplementedError) as error:
        return {"name": name, "error": " ".join(sentence(error).split())}
    return {
        "name": name,
        "shape": array.shape,
        "dtype": str(array.dtype),
        "dims": None if array.dims is None else list(array.dims),
        "chunk_shape": _pieces(array)["chunk_shape"],
        "access": _access(array),
        "kind": kind_of(array),
        "data_bytes": array.nbytes,
    }
