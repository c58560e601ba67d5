"""What a kernel's code depends on, as one digest and a frozen copy; it refuses what it cannot name.

A compiled kernel holds the values its globals had when it was compiled.  So the digest covers
the bytecode and everything that bytecode reaches by name, and the copy that is compiled sees
exactly the values that were digested, whatever happens to the originals afterwards.
"""

from __future__ import annotations

import builtins
import dis
import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from oocarray.errors import KernelError
from oocarray.kernels.names import is_numba_type, known_name, put, scalar, trusted

__all__ = ["Options", "Snapshot", "take_snapshot"]

Options = dict[str, Any]
MAX_ARRAY = 10**6  # larger global arrays are compiled as addresses in this process
_SCALARS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
_UNSAFE_OPTIONS = {
    "parallel": "starts its own threads inside every worker",
    "forceobj": "does not run without the interpreter",
}


@dataclass
class _Function:
    """A function met on the walk, with the values of the names it uses."""

    func: FunctionType
    options: Options
    names: dict[str, object] = field(default_factory=dict)
    cells: list[object] = field(default_factory=list)


@dataclass(frozen=True)
class _Ref:
    """Stands for the compiled form of the function of that number."""

    number: int


class _Empty:
    """Stands for a closure cell that holds nothing yet."""


class Snapshot:
    """A function and all it reaches: `digest` names it, `freeze` copies it.

    Attributes
    ----------
    digest : str
        Equal for equal code, constants and referenced values, in any process.
    """

    def __init__(self, func: FunctionType, options: Options) -> None:
        self._functions: list[_Function] = []
        self._numbers: dict[tuple[int, str], int] = {}
        self._state = hashlib.sha256()
        self._root = func
        self._visit(func, options)
        self.digest: str = self._state.hexdigest()

    def freeze(self, jit: Callable[[FunctionType, Options], Any]) -> Any:
        """Copy every function with the values seen, and return ``jit(copy, options)`` of the first.

        The copies carry the digest in their qualified names: symbols of two kernels that were
        compiled in different processes must differ, or the linker would take one for the other.
        """
        copies = []
        for met in self._functions:
            func = met.func
            scope: dict[str, Any] = {"__name__": __name__, "__builtins__": builtins}
            closure = tuple(CellType() for _ in met.cells)
            copy = FunctionType(func.__code__, scope, func.__name__, None, closure)
            copy.__qualname__ = f"{func.__name__}_{self.digest[:16]}"
            copy.__module__ = __name__
            copies.append((met, copy))
        compiled = []
        for met, copy in copies:
            copy.__defaults__ = met.func.__defaults__  # part of the signature jit() reads at once
            copy.__kwdefaults__ = met.func.__kwdefaults__
            compiled.append(jit(copy, met.options))
        for met, copy in copies:
            copy.__globals__.update((k, _fill(v, compiled)) for k, v in met.names.items())
            for cell, value in zip(copy.__closure__ or (), met.cells, strict=True):
                if not isinstance(value, _Empty):
                    cell.cell_contents = _fill(value, compiled)
        return compiled[0]

    def _visit(self, func: FunctionType, options: Options) -> _Ref:
        """Digest a function once; later only its number, so cycles end."""
        identity = (id(func), _spell(options))
        number = self._numbers.setdefault(identity, len(self._functions))
        put(self._state, "function", str(number))
        if number < len(self._functions):
            return _Ref(number)
        _check_options(options, func.__name__)
        met = _Function(func, options)
        self._functions.append(met)
        put(self._state, func.__name__, identity[1])
        self._code(func.__code__)
        for value in (*(func.__defaults__ or ()), *(func.__kwdefaults__ or {}).values()):
            self._value(value, "default of an argument")
        cells = dict(zip(func.__code__.co_freevars, func.__closure__ or (), strict=True))
        seen = {name: _contents(cell) for name, cell in cells.items()}
        replaced: dict[str, object] = dict(seen)
        for kind, name, attributes in _references(func.__code__):
            if kind == "global":
                scope = func.__globals__
                if name not in scope:  # a builtin, or a name the compiler will report
                    put(self._state, "builtin", name)
                    continue
                met.names[name] = self._reference(scope[name], "global", name, attributes)
            elif name in seen:
                replaced[name] = self._reference(seen[name], "variable", name, attributes)
        met.cells = [replaced[name] for name in func.__code__.co_freevars]
        return _Ref(number)

    def _code(self, code: CodeType) -> None:
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        # repr() of ints and strings only: the same text in every process.
        put(self._state, "code", code.co_code, repr(counts), repr(names), code.co_exceptiontable)
        for const in code.co_consts:
            self._constant(const)

    def _constant(self, const: object) -> None:
        if isinstance(const, CodeType):
            self._code(const)
        elif isinstance(const, frozenset):  # its order differs from process to process
            members = sorted((type(item).__name__, repr(item)) for item in const)
            put(self._state, "frozenset", repr(members))
        elif isinstance(const, slice):
            put(self._state, "slice", repr(const))
        else:
            self._value(const, "constant")

    def _reference(
        self, value: object, kind: str, name: str, attributes: tuple[str, ...]
    ) -> object:
        """Digest what ``name.attribute...`` leads to; return what the copy gets for `name`."""
        start, path = value, name
        owner: ModuleType | None = None
        for attribute in attributes:
            if not isinstance(value, ModuleType):
                break
            owner, path = value, f"{path}.{attribute}"
            value = getattr(value, attribute, None)
            put(self._state, "attribute", attribute)
        put(self._state, kind, name)
        where = f"{kind} {path!r}"
        if owner is not None and trusted(owner.__name__) and not isinstance(value, _SCALARS):
            put(self._state, "name", owner.__name__, path)
        else:
            value = self._value(value, where)
        return start if owner is not None else value

    def _value(self, value: object, where: str) -> object:
        """Digest a value; return it, with compiled functions in it replaced by their numbers."""
        state = self._state
        if isinstance(value, _SCALARS) and type(value) in _SCALARS:
            put(state, type(value).__name__, scalar(value))
        elif isinstance(value, tuple):
            return self._tuple(value, where)
        elif isinstance(value, (np.ndarray, np.generic)):
            self._array(value, where)
        elif isinstance(value, np.dtype):
            put(state, "dtype", repr(value))
        elif isinstance(value, ModuleType):
            version = getattr(value, "__version__", None)
            if version is None and not trusted(value.__name__):
                raise self._refusal(where, value, "use its attributes by name")
            put(state, "module", value.__name__, str(version))
        elif isinstance(value, _Empty):
            put(state, "empty")
        elif is_numba_type(value):
            put(state, "type", repr(value))
        else:
            return self._callable(value, where)
        return value

    def _tuple(self, value: tuple[Any, ...], where: str) -> object:
        kind: Any = type(value)
        put(self._state, "tuple", str(len(value)))
        if kind is not tuple:
            fields = getattr(kind, "_fields", None)
            if fields is None:
                raise self._refusal(where, value, "make it a plain tuple")
            put(self._state, kind.__module__, kind.__qualname__, repr(fields))
        items = [self._value(item, f"item of {where}") for item in value]
        return tuple(items) if kind is tuple else kind(*items)

    def _array(self, value: np.ndarray | np.generic, where: str) -> None:
        if value.dtype.hasobject:
            raise self._refusal(where, value, "convert it to a fixed-size dtype")
        if value.nbytes > MAX_ARRAY:
            raise KernelError(
                f"{where} of kernel {self._root.__name__!r} is an array of {value.nbytes:,} bytes, "
                f"more than the {MAX_ARRAY:,} compiled code may carry; pass it as an argument"
            )
        flags = (value.flags.c_contiguous, value.flags.f_contiguous, value.flags.writeable)
        put(self._state, type(value).__name__, repr(value.dtype), repr(value.shape), repr(flags))
        put(self._state, value.tobytes())

    def _callable(self, value: object, where: str) -> object:
        inner = value if value is self._root else getattr(value, "py_func", None)
        if isinstance(inner, FunctionType):
            options = getattr(value, "targetoptions", None)
            return self._visit(inner, self._functions[0].options if options is None else options)
        name = known_name(value)
        if name is None:
            hint = "pass it as an argument, or make it a number, string, tuple or array"
            if isinstance(value, FunctionType):
                hint = "decorate it with kernel"
            raise self._refusal(where, value, hint)
        put(self._state, "known", name)
        return value

    def _refusal(self, where: str, value: object, hint: str) -> KernelError:
        return KernelError(
            f"{where} of kernel {self._root.__name__!r} is a {type(value).__name__}, "
            f"which compiled code cannot be kept for; {hint}"
        )


