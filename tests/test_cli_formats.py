"""Tries the commands on folders and containers: what they say of them, and that counts add up.

The commands themselves, on plain files, are tried in ``test_cli`` and ``test_cli_work``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import oocarray as oo
from oocarray.cli import folders, infotext, main
from oocarray.pages import pagecache
from oocarray.runtime import limits

h5py = pytest.importorskip("h5py")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys, monkeypatch, tmp_path) -> Run:
    """Run a command in this process and in the test's folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

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
def group(tmp_path) -> Path:
    """A Zarr group with an array that is mapped, one that is decoded, and one below."""
    made = zarr.create_group(tmp_path / "g.zarr", attributes={"title": "all"})
    x = np.arange(6 * 80 * 500, dtype="i2").reshape(6, 80, 500)
    made.create_array(
        "t2m", data=x, chunks=(2, 80, 500), compressors=None, dimension_names=("t", "y", "x"),
        attributes={"scale_factor": 0.5, "_FillValue": -1, "long": "w" * 200},
    )  # fmt: skip
    made.create_array("z", data=x, chunks=(3, 40, 500), fill_value=7)
    made.create_array("in/u", data=x[0], chunks=(40, 250), shards=(80, 250), compressors=None)
    return tmp_path / "g.zarr"


@pytest.fixture
def file(tmp_path) -> Path:
    """An HDF5 file with a dataset in one run, one in chunks, and one that cannot be read."""
    with h5py.File(tmp_path / "f.h5", "w") as found:
        found["run"] = np.arange(1 << 20, dtype="f4").reshape(1024, 1024)
        found.create_dataset("in/cut", data=np.ones((8, 9)), chunks=(4, 9), compression="gzip")
        found["text"] = ["a", "bc"]
    return tmp_path / "f.h5"


def one_line(errors: str) -> str:
    (line,) = errors.splitlines()
    assert line.startswith("oocarray: ")
    return line


def facts(out: str) -> dict[str, str]:
    lines = [line.strip().split("  ", 1) for line in out.splitlines() if line.startswith("  ")]
    return {line[0]: line[1].strip() for line in lines if len(line) == 2}


# ---- info ----------------------------------------------------------------------------------------


def test_info_of_a_zarr_array(run, group):
    code, out, errors = run("info", "g.zarr/t2m")
    assert (code, errors) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    said = facts(out)
    assert said["format"] == "Zarr v3, one file per chunk: elements are mapped"
    assert said["array"] == "(6, 80, 500) of int16, 469 KiB"
    assert said["axes"] == "t, y, x"
    assert said["chunks"] == "(2, 80, 500), a file for each: up to 3"
    assert said["meaning"] == "int16 as float64, times 0.5, NaN for -1 (decode=True)"
    assert said["attributes"] == "scale_factor = 0.5"
    assert "\n              long = 'www" in out
    assert said["folder"].startswith("4 files, 470 KiB")
    assert run("info", "g.zarr", "--dataset", "t2m")[1].splitlines()[1:] == out.splitlines()[1:]


def test_info_of_codecs_and_shards(run, group):
    said = facts(run("info", "g.zarr/z")[1])
    assert said["format"] == "Zarr v3, zstd: elements are decoded"
    assert said["codecs"].startswith("zstd (level 0")
    assert said["fill value"] == "7"
    said = facts(run("info", "g.zarr/in/u")[1])
    assert said["chunks"] == "(40, 250) in 2 shards of (80, 250)"
    assert "codecs" not in said
    both = zarr.create_array(
        group.parent / "b.zarr", data=np.ones((8, 8)), chunks=(2, 8), shards=(4, 8)
    )
    (record,) = json.loads(run("info", "b.zarr", "--json")[1])
    assert record["chunk_shape"] == list(both.chunks)
    assert record["shard_shape"] == [4, 8]
    assert record["chunk_files"] == [2, 1]
    assert [name.split()[0] for name in record["compressors"]] == ["zstd"]
    assert record["access"] == "decoded"


