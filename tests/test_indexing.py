"""What ``x[key]`` gives: NumPy's elements, views where it is stored, no read before evaluation."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray.lazy.node import StoredNode

CUBE = np.arange(4 * 5 * 6, dtype="f8").reshape(4, 5, 6)

KEYS: list[tuple[str, Any]] = [
    ("everything", ...),
    ("an int", 2),
    ("a negative int", -1),
    ("a slice of slices", np.s_[1:4, ::2, 1:5:3]),
    ("backwards", np.s_[::-1, 4:1:-2]),
    ("empty", np.s_[3:1, :]),
    ("a new axis", np.s_[:, None, ..., 2]),
    ("a NumPy int", (np.int64(1), np.uint8(2))),
    ("positions", [2, 0, 0, -1]),
    ("positions of two axes, together", ([0, 1, 3], [4, 0, 2])),
    ("positions that are broadcast", (np.array([[0], [2]]), np.array([1, 4]))),
    ("positions with a slice between: their axes come first", np.s_[[0, 1], :, [2, 3]]),
    ("positions beside an int", np.s_[0, :, [1, 1]]),
    ("a mask of one axis", np.s_[:, np.array([True, False, True, True, False])]),
    ("a mask of two axes", np.arange(20).reshape(4, 5) % 3 == 0),
    ("a mask of all axes", CUBE % 7 == 1),
    ("a mask that takes nothing", CUBE < 0),
    ("no positions", []),
]


@pytest.fixture(autouse=True)
def serially() -> Any:
    with oo.options(scheduler="serial", progress=False):
        yield


@pytest.fixture(params=["memory", "file", "blocks", "expression", "function"])
def cube(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "memory":
        return oo.from_array(CUBE)
    if request.param == "expression":
        return oo.from_array(CUBE - 1) + 1
    np.save(tmp_path / "cube.npy", CUBE)
    x = oo.open(tmp_path / "cube.npy", chunks=None if request.param == "file" else (2, 2, 5))
    return x.map_blocks(lambda block: block * 1) if request.param == "function" else x


@pytest.mark.parametrize(("remark", "key"), KEYS, ids=[remark for remark, _ in KEYS])
def test_gives_what_numpy_gives(cube: Any, remark: str, key: Any) -> None:
    expected = CUBE[key]
    found = cube[key]
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.compute(), expected)


@pytest.mark.parametrize(
    ("remark", "key", "error"),
    [
        ("an int behind the end", 4, IndexError),
        ("an int before the beginning", (0, -6), IndexError),
        ("too many", (0, 0, 0, 0), IndexError),
        ("positions out of bounds", ([0, 4],), IndexError),
        ("positions that do not go together", ([0, 1, 2], [0, 1]), IndexError),
        ("a mask of another shape", np.ones((4, 4), bool), IndexError),
        ("a float", 1.5, IndexError),
        ("positions that are floats", [0.5], IndexError),
    ],
)
def test_refuses_what_numpy_refuses_when_it_is_built(
    cube: Any, remark: str, key: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        CUBE[key]
    with pytest.raises(error):
        cube[key]


def test_a_slice_of_a_file_is_a_view_of_the_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", CUBE)
    x = oo.open(tmp_path / "x.npy", "r+")
    part = x[1:3, ::-2][:, 1]
    assert isinstance(part.node, StoredNode)
    assert part.writable
    part.view()[...] = -1.0
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy")[1:3, ::-2][:, 1], -1.0)


def test_set_blocks_are_cut_with_the_array(tmp_path: Path) -> None:
    x = oo.from_array(CUBE, chunks=(3, 2, 6))
    assert x[1:, 3:].chunks == ((2, 1), (1, 1), (6,))
    assert (x + 1)[1:, 3:].chunks == ((2, 1), (1, 1), (6,))
    assert x[:, ::-1].chunks == ((3, 1), (1, 2, 2), (6,))


def test_a_mask_is_counted_once_and_the_count_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", CUBE)
    x = oo.open(tmp_path / "x.npy")
    y = x[x % 7 == 1]
    assert math.isnan(y.shape[0])
    z = y * 2
    assert math.isnan(z.shape[0])
    assert len(y) == 17
    # What is made of it knows too: it is the same selection.
    assert z.shape == (17,)
    np.testing.assert_array_equal(z[3:5].compute(), 2 * CUBE[CUBE % 7 == 1][3:5])
    assert x[x < 3].compute_chunk_sizes().shape == (3,)


def test_building_a_selection_reads_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", CUBE)
    x = oo.open(tmp_path / "x.npy")
    where, mask = x[0, 0].astype(int) % 4, x > 2
    (tmp_path / "x.npy").unlink()
    y, z = x[where], x[mask]
    assert y.shape == (6, 5, 6)
    with pytest.raises(OSError, match=r"x\.npy"):
        z.compute()


def test_positions_that_are_still_to_be_computed() -> None:
    x = oo.from_array(CUBE)
    at = oo.from_array(np.array([3, -1, 0])) * 1
    np.testing.assert_array_equal(x[at, 1].compute(), CUBE[[3, -1, 0], 1])
    with pytest.raises(IndexError):
        x[at + 4].compute()
    np.testing.assert_array_equal(x[x[:, 0, 0] > 30, 2].compute(), CUBE[CUBE[:, 0, 0] > 30, 2])
    np.testing.assert_array_equal(
        x[1:, x[0, :, 0] > 10, ::2].compute(), CUBE[1:, CUBE[0, :, 0] > 10, ::2]
    )


def test_a_mask_changes_with_its_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", CUBE)
    x = oo.open(tmp_path / "x.npy", "r+")
    y = x[x > 100]
    assert len(y) == 19
    x[0, 0] = 500
    np.testing.assert_array_equal(y.compute(), np.load(tmp_path / "x.npy")[np.load(
        tmp_path / "x.npy") > 100])  # fmt: skip
    assert y.shape == (25,)


def test_outer_and_pointwise() -> None:
    x = oo.from_array(CUBE)
    rows, columns = [3, 0, 1], [5, 2]
    np.testing.assert_array_equal(
        x.oindex[rows, 2, columns].compute(), CUBE[np.ix_(rows, [2], columns)][:, 0]
    )
    np.testing.assert_array_equal(x.oindex[[True, False, True, True]].compute(), CUBE[[0, 2, 3]])
    import dask.array as da

    theirs = da.from_array(CUBE, 2).vindex[[0, 3], :, [1, 2]].compute()
    np.testing.assert_array_equal(x.vindex[[0, 3], :, [1, 2]].compute(), theirs)


def test_fields_and_expressions_of_fields() -> None:
    table = np.zeros(5, [("a", "i4"), ("b", "f8", (2,))])
    table["a"], table["b"] = np.arange(5), np.arange(10.0).reshape(5, 2)
    x = oo.from_array(table)
    np.testing.assert_array_equal((x["a"] + x["b"][:, 1]).compute(), table["a"] + table["b"][:, 1])


def test_iteration_goes_by_blocks_and_gives_rows() -> None:
    x = oo.from_array(CUBE, chunks=(3, 5, 6))
    np.testing.assert_array_equal(list(x), list(CUBE))
    np.testing.assert_array_equal(list((x + 1)[:, 0, 0]), CUBE[:, 0, 0] + 1)
    with pytest.raises(TypeError, match="without dimensions"):
        iter(x.sum())


def test_expressions_are_pickled_by_address(tmp_path: Path) -> None:
    big = np.zeros((1000, 1000))
    np.save(tmp_path / "x.npy", big)
    y = (oo.open(tmp_path / "x.npy")[5:] + 1)[::-1]
    packed = pickle.dumps(y)
    assert len(packed) < 10_000
    np.testing.assert_array_equal(pickle.loads(packed).compute(), big[5:] + 1)


def test_large_random_selection_of_a_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    array = random.normal(size=(3000, 50))
    np.save(tmp_path / "x.npy", array)
    x = oo.open(tmp_path / "x.npy")
    rows = random.integers(-3000, 3000, 5000)
    for scheduler in ("serial", "processes"):
        found = (x[rows] * 2).compute(scheduler=scheduler, memory="64 MiB")
        np.testing.assert_array_equal(found, array[rows] * 2)
    mask = array > 1
    np.testing.assert_array_equal(x[oo.from_array(mask)].compute(), array[mask])


def test_reductions_of_selections() -> None:
    x = oo.from_array(CUBE)
    few, expected = x[x % 7 == 1], CUBE[CUBE % 7 == 1]
    assert few.sum().shape == ()
    assert few.mean().dtype == np.dtype("f8")
    found = oo.compute(few.sum(), few.max(), few.mean(keepdims=True), (few * 2).argmax())
    assert found == (expected.sum(), expected.max(), expected.mean(keepdims=True), 16)
    rows = x[x[:, 0, 0] > 20]
    assert math.isnan(rows.sum(axis=1).shape[0])
    np.testing.assert_array_equal(rows.sum(axis=1).compute(), CUBE[CUBE[:, 0, 0] > 20].sum(axis=1))
    centred = rows - rows.mean(axis=0)
    kept = CUBE[CUBE[:, 0, 0] > 20]
    np.testing.assert_array_equal(centred.compute(), kept - kept.mean(axis=0))
    with pytest.raises(ValueError, match=r"zero-size|empty"):
        x[x < 0].max().compute()


def test_functions_of_blocks_of_a_selection() -> None:
    x = oo.from_array(CUBE)
    few = x[x % 7 == 1]
    doubled = few.map_blocks(lambda block: block * 2)
    assert math.isnan(doubled.shape[0])
    np.testing.assert_array_equal(doubled.compute(), 2 * CUBE[CUBE % 7 == 1])
    np.testing.assert_array_equal((-few + doubled).compute(), CUBE[CUBE % 7 == 1])
    parts = x.map_blocks(lambda b: b[b > 50], chunks=((math.nan,),), drop_axis=(1, 2), dtype="f8")
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        parts.sum()
    assert parts.compute_chunk_sizes().shape == (69,)
    assert parts.sum().compute() == CUBE[CUBE > 50].sum()


def test_blocks_are_arrays() -> None:
    import dask.array as da

    x, theirs = oo.from_array(CUBE, chunks=(3, 2, 6)), da.from_array(CUBE, chunks=(3, 2, 6))
    for key in (0, (1, -1), np.s_[:, 1:], np.s_[..., 0], np.s_[0, [2, 0]], ([1, 0], 1)):
        np.testing.assert_array_equal(x.blocks[key].compute(), theirs.blocks[key].compute())
    assert (x.npartitions, x.blocks.shape, x.blocks.size) == (6, (2, 3, 1), 6)
    with pytest.raises(IndexError):
        x.blocks[2]
