"""Where elements are, and where they would go in sorted ones; finds no least or greatest."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ..core import Array
from ..lazy.counted import CountedNode, Counts
from ..lifting import apply, array_of, known, lifted
from ..opening import from_array
from ..operations.joining import Stack
from ..operations.shaping import Reshape
from ..operations.tables import Digitize, Searchsorted

__all__ = ["argwhere", "bincount", "digitize", "flatnonzero", "nonzero", "searchsorted"]


def nonzero(x: Any, /) -> tuple[Array, ...]:
    """Positions of the elements that are not zero, in C order; lazy.

    Parameters
    ----------
    x : Array or array-like

    Returns
    -------
    tuple of Array
        For each axis of `x` the positions along it, int64. Their extent is nan until it is
        counted, which the first computation does.

    Raises
    ------
    ValueError
        `x` has no axes.

    Examples
    --------
    >>> rows, columns = nonzero([[0, 5], [7, 0]])
    >>> rows.compute(), columns.compute()
    (array([0, 1]), array([1, 0]))
    """
    array = array_of(x)
    if not array.ndim:
        raise ValueError(
            "Calling nonzero on 0d arrays is not allowed. Use oo.atleast_1d(scalar).nonzero() "
            "instead."
        )
    mask = array if array.dtype == bool else lifted(_true, [array], name="nonzero")
    # The same elements are counted for all axes: once.
    counts = Counts()
    return tuple(Array(CountedNode(None, mask.node, axis, counts)) for axis in range(array.ndim))


def argwhere(a: Any) -> Array:
    """Positions of the elements that are not zero, a row for each; lazy.

    Parameters
    ----------
    a : Array or array-like

    Returns
    -------
    Array
        Shape (number of elements, a.ndim), int64; the first is nan until it is counted.

    Examples
    --------
    >>> argwhere([[0, 5], [7, 0]]).compute()
    array([[0, 1],
           [1, 0]])
    """
    array = array_of(a)
    if not array.ndim:
        return from_array(np.argwhere(np.asarray(array.compute())))
    return apply(Stack(1), *nonzero(array))


def flatnonzero(a: Any) -> Array:
    """Positions, counted in C order, of the elements that are not zero; lazy.

    Parameters
    ----------
    a : Array or array-like

    Returns
    -------
    Array
        Of 1 axis, int64; its extent is nan until it is counted.

    Raises
    ------
    ValueError
        The shape of `a` is not known.

    Examples
    --------
    >>> flatnonzero([[0, 5], [7, 0]]).compute()
    array([1, 2])
    """
    array = array_of(a)
    if array.ndim != 1:
        known(array, "flatnonzero")
        array = apply(Reshape((array.size,)), array)
    return nonzero(array)[0]


def searchsorted(
    x1: Any, x2: Any, side: Literal["left", "right"] = "left", sorter: Any = None
) -> Array:
    """Where elements go in a sorted array so that it stays sorted; lazy.

    Parameters
    ----------
    x1 : Array or array-like
        Of 1 axis, sorted; all of it is in memory.
    x2 : Array, array-like or scalar
        What to look up.
    side : {"left", "right"}
        Before or after those that are equal.
    sorter : Array or array-like of int, optional
        Positions that sort `x1`, such as `argsort` finds.

    Returns
    -------
    Array
        Of the shape of `x2`, int64.

    Raises
    ------
    ValueError
        `x1` has not 1 axis; no such side; `sorter` has another shape than `x1`.
    BudgetError
        When computed: `x1` does not fit the memory budget.

    Examples
    --------
    >>> searchsorted([1, 3, 5], [0, 3, 9]).compute()
    array([0, 1, 3])
    >>> searchsorted([5, 1, 3], 3, side="right", sorter=[1, 2, 0]).compute()
    np.int64(2)
    """
    if side not in ("left", "right"):
        raise ValueError(f"search side must be 'left' or 'right' (got {side!r})")
    table = array_of(x1)
    if sorter is not None:
        order = array_of(sorter)
        if order.dtype.kind not in "iu":
            raise TypeError("sorter must only contain integers")
        if order.shape != table.shape:
            raise ValueError(f"sorter has shape {order.shape}, not {table.shape}")
        table = table[sorter if isinstance(sorter, Array) else np.asarray(sorter)]
    return apply(Searchsorted(side), table, x2)


def digitize(x: Any, bins: Any, right: bool = False) -> Array:
    """In which bin each element is; lazy.

    Parameters
    ----------
    x : Array or array-like
        Real numbers.
    bins : Array or array-like
        Of 1 axis: the edges, which rise, or fall; all of them are in memory.
    right : bool
        Whether a bin includes its right edge rather than its left.

    Returns
    -------
    Array
        Of the shape of `x`, int64: 0 before the first edge, ``len(bins)`` after the last.

    Raises
    ------
    ValueError
        The edges neither rise nor fall, or have not 1 axis; where they are lazy when computed.
    TypeError
        `x` is complex.

    Examples
    --------
    >>> digitize([0.5, 1.0, 7.0], [0, 1, 5]).compute()
    array([1, 2, 3])
    """
    array = array_of(x)
    if array.dtype.kind == "c":
        raise TypeError("x may not be complex")
    if not isinstance(bins, Array):
        np.digitize(np.zeros(0), bins, right)  # refused now rather than in a worker
    return apply(Digitize(bool(right)), array, bins)


def bincount(x: Any, weights: Any = None, minlength: int = 0, split_every: object = None) -> Array:
    """How often each of 0, 1, 2, ... is in an array, or the sums of weights; computed at once.

    Parameters
    ----------
    x : Array or array-like
        Of 1 axis: integers that are not negative. Read block by block.
    weights : Array or array-like, optional
        Of the same shape: what each element counts.
    minlength : int
        Least extent of the result.
    split_every : object
        Ignored.

    Returns
    -------
    Array
        In memory; of int64, or with weights of float64. As long as the greatest element asks for.

    Raises
    ------
    ValueError
        Another number of axes; negative elements; weights of another shape.
    TypeError
        The elements are no integers, or of uint64.

    Examples
    --------
    >>> bincount([0, 3, 3]).compute(), bincount([0, 1, 1], [0.5, 1, 2]).compute()
    (array([1, 0, 0, 2]), array([0.5, 3. ]))
    """
    array = array_of(x)
    if array.ndim != 1:
        raise ValueError(f"bincount needs an array of 1 axis, not of {array.ndim}")
    if minlength < 0:
        raise ValueError(f"'minlength' must not be negative, but is {minlength}")
    if not np.can_cast(array.dtype, np.intp):
        raise TypeError(
            f"Cannot cast array data from {array.dtype!r} to {np.dtype(np.intp)!r} according to "
            "the rule 'safe'"
        )
    if weights is None:
        counts = np.zeros(minlength, np.intp)
        for piece in _runs(array):
            own = np.bincount(piece, minlength=len(counts))
            own[: len(counts)] += counts
            counts = own
        return from_array(counts)
    given = array_of(weights)
    if known(given, "bincount") != known(array, "bincount"):
        raise ValueError(f"bincount: {given.shape} weights for {array.shape} elements")
    sums = np.zeros(minlength)
    for piece, own in zip(_runs(array), _runs(given), strict=True):
        if piece.size and piece.min() < 0:
            raise ValueError("'list' argument must have no negative elements")
        more = (int(piece.max()) + 1 if piece.size else 0) - len(sums)
        sums = np.concatenate([sums, np.zeros(max(more, 0))])
        # One after the other, as NumPy adds them.
        np.add.at(sums, piece, own.astype(np.float64, casting="safe"))
    return from_array(sums)


_RUN = 1 << 20
"""Elements of a run: large beside what a request costs, small beside a budget."""


def _runs(array: Array) -> Any:
    if not known(array, "bincount")[0]:
        return iter([np.asarray(array.compute())])
    return array.iter_blocks(batch=_RUN)


def _true(block: Any) -> Any:
    return block.astype(bool)
