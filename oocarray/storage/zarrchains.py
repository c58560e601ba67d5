"""The codecs of a Zarr array, undone one by one, each to the size it must give; opens no file."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oocarray.errors import FormatError
from oocarray.storage.shards import MAX_ENTRIES, MISSING
from oocarray.storage.zarrinflate import Undo, flat_bytes, larger, other, undo_bytes
from oocarray.storage.zarrrecord import ZarrArray

__all__ = [
    "Chain",
    "Shard",
    "chain_of",
    "chain_of_bytes",
    "encode",
    "read_metadata",
    "viewer",
]

Array = np.ndarray[Any, Any]

_SPARE = 1 << 20  # what an intermediate result may have more than the chunk
_CHECKSUMS = ("crc32c", "crc32", "adler32", "fletcher32", "jenkins_lookup3")
_RETYPED = ("delta", "fixedscaleoffset", "quantize", "categorize", "astype")


@dataclass(slots=True)
class Chain:
    """Codecs of one shape of chunks: what undoes each, and the sizes that it must give."""

    shape: tuple[int, ...]
    undo_arrays: list[Callable[[Array], Array]]
    """From an array to the array before, the last codec's first."""
    to_array: Callable[[Any], Array]
    undo_bytes: list[tuple[Undo, int | None]]
    """From bytes to the bytes before, with their number where it is known."""
    limit: int
    """Bytes that a result of unknown size may have."""
    encoded_bytes: int | None
    """Bytes of an encoded chunk, where all have as many."""
    shard: Shard | None = None
    straight: np.dtype[Any] | None = None
    """Of the elements, where the bytes are these in C order and nothing else."""

    @property
    def most(self) -> int:
        """Bytes that an encoded chunk may have: no codec doubles its input."""
        return 2 * self.limit

    def decode(self, data: Any) -> Array:
        """The chunk, of the shape of its array's chunks."""
        array = self.to_array(self._to_bytes(data, None))
        for undo_array in self.undo_arrays:
            array = undo_array(array)
        if array.shape != self.shape:
            raise ValueError(f"it decodes to shape {array.shape} instead of {self.shape}")
        return array

    def fits(self, out: Array) -> bool:
        """Whether a chunk can be decoded into an array as it lies."""
        return (
            self.straight is not None
            and out.dtype == self.straight
            and out.shape == self.shape
            and out.flags.c_contiguous
            and out.flags.writeable
        )

    def decode_into(self, data: Any, out: Array) -> None:
        """Put the chunk into an array that fits."""
        assert self.fits(out), (out.shape, out.dtype)
        place = out.reshape(-1).view(np.uint8)
        found = self._to_bytes(data, place)
        if found is not place:
            flat = flat_bytes(found)
            if flat.nbytes != place.nbytes:
                raise ValueError(other(flat.nbytes, place.nbytes))
            place[:] = flat

    def _to_bytes(self, data: Any, out: Array | None) -> Any:
        """What the codecs of bytes were given; the last to be undone may put it into `out`."""
        last = len(self.undo_bytes) - 1
        for number, (undo, size) in enumerate(self.undo_bytes):
            data = undo(data, size, self.limit, out if number == last else None)
            found = flat_bytes(data).nbytes
            if size is None and found > self.limit:
                raise ValueError(larger(found, self.limit))
            if size is not None and found != size:
                raise ValueError(other(found, size))
        return data


@dataclass(slots=True)
class Shard:
    """What is inside a shard."""

    grid: tuple[int, ...]
    index: Chain
    inner: Chain
    at_end: bool
    index_bytes: int


def read_metadata(array: ZarrArray) -> Any:
    """The document as zarr-python understands it."""
    from zarr.core.metadata.v2 import ArrayV2Metadata
    from zarr.core.metadata.v3 import ArrayV3Metadata

    said = json.loads(array.document)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if array.version == 3:
                return ArrayV3Metadata.from_dict(said)
            return ArrayV2Metadata.from_dict({"attributes": {}, **said})
    except Exception as error:
        raise FormatError(
            f"{array.file.path}: zarr-python cannot decode its chunks: {error}"
        ) from error


def chain_of(array: ZarrArray, metadata: Any) -> Chain:
    try:
        if array.version == 2:
            return _chain_v2(array, metadata)
        return _chain_v3(metadata.codecs, _spec(metadata))
    except FormatError as error:
        raise FormatError(f"{array.file.path}: {error}") from error


