"""The tree of partials: its shape, what it holds, and what it refuses."""

from dataclasses import dataclass

import numpy as np
import pytest

from oocarray.grid import Grid
from oocarray.leaves.tree import PartialTree


@dataclass
class Brackets:
    """A combination that shows its own order; partials are short strings."""

    axes: tuple[int, ...] = (0,)
    partial_dtype = np.dtype("U60")

    def combine(self, a, b):
        return np.strings.add(np.strings.add("(", a), np.strings.add(b, ")")).astype("U60")


@dataclass
class Sums:
    axes: tuple[int, ...] = (0,)
    partial_dtype = np.dtype("f8")

    def combine(self, a, b):
        return a + b


@pytest.mark.parametrize("cap", [0, 1 << 20])
@pytest.mark.parametrize(
    ("letters", "tree"),
    [
        ("a", "a"),
        ("ab", "(ab)"),
        ("abc", "((ab)c)"),
        ("abcde", "(((ab)(cd))e)"),
        ("abcdefg", "(((ab)(cd))((ef)g))"),
    ],
)
def test_neighbours_are_combined_and_an_odd_last_one_passes(letters, tree, cap):
    forward = PartialTree(Brackets(), Grid(((1,) * len(letters),)), cap)
    backward = PartialTree(Brackets(), Grid(((1,) * len(letters),)), cap)
    forward.set((range(len(letters)),), np.array(list(letters), "U60"))
    for i in reversed(range(len(letters))):
        backward.set((range(i, i + 1),), np.array([letters[i]], "U60"))
    assert forward.result().shape == ()
    assert str(forward.result()) == str(backward.result()) == tree


@pytest.mark.parametrize("cap", [0, 1 << 20])
def test_leaves_over_two_axes_are_numbered_in_c_order(cap):
    tree = PartialTree(Brackets((0, 2)), Grid(((1, 1), (2,), (1, 1, 1))), cap)
    letters = np.array([[list("abc")] * 2, [list("def")] * 2], "U60")
    tree.set((range(2), range(1), range(2, 3)), letters[:, :, 2:])
    tree.set((range(2), range(1), range(2)), letters[:, :, :2])
    assert tree.result().tolist() == ["(((ab)(cd))(ef))"] * 2


@pytest.mark.parametrize("cap", [0, 1 << 20])
def test_setting_twice_changes_nothing(cap):
    tree = PartialTree(Sums(), Grid(((1,) * 4, (3, 2))), cap)
    values = np.arange(20.0).reshape(4, 5)
    for box in [(range(3), range(2)), (range(1, 3), range(1)), (range(4), range(1, 2))]:
        rows = values[box[0].start : box[0].stop]
        columns = {(0, 2): slice(0, 5), (0, 1): slice(0, 3), (1, 2): slice(3, 5)}
        tree.set(box, rows[:, columns[box[1].start, box[1].stop]])
    with pytest.raises(AssertionError, match=r"leaf \(3, 0\) of \(4, 2\) was not set"):
        tree.result()
    tree.set((range(3, 4), range(2)), values[3:])
    assert tree.result().tolist() == [30.0, 34.0, 38.0, 42.0, 46.0]


def test_memory_is_a_partial_for_each_level():
    leaves, wide = 1024, 1000
    tree = PartialTree(Sums(), Grid(((1,) * leaves, (wide,))), cap_bytes=100_000)
    most = 0
    for i in range(leaves):
        tree.set((range(i, i + 1), range(1)), np.full((1, wide), float(i)))
        most = max(most, tree.nbytes)
    assert most <= (10 + 1) * wide * 8  # ten levels and the result
    np.testing.assert_array_equal(tree.result(), leaves * (leaves - 1) / 2)


def test_small_partials_are_kept_whole():
    tree = PartialTree(Sums(), Grid(((1,) * 1000,)), cap_bytes=8000)
    assert tree.nbytes == 8000
    assert PartialTree(Sums(), Grid(((1,) * 1001,)), cap_bytes=8000).nbytes == 8


def test_no_reduced_axis_and_no_axis():
    tree = PartialTree(Sums(()), Grid(((2, 1),)), 0)
    tree.set((range(2),), np.array([1.0, 2.0, 3.0]))
    assert tree.result().tolist() == [1.0, 2.0, 3.0]
    tree = PartialTree(Sums(()), Grid(()))
    tree.set((), np.array(5.0))
    assert tree.result() == 5.0


def test_wrong_shapes_are_refused():
    tree = PartialTree(Sums(), Grid(((1,) * 4, (3, 2))))
    with pytest.raises(AssertionError, match=r"shape \(2, 4\)"):
        tree.set((range(2), range(2)), np.zeros((2, 4)))
