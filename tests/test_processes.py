"""Runs on real worker processes: how they are told, how they die, what they leave behind."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import importlib.util
import logging
import math
import mmap
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import oocarray as oo
from oocarray.errors import (
    BlockFailedError,
    InputChangedError,
    TornBlockError,
    TruncatedFileError,
    WorkerDiedError,
)
from oocarray.runtime import pools

# Tiny blocks of tiny files: each page is read many times over, which is warned of elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore::oocarray.errors.GridWarning")

# Seconds: some tenths on a machine that is idle, ten where others were waited for.
AT_ONCE = 5.0


@pytest.fixture(autouse=True)
def two_workers() -> Iterator[None]:
    """Run on two processes, warm before anything is measured."""
    with oo.options(scheduler="processes", workers=2, memory="256 MiB", progress=False):
        pool = pools._warm.get("processes")
        if pool is None or not pool.alive or len(pool.pids) != 3:
            numbers(4, 1).map_blocks(np.negative, dtype="i8").compute()
        yield


def numbers(size: int, block: int) -> oo.Array:
    return oo.from_array(np.arange(size), chunks=block)


# How a worker dies


def bus_error() -> None:
    """Load from a mapping whose file has become shorter."""
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


def dies(block, how, note, block_id=None):
    if block_id == (5,):
        Path(note).write_text(repr(time.monotonic()))
        DEATHS[how]()
    return block + 1


@pytest.mark.parametrize("how", DEATHS)
def test_a_dead_worker_is_named_at_once_and_the_next_run_works(how, tmp_path, no_leaks):
    note = tmp_path / "died-at"
    x = numbers(24, 2)
    with pytest.raises(BlockFailedError) as caught:
        oo.map_blocks(dies, x, how, str(note), dtype="i8").compute()
    assert time.monotonic() - float(note.read_text()) < AT_ONCE
    assert caught.value.signal == how
    assert caught.value.block == (5,)
    assert how in str(caught.value)
    assert "block (5,)" in str(caught.value)
    death = caught.value.__cause__
    assert isinstance(death, WorkerDiedError)
    assert death.pid > 0
    assert not os.path.exists(f"/proc/{death.pid}")
    assert (x.map_blocks(np.negative, dtype="i8").compute() == -np.arange(24)).all()


def doubles_or_dies(block, block_id=None):
    if block_id == (3,):
        block[:1] *= 2
        os.kill(os.getpid(), signal.SIGKILL)
    block *= 2


def test_an_update_whose_worker_dies_names_its_blocks(tmp_path):
    x = oo.create(tmp_path / "x.npy", 80, "f8", fill_value=1)
    x = oo.open(tmp_path / "x.npy", mode="r+", chunks=10)
    with pytest.raises(TornBlockError, match=r"\(3,\)") as caught:
        oo.update_blocks(doubles_or_dies, x)
    assert caught.value.block == (3,)
    assert (3,) in caught.value.blocks
    assert caught.value.signal == "SIGKILL"
    after = np.load(tmp_path / "x.npy").reshape(8, 10)
    assert after[3].tolist() == [2.0] + [1.0] * 9
    untold = {block for block in range(8) if (block,) not in caught.value.blocks}
    assert all(after[block].tolist() in ([1.0] * 10, [2.0] * 10) for block in untold)
    assert len(untold) > 0


def test_a_dead_worker_leaves_no_file(tmp_path):
    with pytest.raises(BlockFailedError):
        oo.map_blocks(dies, numbers(24, 2), "SIGKILL", str(tmp_path / "note"), dtype="i8").store(
            tmp_path / "out.npy"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_a_worker_that_died_in_between_is_replaced():
    pool = pools._warm["processes"]
    numbers(4, 1).map_blocks(np.negative, dtype="i8").compute()
    _, victim, other = pool.pids
    os.kill(victim, signal.SIGKILL)
    while os.path.exists(f"/proc/{victim}"):
        time.sleep(0.01)
    assert numbers(4, 1).map_blocks(np.negative, dtype="i8").compute().tolist() == [0, -1, -2, -3]
    assert other in pool.pids
    assert victim not in pool.pids


def kills_its_server(block, block_id=None):
    if block_id == (2,):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(10)
    return block


def test_a_block_that_ends_the_server_is_named_and_the_next_run_works():
    with pytest.raises(BlockFailedError, match=r"\(2,\).*the server of the workers"):
        numbers(8, 1).map_blocks(kills_its_server, dtype="i8").compute()
    assert numbers(4, 1).map_blocks(np.negative, dtype="i8").compute().tolist() == [0, -1, -2, -3]


# Exceptions


class Unlucky(Exception):
    """Cannot be made again from its `args`."""

    def __init__(self, block: int, why: str) -> None:
        super().__init__(f"block {block}: {why}")
        self.block, self.why = block, why


class Locked(Exception):
    """Cannot be pickled."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.lock = threading.Lock()