def _spec(metadata: Any) -> Any:
    from zarr.core.array_spec import ArrayConfig
    from zarr.core.buffer.cpu import buffer_prototype

    config = ArrayConfig(getattr(metadata, "order", "C"), write_empty_chunks=True)
    return metadata.get_chunk_spec((), config, buffer_prototype)


def _chain_v2(array: ZarrArray, metadata: Any) -> Chain:
    codecs = [*(metadata.filters or ()), *([metadata.compressor] if metadata.compressor else [])]
    steps = [
        (undo_bytes(str(config["id"]), codec.decode, config), config)
        for codec, config in [(codec, codec.get_config()) for codec in codecs]
    ]
    return chain_of_bytes(array.chunk, array.dtype, steps, metadata.order)


def chain_of_bytes(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    steps: Sequence[tuple[Undo, Any]],
    order: str = "C",
) -> Chain:
    """Codecs of bytes alone, each with its settings, around the elements as they are."""
    count = math.prod(shape)
    limit = nbytes = count * dtype.itemsize
    size: int | None = nbytes
    undo = []
    for step, config in steps:
        undo.append((step, size))
        size = _size_after(config, size, count)
        limit = max(limit, size or 0)
    view = viewer(shape, dtype, order)
    straight = dtype if order == "C" else None
    return Chain(shape, [], view, undo[::-1], limit + _SPARE, size, straight=straight)


def viewer(
    shape: tuple[int, ...], dtype: np.dtype[Any], order: str = "C"
) -> Callable[[Any], Array]:
    """What takes bytes for the elements of an array, and refuses any other number of them."""
    nbytes = math.prod(shape) * dtype.itemsize
    ordered: Any = order

    def view(data: Any) -> Array:
        flat = flat_bytes(data)
        if flat.nbytes != nbytes:
            raise ValueError(other(flat.nbytes, nbytes))
        found: Array = flat.view(dtype).reshape(shape, order=ordered)
        return found

    return view


