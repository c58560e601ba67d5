"""The options in force, from ``with``, ``set``, the environment; it decides no default."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType, TracebackType
from typing import Any

from .pages.tuning import DEFAULT, Tuning
from .plan import Options
from .units import format_bytes, parse_bytes

__all__ = ["InForce", "current", "merged", "options"]

_DEFAULTS = {field.name: field.default for field in fields(Options)}
_NAMES = tuple(_DEFAULTS)
MAX_WORKERS = 256
"""As many as a pool of processes has room for; of threads more than that helps nobody."""
_CHOICES = {
    "durability": ("none", "process", "machine"),
    "on_error": ("raise", "skip", "fill"),
    "math": ("vector", "libm"),
    "backend": ("mapped", "dask", "zarr"),
}
_SCHEDULERS = ("processes", "threads", "serial")
_SWITCHES = ("progress", "drop", "lock", "fuse")
_CLIENT = ("submit", "scatter", "run", "cancel", "nthreads", "scheduler_info")
"""What a client of dask.distributed is told by: the library itself is not imported."""
_ON = ("1", "true", "yes", "on")
_OFF = ("0", "false", "no", "off")
_within: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar(
    "oocarray_options", default=MappingProxyType({})
)
"""What the ``with`` blocks around the caller have set."""
_everywhere: dict[str, Any] = {}
"""What `options.set` has set; replaced as a whole, so that it is read without the lock."""
_changing = threading.Lock()


class options:
    """Set options for what is run inside a ``with`` block.

    An option of one call comes before those of ``with`` blocks, the innermost first; then
    comes `options.set`, then the environment, then the default.

    Parameters
    ----------
    memory : int or str, optional
        Bytes that a run may hold over all its processes, such as ``"512 MiB"``. Default: half of
        what the machine and its control groups have room for.
    workers : int, optional
        Worker processes or threads, at most 256. Default: the processors this process may use.
    scheduler : {"processes", "threads", "serial"} or distributed.Client, optional
        Who runs the tasks; with a client of dask.distributed its workers, over a file system that
        all of them see. Default: processes.
    durability : {"none", "process", "machine"}, optional
        What has happened to a new file when its run returns: nothing but a rename; or its
        bytes and its name are on the disk ("process" and "machine"). Default: none.
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
    fuse : bool, optional
        Whether operations that go together are compiled into one loop. Default: where a pass
        reads and writes 8 MiB or more; NumPy does the rest, and all of it with ``fuse=False``.
    math : {"vector", "libm"}, optional
        The elementary functions of compiled loops: this package's, which are several times
        faster, within 2 units in the last place (4 for powers and erf); or the system's.
        Default: vector.
    tuning : bool, optional
        Whether what ``oocarray tune`` has kept for the file system of the output (or of the
        largest input) is followed. It changes the speed, never a result. Default: yes.
    backend : {"mapped", "dask", "zarr"}, optional
        Who computes and stores: this package, on mapped files; or, to compare, dask.array on its
        threads, or a loop over blocks with zarr-python and NumPy. Default: mapped.

    Each has an environment variable: ``OOCARRAY_MEMORY``, ``OOCARRAY_WORKERS`` and so on. None
    stands for the default, whatever else is set.

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
        self._tokens: list[contextvars.Token[Mapping[str, Any]]] = []

    def __enter__(self) -> Options:
        self._tokens.append(_within.set({**_within.get(), **self._values}))
        return current()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _within.reset(self._tokens.pop())

    @staticmethod
    def set(**values: Any) -> None:
        """Set options for the whole process, in all its threads, from now on.

        Parameters
        ----------
        **values
            As of `options`. Without any, what was set so before is forgotten.

        Examples
        --------
        >>> import oocarray as oo
        >>> oo.options.set(scheduler="serial")
        >>> oo.options.get("scheduler")
        'serial'
        >>> oo.options.set()
        >>> oo.options.get("scheduler")
        'processes'
        """
        global _everywhere
        checked = _checked(values)
        with _changing:
            _everywhere = {**_everywhere, **checked} if values else {}

    @staticmethod
    def get(name: str | None = None) -> Any:
        """Return the value of one option, or all of them and where each comes from.

        Parameters
        ----------
        name : str, optional

        Returns
        -------
        object or InForce
            None stands for what is decided when a run begins.

        Raises
        ------
        TypeError
            There is no such option.

        Examples
        --------
        >>> import oocarray as oo
        >>> with oo.options(memory="64 MiB"):
        ...     found = oo.options.get()
        >>> found["memory"], found.sources["memory"]
        (67108864, 'with')
        """
        if name is None:
            return InForce()
        _refuse_unknown([name])
        return getattr(current(), name)


