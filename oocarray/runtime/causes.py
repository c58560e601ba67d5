"""What may have ended a process: facts noted before a stage and compared after a death.

It guesses nothing: what the counters and files do not say is left to the signal's usual cause.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from ..pages.groups import memory_kills
from ..storage.filekey import MEMORY, FileKey
from ..units import format_bytes

__all__ = ["GARBLED", "MUTE", "UNFORESEEN", "Causes", "fatal_text"]

# How a worker ends itself: codes that no function is likely to choose.
GARBLED = 97
"""A message came that it cannot read; where descriptors are lacking, they are missing in it."""
MUTE = 98
"""Its answer could not be sent."""
UNFORESEEN = 99
"""Something else went wrong while it listened; what, it has written to standard error."""

_USUAL = {
    "SIGKILL": "a memory limit, or somebody's kill",
    "SIGBUS": "a file that was truncated while it was mapped, or a full disk",
    "SIGSEGV": "a store outside the block: try @oo.kernel(boundscheck=True)",
    "SIGABRT": "a library that called abort()",
    f"exit code {GARBLED}": "too many open files (raise ulimit -n), or a message it could not read",
    f"exit code {MUTE}": "its channel to this process was closed",
    f"exit code {UNFORESEEN}": "an error while it listened for work, said below",
}
_MOST_LINES = 24


class Causes:
    """What is known of the machine and of a stage's files when it begins.

    Parameters
    ----------
    files : iterable of (FileKey, int)
        Files and their open descriptors, which must stay open.
    """

    def __init__(self, files: Iterable[tuple[FileKey, int]]) -> None:
        self._files = [(key, fd) for key, fd in files if key.path != MEMORY]
        self._kills, _ = memory_kills()

    def of(self, how: str) -> str:
        """Say what probably ended a process, given the name of its signal; ``""``: unknown.

        Parameters
        ----------
        how : str
            ``"SIGKILL"``, ``"exit code 3"``.
        """
        facts = list(self._cut())
        if how == "SIGBUS":
            facts += self._full()
        if how == "SIGKILL":
            kills, limit = memory_kills()
            if kills > self._kills:
                self._kills = kills
                where = "this machine" if limit is None else f"the limit of {format_bytes(limit)}"
                facts.append(
                    f"out of memory: the system ended it for want of room within {where}; set "
                    "memory= or workers= lower, or make the blocks smaller"
                )
        return ", ".join(facts) or _USUAL.get(how, "")

    def _cut(self) -> Iterator[str]:
        for key, fd in self._files:
            size = os.fstat(fd).st_size
            if size < key.size:
                yield (
                    f"{key.path} was cut to {format_bytes(size)} ({size} bytes) from "
                    f"{format_bytes(key.size)} ({key.size})"
                )

    def _full(self) -> Iterator[str]:
        for key, fd in self._files:
            with contextlib.suppress(OSError):
                room = os.fstatvfs(fd)
                if room.f_blocks and not room.f_bavail:
                    yield f"the disk of {key.path} is full"


def fatal_text(said: str) -> str:
    """The part of what a dying process wrote that tells where it was; ``""`` if there is none.

    Examples
    --------
    >>> text = "Fatal Python error: Aborted\\n\\nThread 0x1 (first):\\n  File 1"
    >>> text += "\\n\\nCurrent thread 0x2 (first):\\n  File 2\\n\\nExtension modules: a"
    >>> print(fatal_text(text))
    Fatal Python error: Aborted
    Current thread 0x2 (first):
      File 2
    """
    kept = [
        part
        for part in said.strip("\n").split("\n\n")
        if not part.startswith(("Thread 0x", "Extension modules:"))
    ]
    lines = [line for part in kept for line in part.splitlines()]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], "..."]
    return "\n".join(lines)
