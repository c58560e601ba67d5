"""map_blocks on real arrays, rule by rule, beside dask; asks nothing of how blocks are scheduled.

Names such as ``m9`` are the numbers of dask's rules: arguments (1-5), alignment (6-9), shape of
the output (10-15), inference of the dtype (16-19), what the function is told (20-22), name (23).
What is done otherwise than in dask, on purpose, comes after them.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import oocarray as oo
from oocarray.backends import planning

NAN = math.nan
SCHEDULERS = ("serial", "threads", "processes")


@pytest.fixture(autouse=True)
def _serial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOCARRAY_SCHEDULER", "serial")
    monkeypatch.setenv("OOCARRAY_WORKERS", "2")
    monkeypatch.setenv("OOCARRAY_PROGRESS", "no")


class Cut:
    """An array and its blocks, to be made an array of ours and one of dask's."""

    def __init__(self, values: Any, chunks: Any) -> None:
        self.values, self.chunks = np.asarray(values), chunks


def ours(func: Any, *args: Any, **how: Any) -> Any:
    made = [oo.from_array(a.values, chunks=a.chunks) if isinstance(a, Cut) else a for a in args]
    return oo.map_blocks(func, *made, **how)


def dasks(func: Any, *args: Any, **how: Any) -> Any:
    made = [da.from_array(a.values, chunks=a.chunks) if isinstance(a, Cut) else a for a in args]
    return da.map_blocks(func, *made, **how)


def beside(func: Any, *args: Any, **how: Any) -> Any:
    """Compute in both ways; what comes out, chunks too, must be the same."""
    mine, theirs = ours(func, *args, **how), dasks(func, *args, **how)
    got, expected = mine.compute(), theirs.compute(scheduler="sync")
    assert repr(mine.chunks) == repr(theirs.chunks)
    assert got.dtype == expected.dtype
    assert np.array_equal(got, expected)
    return mine


def both_refuse(error: type[Exception], match: str, func: Any, *args: Any, **how: Any) -> None:
    with pytest.raises(error, match=match):
        ours(func, *args, **how)
    with pytest.raises(error):
        dasks(func, *args, **how).compute(scheduler="sync")


def plus_one(block: Any) -> Any:
    return block + 1


SIX = Cut(np.arange(6.0), (3,))
GRID = Cut(np.arange(24.0).reshape(4, 6), (2, 3))


# Arguments


def test_m1_the_function_must_be_callable() -> None:
    both_refuse(TypeError, "First argument must be callable function, not int", 5, SIX)
    assert ours(functools.partial(np.add, 1), SIX).compute().tolist() == [1, 2, 3, 4, 5, 6]


def test_m2_other_positionals_are_passed_whole() -> None:
    def take(block: Any, table: Any, word: str) -> Any:
        assert table.shape == (7,)
        assert word == "x"
        return block + table.sum()

    result = beside(take, SIX, np.arange(7), "x", dtype="f8")
    assert result.compute().tolist() == [21, 22, 23, 24, 25, 26]


def test_m3_keywords_are_passed_unchanged() -> None:
    def add(block: Any, *, out: Any = None, axis: Any = 0, mode: str = "") -> Any:
        return block + out["k"] + axis + len(mode)

    result = beside(add, SIX, out={"k": 1}, axis=10, mode="abc", dtype="f8")
    assert result.compute().tolist() == [14, 15, 16, 17, 18, 19]


def test_m3_an_array_as_keyword_is_passed_as_its_whole_value(npy: Callable[..., Path]) -> None:
    def shift(block: Any, by: Any) -> Any:
        assert isinstance(by, np.ndarray)
        assert by.shape == (6,)
        return block - by.mean()

    theirs = dasks(shift, SIX, by=da.arange(6.0, chunks=2), dtype="f8")
    expected = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
    assert theirs.compute(scheduler="sync").tolist() == expected
    stored = npy(6)
    np.save(stored, np.arange(6.0))
    lazy = ours(plus_one, Cut(np.arange(-1.0, 5.0), (2,)))
    for by in (oo.from_array(np.arange(6.0), chunks=2), oo.open(stored, chunks=2), lazy):
        assert ours(shift, SIX, by=by, dtype="f8").compute().tolist() == expected
        assert ours(shift, SIX, by=by).compute().tolist() == expected


def test_m3_a_stored_keyword_is_looked_at_by_every_run(tmp_path: Path) -> None:
    path = tmp_path / "by.npy"
    np.save(path, np.arange(6.0))
    by = oo.open(path, "r+")
    result = ours(lambda block, by: block - by[0], SIX, by=by, dtype="f8")
    total = ours(lambda block, by: block - by, SIX, by=by.sum())
    first, second = result.compute(), total.compute()
    by.view()[:] = 10.0
    assert (result.compute() - first).tolist() == [-10.0] * 6
    assert (total.compute() - second).tolist() == [15.0 - 60.0] * 6
    np.save(tmp_path / "other.npy", np.ones(6))
    os.replace(tmp_path / "other.npy", path)
    with pytest.raises(oo.InputChangedError, match="replaced by another file"):
        result.compute()


def test_what_a_run_learns_of_a_dtype_is_kept_beside_keywords() -> None:
    calls = []

    def shift(block: Any, by: Any) -> Any:
        calls.append(block.shape)
        return block + by.sum()

    with oo.options(scheduler="serial"):
        result = ours(shift, SIX, by=oo.from_array(np.arange(3.0)))
        result.compute()
        first = len(calls)
        result.compute()
    assert result.dtype == np.dtype("f8")
    assert len(calls) - first == first - 1


