"""Locks of runs on their files: who excludes whom, who is named, and when they end."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import oocarray as oo
from oocarray.pages import locks
from oocarray.runtime import locking, stageloop

SECONDS = 60.0
"""Longer than anything here takes on a busy machine."""

SCHEDULERS = ("serial", "threads", "processes")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "x.npy"
    np.save(file, np.ones(64))
    return file


def free(path: Path, exclusive: bool = True) -> bool:
    """Whether somebody who has opened the file himself gets the lock."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


class Running(threading.Thread):
    """A run that has begun and goes on until it is told to end."""

    def __init__(self, what, path, **options):
        super().__init__()
        self.begun, self.go_on, self.error = threading.Event(), threading.Event(), None
        self.what, self.path, self.options = what, path, {"scheduler": "serial", **options}

    def hold(self, block):
        self.begun.set()
        assert self.go_on.wait(SECONDS)
        return block

    def run(self):
        def change(block):
            self.hold(block)
            block += 1

        try:
            with oo.options(**self.options):
                if self.what == "update":
                    oo.update_blocks(change, oo.open(self.path, "r+", chunks=-1))
                else:
                    oo.open(self.path, chunks=-1).map_blocks(self.hold, dtype="f8").compute()
        except BaseException as error:
            self.error = error

    def __enter__(self):
        self.start()
        assert self.begun.wait(SECONDS)
        return self

    def __exit__(self, *_):
        self.go_on.set()
        self.join(SECONDS)
        assert not self.is_alive()


def grow(block):
    block += 1


def test_opening_locks_nothing(path):
    x, y = oo.open(path, "r+"), oo.open(path, "r+")
    x.view()[0] = 3
    assert free(path)
    assert y.sum().compute(scheduler="serial") == 66
    assert free(path)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_file_that_is_changed_is_nobody_elses(path, scheduler):
    with Running("update", path) as other:
        assert not free(path, exclusive=False)
        with pytest.raises(oo.ArrayLockedError, match="another run of this process") as caught:
            oo.open(path).sum().compute(scheduler=scheduler)
        assert caught.value.pids == (os.getpid(),)
        assert caught.value.filename == str(path)
        assert caught.value.errno == errno.EWOULDBLOCK
        with oo.options(scheduler=scheduler), pytest.raises(OSError, match="lock=False"):
            oo.update_blocks(grow, oo.open(path, "r+"))
        with pytest.raises(oo.ArrayLockedError, match="used by another run"):
            oo.store(oo.from_array(np.zeros(64)), oo.open(path, "r+"), scheduler=scheduler)
    assert other.error is None
    assert np.load(path).tolist() == [2.0] * 64
    with oo.options(scheduler=scheduler):
        oo.update_blocks(grow, oo.open(path, "r+"))
    assert np.load(path).tolist() == [3.0] * 64
    assert free(path)


def test_readers_share_and_keep_writers_out(path):
    with Running("read", path) as one, Running("read", path) as two:
        assert oo.open(path).sum().compute(scheduler="serial") == 64
        with oo.options(scheduler="serial"), pytest.raises(oo.ArrayLockedError, match="is used by"):
            oo.update_blocks(grow, oo.open(path, "r+"))
        assert np.load(path).tolist() == [1.0] * 64
    assert one.error is two.error is None
    assert free(path)


def test_a_lock_is_on_the_file_by_whatever_name_or_map(path, tmp_path):
    os.link(path, tmp_path / "hard.npy")
    (tmp_path / "soft.npy").symlink_to(path)
    with Running("update", path):
        for name in ("hard.npy", "soft.npy"):
            with pytest.raises(oo.ArrayLockedError):
                oo.open(tmp_path / name).sum().compute(scheduler="serial")
        mapped = np.load(path, mmap_mode="r")
        with pytest.raises(oo.ArrayLockedError):
            oo.from_array(mapped).sum().compute(scheduler="serial")


def test_a_large_argument_that_is_mapped_is_locked_too(tmp_path):
    path = tmp_path / "table.npy"
    np.save(path, np.ones(20_000))
    mapped = np.load(path, mmap_mode="r")

    def add(block, table=None):
        return block + table.sum()

    made = oo.from_array(np.zeros(4)).map_blocks(add, table=mapped, dtype="f8")
    with Running("update", path), pytest.raises(oo.ArrayLockedError, match=r"table\.npy"):
        made.compute(scheduler="processes", workers=1)
    assert made.compute(scheduler="processes", workers=1).tolist() == [40_000.0] * 4


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_run_that_fails_lets_go(path, scheduler):
    def fails(block):
        raise KeyError("no")

    with oo.options(scheduler=scheduler), pytest.raises(KeyError):
        oo.update_blocks(fails, oo.open(path, "r+"))
    assert free(path)


