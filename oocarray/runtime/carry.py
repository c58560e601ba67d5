"""Packs what users wrote for other processes: functions, exceptions; large arrays by address only.

cloudpickle carries functions (those of ``__main__`` and of notebooks by value, those of
modules by name).  Arrays of 64 KiB and more, wherever they hide (arguments, closures,
keyword values), stay out of the pickle: they are put in shared memory once, or, when they
are a mapped file already, named by file and offset.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import pickle
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from types import CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle
import numpy as np

from ..errors import BlockFailedError, OocarrayError
from ..program import Program, calls_in
from ..units import format_bytes
from .job import Answer, Failure, Warned
from .sameness import edited

__all__ = ["LARGE", "pack", "unpack", "unwrap", "wrap"]

LARGE = 64 << 10
"""Arrays of so many bytes travel by address."""

MOST = 64 << 20
"""Functions and what they refer to, beside such arrays, have no more bytes."""
_LARGEST_EXCEPTION = 4 << 20
"""An exception that holds more (its block, say) travels as text."""
_packing = threading.Lock()
_packed: OrderedDict[int, tuple[Program, bytes]] = OrderedDict()
"""The last programs that are the same whenever they are packed."""
_REMEMBERED = 32

Array = np.ndarray[Any, Any]


class _Packer(cloudpickle.CloudPickler):  # type: ignore[misc]
    def __init__(self, stream: io.BytesIO, address: Callable[[Array], Any]) -> None:
        super().__init__(stream, protocol=5)
        self._address = address
        self._known: dict[str, ModuleType | None] = {}
        self.edited: list[str] = []
        """Modules that travel by value because their files were changed after they were loaded."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, ModuleType):
            self._look_at(value.__name__)
        elif isinstance(value, (FunctionType, type)):
            self._look_at(getattr(value, "__module__", None))
        elif isinstance(value, io.TextIOWrapper) and value not in (sys.stdout, sys.stderr):
            # cloudpickle would read all of it and send that instead.
            raise pickle.PicklingError(f"an open file ({getattr(value, 'name', 'without a name')})")
        elif isinstance(value, CodeType):
            # cloudpickle 3.1.2 and later leave out the file, which tracebacks and warnings name.
            return _code, (self.dispatch_table[CodeType](value)[1], value.co_filename)
        return super().reducer_override(value)

    def _look_at(self, name: Any) -> None:
        """Let what comes from a module that others would not find travel by value."""
        if not isinstance(name, str) or name in self._known or name == "__main__":
            return
        module = sys.modules.get(name)
        foreign = module is not None and not _importable(module)
        if module is not None and not foreign and edited(module):
            foreign = True
            self.edited.append(name)
        # What the user has told cloudpickle himself is not ours to undo.
        new = foreign and name not in cloudpickle.list_registry_pickle_by_value()
        self._known[name] = module if new else None
        if new:
            cloudpickle.register_pickle_by_value(module)

    def forget(self) -> None:
        """Undo what `_look_at` has told cloudpickle."""
        for module in self._known.values():
            if module is not None:
                with contextlib.suppress(ValueError):
                    cloudpickle.unregister_pickle_by_value(module)

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.nbytes >= LARGE and not value.dtype.hasobject:
            return self._address(value)
        return None


def _code(parts: tuple[Any, ...], filename: str) -> CodeType:
    """Make a code object anew, of the file that it is from."""
    return CodeType(*parts).replace(co_filename=filename)


class _TooLarge(Exception):
    """More than is sent to each worker."""


