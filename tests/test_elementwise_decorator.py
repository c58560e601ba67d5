"""Functions of scalars on arrays, against `numpy.vectorize`; kernels alone are tested elsewhere."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from opcheck import check_operation

import oocarray as oo
from oocarray import jit
from oocarray.backends import mapped
from oocarray.backends.codes import needs_kernels
from oocarray.errors import DtypeError, KernelError
from oocarray.operations.elementwise import Literal
from oocarray.operations.scalar import MOST, ScalarFunction
from oocarray.scalars import ScalarKernel, elementwise

SCHEDULERS = ("serial", "threads", "processes")
Make = Callable[..., Path]
SHIFT = 1.0


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with oo.options(scheduler="serial", workers=2, progress=False):
        yield


@pytest.fixture(params=SCHEDULERS)
def anywhere(request: pytest.FixtureRequest) -> Iterator[str]:
    with oo.options(scheduler=request.param, workers=2, progress=False):
        yield str(request.param)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is compiled, cached or not."""
    names: list[str] = []
    real = jit.compile_kernel

    def compile_kernel(func: Any, args: Any, **how: Any) -> Any:
        names.append(func.__name__)
        return real(func, args, **how)

    monkeypatch.setattr(jit, "compile_kernel", compile_kernel)
    return names


@elementwise
def soft(x: Any, k: Any) -> Any:
    return x / (1 + abs(x) ** k)


@elementwise
def clamp(x: Any, low: Any, high: Any = 5) -> Any:
    if x < low:
        return low
    return min(x, high)


@elementwise
def shifted(x: Any) -> Any:
    return x + SHIFT


@elementwise
def steps(x: Any, most: Any) -> Any:
    n = 0
    for _ in range(most):
        if x > 100:
            break
        x = x * x + 1
        n += 1
    return n


def _vectorized(function: ScalarKernel, dtype: Any, *args: Any) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(np.vectorize(function.func, otypes=[dtype])(*args))


def _values(dtype: str, shape: Any = (5, 7)) -> np.ndarray:
    numbers = np.arange(math.prod(shape)).reshape(shape) % 11
    return (numbers - (0 if np.dtype(dtype).kind == "u" else 4)).astype(dtype)


# Values


