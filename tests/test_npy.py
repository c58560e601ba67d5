"""The .npy reader and writer against NumPy, and against every kind of bad file."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oocarray.errors import DtypeError, FormatError, NotRegularFileError, TruncatedFileError
from oocarray.storage.dtypes import plain_dtype, plain_shape
from oocarray.storage.files import open_npy, open_raw, open_regular
from oocarray.storage.finding import sniff
from oocarray.storage.layout import FileKey
from oocarray.storage.npy import MAGIC, build_header, parse_header

STRUCT = np.dtype([("a", "u1"), ("b", ">i4"), ("c", "<f4", (2, 3))])
ALIGNED = np.dtype([("a", "u1"), ("b", "<f8"), ("c", [("d", "<i2"), ("e", "?")])], align=True)
NAMED = np.dtype([("größe", "<f8"), ("温度", "<f4")])
DTYPES = [
    *(np.dtype(code) for code in "?bBhHiIqQefdFD"),
    *(np.dtype(name) for name in (">f8", ">i2", "S5", "<U3", ">U2", "V7", "M8[ns]", ">m8[3D]")),
    STRUCT,
    ALIGNED,
    NAMED,
]


def literal(text: str | bytes, version: tuple[int, int] = (1, 0), data: bytes = b"") -> bytes:
    """A file with this text for a header."""
    raw = text.encode() if isinstance(text, str) else text
    width = 2 if version == (1, 0) else 4
    return MAGIC + bytes(version) + len(raw).to_bytes(width, "little") + raw + data


def described(descr: str = "'<f8'", fortran: str = "False", shape: str = "(2, 3)") -> bytes:
    """A file of 48 bytes of data behind a header of these three texts."""
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    return literal(text, data=bytes(48))


def parsed(tmp_path, content: bytes, **kw):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        return parse_header(fd, len(content), path="x.npy", **kw)
    finally:
        os.close(fd)


# Files of others


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 0, 3), (1, 2, 1, 3)])
def test_what_numpy_saves_is_found_where_it_is(npy, dtype, order, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # NumPy's, of version 3.0
        path = npy(shape, dtype, order)
    layout = open_npy(path)
    want = np.load(path)
    view = layout.view(np.fromfile(path, np.uint8), 0)
    assert view.dtype == want.dtype
    np.testing.assert_array_equal(view, want, strict=True)
    assert view.flags.f_contiguous == want.flags.f_contiguous


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_versions(tmp_path, version):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.arange(6.0).reshape(2, 3), version=version)
    header = parsed(tmp_path, file.getvalue())
    assert (header.version, header.shape, header.dtype) == (version, (2, 3), np.dtype("f8"))
    assert (header.fortran, header.data_offset, header.nbytes) == (False, 128, 48)
    assert header.trailing == 0


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("fortran", [False, True])
def test_numpy_reads_our_header(dtype, fortran):
    header = build_header((2, 3), dtype, fortran)
    assert len(header) == 4096
    data = np.random.default_rng(0).bytes(6 * dtype.itemsize)
    if dtype.kind == "U":
        data = np.array(["ab", "c", "", "d", "e", "f"], dtype).tobytes()
    loaded = np.load(io.BytesIO(header + data))
    assert loaded.dtype == dtype
    assert loaded.shape == (2, 3)
    assert loaded.flags.f_contiguous == fortran
    assert loaded.tobytes("A") == data


@pytest.mark.parametrize(
    ("fields", "length", "version"),
    [(100, 4096, (1, 0)), (400, 8192, (1, 0)), (6000, 110592, (2, 0))],
)
def test_long_headers_take_whole_pages(tmp_path, fields, length, version):
    dtype = np.dtype([(f"f{number:04}", "u1") for number in range(fields)])
    header = build_header((1,), dtype)
    assert (len(header), tuple(header[6:8])) == (length, version)
    content = header + bytes(fields)
    found = parsed(tmp_path, content, max_header=1 << 20)
    assert (found.dtype, found.shape, found.data_offset) == (dtype, (1,), length)
    assert np.load(io.BytesIO(content), max_header_size=1 << 20).dtype == dtype


def test_field_names_choose_the_version():
    assert build_header((1,), [("größe", "f8")])[6:8] == b"\1\0"
    assert build_header((1,), [("温度", "f8")])[6:8] == b"\3\0"


@pytest.mark.parametrize(
    "dtype",
    [
        np.dtype({"names": ["a", "b"], "formats": ["<i4", "<i2"], "offsets": [0, 2]}),
        np.dtype({"names": ["a", "b"], "formats": ["<i4", "<i4"], "offsets": [4, 0]}),
    ],
    ids=["overlapping", "out of order"],
)
def test_fields_that_no_header_describes(dtype):
    with pytest.raises(DtypeError, match="cannot describe"):
        build_header((1,), dtype)


# Files that are wrong


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", FormatError, "byte 0 begins b''.* only 0 bytes"),
        (MAGIC, FormatError, "ends at byte 6"),
        (MAGIC + b"\1\0v", FormatError, "ends at byte 9"),
        (b"\x93NUMPZ\1\0" + bytes(200), FormatError, "byte 0"),
        (literal("{}", (9, 0)), FormatError, "version 9.0 at byte 6"),
        (MAGIC + b"\2\0" + b"\xff" * 4 + bytes(10), FormatError, r"claims 4 GiB \(4294967295\)"),
        (MAGIC + b"\1\0" + b"\x76\0" + b"{}", FormatError, r"claims 118 B \(118\).* 12 B"),
        (literal(b" " * 20_000), FormatError, "20000 bytes, more than the 10000 .* max_header="),
        (literal("(" * 9000 + ")" * 900), FormatError, "nested deeper than 64"),
        (literal("-" * 9000 + "1"), FormatError, "not a"),
        (literal("{" + "'a':" * 50 + "1}"), FormatError, "not a Python literal"),
        (literal(described()[10:40] + b"\0"), FormatError, "NUL byte at 30"),
        (literal("{'descr': '\u20ac'}".encode("cp1252"), (3, 0)), FormatError, "not UTF-8 at 11"),
        (literal(b"\xff\xfe"), FormatError, "not a dict"),
        (literal(""), FormatError, "not a Python literal"),
        (literal("[1]"), FormatError, "not a dict"),
        (literal("{**{}}"), FormatError, "has the keys None"),
        (literal("{'descr': '<f8', 'shape': (2,)}"), FormatError, "has the keys"),
        (literal("{'descr': 1, 'fortran_order': 1, 'shape': 1, 'x': 1}"), FormatError, "'x'"),
        (
            literal("{'descr': 1, 'shape': 1, 'fortran_order': True, 'shape': (2,)}"),
            FormatError,
            "'shape', 'shape', not",
        ),
        (literal("{'descr': 1, 'shape': 1, [1]: True}"), FormatError, "has the keys"),
        (described(fortran="1"), FormatError, "fortran_order is 1, not a bool"),
        (described(shape="(-1,)"), FormatError, "extent -1 of axis 0"),
        (described(shape="(-2, -4)"), FormatError, "extent -2 of axis 0"),
        (described(shape="(True,)"), FormatError, "not a tuple of ints"),
        (described(shape="(6.0,)"), FormatError, "not a tuple of ints"),
        (described(shape="[2, 3]"), FormatError, "not a tuple of ints"),
        (described(shape="6"), FormatError, "not a tuple of ints"),
        (described(shape="0x" + "f" * 5000), FormatError, "a huge number"),
        (described(shape="(0x" + "f" * 5000 + ",)"), FormatError, "the header's"),
        (described(shape=f"({1 << 63},)"), FormatError, "extent 9223372036854775808 of axis 0"),
        (described(shape=f"({1 << 48},)"), FormatError, "not in 0 ... 2"),
        (described(shape=str((1,) * 65)), FormatError, "65 axes, but at most 64"),
        (described(shape=f"({1 << 32}, {1 << 32}, 8)"), FormatError, "over 2..63 bytes"),
        (described(shape=f"(0, {1 << 47}, {1 << 47})"), FormatError, "over 2..63 bytes"),
        (described(shape="(2, 4)"), TruncatedFileError, r"needs 133 B \(133\).* has 117 B \(117\)"),
        (described(shape=f"({1 << 40},)"), TruncatedFileError, r"needs 8 TiB .* has 1\d\d B"),
        (described(descr="'O'"), DtypeError, "dtype object cannot lie in a file"),
        (described(descr="'|O8'"), DtypeError, "dtype object cannot lie in a file"),
        (described(descr="[('a', '<f8'), ('b', 'O')]"), DtypeError, "cannot lie in a file"),
        (described(descr="[('a', ('O', (2,)))]"), DtypeError, "cannot lie in a file"),
        (described(descr="'|S0'"), DtypeError, "cannot lie in a file"),
        (described(descr="'<f16'"), DtypeError, "cannot lie in a file"),
        (described(descr="'|V2147483647'"), DtypeError, "2 GiB, but 1 B to 1 MiB can be mapped"),
        (described(descr="'|V9999999999'"), FormatError, "is not a dtype"),
        (described(descr="'<f8,<f8'"), FormatError, "is not a dtype"),
        (described(descr="'float64'"), FormatError, "is not a dtype"),
        (described(descr="'<q9'"), FormatError, "is not a dtype"),
        (described(descr="'<i16'"), FormatError, "is not a dtype"),
        (described(descr="('<f8', (2,))"), FormatError, "is not a dtype"),
        (described(descr="{'names': ['a'], 'formats': ['<f8']}"), FormatError, "is not a dtype"),
        (described(descr="[]"), FormatError, "is not a dtype"),
        (described(descr="[('a', '<f8'), ('a', '<f8')]"), FormatError, "is not a dtype"),
        (described(descr="[('a', '<f8', (0,))]"), FormatError, "is not a dtype"),
        (described(descr="[('a', 'V1048576', (1048576, 1048576))]"), FormatError, "not a dtype"),
        (described(descr="8"), FormatError, "is not a dtype"),
    ],
)
@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_bad_file_is_refused_and_left_alone(
    tmp_path, opened_since, content, error, message, mode
):
    path = tmp_path / "bad.npy"
    path.write_bytes(content)
    before, opened = FileKey.of(path), opened_since()
    start = time.thread_time()
    tracemalloc.start()
    try:
        with pytest.raises(error, match=message) as caught:
            open_npy(path, mode)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert type(caught.value) is error
    assert str(path) in str(caught.value)
    assert time.thread_time() - start < 1
    assert peak < 8 << 20
    assert opened() == []
    assert FileKey.of(path) == before
    assert path.read_bytes() == content


def test_code_in_a_header_is_not_run(tmp_path):
    canary = tmp_path / "canary"
    path = tmp_path / "x.npy"
    path.write_bytes(described(descr=f"__import__('os').mkdir({str(canary)!r})"))
    with pytest.raises(FormatError, match="not a Python literal"):
        open_npy(path)
    assert not canary.exists()


def test_sixty_thousand_brackets_whatever_the_cap(tmp_path):
    content = literal(("(" * 60_000).ljust(65_000))
    with pytest.raises(FormatError, match="max_header="):
        parsed(tmp_path, content)
    with pytest.raises(FormatError, match="nested deeper"):
        parsed(tmp_path, content, max_header=1 << 20)


def test_the_header_cap_can_be_raised(tmp_path):
    text = described()[10:-48].ljust(20_000)
    content = literal(text, data=bytes(48))
    with pytest.raises(FormatError, match="20000 bytes"):
        parsed(tmp_path, content)
    assert parsed(tmp_path, content, max_header=20_000).shape == (2, 3)


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(described()[:20])
    with path.open("rb") as file, pytest.raises(TruncatedFileError, match="shrank"):
        parse_header(file.fileno(), 200)


def test_an_empty_array_of_a_huge_shape(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(described(shape=f"(0, {1 << 47})")[:-48])
    layout = open_npy(path)
    assert layout.span() == (path.stat().st_size,) * 2
    assert layout.view(np.zeros(0, np.uint8), 0).shape == (0, 1 << 47)


def test_a_longer_file_opens_and_warns_once(tmp_path):
    path = tmp_path / "x.npy"
    content = described() + b"tail"
    path.write_bytes(content)
    message = rf"has 121 B \(121\), but its header describes {len(content) - 4} B"
    with pytest.warns(UserWarning, match=message):
        layout = open_npy(path, "r+")
    assert open_npy(path) == layout  # warnings are errors here
    assert layout.span()[1] == len(content) - 4
    assert path.read_bytes() == content


@given(st.data())
def test_damaged_headers_never_surprise(tmp_path_factory, data):
    good = build_header((2, 3), STRUCT, size=128) + bytes(6 * STRUCT.itemsize)
    raw = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, 127))
        raw[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))))
    path = tmp_path_factory.getbasetemp() / "damaged.npy"
    path.write_bytes(raw[:cut])
    fd = os.open(path, os.O_RDONLY)
    try:
        header = parse_header(fd, cut)
    except (FormatError, DtypeError):
        pass
    else:
        assert header.data_offset + header.nbytes + header.trailing == cut
    finally:
        os.close(fd)
    assert path.read_bytes() == raw[:cut]


@given(st.text(alphabet="{}()[]',:-0123456789 descrfortan_shapeTrueFal<>|OV\\\"", max_size=200))
@example("{'descr':'<f8','fortran_order':False,'shape':()}")
def test_random_literals_never_surprise(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "random.npy"
    path.write_bytes(literal(text, data=bytes(8)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            layout = open_npy(path)
        except (FormatError, DtypeError):
            return
    assert layout.span()[1] <= path.stat().st_size


# Files that are no files


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("writable", [False, True])
def test_only_regular_files_open(tmp_path, writable):
    os.mkfifo(tmp_path / "pipe")
    cases = {tmp_path: "a directory", tmp_path / "pipe": "a pipe", "/dev/null": "a character"}
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(tmp_path, os.O_RDONLY)
        try:  # by way of /proc: a socket's own path must be short
            listener.bind(f"/proc/self/fd/{folder}/socket")
        finally:
            os.close(folder)
        cases[tmp_path / "socket"] = "a socket"
        for path, what in cases.items():
            start = time.monotonic()
            with pytest.raises(NotRegularFileError, match=what):
                open_regular(path, writable)
            assert time.monotonic() - start < 10  # of a FIFO one waits for ever


def test_links_are_followed(tmp_path, npy):
    path = npy((2, 3))
    (tmp_path / "link.npy").symlink_to(path)
    layout = open_npy(tmp_path / "link.npy", "r+")
    assert layout.file.path == str(tmp_path / "link.npy")
    assert layout.same_elements(open_npy(path))
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(OSError, match="symbolic links"):
        open_npy(tmp_path / "loop")
    with pytest.raises(FileNotFoundError):
        open_npy(tmp_path / "dangling", "r+")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_writing_needs_permission(npy):
    path = npy((2, 3))
    path.chmod(0o400)
    open_npy(path)
    with pytest.raises(PermissionError):
        open_npy(path, "r+")


def test_modes_are_r_and_r_plus(npy):
    path = npy((2, 3))
    for mode in ("w", "w+", "rb", "c"):
        with pytest.raises(ValueError, match="mode is 'r' or 'r\\+'"):
            open_npy(path, mode)
        with pytest.raises(ValueError, match="mode is 'r' or 'r\\+'"):
            open_raw(path, 1, "u1", mode=mode)


# Raw files


@pytest.mark.parametrize("order", "CF")
def test_raw_array_inside_a_file(tmp_path, order):
    array = np.arange(24, dtype=">i2").reshape(2, 3, 4)
    path = tmp_path / "x.bin"
    path.write_bytes(b"12345" + array.tobytes(order) + b"tail")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    layout = open_raw(path, (2, 3, 4), ">i2", offset=5, order=order, mode="r+")
    view = layout.view(np.fromfile(path, np.uint8), 0)
    assert np.array_equal(view, array)
    assert layout.contiguous == order
    assert not layout.aligned
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def test_raw_extent_from_the_file_size(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(8 + 5 * 12))
    assert open_raw(path, (-1, 3), "f4", offset=8).shape == (5, 3)
    assert open_raw(path, (3, -1), "f4", offset=8, order="F").shape == (3, 5)
    assert open_raw(path, -1, "u1").shape == (68,)
    assert open_raw(path, -1, "u1", offset=68).shape == (0,)
    assert open_raw(path, 4, "f4").shape == (4,)
    with pytest.raises(FormatError, match=r"68 bytes from byte 0 on .* pieces of 12 bytes"):
        open_raw(path, (-1, 3), "f4")


@pytest.mark.parametrize(
    ("kw", "error", "message"),
    [
        ({"shape": (5,)}, TruncatedFileError, r"needs 40 B \(40\), but the file has 32 B \(32\)"),
        ({"shape": (4,), "offset": 1}, TruncatedFileError, r"needs 33 B \(33\)"),
        ({"shape": (-1,), "offset": 33}, TruncatedFileError, r"beyond the end .* 32 B \(32\)"),
        ({"shape": (0,), "offset": 33}, TruncatedFileError, r"needs 33 B"),
        ({"shape": (4,), "offset": -1}, ValueError, "offset must be at least 0, not -1"),
        ({"shape": (-1, -1)}, ValueError, "may have one -1"),
        ({"shape": (-1, 0)}, ValueError, "may have one -1"),
        ({"shape": (-2,)}, ValueError, "extent -2 of axis 0"),
        ({"shape": (2.0,)}, TypeError, "integer"),
        ({"shape": (True,)}, TypeError, "bool where an int"),
        ({"shape": (4,), "order": "A"}, ValueError, "order is 'C' or 'F', not 'A'"),
        ({"shape": (4,), "dtype": object}, DtypeError, "dtype object cannot"),
        ({"shape": (4,), "dtype": "S"}, DtypeError, "cannot lie in a file"),
    ],
)
def test_raw_mistakes(tmp_path, opened_since, kw, error, message):
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(32))
    opened = opened_since()
    with pytest.raises(error, match=message):
        open_raw(path, **{"dtype": "f8", **kw})
    assert opened() == []


# Content, dtypes, shapes


def test_sniff_goes_by_content(tmp_path, npy):
    assert sniff(npy((2,), name="data.bin")) == "npy"
    for name, content in {"a.npy": b"", "b.npy": b"\x93NUM", "c.h5": bytes(4096)}.items():
        (tmp_path / name).write_bytes(content)
        assert sniff(tmp_path / name) == "raw"
    for at in (0, 512, 1024, 2048):
        (tmp_path / "h.bin").write_bytes(bytes(at) + b"\x89HDF\r\n\x1a\n")
        assert sniff(tmp_path / "h.bin") == "hdf5"
    with pytest.raises(NotRegularFileError, match="is a directory"):
        sniff(tmp_path)
    for name in ("zarr.json", ".zarray"):
        (tmp_path / name).write_text("{}")
        assert sniff(tmp_path) == "zarr"
        (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError):
        sniff(tmp_path / "nowhere")


@pytest.mark.parametrize("dtype", [*DTYPES, np.dtype([("a", [("b", "f4", (2,))])])], ids=str)
def test_plain_dtypes_pass(dtype):
    assert plain_dtype(dtype) is dtype


@pytest.mark.parametrize(
    "dtype",
    ["O", "g", "G", "S", "U", "V", [], [("a", "f8"), ("b", "O")], [("a", "g", (2,))], ("f4", (2,))],
)
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(DtypeError, match=r"^out: dtype .* cannot lie in a file"):
        plain_dtype(dtype, "out")


def test_an_element_has_at_most_a_mebibyte():
    assert plain_dtype("V1048576").itemsize == 1 << 20
    with pytest.raises(DtypeError, match="but 1 B to 1 MiB can be mapped"):
        plain_dtype("V1048577")


def test_shapes():
    assert plain_shape(np.int64(3), 8) == (3,)
    assert type(plain_shape(np.array([3, 4]), 8)[0]) is int
    assert plain_shape((1 << 47, 1 << 12), 8) == (1 << 47, 1 << 12)
    with pytest.raises(ValueError, match="over 2"):
        plain_shape((1 << 47, 1 << 13), 8)