def test_m3_a_scalar_array_as_keyword() -> None:
    mean = oo.from_array(np.arange(6.0), chunks=2).mean()
    result = ours(lambda block, m: block - m, SIX, m=mean)
    assert result.compute().tolist() == [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]


def test_m4_the_order_of_positionals_is_kept() -> None:
    def join(first: Any, a: Any, second: Any, b: Any, third: Any = 0) -> Any:
        return first * 1000 + a * 100 + second * 10 + b + third

    two = Cut(np.array([1.0, 2.0]), (1,))
    result = beside(join, 3, two, 4, two, third=0.5, dtype="f8")
    assert result.compute().tolist() == [3141.5, 3242.5]


def test_m5_no_array_at_all() -> None:
    def where(block_info: Any = None) -> Any:
        (start, stop), *_ = block_info[None]["array-location"]
        return np.arange(start, stop, dtype="i4")

    result = beside(where, chunks=((3, 2, 4),), dtype="i4")
    assert result.chunks == ((3, 2, 4),)
    assert result.compute().tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    with pytest.raises(ValueError, match="needs chunks= and dtype="):
        oo.map_blocks(where)


# Alignment


def test_m6_axes_match_from_the_right() -> None:
    column = Cut(np.array([10.0, 20, 30, 40, 50, 60]), (3,))
    result = beside(np.add, GRID, column)
    assert result.chunks == ((2, 2), (3, 3))
    assert result.compute()[1].tolist() == [16, 27, 38, 49, 60, 71]


def test_m7_blocks_match_by_position() -> None:
    def offset(block: Any, one: Any) -> Any:
        return block + one.sum()

    result = beside(offset, SIX, Cut(np.array([10.0, 20.0]), (1,)), dtype="f8")
    assert result.compute().tolist() == [10, 11, 12, 23, 24, 25]
    long, short = Cut(np.zeros(1000), (100,)), Cut(np.arange(100.0), (10,))
    assert beside(offset, long, short).chunks == ((100,) * 10,)


def test_m8_one_block_serves_all() -> None:
    def offset(block: Any, all_of_it: Any) -> Any:
        return block + all_of_it.sum()

    result = beside(offset, SIX, Cut(np.arange(5.0), (5,)), dtype="f8")
    assert result.compute().tolist() == [10, 11, 12, 13, 14, 15]


def test_m8_different_numbers_of_blocks() -> None:
    other = Cut(np.arange(6.0), (2,))
    with pytest.raises(ValueError, match="Shapes do not align: 2 blocks and 3 blocks on axis -1"):
        ours(np.add, SIX, other, dtype="f8")
    with pytest.raises(ValueError, match="Shapes do not align"):
        dasks(np.add, SIX, other, dtype="f8").compute(scheduler="sync")


def test_m9_the_most_blocks_decide_the_output() -> None:
    def second(a: Any, b: Any) -> Any:
        return b + a.sum()

    result = beside(second, Cut(np.arange(9.0), (9,)), Cut(np.arange(3.0), ((1, 2),)), dtype="f8")
    assert result.chunks == ((1, 2),)
    assert result.compute().tolist() == [36, 37, 38]


def test_m9_ties_go_to_the_first() -> None:
    def first(a: Any, b: Any) -> Any:
        return a + b.sum()

    cuts = Cut(np.zeros(7), ((3, 4),)), Cut(np.arange(3.0), ((1, 2),))
    assert beside(first, *cuts, dtype="f8").compute().tolist() == [0, 0, 0, 3, 3, 3, 3]
    assert beside(first, *cuts[::-1], dtype="f8").compute().tolist() == [0, 1, 2]


# Shape of the output


def test_m10_chunks_stay_less_dropped_plus_new() -> None:
    assert beside(plus_one, GRID).chunks == ((2, 2), (3, 3))
    dropped = beside(lambda b: b.sum(axis=1), GRID, drop_axis=1)
    assert dropped.chunks == ((2, 2),)
    added = beside(lambda b: b[:, None], GRID, new_axis=1)
    assert added.chunks == ((2, 2), (1,), (3, 3))
    assert added.compute()[:, 0].tolist() == GRID.values.tolist()


@pytest.mark.parametrize(
    ("entry", "sizes"),
    [
        (2, (2, 2)),
        ((2, 4), (2, 4)),
        ([2, 4], (2, 4)),
        (lambda n: 2 * n, (6, 6)),
    ],
)
def test_m11_chunks(entry: Any, sizes: tuple[int, ...]) -> None:
    def stretch(block: Any, block_id: Any = (0,)) -> Any:
        return np.resize(block, sizes[block_id[0]])

    assert beside(stretch, SIX, chunks=(entry,), dtype="f8").chunks == (sizes,)


def test_m11_unknown_sizes() -> None:
    result = ours(lambda b: b[b > 1], SIX, chunks=(NAN,), dtype="f8")
    theirs = dasks(lambda b: b[b > 1], SIX, chunks=(NAN,), dtype="f8")
    assert repr(result.chunks) == repr(theirs.chunks) == "((nan, nan),)"
    assert math.isnan(result.shape[0])
    assert result.compute().tolist() == theirs.compute().tolist() == [2, 3, 4, 5]


def test_m11_entries_that_do_not_fit() -> None:
    both_refuse(
        ValueError,
        "Provided chunks have 2 dims; expected 1 dims",
        plus_one,
        SIX,
        chunks=(3, 3),
        new_axis=[],
    )
    both_refuse(ValueError, "2 blocks", plus_one, SIX, chunks=((1, 2, 3),), dtype="f8")
    both_refuse(NotImplementedError, "entry None", plus_one, SIX, chunks=(None,), dtype="f8")


