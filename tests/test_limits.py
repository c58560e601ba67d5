"""What a run may use and what is refused: numbers only, on plans and machines made up for it."""

import os
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oocarray as oo
from oocarray.backends import mapped
from oocarray.estimate import item_cost, kept_bytes, resident_bytes
from oocarray.grid import Grid
from oocarray.lazy.graph import Root
from oocarray.pages import groups
from oocarray.pages.footprint import hole_size, mapped_bytes
from oocarray.pages.residency import Finished
from oocarray.plan import Access, Blocks, Plan, Same, Stage
from oocarray.program import Program
from oocarray.runtime.limits import Limits
from oocarray.runtime.pipeline import forecast, pipeline
from oocarray.storage.filekey import FileKey
from oocarray.storage.layout import Strided
from oocarray.units import format_at_least, parse_bytes

KIB, MIB = 1 << 10, 1 << 20
PAGE = 4096


@pytest.fixture
def file(tmp_path):
    """8 MiB of float64: 1,024 rows of 8 KiB."""
    path = tmp_path / "x.npy"
    np.save(path, np.ones((1024, 1024)))
    return path


def plan_of(array, target=None, **options):
    place = None if target is None else target.node.source
    return mapped.plan_of([Root(array.node, place)])


# ---- how many work -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("memory", "workers", "used"),
    [
        (20, 4, 1),
        (24, 4, 2),
        (35, 4, 2),
        (36, 4, 3),
        (48, 4, 4),
        (480, 4, 4),
        (480, 1, 1),
        (1, 4, 1),
    ],
)
def test_only_as_many_workers_as_can_hold_a_block(file, memory, workers, used):
    # 4 MiB are read, 4 MiB are written, 4 MiB lie in between.
    x = oo.open(file, chunks=(512, -1))
    made = x.map_blocks(np.negative, dtype="f8")
    target = oo.create(file.with_name("y.npy"), shape=x.shape, dtype="f8")
    (stage,) = plan_of(made, target).stages
    assert item_cost(stage).total == 12 * MIB
    tasks = pipeline(stage, memory * MIB, workers, "stream")
    assert tasks.workers == used
    assert tasks.in_flight <= max(memory * MIB, tasks.least)
    assert pipeline(stage, memory * MIB, workers, "resident").workers == workers


def _negative(block, *rest):
    return np.negative(block)


def test_a_run_uses_and_starts_no_more_than_can_work(file, tmp_path):
    x = oo.open(file, chunks=(256, -1))
    made = x.map_blocks(_pid, chunks=(1, 1), dtype="i8")
    oo.runtime.pools.close_pools()
    with oo.options(memory="5 MiB", workers=3, progress=False):
        text = str(made.explain())
        alone = set(made.compute().ravel())
        size = oo.runtime.pools._warm["processes"].size
    assert re.search(r"2 of 3 workers, as each needs 2 MiB for a block", text)
    assert size == 2
    assert len(alone) <= 2
    with oo.options(memory="3 MiB", workers=3, progress=False):
        assert "1 of 3 workers" in made.explain()
        assert len(set(made.compute().ravel())) == 1
        # The pool that is there serves; nobody new is started.
        assert oo.runtime.pools._warm["processes"].size == 2
    with oo.options(memory="1 GiB", workers=3, progress=False):
        assert "3 workers (processes)" in made.explain()
        made.compute()
        assert oo.runtime.pools._warm["processes"].size == 3


def _pid(block):
    return np.full((1, 1), os.getpid())


def test_units_shrink_with_the_budget(file):
    x = oo.open(file)
    (stage,) = mapped.plan_of([Root(x.mean().node)], Limits(4 * MIB, 2)).stages
    (large,) = mapped.plan_of([Root(x.mean().node)], Limits(64 * MIB, 2)).stages
    assert item_cost(stage).read <= MIB < item_cost(large).read


@given(
    st.integers(1, 1 << 34),
    st.integers(1, 64),
    st.integers(1, 1 << 12),
    st.integers(1, 1 << 24),
    st.integers(1, 5),
)
def test_what_is_in_flight_stays_within_the_budget(memory, workers, items, nbytes, arrays):
    shape = items * nbytes
    key = FileKey("/x", 1, 2, 1 << 60, 0)
    grid = Grid(((nbytes,) * items,))
    source = Strided(key, 0, (shape,), np.dtype("u1"), (1,))
    reads = tuple(Access(source, Same()) for _ in range(arrays))
    target = Strided(FileKey("/y", 1, 3, 1 << 60, 0), 0, (shape,), np.dtype("u1"), (1,))
    stage = Stage(Program((), ()), grid, reads, (Blocks(target, grid),))
    told = forecast(Plan((stage,)), Limits(memory, workers), separate=True)
    (tasks,) = told.stages
    assert 1 <= tasks.workers <= workers
    assert tasks.per_task >= 1
    if told.residency.policy == "stream" and tasks.least <= memory:
        assert tasks.in_flight <= memory
        assert told.peaks[0] <= memory
    assert told.peaks[0] <= max(memory, tasks.least)


