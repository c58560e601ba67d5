"""Random expressions, made by NumPy and by us, one after another and in pools; equal to the bit."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import oocarray as oo

DTYPES = ("?", "i1", "u1", "i2", "i8", "u8", "f4", "f8", ">f8", ">i4", "c16")
SPECIAL = (0.0, -0.0, 1.0, -1.5, np.nan, np.inf, -np.inf, 3e300, 7.0)


def numbers(shape: tuple[int, ...], dtype: str, seed: int) -> Any:
    """An array with what breaks things: nan, inf, signed zero, the smallest integer."""
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "b":
        return random.random(shape) < 0.5
    if kind in "iu":
        info = np.iinfo(dtype)
        found = random.integers(info.min, info.max, shape, np.dtype(dtype).newbyteorder("="), True)
        return np.where(random.random(shape) < 0.6, found % 7, found).astype(dtype)
    found = random.normal(size=shape)
    odd = random.choice(SPECIAL, shape)
    found = np.where(random.random(shape) < 0.2, odd, found)
    with np.errstate(all="ignore"):
        return (found + 1j * random.normal(size=shape) if kind == "c" else found).astype(dtype)


@dataclass
class Step:
    """The same thing done by NumPy and by us."""

    name: str
    run: Callable[[Any, list[Any]], Any]
    exact: bool = True

    def __repr__(self) -> str:
        return self.name


def _ufunc(ufunc: np.ufunc, *positions: int, exact: bool = True) -> Step:
    names = ", ".join(map(str, positions))
    return Step(
        f"{ufunc.__name__}({names})",
        lambda xp, values: ufunc(*(values[p % len(values)] for p in positions)),
        exact,
    )


place = st.integers(0, 30)
EXACT1 = (np.negative, np.absolute, np.isnan, np.signbit, np.square, np.floor, np.logical_not)
ROUNDED1 = (np.sqrt, np.exp, np.sin, np.tanh, np.log1p, np.reciprocal)
EXACT2 = (
    np.add, np.subtract, np.multiply, np.true_divide, np.floor_divide, np.remainder, np.maximum,
    np.fmin, np.less, np.equal, np.not_equal, np.logical_and, np.bitwise_xor, np.copysign,
)  # fmt: skip
ROUNDED2 = (np.power, np.arctan2, np.hypot, np.logaddexp)


@st.composite
def steps(draw: Any) -> Step:
    kind = draw(st.sampled_from("uuubbbbcsitrfwajmo"))
    p, q = draw(place), draw(place)
    number = draw(st.sampled_from((0, 1, -2, 3, 2.5, True, np.float32(1.5), np.int8(3))))
    if kind == "u":
        return _ufunc(draw(st.sampled_from(EXACT1)), p)
    if kind == "b":
        return _ufunc(draw(st.sampled_from(EXACT2)), p, q)
    if kind == "c":
        ufunc = draw(st.sampled_from(EXACT2[:6]))
        return Step(
            f"{ufunc.__name__}({p}, {number!r})", lambda xp, v: ufunc(v[p % len(v)], number)
        )
    if kind == "o":
        if draw(st.booleans()):
            return _ufunc(draw(st.sampled_from(ROUNDED1)), p, exact=False)
        return _ufunc(draw(st.sampled_from(ROUNDED2)), p, q, exact=False)
    return draw(_moving(kind, p, q))


@st.composite
def _moving(draw: Any, kind: str, p: int, q: int) -> Step:
    a, b = draw(st.integers(-5, 5)), draw(st.integers(-5, 5))
    take = lambda v: v[p % len(v)]  # noqa: E731
    if kind == "s":
        step = draw(st.sampled_from((1, 2, -1, -3)))
        key = (..., slice(a or None, None, step)) if b > 0 else slice(None, b or None, step)
        return Step(f"{p}[{key}]", lambda xp, v: take(v)[key] if take(v).ndim else take(v))
    if kind == "i":
        return Step(
            f"{p}[[..]]",
            lambda xp, v: take(v)[[0, -1, len(take(v)) // 2, 0]] if _rows(take(v)) else take(v),
        )
    if kind == "t":
        return Step(f"{p}.T", lambda xp, v: take(v).T)
    if kind == "r":
        return Step(f"reshape({p})", lambda xp, v: xp.reshape(take(v), (-1,)))
    if kind == "f":
        return Step(f"flip({p})", lambda xp, v: xp.flip(take(v), -1) if take(v).ndim else take(v))
    if kind == "w":
        return Step(f"where({p}, {q}, {a})", lambda xp, v: xp.where(take(v), v[q % len(v)], a))
    if kind == "a":
        return Step(
            f"roll({p}, {a})", lambda xp, v: xp.roll(take(v), a, 0) if take(v).ndim else take(v)
        )
    if kind == "j":
        return Step(
            f"concatenate({p}, {p}[{b}:])",
            lambda xp, v: xp.concatenate([take(v), take(v)[b:]]) if take(v).ndim else take(v),
        )
    dtype = draw(st.sampled_from(("f4", "f8", "c16")))
    return Step(f"{p}.astype({dtype})", lambda xp, v: take(v).astype(dtype))


def _rows(value: Any) -> bool:
    return value.ndim > 0 and value.shape[0] > 0


def close(mine: Any, numpys: Any, exact: bool) -> None:
    # NumPy's scalars have no byte order.
    assert mine.dtype == (numpys.dtype if mine.ndim else numpys.dtype.newbyteorder("="))
    assert mine.shape == numpys.shape
    if exact or numpys.dtype.kind not in "fc":
        np.testing.assert_array_equal(mine, numpys)
        if numpys.dtype.kind == "f":
            finite = ~np.isnan(numpys)
            assert (np.signbit(mine) == np.signbit(numpys))[finite].all()
        return
    one, other = (a.astype(a.dtype.newbyteorder("=")) for a in (mine, numpys))
    with np.errstate(all="ignore"):
        eps = np.finfo(other.dtype).eps
        near = np.abs(one - other) <= (8 if other.dtype.kind == "c" else 2) * eps * np.abs(other)
    same = (one == other) | (np.isnan(one) & np.isnan(other)) | ~np.isfinite(np.abs(other))
    assert (near | same).all(), (mine, numpys)


def check(
    arrays: list[Any], chunks: list[Any], program: list[Step], scheduler: str, **options: Any
) -> None:
    theirs: list[Any] = list(arrays)
    ours: list[Any] = [oo.from_array(a, c) for a, c in zip(arrays, chunks, strict=True)]
    with oo.options(scheduler=scheduler, progress=False, **options):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for step in program:
                try:
                    made = np.asarray(step.run(np, theirs))
                except (TypeError, ValueError, OverflowError):
                    # What NumPy refuses is refused when the expression is built, unless it is
                    # the elements that are refused (negative powers of integers).
                    with pytest.raises((TypeError, ValueError, OverflowError)):
                        step.run(oo, ours).compute()
                    continue
                mine = step.run(oo, ours)
                assert mine.shape == made.shape, step
                assert mine.dtype == made.dtype, step
                if not step.exact or "c" in (made.dtype.kind, *_kinds(theirs)):
                    # NumPy's own result may depend on where an element is: go on from one.
                    found = np.asarray(mine.compute())
                    close(found, made, exact=False)
                    made, mine = found, oo.from_array(found)
                theirs.append(made)
                ours.append(mine)
            count = len(theirs) - len(arrays)
            found = oo.compute(*ours[-count:]) if count else ()
        for mine, numpys in zip(found, theirs[len(arrays) :], strict=True):
            close(np.asarray(mine), numpys, exact=True)


def _kinds(arrays: list[Any]) -> list[str]:
    return [array.dtype.kind for array in arrays]


@st.composite
def programs(draw: Any) -> tuple[list[Any], list[Any], list[Step]]:
    shape = draw(st.sampled_from(((6,), (4, 5), (1, 5), (4, 1), (0, 5), (2, 3, 4), (), (1,))))
    arrays, chunks = [], []
    for seed in range(draw(st.integers(1, 3))):
        own = draw(st.sampled_from((shape, shape[-1:], tuple(1 for _ in shape))))
        array = numbers(own, draw(st.sampled_from(DTYPES)), seed)
        if array.ndim and draw(st.booleans()):
            array = array[::-1]
        arrays.append(array)
        chunks.append(draw(st.sampled_from((None, None, 2, 3))) if array.ndim else None)
    return arrays, chunks, draw(st.lists(steps(), min_size=1, max_size=7))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_one_block_after_another(program: Any) -> None:
    check(*program, "serial")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_in_threads(program: Any) -> None:
    check(*program, "threads", workers=2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_in_processes(program: Any) -> None:
    check(*program, "processes", workers=2)


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
def test_many_blocks_and_pieces(scheduler: str) -> None:
    """Larger than a piece, a leaf and a block; on files, in both orders."""
    random = np.random.default_rng(5)
    a, b = random.normal(size=(1200, 700)), random.normal(size=(700,)).astype("f4")
    x = oo.from_array(a, chunks=(500, 300))
    f = oo.from_array(np.asfortranarray(a))
    with oo.options(scheduler=scheduler, progress=False, memory="64 MiB", workers=2):
        found = oo.compute(
            (x * 2 + b)[::-1, 5:], (f - x).T.reshape(-1)[7:-9], np.concatenate([x, f])[1100:1300],
            (x + b).sum(axis=1), (x > b).sum(),
        )  # fmt: skip
    expected = (
        (a * 2 + b)[::-1, 5:], (a - a).T.reshape(-1)[7:-9], np.concatenate([a, a])[1100:1300],
        None, (a > b).sum(),
    )  # fmt: skip
    for mine, numpys in zip(found, expected, strict=True):
        if numpys is not None:
            np.testing.assert_array_equal(mine, numpys)
    np.testing.assert_allclose(found[3], (a + b).sum(axis=1), rtol=1e-12, atol=1e-11)


# ---- by position --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["sum", "prod", "nansum", "mean", "nanmean", "min", "max", "nanmax", "any", "all"]
)
def test_keepdims_by_position(name):
    function, array = getattr(np, name), np.arange(12.0).reshape(3, 4)
    before = () if name in ("min", "max", "nanmax", "any", "all") else (None,)
    found = function(oo.from_array(array), 0, *before, None, True)
    np.testing.assert_array_equal(found, function(array, 0, *before, None, True))
    assert found.shape == (1, 4)


@pytest.mark.parametrize("name", ["var", "std", "nanvar"])
def test_ddof_and_keepdims_by_position(name):
    function, array = getattr(np, name), np.arange(12.0).reshape(3, 4)
    found = function(oo.from_array(array), 0, None, None, 1, True)
    np.testing.assert_allclose(found, function(array, 0, None, None, 1, True))


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "sum", "mean"])
def test_out_by_position(name):
    function, array = getattr(np, name), np.arange(12.0).reshape(3, 4)
    wanted = function(array, 0)
    out = np.zeros_like(wanted)
    function(oo.from_array(array), 0, None, out)
    np.testing.assert_array_equal(out, wanted)


def test_small_integers_do_not_wrap_around():
    y = np.arange(4.0) ** 2
    for dtype in ("u1", "u2", "u8", "i1"):
        at = np.array([3, 2, 1, 0], dtype)
        np.testing.assert_allclose(oo.gradient(y, at).compute(), np.gradient(y, at))
    far = np.array([-100, 100], "i1")
    np.testing.assert_allclose(oo.gradient(y[:2], far).compute(), np.gradient(y[:2], far))
    x = np.arange(300)
    for dtype in ("u1", "i1"):
        at = np.array([1, 2], dtype)
        for mode in ("wrap", "clip"):
            found = oo.take(oo.from_array(x), at, mode=mode).compute()
            np.testing.assert_array_equal(found, np.take(x, at, mode=mode))


def test_items_from_the_end():
    x = np.arange(6).reshape(2, 3)
    assert oo.from_array(x).item(-1) == 5
    assert oo.from_array(x).item(-6) == 0
    for at in (6, -7):
        with pytest.raises(IndexError, match="out of bounds"):
            oo.from_array(x).item(at)


def test_views_of_one_memory_by_other_fields_are_two_arrays():
    a = np.zeros(3, [("x", "<i4"), ("y", "<f4")])
    a["x"] = 5
    b = a.view([("p", "<f4"), ("q", "<i4")])
    one, two = oo.compute(oo.from_array(a), oo.from_array(b), scheduler="serial")
    assert (one.dtype.names, two.dtype.names) == (("x", "y"), ("p", "q"))
    one, two = oo.compute(oo.from_array(a[["x"]]), oo.from_array(a[["y"]]), scheduler="serial")
    assert (one.dtype.names, two.dtype.names) == (("x",), ("y",))


def test_blocks_of_a_reduction_of_a_selection_are_not_known():
    x = oo.from_array(np.arange(12.0).reshape(4, 3))
    s = x[x[:, 0] > 3].sum(axis=1)
    assert len(s.chunks) == 1
    assert math.isnan(s.chunks[0][0])
    np.testing.assert_array_equal(oo.map_blocks(np.sqrt, s, dtype="f8").compute() ** 2, s.compute())
