"""The kernel of a stage when it is made of block functions: what is called on what, as plain data.

Nothing here calls a function or knows where data lies: inputs are numbers of accesses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .grid import Chunks, Coords, Grid

__all__ = ["ALL", "BLOCK_ID", "FIRST", "Call", "Input", "Operand", "Pick", "Program", "calls_in"]

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

    node: Input | Call | Pick
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


@dataclass(frozen=True, slots=True)
class Program:
    """Kernel of a stage: `values[i]` is what write number i writes."""

    values: tuple[Input | Call | Pick, ...]
    codes: tuple[Any, ...] = ()
    """Compiled leaf kernels, one per write (None for blocks)."""
    reductions: tuple[Any, ...] = ()
    """The reductions of the stage's partials, one per write: they may hold user's functions."""


def calls_in(values: Iterable[Any]) -> list[Call]:
    """Every call that some values are made by, each once."""
    found: dict[int, Call] = {}

    def visit(node: Any) -> None:
        call = node.call if isinstance(node, Pick) else node
        if isinstance(call, Call) and id(call) not in found:
            found[id(call)] = call
            for arg in call.args:
                if isinstance(arg, Operand):
                    visit(arg.node)

    for value in values:
        visit(value)
    return list(found.values())
