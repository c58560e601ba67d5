"""Expressions: what is known when built, what is made once, what is warned of, how deep."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import oocarray as oo
from oocarray.backends.settling import Settling
from oocarray.lazy.graph import Root
from oocarray.lazy.lower import lower
from oocarray.plan import Options

SCHEDULERS = ["serial", "threads", "processes"]


@pytest.fixture(autouse=True)
def quietly() -> Any:
    with oo.options(scheduler="serial", progress=False, workers=2):
        yield


def settled(*arrays: Any) -> list[Any]:
    settling = Settling(Options(progress=False))
    return [settling(array.node) for array in arrays]


# ---- building -----------------------------------------------------------------------------------


def test_building_reads_nothing_and_calls_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((4, 5)))
    x = oo.open(tmp_path / "x.npy")
    (tmp_path / "x.npy").unlink()

    def never(block: Any) -> Any:
        raise AssertionError

    y = (x.map_blocks(never, dtype="f8") + 1)[1:, ::2].T
    z = np.where(x > y.T.sum(), x, 0.5)
    assert (y.shape, z.shape, z.dtype) == ((3, 3), (4, 5), np.dtype("f8"))


@pytest.mark.parametrize("one", ["?", "u1", "i4", "u8", "f4", "c8", "M8[s]", "m8[ms]"])
@pytest.mark.parametrize("other", ["?", "i1", "f2", "f8", "m8[s]", 1, 2.5, 1j, np.float32(1)])
def test_dtypes_are_numpys(one: str, other: Any) -> None:
    a = np.ones(3, "i8").astype(one)
    b = np.ones(3, "i8").astype(other) if isinstance(other, str) else other
    x = oo.from_array(a)
    y = oo.from_array(b) if isinstance(other, str) else b
    for ufunc in (np.add, np.subtract, np.multiply, np.true_divide, np.less, np.maximum):
        try:
            with np.errstate(all="ignore"):
                expected = ufunc(a, b)
        except (TypeError, OverflowError):
            with pytest.raises((TypeError, OverflowError)):
                ufunc(x, y)
            continue
        found = ufunc(x, y)
        assert found.dtype == expected.dtype
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(found.compute(), expected)


def test_free_arrays_stay_free_and_set_blocks_are_merged() -> None:
    a, b = np.ones((8, 6)), np.ones((8, 6), "u2")
    free = oo.from_array(a) + oo.from_array(b)
    assert free.node.free
    assert free.numblocks == (1, 1)
    both = oo.from_array(a, chunks=(4, 6)) + oo.from_array(b, chunks=(3, 3))
    assert both.chunks == ((3, 1, 2, 2), (3, 3))
    assert (oo.from_array(a, chunks=(4, 6)) + oo.from_array(b)).chunks == ((4, 4), (6,))
    assert (oo.from_array(a) + 1).rechunk(4).chunks == ((4, 4), (4, 2))


# ---- evaluating ---------------------------------------------------------------------------------


def test_equal_expressions_are_one() -> None:
    x = oo.from_array(np.arange(6.0))
    one, other, third = settled((x + 1).sum() * 2, (x + 1).sum() * 2, (x + 1.0).sum() * 2)
    assert one is other
    assert one is not third
    assert settled(x[1:] * np.float32(2))[0] is not settled(x[1:] * 2.0)[0]


def test_a_function_of_equal_expressions_is_called_once() -> None:
    calls = []

    def spy(block: Any) -> Any:
        calls.append(1)
        return block

    x = oo.from_array(np.arange(6.0), chunks=3)
    y = [x.map_blocks(spy, dtype="f8") for _ in range(2)]
    oo.compute(y[0] + 1, y[1] + 1, (y[0] + 1).sum())
    assert len(calls) == 2


def test_what_shares_an_array_shares_a_pass(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((512, 512)))
    x = oo.open(tmp_path / "x.npy")
    plan = lower([Root(n) for n in settled(x.mean(), x.std(), (x > 3).sum(), (x * 2).max())])
    assert len(plan.stages) == 1
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    assert len(lower([Root(n) for n in settled(z)]).stages) == 2


def test_an_array_written_meanwhile_is_another_array(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(4.0))
    x = oo.open(tmp_path / "x.npy", "r+")
    (before,) = settled(x + 1)
    x[0] = 9
    (after,) = settled(x + 1)
    settling = Settling(Options(progress=False))
    assert settling((x + 1).node) is settling((x + 1).node)
    assert before is not after


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_warnings_come_once_per_run_under_the_callers_errstate(scheduler: str) -> None:
    x = oo.from_array(np.linspace(-1, 1, 200_001), chunks=20_000)
    y = 1 / x
    with oo.options(scheduler=scheduler):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            (oo.sqrt(x) + y).compute()
        words = sorted(str(one.message) for one in caught)
        assert words == [
            "divide by zero encountered in divide",
            "invalid value encountered in sqrt",
        ]
        assert {one.filename for one in caught} == {__file__}
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
            y.compute()
        with np.errstate(divide="ignore"):
            y.compute()


@pytest.mark.parametrize("scheduler", ["serial", "processes"])
def test_expressions_may_be_deep(scheduler: str) -> None:
    array = np.arange(5.0)
    x, expected = oo.from_array(array), array
    for _ in range(1500):
        x, expected = x * 1.001 + array, expected * 1.001 + array
    np.testing.assert_array_equal(x.compute(scheduler=scheduler), expected)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_blocks_of_functions_are_made_once_for_all_that_need_them(scheduler: str) -> None:
    array = np.arange(200_000.0).reshape(400, 500)
    x = oo.from_array(array, chunks=(100, 500)).map_blocks(lambda block: block + 1, dtype="f8")
    with oo.options(scheduler=scheduler, memory="32 MiB"):
        found = ((x * 2 - x.mean(axis=0))[::-1, 3:] + x[:, 3:]).compute()
    one = array + 1
    np.testing.assert_allclose(found, (one * 2 - one.mean(axis=0))[::-1, 3:] + one[:, 3:])


@pytest.mark.parametrize("memory", ["24 MiB", "64 MiB", "1 GiB"])
def test_the_bits_do_not_depend_on_the_budget(tmp_path: Path, memory: str) -> None:
    random = np.random.default_rng(1)
    np.save(tmp_path / "x.npy", random.normal(size=(4000, 1000)).astype("f4"))
    x = oo.open(tmp_path / "x.npy")
    y = np.exp(x) * 3 - x[::-1]
    few = x[random.integers(0, 4000, 3000)] + 1
    found = oo.compute(
        y.sum(), y.std(axis=0), few.mean(), memory=memory, scheduler="threads", workers=2
    )
    alone = oo.compute(y.sum(), y.std(axis=0), few.mean())
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_creation_needs_no_input() -> None:
    for scheduler in SCHEDULERS:
        with oo.options(scheduler=scheduler):
            assert (oo.ones((3, 4), chunks=2) * oo.arange(4)).sum().compute() == 18
            assert oo.zeros((0, 3)).compute().shape == (0, 3)


# ---- habits -------------------------------------------------------------------------------------


def test_single_elements_become_pythons() -> None:
    x = oo.from_array(np.array([[2.5]]))
    assert (float(x.sum()), int(x.sum()), complex(x.sum()), bool(x.any())) == (2.5, 2, 2.5, True)
    assert [10, 20, 30][oo.from_array(np.array(1))] == 20
    assert x.sum().item() == 2.5
    assert 2.5 in x
    for convert in (float, int, bool):
        with pytest.raises((TypeError, ValueError)):
            convert(oo.from_array(np.ones(2)))
    with pytest.raises(TypeError, match="integer"):
        [1, 2][oo.from_array(np.array(1.0))]


def test_asarray_is_refused_with_both_numbers_when_it_does_not_fit() -> None:
    with oo.options(memory="1 MiB"), pytest.raises(oo.BudgetError, match=r"7.63 MiB.*1 MiB"):
        np.asarray(oo.ones((1000, 1000)))
    np.testing.assert_array_equal(np.asarray(oo.ones((2, 2)), "i4"), np.ones((2, 2), "i4"))


def test_copy_is_of_its_own(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(4.0))
    x = oo.open(tmp_path / "x.npy", "r+")
    y = x.copy()
    x[0] = 9
    assert (y[0].compute(), x[0].compute()) == (0.0, 9.0)


def test_memory_is_exported_by_dlpack() -> None:
    x = oo.from_array(np.arange(3.0))
    assert np.from_dlpack(x).tolist() == [0, 1, 2]
    with pytest.raises(BufferError, match="in memory"):
        np.from_dlpack(x + 1)


def test_numpys_functions_come_here_or_are_refused_with_advice() -> None:
    x = oo.from_array(np.arange(6.0).reshape(2, 3))
    for made in (np.mean(x), np.concatenate([x, x]), np.where(x > 1, x, 0), np.linalg.norm(x)):
        assert isinstance(made, oo.Array)
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((2, 3), 2, 6)
    out = np.zeros(3)
    assert np.sum(x, axis=0, out=out) is out
    assert out.tolist() == [3, 5, 7]
    for call, advice in (
        (lambda: np.put(x, 0, 1), r"x\[index\] = values"),
        (lambda: np.savetxt("x", x), "iter_blocks"),
        (lambda: np.fft.fft(x), "map_blocks"),
        (lambda: np.mean(x, where=x > 1), "takes no where="),
        (lambda: np.add.at(x, 0, 1), r"np.add\.at"),
        (lambda: np.hypot.reduce(x), r"np.hypot\.reduce"),
    ):
        with pytest.raises(TypeError, match=advice):
            call()


def test_pickles_of_files_are_addresses(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones(1000))
    y = oo.open(tmp_path / "x.npy")[5:] * 2
    again = pickle.loads(pickle.dumps(y))
    assert again.sum().compute() == 1990
    (tmp_path / "y.pickle").write_bytes(pickle.dumps(y))
    script = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).sum().compute())"
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "y.pickle"], capture_output=True, text=True
    )
    assert done.stdout == "1990.0\n", done.stderr


def test_what_is_needed_many_times_does_not_grow_blocks_or_memory() -> None:
    x = oo.from_array(np.arange(50_000.0))
    y = x
    for _ in range(40):
        y = y + y
    assert y.numblocks == (1,)
    z, expected = x, np.arange(50_000.0)
    for _ in range(12):
        z, expected = z[1:] + z[:-1], expected[1:] + expected[:-1]
    np.testing.assert_array_equal(z.compute(), expected)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_operations_that_are_not_pointwise_may_be_deep_too(scheduler: str) -> None:
    y = oo.from_array(np.arange(1000.0))
    for _ in range(400):
        y = y[1:] + 1
    assert y[:3].compute(scheduler=scheduler).tolist() == [800, 801, 802]


def test_errstate_is_followed_once_per_run() -> None:
    told: list[Any] = []

    class Log:
        def write(self, text: str) -> None:
            told.append(text)

    x = oo.from_array(np.zeros(100_000))
    with np.errstate(divide="call", call=lambda *words: told.append(words)):
        (1 / x).compute()
    with np.errstate(divide="log", call=Log()):
        (1 / x).compute()
    assert told == [("divide by zero", 1), "Warning: divide by zero encountered in divide\n"]


def test_what_cannot_be_counted_is_not_made_up() -> None:
    def bad(block: Any, block_id: Any = None) -> Any:
        if block_id == (1,):
            raise KeyError("no")
        return block > 10

    x = oo.from_array(np.arange(100.0), chunks=50)
    few = x[x.map_blocks(bad, dtype=bool)]
    with pytest.raises(KeyError):
        few.compute(on_error="skip")


def test_counts_do_not_travel(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(10.0))
    few = oo.open(tmp_path / "x.npy")[oo.open(tmp_path / "x.npy") > 5]
    assert len(few) == 4
    assert np.isnan(pickle.loads(pickle.dumps(few)).shape[0])


@pytest.mark.parametrize("backend", ["mapped", "dask", "zarr"])
@pytest.mark.parametrize("ours", [True, False])
def test_what_is_selected_from_pieces_is_counted_anew(
    backend: str, ours: bool, tmp_path: Path
) -> None:
    """Chunks may be written, by anybody, and the file that describes them stays as it is."""
    path, how = tmp_path / "x.zarr", {"chunks": (500,), "compressors": None}
    theirs = zarr.create_array(path, shape=(3000,), dtype="f8", **how)
    x = oo.open(path, mode="r+")
    few = x[x > 0]
    assert few.compute(backend=backend).shape == (0,)
    if ours:
        x[700:703] = 1.0
    else:
        theirs[700:703] = 1.0
    assert few.compute(backend=backend).tolist() == [1.0] * 3


def test_uncounted_selections_are_counted_where_they_must_be(tmp_path: Path) -> None:
    array = np.arange(3000.0)
    np.save(tmp_path / "x.npy", array)
    x = oo.open(tmp_path / "x.npy")
    assert len(list(x[x > 2990])) == 9
    assert sum(len(rows) for rows in x[x > 5].iter_blocks(batch=100)) == 2994
    assert x[x > 5].store(tmp_path / "y.npy").shape == (2994,)
    positions = np.nonzero(x * 1 > 2990)[0]
    assert np.isnan(positions.shape[0])
    np.testing.assert_array_equal((x * 2)[positions].compute(), array[2991:] * 2)
    zero = x.sum()
    assert zero[zero > 0].compute().tolist() == [array.sum()]
    assert zero[zero < 0].compute().shape == (0,)


def test_sorting_lines_of_a_large_file_fits_a_small_budget(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(6000, 1000)).astype("f4")
    np.save(tmp_path / "x.npy", array)
    made = oo.sort(oo.open(tmp_path / "x.npy"), axis=1)
    made.store(tmp_path / "y.npy", memory="24 MiB", scheduler="threads")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), np.sort(array, axis=1))


def test_strings_are_compared_element_by_element():
    data = np.array(["ab", "c", "ab"])
    x = oo.from_array(data, chunks=2)
    assert (x == "ab").compute().tolist() == (data == "ab").tolist()
    assert (x != "ab").compute().tolist() == (data != "ab").tolist()
    assert (oo.from_array(data.astype("S")) == b"ab").compute().tolist() == [True, False, True]
    assert x[x == "ab"].compute().tolist() == ["ab", "ab"]


def test_long_chains_are_cut_finer_too(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2000, 2000)))
    y = oo.open(tmp_path / "x.npy")
    for _ in range(1200):
        y = y + 1
    with oo.options(memory="24 MiB", scheduler="serial", progress=False):
        z = y.store(tmp_path / "z.npy")
    assert z.view().min() == z.view().max() == 1200
