"""The zarr backend: blocks by a loop, as written by hand; it updates nothing in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...lazy.expr import KeptNode, MemoryNode, Node
from ...lazy.graph import Root, flexible
from ...lazy.lower import lower
from ...lazy.node import postorder, remade
from ...lazy.regrid import regrid
from ...overlaps import check_overlaps
from ...plan import Options
from ...runtime.interrupts import ends_by_sigterm
from ...storage.draft import Unpublished
from ...storage.tiled import Tiled
from ..ending import evaluation, refuse_ours
from ..learning import learn_dtypes
from ..settling import Settling
from .loop import run_stages
from .writing import Targets

__all__ = ["evaluate"]

Array = np.ndarray[Any, Any]


@ends_by_sigterm
def evaluate(
    roots: Sequence[Root], options: Options, drafts: Sequence[Unpublished] = ()
) -> list[Array]:
    """Make all roots, block by block; return the results of those without a target.

    Parameters
    ----------
    roots : sequence of Root
    options : Options
        Only ``durability=`` counts: there is one process, no budget and no lock.
    drafts : sequence of Unpublished
        New files that are targets: published when all is done, discarded otherwise.

    Raises
    ------
    NotImplementedError
        An array is to be updated in place, a block that fails to be left out, or a target is
        neither Zarr nor something that NumPy writes.
    OverlapError
        A block changes bytes that another one reads or writes.
    """
    with evaluation(roots, options, drafts) as (watch, _):
        refuse_ours(roots, options)
        targets = Targets(drafts)
        try:
            settling = _Settling(options)
            settled = [replace(root, node=_in_memory(settling(root.node))) for root in roots]
            settled = [_in_its_chunks(root) for root in settled]
            for root in settled:
                learn_dtypes(root.node, options)
            plan = lower(settled)
            settling.hand_back()
            check_overlaps(plan)
            found = run_stages(plan, targets, (lambda: None) if watch is None else watch.check)
            if options.durability != "none":
                targets.sync()
        finally:
            targets.close()
    return found


class _Settling(Settling):
    """Counts masks and makes keyword arguments by this backend, too."""

    def _array(self, node: Node) -> Array:
        if isinstance(node, (MemoryNode, KeptNode)):
            return node.array
        (made,) = evaluate([Root(node)], self._options)
        return made


def _in_memory(node: Node) -> Node:
    """The same with arrays in shared memory, which have no name, as those of this process."""
    made: dict[int, Node] = {}
    for one in postorder(node):
        if isinstance(one, KeptNode):
            made[id(one)] = MemoryNode(one.array, one.set_chunks)
        else:
            made[id(one)] = remade(one, [made[id(child)] for child in one.children])
    return made[id(node)]


def _in_its_chunks(root: Root) -> Root:
    """A root by the chunks of its target: of others zarr-python reads the rest, and encodes it
    again."""
    target = root.target
    if not isinstance(target, Tiled) or target.has_whole_pieces(root.node.chunks):
        return root
    return replace(root, node=regrid(root.node, target.blocks())) if flexible(root.node) else root
