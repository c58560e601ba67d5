"""What a run leaves in the page cache: what was there before, and nothing of its own."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from test_memory import forget, made

import oocarray as oo
from oocarray.grid import Grid
from oocarray.pages import calls, pagecache
from oocarray.pages.pagecache import count_pages
from oocarray.pages.residency import Finished
from oocarray.runtime import leaving
from oocarray.runtime.leaving import CacheBefore, cached_ranges, drop_all
from oocarray.runtime.pools import close_pools
from oocarray.runtime.stagefiles import _lowest, _order
from oocarray.storage.filekey import FileKey
from oocarray.storage.layout import Strided

MIB = 1 << 20
PAGE = calls.PAGE
ROWS, COLUMNS = 8192, 2048  # 128 MiB of float64
# Of such a file, when nothing was dropped.  Clean pages are the kernel's to take whenever memory
# is short on the machine or in a cgroup, a folio (2 MiB) at a time; what we drop leaves nothing.
NEARLY_ALL = 112 * MIB
STREAMING = {"memory": "32 MiB", "workers": 2, "progress": False}


def cached(path, start=0, stop=None):
    """Bytes of a file that are in the page cache."""
    fd = os.open(path, os.O_RDONLY)
    try:
        stop = os.fstat(fd).st_size if stop is None else stop
        (counts,) = count_pages(fd, [(start, stop)])
    finally:
        os.close(fd)
    if counts.cached is None:
        pytest.skip("this kernel does not tell what is cached")
    return counts.cached


def warm(path, start, stop):
    """Read a stretch of a file and no more than that."""
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for at in range(start, stop, MIB):
        os.pread(fd, min(MIB, stop - at), at)
    os.close(fd)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Wait for workers, and for what the disk still reads ahead, as long as it may take."""
    monkeypatch.setattr(leaving, "_PATIENCE", 20.0)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = made(tmp_path_factory.mktemp("cache") / "x.npy", ROWS)
    yield path
    path.unlink()


@pytest.fixture
def cold(file):
    forget(file)
    if cached(file):
        # Workers of the runs before have it mapped.
        close_pools()
        forget(file)
    return file


def total(path):
    """Of an array as `made` makes it."""
    return np.arange(2048.0).sum() / 2048 * ROWS / 2048 * COLUMNS


# ---- what a stream leaves ------------------------------------------------------------------------


def test_a_block_that_was_cached_before_stays_and_other_files_do(cold, tmp_path):
    other = made(tmp_path / "other.npy", 2048)
    warm(other, 0, 32 * MIB)
    block = 256 * COLUMNS * 8  # 4 MiB
    start, stop = 128 + 5 * block, 128 + 6 * block
    warm(cold, start, stop)
    before, others = cached(cold, start, stop), cached(other)
    assert before >= block
    assert cached(cold) <= block + 2 * PAGE
    x = oo.open(cold, chunks=(256, -1))
    assert x.mean().compute(**STREAMING) * ROWS * COLUMNS == pytest.approx(total(cold))
    assert cached(cold, start, stop) >= 0.9 * before
    assert cached(cold) <= before + 2 * MIB
    assert cached(other) >= 0.9 * others


def columns(path):
    return oo.open(path, chunks=(-1, 512))


def tiles(path):
    return oo.open(path, chunks=(1024, 512))


def every_other(path):
    return oo.open(path)[::2]


def backwards(path):
    return oo.open(path, chunks=(256, -1))[::-1]


@pytest.mark.parametrize("opened", [columns, tiles, every_other, backwards])
def test_however_the_file_is_cut_nothing_is_left(cold, opened):
    x = opened(cold)
    sums = x.map_blocks(lambda b: b.sum(keepdims=True), chunks=(1, 1), dtype="f8")
    found = sums.compute(memory="81 MiB", workers=2, progress=False).sum()
    assert cached(cold) <= 2 * MIB
    step = 2 if opened is every_other else 1
    assert found == pytest.approx(np.load(cold, mmap_mode="r")[::step].sum())