def test_info_of_zarr_2(run, tmp_path):
    zarr.create_array(
        tmp_path / "two.zarr", data=np.ones((8, 8), "f4"), chunks=(2, 8), zarr_format=2
    )
    (record,) = json.loads(run("info", "two.zarr", "--json")[1])
    assert record["kind"].startswith("Zarr v2")
    assert record["compressors"][0].split()[0] == "zstd"
    assert record["chunk_shape"] == [2, 8]


def test_info_of_a_group_is_a_table(run, group):
    code, out, errors = run("info", "g.zarr")
    assert (code, errors) == (0, "")
    assert facts(out)["format"] == "zarr, a group of 3 arrays"
    assert facts(out)["attributes"] == "title = 'all'"
    assert out.splitlines()[-4:] == [
        "  name  shape     dtype  axes   chunks    elements are",
        "  in/u  80x500    int16         40x250    mapped",
        "  t2m   6x80x500  int16  t,y,x  2x80x500  mapped",
        "  z     6x80x500  int16         3x40x500  decoded",
    ]
    (record,) = json.loads(run("info", "g.zarr", "--json")[1])
    assert [one["name"] for one in record["arrays"]] == ["in/u", "t2m", "z"]
    assert record["arrays"][1]["dims"] == ["t", "y", "x"]
    assert record["more_arrays"] == 0


def test_info_of_a_file_of_several_arrays(run, file):
    code, out, errors = run("info", "f.h5")
    assert (code, errors) == (0, "")
    rows = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert facts(out)["format"] == "hdf5, a file of 3 arrays"
    assert rows["run"].endswith("mapped")
    assert rows["in/cut"].endswith("decoded")
    assert "not readable: " in rows["text"]
    said = facts(run("info", "f.h5", "--dataset", "run")[1])
    assert said["format"] == "HDF5, contiguous: elements are mapped"
    assert said["data"].startswith("from byte ")
    said = facts(run("info", "f.h5", "--dataset", "in/cut")[1])
    assert said["chunks"] == "(4, 9)"
    code, _, errors = run("info", "f.h5", "--dataset", "on")
    assert code == 1
    assert "--dataset one of: 'in/cut'" in one_line(errors)


@pytest.mark.parametrize("kind", ["nc3", "fits", "tiff", "safetensors"])
def test_info_of_other_formats(run, tmp_path, kind):
    x = np.arange(12, dtype="f4").reshape(3, 4)
    path = str(tmp_path / "x.bin")
    if kind == "nc3":
        scipy_io = pytest.importorskip("scipy.io")
        with scipy_io.netcdf_file(path, "w") as made:
            made.createDimension("y", 3)
            made.createDimension("x", 4)
            made.createVariable("v", "f4", ("y", "x"))[:] = x
    elif kind == "fits":
        pytest.importorskip("astropy.io.fits").writeto(path, x)
    elif kind == "tiff":
        pytest.importorskip("tifffile").imwrite(path, x)
    else:
        pytest.importorskip("safetensors.numpy").save_file({"v": x}, path)
    code, out, errors = run("info", "x.bin")
    assert (code, errors) == (0, "")
    said = facts(out)
    assert said["format"].endswith(": elements are mapped")
    assert said["array"].startswith("(3, 4) of ")
    assert run("convert", "x.bin", "y.npy", "--scheduler", "serial")[0] == 0
    np.testing.assert_array_equal(np.load("y.npy"), x)


def test_of_many_files_some_are_counted(run, group, monkeypatch):
    monkeypatch.setattr(folders.count_folder, "__defaults__", (3,))
    said = facts(run("info", "g.zarr")[1])
    assert said["folder"].startswith("more than 3 files, of which these have ")


def test_of_many_attributes_some_are_shown():
    lines = infotext._attributes({f"a{n}": "x" * 90 for n in range(20)}, 40)
    assert len(lines) == 13
    assert lines[-1] == ("", "and 8 more (--json has all)")
    assert {len(words) for _, words in lines[:-1]} == {40}


