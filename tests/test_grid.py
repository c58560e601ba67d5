"""Properties of grids, of the cuts that are made without asking, and of those callers spell out."""

from __future__ import annotations

import copy
import math
import pickle
import time
import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from oocarray.amplification import read_amplification
from oocarray.chunking import (
    BLOCK_BYTES,
    LEAF_BYTES,
    auto_chunks,
    broadcast_shape,
    common_chunks,
    normalize_chunks,
    refine,
    suggest_chunks,
)
from oocarray.grid import Grid, fastest_first
from oocarray.leaves.cut import leaf_chunks

orders = st.sampled_from(["C", "F"])


def cuts(longest=9):
    return st.lists(st.integers(0, longest), min_size=1, max_size=5).map(tuple)


def chunks(max_dims=3, longest=9):
    return st.lists(cuts(longest), max_size=max_dims).map(tuple)


@st.composite
def nested(draw):
    """A grid and one that it refines, with empty pieces in both."""
    fine, coarse = [], []
    for _ in range(draw(st.integers(0, 3))):
        groups = draw(st.lists(cuts(4), min_size=1, max_size=4))
        fine.append(tuple(extent for group in groups for extent in group))
        coarse.append(tuple(map(sum, groups)))
    return Grid(fine), Grid(coarse)


def positions(grid):
    return product(*map(range, grid.numblocks))


# Grid


@given(chunks())
def test_blocks_hit_each_element_once(spec):
    grid = Grid(spec)
    hits = np.zeros(grid.shape, int)
    for coords in positions(grid):
        region = grid.region(coords)
        assert all(type(end) is int for part in region for end in (part.start, part.stop))
        hits[region] += 1
        assert hits[region].shape == grid.block_shape(coords)
        assert all(map(int.__le__, grid.block_shape(coords), grid.max_block_shape))
    assert (hits == 1).all()


@given(chunks())
def test_numbers_count_in_c_order(spec):
    grid = Grid(spec)
    assert [grid.coords(number) for number in range(grid.size)] == list(positions(grid))
    assert [grid.number(coords) for coords in positions(grid)] == list(range(grid.size))


def test_attributes_of_a_grid():
    grid = Grid([[3, 3, 1], np.array([4, 2])])
    assert grid.chunks == ((3, 3, 1), (4, 2))
    assert (grid.shape, grid.numblocks, grid.size, grid.ndim) == ((7, 6), (3, 2), 6, 2)
    assert grid.max_block_shape == (3, 4)
    assert grid.region((2, 1)) == (slice(6, 7), slice(4, 6))
    assert grid.coords(np.int64(5)) == (2, 1)
    assert repr(grid) == "Grid(shape=(7, 6), numblocks=(3, 2), max_block_shape=(3, 4))"


def test_a_grid_without_axes_is_one_block():
    grid = Grid(())
    assert (grid.shape, grid.size, grid.coords(0), grid.region(()), grid.number(())) == (
        (),
        1,
        (),
        (),
        0,
    )
    assert grid.coarsen(1) == grid
    assert grid.inner(Grid(()), ()) == ()


@given(chunks(), chunks())
def test_equality_and_hash_are_by_content(one, other):
    assert (Grid(one) == Grid(other)) == (one == other)
    assert hash(Grid(one)) == hash(Grid(list(map(list, one))))
    assert Grid(one) != one


@given(chunks())
def test_a_grid_survives_pickle_and_copy(spec):
    grid = Grid(spec)
    for twin in (pickle.loads(pickle.dumps(grid)), copy.deepcopy(grid)):
        assert twin == grid
        assert twin.numblocks == grid.numblocks


def test_a_grid_does_not_change():
    grid = Grid(((1, 2),))
    with pytest.raises(AttributeError, match="does not change: cannot set 'shape'"):
        grid.shape = (4,)
    with pytest.raises(AttributeError):
        grid.new = 1


