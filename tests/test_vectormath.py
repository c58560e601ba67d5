"""Holds the vector-math kernels against mpmath, C's special values and their own scalar code."""

from __future__ import annotations

import functools
import itertools
import math
import platform
import re
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from oocarray.jit import ArrayArg, Kernel, compile_kernel, kernel, load
from oocarray.vectormath import ANY, LARGE, VECTOR

mp = mpmath.MPContext()
mp.prec = 120
DTYPES = ("f8", "f4")
BINARY = ("arctan2", "hypot", "power")
ULPS = {"power": 4.0, "erf": 4.0}  # the others: 2
IN_FLOAT32 = ("cos", "exp", "exp2", "log", "sin", "tanh")  # the others compute in float64
CALLS = [(name, dtype) for name in VECTOR for dtype in DTYPES]
# What float32 has in common with float64 is tried there; to compile each takes half a second.
EACH = [
    pytest.param(*call, marks=() if call[1] == "f8" or call[0] in IN_FLOAT32 else pytest.mark.long)
    for call in CALLS
]
PACKED = [("exp", "f8"), ("exp", "f4"), ("log", "f8"), ("sin", "f8"), ("power", "f8")]

# Where each function does something: random arguments are drawn from here, and over all bits.
SPANS = {
    "arccos": (-1, 1),
    "arcsin": (-1, 1),
    "cos": (-LARGE, LARGE),
    "cosh": (-750, 750),
    "erf": (-6.5, 6.5),
    "exp": (-750, 715),
    "exp2": (-1080, 1030),
    "expm1": (-40, 715),
    "log1p": (-1, 10),
    "sin": (-LARGE, LARGE),
    "sinh": (-750, 750),
    "tan": (-LARGE, LARGE),
    "tanh": (-23, 23),
}
# Arguments around which kernels change what they do, or results change their kind.
BREAKS = (
    *(j * math.log(2) / 2 for j in (1, 3, 53, 55, 2045, 2051)),
    *(j * math.pi / 4 for j in range(1, 12)),
    *(math.sqrt(2) ** j for j in (-3, -2, -1, 1, 2, 3)),
    *(0.4375, 0.6875, 1.1875, 2.4375, 3.0, 0.25, 4.0, 6.0, 10.0, 22.0, 50.0, 100.0, 1000.0),
    *(709.782712893384, 710.4758600739439, 745.1332191019411, 708.3964185322641, 88.722839, 103.97),
    *(1022.0, 1023.0, 1024.0, 1074.0, 1075.0, 127.0, 128.0, 149.0, 150.0, 2.0**52, 2.0**53),
)
# Hard to round, or hard to reduce: Lefevre and Muller; the double nearest a multiple of pi/2.
HARD = (
    7.5417527749959590085206221e-10,
    0.6577997820101999,
    22.0,
    355.0,
    104348.0,
    573204.0,
    833719.0,
    1.5707963267948966,
    3.141592653589793,
    1.0 + 2.0**-52,
    1.0 - 2.0**-53,
)


def apply(function: Kernel, dtype: str, *arrays: np.ndarray) -> np.ndarray:
    """Run the plain loop over whole arrays."""
    out = np.empty_like(arrays[0])
    _loop(function, dtype, len(arrays))(out, *arrays)
    return out


@functools.cache
def _loop(function: Kernel, dtype: str, count: int) -> Callable[..., None]:
    types = (ArrayArg(dtype, 1, readonly=False), *[ArrayArg(dtype, 1)] * count)
    return load(compile_kernel(_plain(function, count), types))


def _plain(function: Kernel, count: int) -> Kernel:
    def one(out, x):
        for i in range(x.size):
            out[i] = function(x[i])

    def two(out, x, y):
        for i in range(x.size):
            out[i] = function(x[i], y[i])

    return kernel(one if count == 1 else two)


def _of(name: str, dtype: str) -> Kernel:
    return VECTOR[name][DTYPES.index(dtype)]


