"""Ctrl-C, SIGTERM, kill -9 of the program: the prompt comes back, and nothing stays behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import oocarray as oo
from oocarray.backends import mapped

pytestmark = pytest.mark.filterwarnings("ignore::oocarray.errors.GridWarning")

HEAD = """
import ctypes, os, signal, sys, threading, time
import numpy as np
import oocarray as oo
from oocarray.runtime import pools

def at_work(block_id):
    open(f"started-{block_id[0]}", "w").close()

x = oo.from_array(np.arange(64.0), chunks=1)
options = oo.options(workers=2, scheduler="processes", progress=False, memory="256 MiB")
options.__enter__()
x.map_blocks(np.negative, dtype="f8").compute()
print(*pools._warm["processes"].pids, flush=True)
"""

# What keeps a worker busy for ever.
BUSY = {
    "sleep": "time.sleep(60)",
    "python": "while True: pass",
    "with the lock": "ctypes.PyDLL(None).sleep(60)",
    "a kernel": "spin(block)",
}
# Each is a program and its workers to be started: two that differ most, and all in the long tests.
FEW_BUSY = [
    pytest.param(how, marks=() if how in ("python", "with the lock") else pytest.mark.long)
    for how in BUSY
]
SPIN = """
import numba

@numba.njit(nogil=True)
def spin(block):
    total = 0.0
    while total >= 0.0:
        total += abs(block[0])
    return total
"""
STORE = """
def hangs(block, block_id=None):
    if block_id[0] > 0:
        at_work(block_id)
        HOW
    return block

x.map_blocks(hangs, dtype="f8").store("out/y.npy")
"""


def storing(how: str) -> str:
    """A store whose workers never end."""
    busy = BUSY[how]
    return (SPIN if "spin" in busy else "") + STORE.replace("HOW", busy)


# As on a file system that cannot make a file without a name.
NAMED = """
real = os.open
def without_tmpfile(path, flags, *args, **kwargs):
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(95, "Operation not supported", path)
    return real(path, flags, *args, **kwargs)
os.open = without_tmpfile
"""


class Program:
    """A script in a process of its own, with a folder for its output and one for temporaries."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        (folder / "out").mkdir()
        (folder / "tmp").mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-c", HEAD + textwrap.dedent(text)],
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder / "tmp")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.pids = [int(word) for word in self.process.stdout.readline().split()]

    def busy(self) -> Program:
        """Wait until both workers hang."""
        until(lambda: len(list(self.folder.glob("started-*"))) >= 2, 60)
        return self

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def heard(self, number: int) -> None:
        """Wait until a signal has been taken: a second one before that would be the same."""

        def pending() -> bool:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            words = dict(line.split(":", 1) for line in status.splitlines())
            return any(int(words[name], 16) >> (number - 1) & 1 for name in ("SigPnd", "ShdPnd"))

        until(lambda: not pending(), 60)
        time.sleep(0.5)  # Python hears of it at its next instruction

    def end(self, seconds: float) -> float:
        """Wait for the end; return how long it took."""
        began = time.monotonic()
        self.out, self.err = self.process.communicate(timeout=seconds)
        return time.monotonic() - began

    @property
    def left(self) -> list[str]:
        """What is left of it: processes, files."""
        return [
            *(f"process {pid}" for pid in self.pids if alive(pid)),
            *(f"file {name}" for name in os.listdir(self.folder / "out")),
            *(f"temporary {name}" for name in os.listdir(self.folder / "tmp")),
        ]


@pytest.fixture
def program(tmp_path) -> Iterator[Callable[[str], Program]]:
    made: list[Program] = []

    def make(text: str) -> Program:
        made.append(Program(tmp_path, text))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def until(holds: Callable[[], bool], seconds: float) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, f"not within {seconds} s"
        time.sleep(0.01)


# Seconds that a worker may take to be ended, and the disk to remove a file, on a busy machine.
SOON = 30

# Ctrl-C

AT_ANY_TIME = """
def slow(block):
    time.sleep(0.002)
    return block + 1
while True:
    x.map_blocks(slow, dtype="f8").store("out/y.npy", overwrite=True)
"""


