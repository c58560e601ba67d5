"""What NumPy's ufuncs do with our arrays: calls become nodes; the rest is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Array
from ..lifting import apply, array_of, known, lifted
from ..operations.shaping import Reshape

__all__ = ["called", "outputs"]

_REDUCING: dict[Any, str] = {
    np.add: "sum",
    np.multiply: "prod",
    np.maximum: "max",
    np.minimum: "min",
    np.logical_and: "all",
    np.logical_or: "any",
}
_PLAIN = {"dtype", "casting"}
_IGNORED = {"order", "subok"}


@dataclass(frozen=True)
class Output:
    """One of the results of a ufunc that has several."""

    ufunc: np.ufunc
    number: int

    @property
    def __name__(self) -> str:
        return self.ufunc.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.ufunc(*args, **kwargs)[self.number]


def called(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Do what ``ufunc.method(*inputs, **kwargs)`` asks for.

    Raises
    ------
    TypeError
        There is no lazy counterpart; says what there is.
    """
    kwargs = dict(kwargs)
    out = kwargs.pop("out", None)
    where = kwargs.pop("where", True)
    out = out[0] if isinstance(out, tuple) and len(out) == 1 else out
    if method == "reduce":
        return _reduced(ufunc, inputs, kwargs, out, where)
    if method == "accumulate":
        from .cumulative import accumulate

        return _into(out, accumulate(ufunc, inputs[0], **kwargs))
    if method == "outer":
        return _into(out, _outer(ufunc, inputs, kwargs))
    if method == "at":
        raise TypeError(
            f"np.{ufunc.__name__}.at changes elements one by one, which out-of-core arrays do not "
            f"do; x[index] = np.{ufunc.__name__}(x[index], value) does it for indices that differ"
        )
    if method != "__call__":
        raise TypeError(f"np.{ufunc.__name__}.{method} does not take out-of-core arrays")
    if ufunc.signature is not None:
        return _into(out, _generalized(ufunc, inputs, kwargs))
    given = {name: value for name, value in kwargs.items() if name not in _IGNORED}
    if unknown := set(given) - _PLAIN:
        raise TypeError(f"np.{ufunc.__name__} of out-of-core arrays takes no {unknown.pop()}=")
    if given.get("dtype") is not None:
        given["dtype"] = np.dtype(given["dtype"])
    else:
        given.pop("dtype", None)
    found = outputs(ufunc, inputs, given)
    if where is not True:
        found = tuple(
            _masked(part, where, target)
            for part, target in zip(found, _targets(out, ufunc.nout), strict=True)
        )
    if out is not None:
        from ..storing import compute

        targets = _targets(out, ufunc.nout)
        if sum(target is not None for target in targets) > 1:
            # All of them before the first is stored: it may go where the others are made of.
            found = tuple(map(array_of, compute(*found)))
        found = tuple(map(_into, targets, found))
    return found[0] if ufunc.nout == 1 else found


def outputs(
    ufunc: np.ufunc, inputs: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Array, ...]:
    """All results of a ufunc, lazy."""
    if ufunc.nout == 1:
        return (lifted(ufunc, inputs, kwargs),)
    return tuple(lifted(Output(ufunc, n), inputs, kwargs) for n in range(ufunc.nout))


def _targets(out: Any, count: int) -> tuple[Any, ...]:
    if out is None:
        return (None,) * count
    return out if isinstance(out, tuple) else (out,)


def _masked(found: Array, where: Any, out: Any) -> Array:
    if out is None:
        raise TypeError("where= leaves elements undefined without out=; use oo.where(mask, f, x)")
    from .elementwise import where as choose

    return choose(where, found, out)


def _into(out: Any, found: Any) -> Any:
    """Put a result where the caller wants it."""
    if out is None:
        return found
    from ..assigning import update

    return update(out, found, "out=")


def _reduced(
    ufunc: np.ufunc, inputs: tuple[Any, ...], kwargs: dict[str, Any], out: Any, where: Any
) -> Any:
    name = _REDUCING.get(ufunc)
    if name is None or where is not True or kwargs.pop("initial", None) is not None:
        known = ", ".join(sorted(f"np.{one.__name__}" for one in _REDUCING))
        raise TypeError(
            f"np.{ufunc.__name__}.reduce of out-of-core arrays is there for {known}, without "
            "where= and initial=; oo.reduction makes one of functions of your own"
        )
    kwargs.setdefault("axis", 0)
    if kwargs.get("dtype") is None or name not in ("sum", "prod"):
        kwargs.pop("dtype", None)
    method: Callable[..., Array] = getattr(array_of(inputs[0]), name)
    return _into(out, method(**kwargs))


def _outer(ufunc: np.ufunc, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    one, other = map(array_of, inputs)
    shape = known(one, "outer")
    spread = apply(Reshape(shape + (1,) * other.ndim), one)
    return called(ufunc, "__call__", (spread, other), kwargs)


def _generalized(ufunc: np.ufunc, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    from . import linear

    function = getattr(linear, ufunc.__name__, None)
    if function is None:
        raise TypeError(
            f"np.{ufunc.__name__} does not take out-of-core arrays; map_blocks calls it on blocks"
        )
    return function(*inputs, **{key: v for key, v in kwargs.items() if key not in _IGNORED})
