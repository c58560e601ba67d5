"""Tries the command line: what it says, how it ends, what a script can rely on.

The ends of a process (pipes, signals, terminals, refused system calls) are tried on real
processes, everything else in this one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import seccomp
from hypothesis import given
from hypothesis import strategies as st

import oocarray as oo
from oocarray import cli, errors
from oocarray.cli import completion, heat, output, words
from oocarray.cli.entry import COMMANDS, make_parser
from oocarray.cli.heat import Cell, arrange
from oocarray.cli.places import mappers
from oocarray.pages import calls, pagecache
from oocarray.pages.pagecache import Counts
from oocarray.runtime import limits
from oocarray.storage.filesystems import FileSystem

ROOT = Path(__file__).resolve().parents[1]
NAMES = [command.name for command in completion.describe(make_parser()) if command.name]
PAGE = calls.PAGE


def run(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb"}
    return subprocess.run(
        [sys.executable, "-m", "oocarray", *map(str, arguments)],
        capture_output=True, text=True, timeout=100, env=environment, **more,
    )  # fmt: skip


@pytest.fixture
def say(capsys) -> Callable[..., tuple[int, str, str]]:
    """Run a command here; return its exit code, what it printed, and what it complained of."""

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = ended.code
        found = capsys.readouterr()
        return code, found.out, found.err

    return call


@pytest.fixture
def array(tmp_path) -> Path:
    """4 MiB of float32 in a file of ours, on the disk and not in the page cache."""
    path = tmp_path / "x.npy"
    oo.create(path, (1024, 1024), "f4", fill_value=1)
    drop(path)
    return path


def drop(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.fdatasync(fd)
    end = time.monotonic() + 5
    while True:  # the kernel may have a page in hand
        calls.drop_cached(fd, 0, os.fstat(fd).st_size)
        if not cached(path).cached or time.monotonic() > end:
            break
        time.sleep(0.01)
    os.close(fd)


def cached(path: Path, start: int = 0, stop: int | None = None) -> Counts:
    fd = os.open(path, os.O_RDONLY)
    try:
        (found,) = pagecache.count_pages(fd, [(start, stop or os.fstat(fd).st_size)])
    finally:
        os.close(fd)
    return found


def skip_unless_counted(path: Path) -> None:
    if cached(path).dirty is None:
        pytest.skip("this system does not count cached pages (cachestat, Linux 6.5)")


# ---- the frame -----------------------------------------------------------------------------


def test_each_command_is_in_the_page_of_the_documentation() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text()
    for name in NAMES:
        assert re.search(rf"^## .*`{name}`", page, re.MULTILINE), f"{name} has no heading"
        assert f"$ oocarray {name}" in page, f"{name} has no example"
    assert len(NAMES) == len(COMMANDS)


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_help_with_examples(say, name: str) -> None:
    code, out, _ = say(name, "--help")
    assert code == 0
    assert f"usage: oocarray {name} " in out
    assert "examples:\n  " in out
    example = out.partition("examples:\n")[2]
    assert f"oocarray {name}" in example
    assert max(map(len, out.partition("examples:")[0].splitlines())) <= 100
    assert "--debug" in out


def test_help_tells_the_exit_codes(say) -> None:
    out = say("--help")[1]
    assert re.findall(r"^  (\d+) +\w", out, re.MULTILINE) == ["0", "1", "2", "130", "143"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info"], "the following arguments are required: FILE"),
        (["info", "--js", "x"], "unrecognized arguments: --js"),
        (["info", "--shape", "1,b", "x"], "'1,b' is not a shape"),
        (["info", "--shape", "4", "x"], "--dtype is missing"),
        (["info", "--dtype", "f4", "x"], "--shape is missing"),
        (["info", "--offset", "4", "x"], "--offset is for raw arrays"),
        (["info", "--order", "F", "x"], "--order is for raw arrays"),
        (["info", "--shape", "4", "--dtype", "float99", "x"], "knows no dtype 'float99'"),
        (["info", "--offset", "-4", "x"], "cannot read '-4' as a size"),
        (["info", "--chunks", "many", "x"], "cannot read 'many' as a size"),
        (["warm", "--region", "1:2:3", "x"], "'1:2:3' has a step"),
        (["warm", "--region", "1:2:1:5", "x"], "'1:2:1:5' is not a region"),
        (["warm", "--region", "a", "x"], "'a' is not a region"),
        (["warm", "--region", "...,...", "x"], "more than one '...'"),
        (["residency", "--watch", "0", "x"], "'0' is not above 0"),
        (["residency", "--watch", "1", "--json", "x"], "does not go with --json"),
        (["completion", "csh"], "invalid choice: 'csh'"),
    ],
)
def test_wrong_usage_is_one_line_and_2(say, arguments: list[str], message: str) -> None:
    code, out, error = say(*arguments)
    assert (code, out) == (2, "")
    assert error.startswith("oocarray: error: ")
    assert message in error
    assert error.count("\n") == 1


def test_an_error_is_one_line_unless_debug(say, tmp_path) -> None:
    missing = tmp_path / "none.npy"
    line = f"oocarray: error: {missing}: No such file or directory\n"
    assert say("info", missing) == (1, "", line)
    assert say("warm", missing, "--json") == (1, "", line)
    for arguments in (["--debug", "info"], ["info", "--debug"], ["warm", "--debug"]):
        with pytest.raises(FileNotFoundError):
            cli.main([*arguments, str(missing)])


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (FileNotFoundError(2, "No such file", "a.npy"), "a.npy: No such file"),
        (PermissionError(13, "Denied", "a", None, "b"), "a: b: Denied"),
        (errors.NotRegularFileError("a is a pipe"), "a is a pipe"),
        (ValueError("bad"), "bad"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (KeyError(), "KeyError"),
        (MemoryError(), "the system has no memory left"),
    ],
)
def test_exceptions_as_a_user_would_say_them(error: Exception, sentence: str) -> None:
    assert output.sentence(error) == sentence


def test_what_json_cannot_say(capsys) -> None:
    class Arguments:
        json = True

    record = {
        "a": np.float32("inf"), "b": [np.nan, np.int8(3)], "c": np.arange(2), "d": "[\n 1\n ]",
        "e": (1, 2.5), "f": None, "g": np.True_, "h": Path("x"), "i": [],
    }  # fmt: skip
    output.emit(Arguments(), record, lambda on: pytest.fail("text was asked for"))
    out = capsys.readouterr().out
    assert json.loads(out) == {
        "a": "inf", "b": ["nan", 3], "c": [0, 1], "d": "[\n 1\n ]",
        "e": [1, 2.5], "f": None, "g": True, "h": "x", "i": [],
    }  # fmt: skip
    assert '"e": [1, 2.5],' in out


def test_a_table_keeps_its_columns_in_line(capsys) -> None:
    output.table(output.console(), ["name", ">bytes"], [("a", "1"), ("[red]long", "23")])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["name       bytes", "a              1", "[red]long     23"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("5", (5,)),
        ("-3:, 1", (slice(-3, None), 1)),
        ("[:, 2:4]", (slice(None), slice(2, 4))),
        ("...,0", (..., 0)),
        ("1:2:1", (slice(1, 2),)),
    ],
)
def test_regions_cut_as_numpy_does(text: str, key: object) -> None:
    assert words.region(text) == key
    x = np.arange(10 * 6).reshape(10, 6)
    part = x[words.cut(words.region(text), x.shape)]
    assert part.ravel().tolist() == x[key].ravel().tolist()
    assert part.ndim == 2


def test_a_region_outside_is_refused(say, array) -> None:
    code, _, error = say("warm", array, "--region", "1024")
    assert (code, "index 1024 is outside axis 0 of 1024" in error) == (1, True)
    code, _, error = say("evict", array, "--region", "1,2,3")
    assert (code, "3 entries, but the array has 2 axes" in error) == (1, True)


def test_a_closed_pipe_is_no_error(array) -> None:
    for arguments in (["info", array], ["residency", array, "--json"], ["--help"]):
        with subprocess.Popen(
            [sys.executable, "-m", "oocarray", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            process.stdout.close()
            error = process.stderr.read()
            assert process.wait(60) in (0, 1)
        assert error == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_one_line(array) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "oocarray", "info", array],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "oocarray: error: No space left on device\n")


_HEAVY = "numba llvmlite dask zarr matplotlib h5py cloudpickle"


@pytest.mark.parametrize("arguments", [["--help"], ["info", "FILE"], ["completion", "bash"]])
def test_little_is_imported(array, arguments: list[str]) -> None:
    given = [str(array) if word == "FILE" else word for word in arguments]
    code = (
        "import contextlib, sys\n"
        "from oocarray.cli import main\n"
        f"with contextlib.suppress(SystemExit): main({given!r})\n"
        f"print(sorted(set(sys.modules) & set({_HEAVY.split()!r})), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "[]\n"
    assert done.stdout


# ---- info ----------------------------------------------------------------------------------


def test_info_as_text(say, array, tmp_path) -> None:
    link = tmp_path / "link.npy"
    link.symlink_to("x.npy")
    code, out, error = say("info", link)
    assert (code, error) == (0, "")
    assert out.startswith(f"{link} -> {array}\n")
    for line in (
        "  format      npy 1.0, header of 4 KiB (4096)",
        "  array       (1024, 1024) of float32, C order, 4 MiB",
        "  data        from byte 4096",
        "  blocks      1 block of at most (1024, 1024)",
    ):
        assert line in out.splitlines()
    assert "4 MiB (4198400), " in out
    assert ", writable" in out


def test_info_as_json(say, tmp_path) -> None:
    np.save(tmp_path / "f.npy", np.ones((300, 200), order="F"))
    with open(tmp_path / "f.npy", "ab") as stream:
        stream.write(b"more")
    os.truncate(tmp_path / "f.npy", 128 + 480000 + (8 << 20))
    code, out, error = say("info", "--json", "--chunks", "100,-1", tmp_path / "f.npy")
    assert (code, error) == (0, "")
    (record,) = json.loads(out)
    assert {
        "format": "npy", "version": "1.0", "header_bytes": 128, "shape": [300, 200],
        "dtype": "float64", "order": "F", "data_offset": 128, "data_bytes": 480000,
        "trailing_bytes": 8 << 20, "numblocks": [3, 1], "blockshape": [100, 200],
        "size": 128 + 480000 + (8 << 20), "writable": True,
    }.items() <= record.items()  # fmt: skip
    assert record["allocated"] < record["size"]
    assert "(sparse)" in say("info", tmp_path / "f.npy")[1]


def test_info_of_raw_files(say, tmp_path) -> None:
    path = tmp_path / "x.raw"
    path.write_bytes(bytes(10 + 6000))
    code, out, _ = say("info", path)
    assert (code, "raw or unknown" in out) == (0, True)
    options = ["--shape", "-1,100", "--dtype", ">i2", "--offset", "10", "--order", "F"]
    code, out, error = say("info", "--json", *options, path)
    assert (code, error) == (0, "")
    (record,) = json.loads(out)
    assert (record["format"], record["shape"], record["dtype"]) == ("raw", [30, 100], ">i2")
    assert (record["data_offset"], record["order"], record["trailing_bytes"]) == (10, "F", 0)


def test_a_bad_file_does_not_hide_the_others(say, array, tmp_path) -> None:
    broken = tmp_path / "broken.npy"
    broken.write_bytes(array.read_bytes()[:100])
    missing = tmp_path / "none.npy"
    code, out, error = say("info", broken, array, missing, tmp_path)
    assert code == 1
    assert "(1024, 1024) of float32" in out
    lines = error.splitlines()
    assert len(lines) == 3
    for line, path in zip(lines, (broken, missing, tmp_path), strict=True):
        assert line.startswith(f"oocarray: error: {path}")
    code, out, again = say("info", "--json", broken, array, missing, tmp_path)
    assert (code, again) == (1, error)
    records = json.loads(out)
    assert ["error" in record for record in records] == [True, False, True, True]


def test_a_name_that_is_no_text_can_be_shown(tmp_path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff.npy"
    with open(name, "wb") as stream:
        np.save(stream, np.arange(3))
    done = subprocess.run(
        [sys.executable, "-m", "oocarray", b"info", name, name + b"x"],
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.startswith(name + b"\n")
    assert done.stderr == b"oocarray: error: " + name + b"x: No such file or directory\n"


# ---- counting pages ------------------------------------------------------------------------


def test_what_was_read_is_counted(array) -> None:
    skip_unless_counted(array)
    assert cached(array) == Counts(0, 0, 0, 0, 0)
    fd = os.open(array, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)  # no more than is asked for
    os.pread(fd, PAGE, 10 * PAGE)
    parts = [
        (10 * PAGE, 11 * PAGE),
        (11 * PAGE - 1, 12 * PAGE),
        (0, PAGE),
        (5, 5),
        (1 << 40, 2 << 40),
    ]
    found = [counts.cached for counts in pagecache.count_pages(fd, parts)]
    os.close(fd)
    assert found[0] == PAGE
    assert found[1] >= PAGE
    assert found[3:] == [0, 0]


def test_what_was_written_is_dirty_until_it_is_synced(array) -> None:
    skip_unless_counted(array)
    with open(array, "r+b") as stream:
        stream.seek(1 << 20)
        stream.write(bytes(1 << 20))
        stream.flush()
        now = cached(array, 1 << 20, 2 << 20)
        assert now.dirty + now.writeback > 0
        os.fsync(stream.fileno())
    assert cached(array).dirty == 0


@pytest.mark.parametrize("method", ["cachestat", "mincore"])
def test_both_ways_to_count_agree(array, monkeypatch, method: str) -> None:
    skip_unless_counted(array)
    array.read_bytes()
    parts = [(0, 100), (PAGE, 3 * PAGE), (0, 1 << 30)]
    fd = os.open(array, os.O_RDONLY)
    try:
        known = pagecache.count_pages(fd, parts)
        if method == "mincore":
            monkeypatch.setattr(calls, "cache_counts", lambda *range: None)
            monkeypatch.setattr(pagecache, "_PIECE", 1 << 20)
        found = pagecache.count_pages(fd, parts)
    finally:
        os.close(fd)
    assert [counts.cached for counts in found] == [counts.cached for counts in known]
    assert {counts.dirty is None for counts in found} == {method == "mincore"}


def test_of_others_files_mincore_is_not_believed(array, monkeypatch) -> None:
    monkeypatch.setattr(calls, "cache_counts", lambda *range: None)
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(array).st_uid + 1)
    monkeypatch.setattr(os, "access", lambda *where, **how: False)
    assert cached(array) == pagecache.UNKNOWN


@pytest.mark.skipif("cachestat" not in seccomp.NUMBERS, reason="no numbers for this processor")
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_where_both_calls_are_refused_it_is_unknown(array, code: int) -> None:
    program = (
        "import sys, seccomp\n"
        f"seccomp.refuse([('cachestat', {code}), ('mincore', {code})])\n"
        "from oocarray.cli import main\n"
        f"for words in (['info', '--json'], ['residency'], ['evict'], ['warm']):\n"
        f"    assert main([*words, {str(array)!r}]) == 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert '"cached": null' in done.stdout
    assert "how much of it is cached the system does not tell" in done.stdout
    assert f"{array}: let go; how much is cached the system does not tell" in done.stdout
    assert f"{array}: 4 MiB read in" in done.stdout
    assert re.search(r"│\?+│", done.stdout)


def _ascending(numbers: list[int]) -> list[tuple[int, int]]:
    numbers = sorted(set(numbers))
    return list(zip(numbers[::2], numbers[1::2], strict=False))


@given(st.lists(st.integers(0, 1 << 20), max_size=9).map(_ascending), st.integers(1, 9))
def test_parts_hold_each_byte_once_and_are_cut_at_pages(ranges, parts: int) -> None:
    found = pagecache.cuts_of(ranges, parts)
    assert len(found) == parts
    flat = [part for some in found for part in some]
    assert all(low < high for low, high in flat)
    assert flat == sorted(flat)
    assert sum(high - low for low, high in flat) == sum(high - low for low, high in ranges)
    edges = {edge for span in ranges for edge in span}
    assert all(edge in edges or edge % PAGE == 0 for span in flat for edge in span)


@given(st.lists(st.integers(0, 1 << 20), max_size=9).map(_ascending))
def test_runs_of_pages_cover_the_ranges_and_no_page_more(ranges) -> None:
    found = pagecache.page_runs(ranges, 1 << 20)
    pages = {page for low, high in ranges for page in range(low // PAGE, -(-high // PAGE))}
    assert {page for low, high in found for page in range(low // PAGE, high // PAGE)} == pages
    assert all(one[1] < other[0] for one, other in pairwise(found))


# ---- residency -----------------------------------------------------------------------------


@given(
    st.integers(0, 5000), st.integers(0, 1 << 40), st.integers(1, 200), st.integers(1, 60)
)  # fmt: skip
def test_pictures_have_room_for_their_cells(blocks: int, nbytes: int, columns: int, rows: int):
    found = arrange(blocks, nbytes, columns, rows)
    assert found.columns <= columns
    assert found.rows <= rows
    assert found.columns * found.rows >= found.cells
    assert found.columns * (found.rows - 1) < max(found.cells, 1)
    assert found.cells == blocks * found.parts or (found.parts == 1 and found.cells <= blocks)
    firsts = [found.first_block(row, blocks) for row in range(found.rows)]
    assert firsts == sorted(firsts)
    assert not firsts or (firsts[0] == 0 and firsts[-1] < blocks)


@pytest.mark.parametrize(
    ("counts", "sign", "state"),
    [
        (Counts(8, 0, 0, 0, 0), "#", heat.CLEAN),
        (Counts(8), "#", heat.CLEAN),
        (Counts(0, 0, 0, 0, 0), "_", heat.ABSENT),
        (Counts(0, 0, 0, 8, 8), "e", heat.EVICTED),
        (Counts(8, 8, 0, 0, 0), "D", heat.DIRTY),
        (Counts(8, 4, 8, 0, 0), "W", heat.WRITEBACK),
        (Counts(), "?", heat.UNKNOWN),
    ],
)
def test_each_state_has_a_sign_and_a_colour(counts: Counts, sign: str, state: str) -> None:
    cell = Cell(8, counts)
    assert heat.character(cell, unicode=False) == sign
    assert heat.mix(cell, heat.LIGHT) == heat.LIGHT[state]
    assert heat.mix(cell, heat.DARK) == heat.DARK[state]


def test_a_single_dirty_page_is_seen(array) -> None:
    cell = Cell(1 << 20, Counts(1 << 20, PAGE, 0, 0, 0))
    assert heat.character(cell) == "D"
    red, _, blue = heat.mix(cell, heat.LIGHT)
    assert red > blue


@pytest.mark.parametrize("order", ["C", "F"])
def test_what_is_cached_is_drawn_where_it_is(say, tmp_path, order: str) -> None:
    path = tmp_path / "x.npy"
    oo.create(path, (1024, 2048), "f4", order=order, fill_value=1)
    skip_unless_counted(path)
    drop(path)
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)  # no more than is asked for
    assert len(os.pread(fd, 4096 + (4 << 20), 0)) == 4096 + (4 << 20)
    os.close(fd)
    chunks = "128,-1" if order == "C" else "-1,256"
    code, out, _ = say("residency", path, "--chunks", chunks)
    assert code == 0
    shape = "(128, 2048)" if order == "C" else "(1024, 256)"
    assert f"(1024, 2048) float32, 8 blocks of {shape}" in out
    cells = "".join(re.findall(r"│(.*)│", out))
    assert set(cells[: len(cells) // 2 - 1]) == {"█"}
    assert set(cells[len(cells) // 2 + 1 :]) == {"·"}
    code, out, _ = say("residency", path, "--chunks", chunks, "--json")
    record = json.loads(out)
    assert (record["source"], len(record["blocks"])) == ("cachestat", 8)
    starts = [block["start"] for block in record["blocks"]]
    assert starts == sorted(starts)
    shares = [block["cached"] >= 1 << 20 for block in record["blocks"]]
    assert shares == [True] * 4 + [False] * 4
    moving = 0 if order == "C" else 1
    assert [block["block"][moving] for block in record["blocks"]] == list(range(8))
    assert 4 << 20 <= record["total"]["cached"] <= (4 << 20) + 2 * PAGE


def test_any_file_has_a_picture(say, tmp_path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_bytes(b"x" * 100_000)
    (tmp_path / "hdf").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY\x09\x00")
    np.save(tmp_path / "none.npy", np.empty((0, 3)))
    np.save(tmp_path / "scalar.npy", np.float64(1))
    for path in tmp_path.iterdir():
        code, out, error = say("residency", path)
        assert code == 0
        assert out.startswith(path.name)
        assert ("it is shown as bytes" in error) == (path.name == "bad.npy")
        blocks = json.loads(say("residency", path, "--json")[1])["blocks"]
        assert len(blocks) == (path.name != "empty")
    code, _, error = say("residency", tmp_path)
    assert (code, "is a directory" in error) == (1, True)
    code, _, error = say("residency", tmp_path / "text", "--shape", "9999999", "--dtype", "f8")
    assert (code, "needs 76.3 MiB" in error) == (1, True)


def test_pictures_are_drawn(say, array, tmp_path) -> None:
    with open(array, "r+b") as stream:
        stream.write(b"\x93")  # dirty, and the same as before
    picture = tmp_path / "x.png"
    code, out, _ = say("residency", array, "--png", picture)
    assert code == 0
    assert f"Drawn to {picture}" in out
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    assert width == 1800
    assert 300 < height < 1400
    assert json.loads(say("residency", array, "--json", "--png", picture)[1])["png"] == str(picture)
    (tmp_path / "empty").write_bytes(b"")
    assert say("residency", tmp_path / "empty", "--png", picture)[0] == 0


def test_without_matplotlib_a_picture_is_refused(say, array, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, error = say("residency", array, "--png", tmp_path / "x.png")
    assert (code, out) == (1, "")
    assert "matplotlib is not installed" in error
    assert not (tmp_path / "x.png").exists()


def on_a_terminal(*arguments: str, columns: int) -> tuple[int, str]:
    """Run a command on a terminal of so many columns; return its exit code and what it drew."""
    lead, terminal = pty.openpty()
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
    environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONUTF8": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "oocarray", *map(str, arguments)],
        stdin=terminal, stdout=terminal, stderr=terminal, env=environment,
    ) as process:  # fmt: skip
        os.close(terminal)
        pieces = []
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while piece := os.read(lead, 65536):
                pieces.append(piece)
        os.close(lead)
        return process.wait(60), b"".join(pieces).decode()


def test_a_terminal_gets_colours_that_fit(array) -> None:
    code, text = on_a_terminal("residency", array, columns=60)
    assert code == 0
    assert "\x1b[38;2;" in text
    assert "\x1b[2;38;2;" not in text  # the cells are as bright as their key
    assert "▀" in text
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    pictures = [line for line in plain.splitlines() if "▀" in line or "██" in line]
    assert pictures
    assert max(map(len, pictures)) <= 60


def test_a_pipe_gets_no_colours(array) -> None:
    for arguments in (["residency"], ["info"], ["warm"], ["evict"]):
        done = run(*arguments, array)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_watching_ends_with_a_signal(array, number: int, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "oocarray", "residency", array, "--watch", "0.05"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        titles, limit = 0, time.monotonic() + 60
        while titles < 3 and time.monotonic() < limit:
            titles += process.stdout.readline().startswith("x.npy")
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
        assert (titles, process.returncode) == (3, code)
    assert error == ("oocarray: interrupted\n" if number == signal.SIGINT else "")


# ---- warm and evict ------------------------------------------------------------------------


def test_warm_and_evict(say, array) -> None:
    skip_unless_counted(array)
    size = os.stat(array).st_size
    code, out, error = say("warm", array, "--json")
    assert (code, error) == (0, "")
    record = json.loads(out)
    assert (record["bytes"], record["cached_before"], record["read"]) == (size, 0, size)
    assert record["cached_after"] == size
    assert record["bytes_per_second"] == pytest.approx(size / record["seconds"])
    assert "4 MiB were before; nothing had to be read" in say("warm", array)[1]
    with open(array, "r+b") as stream:
        stream.seek(1 << 20)
        stream.write(bytes(1 << 20))
    code, out, error = say("evict", array, "--json")
    assert (code, error) == (0, "")
    (record,) = json.loads(out)
    assert (record["cached_before"], record["cached_after"], record["why"]) == (size, 0, [])
    assert cached(array).cached == 0
    assert say("evict", array)[1] == f"{array}: 0 B cached before, 0 B after\n"


def test_evict_says_who_keeps_the_rest(say, array) -> None:
    skip_unless_counted(array)
    with open(array, "rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[2 << 20] == 0
        code, out, _ = say("evict", array)
    assert code == 0
    assert f"mapped by process {os.getpid()} (" in out
    assert cached(array).cached > 0
    assert mappers(os.stat(array).st_ino, str(array)) == []


def test_evict_goes_on_after_a_bad_file(say, array, tmp_path) -> None:
    array.read_bytes()
    code, out, error = say("evict", tmp_path / "none", array)
    assert (code, error.count("\n")) == (1, 1)
    assert f"{array}: " in out


def test_files_of_memory_stay_there(say, monkeypatch, array) -> None:
    from oocarray.cli import cache

    monkeypatch.setattr(cache, "file_system", lambda path: FileSystem("tmpfs", "/", ""))
    array.read_bytes()
    with open(array, "rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[0] == 0x93
        assert "tmpfs keeps its files in memory" in say("evict", array)[1]


def test_a_region_is_warmed_alone(say, array) -> None:
    skip_unless_counted(array)
    oo.create(array, (8, 4 << 20), "f4", overwrite=True, fill_value=1)
    drop(array)
    code, out, _ = say("warm", array, "--region", "2:4", "--json")
    assert (code, json.loads(out)["bytes"]) == (0, 32 << 20)
    assert cached(array, 4096 + (32 << 20), 4096 + (64 << 20)).cached == 32 << 20
    # The system reads ahead, but not to the far end.
    assert cached(array, 112 << 20).cached == 0
    code, out, _ = say("evict", array, "--region", "2:4")
    assert (code, "32 MiB cached before" in out) == (0, True)
    # What is cached in one piece with a page outside stays: 2 MiB at either end.
    assert cached(array, 35 << 20, 61 << 20).cached == 0


def test_many_small_pieces_are_warmed(say, array) -> None:
    skip_unless_counted(array)
    oo.create(array, (256, 64 << 10), "f4", overwrite=True, fill_value=1)
    drop(array)
    code, out, _ = say("warm", array, "--region", ":,5:7", "--json")
    assert (code, json.loads(out)["bytes"]) == (0, 256 * PAGE)
    for row in (0, 100, 255):
        start = 4096 + (row << 18)
        assert cached(array, start, start + PAGE).cached == PAGE


def test_warm_reads_where_pages_cannot_be_populated(say, array, monkeypatch) -> None:
    skip_unless_counted(array)
    monkeypatch.setattr(calls, "populate", lambda *range: False)
    assert say("warm", array)[0] == 0
    assert cached(array).cached == os.stat(array).st_size


def test_what_does_not_fit_is_not_warmed(say, array, monkeypatch) -> None:
    monkeypatch.setattr(limits, "room", lambda: 1 << 20)
    code, out, error = say("warm", array)
    assert (code, out) == (1, "")
    assert "4 MiB were to be cached, but memory has room for 1 MiB" in error
    assert "--region" in error
    assert "--force" in error
    assert cached(array).cached in (0, None)
    code, out, error = say("warm", array, "--force")
    assert code == 0
    assert error.startswith("oocarray: warning: ")
    assert "will be dropped again" in error
    assert say("warm", array, "--region", "0:10")[0] == 0


# ---- completion ----------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command_and_option(say, shell: str) -> None:
    code, out, _ = say("completion", shell)
    assert code == 0
    for command in completion.describe(make_parser()):
        assert command.name in out
        for option in command.options:
            for name in option.names:
                spelled = f"-l {name[2:]} " if shell == "fish" and name[:2] == "--" else name
                spelled = f"-s {name[1:]} " if shell == "fish" and name[1:2] != "-" else spelled
                assert spelled in out + " "
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=out, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")


def complete(folder: Path, *line: str) -> list[str]:
    """Ask bash what it would offer for the last word of a line."""
    script = (
        f"source <({sys.executable} -m oocarray completion bash)\n"
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _oocarray\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *line],
        cwd=folder, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return [word for word in done.stdout.split("\n") if word]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes(tmp_path) -> None:
    (tmp_path / "a b.npy").write_bytes(b"")
    (tmp_path / "abc").mkdir()
    assert complete(tmp_path, "oocarray", "") == NAMES
    assert complete(tmp_path, "oocarray", "--debug", "resi") == ["residency"]
    assert complete(tmp_path, "oocarray", "residency", "--p") == ["--png"]
    assert sorted(complete(tmp_path, "oocarray", "info", "a")) == ["a b.npy", "abc"]
    assert complete(tmp_path, "oocarray", "info", "--order", "") == ["C", "F"]
    assert complete(tmp_path, "oocarray", "info", "--order", "=", "F") == ["F"]
    assert complete(tmp_path, "oocarray", "info", "--order=") == ["--order=C", "--order=F"]
    assert complete(tmp_path, "oocarray", "demo", "--folder", "a") == ["abc"]
    assert complete(tmp_path, "oocarray", "completion", "z") == ["zsh"]
    assert complete(tmp_path, "oocarray", "info", "--shape", "") == []


def test_negative_values_are_no_options() -> None:
    from oocarray.cli.entry import make_parser

    parse = make_parser().parse_args
    assert parse(["stat", "x", "--range", "-.5", ".5"]).range == [-0.5, 0.5]
    filled = parse(["map", "f.py:g", "a", "b", "--on-error", "fill", "--fill-value", "-inf"])
    assert float(filled.fill_value) == -np.inf
    assert parse(["warm", "x", "--region", "-10:"]).region == (slice(-10, None),)
