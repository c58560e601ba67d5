"""Keeps warm workers the same as their caller: reloaded modules, environment; it restarts nobody.

Workers import the user's modules by name and live for many runs.  What the caller loads anew, or
sets in its environment, in the meantime they would never hear of.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any

__all__ = ["THREADS", "adopt_environment", "edited", "generation"]

THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")}
"""One thread per worker: the pool is the parallelism."""

_INSTALLED = {"site-packages", "dist-packages", os.path.basename(sysconfig.get_path("stdlib"))}
_specs: dict[str, Any] = {}
_stamps: dict[str, tuple[Any, tuple[int, int]]] = {}
_generation = 0
_adopted: Mapping[str, str] = {}


def generation() -> int:
    """Return a number that grows when a module was loaded again since the last look.

    Workers that were forked under an earlier number may hold the module as it was.

    Examples
    --------
    >>> import importlib, colorsys
    >>> before = generation()
    >>> before == generation()
    True
    >>> colorsys = importlib.reload(colorsys)
    >>> before < generation()
    True
    """
    global _generation
    again = False
    for name, module in sys.modules.copy().items():
        try:
            # Asked in the ordinary way, a module that loads itself lazily would load itself.
            spec = object.__getattribute__(module, "__spec__")
        except AttributeError:
            continue
        known = _specs.get(name)
        if known is not spec and name != "__main__":
            # Both importlib.reload and a second import make a new one.
            again = again or known is not None
            _specs[name] = spec
    _generation += again
    return _generation


def edited(module: ModuleType) -> bool:
    """Whether a module's file is no longer what it was when a run first used the module.

    Another process that imported it now would get other code than this one has.

    Examples
    --------
    >>> import colorsys
    >>> edited(colorsys)
    False
    """
    spec, path = getattr(module, "__spec__", None), getattr(module, "__file__", None)
    # What is installed travels by name, whoever replaces it meanwhile: it seldom can by value.
    if path is None or not _INSTALLED.isdisjoint(path.split(os.sep)):
        return False
    if module.__name__.partition(".")[0] == __name__.partition(".")[0]:
        return False
    try:
        found = os.stat(path)
    except OSError:
        # In an archive, or gone: what importing it would do is asked elsewhere.
        return False
    now = found.st_mtime_ns, found.st_size
    known = _stamps.get(module.__name__)
    if known is None or known[0] is not spec:
        known = _stamps[module.__name__] = spec, now
    return known[1] != now


def adopt_environment(wanted: Mapping[str, str]) -> None:
    """Make this process's environment that of the caller, but for the numbers of threads.

    Parameters
    ----------
    wanted : mapping of str to str
        The caller's; nothing is done while it stays the same, so that what a block function
        sets for itself lasts.
    """
    global _adopted
    if wanted == _adopted:
        return
    _adopted = wanted
    zone = os.environ.get("TZ")
    for name in set(os.environ) - set(wanted) - set(THREADS):
        del os.environ[name]
    for name, value in wanted.items():
        if name not in THREADS and os.environ.get(name) != value:
            os.environ[name] = value
    if os.environ.get("TZ") != zone:
        time.tzset()
