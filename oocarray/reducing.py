"""`reduction`: by the caller's own functions, with dask's calling rules; it computes nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .core import Array
from .lazy.expr import ReduceNode
from .leaves import UserReduction
from .opening import from_array

__all__ = ["reduction"]


def reduction(
    x: Any,
    chunk: Callable[..., Any],
    aggregate: Callable[..., Any],
    axis: Any = None,
    keepdims: bool = False,
    dtype: Any = None,
    split_every: Any = None,
    combine: Callable[..., Any] | None = None,
    name: str | None = None,
    out: None = None,
    concatenate: bool = True,
    output_size: int = 1,
    meta: Any = None,
    weights: None = None,
) -> Array:
    """Reduce an array by functions of your own; lazy, with dask's calling rules.

    Parameters
    ----------
    x : Array
    chunk : callable
        ``chunk(block, axis=axis, keepdims=True)`` for each block.
    aggregate : callable
        ``aggregate(partial, axis=axis, keepdims=keepdims)`` on what is left in the end.
    axis : int or tuple of int, optional
        Axes to reduce; None for all.
    keepdims : bool
    dtype : dtype-like, optional
        Of the result; default float64, or that of `meta`.
    split_every : optional
        Accepted; partial results are always combined two by two, in a fixed tree.
    combine : callable, optional
        As `aggregate`, with ``keepdims=True``, on two partial results joined along the first of
        the axes (or in nested lists, without `concatenate`). Default: `aggregate`.
    name : str, optional
    concatenate : bool
        Whether partial results are arrays to be joined.
    out, output_size, weights
        Only the defaults are supported.
    meta : array, optional

    Examples
    --------
    >>> x = from_array(np.arange(10.0), chunks=3)
    >>> reduction(x, np.sum, np.sum, dtype="f8").compute()
    np.float64(45.0)
    """
    if out is not None or weights is not None or output_size != 1:
        raise NotImplementedError("reduction() supports no out=, weights= or output_size=")
    array = x if isinstance(x, Array) else from_array(x)
    node = array.node
    out_dtype = np.dtype(getattr(meta, "dtype", np.float64) if dtype is None else dtype)
    given = range(array.ndim) if axis is None else axis
    axes = normalize_axis_tuple(given, array.ndim, "axis")
    make = functools.partial(
        UserReduction,
        axes=tuple(sorted(axes)),
        chunk=chunk,
        aggregate=aggregate,
        combine_function=combine,
        keepdims=keepdims,
        concatenate=concatenate,
        out_dtype=out_dtype,
    )
    shape = make(node.shape, np.dtype(np.float64)).result_shape
    return Array(
        ReduceNode(node, make, shape, name or str(getattr(chunk, "__name__", "reduction")))
    )
