"""The arrays in a folder of Zarr, by name; opens one, and never follows links to find others."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oocarray.errors import DtypeError, FormatError
from oocarray.storage.opened import Opened
from oocarray.storage.zarrjson import object_at, parse_json, read_document, short
from oocarray.storage.zarrmeta import (
    check_fields,
    dtype3_of,
    read_attributes,
    read_zarr,
    shape_dims3,
)
from oocarray.storage.zarrmeta2 import shape_dims2
from oocarray.storage.zarrtypes import dtype_name, parse_dtype2

__all__ = [
    "ZarrSummary",
    "group_attributes",
    "is_zarr",
    "list_arrays",
    "open_zarr",
    "split_path",
]

_NAMES = ("zarr.json", ".zarray", ".zgroup", ".zmetadata")
_GROUP_FIELDS = ("zarr_format", "node_type", "attributes", "consolidated_metadata")
_MAX_NODES = 10_000
_SHOWN = 20  # arrays named in a message

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class ZarrSummary:
    """An array of a group, in short."""

    name: str
    """Path inside the group, such as ``"a/b"``; ``""`` for the folder itself."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | str
    """In the order of the file's bytes; its name in the file where NumPy cannot map it."""
    dims: tuple[str | None, ...] | None

    def __str__(self) -> str:
        return f"{self.name!r} {self.shape} {self.dtype}"


def is_zarr(path: PathLike) -> bool:
    """Tell whether a path is a folder with the metadata of a Zarr array or group."""
    return os.path.isdir(path) and any(os.path.lexists(os.path.join(path, name)) for name in _NAMES)


def split_path(path: PathLike) -> tuple[str, str]:
    """Return the folder of Zarr that a path leads to or into, and the name inside it.

    Parameters
    ----------
    path : path-like
        ``"ds.zarr"``, or ``"ds.zarr/a/b"`` for an array in it.

    Returns
    -------
    tuple of str
        The path itself and ``""`` where it is such a folder, or nothing of Zarr is on the way.
    """
    given = os.fspath(path)
    if is_zarr(given) or os.path.isfile(given):
        return given, ""
    root, inside = os.path.split(given.rstrip("/"))
    while root and inside:
        if is_zarr(root):
            return root, inside
        above, name = os.path.split(root)
        if above == root or not name:
            break
        root, inside = above, f"{name}/{inside}"
    return given, ""


def list_arrays(folder: PathLike) -> dict[str, ZarrSummary]:
    """Return all arrays in a folder of Zarr and in its groups, sorted by name.

    Consolidated metadata is believed where there is some; else the folders are walked.

    Parameters
    ----------
    folder : path-like
        Of a group; of an array its only entry is ``""``.

    Raises
    ------
    FormatError
        Metadata that is not as the format says; or more than 10,000 nodes.
    OSError
    """
    where = os.path.abspath(folder)
    nodes = _consolidated(where)
    found = {}
    for count, (name, version, document, attrs) in enumerate(
        _walk(where) if nodes is None else nodes
    ):
        if count >= _MAX_NODES:
            raise FormatError(
                f"{where} has more than {_MAX_NODES} arrays, groups and other folders; say by "
                "dataset= which to open"
            )
        if document is not None:
            found[name] = _summary(name, version, document, attrs, where)
    return dict(sorted(found.items()))


_Node = tuple[str, int, dict[str, Any] | None, dict[str, Any]]
"""Name, version, document if it is an array, and the attributes if it is of version 2."""


def _summary(
    name: str, version: int, document: dict[str, Any], attrs: dict[str, Any], where: str
) -> ZarrSummary:
    what = os.path.join(where, name)
    try:
        if version == 3:
            shape, dims = shape_dims3(document, what)
            dtype: np.dtype[Any] | str = dtype3_of(document, what)
        else:
            shape, dims = shape_dims2(document, attrs, what)
            dtype = parse_dtype2(document.get("dtype"), f"{what}: dtype")
    except DtypeError:
        dtype = dtype_name(document.get("data_type" if version == 3 else "dtype"))
    return ZarrSummary(name, shape, dtype, dims)


