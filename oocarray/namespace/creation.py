"""Functions that make arrays from nothing; they allocate nothing.

A block of what they make exists while it is used.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import Array
from ..lazy.expr import OpNode
from ..lifting import array_of, known, lifted
from ..operations.base import Operation
from ..operations.creating import Arange, Eye, FromFunction, Full, Linspace
from ..operations.creating import Indices as IndicesOperation

__all__ = ["arange", "empty", "empty_like", "eye", "fromfunction", "full", "full_like"]
__all__ += ["geomspace", "identity", "indices", "linspace", "logspace", "ones", "ones_like"]
__all__ += ["tri", "zeros", "zeros_like"]


def _made(operation: Operation, chunks: Any = "auto", device: str | None = None) -> Array:
    if device not in (None, "cpu"):
        raise ValueError(f"device={device!r}; arrays are on the 'cpu' only")
    node = OpNode(operation, ())
    _ = node.shape, node.dtypes
    array = Array(node)
    return array if chunks is None or chunks == "auto" else array.rechunk(chunks)


def _shape(shape: Any) -> tuple[int, ...]:
    found = (shape,) if np.ndim(shape) == 0 else tuple(shape)
    extents = tuple(map(operator.index, found))
    if min(extents, default=0) < 0:
        raise ValueError("negative dimensions are not allowed")
    return extents


def full(
    shape: int | Sequence[int],
    fill_value: Any,
    dtype: Any = None,
    *,
    chunks: Any = "auto",
    device: str | None = None,
) -> Array:
    """One value everywhere; lazy.

    Parameters
    ----------
    shape : int or tuple of int
    fill_value : scalar
    dtype : dtype-like, optional
        Default: that of the value.
    chunks : optional
        Blocks to work on, in dask's spellings.
    device : {"cpu"}, optional

    Examples
    --------
    >>> full((2, 2), 7).compute()
    array([[7, 7],
           [7, 7]])
    """
    if isinstance(fill_value, Array):
        from .spreading import broadcast_to

        value = fill_value if dtype is None else fill_value.astype(dtype)
        return broadcast_to(value, _shape(shape))
    value = np.asarray(fill_value, dtype)
    if value.ndim:
        from .spreading import broadcast_to

        return broadcast_to(value, _shape(shape))
    return _made(Full(_shape(shape), value[()], value.dtype), chunks, device)


def zeros(
    shape: int | Sequence[int], dtype: Any = float, *, chunks: Any = "auto", device: Any = None
) -> Array:
    """Zeros; lazy, see `full`.

    Examples
    --------
    >>> zeros(3).compute()
    array([0., 0., 0.])
    """
    return _constant(shape, 0, dtype, chunks, device)


def ones(
    shape: int | Sequence[int], dtype: Any = None, *, chunks: Any = "auto", device: Any = None
) -> Array:
    """Ones; lazy, see `full`.

    Examples
    --------
    >>> ones((10, 10), chunks=5).numblocks
    (2, 2)
    """
    return _constant(shape, 1, dtype, chunks, device)


def empty(
    shape: int | Sequence[int], dtype: Any = float, *, chunks: Any = "auto", device: Any = None
) -> Array:
    """Anything; here zeros. A file that is to be filled is made by `oocarray.create`.

    Examples
    --------
    >>> empty(3).shape
    (3,)
    """
    return _constant(shape, 0, dtype, chunks, device)


def _constant(shape: Any, value: int, dtype: Any, chunks: Any, device: Any) -> Array:
    kind = np.dtype(float if dtype is None else dtype)
    return _made(Full(_shape(shape), np.asarray(value).astype(kind)[()], kind), chunks, device)


def full_like(
    x: Any,
    fill_value: Any,
    dtype: Any = None,
    *,
    shape: Any = None,
    chunks: Any = None,
    device: str | None = None,
) -> Array:
    """One value everywhere, with shape, dtype and set blocks of another array; lazy.

    Examples
    --------
    >>> full_like([1, 2], 7).compute()
    array([7, 7])
    """
    array = array_of(x)
    target = known(array, "full_like()") if shape is None else _shape(shape)
    if chunks is None:
        chunks = array.chunks if shape is None and not array.node.free else "auto"
    return full(
        target, fill_value, array.dtype if dtype is None else dtype, chunks=chunks, device=device
    )


def zeros_like(
    x: Any, dtype: Any = None, *, shape: Any = None, chunks: Any = None, device: Any = None
) -> Array:
    """Zeros with shape, dtype and set blocks of another array; lazy.

    Examples
    --------
    >>> zeros_like([1.5, 2]).compute()
    array([0., 0.])
    """
    return full_like(x, 0, dtype, shape=shape, chunks=chunks, device=device)


def ones_like(
    x: Any, dtype: Any = None, *, shape: Any = None, chunks: Any = None, device: Any = None
) -> Array:
    """Ones with shape, dtype and set blocks of another array; lazy.

    Examples
    --------
    >>> ones_like([1.5, 2]).compute()
    array([1., 1.])
    """
    return full_like(x, 1, dtype, shape=shape, chunks=chunks, device=device)


def empty_like(
    x: Any, dtype: Any = None, *, shape: Any = None, chunks: Any = None, device: Any = None
) -> Array:
    """Anything (here zeros) with shape, dtype and set blocks of another array; lazy.

    Examples
    --------
    >>> empty_like([1.5, 2]).shape
    (2,)
    """
    return zeros_like(x, dtype, shape=shape, chunks=chunks, device=device)


def arange(
    start: Any,
    /,
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
    if stop is None:
        start, stop = np.zeros((), np.asarray(start).dtype)[()] if _timed(start) else 0, start
    if step is None:
        step = 1
    if step == 0:
        raise ZeroDivisionError("the step of arange() is zero")
    operation = Arange(start, stop, step, None if dtype is None else np.dtype(dtype))
    return _made(operation, chunks, device)


def _timed(value: Any) -> bool:
    return isinstance(value, np.generic) and value.dtype.kind in "mM"


def linspace(
    start: Any,
    stop: Any,
    /,
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
    if num < 0:
        raise ValueError(f"Number of samples, {num}, must be non-negative.")
    kind = None if dtype is None else np.dtype(dtype)
    made = _made(Linspace(start, stop, operator.index(num), bool(endpoint), kind), chunks, device)
    if not retstep:
        return made
    return made, np.linspace(start, stop, num, endpoint, retstep=True)[1]


def logspace(
    start: float,
    stop: float,
    num: int = 50,
    endpoint: bool = True,
    base: float = 10.0,
    dtype: Any = None,
) -> Array:
    """Numbers whose logarithms are evenly spaced; lazy.

    Examples
    --------
    >>> logspace(0, 2, 3).compute()
    array([  1.,  10., 100.])
    """
    exponents = linspace(start, stop, num, endpoint)
    made = lifted(np.power, [base, exponents])
    return made if dtype is None else made.astype(dtype)


def geomspace(
    start: float, stop: float, num: int = 50, endpoint: bool = True, dtype: Any = None
) -> Array:
    """Numbers of a geometric progression between two positive ones; lazy.

    Examples
    --------
    >>> geomspace(1, 8, 4).compute().round(12)
    array([1., 2., 4., 8.])
    """
    if not (start > 0 and stop > 0):
        raise ValueError("geomspace() is there for positive ends")
    return logspace(float(np.log10(start)), float(np.log10(stop)), num, endpoint, dtype=dtype)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    k: int = 0,
    dtype: Any = float,
    *,
    chunks: Any = "auto",
    device: str | None = None,
) -> Array:
    """Ones on a diagonal, zeros elsewhere; lazy.

    Examples
    --------
    >>> eye(2).compute()
    array([[1., 0.],
           [0., 1.]])
    """
    columns = n_rows if n_cols is None else n_cols
    kind = np.dtype(float if dtype is None else dtype)
    return _made(
        Eye(operator.index(n_rows), operator.index(columns), operator.index(k), kind),
        chunks,
        device,
    )


def identity(n: int, dtype: Any = float) -> Array:
    """A square matrix with ones on its diagonal; lazy.

    Examples
    --------
    >>> identity(2, int).compute().tolist()
    [[1, 0], [0, 1]]
    """
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = float) -> Array:
    """Ones at and below a diagonal, zeros above it; lazy.

    Examples
    --------
    >>> tri(2, dtype=int).compute().tolist()
    [[1, 0], [1, 1]]
    """
    from .parts import tril

    return tril(ones((N, N if M is None else M), dtype), k)


def indices(dimensions: Sequence[int], dtype: Any = int, sparse: bool = False) -> Any:
    """The position along each axis, for every element; lazy.

    Examples
    --------
    >>> indices((2, 2)).compute().tolist()
    [[[0, 0], [1, 1]], [[0, 1], [0, 1]]]
    """
    shape = _shape(dimensions)
    kind = np.dtype(dtype)
    if sparse:
        from .manipulation import reshape

        return tuple(
            reshape(
                arange(extent, dtype=kind),
                tuple(extent if a == axis else 1 for a in range(len(shape))),
            )
            for axis, extent in enumerate(shape)
        )
    from .joining import stack

    parts = [_made(IndicesOperation(shape, axis, kind)) for axis in range(len(shape))]
    return stack(parts) if parts else zeros((0,), kind)


def fromfunction(
    function: Callable[..., Any],
    shape: Sequence[int],
    *,
    dtype: Any = float,
    chunks: Any = "auto",
    **kwargs: Any,
) -> Array:
    """An elementwise function of the positions along each axis; lazy.

    Examples
    --------
    >>> fromfunction(lambda i, j: i + j, (2, 2), dtype=int).compute().tolist()
    [[0, 1], [1, 2]]
    """
    called = functools.partial(function, **kwargs) if kwargs else function
    return _made(FromFunction(called, _shape(shape), np.dtype(dtype)), chunks)
