"""Held memory, measured from outside on real files and processes, against the budget.

The whole matrix, on a file of 4 GiB and with speeds compared, is for ``make test-memory``.
"""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from oocarray.pages import calls
from oocarray.units import parse_bytes

MIB = 1 << 20
PER_PROCESS = 80 * MIB
COLUMNS = 2048
SMALL, LARGE = 24576, 262144  # rows: 384 MiB and 4 GiB of float64
JOBS = ["mean", "kernel", "function", "update", "three"]

SCRIPT = """
import sys, time
import oocarray as oo
from oocarray.config import current
from oocarray.explain import explain
from oocarray.lazy.graph import Root

job, path, out, memory = sys.argv[1:]

@oo.kernel
def line(out, x):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = 2 * x[i, j] + 1

@oo.kernel
def turn(block):
    for i in range(block.shape[0]):
        for j in range(block.shape[1]):
            block[i, j] = 1 - block[i, j]

def asked(x, out):
    if job == "mean":
        return x.mean()
    if job == "kernel":
        return oo.map_blocks(line, x)
    if job == "function":
        return oo.map_blocks(lambda block: 2 * block + 1, x, dtype="f8")
    third = x.shape[0] // 3
    x = oo.open(path)
    parts = [x[n * third : (n + 1) * third] for n in range(3)]
    return oo.map_blocks(lambda a, b, c: a + b + c, *parts, dtype="f8")

def run(x, out):
    if job == "mean":
        print("mean", float(asked(x, out).compute()))
    elif job == "update":
        oo.update_blocks(turn, x)
    else:
        asked(x, out).store(out, overwrite=True)

with oo.options(memory=memory, workers=2, progress=False):
    x = oo.open(path, "r+", chunks=(512, -1) if job in ("function", "update") else None)
    if job in ("mean", "kernel"):
        run(x[:8], out)          # workers, compiled code: not what is measured
    else:
        x[:8].max().compute()
    if job == "update":
        # Compiled where nothing is known yet, it takes the memory of the compiler.
        oo.update_blocks(turn, oo.create(out, (512, x.shape[1]), "f8", overwrite=True))
    if job == "mean":
        print(x.mean().explain())
    elif job != "update":
        array = asked(x, out)
        target = oo.create(out, shape=array.shape, dtype="f8", overwrite=True)
        print(explain([Root(array.node, target.node.source)], current()))
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    run(x, out)
    print("seconds", time.perf_counter() - began)
"""


