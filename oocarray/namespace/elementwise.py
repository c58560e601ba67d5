"""Functions that choose, compare and convert elements as NumPy's do; nothing is read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import DTypeLike

from ..core import Array
from ..lazy.arith import cast
from ..lazy.expr import MemoryNode
from ..lifting import array_of, known, lifted
from .making import into

__all__ = ["astype", "choose", "isclose", "select", "where"]


@overload
def where(condition: Any, /) -> tuple[Array, ...]: ...


@overload
def where(condition: Any, x: Any, y: Any, /) -> Array: ...


def where(condition: Any, x: Any = None, y: Any = None, /) -> Array | tuple[Array, ...]:
    """Elements of one array where a condition holds, of another elsewhere; lazy.

    Parameters
    ----------
    condition : Array or array-like
        True is what is not zero.
    x, y : Array or array-like, optional
        Broadcast with `condition`; Python's numbers take the other's dtype. Without both:
        `nonzero` of the condition.

    Returns
    -------
    Array, or tuple of Arrays

    Raises
    ------
    ValueError
        One of `x` and `y` is missing, or the shapes do not fit.
    TypeError
        `x` and `y` have no dtype in common.

    Examples
    --------
    >>> where([True, False, True], [1, 2, 3], 0).compute()
    array([1, 0, 3])
    >>> tuple(part.compute() for part in where([0, 5, 7]))
    (array([1, 2]),)
    """
    if x is None and y is None:
        from .searching import nonzero

        return nonzero(condition)
    if x is None or y is None:
        raise ValueError("either both or neither of x and y should be given")
    return lifted(np.where, [condition, x, y])


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Array:
    """Elements of the first array whose condition holds; lazy.

    Parameters
    ----------
    condlist : sequence of Arrays or array-likes
        Of bools.
    choicelist : sequence of Arrays or array-likes
        As many; all are broadcast.
    default : Array or array-like
        Where no condition holds.

    Returns
    -------
    Array

    Raises
    ------
    ValueError
        No condition, not as many choices, or shapes that do not fit.
    TypeError
        A condition is not of bools, or the choices have no dtype in common.

    Examples
    --------
    >>> x = np.arange(6)
    >>> select([x < 2, x > 3], [x, x * 10], -1).compute()
    array([ 0,  1, -1, -1, 40, 50])
    """
    conditions, choices = list(condlist), list(choicelist)
    if len(conditions) != len(choices):
        raise ValueError(f"select takes a choice for each of {len(conditions)} conditions")
    if not conditions:
        raise ValueError("select takes at least one condition")
    return lifted(_Select(len(conditions)), [*conditions, *choices, default], name="select")


def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """Elements of the array whose number stands in an array of numbers; lazy.

    Parameters
    ----------
    a : Array or array-like
        Of integers.
    choices : sequence of Arrays or array-likes, or Array
        All are broadcast with `a`; of an array the parts along axis 0.
    out : Array or ndarray, optional
        Where to put what is then computed at once.
    mode : {"raise", "wrap", "clip"}
        What a number becomes that no choice has.

    Returns
    -------
    Array
        `out`, if it was given.

    Raises
    ------
    TypeError
        `a` is not of integers.
    ValueError
        Shapes that do not fit; with "raise", when it is computed, a number too large or small.

    Examples
    --------
    >>> choose([0, 1, 1], [[1, 2, 3], 10]).compute()
    array([ 1, 10, 10])
    """
    if isinstance(choices, Array):
        given = [choices[at] for at in range(known(choices, "choose")[0])]
    else:
        given = list(choices)
    return into(out, lifted(_choose, [a, *given], {"mode": mode}, "choose"))


def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Array:
    """Whether elements are nearly the same; lazy.

    Parameters
    ----------
    a, b : Array or array-like
        Broadcast.
    rtol, atol : float, Array or array-like
        ``abs(a - b) <= atol + rtol * abs(b)``.
    equal_nan : bool
        Take NaN for NaN's equal.

    Returns
    -------
    Array
        Of bools.

    Raises
    ------
    ValueError, TypeError
        The shapes or the dtypes do not fit.

    Examples
    --------
    >>> isclose([1, 2, np.nan], [1, 2.1, np.nan], equal_nan=True).compute()
    array([ True, False,  True])
    """
    return lifted(np.isclose, [a, b, rtol, atol], {"equal_nan": bool(equal_nan)})


def astype(
    x: Any,
    dtype: DTypeLike,
    /,
    *,
    copy: bool = True,
    casting: str = "unsafe",
    device: str | None = None,
) -> Array:
    """Elements converted to another dtype; lazy.

    Parameters
    ----------
    x : Array or array-like
    dtype : dtype-like
    copy : bool
        False allows that the result is `x` itself, if that has the dtype.
    casting : {"no", "equiv", "safe", "same_kind", "unsafe"}
        Which conversions are allowed.
    device : {"cpu"}, optional

    Returns
    -------
    Array

    Raises
    ------
    TypeError
        `casting` does not allow it.

    Examples
    --------
    >>> astype([1.5, -2.5], "i4").compute()
    array([ 1, -2], dtype=int32)
    """
    if device not in (None, "cpu"):
        raise ValueError(f"device={device!r}; arrays are on the 'cpu' only")
    array = array_of(x)
    node = cast(array.node, dtype, casting)
    if node is not array.node:
        return Array(node)
    if copy and isinstance(node, MemoryNode):
        return lifted(_copied, [array], name="copy")  # else changing one would change the other
    return array if not copy else Array(node)


@dataclass(frozen=True)
class _Select:
    count: int

    def __call__(self, *args: Any) -> Any:
        return np.select(args[: self.count], args[self.count : -1], args[-1])


def _choose(a: Any, *choices: Any, mode: Any) -> Any:
    return np.choose(a, choices, mode=mode)


def _copied(block: Any) -> Any:
    return block.copy()
