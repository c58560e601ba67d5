"""What a new Zarr array is told of its source: names of axes, attributes, codecs; it writes none.

JSON has no NaN and no infinity, and xarray wants ``_FillValue`` of floats as the eight bytes of a
float64 in base64: both are written as readers of Zarr expect them.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core import Array

__all__ = ["attributes_kept", "codec", "dims_kept", "in_json", "joined_facts"]

_PACKING = ("scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")
"""What says how stored numbers are to be decoded, and is untrue of those that were."""
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
    found = dict(attrs)
    if decoded and any(name in found for name in _PACKING):
        found = {name: value for name, value in found.items() if name not in _PACKING}
    elif array.dtype.kind == "f":
        value = found.get("_FillValue")
        if isinstance(value, (int, float)):
            found["_FillValue"] = base64.b64encode(struct.pack("<d", value)).decode("ascii")
    return in_json(found)


def in_json(attrs: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Say attributes in JSON: NaN and infinities as text; and name those that cannot be said.

    Examples
    --------
    >>> in_json({"limits": [0.5, math.inf], "key": object()})
    ({'limits': [0.5, 'Infinity']}, ["attribute 'key'"])
    """
    kept: dict[str, Any] = {}
    left: list[str] = []
    for name, value in attrs.items():
        said = _said(value)
        try:
            json.dumps(said, allow_nan=False)
        except (TypeError, ValueError):
            left.append(f"attribute {name!r}")
        else:
            kept[name] = said
    return kept, left


def _said(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, complex):
        return [_said(value.real), _said(value.imag)]
    if isinstance(value, Mapping):
        return {str(key): _said(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_said(item) for item in value]
    return _said(value.tolist()) if hasattr(value, "tolist") else value


def joined_facts(
    names: Sequence[str], arrays: Sequence[Array], axis: int, stack: bool, decoded: bool
) -> tuple[tuple[str | None, ...] | None, dict[str, Any]]:
    """Names of axes and attributes of several arrays as one: those of the first.

    Raises
    ------
    ValueError
        They are packed in different ways, so that their numbers do not mean the same.
    """
    first = arrays[0]
    packing = [{name: array.attrs.get(name) for name in _PACKING} for array in arrays]
    for name, said in zip(names, packing, strict=True):
        for key in _PACKING:
            if not decoded and str(said[key]) != str(packing[0][key]):
                raise ValueError(
                    f"{name} has {key}={said[key]}, but {names[0]} has {packing[0][key]}: their "
                    "numbers do not mean the same; --decode applies it to each"
                )
    dims = first.dims if all(array.dims == first.dims for array in arrays) else None
    if dims is not None and stack:
        at = axis + first.ndim + 1 if axis < 0 else axis
        dims = (*dims[:at], None, *dims[at:])
    return dims, dict(first.attrs)
