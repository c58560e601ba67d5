"""What opening a file has found: where the array lies, and what the file says of it; opens none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oocarray.storage.layout import Strided
from oocarray.storage.pieces import Table

__all__ = ["Opened"]


@dataclass(frozen=True, slots=True)
class Opened:
    """An array that was found in a file or folder."""

    place: Strided | Table
    kind: str
    """In words: "Zarr v3, one file per chunk", "HDF5, contiguous"."""
    dims: tuple[str | None, ...] | None = None
    """Names of the axes, where the file has some."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """What else the file says of it, as plain Python values."""