def test_m12_missing_axes_are_added_on_the_left() -> None:
    result = beside(lambda b: np.stack([b, -b]), SIX, chunks=(2, 3), dtype="f8")
    assert result.chunks == ((2,), (3, 3))
    assert result.compute().tolist() == [[0, 1, 2, 3, 4, 5], [0, -1, -2, -3, -4, -5]]


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (0, [36, 40, 44, 48, 52, 56]),
        (-1, [15, 51, 87, 123]),
        ([0], [36, 40, 44, 48, 52, 56]),
        ((0, -1), 276),
    ],
)
def test_m13_dropped_axes_are_joined(axis: Any, expected: Any) -> None:
    axes = tuple(axis) if not isinstance(axis, int) else (axis,)
    result = beside(lambda b: np.asarray(b.sum(axis=axes)), GRID, drop_axis=axis, dtype="f8")
    assert np.asarray(result.compute()).tolist() == expected


def test_m13_computed_blocks_are_joined_too() -> None:
    twice = ours(lambda b: b * 2, GRID, dtype="f8")
    total = twice.map_blocks(lambda b: b.sum(axis=0), drop_axis=0)
    assert total.compute().tolist() == [72, 80, 88, 96, 104, 112]


def test_m13_out_of_range() -> None:
    both_refuse(ValueError, "drop_axis out of range", plus_one, SIX, drop_axis=1, dtype="f8")


def test_m14_new_axes() -> None:
    result = beside(lambda b: b[None, :, None], SIX, new_axis=[0, 2])
    assert result.chunks == ((1,), (3, 3), (1,))
    swapped = beside(lambda b: b.sum(axis=0)[:, None], GRID, drop_axis=0, new_axis=1)
    assert swapped.chunks == ((3, 3), (1,))


def test_m14_a_new_axis_of_several_blocks() -> None:
    def part(block: Any, block_id: Any = (0, 0)) -> Any:
        return np.full((2 + block_id[0], block.size), block_id[0]) + block

    result = beside(part, SIX, new_axis=0, chunks=((2, 3), 3), dtype="f8")
    assert result.chunks == ((2, 3), (3, 3))
    assert result.compute()[:, 0].tolist() == [0, 0, 1, 1, 1]


def test_m14_gaps() -> None:
    both_refuse(ValueError, "do not fill", plus_one, SIX, new_axis=3, dtype="f8")


def test_m15_dask_does_not_compare_blocks_but_we_do() -> None:
    wrong = functools.partial(np.resize, new_shape=(2,))
    assert dasks(wrong, SIX, dtype="f8").shape == (6,)
    assert dasks(wrong, SIX, dtype="f8").compute(scheduler="sync").shape == (4,)
    with pytest.raises(oo.BlockMismatchError, match=r"shape \(2,\)"):
        ours(wrong, SIX, dtype="f8").compute()
    with pytest.raises(oo.BlockMismatchError):
        ours(lambda b: b[None], SIX, dtype="f8", enforce_ndim=True).compute()


# Inference


def test_m16_the_dtype_is_inferred() -> None:
    assert beside(lambda b: b > 2, SIX).dtype == bool
    assert beside(lambda b: b.astype("i2"), SIX).dtype == np.dtype("i2")
    assert ours(lambda b: 1.5, Cut(np.float32(2), ())).dtype == np.float64


def test_m16_floating_errors_are_silent_in_inference() -> None:
    zeros = Cut(np.zeros(4), (2,))
    assert ours(lambda b: 1 / b, zeros).dtype == dasks(lambda b: 1 / b, zeros).dtype == np.float64


def test_m17_a_dtype_that_is_given_is_taken() -> None:
    def fail(block: Any) -> Any:
        raise AssertionError("called")

    assert ours(fail, SIX, dtype="f4").dtype == dasks(fail, SIX, dtype="f4").dtype == "f4"


def test_m18_meta_gives_the_dtype_and_no_shape() -> None:
    meta = np.empty((0, 0, 0), "f8")
    result = beside(plus_one, SIX, meta=meta)
    assert result.dtype == np.float64
    assert result.shape == (6,)


def test_m19_a_wrong_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'nothing'"):
        ours(plus_one, SIX, nothing=1).compute()
    with pytest.raises(TypeError, match="unexpected keyword argument 'nothing'"):
        ours(plus_one, SIX, nothing=1, dtype="f8").compute()


# What the function is told


def test_m20_block_id_is_that_of_the_output() -> None:
    def tell(block: Any, block_id: Any = (0, 0)) -> Any:
        return np.full((1, *block.shape), 10 * block_id[1] + block_id[2])

    result = beside(tell, GRID, new_axis=0, dtype=int)
    assert result.compute()[0, ::2, ::3].tolist() == [[0, 1], [10, 11]]


