"""What needs whole lines, tables or products, as dask has it; it makes no element itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ...operations import along, folding, greatest, products, tables, taking
from .given import Given, Translator, computed, lines, typed

__all__ = ["LINES"]


def _ordered(given: Given) -> Any:
    """Sorting: dask has it for single blocks only, so an axis becomes one."""
    return lines(given, given.operation._apply, [given.operation.axis])


def _top(given: Given) -> Any:
    op = given.operation
    if not op.positions and op.count:
        return given.da.topk(given.x, op.count if op.descending else -op.count, axis=op.axis)
    # da.argtopk says nothing of the order of equals.
    x = given.x.rechunk({op.axis: -1})
    chunks = tuple((op.count,) if axis == op.axis else cut for axis, cut in enumerate(x.chunks))
    meta = np.empty((0,) * x.ndim, given.dtype)
    return x.map_blocks(op._apply, chunks=chunks, dtype=given.dtype, meta=meta)


def _cumulative(given: Given) -> Any:
    op, da = given.operation, given.da
    axis = normalize_axis_index(op.axis, given.x.ndim)
    own = {"add": da.cumsum, "multiply": da.cumprod}.get(op.ufunc)
    if own is not None:
        found = own(given.x, axis=axis, dtype=given.dtype)
    else:
        from dask.array import reductions

        running: Any = reductions
        ufunc = getattr(np, op.ufunc)
        found = running.cumreduction(
            _Accumulate(ufunc),
            ufunc,
            _neutral(op.ufunc, given.dtype),
            typed(given.x, given.dtype),
            axis=axis,
            dtype=given.dtype,
        )
    if not op.include_initial:
        return found
    shape = (*found.shape[:axis], 1, *found.shape[axis + 1 :])
    first = da.full(shape, getattr(np, op.ufunc).identity, dtype=given.dtype)
    return da.concatenate([first, found], axis=axis)


class _Accumulate:
    """A ufunc's `accumulate`, with a name, as dask wants functions."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self.ufunc = ufunc
        self.__name__ = f"{ufunc.__name__}_accumulate"

    def __call__(self, block: Any, axis: int, dtype: Any = None) -> Any:
        # The block has the dtype already; a unit of time cannot be said once more.
        known = None if block.dtype == dtype else dtype
        return self.ufunc.accumulate(block, axis=axis, dtype=known)


def _neutral(ufunc: str, dtype: np.dtype[Any]) -> Any:
    """What changes nothing: dask begins each line with it."""
    if ufunc == "lcm":
        return 1
    if ufunc == "bitwise_and":
        return np.invert(np.zeros((), dtype))[()]
    if ufunc not in ("maximum", "minimum", "fmax", "fmin"):
        return getattr(np, ufunc).identity
    least = ufunc in ("maximum", "fmax")
    if dtype.kind in "iu":
        ends = np.iinfo(dtype)
        return ends.min if least else ends.max
    if dtype.kind in "mM":
        ends = np.iinfo(np.int64)
        # The least of all is NaT, which fmax and fmin pass over.
        number = ends.min + 1 if least else ends.max
        return np.array(ends.min if ufunc[0] == "f" else number).view(dtype)[()]
    if dtype.kind == "b":
        return not least
    if ufunc in ("fmax", "fmin"):
        return np.nan
    return -np.inf if least else np.inf


def _quantile(given: Given) -> Any:
    op, q = given.operation, given.operation.q.value
    if op.axis is None or np.ndim(q) > 1 or op.name not in ("quantile", "nanquantile"):
        return _reduced(given)
    function = getattr(given.da, op.name)
    q = np.asarray(q)
    return function(given.x, q, axis=op.axis, method=op.method, keepdims=op.keepdims)


def _median(given: Given) -> Any:
    op = given.operation
    if op.axis is None:
        return _reduced(given)
    return getattr(given.da, op.name)(given.x, axis=op.axis, keepdims=op.keepdims)


def _reduced(given: Given) -> Any:
    """Exact quantiles in any other form: of whole lines, or of all elements, in one block."""
    op = given.operation
    axes = op._axes(given.x.ndim)
    front = op._stacked()
    x = given.x.rechunk(dict.fromkeys(axes, -1))
    symbols = range(x.ndim)
    ones = dict.fromkeys(axes, 1)
    fresh = {x.ndim + k: size for k, size in enumerate(front)}
    kept = [axis for axis in symbols if op.keepdims or axis not in axes]
    return given.da.blockwise(
        op._apply,
        (*fresh, *kept),
        x,
        tuple(symbols),
        new_axes=fresh,
        adjust_chunks=ones if op.keepdims else None,
        concatenate=True,
        dtype=given.dtype,
        meta=np.empty((0,) * len(given.node.shape), given.dtype),
    )


