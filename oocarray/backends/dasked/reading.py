"""Arrays in files and in memory as dask arrays whose blocks are read where dask runs them.

It copies and hashes no content: names are made of a file's path, inode, size and time; those of
Zarr arrays hold for one translation only, since chunks are written behind the back of such a file.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...grid import Chunks
from ...runtime.remote.carried import packed, unpacked
from ...storage.files import open_regular
from ...storage.layout import Strided
from ...storage.lines import equal
from ...storage.pieces import Found
from ...storage.tiled import Tiled
from ...storage.zarrtable import ZarrTable
from ..zarred.places import opened_zarr
from .given import free_chunks

__all__ = [
    "FileReader",
    "MemoryReader",
    "PieceReader",
    "read_memory",
    "read_stored",
    "table_chunks",
    "zarr_of",
]


class _Reader:
    """What dask asks of whatever it makes an array of."""

    __slots__ = ()
    source: Strided | Tiled | NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def ndim(self) -> int:
        return self.source.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype


@dataclass(frozen=True, slots=True)
class FileReader(_Reader):
    """An array in one file, of which each part is a view of a mapping made for it, or a copy."""

    source: Strided
    copied: bool = False
    """Read parts that are runs of bytes. A mapping copies nothing, which is fastest by far where
    the file fits into memory; where it does not, pages may be taken back before the second look
    of an expression at its block, and are read from the disk again."""

    def __getitem__(self, key: Any) -> NDArray[Any]:
        part = self.source.index(key)
        start, stop = part.span()
        if start == stop:
            return np.empty(part.shape, part.dtype)
        with open(self.source.file.path, "rb", opener=_regular) as stream:
            self.source.file.check_open(stream.fileno())
            if self.copied and part.contiguous:
                read = np.fromfile(stream, part.dtype, part.size, offset=part.offset)
                return _lent(read.reshape(part.shape, order="F" if part.contiguous == "F" else "C"))
            mapped = np.memmap(stream, np.uint8, "r", start, (stop - start,))
        return part.view(np.asarray(mapped), start)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return _token(self.source)

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (type(self), packed((self.source, self.copied)))


@dataclass(frozen=True, slots=True)
class PieceReader(_Reader):
    """An array in pieces that dask has no reader of its own for: parts are put together."""

    source: Tiled

    def __getitem__(self, key: Any) -> NDArray[Any]:
        view = self.source.index(key)
        made = np.empty(view.shape, view.dtype)
        pieces = view.table.open(False)
        try:
            for part in view.parts():
                part.at(made)[...] = _elements(pieces.find(part.piece), part, view)
        finally:
            pieces.close()
        return _lent(made)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return _token(self.source)

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (type(self), packed((self.source,)))


@dataclass(frozen=True, slots=True, eq=False)
class MemoryReader(_Reader):
    """An array in memory, in views: dask would copy it first."""

    source: NDArray[Any]
    keeper: Any = None
    """What the memory belongs to."""

    def __getitem__(self, key: Any) -> NDArray[Any]:
        # Of `...` there is a view even of a single element.
        return _lent(self.source[(*key, ...) if isinstance(key, tuple) else (key, ...)].view())

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return type(self).__name__, id(self.source), uuid.uuid4().hex

    def __reduce__(self) -> tuple[Any, ...]:
        # Elsewhere the memory is the copy's own, and what it was made of is nobody's concern.
        return MemoryReader, (self.source,)


@dataclass(frozen=True, slots=True, eq=False)
class ZarrReader(_Reader):
    """An array of zarr-python."""

    source: Any

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return _lent(np.asarray(self.source[key]))


def _lent(block: NDArray[Any]) -> NDArray[Any]:
    """Read-only: what a function did to its block, it would do to others', or somebody's array."""
    block.flags.writeable = False
    return block


def _arrived(kind: type[_Reader], blob: bytes) -> _Reader:
    """A reader in the process that it was sent to: other machines number their devices anew."""
    return kind(*unpacked(blob))


def read_stored(
    da: Any,
    source: Strided | Tiled,
    chunks: Chunks | None,
    chunk_bytes: int,
    copied: bool = False,
    once: str = "",
) -> Any:
    """A stored array as a dask array.

    Parameters
    ----------
    da : module
        dask.array.
    source : Strided or Tiled
    chunks : tuple of tuple of int or None
        The blocks that somebody set.
    chunk_bytes : int
        About how large blocks are otherwise; twice that where a view of a plain file has gaps.
    copied : bool
        Whether a plain file is read rather than mapped; a view with gaps is mapped in any case.
    once : str
        Part of the name of a Zarr array: the same one for all that a graph reads at one time.
    """
    if isinstance(source, Strided):
        if not source.contiguous:
            # Behind each run the kernel reads ahead into what nobody asked for, and once more where
            # a block cuts a run: larger blocks cut fewer.  Mapped they need no memory of their own.
            chunk_bytes, copied = 2 * chunk_bytes, False
        free = free_chunks(source.shape, source.itemsize, source.order, chunk_bytes)
        return _from(da, FileReader(source, copied), free if chunks is None else chunks)
    array = zarr_of(source)
    if array is None:
        grown = _grown(source.blocks(), source.itemsize, chunk_bytes)
        return _from(da, PieceReader(source), grown if chunks is None else chunks)
    # By zarr-python, as dask's own `from_zarr`; the view is cut out of it afterwards.
    direct = chunks is not None and source.complete
    cuts = chunks if direct and chunks is not None else table_chunks(array, chunk_bytes)
    whole = _from(da, ZarrReader(array), cuts, ("zarr", once, *_token(source)))
    found = _viewed(da, whole, source)
    return found if chunks is None else found.rechunk(chunks)


def read_memory(da: Any, array: NDArray[Any], chunks: Chunks, keeper: Any = None) -> Any:
    """An array in memory as a dask array."""
    return _from(da, MemoryReader(array, keeper), chunks)


def zarr_of(source: Tiled, mode: Any = "r") -> Any:
    """zarr-python's array of a view of a Zarr array; None of others."""
    return opened_zarr(source.table, mode) if isinstance(source.table, ZarrTable) else None


