"""What many small blocks cost: planning, time per block, and what they leave behind."""

import gc
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest

import oocarray as oo

PLAN = """
import time
import numpy as np
import oocarray as oo
from oocarray.backends import mapped
from oocarray.lazy.graph import Root

@oo.kernel
def nothing(out, x):
    pass

def most():
    # In KiB; what getrusage tells is inherited from whoever started us.
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1])

def plan(x):
    return mapped.plan_of([Root(oo.map_blocks(nothing, x, dtype="f8").node)])

plan(oo.from_array(np.zeros((4, 512)), chunks=(1, 512)))
before, began = most(), time.process_time()
x = oo.open({path!r}, shape=(10**6, 512), dtype="f8", chunks=(1, 512))
found = plan(x)
seconds = time.process_time() - began
grown = (most() - before) >> 10
print(found.stages[0].grid.size, seconds, grown)
"""


def test_a_million_blocks_are_planned_in_a_second_and_little_memory(tmp_path):
    path = tmp_path / "x.bin"
    with open(path, "wb") as file:
        file.truncate(4096 * 10**6)
    script = PLAN.format(path=str(path))
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    blocks, seconds, mib = said.stdout.split()
    assert int(blocks) == 10**6
    assert float(seconds) <= 4  # a fraction of one where nothing else is at work
    assert int(mib) <= 100


@oo.kernel
def nothing(block):
    pass


def update(path, rows, scheduler):
    x = oo.open(path, "r+", chunks=(1, 512))[:rows].rechunk((1, 512))
    with oo.options(scheduler=scheduler, workers=2, progress=False, memory="1 GiB"):
        oo.update_blocks(nothing, x)


@pytest.fixture
def blocks(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((20_000, 512)))
    return path


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
def test_blocks_leave_nothing_behind(blocks, scheduler):
    update(blocks, 20_000, scheduler)

    def peak(rows):
        gc.collect()
        tracemalloc.start()
        update(blocks, rows, scheduler)
        _, most = tracemalloc.get_traced_memory()
        limit = time.monotonic() + 10
        # Workers hear of the end of a run a little after its caller.
        while (kept := tracemalloc.get_traced_memory()[0]) > 100_000 and time.monotonic() < limit:
            gc.collect()
            time.sleep(0.05)
        tracemalloc.stop()
        return kept, most

    few, many = peak(2_000), peak(20_000)
    # A grid has some eight bytes per block, several times over while one is planned; an object of
    # its own for each block would be a hundred.
    assert many[1] - few[1] <= 18_000 * 80
    assert many[0] <= 100_000


def test_a_block_in_memory_costs_little(blocks):
    update(blocks, 20_000, "serial")
    seconds = []
    for _ in range(5):
        began = time.process_time()
        update(blocks, 20_000, "serial")
        seconds.append(time.process_time() - began)
    # Some 8 us where it was measured; a machine that is busy may take several times as long.
    assert min(seconds) / 20_000 <= 40e-6
