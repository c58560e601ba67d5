"""Brings arrays to shapes in common, as NumPy broadcasts them; repeats no element in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Array
from ..lifting import apply, array_of, lifted
from ..operations.elementwise import spread_shape
from ..operations.shaping import BroadcastTo, Transpose
from ..storage.dtypes import plain_shape
from .manipulation import ravel
from .viewing import spread, transposed

__all__ = ["atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "broadcast_to"]
__all__ += ["meshgrid"]


def broadcast_to(
    x: Any, shape: int | Sequence[int], chunks: Any = None, *, subok: bool = False
) -> Array:
    """The same elements in a larger shape; lazy.

    Parameters
    ----------
    x : Array or array-like
    shape : int or sequence of int
        The last axes are those of `x`, with the same extent where that of `x` is not 1.
    chunks : optional
        Blocks of the result, in any of dask's spellings.
    subok : bool
        Ignored.

    Returns
    -------
    Array
        Of `shape`; of what is stored a view, read-only.

    Raises
    ------
    ValueError
        The shapes do not fit; an extent of `x` is not known.

    Examples
    --------
    >>> broadcast_to([1, 2, 3], (2, 3)).compute()
    array([[1, 2, 3],
           [1, 2, 3]])
    """
    found = spread(array_of(x), plain_shape(shape, 1))
    return found if chunks is None else found.rechunk(chunks)


def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Array, ...]:
    """Arrays brought to the shape that they have together; lazy.

    Parameters
    ----------
    *args : Array or array-like
    subok : bool
        Ignored.

    Returns
    -------
    tuple of Array
        All of one shape; of what is stored views, read-only.

    Raises
    ------
    ValueError
        The shapes do not fit; if extents are not known, when they are.

    Examples
    --------
    >>> one, other = broadcast_arrays([1, 2, 3], [[4], [5]])
    >>> other.compute().tolist()
    [[4, 4, 4], [5, 5, 5]]
    """
    arrays = [array_of(arg) for arg in args]
    if not arrays:
        return ()
    shape = spread_shape([array.shape for array in arrays])
    if not any(map(math.isnan, shape)):
        return tuple(spread(array, shape) for array in arrays)
    # Told when the extents are known.
    return tuple(lifted(_Spread(at), arrays, name="broadcast_arrays") for at in range(len(arrays)))


def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    """Coordinates of a grid from those along each axis; lazy.

    Parameters
    ----------
    *xi : Array or array-like
        Along each axis; flattened.
    copy : bool
        False allows views of what is stored.
    sparse : bool
        Only the own axis has more than one element.
    indexing : {"xy", "ij"}
        "xy": the first array goes along axis 1 and the second along axis 0.

    Returns
    -------
    tuple of Array
        As many as `xi`, each with as many axes.

    Raises
    ------
    ValueError
        Another `indexing`.

    Examples
    --------
    >>> x, y = meshgrid([1, 2, 3], [4, 5])
    >>> x.shape, y.compute().tolist()
    ((2, 3), [[4, 4, 4], [5, 5, 5]])
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing={indexing!r} is neither 'xy' nor 'ij'")
    places = list(range(len(xi)))
    if indexing == "xy" and len(xi) > 1:
        places[:2] = 1, 0
    found = []
    for place, x in zip(places, xi, strict=True):
        axes = [0 if axis == place else None for axis in range(len(xi))]
        line = ravel(array_of(x))
        found.append(apply(Transpose(tuple(axes)), line) if copy else transposed(line, axes))
    if sparse or not found:
        return tuple(found)
    shape = spread_shape([array.shape for array in found])
    if copy and not any(map(math.isnan, shape)):
        return tuple(apply(BroadcastTo(shape), array) for array in found)
    return broadcast_arrays(*found)


def atleast_1d(*arys: Any) -> Any:
    """Arrays with a new axis where there is none; lazy.

    Parameters
    ----------
    *arys : Array or array-like

    Returns
    -------
    Array, or tuple of Arrays
        One, if one was given.

    Examples
    --------
    >>> atleast_1d(5).shape
    (1,)
    """
    return _each(arys, lambda ndim: (None,) if not ndim else range(ndim))


def atleast_2d(*arys: Any) -> Any:
    """Arrays with new first axes where there are fewer than two; lazy.

    Parameters
    ----------
    *arys : Array or array-like

    Returns
    -------
    Array, or tuple of Arrays
        One, if one was given.

    Examples
    --------
    >>> atleast_2d([1, 2, 3]).shape
    (1, 3)
    """
    return _each(arys, lambda ndim: (*(None,) * (2 - ndim), *range(ndim)))


def atleast_3d(*arys: Any) -> Any:
    """Arrays with new axes where there are fewer than three: (1, n, 1), (m, n, 1); lazy.

    Parameters
    ----------
    *arys : Array or array-like

    Returns
    -------
    Array, or tuple of Arrays
        One, if one was given.

    Examples
    --------
    >>> atleast_3d([1, 2, 3]).shape, atleast_3d([[1, 2, 3]]).shape
    ((1, 3, 1), (1, 3, 1))
    """
    given = {0: (None, None, None), 1: (None, 0, None), 2: (0, 1, None)}
    return _each(arys, lambda ndim: given.get(ndim, range(ndim)))


def _each(arys: tuple[Any, ...], axes: Any) -> Any:
    arrays = [array_of(one) for one in arys]
    found = tuple(transposed(array, tuple(axes(array.ndim))) for array in arrays)
    return found[0] if len(found) == 1 else found


@dataclass(frozen=True)
class _Spread:
    """One of several arrays, in the shape that they have together."""

    number: int

    def __call__(self, *blocks: Any) -> Any:
        shape = np.broadcast_shapes(*(block.shape for block in blocks))
        return np.broadcast_to(blocks[self.number], shape)