def forget(path):
    """Write a file out and drop it from the page cache."""
    fd = os.open(path, os.O_RDWR)
    os.fdatasync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def made(path, rows):
    """A .npy file whose data begins at byte 128, of values below 1 that differ along a column."""
    header = np.lib.format
    with open(path, "wb") as stream:
        described = {"descr": "<f8", "fortran_order": False, "shape": (rows, COLUMNS)}
        header.write_array_header_1_0(stream, described)
        assert stream.tell() == 128
        piece = np.empty((2048, COLUMNS))
        piece[...] = np.arange(2048.0)[:, None] / 2048
        for _ in range(rows // 2048):
            stream.write(piece.data)
            if stream.tell() % (256 * MIB) < piece.nbytes:
                stream.flush()
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    forget(path)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = made(tmp_path_factory.mktemp("small") / "x.npy", SMALL)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    path = made(tmp_path_factory.mktemp("large") / "x.npy", LARGE)
    yield path
    path.unlink()


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "job.py"
    path.write_text(SCRIPT)
    return path


# ---- measuring -----------------------------------------------------------------------------------


def tree(pid):
    """A process and all that descend from it."""
    found = [pid]
    for one in found:
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                children = Path(f"/proc/{one}/task/{task}/children").read_text()
                found += map(int, children.split())
        except OSError:
            continue
    return found


class Sampler(threading.Thread):
    """What a process tree holds, every 20 ms: anonymous + shared + max(mapped, dirty)."""

    def __init__(self, pid, folder):
        super().__init__(daemon=True)
        self.pid, self.folder = pid, str(folder)
        self.peak = self.processes = 0
        self.ended = threading.Event()
        self.base = self.held()

    def held(self):
        sums, count = {"RssAnon": 0, "RssShmem": 0, "RssFile": 0}, 0
        for one in tree(self.pid):
            try:
                status = Path(f"/proc/{one}/status").read_text()
            except OSError:
                continue
            count += 1
            for line in status.splitlines():
                name, _, rest = line.partition(":")
                if name in sums:
                    sums[name] += int(rest.split()[0]) * 1024
        self.processes = max(self.processes, count)
        return sums["RssAnon"] + sums["RssShmem"] + max(sums["RssFile"], self.dirty())

    def dirty(self):
        """Dirty and being written, of the run's own files: others write to this disk too."""
        pages, seen = 0, set()
        try:
            for name in os.listdir(f"/proc/{self.pid}/fd"):
                link = f"/proc/{self.pid}/fd/{name}"
                if os.readlink(link).startswith(self.folder):
                    fd = os.open(link, os.O_RDONLY)
                    try:
                        found = os.fstat(fd)
                        counts = calls.cache_counts(fd, 0, found.st_size)
                        if counts is not None and found.st_ino not in seen:
                            seen.add(found.st_ino)
                            pages += counts[1] + counts[2]
                    finally:
                        os.close(fd)
        except OSError:
            pass
        return pages * calls.PAGE

    def run(self):
        while not self.ended.wait(0.02):
            self.peak = max(self.peak, self.held() - self.base)


class Run:
    """One job in a process of its own: what it held, how long it took, what it said."""

    def __init__(self, script, job, path, out, budget, popen=subprocess.Popen):
        argv = [sys.executable, str(script), job, str(path), str(out), str(budget)]
        process = popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = []
        for line in process.stdout:
            if line == "ready\n":
                break
            said.append(line)
        sampler = Sampler(process.pid, Path(out).parent)
        sampler.start()
        said.append(process.communicate("go\n", timeout=300)[0])
        sampler.ended.set()
        sampler.join()
        assert process.returncode == 0
        self.said, self.peak, self.processes = "".join(said), sampler.peak, sampler.processes
        (self.seconds,) = map(float, re.findall(r"^seconds (.*)", self.said, re.MULTILINE))

    @property
    def projected(self):
        """What `explain` said that it would hold; None where it was not asked."""
        found = re.findall(r"in memory at once: at most (.*)", self.said)
        return parse_bytes(found[-1]) if found else None


def check(job, path, out, before, said):
    """See that a job has done what it was to do."""
    rows = np.load(path, mmap_mode="r")
    if job == "mean":
        (found,) = re.findall(r"^mean (.*)", said, re.MULTILINE)[-1:]
        assert float(found) == pytest.approx(rows[:2048, 0].mean(), rel=1e-12)
    elif job == "update":
        assert np.array_equal(rows[::64], 1 - before)
    elif job == "three":
        third = len(rows) // 3
        expected = sum(rows[n * third : (n + 1) * third : 64] for n in range(3))
        assert np.array_equal(np.load(out, mmap_mode="r")[::64], expected)
    else:
        assert np.array_equal(np.load(out, mmap_mode="r")[::64], 2 * before + 1)


def sampled(path):
    found = np.load(path, mmap_mode="r")[::64].copy()
    forget(path)
    return found


def hold_to(job, path, script, out, budget):
    before = sampled(path)
    run = Run(script, job, path, out, budget)
    assert run.processes >= 3  # this one, the server, at least one worker
    assert run.peak <= budget + PER_PROCESS * run.processes
    if run.projected is not None:
        assert run.projected <= budget
        assert run.peak <= run.projected + PER_PROCESS * run.processes
    # The allowance is for interpreters and libraries, which were there before: in fact less.
    assert run.peak <= 1.5 * budget + 32 * MIB
    check(job, path, out, before, run.said)
    return run


@pytest.mark.parametrize(
    ("job", "budget"), [*((job, 64) for job in JOBS), ("mean", 160), ("kernel", 160)]
)
def test_held_memory_stays_within_the_budget(small, script, tmp_path, job, budget):
    hold_to(job, small, script, tmp_path / "out.npy", budget * MIB)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("budget", [64, 256, 1024])
@pytest.mark.parametrize("job", JOBS)
def test_held_memory_stays_within_the_budget_on_a_large_file(large, script, tmp_path, job, budget):
    run = hold_to(job, large, script, tmp_path / "out.npy", budget * MIB)
    print(f"{job} at {budget} MiB: {run.peak / MIB:.0f} MiB held, {run.seconds:.2f} s")


def inside(group):
    """``Popen`` that moves the process into a control group first."""

    def popen(argv, **kw):
        enter = 'echo $$ > "$0" && exec "$@"'
        return subprocess.Popen(
            ["/bin/sh", "-c", enter, group.folder / "cgroup.procs", *argv], **kw
        )

    return popen


@pytest.mark.parametrize("job", JOBS)
def test_the_same_run_in_a_control_group_of_hardly_more(
    small, script, tmp_path, memory_cgroup, job
):
    group = memory_cgroup(64 * MIB + 4 * PER_PROCESS + 64 * MIB)
    before, out = sampled(small), tmp_path / "out.npy"
    run = Run(script, job, small, out, 64 * MIB, inside(group))
    assert group.oom_kills == 0
    check(job, small, out, before, run.said)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("budget", [64, 256, 1024])
@pytest.mark.parametrize("job", JOBS)
def test_a_control_group_of_hardly_more_costs_no_speed(
    large, script, tmp_path, memory_cgroup, job, budget
):
    group = memory_cgroup(budget * MIB + 4 * PER_PROCESS + 64 * MIB)
    out, free, held = tmp_path / "out.npy", [], []
    for _ in range(4):
        for seconds, popen in ((free, subprocess.Popen), (held, inside(group))):
            forget(large)
            seconds.append(Run(script, job, large, out, budget * MIB, popen).seconds)
    # Noise only ever adds to a time.
    ratio = min(free) / min(held)
    print(f"{job} at {budget} MiB: {min(free):.2f} s, in the group {min(held):.2f} s: {ratio:.2f}")
    assert group.oom_kills == 0
    assert ratio >= 0.9


def test_blocks_across_the_rows_map_their_own_pages_only(small, tmp_path):
    script = tmp_path / "columns.py"
    script.write_text(
        "import sys, oocarray as oo\n"
        "with oo.options(memory='320 MiB', workers=2, progress=False):\n"
        "    x = oo.open(sys.argv[2], chunks=(-1, 256))\n"
        "    sums = x.map_blocks(lambda b: b.sum(keepdims=True), chunks=(1, 1), dtype='f8')\n"
        "    oo.open(sys.argv[2])[:8].max().compute()\n"
        "    print(sums.explain())\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    print('seconds', float(sums.compute().sum()))\n"
    )
    run = Run(script, "columns", small, tmp_path / "out.npy", 0)
    # A block is an eighth of the file: 48 MiB, with its share of each row's edges up to 96.
    assert run.seconds == pytest.approx(np.arange(2048.0).sum() / 2048 * SMALL)
    assert run.peak <= run.projected + 32 * MIB <= 352 * MIB