def _from(da: Any, reader: Any, chunks: Chunks, token: Any = None) -> Any:
    from dask.base import tokenize

    name = f"{type(reader).__name__}-{tokenize(reader if token is None else token, chunks)}"
    meta = np.empty((0,) * reader.ndim, reader.dtype)
    return da.from_array(
        reader, chunks, name=name, asarray=True, fancy=False, lock=False, meta=meta
    )


def _token(source: Strided | Tiled) -> tuple[Any, ...]:
    file = source.file
    state = file.path, file.dev, file.ino, file.size, file.mtime_ns
    if isinstance(source, Strided):
        # Not `descr`, which fields that lie in another order do not have.
        return *state, source.offset, source.shape, source.strides, repr(source.dtype)
    lines = [(one.axis, one.start, one.step, one.count) for one in (*source.lines, *source.fixed)]
    # A file may hold several arrays, and an array lie in several files.
    table = source.table
    which = [repr(getattr(table, name, None)) for name in ("dataset", "axis", "names", "seen")]
    return *state, lines, len(source.fixed), type(table).__name__, repr(source.dtype), *which


def _regular(path: str, flags: int) -> int:
    return open_regular(path)


def _elements(found: Found, part: Any, view: Tiled) -> NDArray[Any]:
    if found is None:
        return np.full(part.shape, view.table.fill, view.dtype)
    if isinstance(found, np.ndarray):
        elements: NDArray[Any] = part.of(found)
        return elements
    layout = part.within(found.layout)
    start, stop = layout.span()
    with open(found.fd, "rb", closefd=False) as stream:
        mapped = np.memmap(stream, np.uint8, "r", start, (stop - start,))
    return np.array(layout.view(np.asarray(mapped), start))


def table_chunks(array: Any, chunk_bytes: int, writing: bool = False) -> Chunks:
    """Whole chunks of a Zarr array together, of about so many bytes.

    Of shards that are larger than that, parts are read; they are written as a whole in any case,
    since zarr-python writes a shard anew for every part.
    """
    unit = array.shards or array.chunks
    if not writing and math.prod(unit) * array.dtype.itemsize > chunk_bytes:
        unit = array.chunks
    cuts = tuple(equal(n, max(step, 1)) for n, step in zip(array.shape, unit, strict=True))
    return _grown(cuts, array.dtype.itemsize, chunk_bytes)


def _grown(chunks: Chunks, itemsize: int, chunk_bytes: int) -> Chunks:
    """Blocks joined with their neighbours, along the last axis first, to about so many bytes."""
    found = list(chunks)
    room = chunk_bytes // max(math.prod(max(sizes, default=1) for sizes in chunks) * itemsize, 1)
    for axis in reversed(range(len(found))):
        count = max(min(room, len(found[axis])), 1)
        sizes = found[axis]
        found[axis] = tuple(sum(sizes[k : k + count]) for k in range(0, len(sizes), count))
        room //= count
    return tuple(found)


def _viewed(da: Any, whole: Any, source: Tiled) -> Any:
    """Cut the view out of the whole: its lines are slices of axes, in any order."""
    key: list[Any] = [slice(None)] * whole.ndim
    for line in source.fixed:
        key[line.axis] = line.start
    for line in source.lines:
        if line.axis >= 0:
            key[line.axis] = _slice(line.start, line.step, line.count)
    found = whole[tuple(key)]
    left = sorted(line.axis for line in source.lines if line.axis >= 0)
    found = found.transpose([left.index(line.axis) for line in source.lines if line.axis >= 0])
    found = found[tuple(None if line.axis < 0 else slice(None) for line in source.lines)]
    if found.dtype != source.dtype:
        found = found.astype(source.dtype)
    return da.broadcast_to(found, source.shape) if found.shape != source.shape else found


def _slice(start: int, step: int, count: int) -> slice:
    step = step or 1
    if not count:
        return slice(0, 0)
    stop = start + step * (count - 1) + (1 if step > 0 else -1)
    return slice(start, None if stop < 0 else stop, step)
