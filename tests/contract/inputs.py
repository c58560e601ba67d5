"""The arrays and functions that cases name, as NumPy has them and as ours in files and memory."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr

import oocarray as oo

Array = np.ndarray[Any, Any]

# Three blocks along each axis, the last one smaller.
CHUNKS = {1: (4,), 2: (3, 3), 3: (2, 2, 3)}
# The others are in memory.
IN_NPY = ("a", "i", "m", "c", "v", "n", "t", "swapped", "columns", "half", "empty0", "one")
IN_ZARR = ("b", "j", "q", "d", "w", "f", "bytes8")
# Blocks that fit no other array's, which are to be cut again.
ODD = {"whole": -1, "odd": (2, 5), "uneven": ((1, 4, 2), (8,))}


@cache
def arrays() -> dict[str, Array]:
    """What names mean: two of each kind, so that functions of two arguments have them."""
    random = np.random.default_rng(7)
    shape, line = (7, 8), (11,)
    found: dict[str, Any] = {
        "a": random.normal(size=shape),
        "b": random.normal(size=shape),
        "n": random.normal(size=shape),
        "near": random.uniform(-0.9, 0.9, shape),
        "p": random.uniform(0.1, 3, shape),
        "f": random.normal(size=shape).astype("f4"),
        "i": random.integers(-9, 9, shape, "i4"),
        "j": random.integers(1, 6, shape, "i4"),
        "k": random.integers(0, 3, shape),
        "m": random.random(shape) < 0.5,
        "q": random.random(shape) < 0.5,
        "c": random.normal(size=shape) + 1j * random.normal(size=shape),
        "d": random.normal(size=shape) + 1j * random.normal(size=shape),
        "t": random.normal(size=(4, 5, 6)),
        "tri3": random.normal(size=(7, 3)),
        "v": random.normal(size=line),
        "w": random.normal(size=line),
        "nv": random.normal(size=line),
        "l": random.integers(0, 5, line),
        "l2": random.integers(2, 8, line),
        "r": random.random(line) < 0.5,
        "s": np.sort(random.normal(size=9)),
        "z": random.normal(size=(1, 8)),
        "h": np.array(["2020-01-01", "NaT", "2021-02-03"] * 3, "M8[D]"),
    }
    found |= {
        "swapped": found["b"].astype(">f8"),
        "columns": np.asfortranarray(found["p"]),
        "half": found["a"].astype("f2"),
        "bytes8": random.integers(0, 200, shape, "u1"),
        "empty0": np.zeros((0, 8)),
        "one": np.array(2.5),
        "whole": found["p"] + 1,
        "odd": random.normal(size=shape),
        "uneven": random.normal(size=shape),
        "name": np.array(["ab", "c", "", "abc", "ab"]),
    }
    found["n"][1, 2] = found["n"][4, 4] = found["nv"][3] = np.nan
    found["n"][2, 5], found["n"][6, 0] = np.inf, -np.inf
    # Reductions of what has nan, but nothing without an end.
    found["nn"] = np.where(random.random(shape) < 0.2, np.nan, found["b"])
    found["positions"] = np.argsort(found["a"], axis=1)
    for array in found.values():
        array.flags.writeable = False
    return found


def _chunks(name: str, array: Array) -> Any:
    return ODD.get(name, CHUNKS.get(array.ndim)) if array.size else None


def ours(folder: Path) -> dict[str, oo.Array]:
    """The same arrays in `folder` or in memory, in blocks."""
    found = {}
    for name, array in arrays().items():
        cut = _chunks(name, array)
        if name in IN_NPY:
            np.save(folder / f"{name}.npy", array)
            found[name] = oo.open(folder / f"{name}.npy", chunks=cut)
        elif name in IN_ZARR:
            zarr.create_array(folder / f"{name}.zarr", data=array, chunks=cut)
            found[name] = oo.open(folder / f"{name}.zarr", chunks=cut)
        else:
            found[name] = oo.from_array(array, chunks=cut)
    return found


# ---- functions that cases call -------------------------------------------------------------------


def double(block: Any) -> Any:
    return block * 2


def doubled(out: Any, block: Any) -> None:
    """As a compiled kernel has it, which is given the block to fill."""
    for row in range(block.shape[0]):
        for column in range(block.shape[1]):
            out[row, column] = block[row, column] * 2


def weighted(block: Any, other: Any, factor: float = 1.0) -> Any:
    return block * factor + other


def row_sums(block: Any) -> Any:
    return block.sum(axis=1)


def placed(block: Any, block_id: Any = None) -> Any:
    """Where a block is in its grid."""
    return block + 10 * block_id[0] + block_id[1]


def corners(array: Any, block_info: Any = None) -> Any:
    """Where a block begins in its array."""
    return array + sum(first for first, _ in block_info[0]["array-location"])


def span(line: Any) -> Any:
    return line.max() - line.min()


def ratio(one: float, other: float) -> float:
    return one / (1.0 + abs(other))


def grid_sum(row: Any, column: Any) -> Any:
    return row * 10 + column


def largest(block: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.max(block, axis=axis, keepdims=keepdims)


# ---- changes, which an expression and NumPy's array make alike ---------------------------------


def assigned(array: Any, key: Any, value: Any) -> Any:
    """`array` after ``array[key] = value``; the argument itself is left as it was."""
    changed = array.copy()
    changed[key] = value
    return changed


def sorted_in_place(array: Any) -> Any:
    changed = array.copy()
    changed.sort()
    return changed


def augmented(name: str, array: Any, other: Any) -> Any:
    """`array` after an augmented assignment."""
    changed = array.copy()
    return getattr(changed, name)(other)


FUNCTIONS: dict[str, Any] = {
    function.__name__: function
    for function in (
        double, doubled, weighted, row_sums, placed, corners, span, ratio, grid_sum, largest,
        assigned, sorted_in_place, augmented,
    )
}  # fmt: skip
