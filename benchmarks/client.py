"""The process of one rival, from the other side: starts, asks and ends it; times nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from oocarray.held import family

from .groups import Group
from .rivals import Job

__all__ = ["Client", "Failure", "Killed", "TimedOut", "Times", "undisturbed"]

ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 1800.0
"""Seconds that a run may take before its process is given up."""


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Put off what would end us: whoever is impatient shall not leave gigabytes behind."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


class Failure(Exception):
    """A rival ended, failed or gave a wrong result."""


class Killed(Failure):
    """The kernel ended a process of the rival for want of memory."""


class TimedOut(Failure):
    """No answer came in time."""


class Times(NamedTuple):
    """Processor seconds."""

    user: float
    system: float


class Client:
    """A process of ``benchmarks.helper`` with one rival in it; waits `patience` seconds for it."""

    def __init__(
        self, module: str, job: Job, group: Group | None, patience: float = _PATIENCE
    ) -> None:
        self.module, self.job, self.group, self.patience = module, job, group, patience
        self._waiting = True
        details = json.dumps(dataclasses.asdict(job))
        command = [sys.executable, "-m", "benchmarks.helper", module, details]
        # A session of its own: Ctrl-C is ours to handle, and ends the helpers one by one.
        self._process = subprocess.Popen(
            [*command, *(group.folders if group else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,
        )
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, **order: Any) -> dict[str, Any]:
        """Have it do something, and wait for the answer."""
        assert self._process.stdin is not None
        self._waiting = True
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(self.patience):
                raise TimedOut(f"no answer within {self.patience:.0f} s")
        line = self._process.stdout.readline()
        killed = self.group is not None and self.group.oom_kills()
        if not line:
            status = self._process.wait()
            if killed:
                raise Killed("killed: out of memory")
            raise Failure(f"ended with status {status}")
        self._waiting = False
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            if killed:
                raise Killed("a worker was killed: out of memory\n" + answer["error"])
            raise Failure(answer["error"])
        return answer

    def times(self) -> Times:
        """Of the process and all its descendants, ended children included."""
        ticks = [0, 0, 0, 0]
        for pid in family([self.pid]):
            with contextlib.suppress(OSError):
                stat = Path(f"/proc/{pid}/stat").read_bytes()
                # The name, in parentheses, may hold spaces and parentheses itself.
                fields = map(int, stat.rpartition(b")")[2].split()[11:15])
                ticks = [sum(pair) for pair in zip(ticks, fields, strict=True)]
        user, system, children_user, children_system = ticks
        return Times((user + children_user) / _TICKS, (system + children_system) / _TICKS)

    def close(self) -> None:
        """End the process, the group and what is left in it; at once, where an answer is due."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._waiting:
            self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        if self.group is not None:
            self.group.remove()
