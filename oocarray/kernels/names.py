"""Names and bytes of values that are the same in every process; it refuses to guess one."""

from __future__ import annotations

import functools
import hashlib
import struct
import sys
from types import BuiltinFunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

__all__ = ["digest", "is_numba_type", "known_name", "put", "scalar", "trusted"]

# What these hold is fixed by versions that are part of every key.
_TRUSTED = {*sys.stdlib_module_names, "numpy", "numba", "llvmlite"} - {"__main__"}
# Of ours, what extends the compiler: it has no bytecode to digest, so its source is.
_EXTENSIONS = ("oocarray.machine", "oocarray.vectormath.bits")


def digest(*parts: str | bytes) -> str:
    """Digest parts so that no two different sequences give the same bytes.

    Examples
    --------
    >>> digest("ab", "c") == digest("a", "bc")
    False
    """
    state = hashlib.sha256()
    put(state, *parts)
    return state.hexdigest()


def put(state: Any, *parts: str | bytes) -> None:
    """Add parts to a hash so that no two different sequences add the same bytes."""
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        state.update(struct.pack("<Q", len(data)))
        state.update(data)


def scalar(value: object) -> str | bytes:
    """Write a scalar exactly: every bit of a float, every digit of an int."""
    if isinstance(value, (str, bytes)):
        return value
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, complex):
        return struct.pack("<dd", value.real, value.imag)
    return hex(value) if isinstance(value, int) else repr(value)


def trusted(module: str) -> bool:
    """Whether versions that are part of every key fix what the module holds."""
    return module.partition(".")[0] in _TRUSTED


def is_numba_type(value: object) -> bool:
    """Whether the value is one of numba's types, told without importing numba."""
    return any(
        base.__name__ == "Type" and base.__module__.startswith("numba.")
        for base in type(value).__mro__
    )


def known_name(value: object) -> str | None:
    """Return the name under which a trusted module offers this very object."""
    if isinstance(value, np.ufunc):
        name = str(value.__name__)
        return f"numpy.{name}" if getattr(np, name, None) is value else None
    if isinstance(value, BuiltinFunctionType | MethodType):
        owner = value.__self__
        if not isinstance(owner, ModuleType):  # numpy.random.random and its like
            kind = type(owner)
            return f"{kind.__module__}.{value.__qualname__}" if trusted(kind.__module__) else None
    module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not (isinstance(module, str) and isinstance(path, str)):
        return None
    if not trusted(module) and module not in _EXTENSIONS:
        return None
    found: object = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if found is not value:
        return None
    return f"{module}.{path}{_version(module)}"


@functools.cache
def _version(module: str) -> str:
    if module not in _EXTENSIONS:
        return ""
    source = getattr(sys.modules[module], "__file__", None) or ""
    with open(source, "rb") as file:
        return f" {digest(file.read())}"
