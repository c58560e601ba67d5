"""Numbers at equal distances, and powers of them; made where they are used, not before."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Array
from ..lazy.expr import OpNode
from ..lifting import lifted
from ..operations.base import Operation
from ..operations.creating import Arange, Linspace

__all__ = ["arange", "geomspace", "linspace", "logspace"]


def made(operation: Operation, chunks: Any = "auto", device: str | None = None) -> Array:
    """The array that an operation makes of nothing, in blocks of these extents."""
    on_cpu(device)
    node = OpNode(operation, ())
    if node.shape is not None and node.dtypes is not None and node.dtypes[0].hasobject:
        raise TypeError("an object array holds addresses, not data; ask for a plain dtype")
    array = Array(node)
    return array if chunks is None or chunks == "auto" else array.rechunk(chunks)


def extents_of(shape: Any) -> tuple[int, ...]:
    """A shape as NumPy takes it."""
    found = (shape,) if np.ndim(shape) == 0 else tuple(shape)
    extents = tuple(map(operator.index, found))
    if min(extents, default=0) < 0:
        raise ValueError("negative dimensions are not allowed")
    return extents


def on_cpu(device: Any) -> None:
    """Refuse other devices."""
    if device not in (None, "cpu"):
        raise ValueError(f"device={device!r}; arrays are on the 'cpu' only")


def _number(value: Any, function: str) -> Any:
    """An end of a range; one that is to be computed is."""
    if np.ndim(value):
        raise NotImplementedError(f"{function}() is there for ends that are numbers, not arrays")
    return value.compute() if isinstance(value, Array) else value


def arange(
    start: Any = None,
    stop: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    chunks: Any = "auto",
    device: str | None = None,
) -> Array:
    """Evenly spaced numbers up to `stop`, without it; lazy, with NumPy's values.

    Examples
    --------
    >>> arange(3).compute(), arange(1, 2, 0.25).compute()
    (array([0, 1, 2]), array([1.  , 1.25, 1.5 , 1.75]))
    """
    start, stop, step = (_number(one, "arange") for one in (start, stop, step))
    if stop is None:
        if start is None:
            raise TypeError("arange() requires stop to be specified.")
        start, stop = np.zeros((), np.asarray(start).dtype)[()] if _timed(start) else 0, start
    if start is None:
        start = 0
    if step is None:
        step = 1
    if step == 0:
        raise ZeroDivisionError("the step of arange() is zero")
    operation = Arange(start, stop, step, None if dtype is None else np.dtype(dtype))
    return made(operation, chunks, device)


def _timed(value: Any) -> bool:
    return isinstance(value, np.generic) and value.dtype.kind in "mM"


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    *,
    chunks: Any = "auto",
    device: str | None = None,
) -> Any:
    """So many evenly spaced numbers between two; lazy, with NumPy's values.

    Examples
    --------
    >>> linspace(0, 1, 5).compute()
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"Number of samples, {num}, must be non-negative.")
    start, stop = _number(start, "linspace"), _number(stop, "linspace")
    kind = None if dtype is None else np.dtype(dtype)
    found = made(Linspace(start, stop, num, bool(endpoint), kind), chunks, device)
    if not retstep:
        return found
    delta = np.subtract(stop, start, dtype=np.result_type(start, stop, 0.0))
    return found, delta / (num - endpoint) if num > endpoint else np.nan


def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    *,
    chunks: Any = "auto",
) -> Array:
    """Numbers whose logarithms are evenly spaced; lazy, with NumPy's values.

    Examples
    --------
    >>> logspace(0, 2, 3).compute()
    array([  1.,  10., 100.])
    """
    exponents = linspace(start, stop, num, endpoint, chunks=chunks)
    found = lifted(np.power, [_number(base, "logspace"), exponents])
    return found if dtype is None else found.astype(dtype)


def geomspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    *,
    chunks: Any = "auto",
) -> Array:
    """Numbers of a geometric progression between two, without zero; lazy, with NumPy's values.

    Examples
    --------
    >>> geomspace(1, 8, 4).compute()
    array([1., 2., 4., 8.])
    """
    num = operator.index(num)
    first, last = (np.asarray(_number(end, "geomspace")) for end in (start, stop))
    if first == 0 or last == 0:
        raise ValueError("Geometric sequence cannot include zero")
    kind = np.result_type(first, last, float(num), np.zeros((), dtype))
    first, last = first.astype(kind), last.astype(kind)
    sign = np.sign(first)
    first, last = first / sign, last / sign
    # As scalars they would be weak; as NumPy's arrays they have the dtype.
    exponents = linspace(np.log10(first)[()], np.log10(last)[()], num, endpoint, chunks=chunks)
    ends = _Ends(first[()], last[()], sign[()], num - 1 if endpoint and num > 1 else -1, kind)
    found = lifted(ends, [exponents, arange(num, chunks=chunks)], name="geomspace")
    return found if dtype is None else found.astype(dtype)


@dataclass(frozen=True)
class _Ends:
    """Powers of 10, with the ends as they were given."""

    first: Any
    last: Any
    sign: Any
    end: int
    dtype: Any

    def __call__(self, exponents: Any, number: Any) -> Any:
        found = np.power(10.0, exponents).astype(self.dtype)
        found = np.where(number == 0, self.first, found)
        return np.where(number == self.end, self.last, found) * self.sign
