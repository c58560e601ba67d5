"""Sorting, sets, searching, cumulating and statistics of the namespace, against NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray.namespace import cumulative, searching, sorting, statistics

Array = np.ndarray[Any, Any]
AxisError = np.exceptions.AxisError


@pytest.fixture(autouse=True)
def _serial() -> Iterator[None]:
    with oo.options(scheduler="serial", progress=False):
        yield


def varied(*shape: int, dtype: Any = "f8", nan: bool = False) -> Array:
    """Numbers out of order, some of them several times."""
    values = (np.arange(int(np.prod(shape))) * 7919 % 23 - 7).reshape(shape)
    values = abs(values) if np.dtype(dtype).kind in "bu" else values
    found = values.astype(dtype) if np.dtype(dtype).kind != "b" else values % 2 == 1
    if nan:
        found.ravel()[::7] = np.nan
    return found


def forms(array: Array) -> dict[str, Any]:
    """The same array in memory, with set chunks, and as an expression."""
    chunks = tuple(max(1, (size + 1) // 2) for size in array.shape)
    cut = oo.from_array(array, chunks=chunks)
    found = {"memory": oo.from_array(array), "chunks": cut}
    found["expression"] = cut ^ False if array.dtype == bool else cut + 0
    return found


def check(mine: Callable[..., Any], theirs: Callable[..., Any], *arrays: Array) -> None:
    """Compare values, shapes and dtypes for every form of the arguments; of tuples each part."""
    expected = theirs(*arrays)
    every = [forms(array) for array in arrays]
    for form in every[0]:
        lazy = mine(*(one[form] for one in every))
        parts = lazy if isinstance(lazy, tuple) else (lazy,)
        wanted = expected if isinstance(expected, tuple) else (expected,)
        assert len(parts) == len(wanted)
        for part, own in zip(parts, wanted, strict=True):
            assert isinstance(part, oo.Array)
            found = np.asarray(part.compute())
            assert part.dtype == found.dtype == np.asarray(own).dtype, form
            np.testing.assert_array_equal(found, own, form, strict=True)


def same(name: str, module: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """Our function and NumPy's of the same name, with the same further arguments."""
    mine, theirs = getattr(module, name), getattr(np, name)
    return (lambda *x: mine(*x, *args, **kwargs)), (lambda *x: theirs(*x, *args, **kwargs))


# ---- sorting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["?", "i1", "u4", "f4", "f8", "c16"])
@pytest.mark.parametrize("axis", [-1, 0, None])
def test_sort(axis: Any, dtype: str) -> None:
    array = varied(5, 7, dtype=dtype)
    check(*same("sort", sorting, axis=axis), array)
    check(*same("argsort", sorting, axis=axis, kind="stable"), array)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (1,), (2, 3, 4)])
def test_sort_shapes(shape: Any) -> None:
    check(*same("sort", sorting), varied(*shape))
    check(*same("argsort", sorting, axis=0, kind="stable"), varied(*shape))


def test_sort_nan_and_descending() -> None:
    array = varied(4, 6, nan=True)
    check(*same("sort", sorting), array)
    check(lambda x: sorting.sort(x, descending=True), lambda x: np.sort(x)[:, ::-1], array)
    plain = varied(4, 6)
    check(
        lambda x: sorting.argsort(x, descending=True, axis=0),
        lambda x: np.argsort(-x, axis=0, kind="stable"),
        plain,
    )
    check(lambda x: sorting.sort(x, stable=False), np.sort, plain)


