"""Reductions end to end, from files to values: NumPy judges what they mean, `fsum` how exact."""

import inspect
import math
import warnings
from fractions import Fraction

import dask.array as da
import numpy as np
import pytest
from dask.array import reductions as dask_reductions

import oocarray as oo
from oocarray.backends import mapped
from oocarray.lazy.graph import Root
from oocarray.plan import InMemory

INDEX = ("argmin", "argmax", "nanargmin", "nanargmax")
SPREAD = ("var", "std", "nanvar", "nanstd")
SUMS = ("sum", "prod", "mean", "nansum", "nanprod", "nanmean")
PLAIN = ("min", "max", "any", "all", "count_nonzero", "nanmin", "nanmax")
NAMES = (*INDEX, *SPREAD, *SUMS, *PLAIN)
SHAPE = (60, 90, 100)  # 4 MiB of float64: several leaves


@pytest.fixture(autouse=True)
def _serial():
    with oo.options(scheduler="serial", progress=False):
        yield


@pytest.fixture
def stages(monkeypatch):
    """Number of stages of each plan that is run, as they come."""
    seen = []
    run_plan = mapped.run_plan

    def spy(plan, *args, **kwargs):
        seen.append(len(plan.stages))
        return run_plan(plan, *args, **kwargs)

    monkeypatch.setattr(mapped, "run_plan", spy)
    return seen


def sample(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.9
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    x = 3 + rng.normal(size=shape)
    if dtype.kind == "c":
        x = x + 1j * rng.normal(size=shape)
    return x.astype(dtype)


def with_holes(x):
    """NaN in a tenth of the elements, and one line of nothing else along each axis."""
    x = np.where(np.random.default_rng(1).random(x.shape) < 0.1, np.nan, x).astype(x.dtype)
    x[:, 1, 2] = x[3, :, 4] = x[5, 6, :] = np.nan
    return x


def numpy_says(name, x, dtype=None, **options):
    """NumPy's answer; floats are summed in float64 and converted at the end, as ours are."""
    if dtype is not None:
        options["dtype"] = dtype
    if x.dtype.kind == "f" and name in SUMS + SPREAD:
        out = np.dtype(dtype or x.dtype.newbyteorder("="))
        if out.kind == "f":
            wide = getattr(np, name)(x.astype("f8"), **{**options, "dtype": "f8"})
            return np.asarray(wide).astype(out)
    return np.asarray(getattr(np, name)(x, **options))


def agree(got, expected):
    got = np.asarray(got)
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    if got.dtype.kind in "biu":
        np.testing.assert_array_equal(got, expected)
    else:
        tolerance = {"e": 2e-3, "f": 1e-5, "F": 1e-5}.get(got.dtype.char, 1e-10)
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=0)


def quiet(function, *args, **kwargs):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*args, **kwargs)


def bits(results):
    return [np.asarray(result).tobytes() for result in results]


# What can be reduced


def _raw(folder, x):
    path = folder / "raw.bin"
    path.write_bytes(b"abc" + x.tobytes())
    return oo.open(path, shape=x.shape, dtype=x.dtype, offset=3)


def _raw_fortran(folder, x):
    path = folder / "fortran.bin"
    path.write_bytes(bytes(16) + x.tobytes("F"))
    return oo.open(path, shape=(*x.shape[:2], -1), dtype=x.dtype, offset=16, order="F")


def _npy(folder, x):
    np.save(folder / "x.npy", x)
    return oo.open(folder / "x.npy")


def _strided(folder, x):
    wide = np.zeros((2 * x.shape[0], x.shape[1], x.shape[2] + 7), x.dtype)
    wide[::-2, :, 3:-4] = x
    return _npy(folder, wide)[::-2, :, 3:-4]


def _field(folder, x):
    table = np.zeros(x.shape, [("a", "i1"), ("v", x.dtype)])
    table["v"] = x
    return _npy(folder, table)["v"]


