"""Plans written down by hand, validated and not run: what they can say, what is refused."""

from __future__ import annotations

import ast
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oocarray.errors import BudgetError, OverlapError, PlanError
from oocarray.estimate import distinct_bytes, item_cost, stage_bytes
from oocarray.grid import Grid
from oocarray.leaves import make_reduction
from oocarray.plan import (
    Access,
    Blocks,
    Broadcast,
    Counted,
    Gather,
    Halo,
    InMemory,
    Partials,
    Plan,
    Result,
    Same,
    Scratch,
    Stage,
    Whole,
)
from oocarray.program import ALL, FIRST, Call, Input, Operand, Program
from oocarray.storage.create import create_npy
from oocarray.storage.layout import Strided
from oocarray.validate import validate

MiB = 1 << 20
F8 = np.dtype("f8")
I8 = np.dtype("i8")


@pytest.fixture
def file(tmp_path):
    """Factory of stored arrays of zeros: ``file(shape, dtype="f8") -> Strided``."""

    def make(shape: tuple[int, ...], dtype: Any = "f8") -> Strided:
        name = f"file{len(os.listdir(tmp_path))}.npy"
        return create_npy(str(tmp_path / name), shape, dtype, "C", 0, False)

    return make


@dataclass(frozen=True)
class EachBlock:
    """Stands for a reduction that keeps one number per block and ends in their running sums."""

    out_dtype: np.dtype
    partial_dtype: np.dtype
    first: int

    def finish(self, partial):
        return np.concatenate([[self.first], np.cumsum(partial)])


ROWS = Grid([(25,) * 4, (50,)])
SHAPE = (100, 50)


def call(grid: Grid, *args: Any, form: str = "block", name: str = "function") -> Call:
    return Call(None, form, args, {}, grid, grid.chunks, (F8,), name)


def operand(access: int, grid: Grid = ROWS) -> Operand:
    return Operand(Input(access, grid), tuple(range(grid.ndim)))


def partials(name: str, grid: Grid = ROWS, axis: Any = None) -> Partials:
    return Partials(make_reduction(name, grid.shape, F8, axis=axis), grid)


# ---- what plans can say ----------------------------------------------------------------------


def test_two_outputs_and_a_reduction(file):
    x, low, high = file(SHAPE), file(SHAPE), file(SHAPE)
    one, two = call(ROWS, operand(0)), call(ROWS, operand(0))
    stage = Stage(
        Program((one, two, one), (None, None, None)),
        ROWS,
        (Access(x, Same()),),
        (Blocks(low, ROWS), Blocks(high, ROWS), partials("sum")),
    )
    plan = Plan((stage,), (Result(0, 2, (), F8),))
    validate(plan, budget=MiB)
    block = 25 * 50 * 8
    cost = item_cost(stage)
    assert (cost.read, cost.written, cost.temporary) == (block, 2 * block, 2 * block)
    assert stage_bytes(stage) == (40_000, 80_000)
    assert distinct_bytes(plan) == 120_000


def test_z_score(file):
    x, out = file(SHAPE), file(SHAPE)
    moments = Stage(
        Program((Input(0, ROWS),) * 2, (None, None)),
        ROWS,
        (Access(x, Same()),),
        (partials("mean", axis=0), partials("std", axis=0)),
        label="moments",
    )
    mean, std = (Result(0, write, (50,), F8) for write in (0, 1))
    scores = Stage(
        Program((call(ROWS, operand(0)),), (None,)),
        ROWS,
        (Access(x, Same()), Access(mean, Broadcast()), Access(std, Broadcast())),
        (Blocks(out, ROWS),),
        after=(0,),
    )
    validate(Plan((moments, scores)), budget=MiB)
    assert scores.reads[1].region(ROWS, (3, 0)) == (slice(0, 50),)
    # The pass that needs the results is not before the one that makes them.
    with pytest.raises(PlanError, match="does not wait for it"):
        validate(Plan((moments, replace(scores, after=()))), budget=MiB)
    with pytest.raises(PlanError, match=r"stage 0 .* waits for stage 0, which is not before it"):
        validate(Plan((scores, moments)), budget=MiB)
    with pytest.raises(PlanError, match="waits for stage 7"):
        validate(Plan((replace(moments, after=(7,)), scores)), budget=MiB)
    more = replace(scores, reads=(Access(Result(0, 2, (50,), F8), Broadcast()),))
    with pytest.raises(PlanError, match="stage 0 has no write number 2"):
        validate(Plan((moments, more)), budget=MiB)
    with pytest.raises(PlanError, match="an output comes from stage 5 of 2"):
        validate(Plan((moments, scores), (Result(5, 0, (), F8),)), budget=MiB)


