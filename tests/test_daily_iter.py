"""Going through arrays in batches: every row once, in the order that is promised, within memory."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import oocarray as oo
from oocarray.backends.blocks import BlockMaker
from oocarray.batching import permutation, picks, share
from oocarray.plan import Options
from oocarray.runtime.engine import Engine

ROWS, COLUMNS = 10_007, 6


@pytest.fixture
def values() -> np.ndarray:
    return np.arange(ROWS * COLUMNS, dtype="f4").reshape(ROWS, COLUMNS)


@pytest.fixture
def arrays(tmp_path: Path, values: np.ndarray) -> dict[str, oo.Array]:
    """The same values stored, in set blocks, computed, in memory, and in Fortran order."""
    np.save(tmp_path / "x.npy", values)
    np.save(tmp_path / "f.npy", np.asfortranarray(values))
    x = oo.open(tmp_path / "x.npy")
    set_blocks = x.rechunk((999, 4))
    return {
        "free": x,
        "set": set_blocks,
        "computed": set_blocks.map_blocks(lambda b: b + 0),
        "one block": x.map_blocks(lambda b: b + 0, dtype="f4"),
        "memory": oo.from_array(values, chunks=(500, -1)),
        "fortran": oo.open(tmp_path / "f.npy"),
        "part": oo.from_array(np.concatenate([values, values])[:ROWS]),
    }


KINDS = ["free", "set", "computed", "one block", "memory", "fortran", "part"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory", ["200 MiB", "600 KiB"])
def test_batches_in_order_are_the_rows(arrays, values, kind, memory, no_leaks):
    found = arrays[kind].iter_blocks(batch=1000, memory=memory)
    assert len(found) == 11
    batches = list(found)
    assert [len(batch) for batch in batches] == [1000] * 10 + [7]
    assert not any(batch.flags.writeable for batch in batches)
    assert np.array_equal(np.concatenate(batches), values)
    short = list(arrays[kind].iter_blocks(batch=1000, drop_last=True, memory=memory))
    assert len(short) == 10


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_the_arrays_own(arrays, values, kind, no_leaks):
    x = arrays[kind]
    blocks = list(x.iter_blocks())
    assert [len(block) for block in blocks] == list(x.chunks[0])
    assert np.array_equal(np.concatenate(blocks), values)
    shuffled = list(x.iter_blocks(shuffle=5))
    assert {block[0, 0] for block in shuffled} == {block[0, 0] for block in blocks}
    assert sum(len(block) for block in shuffled) == ROWS


@pytest.mark.parametrize("kind", KINDS)
def test_shuffled_rows_come_once_and_mixed(arrays, values, kind, no_leaks):
    x = arrays[kind]
    how = {"batch": 100, "shuffle": (7, 3), "buffer": 4000, "memory": "32 MiB"}
    one, again = (np.concatenate(list(x.iter_blocks(**how))) for _ in range(2))
    other = np.concatenate(list(x.iter_blocks(**(how | {"shuffle": (7, 4)}))))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    for found in (one, other):
        assert np.array_equal(found[np.argsort(found[:, 0])], values)
    batch = next(x.iter_blocks(**how))
    assert batch.flags.writeable
    # Rows of a batch come from all over their window.
    assert np.ptp(batch[:, 0]) > 1000 * COLUMNS


def test_the_order_does_not_depend_on_budget_or_threads(arrays):
    for kind in ("free", "computed"):
        how = {"batch": 64, "shuffle": 11, "buffer": 3000}
        found = [
            np.concatenate(list(arrays[kind].iter_blocks(**how, memory=memory, workers=workers)))
            for memory, workers in (("1 MiB", None), ("64 MiB", 1), ("64 MiB", 3))
        ]
        assert np.array_equal(found[0], found[1])
        assert np.array_equal(found[0], found[2])


def test_the_order_is_the_same_everywhere():
    """These numbers must never change: users' experiments depend on them."""
    x = oo.from_array(np.arange(40), chunks=8)
    got = np.concatenate(list(x.iter_blocks(batch=7, shuffle=42, buffer=16)))
    assert got[:12].tolist() == FIRST
    assert permutation([42], 0, 5).tolist() == PIECES


