"""Writes the loop of a formula as readable Python source; it compiles none and runs none.

The text depends on the structure of the formula only: numbers that the user wrote are handed to
the loop as inputs of one element, so that another number needs no other code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .. import jit
from ..errors import DtypeError
from ..operations.elementwise import Elementwise, Literal
from ..operations.scalar import ScalarFunction
from .formula import Formula, Step
from .word_loops import supported
from .words import Word, cast, loop_of, word

__all__ = ["Source", "spelled", "write_source"]

_SHORT = {
    np.dtype(code): code for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")
}
_DIVIDING = (np.floor_divide, np.remainder, np.fmod)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A loop: ``fused(table, n, status, ...)`` makes `n` elements by the addresses in a table."""

    text: str
    function: Callable[..., Any] | None
    """None where there is nothing to make."""
    constants: tuple[np.ndarray[Any, Any], ...]
    """Arrays of one element, which the loop takes after the inputs."""
    same: tuple[int, ...]
    """For each output the number of the input that it is equal to, or -1; those are not made."""
    fixed: bool
    """Whether the text says it all: no function of the user's is called."""


def spelled(step: Step, math: str) -> bool:
    """Whether a step can be part of a loop."""
    if not all(supported(dtype.newbyteorder("=")) for dtype in (*step.dtypes, step.dtype)):
        return False
    operation = step.operation
    if isinstance(operation, ScalarFunction):
        if operation.interpreted or operation.function is None:
            return False
        wanted = [operation.native(part, step.dtypes) for part in operation.template]
        return all(map(supported, wanted)) and _casts(operation.template, step.dtypes, wanted)
    if not isinstance(operation, Elementwise):
        return False
    found = _worded(step, math)
    return found is not None and _casts(operation.template, step.dtypes, found[1])


def _casts(template: Sequence[Any], dtypes: Sequence[np.dtype[Any]], wanted: Sequence[Any]) -> bool:
    """Whether every operand has a conversion to what is wanted of it."""
    return all(
        isinstance(part, Literal) or cast(dtypes[part].newbyteorder("="), dtype) is not None
        for part, dtype in zip(template, wanted, strict=False)
    )


def _worded(step: Step, math: str) -> tuple[Word, tuple[np.dtype[Any], ...]] | None:
    operation = step.operation
    assert isinstance(operation, Elementwise)
    native = tuple(dtype.newbyteorder("=") for dtype in step.dtypes)
    try:
        return _word(
            operation.function, operation.template, operation.kwargs, native, step.dtype, math
        )
    except TypeError:  # what is passed cannot be hashed
        return None


@lru_cache(maxsize=4096)
def _word(
    function: Callable[..., Any],
    template: tuple[Any, ...],
    kwargs: tuple[tuple[str, Any], ...],
    dtypes: tuple[np.dtype[Any], ...],
    dtype: np.dtype[Any],
    math: str,
) -> tuple[Word, tuple[np.dtype[Any], ...]] | None:
    given = tuple(
        _weak(part.value) if isinstance(part, Literal) else dtypes[part] for part in template
    )
    loop = loop_of(function, given, dict(kwargs))
    if loop is None or loop[-1] != dtype:
        return None
    told = dict(kwargs)
    limits = [part.value for part in template[1:] if isinstance(part, Literal)]
    if len(limits) == len(template) - 1 and all(value == value for value in limits):
        told["literal limits"] = True
    if len(template) == 2 and isinstance(template[1], Literal):
        value = template[1].value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            told["literal exponent"] = value
    found = word(function, loop, told, math)
    return None if found is None else (found, loop)


def _weak(value: Any) -> Any:
    return value.dtype if isinstance(value, np.generic) else value