# ---- what is held --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extents", "strides", "itemsize", "nbytes"),
    [
        ((100, 1000), (8000, 8), 8, 800_000),
        ((100, 500), (8000, 8), 8, 99 * 8000 + 4000),  # the half between is cheaper to bring in
        ((100, 100), (8000, 8), 8, 99 * 8000 + 800),  # a page of each row is all of it
        ((100, 512), (65536, 8), 8, 100 * PAGE),
        ((100, 500), (65536, 8), 8, 100 * 2 * PAGE),  # it may begin in the middle of a page
        ((100, 1), (1 << 20, 8), 8, 100 * 2 * PAGE),
        ((1000,), (64,), 8, 999 * 64 + 8),  # every eighth element: every page
        ((1000, 100), (-8, -8000), 8, 800_000),
        ((0, 100), (800, 8), 8, 0),
        ((), (), 8, 8),
    ],
)
def test_pages_of_regions(extents, strides, itemsize, nbytes):
    assert mapped_bytes(extents, strides, itemsize) == nbytes


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=3),
    st.integers(0, 3),
    st.integers(0, 8191),
    st.data(),
)
def test_no_more_pages_are_brought_in_than_counted(extents, axis, offset, data):
    steps = [data.draw(st.sampled_from([8, 800, PAGE, 10_000, 40_960, 300_000])) for _ in extents]
    source = Strided(
        FileKey("/x", 1, 2, 1 << 40, 0), offset, tuple(extents), np.dtype("f8"), tuple(steps)
    )
    gap = hole_size(extents, steps, 8)
    pages = set()
    for start, stop in source.runs(gap=gap):
        pages |= set(range(start // PAGE, -(-stop // PAGE)))
    # A single run begins and ends in the middle of a page.
    assert len(pages) * PAGE <= mapped_bytes(extents, steps, 8, offset) + 2 * PAGE


def test_a_strided_view_counts_the_pages_it_lies_in(file):
    x = oo.open(file)
    every_eighth = plan_of(x[:, ::8].map_blocks(np.negative, dtype="f8"))
    assert item_cost(every_eighth.stages[0]).read >= 7 * MIB
    assert resident_bytes(every_eighth, 1) >= 8 * MIB


def test_what_stays_until_the_end_is_counted_once_for_the_run(file):
    x = oo.open(file)
    array = np.ones((1024, 1024))
    assert kept_bytes(plan_of(x.map_blocks(np.negative, dtype="f8"))) == 8 * MIB
    memory = plan_of(oo.from_array(array).map_blocks(np.sum, dtype="f8", drop_axis=(0, 1)))
    assert kept_bytes(memory) < KIB
    assert kept_bytes(memory, separate=True) >= 8 * MIB
    sums = plan_of(x.sum(axis=0))
    assert 1024 * 16 <= kept_bytes(sums) <= MIB
    with_argument = plan_of(x.map_blocks(_negative, array, dtype="f8"))
    assert item_cost(with_argument.stages[0], separate=True).total >= 8 * MIB


def test_ranges_kept_may_overlap():
    finished = Finished([(0, 50), (10, 20), (60, 61)])
    assert list(finished.without_kept(5, 70)) == [(50, 60), (61, 70)]


@given(st.integers(1, 1 << 50))
def test_a_size_rounded_up_is_enough(count):
    text = format_at_least(count)
    assert count <= parse_bytes(text) <= 1.011 * count + 1
    assert "e+" not in text


# ---- what is refused -----------------------------------------------------------------------------


def advised(error):
    """The knobs that a message names."""
    text = str(error.value)
    (memory,) = re.findall(r"give at least (\S+ \S+) by oo\.options\(memory=", text)
    chunks = re.findall(r"chunks=\(([^)]*)\)", text)
    return memory, tuple(int(n) for n in chunks[0].split(",") if n.strip()) if chunks else None


def refused(run, memory):
    """Run what cannot fit; see that both numbers are named, and that the advice works."""
    message = f"the memory budget is {memory}"
    with (
        oo.options(memory=memory, workers=2, progress=False),
        pytest.raises(oo.BudgetError, match=message) as caught,
    ):
        run(None)
    enough, chunks = advised(caught)
    with oo.options(memory=enough, workers=2, progress=False):
        run(None)
    if chunks is not None:
        with oo.options(memory=memory, workers=2, progress=False):
            run(chunks)
    return str(caught.value), chunks


def test_a_block_that_is_too_large(file, tmp_path):
    def run(chunks):
        x = oo.open(file, chunks=chunks or (512, -1))
        x.map_blocks(np.negative, dtype="f8").store(tmp_path / "y.npy", overwrite=True)

    text, chunks = refused(run, "4 MiB")
    assert "one block of shape (512, 1024) needs 12 MiB (4 MiB read, 4 MiB written, 4" in text
    assert chunks == (128, 1024)


def test_three_inputs(file, tmp_path):
    def run(chunks):
        inputs = [oo.open(file, chunks=chunks or (512, -1)) for _ in range(3)]
        total = oo.map_blocks(lambda a, b, c: a + b + c, *inputs, dtype="f8")
        total.store(tmp_path / "y.npy", overwrite=True)

    _, chunks = refused(run, "4 MiB")
    assert chunks is not None


def test_a_function_that_drops_axes_names_the_chunks_of_its_input(file):
    def run(chunks):
        x = oo.open(file, chunks=chunks or (512, -1))
        x.map_blocks(lambda b: b.sum(axis=1), drop_axis=1, dtype="f8").compute()

    _, chunks = refused(run, "2 MiB")
    assert len(chunks) == 2


def test_an_update_in_place(file):
    def run(chunks):
        oo.update_blocks(_double, oo.open(file, "r+", chunks=chunks or (512, -1)))

    text, chunks = refused(run, "1 MiB")
    assert "needs 4 MiB (4 MiB written)" in text
    assert chunks == (128, 1024)


def _double(block):
    block *= 2


def test_a_result_that_is_too_large(file):
    x = oo.open(file)
    with pytest.raises(oo.BudgetError, match=r"the result has 8 MiB, memory= allows 4 MiB; store"):
        x.map_blocks(np.negative, dtype="f8").compute(memory="4 MiB")

    def run(chunks):
        oo.open(file, chunks=chunks or (64, -1)).map_blocks(np.negative, dtype="f8").compute()

    text, _ = refused(run, "9 MiB")
    assert "results and what workers share of this process's memory 8 MiB" in text
    assert "store() the result" in text


def test_a_reduction_whose_result_is_too_large(tmp_path):
    path = tmp_path / "wide.npy"
    np.save(path, np.ones((4, 400_000), "f4"))

    def run(_):
        oo.open(path).sum(axis=0).compute()

    text, chunks = refused(run, "4 MiB")
    assert "results" in text
    assert chunks is None


@pytest.mark.parametrize("hidden", [False, True])
def test_arguments_that_are_too_large(file, hidden):
    table = np.ones((1024, 1024))
    x = oo.open(file, chunks=(64, -1))

    def add(block, other=None):
        return block + (table if other is None else other)[: len(block)]

    def run(_):
        named = {} if hidden else {"other": table}
        x.map_blocks(add, dtype="f8", **named).sum().compute()

    text, _ = refused(run, "7 MiB")
    assert "8 MiB" in text


@pytest.mark.parametrize("memory", ["0 B", "1 B", "100 B", "3 KiB"])
def test_budgets_below_a_page(file, memory):
    with pytest.raises(oo.BudgetError, match=f"the memory budget is {memory}"):
        oo.open(file).mean().compute(memory=memory)


# ---- the default ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "files",
    [
        {
            "/proc/self/cgroup": "4:memory:/jobs\n0::/\n",
            "/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes": f"{512 * MIB}\n",
            "/sys/fs/cgroup/memory/jobs/memory.stat": f"total_cache 9\ntotal_rss {112 * MIB}\n",
        },
        {
            "/proc/self/cgroup": "0::/jobs\n",
            "/sys/fs/cgroup/jobs/memory.max": f"{512 * MIB}\n",
            "/sys/fs/cgroup/jobs/memory.stat": f"anon {100 * MIB}\nfile_dirty {12 * MIB}\n",
        },
        {"/proc/self/cgroup": "0::/\n"},
    ],
    ids=["version 1", "version 2", "none"],
)
def test_the_default_is_half_of_the_room(files, file, tmp_path, monkeypatch):
    free = "MemTotal: 9999999 kB\nMemAvailable: 409600 kB\n"  # 400 MiB
    for path, text in {"/proc/meminfo": free, **files}.items():
        place = tmp_path / "root" / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    monkeypatch.setattr(groups, "_ROOT", str(tmp_path / "root"))
    text = str(oo.open(file).mean().explain())
    assert "memory budget 200 MiB (half of the 400 MiB free)" in text
