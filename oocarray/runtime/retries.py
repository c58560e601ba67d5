"""Which items of a stage have cost a worker its life, and what is to be handed out again.

Numbers only: it knows no process and runs nothing.  An item that was being worked on when a
worker died is suspected.  It is handed out again with nothing beside it on its worker, the
last time with nothing beside it on any, so that three strikes are its own.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

from ..plan import Task
from .beats import Beat

__all__ = ["STRIKES", "How", "Lost", "Order", "Retries", "sort_out"]

STRIKES = 3
"""So many workers may end at one item."""

How = Literal["", "again", "give up"]


class Order(NamedTuple):
    """A task, and how it is to be done."""

    task: Task
    how: How = ""
    """``"again"``: it may have been begun before, its outputs are cleared first; ``"give up"``:
    so often that its function is not called any more."""
    alone: bool = False
    """Whether its worker gets nothing beside it."""


class Lost(NamedTuple):
    """What a worker left behind that died."""

    done: tuple[Order, ...]
    """Computed, and not answered for."""
    running: int | None
    """The item that it was at."""
    waiting: tuple[Order, ...]
    """Not begun."""

    def __bool__(self) -> bool:
        """Whether it had anything; the item that it was at may be number 0."""
        return bool(self.done or self.waiting) or self.running is not None


def sort_out(orders: Sequence[Order], beat: Beat) -> Lost:
    """Tell what of a dead worker's tasks was done, from what it noted last.

    Parameters
    ----------
    orders : sequence of Order
        Not answered, in the order in which the worker got them, which is that of its work.
    beat : Beat
        Of the same job, else of item -1.

    Examples
    --------
    >>> orders = [Order(Task(0, 0, 2)), Order(Task(0, 2, 3)), Order(Task(0, 5, 1))]
    >>> lost = sort_out(orders, Beat(0, item=3))
    >>> [order.task[1:] for order in lost.done], lost.running
    ([(0, 2), (2, 1)], 3)
    >>> [order.task[1:] for order in lost.waiting]
    [(4, 1), (5, 1)]
    """
    for at, (task, how, alone) in enumerate(orders):
        if not task.first <= beat.item < task.first + task.count:
            continue
        before = [*orders[:at], *_part(task, task.first, beat.item, how, alone)]
        if beat.ended:
            before += _part(task, beat.item, beat.item + 1, how, alone)
        stop = task.first + task.count
        after = [*_part(task, beat.item + 1, stop, how, alone), *orders[at + 1 :]]
        return Lost(tuple(before), None if beat.ended else beat.item, tuple(after))
    return Lost((), None, tuple(orders))


def _part(task: Task, first: int, stop: int, how: How, alone: bool) -> list[Order]:
    return [Order(Task(task.stage, first, stop - first), how, alone)] if first < stop else []


class Retries:
    """Strikes, and tasks that wait to be done again.

    Parameters
    ----------
    job : int
        Number of the tasks' stage.
    workers : int
    """

    def __init__(self, job: int, workers: int) -> None:
        self._job = job
        # Every worker may end once at something that is no item's fault, and then some more.
        self._most_idle = workers + 3 * STRIKES
        self._again: deque[Order] = deque()
        self._suspects: deque[Order] = deque()
        self.strikes: Counter[int] = Counter()
        self.idle = 0
        """Deaths at no item, in a row."""

    def __bool__(self) -> bool:
        return bool(self._again or self._suspects)

    @property
    def hopeless(self) -> bool:
        """Whether workers end one after the other without having begun anything."""
        return self.idle > self._most_idle

    def take_back(self, lost: Lost, beat: Beat) -> int | None:
        """Note what is to be done again; return an item that has had its last strike.

        What is returned is not among what is to be done again; see `give_up`.
        """
        again = [order._replace(how=order.how or "again", alone=False) for order in lost.done]
        again += [order._replace(alone=False) for order in lost.waiting]
        suspects = []
        if lost.running is not None:
            suspects.append(Order(Task(self._job, lost.running, 1), "again", alone=True))
        for order in again:
            if beat.pages >= 0 and not beat.binding and order.task.first == beat.pages:
                # It may have been the other thread's doing.
                suspects.append(order._replace(alone=True))
                again.remove(order)
                break
        self.idle = 0 if suspects else self.idle + 1
        condemned = None
        for order in suspects:
            first = order.task.first
            self.strikes[first] += 1
            if self.strikes[first] < STRIKES or condemned is not None:
                self._suspects.append(order)
                continue
            condemned = first
            stop = first + order.task.count
            again += _part(order.task, first + 1, stop, order.how, False)
        self._again.extend(again)
        return condemned

    def give_up(self, item: int) -> bool:
        """Hand an item out once more, not to be computed; False if not even that is survived."""
        self._again.append(Order(Task(self._job, item, 1), "give up"))
        return self.strikes[item] < 2 * STRIKES

    def next(self, idle: bool, all_idle: bool) -> tuple[Order | None, bool]:
        """What a worker could have, and whether it may have something else instead.

        Parameters
        ----------
        idle : bool
            Whether the worker holds nothing.
        all_idle : bool
            Whether no worker holds anything.
        """
        if self._suspects:
            suspect = self._suspects[0]
            if self.last_try(suspect):
                return (suspect if all_idle else None), False
            if idle:
                return suspect, False
        return (self._again[0] if self._again else None), True

    def last_try(self, order: Order) -> bool:
        """Whether one more death at it is the last."""
        return self.strikes[order.task.first] >= STRIKES - 1

    def take(self, order: Order) -> bool:
        """Hand out what `next` has said; False if that was not it."""
        for waiting in (self._suspects, self._again):
            if waiting and waiting[0] is order:
                waiting.popleft()
                return True
        return False
