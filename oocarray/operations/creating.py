"""Make arrays from a few numbers, any region on its own; keeps no element and reads no file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..grid import Region
from .base import Arguments, Block, Operation, Reach, Shape, extents
from .elementwise import Literal

__all__ = ["Arange", "Eye", "FromFunction", "Full", "Indices", "Linspace"]


class _Made(Operation):
    """An operation without arguments; subclasses have the dtype of the result in `made`."""

    made: Any

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        found: np.dtype[Any] = self.made
        return found

    def reach(self, k: int, shapes: Sequence[Shape]) -> Reach | None:
        raise AssertionError(f"{self.name} has no argument {k}")

    def _keep(self, **fields: Any) -> None:
        for field, value in fields.items():
            object.__setattr__(self, field, value)


@dataclass(frozen=True)
class Full(_Made):
    """The same element everywhere; a region takes the memory of one.

    Examples
    --------
    >>> Full((3,), 0.0, "f8") == Full((3,), 0, "f8")
    True
    >>> Full((3,), 0.0, "f8") == Full((3,), -0.0, "f8")
    False
    """

    target: Shape
    value: Any
    """Of any type that `made` takes; kept as a `Literal` of that type."""
    made: Any = None
    """Dtype of the result; by default that of `value`."""
    name = "full"

    def __post_init__(self) -> None:
        value = self.value.value if isinstance(self.value, Literal) else self.value
        made = np.asarray(value).dtype if self.made is None else np.dtype(self.made)
        element = np.full((), value, made)
        self._keep(made=element.dtype, value=Literal(element[()]))

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        return _checked(self.target)

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        element = np.full((), self.value.value, args.dtype)
        return np.broadcast_to(element, extents(region))


@dataclass(frozen=True)
class Arange(_Made):
    """Numbers (or times) from `start`, `step` apart, before `stop`: those of `numpy.arange`.

    Examples
    --------
    >>> Arange(0, 1, 0.25).shape([]), Arange(0, 10, 3, "f4").dtype([])
    ((4,), dtype('float32'))
    """

    start: Any
    stop: Any
    step: Any = 1
    made: Any = None
    """Dtype of the result; by default that which NumPy finds for the three."""
    name = "arange"

    def __post_init__(self) -> None:
        start, stop, step = map(_plain, (self.start, self.stop, self.step))
        made = self.made
        if made is None or np.dtype(made).kind in "mM":
            # Also the unit of times, where it is not given.
            given = [np.asarray(one).dtype for one in (start, stop, step)]
            times = [one for one in given if one.kind in "mM"]
            # NumPy begins with its default integer: numbers of 8 bits make no arange of 8 bits.
            found = np.result_type(*(times or [np.dtype(np.intp), *given]))
            if made is None or np.datetime_data(np.dtype(made))[0] == "generic":
                made = found
        made = np.dtype(made)
        if made.kind not in "iufcmMb":
            raise TypeError(f"arange makes numbers and times, not {made}")
        self._keep(made=made, start=Literal(start), stop=Literal(stop), step=Literal(step))
        if made.kind == "b" and self._length() > 2:
            raise TypeError(
                "arange() is only supported for booleans when the result has at most length 2."
            )

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        return (self._length(),)

    def _length(self) -> int:
        if self.made.kind in "mM":
            start, stop, step = self._times()
            if not step:
                raise ValueError("arange: step may not be zero")
            return max(-((start - stop) // step), 0)
        delta = self.stop.value - self.start.value
        count = delta / self.step.value
        parts = (
            (count.real, count.imag)
            if isinstance(count, (complex, np.complexfloating))
            else (count,)
        )
        if any(map(math.isnan, parts)):
            raise ValueError("arange: cannot compute length")
        if len(parts) == 1 and count == 0 and delta != 0:
            # The quotient is too small for a float; NumPy goes by its sign.
            return 0 if math.copysign(1, count) < 0 else 1
        if any(part >= 2**63 for part in parts):
            raise ValueError("Maximum allowed size exceeded")
        return max(min(math.ceil(part) if part > -math.inf else 0 for part in parts), 0)

    def _times(self) -> tuple[int, int, int]:
        """Start, stop and step in the unit of the result."""
        unit = np.datetime_data(self.made)
        span = np.dtype(f"m8[{unit[1]}{unit[0]}]") if unit[0] != "generic" else np.dtype("m8")
        made = self.made.newbyteorder("=")
        start = int(np.asarray(self.start.value).astype(made).view("i8"))
        step = int(np.asarray(self.step.value).astype(span).view("i8"))
        stop = np.asarray(self.stop.value)
        if made.kind == "M" and stop.dtype.kind != "M":
            return start, start + int(stop.astype(span).view("i8")), step
        return start, int(stop.astype(made).view("i8")), step

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        (part,) = region
        made = args.dtype.newbyteorder("=")
        if made.kind in "mM":
            start, _, step = self._times()
            ticks = np.arange(part.start, part.stop)
            return (ticks * step + start).view(made).astype(args.dtype, copy=False)
        # As NumPy does: two elements are cast to the dtype, and the others are those at equal
        # distances; half precision is computed in single.
        two = np.empty(2, made)
        two[0] = self.start.value
        if self._length() > 1:
            two[1] = self.start.value + self.step.value
        if made.kind == "b":
            return two[part].astype(args.dtype, copy=False)
        wide = np.dtype("f4") if made == np.dtype("f2") else made
        first, second = two.astype(wide)
        with np.errstate(all="ignore"):
            result = np.arange(part.start, part.stop).astype(wide)
            if made.kind == "c":
                result.imag = result.real
                delta = second - first
                result.real *= delta.real
                result.imag *= delta.imag
            else:
                result *= second - first
            result += first
            result = result.astype(args.dtype, copy=False)
        head = two[part.start : part.stop]
        result[: len(head)] = head
        return result


@dataclass(frozen=True)
class Linspace(_Made):
    """Numbers at equal distances between two, to the bit those of `numpy.linspace`.

    Examples
    --------
    >>> Linspace(0, 1, 5).shape([]), Linspace(0, 1, 5, True, "i4").dtype([])
    ((5,), dtype('int32'))
    """

    start: Any
    stop: Any
    num: int = 50
    endpoint: bool = True
    made: Any = None
    """Dtype of the result; by default that which NumPy finds."""
    name = "linspace"

    def __post_init__(self) -> None:
        start, stop = _plain(self.start), _plain(self.stop)
        if self.num < 0:
            raise ValueError(f"Number of samples, {self.num}, must be non-negative.")
        made = np.result_type(start, stop, 0.0) if self.made is None else np.dtype(self.made)
        self._keep(made=made, start=Literal(start), stop=Literal(stop))

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        return (self.num,)

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        (part,) = region
        start, stop = self.start.value, self.stop.value
        inexact = np.result_type(start, stop, 0.0)
        steps = self.num - 1 if self.endpoint else self.num
        delta = np.subtract(stop, start, dtype=inexact)
        result = np.arange(part.start, part.stop).astype(inexact)
        step = delta / steps if steps > 0 else delta
        if steps > 0 and step == 0:
            # NumPy's way for steps too small for a float.
            result /= steps
            step = delta
        result *= step
        result += start
        if self.endpoint and self.num > 1 and part.stop == self.num:
            result[-1] = stop
        if args.dtype.kind in "iu":
            np.floor(result, out=result)
        return result.astype(args.dtype, copy=False)


@dataclass(frozen=True)
class Eye(_Made):
    """Ones on diagonal number `k` of `n` rows and `m` columns, and else zeros.

    Examples
    --------
    >>> Eye(2, 3, 1, "i8").shape([])
    (2, 3)
    """

    n: int
    m: int
    k: int = 0
    made: Any = "f8"
    name = "eye"

    def __post_init__(self) -> None:
        self._keep(made=np.dtype(self.made))

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        return _checked((self.n, self.m))

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        rows, columns = region
        start = max(rows.start, columns.start - self.k)
        stop = min(rows.stop, columns.stop - self.k)
        result = np.zeros(extents(region), args.dtype)
        at = np.arange(start, stop)
        result[at - rows.start, at + self.k - columns.start] = 1
        return result


@dataclass(frozen=True)
class Indices(_Made):
    """Where each element is along one axis: a part of `numpy.indices`, without its memory.

    Examples
    --------
    >>> Indices((2, 3), 1).shape([])
    (2, 3)
    """

    target: Shape
    axis: int
    made: Any = "i8"
    name = "indices"

    def __post_init__(self) -> None:
        self._keep(made=np.dtype(self.made))

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        if not -1 < self.axis < len(self.target):
            raise np.exceptions.AxisError(self.axis, len(self.target))
        return _checked(self.target)

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        return _coordinates(region, self.axis, args.dtype)


@dataclass(frozen=True)
class FromFunction(_Made):
    """What a function of coordinates says, element by element: `numpy.fromfunction`.

    Examples
    --------
    >>> FromFunction(np.add, (2, 3)).dtype([])
    dtype('float64')
    """

    function: Callable[..., Any]
    """Of as many arrays as there are axes, which are read-only views of the region's shape."""
    target: Shape
    coordinates: Any = "f8"
    """Dtype of the arrays that the function is given."""
    name = "fromfunction"

    def __post_init__(self) -> None:
        self._keep(coordinates=np.dtype(self.coordinates))

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        return _checked(self.target)

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        return _dtype_of(self)

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        found = np.asarray(self.given(region)).astype(args.dtype, copy=False)
        return np.broadcast_to(found, extents(region))

    def given(self, region: Region) -> Any:
        """What the function returns for a region."""
        axes = range(len(self.target))
        return self.function(*(_coordinates(region, axis, self.coordinates) for axis in axes))


@lru_cache(maxsize=1024)
def _dtype_of(operation: FromFunction) -> np.dtype[Any]:
    """Ask the function, about the first element."""
    with np.errstate(all="ignore"):
        found = operation.given((slice(0, 1),) * len(operation.target))
    return np.asarray(found).dtype


def _coordinates(region: Region, axis: int, dtype: np.dtype[Any]) -> Block:
    along = np.arange(region[axis].start, region[axis].stop).astype(dtype)
    lone = along.reshape([-1 if one == axis else 1 for one in range(len(region))])
    return np.broadcast_to(lone, extents(region))


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Literal) else value


def _checked(shape: Shape) -> Shape:
    if min(shape, default=0) < 0:
        raise ValueError(f"negative dimensions are not allowed: {shape}")
    return tuple(shape)
