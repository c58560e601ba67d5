"""What a new Zarr v3 array consists of, decided to the last byte; makes no file and opens none.

Without compression an array of ours is of shards whose inner chunks begin on page boundaries, so
that they can be mapped, and whose index is at the end.  The names and numbers in its ``zarr.json``
are those of the specification's core; what that has no name for is spelled by zarr-python.
"""

from __future__ import annotations

import json
import math
import operator
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from oocarray.chunking import auto_chunks, normalize_chunks
from oocarray.errors import DtypeError
from oocarray.storage.dtypes import plain_dtype, plain_shape
from oocarray.storage.jsonattrs import fill_as_text, in_json
from oocarray.storage.shards import canonical_slots

__all__ = ["ZarrPlan", "plan_zarr"]

CHUNK_BYTES = 16 << 20  # as a block of the default grid: a walk over blocks opens each chunk once
SHARD_BYTES = 1 << 30  # few files, yet none that a copy or a backup has trouble with
MAX_FILES = 100_000  # more would take longer to make than the run that fills them
_LITTLE = np.dtype("<u2").isnative
_KINDS = {"i": "int", "u": "uint", "f": "float", "c": "complex"}
_COMPRESSORS: Mapping[str, Mapping[str, Any]] = {
    "zstd": {"level": 0, "checksum": False},
    "gzip": {"level": 5},
    "blosc": {"cname": "zstd", "clevel": 5, "shuffle": "shuffle", "blocksize": 0},
}


@dataclass(frozen=True)
class ZarrPlan:
    """A new array, decided to the last byte, before anything is made."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: tuple[int, ...]
    inner: tuple[int, ...] | None
    """A chunk inside a shard, of which `chunk` is the shape; None where a file is one chunk."""
    fill: bytes
    """One element."""
    encoded: bool
    document: bytes
    """The ``zarr.json``."""

    @property
    def grid(self) -> tuple[int, ...]:
        """Files along each axis."""
        return tuple(-(-n // step) for n, step in zip(self.shape, self.chunk, strict=True))

    @property
    def files(self) -> int:
        """How many files are made at once: all, or none."""
        count = math.prod(self.grid)
        return 0 if self.encoded or count > MAX_FILES else count

    @property
    def reserved(self) -> int:
        """Bytes of the files that are made at once, without gaps between chunks."""
        if not self.files:
            return 0
        piece = self.inner or self.chunk
        count = math.prod(-(-n // step) for n, step in zip(self.shape, piece, strict=True))
        index = self.slots[2] - self.slots[1]
        return count * math.prod(piece) * self.dtype.itemsize + self.files * index

    @cached_property
    def slots(self) -> tuple[np.ndarray[Any, Any], int, int]:
        """Where each chunk of a file begins; where the index does, or the file ends; its size."""
        if self.inner is None:
            size = math.prod(self.chunk) * self.dtype.itemsize
            return np.zeros(1, np.uint64), size, size
        return canonical_slots(self.chunk, self.inner, self.dtype.itemsize)

    def present(self, coords: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Of each chunk in the file at `coords`, in C order: whether it meets the array."""
        if self.inner is None:
            return np.ones(1, bool)
        found = np.ones((), bool)
        for n, step, small, at in zip(self.shape, self.chunk, self.inner, coords, strict=True):
            first = np.arange(at * step, (at + 1) * step, small)
            found = found[..., np.newaxis] & (first < n)
        return found.ravel()


