"""NumPy arrays as large as your disk, worked on where they lie; what is not public is not here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import options
    from .core import Array
    from .errors import (
        ArrayLockedError,
        BlockFailedError,
        BlockMismatchError,
        BudgetError,
        ClosedError,
        DtypeError,
        FailedBlocksWarning,
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
    from .extremes import argmax, argmin, max, min, nanargmax, nanargmin, nanmax, nanmin
    from .functions import all, any, count_nonzero, mean, prod, std, sum, var
    from .futures import Future
    from .histograms import histogram
    from .jit import kernel
    from .mapping import map_blocks
    from .nanfunctions import nanmean, nanprod, nanstd, nansum, nanvar
    from .opening import create, from_array, open
    from .persisting import persist
    from .reducing import reduction
    from .storing import Store, compute, store
    from .updating import update_blocks

__version__ = "0.1.0"

# Where each public name lives.  They are imported when first asked for: a script that imports
# the package pays for what it uses, and the server of worker processes for next to nothing.
_HOMES = {
    "config": "options",
    "core": "Array",
    "errors": (
        "ArrayLockedError BlockFailedError BlockMismatchError BudgetError ClosedError DtypeError "
        "FailedBlocksWarning FormatError GridWarning InputChangedError KernelError "
        "NotRegularFileError OocarrayError OverlapError PlanError TornBlockError "
        "TruncatedFileError WorkerDiedError"
    ),
    "extremes": "argmax argmin max min nanargmax nanargmin nanmax nanmin",
    "functions": "all any count_nonzero mean prod std sum var",
    "futures": "Future",
    "histograms": "histogram",
    "jit": "kernel",
    "mapping": "map_blocks",
    "updating": "update_blocks",
    "nanfunctions": "nanmean nanprod nanstd nansum nanvar",
    "opening": "create from_array open",
    "persisting": "persist",
    "reducing": "reduction",
    "storing": "Store compute store",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Array",
    "ArrayLockedError",
    "BlockFailedError",
    "BlockMismatchError",
    "BudgetError",
    "ClosedError",
    "DtypeError",
    "FailedBlocksWarning",
    "FormatError",
    "Future",
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
    "all",
    "any",
    "argmax",
    "argmin",
    "compute",
    "count_nonzero",
    "create",
    "from_array",
    "histogram",
    "kernel",
    "map_blocks",
    "max",
    "mean",
    "min",
    "nanargmax",
    "nanargmin",
    "nanmax",
    "nanmean",
    "nanmin",
    "nanprod",
    "nanstd",
    "nansum",
    "nanvar",
    "open",
    "options",
    "persist",
    "prod",
    "reduction",
    "std",
    "store",
    "sum",
    "update_blocks",
    "var",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'oocarray' has no attribute {name!r}")
    value = getattr(import_module(f"oocarray.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
