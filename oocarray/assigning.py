"""Changes elements of arrays: in their file, in memory, or by a new expression; it makes no file.

What is written in parallel straight into a file may depend on the elements that it replaces, each
on itself only.  Anything else that overlaps is computed first, in memory or in a scratch file.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np

from .backends.learning import learn_dtypes
from .backends.sizes import learn_sizes
from .config import merged
from .core import Array
from .errors import OverlapError
from .lazy.arith import cast
from .lazy.expr import KeptNode, MemoryNode, Node, OpNode, StoredNode
from .lazy.graph import Root
from .lazy.replacing import replaced_by, replaces
from .lazy.written import note_write
from .lifting import node_in
from .masking import element_of, masked
from .operations.shaping import BroadcastTo, Reshape
from .plan import Options
from .runtime.limits import memory_of
from .storage.layout import Strided
from .storage.naming import path_of
from .storage.tiled import Tiled
from .stored import seen

__all__ = ["assign", "update"]


def update(target: Any, made: Array, what: str) -> Any:
    """Put a result of the same shape into an array, as ``out=`` and ``+=`` do; return the array.

    Raises
    ------
    TypeError
        The result's dtype is of another kind than the array's.
    ValueError
        It has another shape.
    PermissionError
        The array is open for reading.
    """
    if not isinstance(target, (Array, np.ndarray)):
        raise TypeError(f"{what} takes an array, not {type(target).__name__}")
    if tuple(made.shape) != tuple(target.shape):
        raise ValueError(
            f"{what}: the result has shape {tuple(made.shape)}, the array {tuple(target.shape)}"
        )
    if not np.can_cast(made.dtype, target.dtype, "same_kind"):
        raise TypeError(
            f"{what}: cannot put a result of {made.dtype} into an array of {target.dtype} without "
            "losing its kind; convert it with astype() first"
        )
    if isinstance(target, Array):
        assign(target, ..., made)
    else:
        made.store(target)
    return target


def assign(array: Array, key: Any, value: Any) -> None:
    """Do what ``array[key] = value`` means.

    Raises
    ------
    PermissionError
        The array is in a file or in memory that may not be changed.
    IndexError, ValueError, TypeError
        As NumPy does.
    """
    node = array.node
    if isinstance(node, StoredNode) and not isinstance(node, KeptNode):
        _assign_stored(array, node, key, value)
    elif isinstance(node, MemoryNode):
        if not node.array.flags.writeable:
            raise PermissionError(13, "the array in memory is read-only; copy it first")
        _assign_memory(node, key, value)
    else:
        from .indexing import replaced

        array._node = replaced(node, key, value)


def _assign_stored(array: Array, node: StoredNode, key: Any, value: Any) -> None:
    if not array.writable:
        raise PermissionError(
            13, 'the array is open for reading; open it with mode="r+"', path_of(node.source)
        )
    from .indexing import is_basic, is_mask, points

    if is_basic(key) or (isinstance(key, str) and isinstance(node.source, Strided)):
        view: Strided | Tiled
        if isinstance(key, str):
            assert isinstance(node.source, Strided)
            view = node.source.field(key)
        else:
            view = node.source.index(key)
        _fill(StoredNode(view), value)
    elif is_mask(key, node.shape) and np.ndim(value) == 0:
        # Every element is what it was, or the value: each depends on itself only.
        _fill(node, Array(masked(node, key, value, "where")))
    elif isinstance(node.source, Tiled):
        # Every element is what it was, or what is given: those of a block depend on none outside.
        from .indexing import replaced

        _fill(node, Array(replaced(node, key, value)))
    else:
        # Scattered elements are stored one by one, by NumPy, on the mapped pages.
        at, given = points(key), np.asarray(value)
        note_write(node.source.file)
        array.view()[at] = given


def _assign_memory(node: MemoryNode, key: Any, value: Any) -> None:
    from .indexing import is_basic, points

    at = key if is_basic(key) or isinstance(key, str) else points(key)
    given = value.compute() if isinstance(value, Array) else value
    node.array[at] = given


def _fill(view: StoredNode, value: Any) -> None:
    """Write a value into all elements of a part of a file, in parallel."""
    options = merged({})
    target = view.source
    node = node_in(element_of(value, target.dtype))
    if _is(node, target):
        return  # what augmented assignment has just written
    if any(extent != extent for extent in node.shape):
        learn_sizes(node, options)
    learn_dtypes(node, options)
    more = len(node.shape) - len(target.shape)
    if more > 0 and set(node.shape[:more]) == {1}:
        # NumPy lets leading axes of extent 1 go.
        node = OpNode(Reshape(node.shape[more:]), (node,))
    if node.shape != target.shape:
        node = OpNode(BroadcastTo(target.shape), (node,))
        _ = node.shape
    if not target.size:
        return
    node = cast(node, target.dtype.newbyteorder("="))
    in_place = None if seen(node, target) else replaces(node, target)
    if in_place:
        node = replaced_by(node, target)
    if in_place is None:
        _detour(node, target, options)
        return
    if in_place and options.durability != "none":
        raise NotImplementedError(
            f"durability={options.durability!r} for an update in place needs a journal, which "
            'this version does not have; use durability="none", or store() into a new file'
        )
    from .backends.choosing import evaluate

    try:
        evaluate([Root(node, target, in_place=in_place)], options)
    except OverlapError:
        if not in_place:
            raise
        _detour(node, target, options)


def _is(node: Node, target: Strided | Tiled) -> bool:
    return (
        isinstance(node, StoredNode)
        and node.source.dtype == target.dtype
        and node.source.same_elements(target)
    )


def _detour(node: Node, target: Strided | Tiled, options: Options) -> None:
    """Compute a value before a byte of it is written."""
    from .backends.choosing import evaluate

    if target.nbytes <= memory_of(options) // 2:
        (result,) = evaluate([Root(node)], options)
        evaluate([Root(MemoryNode(np.asarray(result)), target)], options)
        return
    folder = os.path.dirname(path_of(target))
    with tempfile.TemporaryDirectory(prefix=".oocarray-", dir=folder) as aside:
        made = Array(node).store(os.path.join(aside, "scratch.npy"))
        evaluate([Root(made.node, target)], options)