def plan_zarr(
    shape: int | Iterable[int],
    dtype: Any,
    *,
    chunks: Any = None,
    shards: Any = "auto",
    fill_value: Any = 0,
    compressors: Any = None,
    dims: Sequence[str | None] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> ZarrPlan:
    """Decide everything about a new array.

    Parameters
    ----------
    shape, dtype
        Of the array; both byte orders.
    chunks : int, tuple, str or None
        Shape of a chunk, or what `normalize_chunks` takes; None: about 16 MiB.
    shards : "auto", False or tuple
        Shape of a shard, in whole chunks; False: a file for each chunk.  ``"auto"``: shards of
        up to 1 GiB, or files of one chunk where chunks are compressed.
    fill_value : scalar
        Zero costs no write.
    compressors : str, codec, mapping, list of them, or None
        ``"zstd"``, ``"blosc"``, ``"gzip"``, or codecs as zarr-python takes them.
    dims : sequence of str or None, optional
        Names of the axes.
    attributes : mapping, optional
        What can be written as JSON; NaN and infinities become text.

    Raises
    ------
    ValueError, DtypeError, TypeError
        Arguments that do not go together, or that Zarr cannot say.
    NotImplementedError
        Compressed chunks inside shards.

    Examples
    --------
    >>> plan = plan_zarr((4096, 4096), "f4")
    >>> plan.inner, plan.chunk, plan.grid
    ((1024, 4096), (4096, 4096), (1, 1))
    >>> plan_zarr((4096, 4096), "f4", chunks=(64, 64)).chunk
    (4096, 4096)
    """
    found = plain_dtype(dtype)
    extents = plain_shape(shape, found.itemsize)
    codecs = _compressor_codecs(compressors, found)
    small = _chunk_shape(chunks, extents, found.itemsize)
    if codecs and shards not in ("auto", False, None):
        raise NotImplementedError(
            f"shards={shards!r} of compressed chunks cannot be written: leave shards= out, or "
            "use compressors=None"
        )
    # Shards of structs are right, but zarr-python cannot read them.
    split = False if found.kind == "V" and shards == "auto" else shards
    large = None if codecs else _shard_shape(split, extents, small, found.itemsize)
    names = None if dims is None else tuple(dims)
    if names is not None and (
        len(names) != len(extents) or not all(n is None or isinstance(n, str) for n in names)
    ):
        raise ValueError(f"dims={dims!r} must name each of the {len(extents)} axes, or say None")
    fill = _fill_element(fill_value, found)
    data_type, fill_json, endian = _spell(found, fill)
    inner_codecs = [_bytes_codec(endian), *codecs]
    document: dict[str, Any] = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": extents,
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": large or small}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill_json,
        "codecs": [_sharding(small, inner_codecs)] if large else inner_codecs,
        "attributes": _attributes(attributes or {}, found),
        "storage_transformers": [],
    }
    if names is not None:
        document["dimension_names"] = names
    if codecs or not isinstance(data_type, str):
        document["codecs"] = _checked_codecs(document, found, endian)
    # Codecs may have NumPy's numbers.  NaN as a bare word is no JSON, whatever some readers take.
    unlike = operator.methodcaller("tolist")
    text = json.dumps(document, indent=2, allow_nan=False, default=unlike).encode()
    chunk, inner = (large, small) if large else (small, None)
    return ZarrPlan(extents, found, chunk, inner, fill.tobytes(), bool(codecs), text)


