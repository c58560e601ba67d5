"""Fused expressions against NumPy and against the same without fusion; and what is fused."""

from __future__ import annotations

import math
import os
import platform
import re
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_judged_by_numpy import EXACT1, EXACT2, Step, _moving, numbers, place

import oocarray as oo
from oocarray import config
from oocarray.backends import mapped
from oocarray.errors import KernelError
from oocarray.estimate import item_cost, stage_bytes
from oocarray.fusing.formula import Formula
from oocarray.fusing.operation import Fused
from oocarray.fusing.source import write_source
from oocarray.lazy.graph import Root
from oocarray.plan import InMemory, Plan
from oocarray.program import applies_in

MIB = 1 << 20
SCHEDULERS = ("serial", "threads", "processes")
Make = Callable[..., Path]
SHIFT = 1.0


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with oo.options(scheduler="serial", workers=2, progress=False, fuse=True):
        yield


@pytest.fixture(params=SCHEDULERS)
def anywhere(request: pytest.FixtureRequest) -> Iterator[str]:
    with oo.options(scheduler=request.param, workers=2, progress=False, fuse=True):
        yield str(request.param)


def plan_of(*wanted: Any, **options: Any) -> Plan:
    """The plan for arrays, and for arrays with their targets."""
    values = config.merged({"scheduler": "serial", "fuse": True, **options})
    roots = [one if isinstance(one, Root) else Root(one.node) for one in wanted]
    return mapped.plan_of(roots, mapped.limits_of(values), values)


def formulas(plan: Plan) -> list[Formula]:
    """The loops of all stages."""
    found: dict[int, Formula] = {}
    for stage in plan.stages:
        for value in stage.kernel.values:
            for node in [*applies_in(value), getattr(value, "node", None)]:
                operation = getattr(node, "operation", None)
                if isinstance(operation, Fused):
                    found[id(operation)] = operation.formula
    return list(found.values())


def count(*wanted: Any, **options: Any) -> tuple[int, int]:
    """How many stages, and how many loops."""
    plan = plan_of(*wanted, **options)
    return len(plan.stages), len(formulas(plan))


def source_of(*wanted: Any) -> str:
    return "\n".join(write_source(formula).text for formula in formulas(plan_of(*wanted)))


def bits(value: Any) -> tuple[Any, ...]:
    """What tells two arrays apart, but for NaNs of other bits."""
    array = np.array(value)
    if array.dtype.kind in "fc":
        array[np.isnan(array)] = np.nan
    return array.dtype, array.shape, array.tobytes()


def same(mine: Any, numpys: Any) -> None:
    """Equal to the last bit; any NaN is as good as another."""
    mine, numpys = np.asarray(mine), np.asarray(numpys)
    assert mine.dtype.newbyteorder("=") == numpys.dtype.newbyteorder("=")
    assert mine.shape == numpys.shape
    np.testing.assert_array_equal(mine, numpys)
    if numpys.dtype.kind == "f":
        number = ~np.isnan(numpys)
        np.testing.assert_array_equal(np.signbit(mine[number]), np.signbit(numpys[number]))


def near(mine: Any, numpys: Any, ulps: float) -> None:
    """Within some units in the last place, of either part of complex numbers by the whole."""
    mine, numpys = (np.asarray(a).astype(a.dtype.newbyteorder("=")) for a in (mine, numpys))
    assert (mine.dtype, mine.shape) == (numpys.dtype, numpys.shape)
    with np.errstate(all="ignore"):
        size = np.abs(numpys)
        gap = np.abs(mine - numpys) <= ulps * np.spacing(size)
        alike = (mine == numpys) | (np.isnan(mine) & np.isnan(numpys))
        if numpys.dtype.kind == "c":
            alike |= ~np.isfinite(size)
    assert (gap | alike).all(), (mine[~(gap | alike)][:5], numpys[~(gap | alike)][:5])


# 1. Random expressions: every value of an expression is judged by what NumPy makes of the values
# that we made before it, so that what is rounded in one step does not hide a fault in the next.

DTYPES = ("?", "i1", "u1", "i2", "i8", "u8", "u4", "f4", "f8", "f8", ">f8", ">i4")
SHAPES = ((6,), (4, 5), (1, 5), (4, 1), (0, 5), (2, 3, 4), (), (1,), (40, 50), (1000,), (70, 3))
ROUNDED = {
    np.sqrt: 0, np.reciprocal: 0, np.exp: 2, np.sin: 2, np.tanh: 2, np.log1p: 2, np.log: 2,
    np.arctan2: 2, np.hypot: 2, np.power: 4, np.logaddexp: 4, np.cos: 2, np.expm1: 2,
}  # fmt: skip
LOGIC = (
    np.less_equal, np.greater, np.logical_or, np.logical_xor, np.bitwise_and, np.minimum,
    np.invert, np.sign, np.isfinite, np.rint, np.left_shift, np.right_shift,
)  # fmt: skip
# NumPy chooses one of two zeros differently from element to element, or warns of what it refuses.
UFUNCS = tuple(one for one in (*EXACT1, *EXACT2, *LOGIC) if one is not np.fmin)
LITERALS = (0, 1, -2, 3, 2.5, True, np.float32(1.5), np.int8(3), 100)
REDUCED = ("sum", "min", "max", "any", "all", "mean", "var", "argmax", "prod")


