"""A user's function of scalars, applied to every element; it never compiles in a worker.

Its loop is an ordinary kernel (`oocarray.jit`): keyed by the function's code and by the values
of its globals and closure, compiled in the process that plans, sent to workers as object code.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from .. import jit
from ..errors import KernelError
from ..grid import Chunks, Region
from .base import Arguments, Block, Operation, Shape, extents
from .elementwise import Literal, Spread, merged_cuts, spread_shape

__all__ = ["MOST", "ScalarFunction"]

MOST = 8
"""Parameters that a compiled function may have; each number of them is written out below."""

Function = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class ScalarFunction(Operation):
    """A function of scalars, called for each element of arrays that are broadcast.

    Examples
    --------
    >>> def ratio(x, k):
    ...     return x / k
    >>> op = ScalarFunction(ratio, (0, Literal(2)), None, "ratio")
    >>> op.shape([(3,)]), op.dtype([np.dtype("i2")])
    ((3,), dtype('float64'))
    """

    function: Function | None
    template: tuple[Any, ...]
    """What it is called with: numbers of arguments, and `Literal`."""
    result: np.dtype[Any] | None
    """Dtype of the result; None: what the compiler infers for the dtypes of the arguments."""
    name: str
    interpreted: bool = False
    """Called by the interpreter, for functions that cannot be compiled; `result` must be given."""
    code: jit.Compiled | None = field(default=None, repr=False)
    """Its loop, for the arguments of one plan; no part of what makes two equal."""

    @property
    def _key(self) -> tuple[Any, ...]:
        # NumPy takes None for float64 where it compares dtypes: the types are compared first.
        how = type(self.result), self.result, self.interpreted
        return self.function, self.template, self.name, *how

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScalarFunction) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        return spread_shape(shapes)

    def dtype(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        if self.result is not None:
            return self.result
        # Kept, so that an array's dtype stays as it was told when a global changes later.
        told: dict[Any, np.dtype[Any]] = vars(self).setdefault("_told", {})
        given = tuple(dtypes)
        if given not in told:
            told[given] = self._inferred(given)
        return told[given]

    def reach(self, k: int, shapes: Sequence[Shape]) -> Spread | None:
        mine = tuple(shapes[k])
        return None if mine == spread_shape(shapes) else Spread(mine)

    def chunks(self, chunks: Sequence[Chunks | None], shapes: Sequence[Shape]) -> Chunks | None:
        return merged_cuts(chunks, shapes)

    pointwise = True

    def make(self, region: Region, args: Arguments, out: Block | None) -> Block:
        shape = extents(region)
        blocks = [
            np.asarray(args.pull(k, Spread(own).regions(region)[0]))
            for k, own in enumerate(args.shapes)
        ]
        fortran = any(
            block.shape == shape and block.ndim > 1 and block.strides[0] < block.strides[-1]
            for block in blocks
        )
        made = out
        if made is None or not _fits(made, args.dtype, fortran):
            made = np.empty(shape, args.dtype.newbyteorder("="), "F" if fortran else "C")
        if self.interpreted:
            self._call(_flat(made, fortran), blocks, shape, fortran)
        else:
            arrays = tuple(self._arrays(blocks, args, shape, fortran))
            code = self.code or self._code(args.dtypes, args.shapes, args.dtype)
            jit.load(code)(_flat(made, fortran), arrays)
        return made if made is out else made.astype(args.dtype, copy=False)

    def compiled(
        self, dtypes: Sequence[np.dtype[Any]], shapes: Sequence[Shape], dtype: np.dtype[Any]
    ) -> ScalarFunction:
        """The same with its loop compiled; for the function as it is now, globals and all.

        Raises
        ------
        KernelError, DtypeError
            It cannot be compiled for these arguments.
        """
        if self.interpreted:
            return self
        return replace(self, code=self._code(dtypes, shapes, dtype))

    def _code(
        self, dtypes: Sequence[np.dtype[Any]], shapes: Sequence[Shape], dtype: np.dtype[Any]
    ) -> jit.Compiled:
        out = jit.ArrayArg(dtype.newbyteorder("="), 1, readonly=False)
        return self._compile(_loop, out, dtypes, shapes)

    def _inferred(self, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        """Compile the function for an array of what it returns, and make one without elements."""
        code = self._compile(_array, jit.ScalarArg("int"), dtypes, [(2,)] * len(dtypes))
        empty = tuple(np.empty(0, self.native(part, dtypes)) for part in self.template)
        none: Block = jit.load(code)(0, empty)
        return np.dtype(none.dtype)

    def _compile(
        self,
        form: Callable[[Function], Function],
        first: jit.ArgType,
        dtypes: Sequence[np.dtype[Any]],
        shapes: Sequence[Shape],
    ) -> jit.Compiled:
        steps = [
            0 if isinstance(part, Literal) or _single(shapes[part]) else -1
            for part in self.template
        ]
        types = [jit.ArrayArg(self.native(part, dtypes), 1) for part in self.template]
        scalar = jit.kernel(cast(Function, self.function))
        loop = form(jit.kernel(_PICKS[len(steps) - 1](scalar, *steps)))
        loop.__name__ = self.name  # errors tell the function by it
        try:
            return jit.compile_kernel(loop, (first, jit.TupleArg(tuple(types))))
        except KernelError as error:
            raise KernelError(
                f"{error}\nor leave {self.name!r} to the interpreter, element by element: "
                "@oocarray.elementwise(compile=False, dtype=...)"
            ) from error.__cause__

    def native(self, part: Any, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
        """Dtype in which the function gets a part of the template, for arguments of some dtypes."""
        if isinstance(part, Literal):
            others = [one.value.dtype for one in self.template if _strong(one)]
            return _dtype_among(part.value, [*dtypes, *others])
        dtype: np.dtype[Any] = dtypes[part]
        return dtype.newbyteorder("=")

    def _arrays(
        self, blocks: Sequence[Block], args: Arguments, shape: Shape, fortran: bool
    ) -> Iterator[Block]:
        """What compiled code takes: one axis, contiguous, native, aligned; of scalars one element.

        An argument that has only one element is not repeated: the loop stands still on it.
        """
        for part in self.template:
            dtype = self.native(part, args.dtypes)
            if isinstance(part, Literal):
                yield np.array([part.value], dtype)
                continue
            block = blocks[part]
            if not _single(args.shapes[part]):
                block = np.broadcast_to(block, shape)
            yield np.require(block.T if fortran else block, dtype, ("C", "A")).reshape(-1)

    def _call(self, out: Block, blocks: Sequence[Block], shape: Shape, fortran: bool) -> None:
        """Call the function for one element after the other, as `numpy.vectorize` does."""
        columns: list[Any] = []
        for part in self.template:
            if isinstance(part, Literal):
                columns.append(itertools.repeat(part.value))
            else:
                columns.append(_flat(np.broadcast_to(blocks[part], shape), fortran))
        function = cast(Function, self.function)
        for at, values in zip(range(out.size), zip(*columns, strict=False), strict=False):
            out[at] = function(*values)

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name != "_told"}
        if self.code is not None:
            # Code holds the function and its globals as they were; workers need neither.
            state["function"] = None
        return state


def _single(shape: Shape) -> bool:
    return math.prod(shape) == 1


def _strong(part: Any) -> bool:
    return isinstance(part, Literal) and isinstance(part.value, np.generic)


def _flat(block: Block, fortran: bool) -> Block:
    """Its elements along one axis, in the order of memory; a view if they are contiguous."""
    return (block.T if fortran else block).reshape(-1)


def _fits(out: Block, dtype: np.dtype[Any], fortran: bool) -> bool:
    flags = out.flags
    contiguous = flags.f_contiguous if fortran else flags.c_contiguous
    return bool(out.dtype == dtype and dtype.isnative and contiguous and flags.aligned)


def _dtype_among(value: Any, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
    """Dtype of a scalar among arrays: Python's numbers are as wide as those, and keep their kind.

    Examples
    --------
    >>> f4, i2 = np.dtype("f4"), np.dtype("i2")
    >>> _dtype_among(2.0, [f4]), _dtype_among(2, [f4]), _dtype_among(2, [i2])
    (dtype('float32'), dtype('int64'), dtype('int16'))
    """
    if isinstance(value, np.generic):
        return value.dtype
    numbers = [dtype for dtype in dtypes if dtype.kind in "biufc"]
    widest: Any = np.result_type(*numbers, np.bool).newbyteorder("=")
    if isinstance(value, complex):
        return np.result_type(widest, 1j)
    if isinstance(value, float):
        return np.dtype(np.finfo(widest).dtype if widest.kind in "fc" else float)
    if isinstance(value, bool):
        return np.dtype(bool)
    # Beside floats it stays an integer, so that a function can count with it.
    return np.dtype(widest if widest.kind in "iu" else np.int64)


def _loop(pick: Function) -> Function:
    def loop(out, arrays):  # type: ignore[no-untyped-def]
        for i in range(out.size):
            out[i] = pick(arrays, i)

    return loop


def _array(pick: Function) -> Function:
    def array(size, arrays):  # type: ignore[no-untyped-def]
        return np.array([pick(arrays, i) for i in range(size)])

    return array


# A pick calls the function with elements number i of arrays.  The step of an array, -1 or 0, is
# a constant of the code, which then reads element i or the only one: loops stay simple enough
# for the compiler to use vector instructions.


def _pick1(f: Function, a: int) -> Function:
    return lambda t, i: f(t[0][i & a])


def _pick2(f: Function, a: int, b: int) -> Function:
    return lambda t, i: f(t[0][i & a], t[1][i & b])


def _pick3(f: Function, a: int, b: int, c: int) -> Function:
    return lambda t, i: f(t[0][i & a], t[1][i & b], t[2][i & c])


def _pick4(f: Function, a: int, b: int, c: int, d: int) -> Function:
    return lambda t, i: f(t[0][i & a], t[1][i & b], t[2][i & c], t[3][i & d])


def _pick5(f: Function, a: int, b: int, c: int, d: int, e: int) -> Function:
    return lambda t, i: f(t[0][i & a], t[1][i & b], t[2][i & c], t[3][i & d], t[4][i & e])


def _pick6(f: Function, a: int, b: int, c: int, d: int, e: int, g: int) -> Function:
    return lambda t, i: f(
        t[0][i & a], t[1][i & b], t[2][i & c], t[3][i & d], t[4][i & e], t[5][i & g]
    )


def _pick7(f: Function, a: int, b: int, c: int, d: int, e: int, g: int, h: int) -> Function:
    return lambda t, i: f(
        t[0][i & a], t[1][i & b], t[2][i & c], t[3][i & d], t[4][i & e], t[5][i & g], t[6][i & h]
    )


def _pick8(f: Function, a: int, b: int, c: int, d: int, e: int, g: int, h: int, j: int) -> Function:
    return lambda t, i: f(
        *(t[0][i & a], t[1][i & b], t[2][i & c], t[3][i & d]),
        *(t[4][i & e], t[5][i & g], t[6][i & h], t[7][i & j]),
    )


_PICKS: tuple[Callable[..., Function], ...] = (
    *(_pick1, _pick2, _pick3, _pick4),
    *(_pick5, _pick6, _pick7, _pick8),
)
