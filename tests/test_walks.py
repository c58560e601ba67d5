"""Ranges of block numbers: as positions and as boxes, against counting them one by one."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oocarray.grid import Grid
from oocarray.plan import Access, InMemory
from oocarray.regions import Broadcast, Gather, Halo, Same, Whole
from oocarray.walks import boxes, hull, walk

cuts = st.lists(st.integers(0, 4), min_size=1, max_size=4)
grids = st.lists(cuts, max_size=4).map(Grid)


@st.composite
def ranges(draw):
    grid = draw(grids)
    first = draw(st.integers(0, grid.size - 1))
    return grid, first, draw(st.integers(0, grid.size - first))


def one_by_one(grid, first, count):
    return [grid.coords(first + index) for index in range(count)]


def inside(low, last):
    return list(itertools.product(*(range(a, b + 1) for a, b in zip(low, last, strict=True))))


@given(ranges())
def test_a_walk_is_the_positions_in_order(case):
    assert list(walk(*case)) == one_by_one(*case)


@given(ranges())
def test_boxes_are_the_range_each_block_once_in_order(case):
    found = list(boxes(*case))
    assert [at for pair in found for at in inside(*pair)] == one_by_one(*case)
    assert len(found) <= max(2 * case[0].ndim - 1, 1)


@given(ranges(), st.data())
def test_the_hull_of_a_boxs_ends_is_what_its_blocks_read(case, data):
    grid, first, count = case
    depth = tuple((data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))) for _ in grid.shape)
    axes = tuple(data.draw(st.sampled_from([axis, -1, -2])) for axis in range(grid.ndim))
    hows = [
        Same(),
        Broadcast(),
        Whole(),
        Gather(grid, axes),
        Halo(depth, ("nearest",) * grid.ndim),
    ]
    for how in hows:
        access = Access(InMemory(np.broadcast_to(np.zeros((), "u1"), grid.shape)), how)
        for low, last in boxes(grid, first, count):
            touched = np.zeros(grid.shape, bool)
            for at in inside(low, last):
                touched[access.region(grid, at)] = True
            claimed = np.zeros(grid.shape, bool)
            claimed[hull(access.region(grid, low), access.region(grid, last))] = True
            assert (claimed == touched).all(), how


@pytest.mark.parametrize("count", [0, -1])
def test_an_empty_range_has_nothing(count):
    grid = Grid([(2, 2)])
    assert list(walk(grid, 0, count)) == []
    assert list(boxes(grid, 0, count)) == []
