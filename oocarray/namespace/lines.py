"""Functions of lines of an array, and of tables of points; none looks beyond the line it is at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..core import Array
from ..lifting import apply, array_of, known
from ..operations.folding import Apply1d
from ..operations.shaping import expand_dims
from ..operations.tables import Gradient, Interp

__all__ = ["apply_along_axis", "apply_over_axes", "gradient", "interp"]


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: Literal[1, 2] = 1) -> Any:
    """Slopes along axes, from the neighbours of each element; lazy.

    Parameters
    ----------
    f : Array or array-like
    *varargs : number or array-like
        Nothing, or for all axes or each of them: how far neighbours are apart, or the coordinates
        along the axis.
    axis : int or tuple of int, optional
        None: all.
    edge_order : {1, 2}
        How many neighbours the slopes at both ends are found from.

    Returns
    -------
    Array, or tuple of Array
        Of the shape of `f`; a tuple where there are several axes, unless one is named.

    Raises
    ------
    ValueError
        Too few elements; coordinates of another extent; `edge_order` is not 1 or 2.
    TypeError
        Not as many `varargs` as axes.
    AxisError
        No such axis.

    Examples
    --------
    >>> gradient([1, 2, 4, 7, 11]).compute()
    array([1. , 1.5, 2.5, 3.5, 4. ])
    >>> gradient([1, 2, 4], [0, 1, 3]).compute()
    array([1., 1., 1.])
    """
    array = array_of(f)
    axes = normalize_axis_tuple(tuple(range(array.ndim)) if axis is None else axis, array.ndim)
    if edge_order not in (1, 2):
        raise ValueError("'edge_order' greater than 2 not supported")
    if not varargs:
        steps: tuple[Any, ...] = (1.0,) * len(axes)
    elif len(varargs) == 1 and np.ndim(varargs[0]) == 0:
        steps = varargs * len(axes)
    elif len(varargs) == len(axes):
        steps = varargs
    else:
        raise TypeError("invalid number of arguments")
    found = [
        _gradient(array, step, axis, edge_order) for step, axis in zip(steps, axes, strict=True)
    ]
    return found[0] if len(found) == 1 else tuple(found)


def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: float | None = None
) -> Array:
    """Values of a function that is linear between points; lazy.

    Parameters
    ----------
    x : Array or array-like
        Where.
    xp, fp : Array or array-like
        Of 1 axis: coordinates of the points, which rise, and values. All are in memory.
    left, right : scalar, optional
        Values before the first point and after the last; by default theirs.
    period : float, optional
        Of the coordinates, which then need not rise.

    Returns
    -------
    Array
        Of the shape of `x`; float64 or complex128.

    Raises
    ------
    ValueError
        Points of different numbers, or of not 1 axis, or none; a period of 0.
    BudgetError
        When computed: the points do not fit the memory budget.

    Examples
    --------
    >>> interp([0.5, 3], [0, 1, 2], [0, 10, 40]).compute()
    array([ 5., 40.])
    """
    if period == 0:
        raise ValueError("period must be a non-zero value")
    points = array_of(xp)
    if points.shape == (0,):
        raise ValueError("array of sample points is empty")
    return apply(Interp(left, right, period), x, points, fp)


def apply_along_axis(
    func1d: Callable[..., Any],
    axis: int,
    arr: Any,
    *args: Any,
    dtype: Any = None,
    shape: Any = None,
    **kwargs: Any,
) -> Array:
    """Apply a function to lines of an array, each of which becomes an array of one shape; lazy.

    Parameters
    ----------
    func1d : callable
        Called with each line, and `args` and `kwargs`; picklable where processes run it.
    axis : int
        Of the lines, which are in memory as a whole.
    arr : Array or array-like
    dtype, shape : optional
        Of what it returns; by default learnt here, by calling it on a line of ones.

    Returns
    -------
    Array
        The axes of what it returns are in place of the axis.

    Raises
    ------
    AxisError
        No such axis.

    Examples
    --------
    >>> apply_along_axis(np.ptp, 1, [[1, 5, 2], [7, 7, 9]]).compute()
    array([4, 2])
    """
    array = array_of(arr)
    at = normalize_axis_index(axis, array.ndim)
    function: Callable[..., Any] = _Bound(func1d, args, kwargs) if args or kwargs else func1d
    if dtype is None or shape is None:
        line = np.ones(known(array, "apply_along_axis")[at], array.dtype)
        with np.errstate(all="ignore"):
            sample = np.asarray(function(line))
        dtype = sample.dtype if dtype is None else dtype
        shape = sample.shape if shape is None else shape
    own = tuple(int(size) for size in np.atleast_1d(shape)) if np.ndim(shape) else shape
    out_shape = (int(own),) if isinstance(own, (int, np.integer)) else tuple(own)
    return apply(Apply1d(function, at, out_shape, np.dtype(dtype)), array)


def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Array:
    """Apply a function of an array and an axis for one axis after the other; lazy as it is.

    Parameters
    ----------
    func : callable
        Such as `oocarray.sum`: called with an Array and an axis; may leave the axis out, which is
        put back with extent 1.
    a : Array or array-like
    axes : int or sequence of int

    Returns
    -------
    Array
        With as many axes as `a`.

    Raises
    ------
    ValueError
        The function returns another number of axes.

    Examples
    --------
    >>> apply_over_axes(lambda x, axis: x.sum(axis), np.ones((2, 3, 4)), [0, 2]).compute()
    array([[[8.],
            [8.],
            [8.]]])
    """
    array = array_of(a)
    for axis in np.ravel(axes).astype(int).tolist():
        at = normalize_axis_index(axis, array.ndim)
        found = array_of(func(array, at))
        if found.ndim == array.ndim - 1:
            found = apply(expand_dims(found.ndim, (at,)), found)
        if found.ndim != array.ndim:
            raise ValueError("function is not returning an array of the correct shape")
        array = found
    return array


class _Bound:
    """A function with all arguments but the first."""

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs

    def __call__(self, line: Any) -> Any:
        return self.function(line, *self.args, **self.kwargs)


def _gradient(array: Array, step: Any, axis: int, edge_order: Literal[1, 2]) -> Array:
    if np.ndim(step) == 0:
        if isinstance(step, Array):
            step = step.compute()
        return apply(Gradient(axis, step, edge_order), array)
    coordinates = array_of(step)
    if coordinates.ndim != 1:
        raise ValueError("distances must be either scalars or 1d")
    if coordinates.shape[0] != array.shape[axis]:
        raise ValueError("when 1d, distances must match the length of the corresponding dimension")
    return apply(Gradient(axis, 1.0, edge_order), array, coordinates)
