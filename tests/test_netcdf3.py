"""Classic NetCDF files by netCDF4 and scipy, read by our own parser, and headers that are wrong."""

from __future__ import annotations

import hashlib
import os
import struct
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oocarray.errors import FormatError, InputChangedError, TruncatedFileError
from oocarray.storage.containers import kind_of, list_container, open_container
from oocarray.storage.netcdf3 import open_netcdf3, parse_classic

FORMATS = ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"]


def mapped(place, mode="r"):
    return place.view(np.memmap(place.file.path, np.uint8, mode), 0)


def written(path, kind="NETCDF3_CLASSIC", records=3):
    """A file of fixed and record variables, of all types, with odd sizes to be padded."""
    netcdf = pytest.importorskip("netCDF4")
    codes = ["i1", "S1", ">i2", ">i4", ">f4", ">f8"]
    codes += ["u1", ">u2", ">u4", ">i8", ">u8"] if kind == "NETCDF3_64BIT_DATA" else []
    arrays = {}
    with netcdf.Dataset(path, "w", format=kind) as f:
        f.createDimension("time", None)
        f.createDimension("y", 3)
        f.createDimension("größe", 5)
        f.title = "häuser"
        for at, code in enumerate(codes):
            for name, dims, shape in (
                (f"fixed{at}", ("y", "größe"), (3, 5)),
                (f"record{at}", ("time", "y"), (records, 3)),
                (f"bare{at}", ("time",), (records,)),
                (f"scalar{at}", (), ()),
            ):
                values = (np.arange(np.prod(shape, dtype=int)) % 50 + 65 + at).reshape(shape)
                array = (
                    values.astype("u1").view("S1") if code == "S1" else values.astype(code)
                ).reshape(shape)
                variable = f.createVariable(name, np.dtype(code).newbyteorder("="), dims)
                variable.units = "K" * (at + 1)
                variable.factors = np.array([0.5, 2])
                variable.one = np.int16(at)
                variable[...] = array
                arrays[name] = dims, array
    return arrays


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("records", [0, 1, 3])
def test_netcdf4_is_the_judge(tmp_path, kind, records):
    path = tmp_path / "x.nc"
    arrays = written(path, kind, records)
    assert kind_of(path) == "netcdf3"
    listed = list_container(path)
    assert list(listed) == list(arrays)
    for name, (dims, array) in arrays.items():
        opened = open_container(path, name)
        assert opened.dims == dims
        assert opened.place.dtype == array.dtype
        assert listed[name] == (array.shape, array.dtype, dims)
        assert opened.attrs["factors"] == [0.5, 2]
        assert opened.attrs["units"] == "K" * (opened.attrs["one"] + 1)
        np.testing.assert_array_equal(mapped(opened.place), array, name)


@pytest.mark.parametrize("code", ["S1", ">i2", ">f8"])
def test_one_record_variable_is_not_padded(tmp_path, code):
    netcdf = pytest.importorskip("netCDF4")
    path = tmp_path / "x.nc"
    array = (np.arange(15) % 5 + 65).astype("u1").view("S1")
    array = array.reshape(5, 3) if code == "S1" else np.arange(15).reshape(5, 3).astype(code)
    with netcdf.Dataset(path, "w", format="NETCDF3_CLASSIC") as f:
        f.createDimension("time", None)
        f.createDimension("y", 3)
        f.createVariable("fixed", "i1", ("y",))[:] = 1
        f.createVariable("a", np.dtype(code).newbyteorder("="), ("time", "y"))[:] = array
    place = open_container(path, "a").place
    assert place.strides[0] == 3 * array.itemsize
    np.testing.assert_array_equal(mapped(place), array)


@pytest.mark.parametrize("version", [1, 2])
def test_scipy_is_the_judge(tmp_path, version):
    io = pytest.importorskip("scipy.io")
    path = tmp_path / "x.nc"
    with io.netcdf_file(path, "w", version=version) as f:
        f.createDimension("time", None)
        f.createDimension("x", 7)
        f.createVariable("a", ">i2", ("time", "x"))[:4] = np.arange(28).reshape(4, 7)
        f.createVariable("b", ">f4", ("time",))[:4] = [1, 2, 3, 4]
        f.createVariable("c", ">i4", ("x",))[:] = range(7)
    assert mapped(open_container(path, "a").place).tolist() == np.arange(28).reshape(4, 7).tolist()
    place = open_container(path, "b", mode="r+").place
    mapped(place, "r+")[1:3] = -7
    mapped(open_container(path, "a", mode="r+").place, "r+")[3, 6] = 1000
    with io.netcdf_file(path, mmap=False) as f:
        assert f.variables["b"][:].tolist() == [1, -7, -7, 4]
        assert f.variables["a"][3].tolist() == [21, 22, 23, 24, 25, 26, 1000]
        assert f.variables["c"][:].tolist() == list(range(7))


