"""The kernel of a stage: which functions and operations are applied to what, as plain data.

Users' functions work on blocks, found by their coordinates; operations of ours on any region.
Nothing here calls one or knows where data lies: inputs are numbers of accesses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from .grid import Chunks, Coords, Grid, Order
from .operations.base import Operation

__all__ = [
    "ALL",
    "BLOCK_ID",
    "FIRST",
    "Apply",
    "Call",
    "Input",
    "Operand",
    "Pick",
    "Program",
    "Tile",
    "Value",
    "applies_in",
    "arguments_first",
    "below",
    "calls_in",
    "dtype_of",
    "tops_in",
    "transformed",
]

FIRST = -1
"""In `axes`: always block 0 of this axis (it has one block, reused for all)."""
ALL = -2
"""In `axes`: the whole axis, whatever the item."""


class _BlockId:
    """As an argument of a kernel: the coordinates of the block."""

    def __reduce__(self) -> str:
        return "BLOCK_ID"


BLOCK_ID = _BlockId()


@dataclass(frozen=True, slots=True)
class Input:
    """A block of what access number `access` reads, cut by `grid`."""

    access: int
    grid: Grid

    @property
    def known(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Operand:
    """An argument that is cut in blocks; `axes` as in `Gather`, by the call's coordinates."""

    node: Input | Call | Pick | Tile
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A user's function on blocks.

    `form` is ``"block"`` (blocks in, block out), ``"out"`` (the output blocks come first,
    and are filled), ``"udf"`` (inputs as a tuple, output, offset) or ``"update"`` (changes
    its first block in place).  Arguments that are not `Operand` are passed as they are.
    """

    function: Any
    form: Literal["block", "out", "udf", "update"]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    grid: Grid
    """Blocks of the output; an item of an outer call may need several."""
    chunks: Chunks
    """The same as sizes; nan where only the function knows (1 in `grid`)."""
    dtypes: tuple[np.dtype[Any], ...]
    name: str = "function"
    wants: tuple[str, ...] = ()
    """Which of ``block_id`` and ``block_info`` the function takes."""
    info: Any = None
    """Called with coordinates and dtype, answers ``block_info``."""
    code: Any = None
    """Compiled kernel (see `oocarray.jit`), or None for a Python function."""
    strided_out: bool = False
    """Whether `code` can fill blocks that are not C-contiguous."""
    apart: tuple[int, ...] = ()
    """Axes, one element per block, that the function's own blocks do not have."""

    @property
    def known(self) -> bool:
        """Whether every block's shape is known before the function has run."""
        return all(size == size for sizes in self.chunks for size in sizes)

    def block_shape(self, coords: Coords) -> tuple[int, ...]:
        """Shape of the block that the function must make; nan where only it knows."""
        return tuple(sizes[at] for sizes, at in zip(self.chunks, coords, strict=True))


@dataclass(frozen=True, slots=True)
class Pick:
    """One of the outputs of a call that has several."""

    call: Call
    output: int

    @property
    def grid(self) -> Grid:
        return self.call.grid

    @property
    def known(self) -> bool:
        return self.call.known


