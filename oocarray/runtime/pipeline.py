"""How much of a stage is under way at once: items per task, tasks per worker; pure numbers."""

from __future__ import annotations

from dataclasses import dataclass

from ..estimate import item_cost
from ..pages.residency import work_unit
from ..plan import Blocks, Stage

__all__ = ["DEPTH", "Pipeline", "pipeline"]

DEPTH = 4
"""Tasks of one worker at once: one prefetched, one computed, two on their way out."""

_MOST_ITEMS = 4096
"""Of one task, so that progress is seen and workers end together."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the scheduler holds to."""

    item_bytes: int
    """Bytes that one item holds, at most."""
    per_task: int
    """Items of one task."""
    available: int
    """Bytes that all tasks under way may hold."""
    workers: int

    @property
    def in_flight(self) -> int:
        """Bytes under way when every worker has all the tasks it may have."""
        most = self.workers * DEPTH * self.per_task * self.item_bytes
        one = self.per_task * self.item_bytes
        return max(min(most, self.available // one * one), self.item_bytes)


def pipeline(stage: Stage, memory: int, workers: int, policy: str) -> Pipeline:
    """Cut a stage into tasks that fit the memory it may hold.

    Parameters
    ----------
    stage : Stage
    memory : int
        Bytes of the budget that nothing else of the run holds.
    workers : int
    policy : {"resident", "stream"}
        What is resident is not in flight: only fairness bounds its tasks.
    """
    item_bytes = max(item_cost(stage).total, 1)
    available = max(memory, item_bytes)
    blocks = sum(isinstance(write, Blocks) for write in stage.writes)
    arrays = max(len(stage.reads) + blocks, 1)
    unit = work_unit(available, workers, arrays)
    # Enough tasks that all workers end together, even when the whole is small.
    fair = max(stage.grid.size // (workers * 16), 1)
    fitting = available if policy == "resident" else unit * arrays
    per_task = max(min(fitting // item_bytes, fair, _MOST_ITEMS), 1)
    return Pipeline(item_bytes, per_task, available, workers)
