"""Runs on a real cluster of two worker processes, held against the serial scheduler."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray.errors import BlockFailedError, InputChangedError, WorkerDiedError
from oocarray.pages import calls

distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.filterwarnings("ignore::oocarray.errors.GridWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def new_cluster(**how: Any) -> Any:
    with warnings.catch_warnings():
        # That there is another: its web server takes another port.
        warnings.simplefilter("ignore")
        how = {"n_workers": 2, "threads_per_worker": 1, "processes": True, **how}
        return distributed.LocalCluster(dashboard_address=None, **how)


@pytest.fixture(scope="module")
def client():
    with new_cluster() as cluster, distributed.Client(cluster) as made:
        yield made
    # What closing leaves in cycles warns when it is found: here, not in the tests of others.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


class Counting:
    """A client that counts what is submitted."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.submitted = 0
        self.scattered = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.submitted += 1
        return self._client.submit(*args, **kwargs)

    def scatter(self, *args: Any, **kwargs: Any) -> Any:
        self.scattered += 1
        return self._client.scatter(*args, **kwargs)


def no_rest(folder: Path) -> None:
    assert not [name for name in os.listdir(folder) if name.endswith(".part")]


def until_there(path: Path) -> None:
    """Wait until the first block is at work, which tells by making a file."""
    end = time.monotonic() + 60
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.2)


def kept_by_workers(client: Any) -> int:
    def count() -> int:
        from oocarray.runtime.remote import work

        return len(work._stages)

    return sum(client.run(count).values())


@pytest.fixture
def stored(tmp_path):
    data = np.random.default_rng(3).normal(size=(700, 900))
    np.save(tmp_path / "x.npy", data)
    return oo.open(tmp_path / "x.npy"), data


@pytest.mark.parametrize("name", ["mean", "sum", "var", "argmax"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_reductions_have_the_bits_of_the_serial_scheduler(client, stored, name, axis):
    x, _ = stored
    if name == "argmax" and axis is None:
        pytest.skip("of the flattened array")
    wanted = getattr(x, name)(axis=axis).compute(scheduler="serial")
    found = getattr(x, name)(axis=axis).compute(scheduler=client)
    assert np.asarray(found).tobytes() == np.asarray(wanted).tobytes()
    assert kept_by_workers(client) == 0


def test_compute_gives_the_array(client, stored):
    x, data = stored
    found = (x * 2 + 1).compute(scheduler=client)
    assert np.array_equal(found, data * 2 + 1)


def test_several_at_once(client, stored, tmp_path):
    x, data = stored
    order = (x + 1).store(tmp_path / "y.npy", compute=False)
    low, _ = oo.compute(x.min(), order, scheduler=client)
    assert low == data.min()
    assert np.array_equal(np.load(tmp_path / "y.npy"), data + 1)


@pytest.mark.parametrize("ending", ["npy", "raw", "zarr"])
def test_maps_are_stored(client, stored, tmp_path, ending):
    x, data = stored
    made = (x.rechunk((100, 130)) * 3).store(
        tmp_path / f"y.{ending}", scheduler=client, format=ending
    )
    if ending != "raw":
        assert np.array_equal(oo.open(tmp_path / f"y.{ending}").compute(), data * 3)
    assert np.array_equal(made.compute(), data * 3)
    no_rest(tmp_path)


@pytest.mark.parametrize(
    "how",
    [
        {"chunks": (100, 130), "shards": None},
        {"chunks": (100, 100), "shards": (300, 300)},
        {"chunks": (100, 130), "compressors": "zstd"},
    ],
)
def test_zarr_of_all_kinds_is_written_and_read(client, stored, tmp_path, how):
    x, data = stored
    y = (x - 1).store(tmp_path / "y.zarr", scheduler=client, **how)
    assert np.array_equal(y.compute(scheduler="serial"), data - 1)
    assert y.sum().compute(scheduler=client) == y.sum().compute(scheduler="serial")
    no_rest(tmp_path)


def test_two_stages(client, stored, tmp_path):
    x, _ = stored
    wanted = (x - x.mean()).compute(scheduler="serial")
    (x - x.mean()).store(tmp_path / "y.npy", scheduler=client)
    assert np.array_equal(np.load(tmp_path / "y.npy"), wanted)


def test_a_large_array_of_memory_travels_once(client, stored):
    x, data = stored
    beside = np.random.default_rng(4).normal(size=(2000, 900))
    counting = Counting(client)
    y = oo.from_array(beside) * 2
    found = y.sum().compute(scheduler=counting)
    assert found == y.sum().compute(scheduler="serial")
    assert counting.scattered == 1
    add = x.map_blocks(lambda block, more: block + more[0, 0], data, dtype="f8")
    assert np.array_equal(add.compute(scheduler=client), data + data[0, 0])


def test_persisted_arrays_travel(client, stored):
    x, data = stored
    kept = (x + 1).persist()
    assert kept.max().compute(scheduler=client) == data.max() + 1


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 1, 0), (2, 0, 1)])
@pytest.mark.parametrize("chunks", [(4, 5, 6), (2, 5, 6), (4, 1, 6), (4, 5, 1), (1, 5, 6)])
def test_kernels_over_persisted_arrays_in_another_order(client, axes, chunks):
    @oo.kernel
    def weighed(out, x):
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                for k in range(x.shape[2]):
                    out[i, j, k] = 100 * i + 10 * j + k + 1000 * x[i, j, k]

    data = np.arange(120.0).reshape(4, 5, 6).transpose(axes)
    kept = oo.from_array(np.arange(120.0).reshape(4, 5, 6)).persist().transpose(axes)
    blocks = tuple(chunks[axis] for axis in axes)
    y = kept.rechunk(blocks).map_blocks(weighed, dtype="f8")
    wanted = oo.from_array(data, chunks=blocks).map_blocks(weighed, dtype="f8")
    wanted = wanted.compute(scheduler="serial")
    assert np.array_equal(y.compute(scheduler="serial"), wanted)
    assert np.array_equal(y.compute(scheduler=client), wanted)