def _memmap(folder, x):
    np.save(folder / "mapped.npy", np.stack([x, x]))
    return oo.from_array(np.load(folder / "mapped.npy", mmap_mode="r")[1])


SOURCES = {
    "npy": _npy,
    "raw at an odd offset": _raw,
    "big-endian": lambda folder, x: _npy(folder, x.astype(x.dtype.newbyteorder(">"))),
    "strided": _strided,
    "field": _field,
    "memmap": _memmap,
    "memory": lambda folder, x: oo.from_array(x),
    "fortran npy": lambda folder, x: _npy(folder, np.asfortranarray(x)),
    "fortran raw": _raw_fortran,
    "memory, fortran": lambda folder, x: oo.from_array(np.asfortranarray(x)),
    "chunks": lambda folder, x: oo.from_array(x, chunks=(7, 90, 33)),
    "computed": lambda folder, x: oo.from_array(x, chunks=(16, -1, 50)).map_blocks(
        np.positive, dtype=x.dtype
    ),
}


def axes_of(name, ndim):
    if name in INDEX:
        return None, 0, -1
    return (None, 0, 1, -1, (0, 2), (0, 1, 2)) if ndim > 2 else (None, 0, 1, (1, 0))


def cases_of(name, ndim):
    """Options of one function: every choice of axes, half of them with keepdims, and ddof."""
    for number, axis in enumerate(axes_of(name, ndim)):
        ddofs = ((0, 1, 2.5)[number % 3],) if name in SPREAD else (None,)
        for ddof in ddofs:
            yield {"axis": axis, "keepdims": number % 2 == 1} | (
                {} if ddof is None else {"ddof": ddof}
            )


def check(name, array, x):
    cases = list(cases_of(name, x.ndim))
    found = quiet(oo.compute, *(getattr(oo, name)(array, **case) for case in cases))
    for case, got in zip(cases, found, strict=True):
        agree(got, quiet(numpy_says, name, x, **case))
    return found


@pytest.mark.timeout(600)  # the first compiles for all
@pytest.mark.parametrize("source", SOURCES)
def test_every_function_from_every_source(source, tmp_path):
    x = sample("f8", SHAPE)
    holes = with_holes(x)
    holes[3, :, 4] = x[3, :, 4]  # nanarg* refuses a line of NaN
    holes[:, 1, 2], holes[5, 6, :] = x[:, 1, 2], x[5, 6, :]
    for name in NAMES:
        data = holes if name.startswith("nan") else x
        array = SOURCES[source](tmp_path, data)
        assert array.shape == x.shape
        check(name, array, data)


def test_the_source_does_not_show_in_the_bits(tmp_path):
    x = sample("f8", SHAPE)
    found = {}
    for source in SOURCES:
        if "fortran" in source or source == "computed":
            continue  # another layout, another cut
        a = SOURCES[source](tmp_path, x)
        found[source] = bits(oo.compute(a.sum(), a.mean(axis=0), a.var(axis=1), a.prod(axis=2)))
    assert all(result == found["npy"] for result in found.values()), found.keys()


# The functions of one dtype are up to twenty kernels to be compiled.
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "dtype", ["i2", "c16", *(pytest.param(d, marks=pytest.mark.long) for d in ("?", "f4"))]
)
def test_every_function_of_dtypes(dtype):
    x = sample(dtype, (50, 60, 70))
    array = oo.from_array(x, chunks=(20, 60, -1))
    for name in NAMES:
        check(name, array, x)


@pytest.mark.parametrize(
    "dtype",
    ["?", "f4", "c8", *(pytest.param(d, marks=pytest.mark.long) for d in ("u1", "u8", "f2"))],
)
def test_some_functions_of_more_dtypes(dtype):
    x = sample(dtype, (50, 60, 4))
    array = oo.from_array(x, chunks=(20, 60, -1))
    for name in ("sum", "mean", "nanmax", "argmin"):
        check(name, array, x)


