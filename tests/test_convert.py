"""Tries ``oocarray convert``: any source into any output, judged by NumPy, zarr-python and xarray.

Nothing of a conversion that fails may be left, and nothing that is lost may go unsaid.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import oocarray as oo
from oocarray.cli import groups, main
from oocarray.errors import FormatError
from oocarray.storage.jsonattrs import in_json

h5py = pytest.importorskip("h5py")

Run = Callable[..., tuple[int, str, str]]
FAST = ("--scheduler", "threads", "--workers", 2)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path) -> Run:
    """Run a command in this process and in the test's folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def go(*words: Any) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, errors = capsys.readouterr()
        return code, out, errors

    return go


@pytest.fixture
def convert(run) -> Callable[..., dict[str, Any]]:
    """Convert, and return the record that ``--json`` prints."""

    def go(*words: Any) -> dict[str, Any]:
        code, out, errors = run("convert", *words, *FAST, "--json")
        assert (code, errors) == (0, "")
        return json.loads(out)

    return go


def numbers(*shape: int, dtype: str = "f4") -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(dtype)


def one_line(errors: str) -> str:
    (line,) = errors.splitlines()
    assert line.startswith("oocarray: ")
    return line


# ---- one array -----------------------------------------------------------------------------------


SOURCES = {
    "npy": lambda path, x: np.save(path / "s.npy", x),
    "F.npy": lambda path, x: np.save(path / "s.F.npy", np.asfortranarray(x)),
    "zarr": lambda path, x: zarr.create_array(
        path / "s.zarr", data=x, chunks=(7, 5, 4), compressors=None, dimension_names="tyx",
        attributes={"units": "K"},
    ),
    "z.zarr": lambda path, x: zarr.create_array(
        path / "s.z.zarr", data=x, chunks=(3, 5, 9), dimension_names="tyx",
        attributes={"units": "K"},
    ),
    "h5": lambda path, x: hdf5(path / "s.h5", {"x": x}, chunks=(4, 10, 3), compression="gzip"),
    "c.h5": lambda path, x: hdf5(path / "s.c.h5", {"x": x}),
}  # fmt: skip


def hdf5(path: Path, arrays: dict[str, np.ndarray], **how: Any) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, **how)


OUTPUTS = {
    "npy": ["d.npy"],
    "raw": ["d.dat", "--format", "raw"],
    "zarr": ["d.zarr"],
    "cut": ["d.zarr", "--chunks", "4,3,7"],
    "files": ["d.zarr", "--chunks", "5,-1,2", "--shards", "none"],
    "shards": ["d.zarr", "--chunks", "5,2,3", "--shards", "10,4,6"],
    "plain": ["d.zarr", "--chunks", "5,2,3", "--shards", "5,2,9", "--compress", "none"],
    "zstd": ["d.zarr", "--chunks", "20,1,9", "--compress", "zstd:7"],
    "blosc": ["d.zarr", "--chunks", "2KiB", "--compress", "blosc:3"],
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("output", OUTPUTS)
def test_every_source_into_every_output(convert, tmp_path, source, output):
    x = numbers(20, 10, 9)
    SOURCES[source](tmp_path, x)
    out, *words = OUTPUTS[output]
    record = convert(f"s.{source}", out, *words, "--memory", "32MiB")
    if out.endswith(".zarr"):
        made = zarr.open_array(out, mode="r")
        found = made[...]
        if "zarr" in source:
            assert made.metadata.dimension_names == ("t", "y", "x")
            assert dict(made.attrs) == {"units": "K"}
    else:
        found = np.load(out) if out.endswith("npy") else np.fromfile(out, x.dtype).reshape(x.shape)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, x)
    assert record["shape"] == [20, 10, 9]
    assert record["bytes"] == x.nbytes
    assert record["output_bytes"] > 0


