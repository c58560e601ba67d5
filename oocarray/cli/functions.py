"""Finds the function that a user names on the command line; it runs the user's script, once.

The script runs in this process under a name of its own, never as ``__main__``, and what is
taken from it travels to workers by value: they do not run it again.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ..errors import OocarrayError
from .output import sentence
from .words import Usage

__all__ = ["arguments_of", "load"]


def load(text: str, debug: bool = False) -> Callable[..., Any]:
    """Return the function named by ``SCRIPT.py:NAME`` or ``PACKAGE.MODULE:NAME``.

    Parameters
    ----------
    text : str
    debug : bool
        Let what the script raises through as it is.

    Raises
    ------
    Usage
        The text names no function.
    OocarrayError
        The script fails, or has no such function.
    """
    where, _, name = text.rpartition(":")
    if not where or not all(part.isidentifier() for part in name.split(".")):
        raise Usage(f"{text!r} names no function; write SCRIPT.py:NAME or PACKAGE.MODULE:NAME")
    script = where.endswith(".py") or os.sep in where
    if script:
        # What is missing or may not be read is said as of any file.
        os.close(os.open(where, os.O_RDONLY | os.O_CLOEXEC))
    try:
        module = _script(where) if script else _module(where)
    except SystemExit as error:
        raise OocarrayError(f"{where} ended itself, with exit code {error.code}") from error
    except Exception as error:
        if debug:
            raise
        raise OocarrayError(f"{where} cannot be run: {_said(error, where)}") from error
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise OocarrayError(f"{where} has no {name!r}; it has {_offers(module)}")
        found = getattr(found, part)
    if not callable(found):
        raise OocarrayError(f"{name!r} of {where} is {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


def arguments_of(words: list[str]) -> tuple[list[Any], dict[str, Any]]:
    """Read the values for a function's parameters: ``2.0``, ``name=3``, ``name=text``.

    Returns
    -------
    list
        What has no name, in order.
    dict
        What has.

    Raises
    ------
    Usage
        A name is given twice.

    Examples
    --------
    >>> arguments_of(["2.0", "dark=(1, 2)", "mode=fast", "'a=b'"])
    ([2.0, 'a=b'], {'dark': (1, 2), 'mode': 'fast'})
    """
    given: list[Any] = []
    named: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name.isidentifier():
            if name in named:
                raise Usage(f"argument --arg: {name} is given twice")
            named[name] = literal(value)
        else:
            given.append(literal(word))
    return given, named


def literal(text: str) -> Any:
    """Read a number, string, tuple, list, dict, bool or None; anything else is text as it is."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}.get(text, text)


def _script(path: str) -> ModuleType:
    stem = os.path.basename(path).removesuffix(".py")
    taken = stem in sys.modules or stem in sys.stdlib_module_names or not stem.isidentifier()
    name = f"script_{stem}" if taken else stem
    spec = importlib.util.spec_from_file_location(name, os.path.abspath(path))
    if spec is None or spec.loader is None:
        raise OocarrayError(f"{path} is no Python script: its name does not end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # As if it had been started: what lies beside it can be imported.
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)
    spec.loader.exec_module(module)
    return module


def _module(name: str) -> ModuleType:
    sys.path.insert(0, os.getcwd())
    return importlib.import_module(name)


def _said(error: Exception, where: str) -> str:
    """What went wrong, and in which line of the script."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == os.path.abspath(where):
            line = trace.tb_lineno
        trace = trace.tb_next
    kind = "" if isinstance(error, (OocarrayError, OSError)) else f"{type(error).__name__}: "
    words = sentence(error).removeprefix(f"{type(error).__name__}: ")
    return f"{kind}{words}" + (f" (line {line})" if line else "")


def _offers(module: ModuleType) -> str:
    names = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and not isinstance(value, type)
        and getattr(value, "__module__", module.__name__) == module.__name__
    ]
    return ", ".join(names) or "no functions"