@pytest.mark.parametrize(
    ("shape", "how", "repeated"),
    [
        (SHAPE, Whole(), True),
        (SHAPE, Same(), False),
        ((50,), Broadcast(), True),
        ((1, 50), Broadcast(), True),
        ((100, 1), Broadcast(), False),
        (SHAPE, Gather(ROWS, (ALL, 1)), True),
        (SHAPE, Gather(ROWS, (FIRST, 1)), True),
        (SHAPE, Gather(ROWS, (0, 1)), False),
    ],
)
def test_what_every_item_reads(file, shape, how, repeated):
    access = Access(file(shape), how)
    assert access.repeated(ROWS) is repeated
    items = {str(access.region(ROWS, ROWS.coords(number))) for number in range(ROWS.size)}
    assert (len(items) == 1) is repeated
    # With one item there is nothing to keep its pages for.
    assert not Access(file(SHAPE), Whole()).repeated(Grid([(100,), (50,)]))


def test_a_periodic_halo(file):
    x, out = file(SHAPE), file(SHAPE)
    halo = Access(x, Halo(((2, 1), (0, 3)), ("periodic", 0.0)))
    stage = Stage(Program((call(ROWS, operand(0)),), (None,)), ROWS, (halo,), (Blocks(out, ROWS),))
    validate(Plan((stage,)), budget=MiB)
    assert halo.region(ROWS, (0, 0)) == (slice(0, 26), slice(0, 50))
    assert halo.regions(ROWS, (0, 0)) == (
        (slice(98, 100), slice(0, 50)),
        (slice(0, 26), slice(0, 50)),
    )
    assert halo.regions(ROWS, (1, 0)) == ((slice(23, 51), slice(0, 50)),)
    assert item_cost(stage).read == 28 * 53 * 8


@given(st.data())
def test_pieces_of_a_halo_make_the_padded_block(data):
    modes = {"none": None, "periodic": "wrap", "reflect": "symmetric", "nearest": "edge", 7: None}
    ndim = data.draw(st.integers(1, 3))
    chunks = [
        tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))) for _ in range(ndim)
    ]
    grid = Grid(chunks)
    depth = tuple(
        tuple(data.draw(st.integers(0, min(size, 4))) for _ in range(2)) for size in grid.shape
    )
    edges = tuple(data.draw(st.sampled_from(list(modes))) for _ in range(ndim))
    halo = Halo(depth, edges)
    x = np.arange(1, grid.size and math.prod(grid.shape) + 1).reshape(grid.shape)
    coords = tuple(data.draw(st.integers(0, count - 1)) for count in grid.numblocks)
    # The judge: pad the whole array (by zero where nothing is to be read), cut the block out.
    padded, start = x, []
    for axis, (edge, pads) in enumerate(zip(edges, depth, strict=True)):
        width = [pads if k == axis else (0, 0) for k in range(ndim)]
        mode = "wrap" if edge == "periodic" else "constant"
        padded = np.pad(padded, width, mode)
        start.append(pads[0])
    wanted = padded[
        tuple(
            slice(part.start, part.stop + sum(pads))
            for part, pads in zip(grid.region(coords), depth, strict=True)
        )
    ]
    pieces = halo.pieces(grid, coords, grid.shape)
    shape = tuple(max(place[k].stop for _, place in pieces) for k in range(ndim))
    got = np.zeros(wanted.shape, x.dtype)
    for source, place in pieces:
        assert x[source].shape == got[place].shape
        assert (got[place] == 0).all(), "two pieces in one place"
        got[place] = x[source]
    cut = []
    for axis, (part, (before, after), edge) in enumerate(
        zip(grid.region(coords), depth, edges, strict=True)
    ):
        if edge == "none":  # the block begins where the array does
            low = max(before - part.start, 0)
            high = max(part.stop + after - grid.shape[axis], 0)
            cut.append(slice(low, wanted.shape[axis] - high))
            assert shape[axis] == cut[-1].stop - low
        else:
            cut.append(slice(0, wanted.shape[axis]))
    np.testing.assert_array_equal(
        got[tuple(slice(0, part.stop - part.start) for part in cut)], wanted[tuple(cut)]
    )
    assert Access(InMemory(x), halo).regions(grid, coords) == tuple(p for p, _ in pieces)