@pytest.mark.parametrize(
    ("spec", "error", "text"),
    [
        ([()], ValueError, "axis 0 has no chunk"),
        ([(1,), (2, -1)], ValueError, "axis 1 has a chunk of -1 elements"),
        ([(2**62, 2**62)], ValueError, "axis 0 has 9223372036854775808 elements"),
        ([(1.5,)], TypeError, "integer"),
        ([(float("nan"),)], TypeError, "integer"),
    ],
)
def test_bad_grids_are_refused(spec, error, text):
    with pytest.raises(error, match=text):
        Grid(spec)


@pytest.mark.parametrize("coords", [(3, 0), (0, 2), (-1, 0), (0,), (0, 0, 0), ()])
def test_a_position_outside_is_refused(coords):
    grid = Grid(((1, 1, 1), (1, 1)))
    for method in (grid.region, grid.block_shape, grid.number):
        with pytest.raises(IndexError, match=r"in a grid of \(3, 2\) blocks"):
            method(coords)
    with pytest.raises(IndexError, match="no block"):
        grid.inner(grid, coords)


@pytest.mark.parametrize("number", [6, -1])
def test_a_number_outside_is_refused(number):
    with pytest.raises(IndexError, match=f"block {number} of a grid of 6 blocks"):
        Grid(((1, 1, 1), (1, 1))).coords(number)


@pytest.mark.parametrize("spec", [((1,) * 10**6,), ((2,) * 1000, (3,) * 1000)])
def test_a_million_blocks_are_cheap(spec):
    tracemalloc.start()
    grid = Grid(spec)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20
    assert len(pickle.dumps(grid)) < 200
    began = time.thread_time()
    for number in range(0, grid.size, 10):
        grid.region(grid.coords(number))
    # A tenth of the blocks; the bound is loose, for busy machines.
    assert time.thread_time() - began < 3


# refines, inner, coarsen


@given(nested())
def test_inner_blocks_make_up_the_outer_one(pair):
    fine, coarse = pair
    assert fine.refines(coarse)
    seen = []
    for coords in positions(coarse):
        ranges = fine.inner(coarse, coords)
        parts = list(product(*ranges))
        seen += parts
        hits = np.zeros(coarse.shape, int)
        for part in parts:
            hits[fine.region(part)] += 1
        expected = np.zeros(coarse.shape, int)
        expected[coarse.region(coords)] = 1
        assert (hits == expected).all()
    assert sorted(seen) == list(positions(fine))


@given(chunks())
def test_every_grid_refines_itself_and_the_whole(spec):
    grid, twin = Grid(spec), Grid(spec)
    whole = Grid((extent,) for extent in grid.shape)
    assert grid.refines(grid)
    assert grid.refines(twin)
    assert grid.refines(whole)
    for coords in positions(grid):
        assert grid.inner(twin, coords) == tuple(range(at, at + 1) for at in coords)
    assert grid.inner(whole, (0,) * grid.ndim) == tuple(map(range, grid.numblocks))


@given(cuts(), cuts())
def test_refines_compares_cuts(one, other):
    def borders(cut):
        return {sum(cut[:end]) for end in range(len(cut) + 1)}

    expected = sum(one) == sum(other) and borders(other) <= borders(one)
    assert Grid((one,)).refines(Grid((other,))) == expected


def test_inner_needs_a_refinement():
    fine = Grid(((2, 2, 2),))
    assert fine.inner(Grid(((4, 2),)), (0,)) == (range(2),)
    with pytest.raises(ValueError, match="has not all the cuts of"):
        fine.inner(Grid(((3, 3),)), (0,))
    with pytest.raises(ValueError, match="has not all the cuts of"):
        fine.inner(Grid(((6,), (1,))), (0, 0))
    assert fine.inner(Grid(((4, 2),)), (1,)) == (range(2, 3),)