@pytest.mark.parametrize("dtype", ["u1", "u8", "f2"])
def test_sums_of_more_dtypes(dtype):
    x = sample(dtype, (50, 60, 4))
    check("sum", oo.from_array(x, chunks=(20, 60, -1)), x)


@pytest.mark.parametrize("width", [1, 3, 31, 64, 129, 255, 257, 300, 511, 513, 1025])
@pytest.mark.parametrize("dtype", ["i2", "f8"])
def test_rows_of_any_width(dtype, width):
    names = ("sum", "max", "argmin", "var", "all", "count_nonzero", "nansum")
    for shape, axis in [((333, width), 0), ((3, 50, width), 1), ((width, 333), 1)]:
        x = np.random.default_rng(width).integers(-3, 4, shape).astype(dtype)
        found = oo.compute(*(getattr(oo, name)(x, axis=axis) for name in names))
        for name, got in zip(names, found, strict=True):
            agree(got, numpy_says(name, x, axis=axis))


@pytest.mark.parametrize(
    ("name", "dtype", "out"),
    [
        ("sum", "i2", "f4"),
        ("sum", "f8", "f4"),
        ("sum", "u1", "u2"),
        ("prod", "i2", "f8"),
        ("mean", "i2", "f4"),
        ("mean", "f4", "f8"),
        ("var", "i2", "f4"),
        ("nanstd", "f4", "f8"),
    ],
)
def test_dtype_of_the_result(name, dtype, out):
    x = sample(dtype, (40, 50))
    if name == "prod":
        x %= 3
    for axis in (None, 0):
        got = getattr(oo.from_array(x), name)(axis, dtype=out)
        assert got.dtype == out
        agree(got.compute(), numpy_says(name, x, dtype=out, axis=axis))


def test_names_and_order_of_arguments_are_dasks():
    for name in NAMES:
        function, method = getattr(oo, name), getattr(oo.Array, name)
        first, *ours = inspect.signature(function).parameters
        assert first == "x"
        methods = list(inspect.signature(method).parameters)
        # The Array API's word for ddof comes after all of NumPy's and dask's.
        for names in (ours, methods):
            if name.endswith(("std", "var")):
                names.remove("correction")
        assert methods in (
            ["self", *ours],
            ["self", *ours, "out"],
        )
        if name != "count_nonzero":  # dask's has no keepdims
            assert [*ours, "out"] == list(inspect.signature(getattr(da, name)).parameters)[1:]
        assert f"`oocarray.{name}`" in method.__doc__
        assert set(dir(oo)) >= {name}
        assert name in oo.__all__


def test_lists_scalars_and_empty_arrays():
    assert oo.sum([1, 2, 3]).compute() == 6
    assert type(oo.sum([1, 2, 3]).compute()) is np.int64
    assert oo.max(5.0).compute() == 5.0
    assert oo.sum(np.zeros((0, 3)), axis=0).compute().tolist() == [0.0, 0.0, 0.0]
    assert oo.prod([]).compute() == 1.0
    assert oo.all([]).compute()
    assert oo.min(np.zeros((3, 0)), axis=0).compute().shape == (0,)
    assert oo.sum([[1, 2], [3, 4]], axis=(), split_every=2).compute().tolist() == [[1, 2], [3, 4]]


def test_numpys_functions_call_ours():
    a = oo.from_array(np.arange(6.0).reshape(2, 3))
    for name in ("sum", "prod", "mean", "var", "std", "min", "max", "argmin", "argmax"):
        result = getattr(np, name)(a, axis=1)
        assert isinstance(result, oo.Array)
        agree(result.compute(), getattr(np, name)(a.compute(), axis=1))
    assert isinstance(np.any(a), oo.Array)
    with pytest.raises(NotImplementedError, match=r"no out=; compute\(\) the result"):
        a.sum(out=np.zeros(()))


# Histograms


