"""Zarr metadata: what zarr-python, tensorstore and xarray write is read as they read it, and what
is not as the format says is refused, at once."""

from __future__ import annotations

import base64
import json
import os
import pickle
import struct
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oocarray.errors import DtypeError, FormatError, NotRegularFileError
from oocarray.storage import zarrgroups
from oocarray.storage.conventions import decoding_of
from oocarray.storage.zarrgroups import is_zarr, list_arrays, open_zarr, split_path
from oocarray.storage.zarrjson import MAX_DOCUMENT, parse_json
from oocarray.storage.zarrmeta import ZarrArray, read_zarr

zarr = pytest.importorskip("zarr")


def made(path: Path, **options: Any) -> Any:
    """An array made by zarr-python."""
    given = {"shape": (5, 4), "chunks": (2, 3), "dtype": "<f4", "compressors": None, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a dtype has no specification yet
        return zarr.create_array(str(path), **given)


def document(**changes: Any) -> dict[str, Any]:
    """A sound document of version 3, changed; `...` takes a field away."""
    base = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [5, 4],
        "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 2]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }
    return {key: value for key, value in {**base, **changes}.items() if value is not ...}


def document2(**changes: Any) -> dict[str, Any]:
    """A sound document of version 2, changed."""
    base = {
        "zarr_format": 2,
        "shape": [5, 4],
        "chunks": [2, 2],
        "dtype": "<f4",
        "compressor": None,
        "fill_value": 0,
        "order": "C",
        "filters": None,
    }
    return {key: value for key, value in {**base, **changes}.items() if value is not ...}


def written(folder: Path, content: Any) -> Path:
    """The content as a document: bytes, text, or what JSON is made of."""
    folder.mkdir(parents=True, exist_ok=True)
    version = content.get("zarr_format") if isinstance(content, dict) else 3
    name = ".zarray" if version == 2 else "zarr.json"
    raw = content if isinstance(content, (str, bytes)) else json.dumps(content)
    (folder / name).write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return folder


def same(record: ZarrArray, oracle: Any) -> None:
    """The record says what zarr-python says."""
    meta = oracle.metadata
    assert (record.version, record.shape) == (meta.zarr_format, oracle.shape)
    assert record.chunk == (oracle.shards or oracle.chunks)
    assert record.inner == (oracle.chunks if oracle.shards else None)
    assert record.dtype.newbyteorder("=") == oracle.dtype.newbyteorder("=")
    theirs = np.zeros(1, record.dtype)
    if meta.fill_value is not None:
        theirs[0] = meta.fill_value
    assert record.fill == theirs.tobytes()
    last = tuple(n - 1 for n in record.grid)
    for coords in (tuple(0 for _ in last), last):
        assert record.key(coords) == meta.encode_chunk_key(coords)


DTYPES = (
    *("?", "i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8", "<c8"),
    *("<c16", "<M8[ns]", "<M8[25s]", "<m8[D]", "S5", "<U3", "V6"),
)
STRUCT = np.dtype([("a", "<i4"), ("b", "<f8"), ("c", "S3")])


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("dtype", [*map(np.dtype, DTYPES), STRUCT], ids=str)
def test_every_dtype_as_zarr_python_writes_it(
    tmp_path: Path, dtype: np.dtype[Any], version: int
) -> None:
    oracle = made(tmp_path / "x", dtype=dtype, zarr_format=version)
    record, attrs = read_zarr(tmp_path / "x")
    same(record, oracle)
    assert record.dtype == dtype
    assert not record.encoded
    assert attrs == {}


@pytest.mark.parametrize("dtype", [">i2", ">f8", ">c8", ">U3", ">M8[s]"])
def test_big_endian(tmp_path: Path, dtype: str) -> None:
    made(tmp_path / "two", dtype=dtype, zarr_format=2)
    assert read_zarr(tmp_path / "two")[0].dtype == np.dtype(dtype)
    codec = zarr.codecs.BytesCodec(endian="big")
    made(tmp_path / "three", dtype=dtype, serializer=codec)
    record, _ = read_zarr(tmp_path / "three")
    assert record.dtype == np.dtype(dtype)
    assert not record.encoded


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        ("?", True),
        ("<i8", -(1 << 63)),
        ("<u8", (1 << 64) - 1),
        ("<f2", 0.1),
        ("<f4", -0.0),
        ("<f4", np.float32(3.4028235e38)),
        ("<f8", np.nan),
        ("<f8", -np.inf),
        ("<c16", complex(np.nan, np.inf)),
        ("<M8[s]", np.datetime64("2001-02-03", "s")),
        ("<m8[D]", np.timedelta64("NaT", "D")),
        ("S5", b"ab"),
        ("<U3", "aé"),
        ("V6", b"\0\1\2\3\4\5"),
        (STRUCT, np.array((7, 0.5, b"xy"), STRUCT)[()]),
    ],
)
def test_fill_values_as_zarr_python_writes_them(
    tmp_path: Path, dtype: Any, fill: Any, version: int
) -> None:
    oracle = made(tmp_path / "x", dtype=dtype, fill_value=fill, zarr_format=version)
    record, _ = read_zarr(tmp_path / "x")
    same(record, oracle)
    want = np.zeros((), dtype)
    want[()] = np.void(fill) if dtype == "V6" else fill
    assert record.fill == want.tobytes()
    assert type(record.fill_value) is type(want[()])


