"""Runs in the background: results, errors, progress, cancelling, and the end of the program."""

from __future__ import annotations

import asyncio
import concurrent.futures
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import oocarray as oo

PATIENCE = 60


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """What a pool keeps from run to run is not a test's leak."""
    for how in ("processes", "threads"):
        oo.from_array(np.arange(3)).sum().compute(scheduler=how, workers=2)


@pytest.fixture
def x() -> oo.Array:
    return oo.from_array(np.arange(200.0).reshape(20, 10), chunks=(1, -1))


@pytest.fixture
def gate():
    """A function of blocks that waits until it is let go on."""
    opened = threading.Event()

    def wait(block):
        assert opened.wait(PATIENCE)
        return block + 1

    wait.opened = opened
    yield wait
    opened.set()


def until(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("how", ["processes", "threads", "serial"])
def test_results(x, tmp_path, how, no_leaks):
    with oo.options(scheduler=how, workers=2):
        total = x.sum().compute(wait=False)
        stored = x.map_blocks(np.negative, dtype="f8").store(tmp_path / "y.npy", wait=False)
        both = oo.compute(x.min(), {"max": x.max()}, wait=False)
        later = x.store(tmp_path / "z.npy", compute=False).compute(wait=False)
        several = oo.store([x, x], [tmp_path / "a.npy", tmp_path / "b.npy"], wait=False)
    assert isinstance(total, oo.Future)
    assert total.result(PATIENCE) == 19900.0
    assert np.array_equal(stored.result(PATIENCE).view(), -x.compute(scheduler="serial"))
    assert both.result(PATIENCE) == (0.0, {"max": 199.0})
    assert later.result(PATIENCE).shape == (20, 10)
    assert [y.shape for y in several.result(PATIENCE)] == [(20, 10)] * 2
    done, _ = concurrent.futures.wait([total, stored, both], timeout=PATIENCE)
    assert len(done) == 3
    assert total.done()
    assert total.exception() is None
    assert total.progress.share == 1.0
    assert not total.cancel()
    assert repr(total).startswith("<oocarray.Future of sum: done after ")
    total._thread.join(PATIENCE)


def test_options_are_those_of_the_call(x):
    with oo.options(scheduler="serial"), np.errstate(invalid="ignore"):
        future = x.map_blocks(lambda b: np.sqrt(-b) + threading.get_ident(), dtype="f8").compute(
            wait=False
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = future.result(PATIENCE)
    # Serial: in the thread of the run.
    assert found[0, 0] == future._thread.ident


def test_errors_are_raised_where_they_are_asked_for(x):
    def fail(block):
        raise LookupError("no such thing")

    future = x.map_blocks(fail, dtype="f8").compute(wait=False, scheduler="threads")
    with pytest.raises(LookupError, match="no such thing") as caught:
        future.result(PATIENCE)
    assert "in block" in "".join(caught.value.__notes__)
    assert isinstance(future.exception(), LookupError)
    assert "failed after" in repr(future)
    assert "LookupError" in repr(future)
    refused = x.compute(wait=False, memory=8)
    assert isinstance(refused.exception(PATIENCE), oo.BudgetError)
    with pytest.raises(TypeError, match="no option is called hurry"):
        x.compute(wait=False, hurry=1)


def test_progress(x, gate):
    future = x.map_blocks(gate, dtype="f8").compute(wait=False, scheduler="threads", workers=1)
    with pytest.raises(TimeoutError):
        future.result(timeout=0.05)
    assert future.running()
    assert not future.done()
    until(lambda: future.progress.stages)
    assert future.progress.share == 0.0
    assert (future.progress.label, future.progress.of_items) == ("wait", 20)
    assert "0%, wait: 0 of 20 blocks" in repr(future)
    html = future._repr_html_()
    assert html.startswith('<progress value="0.000" max="1"></progress> wait: 0%')
    gate.opened.set()
    assert future.result(PATIENCE)[0, 0] == 1.0
    assert future.progress.share == 1.0
    assert str(future.progress).startswith("100%, wait: 20 of 20 blocks, ")
    assert 'value="1.000"' in future._repr_html_()


def test_progress_never_goes_back(x):
    shares = []
    future = x.map_blocks(
        lambda b, m: time.sleep(0.005) or b - m, x.mean(), dtype="f8"
    ).compute(wait=False, scheduler="threads", workers=2)  # fmt: skip
    while not future.done():
        shares.append(future.progress.share)
        time.sleep(0.001)
    future.result(PATIENCE)
    assert shares == sorted(shares)
    assert future.progress.stages == 2


def test_progress_is_that_of_the_whole(x, gate):
    seen = []

    def look(block):
        gate(block)
        seen.append(future.progress)
        return block

    def add(block, k):
        seen.append(future.progress)
        return block + k[0, 0]

    keyword = x.map_blocks(look, dtype="f8")
    future = x.map_blocks(add, dtype="f8", k=keyword).compute(wait=False, scheduler="serial")
    gate.opened.set()
    future.result(PATIENCE)
    # Twenty blocks of the keyword are no part of it.
    assert [(step.share, step.label) for step in seen[:20]] == [(0.0, "")] * 20
    assert (seen[20].share, seen[20].label) == (0.0, "add")
    assert (future.progress.share, future.progress.of_items) == (1.0, 20)


def test_failed_blocks(x):
    def fail(block):
        if block[0, 0] in (30, 70):
            raise ValueError("odd")
        return block

    y = x.map_blocks(fail, dtype="f8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        future = y.compute(wait=False, scheduler="threads", on_error="skip")
        found = future.result(PATIENCE)
    assert sorted(future.failed_blocks) == [(3, 0), (7, 0)]
    assert "odd" in future.failed_blocks[3, 0]
    assert found[3].tolist() == [0] * 10


@pytest.mark.parametrize("how", ["processes", "threads"])
def test_cancelling_leaves_nothing(x, tmp_path, how, no_leaks):
    def slow(block):
        time.sleep(0.05)
        return block

    y = oo.from_array(np.zeros((400, 2)), chunks=(1, -1)).map_blocks(slow, dtype="f8")
    future = y.store(tmp_path / "y.npy", wait=False, scheduler=how, workers=2)
    until(lambda: future.progress.items)
    assert future.cancel()
    began = time.monotonic()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(PATIENCE)
    assert time.monotonic() - began < 30
    assert future.cancelled()
    assert future.done()
    assert not future.cancel()
    assert "cancelled after" in repr(future)
    future._thread.join(PATIENCE)
    assert list(tmp_path.iterdir()) == []
    # The pool goes on working.
    assert x.sum().compute(scheduler=how, workers=2) == 19900.0


def test_cancelled_before_it_began(x, gate):
    first = x.map_blocks(gate, dtype="f8").compute(wait=False, scheduler="threads", workers=1)
    until(lambda: first.progress.stages)
    assert first.cancel()
    gate.opened.set()
    with pytest.raises(concurrent.futures.CancelledError):
        first.result(PATIENCE)


def test_several_at_once(x):
    futures = [
        x.map_blocks(lambda b, k: b * k, k, dtype="f8").sum().compute(
            wait=False, scheduler=how, workers=2
        )
        for k in range(3)
        for how in ("processes", "threads")
    ]  # fmt: skip
    for future, k in zip(futures, (0, 0, 1, 1, 2, 2), strict=True):
        assert future.result(PATIENCE) == 19900.0 * k


def test_awaiting(x):
    async def both() -> list:
        one = x.sum().compute(wait=False, scheduler="serial")
        two = x.mean().compute(wait=False, scheduler="serial")
        return await asyncio.gather(asyncio.wrap_future(one), asyncio.ensure_future(await_(two)))

    async def await_(future):
        return await future

    assert asyncio.run(both()) == [19900.0, 99.5]


def test_giving_up_awaiting_cancels(x, gate):
    async def late():
        future = x.map_blocks(gate, dtype="f8").compute(wait=False, scheduler="threads", workers=1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(future), 0.1)
        gate.opened.set()
        return future

    future = asyncio.run(late())
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(PATIENCE)


END = """
import sys, time, numpy as np, oocarray as oo
def slow(block):
    time.sleep(0.05)
    return block
x = oo.from_array(np.zeros((400, 2)), chunks=(1, -1)).map_blocks(slow, dtype="f8")
future = x.store(sys.argv[1], wait=False, scheduler=sys.argv[2], workers=2)
while not future.progress.items:
    time.sleep(0.01)
print("end")
"""


@pytest.mark.parametrize("how", ["processes", "threads", "serial"])
def test_the_end_of_the_program(tmp_path: Path, how):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", END, tmp_path / "y.npy", how],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
    assert time.monotonic() - began < 60
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
def test_progress_of_slow_functions_is_seen_early(scheduler, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(600))

    def slow(block):
        time.sleep(0.01)
        return block

    x = oo.open(tmp_path / "x.npy", chunks=1)
    y = oo.map_blocks(slow, x, dtype="f8")
    future = y.compute(wait=False, scheduler=scheduler, workers=1, progress=False)
    seen = set()
    while not future.done():
        seen.add(future.progress.share)
        time.sleep(0.05)
    assert len([part for part in seen if 0 < part < 1]) >= 4
