"""Methods of an array by NumPy's names, which are functions of the namespace too; no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .core import Array

__all__ = ["Shaped"]


class Shaped:
    """Mixin of `oocarray.Array`; each method is the function of the same name."""

    __slots__ = ()

    @property
    def T(self) -> Array:
        """With its axes reversed."""
        return self.transpose()

    @property
    def mT(self) -> Array:
        """With its last two axes swapped."""
        from .namespace.manipulation import matrix_transpose

        return matrix_transpose(self)

    @property
    def real(self) -> Array:
        """The real part."""
        from .namespace.complexes import real

        return real(self)

    @property
    def imag(self) -> Array:
        """The imaginary part."""
        from .namespace.complexes import imag

        return imag(self)

    @property
    def device(self) -> str:
        """``"cpu"``."""
        return "cpu"

    def to_device(self, device: str, /, *, stream: Any = None) -> Array:
        """Itself; there is one device."""
        if device != "cpu" or stream is not None:
            raise ValueError(f"device={device!r}, stream={stream!r}; arrays are on the 'cpu' only")
        return self  # type: ignore[return-value]

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> Array:
        """In another shape; see `oocarray.reshape`."""
        from .namespace.manipulation import reshape

        return reshape(self, shape[0] if len(shape) == 1 else shape, order, copy=copy)

    def ravel(self, order: str = "C") -> Array:
        """Along one axis; see `oocarray.ravel`."""
        from .namespace.manipulation import ravel

        return ravel(self, order)

    def flatten(self, order: str = "C") -> Array:
        """Along one axis, and never a view; see `oocarray.ravel`."""
        from .namespace.manipulation import reshape

        # NumPy's is a copy: what is written to it stays out of the file.
        return reshape(self, (-1,), order, copy=True)

    def transpose(self, *axes: Any) -> Array:
        """With its axes permuted; see `oocarray.transpose`."""
        from .namespace.manipulation import transpose

        if not axes:
            return transpose(self)
        alone = len(axes) == 1 and not isinstance(axes[0], (int, np.integer))
        return transpose(self, axes[0] if alone else axes)

    def squeeze(self, axis: int | Sequence[int] | None = None) -> Array:
        """Without axes of extent 1; see `oocarray.squeeze`."""
        from .namespace.manipulation import squeeze

        return squeeze(self, axis)

    def swapaxes(self, axis1: int, axis2: int) -> Array:
        """With two axes swapped; see `oocarray.swapaxes`."""
        from .namespace.manipulation import swapaxes

        return swapaxes(self, axis1, axis2)

    def repeat(self, repeats: Any, axis: int | None = None) -> Array:
        """Each element so many times; see `oocarray.repeat`."""
        from .namespace.rearranging import repeat

        return repeat(self, repeats, axis)

    def take(self, indices: Any, axis: int | None = None, mode: str = "raise") -> Array:
        """Elements at positions; see `oocarray.take`."""
        from .namespace.parts import take

        found: Array = take(self, indices, axis, mode=mode)
        return found

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
        """Diagonals of two axes; see `oocarray.diagonal`."""
        from .namespace.parts import diagonal

        found: Array = diagonal(self, offset, axis1, axis2)
        return found

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Array:
        """Sums of diagonals; see `oocarray.trace`."""
        from .namespace.parts import trace

        found: Array = trace(self, offset, axis1, axis2, dtype)
        return found

    def astype(self, dtype: Any, casting: str = "unsafe", copy: bool = True) -> Array:
        """With another dtype; see `oocarray.astype`."""
        from .namespace.elementwise import astype

        found: Array = astype(self, dtype, casting=casting, copy=copy)
        return found

    def clip(self, min: Any = None, max: Any = None) -> Array:
        """Within limits; see `oocarray.clip`."""
        from .namespace.rounding import clip

        found: Array = clip(self, min, max)
        return found

    def round(self, decimals: int = 0) -> Array:
        """Rounded; see `oocarray.round`."""
        from .namespace.rounding import round

        found: Array = round(self, decimals)
        return found

    def conj(self) -> Array:
        """The complex conjugate."""
        from .namespace.arithmetic import conj

        found: Array = conj(self)
        return found

    conjugate = conj

    def copy(self) -> Array:
        """A copy in memory of what is in a file or in memory; of an expression, itself.

        Raises
        ------
        BudgetError
            It would not fit; ``store(path)`` copies into a file.
        """
        from .lazy.node import MemoryNode, StoredNode

        array: Any = self
        if not isinstance(array.node, (StoredNode, MemoryNode)):
            return type(array)(array.node)  # type: ignore[no-any-return]
        chunks = array.node.set_chunks
        return type(array)(MemoryNode(np.array(array.compute()), chunks))  # type: ignore[no-any-return]

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Array:
        return self.copy()

    def nonzero(self) -> tuple[Array, ...]:
        """Where elements are not zero; see `oocarray.nonzero`."""
        from .namespace.searching import nonzero

        return nonzero(self)

    def searchsorted(self, v: Any, side: str = "left", sorter: Any = None) -> Array:
        """Where values would go; see `oocarray.searchsorted`."""
        from .namespace.searching import searchsorted

        return searchsorted(self, v, side, sorter)  # type: ignore[arg-type]

    def argsort(self, axis: int | None = -1, **how: Any) -> Array:
        """The order of the elements along an axis; see `oocarray.argsort`."""
        from .namespace.sorting import argsort

        return argsort(self, axis, **how)

    def sort(self, axis: int = -1, **how: Any) -> None:
        """Sort a file or an array in memory in place, as NumPy does; see `oocarray.sort`.

        Raises
        ------
        TypeError
            The array is an expression: `oocarray.sort` makes another one.
        """
        from .assigning import assign
        from .lazy.node import MemoryNode, StoredNode
        from .namespace.sorting import sort

        array: Any = self
        if not isinstance(array.node, (StoredNode, MemoryNode)):
            raise TypeError("an expression is not sorted in place; oo.sort(x) makes another one")
        assign(array, ..., sort(array, axis, **how))

    def cumsum(self, axis: int | None = None, dtype: Any = None) -> Array:
        """Cumulative sums; see `oocarray.cumsum`."""
        from .namespace.cumulative import cumsum

        return cumsum(self, axis, dtype)

    def cumprod(self, axis: int | None = None, dtype: Any = None) -> Array:
        """Cumulative products; see `oocarray.cumprod`."""
        from .namespace.cumulative import cumprod

        return cumprod(self, axis, dtype)

    def dot(self, other: Any) -> Array:
        """The product with another array; see `oocarray.dot`."""
        from .namespace.linear import dot

        return dot(self, other)

    def ptp(self, axis: Any = None, keepdims: bool = False) -> Array:
        """Greatest less least; see `oocarray.ptp`."""
        from .namespace.statistics import ptp

        return ptp(self, axis, keepdims=keepdims)
