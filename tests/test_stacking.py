"""Stacks of files against NumPy's `concatenate` and `stack`, and what is refused or noticed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oocarray as oo
from oocarray.errors import (
    ClosedError,
    DtypeError,
    FormatError,
    InputChangedError,
    NotRegularFileError,
    TruncatedFileError,
)
from oocarray.storage.files import open_npy, open_raw
from oocarray.storage.opened import Opened
from oocarray.storage.patterns import is_pattern, named_files, natural
from oocarray.storage.pieces import Pieces, Stretch, shape_of
from oocarray.storage.stacking import MOST_OPEN, StackTable, open_stack

Make = Callable[..., Path]


def _bytes(stretch: Stretch) -> np.ndarray:
    start, stop = stretch.layout.span()
    raw = np.frombuffer(os.pread(stretch.fd, stop - start, start), np.uint8)
    assert raw.size == stop - start
    return stretch.layout.view(raw, start)


def _read(opened: Opened) -> np.ndarray:
    """The whole array, piece by piece."""
    table = opened.place
    assert isinstance(table, StackTable)
    out = np.empty(shape_of(table), table.dtype)
    pieces = table.open(writable=False)
    try:
        for coords in np.ndindex(*(cut.count for cut in table.cuts)):
            found = pieces.find(coords)
            assert isinstance(found, Stretch)
            spans = [cut.span(k) for cut, k in zip(table.cuts, coords, strict=True)]
            part = _bytes(found)
            assert part.shape == tuple(b - a for a, b in spans)
            out[tuple(slice(a, b) for a, b in spans)] = part
    finally:
        pieces.close()
    return out


def _same(opened: Opened, want: np.ndarray) -> None:
    got = _read(opened)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_array_equal(got, want)


# Against NumPy

DTYPES = ["<i2", ">i2", "f8", "?", "c8", "S3", "M8[s]", [("a", "<i2"), ("b", ">f8")]]


@st.composite
def _joined(draw: st.DrawFn) -> tuple[list[np.ndarray], int | None, bool]:
    stack = draw(st.booleans())
    shape = draw(st.lists(st.integers(0, 4), min_size=0 if stack else 1, max_size=3))
    axes = len(shape) + stack
    axis = draw(st.none() | st.integers(-axes, axes - 1))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    arrays = []
    for number in range(draw(st.integers(1, 5))):
        if not stack:
            shape[axis or 0] = draw(st.integers(0, 4))
        raw = np.random.default_rng(number).integers(0, 2, int(np.prod(shape)) * dtype.itemsize)
        array = raw.astype("u1").view(dtype).reshape(shape)
        arrays.append(np.asarray(array, order=draw(st.sampled_from("CF"))))
    return arrays, axis, stack


@settings(max_examples=150)
@given(_joined())
def test_as_numpy_joins(joined: tuple[list[np.ndarray], int | None, bool]) -> None:
    arrays, axis, stack = joined
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.npy") for number in range(len(arrays))]
        for path, array in zip(paths, arrays, strict=True):
            np.save(path, array)
        opened = open_stack(paths, axis, stack)
        join: Any = np.stack if stack else np.concatenate
        _same(opened, join(arrays, axis=axis or 0).astype(arrays[0].dtype))
        assert opened.kind == opened.place.kind
        # What is opened in a worker is what was opened here.
        again = pickle.loads(pickle.dumps(opened.place))
        assert (again, hash(again)) == (opened.place, hash(opened.place))


def test_files_without_axes_are_stacked(npy: Make) -> None:
    paths = [npy(()), npy(()), npy(())]
    _same(open_stack(paths), np.stack([np.load(path) for path in paths]))
    with pytest.raises(np.exceptions.AxisError, match="pass stack=True"):
        open_stack(paths, axis=0)


def test_one_file_and_one_file_twice(npy: Make) -> None:
    path = npy((3, 4))
    assert open_stack(path).kind == "stack of 1 file along axis 0"
    _same(open_stack(str(path)), np.load(path))
    _same(open_stack([path, path], axis=1), np.concatenate([np.load(path)] * 2, axis=1))


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_new_axis_in_files_of_either_order(npy: Make, order: str) -> None:
    paths = [npy((3, 4, 2), "i4", order) for _ in range(3)]
    for axis in range(-4, 4):
        _same(open_stack(paths, axis, stack=True), np.stack([*map(np.load, paths)], axis=axis))


def test_files_without_elements_are_no_pieces(npy: Make) -> None:
    paths = [npy((n, 2), name=f"{k}.npy") for k, n in enumerate((0, 3, 0, 0, 2, 0))]
    table = open_stack(paths).place
    assert table.cuts[0].count == len(table.names) == 2
    assert table.kind == "stack of 6 files along axis 0"
    assert table.file.path == str(paths[0])
    _same(open_stack(paths), np.concatenate([*map(np.load, paths)]))
    _same(open_stack([paths[0], paths[2]]), np.zeros((0, 2)))


def test_raw_files(tmp_path: Path) -> None:
    want = []
    for number in range(3):
        array = np.arange(12, dtype=">i2").reshape(3, 4) + np.int16(100 * number)
        (tmp_path / f"{number}.dat").write_bytes(b"head" + array.astype(">i2").tobytes("F"))
        want.append(array)

    def opener(path: str) -> Any:
        return open_raw(path, (3, 4), ">i2", offset=4, order="F")

    _same(open_stack(f"{tmp_path}/*.dat", opener=opener), np.concatenate(want).astype(">i2"))
    with pytest.raises(FormatError, match=r"not an \.npy file"):
        open_stack(f"{tmp_path}/*.dat")


def test_headers_that_are_alike_are_told_apart(tmp_path: Path) -> None:
    """Files of one size and one header, and others of that size or with that header."""
    arrays = [np.full((2, 3), 1.0), np.full((2, 3), 2.0), np.full((3, 2), 3.0).T, np.ones((1, 3))]
    for number, array in enumerate([*arrays, arrays[0]]):
        np.save(tmp_path / f"{number}.npy", array)
    _same(open_stack(f"{tmp_path}/*.npy"), np.concatenate([*arrays, arrays[0]]))
    longer = (tmp_path / "4.npy").read_bytes() + b"1"
    (tmp_path / "4.npy").write_bytes(longer[:-2])
    with pytest.raises(TruncatedFileError, match=r"4\.npy"):
        open_stack(f"{tmp_path}/*.npy")
    (tmp_path / "4.npy").write_bytes(longer)
    with pytest.warns(UserWarning, match="the rest is never read"):
        opened = open_stack(f"{tmp_path}/*.npy")
    _same(opened, np.concatenate([*arrays, arrays[0]]))


# Which files


def test_natural_order(tmp_path: Path) -> None:
    names = ["day1", "day2", "day02", "day10", "Day3", "b2/x1", "b10/x0", "1", "x" + "9" * 60]
    ordered, backwards = sorted(names, key=natural), names[::-1]
    assert [n for n in ordered if n.startswith("day")] == ["day1", "day02", "day2", "day10"]
    assert ordered.index("b2/x1") < ordered.index("b10/x0")
    assert sorted(backwards, key=natural) == ordered


def test_a_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (10, 9, 100, 1):
        np.save(f"day{number}.npy", np.full(2, number))
    np.save(".hidden.npy", np.zeros(2))
    _same(open_stack("*.npy"), np.repeat([1, 9, 10, 100], 2))
    _same(open_stack("day[19].npy"), np.repeat([1, 9], 2))
    _same(open_stack(Path("day1?.npy")), np.repeat([10], 2))
    # A list keeps its order, and is taken by the letter.
    _same(open_stack(["day9.npy", "day1.npy"]), np.repeat([9, 1], 2))
    _same(open_stack(Path(f"day{n}.npy") for n in (100, 10)), np.repeat([100, 10], 2))
    with pytest.raises(FileNotFoundError):
        open_stack(["*.npy"])


def test_a_pattern_of_folders(tmp_path: Path) -> None:
    for folder in ("a", "b2/c", "b10", "b10/odd.npy"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("top", "a/x", "b2/c/x", "b10/x"):
        np.save(tmp_path / f"{name}.npy", np.zeros(1))
    found = [os.path.relpath(path, tmp_path) for path in named_files(tmp_path / "**/*.npy")]
    assert found == ["a/x.npy", "b2/c/x.npy", "b10/x.npy", "top.npy"]
    # Without ** a folder of that name was meant, and is no array.
    with pytest.raises(NotRegularFileError, match=r"odd\.npy is a directory"):
        open_stack(tmp_path / "b10/*.npy")


def test_a_name_that_looks_like_a_pattern(tmp_path: Path) -> None:
    np.save(tmp_path / "x[1].npy", np.ones(2))
    np.save(tmp_path / "x1.npy", np.zeros(2))
    assert not is_pattern(tmp_path / "x[1].npy")
    _same(open_stack(tmp_path / "x[1].npy"), np.ones(2))
    os.unlink(tmp_path / "x[1].npy")
    _same(open_stack(tmp_path / "x[1].npy"), np.zeros(2))


def test_nothing_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file matches the pattern") as caught:
        open_stack(f"{tmp_path}/*.npy")
    assert caught.value.filename == f"{tmp_path}/*.npy"
    with pytest.raises(FileNotFoundError):
        open_stack(tmp_path / "none.npy")
    with pytest.raises(ValueError, match="paths is empty"):
        open_stack([])


def test_names_that_are_not_text(tmp_path: Path) -> None:
    for number in (1, 2):
        with open(os.fsencode(tmp_path) + b"/\xff\n%d.npy" % number, "wb") as file:
            np.save(file, np.full(2, number))
    opened = open_stack(f"{tmp_path}/*.npy")
    again = pickle.loads(pickle.dumps(opened.place))
    _same(Opened(again, again.kind), np.repeat([1, 2], 2))


# What does not go together


def test_dtypes_that_differ(npy: Make) -> None:
    for first, second in (("<i4", ">i4"), ("f4", "f8"), ("M8[s]", "M8[ms]"), ("i8", "u8")):
        paths = npy((2,), first), npy((2,), second)
        with pytest.raises(DtypeError) as caught:
            open_stack(paths)
        for word in (*map(str, paths), np.dtype(first).str, np.dtype(second).str):
            assert word in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "axis", "stack", "rule"),
    [
        ((3, 5), 0, False, "may differ along axis 0 only"),
        ((2, 4), -1, False, "may differ along axis 1 only"),
        ((3, 4, 1), 0, False, "may differ along axis 0 only"),
        ((3,), None, False, "may differ along axis 0 only"),
        ((3, 5), 0, True, "must be equal"),
    ],
)
def test_shapes_that_differ(npy: Make, shape: Any, axis: Any, stack: bool, rule: str) -> None:
    first, second = npy((3, 4)), npy(shape)
    with pytest.raises(ValueError, match=rule) as caught:
        open_stack([first, first, second], axis, stack)
    for word in (str(first), str(second), "(3, 4)", str(shape)):
        assert word in str(caught.value)


@pytest.mark.parametrize(("axis", "stack"), [(2, False), (-3, False), (3, True), (-4, True)])
def test_an_axis_that_is_not_there(npy: Make, axis: int, stack: bool) -> None:
    with pytest.raises(np.exceptions.AxisError, match=f"axis {axis} is out of bounds"):
        open_stack([npy((3, 4))], axis, stack)


def test_an_axis_that_is_no_number(npy: Make) -> None:
    with pytest.raises(TypeError):
        open_stack([npy((3, 4))], 0.5)  # type: ignore[arg-type]


def test_too_many_elements_or_axes(tmp_path: Path, npy: Make) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)

    def opener(path: str) -> Any:
        return open_raw(path, (1 << 40,), "u1")

    assert open_stack([tmp_path / "huge"] * 200, opener=opener).place.cuts[0].count == 200
    with pytest.raises(ValueError, match="the stack: extent"):
        open_stack([tmp_path / "huge"] * 300, opener=opener)
    with pytest.raises(ValueError, match="65 axes"):
        open_stack([npy((1,) * 64)], 0, stack=True)


def test_pieces_in_another_form_are_refused(npy: Make) -> None:
    path = npy((3, 4))
    with pytest.raises(DtypeError, match="convert it first"):
        open_stack([path], opener=lambda name: open_stack(name).place)  # type: ignore[arg-type,return-value]


# Read-only, and the same files as before


def _pieces(paths: Any, **how: Any) -> Pieces:
    pieces: Pieces = open_stack(paths, **how).place.open(writable=False)
    return pieces


def test_a_stack_is_read_only(npy: Make) -> None:
    path = npy((3, 4))
    before = path.read_bytes()
    table = open_stack([path]).place
    with pytest.raises(PermissionError, match="open the files one by one") as caught:
        table.open(writable=True)
    assert caught.value.filename == str(path)
    pieces = table.open(writable=False)
    with pytest.raises(PermissionError):
        pieces.make((0, 0))
    with pytest.raises(PermissionError):
        pieces.put((0, 0), np.zeros((3, 4)))
    pieces.sync()
    pieces.close()
    assert path.read_bytes() == before


def test_files_are_closed(npy: Make, no_leaks: None) -> None:
    paths = [npy((2,), name=f"{k}.npy") for k in range(3)]
    pieces = _pieces(paths)
    stretches = [pieces.find((k,)) for k in range(3)]
    assert pieces.find((1,)) is stretches[1]
    pieces.close()
    pieces.close()
    with pytest.raises(ClosedError):
        pieces.find((0,))


def _replaced(path: Path) -> None:
    copy = path.with_suffix(".new")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


def _cut(path: Path) -> None:
    os.truncate(path, os.path.getsize(path) - 1)


def _reshaped(path: Path) -> None:
    with path.open("r+b") as file:
        np.save(file, np.load(path).reshape(4, 3))
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (_replaced, InputChangedError, "was replaced"),
        (_cut, TruncatedFileError, "was cut"),
        (_reshaped, InputChangedError, "header was rewritten"),
        (os.unlink, FileNotFoundError, "No such file"),
    ],
)
def test_a_file_that_changed(
    npy: Make, no_leaks: None, change: Callable[[Path], None], error: type[Exception], words: str
) -> None:
    paths = [npy((3, 4), name=f"{k}.npy") for k in range(3)]
    pieces = _pieces(paths)
    change(paths[1])
    with pytest.raises(error, match=words) as caught:
        pieces.find((1, 0))
    assert str(paths[1]) in str(caught.value)
    assert _bytes(pieces.find((2, 0))).tolist() == np.load(paths[2]).tolist()
    pieces.close()


def test_a_pipe_in_place_of_a_file_does_not_block(npy: Make) -> None:
    path = npy((3, 4))
    pieces = _pieces([path])
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(NotRegularFileError, match="is a pipe"):
        pieces.find((0, 0))
    pieces.close()


def test_new_values_and_rows_behind_are_welcome(tmp_path: Path) -> None:
    """The header names more rows, and the file is longer; the stack is as it was."""
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((3, 2)))
    pieces = _pieces([path, path])
    np.save(path, np.ones((5, 2)))
    assert _bytes(pieces.find((1, 0))).tolist() == [[1, 1]] * 3
    pieces.close()


def test_few_descriptors_and_the_latest_are_kept(npy: Make, opened_since: Any) -> None:
    paths = [npy((1,), name=f"{k}.npy") for k in range(MOST_OPEN + 8)]
    pieces, opened = _pieces(paths), opened_since()
    first = pieces.find((0,))
    for number in range(1, len(paths)):
        found = pieces.find((number,))
        assert pieces.find((0,)) is first  # asked for again and again: never the oldest
        assert _bytes(found) == np.load(paths[number])
    kept = [name for name in opened(patient=False) if name.endswith(".npy")]
    assert len(kept) == MOST_OPEN
    pieces.close()
    assert opened() == []


def test_two_threads(npy: Make) -> None:
    paths = [npy((1,), name=f"{k}.npy") for k in range(100)]
    for number, path in enumerate(paths):
        np.save(path, np.array([number]))
    pieces, wrong = _pieces(paths), []

    def look(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(0, 100, 2000):
            try:
                layout = pieces.find((int(number),)).layout
                if layout.file.path != str(paths[number]):
                    wrong.append((number, layout))
            except BaseException as error:
                wrong.append((number, error))

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pieces.close()
    assert not wrong


# Many


def _ten_thousand(folder: Path) -> None:
    np.save(folder / "day0.npy", np.zeros((2, 3), "<i4"))
    head = (folder / "day0.npy").read_bytes()[:-24]
    for number in range(10_000):
        data = head + np.full(6, number, "<i4").tobytes()
        (folder / f"day{number}.npy").write_bytes(data)


MANY = """
import os, pickle, resource, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from oocarray.storage.stacking import open_stack

