"""Compiles what a plan's stages need, once, in this process; it runs no kernel."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import jit
from ..errors import DtypeError, KernelError
from ..estimate import calls_of
from ..fusing.lead import Code
from ..fusing.operation import Fused
from ..fusing.source import write_source
from ..fusing.stream import compiled_drive, compiled_move
from ..grid import Grid
from ..leaves.loops import Recipe
from ..leaves.rule import compiled_each, compiled_rule, compiled_turn
from ..operations.scalar import ScalarFunction
from ..plan import Access, Blocks, InMemory, Partials, Plan, Result, Stage
from ..program import (
    ALL,
    BLOCK_ID,
    Apply,
    Call,
    Input,
    Operand,
    Program,
    Tile,
    applies_in,
    dtype_of,
    tops_in,
    transformed,
)
from ..runtime.remote.memory import travelling_order
from ..storage.filekey import MEMORY, FileKey
from ..storage.layout import Strided
from ..storage.strides import dense_strides

__all__ = ["NotFused", "compile_plan", "needs_kernels"]

_NOWHERE = FileKey(MEMORY, 0, 0, 0, 0)


_LOOP = (jit.ScalarArg("int"),) * 8
_loops: dict[str, jit.Compiled] = {}


class NotFused(Exception):
    """A loop that was generated cannot be compiled; NumPy can do without it."""


def needs_kernels(plan: Plan) -> bool:
    """Whether any stage runs compiled code."""
    return any(
        any(isinstance(call.function, jit.Kernel) for call in calls_of(stage))
        or any(isinstance(write, Partials) for write in stage.writes)
        or _has_loops(stage)
        for stage in plan.stages
    )


def _has_loops(stage: Stage) -> bool:
    """Whether operations of a stage are fused, or call a compiled function for each element."""
    tops = tops_in(getattr(stage.kernel, "values", ()))
    operations = [node.operation for top in tops for node in applies_in(top)]
    return any(
        isinstance(one, Fused) or (isinstance(one, ScalarFunction) and not one.interpreted)
        for one in operations
    )


def compile_plan(plan: Plan) -> Plan:
    """Return the plan with the code of its kernels in place.

    Signatures follow from grids and layouts, never from a block: the odd block at an edge
    must not need another one.

    Raises
    ------
    KernelError, DtypeError
        A kernel cannot be compiled for the arrays it gets.
    NotFused
        A loop made of operations cannot be compiled.
    """
    return replace(plan, stages=tuple(_compile_stage(stage) for stage in plan.stages))


def _compile_stage(stage: Stage) -> Stage:
    program = stage.kernel
    if not isinstance(program, Program):
        return stage
    strided = {
        id(getattr(value, "call", value))
        for value, write in zip(program.values, stage.writes, strict=True)
        if isinstance(write, Blocks) and _order(write.target, write.grid) != "C"
    }
    reduced: dict[int, list[Recipe]] = {}
    for value, write in zip(program.values, stage.writes, strict=True):
        if isinstance(write, Partials) and _fused(value) is not None:
            reduced.setdefault(id(_fused(value)), []).append(write.reduction.plain)
    values = transformed(program.values, _Compiler(stage, strided, reduced))
    codes = []
    for value, write in zip(values, stage.writes, strict=True):
        alone = isinstance(write, Partials) and _fused(value) is None
        wanted = write.reduction.kernel() if isinstance(write, Partials) and alone else None
        codes.append(None if wanted is None else jit.compile_kernel(*wanted))
    reductions = tuple(getattr(write, "reduction", None) for write in stage.writes)
    return replace(stage, kernel=Program(values, tuple(codes), reductions))


def _fused(value: Any) -> Fused | None:
    operation = value.node.operation if isinstance(value, Tile) else None
    return operation if isinstance(operation, Fused) else None


def _loop_code(operation: Fused, recipes: Sequence[Recipe]) -> Code:
    """Compile the loop of a formula, and the rules of what is reduced of it."""
    formula = operation.formula
    try:
        source = write_source(formula)
        loop = None
        if source.function is not None:
            loop = _loops.get(source.text) if source.fixed else None
            if loop is None:
                loop = jit.compile_kernel(source.function, _LOOP)
            if source.fixed:
                _loops[source.text] = loop
    except (KernelError, DtypeError) as error:
        raise NotFused(str(error)) from error
    return Code(
        loop,
        compiled_drive(),
        compiled_move(),
        compiled_each(),
        compiled_turn(),
        tuple((recipe, compiled_rule(recipe)) for recipe in dict.fromkeys(recipes)),
        (*formula.points, *(True,) * len(source.constants)),
        tuple(dtype.itemsize for _, dtype in formula.outputs),
        source.same,
        source.constants,
    )


class _Compiler:
    """Fills in the code of each kernel call of a program, and of each fused operation."""

    def __init__(
        self, stage: Stage, strided: set[int], reduced: Mapping[int, Sequence[Recipe]]
    ) -> None:
        self.stage, self.strided, self.reduced = stage, strided, reduced

    def __call__(self, node: Any, original: Any) -> Any:
        if isinstance(node, Call) and isinstance(node.function, jit.Kernel):
            return self.compiled(node, id(original) in self.strided)
        if isinstance(node, Apply) and isinstance(node.operation, ScalarFunction):
            code = node.operation.compiled(node.dtypes, node.shapes, node.dtype)
            return replace(node, operation=code)
        if isinstance(node, Apply) and isinstance(node.operation, Fused):
            made = _loop_code(node.operation, self.reduced.get(id(node.operation), ()))
            return replace(node, operation=replace(node.operation, code=made))
        return node

    def compiled(self, call: Call, strided: bool) -> Call:
        kernel = call.function
        outs = () if call.form == "update" else (None,) * len(call.dtypes)
        args = _bound(kernel, call, outs)
        layout: Any = "A" if strided else "C"
        ndim = call.grid.ndim - len(call.apart)
        types: list[Any] = [
            jit.ArrayArg(dtype.newbyteorder("="), ndim, layout, readonly=False)
            for dtype in call.dtypes[: len(outs)]
        ]
        for position, arg in enumerate(args):
            changes = call.form == "update" and position == 0
            types.append(self.type_of(arg, changes, call.grid.ndim))
        code = jit.compile_kernel(kernel, tuple(types))
        return replace(call, args=args, kwargs={}, wants=(), code=code, strided_out=strided)

    def type_of(self, arg: Any, changes: bool, ndim: int) -> Any:
        if arg is BLOCK_ID:
            return jit.TupleArg((jit.ScalarArg("int"),) * ndim)
        if not isinstance(arg, Operand):
            return jit.arg_type(arg)
        node = arg.node
        if not isinstance(node, Input):
            return jit.ArrayArg(dtype_of(node).newbyteorder("="), node.grid.ndim, "C")
        access: Access = self.stage.reads[node.access]
        dtype = access.source.dtype
        order: Any = _order(access.source, _joined(node.grid, arg.axes))
        aligned = not isinstance(access.source, Strided) or access.source.aligned
        if isinstance(access.source, InMemory):
            aligned = bool(access.source.array.flags.aligned)
        if not dtype.isnative:
            # Kernels get a converted copy, whose layout follows the block's.
            order, aligned = "A", True
        return jit.ArrayArg(
            dtype.newbyteorder("="), node.grid.ndim, order, readonly=not changes, aligned=aligned
        )


def _order(source: Any, grid: Grid) -> str:
    """Contiguity that every block of `grid` has in a source."""
    if isinstance(source, Strided):
        order = source.block_order(grid)
        if source.file.path != MEMORY:
            return order
        # Memory of this process is seen where it lies, and by workers elsewhere as it arrives.
        dense = dense_strides(source.shape, source.itemsize, travelling_order(source))
        same = Strided(_NOWHERE, 0, source.shape, source.dtype, dense).block_order(grid) == order
        return order if same else "A"
    if isinstance(source, InMemory):
        # Shared memory holds it in C order; where it is used as it is, it may be anything.
        array = source.array
        if not array.flags.c_contiguous:
            return "A"
        strides = array.strides
        return Strided(_NOWHERE, 0, array.shape, array.dtype, strides).block_order(grid)
    if isinstance(source, Result):
        shape, itemsize = source.shape, source.dtype.itemsize
        strides = np.empty(shape, np.int8).strides if np.prod(shape) < 1 << 20 else ()
        if len(strides) != len(shape):
            return "A"
        return Strided(
            _NOWHERE, 0, shape, source.dtype, tuple(s * itemsize for s in strides)
        ).block_order(grid)
    return "A"


def _joined(grid: Grid, axes: tuple[int, ...]) -> Grid:
    """The grid with each axis that is passed whole as one block."""
    return Grid(
        (sum(sizes),) if axis == ALL else sizes
        for sizes, axis in zip(grid.chunks, axes, strict=True)
    )


def _bound(kernel: Callable[..., Any], call: Call, outs: tuple[None, ...]) -> tuple[Any, ...]:
    """Arguments in the order of the kernel's parameters: compiled code takes no keywords."""
    function: Any = kernel.func  # type: ignore[attr-defined]
    kwargs = dict(call.kwargs)
    if "block_id" in call.wants:
        kwargs["block_id"] = BLOCK_ID
    if "block_info" in call.wants:
        raise KernelError(f"{call.name}: a kernel can take block_id, but not block_info")
    try:
        bound = inspect.signature(function).bind(*outs, *call.args, **kwargs)
    except TypeError as error:
        filled = f"{len(outs)} output block(s), " if outs else ""
        raise KernelError(
            f"kernel {call.name!r} is called with {filled}{len(call.args)} argument(s): {error}"
        ) from None
    bound.apply_defaults()
    args = bound.args[len(outs) :]
    return tuple(map(_literal, args))


def _literal(arg: Any) -> Any:
    """An argument that is passed whole, as compiled code can take it."""
    if not isinstance(arg, np.ndarray):
        return arg
    # Shared memory keeps arrays in C order: so does the signature.
    native = arg.dtype if arg.dtype.isnative else arg.dtype.newbyteorder("=")
    return np.ascontiguousarray(arg, native) if arg.ndim else arg.astype(native, copy=False)
