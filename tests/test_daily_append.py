"""Appending rows to .npy files: whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import oocarray as oo
from oocarray.pages import calls
from oocarray.storage import files, growing, npy


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """An .npy file of ours: 3 rows of 4."""
    path = tmp_path / "log.npy"
    oo.create(path, (3, 4), "f4", fill_value=1).close()
    return path


def same(path: Path, expected: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(oo.open(path).compute(scheduler="serial"), expected)
    assert np.array_equal(np.load(path), expected)


@pytest.mark.parametrize("durability", ["none", "process", "machine"])
def test_rows_are_added(log, durability, no_leaks):
    x = oo.open(log, mode="a")
    before = x.view()
    with oo.options(durability=durability):
        x.append(np.full((2, 4), 2, "f4"))
        x.append([[3, 3, 3, 3]])
        x.append(oo.from_array(np.full((5, 4), 4.0), chunks=(2, -1)).map_blocks(lambda b: b + 1))
        x.append(np.empty((0, 4)))
    assert (x.shape, x.mode, len(x)) == ((11, 4), "a", 11)
    expected = np.repeat([1, 2, 3, 5], [3, 2, 1, 5])[:, None] * np.ones(4, "f4")
    same(log, expected)
    assert np.array_equal(x.view(), expected)
    assert np.array_equal(x.compute(scheduler="serial"), expected)
    assert before.shape == (3, 4)
    x.view()[0, 0] = 9  # open for changes as well
    assert np.load(log)[0, 0] == 9
    with oo.options(scheduler="serial"):
        oo.update_blocks(lambda b: b.__iadd__(1), x)
    assert np.load(log)[0, 0] == 10
    del before
    x.close()


def test_files_of_numpy_grow_too(tmp_path):
    """Its headers have room for the digits of the first axis."""
    for dtype in ("<f8", ">i2", "S3", [("a", "i4"), ("b", "u1", (2,))]):
        for shape in ((2,), (2, 3), (2, 3, 4)):
            start = np.zeros(shape, dtype)
            np.save(tmp_path / "n.npy", start)
            x = oo.open(tmp_path / "n.npy", "a")
            for _ in range(3):
                x.append(np.zeros((40_000, *shape[1:]), dtype))
            found = np.load(tmp_path / "n.npy")
            assert found.shape == x.shape == (120_002, *shape[1:])
            assert found.dtype == np.dtype(dtype)


def test_the_blocks_that_were_set_go_on(tmp_path):
    oo.create(tmp_path / "x.npy", (5, 2), "i4").close()
    x = oo.open(tmp_path / "x.npy", "a", chunks=(2, 1))
    x.append(np.ones((4, 2), "i4"))
    assert x.chunks == ((2, 2, 2, 2, 1), (1, 1))
    y = oo.open(tmp_path / "x.npy", "a", chunks=((5, 4), (2,)))
    y.append(np.ones((3, 2), "i4"))
    assert y.chunks == ((5, 5, 2), (2,))
    z = oo.open(tmp_path / "x.npy", "a", chunks=((5, 1, 6), (2,)))
    z.append(np.ones((3, 2), "i4"))
    assert z.chunks == ((5, 1, 6, 3), (2,))


def test_other_handles_keep_their_shape(log):
    old = oo.open(log)
    total = old.sum()
    one, two = oo.open(log, "a"), oo.open(log, "a")
    one.append(np.full((2, 4), 2))
    two.append(np.full((1, 4), 3))  # behind what the first has appended
    assert (old.shape, one.shape, two.shape) == ((3, 4), (5, 4), (6, 4))
    assert float(total.compute(scheduler="serial")) == 12.0
    assert np.concatenate(list(old.iter_blocks(batch=2))).sum() == 12.0
    assert float(one.sum().compute(scheduler="serial")) == 28.0
    same(log, np.repeat([1, 2, 3], [3, 2, 1])[:, None] * np.ones(4, "f4"))


def test_what_is_refused(log, tmp_path):
    x = oo.open(log, "a")
    for rows, kind, message in (
        (np.zeros(4), ValueError, r"a single row is row\[None\]"),
        (np.zeros((2, 3)), ValueError, r"have shape \(n, 4\), not \(2, 3\)"),
        (np.zeros((2, 4), "c8"), TypeError, "cannot hold complex64"),
    ):
        with pytest.raises(kind, match=message):
            x.append(rows)
    with pytest.raises(PermissionError, match='open it with mode="a"'):
        oo.open(log, "r+").append(np.zeros((1, 4)))
    with pytest.raises(PermissionError, match="mode='r\\+'"):
        x[1:].append(np.zeros((1, 4)))
    with pytest.raises(TypeError, match="stored in a file"):
        x.map_blocks(np.sqrt).append(np.zeros((1, 4)))
    np.save(tmp_path / "f.npy", np.asfortranarray(np.zeros((3, 4))))
    with pytest.raises(oo.FormatError, match="Fortran order"):
        oo.open(tmp_path / "f.npy", "a")
    np.save(tmp_path / "0.npy", np.zeros(()))
    with pytest.raises(oo.FormatError, match="no axis to append along"):
        oo.open(tmp_path / "0.npy", "a")
    (tmp_path / "raw").write_bytes(bytes(64))
    with pytest.raises(oo.FormatError, match="raw file says nowhere"):
        oo.open(tmp_path / "raw", "a", shape=(2, 8), dtype="f4")
    with pytest.raises(FileNotFoundError):
        oo.open(tmp_path / "none.npy", "a")
    same(log, np.ones((3, 4), "f4"))


def test_a_header_without_room_is_refused(tmp_path):
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (9,)}"
    path = tmp_path / "tight.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(9))
    before = path.read_bytes()
    x = oo.open(path, "a")
    with pytest.raises(oo.FormatError, match="no room for the new shape; copy the array"):
        x.append(np.zeros(1, "u1"))
    assert path.read_bytes() == before


def test_a_replaced_file_is_noticed(log, tmp_path):
    x = oo.open(log, "a")
    oo.create(tmp_path / "other.npy", (3, 4), "f4").close()
    os.replace(tmp_path / "other.npy", log)
    with pytest.raises(oo.InputChangedError, match="replaced"):
        x.append(np.ones((1, 4)))


def test_a_run_that_reads_it_is_in_the_way(log):
    x = oo.open(log, "a")
    refused = []

    def try_to_append(block):
        try:
            x.append(np.ones((1, 4)))
        except oo.ArrayLockedError as error:
            refused.append(error)
        return block

    oo.open(log).map_blocks(try_to_append, dtype="f4").compute(scheduler="serial")
    assert len(refused) == 1
    x.append(np.ones((1, 4)))
    assert x.shape == (4, 4)


def test_no_room_leaves_the_array_as_it_was(log, monkeypatch):
    x = oo.open(log, "a")
    real = os.pwrite
    written = []

    def full(fd, data, at):
        if sum(written) > 1 << 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = real(fd, data[: 1 << 20], at)
        written.append(done)
        return done

    with monkeypatch.context() as patch:
        patch.setattr(growing.os, "pwrite", full)
        with pytest.raises(OSError, match=r"the rows need 2.29 MiB \(2400000\), free") as caught:
            x.append(np.ones((150_000, 4)))
    assert caught.value.errno == errno.ENOSPC
    assert x.shape == (3, 4)
    same(log, np.ones((3, 4), "f4"))  # nothing behind the last row: open does not warn
    huge = np.broadcast_to(np.float32(0), (1 << 45, 4))
    with pytest.raises(OSError, match="the array is as it was"):
        x.append(huge)
    same(log, np.ones((3, 4), "f4"))


def test_an_exception_behind_the_header_keeps_the_rows(log, monkeypatch):
    x = oo.open(log, "a")
    real = os.pwrite

    def interrupted(fd, data, at):
        done = real(fd, data, at)
        if at < 4096:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patch:
        patch.setattr(growing.os, "pwrite", interrupted)
        with pytest.raises(KeyboardInterrupt):
            x.append(np.full((1, 4), 2))
    same(log, np.array([[1] * 4] * 3 + [[2] * 4], "f4"))


def test_the_data_is_on_the_disk_before_the_header(log, monkeypatch):
    events = []
    for name in ("pwrite", "fdatasync"):
        real = getattr(os, name)

        def told(*args, real=real, name=name):
            events.append((name, args[-1] if name == "pwrite" else None))
            return real(*args)

        monkeypatch.setattr(growing.os, name, told)
    with oo.options(durability="machine"):
        oo.open(log, "a").append(np.ones((1, 4)))
    (_, data), first, (_, header), last = events
    assert data == 4096 + 48
    assert first == last == ("fdatasync", None)
    assert header < calls.PAGE


CRASH = """
import os, signal, sys, numpy as np, oocarray as oo
from oocarray.storage import files, growing, npy
real = os.pwrite
def pwrite(fd, data, at):
    if at < 4096:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(fd, data, at)
