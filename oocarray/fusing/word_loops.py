"""Finds in which dtypes NumPy calculates a function of elements; refuses what has no word.

Functions that are no ufuncs are known by their names, so that nothing of the floors above is
imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["loop_of", "name_of", "supported"]

Loop = tuple[np.dtype[Any], ...]

_BOOL = np.dtype(bool)
CLIP: Any = np._core.umath.clip  # type: ignore[attr-defined]
_UNARY = (
    "numpy.real",
    "numpy.fix",
    "numpy.round",
    "numpy.isposinf",
    "numpy.isneginf",
    "oocarray.lazy.arith._copied",
    "oocarray.namespace.elementwise._copied",
    "oocarray.namespace.searching._true",
    "oocarray.namespace.norms._square",
)


def loop_of(function: Callable[..., Any], given: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Find the dtypes in which NumPy calculates: those of the operands, then the result's.

    Parameters
    ----------
    function : callable
        A ufunc, or one of the functions of elements that this package passes to `elementwise`.
    given : tuple
        For every operand a dtype, or a Python bool, int or float, which is weak.
    kwargs : mapping
        As they are passed to `function`.

    Returns
    -------
    tuple of dtype, or None
        None: it is not supported for these operands, or NumPy would raise an error.

    Examples
    --------
    >>> f4 = np.dtype("f4")
    >>> loop_of(np.add, (f4, 1), {}), loop_of(np.less, (f4, np.dtype("i4")), {})
    ((dtype('float32'), dtype('float32'), dtype('float32')), \
(dtype('float64'), dtype('float64'), dtype('bool')))
    >>> loop_of(np.add, (np.dtype("u1"), 256), {}) is None
    True
    """
    if not any(isinstance(one, np.dtype) for one in given):
        return None
    if not all(supported(one) for one in given if isinstance(one, np.dtype)):
        return None
    if any(type(one) not in (bool, int, float) for one in given if not isinstance(one, np.dtype)):
        return None
    try:
        if isinstance(function, np.ufunc):
            loop = _of_ufunc(function, given, kwargs)
        else:
            loop = _of_function(function, given, kwargs)
    except (TypeError, ValueError, OverflowError):  # NumPy's own refusals
        return None
    if loop is None or not all(map(supported, loop)):
        return None
    return tuple(np.dtype(one.str) for one in loop)  # one of the C types of each width


def supported(dtype: np.dtype[Any]) -> bool:
    """Whether words are there for elements of a dtype."""
    if not dtype.isnative:
        return False
    return dtype.kind in "biu" or (dtype.kind == "f" and dtype.itemsize in (4, 8))


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function, or of the class of a callable object, with its module."""
    named: Any = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def _of_ufunc(ufunc: np.ufunc, given: Sequence[Any], kwargs: Mapping[str, Any]) -> Loop | None:
    if ufunc.nout != 1 or ufunc.nin != len(given) or ufunc.signature is not None:
        return None
    options: dict[str, Any] = {}
    dtype = kwargs.get("dtype")
    if set(kwargs) - {"dtype", "casting"}:
        return None
    if dtype is not None:
        options["signature"] = (*(None,) * ufunc.nin, np.dtype(dtype))
    if "casting" in kwargs:
        options["casting"] = kwargs["casting"]
    asked = tuple(
        one if isinstance(one, np.dtype) else _BOOL if type(one) is bool else type(one)
        for one in given
    )
    loop = ufunc.resolve_dtypes((*asked, None), **options)
    if dtype is not None and loop[-1] != dtype:
        return None
    return loop if _all_fit(given, loop) else None


def _of_function(
    function: Callable[..., Any], given: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Loop | None:
    name = name_of(function)
    known: Any = function
    if name == "numpy.where" and len(given) == 3:
        return _chosen(given[:1], given[1:])
    if name == "oocarray.namespace.elementwise._Select":
        return _chosen(given[: known.count], given[known.count :])
    if not isinstance(given[-1 if name == "oocarray.masking._choose" else 0], np.dtype):
        return None
    if name in _UNARY:
        empty = np.empty(0, given[0])
        return given[0], function(empty, **kwargs).dtype
    if name == "oocarray.lazy.arith._astype":
        target = np.dtype(kwargs["dtype"])
        return (given[0], target) if np.can_cast(given[0], target, kwargs["casting"]) else None
    if name == "oocarray.namespace.comparing._same":
        return _of_ufunc(np.equal, given, kwargs)
    if name == "oocarray.namespace.rounding._Clip":
        both = known.low and known.high
        return _of_ufunc(CLIP if both else np.maximum if known.low else np.minimum, given, kwargs)
    if name == "oocarray.masking._choose":
        dtype = given[2]
        return (_BOOL, dtype, dtype, dtype) if _fits(given[1], dtype) else None
    if name == "oocarray.namespace.rounding._NanToNum":
        dtype = given[0]
        fit = dtype.kind == "f" and all(
            np.can_cast(one, dtype, "same_kind") if isinstance(one, np.dtype) else _fits(one, dtype)
            for one in given[1:]
        )
        return (dtype,) * (len(given) + 1) if fit else None
    return None


def _chosen(conditions: Sequence[Any], choices: Sequence[Any]) -> Loop | None:
    """Of functions that take one of several, each converted to what they have in common."""
    dtype = np.result_type(*(_BOOL if type(one) is bool else one for one in choices))
    if not _all_fit(choices, (dtype,) * len(choices)):
        return None
    return (*(_BOOL for _ in conditions), *(dtype for _ in choices), dtype)


def _all_fit(given: Sequence[Any], loop: Sequence[np.dtype[Any]]) -> bool:
    return all(map(_fits, given, loop))


def _fits(value: Any, dtype: np.dtype[Any]) -> bool:
    """Whether a Python number becomes an element without an error or a warning."""
    if isinstance(value, np.dtype) or type(value) is bool:
        return True
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return type(value) is int and info.min <= value <= info.max
    if dtype.kind == "f":
        finite = value == value and abs(value) != float("inf")
        return not finite or abs(value) <= float(np.finfo(dtype).max)
    return False
