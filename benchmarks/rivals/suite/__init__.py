"""One file per rival of the suite, written as an expert of that library would; they time nothing.

Each method does the whole of a case and answers with what can be JSON; what it writes is on the
disk when it returns.  `files` has the paths by name, `chunk` the bytes of a block or chunk.
"""

from __future__ import annotations

from collections.abc import Iterator

from .. import Job

__all__ = ["SuiteBase", "blocks"]

Files = dict[str, str]


class SuiteBase:
    """Base of the rivals: keeps what it was told."""

    def __init__(self, job: Job) -> None:
        self.memory, self.workers = job.memory or 1 << 30, job.workers or 1

    def close(self) -> None:
        """Let go of what was kept warm."""


def blocks(rows: int, row_bytes: int, chunk: int) -> Iterator[slice]:
    """Rows of blocks of about `chunk` bytes."""
    step = max(chunk // row_bytes, 1)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
