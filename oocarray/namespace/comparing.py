"""Whether two arrays are the same; lazy arrays of no axes, whose truth value is computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array
from ..lifting import array_of, known, lifted
from ..opening import from_array
from ..operations.elementwise import spread_shape

__all__ = ["allclose", "array_equal", "array_equiv"]


def allclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Array:
    """Whether all elements of two arrays are nearly the same; lazy.

    Parameters
    ----------
    a, b : Array or array-like
        Broadcast.
    rtol, atol : float
        ``abs(a - b) <= atol + rtol * abs(b)``.
    equal_nan : bool
        Take NaN for NaN's equal.

    Returns
    -------
    Array
        Of no axes, bool; ``bool()`` of it computes it.

    Raises
    ------
    ValueError
        The shapes do not fit each other.

    Examples
    --------
    >>> bool(allclose([1, 2], [1, 2.000001])), bool(allclose([1, 2], [1, 2.1]))
    (True, False)
    """
    from .elementwise import isclose

    return array_of(isclose(a, b, rtol, atol, equal_nan)).all()


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Array:
    """Whether two arrays have the same shape and the same elements; lazy.

    Parameters
    ----------
    a1, a2 : Array or array-like
    equal_nan : bool
        Take NaN for NaN's equal.

    Returns
    -------
    Array
        Of no axes, bool; ``bool()`` of it computes it.

    Raises
    ------
    ValueError
        A shape is not known.

    Examples
    --------
    >>> bool(array_equal([1, 2], [1, 2])), bool(array_equal([1, 2], [[1, 2]]))
    (True, False)
    """
    one, other = array_of(a1), array_of(a2)
    if known(one, "array_equal") != known(other, "array_equal"):
        return from_array(np.False_)
    floats = one.dtype.kind in "fcmM" and other.dtype.kind in "fcmM"
    same = lifted(_same, [one, other]) if equal_nan and floats else lifted(np.equal, [one, other])
    return same.all()


def array_equiv(a1: Any, a2: Any) -> Array:
    """Whether two arrays have the same elements when they are broadcast; lazy.

    Parameters
    ----------
    a1, a2 : Array or array-like

    Returns
    -------
    Array
        Of no axes, bool; ``bool()`` of it computes it. False where the shapes do not fit.

    Raises
    ------
    ValueError
        A shape is not known.

    Examples
    --------
    >>> bool(array_equiv([1, 2], [[1, 2], [1, 2]])), bool(array_equiv([1, 2], [1, 2, 3]))
    (True, False)
    """
    one, other = array_of(a1), array_of(a2)
    try:
        spread_shape([known(one, "array_equiv"), known(other, "array_equiv")])
    except ValueError:
        known(one, "array_equiv")
        known(other, "array_equiv")
        return from_array(np.False_)
    return lifted(np.equal, [one, other]).all()


def _same(one: Any, other: Any) -> Any:
    return (one == other) | (np.isnan(one) & np.isnan(other))
