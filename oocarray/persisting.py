"""Computes arrays into memory that every later run shares; it spills nothing to a disk."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from .backends.choosing import evaluate
from .backends.learning import learn_dtypes
from .config import merged
from .core import Array
from .errors import BudgetError
from .lazy.expr import KeptNode, Node, ReduceNode
from .lazy.graph import Root
from .opening import from_array
from .runtime.limits import memory_of
from .runtime.shared import Shared, share
from .units import format_bytes

__all__ = ["persist"]


def persist(*arrays: Any, **options: Any) -> tuple[Array, ...]:
    """Compute arrays now, together, and keep them in memory.

    What is kept lies in shared memory: workers of later runs map it, and nothing is copied or
    computed again. It is freed when the last array made of it is gone.

    Parameters
    ----------
    *arrays : Array
    **options
        As of `oocarray.options`. What is kept counts against `memory`.

    Returns
    -------
    tuple of Array
        One per argument, with the same blocks; ``view()`` is a read-only NumPy array of it.
        Pickled, it travels by value: store() what other programs are to read.

    Raises
    ------
    BudgetError
        They do not fit the memory budget; with both numbers.
    ValueError
        Blocks of unknown size.

    Examples
    --------
    >>> x = from_array(np.arange(6.0), chunks=2)
    >>> root, square = persist(x.map_blocks(np.sqrt), x.map_blocks(np.square))
    >>> root
    <oocarray.Array kept in memory: shape=(6,), dtype=float64, 48 B, 3 blocks of (2,)>
    [0.         1.         1.41421356 1.73205081 2.         2.23606798]
    >>> float(square.sum().compute())
    55.0
    """
    chosen = merged(options)
    found = [array if isinstance(array, Array) else from_array(array) for array in arrays]
    new = [array for array in found if not isinstance(array.node, KeptNode)]
    for array in new:
        learn_dtypes(array.node, chosen)
        if any(map(math.isnan, array.shape)):
            raise ValueError(
                f"{array._where()} has blocks of unknown size; give map_blocks the "
                "sizes in chunks=, or compute() it"
            )
    memory = memory_of(chosen)
    needed = sum(array.nbytes for array in new)
    if needed > memory:
        raise BudgetError(
            f"what is to be kept has {format_bytes(needed)}, the memory budget is "
            f"{format_bytes(memory)}; set memory= to more, or store() it into a file"
        )
    places = [
        None if _small(array.node) else _lasting(Shared(array.shape, array.dtype)) for array in new
    ]
    roots = [
        Root(array.node, None if place is None else place.strided)
        for array, place in zip(new, places, strict=True)
    ]
    try:
        results = iter(evaluate(roots, replace(chosen, memory=memory - needed)) if roots else ())
    except BudgetError as error:
        error.add_note(
            f"oocarray: of the memory budget of {format_bytes(memory)}, what is to be kept takes "
            f"{format_bytes(needed)}"
        )
        raise
    kept = {
        id(array): _kept(array.node, _finished(next(results)) if place is None else place)
        for array, place in zip(new, places, strict=True)
    }
    return tuple(kept.get(id(array), array) for array in found)


def _small(node: Node) -> bool:
    """Whether a node's result is finished by the caller's process, not written by workers."""
    return isinstance(node, ReduceNode)


def _finished(result: Any) -> Shared:
    return _lasting(share(np.asarray(result)))


def _lasting(shared: Shared) -> Shared:
    shared.last()  # from now on its descriptor is closed with it
    return shared


def _kept(node: Node, shared: Shared) -> Array:
    chunks = None if node.free else node.chunks
    return Array(KeptNode(shared.strided, chunks, memory=shared))