def test_it_says_what_it_did(run, tmp_path):
    SOURCES["zarr"](tmp_path, numbers(20, 10, 9))
    code, out, errors = run("convert", "s.zarr", "d.zarr/", "--chunks", "4,5,9", *FAST)
    assert (code, errors) == (0, "")
    first, *lines = out.splitlines()
    assert first == "d.zarr: 20 x 10 x 9 float32"
    assert lines[0] == "  from   s.zarr (Zarr v3, one file per chunk)"
    assert lines[1].startswith("  chunks (4, 5, 9) in shards of (")
    assert " became " in lines[2]
    assert run("convert", "s.zarr", "d.npy", *FAST)[1].splitlines()[-1] == (
        "  lost   names of axes, attributes"
    )


@pytest.mark.parametrize(
    "x",
    [
        np.array(2.5),
        np.zeros((0, 3), "i4"),
        np.arange(5, dtype=">i2"),
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        np.array(["2026-01-01"], "M8[s]"),
        np.array([1 + 2j, np.nan], "c8"),
        np.array([True, False]),
        np.array([b"ab"]),
        np.array(["äb"]),
    ],
    ids=lambda x: x.dtype.kind + str(x.ndim),
)
def test_any_dtype_goes_there_and_back(convert, tmp_path, x):
    np.save(tmp_path / "s.npy", x)
    convert("s.npy", "d.zarr")
    convert("d.zarr", "e.npy")
    found = np.load("e.npy")
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, x)


def test_raw_bytes_are_described_by_options(convert, tmp_path):
    x = np.arange(60, dtype=">i2").reshape(5, 12)
    (tmp_path / "s.dat").write_bytes(b"head" + x.T.tobytes())
    words = ["--shape=-1,12", "--dtype", ">i2", "--offset", 4, "--order", "F"]
    convert("s.dat", "d.npy", *words)
    np.testing.assert_array_equal(np.load("d.npy"), x)


def test_an_array_may_be_replaced_by_itself(convert, tmp_path):
    x = numbers(20, 10, 9)
    SOURCES["zarr"](tmp_path, x)
    before = convert("s.zarr", "s.zarr", "--compress", "zstd", "--overwrite")["source_bytes"]
    assert before > x.nbytes
    np.testing.assert_array_equal(zarr.open_array("s.zarr", mode="r")[...], x)
    assert os.listdir() == ["s.zarr"]


# ---- several files -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["npy", "zarr", "h5"])
@pytest.mark.parametrize("words", [[], ["--axis", 1], ["--stack"], ["--stack", "--axis", "-1"]])
def test_files_are_joined(convert, tmp_path, kind, words):
    parts = [numbers(4, 6) + n for n in range(3)]
    for number, part in zip((1, 2, 10), parts, strict=True):
        name = tmp_path / f"day{number}.{kind}"
        if kind == "npy":
            np.save(name, part)
        elif kind == "zarr":
            zarr.create_array(name, data=part, chunks=(3, 4), dimension_names=("y", "x"))
        else:
            hdf5(name, {"a": part, "b": -part}, chunks=(3, 4))
    axis = int(words[-1]) if "--axis" in words else 0
    join = np.stack if "--stack" in words else np.concatenate
    dataset = ["--dataset", "a"] if kind == "h5" else []
    convert(f"day*.{kind}", "all.zarr", *words, *dataset)
    made = zarr.open_array("all.zarr", mode="r")
    np.testing.assert_array_equal(made[...], join(parts, axis=axis))
    if kind == "zarr":
        names = [*"yx"]
        if "--stack" in words:
            names.insert(len(names) if axis == -1 else axis, None)
        assert list(made.metadata.dimension_names) == names


def test_the_output_of_a_pattern_is_not_its_input(run, convert, tmp_path):
    np.save(tmp_path / "day1.npy", np.arange(3))
    for _ in range(2):
        assert convert("day*.npy", "day.npy", "--overwrite")["source"] == "day1.npy"
        assert np.load("day.npy").size == 3
    os.remove("day1.npy")
    code, _, errors = run("convert", "d*.npy", "day.npy", "--overwrite", *FAST)
    assert code == 1
    assert "no file but the output matches the pattern" in one_line(errors)


