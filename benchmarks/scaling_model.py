"""Simulates a run of oocarray on a dask cluster, event by event; it starts no cluster itself.

One client hands out tasks of several blocks and fetches their answers one after the other, one
scheduler serves messages in the order in which they come, workers share a file system.  What is
left out: lost workers, retries, and stealing that costs something: a free worker gets the next
task that waits anywhere.
"""

from __future__ import annotations

import heapq
import json
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

__all__ = ["INPUTS", "read_inputs", "rule", "simulate"]

INPUTS = Path(__file__).with_name("scaling_inputs.json")
_AT_CLIENT, _AT_SCHEDULER, _AT_WORKER, _DISK, _OVER, _STARTED = range(6)
_SUBMITTED, _FINISHED, _GATHER = range(3)


def read_inputs(path: str | Path = INPUTS) -> dict[str, float]:
    """Numbers of a file of inputs, without where they come from.

    Raises
    ------
    ValueError
        One is missing or below 0.
    """
    found = json.loads(Path(path).read_text())
    numbers = {name: float(entry["value"]) for name, entry in found.items()}
    _check(numbers, str(path))
    return numbers


def _check(inputs: Mapping[str, float], where: str) -> None:
    needed = json.loads(INPUTS.read_text())
    lacking = [name for name in needed if name not in inputs]
    if lacking:
        raise ValueError(f"{where} lacks {', '.join(lacking)}")
    none = [name for name in inputs if "bytes_per_second" in name and not inputs[name] > 0]
    if none:
        raise ValueError(f"{where}: {', '.join(none)} must be above 0")
    low = [name for name, value in inputs.items() if not value >= 0]
    if low:
        raise ValueError(f"{where}: {', '.join(low)} must be at least 0")