@pytest.mark.parametrize("dtype", ["?", "u1", "i4", "f4", ">f8"])
def test_histograms_are_exactly_numpys(dtype, tmp_path):
    x = sample(np.dtype(dtype).newbyteorder("="), (300, 700)).astype(dtype)
    x = x if dtype == "?" else x % 8
    np.save(tmp_path / "x.npy", x)
    a = oo.open(tmp_path / "x.npy", chunks=(100, 300))
    numbers = x.view("u1") if dtype == "?" else x
    for bins, span in [(10, (0, 6)), (7, [1, 4.5]), ([0, 1, 2.5, 6], None), (np.arange(9), None)]:
        for density in (None, True):
            counts, edges = oo.histogram(a, bins, span, density=density)
            expected, numpy_edges = np.histogram(numbers, bins, span, density=density)
            assert counts.shape == expected.shape == counts.compute().shape
            assert counts.dtype == expected.dtype == counts.compute().dtype
            np.testing.assert_array_equal(counts.compute(), expected)
            np.testing.assert_array_equal(edges, numpy_edges)
            assert edges.dtype == numpy_edges.dtype


def test_histogram_of_a_computed_array_and_as_a_method():
    x = np.arange(1000, dtype="i2")
    a = oo.from_array(x, chunks=100).map_blocks(lambda block: block / np.float32(7))
    counts, edges = a.histogram(5, (0, 100))
    expected, numpy_edges = np.histogram(x / np.float32(7), 5, (0, 100))
    assert edges.dtype == numpy_edges.dtype == np.float32
    assert counts.compute().tolist() == expected.tolist()
    found, same = oo.compute(a.histogram(edges))[0]
    assert found.tolist() == expected.tolist()
    assert same is edges


def test_refused_histograms():
    a = oo.from_array([1.0, 2.0])
    for arguments in [(10,), (None,), ("auto", (0, 1))]:
        with pytest.raises(ValueError, match="edges as bins=, or a number of bins and range="):
            a.histogram(*arguments)
    with pytest.raises(ValueError, match="monotonic"):
        a.histogram([1, 0])
    with pytest.raises(ValueError, match="at least 2 edges"):
        a.histogram([1])
    with pytest.raises(ValueError, match="max must be larger than min"):
        a.histogram(3, (1, 0))
    with pytest.raises(NotImplementedError, match="weights"):
        oo.histogram(a, [0, 1], weights=[1, 1])
    with pytest.raises(TypeError, match=r"range= of histogram .* compute it first"):
        a.histogram(3, (0, a.max()))
    with pytest.raises(TypeError, match="complex128"):
        oo.histogram([1j], [0, 1])


# The same bits, always

RUNS = [
    *({"memory": memory, "scheduler": "serial"} for memory in ("40 MiB", "1 GiB")),
    *({"memory": "1 GiB", "scheduler": "threads", "workers": n} for n in (1, 8)),
    {"memory": "40 MiB", "scheduler": "threads", "workers": 7},
    {"memory": "1 GiB", "scheduler": "processes", "workers": 8},
    {"memory": "40 MiB", "scheduler": "processes", "workers": 2},
]
MORE_RUNS = [
    {"memory": "64 MiB", "scheduler": "serial"},
    {"memory": "1 GiB", "scheduler": "threads", "workers": 3},
    {"memory": "40 MiB", "scheduler": "threads", "workers": 2},
    *({"memory": "1 GiB", "scheduler": "processes", "workers": n} for n in (1, 2)),
]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """50 MB of float64 with values of many sizes, for which any other order shows."""
    path = tmp_path_factory.mktemp("large") / "x.npy"
    rng = np.random.default_rng(11)
    x = rng.normal(size=(2500, 2500)) * 10.0 ** rng.integers(-9, 9, (2500, 2500))
    np.save(path, x)
    return path


@pytest.fixture(scope="module")
def judged(large):
    with oo.options(scheduler="serial", workers=1, memory="2 GiB", progress=False):
        return bits(oo.compute(*many(oo.open(large))))


