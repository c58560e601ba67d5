"""What the metadata of a Zarr array says, as one plain record; reads no file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oocarray.storage.filekey import FileKey

__all__ = ["ZarrArray"]


@dataclass(frozen=True, slots=True)
class ZarrArray:
    """A Zarr array, of version 2 or 3, by its metadata alone.

    Examples
    --------
    >>> key = FileKey("/data/x.zarr/zarr.json", 1, 2, 700, 0)
    >>> x = ZarrArray(
    ...     key, "/data/x.zarr", 3, (5, 4), (2, 4), None, "", False, np.dtype("<f4"), bytes(4),
    ...     (0, 1), "/", True, False, None, b"{}"
    ... )
    >>> x.key((1, 0)), x.grid, x.fill_value, x.kind
    ('c/1/0', (3, 1), np.float32(0.0), 'Zarr v3, one file per chunk')
    """

    file: FileKey
    """Of the document: ``zarr.json`` or ``.zarray``."""
    folder: str
    """Absolute path of the folder that the document is in, and the keys are relative to."""
    version: int
    """2 or 3."""
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    """What one file holds, a chunk or a shard, in the array's order of axes; at least 1 each."""
    inner: tuple[int, ...] | None
    """Chunk inside a shard; None where chunks are not in shards, or in what is not understood."""
    index_at: str
    """Where a shard's index is: ``"start"`` or ``"end"``; ``""`` without `inner`, or unknown."""
    index_crc: bool
    """Whether a CRC-32C of four bytes follows the index."""
    dtype: np.dtype[Any]
    """In the byte order of the file."""
    fill: bytes
    """One element, in `dtype`."""
    order: tuple[int, ...]
    """Axes in the order in which the smallest stored chunk has them, slowest first."""
    separator: str
    """``"/"`` or ``"."``, between the numbers of a key."""
    prefix: bool
    """Whether keys begin with ``"c"``."""
    encoded: bool
    """Whether chunks are more than elements in `order`: compressed, filtered, or not understood."""
    dims: tuple[str | None, ...] | None
    document: bytes = field(repr=False)
    """The metadata as it was read."""

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def fill_value(self) -> Any:
        """The fill value as a NumPy scalar."""
        return np.frombuffer(self.fill, self.dtype)[0]

    @property
    def grid(self) -> tuple[int, ...]:
        """How many files there may be along each axis."""
        return tuple(-(-n // step) for n, step in zip(self.shape, self.chunk, strict=True))

    @property
    def kind(self) -> str:
        """What it is, in words."""
        unit = "one file per chunk" if self.inner is None else "shards"
        return f"Zarr v{self.version}, {unit}" + (", encoded" if self.encoded else "")

    def key(self, coords: tuple[int, ...]) -> str:
        """Return the path of a chunk or shard, relative to `folder`; it need not exist.

        Parameters
        ----------
        coords : tuple of int
            Its place in `grid`.
        """
        parts = [str(number) for number in coords]
        if self.prefix:
            return self.separator.join(["c", *parts])
        return self.separator.join(parts) or "0"
