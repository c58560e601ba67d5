"""Reductions that pass over NaN, as functions; lazy: nothing is read here."""

from __future__ import annotations

from typing import Any

from numpy.typing import DTypeLike

from .core import Array
from .methods import Axis
from .opening import from_array

__all__ = ["nanmean", "nanprod", "nanstd", "nansum", "nanvar"]


def nansum(
    x: Any,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    keepdims: bool = False,
    split_every: object = None,
) -> Array:
    """Sum over axes of the elements that are not NaN; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int or tuple of int, optional
        Axes to reduce; None: all.
    dtype : dtype-like, optional
        Of the result. Floats are added in float64 whatever it is.
    keepdims : bool
        Keep reduced axes, with extent 1.
    split_every : object
        Ignored: how results are combined is fixed.

    Returns
    -------
    Array
        Without the reduced axes; dtypes as of `oocarray.sum`. 0 where all are NaN.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.

    Notes
    -----
    Accuracy and bits as of `oocarray.sum`.

    Examples
    --------
    >>> nansum([[1, float("nan")], [3, 4]], axis=1).compute()
    array([1., 7.])
    """
    return from_array(x).nansum(axis, dtype, keepdims)


def nanprod(
    x: Any,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    keepdims: bool = False,
    split_every: object = None,
) -> Array:
    """Product over axes of the elements that are not NaN; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int or tuple of int, optional
        Axes to reduce; None: all.
    dtype : dtype-like, optional
        Of the result. Floats are multiplied in float64 whatever it is.
    keepdims : bool
        Keep reduced axes, with extent 1.
    split_every : object
        Ignored: how results are combined is fixed.

    Returns
    -------
    Array
        Without the reduced axes; dtypes as of `oocarray.prod`. 1 where all are NaN.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.

    Notes
    -----
    Accuracy and bits as of `oocarray.prod`.

    Examples
    --------
    >>> nanprod([[2, float("nan")], [3, 4]], axis=1).compute()
    array([ 2., 12.])
    """
    return from_array(x).nanprod(axis, dtype, keepdims)


def nanmean(
    x: Any,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    keepdims: bool = False,
    split_every: object = None,
) -> Array:
    """Arithmetic mean over axes of the elements that are not NaN; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int or tuple of int, optional
        Axes to reduce; None: all.
    dtype : dtype-like, optional
        Of the result. Floats are added in float64 whatever it is.
    keepdims : bool
        Keep reduced axes, with extent 1.
    split_every : object
        Ignored: how results are combined is fixed.

    Returns
    -------
    Array
        Without the reduced axes; dtypes as of `oocarray.mean`. NaN where all are NaN, with a
        RuntimeWarning.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.

    Notes
    -----
    Accuracy and bits as of `oocarray.mean`.

    Examples
    --------
    >>> nanmean([[1, float("nan")], [3, 4]], axis=1).compute()
    array([1. , 3.5])
    """
    return from_array(x).nanmean(axis, dtype, keepdims)


def nanvar(
    x: Any,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    keepdims: bool = False,
    ddof: float = 0,
    split_every: object = None,
    *,
    correction: float | None = None,
) -> Array:
    """Variance over axes of the elements that are not NaN; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int or tuple of int, optional
        Axes to reduce; None: all.
    dtype : dtype-like, optional
        Of the result, its real part; computed in float64 whatever it is.
    keepdims : bool
        Keep reduced axes, with extent 1.
    ddof, correction : float
        The divisor is the number of elements minus one of these, which are the same.
    split_every : object
        Ignored: how results are combined is fixed.

    Returns
    -------
    Array
        Without the reduced axes; dtypes as of `oocarray.var`. NaN, with a RuntimeWarning, where
        no more than `ddof` elements are left.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.

    Notes
    -----
    Accuracy and bits as of `oocarray.var`.

    Examples
    --------
    >>> nanvar([[1, float("nan")], [3, 5]], axis=1).compute()
    array([0., 1.])
    """
    return from_array(x).nanvar(axis, dtype, keepdims, ddof, correction=correction)


def nanstd(
    x: Any,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    keepdims: bool = False,
    ddof: float = 0,
    split_every: object = None,
    *,
    correction: float | None = None,
) -> Array:
    """Standard deviation over axes of the elements that are not NaN; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int or tuple of int, optional
        Axes to reduce; None: all.
    dtype : dtype-like, optional
        Of the result, its real part; computed in float64 whatever it is.
    keepdims : bool
        Keep reduced axes, with extent 1.
    ddof, correction : float
        The divisor is the number of elements minus one of these, which are the same.
    split_every : object
        Ignored: how results are combined is fixed.

    Returns
    -------
    Array
        Without the reduced axes; dtypes as of `oocarray.std`. NaN, with a RuntimeWarning, where
        no more than `ddof` elements are left.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.

    Notes
    -----
    Accuracy and bits as of `oocarray.var`.

    Examples
    --------
    >>> nanstd([[1, float("nan")], [3, 5]], axis=1).compute()
    array([0., 1.])
    """
    return from_array(x).nanstd(axis, dtype, keepdims, ddof, correction=correction)
