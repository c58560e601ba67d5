"""HDF5 and NetCDF-4 files, written and read back by h5py and netCDF4, and files that are wrong."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest

from oocarray.errors import (
    ArrayLockedError,
    CorruptChunkError,
    DtypeError,
    FormatError,
    InputChangedError,
    NotRegularFileError,
    TruncatedFileError,
)
from oocarray.storage.containers import kind_of, list_container, open_container
from oocarray.storage.hdf5 import _strided, open_hdf5
from oocarray.storage.hdf5chunks import Hdf5Table, row_pieces
from oocarray.storage.layout import FileKey, Strided
from oocarray.storage.pieces import shape_of

h5py = pytest.importorskip("h5py")


def mapped(place, mode="r"):
    """The array of a layout, by NumPy alone."""
    raw = np.memmap(place.file.path, np.uint8, mode)
    return place.view(raw, 0)


def assembled(table):
    """The array of a table, piece by piece, as another process would see it."""
    table = pickle.loads(pickle.dumps(table))
    whole = np.empty(shape_of(table), table.dtype)
    pieces = table.open(False)
    try:
        for coords in np.ndindex(*(cut.count for cut in table.cuts)):
            spans = zip(table.cuts, coords, strict=True)
            region = tuple(slice(*cut.span(at)) for cut, at in spans)
            block = pieces.find(coords)
            if block is not None:
                assert block.shape == whole[region].shape
                assert block.dtype == table.dtype
            whole[region] = table.fill if block is None else block
    finally:
        pieces.close()
    return whole


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def in_process(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def low_level(file, name, tid, shape, *, layout=None):
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if layout is not None:
        plan.set_layout(layout)
    space = h5py.h5s.create_simple(shape)
    return h5py.Dataset(h5py.h5d.create(file.id, name.encode(), tid, space, plan))


# Contiguous datasets

ARRAYS = {
    "f8": np.arange(12.0).reshape(3, 4),
    "big": np.arange(12, dtype=">i2").reshape(3, 2, 2),
    "half": np.arange(5, dtype="f2"),
    "complex": np.arange(3) + 1j,
    "bool": np.array([True, False, True]),
    "bytes": np.array([b"ab", b"c"]),
    "scalar": np.float32(7),
    "struct": np.array([(1, 2.5, b"x", [3, 4])], "i4,>f8,S3,(2,)i2"),
    "padded": np.ones(2, np.dtype([("a", "u1"), ("b", "<f8")], align=True)),
}


@pytest.mark.parametrize("user_block", [0, 512, 4096])
def test_contiguous(tmp_path, user_block):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", userblock_size=user_block) as f:
        for name, array in ARRAYS.items():
            f[f"deep/{name}"] = array
    assert kind_of(path) == "hdf5"
    listed = list_container(path)
    for name, array in ARRAYS.items():
        opened = open_container(path, f"deep/{name}")
        assert isinstance(opened.place, Strided)
        assert opened.kind == "HDF5, contiguous"
        assert opened.place.dtype == array.dtype
        assert opened.place.dtype.metadata is None
        np.testing.assert_array_equal(mapped(opened.place), array)
        assert listed[f"deep/{name}"] == (array.shape, array.dtype, None)


def test_written_in_place(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", userblock_size=1024) as f:
        f["a"] = np.arange(12, dtype=">f4").reshape(3, 4)
    place = open_container(path, "a", mode="r+").place
    assert place.file == open_container(path, "a").place.file
    mapped(place, "r+")[1] = -5
    with h5py.File(path) as f:
        assert f["a"][()].tolist() == [[0, 1, 2, 3], [-5] * 4, [8, 9, 10, 11]]


def test_enum_keeps_numbers(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        f.create_dataset("e", data=[2, 1, 2], dtype=h5py.enum_dtype({"X": 1, "Y": 2}, ">i2"))
        f.create_dataset("c", data=f["e"][()], dtype=f["e"].dtype, chunks=(2,))
    plain = open_container(path, "e").place
    assert plain.dtype == ">i2"
    assert mapped(plain).tolist() == [2, 1, 2]
    assert assembled(open_container(path, "c").place).tolist() == [2, 1, 2]


def test_empty_is_mapped(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        f.create_dataset("z", (0, 3), "f8")
    place = open_container(path, mode="r+").place
    assert isinstance(place, Strided)
    assert place.shape == (0, 3)


def test_what_this_process_wrote_is_there(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        f["a"] = np.zeros(4)
        f["a"][...] = 9
        assert mapped(open_hdf5(path, "a").place).tolist() == [9] * 4


# Datasets that the library reads


def test_chunked(tmp_path):
    path = tmp_path / "x.h5"
    array = np.arange(70, dtype=">i4").reshape(10, 7)
    with h5py.File(path, "w") as f:
        f.create_dataset(
            "a", data=array, chunks=(4, 3), compression="gzip", shuffle=True, fletcher32=True
        )
        f.create_dataset("b", data=array, chunks=(20, 3), maxshape=(None, None))
        f.create_dataset("lzf", data=array, chunks=(4, 3), compression="lzf")
    opened = open_container(path, "a")
    assert opened.kind == "HDF5, chunked, shuffle, gzip, fletcher32"
    table = opened.place
    assert table.encoded
    assert [cut.step for cut in table.cuts] == [4, 3]
    np.testing.assert_array_equal(assembled(table), array)
    for name in ("b", "lzf"):
        np.testing.assert_array_equal(assembled(open_container(path, name).place), array)
    assert hash(table) == hash(open_container(path, "a").place)
    assert table == open_container(path, "a").place != open_container(path, "lzf").place


def test_structs_in_chunks(tmp_path):
    path = tmp_path / "x.h5"
    dtype = np.dtype([("a", "?"), ("b", ">f8"), ("c", "S3"), ("d", "<i2", (2,))], align=True)
    array = np.zeros(5, dtype)
    array["b"], array["c"], array["d"][:, 1] = np.arange(5) + 0.5, b"ab", range(5)
    with h5py.File(path, "w") as f:
        f.create_dataset("a", data=array, chunks=(2,), compression="gzip")
        f.create_dataset("scalar", data=array[3], dtype=dtype)
    table = open_container(path, "a").place
    assert table.dtype == dtype
    np.testing.assert_array_equal(assembled(table), array)
    assert hash(table) == hash(open_container(path, "a").place)
    assert mapped(open_container(path, "scalar").place) == array[3]


def test_fill_value_of_missing_chunks(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", userblock_size=512) as f:
        f.create_dataset("a", (6,), "f4", chunks=(2,), fillvalue=np.nan)[2:4] = 1
    table = open_container(path).place
    assert np.isnan(table.fill)
    assert table == open_container(path).place
    np.testing.assert_array_equal(assembled(table), [np.nan, np.nan, 1, 1, np.nan, np.nan])


@pytest.mark.parametrize("user_block", [0, 512])
def test_not_yet_written(tmp_path, user_block):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", userblock_size=user_block) as f:
        f.create_dataset("late", (5,), ">f4", fillvalue=3)
    opened = open_container(path)
    assert opened.kind == "HDF5, not yet written"
    assert opened.place.open(False).find((0,)) is None
    assert assembled(opened.place).tolist() == [3] * 5
    with pytest.raises(FormatError, match=r"not yet written.*early allocation"):
        open_container(path, mode="r+")


def test_other_layouts(tmp_path):
    path, source = tmp_path / "x.h5", tmp_path / "source.h5"
    with h5py.File(source, "w") as f:
        f["a"] = np.arange(10.0)
    with h5py.File(path, "w") as f:
        low_level(f, "compact", h5py.h5t.NATIVE_INT32, (4,), layout=h5py.h5d.COMPACT)[...] = 5
        view = h5py.VirtualLayout((12,), "f8")
        view[:10] = h5py.VirtualSource(str(source), "a", (10,))
        f.create_virtual_dataset("virtual", view, fillvalue=7)
        f.create_dataset("external", (3,), "f8", external=[(str(tmp_path / "raw"), 8, 24)])
        f["external"][...] = [1, 2, 3]
        narrow = h5py.h5t.NATIVE_INT16.copy()
        narrow.set_precision(12)
        low_level(f, "narrow", narrow, (3,))[...] = [-1, 2, 3]
        text = h5py.h5t.C_S1.copy()
        text.set_size(4)
        text.set_strpad(h5py.h5t.STR_SPACEPAD)
        low_level(f, "text", text, (2,))[...] = [b"ab", b"abcd"]
    with h5py.File(path) as f:
        for name in f:
            opened = open_container(path, name)
            assert isinstance(opened.place, Hdf5Table), name
            np.testing.assert_array_equal(assembled(opened.place), f[name][()])
    for name, words in {"compact": "compact", "virtual": "virtual", "text": "converted"}.items():
        assert words in open_container(path, name).kind
        with pytest.raises(FormatError, match=f"{words}.*mode='r'"):
            open_container(path, name, mode="r+")


def test_rows_of_what_has_no_chunks():
    cuts = row_pieces((7, 100), 8, most=1600)
    assert [cut.count for cut in cuts] == [4, 1]
    assert row_pieces((), 8) == ()
    assert [cut.count for cut in row_pieces((0, 4), 8)] == [0, 1]


def test_only_contiguous_is_written_in_place(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        f.create_dataset("a", data=np.arange(8), chunks=(4,))
    before = digest(path)
    with pytest.raises(FormatError, match=r"chunked; only contiguous .* store it into a new file"):
        open_container(path, mode="r+")
    assert digest(path) == before
    with pytest.raises(PermissionError):
        open_container(path).place.open(True)


# Names


def test_names_and_links(tmp_path):
    path, other = tmp_path / "x.h5", tmp_path / "other.h5"
    with h5py.File(other, "w") as f:
        f["secret"] = np.arange(3)
    with h5py.File(path, "w") as f:
        f["g/a"] = np.arange(4)
        f["g/soft"] = h5py.SoftLink("a")
        f["far"] = h5py.SoftLink("/g/soft")
        f["round"] = h5py.SoftLink("/round")
        f["loop"] = f["/"]
        f["out"] = h5py.ExternalLink(str(other), "/secret")
        f["type"] = np.dtype("f8")
        f["null"] = h5py.Empty("f4")
    assert list(list_container(path)) == ["g/a"]
    for name in (None, "g/a", "/g/a", "g/soft", "far", "loop/loop/g/./a"):
        assert mapped(open_container(path, name).place).tolist() == [0, 1, 2, 3]
    for name, message in {
        "g": r"'g' is a group; pass dataset= one of: 'g/a' \(4,\) int64",
        "nope": r"no dataset 'nope'; pass dataset= one of: 'g/a'",
        "round": "no dataset 'round'",
        "g/a/b": "no dataset 'g/a/b'",
        "type": "'type' is no dataset",
        "null": "empty",
        "out": "link to '/secret' in the file .*other.h5.*not followed",
        "out/more": "not followed",
    }.items():
        with pytest.raises(FormatError, match=message):
            open_container(path, name)


def test_many_are_listed_in_short(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        for at in range(30):
            f[f"d{at:02}"] = np.zeros((at, 2), "f4")
    with pytest.raises(FormatError, match=r"holds 30 arrays.*'d19' \(19, 2\) float32 and 10 more"):
        open_container(path)


def test_no_dataset(tmp_path):
    path = tmp_path / "x.h5"
    h5py.File(path, "w").close()
    with pytest.raises(FormatError, match="holds no array"):
        open_container(path)


# Attributes and dimensions


def test_attributes_are_plain(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        f["a"] = np.zeros((2, 3))
        f["a"].attrs.update({"k": np.arange(3), "s": "hi", "one": [1.5], "n": np.float32(0.5)})
        f["a"].attrs["b"] = np.bytes_(b"xy")
        f["a"].attrs["words"] = ["a", "b"]
        f["a"].attrs["ref"] = f["a"].ref
        f["a"].dims[1].label = "x"
    opened = open_container(path)
    assert dict(opened.attrs) == {
        "k": [0, 1, 2],
        "s": "hi",
        "one": [1.5],
        "n": 0.5,
        "b": "xy",
        "words": ["a", "b"],
    }
    assert opened.dims == (None, "x")


def test_netcdf4(tmp_path):
    netcdf = pytest.importorskip("netCDF4")
    path = tmp_path / "x.nc"
    data = np.arange(8.0).reshape(2, 4)
    with netcdf.Dataset(path, "w") as f:
        f.createDimension("time", None)
        f.createDimension("x", 4)
        f.createVariable("x", "f4", ("x",))[:] = range(4)
        f.createVariable("t", "f8", ("time", "x"), zlib=True)[:] = data
        v = f.createVariable("c", ">i2", ("x",), contiguous=True, endian="big")
        v[:] = [1, 2, 3, 4]
        v.units, v.level = "K", 0.5
        f.createGroup("g").createVariable("y", "i4", ("x",))[:] = 9
    dims = {name: entry[2] for name, entry in list_container(path).items()}
    assert dims == {"x": ("x",), "t": ("time", "x"), "c": ("x",), "g/y": ("x",)}
    t = open_container(path, "t")
    assert t.kind.startswith("NetCDF-4, chunked")
    assert t.dims == ("time", "x")
    np.testing.assert_array_equal(assembled(t.place), data)
    c = open_container(path, "c", mode="r+")
    assert (c.kind, c.attrs) == ("NetCDF-4, contiguous", {"units": "K", "level": 0.5})
    mapped(c.place, "r+")[2] = 300
    with netcdf.Dataset(path) as f:
        assert f["c"][:].tolist() == [1, 2, 300, 4]


# Others at work


def test_writers_are_not_joined(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        f["a"] = np.zeros(4)
        with pytest.raises(ArrayLockedError, match="this process has it open"):
            open_container(path, "a", mode="r+")
        got = in_process(
            f"from oocarray.storage.containers import open_container as o\no({str(path)!r}, 'a')"
        )
        assert "ArrayLockedError" in got.stderr
    with h5py.File(path), pytest.raises(ArrayLockedError, match="reads it through h5py"):
        open_container(path, "a", mode="r+")
    open_container(path, "a", mode="r+")


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_another_process_has_it(tmp_path, mode):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        f["a"] = np.zeros(4)
    code = f"import h5py\nf=h5py.File({str(path)!r},'r+')\nprint('go',flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"go\n"
        with pytest.raises(ArrayLockedError, match="another program has it open"):
            open_container(path, "a", mode=mode)
        other.communicate(b"\n")
    open_container(path, "a", mode=mode)


def test_changed_since(tmp_path):
    path, new = tmp_path / "x.h5", tmp_path / "new.h5"
    for name in (path, new):
        with h5py.File(name, "w") as f:
            f.create_dataset("a", data=np.arange(8), chunks=(4,))
    table = open_container(path).place
    os.replace(new, path)
    with pytest.raises(InputChangedError, match="replaced"):
        table.open(False)


# Wrong files


def refused(path, error, match, dataset=None, mode="r"):
    before, start = digest(path), time.thread_time()
    with pytest.raises(error, match=match):
        open_container(path, dataset, mode)
    assert time.thread_time() - start < 1
    assert digest(path) == before


def test_dtypes_that_cannot_be_mapped(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        f["text"] = ["a", "bc"]
        f["ref"] = np.array([f["text"].ref], h5py.ref_dtype)
        f["long"] = np.zeros(3, "g")
        f.create_dataset("ragged", (2,), h5py.vlen_dtype("i4"))
    for name in ("text", "ref", "long", "ragged"):
        refused(path, DtypeError, rf"x.h5: dataset '/{name}'", name)


def test_corrupt_chunk(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        f.create_dataset("a", data=np.arange(8), chunks=(4,), compression="gzip")
        at = f["a"].id.get_chunk_info(1).byte_offset
    with open(path, "r+b") as stream:
        stream.seek(at)
        stream.write(b"\xff" * 8)
    pieces = open_container(path).place.open(False)
    assert pieces.find((0,)).tolist() == [0, 1, 2, 3]
    with pytest.raises(CorruptChunkError, match=r"x.h5: chunk \(1,\) of '/a'") as caught:
        pieces.find((1,))
    assert caught.value.chunk == (1,)
    pieces.close()


def test_cut_off(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        f["a"] = np.zeros(1000)
    os.truncate(path, path.stat().st_size - 100)
    refused(path, TruncatedFileError, "shorter than its header says")


def test_data_beyond_the_end(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        f["a"] = np.zeros(1000)
        offset = f["a"].id.get_offset()
    size = offset + 7000
    os.truncate(path, size)
    with open(path, "r+b") as stream:  # the superblock says that this is all
        stream.seek(40)
        stream.write(size.to_bytes(8, "little"))
    # Newer libraries see it themselves, older ones leave it to us.
    for mode in ("r", "r+"):
        refused(path, TruncatedFileError, "needs|invalid dataset size", "a", mode)
    key = FileKey.of(path)
    with pytest.raises(TruncatedFileError, match=rf"\({offset + 8000}\).*\({size}\)"):
        _strided(key, "x.h5", offset, (1000,), np.dtype("f8"))


@pytest.mark.parametrize("seed", range(20))
def test_garbage(tmp_path, seed):
    path = tmp_path / "x.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + np.random.default_rng(seed).bytes(3000))
    refused(path, FormatError, "not a whole HDF5 file|shorter")


def test_only_magic(tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    refused(path, FormatError, "HDF5|shorter")


def test_not_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_hdf5(tmp_path / "none.h5", "a")
    with pytest.raises(NotRegularFileError):
        open_container(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegularFileError):
        open_container(tmp_path / "pipe")


def test_without_h5py(tmp_path, monkeypatch):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        f["a"] = np.zeros(3)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'oocarray\[hdf5\]'"):
        open_container(path)
