"""Gathers blocks whose sizes only their function knows, and joins them; it reduces nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Collect"]


@dataclass(frozen=True)
class Collect:
    """A "reduction" over no axis: each block is its own partial."""

    ndim: int
    out_dtype: np.dtype[Any]

    axes = ()
    partial_dtype = np.dtype(object)

    def leaves(
        self, entry: Any, block: np.ndarray[Any, Any], cuts: Any, origin: Any
    ) -> np.ndarray[Any, Any]:
        """The block itself (a copy: its pages will be let go), as one object."""
        found = np.empty((1,) * self.ndim, object)
        found[(0,) * self.ndim] = np.array(block)
        return found

    def kernel(self) -> None:
        """Nothing is to be compiled."""

    def combine(self, a: Any, b: Any) -> Any:
        raise AssertionError("there is no axis to combine along")

    def finish(self, partial: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Join the blocks.

        Raises
        ------
        ValueError
            Blocks side by side have different sizes.
        """
        if not self.ndim:
            return np.asarray(partial[()])
        return np.asarray(np.block(partial.tolist()), dtype=self.out_dtype)
