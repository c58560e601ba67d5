"""Users' functions on blocks, as da.map_blocks calls them; it calls none on made-up data."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import BlockMismatchError
from ...grid import Coords
from ...lazy.blockmap import ALL, FIRST, MapPlan, block_info
from ...lazy.expr import MapNode, Node, cut_of
from .given import Given, counted, refuse

__all__ = ["mapped", "picked_output"]

Block = np.ndarray[Any, Any]


def mapped(given: Given, kwargs: dict[str, Any]) -> Any:
    """A function on blocks: `da.blockwise` with the blocks that were planned.

    Of several outputs, a block is the tuple that the function returned.
    """
    from dask.array import core

    numbered: Any = core
    node: MapNode = given.node
    if node.form == "update":
        refuse(node.name, "its blocks are copies, and cannot be changed in place")
    args, plan = _fitted(given, node)
    ndim = len(plan.chunks)
    symbols = range(ndim)
    used: set[int] = set()
    pairs: list[Any] = []
    fresh = ndim
    for arg, axes in zip(args, plan.axes, strict=True):
        own = []
        for axis in axes:
            if axis in (ALL, FIRST):
                # Symbols that the output lacks: dask hands over all blocks of them, joined.
                own.append(fresh)
                fresh += 1
            else:
                own.append(axis)
                used.add(axis)
        pairs += [arg, tuple(own)]
    call = _Call(node, plan)
    new = {axis: plan.chunks[axis] for axis in symbols if axis not in used}
    several = node.nout > 1
    dtype = np.dtype(object) if several else given.dtype
    if ndim == 0 or not node.chunks:
        new = {}
    return given.da.blockwise(
        call,
        tuple(symbols),
        numbered.ArrayBlockIdDep(plan.chunks),
        tuple(symbols),
        *pairs,
        new_axes=new,
        adjust_chunks={axis: plan.chunks[axis] for axis in symbols},
        align_arrays=False,
        concatenate=True,
        token=node.name,
        dtype=dtype,
        meta=np.empty((0,) * ndim, dtype),
        **kwargs,
    )


def picked_output(given: Given) -> Any:
    """One of several outputs."""
    meta = np.empty((0,) * given.x.ndim, given.dtype)
    return given.x.map_blocks(_Pick(given.node.output), dtype=given.dtype, meta=meta)


class _Pick:
    """Takes one result out of the tuple that a block is."""

    def __init__(self, output: int) -> None:
        self.output = output
        self.__name__ = f"output{output}"

    def __call__(self, results: Any) -> Any:
        return results[self.output]


def _fitted(given: Given, node: MapNode) -> tuple[list[Any], MapPlan]:
    """The arguments in the blocks that the plan wants of them."""
    plan, args = node.plan, list(given.args)
    nodes = node.children
    lost = [any(size != size for cut in one.chunks for size in cut) for one in args]
    planned = [any(size != size for cut in one for size in cut) for one in plan.inputs]
    if any(lost) or any(planned):
        args = [counted(arg) for arg in args]
    if any(planned) and node.replan is not None:
        # What is selected has dask's blocks, not ours, whose sizes nobody knew.
        cuts = []
        for arg, one, unknown in zip(args, nodes, planned, strict=True):
            own = cut_of(one)
            if unknown:
                own = type(own)(arg.shape, arg.chunks, False, own.itemsize, own.order)
            cuts.append(own)
        plan, _ = node.replan(cuts)
    return [
        arg if arg.chunks == tuple(cut) else arg.rechunk(tuple(cut))
        for arg, cut in zip(args, plan.inputs, strict=True)
    ], plan


class _Call:
    """The function, with what is no array and with where it is called from."""

    def __init__(self, node: MapNode, plan: MapPlan) -> None:
        self.function, self.form, self.wants = node.function, node.form, node.wants
        self.args = tuple(None if isinstance(arg, Node) else arg for arg in node.args)
        self.places = tuple(k for k, arg in enumerate(node.args) if isinstance(arg, Node))
        self.literal = {k: v for k, v in node.kwargs.items() if not isinstance(v, Node)}
        self.plan, self.dtypes, self.apart = plan, node.dtypes or (), node.apart
        self.name = self.__name__ = node.name

    def __call__(self, block_id: Coords, *blocks: Block, **tables: Any) -> Any:
        args = list(self.args)
        for place, block in zip(self.places, blocks, strict=True):
            args[place] = block
        kwargs = {**self.literal, **tables}
        coords = tuple(map(int, block_id))
        if "block_id" in self.wants:
            kwargs["block_id"] = coords
        if "block_info" in self.wants:
            kwargs["block_info"] = block_info(self.plan, self.places, coords, self.dtypes[0])
        if self.form == "block":
            returned = self.function(*args, **kwargs)
            return self._checked(returned, coords)
        shape = self._shape(coords)
        outs = [np.zeros(shape, dtype) for dtype in self.dtypes]
        given = [out.squeeze(self.apart) if self.apart else out for out in outs]
        if self.form == "udf":
            offset = tuple(
                sum(sizes[:k]) for sizes, k in zip(self.plan.chunks, coords, strict=True)
            )
            self.function(tuple(args), given[0], offset, **kwargs)
        else:
            self.function(*given, *args, **kwargs)
        return outs[0] if len(outs) == 1 else tuple(outs)

    def _shape(self, coords: Coords) -> tuple[int, ...]:
        return tuple(sizes[k] for sizes, k in zip(self.plan.chunks, coords, strict=True))

    def _checked(self, returned: Any, coords: Coords) -> Any:
        """Refuse what was not promised, as oocarray does: dask itself would go on."""
        single = len(self.dtypes) == 1
        results = (returned,) if single else returned
        if not isinstance(results, (tuple, list)) or len(results) != len(self.dtypes):
            raise BlockMismatchError(
                f"{self.name} returned {type(returned).__name__} for block {coords}; expected "
                f"{len(self.dtypes)} arrays"
            )
        wanted = self._shape(coords)
        blocks = []
        for result, dtype in zip(results, self.dtypes, strict=True):
            block = np.asarray(result)
            if self.apart:
                block = np.expand_dims(block, self.apart)
            fits = len(block.shape) == len(wanted) and all(
                a == b or b != b for a, b in zip(block.shape, wanted, strict=True)
            )
            if not fits or block.dtype.newbyteorder("=") != dtype.newbyteorder("="):
                raise BlockMismatchError(
                    f"{self.name} returned an array of shape {block.shape} and dtype "
                    f"{block.dtype} for block {coords}; expected shape {wanted} and dtype {dtype}"
                )
            blocks.append(block.astype(dtype, copy=False))
        return blocks[0] if single else tuple(blocks)
