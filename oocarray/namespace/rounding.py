"""Functions that limit and round elements as NumPy's do; nothing is read here."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import Array
from ..lifting import array_of, lifted
from .elementwise import astype
from .making import into
from .ufuncs import called

__all__ = ["around", "clip", "fix", "nan_to_num", "round"]

# In this module the built-in function `round` is out of reach.


def clip(
    x: Any,
    /,
    min: Any = None,
    max: Any = None,
    out: Any = None,
    *,
    a_min: Any = None,
    a_max: Any = None,
    dtype: DTypeLike | None = None,
) -> Any:
    """Elements that are at least, and at most, others; lazy.

    Parameters
    ----------
    x : Array or array-like
    min, max : Array or array-like, optional
        Broadcast; Python's numbers take the dtype of `x`. None: no limit.
    out : Array or ndarray, optional
        Where to put what is then computed at once.
    a_min, a_max : optional
        NumPy's older names of `min` and `max`.
    dtype : dtype-like, optional
        To calculate in.

    Returns
    -------
    Array
        `out`, if it was given.

    Raises
    ------
    ValueError, TypeError, OverflowError
        What NumPy raises for such dtypes, shapes and Python numbers.

    Examples
    --------
    >>> clip([1, 5, 9], 2, 8).compute(), clip([1, 5, 9], max=6).compute()
    (array([2, 5, 8]), array([1, 5, 6]))
    """
    if (min is not None and a_min is not None) or (max is not None and a_max is not None):
        raise ValueError("clip takes min= or a_min=, and max= or a_max=; not both")
    low, high = a_min if min is None else min, a_max if max is None else max
    array = array_of(x)
    if array.dtype.kind in "iu":  # as NumPy, which lets limits pass that limit nothing
        info = np.iinfo(array.dtype)
        low = None if type(low) is int and low <= info.min else low
        high = None if type(high) is int and high >= info.max else high
    if low is None and high is None:
        return called(np.positive, "__call__", (array,), {"out": out, "dtype": dtype})
    limits = [limit for limit in (low, high) if limit is not None]
    kwargs = {} if dtype is None else {"dtype": np.dtype(dtype)}
    function = _Clip(low is not None, high is not None)
    return into(out, lifted(function, [array, *limits], kwargs, "clip"))


def round(x: Any, /, decimals: int = 0, out: Any = None) -> Any:
    """Elements rounded to some decimals, halves to the even one; lazy.

    Parameters
    ----------
    x : Array or array-like
    decimals : int
        Negative ones are before the point.
    out : Array or ndarray, optional
        Where to put what is then computed at once.

    Returns
    -------
    Array
        `out`, if it was given.

    Raises
    ------
    TypeError
        NumPy does not round this dtype.

    Examples
    --------
    >>> round([0.5, 1.5, 2.75]).compute(), round([1.25, 17.0], -1).compute()
    (array([0., 2., 3.]), array([ 0., 20.]))
    """
    return into(out, lifted(np.round, [array_of(x)], {"decimals": index(decimals)}))


around = round


def fix(x: Any, out: Any = None) -> Any:
    """Elements rounded towards zero; lazy.

    Parameters
    ----------
    x : Array or array-like
    out : Array or ndarray, optional
        Where to put what is then computed at once.

    Returns
    -------
    Array
        Of the dtype that ``numpy.fix`` gives; `out`, if it was given.

    Examples
    --------
    >>> fix([-1.5, 1.5]).compute()
    array([-1.,  1.])
    """
    return into(out, lifted(np.fix, [array_of(x)]))


def nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Array:
    """Elements, but numbers in place of NaN and infinities; lazy.

    Parameters
    ----------
    x : Array or array-like
    copy : bool
        False allows that the result is `x` itself; `x` is never changed.
    nan, posinf, neginf : scalar, Array or array-like
        What to put there. Default: 0, and the largest and smallest finite numbers.

    Returns
    -------
    Array
        Of the dtype of `x`.

    Raises
    ------
    ValueError
        What to put there has not the shape of `x`, and cannot be broadcast to it.
    TypeError
        It cannot be converted to the dtype of `x`.

    Examples
    --------
    >>> nan_to_num([np.nan, np.inf, 2.0], posinf=9).compute()
    array([0., 9., 2.])
    """
    array = array_of(x)
    if array.dtype.kind not in "fc":
        return astype(array, array.dtype, copy=copy)
    given = {"nan": nan, "posinf": posinf, "neginf": neginf}
    given = {name: value for name, value in given.items() if value is not None}
    found = lifted(_NanToNum(tuple(given)), [array, *given.values()], name="nan_to_num")
    if len(found.shape) != array.ndim or any(
        one != other and other == other for one, other in zip(found.shape, array.shape, strict=True)
    ):
        raise ValueError(f"nan_to_num cannot put shape {found.shape} into shape {array.shape}")
    return found


@dataclass(frozen=True)
class _Clip:
    low: bool
    high: bool

    def __call__(self, x: Any, *limits: Any, **kwargs: Any) -> Any:
        return np.clip(
            x, limits[0] if self.low else None, limits[-1] if self.high else None, **kwargs
        )


@dataclass(frozen=True)
class _NanToNum:
    names: tuple[str, ...]

    def __call__(self, x: Any, *values: Any) -> Any:
        return np.nan_to_num(x, **dict(zip(self.names, values, strict=True)))
