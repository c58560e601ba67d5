"""Single machine operations that kernels of this package ask for by name; it computes nothing else.

Compiled code can call them, the interpreter cannot.  Kernels that do are keyed by this file, as
`oocarray.kernels.names` has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

__all__ = [
    "bits32",
    "bits64",
    "copysign",
    "fma",
    "from_bits32",
    "from_bits64",
    "horner",
    "inlined",
    "magnitude",
    "sqrt",
    "where",
]

_operation: Callable[[Callable[..., Any]], Any] = intrinsic
_WIDE = ir.IntType(64)
SPLIT = 6  # from so many terms on, even and odd powers are summed at once, in half the time


def _call(name: str) -> Callable[..., Any]:
    """Emit a call of the overloaded LLVM intrinsic of that name."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        function = builder.module.declare_intrinsic(name, [kind], _function(kind, len(args)))
        return builder.call(function, args)

    return emit


def _function(kind: Any, count: int) -> Any:
    return ir.FunctionType(kind, [kind] * count)


@_operation
def inlined(typing: Any) -> Any:
    """Inline the function this stands in wherever it is called: a call keeps a loop scalar."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("alwaysinline")
        return context.get_dummy_value()

    return types.none(), emit


@_operation
def fma(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z, rounded once, in the type of x."""
    return x(x, x, x), _call("llvm.fma")


@_operation
def sqrt(typing: Any, x: Any) -> Any:
    return x(x), _call("llvm.sqrt")


@_operation
def magnitude(typing: Any, x: Any) -> Any:
    return x(x), _call("llvm.fabs")


@_operation
def copysign(typing: Any, x: Any, sign: Any) -> Any:
    return x(x, x), _call("llvm.copysign")


@_operation
def where(typing: Any, condition: Any, x: Any, y: Any) -> Any:
    """x or y, both of which are computed: never a branch, and far less to compile than one."""
    kind = x if isinstance(y, types.Float) and y.bitwidth > x.bitwidth else y

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return kind(types.boolean, kind, kind), emit


def steps(builder: Any, at: Any, terms: list[Any]) -> Any:
    """Horner's rule."""
    total = terms[-1]
    for term in reversed(terms[:-1]):
        total = builder.fma(total, at, term)
    return total


@_operation
def horner(typing: Any, x: Any, coefficients: Any) -> Any:
    """The polynomial in x with these coefficients, constant term first, by fused steps."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at, packed = args
        kinds = list(signature.args[1])
        terms = [
            context.cast(builder, builder.extract_value(packed, i), kind, x)
            for i, kind in enumerate(kinds)
        ]
        if len(terms) < SPLIT:
            return steps(builder, at, terms)
        square = builder.fmul(at, at)
        odd = steps(builder, square, terms[1::2])
        return builder.fma(odd, at, steps(builder, square, terms[::2]))

    return x(x, coefficients), emit


@_operation
def bits64(typing: Any, x: Any) -> Any:
    """The bits of a float64 as an int64."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _WIDE)

    return types.int64(types.float64), emit


@_operation
def from_bits64(typing: Any, n: Any) -> Any:
    """The float64 with these bits."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), emit


@_operation
def bits32(typing: Any, x: Any) -> Any:
    """The bits of a float32 as an int64: numba computes with no other; LLVM narrows it."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sext(builder.bitcast(args[0], ir.IntType(32)), _WIDE)

    return types.int64(types.float32), emit


@_operation
def from_bits32(typing: Any, n: Any) -> Any:
    """The float32 with the low 32 of these bits."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.trunc(args[0], ir.IntType(32)), ir.FloatType())

    return types.float32(types.int64), emit