growing.os.pwrite = pwrite
oo.open(sys.argv[1], "a").append(np.full((50, 4), 7, "f4"))
"""


def test_killed_before_the_header(log):
    done = subprocess.run([sys.executable, "-c", CRASH, log], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert log.stat().st_size == 4096 + 53 * 16
    with pytest.warns(UserWarning, match="never read"):
        x = oo.open(log, "a")
    assert x.shape == (3, 4)
    assert np.array_equal(np.load(log), np.ones((3, 4)))
    x.append(np.full((2, 4), 5))
    same(log, np.array([[1] * 4] * 3 + [[5] * 4] * 2, "f4"))
    assert log.stat().st_size == 4096 + 5 * 16


def append_for_ever(path: str, began) -> None:
    warnings.simplefilter("ignore")
    x = oo.open(path, "a")
    began.set()
    while True:
        rows = 1 + x.shape[0] % 4099
        x.append(np.repeat(np.arange(x.shape[0], x.shape[0] + rows), 32).reshape(-1, 32))


def test_killed_at_any_moment(tmp_path):
    path = tmp_path / "log.npy"
    oo.create(path, (0, 32), "i8").close()
    context = multiprocessing.get_context("spawn")
    chance = random.Random(5)
    before = grown = 0
    for _ in range(8):
        began = context.Event()
        worker = context.Process(target=append_for_ever, args=(str(path), began), daemon=True)
        worker.start()
        assert began.wait(60)
        time.sleep(chance.uniform(0.0, 0.15))
        worker.kill()
        worker.join(60)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.load(path)
            assert oo.open(path).shape == found.shape
        assert len(found) >= before
        assert np.array_equal(found, np.repeat(np.arange(len(found)), 32).reshape(-1, 32))
        grown += len(found) > before
        before = len(found)
    assert grown


def append_some(path: str, number: int) -> None:
    x = oo.open(path, "a")
    for _ in range(20):
        while True:
            try:
                x.append(np.full((3, 2), number))
                break
            except oo.ArrayLockedError:
                time.sleep(0.002)


def test_rows_that_come_while_a_file_is_opened(log, monkeypatch):
    """The size that was asked for is of before, and the header says what is there since."""
    appender, asked = oo.open(log, "a"), npy.parse_header

    def late(fd, size, **kw):
        appender.append(np.full((2, 4), 2, "f4"))
        return asked(fd, size, **kw)

    monkeypatch.setattr(files, "parse_header", late)
    x = oo.open(log)
    monkeypatch.undo()
    assert x.shape == (5, 4)
    appender.append(np.full((1, 4), 3, "f4"))
    expected = np.repeat([1, 2], [3, 2])[:, None] * np.ones(4, "f4")
    assert np.array_equal(x.compute(scheduler="serial"), expected)


def test_several_programs_append(tmp_path):
    path = tmp_path / "log.npy"
    oo.create(path, (0, 2), "i8").close()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=append_some, args=(str(path), n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
        assert worker.exitcode == 0
    found = oo.open(path).compute(scheduler="serial").reshape(-1, 3, 2)
    assert found.shape == (60, 3, 2)
    assert np.array_equal(found.min((1, 2)), found.max((1, 2)))
    assert np.bincount(found[:, 0, 0]).tolist() == [20, 20, 20]


def test_whole_numbers_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((2, 1), "i1"))
    with pytest.raises(OverflowError, match="300"):
        oo.open(path, "a").append([[300]])
    assert np.load(path).shape == (2, 1)


def test_rows_whose_header_may_not_be_on_the_disk_are_there(log, monkeypatch):
    synced = []

    def fails_at_last(fd):
        synced.append(fd)
        if len(synced) == 2:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fails_at_last)
    x = oo.open(log, "a")
    with (
        oo.options(durability="machine"),
        pytest.raises(OSError, match="append them no second time"),
    ):
        x.append(np.full((2, 4), 2, "f4"))
    monkeypatch.undo()
    assert np.load(log).shape == (5, 4)