def _size_after(config: Any, size: int | None, count: int) -> int | None:
    """Bytes that a codec makes of `size`, where they do not depend on what the bytes are."""
    name = config["id"]
    if name in _RETYPED:
        kind = config.get("encode_dtype") or config.get("astype") or config["dtype"]
        return count * int(np.dtype(kind).itemsize)
    if name == "packbits":
        return 1 + -(-count // 8)
    if size is None or name in ("shuffle", "bitround"):
        return size
    return size + 4 if name in _CHECKSUMS else None


def _chain_v3(codecs: Sequence[Any], spec: Any) -> Chain:
    from zarr.abc.codec import ArrayArrayCodec
    from zarr.core.codec_pipeline import codecs_from_list

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, to_bytes, _ = codecs_from_list(codecs)
    shape, undo_arrays = spec.shape, []
    limit = math.prod(spec.shape) * spec.dtype.to_native_dtype().itemsize
    rest = list(codecs)
    while isinstance(rest[0], ArrayArrayCodec):
        codec = rest.pop(0)
        undo_arrays.append(_undo_array(codec, spec))
        spec = codec.resolve_metadata(spec)
    to_array, size, shard = _undo_to_bytes(to_bytes, spec)
    limit = max(limit, size or 0)
    if shard is not None:
        limit = limit * 2 + shard.index_bytes
    steps = []
    for codec in rest[1:]:
        config = _config(codec)
        steps.append((undo_bytes(config["id"], _decoder(codec, spec), config), size))
        size = _size_after(config, size, 0)
    return Chain(shape, undo_arrays[::-1], to_array, steps[::-1], limit + _SPARE, size, shard)


def _undo_array(codec: Any, spec: Any) -> Callable[[Array], Array]:
    config = _config(codec)
    if config["id"] == "transpose":
        back = tuple(int(axis) for axis in np.argsort(codec.order))
        return lambda array: array.transpose(back)
    decode = _decoder(codec, spec, "nd_buffer")
    return lambda array: np.asarray(decode(array)).reshape(spec.shape)


def _undo_to_bytes(
    codec: Any, spec: Any
) -> tuple[Callable[[Any], Array], int | None, Shard | None]:
    """The step between bytes and array: its inverse, the size of its bytes, what is inside."""
    name = _config(codec)["id"]
    if name == "bytes":
        dtype = spec.dtype.to_native_dtype()
        if codec.endian is not None:
            dtype = dtype.newbyteorder({"big": ">", "little": "<"}[codec.endian.value])
        return viewer(spec.shape, dtype), math.prod(spec.shape) * dtype.itemsize, None
    if name == "sharding_indexed":
        shard = _shard_of(codec, spec)
        return lambda data: _decode_shard(shard, spec, data), None, shard
    decode = _decoder(codec, spec)
    return lambda data: np.asarray(decode(data)).reshape(spec.shape), None, None


def _shard_of(codec: Any, spec: Any) -> Shard:
    from zarr.dtype import UInt64

    grid = tuple(n // step for n, step in zip(spec.shape, codec.chunk_shape, strict=True))
    if math.prod(grid) > MAX_ENTRIES:
        raise FormatError(f"shards of {math.prod(grid)} chunks; at most {MAX_ENTRIES} are read")
    entry = replace(spec, shape=(*grid, 2), dtype=UInt64(), fill_value=np.uint64(MISSING))
    index = _chain_v3(codec.index_codecs, entry)
    if index.encoded_bytes is None:
        raise FormatError("the index of its shards has no fixed size")
    inner = _chain_v3(codec.codecs, replace(spec, shape=codec.chunk_shape))
    at_end = codec.index_location.value == "end"
    return Shard(grid, index, inner, at_end, index.encoded_bytes)


def _decode_shard(shard: Shard, spec: Any, data: Any) -> Array:
    """A whole shard, where other codecs stand around it."""
    raw, length = flat_bytes(data), shard.index_bytes
    if raw.size < length:
        raise ValueError(f"a shard of {raw.size} bytes, of which the index alone has {length}")
    index = shard.index.decode(raw[raw.size - length :] if shard.at_end else raw[:length])
    whole = np.full(spec.shape, spec.fill_value, spec.dtype.to_native_dtype())
    for place in np.ndindex(*shard.grid):
        start, count = (int(number) for number in index[place])
        if (start, count) == (MISSING, MISSING):
            continue
        if start + count > raw.size:
            raise ValueError(f"{count} bytes from byte {start} on of a shard of {raw.size}")
        steps = zip(place, shard.inner.shape, strict=True)
        where = tuple(slice(at * step, (at + 1) * step) for at, step in steps)
        whole[where] = shard.inner.decode(raw[start : start + count])
    return whole


def _config(codec: Any) -> dict[str, Any]:
    """Name and settings of a codec, by numcodecs' names."""
    if hasattr(codec, "codec_config"):
        return {**codec.codec_config, "id": str(codec.codec_config["id"])}
    said = codec.to_dict()
    return {**said.get("configuration", {}), "id": str(said["name"])}


def _decoder(codec: Any, spec: Any, kind: str = "buffer") -> Callable[[Any], Any]:
    """Undo one codec of zarr-python, in this thread where it can."""
    if hasattr(codec, "codec_config"):
        from zarr.registry import get_numcodec

        return get_numcodec(codec.codec_config).decode
    from zarr.core.sync import sync

    wrap = getattr(spec.prototype, kind)
    make = wrap.from_ndarray_like if kind == "nd_buffer" else wrap.from_array_like

    def decode(data: Any) -> Any:
        given = make(data if kind == "nd_buffer" else flat_bytes(data))
        if hasattr(codec, "_decode_sync"):
            found = codec._decode_sync(given, spec)
        else:
            (found,) = sync(codec.decode([(given, spec)]))
        return found.as_numpy_array()

    return decode


def encode(metadata: Any, full: Array, coords: tuple[int, ...]) -> memoryview:
    """A whole chunk as zarr-python writes it."""
    from zarr.codecs._v2 import V2Codec
    from zarr.core.codec_pipeline import BatchedCodecPipeline
    from zarr.core.sync import sync

    spec = _spec(metadata)
    codecs: Iterable[Any] = (
        metadata.codecs
        if metadata.zarr_format == 3
        else [V2Codec(filters=metadata.filters, compressor=metadata.compressor)]
    )
    # Whatever pipeline is configured: this one is always there.
    pipeline = BatchedCodecPipeline.from_codecs(codecs)
    native = full.astype(spec.dtype.to_native_dtype(), copy=False)
    given = spec.prototype.nd_buffer.from_ndarray_like(native)
    (encoded,) = sync(pipeline.encode([(given, spec)]))
    if encoded is None:
        raise AssertionError(f"chunk {coords} was encoded to nothing")
    return encoded.as_numpy_array().data
