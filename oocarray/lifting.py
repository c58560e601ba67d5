"""Turns what callers pass into nodes, and nodes into arrays; it computes nothing."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .core import Array
from .lazy.arith import elementwise
from .lazy.expr import Node, OpNode
from .opening import from_array
from .operations.base import Operation

__all__ = ["apply", "array_of", "known", "lifted", "node_in", "operand"]

_WEAK = (bool, int, float, complex)
_TIMES = (datetime.datetime, datetime.date, datetime.timedelta)


def operand(value: Any) -> Any:
    """An argument of an elementwise function: a node, or a scalar as it is.

    Python's numbers stay what they are, so that they are weak as in NumPy 2.

    Raises
    ------
    TypeError
        NumPy makes only an array of objects of it.
    """
    if isinstance(value, Array):
        return value.node
    if isinstance(value, (*_WEAK, np.generic)):
        return value
    if isinstance(value, _TIMES):
        return np.asarray(value, None if isinstance(value, datetime.timedelta) else "M8")[()]
    return from_array(value).node


def node_in(value: Any) -> Node:
    """The node of an array or of anything that NumPy makes one of."""
    return value.node if isinstance(value, Array) else from_array(value).node


def array_of(value: Any) -> Array:
    """An array as it is, anything else as NumPy makes an array of it."""
    return value if isinstance(value, Array) else from_array(value)


def lifted(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Array:
    """Apply a function to the elements of arrays and scalars; lazy.

    Parameters
    ----------
    function : callable
        As of `oocarray.lazy.arith.elementwise`.
    args : sequence
        Arrays, array-likes and scalars.
    kwargs : mapping, optional
    name : str, optional
    """
    return Array(elementwise(function, [*map(operand, args)], kwargs=kwargs, name=name))


def apply(operation: Operation, *args: Any) -> Array:
    """An array that is made of others by an operation; shapes and dtypes are compared now.

    Raises
    ------
    ValueError, TypeError
        As the operation does.
    """
    node = OpNode(operation, tuple(map(node_in, args)))
    _ = node.shape, node.dtypes
    return Array(node)


def known(array: Array, what: str) -> tuple[int, ...]:
    """The shape of an array, which `what` needs to be known.

    Raises
    ------
    ValueError
        It depends on elements that nobody has counted yet.
    """
    if any(extent != extent for extent in array.shape):
        raise ValueError(
            f"{what} needs the shape, which is {array.shape}: call compute_chunk_sizes() first"
        )
    return array.shape
