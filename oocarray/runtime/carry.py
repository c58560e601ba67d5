"""Packs a stage's program for other processes: functions by value or name, large arrays by address.

cloudpickle carries functions (those of ``__main__`` and of notebooks by value, those of
modules by name).  Arrays of 64 KiB and more, wherever they hide (arguments, closures,
keyword values), stay out of the pickle: they are put in shared memory once, or, when they
are a mapped file already, named by file and offset.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np

from ..errors import OocarrayError
from ..plan import Call, Program

__all__ = ["LARGE", "pack", "unpack"]

LARGE = 64 << 10
"""Arrays of so many bytes travel by address."""

Array = np.ndarray[Any, Any]


class _Packer(cloudpickle.CloudPickler):
    def __init__(self, stream: io.BytesIO, address: Callable[[Array], Any]) -> None:
        super().__init__(stream, protocol=5)
        self._address = address

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.nbytes >= LARGE and not value.dtype.hasobject:
            return self._address(value)
        return None


class _Unpacker(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, array: Callable[[Any], Array]) -> None:
        super().__init__(stream)
        self._array = array

    def persistent_load(self, pid: Any) -> Array:
        return self._array(pid)


def pack(program: Program, address: Callable[[Array], Any]) -> bytes:
    """Pickle a program.

    Parameters
    ----------
    program : Program
    address : callable
        Takes an array of at least `LARGE` bytes, returns something small that names it.

    Raises
    ------
    TypeError
        A function, or something that it refers to, cannot be pickled; says which.
    """
    foreign = [module for module in _modules(program) if not _importable(module)]
    for module in foreign:
        cloudpickle.register_pickle_by_value(module)
    stream = io.BytesIO()
    try:
        _Packer(stream, address).dump(program)
    except OocarrayError:
        raise
    except Exception as error:
        names = ", ".join(sorted({call.name for call in _calls(program)})) or "the program"
        raise TypeError(
            f"{names} cannot be sent to worker processes: {error}; leave out what cannot be "
            'pickled (open files, locks, sockets), or use scheduler="threads"'
        ) from error
    finally:
        for module in foreign:
            cloudpickle.unregister_pickle_by_value(module)
    return stream.getvalue()


def unpack(packed: bytes, array: Callable[[Any], Array]) -> Program:
    """Rebuild a program; `array` turns what `address` returned into an array."""
    program: Program = _Unpacker(io.BytesIO(packed), array).load()
    return program


def _calls(program: Program) -> list[Call]:
    found: dict[int, Call] = {}

    def visit(node: Any) -> None:
        call = getattr(node, "call", node)
        if isinstance(call, Call) and id(call) not in found:
            found[id(call)] = call
            for arg in call.args:
                visit(getattr(arg, "node", None))

    for value in program.values:
        visit(value)
    return list(found.values())


def _modules(program: Program) -> list[ModuleType]:
    names = {getattr(call.function, "__module__", None) for call in _calls(program)}
    return [sys.modules[name] for name in names if name in sys.modules and name != "__main__"]


def _importable(module: ModuleType) -> bool:
    """Whether another process with our ``sys.path`` finds the same module by its name."""
    try:
        spec = importlib.util.find_spec(module.__name__)
    except (ImportError, ValueError, AttributeError):
        return False
    mine = getattr(module, "__file__", None)
    return spec is not None and (mine is None or spec.origin == mine)
