"""What this machine, and the control groups this process is in, let a run use; it sets nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..plan import OnError

__all__ = ["Limits", "default_memory", "default_workers", "room"]

_ROOT = ""
"""Put before the path of every file that is looked at."""
_UNLIMITED = 1 << 60
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


def room() -> int:
    """Bytes that could be held now: what the machine has available, within every cgroup's limit.

    For each memory cgroup up the tree, its limit less what cannot be dropped there: anonymous
    and shared memory, and pages that are dirty or being written.
    """
    available = _meminfo("MemAvailable")
    limits = [limit - used for limit, used in _memory_groups()]
    return max(min([available, *limits]), 0)


def default_memory() -> int:
    """Half of `room`: the other half is for what the caller does besides."""
    return room() // 2


def default_workers() -> int:
    """As many as processors: this process's affinity, its CPU quota, what memory has room for."""
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:
        processors = os.cpu_count() or 1
    fitting = room() // (2 * _WORKER_BYTES)
    return max(min(processors, _quota(), fitting), 1)


def _read(path: str) -> str:
    with contextlib.suppress(OSError), open(_ROOT + path) as stream:
        return stream.read()
    return ""


def _meminfo(name: str) -> int:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 1 << 30


def _groups() -> dict[str, str]:
    """Path of this process in each cgroup hierarchy, by controller; the unified one as ``""``."""
    found = {}
    for line in _read("/proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            found[name] = path
    return found


def _up(root: str, path: str) -> Iterator[str]:
    """The folder of a group and of each above it; inside a container only the mounted part."""
    folder = os.path.join(root, path.lstrip("/")).rstrip("/")
    if not os.path.isdir(_ROOT + folder):
        folder = root
    while folder.startswith(root):
        yield folder
        if folder == root:
            return
        folder = os.path.dirname(folder)


def _memory_groups() -> Iterator[tuple[int, int]]:
    groups = _groups()
    if "memory" in groups:
        for folder in _up("/sys/fs/cgroup/memory", groups["memory"]):
            limit = _read(f"{folder}/memory.limit_in_bytes").strip()
            names = ("total_rss", "total_shmem", "total_dirty", "total_writeback")
            if limit and int(limit) < _UNLIMITED:
                yield int(limit), _stat(f"{folder}/memory.stat", names)
    elif "" in groups:
        for folder in _up("/sys/fs/cgroup", groups[""]):
            limit = _read(f"{folder}/memory.max").strip()
            names = ("anon", "shmem", "file_dirty", "file_writeback")
            if limit and limit != "max":
                yield int(limit), _stat(f"{folder}/memory.stat", names)


def _stat(path: str, names: tuple[str, ...]) -> int:
    total = 0
    for line in _read(path).splitlines():
        name, _, value = line.partition(" ")
        if name in names:
            total += int(value)
    return total


def _quota() -> int:
    """Processors that the CPU cgroups allow, rounded up."""
    groups, allowed = _groups(), 1 << 20
    if "cpu" in groups:
        for folder in _up("/sys/fs/cgroup/cpu", groups["cpu"]):
            quota = _read(f"{folder}/cpu.cfs_quota_us").strip()
            period = _read(f"{folder}/cpu.cfs_period_us").strip()
            if quota and period and int(quota) > 0:
                allowed = min(allowed, -(-int(quota) // int(period)))
    elif "" in groups:
        for folder in _up("/sys/fs/cgroup", groups[""]):
            quota, _, period = _read(f"{folder}/cpu.max").strip().partition(" ")
            if quota and quota != "max":
                allowed = min(allowed, -(-int(quota) // int(period)))
    return max(allowed, 1)
