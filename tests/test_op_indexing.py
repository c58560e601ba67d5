"""Indexing by every kind of key, selecting and assigning: made of any region, as NumPy does."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices
from opcheck import check_operation as check_regions

from oocarray.errors import InputChangedError
from oocarray.operations import assigning, picking
from oocarray.operations import indexing as ix
from oocarray.operations import selecting as sel
from oocarray.operations.base import Arguments, extents, whole
from oocarray.operations.positions import Indices
from oocarray.operations.taking import TakeAlong

few = settings(max_examples=40, deadline=None)


def numbers(*shape: int, dtype: Any = "i4") -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


class Kept(np.ndarray):
    """An array whose parts without axes are arrays too: `opcheck` sets their flags."""

    def __getitem__(self, key: Any) -> Any:
        return np.asarray(self)[(*key, ...)]


def check_operation(operation: Any, arrays: Any, expected: Any) -> None:
    """Judge by `opcheck`; of results without elements, it knows no regions."""
    shapes, dtypes = [array.shape for array in arrays], [array.dtype for array in arrays]
    if 0 in expected.shape:
        assert tuple(operation.shape(shapes)) == expected.shape
        assert operation.dtype(dtypes) == expected.dtype
        for k in range(len(arrays)):
            reach = operation.reach(k, shapes)
            for part in [] if reach is None else reach.regions(whole(expected.shape)):
                assert 0 in extents(part)
        return
    check_regions(operation, [a if a.ndim else np.asarray(a).view(Kept) for a in arrays], expected)


BASIC = [
    ((6, 5), (), "nothing: all"),
    ((6, 5), ..., "all"),
    ((6, 5), 2, "an int drops its axis"),
    ((6, 5), (-1, -5), "no axis is left"),
    ((), (), "no axis at all"),
    ((), None, "one new axis of no axis"),
    ((6, 5), (None, ..., None), "new axes at both ends"),
    ((6, 5), (slice(None, None, -1),), "reversed"),
    ((6, 5), (slice(4, None, -3), None, 1), "negative step, then new and int"),
    ((6, 5), (slice(1, 6, 2), slice(-2, 100)), "steps; a stop past the end"),
    ((6, 5), (slice(5, 2),), "nothing"),
    ((0, 3), (slice(None, None, 2), None, slice(2)), "of an axis without elements"),
    ((1, 3), (slice(None, None, -1), ..., slice(None, None, 2)), "extent 1"),
    ((4, 3, 2), (..., 0), "Ellipsis before an int"),
    ((4, 3, 2), (np.int64(1), slice(None), np.array(1)), "ints of NumPy"),
]


@pytest.mark.parametrize(("shape", "key", "remark"), BASIC)
def test_basic_keys(shape, key, remark):
    x = numbers(*shape)
    index = ix.basic_index(key, shape)
    check_operation(index, [x], x[key])
    check_operation(ix.point_index(key, shape), [x], x[key])
    assert index == pickle.loads(pickle.dumps(index))
    assert index == ix.basic_index(key, shape)


BAD = [
    ((3, 4), 3, "past the end"),
    ((3, 4), (0, -5), "before the beginning"),
    ((3, 4), (0, 0, 0), "too many"),
    ((3, 4), (..., 0, ...), "two Ellipses"),
    ((3, 4), 1.0, "a float"),
    ((3, 4), ([0.5],), "floats"),
    ((3, 4), "a", "text"),
    ((3, 4), ([0, 3],), "an array past the end"),
    ((3, 4), (slice(None), np.array([[-5]])), "an array before the beginning"),
    ((3, 4), ([0, 1], [0, 1, 2]), "arrays that do not broadcast"),
    ((3, 4), np.ones(4, bool), "a mask of another shape"),
    ((3, 4), (slice(None), np.ones(3, bool)), "a mask of another shape, second axis"),
    ((3, 4), np.array([1 << 63], "u8"), "over int64"),
    ((0, 4), 0, "of no elements"),
]


@pytest.mark.parametrize(("shape", "key", "remark"), BAD)
def test_refuses_what_numpy_refuses_in_its_words(shape, key, remark):
    with pytest.raises(IndexError) as theirs:
        numbers(*shape)[key]
    with pytest.raises(IndexError) as ours:
        ix.point_index(key, shape)
    if remark != "over int64":
        assert str(ours.value) == str(theirs.value)


def test_step_zero_is_a_value_error():
    with pytest.raises(ValueError, match="step cannot be zero"):
        ix.basic_index(slice(None, None, 0), (3,))


def test_basic_index_refuses_arrays_and_single_bools():
    for key in ([0, 1], np.ones(3, bool), True):
        with pytest.raises(IndexError):
            ix.basic_index(key, (3,))


@few
@given(st.data())
def test_any_basic_key(data):
    shape = data.draw(array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6))
    key = data.draw(basic_indices(shape, allow_newaxis=True))
    x = numbers(*shape)
    check_operation(ix.basic_index(key, shape), [x], np.asarray(x[key]))


@few
@given(st.data())
def test_slices_of_slices(data):
    shape = data.draw(array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9))
    x = numbers(*shape)
    first = data.draw(basic_indices(shape))
    inner = np.asarray(x[first])
    second = data.draw(basic_indices(inner.shape))
    check_operation(ix.basic_index(first, shape), [x], inner)
    check_operation(ix.basic_index(second, inner.shape), [inner], np.asarray(inner[second]))


CHUNKS = [
    (slice(None), ((2, 2, 1), (3,)), "as they are"),
    (slice(1, 4), ((1, 2), (3,)), "parts of blocks"),
    (slice(None, None, -1), ((1, 2, 2), (3,)), "in the other order"),
    (slice(None, None, 3), ((1, 1), (3,)), "a block that is not hit is left out"),
    (slice(4, None, -3), ((1, 1), (3,)), "likewise backwards"),
    (slice(2, 2), ((0,), (3,)), "nothing left"),
    ((0, None), ((1,), (3,)), "an int, a new axis"),
]


@pytest.mark.parametrize(("key", "expected", "remark"), CHUNKS)
def test_blocks_of_a_slice_are_those_hit(key, expected, remark):
    found = ix.basic_index(key, (5, 3)).chunks([((2, 2, 1), (3,))], [(5, 3)])
    assert found == expected


@few
@given(st.data())
def test_blocks_of_a_slice_as_counted_one_by_one(data):
    sizes = tuple(data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=6)))
    n = sum(sizes)
    key = data.draw(st.slices(n))
    block = np.repeat(np.arange(len(sizes)), sizes)[key]
    counts = [int((block == b).sum()) for b in dict.fromkeys(block.tolist())]
    (found,) = ix.basic_index(key, (n,)).chunks([(sizes,)], [(n,)])
    assert found == (tuple(counts) or (0,))


def test_an_axis_of_unknown_length_is_taken_whole():
    nan = float("nan")
    index = ix.basic_index((slice(None), 1), (nan, 3))
    assert index.shape([(7, 3)]) == (7,)
    assert index.chunks([((nan, nan), (3,))], [(nan, 3)]) == ((nan, nan),)
    check_operation(index, [numbers(7, 3)], numbers(7, 3)[:, 1])
    with pytest.raises(IndexError, match="unknown"):
        ix.basic_index(slice(2), (nan,))


POINTS = [
    ((6, 5), ([3, 1, 3, -1],), "duplicates and negative"),
    ((6, 5), (slice(None), [4, 0]), "second axis"),
    ((6, 5), ([0, 5], [4, -5]), "pointwise"),
    ((6, 5), ([[0], [5]], [1, 2, 3]), "broadcast against each other"),
    ((6, 5), ([],), "an empty list"),
    ((6, 5), (np.zeros((2, 0), int), 3), "an array without elements, and an int"),
    ((0, 5), (np.zeros(0, int),), "of an axis without elements"),
    ((4, 3, 5), ([0, 2], slice(None), [1, 3]), "apart: first"),
    ((4, 3, 5), (0, slice(None), [1, 3]), "an int apart from an array: first"),
    ((4, 3, 5), (slice(None), 0, [1, 3]), "adjacent: in place"),
    ((4, 3, 5), (slice(None), [0, 2], None, [1, 3]), "None between: first"),
    ((4, 3, 5), (slice(None, None, -2), [[0, 2], [1, 1]], slice(1, 4)), "in place, two axes"),
    ((4, 3, 5), (None, [1, 1], slice(0, 2), 2, None), "everything"),
    ((4, 3, 5), (..., [4, 0, 0]), "after Ellipsis"),
    ((4, 3, 5), ([1, 1], 2, slice(1, None, 2)), "array, int, slice"),
    ((4, 1), ([3, 0], [0, 0]), "extent 1"),
    ((3,), np.array([True, False, True]), "a mask"),
    ((3, 4), numbers(3, 4) % 3 == 0, "a mask of two axes"),
    ((3, 4, 2), (slice(None), numbers(4, 2) % 3 == 0), "a mask of two axes, not the first"),
    ((3, 4, 2), ([0, 1], slice(None), np.array([True, True])), "a mask and an array, apart"),
    ((300,), np.array([200, 7, 255], "u1"), "unsigned"),
]


@pytest.mark.parametrize(("shape", "key", "remark"), POINTS)
def test_point_keys(shape, key, remark):
    x = numbers(*shape)
    index = ix.point_index(key, shape)
    check_operation(index, [x], x[key])
    again = pickle.loads(pickle.dumps(index))
    assert index == again
    assert hash(index) == hash(again)


@st.composite
def mixed_keys(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    lead = draw(array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=4))
    key: list[Any] = []
    for n in shape:
        kind = draw(st.sampled_from(["int", "slice", "array", "array"]))
        if draw(st.integers(0, 5)) == 0:
            key.append(None)
        if kind == "slice" or not n:
            key.append(draw(st.slices(n)))
        elif kind == "int":
            key.append(draw(st.integers(-n, n - 1)))
        else:
            own = tuple(1 if draw(st.booleans()) else size for size in lead)
            own = own[draw(st.integers(0, len(own))) :]
            count = int(np.prod(own))
            flat = draw(st.lists(st.integers(-n, n - 1), min_size=count, max_size=count))
            key.append(np.array(flat, int).reshape(own))
    return tuple(key)


@few
@given(st.data())
def test_any_mixed_key(data):
    shape = data.draw(array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
    key = data.draw(mixed_keys(shape))
    x = numbers(*shape)
    check_operation(ix.point_index(key, shape), [x], np.asarray(x[key]))


def small_pieces(monkeypatch):
    """Make arrays of a few hundred elements take every way that large ones take."""
    monkeypatch.setattr(picking, "GAP", 4)
    monkeypatch.setattr(picking, "PIECE", 8)
    monkeypatch.setattr(picking, "MOST", 9)
    monkeypatch.setattr(sel, "MOST", 3)


FAR = [
    ((400,), ([399, 0, 7, 8, 9, 200, 203, 7],), "runs of one axis"),
    ((400,), np.arange(400)[::-1], "all, reversed"),
    ((400,), np.arange(0, 400, 7), "coarser than near"),
    ((400,), slice(None, None, 3), "a step within reach of the next"),
    ((400,), slice(None, None, -11), "a step that is far"),
    ((40, 30), (slice(1, None, 2), slice(None, None, -3)), "two scattered axes"),
    ((40, 30), (np.arange(0, 40, 3), slice(None, None, 7)), "an array and a step"),
    ((40, 30), (np.arange(0, 60) % 40, np.arange(60) * 7 % 30), "points"),
    ((9, 8, 7), ([8, 0, 3, 3], slice(None, None, -2), [0, 6, 2, 2]), "points apart"),
    ((9, 8, 7), (slice(None), [[7, 0], [3, 3]], [[0], [6]]), "points of two axes"),
]


@pytest.mark.parametrize(("shape", "key", "remark"), FAR)
def test_far_apart(monkeypatch, shape, key, remark):
    small_pieces(monkeypatch)
    x = numbers(*shape)
    index = ix.point_index(key, shape)
    check_operation(index, [x], x[key])
    for part in (whole(x[key].shape), tuple(slice(0, n // 2) for n in x[key].shape)):
        assert len(index.reach(0, [shape]).regions(part)) <= 9
    check_nested(index.reach(0, [shape]), x[key].shape, shape)


@few
@given(st.data())
def test_any_mixed_key_far_apart(data):
    shape = data.draw(array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=20))
    key = data.draw(mixed_keys(shape))
    x = numbers(*shape)
    with pytest.MonkeyPatch.context() as patch:
        small_pieces(patch)
        index = ix.point_index(key, shape)
        check_operation(index, [x], np.asarray(x[key]))
        check_nested(index.reach(0, [shape]), np.asarray(x[key]).shape, shape)


def check_nested(reach, shape, own):
    """Every larger region reaches what a smaller one does."""
    random = np.random.default_rng(0)
    for _ in range(20):
        outer, inner = [], []
        for n in shape:
            a, b, c, d = sorted(random.integers(0, n + 1, 4).tolist())
            outer.append(slice(a, d))
            inner.append(slice(b, c))
        held = [np.zeros(own, bool), np.zeros(own, bool)]
        for mask, region in zip(held, (outer, inner), strict=True):
            for part in reach.regions(tuple(region)):
                mask[part] = True
        assert not (held[1] & ~held[0]).any(), (outer, inner)


def test_scattered_positions_of_a_large_axis_lead_to_little():
    shape = (10**9,)
    at = np.random.default_rng(1).integers(0, 10**9, 500)
    regions = ix.point_index(at, shape).reach(0, [shape]).regions((slice(0, 500),))
    assert sum(extents(region)[0] for region in regions) < 500 * picking.GAP
    many = ix.point_index(np.arange(0, 10**9, 10**4), shape)
    assert len(many.reach(0, [shape]).regions((slice(0, 10**5),))) <= picking.MOST
    far = ix.basic_index(slice(None, None, 10**6), shape).reach(0, [shape])
    assert sum(extents(region)[0] for region in far.regions((slice(0, 1000),))) == 1000


def test_no_piece_is_larger_than_it_may_be(monkeypatch):
    small_pieces(monkeypatch)
    for key in (np.arange(400)[::-1], slice(None, None, 2)):
        index, x, pulled = ix.point_index(key, (400,)), numbers(400), []

        def pull(_, region, x=x, pulled=pulled):
            pulled.append(extents(region)[0])
            return x[region]

        args = Arguments((x.shape,), (x.dtype,), x.dtype, pull)
        np.testing.assert_array_equal(index.make(whole(x[key].shape), args, None), x[key])
        assert max(pulled) <= 8


OUTER = [
    ((6, 5), ([3, 1, 3], [4, -5]), "two arrays"),
    ((6, 5), ([3, 1], 2), "an int drops its axis"),
    ((6, 5), (slice(None, None, -2), [0, 0]), "slice, array"),
    ((6, 5), (numbers(6) % 2 == 0, numbers(5) > 2), "masks"),
    ((6, 5), (..., [1, 2]), "Ellipsis"),
    ((6, 5, 4), ([5, 5], [0], [1, 2, 3]), "three arrays"),
    ((6, 5, 4), ([5, 5], 0, [1, 2, 3]), "int between"),
    ((6, 5), ([], [1]), "nothing"),
    ((6, 1), ([0], [0, 0]), "extent 1"),
]


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize(("shape", "key", "remark"), OUTER)
def test_outer_keys(monkeypatch, shape, key, remark, far):
    if far:
        small_pieces(monkeypatch)
    x = expected = numbers(*shape)
    full = list(key)
    if full[0] is ...:
        full[:1] = [slice(None)] * (len(shape) - len(key) + 1)
    for axis in reversed(range(len(full))):
        own = np.array(full[axis], int) if isinstance(full[axis], list) else full[axis]
        expected = expected[(slice(None),) * axis + (own,)]
    check_operation(ix.outer_index(key, shape), [x], expected)


def test_outer_refuses():
    for key in (None, [[0, 1]], (0, 0, 0), [7]):
        with pytest.raises(IndexError):
            ix.outer_index(key, (3, 4))


VINDEX = [
    ((6, 5), ([0, 1], [2, 3]), "pointwise"),
    ((6, 5), (slice(None), [2, 3, 3]), "points come first"),
    ((6, 5, 4), (slice(None), [2, 3], [[0], [1]]), "of two axes"),
    ((6, 5, 4), ([2, 3], slice(None), 1), "int"),
    ((6, 5), (..., 1), "an int alone"),
]


@pytest.mark.parametrize(("shape", "key", "remark"), VINDEX)
def test_vindex_keys(shape, key, remark):
    x = numbers(*shape)
    full = list(key)
    if ... in full:
        full[full.index(...)] = slice(None)
    first = [axis for axis, part in enumerate(full) if part != slice(None)]
    rest = [axis for axis in range(len(shape)) if axis not in first]
    expected = np.asarray(x.transpose(first + rest)[tuple(full[axis] for axis in first)])
    check_operation(ix.vindex_key(key, shape), [x], expected)


def test_vindex_refuses():
    for key in ((slice(1), [0]), (None, [0]), (slice(None),), ([0], [4])):
        with pytest.raises(IndexError):
            ix.vindex_key(key, (3, 4))


ALONG = [
    ((4, 5), (4, 3), 1, "along the last"),
    ((4, 5), (2, 5), 0, "along the first"),
    ((4, 5), (1, 3), 1, "indices are broadcast"),
    ((1, 5), (4, 3), 1, "x is broadcast"),
    ((4, 5, 3), (4, 1, 3), 1, "one"),
    ((4, 5), (4, 0), 1, "none"),
]


@pytest.mark.parametrize(("shape", "at", "axis", "remark"), ALONG)
def test_take_along(shape, at, axis, remark):
    n = shape[axis]
    indices = (numbers(*at, dtype="i2") * 7) % (2 * n) - n
    x = numbers(*shape)
    expected = np.take_along_axis(x, indices.astype(int), axis)
    check_operation(TakeAlong(axis), [x, indices], expected)
    unsigned = (indices % n).astype("u8")
    expected = np.take_along_axis(x, unsigned.astype(int), axis)
    check_operation(TakeAlong(axis), [x, unsigned], expected)


def test_take_along_refuses():
    x = numbers(3, 2)
    with pytest.raises(IndexError, match="index 3 is out of bounds for axis 0 with size 3"):
        check_operation(TakeAlong(0), [x, np.full((1, 2), 3)], x[:1])
    with pytest.raises(ValueError, match="axes"):
        TakeAlong(0).shape([(3, 2), (3,)])
    with pytest.raises(ValueError, match="broadcast"):
        TakeAlong(0).shape([(3, 2), (3, 4)])


def offsets_of(mask, runs):
    counts = [
        sum(np.count_nonzero(mask[box]) for box in runs.boxes(k, k + 1)) for k in range(runs.count)
    ]
    check_operation(sel.RunCounts(runs), [mask], np.array(counts, np.int64))
    return np.cumsum([0, *counts])


def check_mask(x, mask, axis, row_bytes):
    runs = sel.mask_runs(mask.shape, row_bytes)
    offsets = offsets_of(mask, runs)
    select = sel.Select(axis, runs, offsets)
    assert select == sel.Select(axis, runs, Indices(offsets.copy()))
    expected = x[(slice(None),) * axis + (mask,)]
    check_operation(select, [x, mask], expected)
    for k in (0, 1):
        own = (x, mask)[k].shape
        check_nested(select.reach(k, [x.shape, mask.shape]), expected.shape, own)
    for k, at in enumerate(np.nonzero(mask)):
        check_operation(sel.Nonzero(runs, offsets, k), [mask], at)


MASKS = [
    ((50,), (50,), 0, "one axis"),
    ((50, 3), (50,), 0, "x has an axis after"),
    ((3, 50), (50,), 1, "x has an axis before"),
    ((2, 6, 7, 3), (6, 7), 1, "axes on both sides"),
    ((4, 5, 6), (4, 5, 6), 0, "three axes"),
    ((0, 5), (0, 5), 0, "no elements"),
    ((5, 0), (5,), 0, "no elements beside the mask"),
    ((5, 0, 2), (5, 0), 0, "no elements in the last axis"),
    ((1, 1), (1, 1), 0, "extent 1"),
]


@pytest.mark.parametrize("size", [1, 1 << 17, 1 << 19, 1 << 20], ids=["all", "8", "2", "1"])
@pytest.mark.parametrize("kind", ["some", "all", "none", "one"])
@pytest.mark.parametrize(("shape", "own", "axis", "remark"), MASKS)
def test_masks(monkeypatch, shape, own, axis, remark, kind, size):
    monkeypatch.setattr(sel, "MOST", 4)
    mask = np.random.default_rng(2).random(own) < {"some": 0.4, "all": 2, "none": -1}.get(kind, -1)
    if kind == "one" and mask.size:
        mask.flat[mask.size // 2] = True
    check_mask(numbers(*shape), mask, axis, size)


def test_nonzero_of_numbers_and_counts():
    mask = np.array([[0, 2.5, np.nan], [0, 0, -1]])
    runs = sel.mask_runs(mask.shape, 1 << 19)
    offsets = offsets_of(mask, runs)
    for axis in (0, 1):
        check_operation(sel.Nonzero(runs, offsets, axis), [mask], np.nonzero(mask)[axis])


def test_runs_are_of_about_a_mebibyte_and_not_too_many():
    assert sel.mask_runs((10**6,), 8).step == 131072
    assert sel.mask_runs((10**4, 10**4), 8).count == -(-(10**4) // 13)
    assert sel.mask_runs((10, 10**6), 8).grid == (10, 8)
    assert sel.mask_runs((10**9,), 10**7).count <= 10**6
    assert sel.mask_runs((10**5, 10**5), 10**7).count <= 10**6
    assert sel.mask_runs((3, 0, 2), 8).count == 0


@few
@given(st.data())
def test_boxes_of_runs_follow_each_other(data):
    shape = data.draw(array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5))
    runs = sel.mask_runs(shape, data.draw(st.integers(1, 1 << 21)), 50)
    first = data.draw(st.integers(0, runs.count))
    stop = data.draw(st.integers(first, runs.count))
    flat = numbers(*shape)
    boxes = runs.boxes(first, stop)
    assert len(boxes) <= 2 * len(shape) - 1
    one_by_one = [flat[box].ravel() for k in range(first, stop) for box in runs.boxes(k, k + 1)]
    found = [flat[box].ravel() for box in boxes]
    assert len(one_by_one) == stop - first
    joined = np.concatenate([*one_by_one, []])
    np.testing.assert_array_equal(np.concatenate([*found, []]), joined)
    assert (np.diff(joined) == 1).all()


def test_a_mask_that_changed_is_refused():
    mask = np.array([True, False, True])
    select = sel.Select(0, sel.mask_runs((3,), 1), [0, 3])
    with pytest.raises(InputChangedError, match="changed"):
        check_operation(select, [numbers(3), mask], numbers(3))
    with pytest.raises(ValueError, match="mask of shape"):
        select.shape([(4,), (4,)])


ASSIGN = [
    ((6, 5), (), (6, 5), "all"),
    ((6, 5), 2, (5,), "a row"),
    ((6, 5), (2, -1), (), "one element"),
    ((6, 5), slice(1, 3), (), "a scalar"),
    ((6, 5), slice(1, 3), (1, 1, 2, 5), "more axes, of extent 1"),
    ((6, 5), (slice(None, None, -1), slice(4, 0, -2)), (6, 2), "backwards"),
    ((6, 5), (slice(None, None, -2), slice(None, None, 3)), (1, 2), "broadcast"),
    ((6, 5), (None, ..., None, 0, None), (6, 1, 1), "new axes"),
    ((6, 5), (slice(3, 3),), (0, 5), "nothing"),
    ((0, 5), (), (), "no elements"),
    ((), (), (), "no axes"),
    ((), None, (1,), "a new axis of no axes"),
    ((1, 4), (slice(None, None, -1), slice(-3, None)), (3,), "extent 1"),
]


@pytest.mark.parametrize("dtype", ["i4", "f8"])
@pytest.mark.parametrize(("shape", "key", "value", "remark"), ASSIGN)
def test_assign(shape, key, value, remark, dtype):
    x = expected = numbers(*shape)
    expected = x.copy()
    given = (-1.5 - numbers(*value)).astype(dtype)
    expected[key] = given
    check_operation(assigning.Assign(ix.basic_index(key, shape)), [x, given], expected)


@few
@given(st.data())
def test_any_assignment(data):
    shape = data.draw(array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6))
    key = data.draw(basic_indices(shape, allow_newaxis=True))
    x = numbers(*shape)
    own = np.asarray(x[key]).shape
    own = tuple(1 if data.draw(st.booleans()) else n for n in own)
    given = -1 - numbers(*own[data.draw(st.integers(0, len(own))) :])
    expected = x.copy()
    expected[key] = given
    check_operation(assigning.Assign(ix.basic_index(key, shape)), [x, given], expected)


def test_what_is_covered_is_not_asked_for():
    kept = assigning.Assign(ix.basic_index(slice(2, 4), (9,))).reach(0, [(9,), ()])
    assert kept.regions((slice(2, 4),)) == []
    assert kept.regions((slice(1, 4),)) == [(slice(1, 4),)]


def test_values_that_do_not_fit_are_refused():
    for value in ((3,), (2, 5), (5, 1, 1)):
        with pytest.raises(ValueError, match="could not broadcast"):
            assigning.Assign(ix.basic_index(slice(3), (6, 4))).shape([(6, 4), value])
    with pytest.raises(ValueError, match="could not broadcast"):
        assigning.assign_outer(0, [1, 2], (6, 4)).shape([(6, 4), (3, 4)])


PLACES = [
    ((20, 3), 0, [5, -1, 5, 0, 5], (5, 3), "the last of duplicates wins"),
    ((20, 3), 0, [5, 6, 7], (), "a scalar"),
    ((20, 3), 0, [5, 6, 7], (3,), "a row: broadcast along the axis"),
    ((20, 3), 0, [5, 6, 7], (3, 1), "broadcast beside the axis"),
    ((3, 20), 1, [19, 0, 7, 0], (1, 1, 3, 4), "second axis; more axes"),
    ((3, 20), 1, [19, 0, 7, 0], (4,), "second axis, one row"),
    ((3, 20), 1, [], (3, 0), "nothing"),
    ((4, 2), 0, [True, False, True, False], (2, 2), "a mask"),
    ((60,), 0, list(range(0, 60, 2))[::-1] * 2, (60,), "many"),
]


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize(("shape", "axis", "at", "value", "remark"), PLACES)
def test_assign_outer(monkeypatch, shape, axis, at, value, remark, far):
    if far:
        small_pieces(monkeypatch)
    x = numbers(*shape)
    given = -1.5 - numbers(*value)
    expected = x.copy()
    expected[(slice(None),) * axis + (np.array(at, bool if at[:1] == [True] else int),)] = given
    operation = assigning.assign_outer(axis, at, shape)
    check_operation(operation, [x, given], expected)
    check_nested(operation.reach(1, [x.shape, given.shape]), shape, given.shape)
