"""Stores by every backend into files and memory, what changes files in place, and dask's arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import oocarray as oo

from .everything import BACKENDS
from .inputs import arrays
from .refused import IN_PLACE

OTHERS = [backend for backend in BACKENDS if backend != "mapped"]
EXPRESSIONS = {
    "elementwise": lambda xp, a, b, i: a * b + 1,
    "integers": lambda xp, a, b, i: i % 5,
    "reduction": lambda xp, a, b, i: xp.max(a, axis=0),
    "whole reduction": lambda xp, a, b, i: xp.sum(i),
    "concatenation": lambda xp, a, b, i: xp.concatenate([a, b[::-1], a + b]),
    "transposition": lambda xp, a, b, i: (a - b).T,
    "plain copy": lambda xp, a, b, i: b,
}
TARGETS = ["npy", "zarr", "array", "memmap", "zarr that exists"]


def both(name: str, inputs: Mapping[str, Any]) -> tuple[Any, Any]:
    make = EXPRESSIONS[name]
    of = arrays()
    mine = make(oo, *(inputs[one] for one in "abi"))
    return mine, np.asarray(make(np, *(of[one] for one in "abi")))


def written(array: Any, target: str, folder: Path, like: Any) -> Any:
    """What is in `target` after a store, read without us."""
    if target == "npy":
        array.store(folder / "out.npy")
        return np.load(folder / "out.npy")
    if target == "zarr":
        array.store(folder / "out.zarr")
        return zarr.open_array(folder / "out.zarr", mode="r")[...]
    if target == "array":
        out = np.zeros_like(like)
        oo.store(array, out)
        return out
    if target == "memmap":
        mapped = np.lib.format.open_memmap(folder / "m.npy", "w+", like.dtype, like.shape)
        oo.store(array, mapped)
        return np.array(mapped)
    oo.create(folder / "there.zarr", like.shape, like.dtype, chunks=like.ndim * (4,))
    with oo.open(folder / "there.zarr", mode="r+") as there:
        array.store(there)
    return zarr.open_array(folder / "there.zarr", mode="r")[...]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_what_is_stored_is_what_numpy_makes(
    name: str, target: str, backend: str, inputs: Mapping[str, Any], tmp_path: Path
) -> None:
    mine, expected = both(name, inputs)
    found = written(mine, target, tmp_path, expected)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_several_at_once(backend: str, inputs: Mapping[str, Any], tmp_path: Path) -> None:
    pairs = [both(name, inputs) for name in EXPRESSIONS]
    for found, (_, expected) in zip(oo.compute(*(x for x, _ in pairs)), pairs, strict=True):
        np.testing.assert_array_equal(found, expected)
    paths = [tmp_path / f"{number}.npy" for number in range(len(pairs))]
    oo.store([mine for mine, _ in pairs], paths)
    for path, (_, expected) in zip(paths, pairs, strict=True):
        np.testing.assert_array_equal(np.load(path), expected)


def test_a_store_that_fails_leaves_no_file(
    backend: str, inputs: Mapping[str, Any], tmp_path: Path
) -> None:
    def fails(block: Any) -> Any:
        raise ZeroDivisionError

    bad = oo.map_blocks(fails, inputs["a"], dtype=float)
    with pytest.raises((oo.BlockFailedError, ZeroDivisionError)):
        bad.store(tmp_path / "bad.npy")
    with pytest.raises((oo.BlockFailedError, ZeroDivisionError)):
        bad.store(tmp_path / "bad.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_stays(backend: str, inputs: Mapping[str, Any], tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        inputs["a"].store(tmp_path / "x.npy")
    assert (tmp_path / "x.npy").read_bytes() == b"mine"
    inputs["a"].store(tmp_path / "x.npy", overwrite=True)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), arrays()["a"])


def test_persisted_arrays_are_the_same(backend: str, inputs: Mapping[str, Any]) -> None:
    kept = (inputs["a"] + 1).persist()
    np.testing.assert_array_equal((kept * 2).compute(), (arrays()["a"] + 1) * 2)


# ---- in place -----------------------------------------------------------------------------------


def _assign(x: Any) -> None:
    x[1:3] = 5.0


def _assign_array(x: Any) -> None:
    x[:, 2] = np.arange(len(x))


def _assign_itself(x: Any) -> None:
    x[...] = x + 1


def _add(x: Any) -> None:
    x += 1


def _multiply(x: Any) -> None:
    x *= 2


def _sort(x: Any) -> None:
    x.sort(axis=1)


def _update(x: Any) -> None:
    def double(block: Any) -> None:
        block *= 2

    if isinstance(x, np.ndarray):
        double(x)
    else:
        oo.update_blocks(double, x)


CHANGES: list[Callable[[Any], None]] = [
    _assign, _assign_array, _assign_itself, _add, _multiply, _sort, _update
]  # fmt: skip


@pytest.mark.parametrize("kind", ["npy", "zarr"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changes_in_place(
    change: Callable[[Any], None], kind: str, backend: str, tmp_path: Path
) -> None:
    """Either it is done, or it is refused and nothing is changed."""
    expected = arrays()["p"].copy()
    path = tmp_path / f"x.{kind}"
    oo.from_array(expected, chunks=(3, 3)).store(path)
    name = change.__name__.lstrip("_")
    refused = (name, backend) in IN_PLACE or (f"{name}, {kind}", backend) in IN_PLACE
    with oo.open(path, mode="r+", chunks=(3, 3)) as x:
        if refused:
            with pytest.raises(NotImplementedError):
                change(x)
        else:
            change(x)
            change(expected)
    found = np.load(path) if kind == "npy" else zarr.open_array(path, mode="r")[...]
    np.testing.assert_array_equal(found, expected)


def test_rows_are_appended(backend: str, tmp_path: Path) -> None:
    a = arrays()["a"]
    np.save(tmp_path / "x.npy", a)
    with oo.open(tmp_path / "x.npy", mode="a") as x:
        x.append(oo.from_array(a, chunks=3) * 2)
        np.testing.assert_array_equal(x.compute(), np.concatenate([a, a * 2]))


# ---- dask's arrays ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_to_dask_is_the_same_array(name: str, inputs: Mapping[str, Any]) -> None:
    mine, expected = both(name, inputs)
    theirs = mine.to_dask()
    assert type(theirs).__module__.startswith("dask.")
    assert (theirs.shape, theirs.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(theirs.compute(scheduler="synchronous"), expected)


@pytest.mark.parametrize("kind", ["npy", "zarr"])
def test_the_same_blocks_by_each(kind: str, inputs: Mapping[str, Any], tmp_path: Path) -> None:
    """Files that backends store hold the same bytes, or chunks, as ours."""
    for one in BACKENDS:
        with oo.options(backend=one, scheduler="serial", progress=False):
            (inputs["a"] * 2).store(tmp_path / f"{one}.{kind}")
    for one in OTHERS:
        if kind == "npy":
            assert (tmp_path / f"{one}.npy").read_bytes() == (tmp_path / "mapped.npy").read_bytes()
        else:
            mine = zarr.open_array(tmp_path / "mapped.zarr", mode="r")
            assert zarr.open_array(tmp_path / f"{one}.zarr", mode="r").chunks == mine.chunks
