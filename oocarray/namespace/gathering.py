"""What is given to be joined: which arrays, of which dtype, along which axis; it joins none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index
from numpy.typing import DTypeLike

from ..core import Array
from ..lazy.arith import cast
from ..lifting import array_of, known

__all__ = ["converted", "joint", "listed", "nested_in"]


def listed(arrays: Any) -> Sequence[Any]:
    if isinstance(arrays, Array):
        if not arrays.ndim:
            raise ValueError("an array without axes is no sequence of arrays")
        return [arrays[at] for at in range(known(arrays, "a sequence of arrays")[0])]
    if not isinstance(arrays, Sequence | np.ndarray):
        raise TypeError(f"arrays come in a list or tuple, not as {type(arrays).__name__}")
    return list(arrays)


def converted(arrays: list[Array], dtype: DTypeLike | None, casting: Any) -> list[Array]:
    if dtype is None and casting == "same_kind":
        return arrays
    if not arrays:
        raise ValueError("need at least one array to concatenate")
    empty = [np.empty(0, one.dtype) for one in arrays]
    found = np.concatenate(empty, dtype=dtype, casting=casting).dtype
    return [Array(cast(one.node, found, casting)) for one in arrays]


def joint(axis: int, arrays: list[Array], more: int) -> int:
    if not arrays:
        raise ValueError("need at least one array to put together")
    if not more and not arrays[0].ndim:
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    return normalize_axis_index(axis, arrays[0].ndim + more)


def nested_in(part: Any, leaves: list[Array]) -> tuple[Any, int]:
    """Nested lists of arrays, which are added to `leaves`, and how deep they are."""
    if isinstance(part, tuple):
        raise TypeError("block takes lists, and arrays: a tuple is neither")
    if not isinstance(part, list):
        leaves.append(array_of(part))
        return leaves[-1], 0
    if not part:
        raise ValueError("block takes no empty list")
    found = [nested_in(one, leaves) for one in part]
    if len({depth for _, depth in found}) > 1:
        raise ValueError("block takes lists that are all nested to the same depth")
    return [one for one, _ in found], found[0][1] + 1
