"""New files of one array, complete from the moment they have a name; never opens old ones."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from oocarray.storage.draft import DURABILITIES, Draft
from oocarray.storage.dtypes import plain_dtype, plain_shape
from oocarray.storage.files import PathLike
from oocarray.storage.layout import FileKey, Strided
from oocarray.storage.npy import build_header
from oocarray.storage.strides import dense_strides

__all__ = ["create_npy", "create_raw", "draft_npy", "draft_raw"]

_PIECE = 8 << 20  # bytes per write when a file is filled
_NOWHERE = FileKey("", 0, 0, 0, 0)  # of a layout whose file is still to be made


def draft_npy(
    path: PathLike,
    shape: int | Iterable[int],
    dtype: Any,
    order: str = "C",
    overwrite: bool = False,
) -> tuple[Draft, Strided]:
    """Make an .npy file that is not yet published, header written, elements zero.

    Parameters
    ----------
    path : path-like
        Where it shall appear.
    shape : int or sequence of int
        Shape of the array.
    dtype : dtype-like
        Dtype of the elements.
    order : {"C", "F"}
        Which axis is fastest: the last or the first.
    overwrite : bool
        Whether an existing file is replaced at ``publish()``.

    Returns
    -------
    tuple of Draft and Strided
        The caller discards or publishes the draft; the layout names the target's path with the
        identity of the unpublished file.

    Raises
    ------
    ValueError, DtypeError
        A bad shape or order; a dtype that cannot be mapped.
    FileExistsError, OSError
        As :meth:`Draft.create`.
    """
    found = plain_dtype(dtype)
    extents = plain_shape(shape, found.itemsize)
    strides = dense_strides(extents, found.itemsize, order)
    header = build_header(extents, found, order == "F")
    return _draft(path, header, Strided(_NOWHERE, len(header), extents, found, strides), overwrite)


def draft_raw(
    path: PathLike,
    shape: int | Iterable[int],
    dtype: Any,
    order: str = "C",
    overwrite: bool = False,
) -> tuple[Draft, Strided]:
    """Make a file of nothing but zero elements that is not yet published; see `draft_npy`."""
    found = plain_dtype(dtype)
    extents = plain_shape(shape, found.itemsize)
    strides = dense_strides(extents, found.itemsize, order)
    return _draft(path, b"", Strided(_NOWHERE, 0, extents, found, strides), overwrite)


def create_npy(
    path: PathLike,
    shape: int | Iterable[int],
    dtype: Any,
    order: str = "C",
    fill_value: Any = 0,
    overwrite: bool = False,
    durability: str = "none",
) -> Strided:
    """Create a complete .npy file, every element `fill_value`, its disk blocks reserved.

    Parameters
    ----------
    path, shape, dtype, order, overwrite
        As for `draft_npy`.
    fill_value : scalar
        Zero costs no write.
    durability : {"none", "process", "machine"}
        As for :meth:`Draft.publish`.

    Returns
    -------
    Strided
        Layout of the array; its first element is at a multiple of 4096 bytes.

    Raises
    ------
    ValueError, DtypeError, FileExistsError, OSError
        As `draft_npy`; nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x.npy")
    ...     layout = create_npy(path, (2, 3), "f4", fill_value=1.5)
    ...     layout.offset, np.load(path).tolist()
    (4096, [[1.5, 1.5, 1.5], [1.5, 1.5, 1.5]])
    """
    element = _element(fill_value, dtype, durability)
    draft, layout = draft_npy(path, shape, dtype, order, overwrite)
    return _finish(draft, layout, element, durability)


def create_raw(
    path: PathLike,
    shape: int | Iterable[int],
    dtype: Any,
    order: str = "C",
    fill_value: Any = 0,
    overwrite: bool = False,
    durability: str = "none",
) -> Strided:
    """Create a complete file of nothing but the array's elements; see `create_npy`."""
    element = _element(fill_value, dtype, durability)
    draft, layout = draft_raw(path, shape, dtype, order, overwrite)
    return _finish(draft, layout, element, durability)


def _draft(
    path: PathLike, header: bytes, layout: Strided, overwrite: bool
) -> tuple[Draft, Strided]:
    draft = Draft.create(path, len(header) + layout.nbytes, overwrite=overwrite)
    try:
        _write(draft.fd, header, 0)
        key = FileKey.of(draft.fd, draft.path)
        return draft, replace(layout, file=key.with_header(header) if header else key)
    except BaseException:
        draft.discard()
        raise


def _element(fill_value: Any, dtype: Any, durability: str) -> bytes:
    """The bytes of one element; wrong arguments are found before a file is made."""
    if durability not in DURABILITIES:
        raise ValueError(f"durability is one of {DURABILITIES}, not {durability!r}")
    if np.ndim(fill_value) != 0 and np.dtype(dtype).names is None:
        raise ValueError(f"fill_value must be a scalar, not of shape {np.shape(fill_value)}")
    element = np.zeros((), plain_dtype(dtype))
    element[()] = fill_value
    return element.tobytes()


def _finish(draft: Draft, layout: Strided, element: bytes, durability: str) -> Strided:
    with draft:
        if any(element):
            _fill(draft.fd, element, layout)
        key = replace(draft.publish(durability), header=layout.file.header)
        return replace(layout, file=key)


def _fill(fd: int, element: bytes, layout: Strided) -> None:
    count = math.prod(layout.shape)
    per_piece = max(_PIECE // len(element), 1)
    piece = element * min(per_piece, count)
    for first in range(0, count, per_piece):
        size = min(per_piece, count - first) * len(element)
        _write(fd, memoryview(piece)[:size], layout.offset + first * len(element))


def _write(fd: int, data: bytes | memoryview, at: int) -> None:
    rest = memoryview(data)
    while rest:
        done = os.pwrite(fd, rest, at)
        rest, at = rest[done:], at + done
