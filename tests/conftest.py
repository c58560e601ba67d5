"""Fixtures for files, leaks and memory limits, and the last look at what a test run left behind.

Nothing here knows how oocarray works; what a test needs from it, the test asks for itself.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

# Inherited by every process that a test starts, also by one whose parent has died since.
_MARK = f"OOCARRAY_TEST_RUN={uuid.uuid4().hex}"
_SHM = Path("/dev/shm")
# Seconds that something may take to go away by itself.
_PATIENCE = float(os.environ.get("OOCARRAY_TEST_PATIENCE", "20"))
# The standard library's own: it ends when the last of its users has.
_NOT_OURS = (b"multiprocessing.resource_tracker",)

hypothesis.settings.register_profile(
    "here", deadline=None, derandomize="CI" in os.environ, print_blob=True
)
hypothesis.settings.load_profile("here")


def pytest_configure(config: pytest.Config) -> None:
    """Keep what is stored out of the home directory, windows off the screen; hear Ctrl-C."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So shells start what they run in the background, and every program that a test starts
        # would inherit it: none would hear the Ctrl-C that it is sent.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "OOCARRAY_CACHE" not in os.environ:
        cache = getattr(config, "cache", None)
        if cache is not None:  # kept from run to run: compiled kernels are slow to make
            folder = Path(cache.mkdir("oocarray-kernels"))
        else:
            folder = Path(tempfile.mkdtemp(prefix="oocarray-kernels-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o700)
        os.environ["OOCARRAY_CACHE"] = str(folder)


# What a test run leaves behind


def _processes() -> dict[int, bytes]:
    """Command lines, by process id, of living children of this process and of marked ones."""
    me, found = os.getpid(), {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == me:
            continue
        # A process may end, or belong to another user, at any point of this.
        with contextlib.suppress(OSError):
            state, parent = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            if state in (b"Z", b"X"):
                continue
            if int(parent) == me or _MARK.encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
    return found


def _shared() -> set[str]:
    if not _SHM.is_dir():
        return set()
    return {name for name in os.listdir(_SHM) if "oocarray" in name.lower()}


def _left_behind(processes: dict[int, bytes], shared: set[str]) -> list[str]:
    """What is there now and was not before."""
    return [
        *(
            f"process {pid}: {command.decode(errors='replace').strip() or '(no command line)'}"
            for pid, command in _processes().items()
            if pid not in processes and not any(word in command for word in _NOT_OURS)
        ),
        *(f"{_SHM / name}" for name in sorted(_shared() - shared)),
    ]


def _until_gone(look: Callable[[], list[str]]) -> list[str]:
    """What `look` still finds after as long as things may take to go."""
    end = time.monotonic() + _PATIENCE
    while (found := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _last_look(pid: int, processes: dict[int, bytes], shared: set[str]) -> None:
    """Fail the test run if it left a process or shared memory."""
    if os.getpid() != pid:  # a fork that ends in the ordinary way
        return
    if left := _until_gone(lambda: _left_behind(processes, shared)):
        sys.stdout.flush()
        sys.stderr.write("\nERROR: the tests left behind:\n  " + "\n  ".join(left) + "\n")
        sys.stderr.flush()
        os._exit(1)  # the only way to an exit code from here


# Exit handlers run last in, first out: this one, registered before oocarray is imported, sees
# what is left after the package has closed its pool of workers.
os.environ.update([_MARK.split("=")])
atexit.register(_last_look, os.getpid(), _processes(), _shared())


# Files


def _content(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Small varied numbers in C order, the same each time; both signs where there are two."""
    if dtype.names:
        out = np.zeros(shape, dtype)
        for name in dtype.names:
            field = dtype[name]
            out[name] = _content((*shape, *field.shape), field.base)
        return out
    count = int(np.prod(shape, dtype=np.int64))
    values = np.arange(count) * 7919 % 1009 - (0 if dtype.kind in "buSUV" else 400)
    if dtype.kind in "fc":
        values = values / 8
    if dtype.kind == "c":
        values = values + 1j * values[::-1]
    if dtype.kind == "b":
        values = values % 2
    if dtype.kind == "V":
        raw = (np.arange(count * dtype.itemsize) % 251).astype(np.uint8)
        return raw.view(dtype).reshape(shape)
    return values.astype(dtype).reshape(shape)


@pytest.fixture
def npy(tmp_path: Path) -> Callable[..., Path]:
    """Factory of .npy files: ``npy(shape, dtype="f8", order="C", name=None) -> path``.

    The content depends on shape and dtype only; ``np.load(path)`` gives it.
    """
    made = 0

    def make(
        shape: int | tuple[int, ...], dtype: Any = "f8", order: str = "C", name: str | None = None
    ) -> Path:
        nonlocal made
        made += 1
        path = tmp_path / (name or f"array-{made}.npy")
        array = _content((shape,) if isinstance(shape, int) else shape, np.dtype(dtype))
        # Opened here: given a path, np.save would add a suffix that is not in `name`.
        with path.open("wb") as file:
            np.save(file, np.asarray(array, order=order), allow_pickle=False)
        return path

    return make


# Leaks


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one of this very listing
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


@pytest.fixture
def opened_since() -> Callable[[], Callable[..., list[str]]]:
    """Factory: ``opened = opened_since()``, then ``opened()`` tells what was opened since.

    It waits a while for what goes away by itself, unless called with ``patient=False``.

    Whatever earlier tests left to the garbage collector may be closed at any time: that there
    are fewer descriptors than before says nothing, and neither does their number.
    """

    def begin() -> Callable[..., list[str]]:
        gc.collect()
        before = _descriptors()

        def look() -> list[str]:
            now = _descriptors().items()
            return [f"{fd}: {target}" for fd, target in now if before.get(fd) != target]

        return lambda patient=True: _until_gone(look) if patient else look()

    return begin


def _mapped(folder: Path) -> set[str]:
    """Mappings of files in `folder`, of memfds and of deleted files."""
    lines = Path("/proc/self/maps").read_text(errors="replace").splitlines()
    paths = {line.split(None, 5)[0]: line.split(None, 5)[5] for line in lines if line.count("/")}
    return {
        f"mapping of {path} at {where}"
        for where, path in paths.items()
        if path.startswith((f"{folder}/", "/memfd:")) or path.endswith(" (deleted)")
    }


@pytest.fixture(autouse=True, scope="module")
def _objects_of_earlier_modules() -> None:
    """Set aside what is alive when a module of tests begins.

    After some thousand tests and a few hundred compiled kernels there are millions of objects: to
    look through all of them before and after each test takes longer than the tests.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.fixture
def no_leaks(tmp_path: Path) -> Iterator[None]:
    """Fail the test when it leaves a descriptor, a thread or a mapping of a file of its own.

    A warm pool of workers may stay.  When it was started by this test, its pipes, sockets,
    other nameless descriptors and its threads are taken for the pool's.
    """
    gc.collect()
    processes, descriptors, mapped = _processes(), _descriptors(), _mapped(tmp_path)
    threads = set(threading.enumerate())

    def leaked() -> list[str]:
        gc.collect()
        pool = bool(_processes().keys() - processes.keys())
        nameless = ("pipe:", "socket:", "anon_inode:", "/memfd:oocarray")
        return [
            *(
                f"descriptor {fd}: {target}"
                for fd, target in _descriptors().items()
                if descriptors.get(fd) != target and not (pool and target.startswith(nameless))
            ),
            *(
                f"thread {thread.name}"
                for thread in threading.enumerate()
                if thread not in threads and not (pool and thread.daemon)
            ),
            *sorted(_mapped(tmp_path) - mapped),
        ]

    yield
    left = _until_gone(leaked)
    assert not left, "the test left behind:\n  " + "\n  ".join(left)


# Memory limits


class MemoryCgroup:
    """A memory cgroup with a limit, in which commands can be run.

    Pages that are in the page cache already are charged to whoever brought them in: a file
    written by the test itself must be dropped from the cache before a run is held to it.
    """

    def __init__(self, folder: Path, version: int) -> None:
        self.folder = folder
        self.version = version

    def run(self, argv: Sequence[str | os.PathLike[str]], **kw: Any) -> Any:
        """Run `argv` inside, as ``subprocess.run`` does; at most two minutes unless told."""
        # A shell moves itself in and becomes the command: code between fork and exec is not
        # safe in a process with threads.
        enter = 'echo $$ > "$0" && exec "$@"'
        kw.setdefault("timeout", 120)
        where = self.folder / "cgroup.procs"
        return subprocess.run(["/bin/sh", "-c", enter, where, *argv], **kw)

    @property
    def peak(self) -> int:
        """Most bytes that were charged at once, page cache included."""
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        return int((self.folder / name).read_text())

    @property
    def oom_kills(self) -> int:
        """How many processes the kernel killed here for want of memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        rows = dict(line.split() for line in (self.folder / name).read_text().splitlines())
        return int(rows["oom_kill"])

    def limit(self, count: int) -> None:
        """Allow `count` bytes, with no swap beside them where swap is accounted."""
        if self.version == 1:
            (self.folder / "memory.limit_in_bytes").write_text(str(count))
            swap, value = self.folder / "memory.memsw.limit_in_bytes", str(count)
        else:
            (self.folder / "memory.max").write_text(str(count))
            swap, value = self.folder / "memory.swap.max", "0"
        if swap.exists():
            with contextlib.suppress(OSError):
                swap.write_text(value)

    def remove(self) -> None:
        """Kill what still runs inside and remove the cgroup."""
        for _ in range(400):
            for pid in (self.folder / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            try:
                self.folder.rmdir()
            except OSError:  # busy until the last process is gone
                time.sleep(0.05)
            else:
                return
        self.folder.rmdir()


def _cgroup_parents() -> Iterator[tuple[Path, int]]:
    """Folders, nearest to this process first, in which a memory cgroup can be asked for."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    rows = Path("/proc/self/cgroup").read_text().splitlines()
    own = {names: path for _, names, path in (row.split(":", 2) for row in rows)}
    for _, point, kind, options, *_ in mounts:
        if kind == "cgroup" and "memory" in options.split(","):
            version = 1
            name = next((names for names in own if "memory" in names.split(",")), "")
        elif kind == "cgroup2":
            version, name = 2, ""
        else:
            continue
        # In a container the path may be the host's and not exist below the mount point.
        below = Path(point, own.get(name, "/").lstrip("/"))
        for folder in (below, *below.parents):
            if not folder.is_relative_to(point):
                break
            handed_down = folder / "cgroup.subtree_control"
            if version == 1 or (
                handed_down.exists() and "memory" in handed_down.read_text().split()
            ):
                yield folder, version


def _new_cgroup() -> MemoryCgroup | None:
    for parent, version in _cgroup_parents():
        folder = parent / f"oocarray-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        with contextlib.suppress(OSError):
            folder.mkdir()
            return MemoryCgroup(folder, version)
    return None


@pytest.fixture
def memory_cgroup() -> Iterator[Callable[[int], MemoryCgroup]]:
    """Factory of memory cgroups: ``memory_cgroup(limit_bytes) -> MemoryCgroup``.

    Skips the test where making one is not permitted; removes them, and kills what runs in
    them, afterwards.
    """
    made: list[MemoryCgroup] = []

    def make(limit_bytes: int) -> MemoryCgroup:
        group = _new_cgroup()
        if group is None:
            pytest.skip("no memory cgroup can be made here: it takes root, or delegation")
        made.append(group)
        try:
            group.limit(limit_bytes)
        except OSError as error:
            pytest.skip(f"a memory cgroup takes no limit here: {error}")
        return group

    yield make
    for group in made:
        group.remove()
