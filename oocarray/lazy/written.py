"""Counts how often this process has written each file; it knows nothing of other processes."""

from __future__ import annotations

import threading
from collections import Counter

from ..storage.filekey import FileKey

__all__ = ["note_write", "writes"]

_counts: Counter[tuple[int, int]] = Counter()
_lock = threading.Lock()


def note_write(file: FileKey) -> None:
    """Count one more write: what was found out of the file before holds no longer."""
    with _lock:
        _counts[file.dev, file.ino] += 1


def writes(file: FileKey) -> int:
    """How often the file was written by this process."""
    return _counts[file.dev, file.ino]