def test_m21_block_info() -> None:
    seen: list[Any] = []
    theirs: list[Any] = []

    def tell(into: list[Any], factor: Any, a: Any, b: Any, block_info: Any = None) -> Any:
        if isinstance(block_info, dict):  # dask calls it beforehand, too
            into.append(block_info)
        return a.sum(axis=0) * factor + b

    how: dict[str, Any] = {"drop_axis": 0, "dtype": "f8"}
    row = Cut(np.ones(6), (3,))
    ours(functools.partial(tell, seen), 2.0, GRID, row, **how).compute()
    dasks(functools.partial(tell, theirs), 2.0, GRID, row, **how).compute(scheduler="sync")
    assert seen[1] == {
        1: {
            "shape": (4, 6),
            "num-chunks": (1, 2),
            "array-location": [(0, 4), (3, 6)],
            "chunk-location": (0, 1),
        },
        2: {
            "shape": (6,),
            "num-chunks": (2,),
            "array-location": [(3, 6)],
            "chunk-location": (1,),
        },
        None: {
            "shape": (6,),
            "num-chunks": (2,),
            "array-location": [(3, 6)],
            "chunk-location": (1,),
            "chunk-shape": (3,),
            "dtype": np.dtype("f8"),
        },
    }
    key = str
    assert sorted(seen, key=key) == sorted(theirs, key=key)


def test_m22_only_a_parameter_of_that_name_is_filled() -> None:
    def any_keywords(block: Any, **kwargs: Any) -> Any:
        assert not kwargs
        return block

    assert beside(any_keywords, SIX).compute().tolist() == [0, 1, 2, 3, 4, 5]


def test_m23_name_and_token_are_not_the_functions_business() -> None:
    assert "double" in repr(ours(lambda b: b * 2, SIX, name="double"))
    assert "double" in repr(ours(lambda b: b * 2, SIX, token="double"))
    assert "plus_one" in repr(ours(plus_one, SIX))
    assert beside(plus_one, SIX, token="double").compute()[0] == 1


def test_as_a_method() -> None:
    x = oo.from_array(SIX.values, chunks=3)
    assert x.map_blocks(np.multiply, 3).compute().tolist() == [0, 3, 6, 9, 12, 15]


# Deliberate differences


class Counted:
    """A function that remembers the blocks it was called on."""

    def __init__(self) -> None:
        self.blocks: list[Any] = []

    def __call__(self, block: Any) -> Any:
        self.blocks.append(block.tolist())
        return block + 1


def test_never_called_at_graph_time() -> None:
    func = Counted()
    result = ours(func, SIX)
    assert (result.shape, result.chunks, result.numblocks) == ((6,), ((3, 3),), (2,))
    assert "not known yet" in repr(result)
    ours(func, SIX, dtype="f8").dtype  # noqa: B018
    assert func.blocks == []


def test_called_once_on_block_0_when_the_dtype_is_needed() -> None:
    func = Counted()
    result = ours(func, SIX)
    assert result.dtype == np.float64
    assert func.blocks == [[0, 1, 2]]
    assert result.dtype == np.float64
    assert func.blocks == [[0, 1, 2]]
    assert result.compute().tolist() == [1, 2, 3, 4, 5, 6]
    assert func.blocks == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]


def test_with_a_dtype_called_in_the_run_only() -> None:
    func = Counted()
    result = ours(func, SIX, dtype="f8")
    assert result.dtype == np.float64
    assert result.compute().tolist() == [1, 2, 3, 4, 5, 6]
    assert func.blocks == [[0, 1, 2], [3, 4, 5]]


def test_each_of_a_chain_is_called_once_to_learn() -> None:
    first, second, third = Counted(), Counted(), Counted()
    result = ours(first, SIX).map_blocks(second).map_blocks(third)
    assert result.dtype == np.float64
    assert (first.blocks, second.blocks, third.blocks) == ([[0, 1, 2]], [[1, 2, 3]], [[2, 3, 4]])
    assert result.compute().tolist() == [3, 4, 5, 6, 7, 8]


def test_what_inference_raises_is_what_the_function_raised() -> None:
    result = ours(lambda b: b.nothing, SIX)
    with pytest.raises(AttributeError, match="nothing") as caught:
        result.dtype  # noqa: B018
    assert any("block (0,)" in note for note in caught.value.__notes__)


def test_no_block_to_learn_from() -> None:
    result = oo.map_blocks(plus_one, oo.from_array(np.zeros((0, 3))), chunks=((0,), (3,)))
    assert result.compute().shape == (0, 3)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_shape_of_each_block_is_compared(scheduler: str) -> None:
    def short(block: Any, block_id: Any = (0,)) -> Any:
        return block[: 3 - block_id[0]]

    expected = (
        r"short returned an array of shape \(2,\) and dtype float64 for block \(1,\); "
        r"expected shape \(3,\) and dtype float64; give chunks=, drop_axis= or new_axis="
    )
    with pytest.raises(oo.BlockMismatchError, match=expected):
        ours(short, SIX, dtype="f8").compute(scheduler=scheduler)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_dtype_of_each_block_is_compared(scheduler: str) -> None:
    def other(block: Any) -> Any:
        return block.astype("f4") if block[0] else block

    expected = (
        r"other returned an array of shape \(3,\) and dtype float32 for block \(1,\); "
        r"expected shape \(3,\) and dtype float64; give dtype='float32', or return "
        r"block.astype\('float64'\)"
    )
    with pytest.raises(oo.BlockMismatchError, match=expected):
        ours(other, SIX).compute(scheduler=scheduler)


def test_something_that_is_no_array_is_described() -> None:
    with pytest.raises(oo.BlockMismatchError, match=r"returned None for block \(0,\)"):
        ours(lambda b: None, SIX, dtype="f8").compute()


