"""Sums, products and other results of all elements up to each; needs an axis to go along."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index
from numpy.typing import DTypeLike

from ..core import Array
from ..lifting import apply, array_of, known, lifted
from ..operations.along import Cumulative
from ..operations.shaping import Reshape

__all__ = ["accumulate", "cumprod", "cumsum", "cumulative_prod", "cumulative_sum", "nancumprod"]
__all__ += ["nancumsum"]

_ASSOCIATIVE = {
    *(np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.gcd, np.lcm),
    *(np.hypot, np.logaddexp, np.logaddexp2, np.logical_and, np.logical_or, np.logical_xor),
    *(np.bitwise_and, np.bitwise_or, np.bitwise_xor),
}


def cumsum(
    x: Any, axis: int | None = None, dtype: DTypeLike | None = None, method: object = None
) -> Array:
    """Sums of all elements up to each along an axis; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int, optional
        None: flattened, in C order.
    dtype : dtype-like, optional
        To add in; by default small integers and bool give 64 bits, other dtypes their own.
    method : object
        Ignored: there is one.

    Returns
    -------
    Array
        Of the shape of `x`, or of 1 axis.

    Raises
    ------
    AxisError
        No such axis.
    ValueError
        A shape that is not known.

    Notes
    -----
    Elements are added one after the other, as NumPy does: the same bits.

    Examples
    --------
    >>> cumsum([[1, 2], [3, 4]], axis=0).compute()
    array([[1, 2],
           [4, 6]])
    >>> cumsum([[1, 2], [3, 4]]).compute()
    array([ 1,  3,  6, 10])
    """
    return _cumulated("add", x, axis, dtype, "cumsum")


def cumprod(
    x: Any, axis: int | None = None, dtype: DTypeLike | None = None, method: object = None
) -> Array:
    """Products of all elements up to each along an axis; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int, optional
        None: flattened, in C order.
    dtype : dtype-like, optional
        To multiply in; by default as of `cumsum`.
    method : object
        Ignored: there is one.

    Returns
    -------
    Array
        Of the shape of `x`, or of 1 axis.

    Raises
    ------
    AxisError, ValueError
        As `cumsum`.

    Examples
    --------
    >>> cumprod([1, 2, 3, 4]).compute()
    array([ 1,  2,  6, 24])
    """
    return _cumulated("multiply", x, axis, dtype, "cumprod")


def nancumsum(x: Any, axis: int | None = None, dtype: DTypeLike | None = None) -> Array:
    """Sums of all elements up to each, NaN taken for 0; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int, optional
        None: flattened, in C order.
    dtype : dtype-like, optional
        As of `cumsum`.

    Returns
    -------
    Array
        Of the shape of `x`, or of 1 axis.

    Raises
    ------
    AxisError, ValueError
        As `cumsum`.

    Examples
    --------
    >>> nancumsum([1, float("nan"), 2]).compute()
    array([1., 1., 3.])
    """
    return _cumulated("add", _without_nan(x, 0), axis, dtype, "nancumsum")


def nancumprod(x: Any, axis: int | None = None, dtype: DTypeLike | None = None) -> Array:
    """Products of all elements up to each, NaN taken for 1; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int, optional
        None: flattened, in C order.
    dtype : dtype-like, optional
        As of `cumsum`.

    Returns
    -------
    Array
        Of the shape of `x`, or of 1 axis.

    Raises
    ------
    AxisError, ValueError
        As `cumsum`.

    Examples
    --------
    >>> nancumprod([2, float("nan"), 3]).compute()
    array([2., 2., 6.])
    """
    return _cumulated("multiply", _without_nan(x, 1), axis, dtype, "nancumprod")


def cumulative_sum(
    x: Any,
    /,
    *,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> Array:
    """Sums of all elements up to each along an axis, or before each; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int, optional
        May be left out where there is only one.
    dtype : dtype-like, optional
        As of `cumsum`.
    include_initial : bool
        Begin with 0, and so have one element more along the axis.

    Returns
    -------
    Array

    Raises
    ------
    ValueError
        There are several axes, and none is named.
    AxisError
        No such axis.

    Examples
    --------
    >>> cumulative_sum([1, 2, 3], include_initial=True).compute()
    array([0, 1, 3, 6])
    """
    return _named("add", x, axis, dtype, include_initial, "cumulative_sum")


def cumulative_prod(
    x: Any,
    /,
    *,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> Array:
    """Products of all elements up to each along an axis, or before each; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int, optional
        May be left out where there is only one.
    dtype : dtype-like, optional
        As of `cumsum`.
    include_initial : bool
        Begin with 1, and so have one element more along the axis.

    Returns
    -------
    Array

    Raises
    ------
    ValueError
        There are several axes, and none is named.
    AxisError
        No such axis.

    Examples
    --------
    >>> cumulative_prod([2, 3], include_initial=True).compute()
    array([1, 2, 6])
    """
    return _named("multiply", x, axis, dtype, include_initial, "cumulative_prod")


def accumulate(
    ufunc: np.ufunc, x: Any, axis: int | None = 0, dtype: DTypeLike | None = None
) -> Array:
    """What ``ufunc.accumulate`` makes of an array; lazy.

    Parameters
    ----------
    ufunc : numpy.ufunc
        An associative one: add, multiply, maximum, minimum, fmax, fmin, gcd, lcm, hypot,
        logaddexp, logaddexp2, and the logical and bitwise and, or, xor.
    x : Array or array-like
        Of 1 axis or more.
    axis : int, optional
        None is for arrays of 1 axis.
    dtype : dtype-like, optional
        To calculate in; by default NumPy's.

    Returns
    -------
    Array
        Of the shape of `x`.

    Raises
    ------
    TypeError
        Another ufunc, or an array of no axes.
    AxisError
        No such axis.
    ValueError
        There are several axes, and none is named.

    Examples
    --------
    >>> accumulate(np.maximum, [3, 1, 4, 1, 5]).compute()
    array([3, 3, 4, 4, 5])
    """
    if ufunc not in _ASSOCIATIVE:
        raise TypeError(
            f"{ufunc.__name__}.accumulate of out-of-core arrays is there for "
            f"{', '.join(sorted(one.__name__ for one in _ASSOCIATIVE))}"
        )
    array = array_of(x)
    if not array.ndim:
        raise TypeError("cannot accumulate on a scalar")
    if axis is None and array.ndim > 1:
        raise ValueError("accumulate does not allow multiple axes")
    return _cumulated(ufunc.__name__, array, axis, dtype, "accumulate")


def _cumulated(
    ufunc: str,
    x: Any,
    axis: int | None,
    dtype: DTypeLike | None,
    name: str,
    include_initial: bool = False,
) -> Array:
    array = array_of(x)
    if axis is None or not array.ndim:
        # As NumPy: an array of no axes counts as one of one element.
        axis = 0 if axis is None else normalize_axis_index(operator.index(axis), 1)
        if array.ndim != 1:
            known(array, name)
            array = apply(Reshape((array.size,)), array)
    axis = normalize_axis_index(operator.index(axis), array.ndim)
    wanted = None if dtype is None else np.dtype(dtype)
    return apply(Cumulative(ufunc, axis, wanted, bool(include_initial), name), array)


def _named(
    ufunc: str, x: Any, axis: int | None, dtype: Any, include_initial: bool, name: str
) -> Array:
    array = array_of(x)
    if axis is None and array.ndim > 1:
        raise ValueError(f"{name} of {array.ndim} axes needs axis=")
    return _cumulated(ufunc, array, axis, dtype, name, include_initial)


def _without_nan(x: Any, value: int) -> Array:
    array = array_of(x)
    if array.dtype.kind not in "fc":
        return array
    return lifted(_filled, [array], {"value": value}, "nan_to_num")


def _filled(block: Any, value: int) -> Any:
    return np.where(np.isnan(block), block.dtype.type(value), block)