def _of(ufunc: np.ufunc, *places: Any, ulps: float = 0) -> Step:
    """A function of earlier values and of literals, which are told by a list of one."""

    def run(xp: Any, values: list[Any]) -> Any:
        given = [p[0] if isinstance(p, list) else values[p % len(values)] for p in places]
        return ufunc(*given)

    return Step(f"{ufunc.__name__}{places}", run, ulps)


@st.composite
def fused_steps(draw: Any, few: bool) -> Step:
    kind = draw(st.sampled_from("uubbbbcccowwklamrrsft"))
    p, q, number = draw(place), draw(place), draw(st.sampled_from(LITERALS))
    if kind in "ub":
        ufunc = draw(st.sampled_from(UFUNCS))
        return _of(ufunc, *(p, q)[: ufunc.nin])
    if kind == "c":
        ufunc = draw(st.sampled_from((*EXACT2[:6], np.power, np.less, np.maximum)))
        ulps = 4 if ufunc is np.power else 0
        if draw(st.booleans()):
            return _of(ufunc, p, [number], ulps=ulps)
        return _of(ufunc, [number], p, ulps=ulps)
    if kind == "o":
        ufunc = draw(st.sampled_from(tuple(ROUNDED)))
        return _of(ufunc, *(p, q)[: ufunc.nin], ulps=ROUNDED[ufunc])
    if kind == "w":
        r = draw(place)
        other: Any = [number] if draw(st.booleans()) else r
        return Step(
            f"where({p}, {q}, {other})",
            lambda xp, v: xp.where(
                v[p % len(v)], v[q % len(v)], other[0] if other is not r else v[r % len(v)]
            ),
            0,
        )
    if kind == "k":
        return Step(
            f"clip({p}, -1, {number!r})", lambda xp, v: xp.clip(v[p % len(v)], -1, number), 0
        )
    if kind in "la":
        dtype = draw(st.sampled_from(("f4", "f8", "i4", "i8", "?", ">f8", ">f4")))

        def astype(xp: Any, v: list[Any]) -> Any:
            value = v[p % len(v)]
            if value.dtype.kind in "fc" and np.dtype(dtype).kind == "i":
                value = value > 1  # C does not say what becomes of a number that is too large
            return value.astype(dtype)

        return Step(f"{p}.astype({dtype})", astype, 0)
    if kind in "mr":
        return draw(_reductions(p, few))
    found = draw(_moving(kind, p, q))
    return Step(found.name, found.run, 0)


@st.composite
def _reductions(draw: Any, p: int, few: bool) -> Step:
    """With `few`, such as need the same two rules, which take seconds to compile."""
    name, axis = (
        draw(st.sampled_from(("sum", "max") if few else REDUCED)),
        draw(st.sampled_from((None, 0, -1))),
    )
    keep = draw(st.booleans())
    ulps = 0 if name in ("min", "max", "any", "all", "argmax") else math.inf

    def run(xp: Any, values: list[Any]) -> Any:
        value = values[p % len(values)]
        if not value.ndim or (value.dtype.kind == "c" and name in ("min", "max", "argmax")):
            return value
        value = value.astype("f8") if few and value.dtype.kind != "c" else value
        return getattr(xp, name)(value, axis=axis, keepdims=keep)

    return Step(f"{name}({p}, axis={axis}, keepdims={keep})", run, ulps)


@st.composite
def expressions(draw: Any, few: bool = False) -> tuple[list[Any], list[Any], list[Step]]:
    shape = draw(st.sampled_from(SHAPES))
    arrays, chunks = [], []
    for seed in range(draw(st.integers(1, 3))):
        own = draw(st.sampled_from((shape, shape, shape[-1:], tuple(1 for _ in shape))))
        rare = draw(st.integers(0, 9)) == 0
        dtype = draw(st.sampled_from(("c16", "f2"))) if rare else draw(st.sampled_from(DTYPES))
        with np.errstate(all="ignore"):
            array = numbers(own, dtype, seed)
        if array.ndim and draw(st.booleans()):
            array = array[::-1]
        if draw(st.booleans()):
            array = np.asfortranarray(array)
        arrays.append(array)
        chunks.append(draw(st.sampled_from((None, None, 2, 3))) if array.ndim else None)
    return arrays, chunks, draw(st.lists(fused_steps(few), min_size=2, max_size=9))


def _numpys(step: Step, values: list[Any]) -> Any:
    """What NumPy makes of values; None where it refuses."""
    try:
        return np.asarray(step.run(np, values))
    except (TypeError, ValueError, OverflowError):
        return None


