"""What a new Zarr array is told of its source: names of axes, attributes, codecs; writes none."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..storage.conventions import PACKING, Agreement
from ..storage.jsonattrs import fill_as_text, in_json

if TYPE_CHECKING:
    from ..core import Array

__all__ = ["attributes_kept", "codec", "dims_kept", "joined_facts"]

_LEVELS = {"zstd": (-7, 22), "gzip": (0, 9), "blosc": (0, 9)}


def codec(text: str) -> Callable[[Any], Any]:
    """A compressor, and maybe its level: what makes it for a dtype.

    Examples
    --------
    >>> codec("zstd:9")("f4"), codec("blosc")("f4"), codec("none")("f4")
    ({'name': 'zstd', 'configuration': {'level': 9, 'checksum': False}}, 'blosc', None)
    """
    name, colon, level = text.partition(":")
    if text == "none":
        return lambda dtype: None
    if name not in _LEVELS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of zstd, gzip, blosc and none")
    if not colon:
        return lambda dtype: name
    low, high = _LEVELS[name]
    try:
        number = int(level)
    except ValueError:
        number = high + 1
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(
            f"level {level!r} of {name} is no whole number from {low} to {high}"
        )
    return lambda dtype: _configured(name, number, dtype)


def _configured(name: str, level: int, dtype: Any) -> dict[str, Any]:
    import numpy as np

    more: dict[str, Any] = {"level": level}
    if name == "zstd":
        more["checksum"] = False
    if name == "blosc":
        size = min(np.dtype(dtype).itemsize, 255)
        more = {"cname": "zstd", "clevel": level, "shuffle": "shuffle"}
        more |= {"typesize": size, "blocksize": 0}
    return {"name": name, "configuration": more}


def dims_kept(dims: Sequence[str | None] | None) -> list[str | None] | None:
    """Names of the axes, if there are any."""
    return None if dims is None or not any(dims) else list(dims)


def attributes_kept(
    attrs: Mapping[str, Any], array: Array, decoded: bool
) -> tuple[dict[str, Any], list[str]]:
    """Turn an array's attributes into those of its copy in Zarr.

    Parameters
    ----------
    attrs : mapping
        Those of the source.
    array : Array
        What is stored, decoded if `decoded`.
    decoded : bool
        Whether `attrs` spoke of numbers that were decoded since.

    Returns
    -------
    dict
        As JSON has them.
    list of str
        ``"attribute x"`` for each that JSON cannot say.
    """
    # What tells how to decode numbers is untrue of those that were.
    left_out = PACKING if decoded else ()
    found = {name: value for name, value in attrs.items() if name not in left_out}
    return in_json(fill_as_text(found, array.dtype))


def joined_facts(
    names: Sequence[str], arrays: Sequence[Array], axis: int, stack: bool, decoded: bool
) -> tuple[tuple[str | None, ...] | None, dict[str, Any]]:
    """Names of axes and attributes of several arrays as one: those of the first.

    Raises
    ------
    ValueError
        They are packed in different ways, so that their numbers do not mean the same.
    """
    said = Agreement()
    for name, array in zip(names, arrays, strict=True):
        said.add(name, array.dims, array.attrs)
    if said.difference and not decoded:
        raise ValueError(
            f"{said.difference}: their numbers do not mean the same; --decode applies it to each"
        )
    at = axis + arrays[0].ndim + 1 if axis < 0 else axis
    return said.joined_dims(at, stack), said.attrs