@dataclass(frozen=True, slots=True, eq=False)
class Apply:
    """An operation of ours; any region of its result can be made by itself."""

    operation: Operation
    args: tuple[Input | Call | Pick | Apply, ...]
    shapes: tuple[tuple[int, ...], ...]
    """Of the arguments."""
    dtypes: tuple[np.dtype[Any], ...]
    """Of the arguments."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """The result of an operation, cut in blocks."""

    node: Apply
    grid: Grid
    order: Order = "C"
    """Which way its elements lie in memory and in the files it is made of."""
    output: int = 0
    """Which of the results, where the operation makes several together."""

    @property
    def known(self) -> bool:
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        # Flat: pickle goes down what is nested, and expressions may be deeper than its stack.
        return _tile, (_flat(self.node), self.grid, self.order, self.output)


Value = Input | Call | Pick | Tile


@dataclass(frozen=True, slots=True)
class Program:
    """Kernel of a stage: `values[i]` is what write number i writes."""

    values: tuple[Value, ...]
    codes: tuple[Any, ...] = ()
    """Compiled leaf kernels, one per write (None for blocks)."""
    reductions: tuple[Any, ...] = ()
    """The reductions of the stage's partials, one per write: they may hold user's functions."""


def below(node: Any) -> tuple[Any, ...]:
    """The nodes that a node is directly made of."""
    if isinstance(node, Pick):
        return (node.call,)
    if isinstance(node, Tile):
        return (node.node,)
    if isinstance(node, Apply):
        return node.args
    if isinstance(node, Call):
        return tuple(arg.node for arg in node.args if isinstance(arg, Operand))
    return ()


def transformed(
    values: Iterable[Any],
    change: Callable[[Any, Any], Any],
    instead: Callable[[Any], Any] = lambda node: node,
) -> tuple[Any, ...]:
    """Copies of some values with every node passed through ``change(copy, original)``.

    Each is changed once, when its arguments have been; shared nodes stay shared. ``instead(node)``
    is what is gone into in place of a node.
    """
    made: dict[int, Any] = {}
    values = tuple(values)
    waiting = [(value, False) for value in reversed(values)]
    while waiting:
        node, ready = waiting.pop()
        if id(node) in made:
            continue
        base = instead(node)
        parts = below(base)
        if not ready and parts:
            waiting.append((node, True))
            waiting += [(part, False) for part in parts]
        else:
            made[id(node)] = change(_with(base, [made[id(part)] for part in parts]), node)
    return tuple(made[id(value)] for value in values)


def _with(node: Any, parts: list[Any]) -> Any:
    """The same node made of others, in the order of `below`."""
    if isinstance(node, Pick):
        return Pick(parts[0], node.output)
    if isinstance(node, Tile):
        return replace(node, node=parts[0])
    if isinstance(node, Apply):
        return replace(node, args=tuple(parts))
    if isinstance(node, Call):
        fresh = iter(parts)
        args = (
            Operand(next(fresh), arg.axes) if isinstance(arg, Operand) else arg for arg in node.args
        )
        return replace(node, args=tuple(args))
    return node


def _flat(top: Apply) -> list[Any]:
    """The operations of a tile, each after its arguments, with numbers in place of those."""
    order = arguments_first([top])
    numbers = {id(node): number for number, node in enumerate(order)}
    return [
        (
            node.operation,
            tuple(numbers[id(arg)] if isinstance(arg, Apply) else arg for arg in node.args),
            (node.shapes, node.dtypes, node.shape, node.dtype),
        )
        for node in order
    ]


def _tile(parts: list[Any], grid: Grid, order: Order, output: int) -> Tile:
    made: list[Apply] = []
    for operation, args, told in parts:
        found = tuple(made[arg] if isinstance(arg, int) else arg for arg in args)
        made.append(Apply(operation, found, *told))
    return Tile(made[-1], grid, order, output)


def dtype_of(value: Call | Pick | Tile) -> np.dtype[Any]:
    """Dtype of what a value makes."""
    if isinstance(value, Tile):
        return value.node.operation.output_dtype(value.output, value.node.dtype)
    return value.dtypes[0] if isinstance(value, Call) else value.call.dtypes[value.output]


def calls_in(values: Iterable[Any]) -> list[Call]:
    """Every call that some values are made by, each once."""
    return [node for node in _nodes(values) if isinstance(node, Call)]


def applies_in(
    value: Any, enter: Callable[[Any], bool] = lambda node: not isinstance(node, Call)
) -> list[Apply]:
    """Every operation between a value and the nearest calls and inputs, each once."""
    return [node for node in _nodes([value], enter) if isinstance(node, Apply)]


def arguments_first(
    tops: Iterable[Any], enter: Callable[[Apply], bool] = lambda node: True
) -> list[Apply]:
    """Operations that lead to some nodes, each once, after its arguments.

    Only those for which ``enter`` is true, and what is reached through them. A loop: there may be
    more of them above one another than Python has room for calls.
    """
    found: dict[int, Apply] = {}
    waiting: list[tuple[Any, bool]] = [(top, False) for top in tops][::-1]
    while waiting:
        node, ready = waiting.pop()
        if not isinstance(node, Apply) or id(node) in found:
            continue
        if ready:
            found[id(node)] = node
        elif enter(node):
            waiting.append((node, True))
            waiting += [(arg, False) for arg in reversed(node.args)]
    return list(found.values())


def tops_in(values: Iterable[Any]) -> list[Any]:
    """Everything that operations end in: some values, and what users' functions under them take."""
    tops = list(values)
    for call in calls_in(tops):
        tops += [arg.node for arg in call.args if isinstance(arg, Operand)]
    return tops


def _nodes(
    values: Iterable[Any], enter: Callable[[Any], bool] = lambda node: True
) -> Iterator[Any]:
    """Every node that is reached from some, each once, before those that it is made of."""
    seen: set[int] = set()
    waiting = list(values)[::-1]
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            if enter(node):
                waiting += below(node)[::-1]