def fails_while_others_sleep(block, note, block_id=None):
    if block_id != (4,):
        time.sleep(0.01 if block_id < (4,) else 10)
        return block
    Path(note).write_text(repr(time.monotonic()))
    return {}["no such key"]


def test_an_exception_comes_at_once_with_its_type_place_and_traceback(tmp_path, no_leaks):
    note = tmp_path / "failed-at"
    x = oo.from_array(np.zeros((16, 6)), chunks=(2, 6))
    with pytest.raises(KeyError, match="no such key") as caught:
        oo.map_blocks(
            lambda b, block_id=None: fails_while_others_sleep(b, str(note), block_id[:1]),
            x,
            dtype="f8",
        ).compute()
    assert time.monotonic() - float(note.read_text()) < AT_ONCE
    assert caught.value.__notes__ == ["oocarray: in block (4, 0), region [8:10, 0:6]"]
    cause = str(caught.value.__cause__)
    assert "in fails_while_others_sleep" in cause
    assert 'return {}["no such key"]' in cause
    assert numbers(4, 1).map_blocks(np.negative, dtype="i8").compute().tolist() == [0, -1, -2, -3]


def test_an_exception_of_a_local_class_keeps_its_type():
    class Mine(ValueError):
        pass

    def raises(block):
        raise Mine("here", 5)

    with pytest.raises(Mine) as caught:
        numbers(4, 2).map_blocks(raises, dtype="i8").compute()
    assert caught.value.args == ("here", 5)
    assert caught.value.__notes__[0].startswith("oocarray: in block (")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Unlucky(3, "rain"), "Unlucky: block 3: rain"),
        (lambda: Locked("shut"), "Locked: shut"),
    ],
    ids=["cannot be made again", "cannot be pickled"],
)
def test_an_exception_that_cannot_travel_is_told(make, text):
    def raises(block):
        raise make()

    with pytest.raises(BlockFailedError) as caught:
        numbers(4, 4).map_blocks(raises, dtype="i8").compute()
    assert str(caught.value) == text
    assert caught.value.__notes__ == ["oocarray: in block (0,), region [0:4]"]
    assert "in raises" in str(caught.value.__cause__)


def test_an_exception_that_holds_its_block_does_not_send_it():
    def raises(block):
        error = ValueError("too hot")
        error.block = np.zeros(1 << 20)
        raise error

    with pytest.raises(BlockFailedError, match="ValueError: too hot"):
        numbers(4, 4).map_blocks(raises, dtype="i8").compute()


@dataclasses.dataclass(frozen=True)
class TakesNoNotes(Exception):
    number: int


