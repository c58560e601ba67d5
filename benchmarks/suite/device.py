"""Counts what a disk reads and writes by the kernel's account; refuses to on one that is busy."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

from ..machine import disk_of

__all__ = ["Disk", "Moved"]

_SAMPLE = 0.25
"""Seconds of an idle sample."""
_BUSY = 4 << 20
"""Bytes in an idle sample above which somebody else is at work."""


class Moved(NamedTuple):
    """Bytes read and written since the machine started."""

    read: int
    written: int


class Disk:
    """The block device under a folder; one that cannot be told is always busy."""

    def __init__(self, folder: Path) -> None:
        self._stat: Path | None = None
        with contextlib.suppress(OSError):
            path = disk_of(folder) / "stat"
            self._stat = path if path.exists() else None

    def moved(self) -> Moved | None:
        """Counters of now; None where the system does not tell."""
        if self._stat is None:
            return None
        fields = [int(field) for field in self._stat.read_text().split()]
        return Moved(fields[2] * 512, fields[6] * 512)

    def busy(self) -> bool:
        """Whether others move data while we do nothing."""
        before = self.moved()
        time.sleep(_SAMPLE)
        after = self.moved()
        return before is None or after is None or sum(after) - sum(before) > _BUSY