def judge(arrays: list[Any], chunks: list[Any], program: list[Step], **options: Any) -> None:
    """All values of an expression in one go, step by step by NumPy; and again in other ways."""
    wide = [c if c is None or a.size < 500 else 300 for a, c in zip(arrays, chunks, strict=True)]
    ours: list[Any] = [oo.from_array(a, c) for a, c in zip(arrays, wide, strict=True)]
    theirs: list[Any] = list(arrays)
    kept: list[Step] = []
    for step in program:
        made = _numpys(step, theirs)
        if made is None or made.size > 100_000:
            continue
        mine = step.run(oo, ours)
        assert (mine.shape, mine.dtype) == (made.shape, made.dtype), step
        kept.append(step)
        ours.append(mine)
        theirs.append(made)
    if not kept:
        return
    found = [*arrays, *map(np.asarray, oo.compute(*ours[len(arrays) :], **options))]
    for at, step in enumerate(kept, len(arrays)):
        numpys = _numpys(step, found[:at])
        if numpys is None:  # the values that we rounded otherwise are refused
            return
        if step.exact == math.inf:
            _judge_reduction(found[at], numpys)
        elif numpys.dtype.kind == "c" or numpys.dtype.char == "e" or step.exact:
            near(found[at], numpys, 16 if numpys.dtype.kind == "c" else step.exact)
        else:
            try:
                same(found[at], numpys)
            except AssertionError as error:
                raise AssertionError(f"step {at}: {step}: {error}") from None
    assert bits(ours[-1].compute(**options)) == bits(found[-1])  # whether alone or together
    everywhere = {"workers": 1, "memory": "4 MiB", "scheduler": "threads"}
    again = oo.compute(*ours[len(arrays) :], **{**options, **everywhere})
    assert [bits(one) for one in again] == [bits(one) for one in found[len(arrays) :]]
    if not any(step.exact and step.exact != math.inf for step in kept):
        plain = oo.compute(*ours[len(arrays) :], **{**options, "fuse": False})
        for one, other in zip(plain, found[len(arrays) :], strict=True):
            same(other, one)


def _judge_reduction(mine: Any, numpys: Any) -> None:
    if numpys.dtype.kind not in "fc":
        same(mine, numpys)
    elif np.isfinite(numpys).all() and np.abs(numpys).max(initial=0) < 1e15:
        loose = 1e-3 if numpys.dtype.itemsize < 8 else 1e-9
        if numpys.dtype.char != "e":
            np.testing.assert_allclose(mine, numpys, rtol=loose, atol=loose)


def quietly(program: Any, **options: Any) -> None:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        judge(*program, **options)


FEW: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    # Every attempt at a smaller example would be compiled.
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
}


@settings(max_examples=8, **FEW)
@given(expressions(few=True))
def test_random_expressions(program: Any) -> None:
    quietly(program, scheduler="serial")


@settings(max_examples=3, **FEW)
@given(expressions(few=True))
def test_random_expressions_in_threads(program: Any) -> None:
    quietly(program, scheduler="threads")


@settings(max_examples=3, **FEW)
@given(expressions(few=True))
def test_random_expressions_in_processes(program: Any) -> None:
    quietly(program, scheduler="processes")


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@settings(max_examples=300, **FEW)
@given(program=expressions())
def test_many_random_expressions(scheduler: str, program: Any) -> None:
    quietly(program, scheduler=scheduler)


@pytest.mark.long
@settings(max_examples=100, **FEW)
@given(expressions())
def test_many_random_expressions_with_the_functions_of_the_system(program: Any) -> None:
    quietly(program, scheduler="serial", math="libm")


def test_arrays_of_no_axis(anywhere: str) -> None:
    x = oo.from_array(np.array(2.0))
    assert float((-x).compute()) == -2.0
    negative, more, total = oo.compute(-x, x + 1, (x * x).sum())
    assert (float(negative), float(more), float(total)) == (-2.0, 3.0, 4.0)
    mean = oo.from_array(np.arange(4.0)).mean()
    assert float((mean * 2 + 1).compute()) == 4.0


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (0, 0)], ids=str)
def test_arrays_of_no_element(shape: tuple[int, ...]) -> None:
    a = np.empty(shape)
    x = oo.from_array(a)
    one, other = oo.compute(abs(x) + 1, x > 3)
    same(one, abs(a) + 1)
    same(other, a > 3)
    for axis in (None, 0):
        same((abs(x) + 1).sum(axis=axis).compute(), (abs(a) + 1).sum(axis=axis))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_clipped_to_a_limit_that_is_equal(dtype: str) -> None:
    """NumPy keeps the element beside a number, and takes the limit out of an array."""
    for a, limit in ((np.full(50, -0.0, dtype), 0.0), (np.full(50, 0.0, dtype), -0.0)):
        x, limits = oo.from_array(a), np.full(50, limit, dtype)
        same((np.clip(x, -1, limits) * 1).compute(), np.clip(a, -1, limits) * 1)
        same((np.clip(x, -1, limit) * 1).compute(), np.clip(a, -1, limit) * 1)
        same((np.clip(x, limit, 1) * 1).compute(), np.clip(a, limit, 1) * 1)


def test_the_same_bits_for_every_worker_count_chunks_and_memory(npy: Make) -> None:
    a, b = npy((1203, 701)), npy((1203, 701), "f4", name="b.npy")

    def results(chunks: Any, **options: Any) -> list[Any]:
        x, y = oo.open(a, chunks=chunks), oo.open(b, chunks=chunks)
        z = np.exp(-abs(x) / 50) * y + x
        found = oo.compute(z[::7], z.sum(axis=0), z.max(), (z > 0).sum(axis=1), **options)
        return [bits(one) for one in found]

    judged = results(None)
    for chunks in (None, (300, 701)):
        for scheduler, workers in (("serial", 1), ("threads", 2), ("processes", 2)):
            for memory in ("2 GiB", "24 MiB"):
                how = {"scheduler": scheduler, "workers": workers, "memory": memory}
                assert results(chunks, **how) == judged, (chunks, how)


# 2. Passes and loops


