"""Arrays kept in memory: shared with workers, copied by nobody, gone with the last reference."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import time

import numpy as np
import pytest

import oocarray as oo
from oocarray.runtime import pools, scheduler, shared


def memfds() -> set[str]:
    """Shared memory that this process has open."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if link.startswith("/memfd:oocarray"):
            found.add(f"{name}: {os.stat(f'/proc/self/fd/{name}').st_ino}")
    return found


def shared_bytes() -> int:
    """Bytes in the shared memory that this process has open."""
    return sum(os.stat(f"/proc/self/fd/{one.split(':')[0]}").st_blocks * 512 for one in memfds())


def holders(inode: int) -> list[int]:
    """Workers that have a file open or mapped."""
    found = []
    for pid in pools._warm["processes"].pids:
        open_there = [
            os.stat(f"/proc/{pid}/fd/{fd}").st_ino for fd in os.listdir(f"/proc/{pid}/fd")
        ]
        with open(f"/proc/{pid}/maps") as stream:
            mapped = [int(line.split()[4]) for line in stream]
        found += [pid] if inode in open_there + mapped else []
    return found


@pytest.mark.parametrize("how", ["processes", "threads", "serial"])
def test_computed_once_and_kept(npy, how, tmp_path):
    values = np.load(npy((40, 30), "f8", name="x.npy"))
    calls = tmp_path / "calls"
    calls.write_bytes(b"")

    def double(block):
        with open(calls, "ab") as stream:
            stream.write(b".")
        return block * 2

    x = oo.open(tmp_path / "x.npy", chunks=(7, 30))
    with oo.options(scheduler=how, workers=2):
        y, mean, again = oo.persist(x.map_blocks(double, dtype="f8"), x.mean(axis=0), x)
        assert calls.stat().st_size == 6
        assert y.chunks == x.chunks
        assert (y.shape, y.dtype, mean.shape, again.mode) == ((40, 30), values.dtype, (30,), "r")
        assert np.array_equal(y.compute(), 2 * values)
        assert np.array_equal(y.view(), 2 * values)
        assert np.allclose(mean.compute(), values.mean(axis=0))
        assert np.array_equal(y[3:5].sum(axis=1).compute(), 2 * values[3:5].sum(axis=1))
        assert np.array_equal(y["f8"].compute() if y.dtype.names else y.view("u1").compute(),
                              (2 * values).view("u1"))  # fmt: skip
        z = oo.map_blocks(lambda a, b, k: a + b + k, y, x, k=mean, dtype="f8")
        assert np.allclose(z.compute(), 3 * values + values.mean(axis=0))
        assert np.array_equal(np.concatenate(list(y.iter_blocks(batch=9))), 2 * values)
        assert y.persist().node is y.node
        assert np.array_equal(y.store(tmp_path / "y.npy").compute(), 2 * values)
        assert calls.stat().st_size == 6
    assert "kept in memory" in repr(y)
    with pytest.raises(ValueError, match="read-only"):
        y.view()[0, 0] = 1
    for refused in (lambda: oo.update_blocks(double, y), lambda: x.store(y)):
        with pytest.raises(PermissionError):
            refused()
    with pytest.raises(TypeError, match="needs a file"):
        y.memmap()
    assert "reads array in memory" in str(y.explain())


def test_several_share_a_pass(npy, monkeypatch):
    plans = []
    from oocarray.backends import mapped

    run = mapped.run_plan

    def spy(plan, *rest):
        plans.append(plan)
        return run(plan, *rest)

    monkeypatch.setattr(mapped, "run_plan", spy)
    x = oo.open(npy((40, 30)), chunks=(10, 30))
    sine, cosine = (x.map_blocks(function, dtype="f8") for function in (np.sin, np.cos))
    oo.persist(sine, cosine, scheduler="serial")
    (plan,) = plans
    assert len(plan.stages) == 1


def test_what_does_not_fit_is_refused(npy):
    x = oo.open(npy((1000, 100), "f8"))
    with pytest.raises(oo.BudgetError, match="kept has 781 KiB, the memory budget is 512 KiB"):
        x.persist(memory="512 KiB")
    with pytest.raises(oo.BudgetError) as caught:
        x.rechunk((100, -1)).map_blocks(np.sqrt, dtype="f8").persist(memory="800 KiB")
    assert "what is to be kept takes 781 KiB" in "".join(caught.value.__notes__)
    unknown = x.map_blocks(lambda b: b[b > 0], chunks=((np.nan,),), drop_axis=1, dtype="f8")
    with pytest.raises(ValueError, match="unknown size"):
        unknown.persist()


def test_freed_with_the_last_reference(npy, no_leaks):
    before = memfds()
    x = oo.open(npy((40, 30)))
    y = x.persist(scheduler="serial")
    part = y[3:5]
    expression = part.map_blocks(np.negative, dtype="f8")
    assert len(memfds() - before) == 1
    del y, part
    gc.collect()
    assert len(memfds() - before) == 1
    expression.compute(scheduler="serial")
    del expression
    gc.collect()
    assert memfds() == before


def test_later_runs_do_not_copy(tmp_path, monkeypatch):
    """200 MB: workers map what is kept; no byte of it is put in memory a second time."""
    x = oo.create(tmp_path / "x.npy", (200, 125_000), "f8", fill_value=1)
    with oo.options(workers=2, memory="600 MiB"):
        x.sum().compute()  # a warm pool, with what it needs
        y = x.map_blocks(np.negative, dtype="f8").persist()

        def refused(array):
            raise AssertionError(f"{array.nbytes} bytes were copied to shared memory")

        monkeypatch.setattr(scheduler, "share", refused)
        before = shared_bytes()
        assert float(y.sum().compute()) == -25e6
        assert float(y.map_blocks(np.square, dtype="f8").max().compute()) == 1
        assert shared_bytes() - before < 100 << 20
        before, inode = shared_bytes(), y.layout.file.ino
        del y
        gc.unfreeze()
        gc.collect()
        assert before - shared_bytes() > 100 << 20
        # Idle workers hold nothing of it either, once they have heard of the end.
        end = time.monotonic() + 20
        while holders(inode) and time.monotonic() < end:
            time.sleep(0.05)
        assert holders(inode) == []


def child(y: oo.Array, answers) -> None:
    answers.put(float(y.sum().compute(scheduler="serial")))


@pytest.mark.parametrize("how", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_in_other_processes(how):
    """By value to those that know nothing of it; shared with a fork."""
    y = oo.from_array(np.arange(1000.0), chunks=100).persist(scheduler="serial")
    copy = pickle.loads(pickle.dumps(y))
    assert copy.chunks == y.chunks
    assert np.array_equal(copy.compute(scheduler="serial"), y.view())
    context = multiprocessing.get_context(how)
    answers = context.Queue()
    process = context.Process(target=child, args=(y, answers))
    process.start()
    assert answers.get(timeout=60) == 499500.0
    process.join(60)
    assert process.exitcode == 0
    assert float(y.sum().compute(scheduler="serial")) == 499500.0


def test_the_address_of_what_is_gone():
    y = oo.from_array(np.arange(10.0)).persist(scheduler="serial")
    key = y.layout.file
    assert os.fstat(shared.lasting(key)).st_ino == key.ino
    del y
    gc.collect()
    with pytest.raises(FileNotFoundError, match="memory that is gone"):
        shared.lasting(key)
