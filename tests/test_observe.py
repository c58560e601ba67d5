"""Shows runs to observers by a clock of the tests' own, and known memory to the sampler."""

from __future__ import annotations

import io
import mmap
import os
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray import observe
from oocarray.held import HeldMemory, cpu_seconds, family
from oocarray.meter import Meter, countdown
from oocarray.observe import default_observers
from oocarray.plan import Advanced, Began, Ended

GIGABYTE = 10**9


def began(items: int = 10, nbytes: int = 10 * GIGABYTE, **more: Any) -> Began:
    values: dict[str, Any] = {"stage": 0, "stages": 1, "label": "calibrate"}
    values |= {"items": items, "nbytes": nbytes, "budget": 256 << 20, "policy": "stream"}
    return Began(**(values | more))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Recorder:
    """A display that writes down what it is told."""

    def __init__(self, breaks: str = "") -> None:
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.breaks = breaks

    def _note(self, what: str) -> None:
        self.calls.append(what)
        self.threads.add(threading.get_ident())
        if what == self.breaks:
            raise OSError("no terminal any more")

    def begin(self, meter: Meter, now: float) -> None:
        self._note("begin")

    def update(self, meter: Meter, now: float) -> None:
        self._note("update")

    def end(self, meter: Meter, now: float, ended: Ended) -> None:
        self._note("end")