@pytest.mark.parametrize(
    ("dtype", "fill", "want"),
    [
        ("float32", "0x7fc00001", "0100c07f"),
        ("float16", "0x3C00", "003c"),
        ("float64", "-Infinity", "000000000000f0ff"),
        ("float32", 1, "0000803f"),
        ("complex64", ["0x7fc00001", "NaN"], "0100c07f0000c07f"),
        ("int16", 4.0, "0400"),
        ("r16", [1, 255], "01ff"),
        ("r16", "Af8=", "01ff"),
        ({"name": "int16"}, -1, "ffff"),
        (
            {"name": "struct", "configuration": {"fields": [{"name": "a", "data_type": "int16"}]}},
            {"a": 3},
            "0300",
        ),
    ],
)
def test_other_spellings_of_fill_values(tmp_path: Path, dtype: Any, fill: Any, want: str) -> None:
    written(tmp_path, document(data_type=dtype, fill_value=fill))
    assert read_zarr(tmp_path)[0].fill.hex() == want


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("int64", 1 << 63),
        ("int8", 0.5),
        ("int8", True),
        ("int8", "0"),
        ("int8", None),
        ("bool", 1),
        ("float16", 65520),
        ("float32", 1e39),
        ("float64", 10**400),
        ("float64", "nan"),
        ("float64", "0x7fc00000"),
        ("float64", [0]),
        ("complex64", 0),
        ("complex64", [0]),
        ("r16", "AA=="),
        ("r16", [1, 256]),
        ("r16", "é"),
    ],
)
def test_fill_values_out_of_range_are_refused(tmp_path: Path, dtype: str, fill: Any) -> None:
    written(tmp_path, document(data_type=dtype, fill_value=fill))
    with pytest.raises(FormatError, match=r"zarr\.json: fill_value"):
        read_zarr(tmp_path)


def test_fill_that_no_float_holds_is_refused(tmp_path: Path) -> None:
    raw = json.dumps(document()).replace('"fill_value": 0.0', '"fill_value": 1e400')
    with pytest.raises(FormatError, match="float32 does not reach so far"):
        read_zarr(written(tmp_path, raw))


@pytest.mark.parametrize("dtype", ["<i2", "|S4", "<U2", "|V3", [["a", "<i2"]]])
def test_no_fill_value_in_version_2_is_zero(tmp_path: Path, dtype: Any) -> None:
    for fill in (None, 0):
        record, _ = read_zarr(written(tmp_path, document2(dtype=dtype, fill_value=fill)))
        assert record.fill == bytes(record.dtype.itemsize)


def test_fields_of_version_2_may_be_nested_and_have_shapes(tmp_path: Path) -> None:
    fields = [["a", "<i4", [2, 3]], ["b", [["c", "|u1"], ["d", ">f8"]]]]
    record, _ = read_zarr(written(tmp_path, document2(dtype=fields)))
    want = np.dtype([("a", "<i4", (2, 3)), ("b", [("c", "u1"), ("d", ">f8")])])
    assert record.dtype == want


@pytest.mark.parametrize(
    "dtype",
    [
        "string",
        {"name": "variable_length_bytes"},
        "bfloat16",
        "float128",
        "r12",
        "r99999999999",
        {"name": "fixed_length_utf32", "configuration": {"length_bytes": 6}},
        {"name": "null_terminated_bytes", "configuration": {"length_bytes": 1 << 40}},
        {"name": "structured", "configuration": {"fields": [["a", "string"]]}},
    ],
)
def test_dtypes_that_cannot_be_mapped(tmp_path: Path, dtype: Any) -> None:
    with pytest.raises(DtypeError, match=r"zarr\.json: data_type"):
        read_zarr(written(tmp_path, document(data_type=dtype)))


@pytest.mark.parametrize("dtype", ["|O", "<f16", "|S0", [["a", "|O"]]])
def test_dtypes_of_version_2_that_cannot_be_mapped(tmp_path: Path, dtype: Any) -> None:
    with pytest.raises(DtypeError, match=r"zarray: dtype"):
        read_zarr(written(tmp_path, document2(dtype=dtype)))


