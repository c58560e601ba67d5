"""The array that users hold: its face to NumPy habits; it plans and runs nothing itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .blocked import Blocked
from .config import merged
from .errors import BudgetError
from .grid import Chunks, Coords
from .lazy.expr import MemoryNode, ReduceNode, StoredNode
from .lazy.graph import Root
from .methods import Reductions
from .operators import Operators
from .plan import Options
from .runtime.limits import room
from .shaped import Shaped
from .showing import Shown
from .storage.layout import Strided
from .storage.tiled import Tiled
from .stored import Stored
from .units import format_bytes

if TYPE_CHECKING:
    from .backends.learning import BlockTrial
    from .iterating import BlockIterator

__all__ = ["Array", "node_of"]


class Array(Operators, Shaped, Blocked, Stored, Reductions, Shown):
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

    __slots__ = ()

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
        from .backends.learning import learn_dtypes

        learn_dtypes(self.node, merged({}))
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
    def layout(self) -> Strided | Tiled | None:
        """Where the elements are in the file, or in many; None if they are still to be computed."""
        return self.node.source if isinstance(self.node, StoredNode) else None

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without dimensions")
        if math.isnan(self.shape[0]):
            self.compute_chunk_sizes()
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        """Go through axis 0, element by element of it, as NumPy arrays; read block by block."""
        if not self.shape:
            raise TypeError("iteration over an array without dimensions")
        return (row for block in self.iter_blocks() for row in block)

    def compute_chunk_sizes(self) -> Self:
        """Find out extents that depend on elements, as of ``x[x > 0]``; what is found is kept.

        Returns
        -------
        Array
            This one.

        Examples
        --------
        >>> import oocarray as oo
        >>> x = oo.from_array(np.arange(6))
        >>> y = x[x > 2]
        >>> y.shape, y.compute_chunk_sizes().shape
        ((nan,), (3,))
        """
        from .backends.sizes import learn_sizes

        learn_sizes(self.node, merged({}))
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A stored array travels as its address.
        return Array, (self.node, self._mode, self._facts)

    # ---- computing ------------------------------------------------------------------------------

    def compute(self, *, wait: bool = True, **options: Any) -> Any:
        """Compute the array and return it as NumPy; a scalar where it has no dimensions.

        Parameters
        ----------
        wait : bool
            False: return a `Future` at once, and compute in the background.
        **options
            As of `oocarray.options`, for this call.

        Raises
        ------
        BudgetError
            The result would not fit the memory budget.
        """
        chosen = merged(options)
        if wait is not True:
            from .futures import start

            return start(self._where(), lambda: self._computed(chosen))
        return self._computed(chosen)

    def _computed(self, chosen: Options) -> Any:
        self._check_fits(chosen.memory)
        from .backends.choosing import evaluate

        (result,) = evaluate([Root(self.node)], chosen)
        return result[()] if not result.shape else result

    def persist(self, **options: Any) -> Array:
        """Compute the array now and keep it in memory; see `oocarray.persist`."""
        from .persisting import persist

        (kept,) = persist(self, **options)
        return kept

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
        self,
        target: Any,
        *,
        overwrite: bool = False,
        compute: bool = True,
        wait: bool = True,
        **options: Any,
    ) -> Any:
        """Compute the array into a file or a writable array; see `oocarray.store`."""
        from .storing import store

        return store(self, target, overwrite=overwrite, compute=compute, wait=wait, **options)

    def explain(self, *, source: bool = False, **options: Any) -> Any:
        """Return the plan: stages, bytes, memory; with `source` its loops; no data is read."""
        from .explain import explain

        return explain([Root(self.node)], merged(options), source)

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
            With shape, dtype, seconds, bytes_read, bytes_made, and the block itself. The
            seconds are those to read what it is made of, call its functions, and copy it.

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
        from .backends.learning import try_block

        return try_block(array.node, at)

    def iter_blocks(
        self,
        batch: int | None = None,
        *,
        shuffle: int | Sequence[int] | None = None,
        buffer: int | None = None,
        drop_last: bool = False,
        shard: tuple[int, int] | None = None,
        copy: bool = False,
        **options: Any,
    ) -> BlockIterator:
        """Go through the array along axis 0, reading ahead, never holding all of it.

        Parameters
        ----------
        batch : int, optional
            Rows of each item; the last may have fewer. None: the array's own blocks, whole rows.
        shuffle : int or sequence of int, optional
            A seed, or a seed and the number of the epoch. Without `batch` the blocks come in a
            random order, each as it is. With `batch` rows are mixed: the array is cut in pieces
            (blocks that were set or are computed, else runs of about 1 MiB), the pieces are put in
            a random order, as many as fill `buffer` are joined, and their rows put in a random
            order. The order depends on seed, shape, dtype, grid, `buffer` and `shard` only.
        buffer : int, optional
            Rows that are mixed at once. Default: 32 MiB of them, at most 1,048,576.
        drop_last : bool
            Leave out a last batch with fewer rows, and, with `shard`, as many rows as it takes
            for all shards to have the same number.
        shard : (int, int), optional
            Which part, of how many, is for this process: the rows (without `batch` the blocks), in
            the order in which all would come, are cut into so many runs that differ by one row.
        copy : bool
            Hand out fresh arrays that may be changed, in place of read-only views.
        **options
            `memory`, `workers` (threads that compute ahead; default 1) and `drop`, as of
            `oocarray.options`.

        Returns
        -------
        BlockIterator
            Of `numpy.ndarray`: read-only views of the mapped file (or of a computed block) where
            rows stay in order, else fresh arrays. It has a length, and ``close()``.

        Raises
        ------
        BudgetError
            Two blocks, or two buffers, do not fit the memory budget.

        Examples
        --------
        >>> import oocarray as oo
        >>> x = oo.from_array(np.arange(10))
        >>> [rows.tolist() for rows in x.iter_blocks(batch=4)]
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        >>> [rows.tolist() for rows in x.iter_blocks(batch=4, shuffle=1, drop_last=True)]
        [[5, 3, 2, 8], [7, 0, 1, 4]]
        """
        from .iterating import BlockIterator
        from .ordering import Order

        order = Order.of(batch, shuffle, buffer, drop_last, shard, copy)
        chosen, node = merged(options), self.node
        if any(extent != extent for extent in node.shape):
            from .backends.settling import Settling
            from .backends.sizes import counts_only

            # Selections are counted, then have blocks of their own.
            node = Settling(chosen)(node) if counts_only(node) else node
        return BlockIterator(node, order, chosen)

    def _reduce(self, name: str, **parameters: Any) -> Array:
        return Array(ReduceNode.of(self.node, name, **parameters))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if copy is False:
            raise ValueError("an out-of-core array is computed, and so copied; use view()")
        return np.asarray(self.compute(), dtype)

    def __dlpack__(self, **how: Any) -> Any:
        """Export an array that is in memory, without a copy."""
        node = self.node
        if not isinstance(node, MemoryNode):
            raise BufferError(
                f"only arrays in memory are exported; this one is {self._where()}: compute() it"
            )
        return node.array.__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        """The CPU."""
        return (1, 0)


def node_of(value: Any) -> Any:
    """Return the node of an `Array`, anything else as it is."""
    return value.node if isinstance(value, Array) else value