class InForce(Mapping[str, Any]):
    """The options in force when it was made: names and values, and where each comes from.

    Attributes
    ----------
    sources : dict
        By name: ``"with"``, ``"set"``, the environment variable, or ``"default"``.
    """

    def __init__(self) -> None:
        chosen = current()
        self._values = {name: getattr(chosen, name) for name in _NAMES}
        layers = [(name, "with") for name in _within.get()]
        layers += [(name, "set") for name in _everywhere]
        layers += [(name, _variable(name)) for name in _environment()]
        self.sources = dict.fromkeys(_NAMES, "default") | dict(reversed(layers))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        rows = [
            (name, _shown(name, value), self.sources[name]) for name, value in self._values.items()
        ]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        return "\n".join(
            f"{name:{widths[0]}}  {value:{widths[1]}}  {source}" for name, value, source in rows
        )


def current() -> Options:
    """Return the options in force."""
    return merged({})


def merged(values: Mapping[str, Any]) -> Options:
    """Return the options in force with those of one call over them."""
    over = {**_everywhere, **_within.get(), **_checked(values)}
    return Options(**{**_environment(), **over})


def _environment() -> dict[str, Any]:
    found = {
        name: os.environ[_variable(name)] for name in _NAMES if os.environ.get(_variable(name))
    }
    try:
        return _checked(found)
    except (TypeError, ValueError) as error:
        raise ValueError(f"in the environment variables OOCARRAY_...: {error}") from None


def _variable(name: str) -> str:
    return f"OOCARRAY_{name.upper()}"


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "(decided by the run)"
    return format_bytes(value) if name == "memory" else str(value)


def _refuse_unknown(names: Iterable[str]) -> None:
    unknown = sorted(set(names) - set(_NAMES))
    if unknown:
        raise TypeError(f"no option is called {', '.join(unknown)}; there are {', '.join(_NAMES)}")


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_unknown(values)
    return {
        name: _DEFAULTS[name] if value is None else _value(name, value)
        for name, value in values.items()
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
        return _switch(name, value)
    if name == "tuning":
        return _tuning(value)
    if name == "scheduler":
        return _scheduler(value)
    if name == "fill_value" and isinstance(value, str):
        return _number(value)
    return value


def _scheduler(value: Any) -> Any:
    """A name, or a client of dask.distributed."""
    if isinstance(value, str):
        if value not in _SCHEDULERS:
            raise ValueError(f"scheduler={value!r} is none of {', '.join(map(repr, _SCHEDULERS))}")
        return value
    if all(hasattr(value, name) for name in _CLIENT):
        return value
    raise TypeError(
        f"scheduler={value!r} is neither a name (processes, threads, serial) nor a "
        "distributed.Client"
    )


def _switch(name: str, value: Any) -> bool:
    text = str(value).strip().lower()
    if text in _ON or text in _OFF:
        return text in _ON
    raise ValueError(f"{name}={value!r} is none of {', '.join((*_ON, *_OFF))}")


def _tuning(value: Any) -> Tuning | None:
    """What is kept ("on", which is None), the defaults ("off"), or a record."""
    if isinstance(value, Tuning):
        return value
    return None if _switch("tuning", value) else DEFAULT


def _number(text: str) -> int | float | complex:
    for kind in (int, float, complex):
        try:
            return kind(text)
        except ValueError:
            continue
    raise ValueError(f"fill_value={text!r} is not a number")
