"""Averages, quantiles and covariances, and what else is asked along axes; fits no models.

Quantiles need all elements along the axes that they are taken of in memory; the other functions
here do not.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.typing import DTypeLike

from ..core import Array
from ..lazy.arith import cast
from ..lifting import apply, array_of, known, lifted
from ..operations.banding import Diagonal
from ..operations.joining import Concatenate
from ..operations.products import Matmul
from ..operations.shaping import BroadcastTo, Transpose
from .comparing import allclose, array_equal, array_equiv
from .lines import apply_along_axis, apply_over_axes, gradient, interp
from .quantiles import median, nanmedian, nanpercentile, nanquantile, percentile, quantile

__all__ = ["allclose", "apply_along_axis", "apply_over_axes", "array_equal", "array_equiv"]
__all__ += ["average", "corrcoef", "cov", "gradient", "interp", "median", "nanmedian"]
__all__ += ["nanpercentile", "nanquantile", "percentile", "ptp", "quantile"]


def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    """Weighted mean over axes; lazy.

    Parameters
    ----------
    a : Array or array-like
    axis : int or tuple of int, optional
        Axes to average over; None: all.
    weights : Array or array-like, optional
        Of the shape of `a`, or of the axes that are named.
    returned : bool
        Also the sums of the weights.
    keepdims : bool
        Keep the axes, with extent 1.

    Returns
    -------
    Array, or tuple of two Arrays
        Without the axes.

    Raises
    ------
    AxisError
        No such axis.
    TypeError, ValueError
        Weights of another shape.

    Notes
    -----
    Where weights add up to zero the result is NaN or infinite, with a RuntimeWarning when it is
    computed; NumPy raises a ZeroDivisionError.

    Examples
    --------
    >>> average([[1, 2], [3, 4]], axis=0, weights=[3, 1]).compute()
    array([1.5, 2.5])
    """
    array = array_of(a)
    axes = None if axis is None else normalize_axis_tuple(axis, array.ndim, "axis")
    if weights is None:
        found = array.mean(axes, keepdims=keepdims)
        if not returned:
            return found
        size = known(array, "average")
        count = np.prod([size[k] for k in (range(array.ndim) if axes is None else axes)])
        return found, _filled(found, count)
    given = array_of(weights)
    if array.dtype.kind in "biu":
        dtype = np.result_type(array.dtype, given.dtype, np.float64)
    else:
        dtype = np.result_type(array.dtype, given.dtype)
    spread = _weights(array, given, axes)
    total = spread.sum(axes, dtype, keepdims)
    found = lifted(np.multiply, [array, spread], {"dtype": dtype}).sum(axes, dtype, keepdims)
    found = lifted(np.true_divide, [found, total])
    if not returned:
        return found
    same = total.shape == found.shape
    return found, total if same else apply(BroadcastTo(tuple(found.shape)), total)


def ptp(a: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """Greatest element less the least, over axes; lazy.

    Parameters
    ----------
    a : Array or array-like
    axis : int or tuple of int, optional
        None: all.
    keepdims : bool
        Keep the axes, with extent 1.

    Returns
    -------
    Array
        Without the axes; dtype of `a`. NaN where there is one.

    Raises
    ------
    AxisError, TypeError
        No such axis; `a` is of bool.

    Examples
    --------
    >>> ptp([[4, 9], [2, 10]], axis=1).compute()
    array([5, 8])
    """
    array = array_of(a)
    return lifted(np.subtract, [array.max(axis, keepdims), array.min(axis, keepdims)])


def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    *,
    dtype: DTypeLike | None = None,
) -> Array:
    """Covariances of variables; lazy.

    Parameters
    ----------
    m : Array or array-like
        Of 1 or 2 axes: a row for each variable, a column for each observation.
    y : Array or array-like, optional
        More variables.
    rowvar : bool
        False: a column for each variable.
    bias : bool
        Divide by the number of observations, rather than by one less.
    ddof : int, optional
        Divide by the number of observations less this.
    dtype : dtype-like, optional
        To calculate in; at least float64 by default.

    Returns
    -------
    Array
        Shape (variables, variables), or of no axes for one variable.

    Raises
    ------
    ValueError
        More than 2 axes; `ddof` is no integer; a shape that is not known.

    Examples
    --------
    >>> cov([[0, 1, 2], [2, 1, 0]]).compute()
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    if ddof is not None and ddof != int(ddof):
        raise ValueError("ddof must be integer")
    given = [array_of(m)] + ([] if y is None else [array_of(y)])
    if any(one.ndim > 2 for one in given):
        raise ValueError("cov needs arrays of 1 or 2 axes")
    wanted = np.result_type(*(one.dtype for one in given), np.float64) if dtype is None else dtype
    rows = [_rows(Array(cast(one.node, wanted)), rowvar) for one in given]
    x = rows[0] if len(rows) == 1 else apply(Concatenate(0), *rows)
    count = known(x, "cov")[1]
    factor = float(count - ((0 if bias else 1) if ddof is None else ddof))
    if factor <= 0:
        warnings.warn("Degrees of freedom <= 0 for slice", RuntimeWarning, stacklevel=2)
        factor = 0.0
    x = x - x.mean(1, keepdims=True)
    turned = apply(Transpose((1, 0)), x)
    other = lifted(np.conjugate, [turned]) if x.dtype.kind == "c" else turned
    found: Array = lifted(_scaled, [apply(Matmul(), x, other)], {"factor": factor})
    return found[0, 0] if found.shape == (1, 1) else found


