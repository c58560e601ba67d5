"""What a run holds in memory and has used of the processors, read from /proc; it limits nothing.

Held is what cannot be dropped without writing or losing it: anonymous memory, shared memory,
and of files whichever is more, the pages that are mapped or those that are still to be
written; summed over processes, less what the same sum was before the run.  Pages that two
processes map count in both, so the number errs upwards, never down.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple

__all__ = ["ALLOWANCE", "HeldMemory", "cpu_seconds", "family", "own_bytes"]

ALLOWANCE = 80 << 20
"""Bytes of interpreter and libraries that each process may hold beside the budget."""

_TICKS = os.sysconf("SC_CLK_TCK")


class _Pages(NamedTuple):
    """Bytes of one process, or of several."""

    anonymous: int = 0
    shared: int = 0
    mapped: int = 0


class HeldMemory:
    """Samples what this process and others hold, from now on, until stopped.

    Parameters
    ----------
    pids : iterable of int
        Other processes of the run; their children, and children of those, are found.
    interval : float
        Seconds between samples, once `start` was called or a ``with`` block entered.
    children : bool
        Whether all processes that this one has started, or starts later, count too.

    Attributes
    ----------
    now, peak : int
        Bytes held at the last sample, and the most at any sample; never below 0.
    processes : int
        How many processes were there at the last sample, this one included.

    Notes
    -----
    Processes that appear later count from 0: their interpreters are part of what is held, and
    what `ALLOWANCE` is for.  Bytes that are still to be written are known only for the whole
    control group or machine; `written` bounds how many of them can be the run's.

    Examples
    --------
    >>> with HeldMemory(interval=0.001) as held:
    ...     block = bytearray(b"x" * (64 << 20))
    >>> held.peak > len(block) // 2
    True
    """

    def __init__(
        self, pids: Iterable[int] = (), interval: float = 0.025, children: bool = False
    ) -> None:
        self.pids = {*pids, *([os.getpid()] if children else [])}
        self.interval = interval
        self.now = self.peak = 0
        self.written: int | None = None
        """Bytes that the run can have written so far; None: unknown."""
        self._samples = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._look_for_children()
        self._before = {pid: _pages(pid) for pid in self._all}
        self._shared_before = _shared_files()
        self._dirty_before = _unwritten()

    @property
    def processes(self) -> int:
        return len(self._all)

    def sample(self) -> int:
        """Take one sample; return the bytes that are held now."""
        if self._samples % 8 == 0:
            self._look_for_children()
        self._samples += 1
        anonymous = mapped = shared_sum = shared_most = 0
        for pid in self._all:
            before, found = self._before.get(pid, _Pages()), _pages(pid)
            anonymous += found.anonymous - before.anonymous
            mapped += found.mapped - before.mapped
            shared = max(found.shared - before.shared, 0)
            shared_sum += shared
            shared_most = max(shared_most, shared)
        # The processes share the same memory files: count those once, not in each that maps them.
        shared = min(max(_shared_files() - self._shared_before, shared_most), shared_sum)
        dirty = max(_unwritten() - self._dirty_before, 0)
        if self.written is not None:
            dirty = min(dirty, self.written)
        self.now = max(anonymous + shared + max(mapped, dirty), 0)
        self.peak = max(self.peak, self.now)
        return self.now

    def start(self) -> None:
        """Sample in a thread until `stop`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="oocarray-held", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Take a last sample and end the thread; harmless when there is none."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._stop.clear()

    def __enter__(self) -> HeldMemory:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while True:
            self.sample()
            if self._stop.wait(self.interval):
                self.sample()
                return

    def _look_for_children(self) -> None:
        self._all = {os.getpid(), *family(self.pids)}


def family(pids: Iterable[int]) -> set[int]:
    """Return the processes that exist of these, and their children, and the children of those.

    Examples
    --------
    >>> os.getpid() in family([os.getpid()])
    True
    """
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid in found or not os.path.exists(f"/proc/{pid}"):
            continue
        found.add(pid)
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                children = _read(f"/proc/{pid}/task/{thread}/children").split()
                waiting += [int(child) for child in children]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Seconds of processor time, user and system, of those processes that still exist.

    Examples
    --------
    >>> cpu_seconds([os.getpid()]) > 0
    True
    """
    ticks = 0
    for pid in pids:
        # The name, in parentheses, may hold spaces and parentheses itself.
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        if len(fields) > 12:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def own_bytes(pids: Iterable[int]) -> int:
    """Return bytes that processes have in memory, a page in several of them shared out fairly.

    Truer than the sum that `HeldMemory` takes, but the kernel walks all page tables for it.

    Examples
    --------
    >>> own_bytes([os.getpid()]) > 1 << 20
    True
    """
    total = 0
    for pid in pids:
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def _pages(pid: int) -> _Pages:
    values = {}
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"Rss"):
            name, number = line.split()[:2]
            values[name] = int(number) * 1024
    return _Pages(
        values.get(b"RssAnon:", 0), values.get(b"RssShmem:", 0), values.get(b"RssFile:", 0)
    )


def _shared_files() -> int:
    """Bytes of the memory files that this process has open, each counted once."""
    sizes = {}
    with contextlib.suppress(OSError):
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:"):
                    found = os.stat(int(fd))
                    sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())


def _unwritten() -> int:
    """Bytes of files that are dirty or being written: of the memory cgroup, else of the machine."""
    for path, names in _stat_files():
        rows = dict(line.split()[:2] for line in _read(path).splitlines() if line)
        if names[0] in rows:
            factor = 1024 if path == "/proc/meminfo" else 1
            return sum(int(rows.get(name, 0)) for name in names) * factor
    return 0


def _stat_files() -> list[tuple[str, tuple[bytes, bytes]]]:
    global _stats
    if _stats is None:
        _stats = []
        for line in _read("/proc/self/cgroup").decode().splitlines():
            _, controllers, path = line.split(":", 2)
            folder = path.strip("/")
            if "memory" in controllers.split(","):
                place = os.path.join("/sys/fs/cgroup/memory", folder, "memory.stat")
                _stats.append((place, (b"total_dirty", b"total_writeback")))
            elif not controllers and folder:
                place = os.path.join("/sys/fs/cgroup", folder, "memory.stat")
                _stats.append((place, (b"file_dirty", b"file_writeback")))
        _stats.append(("/proc/meminfo", (b"Dirty:", b"Writeback:")))
    return _stats


_stats: list[tuple[str, tuple[bytes, bytes]]] | None = None


def _read(path: str) -> bytes:
    with contextlib.suppress(OSError), open(path, "rb", buffering=0) as stream:
        return stream.read(1 << 20)
    return b""
