"""Workers that die, at any moment and by any signal: what is made is right, or nothing is."""

from __future__ import annotations

import ctypes
import importlib
import logging
import mmap
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import oocarray as oo
from oocarray.errors import (
    BlockFailedError,
    OocarrayError,
    ProtocolError,
    TornBlockError,
    TruncatedFileError,
    WorkerDiedError,
)
from oocarray.runtime import boot, causes, handle, pools, processes

pytestmark = pytest.mark.filterwarnings("ignore::oocarray.errors.GridWarning")

BLOCKS, SIZE = 48, 500


@pytest.fixture(autouse=True)
def two_workers() -> Iterator[None]:
    with oo.options(scheduler="processes", workers=2, memory="256 MiB", progress=False):
        yield


@pytest.fixture
def deaths(caplog) -> Callable[[], list[str]]:
    """What was said of workers that died, so far."""
    caplog.set_level(logging.WARNING, "oocarray")

    def found() -> list[str]:
        said = [record.getMessage() for record in caplog.records]
        return [text for text in said if text.startswith("worker process")]

    return found


def numbers(blocks: int = BLOCKS, size: int = SIZE) -> oo.Array:
    return oo.from_array(np.arange(blocks * size, dtype="f8"), chunks=size)


# How a worker dies


def bus_error() -> None:
    fd = os.memfd_create("short")
    os.ftruncate(fd, 4096)
    pages = mmap.mmap(fd, 4096)
    os.ftruncate(fd, 0)
    pages[0]


DEATHS = {
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGSEGV": lambda: ctypes.string_at(0),
    "SIGBUS": bus_error,
    "SIGABRT": os.abort,
    "exit code 3": lambda: os._exit(3),
}


def die_once(how: str, flag: str) -> None:
    """Die, unless somebody has died of this before."""
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    DEATHS[how]()


def until_gone(pid: int) -> None:
    """Wait for the end of a process, all its threads included, or until it waits to be buried."""
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        try:
            threads = os.listdir(f"/proc/{pid}/task")
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state in "ZX" and threads == [str(pid)]:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} is still there")


def until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


# Random kills