def test_one_pass_and_one_loop(npy: Make) -> None:
    x, y = oo.open(npy((600, 400))), oo.open(npy((600, 400), name="other.npy"))
    assert count(((x - y) ** 2).mean(axis=0)) == (1, 1)
    assert count(x.mean(), x.std(), (x > 3).sum()) == (1, 1)
    z = np.sqrt(abs(x) + 1) * y
    assert count(Root(z.node, InMemory(np.empty(z.shape))), z.mean()) == (1, 1)
    assert count(z, z > 1, z.sum(axis=1), z.max(axis=1)) == (1, 1)


def test_one_pass_and_one_loop_give_what_numpy_gives(npy: Make, anywhere: str, tmp_path) -> None:
    path, other = npy((600, 400)), npy((600, 400), "f4", name="other.npy")
    a, b = np.load(path), np.load(other)
    x, y = oo.open(path), oo.open(other)
    np.testing.assert_allclose(((x - y) ** 2).mean(axis=0).compute(), ((a - b) ** 2).mean(axis=0))
    mean, std, large = oo.compute(x.mean(), x.std(), (x > 3).sum())
    np.testing.assert_allclose((mean, std), (a.mean(), a.std()), rtol=1e-12)
    assert large == (a > 3).sum()
    c, z = np.sqrt(abs(a) + 1) * b, np.sqrt(abs(x) + 1) * y
    stored, mean = oo.compute(z.store(tmp_path / "z.npy", compute=False), z.mean())
    same(np.load(tmp_path / "z.npy"), c)
    same(stored.compute(), c)
    assert mean == pytest.approx(c.mean(), rel=1e-12)


def test_standard_scores_are_two_passes_of_reading_and_one_of_writing(npy: Make, tmp_path) -> None:
    path = npy((1000, 300))
    x = oo.open(path)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    target = oo.create(tmp_path / "z.npy", x.shape, "f8")
    plan = plan_of(Root(z.node, target.node.source))
    assert len(plan.stages) == 2
    assert len(formulas(plan)) == 2
    first, second = (stage_bytes(stage) for stage in plan.stages)
    row = 300 * 8
    assert first[0] == x.nbytes
    assert x.nbytes <= second[0] <= x.nbytes + 2 * row
    assert (first[1], second[1]) == (0, x.nbytes)
    a = np.load(path)
    np.testing.assert_allclose(z.compute(), (a - a.mean(0)) / a.std(0), rtol=1e-11, atol=1e-11)


# 3. What cannot be fused


DAY = np.timedelta64(1, "s")
SPLIT: dict[str, Callable[[Any, Any], Any]] = {
    "logaddexp": lambda xp, x: np.sqrt(abs(np.logaddexp(x * 2, x + 1) * 3)),
    "complex": lambda xp, x: abs((x * 2 + 1) * 1j) * 3 - 1,
    "float16": lambda xp, x: (x * 2 + 1).astype("f2").astype("f8") * 3 - 1,
    "datetime": lambda xp, x: (((x * 2).astype("i8") * DAY) / DAY) * 3 - 1,
    "sort": lambda xp, x: xp.sort(x * 2 + 1, axis=-1) * 3 - 1,
    "gather": lambda xp, x: (x * 2 + 1)[[5, 1, 1, -1]] * 3 - 1,
    "roll": lambda xp, x: xp.roll(x * 2 + 1, 3, 0) * 3 - 1,
    "concatenate": lambda xp, x: xp.concatenate([x * 2 + 1, x * 2 - 1]) * 3 - 1,
}


@pytest.mark.parametrize("name", SPLIT)
def test_what_has_no_word_splits_the_tree_there(npy: Make, name: str) -> None:
    path = npy((70, 90))
    a, x = np.load(path), oo.open(path)
    with np.errstate(all="ignore"):
        wanted = SPLIT[name](np, a)
    made = SPLIT[name](oo, x)
    assert len(formulas(plan_of(made))) >= 2
    for scheduler in SCHEDULERS:
        found = made.compute(scheduler=scheduler)
        near(found, wanted, 4 if name in ("logaddexp", "complex") else 0)
    same(made.sum(axis=0).compute(), made.sum(axis=0).compute(fuse=False))


@oo.elementwise
def soft(x: Any, k: Any) -> Any:
    return x / (1 + abs(x) * k)


@oo.elementwise
def shifted(x: Any) -> Any:
    return x + SHIFT


def test_functions_of_scalars_are_part_of_the_loop(npy: Make, anywhere: str, monkeypatch) -> None:
    path = npy((70, 90))
    a, x = np.load(path), oo.open(path)
    y = soft(x * 2 - 1, 3.0) + 1
    assert count(y) == (1, 1)
    assert "soft" in source_of(y)
    b = a * 2 - 1
    same(y.compute(), b / (1 + abs(b) * 3.0) + 1)
    z = shifted(x * 2) * 3
    assert count(z) == (1, 1)
    same(z.compute(), (a * 2 + 1) * 3)
    monkeypatch.setitem(globals(), "SHIFT", 5.0)
    same(z.compute(), (a * 2 + 5) * 3)