def test_a_file_in_fortran_order(tmp_path):
    path = tmp_path / "f.npy"
    x = np.asfortranarray(np.arange(6e6).reshape(1500, 4000))
    np.save(path, x)
    forget(path)
    with oo.options(memory="24 MiB", workers=2, progress=False):
        sums = oo.open(path).sum(axis=0).compute()
    assert cached(path) <= 2 * MIB
    assert np.allclose(sums, x.sum(axis=0))


def test_several_arrays_in_one_file(cold):
    third = ROWS // 4
    parts = [oo.open(cold)[n * third : (n + 1) * third].rechunk((128, -1)) for n in range(3)]
    result = oo.map_blocks(lambda a, b, c: a + b + c, *parts, dtype="f8")
    found = result.mean().compute(**STREAMING)
    # Nobody asked for the last quarter, whatever was read ahead of the third.
    assert cached(cold) <= 2 * MIB
    assert found == pytest.approx(3 * np.arange(2048).mean() / 2048)


def test_the_output_and_the_trial_leave_nothing_either(cold, tmp_path):
    out = tmp_path / "out.npy"
    with oo.options(**STREAMING):
        # Without dtype= the function is called once before the run, on a block really read.
        oo.open(cold, chunks=(256, -1)).map_blocks(lambda b: b + 1).store(out)
    assert cached(cold) <= 2 * MIB
    assert cached(out) <= 2 * MIB
    assert np.load(out, mmap_mode="r")[7, 7] == 1 + 7 / 2048


def test_an_update_in_place_leaves_nothing(cold):
    with oo.options(**STREAMING):
        x = oo.open(cold, "r+", chunks=(256, -1))
        oo.update_blocks(_negate, x)
        oo.update_blocks(_negate, x)
    assert cached(cold) <= 2 * MIB


def _negate(block):
    np.negative(block, out=block)


def _fails_at_the_end(block, block_id):
    if block_id[0] == 30:
        raise RuntimeError("as asked")
    return block


@pytest.mark.parametrize("scheduler", ["processes", "threads", "serial"])
def test_a_run_that_fails_leaves_nothing(cold, tmp_path, scheduler):
    x = oo.open(cold, chunks=(256, -1)).map_blocks(_fails_at_the_end, dtype="f8")
    with pytest.raises(RuntimeError, match="as asked"):
        x.store(tmp_path / "out.npy", scheduler=scheduler, **STREAMING)
    assert cached(cold) <= 4 * MIB


