"""Blocks whose function raises: left out, filled, or the end of the run, as was asked for."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import oocarray as oo
from oocarray.errors import BlockFailedError, BlockMismatchError, PlanError
from oocarray.plan import Ended
from oocarray.runtime import scheduler as runs
from oocarray.runtime.lenient import fill_of

pytestmark = pytest.mark.filterwarnings("ignore::oocarray.errors.GridWarning")

BAD = ((2,), (5,))


@pytest.fixture(params=["serial", "threads", "processes"])
def anywhere(request) -> Iterator[str]:
    with oo.options(scheduler=request.param, workers=2, memory="256 MiB", progress=False):
        yield request.param


def numbers(dtype: str = "f8") -> oo.Array:
    """Eight blocks of five."""
    return oo.from_array(np.arange(1, 41).astype(dtype), chunks=5)


def picky(block, block_id=None):
    if block_id in BAD:
        raise ValueError(f"no block {block_id[0]}\nsecond line")
    return block * 2


def picky_fill(out, block, block_id=None):
    out[:3] = block[:3] * 2
    if block_id in BAD:
        raise ValueError(f"no block {block_id[0]}")
    out[3:] = block[3:] * 2


def expected(fill: float, dtype: str = "f8") -> np.ndarray:
    array = np.arange(1, 41).astype(dtype).reshape(8, 5) * 2
    array[[2, 5]] = fill
    return array.reshape(-1)


def lazy(form: str) -> oo.Array:
    if form == "block":
        return oo.map_blocks(picky, numbers(), dtype="f8")
    return oo.map_blocks.options(form="out")(picky_fill, numbers(), dtype="f8")


FORMS = ["block", "out"]


def failed_blocks(caught):
    """The warning of that kind: garbage that is found meanwhile may warn too."""
    (told,) = (one.message for one in caught if one.category is oo.FailedBlocksWarning)
    return told


@pytest.mark.parametrize("form", FORMS)
def test_a_new_file_has_zeros_where_blocks_were_skipped(form, anywhere, tmp_path):
    with pytest.warns(oo.FailedBlocksWarning) as caught:
        y = lazy(form).store(tmp_path / "y.npy", on_error="skip")
    assert np.array_equal(y.compute(), expected(0))
    told = failed_blocks(caught)
    name = "picky" if form == "block" else "picky_fill"
    assert str(told) == (
        f"2 of 8 blocks of {name!r} failed and were left out: (2,), (5,); "
        "the first of them with ValueError: no block 2"
    )
    assert told.blocks == BAD
    assert told.errors == {(n,): f"ValueError: no block {n}" for n in (2, 5)}
    assert {one.filename for one in caught} == {__file__}


@pytest.mark.parametrize("form", FORMS)
def test_an_array_that_was_there_keeps_its_old_bytes(form, anywhere, tmp_path):
    target = oo.create(tmp_path / "y.npy", 40, "f8", fill_value=9)
    with pytest.warns(oo.FailedBlocksWarning):
        lazy(form).store(target, on_error="skip")
    assert np.array_equal(np.load(tmp_path / "y.npy"), expected(9))


ZARR = {
    "chunk files": {"chunks": 5, "shards": False},
    "blocks of several chunks": {"chunks": 2, "shards": False},
    "a shard": {"chunks": 5, "shards": 20},
    "compressed": {"chunks": 5, "compressors": "zstd"},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layout", ZARR)
def test_a_zarr_array_that_was_there_keeps_its_old_elements(form, layout, anywhere, tmp_path):
    oo.create(tmp_path / "y.zarr", 40, "f8", fill_value=0, **ZARR[layout]).close()
    target = oo.open(tmp_path / "y.zarr", "r+")
    target[:] = 9
    with pytest.warns(oo.FailedBlocksWarning):
        lazy(form).store(target, on_error="skip")
    assert np.array_equal(oo.open(tmp_path / "y.zarr").compute(), expected(9))


def half(out, block):
    out[:2] = block[:2]


@pytest.mark.parametrize("layout", ZARR)
def test_what_a_function_does_not_fill_stays_in_zarr_too(layout, anywhere, tmp_path):
    oo.create(tmp_path / "y.zarr", 40, "f8", fill_value=0, **ZARR[layout]).close()
    target = oo.open(tmp_path / "y.zarr", "r+")
    target[:] = 9
    oo.map_blocks.options(form="out")(half, numbers(), dtype="f8").store(target)
    wanted = np.arange(1.0, 41).reshape(8, 5)
    wanted[:, 2:] = 9
    assert np.array_equal(oo.open(tmp_path / "y.zarr").compute(), wanted.reshape(-1))


@pytest.mark.parametrize("form", FORMS)
def test_an_array_in_memory_keeps_its_old_values(form, anywhere):
    target = np.full(40, 9.0)
    with pytest.warns(oo.FailedBlocksWarning):
        oo.store(lazy(form), target, on_error="skip")
    assert np.array_equal(target, expected(9))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("value", "fill"), [(None, np.nan), (-1, -1.0), ("nan", np.nan)])
def test_blocks_are_filled(form, value, fill, anywhere):
    with pytest.warns(oo.FailedBlocksWarning, match="were filled"):
        got = lazy(form).compute(on_error="fill", fill_value=value)
    assert np.array_equal(got, expected(fill), equal_nan=True)


def test_reductions_take_what_was_filled(anywhere):
    y = oo.map_blocks(picky, numbers(), dtype="f8")
    with pytest.warns(oo.FailedBlocksWarning), oo.options(on_error="fill"):
        total, least, plain = oo.compute(oo.nansum(y), oo.nanmin(y), numbers().sum())
    assert total == np.nansum(expected(np.nan))
    assert least == np.nanmin(expected(np.nan))
    assert plain == 820, "a sum of what was read is no business of the function's"
    with pytest.warns(oo.FailedBlocksWarning):
        y, mean = oo.compute(y, y.mean(), on_error="fill", fill_value=0)
    assert np.array_equal(y, expected(0))
    assert mean == expected(0).mean()


def test_each_output_stands_for_itself(anywhere, tmp_path):
    x = numbers()
    good, bad = x.map_blocks(np.negative, dtype="f8"), oo.map_blocks(picky, x, dtype="f8")
    with pytest.warns(oo.FailedBlocksWarning):
        a, b = oo.compute(good, bad, on_error="fill")
    assert np.array_equal(a, -np.arange(1.0, 41))
    assert np.array_equal(b, expected(np.nan), equal_nan=True)


def test_a_function_of_several_outputs_fails_for_all_of_them(anywhere, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()

    def two(block, block_id=None):
        if block_id in BAD:
            (calls / f"{block_id[0]}-{len(os.listdir(calls))}").touch()
            raise KeyError("neither")
        return block, (block > 3)

    low, high = oo.map_blocks.options(nout=2)(two, numbers(), dtype=["f8", "?"])
    with pytest.warns(oo.FailedBlocksWarning) as caught:
        a, b = oo.compute(low, high, on_error="fill")
    bad = np.repeat([n in (2, 5) for n in range(8)], 5)
    assert np.array_equal(np.isnan(a), bad)
    assert np.array_equal(b, (np.arange(1, 41) > 3) & ~bad)
    assert failed_blocks(caught).errors == dict.fromkeys(BAD, "KeyError: 'neither'")
    assert len(os.listdir(calls)) == 2, "it was called again for the other output"


def test_functions_on_top_of_one_that_fails_are_not_called(anywhere):
    def on_top(block):
        assert np.isfinite(block).all()
        return block + 1

    y = oo.map_blocks(on_top, oo.map_blocks(picky, numbers(), dtype="f8"), dtype="f8")
    with pytest.warns(oo.FailedBlocksWarning, match="ValueError: no block 2"):
        got = y.compute(on_error="fill", fill_value=-1)
    assert np.array_equal(got, np.where(expected(0) == 0, -1, expected(0) + 1))


def test_kernels_may_fail_too(anywhere):
    @oo.kernel
    def divide(out, block):
        for i in range(block.size):
            if block[i] == 13:
                raise ZeroDivisionError("thirteen")
            out[i] = block[i] * 2

    y = oo.map_blocks(divide, numbers(), dtype="f8")
    with pytest.warns(oo.FailedBlocksWarning, match="ZeroDivisionError: thirteen") as caught:
        got = y.compute(on_error="skip")
    assert failed_blocks(caught).blocks == ((2,),)
    assert (got.reshape(8, 5)[2] == 0).all()
    assert got[-1] == 80


def test_the_whole_list_is_in_the_log_and_in_the_event(anywhere, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG, "oocarray")
    seen = []
    real = runs._Coordinator.tell
    monkeypatch.setattr(
        runs._Coordinator, "tell", lambda self, event: (seen.append(event), real(self, event))
    )
    with pytest.warns(oo.FailedBlocksWarning):
        lazy("block").compute(on_error="skip")
    (ended,) = [event for event in seen if isinstance(event, Ended)]
    assert list(ended.failed) == [((n,), f"ValueError: no block {n}") for n in (2, 5)]
    texts = [record.getMessage() for record in caplog.records]
    assert "block (5,) of 'picky': ValueError: no block 5" in texts


def test_without_failures_nothing_is_said(anywhere):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = numbers().map_blocks(np.negative, dtype="f8").compute(on_error="skip")
    assert np.array_equal(got, -np.arange(1.0, 41))


def test_many_failures_are_counted_and_a_few_named(anywhere):
    def never(block):
        raise RuntimeError("x" * 1000)

    with pytest.warns(oo.FailedBlocksWarning, match=r"^8 of 8 blocks of 'never' failed") as caught:
        numbers().map_blocks(never, dtype="f8").compute(on_error="fill")
    errors = failed_blocks(caught).errors
    assert all(len(text) == 200 and text.endswith("...") for text in errors.values())


# What is not forgiven


def test_other_errors_end_the_run(anywhere):
    def wrong(block):
        return block[:2]

    with pytest.raises(BlockMismatchError):
        numbers().map_blocks(wrong, dtype="f8").compute(on_error="fill")

    def stops(block):
        raise SystemExit(4)

    with pytest.raises(SystemExit):
        numbers().map_blocks(stops, dtype="f8").compute(on_error="skip")


def test_a_file_that_was_cut_ends_the_run(anywhere, tmp_path):
    np.save(tmp_path / "x.npy", np.ones(1 << 16))
    x = oo.open(tmp_path / "x.npy", chunks=1 << 12)
    os.truncate(tmp_path / "x.npy", 8192)
    with pytest.raises(oo.TruncatedFileError):
        x.map_blocks(np.negative, dtype="f8").compute(on_error="skip")


@pytest.mark.parametrize("on_error", ["skip", "fill"])
def test_an_update_in_place_is_refused(on_error, anywhere, tmp_path):
    np.save(tmp_path / "x.npy", np.ones(40))

    def changes(block):
        block += 1

    advice = rf"on_error='{on_error}' does not go with an update in place.*catch.*map_blocks"
    with pytest.raises(PlanError, match=advice), oo.options(on_error=on_error):
        oo.update_blocks(changes, oo.open(tmp_path / "x.npy", "r+", chunks=5))
    assert (np.load(tmp_path / "x.npy") == 1).all()


def test_a_reduction_cannot_skip(anywhere, tmp_path):
    called = tmp_path / "called"

    def never(block):
        called.touch()
        return block

    y = numbers().map_blocks(never, dtype="f8")
    with pytest.raises(PlanError, match=r'nothing can be left out.*on_error="fill".*nansum'):
        y.sum().compute(on_error="skip")
    assert not called.exists()
    assert numbers().sum().compute(on_error="skip") == 820


def test_blocks_of_unknown_size_cannot_be_filled(anywhere):
    y = oo.map_blocks(lambda b: b[b > 7], numbers(), dtype="f8", chunks=((np.nan,) * 8,))
    with pytest.raises(PlanError, match="blocks of known size"):
        y.compute(on_error="fill")


@pytest.mark.parametrize(
    ("dtype", "value", "result"),
    [
        ("f4", None, np.nan),
        ("c8", None, complex(np.nan)),
        ("i4", None, 0),
        ("?", None, False),
        ("M8[s]", None, np.datetime64("NaT")),
        ("m8[s]", None, np.timedelta64("NaT")),
        ("u1", 255, 255),
        ("u1", "7", 7),
        ("f8", 1, 1.0),
        ("f4", 0.1, np.float32(0.1)),
        ("i8", 3.0, 3),
    ],
)
def test_what_fills_a_block(dtype, value, result):
    found = fill_of(np.dtype(dtype), value)
    assert found.dtype == dtype
    assert np.array_equal(
        found, np.asarray(result, dtype), equal_nan=np.dtype(dtype).kind in "fcmM"
    )


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("u1", -1),
        ("u1", 256),
        ("i4", np.nan),
        ("i4", 1.5),
        ("f8", 1j),
        ("f8", "seven"),
        ("f8", [1, 2]),
        ("?", 2),
    ],
)
def test_what_cannot_fill_a_block(dtype, value, tmp_path):
    with pytest.raises(PlanError, match="fill_value="):
        fill_of(np.dtype(dtype), value)
    y = oo.map_blocks(lambda block: (tmp_path / "called").touch(), numbers(), dtype=dtype)
    with pytest.raises(ValueError, match="fill_value="):
        y.compute(on_error="fill", fill_value=value, scheduler="serial")
    assert os.listdir(tmp_path) == []


# Blocks that end their worker


def deadly(block, block_id=None):
    if block_id in BAD:
        block = block.copy()
        os.kill(os.getpid(), signal.SIGKILL)
    return block * 2


def deadly_fill(out, block, block_id=None):
    out[:3] = block[:3] * 2
    deadly(block, block_id)
    out[3:] = block[3:] * 2


@pytest.mark.parametrize("function", [deadly, deadly_fill])
@pytest.mark.parametrize("on_error", ["skip", "fill"])
def test_blocks_that_end_their_worker_three_times_have_failed(function, on_error, tmp_path):
    options = {"form": "out"} if function is deadly_fill else {}
    y = oo.map_blocks.options(**options)(function, numbers(), dtype="f8")
    with (
        oo.options(workers=2, progress=False, memory="256 MiB", on_error=on_error),
        pytest.warns(oo.FailedBlocksWarning, match=r"2 of 8 blocks") as caught,
    ):
        y.store(tmp_path / "y.npy")
    fill = 0 if on_error == "skip" else np.nan
    assert np.array_equal(np.load(tmp_path / "y.npy"), expected(fill), equal_nan=True)
    errors = failed_blocks(caught).errors
    assert set(errors) == set(BAD)
    assert all("ended by SIGKILL in block" in text for text in errors.values())


def test_a_block_that_ends_its_worker_is_an_error_otherwise():
    with oo.options(workers=2, progress=False), pytest.raises(BlockFailedError):
        oo.map_blocks(deadly, numbers(), dtype="f8").compute()


def test_the_environment_can_ask_for_it(monkeypatch):
    monkeypatch.setenv("OOCARRAY_ON_ERROR", "fill")
    monkeypatch.setenv("OOCARRAY_FILL_VALUE", "-1")
    with pytest.warns(oo.FailedBlocksWarning):
        got = lazy("block").compute(scheduler="serial", progress=False)
    assert np.array_equal(got, expected(-1))


def test_what_was_made_stays_when_the_warning_is_no_error(tmp_path: Path):
    with pytest.warns(oo.FailedBlocksWarning):
        lazy("block").store(tmp_path / "y.npy", on_error="skip", scheduler="serial")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(oo.FailedBlocksWarning):
            lazy("block").store(tmp_path / "z.npy", on_error="skip", scheduler="serial")
    assert os.listdir(tmp_path) == ["y.npy"]