def _random(dtype: str, count: int, seed: int) -> np.ndarray:
    """Numbers with random bits."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(f"u{dtype[1]}")
    x = rng.integers(0, np.iinfo(kind).max, count, kind, endpoint=True).view(dtype)
    return np.where(np.isnan(x), np.dtype(dtype).type(1), x)


def _arguments(name: str, dtype: str, count: int) -> np.ndarray:
    info = np.finfo(dtype)
    low, high = SPANS.get(name, (-100, 100))
    rng = np.random.default_rng(7)
    near = np.array([*BREAKS, *HARD]).astype(dtype)
    near = np.concatenate([near, *(2.0 ** np.arange(-30, 20, 3) * w for w in (1, 1 + 1e-6))])
    multiples = [float(mp.mpf(int(j)) * mp.pi / 2) for j in rng.integers(1, 660_000, 60)]
    near = np.concatenate([near, multiples]).astype(dtype)
    near = np.concatenate([near, np.nextafter(near, near * 2), np.nextafter(near, near * 0)])
    tiny = np.array([1, 2, 3, 2.0**20 + 1, 2.0**22]).astype(dtype) * info.smallest_subnormal
    ends = np.array([info.tiny, info.tiny * 1.5, info.max, info.max / 2, 0.0], dtype)
    edges = np.concatenate([near, tiny, ends])
    span = np.concatenate([rng.uniform(low, high, count), rng.uniform(-3, 3, count)])
    x = np.concatenate([edges, -edges, span.astype(dtype), _random(dtype, count, 8)])
    return np.where(abs(x) <= LARGE, x, 1).astype(dtype) if name in ANY else x


def _pairs(name: str, dtype: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.concatenate([_arguments(name, dtype, count // 2), _random(dtype, count, 9)])
    y = np.random.default_rng(10).permutation(x)
    if name != "power":
        return np.concatenate([x, x]), np.concatenate([y, (x * y.clip(0.1, 3)).astype(dtype)])
    base = np.concatenate([abs(x), 1 + np.random.default_rng(11).uniform(-0.1, 0.1, count)])
    base = base.astype(dtype)
    top = 1080 if dtype == "f8" else 152  # exponents for which the result is neither 0 nor inf
    size = np.log2(np.where(base > 0, base, 1).astype("f8"))
    ratio = np.random.default_rng(12).uniform(-top, top, base.size) / np.where(size == 0, 1, size)
    whole = np.random.default_rng(13).integers(-9, 9, x.size)
    with np.errstate(over="ignore"):
        ratio = ratio.astype(dtype)
    return (
        np.concatenate([base, x, x]).astype(dtype),
        np.concatenate([ratio, y, whole]).astype(dtype),
    )


def _exact(name: str, *values: float) -> Any:
    """The result as an mpmath number; None where C's special values decide."""
    x = mp.mpf(values[0])
    if name == "power":
        y = mp.mpf(values[1])
        if x == 0 or (x < 0 and y != mp.floor(y)) or not all(map(math.isfinite, values)):
            return None
        size = abs(y * mp.log(abs(x), 2)) if abs(x) != 1 else 0
        sign = -1 if x < 0 and int(y) % 2 else 1
        if size > 4000:  # far beyond what can be held
            return sign * mp.mpf(2) ** (4000 if (abs(x) > 1) == (y > 0) else -4000)
        return sign * abs(x) ** y
    if name == "hypot":
        return mp.sqrt(x * x + mp.mpf(values[1]) ** 2)
    if name == "arctan2":
        return mp.atan2(x, mp.mpf(values[1])) if x or values[1] else None
    if (name in ("log", "log2", "log10") and x <= 0) or (name == "log1p" and x <= -1):
        return None
    if name in ("arcsin", "arccos") and abs(x) > 1:
        return None
    if name in ("exp", "exp2", "expm1", "sinh", "cosh") and abs(x) > 4000:
        x = mp.sign(x) * 4000
    if name == "tanh" and abs(x) > 4000:
        return mp.sign(x)
    return _FUNCTIONS[name](x)


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "arccos": mp.acos,
    "arcsin": mp.asin,
    "arctan": mp.atan,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "cos": mp.cos,
    "cosh": mp.cosh,
    "erf": lambda x: mp.erf(x) if abs(x) < 20 else mp.sign(x),
    "exp": mp.exp,
    "exp2": lambda x: mp.mpf(2) ** x,
    "expm1": mp.expm1,
    "log": mp.log,
    "log10": lambda x: mp.log(x) / mp.ln10,
    "log1p": mp.log1p,
    "log2": lambda x: mp.log(x) / mp.ln2,
    "sin": mp.sin,
    "sinh": lambda x: mp.sinh(x) if abs(x) > 1e-20 else x,
    "tan": mp.tan,
    "tanh": lambda x: mp.tanh(x) if abs(x) > 1e-20 else x,
}


