"""What is told of arrays in files, kept or refused: attributes, stacks, names and messages."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray.errors import FormatError, NotRegularFileError
from oocarray.storage.conventions import Agreement, decoding_of
from oocarray.storage.finding import attributes, sniff
from oocarray.storage.jsonattrs import fill_as_text, in_json

h5py = pytest.importorskip("h5py")
scipy_io = pytest.importorskip("scipy.io")
zarr = pytest.importorskip("zarr")

NAN_TEXT = "AAAAAAAA+H8="
"""NaN as xarray writes it into Zarr v3."""


def numbers(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype="f4").reshape(shape)


def classic(path: Path, data: np.ndarray, dims: tuple[str, ...] = ("t", "x"), **attrs: Any) -> str:
    """A NetCDF classic file of one variable, ``v``, and of attributes of its own."""
    with scipy_io.netcdf_file(path, "w") as file:
        for name, extent in zip(dims, data.shape, strict=True):
            file.createDimension(name, extent)
        made = file.createVariable("v", data.dtype, dims)
        made[:] = data
        for name, value in attrs.items():
            setattr(made, name, value)
        file.title = "all"
        file.levels = np.array([1, 2], "i4")
    return str(path)


# ---- the name of a new array ---------------------------------------------------------------------


def test_a_slash_at_the_end_is_no_part_of_the_name(tmp_path):
    x = numbers(3, 4)
    path = f"{tmp_path}/x.zarr"
    made = oo.from_array(x).store(path + "/")
    np.testing.assert_array_equal(made.compute(), x)
    np.testing.assert_array_equal(oo.open(path + "/").compute(), x)
    with pytest.raises(FileExistsError, match=r"x\.zarr"):
        oo.create(path + "//", 3)
    assert oo.create(path + "/", 3, "i2", overwrite=True).shape == (3,)
    assert os.listdir(tmp_path) == ["x.zarr"]
    for name in ("x", "x/", "/"):
        with pytest.raises(ValueError, match="cannot tell a format from"):
            oo.create(name, 3)


# ---- attributes ----------------------------------------------------------------------------------


def test_numbers_that_json_lacks_are_said_in_words(tmp_path):
    attrs = {"x": np.nan, "y": [1, -np.inf], "z": np.float32("nan"), "w": {"deep": np.inf}}
    want = {"x": "NaN", "y": [1, "-Infinity"], "z": "NaN", "w": {"deep": "Infinity"}}
    made = oo.from_array(numbers(4)).store(tmp_path / "x.zarr", attrs=attrs)
    assert dict(made.attrs) == want
    assert dict(zarr.open_array(tmp_path / "x.zarr", mode="r").attrs) == want
    assert "NaN" in json.loads((tmp_path / "x.zarr/zarr.json").read_text())["attributes"]["x"]
    assert dict(oo.create(tmp_path / "y.zarr", 4, attrs=attrs).attrs) == want
    again = made.store(tmp_path / "z.zarr")
    assert dict(again.attrs) == want


@pytest.mark.parametrize("bad", [object(), {1, 2}, b"x", np.datetime64("2020-01-01")])
def test_what_json_lacks_altogether_is_named(tmp_path, bad):
    x = oo.from_array(numbers(4))
    with pytest.raises(ValueError, match="cannot be written as JSON: attribute 'odd'; give text"):
        x.store(tmp_path / "x.zarr", attrs={"fine": 1, "odd": bad})
    assert os.listdir(tmp_path) == []


def test_attributes_without_end_are_named():
    ring: list[Any] = []
    ring.append(ring)
    said, left = in_json({"ring": ring, ("a", "b"): 1, "long": np.longdouble("nan"), "n": None})
    assert said == {"long": "NaN", "n": None}
    assert left == ["attribute 'ring'", "attribute ('a', 'b')"]


@pytest.mark.parametrize("value", [np.nan, "NaN", [np.nan], np.array([np.nan]), np.float32("nan")])
def test_the_fill_value_of_floats_is_text(value):
    assert fill_as_text({"_FillValue": value}, "f4") == {"_FillValue": NAN_TEXT}
    assert fill_as_text({"_FillValue": NAN_TEXT}, "f8") == {"_FillValue": NAN_TEXT}


@pytest.mark.parametrize("value", [-999, -999.0, np.int16(-999), "-999"])
def test_the_fill_value_is_decoded_as_it_was_meant(value):
    told = fill_as_text({"_FillValue": value}, "f4")
    found = decoding_of(told, "f4")
    assert found is not None
    assert found.missing == (-999.0,)
    assert fill_as_text({"_FillValue": value}, "i2")["_FillValue"] is value


@pytest.mark.parametrize("value", [None, True, [1, 2], "text", 10**400, b"x"])
def test_a_fill_value_that_is_no_number_is_left_as_it_is(value):
    assert fill_as_text({"_FillValue": value}, "f4") == {"_FillValue": value}


@pytest.mark.parametrize("version", [2, 3, "netcdf3", "netcdf4"])
def test_a_fill_value_of_nan_is_kept_for_xarray(tmp_path, version):
    xarray = pytest.importorskip("xarray")
    x = numbers(3, 4)
    x[1] = np.nan
    made = xarray.Dataset({"v": (("t", "x"), x)}, {"t": [1, 2, 3]}, {"title": "all"})
    if version in (2, 3):
        source = tmp_path / "x.zarr"
        made.to_zarr(source, zarr_format=version, consolidated=False)
    elif version == "netcdf4":
        pytest.importorskip("netCDF4")
        source = tmp_path / "x.nc"
        made.to_netcdf(source, engine="netcdf4")
    else:
        source = tmp_path / "x.nc"
        made.to_netcdf(source, engine="scipy")
    zarr.create_group(tmp_path / "y.zarr")
    stored = oo.open(source, dataset="v").store(tmp_path / "y.zarr/v", format="zarr")
    assert (stored.dims, dict(stored.attrs)) == (("t", "x"), {"_FillValue": NAN_TEXT})
    with xarray.open_zarr(tmp_path / "y.zarr", consolidated=False) as read:
        np.testing.assert_array_equal(read["v"].values, x)
    np.testing.assert_array_equal(oo.open(tmp_path / "y.zarr/v", decode=True).compute(), x)


# ---- several files as one array ------------------------------------------------------------------


def packed(folder: Path, *scales: float, dims: tuple[str, ...] = ("t", "x")) -> list[str]:
    return [
        classic(
            folder / f"day{number}.nc",
            np.full((2, 3), number, "i2"),
            dims,
            scale_factor=scale,
            _FillValue=np.int16(2),
            units="K",
            source=f"file {number}",
        )
        for number, scale in enumerate(scales)
    ]


def test_a_stack_says_what_its_first_file_does(tmp_path):
    names = packed(tmp_path, 0.5, 0.5, 0.5)
    want = {"scale_factor": 0.5, "_FillValue": 2, "units": "K", "source": "file 0"}
    raw = np.concatenate([np.full((2, 3), n, "i2") for n in range(3)])
    meant = np.where(raw == 2, np.nan, raw * 0.5)
    x = oo.open(names, dataset="v")
    assert (x.dims, dict(x.attrs), x.shape) == (("t", "x"), want, (6, 3))
    np.testing.assert_array_equal(x.compute(), raw)
    y = oo.open(names, dataset="v", decode=True)
    assert (y.dims, dict(y.attrs)) == (("t", "x"), {"units": "K", "source": "file 0"})
    np.testing.assert_array_equal(y.compute(), meant)
    z = oo.open(str(tmp_path / "day*.nc"), axis=1, decode=True)
    assert (z.dims, z.shape) == (("t", "x"), (2, 9))
    stored = x.store(tmp_path / "all.zarr")
    assert (stored.dims, dict(stored.attrs)) == (("t", "x"), want)
    np.testing.assert_array_equal(oo.open(tmp_path / "all.zarr", decode=True).compute(), meant)


@pytest.mark.parametrize(
    ("axis", "dims"),
    [
        (None, (None, "t", "x")),
        (0, (None, "t", "x")),
        (1, ("t", None, "x")),
        (2, ("t", "x", None)),
        (-1, ("t", "x", None)),
        (-3, (None, "t", "x")),
    ],
)
def test_a_new_axis_has_no_name(tmp_path, axis, dims):
    names = packed(tmp_path, 0.5, 0.5)
    x = oo.open(names, axis=axis, stack=True, decode=True)
    assert x.dims == dims
    raw = np.stack([np.full((2, 3), n, "i2") for n in range(2)], axis=axis or 0)
    np.testing.assert_array_equal(x.compute(), raw * 0.5)


def test_files_that_are_packed_in_different_ways_are_not_decoded_together(tmp_path):
    names = packed(tmp_path, 0.5, 0.5, 0.25)
    said = r"day2\.nc has scale_factor=0\.25, but .*day0\.nc has 0\.5: .*oo\.concatenate"
    with pytest.raises(FormatError, match=said):
        oo.open(names, decode=True)
    x = oo.open(names)
    assert dict(x.attrs) == {"units": "K", "source": "file 0"}, "without what is untrue of one"
    each = oo.concatenate([oo.open(name, decode=True) for name in names])
    assert each.dtype == np.float64


def test_names_of_axes_that_differ_are_none(tmp_path):
    names = packed(tmp_path, 0.5)
    (tmp_path / "b").mkdir()
    names += packed(tmp_path / "b", 0.5, dims=("time", "x"))
    x = oo.open(names)
    assert x.dims is None
    assert x.attrs["units"] == "K"


def test_files_that_say_nothing_make_a_stack_that_says_nothing(tmp_path):
    for number in range(2):
        np.save(tmp_path / f"{number}.npy", numbers(2, 3))
    x = oo.open(str(tmp_path / "*.npy"), decode=True)
    assert (x.dims, dict(x.attrs), x.shape) == (None, {}, (4, 3))
    raw = oo.open([tmp_path / "0.npy"] * 2, shape=(2, 3), dtype="f4", offset=128, stack=True)
    assert (raw.dims, raw.shape) == (None, (2, 2, 3))


def test_nan_agrees_with_nan_and_1_with_1_0():
    said = Agreement()
    said.add("a", None, {"_FillValue": np.nan, "scale_factor": 1})
    said.add("b", None, {"_FillValue": np.nan, "scale_factor": 1.0})
    assert said.difference == ""
    said.add("c", None, {"scale_factor": 1})
    said.add("d", None, {"scale_factor": 2})
    assert said.difference == "c has _FillValue=None, but a has nan"


# ---- what a file says of itself ------------------------------------------------------------------


@pytest.fixture
def h5(tmp_path) -> str:
    """An HDF5 file with groups, attributes of each, and links."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["a/b"] = numbers(3)
        file["c"] = numbers(2)
        file.attrs.update({"title": "all", "low": np.float32(0.5), "nan": np.nan})
        file["a"].attrs["title"] = "inner"
        file["soft"] = h5py.SoftLink("/a")
        file["away"] = h5py.ExternalLink("elsewhere.h5", "/g")
    return str(path)