@pytest.mark.parametrize("k", [1, 3, -3, 99])
@pytest.mark.parametrize("axis", [-1, 0])
def test_topk(axis: int, k: int) -> None:
    array = varied(5, 6)

    def theirs(x: Array) -> Array:
        found = np.sort(x, axis=axis) if k < 0 else np.flip(np.sort(x, axis=axis), axis)
        return np.take(found, np.arange(min(abs(k), x.shape[axis])), axis)

    check(lambda x: sorting.topk(x, k, axis), theirs, array)
    check(
        lambda x: sorting.topk(x, k, axis),
        lambda x: np.take_along_axis(x, sorting.argtopk(x, k, axis).compute(), axis),
        array,
    )
    order = np.argsort(-array if k > 0 else array, axis=axis, kind="stable")
    check(
        lambda x: sorting.argtopk(x, k, axis),
        lambda x: np.take(order, np.arange(min(abs(k), x.shape[axis])), axis),
        array,
    )


def test_topk_of_nan_and_none() -> None:
    array = np.array([3.0, np.nan, 5, 1])
    check(lambda x: sorting.topk(x, 2), lambda x: np.array([np.nan, 5]), array)
    check(lambda x: sorting.topk(x, -2), lambda x: np.array([1.0, 3]), array)
    check(lambda x: sorting.topk(x, 0), lambda x: x[:0], array)
    check(lambda x: sorting.argtopk(x, 3), lambda x: np.empty((2, 0), int), varied(2, 0))


@pytest.mark.parametrize("kth", [0, -1, (1, 3)])
def test_partition(kth: Any) -> None:
    array = varied(3, 6)
    for form in forms(array).values():
        at = [one % 6 for one in np.atleast_1d(kth)]
        expected = np.sort(array)[:, at]
        np.testing.assert_array_equal(sorting.partition(form, kth).compute()[:, at], expected)
        where = sorting.argpartition(form, kth).compute()
        np.testing.assert_array_equal(np.take_along_axis(array, where, 1)[:, at], expected)


# ---- sets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("array", [varied(9), varied(5, 7, dtype="i2"), varied(0), varied(6) > 0])
def test_unique(array: Array) -> None:
    check(*same("unique", sorting), array)
    check(*same("unique", sorting, return_counts=True), array)
    check(*same("unique", sorting, return_index=True, return_inverse=True), array)
    for name in ("unique_all", "unique_counts", "unique_inverse"):
        mine, theirs = same(name, sorting)
        check(mine, theirs, np.asarray(array))
    # NumPy leaves these in any order.
    check(sorting.unique_values, lambda x: np.sort(np.unique_values(x)), array)
    assert sorting.unique_counts(array)._fields == ("values", "counts")


def test_unique_nan_and_rows() -> None:
    array = varied(3, 7, nan=True)
    check(*same("unique", sorting), array)
    check(*same("unique", sorting, return_counts=True, equal_nan=False), array)
    check(lambda x: tuple(sorting.unique_counts(x)), lambda x: tuple(np.unique_counts(x)), array)
    check(*same("unique", sorting, axis=0), np.array([[1, 2], [0, 1], [1, 2]]))
    check(*same("unique", sorting), np.array(3.0))


def test_sets() -> None:
    one, other = varied(4, 5), varied(9) + 2
    for name in ("isin", "union1d", "intersect1d", "setdiff1d", "setxor1d"):
        check(*same(name, sorting), one, other)
    check(*same("isin", sorting, invert=True), one, other)
    check(sorting.in1d, lambda x, y: np.isin(x.ravel(), y), one, other)
    check(*same("intersect1d", sorting, return_indices=True), one, other)
    check(lambda x: sorting.isin(x, 3), lambda x: np.isin(x, 3), one)
    assert sorting.isin(3, [1, 3]).compute()


# ---- searching ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["?", "i1", "f8", "c16"])
@pytest.mark.parametrize("shape", [(7,), (4, 5), (2, 3, 4), (0, 3)])
def test_nonzero(shape: Any, dtype: str) -> None:
    array = varied(*shape, dtype=dtype)
    expected = np.nonzero(array)
    for form in forms(array).values():
        for found, own in zip(searching.nonzero(form), expected, strict=True):
            np.testing.assert_array_equal(found.compute(), own)
        np.testing.assert_array_equal(searching.argwhere(form).compute(), np.argwhere(array))
        np.testing.assert_array_equal(searching.flatnonzero(form).compute(), np.flatnonzero(array))
    assert searching.argwhere(array).ndim == 2