class SaysNothing(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def refuses(block, kind):
    raise kind(3)


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
@pytest.mark.parametrize("kind", [TakesNoNotes, SaysNothing])
def test_an_exception_that_takes_no_note_comes_without_one(scheduler, kind):
    made = oo.map_blocks(refuses, numbers(100, 10), kind, dtype="f8")
    with pytest.raises((kind, BlockFailedError)):
        made.compute(scheduler=scheduler)
    numbers(100, 10).map_blocks(np.negative, dtype="i8").compute(scheduler=scheduler)


def adds_first(block, array):
    return block + array[0]


def test_large_arguments_do_not_outlive_their_run():
    array = np.ones(1 << 20)
    oo.map_blocks(adds_first, numbers(100, 10), array, dtype="f8").compute()
    limit = time.monotonic() + 5
    while mapped_shared() > array.nbytes // 4 and time.monotonic() < limit:
        time.sleep(0.01)
    assert mapped_shared() < array.nbytes // 4


def mapped_shared() -> int:
    """Bytes of shared memory that the warm workers have mapped."""
    found = 0
    for pid in pools._warm["processes"].pids:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if "memfd:oocarray" in line:
                low, high = line.split()[0].split("-")
                found += int(high, 16) - int(low, 16)
    return found


def test_sys_exit_in_a_block_reaches_the_caller():
    with pytest.raises(SystemExit) as caught:
        numbers(4, 4).map_blocks(lambda block: sys.exit(7), dtype="i8").compute()
    assert caught.value.code == 7


# Functions


class Scale:
    """Called by its `__call__`, or by its method."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, block):
        return block * self.factor

    def method(self, block):
        return block * self.factor


def by_name(block):
    return block * 3


def make_closure(factor):
    table = np.full(20_000, factor)  # over 64 KiB: goes by address
    return lambda block: block * table[: len(block)]


def partly(factor, block, *, add):
    return block * factor + add


@pytest.mark.parametrize(
    "function",
    [
        by_name,
        lambda block: block * 3,
        make_closure(3),
        functools.partial(partly, 3, add=0),
        functools.partial(lambda factor, block: factor * block, 3),
        Scale(3),
        Scale(3).method,
        functools.partial(np.multiply, 3),
    ],
    ids=["by name", "lambda", "closure", "partial", "partial lambda", "object", "method", "ufunc"],
)
def test_any_kind_of_function_reaches_the_workers(function):
    got = numbers(10, 3).map_blocks(function, dtype="i8").compute()
    assert got.tolist() == [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]


def test_a_module_that_is_not_on_the_path_travels_by_value(tmp_path):
    path = tmp_path / "elsewhere.py"
    path.write_text(
        "K = 5\ndef times(block):\n    return helper(block)\ndef helper(b):\n    return b * K\n"
    )
    spec = importlib.util.spec_from_file_location("elsewhere", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["elsewhere"] = module
    try:
        spec.loader.exec_module(module)
        direct = numbers(4, 2).map_blocks(module.times, dtype="i8").compute()
        partial = functools.partial(module.times)
        hidden = numbers(4, 2).map_blocks(lambda b: partial(b) + module.times(b), dtype="i8")
        assert direct.tolist() == [0, 5, 10, 15]
        assert hidden.compute().tolist() == [0, 10, 20, 30]
    finally:
        del sys.modules["elsewhere"]


def test_a_function_that_cannot_be_pickled_is_refused_before_any_block(tmp_path):
    lock, called = threading.Lock(), tmp_path / "called"

    def holds_a_lock(block):
        called.touch()
        with lock:
            return block

    with pytest.raises(TypeError, match=r"holds_a_lock cannot be sent to worker processes.*lock"):
        numbers(4, 2).map_blocks(holds_a_lock, dtype="i8").compute()
    assert not called.exists()


def test_a_function_that_cannot_be_unpickled_is_an_error():
    class Trap:
        def __reduce__(self):
            return _explode, ()

    with pytest.raises(ZeroDivisionError):
        numbers(4, 2).map_blocks(lambda block, trap: block, Trap(), dtype="i8").compute()


def _explode():
    return 1 / 0


# What is said


def test_prints_come_once_each_with_their_block(capsys):
    def speaks(block, block_id=None):
        print("first", block_id[0])
        print("half", end="")
        print(" a line")
        print("no newline", block_id[0], end="", flush=True)
        sys.stdout.buffer.write("bytes é\n".encode())
        print("to stderr", file=sys.stderr)
        return block

    numbers(3, 1).map_blocks(speaks, dtype="i8").compute()
    out, err = capsys.readouterr()
    for block in range(3):
        assert out.count(f"[block ({block},)] first {block}\n") == 1
        assert out.count(f"[block ({block},)] half a line\n") == 1
        assert out.count(f"[block ({block},)] no newline {block}bytes é\n") == 1
        assert err.count(f"[block ({block},)] to stderr\n") == 1
    assert len(out.splitlines()) == 9


def test_the_workers_streams_are_like_others():
    def looks(block):
        assert not sys.stdout.isatty()
        assert sys.stdout.encoding == "utf-8"
        sys.stdout.reconfigure(line_buffering=True)
        sys.stdout.writelines(["", ""])
        assert sys.stdin.read() == ""
        with contextlib.suppress(OSError):  # there is none: said as files say it
            sys.stdout.fileno()
        with pytest.raises(TypeError):
            sys.stdout.write(b"bytes")
        return block

    numbers(2, 1).map_blocks(looks, dtype="i8").compute()


def test_warnings_come_once_each_with_a_block():
    def warns(block):
        warnings.warn("beware", DeprecationWarning, stacklevel=1)
        return np.log(block - 1.0)

    with pytest.warns() as caught:
        numbers(8, 1).map_blocks(warns, dtype="f8").compute()
    # Garbage that is found meanwhile may warn too.
    told = [one for one in caught if one.category is not ResourceWarning]
    texts = sorted(str(one.message).partition(" (block (")[0] for one in told)
    assert texts == [
        "beware",
        "divide by zero encountered in log",
        "invalid value encountered in log",
    ]
    assert all(" (block (" in str(one.message) for one in told)
    assert {one.category for one in told} == {DeprecationWarning, RuntimeWarning}
    assert all(one.filename == __file__ for one in told)


def test_a_warning_of_a_local_class_keeps_its_type():
    class Odd(UserWarning):
        pass

    def warns(block):
        warnings.warn("odd", Odd, stacklevel=1)
        return block

    with pytest.warns(Odd, match=r"odd \(block \(0,\)\)"):
        numbers(2, 2).map_blocks(warns, dtype="i8").compute()


def test_the_callers_filters_decide():
    def warns(block):
        warnings.warn("beware", UserWarning, stacklevel=1)
        return block

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="beware"):
            numbers(8, 1).map_blocks(warns, dtype="i8").compute()
        warnings.simplefilter("ignore")
        numbers(8, 1).map_blocks(warns, dtype="i8").compute()


def test_errstate_reaches_the_workers():
    y = numbers(4, 1).map_blocks(lambda block: 1.0 / block, dtype="f8")
    with np.errstate(divide="ignore"):
        assert y.compute().tolist() == [math.inf, 1.0, 0.5, 1 / 3]
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        y.compute()
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        y.compute()


def test_log_records_reach_the_callers_loggers(caplog):
    def logs(block, block_id=None):
        log = logging.getLogger("tests.of.workers")
        log.info("seen %d", block_id[0])
        log.debug("unwanted")
        return block

    with caplog.at_level(logging.INFO, "tests.of.workers"):
        numbers(3, 1).map_blocks(logs, dtype="i8").compute()
    got = sorted((r.name, r.levelname, r.getMessage()) for r in caplog.records)
    assert got == [("tests.of.workers", "INFO", f"seen {n} (block ({n},))") for n in range(3)]


# Blocks


def test_kept_blocks_stay_safe_to_read(npy):
    x = oo.open(npy(100_000), chunks=10_000)

    def keeps(block, block_id=None):
        kept = sys.modules["oocarray"].__dict__.setdefault("_kept_by_a_test", [])
        kept.append(block)
        return np.array([float(sum(b.sum() for b in kept))])

    sums = x.map_blocks(keeps, dtype="f8", chunks=((1,) * 10,))
    one = sums.compute()
    x.map_blocks(np.negative, dtype="f8").sum().compute()
    two = sums.compute()
    assert np.isfinite(one).all()
    assert np.isfinite(two).all()
    pools.close_pools()


def test_kept_output_blocks_are_told_of_and_stay_safe(tmp_path):
    def keeps(out, block):
        sys.modules["oocarray"].__dict__.setdefault("_kept_outputs", []).append(out)
        out[...] = block

    x = oo.create(tmp_path / "x.npy", 4 << 20, "f8", fill_value=3)
    x = oo.open(tmp_path / "x.npy", chunks=1 << 19)
    lazy = oo.map_blocks.options(form="out")(keeps, x, dtype="f8")
    with pytest.warns(UserWarning, match="keeps its output blocks") as told:
        lazy.store(tmp_path / "y.npy", memory="48 MiB")
    assert {warning.filename for warning in told if "keeps" in str(warning.message)} == {__file__}
    assert (np.load(tmp_path / "y.npy", mmap_mode="r") == 3).all()
    pools.close_pools()


def test_blocks_are_read_only(npy):
    def stores(block):
        block[...] = 0
        return block

    with pytest.raises(ValueError, match="read-only") as caught:
        oo.open(npy(1000), chunks=100).map_blocks(stores, dtype="f8").compute()
    assert any("block.copy()" in note for note in caught.value.__notes__)


def touches(block, path, block_id=None):
    if block_id == (2,):
        with open(path, "r+b") as file:
            file.seek(-8, os.SEEK_END)
            file.write(b"\1" * 8)
    return block


def test_an_input_changed_meanwhile_is_an_error(npy, tmp_path):
    path = npy(1000)
    y = oo.map_blocks(touches, oo.open(path, chunks=100), str(path), dtype="f8")
    with pytest.raises(InputChangedError, match=r"array-1\.npy was changed"):
        y.store(tmp_path / "y.npy")
    assert not (tmp_path / "y.npy").exists()


def test_a_file_cut_before_the_run_is_an_error(npy):
    path = npy(100_000)
    x = oo.open(path, chunks=10_000)
    os.truncate(path, 4096)
    with pytest.raises(TruncatedFileError, match=r"array-1\.npy"):
        x.map_blocks(np.negative, dtype="f8").compute()


def draws(block):
    return np.random.rand(1) + 0 * block, np.array([random.random()])


def test_workers_draw_different_random_numbers():
    pools.close_pools()
    # With kernels the server has loaded numba, and with that NumPy's generator.
    with pools.Lease("processes", 2, kernels=True):
        pass
    low, high = oo.map_blocks.options(nout=2)(
        lambda b: (time.sleep(0.05), *draws(b))[1:], numbers(6, 1), dtype="f8"
    )
    for drawn in oo.compute(low, high):
        assert len(set(drawn.tolist())) == 6


# The same bits


def adds_place(block, block_id=None):
    block += block_id[0] * 0.1


def test_same_bits_on_every_pool(npy, tmp_path):
    path = npy((700, 301), "f4")
    found = {}
    for scheduler in ("serial", "threads", "processes"):
        with oo.options(scheduler=scheduler):
            x = oo.open(path, chunks=(50, 301))
            y = x.map_blocks(lambda b: np.sqrt(np.abs(b)) / 3, dtype="f4")
            stored = y.store(tmp_path / f"{scheduler}.npy")
            z = oo.open(tmp_path / f"{scheduler}.npy", mode="r+", chunks=(64, 301))
            oo.update_blocks(adds_place, z)
            assert stored.shape == (700, 301)
            found[scheduler] = [
                (tmp_path / f"{scheduler}.npy").read_bytes(),
                *(
                    np.asarray(part).tobytes()
                    for part in oo.compute(x.sum(), y.mean(axis=0), z.var(), y)
                ),
            ]
    assert found["serial"] == found["threads"]
    assert found["serial"] == found["processes"]


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_any_number_of_workers(workers):
    with oo.options(workers=workers):
        got = numbers(17, 2).map_blocks(np.negative, dtype="i8").compute()
        assert got.tolist() == [-n for n in range(17)]
        assert len(pools._warm["processes"].pids) == workers + 1


# Where runs are started from


def descriptors_of(pids) -> int:
    """Most descriptors that one of these processes has, once the last run is over there too."""
    found = []
    for _ in range(20):
        found.append(max(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids))
        time.sleep(0.02)
    return min(found)


def test_twenty_runs_leak_nothing(npy, tmp_path, no_leaks):
    path = npy(10_000)
    pool = pools._warm["processes"]
    counts = []
    for run in range(20):
        x = oo.open(path, chunks=1000)
        oo.compute(x.map_blocks(np.negative, dtype="f8"), x.sum())
        x.map_blocks(np.negative).store(tmp_path / "out.npy", overwrite=True)
        if run in (3, 19):
            counts.append(descriptors_of(pool.pids))
    assert counts[1] <= counts[0] + 2


@pytest.mark.parametrize("scheduler", ["serial", "threads"])
def test_runs_in_this_process_leak_nothing(scheduler, npy, tmp_path, no_leaks):
    path = npy(10_000)
    with oo.options(scheduler=scheduler):
        for _ in range(3):
            oo.open(path, chunks=1000).map_blocks(np.negative).store(
                tmp_path / "out.npy", overwrite=True
            )
    pools.close_pools()


def test_two_threads_run_at_once(no_leaks):
    results = {}

    def work(number):
        with oo.options(scheduler="processes", workers=2, progress=False):
            x = numbers(6, 1).map_blocks(lambda b: (time.sleep(0.02), b * number)[1], dtype="i8")
            results[number] = x.compute().tolist()

    threads = [threading.Thread(target=work, args=(number,)) for number in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {k: [k * n for n in range(6)] for k in (2, 3)}


def test_workers_follow_the_working_directory(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        got = numbers(2, 1).map_blocks(lambda b: np.array([len(os.getcwd())]), dtype="i8")
        assert got.compute().tolist() == [len(str(tmp_path / name))] * 2
        Path("x.npy").write_bytes(b"")
        there = numbers(2, 1).map_blocks(lambda b: b + os.path.exists("x.npy"), dtype="i8")
        assert there.compute().tolist() == [1, 2]


def negative_in_a_child(connection):
    with oo.options(scheduler="processes", workers=2, progress=False):
        y = numbers(4, 1).map_blocks(np.negative, dtype="i8")
        connection.send(y.compute().tolist())


@pytest.mark.parametrize("daemon", [False, True])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_run_in_a_child_of_multiprocessing(method, daemon):
    context = multiprocessing.get_context(method)
    mine, theirs = context.Pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads
        child = context.Process(target=negative_in_a_child, args=(theirs,), daemon=daemon)
        child.start()
    assert mine.poll(20)
    assert mine.recv() == [0, -1, -2, -3]
    child.join(10)
    assert child.exitcode == 0
    # And the parent's pool is none the worse for it.
    assert numbers(4, 1).map_blocks(np.negative, dtype="i8").compute().tolist() == [0, -1, -2, -3]


def test_a_forked_child_leaves_the_parents_workers_alone():
    pids = pools._warm["processes"].pids
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            y = numbers(4, 1).map_blocks(np.negative, dtype="i8").compute()
            fresh = not set(pools._warm["processes"].pids) & set(pids)
            pools.close_pools()
            status = 0 if fresh and y.tolist() == [0, -1, -2, -3] else 2
        os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert numbers(4, 1).map_blocks(np.negative, dtype="i8").compute().tolist() == [0, -1, -2, -3]
    assert pools._warm["processes"].pids == pids


def test_a_run_within_a_run():
    def nested(block):
        with oo.options(scheduler="processes", workers=1, progress=False):
            return oo.from_array(np.array(block)).map_blocks(np.negative, dtype="i8").compute()

    assert numbers(2, 1).map_blocks(nested, dtype="i8").compute().tolist() == [0, -1]
    pools.close_pools()


def test_more_files_than_one_message_can_carry(tmp_path):
    paths = [tmp_path / f"{number}.npy" for number in range(260)]
    for number, path in enumerate(paths):
        np.save(path, np.full(3, number))
    arrays = [oo.open(path) for path in paths]
    with oo.options(workers=2):
        total = oo.map_blocks(lambda *blocks: sum(blocks), *arrays, dtype="i8").compute()
    assert total.tolist() == [260 * 259 // 2] * 3
