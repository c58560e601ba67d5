"""Quantiles of all elements along axes, which are in memory together; none is estimated."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array
from ..lifting import apply, array_of
from ..operations.folding import Median, Quantile

__all__ = ["median", "nanmedian", "nanpercentile", "nanquantile", "percentile", "quantile"]


def median(a: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """The middle of all elements over axes; lazy.

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
        Without the axes. Of an even number the mean of the middle two; NaN where there is one.

    Raises
    ------
    AxisError, ValueError
        No such axis, or one twice.
    BudgetError
        When computed: all elements along the axes do not fit the memory budget.

    Examples
    --------
    >>> median([[1, 2, 9], [4, 6, 5]], axis=1).compute()
    array([2., 5.])
    """
    return apply(Median(_axes(axis), bool(keepdims)), a)


def nanmedian(a: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """The middle of all elements over axes that are not NaN; lazy.

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
        Without the axes. NaN, with a RuntimeWarning, where all are.

    Raises
    ------
    AxisError, ValueError
        No such axis, or one twice.
    BudgetError
        When computed: all elements along the axes do not fit the memory budget.

    Examples
    --------
    >>> nanmedian([1, float("nan"), 4]).compute()
    np.float64(2.5)
    """
    return apply(Median(_axes(axis), bool(keepdims), "nanmedian"), a)


def quantile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False
) -> Array:
    """Quantiles of all elements over axes; lazy.

    Parameters
    ----------
    a : Array or array-like
    q : float or array-like of float
        From 0, the least, to 1, the greatest; computed, if it is an Array.
    axis : int or tuple of int, optional
        None: all.
    method : str
        How to find what is between two elements, as of `numpy.quantile`.
    keepdims : bool
        Keep the axes, with extent 1.

    Returns
    -------
    Array
        The axes of `q`, then those of `a` without the ones named. NaN where there is one.

    Raises
    ------
    ValueError
        `q` is out of bounds; no such method.
    AxisError
        No such axis.
    TypeError
        `a` is complex.
    BudgetError
        When computed: all elements along the axes do not fit the memory budget.

    Examples
    --------
    >>> quantile([[1, 2, 9], [4, 6, 5]], [0, 0.5], axis=1).compute()
    array([[1., 4.],
           [2., 5.]])
    """
    return _quantile("quantile", a, q, axis, method, keepdims)


def nanquantile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False
) -> Array:
    """Quantiles of all elements over axes that are not NaN; lazy.

    Parameters
    ----------
    a, q, axis, method, keepdims
        As of `quantile`.

    Returns
    -------
    Array
        As of `quantile`. NaN, with a RuntimeWarning, where all are.

    Raises
    ------
    ValueError, AxisError, TypeError, BudgetError
        As `quantile`.

    Examples
    --------
    >>> nanquantile([1, float("nan"), 4], 0.5).compute()
    np.float64(2.5)
    """
    return _quantile("nanquantile", a, q, axis, method, keepdims)


def percentile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False
) -> Array:
    """Percentiles of all elements over axes; lazy.

    Parameters
    ----------
    a, q, axis, method, keepdims
        As of `quantile`, but `q` is from 0 to 100.

    Returns
    -------
    Array
        As of `quantile`.

    Raises
    ------
    ValueError, AxisError, TypeError, BudgetError
        As `quantile`.

    Examples
    --------
    >>> percentile([1, 2, 4], 50).compute()
    np.float64(2.0)
    """
    return _quantile("percentile", a, q, axis, method, keepdims)


def nanpercentile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False
) -> Array:
    """Percentiles of all elements over axes that are not NaN; lazy.

    Parameters
    ----------
    a, q, axis, method, keepdims
        As of `quantile`, but `q` is from 0 to 100.

    Returns
    -------
    Array
        As of `quantile`. NaN, with a RuntimeWarning, where all are.

    Raises
    ------
    ValueError, AxisError, TypeError, BudgetError
        As `quantile`.

    Examples
    --------
    >>> nanpercentile([1, float("nan"), 4], 50).compute()
    np.float64(2.5)
    """
    return _quantile("nanpercentile", a, q, axis, method, keepdims)


def _quantile(name: str, a: Any, q: Any, axis: Any, method: str, keepdims: bool) -> Array:
    array = array_of(a)
    if array.dtype.kind == "c":
        raise TypeError("a must be an array of real numbers")
    given = q.compute() if isinstance(q, Array) else q
    if not isinstance(given, (int, float, np.generic)):
        given = _nested(np.asarray(given))
    values, top = np.asarray(given), 1 if name.endswith("quantile") else 100
    if not bool(((values >= 0) & (values <= top)).all()):
        raise ValueError(f"{name} needs q from 0 to {top}, not {given!r}")
    return apply(Quantile(given, _axes(axis), method, bool(keepdims), name), array)


def _nested(values: Any) -> Any:
    """Tuples of NumPy's scalars, which keep their dtype and can be compared."""
    return tuple(map(_nested, values)) if np.ndim(values) else values[()]


def _axes(axis: Any) -> int | tuple[int, ...] | None:
    if axis is None or isinstance(axis, (int, np.integer)):
        return None if axis is None else int(axis)
    return tuple(int(one) for one in axis)
