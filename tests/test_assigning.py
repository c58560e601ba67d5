"""Assignment: to files at once, each element once; to memory; to expressions by a new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray.errors import OverlapError

START = np.arange(60.0).reshape(10, 6)


@pytest.fixture(params=["serial", "threads", "processes"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    np.save(tmp_path / "x.npy", START)
    with oo.options(scheduler=request.param, progress=False, workers=2):
        yield oo.open(tmp_path / "x.npy", "r+")


def _set(key: Any, value: Callable[[Any], Any]) -> Callable[[Any], None]:
    def change(x: Any) -> None:
        x[key] = value(x)

    return change


CHANGES: list[tuple[str, Callable[[Any], None]]] = [
    ("a number", _set(np.s_[2:4, ::2], lambda x: -1)),
    ("a NumPy array", _set(np.s_[::-3], lambda x: np.full((4, 6), 7))),
    ("an array that is broadcast", _set(np.s_[:, 1:3], lambda x: np.array([[5.0], [6]] * 5))),
    ("leading axes of one element", _set(np.s_[3], lambda x: np.ones((1, 1, 6)))),
    ("one element", _set((4, 5), lambda x: 99)),
    ("an expression of itself", _set(np.s_[1:3], lambda x: x[1:3] * 2 + x[1:3])),
    ("an expression of other parts", _set(np.s_[0:3], lambda x: x[5:8] + 1)),
    ("parts that overlap", _set(np.s_[1:], lambda x: x[:-1])),
    ("parts that overlap, the other way", _set(np.s_[:-2], lambda x: x[2:] * 2)),
    ("itself reversed", _set(np.s_[:], lambda x: x[::-1] + 0)),
    ("a reduction of itself", _set(np.s_[:, 0], lambda x: x.sum(axis=1))),
    ("where a mask is true", _set(START > 30, lambda x: 0)),
    ("where an expression is true", lambda x: x.__setitem__(x % 2 == 1, -5)),
    ("rows by a mask", _set(np.arange(10) % 2 == 0, lambda x: 1.5)),
    ("points", _set(([1, 2, 9], [0, 5, 5]), lambda x: [1, 2, 3])),
    ("rows", _set([3, -1], lambda x: np.arange(12.0).reshape(2, 6))),
    ("values of a mask", _set(START > 50, lambda x: np.arange(9.0))),
]


@pytest.mark.parametrize(("remark", "change"), CHANGES, ids=[remark for remark, _ in CHANGES])
def test_a_file_becomes_what_numpys_array_becomes(
    file: Any, remark: str, change: Callable[[Any], None]
) -> None:
    expected = START.copy()
    change(expected)
    change(file)
    np.testing.assert_array_equal(np.load(file.layout.file.path), expected)
    np.testing.assert_array_equal(file.compute(), expected)


def test_augmented_assignment_is_applied_once(file: Any) -> None:
    file[2:5] += 1
    file[..., 0] *= 2
    file += 1
    file -= file.mean(axis=0)
    file[file < 0] = 0
    expected = START.copy()
    expected[2:5] += 1
    expected[..., 0] *= 2
    expected += 1
    expected -= expected.mean(axis=0)
    expected[expected < 0] = 0
    np.testing.assert_allclose(np.load(file.layout.file.path), expected, atol=1e-12)
    assert isinstance(file.layout.file.path, str)


def test_augmented_assignment_returns_the_view_and_setitem_of_it_does_nothing(file: Any) -> None:
    view = file[1:3]
    again = view.__iadd__(1)
    assert again is view
    before = os.stat(file.layout.file.path).st_mtime_ns
    file[1:3] = view
    assert os.stat(file.layout.file.path).st_mtime_ns == before
    np.testing.assert_array_equal(file[1:3].compute(), START[1:3] + 1)


def test_expressions_read_their_files_when_they_are_evaluated(file: Any) -> None:
    total, doubled = file.sum(), file * 2
    assert float(total) == START.sum()
    file[0] = 0
    assert float(total) == START[1:].sum()
    np.testing.assert_array_equal(doubled[0].compute(), 0)


def test_a_value_that_overlaps_goes_by_way_of_a_file_where_memory_is_short(tmp_path: Path) -> None:
    array = np.arange(6_000_000.0).reshape(6000, 1000)
    np.save(tmp_path / "x.npy", array)
    x = oo.open(tmp_path / "x.npy", "r+")
    with oo.options(memory="32 MiB", scheduler="threads", workers=1, progress=False):
        x[1:] = x[:-1]
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy", mmap_mode="r")[1:], array[:-1])
    assert os.listdir(tmp_path) == ["x.npy"]


def test_conversion_is_numpys(tmp_path: Path) -> None:
    x = oo.create(tmp_path / "x.npy", (4,), "u1")
    with oo.options(scheduler="serial", progress=False):
        x[0] = 3.9
        x[1:3] = np.array([1.2, 2.8])
        assert x.compute().tolist() == [3, 1, 2, 0]
        with pytest.raises(OverflowError):
            x[0] = 300
        with pytest.raises(TypeError, match="kind"):
            x += 1.5
        with pytest.raises(ValueError, match="shape"):
            x += np.ones((2, 4), "u1")
        with pytest.raises(ValueError, match="broadcast"):
            x[:3] = np.ones(2)
        with pytest.raises(IndexError):
            x[9] = 1
        assert x.compute().tolist() == [3, 1, 2, 0]


def test_what_is_open_for_reading_is_not_changed(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", START)
    x = oo.open(tmp_path / "x.npy")
    with pytest.raises(PermissionError, match="r\\+"):
        x[0] = 1
    y = x
    y += 1  # a new expression, as of any array that may not be changed
    with oo.options(scheduler="serial", progress=False):
        np.testing.assert_array_equal(y.compute(), START + 1)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), START)


@pytest.mark.parametrize(
    "change",
    [
        _set(np.s_[2:4, ::2], lambda x: -1),
        _set(np.s_[:, -1], lambda x: np.arange(10)),
        _set([3, 1, 3], lambda x: np.arange(18.0).reshape(3, 6)),
        _set(np.s_[:, [1, 0]], lambda x: 4),
        lambda x: x.__setitem__(x > 20, 0),
        _set(np.arange(10) % 3 == 0, lambda x: 8),
    ],
)
def test_an_expression_is_bound_anew(change: Callable[[Any], None]) -> None:
    base = oo.from_array(START)
    x, expected = base + 1, START + 1
    change(x)
    change(expected)
    with oo.options(scheduler="serial", progress=False):
        np.testing.assert_array_equal(x.compute(), expected)
        np.testing.assert_array_equal(base.compute(), np.arange(60.0).reshape(10, 6))


def test_memory_is_changed_in_place() -> None:
    array = START.copy()
    x = oo.from_array(array)
    with oo.options(scheduler="serial", progress=False):
        x[0] = x[1] + 1
        x[x > 50] = 0
    expected = START.copy()
    expected[0] = expected[1] + 1
    expected[expected > 50] = 0
    np.testing.assert_array_equal(array, expected)
    array.flags.writeable = False
    with pytest.raises(PermissionError):
        oo.from_array(array)[0] = 1


def test_out_and_where(file: Any) -> None:
    np.multiply(file, 2, out=file)
    np.add(file, 1, out=file, where=file > 50)
    expected = START * 2
    np.add(expected, 1, out=expected, where=expected > 50)
    np.testing.assert_array_equal(file.compute(), expected)
    into = np.zeros(6)
    assert np.sqrt(file[0], out=into) is into
    np.testing.assert_array_equal(into, np.sqrt(expected[0]))


def test_a_kernel_may_read_what_its_result_replaces(file: Any) -> None:
    @oo.kernel
    def shifted(out: Any, block: Any) -> None:
        for i in range(block.shape[0]):
            out[i] = block[block.shape[0] - 1 - i]

    file[...] = oo.map_blocks(shifted, file, dtype="f8")
    np.testing.assert_array_equal(file.compute(), START[::-1])


def test_two_targets_of_one_store_that_overlap_are_refused(file: Any) -> None:
    with pytest.raises(OverlapError):
        oo.store([file[:5] + 1, file[:5] + 2], [file[:5], file[3:8]])


def test_what_a_function_returns_may_be_a_view_of_what_it_replaces(tmp_path: Path) -> None:
    array = np.arange(100_000.0)
    for scheduler in ("serial", "processes"):
        np.save(tmp_path / "x.npy", array)
        x = oo.open(tmp_path / "x.npy", "r+")
        with oo.options(scheduler=scheduler, progress=False):
            x[:] = x.map_blocks(lambda block: block[::-1], dtype="f8") + 1
            np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), array[::-1] + 1)
            (x.map_blocks(lambda block: block[::-1], dtype="f8") - 1).store(x)
            np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), array)


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
def test_a_function_may_store_over_what_it_is_given(tmp_path: Path, scheduler: str) -> None:
    """Its result may be a view of its block, which lies in the very pages that are written."""
    array = np.arange(100_000.0)
    np.save(tmp_path / "x.npy", array)
    x = oo.open(tmp_path / "x.npy", "r+")
    with oo.options(scheduler=scheduler, progress=False):
        x.map_blocks(lambda block: block[::-1], dtype="f8").store(x)
        np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), array[::-1])
        y = x.rechunk(25_000)
        y.map_blocks(lambda block: block[::-1], dtype="f8").store(x)
        expected = array[::-1].reshape(4, -1)[:, ::-1].reshape(-1)
        np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)


def test_a_kernel_may_store_over_what_it_reads(file: Any) -> None:
    @oo.kernel
    def turned(out: Any, block: Any) -> None:
        for i in range(block.shape[0]):
            out[i] = block[block.shape[0] - 1 - i]

    oo.map_blocks(turned, file, dtype="f8").store(file)
    np.testing.assert_array_equal(file.compute(), START[::-1])


def dies_once(block: Any, mark: str) -> Any:
    """Kills its process the first time, after half of the block was changed."""
    if not os.path.exists(mark):
        open(mark, "x").close()
        os.kill(os.getpid(), 9)
    return block + 1


def test_a_store_over_its_own_input_is_not_done_twice(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(1000))
    x = oo.open(tmp_path / "x.npy", "r+")
    made = x.map_blocks(dies_once, str(tmp_path / "mark"), dtype="f8")
    with (
        oo.options(scheduler="processes", workers=2, progress=False),
        pytest.raises(oo.TornBlockError),
    ):
        made.store(x)
    assert set(np.load(tmp_path / "x.npy")) <= {0.0, 1.0}


@pytest.mark.parametrize("backend", ["mapped", "dask", "zarr"])
def test_a_stack_that_has_the_file_that_is_written(tmp_path: Path, backend: str) -> None:
    names = [tmp_path / f"{letter}.npy" for letter in "abc"]
    arrays = [np.arange(6000.0) + 10_000 * number for number in range(3)]
    for name, array in zip(names, arrays, strict=True):
        np.save(name, array)
    s, b = oo.open(names), oo.open(names[1], "r+")
    turned = s[6000:12_000][::-1].rechunk(500)
    with oo.options(scheduler="serial", progress=False, backend=backend):
        try:
            (turned + 0).store(b)
        except OverlapError:
            np.testing.assert_array_equal(np.load(names[1]), arrays[1])
        else:
            np.testing.assert_array_equal(np.load(names[1]), arrays[1][::-1])
        # What is made of its other files alone is stored as anything else.
        (s[:6000] + 1).store(b)
    np.testing.assert_array_equal(np.load(names[1]), arrays[0] + 1)


def test_a_file_by_another_name_is_the_same_file(file: Any) -> None:
    path = file.layout.file.path
    file[0, 0] = 0
    other = oo.open(path, "r+")
    file[:] = other + 1
    file[:] = file.view()[::-1]
    file.view("i8")[:] = file
    expected = (START + 1)[::-1].astype("i8").view("f8")
    np.testing.assert_array_equal(np.load(path), expected)


def test_values_are_elements_with_numpys_errors(tmp_path: Path) -> None:
    x = oo.create(tmp_path / "u.npy", (10,), "u1")
    y = oo.create(tmp_path / "i.npy", (10,), "i4")
    with oo.options(scheduler="serial", progress=False):
        with pytest.raises(OverflowError):
            x[x < 5] = 300
        for change in (lambda: y.__setitem__(slice(None), np.nan), lambda: _where(y)):
            with pytest.raises(ValueError, match="NaN"):
                change()
        with pytest.raises(ValueError, match="broadcast"):
            x[5:5] = [1, 2, 3]
        z = y + 0
        with pytest.raises(ValueError, match="NaN"):
            z[z < 5] = np.nan
    assert x.compute().tolist() == [0] * 10


def _where(y: Any) -> None:
    y[y < 5] = np.nan


def test_a_selection_that_changed_since_it_was_counted_is_not_cut_by_its_old_extent(
    file: Any,
) -> None:
    few = file[file > 5]
    assert len(few) == 54
    cut, doubled = few[::-1], few * 2
    file[:] = 0
    with pytest.raises(oo.InputChangedError, match="select again"):
        cut.compute()
    assert doubled.compute().shape == (0,)
    assert doubled.shape == (0,)


def test_outputs_of_one_function_beside_its_own_input_are_refused(tmp_path: Path) -> None:
    for name in "xy":
        np.save(tmp_path / f"{name}.npy", np.arange(100.0))
    x, y = (oo.open(tmp_path / f"{name}.npy", "r+") for name in "xy")
    more, twice = oo.map_blocks.options(nout=2)(lambda b: (b + 1, b * 2), x, dtype="f8")
    with oo.options(scheduler="serial", progress=False):
        with pytest.raises(OverlapError, match="store one of them in a new file first"):
            oo.store([more, twice], [x, y])
        np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), np.arange(100.0))
        twice.store(y)
        more.store(x)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), np.arange(100.0) + 1)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), np.arange(100.0) * 2)


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
def test_what_is_written_is_not_read_by_another_result_of_the_run(
    tmp_path: Path, scheduler: str
) -> None:
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.arange(100.0))
    a, b = oo.open(tmp_path / "a.npy"), oo.open(tmp_path / "b.npy", "r+")
    memory = np.arange(100.0)
    with oo.options(scheduler=scheduler, progress=False, workers=2):
        for target, other in ((b, b), (memory, oo.from_array(memory))):
            for asked in (
                oo.store(a + other, tmp_path / "c.npy", compute=False),
                (a * other).sum(),
            ):
                with pytest.raises(OverlapError, match="in a new file first"):
                    oo.compute(oo.store(a + 1, target, compute=False), asked)
        np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), np.arange(100.0))
        assert not (tmp_path / "c.npy").exists()
        oo.store(b.view()[::-1], b)
        np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), np.arange(100.0)[::-1])


@pytest.mark.parametrize("ufunc", [np.divmod, np.modf, np.frexp])
def test_several_outputs_of_which_one_is_the_input(file: Any, ufunc: np.ufunc) -> None:
    arguments = (3,) if ufunc.nin == 2 else ()
    first, second = ufunc(START, *arguments)
    rest = np.empty(START.shape, second.dtype)
    ufunc(file, *arguments, out=(file, rest))
    np.testing.assert_array_equal(file.compute(), first)
    np.testing.assert_array_equal(rest, second)


def test_what_was_built_for_a_selection_is_not_used_for_another(file: Any) -> None:
    few = file[file[:, 0] > 20]
    assert len(few) == 6
    turned = few.map_blocks(np.negative, dtype="f8")
    sums = few.sum(axis=1) * 2
    places = oo.nonzero(file[:, 0] > 20)[0]
    assert len(places) == 6
    picked = oo.from_array(np.arange(10.0))[places][::-1]
    for number in (1000, 0):
        file[5:, 0] = number
        file[3, 0] = 1000
        for built in (turned, sums, picked):
            with pytest.raises(oo.InputChangedError, match="select again"):
                built.compute()
        np.testing.assert_array_equal(few.compute(), file.compute()[file.compute()[:, 0] > 20])


def test_a_mask_of_a_function_follows_what_the_function_is_given() -> None:
    x, limit = oo.from_array(np.arange(10.0)), np.array([5.0])
    y = x[x.map_blocks(lambda block, limit: block > limit, limit, dtype=bool)]
    with oo.options(scheduler="serial"):
        assert y.compute().tolist() == [6, 7, 8, 9]
        limit[0] = 7
        assert y.compute().tolist() == [8, 9]


def test_positions_of_several_axes_are_refused_in_an_expression() -> None:
    e = oo.from_array(np.zeros(5)) + 0
    with pytest.raises(NotImplementedError, match="along one axis"):
        e[np.array([[0, 1], [2, 3]])] = 1.0
