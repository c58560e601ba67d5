"""Every word against NumPy, to the bit, on edge values of its dtypes; it compiles few kernels."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from oocarray.fusing.words import Word, cast, loop_of, word
from oocarray.jit import ArrayArg, compile_kernel, load
from oocarray.lazy.arith import _astype
from oocarray.masking import _choose
from oocarray.namespace.comparing import _same
from oocarray.namespace.elementwise import _copied, _Select
from oocarray.namespace.norms import _square
from oocarray.namespace.rounding import _Clip, _NanToNum
from oocarray.namespace.searching import _true

INTEGERS = [np.dtype(code) for code in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")]
FLOATS = [np.dtype("f4"), np.dtype("f8")]
UFUNCS = [one for one in vars(np).values() if isinstance(one, np.ufunc)]
UFUNCS = [one for one in UFUNCS if one.nout == 1 and one.signature is None]
UNARY = sorted({one for one in UFUNCS if one.nin == 1}, key=lambda one: one.__name__)
BINARY = sorted({one for one in UFUNCS if one.nin == 2}, key=lambda one: one.__name__)
ANY_ZERO = (np.fmax, np.fmin)  # NumPy chooses one of two zeros differently in one array
ULPS = {np.power: 4, np.float_power: 4}


@dataclass
class Case:
    function: Any
    operands: tuple[Any, ...]
    """Arrays, and Python numbers."""
    kwargs: dict[str, Any]
    loop: tuple[np.dtype[Any], ...]
    word: Word

    def __str__(self) -> str:
        name = getattr(self.function, "__name__", self.function)
        given = [getattr(one, "dtype", one) for one in self.operands]
        return f"{name}{given} {self.kwargs} as {self.word.template}"


def case(function: Any, *operands: Any, math: str = "libm", **kwargs: Any) -> Case | None:
    given = tuple(one.dtype if isinstance(one, np.ndarray) else one for one in operands)
    loop = loop_of(function, given, kwargs)
    if loop is None:
        return None
    more = dict(kwargs)
    if function in (np.power, np.float_power) and not isinstance(operands[1], np.ndarray):
        more["literal exponent"] = operands[1]
    found = word(function, loop, more, math)
    return None if found is None else Case(function, operands, kwargs, loop, found)


def spelled(cases: list[Case]) -> tuple[str, dict[str, Any], list[np.ndarray], list[np.ndarray]]:
    """One function of a loop for every case, what it needs, its arguments, and the results."""
    names: dict[str, Any] = {"np": np}
    inputs: dict[Any, np.ndarray] = {}
    rows: dict[Any, int] = {}
    places, lines = [], []
    for one in cases:
        for name, value in one.word.needs:
            assert names.setdefault(name, value) is value, name
        fields = []
        for operand, dtype in zip(one.operands, one.loop, strict=False):
            if isinstance(operand, np.ndarray):
                with np.errstate(all="ignore"):
                    inputs.setdefault((id(operand), dtype), operand.astype(dtype, copy=False))
                fields.append(f"a{list(inputs).index((id(operand), dtype))}[i]")
            else:
                fields.append(f"{named(dtype)}({operand!r})")
        size = max(one.size for one in one.operands if isinstance(one, np.ndarray))
        out = (one.loop[-1], size)
        rows[out] = rows.get(out, -1) + 1
        places.append((out, rows[out]))
        lines.append(f"    for i in range({size}):")
        lines += [f"        v{k} = {field}" for k, field in enumerate(fields)]
        text = one.word.template.format(*(f"v{k}" for k in range(len(fields))))
        at = f"o{list(rows).index(out)}[{rows[out]}, i]"
        lines.append(f"        {at} = {named(one.loop[-1])}({text})")
    outs = [np.zeros((count + 1, size), dtype) for (dtype, size), count in rows.items()]
    results = [outs[list(rows).index(out)][row] for out, row in places]
    arguments = [f"a{k}" for k in range(len(inputs))] + [f"o{k}" for k in range(len(rows))]
    source = "\n".join([f"def words({', '.join(arguments)}):", *lines])
    return source, names, [*inputs.values(), *outs], results


def named(dtype: np.dtype[Any]) -> str:
    return "np.bool_" if dtype.kind == "b" else f"np.{dtype.name}"


def check(cases: list[Case | None], expected: int = 1) -> None:
    """Run all the cases in few kernels, and compare with NumPy."""
    there = [one for one in cases if one is not None]
    assert len(there) >= expected, len(there)
    wrong: list[str] = []
    for start in range(0, len(there), 25):  # the time to compile grows faster than the source
        wrong += failures(there[start : start + 25])
    assert not wrong, "\n".join(wrong)


def failures(cases: list[Case]) -> list[str]:
    source, names, arrays, results = spelled(cases)
    exec(compile(source, "words", "exec"), names)
    types = tuple(ArrayArg(one.dtype.str, one.ndim, readonly=False) for one in arrays)
    load(compile_kernel(names["words"], types))(*arrays)
    wrong = []
    for one, found in zip(cases, results, strict=True):
        with np.errstate(all="ignore"):
            wanted = np.asarray(one.function(*one.operands, **one.kwargs))
        if bad := differs(one, found, wanted):
            wrong.append(f"{one}: {bad}")
    return wrong


def differs(one: Case, found: np.ndarray, wanted: np.ndarray) -> str:
    if found.dtype != wanted.dtype:
        return f"{found.dtype}, not {wanted.dtype}"
    if found.dtype.kind != "f":
        bad = found != wanted
    else:
        same = found.view(f"i{found.itemsize}") == wanted.view(f"i{found.itemsize}")
        same |= np.isnan(found) & np.isnan(wanted)
        if one.function in ANY_ZERO:
            same |= found == wanted
        if not one.word.exact:
            same |= apart(found, wanted) <= ULPS.get(one.function, 2)
        bad = ~same
    if not bad.any():
        return ""
    operands = [o[bad][:6].tolist() if isinstance(o, np.ndarray) else o for o in one.operands]
    return f"{bad.sum()} of {bad.size}, {operands}: {found[bad][:6]} not {wanted[bad][:6]}"


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The distance in units of the last place; infinite where one is NaN, or no number."""
    with np.errstate(all="ignore"):
        gap = np.abs(one.astype("g") - other) / np.spacing(np.abs(other)).astype("g")
    return np.where(np.isfinite(gap), gap, np.where(one == other, 0, np.inf))


