"""Reductions, ours by name and users' by their functions, as dask has them; sums nothing itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...lazy.combined import Combined
from ...lazy.expr import ReduceNode, _make_reduction
from ...leaves import UserReduction
from .given import Given, Translator, filled, refuse, typed

__all__ = ["reduced"]


def reduced(given: Given) -> Any:
    """Any reduction, by who makes its record."""
    node: ReduceNode = given.node
    make: Any = node.make
    if not _takes_empty(given):
        given = replace(given, args=(filled(given.x),))
    known = _MAKERS.get(getattr(make, "func", None))
    if known is None and node.name == "histogram":
        return _density(given)
    if known is None:
        refuse(node.name, f"nothing in dask is like {type(make).__name__}")
    return known(given)


def _takes_empty(given: Given) -> bool:
    """Whether dask's function gives the same with blocks that have no elements as without."""
    make = given.node.make
    if getattr(make, "func", None) is not _make_reduction:
        return False
    name = make.args[0]
    return name in _OF_NOTHING or (given.x.ndim == 1 and name in _OF_NO_LINE)


def _named(given: Given) -> Any:
    name, said = given.node.make.args
    return typed(_NAMED.get(name, _plain)(given, name, said), given.dtype)


def _plain(given: Given, name: str, said: Any) -> Any:
    """A function that dask has under the same name."""
    kwargs = {word: said[word] for word in ("axis", "keepdims") if word in said}
    kwargs = {word: value for word, value in kwargs.items() if value is not None}
    x = given.x
    if name.endswith(("argmin", "argmax")) and "axis" not in kwargs:
        # Of equal elements dask takes that of the first block: here the first in C order, too.
        x = x.rechunk(dict.fromkeys(range(1, x.ndim), -1))
    return getattr(given.da, name)(x, **kwargs)


def _typed_sum(given: Given, name: str, said: Any) -> Any:
    kwargs: dict[str, Any] = {"axis": said.get("axis"), "keepdims": said.get("keepdims", False)}
    dtype = said.get("dtype_arg")
    if given.dtype.kind == "f" and given.dtype.itemsize == 2:
        dtype = np.float32  # as NumPy's own sums of half precision
    if dtype is not None:
        kwargs["dtype"] = dtype
    if name.endswith(("var", "std")):
        kwargs["ddof"] = said.get("ddof", 0)
    return getattr(given.da, name)(given.x, **kwargs)


def _count(given: Given, name: str, said: Any) -> Any:
    return given.da.sum(
        given.x != 0, axis=said.get("axis"), keepdims=said.get("keepdims", False), dtype=np.intp
    )


def _histogram(given: Given, name: str, said: Any) -> Any:
    bins, span = said["bins"], said.get("range")
    x = given.x.ravel() if given.x.ndim != 1 else given.x
    if x.dtype.kind == "b":
        x = x.astype(np.uint8)
    return given.da.histogram(x, bins=bins, range=span)[0]


def _density(given: Given) -> Any:
    """A histogram whose record says the edges."""
    x = given.x
    edges = given.node.make(x.shape, x.dtype).edges
    return given.da.histogram(x.ravel(), bins=edges, density=True)[0]


def _user(given: Given) -> Any:
    said = given.node.make.keywords
    return given.da.reduction(
        given.x,
        chunk=said["chunk"],
        aggregate=said["aggregate"],
        combine=said.get("combine_function"),
        axis=said["axes"],
        keepdims=said.get("keepdims", False),
        concatenate=said.get("concatenate", True),
        dtype=given.dtype,
        meta=np.empty((0,) * len(given.node.shape), given.dtype),
    )


def _combined(given: Given) -> Any:
    """What a function made of the blocks along dropped axes, joined two by two."""
    said = given.node.make.keywords
    axes = tuple(said["axes"])
    join = functools.partial(_joined, function=said["function"], axes=axes)
    return given.da.reduction(
        given.x,
        chunk=_same,
        combine=functools.partial(join, keep=True),
        aggregate=functools.partial(join, keep=False),
        axis=axes,
        keepdims=False,
        concatenate=False,
        dtype=given.dtype,
        meta=np.empty((0,) * len(given.node.shape), given.dtype),
    )


def _same(block: Any, axis: Any, keepdims: bool) -> Any:
    return block


def _joined(
    nested: Any, axis: Any, keepdims: bool, function: Callable[..., Any], axes: Any, keep: bool
) -> Any:
    parts = [block.squeeze(axes) for block in _flat(nested)]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        odd = parts[-1:] if len(parts) % 2 else []
        parts = [np.asarray(function(a, b)) for a, b in pairs] + odd
    return np.expand_dims(parts[0], axes) if keep else parts[0]


def _flat(nested: Any) -> Iterator[Any]:
    if isinstance(nested, list):
        for one in nested:
            yield from _flat(one)
    else:
        yield nested


_SUMS: Sequence[str] = ("sum", "prod", "mean", "var", "std")
_NAMED: dict[str, Callable[[Given, str, Any], Any]] = {
    **dict.fromkeys((*_SUMS, *(f"nan{name}" for name in _SUMS)), _typed_sum),
    "count_nonzero": _count,
    "histogram": _histogram,
}
_OF_NOTHING = frozenset(
    ("sum", "prod", "mean", "nansum", "nanprod", "nanmean", "any", "all", "count_nonzero")
)
_OF_NO_LINE = frozenset(("min", "max", "histogram"))
"""What need not be counted, which would make each selection twice; of one axis, these too."""
_MAKERS: dict[Any, Translator] = {
    _make_reduction: _named,
    UserReduction: _user,
    Combined: _combined,
}
