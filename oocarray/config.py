"""The options in force: from ``with``, the environment, defaults; nothing else is global."""

from __future__ import annotations

import contextvars
import os
from dataclasses import fields, replace
from types import TracebackType
from typing import Any

from .plan import Options
from .units import parse_bytes

__all__ = ["current", "merged", "options"]

_NAMES = tuple(field.name for field in fields(Options))
MAX_WORKERS = 256
"""As many as a pool of processes has room for; of threads more than that helps nobody."""
_CHOICES = {
    "durability": ("none", "process", "machine"),
    "on_error": ("raise", "skip", "fill"),
}
_SWITCHES = ("progress", "drop", "lock")
_current: contextvars.ContextVar[Options | None] = contextvars.ContextVar(
    "oocarray_options", default=None
)


class options:
    """Set options for what is run inside a ``with`` block.

    Parameters
    ----------
    memory : int or str, optional
        Bytes that a run may hold over all its processes, such as ``"512 MiB"``. Default: half of
        what the machine and its control groups have room for.
    workers : int, optional
        Worker processes or threads, at most 256. Default: the processors this process may use.
    scheduler : {"processes", "threads", "serial"}, optional
        Default: processes.
    durability : {"none", "process", "machine"}, optional
        What has happened to a new file when its run returns: nothing but a rename; or its
        bytes and its name are on the disk ("process" and "machine"). Default: none.
    scratch : path-like, optional
        Folder for intermediate files. Default: that of the output.
    progress : bool, optional
        Show progress. Default: for runs that last, a bar on a terminal and lines elsewhere.
    drop : bool, optional
        Whether the pages that a run brought into the page cache are let go of. Default: when its
        files do not fit the memory budget.
    on_error : {"raise", "skip", "fill"}, optional
        What a block becomes whose function raises: the end of the run; left as it was (zeros in
        a new file); filled with `fill_value`. Default: raise.
    fill_value : scalar, optional
        Default: nan where the dtype has it, else zero.
    lock : bool, optional
        Whether the files of a run are locked while it lasts. Default: where the file system can.

    Each has an environment variable: ``OOCARRAY_MEMORY``, ``OOCARRAY_WORKERS`` and so on.

    Raises
    ------
    TypeError, ValueError
        An unknown name, or a value that cannot be.

    Examples
    --------
    >>> import numpy as np
    >>> import oocarray as oo
    >>> x = oo.from_array(np.arange(6.0))
    >>> with oo.options(memory="64 MiB", scheduler="serial"):
    ...     float(x.sum().compute())
    15.0
    """

    def __init__(self, **values: Any) -> None:
        self._values = _checked(values)
        self._tokens: list[contextvars.Token[Options | None]] = []

    def __enter__(self) -> Options:
        chosen = replace(current(), **self._values)
        self._tokens.append(_current.set(chosen))
        return chosen

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _current.reset(self._tokens.pop())


def current() -> Options:
    """Return the options in force."""
    chosen = _current.get()
    return chosen if chosen is not None else _from_environment()


def merged(values: dict[str, Any]) -> Options:
    """Return the options in force with those of one call over them."""
    return replace(current(), **_checked(values))


def _from_environment() -> Options:
    found = {
        name: os.environ[f"OOCARRAY_{name.upper()}"]
        for name in _NAMES
        if os.environ.get(f"OOCARRAY_{name.upper()}")
    }
    try:
        return Options(**_checked(found))
    except (TypeError, ValueError) as error:
        raise ValueError(f"in the environment variables OOCARRAY_...: {error}") from None


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    unknown = set(values) - set(_NAMES)
    if unknown:
        raise TypeError(
            f"no option is called {', '.join(sorted(unknown))}; there are {', '.join(_NAMES)}"
        )
    result: dict[str, Any] = {}
    for name, value in values.items():
        result[name] = None if value is None else _value(name, value)
    return {
        name: value
        for name, value in result.items()
        if value is not None or name not in ("scheduler", *_CHOICES)
    }


def _value(name: str, value: Any) -> Any:
    if name == "memory":
        return parse_bytes(value)
    if name == "workers":
        try:
            count = int(value)
            whole = count == float(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"workers={value!r} is not a whole number") from None
        if not whole or not 1 <= count <= MAX_WORKERS:
            raise ValueError(f"workers={value!r}; a whole number from 1 to {MAX_WORKERS} is needed")
        return count
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ValueError(f"{name}={value!r} is none of {', '.join(_CHOICES[name])}")
    if name in _SWITCHES:
        if isinstance(value, str):
            return value.lower() not in ("0", "false", "no", "off")
        return bool(value)
    return os.fspath(value) if name == "scratch" else value
