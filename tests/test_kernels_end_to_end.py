"""Kernels on real files, from wherever they are defined; compilation alone is tested elsewhere."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oocarray as oo

SCHEDULERS = ("serial", "threads", "processes")
FACTOR = 3.0
UNKEYABLE = {"a": 1.0}
Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOCARRAY_WORKERS", "2")
    monkeypatch.setenv("OOCARRAY_PROGRESS", "no")
    monkeypatch.setenv("OOCARRAY_SCHEDULER", "serial")


@pytest.fixture(params=SCHEDULERS)
def anywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OOCARRAY_SCHEDULER", request.param)
    return str(request.param)


@oo.kernel
def scale(out: Any, x: Any, k: Any) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] * k


@oo.kernel
def add(out: Any, x: Any, y: Any) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] + y[i, j]


@oo.kernel
def by_global(out: Any, x: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] * FACTOR


# Where a kernel comes from


def test_from_a_file(npy: Make, anywhere: str) -> None:
    path = npy(10)
    result = oo.map_blocks(by_global, oo.open(path, chunks=4))
    assert result.dtype == np.float64
    assert result.compute().tolist() == (np.load(path) * 3).tolist()


def test_from_a_closure(npy: Make, anywhere: str) -> None:
    path = npy(10)

    def make(k: float) -> Any:
        @oo.kernel
        def times(out: Any, x: Any) -> None:
            for i in range(x.size):
                out[i] = x[i] * k

        return times

    x = oo.open(path, chunks=4)
    two, five = oo.compute(*(oo.map_blocks(make(k), x) for k in (2.0, 5.0)))
    assert two.tolist() == (np.load(path) * 2).tolist()
    assert five.tolist() == (np.load(path) * 5).tolist()


def test_from_exec(npy: Make, anywhere: str) -> None:
    path = npy(10)
    space: dict[str, Any] = {"oo": oo}
    exec(
        "@oo.kernel\ndef negate(out, x):\n    for i in range(x.size):\n        out[i] = -x[i]\n",
        space,
    )
    result = oo.map_blocks(space["negate"], oo.open(path, chunks=4)).compute()
    assert result.tolist() == (-np.load(path)).tolist()


SCRIPT = """
import sys
import numpy as np
import oocarray as oo

OFFSET = 7.0

@oo.kernel
def helper_kernel(value):
    return value + OFFSET

@oo.kernel
def shift(out, x):
    for i in range(x.size):
        out[i] = helper_kernel(x[i])

def plain(block):
    return block - OFFSET

