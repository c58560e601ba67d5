"""What an array looks like as text: a line, its corners, its tree; it computes nothing.

Of data only corners are read, and only where the data is there already.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .grid import Chunks
from .lazy.counted import CountedNode
from .lazy.expr import KeptNode, MapNode, MemoryNode, Node, OpNode, PickNode, ReduceNode, StoredNode
from .lazy.node import postorder
from .lazy.pointed import PointedNode
from .storage.files import open_regular
from .storage.layout import Strided
from .storage.naming import axes_text, chunks_text, kind_text, path_of, plain
from .storage.tiled import Tiled
from .units import format_bytes, format_count

if TYPE_CHECKING:
    from .core import Array

__all__ = [
    "Facts",
    "Shown",
    "Tree",
    "blocks_text",
    "facts_of",
    "stored_words",
    "text_of",
    "tree_of",
]

_MOST_LINES = 200
_DEEPEST = 30
"""Levels that are indented: terminals are not wider, and expressions may be thousands deep."""
_EDGES = (3, 3, 3, 3, 1)
"""Values at each end of an axis, by dimensions: as NumPy, but four axes would be 250 lines."""
_WIDEST = 1024
"""Bytes of an element that is worth printing."""


class Tree(str):
    """Text that shows itself as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Shown:
    """Base of `oocarray.Array`: how it shows itself."""

    __slots__ = ()

    def __repr__(self: Any) -> str:
        return text_of(self)

    def _repr_html_(self: Any) -> str:
        from .drawing import html_of

        return html_of(self)

    def tree(self: Any) -> Tree:
        """Return the expression as an indented tree: what it is made of, each node once.

        Nothing is computed, and no function called.

        Examples
        --------
        >>> import oocarray as oo
        >>> x = oo.from_array(np.zeros((4, 6)), chunks=(2, 6))
        >>> (x - x.mean()).tree()
          1  subtract (4, 6) float64, 2 blocks of (2, 6)
          2    in memory (4, 6) float64, 2 blocks of (2, 6)
          3    mean () float64, 1 block of ()
                 = 2 above
        """
        return tree_of(self)


# ---- what is known of nodes -------------------------------------------------------------------


class Facts(NamedTuple):
    """What can be said of a node now; None for what cannot."""

    shape: tuple[float, ...] | None
    dtype: np.dtype[Any] | None
    chunks: Callable[[], Chunks | None]

    @property
    def size(self) -> float:
        """Number of elements, nan where it is not known."""
        return math.nan if self.shape is None else math.prod(self.shape)


def facts_of(node: Node) -> dict[int, Facts]:
    """Look at a node and all it is made of, from below, so that none has to look deeper itself.

    Returns
    -------
    dict
        Facts by ``id(node)``, in an order in which what a node is made of comes before it.
    """
    found: dict[int, Facts] = {}
    waiting = [node]
    while waiting:
        for below in postorder(waiting.pop(), lambda one: id(one) not in found):
            if id(below) not in found:
                found[id(below)] = _facts(below, [found[id(child)] for child in below.children])
                waiting += [one for word, one in _parts(below) if word.endswith("=")]
    return found


def _facts(node: Node, children: list[Facts]) -> Facts:
    shape: tuple[float, ...] | None = None
    dtype = None
    try:
        shapes: list[Any] = [child.shape for child in children]
        if not isinstance(node, OpNode) or all(map(_known, shapes)):
            shape = node.shape
        elif None not in shapes:
            # A node that does not know its shape asks those below, and so on, again each time.
            shape = tuple(node.operation.shape(shapes))
        unsure = isinstance(node, (OpNode, ReduceNode)) and any(c.dtype is None for c in children)
        if not unsure and node.dtypes is not None:
            dtype = node.dtypes[0]
        if _known(shape) and not isinstance(node, (MemoryNode, StoredNode)):
            node.chunks  # noqa: B018  remembered, before those above ask for it
    except (TypeError, ValueError, RecursionError):
        pass
    return Facts(shape, dtype, lambda: _chunks(node))


def _known(shape: tuple[float, ...] | None) -> bool:
    return shape is not None and all(size == size for size in shape)


def _chunks(node: Node) -> Chunks | None:
    """The blocks, or None: those of a free array of unknown size are decided when it is known."""
    try:
        return node.chunks
    except (TypeError, ValueError, RecursionError):
        return None


# ---- one line, and corners ----------------------------------------------------------------------


def text_of(array: Array) -> str:
    """Return what ``repr(array)`` is: a line, and corner values where they are there already.

    Examples
    --------
    >>> import oocarray as oo
    >>> print(text_of(oo.from_array(np.arange(100) * 3)))
    <oocarray.Array in memory: shape=(100,), dtype=int64, 800 B, 1 block of (100,)>
    [  0   3   6 ... 291 294 297]
    """
    if array._closed:
        return f"<oocarray.Array, closed: {array._where()}>"
    node = array._node
    facts = facts_of(node)[id(node)]
    shape = "not known yet" if facts.shape is None else axes_text(facts.shape, array.dims)
    words = [f"shape={shape}"]
    words.append(f"dtype={'not known yet' if facts.dtype is None else facts.dtype}")
    if facts.dtype is not None and not math.isnan(facts.size):
        words.append(format_bytes(facts.size * facts.dtype.itemsize))
    words.append(blocks_text(facts.chunks()))
    chunks, kind = stored_words(array, facts.chunks())
    words += [chunks] if chunks else []
    line = f"<oocarray.Array {array._where()}: {', '.join(words)}{kind and f'; {kind}'}>"
    corners = _corners_text(node, array.writable)
    return f"{line}\n{corners}" if corners else line


