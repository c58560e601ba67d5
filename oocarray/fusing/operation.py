"""Several operations of elements as one, with its compiled loop; it does not compile it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..grid import Region
from ..operations.base import Arguments, Block, Operation, Shape, extents
from ..operations.elementwise import Spread, spread_shape
from .formula import Formula, step_by_step
from .lead import Code

__all__ = ["Fused"]


@dataclass(frozen=True, eq=False)
class Fused(Operation):
    """A formula applied to arrays that are broadcast; it may have several results.

    Whoever has blocks at hand leads its loop over them (`oocarray.runtime.fusions`); made by
    itself, it takes the steps of the formula with NumPy.
    """

    formula: Formula
    code: Code | None = None
    name: str = "fused"

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        return spread_shape(shapes)

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return self.formula.outputs[0][1]

    def output_dtype(self, output: int, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return self.formula.outputs[output][1]

    def reach(self, k: int, shapes: Sequence[Shape]) -> Spread | None:
        mine = tuple(shapes[k])
        return None if mine == spread_shape(shapes) else Spread(mine)

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        blocks = [
            args.pull(k, Spread(shape).regions(region)[0]) for k, shape in enumerate(args.shapes)
        ]
        return step_by_step(self.formula, blocks, extents(region))[0]
