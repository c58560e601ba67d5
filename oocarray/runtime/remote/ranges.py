"""How many blocks of a stage go into one task of a cluster; pure numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ...estimate import stage_bytes
from ...plan import Blocks, InMemory, Scratch, Stage
from ..pipeline import Pipeline, pipeline

__all__ = ["Ranges", "ranges"]

PER_THREAD = 8
"""So many tasks each thread has at least, so that all end at about the same time."""
MOST = 4000
"""Tasks of one stage: each costs the scheduler about a millisecond."""
_TASK_BYTES = 256 << 20
"""A task of more is cut, as long as there are not too many: it is what is lost with a worker."""
_AT_ONCE = 3
_STEPS = 8
"""Steps of a task, where it has the blocks for them: only the first waits for the disk while
nothing is computed, and only the last is written when nothing is left to compute."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """The tasks of a stage."""

    count: int
    """Blocks of each task but the last."""
    step: int
    """Blocks that a worker brings in, computes and writes together."""
    seats: int
    """Threads of one worker that may work on the stage at the same time."""
    least: int
    """Bytes that one thread with one block at a time needs."""
    at_once: int
    """Steps that a thread may hold: one brought in, one computed, one on its way out, or fewer."""
    held: int
    """Bytes that a worker holds at most."""
    ahead: int
    """Tasks that are out at once."""

    def __str__(self) -> str:
        return f"{self.count} blocks per task, {self.step} at a time, {self.seats} in each worker"


def ranges(
    stage: Stage, share: int, workers: int, threads: int, unit: int, arguments: int = 0
) -> Ranges:
    """Cut a stage into tasks.

    Parameters
    ----------
    stage : Stage
    share : int
        Bytes that the stage may hold in each worker.
    workers : int
    threads : int
        Of all workers.
    unit : int
        Most bytes of one array that are worked on at once.
    arguments : int
        Bytes of the arrays that travel with the stage, of which each worker has one copy.
    """
    each = max(-(-threads // workers), 1)
    memory = max(share - arguments, 1)
    tasks: Pipeline = pipeline(stage, memory, each, "stream", unit)
    items = stage.grid.size
    read, written = stage_bytes(stage)
    pieces = max(PER_THREAD * threads, min((read + written) // _TASK_BYTES, MOST), 1)
    count = max(-(-items // min(pieces, MOST)), 1)
    kept = sum(map(_travelling, stage.writes))
    if kept:
        # What is asked for in memory waits in the workers until it is fetched.
        count = max(min(count, memory // (4 * each * kept)), 1)
    room = memory // tasks.workers - tasks.standing
    at_once = max(min(room // tasks.item_bytes, _AT_ONCE), 1)
    fitting = max(room // (at_once * tasks.item_bytes), 1)
    step = min(tasks.per_task, fitting, max(count // _STEPS, 1))
    return Ranges(
        count=count,
        step=step,
        seats=tasks.workers,
        least=tasks.least,
        at_once=at_once,
        held=tasks.workers * (at_once * step * tasks.item_bytes + tasks.standing) + arguments,
        ahead=(2 if kept else 4) * threads + 4,
    )


def _travelling(write: Any) -> int:
    """Bytes of a block that goes back with the answer."""
    kept = write.target if isinstance(write, Blocks) else write
    if not isinstance(kept, (InMemory, Scratch)):
        return 0
    return int(math.prod(write.grid.max_block_shape) * kept.dtype.itemsize)
