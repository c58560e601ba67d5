"""Codecs of a Zarr array by its document alone; what is not plain is left to zarr-python.

Importing zarr-python takes each process a quarter of a second and 14 MiB.  Chunks that are only
transposed, compressed and given a checksum need none of it; anything unknown, unusual or missing
in the document does, and is judged there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oocarray.storage.shards import MAX_ENTRIES
from oocarray.storage.zarrchains import Chain, Shard, chain_of_bytes
from oocarray.storage.zarrinflate import Undo, sized_library, undo_bytes, undo_crc32c
from oocarray.storage.zarrrecord import ZarrArray

__all__ = ["Plain", "plain_codecs"]

Array = np.ndarray[Any, Any]

_KINDS = "biufcmMSU"  # no records: zarr-python has its own order of bytes for them
_SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")
_LIBRARIES = ("lz4", "lz4hc", "blosclz", "zstd", "zlib")
_OF_VERSION_2 = {
    "zlib": {"level"},
    "gzip": {"level"},
    "zstd": {"level", "checksum"},
    "lz4": {"acceleration"},
    "blosc": {"cname", "clevel", "shuffle", "blocksize", "typesize"},
}


@dataclass(slots=True)
class Plain:
    """How chunks are decoded and encoded without zarr-python."""

    chain: Chain
    encode: Callable[[Array], memoryview]
    """Of a whole chunk, in the dtype of the file."""


def plain_codecs(array: ZarrArray) -> Plain | None:
    """What to do with the chunks of an array; None: ask zarr-python.

    Parameters
    ----------
    array : ZarrArray
        Its document was checked, as `read_zarr` does it.
    """
    said = json.loads(array.document)
    if array.dtype.kind not in _KINDS:
        return None
    if array.version == 2:
        return _plain_2(said, array.chunk, array.dtype)
    return _plain_3(said["codecs"], array.chunk, array.dtype)


def _plain_2(said: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Plain | None:
    config = said.get("compressor")
    if said.get("filters") or config is None:
        return None
    name, order = config["id"], said["order"]
    if name not in _OF_VERSION_2 or not set(config) <= _OF_VERSION_2[name] | {"id"}:
        return None
    chain = chain_of_bytes(shape, dtype, [(undo_bytes(name, None, config), config)], order)

    def encode(full: Array) -> memoryview:
        # Blosc is told the size of the elements by their buffer.
        flat = full.ravel(order)
        plain = flat.view(f"u{dtype.itemsize}") if dtype.itemsize in (1, 2, 4, 8) else flat
        return _encode_with(config, plain if dtype.kind in "mMSU" else flat)

    return Plain(chain, encode)


def _plain_3(codecs: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Plain | None:
    steps = [_named(codec) for codec in codecs]
    turns = []
    while steps and steps[0][0] == "transpose":
        turns.append(tuple(steps.pop(0)[1]["order"]))
    if not steps:
        return None
    (name, config), *rest = steps
    if name == "sharding_indexed" and not turns and not rest:
        return _plain_shards(config, shape, dtype)
    endian = config.get("endian")
    numbers = dtype.itemsize > 1 and dtype.kind != "S"
    if name != "bytes" or not set(config) <= {"endian"} or (endian is None and numbers):
        return None
    known = []
    for name, config in rest:
        undo = _undo(name, config)
        if undo is None:
            return None
        known.append((undo, {**config, "id": name}))
    turned = shape
    for turn in turns:
        turned = tuple(turned[axis] for axis in turn)
    chain = chain_of_bytes(turned, dtype, known)
    if turns:
        back = [_turn_back(turn) for turn in reversed(turns)]
        chain = replace(chain, shape=shape, undo_arrays=back, straight=None)
    return Plain(chain, lambda full: _encode_3(full, turns, rest))


def _turn_back(turn: Sequence[int]) -> Callable[[Array], Array]:
    back = tuple(int(axis) for axis in np.argsort(turn))
    return lambda array: array.transpose(back)


def _plain_shards(config: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Plain | None:
    """Of each chunk inside a shard alone; shards are not written by parts."""
    if not {"chunk_shape", "codecs", "index_codecs"} <= set(config):
        return None
    part = tuple(config["chunk_shape"])
    grid = tuple(n // step for n, step in zip(shape, part, strict=True))
    if math.prod(grid) > MAX_ENTRIES:
        return None
    numbers = _named(config["index_codecs"][0])[1].get("endian")
    entries = np.dtype(np.uint64).newbyteorder(">" if numbers == "big" else "<")
    index = _plain_3(config["index_codecs"], (*grid, 2), entries)
    inner = _plain_3(config["codecs"], part, dtype)
    if index is None or inner is None or inner.chain.shard is not None:
        return None
    length = index.chain.encoded_bytes
    if length is None:
        return None
    at_end = config.get("index_location", "end") == "end"
    shard = Shard(grid, index.chain, inner.chain, at_end, length)

    def never(given: Any) -> Any:
        raise AssertionError(f"a shard of {grid} chunks, as a whole")

    limit = 2 * math.prod(grid) * inner.chain.limit + length
    return Plain(Chain(shape, [], never, [], limit, None, shard), never)


def _named(codec: Any) -> tuple[str, dict[str, Any]]:
    """Name and settings of a codec of version 3; no name if it says more or less."""
    if not isinstance(codec, dict) or not set(codec) <= {"name", "configuration"}:
        return "", {}
    return codec["name"], codec.get("configuration", {})


def _undo(name: str, config: dict[str, Any]) -> Undo | None:
    """What undoes a codec of bytes, if its settings are all that zarr-python asks for."""
    if name == "crc32c" and not config:
        return undo_crc32c
    if name == "gzip":
        wanted: dict[str, Any] = {"level": range(10)}
    elif name == "zstd":
        wanted = {"level": range(-131072, 23), "checksum": (False, True)}
    elif name == "blosc":
        wanted = {
            "typesize": range(1, 256),
            "cname": _LIBRARIES,
            "clevel": range(10),
            "shuffle": _SHUFFLES,
            "blocksize": range(1 << 31),
        }
    else:
        return None
    if set(config) != set(wanted) or any(config[key] not in wanted[key] for key in wanted):
        return None
    return undo_bytes(name, None, config)


def _encode_3(full: Array, turns: list[Any], rest: list[tuple[str, dict[str, Any]]]) -> memoryview:
    for turn in turns:
        full = full.transpose(turn)
    data: Any = np.ascontiguousarray(full).reshape(-1).view(np.uint8)
    for name, config in rest:
        if name == "crc32c":
            import google_crc32c

            data = bytes(data)
            data += google_crc32c.value(data).to_bytes(4, "little")
        elif name == "blosc":
            shuffle = _SHUFFLES.index(config["shuffle"])
            data = _encode_with({**config, "id": name, "shuffle": shuffle}, data)
        else:
            data = _encode_with({**config, "id": name}, data)
    return memoryview(data)


def _encode_with(config: Any, data: Any) -> memoryview:
    """One codec, by the library that zarr-python uses too."""
    from numcodecs import get_codec  # type: ignore[import-untyped]

    if config["id"] == "blosc":
        sized_library("blosc")  # sets it up
    return memoryview(get_codec(config).encode(data))
