"""Samples from outside what the processes of a rival hold in memory; limits and judges nothing.

Held is anonymous memory, shared memory, and of files whichever is more, the pages that are
mapped or those that are dirty or being written; summed over the processes, each part less what
it was before.  A page that two processes map counts twice: the figure errs upwards.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from types import TracebackType

from oocarray.held import family

from .groups import Group

__all__ = ["Watch"]

INTERVAL = 0.02
"""Seconds between samples."""
_LOOK = 10
"""Samples between looks for new processes."""
_NAMES = ("RssAnon:", "RssShmem:", "RssFile:")


class Watch:
    """Samples a process and all that descend from it while a ``with`` block runs.

    Parameters
    ----------
    pid : int
    group : Group, optional
        Where what it writes is counted apart; without it, all that the machine writes.

    Attributes
    ----------
    peak : int
        Most bytes held at any sample; never below 0.
    firm : int
        The same without clean pages of files, which the kernel drops when it needs room.
    processes, samples : int
        Most processes seen at once; how many samples were taken.
    """

    def __init__(self, pid: int, group: Group | None) -> None:
        self._pid, self._group = pid, group
        self.peak = self.firm = self.processes = self.samples = 0
        self._pids: set[int] = set()
        self._before = (0, 0, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._before = self._look()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            held, mapped, unwritten = (
                now - before for now, before in zip(self._look(), self._before, strict=True)
            )
            self.peak = max(self.peak, held + max(mapped, unwritten))
            self.firm = max(self.firm, held + unwritten)
            if self._stop.wait(INTERVAL):
                return

    def _look(self) -> tuple[int, int, int]:
        """Bytes of anonymous and shared memory; of mapped files; of files still to be written."""
        if self.samples % _LOOK == 0:
            self._pids = family([self._pid])
            self.processes = max(self.processes, len(self._pids))
        self.samples += 1
        found = dict.fromkeys(_NAMES, 0)
        for pid in self._pids:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    name, _, rest = line.partition("\t")
                    if name in found:
                        found[name] += int(rest.split()[0]) * 1024
        anonymous, shared, mapped = found.values()
        return anonymous + shared, mapped, self._unwritten()

    def _unwritten(self) -> int:
        unwritten = None if self._group is None else self._group.unwritten()
        if unwritten is not None:
            return unwritten
        total = 0
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("Dirty", "Writeback"):
                total += int(rest.split()[0]) * 1024
        return total