def test_which_variable(tmp_path):
    path = tmp_path / "x.nc"
    path.write_bytes(classic([variable("a")], [("x", 4)]) + bytes(16))
    assert open_container(path).place.shape == (4,)
    written(tmp_path / "y.nc")
    with pytest.raises(FormatError, match=r"24 arrays; pass dataset= one of: 'fixed0' \(3, 5\)"):
        open_container(tmp_path / "y.nc")
    with pytest.raises(FormatError, match=r"no array 'zzz'.* and 4 more"):
        open_container(tmp_path / "y.nc", "zzz")
    with pytest.raises(FormatError, match="no variable 'zzz'"):
        open_netcdf3(path, "zzz")


def test_grown_file_is_another(tmp_path):
    netcdf = pytest.importorskip("netCDF4")
    path = tmp_path / "x.nc"
    written(path)
    key = open_container(path, "record5").place.file
    place = open_container(path, "record5", mode="r+").place
    mapped(place, "r+")[0] = 0
    with open(path, "rb") as stream:
        key.check_open(stream.fileno())  # other elements, the same layout
    with netcdf.Dataset(path, "a") as f:
        f["bare5"][3] = 1
    with open(path, "rb") as stream, pytest.raises(InputChangedError, match="header"):
        key.check_open(stream.fileno())


# Headers by hand


def counted(raw: bytes) -> bytes:
    return struct.pack(">I", len(raw)) + raw + bytes(-len(raw) % 4)


def variable(name="a", dims=(0,), code=5, begin=None, size=16):
    return name, dims, code, begin, size


def classic(variables, dims, *, records=0, version=1, tags=(10, 11)):
    """The header of a file of 4-byte counts; variables without `begin` begin where it ends."""

    def build(end):
        out = b"CDF" + bytes([version]) + struct.pack(">I", records)
        out += struct.pack(">II", tags[0] if dims else 0, len(dims))
        for name, length in dims:
            out += counted(name.encode()) + struct.pack(">I", length)
        out += bytes(8) + struct.pack(">II", tags[1] if variables else 0, len(variables))
        for name, ids, code, begin, size in variables:
            out += counted(name.encode()) + struct.pack(f">I{len(ids)}I", len(ids), *ids)
            out += bytes(8) + struct.pack(">II", code, size)
            out += struct.pack(">I" if version == 1 else ">Q", end if begin is None else begin)
        return out

    return build(len(build(0)))


def refused(path, content, error, match):
    path.write_bytes(content)
    before, start = hashlib.sha256(content).hexdigest(), time.thread_time()
    with pytest.raises(error, match=match) as caught:
        open_netcdf3(path, "a", True)
    assert type(caught.value) is error
    assert time.thread_time() - start < 1
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_streamed_records_are_counted(tmp_path):
    path = tmp_path / "x.nc"
    rows = [variable("a", (0, 1), 4), variable("b", (0,), 5)]
    head = classic(rows, [("t", 0), ("x", 3)], records=0xFFFFFFFF)
    begin = len(head)
    rows = [variable("a", (0, 1), 4, begin), variable("b", (0,), 5, begin + 12)]
    head = classic(rows, [("t", 0), ("x", 3)], records=0xFFFFFFFF)
    data = b"".join(struct.pack(">3if", at, at, at, at) for at in range(6))
    path.write_bytes(head + data + bytes(5))  # a record that was not finished
    assert mapped(open_container(path, "a").place).tolist() == [[at] * 3 for at in range(6)]
    assert mapped(open_container(path, "b").place).tolist() == [0, 1, 2, 3, 4, 5]


