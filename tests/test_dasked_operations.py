"""Holds every operation, rebuilt with dask.array, against NumPy; runs nothing on other backends."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import oocarray as oo
import oocarray.operations as package
from oocarray.backends.dasked.translate import _operations, to_dask
from oocarray.lazy.expr import MemoryNode, OpNode
from oocarray.operations import along, assigning, banding, creating, selecting
from oocarray.operations.base import Operation
from oocarray.operations.indexing import basic_index
from oocarray.plan import Options

pytest.importorskip("dask.array")

SERIAL = Options(scheduler="serial", progress=False)
rng = np.random.default_rng(7)
A = rng.normal(size=(13, 8))
B = rng.normal(size=(13, 8))
V = rng.normal(size=24)
J = rng.integers(-9, 9, (13, 8))
T = rng.integers(0, 9, (4, 5, 6)).astype("i2")
N = np.where(rng.random((13, 8)) < 0.2, np.nan, A)


def lazy(array: Any, chunks: Any = None) -> oo.Array:
    if chunks is None:
        chunks = tuple(max(n // 2, 1) for n in array.shape)
    return oo.from_array(array, chunks=chunks)


def computed(x: oo.Array) -> Any:
    import dask

    with dask.config.set(scheduler="synchronous"):
        return np.asarray(to_dask(x.node, SERIAL).compute())


def check(x: oo.Array, expected: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = computed(x)
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    assert found.dtype == x.dtype == expected.dtype
    if expected.dtype.kind in "fc":
        wide = (
            1e-3 if expected.dtype.itemsize <= 2 else 1e-9 if expected.dtype.itemsize > 4 else 1e-5
        )
        np.testing.assert_allclose(found, expected, rtol=wide, atol=wide)
    else:
        np.testing.assert_array_equal(found, expected)


def same(function: Callable[..., Any], *arrays: Any, given: Any = None) -> Callable[[], None]:
    """The same call on lazy arrays and on NumPy's; `given` in place of the first."""

    def test() -> None:
        check(function(oo, *map(lazy, arrays)), function(np, *arrays))

    return test


def node_of(operation: Operation, *arrays: Any) -> oo.Array:
    nodes = tuple(lazy(array).node for array in arrays)
    return oo.Array(OpNode(operation, nodes))