@given(chunks(), st.integers(0, 2000), orders)
def test_coarsen_joins_within_the_limit(spec, most, order):
    fine = Grid(spec)
    coarse = fine.coarsen(most, order)
    assert fine.refines(coarse)
    joined = [axis for axis in range(fine.ndim) if coarse.numblocks[axis] < fine.numblocks[axis]]
    if joined:
        assert math.prod(coarse.max_block_shape) <= max(most, math.prod(fine.max_block_shape))
    # An axis is joined only when all faster ones are whole.
    if joined:
        fast = list(fastest_first(fine.ndim, order))
        slowest = max(fast.index(axis) for axis in joined)
        assert all(coarse.numblocks[axis] == 1 for axis in fast[:slowest])
    assert coarse.coarsen(most, order) == coarse


def test_coarsen_written_out():
    grid = Grid(((2, 2, 2, 1), (3, 3), (4, 4)))
    assert grid.coarsen(0) == grid
    assert grid.coarsen(47).chunks == ((2, 2, 2, 1), (3, 3), (4, 4))
    assert grid.coarsen(48).chunks == ((2, 2, 2, 1), (3, 3), (8,))
    assert grid.coarsen(96).chunks == ((2, 2, 2, 1), (6,), (8,))
    assert grid.coarsen(192).chunks == ((4, 3), (6,), (8,))
    assert grid.coarsen(10**9).chunks == ((7,), (6,), (8,))
    assert grid.coarsen(48, "F").chunks == ((4, 3), (3, 3), (4, 4))
    assert grid.coarsen(84, "F").chunks == ((7,), (3, 3), (4, 4))
    with pytest.raises(ValueError, match="order is 'C' or 'F', not 'A'"):
        grid.coarsen(1, "A")


# refine


