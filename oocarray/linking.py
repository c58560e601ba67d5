"""Object code of kernels as bytes, and back to something to call; it compiles nothing."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import Any, cast

import numpy as np

__all__ = ["PAYLOAD", "link", "native_address", "pack"]

Entry = Callable[..., Any]
PAYLOAD = 2
"""What is packed, and how; counted up when it changes."""
_DEFERRED = ".numba.unresolved$"  # numba's mark on functions called before they are compiled
_kept: list[object] = []  # what compiled code points to; code is never unloaded


def pack(result: Any) -> bytes:
    """Pack the object code of what numba has compiled, and the constants it looks up."""
    from numba.core import serialize

    dumps: Any = serialize.dumps
    library, _, (code, _) = result.library.serialize_using_object_code()
    environments = [(result.fndesc.env_name, list(result.environment.consts))]
    environments += [
        (other.env_name, list(other.consts))
        for other in result._find_referenced_environments()
        if other.env_name != result.fndesc.env_name
    ]
    symbol = result.fndesc.llvm_cpython_wrapper_name
    own = result.library._final_module
    deferred = [gv.name for gv in own.global_variables if gv.name.startswith(_DEFERRED)]
    native = result.fndesc.mangled_name
    return cast(bytes, dumps((library, code, symbol, environments, deferred, native)))


def link(payload: bytes, name: str, key: str) -> Entry:
    """Give object code to the linker and make its entry point callable.

    The registries of numba must be filled (`oocarray.jit.preload`).
    """
    from importlib import import_module

    import llvmlite.binding as llvm
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.environment import Environment
    from numba.core.registry import cpu_target

    library_name, code, symbol, environments, deferred, _ = pickle.loads(payload)
    codegen = cpu_target.target_context.codegen()
    slots = {unresolved: np.zeros(1, np.uintp) for unresolved in deferred}
    with global_compiler_lock:
        for unresolved, slot in slots.items():  # recursive calls go through a pointer in memory
            llvm.add_symbol(unresolved, slot.ctypes.data)
        # The second part would let other functions inline this one; an empty module will do.
        empty = llvm.parse_assembly(str(codegen._create_empty_module(library_name))).as_bitcode()
        library = codegen.unserialize_library((library_name, "object", (code, empty)))
        pointer = codegen._engine.get_function_address(symbol)
        if not pointer:
            raise AssertionError(f"no {symbol} in the code of {name}, key {key}")
        for unresolved, slot in slots.items():
            slot[0] = codegen._engine.get_function_address(unresolved.removeprefix(_DEFERRED))
        made = []
        for env_name, constants in environments:
            environment = Environment(globals())
            environment.consts[:] = constants
            environment.env_name = env_name
            codegen.set_env(env_name, environment)
            made.append(environment)
    _kept.append((library, made, slots))
    make: Any = import_module("numba._dynfunc").make_function
    entry = make(
        sys.modules[__name__],
        name,
        f"kernel {name!r}",
        pointer,
        made[0],
        (library,),
    )
    return cast(Entry, entry)


def native_address(payload: bytes) -> int:
    """Where code that has been linked begins; other compiled code can call it there."""
    from numba.core.registry import cpu_target

    symbol = pickle.loads(payload)[-1]
    found = int(cpu_target.target_context.codegen()._engine.get_function_address(symbol))
    if not found:
        raise AssertionError(f"no {symbol} among what is linked")
    return found
