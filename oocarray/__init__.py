"""NumPy arrays as large as your disk, worked on where they lie; what is not public is not here."""

from __future__ import annotations

from .api import Store, compute, map_blocks, reduction, store, update_blocks
from .config import options
from .core import Array
from .errors import (
    BlockFailedError,
    BlockMismatchError,
    BudgetError,
    ClosedError,
    DtypeError,
    FormatError,
    GridWarning,
    InputChangedError,
    KernelError,
    NotRegularFileError,
    OocarrayError,
    OverlapError,
    PlanError,
    TornBlockError,
    TruncatedFileError,
    WorkerDiedError,
)
from .jit import kernel
from .opening import create, from_array, open  # noqa: A004

__version__ = "0.1.0"

__all__ = [
    "Array",
    "BlockFailedError",
    "BlockMismatchError",
    "BudgetError",
    "ClosedError",
    "DtypeError",
    "FormatError",
    "GridWarning",
    "InputChangedError",
    "KernelError",
    "NotRegularFileError",
    "OocarrayError",
    "OverlapError",
    "PlanError",
    "Store",
    "TornBlockError",
    "TruncatedFileError",
    "WorkerDiedError",
    "compute",
    "create",
    "from_array",
    "kernel",
    "map_blocks",
    "open",
    "options",
    "reduction",
    "store",
    "update_blocks",
]
