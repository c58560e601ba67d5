"""Keeps what the last run of an expression took, stage by stage; it slows none and shows nothing.

What is kept is numbers, and only as long as the nodes live that were made.
"""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..held import HeldMemory
from ..lazy.node import Node
from ..plan import Advanced, Began, Ended, Event

__all__ = ["Measured", "Measuring", "Took", "last_run"]

_LOOK_AT_DISK = 8 << 20
"""Bytes of a stage from which on two reads of /proc per process are nothing beside it."""
_LOOK_AT_MEMORY = 128 << 20
"""The same for the dozen files that tell what is held: about 0.5 ms."""
_EVERY = 0.05


@dataclass(slots=True)
class Took:
    """What one stage took."""

    label: str
    nbytes: int
    """Bytes of arrays that it was to read and write."""
    items: int = 0
    """Blocks that were done."""
    seconds: float = 0.0
    kernel_seconds: float = 0.0
    """In functions and kernels, all workers together."""
    ok: bool = False
    disk_read: int | None = None
    disk_written: int | None = None
    """Bytes that the run's processes had the disk move; None: not looked at."""
    held: int | None = None
    """Most bytes of memory at any sample; None: the stage was too small or short for one."""


@dataclass(slots=True)
class Measured:
    """What one run took."""

    stages: int
    """How many there were to be."""
    took: dict[int, Took] = field(default_factory=dict)
    """Those that have begun."""
    seconds: float = 0.0
    """Of the whole, with what had to be known before it, and the start of workers."""

    @property
    def ok(self) -> bool:
        return len(self.took) == self.stages and all(took.ok for took in self.took.values())

    def fits(self, labels: Sequence[str]) -> bool:
        """Whether these are the stages that were measured."""
        return self.stages == len(labels) and all(
            labels[number] == took.label for number, took in self.took.items()
        )


_last: weakref.WeakKeyDictionary[Node, Measured] = weakref.WeakKeyDictionary()


def last_run(nodes: Iterable[Node]) -> Measured | None:
    """Return what the last run of these nodes took, if it made them all and was in this process."""
    found = [_last.get(node) for node in nodes]
    return found[0] if found and all(one is found[0] for one in found) else None


class Measuring:
    """An observer of one run.

    Parameters
    ----------
    nodes : sequence of Node
        What the caller wants made: the run is remembered as theirs.
    began : float
        When the run began, on the clock of `time.perf_counter`.
    """

    def __init__(self, nodes: Sequence[Node], began: float) -> None:
        self._nodes, self._began = nodes, began
        self._run: Measured | None = None
        self._held: HeldMemory | None = None
        self._looked = 0.0
        self._pids: tuple[int, ...] = ()
        self._disk: tuple[int, int] | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Advanced):
            self._advanced(event)
        elif isinstance(event, Began):
            self._begin(event)
        else:
            self._end(event)

    def _begin(self, event: Began) -> None:
        run = self._run
        if run is None:
            run = self._run = Measured(event.stages)
            for node in self._nodes:
                _last[node] = run
        run.took[event.stage] = Took(event.label, event.nbytes)
        self._pids = (os.getpid(), *event.pids)
        self._disk = _disk_bytes(self._pids) if event.nbytes >= _LOOK_AT_DISK else None
        if event.nbytes >= _LOOK_AT_MEMORY:
            if self._held is None:
                self._held = HeldMemory(event.pids)
                self._held.written = 0
            self._held.pids.update(event.pids)
        self._looked = time.perf_counter()

    def _advanced(self, event: Advanced) -> None:
        assert self._run is not None
        took = self._run.took[event.stage]
        took.items += event.items
        held = self._held
        if held is None:
            return
        # As much as was read and written is more than what can be unwritten.
        held.written = (held.written or 0) + event.nbytes
        now = time.perf_counter()
        if now - self._looked >= _EVERY:
            self._looked = now
            took.held = max(held.sample(), took.held or 0)

    def _end(self, event: Ended) -> None:
        assert self._run is not None
        took = self._run.took[event.stage]
        took.seconds, took.kernel_seconds = event.seconds, event.kernel_seconds
        took.ok = event.ok
        self._run.seconds = time.perf_counter() - self._began
        now = None if self._disk is None else _disk_bytes(self._pids)
        if now is not None and self._disk is not None:
            read, written = (after - before for after, before in zip(now, self._disk, strict=True))
            took.disk_read, took.disk_written = max(read, 0), max(written, 0)


def _disk_bytes(pids: Iterable[int]) -> tuple[int, int] | None:
    """Bytes that processes have caused to be read and written; None where one does not tell."""
    read = written = 0
    for pid in pids:
        with (
            contextlib.suppress(OSError, KeyError, ValueError),
            open(f"/proc/{pid}/io", "rb", buffering=0) as stream,
        ):
            rows = dict(line.split(b": ") for line in stream.read(4096).splitlines())
            read += int(rows[b"read_bytes"])
            written += int(rows[b"write_bytes"])
            continue
        return None
    return read, written