def interrupt_at_random(program, folder: Path, seed: int) -> None:
    running = program(AT_ANY_TIME if seed % 2 else NAMED + AT_ANY_TIME)
    time.sleep(random.Random(seed).uniform(0, 0.8))
    running.send(signal.SIGINT)
    try:
        running.end(20)
    except subprocess.TimeoutExpired:
        # It may have come while Python collected garbage, which swallows it and says so.
        running.send(signal.SIGINT)
        running.end(20)
        assert "Exception ignored" in running.err
    assert running.process.returncode != 0
    assert "KeyboardInterrupt" in running.err
    until(lambda: set(running.left) <= {"file y.npy"}, SOON)
    if running.left:
        assert np.array_equal(np.load(folder / "out" / "y.npy"), np.arange(1.0, 65))


@pytest.mark.parametrize("seed", range(4))
def test_ctrl_c_at_any_time(program, seed, tmp_path):
    interrupt_at_random(program, tmp_path, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4, 210))
def test_ctrl_c_at_any_time_very_often(program, seed, tmp_path):
    interrupt_at_random(program, tmp_path, seed)


def test_ctrl_c_ends_workers_that_hang(program):
    running = program(storing("a kernel")).busy()
    running.send(signal.SIGINT)
    assert 4 < running.end(60) < 9
    assert "KeyboardInterrupt" in running.err
    until(lambda: not running.left, SOON)


@pytest.mark.parametrize("how", FEW_BUSY)
def test_a_second_ctrl_c_ends_them_at_once(program, how):
    running = program(storing(how)).busy()
    running.send(signal.SIGINT)
    running.heard(signal.SIGINT)
    running.send(signal.SIGINT)
    assert running.end(60) < 4
    assert "KeyboardInterrupt" in running.err
    until(lambda: not running.left, SOON)


# SIGTERM


@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
def test_sigterm_is_as_ctrl_c_and_then_ends_the_process(program, named):
    text = """
        def slow(block, block_id=None):
            at_work(block_id)
            time.sleep(0.4)
            return block
        try:
            x.map_blocks(slow, dtype="f8").store("out/y.npy")
        finally:
            print("not cleared away by the program itself")
    """
    running = program((NAMED if named else "") + textwrap.dedent(text)).busy()
    running.send(signal.SIGTERM)
    assert running.end(60) < 9
    assert running.process.returncode == -signal.SIGTERM
    assert running.err == ""
    assert running.out == ""
    until(lambda: not running.left, SOON)


@pytest.mark.parametrize(
    "keyword",
    ['x.map_blocks(slow, dtype="f8")', "x.map_blocks(slow)"],
    ids=["a run", "a call that shows the dtype"],
)
def test_sigterm_in_what_a_run_needs_first_removes_its_file(program, keyword):
    text = f"""
        def slow(block):
            open(f"started-{{os.getpid()}}", "w").close()
            open(f"started-too-{{os.getpid()}}", "w").close()
            time.sleep(0.3)
            return block
        def add(block, k):
            return block + k.sum()
        x.map_blocks(add, dtype="f8", k={keyword}).store("out/y.npy")
    """
    running = program(NAMED + textwrap.dedent(text)).busy()
    assert [name for name in running.left if "part" in name] != []
    running.send(signal.SIGTERM)
    running.end(60)
    assert (running.process.returncode, running.err) == (-signal.SIGTERM, "")
    until(lambda: not running.left, SOON)


def test_a_second_sigterm_ends_it_at_once(program):
    running = program(storing("sleep")).busy()
    running.send(signal.SIGTERM)
    running.heard(signal.SIGTERM)
    running.send(signal.SIGTERM)
    assert running.end(60) < 4
    assert running.process.returncode == -signal.SIGTERM
    until(lambda: not running.left, SOON)