def test_memmaps_are_opened_by_the_workers(client, stored, tmp_path):
    _, data = stored
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    counting = Counting(client)
    y = oo.from_array(mapped)
    assert y.max().compute(scheduler=counting) == data.max()
    assert counting.scattered == 0


def test_functions_that_no_worker_can_import(client, stored):
    module = types.ModuleType("nowhere_to_be_found")
    exec(
        "def twice(block):\n    return helper(block)\ndef helper(b):\n    return b * 2",
        vars(module),
    )
    sys.modules[module.__name__] = module
    try:
        x, data = stored
        y = x.map_blocks(module.twice, dtype="f8")
        assert np.array_equal(y.compute(scheduler=client), data * 2)
    finally:
        del sys.modules[module.__name__]


def test_modules_of_the_folder_that_we_are_in(client, stored, tmp_path, monkeypatch):
    x, data = stored
    (tmp_path / "only_here_for_the_cluster.py").write_text(
        "def twice(block):\n    return block * 2\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    module = importlib.import_module("only_here_for_the_cluster")
    try:
        y = x.map_blocks(module.twice, dtype="f8")
        assert np.array_equal(y.compute(scheduler=client), data * 2)
    finally:
        del sys.modules[module.__name__]


def test_kernels(client, stored, tmp_path):
    x, data = stored

    @oo.kernel
    def half(out, block):
        for i in range(block.shape[0]):
            for j in range(block.shape[1]):
                out[i, j] = block[i, j] / 2

    y = x.map_blocks(half, dtype="f8").store(tmp_path / "y.npy", scheduler=client)
    assert np.array_equal(y.compute(), data / 2)


def test_many_blocks_are_few_tasks(client, tmp_path):
    data = np.arange(100_000, dtype="i4")
    np.save(tmp_path / "x.npy", data)
    x = oo.open(tmp_path / "x.npy").rechunk(1)
    assert x.map_blocks(np.negative, dtype="i4").numblocks == (100_000,)
    counting = Counting(client)
    x.map_blocks(np.negative, dtype="i4").store(tmp_path / "y.npy", scheduler=counting)
    assert np.array_equal(np.load(tmp_path / "y.npy"), -data)
    assert counting.submitted <= 40


def test_what_would_be_run_is_told(client, stored, tmp_path):
    np.save(tmp_path / "wide.npy", np.zeros(3200))
    x = oo.open(tmp_path / "wide.npy").rechunk(1)
    seen = Counting(client)
    told = (x + 1).explain(scheduler=seen, memory="200 MiB")
    assert "memory budget 200 MiB, 2 dask workers with 2 threads, 100 MiB in each" in told
    assert "3,200 blocks of (1,), 200 per task" in told
    assert not seen.submitted
    (x + 1).store(tmp_path / "out.npy", scheduler=seen, memory="200 MiB")
    assert seen.submitted == 16 + 1  # and the stage


def test_memory_is_shared_out(client, stored, caplog):
    x, _ = stored
    found = x.mean().compute(scheduler=client, memory="4 MiB")
    assert found == x.mean().compute(scheduler="serial")
    with pytest.raises(oo.BudgetError, match="memory"):
        x.map_blocks(np.sort, dtype="f8").compute(scheduler=client, memory="100 KiB")
    # Refused before it began: whoever watches runs is not told of an end either.
    assert not [record for record in caplog.records if record.name.startswith("oocarray")]


def test_transposed_and_strided_targets(client, stored, tmp_path):
    x, data = stored
    target = oo.create(tmp_path / "t.npy", (900, 1400), "f8")
    x.rechunk((100, 100)).store(target.T[::2], scheduler=client)
    wanted = np.zeros((900, 1400))
    wanted.T[::2] = data
    assert np.array_equal(np.load(tmp_path / "t.npy"), wanted)


# ---- what is refused ----------------------------------------------------------------------------


def test_updates_in_place_are_refused(client, tmp_path):
    np.save(tmp_path / "x.npy", np.arange(10.0))
    before = (tmp_path / "x.npy").read_bytes()
    x = oo.open(tmp_path / "x.npy", mode="r+")

    def change(block):
        block += 1

    with (
        oo.options(scheduler=client),
        pytest.raises(ValueError, match="updated in place with scheduler=client"),
    ):
        oo.update_blocks(change, x)
    with (
        oo.options(scheduler=client),
        pytest.raises(ValueError, match="updated in place with scheduler=client"),
    ):
        x += 1
    assert (tmp_path / "x.npy").read_bytes() == before


def test_what_is_no_client_is_refused(stored):
    x, _ = stored
    with pytest.raises(TypeError, match=r"processes.*threads.*serial.*lient"):
        x.mean().compute(scheduler=object())


def test_a_cluster_that_starts_workers_for_tasks(stored, monkeypatch):
    x, data = stored
    with new_cluster(n_workers=0) as cluster, distributed.Client(cluster) as own:
        monkeypatch.setattr("oocarray.runtime.remote.cluster._PATIENCE", 0.3)
        with pytest.raises(WorkerDiedError, match=r"no workers for 0\.3 s"):
            x.max().compute(scheduler=own)
        monkeypatch.setattr("oocarray.runtime.remote.cluster._PATIENCE", 60.0)
        cluster.adapt(minimum=0, maximum=1)
        assert x.max().compute(scheduler=own) == data.max()


def test_a_client_that_was_closed_is_refused(client, stored):
    x, _ = stored
    closed = distributed.Client(client.cluster)
    closed.close()
    with pytest.raises(ValueError, match="a client that was closed"):
        x.mean().compute(scheduler=closed)


def test_other_versions_are_refused(client, stored, monkeypatch):
    x, _ = stored
    monkeypatch.setattr(oo, "__version__", "0.0.0")
    with pytest.raises(RuntimeError, match=r"oocarray .* \(here 0\.0\.0\)"):
        x.mean().compute(scheduler=client)


def test_other_processors_compile_for_themselves(client, stored, monkeypatch, tmp_path):
    from oocarray import jit

    x, _ = stored
    wanted = x.mean().compute(scheduler="serial")
    monkeypatch.setattr(jit, "_target", lambda: "another")
    assert x.mean().compute(scheduler=client) == wanted


def test_a_worker_that_comes_later_with_another_processor(client, stored, monkeypatch):
    from oocarray.runtime.remote import stage

    x, _ = stored
    monkeypatch.setattr(stage, "processor", lambda: "what the others have")
    with pytest.raises(RuntimeError, match="came later than the run, and has another processor"):
        x.mean().compute(scheduler=client)
    assert kept_by_workers(client) == 0


def test_other_machines_have_other_devices(client, stored, monkeypatch, tmp_path):
    from oocarray.runtime.remote import carried

    x, data = stored
    monkeypatch.setattr(carried, "home", lambda: ("another", ""))
    (x + 1).store(tmp_path / "y.npy", scheduler=client)
    assert np.array_equal(np.load(tmp_path / "y.npy"), data + 1)
    (x + 1).store(tmp_path / "y.zarr", scheduler=client)
    assert np.array_equal(oo.open(tmp_path / "y.zarr").compute(), data + 1)


# ---- what goes wrong ----------------------------------------------------------------------------


def test_a_function_that_raises_names_its_block(client, stored, tmp_path):
    x, _ = stored

    def fail(block, block_id=None):
        if block_id == (3, 2):
            raise KeyError("no such thing")
        return block

    y = x.rechunk((100, 100)).map_blocks(fail, dtype="f8")
    for name in ("y.npy", "y.zarr"):
        with pytest.raises(KeyError, match="no such thing") as caught:
            y.store(tmp_path / name, scheduler=client)
        assert any("in block (3, 2)" in note for note in caught.value.__notes__)
    assert os.listdir(tmp_path) == ["x.npy"]
    assert kept_by_workers(client) == 0


@pytest.mark.parametrize("on_error", ["skip", "fill"])
def test_blocks_that_fail_are_left_out_or_filled(client, stored, tmp_path, on_error):
    x, data = stored

    def fail(block, block_id=None):
        if block_id == (1, 1):
            raise ValueError("bad")
        return block

    y = x.rechunk((100, 100)).map_blocks(fail, dtype="f8")
    with pytest.warns(oo.FailedBlocksWarning, match=r"\(1, 1\)"):
        y.store(tmp_path / "y.npy", scheduler=client, on_error=on_error)
    wanted = data.copy()
    wanted[100:200, 100:200] = 0 if on_error == "skip" else np.nan
    assert np.array_equal(np.load(tmp_path / "y.npy"), wanted, equal_nan=True)
    with pytest.warns(oo.FailedBlocksWarning, match=r"\(1, 1\)"):
        found = y.compute(scheduler=client, on_error=on_error)
    assert np.array_equal(found, wanted, equal_nan=True)


def test_what_is_left_out_of_an_old_file_stays(client, stored, tmp_path):
    x, data = stored

    def fail(block, block_id=None):
        if block_id == (0, 0):
            raise ValueError("bad")
        return block

    np.save(tmp_path / "old.npy", np.full(data.shape, 7.0))
    target = oo.open(tmp_path / "old.npy", mode="r+")
    y = x.rechunk((100, 100)).map_blocks(fail, dtype="f8")
    with pytest.warns(oo.FailedBlocksWarning):
        y.store(target, scheduler=client, on_error="skip", drop=True)
    wanted = data.copy()
    wanted[:100, :100] = 7
    assert np.array_equal(np.load(tmp_path / "old.npy"), wanted)
    with pytest.raises(ValueError, match="cannot leave blocks of an array in memory"):
        y.store(np.zeros(data.shape), scheduler=client, on_error="skip")


def test_a_changed_input_is_noticed(client, stored, tmp_path):
    x, _ = stored

    path = str(tmp_path / "x.npy")

    def touches(block, block_id=None):
        import os

        if block_id == (3, 0):
            os.utime(path, ns=(1, 1))
        return block

    y = x.rechunk((50, 900)).map_blocks(touches, dtype="f8")
    with pytest.raises(InputChangedError, match=r"x\.npy was changed while it was read"):
        y.store(tmp_path / "y.npy", scheduler=client)
    assert not (tmp_path / "y.npy").exists()
    no_rest(tmp_path)


def test_a_file_that_workers_do_not_see(client, stored, monkeypatch, tmp_path):
    from oocarray.runtime import runfiles

    x, _ = stored
    moved = tmp_path / "moved.npy"
    real = runfiles.open_regular

    def opened(path, writable=False):
        fd = real(path, writable)
        os.rename(path, moved)
        return fd

    monkeypatch.setattr(runfiles, "open_regular", opened)
    with pytest.raises(FileNotFoundError, match="not seen on worker"):
        x.mean().compute(scheduler=client)


def test_a_worker_that_is_killed(stored, tmp_path):
    x, data = stored

    begun = tmp_path / "begun"

    def slow(block, note=str(begun)):
        import time

        open(note, "w").close()
        time.sleep(0.1)
        return block * 2

    y = x.rechunk((25, 900)).map_blocks(slow, dtype="f8")
    with new_cluster() as cluster, distributed.Client(cluster) as client:
        pids = client.run(os.getpid)

        def kill():
            until_there(begun)
            os.kill(next(iter(pids.values())), signal.SIGKILL)

        killing = threading.Thread(target=kill)
        killing.start()
        try:
            total, _ = oo.compute(
                y.sum(), y.store(tmp_path / "y.npy", compute=False), scheduler=client
            )
        finally:
            killing.join()
        assert total == y.sum().compute(scheduler="threads")
        assert np.array_equal(np.load(tmp_path / "y.npy"), data * 2)
        assert set(client.run(os.getpid).values()) != set(pids.values())
    no_rest(tmp_path)


@pytest.mark.parametrize("compressors", [None, "zstd"])
def test_a_new_array_in_pieces_begins_with_zeros_each_time(tmp_path, compressors):
    np.save(tmp_path / "x.npy", np.ones(64))
    flag = str(tmp_path / "flag")

    def add(out, block, block_id=None):
        import os
        import signal

        out += block
        if block_id == (7,) and not os.path.exists(flag):
            open(flag, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)

    x = oo.open(tmp_path / "x.npy").rechunk(1)
    y = oo.map_blocks.options(form="out")(add, x, dtype="f8")
    with new_cluster(n_workers=1) as cluster, distributed.Client(cluster) as client:
        y.store(tmp_path / "y.zarr", scheduler=client, compressors=compressors, chunks=1)
    assert os.path.exists(flag)
    assert (oo.open(tmp_path / "y.zarr").compute() == 1).all()


def test_what_a_function_raises_is_not_the_file_systems(client, stored, tmp_path):
    x, _ = stored
    calls_made = tmp_path / "calls"

    def fails(block, block_id=None, note=str(calls_made)):
        import errno

        if block_id == (1, 0):
            with open(note, "a") as stream:
                stream.write(".")
            raise OSError(errno.ETIMEDOUT, "a server of my own")
        return block

    with pytest.raises(TimeoutError, match="a server of my own") as caught:
        x.rechunk((100, 900)).map_blocks(fails, dtype="f8").store(
            tmp_path / "y.npy", scheduler=client
        )
    assert "in block (1, 0)" in "".join(caught.value.__notes__)
    assert calls_made.read_text() == "."


def test_a_block_that_kills_its_workers_is_named(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(4.0))

    def die(block):
        import os
        import signal

        if block[0] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    y = oo.open(tmp_path / "x.npy").rechunk(1).map_blocks(die, dtype="f8")
    with (
        new_cluster() as cluster,
        distributed.Client(cluster) as client,
        pytest.raises((BlockFailedError, WorkerDiedError), match=r"block \(2,\)"),
    ):
        y.store(tmp_path / "y.npy", scheduler=client)
    assert os.listdir(tmp_path) == ["x.npy"]


def test_a_run_that_is_stopped_leaves_nothing(client, stored, tmp_path):
    x, _ = stored

    def slow(block):
        import time

        time.sleep(0.2)
        return block

    y = x.rechunk((50, 900)).map_blocks(slow, dtype="f8")
    later = y.store(tmp_path / "y.npy", scheduler=client, wait=False)
    time.sleep(0.5)
    later.cancel()
    with pytest.raises(BaseException):  # noqa: B017, PT011
        later.result()
    no_rest(tmp_path)
    assert not (tmp_path / "y.npy").exists()
    assert client.submit(int, 3).result() == 3


def test_ctrl_c_ends_the_run(client, stored, tmp_path):
    x, _ = stored

    begun = tmp_path / "begun"

    def slow(block, note=str(begun)):
        import time

        open(note, "w").close()
        time.sleep(0.2)
        return block

    def interrupt():
        until_there(begun)
        os.kill(os.getpid(), signal.SIGINT)

    y = x.rechunk((25, 900)).map_blocks(slow, dtype="f8")
    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            y.store(tmp_path / "y.npy", scheduler=client)
    finally:
        interrupting.join()
    begun.unlink()
    assert os.listdir(tmp_path) == ["x.npy"]
    end = time.monotonic() + 10
    while kept_by_workers(client) and time.monotonic() < end:
        time.sleep(0.05)  # tasks stop at the next block
    assert kept_by_workers(client) == 0
    assert client.submit(int, 3).result() == 3


def spent(block: Any) -> Any:
    began = time.monotonic()
    time.sleep(0.05)
    return np.array([[began, time.monotonic()]])


def test_empty_blocks_are_stored(client, stored, tmp_path):
    x, data = stored
    y = x.rechunk(((0, 0, 300, 0, 400), (900,))).map_blocks(np.negative, dtype="f8")
    y.store(tmp_path / "y.npy", scheduler=client)
    assert np.array_equal(np.load(tmp_path / "y.npy"), -data)


def fill_negative(out, block):
    out[...] = -block


def test_blocks_that_are_stored_whole_are_not_read(stored, tmp_path, monkeypatch):
    from oocarray.runtime.remote import placing

    x, data = stored
    read: list[int] = []
    old = placing._read

    def counted(fd: int, place: Any, *where: Any) -> None:
        read.append(len(place))
        old(fd, place, *where)

    monkeypatch.setattr(placing, "_read", counted)
    target = oo.create(tmp_path / "y.npy", (700, 900), "f8", chunks=(100, 100))
    with (
        new_cluster(n_workers=1, threads_per_worker=1, processes=False) as cluster,
        distributed.Client(cluster) as client,
    ):
        (x + 1).store(target, scheduler=client)
        blocks = x.rechunk((100, 100))
        blocks.map_blocks(np.negative, dtype="f8").store(target, scheduler=client)
        assert not read
        # What fills its output may leave some out: of each row its run, not what lies between.
        fill = oo.map_blocks.options(form="out")(fill_negative, blocks, dtype="f8")
        fill.store(target, scheduler=client)
    assert np.array_equal(np.load(tmp_path / "y.npy"), -data)
    assert data.nbytes <= sum(read) <= 7 * data.nbytes


@pytest.mark.parametrize("processes", [True, False])
def test_threads_of_one_worker(stored, tmp_path, processes):
    x, data = stored
    with (
        new_cluster(n_workers=1, threads_per_worker=3, processes=processes) as cluster,
        distributed.Client(cluster) as client,
    ):
        y = x.rechunk((50, 100)).map_blocks(np.square, dtype="f8")
        total, _ = oo.compute(y.sum(), y.store(tmp_path / "y.npy", compute=False), scheduler=client)
        clock = x.rechunk((50, 900)).map_blocks(spent, dtype="f8", chunks=(1, 2))
        times = clock.compute(scheduler=client)
    began, ended = times[:, 0], times[:, 1]
    assert any((began < end).sum() - (ended < end).sum() > 1 for end in ended)
    assert total == y.sum().compute(scheduler="serial")
    assert np.array_equal(np.load(tmp_path / "y.npy"), data**2)


ALONE = """
import sys
import numpy as np
import oocarray as oo


class Future:
    def __init__(self, value): self.value = value
    def result(self): return self.value
    def add_done_callback(self, function): function(self)


class Client:
    def submit(self, function, *args, pure, retries=0, key):
        return Future(function(*[a.value if isinstance(a, Future) else a for a in args]))
    def scatter(self, data, broadcast, hash): return Future(data)
    def run(self, function, *args, on_error="raise"): return {"here": function(*args)}
    def nthreads(self): return {"here": 1}
    def scheduler_info(self): return {"workers": {"here": {"memory_limit": 0}}}
    def cancel(self, futures): pass
    def gather(self, futures): return [one.value for one in futures]


if __name__ == "__main__":
    folder = sys.argv[1]
    np.save(folder + "/a.npy", np.arange(1000.0))
    x = oo.open(folder + "/a.npy")
    assert x.mean().compute(scheduler=Client()) == 499.5
    (x + 1).store(folder + "/b.npy", scheduler=Client())
    assert np.load(folder + "/b.npy")[3] == 4
    print([name for name in sys.modules if name.split(".")[0] in ("dask", "distributed")])
"""


def test_nothing_of_dask_is_imported(tmp_path):
    script = tmp_path / "alone.py"
    script.write_text(ALONE)
    found = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout.strip()) == (0, "[]"), found.stderr