@pytest.mark.parametrize("scheduler", ["serial", "processes"])
def test_blocks_of_objects_are_refused(scheduler: str) -> None:
    # Their elements are addresses, which mean nothing in another process.
    for make in (lambda b: None, lambda b: b.astype(object)):
        with pytest.raises(oo.BlockMismatchError, match=r"block \(0,\).*dtype object: addresses"):
            ours(make, SIX).compute(scheduler=scheduler)
    with pytest.raises(oo.DtypeError, match="dtype=object holds addresses"):
        ours(lambda b: b, SIX, dtype=object)
    with pytest.raises(oo.DtypeError, match="dtype=object holds addresses"):
        ours(lambda b: b, SIX, meta=np.empty(0, object))


def test_negative_new_axis_counts_from_the_end_of_the_output() -> None:
    result = ours(lambda b: b[..., None], GRID, new_axis=-1)
    assert result.chunks == ((2, 2), (3, 3), (1,))
    assert result.compute().tolist() == GRID.values[..., None].tolist()
    both = ours(lambda b: b[None, ..., None], SIX, new_axis=[0, -1])
    assert both.chunks == ((1,), (3, 3), (1,))


def test_m9_an_extent_of_one_gives_way_to_others() -> None:
    one, nine = Cut(np.array([10.0]), (1,)), Cut(np.arange(9.0), (9,))
    theirs = dasks(np.add, one, nine)
    assert theirs.shape == (1,)
    assert theirs.compute(scheduler="sync").shape == (9,)  # not what its metadata say
    for cuts in ((one, nine), (nine, one)):
        mine = ours(np.add, *cuts)
        assert mine.shape == (9,)
        assert mine.compute().tolist() == [10, 11, 12, 13, 14, 15, 16, 17, 18]


def test_m9_the_first_of_equals_can_still_be_asked_for() -> None:
    one, nine = Cut(np.array([10.0]), (1,)), Cut(np.arange(9.0), (9,))
    result = ours(lambda a, b: a + b.sum(), one, nine, chunks=(1,))
    assert result.compute().tolist() == [46]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_memmap_literal_goes_by_reference(npy: Callable[..., Path], scheduler: str) -> None:
    path = npy(40_000)
    table = np.load(path, mmap_mode="r+")
    before = os.stat(path).st_ino

    def mapped_from(block: Any, values: Any) -> Any:
        assert values.shape == (40_000,)
        lines = Path("/proc/self/maps").read_text().splitlines()
        address = values.__array_interface__["data"][0]
        for line in lines:
            low, high = (int(part, 16) for part in line.split()[0].split("-"))
            if low <= address < high:
                return np.full(block.shape, int(line.split()[4]))
        return np.full(block.shape, -1)

    result = ours(mapped_from, SIX, table, dtype=int).compute(scheduler=scheduler)
    assert result.tolist() == [before] * 6


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_strided_memmap_literal(npy: Callable[..., Path], scheduler: str) -> None:
    path = npy((300, 300))
    part = np.load(path, mmap_mode="r")[::-2, 5:].T
    result = ours(lambda b, t: b + t[3, 4], SIX, part, dtype="f8").compute(scheduler=scheduler)
    assert result.tolist() == [k + part[3, 4] for k in range(6)]


# Options of our own


def test_several_outputs() -> None:
    x = oo.from_array(GRID.values, chunks=GRID.chunks)
    calls: list[Any] = []

    def split(block: Any) -> Any:
        calls.append(None)
        return block > 3, block.astype("i4")

    large, ints = oo.map_blocks.options(nout=2)(split, x)
    assert (large.dtype, ints.dtype) == (np.dtype(bool), np.dtype("i4"))
    assert len(calls) == 1
    a, b = oo.compute(large, ints)
    assert len(calls) == 5
    assert (a == (GRID.values > 3)).all()
    assert (b == GRID.values).all()
    low, high = oo.map_blocks.options(nout=2)(split, x, dtype=("?", "i8"))
    with pytest.raises(oo.BlockMismatchError, match="int32"):
        high.compute()
    with pytest.raises(ValueError, match="3 dtypes for nout=2"):
        oo.map_blocks.options(nout=2)(split, x, dtype=("?", "i8", "i8"))
    with pytest.raises(oo.BlockMismatchError, match=r"expected 3 arrays \(nout=3\)"):
        oo.map_blocks.options(nout=3)(split, x, dtype="f8")[0].compute()
    assert low.chunks == ((2, 2), (3, 3))


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
def test_what_a_function_leaves_out_is_zero(scheduler: str) -> None:
    def first(out: Any, block: Any) -> None:
        out[0] = 1

    expected = np.zeros((6, 4))
    expected[::2] = 1
    x = oo.from_array(np.full((6, 4), 7.0), chunks=(2, 4))
    # What NumPy hands out next is memory that something was in.
    old = [np.full((6, 4), 9.0) for _ in range(50)]
    del old
    made = oo.map_blocks.options(form="out")(first, x).compute(scheduler=scheduler)
    assert (made == expected).all()


