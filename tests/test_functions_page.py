"""The page of functions: every name of the libraries has a row, and what the rows say is so."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import dask
import numpy as np
import pytest

import oocarray as oo
from oocarray.core import Array

DOCS = Path(__file__).resolve().parents[1] / "docs"
AGAIN = "python docs/functions_page.py > docs/functions.md"
# These are answered without a look at the elements.
ANSWERED = {"ndim", "shape", "size", "iscomplexobj", "isrealobj"}
ANSWERED |= {"array2string", "array_repr", "array_str"}
# NumPy goes through their argument to see whether to ask us, and then it has it.
GONE_THROUGH = {"poly", "roots", "savez", "savez_compressed", "ravel_multi_index"}


class Row(NamedTuple):
    name: str
    numpy: str
    dask: str
    standard: str
    here: str

    @property
    def works(self) -> bool:
        return self.here.startswith("works")


def page() -> list[Row]:
    found = []
    for line in (DOCS / "functions.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].startswith("`"):
            found.append(Row(*(cell.strip("`") for cell in cells[:4]), cells[4]))
    return found


ROWS = page()
WORKING = {row.name for row in ROWS if row.works}
OTHERS = {row.name: row.here for row in ROWS if not row.works}


@lru_cache
def generator() -> Any:
    """The module that makes the page."""
    spec = importlib.util.spec_from_file_location("functions_page", DOCS / "functions_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def installed() -> dict[str, bool]:
    """Whether the page is about the version of a library that is installed."""
    text = (DOCS / "functions.md").read_text()
    named = re.search(r"NumPy (\S+), `dask.array` (\S+) and", text)
    assert named is not None
    return {"numpy": named[1] == np.__version__, "dask": named[2] == dask.__version__}


@pytest.fixture(autouse=True)
def _serial() -> Iterator[None]:
    with oo.options(scheduler="serial", progress=False):
        yield


# ---- names --------------------------------------------------------------------------------------


def test_each_name_stands_once() -> None:
    names = [row.name for row in ROWS]
    assert len(names) > 500
    assert sorted({name for name in names if names.count(name) > 1}) == []


def public() -> set[str]:
    """What is public here and can be called, but for exceptions."""
    found = {f"linalg.{name}" for name in oo.linalg.__all__}
    for name in oo.__all__:
        value = getattr(oo, name)
        error = isinstance(value, type) and issubclass(value, BaseException)
        if callable(value) and not error:
            found.add(name)
    return found


def test_all_of_ours_work() -> None:
    assert sorted(public() - WORKING) == [], AGAIN


def test_what_works_is_there_and_the_rest_is_not() -> None:
    ours = {*oo.__all__, *(f"linalg.{name}" for name in oo.linalg.__all__)}
    ours |= {"__array_api_version__", "__array_namespace_info__"} & {*vars(oo)}
    assert sorted(WORKING - ours) == [], AGAIN
    assert sorted(ours & set(OTHERS)) == [], AGAIN
    assert [row for row in ROWS if len(row.here) < 5] == []
    assert [
        row for row in ROWS if row.works and row.here != "works" and "budget" not in row.here
    ] == []


def test_the_standard_works() -> None:
    names = generator().standards()
    core = {name for name in names if "." not in name}
    assert len(core) > 150
    assert sorted(core - WORKING) == []
    assert sorted(names - WORKING - set(OTHERS)) == []
    assert {row.standard for row in ROWS} - {""} == names


@pytest.mark.parametrize("library", ["numpy", "dask"])
def test_all_of_the_library_has_rows(library: str) -> None:
    names = getattr(generator(), f"{library}s")()
    assert len(names) > 250
    if installed()[library]:
        assert sorted(names - WORKING - set(OTHERS)) == [], AGAIN
        assert sorted(names - {getattr(row, library) for row in ROWS}) == [], AGAIN
    else:  # of a version that the page does not know: most of it
        assert len(names - WORKING - set(OTHERS)) < 30


def test_names_elsewhere_are_there() -> None:
    has, there = generator().has, installed()
    for row in ROWS:
        if row.numpy and there["numpy"]:
            assert has(np, row.numpy), row
        if row.dask and there["dask"]:
            assert has(dask.array, row.dask), row


@pytest.mark.skipif(not all(installed().values()), reason="the page is of other versions")
def test_the_page_is_what_its_program_prints() -> None:
    assert "\n".join(generator().page()) == (DOCS / "functions.md").read_text(), AGAIN


# ---- what works, through NumPy ------------------------------------------------------------------

X = np.array([[3.0, -1.5, 2.0, 2.0], [0.5, 4.0, -2.0, 7.0], [1.0, 0.0, 6.0, -3.5]])
CALLS: dict[str, Callable[[Any], Any]] = {
    "all": lambda x: np.all(x, axis=0),
    "any": lambda x: np.any(x, axis=1, keepdims=True),
    "argmax": lambda x: np.argmax(x, axis=1),
    "argpartition": lambda x: np.take_along_axis(x, np.argpartition(x, 1), -1)[:, 1],
    "argsort": lambda x: np.argsort(x, axis=0, kind="stable"),
    "argwhere": lambda x: np.argwhere(x > 1),
    "around": lambda x: np.around(x / 3, 2),
    "array_split": lambda x: np.array_split(x, 3, axis=1),
    "astype": lambda x: np.astype(x, np.float32),
    "atleast_3d": np.atleast_3d,
    "average": lambda x: np.average(x, axis=0, weights=[1, 2, 3]),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 3, 4)),
    "clip": lambda x: np.clip(x, -1, 2),
    "column_stack": lambda x: np.column_stack([x, x]),
    "compress": lambda x: np.compress([True, False, True], x, axis=0),
    "concatenate": lambda x: np.concatenate([x, x], axis=1),
    "corrcoef": np.corrcoef,
    "count_nonzero": lambda x: np.count_nonzero(x, axis=0),
    "cov": np.cov,
    "cumsum": lambda x: np.cumsum(x, axis=1),
    "delete": lambda x: np.delete(x, 1, axis=1),
    "diag": np.diag,
    "diagonal": lambda x: np.diagonal(x, offset=1),
    "diff": lambda x: np.diff(x, axis=0),
    "digitize": lambda x: np.digitize(x, [-1, 0, 3]),
    "dot": lambda x: np.dot(x, x.T),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "extract": lambda x: np.extract(x > 0, x),
    "flip": lambda x: np.flip(x, axis=1),
    "full_like": lambda x: np.full_like(x, 7),
    "gradient": lambda x: np.gradient(x, axis=0),
    "histogram": lambda x: np.histogram(x, bins=5, range=(-4, 8)),
    "hsplit": lambda x: np.hsplit(x, 2),
    "insert": lambda x: np.insert(x, 1, 9, axis=0),
    "interp": lambda x: np.interp(x, [-4, 0, 8], [0, 1, 5]),
    "isclose": lambda x: np.isclose(x, 2),
    "isin": lambda x: np.isin(x, [2, 7]),
    "linalg.norm": np.linalg.norm,
    "linalg.vector_norm": lambda x: np.linalg.vector_norm(x, axis=1),
    "matmul": lambda x: np.matmul(x.T, x),
    "max": lambda x: np.max(x, axis=0),
    "mean": lambda x: np.mean(x, axis=1),
    "median": lambda x: np.median(x, axis=0),
    "meshgrid": lambda x: np.meshgrid(x[0], x[1]),
    "moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "nan_to_num": np.nan_to_num,
    "nanmean": lambda x: np.nanmean(x, axis=0),
    "nonzero": np.nonzero,
    "outer": lambda x: np.outer(x[0], x[1]),
    "pad": lambda x: np.pad(x, 1, mode="edge"),
    "percentile": lambda x: np.percentile(x, [10, 50], axis=1),
    "prod": lambda x: np.prod(x, axis=1),
    "ptp": lambda x: np.ptp(x, axis=0),
    "quantile": lambda x: np.quantile(x, 0.3),
    "ravel": np.ravel,
    "repeat": lambda x: np.repeat(x, 2, axis=0),
    "reshape": lambda x: np.reshape(x, (2, 6)),
    "roll": lambda x: np.roll(x, 1, axis=1),
    "rot90": np.rot90,
    "searchsorted": lambda x: np.searchsorted([-1.0, 0.0, 3.0], x),
    "select": lambda x: np.select([x > 2, x < 0], [x, -x], 1),
    "sinc": np.sinc,
    "sort": lambda x: np.sort(x, axis=0),
    "squeeze": lambda x: np.squeeze(x[:, :1]),
    "stack": lambda x: np.stack([x, x], axis=1),
    "std": lambda x: np.std(x, axis=0, ddof=1),
    "sum": lambda x: np.sum(x, axis=(0, 1)),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "take": lambda x: np.take(x, [2, 0], axis=0),
    "tensordot": lambda x: np.tensordot(x, x, axes=2),
    "tile": lambda x: np.tile(x, (2, 1)),
    "trace": np.trace,
    "transpose": np.transpose,
    "tril": np.tril,
    "union1d": lambda x: np.union1d(x, [2.0, 99.0]),
    "unique": np.unique,
    "var": lambda x: np.var(x, axis=1),
    "vstack": lambda x: np.vstack([x, x]),
    "where": lambda x: np.where(x > 1, x, 0),
    "zeros_like": np.zeros_like,
}


def test_what_is_called_works() -> None:
    assert sorted(set(CALLS) - WORKING) == []


@pytest.mark.parametrize("name", CALLS)
def test_call_through_numpy(name: str) -> None:
    call = CALLS[name]
    expected, found = call(X), call(oo.from_array(X, chunks=(2, 2)))
    if not isinstance(expected, tuple | list):
        expected, found = [expected], [found]
    assert isinstance(found, tuple | list)
    assert isinstance(found[0], Array)
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        mine = np.asarray(mine)
        assert mine.dtype == np.asarray(theirs).dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-13, atol=1e-13, strict=np.ndim(theirs) > 0)


UFUNCS = [name for name in sorted(WORKING) if isinstance(getattr(np, name, None), np.ufunc)]


@pytest.mark.parametrize("name", [n for n in UFUNCS if getattr(np, n).signature is None])
def test_ufuncs(name: str) -> None:
    ufunc = getattr(np, name)
    for values in (X, np.arange(-2, 6).reshape(2, 4), X > 1):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            try:
                expected = ufunc(*[values] * ufunc.nin)
            except (TypeError, ValueError):
                continue
            found = ufunc(*[oo.from_array(values, chunks=2)] * ufunc.nin)
            many = ufunc.nout > 1
            for mine, theirs in zip(
                found if many else [found], expected if many else [expected], strict=True
            ):
                assert isinstance(mine, Array)
                np.testing.assert_array_equal(np.asarray(mine), theirs, strict=True)
        return
    if name != "isnat":  # of times only
        pytest.fail(f"called {name} with nothing that it takes")


# ---- what is not there, through NumPy -----------------------------------------------------------


def asked(name: str) -> bool:
    """Whether NumPy asks its arguments for their own version of a function."""
    home: Any = np
    for part in name.split("."):
        home = getattr(home, part, None)
    return type(home) is type(np.concatenate) and hasattr(home, "_implementation")


REFUSED = sorted(n for n in OTHERS if asked(n) and n not in ANSWERED | GONE_THROUGH)


def test_many_are_refused() -> None:
    assert len(REFUSED) > 80
    assert set(OTHERS) >= ANSWERED - WORKING


@pytest.mark.parametrize("name", REFUSED)
def test_refused_without_a_look(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(self: Array, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"np.{name} looked at the elements")

    for way in ("compute", "__array__", "__iter__", "__dlpack__"):
        monkeypatch.setattr(Array, way, look)
    home: Any = np
    for part in name.split("."):
        home = getattr(home, part)
    needed = [p for p in inspect.signature(home).parameters.values() if p.default is p.empty]
    count = max(sum(p.kind is not p.VAR_KEYWORD for p in needed), 1)
    x = oo.from_array(X, chunks=2)
    arguments: list[Any] = [x] * count
    if name in ("lexsort", "histogramdd", "linalg.multi_dot"):
        arguments = [(x, x)]
    elif name == "einsum_path":
        arguments = ["ij,jk", x, x.T]
    elif name == "piecewise":
        arguments = [x, [True], [1]]
    with pytest.raises(TypeError, match=r"map_blocks|oo\.|oocarray|x\.|x\["):
        home(*arguments)


@pytest.mark.parametrize("name", sorted(ANSWERED - WORKING))
def test_answered_without_a_look(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Array, "compute")
    monkeypatch.delattr(Array, "__array__")
    found = getattr(np, name)(oo.from_array(X, chunks=2))
    if name.startswith("array"):
        assert "oocarray" in found
    else:
        assert found == getattr(np, name)(X)