def test_a_run_that_is_interrupted_leaves_nothing(cold, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "import sys, time, oocarray as oo\n"
        "from oocarray.runtime import leaving\n"
        "leaving._PATIENCE = 20\n"
        "def slow(block):\n"
        "    time.sleep(0.1)\n"
        "    print('block', flush=True)\n"
        "    return block\n"
        "x = oo.open(sys.argv[1], chunks=(256, -1)).map_blocks(slow, dtype='f8')\n"
        "x.sum().compute(memory='32 MiB', workers=2, progress=False)\n"
    )
    process = subprocess.Popen(
        [sys.executable, script, cold],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(6):
        assert "block" in process.stdout.readline()
    process.send_signal(2)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert cached(cold) <= 4 * MIB


# ---- the option ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["processes", "threads", "serial"])
def test_what_fits_stays_unless_it_is_to_be_dropped(cold, scheduler):
    x = oo.open(cold, chunks=(256, -1))
    warm(cold, 64 * MIB, 68 * MIB)
    with oo.options(memory="1 GiB", workers=2, scheduler=scheduler, progress=False):
        x.mean().compute(drop=True)
        # Two passes of one run, and mappings that an earlier run has kept.
        oo.compute(x.map_blocks(_less, x.mean(), dtype="f8").sum(), drop=True)
        assert 4 * MIB <= cached(cold) <= 6 * MIB
        x.mean().compute()
        assert cached(cold) >= NEARLY_ALL
        forget(cold)
        x.mean().compute()
        x.mean().compute(drop=True)
        # Cached before the run that was to drop what it brings in.
        assert cached(cold) >= NEARLY_ALL


def _less(block, mean):
    return block - mean


def test_a_stream_may_be_told_to_leave_its_pages(cold, tmp_path):
    x, out = oo.open(cold, chunks=(256, -1)), tmp_path / "out.npy"
    with oo.options(**STREAMING, drop=False):
        x.map_blocks(np.negative, dtype="f8").store(out)
    assert cached(cold) >= NEARLY_ALL
    assert cached(out) >= NEARLY_ALL
    # What is cached is written all the same: it could be dropped at any time.
    fd = os.open(out, os.O_RDONLY)
    counts = calls.cache_counts(fd, 0, 128 * MIB)
    os.close(fd)
    assert counts is None or (counts[1] + counts[2]) * PAGE <= 4 * MIB


def test_explain_says_what_becomes_of_the_page_cache(cold):
    mean = oo.open(cold).mean()
    for options, words in (
        (STREAMING, "left as found: what the run brings in is dropped behind it"),
        ({**STREAMING, "drop": False}, "what the run brings in stays"),
        ({"memory": "1 GiB"}, "what the run brings in stays"),
        (
            {"memory": "1 GiB", "drop": True},
            "left as found: what the run brings in is dropped at its end",
        ),
    ):
        assert f"page cache: {words}" in mean.explain(**options)


# ---- what was cached before ----------------------------------------------------------------------


def test_what_is_cached_is_found_to_the_page(cold):
    cached(cold)
    warm(cold, 10 * PAGE, 20 * PAGE)
    warm(cold, 50 * MIB, 61 * MIB + PAGE)
    fd = os.open(cold, os.O_RDONLY)
    try:
        found = cached_ranges(fd)
        assert sum(stop - start for start, stop in found) == cached(cold)
        inside = Finished(found)
        assert list(inside.without_kept(10 * PAGE, 20 * PAGE)) == []
        assert list(inside.without_kept(50 * MIB, 61 * MIB + PAGE)) == []
        assert sum(b - a for a, b in inside.without_kept(20 * MIB, 40 * MIB)) == 20 * MIB
    finally:
        os.close(fd)


def test_a_cache_in_shreds_takes_few_questions(cold, monkeypatch):
    cached(cold)
    for at in range(0, 128 * MIB, 64 << 10):
        warm(cold, at, at + PAGE)
    asked = []
    monkeypatch.setattr(leaving, "_QUESTIONS", 100)
    ask = leaving.count_pages
    monkeypatch.setattr(leaving, "count_pages", lambda *args: asked.append(1) or ask(*args))
    fd = os.open(cold, os.O_RDONLY)
    try:
        found = cached_ranges(fd)
    finally:
        os.close(fd)
    assert len(asked) <= 1000
    # A sixteenth of everything is cached: that is not half of anything large.
    assert sum(stop - start for start, stop in found) <= 32 * MIB


@pytest.fixture
def without_cachestat(monkeypatch):
    monkeypatch.setattr(calls, "cache_counts", lambda *_: None)


def test_before_linux_6_5_a_mapping_is_asked(cold, without_cachestat):
    warm(cold, 50 * MIB, 54 * MIB)
    with oo.options(**STREAMING):
        oo.open(cold, chunks=(256, -1)).mean().compute()
    assert cached(cold, 50 * MIB, 54 * MIB) >= 2 * MIB
    assert cached(cold) <= 6 * MIB


@pytest.mark.parametrize("drop", [None, True])
def test_where_nobody_can_tell_only_the_runs_own_files_are_dropped(
    cold, tmp_path, monkeypatch, drop
):
    out = tmp_path / "out.npy"
    with monkeypatch.context() as blind:
        blind.setattr(calls, "cache_counts", lambda *_: None)
        blind.setattr(pagecache, "_may_ask", lambda _: False)
        with oo.options(**STREAMING, drop=drop):
            oo.open(cold, chunks=(256, -1)).map_blocks(np.negative, dtype="f8").store(out)
    assert cached(out) <= 2 * MIB
    if drop:
        # The kernel's own: a page that it is still reading ahead cannot be dropped.
        assert cached(cold) <= 8 * MIB
    else:
        assert cached(cold) >= NEARLY_ALL


def test_pages_that_are_still_mapped_are_given_a_moment(cold):
    fd = os.open(cold, os.O_RDONLY)
    finished = CacheBefore((), None).finished((0, 1), fd)
    window = calls_window(fd, 16 * MIB)
    finished.add(0, 16 * MIB, 0)
    timer = threading.Timer(0.05, window.release)
    timer.start()
    began = time.monotonic()
    drop_all({fd: finished})
    assert time.monotonic() - began < 10
    timer.join()
    os.close(fd)
    assert cached(cold, 0, 16 * MIB) <= 2 * MIB


def calls_window(fd, stop):
    from oocarray.pages.mapping import Window

    window = Window(fd, 0, stop)
    window.populate(0, stop)
    return window


# ---- how far a run is ----------------------------------------------------------------------------


def layout(shape, strides, offset=128):
    return Strided(FileKey("/x", 1, 2, 1 << 40, 0), offset, shape, np.dtype("f8"), strides)


@pytest.mark.parametrize(
    ("strides", "chunks", "order"),
    [
        ((8000, 8), ((10,) * 10, (1000,)), "apart"),
        ((16000, 8), ((10,) * 10, (1000,)), "apart"),
        ((8000, 8), ((10,) * 10, (500, 500)), "mixed"),
        ((8000, 8), ((100,), (500, 500)), "mixed"),
        ((8, 800), ((100,), (500, 500)), "apart"),
        ((8, 800), ((50, 50), (1000,)), "mixed"),
        ((-8000, 8), ((10,) * 10, (1000,)), "none"),
        ((8000, 8), ((100,), (1000,)), "apart"),
    ],
)
def test_how_items_lie_in_a_file(strides, chunks, order):
    grid = Grid(chunks)
    source = layout((100, 1000), strides, 128 + (99 * 8000 if strides[0] < 0 else 0))
    assert _order(grid, source, grid.region) == order


@pytest.mark.parametrize("strides", [(8000, 8), (8, 800)])
def test_no_item_to_come_asks_for_what_lies_below(strides):
    grid = Grid(((30, 30, 40), (200,) * 5))
    source = layout((100, 1000), strides)
    starts = [source.span(grid.region(grid.coords(n)))[0] for n in range(grid.size)]
    for number in range(grid.size):
        low = _lowest(grid, grid.coords(number), source, grid.region)
        assert low == min(starts[number:])


# ---- the second time -----------------------------------------------------------------------------

TWICE = """
import sys, time
import numpy as np
import oocarray as oo

path, how, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3])
def mean():
    if how == "memmap":
        return np.load(path, mmap_mode="r").mean()
    return oo.open(path).mean().compute(progress=False)
times = []
for _ in range(repeats):
    began = time.perf_counter()
    mean()
    times.append(time.perf_counter() - began)
print(*times)
"""


def twice(group, path, how, repeats):
    ran = group.run(
        [sys.executable, "-c", TWICE, path, how, str(repeats)], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return [float(word) for word in ran.stdout.split()]


def test_a_file_of_four_tenths_of_the_memory_stays_for_the_next_run(cold, memory_cgroup):
    # All of the memory that there is for this process: 320 MiB more than the interpreters take.
    group = memory_cgroup(int(128 * MIB / 0.4) + 200 * MIB)
    twice(group, cold, "oocarray", 1)
    assert cached(cold) >= NEARLY_ALL
    assert group.oom_kills == 0


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_second_mean_is_nearly_as_fast_as_a_memmaps(tmp_path, memory_cgroup):
    path = made(tmp_path / "x.npy", 131072)  # 2 GiB
    group = memory_cgroup(int(2048 * MIB / 0.4))
    ours, theirs = [], []
    for _ in range(3):
        forget(path)
        ours += twice(group, path, "oocarray", 5)[1:]
        forget(path)
        theirs += twice(group, path, "memmap", 5)[1:]
    ratio = min(theirs) / min(ours)
    print(f"second pass {min(ours):.3f} s, np.memmap {min(theirs):.3f} s: {ratio:.2f}")
    assert ratio >= 0.7


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_gibibyte_streamed_in_blocks_of_4_mib_leaves_hardly_anything(tmp_path):
    path = made(tmp_path / "x.npy", 65536)
    out = tmp_path / "out.npy"
    with oo.options(memory="64 MiB", workers=2, progress=False):
        x = oo.open(path, chunks=(256, -1))
        x.mean().compute()
        assert cached(path) <= 8 * MIB
        x.map_blocks(np.negative, dtype="f8").store(out)
    assert cached(path) <= 8 * MIB
    assert cached(out) <= 8 * MIB