@pytest.mark.parametrize("broken", ["source", "compiler"])
def test_a_loop_that_cannot_be_compiled_is_left_to_numpy(npy: Make, monkeypatch, broken) -> None:
    path = npy((70, 90))
    a, x = np.load(path), oo.open(path)
    if broken == "source":

        def refuse(formula: Formula) -> Any:
            raise KernelError("there is no such word")

        monkeypatch.setattr("oocarray.backends.codes.write_source", refuse)
    else:
        real = oo.jit.compile_kernel

        def compile_kernel(func: Any, *args: Any, **how: Any) -> Any:
            if func.__name__ == "fused":
                raise KernelError("there is no such word")
            return real(func, *args, **how)

        monkeypatch.setattr("oocarray.jit.compile_kernel", compile_kernel)
    expression = np.sqrt(abs(x * 7.25 - 2)) > 3 if broken == "source" else x * 1.5 % 4 + x**3 - 9
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found, total = oo.compute(expression, expression.sum())
    assert [one.category for one in told] == [RuntimeWarning]
    assert "there is no such word" in str(told[0].message)
    wanted = np.sqrt(abs(a * 7.25 - 2)) > 3 if broken == "source" else a * 1.5 % 4 + a**3 - 9
    same(found, wanted)
    assert total == pytest.approx(wanted.sum())
    assert told[0].filename == __file__


# 4. NumPy's warnings