@given(chunks(max_dims=3), st.data())
def test_refine_cuts_every_piece(spec, data):
    pieces = tuple(data.draw(st.integers(1, 10)) for _ in spec)
    fine = Grid(refine(spec, pieces))
    assert fine.refines(Grid(spec))
    assert all(map(int.__le__, fine.max_block_shape, pieces))
    assert refine(fine.chunks, pieces) == fine.chunks
    # No more cuts than needed: only the last of a piece is short.
    assert fine.numblocks == tuple(
        sum(max(1, -(-extent // most)) for extent in axis)
        for axis, most in zip(spec, pieces, strict=True)
    )


def test_refine_written_out():
    assert refine(((5, 0, 4), (3,)), (2, 8)) == ((2, 2, 1, 0, 2, 2), (3,))
    assert refine((), ()) == ()
    for bad in [(2,), (2, 0)]:
        with pytest.raises(ValueError, match="give each axis at least 1"):
            refine(((5,), (3,)), bad)


# read_amplification


def pages_touched(grid, itemsize, order, page):
    places = np.arange(math.prod(grid.shape)).reshape(grid.shape, order=order) * itemsize
    touched = 0
    for coords in positions(grid):
        first = places[grid.region(coords)].ravel()
        held = set()
        for start in first.tolist():
            held.update(range(start // page, (start + itemsize - 1) // page + 1))
        touched += len(held)
    return touched / max(1, -(-places.size * itemsize // page))


@settings(max_examples=200, deadline=None)
@given(chunks(max_dims=3), st.integers(1, 24), orders, st.integers(1, 70))
@example(((3, 3, 4), (64,) * 3), 8, "C", 64)
@example(((3, 3, 4), (1, 1, 2, 60)), 1, "C", 8)
@example(((2, 2), (5, 1, 2), (9, 3)), 3, "C", 16)
def test_read_amplification_counts_pages(spec, itemsize, order, page):
    grid = Grid(spec)
    expected = pages_touched(grid, itemsize, order, page) if math.prod(grid.shape) else 1.0
    assert read_amplification(grid, itemsize, order, page) == pytest.approx(expected, rel=1e-12)


def test_read_amplification_written_out():
    def narrow(rows, columns, pieces, order="C"):
        return Grid((rows, (columns // pieces,) * pieces)), 8, order

    assert read_amplification(*narrow((1000,) * 8, 512, 1)) == 1.0
    assert read_amplification(*narrow((8000,), 512, 1)) == 1.0
    # Rows of one page in 8 pieces: each block reads each page; in pieces of whole pages, once.
    assert read_amplification(*narrow((8000,), 512, 8)) == 8.0
    assert read_amplification(*narrow((8000,), 4096, 8)) == 1.0
    assert read_amplification(*narrow((8000,), 4096, 64)) == 8.0
    assert read_amplification(*narrow((8192,), 512, 8, "F")) == 1.0
    # Ten million pieces of one element, each 256 KiB apart.
    wide = Grid(((10**6,), (1,) * 32768))
    assert read_amplification(wide, 8, "C") == 512.0
    auto = Grid(auto_chunks((10**6, 3000), 4))
    assert 1 <= read_amplification(auto, 4, "C") < 1.001
    assert read_amplification(Grid(((0, 0), (5,))), 8, "C") == 1.0
    assert read_amplification(Grid(()), 8, "C") == 1.0


def test_read_amplification_of_countless_alignments_is_close():
    rng = np.random.default_rng(5)
    columns = tuple(rng.integers(1, 40, 3001).tolist())
    grid = Grid((tuple(rng.integers(1, 20, 3001).tolist()), columns, (7,)))
    row = sum(columns) * 7
    began = time.thread_time()
    found = read_amplification(grid, 1, "C")
    assert time.thread_time() - began < 20
    # Rows far apart: a run of n bytes at any start touches 1 + (n - 1) / 4096 pages.
    expected = grid.shape[0] * sum(1 + (7 * extent - 1) / 4096 for extent in columns)
    assert found == pytest.approx(expected / (grid.shape[0] * row / 4096), rel=0.01)


# auto_chunks, leaf_chunks

shapes = st.lists(st.integers(0, 5000) | st.integers(0, 40), max_size=4).map(tuple)
big_shapes = st.lists(st.sampled_from([1, 2, 3, 7, 50, 365, 1000, 4096, 10**4, 10**5]), max_size=4)
itemsizes = st.sampled_from([1, 2, 4, 8, 12, 16, 100, 3000])


def modest(shape, itemsize):
    """Whether the cuts of an array stay short enough to hold quickly."""
    return math.prod(shape) * itemsize <= 1 << 42


@given(shapes | big_shapes.map(tuple), itemsizes, orders)
def test_auto_blocks_are_contiguous_runs_within_the_target(shape, itemsize, order):
    assume(modest(shape, itemsize))
    grid = Grid(auto_chunks(shape, itemsize, order))
    assert grid.shape == shape
    if math.prod(shape) * itemsize <= BLOCK_BYTES:
        assert grid.size == 1
        return
    most = math.prod(grid.max_block_shape) * itemsize
    assert BLOCK_BYTES // 2 <= most <= BLOCK_BYTES
    cut = [axis for axis in fastest_first(len(shape), order) if grid.numblocks[axis] > 1]
    # Contiguous: only the fastest of the cut axes has pieces of more than one.
    assert all(grid.max_block_shape[axis] == 1 for axis in cut[1:])
    before = list(fastest_first(len(shape), order)).index(cut[0])
    assert all(
        grid.numblocks[axis] == 1 for axis in list(fastest_first(len(shape), order))[:before]
    )


@given(shapes | big_shapes.map(tuple), itemsizes, orders)
def test_the_leaf_cut_refines_the_block_cut(shape, itemsize, order):
    assume(modest(shape, itemsize))
    leaves = Grid(auto_chunks(shape, itemsize, order, target=LEAF_BYTES))
    blocks = Grid(auto_chunks(shape, itemsize, order))
    assert leaves.refines(blocks)
    assert math.prod(leaves.max_block_shape) * itemsize <= LEAF_BYTES


def test_auto_chunks_written_out():
    assert auto_chunks((), 8) == ()
    assert auto_chunks((0, 5), 8) == ((0,), (5,))
    assert auto_chunks((10**9, 0), 8) == ((10**9,), (0,))
    assert auto_chunks((3,), 10**9) == ((1, 1, 1),)
    assert auto_chunks((4096, 4096), 4) == ((1024,) * 4, (4096,))
    assert auto_chunks((4096, 4096), 4, "F") == ((4096,), (1024,) * 4)
    # 2097 rows of 8000 bytes are just under 16 MiB: the power of two below.
    assert auto_chunks((5000, 1000), 8) == ((2048, 2048, 904), (1000,))
    # One row of 24 MB: single rows, cut in turn.
    assert auto_chunks((2, 3000, 1000), 8) == ((1, 1), (2048, 952), (1000,))
    assert suggest_chunks((4096, 4096), 4, "C") == auto_chunks((4096, 4096), 4)
    with pytest.raises(ValueError, match=r"negative extents: \(-1,\)"):
        auto_chunks((-1,), 8)


@st.composite
def reductions(draw):
    shape = tuple(draw(big_shapes))
    axes = tuple(sorted(draw(st.sets(st.integers(0, len(shape) - 1))))) if shape else ()
    return shape, axes


@given(reductions(), st.sampled_from([1, 2, 4, 8, 16, 32]), orders, st.sampled_from([8, 16, 48]))
@example(((10**5, 10**5), (0,)), 8, "C", 16)
@example(((10**5, 10**5), (1,)), 8, "F", 16)
def test_leaves_are_large_beside_their_partials(reduction, itemsize, order, partial):
    shape, axes = reduction
    assume(modest(shape, itemsize))
    leaves = Grid(leaf_chunks(shape, axes, itemsize, order, partial))
    assert leaves.shape == shape
    leaf = leaves.max_block_shape
    size = math.prod(leaf) * itemsize
    assert size <= 2 * LEAF_BYTES
    if math.prod(shape) * itemsize > LEAF_BYTES:
        assert size >= LEAF_BYTES // 4
    kept = math.prod(leaf[axis] for axis in range(len(shape)) if axis not in axes)
    if axes and any(leaf[axis] < shape[axis] for axis in axes):
        assert size >= 64 * partial * kept


def test_leaf_chunks_written_out():
    def first(*args, **kwargs):
        return tuple(cut[0] for cut in leaf_chunks(*args, **kwargs))

    assert leaf_chunks((), (), 8) == ()
    assert leaf_chunks((0, 3), (0,), 8) == ((0,), (3,))
    # Rows of 8000 bytes: 128 of them are enough beside partials of 16,000 bytes.
    assert first((5000, 1000), (0, 1), 8) == (128, 1000)
    assert first((5000, 1000), (0,), 8) == (128, 1000)
    assert first((5000, 1000), (1,), 8) == (128, 1000)
    # Rows of 512 KiB: 128 rows deep, and runs of 16 KiB.
    assert first((4096, 65536), (0,), 8) == (128, 2048)
    assert first((65536, 4096), (1,), 8, "F") == (2048, 128)
    # A short reduced axis is taken whole, and the kept ones fill the leaf.
    assert first((5, 10**6), (0,), 8) == (5, 16384)
    # One large partial, for the whole array: leaves of 64 times as much.
    assert first((10**8,), (0,), 8, partial_itemsize=1 << 15) == ((64 << 15) // 8,)
    with pytest.raises(ValueError, match=r"axes \(2,\) of an array of 2 axes"):
        leaf_chunks((3, 3), (2,), 8)


# normalize_chunks


def dask_chunks(spec, shape):
    core = pytest.importorskip("dask.array.core")
    return core.normalize_chunks(spec, shape=shape)


@st.composite
def spelled(draw):
    shape = tuple(draw(st.lists(st.integers(0, 12), min_size=1, max_size=3)))
    specs = []
    for extent in shape:
        borders = sorted(draw(st.lists(st.integers(0, extent), max_size=3)))
        explicit = np.diff([0, *borders, extent]).tolist()
        size = draw(st.integers(1, 15))
        kinds = [size, float(size), np.int32(size), -1, None, explicit, tuple(explicit)]
        specs.append(draw(st.sampled_from(kinds)))
    whole = draw(st.sampled_from(["tuple", "list", "dict", "one"]))
    if whole == "one":
        return draw(st.integers(1, 15) | st.just(-1)), shape
    if whole == "dict":
        # dask does not know negative axes here.
        named = draw(st.sets(st.sampled_from(range(len(shape)))))
        return {axis: specs[axis] for axis in named}, shape
    return (tuple(specs) if whole == "tuple" else specs), shape


@given(spelled())
def test_normalize_chunks_beside_dask(case):
    spec, shape = case
    found = normalize_chunks(spec, shape, 8)
    assert found == dask_chunks(spec, shape)
    assert all(type(extent) is int for axis in found for extent in axis)
    assert normalize_chunks(found, shape, 8) == found


@pytest.mark.parametrize(
    ("spec", "shape", "expected"),
    [
        (10, (30, 5), ((10, 10, 10), (5,))),
        ((2, 2), (5, 6), ((2, 2, 1), (2, 2, 2))),
        ((5, -1), (10, 10), ((5, 5), (10,))),
        ((5, None), (10, 10), ((5, 5), (10,))),
        ((3, 2), (5,), ((3, 2),)),
        ([[2, 2], [3, 3]], (4, 6), ((2, 2), (3, 3))),
        (np.array([2, 3]), (4, 6), ((2, 2), (3, 3))),
        (-1, (4, 0), ((4,), (0,))),
        (3, (4, 0), ((3, 1), (0,))),
        ((), (0, 0), ((0,), (0,))),
        ((0, 4), (0, 4), ((0,), (4,))),
        ((), (), ()),
        ((1,), (), ()),
        (7, (), ()),
        ({0: 2}, (6, 6), ((2, 2, 2), (6,))),
        ({}, (6,), ((6,),)),
        (((0, 3, 0),), (3,), ((0, 3, 0),)),
    ],
)
def test_spellings_that_dask_shares(spec, shape, expected):
    assert normalize_chunks(spec, shape, 8) == expected == dask_chunks(spec, shape)


def test_spellings_of_our_own():
    assert normalize_chunks({-1: 4}, (5, 6), 8) == ((5,), (4, 2))
    before = ((3, 2), (1, 5))
    assert normalize_chunks({-1: 4}, (5, 6), 8, previous=before) == ((3, 2), (4, 2))
    assert normalize_chunks({0: None, 1: -1}, (5, 6), 8, previous=before) == ((3, 2), (6,))
    assert normalize_chunks((None, 3), (5, 6), 8, previous=before) == ((3, 2), (3, 3))
    assert normalize_chunks("auto", (), 8) == normalize_chunks(None, (), 8) == ()
    # Zero bytes still make blocks of one element.
    assert normalize_chunks("0 B", (2,), 8) == ((1, 1),)
    assert normalize_chunks("64 B", (5, 6), 8) == ((1,) * 5, (6,))
    assert normalize_chunks("64 B", (5, 6), 8, "F") == ((5,), (1,) * 6)
    # Next to a fixed axis, the others take what is left of the block.
    assert normalize_chunks((2, "64 B"), (5, 6), 8) == ((2, 2, 1), (4, 2))
    assert normalize_chunks(("auto", 2, "64 B"), (2, 4, 6), 8) == ((1, 1), (2, 2), (4, 2))
    assert normalize_chunks({1: "auto"}, (4, 1 << 20), 8) == ((4,), (1 << 19, 1 << 19))


@given(shapes | big_shapes.map(tuple), itemsizes, orders)
def test_auto_alone_is_auto_chunks(shape, itemsize, order):
    assume(modest(shape, itemsize))
    expected = auto_chunks(shape, itemsize, order)
    assert normalize_chunks("auto", shape, itemsize, order) == expected
    assert normalize_chunks(None, shape, itemsize, order) == expected
    assert normalize_chunks("16 MiB", shape, itemsize, order) == expected
    assert normalize_chunks(("auto",) * len(shape), shape, itemsize, order) == expected


@pytest.mark.parametrize(
    ("spec", "shape", "text"),
    [
        (0, (4,), "chunks of 0 elements along axis 0; at least 1, or -1"),
        ((2, -3), (4, 4), "chunks of -3 elements along axis 1"),
        (2.5, (4,), "whole numbers, -1, None or text, not 2.5"),
        (True, (4,), "not True"),
        (float("nan"), (4,), "not nan"),
        (((float("nan"),),), (4,), "not nan"),
        (float("inf"), (4,), "not inf"),
        (((2, "auto"),), (4,), "not 'auto'"),
        ((2, None), (4,), "not None"),
        (((2, 3),), (4,), r"chunks \(2, 3\) along axis 0 add up to 5, not to its 4 elements"),
        (((5, -1),), (4,), "add up to 4, not to its 4"),
        (((), (3,)), (0, 3), r"chunks \(\) along axis 0"),
        ([(1,) * 20], (21,), r"chunks \(1, 1, 1, 1, 1, 1, 1, 1, ...\) along axis 0 add up to 20"),
        ((2, 2, 2), (4, 4), r"has 3 entries for 2 axes \(4, 4\)"),
        ((), (4,), "has 0 entries for 1 axes"),
        ({2: 1}, (4, 4), "names axis 2 of 2"),
        ({0: 1, -2: 3}, (4, 4), "names axis -2 twice"),
        ("many", (4,), "cannot read 'many' as a size"),
        (("1 MiB", "2 MiB"), (4, 4), "asks for two sizes of a block"),
        (object(), (4,), "not <object"),
        (2, (-4,), "negative extents"),
    ],
)
def test_spellings_that_are_refused(spec, shape, text):
    with pytest.raises(ValueError, match=text):
        normalize_chunks(spec, shape, 8)


def test_previous_chunks_must_fit():
    with pytest.raises(ValueError, match=r"previous chunks add up to \(5,\), not to \(4,\)"):
        normalize_chunks(2, (4,), 8, previous=((2, 3),))


# broadcast_shape, common_chunks


@given(st.lists(st.lists(st.sampled_from([0, 1, 1, 2, 3]), max_size=3).map(tuple), max_size=3))
def test_broadcast_shape_beside_numpy(several):
    try:
        expected = np.broadcast_shapes(*several)
    except ValueError:
        with pytest.raises(ValueError, match="do not broadcast"):
            broadcast_shape(*several)
    else:
        assert broadcast_shape(*several) == expected


def test_broadcast_shape_names_the_shapes():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(4,\) do not broadcast: 4 and 3"):
        broadcast_shape((2, 3), (4,))


def test_common_chunks_written_out():
    full = (4096, 4096)
    eighth, quarter = ((512,) * 8, (4096,)), ((1024,) * 4, (4096,))
    assert common_chunks([]) == ()
    assert common_chunks([(full, 2, "C"), (full, 4, "C"), ((4096,), 8, "C")]) == eighth
    assert common_chunks([((1, 4096), 8, "F"), (full, 2, "C"), (full, 2, "F")]) == quarter
    assert common_chunks([(full, 4, "F")]) == quarter[::-1]
    # Nobody has the whole shape: all of them.
    assert common_chunks([((4096, 1), 2, "C"), ((1, 4096), 4, "F")]) == eighth
    with pytest.raises(ValueError, match="do not broadcast"):
        common_chunks([((2,), 8, "C"), ((3,), 8, "C")])