def edges(dtype: np.dtype[Any], count: int = 12) -> np.ndarray:
    """Values at which functions of elements go wrong, and some others."""
    rng = np.random.default_rng(7)
    if dtype.kind == "b":
        return np.array([False, True] * 20)
    if dtype.kind in "iu":
        info, bits = np.iinfo(dtype), 8 * dtype.itemsize
        near = [0, 1, 2, 3, 7, 10, bits - 1, bits, bits + 1, 64, 100]
        near += [info.max, info.max - 1, info.max // 2, info.max // 2 + 1, info.min, info.min + 1]
        if dtype.kind == "i":
            near += [-1, -2, -3, -7, -bits, info.min // 2]
        some = rng.integers(info.min, info.max, count, dtype, endpoint=True)
        return np.concatenate([np.array(near, object).astype(dtype), some])
    info = np.finfo(dtype)
    near = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 2.5, 0.1, 0.3, 10.0, 1 / 3, 7.0, 100.0, 4.9999999]
    near += [np.inf, info.max, info.tiny, info.smallest_subnormal, info.tiny / 4, info.eps, 1e9]
    near += [np.nextafter(dtype.type(1), dtype.type(2)), np.nextafter(dtype.type(1), dtype.type(0))]
    near += [2.0**31, 2.0**31 - 1, 2.0**63, 2.0**64, 2.0**52, 2.0**23 + 0.5, 127.5, 255.5, 1e19]
    some = [*rng.normal(size=count), *np.exp(rng.normal(size=count) * 8)]
    values = np.array(near + some, dtype)
    return np.concatenate([values, -values, [np.nan]]).astype(dtype)


def pairs(one: np.dtype[Any], other: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(edges(one), edges(other), indexing="ij")
    return x.ravel(), y.ravel()


def of_dtype(dtype: np.dtype[Any], math: str = "libm") -> list[Case | None]:
    """All that there is for operands of a dtype."""
    x, y = pairs(dtype, dtype)
    z = np.roll(y, 5)
    mask = np.resize([True, False, False], x.size)
    cases: list[Case | None] = [case(ufunc, x, math=math) for ufunc in UNARY]
    cases += [case(ufunc, x, y, math=math) for ufunc in BINARY]
    cases += [case(_Clip(True, True), x, y, z), case(_Clip(True, False), x, y)]
    cases += [case(_Clip(False, True), x, y), case(_Select(2), mask, mask[::-1].copy(), x, y, z)]
    cases += [case(np.where, mask, x, y), case(np.where, x, y, z), case(_choose, mask, y, x)]
    cases += [case(one, x) for one in (np.real, np.fix, np.isposinf, np.isneginf)]
    cases += [case(one, x) for one in (_copied, _true, _square)]
    cases += [case(np.round, x, decimals=decimals) for decimals in (0, 1, 3, -2)]
    if dtype.kind == "f":
        cases += [case(_same, x, y), case(_NanToNum(("nan",)), x, 0.0)]
        cases += [case(_NanToNum(("nan", "posinf", "neginf")), x, 1.5, y, 3)]
        cases += [case(np.power, x, n) for n in (0, 1, 2.0, -1, 0.5, 3, 4, 5, 2.5)]
        cases += [case(np.multiply, x, 0.1), case(np.where, mask, x, 0)]
    elif dtype.kind != "b":
        cases += [case(np.power, x, n) for n in (0, 1, 2, 3, 5, 100)]
        cases += [case(np.floor_divide, x, n) for n in (0, 3)]
    # Those that NumPy calculates in another dtype are tested there.
    return [one for one in cases if one and dtype in one.loop[:2]]


WIDTHS = [
    *(np.floor_divide, np.remainder, np.fmod, np.left_shift, np.right_shift, np.absolute),
    np.sign,
]  # what is spelled for each width, or depends on it


@pytest.mark.parametrize("dtype", [np.dtype(code) for code in ("?", "i1")], ids=str)
def test_integers(dtype):
    check(of_dtype(dtype), 25)


def test_every_width():
    cases = []
    for code in ("i8", "u4"):
        x, y = pairs(np.dtype(code), np.dtype(code))
        cases += [case(ufunc, *(x, y)[: ufunc.nin]) for ufunc in WIDTHS]
        cases += [case(np.power, x, 5)]
    check(cases, 15)


@pytest.mark.parametrize(
    "dtype",
    [pytest.param(one, marks=pytest.mark.long if one == "f4" else ()) for one in FLOATS],
    ids=str,
)
def test_floats(dtype):
    check(of_dtype(dtype), 70)


def vector_cases(dtype: np.dtype[Any], names: Any) -> list[Case | None]:
    from oocarray import vectormath

    x, y = pairs(dtype, dtype)
    low = edges(dtype)
    low = low[~(np.abs(low) > vectormath.LARGE)]
    cases: list[Case | None] = []
    for ufunc in (*UNARY, *BINARY):
        if ufunc.__name__ not in names:
            continue
        there = case(ufunc, *(x, y)[: ufunc.nin], math="vector")
        assert there is not None
        assert there.word.needs[0][1] in vectormath.VECTOR[ufunc.__name__]
        if there.word.rare is not None:
            cases.append(case(ufunc, low, math="vector"))
            there.word = replace(there.word, template=there.word.any)
            assert np.isnan(x).any()
            test = there.word.rare.format("x")
            assert np.array_equal(eval(test), np.abs(x) > vectormath.LARGE)
        cases.append(there)
    return cases


def test_vector_kernels():
    names = ("exp", "sin", "power")
    check([one for dtype in FLOATS for one in vector_cases(dtype, names)], 8)


@pytest.mark.long
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_all_vector_kernels(dtype):
    from oocarray import vectormath

    check(vector_cases(dtype, vectormath.VECTOR), 15)


@pytest.mark.long
@pytest.mark.parametrize("dtype", INTEGERS[1:], ids=str)
def test_all_integers(dtype):
    check(of_dtype(dtype), 60)


def casts(source: np.dtype[Any]) -> list[Case | None]:
    x = edges(source)
    return [
        case(_astype, x, dtype=target, casting="unsafe")
        for target in (*INTEGERS, *FLOATS)
        if target != source
    ]


def test_casts():
    check([one for code in ("?", "i8", "u8", "f4", "f8") for one in casts(np.dtype(code))], 40)


@pytest.mark.long
def test_all_casts():
    check([one for source in (*INTEGERS, *FLOATS) for one in casts(source)], 100)


def test_casts_that_numpy_does_inconsistently_have_no_word():
    x = np.zeros(3)
    assert case(_astype, x, dtype=np.dtype("u4"), casting="unsafe") is None
    assert cast(np.dtype("f4"), np.dtype("u4")) is None
    assert cast(np.dtype("f4"), np.dtype("f2")) is None


def test_unlike_operands():
    cases = []
    compared = (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal)
    for one, other in (("i8", "u8"), ("u8", "i8")):
        x, y = pairs(np.dtype(one), np.dtype(other))
        cases += [case(ufunc, x, y) for ufunc in compared]
    for one, other in (("i2", "f4"), ("u8", "f4"), ("i8", "u8"), ("?", "i4"), ("i1", "u2")):
        x, y = pairs(np.dtype(one), np.dtype(other))
        cases += [case(ufunc, x, y) for ufunc in (np.add, np.true_divide)]
        cases += [case(np.where, x, x, y)]
    x = edges(np.dtype("i2"))
    cases += [case(ufunc, x) for ufunc in (np.rint, np.signbit, np.sqrt, np.exp)]
    cases += [case(np.where, x > 1, x, True), case(np.where, x, x, 2.5), case(np.add, x, True)]
    cases += [case(np.add, edges(np.dtype("f8")), 1, dtype=np.dtype("f4"))]
    check(cases, 15)


def test_constants_of_the_dtype_keep_float32_in_single_precision():
    for ufunc in (*UNARY, *BINARY):
        f4 = (np.dtype("f4"),) * (ufunc.nin + 1)
        found = word(ufunc, f4, {}, "libm")
        if found is not None and found.exact:
            assert "float64" not in found.template, ufunc


@pytest.mark.parametrize("ufunc", [*UNARY, *BINARY], ids=lambda one: one.__name__)
def test_loops_are_those_of_numpy(ufunc):
    dtypes = [*INTEGERS, *FLOATS]
    for given in itertools.product(dtypes, repeat=ufunc.nin):
        loop = loop_of(ufunc, given, {})
        try:
            with np.errstate(all="ignore"):
                wanted = ufunc(*(np.empty(0, one) for one in given)).dtype
        except TypeError:
            assert loop is None
            continue
        if loop is not None:
            assert loop[-1] == wanted
            with np.errstate(all="ignore"):  # the dtypes of the operands are those of a real loop
                assert ufunc(*(np.empty(0, one) for one in loop[:-1])).dtype == wanted
        elif wanted.kind in "biuf" and wanted.itemsize <= 8 and wanted.char != "e":
            assert any(one.char == "e" for one in ufunc.resolve_dtypes((*given, None)))


def test_loops_of_other_functions_are_those_of_numpy():
    scalars = [True, 1, -1, 300, 2**40, 2**63, 0.5, 1e300, np.inf]
    every = [*INTEGERS, *FLOATS, *scalars]
    functions = [
        (np.where, {}),
        (_Clip(True, True), {}),
        (_Clip(True, False), {}),
        (_Select(1), {}),
    ]
    for (function, kwargs), (x, y) in itertools.product(functions, itertools.product(every, every)):
        first = np.dtype(bool) if function is np.where or isinstance(function, _Select) else x
        given = (first, x, y)[-2 if function == _Clip(True, False) else -3 :]
        loop = loop_of(function, given, kwargs)
        if loop is None:
            continue
        operands = [np.empty(0, one) if isinstance(one, np.dtype) else one for one in given]
        with contextlib.suppress(TypeError):  # what NumPy refuses never comes here
            assert loop[-1] == function(*operands, **kwargs).dtype, (function, given)


@pytest.mark.parametrize(
    ("function", "given", "kwargs"),
    [
        (np.add, (np.dtype("u1"), 256), {}),
        (np.add, (np.dtype("i1"), -129), {}),
        (np.less, (np.dtype("u1"), -1), {}),
        (np.add, (np.dtype("f4"), 1e39), {}),
        (np.add, (np.dtype("c8"), np.dtype("f4")), {}),
        (np.add, (np.dtype("f2"), 1), {}),
        (np.add, (np.dtype("g"), 1), {}),
        (np.add, (np.dtype(">f4"), 1), {}),
        (np.add, (np.dtype("f8"), 1j), {}),
        (np.add, (1, 2), {}),
        (np.add, (np.dtype("M8[s]"), np.dtype("m8[s]")), {}),
        (np.add, (np.dtype("O"), 1), {}),
        (np.add, (np.dtype("f8"), 1), {"dtype": np.dtype("i4")}),
        (np.subtract, (np.dtype("?"), np.dtype("?")), {}),
        (np.sin, (np.dtype("i1"),), {}),
        (np.frexp, (np.dtype("f8"),), {}),
        (np.matmul, (np.dtype("f8"), np.dtype("f8")), {}),
        (np.where, (np.dtype("?"), np.dtype("u1"), 300), {}),
        (_choose, (np.dtype("?"), 2.5, np.dtype("i4")), {}),
        (_astype, (np.dtype("f8"),), {"dtype": np.dtype("i4"), "casting": "same_kind"}),
        (np.i0, (np.dtype("f8"),), {}),
        (len, (np.dtype("f8"),), {}),
    ],
)
def test_loops_that_there_are_not(function, given, kwargs):
    assert loop_of(function, given, kwargs) is None


def test_powers_of_integers_need_an_exponent_that_is_known():
    i4 = (np.dtype("i4"),) * 3
    assert word(np.power, i4, {}, "libm") is None
    assert word(np.power, i4, {"literal exponent": -1}, "libm") is None
    assert word(np.power, i4, {"literal exponent": 2}, "libm") is not None


def test_what_calls_libm_runs_in_other_processes():
    x = np.array([5.5, -5.5])
    there = [case(np.fmod, x, 2.0), case(np.cbrt, x), case(np.hypot, x, 3.0)]
    source, names, arrays, results = spelled([one for one in there if one])
    exec(compile(source, "words", "exec"), names)
    types = tuple(ArrayArg(one.dtype.str, one.ndim, readonly=False) for one in arrays)
    made = pickle.dumps(compile_kernel(names["words"], types))
    run = (
        "import pickle, sys; from oocarray.jit import load; import numpy as np\n"
        "made, arrays = pickle.loads(sys.stdin.buffer.read())\n"
        "load(pickle.loads(made))(*arrays); print(arrays[-1].tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", run], input=pickle.dumps((made, arrays)), capture_output=True
    )
    load(pickle.loads(made))(*arrays)
    assert done.stdout.decode().strip() == str(arrays[-1].tolist()), done.stderr
    assert results[0].tolist() == [1.5, -1.5]


def test_flags_of_nan_are_raised_by_no_word_that_says_so():
    x, y = np.array([[np.nan, 1.5, 0.0, 2.0], [1.0, np.nan, 2.0, 3.0]]).repeat(16, axis=1)
    functions = [np.absolute, np.add, np.rint, np.isnan, np.isinf, np.isfinite, np.signbit]
    functions += [np.equal, np.not_equal, np.logical_and, np.fmod, np.copysign, np.sqrt]
    cases = [case(one, *(x, y)[: one.nin]) for one in functions]
    cases += [case(_same, x, y), case(_NanToNum(("nan",)), x, 0.0), case(np.where, x, x, y)]
    cases += [case(one, x, math="vector") for one in (np.exp, np.sin)]
    there = [one for one in cases if one is not None]
    assert all(one.word.flags for one in there)
    for ufunc in (np.less, np.maximum, np.remainder):
        assert not word(ufunc, loop_of(ufunc, (x.dtype, x.dtype), {}), {}, "libm").flags
    source, names, arrays, _ = spelled(there)
    exec(compile(source, "words", "exec"), names)
    types = tuple(ArrayArg(one.dtype.str, one.ndim, readonly=False) for one in arrays)
    entry, libm = load(compile_kernel(names["words"], types)), ctypes.CDLL("libm.so.6")
    invalid, divided, overflow = 1, 4, 8  # as x86 has them
    libm.feclearexcept(invalid | divided | overflow)
    entry(*arrays)
    assert libm.fetestexcept(invalid | divided | overflow) == 0
