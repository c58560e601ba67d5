"""What other options mean to each backend."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import oocarray as oo

from .inputs import arrays


def test_in_threads(backend: str, inputs: Mapping[str, Any], tmp_path: Path) -> None:
    """Blocks that share chunks of a target are not written at once."""
    big = np.random.default_rng(3).normal(size=(300, 200))
    x = oo.from_array(big, chunks=(17, 23))
    out = oo.create(tmp_path / "out.zarr", big.shape, "f8", chunks=(10, 50))
    out.close()
    with oo.options(scheduler="threads", workers=4):
        np.testing.assert_array_equal((x * 2 + 1).compute(), big * 2 + 1)
        with oo.open(tmp_path / "out.zarr", mode="r+") as target:
            (x * 2).store(target)
        (x + 1).store(tmp_path / "out.npy")
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "out.zarr", mode="r")[...], big * 2)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), big + 1)


def test_the_scheduler_that_is_the_default(backend: str, inputs: Mapping[str, Any]) -> None:
    found = (inputs["a"] + inputs["b"]).sum(axis=0).compute(scheduler=None, workers=2)
    np.testing.assert_allclose(found, (arrays()["a"] + arrays()["b"]).sum(axis=0), rtol=1e-12)


@pytest.mark.parametrize("durability", ["process", "machine"])
def test_durable_stores(
    durability: str, backend: str, inputs: Mapping[str, Any], tmp_path: Path
) -> None:
    for name in ("x.npy", "x.zarr"):
        (inputs["a"] * 2).store(tmp_path / name, durability=durability)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), arrays()["a"] * 2)
    found = zarr.open_array(tmp_path / "x.zarr", mode="r")[...]
    np.testing.assert_array_equal(found, arrays()["a"] * 2)


def test_durable_changes_of_what_is_there(
    backend: str, inputs: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that another library wrote under names of its own are on the disk as well."""
    synced: list[str] = []
    monkeypatch.setattr(os, "sync", lambda: synced.append("all"))
    z = (inputs["a"] * 2).store(tmp_path / "x.zarr", durability="machine")
    assert not synced
    changed = oo.open(tmp_path / "x.zarr", mode="r+")
    oo.store(inputs["a"] * 3, changed, durability="none")
    assert not synced
    oo.store(inputs["a"] * 4, changed, durability="machine")
    assert synced == ["all"]
    np.testing.assert_array_equal(z.compute(), arrays()["a"] * 4)


def test_in_the_background(backend: str, inputs: Mapping[str, Any], tmp_path: Path) -> None:
    future = (inputs["a"] * 2).compute(wait=False)
    np.testing.assert_array_equal(future.result(), arrays()["a"] * 2)
    (inputs["a"] * 3).store(tmp_path / "x.npy", wait=False).result()
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), arrays()["a"] * 3)


@pytest.mark.parametrize("on_error", ["skip", "fill"])
def test_only_ours_goes_on_after_an_error(on_error: str, backend: str, tmp_path: Path) -> None:
    def fails(block: Any) -> Any:
        if block[0] == 4:
            raise ZeroDivisionError
        return block

    x = oo.map_blocks(fails, oo.from_array(np.arange(8.0), chunks=4), dtype=float)
    with oo.options(on_error=on_error):
        if backend != "mapped":
            with pytest.raises(NotImplementedError, match="on_error"):
                x.store(tmp_path / "x.npy")
            assert list(tmp_path.iterdir()) == []
        else:
            with pytest.warns(oo.FailedBlocksWarning):
                x.store(tmp_path / "x.npy")
            assert np.load(tmp_path / "x.npy")[:4].tolist() == [0, 1, 2, 3]


def test_inputs_that_changed_are_told(backend: str, tmp_path: Path) -> None:
    """A file that is no longer what was opened is not read as if it were."""
    np.save(tmp_path / "x.npy", np.arange(100.0))
    x = oo.open(tmp_path / "x.npy", chunks=10)
    np.save(tmp_path / "other.npy", np.arange(3.0))
    (tmp_path / "other.npy").replace(tmp_path / "x.npy")
    with pytest.raises((oo.InputChangedError, oo.TruncatedFileError)):
        (x + 1).compute()


def test_the_error_of_a_function_arrives(backend: str, inputs: Mapping[str, Any]) -> None:
    def fails(block: Any) -> Any:
        raise LookupError("of my own")

    with pytest.raises(Exception, match="of my own") as caught:
        oo.map_blocks(fails, inputs["a"], dtype=float).compute()
    assert isinstance(caught.value, (LookupError, oo.BlockFailedError))


def test_results_may_be_changed(backend: str, inputs: Mapping[str, Any]) -> None:
    """No result is a view of an input, or of a file."""
    for name in ("a", "b", "p"):
        for make in (lambda x: x, lambda x: x[1:3], lambda x: x.T, lambda x: x + 0):
            found = make(inputs[name]).compute()
            found[...] = 99
            np.testing.assert_array_equal(inputs[name].compute(), arrays()[name])


def test_an_unknown_backend_is_refused(inputs: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="mapped"):
        inputs["a"].compute(backend="numpy")
