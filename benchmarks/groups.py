"""Control groups for rivals: a memory limit, a CPU clock; says why where it may make none."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Group", "make_group"]

_SELF = Path("/proc/self")


class Group:
    """A memory cgroup, and where version 1 keeps it apart, one that counts CPU."""

    def __init__(self, memory: Path, version: int, clock: Path | None) -> None:
        self.memory, self.version, self.clock = memory, version, clock

    @property
    def folders(self) -> list[str]:
        """What a process has to enter."""
        return [str(self.memory), *([str(self.clock)] if self.clock and self.version == 1 else [])]

    def limit(self, count: int) -> None:
        """Allow `count` bytes, page cache included, and no swap beside them."""
        names = ("memory.max", "memory.swap.max")
        if self.version == 1:
            names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        (self.memory / names[0]).write_text(str(count))
        swap = self.memory / names[1]
        if swap.exists():
            with contextlib.suppress(OSError):
                swap.write_text(str(count) if self.version == 1 else "0")

    def cpu_seconds(self) -> float | None:
        """CPU time of all processes that were ever in it; None where nothing counts it."""
        if self.clock is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            if self.version == 1:
                return int((self.clock / "cpuacct.usage").read_text()) / 1e9
            rows = dict(row.split() for row in (self.clock / "cpu.stat").read_text().splitlines())
            return int(rows["usage_usec"]) / 1e6
        return None

    def unwritten(self) -> int | None:
        """Bytes of files that are dirty or being written; None where that is not told."""
        names = ("total_dirty", "total_writeback")
        if self.version == 2:
            names = ("file_dirty", "file_writeback")
        with contextlib.suppress(OSError, ValueError, KeyError):
            text = (self.memory / "memory.stat").read_text()
            rows = dict(row.split() for row in text.splitlines())
            return sum(int(rows[name]) for name in names)
        return None

    def oom_kills(self) -> int:
        """How many processes the kernel killed here for want of memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        with contextlib.suppress(OSError):
            rows = dict(row.split() for row in (self.memory / name).read_text().splitlines())
            return int(rows.get("oom_kill", 0))
        return 0

    def remove(self) -> None:
        """End what still runs inside, and remove the folders."""
        for folder in self.folders:
            _remove(Path(folder))


def _remove(folder: Path) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError):
            for pid in (folder / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # busy until the last process is gone
            time.sleep(0.05)
        else:
            return


def make_group(limit: int | None) -> Group | str:
    """Make a group below our own, with a limit of bytes or none; or say why that cannot be."""
    reason = "no memory cgroup is mounted, or none is handed down to this user"
    for parent, version in _parents("memory"):
        folder = parent / f"oocarray-bench-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            folder.mkdir()
        except OSError as error:
            reason = f"{error.strerror} in {parent}"
            continue
        group = Group(folder, version, folder if version == 2 else _clock(folder.name))
        try:
            if limit is not None:
                group.limit(limit)
        except OSError as error:
            group.remove()
            reason = f"{parent} takes no limit: {error.strerror}"
            continue
        return group
    return reason


def _clock(name: str) -> Path | None:
    for parent, version in _parents("cpuacct"):
        if version == 1:
            with contextlib.suppress(OSError):
                (parent / name).mkdir()
                return parent / name
    return None


def _parents(controller: str) -> Iterator[tuple[Path, int]]:
    """Folders in which a group may be asked for, the nearest to this process first."""
    try:
        rows = (_SELF / "cgroup").read_text().splitlines()
        mounts = (_SELF / "mounts").read_text().splitlines()
    except OSError:  # a kernel without them, or a sandbox that hides them
        return
    own = {names: path for _, names, path in (row.split(":", 2) for row in rows)}
    for line in mounts:
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup" and controller in options.split(","):
            version, name = 1, next((n for n in own if controller in n.split(",")), "")
        elif kind == "cgroup2":
            version, name = 2, ""
        else:
            continue
        # In a container the path may be the host's and not exist below the mount point.
        below = Path(point, own.get(name, "/").lstrip("/"))
        for folder in (below, *below.parents):
            if not folder.is_relative_to(point):
                break
            handed_down = folder / "cgroup.subtree_control"
            if version == 1 and folder.is_dir():
                yield folder, 1
            elif handed_down.exists() and controller in handed_down.read_text().split():
                yield folder, 2
