"""Turns what went wrong in a worker into the exception the caller gets; it decides no retry."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import (
    BlockFailedError,
    FailedBlocksWarning,
    ProtocolError,
    TornBlockError,
    WorkerDiedError,
)
from ..grid import Coords
from ..plan import Blocks, Stage, Task
from ..storage.tiled import Tiled
from ..units import format_count
from .causes import Causes
from .job import Died, Failure
from .retries import STRIKES

__all__ = [
    "Changes",
    "RemoteError",
    "block_failed",
    "death_error",
    "failed_blocks",
    "raised_error",
]

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


def death_error(death: Died, stage: Stage, job: int, causes: Causes) -> WorkerDiedError:
    """Name a dead worker: how it ended, at which block, and why as far as that is known.

    Parameters
    ----------
    death : Died
    stage : Stage
    job : int
        Number of the job that the coordinator is at.
    causes : Causes
    """
    block, where = _place(death, stage, job)
    where = f"{where} of {stage.label!r}"
    how = _how(death.status)
    who = f"worker process {death.pid}"
    if death.server is not None:
        pid, code = death.server
        how = _name_of(-code) if code < 0 else f"exit code {code}"
        text = f"{who} was ended {where}: the server of the workers, {pid}, was ended by {how}"
    elif death.protest:
        text = f"{who} was ended {where}: {death.protest}"
    else:
        text = f"{who} was ended by {how} {where}"
    cause = "" if death.protest else causes.of(how)
    error_class = TornBlockError if stage.in_place else WorkerDiedError
    error = error_class(
        text + (f"; likely cause: {cause}" if cause else ""),
        pid=death.pid,
        signal=how,
        block=block,
    )
    if death.protest:
        error.__cause__ = ProtocolError(death.protest)
    if death.said:
        error.add_note(f"oocarray: it left this behind:\n{death.said}")
    return error


def block_failed(error: WorkerDiedError, stage: Stage, item: int) -> BlockFailedError:
    """A block has ended so many workers that it is not tried again."""
    block = stage.grid.coords(item)
    failed = BlockFailedError(
        f"block {block} of {stage.label!r} ended its worker process {STRIKES} times, the last of "
        f"them with nothing beside it: {error}",
        block=block,
        signal=error.signal,
    )
    failed.__cause__ = error
    for note in getattr(error, "__notes__", ()):
        failed.add_note(note)
    return failed


def failed_blocks(errors: Mapping[Coords, str], items: int, label: str, what: str) -> Warning:
    """Say which blocks a run went on without."""
    first = next(iter(errors))
    count = f"{len(errors)} of {format_count(items, 'block')}"
    return FailedBlocksWarning(
        f"{count} of {label!r} failed and {'was' if len(errors) == 1 else 'were'} {what}: "
        f"{_named(list(errors))}; the first of them with {errors[first]}",
        errors,
    )


class Changes:
    """Which blocks an update in place has changed; it only counts.

    Parameters
    ----------
    stage : Stage
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.changed = np.zeros(stage.grid.size, np.bool_)
        self.torn: set[int] = set()
        self._late = any(
            isinstance(write, Blocks) and isinstance(write.target, Tiled) for write in stage.writes
        )
        """Blocks of arrays in pieces may be in memory until their task is over."""

    def computed(self, tasks: Iterable[Task]) -> bool:
        """Whether blocks that a dead worker had computed are in the page cache, as all it stored.

        Else they may be half changed, and are noted.
        """
        if self._late:
            for _, first, count in tasks:
                self.torn.update(range(first, first + count))
        return not self._late

    def wholly(self, first: int, count: int) -> None:
        """Some blocks have been changed."""
        self.changed[first : first + count] = True

    def failed(self, failure: Failure, first: int, count: int) -> None:
        """A task raised."""
        if failure.when == "after":
            self.torn.update(range(first, first + count))
        elif failure.when == "in" and failure.block is not None:
            item = self._stage.grid.number(failure.block)
            if self._late:
                self.torn.update(range(first, item + 1))
                return
            self.wholly(first, item - first)
            self.torn.add(item)

    def tell(self, error: BaseException) -> None:
        """Add what is known to the exception that ends the update."""
        grid = self._stage.grid
        blocks = tuple(grid.coords(item) for item in sorted(self.torn))
        torn = (
            f"blocks that may be half changed: {_named(blocks)}" if blocks else "no block is torn"
        )
        count = int(self.changed.sum())
        text = (
            f"{torn}; {count} of {format_count(grid.size, 'block')} "
            f"{'was' if count == 1 else 'were'} changed wholly, the others are as they were"
        )
        if isinstance(error, TornBlockError):
            error.blocks = blocks
            error.changed = self.changed.reshape(grid.numblocks)
            error.args = (f"{error}; the array was being updated in place: {text}",)
            return
        with contextlib.suppress(Exception):  # frozen dataclasses refuse it
            error.add_note(f"oocarray: the update in place was stopped: {text}")


def _named(blocks: Sequence[Any]) -> str:
    """Write the first few of them."""
    more = " ..." if len(blocks) > _MOST_NAMED else ""
    return ", ".join(map(str, blocks[:_MOST_NAMED])) + more


def _place(death: Died, stage: Stage, job: int) -> tuple[Coords | None, str]:
    """Where a worker was: a block, and how to say it."""
    beat = death.beat
    if beat.job == job and beat.item >= 0 and not beat.ended:
        block = stage.grid.coords(beat.item)
        return block, f"in block {block}"
    if beat.job == job and beat.binding:
        return None, "while it loaded the functions"
    if beat.job == job and beat.pages >= 0:
        block = stage.grid.coords(beat.pages)
        return block, f"while {'letting go of' if beat.leaving else 'bringing in'} block {block}"
    if beat.job == job and beat.item >= 0:
        return None, f"after block {stage.grid.coords(beat.item)}"
    return None, "before its first block"


def _how(status: int | None) -> str:
    if status is None:
        return "an unknown cause"
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else _name_of(-code)


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
