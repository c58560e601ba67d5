"""What compiled code does with addresses, calls through them, and complaints of the processor.

Everything here is for code that is compiled: called by the interpreter, these names raise.  They
check nothing; whoever hands out an address must know what lies there.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils as _cgutils
from numba.core import types
from numba.extending import intrinsic as _intrinsic
from numba.extending import register_jitable
from numba.np.numpy_support import carray

__all__ = [
    "array_at",
    "call",
    "chosen",
    "clear_complaints",
    "complaints",
    "copy",
    "get",
    "load",
    "made",
    "pick",
    "put",
    "store",
]

# Known to the compiler of kernels only: whoever checks the types of Python is told nothing.
cgutils: Any = _cgutils
intrinsic: Any = _intrinsic

# What a fused loop reads and what it writes never overlap (see `oocarray.fusing.stream`): told to
# the compiler, it needs no comparisons of addresses, of which it makes a limited number only.
_DOMAIN = "oocarray"
_WRITTEN = "written"


def _scope(builder: Any) -> Any:
    module = builder.module
    domain = module.add_metadata([ir.MetaDataString(module, _DOMAIN)])
    scope = module.add_metadata([ir.MetaDataString(module, _WRITTEN), domain])
    return module.add_metadata([scope])


def _pointer(context: Any, builder: Any, item: Any, address: Any, index: Any = None) -> Any:
    data = context.data_model_manager[item].get_data_type()
    pointer = builder.inttoptr(address, data.as_pointer())
    return pointer if index is None else builder.gep(pointer, [index])


def _keep_simple(builder: Any) -> None:
    """Have loops around this compiled as they stand: to make vectors of them takes seconds."""
    builder.asm(ir.FunctionType(ir.VoidType(), []), "", "", [], True)


@intrinsic
def load(typingctx, address, dtype, index):  # type: ignore[no-untyped-def]
    """Element `index` of the items of `dtype` at an address."""
    item = dtype.dtype

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        found = builder.load(_pointer(context, builder, item, args[0], args[2]))
        found.set_metadata("noalias", _scope(builder))
        return context.data_model_manager[item].from_data(builder, found)

    return item(address, dtype, index), codegen


@intrinsic
def copy(typingctx, to, at, count):  # type: ignore[no-untyped-def]
    """Copy so many bytes that do not overlap."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        byte = ir.IntType(8).as_pointer()
        pointers = [builder.inttoptr(address, byte) for address in args[:2]]
        cgutils.raw_memcpy(builder, *pointers, args[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def pick(typingctx, to, at, dtype):  # type: ignore[no-untyped-def]
    """Copy one item of `dtype`, aligned or not; not many at once, as steps are too wide for it."""
    item = dtype.dtype

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        here, there = (_pointer(context, builder, item, address) for address in args[:2])
        builder.store(builder.load(there, align=1), here, align=1)
        _keep_simple(builder)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, dtype), codegen


@intrinsic
def store(typingctx, address, index, value):  # type: ignore[no-untyped-def]
    """Put a value where element `index` of the items of its type at an address is."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        item = signature.args[2]
        data = context.data_model_manager[item].as_data(builder, args[2])
        put = builder.store(data, _pointer(context, builder, item, args[0], args[1]))
        put.set_metadata("alias.scope", _scope(builder))
        return context.get_dummy_value()

    return types.void(address, index, value), codegen


@intrinsic
def get(typingctx, address, index):  # type: ignore[no-untyped-def]
    """Number `index` of a table of integers."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.load(_pointer(context, builder, types.int64, args[0], args[1]))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def put(typingctx, address, index, value):  # type: ignore[no-untyped-def]
    """Set number `index` of a table of integers."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        builder.store(args[2], _pointer(context, builder, types.int64, args[0], args[1]))
        _keep_simple(builder)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def _void_pointer(typingctx, address):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(address), codegen


@register_jitable
def array_at(address, shape, dtype):  # type: ignore[no-untyped-def]
    """The memory at an address as an array in C order."""
    return carray(_void_pointer(address), shape, dtype)


@intrinsic
def call(typingctx, address, a, b, c, d, e, f, g, h):  # type: ignore[no-untyped-def]
    """Call compiled code that takes eight integers and returns one; what it raises is raised."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kinds = [types.int64] * 8
        form = context.call_conv.get_function_type(types.int64, kinds)
        function = builder.inttoptr(args[0], form.as_pointer())
        status, found = context.call_conv.call_function(
            builder, function, types.int64, kinds, list(args[1:])
        )
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return found

    return types.int64(*(types.int64,) * 9), codegen


def _is_x86() -> bool:
    import platform

    return platform.machine().lower() in ("x86_64", "amd64")


@intrinsic
def clear_complaints(typingctx):  # type: ignore[no-untyped-def]
    """Forget what the floating point unit has complained of."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        word = ir.IntType(32)
        if _is_x86():
            place = cgutils.alloca_once(builder, word)
            _control(builder, "stmxcsr", place)
            kept = builder.and_(builder.load(place), ir.Constant(word, ~0x3F & 0xFFFFFFFF))
            builder.store(kept, place)
            _control(builder, "ldmxcsr", place)
        else:
            form = ir.FunctionType(word, [word])
            clear = cgutils.get_or_insert_function(builder.module, form, "feclearexcept")
            builder.call(clear, [ir.Constant(word, 0x1F)])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def complaints(typingctx):  # type: ignore[no-untyped-def]
    """What it has complained of since: 1 invalid, 2 divide by zero, 4 overflow, 8 underflow."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        word, wide = ir.IntType(32), ir.IntType(64)
        if _is_x86():
            place = cgutils.alloca_once(builder, word)
            _control(builder, "stmxcsr", place)
            found = builder.load(place)
            # Its bits: invalid, denormal, divide, overflow, underflow, inexact.
            invalid = builder.and_(found, ir.Constant(word, 1))
            others = builder.and_(builder.lshr(found, ir.Constant(word, 1)), ir.Constant(word, 14))
            return builder.zext(builder.or_(invalid, others), wide)
        form = ir.FunctionType(word, [word])
        test = cgutils.get_or_insert_function(builder.module, form, "fetestexcept")
        # On AArch64: invalid, divide, overflow, underflow from the lowest bit on.
        return builder.zext(builder.call(test, [ir.Constant(word, 0xF)]), wide)

    return types.int64(), codegen


def _control(builder: Any, name: str, place: Any) -> None:
    byte = ir.IntType(8).as_pointer()
    form = ir.FunctionType(ir.VoidType(), [byte])
    function = cgutils.get_or_insert_function(builder.module, form, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(place, byte)])


@intrinsic
def chosen(typingctx, condition, one, other):  # type: ignore[no-untyped-def]
    """``one if condition else other`` of two floats of one type, without a branch."""
    if one != other or one not in (types.float32, types.float64):
        return None

    def emit(context, builder, signature, args):  # type: ignore[no-untyped-def]
        holds = context.is_true(builder, signature.args[0], args[0])
        return builder.select(holds, args[1], args[2])

    return one(condition, one, other), emit


@intrinsic
def made(typingctx, value):  # type: ignore[no-untyped-def]
    """A float that was calculated, calculated whatever becomes of it.

    On processors with masks the compiler makes a division or a root only where `chosen` takes it:
    what NumPy complains of elsewhere would go untold. What is canonical already stays as it is.
    """
    if value not in (types.float32, types.float64):
        return None

    def emit(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (kind,) = (arg.type for arg in args)
        name = f"llvm.canonicalize.f{value.bitwidth}"
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind]), name
        )
        return builder.call(function, args)

    return value(value), emit
