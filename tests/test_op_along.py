"""Operations along axes, through tables, and products: every region of each, against NumPy."""

from __future__ import annotations

import functools
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opcheck import check_operation as check_regions

from oocarray.operations import along, products
from oocarray.operations.along import Argpartition, Argsort, Cumulative, Partition, Sort
from oocarray.operations.base import Arguments, Operation, whole
from oocarray.operations.folding import Apply1d, Median, Quantile
from oocarray.operations.products import Matmul, Outer, Tensordot, Vecdot
from oocarray.operations.tables import (
    Digitize,
    Gradient,
    Interp,
    Isin,
    Searchsorted,
    unique_all,
)

Array = np.ndarray[Any, Any]

DTYPES = ["?", "i1", "u4", "i8", "f2", "f4", "f8", "c8", "c16"]
# Of those that differ; the others are of the same kind.
FEW = ["?", "i1", "f4", "c16"]


@pytest.fixture(autouse=True, params=[16 << 20, 200], ids=["whole", "pieces"])
def _piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything once in one piece, and once in pieces of 200 bytes and panels of 3."""
    monkeypatch.setattr(along, "_PIECE_BYTES", request.param)
    monkeypatch.setattr(products, "_PANEL_BYTES", request.param)
    if request.param == 200:
        monkeypatch.setattr(products, "_DEPTH", 3)


def check_operation(operation: Operation, arrays: list[Array], expected: Array) -> None:
    """As of `opcheck`, which makes no regions of nothing, nor of arguments without axes."""
    if expected.size and all(array.ndim for array in arrays):
        check_regions(operation, arrays, expected)
        return
    shapes = tuple(array.shape for array in arrays)
    dtypes = tuple(array.dtype for array in arrays)
    assert operation.shape(shapes) == expected.shape
    assert operation.dtype(dtypes) == expected.dtype
    for k in range(len(arrays)):
        reach = operation.reach(k, shapes)
        assert reach is None or len(reach.regions(whole(expected.shape))) == 1
    if expected.size:
        args = Arguments(
            shapes, dtypes, expected.dtype, lambda k, region: np.asarray(arrays[k][region])
        )
        np.testing.assert_array_equal(operation.make(whole(expected.shape), args, None), expected)


def ints(shape: Any, dtype: Any = "f8", seed: int = 0) -> Array:
    """Small integers: sums of their products are exact in any order, ties are many."""
    random = np.random.default_rng(seed)
    found = random.integers(0 if np.dtype(dtype).kind in "bu" else -4, 5, shape)
    if np.dtype(dtype).kind == "c":
        return (found + 1j * random.integers(-4, 5, shape)).astype(dtype)
    return found.astype(dtype)


def holed(shape: Any, dtype: Any = "f8", seed: int = 0) -> Array:
    found = ints(shape, dtype, seed)
    found[np.random.default_rng(seed + 1).random(shape) < 0.2] = np.nan
    return found


MATMUL = [
    ((5,), (5,), "a scalar"),
    ((1,), (1,), "of one term"),
    ((0,), (0,), "of no term: 0"),
    ((4, 5), (5,), "a matrix and a vector"),
    ((5,), (5, 4), "a vector and a matrix"),
    ((4, 7), (7, 6), "matrices"),
    ((1, 7), (7, 1), "a row and a column"),
    ((4, 0), (0, 3), "no terms: zeros"),
    ((0, 4), (4, 3), "no rows"),
    ((3, 4, 5), (5, 2), "a stack and one"),
    ((2, 1, 4, 5), (3, 5, 2), "stacks that are broadcast"),
    ((3, 1, 5), (3, 5, 1), "a stack of scalars"),
    ((3, 4, 5), (5,), "a stack and a vector"),
    ((5,), (2, 5, 3), "a vector and a stack"),
    ((1, 4, 5), (1, 5, 3), "a stack of one on both sides"),
    ((20, 33), (33, 20), "several tiles and panels"),
]


@pytest.mark.parametrize(("a", "b", "_remark"), MATMUL)
def test_matmul_of_shapes(a: Any, b: Any, _remark: str) -> None:
    x, y = ints(a), ints(b, seed=1)
    check_operation(Matmul(), [x, y], np.asarray(np.matmul(x, y)))


@pytest.mark.parametrize("second", FEW)
@pytest.mark.parametrize("first", DTYPES)
def test_products_of_dtypes(first: str, second: str) -> None:
    x, y = ints((3, 7), first), ints((7, 4), second, 1)
    check_operation(Matmul(), [x, y], np.matmul(x, y))
    check_operation(Tensordot((1,), (0,)), [x, y], np.tensordot(x, y, 1))
    check_operation(Vecdot(-1), [x, y.T[:3]], np.vecdot(x, y.T[:3]))
    check_operation(Outer(), [x[0], y[:, 0]], np.outer(x[0], y[:, 0]))


@pytest.mark.parametrize(
    ("a", "b", "remark"),
    [
        ((), (3,), "an argument without axes"),
        ((3,), (4,), "vectors of other lengths"),
        ((2, 3), (1, 4), "1 is not broadcast among terms"),
        ((2, 3, 4), (3, 4, 5), "stacks that do not fit"),
    ],
)
def test_matmul_refuses(a: Any, b: Any, remark: str) -> None:
    with pytest.raises(ValueError, match=r"matmul|broadcast"):
        Matmul().shape([a, b])


TENSORDOT = [
    ((3, 4, 5), (4, 3, 2), (1, 0), (0, 1), "two axes, in another order"),
    ((3, 4), (5,), (), (), "no axes: an outer product"),
    ((3, 4), (3, 4), (0, 1), (0, 1), "all axes: a scalar"),
    ((3, 0), (0, 4), (1,), (0,), "no terms"),
    ((3, 1, 2), (2, 1), (2, 1), (0, 1), "an axis of 1 is summed"),
    ((1, 1), (1, 6), (1,), (0,), "an axis of 1 stays"),
    ((9, 3, 5), (5, 11, 9), (2, 0), (0, 2), "several panels of two axes"),
]


@pytest.mark.parametrize(("a", "b", "axes_a", "axes_b", "_remark"), TENSORDOT)
def test_tensordot(a: Any, b: Any, axes_a: Any, axes_b: Any, _remark: str) -> None:
    x, y = ints(a), ints(b, seed=1)
    expected = np.asarray(np.tensordot(x, y, (axes_a, axes_b)))
    check_operation(Tensordot(axes_a, axes_b), [x, y], expected)


@pytest.mark.parametrize(
    ("a", "b", "axis", "_remark"),
    [
        ((5,), (5,), -1, "vectors"),
        ((2, 1, 5), (3, 5), -1, "broadcast"),
        ((3, 5, 2), (5, 1), -2, "from the end, of each its own"),
        ((5, 2), (5, 2), 0, "from the beginning"),
        ((3, 0), (3, 0), 1, "no terms"),
        ((0, 3), (0, 3), 1, "no result"),
        ((1, 1), (1, 1), 1, "ones"),
    ],
)
@pytest.mark.parametrize("dtype", ["f8", "c8"])
def test_vecdot(a: Any, b: Any, axis: int, _remark: str, dtype: str) -> None:
    x, y = ints(a, dtype), ints(b, dtype, 1)
    kwargs: Any = {"axis": axis}
    check_operation(Vecdot(axis), [x, y], np.asarray(np.vecdot(x, y, **kwargs)))


def test_products_refuse_what_does_not_fit() -> None:
    for operation, a, b in [
        (Tensordot((0,), (0, 1)), (3,), (3, 3)),
        (Tensordot((0,), (0,)), (3,), (4,)),
        (Tensordot((0, 0), (0, 1)), (3,), (3, 3)),
        (Tensordot((2,), (0,)), (3,), (3,)),
        (Vecdot(-1), (3,), (1,)),
        (Vecdot(-2), (3,), (3,)),
        (Outer(), (3, 1), (3,)),
    ]:
        with pytest.raises(ValueError, match=r"tensordot|vecdot|outer|axis"):
            operation.shape([a, b])


def test_sums_in_half_precision_are_no_worse_in_panels() -> None:
    x = np.full((2, 50), 0.1, "f2")
    check_operation(Matmul(), [x, x.T.copy()], np.matmul(x, x.T))


def test_products_are_cut_as_their_arguments() -> None:
    shapes = [(8, 6), (6, 4)]
    assert Matmul().chunks([((4, 4), (3, 3)), ((6,), (1, 3))], shapes) == ((4, 4), (1, 3))
    assert Matmul().chunks([None, ((6,), (1, 3))], shapes) == ((8,), (1, 3))
    assert Outer().chunks([((2, 1),), None], [(3,), (2,)]) == ((2, 1), (2,))


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_matmul(data: Any) -> None:
    extent = st.integers(1, 6)
    m, k, n = (data.draw(extent) for _ in range(3))
    stack = data.draw(st.lists(extent, max_size=2))
    stacks = [
        [data.draw(st.sampled_from([1, size])) for size in stack[data.draw(st.integers(0, 2)) :]]
        for _ in range(2)
    ]
    x = ints((*stacks[0], m, k), data.draw(st.sampled_from(DTYPES)))
    y = ints((*stacks[1], k, n), data.draw(st.sampled_from(DTYPES)), 1)
    check_operation(Matmul(), [x, y], np.matmul(x, y))


SHAPES = [
    ((7,), 0, "a line"),
    ((1,), -1, "one element"),
    ((0,), 0, "no element"),
    ((5, 4), 0, "down"),
    ((5, 4), -1, "across, counted from the end"),
    ((3, 0, 2), 0, "lines, but none"),
    ((3, 0, 2), 1, "lines of nothing"),
    ((3, 4, 1), 1, "the middle"),
]


def ordered(array: Array, axis: int, descending: bool) -> tuple[Array, Array]:
    """What the Array API asks for, with NaN first where descending."""
    if not descending:
        return np.sort(array, axis), np.argsort(array, axis, kind="stable")
    turned = np.argsort(np.flip(array, axis), axis, kind="stable")
    return np.flip(np.sort(array, axis), axis), array.shape[axis] - 1 - np.flip(turned, axis)


@pytest.mark.parametrize(("shape", "axis", "_remark"), SHAPES)
@pytest.mark.parametrize("descending", [False, True])
def test_order(shape: Any, axis: int, _remark: str, descending: bool) -> None:
    for array in (holed(shape), ints(shape, "u4"), ints(shape, "c8"), ints(shape, "S3")):
        values, places = ordered(array, axis, descending)
        check_operation(Sort(axis, True, descending), [array], values)
        check_operation(Argsort(axis, True, descending), [array], places)
    check_operation(Sort(axis, False, descending), [array], values)
    if not descending:
        unstable = np.argsort(array, axis)
        check_operation(Argsort(axis, False), [array], unstable)


def test_equals_keep_their_order_when_descending() -> None:
    array = np.array([1.0, 3, 1, 3, np.nan])
    check_operation(Argsort(0, True, True), [array], np.array([4, 1, 3, 0, 2]))


@pytest.mark.parametrize(("kth", "axis"), [(2, 0), ((0, 3), -1), (-1, 1)])
def test_partition(kth: Any, axis: int) -> None:
    array = holed((6, 5))
    check_operation(Partition(kth, axis), [array], np.partition(array, kth, axis))
    check_operation(Argpartition(kth, axis), [array], np.argpartition(array, kth, axis))


def test_operations_that_keep_their_result() -> None:
    for operation in (Sort(-1), Argsort(-1), Cumulative("add", -1), Partition(0, -1)):
        assert operation.apart
        assert not operation.divisible
        assert operation.uncut([(3, 4)]) == {1}
        assert operation.chunks([((1, 2), (4,))], [(3, 4)]) == ((1, 2), (4,))
        with pytest.raises(ValueError, match="out of bounds"):
            operation.shape([()])


CUMULATIVE = [
    ("add", None, "small integers are summed as int64"),
    ("add", "f4", "as asked"),
    ("add", "i1", "that wraps"),
    ("multiply", None, "products"),
    ("maximum", None, "no identity"),
    ("minimum", None, "keeps the dtype"),
    ("logaddexp", None, "of floats only, but for integers too"),
    ("logical_or", None, "another dtype"),
]


@pytest.mark.parametrize(("ufunc", "dtype", "_remark"), CUMULATIVE)
@pytest.mark.parametrize("first", ["?", "i1", "f2", "f8"])
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow", "ignore:divide")
def test_cumulative(ufunc: str, dtype: Any, _remark: str, first: str) -> None:
    function = getattr(np, ufunc)
    kept = None if dtype is None else np.dtype(dtype)
    for shape, axis, _ in SHAPES:
        array = np.random.default_rng(3).normal(size=shape).astype(first)
        with np.errstate(all="ignore"):
            expected = function.accumulate(array, axis, dtype=kept)
        check_operation(Cumulative(ufunc, axis, kept), [array], expected)
        if function.identity is None:
            with pytest.raises(ValueError, match="include_initial"):
                Cumulative(ufunc, axis, kept, True).shape([shape])
        else:
            edge = [(1 if k == axis % len(shape) else n) for k, n in enumerate(shape)]
            one = np.full(edge, function.identity, expected.dtype)
            more = np.concatenate([one, expected], axis)
            check_operation(Cumulative(ufunc, axis, kept, True), [array], more)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cumulative_dtypes_are_of_cumsum(dtype: str) -> None:
    array = ints((6,), dtype)
    check_operation(Cumulative("add", 0), [array], np.cumsum(array))
    check_operation(Cumulative("multiply", 0), [array], np.cumprod(array))


AXES = [
    ((7,), None, "all of a line: a scalar"),
    ((5, 4), None, "all"),
    ((5, 4), 0, "down"),
    ((5, 4, 3), (0, 2), "two"),
    ((5, 4, 3), (-1, 1), "in another order"),
    ((1, 4), 0, "of one"),
    ((3, 0), 0, "none are asked for"),
    ((2, 3, 4), (), "no axes: the elements"),
]


@pytest.mark.parametrize(("shape", "axis", "_remark"), AXES)
@pytest.mark.parametrize("keepdims", [False, True])
def test_quantiles(shape: Any, axis: Any, _remark: str, keepdims: bool) -> None:
    for name in ("quantile", "percentile", "nanquantile", "nanpercentile"):
        for q in (0.3, 1, (0.0, 0.5, 0.71), ((0.5,), (1.0,)), ()):
            for array in (holed(shape), ints(shape, "i2"), ints(shape, "f4")):
                if not array.size and name.startswith("nan"):
                    continue  # NumPy then makes the mean, of another shape and dtype.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    kwargs: Any = {"axis": axis, "keepdims": keepdims}
                    expected = np.asarray(getattr(np, name)(array, q, **kwargs))
                    if np.ndim(q) > 1:
                        # NumPy's nan functions would put its axes in wrong places.
                        expected = getattr(np, name)(array, np.ravel(q), **kwargs)
                        expected = expected.reshape(np.shape(q) + expected.shape[1:])
                    operation = Quantile(q, axis, keepdims=keepdims, name=name)
                    check_operation(operation, [array], expected)


@pytest.mark.parametrize(("shape", "axis", "_remark"), AXES)
@pytest.mark.parametrize("keepdims", [False, True])
def test_medians(shape: Any, axis: Any, _remark: str, keepdims: bool) -> None:
    for name in ("median", "nanmedian"):
        for array in (holed(shape), ints(shape, "i2"), ints(shape, "f4"), ints(shape, "f2")):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kwargs: Any = {"axis": axis, "keepdims": keepdims}
                expected = np.asarray(getattr(np, name)(array, **kwargs))
                check_operation(Median(axis, keepdims, name), [array], expected)


@pytest.mark.parametrize("method", ["linear", "lower", "nearest", "inverted_cdf", "hazen"])
def test_methods_of_quantiles(method: Any) -> None:
    for array in (ints((6, 5)), ints((6, 5), "u1")):
        expected = np.quantile(array, [0.25, 0.6], axis=0, method=method)
        check_operation(Quantile((0.25, 0.6), 0, method), [array], expected)


def test_a_quantile_of_a_whole_number_is_another() -> None:
    assert Quantile(1) != Quantile(1.0)
    assert Quantile(((0.1,), (0.2,)), 0).shape([(3, 4)]) == (2, 1, 4)


def test_reductions_are_cut_as_their_argument() -> None:
    given: Any = [((2, 1), (4,), (1, 4))]
    assert Median(1).chunks(given, [(3, 4, 5)]) == ((2, 1), (1, 4))
    assert Median(1, True).chunks(given, [(3, 4, 5)]) == ((2, 1), (1,), (1, 4))
    assert Quantile((0.1, 0.2), 0).chunks(given, [(3, 4, 5)]) == ((2,), (4,), (1, 4))
    assert Median(1).uncut([(3, 4, 5)]) == frozenset()
    with pytest.raises(ValueError, match="repeated"):
        Median((0, 0)).shape([(3, 4)])


def spread_of(line: Array) -> Array:
    return np.array([[line.min(), line.max(), line.sum()]] * 2)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_functions_of_lines(axis: int) -> None:
    array = ints((4, 3, 5))
    for function, shape in ((np.sum, ()), (spread_of, (2, 3)), (np.cumsum, (array.shape[axis],))):
        expected = np.apply_along_axis(function, axis, array)
        operation = Apply1d(function, axis, shape, np.dtype("f8"))
        check_operation(operation, [array], expected)
        again = pickle.loads(pickle.dumps(operation))
        assert again == operation
    assert Apply1d(spread_of, 1, (2, 3), np.dtype("f8")).uncut([(4, 3, 5)]) == {1, 2}


def test_functions_of_lines_are_cast() -> None:
    array = ints((4, 3))
    expected = np.apply_along_axis(np.sum, 0, array).astype("i4")
    check_operation(Apply1d(np.sum, 0, (), np.dtype("i4")), [array], expected)
    halves = functools.partial(np.quantile, q=0.5)
    check_operation(Apply1d(halves, 0, (), np.dtype("f8")), [array], np.median(array, 0))


GRADIENT = [
    ((7,), 0, 1.0, "a line"),
    ((3,), 0, 2.0, "as few as there may be"),
    ((6, 4), 0, 0.3, "down"),
    ((6, 4), -1, 0.7, "across"),
    ((4, 0), 0, 1.0, "no lines"),
    ((3, 5, 1), 1, 3, "the middle, an integer apart"),
]


@pytest.mark.parametrize(("shape", "axis", "spacing", "_remark"), GRADIENT)
@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize("dtype", ["i2", "f4", "f8", "c16"])
def test_gradient(
    shape: Any, axis: int, spacing: Any, _remark: str, edge_order: Any, dtype: str
) -> None:
    array = np.cumsum(holed(shape, "f8") if dtype == "f8" else ints(shape, dtype), 0).astype(dtype)
    expected: Any = np.gradient(array, spacing, axis=axis, edge_order=edge_order)
    check_operation(Gradient(axis, spacing, edge_order), [array], expected)


@pytest.mark.parametrize(
    ("at", "_remark"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7, 8.0], "even: treated as a spacing"),
        ([0, 0.1, 0.3, 0.4, 1, 1.7, 2, 3, 7], "uneven everywhere"),
        ([0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 7], "even but at the end"),
        ([-9, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1], "even but at the beginning"),
        ([0, 1, 2, 3, 5, 6, 7, 8, 9], "integers, even on both sides"),
    ],
)
@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient_at_coordinates(at: Any, _remark: str, edge_order: Any) -> None:
    array = np.random.default_rng(0).normal(size=(9, 3))
    for values, axis in ((array, 0), (array.T.copy(), 1), (array.astype("f4"), 0)):
        coordinates = np.array(at)
        expected: Any = np.gradient(values, coordinates, axis=axis, edge_order=edge_order)
        check_operation(Gradient(axis, 1.0, edge_order), [values, coordinates], expected)


def test_gradient_refuses() -> None:
    with pytest.raises(ValueError, match="needs 3 elements along axis 1, which has 2"):
        Gradient(1, edge_order=2).shape([(5, 2)])
    with pytest.raises(ValueError, match="needs 5 coordinates"):
        Gradient(0).shape([(5, 2), (4,)])


@pytest.mark.parametrize("shape", [(), (1,), (0,), (7,), (3, 4)])
@pytest.mark.parametrize("dtype", ["i2", "f4", "f8"])
def test_tables(shape: Any, dtype: str) -> None:
    array, table = ints(shape, dtype), np.array([-3, -1, -1, 0, 2.5, 3])
    for side in ("left", "right"):
        found: Any = np.searchsorted(table, array, side)
        check_operation(Searchsorted(side), [table, array], np.asarray(found))
    for right in (False, True):
        found = np.asarray(np.digitize(array, table, right))
        check_operation(Digitize(right), [array, table], found)
        falling = table[::-1].copy()
        found = np.asarray(np.digitize(array, falling, right))
        check_operation(Digitize(right), [array, falling], found)
    for invert in (False, True):
        for tests in (table, table.reshape(2, 3).astype("i1"), np.array(2.0), table[:0]):
            found = np.asarray(np.isin(array, tests, invert=invert))
            check_operation(Isin(invert=invert), [array, tests], found)


@pytest.mark.parametrize(
    ("kwargs", "_remark"),
    [
        ({}, "ends are continued"),
        ({"left": np.nan, "right": 9}, "ends are given, one is not equal to itself"),
        ({"period": 2.5}, "round and round"),
    ],
)
@pytest.mark.parametrize("dtype", ["i2", "f4", "c8"])
def test_interp(kwargs: Any, _remark: str, dtype: str) -> None:
    x, xp, fp = ints((3, 4)) / 3, np.array([-1, 0, 0.5, 1]), ints((4,), dtype)
    expected = np.interp(x, xp, fp, **kwargs)
    check_operation(Interp(**kwargs), [x, xp, fp], expected)
    assert pickle.loads(pickle.dumps(Interp(**kwargs))) == Interp(**kwargs)
    check_operation(Interp(**kwargs), [x[0, 0], xp, fp], np.asarray(expected[0, 0]))


def test_tables_refuse() -> None:
    for operation, shapes in [
        (Searchsorted(), [(3, 3), (4,)]),
        (Digitize(), [(3,), ()]),
        (Interp(), [(3,), (4,), (5,)]),
        (Interp(), [(3,), (4, 1), (4, 1)]),
    ]:
        with pytest.raises(ValueError, match=r"tables of 1 axis|differ"):
            operation.shape(shapes)


def test_unique_all() -> None:
    array = np.array([[3, np.nan, 1], [np.nan, 3, 3]])
    values, indices, inverse, counts = unique_all(array)
    np.testing.assert_array_equal(values, [1, 3, np.nan, np.nan])
    np.testing.assert_array_equal(array.ravel()[indices], values)
    np.testing.assert_array_equal(values[inverse], array)
    assert counts.tolist() == [1, 3, 1, 1]
    assert [len(part) for part in unique_all(np.zeros((0, 2)))] == [0, 0, 0, 0]
    assert unique_all(np.array(5))[2].shape == ()


@pytest.mark.parametrize("descending", [False, True])
def test_long_lines_are_sorted_where_the_result_is_wanted(descending: bool) -> None:
    for shape, axis in (((101,), 0), ((40, 3), 0), ((3, 40), 1)):
        array = holed(shape)
        out = np.empty(shape)
        args = Arguments(
            (shape,), (array.dtype,), array.dtype, lambda _, region, array=array: array[region]
        )
        found = Sort(axis, True, descending).make(whole(shape), args, out)
        assert found is out
        np.testing.assert_array_equal(out, ordered(array, axis, descending)[0])


def _unary(draw: Any, ndim: int) -> tuple[Operation, Any]:
    axis = draw(st.integers(-ndim, ndim - 1))
    return draw(
        st.sampled_from(
            [
                (Sort(axis), lambda x: np.sort(x, axis)),
                (Argsort(axis), lambda x: np.argsort(x, axis, kind="stable")),
                (Cumulative("add", axis), lambda x: np.cumsum(x, axis)),
                (Cumulative("maximum", axis), lambda x: np.maximum.accumulate(x, axis)),
                (Median(axis), lambda x: np.median(x, axis)),
                (Median(axis, True), lambda x: np.median(x, axis, keepdims=True)),
                (Quantile((0.2,), axis), lambda x: np.quantile(x, [0.2], axis)),
                (
                    Apply1d(spread_of, axis, (2, 3), np.dtype("f8")),
                    lambda x: np.apply_along_axis(spread_of, axis, x),
                ),
            ]
        )
    )


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_operation_along_an_axis(data: Any) -> None:
    shape = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    operation, expected = _unary(data.draw, len(shape))
    array = data.draw(st.sampled_from([holed, ints]))(shape, "f8", data.draw(st.integers(0, 9)))
    check_operation(operation, [array], np.asarray(expected(array)))