def _long(*cases: Any) -> list[Any]:
    """Cases that compile loops of their own, where others like them run every time."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.long)
        for case in cases
    ]


@pytest.mark.parametrize(
    "dtype", ["f8", "f4", "i8", "u2", "c16", "?", *_long("i4", "i1", "u8", ">f8", ">i2")]
)
def test_like_vectorize(dtype: str) -> None:
    x = _values(dtype)
    y = soft(oo.from_array(x), 2.0)
    found = y.compute()
    assert found.dtype == y.dtype
    expected = _vectorized(soft, y.dtype, x.astype(x.dtype.newbyteorder("=")), 2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("order", ["C", "F"])
def test_files_under_every_scheduler(npy: Make, anywhere: str, order: str) -> None:
    path, other = npy((300, 400), order=order), npy((400,), "f4")
    x, w = np.load(path), np.load(other)
    y = clamp(oo.open(path, chunks=(70, 90)), oo.open(other), 2.5)
    assert y.dtype == np.float64
    expected = _vectorized(clamp, "f8", x, w, 2.5)
    np.testing.assert_array_equal(y.compute(), expected)
    assert float(y.sum().compute()) == pytest.approx(expected.sum())
    np.testing.assert_allclose((y * 2 + 1).max(axis=0).compute(), (expected * 2 + 1).max(axis=0))


def test_reductions_and_functions_above_and_below(anywhere: str) -> None:
    x = np.linspace(-3, 3, 1000)
    a = oo.from_array(x, chunks=300)
    s = soft(a, 2)
    expected = x / (1 + x**2)
    total, doubled = oo.compute(s.sum(), oo.map_blocks(np.multiply, s, 2.0, dtype="f8"))
    assert float(total) == pytest.approx(expected.sum(), abs=1e-9)
    np.testing.assert_allclose(doubled, expected * 2)
    below = soft(oo.map_blocks(np.negative, a), 2)
    np.testing.assert_allclose(below.compute(), -expected)


def test_mixed_arguments_broadcast() -> None:
    x, row, column = _values("f8"), _values("f4", (7,)), _values("i4", (5, 1))

    @elementwise
    def mix(x: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        return x * a + b - c * d

    y = mix(oo.from_array(x), row, oo.from_array(column), np.float32(0.5), d=3)
    assert y.shape == (5, 7)
    np.testing.assert_array_equal(y.compute(), x * row + column - 1.5)
    assert mix(oo.from_array(row), row, column, 1, 1).shape == (5, 7)
    assert mix([1, 2], 1, 2, 3, 4).compute().tolist() == [-9, -8]
    with pytest.raises(ValueError, match="broadcast"):
        mix(oo.from_array(x), row[:3], 1, 1, 1)


@pytest.mark.parametrize("count", [1, 2, MOST, *_long(*range(3, MOST))])
def test_any_number_of_parameters(count: int) -> None:
    names = "abcdefgh"[:count]
    body = " + ".join(f"{10**k} * {name}" for k, name in enumerate(names))
    scope: dict[str, Any] = {}
    exec(f"def f({', '.join(names)}):\n    return {body}", scope)
    f = elementwise(scope["f"])
    x = np.arange(4)
    args = [x + k if k % 3 == 0 else k for k in range(count)]
    expected = sum(10**k * np.asarray(arg) for k, arg in enumerate(args))
    np.testing.assert_array_equal(f(*args).compute(), expected)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (1, 1)])
def test_shapes_at_the_edge(shape: tuple[int, ...]) -> None:
    x = np.full(shape, 3.0)
    y = soft(oo.from_array(x), 2).compute()
    assert y.shape == shape
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, x / 10)
    other = soft(oo.from_array(x), np.full((2, *shape), 2)).compute()
    np.testing.assert_allclose(other, np.full((2, *shape), 0.3))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[::2, ::-1],
        lambda x: x.T,
        lambda x: np.broadcast_to(x[:1], x.shape),
        lambda x: x.astype(">f4")[:, 1::3],
        lambda x: np.frombuffer(b"-" + x.tobytes(), "u1")[1:].view(x.dtype),
    ],
    ids=["strided", "transposed", "repeated", "swapped", "unaligned"],
)
def test_memory_of_any_form(anywhere: str, view: Any) -> None:
    x = view(_values("f8", (40, 50)) + 0.5)
    np.testing.assert_array_equal(shifted(oo.from_array(x)).compute(), x + SHIFT)


def test_many_pieces() -> None:
    x = np.random.default_rng(0).normal(size=(300, 500))
    for a in (x, x.T, x[:, ::3]):
        np.testing.assert_array_equal(shifted(oo.from_array(a)).compute(), a + SHIFT)
        np.testing.assert_array_equal(shifted(shifted(oo.from_array(a))).compute(), a + 1 + 1)


def test_division_by_zero_is_as_in_numpy() -> None:
    @elementwise
    def ratio(x: Any, y: Any) -> Any:
        return x / y

    found = ratio(np.array([1.0, -1.0, 0.0]), 0.0).compute()
    np.testing.assert_array_equal(found, [np.inf, -np.inf, np.nan])


def test_scalars_alone_call_the_function() -> None:
    called = []

    @elementwise
    def listed(x: Any, y: Any = 2) -> Any:
        called.append(x)
        return [x, y]

    assert listed(1) == [1, 2]
    assert listed(np.float32(1), y=None) == [1.0, None]
    assert len(called) == 2
    assert soft.func(1, 1) == 0.5
    assert soft.__name__ == "soft"
    with pytest.raises(TypeError, match="missing"):
        soft(np.ones(3))


def test_stored(npy: Make, tmp_path: Path, anywhere: str) -> None:
    path = npy((100, 30), ">f4")
    soft(oo.open(path, chunks=(40, 30)), 2.0).store(tmp_path / "out.npy")
    x = np.load(path).astype("f8")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), x / (1 + x**2), rtol=1e-6)


# Dtypes


@pytest.mark.parametrize(
    ("dtype", "scalar", "expected"),
    [
        ("f4", 2.0, "f4"),
        ("f4", np.float64(2), "f8"),
        ("i2", 2.0, "f8"),
        ("f4", 1j, "c8"),
        *_long(("c8", 2.0, "c8"), ("u8", 2, "u8"), ("f8", True, "f8"), (">f4", 2.0, "f4")),
    ],
)
def test_python_numbers_are_weak(dtype: str, scalar: Any, expected: str) -> None:
    @elementwise
    def times(x: Any, k: Any) -> Any:
        return x * k

    y = times(oo.from_array(np.ones(3, dtype)), scalar)
    assert y.dtype == np.dtype(expected)
    assert y.compute().tolist() == [scalar] * 3


def test_python_integers_count_beside_floats() -> None:
    x = np.array([0.0, 5.0, 1000.0])
    assert steps(x, 10).compute().tolist() == [steps(value, 10) for value in x]
    assert steps(x, 10).dtype == np.int64
    with pytest.raises(OverflowError):
        clamp(np.arange(3, dtype="i1"), 300).compute()


@pytest.mark.parametrize("dtype", ["f4", "i2", ">f8", "c8", "?"])
def test_dtype_given(anywhere: str, dtype: str) -> None:
    @elementwise(dtype=dtype)
    def half(x: Any) -> Any:
        return x / 2

    x = np.arange(6.0)
    y = half(oo.from_array(x))
    assert y.dtype == np.dtype(dtype)
    found = y.compute()
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found, (x / 2).astype(dtype))


def test_dtype_of_the_argument_may_not_be_known(npy: Make) -> None:
    path = npy(10)
    y = shifted(oo.map_blocks(np.negative, oo.open(path)))
    np.testing.assert_array_equal(y.compute(), SHIFT - np.load(path))


def test_dates() -> None:
    @elementwise
    def later(x: Any, by: Any) -> Any:
        return x + by

    days = np.arange("2024-01-01", "2024-01-05", dtype="M8[D]")
    y = later(days, np.timedelta64(2, "D"))
    np.testing.assert_array_equal(y.compute(), days + np.timedelta64(2, "D"))


# When it is compiled


def test_nothing_is_compiled_before_it_is_needed(compiled: list[str]) -> None:
    @elementwise(dtype="f8")
    def given(x: Any) -> Any:
        return x + 17

    a = oo.from_array(np.arange(10.0), chunks=3)
    y, s = given(a), soft(a, 2.0)
    total = given(given(a)).sum()
    assert (y.shape, y.dtype, s.shape, total.dtype) == ((10,), "f8", (10,), "f8")
    assert not set(compiled) & {"given", "soft"}
    y.compute()
    assert compiled.count("given") == 1
    assert s.dtype == np.float64
    assert compiled.count("soft") == 1


def test_dtype_calls_nothing_and_reads_nothing() -> None:
    @elementwise
    def fails(x: Any) -> Any:
        if x > -1:
            raise ValueError("called")
        return x

    y = fails(oo.from_array(np.arange(3.0)))
    assert y.dtype == np.float64
    with pytest.raises(ValueError, match="called"):
        y.compute()


def test_plans_say_that_they_need_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(mapped, "needs_kernels", lambda plan: asked.append(needs_kernels(plan)))
    a = oo.from_array(np.arange(3.0))
    slow = elementwise(dtype="f8", compile=False)(shifted.func)
    for y in (a + 1, shifted(a) + 1, oo.map_blocks(np.cos, shifted(a), dtype="f8"), slow(a)):
        y.compute()
    assert asked == [False, True, True, False]


def test_globals_and_closures_are_those_of_the_run(
    monkeypatch: pytest.MonkeyPatch, anywhere: str
) -> None:
    factor = 2.0

    @elementwise
    def both(x: Any) -> Any:
        return x * factor + SHIFT

    x = np.arange(5.0)
    y = both(oo.from_array(x, chunks=2))
    for factor, shift in ((2.0, 1.0), (3.0, 1.0), (3.0, -4.0), (2.0, 1.0)):
        monkeypatch.setitem(globals(), "SHIFT", shift)
        np.testing.assert_array_equal(y.compute(), x * factor + shift)
        assert y.dtype == np.float64


def test_a_dtype_stays_as_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SHIFT", 1)
    x = np.arange(4)
    y = shifted(oo.from_array(x))
    assert y.dtype == np.int64
    monkeypatch.setitem(globals(), "SHIFT", 2.0)
    found = y.compute()
    assert found.dtype == np.int64
    assert found.tolist() == (x + 2).tolist()


def test_functions_that_call_each_other(anywhere: str) -> None:
    @oo.kernel
    def square(x: Any) -> Any:
        return x * x

    @elementwise
    def area(x: Any) -> Any:
        return shifted(square(x))

    np.testing.assert_array_equal(area(np.arange(4.0)).compute(), np.arange(4) ** 2 + SHIFT)


def test_functions_of_modules(tmp_path: Path, anywhere: str, monkeypatch: Any) -> None:
    (tmp_path / "scalar_module.py").write_text(
        "from oocarray.scalars import elementwise\n"
        "OFFSET = 3\n"
        "@elementwise\n"
        "def plus(x):\n    return x + OFFSET\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import scalar_module

    try:
        assert scalar_module.plus(np.arange(3)).compute().tolist() == [3, 4, 5]
    finally:
        del sys.modules["scalar_module"]


@pytest.mark.parametrize("how", ["plain", "dtype='f8', compile=False"])
def test_functions_of_scripts(tmp_path: Path, how: str) -> None:
    script = tmp_path / "script.py"
    decorator = "@elementwise" if how == "plain" else f"@elementwise({how})"
    script.write_text(
        textwrap.dedent(
            f"""
            import numpy as np, oocarray as oo
            from oocarray.scalars import elementwise
            K = 4.0
            {decorator}
            def soft(x, k):
                return x / (K + abs(x) ** k)
            x = np.arange(1000.0)
            for scheduler in ("processes", "threads"):
                with oo.options(scheduler=scheduler, workers=2, progress=False):
                    y = soft(oo.from_array(x, chunks=300), 2.0)
                    assert np.allclose(y.compute(), x / (4 + x**2))
                    assert np.isclose(float(y.sum().compute()), (x / (4 + x**2)).sum())
            print("fine")
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(Path(oo.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("fine\n", 0), done.stderr


# What is refused, and what is left to the interpreter


def _plain(x: Any) -> Any:
    return x


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (lambda x: x.nothing, "nothing"),
        (lambda x: {1: x}, "DictType"),
        (lambda x: _plain(x), "decorate it with kernel"),
        (lambda x: vars(x), "vars"),
    ],
)
def test_what_cannot_be_compiled(body: Any, reason: str) -> None:
    body.__name__ = "hopeless"
    y = elementwise(body)(np.ones(3))
    for ask in (lambda: y.dtype, y.compute):
        with pytest.raises(KernelError, match=f"(?s)'hopeless'.*{reason}|{reason}.*'hopeless'"):
            ask()
    given = elementwise(dtype="f8")(body)(np.ones(3))
    with pytest.raises(KernelError, match=f"(?s){reason}.*compile=False"):
        given.compute()


