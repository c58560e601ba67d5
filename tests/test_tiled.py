"""Views of arrays in pieces against NumPy's own, element by element."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oocarray.storage.layout import FileKey
from oocarray.storage.pieces import Cuts, even_cuts
from oocarray.storage.tiled import Tiled, tiled

I8 = np.dtype("i8")
NOWHERE = FileKey("/nowhere", 1, 2, 3, 4)


@dataclass(frozen=True)
class Fake:
    """Pieces of an array that is there."""

    cuts: tuple[Cuts, ...]
    dtype: np.dtype = I8
    encoded: bool = False
    file: FileKey = NOWHERE


def gathered(view: Tiled, array: np.ndarray, region=None) -> np.ndarray:
    """A region put together from pieces."""
    shape = view.shape if region is None else tuple(p.stop - p.start for p in region)
    found = np.full(shape, -1)
    for part in view.parts(region):
        where = tuple(
            slice(*cut.span(n)) for cut, n in zip(view.table.cuts, part.piece, strict=True)
        )
        assert (found[part.place] == -1).all()
        found[part.place] = part.of(array[where])
    return found


@st.composite
def cuts(draw):
    extent = draw(st.integers(0, 9))
    if draw(st.booleans()) or not extent:
        return Cuts(extent, draw(st.integers(1, 10)))
    inner = draw(st.lists(st.integers(1, extent), max_size=3, unique=True))
    return Cuts(extent, bounds=tuple(sorted({0, extent, *inner})))


def key(draw, shape):
    keys = []
    for extent in shape:
        kind = draw(st.sampled_from(["all", "slice", "int", "none"]))
        if kind == "none":
            keys.append(None)
        if kind == "int" and extent:
            keys.append(draw(st.integers(-extent, extent - 1)))
        elif kind in ("all", "int"):
            keys.append(slice(None))
        else:
            keys.append(
                slice(
                    draw(st.none() | st.integers(-10, 10)),
                    draw(st.none() | st.integers(-10, 10)),
                    draw(st.none() | st.sampled_from([-3, -2, -1, 1, 2, 3])),
                )
            )
    return tuple(keys)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_views_are_what_numpy_makes(data):
    table = Fake(tuple(data.draw(st.lists(cuts(), min_size=0, max_size=3))))
    shape = tuple(cut.extent for cut in table.cuts)
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    view, wanted = tiled(table), array
    for _ in range(data.draw(st.integers(0, 3))):
        if data.draw(st.booleans()):
            order = data.draw(st.permutations(range(wanted.ndim)))
            view, wanted = view.transpose(tuple(order)), wanted.transpose(order)
        else:
            picks = key(data.draw, wanted.shape)
            view, wanted = view.index(picks), wanted[picks]
    assert view.shape == wanted.shape
    np.testing.assert_array_equal(gathered(view, array), wanted)
    region = []
    for extent in wanted.shape:
        start = data.draw(st.integers(0, extent))
        region.append(slice(start, data.draw(st.integers(start, extent))))
    region = tuple(region)
    np.testing.assert_array_equal(gathered(view, array, region), wanted[region])
    blocks = view.blocks()
    assert tuple(map(sum, blocks)) == view.shape
    assert view.same_elements(view)
    if wanted.size:
        assert view.overlaps(view)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_what_is_said_to_be_apart_is(data):
    table = Fake((Cuts(9, 4), Cuts(5, 2)))
    array = np.arange(45).reshape(9, 5)
    one, two = key(data.draw, array.shape), key(data.draw, array.shape)
    first, second = tiled(table).index(one), tiled(table).index(two)
    common = np.intersect1d(array[one], array[two])
    if not first.overlaps(second):
        assert common.size == 0
    if first.same_elements(second):
        np.testing.assert_array_equal(array[one], array[two])


@pytest.mark.parametrize(
    ("shape", "piece", "itemsize", "encoded", "wanted"),
    [
        # Pieces of 256 KiB are taken together along the last axis, then along the one before.
        ((4096, 2048), (256, 256), "f4", False, (512, 2048)),
        # One of 1 MiB is a block.
        ((4096, 4096), (512, 512), "f4", False, (512, 512)),
        # A piece of 16 MiB is a block.
        ((8192, 2048), (2048, 2048), "f4", False, (2048, 2048)),
        # A larger one is cut, unless it must be decoded.
        ((16384, 2048), (8192, 2048), "f8", False, (1024, 2048)),
        ((16384, 2048), (8192, 2048), "f8", True, (8192, 2048)),
        # All of a small array is one block.
        ((10, 10), (3, 3), "f8", False, (10, 10)),
    ],
)
def test_blocks_are_whole_pieces_or_equal_parts_of_one(shape, piece, itemsize, encoded, wanted):
    view = tiled(Fake(even_cuts(shape, piece), np.dtype(itemsize), encoded))
    assert tuple(max(sizes) for sizes in view.blocks()) == wanted


def test_blocks_of_a_view_end_where_pieces_end():
    view = tiled(Fake(even_cuts((1 << 20,), (1 << 15,)), np.dtype("f8"))).index(slice(5, None))
    assert view.blocks() == (((1 << 19) - 5, 1 << 19),)
    assert view.chunk_shape == (1 << 15,)


def test_a_grid_that_nobody_could_write_down_is_refused():
    view = tiled(Fake((Cuts(1 << 62, 1),), np.dtype("u1")))
    with pytest.raises(ValueError, match="has 4611686018427387904 chunks; give chunks="):
        view.blocks()
