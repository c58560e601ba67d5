"""One test for each kind of bad file, disk, process limit or argument, and what comes of it.

Each also holds: it takes a few seconds and little memory, and the file's bytes are as they were
(unless the test says otherwise).  How the `.npy` reader words its refusals is in test_npy.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import oocarray as oo
from oocarray.errors import (
    DtypeError,
    FormatError,
    InputChangedError,
    NotRegularFileError,
    OverlapError,
    TruncatedFileError,
    WorkerDiedError,
)
from oocarray.pages import calls, groups
from oocarray.runtime import carry
from oocarray.storage import draft as drafts
from oocarray.storage.npy import MAGIC

SCHEDULERS = ("serial", "threads", "processes")
MIB = 1 << 20
SECONDS = 30.0
"""A few, on a machine that does ten other things besides."""

root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root: it mounts a file system")


@contextlib.contextmanager
def harmless(*paths: Path, memory: int = 64 * MIB) -> Iterator[None]:
    """See that what happens inside is quick, takes little memory and changes no file."""
    before = [(path, digest(path)) for path in paths]
    began = time.monotonic()
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < SECONDS
    assert [(path, digest(path)) for path in paths] == before


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def header(text: str | bytes, version: bytes = b"\1\0", data: bytes = bytes(48)) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return (
        MAGIC + version + len(raw).to_bytes(2 if version == b"\1\0" else 4, "little") + raw + data
    )


def described(descr="'<f8'", fortran="False", shape="(2, 3)", data=bytes(48)) -> bytes:
    return header(
        f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}", data=data
    )


# Headers

HEADERS = {
    "empty file": (b"", FormatError),
    "six bytes": (MAGIC, FormatError),
    "bad magic": (b"\x93NUMPZ\1\0" + bytes(200), FormatError),
    "version 9.0": (header("{}", b"\x09\0"), FormatError),
    "header of 4 GiB": (MAGIC + b"\2\0" + b"\xff" * 4 + bytes(10), FormatError),
    "header longer than the file": (MAGIC + b"\1\0\xff\xff{}", FormatError),
    "header of 20,000 spaces": (header(b" " * 20_000), FormatError),
    "60,000 brackets": (header(b"(" * 60_000), FormatError),
    "9,000 brackets": (header(b"(" * 9_000), FormatError),
    "NUL in the header": (header("{'descr': '<f8'\0}"), FormatError),
    "bytes that are no text": (header(b"{'descr': '\xff\xfe'}", b"\3\0"), FormatError),
    "missing key": (header("{'descr': '<f8', 'shape': (2,)}"), FormatError),
    "extra key": (
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), 'x': 1}"),
        FormatError,
    ),
    "key twice": (
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), 'shape': (1,)}"),
        FormatError,
    ),
    "fortran_order=1": (described(fortran="1"), FormatError),
    "extent -1": (described(shape="(-1,)"), FormatError),
    "two negative extents": (described(shape="(-2, -4)"), FormatError),
    "extent True": (described(shape="(True,)"), FormatError),
    "extent 8.0": (described(shape="(8.0,)"), FormatError),
    "shape as a list": (described(shape="[2, 3]"), FormatError),
    "extent 2^63": (described(shape=f"({1 << 63},)"), FormatError),
    "65 axes": (described(shape=str((1,) * 65)), FormatError),
    "product over 2^64": (described(shape=f"({1 << 32}, {1 << 32}, 8)"), FormatError),
    "shape longer than the file": (described(shape=f"({1 << 40},)"), TruncatedFileError),
    "one element too many": (described(shape="(7,)"), TruncatedFileError),
    "dtype O": (described(descr="'O'"), DtypeError),
    "struct with O": (described(descr="[('a', '<f8'), ('b', 'O')]"), DtypeError),
    "|S0": (described(descr="'|S0'"), DtypeError),
    "|V2147483647": (described(descr="'|V2147483647'"), DtypeError),
}


@pytest.mark.parametrize("mode", ["r", "r+"])
@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_that_is_wrong(tmp_path, kind, mode):
    content, error = HEADERS[kind]
    path = tmp_path / "bad.npy"
    path.write_bytes(content)
    size = path.stat().st_size
    with (
        harmless(path, memory=8 * MIB),
        pytest.raises(FormatError if size < 6 else error) as caught,
    ):
        oo.open(path, mode)
    assert str(path) in str(caught.value)
    assert path.stat().st_size == size


def test_a_header_that_is_a_program_is_not_run(tmp_path):
    canary, path = tmp_path / "canary", tmp_path / "bad.npy"
    path.write_bytes(described(descr=f"__import__('os').mkdir({str(canary)!r})"))
    with harmless(path), pytest.raises(FormatError):
        oo.open(path, "r+")
    assert not canary.exists()


@pytest.mark.parametrize("anywhere", SCHEDULERS)
def test_no_elements_of_a_huge_shape(tmp_path, anywhere):
    path = tmp_path / "x.npy"
    path.write_bytes(described(shape=f"(0, {1 << 47})", data=b""))
    with harmless(path):
        assert float(oo.open(path).sum().compute(scheduler=anywhere)) == 0


@pytest.mark.parametrize("anywhere", SCHEDULERS)
def test_a_longer_file_opens_with_one_warning_and_its_tail_is_left_alone(tmp_path, anywhere):
    path = tmp_path / f"{anywhere}.npy"
    path.write_bytes(described(data=np.arange(6.0).tobytes() + b"the tail" * 1000))
    with pytest.warns(UserWarning, match="the rest is never read nor written") as caught:
        x = oo.open(path, "r+")
    assert len(caught) == 1
    oo.open(path)  # warnings are errors here

    def grow(block):
        block += 1

    with oo.options(scheduler=anywhere):
        assert x.sum().compute() == 15
        oo.update_blocks(grow, x)
    assert path.read_bytes() == described(data=np.arange(1.0, 7).tobytes() + b"the tail" * 1000)


def test_big_endian_in_place_goes_by_a_converted_block(npy):
    path = npy(100, ">f8")
    want = np.load(path) + 1

    @oo.kernel
    def grow(block):
        block += 1

    with oo.options(scheduler="serial"):
        oo.update_blocks(grow, oo.open(path, "r+"))
    np.testing.assert_array_equal(np.load(path), want)
    assert np.load(path).dtype == np.dtype(">f8")


def test_float16_is_refused_by_kernels_before_any_block(npy, tmp_path):
    path = npy(100, "f2")

    @oo.kernel
    def double(out, block):
        out[:] = block * 2

    with harmless(path), pytest.raises(TypeError, match="float16"):
        oo.map_blocks(double, oo.open(path), dtype="f4").store(tmp_path / "y.npy")
    assert not (tmp_path / "y.npy").exists()


@pytest.mark.parametrize("anywhere", SCHEDULERS)
def test_fortran_order_is_read_as_numpy_reads_it(npy, tmp_path, anywhere):
    path = npy((30, 40), "f8", "F")
    with harmless(path):
        y = oo.open(path, chunks=(7, 9)).map_blocks(np.negative, dtype="f8")
        y.store(tmp_path / "y.npy", scheduler=anywhere)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), -np.load(path), strict=True)


# Paths


@pytest.mark.parametrize("kind", ["directory", "FIFO", "device", "socket"])
@pytest.mark.parametrize("mode", ["r", "r+"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path, kind, mode):
    path, listener = tmp_path / "x.npy", socket.socket(socket.AF_UNIX)
    if kind == "directory":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/null")
    else:
        folder = os.open(tmp_path, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{folder}/x.npy")
        os.close(folder)
    with listener, harmless(), pytest.raises(NotRegularFileError, match=str(path)):
        oo.open(path, mode)


def test_links_are_followed_when_opening_and_never_replaced(tmp_path, npy):
    path = npy(6, name="data.npy")
    (tmp_path / "folder").symlink_to(tmp_path)
    for name in ("final.npy", "dangling.npy", "loop.npy"):
        (tmp_path / name).symlink_to(
            {"final": path, "dangling": "nowhere", "loop": "loop.npy"}[name[:-4]]
        )
    with harmless(path):
        assert oo.open(tmp_path / "final.npy", "r+").shape == (6,)
        assert oo.open(tmp_path / "folder" / "data.npy", "r+").shape == (6,)
        with pytest.raises(FileNotFoundError):
            oo.open(tmp_path / "dangling.npy", "r+")
        with pytest.raises(OSError, match="symbolic links"):
            oo.open(tmp_path / "loop.npy")
        for name in ("final.npy", "dangling.npy", "loop.npy"):
            with pytest.raises(FileExistsError):
                oo.create(tmp_path / name, 3)
            with pytest.raises(NotRegularFileError, match="symbolic link"):
                oo.create(tmp_path / name, 3, overwrite=True)
    assert not (tmp_path / "nowhere").exists()


# Disks


def mounted(script: str, *arguments: object, timeout: float = 100) -> subprocess.CompletedProcess:
    """Run a program in a mount namespace of its own: what it mounts is gone with it."""
    code = PRELUDE + textwrap.dedent(script)
    command = ["unshare", "-m", sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip() or "nothing can be mounted here")
    assert done.returncode == 0, done.stdout + done.stderr
    return done


PRELUDE = """
import ctypes, errno, os, resource, subprocess, sys, time
import numpy as np
import oocarray as oo

