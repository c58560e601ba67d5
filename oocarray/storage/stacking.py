"""Many files of one dtype as one array, joined along an axis; never writes to any of them."""

from __future__ import annotations

import errno
import operator
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, NoReturn

import numpy as np

from oocarray.errors import ClosedError, DtypeError
from oocarray.storage.dtypes import plain_shape
from oocarray.storage.filekey import FileKey
from oocarray.storage.files import PathLike, open_npy, open_regular
from oocarray.storage.layout import Strided
from oocarray.storage.opened import Opened
from oocarray.storage.patterns import named_files
from oocarray.storage.pieces import Cuts, Pieces, Stretch

__all__ = ["StackTable", "open_stack"]

MOST_OPEN = 32  # descriptors: many stacks of one expression share the limit, often 1024
_LEAST_OPEN = 4  # what two threads may be mapping, and the pieces that they asked for before
_HEAD = 4096  # bytes: our headers, and all but a few of NumPy's
_MOST_KNOWN = 1000  # headers, 4 MB

Opener = Callable[[str], Strided]

_Seen = tuple[int, int, int, int, int, tuple[int, int] | None, int]
"""Of one file: dev, ino, size, mtime_ns, born, header of its `FileKey`; offset of its array."""


@dataclass(frozen=True, slots=True, repr=False)
class StackTable:
    """Where the files of a stack are; each file with elements is a piece.

    Plain columns: ten thousand files are pickled in less than 1 MB.  A new axis has extent 1 in
    each file.
    """

    file: FileKey
    """The first file, even if it has no elements."""
    dtype: np.dtype[Any]
    cuts: tuple[Cuts, ...]
    axis: int
    total: int
    """Files that were given; those without elements are no pieces."""
    prefix: str
    """What all paths begin with."""
    names: tuple[str, ...]
    """The rest of each path."""
    seen: tuple[_Seen, ...]
    strides: tuple[tuple[int, ...], ...]
    _hash: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.file, self.cuts, self.axis, self.seen)))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        # Not the hash: that of a string differs from process to process.
        columns = self.prefix, self.names, self.seen, self.strides
        return type(self), (self.file, self.dtype, self.cuts, self.axis, self.total, *columns)

    def __repr__(self) -> str:
        shape = tuple(cut.extent for cut in self.cuts)
        return f"<StackTable: {self.kind}, shape={shape}, dtype={self.dtype}>"

    @property
    def fill(self) -> Any:
        return np.zeros((), self.dtype)[()]

    @property
    def encoded(self) -> bool:
        return False

    @property
    def kind(self) -> str:
        files = "1 file" if self.total == 1 else f"{self.total:,} files"
        return f"stack of {files} along axis {self.axis}"

    def layout(self, n: int) -> Strided:
        """Where the piece of that number along the axis lies, as it was when it was opened."""
        shape = [cut.extent for cut in self.cuts]
        shape[self.axis] = len(range(*self.cuts[self.axis].span(n)))
        return Strided(self._key(n), self.seen[n][-1], tuple(shape), self.dtype, self.strides[n])

    def files(self, reach: Sequence[tuple[int, int]]) -> list[FileKey]:
        """Those of the elements from first to last along each axis, as they were opened."""
        first, last = map(self.cuts[self.axis].find, reach[self.axis])
        return list(map(self._key, range(first, last + 1)))

    def _key(self, n: int) -> FileKey:
        return FileKey(self.prefix + self.names[n], *self.seen[n][:-1])

    def open(self, writable: bool) -> Pieces:
        """Prepare to open its files, one by one; PermissionError if `writable` is set."""
        if writable:
            _refuse(self.file.path)
        return _Files(self)