CASES: dict[str, Callable[[], None]] = {
    "add": same(lambda m, a, b: a + b, A, B),
    "broadcast": same(lambda m, a, b: a * b[0] + a[:, :1], A, B),
    "weak": same(lambda m, a: a + 1, T),
    "weak float": same(lambda m, a: a * 1.5, T),
    "numpy scalar": same(lambda m, a: a + np.float32(2), T),
    "divmod": same(lambda m, a: a // 4 + a % 4, J),
    "sqrt": same(lambda m, a: m.sqrt(m.abs(a)), A),
    "where": same(lambda m, a, b: m.where(a > 0, a, b), A, B),
    "clip": same(lambda m, a: m.clip(a, -0.5, 0.5), A),
    "round": same(lambda m, a: m.round(a, 1), A),
    "isnan": same(lambda m, a: m.isnan(a), N),
    "astype": same(lambda m, a: a.astype("f4"), A),
    "complex": same(lambda m, a, b: (a + 1j * b).real, A, B),
    "compare": same(lambda m, a, b: (a < b) & (b != 0), A, B),
    "big-endian": same(lambda m, a: a + 1, A.astype(">f8")),
    "ufunc dtype": same(lambda m, a: m.add(a, 1, dtype="f8"), J),
    "transpose": same(lambda m, a: a.transpose(2, 0, 1), T),
    "expand": same(lambda m, a: m.expand_dims(a, (0, 2)), A),
    "squeeze": same(lambda m, a: m.squeeze(a[:, :1]), A),
    "reshape": same(lambda m, a: a.reshape(6, 20), T),
    "ravel": same(lambda m, a: a.ravel(), T),
    "broadcast_to": same(lambda m, a: m.broadcast_to(a[:, :1], (3, 13, 8)), A),
    "concatenate": same(lambda m, a, b: m.concatenate([a, b], axis=1), A, J),
    "stack": same(lambda m, a, b: m.stack([a, b], axis=1), A, J),
    "flip": same(lambda m, a: m.flip(a, 0), A),
    "roll": same(lambda m, a: m.roll(a, 3, 0), A),
    "roll all": same(lambda m, a: m.roll(a, 3), A),
    "tile": same(lambda m, a: m.tile(a, (2, 1, 3)), A),
    "pad": same(lambda m, a: m.pad(a, ((1, 2), (0, 3)), constant_values=4), A),
    "pad edge": same(lambda m, a: m.pad(a, 2, mode="edge"), A),
    "pad reflect": same(lambda m, a: m.pad(a, 2, mode="reflect"), A),
    "pad symmetric": same(lambda m, a: m.pad(a, 2, mode="symmetric"), A),
    "pad wrap": same(lambda m, a: m.pad(a, 2, mode="wrap"), A),
    "repeat": same(lambda m, a: m.repeat(a, 3, axis=1), A),
    "repeat each": same(lambda m, a: m.repeat(a, [1, 0, 2, 3, 1, 0, 0, 2], axis=1), A),
    "tril": same(lambda m, a: m.tril(a, -1), A),
    "triu": same(lambda m, a: m.triu(a, 2), A),
    "diagonal": same(lambda m, a: m.diagonal(a, 1), A),
    "diag": same(lambda m, a: m.diag(a, 1), V),
    "diff": same(lambda m, a: m.diff(a, 2, axis=0), A),
    "sort": same(lambda m, a: m.sort(a, axis=0), A),
    "argsort": same(lambda m, a: m.argsort(a, axis=1), A),
    "cumsum": same(lambda m, a: m.cumsum(a, axis=0), T),
    "cumsum flat": same(lambda m, a: m.cumsum(a), A),
    "cumprod": same(lambda m, a: m.cumprod(a, axis=1), A),
    "cumulative_sum": same(lambda m, a: m.cumulative_sum(a, axis=0, include_initial=True), A),
    "quantile": same(lambda m, a: m.quantile(a, [0.25, 0.5], axis=0), A),
    "quantile all": same(lambda m, a: m.quantile(a, 0.3), A),
    "quantile keepdims": same(lambda m, a: m.quantile(a, 0.3, axis=(0, 1), keepdims=True), A),
    "percentile": same(lambda m, a: m.percentile(a, [10, 90], axis=1), A),
    "nanquantile": same(lambda m, a: m.nanquantile(a, [0.1, 0.9], axis=0), N),
    "median": same(lambda m, a: m.median(a, axis=0), A),
    "median all": same(lambda m, a: m.median(a), A),
    "nanmedian": same(lambda m, a: m.nanmedian(a, axis=1), N),
    "apply_along_axis": same(lambda m, a: m.apply_along_axis(_ends, 0, a), A),
    "matmul": same(lambda m, a, b: a @ b.T, A, B),
    "matmul vector": same(lambda m, a, b: a @ b[0], A, B),
    "matmul ints": same(lambda m, a: a @ a.swapaxes(1, 2), T),
    "tensordot": same(lambda m, a, b: m.tensordot(a, b, axes=([0, 1], [0, 1])), A, B),
    "vecdot": same(lambda m, a, b: m.vecdot(a, b, axis=0), A, B),
    "outer": same(lambda m, a: m.outer(a, a), V),
    "take_along_axis": same(
        lambda m, a, i: m.take_along_axis(a, i, axis=1), A, np.argsort(B, axis=1)
    ),
    "gradient": same(lambda m, a: m.gradient(a, 0.5, axis=0), A),
    "gradient edge": same(lambda m, a: m.gradient(a, axis=1, edge_order=2), A),
    "gradient uneven": same(lambda m, a: m.gradient(a, np.cumsum(np.arange(1.0, 14)), axis=0), A),
    "searchsorted": same(lambda m, t, v: m.searchsorted(t, v, side="right"), np.sort(V), A),
    "digitize": same(lambda m, a: m.digitize(a, np.linspace(-1, 1, 5)), A),
    "isin": same(lambda m, a: m.isin(a, [1, 3]), J),
    "interp": same(lambda m, a: m.interp(a, np.linspace(-1, 1, 5), np.arange(5.0)), A),
    "slices": same(lambda m, a: a[::-2, 1:7:3], A),
    "ints": same(lambda m, a: a[2, :, -1], T),
    "new axes": same(lambda m, a: a[None, 2, :, None, ::-1], T),
    "empty": same(lambda m, a: a[3:3], A),
    "positions": same(lambda m, a: a[[5, 1, 1, -1]], A),
    "positions 2d": same(lambda m, a: a[:, np.array([[5, 1], [0, -1]])], A),
    "points": same(lambda m, a: a[[1, 0, 3], :, [5, 5, 0]], T),
    "points together": same(lambda m, a: a[:, [1, 0, 3], [5, 5, 0]], T),
    "mask known": same(lambda m, a: a[:, np.arange(8) % 2 == 0], A),
    "mask": same(lambda m, a: a[a > 0], A),
    "mask rows": same(lambda m, a: a[a[:, 0] > 0], A),
    "mask pairs": same(lambda m, a: a[a[:, :, 0] > 4], T),
    "masked sum": same(lambda m, a: a[a > 0].sum(), A),
    "masked join": same(lambda m, a: m.cumsum(a[a > 0]), A),
    "lazy positions": same(lambda m, a, i: a[i], A, np.array([3, 1, 1])),
    "lazy positions 2d": same(lambda m, a, i: a[i], A, np.array([[3, 1], [1, -1]])),
    "nonzero": same(lambda m, a: m.nonzero(a > 0)[1], A),
}


def _ends(line: Any) -> Any:
    return np.array([line[0], line[-1]])


REDUCTIONS = {
    **{
        f"{name} {axis}": same(lambda m, a, n=name, k=axis: getattr(m, n)(a, axis=k), A)
        for name in ("sum", "prod", "mean", "var", "std", "min", "max")
        for axis in (None, 0, (0, 1))
    },
    **{
        f"{name} int": same(lambda m, a, n=name: getattr(m, n)(a, axis=1, keepdims=True), T)
        for name in ("sum", "prod", "mean", "var", "min", "max", "any", "all")
    },
    **{
        name: same(lambda m, a, n=name: getattr(m, n)(a, axis=0), N)
        for name in (
            *("nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmin", "nanmax"),
            *("nanargmin", "nanargmax"),
        )
    },
    **{
        f"{name} {axis}": same(lambda m, a, n=name, k=axis: getattr(m, n)(a, axis=k), A)
        for name in ("argmin", "argmax")
        for axis in (None, 0, 1)
    },
    "std ddof": same(lambda m, a: m.std(a, ddof=1), A),
    "sum dtype": same(lambda m, a: m.sum(a, dtype="f4"), T),
    "mean half": same(lambda m, a: m.mean(a, axis=0), A.astype("f2")),
    "sum complex": same(lambda m, a: m.sum(a * 1j), A),
    "count_nonzero": same(lambda m, a: m.count_nonzero(a > 0, axis=0), A),
    "nanmax int": same(lambda m, a: m.nanmax(a), T),
    "histogram": same(lambda m, a: m.histogram(a, bins=7, range=(-2, 2))[0], A),
    "histogram edges": same(lambda m, a: m.histogram(a, bins=[-1, 0, 3])[0], J),
    "mean of expression": same(lambda m, a, b: (a - b.mean(axis=0)).std(axis=1), A, B),
}


@pytest.mark.parametrize("case", CASES)
def test_operation(case: str) -> None:
    CASES[case]()


@pytest.mark.parametrize("case", REDUCTIONS)
def test_reduction(case: str) -> None:
    REDUCTIONS[case]()


def test_operations_that_no_function_of_numpy_is() -> None:
    x = lazy(A)
    check(node_of(along.Sort(0, True, True), A), np.sort(A, axis=0)[::-1])
    check(node_of(along.Argsort(1, True, True), A), np.argsort(-A, axis=1, stable=True))
    found = computed(node_of(along.Partition(3, 0), A))
    np.testing.assert_array_equal(found[3], np.sort(A, axis=0)[3])
    found = computed(node_of(along.Argpartition(3, 1), A))
    np.testing.assert_array_equal(np.take_along_axis(A, found, 1)[:, 3], np.sort(A, axis=1)[:, 3])
    check(node_of(along.Cumulative("maximum", 0), A), np.maximum.accumulate(A, 0))
    check(node_of(along.Cumulative("minimum", 1), T), np.minimum.accumulate(T, 1))
    window = np.lib.stride_tricks.sliding_window_view(A, (3, 2), axis=(0, 1))
    check(node_of(banding.Sliding((3, 2), (0, 1)), A), window)
    key: Any = (slice(3, 0, -1), 2)
    expected = A.copy()
    expected[key] = [7, 8, 9]
    check(node_of(assigning.Assign(basic_index(key, A.shape)), A, np.array([7, 8, 9])), expected)
    expected = A.copy()
    expected[None, 2:5] = 1
    index = basic_index((None, slice(2, 5)), A.shape)
    check(node_of(assigning.Assign(index), A, np.ones((1, 1, 8))), expected)
    outer = assigning.assign_outer(1, [2, 0, 2], A.shape)
    expected = A.copy()
    expected[:, [2, 0, 2]] = B[:, :3]
    check(node_of(outer, A, B[:, :3]), expected)
    runs = selecting.mask_runs(A.shape, 8)
    offsets = np.array([0, (A > 0).sum()])
    mask = A > 0
    check(node_of(selecting.Select(0, runs, offsets), A, mask), A[mask])
    check(node_of(selecting.Nonzero(runs, offsets, 0), mask), np.nonzero(mask)[0])
    with pytest.raises(NotImplementedError, match="backend='dask' cannot do count_nonzero"):
        to_dask(node_of(selecting.RunCounts(runs), mask).node, SERIAL)
    check(x.oindex[[3, 1, 1], [True, False] * 4], A[[3, 1, 1]][:, [True, False] * 4])
    check(x.vindex[:, [3, 1]], A[:, [3, 1]].T)


MADE = {
    "full": (creating.Full((5, 7), 3, "i2"), np.full((5, 7), 3, "i2")),
    "arange": (creating.Arange(3, 40, 4), np.arange(3, 40, 4)),
    "arange float": (creating.Arange(0, 1, 0.1), np.arange(0, 1, 0.1)),
    "arange time": (
        creating.Arange(np.datetime64("2020-01-01"), np.datetime64("2020-02-01"), 3),
        np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-02-01"), 3),
    ),
    "linspace": (creating.Linspace(0, 1, 17), np.linspace(0, 1, 17)),
    "linspace int": (creating.Linspace(0, 9, 7, True, "i4"), np.linspace(0, 9, 7, dtype="i4")),
    "eye": (creating.Eye(9, 11, 2, "f4"), np.eye(9, 11, 2, "f4")),
    "indices": (creating.Indices((4, 5), 1), np.indices((4, 5))[1]),
    "fromfunction": (
        creating.FromFunction(np.hypot, (4, 5)),
        np.fromfunction(np.hypot, (4, 5)),
    ),
}


@pytest.mark.parametrize("case", MADE)
@pytest.mark.parametrize("chunk_bytes", [64, None])
def test_made_of_nothing(case: str, chunk_bytes: int | None) -> None:
    operation, expected = MADE[case]
    found = to_dask(OpNode(operation, ()), SERIAL, chunk_bytes).compute()
    assert found.dtype == expected.dtype
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    else:
        np.testing.assert_array_equal(found, expected)


def test_scalar_functions() -> None:
    @oo.elementwise
    def ratio(x, y):
        return x / (y * y + 1)

    check(ratio(lazy(A), lazy(B[0])), A / (B[0] ** 2 + 1))

    @oo.elementwise(compile=False, dtype="f8")
    def plain(x):
        return x + 1

    check(plain(lazy(A)), A + 1)


def test_every_operation_has_a_rule() -> None:
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    leaves = [one for one in _below(Operation) if not one.__subclasses__()]
    ours = [one for one in leaves if one.__module__.startswith("oocarray.operations.")]
    missing = [one.__name__ for one in ours if one not in _operations()]
    assert missing == []


def _below(kind: type) -> list[type]:
    return [one for child in kind.__subclasses__() for one in (child, *_below(child))]


def test_the_same_node_is_one_array_and_deep_ones_need_no_stack() -> None:
    x = lazy(np.arange(6.0))
    y = x
    for _ in range(1500):
        y = y + 1
    made = to_dask(y.node, SERIAL)
    assert made.npartitions == 2
    z = x + 1
    both = to_dask((z * z).node, SERIAL)
    assert len([layer for layer in both.dask.layers if layer.startswith("add")]) == 1


def test_a_node_without_a_rule_is_refused() -> None:
    class Strange(MemoryNode):
        pass

    with pytest.raises(NotImplementedError, match=r"backend='dask' cannot do array: .*'mapped'"):
        to_dask(Strange(np.arange(3)), SERIAL)
