"""Writes what was measured, one JSON object a line, as it comes; never rewrites a line."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from ..client import ROOT
from ..machine import machine

__all__ = ["Journal", "facts_of"]

_MORE = ("rich", "distributed", "tensorstore", "cubed")
"""Packages beside those that all benchmarks name."""
Record = dict[str, Any]


class Journal:
    """Lines of a file, kept in memory too.

    Parameters
    ----------
    stream : text file
    tell : callable
        Takes a line of text about what goes on.
    """

    def __init__(self, stream: TextIO, tell: Callable[[str], None]) -> None:
        self._stream, self.tell = stream, tell
        self.records: list[Record] = []

    def write(self, kind: str, **content: Any) -> None:
        record = {"kind": kind, **content}
        self.records.append(record)
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()

    def leave_out(self, what: str, why: str) -> None:
        self.write("left_out", what=what, why=why)
        self.tell(f"left out: {what}: {why}")


def facts_of(folder: Path) -> Record:
    """What figures belong to, in the words of the suite's records."""
    found = machine(folder)
    versions = dict(found["versions"])
    for name in _MORE:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    disk = " ".join(str(found[name]) for name in ("disk", "disk_model") if found[name])
    return {
        "when": found["time"],
        "cpu": found["processor"],
        "cores": found["processors"],
        "ram": found["memory"],
        "kernel": found["kernel"],
        "filesystem": found["filesystem"] or "?",
        "disk": disk or "?",
        "python": found["python"],
        "versions": versions,
        "commit": _commit(),
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()
    return "?"
