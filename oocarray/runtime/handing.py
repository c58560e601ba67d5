"""Who holds which task of a stage, and who gets the next; it counts, and talks to nobody."""

from __future__ import annotations

from collections.abc import Iterator

from ..plan import Task
from .beats import Beat
from .pipeline import Pipeline
from .queueing import TaskQueue
from .retries import Lost, Order, Retries, sort_out

__all__ = ["Handing"]


class Handing:
    """The tasks of one stage: waiting, under way, to be done again.

    Parameters
    ----------
    job : int
        Number of the tasks' stage.
    items : int
    tasks : Pipeline
        How many bytes may be under way at once, and how many workers get tasks.
    workers : int
        How many there are.
    depth : int
        How many tasks each of them may hold.
    apart : bool
        As of `TaskQueue`.
    unknown : bool
        As of `TaskQueue`.
    """

    def __init__(
        self,
        job: int,
        items: int,
        tasks: Pipeline,
        workers: int,
        depth: int,
        apart: bool,
        unknown: bool = False,
    ) -> None:
        self._job, self._tasks, self._depth = job, tasks, depth
        self._queue = TaskQueue(job, items, tasks.per_task, tasks.workers, apart, unknown)
        self.retries = Retries(job, tasks.workers)
        self._held: dict[int, list[Order]] = {worker: [] for worker in range(workers)}
        self._in_flight = 0

    @property
    def busy(self) -> list[int]:
        """Workers that hold tasks."""
        return [worker for worker, held in self._held.items() if held]

    @property
    def waiting(self) -> bool:
        """Whether there is more to be handed out."""
        return bool(self._queue) or bool(self.retries)

    def uses(self, worker: int) -> bool:
        """Whether a worker gets any tasks."""
        return worker < self._tasks.workers

    def give(self) -> Iterator[tuple[int, Order]]:
        """Hand out as much as may be under way now, a task to each worker in turn."""
        given = True
        while given:
            given = False
            # Who has least comes first: where few tasks fit, no worker shall wait for the others.
            for worker, held in sorted(self._held.items(), key=lambda pair: len(pair[1])):
                if not self.uses(worker) or len(held) >= self._depth or (held and held[0].alone):
                    continue
                order = self._next(worker, held)
                if order is None:
                    continue
                cost = order.task.count * self._tasks.item_bytes
                if self._in_flight and self._in_flight + cost > self._tasks.available:
                    return
                if not self.retries.take(order):
                    self._queue.take(worker)
                self._in_flight += cost
                held.append(order)
                given = True
                yield worker, order

    def _next(self, worker: int, held: list[Order]) -> Order | None:
        if self.retries.strikes and any(map(self._undisturbed, self._held.values())):
            return None
        if self.retries:
            order, other = self.retries.next(not held, not self.busy)
            if order is not None or not other:
                return order
        task = self._queue.peek(worker)
        return None if task is None else Order(task)

    def _undisturbed(self, held: list[Order]) -> bool:
        """Whether a worker is at the last try of an item, which has all the memory to itself."""
        return bool(held) and held[0].alone and self.retries.last_try(held[0])

    def answered(self, worker: int, task: Task, seconds: float = 0.0) -> Order | None:
        """A task has come back that took so long; None if the worker does not hold it."""
        held = self._held[worker]
        for order in held:
            if order.task == task:
                held.remove(order)
                self._in_flight -= task.count * self._tasks.item_bytes
                self.retries.idle = 0
                if seconds > 0:
                    self._queue.pace(seconds / task.count)
                return order
        return None

    def lost(self, worker: int, beat: Beat) -> Lost:
        """A worker has died, or could not begin: it holds nothing any more."""
        held = self._held[worker]
        lost = sort_out(held, beat if beat.job == self._job else Beat())
        self._in_flight -= sum(order.task.count for order in held) * self._tasks.item_bytes
        held.clear()
        return lost