def test_a_string_array_of_zarr_python_is_named(tmp_path: Path) -> None:
    made(tmp_path / "x", dtype=str)
    with pytest.raises(DtypeError, match="'string' cannot be mapped"):
        read_zarr(tmp_path / "x")


@pytest.mark.parametrize(("version", "name"), [(2, "v2"), (3, "v2"), (3, "default")])
@pytest.mark.parametrize("separator", ["/", "."])
@pytest.mark.parametrize("shape", [(), (7,), (5, 0, 3)])
def test_keys(
    tmp_path: Path, version: int, separator: str, name: str, shape: tuple[int, ...]
) -> None:
    encoding = {"name": name, "separator": separator}
    chunks = tuple(2 for _ in shape)
    oracle = made(
        *(tmp_path / "x",), shape=shape, chunks=chunks, zarr_format=version,
        chunk_key_encoding=encoding,
    )  # fmt: skip
    record, _ = read_zarr(tmp_path / "x")
    same(record, oracle)
    assert (record.separator, record.prefix) == (separator, name == "default")


def test_shards(tmp_path: Path) -> None:
    options = {"shape": (9, 8), "chunks": (2, 4), "shards": (4, 8), "dimension_names": ["y", None]}
    oracle = made(tmp_path / "x", **options)
    record, _ = read_zarr(tmp_path / "x")
    same(record, oracle)
    assert (record.index_at, record.index_crc, record.encoded) == ("end", True, False)
    assert record.dims == ("y", None)
    assert record.kind == "Zarr v3, shards"
    codec = zarr.codecs.ShardingCodec(
        *(), chunk_shape=(2, 4), index_location="start",
        codecs=[zarr.codecs.TransposeCodec(order=(1, 0)), zarr.codecs.BytesCodec(endian="big")],
        index_codecs=[zarr.codecs.BytesCodec()],
    )  # fmt: skip
    oracle = made(tmp_path / "y", shape=(9, 8), chunks=(4, 8), serializer=codec)
    record, _ = read_zarr(tmp_path / "y")
    same(record, oracle)
    assert (record.index_at, record.index_crc, record.encoded) == ("start", False, False)
    assert (record.order, record.dtype) == ((1, 0), np.dtype(">f4"))


@pytest.mark.parametrize("turns", [[(2, 0, 1)], [(2, 0, 1), (0, 2, 1)], [(1, 0, 2), (2, 0, 1)]])
def test_transposes_are_composed(tmp_path: Path, turns: list[tuple[int, ...]]) -> None:
    codecs = [zarr.codecs.TransposeCodec(order=turn) for turn in turns]
    oracle = made(tmp_path / "x", shape=(2, 3, 4), chunks=(2, 3, 4), dtype="<i2", filters=codecs)
    data = np.arange(24, dtype="<i2").reshape(2, 3, 4)
    oracle[...] = data
    record, _ = read_zarr(tmp_path / "x")
    assert not record.encoded
    stored = (tmp_path / "x" / record.key((0, 0, 0))).read_bytes()
    assert stored == data.transpose(record.order).tobytes()


def test_order_f_of_version_2(tmp_path: Path) -> None:
    oracle = made(tmp_path / "x", chunks=(5, 4), order="F", zarr_format=2)
    data = np.arange(20, dtype="<f4").reshape(5, 4)
    oracle[...] = data
    record, _ = read_zarr(tmp_path / "x")
    same(record, oracle)
    stored = (tmp_path / "x" / record.key((0, 0))).read_bytes()
    assert stored == data.transpose(record.order).tobytes() != data.tobytes()


BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
TURN = {"name": "transpose", "configuration": {"order": [1, 0]}}
CRC = {"name": "crc32c"}


def shard(**changes: Any) -> dict[str, Any]:
    config = {"chunk_shape": [1, 2], "codecs": [BYTES], "index_codecs": [BYTES, CRC], **changes}
    return {"name": "sharding_indexed", "configuration": config}


@pytest.mark.parametrize(
    ("codecs", "inner", "index_at"),
    [
        ([BYTES, {"name": "zstd", "configuration": {"level": 3}}], None, ""),
        ([BYTES, "crc32c"], None, ""),
        ([{"name": "numcodecs.delta", "configuration": {"dtype": "<f4"}}, BYTES], None, ""),
        (["vlen-utf8"], None, ""),
        ([shard(codecs=[BYTES, "gzip"])], (1, 2), "end"),
        ([shard(), "crc32c"], (1, 2), "end"),
        ([shard(codecs=[shard(chunk_shape=[1, 1])])], (1, 2), "end"),
        ([shard(index_codecs=[BYTES, "gzip"])], (1, 2), ""),
        ([TURN, shard()], None, ""),
    ],
)
def test_what_is_left_to_zarr_python(
    tmp_path: Path, codecs: Any, inner: tuple[int, ...] | None, index_at: str
) -> None:
    record, _ = read_zarr(written(tmp_path, document(codecs=codecs)))
    assert record.encoded
    assert record.kind.endswith("encoded")
    assert (record.inner, record.index_at) == (inner, index_at)


