"""What the machine and the control groups this process is in have left; it sets nothing.

Only numbers are read, from /proc and /sys; what they mean for a run others decide.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

__all__ = ["machine_memory", "memory_groups", "memory_kills", "processor_quota", "shared_room"]

_ROOT = ""
"""Put before the path of every file that is looked at."""
_UNLIMITED = 1 << 60


def machine_memory() -> int:
    """Bytes that the whole machine has available; where it does not say, all it has."""
    found = _meminfo("MemAvailable")
    if found is not None:
        return found
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 1 << 30


def memory_groups() -> Iterator[tuple[int, int]]:
    """For each memory group up the tree that has a limit: the limit, and what is held of it.

    Held is what cannot be dropped: anonymous and shared memory, pages dirty or being written.
    """
    for limit, held, _ in _groups():
        yield limit, held


def shared_room() -> int:
    """Bytes that shared memory (a file on tmpfs, say) can still take, swap space included.

    More than that, and the kernel kills a process of the group instead of refusing the write.
    """
    swap = _meminfo("SwapFree") or 0
    rooms = [machine_memory() + swap]
    rooms += [limit - held + min(swap, swappable) for limit, held, swappable in _groups()]
    return max(min(rooms), 0)


def processor_quota() -> int:
    """Processors that the CPU groups allow, rounded up."""
    paths, allowed = _paths(), 1 << 20
    if "cpu" in paths:
        for folder in _up("/sys/fs/cgroup/cpu", paths["cpu"]):
            quota = _read(f"{folder}/cpu.cfs_quota_us").strip()
            period = _read(f"{folder}/cpu.cfs_period_us").strip()
            if quota and period and int(quota) > 0:
                allowed = min(allowed, -(-int(quota) // int(period)))
    elif "" in paths:
        for folder in _up("/sys/fs/cgroup", paths[""]):
            quota, _, period = _read(f"{folder}/cpu.max").strip().partition(" ")
            if quota and quota != "max":
                allowed = min(allowed, -(-int(quota) // int(period)))
    return max(allowed, 1)


def memory_kills() -> tuple[int, int | None]:
    """Count of processes that the kernel has ended for want of memory, and the least limit.

    Counted in this process's own memory group and those above it; where none of them has a
    limit (None), on the whole machine.
    """
    paths = _paths()
    limit = min((limit for limit, _, _ in _groups()), default=None)
    if limit is None:
        return _stat("/proc/vmstat", ("oom_kill",)), None
    old = "memory" in paths
    root, name = ("/memory", "memory.oom_control") if old else ("", "memory.events")
    folders = _up(f"/sys/fs/cgroup{root}", paths["memory" if old else ""])
    return sum(_stat(f"{folder}/{name}", ("oom_kill",)) for folder in folders), limit


def _groups() -> Iterator[tuple[int, int, int]]:
    """Limit, held bytes and bytes that may still be swapped out, of each memory group."""
    paths = _paths()
    if "memory" in paths:
        names = ("total_rss", "total_shmem", "total_dirty", "total_writeback")
        for folder in _up("/sys/fs/cgroup/memory", paths["memory"]):
            limit = _number(f"{folder}/memory.limit_in_bytes")
            if limit is None or limit >= _UNLIMITED:
                continue
            both = _number(f"{folder}/memory.memsw.limit_in_bytes")
            swapped = _stat(f"{folder}/memory.stat", ("total_swap",))
            swappable = _UNLIMITED if both is None else max(both - limit - swapped, 0)
            yield limit, _stat(f"{folder}/memory.stat", names), swappable
    elif "" in paths:
        names = ("anon", "shmem", "file_dirty", "file_writeback")
        for folder in _up("/sys/fs/cgroup", paths[""]):
            limit = _number(f"{folder}/memory.max")
            if limit is None:
                continue
            most = _number(f"{folder}/memory.swap.max")
            swapped = _number(f"{folder}/memory.swap.current") or 0
            swappable = _UNLIMITED if most is None else max(most - swapped, 0)
            yield limit, _stat(f"{folder}/memory.stat", names), swappable


def _read(path: str) -> str:
    with contextlib.suppress(OSError), open(_ROOT + path) as stream:
        return stream.read()
    return ""


def _number(path: str) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _meminfo(name: str) -> int | None:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return None


def _paths() -> dict[str, str]:
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


def _stat(path: str, names: tuple[str, ...]) -> int:
    total = 0
    for line in _read(path).splitlines():
        name, _, value = line.partition(" ")
        if name in names:
            total += int(value)
    return total