# ---- the page cache of a folder ------------------------------------------------------------------


def cached(path: Path) -> int | None:
    return folders.counted(folders.count_folder(str(path))).cached


def test_a_folder_is_warmed_counted_and_evicted(run, group):
    if cached(group) is None:
        pytest.skip("this system does not count cached pages")
    size = sum(p.stat().st_size for p in group.rglob("*") if p.is_file())
    files = sum(p.is_file() for p in group.rglob("*"))
    code, out, errors = run("evict", "g.zarr")
    assert (code, errors) == (0, "")
    assert out.startswith(f"g.zarr ({files} files): ")
    assert out.endswith(", 0 B after\n")
    assert cached(group) == 0
    code, out, _ = run("warm", "g.zarr", "--dataset", "t2m")
    assert code == 0
    assert out.startswith("g.zarr (4 files): ")
    assert cached(group / "t2m") >= 6 * 80 * 500 * 2
    code, out, _ = run("residency", "g.zarr/t2m")
    assert "t2m  4 files" in out
    assert "(100%)" in out
    assert "4 cached whole, 0 in part, 0 not at all or empty" in out
    record = json.loads(run("residency", "g.zarr", "--json")[1])
    assert (record["size"], record["files"], record["more_files"]) == (size, files, False)
    assert record["total"]["cached"] == cached(group)
    (record,) = json.loads(run("evict", "g.zarr/t2m", "--json")[1])
    assert (record["files"], record["cached_after"], record["why"]) == (4, 0, [])
    assert cached(group / "t2m") == 0


def test_evict_says_who_keeps_a_folder(run, group):
    if cached(group) is None:
        pytest.skip("this system does not count cached pages")
    chunk = group / "t2m" / "c" / "0" / "0" / "0"
    held = np.memmap(chunk, mode="r")
    assert held.sum() != 0
    (record,) = json.loads(run("evict", "g.zarr", "--json")[1])
    assert record["cached_after"] > 0
    assert f"mapped by process {os.getpid()} (" in record["why"][0]
    del held


def test_of_too_many_files_only_some_are_touched(run, group, monkeypatch):
    from oocarray.cli import foldercache

    monkeypatch.setattr(foldercache, "MOST_TOUCHED", 2)
    for command in ("warm", "evict"):
        out = run(command, "g.zarr")[1]
        assert out.startswith("g.zarr (the first 2 files, and there are more): ")
    assert "the first 2 files; there are more" in run("residency", "g.zarr")[1]


def test_a_folder_of_which_nothing_is_known(run, group, monkeypatch):
    monkeypatch.setattr(
        pagecache, "count_pages", lambda fd, ranges: [pagecache.UNKNOWN for _ in ranges]
    )
    assert "the system does not tell" in run("evict", "g.zarr")[1]
    assert "the system does not tell" in run("residency", "g.zarr")[1]
    assert " read in " in run("warm", "g.zarr")[1]
    assert run("info", "g.zarr")[0] == 0


def test_a_folder_that_does_not_fit_is_not_warmed(run, group, monkeypatch):
    monkeypatch.setattr(limits, "room", lambda: 1000)
    code, _, errors = run("warm", "g.zarr")
    assert code == 1
    assert "memory has room for 1000 B" in one_line(errors)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("warm g.zarr --region 0:1", "--region names a part of a file, and this is a folder"),
        ("evict g.zarr --region 0:1", "--region names a part of a file, and this is a folder"),
        ("residency g.zarr --png x.png", "--png is for the picture of one file"),
        ("residency g.zarr --watch 1", "--watch is for the picture of one file"),
        ("residency g.zarr --dataset no", "has no dataset 'no'"),
        ("warm f.h5 --dataset in/cut", "this one lies in chunks"),
        ("evict f.h5 --dataset in/cut --region 0:1", "this one lies in chunks"),
        ("residency f.h5 --dataset in/cut", "its array lies in chunks, not in one run"),
        ("stat f.h5", "--dataset one of: 'in/cut'"),
        ("evict .", "is a directory"),
    ],
)
def test_what_has_no_answer_is_one_line(run, group, file, words, said):
    code, out, errors = run(*words.split())
    assert (code, out) == (1, "")
    assert said in one_line(errors)