def test_compressed_by_zarr_python(tmp_path: Path) -> None:
    for version in (2, 3):
        oracle = made(tmp_path / str(version), compressors="auto", zarr_format=version)
        record, _ = read_zarr(tmp_path / str(version))
        same(record, oracle)
        assert record.encoded
        assert (
            record.document
            in (tmp_path / str(version)).joinpath(Path(record.file.path).name).read_bytes()
        )
    record, _ = read_zarr(written(tmp_path / "f", document2(filters=[{"id": "delta"}])))
    assert record.encoded


@pytest.mark.parametrize("driver", ["zarr", "zarr3"])
def test_as_tensorstore_writes_it(tmp_path: Path, driver: str) -> None:
    ts = pytest.importorskip("tensorstore")
    path = tmp_path / "x"
    meta: dict[str, Any] = {"shape": [9, 8], "fill_value": 3}
    if driver == "zarr":
        more = {"chunks": [4, 8], "dtype": ">i2", "order": "F", "compressor": None}
    else:
        more = {
            "data_type": "int16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 8]}},
            "codecs": [shard(chunk_shape=[2, 4], codecs=[TURN, BYTES], index_location="start")],
            "dimension_names": ["y", "x"],
        }
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(path)}}
    ts.open({**spec, "metadata": {**meta, **more}, "create": True}).result()
    record, _ = read_zarr(path)
    same(record, zarr.open_array(str(path), mode="r"))
    assert record.order == (1, 0)
    assert not record.encoded
    assert record.fill_value == 3


def test_the_record_is_plain_data(tmp_path: Path) -> None:
    made(tmp_path / "x", attributes={"units": "K", "range": [1, float("nan")]})
    record, attrs = read_zarr(tmp_path / "x")
    again, _ = read_zarr(os.fspath(tmp_path / "x"))
    copy = pickle.loads(pickle.dumps(record))
    assert copy == record == again
    assert hash(copy) == hash(record)
    assert "zarr_format" not in repr(record)
    assert attrs["units"] == "K"
    assert np.isnan(attrs["range"][1])
    fd = os.open(record.file.path, os.O_RDONLY)
    try:
        copy.file.check_open(fd)
    finally:
        os.close(fd)
    assert record.folder == str(tmp_path / "x")