def test_what_is_refused_at_once() -> None:
    with pytest.raises(KernelError, match="builtin_function"):
        elementwise(abs)
    with pytest.raises(KernelError, match="by its position"):
        elementwise(lambda *args: 1)
    with pytest.raises(KernelError, match="by its position"):
        elementwise(lambda x, *, k: 1)
    with pytest.raises(KernelError, match="0 parameters"):
        elementwise(lambda: 1)
    with pytest.raises(KernelError, match="9 parameters"):
        elementwise(lambda a, b, c, d, e, f, g, h, i: 1)
    with pytest.raises(TypeError, match="give dtype="):
        elementwise(compile=False)(_plain)
    with pytest.raises(DtypeError, match="float16"):
        elementwise(dtype="f2")(_plain)
    with pytest.raises(DtypeError, match="float16"):
        _ = elementwise(_plain)(np.ones(3, "f2")).dtype


def test_interpreted(npy: Make, anywhere: str) -> None:
    names = {0: "even", 1: "odd"}

    @elementwise(dtype="i8", compile=False)
    def letters(x: Any, *more: Any) -> Any:
        return len(names[int(x) % 2]) + sum(more)

    path = npy((6, 5), "i4", order="F")
    y = letters(oo.open(path, chunks=(2, 5)), np.arange(5), 10)
    expected = np.where(np.load(path) % 2, 3, 4) + np.arange(5) + 10
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y.compute(), expected)
    assert letters(np.float64(3)) == 3


