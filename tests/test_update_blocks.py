"""update_blocks on real files: what it changes, and what it refuses before it changes anything."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray.grid import Grid
from oocarray.plan import Access, Blocks, Halo, Plan, Stage
from oocarray.validate import validate

SCHEDULERS = ("serial", "threads", "processes")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOCARRAY_WORKERS", "2")
    monkeypatch.setenv("OOCARRAY_PROGRESS", "no")


@pytest.fixture(params=SCHEDULERS)
def anywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OOCARRAY_SCHEDULER", request.param)
    return str(request.param)


@pytest.fixture
def serial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOCARRAY_SCHEDULER", "serial")


Make = Callable[..., Path]


def times(block: Any, factor: Any = 2) -> None:
    block *= factor


@oo.kernel
def add_kernel(block: Any, other: Any, k: Any) -> None:
    for i in range(block.shape[0]):
        for j in range(block.shape[1]):
            block[i, j] += k * other[i, j]


# What it changes


def test_a_numpy_function(npy: Make, anywhere: str) -> None:
    path = npy((7, 5))
    expected = np.load(path) * 2
    oo.update_blocks(times, oo.open(path, "r+", chunks=(2, 5)))
    assert np.load(path).tolist() == expected.tolist()
    oo.update_blocks(times, oo.open(path, "r+"), factor=0.5)
    oo.update_blocks(times, oo.open(path, "r+"), np.float64(3))
    assert np.load(path).tolist() == (expected * 1.5).tolist()


def test_a_kernel_beside_other_arrays(npy: Make, anywhere: str) -> None:
    path, other = npy((7, 5)), npy((7, 5), "i2")
    expected = np.load(path) + 3 * np.load(other)
    oo.update_blocks(add_kernel, oo.open(path, "r+", chunks=(2, 5)), oo.open(other), 3)
    assert np.load(path).tolist() == expected.tolist()


def test_other_arrays_literals_and_computed_ones(npy: Make, anywhere: str) -> None:
    path = npy((4, 6))
    values = np.load(path)
    x = oo.open(path, "r+", chunks=(2, 3))
    row = oo.from_array(np.arange(6.0), chunks=3)
    tens = oo.map_blocks(np.multiply, row, 10.0)

    def mix(block: Any, row: Any, table: Any, tens: Any, *, k: Any) -> None:
        block += row * table[1] + tens + k

    oo.update_blocks(mix, x, row, np.array([0.0, 2.0]), tens, k=1.0)
    assert np.load(path).tolist() == (values + np.arange(6.0) * 12 + 1).tolist()


def test_with_its_own_mean(npy: Make, anywhere: str) -> None:
    path = npy((4, 6))
    values = np.load(path)
    x = oo.open(path, "r+", chunks=(2, 3))

    def centre(block: Any, mean: Any) -> None:
        block -= mean

    oo.update_blocks(centre, x, float(x.mean().compute()))
    assert np.allclose(np.load(path), values - values.mean(), rtol=1e-15)


def test_an_array_as_keyword(npy: Make, anywhere: str) -> None:
    path = npy(6)
    values = np.load(path)

    def shift(block: Any, *, by: Any) -> None:
        block += by[-1]

    oo.update_blocks(shift, oo.open(path, "r+", chunks=2), by=oo.from_array(np.arange(3.0)))
    assert np.load(path).tolist() == (values + 2).tolist()


def test_the_block_is_told(npy: Make, anywhere: str) -> None:
    path = npy((4, 4))

    def number(block: Any, block_id: Any) -> None:
        block[...] = 10 * block_id[0] + block_id[1]

    def where(block: Any, block_info: Any) -> None:
        (rows, columns) = block_info[0]["array-location"]
        block += 100 * rows[0] + 1000 * columns[1]

    x = oo.open(path, "r+", chunks=(2, 2))
    oo.update_blocks(number, x)
    assert np.load(path)[::2, ::2].tolist() == [[0, 1], [10, 11]]
    oo.update_blocks(where, x)
    assert np.load(path)[::2, ::2].tolist() == [[2000, 4001], [2210, 4211]]


@oo.kernel
def number_kernel(block: Any, block_id: Any) -> None:
    for i in range(block.size):
        block[i] = block_id[0]


def test_a_kernel_is_told_too(npy: Make, anywhere: str) -> None:
    path = npy(5)
    oo.update_blocks(number_kernel, oo.open(path, "r+", chunks=2))
    assert np.load(path).tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("dtype", [">f8", ">i4", ">u2"])
def test_big_endian_in_place(npy: Make, anywhere: str, dtype: str) -> None:
    path = npy((5, 4), dtype)
    values = np.load(path)
    seen = []

    def triple(block: Any) -> None:
        seen.append(block.dtype.isnative)
        block *= 3

    x = oo.open(path, "r+", chunks=(2, 4))
    oo.update_blocks(triple, x)
    assert np.load(path).dtype == np.dtype(dtype)
    assert np.load(path).tolist() == (values * 3).tolist()
    oo.update_blocks(add_kernel, x, oo.open(npy((5, 4), dtype)), 1)
    assert np.load(path).tolist() == (values * 4).tolist()
    if anywhere == "serial":
        assert seen == [True] * 3


def test_fortran(npy: Make, anywhere: str) -> None:
    path, other = npy((6, 8), order="F"), npy((6, 8))
    values = np.load(path)
    x = oo.open(path, "r+", chunks=(6, 3))
    oo.update_blocks(times, x)
    oo.update_blocks(add_kernel, x, oo.open(other), 2.0)
    assert np.load(path).tolist() == (values * 2 + 2 * np.load(other)).tolist()
    assert np.isfortran(np.load(path))


@pytest.mark.parametrize(
    "key",
    [
        (slice(1, 5), slice(None)),
        (slice(None, None, 2), slice(1, None, 3)),
        (slice(None, None, -1), slice(4, 1, -1)),
        (3,),
        (slice(2, 2),),
    ],
)
def test_views(npy: Make, anywhere: str, key: Any) -> None:
    path = npy((6, 8))
    expected = np.load(path)
    expected[key] *= 2
    x = oo.open(path, "r+")
    oo.update_blocks(times, x[key])
    assert np.load(path).tolist() == expected.tolist()


def test_a_kernel_on_a_strided_view(npy: Make, anywhere: str) -> None:
    path = npy((6, 8))
    expected = np.load(path)
    expected[::-2, 1::3] += 2 * expected[::-2, 1::3]
    x = oo.open(path, "r+")[::-2, 1::3].rechunk((2, 2))
    oo.update_blocks(add_kernel, x, x, 2)
    assert np.load(path).tolist() == expected.tolist()


def test_a_field(tmp_path: Path, anywhere: str) -> None:
    dtype = np.dtype([("red", "u1"), ("green", "<f8"), ("pair", ">i2", (2,))])
    values = np.zeros((3, 4), dtype)
    values["red"] = np.arange(12).reshape(3, 4)
    values["green"], values["pair"] = 1.5, 7
    path = tmp_path / "pixels.npy"
    np.save(path, values)
    x = oo.open(path, "r+", chunks=(2, 4))
    oo.update_blocks(times, x["red"])
    oo.update_blocks(times, x["green"], 3.0)
    oo.update_blocks(times, x["pair"][..., 1])
    found = np.load(path)
    assert found["red"].tolist() == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18, 20, 22]]
    assert (found["green"] == 4.5).all()
    assert (found["pair"][..., 0] == 7).all()
    assert (found["pair"][..., 1] == 14).all()


def test_one_field_from_another(tmp_path: Path, serial: None) -> None:
    values = np.zeros(6, [("a", "f8"), ("b", "f8")])
    values["a"] = np.arange(6)
    np.save(tmp_path / "x.npy", values)
    x = oo.open(tmp_path / "x.npy", "r+", chunks=4)

    def copy(b: Any, a: Any) -> None:
        b[...] = a

    oo.update_blocks(copy, x["b"], x["a"])  # their bytes are apart
    assert np.load(tmp_path / "x.npy")["b"].tolist() == [0, 1, 2, 3, 4, 5]


def test_zero_dimensions(tmp_path: Path, anywhere: str) -> None:
    np.save(tmp_path / "x.npy", np.array(21.0))
    oo.update_blocks(times, oo.open(tmp_path / "x.npy", "r+"))
    assert np.load(tmp_path / "x.npy") == 42.0


def test_no_elements(npy: Make, anywhere: str) -> None:
    path = npy((0, 4))
    oo.update_blocks(times, oo.open(path, "r+"))
    assert np.load(path).shape == (0, 4)


def test_raw_bytes_at_an_odd_offset(tmp_path: Path, anywhere: str) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"abc" + np.arange(12.0).tobytes() + b"rest")
    x = oo.open(path, "r+", shape=(3, 4), dtype="f8", offset=3, chunks=(2, 4))
    oo.update_blocks(times, x)
    oo.update_blocks(add_kernel, x, x, 0.5)
    found = path.read_bytes()
    assert (found[:3], found[-4:]) == (b"abc", b"rest")
    assert np.frombuffer(found[3:-4]).tolist() == [3.0 * k for k in range(12)]


def test_a_memmap(npy: Make, anywhere: str) -> None:
    path = npy((4, 4))
    mapped = np.load(path, mmap_mode="r+")
    expected = np.array(mapped)
    expected[1:3] *= 2
    oo.update_blocks(times, mapped[1:3])
    assert mapped.tolist() == expected.tolist()


def test_itself_as_another_argument(npy: Make, anywhere: str) -> None:
    path = npy((4, 4))
    values = np.load(path)
    x = oo.open(path, "r+", chunks=(2, 4))

    def twice(block: Any, same: Any) -> None:
        block += same

    oo.update_blocks(twice, x, x)
    oo.update_blocks(twice, x, oo.open(path, chunks=(2, 4)))
    assert np.load(path).tolist() == (values * 4).tolist()


def test_what_was_changed_is_what_is_read_next(npy: Make, anywhere: str) -> None:
    path = npy(10)
    values = np.load(path)
    x = oo.open(path, "r+", chunks=3)
    plain = x.view()
    for _ in range(3):
        oo.update_blocks(times, x)
    assert plain.tolist() == x.compute().tolist() == (values * 8).tolist()


# What it refuses, before the first byte


@pytest.fixture
def refused(npy: Make) -> Callable[..., None]:
    """Check that a call is refused, and that the file is as it was."""

    def check(error: Any, match: str, path: Path, *args: Any, **kwargs: Any) -> None:
        before = path.read_bytes()
        with pytest.raises(error, match=match):
            oo.update_blocks(*args, **kwargs)
        assert path.read_bytes() == before

    return check


Refused = Callable[..., None]


def combine(block: Any, other: Any) -> None:
    block += other


def test_views_that_overlap_in_other_blocks(npy: Make, refused: Refused) -> None:
    path = npy((8, 4))
    x = oo.open(path, "r+")
    for source, target in (
        (x[1:], x[:-1]),
        (x[::-1], x),
        (x[:, ::-1], x),
        (x[::2], x[1::2][::-1][:4]),
        (x[:4], x[2:6]),
    ):
        if source.shape == target.shape and np.shares_memory(source.view(), target.view()):
            refused(
                oo.OverlapError,
                r"reads and changes the same bytes of .*array-1.npy in different blocks; store "
                "the result in a new file",
                path,
                combine,
                target,
                source,
            )


def test_rows_that_interleave_do_not_overlap(npy: Make, serial: None) -> None:
    path = npy((8, 4))
    expected = np.load(path)
    expected[::2] += expected[1::2]
    x = oo.open(path, "r+")
    oo.update_blocks(combine, x[::2], x[1::2])
    assert np.load(path).tolist() == expected.tolist()


def test_the_same_elements_in_other_blocks(npy: Make, refused: Refused) -> None:
    path = npy((8, 4))

    def whole(block: Any, everything: Any) -> None:
        block += everything.sum()

    x = oo.open(path, "r+", chunks=(2, 4))
    refused(oo.OverlapError, "in different blocks", path, whole, x, oo.open(path, chunks=-1))
    refused(oo.OverlapError, "in different blocks", path, combine, x, x[:1].rechunk((1, 4)))


def test_a_hard_link_is_the_same_file(npy: Make, refused: Refused, tmp_path: Path) -> None:
    path = npy((8, 4))
    os.link(path, tmp_path / "other.npy")
    x, alias = oo.open(path, "r+", chunks=(2, 4)), oo.open(tmp_path / "other.npy")
    refused(
        oo.OverlapError,
        "the same bytes of .*array-1.npy and .*other.npy",
        path,
        combine,
        x[1:],
        alias[:-1],
    )


def test_a_hard_link_to_the_same_blocks_is_harmless(
    npy: Make, tmp_path: Path, serial: None
) -> None:
    path = npy((8, 4))
    values = np.load(path)
    os.link(path, tmp_path / "other.npy")
    oo.update_blocks(combine, oo.open(path, "r+"), oo.open(tmp_path / "other.npy"))
    assert np.load(path).tolist() == (values * 2).tolist()


def test_through_a_computed_array(npy: Make, refused: Refused) -> None:
    path = npy((8, 4))
    x = oo.open(path, "r+", chunks=(2, 4))
    flipped = oo.map_blocks(np.add, x[::-1].rechunk((2, 4)), 0.0, dtype="f8")
    refused(oo.OverlapError, "in different blocks", path, combine, x, flipped)


def test_elements_that_share_bytes(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "x.bin"
    np.arange(8.0).tofile(path)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.memmap(path, "f8", "r+"), 3, writeable=True
    )
    refused(oo.OverlapError, "share bytes", path, times, windows)


def test_a_larger_argument(npy: Make, refused: Refused) -> None:
    path = npy(4)
    x = oo.open(path, "r+")
    refused(
        oo.OverlapError,
        r"blocks of shape \(4,\) would be changed once for each block of the larger shape \(3, 4\)",
        path,
        combine,
        x,
        oo.from_array(np.ones((3, 4))),
    )
    one = npy((1, 4))
    for chunks in (None, (1, 4), (3, 4)):
        other = oo.from_array(np.ones((3, 4)), chunks=chunks)
        refused(oo.OverlapError, "larger shape", one, combine, oo.open(one, "r+"), other)
        target = oo.open(one, "r+", chunks=(1, 4))
        refused(oo.OverlapError, "larger shape", one, combine, target, other)


def test_a_larger_literal_is_the_functions_business(npy: Make, serial: None) -> None:
    path = npy(4)
    with pytest.raises(ValueError, match="broadcast"):
        oo.update_blocks(combine, oo.open(path, "r+"), np.ones((3, 4)))


def test_an_array_open_for_reading(npy: Make, refused: Refused) -> None:
    path = npy(4)
    refused(PermissionError, 'open it with mode="r\\+".*array-1.npy', path, times, oo.open(path))
    mapped = np.load(path, mmap_mode="r")
    refused(PermissionError, "open for reading", path, times, mapped)


def test_an_array_that_is_not_stored(npy: Make, refused: Refused) -> None:
    path = npy(4)
    lazy = oo.map_blocks(np.negative, oo.open(path, "r+"))
    refused(TypeError, "not stored", path, times, lazy)
    refused(TypeError, "not stored", path, times, oo.open(path, "r+").sum())
    refused(TypeError, "not stored", path, times, np.zeros(4))
    refused(TypeError, "not stored", path, times, np.load(path, mmap_mode="c"))


def test_something_that_is_no_function(npy: Make, refused: Refused) -> None:
    path = npy(4)
    refused(TypeError, "must be callable function, not str", path, "x", oo.open(path, "r+"))


@pytest.mark.parametrize("durability", ["process", "machine"])
def test_a_durability_that_needs_a_journal(npy: Make, refused: Refused, durability: str) -> None:
    path = npy(4)
    with oo.options(durability=durability):
        refused(
            NotImplementedError,
            f"durability='{durability}' .* needs a journal.*durability=\"none\"",
            path,
            times,
            oo.open(path, "r+"),
        )


def test_a_closed_array(npy: Make, refused: Refused) -> None:
    path = npy(4)
    x = oo.open(path, "r+")
    x.close()
    refused(oo.ClosedError, "was closed", path, times, x)


def test_a_block_that_does_not_fit(npy: Make, refused: Refused) -> None:
    path = npy((600, 1000))
    x = oo.open(path, "r+", chunks=-1)
    with oo.options(memory="1 MiB"):
        refused(oo.BudgetError, "the memory budget is 1 MiB", path, times, x)


def test_a_kernel_that_cannot_be_compiled(npy: Make, refused: Refused) -> None:
    path, half = npy((4, 4)), npy((4, 4), "f2")
    refused(oo.DtypeError, "float16", half, add_kernel, oo.open(half, "r+"), oo.open(path), 1)
    refused(oo.KernelError, "add_kernel", path, add_kernel, oo.open(path, "r+"))


def test_a_halo_on_what_is_changed(npy: Make) -> None:
    source = oo.open(npy((8, 4)), "r+").layout
    assert source is not None
    grid = Grid(((2, 2, 2, 2), (4,)))
    halo = Access(source, Halo(((1, 1), (0, 0)), ("none", "none")))
    stage = Stage(None, grid, (halo,), (Blocks(source, grid),), repeat="never", label="smooth")
    with pytest.raises(oo.OverlapError, match=r"smooth: a halo on .* updated in place"):
        validate(Plan((stage,)), budget=1 << 30)


# What goes wrong on the way


def test_a_function_that_returns_a_new_array(npy: Make, anywhere: str) -> None:
    path = npy((4, 4))

    def doubled(block: Any) -> Any:
        return block * 2

    with pytest.raises(
        oo.BlockMismatchError, match=r"doubled .* returned ndarray; assign into the block"
    ) as caught:
        oo.update_blocks(doubled, oo.open(path, "r+", chunks=(2, 4)))
    assert any("in block (" in note for note in caught.value.__notes__)


def test_a_function_that_returns_its_block(npy: Make, anywhere: str) -> None:
    path = npy((4, 4), ">f4")
    values = np.load(path)

    def doubled(block: Any) -> Any:
        block *= 2
        return block

    oo.update_blocks(doubled, oo.open(path, "r+", chunks=(2, 4)))
    assert np.load(path).tolist() == (values * 2).tolist()


def test_an_error_names_the_block(npy: Make, anywhere: str) -> None:
    path = npy(6)

    def fail(block: Any, block_id: Any) -> None:
        if block_id == (1,):
            raise KeyError("no such thing")
        block[...] = 0

    with pytest.raises(KeyError, match="no such thing") as caught:
        oo.update_blocks(fail, oo.open(path, "r+", chunks=2))
    assert any("block (1,), region [2:4]" in note for note in caught.value.__notes__)
    assert np.load(path)[2:4].all()


def test_other_arguments_are_read_only(npy: Make, anywhere: str) -> None:
    path, other = npy(4), npy(4)
    before = other.read_bytes()

    def change(block: Any, other: Any) -> None:
        other += 1

    with pytest.raises(ValueError, match="read-only"):
        oo.update_blocks(change, oo.open(path, "r+"), oo.open(other, "r+"))
    assert other.read_bytes() == before


@pytest.mark.usefixtures("no_leaks")
def test_nothing_is_left_open(npy: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = npy((40, 40))
    for scheduler in ("serial", "threads"):
        monkeypatch.setenv("OOCARRAY_SCHEDULER", scheduler)
        with oo.open(path, "r+", chunks=(10, 40)) as x:
            oo.update_blocks(times, x)
    from oocarray.runtime.pools import close_pools

    close_pools()


@pytest.mark.parametrize("words", [{"scheduler": "threads"}, {"factor": 2}])
def test_arguments_that_the_function_does_not_take_change_nothing(words, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(8))

    def change(block, block_id=None):
        block += 1

    name = next(iter(words))
    advice = r"oo\.options\(scheduler=" if name == "scheduler" else "unexpected keyword"
    with pytest.raises(TypeError, match=advice):
        oo.update_blocks(change, oo.open(tmp_path / "x.npy", "r+"), **words)
    assert not np.load(tmp_path / "x.npy").any()
