"""Products of vectors, matrices and stacks of them; solves and factorizes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..core import Array
from ..lifting import apply, array_of, known, lifted
from ..operations.products import Matmul, Outer, Tensordot, Vecdot
from ..operations.shaping import Reshape
from .crossing import cross
from .einsums import einsum
from .norms import matrix_norm, norm, vector_norm

__all__ = ["cross", "dot", "einsum", "inner", "matmul", "matrix_norm", "matvec", "norm", "outer"]
__all__ += ["tensordot", "vdot", "vecdot", "vecmat", "vector_norm"]


def matmul(x1: Any, x2: Any, /) -> Array:
    """Matrix product; lazy.

    Parameters
    ----------
    x1, x2 : Array or array-like
        Shapes (..., M, K) and (..., K, N), whose first axes are broadcast; or (K,).

    Returns
    -------
    Array
        Shape (..., M, N), without M or N where that argument is a vector; 0 axes for two vectors.

    Raises
    ------
    ValueError
        An argument has no axes; extents do not fit.
    TypeError
        NumPy multiplies no such dtypes.

    Notes
    -----
    Sums are made panel by panel in one order that follows from the shapes, so that the bits are
    the same however the result is cut. They may differ from NumPy's in the last ones.

    Examples
    --------
    >>> matmul([[1, 2], [3, 4]], [10, 1]).compute()
    array([12, 34])
    """
    return apply(Matmul(), x1, x2)


def dot(a: Any, b: Any) -> Array:
    """Sums of products over the last axis of `a` and the last but one of `b`; lazy.

    Parameters
    ----------
    a, b : Array or array-like
        Shapes (..., K) and (..., K, N), or (K,); an argument without axes multiplies the other.

    Returns
    -------
    Array
        The other axes of `a`, then those of `b`.

    Raises
    ------
    ValueError
        Extents do not fit.

    Examples
    --------
    >>> dot([[1, 2], [3, 4]], [[1, 0], [0, 2]]).compute()
    array([[1, 4],
           [3, 8]])
    """
    a, b = array_of(a), array_of(b)
    if not a.ndim or not b.ndim:
        return lifted(np.multiply, [a, b])
    return apply(Tensordot((a.ndim - 1,), (max(b.ndim - 2, 0),)), a, b)


def tensordot(x1: Any, x2: Any, /, axes: int | Sequence[Any] = 2) -> Array:
    """Sums of products over pairs of axes; lazy.

    Parameters
    ----------
    x1, x2 : Array or array-like
    axes : int, or a pair of ints or of sequences of int
        How many last axes of `x1` and first ones of `x2`; or which of each. Default: 2.

    Returns
    -------
    Array
        The other axes of `x1`, then those of `x2`.

    Raises
    ------
    ValueError
        Extents do not fit; an axis twice, or not as many of both.
    AxisError
        No such axis.

    Examples
    --------
    >>> tensordot([[1, 2], [3, 4]], [[1, 1], [1, 0]]).compute()
    np.int64(6)
    >>> tensordot(np.ones((2, 3, 4)), np.ones((3, 2)), axes=([0, 1], [1, 0])).shape
    (4,)
    """
    x1, x2 = array_of(x1), array_of(x2)
    if isinstance(axes, Sequence | np.ndarray):
        first, second = axes
    else:
        count = int(axes)
        if count > min(x1.ndim, x2.ndim):
            raise ValueError(
                f"tensordot: axes={count}, but the arrays have {x1.ndim} and {x2.ndim} axes"
            )
        first, second = range(x1.ndim - count, x1.ndim), range(count)
    own = tuple(
        # An axis that is named twice is refused here, whichever way it is spelled.
        normalize_axis_tuple(tuple(np.ravel(which).astype(int).tolist()), x.ndim, "axes")
        for which, x in ((first, x1), (second, x2))
    )
    return apply(Tensordot(own[0], own[1]), x1, x2)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Array:
    """Sums of products along one axis, `x1` conjugated; lazy.

    Parameters
    ----------
    x1, x2 : Array or array-like
        The other axes are broadcast.
    axis : int
        Of both; default: the last.

    Returns
    -------
    Array
        Without the axis.

    Raises
    ------
    AxisError, ValueError
        No such axis; extents do not fit.

    Examples
    --------
    >>> vecdot([[1, 2], [3, 4]], [1, 10]).compute()
    array([21, 43])
    """
    return apply(Vecdot(axis), x1, x2)


def outer(a: Any, b: Any) -> Array:
    """Each element of `a` times each of `b`; lazy.

    Parameters
    ----------
    a, b : Array or array-like
        Flattened in C order.

    Returns
    -------
    Array
        Shape (a.size, b.size).

    Raises
    ------
    ValueError
        A shape is not known.

    Examples
    --------
    >>> outer([1, 2], [3, 4]).compute()
    array([[3, 4],
           [6, 8]])
    """
    return apply(Outer(), _flat(a), _flat(b))


def inner(a: Any, b: Any) -> Array:
    """Sums of products over the last axes of both; lazy.

    Parameters
    ----------
    a, b : Array or array-like
        Shapes (..., K) and (..., K); an argument without axes multiplies the other.

    Returns
    -------
    Array
        The other axes of `a`, then those of `b`.

    Raises
    ------
    ValueError
        The last extents differ.

    Examples
    --------
    >>> inner([1, 2], [[3, 4], [0, 1]]).compute()
    array([11,  2])
    """
    a, b = array_of(a), array_of(b)
    if not a.ndim or not b.ndim:
        return lifted(np.multiply, [a, b])
    return apply(Tensordot((a.ndim - 1,), (b.ndim - 1,)), a, b)


def vdot(a: Any, b: Any) -> Array:
    """Sum of all products, `a` conjugated; lazy.

    Parameters
    ----------
    a, b : Array or array-like
        Of one size; flattened in C order.

    Returns
    -------
    Array
        Of no axes.

    Raises
    ------
    ValueError
        The sizes differ, or are not known.

    Examples
    --------
    >>> vdot([1j, 2], [1j, 1]).compute()
    np.complex128(3+0j)
    """
    return apply(Vecdot(-1), _flat(a), _flat(b))


def matvec(x1: Any, x2: Any, /) -> Array:
    """Products of matrices and vectors, both broadcast; lazy.

    Parameters
    ----------
    x1, x2 : Array or array-like
        Shapes (..., M, K) and (..., K).

    Returns
    -------
    Array
        Shape (..., M).

    Raises
    ------
    ValueError
        An argument has too few axes; extents do not fit.

    Examples
    --------
    >>> matvec([[1, 2], [3, 4]], [[10, 1], [0, 1]]).compute()
    array([[12, 34],
           [ 2,  4]])
    """
    return matmul(_matrix(x1, 2), _matrix(x2, 1)[..., None])[..., 0]


def vecmat(x1: Any, x2: Any, /) -> Array:
    """Products of conjugated vectors and matrices, both broadcast; lazy.

    Parameters
    ----------
    x1, x2 : Array or array-like
        Shapes (..., K) and (..., K, N).

    Returns
    -------
    Array
        Shape (..., N).

    Raises
    ------
    ValueError
        An argument has too few axes; extents do not fit.

    Examples
    --------
    >>> vecmat([10, 1], [[1, 2], [3, 4]]).compute()
    array([13, 24])
    """
    x1 = _matrix(x1, 1)
    x1 = lifted(np.conjugate, [x1]) if x1.dtype.kind == "c" else x1
    return matmul(x1[..., None, :], _matrix(x2, 2))[..., 0, :]


def _flat(value: Any) -> Array:
    array = array_of(value)
    if array.ndim == 1:
        return array
    known(array, "flattening")
    return apply(Reshape((array.size,)), array)


def _matrix(value: Any, least: int) -> Array:
    array = array_of(value)
    if array.ndim < least:
        raise ValueError(f"an argument of {array.ndim} axes; there must be {least} or more")
    return array
