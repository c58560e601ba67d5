"""Python's operators and NumPy's ufuncs on arrays: each builds a node; none computes but for out=.

Augmented assignment on an array in a file that may be changed updates the file; on any other
array it makes a new expression.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    pass

__all__ = ["Operators"]

Binary = Callable[[Any, Any], Any]


def _binary(ufunc: np.ufunc) -> Binary:
    def operator(self: Any, other: Any) -> Any:
        return _joined(ufunc, self, other)

    return operator


def _reflected(ufunc: np.ufunc) -> Binary:
    def operator(self: Any, other: Any) -> Any:
        return _joined(ufunc, other, self)

    return operator


def _augmented(ufunc: np.ufunc) -> Binary:
    def operator(self: Any, other: Any) -> Any:
        made = _joined(ufunc, self, other)
        if made is NotImplemented or not self.writable:
            return made
        from .assigning import update

        update(self, made, f"{ufunc.__name__} in place")
        return self

    return operator


def _unary(ufunc: np.ufunc) -> Callable[[Any], Any]:
    def operator(self: Any) -> Any:
        from .lifting import lifted

        return lifted(ufunc, [self])

    return operator


def _joined(function: Any, one: Any, other: Any) -> Any:
    """A function of two operands of which at least one is ours."""
    from .lifting import lifted

    if isinstance(other, (str, bytes)) and _of_text(one):
        other = np.array(other)
    for value in (one, other):
        if isinstance(value, (str, bytes, dict, set)) or value is None:
            return NotImplemented
        if getattr(value, "__array_ufunc__", True) is None:
            return NotImplemented
    return lifted(function, [one, other])


def _of_text(array: Any) -> bool:
    """Whether it is an array of strings, as far as is known without calling a function."""
    dtypes = array.node.dtypes if isinstance(array, Operators) else None  # type: ignore[attr-defined]
    return dtypes is not None and dtypes[0].kind in "SU"


class Operators:
    """Mixin of `oocarray.Array`."""

    __slots__ = ()

    __add__, __radd__, __iadd__ = _binary(np.add), _reflected(np.add), _augmented(np.add)
    __sub__, __rsub__ = _binary(np.subtract), _reflected(np.subtract)
    __isub__ = _augmented(np.subtract)
    __mul__, __rmul__ = _binary(np.multiply), _reflected(np.multiply)
    __imul__ = _augmented(np.multiply)
    __truediv__, __rtruediv__ = _binary(np.true_divide), _reflected(np.true_divide)
    __itruediv__ = _augmented(np.true_divide)
    __floordiv__, __rfloordiv__ = _binary(np.floor_divide), _reflected(np.floor_divide)
    __ifloordiv__ = _augmented(np.floor_divide)
    __mod__, __rmod__, __imod__ = (
        _binary(np.remainder),
        _reflected(np.remainder),
        _augmented(np.remainder),
    )
    __pow__, __rpow__, __ipow__ = _binary(np.power), _reflected(np.power), _augmented(np.power)
    __and__, __rand__ = _binary(np.bitwise_and), _reflected(np.bitwise_and)
    __iand__ = _augmented(np.bitwise_and)
    __or__, __ror__ = _binary(np.bitwise_or), _reflected(np.bitwise_or)
    __ior__ = _augmented(np.bitwise_or)
    __xor__, __rxor__ = _binary(np.bitwise_xor), _reflected(np.bitwise_xor)
    __ixor__ = _augmented(np.bitwise_xor)
    __lshift__, __rlshift__ = _binary(np.left_shift), _reflected(np.left_shift)
    __ilshift__ = _augmented(np.left_shift)
    __rshift__, __rrshift__ = _binary(np.right_shift), _reflected(np.right_shift)
    __irshift__ = _augmented(np.right_shift)
    __lt__, __le__ = _binary(np.less), _binary(np.less_equal)
    __gt__, __ge__ = _binary(np.greater), _binary(np.greater_equal)
    __eq__ = _binary(np.equal)
    __ne__ = _binary(np.not_equal)
    __hash__ = object.__hash__  # arrays are compared by elements, and told apart as objects
    __neg__, __pos__ = _unary(np.negative), _unary(np.positive)
    __abs__, __invert__ = _unary(np.absolute), _unary(np.invert)

    def __divmod__(self: Any, other: Any) -> Any:
        return np.divmod(self, other)

    def __rdivmod__(self: Any, other: Any) -> Any:
        return np.divmod(other, self)

    def __matmul__(self, other: Any) -> Any:
        return _matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _matmul(other, self)

    def __imatmul__(self, other: Any) -> Any:
        made = _matmul(self, other)
        if made is NotImplemented or not self.writable:  # type: ignore[attr-defined]
            return made
        from .assigning import update

        update(self, made, "matmul in place")
        return self

    # ---- single values --------------------------------------------------------------------------

    def __bool__(self) -> bool:
        return bool(_single(self, "bool"))

    def __int__(self) -> int:
        return int(_single(self, "int"))

    def __float__(self) -> float:
        return float(_single(self, "float"))

    def __complex__(self) -> complex:
        return complex(_single(self, "complex"))

    def __index__(self) -> int:
        array: Any = self
        if array.ndim or array.dtype.kind not in "iu":
            raise TypeError("only integer arrays of no dimension can be an index")
        return int(array.compute())

    def __contains__(self, value: Any) -> bool:
        array: Any = self
        return bool((array == value).any().compute())

    def item(self, *args: Any) -> Any:
        """The one element as a Python number, or the one at the indices given; computes it."""
        array: Any = self
        if not args:
            return _single(array, "item").item()
        key = args[0] if len(args) == 1 else args
        if not isinstance(key, tuple) and array.ndim != 1:
            at = operator.index(key)
            if not -array.size <= at < array.size:
                raise IndexError(f"index {at} is out of bounds for size {array.size}")
            key = tuple(int(place) for place in np.unravel_index(at % array.size, array.shape))
        return np.asarray(array[key].compute()).item()

    def tolist(self) -> Any:
        """All elements as nested lists; computes them."""
        return np.asarray(self.compute()).tolist()  # type: ignore[attr-defined]

    # ---- NumPy's functions ----------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from .namespace.ufuncs import called

        return called(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from .namespace.protocol import dispatched

        return dispatched(func, args, kwargs)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        from .namespace.standard import namespace

        return namespace(api_version)


def _matmul(one: Any, other: Any) -> Any:
    from .namespace.linear import matmul

    if isinstance(one, (str, bytes)) or isinstance(other, (str, bytes)):
        return NotImplemented
    return matmul(one, other)


def _single(array: Any, what: str) -> np.generic:
    """The value of an array of one element."""
    if array.ndim and (math.isnan(array.size) or array.size != 1):
        if what == "bool":
            raise ValueError(
                "the truth value of an array with more than one element is ambiguous; use "
                "any() or all()"
            )
        raise TypeError(f"only an array of one element can become a Python scalar ({what})")
    found: Any = np.asarray(array.compute()).reshape(())[()]
    return found  # type: ignore[no-any-return]