@pytest.mark.parametrize("scheduler", ["serial", "threads"])
def test_sigterm_without_processes(program, scheduler):
    text = f"""
        def slow(block, block_id=None):
            at_work(block_id)
            time.sleep(0.1)
            return block
        x.map_blocks(slow, dtype="f8").store("out/y.npy", scheduler={scheduler!r})
    """
    running = program(NAMED + textwrap.dedent(text)).busy()
    running.send(signal.SIGTERM)
    assert running.end(60) < 9
    assert running.process.returncode == -signal.SIGTERM
    until(lambda: not running.left, SOON)


def test_a_handler_of_the_program_stays_in_force(program):
    text = """
        signal.signal(signal.SIGTERM, lambda *_: print("told", flush=True))
        def slow(block, block_id=None):
            at_work(block_id)
            time.sleep(0.1)
            return block
        print(x.map_blocks(slow, dtype="f8").sum().compute())
    """
    running = program(text).busy()
    running.send(signal.SIGTERM)
    running.end(60)
    assert running.out == "told\n2016.0\n"
    assert running.process.returncode == 0


# kill -9


@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
@pytest.mark.parametrize("how", FEW_BUSY)
def test_nothing_outlives_a_program_that_was_killed(program, how, named):
    running = program((NAMED if named else "") + storing(how)).busy()
    assert [name for name in running.left if "part" in name] != [] or not named
    running.send(signal.SIGKILL)
    running.process.wait(10)
    until(lambda: not running.left, SOON)
    running.end(5)


def test_nothing_outlives_a_program_whose_server_was_killed_before(program):
    running = program(NAMED + storing("sleep")).busy()
    for name in running.folder.glob("started-*"):
        name.unlink()
    os.kill(running.pids[0], signal.SIGKILL)
    running.busy()
    assert len(running.left) == 1
    assert running.left[0].endswith(".part")
    running.send(signal.SIGKILL)
    running.process.wait(10)
    until(lambda: not running.left, SOON)
    running.end(5)
    assert "the server of the workers" in running.err


def test_a_copy_of_its_channel_does_not_keep_the_workers(program):
    text = """
        # A child that Python knows nothing of.
        child = ctypes.CDLL(None).fork()
        if child == 0:
            ctypes.CDLL(None).sleep(60)
            os._exit(0)
        with open("child", "w") as note:
            note.write(str(child))
    """
    running = program(textwrap.dedent(text) + storing("sleep")).busy()
    running.send(signal.SIGKILL)
    running.process.wait(10)
    until(lambda: not running.left, SOON)
    os.kill(int((running.folder / "child").read_text()), signal.SIGKILL)
    running.end(30)


def test_an_output_that_is_finished_is_not_removed(program, tmp_path):
    text = """
        y = x.map_blocks(np.negative, dtype="f8")
        y.store("out/y.npy")
        print("stored", flush=True)
        time.sleep(60)
    """
    running = program(NAMED + textwrap.dedent(text))
    assert running.process.stdout is not None
    assert running.process.stdout.readline() == "stored\n"
    running.send(signal.SIGKILL)
    running.process.wait(10)
    until(lambda: running.left == ["file y.npy"], SOON)
    running.end(5)
    assert np.array_equal(np.load(tmp_path / "out" / "y.npy"), -np.arange(64.0))


# An event


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
def test_an_event_stops_a_run(scheduler, monkeypatch, tmp_path):
    stop = threading.Event()
    real = mapped.limits_of
    monkeypatch.setattr(
        mapped, "limits_of", lambda *args, **more: replace(real(*args, **more), stop=stop)
    )

    def slow(block):
        time.sleep(0.05)
        return block

    x = oo.from_array(np.arange(400.0), chunks=1)
    with oo.options(scheduler=scheduler, workers=2, progress=False, memory="256 MiB"):
        assert x.map_blocks(np.negative, dtype="f8").sum().compute() == -79800
        timer = threading.Timer(0.2, stop.set)
        timer.start()
        with pytest.raises(CancelledError, match="'slow' was stopped"):
            x.map_blocks(slow, dtype="f8").store(tmp_path / "y.npy")
        timer.join()
        assert os.listdir(tmp_path) == []
        stop.clear()
        assert x.map_blocks(np.negative, dtype="f8").sum().compute() == -79800
