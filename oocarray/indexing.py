"""What ``x[key]`` and ``x[key] = value`` mean, in all of NumPy's spellings; it reads no elements.

What is stored is cut where it lies.  Arrays of positions that are in memory are taken as they are;
positions and masks that are still to be computed are, when the selection is evaluated.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .lazy.arith import cast, elementwise
from .lazy.counted import CountedNode
from .lazy.expr import MemoryNode, Node, OpNode, StoredNode
from .lazy.pointed import PointedNode
from .lifting import node_in
from .masking import masked
from .operations.assigning import Assign, assign_outer
from .operations.indexing import (
    OuterIndex,
    PointIndex,
    basic_index,
    outer_index,
    point_index,
    vindex_key,
)
from .operations.shaping import Reshape
from .storage.strides import expand_index
from .storage.tiled import Tiled

if TYPE_CHECKING:
    from .core import Array

__all__ = [
    "Indexer",
    "getitem",
    "is_basic",
    "is_mask",
    "points",
    "replaced",
]

_FEW = 1 << 20
"""A mask in memory of so many elements is turned into positions at once."""


@dataclass(frozen=True, slots=True)
class Indexer:
    """``x.oindex`` and ``x.vindex``: takes a key in brackets."""

    array: Any
    kind: str

    def __getitem__(self, key: Any) -> Array:
        array = self.array
        shape = array.node.shape
        make: Any = outer_index if self.kind == "oindex" else vindex_key
        found: OuterIndex | PointIndex = make(points(key), shape)
        return _array(OpNode(found, (array.node,)))


def getitem(array: Any, key: Any) -> Array:
    """Return the part of an array that a key means; lazy.

    Raises
    ------
    IndexError
        As NumPy does: out of bounds, too many indices, masks of another shape.
    """
    node: Node = array.node
    if isinstance(key, str):
        return _field(array, node, key)
    if is_basic(key):
        return _basic(array, node, key)
    parts = [_part(part) for part in (key if isinstance(key, tuple) else (key,))]
    masks = [n for n, part in enumerate(parts) if _counts(part)]
    if masks:
        return _array(_masked(node, parts, masks))
    if any(isinstance(part, Node) for part in parts):
        return _array(PointedNode.of(node, tuple(parts)))
    return _array(OpNode(point_index(tuple(parts), node.shape), (node,)))


def replaced(node: Node, key: Any, value: Any) -> Node:
    """The node of an array that differs from `node` where a key says.

    Raises
    ------
    IndexError, ValueError, TypeError
        As NumPy does; NotImplementedError for several arrays of positions at once.
    """
    dtype = None if node.dtypes is None else node.dtypes[0]
    if not is_basic(key) and is_mask(key, node.shape):
        if np.ndim(value):
            raise NotImplementedError(
                "an expression takes single values where a mask is true; use oo.where, or store() "
                "it and assign there"
            )
        return masked(node, key, value, "setitem")
    given = node_in(value)
    if dtype is not None:
        given = cast(given, dtype)
    if is_basic(key):
        index = basic_index(_plain(key), node.shape)
        made = OpNode(Assign(index), (node, given))
    else:
        made = _outer_assigned(node, points(key), given)
    _ = made.shape
    return made


def is_basic(key: Any) -> bool:
    """Whether a key has ints, slices, None and ... only: it selects without a copy."""
    return all(map(_is_plain, key if isinstance(key, tuple) else (key,)))


def is_mask(key: Any, shape: tuple[int, ...]) -> bool:
    """Whether a key is one mask over the first axes of an array, or all."""
    if isinstance(key, tuple):
        return len(key) == 1 and is_mask(key[0], shape)
    if isinstance(key, list):
        key = np.asarray(key)
    dtype: Any = getattr(key, "dtype", None)
    ndim: int = getattr(key, "ndim", 0)
    return dtype == np.dtype(bool) and 0 < ndim <= len(shape) and _fits(key, shape)


def _fits(mask: Any, shape: tuple[int, ...]) -> bool:
    covered = shape[: mask.ndim]
    if tuple(mask.shape) != tuple(covered):
        raise IndexError(
            f"boolean index of shape {tuple(mask.shape)} does not match the axes it covers, "
            f"{tuple(covered)}"
        )
    return True


def points(key: Any) -> Any:
    """A key with the elements of its arrays; those still to be computed are."""
    parts = tuple(_valued(part) for part in (key if isinstance(key, tuple) else (key,)))
    return parts if isinstance(key, tuple) else parts[0]


def _valued(part: Any) -> Any:
    part = _part(part)
    return _array(part).compute() if isinstance(part, Node) else part


def _is_plain(part: Any) -> bool:
    if part is None or part is Ellipsis or isinstance(part, slice):
        return True
    if isinstance(part, (bool, np.bool_, list, tuple)) or bool(getattr(part, "ndim", False)):
        return False
    try:
        operator.index(part)
    except TypeError:
        return False
    return True


def _plain(key: Any) -> Any:
    """A basic key, its ints Python's own."""
    parts = key if isinstance(key, tuple) else (key,)
    return tuple(
        part
        if part is None or part is Ellipsis or isinstance(part, slice)
        else operator.index(part)
        for part in parts
    )