BAD = {
    "negative shape": (document(shape=[-1, 4]), "shape"),
    "huge shape": (document(shape=[1 << 63, 4]), "shape"),
    "true as int": (document(shape=[True, 4]), "shape"),
    "float as int": (document(shape=[5.0, 4]), "shape"),
    "NaN as int": (json.dumps(document()).replace("[5, 4]", "[NaN, 4]"), "shape"),
    "1e400 as int": (json.dumps(document()).replace("[5, 4]", "[1e400, 4]"), "shape"),
    "5000 digits": (json.dumps(document()).replace("[5, 4]", f"[{'9' * 5000}, 4]"), "JSON"),
    "shape no list": (document(shape=5), "shape"),
    "65 axes": (document(shape=[1] * 65), "shape"),
    "chunk 0": (
        document(chunk_grid={"name": "regular", "configuration": {"chunk_shape": [0, 2]}}),
        "chunk_shape",
    ),
    "huge chunk": (
        document(chunk_grid={"name": "regular", "configuration": {"chunk_shape": [1 << 63, 2]}}),
        "chunk_shape",
    ),
    "rank": (
        document(chunk_grid={"name": "regular", "configuration": {"chunk_shape": [2]}}),
        "chunk_shape",
    ),
    "no chunk shape": (document(chunk_grid="regular"), "chunk_shape"),
    "unknown grid": (document(chunk_grid={"name": "rectilinear"}), "chunk_grid"),
    "unknown keys": (document(chunk_key_encoding={"name": "hilbert"}), "chunk_key_encoding"),
    "separator": (
        document(chunk_key_encoding={"name": "default", "configuration": {"separator": "|"}}),
        "separator",
    ),
    "inner does not divide": (document(codecs=[shard(chunk_shape=[1, 3])], shape=[6, 6]), "divide"),
    "inner 0": (document(codecs=[shard(chunk_shape=[0, 2])]), "chunk_shape"),
    "inner rank": (document(codecs=[shard(chunk_shape=[2])]), "chunk_shape"),
    "index nowhere": (document(codecs=[shard(index_location="middle")]), "index_location"),
    "index without codecs": (document(codecs=[shard(index_codecs=None)]), "index_codecs"),
    "no codec": (document(codecs=[]), "codecs"),
    "codecs no list": (document(codecs={}), "codecs"),
    "codec a number": (document(codecs=[7]), "codecs"),
    "codec without name": (document(codecs=[{"configuration": {}}]), "codecs"),
    "configuration a list": (document(codecs=[{"name": "bytes", "configuration": []}]), "codecs"),
    "unknown configuration": (
        document(codecs=[{"name": "bytes", "configuration": {"endian": "little", "x": 1}}]),
        "codecs",
    ),
    "only a compressor": (document(codecs=["gzip"]), "codecs"),
    "only transposes": (document(codecs=[TURN]), "codecs"),
    "bytes twice": (document(codecs=[BYTES, BYTES]), "codecs"),
    "transpose behind bytes": (document(codecs=[BYTES, TURN]), "codecs"),
    "no permutation": (
        document(codecs=[{"name": "transpose", "configuration": {"order": [0, 0]}}, BYTES]),
        "order",
    ),
    "endian": (
        document(codecs=[{"name": "bytes", "configuration": {"endian": "middle"}}]),
        "endian",
    ),
    "no endian": (document(codecs=["bytes"]), "endian"),
    "names too few": (document(dimension_names=["x"]), "dimension_names"),
    "names no strings": (document(dimension_names=["x", 1]), "dimension_names"),
    "data type a number": (document(data_type=4), "data_type"),
    "field twice": (
        document(
            data_type={
                "name": "structured",
                "configuration": {"fields": [["a", "int8"], ["a", "int8"]]},
            }
        ),
        "data_type",
    ),
    "transformers": (document(storage_transformers=[{"name": "x"}]), "storage_transformers"),
    "attributes a list": (document(attributes=[]), "attributes"),
    "unknown field": (document(more={"name": "x"}), "'more'"),
    "unknown field to understand": (document(more={"must_understand": True}), "'more'"),
    "version 4": (document(zarr_format=4), "zarr_format"),
    "version true": (document(zarr_format=3.0), "zarr_format"),
    "a group": (document(node_type="group"), "node_type"),
    "no codecs": (document(codecs=...), "codecs"),
    "no fill value": (document(fill_value=...), "fill_value"),
    "a list": ("[1, 2]", "object"),
    "empty": (b"", "empty"),
    "text": ("zarr", "JSON"),
    "two documents": ("{}{}", "JSON"),
    "not UTF-8": (b'{"a": "\xff"}', "UTF-8"),
    "UTF-16": (json.dumps(document()).encode("utf-16"), "UTF-8"),
    "key twice": ('{"shape": [1], "shape": [2]}', "twice"),
    "brackets": ("[" * 200_000 + "]" * 200_000, "brackets"),
    "brackets open": ('{"a":' * 200_000, "brackets"),
    "brackets after an escape": (r'{"a": "\\\"", "b": ' + "[" * 200_000, "brackets"),
    "millions of lists": ("[" + "[]," * 5_000_000 + "[]]", "values"),
    "endless string": ('"' + '\\"' * 8_000_000, "JSON"),
    "endless number": ("1" * 16_000_000, "JSON"),
    "v2 order": (document2(order="A"), "order"),
    "v2 chunk 0": (document2(chunks=[0, 2]), "chunks"),
    "v2 rank": (document2(chunks=[2]), "chunks"),
    "v2 separator": (document2(dimension_separator="-"), "dimension_separator"),
    "v2 no order of bytes": (document2(dtype="|i4"), "dtype"),
    "v2 native order": (document2(dtype="=i4"), "dtype"),
    "v2 odd size": (document2(dtype="<i3"), "dtype"),
    "v2 no dtype": (document2(dtype=...), "dtype"),
    "v2 fields": (document2(dtype=[["a"]]), "dtype"),
    "v2 field without name": (document2(dtype=[["", "<i4"]]), "dtype"),
    "v2 huge field": (document2(dtype=[["a", "<i4", [1 << 40, 1 << 40]]]), "dtype"),
    "v2 compressor": (document2(compressor="zstd"), "codec"),
    "v2 filters": (document2(filters=[{"name": "delta"}]), "codec"),
    "v2 fill": (document2(fill_value="0x7fc00000"), "fill_value"),
    "v2 no fill": (document2(fill_value=...), "fill_value"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_metadata_is_refused_at_once(tmp_path: Path, name: str) -> None:
    content, field = BAD[name]
    written(tmp_path, content)
    began = time.thread_time()
    with pytest.raises(FormatError, match=field) as caught:
        read_zarr(tmp_path)
    assert time.thread_time() - began < 10  # a second, on a machine that does nothing else
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value)) < 600 + len(str(tmp_path))


