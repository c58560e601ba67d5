"""Answers NumPy's functions called on our arrays: ours by the same name, or a refusal that helps.

Nothing falls back to loading the array: what is not there is a TypeError that names what is.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["counterpart", "dispatched"]

_USUAL = (None, "C", "K", True)
_NEAREST = {
    "copy": "x.copy() or x.store(path)",
    "ix_": "x.oindex",
    "kron": "oo.outer and oo.reshape",
    "trapezoid": "oo.sum of products",
    "correlate": "oo.map_blocks with a halo of your own",
    "polyfit": "oo.compute of the sums that it needs",
    "vander": "oo.arange and oo.power",
    "vectorize": "oo.elementwise",
    "frompyfunc": "oo.elementwise",
    "piecewise": "oo.select or oo.where",
    "put": "x[index] = values",
    "place": "x[mask] = value",
    "putmask": "x[mask] = value",
    "copyto": "x[...] = values, or store()",
    "fill_diagonal": "oo.where(oo.eye(n, dtype=bool), value, x)",
    "save": "x.store(path)",
    "savetxt": "x.iter_blocks()",
    "savez": "x.store(path)",
    "lexsort": "oo.argsort",
    "histogram2d": "oo.histogram or oo.reduction",
    "histogramdd": "oo.histogram or oo.reduction",
    "convolve": "oo.map_blocks with a halo of your own",
    "resize": "oo.reshape, oo.tile or oo.pad",
    "may_share_memory": "x.layout",
    "shares_memory": "x.layout",
}


def dispatched(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call our counterpart of one of NumPy's functions.

    Raises
    ------
    TypeError
        There is none, or it does not take these arguments; says what there is.
    """
    name = getattr(function, "__name__", str(function))
    if function in _EAGER:
        return _EAGER[function](*args, **kwargs)
    mine = counterpart(function)
    if mine is None:
        raise TypeError(
            f"np.{name} has no counterpart for out-of-core arrays; {_advice(name)}, or compute() "
            "the array first if it fits in memory"
        )
    args, kwargs = _by_name(function, mine, args, kwargs)
    given = {key: value for key, value in kwargs.items() if value is not np._NoValue}
    out = given.get("out")
    if out is not None and "out" not in _parameters(mine):
        from ..assigning import update

        del given["out"]
        made = dispatched(function, args, given)
        return update(out[0] if isinstance(out, tuple) else out, made, "out=")
    unknown = [key for key in given if key not in _parameters(mine)]
    if unknown and not _takes_any(mine):
        defaults = _parameters(function)
        for key in unknown:
            # An argument that says what would be done without it is no argument.
            default = getattr(defaults.get(key), "default", inspect.Parameter.empty)
            usual = key in ("out", "order", "subok", "like") and given[key] in _USUAL
            if given[key] is default or usual:
                given.pop(key)
        unknown = [key for key in unknown if key in given]
    if unknown and not _takes_any(mine):
        raise TypeError(
            f"oocarray's {name} takes no {unknown[0]}=; it takes {', '.join(_parameters(mine))}"
        )
    return mine(*args, **given)


_OPTIONS = {"out", "keepdims", "dtype", "where", "initial", "order", "subok", "casting", "mean"}


def _by_name(
    function: Callable[..., Any],
    mine: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Arguments by position that stand at another place, or nowhere, in ours are given by name."""
    theirs, ours = list(_parameters(function).values()), list(_parameters(mine))
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [each.name for each in theirs]
    if len(args) > len(theirs) or any(each.kind not in plain for each in theirs[: len(args)]):
        return args, kwargs
    for place in range(1, len(args)):
        name = names[place]
        other = ours[place] if place < len(ours) else None
        if name != other and (name in ours or name in _OPTIONS or other in names):
            return args[:place], {**dict(zip(names[place:], args[place:], strict=False)), **kwargs}
    return args, kwargs


def counterpart(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """Ours by the name of one of NumPy's functions; None if there is none."""
    import oocarray

    name = getattr(function, "__name__", "")
    home: Any = oocarray
    if str(getattr(function, "__module__", "")).startswith("numpy.linalg"):
        home = oocarray.linalg
    if not name or name not in getattr(home, "__all__", ()):
        return None
    found = getattr(home, name)
    return found if callable(found) and not isinstance(found, type) else None


def _advice(name: str) -> str:
    import oocarray

    if name in _NEAREST:
        return f"use {_NEAREST[name]}"
    near = difflib.get_close_matches(name, oocarray.__all__, 1, 0.85)
    return f"the nearest is oo.{near[0]}" if near else "map_blocks calls it on blocks"


@lru_cache(maxsize=512)
def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _takes_any(function: Callable[..., Any]) -> bool:
    kinds = (parameter.kind for parameter in _parameters(function).values())
    return inspect.Parameter.VAR_KEYWORD in kinds


def _shape(a: Any) -> tuple[int, ...]:
    return tuple(a.shape)


def _ndim(a: Any) -> int:
    return len(a.shape)


def _size(a: Any, axis: int | None = None) -> int:
    return int(a.size if axis is None else a.shape[axis])


def _iscomplexobj(x: Any) -> bool:
    return bool(x.dtype.kind == "c")


def _isrealobj(x: Any) -> bool:
    return not _iscomplexobj(x)


def _result_type(*args: Any) -> np.dtype[Any]:
    from ..core import Array

    return np.result_type(*(np.empty(0, a.dtype) if isinstance(a, Array) else a for a in args))


def _text(a: Any, *args: Any, **kwargs: Any) -> str:
    return repr(a)


# What tells of an array without its elements.
_EAGER: dict[Any, Callable[..., Any]] = {
    np.shape: _shape,
    np.ndim: _ndim,
    np.size: _size,
    np.iscomplexobj: _iscomplexobj,
    np.isrealobj: _isrealobj,
    np.result_type: _result_type,
    np.array_repr: _text,
    np.array_str: _text,
    np.array2string: _text,
}
