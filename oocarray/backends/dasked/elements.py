"""Functions of elements, and arrays made of nothing, as dask has them; reads no file."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from ...operations import creating, elementwise, scalar
from ...operations.base import Arguments
from .given import Given, Translator, typed

__all__ = ["ELEMENTS"]

Block = np.ndarray[Any, Any]


def _elementwise(given: Given) -> Any:
    op, da = given.operation, given.da
    args = [
        part.value if isinstance(part, elementwise.Literal) else given.args[part]
        for part in op.template
    ]
    if op.name == "astype" and len(args) == 1:
        return args[0].astype(**dict(op.kwargs))
    kwargs = dict(op.kwargs)
    own = getattr(da, op.function.__name__, None) if isinstance(op.function, np.ufunc) else None
    if own is not None and not kwargs and getattr(own, "_ufunc", None) is op.function:
        return typed(own(*args), given.dtype)
    function = functools.partial(op.function, **kwargs) if kwargs else op.function
    return typed(da.core.elemwise(function, *args), given.dtype)


def _scalar(given: Given) -> Any:
    """A compiled function of scalars is a loop over a block: dask calls that with all blocks."""
    shapes = [arg.shape for arg in given.args]
    dtypes = tuple(arg.dtype for arg in given.args)
    op = given.operation.compiled(dtypes, shapes, given.dtype)
    function = _Made(op, dtypes, given.dtype)
    return given.da.map_blocks(
        function,
        *given.da.broadcast_arrays(*given.args),
        dtype=given.dtype,
        meta=np.empty((0,) * given.args[0].ndim, given.dtype),
    )


class _Made:
    """Makes blocks of an operation that is made element by element."""

    def __init__(self, op: Any, dtypes: Any, dtype: Any) -> None:
        self.op, self.dtypes, self.dtype = op, dtypes, dtype
        self.__name__ = op.name

    def __call__(self, *blocks: Block) -> Block:
        shapes = tuple(block.shape for block in blocks)
        region = tuple(slice(0, n) for n in self.op.shape(shapes))

        def pull(k: int, part: Any) -> Block:
            found: Block = blocks[k][part]
            return found

        found: Block = self.op.make(region, Arguments(shapes, self.dtypes, self.dtype, pull), None)
        return found


def _full(given: Given) -> Any:
    op = given.operation
    return given.da.full(op.target, op.value.value, dtype=op.made, chunks=given.chunks(op.target))


def _arange(given: Given) -> Any:
    op = given.operation
    (count,) = given.node.shape
    ends = op.start.value, op.stop.value, op.step.value
    if op.made.kind in "iu" and all(isinstance(one, (int, np.integer)) for one in ends):
        start, _, step = map(int, ends)
        stop = start + step * count
        return given.da.arange(start, stop, step, dtype=op.made, chunks=given.chunks((count,)))
    return _generated(given)


def _linspace(given: Given) -> Any:
    op = given.operation
    if op.num < 2 or op.made.kind != "f" or np.ndim(op.start.value) or _complex(op):
        return _generated(given)
    return given.da.linspace(
        op.start.value,
        op.stop.value,
        op.num,
        endpoint=op.endpoint,
        dtype=op.made,
        chunks=given.chunks((op.num,)),
    )


def _complex(op: Any) -> bool:
    return any(np.iscomplexobj(one.value) for one in (op.start, op.stop))


def _eye(given: Given) -> Any:
    op = given.operation
    rows, columns = given.node.shape
    if not rows or not columns:
        return _generated(given)
    # dask makes it of squares.
    side = max(int((given.chunk_bytes / max(given.dtype.itemsize, 1)) ** 0.5), 1)
    return given.da.eye(rows, chunks=min(side, rows), M=columns, k=op.k, dtype=given.dtype)


def _generated(given: Given) -> Any:
    """Each block made by itself, of its place: what da.fromfunction does."""
    shape = given.node.shape
    chunks = given.chunks(shape)
    function = _Generator(given.operation, chunks, given.dtype)
    if not shape:
        return given.da.from_array(np.asarray(function(block_id=())), chunks=())
    return given.da.map_blocks(
        function, chunks=chunks, dtype=given.dtype, meta=np.empty((0,) * len(shape), given.dtype)
    )


class _Generator:
    """Makes blocks of an operation without arguments."""

    def __init__(self, op: Any, chunks: Any, dtype: Any) -> None:
        self.op, self.dtype = op, dtype
        self.starts = [(0, *itertools.accumulate(sizes)) for sizes in chunks]
        self.__name__ = op.name

    def __call__(self, block_id: tuple[int, ...] = ()) -> Block:
        region = tuple(
            slice(starts[k], starts[k + 1]) for starts, k in zip(self.starts, block_id, strict=True)
        )
        return np.array(self.op.make(region, Arguments((), (), self.dtype, _nothing), None))


def _nothing(k: int, region: Any) -> Block:
    raise AssertionError(k)


ELEMENTS: dict[type, Translator] = {
    elementwise.Elementwise: _elementwise,
    scalar.ScalarFunction: _scalar,
    creating.Full: _full,
    creating.Arange: _arange,
    creating.Linspace: _linspace,
    creating.Eye: _eye,
    creating.Indices: _generated,
    creating.FromFunction: _generated,
}