def test_functions_that_fill_their_output() -> None:
    x = oo.from_array(np.arange(6, dtype="i4"), chunks=4)

    def fill(out: Any, block: Any, k: int) -> None:
        out[...] = block * k

    def filled(inputs: Any, out: Any, offset: Any) -> None:
        out[...] = inputs[0] + offset[0]

    result = oo.map_blocks.options(form="out")(fill, x, 3)
    assert result.dtype == np.dtype("i4")
    assert result.compute().tolist() == [0, 3, 6, 9, 12, 15]
    by_offset = oo.map_blocks.options(form="udf")(filled, x, dtype="f8")
    assert by_offset.compute().tolist() == [0, 1, 2, 3, 8, 9]
    with pytest.raises(ValueError, match="form='column'"):
        oo.map_blocks.options(form="column")
    with pytest.raises(ValueError, match="one output"):
        oo.map_blocks.options(form="udf", nout=2)
    with pytest.raises(ValueError, match="nout=0"):
        oo.map_blocks.options(nout=0)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_combine_instead_of_joining(scheduler: str) -> None:
    values = np.arange(70.0).reshape(7, 10)
    x = oo.from_array(values, chunks=(2, 3))
    by_block = oo.map_blocks.options(combine=np.add)

    def columns(block: Any) -> Any:
        assert block.shape[0] <= 2
        return block.sum(axis=0)

    total = by_block(columns, x, drop_axis=0)
    joined = oo.map_blocks(lambda b: b.sum(axis=0), x, drop_axis=0)
    assert total.shape == joined.shape == (10,)
    assert total.chunks == joined.chunks == ((3, 3, 3, 1),)
    expected = [float(7 * column + 210) for column in range(10)]
    assert total.compute(scheduler=scheduler).tolist() == expected
    assert joined.compute(scheduler=scheduler).tolist() == expected
    everything = by_block(np.sum, x, drop_axis=(0, 1))
    assert everything.compute(scheduler=scheduler) == 2415
    middle = by_block(lambda b: b.sum(axis=1)[None], x, drop_axis=1, new_axis=0)
    assert middle.chunks == ((1,), (2, 2, 2, 1))
    assert middle.compute(scheduler=scheduler).tolist() == values.sum(axis=1)[None].tolist()


def test_combine_in_a_fixed_tree() -> None:
    x = oo.from_array(np.arange(5), chunks=1)

    def letter(block: Any) -> Any:
        return np.array("abcde"[int(block[0])], "U20")

    def pair(a: Any, b: Any) -> Any:
        return np.array(f"({a}{b})", "U20")

    word = oo.map_blocks.options(combine=pair)(letter, x, drop_axis=0)
    for scheduler in SCHEDULERS:
        assert word.compute(scheduler=scheduler) == "(((ab)(cd))e)"


def test_combine_tells_the_block_it_is_called_on() -> None:
    x = oo.from_array(np.zeros((4, 4)), chunks=(2, 2))

    def tell(block: Any, block_id: Any) -> Any:
        return np.full(2, 10.0 ** (2 * block_id[0] + block_id[1]))

    total = oo.map_blocks.options(combine=np.add)(tell, x, drop_axis=0, dtype="f8")
    assert total.compute().tolist() == [101, 101, 1010, 1010]


def test_combine_of_several_outputs_and_of_functions_that_fill() -> None:
    x = oo.from_array(np.arange(12.0).reshape(4, 3), chunks=(2, 3))

    def fill(low: Any, high: Any, block: Any) -> None:
        low[...], high[...] = block.min(axis=0), -block.min(axis=0)

    both = oo.map_blocks.options(combine=np.minimum, nout=2, form="out")
    low, high = oo.compute(*both(fill, x, drop_axis=0))
    assert low.tolist() == [0, 1, 2]
    assert high.tolist() == [-6, -7, -8]


def test_combine_goes_on(tmp_path: Path) -> None:
    values = np.arange(24.0).reshape(4, 6)
    x = oo.from_array(values, chunks=(2, 3))
    total = oo.map_blocks.options(combine=np.add)(lambda b: b.sum(axis=0), x, drop_axis=0)
    share = oo.map_blocks(np.divide, x, total)
    assert share.compute().tolist() == (values / values.sum(axis=0)).tolist()
    stored = total.store(tmp_path / "total.npy")
    assert np.load(tmp_path / "total.npy").tolist() == values.sum(axis=0).tolist()
    assert stored.dtype == np.float64


def test_combine_is_compared_too() -> None:
    x = oo.from_array(np.arange(6.0), chunks=2)
    wrong = oo.map_blocks.options(combine=lambda a, b: np.stack([a, b]))
    with pytest.raises(oo.BlockMismatchError, match=r"combine=<lambda> returned .* shape \(2,\)"):
        wrong(np.sum, x, drop_axis=0).compute()
    with pytest.raises(oo.BlockMismatchError, match=r"block \(1,\); expected shape \(\)"):
        oo.map_blocks.options(combine=np.add)(
            lambda b, block_id: b.sum() if block_id[0] != 1 else b, x, drop_axis=0, dtype="f8"
        ).compute()


def test_combine_where_it_makes_no_sense() -> None:
    x = oo.from_array(np.arange(6.0), chunks=2)
    with pytest.raises(ValueError, match="drop_axis=, which is missing"):
        oo.map_blocks.options(combine=np.add)(np.sum, x)
    with pytest.raises(ValueError, match="known size"):
        oo.map_blocks.options(combine=np.add)(np.sum, x, drop_axis=0, chunks=(NAN,))
    with pytest.raises(TypeError, match="combine must be a callable, not int"):
        oo.map_blocks.options(combine=1)
    with pytest.raises(ValueError, match="exclude each other"):
        oo.map_blocks.options(combine=np.add, splittable=True)


class Largest:
    """An elementwise function that remembers its largest block."""

    def __init__(self) -> None:
        self.size = 0

    def __call__(self, block: Any, *others: Any) -> Any:
        self.size = max(self.size, block.size)
        return sum(others, block * 3)


