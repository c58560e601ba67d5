"""Says attributes in JSON as readers of Zarr expect them; names what cannot be said, drops nothing.

JSON has no NaN and no infinity: they become text.  The ``_FillValue`` of floats is, for xarray,
the eight bytes of a little-endian float64 in base64.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["fill_as_text", "in_json"]


def in_json(attrs: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Say attributes in JSON, and name those that cannot be said.

    Returns
    -------
    dict
        What `json.dumps` takes; NaN and infinities are text, complex numbers lists of two.
    list of str
        ``"attribute 'x'"`` for each that is left out.

    Examples
    --------
    >>> in_json({"limits": [0.5, math.inf], "key": object()})
    ({'limits': [0.5, 'Infinity']}, ["attribute 'key'"])
    """
    kept: dict[str, Any] = {}
    left: list[str] = []
    for name, value in attrs.items():
        try:
            said = _said(value)
            json.dumps({name: said}, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            left.append(f"attribute {name!r}")
        else:
            kept[name] = said
    return kept, left


def fill_as_text(attrs: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    """Spell the ``_FillValue`` of an array of floats as xarray does in Zarr v3.

    Examples
    --------
    >>> fill_as_text({"_FillValue": math.nan, "units": "K"}, "f4")
    {'_FillValue': 'AAAAAAAA+H8=', 'units': 'K'}
    >>> fill_as_text({"_FillValue": -1}, "i2")
    {'_FillValue': -1}
    """
    found = dict(attrs)
    if "_FillValue" in found and np.dtype(dtype).kind == "f":
        number = _number(found["_FillValue"])
        if number is not None:
            found["_FillValue"] = base64.b64encode(struct.pack("<d", number)).decode("ascii")
    return found


def _number(value: Any) -> float | None:
    """The one number that a value is: alone, in a list, or in words such as "NaN"."""
    given = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(given, (list, tuple)) and len(given) == 1:
        given = given[0]
    if isinstance(given, (bool, np.bool_)):
        return None
    if isinstance(given, (str, int, float, np.integer, np.floating)):
        try:
            return float(given)
        except (ValueError, OverflowError):
            return None  # it is in base64 already, or beyond all floats
    return None


def _said(value: Any) -> Any:
    if isinstance(value, np.longdouble):
        value = float(value)  # its tolist() is itself
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, complex):
        return [_said(value.real), _said(value.imag)]
    if isinstance(value, Mapping):
        return {str(key): _said(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_said(item) for item in value]
    return _said(value.tolist()) if hasattr(value, "tolist") else value