def test_hdf5_says_of_itself_and_its_groups(h5):
    said = dict(oo.open_group(h5).attrs)
    assert np.isnan(said.pop("nan"))
    assert said == {"title": "all", "low": 0.5}
    assert attributes(h5, "a") == attributes(h5, "/a/") == attributes(h5, "soft")
    assert attributes(h5, "a") == {"title": "inner"}
    with pytest.raises(FormatError, match=r"a link to '/g' in the file 'elsewhere\.h5'"):
        attributes(h5, "away")
    with pytest.raises(FormatError, match="has no dataset 'no'"):
        attributes(h5, "no")


def test_netcdf_says_of_itself(tmp_path):
    three = classic(tmp_path / "3.nc", numbers(2, 3))
    assert dict(oo.open_group(three).attrs) == {"title": "all", "levels": [1, 2]}
    assert attributes(three, "a") == {}
    netcdf = pytest.importorskip("netCDF4")
    four = str(tmp_path / "4.nc")
    with netcdf.Dataset(four, "w") as file:
        file.title = "all"
        file.levels = np.array([1], "i4")
        file.createDimension("x", 3)
        file.createVariable("v", "f4", ("x",))[:] = 1
        inner = file.createGroup("g")
        inner.note = "inner"
    assert dict(oo.open_group(four).attrs) == {"title": "all", "levels": 1}
    assert attributes(four, "g") == {"note": "inner"}