def many(a):
    """Reductions of each kind and over each choice of axes."""
    halves = a.map_blocks(np.multiply, 0.5, dtype="f8")
    return [
        a.sum(),
        a.sum(axis=0),
        a.sum(axis=1),
        a.mean(axis=0, keepdims=True),
        a.std(),
        a.var(axis=0),
        a.nanvar(axis=1),
        a.prod(axis=1),
        a.max(axis=0),
        a.argmin(),
        a.argmax(axis=0),
        a.histogram(50, (-1e3, 1e3))[0],
        halves.sum(),
        halves.var(axis=0),
    ]


@pytest.mark.parametrize(
    "options",
    [*RUNS, *(pytest.param(run, marks=pytest.mark.long) for run in MORE_RUNS)],
    ids=lambda o: "-".join(map(str, o.values())),
)
def test_the_same_bits_however_it_is_run(options, large, judged, monkeypatch):
    policies = set()
    choose = oo.pages.residency.choose_residency

    def spy(*sizes):
        chosen = choose(*sizes)
        policies.add(chosen.policy)
        return chosen

    monkeypatch.setattr("oocarray.runtime.scheduler.choose_residency", spy)
    assert bits(oo.compute(*many(oo.open(large)), **options)) == judged
    assert policies == {"stream" if options["memory"] == "40 MiB" else "resident"}


def test_the_same_bits_whether_alone_or_together(large, judged):
    arrays = many(oo.open(large))
    assert [bits([array.compute()])[0] for array in arrays] == judged
    assert bits(oo.compute(*reversed(arrays)))[::-1] == judged


# Passes


def number_of_stages(*arrays):
    return len(mapped.plan_of([Root(array.node) for array in arrays]).stages)


def test_one_pass_for_several_reductions(large, stages):
    a = oo.open(large)
    counts, edges = a.histogram(100, (-1, 1))
    assert number_of_stages(a.mean(), a.std(), counts) == 1
    mean, std, (found, _) = oo.compute(a.mean(), a.std(), (counts, edges))
    assert stages == [1]
    x = np.load(large)
    agree(std, np.std(x))
    agree(found, np.histogram(x, 100, (-1, 1))[0])
    assert abs(mean - math.fsum(x.ravel()) / x.size) <= 1e-15 * np.abs(x).mean()


def test_one_pass_for_a_store_and_a_reduction_of_it(tmp_path, stages):
    x = np.arange(12000.0).reshape(100, 120)
    calls = []

    def root(block):
        calls.append(block.shape)
        return np.sqrt(block)

    y = oo.map_blocks(root, oo.from_array(x, chunks=(30, 120)), dtype="f8")
    place = Root(y.node, InMemory(np.empty(x.shape)))
    assert len(mapped.plan_of([place, Root(y.sum().node)]).stages) == 1
    stored, total, greatest = oo.compute(
        y.store(tmp_path / "y.npy", compute=False), y.sum(), y.max(axis=0)
    )
    assert stages == [1]
    assert calls == [(30, 120)] * 3 + [(10, 120)]
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), np.sqrt(x))
    np.testing.assert_array_equal(stored.compute(), np.sqrt(x))
    agree(total, np.sum(np.sqrt(x)))
    agree(greatest, np.sqrt(x).max(axis=0))


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
def test_a_reduction_as_an_argument_takes_a_pass_before(scheduler, tmp_path, stages):
    x = sample("f4", (700, 900))
    np.save(tmp_path / "x.npy", x)
    a = oo.open(tmp_path / "x.npy", chunks=(200, 500))
    centred = oo.map_blocks(lambda b, m: b - m, a, a.mean(axis=0), dtype="f4")
    assert number_of_stages(centred) == 2
    expected = x - x.mean(axis=0, dtype="f8").astype("f4")
    np.testing.assert_allclose(centred.compute(scheduler=scheduler), expected, atol=1e-6)
    scaled = oo.map_blocks(
        lambda b, m, s: (b - m) / s, a, a.mean(keepdims=True), a.std(keepdims=True), dtype="f4"
    )
    spread, stored = oo.compute(
        scaled.std(axis=0), scaled.store(tmp_path / "z.npy", compute=False), scheduler=scheduler
    )
    assert stages == [2, 2]
    wide = (x - x.mean(dtype="f8")) / x.std(dtype="f8")
    np.testing.assert_allclose(stored.compute(), wide, atol=1e-6)
    np.testing.assert_allclose(spread, wide.std(axis=0), atol=1e-6)