def test_a_function_over_its_own_input_is_refused_like_other_updates(client, tmp_path):
    np.save(tmp_path / "x.npy", np.arange(1000.0))
    x = oo.open(tmp_path / "x.npy", "r+")
    with pytest.raises(ValueError, match="updated in place with scheduler=client"):
        x.map_blocks(lambda block: block + 1, dtype="f8").store(x, scheduler=client)
    assert np.array_equal(np.load(tmp_path / "x.npy"), np.arange(1000.0))


def test_a_client_that_is_closed_meanwhile(client, stored, tmp_path):
    x, _ = stored
    own = distributed.Client(client.cluster)
    begun = tmp_path / "begun"

    def slow(block, note=str(begun)):
        import time

        open(note, "w").close()
        time.sleep(0.3)
        return block

    def close():
        until_there(begun)
        with contextlib.suppress(TimeoutError):
            own.close()

    closing = threading.Thread(target=close)
    closing.start()
    with pytest.raises(oo.WorkerDiedError, match="the client was closed"):
        x.rechunk(100).map_blocks(slow, dtype="f8").sum().compute(scheduler=own)
    closing.join()


def test_the_page_cache_is_left_as_it_was_found(client, tmp_path):
    def cached() -> int:
        fd = os.open(tmp_path / "x.npy", os.O_RDONLY)
        try:
            os.fdatasync(fd)
            return calls.cached_bytes(fd, 0, 1 << 30) or 0
        finally:
            os.close(fd)

    np.save(tmp_path / "x.npy", np.ones(1 << 25))
    x = oo.open(tmp_path / "x.npy")
    brought = cached()
    if not brought:
        pytest.skip("the system does not tell what is cached")
    with oo.options(scheduler=client, memory="32 MiB"):
        assert x.sum().compute() == 1 << 25
        assert cached() > brought * 3 // 4  # it was there before
        with open(tmp_path / "x.npy") as stream:
            calls.drop_cached(stream.fileno(), 0, brought)
        assert cached() < 16 << 20
        assert x.sum().compute() == 1 << 25
        assert cached() < brought // 2  # what was read ahead stays
        assert x.sum().compute(drop=False) == 1 << 25
        assert cached() > brought * 3 // 4