def stored_words(array: Array, blocks: Chunks | None) -> tuple[str, str]:
    """Chunks of an array that is stored, and its format; "" for what goes without saying."""
    node = array._node
    if not isinstance(node, StoredNode) or isinstance(node, KeptNode):
        return "", ""
    kind = "" if array._facts is None else array._facts.kind
    return chunks_text(node.source, blocks), kind_text(node.source, kind)


def blocks_text(chunks: Chunks | None) -> str:
    """Say how many blocks there are, and how large."""
    if chunks is None:
        return "blocks not known yet"
    largest = tuple(max(sizes, default=0) for sizes in chunks)
    return f"{format_count(math.prod(map(len, chunks)), 'block')} of {largest}"


def _corners_text(node: Node, writable: bool) -> str:
    """The corners as NumPy prints a large array; nothing where they cannot be had at once."""
    if not isinstance(node, (StoredNode, MemoryNode)) or len(node.shape) >= len(_EDGES):
        return ""
    assert node.dtypes is not None
    if not math.prod(node.shape) or not 0 < node.dtypes[0].itemsize <= _WIDEST:
        return ""
    edge = _EDGES[len(node.shape)]
    # One position between the ends stands for all that are left out.
    picks = [
        range(size) if size <= 2 * edge else (*range(edge + 1), *range(size - edge, size))
        for size in node.shape
    ]
    try:
        if isinstance(node, StoredNode) and not isinstance(node, KeptNode):
            corners = _read(node.source, picks, writable)
        else:
            corners = np.asarray(node.array)[np.ix_(*picks)]
        return np.array2string(np.asarray(corners), threshold=0, edgeitems=edge)
    except Exception:
        # A file that is gone, changed or unreadable, text that is none: the line is true anyway.
        return ""


def _read(source: Strided | Tiled, picks: list[Any], writable: bool) -> np.ndarray[Any, Any]:
    """Read elements one by one: a mapping of a file that is cut meanwhile would end the process."""
    if isinstance(source, Tiled):
        raise ValueError("corners of arrays in pieces may be many files")
    fd = open_regular(source.file.path)
    try:
        source.file.check(os.fstat(fd), written=writable)
        raw = bytearray()
        for index in itertools.product(*picks):
            place = sum(i * step for i, step in zip(index, source.strides, strict=True))
            raw += os.pread(fd, source.itemsize, source.offset + place)
    finally:
        os.close(fd)
    return np.frombuffer(bytes(raw), source.dtype).reshape([len(pick) for pick in picks])


# ---- the tree -----------------------------------------------------------------------------------


def tree_of(array: Array) -> Tree:
    """Return the expression as an indented tree, one node a line, each node once."""
    facts = facts_of(array.node)
    numbers: dict[int, int] = {}
    lines: list[str] = []
    waiting: list[tuple[int, str, Node]] = [(0, "", array.node)]
    while waiting and len(lines) < _MOST_LINES:
        depth, word, node = waiting.pop()
        margin = "  " * min(depth, _DEEPEST)
        if depth > _DEEPEST:
            margin += f"(level {depth}) "
        if id(node) in numbers:
            lines.append(f"     {margin}{word}= {numbers[id(node)]} above")
            continue
        number = numbers[id(node)] = len(numbers) + 1
        lines.append(f"{number:3}  {margin}{word}{_line(node, facts[id(node)])}")
        parts = [(depth + 1, *part) for part in _parts(node)]
        waiting += reversed(parts)
    if waiting:
        left = len(facts) - len(numbers)
        lines.append(f"     ... and {left:,} more" if left else "     ...")
    return Tree("\n".join(lines))


def _parts(node: Node) -> Iterator[tuple[str, Node]]:
    """What a node is made of, each with what it is to the node."""
    words = {CountedNode: "mask: ", PointedNode: "at: "}.get(type(node), "")
    last = len(node.children) - 1
    for place, child in enumerate(node.children):
        first = place == 0 and (last > 0 or isinstance(node, PointedNode))
        yield "" if first else words, child
    if isinstance(node, MapNode):
        for name, value in node.kwargs.items():
            if isinstance(value, Node):
                yield f"{name}=", value


def _line(node: Node, facts: Facts) -> str:
    shape = "shape not known yet" if facts.shape is None else str(facts.shape)
    dtype = "dtype not known yet" if facts.dtype is None else str(facts.dtype)
    blocks = facts.chunks()
    words = [f"{_name(node)} {shape} {dtype}", blocks_text(blocks)]
    if isinstance(node, StoredNode) and not isinstance(node, KeptNode):
        words.append(chunks_text(node.source, blocks))
        words[-1:] = ["; ".join(filter(None, (words[-1], kind_text(node.source))))]
    return ", ".join(filter(None, words))


def _name(node: Node) -> str:
    if isinstance(node, KeptNode):
        return "kept in memory"
    if isinstance(node, StoredNode):
        return plain(path_of(node.source))
    if isinstance(node, MemoryNode):
        # Numbers in an expression are what a reader looks for.
        return "in memory" if node.shape else f"{node.array[()]!s:.40}"
    if isinstance(node, PickNode):
        return f"output {node.output} of"
    return plain(node.name)
