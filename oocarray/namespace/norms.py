"""Norms of vectors and matrices that are sums, least or greatest elements; finds no eigenvalues."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..core import Array
from ..lazy.arith import cast
from ..lifting import array_of, lifted

__all__ = ["matrix_norm", "norm", "vector_norm"]


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    """Norm of vectors or matrices, as `numpy.linalg.norm`; lazy.

    Parameters
    ----------
    x : Array or array-like
    ord : number or "fro", optional
        None: the square root of the sum of squares. For vectors any number; for matrices
        1, -1, inf, -inf and "fro".
    axis : int or pair of int, optional
        Of vectors, or of matrices; None: all of an array, which has 1 or 2 axes unless `ord` is
        None.
    keepdims : bool
        Keep these axes, with extent 1.

    Returns
    -------
    Array
        Real floats.

    Raises
    ------
    ValueError
        Not a norm, or not of so many axes.
    AxisError
        No such axis.
    NotImplementedError
        Norms of matrices that need singular values: 2, -2 and "nuc".

    Examples
    --------
    >>> norm([[3, 4], [6, 8]], axis=1).compute()
    array([ 5., 10.])
    >>> norm([[1, -2], [3, 4]], 1).compute()
    np.float64(6.0)
    """
    array = array_of(x)
    if axis is None and ord is None:
        return _vector(array, 2, tuple(range(array.ndim)), keepdims)
    axes = normalize_axis_tuple(tuple(range(array.ndim)) if axis is None else axis, array.ndim)
    if len(axes) == 1:
        return _vector(array, 2 if ord is None else ord, axes, keepdims)
    if len(axes) != 2:
        raise ValueError(f"norm: ord={ord!r} is of 1 axis or 2, not of {len(axes)}")
    return _matrix(array, "fro" if ord is None else ord, axes, keepdims)


def vector_norm(x: Any, /, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Array:
    """Norm of all elements along axes, taken as one vector; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int or tuple of int, optional
        None: all.
    keepdims : bool
        Keep these axes, with extent 1.
    ord : number
        Also inf and -inf, and 0, the number of elements that are not zero.

    Returns
    -------
    Array
        Real floats.

    Raises
    ------
    ValueError
        `ord` is no number.
    AxisError
        No such axis.

    Examples
    --------
    >>> vector_norm([[3, 4], [0, 0]]).compute()
    np.float64(5.0)
    >>> vector_norm([[3, -4], [1, 0]], axis=0, ord=float("inf")).compute()
    array([3., 4.])
    """
    array = array_of(x)
    axes = normalize_axis_tuple(tuple(range(array.ndim)) if axis is None else axis, array.ndim)
    return _vector(array, ord, axes, keepdims)


def matrix_norm(x: Any, /, keepdims: bool = False, ord: Any = "fro") -> Array:
    """Norm of the matrices that the last two axes are; lazy.

    Parameters
    ----------
    x : Array or array-like
        Shape (..., M, N).
    keepdims : bool
        Keep these axes, with extent 1.
    ord : number or "fro"
        1, -1, inf or -inf; or "fro", the square root of the sum of squares.

    Returns
    -------
    Array
        Real floats.

    Raises
    ------
    ValueError
        Not a norm; fewer than two axes.
    NotImplementedError
        Norms that need singular values: 2, -2 and "nuc".

    Examples
    --------
    >>> matrix_norm([[1, -2], [3, 4]], ord=float("inf")).compute()
    np.float64(7.0)
    """
    array = array_of(x)
    return _matrix(array, ord, normalize_axis_tuple((-2, -1), array.ndim), keepdims)


def _inexact(array: Array) -> Array:
    return array if array.dtype.kind in "fc" else Array(cast(array.node, np.float64))


def _vector(array: Array, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Array:
    if isinstance(ord, str) or not isinstance(ord, (int, float, np.number)):
        _refuse(ord, "vectors")
    array = _inexact(array)
    if ord == 2:
        return lifted(np.sqrt, [lifted(_square, [array]).sum(axes, keepdims=keepdims)])
    if ord == 0:
        real = array.dtype.type(0).real.dtype
        return Array(cast((array != 0).sum(axes, keepdims=keepdims).node, real))
    size = lifted(np.absolute, [array])
    if abs(ord) == math.inf:
        return size.max(axes, keepdims) if ord > 0 else size.min(axes, keepdims)
    if ord == 1:
        return size.sum(axes, keepdims=keepdims)
    power: Array = size ** float(ord)
    found: Array = power.sum(axes, keepdims=keepdims) ** (1 / float(ord))
    return found


def _matrix(array: Array, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Array:
    if ord in ("fro", "f"):
        return _vector(array, 2, axes, keepdims)
    if ord in (2, -2, "nuc"):
        raise NotImplementedError(
            f"norm: ord={ord!r} of matrices needs singular values; compute() the array and use "
            "numpy.linalg.norm"
        )
    if ord not in (1, -1, math.inf, -math.inf):
        _refuse(ord, "matrices")
    added, chosen = axes if abs(ord) == 1 else axes[::-1]
    sums = lifted(np.absolute, [_inexact(array)]).sum(added, keepdims=True)
    found = sums.max(chosen, True) if ord > 0 else sums.min(chosen, True)
    return found if keepdims else found[tuple(0 if k in axes else slice(None) for k in _of(found))]


def _of(array: Array) -> range:
    return range(array.ndim)


def _refuse(ord: Any, what: str) -> NoReturn:
    raise ValueError(f"norm: ord={ord!r} is no norm of {what}")


def _square(block: Any) -> Any:
    """As NumPy's norm does: of complex numbers without a root in between."""
    return block.real**2 + block.imag**2 if block.dtype.kind == "c" else block * block
