"""An expression as plain data: what it is given, its steps, what it yields; it compiles nothing.

Values are numbered: inputs first, then the steps in an order in which they can be taken.  The same
record is what a loop is generated from and what NumPy goes through step by step, as the judge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..operations.base import Arguments, Block, Operation, Shape, whole

__all__ = ["Formula", "Step", "step_by_step"]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation of elements."""

    operation: Operation
    args: tuple[int, ...]
    """Numbers of the values it takes."""
    dtypes: tuple[np.dtype[Any], ...]
    """Of these."""
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """Elements of some arrays, calculated together from those of others."""

    inputs: tuple[np.dtype[Any], ...]
    points: tuple[bool, ...]
    """Which inputs have one element for all."""
    steps: tuple[Step, ...]
    outputs: tuple[tuple[int, np.dtype[Any]], ...]
    """Numbers of the values that are wanted, and the dtypes they are wanted in."""
    math: str = "vector"
    """``"vector"`` or ``"libm"``: whose elementary functions are used."""

    def dtype_of(self, number: int) -> np.dtype[Any]:
        """Dtype of a value."""
        given = len(self.inputs)
        return self.inputs[number] if number < given else self.steps[number - given].dtype


def step_by_step(
    formula: Formula, blocks: Sequence[Block], shape: Shape, names: list[str] | None = None
) -> list[Block]:
    """Take the steps with NumPy, on whole blocks, and return the outputs.

    Parameters
    ----------
    formula : Formula
    blocks : sequence of ndarray
        The inputs, which are broadcast to `shape`.
    shape : tuple of int
    names : list of str, optional
        Is told which operation is being made, the last of it.

    Examples
    --------
    >>> from oocarray.operations.elementwise import Elementwise
    >>> f8 = np.dtype("f8")
    >>> add = Step(Elementwise(np.add, (0, 1), (), "add"), (0, 1), (f8, f8), f8)
    >>> formula = Formula((f8, f8), (False, True), (add,), ((2, f8),))
    >>> step_by_step(formula, [np.arange(3.0), np.ones(1)], (3,))
    [array([1., 2., 3.])]
    """
    values: list[Any] = [np.asarray(block) for block in blocks]
    names = [] if names is None else names
    for step in formula.steps:
        given = [values[number] for number in step.args]
        shapes = tuple(block.shape for block in given)
        args = Arguments(shapes, step.dtypes, step.dtype, _from(given))
        names.append(step.operation.name)
        own = whole(np.broadcast_shapes(*shapes))
        values.append(step.operation.make(own, args, None))
        names.pop()
    return [
        np.broadcast_to(values[number].astype(dtype, copy=False), shape)
        for number, dtype in formula.outputs
    ]


def _from(blocks: Sequence[Block]) -> Callable[[int, Any], Block]:
    return lambda k, region: blocks[k]
