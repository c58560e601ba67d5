"""The linear algebra of NumPy and of the Array API that is lazy here; solves no equations."""

from __future__ import annotations

from typing import Any

from numpy.lib.array_utils import normalize_axis_index
from numpy.typing import DTypeLike

from .core import Array
from .lifting import apply, array_of
from .namespace.linear import cross, matmul, matrix_norm, norm, tensordot, vecdot, vector_norm
from .namespace.linear import outer as _outer
from .operations.banding import Diagonal

__all__ = ["cross", "diagonal", "matmul", "matrix_norm", "matrix_transpose", "norm", "outer"]
__all__ += ["tensordot", "trace", "vecdot", "vector_norm"]


def outer(x1: Any, x2: Any, /) -> Array:
    """Each element of a vector times each of another; lazy.

    Parameters
    ----------
    x1, x2 : Array or array-like
        Shapes (M,) and (N,).

    Returns
    -------
    Array
        Shape (M, N).

    Raises
    ------
    ValueError
        An argument has not 1 axis; `oocarray.outer` would flatten it.

    Examples
    --------
    >>> outer([1, 2], [3, 4]).compute()
    array([[3, 4],
           [6, 8]])
    """
    x1, x2 = array_of(x1), array_of(x2)
    if x1.ndim != 1 or x2.ndim != 1:
        raise ValueError(f"outer needs vectors, not arrays of {x1.ndim} and {x2.ndim} axes")
    return _outer(x1, x2)


def matrix_transpose(x: Any, /) -> Array:
    """The matrices that the last two axes are, transposed; lazy.

    Parameters
    ----------
    x : Array or array-like
        Shape (..., M, N).

    Returns
    -------
    Array
        Shape (..., N, M).

    Raises
    ------
    ValueError
        Fewer than two axes.

    Examples
    --------
    >>> matrix_transpose([[1, 2, 3]]).compute().tolist()
    [[1], [2], [3]]
    """
    from .namespace.manipulation import matrix_transpose as transposed

    found: Array = transposed(x)
    return found


def diagonal(x: Any, /, *, offset: int = 0) -> Array:
    """Diagonals of the matrices that the last two axes are; lazy.

    Parameters
    ----------
    x : Array or array-like
        Shape (..., M, N).
    offset : int
        Which one: above the main diagonal, or below it (negative).

    Returns
    -------
    Array
        The diagonals are its last axis.

    Raises
    ------
    ValueError
        Fewer than two axes.

    Examples
    --------
    >>> diagonal([[1, 2], [3, 4]], offset=1).compute()
    array([2])
    """
    array = array_of(x)
    rows, columns = (normalize_axis_index(axis, array.ndim) for axis in (-2, -1))
    return apply(Diagonal(offset, rows, columns), array)


def trace(x: Any, /, *, offset: int = 0, dtype: DTypeLike | None = None) -> Array:
    """Sums of the diagonals of the matrices that the last two axes are; lazy.

    Parameters
    ----------
    x : Array or array-like
        Shape (..., M, N).
    offset : int
        Which diagonal: above the main one, or below it (negative).
    dtype : dtype-like, optional
        Of the result; see `oocarray.sum`.

    Returns
    -------
    Array
        Without these two axes.

    Raises
    ------
    ValueError
        Fewer than two axes.

    Examples
    --------
    >>> trace([[1, 2], [3, 4]]).compute()
    np.int64(5)
    """
    return diagonal(x, offset=offset).sum(-1, dtype=dtype)