class Killer(threading.Thread):
    """Kills processes of the warm pool at random times, no more than two in one run.

    A third could hit the same block for the third time, and then the run ends, rightly.
    """

    def __init__(self, kills: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.kills, self.random = kills, random.Random(seed)
        self.lock, self.in_this_run = threading.Lock(), 0

    def new_run(self) -> None:
        with self.lock:
            self.in_this_run = 0

    def run(self) -> None:
        while self.kills:
            time.sleep(self.random.uniform(0.01, 0.1))
            with self.lock:
                if self.in_this_run < 2 and self.kill():
                    self.kills -= 1
                    self.in_this_run += 1

    def kill(self) -> bool:
        try:
            server, *workers = pools._warm["processes"].pids
            victims = [server] if self.random.random() < 0.08 else workers
            os.kill(self.random.choice(victims), signal.SIGKILL)
        except (RuntimeError, KeyError, IndexError, ProcessLookupError):
            return False  # it is changing right now
        return True


def functions() -> dict[str, Callable]:
    """Functions that travel by value: a new worker need not import this file, which takes long."""

    def adds_to_zeros(out, block):
        # Right only if what it is to fill was zero before.
        out[::2] += block[::2]
        time.sleep(0.003)
        out[::2] += 1

    def root(block):
        time.sleep(0.003)
        return np.sqrt(block)

    def both(block):
        time.sleep(0.003)
        return block + 1, np.sqrt(block)

    def doubles(block):
        half = block.shape[1] // 2
        block[:, :half] *= 2
        time.sleep(0.004)
        block[:, half:] *= 2

    return {f.__name__: f for f in (adds_to_zeros, root, both, doubles)}


BY_VALUE = functions()


def map_to_files(folder: Path) -> list[bytes]:
    oo.map_blocks.options(form="out")(BY_VALUE["adds_to_zeros"], numbers(), dtype="f8").store(
        folder / "a.npy", overwrite=True
    )
    return [(folder / "a.npy").read_bytes()]


def reduce_all(folder: Path) -> list[bytes]:
    y = numbers().map_blocks(BY_VALUE["root"], dtype="f8")
    return [np.asarray(part).tobytes() for part in oo.compute(y.sum(), y.var(), y.max(), y)]


def two_outputs(folder: Path) -> list[bytes]:
    low, high = oo.map_blocks.options(nout=2)(BY_VALUE["both"], numbers(), dtype="f8")
    path = folder / "there.npy"
    if not path.exists():
        oo.create(path, BLOCKS * SIZE, "f8", fill_value=7)
    there = oo.open(path, mode="r+")
    oo.store([low, high], [folder / "low.npy", there], overwrite=True)
    return [(folder / name).read_bytes() for name in ("low.npy", "there.npy")]


WORK = {"map": map_to_files, "reductions": reduce_all, "two outputs": two_outputs}


def kill_at_random(work: str, kills: int, seed: int, folder: Path) -> None:
    run = WORK[work]
    with oo.options(scheduler="serial"):
        expected = run(folder)
    assert run(folder) == expected
    killer = Killer(kills, seed)
    killer.start()
    while killer.is_alive():
        killer.new_run()
        assert run(folder) == expected
    assert run(folder) == expected
    assert not list(folder.glob(".*")), "a part of a file was left"


@pytest.mark.parametrize("work", WORK)
def test_runs_are_right_whoever_is_killed(work, tmp_path):
    kill_at_random(work, 20, seed=len(work), folder=tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("work", WORK)
def test_runs_are_right_whoever_is_killed_a_thousand_times(work, seed, tmp_path):
    kill_at_random(work, 84, seed, tmp_path)


# Each step of a task


def dies_when_unpickled(how: str, flag: str) -> int:
    die_once(how, flag)
    return 1


class Late:
    """Kills whoever unpickles it, once."""

    def __init__(self, how: str, flag: str) -> None:
        self.how, self.flag = how, flag

    def __reduce__(self):
        return dies_when_unpickled, (self.how, self.flag)


def waylay(owner: str, name: str, how: str, flag: str) -> None:
    """Have this process die when it next calls a function of ours."""
    module, _, kind = owner.partition(":")
    holder = importlib.import_module(f"oocarray.runtime.{module}")
    holder = getattr(holder, kind) if kind else holder
    original = getattr(holder, name)

    def dying(*args, **kwargs):
        die_once(how, flag)
        return original(*args, **kwargs)

    setattr(holder, name, dying)


STEPS = {
    "a file is opened": ("loop", "Engine"),
    "functions arrive": None,
    "pages are brought in": ("engine:Engine", "prefetch"),
    "a task begins": ("engine:Engine", "compute"),
    "a block is computed": ("evaluate:Evaluator", "call"),
    "writing begins": ("engine:Engine", "start_writing"),
    "pages are let go of": ("engine:Engine", "retire"),
    "a task is answered": ("channel:Channel", "send"),
}


def waylaid(block, step, how, flag, block_id=None):
    if step is not None and not Path(flag).exists():
        waylay(*step, how, flag)
    return block * 2


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> oo.Array:
    """An array that does not fit the memory it is given: pages come and go."""
    path = tmp_path_factory.mktemp("stored") / "x.npy"
    np.save(path, np.arange(1 << 20, dtype="f8"))
    return oo.open(path, chunks=1 << 14)


@pytest.mark.parametrize("how", DEATHS)
@pytest.mark.parametrize("step", STEPS)
def test_a_death_at_any_step_costs_nothing(step, how, stored, deaths, tmp_path):
    flag = str(tmp_path / "flag")
    late = Late(how, flag) if STEPS[step] is None else 1
    made = oo.map_blocks(waylaid, stored, STEPS[step], how, flag, dtype="f8")
    made = oo.map_blocks(lambda block, late: block * late, made, late, dtype="f8")
    with oo.options(memory="10 MiB"):
        for run in range(6):
            # Who opens its files, say, has opened them before it can be waylaid.
            if run > 1 and os.path.exists(flag):
                break
            made.store(tmp_path / f"{run}.npy")
            assert np.array_equal(np.load(tmp_path / f"{run}.npy"), np.arange(1 << 20) * 2.0)
    assert os.path.exists(flag)
    (death,) = deaths()
    assert f"ended by {how} " in death


@pytest.mark.parametrize("how", DEATHS)
def test_a_death_between_two_runs_is_nothing_to_speak_of(how, deaths):
    numbers(4).map_blocks(np.negative, dtype="f8").compute()
    pool = pools._warm["processes"]
    _, victim, _ = pool.pids
    os.kill(victim, getattr(signal, how, signal.SIGTERM))
    until_gone(victim)
    assert numbers(4).map_blocks(BY_VALUE["root"], dtype="f8").sum().compute() > 0
    assert victim not in pool.pids
    assert deaths() == []


def test_the_server_may_die_between_two_runs(deaths):
    numbers(4).map_blocks(np.negative, dtype="f8").compute()
    for pid in pools._warm["processes"].pids:
        os.kill(pid, signal.SIGKILL)
        until_gone(pid)
    assert numbers(4).map_blocks(BY_VALUE["root"], dtype="f8").sum().compute() > 0
    assert deaths() == []


# Which block it was


def dies_at(block, at, how="SIGKILL", block_id=None):
    if block_id == at:
        DEATHS[how]()
    return block + 1


@pytest.mark.parametrize("how", DEATHS)
def test_a_block_that_always_dies_is_named_also_in_a_task_of_many(how, deaths):
    # Small blocks: a task has several of them.
    x = oo.from_array(np.arange(900.0), chunks=1)
    with pytest.raises(BlockFailedError) as caught:
        oo.map_blocks(dies_at, x, (777,), how, dtype="f8").compute()
    assert caught.value.block == (777,)
    assert caught.value.signal == how
    text = str(caught.value)
    assert "block (777,) of 'dies_at' ended its worker process 3 times" in text
    assert how in text
    assert isinstance(caught.value.__cause__, WorkerDiedError)
    assert caught.value.__cause__.block == (777,)
    assert all("block (777,)" in death for death in deaths())
    assert len(deaths()) == 2


def test_other_blocks_of_the_run_are_made_while_one_is_tried(tmp_path):
    with pytest.raises(BlockFailedError):
        oo.map_blocks(dies_at, numbers(), (5,), dtype="f8").store(tmp_path / "y.npy")
    assert os.listdir(tmp_path) == []


def dies_in_company(block, folder, block_id=None):
    """As with memory: survived only by a block that has the machine to itself."""
    own = Path(folder, f"at-{os.getpid()}")
    own.touch()
    time.sleep(0.01)
    if block_id == (3,) and len(os.listdir(folder)) > 1:
        own.unlink()
        DEATHS["SIGKILL"]()
    own.unlink()
    return block


def test_the_last_try_of_a_block_is_alone(tmp_path):
    assert oo.map_blocks(dies_in_company, numbers(), str(tmp_path), dtype="f8").sum().compute() == (
        np.arange(BLOCKS * SIZE).sum()
    )


# What is said


def dies_loudly(block, block_id=None):
    if block_id == (2,):
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
        os.abort()
    return block


def test_last_words_are_quoted(capfd):
    with pytest.raises(BlockFailedError) as caught:
        numbers(4).map_blocks(dies_loudly, dtype="f8").compute()
    (note,) = caught.value.__notes__
    assert "terminate called after throwing an instance of 'std::bad_alloc'" in note
    assert "Fatal Python error: Aborted" in note
    assert "in dies_loudly" in note
    assert "oocarray-io" not in note
    assert note.count("\n") < 30
    assert "Fatal Python error" not in capfd.readouterr().err


def mutters(block, block_id=None):
    os.write(2, b"past Python %d\n" % block_id[0])
    return block


def test_what_libraries_say_past_python_is_heard(capsys):
    numbers(3).map_blocks(mutters, dtype="f8").compute()
    err = capsys.readouterr().err
    assert sorted(err.splitlines()) == [f"[block ({n},)] past Python {n}" for n in range(3)]


def test_a_flood_of_words_does_not_fill_the_memory(capsys):
    def floods(block):
        os.write(2, b"x" * (2 << 20) + b"\n")
        size = os.fstat(2).st_size
        return np.full(1, float(size))

    sizes = oo.map_blocks(floods, numbers(12, 1), dtype="f8").compute()
    assert sizes.max() <= (3 << 20) + 1
    assert len(capsys.readouterr().err) == 12 * ((2 << 20) + 1 + len("[block (1,)] ")) + 2


def test_a_file_that_was_cut_is_named(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.ones(1 << 16))

    def cuts(block, block_id=None):
        if block_id == (3,):
            os.truncate(path, 4096)
        return block.sum(keepdims=True)

    y = oo.map_blocks(cuts, oo.open(path, chunks=1 << 12), dtype="f8", chunks=((1,) * 16,))
    with pytest.raises(TruncatedFileError, match=r"x\.npy"):
        y.compute()

    np.save(path, np.ones(1 << 16))

    def cuts_and_changes(block, block_id=None):
        if block_id == (3,):
            os.truncate(path, 4096)
        block += 1

    # One worker: another would see it first, and say so without dying.
    cut = r"SIGBUS.*x\.npy was cut to 4 KiB \(4096 bytes\)"
    with oo.options(workers=1), pytest.raises(TornBlockError, match=cut):
        oo.update_blocks(cuts_and_changes, oo.open(path, "r+", chunks=1 << 12))


@pytest.mark.parametrize(
    ("how", "room", "kills", "said"),
    [
        ("SIGBUS", 0, 0, "the disk of /x.npy is full"),
        ("SIGBUS", 9, 0, "a file that was truncated while it was mapped, or a full disk"),
        ("SIGKILL", 0, 0, "a memory limit, or somebody's kill"),
        ("SIGKILL", 9, 1, "ended it for want of room within the limit of 64 MiB; set memory="),
        ("exit code 9", 9, 1, ""),
    ],
)
def test_causes_are_looked_for(how, room, kills, said, monkeypatch):
    counts = iter([(3, 64 << 20), (3 + kills, 64 << 20)])
    monkeypatch.setattr(causes, "memory_kills", lambda: next(counts))
    fd = os.memfd_create("x")
    os.ftruncate(fd, 4096)
    key = oo.storage.filekey.FileKey.of(fd, "/x.npy")
    found = os.fstatvfs(fd)
    state = list(found)
    state[2], state[4] = 100, room  # blocks in all, and those that are left
    monkeypatch.setattr(causes.os, "fstatvfs", lambda fd: os.statvfs_result(state))
    known = causes.Causes([(key, fd)])
    assert said in known.of(how)
    assert bool(known.of(how)) == bool(said) if how != "SIGKILL" else True
    os.close(fd)


OUT_OF_MEMORY = """
    import numpy as np, oocarray as oo
    def hoards(block, block_id=None):
        if block_id == (5,):
            np.ones(1 << 27).sum()
        return block
    x = oo.from_array(np.arange(40.0), chunks=1)
    with oo.options(workers=2, memory="64 MiB", progress=False):
        try:
            oo.map_blocks(hoards, x, dtype="f8").compute()
        except oo.BlockFailedError as error:
            print(error.block, error.signal)
            print(error)
        print(x.map_blocks(np.negative, dtype="f8").sum().compute())
"""


def test_a_block_that_needs_too_much_memory_is_named(memory_cgroup):
    group = memory_cgroup(600 << 20)
    done = group.run(
        [sys.executable, "-c", textwrap.dedent(OUT_OF_MEMORY)], capture_output=True, text=True
    )
    first, second, third = done.stdout.splitlines()
    assert first == "(5,) SIGKILL", done.stderr
    assert "out of memory" in second
    assert "the limit of 600 MiB" in second
    assert third == "-780.0"
    assert group.oom_kills >= 3


# What is no message


def channel_of_this_worker() -> int:
    names = [name for name in os.listdir("/proc/self/fd") if int(name) > 2]
    links = {}
    for name in names:
        try:
            links[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    (found,) = [fd for fd, link in links.items() if link.startswith("socket:")]
    return found


def frame(payload: bytes, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return b"ooc1" + size.to_bytes(8, "little") + bytes(4) + payload


NONSENSE = {
    "garbage": (b"\x00\xffgarbage" * 5, "not a frame"),
    "a frame of 4 GiB": (frame(b"", 4 << 30), "not a frame"),
    "half a frame": (frame(b"half", 100), "silence for 0.5 s in the middle of a frame"),
    "no pickle": (frame(b"no pickle"), "a frame of 9 bytes is no message"),
    "another object": (frame(b"\x80\x04K\x05."), "it sent what is not in the protocol: 5"),
    "the end": (b"", "it closed its channel and went on"),
}


def says(block, text, flag, block_id=None):
    if block_id == (4,):
        if flag:
            try:
                os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return block
        fd = channel_of_this_worker()
        if text:
            os.write(fd, text)
            time.sleep(60)
        # With the interpreter lock in hand, so that nothing here notices.
        ctypes.PyDLL(None).shutdown(fd, 2)
        ctypes.PyDLL(None).sleep(60)
    return block


@pytest.mark.parametrize("what", NONSENSE)
def test_a_worker_that_talks_nonsense_is_replaced(what, deaths, tmp_path, monkeypatch):
    monkeypatch.setattr(handle, "_PATIENCE", 0.5)
    monkeypatch.setattr(processes, "_END_SECONDS", 0.5)
    pools.close_pools()
    text, said = NONSENSE[what]
    y = oo.map_blocks(says, numbers(12), text, str(tmp_path / "flag"), dtype="f8")
    assert np.array_equal(y.compute(), np.arange(12.0 * SIZE))
    (death,) = deaths()
    assert said in death
    with pytest.raises(BlockFailedError) as caught:
        oo.map_blocks(says, numbers(12), text, "", dtype="f8").compute()
    assert caught.value.block == (4,)
    assert isinstance(caught.value.__cause__.__cause__, ProtocolError)
    pools.close_pools()


# Children of workers


def forks(block, folder, block_id=None):
    if block_id[0] % 4 == 3 and os.fork() == 0:
        # Goes on as if it were the worker.
        Path(folder, str(os.getpid())).touch()
        time.sleep(0.05)
    block += 1


@pytest.mark.parametrize("size", [1, 1 << 14])
def test_a_forked_child_does_not_work_as_the_worker(size, deaths, tmp_path):
    # Tasks of many blocks, and of one.
    (tmp_path / "children").mkdir()
    np.save(tmp_path / "x.npy", np.zeros(80 * size))
    x = oo.open(tmp_path / "x.npy", "r+", chunks=size)
    with oo.options(memory="8 MiB"):
        oo.update_blocks(forks, x, str(tmp_path / "children"))
    until(lambda: len(os.listdir(tmp_path / "children")) == 20)
    for name in os.listdir(tmp_path / "children"):
        until_gone(int(name))
    after = np.load(tmp_path / "x.npy").reshape(80, size)
    # What the function itself does in its child is its own doing.
    assert (after[np.arange(80) % 4 != 3] == 1).all()
    assert deaths() == []


def leaves_a_child_and_dies(block, flag, block_id=None):
    if block_id == (3,) and not os.path.exists(flag):
        # Python does not know of it: it keeps a copy of everything that is open. PyDLL keeps
        # the interpreter's lock: held by another thread at the fork, it would never be free again.
        if ctypes.PyDLL(None).fork() == 0:
            Path(flag + "-child").write_text(str(os.getpid()))
            ctypes.CDLL(None).sleep(60)
            os._exit(0)
        until(lambda: os.path.exists(flag + "-child"))
        die_once("SIGKILL", flag)
    return block + 1


def test_the_end_of_a_worker_is_seen_though_its_channel_stays_open(deaths, tmp_path):
    began = time.monotonic()
    y = oo.map_blocks(leaves_a_child_and_dies, numbers(12), str(tmp_path / "flag"), dtype="f8")
    assert np.array_equal(y.compute(), np.arange(12.0 * SIZE) + 1)
    assert time.monotonic() - began < 30
    assert len(deaths()) == 1
    os.kill(int((tmp_path / "flag-child").read_text()), signal.SIGKILL)


# Workers that cannot be started


def test_a_pool_that_cannot_start_again_says_so(monkeypatch):
    numbers(4).map_blocks(np.negative, dtype="f8").compute()
    flag = {"ends": 0}
    real = boot._boot

    def ends_at_once():
        flag["ends"] += 1
        channel, process = real()
        process.kill()
        return channel, process

    def kills_the_server(block, block_id=None):
        if block_id == (2,):
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(30)
        return block

    monkeypatch.setattr(boot, "_boot", ends_at_once)
    with pytest.raises(OocarrayError, match=r"worker processes did not start.*threads"):
        numbers(8).map_blocks(kills_the_server, dtype="f8").compute()
    assert 1 <= flag["ends"] <= 5
    monkeypatch.undo()
    assert numbers(4).map_blocks(BY_VALUE["root"], dtype="f8").sum().compute() > 0


def test_functions_that_kill_whoever_unpickles_them_do_not_do_so_for_ever():
    class Deadly:
        def __reduce__(self):
            return os._exit, (7,)

    def takes(block, deadly):
        return block

    with pytest.raises(
        WorkerDiedError, match="exit code 7 while it loaded the functions"
    ) as caught:
        oo.map_blocks(takes, numbers(8), Deadly(), dtype="f8").compute()
    assert caught.value.block is None
    assert numbers(4).map_blocks(BY_VALUE["root"], dtype="f8").sum().compute() > 0


# Updates in place


def update_and_kill(path: Path, choice: random.Random) -> bool:
    """Update an array in place while workers are killed; tell whether blocks were torn."""
    np.save(path, np.ones((BLOCKS, 64)))
    x = oo.open(path, "r+", chunks=(1, 64))
    timers = []
    _, *workers = pools._warm["processes"].pids
    # One worker, or both at once, or one after the other.
    first = choice.uniform(0.0, 0.12)
    for number, pid in enumerate(choice.sample(workers, choice.choice([1, 2]))):
        late = first + number * choice.choice([0.0, 0.02])
        timers.append(threading.Timer(late, os.kill, (pid, signal.SIGKILL)))
    for timer in timers:
        timer.start()
    error = None
    try:
        oo.update_blocks(BY_VALUE["doubles"], x)
    except TornBlockError as caught:
        error = caught
    for timer in timers:
        timer.join()
    torn, changed = (), np.ones((BLOCKS, 1), bool)
    if error is not None:
        torn, changed = error.blocks, error.changed
        assert 1 <= len(torn) <= 2
        assert error.block in torn
        assert all(str(block) in str(error) for block in torn)
    after = np.load(path)
    for number in range(BLOCKS):
        if (number, 0) not in torn:
            assert (after[number] == 1.0 + changed[number, 0]).all(), (number, torn)
    numbers(4).map_blocks(np.negative, dtype="f8").compute()
    return bool(torn)


@pytest.mark.parametrize("runs", [10, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.timeout(600)
def test_an_update_in_place_names_exactly_what_is_torn(runs, tmp_path):
    numbers(4).map_blocks(np.negative, dtype="f8").compute()
    choice = random.Random(runs)
    torn = done = 0
    while done < runs or (torn < runs // 3 and done < 5 * runs):
        torn += update_and_kill(tmp_path / "x.npy", choice)
        done += 1
    assert torn >= runs // 3, "most of the kills hit no block"


IN_PLACE = {
    "pages are brought in": ("engine:Engine", "prefetch"),
    "a task begins": ("engine:Engine", "compute"),
    "writing begins": ("engine:Engine", "start_writing"),
    "pages are let go of": ("engine:Engine", "retire"),
    "a task is answered": ("channel:Channel", "send"),
}


@pytest.mark.parametrize("step", IN_PLACE)
def test_a_death_beside_all_blocks_does_not_stop_an_update(step, deaths, tmp_path):
    np.save(tmp_path / "x.npy", np.ones(1 << 20))
    flag = str(tmp_path / "flag")

    def doubles(block, block_id=None):
        block *= 2
        if block_id[0] % 2 and not os.path.exists(flag):
            waylay(*IN_PLACE[step], "SIGKILL", flag)

    torn, changed = (), np.ones(64, bool)
    try:
        with oo.options(memory="6 MiB", workers=1):
            oo.update_blocks(doubles, oo.open(tmp_path / "x.npy", "r+", chunks=1 << 14))
    except TornBlockError as error:
        # The other thread was in the middle of a block.
        torn, changed = error.blocks, error.changed
    after = np.load(tmp_path / "x.npy").reshape(64, -1)
    assert len(torn) <= 1
    assert all((after[n] == 1.0 + changed[n]).all() for n in range(64) if (n,) not in torn)
    assert os.path.exists(flag)
    pools.close_pools()


@pytest.mark.parametrize("layout", [{"compressors": "zstd"}, {"shards": False, "chunks": 1 << 12}])
@pytest.mark.parametrize("step", ["writing begins", "pages are let go of", "a task is answered"])
def test_a_death_before_blocks_of_zarr_are_stored_is_no_success(step, layout, deaths, tmp_path):
    """Its blocks lie in memory until their task is over."""
    oo.from_array(np.ones(1 << 20)).store(tmp_path / "x.zarr", **{"chunks": 1 << 14, **layout})
    flag = str(tmp_path / "flag")

    def doubles(block, block_id=None):
        block *= 2
        if block_id[0] % 2 and not os.path.exists(flag):
            waylay(*IN_PLACE[step], "SIGKILL", flag)

    torn, changed = (), np.ones(64, bool)
    try:
        with oo.options(memory="6 MiB", workers=1):
            oo.update_blocks(doubles, oo.open(tmp_path / "x.zarr", "r+", chunks=1 << 14))
    except TornBlockError as error:
        torn, changed = error.blocks, error.changed
    after = oo.open(tmp_path / "x.zarr").compute().reshape(64, -1)
    for number in range(64):
        if (number,) not in torn:
            assert (after[number] == 1.0 + changed[number]).all(), (number, torn)
    assert os.path.exists(flag)
    pools.close_pools()


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
def test_an_exception_in_an_update_of_zarr_says_nothing_untrue(scheduler, tmp_path):
    oo.from_array(np.ones(40)).store(tmp_path / "x.zarr", chunks=4, compressors="zstd")

    def fails(block, block_id=None):
        if block_id == (3,):
            raise ValueError("no more")
        block[:] = 7

    x = oo.open(tmp_path / "x.zarr", "r+", chunks=4)
    with (
        oo.options(scheduler=scheduler, workers=1),
        pytest.raises(ValueError, match="no more") as caught,
    ):
        oo.update_blocks(fails, x)
    found = oo.open(tmp_path / "x.zarr").compute().reshape(10, 4)
    text = "\n".join(caught.value.__notes__)
    assert "(3,)" in text
    for number in range(10):
        if f"({number},)" not in text:
            assert len(set(found[number])) == 1


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
def test_an_exception_in_an_update_says_what_was_changed(scheduler, tmp_path):
    np.save(tmp_path / "x.npy", np.ones(40))

    def fails(block, block_id=None):
        block[:2] = 7
        if block_id == (3,):
            raise ValueError("no more")
        block[:] = 7

    with (
        oo.options(scheduler=scheduler, workers=1),
        pytest.raises(ValueError, match="no more") as e,
    ):
        oo.update_blocks(fails, oo.open(tmp_path / "x.npy", "r+", chunks=4))
    (note,) = [note for note in e.value.__notes__ if "update in place" in note]
    assert "blocks that may be half changed: (3,); " in note
    # A worker goes on with what it has been given until it hears of the end.
    (wholly,) = re.findall(r"; (\d+) of 10 blocks were changed wholly", note)
    after = np.load(tmp_path / "x.npy").reshape(10, 4)
    changed = (after == 7).all(axis=1)
    assert changed.sum() == int(wholly)
    assert changed[:3].all()
    assert (after[3] == (7, 7, 1, 1)).all()
    assert (after[4:][~changed[4:]] == 1).all()


def test_nothing_is_left_of_all_this():
    pools.close_pools()
    command = ["ps", "-eo", "ppid,cmd"]
    rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    mine = [row for row in rows.splitlines() if row.split()[0] == str(os.getpid())]
    assert not [row for row in mine if "oocarray.runtime.server" in row]


@pytest.mark.parametrize(("blocks", "workers"), [(1, 1), (4, 4), (1, 4)])
@pytest.mark.parametrize("work", ["map", "store", "reduction", "update"])
def test_the_first_block_may_be_the_last_that_is_left(work, blocks, workers, tmp_path):
    np.save(tmp_path / "x.npy", np.arange(4.0 * blocks))
    flag = str(tmp_path / "flag")

    def once(block, block_id=None):
        if block_id == (0,):
            if workers > 1:
                time.sleep(0.5)  # the others are done by then
            try:
                os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return block + 1

    def once_in_place(block, block_id=None):
        block[...] = once(block, block_id)

    expected = np.arange(4.0 * blocks) + 1
    with oo.options(workers=workers, progress=False):
        x = oo.open(tmp_path / "x.npy", "r+", chunks=4)
        if work == "update":
            with pytest.raises(TornBlockError) as e:
                oo.update_blocks(once_in_place, x)
            assert e.value.blocks == ((0,),)
            return
        y = oo.map_blocks(once, x, dtype="f8")
        if work == "map":
            assert (y.compute() == expected).all()
        elif work == "store":
            y.store(tmp_path / "y.npy")
            assert (np.load(tmp_path / "y.npy") == expected).all()
        else:
            assert y.sum().compute() == expected.sum()
    assert os.path.exists(flag)
