"""Sums up the numbers of one array in as few passes as that takes; it draws and prints nothing."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .backends import mapped
from .config import merged
from .core import Array
from .errors import DtypeError
from .histograms import histogram
from .lazy.graph import Root
from .mapping import map_blocks
from .storing import compute

__all__ = ["Summary", "summarize"]

_EXACT = 1 << 53
"""Whole numbers below it are exact as float64."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What was found.  Of NaN nothing but their number counts; infinities count as numbers."""

    size: int
    """Elements."""
    nan: int | None
    """How many are NaN; None where the dtype has none."""
    negative_inf: int
    positive_inf: int
    min: Any
    """None where there is no number, and of complex numbers, which have no order; so is `max`."""
    max: Any
    mean: Any
    """None where there is no number, as is `std`."""
    std: Any
    """With the number of elements as its divisor."""
    counts: np.ndarray[Any, Any] | None
    """Of the histogram; None without one."""
    edges: np.ndarray[Any, Any] | None
    outside: int
    """Numbers outside of the histogram's edges."""
    why: str
    """Why there is no histogram."""
    passes: int
    """Over the file."""


def summarize(
    array: Array,
    bins: int | None = 20,
    range: tuple[float, float] | None = None,
    **options: Any,
) -> Summary:
    """Find extremes, mean, standard deviation, and a histogram.

    Parameters
    ----------
    array : Array
        Bool, integers, floats or complex numbers.
    bins : int or None
        Number of bins, at most one per value of integers; None: no histogram.
    range : tuple of two floats, optional
        Where the histogram begins and ends. With it everything is one pass; without, the
        finite extremes must be known before, and the histogram is a second one.
    **options
        As of `oocarray.options`.

    Raises
    ------
    DtypeError
        A dtype that has no numbers; of a structured one the fields are named.
    ValueError
        `range` is not finite, or falls.

    Examples
    --------
    >>> import oocarray as oo
    >>> x = oo.from_array(np.array([1.0, 2.0, 2.0, np.nan]))
    >>> found = summarize(x, bins=2, range=(1, 3), scheduler="serial")
    >>> found.nan, float(found.max), found.counts.tolist(), found.passes
    (1, 2.0, [1, 2], 1)
    """
    _check(array, range)
    if array.dtype.kind == "c" and bins is not None:
        bins, why = None, "complex numbers have no order"
    else:
        why = "" if bins is not None else "none was asked for"
    if not array.size:
        nan = 0 if array.dtype.kind in "fc" else None
        return Summary(
            0, nan, 0, 0, None, None, None, None, None, None, 0, why or "there are no elements", 0
        )
    parts = _parts(array)
    edges = None
    if bins is not None and range is not None:
        edges = _edges(array.dtype, bins, range[0], range[1], whole=False)
        parts["counts"] = histogram(array, edges)[0]
    results, passes = _compute(parts, options)
    found = _summary(array, results, passes, why)
    if bins is None or found.min is None:
        return replace(found, why=why or "all elements are NaN")
    if edges is None:
        limits, more = _finite(array, found, options)
        if limits is None:
            return replace(found, why="there is no finite number", passes=passes + more)
        edges = _edges(array.dtype, bins, *limits, whole=array.dtype.kind in "biu")
        results, last = _compute({"counts": histogram(array, edges)[0]}, options)
        found = replace(found, passes=passes + more + last)
    counts = results["counts"]
    outside = found.size - (found.nan or 0) - int(counts.sum())
    return replace(found, counts=counts, edges=edges, outside=outside)


def _check(array: Array, range: tuple[float, float] | None) -> None:
    names = array.dtype.names
    if names:
        fields = ", ".join(f"{name} ({array.dtype[name]})" for name in names)
        raise DtypeError(f"each element has the fields {fields}: choose one of them")
    if array.dtype.kind not in "biufc" or array.dtype.char in "gG":
        raise DtypeError(
            f"dtype {array.dtype} holds no numbers that can be summed up; bool, integers, float16 "
            "to float64 and complex can"
        )
    if range is not None and not (np.isfinite(range).all() and range[0] < range[1]):
        raise ValueError(f"the range from {range[0]} to {range[1]} is not finite or does not rise")


def _parts(array: Array) -> dict[str, Array]:
    """What is to be computed, whatever the histogram."""
    kind = array.dtype.kind
    if kind in "biu":
        return {"min": array.min(), "max": array.max(), "mean": array.mean(), "std": array.std()}
    if kind == "c":
        # A histogram tells what is no number of real numbers; of these a function must.
        nan = map_blocks(np.isnan, array, dtype=bool).sum()
        mean = array.nanmean(dtype="c16")
        return {"nan": nan, "mean": mean, "std": array.nanstd(dtype="c16")}
    most = np.finfo(np.float64).max
    return {
        "min": array.nanmin(),
        "max": array.nanmax(),
        "mean": array.nanmean(dtype="f8"),
        "std": array.nanstd(dtype="f8"),
        # -inf, finite, inf; what is in none of them is NaN.
        "kinds": histogram(array, [-np.inf, -most, np.inf, np.inf])[0],
    }


def _summary(array: Array, results: dict[str, Any], passes: int, why: str) -> Summary:
    size, nan, low, high = array.size, None, 0, 0
    if "kinds" in results:
        low, _, high = map(int, results["kinds"])
        nan = size - int(results["kinds"].sum())
    elif "nan" in results:
        nan = int(results["nan"])
    some = nan is None or nan < size
    least, most, mean, std = (
        results.get(name) if some else None for name in ("min", "max", "mean", "std")
    )
    return Summary(size, nan, low, high, least, most, mean, std, None, None, 0, why, passes)


def _finite(
    array: Array, found: Summary, options: dict[str, Any]
) -> tuple[tuple[Any, Any] | None, int]:
    """The finite extremes, and how many passes it took to find them."""
    infinite = found.negative_inf + found.positive_inf
    if not infinite:
        return (found.min, found.max), 0
    if infinite + (found.nan or 0) == found.size:
        return None, 0
    finite = map_blocks(_without_infinities, array, dtype=array.dtype.newbyteorder("="))
    results, passes = _compute({"min": finite.nanmin(), "max": finite.nanmax()}, options)
    return (results["min"], results["max"]), passes


def _without_infinities(block: Any) -> Any:
    return np.where(np.isinf(block), block.dtype.type(np.nan), block)


def _edges(
    dtype: np.dtype[Any], bins: int, low: Any, high: Any, *, whole: bool
) -> np.ndarray[Any, Any]:
    """Edges of bins of one width, or of one bin for each of a few whole numbers."""
    if whole and int(high) - int(low) < bins and max(-int(low), int(high)) < _EXACT:
        return np.arange(int(low), int(high) + 2)
    first, last = float(low), float(high)
    # Halves, because the distance of two numbers may be more than any number.
    edges = 2 * np.linspace(first / 2, last / 2, bins + 1)
    edges[0], edges[-1] = first, last
    # Numbers too close for so many bins, or all of them the same.
    return edges if (np.diff(edges) > 0).all() else np.array([first, last])


def _compute(parts: dict[str, Array], options: dict[str, Any]) -> tuple[dict[str, Any], int]:
    chosen = merged(options)
    roots = [Root(part.node) for part in parts.values()]
    passes = len(mapped.plan_of(roots, mapped.limits_of(chosen, roots), chosen).stages)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Of nothing but NaN, or of infinities: the result says it.
        warnings.simplefilter("ignore", RuntimeWarning)
        results = compute(*parts.values(), **options)
    return dict(zip(parts, results, strict=True)), passes