def _chunk_shape(chunks: Any, shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    if chunks is None or (isinstance(chunks, str) and chunks == "auto"):
        return tuple(max(cut[0], 1) for cut in auto_chunks(shape, itemsize, "C", CHUNK_BYTES))
    plain = _extents(chunks, len(shape))
    if plain is not None and all(step > 0 for step in plain):
        # Larger than the array is meant: rows may be added.
        return plain_shape(plain, itemsize, "chunks")
    cuts = normalize_chunks(chunks, shape, itemsize)
    for cut in cuts:
        if any(step != cut[0] for step in cut[:-1]) or cut[-1] > cut[0]:
            raise ValueError(f"chunks={chunks!r}: the chunks of a Zarr array all have one shape")
    return tuple(max(cut[0], 1) for cut in cuts)


def _extents(given: Any, ndim: int) -> tuple[int, ...] | None:
    try:
        if isinstance(given, Iterable) and not isinstance(given, (str, Mapping)):
            found = tuple(operator.index(step) for step in given)
        else:
            found = (operator.index(given),) * ndim
    except TypeError:
        return None
    return found if len(found) == ndim else None


def _shard_shape(
    shards: Any, shape: tuple[int, ...], small: tuple[int, ...], itemsize: int
) -> tuple[int, ...] | None:
    # One chunk is all that an array of no axes, or of no elements, has use for.
    auto = shards is True or (isinstance(shards, str) and shards == "auto")
    if shards is False or shards is None or (auto and 0 in (*shape, len(shape))):
        return None
    if auto:
        return _auto_shard(shape, small, itemsize)
    large = _extents(shards, len(shape))
    if large is None or any(big < 1 or big % step for big, step in zip(large, small, strict=True)):
        raise ValueError(
            f"shards={shards!r} must be a whole number of chunks {small} along each axis"
        )
    return plain_shape(large, itemsize, "shards")


def _auto_shard(shape: tuple[int, ...], small: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """As many chunks as fit, along the last axes first: then a shard is a run of the array."""
    room = max(SHARD_BYTES // (math.prod(small) * itemsize), 1)
    counts = [1] * len(shape)
    for axis in reversed(range(len(shape))):
        whole = -(-shape[axis] // small[axis])
        # Of equal shares the last shard leaves the fewest slots empty.
        counts[axis] = -(-whole // -(-whole // min(whole, room)))
        room //= counts[axis]
        if counts[axis] < whole:
            break
    return tuple(step * count for step, count in zip(small, counts, strict=True))


def _fill_element(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if np.ndim(value) != 0 and dtype.names is None:
        raise ValueError(f"fill_value must be a scalar, not of shape {np.shape(value)}")
    element = np.zeros((), dtype)
    if value is not None and not (isinstance(value, int) and value == 0):
        element[()] = value
    return element


def _spell(dtype: np.dtype[Any], fill: np.ndarray[Any, Any]) -> tuple[Any, Any, str]:
    """Data type and fill value as ``zarr.json`` says them, and the byte order, ``""`` if none."""
    big = (dtype.byteorder == ">") if _LITTLE else (dtype.byteorder in "=>")
    endian = "big" if big else "little"
    if dtype.kind == "b":
        return "bool", bool(fill), ""
    if dtype.kind in _KINDS:
        name = f"{_KINDS[dtype.kind]}{dtype.itemsize * 8}"
        return name, _number(fill), endian if dtype.itemsize > 1 else ""
    # What the core of the format has no name for is spelled as zarr-python spells it.
    from zarr.core.dtype.common import HasEndianness
    from zarr.dtype import parse_dtype

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = parse_dtype(dtype, zarr_format=3)
            spelled = theirs.to_json(zarr_format=3)
            fill_json = theirs.to_json_scalar(fill[()], zarr_format=3)
        except (ValueError, TypeError) as error:
            raise DtypeError(f"dtype {dtype} has no spelling in Zarr v3: {error}") from error
    return spelled, fill_json, endian if isinstance(theirs, HasEndianness) else ""


def _number(fill: np.ndarray[Any, Any]) -> Any:
    if fill.dtype.kind in "iu":
        return int(fill)
    if fill.dtype.kind == "c":
        return [_number(fill.real), _number(fill.imag)]
    value = float(fill)
    if math.isfinite(value):
        return value
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    bits = fill.astype(fill.dtype.newbyteorder(">"), copy=False).tobytes()
    quiet = np.array(np.nan, fill.dtype.newbyteorder(">")).tobytes()
    return "NaN" if bits == quiet else "0x" + bits.hex()


def _bytes_codec(endian: str) -> dict[str, Any]:
    return {"name": "bytes", **({"configuration": {"endian": endian}} if endian else {})}


def _sharding(small: tuple[int, ...], codecs: list[Any]) -> dict[str, Any]:
    inside = {
        "chunk_shape": small,
        "codecs": codecs,
        "index_codecs": [_bytes_codec("little"), {"name": "crc32c"}],
        "index_location": "end",
    }
    return {"name": "sharding_indexed", "configuration": inside}


def _compressor_codecs(compressors: Any, dtype: np.dtype[Any]) -> list[Any]:
    """Codecs as zarr-python takes them: its own objects, or what ``zarr.json`` says."""
    if compressors is None:
        return []
    given = list(compressors) if isinstance(compressors, (list, tuple)) else [compressors]
    return [_compressor(codec, dtype) for codec in given]


def _compressor(codec: Any, dtype: np.dtype[Any]) -> Any:
    if isinstance(codec, str):
        if codec not in _COMPRESSORS:
            raise ValueError(f"compressors={codec!r}: known by name are {sorted(_COMPRESSORS)}")
        size = {"typesize": min(dtype.itemsize, 255)} if codec == "blosc" else {}
        return {"name": codec, "configuration": {**size, **_COMPRESSORS[codec]}}
    config = codec.get_config() if hasattr(codec, "get_config") else codec
    if isinstance(config, Mapping) and "id" in config:
        rest = {key: value for key, value in config.items() if key != "id"}
        return {"name": f"numcodecs.{config['id']}", "configuration": rest}
    return codec


def _checked_codecs(document: dict[str, Any], dtype: np.dtype[Any], endian: str) -> list[Any]:
    """The codecs as zarr-python completes them; it must read the document as it is meant."""
    from zarr.core.metadata.v3 import ArrayV3Metadata

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read = ArrayV3Metadata.from_dict(document)
        except (ValueError, TypeError, KeyError) as error:
            codecs = document["codecs"][1:]
            raise ValueError(f"zarr-python refuses compressors={codecs}: {error}") from error
        native = read.data_type.to_native_dtype()
        found = dtype.newbyteorder("=") if endian else dtype
        if native != found:
            raise DtypeError(f"dtype {dtype} has no spelling in Zarr v3: it would become {native}")
        return [codec.to_dict() for codec in read.codecs]


def _attributes(given: Mapping[str, Any], dtype: np.dtype[Any]) -> dict[str, Any]:
    kept, left = in_json(fill_as_text(given, dtype))
    if left:
        raise ValueError(
            f"attributes cannot be written as JSON: {', '.join(left)}; give text, numbers, and "
            "lists or mappings of these"
        )
    return kept
