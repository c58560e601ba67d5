"""How much of a stage is under way at once: items per task, tasks per worker; pure numbers."""

from __future__ import annotations

from dataclasses import dataclass

from ..estimate import item_cost, kept_bytes, resident_bytes
from ..pages.residency import Residency, choose_residency, work_unit
from ..pages.tuning import DEFAULT
from ..plan import Blocks, Plan, Stage
from .limits import Limits

__all__ = ["DEPTH", "Forecast", "Pipeline", "forecast", "pipeline"]

DEPTH = 4
"""Tasks of one worker at once: one prefetched, one computed, two on their way out."""

_MOST_ITEMS = 4096
"""Of one task, so that progress is seen and workers end together."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the scheduler holds to."""

    item_bytes: int
    """Bytes that one item holds from when it is brought in until it is written, at most."""
    per_task: int
    """Items of one task."""
    available: int
    """Bytes that all tasks under way may hold."""
    workers: int
    """How many work: as many as can each hold an item at the same time."""
    standing: int = 0
    """Bytes that each of them holds besides, at most."""

    @property
    def least(self) -> int:
        """Bytes that one worker with one item at a time needs."""
        return self.item_bytes + self.standing

    @property
    def in_flight(self) -> int:
        """Bytes held when every worker has all the tasks it may have."""
        one = self.per_task * self.item_bytes
        most = self.workers * DEPTH * one
        passing = max(min(most, self.available // one * one), self.item_bytes)
        return passing + self.workers * self.standing


def pipeline(
    stage: Stage,
    memory: int,
    workers: int,
    policy: str,
    largest: int = DEFAULT.unit,
    separate: bool = False,
    arguments: int = 0,
) -> Pipeline:
    """Cut a stage into tasks that fit the memory it may hold, for as many workers as fit it.

    Parameters
    ----------
    stage : Stage
    memory : int
        Bytes of the budget that nothing else of the run holds.
    workers : int
        As many as there may be.
    policy : {"resident", "stream"}
        What is resident is not in flight: only fairness bounds its tasks.
    largest : int
        Most bytes of one array that a task works on.
    separate : bool
        Workers are other processes.
    arguments : int
        Bytes of the arguments of functions, where more is known than `item_cost` can see.
    """
    cost = item_cost(stage, separate)
    item_bytes = max(cost.passing, 1)
    standing = cost.standing + max(arguments - cost.arguments, 0)
    if policy == "stream":
        workers = max(min(memory // (item_bytes + standing), workers), 1)
        memory -= workers * standing
    available = max(memory, item_bytes)
    blocks = sum(isinstance(write, Blocks) for write in stage.writes)
    arrays = max(len(stage.reads) + blocks, 1)
    unit = work_unit(available, workers, arrays, largest)
    # Enough tasks that all workers end together, even when the whole is small.
    fair = max(stage.grid.size // (workers * 16), 1)
    fitting = available if policy == "resident" else unit * arrays
    per_task = max(min(fitting // item_bytes, fair, _MOST_ITEMS), 1)
    return Pipeline(item_bytes, per_task, available, workers, standing)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a plan will hold in memory, and who will work on it."""

    residency: Residency
    kept: int
    """Bytes of results and copies, from when they are made to the end of the run."""
    stages: tuple[Pipeline, ...]
    peaks: tuple[int, ...]
    """Most bytes that each stage holds, with what is kept."""

    @property
    def workers(self) -> int:
        """As many as can ever work at the same time."""
        return max((tasks.workers for tasks in self.stages), default=1)


def forecast(plan: Plan, limits: Limits, separate: bool) -> Forecast:
    """Say how a plan will be run.

    Parameters
    ----------
    plan : Plan
    limits : Limits
    separate : bool
        Workers are other processes.
    """
    needed = resident_bytes(plan, limits.workers, separate)
    residency = choose_residency(needed, limits.memory)
    kept = kept_bytes(plan, separate)
    stages, peaks = [], []
    for stage in plan.stages:
        tasks = pipeline(
            stage,
            limits.memory - kept,
            limits.workers,
            residency.policy,
            limits.tuning.unit,
            separate,
        )
        stages.append(tasks)
        if residency.policy == "resident":
            peaks.append(resident_bytes(Plan((stage,)), limits.workers, separate))
        else:
            all_items = stage.grid.size * tasks.item_bytes + tasks.workers * tasks.standing
            peaks.append(min(tasks.in_flight, all_items) + kept)
    return Forecast(residency, kept, tuple(stages), tuple(peaks))
