"""The command ``oocarray convert``: arrays into another format or layout; it copies nothing itself.

What is read is what `oocarray.open` opens, what is written is what `store` makes.
"""

from __future__ import annotations

import argparse
import errno
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import FormatError
from ..meter import speed
from ..units import format_bytes, format_count, format_seconds
from .folders import kind_of, stored_bytes
from .kept import attributes_kept, codec, dims_kept
from .output import emit
from .runs import format_named, run_options, run_words
from .words import (
    Usage,
    chunks,
    in_options,
    json_option,
    new_command,
    raw_array_options,
    raw_options,
    shape,
)

if TYPE_CHECKING:
    from ..core import Array

__all__ = ["add", "copied", "opened"]

_ZARR = ("chunks", "shards", "compress")


def add(commands: Any) -> argparse.ArgumentParser:
    """Add ``oocarray convert``."""
    command = new_command(
        commands,
        "convert",
        _run,
        help="convert arrays to .npy, Zarr or raw files, or join files to one array",
        description="Convert an array, or several files joined to one, into a new .npy file, Zarr "
        "array or raw file, which appears under its name when it is complete. Of a Zarr group or "
        "a file with several arrays all go into a new Zarr group, unless --dataset names one. "
        "Elements keep their dtype and bits; Zarr keeps names of axes and attributes.",
        examples=(
            "oocarray convert scene.npy scene.zarr --chunks 512,512 --compress zstd",
            "oocarray convert run.h5 t2m.npy --dataset group/t2m",
            "oocarray convert era5.nc era5.zarr --decode",
            "oocarray convert 'day*.npy' year.zarr --axis 0",
            "oocarray convert counts.raw counts.npy --shape=-1,512 --dtype '>i2'",
        ),
    )
    option = command.add_argument
    option(
        "files",
        nargs="+",
        metavar="SRC... DST",
        help="files or Zarr folders (several, or a pattern in quotes, are joined), and the new "
        "file or folder at last",
    )
    option("--dataset", metavar="NAME", help="which array of a source that has several")
    option("--decode", action="store_true", help="apply scale, offset and missing values (CF)")
    option("--axis", type=int, metavar="K", help="axis along which files are joined (default: 0)")
    option("--stack", action="store_true", help="join files along a new axis")
    option(
        "--format", choices=("npy", "zarr", "raw"), help="of the output (default: by its ending)"
    )
    option("--overwrite", action="store_true", help="replace the output if it exists")
    option("--skip", action="store_true", help="of many arrays leave out those that cannot be read")
    _zarr_options(command)
    raw_array_options(command.add_argument_group("a source that is raw bytes").add_argument)
    run_options(command)
    json_option(command)
    return command


def _zarr_options(command: argparse.ArgumentParser) -> None:
    option = command.add_argument_group("a Zarr output").add_argument
    option(
        "--chunks",
        type=chunks,
        metavar="CHUNKS",
        help="shape of what is stored together, such as 1000 or 100,-1 or '4 MiB' (default: "
        "whole chunks of the source, about 16 MiB)",
    )
    option(
        "--shards",
        type=_shards,
        metavar="SHARDS",
        help="chunks in one file, as a shape in elements; none: a file for each (default: about "
        "1 GiB; none if compressed)",
    )
    option(
        "--compress",
        type=codec,
        metavar="CODEC",
        help="zstd, gzip, blosc or none, also with a level: zstd:9 (default: none, so that it can "
        "be mapped)",
    )


def _shards(text: str) -> Any:
    """None, or the shape of a shard."""
    words = {"none": False, "auto": "auto"}
    return words[text] if text in words else shape(text)


