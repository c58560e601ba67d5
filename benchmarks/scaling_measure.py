"""Measures what the simulation of a cluster is told, and checks it against small real ones.

It cannot see what a large cluster adds: it has this machine's processes alone, and numbers of a
machine that others use too are too high rather than too low.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import queue
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .scaling_model import simulate

__all__ = ["check", "measure", "run_loop"]

_TASKS = 500
"""Enough that a hundredth of a millisecond per task is more than the clock's grain."""
_BLOCK = 0.02
_ROOM = 0.3
_CPU = (
    "scheduler_seconds_per_task",
    "scheduler_seconds_per_gather",
    "submit_seconds_per_task",
    "gather_seconds_per_result",
    "worker_seconds_per_task",
)
_STILL = {
    "block_seconds": _BLOCK,
    "block_bytes": 0.0,
    "block_skew": 0.0,
    "straggler_chance": 0.0,
    "pause_chance": 0.0,
    "fsync_seconds_per_task": 0.0,
    "worker_start_seconds": 0.0,
}
"""Sleeping tasks: nothing is computed, read or written."""


def nap(blob: bytes, seconds: float) -> float:
    """A task that does nothing for a while."""
    if seconds:
        time.sleep(seconds)
    return seconds


def run_loop(client: Any, tasks: int, seconds: float, ahead: int) -> float:
    """Hand out sleeping tasks as oocarray's coordinator does; seconds until the last answer."""
    over: queue.SimpleQueue[int] = queue.SimpleQueue()
    out: dict[int, Any] = {}
    name, first = f"nap-{time.monotonic_ns()}", 0
    blob = client.submit(bytes, 1000, pure=False)
    blob.result()
    began = time.perf_counter()
    while out or first < tasks:
        while first < tasks and len(out) < ahead:
            key = f"{name}-{first}"
            future = client.submit(nap, blob, seconds, pure=False, retries=3, key=key)
            out[first] = future
            future.add_done_callback(lambda _, first=first: over.put(first))
            first += 1
        out.pop(over.get()).result()
    return time.perf_counter() - began


# ---- measure -------------------------------------------------------------------------------------


