"""Runs an expression in a process of its own and measures that process; it compares nothing.

The child is a fresh interpreter that runs nothing of ``__main__``. It imports, evaluates something
tiny, and waits: only then are the inputs brought in or dropped, and the clock started.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .config import options as in_force
from .core import Array
from .errors import ProtocolError
from .held import HeldMemory, family
from .opening import from_array
from .pages import calls
from .runtime.carry import unpack
from .runtime.channel import Channel, pair, readable
from .storing import compute, store

__all__ = ["LARGE", "Failed", "Measured", "Result", "run", "serve"]

LARGE = 16 << 20
"""Bytes of a result from which on it is stored in a file."""
_SAMPLE = 0.025
"""Seconds between two looks at memory."""
_FIRST_TO_GO = "500"
"""Where memory runs out, the kernel is to end this child rather than who waits for it."""
_TICKS = os.sysconf("SC_CLK_TCK")

_BOOT = """
import os, sys
os.dup2(2, 1)
from importlib import util
sys.path += [folder for folder in {path!r} if folder not in sys.path]
spec = util.spec_from_file_location("oocarray", {package!r})
sys.modules["oocarray"] = package = util.module_from_spec(spec)
spec.loader.exec_module(package)
from oocarray.comparisonrun import serve
serve({fd})
"""


@dataclass(frozen=True, slots=True)
class Result:
    """One array of what the function returned."""

    label: str
    value: Any = None
    path: str | None = None
    """Of the ``.npy`` file that has it, if it is large."""

    def load(self) -> Any:
        """The elements: in memory, or mapped."""
        return self.value if self.path is None else np.load(self.path, mmap_mode="r")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run took, and its results."""

    wall: float
    cpu: float
    peak: int
    rss: int
    read: int | None
    written: int | None
    results: list[Result]


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there is no result."""

    kind: str
    """``"cannot"``, ``"failed"`` or ``"killed"``."""
    words: str
    trace: str = field(default="", repr=False)


def run(parcel: bytes, backend: str, folder: str, prepare: Callable[[], None]) -> Measured | Failed:
    """Run in a child, and wait for it.

    Parameters
    ----------
    parcel : bytes
        The function, its arguments and options, by cloudpickle.
    backend : str
    folder : str
        For large results.
    prepare : callable
        Called when the child is ready, before its clock starts.
    """
    mine, process = _boot()
    try:
        mine.send((parcel, backend, folder))
        answer = _hear(mine, process)
        if answer == "ready":
            prepare()
            mine.send("go")
            answer = _hear(mine, process)
        if isinstance(answer, (Measured, Failed)):
            return answer
        raise ProtocolError(f"the process that was measured said {answer!r}")
    except (EOFError, BrokenPipeError):
        try:
            return _ended(process.wait(timeout=30))
        except subprocess.TimeoutExpired:  # a thread of the function's keeps it
            return Failed("failed", "its process gave no answer, and did not end")
    finally:
        mine.close()
        # Its workers end with it, and remove what they have not finished.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0 if sys.exc_info()[0] else 5)
        process.kill()
        process.wait()


def _boot() -> tuple[Channel, subprocess.Popen[bytes]]:
    mine, theirs = pair()
    package = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__init__.py")
    path = [folder for folder in sys.path if isinstance(folder, str)]
    text = _BOOT.format(package=package, path=path, fd=theirs.fileno())
    flags = ["-P", "-Wignore", *(["-E"] if sys.flags.ignore_environment else [])]
    flags += ["-s"] * sys.flags.no_user_site + ["-O"] * sys.flags.optimize
    try:
        process = subprocess.Popen(
            [sys.executable, *flags, "-c", text],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C is for the parent, who ends the child
        )
    except BaseException:
        mine.close()
        raise
    finally:
        theirs.close()
    return mine, process


def _hear(channel: Channel, process: subprocess.Popen[bytes]) -> Any:
    while not readable(channel, 0.5):
        # Something that it has started may hold the other end open.
        if process.poll() is not None and not readable(channel, 0):
            raise EOFError
    return channel.receive()[0]


def _ended(code: int) -> Failed:
    if code >= 0:
        return Failed("failed", f"its process ended itself, with exit code {code}")
    memory = " (out of memory?)" if code == -signal.SIGKILL else ""
    return Failed("killed", f"killed by signal {-code}{memory}")


# ---- in the child ------------------------------------------------------------------------------


def serve(fd: int) -> None:
    """Do one run for the process at the other end of `fd`."""
    calls.die_with_parent(signal.SIGKILL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as stream:
        stream.write(_FIRST_TO_GO)
    os.set_inheritable(fd, False)
    channel = Channel(socket.socket(fileno=fd))
    (parcel, backend, folder), _ = channel.receive()
    try:
        answer: Measured | Failed = _serve(channel, parcel, backend, folder)
    except NotImplementedError as error:
        answer = Failed("cannot", _said(error, ""), traceback.format_exc())
    except ImportError as error:
        answer = Failed("cannot", _said(error, ""), traceback.format_exc())
    except BaseException as error:
        answer = Failed("failed", _said(error, f"{type(error).__name__}: "), traceback.format_exc())
    channel.send(answer)


def _said(error: BaseException, kind: str) -> str:
    return " ".join(f"{kind}{error}".split()).rstrip(": ") or type(error).__name__


def _serve(channel: Channel, parcel: bytes, backend: str, folder: str) -> Measured | Failed:
    # What cloudpickle has made is made again by an ordinary unpickler; it names no arrays.
    func, inputs, chosen = _opened(parcel)
    with in_force(**chosen, backend=backend):
        _warm_up()
        channel.send("ready")
        channel.receive()
        with _Usage() as usage:
            results = _evaluate(func(*inputs), folder)
    return Measured(
        usage.wall, usage.cpu, usage.peak, usage.rss, usage.read, usage.written, results
    )


def _opened(parcel: bytes) -> Any:
    def none(address: Any) -> Any:
        raise AssertionError(f"no array is sent by address, and this one is: {address!r}")

    return unpack(parcel, none)


def _warm_up() -> None:
    """Have everything imported, and workers started; what fails here fails again, and is told."""
    with contextlib.suppress(Exception):
        compute((from_array(np.arange(64.0), chunks=1) + 1).sum())


def _evaluate(returned: Any, folder: str) -> list[Result]:
    """Compute all that the function returned, together; what is large goes to files."""
    found = list(_flat(returned, "result"))
    paths: list[str | None] = []
    orders: list[Any] = []
    for number, (_, value) in enumerate(found):
        # nan, where only a run knows it, is not large.
        large = isinstance(value, Array) and value.size * value.itemsize > LARGE
        path = os.path.join(folder, f"{number}.npy") if large else None
        orders.append(store(value, path, compute=False) if path else value)
        paths.append(path)
    made = compute(*orders)
    results = []
    for number, ((label, _), path, value) in enumerate(zip(found, paths, made, strict=True)):
        array = None if path else np.asarray(value)
        if array is not None and array.dtype.hasobject:
            raise TypeError(f"{label} is {type(value).__name__}, not an array that can be compared")
        if array is not None and array.nbytes > LARGE:
            path = os.path.join(folder, f"{number}.npy")
            np.save(path, array)
        results.append(Result(label, None if path else array, path))
    return results


def _flat(value: Any, label: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{label}[{key!r}]")
    elif isinstance(value, (tuple, list)):
        for number, item in enumerate(value):
            yield from _flat(item, f"{label}[{number}]")
    else:
        yield label, value


class _Usage:
    """What this process and its descendants use while it is entered."""

    def __enter__(self) -> _Usage:
        self.read: int | None = None
        self.written: int | None = None
        self._held = HeldMemory(children=True)
        self._before = _status(b"VmRSS:")
        for pid in self._before:
            # From here on the highest is kept anew.
            with contextlib.suppress(OSError), open(f"/proc/{pid}/clear_refs", "w") as stream:
                stream.write("5")
        self._disk = _disk_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="oocarray-usage", daemon=True)
        self._thread.start()
        self._cpu, self._began = _cpu_seconds(), time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.wall = time.perf_counter() - self._began
        self.cpu = _cpu_seconds() - self._cpu
        self._stop.set()
        self._thread.join()
        highest = _status(b"VmHWM:")
        self.rss = sum(highest.values())
        # What came and went between two samples, the kernel has seen.
        grown = [most - self._before[pid] for pid, most in highest.items() if pid in self._before]
        self.peak = max([self._held.peak, *grown])

    def _watch(self) -> None:
        ended = False
        while not ended:
            ended = self._stop.wait(_SAMPLE)
            now = _disk_bytes()
            if now is not None and self._disk is not None:
                self.read, self.written = (max(n - b, 0) for n, b in zip(now, self._disk))  # noqa: B905
            # Dirty pages are counted for the whole machine: no more of them are this run's.
            self._held.written = self.written or 0
            self._held.sample()


def _cpu_seconds() -> float:
    """Of this process, its descendants, and those that have ended."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    for pid in family([os.getpid()]) - {os.getpid()}:
        # The name, in parentheses, may hold spaces and parentheses itself.
        fields = _proc(pid, "stat").rpartition(b")")[2].split()
        # A process that has ended is in the last two of who waited for it.
        total += sum(map(int, fields[11:15])) / _TICKS
    return total


def _disk_bytes() -> tuple[int, int] | None:
    """Bytes read and written on behalf of this process and its descendants; None: not told."""
    read = written = 0
    for pid in family([os.getpid()]):
        rows = dict(line.split(b":") for line in _proc(pid, "io").splitlines())
        if b"read_bytes" not in rows:
            if os.path.exists(f"/proc/{pid}"):
                return None
            continue
        read += int(rows[b"read_bytes"])
        written += int(rows[b"write_bytes"])
    return read, written


def _status(name: bytes) -> dict[int, int]:
    """Bytes that a line of their status says, of this process and its descendants."""
    found = {}
    for pid in family([os.getpid()]):
        for line in _proc(pid, "status").splitlines():
            if line.startswith(name):
                found[pid] = int(line.split()[1]) * 1024
    return found


def _proc(pid: int, name: str) -> bytes:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", "rb", buffering=0) as stream:
        return stream.read(1 << 16)
    return b""
