"""Holds the zarr backend, a loop over blocks by zarr-python and NumPy, against NumPy alone."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

import oocarray as oo
from oocarray.backends import mapped
from oocarray.backends.zarred import reading
from oocarray.backends.zarred.evaluate import evaluate
from oocarray.lazy.graph import Root
from oocarray.plan import Options
from oocarray.runtime.shared import Shared

RNG = np.random.default_rng(7)
DATA = RNG.normal(size=(60, 50))


@pytest.fixture(autouse=True)
def by_zarr() -> Iterator[None]:
    with oo.options(backend="zarr"):
        yield


@pytest.fixture
def x(tmp_path: Path) -> oo.Array:
    zarr.create_array(tmp_path / "x.zarr", data=DATA, chunks=(16, 20))
    return oo.open(tmp_path / "x.zarr", chunks=(16, 20))


def same(found: Any, expected: Any) -> None:
    found = found.compute() if isinstance(found, oo.Array) else found
    expected = np.asarray(expected)
    assert np.shape(found) == expected.shape
    assert np.asarray(found).dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


# ---- sources -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        {"compressors": None},
        {"compressors": zarr.codecs.ZstdCodec(level=1)},
        {"shards": (32, 40)},
        {"shards": (32, 40), "compressors": None},
        {"zarr_format": 2},
        {"zarr_format": 2, "compressors": None, "order": "F"},
    ],
)
def test_arrays_of_zarr_are_read_by_zarr_python(tmp_path: Path, how: Any) -> None:
    zarr.create_array(tmp_path / "x.zarr", data=DATA, chunks=(16, 20), **how)
    x = oo.open(tmp_path / "x.zarr")
    same(x, DATA)
    same(x[::-3, None, 5].T, DATA[::-3, None, 5].T)
    same(x[3:40, 7:][::2, ::-1].T, DATA[3:40, 7:][::2, ::-1].T)
    same(oo.broadcast_to(x[:, :1], (60, 4)), np.broadcast_to(DATA[:, :1], (60, 4)))
    same(x[2, 3], DATA[2, 3])
    same(x[5:5], DATA[5:5])


def test_chunks_that_were_never_written(tmp_path: Path) -> None:
    z = zarr.create_array(
        tmp_path / "x.zarr", shape=(6, 4), chunks=(2, 3), dtype=">i2", fill_value=7
    )
    z[2:3] = 1
    expected = np.full((6, 4), 7, ">i2")
    expected[2] = 1
    found = oo.open(tmp_path / "x.zarr").compute()
    np.testing.assert_array_equal(found, expected)


def test_files_that_numpy_maps(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", DATA)
    np.save(tmp_path / "f.npy", np.asfortranarray(DATA))
    DATA.tofile(tmp_path / "x.bin")
    raw = oo.open(tmp_path / "x.bin", shape=DATA.shape, dtype="f8")
    for x in (oo.open(tmp_path / "c.npy"), oo.open(tmp_path / "f.npy"), raw):
        same(x[::-2] + x[::-2], DATA[::-2] * 2)


def test_hdf5_and_arrays_in_memory(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("t", data=DATA, chunks=(7, 9), compression="gzip")
        file.create_dataset("plain", data=DATA)
    for name in ("t", "plain"):
        same(oo.open(tmp_path / "x.h5", dataset=name)[1:, ::3] * 2, DATA[1:, ::3] * 2)
    same(oo.from_array(DATA, chunks=11) - 1, DATA - 1)
    same(oo.from_array(DATA).persist() - 1, DATA - 1)


def test_what_a_block_needs_is_read_once(x: oo.Array, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    read = reading.Sources.read
    monkeypatch.setattr(
        reading.Sources, "read", lambda self, source, at: asked.append(at) or read(self, source, at)
    )
    same(x * x + x, DATA * DATA + DATA)
    assert len(asked) == np.prod(x.numblocks)


# ---- operations ----------------------------------------------------------------------------------


def test_elements_of_arrays_with_other_chunks(tmp_path: Path, x: oo.Array) -> None:
    other = RNG.normal(size=(60, 50)).astype("f4")
    zarr.create_array(tmp_path / "y.zarr", data=other, chunks=(25, 13))
    y = oo.open(tmp_path / "y.zarr")
    same(
        oo.where(x > y, np.sqrt(abs(x)), y * 2), np.where(other < DATA, abs(DATA) ** 0.5, other * 2)
    )


def test_an_expression_of_thousands_of_operations(x: oo.Array) -> None:
    y, expected = x, DATA
    for _ in range(3000):
        y, expected = y + 1, expected + 1
    same(y, expected)


def test_structure(x: oo.Array) -> None:
    same(x.T.reshape(100, 30), DATA.T.reshape(100, 30))
    same(oo.concatenate([x, x[:5] + 1]), np.concatenate([DATA, DATA[:5] + 1]))
    same(oo.stack([x, x], axis=1), np.stack([DATA, DATA], 1))
    same(oo.roll(x, 7, axis=0), np.roll(DATA, 7, 0))
    same(x[[3, 50, 3]], DATA[[3, 50, 3]])
    np.testing.assert_allclose((x @ x.T).compute(), DATA @ DATA.T)


def test_what_is_made_whole_first(x: oo.Array) -> None:
    same(oo.sort(x, axis=0), np.sort(DATA, 0))
    same(oo.sort(x, axis=0)[::-1] * 2, np.sort(DATA, 0)[::-1] * 2)
    np.testing.assert_allclose(oo.cumsum(x, axis=1).compute(), np.cumsum(DATA, 1))
    np.testing.assert_allclose((x - x.mean(axis=0)).compute(), DATA - DATA.mean(0), atol=1e-12)
    z = (x - x.mean()) / x.std()
    np.testing.assert_allclose(z.max().compute(), ((DATA - DATA.mean()) / DATA.std()).max())


def test_selections(x: oo.Array) -> None:
    same(x[x > 0.5], DATA[DATA > 0.5])
    same(x[x[:, 0] > 0, 1:3] * 2, DATA[DATA[:, 0] > 0, 1:3] * 2)
    same(oo.nonzero(x > 1)[0], np.nonzero(DATA > 1)[0])


def test_our_own_backend_is_not_asked(x: oo.Array, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "run_plan", None)
    same(x[x > 0.5] * 2, DATA[DATA > 0.5] * 2)
    same(
        x.map_blocks(lambda block, whole: block + whole[0, 0], dtype="f8", whole=x),
        DATA + DATA[0, 0],
    )


def test_complaints_are_told_once(x: oo.Array) -> None:
    with pytest.warns(RuntimeWarning, match="invalid value encountered in sqrt") as told:
        np.sqrt(x).compute()
    assert len(told) == 1
    assert told[0].filename == __file__


# ---- reductions ----------------------------------------------------------------------------------

NAMES = ("sum", "prod", "mean", "var", "std", "min", "max", "argmin", "argmax")
PLAIN = ("any", "all", "count_nonzero")


def arrays(dtype: str, axes: Any) -> np.ndarray:
    made = RNG.integers(-3, 4, size=(13, 17, 5)) if dtype != "?" else RNG.random((13, 17, 5)) > 0.5
    made = np.asarray(made).astype(dtype)
    return made + np.asarray(0.5, dtype) if dtype in ("f4", "f8", "f2") else made


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i2", "u1", "?", "c16", ">f4"])
@pytest.mark.parametrize("name", [*NAMES, *("nan" + name for name in NAMES), *PLAIN])
@pytest.mark.parametrize("axis", [None, 1, -1, (0, 2)])
def test_reductions(dtype: str, name: str, axis: Any) -> None:
    if "arg" in name and isinstance(axis, tuple):
        pytest.skip("NumPy takes one axis")
    data = arrays(dtype, axis)
    if name.startswith("nan") and data.dtype.kind in "fc":
        data[RNG.random(data.shape) < 0.3] = np.nan
        data[2:9, 3:12, 0:3] = np.nan  # blocks of nothing else
        data[..., 4] = 0.5
    x = oo.from_array(data, chunks=(4, 6, 3))
    found = getattr(oo, name)(x, axis=axis).compute()
    expected = getattr(np, name)(data, axis=axis)
    if dtype == "f2" and "arg" not in name and name not in PLAIN:
        # What NumPy makes of halves is off by more than that.
        expected = getattr(np, name)(data.astype("f8"), axis=axis).astype(expected.dtype)
    assert np.asarray(found).dtype == np.asarray(expected).dtype.newbyteorder("=")
    tolerance = {"f2": 2e-2, "f4": 1e-4}.get(data.dtype.newbyteorder("=").str[1:], 1e-11)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["sum", "mean", "var", "min", "argmax", "any"])
def test_axes_may_stay(name: str) -> None:
    x = oo.from_array(DATA, chunks=(16, 20))
    found = getattr(x, name)(axis=1, keepdims=True).compute()
    expected = getattr(np, name)(DATA, axis=1, keepdims=True)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected)


def test_parameters_of_reductions() -> None:
    x = oo.from_array(DATA, chunks=(16, 20))
    np.testing.assert_allclose(x.var(ddof=1).compute(), DATA.var(ddof=1))
    same(x.sum(dtype="i4", axis=0), DATA.sum(dtype="i4", axis=0))
    same(x.mean(dtype="f4").dtype.type(0), np.float32(0))
    whole = oo.from_array(np.array([3, 1, 1, 3]), chunks=1)
    same(whole.argmin(), np.intp(1))
    same(whole.argmax(), np.intp(0))


def test_nans_are_found_first_as_numpy_does() -> None:
    data = DATA.copy()
    data[7, 30] = data[30, 3] = np.nan
    x = oo.from_array(data, chunks=(16, 20))
    for name in ("argmin", "argmax", "min", "max"):
        same(getattr(x, name)(), getattr(np, name)(data))
        same(getattr(x, name)(axis=0), getattr(np, name)(data, axis=0))
    data[:, 3] = np.nan
    with pytest.raises(ValueError, match="All-NaN slice"):
        oo.nanargmin(oo.from_array(data, chunks=(16, 20)), axis=0).compute()
    infinite = np.array([np.nan, np.inf, np.nan])
    assert oo.nanargmin(oo.from_array(infinite, chunks=1)).compute() == 1


@pytest.mark.parametrize("name", ["sum", "prod", "any", "all", "count_nonzero"])
def test_reductions_of_nothing(name: str) -> None:
    empty = np.empty((0, 3))
    x = oo.from_array(empty)
    same(getattr(oo, name)(x, axis=0), getattr(np, name)(empty, axis=0))
    same(getattr(oo, name)(x, axis=1), getattr(np, name)(empty, axis=1))


def test_least_and_mean_of_nothing() -> None:
    x = oo.from_array(np.empty((0, 3)))
    with pytest.raises(ValueError, match="zero-size array"):
        x.min().compute()
    with pytest.raises(ValueError, match="empty sequence"):
        x.argmax().compute()
    with pytest.warns(RuntimeWarning, match="Mean of empty slice"):
        assert np.isnan(x.mean().compute())


def test_histograms(x: oo.Array) -> None:
    counts, edges = oo.histogram(x, bins=17, range=(-2, 2))
    expected, wanted = np.histogram(DATA, bins=17, range=(-2, 2))
    same(counts, expected)
    np.testing.assert_array_equal(edges, wanted)
    uneven = [-1, 0, 0.1, 5]
    same(oo.histogram(x, bins=uneven)[0], np.histogram(DATA, bins=uneven)[0])
    same(
        oo.histogram(x, bins=uneven, density=True)[0],
        np.histogram(DATA, bins=uneven, density=True)[0],
    )
    same(oo.histogram(x[:0], bins=uneven)[0], np.histogram(DATA[:0], bins=uneven)[0])


def test_reductions_by_the_user_s_functions(x: oo.Array) -> None:
    found = oo.reduction(
        x, lambda b, axis, keepdims: np.sum(b * b, axis=axis, keepdims=keepdims), np.sum, axis=0,
        dtype="f8",
    )  # fmt: skip
    np.testing.assert_allclose(found.compute(), (DATA**2).sum(0))
    joined = oo.map_blocks.options(combine=np.add)(
        lambda b: b.sum(axis=0), x, drop_axis=0, dtype="f8"
    )
    np.testing.assert_allclose(joined.compute(), DATA.sum(0))


# ---- the user's functions ------------------------------------------------------------------------


def test_functions_of_blocks(x: oo.Array) -> None:
    def told(block: Any, block_info: Any = None, block_id: Any = None) -> Any:
        (first, _), (second, _) = block_info[0]["array-location"]
        return block * 0 + first + 100 * second + block_id[0]

    i, j = np.indices(DATA.shape)
    rows = x.chunks[0][0]
    columns = x.chunks[1][0]
    expected = i // rows * rows + 100 * (j // columns * columns) + i // rows
    same(x.map_blocks(told, dtype="f8"), expected.astype("f8"))
    low, high = oo.map_blocks.options(nout=2)(lambda b: (b - 1, b > 0), x, dtype=["f8", "?"])
    found = oo.compute(low, high, low.sum())
    same(found[0], DATA - 1)
    same(found[1], DATA > 0)
    np.testing.assert_allclose(found[2], (DATA - 1).sum())
    same(oo.map_blocks(lambda b: b[b > 0], x[0], chunks=((np.nan,) * x.numblocks[1],), dtype="f8"),
         DATA[0][DATA[0] > 0])  # fmt: skip


def test_functions_that_fill_their_output(x: oo.Array) -> None:
    @oo.kernel
    def doubled(out: Any, block: Any) -> None:
        for i in range(block.shape[0]):
            for j in range(block.shape[1]):
                out[i, j] = 2 * block[i, j]

    same(oo.map_blocks(doubled, x), DATA * 2)
    swapped = oo.from_array(DATA.astype(">f8"), chunks=(16, 20))
    np.testing.assert_array_equal(oo.map_blocks(doubled, swapped).compute(), DATA * 2)

    def udf(inputs: Any, out: Any, offset: Any) -> None:
        out[...] = inputs[0] + offset[0]

    found = oo.map_blocks.options(form="udf")(udf, x, dtype="f8")
    rows = x.chunks[0][0]
    same(found, DATA + (np.arange(60) // rows * rows)[:, None])


def test_blocks_cannot_be_changed(x: oo.Array) -> None:
    def spoil(block: Any) -> Any:
        block[...] = 0
        return block

    with pytest.raises(ValueError, match="read-only") as caught:
        x.map_blocks(spoil, dtype="f8").compute()
    assert "in block (0, 0)" in caught.value.__notes__[0]


# ---- targets -------------------------------------------------------------------------------------


def test_new_files(tmp_path: Path, x: oo.Array) -> None:
    y = x.T * 2
    y.store(tmp_path / "y.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), DATA.T * 2)
    y.store(tmp_path / "y.bin", format="raw", durability="machine")
    same(np.fromfile(tmp_path / "y.bin").reshape(50, 60), DATA.T * 2)
    for number, how in enumerate(
        ({}, {"chunks": (7, 60)}, {"compressors": "zstd"}, {"chunks": (10, 10), "shards": (50, 60)})
    ):
        path = tmp_path / f"y{number}.zarr"
        y.store(path, **how)
        np.testing.assert_array_equal(zarr.open_array(path, mode="r")[...], DATA.T * 2)
    x.map_blocks(np.sin, dtype="f8").store(tmp_path / "f.zarr", chunks=(7, 9))
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "f.zarr", mode="r")[...], np.sin(DATA))
    x.sum(axis=0).store(tmp_path / "s.npy")
    np.testing.assert_allclose(np.load(tmp_path / "s.npy"), DATA.sum(0))


def test_arrays_that_are_there(tmp_path: Path, x: oo.Array) -> None:
    memory = np.zeros((60, 50), "f4")
    oo.store(x, memory)
    np.testing.assert_array_equal(memory, DATA.astype("f4"))
    z = zarr.create_array(
        tmp_path / "z.zarr", shape=(50, 1, 60), chunks=(9, 1, 11), dtype="f8", compressors=None
    )
    oo.store(x, oo.open(tmp_path / "z.zarr", mode="r+")[::-1, 0].T)
    np.testing.assert_array_equal(z[:, 0][::-1].T, DATA)
    np.save(tmp_path / "n.npy", np.zeros((60, 60)))
    oo.store(x, oo.open(tmp_path / "n.npy", mode="r+")[:, 5:55])
    np.testing.assert_array_equal(np.load(tmp_path / "n.npy")[:, 5:55], DATA)
    assert not np.load(tmp_path / "n.npy")[:, :5].any()


def test_memory_that_is_kept(x: oo.Array) -> None:
    kept = Shared((50, 60), np.dtype("f8"))
    kept.last()
    evaluate([Root((x * 2).T.node, kept.strided)], Options(backend="zarr"))
    np.testing.assert_array_equal(kept.array, DATA.T * 2)


@pytest.mark.parametrize("format", ["npy", "zarr", "raw"])
def test_a_failure_leaves_no_file(tmp_path: Path, x: oo.Array, format: str) -> None:
    def fails(block: Any, block_id: Any = None) -> Any:
        if block_id == (1, 1):
            raise KeyError("no")
        return block

    before = sorted(os.listdir(tmp_path))
    cut = x.rechunk((30, 25))
    with pytest.raises(KeyError) as caught:
        cut.map_blocks(fails, dtype="f8").store(tmp_path / "y", format=format)
    assert "in block (1, 1), region [30:60, 25:50]" in caught.value.__notes__[0]
    assert sorted(os.listdir(tmp_path)) == before


def test_what_it_does_not_do_is_refused(tmp_path: Path, x: oo.Array) -> None:
    roots = [Root(x.node, in_place=True)]
    with pytest.raises(NotImplementedError, match=r"backend='zarr' cannot do .*'mapped' does"):
        evaluate(roots, Options(backend="zarr"))
    with pytest.raises(NotImplementedError, match="on_error='skip'"):
        evaluate([Root(x.node)], Options(backend="zarr", on_error="skip"))


def test_a_file_that_has_changed_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", DATA)
    x = oo.open(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", DATA[:5])
    with pytest.raises((oo.errors.InputChangedError, oo.errors.TruncatedFileError)):
        x.compute()


@dataclasses.dataclass(frozen=True)
class Stubborn(Exception):
    number: int


def test_an_exception_that_takes_no_traceback_comes_as_it_is() -> None:
    def refuse(block: Any) -> Any:
        raise Stubborn(3)

    made = oo.from_array(np.arange(6.0), chunks=3).map_blocks(refuse, dtype="f8")
    with pytest.raises(Stubborn):
        made.compute(backend="zarr")


# ---- inputs that are outputs ---------------------------------------------------------------------


def add_one(block: Any) -> Any:
    return block + 1


@pytest.fixture
def eight(tmp_path: Path) -> Path:
    np.save(tmp_path / "eight.npy", np.arange(8.0))
    return tmp_path / "eight.npy"


def test_a_store_that_changes_what_another_block_reads_is_refused(eight: Path) -> None:
    y = oo.open(eight, "r+", chunks=(2,))
    with pytest.raises(oo.OverlapError, match="reads and changes the same bytes"):
        y[:-2].map_blocks(add_one, dtype="f8").store(y[2:])
    ones = oo.from_array(np.ones(6))
    with pytest.raises(oo.OverlapError):
        oo.store([ones, ones], [y[:6], y[2:]])
    shared = np.lib.stride_tricks.as_strided(np.load(eight, mmap_mode="r+"), (3, 2), (8, 8))
    with pytest.raises(oo.OverlapError, match="share bytes"):
        oo.store(oo.from_array(np.zeros((3, 2))), shared)
    np.testing.assert_array_equal(np.load(eight), np.arange(8.0))


def test_of_zarr_too(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "z.zarr", data=np.arange(8.0), chunks=(2,))
    z = oo.open(tmp_path / "z.zarr", "r+")
    with pytest.raises(oo.OverlapError):
        z[:-2].map_blocks(add_one, dtype="f8").store(z[2:])
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "z.zarr")[:], np.arange(8.0))
    z.map_blocks(add_one, dtype="f8").store(z)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "z.zarr")[:], np.arange(1.0, 9.0))


def test_blocks_are_changed_when_all_that_reads_them_is_made(eight: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(reading, "_KEPT_BYTES", 8)
    y = oo.open(eight, "r+", chunks=(4,))
    doubled = np.zeros(8)
    twice = y.map_blocks(lambda block: block * 2, dtype="f8")
    oo.store([y.map_blocks(add_one, dtype="f8"), twice + y], [y, doubled])
    np.testing.assert_array_equal(np.load(eight), np.arange(1.0, 9.0))
    np.testing.assert_array_equal(doubled, np.arange(8.0) * 3)