def test_nonzero_of_no_axes_and_nan() -> None:
    with pytest.raises(ValueError, match="0d"):
        searching.nonzero(oo.from_array(1.0))
    assert searching.argwhere(1.0).shape == (1, 0)
    assert searching.flatnonzero(1.0).compute().tolist() == [0]
    array = varied(8, nan=True)
    np.testing.assert_array_equal(searching.flatnonzero(array).compute(), np.flatnonzero(array))


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side: str) -> None:
    table, values = np.unique(varied(9)), varied(4, 5)
    check(*same("searchsorted", searching, side=side), table, values)
    order = np.argsort(-table)
    shuffled = table[order]
    for sorter in (np.argsort(shuffled), oo.from_array(shuffled + 0)):
        given = sorting.argsort(sorter) if isinstance(sorter, oo.Array) else sorter
        found = searching.searchsorted(shuffled, values, side, sorter=given)
        np.testing.assert_array_equal(found.compute(), np.searchsorted(table, values, side))
    assert searching.searchsorted(table, 2.0).compute() == np.searchsorted(table, 2.0)


@pytest.mark.parametrize("right", [False, True])
def test_digitize(right: bool) -> None:
    for bins in ([0, 3, 9], [9, 3, 0], [0, 0, 1]):
        check(
            lambda x, b: searching.digitize(x, b, right),
            lambda x, b: np.digitize(x, b, right),
            varied(4, 5, nan=True),
            np.array(bins, float),
        )