class _Writer:
    """Puts the text of a formula together, and what it refers to."""

    def __init__(self, formula: Formula) -> None:
        self.formula = formula
        self.scope: dict[str, Any] = {"f8": np.float64, "np": np}
        self.constants: list[np.ndarray[Any, Any]] = []
        self.lines: list[str] = []
        self.rarely: list[str] = []
        self.rare: list[str] = []
        self.tests: list[str] = []
        self.fixed = True
        self.used: set[int] = set()

    def write(self) -> Source:
        formula = self.formula
        given = len(formula.inputs)
        for number, step in enumerate(formula.steps, given):
            self._step(number, step)
        same, stores = [], []
        for j, (number, dtype) in enumerate(formula.outputs):
            source = formula.dtype_of(number).newbyteorder("=")
            plain = number < given and source == dtype.newbyteorder("=") and dtype.kind != "b"
            same.append(number if plain and not formula.points[number] else -1)
            if same[-1] < 0:
                stores.append(f"store(t{j}, i, {self._cast(f'v{number}', source, dtype)})")
                self._need(number)
        if not stores:
            text = "# What is wanted are the inputs, as they are: nothing is made of them.\n"
            return Source(text, None, (), tuple(same), True)
        text = self._text(stores, same)
        function = _function(text, tuple(sorted(self.scope.items(), key=lambda one: one[0])))
        constants = tuple(self.constants)
        return Source(text, function, constants, tuple(same), self.fixed)

    def _need(self, number: int) -> str:
        self.used.add(number)
        return f"v{number}"

    def _step(self, number: int, step: Step) -> None:
        if isinstance(step.operation, ScalarFunction):
            self._scalar(number, step, step.operation)
            return
        found = _worded(step, self.formula.math)
        assert found is not None
        assert isinstance(step.operation, Elementwise)
        one, loop = found
        operands = []
        for at, part in enumerate(step.operation.template):
            if isinstance(part, Literal):
                if _mentions(one, at):
                    operands.append(self._constant(part.value, loop[at]))
                else:
                    operands.append("0")
            else:
                source = step.dtypes[part].newbyteorder("=")
                text = self._cast(self._need(step.args[part]), source, loop[at])
                calculated = step.args[part] >= len(self.formula.inputs)
                if calculated and "chosen(" in one.template and loop[at].kind == "f":
                    text = f"made({text})"
                operands.append(text)
        for name, value in one.needs:
            self.scope[name] = value
        operands = self._named(number, operands, one.template)
        line = self._result(number, one.template.format(*operands), loop[-1])
        self.lines.append(line)
        if step.operation.function in _DIVIDING and loop[-1].kind in "iu":
            self._divided(operands, loop[-1])
        if one.rare is not None and one.any is not None:
            self.rare.append(one.rare.format(*operands))
            self.rarely.append(self._result(number, one.any.format(*operands), loop[-1]))
        else:
            self.rarely.append(line)

    def _divided(self, operands: list[str], dtype: np.dtype[Any]) -> None:
        """Note what NumPy warns of, and the processor says nothing about."""
        self.tests.append(f"zero |= {operands[1]} == 0")
        if dtype.kind == "i":
            least = np.iinfo(dtype).min
            self.tests.append(f"over |= ({operands[0]} == {least}) & ({operands[1]} == -1)")

    def _named(self, number: int, operands: list[str], template: str) -> list[str]:
        """Give a name to what would otherwise be converted more than once."""
        found = []
        for at, text in enumerate(operands):
            if "(" in text and template.count(f"{{{at}}}") > 1:
                name = f"v{number}_{at}"
                self.lines.append(f"{name} = {text}")
                self.rarely.append(f"{name} = {text}")
                text = name
            found.append(text)
        return found

    def _scalar(self, number: int, step: Step, operation: ScalarFunction) -> None:
        self.fixed = False
        name = next(
            (k for k, v in self.scope.items() if getattr(v, "py_func", None) is operation.function),
            "",
        )
        if not name:
            name = f"user_{operation.name}" if operation.name.isidentifier() else f"user_{number}"
            while name in self.scope:
                name += "_"
            self.scope[name] = jit.kernel(operation.function)  # type: ignore[arg-type]
        operands = []
        for part in operation.template:
            dtype = operation.native(part, step.dtypes)
            if isinstance(part, Literal):
                operands.append(self._constant(part.value, dtype))
            else:
                source = step.dtypes[part].newbyteorder("=")
                operands.append(self._cast(self._need(step.args[part]), source, dtype))
        line = self._result(number, f"{name}({', '.join(operands)})", step.dtype.newbyteorder("="))
        self.lines.append(line)
        self.rarely.append(line)

    def _result(self, number: int, text: str, dtype: np.dtype[Any]) -> str:
        return f"v{number} = {self._type(dtype)}({text})"

    def _constant(self, value: Any, dtype: np.dtype[Any]) -> str:
        with np.errstate(all="ignore"):
            whole = isinstance(value, int)
            made = np.array(value, dtype) if whole else np.array(value).astype(dtype)
        key = made.dtype.str, made.tobytes()
        for at, known in enumerate(self.constants):
            if (known.dtype.str, known.tobytes()) == key:
                return f"c{at}"
        self.constants.append(made)
        return f"c{len(self.constants) - 1}"

    def _type(self, dtype: np.dtype[Any]) -> str:
        if dtype.kind == "b":
            return "bool"
        name = _SHORT[dtype.newbyteorder("=")]
        self.scope[name] = dtype.type
        return name

    def _cast(self, text: str, source: np.dtype[Any], wanted: np.dtype[Any]) -> str:
        if source == wanted.newbyteorder("="):
            return text
        found = cast(source, wanted.newbyteorder("="))
        if found is None:
            raise DtypeError(f"no word for the conversion of {source} to {wanted}")
        self.scope.update(found.needs)
        filled = found.template.format(text)
        return f"({filled})" if wanted.kind == "b" else f"{self._type(wanted)}({filled})"

    def _load(self, name: str, dtype: np.dtype[Any], index: str) -> str:
        if dtype.kind == "b":
            self.scope["u1"] = np.uint8
            return f"load({name}, u1, {index}) != 0"
        return f"load({name}, {self._type(dtype)}, {index})"

    def _text(self, stores: list[str], same: list[int]) -> str:
        from .. import machine

        formula = self.formula
        names = ("load", "store", "get", "put", "complaints", "clear_complaints", "made")
        self.scope.update((name, getattr(machine, name)) for name in names)
        lines = ["def fused(table, n, status, _3, _4, _5, _6, _7):"]
        loads, given = [], len(formula.inputs)
        for k, dtype in enumerate(formula.inputs):
            if k not in self.used:
                continue
            one = formula.points[k]
            more = ", one for all" if one else ""
            lines.append(f"    a{k} = get(table, {k})  # {dtype.newbyteorder('=')}{more}")
            loads.append((one, f"v{k} = {self._load(f'a{k}', dtype, '0' if one else 'i')}"))
        for at, made in enumerate(self.constants):
            lines.append(f"    c{at} = {self._load(f'get(table, {given + at})', made.dtype, '0')}")
        first = given + len(self.constants)
        for j, (_, dtype) in enumerate(formula.outputs):
            if same[j] < 0:
                lines.append(f"    t{j} = get(table, {first + j})  # {dtype}")
        lines += [f"    {text}" for one, text in loads if one]
        each = [text for one, text in loads if not one]
        lines.append("    clear_complaints()")
        if self.rare:
            lines.append("    rare = False")
        lines += [f"    {name} = False" for name in ("zero", "over") if self._tested(name)]
        lines.append("    for i in range(n):")
        tests = [*self.tests, *(f"rare |= {text}" for text in self.rare)]
        lines += [f"        {text}" for text in (*each, *self.lines, *tests, *stores)]
        if self.rare:
            lines.append("    if rare:  # for few elements the code above is not made")
            lines.append("        for i in range(n):")
            lines += [f"            {text}" for text in (*each, *self.rarely, *stores)]
        noted = "".join(
            f" | {bit} * int({name})"
            for name, bit in (("zero", 2), ("over", 4))
            if self._tested(name)
        )
        lines.append(f"    put(status, 0, get(status, 0) | complaints(){noted})")
        lines.append("    return 0")
        return "\n".join(lines) + "\n"

    def _tested(self, name: str) -> bool:
        return any(text.startswith(f"{name} ") for text in self.tests)