def test_a_dataset_that_lies_in_one_run_has_a_picture(run, file):
    code, out, errors = run("residency", "f.h5", "--dataset", "run", "--chunks", "256,-1")
    assert (code, errors) == (0, "")
    assert out.startswith("f.h5  (1024, 1024) float32, 4 blocks of (256, 1024)")
    offset = oo.open(file, dataset="run").layout.offset
    record = json.loads(run("residency", "f.h5", "--dataset", "run", "--json")[1])
    assert record["blocks"][0]["start"] == offset
    assert run("residency", "f.h5")[1].startswith("f.h5  1 block of 4")
    assert "0 B after" in run("evict", "f.h5")[1]
    (code, out, _) = run("warm", "f.h5", "--dataset", "run", "--region", "0:256")
    assert code == 0
    assert out.startswith("f.h5: 1 MiB of 1 MiB cached")


# ---- map and stat --------------------------------------------------------------------------------


@pytest.fixture
def script(tmp_path) -> None:
    (tmp_path / "doubling.py").write_text("def twice(block):\n    return block * 2\n")


@pytest.mark.parametrize(
    "words",
    [
        ["g.zarr/t2m", "d.zarr"],
        ["g.zarr/t2m", "d.zarr/", "--chunks", "4,50,70"],
        ["g.zarr/z", "d.npy"],
        ["g.zarr", "d.zarr", "--in-dataset", "z", "--chunks", "5,7,500"],
    ],
)
def test_map_of_zarr(run, group, script, words):
    code, out, errors = run("map", "doubling.py:twice", *words, "--scheduler", "threads", "--json")
    assert (code, errors) == (0, "")
    record = json.loads(out)
    assert record["bytes_read"] == record["bytes_written"] == 6 * 80 * 500 * 2
    made = np.load("d.npy") if "d.npy" in words else zarr.open_array("d.zarr", mode="r")[...]
    np.testing.assert_array_equal(made, 2 * zarr.open_group("g.zarr", mode="r")["z"][...])


def test_map_of_hdf5(run, file, script):
    words = ["--scheduler", "threads", "--in-dataset", "in/cut"]
    assert run("map", "doubling.py:twice", "f.h5", "d.zarr", *words)[0] == 0
    np.testing.assert_array_equal(zarr.open_array("d.zarr", mode="r")[...], np.full((8, 9), 2.0))
    code, out, errors = run("map", "doubling.py:twice", "f.h5", "e.zarr", *words, "--explain")
    assert (code, errors) == (0, "")
    assert "writes" in out
    assert not os.path.lexists("e.zarr")
    code, _, errors = run("map", "doubling.py:twice", "f.h5", "e.zarr", "--scheduler", "threads")
    assert code == 1
    assert "--in-dataset one of: 'in/cut'" in one_line(errors)


def test_stat_of_a_dataset(run, file, group):
    words = ["--no-histogram", "--json"]
    record = json.loads(run("stat", "f.h5", "--dataset", "in/cut", *words)[1])
    assert (record["min"], record["max"], record["shape"]) == (1, 1, [8, 9])
    record = json.loads(run("stat", "g.zarr", "--dataset", "z", *words)[1])
    assert record["size"] == 6 * 80 * 500


def test_a_raw_array_has_no_dataset(run, tmp_path):
    (tmp_path / "x.dat").write_bytes(bytes(8))
    code, _, errors = run("info", "x.dat", "--shape", 8, "--dtype", "u1", "--dataset", "x")
    assert code == 2
    assert "--dataset is for files that say what is in them" in one_line(errors)
