"""Turns what went wrong in a worker into the exception the caller gets; it decides no retry."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence

from ..errors import BlockFailedError, TornBlockError, WorkerDiedError
from ..plan import Stage, Task
from .job import Died, Failure

__all__ = ["RemoteError", "death_error", "raised_error"]

_CAUSES = {
    "SIGKILL": "a memory limit, or somebody's kill",
    "SIGBUS": "a file that was truncated while it was mapped, or a full disk",
    "SIGSEGV": "a store outside the block: try @oo.kernel(boundscheck=True)",
    "SIGABRT": "a library that called abort()",
}
_MOST_NAMED = 8


class RemoteError(Exception):
    """The traceback of an exception, as text from where it was raised."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def raised_error(failure: Failure) -> BaseException:
    """The exception that a block function raised, with its own traceback as the cause."""
    error = failure.exception or BlockFailedError(failure.text)
    with contextlib.suppress(Exception):  # frozen dataclasses refuse it
        error.__cause__ = RemoteError(failure.text)
    return error


def death_error(death: Died, stage: Stage, job: int, held: Sequence[Task]) -> WorkerDiedError:
    """Name a dead worker: how it ended, at which block, and what that leaves behind.

    Parameters
    ----------
    death : Died
    stage : Stage
    job : int
        Number of the job that the coordinator is at.
    held : sequence of Task
        Tasks that the worker had been given and not answered.
    """
    block = None
    if death.stage == job and death.item >= 0:
        block = stage.grid.coords(death.item)
    how = _how(death.status)
    where = "before its first block" if block is None else f"in block {block}"
    likely = f"; likely cause: {_CAUSES[how]}" if how in _CAUSES else ""
    text = f"worker process {death.pid} was ended by {how} {where} of {stage.label!r}{likely}"
    if not stage.in_place or block is None:
        return WorkerDiedError(text, pid=death.pid, signal=how, block=block)
    torn = tuple(
        stage.grid.coords(item)
        for task in held
        for item in range(task.first, task.first + task.count)
    )
    named = ", ".join(map(str, torn[:_MOST_NAMED])) + (" ..." if len(torn) > _MOST_NAMED else "")
    error = TornBlockError(
        f"{text}; it was updating in place: blocks that may be updated wholly, partly or not at "
        f"all: {named}",
        pid=death.pid,
        signal=how,
        block=block,
    )
    error.blocks = torn
    return error


def _how(status: int | None) -> str:
    if status is None:
        return "an unknown cause"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