def mount(*command):
    done = subprocess.run(["mount", *command], capture_output=True, text=True)
    if done.returncode:
        print(done.stderr)
        sys.exit(77)

def ext4(folder, size, *options):
    image = folder + ".img"
    with open(image, "wb") as file:
        file.truncate(size)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-m0", "-F", image], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(error)
        sys.exit(77)
    os.makedirs(folder, exist_ok=True)
    mount("-o", ",".join(["loop", *options]), image, folder)

def refused(what, *numbers):
    began = time.monotonic()
    try:
        what()
    except OSError as error:
        assert error.errno in numbers, repr(error)
        assert time.monotonic() - began < 30
        return error
    raise SystemExit("it was not refused")

def free(folder):
    found = os.statvfs(folder)
    return found.f_bfree * found.f_frsize

def unmount(folder):
    from oocarray.runtime.pools import close_pools
    close_pools()
    # Lazily: what is still mapped goes with the process, and the mount with its namespace.
    subprocess.run(["umount", "-l", folder], check=True)
"""


@root
def test_a_full_disk_is_an_error_at_creation_ext4(tmp_path):
    mounted(
        """
        folder = sys.argv[1]
        ext4(folder, 24 << 20)
        before = free(folder)
        x = oo.from_array(np.zeros(8 << 20))
        for what in (
            lambda: oo.create(folder + "/x.npy", 8 << 20),
            lambda: x.store(folder + "/x.npy"),
        ):
            error = refused(what, errno.ENOSPC)
            assert "needs 64 MiB" in str(error) and "free" in str(error), error
            assert os.listdir(folder) == ["lost+found"], os.listdir(folder)
            assert free(folder) == before
        unmount(folder)
        """,
        tmp_path / "disk",
    )


@root
def test_a_full_disk_is_an_error_at_creation_tmpfs(tmp_path):
    mounted(
        """
        folder = sys.argv[1]
        os.mkdir(folder)
        mount("-t", "tmpfs", "-o", "size=8m", "oocarray-test", folder)
        error = refused(lambda: oo.create(folder + "/x.npy", 8 << 20), errno.ENOSPC)
        assert "needs 64 MiB" in str(error) and "takes memory" in str(error), error
        assert os.listdir(folder) == []
        unmount(folder)
        """,
        tmp_path / "disk",
    )


def test_a_limit_on_the_size_of_files_is_an_error_at_creation(tmp_path):
    code = PRELUDE + textwrap.dedent(
        """
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        error = refused(lambda: oo.create(sys.argv[1] + "/x.npy", 1 << 20), errno.EFBIG)
        assert "ulimit -f" in str(error), error
        """
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path) == []


def test_a_quota_that_is_used_up_is_an_error_at_creation(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(calls, "fallocate", refuse)
    with harmless(), pytest.raises(OSError, match="quota is used up") as caught:
        oo.create(tmp_path / "x.npy", 1 << 17)
    assert caught.value.errno == errno.EDQUOT
    assert os.listdir(tmp_path) == []


@root
@pytest.mark.parametrize("populates", [True, False], ids=["populates", "before Linux 5.14"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_disk_that_fills_up_under_a_file_with_holes(tmp_path, scheduler, populates):
    if scheduler == "processes" and not populates:
        pytest.skip("the call is replaced in this process only")
    mounted(
        """
        folder, scheduler, populates = sys.argv[1:]
        ext4(folder, 24 << 20)
        path = folder + "/x.npy"
        with open(path, "wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f8", "fortran_order": False, "shape": (4 << 20,)}
            )
            file.truncate(file.tell() + (32 << 20))
        from oocarray.pages import calls, groups
        if populates == "False":
            calls.populate = lambda *_: False
        def grow(block):
            block += 1
        x = oo.open(path, "r+", chunks=1 << 17)
        size = os.path.getsize(path)
        with oo.options(scheduler=scheduler, workers=2):
            for policy in ("64 MiB", "512 MiB"):
                with oo.options(memory=policy):
                    error = refused(lambda: oo.update_blocks(grow, x), errno.ENOSPC, errno.EFAULT)
                assert "x.npy" in str(error) and "bytes" in str(error), error
                assert any("in block (" in note for note in error.__notes__), error.__notes__
        assert os.path.getsize(path) == size
        found = np.load(path, mmap_mode="r").reshape(-1, 1 << 17)
        assert {tuple(np.unique(row)) for row in found} <= {(0.0,), (1.0,), (2.0,)}
        unmount(folder)
        """,
        tmp_path / "disk",
        scheduler,
        populates,
    )


@root
def test_a_file_system_for_reading_only(tmp_path):
    mounted(
        """
        folder = sys.argv[1]
        ext4(folder, 24 << 20)
        np.save(folder + "/x.npy", np.ones(1000))
        mount("-o", "remount,ro", folder)
        assert oo.open(folder + "/x.npy").sum().compute() == 1000
        refused(lambda: oo.open(folder + "/x.npy", "r+"), errno.EROFS)
        refused(lambda: oo.create(folder + "/y.npy", 3), errno.EROFS)
        refused(lambda: oo.open(folder + "/x.npy").store(folder + "/y.npy"), errno.EROFS)
        unmount(folder)
        """,
        tmp_path / "disk",
    )


@root
@pytest.mark.parametrize("how", ["stops", "turns read-only"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_file_system_that_fails_in_the_middle_of_a_run(tmp_path, scheduler, how):
    mounted(
        """
        import fcntl
        folder, scheduler, how = sys.argv[1:]
        ext4(folder, 64 << 20, "errors=remount-ro")
        np.save(folder + "/x.npy", np.ones((64, 1 << 14)))
        os.sync()
        def fails(block, block_id=None):
            if block_id == (8, 0):
                # What a broken disk leads to.
                if how == "stops":
                    fd = os.open(folder, os.O_RDONLY)
                    fcntl.ioctl(fd, 0x8004587D, (2).to_bytes(4, "little"))
                    os.close(fd)
                else:
                    rows = [line.split() for line in open("/proc/self/mounts")]
                    (device,) = (os.path.basename(row[0]) for row in rows if row[1] == folder)
                    with open(f"/sys/fs/ext4/{device}/trigger_fs_error", "w") as switch:
                        switch.write("on purpose")
            return block * 2
        x = oo.open(folder + "/x.npy", chunks=(1, -1))
        made = x.map_blocks(fails, dtype="f8")
        error = refused(
            lambda: made.store(folder + "/y.npy", scheduler=scheduler, workers=1, memory="64 MiB",
                               durability="process"),
            errno.EIO, errno.EROFS, errno.EFAULT, errno.ENOSPC,
        )
        from oocarray.runtime.pools import close_pools
        close_pools()
        del made, x
        # Threads and workers let go a moment later.
        limit = time.monotonic() + 30
        while subprocess.run(["umount", folder], capture_output=True).returncode:
            assert time.monotonic() < limit, "the file system is still in use"
            time.sleep(0.05)
        mount("-o", "loop", folder + ".img", folder)
        assert not os.path.exists(folder + "/y.npy")
        assert np.load(folder + "/x.npy").sum() == 64 << 14
        unmount(folder)
        """,
        tmp_path / "disk",
        scheduler,
        how,
    )


def test_no_permission(tmp_path, npy):
    path = npy(6)
    path.chmod(0o400)
    tmp_path.chmod(0o755)
    code = PRELUDE + textwrap.dedent(
        """
        oo.open, oo.create  # imported while that is allowed
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        path = sys.argv[1]
        for mode in ("r+", "r") if os.geteuid() == 65534 else ("r+",):
            error = refused(lambda: oo.open(path, mode), errno.EACCES)
            assert isinstance(error, PermissionError) and error.filename == path
        if os.geteuid() == 65534:
            refused(lambda: oo.create(os.path.dirname(path) + "/y.npy", 3), errno.EACCES)
        """
    )
    reachable = all(folder.stat().st_mode & 0o001 for folder in path.parents)
    if os.geteuid() == 0 and not reachable:
        for folder in path.parents:
            if str(folder).startswith("/tmp/pytest-of") and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o011)
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_more_than_the_memory_group_has_for_tmpfs(memory_cgroup):
    group = memory_cgroup(256 * MIB)
    code = PRELUDE + textwrap.dedent(
        """
        folder = sys.argv[1]
        error = refused(lambda: oo.create(folder + "/x.npy", 64 << 20), errno.ENOSPC)
        assert "needs 512 MiB" in str(error) and "takes memory" in str(error), error
        assert os.listdir(folder) == []
        oo.create(folder + "/x.npy", 4 << 20).close()
        """
    )
    found = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    if not any(row[1] == "/dev/shm" and row[2] == "tmpfs" for row in found):
        pytest.skip("/dev/shm is no tmpfs here")
    folder = Path(f"/dev/shm/test-bad-files-{os.getpid()}")
    folder.mkdir()
    try:
        done = group.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    assert done.returncode == 0, done.stderr
    assert group.oom_kills == 0


MEMINFO = "MemAvailable:    8388608 kB\nSwapFree:  2097152 kB\n"
GROUP_1 = {
    "/proc/self/cgroup": "4:memory:/mine\n",
    "/sys/fs/cgroup/memory/mine/memory.limit_in_bytes": f"{1 << 30}\n",
    "/sys/fs/cgroup/memory/mine/memory.stat": f"total_rss {300 * MIB}\ntotal_swap {100 * MIB}\n",
}
GROUP_2 = {
    "/proc/self/cgroup": "0::/mine\n",
    "/sys/fs/cgroup/mine/memory.max": f"{1 << 30}\n",
    "/sys/fs/cgroup/mine/memory.stat": f"anon {100 * MIB}\nshmem {200 * MIB}\n",
    "/sys/fs/cgroup/mine/memory.swap.current": f"{100 * MIB}\n",
}


@pytest.mark.parametrize(
    ("group", "swap", "want"),
    [
        ({}, {}, (8 + 2) << 30),
        (GROUP_1, {}, (1024 - 300 + 2048) * MIB),
        (
            GROUP_1,
            {"/sys/fs/cgroup/memory/mine/memory.memsw.limit_in_bytes": f"{1536 * MIB}\n"},
            (1024 - 300 + 512 - 100) * MIB,
        ),
        (GROUP_2, {"/sys/fs/cgroup/mine/memory.swap.max": "max\n"}, (1024 - 300 + 2048) * MIB),
        (GROUP_2, {"/sys/fs/cgroup/mine/memory.swap.max": "0\n"}, (1024 - 300) * MIB),
    ],
    ids=["no group", "version 1", "version 1, swap limited", "version 2", "version 2, no swap"],
)
def test_what_memory_groups_leave_for_files_in_memory(tmp_path, monkeypatch, group, swap, want):
    for path, text in {"/proc/meminfo": MEMINFO, **group, **swap}.items():
        place = tmp_path / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    monkeypatch.setattr(groups, "_ROOT", str(tmp_path))
    assert groups.shared_room() == want


# Files that change


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_file_that_is_cut_before_the_run(npy, scheduler):
    path = npy(100_000)
    x = oo.open(path, chunks=10_000)
    os.truncate(path, 4096)
    with harmless(path), pytest.raises(TruncatedFileError, match=r"array-1\.npy"):
        x.map_blocks(np.negative, dtype="f8").compute(scheduler=scheduler)


def cuts(block, path, block_id=None):
    if block_id == (2,):
        os.truncate(path, 4096)
    return block * 2


@pytest.mark.parametrize("memory", ["1 MiB", "512 MiB"])
def test_a_file_that_is_cut_during_a_kernel(npy, memory):
    path = npy(400_000)
    x = oo.open(path, chunks=20_000)
    with harmless(), pytest.raises((OSError, TruncatedFileError, WorkerDiedError)) as caught:
        x.map_blocks(cuts, str(path), dtype="f8").sum().compute(workers=2, memory=memory)
    if isinstance(caught.value, WorkerDiedError):
        assert caught.value.signal == "SIGBUS"
        assert "truncated" in str(caught.value)
    assert path.stat().st_size == 4096


@pytest.mark.parametrize("how", ["replaced", "removed"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_an_input_that_loses_its_name_during_the_run(npy, tmp_path, scheduler, how):
    path, new = npy(1000), npy(1000)

    def loses(block, block_id=None):
        if block_id == (1,):
            os.replace(new, path) if how == "replaced" else os.unlink(path)
        return block

    x = oo.open(path, chunks=100)
    with harmless(), pytest.raises(InputChangedError, match=f"was {how}"):
        x.map_blocks(loses, dtype="f8").store(tmp_path / "y.npy", scheduler=scheduler)
    assert not (tmp_path / "y.npy").exists()


@pytest.mark.parametrize("how", ["replaced", "removed"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_an_array_that_loses_its_name_while_it_is_changed(npy, scheduler, how):
    path, new = npy(1000), npy(1000)

    def loses(block, block_id=None):
        if block_id == (1,):
            os.replace(new, path) if how == "replaced" else os.unlink(path)
        block += 1

    with (
        oo.options(scheduler=scheduler),
        pytest.raises(FileNotFoundError, match=f"was {how}") as caught,
    ):
        oo.update_blocks(loses, oo.open(path, "r+", chunks=100))
    assert caught.value.filename == str(path)


def test_another_header_of_the_same_length_is_noticed(npy):
    path = npy((10, 20), "f8")
    x = oo.open(path)
    np.save(path, np.ones((20, 10)))
    os.utime(path, ns=(1, 1))  # old kernels take no note of times this close to each other
    with (
        harmless(path),
        pytest.raises(InputChangedError, match=r"header was rewritten .* open it again"),
    ):
        x.sum().compute(scheduler="serial")
    x = oo.open(path)
    np.save(path, np.full((20, 10), 2.0))  # other data in the same layout is welcome
    assert x.sum().compute(scheduler="serial") == 400


def test_new_data_in_a_memmap_is_welcome(npy):
    path = npy(100)
    mapped = np.load(path, mmap_mode="r+")
    x = oo.from_array(mapped)
    mapped[:] = 3
    assert x.sum().compute(scheduler="serial") == 300


# Limits of the process


def test_too_few_addresses(tmp_path):
    big = tmp_path / "big.raw"
    with open(big, "wb") as file:
        file.truncate(4 << 30)
    code = PRELUDE + textwrap.dedent(
        """
        scheduler, big = sys.argv[1:]
        x = oo.open(big, shape=4 << 30, dtype="u1")
        now = int(open("/proc/self/statm").read().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 30), now + (1 << 30)))
        error = refused(
            lambda: x.sum().compute(scheduler=scheduler, workers=1, memory="64 MiB"), errno.ENOMEM
        )
        assert "big.raw" in str(error) and "4 GiB" in str(error), error
        assert "ulimit -v" in str(error), error
        """
    )
    for scheduler in SCHEDULERS:
        done = subprocess.run(
            [sys.executable, "-c", code, scheduler, big],
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, (scheduler, done.stderr)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_eight_open_files(npy, scheduler):
    path = npy(1000)
    code = PRELUDE + textwrap.dedent(
        """
        scheduler, path = sys.argv[1:]
        x = oo.open(path)
        want = x.sum().compute(scheduler=scheduler, workers=1)
        x.max().compute(scheduler=scheduler, workers=1)
        # Whatever this process has open, and no more.
        count = len(os.listdir("/proc/self/fd"))
        highest = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))
        filled = []
        while True:
            try:
                filled.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        error = refused(lambda: x.sum().compute(scheduler=scheduler, workers=1), errno.EMFILE)
        assert "x.npy" in str(error) or "array" in str(error), error
        for fd in filled:
            os.close(fd)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard[1], 8), hard[1]))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code, scheduler, path], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr


