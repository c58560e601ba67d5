"""Holds what dask reads, calls and writes for us against NumPy; compares no speed."""

from __future__ import annotations

import gc
import os
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import h5py
import numpy as np
import pytest
import zarr

import oocarray as oo
from oocarray.backends.dasked.evaluate import evaluate
from oocarray.backends.dasked.given import counted
from oocarray.backends.dasked.reading import FileReader, MemoryReader, PieceReader
from oocarray.backends.dasked.translate import block_bytes, to_dask
from oocarray.backends.dasked.writing import FileWriter
from oocarray.errors import BlockMismatchError, InputChangedError
from oocarray.lazy.graph import Root
from oocarray.pages import calls
from oocarray.plan import InMemory, Options
from oocarray.runtime.remote import carried
from oocarray.runtime.shared import Shared
from oocarray.storage.create import draft_npy
from oocarray.storage.layout import Strided
from oocarray.storage.tiled import tiled
from oocarray.storage.zarr import zarr_table
from oocarray.storage.zarrdraft import ZarrDraft

pytest.importorskip("dask.array")

THREADS = Options(progress=False, workers=2)
SERIAL = Options(scheduler="serial", progress=False)
A = np.random.default_rng(3).normal(size=(40, 30))


def computed(x: oo.Array, options: Options = THREADS) -> Any:
    (found,) = evaluate([Root(x.node)], options)
    assert found.dtype == x.dtype
    return found


def npy(tmp_path: Path, array: Any, name: str = "x.npy") -> Path:
    path = tmp_path / name
    np.save(path, array)
    return path


# ---- what is read -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        A,
        np.asfortranarray(A),
        A.astype(">i4"),
        np.float32(3),
        A[:0],
        A.astype([("a", "f8")]),
    ],
    ids=["C", "F", "big-endian", "no axes", "empty", "fields"],
)
def test_npy(tmp_path: Path, array: Any) -> None:
    x = oo.open(npy(tmp_path, array))
    made = to_dask(x.node, SERIAL, chunk_bytes=2000)
    assert made.npartitions > 1 or array.size < 2
    np.testing.assert_array_equal(made.compute(scheduler="sync"), array)
    found = computed(x)
    np.testing.assert_array_equal(found, array)
    assert found.flags.writeable