def test_numbers_packed_in_different_ways_are_not_joined(run, convert, tmp_path):
    for number, scale in enumerate((0.5, 0.25)):
        made = zarr.create_array(tmp_path / f"{number}.zarr", data=np.arange(4, dtype="i2"))
        made.attrs.update({"scale_factor": scale})
    code, _, errors = run("convert", "0.zarr", "1.zarr", "d.zarr", *FAST)
    assert code == 1
    assert "scale_factor=0.25, but 0.zarr has 0.5" in one_line(errors)
    convert("0.zarr", "1.zarr", "d.zarr", "--decode")
    np.testing.assert_array_equal(
        zarr.open_array("d.zarr", mode="r")[...], [0, 0.5, 1, 1.5, 0, 0.25, 0.5, 0.75]
    )


# ---- groups --------------------------------------------------------------------------------------


@pytest.fixture
def group(tmp_path) -> dict[str, np.ndarray]:
    """A Zarr group ``g.zarr`` with arrays of several kinds."""
    arrays = {"t2m": numbers(6, 8, 5), "inner/deep/u": numbers(3, 4), "lon": np.arange(5.0)}
    made = zarr.create_group(tmp_path / "g.zarr", attributes={"title": "all", "low": 1.5})
    for name, array in arrays.items():
        made.create_array(
            name, data=array, chunks=tuple(-(-n // 2) for n in array.shape),
            dimension_names=[f"d{n}" for n in range(array.ndim)], attributes={"name": name},
        )  # fmt: skip
    made["inner"].attrs["title"] = "inner"
    return arrays


def test_a_group_keeps_everything(run, convert, tmp_path, group):
    record = convert("g.zarr", "d.zarr", "--chunks", "2,3,4", "--compress", "zstd")
    assert {one["name"] for one in record["arrays"]} == set(group)
    assert record["not_kept"] == []
    made = zarr.open_group("d.zarr", mode="r")
    assert dict(made.attrs) == {"title": "all", "low": 1.5}
    assert dict(made["inner"].attrs) == {"title": "inner"}
    for name, array in group.items():
        np.testing.assert_array_equal(made[name][...], array)
        assert dict(made[name].attrs) == {"name": name}
        assert made[name].metadata.dimension_names == tuple(f"d{n}" for n in range(array.ndim))
    assert made["t2m"].chunks == (2, 3, 4), "a shape is for arrays of so many axes"
    assert made["lon"].chunks == (5,)
    assert sorted(os.listdir()) == ["d.zarr", "g.zarr"]
    code, out, _ = run("convert", "g.zarr", "d.zarr", "--overwrite", *FAST)
    assert code == 0
    assert out.splitlines()[0] == "d.zarr: a Zarr group of 3 arrays"
    assert "  inner/deep/u  3x4" in out


def test_a_file_of_several_arrays_becomes_a_group(run, convert, tmp_path):
    arrays = {"t2m": numbers(6, 8), "in/u": numbers(3, 4)}
    hdf5(tmp_path / "s.h5", arrays, chunks=(2, 3))
    with h5py.File("s.h5", "a") as file:
        file["t2m"].attrs.update({"units": "K", "limits": [0.0, np.inf]})
        file["text"] = ["a", "bc"]
    code, _, errors = run("convert", "s.h5", "d.zarr", *FAST)
    assert code == 1
    assert "--skip leaves out arrays of s.h5 like it" in one_line(errors)
    assert os.listdir() == ["s.h5"]
    code, out, errors = run("convert", "s.h5", "d.zarr", "--skip", *FAST)
    assert code == 0
    assert "warning: text is left out" in one_line(errors)
    assert "  text is left out" in out.splitlines()
    made = zarr.open_group("d.zarr", mode="r")
    for name, array in arrays.items():
        np.testing.assert_array_equal(made[name][...], array)
    assert dict(made["t2m"].attrs) == {"units": "K", "limits": [0.0, "Infinity"]}
    code, _, errors = run("convert", "s.h5", "d.npy", *FAST)
    assert code == 1
    assert "--dataset one of: 'in/u' (3, 4) float32, 't2m'" in one_line(errors)
    assert convert("s.h5", "u.npy", "--dataset", "in/u")["shape"] == [3, 4]
    np.testing.assert_array_equal(np.load("u.npy"), arrays["in/u"])


def test_a_file_of_several_arrays_says_the_same_of_itself(run, convert, tmp_path):
    hdf5(tmp_path / "s.h5", {"t2m": numbers(6, 8), "in/u": numbers(3, 4)}, chunks=(2, 3))
    with h5py.File("s.h5", "a") as file:
        file.attrs.update({"title": "all", "limits": [0.0, np.nan]})
        file.attrs["odd"] = file["t2m"].ref
        file["in"].attrs["title"] = "inner"
    record = convert("s.h5", "d.zarr")
    assert record["not_kept"] == []
    made = zarr.open_group("d.zarr", mode="r")
    assert dict(made.attrs) == {"title": "all", "limits": [0.0, "NaN"]}
    assert dict(oo.open_group("d.zarr").attrs) == dict(made.attrs)
    assert dict(made["in"].attrs) == {"title": "inner"}


def test_xarray_reads_what_was_netcdf(run, tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("netCDF4")
    x = numbers(6, 8)
    x[0, 0] = np.nan
    data = xarray.Dataset({
        "t2m": (("time", "y"), x, {"units": "K", "bad": np.nan}),
        "packed": (("y",), np.arange(8.0)),
    })  # fmt: skip
    fill = np.float32(1e20)
    data.to_netcdf(tmp_path / "s.nc", encoding={
        "t2m": {"_FillValue": fill, "zlib": True},
        "packed": {"dtype": "i2", "scale_factor": 0.5, "_FillValue": -9},
    })  # fmt: skip
    for words, encoded in (([], float(fill)), (["--decode"], None)):
        code, _, errors = run("convert", "s.nc", "d.zarr", "--overwrite", *words, *FAST)
        assert (code, errors) == (0, "")
        with xarray.open_zarr("d.zarr", consolidated=False) as found:
            np.testing.assert_array_equal(found["t2m"].values, x)
            np.testing.assert_array_equal(found["packed"].values, np.arange(8.0))
            assert found["t2m"].dims == ("time", "y")
            assert found["t2m"].attrs == {"units": "K", "bad": "NaN"}
            assert found["t2m"].encoding.get("_FillValue") == encoded
        decoded = oo.open("d.zarr/packed", decode=True)
        np.testing.assert_array_equal(decoded.compute(), np.arange(8.0))


def test_what_is_there_is_not_replaced_by_chance(run, convert, tmp_path, group):
    (tmp_path / "other.zarr").mkdir()
    (tmp_path / "other.zarr" / "mine.txt").write_text("keep")
    os.symlink("g.zarr", "link.zarr")
    for out, said in (
        ("other.zarr", "is nothing of Zarr and is not overwritten"),
        ("link.zarr", "is a symbolic link"),
    ):
        code, _, errors = run("convert", "g.zarr", out, "--overwrite", *FAST)
        assert code == 1
        assert said in one_line(errors)
    for words, said in (
        (["g.zarr/inner", "g.zarr", "--overwrite"], "lies in g.zarr, which it was to replace"),
        (["g.zarr/lon", "g.zarr", "--overwrite"], "is not a Zarr array and is not overwritten"),
        (["g.zarr", "other.zarr"], "file exists; give --overwrite"),
    ):
        code, _, errors = run("convert", *words, *FAST)
        assert code == 1
        assert said in one_line(errors)
    assert sorted(os.listdir()) == ["g.zarr", "link.zarr", "other.zarr"]
    assert (tmp_path / "other.zarr" / "mine.txt").exists()
    convert("g.zarr", "g.zarr", "--overwrite", "--durability", "machine")
    np.testing.assert_array_equal(zarr.open_group("g.zarr", mode="r")["lon"][...], group["lon"])
    assert sorted(os.listdir()) == ["g.zarr", "link.zarr", "other.zarr"]


def test_a_group_that_fails_half_way_leaves_nothing(run, tmp_path, group):
    (chunk,) = [p for p in (tmp_path / "g.zarr" / "t2m").rglob("0") if p.is_file()][:1]
    chunk.write_bytes(b"no zstd")
    code, _, errors = run("convert", "g.zarr", "d.zarr", *FAST)
    assert code == 1
    assert "t2m" in one_line(errors)
    assert os.listdir() == ["g.zarr"]


# ---- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("x.npy", 2, "name the source and the output"),
        ("x.npy d.dat", 1, "cannot tell a format from 'd.dat': name it .npy or .zarr"),
        ("x.npy d.npy --chunks 3", 2, "--chunks is for Zarr"),
        ("x.npy d.npy --compress zstd", 2, "--compress is for Zarr"),
        ("x.npy d.zarr --compress lz4", 2, "'lz4' is none of zstd, gzip, blosc and none"),
        ("x.npy d.zarr --compress zstd:99", 2, "level '99' of zstd"),
        ("x.npy d.zarr --compress zstd --shards 4", 2, "--shards of compressed chunks"),
        ("x.npy d.zarr --chunks 3 --shards 4", 1, "must be a whole number of chunks"),
        ("x.npy d.zarr --axis 1", 2, "--axis is for several files"),
        ("x.npy d.zarr --stack", 2, "--stack is for several files"),
        ("x.npy d.zarr --shape 3", 2, "--dtype is missing"),
        ("none.npy d.zarr", 1, "none.npy: No such file"),
        ("none*.npy d.zarr", 1, "no file matches the pattern"),
        ("x.npy y.npy", 1, "y.npy: file exists; give --overwrite"),
        ("x.npy y.npy d.zarr", 1, "y.npy"),
        ("x.npy nowhere/d.zarr", 1, "nowhere/d.zarr: No such file or directory"),
        ("noise.dat d.npy", 1, "is in no format known here"),
    ],
)
def test_what_goes_wrong_is_one_line(run, tmp_path, words, code, said):
    np.save(tmp_path / "x.npy", np.arange(10))
    np.save(tmp_path / "y.npy", np.arange(10.0))
    (tmp_path / "noise.dat").write_bytes(b"\x01noise")
    before = sorted(os.listdir())
    found, out, errors = run("convert", *words.split(), *FAST)
    assert (found, out) == (code, ""), errors
    assert said in one_line(errors)
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_conversion_that_is_ended_leaves_nothing(tmp_path, number):
    made = zarr.create_group(tmp_path / "g.zarr")
    for name in "abcdefgh":
        made.create_array(name, data=numbers(200, 200), chunks=(20, 20))
    with subprocess.Popen(
        [sys.executable, "-m", "oocarray", "convert", "g.zarr", "d.zarr", "--chunks", "2,2",
         "--compress", "gzip"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        limit = time.monotonic() + 60
        while len(os.listdir(tmp_path)) == 1 and time.monotonic() < limit:
            time.sleep(0.02)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    # Python ends itself by the signal, as a shell shows by the same code, where that came while a
    # string was executed (a dataclass being made), whoever has caught it since.
    by_python = {-signal.SIGINT} if number == signal.SIGINT else set()
    assert process.returncode in {128 + number} | by_python, errors
    assert "Traceback" not in errors
    assert os.listdir(tmp_path) == ["g.zarr"]


# ---- the parts -----------------------------------------------------------------------------------


def test_attributes_are_said_in_json():
    class Odd:
        pass

    said, left = in_json({
        "a": np.float32(0.5), "b": (1, np.nan), "c": -np.inf, "d": 1j, "e": Odd(), "f": {"g": None},
    })  # fmt: skip
    assert said == {
        "a": 0.5, "b": [1, "NaN"], "c": "-Infinity", "d": [0.0, 1.0], "f": {"g": None},
    }  # fmt: skip
    assert left == ["attribute 'e'"]


@pytest.mark.parametrize("name", ["", "..", "a//b", "/a", "a/../b", "a/zarr.json", "__x", "a\\b"])
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(FormatError, match="cannot be the name"):
        groups.plain_name(name)


def test_a_group_that_appears_meanwhile_stays(tmp_path):
    path = tmp_path / "d.zarr"
    draft = groups.GroupDraft(str(path), False)
    draft.place("a/b")
    path.mkdir()
    with pytest.raises(FileExistsError):
        draft.publish({}, "none")
    draft.discard()
    assert os.listdir(tmp_path) == ["d.zarr"]
    assert os.listdir(path) == []
