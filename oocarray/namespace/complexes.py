"""Functions that look at parts of numbers, and NumPy's two special ones; nothing is read here."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array
from ..lifting import array_of, lifted
from .making import into

__all__ = ["angle", "i0", "imag", "iscomplex", "isneginf", "isposinf", "isreal", "real", "sinc"]


def real(x: Any, /) -> Array:
    """Real parts; real numbers as they are; lazy.

    Parameters
    ----------
    x : Array or array-like

    Returns
    -------
    Array
        `x` itself, if it is of real numbers.

    Examples
    --------
    >>> real([1 + 2j, 3]).compute()
    array([1., 3.])
    """
    array = array_of(x)
    dtypes = array.node.dtypes
    if dtypes is not None and dtypes[0].kind != "c":
        return array
    return lifted(np.real, [array])


def imag(x: Any, /) -> Array:
    """Imaginary parts; zeros of real numbers; lazy.

    Parameters
    ----------
    x : Array or array-like

    Returns
    -------
    Array

    Examples
    --------
    >>> imag([1 + 2j, 3]).compute()
    array([2., 0.])
    """
    return lifted(np.imag, [array_of(x)])


def angle(z: Any, deg: bool = False) -> Array:
    """Angles of complex numbers in the plane; lazy.

    Parameters
    ----------
    z : Array or array-like
        Real numbers have the angle 0 or pi.
    deg : bool
        In degrees, in place of radians.

    Returns
    -------
    Array

    Raises
    ------
    TypeError
        NumPy knows no angle of this dtype.

    Examples
    --------
    >>> angle([1, 1j, -1], deg=True).compute()
    array([  0.,  90., 180.])
    """
    return lifted(np.angle, [array_of(z)], {"deg": bool(deg)})


def iscomplex(x: Any) -> Array:
    """Whether elements have an imaginary part that is not zero; lazy.

    Parameters
    ----------
    x : Array or array-like

    Returns
    -------
    Array
        Of bools.

    Examples
    --------
    >>> iscomplex([1 + 2j, 3]).compute()
    array([ True, False])
    """
    return lifted(np.iscomplex, [array_of(x)])


def isreal(x: Any) -> Array:
    """Whether elements have no imaginary part, or zero; lazy.

    Parameters
    ----------
    x : Array or array-like

    Returns
    -------
    Array
        Of bools.

    Examples
    --------
    >>> isreal([1 + 2j, 3]).compute()
    array([False,  True])
    """
    return lifted(np.isreal, [array_of(x)])


def isposinf(x: Any, out: Any = None) -> Any:
    """Whether elements are positive infinity; lazy.

    Parameters
    ----------
    x : Array or array-like
    out : Array or ndarray, optional
        Where to put what is then computed at once.

    Returns
    -------
    Array
        Of bools; `out`, if it was given.

    Raises
    ------
    TypeError
        Complex numbers have no sign.

    Examples
    --------
    >>> isposinf([-np.inf, 0, np.inf]).compute()
    array([False, False,  True])
    """
    return into(out, lifted(np.isposinf, [array_of(x)]))


def isneginf(x: Any, out: Any = None) -> Any:
    """Whether elements are negative infinity; lazy.

    Parameters
    ----------
    x : Array or array-like
    out : Array or ndarray, optional
        Where to put what is then computed at once.

    Returns
    -------
    Array
        Of bools; `out`, if it was given.

    Raises
    ------
    TypeError
        Complex numbers have no sign.

    Examples
    --------
    >>> isneginf([-np.inf, 0, np.inf]).compute()
    array([ True, False, False])
    """
    return into(out, lifted(np.isneginf, [array_of(x)]))


def sinc(x: Any) -> Array:
    """``sin(pi x) / (pi x)``, and 1 at zero; lazy.

    Parameters
    ----------
    x : Array or array-like

    Returns
    -------
    Array

    Examples
    --------
    >>> sinc([0, 0.5]).compute()
    array([1.        , 0.63661977])
    """
    return lifted(np.sinc, [array_of(x)])


def i0(x: Any) -> Array:
    """Modified Bessel function of the first kind, of order 0; lazy.

    Parameters
    ----------
    x : Array or array-like

    Returns
    -------
    Array

    Raises
    ------
    TypeError
        Of complex numbers.

    Examples
    --------
    >>> i0([0.0, 1.0]).compute()
    array([1.        , 1.26606588])
    """
    return lifted(np.i0, [array_of(x)])