def test_fields_in_another_order(tmp_path: Path) -> None:
    turned = np.dtype({"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [4, 0]})
    rows = np.array([(1, 2), (3, 4)], turned)
    rows.tofile(tmp_path / "x.bin")
    x = oo.open(tmp_path / "x.bin", shape=(2,), dtype=turned)
    np.testing.assert_array_equal(computed(x), rows)


def test_raw_with_offset(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"head..." + A.tobytes())
    x = oo.open(path, dtype="f8", shape=A.shape, offset=7)
    np.testing.assert_array_equal(computed(x), A)


@pytest.mark.parametrize("key", [(slice(3, 30, 4), slice(None, None, -3)), (5,), (None, ..., 2)])
def test_views(tmp_path: Path, key: Any) -> None:
    x = oo.open(npy(tmp_path, A))[key]
    np.testing.assert_array_equal(computed(x), A[key])
    np.testing.assert_array_equal(computed(x.T), A[key].T)


def test_set_blocks(tmp_path: Path) -> None:
    x = oo.open(npy(tmp_path, A), chunks=(16, 10))
    assert to_dask(x.node, SERIAL).chunks == x.chunks


@pytest.mark.parametrize(
    "how",
    [
        {"chunks": (16, 8), "compressors": None},
        {"chunks": (16, 8)},
        {"chunks": (8, 8), "shards": (16, 16), "compressors": None},
        {"chunks": (16, 8), "zarr_format": 2},
    ],
    ids=["plain", "compressed", "sharded", "v2"],
)
def test_zarr(tmp_path: Path, how: Any) -> None:
    path = tmp_path / "x.zarr"
    zarr.create_array(path, shape=A.shape, dtype="f8", **how)[...] = A
    x = oo.open(path)
    np.testing.assert_array_equal(computed(x), A)
    for key in [(slice(3, 33, 3), slice(None, None, -2)), (7,), (slice(None), 3, None)]:
        np.testing.assert_array_equal(computed(x[key]), A[key])
    np.testing.assert_array_equal(computed(x.T[2:]), A.T[2:])


@pytest.mark.parametrize("how", [{}, {"chunks": (16, 8)}, {"chunks": (16, 8), "compression": 1}])
def test_hdf5(tmp_path: Path, how: Any) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=A, **how)
    x = oo.open(path, dataset="x")
    np.testing.assert_array_equal(computed(x), A)
    np.testing.assert_array_equal(computed(x[::-3, 5]), A[::-3, 5])


def test_stack_of_files(tmp_path: Path) -> None:
    for k in range(3):
        npy(tmp_path, A + k, f"{k}.npy")
    x = oo.open(str(tmp_path / "*.npy"))
    expected = x.compute()
    np.testing.assert_array_equal(computed(x), expected)


def test_memory_is_not_copied_and_the_result_is_nobody_elses() -> None:
    x = oo.from_array(A)
    found = computed(x)
    np.testing.assert_array_equal(found, A)
    assert not np.may_share_memory(found, A)
    tracemalloc.start()
    to_dask(oo.from_array(np.ones(1 << 20)).node, SERIAL)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 << 20


def test_nothing_of_a_file_is_read_to_translate_it(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    with open(path, "wb") as stream:
        stream.truncate(8 << 30)
    x = oo.open(path, dtype="f8", shape=(1 << 20, 1 << 10))
    to_dask(oo.from_array(A).node, SERIAL)  # imports dask
    tracemalloc.start()
    began = time.perf_counter()
    made = to_dask((x.mean(axis=0) + 1).node, SERIAL)
    seconds = time.perf_counter() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.shape == (1024,)
    assert peak < 50 << 20
    assert seconds < 5
    assert to_dask(x.node, SERIAL).chunks[0][0] * (8 << 10) == 32 << 20


def test_blocks_are_as_large_as_is_fast_and_as_memory_holds(tmp_path: Path) -> None:
    options = replace(THREADS, memory=1 << 30, workers=2)
    x = oo.open(npy(tmp_path, A))

    def nbytes(array: Any, **other: Any) -> int:
        return block_bytes([array.node], replace(options, **other)) >> 20

    long = np.exp(-np.abs(x)) * x + x
    assert (nbytes(2 * x + 1), nbytes(long), nbytes(long.mean())) == (32, 16, 16)
    assert block_bytes([(x + k).node for k in range(5)], options) >> 20 == 32
    # A thread's share holds four, down to what is worth a task.
    assert nbytes(x, memory=128 << 20) == nbytes(x, workers=16) == 16
    assert nbytes(x, memory=1 << 20) == 4
    assert nbytes(x, scheduler="serial", workers=16, memory=128 << 20) == 32
    z = x.store(tmp_path / "x.zarr")
    assert nbytes(z + 1) == 16
    with dask.config.set({"array.chunk-size": "100 MiB"}):
        assert nbytes(z + 1) == nbytes(x, memory=1 << 20) == 100


def test_of_equal_elements_the_first_in_order_is_found() -> None:
    ties = np.array([[5, 5, 5, 0], [0, 5, 5, 5]])
    x = oo.from_array(ties, chunks=(2, 2))
    assert computed(x.argmin()) == ties.argmin() == 3
    assert computed(oo.from_array(ties > 2, chunks=(1, 2)).argmax()) == 0
    nans = np.where(ties == 0, np.nan, 1.0)
    assert computed(oo.from_array(nans, chunks=(2, 2)).argmax()) == nans.argmax()
    np.testing.assert_array_equal(computed(x.argmin(axis=1)), ties.argmin(axis=1))


@pytest.mark.parametrize("backend", ["dask", "zarr"])
def test_a_zarr_array_that_was_replaced_is_not_taken_for_it(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "x.zarr"
    zarr.create_array(path, data=A, chunks=(8, 30))
    x = oo.open(path, mode="r+")
    path.rename(tmp_path / "old.zarr")
    zarr.create_array(path, data=A + 1, chunks=(8, 30))
    with pytest.raises(InputChangedError):
        x.sum().compute(backend=backend)
    with oo.options(backend=backend), pytest.raises(InputChangedError):
        oo.store(oo.from_array(A), x)
    np.testing.assert_array_equal(zarr.open_array(path, mode="r")[:], A + 1)


def test_memory_travels_without_what_it_was_made_of() -> None:
    reader = MemoryReader(A, [A] * 100_000)
    sent = cloudpickle.dumps(reader)
    assert len(sent) < 2 * A.nbytes
    np.testing.assert_array_equal(cloudpickle.loads(sent)[3:5], A[3:5])


def test_names_follow_the_file_not_the_node(tmp_path: Path) -> None:
    path = npy(tmp_path, A)
    first, again = (to_dask(oo.open(path).node, SERIAL).name for _ in range(2))
    assert first == again
    os.utime(path, ns=(1, 1))
    assert to_dask(oo.open(path).node, SERIAL).name != first


# ---- functions on blocks ------------------------------------------------------------------------


def test_map_blocks() -> None:
    x = oo.from_array(A, chunks=(16, 10))
    calls: list[tuple[int, ...]] = []

    def scaled(block: Any, k: Any, by: Any = 1) -> Any:
        calls.append(block.shape)
        return block * k * by

    y = x.map_blocks(scaled, 2.0, by=x.max(), dtype="f8")
    to_dask(y.node, SERIAL)
    assert calls == []
    np.testing.assert_allclose(computed(y, SERIAL), A * 2 * A.max())
    assert set(calls) == {(16, 10), (8, 10)}


def test_a_block_knows_its_place() -> None:
    x = oo.from_array(A, chunks=(16, 10))

    def number(block: Any, block_id: Any = None, block_info: Any = None) -> Any:
        (start, _), (left, _) = block_info[0]["array-location"]
        assert block_info[None]["chunk-location"] == block_id
        assert block_info[None]["dtype"] == np.dtype("i8")
        return np.full(block.shape, 1000 * start + left)

    y = x.map_blocks(number, dtype="i8")
    np.testing.assert_array_equal(computed(y), y.compute(scheduler="serial"))


def test_axes_dropped_and_added() -> None:
    x = oo.from_array(A, chunks=(16, 10))
    row = oo.from_array(A[0], chunks=10)
    two = lambda block_id=None: np.full((2, 3), block_id[0])  # noqa: E731
    cases = [
        x.map_blocks(lambda b: b.sum(0), drop_axis=0, dtype="f8"),
        x.map_blocks(lambda b: b[None], new_axis=0, dtype="f8"),
        x.map_blocks(lambda b: b[::2], chunks=(lambda n: -(-n // 2), lambda n: n), dtype="f8"),
        oo.map_blocks(lambda a, b: a + b, x, row, dtype="f8"),
        oo.map_blocks(two, chunks=((2, 2), (3,)), dtype="i8"),
    ]
    for y in cases:
        np.testing.assert_allclose(computed(y), y.compute(scheduler="serial"))


def test_several_outputs() -> None:
    x = oo.from_array(A, chunks=(16, 10))
    low, high = oo.map_blocks.options(nout=2)(lambda b: (b - 1, b > 0), x, dtype=["f8", "?"])
    found = evaluate([Root(low.node), Root(high.node)], THREADS)
    np.testing.assert_array_equal(found[0], A - 1)
    np.testing.assert_array_equal(found[1], A > 0)


def test_functions_that_fill_their_output() -> None:
    x = oo.from_array(A, chunks=(16, 10))

    @oo.kernel
    def twice(out, a):
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                out[i, j] = 2 * a[i, j]

    np.testing.assert_array_equal(computed(oo.map_blocks(twice, x)), 2 * A)

    def fill(inputs: Any, out: Any, offset: Any) -> None:
        out[...] = inputs[0] + offset[0]

    y = oo.map_blocks.options(form="udf")(fill, x, dtype="f8")
    np.testing.assert_allclose(computed(y), A + np.repeat([0, 16, 32], [16, 16, 8])[:, None])


def test_combine_joins_blocks_along_dropped_axes() -> None:
    x = oo.from_array(A, chunks=(7, 10))
    y = oo.map_blocks.options(combine=np.maximum)(lambda b: b.max(0), x, drop_axis=0, dtype="f8")
    np.testing.assert_array_equal(computed(y), A.max(0))


def test_dtypes_are_learnt_and_wrong_blocks_refused() -> None:
    x = oo.from_array(A, chunks=(16, 10))
    y = x.map_blocks(lambda b: b > 0)
    found = evaluate([Root(y.node)], SERIAL)[0]
    np.testing.assert_array_equal(found, A > 0)
    wrong = x.map_blocks(lambda b: b[1:], dtype="f8")
    with pytest.raises(BlockMismatchError, match="expected shape"):
        computed(wrong)


def test_reduction_by_functions_of_the_users_own() -> None:
    x = oo.from_array(A, chunks=(7, 10))
    y = oo.reduction(x, np.sum, np.sum, axis=0, dtype="f8")
    np.testing.assert_allclose(computed(y), A.sum(0))


def test_blocks_of_a_selection() -> None:
    x = oo.from_array(A, chunks=(16, 10))
    y = x[x > 0].map_blocks(lambda b: b * 2, dtype="f8")
    np.testing.assert_array_equal(computed(y), A[A > 0] * 2)


# ---- what is written ----------------------------------------------------------------------------


def test_drafts_are_published_when_all_is_done(tmp_path: Path) -> None:
    x = oo.from_array(A, chunks=(16, 10)) * 2
    draft, place = draft_npy(tmp_path / "y.npy", x.shape, x.dtype, "C", False)
    zdraft = ZarrDraft.create(tmp_path / "y.zarr", x.shape, x.dtype, chunks=(8, 10))
    into = tiled(zarr_table(zdraft.array))
    memory = np.zeros(A.shape, "f4")
    roots = [
        Root(x.node, place),
        Root(x.node, into),
        Root(x.node, InMemory(memory)),
        Root(x.sum().node),
    ]
    (total,) = evaluate(roots, THREADS, [draft, zdraft])
    np.testing.assert_allclose(total, A.sum() * 2)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), A * 2)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "y.zarr", mode="r")[...], A * 2)
    np.testing.assert_array_equal(memory, (A * 2).astype("f4"))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("chunks", [(16, 30), (40, 10), (7, 9)])
def test_existing_files(tmp_path: Path, order: Any, chunks: Any) -> None:
    path = npy(tmp_path, np.zeros(A.shape, ">f4", order=order))
    y = oo.open(path, "r+")
    evaluate([Root(oo.from_array(A, chunks=chunks).node, y.node.source)], THREADS)
    np.testing.assert_array_equal(np.load(path), A.astype(">f4"))
    part = y[4:30:3, ::-1]
    evaluate([Root((oo.from_array(A[4:30:3]) + 1).node, part.node.source)], THREADS)
    np.testing.assert_array_equal(np.load(path)[4:30:3, ::-1], (A[4:30:3] + 1).astype("f4"))


@pytest.mark.parametrize("how", [{"chunks": (8, 8)}, {"chunks": (4, 8), "shards": (16, 8)}])
@pytest.mark.parametrize("compressors", [None, "auto"])
@pytest.mark.parametrize("chunk_size", ["128MiB", "600B"])
def test_zarr_whose_chunks_are_not_the_blocks(
    tmp_path: Path, how: Any, compressors: Any, chunk_size: str
) -> None:
    path = tmp_path / "y.zarr"
    zarr.create_array(path, shape=A.shape, dtype="f8", compressors=compressors, **how)
    y = oo.open(path, "r+")
    with dask.config.set({"array.chunk-size": chunk_size}):
        evaluate([Root(oo.from_array(A, chunks=(7, 9)).node, y.node.source)], THREADS)
        np.testing.assert_array_equal(computed(oo.open(path)[1:]), A[1:])
    np.testing.assert_array_equal(zarr.open_array(path, mode="r")[...], A)


def test_a_selection_is_stored(tmp_path: Path) -> None:
    x = oo.from_array(A, chunks=(16, 10))
    y = x[x > 0]
    expected = A[A > 0]
    draft, place = draft_npy(tmp_path / "y.npy", expected.shape, expected.dtype, "C", False)
    evaluate([Root(y.node, place)], THREADS, [draft])
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    def fail(block: Any) -> Any:
        raise ZeroDivisionError("on purpose")

    x = oo.from_array(A, chunks=(16, 10)).map_blocks(fail, dtype="f8")
    draft, place = draft_npy(tmp_path / "y.npy", x.shape, x.dtype, "C", False)
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        evaluate([Root(x.node, place)], THREADS, [draft])
    assert os.listdir(tmp_path) == []
    assert draft.fd == -1


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "y.zarr"
    zarr.create_array(path, shape=A.shape, dtype="f8", chunks=(8, 8))
    part = oo.open(path, "r+")[:, ::-1]
    with pytest.raises(NotImplementedError, match="backend='dask' cannot do store"):
        evaluate([Root(oo.from_array(A).node, part.node.source)], THREADS)


@pytest.mark.parametrize("scheduler", ["processes", "threads", "serial"])
def test_schedulers(scheduler: str) -> None:
    x = oo.from_array(A, chunks=(16, 10))
    options = Options(scheduler=scheduler, workers=1, progress=False)
    np.testing.assert_allclose(computed(x.mean(axis=0), options), A.mean(axis=0))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_distributed_client(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    path = npy(tmp_path, A)
    x = oo.open(path, chunks=(16, 10))
    draft, place = draft_npy(tmp_path / "y.npy", x.shape, x.dtype, "C", False)
    memory = np.zeros(A.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
        )
    with cluster, distributed.Client(cluster) as client:
        options = Options(scheduler=client)
        roots = [
            Root((x + 1).node, place),
            Root((x - 1).node, InMemory(memory)),
            Root(x.sum().node),
        ]
        (total,) = evaluate(roots, options, [draft])
    np.testing.assert_allclose(total, A.sum())
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), A + 1)
    np.testing.assert_array_equal(memory, A - 1)
    del client, cluster
    with warnings.catch_warnings():
        # What closing leaves in cycles warns when it is found: here, not in the tests of others.
        warnings.simplefilter("ignore")
        gc.collect()


class LocalClient:
    """Runs in this process what a client would send to other machines, and looks at it."""

    asynchronous = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []

    def get(self, graph: Any, keys: Any, **how: Any) -> Any:
        sent = cloudpickle.dumps(graph)
        assert b"/proc/" not in sent
        self.names += os.listdir(self.folder)
        return dask.get(cloudpickle.loads(sent), keys)


def test_other_machines_are_given_names_of_files(tmp_path: Path) -> None:
    x = oo.from_array(A, chunks=(16, 10))
    draft, place = draft_npy(tmp_path / "y.npy", x.shape, x.dtype, "C", False)
    client = LocalClient(tmp_path)
    kept, memory = Shared(A.shape, np.dtype("f8")), np.zeros(A.shape)
    kept.last()
    roots = [Root(x.node, place), Root((x + 1).node, kept.strided)]
    roots.append(Root((x + 2).node, InMemory(memory)))
    evaluate(roots, Options(scheduler=client), [draft])
    (name,) = set(client.names)
    assert name.startswith(".y.npy.")
    assert os.listdir(tmp_path) == ["y.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), A)
    np.testing.assert_array_equal(kept.array, A + 1)
    np.testing.assert_array_equal(memory, A + 2)


def test_other_machines_write_no_byte_beside_theirs(tmp_path: Path, monkeypatch: Any) -> None:
    path = npy(tmp_path, np.zeros(A.shape, ">f4"))
    part = oo.open(path, "r+")[4:30:3, ::-2]
    expected = np.zeros(A.shape, "f4")
    expected[4:30:3, ::-2] = A[4:30:3, ::-2]
    monkeypatch.delattr(np, "memmap")
    writer = FileWriter(part.node.source, str(path), apart=True)
    writer[2:, 1:] = A[4:30:3, ::-2][2:, 1:]
    writer[:2, :] = A[4:30:3, ::-2][:2]
    writer[2:, :1] = A[4:30:3, ::-2][2:, :1]
    monkeypatch.undo()
    np.testing.assert_array_equal(np.load(path), expected)


@pytest.mark.parametrize("how", ["another", "cut", "gone"])
def test_what_is_not_the_file_is_not_written(tmp_path: Path, how: str) -> None:
    path = npy(tmp_path, np.zeros(A.shape))
    writer = FileWriter(oo.open(path, "r+").node.source, str(path), apart=True)
    if how == "another":
        os.rename(path, tmp_path / "old.npy")
        npy(tmp_path, np.zeros(A.shape))
    elif how == "cut":
        os.truncate(path, 1000)
    else:
        os.unlink(path)
    before = path.read_bytes() if path.exists() else b""
    with pytest.raises(FileNotFoundError if how == "gone" else InputChangedError):
        writer[:2] = A[:2]
    assert before == (path.read_bytes() if path.exists() else b"")


def test_what_several_have_in_common_is_made_once() -> None:
    calls: list[int] = []

    def counted(block: Any) -> Any:
        calls.append(1)
        return block + 1

    x = oo.from_array(A, chunks=(16, 10)).map_blocks(counted, dtype="f8")
    roots: Callable[[], list[Root]] = lambda: [Root(x.sum().node), Root(x.max().node)]  # noqa: E731
    evaluate(roots(), SERIAL)
    assert len(calls) == 9


def test_what_is_kept_in_memory() -> None:
    x = (oo.from_array(A, chunks=(16, 10)) + 1).persist(progress=False)
    np.testing.assert_array_equal(computed(x), A + 1)
    np.testing.assert_allclose(computed(x[3:].sum(axis=0)), (A + 1)[3:].sum(axis=0))


def test_the_option_chooses_it(tmp_path: Path) -> None:
    x = oo.from_array(A, chunks=(16, 10))
    with oo.options(backend="dask", progress=False):
        np.testing.assert_allclose((x * 2).mean(axis=1).compute(), (A * 2).mean(axis=1))
        y = x[x > 0].store(tmp_path / "y.npy")
        np.testing.assert_array_equal(y.compute(), A[A > 0])
        with pytest.raises(NotImplementedError, match="backend='dask' cannot"):
            oo.update_blocks(lambda block: None, oo.open(tmp_path / "y.npy", "r+"))


@pytest.mark.parametrize("memory", ["1 KiB", "1 GiB"])
def test_what_is_reduced_is_computed_first_where_memory_is_little(tmp_path, monkeypatch, memory):
    import dask

    data = np.random.default_rng(5).normal(size=(400, 30))
    np.save(tmp_path / "x.npy", data)
    x = oo.open(tmp_path / "x.npy", chunks=(50, 30))
    computed = []
    run = dask.compute
    monkeypatch.setattr(dask, "compute", lambda *a, **k: computed.append(len(a)) or run(*a, **k))
    y = (x - x.mean(axis=0)) / x.std(axis=0)
    z = y / (y * y).mean()
    z.store(tmp_path / "z.npy", backend="dask", memory=memory)
    assert computed == ([2, 1, 1] if memory == "1 KiB" else [1])
    y = (data - data.mean(axis=0)) / data.std(axis=0)
    np.testing.assert_allclose(np.load(tmp_path / "z.npy"), y / (y * y).mean(), rtol=1e-12)


@pytest.mark.parametrize("memory", ["1 KiB", "1 GiB"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_does_not_fit_into_memory_is_read(tmp_path, memory, order):
    data = np.random.default_rng(6).normal(size=(300, 40)).astype(">f8")
    np.save(tmp_path / "x.npy", np.asarray(data, order=order))
    x = oo.open(tmp_path / "x.npy", chunks=(70, 40))
    with oo.options(backend="dask", memory=memory):
        np.testing.assert_allclose(x.mean(axis=1).compute(), data.mean(axis=1), rtol=1e-13)
        assert np.array_equal(x[10:90:3, ::2].compute(memory="1 GiB"), data[10:90:3, ::2])
        blocks = x.to_dask()
    block = blocks.blocks[1].compute()
    assert np.array_equal(block, data[70:140])


# ---- inputs that are outputs ---------------------------------------------------------------------


def add_one(block: Any) -> Any:
    return block + 1


@pytest.fixture
def eight(tmp_path: Path) -> oo.Array:
    with oo.options(backend="dask", scheduler="serial", progress=False):
        yield oo.open(npy(tmp_path, np.arange(8.0)), "r+", chunks=(2,))


def of_file(y: oo.Array) -> list[float]:
    return list(np.load(y.node.source.file.path))


def more(y: oo.Array, **how: Any) -> oo.Array:
    return y.map_blocks(add_one, dtype="f8", **how)


def mean_off(block: Any, mean: Any) -> Any:
    return block - mean


ONES = np.ones(6)
REFUSED: dict[str, Callable[[oo.Array], Any]] = {
    "shifted": lambda y: more(y[:-2]).store(y[2:]),
    "two outputs": lambda y: oo.store([ONES, ONES], [y[:6], y[2:]]),
    "two in memory": lambda y: (lambda m: oo.store([more(y), more(y)], [m, m[::-1]]))(np.zeros(8)),
    "read by another": lambda y: oo.store([more(y), y.map_blocks(np.negative)], [y, np.zeros(8)]),
    "reduced by another": lambda y: oo.compute(oo.store(more(y), y, compute=False), y.sum()),
    "in a keyword": lambda y: y.map_blocks(lambda b, all: b, all=y[:], dtype="f8").store(y),
    "sorted first": lambda y: more(oo.sort(y)).store(y),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_store_that_changes_what_another_block_reads_is_refused(eight, case: str) -> None:
    with pytest.raises(oo.OverlapError):
        REFUSED[case](eight)
    assert of_file(eight) == list(range(8))


def test_a_block_may_replace_what_it_is_made_of(eight) -> None:
    more(eight).store(eight)
    assert of_file(eight) == list(range(1, 9))
    more(eight[::2]).store(eight[1::2])
    assert of_file(eight) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_keyword_of_another_array_is_as_good(eight) -> None:
    two = oo.from_array(np.full(8, 2.0))
    eight.map_blocks(lambda b, by: b * by, by=two.mean(), dtype="f8").store(eight)
    assert of_file(eight) == list(range(0, 16, 2))


def test_what_is_reduced_is_known_before_its_array_changes(eight) -> None:
    eight.map_blocks(mean_off, eight.mean(), dtype="f8").store(eight)
    assert of_file(eight) == list(np.arange(8) - 3.5)


def test_of_zarr_too(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "z.zarr", data=np.arange(8.0), chunks=(2,))
    z = oo.open(tmp_path / "z.zarr", "r+")
    with oo.options(backend="dask", progress=False):
        with pytest.raises(oo.OverlapError):
            more(z[::-1]).store(z)
        assert list(zarr.open_array(tmp_path / "z.zarr")[:]) == list(range(8))
        more(z).store(z)
    assert list(zarr.open_array(tmp_path / "z.zarr")[:]) == list(range(1, 9))


# ---- dask's own settings -------------------------------------------------------------------------


def test_evaluations_in_two_threads_leave_dask_s_settings_alone() -> None:
    before = dask.config.get("scheduler", None), dask.config.get("num_workers", None)
    meet = threading.Barrier(2, timeout=30)
    seen: list[Any] = []

    def wait(block: Any) -> Any:
        meet.wait()
        seen.append((dask.config.get("scheduler", None), dask.config.get("num_workers", None)))
        return block

    x = oo.from_array(A, chunks=A.shape).map_blocks(wait, dtype="f8")
    threads = [
        threading.Thread(target=lambda how=how: evaluate([Root(x.node)], how))
        for how in (SERIAL, THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [before, before]
    assert (dask.config.get("scheduler", None), dask.config.get("num_workers", None)) == before


def test_everything_that_is_computed_is_computed_as_asked() -> None:
    used: list[str] = []

    def noted(block: Any) -> Any:
        used.append(threading.current_thread().name)
        return block

    x = oo.from_array(A, chunks=(16, 10)).map_blocks(noted, dtype="f8")
    chosen = np.zeros((A > 0).sum())
    evaluate([Root(x[x > 0].node, InMemory(chosen))], SERIAL)
    np.testing.assert_array_equal(chosen, A[A > 0])
    rows = oo.from_array(np.arange(3)).map_blocks(noted, dtype="i8")
    np.testing.assert_array_equal(computed(x[rows, rows], SERIAL), A[range(3), range(3)])
    steps = oo.from_array(np.arange(40.0) ** 2).map_blocks(noted, dtype="f8")
    np.testing.assert_allclose(
        computed(oo.gradient(x, steps, axis=0), SERIAL),
        np.gradient(A, np.arange(40.0) ** 2, axis=0),
    )
    assert set(used) == {"MainThread"}


def test_sizes_that_are_counted_are_dask_s() -> None:
    import dask.array as da

    x = da.from_array(A, chunks=(16, 10))
    rows, whole = x[x[:, 0] > 0], x[x > 0]
    assert counted(rows).chunks == x[x[:, 0] > 0].compute_chunk_sizes().chunks
    assert counted(whole).chunks == x[x > 0].compute_chunk_sizes().chunks
    assert rows.shape == ((A[:, 0] > 0).sum(), 30)
    assert counted(x) is x


# ---- what looks alike ---------------------------------------------------------------------------


def test_arrays_of_one_file_are_not_taken_for_each_other(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", data=A, chunks=(10, 30))
        file.create_dataset("b", data=2 * A, chunks=(10, 30))
    a, b = (oo.open(tmp_path / "x.h5", dataset=name) for name in "ab")
    assert to_dask(a.node, SERIAL).name != to_dask(b.node, SERIAL).name
    np.testing.assert_array_equal(computed(a - b), -A)


def test_stacks_that_begin_alike_are_not_taken_for_each_other(tmp_path: Path) -> None:
    names = [npy(tmp_path, factor * A, f"{factor}.npy") for factor in (1, 2, 4)]
    one, other = oo.open(names[:2]), oo.open([names[0], names[2]])
    np.testing.assert_array_equal(computed(one - other), np.concatenate([0 * A, -2 * A]))


def test_targets_of_equal_content_are_two() -> None:
    x, targets = oo.from_array(A), [np.zeros(A.shape), np.zeros(A.shape)]
    evaluate([Root((x + 1).node, InMemory(target)) for target in targets], THREADS)
    for target in targets:
        np.testing.assert_array_equal(target, A + 1)


@pytest.mark.parametrize("backend", ["mapped", "dask", "zarr"])
def test_what_is_asked_for_twice_is_two_arrays(tmp_path: Path, backend: str) -> None:
    x = oo.open(npy(tmp_path, A))
    y = x + 1
    with oo.options(backend=backend, progress=False, scheduler="serial"):
        for pair in ((y, y), (x + 2, x + 2), (x.sum(0), x.sum(0)), (x, x)):
            one, other = oo.compute(*pair)
            assert not np.may_share_memory(one, other)
            np.testing.assert_array_equal(one, other)


def test_a_block_of_a_view_may_be_stored_over_itself(tmp_path: Path) -> None:
    path = npy(tmp_path, A)
    y = oo.open(path, "r+")[:, ::2].rechunk((10, -1))
    target = oo.open(path, "r+")[:, ::2]
    made = y.map_blocks(lambda block: block[::-1], dtype="f8")
    made.store(target, backend="dask", scheduler="serial", progress=False)
    expected = A.copy()
    expected[:, ::2] = A[:, ::2].reshape(4, 10, -1)[:, ::-1].reshape(40, -1)
    np.testing.assert_array_equal(np.load(path), expected)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, "f8") for name in ("maximum", "minimum", "fmax", "fmin")),
        *((name, "u1") for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "lcm", "gcd")),
        *((name, "i2") for name in ("bitwise_and", "maximum", "minimum", "fmax", "fmin")),
        *((name, "?") for name in ("logical_and", "logical_or", "logical_xor", "bitwise_and")),
        *((name, "M8[s]") for name in ("maximum", "minimum", "fmax", "fmin")),
    ],
)
def test_running_ufuncs_begin_with_what_changes_nothing(name: str, dtype: str) -> None:
    ufunc, array = getattr(np, name), np.arange(1, 10).astype(dtype)
    if dtype == "f8":
        array[:3] = np.nan
    elif dtype == "M8[s]":
        array[:3] = "NaT"
    try:
        found = computed(ufunc.accumulate(oo.from_array(array, chunks=2)))
    except TypeError as error:
        if "accumulate" not in str(error):
            raise
        pytest.skip(str(error))
    np.testing.assert_array_equal(found, ufunc.accumulate(array))


def test_a_file_in_fortran_order_is_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = oo.open(npy(tmp_path, np.asfortranarray(A)))
    small = replace(SERIAL, memory=A.nbytes)
    made = to_dask(x.node, small, chunk_bytes=2000)
    monkeypatch.delattr(np, "memmap")
    np.testing.assert_array_equal(made.compute(scheduler="sync"), A)


def test_readers_find_their_files_on_other_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [npy(tmp_path, A, f"{letter}.npy") for letter in "ab"]
    for x in (oo.open(names[0]), oo.open(names)):
        source: Any = x.node.source
        if isinstance(source, Strided):
            there: Any = replace(source, file=replace(source.file, dev=source.file.dev + 1))
            reader: Any = FileReader(there)
        else:
            seen = tuple((dev + 1, *rest) for dev, *rest in source.table.seen)
            file = replace(source.table.file, dev=source.table.file.dev + 1)
            there = replace(source, table=replace(source.table, seen=seen, file=file))
            reader = PieceReader(there)
        with pytest.raises(InputChangedError):
            reader[:, 3:]
        with monkeypatch.context() as patch:
            patch.setattr(carried, "home", lambda: ("another machine", ""))
            sent = cloudpickle.dumps(reader)
        np.testing.assert_array_equal(cloudpickle.loads(sent)[:, 3:], x.compute()[:, 3:])


def test_a_target_that_was_replaced_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    y = oo.open(npy(tmp_path, np.zeros_like(A)), "r+")
    monkeypatch.setattr(calls, "born", lambda source: y.layout.file.born + 1)
    with pytest.raises(InputChangedError, match="replaced"):
        oo.from_array(A).store(y, backend="dask", scheduler="serial", progress=False)
    assert not np.load(tmp_path / "x.npy").any()
