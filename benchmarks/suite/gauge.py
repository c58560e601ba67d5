"""Reads what a control group holds, and its highest mark; limits nothing, None where not told."""

from __future__ import annotations

import contextlib

from ..groups import Group

__all__ = ["loaded_bytes", "peak_bytes", "reset_peak"]


def loaded_bytes(group: Group) -> int | None:
    """What programs hold that are loaded and idle: all but the page cache that is not mapped."""
    first = group.version == 1
    names = ("total_cache", "total_mapped_file", "total_shmem")
    names = names if first else ("file", "file_mapped", "shmem")
    with contextlib.suppress(OSError, ValueError, KeyError):
        text = (group.memory / "memory.stat").read_text()
        rows = dict(row.split() for row in text.splitlines())
        cache, mapped, shared = (int(rows[name]) for name in names)
        usage = "memory.usage_in_bytes" if first else "memory.current"
        now = int((group.memory / usage).read_text())
        return max(now - max(cache - mapped - shared, 0), 0)
    return None


def reset_peak(group: Group) -> bool:
    """Begin the highest mark anew; False where the kernel cannot."""
    if group.version == 2:
        return False  # since Linux 6.12 it can, but for one open file only
    with contextlib.suppress(OSError):
        (group.memory / "memory.max_usage_in_bytes").write_text("0")
        return True
    return False


def peak_bytes(group: Group) -> int | None:
    """Most that was charged, page cache included."""
    name = "memory.max_usage_in_bytes" if group.version == 1 else "memory.peak"
    with contextlib.suppress(OSError, ValueError):
        return int((group.memory / name).read_text())
    return None