def test_a_reduction_of_a_reduction_takes_two_passes():
    x = sample("f8", (30, 40))
    a = oo.from_array(x, chunks=(10, 20))
    twice = a.max(axis=0).min()
    assert number_of_stages(twice) == 2
    assert twice.compute() == x.max(axis=0).min()


# Blocks that a function makes


def test_reductions_of_blocks_that_a_function_makes():
    x = sample("i4", (37, 53))
    a = oo.from_array(x, chunks=(10, 20))
    y = oo.map_blocks(lambda block: block[::2] * 2.0, a, chunks=((5, 5, 5, 4), a.chunks[1]))
    expected = np.concatenate([x[i : i + 10][::2] for i in range(0, 37, 10)]) * 2.0
    for name in NAMES:
        check(name, y, expected)
    low, high = oo.map_blocks.options(nout=2)(lambda b: (b - 1, b + 1.0), a, dtype=("i4", "f8"))
    assert oo.compute(low.min(), high.max()) == (x.min() - 1, x.max() + 1.0)
    made = oo.map_blocks(
        lambda block_id: np.full((2, 3), sum(block_id)), chunks=((2, 2), (3,)), dtype="i8"
    )
    assert made.sum(axis=1).compute().tolist() == [0, 0, 3, 3]


def test_dtypes_are_learnt_for_a_reduction_when_it_needs_one():
    calls = []

    def half(block):
        calls.append(block.shape)
        return block / np.float32(2)

    a = oo.from_array(np.arange(12, dtype="i2"), chunks=4)
    total = oo.sum(oo.map_blocks(half, a))
    assert calls == []
    assert total.dtype == np.float32
    assert calls == [(4,)]
    assert total.compute() == 33
    assert calls == [(4,)] * 4


# The caller's own


def squares(x, axis, keepdims):
    return np.sum(x * x, axis=axis, keepdims=keepdims)


def root_of_sum(parts, axis, keepdims):
    return np.sqrt(np.sum(parts, axis=axis, keepdims=keepdims))


OWN = {
    "greatest": {"chunk": np.max, "aggregate": np.max},
    "length": {"chunk": squares, "aggregate": root_of_sum, "combine": np.sum},
    "mean": {
        "chunk": dask_reductions.mean_chunk,
        "aggregate": dask_reductions.mean_agg,
        "combine": dask_reductions.mean_combine,
        "concatenate": False,
    },
    "variance": {
        "chunk": dask_reductions.moment_chunk,
        "aggregate": dask_reductions.moment_agg,
        "combine": dask_reductions.moment_combine,
        "concatenate": False,
    },
}


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2)])
def test_own_reductions_beside_dasks(axis, own):
    x = sample("i4", (9, 13, 11)) % 50 * 1.0
    ours, theirs = oo.from_array(x, chunks=(4, 5, 11)), da.from_array(x, chunks=(4, 5, 11))
    for keepdims in (False, True):
        options = {"axis": axis, "keepdims": keepdims, "dtype": "f8", **OWN[own]}
        expected = da.reduction(theirs, **options).compute(scheduler="sync")
        for array in (ours, ours.map_blocks(np.positive)):
            agree(oo.reduction(array, **options).compute(), np.asarray(expected))


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_own_reductions_in_workers(scheduler, tmp_path):
    x = sample("f8", (200, 90))
    np.save(tmp_path / "x.npy", x)
    a = oo.open(tmp_path / "x.npy", chunks=(60, 40))
    own = oo.reduction(a, lambda b, axis, keepdims: b.max(axis, keepdims=keepdims), np.max, axis=0)
    assert number_of_stages(own, a.map_blocks(np.positive, dtype="f8")) == 1
    got, total = oo.compute(own, a.sum(), scheduler=scheduler, workers=2)
    agree(got, x.max(axis=0))
    agree(total, np.sum(x))


