"""Describe a reduction as NumPy would understand its arguments; refuses what NumPy refuses."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from oocarray.errors import DtypeError
from oocarray.leaves.record import Reduction

__all__ = ["NAMES", "make_reduction"]

_ALSO_NAN = ("sum", "prod", "mean", "var", "std", "min", "max", "argmin", "argmax")
_NAN = tuple("nan" + name for name in _ALSO_NAN)
NAMES = frozenset((*_ALSO_NAN, *_NAN, "any", "all", "count_nonzero", "histogram"))
_TYPED = ("sum", "prod", "mean", "var", "std")  # these take dtype=


def make_reduction(
    name: str,
    shape: Sequence[int],
    dtype: Any,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    dtype_arg: Any = None,
    ddof: float = 0,
    bins: Any = None,
    range: tuple[float, float] | None = None,
    order: str = "C",
) -> Reduction:
    """Describe a reduction.

    Parameters
    ----------
    name : str
        A NumPy function: one of `NAMES`.
    shape, dtype
        Of the array.
    axis : int, tuple of int or None
        Axes to reduce; None for all.
    keepdims : bool
        Reduced axes stay, with extent 1.
    dtype_arg : dtype, optional
        NumPy's ``dtype=`` of sum, prod, mean, var and std.
    ddof : float
        Of var and std: the divisor is the count minus `ddof`.
    bins, range
        Of a histogram: a number of bins and the range they divide, or their edges.
    order : {"C", "F"}
        Layout of the array.

    Raises
    ------
    DtypeError
        A TypeError: NumPy, or this version, does not reduce this dtype.
    ValueError, numpy.exceptions.AxisError
        As NumPy.

    Examples
    --------
    >>> make_reduction("sum", (4, 3), "i2", axis=-1).out_dtype
    dtype('int64')
    >>> r = make_reduction("mean", (4, 3), "f4")
    >>> part = r.leaves(None, np.ones((4, 3), "f4"), ((2, 2), (3,)), (0, 0))
    >>> float(r.finish(r.combine(part[0, 0], part[1, 0])))
    1.0
    """
    shape = tuple(shape)
    dtype = np.dtype(dtype)
    if name not in NAMES:
        raise ValueError(f"no reduction {name!r}; known are {', '.join(sorted(NAMES))}")
    if order not in ("C", "F"):
        raise ValueError(f"order is 'C' or 'F', not {order!r}")
    base = name.removeprefix("nan")
    _check(name, dtype)
    if dtype_arg is not None:
        if base not in _TYPED:
            raise TypeError(f"{name} takes no dtype=")
        dtype_arg = np.dtype(dtype_arg)
        _check(f"dtype= of {name}", dtype_arg)
    if base in ("argmin", "argmax") and not shape and axis in (0, -1):
        axis = None  # NumPy lets these through for its scalars
    axes = _axes(base, axis, len(shape))
    skip = name != base and dtype.kind in "fc"
    out = _out_dtype(base, dtype.newbyteorder("="), dtype_arg)
    cast = out if base in _TYPED[:3] and dtype.kind in "fc" and out.kind in "iu" else None
    element = cast or dtype
    kind = _kind(base, element, out, skip and cast is None)
    edges, uniform = None, False
    if base == "histogram":
        if dtype.kind == "c":
            raise DtypeError(f"histogram takes no {dtype}; take its real part or its abs()")
        if axis is not None or keepdims:
            raise ValueError("histogram is over all axes; it takes no axis= and no keepdims=")
        edges, uniform = _edges(dtype.newbyteorder("="), bins, range)
    return Reduction(
        name=name,
        shape=shape,
        dtype=dtype,
        axes=axes,
        flat=axis is None,
        keepdims=bool(keepdims),
        ddof=ddof,
        out_dtype=out,
        kind=kind,
        skip=skip and cast is None,
        cast=cast,
        edges=edges,
        uniform=uniform,
        order=order,
        edge_bytes=b"" if edges is None else edges.tobytes(),
    )


def _check(what: str, dtype: np.dtype) -> None:
    if dtype.kind not in "biufc" or dtype.char in "gG":
        raise DtypeError(
            f"{what} takes bool, int, float16 to float64 and complex, not {dtype}; "
            "convert its blocks with oo.map_blocks, or take one field"
        )


def _axes(base: str, axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(np.arange(ndim).tolist())
    if base in ("argmin", "argmax"):
        axis = operator.index(axis)
    if ndim == 0 and base not in ("mean", "var", "std", "count_nonzero") and axis in (0, -1):
        return ()  # NumPy lets these through for its scalars
    return tuple(sorted(np.lib.array_utils.normalize_axis_tuple(axis, ndim, "axis")))


def _out_dtype(base: str, dtype: np.dtype, given: np.dtype | None) -> np.dtype:
    if base in ("any", "all"):
        return np.dtype(bool)
    if base in ("argmin", "argmax", "count_nonzero", "histogram"):
        return np.dtype(np.intp)
    if base in ("min", "max"):
        return dtype
    out = dtype if given is None else given.newbyteorder("=")
    if base in ("sum", "prod"):
        if given is None and out.kind in "biu" and out.itemsize < 8:
            return np.dtype(np.uintp if out.kind == "u" else np.intp)
        return out
    if given is None and out.kind in "biu":
        return np.dtype(np.float64)
    return np.empty(0, out).real.dtype if base in ("var", "std") else out


def _kind(base: str, element: np.dtype, out: np.dtype, skip: bool) -> str:
    inexact = element.kind in "fc"
    if base in ("var", "std"):
        return "moments"
    if base in ("sum", "prod") and out.kind == "b":
        return "any" if base == "sum" else "all"
    if base == "prod":
        if element.kind == "c":
            return "complex_prod"
        return "scaled" if inexact or out.kind in "fc" else "int_prod"
    if base in ("sum", "mean"):
        if inexact:
            return "skipsum" if skip else "sum"
        return "int_sum" if base == "sum" and out.kind in "iu" else "split"
    return "count" if base == "count_nonzero" else base


def _edges(dtype: np.dtype, bins: Any, range: Any) -> tuple[np.ndarray, bool]:
    """Compute the edges as NumPy does for an array of this dtype, in what they are compared in."""
    if bins is None or isinstance(bins, str):
        raise ValueError(f"bins is a number of bins or their edges, not {bins!r}")
    if np.ndim(bins) == 0 and range is None:
        raise ValueError("a number of bins needs range=(low, high): find it with min and max")
    sample = np.zeros(0, np.uint8 if dtype.kind == "b" else dtype)
    edges = np.histogram_bin_edges(sample, bins, range)
    if len(edges) < 2:
        raise ValueError(f"bins needs at least 2 edges, not {len(edges)}")
    if edges.dtype.kind not in "biuf" or edges.dtype.char == "g":
        raise DtypeError(f"edges of a histogram are real numbers, not {edges.dtype}")
    exact = (
        edges.dtype.kind in "biu"
        and dtype.kind in "biu"
        and "u8"
        not in (
            dtype.str[1:],
            edges.dtype.str[1:],
        )
    )
    edges = edges.astype("i8" if exact else "f8")
    return edges, _even(edges)


def _even(edges: np.ndarray) -> bool:
    """Whether the bin of a number is told by its distance from the first edge, give or take one."""
    count, span = len(edges) - 1, edges[-1].item() - edges[0].item()
    if isinstance(span, int) and span >= 1 << 62:
        return False  # the kernel's difference might overflow
    if not (math.isfinite(span) and span > 0 and math.isfinite(count / span)):
        return False
    with np.errstate(over="ignore"):
        off = np.abs(np.diff(edges.astype("f8")) - span / count)
    return bool((off <= 1e-3 / count * span / count).all())