def test_nesting_and_size_cost_no_memory(tmp_path: Path) -> None:
    deep = b"[" * 200_000
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="200000 brackets"):
            parse_json(deep, "x")
        (tmp_path / "zarr.json").write_bytes(b"{")
        os.truncate(tmp_path / "zarr.json", MAX_DOCUMENT + 1)
        with pytest.raises(FormatError, match=f"{MAX_DOCUMENT}"):
            read_zarr(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_brackets_inside_strings_are_text(tmp_path: Path) -> None:
    text = "[" * 500 + '\\"' * 3 + "{,:" * 1000
    written(tmp_path, document(attributes={"note": text, text: "\\"}))
    assert read_zarr(tmp_path)[1] == {"note": text, text: "\\"}


def test_a_grid_of_2_to_the_62_chunks_is_not_listed(tmp_path: Path) -> None:
    grid = {"name": "regular", "configuration": {"chunk_shape": [1]}}
    written(tmp_path, document(shape=[1 << 62], chunk_grid=grid))
    began = time.thread_time()
    record, _ = read_zarr(tmp_path)
    assert record.grid == (1 << 62,)
    assert record.key(((1 << 62) - 1,)) == f"c/{(1 << 62) - 1}"
    assert time.thread_time() - began < 1


def test_fields_that_need_no_understanding_are_ignored(tmp_path: Path) -> None:
    more = {"hint": {"must_understand": False, "name": "x"}, "storage_transformers": []}
    assert read_zarr(written(tmp_path, document(**more)))[0].shape == (5, 4)
    assert read_zarr(written(tmp_path / "2", document2(whatever=1)))[0].shape == (5, 4)


def test_axes_without_elements_may_have_chunks_of_0(tmp_path: Path) -> None:
    grid = {"name": "regular", "configuration": {"chunk_shape": [0, 2]}}
    record, _ = read_zarr(written(tmp_path, document(shape=[0, 4], chunk_grid=grid)))
    assert (record.chunk, record.grid) == ((1, 2), (0, 2))


def test_missing_and_no_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="zarray"):
        read_zarr(tmp_path)
    os.mkfifo(tmp_path / "zarr.json")
    with pytest.raises(NotRegularFileError, match="a pipe"):
        read_zarr(tmp_path)


# Groups ---------------------------------------------------------------------------------------


