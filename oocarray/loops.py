"""Tells of the loops of a stage: what is fused, what is not and why, and the code itself."""

from __future__ import annotations

from typing import Any

from .estimate import stage_bytes
from .fusing.operation import Fused
from .fusing.source import write_source
from .lazy.fuse import LEAST_BYTES
from .plan import Options, Result, Source, Stage
from .program import Apply, Input, applies_in, tops_in
from .storage.filekey import MEMORY
from .storage.layout import Strided
from .storage.naming import path_of
from .storage.tiled import Tiled
from .units import format_bytes, format_count

__all__ = ["loop_source", "loop_words", "named"]


def named(source: Source, base: int = 0) -> str:
    """What is read, in words; `base` is the number of the first stage."""
    if isinstance(source, Strided | Tiled) and source.file.path != MEMORY:
        where = path_of(source)
    elif isinstance(source, Result):
        where = f"the result of stage {base + source.stage}"
    else:
        where = "array in memory"
    return f"{where} {source.shape} {source.dtype}, {format_bytes(source.nbytes)}"


def loop_words(stage: Stage, options: Options) -> list[str]:
    """How the operations of a stage are made."""
    nodes = _operations(stage)
    fused = {
        id(node.operation): node.operation for node in nodes if isinstance(node.operation, Fused)
    }
    if fused:
        steps = sum(len(one.formula.steps) for one in fused.values())
        if not steps:
            return ["all that is reduced takes each element while it is in the cache"]
        loops = "one loop" if len(fused) == 1 else f"{len(fused)} loops"
        words = f"{loops} of {format_count(steps, 'operation')}, no block in between"
        others = len(nodes) - sum(isinstance(node.operation, Fused) for node in nodes)
        return [f"{words}; {format_count(others, 'other')} by NumPy" if others else words]
    pointwise = [node for node in nodes if node.operation.pointwise]
    if not pointwise:
        return []
    count = format_count(len(nodes), "operation")
    return [f"{count} by NumPy, portion by portion: {_why(stage, options)}"]


def _why(stage: Stage, options: Options) -> str:
    if options.fuse is False:
        return "fuse=False"
    if options.on_error != "raise":
        return f"on_error={options.on_error!r}"
    if options.fuse is None and sum(stage_bytes(stage)) < LEAST_BYTES:
        return f"less than {format_bytes(LEAST_BYTES)} to read and write"
    return "no words for them in a loop"


def loop_source(stage: Stage) -> list[str]:
    """The generated code of a stage, with what its inputs are."""
    lines = []
    seen: set[int] = set()
    for node in _operations(stage):
        operation = node.operation
        if not isinstance(operation, Fused) or id(operation) in seen:
            continue
        seen.add(id(operation))
        source = write_source(operation.formula)
        lines += [f"# {_input(arg, stage)} -> v{k}" for k, arg in enumerate(node.args)]
        lines += [f"# {one[()]!s} -> c{k}" for k, one in enumerate(source.constants)]
        lines += source.text.splitlines()
    return [f"    {line}" for line in lines]


def _input(arg: Any, stage: Stage) -> str:
    if isinstance(arg, Input):
        return named(stage.reads[arg.access].source)
    if isinstance(arg, Apply):
        return f"{arg.operation.name} {arg.shape} {arg.dtype}"
    call = getattr(arg, "call", arg)
    return f"blocks of {call.name}"


def _operations(stage: Stage) -> list[Apply]:
    tops = tops_in(getattr(stage.kernel, "values", ()))
    found = {id(node): node for top in tops for node in applies_in(top)}
    return list(found.values())