def ulps(got: float, exact: Any, dtype: str) -> float:
    """Error in units of the last place of the exact result, subnormal or overflowing ones too."""
    info = np.finfo(dtype)
    top = mp.mpf(float(info.max))
    if math.isinf(got):
        got = math.copysign(2.0, got) * float(info.max) if dtype == "f4" else got
        exact_top = abs(exact) > top * (1 - mp.mpf(2) ** -info.nmant)
        return 0.0 if exact_top and (got > 0) == (exact > 0) else math.inf
    if abs(exact) > top:
        return 0.0 if abs(got) >= float(info.max) and (got > 0) == (exact > 0) else math.inf
    if exact == 0:
        return 0.0 if got == 0 else math.inf
    exponent = max(mp.frexp(exact)[1] - 1, int(info.minexp))
    return float(abs(mp.mpf(got) - exact) / mp.mpf(2) ** (exponent - int(info.nmant)))


def _worst(name: str, dtype: str, arrays: tuple[np.ndarray, ...]) -> tuple[float, Any]:
    got = apply(_of(name, dtype), dtype, *arrays)
    worst: tuple[float, Any] = (0.0, None)
    for result, *values in zip(got.tolist(), *(a.tolist() for a in arrays), strict=True):
        exact = _exact(name, *values)
        if exact is not None:
            worst = max(worst, (ulps(result, exact, dtype), (values, result)), key=lambda w: w[0])
    return worst


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize(("name", "dtype"), EACH)
def test_right_to_the_last_places(name: str, dtype: str) -> None:
    arrays = _pairs(name, dtype, 200) if name in BINARY else (_arguments(name, dtype, 300),)
    error, where = _worst(name, dtype, arrays)
    assert error <= ULPS.get(name, 2.0), where


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs a wider long double")
@pytest.mark.parametrize(("name", "dtype"), [c for c in CALLS if c[0] != "erf"])
def test_right_to_the_last_places_in_a_sweep(name: str, dtype: str) -> None:
    count = 2_000_000
    arrays = _pairs(name, dtype, count) if name in BINARY else (_arguments(name, dtype, count),)
    got = apply(_of(name, dtype), dtype, *arrays)
    exact = getattr(np, name)(*(a.astype(np.longdouble) for a in arrays))
    near = exact.astype(dtype)
    known = np.isfinite(near) & np.isfinite(got)
    assert np.array_equal(np.isnan(near), np.isnan(got))
    assert (abs(got[~known & ~np.isnan(near)]) >= np.finfo(dtype).max).all()
    unit = np.spacing(abs(near[known])).astype(np.longdouble)
    error = abs(got[known].astype(np.longdouble) - exact[known]) / unit
    assert error.max() <= ULPS.get(name, 2.0) * 1.001, [a[known][error.argmax()] for a in arrays]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "dtype"), EACH)
def test_special_values_are_those_of_c(name: str, dtype: str) -> None:
    info = np.finfo(dtype)
    small, large = float(info.smallest_subnormal), float(info.max)
    values = [0.0, 1.0, 2.0, 3.0, 0.5, 2.5, np.inf, small, large, 2.0**23 + 1, 2.0**53, 2.0**63]
    values += [-v for v in values] + [np.nan, -np.nan, 1 - float(info.epsneg)]
    if name in ANY:
        values = [v for v in values if not LARGE < abs(v) < np.inf]
    if name in BINARY:
        pairs = np.array(list(itertools.product(values, values))).astype(dtype)
        arrays = tuple(np.ascontiguousarray(column) for column in pairs.T)
    else:
        arrays = (np.array(values).astype(dtype),)
    got = apply(_of(name, dtype), dtype, *arrays)
    right = _c(name, arrays).tolist()
    columns = [a.tolist() for a in arrays]
    for result, expected, *each in zip(got.tolist(), right, *columns, strict=True):
        assert math.isnan(result) == math.isnan(expected), (each, result, expected)
        if not math.isnan(expected):
            assert result == expected or abs(result / expected - 1) < 4 * info.eps, (each, result)
            assert math.copysign(1, result) == math.copysign(1, expected), (each, result)


