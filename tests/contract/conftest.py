"""The backends as a fixture, none of which computes for another, and the arrays of the cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import oocarray as oo

from .everything import BACKENDS
from .inputs import ours


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of the backend that all options ask for."""
    if request.param != "mapped":
        monkeypatch.setattr("oocarray.backends.mapped.run_plan", _called)
    with oo.options(backend=request.param, scheduler="serial", progress=False):
        yield request.param


def _called(*args: Any, **kwargs: Any) -> None:
    raise AssertionError("the mapped backend computes what another was asked for")


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Any]]:
    """Arrays of ours by the names that cases have for them."""
    found = ours(tmp_path_factory.mktemp("inputs"))
    yield found
    for array in found.values():
        array.close()
