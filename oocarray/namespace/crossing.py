"""Cross products of vectors of three elements; takes none of two, as NumPy no longer does."""

from __future__ import annotations

from typing import Any

from numpy.lib.array_utils import normalize_axis_index

from ..core import Array
from ..lifting import apply, array_of
from ..operations.joining import Concatenate
from ..operations.shaping import Transpose

__all__ = ["cross"]


def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Array:
    """Cross products of vectors of three elements; lazy.

    Parameters
    ----------
    a, b : Array or array-like
        The other axes are broadcast.
    axisa, axisb, axisc : int
        Where the vectors are in `a`, in `b`, and in the result.
    axis : int, optional
        All of these.

    Returns
    -------
    Array

    Raises
    ------
    AxisError
        No such axis.
    ValueError
        Its extent is not 3; the others do not fit.

    Examples
    --------
    >>> cross([1, 2, 3], [4, 5, 6]).compute()
    array([-3,  6, -3])
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = _last(array_of(a), axisa), _last(array_of(b), axisb)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ValueError(
            f"cross needs vectors of 3 elements, not of {a.shape[-1]} and {b.shape[-1]}"
        )
    x, y = ([one[..., k : k + 1] for k in range(3)] for one in (a, b))
    parts = [x[n - 2] * y[n - 1] - x[n - 1] * y[n - 2] for n in range(3)]
    found = apply(Concatenate(parts[0].ndim - 1), *parts)
    at, last = normalize_axis_index(axisc, found.ndim), found.ndim - 1
    order = (*range(at), last, *range(at, last))
    return found if at == last else apply(Transpose(order), found)


def _last(array: Array, axis: int) -> Array:
    axis = normalize_axis_index(axis, array.ndim)
    order = tuple(one for one in range(array.ndim) if one != axis)
    return array if axis == array.ndim - 1 else apply(Transpose((*order, axis)), array)
