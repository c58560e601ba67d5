"""One value where a mask is true, as a node: for files and for expressions; it assigns nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from .lazy.arith import elementwise
from .lazy.node import Node
from .lazy.operated import OpNode
from .lifting import node_in
from .operations.shaping import Reshape

__all__ = ["element_of", "masked"]


def masked(node: Node, key: Any, value: Any, name: str) -> Node:
    """The node of an array that differs from `node` by one value, where a mask is true."""
    mask = node_in(key)
    # A mask of the first axes spreads over the others.
    shape = (*mask.shape, *(1,) * (len(node.shape) - len(mask.shape)))
    spread = mask if mask.shape == shape else OpNode(Reshape(shape), (mask,))
    scalar = value.node if hasattr(value, "node") else np.asarray(value)[()]
    if node.dtypes is not None and isinstance(scalar, np.generic):
        scalar = element_of(value, node.dtypes[0])[()]
    return elementwise(_choose, [spread, scalar, node], name=name)


def element_of(value: Any, dtype: np.dtype[Any]) -> Any:
    """A single value as an element of an array, with NumPy's errors; anything else as it is."""
    if hasattr(value, "node") or np.ndim(value) or dtype.names is not None:
        return value
    element = np.empty((), dtype.newbyteorder("="))
    element[...] = value
    return element


def _choose(mask: Any, value: Any, block: Any) -> Any:
    return np.where(mask, np.asarray(value).astype(block.dtype), block)