class _Files:
    """The files of a stack in one process, of which the latest few are open."""

    def __init__(self, table: StackTable) -> None:
        self._table = table
        self._lock = threading.Lock()
        self._open: OrderedDict[int, Stretch] = OrderedDict()  # the latest last
        self._most = MOST_OPEN
        self._closed = False

    def find(self, coords: tuple[int, ...]) -> Stretch:
        number = coords[self._table.axis]
        with self._lock:
            if self._closed:
                raise ClosedError(f"the {self._table.kind} is closed")
            found = self._open.get(number)
            if found is None:
                self._let_go(self._most - 1)
                found = self._open[number] = self._look(self._table.layout(number))
            self._open.move_to_end(number)
            return found

    def make(self, coords: tuple[int, ...]) -> Stretch:
        _refuse(self._table.file.path)

    def put(self, coords: tuple[int, ...], block: np.ndarray[Any, Any]) -> None:
        _refuse(self._table.file.path)

    def sync(self) -> None:
        """Nothing was stored."""

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._let_go(0)

    def _let_go(self, most: int) -> None:
        while len(self._open) > most:
            os.close(self._open.popitem(last=False)[1].fd)

    def _look(self, layout: Strided) -> Stretch:
        fd = self._descriptor(layout.file.path)
        try:
            layout.file.check_open(fd)
        except BaseException:
            os.close(fd)
            raise
        return Stretch(fd, layout)

    def _descriptor(self, path: str) -> int:
        while True:
            try:
                return open_regular(path)
            except OSError as error:
                full = error.errno in (errno.EMFILE, errno.ENFILE)
                if not full or len(self._open) <= _LEAST_OPEN:
                    raise
                # From now on: others need some as well.
                self._most = max(len(self._open) // 2, _LEAST_OPEN)
                self._let_go(self._most)


def open_stack(
    paths: PathLike | Iterable[PathLike],
    axis: int | None = None,
    stack: bool = False,
    opener: Opener | None = None,
) -> Opened:
    """Join files to one read-only array, as ``np.concatenate`` and ``np.stack`` join arrays.

    Parameters
    ----------
    paths : path-like, or iterable of path-likes
        One string may be a pattern (``*``, ``?``, ``[...]``, ``**`` for folders of any depth):
        its files come in natural order, ``day2`` before ``day10``.  Several keep their order;
        a file may be named twice.
    axis : int, optional
        The axis along which the files follow each other, 0 by default; negative ones count from
        the end.  Extents may differ along it, and be 0.
    stack : bool
        Whether `axis` is a new one.  So it is for files of 0 axes if no axis is given.
    opener : callable, optional
        Tells the layout of the array in a file: ``opener(path)``.  By default the files are .npy.

    Returns
    -------
    Opened
        Its place is a `StackTable`.

    Raises
    ------
    FileNotFoundError
        No file has such a name.
    DtypeError
        Two files differ in dtype (the byte order is part of it), or one is not laid out plainly.
    ValueError
        Two files differ in shape; there is no such axis (an `AxisError`); no paths.
    FormatError, TruncatedFileError, NotRegularFileError, OSError
        What `opener` raises.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for day in (1, 2, 10):
    ...         np.save(f"{folder}/day{day}.npy", np.full((day, 4), day))
    ...     found = open_stack(f"{folder}/day*.npy", axis=0)
    >>> found.kind, found.place.cuts[0].bounds
    ('stack of 3 files along axis 0', (0, 1, 3, 13))
    """
    names = named_files(paths)
    if not names:
        raise ValueError("no files to stack: paths is empty")
    read = _npy_opener() if opener is None else opener
    first = _plain(read(names[0]), names[0])
    at, new = _joining_axis(first, axis, stack)
    layouts: list[Strided] = []
    for number, name in enumerate(names):
        layout = first if number == 0 else _plain(read(name), name)
        _compare(first, layout, at, new)
        layouts.append(layout.index((slice(None),) * at + (None,)) if new else layout)
    table = _table(layouts, at)
    return Opened(table, table.kind)


def _npy_opener() -> Opener:
    """Open .npy files; of those with the same header and size only the first is parsed."""
    known: dict[int, tuple[bytes, Strided]] = {}  # by size

    def read(path: str) -> Strided:
        fd = open_regular(path)
        try:
            key = FileKey.of(fd, path)
            head = os.pread(fd, _HEAD, 0)
        finally:
            os.close(fd)
        header, like = known.get(key.size, (b"", None))
        if like is not None and head.startswith(header):
            return replace(like, file=replace(key, header=like.file.header))
        layout = open_npy(path)
        # Files with something behind the array are warned of, each: they are opened in full.
        whole = layout.file == key and layout.offset + layout.nbytes == key.size
        if whole and layout.offset <= len(head) and len(known) < _MOST_KNOWN:
            known[key.size] = head[: layout.offset], layout
        return layout

    return read


def _plain(layout: Strided, name: str) -> Strided:
    if not isinstance(layout, Strided):
        raise DtypeError(
            f"{name}: only arrays that lie in one file as they are can be stacked; this one is in "
            "pieces or encoded: convert it first"
        )
    return layout


def _joining_axis(first: Strided, axis: int | None, stack: bool) -> tuple[int, bool]:
    """The axis, counted from the beginning, and whether it is new."""
    new = stack or (axis is None and first.ndim == 0)
    at = 0 if axis is None else operator.index(axis)
    axes = first.ndim + new
    if not -axes <= at < axes:
        advice = "; pass stack=True for a new axis" if not axes else ""
        raise np.exceptions.AxisError(
            f"axis {at} is out of bounds for files of {first.ndim} axes"
            f"{' and a new one' if new else ''}, as {first.file.path} has them{advice}"
        )
    return at % axes, new


def _compare(first: Strided, other: Strided, at: int, new: bool) -> None:
    """Refuse a file that does not go with the first one."""
    names = f"{other.file.path} has", f"but {first.file.path} has"
    if other.dtype != first.dtype:
        raise DtypeError(
            f"{names[0]} dtype {_spelled(other.dtype)}, {names[1]} {_spelled(first.dtype)}: "
            "files of one stack have one dtype; convert one of them"
        )
    if other.shape == first.shape:
        return
    if not new and other.ndim == first.ndim:
        axes = zip(other.shape, first.shape, strict=True)
        if all(axis == at or mine == its for axis, (mine, its) in enumerate(axes)):
            return
    rule = "shapes must be equal" if new else f"shapes may differ along axis {at} only"
    raise ValueError(
        f"{names[0]} shape {other.shape}, {names[1]} {first.shape}: {rule}; "
        "leave one out, or change axis= or stack="
    )


def _spelled(dtype: np.dtype[Any]) -> str:
    """With the byte order where there is one: it may be all that differs."""
    return str(dtype) if dtype.names else dtype.str


def _table(layouts: list[Strided], at: int) -> StackTable:
    first = layouts[0]
    extents = [layout.shape[at] for layout in layouts]
    shape = plain_shape(
        (*first.shape[:at], sum(extents), *first.shape[at + 1 :]), first.itemsize, "the stack"
    )
    cuts = [Cuts(extent, max(extent, 1)) for extent in shape]
    cuts[at] = _cuts([extent for extent in extents if extent])
    pieces = [layout for layout, extent in zip(layouts, extents, strict=True) if extent]
    # By characters, not by folders: the names are only what is not the same in all.
    prefix = os.path.commonprefix([layout.file.path for layout in pieces])  # noqa: RUF071
    same: dict[tuple[int, ...], tuple[int, ...]] = {}  # one object is pickled once
    return StackTable(
        first.file,
        first.dtype,
        tuple(cuts),
        at,
        len(layouts),
        prefix,
        tuple(layout.file.path[len(prefix) :] for layout in pieces),
        tuple(_seen(layout) for layout in pieces),
        tuple(same.setdefault(layout.strides, layout.strides) for layout in pieces),
    )


def _cuts(extents: list[int]) -> Cuts:
    if not extents:
        return Cuts(0, 1)
    total, step = sum(extents), extents[0]
    if all(extent == step for extent in extents[:-1]) and extents[-1] <= step:
        return Cuts(total, step)
    return Cuts(total, bounds=(0, *accumulate(extents)))


def _seen(layout: Strided) -> _Seen:
    key = layout.file
    return key.dev, key.ino, key.size, key.mtime_ns, key.born, key.header, layout.offset


def _refuse(path: str) -> NoReturn:
    message = "a stack of files is read-only: open the files one by one"
    raise PermissionError(errno.EACCES, message, path)
