"""Layouts against NumPy: the same indexing on the same bytes must give the same arrays."""

from __future__ import annotations

import itertools
import os
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oocarray.errors import InputChangedError
from oocarray.storage.layout import FileKey, Strided
from oocarray.storage.strides import dense_strides

KEY = FileKey("/data/x.bin", 1, 2, 1 << 16, 0)
OTHER = FileKey("/data/y.bin", 1, 3, 1 << 16, 0)
PAIR = np.dtype([("a", "u1"), ("b", ">i4"), ("c", "f4", (2, 3))])
DTYPES = [np.dtype(name) for name in ("u1", "<f8", ">i2", "c16", "S3", "M8[s]")] + [PAIR]


def page_of(nbytes: int) -> np.ndarray:
    """Varied bytes that begin on a page boundary, as a mapping does."""
    room = np.empty(nbytes + 4096, np.uint8)
    page = room[-room.ctypes.data % 4096 :][:nbytes]
    page[:] = np.random.default_rng(nbytes).integers(0, 256, nbytes, np.uint8)
    return page


PAGE = page_of(1 << 16)


def bytes_of(layout: Strided) -> list[set[int]]:
    """For every index, the bytes of the file it names."""
    starts = (
        layout.offset + sum(map(int.__mul__, index, layout.strides))
        for index in itertools.product(*map(range, layout.shape))
    )
    return [set(range(start, start + layout.itemsize)) for start in starts]


def union(layout: Strided) -> set[int]:
    return set().union(*bytes_of(layout))


def assert_same(layout: Strided, array: np.ndarray) -> None:
    """The layout's view is `array`: same memory, not only same values."""
    view = layout.view(PAGE[64:], 64)
    assert (view.shape, view.dtype) == (array.shape, array.dtype)
    assert (layout.size, layout.ndim, layout.nbytes) == (array.size, array.ndim, array.nbytes)
    if array.size:
        assert view.__array_interface__["data"] == array.__array_interface__["data"]
        assert all(
            n == 1 or mine == its
            for n, mine, its in zip(view.shape, view.strides, array.strides, strict=True)
        )


