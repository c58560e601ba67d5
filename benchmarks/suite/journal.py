"""Writes what was measured, one JSON object a line, as it comes; never rewrites a line."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import re
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from ..client import ROOT
from ..machine import machine
from .cases import RIVALS, SuiteRival

__all__ = ["Journal", "code_of", "facts_of"]

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
        "codes": {rival.name: code_of(rival) for rival in RIVALS.values()},
    }


def code_of(rival: SuiteRival) -> str:
    """Checksum of a rival's module and of those beside it that it imports.

    Examples
    --------
    >>> code_of(RIVALS["numexpr"]) == code_of(RIVALS["numpy"])
    False
    """
    folder, found, left = ROOT / "benchmarks" / "rivals" / "suite", set(), {rival.module}
    while left:
        name = left.pop()
        found.add(name)
        text = (folder / f"{name}.py").read_text()
        left |= set(re.findall(r"^from \.(\w+) import", text, re.MULTILINE)) - found
    whole = b"".join((folder / f"{name}.py").read_bytes() for name in sorted(found))
    return f"{zlib.crc32(whole):08x}"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()
    return "?"
