"""What a file of many arrays holds, and which of them is meant; it guesses nothing, opens none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from oocarray.errors import FormatError

__all__ = ["Entry", "array_names", "choose", "plain_value"]

Entry = tuple[tuple[int, ...], np.dtype[Any], tuple[str | None, ...] | None]
"""Shape, dtype, and the names of the axes where the file has some."""

_SHOWN = 20


def array_names(entries: Mapping[str, Entry]) -> str:
    """Write the names, shapes and dtypes of arrays; of many only the first.

    Examples
    --------
    >>> array_names({"t": ((3, 4), np.dtype("f4"), None), "n": ((), np.dtype(">i2"), None)})
    "'t' (3, 4) float32, 'n' () >i2"
    """
    shown = [f"{name!r} {shape} {dtype}" for name, (shape, dtype, _) in entries.items()]
    more = len(shown) - _SHOWN
    return ", ".join(shown[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def choose(path: str, entries: Mapping[str, Entry], dataset: str | None) -> str:
    """Return the name of the array that is meant.

    Parameters
    ----------
    path : str
        The file, for the messages.
    entries : mapping
        What it holds.
    dataset : str or None
        Which is asked for; None: the only one.

    Raises
    ------
    FormatError
        There is none of that name, or none or several to choose from; the message lists them.

    Examples
    --------
    >>> entries = {"t": ((3, 4), np.dtype("f4"), None)}
    >>> choose("x.nc", entries, None)
    't'
    >>> choose("x.nc", entries, "u")
    Traceback (most recent call last):
    ...
    oocarray.errors.FormatError: x.nc has no array 'u'; pass dataset= one of: 't' (3, 4) float32
    """
    if not entries:
        raise FormatError(f"{path} holds no array")
    if dataset is None:
        if len(entries) == 1:
            return next(iter(entries))
        raise FormatError(
            f"{path} holds {len(entries)} arrays; pass dataset= one of: {array_names(entries)}"
        )
    if dataset not in entries:
        raise FormatError(
            f"{path} has no array {dataset!r}; pass dataset= one of: {array_names(entries)}"
        )
    return dataset


def plain_value(value: Any) -> Any:
    """Return what a library read beside an array as plain Python values: text, numbers, lists.

    Raises
    ------
    TypeError
        It is none of these.

    Examples
    --------
    >>> plain_value(np.float32(0.5)), plain_value(b"K"), plain_value(np.array([[1, 2]]))
    (0.5, 'K', [[1, 2]])
    """
    if isinstance(value, np.ndarray):
        return plain_value(value.tolist())
    if isinstance(value, np.generic):
        return plain_value(value.item())
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (list, tuple)):
        return [plain_value(item) for item in value]
    if value is None or isinstance(value, (str, bool, int, float, complex)):
        return value
    raise TypeError(f"{type(value).__name__} is no plain value")