BAD = {
    "many dims": (classic([], [("x", 1)])[:12] + b"\x80\0\0\0" + bytes(20), "2147483648 dimens"),
    "many variables": (classic([], [])[:24] + struct.pack(">II", 11, 1 << 30), "1073741824 var"),
    "long name": (classic([], [("x", 1)])[:16] + b"\x7f\xff\xff\xff" + bytes(9), "bytes of a name"),
    "tag": (classic([variable()], [("x", 4)], tags=(12, 11)), "tag 12 where a list of dimensions"),
    "absent": (b"CDF\x01" + struct.pack(">III", 0, 0, 1) + bytes(20), "tag 0 where"),
    "version": (classic([variable()], [("x", 4)], version=3), "version 1, 2 or 5"),
    "type": (classic([variable(code=7)], [("x", 4)]), "no type 7 in version 1"),
    "type 0": (classic([variable(code=0)], [("x", 4)]), "no type 0"),
    "dimension": (classic([variable(dims=(1,))], [("x", 4)]), "dimension 1 of 1"),
    "negative": (classic([variable(begin=0xFFFFFFF0)], [("x", 4)]), "begins before the file"),
    "negative 64": (
        classic([variable(begin=(1 << 64) - 8)], [("x", 4)], version=2),
        "begins before the file",
    ),
    "header": (classic([variable(begin=8)], [("x", 4)]), "begins before the header ends"),
    "overlap": (
        classic([variable(begin=200), variable("b", begin=208)], [("x", 4)]),
        "begins before 'a' ends",
    ),
    "two records": (classic([variable()], [("x", 0), ("y", 0)]), "second record dimension"),
    "late record": (classic([variable(dims=(1, 0))], [("x", 0), ("y", 2)]), "as its first axis"),
    "twice": (classic([variable(), variable()], [("x", 4)]), "is there twice"),
    "same dims": (classic([], [("x", 4), ("x", 4)]), "two dimensions"),
    "no name": (classic([variable("")], [("x", 4)]), "'' is not a name"),
    "slash": (classic([variable("a/b")], [("x", 4)]), "is not a name"),
    "not UTF-8": (classic([variable("ab")], [("x", 4)]).replace(b"ab\0", b"\xff\xfe\0"), "UTF-8"),
    "huge": (classic([variable(dims=(0,) * 9)], [("x", 1 << 30)]), "over 2..63 bytes"),
    "many axes": (classic([variable(dims=(0,) * 80)], [("x", 1)]), "80 axes"),
    "apart": (
        classic(
            [variable(dims=(0,), begin=200), variable("b", dims=(0,), begin=208)],
            [("t", 0)],
            records=2,
        ),
        "not in a record of 8 bytes at 200",
    ),
    "among records": (
        classic(
            [variable(dims=(0,), begin=200), variable("b", dims=(1,), begin=208)],
            [("t", 0), ("x", 2)],
            records=9,
        ),
        "among the records",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_header(tmp_path, name):
    content, match = BAD[name]
    refused(tmp_path / "x.nc", content + bytes(400), FormatError, rf"at byte \d+: .*{match}")


def test_good_header_is_good(tmp_path):
    """What the bad ones are made of is accepted."""
    path = tmp_path / "x.nc"
    for version in (1, 2):
        path.write_bytes(classic([variable()], [("x", 4)], version=version) + bytes(16))
        assert open_netcdf3(path, "a").place.shape == (4,)


def test_cut_off(tmp_path):
    path = tmp_path / "x.nc"
    whole = classic([variable()], [("x", 4)])
    refused(path, whole + bytes(15), TruncatedFileError, r"needs .*\(\d+\), but the file has")
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(FormatError, match=r"x\.nc"):
            open_netcdf3(path, "a")


def test_long_header_is_refused(tmp_path):
    path = tmp_path / "x.nc"
    note = counted(b"n") + struct.pack(">II", 1, 17 << 20)
    path.write_bytes(b"CDF\x01" + bytes(12) + struct.pack(">II", 12, 1) + note)
    os.truncate(path, 20 << 20)
    with pytest.raises(FormatError, match="do not fit"):
        open_netcdf3(path, "a")


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_any_changed_byte(tmp_path_factory, at, byte):
    """Whatever the header says: an array inside the file, or a FormatError."""
    content = bytearray(
        classic(
            [variable(dims=(0, 1), begin=300), variable("b", (1,), 6, begin=500)],
            [("t", 0), ("x", 2)],
            records=3,
        ).ljust(600, b"\1")
    )
    content[at % 300] = byte
    path = tmp_path_factory.getbasetemp() / "fuzz.nc"
    path.write_bytes(content)
    try:
        with open(path, "rb") as stream:
            found = parse_classic(stream.fileno(), len(content)).variables
        for name in found:
            place = open_netcdf3(path, name).place
            assert len(mapped(place).tobytes()) == place.nbytes
    except FormatError:
        pass