FIRST = [22, 25, 31, 27, 17, 20, 19, 29, 24, 18, 26, 16]
PIECES = [3, 2, 1, 0, 4]


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("shuffle", [None, 3])
@pytest.mark.parametrize("kind", ["free", "computed"])
def test_shards_share_the_rows(arrays, values, kind, shuffle, world):
    x = arrays[kind]
    shards = [
        np.concatenate(list(x.iter_blocks(batch=50, shuffle=shuffle, shard=(rank, world))))
        for rank in range(world)
    ]
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    together = np.concatenate(shards)
    assert np.array_equal(together[np.argsort(together[:, 0])], values)
    counts = {
        len(list(x.iter_blocks(batch=50, shuffle=shuffle, shard=(rank, world), drop_last=True)))
        for rank in range(world)
    }
    assert counts == {ROWS // world // 50}


def test_blocks_are_dealt_out_whole(arrays):
    x = arrays["set"]
    firsts = [
        block[0, 0] for rank in range(3) for block in x.iter_blocks(shard=(rank, 3), shuffle=1)
    ]
    assert sorted(firsts) == [block[0, 0] for block in x.iter_blocks()]


def test_views_are_of_the_file_and_outlive_the_loop(tmp_path, values):
    path = tmp_path / "x.npy"
    np.save(path, values)
    x = oo.open(path, "r+")
    with x.iter_blocks(batch=10) as batches:
        first = next(batches)
        with pytest.raises(ValueError, match="read-only"):
            first[0, 0] = 1
        x.view()[0, 0] = -5
        assert first[0, 0] == -5
    assert first[9, 5] == values[9, 5]
    copied = next(x.iter_blocks(batch=10, copy=True))
    copied[...] = 0
    assert x.view()[0, 0] == -5


def test_each_block_is_computed_once_and_only_ahead(values):
    calls = []

    def count(block):
        calls.append(threading.current_thread().name)
        return block + 1

    x = oo.from_array(values, chunks=(1000, -1)).map_blocks(count, dtype="f4")
    batches = x.iter_blocks(batch=64)
    assert calls == []
    next(batches)
    assert 1 <= len(calls) <= 4
    for _ in batches:
        pass
    assert len(calls) == 11
    assert all(name.startswith("oocarray-blocks") for name in calls)


def test_reductions_inside_are_computed_first(values):
    x = oo.from_array(values, chunks=(1000, -1))
    y = x.map_blocks(lambda b, m, k: b - m + k, x.mean(axis=0), k=x.max(), dtype="f4")
    got = np.concatenate(list(y.iter_blocks(batch=333)))
    assert np.allclose(got, values - values.mean(axis=0, dtype="f8") + values.max(), atol=0.1)
    sums = np.concatenate(list(x.sum(axis=1).iter_blocks(batch=100)))
    assert np.allclose(sums, values.sum(axis=1))


def test_leaving_the_loop_lets_go(arrays, no_leaks):
    for kind in ("free", "computed"):
        for _ in arrays[kind].iter_blocks(batch=10, shuffle=1, buffer=200):
            break
        found = arrays[kind].iter_blocks(batch=10)
        next(found)
        found.close()
        with pytest.raises(StopIteration):
            next(found)
    gc.collect()
    assert not [t for t in threading.enumerate() if t.name.startswith("oocarray-blocks")]


def test_a_function_that_fails_names_its_block(values, no_leaks):
    def fail(block):
        raise ZeroDivisionError("no")

    x = oo.from_array(values, chunks=(1000, -1)).map_blocks(fail, dtype="f4")
    with pytest.raises(ZeroDivisionError) as caught:
        next(x.iter_blocks(batch=5))
    assert "block (0, 0)" in "".join(caught.value.__notes__)


def test_what_is_refused(arrays, values):
    x = arrays["free"]
    for wrong, kind, message in (
        ({"batch": 0}, ValueError, "batch=0"),
        ({"batch": True}, ValueError, "batch=True"),
        ({"shuffle": True}, TypeError, "give a seed"),
        ({"shuffle": -1}, ValueError, "at least 0"),
        ({"buffer": 10, "batch": 2}, ValueError, "give batch= and shuffle="),
        ({"drop_last": True}, ValueError, "give batch="),
        ({"shard": (2, 2)}, ValueError, r"shard=\(2, 2\)"),
        ({"hurry": 1}, TypeError, "no option is called hurry"),
    ):
        with pytest.raises(kind, match=message):
            x.iter_blocks(**wrong)
    with pytest.raises(TypeError, match="without dimensions"):
        oo.from_array(np.float64(3)).iter_blocks()
    unknown = oo.from_array(values, chunks=(500, -1)).map_blocks(
        lambda b: b[b[:, 0] > 3], chunks=(np.nan, COLUMNS), dtype="f4"
    )
    with pytest.raises(ValueError, match="known only to their function"):
        unknown.iter_blocks()
    with pytest.raises(oo.BudgetError, match=r"memory budget is 64 KiB.*buffer= smaller than"):
        next(x.iter_blocks(batch=10, shuffle=1, buffer=9000, memory="64 KiB"))
    with pytest.raises(oo.BudgetError, match="memory budget is 1 KiB"):
        next(arrays["set"].iter_blocks(memory="1 KiB"))
    assert list(oo.from_array(values[:0]).iter_blocks(batch=3)) == []


def test_numbers():
    for count in (0, 1, 2, 5, 1000):
        assert sorted(permutation([3, 4], 1, count)) == list(range(count))
    assert not np.array_equal(permutation([3], 0, 50), permutation([3], 1, 50))
    sizes = [3, 0, 5, 2]
    order = np.array([2, 0, 1, 3])
    for start in range(11):
        for stop in range(start, 11):
            parts = picks(sizes, order, start, stop)
            rows = [(part.piece, row) for part in parts for row in range(part.start, part.stop)]
            whole = [(n, row) for n in order for row in range(sizes[n])]
            assert rows == whole[start:stop]
    assert sum(b - a for a, b in (share(10, (rank, 4)) for rank in range(4))) == 10


# ---- in the workers of a data loader -----------------------------------------------------------


class Rows:
    """What a Dataset of a training library looks like."""

    def __init__(self, x: oo.Array) -> None:
        self.x = x

    def __getitem__(self, number: int) -> np.ndarray:
        return self.x[number].view().copy()


def load(rows: Rows, rank: int, world: int, answers) -> None:
    found = list(rows.x.iter_blocks(batch=16, shuffle=(1, 2), shard=(rank, world)))
    answers.put((rank, np.concatenate(found), rows[rank]))


def test_a_dataset_travels_by_address(tmp_path):
    x = oo.create(tmp_path / "big.npy", (100_000, 100), "f8")
    assert len(pickle.dumps(Rows(x))) < 1000
    assert pickle.loads(pickle.dumps(Rows(x))).x.shape == x.shape


@pytest.mark.parametrize("how", ["fork", "spawn"])
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_of_a_data_loader(tmp_path, values, how, warm):
    np.save(tmp_path / "x.npy", values)
    x = oo.open(tmp_path / "x.npy")
    if warm:  # the parent has computed and is in the middle of its own loop
        x.mean().compute(workers=2)
        mine = x.iter_blocks(batch=16)
        next(mine)
    context = multiprocessing.get_context(how)
    answers = context.Queue()
    workers = [
        context.Process(target=load, args=(Rows(x), rank, 2, answers), daemon=True)
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    got = {rank: (rows, one) for rank, rows, one in (answers.get(timeout=60) for _ in workers)}
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    together = np.concatenate([got[0][0], got[1][0]])
    assert np.array_equal(together[np.argsort(together[:, 0])], values)
    assert np.array_equal(got[1][1], values[1])
    if warm:
        assert sum(map(len, mine)) == ROWS - 16


def test_an_iterator_stays_with_its_process(arrays):
    found = arrays["free"].iter_blocks(batch=10)
    next(found)
    found._pid = os.getpid() + 1
    with pytest.raises(RuntimeError, match="another process"):
        next(found)
    found._pid = os.getpid()
    found.close()


# ---- memory ------------------------------------------------------------------------------------

LOOP = """
import resource, sys, numpy as np, oocarray as oo
from oocarray.pages import calls
path, how = sys.argv[1:]
x = oo.open(path)
if how == "computed":
    x = x.map_blocks(lambda b: b + 1)
kw = {"shuffle": 1, "buffer": 20_000} if how == "shuffled" else {}
def held():
    names = ("RssAnon", "RssFile", "RssShmem")
    rows = dict(line.split(":") for line in open("/proc/self/status") if ":" in line)
    return sum(int(rows[name].split()[0]) for name in names) << 10
before, most, total = held(), 0, 0.0
for n, batch in enumerate(x.iter_blocks(batch=500, memory="48 MiB", **kw)):
    total += float(batch[:, 0].sum(dtype="f8"))
    if n % 8 == 0:
        most = max(most, held() - before)
import os
fd = os.open(path, os.O_RDONLY)
print(most, total, calls.cached_bytes(fd, 0, os.fstat(fd).st_size))
"""


@pytest.mark.parametrize("how", ["plain", "shuffled", "computed"])
def test_memory_and_page_cache(tmp_path, how):
    rows, columns = 200_000, 128
    path = tmp_path / "x.npy"
    x = oo.create(path, (rows, columns), "f8", fill_value=1)
    nbytes = x.nbytes
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOOP, path, how],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    most, total, cached = done.stdout.split()
    assert float(total) == rows * (2 if how == "computed" else 1)
    assert int(most) < (48 + 40) << 20
    if cached != "None":
        assert int(cached) < nbytes // 4


@pytest.mark.parametrize("shuffle", [None, 3])
def test_a_batch_of_more_rows_than_there_are(shuffle, tmp_path):
    np.save(tmp_path / "x.npy", np.arange(20.0))
    x = oo.open(tmp_path / "x.npy", chunks=5)
    (batch,) = x.iter_blocks(batch=10**12, shuffle=shuffle)
    assert sorted(batch) == list(range(20))
    assert list(x.iter_blocks(batch=10**12, shuffle=shuffle, drop_last=True)) == []


def test_failing_blocks_are_not_passed_over(tmp_path):
    y = oo.from_array(np.ones(4), chunks=2).map_blocks(lambda block: block / 0, dtype="f8")
    with oo.options(on_error="skip"), pytest.raises(oo.PlanError, match="store"):
        list(y.iter_blocks())


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_pages_of_a_block_are_let_go_whatever_ends_it(npy, monkeypatch, error):
    def stop(block):
        raise error

    retired = []
    real = Engine.retire
    monkeypatch.setattr(
        Engine, "retire", lambda self, prepared: retired.append(1) or real(self, prepared)
    )
    x = oo.open(npy((6, 8)), chunks=2).map_blocks(stop, dtype="f8")
    with BlockMaker(x.node, Options(progress=False)) as maker, pytest.raises(error):
        maker.make(1)
    assert retired == [1]
