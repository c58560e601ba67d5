"""TIFF, FITS and safetensors by their own libraries, how files are told apart, and wrong files."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
import time

import numpy as np
import pytest

from oocarray.errors import DtypeError, FormatError, NotRegularFileError, TruncatedFileError
from oocarray.storage.containers import kind_of, list_container, open_container
from oocarray.storage.listing import plain_value
from oocarray.storage.safetensors import open_safetensors

CUBE = np.arange(60, dtype=">u2").reshape(5, 4, 3)


def mapped(place, mode="r"):
    return place.view(np.memmap(place.file.path, np.uint8, mode), 0)


def refused(path, error, match, dataset=None, opener=open_container):
    before, start = hashlib.sha256(path.read_bytes()).hexdigest(), time.thread_time()
    with pytest.raises(error, match=match) as caught:
        opener(path, dataset)
    assert type(caught.value) is error
    assert time.thread_time() - start < 1
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


# Which format it is


def test_kinds(tmp_path):
    heads = {
        "hdf5": [b"\x89HDF\r\n\x1a\n", bytes(512) + b"\x89HDF\r\n\x1a\n"],
        "netcdf3": [b"CDF\x01", b"CDF\x02", b"CDF\x05"],
        "tiff": [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"],
        "fits": [b"SIMPLE  =                    T"],
        "safetensors": [struct.pack("<Q", 2) + b"{}", struct.pack("<Q", 9) + b'{"a":12345'],
        None: [
            *(b"", b"\x93NUMPY", b"CDF\x03", b"CDF", b"II*", bytes(3000), b"\x89HDF\r\n\x1a\r"),
            bytes(100) + b"\x89HDF\r\n\x1a\n",
            struct.pack("<Q", 3) + b"{}",
            struct.pack("<Q", 2) + b"[]",
        ],
    }
    for kind, contents in heads.items():
        for content in contents:
            path = tmp_path / "x.bin"
            path.write_bytes(content)
            assert kind_of(path) == kind, content
    with pytest.raises(ValueError, match=r"x.bin is not HDF5, NetCDF, TIFF, FITS or safetensors"):
        open_container(path)
    with pytest.raises(ValueError, match="not 'w'"):
        open_container(path, mode="w")
    with pytest.raises(NotRegularFileError):
        kind_of(tmp_path)


def test_plain_values_only():
    assert plain_value([np.int8(3), (np.str_("a"), None)]) == [3, ["a", None]]
    with pytest.raises(TypeError, match="slice"):
        plain_value([slice(3)])


# TIFF


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_tiff(tmp_path, byteorder, bigtiff):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "x.tif"
    for dtype in ("u1", "i2", "u2", "f4", "f8"):
        array = CUBE.astype(byteorder + dtype)
        tifffile.imwrite(
            path, array, byteorder=byteorder, bigtiff=bigtiff, photometric="minisblack"
        )
        assert kind_of(path) == "tiff"
        opened = open_container(path, mode="r+")
        assert opened.kind == "TIFF, contiguous"
        assert opened.place.dtype == array.dtype
        assert opened.dims == ("Q", "Y", "X")
        assert "shape" in opened.attrs["description"]
        np.testing.assert_array_equal(mapped(opened.place), array)
        assert list_container(path) == {"0": (array.shape, array.dtype, opened.dims)}
        mapped(opened.place, "r+")[2] = 99
        array[2] = 99
        np.testing.assert_array_equal(tifffile.imread(path), array)


def test_tiff_series(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "x.tif"
    with tifffile.TiffWriter(path) as f:
        f.write(CUBE[0].astype("u2"))
        f.write(CUBE[:, :, 0].astype("f4"))
    with pytest.raises(FormatError, match=r"2 arrays; pass dataset= one of: '0' \(4, 3\) uint16"):
        open_container(path)
    for dataset in (1, "1"):
        assert mapped(open_container(path, dataset).place).tolist() == CUBE[:, :, 0].tolist()
    with pytest.raises(FormatError, match="no array '2'"):
        open_container(path, 2)


def test_tiff_imagej_stack(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, CUBE.astype("u2"), imagej=True, metadata={"axes": "TYX"})
    opened = open_container(path)
    assert opened.dims == ("T", "Y", "X")
    np.testing.assert_array_equal(mapped(opened.place), CUBE)


def test_tiff_that_is_packed(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "x.tif"
    for options, word in {
        "zlib": ({"compression": "zlib"}, "deflate"),
        "tiles": ({"tile": (16, 16)}, "tiles"),
        "predictor": ({"compression": "zlib", "predictor": True}, "deflate"),
    }.values():
        tifffile.imwrite(path, np.zeros((40, 40), "u2"), **options)
        refused(path, FormatError, f"compressed, tiled or in pieces .*{word}.*save it uncompressed")
    tifffile.imwrite(path, np.zeros((8, 8), bool))
    refused(path, FormatError, "in pieces")


def test_tiff_names_no_other_file(tmp_path):
    """OME metadata may say that images are in other files: those are never looked at."""
    tifffile = pytest.importorskip("tifffile")
    path, other = tmp_path / "x.ome.tif", tmp_path / "other.ome.tif"
    tifffile.imwrite(other, CUBE[0].astype("u2"), photometric="minisblack", metadata=None)
    image = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'UUID="urn:uuid:1"><Image ID="Image:0"><Pixels ID="P:0" DimensionOrder="XYZCT" '
        'Type="uint16" SizeX="3" SizeY="4" SizeZ="2" SizeC="1" SizeT="1">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        '<TiffData IFD="0" FirstZ="0"><UUID FileName="x.ome.tif">urn:uuid:1</UUID></TiffData>'
        '<TiffData IFD="0" FirstZ="1"><UUID FileName="other.ome.tif">urn:uuid:2</UUID></TiffData>'
        "</Pixels></Image></OME>"
    )
    tifffile.imwrite(
        path, CUBE[1].astype("u2"), photometric="minisblack", metadata=None, description=image
    )
    with tifffile.TiffFile(path) as f:
        assert f.series[0].shape == (2, 4, 3)  # the library follows the name
    assert mapped(open_container(path).place).tolist() == CUBE[1].tolist()


def test_tiff_beyond_the_end(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((64, 64), "u2"))
    with tifffile.TiffFile(path) as f:
        entry = f.pages[0].tags["StripOffsets"].valueoffset
    with open(path, "r+b") as stream:
        stream.seek(entry)
        stream.write((1 << 30).to_bytes(4, "little"))
    refused(path, TruncatedFileError, r"byte 1073741824 needs .* but the file has")


def test_tiff_cut_off(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((64, 64), "u2"))
    whole = path.read_bytes()
    for size in range(4, len(whole) - 1, 41):
        path.write_bytes(whole[:size])
        with pytest.raises(FormatError, match=r"x\.tif"):
            open_container(path)


@pytest.mark.parametrize("seed", range(10))
def test_tiff_garbage(tmp_path, seed):
    pytest.importorskip("tifffile")
    path = tmp_path / "x.tif"
    path.write_bytes(b"II*\0\x08\0\0\0" + np.random.default_rng(seed).bytes(3000))
    refused(path, FormatError, r"x\.tif")


# FITS


def fits_file(path):
    fits = pytest.importorskip("astropy.io.fits")
    units = [
        fits.PrimaryHDU(CUBE.astype(">f4")),
        fits.ImageHDU(CUBE.astype("u2"), name="COUNTS"),
        fits.ImageHDU(CUBE[0].astype("i4"), name="TWICE"),
        fits.ImageHDU(CUBE[1].astype("i8"), name="TWICE"),
        fits.CompImageHDU(np.arange(600, dtype="i4").reshape(20, 30), name="PACKED"),
        fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])], name="TABLE"),
        fits.ImageHDU(name="NOTHING"),
    ]
    units[0].header["EXPOSURE"] = (1.5, "s")
    units[0].header["OK"] = True
    fits.HDUList(units).writeto(path)
    return fits


def test_fits(tmp_path):
    path = tmp_path / "x.fits"
    fits = fits_file(path)
    assert kind_of(path) == "fits"
    listed = list_container(path)
    assert {name: (entry[0], entry[1].str) for name, entry in listed.items()} == {
        "0": ((5, 4, 3), ">f4"),
        "COUNTS": ((5, 4, 3), ">i2"),
        "2": ((4, 3), ">i4"),
        "3": ((4, 3), ">i8"),
    }
    first = open_container(path, 0, mode="r+")
    assert (first.kind, first.attrs["EXPOSURE"], first.attrs["OK"]) == ("FITS", 1.5, True)
    np.testing.assert_array_equal(mapped(first.place), CUBE)
    mapped(first.place, "r+")[1, 2] = [-1, 0.5, 7]
    mapped(open_container(path, "3", mode="r+").place, "r+")[0] = 1 << 40
    with fits.open(path) as f:
        assert f[0].data[1].tolist() == [*CUBE[1, :2].tolist(), [-1, 0.5, 7], CUBE[1, 3].tolist()]
        assert f[3].data[0].tolist() == [1 << 40] * 3
        assert f[2].data.tolist() == CUBE[0].tolist()


def test_fits_scaled(tmp_path):
    path = tmp_path / "x.fits"
    fits_file(path)
    opened = open_container(path, "COUNTS")
    assert opened.kind == "FITS, scaled"
    assert (opened.attrs["bzero"], opened.attrs["bscale"]) == (32768, 1)
    assert opened.place.dtype == ">i2"
    np.testing.assert_array_equal(mapped(opened.place).astype(int) + 32768, CUBE)
    np.testing.assert_array_equal(mapped(open_container(path, 1).place), mapped(opened.place))


def test_fits_refuses(tmp_path):
    path = tmp_path / "x.fits"
    fits = fits_file(path)
    refused(path, FormatError, r"4 arrays; pass dataset= one of: '0' \(5, 4, 3\) >f4")
    refused(path, FormatError, "compressed in tiles; unpack it with funpack", "PACKED")
    refused(path, FormatError, "a table, no image", "TABLE")
    refused(path, FormatError, "has no data", "NOTHING")
    refused(path, FormatError, "no HDU 'TWICE'; it has 0, COUNTS, 2, 3, PACKED", "TWICE")
    alone = tmp_path / "alone.fits"
    fits.PrimaryHDU(CUBE.astype("f8")).writeto(alone)
    assert mapped(open_container(alone).place).sum() == CUBE.sum()
    os.truncate(alone, 2880 + 479)
    refused(alone, TruncatedFileError, r"needs .*\(3360\), but the file has .*\(3359\)")
    alone.write_bytes(b"SIMPLE  =" + b"?" * 5000)
    refused(alone, FormatError, "alone.fits")
    header = "".join(
        card.ljust(80)
        for card in (
            "SIMPLE  =                    T",
            "BITPIX  =                   16",
            "NAXIS   =                    2",
            "NAXIS1  =  9223372036854775807",
            "NAXIS2  =                    4",
            "END",
        )
    )
    alone.write_bytes(header.encode().ljust(2880))
    refused(alone, FormatError, "alone.fits.*(extent|understood)")


# safetensors


def by_hand(header, data=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def told(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_safetensors(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "x.safetensors"
    codes = ["?", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8"]
    arrays = {f"model.{code}": CUBE.astype(code) for code in codes}
    arrays |= {"scalar": np.array(2.5, "f4"), "none": np.zeros((0, 3), "f8")}
    numpy.save_file(arrays, path, metadata={"format": "np"})
    assert kind_of(path) == "safetensors"
    assert {name: entry[:2] for name, entry in list_container(path).items()} == {
        name: (array.shape, array.dtype) for name, array in arrays.items()
    }
    for name, array in arrays.items():
        opened = open_container(path, name)
        assert opened.attrs == {"format": "np"}
        np.testing.assert_array_equal(mapped(opened.place), array)
    mapped(open_container(path, "model.f2", mode="r+").place, "r+")[0, 1] = -2
    arrays["model.f2"][0, 1] = -2
    for name, array in numpy.load_file(path).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_safetensors_types_that_numpy_lacks(tmp_path):
    path = tmp_path / "x.safetensors"
    header = {"a": told("BF16", (4,), (0, 8)), "b": told("F8_E4M3", (4,), (8, 12))}
    path.write_bytes(by_hand(header, bytes(12)))
    refused(path, DtypeError, "tensor 'a' is of type BF16", "a")
    refused(path, DtypeError, "tensor 'b' is of type F8_E4M3", "b")
    assert list_container(path)["a"] == ((4,), np.dtype("V2"), None)


BAD = {
    "huge": (
        by_hand({"a": told()}, bytes(8), 1 << 60),
        FormatError,
        r"1 EiB \(1152921504606846976",
    ),
    "long": (by_hand({"a": told()}, bytes(8), 9999), TruncatedFileError, "9999"),
    "short": (by_hand({"a": told()}, bytes(7)), TruncatedFileError, r"\(8\) behind the header"),
    "trailing": (by_hand({"a": told()}, bytes(9)), FormatError, "1 bytes behind the last tensor"),
    "overlap": (
        by_hand({"a": told(), "b": told(offsets=(4, 12))}, bytes(12)),
        FormatError,
        "'b' begins at 4 of the data, but those before it end at 8: they overlap",
    ),
    "same": (by_hand({"a": told(), "b": told()}, bytes(8)), FormatError, "overlap"),
    "hole": (by_hand({"a": told(offsets=(1, 9))}, bytes(9)), FormatError, "leave a hole"),
    "size": (
        by_hand({"a": told(shape=(3,))}, bytes(8)),
        FormatError,
        "needs 12 bytes, but .* 8 ap",
    ),
    "backwards": (by_hand({"a": told(offsets=(8, 0))}, bytes(8)), FormatError, "-8 apart"),
    "negative": (by_hand({"a": told(offsets=(-8, 0))}, bytes(8)), FormatError, "lists of numbers"),
    "bool": (by_hand({"a": told(shape=(True,))}, bytes(8)), FormatError, "lists of numbers"),
    "type": (by_hand({"a": told("F99")}, bytes(8)), FormatError, "no type 'F99'"),
    "extent": (by_hand({"a": told(shape=(1 << 60, 0))}, bytes(8)), FormatError, "extent"),
    "key": (by_hand({"a": {"dtype": "F32"}}, bytes(8)), FormatError, "not described by"),
    "metadata": (by_hand({"__metadata__": {"a": 1}}), FormatError, "not an object of strings"),
    "twice": (by_hand(b'{"a":1,"a":1}'), FormatError, "a name twice"),
    "deep": (by_hand(b'{"a":' + b"[" * 200_000), FormatError, "is no JSON"),
    "not JSON": (by_hand(b'{"a": '), FormatError, "is no JSON"),
    "not UTF-8": (by_hand(b'{"\xff": 1}'), FormatError, "is no JSON"),
    "digits": (by_hand(b'{"a": ' + b"9" * 10_000 + b"}"), FormatError, "is no JSON"),
    "none": (by_hand({}), FormatError, "no tensor 'a'"),
    "list": (by_hand([]), FormatError, "no JSON object"),
    "no length": (b"\1\0\0", TruncatedFileError, "in a file of 3 B"),
    "nothing": (b"", TruncatedFileError, "in a file of 0 B"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_safetensors(tmp_path, name):
    content, error, match = BAD[name]
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    refused(path, error, match, "a", open_safetensors)


def test_bad_safetensors_by_name(tmp_path):
    """A length that is wrong hides the format from all but the name."""
    path = tmp_path / "x.safetensors"
    path.write_bytes(BAD["huge"][0])
    refused(path, FormatError, "safetensors header of 1 EiB")


# What is not installed


@pytest.mark.parametrize(("kind", "module"), [("tif", "tifffile"), ("fits", "astropy.io.fits")])
def test_missing_library(tmp_path, monkeypatch, kind, module):
    path = tmp_path / "x"
    path.write_bytes({"tif": b"II*\0", "fits": b"SIMPLE  ="}[kind].ljust(3000))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"pip install {module.partition('.')[0]}"):
        open_container(path)
