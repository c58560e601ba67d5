"""What this machine, and the control groups this process is in, let a run use; it sets nothing."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Any

from ..pages.groups import machine_memory, memory_groups, processor_quota
from ..pages.tuning import DEFAULT, Tuning
from ..plan import OnError, Options

__all__ = ["Limits", "default_memory", "default_workers", "memory_of", "room", "workers_of"]

_WORKER_BYTES = 80 << 20
"""Interpreter, NumPy and numba of one worker, beside its share of the budget."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use, decided."""

    memory: int
    workers: int
    progress: bool | None = None
    durable: bool = False
    """Whether what is written must be on the disk when its stage ends."""
    drop: bool | None = None
    """Let go of cached pages behind the run; None: when it streams."""
    on_error: OnError = "raise"
    fill_value: Any = None
    lock: bool | None = None
    stop: threading.Event | None = None
    """Set by somebody else: the run stops as after Ctrl-C, and raises CancelledError."""
    tuning: Tuning = DEFAULT


def room() -> int:
    """Bytes that could be held now: what the machine has available, within every cgroup's limit.

    For each memory cgroup up the tree, its limit less what cannot be dropped there: anonymous
    and shared memory, and pages that are dirty or being written.
    """
    limits = [limit - held for limit, held in memory_groups()]
    return max(min([machine_memory(), *limits]), 0)


def default_memory() -> int:
    """Half of `room`: the other half is for what the caller does besides."""
    return room() // 2


def memory_of(options: Options) -> int:
    """Bytes that a run with these options may hold."""
    return default_memory() if options.memory is None else options.memory


def default_workers() -> int:
    """As many as processors: this process's affinity, its CPU quota, what memory has room for."""
    try:
        processors = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        processors = os.cpu_count() or 1
    fitting = room() // (2 * _WORKER_BYTES)
    return max(min(processors, processor_quota(), fitting), 1)


def workers_of(options: Options) -> int:
    """How many workers a run with these options has."""
    return default_workers() if options.workers is None else options.workers
