"""The loop of one stage: hands out tasks, hears answers, deals with death and Ctrl-C.

It turns whatever goes wrong into one exception for the caller.  What becomes of answers is
not its business, and it computes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import Any

from ..errors import WorkerDiedError
from ..plan import Stage
from .beats import Beat
from .causes import Causes
from .failures import Changes, block_failed, death_error, raised_error
from .handing import Handing
from .interrupts import Interrupts, Terminated
from .job import Answer, Died
from .limits import Limits
from .pool import Pool

__all__ = ["StageLoop"]

log = logging.getLogger("oocarray")

_GRACE_SECONDS = 5.0
"""How long running blocks may go on after Ctrl-C, or a failure while an array is updated."""
_SHORT_GRACE_SECONDS = 0.5
"""The same after another failure: what they make is thrown away."""


class StageLoop:
    """One stage, whose pool has been started.

    Parameters
    ----------
    stage : Stage
    job : int
        Its number.
    pool : Pool
    limits : Limits
    handing : Handing
        Its tasks.
    causes : Causes
        What was known before.
    done : callable
        Called with each `Answer` to a task that went well.
    say : callable
        Called with whatever else workers say; with None when time goes by.
    """

    def __init__(
        self,
        stage: Stage,
        job: int,
        pool: Pool,
        limits: Limits,
        handing: Handing,
        causes: Causes,
        done: Callable[[Answer], None],
        say: Callable[[Any], object],
    ) -> None:
        self.stage, self.job, self.pool, self.limits = stage, job, pool, limits
        self.handing, self.causes, self._done, self._say = handing, causes, done, say
        self.changes = Changes(stage) if stage.in_place else None
        self.stopped = False
        self.failure: BaseException | None = None
        self._items = 0
        self._given_up: dict[int, str] = {}

    def run(self) -> None:
        """Work until all tasks are done.

        Raises
        ------
        Exception
            The first thing that went wrong; nothing runs any more.
        """
        with Interrupts(self.pool.held) as interrupts:
            self._go(interrupts)
        if self.failure is not None:
            raise self.failure
        if self._items != self.stage.grid.size:
            # Rather no result than one with a hole.
            raise AssertionError(
                f"{self.stage.label!r}: {self._items} of {self.stage.grid.size} blocks were done"
            )

    def _go(self, interrupts: Interrupts) -> None:
        stop = self.limits.stop
        try:
            while True:
                interrupts.check()
                if stop is not None and stop.is_set():
                    raise CancelledError(f"{self.stage.label!r} was stopped")
                if not self.stopped:
                    for worker, order in self.handing.give():
                        self.pool.submit(worker, order.task, order.how)
                if not self.handing.busy and (self.stopped or not self.handing.waiting):
                    break
                messages = self.pool.wait(0.2)
                self._hear(messages)
                if self.failure is not None and not self.stopped:
                    self._stop(self._grace(), self.failure)
                if not messages:
                    # Observers learn that time goes by, however long one block takes.
                    self._say(None)
        except (KeyboardInterrupt, Terminated, CancelledError) as error:
            self._stop(_GRACE_SECONDS, error)
            raise
        except BaseException as error:
            self._stop(self._grace(), error)
            raise

    def _hear(self, messages: Iterable[Any]) -> None:
        for message in messages:
            try:
                if isinstance(message, Answer):
                    self._answered(message)
                elif isinstance(message, Died):
                    self._died(message)
                else:
                    self._say(message)
            except Exception as error:
                # A warning that the caller made an error, say: the other messages still count.
                self.failure = self.failure or error

    def _answered(self, answer: Answer) -> None:
        task, failure = answer.task, answer.failure
        if task.stage == self.job and task.first < 0:
            # The worker could not even begin.
            self.handing.lost(answer.worker, Beat())
        else:
            order = self.handing.answered(answer.worker, task, answer.seconds)
            if order is None or answer.cancelled:
                return
            if order.how == "give up" and answer.failed:
                why = self._given_up[task.first]
                answer = replace(answer, failed=((answer.failed[0][0], why),))
            if self.changes is not None and failure is not None:
                self.changes.failed(failure, task.first, task.count)
        if failure is not None:
            # The first counts; the others follow from it, or will come again.
            self.failure = self.failure or raised_error(failure)
            return
        self._well(answer)

    def _well(self, answer: Answer) -> None:
        self._items += answer.task.count
        if self.changes is not None:
            self.changes.wholly(answer.task.first, answer.task.count)
        self._done(answer)

    def _died(self, death: Died) -> None:
        lost = self.handing.lost(death.worker, death.beat)
        torn = False
        if self.changes is not None:
            # What is in the page cache is there, whoever put it there.
            if self.changes.computed(order.task for order in lost.done):
                for order in lost.done:
                    self._well(Answer(death.worker, order.task))
            else:
                torn = bool(lost.done)
            lost = lost._replace(done=())
            if lost.running is not None:
                self.changes.torn.add(lost.running)
                torn = True
        if self.stopped or not (self.handing.busy or self.handing.waiting or lost or torn):
            return
        error = death_error(death, self.stage, self.job, self.causes)
        if torn:
            self.failure = self.failure or error
            return
        retries = self.handing.retries
        condemned = retries.take_back(lost, death.beat if death.beat.job == self.job else Beat())
        if condemned is not None:
            self._condemn(condemned, error)
        elif retries.hopeless:
            self.failure = self.failure or error
        if self.failure is None:
            log.warning("%s; what it had is done again", error)
            if self.handing.uses(death.worker):
                self.pool.revive(death.worker)

    def _condemn(self, item: int, error: WorkerDiedError) -> None:
        """An item has had its last try."""
        if self.limits.on_error != "raise" and self.handing.retries.give_up(item):
            self._given_up[item] = f"{type(error).__name__}: {error}"
        else:
            self.failure = self.failure or block_failed(error, self.stage, item)

    def _grace(self) -> float:
        # Blocks that are half updated had better be finished.
        return _GRACE_SECONDS if self.stage.in_place else _SHORT_GRACE_SECONDS

    def _stop(self, grace: float, error: BaseException) -> None:
        """Run no more tasks; wait for those that run, then end their workers.

        What an update in place has changed by then is said in `error`.
        """
        self.stopped = True
        self.pool.cancel()
        limit = time.monotonic() + grace
        try:
            while self.handing.busy and time.monotonic() < limit:
                self._hear(self.pool.wait(0.05))
        finally:
            late = self.handing.busy
            for death in self.pool.kill(late) if late else ():
                self._died(death)
            for worker in late:
                self.handing.lost(worker, Beat())
            if self.changes is not None:
                self.changes.tell(error)
