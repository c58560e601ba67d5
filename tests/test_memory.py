"""Held memory, measured from outside on real files and processes, against the budget."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import oocarray as oo
from oocarray.pages import calls

MIB = 1 << 20
BUDGET = 64 * MIB
PER_PROCESS = 80 * MIB
ROWS, COLUMNS = 32768, 2048  # 512 MiB of float64

SCRIPT = """
import sys
import oocarray as oo

job, path, out = sys.argv[1:]

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

def run(x, out):
    if job == "mean":
        print(float(x.mean().compute()))
    elif job == "kernel":
        oo.map_blocks(line, x).store(out, overwrite=True)
    elif job == "function":
        oo.map_blocks(lambda block: 2 * block + 1, x, dtype="f8").store(out, overwrite=True)
    else:
        oo.update_blocks(turn, x)

with oo.options(memory="64 MiB", workers=2, progress=False):
    x = oo.open(path, "r+")
    if job != "update":
        run(x[:8], out)          # workers, compiled code: not what is measured
    else:
        x.max().compute()
    print("ready", flush=True)
    sys.stdin.readline()
    run(x, out)
"""


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    path = tmp_path_factory.mktemp("big") / "x.npy"
    x = np.lib.format.open_memmap(path, mode="w+", dtype="f8", shape=(ROWS, COLUMNS))
    for start in range(0, ROWS, 2048):
        x[start : start + 2048] = np.arange(2048.0)[:, None] / 2048
    x.flush()
    del x
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    yield path
    path.unlink()


def tree(pid):
    """A process and all that descend from it."""
    found = [pid]
    for one in found:
        try:
            tasks = os.listdir(f"/proc/{one}/task")
            for task in tasks:
                children = Path(f"/proc/{one}/task/{task}/children").read_text()
                found += map(int, children.split())
        except OSError:
            continue
    return found


def held(pid):
    """Anonymous + shared + mapped file pages of a process tree, in bytes, and its processes."""
    total, count = 0, 0
    for one in tree(pid):
        try:
            status = Path(f"/proc/{one}/status").read_text()
        except OSError:
            continue
        count += 1
        for line in status.splitlines():
            if line.startswith(("RssAnon:", "RssShmem:", "RssFile:")):
                total += int(line.split()[1]) * 1024
    return total, count


class Sampler(threading.Thread):
    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.processes, self.stop = pid, 0, 0, False
        self.base, _ = held(pid)

    def run(self):
        while not self.stop:
            total, count = held(self.pid)
            self.peak, self.processes = max(self.peak, total), max(self.processes, count)
            time.sleep(0.02)


def start(argv, popen=subprocess.Popen):
    process = popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line == "ready\n":
            return process
    raise AssertionError("the script ended before it was ready")


@pytest.mark.parametrize("job", ["mean", "kernel", "function", "update"])
def test_held_memory_stays_within_the_budget(big, tmp_path, job):
    script = tmp_path / "job.py"
    script.write_text(SCRIPT)
    process = start([sys.executable, str(script), job, str(big), str(tmp_path / "out.npy")])
    sampler = Sampler(process.pid)
    sampler.start()
    process.communicate("go\n", timeout=100)
    sampler.stop = True
    sampler.join()
    assert process.returncode == 0
    assert sampler.processes >= 4  # this one, the server, two workers
    more = sampler.peak - sampler.base
    assert more <= BUDGET + PER_PROCESS * sampler.processes
    # The allowance is for interpreters and libraries, which were there before: in fact less.
    assert more <= 2 * BUDGET


@pytest.mark.parametrize("job", ["mean", "kernel", "update"])
def test_the_same_run_in_a_control_group_of_hardly_more(big, tmp_path, memory_cgroup, job):
    group = memory_cgroup(BUDGET + 4 * PER_PROCESS + 64 * MIB)
    script = tmp_path / "job.py"
    script.write_text(SCRIPT)
    out = tmp_path / "out.npy"
    before = np.load(big, mmap_mode="r")[::4096].copy()
    ran = group.run(
        [sys.executable, str(script), job, str(big), str(out)],
        input="go\n",
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr
    if job == "kernel":
        assert np.array_equal(np.load(out, mmap_mode="r")[::4096], 2 * before + 1)
    elif job == "update":
        assert np.array_equal(np.load(big, mmap_mode="r")[::4096], 1 - before)


def cached(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return calls.cached_bytes(fd, 0, os.fstat(fd).st_size)
    finally:
        os.close(fd)


@pytest.mark.parametrize("chunks", [(2048, -1), (-1, 512)], ids=["rows", "columns"])
def test_a_streamed_file_is_not_left_in_the_page_cache(big, chunks):
    if cached(big) is None:
        pytest.skip("this kernel does not tell what is cached")
    fd = os.open(big, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    x = oo.open(big, chunks=chunks)
    with oo.options(memory="320 MiB", workers=2):
        double = oo.map_blocks(lambda block: block.sum(keepdims=True), x, chunks=(1, 1), dtype="f8")
        total = double.compute().sum()
    # Before the test itself looks at the file.
    assert cached(big) <= 8 * MIB
    assert total == pytest.approx(np.load(big, mmap_mode="r")[:2048].sum() * ROWS / 2048)