def _mentions(one: Word, at: int) -> bool:
    return any(f"{{{at}}}" in text for text in (one.template, one.rare or "", one.any or ""))


@lru_cache(maxsize=512)
def _function(text: str, scope: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    found: dict[str, Any] = dict(scope)
    exec(compile(text, "<fused by oocarray>", "exec"), found)
    made: Callable[..., Any] = found["fused"]
    return made


def write_source(formula: Formula) -> Source:
    """Write the loop of a formula whose steps are all spelled.

    Examples
    --------
    >>> from oocarray.operations.elementwise import Elementwise
    >>> f8 = np.dtype("f8")
    >>> add = Step(Elementwise(np.add, (0, Literal(2)), (), "add"), (0,), (f8,), f8)
    >>> print(write_source(Formula((f8,), (False,), (add,), ((1, f8),))).text)
    def fused(table, n, status, _3, _4, _5, _6, _7):
        a0 = get(table, 0)  # float64
        c0 = load(get(table, 1), f8, 0)
        t0 = get(table, 2)  # float64
        clear_complaints()
        for i in range(n):
            v0 = load(a0, f8, i)
            v1 = f8(v0 + c0)
            store(t0, i, v1)
        put(status, 0, get(status, 0) | complaints())
        return 0
    <BLANKLINE>
    """
    return _Writer(formula).write()