def _consolidated(where: str) -> Iterator[_Node] | None:
    """The nodes that a group's own document lists, if it lists any."""
    try:
        file, document = read_document(os.path.join(where, "zarr.json"))
    except FileNotFoundError:
        return _consolidated2(where)
    found = object_at(parse_json(document, file.path), file.path)
    listed = found.get("consolidated_metadata") if found.get("node_type") == "group" else None
    if listed is None:
        return None
    what = f"{file.path}: consolidated_metadata"
    if object_at(listed, what).get("kind", "inline") != "inline":
        return None
    nodes = object_at(listed.get("metadata"), f"{what}.metadata")
    return _nodes3(nodes, f"{what}.metadata")


def _nodes3(nodes: dict[str, Any], what: str) -> Iterator[_Node]:
    for name, node in nodes.items():
        _check_name(name, what)
        array = object_at(node, f"{what}: {short(name)}").get("node_type") == "array"
        yield name, 3, node if array else None, {}


def _consolidated2(where: str) -> Iterator[_Node] | None:
    try:
        file, document = read_document(os.path.join(where, ".zmetadata"))
    except FileNotFoundError:
        return None
    found = object_at(parse_json(document, file.path), file.path)
    version = found.get("zarr_consolidated_format")
    if type(version) is not int or version != 1:
        raise FormatError(f"{file.path}: zarr_consolidated_format is {short(version)}, not 1")
    return _nodes2(object_at(found.get("metadata"), f"{file.path}: metadata"), file.path)


def _nodes2(nodes: dict[str, Any], what: str) -> Iterator[_Node]:
    for path, node in nodes.items():
        name, _, kind = path.rpartition("/")
        if kind not in (".zarray", ".zgroup"):
            continue
        if name:
            _check_name(name, what)
        if kind == ".zgroup":
            yield name, 2, None, {}
            continue
        beside = nodes.get(f"{name}/.zattrs" if name else ".zattrs", {})
        attrs = object_at(beside, f"{what}: {short(name)}: .zattrs")
        yield name, 2, object_at(node, f"{what}: {short(path)}"), attrs


def _walk(where: str) -> Iterator[_Node]:
    """All nodes below a folder, as its sub-folders have them; links are not followed."""
    waiting = [""]
    while waiting:
        name = waiting.pop()
        folder = os.path.join(where, name)
        node = _node(folder)
        if node is None:
            yield name, 0, None, {}  # it was looked at, and counts
            continue
        version, kind, document = node
        attrs = read_attributes(folder) if (version, kind) == (2, "array") else {}
        yield name, version, document if kind == "array" else None, attrs
        if kind == "group":
            with os.scandir(folder) as entries:
                below = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
            waiting += [f"{name}/{entry}" if name else entry for entry in reversed(below)]


def _node(folder: str) -> tuple[int, str, dict[str, Any]] | None:
    """Version, kind and document of what a folder is; None if it is nothing of Zarr."""
    for name, version, said in (
        ("zarr.json", 3, ""),
        (".zarray", 2, "array"),
        (".zgroup", 2, "group"),
        (".zmetadata", 2, "group"),
    ):
        try:
            file, document = read_document(os.path.join(folder, name))
        except FileNotFoundError:
            continue
        found = object_at(parse_json(document, file.path), file.path)
        kind = said or found.get("node_type")
        if kind not in ("array", "group"):
            raise FormatError(f"{file.path}: node_type is {short(kind)}, not 'array' or 'group'")
        if kind == "group" and version == 3:
            check_fields(found, "group", _GROUP_FIELDS, file.path)
        return version, kind, found
    return None


