"""Works out the output axes and block sizes that a call asks for; knows nothing of the arrays."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import Any, TypeAlias

from oocarray.grid import Chunks

__all__ = [
    "NEW",
    "Axes",
    "Entry",
    "checked_size",
    "chunk_entries",
    "dropped_axes",
    "output_chunks",
    "output_places",
]

NEW = -3
"""Stands for an input axis where an output axis has none; apart from the codes of the plan."""

Axes: TypeAlias = int | Iterable[int] | None
Entry: TypeAlias = Callable[[int], float] | Sequence[float] | float


def chunk_entries(chunks: object) -> tuple[Entry, ...]:
    """Take `chunks` apart into one entry per output axis."""
    if isinstance(chunks, str | dict) or not isinstance(chunks, Iterable):
        raise TypeError(
            f"chunks={chunks!r} is not a sequence; map_blocks takes one entry per output axis, "
            "such as chunks=(5, (2, 2))"
        )
    return tuple(chunks)


def dropped_axes(drop_axis: Axes, ndim: int) -> frozenset[int]:
    """Axes of the broadcast input, of `ndim` dimensions, that the function removes."""
    if drop_axis is None:
        return frozenset()
    given = _as_axes(drop_axis)
    for axis in given:
        if not -ndim <= axis < ndim:
            raise ValueError(
                f"drop_axis out of range: axis {axis} of an input with {ndim} dimensions"
            )
    return frozenset(axis % ndim for axis in given)


def output_places(
    kept: list[int], ndropped: int, new_axis: Axes, entries: tuple[Entry, ...] | None
) -> list[int]:
    """Give each output axis the input axis it comes from, one of `kept`, or NEW."""
    if new_axis is not None:
        given = _as_axes(new_axis)
    elif entries is not None:
        given = list(range(len(entries) - len(kept)))
    else:
        given = []
    ndim = len(kept) + len(given)
    places = list(kept)
    for axis in _normalized(given, ndim):
        # As many positions of slack as axes were dropped: callers of dask count them that way.
        if axis >= ndim + ndropped or (entries is not None and axis >= ndim == len(entries)):
            raise ValueError(
                f"New_axis values do not fill in all dimensions: new_axis={axis} in an output "
                f"with {ndim} dimensions"
            )
        places.insert(axis, NEW)
    if entries is not None and len(entries) != ndim:
        raise ValueError(
            f"Provided chunks have {len(entries)} dims; expected {ndim} dims "
            "(inputs less drop_axis plus new_axis)"
        )
    return places


def _normalized(given: list[int], ndim: int) -> list[int]:
    """Sort new axes, negatives counted from the end of the output."""
    result = sorted(axis if axis >= 0 else axis + ndim for axis in given)
    if min(given, default=0) < 0:
        if result[0] < 0:
            raise ValueError(
                f"new_axis out of range: axis {result[0] - ndim} in an output with {ndim} "
                "dimensions"
            )
        if len(set(result)) < len(result):
            raise ValueError(f"repeated axis in new_axis={given}")
    return result


def output_chunks(
    sizes: Sequence[tuple[int, ...] | None], entries: tuple[Entry, ...] | None
) -> Chunks:
    """Block sizes of the output from the input's along each output axis, None on new ones."""
    if entries is None:
        return tuple((1,) if cuts is None else cuts for cuts in sizes)
    pairs = zip(sizes, entries, strict=True)
    return tuple(_adjusted(axis, cuts, entry) for axis, (cuts, entry) in enumerate(pairs))


def _adjusted(axis: int, sizes: tuple[int, ...] | None, entry: Entry) -> tuple[int, ...]:
    """Apply one entry of `chunks`; `sizes` are the input's, None on a new axis."""
    result: Iterable[float]
    if isinstance(entry, Integral) or (isinstance(entry, Real) and math.isnan(entry)):
        result = (entry,) * (1 if sizes is None else len(sizes))
    elif isinstance(entry, (tuple, list)):
        result = entry
        if sizes is not None and len(entry) != len(sizes):
            raise ValueError(
                f"Dimension {axis} has {len(sizes)} blocks, but chunks= gives {len(entry)} sizes"
            )
    elif callable(entry):
        if sizes is None:
            raise ValueError(
                f"chunks= has a callable for new axis {axis}, where no input block has a size; "
                "give an int or a tuple"
            )
        result = map(entry, sizes)
    else:
        raise NotImplementedError(
            f"chunks= entry {entry!r} for axis {axis}: only an int, a tuple of sizes, nan or a "
            "callable can be planned"
        )
    checked = tuple(checked_size(axis, size) for size in result)
    if not checked:
        raise ValueError(f"chunks= gives no block for axis {axis}; an empty axis is (0,)")
    return checked


def checked_size(axis: int, given: Any) -> int:
    """Make a block size an int, or nan; ``nan`` is always the same object."""
    if not isinstance(given, Real):
        raise TypeError(f"block size {given!r} on axis {axis} in chunks= is not a number")
    size: float = given  # type: ignore[assignment]
    if math.isnan(size):
        # One nan object, so that equal plans compare equal.
        return math.nan  # type: ignore[return-value]
    if not 0 <= size < math.inf:
        raise ValueError(f"block size {size} on axis {axis} in chunks= is out of range")
    return int(size)


def _as_axes(value: int | Iterable[int]) -> list[int]:
    if isinstance(value, Iterable):
        return [operator.index(axis) for axis in value]
    return [operator.index(value)]
