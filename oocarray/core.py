"""The array that users hold: its face to NumPy habits; it plans and runs nothing itself."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from .config import merged
from .errors import BudgetError, ClosedError
from .grid import Chunks, Coords
from .lazy.expr import MapNode, MemoryNode, Node, ReduceNode, StoredNode
from .lazy.graph import Root
from .lazy.regrid import regrid
from .methods import Reductions
from .pages.mapping import Window
from .runtime.limits import room
from .storage.files import open_regular
from .storage.layout import Strided
from .storage.memmaps import as_memmap
from .units import format_bytes, format_count

if TYPE_CHECKING:
    from .backends.mapped import BlockTrial

__all__ = ["Array", "node_of"]


class Array(Reductions):
    """An array in a file, or one that is to be computed from such arrays, block by block.

    Made by `oocarray.open`, `oocarray.create`, `oocarray.from_array`, `oocarray.map_blocks`
    and by methods of other arrays; not by calling the class.

    Examples
    --------
    >>> import oocarray as oo
    >>> x = oo.from_array(np.arange(12.0).reshape(3, 4), chunks=(2, 4))
    >>> x.shape, x.dtype, x.numblocks
    ((3, 4), dtype('float64'), (2, 1))
    >>> x.map_blocks(lambda block: block + 1).sum().compute()
    np.float64(78.0)
    """

    __slots__ = ("__weakref__", "_closed", "_mode", "_node", "_window")
    __array_ufunc__ = None  # NumPy must not load the array behind the caller's back

    def __init__(self, node: Node, mode: str = "r") -> None:
        self._node = node
        self._mode = mode
        self._closed = False
        self._window: Window | None = None

    # ---- what it is -------------------------------------------------------------------------

    @property
    def node(self) -> Node:
        """The expression behind this array (for backends; not for users)."""
        if self._closed:
            raise ClosedError(f"{self._where()} was closed; open it again")
        return self._node

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents; nan where only a block function knows them."""
        return self.node.shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype; of a function without ``dtype=`` it is learnt by calling it on block 0, once."""
        from .backends import mapped

        mapped.learn_dtypes(self.node, merged({}))
        assert self._node.dtypes is not None
        return self._node.dtypes[0]

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.itemsize

    @property
    def chunks(self) -> Chunks:
        """Sizes of the blocks along each axis."""
        return self.node.chunks

    @property
    def chunksize(self) -> tuple[int, ...]:
        """Shape of the largest block."""
        return tuple(max(sizes, default=0) for sizes in self.chunks)

    @property
    def numblocks(self) -> tuple[int, ...]:
        """Number of blocks along each axis."""
        return tuple(len(sizes) for sizes in self.chunks)

    @property
    def layout(self) -> Strided | None:
        """Where the elements are in the file; None for an array that is still to be computed."""
        return self.node.source if isinstance(self.node, StoredNode) else None

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without dimensions")
        return int(self.shape[0])

    def __repr__(self) -> str:
        if self._closed:
            return f"<oocarray.Array, closed: {self._where()}>"
        node = self._node
        dtype = "not known yet" if node.dtypes is None else str(node.dtypes[0])
        words = [f"shape={self.shape}", f"dtype={dtype}"]
        if node.dtypes is not None and not math.isnan(self.size):
            words.append(format_bytes(self.size * node.dtypes[0].itemsize))
        count = math.prod(self.numblocks)
        words.append(f"{format_count(count, 'block')} of {self.chunksize}")
        return f"<oocarray.Array {self._where()}: {', '.join(words)}>"

    def _where(self) -> str:
        node = self._node
        if isinstance(node, StoredNode):
            return f"{node.source.file.path} ({self._mode})"
        if isinstance(node, MemoryNode):
            return "in memory"
        return node.name if isinstance(node, (MapNode, ReduceNode)) else node.call.name

    # ---- stored arrays ------------------------------------------------------------------------

    def _stored(self, what: str) -> Strided:
        node = self.node
        if not isinstance(node, StoredNode):
            raise TypeError(
                f"{what} needs an array that is stored in a file; this one is {self._where()}: "
                "compute() or store() it first"
            )
        return node.source

    @property
    def mode(self) -> str:
        """``"r"`` or ``"r+"``."""
        return self._mode

    def view(self) -> np.ndarray[Any, Any]:
        """Return all of a stored array as mapped memory, shared with the file; reads nothing yet.

        Raises
        ------
        TypeError
            The array is not stored in a file.
        """
        source = self._stored("view()")
        if not source.size:
            return np.empty(source.shape, source.dtype)
        if self._window is None:
            writable = self._mode == "r+"
            fd = open_regular(source.file.path, writable)
            try:
                source.file.check(os.fstat(fd), written=writable)
                self._window = Window(fd, *source.span(), writable)
            finally:
                os.close(fd)
        assert self._window.bytes is not None
        return source.view(self._window.bytes, self._window.origin)

    def read(self) -> np.ndarray[Any, Any]:
        """Return a copy of all of it, in memory."""
        return np.asarray(self.compute())

    def memmap(self) -> np.memmap[Any, Any]:
        """Return the plain `numpy.memmap` of a stored array.

        Raises
        ------
        TypeError
            The array is not stored in a file.
        ValueError
            It has no elements: nothing can be mapped.
        """
        return as_memmap(self._stored("memmap()"), self._mode)

    def close(self) -> None:
        """Let go of the file; any later use of this array raises `ClosedError`.

        What ``view()`` returned stays valid until it is gone itself, as do arrays made of this one.
        """
        if self._window is not None:
            self._window.release()
            self._window = None
        self._closed = True

    def __enter__(self) -> Array:
        self.node  # noqa: B018
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getitem__(self, key: Any) -> Array:
        """A field of a structured array, or a part of a stored array by ints and slices: a view."""
        source = self._stored("indexing")
        if isinstance(key, str):
            field, chunks = source.field(key), self._node.set_chunks  # type: ignore[union-attr]
            if chunks is not None:
                # A sub-array's axes are in one block.
                chunks = (*chunks, *((size,) for size in field.shape[source.ndim :]))
            return Array(StoredNode(field, chunks), self._mode)
        return Array(StoredNode(source.index(key)), self._mode)

    def rechunk(self, chunks: Any) -> Array:
        """Return the same stored data with another grid of blocks; nothing is moved.

        Raises
        ------
        TypeError
            The array is computed: its blocks are what its function makes.
        """
        node = self.node
        if not isinstance(node, (StoredNode, MemoryNode)):
            raise TypeError(
                f"the blocks of {self._where()} are what its function makes; store() it and "
                "rechunk what was stored"
            )
        return Array(regrid(node, chunks), self._mode)

    def __reduce__(self) -> tuple[Any, ...]:
        return Array, (self.node, self._mode)

    # ---- computing ------------------------------------------------------------------------------

    def compute(self, **options: Any) -> Any:
        """Compute the array and return it as NumPy; a scalar where it has no dimensions.

        Parameters
        ----------
        **options
            As of `oocarray.options`, for this call.

        Raises
        ------
        BudgetError
            The result would not fit the memory budget.
        """
        chosen = merged(options)
        self._check_fits(chosen.memory)
        from .backends import mapped

        (result,) = mapped.evaluate([Root(self.node)], chosen)
        return result[()] if not result.shape else result

    def _check_fits(self, memory: int | None) -> None:
        node = self.node
        if math.isnan(self.size) or isinstance(node, ReduceNode):
            return
        available = room() if memory is None else memory
        if self.nbytes > available:
            knob = "memory=" if memory is not None else "the memory of this machine"
            raise BudgetError(
                f"the result has {format_bytes(self.nbytes)}, {knob} allows "
                f"{format_bytes(available)}; store() it into a file instead"
            )

    def store(
        self, target: Any, *, overwrite: bool = False, compute: bool = True, **options: Any
    ) -> Any:
        """Compute the array into a file or a writable array; see `oocarray.store`."""
        from .storing import store

        return store(self, target, overwrite=overwrite, compute=compute, **options)

    def explain(self, **options: Any) -> Any:
        """Return the plan: stages, passes, bytes, policy, memory; no data is read for it."""
        from .explain import explain

        return explain([Root(self.node)], merged(options))

    def map_blocks(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Apply a function to each block: ``oocarray.map_blocks(func, self, ...)``."""
        from .mapping import map_blocks

        return map_blocks(func, self, *args, **kwargs)

    def try_block(
        self, coords: Coords | int, func: Callable[..., Any] | None = None, *args: Any, **kw: Any
    ) -> BlockTrial:
        """Make one block here and now, and say what it took.

        Parameters
        ----------
        coords : tuple of int
            Which block.
        func : callable, optional
            A function of blocks, called as `map_blocks` would; None: what this array is.

        Returns
        -------
        BlockTrial
            With shape, dtype, seconds, bytes_read, bytes_made, and the block itself.

        Examples
        --------
        >>> import oocarray as oo
        >>> x = oo.from_array(np.arange(6.0), chunks=2)
        >>> trial = x.try_block((1,), lambda block: block * 2)
        >>> trial.shape, trial.dtype, trial.block
        ((2,), dtype('float64'), array([4., 6.]))
        """
        array = self if func is None else self.map_blocks(func, *args, **kw)
        at = (coords,) if isinstance(coords, int) else tuple(coords)
        if len(at) != array.ndim or not all(
            0 <= c < n for c, n in zip(at, array.numblocks, strict=True)
        ):
            raise IndexError(f"block {at} of an array with {array.numblocks} blocks")
        from .backends import mapped

        return mapped.try_block(array.node, at)

    def _reduce(self, name: str, **parameters: Any) -> Array:
        return Array(ReduceNode.of(self.node, name, **parameters))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if copy is False:
            raise ValueError("an out-of-core array is computed, and so copied; use view()")
        return np.asarray(self.compute(), dtype)


def node_of(value: Any) -> Any:
    """Return the node of an `Array`, anything else as it is."""
    return value.node if isinstance(value, Array) else value
