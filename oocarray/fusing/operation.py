"""Several operations of elements as one, with its compiled loop; it does not compile it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..operations.base import Operation
from .formula import Formula
from .lead import Code

__all__ = ["Fused"]


@dataclass(frozen=True, eq=False)
class Fused(Operation):
    """A formula applied to arrays that are broadcast; it may have several results.

    It comes into a plan when that is made, so it is asked for no shapes and no reach; its loop is
    led over blocks by `oocarray.runtime.fusions`.
    """

    formula: Formula
    code: Code | None = None
    name: str = "fused"

    def output_dtype(self, output: int, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return self.formula.outputs[output][1]