@pytest.mark.parametrize("minlength", [0, 3, 40])
def test_bincount(minlength: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_RUN", 4)
    array = varied(30, dtype="u1")
    check(*same("bincount", searching, minlength=minlength), array)
    check(*same("bincount", searching, minlength=minlength), array, np.linspace(0, 1, 30))
    check(*same("bincount", searching, minlength=minlength), np.empty(0, int))
    with pytest.raises(ValueError, match="negative"):
        searching.bincount([1, -1])
    with pytest.raises(ValueError, match="negative"):
        searching.bincount([1, -1], [1, 1])


# ---- cumulating ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "nancumsum", "nancumprod"])
@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("dtype", ["?", "i1", "f4", "f8", "c8"])
def test_cumulating(dtype: str, axis: Any, name: str) -> None:
    array = varied(3, 4, dtype=dtype)
    check(*same(name, cumulative, axis=axis), array)
    if dtype == "i1":
        check(*same(name, cumulative, axis=axis, dtype="f4"), array)


@pytest.mark.parametrize("name", ["cumsum", "nancumsum", "nancumprod"])
def test_cumulating_nan_and_shapes(name: str) -> None:
    check(*same(name, cumulative), varied(4, 6, nan=True))
    for array in (varied(0), varied(0, 3), np.array(3.0)):
        check(*same(name, cumulative), array)
    check(*same(name, cumulative, axis=1), varied(2, 0, 3))
    check(*same(name, cumulative, axis=0), np.array(3.0))


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("initial", [False, True])
def test_cumulating_with_the_identity(initial: bool, name: str) -> None:
    check(*same(name, cumulative, axis=-2, include_initial=initial), varied(3, 4, dtype="i2"))
    check(*same(name, cumulative, include_initial=initial), varied(5))
    with pytest.raises(ValueError, match="axis"):
        getattr(cumulative, name)(varied(3, 4))


@pytest.mark.parametrize(
    "ufunc", [np.add, np.multiply, np.maximum, np.minimum, np.logical_and, np.logical_or]
)
def test_accumulate(ufunc: Any) -> None:
    for array in (varied(4, 5), varied(4, 5, dtype="i1"), varied(4, 5, nan=True)):
        check(lambda x: cumulative.accumulate(ufunc, x), ufunc.accumulate, array)
        check(lambda x: ufunc.accumulate(x, axis=1), lambda x: ufunc.accumulate(x, axis=1), array)


# ---- statistics ---------------------------------------------------------------------------------


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
def test_quantiles(axis: Any, keepdims: bool) -> None:
    array = varied(3, 4, 5)
    more = {"axis": axis, "keepdims": keepdims}
    for given in (array, array.astype("f4"), varied(3, 4, 5, dtype="i2")):
        check(*same("median", statistics, **more), given)
        check(*same("quantile", statistics, 0.3, **more), given)
    check(*same("quantile", statistics, [[0.25, 1], [0, 0.5]], **more), array)
    check(*same("percentile", statistics, 30, method="lower", **more), array)
    holes = varied(3, 4, 5, nan=True)
    for name in ("median", "nanmedian"):
        check(*same(name, statistics, **more), holes)
    check(*same("nanquantile", statistics, [0.2, 0.7], **more), holes)
    check(*same("nanpercentile", statistics, 70, **more), holes)
    check(*same("ptp", statistics, **more), array)


def test_quantiles_of_lazy_q() -> None:
    found = statistics.quantile(varied(9), oo.from_array([0.0, 1.0]))
    assert found.compute().tolist() == [varied(9).min(), varied(9).max()]


def test_average() -> None:
    array, weights = varied(3, 4), np.arange(1.0, 5)
    for axis in (None, 0, 1, (0, 1)):
        mine, theirs = same("average", statistics, axis=axis)
        for form in forms(array).values():
            np.testing.assert_allclose(mine(form).compute(), theirs(array), rtol=1e-15)
    for given, axis in ((weights, 1), (weights[:3], 0), (array + 9, None), (array + 9, 0)):
        for values in (array, array.astype("i4")):
            more: Any = {"axis": axis, "weights": given, "returned": True}
            expected = np.average(values, **more)
            for form in forms(values).values():
                found = statistics.average(form, **more)
                for part, own in zip(found, expected, strict=True):
                    np.testing.assert_allclose(part.compute(), own, rtol=1e-14)
                    assert part.dtype == np.asarray(own).dtype
                    assert part.shape == np.shape(own)
    both = np.arange(1.0, 13).reshape(4, 3)
    np.testing.assert_allclose(
        statistics.average(array, (1, 0), both).compute(), np.average(array, (1, 0), both)
    )
    found = statistics.average(array, 0, returned=True)
    assert found[1].compute().tolist() == [3.0] * 4


@pytest.mark.parametrize("dtype", ["i4", "f8", "c16"])
def test_covariances(dtype: str) -> None:
    array = varied(3, 6, dtype=dtype) if dtype != "c16" else varied(3, 6) * (1 + 2j) + varied(6)
    cases: list[Any] = [{}, {"rowvar": False}, {"y": array[::-1]}]
    for more in cases:
        for form in forms(array).values():
            for name in ("cov", "corrcoef"):
                found = getattr(statistics, name)(form, **more).compute()
                expected = getattr(np, name)(array, **more)
                np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
                assert found.dtype == expected.dtype
    np.testing.assert_allclose(statistics.cov(array, bias=True).compute(), np.cov(array, bias=True))
    np.testing.assert_allclose(statistics.cov(array, ddof=2).compute(), np.cov(array, ddof=2))
    np.testing.assert_allclose(statistics.cov(array[0]).compute(), np.cov(array[0]))
    np.testing.assert_allclose(statistics.corrcoef(array[0]).compute(), 1)
    with pytest.warns(RuntimeWarning, match="Degrees of freedom"):
        statistics.cov(array[:, :1])


def test_gradient() -> None:
    array = varied(4, 5)
    at = np.array([0, 1, 3, 4.5, 6])
    cases: list[Any] = [((), {}), ((2.0,), {}), ((2.0, at), {}), ((at,), {"axis": 1})]
    cases += [((), {"axis": -1, "edge_order": 2}), ((0.5, 2), {"axis": (1, 0)})]
    for args, more in cases:
        check(*same("gradient", statistics, *args, **more), array)
    check(*same("gradient", statistics), np.arange(5))
    check(
        lambda x, a: statistics.gradient(x, a, axis=1),
        lambda x, a: np.gradient(x, a, axis=1),
        array,
        at,
    )


def test_interp() -> None:
    xp, fp = np.array([0.0, 1, 4]), np.array([3.0, 5, 9])
    check(*same("interp", statistics), varied(4, 5, nan=True), xp, fp)
    check(*same("interp", statistics, left=-1, right=np.nan), varied(4, 5), xp, fp)
    check(*same("interp", statistics, period=5.0), varied(4, 5), xp, fp)
    assert statistics.interp(0.5, xp, fp).compute() == 4.0


def test_apply_along_axis() -> None:
    array = varied(3, 4, 2)
    for axis in (0, 1, -1):
        for function in (np.sum, np.diff, lambda line: np.outer(line, line)):
            check(
                lambda x, f=function, k=axis: statistics.apply_along_axis(f, k, x),
                lambda x, f=function, k=axis: np.apply_along_axis(f, k, x),
                array,
            )
    found = statistics.apply_along_axis(np.percentile, 0, array, 50, dtype="f8", shape=())
    np.testing.assert_array_equal(found.compute(), np.median(array, 0))
    found = statistics.apply_along_axis(np.sort, 1, array, kind="stable", dtype="f8", shape=4)
    np.testing.assert_array_equal(found.compute(), np.sort(array, 1))


def test_apply_over_axes() -> None:
    array = varied(3, 4, 2)
    check(
        lambda x: statistics.apply_over_axes(oo.sum, x, [0, -1]),
        lambda x: np.apply_over_axes(np.sum, x, [0, -1]),
        array,
    )
    with pytest.raises(ValueError, match="correct shape"):
        statistics.apply_over_axes(lambda x, axis: x.sum(), array, 0)


def test_comparing() -> None:
    array, holes = varied(4, 5), varied(4, 5, nan=True)
    for form in forms(array).values():
        assert statistics.array_equal(form, array)
        assert not statistics.array_equal(form, array + 1)
        assert not statistics.array_equal(form, array[:3])
        assert statistics.array_equiv(form, array[None])
        assert not statistics.array_equiv(form, array[:3])
    assert not statistics.array_equal(holes, holes)
    assert statistics.array_equal(holes, holes, equal_nan=True)
    assert statistics.array_equal(varied(0), varied(0))
    pytest.importorskip("oocarray.namespace.elementwise")
    for form in forms(array).values():
        assert statistics.allclose(form, array + 1e-9)
        assert not statistics.allclose(form, array + 1e-3)
    assert not statistics.allclose(holes, holes)
    assert statistics.allclose(holes, holes, equal_nan=True)


# ---- refusals and schedulers --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: sorting.sort(x, 2), AxisError),
        (lambda x: sorting.sort(1.0), AxisError),
        (lambda x: sorting.sort(x, kind="odd"), ValueError),
        (lambda x: sorting.sort(x, order="a"), NotImplementedError),
        (lambda x: sorting.argsort(x, -3), AxisError),
        (lambda x: sorting.topk(x, 2, 2), AxisError),
        (lambda x: sorting.partition(x, 5), ValueError),
        (lambda x: sorting.partition(x, 1.5), TypeError),
        (lambda x: searching.searchsorted(x, 1), ValueError),
        (lambda x: searching.searchsorted([1, 2], 1, "middle"), ValueError),
        (lambda x: searching.searchsorted([1, 2], 1, sorter=[0]), ValueError),
        (lambda x: searching.digitize(x, [1, 0, 3]), ValueError),
        (lambda x: searching.digitize([1j], [0, 1]), TypeError),
        (lambda x: searching.bincount(x), ValueError),
        (lambda x: searching.bincount([0.5]), TypeError),
        (lambda x: searching.bincount([1], minlength=-1), ValueError),
        (lambda x: searching.bincount([1, 2], [1]), ValueError),
        (lambda x: cumulative.cumsum(x, 2), AxisError),
        (lambda x: cumulative.cumsum(1.0, 1), AxisError),
        (lambda x: cumulative.accumulate(np.subtract, x), TypeError),
        (lambda x: cumulative.accumulate(np.add, 1.0), TypeError),
        (lambda x: cumulative.accumulate(np.add, x, None), ValueError),
        (lambda x: statistics.median(x, 2), AxisError),
        (lambda x: statistics.median(x, (0, 0)), ValueError),
        (lambda x: statistics.quantile(x, 1.5), ValueError),
        (lambda x: statistics.percentile(x, [-1, 5]), ValueError),
        (lambda x: statistics.quantile(x, 0.5, method="odd"), ValueError),
        (lambda x: statistics.quantile(x + 1j, 0.5), TypeError),
        (lambda x: statistics.ptp(x > 0), TypeError),
        (lambda x: statistics.average(x, weights=[1, 2]), TypeError),
        (lambda x: statistics.average(x, 0, [1, 2]), ValueError),
        (lambda x: statistics.cov(np.ones((2, 2, 2))), ValueError),
        (lambda x: statistics.cov(x, ddof=0.5), ValueError),
        (lambda x: statistics.gradient(x, 1, 2, 3), TypeError),
        (lambda x: statistics.gradient(x, [1, 2], axis=0), ValueError),
        (lambda x: statistics.gradient([1]), ValueError),
        (lambda x: statistics.gradient(x, edge_order=3), ValueError),
        (lambda x: statistics.interp(x, [0, 1], [1, 2, 3]), ValueError),
        (lambda x: statistics.interp(x, [], []), ValueError),
        (lambda x: statistics.interp(x, [0], [1], period=0), ValueError),
        (lambda x: statistics.apply_along_axis(np.sum, 2, x), AxisError),
    ],
)
def test_refused_when_built(call: Callable[[Any], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        call(oo.from_array(varied(4, 5), chunks=(2, 5)))


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_schedulers(scheduler: str) -> None:
    array = varied(40, 30)
    x = oo.from_array(array, chunks=(16, 16)) + 1
    with oo.options(scheduler=scheduler, workers=2, progress=False):
        np.testing.assert_array_equal(sorting.sort(x, 0).compute(), np.sort(array + 1, 0))
        np.testing.assert_array_equal(cumulative.cumsum(x, 0).compute(), np.cumsum(array + 1, 0))
        found = searching.nonzero(x > 3)[1].compute()
        np.testing.assert_array_equal(found, np.nonzero(array + 1 > 3)[1])
        np.testing.assert_array_equal(statistics.median(x).compute(), np.median(array + 1))
        assert statistics.array_equal(x, array + 1)


def test_extents_that_are_not_counted_yet() -> None:
    array = varied(9, nan=True)

    def kept() -> oo.Array:
        return oo.from_array(array, chunks=4)[oo.from_array(array, chunks=4) > 0]

    expected = array[array > 0]
    assert np.isnan(sorting.sort(kept()).shape[0])
    found = sorting.sort(kept(), None).compute()
    np.testing.assert_array_equal(found, np.sort(expected))
    np.testing.assert_array_equal(cumulative.cumsum(kept()).compute(), np.cumsum(expected))
    np.testing.assert_array_equal(sorting.unique(kept()).compute(), np.unique(expected))
    assert statistics.median(kept()).compute() == np.median(expected)
    assert len(searching.argwhere(kept()).compute()) == len(expected)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        sorting.topk(kept(), 2)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        statistics.array_equal(kept(), expected)


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    x = oo.from_array(np.array([1.0, np.nan]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lazy = statistics.nanmedian(x * np.nan)
    with pytest.warns(RuntimeWarning, match="All-NaN"):
        lazy.compute()