begin = time.process_time()
table = open_stack(sys.argv[1]).place
opened = time.process_time() - begin
again = pickle.loads(pickle.dumps(table))
assert again == table and hash(again) == hash(table)
stacks = [again.open(writable=False) for _ in range(10)]  # more than 256 descriptors, together
total = 0
for number in range(table.cuts[0].count):
    for pieces in stacks if number < 100 else stacks[:1]:
        found = pieces.find((number, 0))
    layout = found.layout
    total += int.from_bytes(os.pread(found.fd, 4, layout.offset), "little")
    open("/dev/null").close()  # the stacks have left some descriptors to others
print(table.cuts[0].extent, total, len(pickle.dumps(table)), opened)
"""


def test_ten_thousand_files(tmp_path: Path) -> None:
    _ten_thousand(tmp_path)
    script = [sys.executable, "-c", textwrap.dedent(MANY), f"{tmp_path}/day*.npy"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    extent, total, pickled, seconds = done.stdout.split()
    assert (int(extent), int(total)) == (20_000, sum(range(10_000)))
    assert int(pickled) < 2_000_000
    # Of the processor: the disk and other tests are not what is measured.
    assert float(seconds) < 8  # one where nothing else is at work


def test_the_record_is_small_whatever_its_folder(npy: Make, tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a folder with a rather long name"] * 5)
    folder.mkdir(parents=True)
    np.save(folder / "x.npy", np.zeros((3, 2)))
    np.save(folder / "y.npy", np.zeros((4, 2)))
    layouts = {name: open_npy(folder / name) for name in ("x.npy", "y.npy")}
    names = ["x.npy", "y.npy"] * 5_000
    table = open_stack(names, opener=layouts.__getitem__).place
    assert table.layout(4) == layouts["x.npy"]
    assert len(pickle.dumps(table)) < 1_000_000
    assert len(repr(table)) < 100


def test_one_name_is_one_prefix(npy: Make) -> None:
    """All of the path is common to all files: nothing is left to name."""
    path = npy((3, 4))
    table = open_stack([path, path]).place
    assert (table.prefix, table.names) == (str(path), ("", ""))
    assert table.layout(1) == open_npy(path)


def test_stacks_are_told_apart(npy: Make) -> None:
    a, b = npy((3, 3)), npy((3, 3))
    tables = [
        open_stack(paths, axis, stack).place
        for paths in ([a, b], [b, a], [a, a], [a])
        for axis in (0, 1)
        for stack in (False, True)
    ]
    assert len(set(tables)) == len(tables)
    assert open_stack([a, b]).place in set(tables)


@pytest.mark.parametrize("scheduler", ["serial", "processes"])
def test_a_file_of_a_stack_that_changes_meanwhile_is_noticed(tmp_path, scheduler):
    names = [tmp_path / f"{n}.npy" for n in range(3)]
    for name in names:
        np.save(name, np.zeros(10))

    def changes(block, block_id=None):
        if block_id == (0,):
            os.utime(names[1], ns=(1, 1))
        return block

    x = oo.open(names)
    with oo.options(scheduler=scheduler, workers=1, progress=False):
        with pytest.raises(oo.InputChangedError, match="one of a stack, was changed"):
            x.map_blocks(changes, dtype="f8").sum().compute()
        # What is not read may change.
        assert x[20:].map_blocks(changes, dtype="f8").sum().compute() == 0
