"""Compile kernels to object code once and load it in any process; loading never compiles.

The only module that imports numba, and only inside functions.  A compiled kernel is bytes: the
machine code of the function with its Python entry point, and the constants that entry point
looks up.  Types, typing results and intermediate code stay in the process that compiled.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np

from oocarray.errors import KernelError
from oocarray.kernels.argtypes import ArgType, ArrayArg, ScalarArg, TupleArg, arg_type
from oocarray.kernels.cache import read_entry, write_entry
from oocarray.kernels.decorator import Kernel, kernel, kernel_options
from oocarray.kernels.key import Options, take_snapshot
from oocarray.kernels.names import digest
from oocarray.kernels.words import check_parameters, explain
from oocarray.linking import PAYLOAD, link, native_address, pack

__all__ = [
    "ArgType",
    "ArrayArg",
    "Compiled",
    "Kernel",
    "ScalarArg",
    "TupleArg",
    "address",
    "arg_type",
    "compile_kernel",
    "forbid_compilation",
    "kernel",
    "load",
    "preload",
]

Entry = Callable[..., Any]
_CONFIG = (  # numba's settings that change the code it makes
    "OPT",
    "BOUNDSCHECK",
    "LOOP_VECTORIZE",
    "SLP_VECTORIZE",
    "LLVM_REFPRUNE_PASS",
    "LLVM_REFPRUNE_FLAGS",
    "USING_SVML",
    "CAPTURED_ERRORS",
    "DEBUGINFO_DEFAULT",
)
_lock = threading.RLock()
_compiled: dict[str, Compiled] = {}
_entries: dict[str, Entry] = {}
_addresses: dict[str, int] = {}
_kept: list[object] = []  # what compiled code points to; code is never unloaded
_forbidden = False
_numbered_by = 0  # the process that drew the current range of symbol numbers


@dataclass(frozen=True, slots=True)
class Compiled:
    """Object code of a kernel for given argument types; plain bytes, cheap to pickle."""

    key: str
    """Digest of everything the code depends on; the same key is the same code."""
    name: str
    """Name of the Python function."""
    payload: bytes
    """What `load` reads; opaque."""


def compile_kernel(
    func: Callable[..., Any], args: tuple[ArgType, ...], *, boundscheck: bool = False
) -> Compiled:
    """Compile a kernel for given argument types, or find it compiled already.

    Parameters
    ----------
    func : function or Kernel
        Of a numba dispatcher the Python function is taken, not its options.
    args : tuple of ArgType
        One for every parameter of `func`.
    boundscheck : bool
        As in `kernel`; a Kernel's own setting is used when either is true.

    Raises
    ------
    KernelError
        The code cannot be compiled for these types, or a global it uses cannot be keyed.

    Examples
    --------
    >>> def negate(out, x):
    ...     for i in range(x.size):
    ...         out[i] = -x[i]
    >>> types = (ArrayArg("f8", 1, readonly=False), ArrayArg("f8", 1))
    >>> out = np.empty(2)
    >>> load(compile_kernel(negate, types))(out, np.array([1.0, 2.0]))
    >>> out.tolist()
    [-1.0, -2.0]
    """
    boundscheck = boundscheck or getattr(func, "boundscheck", False) is True
    plain = getattr(func, "py_func", func)
    if not isinstance(plain, FunctionType):
        raise KernelError(f"a kernel is a plain Python function, not {type(func).__name__}")
    check_parameters(plain, args)
    with _lock:
        snapshot = take_snapshot(plain, kernel_options(boundscheck))
        types = ";".join(arg.spell() for arg in args)
        key = digest(snapshot.digest, types, _target())
        found = _compiled.get(key)
        if found is not None:
            return found
        payload = read_entry(key)
        if payload is None:
            payload = _compile(snapshot.freeze(dispatch), args, key)
            write_entry(key, payload)
        return _compiled.setdefault(key, Compiled(key, plain.__name__, payload))


def load(compiled: Compiled) -> Entry:
    """Return the callable of compiled code; it takes real arguments and checks none of them.

    The GIL is released while it runs.  Arguments must be what the code was compiled for
    (`ArgType.accepts`): another layout or alignment would be read as if it were the right one.

    Parameters
    ----------
    compiled : Compiled
        Made by any process of this machine with the same versions.

    Examples
    --------
    >>> def total(x):
    ...     return x.sum()
    >>> entry = load(compile_kernel(total, (ArrayArg("i8", 1),)))
    >>> entry is load(compile_kernel(total, (ArrayArg("i8", 1),))), entry(np.arange(5))
    (True, 10)
    """
    entry = _entries.get(compiled.key)
    if entry is None:
        with _lock:
            entry = _entries.get(compiled.key)
            if entry is None:
                preload()
                entry = link(compiled.payload, compiled.name, compiled.key)
                _entries[compiled.key] = entry
    return entry


def address(compiled: Compiled) -> int:
    """Return where compiled code begins in this process, for other compiled code to call it.

    Examples
    --------
    >>> def total(x):
    ...     return x.sum()
    >>> address(compile_kernel(total, (ArrayArg("i8", 1),))) > 0
    True
    """
    found = _addresses.get(compiled.key)
    if found is None:
        load(compiled)
        found = _addresses[compiled.key] = native_address(compiled.payload)
    return found


def preload() -> None:
    """Import numba and fill its registries, so that `load` is quick in processes forked later.

    Examples
    --------
    >>> preload()
    """
    from numba.core import serialize
    from numba.core.registry import cpu_target

    with _lock:
        if serialize not in _kept:
            cpu_target.target_context.refresh()
            _kept.append(serialize)


def forbid_compilation() -> None:
    """Make every later compilation by numba in this process raise KernelError; `load` works on.

    Examples
    --------
    >>> forbid_compilation.__name__  # calling it cannot be undone
    'forbid_compilation'
    """
    global _forbidden
    from numba.core.compiler import CompilerBase

    def refuse(self: Any, what: Any, *args: Any, **options: Any) -> None:
        name = getattr(what, "__name__", None) or getattr(what, "func_id", "a function")
        raise KernelError(
            f"{name} would be compiled inside a worker; pass it as a kernel, "
            "which is compiled once before the run"
        )

    _forbidden = True
    hooked: Any = CompilerBase  # every way into the compiler, overloads and ufuncs too, ends here
    hooked.compile_extra = refuse
    hooked.compile_ir = refuse


@functools.cache
def _versions() -> str:
    import llvmlite
    import numba
    from numba.core.registry import cpu_target

    machine = cpu_target.target_context.codegen().magic_tuple()
    versions = (sys.version, np.__version__, numba.__version__, llvmlite.__version__)
    return repr((versions, machine, PAYLOAD))


def _target() -> str:
    """Name what compiles, for what: versions, processor, settings."""
    from numba.core import config

    return _versions() + repr([(name, repr(getattr(config, name, None))) for name in _CONFIG])


def dispatch(func: FunctionType, options: Options) -> Any:
    """Make numba's object that compiles `func` for whatever it is called with."""
    import numba

    return numba.jit(**options)(func)


