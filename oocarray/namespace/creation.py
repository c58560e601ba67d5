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
from ..lifting import array_of, known
from ..operations.creating import Eye, FromFunction, Full
from ..operations.creating import Indices as IndicesOperation
from .ranges import arange, extents_of, made, on_cpu

__all__ = ["empty", "empty_like", "eye", "fromfunction", "full", "full_like", "identity", "indices"]
__all__ += ["ones", "ones_like", "tri", "zeros", "zeros_like"]


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
    extents = extents_of(shape)
    if isinstance(fill_value, Array):
        values = fill_value if dtype is None else fill_value.astype(dtype)
    else:
        value = np.full(np.shape(fill_value), fill_value, dtype)
        if not value.ndim:
            return made(Full(extents, value[()], value.dtype), chunks, device)
        values = array_of(value)
    from .spreading import broadcast_to

    on_cpu(device)
    return broadcast_to(values, extents, None if chunks == "auto" else chunks)


def zeros(
    shape: int | Sequence[int], dtype: Any = float, *, chunks: Any = "auto", device: Any = None
) -> Array:
    """Zeros; lazy, see `full`.

    Examples
    --------
    >>> zeros(3).compute()
    array([0., 0., 0.])
    """
    return _constant(shape, np.zeros, dtype, chunks, device)


def ones(
    shape: int | Sequence[int], dtype: Any = None, *, chunks: Any = "auto", device: Any = None
) -> Array:
    """Ones; lazy, see `full`.

    Examples
    --------
    >>> ones((10, 10), chunks=5).numblocks
    (2, 2)
    """
    return _constant(shape, np.ones, dtype, chunks, device)


def empty(
    shape: int | Sequence[int], dtype: Any = float, *, chunks: Any = "auto", device: Any = None
) -> Array:
    """Anything; here zeros. A file that is to be filled is made by `oocarray.create`.

    Examples
    --------
    >>> empty(3).shape
    (3,)
    """
    return _constant(shape, np.zeros, dtype, chunks, device)


def _constant(shape: Any, value: Any, dtype: Any, chunks: Any, device: Any) -> Array:
    element = value((), float if dtype is None else dtype)
    return made(Full(extents_of(shape), element[()], element.dtype), chunks, device)


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
    target, kind, blocks = _like(x, dtype, shape, chunks)
    return full(target, fill_value, kind, chunks=blocks, device=device)


def _like(x: Any, dtype: Any, shape: Any, chunks: Any) -> tuple[Any, Any, Any]:
    """Shape, dtype and blocks of what is to be like an array."""
    array = array_of(x)
    target = known(array, "an array like another") if shape is None else extents_of(shape)
    if chunks is None:
        chunks = array.chunks if shape is None and not array.node.free else "auto"
    return target, array.dtype if dtype is None else dtype, chunks


def zeros_like(
    x: Any, dtype: Any = None, *, shape: Any = None, chunks: Any = None, device: Any = None
) -> Array:
    """Zeros with shape, dtype and set blocks of another array; lazy.

    Examples
    --------
    >>> zeros_like([1.5, 2]).compute()
    array([0., 0.])
    """
    target, kind, blocks = _like(x, dtype, shape, chunks)
    return _constant(target, np.zeros, kind, blocks, device)


def ones_like(
    x: Any, dtype: Any = None, *, shape: Any = None, chunks: Any = None, device: Any = None
) -> Array:
    """Ones with shape, dtype and set blocks of another array; lazy.

    Examples
    --------
    >>> ones_like([1.5, 2]).compute()
    array([1., 1.])
    """
    target, kind, blocks = _like(x, dtype, shape, chunks)
    return _constant(target, np.ones, kind, blocks, device)


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


def eye(
    N: int,
    M: int | None = None,
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
    columns = N if M is None else M
    kind = np.dtype(float if dtype is None else dtype)
    return made(
        Eye(operator.index(N), operator.index(columns), operator.index(k), kind),
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


def tri(
    N: int, M: int | None = None, k: int = 0, dtype: Any = float, *, chunks: Any = "auto"
) -> Array:
    """Ones at and below a diagonal, zeros above it; lazy.

    Examples
    --------
    >>> tri(2, dtype=int).compute().tolist()
    [[1, 0], [1, 1]]
    """
    from .parts import tril

    return tril(ones((N, N if M is None else M), dtype, chunks=chunks), k)


def indices(
    dimensions: Sequence[int], dtype: Any = int, sparse: bool = False, *, chunks: Any = "auto"
) -> Any:
    """The position along each axis, for every element; lazy.

    Examples
    --------
    >>> indices((2, 2)).compute().tolist()
    [[[0, 0], [1, 1]], [[0, 1], [0, 1]]]
    """
    shape = extents_of(dimensions)
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

    parts = [made(IndicesOperation(shape, axis, kind)) for axis in range(len(shape))]
    found: Array = stack(parts) if parts else zeros((0,), kind)
    return found if chunks == "auto" else found.rechunk(chunks)


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
    return made(FromFunction(called, extents_of(shape), np.dtype(dtype)), chunks)