def _run(arguments: argparse.Namespace) -> None:
    from ..storage.patterns import is_pattern

    *sources, out = arguments.files
    out = out.rstrip("/") or out  # as a shell completes the name of a folder
    if not sources:
        raise Usage("name the source and the output: SRC... DST")
    raw = raw_options(arguments)
    kind = format_named(out, arguments.format)
    _check(arguments, kind)
    if os.path.lexists(out) and not arguments.overwrite:
        raise FileExistsError(f"{out}: file exists; give --overwrite to replace it")
    first = sources[0]
    if len(sources) > 1 or is_pattern(first):
        names = [name for source in sources for name in _named(source, out)]
        _emit_one(arguments, names, _joined(arguments, names, raw), out, kind)
        return
    if arguments.stack or arguments.axis is not None:
        given = "--stack" if arguments.stack else "--axis"
        raise Usage(f"{given} is for several files: give several, or a pattern in quotes")
    if kind == "zarr" and not raw and arguments.dataset is None and (many := _many(first)):
        from .convertgroup import convert_group, show_group

        record = convert_group(arguments, first, many, out)
        emit(arguments, record, lambda on: show_group(on, record))
        return
    _emit_one(arguments, [first], opened(arguments, first, arguments.dataset, raw), out, kind)


def _check(arguments: argparse.Namespace, kind: str) -> None:
    """Refuse options that do not go together, before anything is opened."""
    for name in _ZARR:
        if kind != "zarr" and getattr(arguments, name) is not None:
            raise Usage(f"--{name} is for Zarr; name the output x.zarr")
    compressed = arguments.compress is not None and arguments.compress("f4") is not None
    if compressed and arguments.shards not in (None, False, "auto"):
        raise Usage("--shards of compressed chunks cannot be written; leave out one of both")


def _named(source: str, out: str) -> list[str]:
    """The files that a word names; of a pattern's, the output of an earlier run is none."""
    from ..storage.patterns import is_pattern, named_files

    found = named_files(source)
    if not is_pattern(source):
        return found
    others = [name for name in found if os.path.realpath(name) != os.path.realpath(out)]
    if not others:
        raise FileNotFoundError(errno.ENOENT, "no file but the output matches the pattern", source)
    return others


def _many(path: str) -> list[str]:
    """Names of the arrays of a group, or of a file with several; nothing of a single array."""
    from ..storage.finding import names_in, sniff

    kind = sniff(path)
    if kind in ("npy", "raw"):
        return []
    names = list(names_in(path))
    if names == [""] or (kind != "zarr" and len(names) == 1):
        return []
    if not names:
        raise FormatError(f"{path} holds no array")
    return names


def opened(
    arguments: argparse.Namespace, path: str, dataset: str | None, raw: Mapping[str, Any]
) -> Array:
    """Open one source, decoded if that was asked for."""
    from ..opening import open

    with in_options():
        return open(path, dataset=dataset, decode=arguments.decode, **raw)


def _joined(arguments: argparse.Namespace, names: list[str], raw: Mapping[str, Any]) -> Joined:
    """Open several files as one array: as a table of files, or as an expression of arrays."""
    from ..namespace.joining import concatenate, stack
    from ..opening import open
    from ..storage.layout import Strided
    from .kept import joined_facts

    arrays = [opened(arguments, name, arguments.dataset, raw) for name in names]
    axis = arguments.axis or 0
    dims, attrs = joined_facts(names, arrays, axis, arguments.stack, arguments.decode)
    if all(isinstance(array.layout, Strided) for array in arrays):
        made = open(
            names, dataset=arguments.dataset, axis=arguments.axis, stack=arguments.stack, **raw
        )
    elif arguments.stack:
        made = stack(arrays, axis=axis)
    else:
        made = concatenate(arrays, axis=axis)
    return made, dims, attrs


Joined = tuple["Array", "tuple[str | None, ...] | None", dict[str, Any]]


def _emit_one(
    arguments: argparse.Namespace, names: list[str], source: Array | Joined, out: str, kind: str
) -> None:
    if isinstance(source, tuple):
        array, dims, attrs = source
        what = format_count(len(names), "file")
    else:
        array, dims, attrs = source, source.dims, dict(source.attrs)
        what = kind_of(source)
    record: dict[str, Any] = {"source": names if len(names) > 1 else names[0], "kind": what}
    record |= copied(arguments, array, dims, attrs, out, kind)
    if record["source_bytes"] is None and len(names) == 1 and not os.path.isdir(names[0]):
        record["source_bytes"] = _alone(names[0])
    emit(arguments, record, lambda on: on.print(_summary(record)))


