"""The tasks of a stage in the order in which workers take them; it counts, and holds no list."""

from __future__ import annotations

import itertools

from ..plan import Task

__all__ = ["TASK_SECONDS", "TaskQueue"]

TASK_SECONDS = 0.5
"""A task of several blocks is to take about so long, at most."""


class TaskQueue:
    """Ranges of items, cut on demand.

    Parameters
    ----------
    stage : int
    items : int
        Number of items of the stage.
    per_task : int
        Items of one task.
    workers : int
    apart : bool
        Give each worker a stretch of its own (its page tables know it from the last run), and
        let who is done early take from the end of the longest one.  Otherwise all take from the
        front, so that the files are read forward.
    unknown : bool
        An item may take long: cut tasks of one item until `pace` has been told.

    Examples
    --------
    >>> queue = TaskQueue(0, 5, 2, workers=2, apart=False)
    >>> [(task.first, task.count) for task in map(queue.take, (0, 1, 0))]
    [(0, 2), (2, 2), (4, 1)]
    """

    __slots__ = ("_most", "_per_task", "_stage", "_stretches")

    def __init__(
        self,
        stage: int,
        items: int,
        per_task: int,
        workers: int,
        apart: bool,
        unknown: bool = False,
    ) -> None:
        self._stage, self._most = stage, per_task
        self._per_task = 1 if unknown else per_task
        pieces = workers if apart else 1
        tasks = -(-items // per_task)
        edges = [min(tasks * piece // pieces * per_task, items) for piece in range(pieces + 1)]
        self._stretches = [[start, stop] for start, stop in itertools.pairwise(edges)]

    def __bool__(self) -> bool:
        return any(start < stop for start, stop in self._stretches)

    def _choose(self, worker: int) -> tuple[list[int], Task] | None:
        own = self._stretches[worker % len(self._stretches)]
        if own[0] < own[1]:
            count = min(self._per_task, own[1] - own[0])
            return own, Task(self._stage, own[0], count)
        longest = max(self._stretches, key=lambda stretch: stretch[1] - stretch[0])
        left = longest[1] - longest[0]
        if not left:
            return None
        count = left % self._per_task or self._per_task
        return longest, Task(self._stage, longest[1] - count, count)

    def pace(self, seconds: float) -> None:
        """An item takes so long: cut tasks that end soon, for progress and Ctrl-C."""
        self._per_task = max(min(int(TASK_SECONDS / seconds), self._most), 1)

    def peek(self, worker: int) -> Task | None:
        """The task that `take` would return; None when there is none."""
        choice = self._choose(worker)
        return None if choice is None else choice[1]

    def take(self, worker: int) -> Task | None:
        """Take the next task for a worker."""
        choice = self._choose(worker)
        if choice is None:
            return None
        stretch, task = choice
        if task.first == stretch[0]:
            stretch[0] += task.count
        else:
            stretch[1] -= task.count
        return task