def measure(path: Path, workers: tuple[int, ...] = (1, 2, 4)) -> None:
    """Measure what each task costs the client, the scheduler and a worker; write it into a file."""
    distributed: Any = importlib.import_module("distributed")
    from distributed.deploy.subprocess import SubprocessCluster

    found: dict[str, list[float]] = {}
    for count in workers:
        # A scheduler in a process of its own: in a LocalCluster its time is the client's too.
        began = time.perf_counter()
        start: Any = SubprocessCluster
        with (
            start(
                n_workers=count,
                worker_kwargs={"nthreads": 1},
                scheduler_kwargs={"dashboard": False},
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            client.wait_for_workers(count)
            found.setdefault("worker_start_seconds", []).append(time.perf_counter() - began)
            run_loop(client, 100, 0.0, 4 * count + 4)
            for name, value in _costs(client, 4 * count + 4).items():
                found.setdefault(name, []).append(value)
    facts = f"measured {datetime.date.today()}, distributed {distributed.__version__}, "
    facts += f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}, "
    facts += f"{', '.join(map(str, workers))} workers"
    entries = json.loads(path.read_text())
    for name, values in found.items():
        entries[name] |= {"value": float(f"{statistics.median(values):.3g}"), "from": facts}
    path.write_text(json.dumps(entries, indent=2) + "\n")


def _costs(client: Any, ahead: int) -> dict[str, float]:
    """CPU seconds of each part for each task, and of a hop, from how long answers take.

    The parts' shares are those of submitting all and then fetching all; what they are shares of is
    the whole loop, where messages come one by one and cost more.
    """
    whole = _Clocks(client)
    run_loop(client, _TASKS, 0.0, ahead)
    mine, scheduler, workers = whole.spent(_TASKS)
    name = f"cost-{time.monotonic_ns()}"
    blob = client.submit(bytes, 1000, pure=False)
    blob.result()
    clocks = _Clocks(client)
    futures = [
        client.submit(nap, blob, 0.0, pure=False, retries=3, key=f"{name}-{number}")
        for number in range(_TASKS)
    ]
    while not all(future.done() for future in futures):
        time.sleep(0.05)
    submit, placed, _ = clocks.spent(_TASKS)
    clocks = _Clocks(client)
    waits = []
    for future in futures:
        began = time.perf_counter()
        future.result()
        waits.append(time.perf_counter() - began)
    gather, served, _ = clocks.spent(_TASKS)
    # A quarter of the least that is left: what others do on this machine is no part of a hop.
    hop = max(float(min(waits)) - gather - served, 1e-4) / 4
    return {
        "scheduler_seconds_per_task": scheduler * placed / (placed + served),
        "scheduler_seconds_per_gather": scheduler * served / (placed + served),
        "submit_seconds_per_task": mine * submit / (submit + gather),
        "gather_seconds_per_result": mine * gather / (submit + gather),
        "worker_seconds_per_task": workers,
        "hop_seconds": hop,
    }


class _Clocks:
    """CPU time of client, scheduler and all workers since it was made."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._before = self._now()

    def _now(self) -> tuple[float, float, float]:
        workers = sum(self._client.run(time.process_time).values())
        return time.process_time(), self._client.run_on_scheduler(time.process_time), workers

    def spent(self, tasks: int) -> tuple[float, float, float]:
        """For each of so many tasks."""
        now = self._now()
        mine, scheduler, workers = ((b - a) / tasks for a, b in zip(self._before, now, strict=True))
        return mine, scheduler, workers


# ---- check ---------------------------------------------------------------------------------------


def check(
    inputs: Mapping[str, float],
    workers: tuple[int, ...] = (1, 2, 4, 8),
    sizes: tuple[int, ...] = (1, 5, 25),
    seconds: float = 3.0,
) -> int:
    """Print real runs of sleeping tasks beside simulated ones.

    1 if they are far apart, 2 if this machine is too small to tell.
    """
    distributed: Any = importlib.import_module("distributed")
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"LocalCluster, blocks that sleep {_BLOCK:g} s", title_justify="left")
    for name in (
        "workers",
        "blocks per task",
        "tasks",
        "real",
        "simulated",
        "real / simulated",
        "cores",
    ):
        table.add_column(name, justify="right")
    ratios = []
    cores = len(os.sched_getaffinity(0))
    each = sum(value for name, value in inputs.items() if name in _CPU)
    still = {**inputs, **_STILL}
    for count in workers:
        with (
            distributed.LocalCluster(
                n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            client.wait_for_workers(count)
            ahead = int(inputs["tasks_ahead_per_thread"] * count) + 4
            run_loop(client, 4 * count, 0.0, ahead)
            for size in sizes:
                tasks = max(round(seconds / (_BLOCK * size)) * count, count)
                real = run_loop(client, tasks, _BLOCK * size, ahead)
                found = simulate(still, tasks * size, count, size, shared=True)["makespan"]
                busy = each * tasks / found / cores
                if busy < _ROOM:
                    ratios.append(real / found)
                texts: tuple[str, ...] = (f"{real:.2f} s", f"{found:.2f} s", f"{real / found:.2f}")
                texts += (f"{100 * busy:.0f} %" + (" *" if busy >= _ROOM else ""),)
                table.add_row(str(count), str(size), str(tasks), *texts)
    console = Console(width=100, highlight=False)
    console.print(table)
    if not ratios:
        console.print(
            "All of it is too much for this machine: the model was compared with nothing."
        )
        return 2
    middle, worst = statistics.median(ratios), max(ratios, key=lambda r: max(r, 1 / r))
    console.print(
        f"cores: what all processes need of the {cores} here; where that is {100 * _ROOM:.0f} % or "
        f"more (*), the machine is too small to tell. Load {os.getloadavg()[0]:.1f}."
    )
    console.print(f"median of real / simulated {middle:.2f}, farthest {worst:.2f}")
    return 0 if 0.5 < middle < 2 else 1