x = oo.open(sys.argv[1], chunks=4)
shifted = oo.map_blocks(shift, x)
print(shifted.compute().tolist())
print(oo.map_blocks(plain, shifted).compute().tolist())
"""


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_from_a_script_on_standard_input(npy: Make, scheduler: str) -> None:
    path = npy(6)
    found = subprocess.run(
        [sys.executable, "-", path],
        input=SCRIPT,
        env={**os.environ, "OOCARRAY_SCHEDULER": scheduler},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert found.stderr == ""
    shifted, back = map(eval, found.stdout.splitlines())
    assert shifted == (np.load(path) + 7).tolist()
    assert back == np.load(path).tolist()


# What is passed to it


def test_several_outputs(npy: Make, tmp_path: Path, anywhere: str) -> None:
    path = npy((6, 5))
    values = np.load(path)

    @oo.kernel
    def both(low: Any, high: Any, x: Any) -> None:
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                low[i, j] = min(x[i, j], 0)
                high[i, j] = x[i, j] > 0

    x = oo.open(path, chunks=(4, 5))
    low, high = oo.map_blocks.options(nout=2)(both, x, dtype=("f4", "?"))
    a, b = oo.compute(low, high)
    assert a.tolist() == np.minimum(values, 0).astype("f4").tolist()
    assert b.tolist() == (values > 0).tolist()
    oo.store([low, high], [tmp_path / "low.npy", tmp_path / "high.npy"])
    assert np.load(tmp_path / "low.npy").tolist() == a.tolist()
    assert np.load(tmp_path / "high.npy").dtype == bool
    assert high.compute().tolist() == b.tolist()


def test_arrays_as_literals(npy: Make, anywhere: str) -> None:
    path = npy((30, 5))
    values = np.load(path)

    @oo.kernel
    def look_up(out: Any, x: Any, small: Any, large: Any, fortran: Any, scalar: Any) -> None:
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] = x[i, j] + small[1] + large[39_999] + fortran[2, 1] + scalar[()]

    small = np.arange(3, dtype="i2")
    large = np.arange(40_000.0)  # 312 KiB: travels by address
    fortran = np.asfortranarray(np.arange(20_000.0).reshape(200, 100))
    scalar = np.array(0.5)
    x = oo.open(path, chunks=(8, 5))
    result = oo.map_blocks(look_up, x, small, large, fortran, scalar).compute()
    assert result.tolist() == (values + 1 + 39_999 + 201 + 0.5).tolist()
    strided = oo.map_blocks(look_up, x, small[::-1], large[::-1], fortran[::2, ::-1], scalar)
    assert strided.compute().tolist() == (values + 1 + 0 + fortran[4, 98] + 0.5).tolist()


def test_a_big_endian_literal(npy: Make, anywhere: str) -> None:
    path = npy((4, 4))
    values = np.load(path)
    table = (np.arange(16.0).reshape(4, 4)).astype(">f8")
    result = oo.map_blocks(add, oo.open(path, chunks=-1), table).compute()
    assert result.tolist() == (values + table).tolist()


def test_a_memmap_literal(npy: Make, anywhere: str) -> None:
    path, table = npy((4, 4)), npy((300, 300))
    result = oo.map_blocks(add, oo.open(path, chunks=-1), np.load(table, mmap_mode="r")).compute()
    assert result.tolist() == (np.load(path) + np.load(table)[:4, :4]).tolist()


def test_block_id_defaults_and_keywords(npy: Make, anywhere: str) -> None:
    path = npy((4, 6))

    @oo.kernel
    def mark(
        out: Any, x: Any, k: Any, table: Any = None, block_id: Any = (0, 0), twice: Any = False
    ) -> None:
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] = 10 * block_id[0] + block_id[1] + k
                if twice:
                    out[i, j] *= 2
                if table is not None:
                    out[i, j] += table[0]

    x = oo.open(path, chunks=(2, 3))
    plain = oo.map_blocks(mark, x, 0.5).compute()
    assert plain[::2, ::3].tolist() == [[0.5, 1.5], [10.5, 11.5]]
    keywords = oo.map_blocks(mark, x, twice=True, k=1).compute()
    assert keywords[::2, ::3].tolist() == [[2, 4], [22, 24]]
    with_table = oo.map_blocks(mark, x, k=1, table=np.array([100.0])).compute()
    assert with_table[::2, ::3].tolist() == [[101, 102], [111, 112]]


def test_arguments_that_do_not_fit_the_parameters(npy: Make) -> None:
    x = oo.open(npy((4, 4)))
    with pytest.raises(oo.KernelError, match=r"'scale' .* 1 output block\(s\), 1 argument"):
        oo.map_blocks(scale, x).compute()
    with pytest.raises(oo.KernelError, match="nothing"):
        oo.map_blocks(scale, x, 1, nothing=2).compute()
    with pytest.raises(oo.DtypeError, match="not dict"):
        oo.map_blocks(scale, x, {}).compute()
    with pytest.raises(oo.KernelError, match="block_id, but not block_info"):
        oo.map_blocks(oo.kernel(lambda out, x, block_info: None), x).compute()
    with pytest.raises(ValueError, match="a kernel fills its output"):
        oo.map_blocks.options(form="block")(scale, x, 2)


def test_an_array_as_keyword(npy: Make, anywhere: str) -> None:
    path, other = npy((4, 4)), npy((4, 4), "i4")
    x = oo.open(path, chunks=-1)
    result = oo.map_blocks(add, x, y=oo.open(other, chunks=(2, 2))).compute()
    assert result.tolist() == (np.load(path) + np.load(other)).tolist()


def test_dropped_and_new_axes(npy: Make, anywhere: str) -> None:
    path = npy((7, 6))

    @oo.kernel
    def extremes(out: Any, x: Any) -> None:
        for j in range(x.shape[1]):
            out[0, j] = x[0, j]
            out[1, j] = x[0, j]
            for i in range(x.shape[0]):
                out[0, j] = min(out[0, j], x[i, j])
                out[1, j] = max(out[1, j], x[i, j])

    x = oo.open(path, chunks=(3, 4))
    result = oo.map_blocks(extremes, x, drop_axis=0, new_axis=0, chunks=(2, (4, 2)))
    values = np.load(path)
    assert result.compute().tolist() == [values.min(axis=0).tolist(), values.max(axis=0).tolist()]


# How its arrays lie


def test_strided_fortran_and_broadcast_inputs(npy: Make, anywhere: str) -> None:
    c, f = npy((8, 6)), npy((8, 6), "f4", order="F")
    a, b = np.load(c), np.load(f)
    x, y = oo.open(c), oo.open(f)
    assert oo.map_blocks(add, x, y).compute().tolist() == (a + b).tolist()
    assert oo.map_blocks(add, y, x, dtype="f8").compute().tolist() == (a + b).tolist()
    both = oo.map_blocks(add, x[::-2, ::3], y[1::2, ::-3]).compute()
    assert both.tolist() == (a[::-2, ::3] + b[1::2, ::-3]).tolist()
    for chunks in ((3, 6), (8, 4), (3, 4), (1, 1)):
        cut = oo.map_blocks(add, x.rechunk(chunks), y.rechunk(chunks)).compute()
        assert cut.tolist() == (a + b).tolist()


def test_inputs_in_memory(anywhere: str) -> None:
    values = np.arange(48.0).reshape(6, 8)
    for array in (values, np.asfortranarray(values), values[::-2, 1::3], values[:, ::-1]):
        x = oo.from_array(array, chunks=(2, 2))
        assert oo.map_blocks(scale, x, 2).compute().tolist() == (array * 2).tolist()


@pytest.mark.parametrize("dtype", [">f8", ">i2", ">c16"])
def test_big_endian_input_and_output(npy: Make, tmp_path: Path, anywhere: str, dtype: str) -> None:
    path = npy((7, 5), dtype)
    values = np.load(path)
    for x in (oo.open(path, chunks=(3, 5)), oo.open(path)[::-1, ::2]):
        expected = values if x.shape == (7, 5) else values[::-1, ::2]
        result = oo.map_blocks(scale, x, 2)
        assert result.dtype == np.dtype(dtype)
        got = result.compute()
        assert got.tolist() == (expected * 2).tolist()
        result.store(tmp_path / "y.npy", overwrite=True)
        stored = np.load(tmp_path / "y.npy")
        assert stored.dtype == np.dtype(dtype)
        assert stored.tolist() == (expected * 2).tolist()


def test_unaligned_input_and_output(tmp_path: Path, anywhere: str) -> None:
    values = np.arange(35.0).reshape(7, 5)
    path, target = tmp_path / "x.bin", tmp_path / "y.bin"
    path.write_bytes(b"abc" + values.tobytes())
    target.write_bytes(bytes(5 + values.nbytes))
    x = oo.open(path, shape=(7, 5), dtype="f8", offset=3, chunks=(3, 5))
    y = oo.open(target, "r+", shape=(7, 5), dtype="f8", offset=5)
    oo.map_blocks(scale, x, 2).store(y)
    assert np.frombuffer(target.read_bytes()[5:]).tolist() == (values * 2).ravel().tolist()
    assert oo.map_blocks(add, x, x).sum().compute() == 2 * values.sum()


def test_a_packed_field(tmp_path: Path, anywhere: str) -> None:
    values = np.zeros((6, 4), [("tag", "u1"), ("x", "f4"), ("y", ">f4")])
    values["x"], values["y"] = np.arange(24).reshape(6, 4), 5
    np.save(tmp_path / "x.npy", values)
    x = oo.open(tmp_path / "x.npy", chunks=(4, 4))
    assert oo.map_blocks(add, x["x"], x["y"]).compute().tolist() == (values["x"] + 5).tolist()


@oo.kernel
def swap(out: Any, x: Any) -> None:
    for i in range(x.size):
        out[i].a = x[i].b
        out[i].b = x[i].a


def test_structs(tmp_path: Path, anywhere: str) -> None:
    values = np.zeros(6, [("a", "i8"), ("b", "i8")])
    values["a"] = np.arange(6)
    np.save(tmp_path / "x.npy", values)
    result = oo.map_blocks(swap, oo.open(tmp_path / "x.npy", chunks=4)).compute()
    assert result["b"].tolist() == [0, 1, 2, 3, 4, 5]
    assert result["a"].tolist() == [0] * 6


def test_into_targets_of_all_layouts(npy: Make, tmp_path: Path, anywhere: str) -> None:
    path = npy((9, 7))
    expected = (np.load(path) * 2).tolist()
    for chunks in ((9, 2), (4, 7), (4, 3)):
        result = oo.map_blocks(scale, oo.open(path, chunks=chunks), 2)
        result.store(tmp_path / "c.npy", overwrite=True)
        assert np.load(tmp_path / "c.npy").tolist() == expected
        oo.create(tmp_path / "f.npy", (9, 7), order="F", overwrite=True)
        result.store(oo.open(tmp_path / "f.npy", "r+"))
        assert np.load(tmp_path / "f.npy").tolist() == expected
        oo.create(tmp_path / "s.npy", (18, 21), "f4", overwrite=True)
        result.store(oo.open(tmp_path / "s.npy", "r+")[::-2, ::3])
        assert np.load(tmp_path / "s.npy")[::-2, ::3].tolist() == expected
        memory = np.zeros((7, 9)).T
        result.store(memory)
        assert memory.tolist() == expected


def test_a_column_chunked_array_under_a_small_budget(npy: Make, tmp_path: Path) -> None:
    path = npy((500, 6000))
    with pytest.warns(oo.GridWarning, match="each page"):
        x = oo.open(path, chunks=(500, 100))
    result = oo.map_blocks(scale, x, 2)
    # Of each row a block has 800 bytes, in one page or two: what counts are the pages.
    result.store(tmp_path / "y.npy", memory="12 MiB", scheduler="threads")
    with pytest.raises(oo.BudgetError, match=r"needs 7\.81 MiB \(3\.91 MiB read"):
        result.store(tmp_path / "z.npy", memory="4 MiB", scheduler="threads")
    assert (np.load(tmp_path / "y.npy") == np.load(path) * 2).all()


def test_zero_dimensions_and_no_elements(tmp_path: Path, npy: Make, anywhere: str) -> None:
    @oo.kernel
    def one(out: Any, x: Any) -> None:
        out[()] = x[()] + 1

    np.save(tmp_path / "zero.npy", np.array(41.0))
    assert oo.map_blocks(one, oo.open(tmp_path / "zero.npy")).compute() == 42.0
    assert oo.map_blocks(scale, oo.open(npy((0, 4))), 2).compute().shape == (0, 4)
    nothing = oo.map_blocks(scale, oo.open(npy((0, 4))), 2).store(tmp_path / "none.npy")
    assert nothing.shape == (0, 4)


def test_kernels_and_functions_in_a_chain(npy: Make, anywhere: str) -> None:
    path = npy((9, 8))
    values = np.load(path)
    x = oo.open(path, chunks=(4, 3))
    strided = oo.map_blocks(lambda b: np.asfortranarray(b)[::-1], x)
    scaled = oo.map_blocks(scale, strided, 2)
    cast = oo.map_blocks(lambda b: b.astype(">f4"), scaled)
    total = oo.map_blocks(add, cast, x, dtype="f8")
    less = oo.map_blocks(np.subtract, total, total.mean(axis=0))
    flipped = np.concatenate([values[3::-1], values[7:3:-1], values[8:]])
    expected = flipped * 2 + values
    assert total.compute().tolist() == expected.tolist()
    assert np.allclose(less.compute(), expected - expected.mean(axis=0), atol=1e-12)


def test_reductions_of_kernels(npy: Make, anywhere: str) -> None:
    path = npy((50, 40))
    doubled = oo.map_blocks(scale, oo.open(path, chunks=(7, 9)), 2)
    mean, total, least = oo.compute(doubled.mean(axis=1), doubled.sum(), doubled.min(axis=0))
    values = np.load(path) * 2
    assert np.allclose(mean, values.mean(axis=1), rtol=1e-14)
    assert math.isclose(total, math.fsum(values.ravel()), rel_tol=1e-15)
    assert least.tolist() == values.min(axis=0).tolist()


# What must not happen


def test_workers_compile_nothing(npy: Make) -> None:
    from oocarray.runtime.pools import close_pools

    close_pools()  # fresh workers
    path = npy((6, 4))

    def forbid(block: Any) -> Any:
        import os
        import time

        from oocarray import jit

        jit.forbid_compilation()
        time.sleep(0.05)  # so that all workers get one
        return np.full(block.shape, os.getpid())

    x = oo.open(path, chunks=(1, 4))
    forbidding = oo.map_blocks(forbid, x, dtype="i8")
    # Beside a kernel, so that these are the workers that kernels are given to.
    pids, _ = oo.compute(forbidding, oo.map_blocks(scale, x, 2), scheduler="processes")
    assert os.getpid() not in pids
    assert len(np.unique(pids)) == 2

    @oo.kernel
    def never_seen(out: Any, a: Any, b: Any, k: Any) -> None:
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                out[i, j] = a[i, j] - b[i, j] * k

    def direct(block: Any) -> Any:
        out = np.empty(block.size)
        by_global(out, block.ravel())  # a call in a worker does compile
        return out.reshape(block.shape)

    y = oo.open(npy((6, 4), ">i2"))
    with oo.options(scheduler="processes"):
        result = oo.map_blocks(never_seen, x, y, 4)
        expected = np.load(path) - 4.0 * np.load(path.with_name("array-2.npy"))
        assert result.compute().tolist() == expected.tolist()
        assert result.sum().compute() == expected.sum()
        assert set(forbidding.compute().ravel()) == set(pids.ravel())
        with pytest.raises((oo.KernelError, oo.BlockFailedError), match="compil"):
            oo.map_blocks(direct, x, dtype="f8").compute()
    close_pools()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_boundscheck(npy: Make, scheduler: str) -> None:
    @oo.kernel(boundscheck=True)
    def too_far(out: Any, x: Any, block_id: Any) -> None:
        for i in range(x.size):
            out[i] = x[i + (block_id[0] == 2)]

    x = oo.open(npy(10), chunks=3)
    with pytest.raises(IndexError) as caught:
        oo.map_blocks(too_far, x).compute(scheduler=scheduler)
    assert any("block (2,), region [6:9]" in note for note in caught.value.__notes__)


def test_a_kernel_that_raises(npy: Make, anywhere: str) -> None:
    @oo.kernel
    def refuse(out: Any, x: Any) -> None:
        if x[0] != x[0]:
            out[0] = 0
        raise ValueError("no such sign")

    with pytest.raises(ValueError, match="no such sign") as caught:
        oo.map_blocks(refuse, oo.open(npy(10), chunks=-1)).compute()
    assert any("block (0,)" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_float16_is_refused_before_anything_runs(npy: Make, tmp_path: Path, scheduler: str) -> None:
    x = oo.open(npy((4, 4), "f2"))
    target = tmp_path / "never.npy"
    called = []

    def note(block: Any) -> Any:
        called.append(1)
        return block.astype("f4")

    for lazy in (
        oo.map_blocks(scale, x, 2),
        oo.map_blocks(scale, x, 2, dtype="f4"),
        oo.map_blocks(scale, oo.map_blocks(note, x, dtype="f4"), 2, dtype="f2"),
    ):
        with pytest.raises(oo.DtypeError, match=r"float16; convert with .astype\('float32'\)"):
            lazy.store(target, scheduler=scheduler)
    assert not called
    assert sorted(path.name for path in tmp_path.iterdir()) == ["array-1.npy"]


def test_a_global_that_cannot_be_keyed_is_named(npy: Make) -> None:
    @oo.kernel
    def looks_up(out: Any, x: Any) -> None:
        out[0] = UNKEYABLE["a"]

    with pytest.raises(oo.KernelError, match="UNKEYABLE"):
        oo.map_blocks(looks_up, oo.open(npy(4))).compute()


def test_what_cannot_be_compiled_is_said_before_the_run(npy: Make, tmp_path: Path) -> None:
    @oo.kernel
    def wrong(out: Any, x: Any) -> None:
        out[0] = x.no_such_attribute

    with pytest.raises(oo.KernelError, match=r"(?s)wrong.*no_such_attribute"):
        oo.map_blocks(wrong, oo.open(npy(4))).store(tmp_path / "never.npy")
    assert not (tmp_path / "never.npy").exists()


def test_inputs_are_read_only(npy: Make) -> None:
    @oo.kernel
    def changes(out: Any, x: Any) -> None:
        x[0] = 1

    path = npy(4)
    before = path.read_bytes()
    with pytest.raises(oo.KernelError, match=r"(?is)changes.*read-?only|immutable|cannot"):
        oo.map_blocks(changes, oo.open(path, "r+")).compute()
    assert path.read_bytes() == before


def test_without_an_array_a_dtype_is_needed() -> None:
    @oo.kernel
    def number(out: Any, block_id: Any) -> None:
        for i in range(out.size):
            out[i] = block_id[0]

    with pytest.raises(oo.DtypeError, match="without array arguments give dtype="):
        oo.map_blocks(number, chunks=((2, 3),)).dtype  # noqa: B018
    result = oo.map_blocks(number, chunks=((2, 3),), dtype="i4")
    assert result.compute().tolist() == [0, 0, 1, 1, 1]