def _c(name: str, arrays: tuple[np.ndarray, ...]) -> Any:
    if name == "erf":
        return np.array([math.erf(v) for v in arrays[0].tolist()]).astype(arrays[0].dtype)
    return getattr(np, name)(*arrays)


@pytest.mark.parametrize(("name", "dtype"), EACH)
def test_same_bits_alone_and_in_a_row(name: str, dtype: str) -> None:
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 1.0, -1.0], dtype)
    low, high = SPANS.get(name, (-100, 100))
    x = np.random.default_rng(1).uniform(low, high, 300).astype(dtype)
    x = np.concatenate([special, x, _random(dtype, 300, 2)])
    arrays = (x, np.random.default_rng(3).permutation(x)) if name in BINARY else (x,)
    together = apply(_of(name, dtype), dtype, *arrays)
    alone = [apply(_of(name, dtype), dtype, *(a[i : i + 1] for a in arrays)) for i in range(x.size)]
    kind = f"u{dtype[1]}"
    together = np.where(np.isnan(together), np.dtype(dtype).type(0), together)
    alone = np.nan_to_num(np.concatenate(alone), nan=0.0, posinf=np.inf, neginf=-np.inf)
    assert np.array_equal(together.view(kind), alone.view(kind))


@pytest.mark.parametrize(("name", "dtype"), [(n, d) for n in ANY for d in DTYPES])
def test_any_angle(name: str, dtype: str) -> None:
    x = np.array([0.5, LARGE, np.nextafter(LARGE, np.inf), 1e9, 1e22, 3e38, -1e15]).astype(dtype)
    with np.errstate(invalid="ignore"):
        got = apply(ANY[name][DTYPES.index(dtype)], dtype, x)
    assert np.array_equal(got[:2], apply(_of(name, dtype), dtype, x[:2]))
    expected = [float(_exact(name, v)) for v in x.tolist()]
    assert got == pytest.approx(np.array(expected), rel=4 * float(np.finfo(dtype).eps), abs=0)


def test_exact_results() -> None:
    powers = 2.0 ** np.arange(-1074, 1024)
    assert np.array_equal(apply(_of("log2", "f8"), "f8", powers), np.arange(-1074, 1024))
    exponents = np.arange(-1074.0, 1024.0)
    assert np.array_equal(apply(_of("exp2", "f8"), "f8", exponents), powers)
    whole = np.arange(-30.0, 31.0)
    assert np.array_equal(apply(_of("power", "f8"), "f8", whole, np.full(61, 3.0)), whole**3)
    assert np.array_equal(apply(_of("hypot", "f8"), "f8", whole * 3, whole * 4), abs(whole) * 5)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86 assembly")
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(n, d, marks=() if (n, d) in PACKED else pytest.mark.long)
        for n, d in CALLS
        if d == "f8" or n in IN_FLOAT32
    ],
)
def test_a_plain_loop_becomes_packed_instructions(name: str, dtype: str) -> None:
    import llvmlite.binding as llvm
    import numba

    features = llvm.get_host_cpu_features()
    if not (features.get("fma") and features.get("avx2")):
        pytest.skip("needs a processor with AVX2 and FMA")
    count = 2 if name in BINARY else 1
    array = numba.types.Array(numba.from_dtype(np.dtype(dtype)), 1, "C")
    loop = numba.njit(error_model="numpy")(_plain(_of(name, dtype), count).py_func)
    loop.compile((array,) * (count + 1))
    (code,) = loop.inspect_asm().values()
    assert re.search(r"vfn?m(add|sub)\d+p[sd].*[yz]mm", code)
    symbols = set(re.findall(r"movabsq\s+\$([a-z_0-9]+),", code))
    symbols |= set(re.findall(r"(?:call|jmp)q?\s+\*?([a-z_0-9]+)(?:@|\b)", code))
    libm = {"exp", "log", "sin", "cos", "tan", "pow", "fma", "sqrt", "hypot", "erf", "floor"}
    assert not {s for s in symbols if s.rstrip("f") in libm}
