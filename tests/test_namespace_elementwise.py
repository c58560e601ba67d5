"""The elementwise functions, each against NumPy's: values to the bit, dtypes, shapes, refusals."""

from __future__ import annotations

import doctest
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray.namespace import arithmetic, complexes, dtypes, elementwise, logic, rounding

MODULES = (arithmetic, logic, elementwise, rounding, complexes)
MINE: dict[str, Any] = {name: getattr(home, name) for home in MODULES for name in home.__all__}
UFUNCS = sorted({*arithmetic.__all__, *logic.__all__})
UNARY = [name for name in UFUNCS if getattr(np, name).nin == 1]
BINARY = [name for name in UFUNCS if getattr(np, name).nin == 2]
PLAIN = ("round", "around", "fix", "nan_to_num", *complexes.__all__)

# Of 0.0 and -0.0 NumPy takes the one or the other as they lie in the processor's vectors.
EITHER_ZERO = (np.maximum, np.minimum, np.fmax, np.fmin, np.clip)

DTYPES = ("?", "i1", "u1", "i8", "u8", "f4", "f8", "c16")
# One of each kind; thousands of small expressions are computed for each.
FEW = ("?", "i1", "u8", "f4", "c16")
EVERY = [pytest.param(False, id="few"), pytest.param(True, id="every", marks=pytest.mark.long)]
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 70.0, 5e-39, 3e38, np.inf, -np.inf, np.nan)
SCALARS: tuple[Any, ...] = (
    *(0, 1, -1, 3, 200, 300, 2**63, True, 0.0, -0.0, 2.5, np.nan, np.inf, 1j),
    *(np.int8(-3), np.uint64(2**63), np.float32(0.1), np.float64(-2.5), np.bool(True)),
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with oo.options(scheduler="serial", progress=False), np.errstate(all="ignore"):
        yield


def values(dtype: str) -> np.ndarray:
    """Some numbers of a dtype, with all that are known to make trouble."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.array([False, True, True, False, True])
    if kind in "iu":
        info = np.iinfo(dtype)
        return np.array([info.min, info.max, info.min + 1, 0, 1, 2, 3, 7, 64, 100], dtype)
    if kind == "c":
        parts = (0.0, -0.0, 1.5, -2.0, np.inf, np.nan)
        return np.array([complex(a, b) for a in parts for b in parts], dtype)
    return np.array(FLOATS, dtype)


def lazy(array: np.ndarray) -> oo.Array:
    """The same in blocks that are no multiple of anything."""
    return oo.from_array(array, chunks=(7,) * array.ndim)


def same(mine: Any, theirs: Any, zeros: bool = False) -> None:
    """Equal in dtype, shape and every bit but those of NaNs, and if told so the sign of zeros."""
    mine, theirs = np.asarray(mine), np.asarray(theirs)
    assert mine.dtype == theirs.dtype
    assert mine.shape == theirs.shape
    if theirs.dtype.kind == "c":
        same(mine.real, theirs.real, zeros)
        same(mine.imag, theirs.imag, zeros)
        return
    if theirs.dtype.kind == "f":
        assert (np.isnan(mine) == np.isnan(theirs)).all()
        mine, theirs = (np.where(np.isnan(part), 0, part) for part in (mine, theirs))
        if zeros:
            mine, theirs = mine + 0.0, theirs + 0.0
    assert mine.tobytes() == theirs.tobytes(), (mine, theirs)


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or the kind of error that it raises."""
    try:
        return call()
    except (TypeError, ValueError, OverflowError) as error:
        return next(
            kind for kind in (TypeError, OverflowError, ValueError) if isinstance(error, kind)
        )


def agree(mine: Any, theirs: Any, args: tuple[Any, ...], **kwargs: Any) -> None:
    """Call both; NumPy's refusals are ours when the node is built, unless elements cause them."""
    ours = tuple(lazy(one) if isinstance(one, np.ndarray) else one for one in args)
    empty = tuple(one[:0] if isinstance(one, np.ndarray) and one.ndim else one for one in args)
    wanted = outcome(lambda: theirs(*args, **kwargs))
    made = outcome(lambda: mine(*ours, **kwargs))
    if isinstance(wanted, type):
        if isinstance(outcome(lambda: theirs(*empty, **kwargs)), type):
            assert made is wanted
        else:
            with pytest.raises(Exception, match=r".+"):
                made.compute()
        return
    assert not isinstance(made, type), f"{made} where NumPy has none"
    if isinstance(wanted, tuple):
        assert len(made) == len(wanted)
    else:
        made, wanted = (made,), (wanted,)
    for part, expected in zip(made, wanted, strict=True):
        assert isinstance(part, oo.Array)
        assert part.dtype == expected.dtype
        same(part.compute(), expected, theirs in EITHER_ZERO)


# ---- ufuncs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_function_of_one_array(name: str, dtype: str) -> None:
    agree(MINE[name], getattr(np, name), (values(dtype),))


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("name", BINARY)
def test_function_of_two_arrays_of_all_dtypes(name: str, every: bool) -> None:
    for one in DTYPES:
        for other in DTYPES if every else FEW:
            # Each element of one with each of the other.
            agree(MINE[name], getattr(np, name), (values(one)[:, None], values(other)))


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("name", BINARY)
def test_function_of_an_array_and_a_scalar(name: str, every: bool) -> None:
    for dtype in DTYPES if every else FEW:
        for scalar in SCALARS:
            agree(MINE[name], getattr(np, name), (values(dtype), scalar))
            agree(MINE[name], getattr(np, name), (scalar, values(dtype)))


@pytest.mark.parametrize("name", UFUNCS)
def test_function_of_no_axes_and_of_nothing(name: str) -> None:
    given = np.array(3), np.array(2)
    for args in (given, (np.array(1.5), np.array(3)), (np.zeros((0, 4)), np.ones(4))):
        agree(MINE[name], getattr(np, name), args[: getattr(np, name).nin])


@pytest.mark.parametrize("name", UFUNCS)
def test_function_says_what_it_is(name: str) -> None:
    function = MINE[name]
    assert pickle.loads(pickle.dumps(function)) is function
    assert function.__name__ in vars(arithmetic if name in arithmetic.__all__ else logic)
    assert "Examples" in function.__doc__


def test_all_functions_have_an_example() -> None:
    for home in (*MODULES, dtypes):
        finder = doctest.DocTestFinder(exclude_empty=True)
        shown = {test.name.rpartition(".")[2] for test in finder.find(home) if test.examples}
        for name in home.__all__:
            found = getattr(home, name)
            if callable(found) and not isinstance(found, type):
                assert found.__name__ in shown, name


def test_out_where_and_dtype() -> None:
    x, mask = np.arange(8.0), np.arange(8) % 3 == 0
    out, target = np.full(8, -1.0), np.full(8, -1.0)
    assert arithmetic.add(lazy(x), 1, out=out) is out
    same(out, x + 1)
    assert arithmetic.add(lazy(x), 2, out) is out
    same(out, x + 2)
    arithmetic.add(lazy(x), 5, out=out, where=lazy(mask))
    np.add(x, 2, out=target)
    np.add(x, 5, out=target, where=mask)
    same(out, target)
    whole, fraction = np.empty(8), np.empty(8)
    assert arithmetic.modf(lazy(x / 4), out=(fraction, whole))[1] is whole
    same(whole, np.modf(x / 4)[1])
    same(arithmetic.add(lazy(x), 1, dtype="f4").compute(), np.add(x, 1, dtype="f4"))
    with pytest.raises(TypeError, match="where="):
        arithmetic.add(lazy(x), 1, where=mask)
    with pytest.raises(TypeError, match="cast"):
        arithmetic.add(lazy(x), 1, dtype="i4")
    same(
        arithmetic.add(lazy(x), 1, dtype="i4", casting="unsafe").compute(),
        np.add(x, 1, dtype="i4", casting="unsafe"),
    )
    with pytest.raises(TypeError, match="kind"):
        arithmetic.divide(lazy(x), 2, out=np.empty(8, int))
    with pytest.raises(ValueError, match="shape"):
        arithmetic.divide(lazy(x), 2, out=np.empty(7))


def test_out_of_the_others() -> None:
    x = np.array([-2.5, np.inf, 0.5, np.nan])
    for name, args in {"round": (), "fix": (), "isposinf": (), "clip": (-1, 1)}.items():
        wanted = getattr(np, name)(x, *args)
        out = np.zeros(4, wanted.dtype)
        assert MINE[name](lazy(x), *args, out=out) is out
        same(out, wanted)
    out = np.zeros(3)
    assert elementwise.choose([0, 1, 0], [lazy(x[:3]), 7.0], out=out) is out
    same(out, np.choose([0, 1, 0], [x[:3], 7.0]))


def test_lists_arrays_and_scalars_together() -> None:
    same(arithmetic.add([1, 2], 3).compute(), np.add([1, 2], 3))
    same(arithmetic.add(np.arange(3), lazy(np.ones(3, "f4"))).compute(), np.ones(3) + np.arange(3))
    same(arithmetic.add(2, 3).compute(), np.add(2, 3))
    with pytest.raises(ValueError, match="broadcast"):
        arithmetic.add(lazy(np.zeros(3)), np.zeros(4))


def test_python_numbers_are_weak_and_checked() -> None:
    small = lazy(np.array([250, 3], "u1"))
    same(arithmetic.add(small, 10).compute(), np.array([250, 3], "u1") + 10)
    for scalar in (300, -1):
        with pytest.raises(OverflowError):
            arithmetic.add(small, scalar)
    same(logic.less(small, 300).compute(), np.array([True, True]))
    assert arithmetic.multiply(lazy(np.ones(2, "f4")), 1.1).dtype == np.float32


# ---- times ---------------------------------------------------------------------------------------

DAYS = np.array(["2000-01-01", "NaT", "1969-12-31", "2024-02-29"], "M8[D]")
SPANS = np.array([1, "NaT", -3, 40], "m8[h]")


def test_times() -> None:
    for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
        for one in (DAYS, SPANS):
            agree(MINE[name], getattr(np, name), (one, one[::-1].copy()))
    agree(logic.less, np.less, (DAYS, np.datetime64("2001-01-01")))
    for name in ("subtract", "add", "maximum", "fmin", "divide", "remainder", "multiply", "sign"):
        args = (DAYS, SPANS), (DAYS, DAYS[::-1].copy()), (SPANS, SPANS), (SPANS, 2), (SPANS, 2.5)
        for pair in args:
            agree(MINE[name], getattr(np, name), pair[: getattr(np, name).nin])
    for one in (DAYS, SPANS, np.arange(3.0)):
        for name in ("isnat", "isfinite", "isnan", "negative", "absolute"):
            agree(MINE[name], getattr(np, name), (one,))
    agree(elementwise.where, np.where, (np.arange(4) > 1, DAYS, np.datetime64("NaT")))
    agree(rounding.clip, np.clip, (SPANS, np.timedelta64(-1, "h"), np.timedelta64(5, "h")))
    agree(elementwise.astype, np.astype, (DAYS, "M8[s]"))


# ---- the others ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PLAIN)
def test_other_function_of_one_array(name: str, dtype: str) -> None:
    agree(MINE[name], getattr(np, name), (values(dtype),))
    agree(MINE[name], getattr(np, name), (values(dtype)[1:2].reshape(()),))


@pytest.mark.parametrize("dtype", DTYPES)
def test_their_options(dtype: str) -> None:
    x = values(dtype)
    agree(complexes.angle, np.angle, (x,), deg=True)
    for decimals in (-2, -1, 1, 3):
        agree(rounding.round, np.round, (x,), decimals=decimals)
    agree(rounding.nan_to_num, np.nan_to_num, (x,), nan=-0.0, posinf=7, neginf=True)
    agree(rounding.nan_to_num, np.nan_to_num, (x,), nan=np.arange(len(x)) / 2)


def test_nan_to_num_keeps_the_shape() -> None:
    x = np.array([np.nan, 1.0])
    with pytest.raises(ValueError, match="shape"):
        rounding.nan_to_num(lazy(x), nan=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="shape"):
        rounding.nan_to_num(lazy(x[:1]), nan=np.zeros(2))
    with pytest.raises(TypeError):
        rounding.nan_to_num(lazy(x), nan=1j)
    zero, other = rounding.nan_to_num(lazy(x), nan=0.0), rounding.nan_to_num(lazy(x), nan=-0.0)
    both = oo.compute(zero, other)
    assert np.signbit(both[0]).tolist() == [False, False]
    assert np.signbit(both[1]).tolist() == [True, False]


LIMITS: tuple[tuple[Any, Any], ...] = (
    *((None, None), (0, None), (None, 3), (1, 2), (-5, 300), (2, 1), (-(2**70), 2**70)),
    *((0.5, 2.5), (None, np.nan), (np.int8(1), np.float32(2.5)), (True, 2), (1j, None)),
    *((np.uint64(1), None), (300, None), (-300, -200), (None, -1)),
)


@pytest.mark.parametrize("dtype", DTYPES)
def test_clip(dtype: str) -> None:
    x = values(dtype)
    for low, high in LIMITS:
        agree(rounding.clip, np.clip, (x, low, high))
    agree(rounding.clip, np.clip, (x, x[::-1].copy(), None))
    agree(rounding.clip, np.clip, (x, x[:1], x[:, None]))
    agree(rounding.clip, np.clip, (x,), min=1)
    agree(rounding.clip, np.clip, (x,), a_min=None, a_max=2)
    agree(rounding.clip, np.clip, (x, 0, 1), dtype="f8")
    with pytest.raises(ValueError, match="both"):
        rounding.clip(lazy(x), min=1, a_min=2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_where(dtype: str) -> None:
    x = values(dtype)
    for other in DTYPES:
        y = np.resize(values(other), len(x))
        agree(elementwise.where, np.where, (x, y, y[::-1].copy()))
        agree(elementwise.where, np.where, (y, x, y))
        agree(elementwise.where, np.where, (x[:, None], x, y[:1]))
    for scalar in SCALARS:
        agree(elementwise.where, np.where, (x > 0, x, scalar))
        agree(elementwise.where, np.where, (x > 0, scalar, x))
        agree(elementwise.where, np.where, (x, scalar, 2))
        agree(elementwise.where, np.where, (scalar, x, 1))


def test_where_of_a_condition_alone() -> None:
    x = np.array([[0, 1, 2], [0, 0, 5]])
    for mine, theirs in zip(elementwise.where(lazy(x)), np.where(x), strict=True):
        same(mine.compute(), theirs)
    with pytest.raises(ValueError, match="both or neither"):
        elementwise.where(lazy(x), 1)  # type: ignore[call-overload]


@pytest.mark.parametrize("dtype", DTYPES)
def test_select(dtype: str) -> None:
    x = values(dtype)
    with_scalars = ([x, 7], [1, x], [x, x[:1]], [2.5, x], [True, x], [300, 1], [np.float32(1), x])
    for choices in with_scalars:
        for default in (0, -1, 1.5, np.int8(3), x[::-1].copy(), 300, 1j):
            conds = [x == x[1], np.arange(len(x)) % 2 == 0]
            mine = outcome(lambda: elementwise.select([lazy(c) for c in conds], choices, default))  # noqa: B023
            theirs = outcome(lambda: np.select(conds, choices, default))  # noqa: B023
            if isinstance(theirs, type):
                assert mine is theirs
            else:
                same(mine.compute(), theirs)


def test_select_refuses() -> None:
    x = lazy(np.arange(3))
    with pytest.raises(ValueError, match="each"):
        elementwise.select([x > 1], [x, x])
    with pytest.raises(ValueError, match="at least one"):
        elementwise.select([], [])
    with pytest.raises(TypeError, match="bool"):
        elementwise.select([x], [x])


def test_choose() -> None:
    at = np.array([0, 1, 2, 1, 0])
    choices = [np.arange(5.0), 7, np.arange(5, dtype="f4")[None]]
    for mode in ("raise", "wrap", "clip"):
        same(elementwise.choose(lazy(at), choices, mode=mode).compute(), np.choose(at, choices))
    for mode in ("wrap", "clip"):
        wanted = np.choose(at * 5 - 3, choices, mode=mode)
        same(elementwise.choose(lazy(at * 5 - 3), choices, mode=mode).compute(), wanted)
    table = np.arange(15).reshape(3, 5)
    for given in (table, lazy(table), table.tolist(), list(map(lazy, table))):
        same(elementwise.choose(lazy(at), given).compute(), np.choose(at, table))
    with pytest.raises(Exception, match="invalid entry"):
        elementwise.choose(lazy(at + 1), choices).compute()
    for refused in (at.astype("f8"), at.astype("u8")):
        with pytest.raises(TypeError):
            elementwise.choose(lazy(refused), choices)
    with pytest.raises((TypeError, ValueError)):
        elementwise.choose(lazy(at), choices, mode="never")
    mask = at > 0
    for pair in ([np.arange(5, dtype="u1"), 300], [np.ones(5, "f4"), 1.5]):
        same(elementwise.choose(lazy(mask), pair).compute(), np.choose(mask, pair))


@pytest.mark.parametrize("dtype", DTYPES)
def test_isclose(dtype: str) -> None:
    x = values(dtype)
    for other in DTYPES:
        y = np.resize(values(other), len(x))
        for equal_nan in (False, True):
            agree(elementwise.isclose, np.isclose, (x, y), equal_nan=equal_nan)
    for scalar in SCALARS:
        agree(elementwise.isclose, np.isclose, (x, scalar))
        agree(elementwise.isclose, np.isclose, (scalar, x))
    agree(elementwise.isclose, np.isclose, (x, x + x, 0.5, np.arange(len(x)) / 4))


def test_isclose_of_times() -> None:
    agree(elementwise.isclose, np.isclose, (SPANS, SPANS, 0, np.timedelta64(1, "h")))
    agree(elementwise.isclose, np.isclose, (DAYS, DAYS))


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("dtype", DTYPES)
def test_astype(dtype: str) -> None:
    x = values(dtype)
    for other in (*DTYPES, ">f4", "f2"):
        mine = elementwise.astype(lazy(x), other)
        assert mine.dtype == np.dtype(other)
        same(mine.compute(), x.astype(other))
        for casting in ("no", "equiv", "safe", "same_kind"):
            if np.can_cast(x.dtype, other, casting):
                same(elementwise.astype(lazy(x), other, casting=casting).compute(), x.astype(other))
            else:
                with pytest.raises(TypeError, match="according to"):
                    elementwise.astype(lazy(x), other, casting=casting)


def test_astype_copies_unless_told() -> None:
    x = oo.from_array(np.zeros(3))
    assert elementwise.astype(x, "f8", copy=False) is x
    copy = elementwise.astype(x, "f8")
    copy[0] = 5.0
    assert x.compute().tolist() == [0, 0, 0]
    assert copy.compute().tolist() == [5, 0, 0]
    with pytest.raises(ValueError, match="cpu"):
        elementwise.astype(x, "f4", device="gpu")


def test_real_numbers_are_their_own_real_part() -> None:
    x = lazy(np.arange(5.0))
    assert complexes.real(x) is x


# ---- stored arrays, processes --------------------------------------------------------------------


def test_arrays_in_files_and_worker_processes(npy: Callable[..., Any]) -> None:
    """Functions travel to workers, and views of mapped pages may be results."""
    x, z = npy((40, 50), "f8"), npy((40, 50), "c16")
    one, other = oo.open(x, chunks=(16, 50)), oo.open(z, chunks=(40, 20))
    there, here = np.load(x), np.load(z)
    cases: list[tuple[Any, Any]] = [
        (elementwise.where(one > 3, one, 0), np.where(there > 3, there, 0)),
        (elementwise.select([one > 3], [one], -1.5), np.select([there > 3], [there], -1.5)),
        (rounding.clip(one, -2, 5.5), np.clip(there, -2, 5.5)),
        (rounding.nan_to_num(one, nan=3), there),
        (rounding.round(one, 1), np.round(there, 1)),
        (complexes.real(other), here.real),
        (complexes.imag(other), here.imag),
        (complexes.isreal(other), np.isreal(here)),
        (elementwise.astype(one, "f4"), there.astype("f4")),
        (elementwise.choose(one > 3, [one, 2.0]), np.choose(there > 3, [there, 2.0])),
        (elementwise.isclose(one, 0.5), np.isclose(there, 0.5)),
        (arithmetic.frexp(one)[1], np.frexp(there)[1]),
        (arithmetic.add(one, other), there + here),
    ]
    for options in ({"scheduler": "processes", "workers": 2}, {"scheduler": "serial"}):
        found = oo.compute(*(mine for mine, _ in cases), **options)
        for got, (_, wanted) in zip(found, cases, strict=True):
            same(got, wanted)


# ---- dtypes --------------------------------------------------------------------------------------


def test_dtypes_of_arrays() -> None:
    home = dtypes
    x, n = lazy(np.ones(3, "f4")), lazy(np.ones(3, "u1"))
    assert home.result_type(x, 1.5) == np.float32
    assert home.result_type(n, 3) == np.uint8
    assert home.result_type(n, 3.0) == np.float64
    assert home.result_type(x, np.int32, np.arange(2)) == np.float64
    assert home.result_type(n, lazy(np.ones((), "i1"))) == np.int16
    assert home.can_cast(n, "f4")
    assert not home.can_cast(x, "u1")
    assert home.can_cast(x, "f2", casting="same_kind")
    assert home.finfo(x).max == np.finfo("f4").max
    assert home.finfo(np.complex128).dtype == np.float64
    assert home.iinfo(n).max == 255
    assert home.isdtype(x.dtype, home.float32)
    assert home.isdtype(x.dtype, ("integral", "real floating"))
    assert not home.isdtype(x.dtype, "complex floating")
    assert home.promote_types("i8", "u8") == np.float64
    with pytest.raises(TypeError):
        home.can_cast(3, "i8")
    with pytest.raises(ValueError, match="int"):
        home.iinfo(x)


def test_dtype_names_and_constants() -> None:
    for name in dtypes.__all__:
        theirs = getattr(np, name)
        if isinstance(theirs, type) and issubclass(theirs, np.generic):
            assert getattr(dtypes, name) is theirs
    assert dtypes.newaxis is None
    assert (dtypes.e, dtypes.pi, dtypes.inf) == (np.e, np.pi, np.inf)
    assert np.isnan(dtypes.nan)


def test_broadcast_shapes() -> None:
    assert dtypes.broadcast_shapes((5, 1), (6,), 1, ()) == (5, 6)
    assert dtypes.broadcast_shapes() == ()
    assert np.isnan(dtypes.broadcast_shapes((np.nan, 3), (1, 3))[0])
    for shapes in (((2,), (3,)), ((-1,), (3,))):
        with pytest.raises(ValueError, match=r".+"):
            dtypes.broadcast_shapes(*shapes)
