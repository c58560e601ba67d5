"""What can be done with an array that lies in a file: look, copy, cut, append; it computes none."""

from __future__ import annotations

import os
import weakref
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .appending import extended, rows_of
from .config import merged
from .described import Described
from .errors import InputChangedError
from .grid import Chunks
from .lazy.expr import KeptNode, MemoryNode, Node, StoredNode
from .lazy.node import postorder
from .lazy.regrid import regrid
from .pages.mapping import Window
from .runtime.locking import locked
from .storage.files import open_regular
from .storage.growing import check_growable, grow
from .storage.layout import Strided
from .storage.memmaps import as_memmap
from .storage.retyped import retyped
from .storage.tiled import Tiled

if TYPE_CHECKING:
    from .core import Array
    from .indexing import Indexer

__all__ = ["MODES", "Stored", "seen"]

MODES = ("r", "r+", "a")


_seen: dict[tuple[int, int], weakref.WeakSet[Window]] = {}
"""What of each file ``view()`` shows as NumPy's memory."""


def seen(node: Node, target: Strided | Tiled) -> bool:
    """Whether a value is made of memory that shows the file of a target."""
    windows = [w for w in _seen.get((target.file.dev, target.file.ino), ()) if w.bytes is not None]
    return any(
        isinstance(below, MemoryNode) and np.may_share_memory(below.array, window.bytes)
        for window in windows
        for below in postorder(node)
        if window.bytes is not None
    )


