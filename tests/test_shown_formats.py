"""How arrays of all formats show themselves: place, axes, format, chunks; and what explain says."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

import oocarray as oo
from oocarray.errors import OverlapError, PlanError
from oocarray.storage.naming import axes_text, path_of

SERIAL = {"scheduler": "serial", "memory": "64 MiB"}
DATA = np.arange(240, dtype="f4").reshape(12, 20)


def made(path: Path, **how) -> oo.Array:
    how = {"chunks": (3, 10), "dims": ("time", "lat"), **how}
    return oo.from_array(DATA).store(path, scheduler="serial", **how)


def cells(x: oo.Array) -> dict[str, str]:
    """The rows of what notebooks show."""
    table = ET.fromstring(x._repr_html_().replace("&times;", "x")).find("table")
    return {row[0].text: "".join(row[1].itertext()) for row in table}


def reads(x: oo.Array, **options) -> list[str]:
    lines = x.explain(**SERIAL, **options).splitlines()
    return [line.strip() for line in lines if line.lstrip().startswith("reads ")]


# ---- one line ------------------------------------------------------------------------------------


def test_the_line_of_an_array_in_shards(tmp_path: Path) -> None:
    x = made(tmp_path / "x.zarr", shards=(6, 20))
    assert repr(x) == (
        f"<oocarray.Array {tmp_path}/x.zarr (r): shape=(time: 12, lat: 20), dtype=float32, 960 B, "
        "1 block of (12, 20), chunks of (3, 10); Zarr v3, shards; mapped>"
    )


def test_chunks_that_are_blocks_are_not_said_twice(tmp_path: Path) -> None:
    x = made(tmp_path / "x.zarr", shards=False)
    x = oo.open(tmp_path / "x.zarr", chunks=(3, 10))
    assert repr(x).endswith("8 blocks of (3, 10); Zarr v3, one file per chunk; mapped>")


def test_version_2_is_a_folder_too(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "x.zarr", data=DATA, chunks=(3, 10), zarr_format=2)
    x = oo.open(tmp_path / "x.zarr")
    assert f"{tmp_path}/x.zarr (r): shape=(12, 20)" in repr(x)
    assert "chunks of (3, 10); Zarr v2, zstd; decoded" in repr(x)


def test_views_say_their_own_chunks(tmp_path: Path) -> None:
    x = made(tmp_path / "x.zarr", compressors="zstd")
    view = repr(x[::2, None, 3].T)
    assert "shape=(1, 6)" in view
    assert "chunks of (1, 2); Zarr v3, zstd; decoded" in view
    assert "time" not in view


def test_files_of_other_programs(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["plain"] = DATA
        file.create_dataset("packed", data=DATA, chunks=(3, 10), compression="gzip")
        file["packed"].dims[1].label = "lat"
    line = repr(oo.open(tmp_path / "x.h5", dataset="plain")).partition("\n")[0]
    assert line.endswith("1 block of (12, 20); HDF5, contiguous; mapped>")
    line = repr(oo.open(tmp_path / "x.h5", dataset="packed"))
    assert f"{tmp_path}/x.h5 (r): shape=(12, lat: 20)" in line
    assert line.endswith("chunks of (3, 10); HDF5, chunked, gzip; decoded>")


def test_stacks_have_files(tmp_path: Path) -> None:
    for number in range(3):
        np.save(tmp_path / f"x{number}.npy", DATA)
    line = repr(oo.open(str(tmp_path / "x*.npy")))
    assert "files of (12, 20); stack of 3 files" in line
    assert line.endswith("; mapped>")


def test_plain_files_show_what_they_always_did(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", DATA)
    for x in (oo.open(tmp_path / "x.npy"), oo.from_array(DATA)):
        assert repr(x).partition("\n")[0].endswith("1 block of (12, 20)>")
        assert set(cells(x)) == {"Array", "Shape", "Dtype", "Bytes", "Blocks", "Largest"}


def test_decoded_numbers_keep_their_axes_and_have_no_format(tmp_path: Path) -> None:
    oo.create(
        tmp_path / "x.zarr", (4, 5), "i2", dims=("a", "b"), attrs={"scale_factor": 0.5}
    ).close()
    line = repr(oo.open(tmp_path / "x.zarr", decode=True))
    assert "shape=(a: 4, b: 5)" in line
    assert "Zarr" not in line


def test_closed_arrays_and_errors_name_the_folder(tmp_path: Path) -> None:
    x = made(tmp_path / "x.zarr")
    with pytest.raises(TypeError, match=re.escape(f"pieces, {tmp_path}/x.zarr (r): read()")):
        x.view()
    x.close()
    assert repr(x) == f"<oocarray.Array, closed: {tmp_path}/x.zarr (r)>"


def test_names_of_axes_that_are_hostile(tmp_path: Path) -> None:
    made(tmp_path / "x.zarr")
    document = tmp_path / "x.zarr" / "zarr.json"
    said = json.loads(document.read_text())
    said["dimension_names"] = ["<b>\n\x1b[31m", "x" * 5000]
    document.write_text(json.dumps(said))
    x = oo.open(tmp_path / "x.zarr")
    assert repr(x).isprintable()
    assert len(repr(x)) < 400
    assert "<b>" not in x._repr_html_()
    assert cells(x)["Axes"].startswith(r"<b>\n\x1b[31m, xxx")


@pytest.mark.parametrize(
    ("shape", "dims", "text"),
    [
        ((3,), ("t",), "(t: 3,)"),
        ((), (), "()"),
        ((3, 4), (None, None), "(3, 4)"),
        ((3, 4), ("", "x"), "(3, x: 4)"),
        ((3,), ("a", "b"), "(3,)"),
    ],
)
def test_axes(shape, dims, text: str) -> None:
    assert axes_text(shape, dims) == text


# ---- notebooks and the tree ----------------------------------------------------------------------


def test_the_table_of_a_notebook(tmp_path: Path) -> None:
    x = made(tmp_path / "x.zarr", compressors="zstd")
    found = cells(x)
    assert found["Array"] == f"{tmp_path}/x.zarr (r)"
    assert found["Format"] == "Zarr v3, zstd; decoded"
    assert (found["Shape"], found["Axes"]) == ("(12, 20)", "time, lat")
    assert found["Stored in"] == "chunks of (3, 10)"


def test_the_tree_names_folders_and_formats(tmp_path: Path) -> None:
    x = made(tmp_path / "x.zarr", compressors="zstd")
    assert (x + 1).tree().splitlines()[1] == (
        f"  2    {tmp_path}/x.zarr (12, 20) float32, 1 block of (12, 20), chunks of (3, 10); "
        "Zarr v3, zstd; decoded"
    )


# ---- explain -------------------------------------------------------------------------------------


def test_explain_says_what_is_decoded_and_put_together(tmp_path: Path) -> None:
    x = made(tmp_path / "x.zarr", compressors="zstd")
    where = f"reads {tmp_path}/x.zarr (12, 20) float32, 960 B"
    put = "blocks are put together from up to 8 pieces"
    assert reads(x.sum()) == [f"{where}; decoded, not mapped; chunks of (3, 10); {put}"]
    assert reads(x.rechunk((3, 10)) + 1) == [f"{where}; decoded, not mapped"]
    assert "from up to 4 pieces" in reads(x.rechunk((4, 20)) + 1)[0]


def test_explain_of_what_is_mapped(tmp_path: Path) -> None:
    x = made(tmp_path / "x.zarr", shards=False)
    where = f"reads {tmp_path}/x.zarr (12, 20) float32, 960 B"
    assert reads(x.rechunk((3, 10)) + 1) == [where]
    assert reads(x.rechunk((3, 5)) + 1) == [f"{where}; chunks of (3, 10)"]


def test_explain_of_what_is_in_memory(tmp_path: Path) -> None:
    x = made(tmp_path / "x.zarr")
    (kept,) = oo.persist(x * 2, scheduler="serial")
    assert reads(kept.sum()) == ["reads array in memory (12, 20) float32, 960 B"]


# ---- refusals ------------------------------------------------------------------------------------


def test_refusals_name_the_folder(tmp_path: Path) -> None:
    made(tmp_path / "x.zarr", compressors="zstd")
    x = oo.open(tmp_path / "x.zarr", "r+")
    pattern = re.escape(f"of {tmp_path}/x.zarr, (3, 10), which are compressed")
    with pytest.raises(PlanError, match=pattern):
        oo.from_array(DATA, chunks=(4, 20)).map_blocks(np.negative, dtype="f4").store(x, **SERIAL)
    assert path_of(x.layout) == f"{tmp_path}/x.zarr"
    made(tmp_path / "y.zarr")
    y = oo.open(tmp_path / "y.zarr", "r+")
    with pytest.raises(OverlapError, match=re.escape(f"{tmp_path}/y.zarr")) as raised:
        oo.compute(
            (y + 1).store(y, compute=False), (y * 2).store(y, compute=False), scheduler="serial"
        )
    assert "zarr.json" not in str(raised.value)
