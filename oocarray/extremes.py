"""The least and the greatest, and where they are, as functions; lazy: nothing is read here."""

from __future__ import annotations

from typing import Any

from .core import Array
from .methods import Axis
from .opening import from_array

__all__ = ["argmax", "argmin", "max", "min", "nanargmax", "nanargmin", "nanmax", "nanmin"]

# In this module the built-in functions of these names are out of reach.


def min(x: Any, axis: Axis = None, keepdims: bool = False, split_every: object = None) -> Array:
    """Least element over axes; lazy.

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
        Without the reduced axes; dtype of `x`. NaN where there is one.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.
    ValueError
        When computed: there is no element to choose from.

    Examples
    --------
    >>> min([[3, 1], [2, 5]], axis=0).compute()
    array([2, 1])
    """
    return from_array(x).min(axis, keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False, split_every: object = None) -> Array:
    """Greatest element over axes; lazy.

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
        Without the reduced axes; dtype of `x`. NaN where there is one.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.
    ValueError
        When computed: there is no element to choose from.

    Examples
    --------
    >>> max([[3, 1], [2, 5]], axis=0).compute()
    array([3, 5])
    """
    return from_array(x).max(axis, keepdims)


def argmin(
    x: Any, axis: int | None = None, keepdims: bool = False, split_every: object = None
) -> Array:
    """Index of the least element; of equal ones the first, and NaN before all; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int, optional
        None: all, and the index counts elements in C order.
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
    ValueError
        When computed: there is no element to choose from.

    Examples
    --------
    >>> argmin([[3, 1], [2, 5]]).compute(), argmin([[3, 1], [2, 5]], axis=0).compute()
    (np.int64(1), array([1, 0]))
    """
    return from_array(x).argmin(axis, keepdims)


def argmax(
    x: Any, axis: int | None = None, keepdims: bool = False, split_every: object = None
) -> Array:
    """Index of the greatest element; of equal ones the first, and NaN before all; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int, optional
        None: all, and the index counts elements in C order.
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
    ValueError
        When computed: there is no element to choose from.

    Examples
    --------
    >>> argmax([[3, 1], [5, 5]]).compute(), argmax([[3, 1], [5, 5]], axis=1).compute()
    (np.int64(2), array([0, 0]))
    """
    return from_array(x).argmax(axis, keepdims)


def nanmin(x: Any, axis: Axis = None, keepdims: bool = False, split_every: object = None) -> Array:
    """Least element over axes that is not NaN; lazy.

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
        Without the reduced axes; dtype of `x`. NaN, with a RuntimeWarning, where all are.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.
    ValueError
        When computed: there is no element to choose from.

    Examples
    --------
    >>> nanmin([[float("nan"), 1], [2, 5]], axis=0).compute()
    array([2., 1.])
    """
    return from_array(x).nanmin(axis, keepdims)


def nanmax(x: Any, axis: Axis = None, keepdims: bool = False, split_every: object = None) -> Array:
    """Greatest element over axes that is not NaN; lazy.

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
        Without the reduced axes; dtype of `x`. NaN, with a RuntimeWarning, where all are.

    Raises
    ------
    AxisError, ValueError, TypeError
        No such axis, or one twice; no numbers in `x`.
    ValueError
        When computed: there is no element to choose from.

    Examples
    --------
    >>> nanmax([[float("nan"), 1], [2, 5]], axis=0).compute()
    array([2., 5.])
    """
    return from_array(x).nanmax(axis, keepdims)


def nanargmin(
    x: Any, axis: int | None = None, keepdims: bool = False, split_every: object = None
) -> Array:
    """Index of the least element that is not NaN; of equal ones the first; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int, optional
        None: all, and the index counts elements in C order.
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
    ValueError
        When computed: there is nothing but NaN.

    Examples
    --------
    >>> nanargmin([float("nan"), 2, 1]).compute()
    np.int64(2)
    """
    return from_array(x).nanargmin(axis, keepdims)


def nanargmax(
    x: Any, axis: int | None = None, keepdims: bool = False, split_every: object = None
) -> Array:
    """Index of the greatest element that is not NaN; of equal ones the first; lazy.

    Parameters
    ----------
    x : Array or array-like
    axis : int, optional
        None: all, and the index counts elements in C order.
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
    ValueError
        When computed: there is nothing but NaN.

    Examples
    --------
    >>> nanargmax([float("nan"), 2, 1]).compute()
    np.int64(1)
    """
    return from_array(x).nanargmax(axis, keepdims)