def test_interpreted_gets_numpys_scalars() -> None:
    seen = []

    @elementwise(dtype="f4", compile=False)
    def look(x: Any, k: Any) -> Any:
        seen.append((type(x), type(k)))
        return x

    assert look(np.ones(2, ">f4"), 2).compute().tolist() == [1, 1]
    assert set(seen) == {(np.float32, int)}


# The record


@pytest.mark.parametrize("interpreted", [False, True])
def test_the_contract_of_operations(interpreted: bool) -> None:
    x, row, one = _values("f8"), _values("f4", (7,)), np.array([[2.0]])
    operation = ScalarFunction(
        _sum4, (0, Literal(3), 1, 2), np.dtype("f8") if interpreted else None, "sum4", interpreted
    )
    check_operation(operation, [x, row, one], x + 3 + row + one)
    check_operation(operation, [x.T, one, one], x.T + 3 + one + one)


def _sum4(a: Any, b: Any, c: Any, d: Any) -> Any:
    return a + b + c + d


def test_equality_and_pickles() -> None:
    one, two = (ScalarFunction(_plain, (0,), None, "plain") for _ in range(2))
    assert (one, hash(one)) == (two, hash(two))
    assert one != ScalarFunction(shifted.func, (0,), None, "plain")
    assert one != ScalarFunction(_plain, (0,), np.dtype("f8"), "plain")
    dtypes, shapes = [np.dtype("f8")], [(3,)]
    code = one.compiled(dtypes, shapes, np.dtype("f8"))
    assert code == two
    sent = pickle.loads(pickle.dumps(code))
    assert sent.code == code.code
    assert sent.function is None
    namespace = types.ModuleType("__main__").__dict__
    exec("def f(x):\n    return x", namespace)
    local = ScalarFunction(namespace["f"], (0,), None, "f")
    again = pickle.loads(cloudpickle.dumps(local))
    assert again.function(3) == 3
    made = pickle.loads(cloudpickle.dumps(elementwise(namespace["f"])))
    assert made(np.arange(3)).compute().tolist() == [0, 1, 2]
    assert repr(made) == "<elementwise f>"
