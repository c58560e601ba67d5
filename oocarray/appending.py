"""Makes of what a user appends the rows as they are to lie in the file; it writes none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .grid import Chunks
from .lazy.expr import StoredNode
from .storage.layout import Strided

__all__ = ["extended", "rows_of"]

_SLICE_BYTES = 8 << 20


def rows_of(rows: Any, source: Strided) -> tuple[int, Iterable[Any]]:
    """How many rows come, and they themselves, as they are to lie in the file."""
    from .core import Array

    block = rows if isinstance(rows, (Array, np.ndarray)) else _numbers(rows, source.dtype)
    if isinstance(block, Array) and block.shape and block.shape[0] != block.shape[0]:
        block.compute_chunk_sizes()
    path, shape = source.file.path, source.shape
    if len(block.shape) != len(shape) or block.shape[1:] != shape[1:]:
        advice = "; a single row is row[None]" if block.shape == shape[1:] else ""
        raise ValueError(
            f"{path} has shape {shape}: rows to append have shape "
            f"(n, {', '.join(map(str, shape[1:]))}), not {block.shape}{advice}"
        )
    if not np.can_cast(block.dtype, source.dtype, "same_kind"):
        raise TypeError(
            f"{path} has dtype {source.dtype}, which cannot hold {block.dtype} without losing its "
            f"kind; append np.asarray(rows, {str(source.dtype)!r}) if that is what you want"
        )
    blocks = block.iter_blocks() if isinstance(block, Array) else _slices(block)
    return block.shape[0], (np.asarray(part, source.dtype, order="C") for part in blocks)


def _numbers(rows: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """What a list holds; whole numbers that do not fit are refused, as NumPy does."""
    block = np.asarray(rows)
    if block.dtype.kind in "iu" and dtype.kind in "iu" and not hasattr(rows, "dtype"):
        return np.asarray(rows, dtype)
    return block


def _slices(block: np.ndarray[Any, Any]) -> Iterable[Any]:
    """An array in parts of a few MiB: what is copied to convert it is small."""
    rows = max(_SLICE_BYTES // max(block[:1].nbytes, 1), 1)
    return (block[at : at + rows] for at in range(0, len(block), rows))


def extended(node: StoredNode, rows: int) -> Chunks | None:
    """The blocks of a node when its array has more rows: the last is filled, others follow."""
    if node.set_chunks is None:
        return None
    sizes, *rest = node.set_chunks
    most = max(sizes, default=0) or rows
    if any(size != most for size in sizes[:-1]):
        return ((*sizes, rows - sum(sizes)), *rest)
    whole, left = divmod(rows, most)
    return ((most,) * whole + ((left,) if left else ()), *rest)