def _apply1d(given: Given) -> Any:
    op = given.operation
    return given.da.apply_along_axis(
        op.function, op.axis, given.x, dtype=op.result_dtype, shape=op.out_shape
    )


def _matmul(given: Given) -> Any:
    # Partial sums of small integers come back from dask as wider ones.
    return typed(given.da.matmul(*given.args), given.dtype)


def _tensordot(given: Given) -> Any:
    op = given.operation
    return typed(given.da.tensordot(*given.args, axes=(op.axes_a, op.axes_b)), given.dtype)


def _vecdot(given: Given) -> Any:
    da, axis = given.da, given.operation.axis
    a, b = (da.moveaxis(arg, axis, -1) for arg in given.args)
    if given.dtype.kind == "b":
        return da.any(a & b, axis=-1)
    return typed(da.einsum("...i,...i->...", da.conj(a), b), given.dtype)


def _outer(given: Given) -> Any:
    return typed(given.da.outer(*given.args), given.dtype)


def _take_along(given: Given) -> Any:
    """dask has no such function: all of the axis beside all indices of it."""
    x, at = given.args
    axis = given.operation.axis
    others = [k for k in range(x.ndim) if k != axis]
    shape = given.node.shape
    x, at = (
        given.da.broadcast_to(
            one, tuple(one.shape[k] if k == axis else n for k, n in enumerate(shape))
        )
        for one in (x, at)
    )
    x = x.rechunk({axis: -1})
    at = at.rechunk({axis: -1, **{k: x.chunks[k] for k in others}})
    return given.da.blockwise(
        _taken,
        tuple(range(x.ndim)),
        x,
        tuple(x.ndim if k == axis else k for k in range(x.ndim)),
        at,
        tuple(range(x.ndim)),
        axis=axis,
        concatenate=True,
        dtype=given.dtype,
        meta=np.empty((0,) * x.ndim, given.dtype),
    )


def _taken(x: Any, at: Any, axis: int) -> Any:
    return np.take_along_axis(x, at.astype(np.int64, copy=False), axis)


def _gradient(given: Given) -> Any:
    op, x = given.operation, given.x
    axis = normalize_axis_index(op.axis, x.ndim)
    if min(x.chunks[axis]) <= op.edge_order:
        x = x.rechunk({axis: "auto"})
    if min(x.chunks[axis]) <= op.edge_order:
        x = x.rechunk({axis: -1})
    # da.gradient wants coordinates as they are, not lazily.
    spacing = computed(given.args[1])[0] if len(given.args) > 1 else op.spacing.value
    found = given.da.gradient(x, spacing, axis=axis, edge_order=op.edge_order)
    return typed(found, given.dtype)


def _searchsorted(given: Given) -> Any:
    return given.da.searchsorted(*given.args, side=given.operation.side)


def _digitize(given: Given) -> Any:
    """As da.digitize, which wants its bins at once: here they may be lazy."""
    return _looked_up(given, np.digitize, {"bins": given.args[1], "right": given.operation.right})


def _interp(given: Given) -> Any:
    op = given.operation
    ends = {"left": op.left.value, "right": op.right.value, "period": op.period.value}
    return _looked_up(given, np.interp, {"xp": given.args[1], "fp": given.args[2], **ends})


def _looked_up(given: Given, function: Any, kwargs: dict[str, Any]) -> Any:
    meta = np.empty((0,) * given.x.ndim, given.dtype)
    return given.x.map_blocks(_Named(function), dtype=given.dtype, meta=meta, **kwargs)


class _Named:
    """A function of a block and of whole tables."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.__name__ = function.__name__

    def __call__(self, block: Any, **tables: Any) -> Any:
        return np.asarray(self.function(block, **tables))


def _isin(given: Given) -> Any:
    op = given.operation
    return given.da.isin(*given.args, assume_unique=op.assume_unique, invert=op.invert)


LINES: dict[type, Translator] = {
    along.Sort: _ordered,
    along.Argsort: _ordered,
    along.Partition: _ordered,
    along.Argpartition: _ordered,
    greatest.Top: _top,
    along.Cumulative: _cumulative,
    folding.Quantile: _quantile,
    folding.Median: _median,
    folding.Apply1d: _apply1d,
    products.Matmul: _matmul,
    products.Tensordot: _tensordot,
    products.Vecdot: _vecdot,
    products.Outer: _outer,
    taking.TakeAlong: _take_along,
    tables.Gradient: _gradient,
    tables.Searchsorted: _searchsorted,
    tables.Digitize: _digitize,
    tables.Isin: _isin,
    tables.Interp: _interp,
}