# What is refused


def test_refused_axes_and_dtypes(tmp_path):
    a = oo.from_array(np.zeros((3, 4)))
    for name in NAMES:
        with pytest.raises(np.exceptions.AxisError, match="axis 2 is out of bounds"):
            getattr(a, name)(axis=2)
    with pytest.raises(ValueError, match="repeated axis"):
        a.sum(axis=(0, -2))
    with pytest.raises(TypeError):
        a.argmax(axis=(0, 1))
    np.save(tmp_path / "table.npy", np.zeros(3, [("a", "i4"), ("b", "f8")]))
    table = oo.open(tmp_path / "table.npy")
    for name in NAMES:
        with pytest.raises(TypeError, match="take one field"):
            getattr(table, name)()
    assert table["b"].sum().compute() == 0
    with pytest.raises(oo.DtypeError):
        oo.max(np.array(["a", "b"]))
    with pytest.raises(ValueError, match="shape of the array is not known"):
        a.map_blocks(np.ravel, chunks=((math.nan,),), drop_axis=1, dtype="f8").sum()


def test_a_wrong_dtype_of_a_function_is_refused_when_it_is_known():
    texts = oo.from_array(np.arange(3)).map_blocks(lambda block: block.astype("U3"))
    total = texts.sum()
    with pytest.raises(TypeError, match="sum takes bool, int"):
        total.compute()


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
def test_nothing_to_reduce(scheduler):
    nothing, holes = oo.from_array(np.zeros((0, 3))), oo.from_array([[math.nan, math.nan]])
    with oo.options(scheduler=scheduler):
        for name in ("min", "max", "nanmin", "nanmax"):
            with pytest.raises(ValueError, match="zero-size array to reduction operation"):
                getattr(oo, name)(nothing).compute()
        with pytest.raises(ValueError, match="of an empty sequence"):
            oo.argmin(nothing, axis=0).compute()
        with pytest.raises(ValueError, match="All-NaN slice"):
            oo.nanargmax(holes, axis=1).compute()
        for name, text in [
            ("nanmin", "All-NaN slice"),
            ("nanmean", "Mean of empty slice"),
            ("nanstd", "Degrees of freedom"),
        ]:
            with pytest.warns(RuntimeWarning, match=text):
                assert np.isnan(getattr(oo, name)(holes, axis=1).compute()).tolist() == [True]
        with pytest.warns(RuntimeWarning, match="Mean of empty slice"):
            assert np.isnan(oo.mean(nothing).compute())


# Accuracy

EPS = np.finfo("f8").eps


