"""What figures belong to: processor, memory, kernel, disk, versions; measures nothing."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from oocarray.units import format_bytes

from .groups import Group, make_group

__all__ = ["disk_of", "headline", "machine", "probe_group"]

_PACKAGES = ("oocarray", "numpy", "numba", "dask", "zarr", "numexpr", "blosc2")


def machine(folder: Path) -> dict[str, Any]:
    """Facts of this machine, and of the disk on which a folder is."""
    with open("/proc/meminfo") as stream:
        memory = int(stream.readline().split()[1]) * 1024
    with open("/proc/cpuinfo") as stream:
        names = [line.partition(":")[2].strip() for line in stream if "model name" in line]
    return {
        "record": "machine",
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": names[0] if names else platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "memory": memory,
        "kernel": platform.release(),
        **_disk(folder),
        "python": platform.python_version(),
        "versions": _versions(),
        "cgroup": probe_group(),
        "load_before": os.getloadavg()[0],
    }


def _versions() -> dict[str, str]:
    """Of the packages that are there: some rivals need one that we do not install."""
    found = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def probe_group() -> str:
    """Version of the memory cgroups that can be made here; or "no: " and why there are none."""
    group = make_group(1 << 30)
    if not isinstance(group, Group):
        return f"no: {group}"
    group.remove()
    return f"v{group.version}"


def _disk(folder: Path) -> dict[str, Any]:
    """Name, file system and readahead of a folder's disk, as far as they can be told."""
    number = _number(folder)
    found: dict[str, Any] = dict.fromkeys(
        ("disk", "disk_model", "disk_bytes", "rotational", "filesystem", "read_ahead_kb")
    )
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[2] == number:
            found["filesystem"] = line.partition(" - ")[2].split()[0]
    whole = disk_of(folder)
    with contextlib.suppress(OSError, ValueError):
        found["read_ahead_kb"] = int((whole / "queue/read_ahead_kb").read_text())
        found["disk"] = whole.name
        found["rotational"] = (whole / "queue/rotational").read_text().strip() == "1"
        found["disk_bytes"] = int((whole / "size").read_text()) * 512
        found["disk_model"] = (whole / "device/model").read_text().strip()
    return found


def disk_of(folder: Path) -> Path:
    """Where the system tells of the disk under a folder; it need not exist."""
    block = Path(f"/sys/dev/block/{_number(folder)}").resolve()
    # A partition has no queue of its own.
    return block if (block / "queue").is_dir() else block.parent


def _number(folder: Path) -> str:
    device = folder.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def headline(facts: dict[str, Any]) -> str:
    """One line of the facts."""
    group = facts["cgroup"]
    disk = " ".join(str(facts[name]) for name in ("disk", "disk_model") if facts.get(name))
    parts = (
        f"{facts['processors']} x {facts['processor']}",
        format_bytes(facts["memory"]),
        f"Linux {facts['kernel']}",
        disk,
        f"{facts['filesystem']}, readahead {facts['read_ahead_kb']} KiB",
        f"memory cgroup {group}" if group.startswith("v") else f"no memory cgroup ({group[4:]})",
        f"Python {facts['python']}",
        *(f"{name} {version}" for name, version in facts["versions"].items()),
    )
    return "; ".join(part for part in parts if part)
