"""Reads single elements of a `.npy` file or a plain Zarr array; no byte beside their pages.

Through a map, or by whole chunks, a few thousand of them would be the whole array: to look at the
result took longer than to make it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["elements_of"]

Array = np.ndarray[Any, Any]


def elements_of(path: Path, places: Array) -> tuple[tuple[int, ...], Array]:
    """The shape of an array of float64, and its elements at places.

    Parameters
    ----------
    path : pathlib.Path
        Ends in ``.npy`` or ``.zarr``.
    places : numpy.ndarray of int
        Numbers of elements in C order, ascending.

    Raises
    ------
    ValueError
        The file is no such array, or too short; the Zarr array is compressed.
    OSError
        It cannot be read.
    """
    return _of_zarr(path, places) if path.suffix == ".zarr" else _of_npy(path, places)


def _of_npy(path: Path, places: Array) -> tuple[tuple[int, ...], Array]:
    x: Any = np.load(path, mmap_mode="r")
    if not len(places) or places[-1] >= x.size:
        return x.shape, np.empty(0)
    if x.dtype != np.dtype("<f8") or not x.flags.c_contiguous:
        raise ValueError(f"the output has dtype {x.dtype}, strides {x.strides}")
    return x.shape, _pread(path, x.offset + 8 * places)


def _of_zarr(path: Path, places: Array) -> tuple[tuple[int, ...], Array]:
    import zarr

    z: Any = zarr.open_array(path, mode="r")
    if z.compressors:
        raise ValueError(f"the output has compressors {z.compressors}")
    if not len(places) or places[-1] >= np.prod(z.shape):
        return z.shape, np.empty(0)
    where = np.unravel_index(places, z.shape)
    codecs = [codec.to_dict() for codec in getattr(z.metadata, "codecs", ())]
    if codecs != [{"name": "bytes", "configuration": {"endian": "little"}}] or z.dtype != "<f8":
        return z.shape, np.asarray(z.vindex[where])  # shards, or another format
    numbers = [axis // extent for axis, extent in zip(where, z.chunks, strict=True)]
    inside = [axis % extent for axis, extent in zip(where, z.chunks, strict=True)]
    # Whole chunks are stored, also where the array ends inside of one.
    offsets = 8 * np.ravel_multi_index(tuple(inside), z.chunks)
    chunk = np.ravel_multi_index(tuple(numbers), z.cdata_shape)
    found = np.full(len(places), z.fill_value)
    for number in np.unique(chunk):
        mine = chunk == number
        coords = tuple(int(k) for k in np.unravel_index(number, z.cdata_shape))
        with contextlib.suppress(FileNotFoundError):  # of such a chunk all is the fill value
            found[mine] = _pread(path / z.metadata.encode_chunk_key(coords), offsets[mine])
    return z.shape, found


def _pread(path: Path, offsets: Array) -> Array:
    with path.open("rb", buffering=0) as stream:
        # Else the kernel reads ahead of each, megabytes on some disks.
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        parts = [os.pread(stream.fileno(), 8, int(offset)) for offset in offsets]
    if any(len(part) < 8 for part in parts):
        raise ValueError(f"{path.name} is too short")
    return np.frombuffer(b"".join(parts), "<f8")
