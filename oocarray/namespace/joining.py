"""Arrays one after another, or beside each other; files that are joined stay where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import Array
from ..lifting import apply, array_of
from ..operations.joining import Concatenate, Stack
from ..operations.shaping import Transpose
from .gathering import converted, joint, listed, nested_in
from .making import into
from .manipulation import ravel
from .spreading import atleast_1d, atleast_2d, atleast_3d
from .viewing import transposed

__all__ = ["append", "block", "column_stack", "concat", "concatenate", "dstack", "hstack", "stack"]
__all__ += ["vstack"]


def concatenate(
    arrays: Any,
    /,
    axis: int | None = 0,
    out: Any = None,
    *,
    dtype: DTypeLike | None = None,
    casting: str = "same_kind",
) -> Any:
    """Arrays one after another along an axis that they have; lazy.

    Parameters
    ----------
    arrays : sequence of Arrays or array-likes
        Of the same shape, but for `axis`, along which extents are known.
    axis : int, optional
        None: all are flattened.
    out : Array or ndarray, optional
        Where to put what is then computed at once.
    dtype : dtype-like, optional
        Of the result; by default the one that NumPy finds for all.
    casting : {"no", "equiv", "safe", "same_kind", "unsafe"}
        Which conversions are allowed.

    Returns
    -------
    Array
        `out`, if it was given.

    Raises
    ------
    ValueError
        No arrays, of no axis, or of shapes that do not fit or are not known.
    AxisError
        No such axis.
    TypeError
        A conversion that is not allowed.

    Examples
    --------
    >>> concatenate([[[1, 2]], [[3, 4], [5, 6]]]).compute().tolist()
    [[1, 2], [3, 4], [5, 6]]
    >>> concat([[[1, 2]], [3.5]], axis=None).compute()
    array([1. , 2. , 3.5])
    """
    given = listed(arrays)
    found = [array_of(one) for one in given]
    if axis is None:
        found = [ravel(one) for one in found]
        if dtype is None and any(type(one) in (int, float, complex) for one in given):
            # Python's numbers take the others' dtype.
            pairs = zip(given, found, strict=True)
            dtype = np.result_type(
                *(one if type(one) in (int, float, complex) else own.dtype for one, own in pairs)
            )
    found = converted(found, dtype, casting)
    at = 0 if axis is None else joint(axis, found, 0)
    return into(out, apply(Concatenate(at, found[0].dtype if dtype is not None else None), *found))


concat = concatenate


def stack(
    arrays: Any,
    /,
    axis: int = 0,
    out: Any = None,
    *,
    dtype: DTypeLike | None = None,
    casting: str = "same_kind",
) -> Any:
    """Arrays of one shape one after another along a new axis; lazy.

    Parameters
    ----------
    arrays : sequence of Arrays or array-likes
    axis : int
        Of the result.
    out : Array or ndarray, optional
        Where to put what is then computed at once.
    dtype : dtype-like, optional
        Of the result; by default the one that NumPy finds for all.
    casting : {"no", "equiv", "safe", "same_kind", "unsafe"}
        Which conversions are allowed.

    Returns
    -------
    Array
        With one axis more; `out`, if it was given.

    Raises
    ------
    ValueError
        No arrays, or of several shapes.
    AxisError
        No such axis.
    TypeError
        A conversion that is not allowed.

    Examples
    --------
    >>> stack([[1, 2], [3, 4]], axis=1).compute().tolist()
    [[1, 3], [2, 4]]
    """
    found = converted([array_of(one) for one in listed(arrays)], dtype, casting)
    at, made = joint(axis, found, 1), None if dtype is None else found[0].dtype
    if not found[0].ndim:
        # As vectors: every block of the result has an axis then, and so has each argument.
        if odd := next((one.shape for one in found if one.ndim), None):
            raise ValueError(f"all input arrays must have the same shape, not () and {odd}")
        return into(out, apply(Concatenate(0, made), *(transposed(one, (None,)) for one in found)))
    return into(out, apply(Stack(at, made), *found))


def vstack(tup: Any, /, *, dtype: DTypeLike | None = None, casting: str = "same_kind") -> Array:
    """Arrays, vectors as rows, one below another: along axis 0; lazy.

    Parameters
    ----------
    tup : sequence of Arrays or array-likes
    dtype, casting : optional
        As of `concatenate`.

    Returns
    -------
    Array

    Raises
    ------
    ValueError, TypeError
        As `concatenate` does.

    Examples
    --------
    >>> vstack([[1, 2], [[3, 4]]]).compute().tolist()
    [[1, 2], [3, 4]]
    """
    rows = [atleast_2d(one) for one in listed(tup)]
    return concatenate(rows, 0, dtype=dtype, casting=casting)  # type: ignore[no-any-return]


def hstack(tup: Any, /, *, dtype: DTypeLike | None = None, casting: str = "same_kind") -> Array:
    """Arrays beside each other: along axis 1, vectors along their only one; lazy.

    Parameters
    ----------
    tup : sequence of Arrays or array-likes
    dtype, casting : optional
        As of `concatenate`.

    Returns
    -------
    Array

    Raises
    ------
    ValueError, TypeError
        As `concatenate` does.

    Examples
    --------
    >>> hstack([[1, 2], [3]]).compute()
    array([1, 2, 3])
    """
    found = [atleast_1d(one) for one in listed(tup)]
    axis = 0 if found and found[0].ndim == 1 else 1
    return concatenate(found, axis, dtype=dtype, casting=casting)  # type: ignore[no-any-return]


def dstack(tup: Any, /) -> Array:
    """Arrays, of fewer than three axes as layers, one behind another: along axis 2; lazy.

    Parameters
    ----------
    tup : sequence of Arrays or array-likes

    Returns
    -------
    Array

    Raises
    ------
    ValueError, TypeError
        As `concatenate` does.

    Examples
    --------
    >>> dstack([[1, 2], [3, 4]]).compute().tolist()
    [[[1, 3], [2, 4]]]
    """
    return concatenate([atleast_3d(one) for one in listed(tup)], 2)  # type: ignore[no-any-return]


def column_stack(tup: Any, /) -> Array:
    """Vectors as columns, and matrices, beside each other; lazy.

    Parameters
    ----------
    tup : sequence of Arrays or array-likes

    Returns
    -------
    Array

    Raises
    ------
    ValueError, TypeError
        As `concatenate` does.

    Examples
    --------
    >>> column_stack([[1, 2], [[3, 4], [5, 6]]]).compute().tolist()
    [[1, 3, 4], [2, 5, 6]]
    """
    columns = []
    for one in map(array_of, listed(tup)):
        axes = {0: (None, None), 1: (0, None)}.get(one.ndim)
        columns.append(one if axes is None else transposed(one, axes))
    return concatenate(columns, 1)  # type: ignore[no-any-return]


def block(arrays: Any) -> Array:
    """An array put together from nested lists of parts; lazy.

    Parameters
    ----------
    arrays : Array, array-like or nested list
        The innermost lists are joined along the last axis, those around along the one before.

    Returns
    -------
    Array

    Raises
    ------
    ValueError
        An empty list, lists of several depths, or shapes that do not fit.
    TypeError
        A tuple in place of a list.

    Examples
    --------
    >>> block([[np.eye(2, dtype=int), np.ones((2, 1), int)], [np.zeros((1, 3), int)]]).compute()
    array([[1, 0, 1],
           [0, 1, 1],
           [0, 0, 0]])
    """
    leaves: list[Array] = []
    nested, depth = nested_in(arrays, leaves)
    ndim = max(depth, *(leaf.ndim for leaf in leaves))
    dtype = np.result_type(*(leaf.dtype for leaf in leaves))

    def joined(part: Any, deep: int) -> Array:
        if isinstance(part, Array):
            axes = (*(None,) * (ndim - part.ndim), *range(part.ndim))
            # Of a part alone NumPy makes a copy, too.
            return transposed(part, axes) if depth else apply(Transpose(axes), part)
        parts = [joined(one, deep - 1) for one in part]
        return concatenate(parts, -deep, dtype=dtype)  # type: ignore[no-any-return]

    return joined(nested, depth)


def append(arr: Any, values: Any, axis: int | None = None) -> Array:
    """An array and then values; lazy, a new array: the method adds rows to a file.

    Parameters
    ----------
    arr, values : Array or array-like
    axis : int, optional
        None: both are flattened.

    Returns
    -------
    Array

    Raises
    ------
    AxisError, ValueError, TypeError
        As `concatenate` does.

    Examples
    --------
    >>> append([1, 2], [[3, 4]]).compute()
    array([1, 2, 3, 4])
    """
    both = [array_of(arr), array_of(values)]
    if axis is None:
        both = [ravel(one) for one in both]
        axis = 0
    return concatenate(both, axis)  # type: ignore[no-any-return]
