"""What all tables of Zarr arrays have in common; it opens nothing."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from oocarray.storage.filekey import FileKey
from oocarray.storage.pieces import Cuts, even_cuts
from oocarray.storage.zarrrecord import ZarrArray

__all__ = ["ZarrTable", "cuts_of"]


@functools.lru_cache(maxsize=256)
def cuts_of(shape: tuple[int, ...], piece: tuple[int, ...]) -> tuple[Cuts, ...]:
    """Where an array is cut; an axis without elements may have chunks of none."""
    return even_cuts(shape, tuple(max(step, 1) for step in piece))


@dataclass(frozen=True, slots=True)
class ZarrTable:
    """Base of the tables: where the chunks are, they say."""

    array: ZarrArray

    @property
    def file(self) -> FileKey:
        return self.array.file

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def fill(self) -> Any:
        return self.array.fill_value

    @property
    def encoded(self) -> bool:
        return False

    @property
    def kind(self) -> str:
        return self.array.kind

    @property
    def piece(self) -> tuple[int, ...]:
        """Shape of a piece."""
        return self.array.chunk

    @property
    def cuts(self) -> tuple[Cuts, ...]:
        return cuts_of(self.array.shape, self.piece)