def _numba_type(arg: ArgType) -> Any:
    from numba.core import types
    from numba.np import numpy_support

    if isinstance(arg, ArrayArg):
        item = numpy_support.from_dtype(arg.dtype)
        return types.Array(item, arg.ndim, arg.layout, readonly=arg.readonly, aligned=arg.aligned)
    if isinstance(arg, TupleArg):
        make: Any = types.BaseTuple.from_types
        return make(tuple(_numba_type(item) for item in arg.items))
    if arg.kind in ("str", "none"):
        return types.unicode_type if arg.kind == "str" else types.none
    return numpy_support.from_dtype(np.dtype(arg.kind))  # "int", "float" ...: NumPy's defaults


def _compile(root: Any, args: tuple[ArgType, ...], key: str) -> bytes:
    """Compile a frozen function and pack its object code."""
    name = getattr(root, "__name__", "?")
    if not hasattr(root, "compile"):
        raise KernelError(f"kernel {name!r} cannot be compiled: NUMBA_DISABLE_JIT is set")
    if _forbidden:
        raise KernelError(f"kernel {name!r} would be compiled inside a worker")
    _number_symbols()
    try:
        signature = tuple(_numba_type(arg) for arg in args)
        root.compile(signature)
    except KernelError:
        raise
    except Exception as error:  # numba's own classes, and whatever its passes trip over
        raise explain(name, args, error) from error
    result = root.overloads[signature]
    if result.lifted:
        raise KernelError(
            f"kernel {name!r} uses objmode, which needs the interpreter; leave it out"
        )
    if result.library.has_dynamic_globals:
        raise KernelError(
            f"kernel {name!r} uses an address that is valid in this process only "
            "(a ctypes pointer or a large global array); pass arrays as arguments"
        )
    payload = pack(result)
    _entries[key] = result.entry_point
    _kept.append(root)
    return payload


def _number_symbols() -> None:
    """Let numba number functions from a random start, anew in every process.

    Symbols are told apart by these numbers.  Counted from 1, functions of one name compiled in
    two processes get the same symbol, and where both are loaded one would be run for the other.
    """
    global _numbered_by
    from numba.core.bytecode import FunctionIdentity

    if _numbered_by != os.getpid():
        FunctionIdentity._unique_ids = itertools.count(int.from_bytes(os.urandom(7), "little") << 8)
        _numbered_by = os.getpid()


def _renew_lock() -> None:
    """A lock held by another thread at fork would stay held in the child."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)