def test_others_say_nothing(tmp_path):
    np.save(tmp_path / "x.npy", numbers(3))
    (tmp_path / "x.bin").write_bytes(b"x" * 64)
    (tmp_path / "x.fits").write_bytes(b"SIMPLE  =" + b" " * 2871)
    assert sniff(tmp_path / "x.fits") == "fits"
    for name in ("x.npy", "x.bin", "x.fits"):
        assert attributes(tmp_path / name) == {}


# ---- folders that may not be written -------------------------------------------------------------


@contextlib.contextmanager
def somebody() -> Iterator[None]:
    """A user whom permissions concern; root is another for that long."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter: those that pytest makes are its owner's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("how", [{"shards": False}, {}, {"compressors": "zstd"}])
def test_a_folder_that_is_only_to_be_read_is_refused_at_once(place, how):
    path = place / "x.zarr"
    x = numbers(4, 5)
    oo.from_array(x).store(path, **how)
    oo.open(path, "r+")  # and what that takes is imported, while all may be read
    for below in sorted(path.rglob("*"), reverse=True):
        below.chmod(0o555 if below.is_dir() else 0o444)
    path.chmod(0o555)
    with somebody():
        try:
            os.stat(path / "zarr.json")
        except PermissionError:
            pytest.skip("the folder of temporary files is private")
        with pytest.raises(PermissionError, match='open it with mode="r"') as caught:
            oo.open(path, "r+")
        with pytest.raises(PermissionError, match=r"x\.zarr"):
            oo.open(f"{path}/", "r+")
        np.testing.assert_array_equal(oo.open(path).compute(scheduler="serial"), x)
    assert caught.value.filename == str(path)
    # Where anything may be written, the chunks tell.
    (path / "c").chmod(0o777)
    with somebody():
        assert oo.open(path, "r+").writable


# ---- what is said of names that lead to nothing --------------------------------------------------


def wrong(*args: Any, open: Any = oo.open, **words: Any) -> str:
    with pytest.raises((FormatError, OSError)) as caught:
        open(*args, **words)
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return f"{type(caught.value).__name__}: {caught.value}"


def test_folders_say_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("no.zarr", "no.zarr/", "no.zarr/t", "no/where.h5", "no.nc"):
        for open in (oo.open, oo.open_group):
            said = wrong(name, open=open)
            assert said == f"FileNotFoundError: [Errno 2] No such file or directory: {name!r}"
    os.mkdir("empty.zarr")
    os.makedirs("plain/sub")
    assert "empty.zarr is a directory, and empty: there is no array in it" in wrong("empty.zarr")
    for open in (oo.open, oo.open_group):
        said = wrong("plain", open=open)
        assert "plain is a directory without zarr.json" in said
        assert "such as 'plain/sub', or several by a pattern, such as 'plain/*.npy'" in said
    with pytest.raises(NotRegularFileError, match="no Zarr"):
        oo.open("plain", dataset="t")
    os.mkdir("odd.zarr")
    for text, says in [("{}", "node_type is None"), ("hello", "is not JSON"), ("[]", "zarr.json")]:
        Path("odd.zarr/zarr.json").write_text(text)
        assert says in wrong("odd.zarr")
        assert says in wrong("odd.zarr", open=oo.open_group)


def test_groups_say_what_they_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    zarr.create_group("g.zarr")
    assert "g.zarr is a Zarr group without arrays" in wrong("g.zarr")
    assert repr(oo.open_group("g.zarr")).endswith("g.zarr: 0 arrays>")
    zarr.open_group("g.zarr").create_array("in/t2m", data=numbers(3))
    assert "g.zarr has no dataset 't2n'; dataset= may be 'in/t2m'" in wrong("g.zarr", dataset="t2n")
    assert "g.zarr has no group 'out'; name another, or g.zarr alone" in wrong(
        "g.zarr/out", open=oo.open_group
    )
    assert "g.zarr/in/t2m is an array, not a group" in wrong("g.zarr/in/t2m", open=oo.open_group)
    assert list(oo.open_group("g.zarr/in")) == ["t2m"]
    assert "1 array>" in repr(oo.open_group("g.zarr"))
    with pytest.raises(KeyError, match="t2n"):
        oo.open_group("g.zarr")["t2n"]


def test_files_say_what_they_hold(tmp_path, h5, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert list(oo.open_group("x.h5")) == ["a/b", "c"]
    np.testing.assert_array_equal(oo.open_group("x.h5")["a/b"].compute(), numbers(3))
    holds = "pass dataset= one of: 'a/b' (3,) float32, 'c' (2,) float32"
    assert holds in wrong("x.h5")
    assert f"x.h5 has no dataset 'no'; {holds}" in wrong("x.h5", dataset="no")
    assert "'a' is a group; pass dataset= one of: 'a/b'" in wrong("x.h5", dataset="a")
    for name, inside in [("x.h5/a/b", "a/b"), ("x.h5/a/", "a"), (f"{tmp_path}/x.h5/c", "c")]:
        said = wrong(name)
        assert said.startswith("NotADirectoryError: ")
        assert f"x.h5 is a file, not a folder; pass dataset={inside!r}" in said
    assert "x.h5 is a file, not a folder; leave out the slash at the end" in wrong("x.h5/")
    classic(tmp_path / "x.nc", numbers(2, 3))
    assert "x.nc has no array 'no'; pass dataset= one of: 'v' (2, 3) >f4" in wrong(
        "x.nc", dataset="no"
    )
    Path("x.txt").write_text("hello")
    assert "x.txt is in no format known here" in wrong("x.txt")
