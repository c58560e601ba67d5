"""Builds nodes of elementwise functions; it knows none by name, and calls none but on nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..operations.elementwise import Elementwise, Literal, spread_shape
from .expr import MemoryNode, Node, OpNode

__all__ = ["cast", "elementwise"]


def elementwise(
    function: Callable[..., Any],
    args: Sequence[Any],
    *,
    kwargs: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Node:
    """Apply a function to the elements of arrays that are broadcast.

    Parameters
    ----------
    function : callable
        A NumPy ufunc, or a picklable function that treats blocks element by element and
        broadcasts them as ufuncs do.
    args : sequence
        Nodes, Python scalars (weak, as in NumPy 2) and NumPy scalars.
    kwargs : mapping, optional
        Hashable values.
    name : str, optional

    Returns
    -------
    OpNode
        Its shape and dtype are NumPy's.

    Raises
    ------
    ValueError, TypeError, OverflowError
        As NumPy does for these shapes, dtypes and scalars, as far as they are known.
    """
    nodes: list[Node] = []
    template: list[Any] = []
    for arg in args:
        if isinstance(arg, Node):
            template.append(len(nodes))
            nodes.append(arg)
        else:
            template.append(Literal(arg))
    if not nodes:
        # An array of no dimension stands for one of them, so that there is something to pull:
        # one that is not weak, if there is any.
        at = next((n for n, arg in enumerate(args) if isinstance(arg, np.generic)), 0)
        nodes, template[at] = [MemoryNode(np.asarray(args[at]))], 0
    operation = Elementwise(
        function,
        tuple(template),
        tuple(sorted((kwargs or {}).items())),
        name or str(getattr(function, "__name__", type(function).__name__)),
    )
    node = OpNode(operation, tuple(nodes))
    spread_shape([one.shape for one in nodes])
    _ = node.dtypes  # refused now rather than in a worker
    return node


def cast(node: Node, dtype: Any, casting: str = "unsafe") -> Node:
    """Convert the elements to another dtype; the node itself, if it has that one.

    Raises
    ------
    TypeError
        `casting` does not allow it.
    """
    wanted = np.dtype(dtype)
    if node.dtypes is not None:
        if node.dtypes[0] == wanted:
            return node
        if not np.can_cast(node.dtypes[0], wanted, casting):  # type: ignore[arg-type]
            raise TypeError(
                f"Cannot cast array data from {node.dtypes[0]!r} to {wanted!r} according to the "
                f"rule {casting!r}"
            )
    return elementwise(_astype, [node], kwargs={"dtype": wanted, "casting": casting}, name="astype")


def _astype(block: Any, dtype: np.dtype[Any], casting: Any) -> Any:
    return block.astype(dtype, casting=casting, copy=False)