def test_new_files_and_lock_false_take_no_lock(path, tmp_path, monkeypatch):
    taken = []
    plain = locks.lock
    monkeypatch.setattr(
        locks, "lock", lambda fd, exclusive: taken.append(exclusive) or plain(fd, exclusive)
    )
    oo.open(path).store(tmp_path / "y.npy", scheduler="serial")
    assert taken == [False]
    taken.clear()
    with Running("update", path, lock=False), oo.options(scheduler="serial", lock=False):
        assert oo.open(path).sum().compute() == 64
        oo.update_blocks(grow, oo.open(path, "r+"))
    assert taken == []


def test_replacing_a_file_that_is_read_is_noticed_by_the_reader_only(path):
    with Running("read", path) as reader:
        oo.store(oo.from_array(np.zeros(3)), path, overwrite=True, scheduler="serial")
    assert np.load(path).tolist() == [0.0] * 3
    assert isinstance(reader.error, oo.InputChangedError)
    assert "replaced by another file while it was read" in str(reader.error)


def test_a_thread_that_was_given_up_keeps_its_lock(path, monkeypatch):
    monkeypatch.setattr(stageloop, "_GRACE_SECONDS", 0.1)
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def change(block, block_id=None):
        if block_id == (0,):
            begun.set()
            go_on.wait(SECONDS)
            ended.set()
        else:
            begun.wait(SECONDS)
            raise KeyError("no")

    try:
        with oo.options(scheduler="threads", workers=2), pytest.raises(KeyError):
            oo.update_blocks(change, oo.open(path, "r+", chunks=32))
        assert not free(path)
    finally:
        go_on.set()
    assert ended.wait(SECONDS)
    limit = time.monotonic() + SECONDS
    while not free(path) and time.monotonic() < limit:
        time.sleep(0.01)
    assert free(path)


# File systems without locks


@pytest.fixture
def no_locks(monkeypatch):
    def refuse(fd, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    monkeypatch.setattr(locking, "_warned", set())


@pytest.mark.usefixtures("no_locks")
def test_where_nothing_can_be_locked_new_files_are_made_with_a_warning(path, tmp_path):
    with pytest.warns(UserWarning, match=r"x\.npy cannot lock files \(No locks available\)"):
        oo.open(path).store(tmp_path / "y.npy", scheduler="serial")
    assert oo.open(path).sum().compute(scheduler="serial") == 64  # warnings are errors here
    with pytest.raises(OSError, match="cannot lock files") as caught:
        oo.open(path).sum().compute(scheduler="serial", lock=True)
    assert caught.value.errno == errno.ENOLCK


@pytest.mark.usefixtures("no_locks")
def test_where_nothing_can_be_locked_files_are_changed_only_when_told(path):
    x = oo.open(path, "r+")
    with oo.options(scheduler="serial"), pytest.raises(OSError, match="pass lock=False") as caught:
        oo.update_blocks(grow, x)
    assert caught.value.filename == str(path)
    assert np.load(path).tolist() == [1.0] * 64
    with oo.options(scheduler="serial", lock=False):
        oo.update_blocks(grow, x)
    assert np.load(path).tolist() == [2.0] * 64


def test_other_errors_of_the_lock_are_told_as_they_are(path, monkeypatch):
    def refuse(fd, how):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        oo.open(path).sum().compute(scheduler="serial")


def test_without_proc_nobody_is_named(path, monkeypatch):
    monkeypatch.setattr(locking.locks, "holders", lambda dev, ino: ())
    with Running("update", path), pytest.raises(oo.ArrayLockedError, match="another program"):
        oo.open(path).sum().compute(scheduler="serial")


# Other processes

ANOTHER = """
import os, sys
import oocarray as oo
path, scheduler = sys.argv[1:]
pids = []
def change(block):
    block += 1
    os.write({out}, b"in %d\\n" % os.getpid())
    os.read({inp}, 1)
for line in iter(sys.stdin.readline, ""):
    try:
        with oo.options(scheduler=scheduler, workers=1):
            oo.update_blocks(change, oo.open(path, "r+", chunks=-1))
    except oo.ArrayLockedError as error:
        print("locked", *error.pids, flush=True)
    else:
        print("done", flush=True)
"""


class Another:
    """Another process, which on request changes the file and waits in the middle of it."""

    def __init__(self, path: Path, scheduler: str = "serial") -> None:
        # What happens in a block goes by pipes of its own: workers have no standard input.
        self.heard, told = os.pipe()
        listening, self.tell = os.pipe()
        code = ANOTHER.format(out=told, inp=listening)
        if scheduler == "processes":
            # Workers inherit no descriptors: they open the pipes by way of the coordinator's.
            code = code.replace(f"os.write({told}", "os.write(os.open(OUT, os.O_WRONLY)")
            code = code.replace(f"os.read({listening}", "os.read(os.open(IN, os.O_RDONLY)")
            code = code.replace(
                "pids = []",
                f"OUT, IN = f'/proc/{{os.getpid()}}/fd/{told}', "
                f"f'/proc/{{os.getpid()}}/fd/{listening}'",
            )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(path), scheduler],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[told, listening],
            text=True,
        )
        os.close(told)
        os.close(listening)

    def begin(self) -> None:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def inside(self) -> int:
        """Wait until it is inside a block; return the process id of who works on it."""
        word, pid = os.read(self.heard, 100).split()
        assert word == b"in"
        return int(pid)

    def end(self) -> None:
        os.write(self.tell, b"\n")

    def answer(self) -> list[str]:
        return self.process.stdout.readline().split()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self.heard)
        os.close(self.tell)


