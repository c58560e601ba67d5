"""Makes functions of NumPy's ufuncs, with their docstrings; it knows none by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import Array
from .ufuncs import called

__all__ = ["into", "made"]

_DOC = """{summary}; lazy.

Parameters
----------
{inputs} : Array or array-like
    {which}
out : {several}, optional
    Where to put what is then computed at once.
where : Array or array-like
    Which elements of `out` to replace; it takes `out`.
casting : str
    Which conversions of the arguments NumPy may make.
dtype : dtype-like, optional
    To calculate in, as of NumPy's ufunc.

Returns
-------
{returns}
    Of the dtype that ``numpy.{name}`` gives; `out`, if it was given.

Raises
------
TypeError, ValueError, OverflowError
    What NumPy raises for such dtypes, shapes and Python numbers; now, before anything is computed.

Examples
--------
>>> {example}
{expected}
"""


def made(
    module: str, ufunc: np.ufunc, summary: str, arguments: str, expected: str
) -> Callable[..., Any]:
    """The function of a ufunc, for a module where it has the ufunc's name.

    Parameters
    ----------
    module : str
    ufunc : numpy.ufunc
        Of one or two arguments.
    summary : str
        First sentence of the docstring, without its end.
    arguments, expected : str
        Of the example: what the function is called with, and what that is computed to be.
    """

    def one(
        x: Any,
        /,
        out: Any = None,
        *,
        where: Any = True,
        casting: str = "same_kind",
        dtype: Any = None,
    ) -> Any:
        return _called(ufunc, (x,), out, where, casting, dtype)

    def two(
        x1: Any,
        x2: Any,
        /,
        out: Any = None,
        *,
        where: Any = True,
        casting: str = "same_kind",
        dtype: Any = None,
    ) -> Any:
        return _called(ufunc, (x1, x2), out, where, casting, dtype)

    name, single = ufunc.__name__, ufunc.nout == 1
    function: Callable[..., Any] = one if ufunc.nin == 1 else two
    function.__name__ = function.__qualname__ = name
    # Pickled by this name; examples are collected by it, too.
    function.__module__ = module
    call = f"{name}({arguments})"
    function.__doc__ = _DOC.format(
        name=name,
        summary=summary,
        inputs="x" if ufunc.nin == 1 else "x1, x2",
        which="Elements."
        if ufunc.nin == 1
        else "Broadcast; Python's numbers take the other dtype.",
        several="Array or ndarray" if single else "tuple of two Arrays or ndarrays",
        returns="Array" if single else "tuple of two Arrays",
        example=f"{call}.compute()" if single else f"tuple(part.compute() for part in {call})",
        expected=expected,
    )
    return function


def into(out: Any, found: Array) -> Any:
    """A result, or the array of ``out=`` after the result was put there.

    Raises
    ------
    ValueError, TypeError
        It does not fit.
    """
    if out is None:
        return found
    from ..assigning import update

    return update(out[0] if isinstance(out, tuple) else out, found, "out=")


def _called(
    ufunc: np.ufunc, inputs: tuple[Any, ...], out: Any, where: Any, casting: str, dtype: Any
) -> Any:
    given = {} if casting == "same_kind" else {"casting": casting}
    return called(ufunc, "__call__", inputs, {**given, "out": out, "where": where, "dtype": dtype})