class Screen(io.StringIO):
    """Standard error that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: Any, columns: int = 120) -> Screen:
    # In the test itself: what a fixture puts there is replaced before the test begins.
    stream = Screen()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(columns))
    return stream


def pipe(monkeypatch: Any) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def follow(clock: Clock, observer: Any, events: list[tuple[float, Any]]) -> None:
    for when, event in events:
        clock.now = 100.0 + when
        observer(event)


# The meter


def test_meter_knows_pace_and_remaining_time() -> None:
    meter = Meter(began(), 0.0)
    assert meter.remaining(0.0) is None
    for second in range(1, 6):
        meter.advance(Advanced(0, 1, GIGABYTE), 2.0 * second)
    assert meter.share == 0.5
    assert meter.rate(10.0) == 0.5e9
    assert meter.remaining(10.0) == pytest.approx(10.0)
    # Between two events the time goes down, and never below zero.
    assert meter.remaining(13.0) == pytest.approx(7.0)
    assert meter.remaining(99.0) == 0.0


def test_meter_learns_a_new_pace() -> None:
    meter = Meter(began(items=100), 0.0)
    meter.advance(Advanced(0, 10, 0), 100.0)
    for second in range(1, 21):
        meter.advance(Advanced(0, 1, 0), 100.0 + second)
    assert meter.remaining(120.0) == pytest.approx(70.0, rel=0.05)


def test_a_heartbeat_changes_nothing_but_the_time() -> None:
    meter = Meter(began(), 0.0)
    meter.advance(Advanced(0, 0, 0), 5.0)
    assert (meter.share, meter.rate(5.0), meter.remaining(5.0)) == (0.0, 0.0, None)


def test_meter_without_items_is_done() -> None:
    assert Meter(began(items=0, nbytes=0), 0.0).share == 1.0


def test_budget_and_allowance_are_told_apart() -> None:
    meter = Meter(began(pids=(7, 8, 9)), 0.0)
    assert meter.limit == "256 MiB + 4 x 80 MiB"
    assert Meter(began(), 0.0).limit == "256 MiB"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s left"), (0.2, "1 s left"), (61, "1 min 1 s left")]
)
def test_countdown(seconds: float, text: str) -> None:
    assert countdown(seconds) == text


# Lines


def test_lines_come_every_ten_seconds(monkeypatch) -> None:
    log = pipe(monkeypatch)
    clock = Clock()
    observer = observe._Progress(False, bar=False, clock=clock)
    steps = [(s, Advanced(0, 1, GIGABYTE)) for s in (1, 5, 9, 11, 15, 20, 22)]
    follow(clock, observer, [(0, began()), *steps, (23, Ended(0, 23.0, True))])
    lines = log.getvalue().splitlines()
    assert [line.partition(", holds ")[0] for line in lines[:2]] == [
        "oocarray: calibrate: 40% of 10.00 GB, 0.36 GB/s, 17 s left",
        "oocarray: calibrate: 70% of 10.00 GB, 0.32 GB/s, 11 s left",
    ]
    assert lines[2].startswith("oocarray: calibrate: 10.00 GB in 23.0 s, 0.30 GB/s, held at most")
    assert len(lines) == 3


def test_short_runs_leave_no_line(monkeypatch) -> None:
    log = pipe(monkeypatch)
    clock = Clock()
    observer = observe._Progress(False, bar=False, clock=clock)
    follow(clock, observer, [(0, began()), (9, Advanced(0, 9, 1)), (9.9, Ended(0, 9.9, True))])
    assert log.getvalue() == ""


def test_forced_lines_come_at_once_and_at_the_end(monkeypatch) -> None:
    log = pipe(monkeypatch)
    clock = Clock()
    observer = observe._Progress(True, bar=False, clock=clock)
    follow(clock, observer, [(0, began()), (1, Advanced(0, 5, 5 * GIGABYTE))])
    assert log.getvalue().startswith("oocarray: calibrate: 0% of 10.00 GB, 0 MB/s, holds ")
    follow(clock, observer, [(2, Ended(0, 2.0, False))])
    assert "oocarray: calibrate: failed at 50% after 2.0 s, 2.50 GB/s" in log.getvalue()


def test_stages_are_numbered(monkeypatch) -> None:
    log = pipe(monkeypatch)
    clock = Clock()
    observer = observe._Progress(True, bar=False, clock=clock)
    follow(clock, observer, [(0, began(stages=3, stage=1)), (1, Ended(1, 1.0, True))])
    assert log.getvalue().startswith("oocarray: calibrate 2/3: 0% of")


# The bar


def test_no_bar_before_a_second(monkeypatch) -> None:
    screen = terminal(monkeypatch)
    clock = Clock()
    observer = observe._Progress(False, bar=True, clock=clock)
    follow(clock, observer, [(0, began()), (0.1, Advanced(0, 9, 1)), (0.19, Advanced(0, 1, 1))])
    assert observer._ticker is None
    follow(clock, observer, [(0.2, Ended(0, 0.2, True))])
    assert screen.getvalue() == ""


def test_a_bar_appears_after_a_second_and_goes(monkeypatch, no_leaks) -> None:
    screen = terminal(monkeypatch)
    clock = Clock()
    observer = observe._Progress(False, bar=True, clock=clock)
    follow(clock, observer, [(0, began()), (1.5, Advanced(0, 3, 3 * GIGABYTE))])
    limit = time.monotonic() + 10
    while "calibrate" not in screen.getvalue() and time.monotonic() < limit:
        time.sleep(0.02)
    shown = screen.getvalue()
    assert " 30%" in shown
    assert "2.00 GB/s" in shown
    assert "4 s left" in shown
    assert "of 256 MiB" in shown
    follow(clock, observer, [(2, Ended(0, 2.0, False))])
    # The line was erased and the cursor is back.
    assert screen.getvalue().endswith("\x1b[2K")
    assert "\x1b[?25h" in screen.getvalue()
    assert sys.stderr is screen


def test_a_forced_bar_is_there_at_once_and_stays(monkeypatch) -> None:
    screen = terminal(monkeypatch)
    clock = Clock()
    observer = observe._Progress(True, bar=True, clock=clock)
    follow(clock, observer, [(0, began())])
    assert "calibrate" in screen.getvalue()
    follow(clock, observer, [(0.1, Advanced(0, 10, 10 * GIGABYTE)), (0.15, Ended(0, 0.15, True))])
    assert "10.00 GB in 150 ms" in screen.getvalue()
    assert not screen.getvalue().endswith("\x1b[2K")


def test_two_runs_at_once_share_no_line(monkeypatch) -> None:
    screen = terminal(monkeypatch)
    clock = Clock()
    first, second = (observe._Progress(True, bar=True, clock=clock) for _ in range(2))
    follow(clock, first, [(0, began(label="first"))])
    follow(clock, second, [(0, began(label="second")), (1, Ended(0, 1.0, True))])
    follow(clock, first, [(1, Ended(0, 1.0, True))])
    assert "first" in screen.getvalue()
    assert "second" not in screen.getvalue()


def test_a_narrow_terminal_loses_words_and_not_the_line(monkeypatch) -> None:
    screen = terminal(monkeypatch, 40)
    clock = Clock()
    observer = observe._Progress(True, bar=True, clock=clock)
    follow(
        clock,
        observer,
        [(0, began(label="a label that is too long for this")), (1, Ended(0, 1.0, True))],
    )
    assert "held" not in screen.getvalue()
    assert "0%" in screen.getvalue()


@pytest.mark.parametrize("when", ["begin", "update", "end"])
def test_a_display_that_breaks_disturbs_nobody(when: str) -> None:
    clock, display = Clock(), Recorder(when)
    observer = observe._Progress(True, bar=False, clock=clock, display=display)
    follow(clock, observer, [(0, began()), (1, Advanced(0, 1, 1)), (2, Advanced(0, 1, 1))])
    follow(clock, observer, [(3, Ended(0, 3.0, True))])
    # Shown no more, but closed, so that nothing stays on the screen.
    expected = {"begin": ["begin", "end"], "update": ["begin", "update", "end"]}
    assert display.calls == expected.get(when, ["begin", "update", "update", "end"])


def test_a_thread_redraws_between_events(no_leaks) -> None:
    clock, display = Clock(), Recorder()
    observer = observe._Progress(False, bar=True, clock=clock, display=display)
    follow(clock, observer, [(0, began()), (0.5, Advanced(0, 1, 1))])
    limit = time.monotonic() + 10
    while display.calls.count("update") < 2 and time.monotonic() < limit:
        time.sleep(0.02)
    follow(clock, observer, [(1, Ended(0, 1.0, True))])
    assert display.calls.count("update") >= 2
    assert len(display.threads) == 2


# Who gets which observer


def test_who_gets_an_observer(monkeypatch) -> None:
    terminal(monkeypatch)
    assert default_observers(False) == []
    assert isinstance(default_observers(None)[0].display, observe._LateBar)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(default_observers(None)[0].display, observe._Lines)
    monkeypatch.setattr(sys, "stderr", None)
    assert default_observers(True) == []


def test_real_runs_are_shown(monkeypatch) -> None:
    log = pipe(monkeypatch)
    x = oo.from_array(np.zeros(4), chunks=1)
    done = x.map_blocks(np.negative, dtype="f8", name="negate")
    with oo.options(scheduler="threads", workers=1):
        done.compute(progress=False)
        done.compute()
        assert log.getvalue() == ""
        done.compute(progress=True)
    assert log.getvalue().count("oocarray: negate: ") == 2


def test_a_failed_run_says_so(monkeypatch) -> None:
    log = pipe(monkeypatch)

    def fails(block: Any) -> Any:
        raise ValueError("no")

    x = oo.from_array(np.zeros(4), chunks=1).map_blocks(fails, dtype="f8")
    with pytest.raises(ValueError, match="no"):
        x.compute(scheduler="serial", progress=True)
    assert "oocarray: fails: failed at 0% after" in log.getvalue()


# Memory and processor time

# What this process, with thousands of tests behind it, may take or let go meanwhile.
SLACK = 16 << 20


def child(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


HOLDS = """
import mmap, os, sys
print("ready", flush=True); sys.stdin.readline()
x = {allocation}
print("holds", flush=True); sys.stdin.readline()
del x
print("freed", flush=True); sys.stdin.readline()
"""


def mapped(path: Any) -> str:
    return f"mmap.mmap(os.open({str(path)!r}, 0), 0, prot=1); sum(x[::4096])"


@pytest.mark.parametrize("kind", ["anonymous", "file"])
def test_memory_of_another_process_is_measured(kind: str, tmp_path) -> None:
    size = 64 << 20
    path = tmp_path / "zeros"
    path.write_bytes(bytes(size))
    allocation = f"bytearray(b'x' * 1) * {size}" if kind == "anonymous" else mapped(path)
    with child(HOLDS.format(allocation=allocation)) as process:
        assert told(process) == "ready"
        held = HeldMemory([process.pid])
        held.written = 0
        assert held.sample() < SLACK
        tell(process)
        assert told(process) == "holds"
        assert size - SLACK <= held.sample() < size + SLACK
        tell(process)
        assert told(process) == "freed"
        assert held.sample() < SLACK
        assert size - SLACK <= held.peak < size + SLACK
        tell(process)


def test_later_children_are_found() -> None:
    held = HeldMemory(children=True)
    assert held.processes >= 1
    with child("import sys; x = b'x' * (32 << 20); print(1, flush=True); sys.stdin.read()") as late:
        assert told(late) == "1"
        held._samples = 0
        assert held.sample() >= (32 << 20) - SLACK
        assert late.pid in held._all
        late.stdin.close()


def test_a_process_that_is_gone_counts_nothing() -> None:
    with child("") as process:
        process.wait()
    assert family([process.pid]) == set()
    assert cpu_seconds([process.pid]) == 0.0
    held = HeldMemory([process.pid])
    held.written = 0
    assert held.sample() < SLACK


def test_shared_memory_counts_once() -> None:
    size = 64 << 20
    fd = os.memfd_create("shared")
    code = HOLDS.format(allocation=f"mmap.mmap(os.open('/proc/{os.getpid()}/fd/{fd}', 2), 0)")
    try:
        os.ftruncate(fd, size)
        with child(code.replace("del x", "sum(x[::4096])")) as process, mmap.mmap(fd, size) as ours:
            held = HeldMemory([process.pid])
            held.written = 0
            for page in range(0, size, mmap.PAGESIZE):
                ours[page] = 1
            assert size - SLACK <= held.sample() < size + SLACK
            assert told(process) == "ready"
            tell(process)
            assert told(process) == "holds"
            tell(process)
            assert told(process) == "freed"
            assert size - SLACK <= held.sample() < size + SLACK
            tell(process)
    finally:
        os.close(fd)


def test_cpu_time_of_another_process() -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass\nprint(1, flush=True); input()"
    with child(code) as process:
        told(process)
        assert 0.25 <= cpu_seconds([process.pid]) < 2
        tell(process)
