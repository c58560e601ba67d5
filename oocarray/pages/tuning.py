"""How a run deals with the disk where more than one way is right; it never changes a result.

`Tuning` holds those choices, with defaults that were measured to be good on many disks; what
`oocarray tune` finds for one file system is kept in a file, read and written here.  Grids,
leaves and the memory budget are not in it: bits and bounds are the same under any tuning.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..units import format_bytes

__all__ = ["DEFAULT", "Kept", "Tuning", "machine", "read_kept", "write_kept"]

Advice = Literal["hugepage", "sequential", "willneed", "none"]

log = logging.getLogger("oocarray")

_VERSION = 1
_ADVICES = ("hugepage", "sequential", "willneed", "none")
_SMALLEST, _LARGEST = 1 << 20, 1 << 30
_MOST_BYTES = 1 << 20
"""Of a file of tunings: more is not ours."""
_told: set[tuple[str, int]] = set()


@dataclass(frozen=True, slots=True)
class Tuning:
    """How pages are brought in and written; nothing of it shows in a result.

    Examples
    --------
    >>> Tuning(advice="sequential").words()
    'inputs sequential, populated; outputs hugepage; at most 64 MiB per task and array'
    """

    advice: Advice = "hugepage"
    """What the kernel is told of mapped inputs; where it refuses hugepage, sequential.
    With "willneed" it is asked to read ahead what a task will look at."""
    populate: bool = True
    """Whether inputs are brought in by ``MADV_POPULATE_READ``, or else read past, by ``pread``."""
    write_advice: Literal["hugepage", "none"] = "hugepage"
    """What the kernel is told of the windows of outputs."""
    unit: int = 64 << 20
    """Most bytes of one array that a task works on, and so of a window of an output."""
    origin: str = field(default="", compare=False)
    """Where it comes from, as words for ``explain()``; empty for the defaults."""

    def __post_init__(self) -> None:
        if self.advice not in _ADVICES or self.write_advice not in ("hugepage", "none"):
            raise ValueError(
                f"advice={self.advice!r}, write_advice={self.write_advice!r}; there are "
                f"{', '.join(_ADVICES)}, and for writing hugepage and none"
            )
        if type(self.populate) is not bool or type(self.unit) is not int:
            raise ValueError(f"populate={self.populate!r} is no bool or unit={self.unit!r} no int")
        if not _SMALLEST <= self.unit <= _LARGEST:
            raise ValueError(
                f"unit={format_bytes(self.unit)} is not from {format_bytes(_SMALLEST)} to "
                f"{format_bytes(_LARGEST)}"
            )

    def words(self) -> str:
        """Say all of it in one line."""
        how = "populated" if self.populate else "read past"
        return (
            f"inputs {self.advice}, {how}; outputs {self.write_advice}; at most "
            f"{format_bytes(self.unit)} per task and array"
        )


DEFAULT = Tuning()


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found for one file system on one machine."""

    tuning: Tuning
    where: str
    """Mount point when it was tuned, for people."""
    kind: str
    """Type of the file system, such as ext4."""
    date: str
    """Day of the trial, ISO 8601."""


def machine() -> str:
    """Name this machine and its kernel's version: under another kernel other ways are fast."""
    name = platform.node()
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with contextlib.suppress(OSError), open(path) as stream:
            name = stream.read(64).strip() or name
            break
    return f"{name}, Linux {'.'.join(platform.release().split('.')[:2])}"


def read_kept(path: str) -> dict[str, Kept]:
    """Read what is kept; what is missing, damaged or somebody else's is no tuning.

    The reason is logged, once for each state of the file.

    Parameters
    ----------
    path : str
        Of the file.

    Returns
    -------
    dict
        By machine and file system.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return {}
    except OSError as error:
        return _ignored(path, 0, error.strerror or type(error).__name__)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return _ignored(path, found.st_mtime_ns, "it is no regular file")
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return _ignored(path, found.st_mtime_ns, "others than you can write to it")
        if found.st_size > _MOST_BYTES:
            size = f"{format_bytes(found.st_size)}, more than {format_bytes(_MOST_BYTES)}"
            return _ignored(path, found.st_mtime_ns, f"it has {size}")
        try:
            return _parsed(json.loads(os.pread(fd, _MOST_BYTES, 0)))
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            words = f"it is damaged ({type(error).__name__}: {error})"
            return _ignored(path, found.st_mtime_ns, words)
    finally:
        os.close(fd)


def write_kept(path: str, kept: Mapping[str, Kept]) -> None:
    """Keep tunings in a file, for its owner alone; readers see all of it or what was before.

    Raises
    ------
    OSError
        It cannot be written.
    """
    import tempfile  # slow to import, and seldom needed

    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    document = {
        "version": _VERSION,
        "tunings": {
            key: {
                "where": one.where,
                "kind": one.kind,
                "date": one.date,
                "advice": one.tuning.advice,
                "populate": one.tuning.populate,
                "write_advice": one.tuning.write_advice,
                "unit": one.tuning.unit,
            }
            for key, one in sorted(kept.items())
        },
    }
    fd, draft = tempfile.mkstemp(prefix=".tune-", dir=folder)  # mode 0600
    try:
        with open(fd, "w") as stream:
            json.dump(document, stream, indent=1)
            stream.write("\n")
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


def _parsed(document: Any) -> dict[str, Kept]:
    if document["version"] != _VERSION:
        raise ValueError(f"version {document['version']!r}, this program knows {_VERSION}")
    kept = {}
    for key, one in document["tunings"].items():
        where, kind, date = (str(one[name])[:200] for name in ("where", "kind", "date"))
        tuning = Tuning(
            one["advice"],
            one["populate"],
            one["write_advice"],
            one["unit"],
            origin=f"for {where} ({kind}), by `oocarray tune`, {date}",
        )
        kept[key] = Kept(tuning, where, kind, date)
    return kept


def _ignored(path: str, state: int, why: str) -> dict[str, Kept]:
    if (path, state) not in _told:
        _told.add((path, state))
        log.warning("the tuning in %s is ignored: %s; run `oocarray tune` again", path, why)
    return {}