def rule(inputs: Mapping[str, float], blocks: int, workers: int) -> int:
    """Blocks per task that oocarray takes where nothing has to be kept in memory."""
    from oocarray.runtime.remote.ranges import MOST, PER_THREAD

    by_bytes = int(blocks * inputs["block_bytes"]) // (256 << 20)
    pieces = max(PER_THREAD * workers, min(by_bytes, MOST), 1)
    return max(-(-blocks // min(pieces, MOST)), 1)


@dataclass
class _Work:
    """How long tasks take in workers: drawn once, the same for the same seed."""

    inputs: Mapping[str, float]
    blocks: int
    per_task: int
    workers: int
    rng: np.random.Generator
    tasks: int = field(init=False)

    def __post_init__(self) -> None:
        given = self.inputs
        self.tasks = -(-self.blocks // self.per_task)
        # Neighbours are alike, so the blocks of a task do not average out.
        alike = given["block_likeness"]
        spread = given["block_skew"] * math.sqrt(alike + (1 - alike) / self.per_task)
        sigma = math.sqrt(math.log1p(spread**2))
        self.factor = self.rng.lognormal(-(sigma**2) / 2, sigma, self.tasks)
        pauses = self.rng.random(self.tasks) < given["pause_chance"]
        self.pause = np.where(pauses, self.rng.exponential(given["pause_seconds"], self.tasks), 0.0)
        slow = self.rng.random(self.workers) < given["straggler_chance"]
        self.slow = np.where(slow, max(given["straggler_factor"], 1.0), 1.0)
        self.start = self.rng.random(self.workers) * given["worker_start_seconds"]

    def count(self, task: int) -> int:
        return min(self.per_task, self.blocks - task * self.per_task)

    def computing(self, task: int, worker: int) -> float:
        """Seconds in which a task computes."""
        each = self.inputs["block_seconds"] * float(self.factor[task]) * float(self.slow[worker])
        return each * self.count(task)

    def around(self, task: int, worker: int) -> float:
        """Seconds of a task beside those in which it computes, reads and writes at once."""
        given = self.inputs
        # The next block is read and the last one written while one is computed: one stands alone.
        alone = given["block_bytes"] / self.rate(1)
        alone = min(alone, self.computing(task, worker) / self.count(task))
        fixed = given["worker_seconds_per_task"] + given["fsync_seconds_per_task"]
        return alone + fixed + float(self.pause[task])

    def rate(self, active: int) -> float:
        """Bytes per second for each of so many workers."""
        each = self.inputs["disk_bytes_per_second_per_worker"]
        shared = self.inputs["disk_bytes_per_second"] / max(active, 1)
        # Not infinite: no time at infinite speed is no number.
        return min(each, shared, 1e30)

    def ideal(self) -> float:
        """Seconds if there were no overhead, no skew and no stragglers."""
        given = self.inputs
        moved = given["block_bytes"] / self.rate(self.workers)
        return max(given["block_seconds"], moved) * self.blocks / self.workers


class _Run:
    """One run; `go` may be called once."""

    def __init__(
        self, inputs: Mapping[str, float], work: _Work, workers: int, shared: bool
    ) -> None:
        self.given, self.work, self.workers = inputs, work, workers
        self.shared = shared
        """Whether client and scheduler are one process, as in a `LocalCluster`."""
        self.window = int(inputs["tasks_ahead_per_thread"] * workers) + 4
        self.wire = inputs["message_bytes"] / inputs["network_bytes_per_second"]
        self.events: list[tuple[float, int, int, int, int]] = []
        self.order = 0
        self.submitted = self.out = self.gathered = 0
        self.client_busy = False
        self.done: deque[int] = deque()
        self.scheduler_free = self.scheduler_spent = self.client_spent = self.client_began = 0.0
        self.idle: deque[int] = deque()
        self.waiting: deque[int] = deque()
        self.spent = np.zeros(workers)
        self.moving: list[tuple[float, int, int, float]] = []
        """Who uses the disk: bytes for each at which it is over, task, worker, end of computing."""
        self.moved = self.moved_at = 0.0
        """Bytes that whoever uses the disk has had since the beginning, and when that was so."""
        self.version = 0

    def at(self, when: float, what: int, one: int, kind: int = 0) -> None:
        self.order += 1
        heapq.heappush(self.events, (when, self.order, what, one, kind))

    def go(self) -> float:
        """Seconds until the client has the last answer."""
        for worker, start in enumerate(self.work.start):
            self.at(float(start), _STARTED, worker)
        now = 0.0
        self.client(now)
        while self.gathered < self.work.tasks:
            now, _, what, one, kind = heapq.heappop(self.events)
            if what == _AT_CLIENT:
                self.told(now, one, kind)
            elif what == _AT_SCHEDULER:
                self.schedule(now, one, kind)
            elif what == _AT_WORKER:
                self.waiting.append(one)
                self.begin(now)
            elif what == _DISK:
                if one == self.version:
                    self.disk(now)
            elif what == _OVER:
                self.over(now, one, kind)
            else:
                self.idle.append(one)
                self.begin(now)
        return now

    # The client's thread submits while there is room, and else waits for one answer at a time.

    def told(self, now: float, task: int, kind: int) -> None:
        if kind == _FINISHED:
            self.done.append(task)
            if not self.client_busy:
                self.client(now)
            return
        if kind == _GATHER:
            self.gathered += 1
            self.out -= 1
        self.client_busy = False
        self.client_spent += now - self.client_began
        self.client(now)

    def client(self, now: float) -> None:
        hop = self.given["hop_seconds"]
        if self.submitted < self.work.tasks and self.out < self.window:
            end = self.client_works(now, self.given["submit_seconds_per_task"])
            self.at(end, _AT_CLIENT, self.submitted, _SUBMITTED)
            self.at(end + hop, _AT_SCHEDULER, self.submitted, _SUBMITTED)
            self.submitted += 1
            self.out += 1
        elif self.done:
            end = self.client_works(now, self.given["gather_seconds_per_result"])
            self.at(end + hop, _AT_SCHEDULER, self.done.popleft(), _GATHER)

    def client_works(self, now: float, seconds: float) -> float:
        self.client_busy, self.client_began = True, now
        begin = max(now, self.scheduler_free) if self.shared else now
        end = begin + seconds + self.wire
        if self.shared:
            self.scheduler_free = end
        return end

    def schedule(self, now: float, task: int, kind: int) -> None:
        """Serve one message when those before it are served."""
        given = self.given
        if kind == _GATHER:
            seconds = given["scheduler_seconds_per_gather"]
        else:
            seconds = given["scheduler_seconds_per_task"] / 2
        end = max(now, self.scheduler_free) + seconds + self.wire
        self.scheduler_free = end
        self.scheduler_spent += seconds + self.wire
        hop = given["hop_seconds"]
        if kind == _SUBMITTED:
            self.at(end + hop, _AT_WORKER, task)
        elif kind == _FINISHED:
            self.at(end + hop, _AT_CLIENT, task, _FINISHED)
        else:
            # To the worker that has the answer, back, and on to the client.
            self.at(end + 3 * hop, _AT_CLIENT, task, _GATHER)

    def begin(self, now: float) -> None:
        if not (self.waiting and self.idle):
            return
        self.share(now)
        while self.waiting and self.idle:
            worker, task = self.idle.popleft(), self.waiting.popleft()
            self.spent[worker] -= now
            nbytes = self.given["block_bytes"] * self.work.count(task)
            computed = now + self.work.computing(task, worker)
            heapq.heappush(self.moving, (self.moved + nbytes, task, worker, computed))
        self.expect(now)

    # The disk serves all alike, so who began with fewest bytes to go in its count ends first.

    def share(self, now: float) -> None:
        self.moved += (now - self.moved_at) * self.work.rate(len(self.moving))
        self.moved_at = now

    def expect(self, now: float) -> None:
        """Foresee the next end of reading and writing; what was foreseen before is void."""
        self.version += 1
        if self.moving:
            left = max(self.moving[0][0] - self.moved, 0.0)
            self.at(now + left / self.work.rate(len(self.moving)), _DISK, self.version)

    def disk(self, now: float) -> None:
        # The one that was foreseen is over, whatever rounding says.
        self.share(now)
        self.moved = max(self.moved, self.moving[0][0])
        while self.moving and self.moving[0][0] <= self.moved:
            _, task, worker, computed = heapq.heappop(self.moving)
            end = max(now, computed) + self.work.around(task, worker)
            self.at(end, _OVER, task, worker)
        self.expect(now)

    def over(self, now: float, task: int, worker: int) -> None:
        self.spent[worker] += now
        self.at(now + self.given["hop_seconds"], _AT_SCHEDULER, task, _FINISHED)
        self.idle.append(worker)
        self.begin(now)


def simulate(
    inputs: Mapping[str, float],
    blocks: int,
    workers: int,
    blocks_per_task: int,
    *,
    seed: int = 0,
    shared: bool = False,
) -> dict[str, float]:
    """Simulate one stage.

    Parameters
    ----------
    inputs : mapping
        As `read_inputs` gives them.
    blocks, workers, blocks_per_task : int
        Workers have one thread each.
    seed : int
        Of what is drawn: skew, pauses, stragglers, starts.
    shared : bool
        Whether the scheduler lives in the client's process, as in a ``LocalCluster``.

    Returns
    -------
    dict
        `makespan` in seconds; `ideal` without overhead, skew and stragglers; `efficiency`, ideal
        by makespan; `scheduler_load` from 0 to 1, and `client_load`, which counts its wait for an
        answer that it fetches; `idle_p99` and `idle_median`, parts of the run in which a worker
        has nothing to do; `tasks`.

    Raises
    ------
    ValueError
        A count is below 1, or an input is missing.
    """
    if min(blocks, workers, blocks_per_task) < 1:
        raise ValueError(
            f"blocks={blocks}, workers={workers} and blocks_per_task={blocks_per_task} must each "
            "be at least 1"
        )
    _check(inputs, "inputs")
    work = _Work(inputs, blocks, blocks_per_task, workers, np.random.default_rng(seed))
    run = _Run(inputs, work, workers, shared)
    makespan = run.go()
    idle = 1 - run.spent / makespan
    return {
        "makespan": makespan,
        "ideal": work.ideal(),
        "efficiency": work.ideal() / makespan,
        "scheduler_load": min(run.scheduler_spent / makespan, 1.0),
        "client_load": min(run.client_spent / makespan, 1.0),
        "idle_median": float(np.median(idle)),
        "idle_p99": float(np.percentile(idle, 99)),
        "tasks": float(work.tasks),
    }
