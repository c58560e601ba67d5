"""Planning of block functions beside dask's own; asks nothing of the runtime that carries it out.

Names such as ``m9`` are the numbers of dask's rules in the order: arguments (2-5), alignment
(6-9), shape of the output (10-14), what the function is told (20-22).
"""

from __future__ import annotations

import functools
import itertools
import math
import pickle
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oocarray.lazy.blockmap import (
    ALL,
    FIRST,
    MapPlan,
    Operand,
    block_info,
    input_coords,
    plan_map,
    wants,
)

NAN = math.nan
MIB = 2**20


def set_(*chunks: tuple[int, ...]) -> Operand:
    return Operand(tuple(map(sum, chunks)), chunks, free=False, itemsize=8, order="C")


def free(*shape: int, itemsize: int = 8, order: Any = "C") -> Operand:
    return Operand(shape, tuple((n,) for n in shape), free=True, itemsize=itemsize, order=order)


def numbered(operand: Operand) -> np.ndarray[Any, Any]:
    return np.arange(math.prod(operand.shape)).reshape(operand.shape)


def dasked(operand: Operand) -> da.Array:
    return da.from_array(numbered(operand), chunks=operand.chunks)


def plain(value: Any) -> Any:
    """Make values with nan comparable, and keep the difference between lists and tuples."""
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if isinstance(value, tuple | list):
        return (type(value).__name__, *(plain(item) for item in value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def block_of(values: np.ndarray, chunks: Any, coords: tuple[int | slice, ...]) -> np.ndarray:
    index = []
    for sizes, i in zip(chunks, coords, strict=True):
        if isinstance(i, slice):
            assert i == slice(None)
            index.append(i)
        else:
            index.append(slice(sum(sizes[:i]), sum(sizes[: i + 1])))
    return values[tuple(index)]


def dask_calls(arrays: list[Operand], **how: Any) -> tuple[Any, dict[Any, Any]]:
    """Let dask run it; return its chunks and, per block, what the function was given."""
    calls = {}

    def func(*blocks: Any, block_id: Any, block_info: Any) -> Any:
        calls[block_id] = ([np.array(block).tolist() for block in blocks], plain(block_info))
        size = block_info[None]["chunk-shape"]
        return np.zeros([1 if math.isnan(n) else n for n in size])

    # With meta= dask does not call the function before the run.
    lazy = da.map_blocks(func, *map(dasked, arrays), dtype="f8", meta=np.empty(0), **how)
    lazy.compute(scheduler="sync")
    return lazy.chunks, calls


def planned_calls(plan: MapPlan, arrays: list[Operand]) -> dict[Any, Any]:
    calls = {}
    for coords in itertools.product(*map(range, plan.numblocks)):
        blocks = [
            block_of(numbered(a), plan.inputs[k], input_coords(plan, k, coords)).tolist()
            for k, a in enumerate(arrays)
        ]
        info = block_info(plan, range(len(arrays)), coords, "f8")
        calls[coords] = (blocks, plain(info))
    return calls


def beside_dask(*arrays: Operand, **how: Any) -> MapPlan:
    plan = plan_map(arrays, **how)
    chunks, calls = dask_calls(list(arrays), **how)
    assert plain(plan.chunks) == plain(chunks)
    assert planned_calls(plan, list(arrays)) == calls
    return plan


def both_refuse(error: type[Exception], match: str, *arrays: Operand, **how: Any) -> None:
    with pytest.raises(error, match=match):
        plan_map(arrays, **how)
    with pytest.raises(error):
        dask_calls(list(arrays), **how)


# Arguments


def test_m5_no_arrays() -> None:
    plan = beside_dask(chunks=((4, 4), (3,)))
    assert plan.chunks == ((4, 4), (3,))
    assert (plan.shape, plan.numblocks, plan.inputs, plan.axes) == ((8, 3), (2, 1), (), ())


def test_m5_no_arrays_one_block() -> None:
    assert beside_dask(chunks=(4, 3)).chunks == ((4,), (3,))


def test_m5_nothing_at_all_is_zero_dimensional() -> None:
    plan = beside_dask()
    assert (plan.chunks, plan.shape) == ((), ())


def test_m5_no_block_on_an_axis() -> None:
    both_refuse(ValueError, r"no block for axis 0; an empty axis is \(0,\)", chunks=((),))


def test_no_dimensions() -> None:
    scalar = set_()
    assert beside_dask(scalar).chunks == ()
    assert beside_dask(scalar, scalar, chunks=((1, 2),)).axes == ((), ())
    assert beside_dask(set_((2, 3)), scalar).axes == ((0,), ())


# Alignment


def test_m6_axes_match_from_the_right() -> None:
    plan = beside_dask(set_((2, 2, 1)), set_((4,), (2, 2, 1)))
    assert plan.chunks == ((4,), (2, 2, 1))
    assert plan.axes == ((1,), (0, 1))


def test_m7_blocks_match_by_position_whatever_their_sizes() -> None:
    plan = beside_dask(set_((100,) * 10), set_((10,) * 10))
    assert plan.chunks == ((100,) * 10,)
    assert plan.inputs == (((100,) * 10,), ((10,) * 10,))
    assert input_coords(plan, 1, (7,)) == (7,)


def test_m8_one_block_serves_all() -> None:
    plan = beside_dask(set_((3, 3), (2, 2)), set_((6,), (1, 1)), set_((5,)))
    assert plan.chunks == ((3, 3), (2, 2))
    assert plan.axes == ((0, 1), (FIRST, 1), (FIRST,))
    assert input_coords(plan, 1, (1, 1)) == (0, 1)


@pytest.mark.parametrize("how", [{}, {"drop_axis": 0}])
def test_m8_different_numbers_of_blocks(how: dict[str, Any]) -> None:
    x, y = set_((5, 5)), set_((3, 3, 3))
    with pytest.raises(ValueError, match="do not align: 2 blocks and 3 blocks on axis -1"):
        plan_map([x, y], **how)
    late = da.map_blocks(np.add, dasked(x), dasked(y), dtype="f8", meta=np.empty(0), **how)
    with pytest.raises(ValueError, match="Shapes do not align"):
        late.compute(scheduler="sync")


def test_m9_most_blocks_decide_and_the_first_of_equals() -> None:
    assert beside_dask(set_((9,)), set_((1, 2)), set_((3, 4))).chunks == ((1, 2),)
    assert beside_dask(set_((3, 4)), set_((1, 2))).chunks == ((3, 4),)
    assert beside_dask(set_((9,)), set_((1,))).chunks == ((9,),)


def test_m9_an_extent_of_one_gives_way() -> None:
    # dask plans (1,) for these, whatever a function that broadcasts will return.
    assert dask_calls([set_((1,)), set_((9,))])[0] == ((1,),)
    plan = plan_map([set_((1,)), set_((9,))])
    assert plan.chunks == ((9,),)
    assert plan.axes == ((0,), (0,))
    assert plan_map([set_((1,), (4, 4)), set_((1,), (1, 1)), set_((3,), (2, 2))]).chunks == (
        (3,),
        (4, 4),
    )
    assert plan_map([set_((1,)), set_((0,))]).chunks == ((0,),)
    # Several blocks of one element are matched by position, as ever.
    assert beside_dask(set_((1, 1)), set_((9, 9))).chunks == ((1, 1),)


# Shape of the output


def test_m10_chunks_stay() -> None:
    x = set_((5, 5), (2, 2, 2))
    assert beside_dask(x).chunks == ((5, 5), (2, 2, 2))
    assert beside_dask(x, drop_axis=0).chunks == ((2, 2, 2),)
    assert beside_dask(x, new_axis=1).chunks == ((5, 5), (1,), (2, 2, 2))


@pytest.mark.parametrize(
    ("entry", "sizes"),
    [
        (4, (4, 4)),
        (np.int64(4), (4, 4)),
        ((1, 2), (1, 2)),
        ([1, 2], (1, 2)),
        (NAN, (NAN, NAN)),
        ((3, NAN), (3, NAN)),
        (np.float64("nan"), (NAN, NAN)),
        (lambda n: 2 * n, (10, 6)),
        (lambda n: n / 2, (2, 1)),
        (lambda n: NAN, (NAN, NAN)),
    ],
)
def test_m11_chunks_entries(entry: Any, sizes: tuple[int, ...]) -> None:
    plan = beside_dask(set_((5, 3)), chunks=(entry,))
    assert plain(plan.chunks) == plain((sizes,))
    assert plain(plan.shape) == plain((sum(sizes),))
    assert plan.known is not math.isnan(sum(sizes))


def test_m11_chunks_callable_gets_the_sizes_of_the_most_blocks() -> None:
    plan = beside_dask(set_((9,)), set_((1, 2)), chunks=(lambda n: 10 * n,))
    assert plan.chunks == ((10, 20),)


def test_m11_entries_that_do_not_fit() -> None:
    x = set_((5, 3), (4,))
    both_refuse(ValueError, "chunks have 1 dims; expected 2", x, chunks=(4,))
    both_refuse(ValueError, "chunks have 3 dims; expected 2", x, chunks=(1, 2, 3), new_axis=[])
    both_refuse(ValueError, "has 2 blocks, but chunks= gives 3", x, chunks=((1, 2, 3), 4))
    both_refuse(NotImplementedError, "chunks= entry 5.0 for axis 0", x, chunks=(5.0, 4))
    both_refuse(NotImplementedError, "chunks= entry None for axis 1", x, chunks=(5, None))
    both_refuse(TypeError, "chunks=5 is not a sequence", x, chunks=5)


@pytest.mark.parametrize("entry", [-1, (3, -1), (3, math.inf), lambda n: n - 4])
def test_sizes_that_cannot_be(entry: Any) -> None:
    with pytest.raises(ValueError, match=r"block size (-1|inf) on axis 0 in chunks= is out"):
        plan_map([set_((5, 3))], chunks=(entry,))


@pytest.mark.parametrize("entry", [("3", 5), (None, 5), (3, 2j)])
def test_sizes_that_are_no_numbers(entry: Any) -> None:
    with pytest.raises(TypeError, match="is not a number"):
        plan_map([set_((5, 3))], chunks=(entry,))


@pytest.mark.parametrize("entry", ["auto", "16 MiB", {0: 5}, np.array([5, 3])])
def test_entries_of_other_kinds(entry: Any) -> None:
    with pytest.raises(NotImplementedError, match="only an int, a tuple of sizes, nan or a call"):
        plan_map([set_((5, 3))], chunks=(entry,))


@pytest.mark.parametrize("chunks", ["auto", {0: 5}, NAN])
def test_chunks_is_one_entry_per_axis(chunks: Any) -> None:
    with pytest.raises(TypeError, match="is not a sequence; map_blocks takes one entry per"):
        plan_map([set_((5, 3))], chunks=chunks)


def test_m12_missing_axes_are_added_on_the_left() -> None:
    plan = beside_dask(set_((5, 3)), chunks=(2, (1, 4), 7))
    assert plan.chunks == ((2,), (1, 4), (7, 7))
    assert plan.axes == ((2,),)
    assert beside_dask(set_((5, 3), (2,)), chunks=((1, 1), 4, 7), drop_axis=1).axes == ((2, ALL),)


def test_m13_dropped_axes_are_joined() -> None:
    x = set_((2, 2), (3, 3), (1, 1))
    plan = beside_dask(x, drop_axis=[0, -1])
    assert plan.chunks == ((3, 3),)
    assert plan.axes == ((ALL, 0, ALL),)
    assert input_coords(plan, 0, (1,)) == (slice(None), 1, slice(None))
    assert beside_dask(x, drop_axis=(0, -3)).chunks == ((3, 3), (1, 1))
    assert beside_dask(x, drop_axis=np.int64(1)).chunks == ((2, 2), (1, 1))
    assert plan_map([x], drop_axis=np.array([0])).chunks == ((3, 3), (1, 1))


def test_m13_all_axes_dropped() -> None:
    plan = beside_dask(set_((2, 2)), drop_axis=0)
    assert (plan.chunks, plan.shape, plan.axes) == ((), (), ((ALL,),))
    assert input_coords(plan, 0, ()) == (slice(None),)


def test_m13_counts_from_the_input_with_most_dimensions() -> None:
    plan = beside_dask(set_((2, 2)), set_((4,), (2, 2)), set_((9,)), drop_axis=-1)
    assert plan.chunks == ((4,),)
    assert plan.axes == ((ALL,), (0, ALL), (ALL,))


@pytest.mark.parametrize("axis", [2, -3, [0, 2]])
def test_m13_out_of_range(axis: Any) -> None:
    both_refuse(ValueError, "drop_axis out of range", set_((2, 2), (3,)), drop_axis=axis)


def test_m13_no_axis_to_drop() -> None:
    both_refuse(ValueError, "axis 0 of an input with 0 dimensions", drop_axis=0)


def test_m14_new_axes_after_dropped_ones() -> None:
    x = set_((2, 2), (3, 3))
    plan = beside_dask(x, drop_axis=0, new_axis=[2, 0])
    assert plan.chunks == ((1,), (3, 3), (1,))
    assert plan.axes == ((ALL, 1),)
    assert beside_dask(x, new_axis=[0, 0]).chunks == ((1,), (1,), (2, 2), (3, 3))


def test_m14_new_axis_of_several_blocks() -> None:
    plan = beside_dask(set_((2, 2)), new_axis=1, chunks=(2, (5, 6, 7)))
    assert plan.chunks == ((2, 2), (5, 6, 7))
    assert [input_coords(plan, 0, (1, j)) for j in range(3)] == [(1,)] * 3


def test_m14_gaps() -> None:
    x = set_((2, 2))
    both_refuse(ValueError, "New_axis values do not fill in all dimensions", x, new_axis=3)
    both_refuse(ValueError, "do not fill in", x, new_axis=[0, 3])
    # One position of slack for each dropped axis, as long as no sizes are given by position.
    assert beside_dask(x, drop_axis=0, new_axis=1).chunks == ((1,),)
    with pytest.raises(ValueError, match="do not fill in"):
        plan_map([x], drop_axis=0, new_axis=1, chunks=(4,))


def test_m14_negative_new_axis_counts_from_the_end_of_the_output() -> None:
    x = set_((2, 2), (3, 3))
    assert plan_map([x], new_axis=-1).chunks == ((2, 2), (3, 3), (1,))
    assert plan_map([x], new_axis=-3).chunks == ((1,), (2, 2), (3, 3))
    assert plan_map([x], new_axis=[-1, 0]).chunks == ((1,), (2, 2), (3, 3), (1,))
    assert plan_map([x], new_axis=-2, drop_axis=0).chunks == ((1,), (3, 3))
    with pytest.raises(ValueError, match="new_axis out of range: axis -4 in an output with 3"):
        plan_map([x], new_axis=-4)
    with pytest.raises(ValueError, match="repeated axis"):
        plan_map([x], new_axis=[-1, 3])


@given(ndim=st.integers(0, 3), new=st.integers(1, 3), data=st.data())
def test_m14_negative_new_axis_is_that_of_expand_dims(
    ndim: int, new: int, data: st.DataObject
) -> None:
    axes = data.draw(
        st.lists(
            st.integers(-ndim - new, ndim + new - 1),
            min_size=new,
            max_size=new,
            unique_by=lambda axis: axis % (ndim + new),
        )
    )
    x = np.empty(tuple(range(2, 2 + ndim)))
    plan = plan_map([set_(*((n,) for n in x.shape))], new_axis=axes)
    assert plan.shape == np.expand_dims(x, axes).shape


def test_m14_callable_on_a_new_axis() -> None:
    with pytest.raises(ValueError, match="callable for new axis 0, where no input block has"):
        plan_map([set_((2, 2))], new_axis=0, chunks=(lambda n: n, 2))


# What the function is told


def test_m21_block_info() -> None:
    plan = plan_map(
        [set_((2, 3), (4, 4, 4)), set_((12,))], drop_axis=0, new_axis=0, chunks=((1, 1), 5)
    )
    assert block_info(plan, [0, 2], (1, 2), np.dtype("f4")) == {
        0: {
            "shape": (5, 12),
            "num-chunks": (1, 3),
            "array-location": [(0, 5), (8, 12)],
            "chunk-location": (0, 2),
        },
        2: {
            "shape": (12,),
            "num-chunks": (1,),
            "array-location": [(0, 12)],
            "chunk-location": (0,),
        },
        None: {
            "shape": (2, 15),
            "num-chunks": (2, 3),
            "array-location": [(1, 2), (10, 15)],
            "chunk-location": (1, 2),
            "chunk-shape": (1, 5),
            "dtype": np.dtype("f4"),
        },
    }


def test_m21_nan_in_block_info() -> None:
    plan = beside_dask(set_((5, 3)), chunks=(NAN,))
    info = block_info(plan, [0], (1,), None)[None]
    assert plain(info["array-location"]) == ("list", ("tuple", "nan", "nan"))
    assert plain(info["chunk-shape"]) == ("tuple", "nan")


def test_unknown_sizes_go_on() -> None:
    once = plan_map([set_((5, 3))], chunks=(NAN,))
    operand = Operand(once.shape, once.chunks, free=False, itemsize=8, order="C")
    assert plain(plan_map([operand, set_((4, 4))]).chunks) == plain(((NAN, NAN),))
    assert plan_map([operand], drop_axis=0).shape == ()
    assert plan_map([operand], chunks=(2,)).chunks == ((2, 2),)
    assert plan_map([operand]) == plan_map([operand])


class Callable_:
    def __call__(self, block: Any, block_id: Any = None) -> Any:
        return block


class Hostile:
    def __call__(self, block: Any) -> Any:
        return block

    @property
    def __signature__(self) -> Any:
        raise RuntimeError("no")


def told(block: Any, block_id: Any = None, block_info: Any = None) -> Any:
    return block


@functools.wraps(told)
def wrapped(*args: Any, **kwargs: Any) -> Any:
    return told(*args, **kwargs)


@pytest.mark.parametrize(
    ("func", "expected"),
    [
        (told, True),
        (wrapped, True),
        (functools.partial(told, 1), True),
        (functools.partial(told, 1, 2), False),
        (functools.partial(told, block_info=None), True),
        (Callable_(), True),
        (Callable_().__call__, True),
        (lambda block, *, block_id: block, True),
        (lambda block, **kwargs: block, False),
        (lambda *args: args, False),
        (Hostile(), False),
        (np.add, False),
        (np.sum, False),
        (int, False),
        (dict.fromkeys, False),
        (None, False),
    ],
)
def test_m20_m22_detection_by_name(func: Callable[..., Any], expected: bool) -> None:
    assert wants(func, "block_id") is expected
    assert not wants(func, "block_ids")


# Free arrays


def test_free_arrays_share_one_grid() -> None:
    plan = plan_map([free(4096, 4096, itemsize=2), free(4096, 4096, itemsize=4)])
    grid = ((512,) * 8, (4096,))
    assert plan.chunks == grid
    assert plan.inputs == (grid, grid)
    assert plan.axes == ((0, 1), (0, 1))


def test_free_arrays_broadcast() -> None:
    plan = plan_map([free(4096), free(4096, 4096), free(4096, 1), free()])
    assert plan.chunks == ((512,) * 8, (4096,))
    assert plan.inputs == (((4096,),), plan.chunks, ((512,) * 8, (1,)), ())
    assert plan.axes == ((1,), (0, 1), (0, 1), ())
    assert input_coords(plan, 2, (5, 0)) == (5, 0)


def test_free_row_of_one_is_broadcast_over_rows() -> None:
    plan = plan_map([free(4096, 4096), free(1, 4096)])
    assert plan.inputs[1] == ((1,), (4096,))
    assert plan.axes[1] == (FIRST, 1)


def test_free_arrays_that_do_not_broadcast() -> None:
    with pytest.raises(ValueError, match="do not align: extent 3, 5 of arrays without set chunks"):
        plan_map([free(5, 2), free(3, 2)])


def test_free_empty_axes() -> None:
    assert plan_map([free(0, 3), free(1, 3)]).chunks == ((0,), (3,))
    assert plan_map([free(0), set_((0,))]).chunks == ((0,),)


def test_free_takes_the_cuts_of_the_set_array() -> None:
    plan = plan_map([free(10, 6), set_((5, 5), (6,)), set_((2, 2, 2))])
    assert plan.chunks == ((5, 5), (2, 2, 2))
    assert plan.inputs[0] == ((5, 5), (2, 2, 2))
    assert plan.axes == ((0, 1), (0, FIRST), (1,))


def test_free_of_extent_one_is_one_block() -> None:
    plan = plan_map([free(1, 6), set_((5, 5), (3, 3))])
    assert plan.inputs[0] == ((1,), (3, 3))
    assert plan.axes[0] == (FIRST, 1)


def test_free_that_does_not_fit_the_set_cuts() -> None:
    with pytest.raises(ValueError, match=r"extent 12 .* axis -1; the set blocks beside it hold 10"):
        plan_map([set_((5, 5)), free(12)])
    with pytest.raises(ValueError, match=r"extent 10 .* hold nan"):
        plan_map([set_((5, NAN)), free(10)])  # type: ignore[arg-type]


def test_free_axes_that_no_set_array_covers() -> None:
    plan = plan_map([free(4096, 4096), set_((2048, 2048))])
    assert plan.chunks == ((1024,) * 4, (2048, 2048))
    assert plan.axes == ((0, 1), (1,))


@pytest.mark.parametrize("row", [set_((4096,)), set_((1,), (4096,))])
@pytest.mark.parametrize("others", [[free(4096, 4096, order="F")], [free(4096, 1)]])
def test_open_axes_are_cut_to_the_size_of_the_whole_block(
    row: Operand, others: list[Operand]
) -> None:
    plan = plan_map([row, *others])
    assert plan.shape == (4096, 4096)
    assert plan.chunks[1] == (4096,)
    assert 8 * max(plan.chunks[0]) * 4096 == 16 * MIB


def test_set_array_of_one_element_does_not_guide_free_ones() -> None:
    plan = plan_map([set_((1,), (1,)), set_((1,), (6,)), free(8, 6)])
    assert plan.chunks == ((8,), (6,))
    assert plan.axes == ((0, 1),) * 3
    large = plan_map([set_((1,)), free(8 * MIB)])
    assert large.chunks == ((2 * MIB,) * 4,)
    assert large.axes == ((FIRST,), (0,))


def test_free_arrays_follow_the_output_rules() -> None:
    plan = plan_map([free(4096, 4096)], drop_axis=1, new_axis=0, chunks=(3, lambda n: n // 2))
    assert plan.chunks == ((3,), (256,) * 8)
    assert plan.axes == ((1, ALL),)


# All rules at once


@st.composite
def calls(draw: st.DrawFn) -> tuple[list[Operand], dict[str, Any]]:
    blocks = draw(st.lists(st.integers(1, 3), max_size=3))
    arrays = []
    for _ in range(draw(st.integers(0, 3))):
        own = blocks[draw(st.integers(0, len(blocks))) :]
        counts = [draw(st.sampled_from([1, count])) for count in own]
        arrays.append(
            set_(*(tuple(draw(st.integers(0, 3)) for _ in range(count)) for count in counts))
        )
    ndim = max((len(a.shape) for a in arrays), default=0)
    for axis in range(-ndim, 0):
        cuts = [a.chunks[axis] for a in arrays if len(a.chunks) >= -axis]
        single = all(len(sizes) == 1 for sizes in cuts)
        assume(not single or cuts[0] != (1,) or set(cuts) == {(1,)})  # a deliberate difference
    how: dict[str, Any] = {}
    dropped = draw(st.sets(st.integers(0, ndim - 1))) if ndim else set()
    if dropped:
        how["drop_axis"] = [axis - ndim if draw(st.booleans()) else axis for axis in dropped]
    kept = ndim - len(dropped)
    added = draw(st.integers(0, 2))
    new = set(draw(st.permutations(range(kept + added)))[:added])
    if added and draw(st.booleans()):
        how["new_axis"] = list(new)
    else:
        new = set(range(added))
    if draw(st.booleans()) or (added and "new_axis" not in how):
        size = st.integers(0, 3) | st.just(NAN)
        many = st.lists(size, min_size=1, max_size=3).map(tuple)
        same = st.sampled_from([2, NAN, lambda n: n + 1])
        how["chunks"] = [draw(size | many if axis in new else same) for axis in range(kept + added)]
    return arrays, how


@settings(max_examples=150)
@given(calls())
def test_every_block_is_told_and_given_what_dask_gives(
    call: tuple[list[Operand], dict[str, Any]],
) -> None:
    arrays, how = call
    beside_dask(*arrays, **how)


def test_plan_travels_without_its_edges() -> None:
    plan = plan_map([set_((1,) * 50_000)])
    small = len(pickle.dumps(plan))
    assert block_info(plan, [0], (49_999,), None)[0]["array-location"] == [(49_999, 50_000)]
    assert len(pickle.dumps(plan)) == small
    assert pickle.loads(pickle.dumps(plan)) == plan