class Stored(Described):
    """What of `oocarray.Array` needs a file."""

    __slots__ = ()

    def view(self, dtype: Any = None) -> Any:
        """Look at a stored array without a copy: as NumPy, or, with a dtype, as another array.

        Parameters
        ----------
        dtype : dtype-like, optional
            Read the same bytes as this dtype.

        Returns
        -------
        numpy.ndarray or Array
            Without `dtype` all of the array as mapped memory, shared with the file; nothing is
            read yet. With `dtype` a lazy array of the same bytes in the same file, by the rules
            of ``ndarray.view``: a dtype of another size changes the extent of the last axis.

        Raises
        ------
        TypeError
            The array is computed, or (without `dtype`) in memory.
        DtypeError
            `dtype` cannot lie in a file.
        ValueError
            The sizes do not fit.

        Examples
        --------
        >>> import tempfile, oocarray as oo
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     x = oo.create(os.path.join(folder, "x.npy"), (2, 3), "<u2", fill_value=258)
        ...     int(x.view()[0, 0]), x.view("u1").shape, int(x.view(">u2").max().compute())
        (258, (2, 6), 513)
        """
        if dtype is not None:
            return self._retyped(dtype)
        source = self._stored("view()")
        if isinstance(self._node, KeptNode):
            return self._node.array
        if not source.size:
            return np.empty(source.shape, source.dtype)
        if self._window is None:
            fd = open_regular(source.file.path, self.writable)
            try:
                source.file.check_open(fd)
                self._window = Window(fd, *source.span(), self.writable)
            finally:
                os.close(fd)
            _seen.setdefault((source.file.dev, source.file.ino), weakref.WeakSet()).add(
                self._window
            )
        assert self._window.bytes is not None
        return source.view(self._window.bytes, self._window.origin)

    def _retyped(self, dtype: Any) -> Array:
        node = self.node
        if isinstance(node, MemoryNode):
            view = node.array.view(dtype)
            chunks = _scaled(node.set_chunks, node.array.itemsize, view.itemsize)
            return self._derived(MemoryNode(view, chunks))
        if not isinstance(node, StoredNode) or isinstance(node.source, Tiled):
            wanted = np.dtype(dtype)
            raise TypeError(
                f"view({str(wanted)!r}) needs an array that is stored; this one is "
                f"{self._where()}: store() it first, or map_blocks(lambda block: "
                f"block.view({str(wanted)!r}), x, dtype={str(wanted)!r}), with chunks= if the "
                "size differs"
            )
        source = retyped(node.source, dtype)
        chunks = _scaled(node.set_chunks, node.source.itemsize, source.itemsize)
        return self._derived(replace(node, source=source, set_chunks=chunks))

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
        source = self._stored("memmap()")
        if isinstance(self._node, KeptNode):
            raise TypeError("memmap() needs a file; this array is in memory: view() shows it")
        return as_memmap(source, "r+" if self.writable else "r")

    def append(self, rows: Any, *, lock: bool | None = None) -> None:
        """Add rows to the end of an ``.npy`` file, along axis 0; the array grows by them.

        The elements are written first and the header last, so that a program that is killed
        leaves the array as it was or with all the rows. With a durability other than "none"
        (see `oocarray.options`) both are on the disk when this returns, in that order.

        Parameters
        ----------
        rows : array-like or Array
            Of shape ``(n, *x.shape[1:])`` and a dtype that `x.dtype` can hold without losing its
            kind. An `Array` is computed block by block.
        lock : bool, optional
            As in `oocarray.options`: the file is locked against other writers and runs meanwhile.

        Raises
        ------
        PermissionError
            The array is not open with ``mode="a"``.
        FormatError
            The file is raw, in Fortran order or has no axis; its header has no room.
        ValueError, TypeError
            The rows have another shape, or a dtype of another kind.
        ArrayLockedError
            A run uses the file.
        OSError
            No room on the disk; the array is as it was.

        Notes
        -----
        What others have appended since the array was opened comes before, and is part of it from
        now on. Other arrays of the same file keep their shape, and stay valid.

        Examples
        --------
        >>> import tempfile, oocarray as oo
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "log.npy")
        ...     oo.create(path, (0, 2), "f4").close()
        ...     x = oo.open(path, mode="a")
        ...     x.append([[1, 2], [3, 4]])
        ...     x.append(np.ones((1, 2)))
        ...     x.shape, x.compute().tolist()
        ((3, 2), [[1.0, 2.0], [3.0, 4.0], [1.0, 1.0]])
        """
        source = self._stored("append()")
        path = source.file.path
        if self._mode != "a":
            raise PermissionError(
                13, f'the array is open with mode={self._mode!r}; open it with mode="a"', path
            )
        count, pieces = rows_of(rows, source)
        options = merged({} if lock is None else {"lock": lock})
        fd = open_regular(path, writable=True)
        try:
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) != (source.file.dev, source.file.ino):
                raise InputChangedError(f"{path} was replaced by another file; open it again")
            with locked(fd, source.file, options.lock):
                fresh = grow(fd, source, count, pieces, options.durability != "none")
        finally:
            os.close(fd)
        assert isinstance(self._node, StoredNode)
        self._node = StoredNode(fresh, extended(self._node, fresh.shape[0]))
        if self._window is not None:
            self._window.release()
            self._window = None

    def _check_growable(self) -> None:
        """Refuse now what `append` would refuse later.

        Raises
        ------
        FormatError
        """
        source = self._stored("append()")
        fd = open_regular(source.file.path)
        try:
            check_growable(source, fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let go of the file; any later use of this array raises `ClosedError`.

        What ``view()`` returned stays valid until it is gone itself, and arrays made of this one
        can still be computed: they name the file, not this object.
        """
        if self._window is not None:
            self._window.release()
            self._window = None
        self._closed = True

    def __enter__(self) -> Self:
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
        """A part of the array, by any of NumPy's keys; lazy, and a view where it is stored."""
        from .indexing import getitem

        return getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Change a part: in the file at once, in memory at once, or as a new expression."""
        from .assigning import assign

        assign(self, key, value)  # type: ignore[arg-type]

    @property
    def oindex(self) -> Indexer:
        """Outer indexing in brackets: for each axis an int, a slice, or positions, as in zarr."""
        from .indexing import Indexer

        return Indexer(self, "oindex")

    @property
    def vindex(self) -> Indexer:
        """Pointwise indexing in brackets; the axis of the points comes first, as in dask."""
        from .indexing import Indexer

        return Indexer(self, "vindex")

    def _derived(self, node: Node) -> Array:
        """An array of a part of the file, or of other elements in it: nothing to append to."""
        return type(self)(node, "r+" if self.writable else "r")  # type: ignore[return-value]

    def rechunk(self, chunks: Any) -> Array:
        """Return the same array with another grid of blocks; nothing is moved.

        Raises
        ------
        TypeError
            A function makes it block by block: its blocks are what that makes.
        """
        return type(self)(regrid(self.node, chunks), self._mode, self._facts)  # type: ignore[return-value]


def _scaled(chunks: Chunks | None, before: int, after: int) -> Chunks | None:
    """Blocks in elements of another size, in bytes; None where they would cut elements."""
    if chunks is None or before == after:
        return chunks
    sizes = [size * before for size in chunks[-1]]
    if any(size % after for size in sizes):
        return None
    return (*chunks[:-1], tuple(size // after for size in sizes))