def _alone(path: str) -> int | None:
    """Bytes of a file that holds one array."""
    from ..storage.finding import names_in

    return os.path.getsize(path) if len(names_in(path)) == 1 else None


def copied(
    arguments: argparse.Namespace,
    array: Array,
    dims: tuple[str | None, ...] | None,
    attrs: Mapping[str, Any],
    out: str,
    kind: str,
    many: bool = False,
) -> dict[str, Any]:
    """Store an array as the options say; return what that was and what it took."""
    from ..storing import store

    how: dict[str, Any] = {}
    left: list[str] = []
    if kind == "zarr":
        kept, left = attributes_kept(attrs, array, arguments.decode)
        how = {"dims": dims_kept(dims), "attrs": kept}
        for word in ("chunks", "shards"):
            said = getattr(arguments, word)
            # Of many arrays a shape is meant for those that have as many axes.
            if said is not None and not (many and _of_others(said, array.ndim)):
                how[word] = said
        if arguments.compress is not None:
            how["compressors"] = arguments.compress(array.dtype)
    elif dims or attrs:
        left = [*(["names of axes"] if dims else []), *(["attributes"] if attrs else [])]
    before = stored_bytes(array.layout)  # the array may be replaced by what is made of it
    read, took = array.nbytes, time.perf_counter()
    words = run_words(arguments)
    options = {"overwrite": arguments.overwrite, "format": kind, **how, **words}
    made = store(array, out, **options)
    took = time.perf_counter() - took
    return {
        "decoded": bool(arguments.decode),
        "shape": list(made.shape),
        "dtype": str(made.dtype),
        "dims": None if dims is None or kind != "zarr" else list(dims),
        "output": out,
        **_cut(made),
        "bytes": made.nbytes,
        "source_bytes": before,
        "output_bytes": stored_bytes(made.layout),
        "not_kept": left,
        "seconds": took,
        "bytes_per_second": (read + made.nbytes) / took,
    }


def _of_others(said: Any, ndim: int) -> bool:
    return isinstance(said, tuple) and len(said) != ndim


def _cut(made: Array) -> dict[str, Any]:
    """Chunks and shards of a new array."""
    record = getattr(getattr(made.layout, "table", None), "array", None)
    if record is None:
        return {"chunks": None, "shards": None}
    chunk = record.chunk if record.inner is None else record.inner
    return {
        "chunks": list(chunk),
        "shards": None if record.inner is None else list(record.chunk),
    }


def _summary(record: dict[str, Any]) -> str:
    source = record["source"]
    where = f"{source[0]} to {source[-1]}" if isinstance(source, list) else source
    extents = " x ".join(map(str, record["shape"])) or "a scalar"
    before, after = record["source_bytes"], record["output_bytes"]
    sizes = format_bytes(record["bytes"]) + " of elements"
    if before is not None and after is not None:
        sizes = f"{format_bytes(before)} became {format_bytes(after)}"
    elif after is not None:
        sizes += f" in {format_bytes(after)}"
    took = format_seconds(record["seconds"])
    # Of less the time says how long a run takes to begin.
    rate = f", {speed(record['bytes_per_second'])}" if record["bytes"] >= 1 << 20 else ""
    lines = [
        f"{record['output']}: {extents} {record['dtype']}",
        f"  from   {where} ({record['kind']}{', decoded' if record['decoded'] else ''})",
        f"  bytes  {sizes} in {took}{rate}",
    ]
    if record["chunks"] is not None:
        shards = record["shards"]
        within = f" in shards of {tuple(shards)}" if shards else ", a file for each"
        lines.insert(2, f"  chunks {tuple(record['chunks'])}{within}")
    if record["not_kept"]:
        lines.append(f"  lost   {', '.join(record['not_kept'])}")
    return "\n".join(lines)