def test_splittable_changes_no_result(npy: Callable[..., Path]) -> None:
    path = npy((1000, 1000))
    values = np.load(path)
    x = oo.open(path, chunks=(1000, 1000))
    row = oo.from_array(np.arange(1000.0)[None], chunks=(1, 1000))
    func = Largest()
    options = oo.map_blocks.options(splittable=True)
    result = options(lambda a, b: a - b, options(func, x, row, 1.0, dtype="f8"), x, dtype="f8")
    expected = values * 2 + np.arange(1000.0) + 1
    assert (result.compute(memory="1 GiB") == expected).all()
    assert func.size == 1_000_000
    func.size = 0
    assert (result.compute(memory="10 MiB") == expected).all()
    assert 0 < func.size <= 200_000
    assert result.chunks == ((1000,), (1000,))
    # Reductions keep their leaves, and so their bits.
    things = [result.mean(axis=0), result.mean(axis=1), result.sum()]
    whole, cut = (oo.compute(*things, memory=memory) for memory in ("1 GiB", "10 MiB"))
    for a, b in zip(whole, cut, strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    # Only what was declared so.
    with pytest.raises(oo.BudgetError, match="the memory budget is 10 MiB"):
        oo.map_blocks(func, x, dtype="f8").compute(memory="10 MiB")
    with pytest.raises(oo.BudgetError):
        options(func, oo.map_blocks(plus_one, x, dtype="f8"), dtype="f8").compute(memory="10 MiB")


def test_splittable_into_files_and_several_outputs(
    npy: Callable[..., Path], tmp_path: Path
) -> None:
    path = npy((512, 1024))
    values = np.load(path)
    x = oo.open(path, chunks=(512, 1024))
    calls: list[int] = []

    def split(block: Any) -> Any:
        calls.append(block.size)
        return block + 1, block.astype("f4")

    one, two = oo.map_blocks.options(nout=2, splittable=True)(split, x, dtype=("f8", "f4"))
    targets = [tmp_path / "one.npy", tmp_path / "two.npy"]
    oo.store([one, two], targets, memory="5 MiB")
    assert (np.load(targets[0]) == values + 1).all()
    assert (np.load(targets[1]) == values.astype("f4")).all()
    assert len(calls) > 1
    assert sum(calls) == values.size  # one call for both outputs


def test_splittable_axes_with_a_meaning_stay_whole(npy: Callable[..., Path]) -> None:
    x = oo.open(npy((600, 500)), chunks=(600, 500))
    shapes: set[Any] = set()

    def repeat(block: Any) -> Any:
        shapes.add(block.shape)
        return np.repeat(block, 2, axis=1)

    options = oo.map_blocks.options(splittable=True)
    result = options(repeat, x, chunks=(600, 1000), dtype="f8")
    result.sum().compute(memory="6 MiB")
    assert len(shapes) > 1
    assert {shape[1] for shape in shapes} == {500}
    with pytest.raises(ValueError, match="no block_id"):
        options(lambda b, block_id: b, x)


def test_splittable_next_to_a_block_that_serves_several() -> None:
    values = np.arange(200_000.0)
    x = oo.from_array(values, chunks=100_000)
    other = oo.from_array(np.arange(100_000.0), chunks=100_000)
    added = oo.map_blocks.options(splittable=True)(np.add, x, other, dtype="f8")
    expected = values + np.tile(np.arange(100_000.0), 2)
    assert (added.compute(memory="20 MiB") == expected).all()


# Graphs


def test_the_same_array_stored_and_computed(tmp_path: Path) -> None:
    y = ours(plus_one, SIX)
    stored, computed, again = oo.compute(y.store(tmp_path / "y.npy", compute=False), y, y)
    assert stored.compute().tolist() == computed.tolist() == again.tolist() == [1, 2, 3, 4, 5, 6]


def test_computed_arrays_as_arguments() -> None:
    x = oo.from_array(np.arange(12.0).reshape(3, 4), chunks=(2, 2))
    centred = oo.map_blocks(np.subtract, x, x.mean(axis=0))
    scaled = oo.map_blocks(np.divide, centred, oo.map_blocks(np.add, x.sum(), 1.0))
    values = np.arange(12.0).reshape(3, 4)
    for scheduler in SCHEDULERS:
        got = scaled.compute(scheduler=scheduler)
        assert np.array_equal(got, (values - values.mean(axis=0)) / 67)


def test_unknown_sizes_go_on() -> None:
    x = oo.from_array(np.arange(12), chunks=5)
    some = oo.map_blocks(lambda b: b[b % 2 == 0], x, chunks=(NAN,))
    tens = some.map_blocks(lambda b: b * 10, dtype="i8")
    for scheduler in SCHEDULERS:
        assert tens.compute(scheduler=scheduler).tolist() == [0, 20, 40, 60, 80, 100]
    total = some.map_blocks(lambda b: np.asarray(b.sum()), drop_axis=0)
    assert total.compute() == 30


def test_unknown_sizes_cannot_be_laid_out_in_a_file(tmp_path: Path) -> None:
    some = ours(lambda b: b[b > 1], SIX, chunks=(NAN,))
    with pytest.raises(ValueError, match="unknown size"):
        some.store(tmp_path / "some.npy")
    assert list(tmp_path.iterdir()) == []


def test_blocks_are_read_only_views_of_the_file(npy: Callable[..., Path]) -> None:
    def change(block: Any) -> Any:
        block += 1
        return block

    with pytest.raises(ValueError, match="read-only") as caught:
        oo.map_blocks(change, oo.open(npy(8), chunks=4), dtype="f8").compute()
    assert any("update_blocks" in note for note in caught.value.__notes__)
    with pytest.raises(ValueError, match="read-only"):
        ours(change, SIX, dtype="f8").compute()


@pytest.mark.parametrize("compressors", [None, "auto"])
@pytest.mark.parametrize("scheduler", ["serial", "processes"])
def test_blocks_of_pieces_are_read_only_too(
    tmp_path: Path, compressors: Any, scheduler: str
) -> None:
    def change(block: Any) -> Any:
        block += 1
        return block

    zarr.create_array(
        tmp_path / "z.zarr", data=np.zeros((8, 4)), chunks=(4, 4), compressors=compressors
    )
    z = oo.open(tmp_path / "z.zarr")
    for y in (z, z.rechunk((3, 4))):  # mapped or decoded, and put together
        with pytest.raises(ValueError, match="read-only"):
            (y.map_blocks(change, dtype="f8") + y).compute(scheduler=scheduler)


# Any arrays at all

DTYPES = ("f8", ">f4", "i2", "u1", "?", "c8")


@st.composite
def cut_arrays(draw: st.DrawFn) -> tuple[np.ndarray, Any]:
    shape = tuple(draw(st.lists(st.integers(0, 7), max_size=3)))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    count = math.prod(shape)
    values = (np.arange(count) * 7 % 11).astype(dtype).reshape(shape)
    if draw(st.booleans()):
        values = values.copy(order="F")
    chunks: Any = None
    if draw(st.booleans()):
        chunks = []
        for extent in shape:
            cuts = sorted(draw(st.sets(st.integers(1, max(extent - 1, 1)), max_size=3)))
            edges = [0, *(cut for cut in cuts if cut < extent), extent]
            chunks.append(tuple(b - a for a, b in itertools.pairwise(edges)))
        chunks = tuple(chunks)
    return values, chunks


def _double(block: Any, other: Any = 1) -> Any:
    return (block * 2 + other).astype("c16")


def _check_elementwise(array: tuple[np.ndarray, Any], kind: str, folder: Path, how: str) -> None:
    values, chunks = array
    if kind == "memory":
        x = oo.from_array(values, chunks=chunks)
    else:
        np.save(folder / "x.npy", values)
        x = oo.open(folder / "x.npy", chunks=chunks)
    mapped = oo.map_blocks(_double, x, oo.map_blocks(np.asarray, x, dtype=values.dtype))
    expected = _double(values, values)
    assert mapped.shape == values.shape
    got = np.asarray(mapped.compute(scheduler=how))
    assert got.dtype == np.complex128
    assert np.array_equal(got, expected)
    stored = mapped.store(folder / "y.npy", overwrite=True, scheduler=how)
    assert np.array_equal(np.load(folder / "y.npy"), expected)
    stored.close()


loosely = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(loosely, max_examples=60)
@given(array=cut_arrays(), kind=st.sampled_from(["memory", "file"]))
def test_elementwise_is_numpy(array: tuple[np.ndarray, Any], kind: str, tmp_path: Path) -> None:
    _check_elementwise(array, kind, tmp_path, "serial")


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
@settings(loosely, max_examples=12)
@given(array=cut_arrays(), kind=st.sampled_from(["memory", "file"]))
def test_elementwise_is_numpy_in_parallel(
    array: tuple[np.ndarray, Any], kind: str, tmp_path: Path, scheduler: str
) -> None:
    _check_elementwise(array, kind, tmp_path, scheduler)


@settings(loosely, max_examples=40)
@given(data=st.data())
def test_broadcasting_is_numpys(data: st.DataObject) -> None:
    full = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    arrays = []
    for _ in range(data.draw(st.integers(1, 3))):
        own = full[data.draw(st.integers(0, len(full))) :]
        shape = tuple(data.draw(st.sampled_from([1, extent])) for extent in own)
        values = np.arange(float(math.prod(shape))).reshape(shape)
        arrays.append(values)
    arrays.append(np.ones(full))
    mixed = [oo.from_array(values) for values in arrays]
    if data.draw(st.booleans()):
        chunks = tuple(data.draw(st.integers(1, extent)) for extent in full)
        mixed[-1] = oo.from_array(arrays[-1], chunks=chunks)
    result = oo.map_blocks(lambda *blocks: functools.reduce(np.add, blocks), *mixed)
    expected = functools.reduce(np.add, arrays)
    assert result.shape == expected.shape
    assert np.array_equal(result.compute(), expected)


@settings(loosely, max_examples=40)
@given(data=st.data())
def test_splitting_changes_nothing(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=3)))
    chunks = tuple(data.draw(st.integers(1, extent)) for extent in shape)
    values = np.arange(float(math.prod(shape))).reshape(shape)
    thin = tuple(data.draw(st.sampled_from([1, extent])) for extent in shape)
    row = np.arange(float(math.prod(thin))).reshape(thin)
    x = oo.from_array(values, chunks=chunks)
    y = oo.from_array(row) if thin == shape else oo.from_array(row, chunks=_of(thin, chunks))
    options = oo.map_blocks.options(splittable=True)
    lazy = options(np.multiply, options(np.add, x, y, dtype="f8"), x, dtype="f8")
    less = options(np.subtract, lazy, lazy.sum(axis=0, keepdims=True), dtype="f8")
    expected = (values + row) * values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "LEAF_BYTES", 64)
        for memory in (64 << 10, 24 << 10, 12 << 10):
            assert np.array_equal(lazy.compute(memory=memory), expected)
            got = less.compute(memory=memory)
            assert np.array_equal(got, expected - expected.sum(axis=0, keepdims=True))


def _of(shape: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if extent == 1 else size for extent, size in zip(shape, chunks, strict=True))