def told_by(run: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run()
    assert all(one.category is RuntimeWarning for one in told)
    return sorted(str(one.message) for one in told)


LOUD: dict[str, Callable[[Any], Any]] = {
    "divide": lambda x: 1 / (x - 3) + 1,
    "invalid": lambda x: (x - 3) / (x - 3) * 2,
    "overflow": lambda x: (x + 1e300) * (x + 1e300),
    "sqrt": lambda x: np.sqrt(x - 50) + 1,
    "log": lambda x: np.log(x - 50) + 1,
    "exp": lambda x: np.exp(x * 100) + 1,
    "integers": lambda x: (x.astype("i8") // (x.astype("i8") - 3)) + 1,
    "where": lambda x: np.where(x > 5, 1 / (x - 3), 0.0),
}
SILENT: dict[str, Callable[[Any], Any]] = {
    "compared": lambda x: (x > 3) | (x < 1) | (x == 2) | (x >= 7),
    "where": lambda x: np.where(x > 5, x, 0.0) * 2,
    "greatest": lambda x: np.maximum(x, 3) + np.minimum(x, 1),
    "clip": lambda x: np.clip(x, 1, 3) + 1,
    "sums": lambda x: (x + x) * x - 1,
    "functions": lambda x: np.exp(-abs(x)) + np.sin(x) + np.sqrt(abs(x)),
    "asked": lambda x: np.isnan(x) | np.isfinite(x * 2) | np.signbit(x),
    "sign": lambda x: np.sign(x) + 1,
    "guarded": lambda x: 1 / np.where(x == 3, 1.0, x + 1),
    "inexact": lambda x: x / 3e300 * 1e-10,
    "modulo": lambda x: (x + 1) % 7,
}


def _counting(scale: float = 1.0) -> np.ndarray:
    return np.arange(60_000.0).reshape(300, 200) % 101 * scale


@pytest.mark.parametrize("name", LOUD)
def test_numpys_warnings_are_given_once(name: str) -> None:
    a = _counting()
    wanted = told_by(lambda: LOUD[name](a))
    assert wanted
    x = oo.from_array(a, chunks=(50, 200))
    for options in ({}, {"scheduler": "threads"}, {"scheduler": "processes"}):
        assert told_by(lambda: LOUD[name](x).compute(**options)) == sorted(set(wanted))  # noqa: B023
    assert told_by(lambda: LOUD[name](x).any(axis=0).compute()) == sorted(set(wanted))


@pytest.mark.parametrize("name", SILENT)
def test_what_numpy_is_silent_about_gives_no_warning(name: str) -> None:
    a = _counting()
    a[::7, ::3] = np.nan
    a[5, 5] = 3.0
    assert told_by(lambda: SILENT[name](a)) == []
    x = oo.from_array(a, chunks=(50, 200))
    for scheduler in SCHEDULERS:
        assert told_by(lambda: SILENT[name](x).compute(scheduler=scheduler)) == []  # noqa: B023
    assert told_by(lambda: SILENT[name](x).sum(axis=0).compute()) == []


def test_the_callers_error_state_is_respected(anywhere: str) -> None:
    x = oo.from_array(_counting(), chunks=(50, 200))
    y = 1 / (x - 3) + 1
    with np.errstate(divide="ignore"):
        assert told_by(y.compute) == []
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        y.compute()
    calls: list[Any] = []
    with np.errstate(divide="call", call=lambda *told: calls.append(told)):
        assert told_by(y.compute) == []
    assert calls == [("divide by zero", 1)]
    with np.errstate(divide="ignore"):
        assert told_by(lambda: ((x - 3) / (x - 3)).compute()) == [
            "invalid value encountered in divide"
        ]


# 5. Elementary functions


def test_the_systems_functions_and_ours() -> None:
    values = np.random.default_rng(3).normal(size=4000) * 20
    x = oo.from_array(values)
    for ufunc, function in ((np.exp, math.exp), (np.sin, math.sin)):
        wanted = np.array([function(value) for value in values.tolist()])
        y = ufunc(x) * 1.0
        same(y.compute(math="libm"), wanted)
        near(y.compute(math="vector"), wanted, 2)
    positive = abs(values) + 1e-9
    wanted = np.array([math.log(value) for value in positive.tolist()])
    y = np.log(oo.from_array(positive)) * 1.0
    same(y.compute(math="libm"), wanted)
    near(y.compute(math="vector"), wanted, 2)


def test_sines_of_large_numbers(anywhere: str) -> None:
    """Beyond what our own functions are right for, in a few elements only."""
    values = np.linspace(-10, 10, 5000)
    values[[17, 4001]] = 1e12, -3e200
    found = (np.sin(oo.from_array(values)) * 1.0).compute()
    near(found, np.sin(values), 2)


# 6. Layouts

SHAPE = (300, 120)


def _plain(folder: Path, array: np.ndarray) -> Any:
    np.save(folder / "x.npy", array)
    return oo.open(folder / "x.npy")


def _fields(folder: Path, array: np.ndarray) -> Any:
    table = np.zeros(array.shape, [("a", "u1"), ("b", "f8")])
    table["b"] = array
    return _plain(folder, table)["b"]


def _row(folder: Path, array: np.ndarray) -> Any:
    return np.broadcast_to(_plain(folder, array[:1, :]), SHAPE)


def _column(folder: Path, array: np.ndarray) -> Any:
    return np.broadcast_to(_plain(folder, np.ascontiguousarray(array[:, :1])), SHAPE)


LAYOUTS: dict[str, Callable[[Path, np.ndarray], Any]] = {
    "C": _plain,
    "Fortran": lambda folder, a: _plain(folder, np.asfortranarray(a)),
    "transposed": lambda folder, a: _plain(folder, np.ascontiguousarray(a.T)).T,
    "steps": lambda folder, a: _plain(folder, a.repeat(3, 0).repeat(2, 1))[::3, ::2],
    "backward": lambda folder, a: _plain(folder, np.ascontiguousarray(a[::-1, ::-1]))[::-1, ::-1],
    "part": lambda folder, a: _plain(folder, np.pad(a, 3))[3:-3, 3:-3],
    "big-endian": lambda folder, a: _plain(folder, a.astype(">f8")),
    "field": _fields,
    "row": _row,
    "column": _column,
    "memory": lambda folder, a: oo.from_array(np.asfortranarray(a)),
    "blocks": lambda folder, a: oo.from_array(a, chunks=(70, 50)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(tmp_path: Path, anywhere: str, layout: str) -> None:
    a = numbers(SHAPE, "f8", 3)
    x = LAYOUTS[layout](tmp_path, a)
    a = {"row": a[:1], "column": a[:, :1]}.get(layout, a)
    a = np.broadcast_to(a, SHAPE)
    with np.errstate(all="ignore"):
        wanted = np.sqrt(abs(a * 2 - 1))
        y = np.sqrt(abs(x * 2 - 1))
        found, least, large = oo.compute(y, y.min(axis=0), (y > 1).sum(axis=1))
        same(found, wanted)
        same(least, wanted.min(axis=0))
        same(large, (wanted > 1).sum(axis=1))
        for axis in (0, 1, None):
            total = y.sum(axis=axis)
            assert bits(total.compute()) == bits(total.compute(fuse=False)), axis


def test_arrays_of_unlike_layouts_together(tmp_path: Path, anywhere: str) -> None:
    a = numbers(SHAPE, "f8", 3)
    names = ("C", "Fortran", "steps", "big-endian", "row", "column")
    total: Any = 0
    wanted: Any = 0
    for name in names:
        (tmp_path / name).mkdir()
        total = total + LAYOUTS[name](tmp_path / name, a)
        with np.errstate(all="ignore"):
            wanted = wanted + {"row": a[:1], "column": a[:, :1]}.get(name, a)
    with np.errstate(all="ignore"):
        same(total.compute(), wanted)
        same(total.max(axis=1).compute(), wanted.max(axis=1))
    assert count(total) == (1, 1)


def test_two_columns_of_many_and_a_last_axis_of_three(tmp_path: Path, anywhere: str) -> None:
    a = numbers((500, 64), "f8", 1)
    x = _plain(tmp_path, a)
    colours = numbers((400, 7, 3), "f8", 2)
    np.save(tmp_path / "colours.npy", colours)
    c = oo.open(tmp_path / "colours.npy")
    weight = np.array([0.25, 0.5, 0.125])
    with np.errstate(all="ignore"):
        for k, b in ((x[:, 2:4], a[:, 2:4]), (x[::-1, 10:12], a[::-1, 10:12])):
            same((k * 2 + 1).compute(), b * 2 + 1)
            same((k * 2 + 1).max(axis=0).compute(), (b * 2 + 1).max(axis=0))
        same((c * weight - 1).compute(), colours * weight - 1)
        for axis in (2, (0, 1)):
            grey = (c * weight - 1).sum(axis=axis)
            assert bits(grey.compute()) == bits(grey.compute(fuse=False)), axis


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">f8", "f4", ">i4", "?"])
def test_stores_to_every_kind_of_target(
    tmp_path: Path, npy: Make, anywhere: str, order: str, dtype: str
) -> None:
    path, other = npy((300, 120)), npy((300, 120), "f4", name="other.npy", order="F")
    a, b = np.load(path), np.load(other)
    x, y = oo.open(path), oo.open(other)
    target = oo.create(tmp_path / "out.npy", x.shape, dtype, order=order)
    z = (x * 2 + y).astype(dtype)
    _, least = oo.compute(z.store(target, compute=False), z.max(axis=0))
    wanted = (a * 2 + b).astype(dtype)
    same(np.load(tmp_path / "out.npy"), wanted)
    assert np.load(tmp_path / "out.npy").flags.f_contiguous == (order == "F")
    same(least, wanted.max(axis=0))


def test_several_stores_in_one_pass(tmp_path: Path, npy: Make, anywhere: str) -> None:
    path = npy((300, 120))
    a, x = np.load(path), oo.open(path)
    y = x * 2 + 1
    z = np.sqrt(abs(y))
    out = oo.create(tmp_path / "z.npy", x.shape, ">f4", order="F")
    oo.compute(y.store(tmp_path / "y.npy", compute=False), z.astype("f4").store(out, compute=False))
    same(np.load(tmp_path / "y.npy"), a * 2 + 1)
    same(np.load(tmp_path / "z.npy"), np.sqrt(abs(a * 2 + 1)).astype("f4"))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f8", ">f4", "i2"])
def test_updates_in_place(tmp_path: Path, anywhere: str, order: str, dtype: str) -> None:
    a = np.array(np.arange(300 * 120).reshape(300, 120) % 17, dtype, order=order)
    np.save(tmp_path / "x.npy", a)
    x = oo.open(tmp_path / "x.npy", mode="r+")
    x[...] = x * 2 + 1
    a[...] = a * 2 + 1
    same(np.load(tmp_path / "x.npy"), a)
    x += x[::-1, :] * 3 - 2
    a += a[::-1, :] * 3 - 2
    same(np.load(tmp_path / "x.npy"), a)
    x[1:] += x[:-1] * 2
    a[1:] += a[:-1] * 2
    same(np.load(tmp_path / "x.npy"), a)
    x[:, ::3] *= x[:, 1::3] - x[:, 2::3]
    a[:, ::3] *= a[:, 1::3] - a[:, 2::3]
    same(np.load(tmp_path / "x.npy"), a)


# 7. Small work, deep chains, many nodes


def test_small_work_is_not_compiled(npy: Make, tmp_path: Path, monkeypatch) -> None:
    compiled: list[str] = []
    real = oo.jit.compile_kernel

    def compile_kernel(func: Any, *args: Any, **how: Any) -> Any:
        compiled.append(func.__name__)
        return real(func, *args, **how)

    monkeypatch.setattr("oocarray.jit.compile_kernel", compile_kernel)
    monkeypatch.setenv("OOCARRAY_CACHE", str(tmp_path / "kernels"))
    path = npy((600, 600))  # 2.7 MiB, and as much to write
    a, x = np.load(path), oo.open(path)
    same((x * 2 + 1).compute(fuse=None), a * 2 + 1)
    assert compiled == []
    assert not (tmp_path / "kernels").exists() or not os.listdir(tmp_path / "kernels")
    assert count(x * 2 + 1, fuse=None) == (1, 0)
    assert count(x * 2 + 1, fuse=False) == (1, 0)
    assert count(x * 2 + 1, fuse=True) == (1, 1)
    assert formulas(plan_of((x + 1).sum(), fuse=None)) == []
    large = oo.create(tmp_path / "large.npy", (1100, 1000))
    assert count((large + 1).sum(), fuse=None) == (1, 1)


def test_deep_chains(npy: Make) -> None:
    path = npy((40, 50))
    a, x = np.load(path), oo.open(path)
    with np.errstate(all="ignore"):
        for k in range(3000):
            a, x = (a + 1, x + 1) if k % 3 else (a * 0.5, x * 0.5)
    same(x.compute(), a)
    np.testing.assert_allclose(x.mean(axis=0).compute(), a.mean(axis=0))


def test_a_hundred_nodes_are_one_loop(npy: Make) -> None:
    path = npy((40, 50))
    a, x = np.load(path), oo.open(path)
    b, y = a, x
    for k in range(25):
        b, y = abs(b * a - k) / 3 + a, abs(y * x - k) / 3 + x
    assert count(y) == (1, 1)
    assert len(formulas(plan_of(y))[0].steps) == 125
    with np.errstate(all="ignore"):
        same(y.compute(), b)


def test_other_numbers_need_no_other_code(npy: Make) -> None:
    path = npy((40, 50))
    x = oo.open(path)
    first, second = source_of(x * 2.5 + 1.25), source_of(x * 3.5 + 7.0)
    assert first == second


# 9. Memory


def test_the_budget_is_kept_and_nothing_of_a_blocks_size_is_made(tmp_path: Path) -> None:
    shape = (8, MIB)  # 64 MiB of float64
    for name, value in (("a", 1.5), ("b", 0.25)):
        oo.create(tmp_path / f"{name}.npy", shape, fill_value=value)
    x, y = oo.open(tmp_path / "a.npy"), oo.open(tmp_path / "b.npy")
    mean = ((x - y) ** 2 + abs(x * y) - x / y).mean()
    plan = plan_of(mean, memory="32 MiB", workers=2, scheduler="threads", fuse=None)
    (stage,) = plan.stages
    assert len(formulas(plan)) == 1
    cost = item_cost(stage)
    assert cost.temporary <= MIB
    assert 2 * cost.passing + 2 * cost.standing <= 32 * MIB
    wanted = 1.25**2 + 1.5 * 0.25 - 6
    for scheduler in ("threads", "processes"):
        found = mean.compute(memory="32 MiB", workers=2, scheduler=scheduler, fuse=None)
        assert found == wanted


# 10. Assembly


@pytest.mark.skipif(platform.machine() != "x86_64", reason="instructions of x86 are looked for")
def test_the_processor_works_on_several_elements_at_once(npy: Make, tmp_path: Path) -> None:
    if "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("the processor has no AVX2")
    a, b = oo.open(npy((40, 50))), oo.open(npy((40, 50), name="b.npy"))
    source = source_of(np.sqrt(a * a + b * b) * np.exp(-abs(a)))
    assert source.count("for i in range") == 1
    script = tmp_path / "assembly.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            import numpy as np
            import oocarray as oo
            from oocarray import config, jit
            from oocarray.backends import mapped
            from oocarray.backends.codes import _LOOP
            from oocarray.fusing.operation import Fused
            from oocarray.fusing.source import write_source
            from oocarray.lazy.graph import Root
            from oocarray.program import applies_in

            a, b = oo.from_array(np.ones(9)), oo.from_array(np.ones(9))
            y = np.sqrt(a * a + b * b) * np.exp(-abs(a))
            values = config.merged({"scheduler": "serial", "fuse": True})
            plan = mapped.plan_of([Root(y.node)], mapped.limits_of(values), values)
            nodes = applies_in(plan.stages[0].kernel.values[0])
            (fused,) = [one.operation for one in nodes if isinstance(one.operation, Fused)]
            function = write_source(fused.formula).function
            function = getattr(function, "func", function)
            snapshot = jit.take_snapshot(function, jit.kernel_options(False))
            root = snapshot.freeze(jit.dispatch)
            signature = tuple(jit._numba_type(one) for one in _LOOP)
            root.compile(signature)
            print(root.inspect_asm(signature))
            """
        )
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = done.stdout
    wide = [line for line in text.splitlines() if re.search(r"\b[yz]mm", line.replace("%", " "))]
    packed = {line.split()[0] for line in wide}
    assert "vsqrtpd" in packed
    assert {"vmulpd"} & packed
    assert {one for one in packed if re.match(r"vf(n?)m(add|sub)\d+pd|vaddpd", one)}
    names = "exp|exp2|expm1|pow|log|sin|cos|fmod|sqrt|ldexp|frexp|__svml_.*|_ZGV.*"
    called = re.findall(r"\b(?:call|jmp)q?\s+\*?(\S+)", text)
    called += re.findall(r"movabsq\s+\$([A-Za-z_]\w*)", text)
    assert not [name for name in called if re.fullmatch(names, name.partition("@")[0])]


_factor: Any = 1


def test_what_a_function_of_scalars_raises_is_raised(anywhere: str) -> None:
    @oo.elementwise
    def checked(v):
        if v < 0:
            raise ValueError("negative")
        return v * 2

    x = oo.from_array(np.array([1.0, -1.0, 3.0, 4.0]))
    for expression in (checked(x) + 1, (checked(x) + 1).sum()):
        with pytest.raises(ValueError, match="negative"):
            expression.compute()


def test_a_plan_is_not_kept_for_a_function_whose_globals_change(npy: Make, monkeypatch) -> None:
    path = npy((50,), "i8")

    @oo.elementwise
    def scaled(v):
        return v * _factor

    x, a = oo.open(path), np.load(path)
    same(scaled(x).compute(scheduler="serial"), a)
    monkeypatch.setattr(sys.modules[__name__], "_factor", 1.5)
    same(scaled(x).compute(scheduler="serial"), a * 1.5)


def test_plans_are_kept_for_threads_at_once(npy: Make) -> None:
    x = oo.open(npy((40,)))
    options = config.merged({"scheduler": "serial", "fuse": True})
    limits = mapped.limits_of(options)
    roots = [Root((x + k).node) for k in range(40)]
    failed: list[BaseException] = []

    def work(seed: int) -> None:
        chosen = np.random.default_rng(seed)
        try:
            for _ in range(300):
                mapped.plan_of([roots[chosen.integers(40)]], limits, options)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


@pytest.mark.parametrize("columns", [32, 288, 1056])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_sums_by_column_have_the_same_bits_however_they_are_walked(tmp_path, columns, dtype):
    """Whether rows lie side by side, and which other results there are, is no matter of extents."""
    array = np.random.default_rng(7).standard_normal((4096, 2 * columns)).astype(dtype)
    np.save(tmp_path / "x.npy", array)
    x = oo.open(tmp_path / "x.npy")
    rows = oo.from_array(np.repeat(array[:, :columns], 2, axis=0))[::2]
    views = (x[:, :columns], oo.from_array(array[:, :columns].copy()), rows)
    for function in (oo.sum, oo.mean):
        found = set()
        for view in views:
            total = function(view, axis=0)
            found.add(oo.compute(total, view.var(axis=0), scheduler="serial")[0].tobytes())
            for scheduler in ("serial", "processes"):
                found.add(total.compute(scheduler=scheduler, workers=1).tobytes())
            one = function(view * np.dtype(dtype).type(1), axis=0)
            found |= {
                one.compute(scheduler="serial", fuse=fuse).tobytes() for fuse in (True, False)
            }
        assert len(found) == 1


@pytest.mark.parametrize("scalar", [2j, np.complex64(2j)])
def test_scalars_that_no_loop_has_are_left_to_numpy(scalar):
    @oo.elementwise
    def turned(x, k):
        return (x * k).real + 1

    x = oo.from_array(np.arange(100.0))
    found = [turned(x, scalar).compute(scheduler="serial", fuse=fuse) for fuse in (True, False)]
    np.testing.assert_array_equal(*found)