def test_rechunk_over_an_intermediate(file):
    columns = Grid([(100,), (10,) * 5])
    x, out = file(SHAPE), file(SHAPE)
    first = Stage(
        Program((Input(0, ROWS),), (None,)),
        ROWS,
        (Access(x, Same()),),
        (Scratch(SHAPE, F8, ROWS),),
        label="rows",
    )
    second = Stage(
        Program((Input(0, columns),), (None,)),
        columns,
        (Access(Result(0, 0, SHAPE, F8), Gather(columns, (0, 1))),),
        (Blocks(out, columns),),
        after=(0,),
        label="columns",
    )
    plan = Plan((first, second))
    validate(plan, budget=MiB)
    assert second.reads[0].region(columns, (0, 3)) == (slice(0, 100), slice(30, 40))


def test_no_room_for_an_intermediate(file, tmp_path, monkeypatch):
    stage = Stage(
        Program((Input(0, ROWS),), (None,)), ROWS, (Access(file(SHAPE), Same()),),
        (Scratch(SHAPE, F8, ROWS),),
    )  # fmt: skip
    usage = type("Usage", (), {"free": 4096})
    monkeypatch.setattr("oocarray.validate.shutil.disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"need 39\.1 KiB, .* has 4 KiB free; set scratch=") as caught:
        validate(Plan((stage,)), budget=MiB, scratch=str(tmp_path))
    assert caught.value.errno == 28


def test_running_sums_with_a_carry(file):
    grid = Grid([(30, 30, 30, 10)])
    x, out = file((100,)), file((100,))
    sums = Stage(
        Program((Input(0, grid),), (None,)),
        grid,
        (Access(x, Same()),),
        (Partials(EachBlock(F8, F8, 0), grid),),
        label="sums",
    )
    # One number per block, and the total: item n takes entry n.
    carry = Access(Result(0, 0, (5,), F8), Gather(Grid([(1,) * 5]), (0,)))
    add = Stage(
        Program((call(grid, operand(0, grid)),), (None,)),
        grid,
        (Access(x, Same()), carry),
        (Blocks(out, grid),),
        after=(0,),
        label="add",
    )
    validate(Plan((sums, add), (Result(0, 0, (5,), F8),)), budget=MiB)
    assert [carry.region(grid, (n,)) for n in range(4)] == [(slice(n, n + 1),) for n in range(4)]
    short = Access(Result(0, 0, (3,), F8), Gather(Grid([(1,) * 3]), (0,)))
    with pytest.raises(PlanError, match=r"axis 0 of a source has 3 blocks.*axis 0 of \(4,\) items"):
        validate(Plan((sums, replace(add, reads=(short,)))), budget=MiB)


def updating(x: Strided, **changes: Any) -> Stage:
    stage = Stage(
        Program((call(ROWS, operand(0), form="update", name="scale"),), (None,)),
        ROWS,
        (Access(x, Gather(ROWS, (0, 1))),),
        (Blocks(x, ROWS),),
        repeat="journal",
        label="scale",
    )
    return replace(stage, **changes)


def test_an_update_in_place_with_a_journal(file):
    x = file(SHAPE)
    stage = updating(x)
    validate(Plan((stage,)), budget=MiB)
    assert stage.in_place
    cost = item_cost(stage)
    assert (cost.read, cost.written, cost.temporary) == (0, 25 * 50 * 8, 0)
    validate(Plan((updating(x, reads=(Access(x, Same()),)),)), budget=MiB)


def test_boolean_count_and_scatter(file, tmp_path):
    grid = Grid([(30, 30, 30, 10)])
    x, mask = file((100,)), file((100,), "?")
    count = Stage(
        Program((Input(0, grid),), (None,)),
        grid,
        (Access(mask, Same()),),
        (Partials(EachBlock(I8, I8, 0), grid),),
        label="count",
    )
    offsets = Result(0, 0, (5,), I8)
    target = Counted(offsets, F8, most=100, path=str(tmp_path / "selected.npy"))
    write = Blocks(target, grid, where=offsets)
    scatter = Stage(
        Program((call(grid, operand(0, grid), operand(1, grid)),), (None,)),
        grid,
        (Access(x, Same()), Access(mask, Same())),
        (write,),
        after=(0,),
        label="scatter",
    )
    plan = Plan((count, scatter))
    validate(plan, budget=MiB)
    told = np.array([0, 7, 7, 20, 30])
    assert [write.region((n,), told) for n in range(4)] == [
        (slice(0, 7),),
        (slice(7, 7),),
        (slice(7, 20),),
        (slice(20, 30),),
    ]
    assert (target.shape, target.nbytes) == ((100,), 800)
    for wrong, text in [
        (replace(scatter, after=()), "does not wait for it"),
        (with_where(scatter, replace(offsets, shape=(4,))), "4 items need 5 integer offsets"),
        (with_where(scatter, replace(offsets, dtype=F8)), "not float64"),
    ]:
        with pytest.raises(PlanError, match=text):
            validate(Plan((count, wrong)), budget=MiB)
    flat = replace(scatter, writes=(Blocks(file((10, 10)), grid, where=offsets),))
    with pytest.raises(PlanError, match=r"one-dimensional target, not one of shape \(10, 10\)"):
        validate(Plan((count, flat)), budget=MiB)


def with_where(stage: Stage, where: Result) -> Stage:
    return replace(stage, writes=(replace(stage.writes[0], where=where),))


def test_no_room_for_a_selection(file, tmp_path, monkeypatch):
    grid = Grid([(100,)])
    offsets = Result(0, 0, (2,), I8)
    count = Stage(
        Program((Input(0, grid),), (None,)), grid, (Access(file((100,)), Same()),),
        (Partials(EachBlock(I8, I8, 0), grid),),
    )  # fmt: skip
    target = Counted(offsets, F8, most=100, path=str(tmp_path / "selected.npy"))
    scatter = replace(count, writes=(Blocks(target, grid, offsets),), after=(0,), label="scatter")
    usage = type("Usage", (), {"free": 512})
    monkeypatch.setattr("oocarray.validate.shutil.disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="up to 800 B, the disk has 512 B free"):
        validate(Plan((count, scatter)), budget=MiB)


# ---- what is refused -------------------------------------------------------------------------


def copying(x: Any, *targets: Any, grid: Grid = ROWS, how: Any = None) -> Stage:
    return Stage(
        Program((call(grid, operand(0, grid)),) * len(targets), (None,) * len(targets)),
        grid,
        (Access(x, how or Same()),),
        tuple(Blocks(target, grid) for target in targets),
        label="copy",
    )


def test_a_block_over_the_budget_names_both_numbers_and_the_knobs(file):
    stage = copying(file(SHAPE), file(SHAPE))
    validate(Plan((stage,)), budget=30_000)
    with pytest.raises(BudgetError) as caught:
        validate(Plan((stage,)), budget=20_000)
    text = str(caught.value)
    assert "one block of shape (25, 50) needs 29.3 KiB" in text
    assert "(9.77 KiB read, 9.77 KiB written, 9.77 KiB in between)" in text
    assert "the memory budget is 19.5 KiB; give at least 29.3 KiB by oo.options(memory=...)" in text
    # What it advises fits.
    rows, columns = ast.literal_eval(text.rpartition("chunks=")[2])
    fine = Grid([(rows,) * (100 // rows) + ((100 % rows,) if 100 % rows else ()), (columns,)])
    validate(Plan((copying(file(SHAPE), file(SHAPE), grid=fine),)), budget=20_000)
    assert isinstance(caught.value, MemoryError)


def test_an_output_that_cannot_be_written(file, monkeypatch):
    out = file(SHAPE)
    really = os.open

    def refused(path, *flags, **more):
        if path == out.file.path:
            raise PermissionError(13, "Permission denied", path)
        return really(path, *flags, **more)

    monkeypatch.setattr("oocarray.validate.os.open", refused)
    with pytest.raises(PermissionError, match="copy: cannot write") as caught:
        validate(Plan((copying(file(SHAPE), out),)), budget=MiB)
    assert caught.value.filename == out.file.path


def test_two_outputs_of_one_stage_on_the_same_bytes(file):
    x, out = file(SHAPE), file((110, 50))
    low, high = (
        out.region((slice(0, 100), slice(0, 50))),
        out.region((slice(10, 110), slice(0, 50))),
    )
    for pair in [(low, high), (low, low)]:
        with pytest.raises(OverlapError, match="two outputs share bytes"):
            validate(Plan((copying(x, *pair),)), budget=MiB)
    memory = np.zeros(SHAPE)
    with pytest.raises(OverlapError, match="two outputs share bytes"):
        validate(Plan((copying(x, InMemory(memory), InMemory(memory[::-1])),)), budget=MiB)
    two = np.zeros((2, *SHAPE))
    validate(Plan((copying(x, InMemory(two[0]), InMemory(two[1])),)), budget=MiB)


def test_outputs_in_two_fields_do_not_overlap(file):
    out = file(SHAPE, [("low", "f8"), ("high", "f8")])
    validate(Plan((copying(file(SHAPE), out.field("low"), out.field("high")),)), budget=MiB)


def test_two_stages_without_an_order_on_the_same_bytes(file):
    x, y = file(SHAPE), file(SHAPE)
    with pytest.raises(
        OverlapError, match=r"copy changes .*file1\.npy, which copy of the same run"
    ):
        validate(Plan((copying(x, y), copying(x, y))), budget=MiB)
    with pytest.raises(OverlapError, match="neither waits for the other"):
        validate(Plan((copying(x, y), copying(y, x))), budget=MiB)
    ordered = replace(copying(y, x), after=(0,))
    validate(Plan((copying(x, y), ordered)), budget=MiB)
    # Through another one is an order, too.
    last = replace(copying(y, x), after=(1,))
    between = replace(copying(x, file(SHAPE)), after=(0,))
    validate(Plan((copying(x, y), between, last)), budget=MiB)


def test_a_target_whose_elements_share_bytes(file):
    wide = file((100,))
    spread = replace(wide, shape=SHAPE, strides=(8, 0))
    with pytest.raises(OverlapError, match=r"elements of the target in .*share bytes"):
        validate(Plan((copying(file(SHAPE), spread),)), budget=MiB)


@pytest.mark.parametrize(
    "how",
    [
        Halo(((1, 1), (0, 0)), ("none", "none")),
        Whole(),
        Gather(Grid([(100,), (10,) * 5]), (FIRST, 1)),
    ],
    ids=["halo", "whole", "other blocks"],
)
def test_reading_what_other_blocks_change(how, file):
    x = file(SHAPE)
    other = updating(x, reads=(Access(x, Same()), Access(x, how)))
    if isinstance(how, Gather):
        other = updating(x, reads=(Access(x, Same()), Access(x, Gather(ROWS, (FIRST, 1)))))
    text = "a halo on .*updated in place" if isinstance(how, Halo) else "in different blocks"
    with pytest.raises(OverlapError, match=text):
        validate(Plan((other,)), budget=MiB)


def test_reading_a_shifted_view_of_what_is_changed(file):
    out = file((101, 50))
    low, high = out.region((slice(0, 100), slice(0, 50))), out.region((slice(1, 101), slice(0, 50)))
    with pytest.raises(OverlapError, match="reads and changes the same bytes"):
        validate(Plan((copying(low, high),)), budget=MiB)


def test_the_same_file_by_two_names(file, tmp_path):
    x = file(SHAPE)
    os.link(x.file.path, tmp_path / "other.npy")
    twin = replace(x, file=replace(x.file, path=str(tmp_path / "other.npy")), shape=SHAPE)
    flipped = replace(twin, offset=twin.offset + 99 * 400, strides=(-400, 8))
    with pytest.raises(OverlapError, match=r"file0\.npy.*other\.npy|other\.npy.*file0\.npy"):
        validate(Plan((copying(flipped, x),)), budget=MiB)


@pytest.mark.parametrize("repeat", ["journal", "never"])
def test_repeat_is_for_one_array_that_is_read(repeat, file):
    x, y = file(SHAPE), file(SHAPE)
    text = f"repeat='{repeat}' is for a stage that changes one array"
    for stage in (
        updating(x, reads=(Access(y, Same()),), repeat=repeat),
        updating(x, writes=(partials("sum"),), repeat=repeat),
        updating(x, writes=(Blocks(x, ROWS), Blocks(y, ROWS)), repeat=repeat),
    ):
        with pytest.raises(PlanError, match=text):
            validate(Plan((stage,)), budget=MiB)


@pytest.mark.parametrize(
    ("shape", "how", "text"),
    [
        ((100, 49), Same(), r"covers shape \(100, 50\), the source has \(100, 49\)"),
        ((50,), Same(), r"covers shape \(100, 50\), the source has \(50,\)"),
        ((99, 50), Halo(((1, 1), (0, 0)), ("none", "none")), "the source has"),
        (
            SHAPE,
            Halo(((101, 0), (0, 0)), ("periodic", "none")),
            "depth 101 on axis 0 goes more than",
        ),
        (
            SHAPE,
            Halo(((0, -1), (0, 0)), ("none", "none")),
            r"depth \(0, -1\) on axis 0 is negative",
        ),
        ((49,), Broadcast(), r"shape \(49,\) does not spread over \(100, 50\)"),
        ((2, 100, 50), Broadcast(), r"shape \(2, 100, 50\) does not spread"),
        (SHAPE, Gather(ROWS, (0,)), r"\(0,\) for a source of shape \(100, 50\)"),
        (SHAPE, Gather(ROWS, (2, 1)), "to be picked by axis 2"),
        (SHAPE, Gather(Grid([(50, 50), (50,)]), (0, 1)), "has 2 blocks, to be picked by axis 0"),
    ],
)
def test_sources_that_do_not_fit_the_grid(shape, how, text, file):
    with pytest.raises(PlanError, match=text):
        validate(Plan((copying(file(shape), file(SHAPE), how=how),)), budget=MiB)


@pytest.mark.parametrize(
    ("shape", "how"),
    [((50,), Broadcast()), ((1, 50), Broadcast()), ((), Broadcast()), ((3, 4), Whole()),
     (SHAPE, Gather(ROWS, (ALL, FIRST)))],
)  # fmt: skip
def test_sources_that_do(shape, how, file):
    validate(Plan((copying(file(shape), file(SHAPE), how=how),)), budget=MiB)


def test_writes_that_do_not_fit_the_grid(file):
    x, out = file(SHAPE), file((100, 49))
    with pytest.raises(PlanError, match=r"blocks of shape \(100, 50\) for a target of shape"):
        validate(Plan((copying(x, out),)), budget=MiB)
    other = Grid([(50, 50), (50,)])
    with pytest.raises(PlanError, match=r"\(4, 1\) items write \(2, 1\) blocks"):
        validate(Plan((replace(copying(x), writes=(Blocks(x, other),)),)), budget=MiB)
    uneven = Partials(make_reduction("sum", SHAPE, F8), Grid([(40, 40, 20), (50,)]))
    with pytest.raises(PlanError, match="items are not unions of leaves"):
        validate(Plan((replace(copying(x), writes=(uneven,)),)), budget=MiB)


def test_a_stage_without_items_fits_any_budget(file):
    empty = Grid([(0,), (50,)])
    validate(Plan((copying(file((0, 50)), file((0, 50)), grid=empty),)), budget=1)


def test_planning_is_no_io(file):
    x, out = file(SHAPE), file(SHAPE)
    before = Path(out.file.path).stat()
    validate(Plan((copying(x, out),)), budget=MiB)
    after = Path(out.file.path).stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