class _Bounded(io.BytesIO):
    """Refuses to grow over what is sent to each worker, before the memory is taken."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > MOST:
            raise _TooLarge(
                f"more than {format_bytes(MOST)} beside its arrays, of which each worker would "
                "get a copy"
            )
        return super().write(data)


def _culprits(program: Program) -> str:
    """Name what cannot travel, as the functions call it."""
    found = []
    for call in calls_in(program.values):
        named: dict[str, Any] = {f"argument {n}": arg for n, arg in enumerate(call.args)}
        named.update(call.kwargs)
        with contextlib.suppress(TypeError, ValueError):
            seen = inspect.getclosurevars(call.function)
            named.update(seen.globals, **seen.nonlocals)
        for name, value in named.items():
            packer = _Packer(_Bounded(), lambda array: None)
            try:
                packer.dump(value)
            except Exception:
                found.append(f"{name} ({type(value).__name__})")
            finally:
                packer.forget()
    return ", ".join(found) + ": " if found else ""


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
        A function, or something that it refers to, cannot be pickled, or is too large; says
        which.
    """
    with _packing:
        known = _packed.get(id(program))
    if known is not None and known[0] is program:
        return known[1]
    stream = _Bounded()
    addressed: list[Any] = []

    def noted(array: Array) -> Any:
        addressed.append(address(array))
        return addressed[-1]

    packer = _Packer(stream, noted)
    # What travels by value is told to cloudpickle as a whole: one at a time.
    _packing.acquire()
    try:
        packer.dump(program)
    except OocarrayError:
        raise
    except Exception as error:
        called = sorted({call.name for call in calls_in(program.values)})
        names = ", ".join(called) or "the program"
        advice = "leave out what cannot be pickled (open files, locks, sockets)"
        if packer.edited:
            advice = f"reload what was edited since it was imported ({', '.join(packer.edited)})"
        elif isinstance(error, _TooLarge):
            advice = "make it a NumPy array, which workers share"
        raise TypeError(
            f"{names} cannot be sent to worker processes: {_culprits(program)}{error}; {advice}, "
            'or use scheduler="threads"'
        ) from error
    finally:
        packer.forget()
        _packing.release()
    found = stream.getvalue()
    # Functions may change with what they refer to; arrays are elsewhere in the next run.
    if not addressed and not calls_in(program.values):
        with _packing:
            _packed[id(program)] = program, found
            while len(_packed) > _REMEMBERED:
                _packed.popitem(last=False)
    return found


def pack_value(value: Any) -> bytes:
    """Pickle anything, functions as those of programs are, arrays by value; `unpack` reads it.

    Raises
    ------
    Exception
        Whatever pickle has to say of what cannot travel.
    """
    stream = io.BytesIO()
    packer = _Packer(stream, lambda array: None)
    with _packing:
        try:
            packer.dump(value)
        finally:
            packer.forget()
    return stream.getvalue()


def unpack(packed: bytes, array: Callable[[Any], Array]) -> Program:
    """Rebuild a program; `array` turns what `address` returned into an array."""
    program: Program = _Unpacker(io.BytesIO(packed), array).load()
    return program


def wrap(message: Any) -> Any:
    """Make a message plain: exceptions and warnings of the user's own classes become bytes."""
    if isinstance(message, Answer) and message.failure is not None:
        return replace(message, failure=_frozen(message.failure))
    if isinstance(message, Warned):
        try:
            return replace(message, category=cloudpickle.dumps(message.category))
        except Exception:
            return replace(message, category=cloudpickle.dumps(UserWarning))
    return message


def unwrap(message: Any) -> Any:
    """Undo `wrap`."""
    if isinstance(message, Answer) and message.failure is not None:
        return replace(message, failure=_thawed(message.failure))
    if isinstance(message, Warned):
        category: Any = UserWarning
        with contextlib.suppress(Exception):
            category = cloudpickle.loads(message.category)
        return replace(message, category=category)
    return message


def _frozen(failure: Failure) -> Failure:
    exception = failure.exception
    try:
        packed = cloudpickle.dumps(exception)
        # Many can be pickled and not be made again, for want of an argument.
        if len(packed) <= _LARGEST_EXCEPTION and type(cloudpickle.loads(packed)) is type(exception):
            return replace(failure, exception=packed)
    except Exception:
        pass
    try:
        text = f"{type(exception).__name__}: {exception}".rstrip(": ")
    except Exception:
        text = type(exception).__name__
    return replace(failure, exception=cloudpickle.dumps(BlockFailedError(text)))


def _thawed(failure: Failure) -> Failure:
    assert isinstance(failure.exception, bytes)
    try:
        exception: BaseException = cloudpickle.loads(failure.exception)
    except Exception:
        *_, text = failure.text.strip().splitlines() or [""]
        exception = BlockFailedError(text)
    with contextlib.suppress(Exception):  # frozen dataclasses refuse it
        exception.__notes__ = list(failure.notes)
    return replace(failure, exception=exception)


def _importable(module: ModuleType) -> bool:
    """Whether another process with our ``sys.path`` finds the same module by its name.

    ``importlib.util.find_spec`` would answer from ``sys.modules``, which is ours alone.
    """
    package, _, _ = module.__name__.rpartition(".")
    if module.__name__.startswith(__name__.partition(".")[0] + "."):
        return True  # our own: the workers run the same package
    parent = sys.modules.get(package) if package else None
    if package and (parent is None or not _importable(parent)):
        return False
    path = getattr(parent, "__path__", None)
    mine = getattr(module, "__file__", None)
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(module.__name__, path)
        except Exception:
            continue
        if spec is not None:
            return mine is None or not spec.has_location or _same_file(spec.origin, mine)
    return False


def _same_file(one: str | None, other: str) -> bool:
    try:
        return one is not None and os.path.samefile(one, other)
    except OSError:
        return one == other
