"""Tells when two nodes are the same array, by content: made of the same, in the same way.

Nodes whose arguments are interned are compared without going deep: arguments by `is`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..operations.scalar import ScalarFunction
from .expr import MapNode, OpNode, PickNode, ReduceNode
from .node import KeptNode, MemoryNode, Node, StoredNode, postorder
from .written import writes

__all__ = ["identity", "signature"]

_PLAIN = (int, float, bool, str, bytes, type(None))


def identity(node: Node, name: Callable[[Node], int] = id) -> Any:
    """Something hashable that is equal for nodes that are the same array.

    Parameters
    ----------
    node : Node
        Its arguments are the only ones of their identity.
    name : callable
        What stands for an argument: not looked at below calls of users' functions.

    Examples
    --------
    >>> import numpy as np
    >>> from .arith import elementwise
    >>> x = MemoryNode(np.arange(3))
    >>> identity(elementwise(np.add, [x, 1])) == identity(elementwise(np.add, [x, 1]))
    True
    >>> identity(elementwise(np.add, [x, 1])) == identity(elementwise(np.add, [x, 1.0]))
    False
    """
    children = tuple(map(name, node.children))
    if isinstance(node, KeptNode):
        return "kept", id(node.memory), node.source, node.set_chunks
    if isinstance(node, StoredNode):
        return "stored", node.source, writes(node.source.file), node.set_chunks
    if isinstance(node, MemoryNode):
        array = node.array
        where = array.__array_interface__["data"][0] if array.size else id(array)
        return "memory", where, array.shape, array.strides, array.dtype, node.set_chunks
    if isinstance(node, PickNode):
        return "pick", children, node.output
    if isinstance(node, OpNode):
        return "operation", node.operation, children, node.set_chunks, node.whole
    if isinstance(node, ReduceNode):
        return _of_reduction(node, children) or ("object", id(node))
    if isinstance(node, MapNode):
        return _of_call(node) or ("object", id(node))
    return "object", id(node)


def signature(nodes: Sequence[Node]) -> Any:
    """Something hashable that is equal where nodes are the same arrays, made of stored ones.

    It holds nobody's memory. None where there is more to the nodes: arrays in memory, users'
    functions on blocks.

    Examples
    --------
    >>> import numpy as np
    >>> from .arith import elementwise
    >>> signature([elementwise(np.add, [MemoryNode(np.arange(3)), 1])]) is None
    True
    """
    numbers: dict[int, int] = {}
    told: dict[Any, int] = {}
    for top in nodes:
        for one in postorder(top, lambda one: id(one) not in numbers):
            if id(one) in numbers:
                continue
            if not isinstance(one, (StoredNode, OpNode, ReduceNode)) or isinstance(one, KeptNode):
                return None
            if isinstance(one, OpNode) and isinstance(one.operation, ScalarFunction):
                return None  # its dtype may change with the globals of the function
            # The arguments by their numbers here, rather than by what objects they happen to be.
            own = identity(one, lambda child: numbers[id(child)])
            if own[0] == "object":
                return None
            numbers[id(one)] = told.setdefault((type(one), own), len(told))
    return tuple(told), tuple(numbers[id(top)] for top in nodes)


def _of_reduction(node: ReduceNode, children: tuple[int, ...]) -> Any:
    make = node.make
    if not isinstance(make, functools.partial) or make.keywords:
        return None
    name, parameters = make.args[0], make.args[-1]
    if not isinstance(parameters, dict):
        return None
    items = tuple(sorted((key, repr(value)) for key, value in parameters.items()))
    if not all(_plain(value) for value in parameters.values()):
        return None
    return "reduction", make.func, name, items, children, node.set_chunks


def _of_call(node: MapNode) -> Any:
    args = tuple(id(arg) if isinstance(arg, Node) else _token(arg) for arg in node.args)
    kwargs = tuple(sorted((key, _token(value)) for key, value in node.kwargs.items()))
    how = node.nout, node.form, node.wants, node.apart, node.splittable, node.dtypes
    if None in args or any(token is None for _, token in kwargs):
        return None
    return "call", id(node.function), args, kwargs, how, node.plan, node.name


def _plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return isinstance(value, _PLAIN) or type(value).__module__ == "numpy.dtypes"


def _token(value: Any) -> Any:
    """What tells a plain value; None for any other, of which nothing is known."""
    return (type(value).__name__, repr(value)) if isinstance(value, _PLAIN) else None
