"""More elements around an array, and windows on it; computes none but copies of those there are."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..core import Array
from ..lifting import apply, array_of
from ..operations.banding import Sliding
from ..operations.turning import Pad

__all__ = ["pad", "sliding_window_view"]

_MODES = {
    "constant": ("constant_values",),
    "edge": (),
    "reflect": ("reflect_type",),
    "symmetric": ("reflect_type",),
    "wrap": (),
}


def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Array:
    """More elements before and after along axes; lazy.

    Parameters
    ----------
    array : Array or array-like
    pad_width : int, pair of int, sequence of pairs, or dict
        How many before and after; for all axes, for each, or by axis.
    mode : {"constant", "edge", "reflect", "symmetric", "wrap"}
        What they are.
    constant_values : scalar, pair, or sequence of pairs
        With "constant": the elements, before and after, along each axis; default 0.
    reflect_type : {"even"}

    Returns
    -------
    Array
        With extents that are larger by the widths.

    Raises
    ------
    TypeError
        Widths that are no integers.
    ValueError
        Negative widths, an argument that the mode does not take, an axis without elements (but
        for "constant") or one whose extent is not known.
    NotImplementedError
        NumPy's other modes, functions, and ``reflect_type="odd"``.

    Examples
    --------
    >>> pad([1, 2, 3], (2, 1), "reflect").compute()
    array([3, 2, 1, 2, 3, 2])
    """
    if not isinstance(mode, str) or mode not in _MODES:
        raise NotImplementedError(f"mode={mode!r} is not there; known are {', '.join(_MODES)}")
    if unknown := [name for name in kwargs if name not in _MODES[mode]]:
        raise ValueError(f"unsupported keyword arguments for mode '{mode}': {unknown[0]}")
    if kwargs.get("reflect_type", "even") != "even":
        raise NotImplementedError("reflect_type='odd' is not there; 'even' is")
    given = array_of(array)
    widths = _widths(pad_width, given.ndim)
    values = kwargs.get("constant_values", 0)
    if mode != "constant" or not np.ndim(values):
        return apply(Pad(widths, mode, _element(values, given)), given)
    # One side after the other, as NumPy does it: later axes have the corners.
    pairs = np.broadcast_to(np.asarray(values), (given.ndim, 2))
    for axis, (width, pair) in enumerate(zip(widths, pairs, strict=True)):
        for sides, value in (((width[0], 0), pair[0]), ((0, width[1]), pair[1])):
            if any(sides):
                every = [(0, 0)] * given.ndim
                every[axis] = sides
                given = apply(Pad(tuple(every), mode, _element(value, given)), given)
    return given


def sliding_window_view(
    x: Any,
    window_shape: int | Sequence[int],
    axis: int | Sequence[int] | None = None,
    automatic_rechunk: bool = True,
    *,
    subok: bool = False,
    writeable: bool = False,
) -> Array:
    """Windows that begin at every element; lazy.

    Parameters
    ----------
    x : Array or array-like
        Its extents are known along these axes.
    window_shape : int or sequence of int
    axis : int or sequence of int, optional
        One for each extent of the window, maybe several times; None: all, in order.
    automatic_rechunk, subok : bool
        Ignored.
    writeable : bool
        Only False: windows share elements.

    Returns
    -------
    Array
        The axes of `x`, shorter by the window less 1, and then those of the window.

    Raises
    ------
    AxisError
        No such axis.
    ValueError
        A window that is larger than the array, or has not one extent for each axis.

    Examples
    --------
    >>> sliding_window_view([1, 2, 3, 4], 3).compute()
    array([[1, 2, 3],
           [2, 3, 4]])
    """
    if writeable:
        raise ValueError("windows share elements, and cannot be written to")
    array = array_of(x)
    sizes: Any = window_shape if np.iterable(window_shape) else (window_shape,)
    window = tuple(operator.index(size) for size in sizes)
    if axis is None:
        axes = tuple(range(array.ndim))
    else:
        axes = normalize_axis_tuple(axis, array.ndim, allow_duplicate=True)
    if len(axes) != len(window):
        raise ValueError(f"a window of {len(window)} extents for {len(axes)} axes")
    return apply(Sliding(window, axes), array)


def _widths(given: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    if isinstance(given, dict):
        every = [(0, 0)] * ndim
        for axis, width in given.items():
            before, after = (width, width) if np.ndim(width) == 0 else width
            every[axis] = (before, after)
        given = every
    widths = np.asarray(given)
    if widths.dtype.kind not in "iu" and widths.size:
        raise TypeError("`pad_width` must be of integral type.")
    try:
        pairs = np.broadcast_to(widths, (ndim, 2)).tolist()
    except ValueError:
        raise ValueError(f"pad_width {given} has not a pair for each of {ndim} axes") from None
    return tuple((before, after) for before, after in pairs)


def _element(value: Any, array: Array) -> Any:
    """A value as an element of an array; refused now, where NumPy would."""
    return np.full((), value, array.dtype)[()]
