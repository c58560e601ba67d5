"""Reductions over leaves: NumPy judges what they mean, `math.fsum` and longdouble how exact."""

import functools
import itertools
import math
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oocarray.grid import Grid
from oocarray.jit import compile_kernel, load
from oocarray.leaves import NAMES, UserReduction, make_reduction
from oocarray.leaves.tree import PartialTree

REAL = ["?", "i1", "u1", "i2", "u4", "i8", "u8", "f2", "f4", "f8"]
COMPILED = {"sum", "moments", "min", "argmin", "scaled", "histogram"}
EXACT = {"min", "max", "argmin", "argmax", "any", "all", "count_nonzero", "histogram"}


@functools.cache
def entry_of(function, types):
    return load(compile_kernel(function, types))


def entry(reduction, compiled=None):
    """The compiled kernel, or None for the interpreter: compiling each takes a second."""
    if compiled is None:
        compiled = reduction.dtype == "f8" and reduction.kind in COMPILED and not reduction.cast
    made = reduction.kernel() if compiled else None
    return None if made is None else entry_of(*made)


def cut(shape, sizes):
    return tuple(
        tuple(min(size, n - start) for start in range(0, n, max(size, 1))) or (0,)
        for n, size in zip(shape, sizes, strict=True)
    )


def run(name, x, sizes=None, compiled=None, **options):
    """Reduce x over leaves of the given extents, one block for everything."""
    r = make_reduction(name, x.shape, x.dtype, **options)
    chunks = cut(x.shape, sizes or x.shape)
    grid = Grid(chunks)
    tree = PartialTree(r, grid)
    parts = r.leaves(entry(r, compiled), x, chunks, (0,) * x.ndim)
    assert parts.dtype == r.partial_dtype
    tree.set(tuple(range(n) for n in grid.numblocks), parts)
    result = r.finish(tree.result())
    assert isinstance(result, np.ndarray)
    assert result.dtype == r.out_dtype
    return result