@contextlib.contextmanager
def others(count: int, path: Path, scheduler: str = "serial") -> Iterator[list[Another]]:
    made = [Another(path, scheduler) for _ in range(count)]
    try:
        yield made
    finally:
        for one in made:
            one.close()


def test_another_process_is_named(path):
    with others(1, path) as (other,):
        other.begin()
        assert other.inside() == other.process.pid
        for run in (
            lambda: oo.open(path).sum().compute(),
            lambda: oo.update_blocks(grow, oo.open(path, "r+")),
        ):
            with pytest.raises(
                oo.ArrayLockedError, match=f"process {other.process.pid};"
            ) as caught:
                run()
            assert caught.value.pids == (other.process.pid,)
        other.end()
        assert other.answer() == ["done"]
        assert oo.open(path).sum().compute(scheduler="serial") == 128


def stat_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_worker_that_outlives_its_program_keeps_the_lock(path):
    with others(1, path, "processes") as (other,):
        other.begin()
        worker = other.inside()
        server = int(stat_of(worker)[1])
        stopped = (server, worker)
        try:
            # Asleep they cannot notice that the program is gone.
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
                while stat_of(pid)[0] != "T":
                    time.sleep(0.01)
            other.process.kill()
            other.process.wait(SECONDS)
            with pytest.raises(oo.ArrayLockedError, match=f"process {worker};") as caught:
                oo.open(path).sum().compute(scheduler="serial")
            assert caught.value.pids == (worker,)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        limit = time.monotonic() + SECONDS
        while not free(path) and time.monotonic() < limit:
            time.sleep(0.02)
        assert oo.open(path).sum().compute(scheduler="serial") in (64, 128)


@pytest.mark.parametrize("scheduler", ["serial", "threads"])
def test_a_forked_child_does_not_keep_the_parents_lock(path, scheduler):
    code = """
import os, sys, time
import oocarray as oo
def change(block):
    if os.fork() == 0:
        print(os.getpid(), flush=True)
    time.sleep(600)
with oo.options(scheduler=sys.argv[2]):
    oo.update_blocks(change, oo.open(sys.argv[1], "r+"))
"""
    command = [sys.executable, "-W", "ignore", "-c", code, str(path), scheduler]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        try:
            assert not free(path)
            parent.kill()
            parent.wait(SECONDS)
            os.kill(child, 0)
            assert free(path)
        finally:
            os.kill(child, signal.SIGKILL)


def race(path: Path, times: int) -> None:
    """Let two processes begin to change a file at once; exactly one may."""
    with others(2, path) as pair:
        winners = [0, 0]
        for _ in range(times):
            for one in pair:
                one.begin()
            # The loser says so at once; the winner waits inside its block.
            ready = _first_locked(pair)
            winner, loser = pair[1 - ready], pair[ready]
            assert loser.answer() == ["locked", str(winner.process.pid)]
            assert winner.inside() == winner.process.pid
            winner.end()
            assert winner.answer() == ["done"]
            winners[1 - ready] += 1
        assert sum(winners) == times
    assert np.load(path).tolist() == [1.0 + times] * 64


def _first_locked(pair: list[Another]) -> int:
    import select

    streams = [one.process.stdout for one in pair]
    ready, _, _ = select.select(streams, [], [], SECONDS)
    assert len(ready) == 1, "both processes, or neither, were refused"
    return streams.index(ready[0])


def test_two_writers_never_both_begin(path):
    race(path, 50)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_two_writers_never_both_begin_in_a_thousand_races(path):
    race(path, 1000)
