"""Moving, joining and creating elements, against NumPy; evaluates no whole program."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opcheck import check_operation as check_regions

from oocarray.operations import banding as b
from oocarray.operations import creating as c
from oocarray.operations import joining as j
from oocarray.operations import shaping as s
from oocarray.operations import turning as t
from oocarray.operations.base import Arguments, extents, whole

few = settings(max_examples=60, deadline=None)
NAN: Any = math.nan


def numbers(*shape: int, dtype: Any = "i4") -> Any:
    return np.arange(1, math.prod(shape) + 1).reshape(shape).astype(dtype)


def check_operation(operation: Any, arrays: Any, expected: Any) -> None:
    """Also of arrays without elements and without axes."""
    if expected.size and all(array.ndim for array in arrays):
        check_regions(operation, arrays, expected)
        return
    shapes, dtypes = [one.shape for one in arrays], [one.dtype for one in arrays]
    assert operation.shape(shapes) == expected.shape
    assert operation.dtype(dtypes) == expected.dtype
    reaches = [operation.reach(k, shapes) for k in range(len(arrays))]
    if not expected.size:
        needed = [reach.regions(whole(expected.shape)) for reach in reaches]
        assert all(0 in extents(part) for parts in needed for part in parts)
        return
    args = Arguments(tuple(shapes), tuple(dtypes), expected.dtype, lambda k, one: arrays[k][one])
    found = operation.make(whole(expected.shape), args, None)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def pulled(operation: Any, array: Any, region: Any) -> tuple[Any, int]:
    """A region, and how many elements of the argument it took."""
    taken = 0

    def pull(k: int, part: Any) -> Any:
        nonlocal taken
        taken += array[part].size
        return array[part]

    args = Arguments((array.shape,), (array.dtype,), operation.dtype([array.dtype]), pull)
    return operation.make(region, args, None), taken


# operation, argument, what NumPy makes of it
A, B, D = numbers(4, 5, 6), numbers(7), numbers(6, 9, dtype="f4")
ONE = [
    (s.Transpose((2, 0, 1)), A, A.transpose(2, 0, 1)),  # a cycle of axes
    (s.Transpose((1, None, 0)), D, D.T[:, None]),  # a new axis
    (s.Transpose(()), numbers(1, 1), np.array(1, "i4")),  # no axis is left
    (s.Transpose((2,)), numbers(1, 1, 5), numbers(5)),  # axes of 1 left out
    (s.expand_dims(1, (0, 2)), B, B[None, :, None]),
    (s.squeeze((1, 7, 1), (2,)), numbers(1, 7, 1), numbers(1, 7)),
    (s.Reshape((120,)), A, A.ravel()),  # all axes merged
    (s.Reshape((20, 6)), A, A.reshape(20, 6)),  # the first two merged
    (s.Reshape((2, 2, 5, 3, 2)), A, A.reshape(2, 2, 5, 3, 2)),  # two axes split
    (s.Reshape((8, 15)), A, A.reshape(8, 15)),  # no axis in common
    (s.Reshape((6, 5, 4)), A, A.reshape(6, 5, 4)),
    (s.Reshape((1, 4, 1, 30)), A, A.reshape(1, 4, 1, 30)),  # axes of 1 among others
    (s.Reshape(()), numbers(1, 1), np.array(1, "i4")),
    (s.Reshape((1, 1)), np.array(3), np.array([[3]])),
    (s.Reshape((0, 3)), numbers(5, 0), np.zeros((0, 3), "i4")),  # nothing in another shape
    (s.Reshape((300, 4)), numbers(1200), numbers(300, 4)),  # many short ranges: read with gaps
    (s.BroadcastTo((3, 4, 5, 6)), A, np.broadcast_to(A, (3, 4, 5, 6))),
    (s.BroadcastTo((2, 7, 3)), numbers(7, 1), np.broadcast_to(numbers(7, 1), (2, 7, 3))),
    (s.BroadcastTo((0, 7)), B, np.broadcast_to(B, (0, 7))),
    (s.BroadcastTo((3,)), np.array(2.5), np.full(3, 2.5)),
    (t.Flip((0, 2)), A, np.flip(A, (0, 2))),
    (t.Flip(()), A, A),
    (t.Roll((2,), (0,)), B, np.roll(B, 2)),
    (t.Roll((-3, 8, 1), (0, 1, 0)), D, np.roll(D, (-3, 8, 1), (0, 1, 0))),  # an axis twice
    (t.Roll((14,), (0,)), B, B),  # twice around
    (t.Roll((1,), (1,)), numbers(3, 0), numbers(3, 0)),
    (t.Roll((1,), (1,)), numbers(3, 1), numbers(3, 1)),
    (b.Repeat(3, 1), D, np.repeat(D, 3, 1)),
    (b.Repeat(0, 0), B, np.repeat(B, 0)),
    (b.Repeat((2, 0, 0, 3, 1, 0, 4), 0), B, np.repeat(B, (2, 0, 0, 3, 1, 0, 4))),  # some gone
    (b.Repeat((), 0), numbers(0), numbers(0)),
    (t.Tile((2, 3)), D, np.tile(D, (2, 3))),
    (t.Tile((2, 1, 3)), B, np.tile(B, (2, 1, 3))),  # more reps than axes
    (t.Tile((2,)), D, np.tile(D, 2)),  # fewer reps than axes
    (t.Tile((40,)), numbers(3), np.tile(numbers(3), 40)),  # more runs than are told apart
    (t.Tile((5,)), numbers(1), np.tile(numbers(1), 5)),
    (t.Tile((0, 2)), D, np.tile(D, (0, 2))),
    (t.Tile((2,)), np.array(4), np.array([4, 4])),
    (b.Triangle(0, True), D, np.tril(D)),
    (b.Triangle(-3, True), D, np.tril(D, -3)),
    (b.Triangle(2, False), A, np.triu(A, 2)),
    (b.Triangle(-1, False), A, np.triu(A, -1)),
    (b.Triangle(99, False), D, np.triu(D, 99)),  # only zeros
    (b.Diagonal(0, 0, 1), D, np.diagonal(D)),
    (b.Diagonal(-2, 2, 0), A, np.diagonal(A, -2, 2, 0)),
    (b.Diagonal(2, 0, 2), A, np.diagonal(A, 2, 0, 2)),
    (b.Diagonal(0, 0, 1), numbers(70, 75), np.diagonal(numbers(70, 75))),  # several squares
    (b.Diagonal(40, 0, 1), D, np.diagonal(D, 40)),  # none
    (b.Diag(0), B, np.diag(B)),
    (b.Diag(3), B, np.diag(B, 3)),
    (b.Diag(-2), B, np.diag(B, -2)),
    (b.Diag(1), numbers(0), np.diag(numbers(0), 1)),
    (b.Diff(1, 0), A, np.diff(A, axis=0)),
    (b.Diff(3, 1), D, np.diff(D, 3, 1)),
    (b.Diff(0, 0), B, B),
    (b.Diff(9, 0), B, np.diff(B, 9)),  # nothing is left
    (b.Diff(1, 0), np.array([True, True, False]), np.array([False, True])),
    (b.Diff(2, 0), B.astype("M8[D]"), np.diff(B.astype("M8[D]"), 2)),  # spans of times
    (b.Sliding(3, 0), D, np.lib.stride_tricks.sliding_window_view(D, 3, 0)),
    (
        b.Sliding((2, 3, 2), (0, 2, 0)),
        A,
        np.lib.stride_tricks.sliding_window_view(A, (2, 3, 2), (0, 2, 0)),  # an axis twice
    ),
    (b.Sliding(7, 0), B, B[None]),  # one window
]


@pytest.mark.parametrize(("operation", "array", "expected"), ONE, ids=lambda one: repr(one)[:40])
def test_as_numpy(operation: Any, array: Any, expected: Any) -> None:
    check_operation(operation, [array], np.asarray(expected))


@pytest.mark.parametrize(("operation", "array", "expected"), ONE, ids=lambda one: repr(one)[:40])
def test_blocks_add_up(operation: Any, array: Any, expected: Any) -> None:
    halves = tuple((n // 2, n - n // 2) if n > 1 else (n,) for n in array.shape)
    for chunks in (halves, tuple((n,) for n in array.shape)):
        found = operation.chunks([chunks], [array.shape])
        if found is not None:
            assert tuple(map(sum, found)) == expected.shape
            assert all(sizes and (min(sizes) > 0 or not sum(sizes)) for sizes in found)
    assert operation.chunks([None], [array.shape]) is None


MODES = ["constant", "edge", "reflect", "symmetric", "wrap"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("shape", "widths"),
    [
        ((7,), ((2, 3),)),
        ((7,), ((0, 0),)),
        ((3,), ((11, 8),)),  # several times around
        ((2,), ((50, 61),)),  # more runs than are told apart
        ((1, 4), ((2, 3), (1, 0))),  # one element
        ((4, 3, 2), ((1, 2), (0, 4), (3, 0))),
    ],
)
def test_pad(mode: str, shape: Any, widths: Any) -> None:
    array = numbers(*shape, dtype="i2")
    check_operation(t.Pad(widths, mode), [array], np.pad(array, widths, mode))


def test_pad_with_a_constant() -> None:
    array = numbers(2, 0)
    wanted = np.pad(array, ((1, 1), (2, 0)), constant_values=7)
    check_operation(t.Pad(((1, 1), (2, 0)), constant=7), [array], wanted)
    assert t.Pad(((1, 1),), constant=1) != t.Pad(((1, 1),), constant=True)
    with pytest.raises(ValueError, match="empty axis 1"):
        t.Pad(((1, 1), (2, 0)), "edge").shape([(2, 0)])


@pytest.mark.parametrize(
    ("operation", "shapes", "words"),
    [
        (s.Transpose((0, 0)), [(3, 3)], "repeated axis"),
        (s.Transpose((0,)), [(3, 3)], "squeeze"),
        (s.Transpose((2,)), [(3, 3)], "out of bounds"),
        (s.Reshape((5,)), [(3, 3)], "cannot reshape array of size 9"),
        (s.BroadcastTo((4,)), [(3,)], "cannot broadcast"),
        (s.BroadcastTo(()), [(1,)], "cannot broadcast"),
        (t.Flip((1,)), [(3,)], "out of bounds"),
        (b.Repeat((1, 2), 0), [(3,)], "2 repeats for 3"),
        (b.Repeat(-1, 0), [(3,)], "negative"),
        (b.Triangle(0, True), [(3,)], "last two axes"),
        (b.Diagonal(0, 1, 1), [(3, 3)], "cannot be the same"),
        (b.Diag(0), [(3, 3)], "1-d"),
        (b.Diff(-1, 0), [(3,)], "non-negative"),
        (b.Sliding(4, 0), [(3,)], "larger than"),
        (t.Tile((-1,)), [(3,)], "negative"),
        (t.Pad(((1, 1),)), [(3, 3)], "1 pairs"),
        # Extents that are not known.
        (s.Reshape((5,)), [(NAN,)], "compute_chunk_sizes"),
        (s.BroadcastTo((5,)), [(NAN,)], "compute_chunk_sizes"),
        (t.Flip((0,)), [(NAN,)], "compute_chunk_sizes"),
        (t.Roll((1,), (0,)), [(NAN,)], "compute_chunk_sizes"),
        (t.Tile((2,)), [(NAN,)], "compute_chunk_sizes"),
        (t.Pad(((0, 1),)), [(NAN,)], "compute_chunk_sizes"),
        (b.Diff(1, 0), [(NAN,)], "compute_chunk_sizes"),
        (b.Diagonal(0, 0, 1), [(NAN, 3)], "compute_chunk_sizes"),
        (b.Sliding(2, 0), [(NAN,)], "compute_chunk_sizes"),
        (b.Repeat((1,), 0), [(NAN,)], "compute_chunk_sizes"),
        (j.Concatenate(0), [(NAN,), (3,)], "compute_chunk_sizes"),
        (j.Concatenate(0), [], "at least one"),
        (j.Concatenate(0), [()], "zero-dimensional"),
        (j.Concatenate(0), [(3,), (3, 1)], "dimensions must match"),
        (j.Concatenate(0), [(3, 2), (3, 1)], "along axis 1"),
        (j.Concatenate(1), [(3,)], "out of bounds"),
        (j.Stack(0), [(3,), (4,)], "same shape"),
        (j.Stack(2), [(3,)], "out of bounds"),
        (c.Full((-1,), 0), [], "negative"),
        (c.Indices((2,), 1), [], "out of bounds"),
    ],
)
def test_refusals(operation: Any, shapes: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        operation.shape(shapes)


@pytest.mark.parametrize(
    ("operation", "shapes"),
    [
        (s.Transpose((1, None, 0)), [(NAN, 2)]),
        (t.Roll((1,), (1,)), [(NAN, 2)]),
        (t.Flip((1,)), [(NAN, 2)]),
        (t.Pad(((0, 0), (1, 1))), [(NAN, 2)]),
        (b.Diff(1, 1), [(NAN, 2)]),
        (b.Triangle(0, True), [(NAN, 2)]),
        (s.BroadcastTo((3, NAN, 2)), [(NAN, 2)]),
        (j.Concatenate(1), [(NAN, 2), (NAN, 3)]),
        (j.Stack(0), [(NAN, 2), (NAN, 2)]),
    ],
)
def test_unknown_extents_elsewhere(operation: Any, shapes: Any) -> None:
    assert any(map(math.isnan, operation.shape(shapes)))


# Reshape: how much is read

shapes_of = {
    n: [
        shape
        for shape in [(n,), (n, 1), *((a, n // a) for a in range(1, n + 1) if n % a == 0)]
        + [(a, b, n // a // b) for a in (1, 2, 3, 4, 6) for b in (1, 2, 5, 6) if n % (a * b) == 0]
        if math.prod(shape) == n
    ]
    for n in (1, 12, 60, 72, 360)
}


@few
@given(st.sampled_from(sorted(shapes_of)), st.data())
def test_reshape_of_any_shapes(size: int, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(shapes_of[size]))
    target = data.draw(st.sampled_from(shapes_of[size]))
    array = numbers(*source, dtype="f8")
    check_operation(s.Reshape(target), [array], array.reshape(target))


@few
@given(st.sampled_from([(60, 6, 5), (8, 225), (1800,), (3, 20, 30)]), st.data())
def test_reshape_reads_little_more_than_it_needs(target: Any, data: st.DataObject) -> None:
    array = numbers(30, 10, 6)
    region = tuple(
        slice(a, data.draw(st.integers(a + 1, n)))
        for n in target
        for a in [data.draw(st.integers(0, n - 1))]
    )
    found, taken = pulled(s.Reshape(target), array, region)
    np.testing.assert_array_equal(found, array.reshape(target)[region])
    rows = math.prod(extents(region)[:-1])
    assert taken <= max(2 * found.size, found.size + (s.GAP * rows if rows > s.FEW else 0))


@pytest.mark.parametrize(
    ("operation", "shape"),
    [
        (s.Reshape((2, 2, 30)), (4, 30)),
        (s.Reshape((120,)), (4, 30)),
        (s.Reshape((4, 1, 30)), (4, 30)),
        (s.Transpose((1, None, 0)), (4, 30)),
        (s.BroadcastTo((5, 4, 30)), (4, 30)),
        (t.Flip((0, 1)), (4, 30)),
        (b.Sliding(3, 1), (4, 30)),
        (b.Diagonal(0, 0, 1), (20, 30)),
        (b.Triangle(30, True), (20, 30)),
        (t.Tile((5, 1)), (1, 30)),
    ],
)
def test_views(operation: Any, shape: Any) -> None:
    array = numbers(*shape)
    found, taken = pulled(operation, array, whole(operation.shape([shape])))
    assert np.shares_memory(found, array)
    assert taken <= array.size


@pytest.mark.parametrize(
    ("operation", "shape", "region", "taken"),
    [
        (t.Roll((1,), (0,)), (90,), (slice(0, 3),), 3),  # both ends
        (t.Tile((1000,)), (90,), (slice(10, 90_000 - 10),), 90),  # everything, once
        (t.Pad(((9, 9),), "reflect"), (90,), (slice(0, 108),), 90),  # everything, once
        (t.Pad(((9, 9),)), (90,), (slice(0, 9),), 0),
        (t.Pad(((9, 9),), "edge"), (90,), (slice(0, 9),), 1),
        (b.Repeat(10, 0), (90,), (slice(15, 25),), 2),
        (b.Triangle(0, True), (90, 90), (slice(0, 10), slice(0, 90)), 100),
        (b.Triangle(0, True), (90, 90), (slice(0, 10), slice(10, 90)), 0),
        (b.Diagonal(0, 0, 1), (3200, 3200), (slice(0, 3200),), 3200 * b.SQUARE),
        (b.Diag(0), (90,), (slice(0, 10), slice(5, 90)), 5),
        (s.Reshape((30, 3)), (90,), (slice(3, 5), slice(0, 1)), 2),
        (s.Reshape((9, 10)), (90,), (slice(3, 5), slice(0, 10)), 20),
    ],
)
def test_reads_what_is_needed(operation: Any, shape: Any, region: Any, taken: int) -> None:
    assert pulled(operation, numbers(*shape), region)[1] == taken


@pytest.mark.parametrize(
    ("operation", "shape", "chunks", "wanted"),
    [
        (s.Transpose((1, None, 0)), (4, 6), ((1, 3), (6,)), ((6,), (1,), (1, 3))),
        (t.Flip((0,)), (4,), ((1, 3),), ((3, 1),)),
        (s.BroadcastTo((3, 4)), (4,), ((1, 3),), ((3,), (1, 3))),
        (s.Reshape((24,)), (4, 6), ((1, 3), (6,)), ((6, 18),)),  # rows in a row
        (s.Reshape((24,)), (4, 6), ((4,), (2, 4)), None),  # columns in a row
        (s.Reshape((2, 2, 6)), (4, 6), ((2, 2), (6,)), ((1, 1), (2,), (6,))),
        (s.Reshape((2, 2, 6)), (4, 6), ((1, 3), (6,)), None),  # between rows
        (t.Tile((2,)), (4,), ((1, 3),), ((1, 3, 1, 3),)),
        (b.Repeat(2, 0), (4,), ((1, 3),), ((2, 6),)),
        (b.Repeat((0, 1, 2, 3), 0), (4,), ((1, 3),), ((0, 6),)),
        (t.Pad(((2, 0),)), (4,), ((1, 3),), ((2, 1, 3),)),
        (b.Diff(1, 0), (4,), ((3, 1),), ((3,),)),
        (b.Sliding(2, 0), (4,), ((1, 3),), ((1, 2), (2,))),
        (b.Diagonal(1, 0, 1), (4, 4), ((2, 2), (4,)), ((2, 1),)),
        (b.Diag(-1), (4,), ((1, 3),), ((1, 1, 3), (1, 3, 1))),
    ],
)
def test_blocks(operation: Any, shape: Any, chunks: Any, wanted: Any) -> None:
    assert operation.chunks([chunks], [shape]) == wanted


@few
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=3),
    st.sampled_from(["i2", "f4", "c8", "?"]),
    st.data(),
)
def test_moves_of_any_shape(shape: list[int], dtype: str, data: st.DataObject) -> None:
    array, ndim = numbers(*shape, dtype=dtype), len(shape)
    axes = tuple(data.draw(st.permutations(range(ndim))))
    some = axes[: data.draw(st.integers(0, ndim))]
    shifts = tuple(data.draw(st.integers(-7, 7)) for _ in some)
    k, n = data.draw(st.integers(-6, 6)), data.draw(st.integers(0, 3))
    check_operation(s.Transpose(axes), [array], array.transpose(axes))
    check_operation(t.Flip(some), [array], np.flip(array, some))
    check_operation(t.Roll(shifts, some), [array], np.roll(array, shifts, some))
    check_operation(b.Repeat(n, axes[0]), [array], np.repeat(array, n, axes[0]))
    each = tuple(data.draw(st.integers(0, 3)) for _ in range(shape[0]))
    check_operation(b.Repeat(each, 0), [array], np.repeat(array, each, 0))
    check_operation(b.Diff(n, axes[0]), [array], np.diff(array, n, axes[0]))
    if ndim > 1:
        check_operation(b.Triangle(k, True), [array], np.tril(array, k))
        check_operation(b.Triangle(k, False), [array], np.triu(array, k))
        wanted = np.diagonal(array, k, axes[0], axes[1])
        check_operation(b.Diagonal(k, axes[0], axes[1]), [array], wanted)
    else:
        check_operation(b.Diag(k), [array], np.diag(array, k))


@few
@given(st.lists(st.integers(1, 5), min_size=1, max_size=2), st.sampled_from(MODES), st.data())
def test_pads_of_any_width(shape: list[int], mode: str, data: st.DataObject) -> None:
    array = numbers(*shape)
    widths = tuple((data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))) for _ in shape)
    check_operation(t.Pad(widths, mode), [array], np.pad(array, widths, mode))
    reps = tuple(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3)))
    check_operation(t.Tile(reps), [array], np.tile(array, reps))


# Joining


@pytest.mark.parametrize(
    ("axis", "cast", "arrays"),
    [
        (0, None, [B]),
        (0, None, [B, numbers(0), numbers(3)]),  # one without elements
        (0, None, [numbers(2, dtype="i2"), numbers(3, dtype="f4")]),
        (0, None, [numbers(2, dtype="i8"), np.array(["a", "bcd"])]),  # text of numbers
        (1, None, [numbers(3, 2), numbers(3, 1), numbers(3, 4)]),
        (1, None, [numbers(0, 2), numbers(0, 1)]),
        (2, None, [A, A, A]),
        (0, "f4", [numbers(2, dtype="f8"), numbers(3, dtype="i2")]),
    ],
)
def test_concatenate(axis: int, cast: Any, arrays: Any) -> None:
    operation = j.Concatenate(axis, cast and np.dtype(cast))
    check_operation(operation, arrays, np.concatenate(arrays, axis, dtype=cast))


@pytest.mark.parametrize(
    ("axis", "arrays"),
    [
        (0, [B, B + 1, B + 2]),
        (1, [B, (B + 1).astype("f4")]),
        (2, [D, D + 1, D + 2, D + 3]),
        (0, [np.array(1), np.array(2.5)]),  # no axis but the new one
        (1, [numbers(2, 0), numbers(2, 0)]),
    ],
)
def test_stack(axis: int, arrays: Any) -> None:
    check_operation(j.Stack(axis), arrays, np.stack(arrays, axis))


@few
@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.integers(0, 2), st.data())
def test_joins_of_any_number(sizes: list[int], axis: int, data: st.DataObject) -> None:
    dtypes = st.sampled_from(["i2", "u8", "f4", "f8", "c8", "?"])
    around = [2, 3]
    arrays = [numbers(*around[:axis], n, *around[axis:], dtype=data.draw(dtypes)) for n in sizes]
    check_operation(j.Concatenate(axis), arrays, np.concatenate(arrays, axis))
    same = [numbers(*around, dtype=data.draw(dtypes)) for _ in sizes]
    check_operation(j.Stack(axis), same, np.stack(same, axis))


def test_joined_dtype_through_another() -> None:
    # The cast to the dtype of the result is seen even where a wider one is filled.
    args = Arguments(
        ((1,), (1,)), (np.dtype("f8"),) * 2, np.dtype("f4"), lambda k, part: np.array([0.1])
    )
    found = j.Concatenate(0, np.dtype("f4")).make((slice(0, 2),), args, np.empty(2, "f8"))
    assert found.dtype == "f4"
    with pytest.raises(TypeError, match="Cannot cast"):
        j.Concatenate(0, np.dtype("i4")).dtype([np.dtype("f8")])


def test_joined_blocks() -> None:
    shapes: Any = [(4, 6), (2, 6), (0, 6)]
    chunks: Any = [((1, 3), (6,)), None, ((0,), (2, 4))]
    assert j.Concatenate(0).chunks(chunks, shapes) == ((1, 3, 2), (2, 4))
    assert j.Stack(1).chunks([((1, 3),), None], [(4,), (4,)]) == ((1, 3), (1, 1))


# Creating


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (0.0, "f8"),
        (-0.0, "f4"),
        (float("nan"), "c16"),
        (True, "?"),
        (1, "?"),
        (7, "u1"),
        (7, ">i4"),  # the other order of bytes
        (np.float32(0.1), None),
        (3, None),
        (np.datetime64("2020-02-29"), None),
        ("abc", None),
        ("abc", "U2"),
    ],
)
def test_full(value: Any, dtype: Any) -> None:
    for shape in ((), (3,), (0, 2), (2, 1, 3)):
        operation = c.Full(shape, value, dtype)
        check_operation(operation, [], np.full(shape, value, dtype))
        assert operation == c.Full(shape, operation.value, operation.made)
    args = Arguments((), (), operation.made, lambda k, part: np.empty(0))
    assert set(c.Full((9, 9), value, dtype).make(whole((9, 9)), args, None).strides) == {0}


def test_equal_when_they_do_the_same() -> None:
    different = [
        *(c.Full((3,), value) for value in (0, False, 0.0, -0.0, float("nan"), 0j, 1)),
        c.Full((3,), 0.0, "f4"),
        *(c.Arange(0, 3, step) for step in (1, 1.0)),
        c.Arange(0, 3, 1, "f8"),
        *(c.Linspace(start, 3) for start in (0.0, -0.0)),
    ]
    assert len(set(different)) == len(different)
    assert c.Full((3,), 1, "f8") == c.Full((3,), np.float32(1), float)
    assert c.Full((3,), float("nan")) == c.Full((3,), np.float64("nan"))
    assert c.Eye(3, 3) == c.Eye(3, 3, 0, np.float64)
    assert hash(c.Arange(0, 3, 1, "f8")) == hash(c.Arange(0, 3, 1, float))


DAY = np.datetime64("2020-02-27")


@pytest.mark.parametrize(
    ("start", "stop", "step", "dtype"),
    [
        (0, 10, 1, None),
        (10, 0, -3, None),
        (0, 10, -1, None),  # nothing
        (0, 1, 0.1, None),
        (0.1, 7.3, 0.3, "f4"),
        (0.1, 7.3, 0.3, "f2"),
        (0.5, 3, 0.5, "i4"),  # steps of whole numbers after the cast
        (-0.0, 3, 1, "f8"),  # the sign of zero stays
        (1e16, 1e16 + 20, 3, None),  # the second element is not at the step's distance
        (0, 5, 1, "c8"),
        (0.1, 5, 0.7, "c16"),
        (0, 300, 1, "u1"),  # around
        (2**62, 2**62 + 3, 1, None),
        (np.float32(0.1), 2, np.float32(0.3), None),
        (np.int8(0), np.int8(9), np.int8(2), None),
        (0, 2, 1, "?"),
        (0, 4, 1, ">f4"),
        (DAY, DAY + 5, 1, None),
        (DAY, DAY + 5, np.timedelta64(2, "D"), "M8[D]"),
        (DAY, DAY + 2, np.timedelta64(7, "h"), None),  # in hours
        (DAY, np.datetime64("2020-02-27T08"), np.timedelta64(30, "m"), "M8"),
        (np.timedelta64(1, "h"), np.timedelta64(9, "h"), np.timedelta64(3, "h"), None),
        (DAY, DAY - 5, -1, None),
    ],
)
def test_arange(start: Any, stop: Any, step: Any, dtype: Any) -> None:
    expected = np.arange(start, stop, step, dtype)
    same_bits(c.Arange(start, stop, step, dtype), expected)


def same_bits(operation: Any, expected: Any) -> None:
    check_operation(operation, [], expected)
    args = Arguments((), (), expected.dtype, lambda k, part: np.empty(0))
    if expected.size:
        found = operation.make(whole(expected.shape), args, None)
        assert found.tobytes() == expected.tobytes()


reals = st.floats(-1e3, 1e3, allow_subnormal=False)


@settings(max_examples=100, deadline=None)
@given(reals, reals, st.floats(0.05, 40), st.sampled_from([None, "f4", "f2", "f8", "c8", "g"]))
def test_arange_to_the_bit(start: float, length: float, step: float, dtype: Any) -> None:
    stop = start + length % 30
    expected = np.arange(start, stop, step, dtype)
    found = c.Arange(start, stop, step, dtype)
    assert found.shape([]) == expected.shape
    np.testing.assert_array_equal(_whole(found, expected), expected)


@settings(max_examples=100, deadline=None)
@given(st.integers(-(10**6), 10**6), st.integers(-300, 300), st.integers(-9, 9).filter(bool))
def test_arange_of_integers(start: int, length: int, step: int) -> None:
    check_operation(
        c.Arange(start, start + length, step), [], np.arange(start, start + length, step)
    )


def _whole(operation: Any, expected: Any) -> Any:
    if not expected.size:
        return expected
    args = Arguments((), (), operation.dtype([]), lambda k, part: np.empty(0))
    return operation.make(whole(expected.shape), args, None)


@pytest.mark.parametrize(
    ("start", "stop", "num", "endpoint", "dtype"),
    [
        (0, 1, 50, True, None),
        (0, 1, 7, False, None),
        (0, 1, 1, True, None),
        (3, 1, 1, False, None),
        (0, 1, 0, True, None),
        (0.1, 0.7, 11, True, "f4"),
        (-5, 5, 7, True, "i4"),  # rounded down
        (1j, 2 + 3j, 6, True, None),
        (0, 5e-324, 5, True, None),  # a step too small for a float
        (2, 2, 5, True, None),
        (np.float32(0.1), np.float32(0.3), 9, True, None),
        (np.float32(0.1), 1, 9, True, None),
        (np.int8(-100), np.int8(100), 9, True, None),
        (0, float("inf"), 1, True, None),
    ],
)
def test_linspace(start: Any, stop: Any, num: int, endpoint: bool, dtype: Any) -> None:
    with np.errstate(all="ignore"):
        expected = np.linspace(start, stop, num, endpoint, dtype=dtype)
        same_bits(c.Linspace(start, stop, num, endpoint, dtype), expected)


@settings(max_examples=100, deadline=None)
@given(reals, reals, st.integers(0, 40), st.booleans(), st.sampled_from([None, "f4", "i2"]))
def test_linspace_to_the_bit(
    start: float, stop: float, num: int, endpoint: bool, dtype: Any
) -> None:
    expected = np.linspace(start, stop, num, endpoint, dtype=dtype)
    found = _whole(c.Linspace(start, stop, num, endpoint, dtype), expected)
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize(("n", "m", "k"), [(3, 3, 0), (4, 7, 2), (7, 4, -3), (3, 3, 9), (0, 3, 0)])
def test_eye(n: int, m: int, k: int) -> None:
    check_operation(c.Eye(n, m, k, "i2"), [], np.eye(n, m, k, "i2"))


@pytest.mark.parametrize("shape", [(5,), (4, 6), (2, 1, 3), (0, 2)])
def test_indices_and_functions_of_them(shape: Any) -> None:
    for axis, expected in enumerate(np.indices(shape, "f4")):
        check_operation(c.Indices(shape, axis, "f4"), [], expected)
    check_operation(c.FromFunction(_sum, shape), [], np.fromfunction(_sum, shape))
    check_operation(c.FromFunction(_sum, shape, "i4"), [], np.fromfunction(_sum, shape, dtype="i4"))
    check_operation(c.FromFunction(_seven, shape), [], np.full(shape, 7))  # one number for all


def _sum(*axes: Any) -> Any:
    return sum(k * axis for k, axis in enumerate(axes, 2))


def _seven(*axes: Any) -> int:
    return 7