def take_snapshot(func: FunctionType, options: Options) -> Snapshot:
    """Walk a function and all it refers to.

    Parameters
    ----------
    func : function
    options : dict
        Compiler options of `func`; they are part of the digest.

    Raises
    ------
    KernelError
        A global or closure variable has no content that could be digested.

    Examples
    --------
    >>> def scale(out, x): out[0] = x * 2
    >>> take_snapshot(scale, {}).digest == take_snapshot(scale, {}).digest
    True
    """
    return Snapshot(func, options)


def _check_options(options: Options, name: str) -> None:
    """Refuse options that do not go with workers, or have no content to digest."""
    for option, value in options.items():
        if value and option in _UNSAFE_OPTIONS:
            raise KernelError(
                f"{name!r} has {option}=True, which {_UNSAFE_OPTIONS[option]}; leave it out"
            )
        if not isinstance(value, (bool, int, str, type(None), set, frozenset)):
            raise KernelError(
                f"{name!r} has {option}={value!r}, which cannot be kept; leave it out"
            )


def _spell(options: Options) -> str:
    plain = {k: sorted(v) if isinstance(v, (set, frozenset)) else v for k, v in options.items()}
    return repr(sorted(plain.items()))


@functools.lru_cache(maxsize=1024)
def _references(code: CodeType) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Find (kind, name, attributes read from it at once) of every name from outside."""
    return tuple(_scan(code))


def _scan(code: CodeType) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    for place, step in enumerate(steps):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            kind = "global"
        elif step.opname in ("LOAD_DEREF", "LOAD_FROM_DICT_OR_DEREF"):
            kind = "variable"
        else:
            continue
        attributes = []
        for after in steps[place + 1 :]:
            if after.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
                break
            attributes.append(after.argval)
        yield kind, step.argval, tuple(attributes)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _scan(const)


def _contents(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return _Empty()


def _fill(value: object, compiled: list[Any]) -> object:
    if isinstance(value, _Ref):
        return compiled[value.number]
    if isinstance(value, tuple):
        kind: Any = type(value)
        items = [_fill(item, compiled) for item in value]
        return tuple(items) if kind is tuple else kind(*items)
    return value
