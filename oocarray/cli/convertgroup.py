"""All arrays of a Zarr group or file into a new Zarr group, for ``oocarray convert``."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..errors import FormatError, OocarrayError
from ..storage.jsonattrs import in_json
from ..units import format_bytes, format_count, format_seconds
from .convert import copied, opened
from .folders import kind_of
from .groups import GroupDraft, plain_name
from .output import complain, sentence, table

if TYPE_CHECKING:
    from rich.console import Console

    from ..core import Array

__all__ = ["convert_group", "show_group"]

_TOLD = ("zarr", "hdf5", "netcdf3")
"""Formats of which we can tell what a file, or a group in it, says of itself."""


def convert_group(
    arguments: argparse.Namespace, path: str, names: list[str], out: str
) -> dict[str, Any]:
    """Store all arrays of a group or file into a new group, which appears when it is complete.

    Raises
    ------
    FormatError, OSError
        An array cannot be opened, and ``--skip`` was not given; nothing is made.
    """
    from ..storage.finding import sniff

    began = time.perf_counter()
    _not_inside(path, out)
    arrays, skipped = _opened(arguments, path, names)
    if not arrays:
        raise FormatError(f"{path}: none of its {len(names)} arrays can be read")
    draft = GroupDraft(out, arguments.overwrite)
    records = []
    try:
        for name, array in arrays.items():
            place = draft.place(name)
            record = copied(arguments, array, array.dims, array.attrs, place, "zarr", many=True)
            # It is there no more when this is read.
            records.append(
                {"name": name, "kind": kind_of(array), **record, "output": os.path.join(out, name)}
            )
        attributes, left = _group_attributes(path, draft.groups)
        draft.publish(attributes, arguments.durability or "none")
    finally:
        draft.discard()
    return {
        "source": path,
        "format": sniff(path),
        "output": out,
        "arrays": records,
        "skipped": skipped,
        "not_kept": left,
        "bytes": sum(record["bytes"] for record in records),
        "source_bytes": _sum(record["source_bytes"] for record in records),
        "output_bytes": _sum(record["output_bytes"] for record in records),
        "seconds": time.perf_counter() - began,
    }


def _not_inside(path: str, out: str) -> None:
    """Refuse to replace a group by one of its parts: the rest of it would be lost."""
    source, target = os.path.realpath(path), os.path.realpath(out)
    if source.startswith(target + os.sep):
        raise OocarrayError(f"{path} lies in {out}, which it was to replace; choose another name")


def _opened(
    arguments: argparse.Namespace, path: str, names: list[str]
) -> tuple[dict[str, Array], list[dict[str, str]]]:
    arrays: dict[str, Array] = {}
    skipped = []
    for name in names:
        try:
            arrays[plain_name(name)] = opened(arguments, path, name, {})
        except (OocarrayError, OSError, ValueError, NotImplementedError) as error:
            words = sentence(error)
            if not arguments.skip:
                raise FormatError(f"{words}; --skip leaves out arrays of {path} like it") from error
            complain(f"{name} is left out: {words}", "warning")
            skipped.append({"name": name, "error": words})
    return arrays, skipped


def _group_attributes(
    path: str, groups: Iterable[str]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What a source says of itself and of the groups in it."""
    from ..storage.finding import attributes, sniff

    found: dict[str, dict[str, Any]] = {}
    left = [] if sniff(path) in _TOLD else ["attributes of the file"]
    for name in groups:
        said, lost = in_json(attributes(path, name))
        found[name] = said
        left += [f"{words} of group {name!r}" if name else words for words in lost]
    return found, left


def _sum(sizes: Iterable[int | None]) -> int | None:
    known = list(sizes)
    return None if None in known else sum(size for size in known if size is not None)


def show_group(on: Console, record: dict[str, Any]) -> None:
    """Print what `convert_group` returned."""
    arrays = record["arrays"]
    on.print(f"{record['output']}: a Zarr group of {format_count(len(arrays), 'array')}")
    rows = [
        (
            f"  {one['name']}",
            "x".join(map(str, one["shape"])) or "scalar",
            one["dtype"],
            "x".join(map(str, one["chunks"])) or "scalar",
            format_bytes(one["bytes"]),
            format_seconds(one["seconds"]),
        )
        for one in arrays
    ]
    table(on, ("  name", "shape", "dtype", "chunks", ">elements", ">time"), rows)
    for one in record["skipped"]:
        on.print(f"  {one['name']} is left out")
    on.print(f"  from   {record['source']}")
    size = format_bytes(record["bytes"]) + " of elements"
    if record["output_bytes"] is not None:
        size += f" in {format_bytes(record['output_bytes'])}"
    on.print(f"  bytes  {size} in {format_seconds(record['seconds'])}")
    lost = [
        *record["not_kept"],
        *(f"{w} of {one['name']}" for one in arrays for w in one["not_kept"]),
    ]
    if lost:
        on.print(f"  lost   {', '.join(lost)}")