@st.composite
def dense(draw: Any) -> tuple[Strided, np.ndarray]:
    """A whole array in the page, as layout and as ndarray."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=4)))
    order = draw(st.sampled_from("CF"))
    offset = draw(st.integers(64, 100))
    layout = Strided(KEY, offset, shape, dtype, dense_strides(shape, dtype.itemsize, order))
    return layout, np.ndarray(shape, dtype, PAGE, offset, order=order)


@st.composite
def keys(draw: Any, shape: tuple[int, ...]) -> Any:
    """A basic index, within bounds."""
    some = shape[: draw(st.integers(0, len(shape)))]
    parts: list[Any] = [
        draw(st.slices(n) if n == 0 else st.one_of(st.slices(n), st.integers(-n, n - 1)))
        for n in some
    ]
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    if draw(st.booleans()):
        parts.append(...)
    return parts[0] if len(parts) == 1 and draw(st.booleans()) else tuple(parts)


def with_ellipsis(key: Any) -> tuple[Any, ...]:
    """The same index, spelled so that NumPy returns a view even of one element."""
    parts = key if isinstance(key, tuple) else (key,)
    return parts if any(part is ... for part in parts) else (*parts, ...)


@st.composite
def derived(draw: Any) -> tuple[Strided, np.ndarray]:
    """A layout and the ndarray it stands for, after a few steps of basic indexing."""
    layout, array = draw(dense())
    for step in draw(
        st.lists(st.sampled_from(["index", "index", "transpose", "field"]), max_size=4)
    ):
        if step == "index":
            key = draw(keys(array.shape))
            layout, array = layout.index(key), array[with_ellipsis(key)]
        elif step == "transpose":
            axes = draw(st.one_of(st.none(), st.permutations(range(array.ndim))))
            layout, array = layout.transpose(axes), array.transpose(axes)
        elif array.dtype.names:
            name = draw(st.sampled_from(array.dtype.names))
            layout, array = layout.field(name), array[name]
    return layout, array


@st.composite
def scattered(draw: Any) -> Strided:
    """Any strides at all, overlapping, negative or zero."""
    shape = tuple(draw(st.lists(st.integers(1, 4), max_size=3)))
    strides = tuple(draw(st.integers(-60, 60)) for _ in shape)
    dtype = np.dtype(f"V{draw(st.integers(1, 9))}")
    return Strided(KEY, 2000 + draw(st.integers(0, 80)), shape, dtype, strides)


layouts = st.one_of(scattered(), derived().map(lambda pair: pair[0]))


@st.composite
def regions(draw: Any, shape: tuple[int, ...]) -> tuple[slice, ...]:
    ends = [sorted((draw(st.integers(0, n)), draw(st.integers(0, n)))) for n in shape]
    return tuple(slice(start, stop) for start, stop in ends)


@given(derived())
def test_view_is_what_numpy_indexing_gives(pair):
    assert_same(*pair)


@given(derived())
def test_flags_are_numpys(pair):
    layout, array = pair
    flags = array.flags
    assert layout.contiguous == ("C" if flags.c_contiguous else "F" if flags.f_contiguous else "")
    assert layout.aligned == flags.aligned
    assert layout.native == array.dtype.isnative


@pytest.mark.parametrize(
    ("shape", "key"),
    [
        ((3,), 3),
        ((3,), -4),
        ((0,), 0),
        ((3,), (0, 0)),
        ((), 0),
        ((3, 4), (0, 0, None, 0)),
        ((3, 4), (..., ...)),
        ((3,), "a"),
        ((3,), [0, 1]),
        ((3,), (np.array([1, 2]),)),
        ((3,), 1.0),
    ],
)
def test_what_numpy_refuses_is_an_index_error(shape, key):
    array = np.zeros(shape)
    layout = Strided(KEY, 0, shape, np.dtype("f8"), array.strides)
    if not (isinstance(key, (list, tuple)) and np.size(key[0]) > 1) and not isinstance(key, list):
        with pytest.raises(IndexError):
            array[key]
    with pytest.raises(IndexError):
        layout.index(key)


@pytest.mark.parametrize("key", [True, np.True_, (slice(None), False)])
def test_bools_would_copy_and_are_refused(key):
    with pytest.raises(IndexError, match="only ints, slices, None"):
        Strided(KEY, 0, (3, 4), np.dtype("f8"), (32, 8)).index(key)


def test_numpy_ints_index():
    layout = Strided(KEY, 0, (3, 4), np.dtype("f8"), (32, 8))
    assert layout.index((np.int64(-1), np.array(2))).offset == 80


def test_index_error_names_both_numbers():
    with pytest.raises(IndexError, match="index 5 is out of bounds for axis 1 of 4 elements"):
        Strided(KEY, 0, (3, 4), np.dtype("f8"), (32, 8)).index((0, 5))


def test_unknown_fields_and_axes_are_value_errors():
    layout = Strided(KEY, 0, (3, 4), PAIR, (120, 30))
    with pytest.raises(ValueError, match=r"no field 'd' .* it has 'a', 'b', 'c'"):
        layout.field("d")
    with pytest.raises(ValueError, match="it has no fields"):
        layout.field("a").field("a")
    for axes in [(0,), (0, 0), (0, 2), (-3, 0)]:
        with pytest.raises(ValueError, match="not a permutation of 2 axes"):
            layout.transpose(axes)
    assert layout.transpose((-1, 0)).strides == (30, 120)


@given(layouts, st.data())
def test_span_is_the_smallest_range(layout, data):
    region = data.draw(regions(layout.shape))
    part = layout.region(region)
    held = union(part)
    want = (min(held), max(held) + 1) if held else (layout.offset, layout.offset)
    assert layout.span(region) == part.span() == want
    assert layout.span() == layout.span(tuple(slice(None) for _ in layout.shape))


@given(layouts, st.data(), st.sampled_from([0, 1, 5, 40, 65536]))
def test_runs_hold_the_region_and_nothing_that_gap_leaves_out(layout, data, gap):
    region = data.draw(regions(layout.shape))
    runs = layout.runs(region, gap=gap)
    held = union(layout.region(region))
    inside = set().union(*(range(start, stop) for start, stop in runs))
    assert held <= inside
    assert all(start < stop for start, stop in runs)
    assert all(a[1] + max(gap, 1) <= b[0] for a, b in itertools.pairwise(runs))
    if gap == 0:
        assert inside == held
    if runs:
        assert (runs[0][0], runs[-1][1]) == layout.span(region)
        ends = sorted(held)
        holes = [b - a - 1 for a, b in itertools.pairwise(ends) if b > a + 1]
        assert len(runs) == 1 + sum(hole >= gap for hole in holes)


def test_runs_stay_few_and_cheap():
    mib = 1 << 20
    columns = Strided(KEY, 4096, (1000, 1000), np.dtype("f8"), (1024 * mib, mib))
    start = time.thread_time()
    runs = columns.runs()
    assert time.thread_time() - start < 1
    assert len(runs) == 1000
    assert runs[1] == (4096 + 1024 * mib, 4096 + 2023 * mib + 8)
    long = Strided(KEY, 0, (1 << 40,), np.dtype("f8"), (mib,))
    assert long.runs() == [long.span()]
    assert len(Strided(KEY, 0, (100_000,), np.dtype("f8"), (mib,)).runs()) == 100_000


@pytest.mark.parametrize(
    "region",
    [
        (slice(0, 3),),
        (slice(0, 4), slice(0, 4)),
        (slice(2, 1), slice(0, 4)),
        (slice(-1, 3), slice(0, 4)),
        (slice(0, 3, 2), slice(0, 4)),
    ],
)
def test_a_region_outside_the_shape_is_an_index_error(region):
    layout = Strided(KEY, 0, (3, 4), np.dtype("f8"), (32, 8))
    for use in (layout.region, layout.span, layout.runs):
        with pytest.raises(IndexError):
            use(region)


@given(layouts)
def test_injective_is_never_claimed_wrongly(layout):
    if layout.injective:
        assert len(union(layout)) == sum(map(len, bytes_of(layout)))


@given(dense(), st.data())
def test_injective_of_every_part_of_a_whole_array(pair, data):
    layout = pair[0]
    assert layout.index(data.draw(keys(layout.shape))).transpose().injective


def test_broadcast_is_not_injective():
    assert not Strided(KEY, 0, (3, 4), np.dtype("f8"), (0, 8)).injective
    assert not Strided(KEY, 0, (3, 4), np.dtype("f8"), (8, 8)).injective


@given(scattered(), scattered())
def test_overlaps_is_exact_on_small_layouts(one, two):
    assert one.overlaps(two) == bool(union(one) & union(two))


@given(dense(), st.data())
def test_overlaps_between_parts_of_one_array(pair, data):
    layout, _ = pair
    one = layout.index(data.draw(keys(layout.shape)))
    two = layout.index(data.draw(keys(layout.shape)))
    if layout.dtype.names and data.draw(st.booleans()):
        one, two = one.field("a"), two.field(data.draw(st.sampled_from("abc")))
    assert one.overlaps(two) == two.overlaps(one) == bool(union(one) & union(two))


def test_overlaps_of_large_layouts():
    table = Strided(KEY, 4096, (10**9,), np.dtype([("a", "f8"), ("b", "f4")]), (12,))
    assert not table.field("a").overlaps(table.field("b"))
    assert table.field("a").overlaps(table)
    big = Strided(KEY, 4096, (10**5, 10**5), np.dtype("f4"), (4 * 10**5, 4))
    left, right = big.index((..., slice(50_000))), big.index((..., slice(50_000, None)))
    assert not left.overlaps(right)
    assert not big.index(slice(None, None, 2)).overlaps(big.index(slice(1, None, 2)))
    assert big.overlaps(big.transpose())
    moved = Strided(OTHER, 4096, (10**5, 10**5), np.dtype("f4"), (4 * 10**5, 4))
    assert not big.overlaps(moved)


@given(dense(), st.data())
def test_same_elements(pair, data):
    layout, _ = pair
    one = layout.index(data.draw(keys(layout.shape)))
    two = layout.index(data.draw(keys(layout.shape)))
    want = one.shape == two.shape and bytes_of(one) == bytes_of(two)
    assert one.same_elements(two) == want


def test_same_elements_asks_for_the_same_file_and_width():
    layout = Strided(KEY, 0, (3,), np.dtype("f8"), (8,))
    assert layout.same_elements(Strided(KEY, 0, (3,), np.dtype(">i8"), (8,)))
    assert not layout.same_elements(Strided(OTHER, 0, (3,), np.dtype("f8"), (8,)))
    assert not layout.same_elements(Strided(KEY, 0, (3,), np.dtype("f4"), (8,)))


@given(derived(), st.data())
def test_block_order_is_what_every_block_has(pair, data):
    layout, array = pair
    assume(array.ndim <= 3)
    chunks = []
    for n in array.shape:
        cuts = data.draw(st.lists(st.integers(0, n), max_size=2))
        ends = [0, *sorted(cuts), n]
        chunks.append(tuple(b - a for a, b in itertools.pairwise(ends)))
    starts = [list(itertools.accumulate(cuts, initial=0)) for cuts in chunks]
    blocks = [
        array[(*(slice(s[i], s[i + 1]) for s, i in zip(starts, coords, strict=True)), ...)]
        for coords in itertools.product(*(range(len(cuts)) for cuts in chunks))
    ]
    if all(block.flags.c_contiguous for block in blocks):
        want = "C"
    elif all(block.flags.f_contiguous for block in blocks):
        want = "F"
    else:
        want = "A"
    assert layout.block_order(SimpleNamespace(chunks=tuple(chunks))) == want


@pytest.mark.parametrize(
    ("shape", "strides", "order"),
    [
        ((), (), "C"),
        ((5,), (8,), "C"),
        ((5, 6), (48, 8), "C"),
        ((5, 6), (8, 40), "F"),
        ((5, 6), (-8, 40), "F"),
        ((1, 6), (8, 8), "C"),
        ((5, 6, 7), (8, 40, 240), "F"),
        ((5, 6, 7), (48, 8, 240), "F"),
        ((5, 6, 7), (8, 280, 40), "C"),
        ((5, 6), (0, 8), "C"),
        ((0, 6), (8, 8), "C"),
    ],
)
def test_order_tells_the_slowest_axis(shape, strides, order):
    assert Strided(KEY, 4096, shape, np.dtype("f8"), strides).order == order


def test_view_shares_and_keeps_the_buffer_and_its_flags():
    buffer = np.zeros(64, np.uint8)
    layout = Strided(KEY, 1000, (2, 3), np.dtype("<i2"), (8, 2)).index(slice(None, None, -1))
    view = layout.view(buffer, 990)
    view[0] = 1
    assert buffer[18:24].tolist() == [1, 0, 1, 0, 1, 0]
    assert buffer.sum() == 3
    buffer.flags.writeable = False
    assert not layout.view(buffer, 990).flags.writeable
    del buffer
    assert view[0].tolist() == [1, 1, 1]


@pytest.mark.parametrize("start", [1001, 943])
def test_view_refuses_a_buffer_that_does_not_hold_it(start):
    layout = Strided(KEY, 1000, (4,), np.dtype("<i2"), (2,))
    with pytest.raises(ValueError, match=r"bytes 1000 to 1008 are not inside"):
        layout.view(np.zeros(64, np.uint8), start)


def test_an_empty_view_needs_no_bytes():
    layout = Strided(KEY, 1000, (4, 0), np.dtype("<i2"), (0, 2))
    assert layout.span() == (1000, 1000)
    assert layout.runs() == []
    assert layout.view(np.zeros(0, np.uint8), 0).shape == (4, 0)


def test_file_key_notices_every_change(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"12345678")
    os.utime(path, ns=(0, 10**18))
    key = FileKey.of(path)
    with path.open("rb") as file:
        assert FileKey.of(file.fileno(), str(path)) == key
    key.check(os.stat(path))
    os.utime(path, ns=(0, 10**18 + 1))
    with pytest.raises(InputChangedError, match=r"x\.bin was modified"):
        key.check(os.stat(path))
    key.check(os.stat(path), written=True)
    os.truncate(path, 4)
    with pytest.raises(InputChangedError, match=r"had 8 B \(8\) when opened and has 4 B \(4\)"):
        key.check(os.stat(path), written=True)
    (tmp_path / "y.bin").write_bytes(b"12345678")
    os.replace(tmp_path / "y.bin", path)
    with pytest.raises(InputChangedError, match="replaced by another file"):
        key.check(os.stat(path), written=True)


def test_file_key_knows_a_file_by_any_name(tmp_path, monkeypatch):
    (tmp_path / "x.bin").write_bytes(b"1")
    (tmp_path / "link.bin").symlink_to("x.bin")
    monkeypatch.chdir(tmp_path)
    key = FileKey.of("x.bin")
    assert key.path == str(tmp_path / "x.bin")
    assert key.same_file(FileKey.of("link.bin"))
    with pytest.raises(ValueError, match="give path="):
        FileKey.of(0)
