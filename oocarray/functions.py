"""Reductions as functions, named and behaving as NumPy's; lazy: nothing is read here."""

from __future__ import annotations

from typing import Any

from numpy.typing import DTypeLike

from .core import Array
from .methods import Axis
from .opening import from_array

__all__ = ["all", "any", "count_nonzero", "mean", "prod", "std", "sum", "var"]

# In this module the built-in functions of these names are out of reach.


def sum(
    x: Any,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    keepdims: bool = False,
    split_every: object = None,
) -> Array:
    """Sum of elements over axes; lazy.

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
        Without the reduced axes. Integers and bools give 64 bits, floats and complex their dtype.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.

    Notes
    -----
    Compensated summation over leaves: a cut into about 1 MiB that follows from shape, axes, dtype
    and layout, combined in one fixed order, as in all reductions. So the bits are the same for
    any memory, workers and scheduler, and ``|sum - exact| <= 4 eps sum(|x|)`` with the eps of
    float64, before one rounding to the result's dtype. Integers wrap around, as NumPy's do.

    Examples
    --------
    >>> sum([[1, 2], [3, 4]], axis=0).compute()
    array([4, 6])
    >>> sum([0.1] * 10).compute()
    np.float64(1.0)
    """
    return from_array(x).sum(axis, dtype, keepdims)


def prod(
    x: Any,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    keepdims: bool = False,
    split_every: object = None,
) -> Array:
    """Product of elements over axes; lazy.

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
        Without the reduced axes. Integers and bools give 64 bits, floats and complex their dtype.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.

    Notes
    -----
    Exponents of real numbers are kept apart, so that nothing overflows but the result.
    Relative error about one eps per factor; the same bits always, see `sum`.

    Examples
    --------
    >>> prod([[1, 2], [3, 4]], axis=1).compute()
    array([ 2, 12])
    >>> prod([2.0**600, 2.0**600, 0.5**600, 0.5**600]).compute()
    np.float64(1.0)
    """
    return from_array(x).prod(axis, dtype, keepdims)


def mean(
    x: Any,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    keepdims: bool = False,
    split_every: object = None,
) -> Array:
    """Arithmetic mean over axes; lazy.

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
        Without the reduced axes. Integers and bools give float64, floats and complex their dtype.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.

    Notes
    -----
    Summed as by `sum`: within ``4 eps mean(|x|)`` of the exact mean, the same bits always. The
    mean of nothing is NaN with a RuntimeWarning.

    Examples
    --------
    >>> mean([[1, 2], [3, 5]], axis=1, keepdims=True).compute()
    array([[1.5],
           [4. ]])
    """
    return from_array(x).mean(axis, dtype, keepdims)


def var(
    x: Any,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    keepdims: bool = False,
    ddof: float = 0,
    split_every: object = None,
    *,
    correction: float | None = None,
) -> Array:
    """Variance over axes; lazy.

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
        Without the reduced axes; real. Integers and bools give float64, floats their dtype.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; both `ddof` and `correction`; no numbers in `x`.

    Notes
    -----
    Two passes within a leaf, then means and squared distances are merged: relative error at most
    1e-12 where the mean is up to 1e6 standard deviations; the same bits always, see `sum`.
    No degree of freedom left gives NaN or inf with a RuntimeWarning, as NumPy.

    Examples
    --------
    >>> var([1, 2, 3, 4]).compute(), var([1, 2, 3, 4], ddof=1).compute()
    (np.float64(1.25), np.float64(1.6666666666666667))
    """
    return from_array(x).var(axis, dtype, keepdims, ddof, correction=correction)


def std(
    x: Any,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    keepdims: bool = False,
    ddof: float = 0,
    split_every: object = None,
    *,
    correction: float | None = None,
) -> Array:
    """Standard deviation over axes, the square root of `var`; lazy.

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
        Without the reduced axes; real. Integers and bools give float64, floats their dtype.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.

    Notes
    -----
    Accuracy and bits as of `var`.

    Examples
    --------
    >>> std([[1, 3], [5, 5]], axis=1).compute()
    array([1., 0.])
    """
    return from_array(x).std(axis, dtype, keepdims, ddof, correction=correction)


def any(x: Any, axis: Axis = None, keepdims: bool = False, split_every: object = None) -> Array:
    """Whether any element over axes is true (not zero; NaN is true); lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int or tuple of int, optional
        Axes to reduce; None: all.
    keepdims : bool
        Keep reduced axes, with extent 1.
    split_every : object
        Ignored: how results are combined is fixed.

    Returns
    -------
    Array
        Without the reduced axes; bool.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.

    Examples
    --------
    >>> any([[0, 1], [0, 0]], axis=1).compute()
    array([ True, False])
    """
    return from_array(x).any(axis, keepdims)


def all(x: Any, axis: Axis = None, keepdims: bool = False, split_every: object = None) -> Array:
    """Whether all elements over axes are true (not zero; NaN is true); lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int or tuple of int, optional
        Axes to reduce; None: all.
    keepdims : bool
        Keep reduced axes, with extent 1.
    split_every : object
        Ignored: how results are combined is fixed.

    Returns
    -------
    Array
        Without the reduced axes; bool. True where there are none.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.

    Examples
    --------
    >>> all([[0, 1], [2, 3]], axis=1).compute()
    array([False,  True])
    """
    return from_array(x).all(axis, keepdims)


def count_nonzero(
    x: Any, axis: Axis = None, keepdims: bool = False, split_every: object = None
) -> Array:
    """How many elements over axes are not zero; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int or tuple of int, optional
        Axes to reduce; None: all.
    keepdims : bool
        Keep reduced axes, with extent 1.
    split_every : object
        Ignored: how results are combined is fixed.

    Returns
    -------
    Array
        Without the reduced axes; int64.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.

    Examples
    --------
    >>> count_nonzero([[0, 1], [2, 3]], axis=0).compute()
    array([1, 2])
    """
    return from_array(x).count_nonzero(axis, keepdims)
