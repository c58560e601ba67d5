"""Turns what went wrong in a worker into the exception the caller gets; it decides no retry."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence

from ..errors import BlockFailedError, TornBlockError, WorkerDiedError
from ..grid import Coords
from ..plan import Stage, Task
from .job import Died, Failure

__all__ = ["RemoteError", "add_note", "blocks_of", "death_error", "named", "raised_error"]

_CAUSES = {
    "SIGKILL": "a memory limit, or somebody's kill",
    "SIGBUS": "a file that was truncated while it was mapped, or a full disk",
    "SIGSEGV": "a store outside the block: try @oo.kernel(boundscheck=True)",
    "SIGABRT": "a library that called abort()",
    "exit code 2": "too many open files (raise ulimit -n), or a message it could not read",
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
    torn = blocks_of(stage, held)
    error = TornBlockError(
        f"{text}; it was updating in place: blocks that may be updated wholly, partly or not at "
        f"all: {named(torn)}",
        pid=death.pid,
        signal=how,
        block=block,
    )
    error.blocks = torn
    return error


def blocks_of(stage: Stage, tasks: Sequence[Task]) -> tuple[Coords, ...]:
    """Coordinates of the blocks that some tasks are about."""
    return tuple(
        stage.grid.coords(item)
        for task in tasks
        for item in range(task.first, task.first + task.count)
    )


def named(blocks: Sequence[Coords]) -> str:
    """Write the first few of them."""
    more = " ..." if len(blocks) > _MOST_NAMED else ""
    return ", ".join(map(str, blocks[:_MOST_NAMED])) + more


def add_note(error: BaseException, text: str) -> None:
    """Add a note to an exception, if it takes any."""
    with contextlib.suppress(Exception):
        error.add_note(text)


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