def test_too_many_mappings(npy):
    path = npy(1000)
    code = PRELUDE + textwrap.dedent(
        """
        import mmap
        x = oo.open(sys.argv[1])
        x.sum().compute(scheduler="serial")
        most = int(open("/proc/sys/vm/max_map_count").read())
        if most > 1 << 18:
            sys.exit(77)
        libc = ctypes.CDLL(None)
        libc.mmap.restype = ctypes.c_void_p
        size = 2 * (most + 10) * 4096
        start = libc.mmap(None, ctypes.c_size_t(size), 1, 0x4022, -1, 0)
        at = ctypes.c_void_p(start)
        # Every second page differs: each is a mapping of its own.
        for page in range(0, 2 * most, 2):
            if libc.mprotect(ctypes.c_void_p(start + page * 4096), ctypes.c_size_t(4096), 0):
                break
        error = refused(lambda: x.sum().compute(scheduler="serial"), errno.ENOMEM)
        assert "array-1.npy" in str(error) and "max_map_count" in str(error), error
        libc.munmap(ctypes.c_void_p(start), ctypes.c_size_t(size))
        x.sum().compute(scheduler="serial")
        """
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("this system allows too many mappings to use them up")
    assert done.returncode == 0, done.stderr


def test_clocks_zones_and_languages_make_no_difference(npy, tmp_path, monkeypatch):
    path = npy(1000)
    want = oo.open(path).mean().compute(scheduler="serial").tobytes()
    now = iter(range(10**9, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    os.utime(path, (0, 0))
    assert oo.open(path, chunks=100).mean().compute(workers=2).tobytes() == want
    monkeypatch.undo()
    code = (
        "import oocarray as oo, sys; print(oo.open(sys.argv[1]).mean().compute().tobytes().hex())"
    )
    for zone, language in (("Pacific/Kiritimati", "tr_TR.UTF-8"), ("America/Adak", "C")):
        done = subprocess.run(
            [sys.executable, "-c", code, path],
            env={**os.environ, "TZ": zone, "LC_ALL": language, "PYTHONUTF8": "0"},
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.stdout.strip() == want.hex(), done.stderr


# Functions that cannot travel


def refused_before_any_block(function, tmp_path, message, **kw):
    called = tmp_path / "called"
    x = oo.from_array(np.zeros(4), chunks=2)

    def outer(block, **given):
        called.touch()
        return function(block, **given)

    with harmless(memory=256 * MIB), pytest.raises(TypeError, match=message):
        x.map_blocks(outer, dtype="f8", **kw).compute(workers=1)
    assert not called.exists()


def test_functions_that_cannot_be_pickled(tmp_path):
    lock = threading.Lock()
    with open(os.devnull) as stream:
        refused_before_any_block(
            lambda block: (stream, block)[1], tmp_path, r"outer cannot be sent .*function"
        )
        x = oo.from_array(np.zeros(4))
        with pytest.raises(TypeError, match=r"stream \(TextIOWrapper\)"):
            x.map_blocks(lambda block: (stream, block)[1], dtype="f8").compute(workers=1)
        with pytest.raises(TypeError, match=r"guard \(lock\)"):
            x.map_blocks(lambda block, guard: block, dtype="f8", guard=lock).compute(workers=1)


def test_a_closure_that_is_too_large_is_refused_with_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(carry, "MOST", 1 * MIB)
    text = "x" * (2 * MIB)
    with harmless(), pytest.raises(TypeError, match=r"text \(str\): more than 1 MiB .*NumPy array"):
        oo.from_array(np.zeros(4)).map_blocks(lambda block: block + len(text), dtype="f8").compute(
            workers=1
        )
    assert carry.MOST == 1 * MIB


def test_a_gibibyte_in_a_closure_takes_no_second_one():
    text = bytes(1 << 30)
    with (
        harmless(memory=100 * MIB),
        pytest.raises(TypeError, match=r"text \(bytes\): more than 64 MiB"),
    ):
        oo.from_array(np.zeros(4)).map_blocks(lambda block: block + len(text), dtype="f8").compute(
            workers=1
        )


def test_a_large_array_in_a_closure_travels_by_address():
    table = np.ones(80 * MIB // 8)
    made = oo.from_array(np.zeros(4)).map_blocks(lambda block: block + table[-1], dtype="f8")
    with harmless(memory=8 * MIB):
        assert made.compute(workers=1, memory="512 MiB").tolist() == [1.0] * 4
    with pytest.raises(oo.BudgetError, match="80 MiB"):
        made.compute(workers=1, memory="16 MiB")


# One file under two names


def same_file(path: Path, how: str, folder: Path) -> Path:
    other = folder / "other.npy"
    if how == "hard link":
        os.link(path, other)
    elif how == "symbolic link":
        other.symlink_to(path)
    else:
        other = path
    return other


@pytest.mark.parametrize("how", ["hard link", "symbolic link", "same name"])
def test_input_and_output_that_are_one_file_in_other_blocks(npy, tmp_path, how):
    path = npy((20, 20))
    other = same_file(path, how, tmp_path)
    x, y = oo.open(path, chunks=(5, 20)), oo.open(other, "r+", chunks=(20, 5))
    with harmless(path):
        with pytest.raises(OverlapError):
            x[1:].map_blocks(np.negative, dtype="f8").store(y[:-1], scheduler="serial")
        with oo.options(scheduler="serial"), pytest.raises(OverlapError):
            oo.update_blocks(lambda block, shifted: None, y[1:], x[:-1])


@root
def test_input_and_output_that_are_one_file_by_two_mounts(tmp_path):
    mounted(
        """
        from oocarray.errors import OverlapError
        one, two = sys.argv[1] + "/one", sys.argv[1] + "/two"
        os.mkdir(one); os.mkdir(two)
        np.save(one + "/x.npy", np.arange(400.0).reshape(20, 20))
        mount("--bind", one, two)
        x, y = oo.open(one + "/x.npy"), oo.open(two + "/x.npy", "r+")
        try:
            x[1:].map_blocks(np.negative, dtype="f8").store(y[:-1], scheduler="serial")
        except OverlapError:
            assert np.load(one + "/x.npy").tolist() == np.arange(400.0).reshape(20, 20).tolist()
        else:
            raise SystemExit("it was not refused")
        """,
        tmp_path,
    )


def test_views_that_share_bytes_are_no_target(npy):
    path = npy(100)
    mapped = np.load(path, mmap_mode="r+")
    shared = np.lib.stride_tricks.as_strided(mapped, (50, 4), (8, 8))
    with harmless(path), pytest.raises(OverlapError):
        oo.store(oo.from_array(np.zeros((50, 4))), shared, scheduler="serial")


# Folders and modes


@pytest.mark.parametrize("named", [False, True], ids=["without a name", "with a part name"])
def test_an_unfinished_file_is_its_owners(tmp_path, named, monkeypatch):
    if named:
        without_tmpfile(monkeypatch)
    before = os.umask(0)
    try:
        draft = drafts.Draft.create(tmp_path / "x.bin", 100)
        with draft:
            if named:
                assert stat.S_IMODE(os.stat(draft.part_path).st_mode) == 0o600
                assert os.path.dirname(draft.part_path) == str(tmp_path)
            else:
                assert draft.part_path is None
                assert os.listdir(tmp_path) == []
            draft.publish()
            assert draft.part_path is None
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.bin").stat().st_mode) == 0o666


def without_tmpfile(monkeypatch):
    plain = os.open

    def opened(path, flags, *args, **kw):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no nameless files here")
        return plain(path, flags, *args, **kw)

    monkeypatch.setattr(drafts.os, "open", opened)


def test_a_folder_where_anybody_may_swap_files(tmp_path, monkeypatch):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    oo.create(folder / "x.npy", 3).close()  # a file without a name cannot be swapped
    with pytest.raises(PermissionError, match=r"any user may replace files .*chmod \+t"):
        oo.create(folder / "x.npy", 4, overwrite=True)
    without_tmpfile(monkeypatch)
    with pytest.raises(PermissionError, match="mode 777"):
        oo.create(folder / "y.npy", 3)
    assert os.listdir(folder) == ["x.npy"]
    folder.chmod(0o1777)
    oo.create(folder / "x.npy", 4, overwrite=True).close()
    assert oo.open(folder / "x.npy").shape == (4,)
