"""Functions that pick elements, bands and differences, by NumPy's and dask's names; all lazy."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core import Array
from ..lifting import apply, array_of, known
from ..operations.banding import Diag, Diagonal, Diff, Triangle
from ..operations.taking import TakeAlong
from .joining import concatenate
from .manipulation import ravel
from .spreading import broadcast_to

__all__ = ["compress", "diag", "diagonal", "diff", "ediff1d", "extract", "take"]
__all__ += ["take_along_axis", "trace", "tril", "triu"]


def take(x: Any, indices: Any, axis: int | None = None, *, mode: str = "raise") -> Array:
    """Elements at positions along an axis; lazy.

    Parameters
    ----------
    x : Array or array-like
    indices : array-like of int
        Negative ones count from the end; may be an `Array` that is still to be computed.
    axis : int, optional
        None: of the flattened array.
    mode : {"raise", "wrap", "clip"}
        What is done about positions out of bounds; "clip" also takes negative ones for 0.

    Raises
    ------
    IndexError
        Out of bounds.

    Examples
    --------
    >>> take([[1, 2, 3], [4, 5, 6]], [2, 0], axis=1).compute()
    array([[3, 1],
           [6, 4]])
    """
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"mode={mode!r} is none of 'raise', 'wrap' and 'clip'")
    array = array_of(x)
    if axis is None:
        array, axis = ravel(array), 0
    axis = normalize_axis_index(axis, array.ndim)
    at: Any = indices if isinstance(indices, Array) else np.asarray(indices)
    if at.dtype.kind == "b" or (not at.size and isinstance(indices, (list, tuple))):
        at = at.astype(np.intp)
    if at.dtype.kind not in "iu":
        raise TypeError(f"positions are integers, not {at.dtype}")
    if mode != "raise":
        extent = known(array, "take()")[axis]
        if at.size and not extent:
            raise IndexError("cannot do a non-empty take from an empty axes.")
        at = at.astype(np.intp)
        at = at % max(extent, 1) if mode == "wrap" else at.clip(0, max(extent - 1, 0))
    if not isinstance(at, Array) and at.ndim == 0:
        at = operator.index(at[()])
    return array[(*(slice(None),) * axis, at)]


def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Array:
    """Elements at positions that are given for each line by themselves; lazy.

    Needs whole lines of the axis in memory.

    Examples
    --------
    >>> take_along_axis([[3, 1, 2]], [[1, 2, 0]], axis=1).compute()
    array([[1, 2, 3]])
    """
    array, at = array_of(arr), array_of(indices)
    if axis is None:
        array, axis = ravel(array), 0
    if at.dtype.kind not in "iu":
        raise IndexError("`indices` must be an integer array")
    if array.ndim != at.ndim:
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    return apply(TakeAlong(normalize_axis_index(axis, array.ndim)), array, at)


def compress(condition: Any, a: Any, axis: int | None = None) -> Array:
    """What is at the positions along an axis where a condition is true; lazy.

    Examples
    --------
    >>> compress([True, False, True], [1, 2, 3]).compute()
    array([1, 3])
    """
    array = array_of(a)
    if axis is None:
        array, axis = ravel(array), 0
    chosen = np.asarray(condition)
    if chosen.ndim != 1:
        raise ValueError("condition must be a 1-d array")
    at = np.flatnonzero(chosen)
    return array[(*(slice(None),) * normalize_axis_index(axis, array.ndim), at)]


def extract(condition: Any, arr: Any) -> Array:
    """Elements where a condition is true, in one axis; lazy, its extent is not known yet.

    Examples
    --------
    >>> extract([[True, False], [True, True]], [[1, 2], [3, 4]]).compute()
    array([1, 3, 4])
    """
    from .elementwise import astype

    array, mask = array_of(arr), astype(array_of(condition), bool)
    if array.shape != mask.shape or not array.ndim:
        array, mask = ravel(array), ravel(mask)
        # NumPy goes by the number of the element, and conditions may be fewer.
        if known(mask, "extract()")[0] < known(array, "extract()")[0]:
            array = array[: mask.shape[0]]
    return array[mask]


def tril(x: Any, /, k: int = 0) -> Array:
    """The lower triangle of the last two axes, zeros above it; lazy.

    Examples
    --------
    >>> tril([[1, 2], [3, 4]]).compute()
    array([[1, 0],
           [3, 4]])
    """
    return _triangle(x, k, lower=True)


def triu(x: Any, /, k: int = 0) -> Array:
    """The upper triangle of the last two axes, zeros below it; lazy.

    Examples
    --------
    >>> triu([[1, 2], [3, 4]]).compute()
    array([[1, 2],
           [0, 4]])
    """
    return _triangle(x, k, lower=False)


def _triangle(x: Any, k: int, lower: bool) -> Array:
    array = array_of(x)
    if array.ndim == 1:
        extent = known(array, "a triangle")[0]
        array = broadcast_to(array, (extent, extent))
    dtypes = array.node.dtypes
    if dtypes is not None and not dtypes[0].isnative:
        # NumPy makes these by where(), whose result is native.
        array = array.astype(np.result_type(dtypes[0]))
    return apply(Triangle(operator.index(k), lower), array)


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """Diagonals of two axes, along the last axis of the result; lazy.

    Examples
    --------
    >>> diagonal([[1, 2], [3, 4]]).compute()
    array([1, 4])
    """
    array = array_of(a)
    if array.ndim < 2:
        raise ValueError("diag requires an array of at least two dimensions")
    one, other = (normalize_axis_index(axis, array.ndim) for axis in (axis1, axis2))
    if one == other:
        raise ValueError("axis1 and axis2 cannot be the same")
    return apply(Diagonal(operator.index(offset), one, other), array)


def diag(v: Any, k: int = 0) -> Array:
    """The diagonal of a matrix, or a matrix with a diagonal; lazy.

    Examples
    --------
    >>> diag([[1, 2], [3, 4]]).compute(), diag([1, 2]).compute().tolist()
    (array([1, 4]), [[1, 0], [0, 2]])
    """
    array = array_of(v)
    if array.ndim == 2:
        return diagonal(array, k)
    if array.ndim != 1:
        raise ValueError("Input must be 1- or 2-d.")
    return apply(Diag(operator.index(k)), array)


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Array:
    """Sums of the diagonals of two axes; lazy.

    Examples
    --------
    >>> trace([[1, 2], [3, 4]]).compute()
    np.int64(5)
    """
    return diagonal(x, offset, axis1, axis2).sum(axis=-1, dtype=dtype)


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Array:
    """Differences of neighbours along an axis, `n` times; lazy.

    Examples
    --------
    >>> diff([1, 4, 9]).compute()
    array([3, 5])
    """
    array = array_of(a)
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    if not n:
        return array
    if not array.ndim:
        raise ValueError("diff requires input that is at least one dimensional")
    axis = normalize_axis_index(axis, array.ndim)
    ends = []
    for end in (prepend, append):
        if end is not None:
            end = array_of(end)
            if not end.ndim:
                end = broadcast_to(end, (*array.shape[:axis], 1, *array.shape[axis + 1 :]))
        ends.append(end)
    if any(end is not None for end in ends):
        parts = [part for part in (ends[0], array, ends[1]) if part is not None]
        array = concatenate(parts, axis)
    known(array, "diff()")
    return apply(Diff(operator.index(n), axis), array)


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Array:
    """Differences of neighbours of the flattened array, with what is to come before and after.

    Examples
    --------
    >>> ediff1d([1, 4, 9], to_end=0).compute()
    array([3, 5, 0])
    """
    array = ravel(ary)
    if array.dtype.kind == "b":
        raise TypeError("numpy boolean subtract, the `-` operator, is not supported")
    parts = [diff(array)]
    for name, end in (("to_begin", to_begin), ("to_end", to_end)):
        if end is None:
            continue
        more = ravel(end)
        if not np.can_cast(more.dtype, array.dtype, "same_kind"):
            raise TypeError(
                f"dtype of `{name}` must be compatible with input `ary` under the `same_kind` rule."
            )
        more = more.astype(parts[0].dtype)
        parts = [more, *parts] if name == "to_begin" else [*parts, more]
    return concatenate(parts) if len(parts) > 1 else parts[0]