def sample(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.9
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    x = rng.normal(size=shape)
    if dtype.kind == "c":
        x = x + 1j * rng.normal(size=shape)
    return x.astype(dtype)


def numpy_says(name, x, order="C", **options):
    if name == "histogram":
        return np.histogram(x, options["bins"], options["range"])[0]
    if "dtype_arg" in options:
        options["dtype"] = options.pop("dtype_arg")
    base = name.removeprefix("nan")
    if x.dtype.kind in "f" and base in ("sum", "mean", "prod", "var", "std"):
        out = options.get("dtype") or x.dtype
        wide = dict(options, dtype="f8") if np.dtype(out).kind == "f" else options
        return np.asarray(getattr(np, name)(x, **wide)).astype(out)
    return np.asarray(getattr(np, name)(x, **options))


def check(name, x, sizes=None, compiled=None, **options):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        got = run(name, x, sizes, compiled, **options)
        expected = numpy_says(name, x, **options)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    if name.removeprefix("nan") in EXACT or got.dtype.kind in "biu":
        np.testing.assert_array_equal(got, expected)
    else:
        tolerance = {"e": 2e-3, "f": 1e-5, "F": 1e-5}.get(got.dtype.char, 1e-11)
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def options_of(name):
    return {"bins": 7, "range": (-1, 2)} if name == "histogram" else {}


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("dtype", REAL)
def test_names_and_dtypes_are_numpys(name, dtype):
    x = sample(dtype, (5, 7, 4))
    if name == "histogram":
        if dtype == "?":
            x = x.view("u1")
        check(name, x, (2, 3, 4), bins=7, range=(-1, 2))
        return
    for axis in (None, 0, 2):
        check(name, x, (2, 3, 4), axis=axis, keepdims=axis == 2)


@pytest.mark.parametrize("name", sorted(NAMES - {"histogram"}))
@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex(name, dtype):
    x = sample(dtype, (5, 7, 4))
    check(name, x, (2, 3, 4))
    x[1, 2, 3] = complex(np.nan, 1)
    x[3, 1:4] = complex(1, np.nan)
    for axis in (None, 0, 1):
        check(name, x, (2, 3, 3), axis=axis)


AXES = [None, 0, 1, 2, -1, (0, 1), (0, 2), (1, 2), (2, 0), (0, 1, 2), ()]


@pytest.mark.parametrize("shape", [(5, 7, 4), (1, 9, 1), (3, 1, 200), (300, 2, 3), (2, 70, 65)])
@pytest.mark.parametrize("name", ["sum", "min", "var", "nanmean"])
def test_every_choice_of_axes(name, shape):
    x = sample("f8", shape)
    sizes = tuple(max(1, n // 2) for n in shape)
    for axis in AXES:
        check(name, x, sizes, axis=axis)
        check(name, x, sizes, axis=axis, keepdims=True, order="F")


@pytest.mark.parametrize("name", ["argmin", "argmax", "nanargmin", "nanargmax"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_ties_go_to_the_lowest_index(name, order):
    x = np.random.default_rng(1).integers(0, 3, (6, 40, 7)).astype("f4")
    for axis in (None, 0, 1, 2):
        check(name, x, (4, 7, 3), axis=axis, order=order)
        check(name, np.zeros_like(x), (4, 7, 3), axis=axis, order=order)
    x[2, 5, 3] = x[4, 1, 0] = np.nan
    for axis in (None, 0, 1, 2):
        check(name, x, (4, 7, 3), axis=axis, order=order)
    check(name, np.full((3, 400), np.inf), (2, 100), axis=1)


@pytest.mark.parametrize("name", sorted(NAMES - {"histogram", "nanargmin", "nanargmax"}))
@pytest.mark.parametrize("values", [[np.nan], [np.inf], [-np.inf, 1], [np.inf, -np.inf], [-0.0]])
def test_nan_and_inf(name, values):
    x = sample("f8", (4, 300))
    x[0, :] = values[0]
    x[1, 7 : 7 + len(values)] = values
    x[2, 299] = values[-1]
    for axis in (None, 0, 1):
        check(name, x, (2, 70), axis=axis)


def test_strided_reversed_big_endian_and_unaligned_blocks():
    base = sample("f8", (12, 20, 9))
    raw = np.empty(base.nbytes + 1, "u1")[1:].view("f8").reshape(base.shape)
    raw[...] = base
    record = np.zeros(base.shape, [("a", "i1"), ("v", "f8")])
    record["v"] = base
    views = {
        "strided": (base[::2, ::3, 1:], base[::2, ::3, 1:]),
        "reversed": (base[:, ::-1], base[:, ::-1]),
        "transposed": (base.T, base.T),
        "fortran": (np.asfortranarray(base), base),
        "big-endian": (base.astype(">f8"), base),
        "unaligned": (raw, base),
        "field": (record["v"], base),
    }
    for view, plain in views.values():
        view.flags.writeable = False
        for name in ("sum", "var", "max", "argmin"):
            for axis in (None, 0, 1, 2):
                r = make_reduction(name, plain.shape, view.dtype, axis=axis)
                chunks = cut(plain.shape, (3, 4, 5))
                got = r.leaves(entry(r), view, chunks, (0, 0, 0))
                same = r.leaves(entry(r), np.array(plain, order="C"), chunks, (0, 0, 0))
                assert got.tobytes() == same.tobytes()
            check(name, plain, (3, 4, 5), axis=1)


@pytest.mark.parametrize("dtype", [">i2", ">u8", ">f4", ">c16", "?"])
def test_byte_order_of_any_dtype(dtype):
    x = sample(np.dtype(dtype).newbyteorder("="), (9, 10)).astype(dtype)
    for name in ("sum", "max", "mean"):
        got, expected = (
            run(name, x, (4, 10)),
            run(name, x.astype(x.dtype.newbyteorder("=")), (4, 10)),
        )
        assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", sorted(NAMES - {"histogram"}))
def test_empty_and_scalar_arrays(name):
    for shape, axis in [((), None), ((1,), 0), ((0,), None), ((0, 3), 0), ((3, 0), 0), ((0, 0), 1)]:
        x = np.ones(shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                expected = getattr(np, name)(x, axis=axis)
            except ValueError:
                with pytest.raises(ValueError, match=r"zero-size|empty sequence|All-NaN"):
                    run(name, x, axis=axis)
                continue
        check(name, x, axis=axis)
        del expected


def test_warnings_are_numpys():
    nan = np.full((2, 3), np.nan)
    cases = [
        ("mean", np.zeros(0), {}, "Mean of empty slice"),
        ("nanmean", nan, {"axis": 1}, "Mean of empty slice"),
        ("var", np.ones(3), {"ddof": 3}, "Degrees of freedom <= 0"),
        ("nanstd", nan, {}, "Degrees of freedom <= 0"),
        ("nanmin", nan, {"axis": 0}, "All-NaN slice"),
    ]
    for name, x, options, text in cases:
        with pytest.warns(RuntimeWarning, match=text):
            result = run(name, x, **options)
        assert np.isnan(result).all()
    with pytest.raises(ValueError, match="All-NaN slice"):
        run("nanargmin", nan, axis=0)


def test_dtype_argument():
    x, z = sample("i4", (6, 50)), sample("f8", (6, 50)) * 9
    for name in ("sum", "prod", "mean"):
        check(name, x, (3, 20), axis=1, dtype_arg="f4")
        check(name, x % 3, (3, 20), axis=1, dtype_arg="i2")
        check(name, z, (3, 20), axis=1, dtype_arg="c16")
    check("sum", z, (3, 20), dtype_arg="i8")
    check("prod", z, (3, 20), axis=0, dtype_arg="i8")
    check("var", x, (3, 20), dtype_arg="f4")
    check("sum", z, (3, 20), axis=0, dtype_arg="?")
    assert run("sum", np.full(10**5, 60000, "f4"), dtype_arg="f8") == 6e9
    with pytest.raises(TypeError, match="takes no dtype="):
        make_reduction("min", (3,), "f8", dtype_arg="f4")


@pytest.mark.parametrize("dtype", ["S3", "M8[s]", "O", [("a", "f8")], "g"])
def test_refused_dtypes(dtype):
    with pytest.raises(TypeError):
        make_reduction("sum", (3,), dtype)


def test_refused_arguments():
    with pytest.raises(np.exceptions.AxisError):
        make_reduction("sum", (3, 4), "f8", axis=2)
    with pytest.raises(ValueError, match="repeated axis"):
        make_reduction("sum", (3, 4), "f8", axis=(0, -2))
    with pytest.raises(TypeError):
        make_reduction("argmin", (3, 4), "f8", axis=(0, 1))
    with pytest.raises(ValueError, match="no reduction 'median'"):
        make_reduction("median", (3,), "f8")
    with pytest.raises(ValueError, match="range="):
        make_reduction("histogram", (3,), "f8", bins=4)
    r = make_reduction("sum", (3,), "f8")
    with pytest.raises(AssertionError):
        r.leaves(None, np.zeros(3), ((2,),), (0,))


def test_records_compare_and_pickle():
    r = make_reduction("histogram", (10,), "f8", bins=[0, 1, 2])
    assert (
        r
        == pickle.loads(pickle.dumps(r))
        == make_reduction("histogram", (10,), "f8", bins=[0, 1, 2])
    )
    assert r != make_reduction("histogram", (10,), "f8", bins=[0, 1, 3])
    assert len({r, make_reduction("histogram", (10,), "f8", bins=[0, 1, 2])}) == 1


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "f4", "f8"])
def test_histogram_counts_are_exactly_numpys(dtype):
    rng = np.random.default_rng(3)
    x = (rng.integers(0, 100, 20000) / (1 if dtype in ("i1", "u2", "i8") else 10)).astype(dtype)
    if x.dtype.kind == "f":
        x[:50] = np.nan
        x[50:60] = np.inf
    for bins, span in [(10, (0, 10)), (97, (0.1, 9.7)), (3, (5, 5)), (1000, (0, 99))]:
        expected = np.histogram(x, bins, span)[0]
        np.testing.assert_array_equal(run("histogram", x, (3000,), bins=bins, range=span), expected)
    for edges in ([0, 1, 1, 4, 4], [0.1, 0.3, 0.7, 8], [-np.inf, 0, np.inf], [2, 3]):
        expected = np.histogram(x, edges)[0]
        np.testing.assert_array_equal(run("histogram", x, (3000,), bins=edges), expected)


HARD = {
    "tenths": np.full(1 << 18, 0.1),
    "mixed": np.random.default_rng(5).normal(size=1 << 18)
    * 10.0 ** np.tile([0, 8, -8, 16], 1 << 16),
    "cancelling": np.concatenate(
        [np.arange(1, 9999) * 1e10, -np.arange(1, 9999) * 1e10, [0.1] * 99]
    ),
    "drift": np.linspace(0, 1, 100003),
}


@pytest.mark.parametrize("x", HARD.values(), ids=HARD)
def test_sums_are_exact_to_four_eps(x):
    eps = np.finfo("f8").eps
    limit = 4 * eps * math.fsum(np.abs(x))
    exact = math.fsum(x)
    assert abs(float(run("sum", x, (10000,))) - exact) <= limit
    assert abs(float(run("mean", x, (10000,))) - exact / x.size) <= limit / x.size
    wide = np.repeat(x[:3000, None], 40, axis=1)
    got = run("sum", wide, (256, 40), axis=0)
    assert np.all(np.abs(got - math.fsum(x[:3000])) <= 4 * eps * math.fsum(np.abs(x[:3000])))


@pytest.mark.parametrize("mean", [0.0, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_variance_relative_error(mean, axis):
    x = np.random.default_rng(7).normal(mean, 1.0, (3000, 70))
    wide = x.astype(np.longdouble)
    exact = ((wide - wide.mean(axis=axis, keepdims=True)) ** 2).mean(axis=axis)
    got = run("var", x, (500, 70), axis=axis)
    assert np.max(np.abs(got - exact) / exact) <= 1e-12


def test_variance_of_a_constant_is_zero():
    assert run("var", np.full((1000, 50), 0.1), (100, 50)) == 0
    np.testing.assert_array_equal(run("std", np.full((1000, 50), 1e300), (100, 50), axis=0), 0)


def test_integer_means_and_sums_do_not_lose_bits():
    x = np.full(5000, 2**63 - 1, "i8")
    assert run("mean", x, (999,)) == 2.0**63
    assert run("mean", np.full(5000, 2**64 - 1, "u8"), (999,)) == 2.0**64
    assert run("sum", x, (999,)) == np.sum(x)  # modulo 2**64, as NumPy


def test_products_overflow_only_in_the_result():
    x = np.tile([1e300, 1e-300, -2.0, 0.5], 20000)
    assert run("prod", x, (7000,)) == pytest.approx(1.0, rel=1e-10)
    assert run("prod", np.full(5000, 1e-300), (700,)) == 0.0
    assert run("prod", np.full(5001, -1e300), (700,)) == -np.inf
    assert run("prod", np.full(4, 5e-324), (4,)) == 0.0
    assert np.isnan(run("prod", np.array([0.0, np.inf]), (1,)))


def same_bits(name, x, **options):
    fast = run(name, x, (2, 33, 6), compiled=True, **options)
    slow = run(name, x, (2, 33, 6), compiled=False, **options)
    assert fast.tobytes() == slow.tobytes()


@pytest.mark.parametrize("name", ["sum", "var", "argmin", "histogram"])
def test_compiled_loops_do_what_the_interpreted_ones_do(name):
    x = sample("f8", (4, 33, 6))
    for axis in (None, 1) if name != "histogram" else (None,):
        same_bits(name, x, axis=axis, **options_of(name))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "dtype",
    ["i2", "f8", "c8", *(pytest.param(d, marks=pytest.mark.long) for d in ("?", "u8", "f2", "f4"))],
)
def test_every_loop_compiles_to_what_it_says(dtype):
    x = sample(dtype, (4, 33, 6))
    for name in sorted(NAMES):
        if name != "histogram":
            same_bits(name, x, axis=1)
            same_bits(name, x, axis=2)
        elif x.dtype.kind != "c":
            same_bits(name, x, bins=7, range=(-1, 2))
            same_bits(name, x, bins=[-1, 0, 0.5, 3])


@st.composite
def splits(draw):
    """An array, its leaves, and boxes of leaves that cover it, in some order."""
    ndim = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(1, 40 if ndim < 3 else 12)) for _ in range(ndim))
    sizes = tuple(draw(st.integers(1, max(1, n // 2))) for n in shape)
    chunks = cut(shape, sizes)
    boxes = [()]
    for cells in chunks:
        inner = draw(st.sets(st.integers(1, len(cells)), max_size=4)) | {0, len(cells)}
        ends = sorted(inner)
        boxes = [(*b, range(i, j)) for b in boxes for i, j in itertools.pairwise(ends)]
    axis = draw(st.sampled_from([None, *range(ndim)]))
    cap = draw(st.sampled_from([0, 100, 1000, 1 << 24]))
    return shape, chunks, draw(st.permutations(boxes)), axis, cap


@settings(max_examples=60, deadline=None)
@given(splits(), st.sampled_from(sorted(NAMES)), st.sampled_from(["C", "F"]), st.data())
def test_any_split_in_any_order_gives_the_same_bits(split, name, order, data):
    shape, chunks, boxes, axis, cap = split
    axis = None if name == "histogram" else axis
    x = np.asarray(sample("f8", shape, seed=len(boxes)), order=order)
    if data.draw(st.booleans()):
        x = np.where(x > 1, 1.0, x).copy(order)
    r = make_reduction(name, shape, x.dtype, axis=axis, order=order, **options_of(name))
    leaves = Grid(chunks)
    whole, parts = PartialTree(r, leaves), PartialTree(r, leaves, cap)
    everything = tuple(range(n) for n in leaves.numblocks)
    whole.set(everything, r.leaves(entry(r), x, chunks, (0,) * x.ndim))
    edges = [np.cumsum((0, *c)) for c in chunks]
    for box in [*boxes, *boxes[:2]]:
        region = tuple(slice(e[b.start], e[b.stop]) for e, b in zip(edges, box, strict=True))
        cuts = tuple(c[b.start : b.stop] for c, b in zip(chunks, box, strict=True))
        origin = tuple(int(s.start) for s in region)
        parts.set(box, r.leaves(entry(r), x[region], cuts, origin))
    assert whole.result().tobytes() == parts.result().tobytes()


def test_user_reduction_calls_the_functions_as_documented():
    seen = []

    def chunk(x, axis, keepdims):
        return np.sum(x, axis=axis, keepdims=keepdims)

    def combine(x, axis, keepdims):
        seen.append(np.shape(x))
        return np.sum(x, axis=axis, keepdims=keepdims)

    x = np.arange(60.0).reshape(6, 10)
    for keepdims in (False, True):
        r = UserReduction(x.shape, x.dtype, (0,), chunk, np.sum, combine, keepdims)
        grid = Grid(((2, 2, 2), (5, 5)))
        tree = PartialTree(r, grid)
        tree.set((range(3), range(2)), r.leaves(None, x, grid.chunks, (0, 0)))
        result = r.finish(tree.result())
        np.testing.assert_array_equal(result, x.sum(axis=0, keepdims=keepdims))
        assert result.shape == r.result_shape
    assert set(seen) == {(2, 5)}


def test_user_reduction_with_lists():
    def chunk(x, axis, keepdims):
        return {"n": x.size, "s": float(x.sum())}

    def flat(parts):
        return [parts] if isinstance(parts, dict) else [p for part in parts for p in flat(part)]

    def merge(parts, axis, keepdims):
        assert isinstance(parts, list)
        assert all(isinstance(part, list) for part in parts)  # two axes: nested twice
        parts = flat(parts)
        return {key: sum(p[key] for p in parts) for key in ("n", "s")}

    def mean(parts, axis, keepdims):
        whole = merge(parts, axis, keepdims)
        return whole["s"] / whole["n"]

    x = np.arange(60.0).reshape(6, 10)
    r = UserReduction(x.shape, x.dtype, (0, 1), chunk, mean, merge, concatenate=False)
    grid = Grid(((4, 2), (3, 3, 4)))
    tree = PartialTree(r, grid)
    for i in (1, 0):
        block = x[4 * i : 4 + 2 * i]
        cuts = (grid.chunks[0][i : i + 1], grid.chunks[1])
        tree.set((range(i, i + 1), range(3)), r.leaves(None, block, cuts, (4 * i, 0)))
    assert r.finish(tree.result()) == 29.5
