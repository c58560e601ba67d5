"""The exceptions oocarray raises, and nothing that decides when to raise them.

Every message names the file or block, both numbers of a failed comparison, and the
parameter to change.  Where Python or NumPy has an exception for the case, ours derives
from it, so that ``except OSError`` or ``except ValueError`` go on working.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ArrayLockedError",
    "BlockFailedError",
    "BlockMismatchError",
    "BudgetError",
    "ClosedError",
    "CorruptChunkError",
    "DtypeError",
    "FailedBlocksWarning",
    "FormatError",
    "GridWarning",
    "InputChangedError",
    "KernelError",
    "NotRegularFileError",
    "OocarrayError",
    "OverlapError",
    "PlanError",
    "ProtocolError",
    "TornBlockError",
    "TruncatedFileError",
    "WorkerDiedError",
]


class OocarrayError(Exception):
    """Base of every exception that only oocarray raises."""


class FormatError(OocarrayError, ValueError):
    """A file's bytes do not follow the format they claim."""


class TruncatedFileError(FormatError):
    """A file is shorter than its header, or the caller, says."""


class CorruptChunkError(FormatError):
    """A chunk's bytes are not what its array, or its shard's index, says.

    Attributes
    ----------
    chunk : tuple of int
        Its coordinates in the grid of chunks.
    """

    def __init__(self, message: str, chunk: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.chunk = chunk

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.chunk)


class DtypeError(OocarrayError, TypeError):
    """A dtype that cannot be mapped, or that a kernel cannot take."""


class NotRegularFileError(OocarrayError, OSError):
    """The path leads to a directory, pipe, device or socket."""


class ArrayLockedError(OocarrayError, BlockingIOError):
    """Another run uses the file: it changes it, or reads what this one would change.

    Attributes
    ----------
    pids : tuple of int
        Processes that hold the lock, as far as the system tells.
    """

    pids: tuple[int, ...] = ()


class ClosedError(OocarrayError, ValueError):
    """An array was used after ``close()``."""


class PlanError(OocarrayError, ValueError):
    """A plan that must not run; found before the first byte moves."""


class BudgetError(PlanError, MemoryError):
    """A plan that does not fit the memory it may hold."""


class OverlapError(PlanError):
    """Two tasks would write the same bytes, or one reads what another writes."""


class BlockMismatchError(OocarrayError, ValueError):
    """A block function returned another shape or dtype than the plan promises."""


class BlockFailedError(OocarrayError, RuntimeError):
    """A block cannot be made.

    Its function raised something that could not be carried to the caller as it was; or it ended
    its worker process three times, of which the last `WorkerDiedError` is the cause.

    Attributes
    ----------
    block : tuple of int or None
        Its coordinates.
    signal : str
        Name of the signal that ended the worker, or ``"exit code n"``; ``""`` if none has.
    """

    def __init__(
        self, message: str, *, block: tuple[int, ...] | None = None, signal: str = ""
    ) -> None:
        super().__init__(message)
        self.block = block
        self.signal = signal


class KernelError(OocarrayError, TypeError):
    """A kernel that cannot be compiled, or whose globals cannot be keyed."""


class WorkerDiedError(OocarrayError, RuntimeError):
    """A worker process ended in the middle of a run.

    Attributes
    ----------
    pid : int
        The worker's process id.
    signal : str
        Name of the signal that ended it, or ``"exit code n"``.
    block : tuple of int or None
        Coordinates of the block it worked on.
    """

    def __init__(
        self, message: str, *, pid: int = 0, signal: str = "", block: tuple[int, ...] | None = None
    ) -> None:
        super().__init__(message)
        self.pid = pid
        self.signal = signal
        self.block = block


class TornBlockError(WorkerDiedError):
    """A worker ended while it changed blocks in place: those blocks may be half updated.

    Attributes
    ----------
    blocks : tuple of tuple of int
        Coordinates of every block that may be half updated.
    changed : numpy.ndarray of bool, or None
        One element per block: True where it was updated wholly. What is neither here nor in
        `blocks` is as it was.
    """

    blocks: tuple[tuple[int, ...], ...] = ()
    changed: Any = None


class ProtocolError(OocarrayError, RuntimeError):
    """The other end of a pipe said something that is not in the protocol."""


class InputChangedError(OocarrayError, RuntimeError):
    """An input file changed while a run was reading it."""


class GridWarning(UserWarning):
    """A grid that makes a run read or write each page many times over."""


class FailedBlocksWarning(UserWarning):
    """Blocks whose function raised were left out or filled, as ``on_error=`` had asked for.

    Attributes
    ----------
    blocks : tuple of tuple of int
        Their coordinates.
    errors : dict
        For each of them what was raised, in short.
    """

    def __init__(self, message: str, errors: Mapping[tuple[int, ...], str] | None = None) -> None:
        super().__init__(message)
        self.errors = dict(errors or {})
        self.blocks = tuple(self.errors)