def _check_name(name: str, what: str) -> str:
    """Return the path of a dataset if it leads nowhere but down.

    Raises
    ------
    FormatError
    """
    parts = name.split("/")
    drive = len(name) > 1 and name[1] == ":" and name[0].isalpha()
    if "\0" in name or "\\" in name or drive or any(part in ("", ".", "..") for part in parts):
        raise FormatError(
            f"{what}: {short(name)} is no name of a dataset, which is like 'a' or 'a/b'"
        )
    return name


def group_attributes(path: PathLike) -> dict[str, Any]:
    """Return what a group says of itself.

    Raises
    ------
    FormatError, OSError
    """
    root, inside = split_path(path)
    folder = os.path.join(root, *inside.split("/")) if inside else root
    found = _node(folder)
    if found is None or found[0] == 2:
        return read_attributes(folder)
    return object_at(found[2].get("attributes", {}), folder)


def open_zarr(path: PathLike, dataset: str | None = None) -> Opened:
    """Find an array of Zarr, by its folder or by its name in a group; reads its metadata only.

    Parameters
    ----------
    path : path-like
        ``"x.zarr"``, or ``"ds.zarr/t2m"``.
    dataset : str, optional
        Which of a group's arrays: ``"t2m"``, ``"a/b"``.

    Returns
    -------
    Opened
        Its `place` is a `ZarrArray`.

    Raises
    ------
    FormatError
        A group, and no dataset; no such dataset; or metadata that is not as the format says.
    DtypeError
        Elements that cannot be mapped.
    OSError
    """
    root, inside = split_path(path)
    given = [inside] if inside else []
    if dataset is not None:
        given.append(str(dataset))
    folder = root
    if given:
        name = _check_name("/".join(given), root)
        if os.path.isdir(root) and (node := _node(root)) and node[1] == "array":
            raise FormatError(f"{root} is an array, not a group; leave out {name!r}")
        folder = os.path.join(root, *name.split("/"))
        if not is_zarr(folder):
            raise _unknown(root, name)
    node = _node(folder) if os.path.isdir(folder) else None
    if node is not None and node[1] == "group":
        raise _which(folder, os.path.relpath(folder, root) if given else "")
    record, attrs = read_zarr(folder)
    if record.version == 2 and record.dims is not None and record.dtype.kind in "iuf":
        _mask_fill(record.document, attrs)
    place: Any = record
    return Opened(place, record.kind, record.dims, attrs)


def _mask_fill(document: bytes, attrs: dict[str, Any]) -> None:
    """Say as an attribute what xarray says in version 2 by the fill value alone."""
    fill = parse_json(document, ".zarray")["fill_value"]
    if fill is not None:
        attrs.setdefault("_FillValue", fill)


def _which(folder: str, prefix: str) -> FormatError:
    """A group was opened, and one of its arrays is wanted."""
    arrays = list_arrays(folder)
    lead = f"{prefix}/" if prefix else ""
    shown = [str(replace(s, name=lead + s.name)) for s in list(arrays.values())[:_SHOWN]]
    if len(arrays) > _SHOWN:
        shown.append(f"and {len(arrays) - _SHOWN} more")
    if not shown:
        return FormatError(f"{folder} is a Zarr group without arrays; open another")
    return FormatError(
        f"{folder} is a Zarr group; say by dataset= which of its arrays: {', '.join(shown)}"
    )


def _unknown(root: str, name: str) -> FormatError:
    try:
        names = list(list_arrays(root))
    except FormatError:  # too many, or some of them broken: that is not what was asked
        return FormatError(f"{root} has no dataset {name!r}")
    if not names:
        return FormatError(f"{root} has no dataset {name!r}, nor any other; open another group")
    close = difflib.get_close_matches(name, names, 5, 0.4) or names[:_SHOWN]
    known = ", ".join(map(repr, close))
    more = f" and {len(names) - len(close)} more" if len(names) > len(close) else ""
    return FormatError(f"{root} has no dataset {name!r}; dataset= may be {known}{more}")