def _part(part: Any) -> Any:
    """One entry of a key: plain, an array in memory, or the node of one to be computed."""
    if _is_plain(part):
        return part
    node = getattr(part, "node", None)
    if isinstance(node, MemoryNode):
        part = node.array
    elif isinstance(node, Node):
        _check_kind(node.dtypes[0] if node.dtypes is not None else part.dtype)
        return node
    array = np.asarray(part)
    if not array.size and array.dtype.kind == "f" and isinstance(part, (list, tuple)):
        array = array.astype(np.intp)
    _check_kind(array.dtype)
    if array.dtype.kind == "b" and array.size > _FEW:
        return MemoryNode(array)
    return array


def _check_kind(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "biu":
        raise IndexError(
            f"arrays used as indices must be of integer (or boolean) type, not {dtype}"
        )


def _counts(part: Any) -> bool:
    return isinstance(part, Node) and part.dtypes is not None and part.dtypes[0] == np.dtype(bool)


def _masked(node: Node, parts: list[Any], masks: list[int]) -> Node:
    """A selection by one mask that is to be counted, beside ints, slices and None."""
    mask = parts[masks[0]]
    others = [part for part in parts if part is not mask]
    if len(masks) > 1 or not all(map(_is_plain, others)):
        raise IndexError(
            "beside a mask that is still to be computed a key has slices, ints and None only; "
            "select in two steps"
        )
    ndim = len(mask.shape)
    if not ndim and len(parts) > 1:
        raise IndexError("a mask without axes stands alone in a key")
    if not ndim:
        # One decision about the whole: it is taken, along a new axis, or not.
        one = OpNode(Reshape((1,)), (mask,))
        return CountedNode(_taken(node, (None, ...)), one, 0)
    # What the mask covers is whole for the others, which are taken first.
    spread: list[Any] = []
    for part in parts:
        spread += [slice(None)] * ndim if part is mask else [part]
    used = sum(part is not None and part is not Ellipsis for part in spread)
    if used > len(node.shape):
        raise IndexError(f"too many indices: {used} for {len(node.shape)} axes")
    at = masks[0]
    if any(isinstance(part, (int, np.integer)) for part in others):
        _check_adjacent(parts, at)
    if Ellipsis in [p for p in spread if not isinstance(p, (Node, np.ndarray))]:
        dots = next(n for n, part in enumerate(spread) if part is Ellipsis)
        fill = len(node.shape) - used
        spread[dots : dots + 1] = [slice(None)] * fill
        at += fill - 1 if dots < at else 0
    axis = sum(part is None or isinstance(part, slice) for part in spread[:at])
    if all(isinstance(p, slice) and p == slice(None) for p in spread):
        part = node
    else:
        part = _taken(node, tuple(spread))
    covered = part.shape[axis : axis + ndim]
    if not any(e != e for e in (*covered, *mask.shape)) and tuple(covered) != tuple(mask.shape):
        raise IndexError(
            f"boolean index of shape {mask.shape} does not match the axes it covers, {covered}"
        )
    return CountedNode(part, mask, axis)


def _check_adjacent(parts: list[Any], at: int) -> None:
    """NumPy moves the axes of ints and masks that slices lie between to the front."""
    ints = [n for n, part in enumerate(parts) if isinstance(part, (int, np.integer))]
    low, high = min(*ints, at), max(*ints, at)
    if high - low + 1 > len(ints) + 1:
        raise IndexError(
            "ints and masks with slices between them move axes; select in two steps: x[ints][mask]"
        )


def _taken(node: Node, key: Any) -> Node:
    if isinstance(node, StoredNode):
        return replace(node, source=node.source.index(_plain(key)), set_chunks=None)
    if isinstance(node, MemoryNode):
        at = tuple(expand_index(_plain(key), len(node.shape)))
        return MemoryNode(node.array[at] if at else node.array[...])
    return OpNode(basic_index(_plain(key), node.shape), (node,))


def _basic(array: Any, node: Node, key: Any) -> Array:
    if isinstance(node, (StoredNode, MemoryNode)) and node.set_chunks is None:
        made = _taken(node, key)
        if isinstance(made, MemoryNode):
            made = MemoryNode(np.asarray(made.array))
        return array._derived(made)  # type: ignore[no-any-return]
    if isinstance(node, (StoredNode, MemoryNode)):
        # Blocks that were set are cut with the array.
        index = basic_index(_plain(key), node.shape)
        chunks = index.chunks([node.chunks], [node.shape])
        made = replace(_taken(node, key), set_chunks=chunks)  # type: ignore[type-var]
        if isinstance(made, MemoryNode):
            made = MemoryNode(np.asarray(made.array), chunks)
        return array._derived(made)  # type: ignore[no-any-return]
    return _array(_taken(node, key))


def _free(node: Node) -> bool:
    return node.free


def _field(array: Any, node: Node, key: str) -> Array:
    if isinstance(node, MemoryNode):
        return array._derived(MemoryNode(np.asarray(node.array[key])))  # type: ignore[no-any-return]
    if not isinstance(node, StoredNode) or isinstance(node.source, Tiled):
        dtype = array.dtype
        if dtype.names is None or key not in dtype.names:
            raise ValueError(f"no field {key!r} in dtype {dtype}")
        return _array(elementwise(_field_of, [node], kwargs={"field": key}, name=key))
    source, chunks = node.source.field(key), node.set_chunks
    if chunks is not None:
        # A sub-array's axes are in one block.
        chunks = (*chunks, *((size,) for size in source.shape[node.source.ndim :]))
    return array._derived(replace(node, source=source, set_chunks=chunks))  # type: ignore[no-any-return]


def _outer_assigned(node: Node, key: Any, given: Node) -> OpNode:
    """Assign to positions along one axis of an expression."""
    parts = list(key if isinstance(key, tuple) else (key,))
    if Ellipsis in [part for part in parts if not isinstance(part, np.ndarray)]:
        dots = next(n for n, part in enumerate(parts) if part is Ellipsis)
        parts[dots : dots + 1] = [slice(None)] * (len(node.shape) - len(parts) + 1)
    arrays = [n for n, part in enumerate(parts) if isinstance(part, np.ndarray)]
    plain = [p for p in parts if isinstance(p, slice) and p == slice(None)]
    one = len(arrays) == 1 and parts[arrays[0]].ndim == 1
    if not one or len(plain) != len(parts) - 1:
        raise NotImplementedError(
            "an expression takes values at positions along one axis at a time; store() it and "
            "assign there"
        )
    axis = arrays[0]
    return OpNode(assign_outer(axis, parts[axis], node.shape), (node, given))


def _array(node: Node) -> Array:
    from .core import Array

    return Array(node)


def _field_of(block: Any, field: str) -> Any:
    return block[field]
