"""The reductions as methods of an array, by NumPy's names and rules; each builds a node, no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core import Array

__all__ = ["Reductions"]


class Reductions:
    """Mixin of `oocarray.Array`."""

    __slots__ = ()

    def _reduce(self, name: str, **parameters: Any) -> Array:
        raise NotImplementedError

    def sum(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Array:
        """Sum; lazy, see `oocarray.sum`."""
        return self._reduce("sum", axis=axis, dtype_arg=dtype, keepdims=keepdims)

    def mean(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Array:
        """Arithmetic mean; lazy, see `oocarray.mean`."""
        return self._reduce("mean", axis=axis, dtype_arg=dtype, keepdims=keepdims)