def repeated(pattern, count, block=1 << 20):
    """A pattern repeated over `count` elements; no file and no array of that size."""
    pattern = np.asarray(pattern, "f8")
    tile = np.resize(pattern, block)

    def make(block_id):
        return tile[: min(block, count - block_id[0] * block)]

    sizes = (block,) * (count // block) + ((count % block,) if count % block else ())
    return oo.map_blocks(make, chunks=(sizes,), dtype="f8")


@pytest.mark.parametrize(
    "pattern",
    [[0.1], [1e16, 1.0, -1e16, 1.0], [1e9 + 0.1, 1e9 - 0.3], [0.1, -0.1], [1e-300, 1e300, -1e300]],
    ids=["tenth", "swallowing", "offset", "alternating", "sizes"],
)
@pytest.mark.parametrize("count", [10_000_019, 100_000_007])
def test_sums_are_within_four_eps(pattern, count):
    a = repeated(pattern, count)
    step = len(pattern)  # each block begins with the pattern's first
    weights = [sum(len(range(i, n, step)) for n in a.chunks[0]) for i in range(step)]
    values = [Fraction(value) for value in pattern]
    exact = sum(w * v for w, v in zip(weights, values, strict=True))
    size = sum(w * abs(v) for w, v in zip(weights, values, strict=True))
    with oo.options(scheduler="threads", workers=2):
        total, mean = oo.compute(a.sum(), a.mean())
    assert abs(Fraction(float(total)) - exact) <= 4 * Fraction(EPS) * size
    assert abs(Fraction(float(mean)) - exact / count) <= 4 * Fraction(EPS) * size / count


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_sums_of_a_file_against_fsum(axis, large):
    x = np.load(large)
    lines = {None: [x.ravel()], 0: x.T[::50], 1: x[::50]}[axis]
    got = np.atleast_1d(oo.open(large).sum(axis=axis).compute())[:: 1 if axis is None else 50]
    for value, line in zip(got, lines, strict=True):
        assert abs(value - math.fsum(line)) <= 4 * EPS * math.fsum(np.abs(line))


def test_float32_is_added_in_float64(tmp_path):
    x = np.full(10**7, 0.1, "f4")
    np.save(tmp_path / "x.npy", x)
    a = oo.open(tmp_path / "x.npy")
    assert a.sum().compute() == np.float32(10**7 * float(np.float32(0.1)))
    assert a.mean().compute() == np.float32(0.1)
    assert a.std().compute() == 0


@pytest.mark.parametrize("mean", [1.0, 1e3, 1e6])
def test_variance_is_within_1e_12(mean, tmp_path):
    x = np.random.default_rng(5).normal(mean, 1.0, (2000, 1500))
    np.save(tmp_path / "x.npy", x)
    a = oo.open(tmp_path / "x.npy")
    wide = x.astype(np.longdouble)
    for axis in (None, 0, 1):
        exact = ((wide - wide.mean(axis=axis, keepdims=True)) ** 2).mean(axis=axis)
        assert np.max(np.abs(a.var(axis=axis).compute() - exact) / exact) <= 1e-12


_MOST = 2**63 - 1
_RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("x", "edges"),
    [
        (_RANDOM.normal(size=5000), np.linspace(-3, 3, 21)),
        (_RANDOM.normal(size=5000).astype("f4"), np.linspace(-3, 3, 1001)),
        (_RANDOM.normal(size=500), np.array([0.0, 1.0, 1.0, 2.0])),
        (_RANDOM.normal(size=500), np.array([1.0, 1.0])),
        (_RANDOM.normal(size=500) * 1e307, np.array([-1.7e308, 0, 1.7e308])),
        (np.array([0, 1e-310, 3e-310, 5e-310]), np.linspace(0, 1e-309, 4)),
        (_RANDOM.integers(-_MOST - 1, _MOST, 5000), np.array([-_MOST - 1, 0, _MOST])),
        (_RANDOM.integers(-_MOST - 1, _MOST, 5000), np.array([-(2**61), 0, 2**61])),
        (_RANDOM.integers(0, _MOST, 5000), np.array([0, 2**60, 2**61])),
        (_RANDOM.integers(0, 2**64 - 1, 5000, dtype="u8"), np.linspace(0, 2.0**64, 9)),
        (_RANDOM.integers(0, 255, 5000).astype("u1"), np.arange(257)),
        (np.array([np.inf, -np.inf, 1.0]), np.array([-np.inf, -1e300, np.inf, np.inf])),
    ],
    ids=lambda value: str(value.dtype) if value.size > 1001 else f"{value[0]:g}..{value[-1]:g}",
)
def test_a_histogram_of_even_and_odd_edges_is_numpys(x, edges):
    counts, _ = oo.histogram(x, edges)
    assert (counts.compute(scheduler="serial") == np.histogram(x, edges)[0]).all()
