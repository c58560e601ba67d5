"""Packs a stage for workers on other machines, and unpacks it there; it opens no array.

What lies in files travels as path, offset and strides; arrays of the caller's memory by value.
Device numbers are each machine's own: a file's is learnt anew where it is another machine.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pickle
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cloudpickle
import numpy as np

from ...plan import Partials, Plan, Stage
from ...program import Program
from ...storage.filekey import MEMORY, FileKey
from ...storage.layout import Strided
from ...storage.stacking import StackTable
from ..carry import pack, unpack
from ..job import Job
from .cluster import home, processor

__all__ = ["Carried", "not_seen", "pack_stage", "packed", "unpack_stage", "unpacked"]

Array = np.ndarray[Any, Any]
State = tuple[int, int]

_here = threading.local()


@dataclass(slots=True)
class Carried:
    """A stage in a worker's hands."""

    job: Job
    """Its kernel is packed, until `unpack_stage` has put it there."""
    arguments: list[Strided | Array]
    """What the functions refer to by number."""
    drafts: dict[FileKey, str] = field(default_factory=dict)
    """Where new files are until they get their names."""
    states: dict[FileKey, State] = field(default_factory=dict)
    """Size and time of what is only read, as the coordinator has seen them."""
    compile: Callable[[Plan], Plan] | None = None
    """Compiles the stage's kernels, where processors differ."""
    path: tuple[str, ...] = ()
    processor: str = ""
    """What the kernels were compiled for, if they were."""


class _Packer(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if type(value) is FileKey:
            state = value.path, value.dev, value.ino, value.size, value.mtime_ns, value.born
            return _key_of, (*state, value.header)
        if type(value) is StackTable:
            return _stack_of, value.__reduce__()[1]
        return NotImplemented


def packed(value: Any) -> bytes:
    """Pickle where arrays lie, so that another machine finds the files by its own devices.

    Examples
    --------
    >>> unpacked(packed(FileKey("/data/x.npy", 64769, 12, 160, 1)))
    FileKey(path='/data/x.npy', dev=64769, ino=12, size=160, mtime_ns=1, born=0, header=None)
    """
    stream = io.BytesIO()
    _Packer(stream, protocol=5).dump((home(), value))
    where, rest = pickle.dumps(home()), stream.getvalue()
    return len(where).to_bytes(4, "little") + where + rest


def unpacked(blob: bytes) -> Any:
    """What was `packed`, here or elsewhere.

    Raises
    ------
    FileNotFoundError
        A file is not there on this machine.
    """
    size = int.from_bytes(blob[:4], "little")
    _here.devices = None if cloudpickle.loads(blob[4 : 4 + size]) == home() else {}
    try:
        _, value = cloudpickle.loads(memoryview(blob)[4 + size :])
    finally:
        _here.devices = None
    return value


def pack_stage(
    carried: Carried,
    program: Program,
    address: Callable[[Array], Strided | Array],
    state: Callable[[FileKey], State | None],
) -> bytes:
    """Pickle a stage and its program.

    Parameters
    ----------
    carried : Carried
        Its `arguments` are filled.
    program : Program
    address : callable
        Where workers find a large array: in a file, else the array itself.
    state : callable
        Size and time of a file that is only read, as the run has found them.

    Raises
    ------
    TypeError
        A function cannot travel.
    """

    def numbered(array: Array) -> int:
        carried.arguments.append(address(array))
        return len(carried.arguments) - 1

    kernel = pack(program, numbered)
    carried.job = replace(carried.job, kernel=kernel)
    keys = [key for key, writable in carried.job.files if not writable]
    keys += [one.file for one in carried.arguments if isinstance(one, Strided)]
    carried.states = {key: found for key in keys if (found := state(key)) is not None}
    return packed(carried)


def unpack_stage(blob: bytes, array: Callable[[Carried, Strided], Array]) -> Carried:
    """Rebuild a stage in a worker, its program included.

    Parameters
    ----------
    blob : bytes
    array : callable
        Maps an array that lies in a file.
    """
    carried = unpacked(blob)
    assert isinstance(carried, Carried)
    if carried.processor and carried.processor != processor():
        raise RuntimeError(
            f"the worker on {socket.gethostname()} came later than the run, and has another "
            "processor, or compiles by other settings, than those that were there; run it again"
        )
    for entry in carried.path:
        # Behind what is there: modules of the caller's folder are found, none is hidden.
        if entry and entry not in sys.path and os.path.isdir(entry):
            sys.path.append(entry)
    found: dict[int, Array] = {}

    def argument(number: int) -> Array:
        if number not in found:
            value = carried.arguments[number]
            found[number] = array(carried, value) if isinstance(value, Strided) else value
            found[number].flags.writeable = False
        return found[number]

    program = unpack(carried.job.kernel, argument)
    stage = carried.job.stage
    if carried.compile is not None:
        stage = _whole(stage, program)
        program = carried.compile(Plan((stage,))).stages[0].kernel
    carried.job = replace(carried.job, kernel=program)
    return carried


def _whole(stage: Stage, program: Program) -> Stage:
    """The stage with what was left out of its pickle."""
    writes = tuple(
        replace(write, reduction=reduction) if isinstance(write, Partials) else write
        for write, reduction in zip(stage.writes, program.reductions, strict=True)
    )
    return replace(stage, kernel=program, writes=writes)


def _key_of(
    path: str, dev: int, ino: int, size: int, mtime_ns: int, born: int, header: Any
) -> FileKey:
    """The same file as this machine sees it."""
    devices: Mapping[int, int] | None = getattr(_here, "devices", None)
    if devices is not None and path != MEMORY:
        dev, born = _device(path, dev), 0
    return FileKey(path, dev, ino, size, mtime_ns, born, header)


def _stack_of(*columns: Any) -> StackTable:
    """The same files as this machine sees them."""
    table = StackTable(*columns)
    if getattr(_here, "devices", None) is None:
        return table
    seen = tuple(
        (_device(table.prefix + name, dev), ino, size, mtime_ns, 0, header, offset)
        for name, (dev, ino, size, mtime_ns, _, header, offset) in zip(
            table.names, table.seen, strict=True
        )
    )
    return replace(table, seen=seen)


def _device(path: str, theirs: int) -> int:
    known: dict[int, int] = _here.devices
    if theirs not in known:
        # A new file may not have its name yet, but lies on the same device as its folder.
        for place in (path, os.path.dirname(path)):
            with contextlib.suppress(OSError):
                known[theirs] = os.stat(place).st_dev
                break
        else:
            raise not_seen(path)
    return known[theirs]


def not_seen(path: str) -> FileNotFoundError:
    """Say that a file of the run is not there on this machine."""
    return FileNotFoundError(
        errno.ENOENT,
        f"not seen on worker {socket.gethostname()}, process {os.getpid()}: all workers must see "
        "the files of a run under the same path",
        path,
    )