@pytest.fixture(params=[2, 3])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def grouped(path: Path, version: int, consolidated: bool = False) -> Path:
    """A group of zarr-python's with three arrays, one of them in a group of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = zarr.create_group(str(path), zarr_format=version)
        root.create_array("t2m", shape=(4, 3), dtype="<f4", chunks=(2, 3))
        root.create_array("names", shape=(3,), dtype=str, chunks=(3,))
        inner = root.create_group("a")
        inner.create_array("b", shape=(2,), dtype=">i2" if version == 2 else "<i2", chunks=(1,))
        if consolidated:
            zarr.consolidate_metadata(str(path), zarr_format=version)
    return path


@pytest.mark.parametrize("consolidated", [False, True])
def test_arrays_of_a_group(tmp_path: Path, version: int, consolidated: bool) -> None:
    path = grouped(tmp_path / "ds.zarr", version, consolidated)
    found = list_arrays(path)
    assert list(found) == ["a/b", "names", "t2m"]
    assert found["t2m"].shape == (4, 3)
    assert found["t2m"].dtype == np.dtype("<f4")
    assert found["a/b"].dtype == np.dtype(">i2" if version == 2 else "<i2")
    assert found["names"].dtype == ("|O" if version == 2 else "string")
    assert list(list_arrays(path / "t2m")) == [""]
    assert list(list_arrays(path / "a")) == ["b"]


def test_opening_by_path_and_by_dataset(tmp_path: Path, version: int) -> None:
    path = grouped(tmp_path / "ds.zarr", version)
    for given in ((path, "a/b"), (path / "a", "b"), (path / "a" / "b",), (f"{path}/a/b/", None)):
        found = open_zarr(*given)
        assert found.place.folder == str(path / "a" / "b")  # type: ignore[union-attr]
        assert found.kind == f"Zarr v{version}, one file per chunk, encoded"
    assert split_path(path / "t2m") == (str(path / "t2m"), "")
    assert split_path(path / "nope" / "x") == (str(path), "nope/x")
    assert split_path(tmp_path / "nope") == (str(tmp_path / "nope"), "")
    assert split_path("nope") == ("nope", "")
    assert is_zarr(path)
    assert not is_zarr(tmp_path)


def test_a_group_says_what_it_has(tmp_path: Path, version: int) -> None:
    path = grouped(tmp_path / "ds.zarr", version)
    with pytest.raises(FormatError, match=r"dataset=.*'a/b' \(2,\).*'t2m' \(4, 3\) float32"):
        open_zarr(path)
    with pytest.raises(FormatError, match=r"a is a Zarr group.*'a/b' \(2,\)"):
        open_zarr(path, "a")
    with pytest.raises(FormatError, match="has no dataset 't3m'; dataset= may be 't2m'"):
        open_zarr(path, "t3m")
    with pytest.raises(FormatError, match="has no dataset 'zzzz'"):
        open_zarr(path / "zzzz")
    with pytest.raises(FormatError, match="t2m is an array, not a group"):
        open_zarr(path / "t2m", "x")


def test_a_group_of_many_names_twenty(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    written(root, {"zarr_format": 3, "node_type": "group", "attributes": {}})
    for number in range(23):
        written(root / f"v{number:02}", document())
    with pytest.raises(FormatError, match=r"'v19' \(5, 4\) float32, and 3 more$"):
        open_zarr(root)
    empty = written(tmp_path / "empty", {"zarr_format": 3, "node_type": "group"})
    with pytest.raises(FormatError, match="without arrays"):
        open_zarr(empty)


@pytest.mark.parametrize(
    "name", ["../x", "a/../b", "/etc", "a//b", "", "a\0b", "C:\\x", "c:x", "."]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    root = written(tmp_path / "ds", {"zarr_format": 3, "node_type": "group"})
    written(tmp_path / "x", document())
    with pytest.raises(FormatError, match="no name of a dataset"):
        open_zarr(root, name)
    node = {"metadata": {name: document()}, "kind": "inline", "must_understand": False}
    group = {"zarr_format": 3, "node_type": "group", "consolidated_metadata": node}
    with pytest.raises(FormatError, match="no name of a dataset"):
        list_arrays(written(tmp_path / "ds", group))


def test_walking_follows_no_links_and_enters_no_array(tmp_path: Path) -> None:
    root = written(tmp_path / "ds", {"zarr_format": 3, "node_type": "group"})
    written(root / "x", document())
    written(root / "x" / "inside", document())
    written(root / "plain" / "y", document())
    (root / "loop").symlink_to(root)
    (root / "link").symlink_to(root / "x")
    assert list(list_arrays(root)) == ["x"]
    assert open_zarr(root, "link").place.shape == (5, 4)  # type: ignore[union-attr]


def test_walking_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zarrgroups, "_MAX_NODES", 5)
    root = written(tmp_path / "ds", {"zarr_format": 3, "node_type": "group"})
    for number in range(4):
        (root / str(number)).mkdir()
    assert list_arrays(root) == {}
    (root / "4").mkdir()
    with pytest.raises(FormatError, match="more than 5"):
        list_arrays(root)


@pytest.mark.parametrize(
    "content",
    [
        {"zarr_format": 3, "node_type": "group", "consolidated_metadata": 5},
        {"zarr_format": 3, "node_type": "group", "consolidated_metadata": {"metadata": []}},
        {"zarr_format": 3, "node_type": "group", "consolidated_metadata": {"metadata": {"a": 1}}},
        {"zarr_format": 3, "node_type": "group", "surprise": 1},
        {"zarr_format": 3, "node_type": "sheep"},
        {"zarr_format": 3, "node_type": []},
        [],
    ],
)
def test_bad_groups_are_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(FormatError, match=r"zarr\.json"):
        open_zarr(written(tmp_path, content))


@pytest.mark.parametrize("consolidated", [False, True])
def test_a_dataset_of_xarray(tmp_path: Path, version: int, consolidated: bool) -> None:
    xr = pytest.importorskip("xarray")
    values = np.array([[1.5, np.nan, 2.0], [0.0, -1.0, 300.0]])
    packed = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 1.0, "_FillValue": -32767}
    ds = xr.Dataset(
        {
            "packed": (("y", "x"), values, {"units": "K"}),
            "plain": (("y", "x"), values.astype("f4")),
            "count": (("x",), np.arange(3)),
        }
    )
    path = str(tmp_path / "ds.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.to_zarr(
            *(path,), zarr_format=version, consolidated=consolidated, encoding={"packed": packed}
        )
        stored = xr.open_zarr(path, consolidated=consolidated, decode_cf=False)
    found = list_arrays(path)
    assert list(found) == ["count", "packed", "plain"]
    assert found["packed"].dims == ("y", "x")
    one = open_zarr(path, "packed")
    assert one.dims == ("y", "x")
    assert one.attrs["units"] == "K"
    assert "_ARRAY_DIMENSIONS" not in one.attrs
    decoding = decoding_of(one.attrs, one.place.dtype)
    assert decoding is not None
    assert str(decoding) == "int16 as float64, times 0.01, plus 1, NaN for -32767"
    raw = stored["packed"].values
    meant = np.where(np.isin(raw, decoding.missing), np.nan, raw * decoding.scale + decoding.offset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = xr.open_zarr(path, consolidated=consolidated)["packed"].values
    assert np.array_equal(meant, theirs, equal_nan=True)
    assert decoding.dtype == theirs.dtype
    plain = open_zarr(path, "plain")
    assert "_FillValue" in plain.attrs
    assert decoding_of(plain.attrs, plain.place.dtype) is None  # NaN stands for itself
    assert decoding_of(open_zarr(path, "count").attrs, "i8") is None


# Conventions ----------------------------------------------------------------------------------


def f4(number: float) -> np.float32:
    return np.float32(number)


@pytest.mark.parametrize(
    ("attrs", "dtype", "meant"),
    [
        ({"scale_factor": 0.1}, "i2", "f8"),
        ({"scale_factor": f4(0.1), "add_offset": f4(3)}, ">i2", "f4"),
        ({"scale_factor": f4(0.1), "add_offset": 3.0}, "i2", "f8"),
        ({"scale_factor": np.array([0.1], "f4")}, "u1", "f4"),
        ({"scale_factor": f4(0.1)}, "i4", "f8"),
        ({"add_offset": 2}, "i1", "f8"),
        ({"_FillValue": -1}, "i2", "f4"),
        ({"_FillValue": -1}, "i4", "f8"),
        ({"_FillValue": 1e20}, ">f4", "f4"),
        ({"_FillValue": 1e20, "scale_factor": 2.0}, "f4", "f8"),
        ({"_FillValue": 1e20, "scale_factor": f4(2.0)}, "f4", "f4"),
        ({"missing_value": [1, 2]}, "f8", "f8"),
        ({"_Unsigned": "true"}, ">i2", "u2"),
        ({"_Unsigned": "true", "_FillValue": -1}, "i1", "f4"),
    ],
)
def test_what_packed_numbers_become(attrs: dict[str, Any], dtype: str, meant: str) -> None:
    decoding = decoding_of(attrs, dtype)
    assert decoding is not None
    assert decoding.dtype == np.dtype(meant)
    assert pickle.loads(pickle.dumps(decoding)) == decoding
    assert hash(decoding) == hash(decoding_of(attrs, dtype))


@pytest.mark.parametrize(
    ("attrs", "dtype"),
    [
        ({}, "i2"),
        ({"units": "K", "_FillValue": None}, "f4"),
        ({"_FillValue": "NaN"}, "f4"),
        ({"_FillValue": float("nan")}, "i2"),
        ({"_FillValue": 0.5}, "i2"),
        ({"_FillValue": 70000}, "u2"),
        ({"_FillValue": 1e39}, "f4"),
        ({"_FillValue": ""}, "S4"),
        ({"scale_factor": 2.0}, "?"),
        ({"_Unsigned": "true"}, "u2"),
    ],
)
def test_nothing_to_decode(attrs: dict[str, Any], dtype: str) -> None:
    assert decoding_of(attrs, dtype) is None


def test_values_that_stand_for_nothing() -> None:
    def missing(value: Any, dtype: str, **more: Any) -> tuple[float | int, ...]:
        found = decoding_of({"_FillValue": value, **more}, dtype)
        assert found is not None
        return found.missing

    text = base64.b64encode(struct.pack("<d", -9999.0)).decode()
    assert missing(text, "f4") == (-9999.0,)
    assert missing("-1e3", "f8") == (-1000.0,)
    assert missing("Infinity", "f4") == (np.inf,)
    assert missing(0.1, "f4") == (float(np.float32(0.1)),)
    assert missing(-1, "i1", _Unsigned="true") == (255,)
    assert missing(255, "u1", _Unsigned="false") == (-1,)
    assert missing(-1, "i4", missing_value=[-1, -2, -2]) == (-1, -2)
    assert missing(np.int16(-5), "i2") == (-5,)


@pytest.mark.parametrize(
    "attrs",
    [
        {"scale_factor": "0.1"},
        {"scale_factor": [1.0, 2.0]},
        {"add_offset": float("nan")},
        {"scale_factor": True},
        {"_FillValue": "soon"},
        {"_FillValue": {}},
        {"missing_value": 10**400},
    ],
)
def test_attributes_that_are_no_numbers(attrs: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match=f"attribute {next(iter(attrs))} is"):
        decoding_of(attrs, "f4")