def corrcoef(
    x: Any, y: Any = None, rowvar: bool = True, *, dtype: DTypeLike | None = None
) -> Array:
    """Correlations of variables; lazy.

    Parameters
    ----------
    x, y, rowvar, dtype
        As of `cov`.

    Returns
    -------
    Array
        Shape (variables, variables), or of no axes for one variable; from -1 to 1.

    Raises
    ------
    ValueError
        More than 2 axes; a shape that is not known.

    Examples
    --------
    >>> corrcoef([[0, 1, 2], [2, 1, 0]]).compute()
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    found = cov(x, y, rowvar, dtype=dtype)
    if not found.ndim:
        return lifted(np.true_divide, [found, found])
    deviations = lifted(_root, [apply(Diagonal(0, 0, 1), found)])
    return lifted(_clipped, [found / deviations[:, None] / deviations[None, :]])


def _weights(array: Array, given: Array, axes: tuple[int, ...] | None) -> Array:
    """Weights with an axis for each of the array's."""
    if given.shape == array.shape:
        return given
    if axes is None:
        raise TypeError("Axis must be specified when shapes of a and weights differ.")
    if given.shape != tuple(array.shape[axis] for axis in axes):
        raise ValueError("Shape of weights must be consistent with shape of a along specified axis")
    # Axes may be named in any order: theirs are that of the weights.
    places = tuple(axes.index(axis) if axis in axes else None for axis in range(array.ndim))
    spread = apply(Transpose(places), given)
    return apply(BroadcastTo(tuple(array.shape)), spread)


def _filled(like: Array, value: Any) -> Array:
    return array_of(np.broadcast_to(like.dtype.type(value), like.shape))


def _rows(array: Array, rowvar: bool) -> Array:
    """A row for each variable."""
    if array.ndim < 2:
        return apply(Transpose((None, 0) if array.ndim else (None, None)), array)
    return array if rowvar else apply(Transpose((1, 0)), array)


def _scaled(block: Any, factor: float) -> Any:
    return block * np.true_divide(1, factor)


def _root(block: Any) -> Any:
    return np.sqrt(block.real)


def _clipped(block: Any) -> Any:
    if block.dtype.kind == "c":
        return np.clip(block.real, -1, 1) + 1j * np.clip(block.imag, -1, 1)
    return np.clip(block, -1, 1)
